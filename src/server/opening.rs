//! What a start needs of the machine: ports, the data directory, passwords, sounds. All of it or nothing: what cannot
//! be had is told at once, and the rest is closed again.

use super::accounts::Kind;
use super::keeping::{self, belief::Belief};
use super::signaling::listening;
use super::signaling::tls::Tls;
use super::wrong::{Wrong, is_denied, is_passing, is_taken, is_wrong};
use super::{accounts, clock, cti, signaling, speech, store, ticketing};
use crate::config::{self, Kept, Loaded, Needs, Secrets, ServerSettings, Sound};
use crate::engine::{RINGING, SILENCE};
use crate::media;
use crate::sip::Transport;
use crate::time::Instant;
use crate::written::Problem;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Everything there is before the first thread serves.
pub struct Opened {
    pub udp: BTreeMap<u64, signaling::Udp>,
    /// With their numbers among the listeners.
    pub tcp: Vec<(u16, TcpListener)>,
    /// There if a listener speaks it.
    pub tls: Option<Arc<Tls>>,
    pub http: TcpListener,
    /// There if desktops may connect.
    pub cti: Option<cti::Opened>,
    pub store: store::Opened,
    pub accounts: accounts::Loaded,
    pub sounds: media::Sounds,
}

/// Opens all of it. First what can be looked at without writing: as long as something of that is missing the log is left
/// alone, of which each start uses one up. What a refused first start has made up is not left behind: it would be taken for
/// a server's.
///
/// # Errors
/// One line for each thing that cannot be had.
pub fn open(loaded: &Loaded, runtime: &tokio::runtime::Handle) -> Result<Opened> {
    let (server, mut missing) = (&loaded.server, Missing::default());
    not_held(&server.data)?;
    let Ports { udp, tcp, http, grpc } = ports(&loaded.file, &loaded.needs(), runtime, &mut missing);
    tls_files(&loaded.file, &loaded.needs(), &mut missing);
    missing.wrong(unheard(&loaded.sounds, &server.data));
    secrets(loaded, &server.data, &mut missing);
    missing.unless_now(store::usable(&server.data, server.node));
    if !missing.lines.is_empty() {
        return Err(missing.none().expect_err("something is missing"));
    }
    let is_new = server.data.try_exists().is_ok_and(|exists| !exists);
    // Somebody holds it, or the disk is full: that passes.
    let Some(store) = missing.unless_now(open_store(server)) else {
        return Err(missing.none().expect_err("the log cannot be had"));
    };
    let accounts =
        accounts::load(&loaded.center, (server.password_file.as_deref(), &server.trunk_passwords), &server.data);
    let accounts = missing.unless(accounts);
    let cti = open_cti(loaded, grpc, &mut missing);
    let sounds = missing.unless(load_sounds(loaded));
    let tls = missing.unless(open_tls(loaded));
    if let Err(why) = missing.none() {
        if is_new && store.epoch == 1 {
            remove_made(&server.data);
        }
        return Err(why);
    }
    match (http, accounts, sounds, tls) {
        (Some(http), Some(accounts), Some(sounds), Some(tls)) => {
            Ok(Opened { udp, tcp, tls, http, cti, store, accounts, sounds })
        }
        _ => bail!("something cannot be had, and nobody said so"),
    }
}

/// Who holds the directory has its ports as well, and all that is said of them would hide him.
///
/// # Errors
/// A server runs from this directory: that passes.
pub fn not_held(data: &Path) -> Result<()> {
    match store::in_use(data) {
        Some(by) => bail!(store::is_in_use(data, &by)),
        None => Ok(()),
    }
}

/// What a first start makes. Its lock is held, so nobody else has made any of it.
fn remove_made(data: &Path) {
    let files = ["events.db", "events.db-wal", "events.db-shm", "passwords", "tokens", "tierline.lock"];
    files.iter().for_each(|file| _ = std::fs::remove_file(data.join(file)));
    ["tls", "prompts"].iter().for_each(|made| _ = std::fs::remove_dir_all(data.join(made)));
    _ = std::fs::remove_dir(data); // what else is there is somebody's
}

