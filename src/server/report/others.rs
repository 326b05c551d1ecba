//! By line: what became of the calls. By flow: what became of the callers in it, and of its look-ups.

use super::sheet::{Column, Sheet, Value};
use super::{Cells, Ground, mean};
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
    let mut cells = Cells::new(ground.spans, &LINE, |sums: &Line| {
        let counts = [sums.arrived].into_iter().chain(sums.outcomes).map(Value::Count);
        let means = [sums.length_ms, sums.waited_ms].map(|ms| mean(ms, sums.arrived));
        counts.chain(means).chain([Value::Ms(Some(sums.talked_ms))]).collect()
    });
    ground.each(sql, |at, row| {
        let line = row.get_ref(1)?.as_str_or_null()?.unwrap_or(CODES);
        if !ground.wants(line) {
            return Ok(());
        }
        if let Some(sums) = cells.at(at, line)? {
            let outcome = row.get_ref(2)?.as_str()?;
            sums.arrived += 1;
            OUTCOMES.iter().position(|o| *o == outcome).into_iter().for_each(|n| sums.outcomes[n] += 1);
            sums.length_ms += (row.get::<_, i64>(3)? - at.0).unsigned_abs();
            sums.waited_ms += row.get::<_, i64>(4)?.unsigned_abs();
            sums.talked_ms += row.get::<_, i64>(5)?.unsigned_abs();
        }
        Ok(())
    })?;
    Ok(ground.sheet("line", &LINE, cells.into_rows()?))
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
    Column::new(
        "to queue",
        "left it for a queue, whatever came of it there: who gives up while he waits has not hung up in the flow",
    ),
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
    // Ways through flows, and look-ups: those have no `exit`.
    let sql = format!(
        "SELECT began, flow, exit, contained, person, spent_ms, NULL FROM flow_path
         WHERE began >= ?1 AND began < ?2 AND {IS_ENTRY}
         UNION ALL SELECT asked, flow, NULL, NULL, NULL, took_ms, result FROM look_up
         WHERE asked >= ?1 AND asked < ?2 ORDER BY 1"
    );
    let mut cells = Cells::new(ground.spans, &FLOW, Flow::values);
    ground.each(&sql, |at, row| {
        let flow = row.get_ref(1)?.as_str()?;
        if !ground.wants(flow) {
            return Ok(());
        }
        let Some(sums) = cells.at(at, flow)? else { return Ok(()) };
        let ms = row.get::<_, i64>(5)?.unsigned_abs();
        match row.get_ref(2)?.as_str_or_null()? {
            Some(exit) => sums.left(exit, [row.get(3)?, row.get(4)?], ms),
            None => sums.looked_up(row.get_ref(6)?.as_str()?, ms),
        }
        Ok(())
    })?;
    Ok(ground.sheet("flow", &FLOW, cells.into_rows()?))
}

impl Flow {
    fn left(&mut self, exit: &str, [contained, person]: [bool; 2], spent_ms: u64) {
        self.entered += 1;
        self.contained += u64::from(contained);
        self.person += u64::from(person);
        match exit {
            // Who waits is in no path that led to a queue: the other two are of rows from before version 9 of the records.
            "queue" | "answered" | "diverted" => self.queue += 1,
            "outside" => self.outside += 1,
            "flow" => self.onward += 1,
            "ended" => self.ended += 1,
            "hung_up" => self.hung_up += 1,
            "failed" => self.failed += 1,
            _ => {}
        }
        self.spent_ms += spent_ms;
    }

    fn looked_up(&mut self, result: &str, took_ms: u64) {
        self.asked += 1;
        match result {
            "not_found" => self.not_found += 1,
            "failed" => self.asked_in_vain += 1,
            _ => {}
        }
        self.took_ms += took_ms;
    }

    fn values(&self) -> Vec<Value> {
        let containment = (self.entered > 0).then(|| self.contained as f64 / self.entered as f64);
        vec![
            Value::Count(self.entered),
            Value::Count(self.contained),
            Value::Share(containment),
            Value::Count(self.person),
            Value::Count(self.queue),
            Value::Count(self.outside),
            Value::Count(self.onward),
            Value::Count(self.ended),
            Value::Count(self.hung_up),
            Value::Count(self.failed),
            mean(self.spent_ms, self.entered),
            Value::Count(self.asked),
            Value::Count(self.not_found),
            Value::Count(self.asked_in_vain),
            mean(self.took_ms, self.asked),
        ]
    }
}
