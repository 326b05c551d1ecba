//! Checks of the engine's state against itself and against the planes: one look at everything.

use super::checks::{Check, Tally};
use super::media::{Owner, StandIn};
use crate::acd::{self, AgentState};
use crate::center;
use crate::engine::{Call, Engine, Leg};
use crate::event::{Event, OfferOutcome, Party, What};
use crate::ids::{AgentId, LegId, PortId, ReservationId, WorkId};
use crate::time::Instant;
use crate::trunk::Way;
use std::collections::{BTreeMap, BTreeSet};

/// An agent, as configured and as the router has him.
type Known<'a> = (&'a center::Agent, Option<&'a acd::Agent>);

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
        let agents: Vec<Known> = center.agents.values().map(|it| (it, engine.router().agent(it.id))).collect();
        self.refused.retain(|_, at| now.since(*at) < std::time::Duration::from_secs(3_600));
        let (calls, legs): (Vec<&Call>, Vec<&Leg>) = (engine.calls().collect(), engine.legs().collect());
        self.waiting(now, engine, &calls, &agents, tally);
        reserved_rings(&legs, &agents, tally);
        busy_talks(&calls, &agents, tally);
        bridges(&calls, &legs, planes, tally);
        trunks(engine, &calls, &legs, tally);
        let sound = engine.router().check();
        tally.must(Check::RouterSound, sound.is_ok(), || sound.err().unwrap_or_default());
    }

    fn waiting(&self, now: Instant, engine: &Engine, calls: &[&Call], agents: &[Known], tally: &mut Tally) {
        let router = engine.router();
        let seeking = calls.iter().filter(|call| call.seeking.is_some()).count() as u64;
        let waiting = router.stats().waiting;
        tally.must(Check::WaitingAgrees, seeking == waiting, || {
            format!("{seeking} calls seek an agent, {waiting} works wait in the router")
        });
        let center = engine.center();
        let is_ready = |agent: &acd::Agent| *agent.state() == AgentState::Ready && agent.reachable();
        let ready: Vec<_> =
            agents.iter().filter(|(_, agent)| agent.is_some_and(is_ready)).map(|(agent, _)| *agent).collect();
        let unoffered = calls.iter().filter_map(|call| call.seeking.as_ref().filter(|s| s.alerting.is_empty()));
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

fn reserved_rings(legs: &[&Leg], agents: &[Known], tally: &mut Tally) {
    let mut ringing: BTreeMap<AgentId, Vec<(&Leg, ReservationId)>> = BTreeMap::new();
    for leg in legs {
        if let (Party::Agent(agent), Some(reservation)) = (leg.party, leg.reservation) {
            ringing.entry(agent).or_default().push((leg, reservation));
        }
    }
    let mut wrong = None;
    for (center::Agent { id, .. }, agent) in agents {
        let Some(agent) = agent else { continue };
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

fn busy_talks(calls: &[&Call], agents: &[Known], tally: &mut Tally) {
    let mut talking: BTreeSet<AgentId> = BTreeSet::new();
    let mut dialing: BTreeSet<AgentId> = BTreeSet::new();
    let mut twice = None;
    for call in calls {
        dialing.extend(call.by_agent);
        if let Some(agent) = call.conversation.as_ref().map(|talk| talk.agent)
            && !talking.insert(agent)
        {
            twice = Some(agent);
        }
    }
    // Whose phone is free may dial before the engine knows that, as while a BYE is lost: a call of his own is no second talk.
    talking.extend(&dialing);
    let fits = |(agent, routed): &&Known| {
        let talks = talking.contains(&agent.id);
        match routed.map(acd::Agent::state) {
            Some(AgentState::Busy) => talks,
            // Who dials while his phone is about to ring is reserved until it has refused the offer.
            Some(AgentState::Reserved) => !talks || dialing.contains(&agent.id),
            _ => !talks,
        }
    };
    let wrong = agents.iter().find(|known| !fits(known));
    tally.must(Check::BusyTalks, wrong.is_none() && twice.is_none(), || match (wrong, twice) {
        (Some((agent, routed)), _) => {
            format!(
                "agent {} is {:?}; has a call: {}",
                agent.id,
                routed.map(acd::Agent::state),
                talking.contains(&agent.id)
            )
        }
        (None, twice) => format!("agent {twice:?} talks in two calls"),
    });
}

fn trunks(engine: &Engine, calls: &[&Call], legs: &[&Leg], tally: &mut Tally) {
    let mut wrong = None;
    let on_trunks: Vec<_> = legs.iter().filter_map(|leg| leg.trunk.as_ref()).collect();
    for trunk in engine.center().trunks.values() {
        for (way, share) in [(Way::In, trunk.incoming), (Way::Out, trunk.outgoing)] {
            let legs = on_trunks.iter().filter(|(id, of)| *id == trunk.id && *of == way).count();
            let (used, most) = (engine.trunks().in_use(&trunk.id, way) as usize, share.calls as usize);
            if legs != used || used > most {
                wrong = Some(format!("{} {way:?}: {legs} legs, {used} in use, {most} may be", trunk.id));
            }
        }
    }
    for leg in legs.iter().filter(|leg| leg.party == Party::Outside) {
        let calls = calls.iter().filter(|call| call.outside.as_ref().is_some_and(|it| it.leg == leg.id)).count();
        if calls != 1 {
            wrong = Some(format!("the outside party of {} is in {calls} calls", leg.id));
        }
    }
    tally.must(Check::TrunksAgree, wrong.is_none(), || wrong.unwrap_or_default());
}

fn bridges(calls: &[&Call], legs: &[&Leg], planes: &StandIn, tally: &mut Tally) {
    let mut ports: Vec<_> = legs.iter().map(|leg| (leg.id, leg.port)).collect();
    let mut owned: Vec<PortId> = legs.iter().map(|leg| leg.port).collect();
    ports.sort_unstable();
    owned.sort_unstable();
    let port = |leg: LegId| ports.binary_search_by_key(&leg, |(id, _)| *id).ok().map(|place| ports[place].1);
    let mut bridged: Vec<(PortId, PortId)> = Vec::new();
    for call in calls {
        let agent = call.conversation.as_ref().filter(|talk| talk.held_by.is_none()).map(|talk| talk.leg);
        let outside = call.outside.as_ref().filter(|outside| outside.talking || outside.early);
        let outside = outside.filter(|outside| outside.held_by.is_none()).map(|outside| outside.leg);
        let Some(other) = agent.or(outside) else { continue };
        if let (Some(a), Some(b)) = (port(call.caller), port(other)) {
            bridged.extend([(a, b), (b, a)]);
        }
    }
    bridged.sort_unstable();
    let expected =
        |port: PortId| bridged.binary_search_by_key(&port, |(one, _)| *one).ok().map(|place| bridged[place].1);
    let (mut unowned, mut wrong) = (None, None);
    for port in planes.open_ports(Owner::Engine) {
        if owned.binary_search(&port).is_err() {
            unowned = Some(port);
        }
        let joined = planes.joined(port);
        if joined != expected(port) {
            wrong = Some((port, joined, expected(port)));
        }
    }
    tally.must(Check::PortsMatch, unowned.is_none(), || format!("{unowned:?} is open without a leg"));
    tally.must(Check::BridgesMatch, wrong.is_none(), || {
        format!("a port, whom it is bridged with, whom it should: {wrong:?}")
    });
}
