//! What reports and lists take from the configuration: the center's time zone, the queues' targets, the names that there are.
//!
//! It is that of the log which is read: of the file that was named, or that the server runs with which serves from there. A
//! mistake that was written into that file keeps nobody from what happened: then what the server noted at its start
//! ([`Noted`]) stands in for it, and that is said.

use super::journal::{Entry, Value};
use super::local::{Local, UTC};
use super::serving::Serving;
use super::wrong::Wrong;
use crate::center::{Center, Queue};
use crate::config::{self, Loaded, Refused};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whom the service level counts as served in time, and whom as gone at once; of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    pub target_ms: u64,
    pub short_ms: u64,
}

impl Target {
    pub fn of(queue: &Queue) -> Target {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Target { target_ms: ms(queue.target), short_ms: ms(queue.short_abandon) }
    }
}

/// What a server notes of the center that it serves, for reports beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    pub time_zone: String,
    pub queues: BTreeMap<String, Target>,
}

impl Noted {
    pub fn of(center: &Center) -> Noted {
        let queues = center.queues.iter().map(|(id, queue)| (id.to_string(), Target::of(queue))).collect();
        Noted { time_zone: center.time_zone.clone(), queues }
    }
}

/// Read when it is first needed.
pub struct Basis<'a> {
    data: &'a Path,
    config: Option<&'a Path>,
    found: OnceCell<Found>,
}

/// Where it is from.
pub(super) enum Found {
    /// The file of this log.
    Own(Box<Loaded>),
    /// One that nobody named, and that is of another log.
    Others(Box<Loaded>),
    /// The server that runs.
    Noted(Noted),
    /// Nowhere: what is wrong with the file.
    Nothing(String),
}

/// As a place where settings are.
const RUNNING: &str = "the running server";

impl<'a> Basis<'a> {
    /// Of the log in `data`; `config` is the file that was named.
    pub fn new(data: &'a Path, config: Option<&'a Path>) -> Basis<'a> {
        Basis { data, config, found: OnceCell::new() }
    }

    pub(super) fn is_named(&self) -> bool {
        self.config.is_some()
    }

    pub(super) fn found(&self) -> &Found {
        self.found.get_or_init(|| self.find())
    }

    fn find(&self) -> Found {
        // The server's file, where it is another one than it would be without a name: that may be a demo that lies around.
        let serving = Serving::of(self.data);
        let loaded = match (self.config, &serving) {
            (Some(config), _) => config::load(Some(config)),
            (None, Some(serving)) => serving.loaded(),
            (None, None) => config::load(None),
        };
        match loaded {
            Ok(loaded) if self.config.is_none() && serving.is_none() && !is_same(&loaded.server.data, self.data) => {
                Found::Others(Box::new(loaded))
            }
            Ok(loaded) => Found::Own(Box::new(loaded)),
            Err(refused) => {
                let runs_with_it = serving.filter(|serving| self.config.is_none_or(|config| serving.is_with(config)));
                self.without(&refused, runs_with_it.and_then(|serving| serving.center))
            }
        }
    }

    fn without(&self, refused: &Refused, noted: Option<Noted>) -> Found {
        let Some(noted) = noted else { return Found::Nothing(refused.problems.to_string()) };
        let stands_in = "the configuration has mistakes; time zone, targets and names are those that the server runs with, \
                         as far as it has noted them";
        let problem = refused.problems.0.first().map(|problem| Value::Text(problem.to_string()));
        let count = refused.problems.0.len() as u64;
        Entry::warn("records", stands_in).with("mistakes", count).with_some("first", problem).tell();
        Found::Noted(noted)
    }

    /// The clocks of `zone`; without one the center's, and those of UTC where it is not known which center's log this is.
    ///
    /// # Errors
    /// There is no such time zone, or the file that was named has mistakes and no server has noted its zone ([`Wrong`]).
    pub fn local(&self, zone: Option<&str>) -> Result<Local> {
        if let Some(zone) = zone {
            return Local::of(zone);
        }
        Local::of(match self.found() {
            Found::Own(loaded) => &loaded.center.time_zone,
            Found::Noted(noted) => &noted.time_zone,
            Found::Nothing(why) if self.is_named() => return Err(Wrong(why.clone()).into()),
            Found::Others(_) | Found::Nothing(_) => UTC,
        })
    }

    /// The queues' own targets, and where they are from.
    ///
    /// # Errors
    /// The configuration is [`Wrong`], and no server has noted them.
    pub fn queues(&self) -> Result<(BTreeMap<String, Target>, String)> {
        match self.found() {
            Found::Own(loaded) | Found::Others(loaded) => Ok((Noted::of(&loaded.center).queues, loaded.file.clone())),
            Found::Noted(noted) => Ok((noted.queues.clone(), RUNNING.to_owned())),
            Found::Nothing(why) => Err(Wrong(why.clone()).into()),
        }
    }
}

