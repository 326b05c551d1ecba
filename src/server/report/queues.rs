//! By queue: who came, who was answered, who gave up, and how long all that took.

use super::sheet::{Column, Sheet, Value};
use super::{Cells, Ground, head, mean};
use crate::records::service_level::Counts;
use anyhow::Result;

#[derive(Default)]
struct Sums {
    offered: u64,
    counts: Counts,
    diverted: u64,
    lost: u64,
    again: u64,
    waited_ms: u64,
    longest_ms: u64,
    talked_ms: u64,
    held_ms: u64,
}

const COLUMNS: [Column; 14] = [
    Column::new("offered"),
    Column::new("answered"),
    Column::new("in target"),
    Column::new("abandoned"),
    Column::new("short"),
    Column::new("diverted"),
    Column::new("lost"),
    Column::new("again"),
    Column::share("service level"),
    Column::time("mean wait"),
    Column::time("longest wait"),
    Column::time("mean talk"),
    Column::time("mean hold"),
    Column::time("talk"),
];

pub fn read(ground: &Ground<'_>) -> Result<Sheet> {
    let sql = "SELECT began, queue, again, outcome, waited_ms, talked_ms, held_ms FROM queue_interval
               WHERE began >= ?1 AND began < ?2 ORDER BY began";
    let (target, short) = (ground.asked.target.as_millis() as u64, ground.asked.short.as_millis() as u64);
    let mut cells = Cells::<Sums>::new(ground.spans);
    ground.each(sql, |at, row| {
        let queue = row.get_ref(1)?.as_str()?;
        let Some(sums) = ground.wants(queue).then(|| cells.at(ground.spans, at, queue)).flatten() else {
            return Ok(());
        };
        let [waited, talked, held] = [4, 5, 6].map(|n| row.get::<_, i64>(n).map(i64::unsigned_abs));
        let (waited, talked, held) = (waited?, talked?, held?);
        (sums.talked_ms, sums.held_ms) = (sums.talked_ms + talked, sums.held_ms + held);
        if row.get(2)? {
            sums.again += 1;
            return Ok(());
        }
        sums.offered += 1;
        let counts = &mut sums.counts;
        match row.get_ref(3)?.as_str()? {
            "answered" => {
                counts.answered += 1;
                counts.answered_in_time += u64::from(waited <= target);
                sums.waited_ms += waited;
                sums.longest_ms = sums.longest_ms.max(waited);
            }
            "abandoned" => {
                counts.abandoned += 1;
                counts.abandoned_in_time += u64::from(waited <= target);
                counts.abandoned_short += u64::from(waited < short);
                sums.longest_ms = sums.longest_ms.max(waited);
            }
            "diverted" => sums.diverted += 1,
            _ => sums.lost += 1,
        }
        Ok(())
    })?;
    let formula = ground.asked.formula;
    let mut sheet = cells.into_sheet(ground.spans, head("queue", &COLUMNS), |sums| {
        let counts = sums.counts;
        vec![
            Value::Count(sums.offered),
            Value::Count(counts.answered),
            Value::Count(counts.answered_in_time),
            Value::Count(counts.abandoned),
            Value::Count(counts.abandoned_short),
            Value::Count(sums.diverted),
            Value::Count(sums.lost),
            Value::Count(sums.again),
            Value::Share(formula.of(counts)),
            mean(sums.waited_ms, counts.answered),
            Value::Ms((counts.answered + counts.abandoned > 0).then_some(sums.longest_ms)),
            mean(sums.talked_ms, counts.answered),
            mean(sums.held_ms, counts.answered),
            Value::Ms(Some(sums.talked_ms)),
        ]
    });
    sheet.notes.push(format!(
        "service level {} ({}), T {} s, short below {} s",
        formula.text(),
        formula.name(),
        ground.asked.target.as_secs_f64(),
        ground.asked.short.as_secs_f64()
    ));
    Ok(sheet)
}
