//! `tierline report`: numbers over intervals of time, by queue, agent, line or flow, from the records.
//!
//! A wait, a call, a flow and a phone that rings count in the interval in which they began; of agents' states, talk and hold
//! each interval has its share.
//! What has not ended is not in the records yet, but for the agents' present states, which are cut at the last event.
//! Everything is counted anew from the rows, in one pass over an index that has all that is needed; all that one report
//! says is of one moment, and it says up to when that is complete.
//!
//! Left out: numbers over several nodes.

mod agents;
mod others;
mod queues;
pub mod sheet;
mod targets;

use super::known::{self, Kind};
use super::records;
use super::records::progress::Progress;
use super::wrong::{OrWrong, Wrong};
use crate::center::hours::Zone;
use crate::config;
pub use crate::records::service_level::Formula;
pub use crate::records::spans::Step;
use crate::records::spans::{MOST, Spans};
use crate::time::Wall;
use anyhow::{Context, Result};
use rusqlite::{Connection, Row};
pub use sheet::Format;
use sheet::{Column, Sheet, Value};
use std::collections::BTreeMap;
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
    /// An IANA time zone.
    pub zone: String,
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

/// Makes a report.
///
/// # Errors
/// There is no log in `data`, a time or a zone is none, there would be too many intervals, or the name is nobody's.
pub fn report(data: &Path, asked: &Asked) -> Result<String> {
    if let Some(name) = &asked.only {
        records::bring_up(data)?;
        known::check(&records::reading(data)?, data, asked.config.as_deref(), asked.by.kind(), name)?;
    }
    made(data, asked, &|| Targets::read(asked))
}

