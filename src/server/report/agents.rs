//! By agent: how long in each state, and what became of the calls that were offered.

use super::sheet::{Column, Sheet, Value};
use super::{Cells, Ground, head};
use crate::event::AgentMode;
use crate::server::records;
use crate::server::records::progress::Progress;
use crate::time::Wall;
use anyhow::Result;
use rusqlite::OptionalExtension;

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
    Column::new("answered", "offers that he took, in the interval in which it began to ring"),
    Column::new("refused", "offers that he declined"),
    Column::new("missed", "offers that were not answered, or did not reach him"),
    Column::new("cancelled", "offers that the caller, another agent or we ended"),
    Column::time("talk", "with callers, without what was held; of calls that are over"),
    Column::time("hold", "one had put the other on hold; of the same calls"),
];

pub fn read(ground: &Ground<'_>) -> Result<Sheet> {
    let mut cells = Cells::<Sums>::new(ground.spans);
    states(ground, &mut cells)?;
    cells.bounded()?; // before all talks are read
    offers(ground, &mut cells)?;
    talks(ground, &mut cells)?;
    cells.into_sheet(ground.spans, head("agent", &COLUMNS), |sums| {
        let [_, not_ready, ready, rung, busy, wrap_up] = sums.modes_ms;
        let (unreachable, work) = (sums.unreachable_ms, rung + busy + wrap_up);
        let signed_in = not_ready + ready + work + unreachable;
        let occupancy = (work + ready > 0).then(|| work as f64 / (work + ready) as f64);
        let times = [signed_in, not_ready, ready, rung, busy, wrap_up, unreachable].map(|ms| Value::Ms(Some(ms)));
        let counts = [sums.answered, sums.refused, sums.missed, sums.cancelled].map(Value::Count);
        let talk = [sums.talked_ms, sums.held_ms].map(|ms| Value::Ms(Some(ms)));
        times.into_iter().chain([Value::Share(occupancy)]).chain(counts).chain(talk).collect()
    })
}

fn states(ground: &Ground<'_>, cells: &mut Cells<Sums>) -> Result<()> {
    let spans = ground.spans;
    let (from, to) = (spans.span(0).0, spans.span(spans.len() - 1).1);
    let mut add = |agent: i64, (mode, unreachable): (&str, bool), (began, ended): (Wall, Wall)| {
        let name = agent.to_string();
        // Who is not there has no row: nights would be most of them.
        let there = mode_of(mode).filter(|mode| MODES[*mode] != AgentMode::LoggedOut);
        let Some(mode) = there.filter(|_| ground.wants(&name)) else { return };
        spans.share((began, ended), |n, ms| {
            let sums = cells.of(n, &name);
            *if unreachable { &mut sums.unreachable_ms } else { &mut sums.modes_ms[mode] } += ms;
        });
    };
    let sql = "SELECT ended, began, agent, mode, unreachable FROM agent_interval
               WHERE ended > ?1 AND ended <= ?2 ORDER BY ended";
    ground.each(sql, |ended, row| {
        add(row.get(2)?, (row.get_ref(3)?.as_str()?, row.get(4)?), (Wall(row.get(1)?), ended));
        Ok(())
    })?;
    // Those that go on over the end: one of each agent at most.
    let mut next = ground.conn.prepare("SELECT min(agent) FROM agent_interval WHERE agent > ?1")?;
    let mut over = ground.conn.prepare(
        "SELECT mode, began, ended, unreachable FROM agent_interval
         WHERE agent = ?1 AND began < ?2 ORDER BY event DESC LIMIT 1",
    )?;
    let mut agent = -1_i64;
    while let Some(found) = next.query_row([agent], |row| row.get::<_, Option<i64>>(0))? {
        agent = found;
        let last = over.query_row([agent, to.0], |row| {
            Ok(((row.get::<_, String>(0)?, row.get(3)?), (Wall(row.get(1)?), Wall(row.get(2)?))))
        });
        if let Some(((mode, unreachable), time)) = last.optional()?.filter(|(_, (_, ended))| *ended > to) {
            add(agent, (&mode, unreachable), time);
        }
    }
    let (open, last) = records::present(ground.conn)?;
    for interval in open.into_iter().filter(|open| open.from < to && last > from) {
        let mode = format!("{:?}", interval.mode);
        add(interval.agent.0.into(), (&mode, interval.unreachable()), (interval.from, last));
    }
    Ok(())
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

fn offers(ground: &Ground<'_>, cells: &mut Cells<Sums>) -> Result<()> {
    let sql = "SELECT began, agent, result FROM offer WHERE began >= ?1 AND began < ?2 ORDER BY began";
    ground.each(sql, |at, row| {
        let agent = row.get::<_, i64>(1)?.to_string();
        let Some(sums) = ground.wants(&agent).then(|| cells.at(ground.spans, at, &agent)).flatten() else {
            return Ok(());
        };
        match row.get_ref(2)?.as_str()? {
            "answered" => sums.answered += 1,
            "refused" => sums.refused += 1,
            "missed" => sums.missed += 1,
            _ => sums.cancelled += 1,
        }
        Ok(())
    })
}

/// One agent after the other; the one that was under way when the time began, and those that began within it.
fn talks(ground: &Ground<'_>, cells: &mut Cells<Sums>) -> Result<()> {
    let (from, to) = (ground.spans.span(0).0, ground.spans.span(ground.spans.len() - 1).1);
    // The condition is written as the partial index has it.
    const OF_AGENTS: &str = "segment WHERE party = 'agent' AND kind IN ('talking', 'held')";
    let mut next = ground.conn.prepare(&format!("SELECT min(agent) FROM {OF_AGENTS} AND agent > ?1"))?;
    let first = format!("SELECT max(began) FROM {OF_AGENTS} AND agent = ?1 AND began < ?2");
    let within = format!("SELECT began, ended, kind FROM {OF_AGENTS} AND agent = ?1 AND began >= ?2 AND began < ?3");
    let (mut first, mut within) = (ground.conn.prepare(&first)?, ground.conn.prepare(&within)?);
    let (mut agents, mut after) = (Vec::<i64>::new(), -1_i64);
    while let Some(agent) = next.query_row([after], |row| row.get::<_, Option<i64>>(0))? {
        after = agent;
        agents.push(agent);
    }
    let mut progress = Progress::new("report: talks of agents");
    for (done, agent) in (0..).zip(&agents) {
        progress.shows(done, agents.len() as u64);
        let name = agent.to_string();
        if !ground.wants(&name) {
            continue;
        }
        let since = first.query_row([*agent, from.0], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(from.0);
        let mut rows = within.query([*agent, since, to.0])?;
        while let Some(row) = rows.next()? {
            let (talk, held) = ((Wall(row.get(0)?), Wall(row.get(1)?)), row.get_ref(2)?.as_str()? == "held");
            ground.spans.share(talk, |n, ms| {
                let sums = cells.of(n, &name);
                *if held { &mut sums.held_ms } else { &mut sums.talked_ms } += ms;
            });
        }
    }
    progress.end();
    Ok(())
}
