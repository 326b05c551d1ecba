//! When we were wrong: a panic in one call ends that call, and the rest goes on.
//!
//! Before going on, the router's invariants are checked; if they do not hold it is rebuilt from the calls that
//! remain. Planted panics test both. Ports whose leg is gone are closed. Left out: what a panic inside the SIP endpoint
//! leaves half-changed there.

use super::Engine;
use super::heard::Owner;
use crate::acd::{self, Doing};
use crate::command::Refusal;
use crate::event::{Cause, OfferOutcome, What};
use crate::ids::{AgentId, CallId, IdCounter, Rng, WorkId};
use crate::trunk::Way;
use crate::{media, sip};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers of a kind that no single step uses up.
const LEAST_LEFT: u32 = 100_000;

impl Engine {
    /// Ends the process while numbers are left to end it well: the next start has numbers of its own, and all that the log
    /// holds. A step that runs out of them would only end its call, and so would each one after it. (Four thousand million
    /// of a kind last for the better part of a year at 25 calls a second.)
    pub(super) fn has_numbers(&self) {
        let kinds = [&self.ids.calls, &self.ids.works, &self.ids.handles];
        let left =
            kinds.into_iter().map(IdCounter::left).chain([self.sip.legs_left(), self.router.reservations_left()]);
        assert!(
            { left }.all(|left| left > LEAST_LEFT),
            "the numbers of this start are used up: it has to be started anew"
        );
    }

    /// Runs one step. A panic ends the call that the step was about. Whether it went well.
    pub(super) fn guarded(&mut self, step: impl FnOnce(&mut Engine)) -> bool {
        (self.current, self.arriving, self.asking) = (None, None, None);
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
        self.turn_away_who_arrives();
        if let Some(call) = ended {
            self.abandon(call);
        }
        if let Err(what) = self.router.check() {
            self.emit(None, What::Repaired { what: format!("the router was rebuilt: {what}") });
            self.rebuild_router();
        }
        self.release_agents();
        self.close_orphans();
        // Whoever asked for it waits for a word.
        self.reply(Err(Refusal::Defect));
    }

    /// Who came in and is no call yet would wait for an answer for ever: nobody else knows of him (RFC 3261 §17.2.1).
    fn turn_away_who_arrives(&mut self) {
        let Some(arriving) = self.arriving.take().filter(|arriving| !self.legs.contains_key(&arriving.leg)) else {
            return;
        };
        arriving.trunk.into_iter().for_each(|trunk| self.release(trunk, Way::In));
        self.sip_do(sip::Command::Refuse { leg: arriving.leg, status: 500, headers: Vec::new() });
    }

    /// Ports that a plane may still have for a leg that is gone: the panic came between the two.
    fn close_orphans(&mut self) {
        let gone = |owner: &Owner| owner.leg().is_some_and(|leg| !self.legs.contains_key(&leg));
        let orphans: Vec<_> = self.ports.iter().filter(|(_, owner)| gone(owner)).map(|(port, _)| *port).collect();
        for port in orphans {
            self.ports.insert(port, Owner::Closing(None));
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

    /// A new router in the place of one that is broken. Ringing phones are stopped; the work is offered anew.
    fn rebuild_router(&mut self) {
        let reservations = self.offers.keys().copied().collect::<Vec<_>>();
        for reservation in reservations {
            let leg = self.offers[&reservation];
            self.close_offer(reservation, OfferOutcome::Failed);
            self.sip_do(sip::Command::HangUp { leg, reason: Some(super::ending::reason(Cause::Defect)) });
            self.clear(leg, Cause::Defect);
        }
        // A lot that was drawn is not drawn again.
        let ids = self.router.reservation_ids();
        let rng = Rng::new(self.start.seed).fork(&format!("router after {}", ids.clone().take()));
        let waiting = self.calls.values().filter_map(|call| Some(call.seeking.as_ref()?.place.asked())).collect();
        let doing = |agent| Doing { serves: self.talking.contains_key(&agent), outside: self.calls_himself(agent) };
        let center = super::seeking::routed(&self.config.center);
        self.router = self.router.anew(self.now, (&center, rng), doing, waiting);
        while let Some(output) = self.router.poll() {
            self.router_said(output);
        }
    }
}
