//! The sums of the tables are those of the simulator's own ledger: not only the fold, but what stands in the columns.

use super::*;
use crate::ids::{AgentId, QueueId};
use crate::sim::ledger::{AgentSums, QueueSums, Sums, differences};

/// The rows of a query.
fn each(conn: &Connection, sql: &str, mut take: impl FnMut(&rusqlite::Row<'_>)) {
    let mut query = conn.prepare(sql).unwrap();
    let mut rows = query.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        take(row);
    }
}

fn number(row: &rusqlite::Row<'_>, n: usize) -> u64 {
    row.get::<_, i64>(n).unwrap().unsigned_abs()
}

/// What the tables say, with SQL alone; the present states up to `now`.
fn told(conn: &Connection, now: Wall) -> Sums {
    let mut sums = Sums { calls: 0, ..Sums::default() };
    each(conn, "SELECT count(*) FROM call", |row| sums.calls = number(row, 0));
    let sql = "SELECT queue, count(*), sum(outcome = 'answered'), sum(outcome = 'diverted'),
                      sum(outcome IN ('abandoned', 'lost')), sum(waited_ms), sum(talked_ms), sum(held_ms)
               FROM queue_interval GROUP BY queue";
    each(conn, sql, |row| {
        let [entered, answered, diverted, ended, waited_ms, talked_ms, held_ms] =
            [1, 2, 3, 4, 5, 6, 7].map(|n| number(row, n));
        let queue = QueueId::new(&row.get::<_, String>(0).unwrap());
        sums.queues.insert(queue, QueueSums { entered, answered, diverted, ended, waited_ms, talked_ms, held_ms });
    });
    let agents = &mut sums.agents;
    let mut of = |row: &rusqlite::Row<'_>, change: &dyn Fn(&mut AgentSums, &rusqlite::Row<'_>)| {
        change(agents.entry(AgentId(number(row, 0) as u32)).or_default(), row);
    };
    each(conn, "SELECT agent, count(*), sum(result = 'answered') FROM offer GROUP BY agent", |row| {
        of(row, &|sums, row| (sums.offers, sums.answered) = (number(row, 1), number(row, 2)));
    });
    let sql = "SELECT agent, sum((kind = 'ringing') * (ended - began)), sum((kind = 'talking') * (ended - began)),
                      sum((kind = 'held') * (ended - began)) FROM segment WHERE party = 'agent' GROUP BY agent";
    each(conn, sql, |row| {
        of(row, &|sums, row| {
            (sums.rung_ms, sums.talked_ms, sums.held_ms) = (number(row, 1), number(row, 2), number(row, 3));
        });
    });
    const MODES: [&str; 6] = ["LoggedOut", "NotReady", "Ready", "Reserved", "Busy", "WrapUp"];
    let place = |mode: &str| MODES.iter().position(|of| *of == mode).expect("a mode");
    let sql = "SELECT agent, mode, sum(ended - began), unreachable FROM agent_interval
               GROUP BY agent, mode, unreachable";
    each(conn, sql, |row| {
        let mode = place(&row.get::<_, String>(1).unwrap());
        let mode = if row.get(3).unwrap() { MODES.len() } else { mode };
        of(row, &|sums, row| sums.modes_ms[mode] += number(row, 2));
    });
    for open in present(conn).unwrap().0 {
        let mode = if open.unreachable() { MODES.len() } else { place(&format!("{:?}", open.mode)) };
        sums.agents.entry(open.agent).or_default().modes_ms[mode] += (now.0 - open.from.0).unsigned_abs();
    }
    sums
}

#[test]
fn the_sums_of_the_tables_are_those_of_the_simulators_ledger() {
    let (mut calls, mut held) = (0, 0);
    for seed in 1..=4 {
        let busy = Options { crashes: 0, port_failures: 0.0, ..Options::swarm(seed) };
        let killed = Options { crashes: 3, ..busy.clone() };
        for options in [busy, killed, Options { crashes: 0, scan_every: 50, ..Options::day(seed, 12, 0.4) }] {
            let mut world = World::new(options);
            world.keep_journal();
            world.keep_ledger();
            world.run();
            let (seen, _) = world.ledger().expect("it was kept");
            let dir = Dir::new("ledger");
            fs::create_dir_all(&dir.0).unwrap();
            let mut records = Records::open(&dir.0).unwrap();
            world.journal().chunks(1_000).for_each(|events| records.take(events).unwrap());
            let differ = differences(&seen, &told(&records.conn, world.wall()));
            assert!(differ.is_empty(), "seed {seed}:\n{}", differ[..differ.len().min(5)].join("\n"));
            // Whoever talks is busy, whatever reaches him.
            let talks = seen.agents.iter().filter(|(_, of)| of.talked_ms + of.held_ms > of.modes_ms[4]);
            assert_eq!(talks.map(|(agent, of)| (*agent, *of)).collect::<Vec<_>>(), [], "seed {seed}");
            calls += seen.calls;
            held += seen.agents.values().map(|agent| agent.held_ms).sum::<u64>();
        }
    }
    assert!(calls > 400 && held > 10_000, "{calls} calls, {held} ms held");
}