/// Files of secrets that the configuration names, and those that an earlier start has made up in `data`. What is still to be
/// made up comes later.
pub fn secrets(loaded: &Loaded, data: &Path, missing: &mut Missing) {
    let (server, center) = (&loaded.server, &loaded.center);
    match server.password_file.as_deref() {
        Some(file) => _ = missing.unless(accounts::load(center, (Some(file), &server.trunk_passwords), data)),
        None => {
            missing.unless(accounts::of_trunks(center, &server.trunk_passwords));
            missing.unless(accounts::made_before(&accounts::default_file(data), Kind::Passwords));
        }
    }
    if let Some(cti) = &server.cti {
        match &cti.token_file {
            Some(_) => _ = missing.unless(cti::tokens::Tokens::load(cti, center, data)),
            None => _ = missing.unless(accounts::made_before(&cti::tokens::default_file(data), Kind::Tokens)),
        }
        missing.unless(cti::certificate(cti));
    }
    if let Some(file) = server.ticketing.as_ref().and_then(|ticketing| ticketing.token_file.as_deref()) {
        missing.unless(ticketing::token(file));
    }
}

/// The same of a configuration that is refused, as far as it says which files they are: nobody can say whose secrets must be
/// in them.
pub fn secrets_of_refused(needs: &Needs, data: Option<&Path>) -> Missing {
    let mut missing = Missing::default();
    let Secrets { trunks, tokens, ticketing: shown } = &needs.secrets;
    trunks.iter().for_each(|file| _ = missing.unless(accounts::trunk_password(file)));
    tokens.file().iter().for_each(|file| _ = missing.unless(accounts::read(file, Kind::Tokens)));
    shown.iter().for_each(|file| _ = missing.unless(ticketing::token(file)));
    let Some(data) = data else { return missing };
    if needs.password_file == Kept::MadeUp {
        missing.unless(accounts::made_before(&accounts::default_file(data), Kind::Passwords));
    }
    if needs.grpc.is_some() && *tokens == Kept::MadeUp {
        missing.unless(accounts::made_before(&cti::tokens::default_file(data), Kind::Tokens));
    }
    missing
}

fn open_store(server: &ServerSettings) -> Result<store::Opened> {
    // What is old is gone already when `keeping` begins: by the same judge.
    let time = |mark| Belief::new(Instant::ZERO, clock::wall(), mark).time(Instant::ZERO);
    store::Store::open_judged(&server.data, server.node, keeping::texts(&server.keep), time)
}

/// Tokens and certificate of desktops, if any may connect.
fn open_cti(loaded: &Loaded, listener: Option<TcpListener>, missing: &mut Missing) -> Option<cti::Opened> {
    let settings = loaded.server.cti.as_ref()?;
    let secrets = missing.unless(cti::secrets(settings, &loaded.center, &loaded.server.data))?;
    Some(cti::Opened { listener: listener?, secrets })
}

/// What cannot be had of what a start needs; what could be had is closed again. Nothing is written.
pub fn lacking(file: &str, needs: &Needs, runtime: &tokio::runtime::Handle) -> Missing {
    let mut missing = Missing::default();
    ports(file, needs, runtime, &mut missing);
    // One that cannot be read has been told with the configuration.
    let passwords = needs.password_file.file().filter(|file| std::fs::File::open(file).is_ok());
    passwords.into_iter().for_each(|file| _ = missing.unless(accounts::check_mode(file)));
    tls_files(file, needs, &mut missing);
    missing
}

/// The same for a start whose configuration is refused anyway. Where somebody holds the directory his are the ports.
pub fn lacking_to_start(
    refused: &config::Refused,
    data: Option<&Path>,
    runtime: &tokio::runtime::Handle,
) -> Vec<String> {
    match data.map_or(Ok(()), not_held) {
        Ok(()) => lacking(&refused.file, &refused.needs, runtime).lines,
        Err(held) => {
            let others = lacking(&refused.file, &refused.needs.clone().without_ports(), runtime).lines;
            std::iter::once(held.to_string()).chain(others).collect()
        }
    }
}

/// Which sounds could not be heard, told without speaking any.
pub fn unheard(sounds: &[Sound], data: &Path) -> Option<String> {
    let prompts = data.join("prompts");
    speech::foresee(sounds, &prompts, &speech::Speaker::installed()).err().map(|problems| problems.to_string())
}

