//! The simulator: small worlds from seeds, each drawn differently; the same seed gives the same log; a recording
//! replays; the engine can be written down; and for each check a planted bug that it catches.

#[path = "simulation/outside.rs"]
mod outside;
#[path = "simulation/records.rs"]
mod records;
#[path = "simulation/told.rs"]
mod told;

use std::collections::BTreeMap;
use std::time::Duration;
use tierline::engine::{Engine, Input, Output};
use tierline::log::{self, Fingerprint};
use tierline::records::{Calls, Segment, Wait};
use tierline::sim::people::Habits;
use tierline::sim::{Check, Options, Repeated, Report, Seen, World, run};
use tierline::stats::families as f;
use tierline::stats::{Family, Stats, Value};
use tierline::time::{Instant, Wall};

/// How many worlds the swarm has: `SEEDS=1000 cargo test --test simulation swarm` runs more, from seed `FROM`.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn a_swarm_of_small_worlds_keeps_every_promise() {
    let (from, many) = (number("FROM", 1), number("SEEDS", 16));
    let mut ran: BTreeMap<Check, u64> = BTreeMap::new();
    let mut hardships = [0; 5];
    let mut desktops = [0; 6];
    let mut repeated = [0; 3];
    for seed in from..from + many {
        let report = run(Options::swarm(seed));
        assert!(report.failure.is_none(), "{report}");
        report.checks.iter().for_each(|(check, times)| *ran.entry(*check).or_default() += times);
        let Report { crashes, network, retransmissions, .. } = &report;
        let met = [u64::from(*crashes), report.lost, network.lost, network.duplicated, *retransmissions];
        let Seen { told, overseen, resumed, caught_up, too_slow, lost } = report.desktops;
        desktops
            .iter_mut()
            .zip([told, overseen, resumed, caught_up, too_slow, lost])
            .for_each(|(sum, met)| *sum += met);
        let Repeated { known, after_a_kill, lost } = report.repeated;
        repeated.iter_mut().zip([known, after_a_kill, lost]).for_each(|(sum, met)| *sum += met);
        hardships.iter_mut().zip(met).for_each(|(sum, met)| *sum += met);
    }
    let never: Vec<_> = ran.iter().filter(|(_, times)| **times == 0).collect();
    assert!(never.is_empty(), "never ran: {never:?}");
    assert!(
        !hardships.contains(&0),
        "engine killed, events lost with it, datagrams lost, twice, sent again: {hardships:?}"
    );
    assert!(
        !desktops.contains(&0),
        "told, told to leads and operators, resumed, caught up, too slow, lost: {desktops:?}"
    );
    assert!(!repeated.contains(&0), "commands known again, after a kill, lost with one: {repeated:?}");
}

#[test]
fn callers_of_the_desk_come_to_every_step_of_its_flow() {
    let habits = Habits { desk_lines: 1.0, mean_patience: Duration::from_secs(120), ..Habits::usual() };
    let busy = Options { calls_per_hour: Some(240.0), duration: Duration::from_secs(2_400), ..Options::day(1, 3, 0.0) };
    let report = run(Options { habits, scan_every: 10, ..busy });
    assert!(report.passed(), "{report}");
    let seen = &report.summary.at_the_desk;
    let unseen: Vec<_> = tierline::sim::steps_of_the_desk().filter(|step| !seen.contains_key(step)).collect();
    assert!(unseen.is_empty(), "no caller came to {unseen:?}");
}

#[test]
fn a_run_can_be_watched() {
    let mut world = World::new(Options::swarm(number("FROM", 9)));
    world.watch();
    world.run();
    let drawing = world.drawing();
    assert!(drawing.contains("REGISTER") && drawing.contains("Agent 1001"), "{drawing}");
    println!("{drawing}"); // `FROM=9 cargo test --test simulation watched -- --nocapture` shows what a seed does
}

#[test]
fn an_ordinary_hour_passes_and_says_so() {
    let report = run(Options { scan_every: 10, ..Options::day(7, 12, 0.5) });
    assert!(report.passed(), "{report}");
    let text = report.to_string();
    assert!(text.contains("service level") && report.summary.answered > 30 && report.occupancy > 0.5, "{text}");
}

