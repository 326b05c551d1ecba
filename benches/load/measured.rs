//! What was measured of one way of doing the work, round by round.

use super::table::Spread;
use super::traffic::Heard;
use std::time::Duration;

/// One way of doing the work, over all rounds.
#[derive(Default)]
pub struct Measured {
    /// Of each round, in microseconds a packet.
    rounds: Vec<f64>,
    /// Of all rounds, in microseconds: delays of what was forwarded, and how far from 20 ms after one another packets
    /// were played.
    pub delays: Vec<u32>,
    pub jitters: Vec<u32>,
    pub sent: u64,
    pub forwarded: u64,
    pub played: u64,
}

impl Measured {
    pub fn lost(&self) -> String {
        format!("{} of {}", self.sent.saturating_sub(self.forwarded), self.sent)
    }

    pub fn delay(&mut self) -> Spread {
        Spread::of(&mut self.delays)
    }

    pub fn cpu(&self) -> f64 {
        middle(self.rounds.clone())
    }

    /// How many times as much as `other` it took in the same minute.
    pub fn ratio(&self, other: &Measured) -> f64 {
        middle(self.rounds.iter().zip(&other.rounds).map(|(ours, theirs)| ours / theirs).collect())
    }

    pub fn add(&mut self, used: Duration, heard: Heard) -> f64 {
        let cpu = micros(used, heard.forwarded + heard.played);
        self.rounds.push(cpu);
        self.delays.extend(heard.delays);
        self.jitters.extend(heard.jitters);
        self.sent += heard.sent;
        self.forwarded += heard.forwarded;
        self.played += heard.played;
        cpu
    }
}

/// The middle one of them.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of each of so many.
pub fn micros(used: Duration, count: u64) -> f64 {
    used.as_secs_f64() * 1e6 / count.max(1) as f64
}
