//! Agents' phones: registered, reachable, and what a restart does with them and with calls left open.

use super::{Engine, LegState};
use crate::acd::{self, AgentChange, Refusal};
use crate::event::{Cause, Event, OfferOutcome, Party, PersonalKind, Phase, What};
use crate::ids::{AgentId, CallId, LegId, QueueId};
use crate::sip::{self, Binding, DialogRecord};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A phone that was registered before a restart is believed to be there for at least so long.
const RESTORED_BINDING: Duration = Duration::from_secs(120);

/// A registered phone, as the log knows it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Phone {
    pub agent: AgentId,
    /// Of the binding in its `PhoneRegistered`.
    pub handle: u64,
    pub flow: sip::Flow,
}

impl Engine {
    /// A phone registered, or refreshed its registration.
    pub(super) fn bound(&mut self, user: String, binding: Binding) {
        let Some(agent) = self.index.users.get(&user).copied() else { return };
        let key = (user, binding.place());
        if self.phones.get(&key).is_some_and(|phone| phone.flow == binding.flow) {
            return; // refreshed: nothing that a restart would need to know is new
        }
        self.phone_gone(&key);
        // Written with the time it was granted for: the next start has another clock.
        let (expires, bound) = (Instant::ZERO + binding.expires.since(self.now), self.sip.bound(binding.flow));
        let written = Binding { expires, bound, ..binding.clone() };
        let text = serde_json::to_string(&written).expect("a binding consists of plain values");
        let personal = self.personal(PersonalKind::Binding, text);
        self.forget_respelled(&key.0);
        self.phones.insert(key, Phone { agent, handle: personal.handle, flow: binding.flow });
        self.emit(None, What::PhoneRegistered { agent, binding: personal });
        self.signs_in(agent, AgentChange::SignIn);
    }

    /// A phone that registers its address in another spelling replaces its binding without a word.
    fn forget_respelled(&mut self, user: &str) {
        let live: BTreeSet<String> = self.sip.bindings(user).map(Binding::place).collect();
        let of_user = (user.to_owned(), String::new())..;
        let keys = self.phones.range(of_user).map(|(key, _)| key).take_while(|(of, _)| of == user);
        let gone: Vec<_> = keys.filter(|(_, place)| !live.contains(place)).cloned().collect();
        gone.iter().for_each(|key| _ = self.phone_gone(key));
    }

    fn phone_gone(&mut self, key: &(String, String)) -> Option<AgentId> {
        let Phone { agent, handle, .. } = self.phones.remove(key)?;
        self.emit(None, What::PhoneUnregistered { agent, binding: handle });
        Some(agent)
    }

    pub(super) fn unbound(&mut self, user: String, binding: Binding) {
        let last = self.sip.bindings(&user).next().is_none();
        let configured = self.index.users.get(&user).copied();
        let known = self.phone_gone(&(user, binding.place()));
        match known.or(configured).filter(|_| last) {
            Some(agent) if self.has_number(agent) => self.look_at_reach(agent),
            Some(agent) => self.router_do(acd::Input::Agent { agent, change: AgentChange::SignOut }),
            None => {}
        }
    }

    pub(super) fn alive(&mut self, user: String, reachable: bool) {
        let Some(agent) = self.index.users.get(&user).copied() else { return };
        if !reachable && self.planted(super::Bug::BelievesTheDead) {
            return;
        }
        self.emit(None, What::PhoneReachable { agent, reachable });
        let somewhere = reachable || self.number_reached(agent);
        self.router_do(acd::Input::Agent { agent, change: AgentChange::Reachable(somewhere) });
        // A number beside it is another way for the next call, not for the one that rings here.
        if !reachable {
            self.end_dead_offer(agent);
            self.ask_who_holds(agent);
        }
    }

    /// Nobody can hear the agent's phone ring any more: the caller need not wait for the end of the ring time.
    fn end_dead_offer(&mut self, agent: AgentId) {
        let reservation = self.router.agent(agent).and_then(acd::Agent::reservation);
        let leg = reservation.and_then(|reservation| self.offers.get(&reservation).copied());
        let invited = |leg: &LegId| {
            let leg = &self.legs[leg];
            leg.hunt.is_none() && matches!(leg.state, LegState::Inviting { .. })
        };
        if let Some(leg) = leg.filter(invited) {
            self.sip_do(sip::Command::HangUp { leg, reason: Some(super::ending::reason(Cause::Unreachable)) });
            self.offer_failed(leg, Refusal::Unreachable, Cause::Unreachable);
        }
    }

