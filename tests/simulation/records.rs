//! Records of simulated worlds: whatever people, the network and kills do, times add up.

use std::collections::BTreeMap;
use tierline::event::{Event, Party, What};
use tierline::ids::{AgentId, CallId, LegId};
use tierline::records::{Fold, Interval, Part, Row};
use tierline::sim::ledger::differences;
use tierline::sim::{Options, World};

fn journal(options: Options) -> Vec<Event> {
    let mut world = World::new(options);
    world.keep_journal();
    world.run();
    let report = world.report();
    assert!(report.failure.is_none(), "{report}");
    world.journal().to_vec()
}

fn folded(events: &[Event]) -> (Fold, Vec<Row>) {
    let (mut fold, mut rows) = (Fold::default(), Vec::new());
    events.iter().for_each(|event| fold.apply(event, &mut rows));
    (fold, rows)
}

/// The parts of each leg in order.
fn legs(rows: &[Row]) -> BTreeMap<(CallId, LegId), Vec<&Part>> {
    let mut legs: BTreeMap<_, Vec<&Part>> = BTreeMap::new();
    for row in rows {
        if let Row::Segment { call, part, .. } = row {
            legs.entry((*call, part.leg)).or_default().push(part);
        }
    }
    legs
}

#[test]
fn the_parts_of_every_participant_tile_from_his_arrival_to_his_end() {
    let (mut seen, mut transfers, mut kinds) = (0, 0, BTreeMap::new());
    for seed in 1..=10 {
        let events = journal(Options::swarm(seed));
        let (fold, rows) = folded(&events);
        assert_eq!(fold.calls().count(), 0, "seed {seed}: every call has ended");
        let legs = legs(&rows);
        for ((call, leg), parts) in &legs {
            for pair in parts.windows(2) {
                assert_eq!(pair[0].to, pair[1].from, "seed {seed}: {leg} of {call}: {parts:#?}");
            }
            assert!(parts.iter().all(|part| part.from <= part.to), "seed {seed}: {parts:#?}");
            parts.iter().for_each(|part| *kinds.entry(part.kind).or_insert(0) += 1);
        }
        for row in &rows {
            let Row::Call { record, .. } = row else { continue };
            seen += 1;
            let of_call = || legs.iter().filter(|((call, _), _)| *call == record.call).flat_map(|(_, parts)| parts);
            let caller: Vec<_> = of_call().filter(|part| part.party == Party::Caller).collect();
            assert_eq!(caller.first().map(|part| part.from), Some(record.arrived), "seed {seed}: {record:#?}");
            let end = of_call().map(|part| part.to).max();
            assert_eq!(end, record.ended, "seed {seed}: {record:#?}");
        }
        let count = |name: &str| events.iter().filter(|event| event.what.name() == name).count();
        let calls = rows.iter().filter(|row| matches!(row, Row::Call { .. })).count();
        let offers = rows.iter().filter(|row| matches!(row, Row::Offer { .. })).count();
        let waits = rows.iter().filter(|row| matches!(row, Row::Queue { .. })).count();
        assert_eq!([calls, offers, waits], [count("CallArrived"), count("Delivered"), count("Queued")], "seed {seed}");
        assert_eq!(legs.len(), calls + offers + count("OutsideCalled"), "seed {seed}");
        transfers += count("Transferred");
    }
    assert!(seen > 500 && transfers > 10 && kinds.len() == 6, "{seen} calls, {transfers} sent on, {kinds:?}");
}

