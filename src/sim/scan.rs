//! Checks of the engine's state against itself and against the planes: one look at everything.

use super::checks::{Check, Tally};
use super::media::{Owner, StandIn};
use crate::acd::AgentState;
use crate::center::Center;
use crate::engine::{Engine, Leg};
use crate::event::{Event, OfferOutcome, Party, What};
use crate::ids::{AgentId, PortId, ReservationId, WorkId};
use crate::time::Instant;
use crate::trunk::Way;
use std::collections::{BTreeMap, BTreeSet};

/// Looks at everything, and remembers who refused what.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// When an agent's offer of a work failed.
    refused: BTreeMap<(WorkId, AgentId), Instant>,
}

impl Scan {
    /// Takes note of an event as soon as it is made.
    pub fn note(&mut self, now: Instant, event: &Event) {
        let What::OfferEnded { work, agent, outcome, .. } = &event.what else { return };
        match outcome {
            OfferOutcome::Declined | OfferOutcome::NoAnswer | OfferOutcome::Unreachable => {
                self.refused.insert((*work, *agent), now);
            }
            _ => self.refused.retain(|(of, _), _| of != work),
        }
    }

    /// The engine was started anew.
    pub fn forget(&mut self) {
        self.refused.clear();
    }

    /// Runs every check of this file once.
    pub fn run(&mut self, now: Instant, engine: &Engine, planes: &StandIn, tally: &mut Tally) {
        let center = engine.center();
        self.refused.retain(|_, at| now.since(*at) < std::time::Duration::from_secs(3_600));
        self.waiting(now, engine, tally);
        reserved_rings(engine, center, tally);
        busy_talks(engine, center, tally);
        bridges(engine, planes, tally);
        trunks(engine, center, tally);
        let sound = engine.router().check();
        tally.must(Check::RouterSound, sound.is_ok(), || sound.err().unwrap_or_default());
    }

    fn waiting(&self, now: Instant, engine: &Engine, tally: &mut Tally) {
        let router = engine.router();
        let seeking = engine.calls().filter(|call| call.seeking.is_some()).count() as u64;
        let waiting = router.stats().waiting;
        tally.must(Check::WaitingAgrees, seeking == waiting, || {
            format!("{seeking} calls seek an agent, {waiting} works wait in the router")
        });
        let center = engine.center();
        let ready: Vec<_> = center
            .agents
            .values()
            .filter(|agent| router.agent(agent.id).is_some_and(|a| *a.state() == AgentState::Ready && a.reachable()))
            .collect();
        let unoffered = engine.calls().filter_map(|call| call.seeking.as_ref().filter(|s| s.alerting.is_empty()));
        let mut idle = None;
        for place in unoffered.map(|seeking| &seeking.place) {
            let pause = center.queues.get(&place.queue).map(|queue| queue.retry_same_agent).unwrap_or_default();
            idle = idle.or_else(|| {
                let able = ready.iter().find(|agent| {
                    let needs = |(skill, level)| agent.skills.get(skill) >= Some(level);
                    let skilled = place.only.is_some() || place.skills.iter().all(needs);
                    let refused = self.refused.get(&(place.work, agent.id)).is_some_and(|at| now.since(*at) <= pause);
                    let meant = place.only.is_none_or(|only| only == agent.id);
                    let comes_in = agent.queues.get(&place.queue).is_some_and(|m| now.since(place.arrived) > m.delay);
                    comes_in && skilled && meant && !refused && !place.excluded.contains(&agent.id)
                });
                able.map(|agent| (place.work, agent.id))
            });
        }
        tally.must(Check::NobodyWaits, idle.is_none(), || format!("work and idle agent: {idle:?}"));
    }
}

fn reserved_rings(engine: &Engine, center: &Center, tally: &mut Tally) {
    let mut ringing: BTreeMap<AgentId, Vec<(&Leg, ReservationId)>> = BTreeMap::new();
    for leg in engine.legs() {
        if let (Party::Agent(agent), Some(reservation)) = (leg.party, leg.reservation) {
            ringing.entry(agent).or_default().push((leg, reservation));
        }
    }
    let mut wrong = None;
    for id in center.agents.keys() {
        let Some(agent) = engine.router().agent(*id) else { continue };
        let held = (*agent.state() == AgentState::Reserved).then(|| agent.reservation()).flatten();
        let rings = ringing.get(id).map(Vec::as_slice).unwrap_or_default();
        let fits = match rings {
            [] => held.is_none(),
            [(_, reservation)] => held == Some(*reservation),
            _ => false,
        };
        if !fits {
            let legs: Vec<_> = rings.iter().map(|(leg, r)| format!("{} for {r}", leg.id)).collect();
            wrong = Some(format!("agent {id} is {:?}, reserved for {held:?}, rung by {legs:?}", agent.state()));
        }
    }
    tally.must(Check::ReservedRings, wrong.is_none(), || wrong.unwrap_or_default());
}

