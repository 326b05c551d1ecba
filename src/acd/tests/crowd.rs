//! Seeded crowds: random inputs break no rule, and when they end the router comes to rest.

use super::*;
use crate::center::{Ageing, Membership, Relaxation, RingPlan, Selection};
use std::collections::BTreeSet;

/// What the outputs so far add up to.
#[derive(Default)]
struct Ledger {
    open: BTreeSet<ReservationId>,
    waiting: BTreeSet<WorkId>,
    states: BTreeMap<AgentId, AgentState>,
    unreachable: BTreeSet<AgentId>,
    accepted: u64,
}

impl Ledger {
    /// Every reservation begins once and ends once, every work is accepted at most once, states are a chain.
    fn enter(&mut self, output: &Output) {
        match output {
            Output::Offered { reservation, work, .. } => {
                assert!(self.open.insert(*reservation) && self.waiting.contains(work), "{output:?}");
            }
            Output::Withdrawn { reservation, .. } => assert!(self.open.remove(reservation), "{output:?}"),
            Output::Accepted { reservation, work, .. } => {
                self.accepted += 1;
                assert!(self.open.remove(reservation) && self.waiting.remove(work), "{output:?}");
            }
            Output::Expired { work } | Output::Rejected { work, .. } => {
                assert!(self.waiting.remove(work), "{output:?}")
            }
            Output::State { agent, from, to, .. } => {
                let before = self.states.insert(*agent, to.clone()).unwrap_or(AgentState::LoggedOut);
                assert!(before == *from && from != to, "{output:?} after {before:?}");
                if *to == AgentState::LoggedOut {
                    self.unreachable.remove(agent);
                }
            }
            Output::Reachable { agent, reachable } => {
                let changes = if *reachable { self.unreachable.remove(agent) } else { self.unreachable.insert(*agent) };
                assert!(changes, "{output:?} again");
            }
        }
    }
}

fn some_input(rng: &mut Rng, ledger: &mut Ledger, now: Instant) -> Input {
    let agent = AgentId(11 + rng.below(4) as u32);
    let work = WorkId(1 + rng.below(8));
    let queue = QueueId::new(["support", "sales", "vip"][rng.below(3) as usize]);
    let open = ledger.open.iter().nth(rng.below(1 + ledger.open.len() as u64) as usize).copied();
    let reservation = open.unwrap_or(ReservationId(1 + rng.below(50)));
    let change = |change| Input::Agent { agent, change };
    match rng.below(20) {
        0..5 => {
            ledger.waiting.insert(work);
            let skills = skills(["", "", "french=5", "french=9 german=1", "german=9"][rng.below(5) as usize]);
            let arrived = Instant(now.0.saturating_sub(rng.below(120) * 1_000_000_000));
            let mut some_agent = |p| rng.chance(p).then(|| AgentId(11 + rng.below(5) as u32));
            let (preferred, excluded) = (some_agent(0.2), some_agent(0.1).into_iter().collect());
            let position = rng.chance(0.1).then(|| rng.below(5) as u32);
            let place = Place { preferred, excluded, position, ..Place::new(work, queue, now) };
            Input::Enqueue(Place { priority: rng.below(4) as i32 - 1, skills, arrived, ..place })
        }
        5 => {
            ledger.waiting.remove(&work);
            Input::Dequeue { work }
        }
        6..11 => Input::Accept { reservation },
        11 => {
            ledger.open.remove(&reservation);
            let why = [Refusal::Declined, Refusal::NoAnswer, Refusal::Unreachable, Refusal::Busy];
            Input::Refuse { reservation, why: why[rng.below(4) as usize] }
        }
        12..15 => Input::Finish { agent, queue },
        15 => change(AgentChange::SignIn),
        16 => {
            let more = AgentChange::MoreWrapUp(Duration::from_secs(rng.below(20)));
            change([AgentChange::SignOut, AgentChange::WrapUpDone, more][rng.below(3) as usize].clone())
        }
        17 if rng.chance(0.3) => change(AgentChange::NotReady("tea".into())),
        17 => change(AgentChange::Ready),
        18 => change(AgentChange::Reachable(rng.chance(0.8))),
        _ if rng.chance(0.8) => Input::Vacate { agent },
        _ => Input::Occupy { agent },
    }
}