#[test]
fn the_states_of_every_agent_tile_over_kills() {
    let mut kills = 0;
    for seed in 1..=10 {
        let events = journal(Options { crashes: 3, ..Options::swarm(seed) });
        let (fold, rows) = folded(&events);
        let end = events.last().expect("something happened").at;
        let mut of: BTreeMap<AgentId, Vec<Interval>> = BTreeMap::new();
        for row in rows {
            if let Row::Agent(interval) = row {
                of.entry(interval.agent).or_default().push(interval);
            }
        }
        fold.agents(end).for_each(|open| of.entry(open.agent).or_default().push(open));
        for (agent, intervals) in of {
            let first = events
                .iter()
                .find(|event| matches!(event.what, What::AgentStateChanged { agent: a, .. } if a == agent));
            assert_eq!(Some(intervals[0].from), first.map(|event| event.at), "seed {seed}: {agent}");
            for pair in intervals.windows(2) {
                assert_eq!(pair[0].to, pair[1].from, "seed {seed}: {agent}: {pair:#?}");
            }
            assert_eq!(intervals.last().map(|last| last.to), Some(end), "seed {seed}: {agent}");
        }
        kills += events.iter().filter(|event| matches!(event.what, What::EngineStarted { .. })).count() - 1;
    }
    assert!(kills > 20, "{kills} kills");
}

/// A small week, with kills and without: the records' sums are what the simulator saw, of killed engines as far as it is safe,
/// to the call and to the millisecond. The week of 500 agents
/// is `tierline simulate --agents 500 --hours 168 --crashes 0 --records`.
#[test]
fn the_sums_of_the_records_are_those_of_the_simulators_ledger() {
    let (mut calls, mut held, mut diverted, mut cut) = (0, 0, 0, 0);
    for seed in 1..=7 {
        let busy = Options { crashes: 0, port_failures: 0.0, ..Options::swarm(seed) };
        let killed = Options { crashes: 3, ..busy.clone() };
        for options in [busy, killed, Options { crashes: 0, scan_every: 50, ..Options::day(seed, 12, 0.4) }] {
            let kills = options.crashes > 0;
            let mut world = World::new(options);
            world.keep_ledger();
            world.run();
            let report = world.report();
            assert!(report.failure.is_none(), "{report}");
            let (seen, recorded) = world.ledger().expect("it was kept");
            let differ = differences(&seen, &recorded);
            let few = differ[..differ.len().min(5)].join("\n");
            assert!(differ.is_empty(), "seed {seed}, kills: {kills}:\n{few}");
            calls += seen.calls;
            held += seen.agents.values().map(|agent| agent.held_ms).sum::<u64>();
            cut += u64::from(kills) * seen.queues.values().map(|queue| queue.ended).sum::<u64>();
            diverted += seen.queues.values().map(|queue| queue.diverted).sum::<u64>();
        }
    }
    assert!(calls > 1_000 && held > 60_000 && diverted > 0, "{calls} calls, {held} ms held, {diverted} diverted");
    assert!(cut > 10, "{cut} waits ended where engines were killed");
}

/// The ledger is no copy of the fold: it sees what a wrong log does not say.
#[cfg(feature = "planted-bugs")]
#[test]
fn the_ledger_differs_from_the_records_of_a_wrong_log() {
    use tierline::engine::Bug;
    for bug in [Bug::MistellsState, Bug::ForgetsOfferEnd, Bug::ForgetsCleared] {
        let found = (1..=10).any(|seed| {
            let mut world = World::new(Options { crashes: 0, port_failures: 0.0, ..Options::swarm(seed) });
            world.keep_ledger();
            world.plant(bug);
            world.run();
            world.ledger().is_some_and(|(seen, recorded)| !differences(&seen, &recorded).is_empty())
        });
        assert!(found, "{bug:?}");
    }
}

/// Folding on from a state that was written down is folding on.
#[test]
fn a_fold_that_was_written_down_goes_on_with_the_same_rows() {
    let events = journal(Options { crashes: 1, ..Options::swarm(2) });
    let (whole, rows) = folded(&events);
    let (mut fold, mut again) = (Fold::default(), Vec::new());
    for event in &events {
        let calls = fold.calls().map(|open| serde_json::from_str(&serde_json::to_string(open).unwrap()).unwrap());
        let agents = fold.agents(tierline::time::Wall(i64::MIN)).collect();
        fold = Fold::resume(calls.collect(), agents, fold.last());
        fold.apply(event, &mut again);
    }
    let differ = rows.iter().zip(&again).find(|(row, again)| row != again);
    assert!(differ.is_none() && rows.len() == again.len(), "{} rows, {}: {differ:#?}", rows.len(), again.len());
    assert!(whole == fold, "what is open differs");
}
