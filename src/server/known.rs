//! Names that reports and lists are asked for: one that neither the configuration nor the records know is a mistake,
//! and not "no calls". What was in the configuration once is known from the records.

use super::records;
use super::wrong::{Wrong, loaded};
use crate::ids::TrunkId;
use crate::records::OpenCall;
use crate::written::did_you_mean;
use anyhow::Result;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

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

/// # Errors
/// There is no such name ([`Wrong`]; it says which there are), or the records cannot be read.
pub fn check(conn: &Connection, config: Option<&Path>, kind: Kind, name: &str) -> Result<()> {
    let mut known = BTreeSet::new();
    let file = match loaded(config) {
        Ok(loaded) => {
            known.extend(kind.configured(&loaded));
            Some(loaded.file)
        }
        Err(_) => None, // the records know all that was called
    };
    if known.contains(name) {
        return Ok(());
    }
    known.extend(kind.recorded(conn)?);
    if known.contains(name) {
        return Ok(());
    }
    let place = file.map_or("in the records".to_owned(), |file| format!("in {file} or in the records"));
    let near = did_you_mean(name, known.iter().map(String::as_str));
    let (first, more) = (known.iter().take(TOLD), if known.len() > TOLD { ", …" } else { "" });
    let there_are = match known.is_empty() {
        true => "there is none at all".to_owned(),
        false => format!("allowed: {}{more}", first.cloned().collect::<Vec<_>>().join(", ")),
    };
    Err(Wrong(format!("there is no {} `{name}` {place}; {there_are}{near}", kind.word())).into())
}

impl Kind {
    fn word(self) -> &'static str {
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