    /// After a restart. Phones and breaks are as they were; calls that were open get their end, and their peers
    /// a BYE. As always, a call's offers end before its legs, and its legs before itself.
    pub(super) fn restore(&mut self, open: Vec<(Event, Option<String>)>) {
        let phases = phases(&open);
        let known: BTreeSet<LegId> = open.iter().filter_map(|(event, _)| known_leg(event)).collect();
        let (calls, mut others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(event, _)| matches!(event.what, What::CallArrived { .. }));
        let served: Vec<_> = others.iter().filter_map(|(event, _)| serving(event)).collect();
        for (agent, queue, call) in served {
            self.served(agent, call); // he may code it
            self.notes_owed.insert(agent, queue);
        }
        let turns = self.restore_turns(&others);
        let silent: BTreeSet<AgentId> = others.iter().filter_map(|(event, _)| silent_agent(event)).collect();
        // Breaks before phones: nobody is ready for a moment who is not. Phones in the order of turns, which their new
        // log-ins keep.
        others.sort_by_key(|(event, _)| match event.what {
            What::BreakBegan { .. } => (0, None),
            What::PhoneRegistered { agent, .. } => (2, Some(turns.get(&agent).copied().unwrap_or(usize::MAX))),
            _ => (1, None),
        });
        for (event, text) in others {
            let Event { call, what, .. } = event;
            match what {
                What::Delivered { work, reservation, agent, leg, .. } => {
                    let outcome = OfferOutcome::Failed;
                    self.emit(call, What::OfferEnded { work, reservation, agent, outcome });
                    self.forget_leg(call, leg, Party::Agent(agent), &known);
                }
                What::LegConfirmed { leg, party, .. } | What::LegMoved { leg, party, .. } => {
                    if let Some(dialog) = text.and_then(|text| serde_json::from_str::<DialogRecord>(&text).ok()) {
                        self.sip_do(sip::Command::Restore { leg, dialog });
                        let reason = Some(super::ending::reason(Cause::Restart));
                        self.sip_do(sip::Command::HangUp { leg, reason });
                    }
                    self.emit(call, What::ConnectionCleared { leg, party, cause: Cause::Restart });
                }
                What::LegInvited { leg, party, .. } => {
                    self.take_back(leg, text);
                    self.emit(call, What::ConnectionCleared { leg, party, cause: Cause::Restart });
                }
                What::OutsideCalled { leg, .. } => self.forget_leg(call, leg, Party::Outside, &known),
                What::PhoneRegistered { agent, binding } => {
                    self.restore_phone(agent, binding.handle, text, !silent.contains(&agent));
                }
                What::DeskEntered { agent } => _ = self.desks.insert(agent),
                What::DeskLeft { agent, .. } => self.at_phone_still(agent),
                // The break is still open in the log: nothing is to be told again.
                What::BreakBegan { agent, reason } => {
                    self.router_do(acd::Input::Agent { agent, change: AgentChange::NotReady(reason) });
                }
                What::BannerSwitched { banner, on } => self.restore_banner(banner, on),
                _ => {}
            }
        }
        for (Event { call, what, .. }, _) in calls {
            if let What::CallArrived { leg, .. } = what {
                self.forget_leg(call, leg, Party::Caller, &known);
            }
            let phase = call.and_then(|call| phases.get(&call).copied()).unwrap_or(Phase::Arriving);
            self.emit(call, What::CallEnded { cause: Cause::Restart, phase });
        }
        let restored = self.phones.iter().filter(|(_, phone)| silent.contains(&phone.agent));
        let users: BTreeSet<String> = restored.map(|((user, _), _)| user.clone()).collect();
        users.into_iter().for_each(|user| self.alive(user, false));
    }

    /// Tells the router in which order agents were done with their last calls; whose turn comes how late.
    fn restore_turns(&mut self, open: &[(Event, Option<String>)]) -> BTreeMap<AgentId, usize> {
        let turn = |event: &Event| match event.what {
            What::AgentStateChanged { agent, .. } => Some((event.seq, agent)),
            _ => None,
        };
        let turns: BTreeSet<_> = open.iter().filter_map(|(event, _)| turn(event)).collect();
        for (place, (_, agent)) in turns.iter().enumerate() {
            // A moment is enough to tell them apart: this start's clock knows nothing of the time before it.
            let before = (turns.len() - place) as u64;
            let since = Instant(self.now.0.saturating_sub(before));
            self.router_do(acd::Input::Agent { agent: *agent, change: AgentChange::IdleSince(since) });
        }
        turns.into_iter().enumerate().map(|(place, (_, agent))| (agent, place)).collect()
    }

