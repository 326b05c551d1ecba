//! `tierline simulate`: a simulated day, with progress while it runs and the time it took.

use super::clock::Clock;
use crate::server::printing::say;
use crate::sim::ledger::{self, Sums};
use crate::sim::{Options, Report, World};
use crate::time::Instant;
use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How much simulated time passes between two lines of progress.
const STRIDE: Duration = Duration::from_secs(15 * 60);

/// Runs a world to its end and prints what came out; true if every check held. With `records`, the records of its log
/// are compared with what was seen.
pub fn run(options: Options, records: bool, json: bool) -> Result<bool> {
    let (clock, hours) = (Clock::start(), options.duration);
    let mut world = World::new(options);
    if records {
        world.keep_ledger();
    }
    world.open();
    let mut until = Instant::ZERO;
    while until.since(Instant::ZERO) < hours {
        until = until + STRIDE;
        world.run_until(until);
        progress(until, hours);
    }
    world.finish();
    let report = world.report();
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
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

/// Only for people who watch: nothing is written where output is collected.
fn progress(until: Instant, hours: Duration) {
    if std::io::stderr().is_terminal() {
        let hour = |d: Duration| d.as_secs_f64() / 3600.0;
        let passed = until.since(Instant::ZERO).min(hours);
        eprint!("\rsimulated {:.2} of {:.2} h ", hour(passed), hour(hours));
        _ = std::io::stderr().flush();
    }
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