fn busy_talks(engine: &Engine, center: &Center, tally: &mut Tally) {
    let mut talking: BTreeSet<AgentId> = BTreeSet::new();
    let mut dialing: BTreeSet<AgentId> = BTreeSet::new();
    let mut twice = None;
    for call in engine.calls() {
        dialing.extend(call.by_agent);
        if let Some(agent) = call.conversation.as_ref().map(|talk| talk.agent)
            && !talking.insert(agent)
        {
            twice = Some(agent);
        }
    }
    // Whose phone is free may dial before the engine knows that, as while a BYE is lost: a call of his own is no second talk.
    talking.extend(&dialing);
    let state = |id: &AgentId| engine.router().agent(*id).map(|agent| agent.state().clone());
    // Who dials while his phone is about to ring is reserved until it has refused the offer.
    let both = |id: &AgentId| state(id) == Some(AgentState::Reserved) && dialing.contains(id);
    let fits = |id: &AgentId| (state(id) == Some(AgentState::Busy)) == talking.contains(id) || both(id);
    let wrong = center.agents.keys().find(|id| !fits(id));
    tally.must(Check::BusyTalks, wrong.is_none() && twice.is_none(), || match (wrong, twice) {
        (Some(id), _) => format!("agent {id} is {:?}; has a call: {}", state(id), talking.contains(id)),
        (None, twice) => format!("agent {twice:?} talks in two calls"),
    });
}

fn trunks(engine: &Engine, center: &Center, tally: &mut Tally) {
    let mut wrong = None;
    for trunk in center.trunks.values() {
        for (way, share) in [(Way::In, trunk.incoming), (Way::Out, trunk.outgoing)] {
            let legs = engine.legs().filter(|leg| leg.trunk.as_ref() == Some(&(trunk.id.clone(), way))).count();
            let (used, most) = (engine.trunks().in_use(&trunk.id, way) as usize, share.calls as usize);
            if legs != used || used > most {
                wrong = Some(format!("{} {way:?}: {legs} legs, {used} in use, {most} may be", trunk.id));
            }
        }
    }
    for leg in engine.legs().filter(|leg| leg.party == Party::Outside) {
        let calls =
            engine.calls().filter(|call| call.outside.as_ref().is_some_and(|outside| outside.leg == leg.id)).count();
        if calls != 1 {
            wrong = Some(format!("the outside party of {} is in {calls} calls", leg.id));
        }
    }
    tally.must(Check::TrunksAgree, wrong.is_none(), || wrong.unwrap_or_default());
}

fn bridges(engine: &Engine, planes: &StandIn, tally: &mut Tally) {
    let ports: BTreeMap<_, PortId> = engine.legs().map(|leg| (leg.id, leg.port)).collect();
    let mut expected: BTreeMap<PortId, PortId> = BTreeMap::new();
    for call in engine.calls() {
        let agent = call.conversation.as_ref().filter(|talk| talk.held_by.is_none()).map(|talk| talk.leg);
        let outside = call.outside.as_ref().filter(|outside| outside.talking || outside.early);
        let outside = outside.filter(|outside| outside.held_by.is_none()).map(|outside| outside.leg);
        let Some(other) = agent.or(outside) else { continue };
        if let (Some(a), Some(b)) = (ports.get(&call.caller), ports.get(&other)) {
            expected.insert(*a, *b);
            expected.insert(*b, *a);
        }
    }
    let owned: BTreeSet<PortId> = ports.values().copied().collect();
    let (mut unowned, mut wrong) = (None, None);
    for port in planes.open_ports(Owner::Engine) {
        if !owned.contains(&port) {
            unowned = Some(port);
        }
        if planes.joined(port) != expected.get(&port).copied() {
            wrong = Some((port, planes.joined(port), expected.get(&port).copied()));
        }
    }
    tally.must(Check::PortsMatch, unowned.is_none(), || format!("{unowned:?} is open without a leg"));
    tally.must(Check::BridgesMatch, wrong.is_none(), || {
        format!("a port, whom it is bridged with, whom it should: {wrong:?}")
    });
}
