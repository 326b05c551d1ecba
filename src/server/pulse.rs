//! What the engine's thread costs, counted by it and read by others without waiting for it.

use crate::stats::families::{ENGINE_BACKLOG, ENGINE_BUSY, ENGINE_STEP};
use crate::stats::{Kind, Sample, Value};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// More than a histogram of ours has.
const BUCKETS: usize = 16;

/// How long single things took. One thread adds, any may read; a reader may miss the one that is being added.
#[derive(Debug, Default)]
pub struct Spread {
    /// By the first bound that it is within; beyond all bounds only in `count`.
    within: [AtomicU64; BUCKETS],
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Spread {
    /// `bounds` of the family that it will be a sample of.
    pub fn add(&self, bounds: &[f64], time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(place) = bounds.iter().position(|bound| seconds <= *bound) {
            self.within[place].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn value(&self, bounds: &[f64]) -> Value {
        let sums = self.within.iter().take(bounds.len()).scan(0, |sum, n| {
            *sum += n.load(Relaxed);
            Some(*sum)
        });
        Value::Spread { up_to: sums.collect(), count: self.count.load(Relaxed), sum: self.seconds() }
    }

    fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64()
    }
}

/// The bounds of a histogram's buckets.
pub fn bounds(kind: Kind) -> &'static [f64] {
    match kind {
        Kind::Histogram(bounds) => bounds,
        _ => &[],
    }
}

#[derive(Debug, Default)]
pub struct Pulse {
    steps: Spread,
    /// Nanoseconds in which what the steps said was sent, many at once.
    sending: AtomicU64,
    /// Datagrams that were read and wait to be handled.
    datagrams: AtomicU64,
}

impl Pulse {
    pub fn step(&self, took: Duration) {
        self.steps.add(bounds(ENGINE_STEP.kind), took);
    }

    pub fn sent(&self, took: Duration) {
        self.sending.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn busy(&self) -> f64 {
        self.steps.seconds() + Duration::from_nanos(self.sending.load(Relaxed)).as_secs_f64()
    }

    /// How many there were.
    pub fn steps(&self) -> u64 {
        self.steps.count.load(Relaxed)
    }

    pub fn waiting(&self, datagrams: usize) {
        self.datagrams.store(datagrams as u64, Relaxed);
    }

    /// `messages`: that wait in the inbox.
    pub fn samples(&self, messages: u64) -> Vec<Sample> {
        vec![
            ENGINE_STEP.series([], self.steps.value(bounds(ENGINE_STEP.kind))),
            ENGINE_BUSY.sample([], self.busy()),
            ENGINE_BACKLOG.count(["datagrams"], self.datagrams.load(Relaxed)),
            ENGINE_BACKLOG.count(["messages"], messages),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_in_its_bucket_and_in_the_sum() {
        let pulse = Pulse::default();
        [5, 20, 20, 2_000_000].into_iter().for_each(|us| pulse.step(Duration::from_micros(us)));
        pulse.sent(Duration::from_millis(500));
        pulse.waiting(7);
        let samples = pulse.samples(3);
        let Value::Spread { up_to, count, sum } = &samples[0].value else { panic!("{samples:?}") };
        assert_eq!((up_to[0], up_to[1], up_to.last(), *count), (1, 3, Some(&3), 4));
        assert_eq!((*sum, samples[1].value.clone()), (2.000_045, Value::Number(2.500_045)));
        assert_eq!([&samples[2].value, &samples[3].value], [&Value::Number(7.0), &Value::Number(3.0)]);
    }

    #[test]
    fn every_histogram_that_is_counted_here_has_room() {
        for family in [&ENGINE_STEP, &crate::stats::families::LOG_COMMIT_TIME] {
            assert!((1..=BUCKETS).contains(&bounds(family.kind).len()), "{}", family.name);
        }
    }
}