/// Rules of every kind.
fn some_rules(rng: &mut Rng, queue: &mut center::Queue) {
    let seconds = |rng: &mut Rng, most| Duration::from_secs(1 + rng.below(most));
    let time = seconds(rng, 20);
    queue.selection = Selection::NAMES[rng.below(8) as usize].1;
    queue.strict = rng.chance(0.2);
    let plans = [RingPlan::One, RingPlan::Several(2), RingPlan::All, RingPlan::Progressive { every: time, most: 3 }];
    queue.ring = plans[rng.below(4) as usize];
    let modes =
        [WrapUp::None, WrapUp::Optional(time), WrapUp::Mandatory, WrapUp::Limited(time), WrapUp::OnRequest(time)];
    queue.wrap_up = modes[rng.below(5) as usize];
    queue.preferred_for = seconds(rng, 60);
    queue.no_staff_after = rng.chance(0.2).then(|| seconds(rng, 60));
    queue.max_expected_wait = rng.chance(0.1).then(|| seconds(rng, 300));
    if rng.chance(0.5) {
        queue.ageing = vec![Ageing { after: time, points: 2 }, Ageing { after: time * 3, points: 1 }];
        let step = |after, lower: &str, remove: &str| Relaxation {
            after,
            if_expected_wait: None,
            remove: remove.split_whitespace().map(SkillId::new).collect(),
            lower: skills(lower),
        };
        queue.relax = vec![step(time, "french=5", ""), step(time * 2, "german=2", "french")];
        queue.relax[1].if_expected_wait = rng.chance(0.3).then(|| seconds(rng, 100));
    }
}

fn some_member(rng: &mut Rng) -> Membership {
    let delay = Duration::from_secs([0, 0, 9, 30][rng.below(4) as usize]);
    Membership { order: 1 + rng.below(2) as u8, delay, weight: 1 + rng.below(3) as u8 }
}

/// A center with rules of every kind.
fn ruled(rng: &mut Rng) -> Center {
    let mut center = center();
    center.queues.values_mut().for_each(|queue| some_rules(rng, queue));
    let members = center.agents.values_mut().flat_map(|agent| agent.queues.values_mut());
    members.for_each(|member| *member = some_member(rng));
    center
}

/// A configuration with something missing or changed.
fn some_center(rng: &mut Rng) -> Center {
    let mut center = if rng.chance(0.5) { center() } else { ruled(rng) };
    let vip = QueueId::new("vip");
    match rng.below(5) {
        0 => _ = center.agents.remove(&AgentId(12)),
        1 => {
            center.queues.remove(&vip);
            center.agents.values_mut().for_each(|agent| _ = agent.queues.remove(&vip));
        }
        2 => center.queues.values_mut().for_each(|queue| queue.priority = rng.below(9) as i32),
        3 => center.agents.values_mut().for_each(|agent| agent.skills = skills("french=9 german=9")),
        _ => {}
    }
    center
}

/// Everybody hangs up and goes home: the router must become quiet.
fn close(desk: &mut Desk, ledger: &mut Ledger) {
    for work in std::mem::take(&mut ledger.waiting) {
        desk.handle(Input::Dequeue { work });
    }
    for agent in (11..15).map(AgentId) {
        desk.handle(Input::Finish { agent, queue: QueueId::new("support") });
        desk.change(&agent.to_string(), AgentChange::WrapUpDone);
        desk.handle(Input::Vacate { agent });
    }
    desk.advance(desk.now + Duration::from_secs(3600));
    assert_eq!(desk.router.pending(), None);
}

#[test]
fn crowds_of_random_inputs_break_no_rule_and_come_to_rest() {
    let mut accepted = 0;
    for seed in 0..400 {
        let mut rng = Rng::from_number(seed);
        let center = if seed % 4 == 0 { center() } else { ruled(&mut rng) };
        let (mut desk, mut ledger) = (Desk::of(&center), Ledger::default());
        for _ in 0..200 {
            desk.advance(desk.now + Duration::from_secs(rng.below(12)));
            if rng.chance(0.02) {
                // A restart from what was written down changes nothing.
                let text = serde_json::to_string(&desk.router).unwrap();
                desk.router = serde_json::from_str(&text).unwrap();
                assert_eq!(serde_json::to_string(&desk.router).unwrap(), text);
            }
            desk.outputs.drain(..).for_each(|(_, output)| ledger.enter(&output));
            let input = match rng.chance(0.03) {
                true => Input::Configure(some_center(&mut rng)),
                false => some_input(&mut rng, &mut ledger, desk.now),
            };
            desk.handle(input);
            desk.outputs.drain(..).for_each(|(_, output)| ledger.enter(&output));
        }
        let stats = desk.router.stats();
        assert_eq!(stats.accepted, ledger.accepted);
        assert_eq!(
            stats.offered,
            stats.accepted + stats.refused + stats.timed_out + stats.withdrawn + stats.reservations
        );
        close(&mut desk, &mut ledger);
        accepted += ledger.accepted;
    }
    assert!(accepted > 2_000, "the crowds hardly ever met an agent: {accepted}");
}