/// Of all that happens they would be told more than all the rest of the day costs.
#[test]
fn leads_and_operators_look_in_at_big_centers() {
    let report =
        run(Options { scan_every: 1_000, desktop_trouble: Duration::from_secs(20), ..Options::day(2, 60, 0.6) });
    assert!(report.passed(), "{report}");
    let (told, events) = (report.desktops.overseen, report.events);
    assert!(told > events / 20 && told < events / 2, "leads and operators were told {told} of {events} events");
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let twice = || run(Options::swarm(4));
    let (one, other): (Report, Report) = (twice(), twice());
    assert_eq!(one, other);
    assert_ne!(one.log_hash, run(Options::swarm(5)).log_hash);
}

#[test]
fn a_recording_replays_to_the_same_log() {
    let options = Options { crashes: 0, record: true, ..Options::swarm(3) };
    let mut world = World::new(options);
    world.run();
    let (start, configuration, inputs) = world.recording();
    let lines: Vec<String> = inputs.iter().map(|input| serde_json::to_string(input).unwrap()).collect();
    assert!(lines.len() > 50, "{} inputs", lines.len());
    let mut engine = Engine::new(start, configuration);
    let mut fingerprint = Fingerprint::default();
    for line in lines {
        let (now, input): (Instant, Input) = serde_json::from_str(&line).unwrap();
        engine.handle(now, input);
        while let Some(output) = engine.poll() {
            if let Output::Event(event) = output {
                fingerprint.add(&log::encode(&event));
            }
        }
    }
    assert_eq!(fingerprint.to_string(), world.report().log_hash);
}

