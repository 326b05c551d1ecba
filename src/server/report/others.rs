//! By line: what became of the calls. By flow: what became of the callers in it, and of its look-ups.

use super::sheet::{Column, Sheet, Value};
use super::{Cells, Ground, head, mean};
use crate::records::IS_ENTRY;
use anyhow::Result;

#[derive(Default)]
struct Line {
    arrived: u64,
    /// In the order of `OUTCOMES`.
    outcomes: [u64; 6],
    length_ms: u64,
    waited_ms: u64,
    talked_ms: u64,
}

/// Stands for the line of agents' short codes, which have none.
const CODES: &str = "-";
const OUTCOMES: [&str; 6] = ["Served", "Transferred", "Abandoned", "LeftFlow", "FlowEnded", "Failed"];

/// By line.
pub const LINE: [Column; 10] = [
    Column::new("arrived", "calls that came in this interval and are over"),
    Column::new("served", "an agent talked with the caller last"),
    Column::new("transferred", "somebody outside talked with the caller"),
    Column::new("abandoned", "the caller hung up, or was gone, while he waited for an agent"),
    Column::new("left flow", "the caller hung up, or was gone, in a flow"),
    Column::new("flow ended", "the flow came to its end, or a command ended it"),
    Column::new("failed", "something of ours, or between us, ended it"),
    Column::time("mean length", "from arrival to the end, of all that arrived"),
    Column::time("mean wait of all", "in queues, all waits together, of all that arrived, whether they waited or not"),
    Column::time("talk", "with agents, all of these calls together, without what was held"),
];

pub fn lines(ground: &Ground<'_>) -> Result<Sheet> {
    let sql = "SELECT arrived, line, outcome, ended, waited_ms, talked_ms FROM call
               WHERE arrived >= ?1 AND arrived < ?2 ORDER BY arrived";
    let mut cells = Cells::<Line>::new(ground.spans);
    ground.each(sql, |at, row| {
        let line = row.get_ref(1)?.as_str_or_null()?.unwrap_or(CODES);
        if let Some(sums) = ground.wants(line).then(|| cells.at(ground.spans, at, line)).flatten() {
            let outcome = row.get_ref(2)?.as_str()?;
            sums.arrived += 1;
            OUTCOMES.iter().position(|o| *o == outcome).into_iter().for_each(|n| sums.outcomes[n] += 1);
            sums.length_ms += (row.get::<_, i64>(3)? - at.0).unsigned_abs();
            sums.waited_ms += row.get::<_, i64>(4)?.unsigned_abs();
            sums.talked_ms += row.get::<_, i64>(5)?.unsigned_abs();
        }
        Ok(())
    })?;
    cells.into_sheet(ground.spans, head("line", &LINE), |sums| {
        let counts = [sums.arrived].into_iter().chain(sums.outcomes).map(Value::Count);
        let means = [sums.length_ms, sums.waited_ms].map(|ms| mean(ms, sums.arrived));
        counts.chain(means).chain([Value::Ms(Some(sums.talked_ms))]).collect()
    })
}

#[derive(Default)]
struct Flow {
    entered: u64,
    contained: u64,
    person: u64,
    queue: u64,
    outside: u64,
    onward: u64,
    ended: u64,
    hung_up: u64,
    failed: u64,
    spent_ms: u64,
    asked: u64,
    not_found: u64,
    asked_in_vain: u64,
    took_ms: u64,
}

/// All who entered left it, last, in one of the ways from `to queue` to `failed`, or are in it still.
/// By flow.
pub const FLOW: [Column; 15] = [
    Column::new("entered", "callers who came into it, each once; not what is heard while waiting"),
    Column::new(
        "contained",
        "of these: it came to its end, without a queue, an outside party or the wish for a person; who hung up is not among them",
    ),
    Column::share("containment", "contained, of the entered"),
    Column::new("person asked", "of the entered: pressed the key that asks for a person"),
    Column::new("to queue", "left it for a queue, or while waiting in one: for an agent, or given back"),
    Column::new("outside", "left it for somebody outside"),
    Column::new("to flow", "left it for another flow"),
    Column::new("ended", "left it at its end"),
    Column::new("hung up", "left it by hanging up"),
    Column::new("failed", "left it by a failure"),
    Column::time("mean time", "in it, without what came between, of the entered"),
    Column::new("look-ups", "questions to the ticketing system"),
    Column::new("not found", "of these: it knew nothing"),
    Column::new("look-ups failed", "of these: it gave no answer"),
    Column::time("mean look-up", "until the answer, or until none was waited for any more"),
];

pub fn flows(ground: &Ground<'_>) -> Result<Sheet> {
    let mut cells = Cells::<Flow>::new(ground.spans);
    let sql = format!(
        "SELECT began, flow, contained, person, exit, spent_ms FROM flow_path
         WHERE began >= ?1 AND began < ?2 AND {IS_ENTRY} ORDER BY began"
    );
    ground.each(&sql, |at, row| {
        let flow = row.get_ref(1)?.as_str()?;
        if let Some(sums) = ground.wants(flow).then(|| cells.at(ground.spans, at, flow)).flatten() {
            sums.entered += 1;
            sums.contained += u64::from(row.get::<_, bool>(2)?);
            sums.person += u64::from(row.get::<_, bool>(3)?);
            match row.get_ref(4)?.as_str()? {
                // Who was answered, or led on, left it while he waited.
                "queue" | "answered" | "diverted" => sums.queue += 1,
                "outside" => sums.outside += 1,
                "flow" => sums.onward += 1,
                "ended" => sums.ended += 1,
                "hung_up" => sums.hung_up += 1,
                "failed" => sums.failed += 1,
                _ => {}
            }
            sums.spent_ms += row.get::<_, i64>(5)?.unsigned_abs();
        }
        Ok(())
    })?;
    let sql = "SELECT asked, flow, result, took_ms FROM look_up WHERE asked >= ?1 AND asked < ?2 ORDER BY asked";
    ground.each(sql, |at, row| {
        let flow = row.get_ref(1)?.as_str()?;
        if let Some(sums) = ground.wants(flow).then(|| cells.at(ground.spans, at, flow)).flatten() {
            sums.asked += 1;
            match row.get_ref(2)?.as_str()? {
                "not_found" => sums.not_found += 1,
                "failed" => sums.asked_in_vain += 1,
                _ => {}
            }
            sums.took_ms += row.get::<_, i64>(3)?.unsigned_abs();
        }
        Ok(())
    })?;
    cells.into_sheet(ground.spans, head("flow", &FLOW), |sums| {
        let containment = (sums.entered > 0).then(|| sums.contained as f64 / sums.entered as f64);
        vec![
            Value::Count(sums.entered),
            Value::Count(sums.contained),
            Value::Share(containment),
            Value::Count(sums.person),
            Value::Count(sums.queue),
            Value::Count(sums.outside),
            Value::Count(sums.onward),
            Value::Count(sums.ended),
            Value::Count(sums.hung_up),
            Value::Count(sums.failed),
            mean(sums.spent_ms, sums.entered),
            Value::Count(sums.asked),
            Value::Count(sums.not_found),
            Value::Count(sums.asked_in_vain),
            mean(sums.took_ms, sums.asked),
        ]
    })
}