/// The queues' targets are asked for by what needs them.
fn made(data: &Path, asked: &Asked, targets: &dyn Fn() -> Result<Targets>) -> Result<String> {
    records::bring_up(data)?;
    let conn = records::reading(data)?;
    let _of_one_moment = conn.unchecked_transaction()?;
    let extent = records::extent(data, &conn)?;
    let zone = zone(&asked.zone)?;
    let (from, to) = range(&zone, asked, super::clock::wall())?;
    let spans = Spans::new(&zone, (from, to), asked.step)
        .with_context(|| format!("there would be more than {MOST} intervals; name a shorter time or longer intervals"));
    let spans = spans.or_wrong()?;
    if spans.is_empty() {
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
    sheet.notes.insert(0, notes(asked, &zone, (from, to)));
    sheet.notes.extend(extent.lacking((from, to), &|wall| exactly(&zone, wall)));
    sheet.notes.push(extent.told(&|wall| exactly(&zone, wall)));
    Ok(sheet.written(asked.format, &|wall| shown(&zone, wall)))
}

fn notes(asked: &Asked, zone: &Zone, (from, to): (Wall, Wall)) -> String {
    format!("{} to {} in {}", shown(zone, from), shown(zone, to), asked.zone)
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
        let (from, to) = (self.spans.span(0).0, self.spans.span(self.spans.len() - 1).1);
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
}

/// Sums for each interval and name.
struct Cells<S> {
    by: Vec<BTreeMap<String, S>>,
    near: usize,
    count: usize,
    most: usize,
    /// In the place of those that would be too many.
    beyond: S,
}

/// Rows of one report: each takes most of a kilobyte until all is written, perhaps beside the calls.
pub const MOST_ROWS: usize = 3_000_000;

impl<S: Default> Cells<S> {
    fn new(spans: &Spans) -> Cells<S> {
        let by = (0..spans.len()).map(|_| BTreeMap::new()).collect();
        Cells { by, near: 0, count: 0, most: MOST_ROWS, beyond: S::default() }
    }

    /// The sums of `name` at this time.
    fn at(&mut self, spans: &Spans, at: Wall, name: &str) -> Option<&mut S> {
        self.near = spans.find(at, self.near)?;
        Some(self.of(self.near, name))
    }

    fn of(&mut self, span: usize, name: &str) -> &mut S {
        let by = &mut self.by[span];
        if !by.contains_key(name) {
            self.count += 1;
            if self.count > self.most {
                return &mut self.beyond;
            }
            by.insert(name.to_owned(), S::default());
        }
        by.get_mut(name).expect("it has just been put there")
    }

    /// # Errors
    /// There are too many of them.
    fn bounded(&self) -> Result<()> {
        if self.count > self.most {
            let rows = format!("there would be more than {} rows", self.most);
            return Err(Wrong(format!("{rows}; name a shorter time, longer intervals, or one with `--only`")).into());
        }
        Ok(())
    }

    /// # Errors
    /// There are too many of them.
    fn into_sheet(self, spans: &Spans, head: Vec<Column>, values: impl Fn(S) -> Vec<Value>) -> Result<Sheet> {
        self.bounded()?;
        let mut rows = Vec::with_capacity(self.count);
        let mut progress = Progress::new("report: intervals");
        for (n, by) in self.by.into_iter().enumerate() {
            progress.shows(n as u64, spans.len() as u64);
            for (name, sums) in by {
                let (begin, end) = spans.span(n);
                let place = [Value::At(begin), Value::At(end), Value::Text(name)];
                rows.push(place.into_iter().chain(values(sums)).collect());
            }
        }
        progress.end();
        Ok(Sheet { head, rows, notes: Vec::new() })
    }
}

/// The columns that every report begins with.
fn head(by: &'static str, rest: &[Column]) -> Vec<Column> {
    ["from", "to", by].map(|name| Column::new(name, "")).into_iter().chain(rest.iter().copied()).collect()
}

fn mean(ms: u64, count: u64) -> Value {
    Value::Ms(ms.checked_div(count))
}

fn range(zone: &Zone, asked: &Asked, now: Wall) -> Result<(Wall, Wall)> {
    let today = zone.local(now).date.to_string();
    let from = time(zone, asked.from.as_deref().unwrap_or(&today))?;
    let to = asked.to.as_deref().map_or(Ok(now), |to| time(zone, to))?;
    Ok((from, to))
}

/// The time zone of this name.
pub(super) fn zone(name: &str) -> Result<Zone> {
    config::time_zone(name)
        .with_context(|| {
            format!("there is no time zone `{name}`; allowed: a name of the IANA database such as Europe/Berlin or UTC")
        })
        .or_wrong()
}

/// `2026-03-29`, `2026-03-29T08:30`, or with a blank in place of the T; with a Z at its end it is UTC.
pub(super) fn time(zone: &Zone, text: &str) -> Result<Wall> {
    let wrong = || format!("`{text}` is no time; allowed: a day such as 2026-03-29, or 2026-03-29T08:30");
    let (utc, local) = (text.ends_with('Z'), text.trim_end_matches('Z'));
    let (day, clock) = local.split_once(['T', ' ']).unwrap_or((local, "00:00"));
    let number = |part: Option<&str>, digits: usize| {
        part.filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
    };
    let (mut day, mut clock) = (day.split('-'), clock.split(':'));
    let mut read = || {
        let (year, month, date) = (number(day.next(), 4)?, number(day.next(), 2)?, number(day.next(), 2)?);
        let (hour, minute) = (number(clock.next(), 2)?, number(clock.next(), 2)?);
        let second = clock.next().map_or(Some(0), |second| number(Some(second), 2))?;
        let exists =
            crate::center::hours::Day { year: Some(year as i32), month: month as u8, day: date as u8 }.exists();
        let whole = day.next().is_none() && clock.next().is_none() && hour < 24 && minute < 60 && second < 60;
        let days = crate::time::days_from_civil(year, month, date);
        (exists && whole).then_some(days * 86_400 + hour * 3_600 + minute * 60 + second)
    };
    match read() {
        Some(local) if utc => Ok(Wall(local * 1000)),
        Some(local) => Ok(Wall(zone.utc(local) * 1000)),
        None => Err(Wrong(wrong()).into()),
    }
}

/// As clocks there show it, with the offset from UTC: `2026-03-29T03:00+02:00`.
fn shown(zone: &Zone, wall: Wall) -> String {
    with(zone, wall, "")
}

/// The same with seconds.
fn exactly(zone: &Zone, wall: Wall) -> String {
    with(zone, wall, &format!(":{:02}", wall.0.div_euclid(1000).rem_euclid(60)))
}

fn with(zone: &Zone, wall: Wall, seconds: &str) -> String {
    let (local, offset) = (zone.local(wall), zone.offset(wall.0.div_euclid(1000)) / 60);
    let sign = if offset < 0 { '-' } else { '+' };
    let (hour, minute, offset) = (local.minute / 60, local.minute % 60, offset.abs());
    format!("{}T{hour:02}:{minute:02}{seconds}{sign}{:02}:{:02}", local.date, offset / 60, offset % 60)
}

#[cfg(test)]
mod tests;
