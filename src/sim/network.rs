//! The network between the phones and the engine: loss, duplication, delay, and with jitter reordering.
//!
//! Datagrams only; what arrives arrives unchanged. Audio does not pass here (see `media`).

use crate::ids::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How bad the network is, each way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Share of datagrams that never arrive (0 … 1).
    pub loss: f64,
    /// Share of datagrams that arrive twice (0 … 1).
    pub duplication: f64,
    /// The least that a datagram takes.
    pub delay: Duration,
    /// Up to so much is added, differently for each datagram: later ones overtake earlier ones.
    pub jitter: Duration,
}

impl Conditions {
    /// Nothing is lost, everything takes 10 ms.
    pub fn clean() -> Conditions {
        Conditions { loss: 0.0, duplication: 0.0, delay: Duration::from_millis(10), jitter: Duration::ZERO }
    }

    /// A network as good or bad as the generator wants it.
    pub fn drawn(rng: &mut Rng) -> Conditions {
        let mut one_of = |choices: &[f64]| choices[rng.below(choices.len() as u64) as usize];
        Conditions {
            loss: one_of(&[0.0, 0.001, 0.01, 0.05, 0.15]),
            duplication: one_of(&[0.0, 0.0, 0.01, 0.05]),
            delay: Duration::from_secs_f64(one_of(&[0.001, 0.01, 0.04, 0.12])),
            jitter: Duration::from_secs_f64(one_of(&[0.0, 0.002, 0.03, 0.15])),
        }
    }
}

/// What the network did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub sent: u64,
    pub lost: u64,
    pub duplicated: u64,
}

/// The network.
#[derive(Clone, Debug)]
pub struct Network {
    conditions: Conditions,
    rng: Rng,
    counts: Counts,
}

impl Network {
    pub fn new(conditions: Conditions, rng: Rng) -> Network {
        Network { conditions, rng, counts: Counts::default() }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// How long a datagram and its copy take; `None` for what does not arrive. `lost` decides instead of chance.
    pub fn carry(&mut self, lost: bool) -> [Option<Duration>; 2] {
        self.counts.sent += 1;
        if lost || self.rng.chance(self.conditions.loss) {
            self.counts.lost += 1;
            return [None, None];
        }
        let first = Some(self.travel());
        let copied = self.rng.chance(self.conditions.duplication);
        self.counts.duplicated += u64::from(copied);
        [first, copied.then(|| self.travel())]
    }

    fn travel(&mut self) -> Duration {
        self.conditions.delay + self.conditions.jitter.mul_f64(self.rng.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_as_bad_as_it_was_told() {
        let conditions = Conditions { loss: 0.1, duplication: 0.05, ..Conditions::clean() };
        let mut network = Network::new(conditions, Rng::from_number(1));
        let arrivals: usize = (0..10_000).map(|_| network.carry(false).iter().flatten().count()).sum();
        let Counts { sent, lost, duplicated } = network.counts();
        assert_eq!(arrivals as u64, sent - lost + duplicated);
        assert!((900..1100).contains(&lost) && (380..520).contains(&duplicated), "{lost} lost, {duplicated} twice");
        assert_eq!(network.carry(true), [None, None]);
    }

    #[test]
    fn a_clean_network_keeps_the_order() {
        let mut network = Network::new(Conditions::clean(), Rng::from_number(2));
        let all: Vec<_> = (0..100).map(|_| network.carry(false)).collect();
        assert!(all.iter().all(|a| *a == [Some(Duration::from_millis(10)), None]));
    }
}
