//! By queue: who came, who was answered, who gave up, and how long all that took.

use super::sheet::{Column, Sheet, Value};
use super::targets::Targets;
use super::{Cells, Format, Formula, Ground, mean};
use crate::records::service_level::Counts;
use crate::server::basis::Target;
use anyhow::Result;
use std::collections::BTreeSet;

#[derive(Default)]
struct Sums {
    offered: u64,
    counts: Counts,
    diverted: u64,
    lost: u64,
    again: u64,
    waited_ms: u64,
    longest_ms: u64,
    /// With an agent, of those who wait again as well.
    talks: u64,
    talked_ms: u64,
    held_ms: u64,
    /// Of these talks, as far as it is over.
    wrap_up_ms: u64,
}

/// By queue.
pub const COLUMNS: [Column; 15] = [
    Column::new(
        "offered",
        "callers who began to wait in this interval and whose call is over; who waits again because an agent's phone was lost, or a number outside or the one agent he was sent to was not reached, is under `again` only",
    ),
    Column::new("answered", "A: an agent took the call"),
    Column::new("in target", "A_T: of these within the queue's `target`, or `--target` seconds"),
    Column::new("abandoned", "B: the caller hung up or was gone"),
    Column::new("short", "B_s: of these sooner than the queue's `short_abandon`, or `--short` seconds"),
    Column::new(
        "diverted",
        "the caller went on in the flow: the queue was full, nobody at work, the wait too long, or he chose so",
    ),
    Column::new("lost", "we ended it: a restart, a stop, a command"),
    Column::new(
        "again",
        "callers who wait again because an agent's phone was lost, or a number outside or the one agent he was sent to was not reached",
    ),
    Column::share("service level", "by the formula that stands above the report"),
    Column::time("mean wait", "of the answered"),
    Column::time("longest wait", "of the offered, however the wait ended"),
    Column::time(
        "mean talk",
        "of the talks that followed these waits, those of callers who waited again included; hold is not part of talk",
    ),
    Column::time("mean hold", "of the same talks"),
    Column::time("mean handling", "of the same talks: talk, hold, and the agent's wrap-up as far as it is over"),
    Column::time("talk", "of the same talks together"),
];

impl Sums {
    fn add(&mut self, other: &Sums) {
        let (to, from) = (&mut self.counts, other.counts);
        to.answered += from.answered;
        to.answered_in_time += from.answered_in_time;
        to.abandoned += from.abandoned;
        to.abandoned_in_time += from.abandoned_in_time;
        to.abandoned_short += from.abandoned_short;
        self.offered += other.offered;
        self.diverted += other.diverted;
        self.lost += other.lost;
        self.again += other.again;
        self.waited_ms += other.waited_ms;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.talks += other.talks;
        self.talked_ms += other.talked_ms;
        self.held_ms += other.held_ms;
        self.wrap_up_ms += other.wrap_up_ms;
    }

    fn values(&self, formula: Formula) -> Vec<Value> {
        let counts = self.counts;
        vec![
            Value::Count(self.offered),
            Value::Count(counts.answered),
            Value::Count(counts.answered_in_time),
            Value::Count(counts.abandoned),
            Value::Count(counts.abandoned_short),
            Value::Count(self.diverted),
            Value::Count(self.lost),
            Value::Count(self.again),
            Value::Share(formula.of(counts)),
            mean(self.waited_ms, counts.answered),
            Value::Ms((self.offered > 0).then_some(self.longest_ms)),
            mean(self.talked_ms, self.talks),
            mean(self.held_ms, self.talks),
            mean(self.talked_ms + self.held_ms + self.wrap_up_ms, self.talks),
            Value::Ms(Some(self.talked_ms)),
        ]
    }
}

pub fn read(ground: &Ground<'_>, targets: &Targets) -> Result<Sheet> {
    // The condition is written as the partial index has it.
    let sql = "SELECT began, queue, again, outcome, waited_ms, talked_ms, held_ms, agent IS NOT NULL,
                      CASE WHEN agent IS NOT NULL THEN (
                          SELECT sum(w.ended - w.began) FROM agent_interval w
                          WHERE w.mode = 'WrapUp' AND w.call = q.call AND w.work = q.work) END
               FROM queue_interval q WHERE began >= ?1 AND began < ?2 ORDER BY began";
    let (formula, mut all) = (ground.asked.formula, Sums::default());
    let mut cells = Cells::new(ground.spans, &COLUMNS, |sums: &Sums| {
        all.add(sums);
        sums.values(formula)
    });
    ground.each(sql, |at, row| {
        let queue = row.get_ref(1)?.as_str()?;
        if !ground.wants(queue) {
            return Ok(());
        }
        let Some(sums) = cells.at(at, queue)? else { return Ok(()) };
        let [waited, talked, held] = [4, 5, 6].map(|n| row.get::<_, i64>(n).map(i64::unsigned_abs));
        let (waited, talked, held) = (waited?, talked?, held?);
        (sums.talked_ms, sums.held_ms) = (sums.talked_ms + talked, sums.held_ms + held);
        sums.talks += u64::from(row.get::<_, bool>(7)?);
        sums.wrap_up_ms += row.get::<_, Option<i64>>(8)?.unwrap_or(0).unsigned_abs();
        if row.get(2)? {
            sums.again += 1;
            return Ok(());
        }
        sums.offered += 1;
        sums.longest_ms = sums.longest_ms.max(waited);
        let Target { target_ms: target, short_ms: short } = targets.of(queue);
        let counts = &mut sums.counts;
        match row.get_ref(3)?.as_str()? {
            "answered" => {
                counts.answered += 1;
                counts.answered_in_time += u64::from(waited <= target);
                sums.waited_ms += waited;
            }
            "abandoned" => {
                counts.abandoned += 1;
                counts.abandoned_in_time += u64::from(waited <= target);
                counts.abandoned_short += u64::from(waited < short);
            }
            "diverted" => sums.diverted += 1,
            _ => sums.lost += 1,
        }
        Ok(())
    })?;
    let mut sheet = ground.sheet("queue", &COLUMNS, cells.into_rows()?);
    let queues: BTreeSet<String> = sheet.rows.names().map(str::to_owned).collect();
    // Programs sum up by themselves, and would count everybody twice.
    if queues.len() > 1 && ground.asked.format == Format::Table {
        sheet.total = Some(all.values(formula));
    }
    sheet.notes.push(format!("service level {} ({}), {}", formula.text(), formula.name(), targets.told(&queues)));
    Ok(sheet)
}