#[test]
fn an_engine_that_was_written_down_goes_on_as_if_nothing_had_been() {
    let options = || Options { crashes: 0, ..Options::swarm(8) };
    let mut world = World::new(options());
    world.open();
    for minute in 1..20 {
        world.run_until(Instant(minute * 60_000_000_000));
        let size = world.write_down_and_read_back().unwrap();
        assert!(size > 1_000, "{size} bytes");
    }
    while world.step() {}
    world.settle();
    let report = world.report();
    assert!(report.failure.is_none(), "{report}");
    assert_eq!(report.log_hash, run(options()).log_hash);
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use super::*;
    use tierline::engine::Bug;

    /// A world in which everything happens that a bug may need; `crowded`: also lines that are full.
    fn world(seed: u64, scan_every: u64, crowded: bool) -> Options {
        let often = Habits {
            decline: 0.1,
            ignore: 0.15,
            hold: 0.1,
            desk: 0.3,
            crash_talking: 0.05,
            mean_talk: Duration::from_secs(30),
            ..Habits::usual()
        };
        let habits = Habits { mean_patience: Duration::from_secs(30), ..often };
        let calls_per_hour = Some(if crowded { 600.0 } else { 200.0 });
        let duration = Duration::from_secs(900);
        let carrier_trouble = Duration::from_secs(600);
        let day = Options::day(seed, 4, 0.0);
        let day = Options { scan_every, habits, calls_per_hour, duration, carrier_trouble, rules: crowded, ..day };
        let desktop_trouble = Duration::from_secs(60);
        Options { crashes: 0, desktops: 0.5, desktop_trouble, ..day }
    }

    fn caught(bug: Bug, scan_every: u64) -> Option<Check> {
        (1..=20).find_map(|seed| {
            let mut options = world(seed, scan_every, bug == Bug::TurnsAway);
            // Some bugs show after a kill only.
            let kills = matches!(bug, Bug::LetsThemRing | Bug::ForgetsDone | Bug::AnswersEarly);
            options.crashes = if kills { 20 } else { 0 };
            let mut world = World::new(options);
            world.plant(bug);
            world.run();
            world.report().failure.map(|failure| failure.check)
        })
    }

    #[test]
    fn each_check_catches_its_bug() {
        const NEVER: u64 = u64::MAX;
        let rows = [
            (Bug::ForgetsDequeue, 1, Check::WaitingAgrees),
            (Bug::ForgetsFinish, 1, Check::BusyTalks),
            (Bug::ForgetsBye, 1, Check::PeerHangsUp),
            (Bug::ForgetsCancel, 1, Check::RingingEnds),
            (Bug::LeaksPort, 1, Check::PortsMatch),
            (Bug::LeaksPort, NEVER, Check::Quiet),
            (Bug::ForgetsJoin, 1, Check::BridgesMatch),
            (Bug::ForgetsJoin, NEVER, Check::TalkersHear),
            (Bug::ForgetsLeave, 1, Check::BridgesMatch),
            (Bug::Corrupts, 1, Check::RouterSound),
            (Bug::SkipsNumber, 1, Check::Gapless),
            (Bug::EndsTwice, 1, Check::CallEndsOnce),
            (Bug::ForgetsCleared, 1, Check::LegClearedOnce),
            (Bug::ForgetsOfferEnd, 1, Check::OfferEndsOnce),
            (Bug::AcceptsAlways, NEVER, Check::OneAnswer),
            (Bug::MistellsState, 1, Check::IntervalsAddUp),
            (Bug::LogsNumber, 1, Check::NoPersonalText),
            (Bug::ForgetsRefusal, 1, Check::ReservedRings),
            (Bug::BelievesTheDead, 1, Check::DeadNotRung),
            (Bug::LetsThemRing, NEVER, Check::RingingEnds),
            (Bug::AsksTooMuch, 1, Check::NobodyWaits),
            (Bug::ForgetsTrunk, 1, Check::TrunksAgree),
            (Bug::ForgetsToQueue, NEVER, Check::SentOnWaits),
            (Bug::LosesWait, 1, Check::WaitKept),
            (Bug::TurnsAway, NEVER, Check::WaitKept),
            (Bug::LosesPlace, NEVER, Check::WaitKept),
            (Bug::HoldsNothing, 1, Check::BridgesMatch),
            (Bug::ForgetsTransferEnd, NEVER, Check::OutsideEndsOnce),
            (Bug::TriesTrunkTwice, NEVER, Check::TrunksTakeTurns),
            (Bug::ForgetsProof, NEVER, Check::ProofGiven),
            (Bug::MixesPasswords, NEVER, Check::ProofGiven),
            (Bug::ForgetsToRegister, NEVER, Check::Registered),
            (Bug::BelievesRegistered, NEVER, Check::Registered),
            (Bug::BelievesDesks, NEVER, Check::LeaseKept),
            (Bug::ForgetsDeskBack, NEVER, Check::LeaseKept),
            (Bug::SkipsItems, NEVER, Check::ToldOnce),
            (Bug::TellsAgain, NEVER, Check::ToldOnce),
            (Bug::ForgetsTheMissed, NEVER, Check::ToldOnce),
            (Bug::ForgetsDone, NEVER, Check::DoneOnce),
            (Bug::ForgetsKeys, NEVER, Check::DoneOnce),
            (Bug::AnswersEarly, NEVER, Check::DoneOnce),
        ];
        let wrong: Vec<_> = rows
            .into_iter()
            .map(|(bug, scan_every, expected)| (bug, expected, caught(bug, scan_every)))
            .filter(|(_, expected, caught)| *caught != Some(*expected))
            .collect();
        assert!(wrong.is_empty(), "bug, the check that should catch it, the one that did: {wrong:#?}");
        let proven: Vec<Check> = rows.iter().map(|row| row.2).collect();
        let unproven = Check::ALL.into_iter().filter(|check| !proven.contains(check) && *check != Check::NoRepair);
        assert_eq!(unproven.collect::<Vec<_>>(), []);
    }

    #[test]
    fn without_a_bug_the_same_worlds_pass() {
        let mut ran: BTreeMap<Check, u64> = BTreeMap::new();
        for seed in 1..=5 {
            let mut world = World::new(world(seed, 1, false));
            world.run();
            let report = world.report();
            assert!(report.failure.is_none(), "{report}");
            report.checks.iter().for_each(|(check, times)| *ran.entry(*check).or_default() += times);
        }
        let never: Vec<_> = ran.iter().filter(|(_, times)| **times == 0).collect();
        assert!(never.is_empty(), "never ran: {never:?}");
    }

    #[test]
    fn a_panic_ends_one_call_and_the_others_go_on() {
        std::panic::set_hook(Box::new(|panic| {
            let planted = panic.payload().downcast_ref::<&str>().is_some_and(|text| *text == "planted");
            if !planted {
                eprintln!("{panic}");
            }
        }));
        for bug in [Bug::Panics, Bug::PanicsAndCorrupts] {
            let mut world = World::new(world(1, 1, false));
            world.plant(bug);
            world.run();
            let report = world.report();
            assert!(report.passed(), "{bug:?}: {report}");
            assert!(
                report.repairs > 3 && report.summary.answered > 10,
                "{bug:?}: {} repairs, {report}",
                report.repairs
            );
            assert_eq!(report.defects, report.panics, "{bug:?}: each panic ends one call");
            assert_eq!(report.repairs > report.panics, bug == Bug::PanicsAndCorrupts, "{bug:?}");
        }
        let mut world = World::new(world(1, 1, false));
        world.plant(Bug::Panics);
        world.expect_no_repairs();
        world.run();
        assert_eq!(world.report().failure.map(|failure| failure.check), Some(Check::NoRepair));
    }
}

