//! Where a server serves, for commands on the same machine: noted in its data directory, so that `--data` or `--config`
//! leads to the server that is meant, and not to whoever listens where a demo would.

use super::basis::Noted;
use super::journal::Entry;
use super::store;
use crate::config::{self, Loaded, Refused};
use crate::sip::Transport;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Beside the lock, which says whether it is of a server that runs.
const FILE: &str = "serving.json";

/// What a server has noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// The configuration file, from the root, as it was named and where it really is, for a link may move; empty for the
    /// demo inside the program.
    pub config: Vec<PathBuf>,
    /// Where phones reach it over UDP, if they can.
    pub sip: Option<SocketAddr>,
    /// Where desktops do, as a URL.
    pub grpc: Option<String>,
    /// What reports need to know of the center; an older Tierline did not note it.
    #[serde(default)]
    pub center: Option<Noted>,
}

impl Serving {
    pub fn new(loaded: &Loaded) -> Serving {
        let server = &loaded.server;
        let mut udp = server.sip.listeners.iter().filter(|listener| listener.transport == Transport::Udp);
        // Audio may be of IPv4 alone where SIP is of both.
        let udp = udp.clone().find(|listener| listener.bind.is_ipv4()).or_else(|| udp.next());
        let url = |cti: &crate::config::CtiSettings| {
            let scheme = if cti.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", from_here(cti.bind))
        };
        Serving {
            config: names(Path::new(&loaded.file)),
            sip: udp.map(|listener| from_here(listener.bind)),
            grpc: server.cti.as_ref().map(url),
            center: Some(Noted::of(&loaded.center)),
        }
    }

    /// Where the disk does not take it, commands on this machine have to be told.
    pub fn note(&self, data: &Path) {
        if let Err(why) = self.write(data) {
            Entry::warn("server", "has not noted where it serves").with("why", &why).tell();
        }
    }

    fn write(&self, data: &Path) -> anyhow::Result<()> {
        let (path, new) = (data.join(FILE), data.join(format!("{FILE}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(fs::rename(new, path)?)
    }

    /// By who takes the directory's lock, before anybody can be told who has it now: nobody is led to where an earlier
    /// start has served.
    ///
    /// # Errors
    /// What that one has noted cannot be removed.
    pub fn forget(data: &Path) -> anyhow::Result<()> {
        match fs::remove_file(data.join(FILE)) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                Err(why).with_context(|| format!("cannot remove `{}`", data.join(FILE).display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the server runs with this file.
    pub fn is_with(&self, file: &Path) -> bool {
        names(file).iter().any(|name| self.config.contains(name))
    }

    /// The configuration that the server runs with, as it stands there now.
    ///
    /// # Errors
    /// It is refused.
    pub fn loaded(&self) -> Result<Loaded, Box<Refused>> {
        match self.config.first() {
            None => config::load_embedded(),
            // As people here call it.
            Some(file) => config::load(Some(near(file))),
        }
    }

    /// What the server has noted that serves from this directory now; none if none does, or if it has noted nothing.
    pub fn of(data: &Path) -> Option<Serving> {
        store::in_use(data)?;
        serde_json::from_slice(&fs::read(data.join(FILE)).ok()?).ok()
    }
}

/// What a file is called, if it is there.
fn names(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().ok();
    real.into_iter().flat_map(|real| std::path::absolute(file).ok().into_iter().chain([real])).collect()
}

/// Without what leads to the working directory.
fn near(file: &Path) -> &Path {
    let here = std::env::current_dir().ok();
    here.and_then(|here| file.strip_prefix(here).ok()).unwrap_or(file)
}

/// An address that is bound, as it is reached from this machine.
fn from_here(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::place::Place;

    /// Whoever names a configuration means the server that runs with it: another one's callers are told nothing.
    #[test]
    fn a_configuration_leads_to_no_server_that_runs_with_another() {
        let dir = std::env::temp_dir().join(format!("tierline-serving-{}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let data = dir.join("data");
        let demo = fs::read_to_string("deploy/tierline.toml").unwrap();
        let file = |name: &str, text: &str| {
            let file = dir.join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let place = format!("data = \"{}\"", data.display());
        let flows = std::env::current_dir().unwrap().join("ivr-flows");
        let demo =
            demo.replace("data = \"data\"", &place).replace("\"../ivr-flows\"", &format!("\"{}\"", flows.display()));
        assert!(demo.contains(&place), "the demo says where its data is");
        let (one, other) = (file("one.toml", &demo), file("other.toml", &demo));
        let broken = file("broken.toml", &demo.replace("ring_timeout = \"20s\"", "ring_timeout = \"20\""));
        let find = |config: &PathBuf, data: Option<&Path>| Place::find(Some(config), data).map(|place| place.data);
        let of = |config: &PathBuf| find(config, None).map_err(|why| why.to_string());
        assert_eq!(of(&other), Ok(data.clone()), "nobody serves");
        assert!(of(&broken).is_err_and(|why| why.contains("ring_timeout")));

        let store = store::Store::open(&data, 1).unwrap();
        let loaded = crate::config::load(Some(&one)).unwrap();
        let serving = Serving::new(&loaded);
        serving.note(&data);
        assert_eq!(Serving::of(&data), Some(serving.clone()));
        assert_eq!(serving.grpc.as_deref(), Some("http://127.0.0.1:50051"));
        assert_eq!(serving.sip, Some("127.0.0.1:5060".parse().unwrap()));
        assert_eq!(of(&one), Ok(data.clone()));
        assert!(of(&other).is_err_and(|why| why.contains("one.toml") && why.contains("--data")));
        assert_eq!(find(&other, Some(&data)).unwrap(), data, "both were named");
        // A mistake that is written into the file of a running server keeps nobody from asking it.
        fs::copy(&broken, &one).unwrap();
        assert_eq!(of(&one), Ok(data.clone()));
        drop(store);
        assert_eq!(Serving::of(&data), None);
        // A start that has not noted anything yet is not where the one before it was.
        let store = store::Store::open(&data, 1).unwrap();
        assert_eq!(Serving::of(&data), None);
        serving.note(&data);
        assert_eq!(Serving::of(&data), Some(serving));
        drop(store);
        fs::remove_dir_all(&dir).unwrap();
    }
}