/// Whether the certificates can be used that a listener of TLS needs.
fn tls_files(file: &str, needs: &Needs, missing: &mut Missing) {
    let is_spoken = needs.listeners.iter().any(|listener| listener.transport == Transport::Tls);
    let wrong = if is_spoken { Tls::check(&needs.tls) } else { Vec::new() };
    for (place, why) in wrong {
        missing.unless_at::<()>(file, place, Err(why));
    }
}

struct Ports {
    udp: BTreeMap<u64, signaling::Udp>,
    tcp: Vec<(u16, TcpListener)>,
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
}

fn ports(file: &str, needs: &Needs, runtime: &tokio::runtime::Handle, missing: &mut Missing) -> Ports {
    let (mut udp, mut tcp) = (BTreeMap::new(), Vec::new());
    for (number, listener) in (0u16..).zip(&needs.listeners) {
        if listener.transport == Transport::Udp {
            let bound = signaling::Udp::bind(number, listener.bind);
            let bound = missing.unless_bound(file, listener.place, bound);
            udp.extend(bound.map(|bound| (u64::from(number), bound)));
        } else {
            let _within = runtime.enter();
            let bound = listening::tcp(listener.bind);
            let what = listener.transport.as_str().to_ascii_lowercase();
            let bound = bound.with_context(|| format!("cannot listen on {what} {}", listener.bind));
            tcp.extend(missing.unless_bound(file, listener.place, bound).map(|bound| (number, bound)));
        }
    }
    let mut listen = |what, needed: Option<(SocketAddr, (usize, usize))>| {
        let (address, place) = needed?;
        let bound = runtime.block_on(TcpListener::bind(address));
        missing.unless_bound(file, place, bound.with_context(|| format!("cannot listen on {what} {address}")))
    };
    let (http, grpc) = (listen("http", needs.http), listen("grpc", needs.grpc));
    // An address that cannot be had for SIP, which is told already, cannot be had for audio either.
    let is_told =
        |ip| udp.len() + tcp.len() < needs.listeners.len() && needs.listeners.iter().any(|l| l.bind.ip() == ip);
    if let Some(media) = &needs.media {
        for bind in super::media::addresses(media).filter(|bind| !is_told(*bind)) {
            let audio = super::media::try_ports(bind, media.ports).context("no call could have audio");
            missing.unless_at(file, media.place, audio);
        }
    }
    Ports { udp, tcp, http, grpc }
}

/// Said once, however many ports are taken.
const HOLDER: &str =
    "`ss -lnptu`, as root, shows who has a port: it may be another tierline, which serves from another directory";

/// What cannot be had.
#[derive(Default)]
pub struct Missing {
    /// In sentences.
    pub lines: Vec<String>,
    /// Not all of it passes: trying again cannot help.
    is_wrong: bool,
    /// A port is somebody else's.
    is_taken: bool,
}

impl Missing {
    /// Of the configuration, or of what it names, unless the system says that it passes.
    pub fn unless<T>(&mut self, had: Result<T>) -> Option<T> {
        had.map_err(|why| self.add(format!("{why:#}"), is_passing(&why))).ok()
    }

    /// Of the machine as it is now, unless the error says that it is wrong, or the system that we may not.
    pub fn unless_now<T>(&mut self, had: Result<T>) -> Option<T> {
        had.map_err(|why| self.add(format!("{why:#}"), !is_wrong(&why) && !is_denied(&why))).ok()
    }

    /// Of what the configuration names, with its place there.
    fn unless_at<T>(&mut self, file: &str, place: (usize, usize), had: Result<T>) -> Option<T> {
        had.map_err(|why| self.add(at(file, place, format!("{why:#}")), is_passing(&why))).ok()
    }

