//! The numbers under their public names.

use super::{QueueNumbers, Stats, THRESHOLD, Times, WAIT_BUCKETS_S};
use crate::event::{AgentMode, DivertReason, OfferOutcome, Phase};
use crate::ids::AgentId;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// One number with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    pub kind: Kind,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at each start; a whole number.
    Counter,
    Gauge,
}

impl Sample {
    pub fn counter(name: &'static str, help: &'static str, labels: &[(&'static str, String)], value: u64) -> Sample {
        Sample { name, help, kind: Kind::Counter, labels: labels.to_vec(), value: value as f64 }
    }

    pub fn gauge(name: &'static str, help: &'static str, labels: &[(&'static str, String)], value: f64) -> Sample {
        Sample { name, help, kind: Kind::Gauge, labels: labels.to_vec(), value }
    }
}

const PHASES: [Phase; 5] = [Phase::Arriving, Phase::InFlow, Phase::Queued, Phase::Alerting, Phase::Connected];

const MODES: [AgentMode; 6] = [
    AgentMode::LoggedOut,
    AgentMode::NotReady,
    AgentMode::Ready,
    AgentMode::Reserved,
    AgentMode::Busy,
    AgentMode::WrapUp,
];

const OUTCOMES: [OfferOutcome; 7] = [
    OfferOutcome::Accepted,
    OfferOutcome::Declined,
    OfferOutcome::NoAnswer,
    OfferOutcome::Unreachable,
    OfferOutcome::CallerLeft,
    OfferOutcome::Withdrawn,
    OfferOutcome::Failed,
];

const DIVERSIONS: [DivertReason; 5] =
    [DivertReason::Full, DivertReason::MaxWait, DivertReason::Refused, DivertReason::NoStaff, DivertReason::LongWait];

impl Stats {
    /// All numbers as they are now. The same state gives the same samples in the same order.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        let mut out = Vec::new();
        self.calls(&mut out);
        for (queue, numbers) in &self.queues {
            let waits = self.running.values().flat_map(|call| &call.waits);
            let waiting = waits.filter(|wait| wait.queue == *queue).count();
            numbers.samples(&queue.to_string(), waiting, &mut out);
        }
        out.into_iter()
    }

    fn calls(&self, out: &mut Vec<Sample>) {
        for (line, count) in &self.arrived {
            let line = line.as_ref().map_or("(short code)".to_string(), ToString::to_string);
            let help = "Calls admitted, by the line that was dialed.";
            out.push(Sample::counter("tierline_calls_arrived_total", help, &[("line", line)], *count));
        }
        for ((phase, cause), count) in &self.ended {
            let labels = [("phase", snake(phase)), ("cause", snake(cause))];
            let help = "Calls that ended, by how far they had come and why they ended.";
            out.push(Sample::counter("tierline_calls_ended_total", help, &labels, *count));
        }
        let phases = count(self.running.values().map(|call| call.phase()));
        for phase in PHASES {
            let now = phases.get(&phase).copied().unwrap_or(0) as f64;
            out.push(Sample::gauge("tierline_calls", "Calls that run now.", &[("phase", snake(&phase))], now));
        }
        let states = count(self.agents.iter().map(|(id, mode)| self.presence(*id, *mode)));
        for state in MODES.map(Some).into_iter().chain([None]) {
            let now = states.get(&state).copied().unwrap_or(0) as f64;
            let label = state.map_or("unreachable".to_owned(), |mode| snake(&mode));
            out.push(Sample::gauge("tierline_agents", "Agents by state now.", &[("state", label)], now));
        }
        for outcome in OUTCOMES {
            let count = self.offers.get(&outcome).copied().unwrap_or(0);
            let help = "Agents' phones that were rung, by how it ended.";
            out.push(Sample::counter("tierline_offers_total", help, &[("outcome", snake(&outcome))], count));
        }
        let help = "Times that an inner error ended a call or made the engine rebuild a machine.";
        out.push(Sample::counter("tierline_repairs_total", help, &[], self.repairs));
    }
}

impl Stats {
    /// `None`: he would be at work, but his phone does not answer, so that no caller may be promised to him. Who is
    /// on a break or logged out is that first.
    fn presence(&self, agent: AgentId, mode: AgentMode) -> Option<AgentMode> {
        let away = matches!(mode, AgentMode::LoggedOut | AgentMode::NotReady);
        Some(mode).filter(|_| away || !self.unreachable.contains(&agent))
    }
}

impl QueueNumbers {
    fn samples(&self, queue: &str, waiting: usize, out: &mut Vec<Sample>) {
        let label = [("queue", queue.to_string())];
        let timed = [label[0].clone(), ("threshold_seconds", THRESHOLD.as_secs().to_string())];
        let mut counter = |name, help, labels: &[_], value| out.push(Sample::counter(name, help, labels, value));
        counter("tierline_queue_offered_total", "Callers who began to wait.", &label, self.offered);
        let help = "Callers who wait again because the agent's phone was lost.";
        counter("tierline_queue_requeued_total", help, &label, self.requeued);
        counter("tierline_queue_answered_total", "Callers who got an agent.", &label, self.answered);
        let help = "Callers who got an agent within the threshold.";
        counter("tierline_queue_answered_within_threshold_total", help, &timed, self.answered_in_time);
        counter("tierline_queue_abandoned_total", "Callers who left while waiting.", &label, self.abandoned);
        let help = "Callers who left while waiting, within the threshold.";
        counter("tierline_queue_abandoned_within_threshold_total", help, &timed, self.abandoned_in_time);
        let help = "Callers who left sooner than the queue's short abandon time.";
        counter("tierline_queue_abandoned_short_total", help, &label, self.abandoned_short);
        let help = "Waits that ended with the call, not by the caller.";
        counter("tierline_queue_lost_total", help, &label, self.lost);
        for why in DIVERSIONS {
            let labels = [label[0].clone(), ("reason", snake(&why))];
            let count = self.diverted.get(&why).copied().unwrap_or(0);
            counter("tierline_queue_diverted_total", "Callers sent on without an agent.", &labels, count);
        }
        counter("tierline_queue_talk_seconds_count", "Talks with agents that are over.", &label, self.talks);
        let talk = self.talk.as_secs_f64();
        out.push(Sample::gauge(
            "tierline_queue_talk_seconds_sum",
            "Time talked, of talks that are over.",
            &label,
            talk,
        ));
        out.push(Sample::gauge("tierline_queue_waiting", "Callers who wait now.", &label, waiting as f64));
        self.waits_answered.samples(&WAITS, queue, "answered", out);
        self.waits_abandoned.samples(&WAITS, queue, "abandoned", out);
        self.longer.samples(&TOLD, queue, "longer", out);
        self.shorter.samples(&TOLD, queue, "shorter", out);
        if let Some(level) = self.service_level() {
            let labels = [timed[0].clone(), timed[1].clone(), ("formula", "A_T/(A+B-B_s)".to_string())];
            let help = "Share of callers answered within the threshold, since the start.";
            out.push(Sample::gauge("tierline_queue_service_level_ratio", help, &labels, level));
        }
    }
}

/// What a histogram is called: its label beside the queue, and the names and helps of buckets, count and sum.
struct Named {
    label: &'static str,
    bucket: (&'static str, &'static str),
    count: (&'static str, &'static str),
    sum: (&'static str, &'static str),
}

const WAITS: Named = Named {
    label: "outcome",
    bucket: ("tierline_queue_wait_seconds_bucket", "Waits up to the bound, by how they ended."),
    count: ("tierline_queue_wait_seconds_count", "Waits, by how they ended."),
    sum: ("tierline_queue_wait_seconds_sum", "Time waited, by how the waits ended."),
};

const TOLD: Named = Named {
    label: "wait",
    bucket: (
        "tierline_queue_told_wait_error_seconds_bucket",
        "Answered waits that were longer or shorter than the flow first said, up to the bound.",
    ),
    count: (
        "tierline_queue_told_wait_error_seconds_count",
        "Answered waits that were longer or shorter than the flow first said.",
    ),
    sum: ("tierline_queue_told_wait_error_seconds_sum", "By how much in all."),
};

impl Times {
    fn samples(&self, named: &Named, queue: &str, which: &str, out: &mut Vec<Sample>) {
        let labels = [("queue", queue.to_string()), (named.label, which.to_string())];
        let bounds = WAIT_BUCKETS_S.iter().map(ToString::to_string).chain(["+Inf".to_string()]);
        for (bound, count) in bounds.zip(self.up_to.into_iter().chain([self.count])) {
            let labels = [labels[0].clone(), labels[1].clone(), ("le", bound)];
            out.push(Sample::counter(named.bucket.0, named.bucket.1, &labels, count));
        }
        out.push(Sample::counter(named.count.0, named.count.1, &labels, self.count));
        out.push(Sample::gauge(named.sum.0, named.sum.1, &labels, self.sum.as_secs_f64()));
    }
}

fn count<K: Ord>(items: impl Iterator<Item = K>) -> BTreeMap<K, u64> {
    items.fold(BTreeMap::new(), |mut counts, item| {
        *counts.entry(item).or_default() += 1;
        counts
    })
}

/// A variant's name as a label: `CallerHungUp` → `caller_hung_up`.
fn snake(variant: &impl Debug) -> String {
    let mut label = String::new();
    for c in format!("{variant:?}").chars() {
        if c.is_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.extend(c.to_lowercase());
    }
    label
}
