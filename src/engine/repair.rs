//! When we were wrong: a panic in one call ends that call, and the rest goes on.
//!
//! Before going on, the router's invariants are checked; if they do not hold it is rebuilt from the calls that
//! remain. Planted panics test both. Ports whose leg is gone are closed. Left out: what a panic inside the SIP endpoint
//! leaves half-changed there.

use super::Engine;
use super::seeking::mode;
use crate::acd::{self, AgentChange, Router};
use crate::event::{AgentMode, Cause, OfferOutcome, What};
use crate::ids::{AgentId, CallId, IdCounter, LegId, Rng, WorkId};
use crate::{media, sip};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Engine {
    /// Runs one step. A panic ends the call that the step was about. Whether it went well.
    pub(super) fn guarded(&mut self, step: impl FnOnce(&mut Engine)) -> bool {
        self.current = None;
        let outcome = catch_unwind(AssertUnwindSafe(|| step(self)));
        if outcome.is_err() {
            // A second panic while tidying up goes on to the shell: state that cannot be repaired must not serve.
            self.repair();
        }
        outcome.is_ok()
    }

    /// A time-out that panics stays due, and would panic for ever: the process ends with an error instead, and whatever
    /// watches over it starts it anew from the log.
    pub(super) fn timed_out_badly(&mut self) {
        assert!(self.repairs.take(self.now), "time-outs have panicked too often within a short time");
    }

    fn repair(&mut self) {
        let ended = self.current.take();
        self.emit(ended, What::Repaired { what: "a step panicked".to_owned() });
        if let Some(call) = ended {
            self.abandon(call);
        }
        if let Err(what) = self.router.check() {
            self.emit(None, What::Repaired { what: format!("the router was rebuilt: {what}") });
            self.rebuild_router();
        }
        self.release_agents();
        self.close_orphans();
    }

    /// Ports that a plane may still have for a leg that is gone: the panic came between the two.
    fn close_orphans(&mut self) {
        let gone = |leg: &Option<LegId>| leg.is_some_and(|leg| !self.legs.contains_key(&leg));
        let orphans: Vec<_> = self.ports.iter().filter(|(_, leg)| gone(leg)).map(|(port, _)| *port).collect();
        for port in orphans {
            self.ports.insert(port, None);
            self.media_do(media::Command::Close { port });
        }
    }

    /// Agents who are busy in the router and talk with nobody: the panic came between the two.
    fn release_agents(&mut self) {
        for agent in self.config.center.agents.keys().copied().collect::<Vec<_>>() {
            let busy = self.router.agent(agent).is_some_and(|agent| *agent.state() == acd::AgentState::Busy);
            if busy && !self.talking.contains_key(&agent) && !self.calls_himself(agent) {
                let queue = self.config.center.agents[&agent].queues.keys().next().cloned();
                queue.into_iter().for_each(|queue| self.router_do(acd::Input::Finish { agent, queue }));
            }
        }
    }

    /// Whether a call that the agent has dialed himself is running.
    pub(super) fn calls_himself(&self, agent: AgentId) -> bool {
        self.calls.values().any(|call| call.by_agent == Some(agent))
    }

    /// Ends a call whose activities cannot be trusted: by what is known of its legs alone.
    fn abandon(&mut self, id: CallId) {
        let legs: Vec<_> = self.legs.values().filter(|leg| leg.call == id).map(|leg| leg.id).collect();
        let offers: Vec<_> = self.offers.iter().filter(|(_, leg)| legs.contains(leg)).map(|(r, _)| *r).collect();
        for reservation in offers {
            self.close_offer(reservation, OfferOutcome::Failed);
        }
        for leg in legs {
            self.sip_do(sip::Command::HangUp { leg, reason: Some(super::ending::reason(Cause::Defect)) });
            self.clear(leg, Cause::Defect);
        }
        let works: Vec<WorkId> = self.works.iter().filter(|(_, call)| **call == id).map(|(work, _)| *work).collect();
        for work in works {
            self.works.remove(&work);
            self.router_do(acd::Input::Dequeue { work });
        }
        self.finish(id, Cause::Defect);
    }

    /// A new router in the place of one that is broken: who is signed in, who talks, who waits. Ringing phones
    /// are stopped; the work is offered anew.
    fn rebuild_router(&mut self) {
        let reservations = self.offers.keys().copied().collect::<Vec<_>>();
        for reservation in reservations {
            let leg = self.offers[&reservation];
            self.close_offer(reservation, OfferOutcome::Failed);
            self.sip_do(sip::Command::HangUp { leg, reason: Some(super::ending::reason(Cause::Defect)) });
            self.clear(leg, Cause::Defect);
        }
        let states: Vec<(AgentId, acd::AgentState)> = self
            .config
            .center
            .agents
            .keys()
            .filter_map(|id| Some((*id, self.router.agent(*id)?.state().clone())))
            .collect();
        let told = self.states_told(&states);
        // Ids must not come twice: the rebuilt router counts reservations from where the broken one stopped.
        let ids: IdCounter = self.router.reservation_ids();
        let rng = Rng::new(self.start.seed).fork(&format!("router after {}", ids.clone().take()));
        self.router = Router::new(&super::seeking::routed(&self.config.center), ids, rng);
        for (agent, state) in states {
            self.restore_agent(agent, &state);
        }
        let waiting: Vec<_> =
            self.calls.values().filter_map(|c| Some((c.id, c.seeking.as_ref()?.place.clone()))).collect();
        for (_, place) in waiting {
            self.router_do(acd::Input::Enqueue(place.asked()));
        }
        self.tell_new_states(told);
    }

    /// What the log says about each agent. What the broken router has not said yet is never said.
    fn states_told(&mut self, states: &[(AgentId, acd::AgentState)]) -> BTreeMap<AgentId, AgentMode> {
        let mut told: BTreeMap<AgentId, AgentMode> = BTreeMap::new();
        while let Some(output) = self.router.poll() {
            if let acd::Output::State { agent, from, .. } = output {
                told.entry(agent).or_insert(mode(&from));
            }
        }
        states.iter().for_each(|(agent, state)| _ = told.entry(*agent).or_insert(mode(state)));
        told
    }

    /// The new router begins with everybody logged out: what is told is the difference to the old one.
    fn tell_new_states(&mut self, told: BTreeMap<AgentId, AgentMode>) {
        let outputs: Vec<_> = std::iter::from_fn(|| self.router.poll()).collect();
        for (agent, from) in told {
            let to = self.router.agent(agent).map_or(AgentMode::LoggedOut, |agent| mode(agent.state()));
            if from != to {
                self.emit(None, What::AgentStateChanged { agent, from, to, reason: "Repaired".to_owned() });
            }
        }
        let said = |output: &acd::Output| matches!(output, acd::Output::State { .. });
        outputs.into_iter().filter(|output| !said(output)).for_each(|output| self.router_said(output));
    }

    fn restore_agent(&mut self, agent: AgentId, state: &acd::AgentState) {
        let user = self.config.center.agents[&agent].user.clone();
        if let acd::AgentState::NotReady(reason) = state {
            self.router_do(acd::Input::Agent { agent, change: AgentChange::NotReady(reason.clone()) });
        }
        if self.sip.bindings(&user).next().is_some() || self.has_number(agent) {
            self.router_do(acd::Input::Agent { agent, change: AgentChange::SignInUnheard });
            self.look_at_reach(agent);
        }
        if self.calls_himself(agent) {
            self.router_do(acd::Input::Occupy { agent });
        }
        if self.talking.contains_key(&agent) {
            self.router_do(acd::Input::Resume { agent });
        }
    }
}