    /// The same for an address to listen on. One that is taken is wrong as it is written: somebody must choose.
    fn unless_bound<T>(&mut self, file: &str, place: (usize, usize), had: Result<T>) -> Option<T> {
        let told = |why: anyhow::Error| match config::is_built_in(file) {
            // There is no such file to write in.
            true => {
                format!("the built-in demo {why:#}; stop what listens there, or name a configuration with --config")
            }
            false => at(file, place, format!("{why:#}; write another address in `bind`, or stop what listens there")),
        };
        had.map_err(|why| {
            self.is_taken |= is_taken(&why);
            self.add(told(why), false);
        })
        .ok()
    }

    pub fn wrong(&mut self, lines: impl IntoIterator<Item = String>) {
        lines.into_iter().for_each(|line| self.add(line, false));
    }

    pub fn join(&mut self, others: Missing) {
        others.lines.into_iter().for_each(|line| self.add(line, !others.is_wrong));
        self.is_taken |= others.is_taken;
    }

    /// What is found from two sides is told once.
    fn add(&mut self, line: String, passes: bool) {
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
        self.is_wrong |= !passes;
    }

    /// # Errors
    /// Something cannot be had; it is [`Wrong`] unless all of it passes.
    pub fn none(mut self) -> Result<()> {
        self.lines.extend(self.is_taken.then(|| HOLDER.to_owned()));
        match self {
            Missing { lines, .. } if lines.is_empty() => Ok(()),
            Missing { lines, is_wrong: true, .. } => Err(Wrong(lines.join("\n")).into()),
            Missing { lines, .. } => bail!(lines.join("\n")),
        }
    }
}

fn at(file: &str, (line, column): (usize, usize), message: String) -> String {
    Problem { file: file.to_owned(), line, column, message }.to_string()
}

/// Certificates, if a listener needs them. One for trying out is for all that this server is called.
fn open_tls(loaded: &Loaded) -> Result<Option<Arc<Tls>>> {
    let (sip, center) = (&loaded.server.sip, &loaded.center);
    if !sip.listeners.iter().any(|listener| listener.transport == Transport::Tls) {
        return Ok(None);
    }
    let addresses = sip.listeners.iter().map(|listener| listener.advertised.ip().to_string());
    let names = center.domains.iter().cloned().chain(["localhost".to_owned()]).chain(addresses);
    let names: BTreeSet<String> = names.collect();
    Tls::open(&sip.tls, &loaded.server.data, &names.into_iter().collect::<Vec<_>>()).map(|tls| Some(Arc::new(tls)))
}

/// Prompts and music, decoded and encoded once; texts that nobody has recorded are spoken.
fn load_sounds(loaded: &Loaded) -> Result<media::Sounds> {
    let speakers = speech::Speaker::installed();
    let gathered = speech::gather(&loaded.sounds, &loaded.server.data.join("prompts"), &speakers);
    let gathered = gathered.map_err(|problems| {
        // A recording that cannot be read hides none that cannot be used.
        let (told, others) = (problems.to_string(), unheard(&loaded.sounds, &loaded.server.data).unwrap_or_default());
        let others = others.lines().filter(|line| !told.lines().any(|known| known == *line));
        anyhow::anyhow!(std::iter::once(told.as_str()).chain(others).collect::<Vec<_>>().join("\n"))
    })?;
    gathered.warnings.iter().for_each(|warning| super::journal::warned("speech", warning));
    let (mut sounds, mut missing) = (media::Sounds::default(), Missing::default());
    sounds.add_samples(SILENCE, &[0; 160]);
    sounds.add_samples(RINGING, &ringing());
    for (name, wav) in &gathered.wavs {
        if let Err(why) = sounds.add_wav(name, wav) {
            let sound = loaded.sounds.iter().find(|sound| sound.name == *name);
            let (place, called) = sound.map_or(("", name.clone()), |sound| (&sound.place, speech::called(sound)));
            missing.wrong([Problem::whole(place, format!("{called} cannot be used: {why}")).to_string()]);
        }
    }
    missing.none().map(|()| sounds)
}

/// The ringing tone of Europe (ITU-T E.180): 425 Hz, a second of it and four of silence.
fn ringing() -> Vec<i16> {
    let sample = |n: u32| match n {
        0..8_000 => ((f64::from(n) * 425.0 / 8_000.0 * std::f64::consts::TAU).sin() * 4_000.0) as i16,
        _ => 0,
    };
    (0..40_000).map(sample).collect()
}
