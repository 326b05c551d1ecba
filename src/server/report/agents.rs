//! By agent: how long in each state, and what became of the calls that were offered.

use super::Ground;
use super::rows::Rows;
use super::sheet::{Column, Sheet, Value};
use crate::event::AgentMode;
use crate::records::Interval;
use crate::records::spans::Spans;
use crate::server::progress::Progress;
use crate::server::records;
use crate::time::Wall;
use anyhow::Result;
use rusqlite::{Connection, Row, Statement};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Sums {
    /// Milliseconds in each state, in the order of `MODES`, while he could be reached …
    modes_ms: [u64; 6],
    /// … and at work by his state, when he could not.
    unreachable_ms: u64,
    answered: u64,
    refused: u64,
    missed: u64,
    cancelled: u64,
    talked_ms: u64,
    held_ms: u64,
}

const MODES: [AgentMode; 6] = [
    AgentMode::LoggedOut,
    AgentMode::NotReady,
    AgentMode::Ready,
    AgentMode::Reserved,
    AgentMode::Busy,
    AgentMode::WrapUp,
];

/// By agent.
pub const COLUMNS: [Column; 14] = [
    Column::time("signed in", "not ready, ready, rung, busy, wrap-up and unreachable together"),
    Column::time("not ready", "on a break, or resting after a refusal"),
    Column::time("ready", "could be given a call"),
    Column::time("rung", "his phone rang for a caller"),
    Column::time("busy", "in a call, or making one of his own"),
    Column::time("wrap-up", "writing a call up"),
    Column::time(
        "unreachable",
        "would have been ready, but no phone of his answered and no trunk could carry a call to his number",
    ),
    Column::share("occupancy", "rung, busy and wrap-up, of these and ready"),
    Column::new("answered", "offers that he took, in the interval in which it began to ring; of calls that are over"),
    Column::new("refused", "offers that he declined; of the same calls"),
    Column::new("missed", "offers that were not answered, or did not reach him; of the same calls"),
    Column::new("cancelled", "offers that the caller, another agent or we ended; of the same calls"),
    Column::time("talk", "with callers, without what was held; of calls that are over"),
    Column::time("hold", "one had put the other on hold; of the same calls"),
];

/// One agent after the other: their rows overlap the intervals, and what is read of one needs little memory.
pub fn read(ground: &Ground<'_>) -> Result<Sheet> {
    let ((open, last), mut rows) = (records::present(ground.conn)?, Rows::new(&COLUMNS));
    let open: BTreeMap<i64, Interval> = open.into_iter().map(|open| (open.agent.0.into(), open)).collect();
    let mut agents: BTreeSet<i64> = open.keys().copied().collect();
    for of in ["agent_interval WHERE TRUE", "offer WHERE TRUE", OF_TALKS] {
        all_in(ground.conn, of, &mut agents)?;
    }
    let mut statements = Statements::new(ground)?;
    let mut progress = Progress::new("report: agents");
    for (done, agent) in (0..).zip(&agents) {
        progress.shows(done, agents.len() as u64);
        let name = agent.to_string();
        if !ground.wants(&name) {
            continue;
        }
        let mut by = BTreeMap::<usize, Sums>::new();
        statements.states(*agent, open.get(agent).map(|open| (open, last)), &mut by)?;
        statements.offers(*agent, &mut by)?;
        statements.talks(*agent, &mut by)?;
        by.into_iter().try_for_each(|(n, sums)| rows.add(n, &name, &sums.values()))?;
    }
    progress.end();
    Ok(ground.sheet("agent", &COLUMNS, rows))
}

impl Sums {
    fn values(&self) -> Vec<Value> {
        let [_, not_ready, ready, rung, busy, wrap_up] = self.modes_ms;
        let (unreachable, work) = (self.unreachable_ms, rung + busy + wrap_up);
        let signed_in = not_ready + ready + work + unreachable;
        let occupancy = (work + ready > 0).then(|| work as f64 / (work + ready) as f64);
        let times = [signed_in, not_ready, ready, rung, busy, wrap_up, unreachable].map(|ms| Value::Ms(Some(ms)));
        let counts = [self.answered, self.refused, self.missed, self.cancelled].map(Value::Count);
        let talk = [self.talked_ms, self.held_ms].map(|ms| Value::Ms(Some(ms)));
        times.into_iter().chain([Value::Share(occupancy)]).chain(counts).chain(talk).collect()
    }
}

/// As the partial index has it.
const OF_TALKS: &str = "segment WHERE party = 'agent' AND kind IN ('talking', 'held')";

