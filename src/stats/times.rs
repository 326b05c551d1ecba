//! How many times, how long in all, and how many up to each bound.

use super::family::{Family, Kind, Sample, Value};
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    count: u64,
    sum: Duration,
    /// By the bounds of its family; empty before the first.
    up_to: Vec<u64>,
}

impl Times {
    /// `family` is the one that it will be a sample of.
    pub fn add(&mut self, family: &Family, time: Duration) {
        let bounds = bounds(family);
        self.count += 1;
        self.sum += time;
        self.up_to.resize(bounds.len(), 0);
        for (count, bound) in self.up_to.iter_mut().zip(bounds) {
            *count += u64::from(time.as_secs_f64() <= *bound);
        }
    }

    pub fn sample<const N: usize>(&self, family: &'static Family, labels: [&str; N]) -> Sample {
        let mut up_to = self.up_to.clone();
        up_to.resize(bounds(family).len(), 0);
        family.series(labels, Value::Spread { up_to, count: self.count, sum: self.sum.as_secs_f64() })
    }
}

fn bounds(family: &Family) -> &'static [f64] {
    match family.kind {
        Kind::Histogram(bounds) => bounds,
        _ => panic!("{} has no buckets", family.name),
    }
}
