//! `tierline report`: numbers over intervals of time, by queue, agent, line or flow, from the records.
//!
//! A wait, a call, a flow and a phone that rings count in the interval in which they began; of agents' states, talk and hold
//! each interval has its share.
//! What has not ended is not in the records yet, but for the agents' present states, which are cut at the last event.
//! Everything is counted anew from the rows, in one pass over an index that has all that is needed; all that one report
//! says is of one moment, and it says up to when that is complete.
//!
//! **Memory.** One interval's sums are at hand, or one agent's; what is done lies in [`rows`], a few bytes a number, until
//! all is read, and is then written row by row: whoever reads slowly keeps no transaction of the records open.
//!
//! Left out: numbers over several nodes.

mod agents;
mod others;
mod queues;
pub mod rows;
pub mod sheet;
mod targets;

use super::basis::Basis;
use super::known::{self, Kind};
use super::local::Local;
use super::progress::Progress;
use super::records;
use super::wrong::{OrWrong, Wrong};
pub use crate::records::service_level::Formula;
pub use crate::records::spans::Step;
use crate::records::spans::{MOST, Spans};
use crate::time::Wall;
use anyhow::{Context, Result};
use rows::Rows;
use rusqlite::{Connection, Row};
pub use sheet::Format;
use sheet::{Column, Sheet, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use targets::Targets;

/// What a report is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Queue,
    Agent,
    Line,
    Flow,
}

impl By {
    fn kind(self) -> Kind {
        match self {
            By::Queue => Kind::Queue,
            By::Agent => Kind::Agent,
            By::Line => Kind::Line,
            By::Flow => Kind::Flow,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub by: By,
    /// None: the whole time as one.
    pub step: Option<Step>,
    /// As clocks in `zone` show it: a day or a day and a time. None: today's beginning.
    pub from: Option<String>,
    /// Not included. None: now.
    pub to: Option<String>,
    /// An IANA time zone. None: the center's.
    pub zone: Option<String>,
    /// Only the queue, agent, line or flow of this name.
    pub only: Option<String>,
    pub formula: Formula,
    /// T of the service level. None: each queue's own.
    pub target: Option<Duration>,
    /// Who hangs up sooner is a short abandon. None: each queue's own.
    pub short: Option<Duration>,
    /// Where the queues are configured. None: where `tierline serve` looks.
    pub config: Option<PathBuf>,
    pub format: Format,
}

/// The columns of a report and what they mean, in Markdown: tables of docs/supervisors.md.
pub fn reference(by: By) -> String {
    let columns = match by {
        By::Queue => &queues::COLUMNS[..],
        By::Agent => &agents::COLUMNS[..],
        By::Line => &others::LINE[..],
        By::Flow => &others::FLOW[..],
    };
    let rows = columns.iter().map(|column| format!("| {} | {} |\n", column.name, column.what));
    format!("| column | meaning |\n|---|---|\n{}", rows.collect::<String>())
}

/// The length of an interval by its name.
///
/// # Errors
/// There is no such length.
pub fn step(name: &str) -> Result<Step, String> {
    Step::ALL.into_iter().find(|step| step.name() == name).ok_or_else(|| "allowed: 15m, 30m, 1h, day, week".to_owned())
}

/// A formula by its name or its text.
///
/// # Errors
/// There is no such formula.
pub fn formula(name: &str) -> Result<Formula, String> {
    let names = || Formula::ALL.map(Formula::name).join(", ");
    Formula::named(name).ok_or_else(|| format!("allowed: {}", names()))
}

/// A report, not yet written.
pub struct Report {
    sheet: Sheet,
    local: Local,
    format: Format,
}

impl fmt::Display for Report {
    /// As it was asked for. Nothing is held while whoever reads it takes his time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sheet.write(f, self.format, &|wall| self.local.shown(wall))
    }
}

/// Makes a report.
///
/// # Errors
/// There is no log in `data`, a time or a zone is none, there would be too many intervals or rows, or the name is nobody's.
pub fn report(data: &Path, asked: &Asked) -> Result<Report> {
    let basis = Basis::new(data, asked.config.as_deref());
    if let Some(name) = &asked.only {
        records::bring_up(data)?;
        known::check(&records::reading(data)?, &basis, asked.by.kind(), name)?;
    }
    made(data, asked, &basis, &|| Targets::read(asked, &basis))
}

/// The queues' targets are asked for by what needs them.
fn made(data: &Path, asked: &Asked, basis: &Basis<'_>, targets: &dyn Fn() -> Result<Targets>) -> Result<Report> {
    records::bring_up(data)?;
    let local = basis.local(asked.zone.as_deref())?;
    let conn = records::reading(data)?;
    let _of_one_moment = conn.unchecked_transaction()?;
    let extent = records::extent(data, &conn)?;
    let (from, to) = range(&local, asked, super::clock::wall())?;
    let spans = Spans::new(&local.zone, (from, to), asked.step)
        .with_context(|| format!("there would be more than {MOST} intervals; name a shorter time or longer intervals"));
    let spans = spans.or_wrong()?;
    if spans.is_empty() {
        let (from, to) = (local.shown(from), local.shown(to));
        let empty = format!("the time from {from} to {to} is empty; `--to` is not included and must be later");
        return Err(Wrong(empty).into());
    }
    let ground = Ground { conn: &conn, spans: &spans, asked };
    let mut sheet = match asked.by {
        By::Queue => queues::read(&ground, &targets()?)?,
        By::Agent => agents::read(&ground)?,
        By::Line => others::lines(&ground)?,
        By::Flow => others::flows(&ground)?,
    };
    sheet.notes.insert(0, format!("{} to {} in {}", local.shown(from), local.shown(to), local.name));
    sheet.notes.extend(extent.lacking((from, to), &|wall| local.exactly(wall)));
    sheet.notes.push(extent.told(&|wall| local.exactly(wall)));
    Ok(Report { sheet, local, format: asked.format })
}

/// How far it is is looked at after so many rows.
const LOOK: u64 = if cfg!(test) { 1 } else { 65_536 };

/// What a report is read from, and for which time.
struct Ground<'a> {
    conn: &'a Connection,
    spans: &'a Spans,
    asked: &'a Asked,
}

