//! Whom first: what the ways of choosing an agent compare.
//!
//! A merit is a key that does not change while its agent is available, so that available agents can stand in ordered
//! sets. Two of them need a trick:
//!
//! - **Least occupied**: the share of his time that an agent talked, where time τ ago counts e⁻¹ as much as now. It
//!   fades for all alike, so its logarithm, moved to a common moment, is a number that stays: ln Σ (e^(b/τ) − e^(a/τ))
//!   over his conversations from a to b.
//! - **Weighted random**: an agent who becomes available draws a time at which he would be next, exponential with his
//!   weight as rate, counted from the last one that was taken. Of several such clocks each is the first with a
//!   probability of its rate's share (and stays so, since they do not remember), so the lowest is a fair lot.

use super::agent::Agent;
use super::{Router, Skills};
use crate::center::{self, Selection};
use crate::ids::{AgentId, Rng};
use crate::time::Instant;

/// Lowest first: what the queue's selection compares, then longest idle, then the lower number.
pub(super) type Merit = (i64, Instant, AgentId);

/// τ of occupancy.
const OCCUPANCY_FADES: f64 = 3_600e9;
/// Fixed point of logarithms and of drawn times.
const UNIT: f64 = 1e9;

impl Agent {
    /// His merit for work of `queue` that needs `skills`.
    pub(super) fn merit(&self, queue: &center::Queue, skills: &Skills) -> Merit {
        let level = |skill| i64::from(self.skills.get(skill).copied().unwrap_or_default());
        let first = match queue.selection {
            Selection::LongestIdle => 0,
            Selection::MostProficient => -skills.keys().map(level).sum::<i64>(),
            Selection::LeastOccupied => self.occupancy.unwrap_or(i64::MIN),
            Selection::FewestCalls => i64::from(self.conversations),
            Selection::LeastTalkTime => i64::try_from(self.talked.as_nanos()).unwrap_or(i64::MAX),
            Selection::RoundRobin => i64::try_from(self.last_offer).unwrap_or(i64::MAX),
            Selection::FixedOrder => i64::from(self.id.0),
            Selection::WeightedRandom => self.drawn.get(&queue.id).copied().unwrap_or_default(),
        };
        (first, self.idle_since, self.id)
    }

    /// A conversation from `since` to `now` is over.
    pub(super) fn talked_until(&mut self, now: Instant, since: Instant) {
        self.conversations += 1;
        self.talked += now.since(since);
        let (a, b) = (since.0 as f64 / OCCUPANCY_FADES, now.0 as f64 / OCCUPANCY_FADES);
        if b > a {
            let added = b + (-(a - b).exp()).ln_1p(); // ln (e^b − e^a)
            let before = self.occupancy.map(|fixed| fixed as f64 / UNIT);
            let sum = before.map_or(added, |old| old.max(added) + (-(old - added).abs()).exp().ln_1p());
            self.occupancy = Some((sum * UNIT) as i64);
        }
    }
}

impl Router {
    /// Draws the lots of an agent who becomes available.
    pub(super) fn draw(&mut self, id: AgentId) {
        let agent = self.agents.get_mut(&id).expect("only known agents draw");
        for (name, member) in &agent.queues {
            let queue = &self.queues[name];
            if queue.settings.selection == Selection::WeightedRandom {
                let lot = queue.drawn.saturating_add(lot(&mut self.rng, member.weight));
                agent.drawn.insert(name.clone(), lot);
            }
        }
    }
}

/// Exponential, with `weight` as rate.
fn lot(rng: &mut Rng, weight: u8) -> i64 {
    (-(1.0 - rng.unit()).ln() / f64::from(weight.max(1)) * UNIT) as i64
}

#[cfg(test)]
mod tests {
    use super::super::tests::center;
    use super::*;
    use std::time::Duration;

    fn agent() -> Agent {
        Agent::new(&center().agents[&AgentId(11)])
    }

    #[test]
    fn who_talked_a_larger_share_of_late_is_more_occupied_and_old_talk_fades() {
        let minutes = |m: u64| Instant::ZERO + Duration::from_secs(60 * m);
        let occupied = |talks: &[(u64, u64)]| {
            let mut agent = agent();
            talks.iter().for_each(|(from, to)| agent.talked_until(minutes(*to), minutes(*from)));
            agent.occupancy
        };
        // Each talks less, as seen from minute 300 on, than the next.
        let rows: [&[(u64, u64)]; 7] = [
            &[],
            &[(0, 60)],
            &[(290, 291)],
            &[(0, 60), (290, 291)],
            &[(200, 230)],
            &[(270, 290)],
            &[(200, 230), (270, 290)],
        ];
        for pair in rows.windows(2) {
            assert!(occupied(pair[0]) < occupied(pair[1]), "{pair:?}");
        }
        let (year, day) = (525_600, 1_440);
        assert!(occupied(&[(0, day)]) < occupied(&[(year, year + 1)]), "no overflow in a year");
    }

    #[test]
    fn lots_fall_by_weight() {
        let (mut rng, mut firsts) = (Rng::from_number(1), 0);
        for _ in 0..10_000 {
            firsts += u32::from(lot(&mut rng, 3) < lot(&mut rng, 1));
        }
        assert!((7_300..7_700).contains(&firsts), "{firsts} of 10,000 where 7,500 are due");
    }
}
