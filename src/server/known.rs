//! Names that reports and lists are asked for: one that neither the configuration nor the records know is a mistake,
//! and not "no calls". What was in the configuration once is known from the records.

use super::basis::{Basis, Found};
use super::journal::{Entry, Value};
use super::records;
use super::wrong::Wrong;
use crate::ids::TrunkId;
use crate::records::OpenCall;
use crate::written::did_you_mean;
use anyhow::Result;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Queue,
    Agent,
    Line,
    Flow,
    Trunk,
}

/// So many names are told at most of those that there are.
const TOLD: usize = 20;

/// What only the configuration could know is not refused where that is of another log, or has mistakes.
///
/// # Errors
/// There is no such name ([`Wrong`]; it says which there are), the configuration that was named is [`Wrong`], or the records
/// cannot be read.
pub fn check(conn: &Connection, basis: &Basis<'_>, kind: Kind, name: &str) -> Result<()> {
    let loaded = match basis.found() {
        Found::Own(loaded) => Some(loaded),
        Found::Nothing(why) if basis.is_named() => return Err(Wrong(why.clone()).into()),
        Found::Others(_) | Found::Noted(_) | Found::Nothing(_) => None,
    };
    let mut known: BTreeSet<String> = loaded.iter().flat_map(|loaded| kind.configured(loaded)).collect();
    if known.contains(name) {
        return Ok(());
    }
    known.extend(kind.recorded(conn)?);
    if known.contains(name) {
        return Ok(());
    }
    let Some(loaded) = loaded else {
        let unknown = match basis.found() {
            Found::Noted(_) => "the records have nothing under this name, and whether it is configured is not known",
            _ => {
                "the records have nothing under this name, and whether it is configured is not known: name the \
                 configuration with --config"
            }
        };
        Entry::warn("records", unknown).with(kind.word(), Value::written(name)).tell();
        return Ok(());
    };
    let near = did_you_mean(name, known.iter().map(String::as_str));
    let (first, more) = (known.iter().take(TOLD), if known.len() > TOLD { ", …" } else { "" });
    let there_are = match known.is_empty() {
        true => "there is none at all".to_owned(),
        false => format!("allowed: {}{more}", first.cloned().collect::<Vec<_>>().join(", ")),
    };
    let (word, file) = (kind.word(), &loaded.file);
    Err(Wrong(format!("there is no {word} `{name}` in {file} or in the records; {there_are}{near}")).into())
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Kind::Queue => "queue",
            Kind::Agent => "agent",
            Kind::Line => "line",
            Kind::Flow => "flow",
            Kind::Trunk => "trunk",
        }
    }

    fn configured(self, loaded: &crate::config::Loaded) -> Vec<String> {
        fn names<T: ToString>(keys: impl Iterator<Item = T>) -> Vec<String> {
            keys.map(|key| key.to_string()).collect()
        }
        let center = &loaded.center;
        match self {
            Kind::Queue => names(center.queues.keys()),
            Kind::Agent => names(center.agents.keys()),
            Kind::Line => names(center.lines.keys()),
            Kind::Flow => names(loaded.flows.keys()),
            Kind::Trunk => names(center.trunks.keys()),
        }
    }

    /// Of calls that have ended and of those that run.
    fn recorded(self, conn: &Connection) -> Result<BTreeSet<String>> {
        let mut query = conn.prepare(match self {
            Kind::Queue => "SELECT DISTINCT queue FROM queue_interval",
            Kind::Agent => {
                "SELECT CAST(agent AS TEXT) FROM (SELECT agent FROM agent_interval UNION SELECT agent FROM offer
                 UNION SELECT by_agent FROM call) WHERE agent IS NOT NULL"
            }
            // In reports `-` is that of short codes, which have none.
            Kind::Line => "SELECT '-' UNION SELECT line FROM call WHERE line IS NOT NULL",
            Kind::Flow => "SELECT DISTINCT flow FROM flow_path",
            Kind::Trunk => "SELECT DISTINCT trunk FROM segment WHERE trunk IS NOT NULL",
        })?;
        let mut names: BTreeSet<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        names.extend(records::running(conn)?.iter().flat_map(|open| self.of_call(open)));
        if self == Kind::Agent {
            names.extend(records::present(conn)?.0.iter().map(|open| open.agent.to_string()));
        }
        Ok(names)
    }

    fn of_call(self, OpenCall { record, parts, paths, .. }: &OpenCall) -> Vec<String> {
        match self {
            Kind::Queue => record.segments.iter().map(|wait| wait.queue.to_string()).collect(),
            Kind::Agent => {
                record.by_agent.iter().chain(record.offers.iter().map(|o| &o.agent)).map(ToString::to_string).collect()
            }
            Kind::Line => record.line.iter().map(ToString::to_string).collect(),
            Kind::Flow => paths.flows().map(ToString::to_string).collect(),
            Kind::Trunk => parts.trunks().map(TrunkId::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::{Keep, Store};
    use crate::server::wrong::loaded;
    use crate::time::Wall;
    use std::path::Path;

    /// A day without calls: only a configuration of this log can say that there is no such queue.
    #[test]
    fn a_name_is_refused_only_where_somebody_would_know_it() {
        let dir = std::env::temp_dir().join(format!("tierline-known-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&dir);
        let store = Store::open_with(&dir, 0, Keep::default(), Wall(0)).unwrap().store;
        records::bring_up(&dir).unwrap();
        let conn = records::reading(&dir).unwrap();
        let demo = &Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/tierline.toml");
        let own = dir.join("own.toml");
        let said = |config: Option<&Path>, of: &Path, name: &str| {
            check(&conn, &Basis::new(of, config), Kind::Queue, name).map_err(|why| {
                assert!(super::super::wrong::is_wrong(&why), "{why:#}");
                why.to_string()
            })
        };
        let refused = |said: Result<(), String>, why: &str| {
            let said = said.unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        // What lies in the working directory is of another log.
        assert_eq!(said(None, &dir, "sales"), Ok(()));
        // … or of this one, or was named.
        let its = loaded(None).unwrap().server.data;
        refused(said(None, &its, "sales"), "there is no queue `sales`");
        assert_eq!(said(None, &its, "general"), Ok(()));
        refused(said(Some(demo), &dir, "sales"), "there is no queue `sales`");
        assert_eq!(said(Some(demo), &dir, "general"), Ok(()));
        // Nobody is told of a queue where the file that should say so is not there, or wrong.
        refused(said(Some(&own), &dir, "sales"), "own.toml");
        std::fs::write(&own, "center = 1\n").unwrap();
        refused(said(Some(&own), &dir, "sales"), "own.toml:1");
        store.close().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
