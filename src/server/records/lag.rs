//! How far the records are behind the log, and how far back they reach: what a report that is made now lacks.
//!
//! The server's follower keeps count for `/metrics` ([`Behind`]), so that a scrape waits for no disk, and is told also where
//! the records cannot be written or read any more. Who looks from outside reads the two files ([`Extent`]).

use super::gap::{self, Gap};
use super::{FROM, position, running};
use crate::server::clock::EventTime;
use crate::server::store::Reader;
use crate::stats::Sample;
use crate::stats::families as f;
use crate::time::Wall;
use crate::written::counted;
use anyhow::Result;
use rusqlite::{Connection, OptionalExtension};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// What the log has and the records have not, as the follower knows.
#[derive(Debug)]
pub struct Behind {
    time: EventTime,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last event in the log.
    last: u64,
    /// The first event that the records lack, and when it was.
    missing: Option<(u64, Wall)>,
}

impl Behind {
    pub(super) fn new(time: EventTime) -> Behind {
        Behind { time, known: Mutex::default() }
    }

    /// The log has events up to `last`; those that are new have just come.
    pub(super) fn written(&self, last: u64) {
        let mut known = self.known();
        let before = known.last;
        known.last = before.max(last);
        known.missing = known.missing.or((last > before).then(|| (before + 1, self.time.now())));
    }

    /// The records have events up to `seq`.
    pub(super) fn folded(&self, seq: u64, log: &Reader) -> Result<()> {
        let (missing, last) = log.as_one(|| Ok((log.next(seq)?, log.last()?)))?;
        let mut known = self.known();
        known.last = known.last.max(last);
        // What was written since is later than what was read.
        known.missing = missing.or((known.last > seq).then(|| (seq + 1, self.time.now())));
        Ok(())
    }

    pub fn samples(&self) -> [Sample; 2] {
        let known = self.known();
        let events = known.missing.map_or(0, |(first, _)| (known.last + 1).saturating_sub(first));
        let waits = known.missing.map_or(0, |(_, at)| (self.time.now().0 - at.0).max(0));
        [f::RECORDS_LAG_EVENTS.count([], events), f::RECORDS_LAG.sample([], waits as f64 / 1000.0)]
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many gaps are told one by one: each row of a report in JSON has what is told.
const EACH: usize = 3;

/// From where and up to where the records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The last event that they have, and when it was; 0 if they have none.
    pub seq: u64,
    pub until: Wall,
    /// Rows of what ended before this are missing; none if nothing is.
    pub from: Option<Wall>,
    /// Events that could never be written to the log, from the oldest on.
    pub gaps: Vec<Gap>,
    /// How many events of the log they lack.
    pub lacks: u64,
    /// Calls that run, and when the first of them came: they have no rows yet.
    pub running: usize,
    pub since: Option<Wall>,
}

impl Extent {
    /// # Errors
    /// The records or the log cannot be read.
    pub fn of(records: &Connection, log: &Reader) -> Result<Extent> {
        let (seq, until) = (position(records, "event")? as u64, Wall(position(records, "last")?));
        let running = running(records)?;
        let first = log.next(seq)?.map(|(first, _)| first);
        let lacks = first.map(|first| Ok::<u64, anyhow::Error>(log.last()? + 1 - first)).transpose()?.unwrap_or(0);
        let since = running.iter().map(|call| call.record.arrived).min();
        let from = records.query_row("SELECT value FROM meta WHERE key = ?1", [FROM], |row| row.get::<_, i64>(0));
        let from = from.optional()?.filter(|from| *from != 0).map(Wall);
        Ok(Extent { seq, until, from, gaps: gap::all(records)?, lacks, running: running.len(), since })
    }

    /// What is missing of a time, a sentence each.
    pub fn lacking(&self, (from, to): (Wall, Wall), at: &dyn Fn(Wall) -> String) -> Vec<String> {
        let begins = self.from.filter(|begins| from < *begins).map(|begins| {
            format!("incomplete before {}: what ended before that was removed, or is in a log that is gone", at(begins))
        });
        let touch = |gap: &&Gap| from <= gap.ended && gap.began < to;
        let gaps: Vec<&Gap> = self.gaps.iter().filter(touch).collect();
        let each = gaps.iter().map(|gap| missing(gap, "", at));
        let gaps: Vec<String> = match gaps[..] {
            [first, .., last] if gaps.len() > EACH => {
                let count = gaps.iter().map(|gap| gap.count).sum();
                let all = Gap { count, began: first.began, ended: last.ended };
                vec![missing(&all, &format!(", {} times", gaps.len()), at)]
            }
            _ => each.collect(),
        };
        begins.into_iter().chain(gaps).collect()
    }

    /// In a sentence; `at` writes times.
    pub fn told(&self, at: &dyn Fn(Wall) -> String) -> String {
        let mut told = match (self.seq, self.lacks) {
            (0, 0) => return "the log is empty".to_owned(),
            (0, _) => "complete up to nothing".to_owned(),
            (_, 0) => format!("complete up to {}, the end of the log", at(self.until)),
            _ => format!("complete up to {}", at(self.until)),
        };
        // A string takes all that is written to it.
        if self.lacks > 0 {
            _ = write!(told, "; {} of the log not counted yet", counted_of(self.lacks, "later event"));
        }
        if let Some(since) = self.since {
            let calls = counted(self.running, "call");
            _ = write!(told, "; {calls} not over and not counted yet, from {} on", at(since));
        }
        told
    }
}

fn missing(gap: &Gap, times: &str, at: &dyn Fn(Wall) -> String) -> String {
    let (events, began, ended) = (counted_of(gap.count, "event"), at(gap.began), at(gap.ended));
    format!("incomplete between {began} and {ended}{times}: {events} could not be written to the log")
}

fn counted_of(n: u64, what: &str) -> String {
    counted(usize::try_from(n).unwrap_or(usize::MAX), what)
}