impl Ground<'_> {
    /// All rows that began within the time; `sql` begins with that time and takes its bounds.
    fn each(&self, sql: &str, mut take: impl FnMut(Wall, &Row<'_>) -> Result<()>) -> Result<()> {
        let (from, to) = self.spans.whole();
        let mut query = self.conn.prepare(sql)?;
        let mut rows = query.query([from.0, to.0])?;
        let (mut progress, mut count) = (Progress::new("report: seconds of the time"), 0_u64);
        while let Some(row) = rows.next()? {
            let at = Wall(row.get(0)?);
            take(at, row)?;
            count += 1;
            if count.is_multiple_of(LOOK) {
                let seconds = |to: Wall| (to.0 - from.0).unsigned_abs() / 1000;
                progress.shows(seconds(at.max(from)), seconds(to));
            }
        }
        progress.end();
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        self.asked.only.as_deref().is_none_or(|only| only == name)
    }

    fn sheet(&self, by: &'static str, columns: &'static [Column], rows: Rows) -> Sheet {
        Sheet { by, columns, spans: self.spans.clone(), rows, total: None, notes: Vec::new() }
    }
}

/// Sums of each name in one interval after the other: rows are read in order of time.
struct Cells<'a, S, V> {
    spans: &'a Spans,
    /// The interval that is read …
    now: usize,
    /// … and the sums in it.
    by: BTreeMap<String, S>,
    rows: Rows,
    values: V,
}

impl<'a, S: Default, V: FnMut(&S) -> Vec<Value>> Cells<'a, S, V> {
    /// `values` makes a row's numbers of the sums; it is asked for each row, once.
    fn new(spans: &'a Spans, columns: &'static [Column], values: V) -> Self {
        Cells { spans, now: 0, by: BTreeMap::new(), rows: Rows::new(columns), values }
    }

    /// The sums of `name` at this time; none outside of all intervals.
    ///
    /// # Errors
    /// There are too many rows.
    fn at(&mut self, at: Wall, name: &str) -> Result<Option<&mut S>> {
        let Some(now) = self.spans.find(at, self.now) else { return Ok(None) };
        if now != self.now {
            self.close()?;
            self.now = now;
        }
        if !self.by.contains_key(name) {
            self.by.insert(name.to_owned(), S::default());
        }
        Ok(self.by.get_mut(name))
    }

    fn close(&mut self) -> Result<()> {
        for (name, sums) in std::mem::take(&mut self.by) {
            self.rows.add(self.now, &name, &(self.values)(&sums))?;
        }
        Ok(())
    }

    /// # Errors
    /// There are too many rows.
    fn into_rows(mut self) -> Result<Rows> {
        self.close()?;
        Ok(self.rows)
    }
}

fn mean(ms: u64, count: u64) -> Value {
    Value::Ms(ms.checked_div(count))
}

fn range(local: &Local, asked: &Asked, now: Wall) -> Result<(Wall, Wall)> {
    let from = local.time(asked.from.as_deref().unwrap_or(&local.day(now)))?;
    let to = asked.to.as_deref().map_or(Ok(now), |to| local.time(to))?;
    Ok((from, to))
}

#[cfg(test)]
mod tests;
