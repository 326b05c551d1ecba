//! Which calls are listed: found in the records, so that a rare one among a million is there at once. Those that run
//! are found in what is open there.

pub use crate::event::Cause;
use crate::ids::CallId;
use crate::records::{CallRecord, OpenCall};
use crate::server::basis::Basis;
use crate::server::journal::{Entry, Value as Told};
use crate::server::known::{self, Kind};
use crate::server::local::Local;
use crate::server::records;
use crate::server::wrong::Wrong;
use crate::time::Wall;
use anyhow::Result;
use rusqlite::types::Value;
use std::path::Path;
use std::time::Duration;

/// What a call must be to be listed; what is none may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Arrived at or after this, as clocks show it …
    pub from: Option<String>,
    /// … and before this.
    pub to: Option<String>,
    pub line: Option<String>,
    /// It has waited there.
    pub queue: Option<String>,
    /// Was rung for it, talked, or made it.
    pub agent: Option<u32>,
    /// Why it ended.
    pub cause: Option<Cause>,
    /// In queues, all waits together.
    pub least_wait: Option<Duration>,
    /// Brought it, or carried a leg of it out.
    pub trunk: Option<String>,
}

/// A cause by its word in the log, or by what is shown of it.
///
/// # Errors
/// There is no such cause; the text says which there are.
pub fn cause(text: &str) -> Result<Cause, String> {
    let word = |of: &str| of.to_ascii_lowercase().replace([' ', '-', '_'], "");
    let found =
        Cause::ALL.into_iter().find(|cause| [word(&format!("{cause:?}")), word(cause.text())].contains(&word(text)));
    found.ok_or_else(|| format!("allowed: {}", Cause::ALL.map(|cause| format!("{cause:?}")).join(", ")))
}

impl Filter {
    pub fn is_none(&self) -> bool {
        *self == Filter::default()
    }

    /// # Errors
    /// A name is known neither to the configuration nor to the records, or these cannot be read.
    pub fn names_known(&self, data: &Path, basis: &Basis<'_>) -> Result<()> {
        records::bring_up(data)?;
        let conn = records::reading(data)?;
        let agent = self.agent.map(|agent| agent.to_string());
        let names =
            [(Kind::Line, &self.line), (Kind::Queue, &self.queue), (Kind::Agent, &agent), (Kind::Trunk, &self.trunk)];
        let asked = names.into_iter().filter_map(|(kind, name)| Some((kind, name.as_deref()?)));
        asked.into_iter().try_for_each(|(kind, name)| known::check(&conn, basis, kind, name))
    }

    /// The calls that are so, newest first, `most` at most; times are those of the clocks that `local` is of.
    ///
    /// # Errors
    /// There is no log, a time or a zone is none, the time is empty, or the records cannot be read.
    pub fn find(&self, data: &Path, local: &Local, most: usize) -> Result<Vec<CallId>> {
        records::bring_up(data)?;
        let conn = records::reading(data)?;
        let _of_one_moment = conn.unchecked_transaction()?;
        let (now, extent) = (records::now(&conn)?, records::extent(data, &conn)?);
        if extent.lacks > 0 {
            let told = extent.told(&|wall| local.exactly(wall));
            Entry::warn("calls", "the list is as complete as the records").with("records", Told::written(&told)).tell();
        }
        let time = |text: &Option<String>| text.as_deref().map(|text| local.time(text)).transpose();
        let asked = time(&self.from)?;
        let to = time(&self.to)?;
        if let (Some(from), Some(to)) = (asked, to)
            && from >= to
        {
            let (from, to) = (local.shown(from), local.shown(to));
            let empty = format!("the time from {from} to {to} is empty; `--to` is not included and must be later");
            return Err(Wrong(empty).into());
        }
        let times = (asked.unwrap_or(Wall(i64::MIN)), to.unwrap_or(Wall(i64::MAX)));
        let lacking = asked.map(|_| extent.lacking(times, &|wall| local.exactly(wall)));
        for told in lacking.iter().flatten() {
            Entry::warn("calls", "the list is as complete as the records").with("records", Told::written(told)).tell();
        }
        let (sql, values) = self.query(times, most);
        let mut query = conn.prepare(&sql)?;
        let ended = query.query_map(rusqlite::params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut found: Vec<(i64, i64)> = ended.collect::<Result<_, _>>()?;
        let running = records::running(&conn)?.into_iter().filter(|open| self.fits(open, times, now));
        found.extend(running.map(|open| (open.record.arrived.0, open.record.call.0 as i64)));
        found.sort_unstable();
        Ok(found.into_iter().rev().take(most).map(|(_, call)| CallId(call as u64)).collect())
    }

    /// The statement that finds those that have ended, and its values.
    fn query(&self, (from, to): (Wall, Wall), most: usize) -> (String, Vec<Value>) {
        let text = |of: &String| Value::Text(of.clone());
        let asked = [
            ("line = ?", self.line.as_ref().map(text)),
            ("cause = ?", self.cause.map(|cause| Value::Text(format!("{cause:?}")))),
            ("waited_ms >= ?", self.least_wait.map(|wait| Value::Integer(wait.as_millis() as i64))),
            (
                "EXISTS (SELECT 1 FROM queue_interval q WHERE q.call = call.call AND q.queue = ?)",
                self.queue.as_ref().map(text),
            ),
            (
                "? IN (SELECT by_agent UNION ALL SELECT agent FROM offer o WHERE o.call = call.call
                 UNION ALL SELECT agent FROM queue_interval q WHERE q.call = call.call)",
                self.agent.map(|agent| Value::Integer(agent.into())),
            ),
            (
                "EXISTS (SELECT 1 FROM segment s WHERE s.call = call.call AND s.trunk = ?)",
                self.trunk.as_ref().map(text),
            ),
        ];
        let mut sql = "SELECT arrived, call FROM call WHERE arrived >= ? AND arrived < ?".to_owned();
        let mut values = vec![Value::Integer(from.0), Value::Integer(to.0)];
        for (condition, value) in asked {
            if let Some(value) = value {
                sql += &format!(" AND {condition}");
                values.push(value);
            }
        }
        values.push(Value::Integer(most as i64));
        (sql + " ORDER BY arrived DESC LIMIT ?", values)
    }

    /// The same of a call that runs.
    fn fits(&self, open: &OpenCall, (from, to): (Wall, Wall), now: Wall) -> bool {
        let OpenCall { record, parts, .. } = open;
        let agents = record.by_agent.into_iter().chain(record.offers.iter().map(|offer| offer.agent));
        let mut agents = agents.chain(record.segments.iter().filter_map(|wait| wait.agent));
        (from..to).contains(&record.arrived)
            && self.cause.is_none()
            && self.line.as_deref().is_none_or(|line| record.line.as_ref().is_some_and(|of| of.as_str() == line))
            && self.queue.as_deref().is_none_or(|queue| record.segments.iter().any(|wait| wait.queue.as_str() == queue))
            && self.agent.is_none_or(|agent| agents.any(|of| of.0 == agent))
            && self.least_wait.is_none_or(|least| waited(record, now) >= least)
            && self.trunk.as_deref().is_none_or(|trunk| parts.trunks().any(|of| of.as_str() == trunk))
    }
}

/// With the wait that goes on.
fn waited(record: &CallRecord, now: Wall) -> Duration {
    let since = record.segments.iter().find(|wait| wait.left.is_none()).map(|wait| wait.queued_at);
    let goes_on = since.map_or(0, |since| now.0.saturating_sub(since.0).max(0));
    record.waited() + Duration::from_millis(goes_on.unsigned_abs())
}
