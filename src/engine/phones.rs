//! Agents' phones: registered, reachable, and what a restart does with them and with calls left open.

use super::Engine;
use crate::acd::{self, AgentChange};
use crate::event::{AgentMode, Cause, Event, OfferOutcome, Party, PersonalKind, Phase, What};
use crate::ids::{AgentId, CallId, LegId};
use crate::sip::{self, Binding, DialogRecord};
use crate::time::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// A phone that was registered before a restart is believed to be there for at least so long.
const RESTORED_BINDING: Duration = Duration::from_secs(120);

impl Engine {
    /// A phone registered, or refreshed its registration.
    pub(super) fn bound(&mut self, user: String, binding: Binding) {
        let Some(agent) = self.index.users.get(&user).copied() else { return };
        let key = (user, binding.contact.uri.to_string());
        let known = self.phones.get(&key).copied();
        if known.is_some_and(|(_, flow)| flow == binding.flow) {
            return; // refreshed: nothing that a restart would need to know is new
        }
        if let Some((handle, _)) = known {
            self.emit(None, What::PhoneUnregistered { agent, binding: handle });
        }
        // Written with the time it was granted for: the next start has another clock.
        let written = Binding { expires: Instant::ZERO + binding.expires.since(self.now), ..binding.clone() };
        let text = serde_json::to_string(&written).expect("a binding consists of plain values");
        let personal = self.personal(PersonalKind::Binding, text);
        self.phones.insert(key, (personal.handle, binding.flow));
        self.emit(None, What::PhoneRegistered { agent, binding: personal });
        self.router_do(acd::Input::Agent { agent, change: AgentChange::SignIn });
    }

    pub(super) fn unbound(&mut self, user: String, binding: Binding) {
        let last = self.sip.bindings(&user).next().is_none();
        let agent = self.index.users.get(&user).copied();
        let Some((handle, _)) = self.phones.remove(&(user, binding.contact.uri.to_string())) else { return };
        let Some(agent) = agent else { return };
        self.emit(None, What::PhoneUnregistered { agent, binding: handle });
        if last {
            self.router_do(acd::Input::Agent { agent, change: AgentChange::SignOut });
        }
    }

    pub(super) fn alive(&mut self, user: String, reachable: bool) {
        let Some(agent) = self.index.users.get(&user).copied() else { return };
        self.emit(None, What::PhoneReachable { agent, reachable });
        self.router_do(acd::Input::Agent { agent, change: AgentChange::Reachable(reachable) });
    }

    /// After a restart. Phones and breaks are as they were; calls that were open get their end, and their peers
    /// a BYE. As always, a call's offers end before its legs, and its legs before itself.
    pub(super) fn restore(&mut self, open: Vec<(Event, Option<String>)>) {
        let confirmed: BTreeSet<LegId> = open.iter().filter_map(|(event, _)| confirmed_leg(event)).collect();
        let (calls, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(event, _)| matches!(event.what, What::CallArrived { .. }));
        for (event, text) in others {
            let Event { call, what, .. } = event;
            match what {
                What::Delivered { work, reservation, agent, leg, .. } => {
                    let outcome = OfferOutcome::Failed;
                    self.emit(call, What::OfferEnded { work, reservation, agent, outcome });
                    self.forget_leg(call, leg, Party::Agent(agent), &confirmed);
                }
                What::LegConfirmed { leg, party, .. } => {
                    if let Some(dialog) = text.and_then(|text| serde_json::from_str::<DialogRecord>(&text).ok()) {
                        self.sip_do(sip::Command::Restore { leg, dialog });
                        let reason = Some(super::ending::reason(Cause::Restart));
                        self.sip_do(sip::Command::HangUp { leg, reason });
                    }
                    self.emit(call, What::ConnectionCleared { leg, party, cause: Cause::Restart });
                }
                What::PhoneRegistered { agent, binding } => self.restore_phone(agent, binding.handle, text),
                What::AgentStateChanged { agent, to: AgentMode::NotReady, reason, .. } => {
                    self.router_do(acd::Input::Agent { agent, change: AgentChange::NotReady(reason) });
                }
                _ => {}
            }
        }
        for (Event { call, what, .. }, _) in calls {
            if let What::CallArrived { leg, .. } = what {
                self.forget_leg(call, leg, Party::Caller, &confirmed);
            }
            let phase = Phase::Arriving; // how far it had come is told by the events before
            self.emit(call, What::CallEnded { cause: Cause::Restart, phase });
        }
    }

    /// A leg that never became a dialog died with the earlier start: there is nobody to send a BYE to.
    fn forget_leg(&mut self, call: Option<CallId>, leg: LegId, party: Party, confirmed: &BTreeSet<LegId>) {
        if !confirmed.contains(&leg) {
            self.emit(call, What::ConnectionCleared { leg, party, cause: Cause::Restart });
        }
    }

    fn restore_phone(&mut self, agent: AgentId, handle: u64, text: Option<String>) {
        self.emit(None, What::PhoneUnregistered { agent, binding: handle });
        let Some(mut binding) = text.and_then(|text| serde_json::from_str::<Binding>(&text).ok()) else { return };
        // The phone may have refreshed just before the end, and will not again before half of its time is over.
        binding.expires = self.now + binding.expires.since(Instant::ZERO).max(RESTORED_BINDING);
        self.sip_do(sip::Command::RestoreBinding { binding: binding.clone() });
        if self.sip.bindings(&binding.user).any(|known| known.contact.uri == binding.contact.uri) {
            self.bound(binding.user.clone(), binding);
        }
    }
}

fn confirmed_leg(event: &Event) -> Option<LegId> {
    match event.what {
        What::LegConfirmed { leg, .. } => Some(leg),
        _ => None,
    }
}