/// Whether both are one directory, however they are written.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| -> PathBuf { path.canonicalize().unwrap_or_else(|_| path.to_owned()) };
    real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::Store;
    use std::fs;

    /// Whose data is read, and with which file that is served, decides; not what lies where somebody happens to be.
    #[test]
    fn what_holds_is_the_file_of_the_log_or_what_its_server_has_noted() {
        let dir = std::env::temp_dir().join(format!("tierline-basis-{}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let (data, flows) = (dir.join("data"), std::env::current_dir().unwrap().join("ivr-flows"));
        let demo = fs::read_to_string("deploy/tierline.toml").unwrap();
        let demo = demo.replace("\"../ivr-flows\"", &format!("\"{}\"", flows.display()));
        let right = demo.replace("time_zone = \"UTC\"", "time_zone = \"Europe/Berlin\"");
        let (own, other) = (dir.join("own.toml"), dir.join("other.toml"));
        fs::write(&own, &right).unwrap();
        fs::write(&other, demo.replace("time_zone = \"UTC\"", "time_zone = \"Asia/Tokyo\"")).unwrap();
        let zone = |config: Option<&Path>| Basis::new(&data, config).local(None).unwrap().name;
        let whence = |config: Option<&Path>| Basis::new(&data, config).queues().map(|(_, file)| file);
        let shown = |file: &Path| file.display().to_string();
        // Nobody serves: what is named, and else only a file of this log.
        assert_eq!([zone(None), zone(Some(&own)), zone(Some(&other))], ["UTC", "Europe/Berlin", "Asia/Tokyo"]);
        let its = config::load(None).unwrap();
        assert_eq!(Basis::new(&its.server.data, None).local(None).unwrap().name, its.center.time_zone);

        let store = Store::open(&data, 1).unwrap();
        let loaded = config::load(Some(&own)).unwrap();
        Serving::new(&loaded).note(&data);
        assert_eq!([zone(None), zone(Some(&other))], ["Europe/Berlin", "Asia/Tokyo"]);
        assert_eq!(whence(None).unwrap(), shown(&own));
        assert_eq!(Basis::new(&data, None).local(Some("UTC")).unwrap().name, "UTC", "as asked for");
        // A mistake of whatever kind, also one after which nothing of the file can be told.
        let queues = Noted::of(&loaded.center).queues;
        assert!(queues.values().all(|target| target.target_ms > 0) && queues.len() > 1);
        for broken in [right.replace("ring_timeout = \"20s\"", "ring_timeout = \"20\""), "[center\n".to_owned()] {
            fs::write(&own, broken).unwrap();
            assert_eq!([zone(None), zone(Some(&own))], ["Europe/Berlin", "Europe/Berlin"]);
            for config in [None, Some(&*own)] {
                assert_eq!(Basis::new(&data, config).queues().unwrap(), (queues.clone(), RUNNING.to_owned()));
            }
        }
        // An older one noted less, and of a file that it does not run with it knows nothing.
        fs::write(&other, "[center\n").unwrap();
        assert!(Basis::new(&data, Some(&other)).local(None).is_err(), "who names a file means it");
        assert!(whence(Some(&other)).unwrap_err().to_string().contains("other.toml"));
        let noted = fs::read_to_string(data.join("serving.json")).unwrap();
        let mut older: serde_json::Value = serde_json::from_str(&noted).unwrap();
        older.as_object_mut().unwrap().remove("center").unwrap();
        fs::write(data.join("serving.json"), older.to_string()).unwrap();
        assert_eq!(zone(None), "UTC");
        assert!(whence(None).unwrap_err().to_string().contains("own.toml"));
        drop(store);
        fs::remove_dir_all(&dir).unwrap();
    }
}