#[test]
fn the_phones_use_what_sip_leaves_to_their_choice() {
    let mut drawings = String::new();
    for seed in 1..=3 {
        let mut world = World::new(Options { odd_phones: 0.8, ..Options::swarm(seed) });
        world.watch();
        world.run();
        drawings.push_str(&world.drawing());
    }
    for message in ["183 Session Progress (SDP)", "PRACK", "200 OK (PRACK)", "UPDATE", "200 OK (UPDATE)"] {
        assert!(drawings.contains(message), "nobody has sent {message}");
    }
    for refusal in ["420 Bad Extension", "405 Method Not Allowed", "422 Session"] {
        assert!(!drawings.contains(refusal), "somebody has refused with {refusal}");
    }
}

/// What was counted of all queues together: offered, answered, in time, abandoned or lost, given back.
type Counts = [u64; 5];

/// The exported numbers, the call records and the simulator's own ledger count the same days, each in its own way.
#[test]
fn numbers_records_and_the_ledger_add_up() {
    let mut all: Counts = [0; 5];
    for seed in 1..=9 {
        let mut world = World::new(Options { crashes: 0, record: true, ..Options::swarm(seed) });
        world.run();
        let (start, configuration, inputs) = world.recording();
        let (mut stats, mut records) = (Stats::new(&configuration.center), Calls::default());
        let mut recorded: Counts = [0; 5];
        let mut at = Wall::default();
        let mut engine = Engine::new(start, configuration);
        for (now, input) in inputs {
            engine.handle(*now, input.clone());
            while let Some(output) = engine.poll() {
                let Output::Event(event) = output else { continue };
                stats.apply(&event);
                at = event.at;
                assert_eq!(stats.balance(), Ok(()), "seed {seed}, after {event:?}");
                let ended = records.apply(&event);
                ended.iter().flat_map(|call| &call.segments).for_each(|segment| count(&mut recorded, segment));
            }
        }
        let sum = |family: &Family| {
            let samples = stats.samples(at, false).into_iter().filter(|sample| sample.family == family);
            samples.map(|sample| if let Value::Number(n) = sample.value { n as u64 } else { 0 }).sum::<u64>()
        };
        let lost = sum(&f::QUEUE_ABANDONED) + sum(&f::QUEUE_LOST);
        let answered = [sum(&f::QUEUE_ANSWERED), sum(&f::QUEUE_ANSWERED_WITHIN)];
        let exported = [sum(&f::QUEUE_OFFERED), answered[0], answered[1], lost, sum(&f::QUEUE_DIVERTED)];
        let ledger = world.report().summary;
        let told = [ledger.offered, ledger.answered, ledger.answered_in_time, ledger.abandoned, ledger.diverted];
        assert_eq!((exported, exported), (recorded, told), "seed {seed}: numbers against records, and the ledger");
        all.iter_mut().zip(exported).for_each(|(sum, n)| *sum += n);
    }
    assert!(!all.contains(&0), "these days prove little: {all:?}");
}

fn count(counts: &mut Counts, segment: &Segment) {
    if segment.again {
        return; // was answered before, and counts once
    }
    counts[0] += 1;
    match segment.wait {
        Wait::Answered => {
            counts[1] += 1;
            counts[2] += u64::from(segment.waited <= tierline::sim::summary::THRESHOLD);
        }
        Wait::Diverted(_) => counts[4] += 1,
        Wait::Waiting | Wait::Ended(_) => counts[3] += 1,
    }
}
