//! What must always hold: the list of checks, and the tally of how often each one ran.
//!
//! A check that never runs proves nothing: a run in which one never ran has failed. For each one a bug
//! planted in the engine (`engine::Bug`) or a corrupted fold in the tests shows that it can fail.

use crate::time::Instant;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Events are numbered without gaps, over crashes as well.
    Gapless,
    /// Every `CallArrived` has exactly one `CallEnded`, after which nothing is said about the call.
    CallEndsOnce,
    /// Every leg is cleared exactly once, before its call ends; how it was heard is told after that.
    LegClearedOnce,
    /// Every `Delivered` has exactly one `OfferEnded`.
    OfferEndsOnce,
    /// A work is accepted by one agent at most.
    OneAnswer,
    /// Each change of an agent's state begins where the one before ended: his intervals add up.
    IntervalsAddUp,
    /// The log holds no number, digit or address.
    NoPersonalText,
    /// The engine never had to repair itself.
    NoRepair,
    /// Who was sent on by an agent waits at once, or the call is over.
    SentOnWaits,
    /// The wait that was served before a transfer, or before the agent was lost, counts after it, and a line that is full
    /// meanwhile turns nobody away who comes back.
    WaitKept,
    /// A desktop is told each event that concerns it once and in order, over cut streams and kills of either side.
    ToldOnce,
    /// A command that comes again with its key is carried out once, over lost answers and kills of the engine, and its answer
    /// is the same and true.
    DoneOnce,
    /// Who has logged in at a desktop that is gone for the length of its lease gets no calls; who is back is not held as
    /// lost.
    LeaseKept,
    /// A reserved agent has exactly one leg that rings, and the reverse.
    ReservedRings,
    /// A busy agent has a call, and the reverse.
    BusyTalks,
    /// What waits in the router are the calls that seek.
    WaitingAgrees,
    /// Nobody eligible waits while an agent is ready.
    NobodyWaits,
    /// The router's own invariants.
    RouterSound,
    /// Two ports are bridged exactly if their parties talk, and a port is in one bridge at most.
    BridgesMatch,
    /// A port is open exactly as long as it has a leg.
    PortsMatch,
    /// Who talks hears the other one, in both directions.
    TalkersHear,
    /// A leg that is over is over for its phone too.
    PeerHangsUp,
    /// No phone rings for ever.
    RingingEnds,
    /// What a trunk has in use are the legs that run over it, no more than it may; an outside party is in one call.
    TrunksAgree,
    /// An outside party who is called joins, or the transfer fails, or the call ends; and nothing else comes between.
    OutsideEndsOnce,
    /// A call goes out over one trunk at a time, and over none twice.
    TrunksTakeTurns,
    /// A carrier that wants proof of who calls gets the right one, and only what it refused is said to be refused.
    ProofGiven,
    /// A carrier that wants a registration has one, and what is said of it is so.
    Registered,
    /// No phone that has left a request unanswered is offered a call.
    DeadNotRung,
    /// In the end there are no calls, timers, ports or dialogs left.
    Quiet,
}

impl Check {
    pub const ALL: [Check; 30] = [
        Check::Gapless,
        Check::CallEndsOnce,
        Check::LegClearedOnce,
        Check::OfferEndsOnce,
        Check::OneAnswer,
        Check::IntervalsAddUp,
        Check::NoPersonalText,
        Check::NoRepair,
        Check::SentOnWaits,
        Check::WaitKept,
        Check::ToldOnce,
        Check::DoneOnce,
        Check::LeaseKept,
        Check::ReservedRings,
        Check::BusyTalks,
        Check::WaitingAgrees,
        Check::NobodyWaits,
        Check::RouterSound,
        Check::BridgesMatch,
        Check::PortsMatch,
        Check::TalkersHear,
        Check::PeerHangsUp,
        Check::RingingEnds,
        Check::TrunksAgree,
        Check::OutsideEndsOnce,
        Check::TrunksTakeTurns,
        Check::ProofGiven,
        Check::Registered,
        Check::DeadNotRung,
        Check::Quiet,
    ];
}

/// A check that did not hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    pub check: Check,
    /// Since the run began.
    pub after: Duration,
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} does not hold after {:.3} s: {}", self.check, self.after.as_secs_f64(), self.what)
    }
}

/// How often each check ran, and the first one that failed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    now: Instant,
    counts: [u64; Check::ALL.len()],
    failure: Option<Failure>,
}

impl Tally {
    /// What is checked from here on happens at this time.
    pub fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// Counts one run of `check`; returns `holds`.
    pub fn must(&mut self, check: Check, holds: bool, what: impl FnOnce() -> String) -> bool {
        self.counts[check as usize] += 1;
        if !holds && self.failure.is_none() {
            self.failure = Some(Failure { check, after: self.now.since(Instant::ZERO), what: what() });
        }
        holds
    }

    /// Another tally has failed: whichever failed first counts.
    pub fn learn(&mut self, other: Option<&Failure>) {
        let first = |other: &&Failure| self.failure.as_ref().is_none_or(|own| other.after < own.after);
        if let Some(other) = other.filter(first) {
            self.failure = Some(other.clone());
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Each check with the number of times it ran.
    pub fn counts(&self) -> impl Iterator<Item = (Check, u64)> + '_ {
        Check::ALL.into_iter().map(|check| (check, self.counts[check as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_place_in_the_tally() {
        assert!(Check::ALL.iter().enumerate().all(|(place, check)| *check as usize == place));
    }

    #[test]
    fn the_first_failure_is_kept_and_all_are_counted() {
        let mut tally = Tally::default();
        tally.at(Instant(5_000_000_000));
        assert!(tally.must(Check::Quiet, true, || unreachable!("it holds")));
        assert!(!tally.must(Check::OneAnswer, false, || "two".to_owned()));
        tally.must(Check::Quiet, false, || "later".to_owned());
        assert_eq!(tally.failure().unwrap().to_string(), "OneAnswer does not hold after 5.000 s: two");
        let ran: Vec<_> = tally.counts().filter(|(_, n)| *n > 0).collect();
        assert_eq!(ran, [(Check::OneAnswer, 1), (Check::Quiet, 2)]);
    }
}
