//! By agent: how long in each state, and what became of the calls that were offered.

use super::sheet::{Column, Sheet, Value};
use super::{Cells, Ground, head};
use crate::event::AgentMode;
use crate::server::records;
use crate::time::Wall;
use anyhow::Result;
use rusqlite::OptionalExtension;

#[derive(Default)]
struct Sums {
    /// Milliseconds in each state, in the order of `MODES`.
    modes_ms: [u64; 6],
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

const COLUMNS: [Column; 13] = [
    Column::time("signed in"),
    Column::time("not ready"),
    Column::time("ready"),
    Column::time("rung"),
    Column::time("busy"),
    Column::time("wrap-up"),
    Column::share("occupancy"),
    Column::new("answered"),
    Column::new("refused"),
    Column::new("missed"),
    Column::new("cancelled"),
    Column::time("talk"),
    Column::time("hold"),
];

pub fn read(ground: &Ground<'_>) -> Result<Sheet> {
    let mut cells = Cells::<Sums>::new(ground.spans);
    states(ground, &mut cells)?;
    offers(ground, &mut cells)?;
    talks(ground, &mut cells)?;
    Ok(cells.into_sheet(ground.spans, head("agent", &COLUMNS), |sums| {
        let [_, not_ready, ready, rung, busy, wrap_up] = sums.modes_ms;
        let (signed_in, work) = (sums.modes_ms[1..].iter().sum(), rung + busy + wrap_up);
        let occupancy = (work + ready > 0).then(|| work as f64 / (work + ready) as f64);
        let times = [signed_in, not_ready, ready, rung, busy, wrap_up].map(|ms| Value::Ms(Some(ms)));
        let counts = [sums.answered, sums.refused, sums.missed, sums.cancelled].map(Value::Count);
        let talk = [sums.talked_ms, sums.held_ms].map(|ms| Value::Ms(Some(ms)));
        times.into_iter().chain([Value::Share(occupancy)]).chain(counts).chain(talk).collect()
    }))
}

fn states(ground: &Ground<'_>, cells: &mut Cells<Sums>) -> Result<()> {
    let spans = ground.spans;
    let (from, to) = (spans.span(0).0, spans.span(spans.len() - 1).1);
    let mut add = |agent: i64, mode: &str, (began, ended): (Wall, Wall)| {
        let name = agent.to_string();
        let Some(mode) = mode_of(mode).filter(|_| ground.wants(&name)) else { return };
        spans.share((began, ended), |n, ms| cells.of(n, &name).modes_ms[mode] += ms);
    };
    let sql = "SELECT ended, began, agent, mode FROM agent_interval WHERE ended > ?1 AND ended <= ?2 ORDER BY ended";
    ground.each(sql, |ended, row| {
        add(row.get(2)?, row.get_ref(3)?.as_str()?, (Wall(row.get(1)?), ended));
        Ok(())
    })?;
    // Those that go on over the end: one of each agent at most.
    let mut next = ground.conn.prepare("SELECT min(agent) FROM agent_interval WHERE agent > ?1")?;
    let mut over = ground.conn.prepare(
        "SELECT mode, began, ended FROM agent_interval WHERE agent = ?1 AND began < ?2 ORDER BY event DESC LIMIT 1",
    )?;
    let mut agent = -1_i64;
    while let Some(found) = next.query_row([agent], |row| row.get::<_, Option<i64>>(0))? {
        agent = found;
        let last = over.query_row([agent, to.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)));
        if let Some((mode, began, ended)) = last.optional()?.filter(|(_, _, ended)| *ended > to.0) {
            add(agent, &mode, (Wall(began), Wall(ended)));
        }
    }
    let (open, last) = records::present(ground.conn)?;
    for interval in open.into_iter().filter(|open| open.from < to && last > from) {
        add(interval.agent.0.into(), &format!("{:?}", interval.mode), (interval.from, last));
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

fn talks(ground: &Ground<'_>, cells: &mut Cells<Sums>) -> Result<()> {
    // The condition is written as the partial index has it.
    let sql = "SELECT ended, began, agent, kind FROM segment WHERE party = 'agent' AND kind IN ('talking', 'held')
               AND ended > ?1 AND began < ?2 ORDER BY ended";
    ground.each(sql, |ended, row| {
        let agent = row.get::<_, i64>(2)?.to_string();
        if ground.wants(&agent) {
            let (began, held) = (Wall(row.get(1)?), row.get_ref(3)?.as_str()? == "held");
            ground.spans.share((began, ended), |n, ms| {
                let sums = cells.of(n, &agent);
                *if held { &mut sums.held_ms } else { &mut sums.talked_ms } += ms;
            });
        }
        Ok(())
    })
}