    /// A phone of his is there, or he is reached without one. Whom the end of the earlier start met in a talk, or in the
    /// notes after it, has time for notes first.
    pub(super) fn signs_in(&mut self, agent: AgentId, change: AgentChange) {
        if let Some(queue) = self.notes_owed.remove(&agent) {
            self.router_do(acd::Input::Owe { agent, queue });
        }
        self.router_do(acd::Input::Agent { agent, change });
    }

    /// An INVITE goes out: should this start end before it is answered, the next one takes it back.
    pub(super) fn calls_out(&mut self, id: LegId, invite: &sip::InviteRecord) {
        let Some(leg) = self.legs.get(&id) else { return };
        let (call, party) = (leg.call, leg.party);
        let text = serde_json::to_string(invite).expect("an INVITE is written down as plain values");
        let invite = self.personal(PersonalKind::Dialog, text);
        self.emit(Some(call), What::LegInvited { leg: id, party, invite });
    }

    /// A phone that an earlier start let ring is told that nobody is there any more.
    fn take_back(&mut self, leg: LegId, text: Option<String>) {
        let invite = text.and_then(|text| serde_json::from_str(&text).ok());
        let Some(invite) = invite.filter(|_| !self.planted(super::Bug::LetsThemRing)) else { return };
        self.sip_do(sip::Command::RestoreInvite { leg, invite });
        self.sip_do(sip::Command::HangUp { leg, reason: Some(super::ending::reason(Cause::Restart)) });
    }

    /// A leg that never became a dialog died with the earlier start: there is nobody to send a BYE to.
    fn forget_leg(&mut self, call: Option<CallId>, leg: LegId, party: Party, known: &BTreeSet<LegId>) {
        if !known.contains(&leg) {
            self.emit(call, What::ConnectionCleared { leg, party, cause: Cause::Restart });
        }
    }

    /// `alive`: the phone answered when it was last asked.
    fn restore_phone(&mut self, agent: AgentId, handle: u64, text: Option<String>, alive: bool) {
        self.emit(None, What::PhoneUnregistered { agent, binding: handle });
        let Some(mut binding) = text.and_then(|text| serde_json::from_str::<Binding>(&text).ok()) else { return };
        binding.alive = alive;
        // The phone may have refreshed just before the end, and will not again before half of its time is over.
        binding.expires = self.now + binding.expires.since(Instant::ZERO).max(RESTORED_BINDING);
        self.sip_do(sip::Command::RestoreBinding { binding: binding.clone() });
        if self.sip.bindings(&binding.user).any(|known| known.contact.uri == binding.contact.uri) {
            self.bound(binding.user.clone(), binding);
        }
    }
}

/// How far the open calls had come, as far as what is open of them tells.
fn phases(open: &[(Event, Option<String>)]) -> BTreeMap<CallId, Phase> {
    let mut phases = BTreeMap::new();
    for (event, _) in open {
        let phase = match event.what {
            What::LegConfirmed { party: Party::Caller, .. } | What::LegMoved { party: Party::Caller, .. } => {
                Phase::InFlow
            }
            What::Queued { .. } => Phase::Queued,
            What::Delivered { .. } | What::OutsideCalled { .. } | What::LegInvited { .. } => Phase::Alerting,
            What::LegConfirmed { .. } | What::LegMoved { .. } => Phase::Connected,
            _ => continue,
        };
        if let Some(call) = event.call {
            let known = phases.entry(call).or_insert(phase);
            *known = phase.max(*known);
        }
    }
    phases
}

/// The leg whose end is told with what is known of it.
fn known_leg(event: &Event) -> Option<LegId> {
    match event.what {
        What::LegInvited { leg, .. } | What::LegConfirmed { leg, .. } | What::LegMoved { leg, .. } => Some(leg),
        _ => None,
    }
}

/// The agent none of whose phones answered.
fn silent_agent(event: &Event) -> Option<AgentId> {
    match event.what {
        What::PhoneReachable { agent, reachable: false } => Some(agent),
        _ => None,
    }
}

/// Who served whom, from which queue.
fn serving(event: &Event) -> Option<(AgentId, QueueId, CallId)> {
    let What::Established { agent, queue, .. } = &event.what else { return None };
    Some((*agent, queue.clone(), event.call?))
}