/// The agents in a table that has an index by them.
fn all_in(conn: &Connection, of: &str, agents: &mut BTreeSet<i64>) -> Result<()> {
    let mut next = conn.prepare(&format!("SELECT min(agent) FROM {of} AND agent > ?1"))?;
    let mut after = -1;
    while let Some(agent) = next.query_row([after], |row| row.get::<_, Option<i64>>(0))? {
        after = agent;
        agents.insert(agent);
    }
    Ok(())
}

/// What is asked for each agent.
struct Statements<'a> {
    spans: &'a Spans,
    states: During<'a>,
    talks: During<'a>,
    offers: Statement<'a>,
}

/// Rows of one agent that follow each other without overlap: the one that was under way when the time began, and those that
/// began within it.
struct During<'a> {
    first: Statement<'a>,
    within: Statement<'a>,
}

impl<'a> During<'a> {
    fn new(conn: &'a Connection, columns: &str, of: &str) -> Result<During<'a>> {
        let first = conn.prepare(&format!("SELECT max(began) FROM {of} AND agent = ?1 AND began < ?2"))?;
        let within = format!("SELECT began, ended, {columns} FROM {of} AND agent = ?1 AND began >= ?2 AND began < ?3");
        Ok(During { first, within: conn.prepare(&within)? })
    }

    fn each(
        &mut self,
        agent: i64,
        (from, to): (Wall, Wall),
        mut take: impl FnMut((Wall, Wall), &Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let first = self.first.query_row([agent, from.0], |row| row.get::<_, Option<i64>>(0))?;
        let mut rows = self.within.query([agent, first.unwrap_or(from.0), to.0])?;
        while let Some(row) = rows.next()? {
            take((Wall(row.get(0)?), Wall(row.get(1)?)), row)?;
        }
        Ok(())
    }
}

impl<'a> Statements<'a> {
    fn new(ground: &Ground<'a>) -> Result<Statements<'a>> {
        let offers = "SELECT began, result FROM offer WHERE agent = ?1 AND began >= ?2 AND began < ?3";
        Ok(Statements {
            spans: ground.spans,
            states: During::new(ground.conn, "mode, unreachable", "agent_interval WHERE TRUE")?,
            talks: During::new(ground.conn, "kind", OF_TALKS)?,
            offers: ground.conn.prepare(offers)?,
        })
    }

    /// `open`: the present state, and until when that is known.
    fn states(&mut self, agent: i64, open: Option<(&Interval, Wall)>, by: &mut BTreeMap<usize, Sums>) -> Result<()> {
        let spans = self.spans;
        let mut add = |(mode, unreachable): (&str, bool), time: (Wall, Wall)| {
            // Who is not there has no row: nights would be most of them.
            let there = mode_of(mode).filter(|mode| MODES[*mode] != AgentMode::LoggedOut);
            let Some(mode) = there else { return };
            spans.share(time, |n, ms| {
                let sums = by.entry(n).or_default();
                *if unreachable { &mut sums.unreachable_ms } else { &mut sums.modes_ms[mode] } += ms;
            });
        };
        self.states.each(agent, spans.whole(), |time, row| {
            add((row.get_ref(2)?.as_str()?, row.get(3)?), time);
            Ok(())
        })?;
        if let Some((open, last)) = open {
            add((&format!("{:?}", open.mode), open.unreachable()), (open.from, last));
        }
        Ok(())
    }

    fn offers(&mut self, agent: i64, by: &mut BTreeMap<usize, Sums>) -> Result<()> {
        let (from, to) = self.spans.whole();
        let (mut rows, mut near) = (self.offers.query([agent, from.0, to.0])?, 0);
        while let Some(row) = rows.next()? {
            let Some(n) = self.spans.find(Wall(row.get(0)?), near) else { continue };
            near = n;
            let sums = by.entry(n).or_default();
            match row.get_ref(1)?.as_str()? {
                "answered" => sums.answered += 1,
                "refused" => sums.refused += 1,
                "missed" => sums.missed += 1,
                _ => sums.cancelled += 1,
            }
        }
        Ok(())
    }

    fn talks(&mut self, agent: i64, by: &mut BTreeMap<usize, Sums>) -> Result<()> {
        let spans = self.spans;
        self.talks.each(agent, spans.whole(), |time, row| {
            let held = row.get_ref(2)?.as_str()? == "held";
            spans.share(time, |n, ms| {
                let sums = by.entry(n).or_default();
                *if held { &mut sums.held_ms } else { &mut sums.talked_ms } += ms;
            });
            Ok(())
        })
    }
}

fn mode_of(word: &str) -> Option<usize> {
    MODES.iter().position(|mode| match mode {
        AgentMode::LoggedOut => word == "LoggedOut",
        AgentMode::NotReady => word == "NotReady",
        AgentMode::Ready => word == "Ready",
        AgentMode::Reserved => word == "Reserved",
        AgentMode::Busy => word == "Busy",
        AgentMode::WrapUp => word == "WrapUp",
    })
}
