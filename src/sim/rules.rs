//! Rules of routing as a planner may have written them, drawn from a seed: each queue selects, rings, ages, relaxes
//! and wraps up in its own way.

use crate::center::{Ageing, Center, Queue, Relaxation, RingPlan, Selection, WrapUp};
use crate::ids::{Rng, SkillId};
use std::time::Duration;

/// Gives each queue and each membership rules of its own.
pub fn draw(center: &mut Center, rng: &mut Rng) {
    center.queues.values_mut().for_each(|queue| queue_rules(queue, rng));
    for agent in center.agents.values_mut() {
        for membership in agent.queues.values_mut() {
            membership.order = 1 + rng.below(3) as u8;
            membership.weight = 1 + rng.below(5) as u8;
            membership.delay = if rng.chance(0.2) { seconds(rng, 1, 30) } else { Duration::ZERO };
        }
    }
}

fn queue_rules(queue: &mut Queue, rng: &mut Rng) {
    let (_, selection) = Selection::NAMES[rng.below(Selection::NAMES.len() as u64) as usize];
    queue.selection = selection;
    queue.ring = match rng.below(6) {
        0 => RingPlan::Several(2 + rng.below(3) as u32),
        1 => RingPlan::All,
        2 => RingPlan::Progressive { every: seconds(rng, 2, 6), most: 3 },
        _ => RingPlan::One,
    };
    queue.wrap_up = match rng.below(5) {
        0 => WrapUp::None,
        1 => WrapUp::Limited(seconds(rng, 5, 20)),
        2 => WrapUp::OnRequest(seconds(rng, 5, 20)),
        _ => queue.wrap_up,
    };
    queue.strict = rng.chance(0.2);
    if rng.chance(0.4) {
        let (first, second) = (seconds(rng, 10, 60), seconds(rng, 61, 120));
        queue.ageing = vec![Ageing { after: first, points: 3 }, Ageing { after: second, points: -1 }];
    }
    if rng.chance(0.6) {
        let expert = SkillId::new("expert");
        let lower = Relaxation {
            after: seconds(rng, 5, 30),
            if_expected_wait: rng.chance(0.5).then(|| seconds(rng, 1, 60)),
            remove: Vec::new(),
            lower: [(expert.clone(), 2)].into(),
        };
        let gone = Relaxation {
            after: seconds(rng, 31, 60),
            if_expected_wait: None,
            remove: vec![expert],
            lower: Default::default(),
        };
        queue.relax = vec![lower, gone];
    }
    queue.max_expected_wait = rng.chance(0.2).then(|| seconds(rng, 60, 300));
    queue.no_staff_after = rng.chance(0.3).then(|| seconds(rng, 5, 60));
    if rng.chance(0.2) {
        queue.max_waiting = 1 + rng.below(3) as u32;
    }
    if rng.chance(0.2) {
        queue.max_wait = seconds(rng, 20, 60);
    }
}

fn seconds(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_secs(from + rng.below(to - from + 1))
}
