//! What a run says in the end.

use super::checks::{Check, Failure};
use super::host::WALL;
use super::network::Counts;
use super::summary::{Summary, THRESHOLD};
use super::{Options, Repeated, Seen, World};
use crate::event::Event;
use crate::ids::CallId;
use crate::time::Instant;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// How many events are shown after a failure.
const SHOWN: usize = 40;

/// A run, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub agents: u32,
    /// Virtual time from the first to the last thing that came to pass.
    pub virtual_time: Duration,
    pub summary: Summary,
    pub service_level: f64,
    pub occupancy: f64,
    pub events: u64,
    /// SHA-256 over the log: the same seed gives the same value.
    pub log_hash: String,
    /// What the engine was given.
    pub inputs: u64,
    /// SIP messages that the engine sent again.
    pub retransmissions: u64,
    pub network: Counts,
    /// What was seen of desktops.
    pub desktops: Seen,
    /// What was seen of their commands.
    pub repeated: Repeated,
    /// How often the engine was killed and started anew.
    pub crashes: u32,
    /// Events that died with it before they were safe.
    pub lost: u64,
    /// Steps of the engine that panicked, its repairs, and calls that ended by a defect of ours.
    pub panics: u64,
    pub repairs: u64,
    pub defects: u64,
    pub checks: Vec<(Check, u64)>,
    pub failure: Option<Failure>,
    /// After a failure: the last events, and the call concerned.
    pub story: Vec<String>,
}

impl Report {
    /// Whether every check held. A check that never ran has not held.
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.never_ran().next().is_none()
    }

    /// The checks that never ran.
    pub fn never_ran(&self) -> impl Iterator<Item = Check> + '_ {
        self.checks.iter().filter(|(_, times)| *times == 0).map(|(check, _)| *check)
    }

    pub fn checks_run(&self) -> u64 {
        self.checks.iter().map(|(_, times)| times).sum()
    }
}

impl World {
    /// What has come out so far; where a folder folds, what is settled ([`World::settle`]).
    pub fn report(&self) -> Report {
        let Options { seed, agents, .. } = self.options;
        let live = self.engine.as_ref().map_or(0, |engine| engine.sip().stats().retransmissions_sent);
        let failure = self.tally.failure().cloned();
        let fold = self.books.fold();
        Report {
            seed,
            agents,
            virtual_time: self.now.since(Instant::ZERO),
            service_level: fold.summary.service_level(),
            occupancy: fold.summary.occupancy(),
            summary: fold.summary.clone(),
            events: self.books.written(),
            log_hash: fold.fingerprint(),
            inputs: self.inputs,
            retransmissions: self.retransmissions + live,
            network: self.network.counts(),
            desktops: self.desktops.seen.clone(),
            repeated: self.asking.seen.clone(),
            crashes: self.epoch - 1,
            lost: self.books.lost,
            panics: fold.panics,
            repairs: fold.repairs,
            defects: fold.defects,
            checks: self.tally.counts().zip(fold.tally.counts()).map(|((check, a), (_, b))| (check, a + b)).collect(),
            story: failure.as_ref().map(|failure| self.story(failure)).unwrap_or_default(),
            failure,
        }
    }

    fn story(&self, failure: &Failure) -> Vec<String> {
        let words = failure.what.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let call: Option<CallId> = words.filter_map(|word| word.parse().ok()).next();
        // Where a folder folds, the log may have gone on.
        let until = WALL + failure.after;
        let last = || self.books.last().filter(|event| event.at <= until);
        let of_call: Vec<&Event> = last().filter(|event| event.call == call && call.is_some()).collect();
        let mut story: Vec<String> = last().rev().take(SHOWN).map(told).collect();
        story.reverse();
        if let Some(call) = call {
            story.push(format!("all of {call}:"));
            story.extend(of_call.into_iter().map(told));
        }
        story
    }
}

fn told(event: &Event) -> String {
    let call = event.call.map(|call| call.to_string()).unwrap_or_default();
    format!("{:>7} {} {call} {:?}", event.seq, event.at, event.what)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, d) = (&self.summary, &self.desktops);
        let secs = |d: Duration| format!("{:.1} s", d.as_secs_f64());
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let level = format!("{} within {} (A_T / (A + B − B_s))", percent(self.service_level), secs(THRESHOLD));
        let rows = [
            ("seed", self.seed.to_string()),
            ("agents", self.agents.to_string()),
            ("virtual time", format!("{:.2} h", self.virtual_time.as_secs_f64() / 3_600.0)),
            ("calls", s.calls.to_string()),
            ("offered to queues", s.offered.to_string()),
            ("answered", s.answered.to_string()),
            ("abandoned", format!("{} ({} of them short)", s.abandoned, s.short_abandoned)),
            ("sent on", s.diverted.to_string()),
            ("service level", level),
            ("mean wait", secs(s.mean_wait())),
            ("longest wait", secs(Duration::from_millis(s.longest_wait_ms))),
            ("handling time", secs(s.handling_time())),
            ("occupancy", percent(self.occupancy)),
            ("engine inputs", self.inputs.to_string()),
            (
                "SIP messages",
                format!("{} ({} lost, {} twice)", self.network.sent, self.network.lost, self.network.duplicated),
            ),
            ("sent again", self.retransmissions.to_string()),
            (
                "told at desktops",
                format!("{} (resumed {}, too slow {}, lost {})", d.told, d.resumed, d.too_slow, d.lost),
            ),
            ("asked again", format!("{} ({} after a kill)", self.repeated.known, self.repeated.after_a_kill)),
            (
                "engine killed",
                format!("{} ({} events that were not on disk yet lost with it)", self.crashes, self.lost),
            ),
            ("checks run", self.checks_run().to_string()),
            ("events", self.events.to_string()),
            ("log", self.log_hash.clone()),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<18} {value}")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "\nFAILED with seed {}: {failure}", self.seed)?;
            self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        for check in self.never_ran() {
            writeln!(
                f,
                "note: nothing came up that {check:?} could check; more agents, hours or calls would bring it"
            )?;
        }
        Ok(())
    }
}
