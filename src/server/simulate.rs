//! `tierline simulate`: a simulated day, with progress while it runs and the time it took.

use super::clock::Clock;
use super::progress::Progress;
use crate::server::printing::say;
use crate::sim::ledger::{self, Sums};
use crate::sim::{Options, Report, World};
use crate::time::Instant;
use anyhow::Result;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// How much simulated time passes between two looks at how far it is.
const STRIDE: Duration = Duration::from_secs(15 * 60);

/// Runs a world to its end and prints what came out; true if every check held. With `records`, the records of its log
/// are compared with what was seen.
pub fn run(options: Options, records: bool, json: bool) -> Result<bool> {
    let (clock, hours) = (Clock::start(), options.duration);
    let mut world = World::new(options);
    if records {
        world.keep_ledger();
    }
    let folder = world.folder();
    std::thread::spawn(|| folder.work());
    world.open();
    let (mut until, mut progress) = (Instant::ZERO, Progress::new("simulated minutes"));
    let minutes = |span: Duration| span.min(hours).as_secs() / MINUTE.as_secs();
    while until.since(Instant::ZERO) < hours {
        until = until + STRIDE;
        world.run_until(until);
        progress.shows(minutes(until.since(Instant::ZERO)), minutes(hours));
    }
    world.finish();
    progress.end();
    let report = world.report();
    print(&report, clock.now().since(Instant::ZERO), json)?;
    let differ = world.ledger().map(|(seen, recorded)| compared(&seen, &recorded, json)).unwrap_or_default();
    Ok(report.failure.is_none() && differ == 0)
}

/// Says whether the records' sums are what was seen; returns in how many they differ.
fn compared(seen: &Sums, recorded: &Sums, json: bool) -> usize {
    let differ = ledger::differences(seen, recorded);
    differ.iter().for_each(|line| eprintln!("the records differ: {line}"));
    if !json && differ.is_empty() {
        let ms = |of: fn(&ledger::AgentSums) -> u64| seen.agents.values().map(of).sum::<u64>();
        let (agents, talked, all) = (seen.agents.len(), ms(|a| a.talked_ms), ms(|a| a.modes_ms.iter().sum()));
        say!(
            "{:<18} as seen: {} calls, {agents} agents, {talked} ms of talk, {all} ms of states",
            "records",
            seen.calls
        );
    }
    differ.len()
}

fn print(report: &Report, took: Duration, json: bool) -> Result<()> {
    if json {
        say!("{}", serde_json::to_string(report)?);
    } else {
        super::printing::print(format_args!("{report}"));
        say!("{:<18} {:.1} s", "real time", took.as_secs_f64());
    }
    Ok(())
}
