//! What agents ask for at their desktops: hold, attach, dispatch, transfer, dispose; and the desktop itself.
//!
//! **Hold at the desktop** changes the audio only: no re-INVITE, so that it works with every phone and a phone's own
//! hold stays the phone's. The caller hears the queue's music, the agent silence. If the phone holds too, only the phone
//! can retrieve.
//!
//! **Answering** at the desktop is left to the phone: it is told to, if it says while it rings that it takes that, and refused
//! if not. (An INVITE that makes phones answer at once would need no desktop: they would be asked before the agent is.)
//!
//! **A transfer** ends the agent's part of the call and lets the caller wait anew, with the wait that he has served
//! already (not the talk). To one agent it is a work that only this agent can take ([`acd::own_skill`]): the
//! router stays the one writer of who is rung for what. If that phone is not answered the work is for all of the queue that
//! the caller came from, with what he needs there.
//! To a number outside it goes as a flow's transfer does; where nobody is reached the caller waits again.

use super::{Conversation, Engine, Place, SILENCE};
use crate::acd::{self, AgentChange, AgentState};
use crate::command::{MAX_NAMES, Refusal, Verb};
use crate::event::{Cause, DivertReason, PersonalKind, TransferTo, What};
use crate::ids::{AgentId, CallId, QueueId, SkillId, WorkId};
use crate::media::{self, Source};
use crate::sip;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Reasons of breaks that the desktop's coming and going makes.
const LOGGED_OUT: &str = "logged out";
const DESK_LOST: &str = "desktop lost";
/// How long an outside number rings for a caller whom an agent has sent there.
const OUTSIDE_RINGS: Duration = Duration::from_secs(60);

/// What flows and agents have noted of a call, as far as the engine needs it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Noted {
    names: BTreeSet<String>,
    /// Of how many agents it is the last call: they may note more after its end.
    agents: u32,
}

/// Agents whose desktops are not there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Away {
    /// Lost, be it while he was on a break of his own.
    lost: BTreeSet<AgentId>,
    /// Left for the phone, until the desktop is back.
    at_phone: BTreeSet<AgentId>,
}

impl Engine {
    pub(super) fn serve(&mut self, agent: AgentId, call: Option<CallId>, verb: Verb) -> Result<(), Refusal> {
        if !self.config.center.agents.contains_key(&agent) {
            return Err(Refusal::NoSuchAgent);
        }
        match verb {
            Verb::HangUp => {
                let call = self.talk_of(agent, call)?;
                self.end_call(call, Cause::AgentHungUp);
                Ok(())
            }
            Verb::Hold => self.hold_at_desk(agent, call),
            Verb::Retrieve => self.retrieve_at_desk(agent, call),
            Verb::Attach(data) => self.attach(agent, call, data),
            Verb::Dispatch { queue, skills, priority } => self.dispatch(agent, call, queue, skills, priority),
            Verb::ToAgent(other) => self.send_to_agent(agent, call, other),
            Verb::ToNumber(number) => self.send_outside(agent, call, &number),
            Verb::Dispose { disposition, notes } => self.dispose(agent, call, disposition, notes),
            Verb::Answer => self.answer_at_desk(agent),
        }
    }

    /// The call that the agent talks in, which must be the one that is named. What follows is about this call.
    fn talk_of(&mut self, agent: AgentId, call: Option<CallId>) -> Result<CallId, Refusal> {
        let talk = self.talking.get(&agent).copied().filter(|talk| call.is_none_or(|call| call == *talk));
        self.current = talk;
        talk.ok_or(match call {
            Some(call) if self.calls.contains_key(&call) => Refusal::NotYours,
            _ => Refusal::NoSuchCall,
        })
    }

    /// The same, or the last one that the agent talked in.
    fn known_to(&mut self, agent: AgentId, call: Option<CallId>) -> Result<CallId, Refusal> {
        match self.last_calls.get(&agent).copied().filter(|last| call.is_none_or(|call| call == *last)) {
            Some(last) => {
                self.current = Some(last);
                Ok(last)
            }
            None => self.talk_of(agent, call),
        }
    }

    /// The agent talks in this call from now on.
    pub(super) fn talks_in(&mut self, agent: AgentId, id: CallId) {
        self.talking.insert(agent, id);
        self.served(agent, id);
    }

    /// It is the agent's last call, of which he may note something.
    pub(super) fn served(&mut self, agent: AgentId, id: CallId) {
        self.noted.entry(id).or_default().agents += 1;
        if let Some(before) = self.last_calls.insert(agent, id) {
            self.noted.entry(before).and_modify(|noted| noted.agents -= 1);
            if !self.calls.contains_key(&before) {
                self.forget_notes(before);
            }
        }
    }

    /// What was noted of a call that is over, unless somebody may note more.
    pub(super) fn forget_notes(&mut self, id: CallId) {
        if self.noted.get(&id).is_some_and(|noted| noted.agents == 0) {
            self.noted.remove(&id);
        }
    }

    fn hold_at_desk(&mut self, agent: AgentId, call: Option<CallId>) -> Result<(), Refusal> {
        let id = self.talk_of(agent, call)?;
        let call = self.calls.get_mut(&id).expect("an agent talks in a call that lives");
        let caller = call.caller;
        let talk = call.conversation.as_mut().expect("who talks is in a conversation");
        if talk.held_by.is_some() {
            return Err(Refusal::WrongState);
        }
        talk.by_desk = true;
        let leg = talk.leg;
        #[cfg(feature = "planted-bugs")]
        self.break_at_desk();
        self.hold(id, leg, caller);
        if self.planted(super::Bug::HoldsNothing) {
            let (a, b) = (self.legs[&caller].port, self.legs[&leg].port);
            self.media_do(media::Command::Join { a, b });
            return Ok(());
        }
        let port = self.legs[&leg].port;
        if let Some(silence) = self.config.sounds.get(SILENCE).copied() {
            self.media_do(media::Command::Play { port, source: Source::Loop(silence), token: 0 });
        }
        Ok(())
    }

    fn retrieve_at_desk(&mut self, agent: AgentId, call: Option<CallId>) -> Result<(), Refusal> {
        let id = self.talk_of(agent, call)?;
        let call = &self.calls[&id];
        let talk = call.conversation.as_ref().expect("who talks is in a conversation");
        match talk.held_by {
            Some(holder) if holder == talk.leg && talk.by_desk => {
                let caller = call.caller;
                self.retrieve(id, holder, caller);
                // The caller may have put the agent on hold meanwhile, and still does.
                if self.legs[&caller].holds_us() {
                    self.hold(id, caller, holder);
                }
                Ok(())
            }
            Some(holder) if holder == talk.leg => Err(Refusal::HeldByPhone),
            _ => Err(Refusal::WrongState),
        }
    }

    fn attach(&mut self, agent: AgentId, call: Option<CallId>, data: BTreeMap<String, String>) -> Result<(), Refusal> {
        let id = self.known_to(agent, call)?;
        if !self.takes_names(id, data.keys()) {
            return Err(Refusal::Invalid("a call keeps up to 64 names"));
        }
        for (name, value) in data {
            let value = self.personal(PersonalKind::Text, value);
            self.emit(Some(id), What::DataAttached { agent, name, value });
        }
        Ok(())
    }

    /// Whether the call keeps these names beside those that flows and agents have given it; if so it does.
    pub(super) fn takes_names<'n>(&mut self, id: CallId, names: impl Iterator<Item = &'n String> + Clone) -> bool {
        let kept = &mut self.noted.entry(id).or_default().names;
        let new = names.clone().filter(|name| !kept.contains(*name)).count();
        let fits = kept.len() + new <= MAX_NAMES;
        if fits {
            kept.extend(names.cloned());
        }
        fits
    }

    fn dispatch(
        &mut self,
        agent: AgentId,
        call: Option<CallId>,
        queue: QueueId,
        skills: BTreeMap<SkillId, u8>,
        priority: i32,
    ) -> Result<(), Refusal> {
        let id = self.talk_of(agent, call)?;
        let Some(settings) = self.config.center.queues.get(&queue) else { return Err(Refusal::NoSuchQueue) };
        if self.router.queue(&queue).is_none_or(|view| view.waiting >= settings.max_waiting) {
            return Err(Refusal::QueueRefuses);
        }
        if !settings.could_be_served(&skills, self.config.center.agents.values()) {
            return Err(Refusal::QueueRefuses);
        }
        let place = Place { skills, priority, ..self.place_in(queue.clone()) };
        self.send_on(id, agent, place, TransferTo::Queue(queue));
        Ok(())
    }

    fn send_to_agent(&mut self, agent: AgentId, call: Option<CallId>, other: AgentId) -> Result<(), Refusal> {
        let id = self.talk_of(agent, call)?;
        let Some(settings) = self.config.center.agents.get(&other) else { return Err(Refusal::NoSuchAgent) };
        let talk = self.calls[&id].conversation.as_ref().expect("who talks is in a conversation");
        let from = talk.place.home.as_ref().unwrap_or(&talk.place.queue);
        let serves = settings.queues.contains_key(from);
        // He is rung in a queue of his own then, and waits in it for nobody else.
        let queue = if serves { Some(from) } else { settings.queues.keys().next() };
        let free = self.router.agent(other).is_some_and(acd::Agent::available);
        let Some(queue) = queue.filter(|_| free).cloned() else { return Err(Refusal::AgentNotAvailable) };
        let home = (!serves).then(|| from.clone());
        // What he needs is relaxed by what he has waited, and not by what he has talked.
        let since = self.now.before(talk.waited);
        let kept = Place { preferred: None, position: None, since, ..talk.place.clone() };
        let work = WorkId(self.ids.works.take());
        self.send_on(id, agent, Place { work, queue, only: Some(other), home, ..kept }, TransferTo::Agent(other));
        Ok(())
    }

    /// To a number outside, as far as the queue that the caller came from lets its agents.
    fn send_outside(&mut self, agent: AgentId, call: Option<CallId>, number: &str) -> Result<(), Refusal> {
        let id = self.talk_of(agent, call)?;
        let call = &self.calls[&id];
        let talk = call.conversation.as_ref().expect("who talks is in a conversation");
        let queue = self.config.center.queues.get(talk.place.home.as_ref().unwrap_or(&talk.place.queue));
        if !queue.is_some_and(|queue| queue.may_send_to(number)) {
            return Err(Refusal::NotAllowed);
        }
        // Agents and callers of this queue are not excluded from each other: who comes back may come to the same one. What
        // was talked relaxes nothing here either, and whom he prefers he has been waited for.
        let since = self.now.before(talk.waited);
        let back = Place { only: None, preferred: None, arrived: since, since, ..talk.place.clone() };
        let hunt = self.hunt(number, call.origin.hops).ok_or(Refusal::NoRoute)?;
        let told = self.personal(PersonalKind::Number, number.to_owned());
        self.let_go(id, agent, TransferTo::Number(told));
        self.call_outside(id, hunt, OUTSIDE_RINGS, Some(back));
        Ok(())
    }

    fn place_in(&mut self, queue: QueueId) -> Place {
        let work = WorkId(self.ids.works.take());
        Place::new(work, queue, self.now)
    }

    /// Ends the agent's part of the call and lets the caller wait at `place`.
    fn send_on(&mut self, id: CallId, agent: AgentId, place: Place, to: TransferTo) {
        let talk = self.let_go(id, agent, to);
        let served = if self.planted(super::Bug::LosesWait) { Duration::ZERO } else { talk.waited };
        let place = Place { arrived: self.now.before(served), admitted: true, excluded: [agent].into(), ..place };
        if self.planted(super::Bug::ForgetsToQueue) {
            return self.emit(Some(id), What::Held { leg: talk.leg });
        }
        self.wait(id, place, false);
    }

    /// Ends the agent's part of the call.
    fn let_go(&mut self, id: CallId, agent: AgentId, to: TransferTo) -> Conversation {
        self.current = Some(id);
        let call = self.calls.get_mut(&id).expect("an agent talks in a call that lives");
        let talk = call.conversation.take().expect("who talks is in a conversation");
        self.talking.remove(&agent);
        self.emit(Some(id), What::Transferred { agent, to });
        let reason = Some(super::ending::reason(Cause::Transferred));
        self.sip_do(sip::Command::HangUp { leg: talk.leg, reason });
        self.clear(talk.leg, Cause::Transferred);
        self.router_do(acd::Input::Finish { agent, queue: talk.place.queue.clone() });
        talk
    }

    /// The one agent whom the caller was sent to did not take the call: anybody may who serves the queue that he came from
    /// and can what he needs there.
    pub(super) fn widen(&mut self, id: CallId) {
        let place = self.calls.get_mut(&id).and_then(|call| call.seeking.as_mut()).map(|seeking| &mut seeking.place);
        let Some(place) = place.filter(|place| place.only.is_some()) else { return };
        if self.router.position(place.work).is_none() {
            return; // He has waited his longest, which the router says next: to wait anew would be another's work.
        }
        if place.home.is_some() {
            let place = place.clone();
            self.left_queue(id, DivertReason::NotTaken);
            let place = place.again(WorkId(self.ids.works.take()));
            return self.wait(id, place, true);
        }
        place.only = None;
        let place = place.clone();
        let place = self.sparing(place);
        let asked = place.asked();
        let seeking = self.calls.get_mut(&id).and_then(|call| call.seeking.as_mut());
        seeking.into_iter().for_each(|seeking| seeking.place = place.clone());
        self.router_do(acd::Input::Enqueue(asked));
    }

    fn dispose(
        &mut self,
        agent: AgentId,
        call: Option<CallId>,
        disposition: String,
        notes: String,
    ) -> Result<(), Refusal> {
        let id = self.known_to(agent, call)?;
        let notes = (!notes.is_empty()).then(|| self.personal(PersonalKind::Text, notes));
        self.emit(Some(id), What::Disposed { agent, disposition, notes });
        self.notes_owed.remove(&agent);
        self.router_do(acd::Input::Agent { agent, change: AgentChange::WrapUpDone });
        Ok(())
    }

    /// Only where it makes a difference: who is refused knows that he gets what the queue gives.
    pub(super) fn more_time(&mut self, agent: AgentId, time: Duration) -> Result<(), Refusal> {
        self.known(agent)?;
        let writes = self.router.agent(agent).is_some_and(|agent| *agent.state() == AgentState::WrapUp);
        if !self.router.takes_more_time(agent) || writes && time.is_zero() {
            return Err(Refusal::WrongState);
        }
        self.router_do(acd::Input::Agent { agent, change: AgentChange::MoreWrapUp(time) });
        Ok(())
    }

    fn answer_at_desk(&mut self, agent: AgentId) -> Result<(), Refusal> {
        let rings = self.router.agent(agent).and_then(acd::Agent::reservation).ok_or(Refusal::NoSuchCall)?;
        match self.offers.get(&rings).copied().filter(|leg| self.legs[leg].hunt.is_none() && self.sip.takes_talk(*leg))
        {
            Some(leg) => {
                self.current = Some(self.legs[&leg].call);
                self.sip_do(sip::Command::Talk { leg });
                Ok(())
            }
            None => Err(Refusal::PhoneCannot),
        }
    }

    pub(super) fn log_in(&mut self, agent: AgentId) -> Result<(), Refusal> {
        self.known(agent)?;
        self.sits_down(agent);
        self.desk_back(agent)
    }

    fn sits_down(&mut self, agent: AgentId) {
        self.away.at_phone.remove(&agent);
        self.away.lost.remove(&agent);
        if self.desks.insert(agent) {
            self.emit(None, What::DeskEntered { agent });
        }
    }

    /// He says at his phone that he wants calls while his desktop is lost: nothing waits for it any more, after a restart
    /// neither, until it is back.
    pub(super) fn works_at_phone(&mut self, agent: AgentId) {
        let paused = self.router.agent(agent).is_some_and(|agent| agent.pause() == Some(DESK_LOST));
        let lost = self.away.lost.remove(&agent);
        if (lost || paused) && self.desks.remove(&agent) {
            self.away.at_phone.insert(agent);
            self.emit(None, What::DeskLeft { agent, for_phone: true });
        }
    }

    /// An earlier start has met him so.
    pub(super) fn at_phone_still(&mut self, agent: AgentId) {
        self.away.at_phone.insert(agent);
    }

    pub(super) fn log_out(&mut self, agent: AgentId) -> Result<(), Refusal> {
        self.known(agent)?;
        self.away.lost.remove(&agent);
        if self.away.at_phone.remove(&agent) | self.desks.remove(&agent) {
            self.emit(None, What::DeskLeft { agent, for_phone: false });
        }
        self.tell_agent(agent, AgentChange::NotReady(LOGGED_OUT.to_owned()))
    }

    pub(super) fn desk_lost(&mut self, agent: AgentId) -> Result<(), Refusal> {
        let on_break = self.router.agent(agent).is_some_and(|agent| agent.pause().is_some());
        if self.desks.contains(&agent) {
            self.away.lost.insert(agent);
        }
        match self.desks.contains(&agent) && !on_break && !self.planted(super::Bug::BelievesDesks) {
            true => self.tell_agent(agent, AgentChange::NotReady(DESK_LOST.to_owned())),
            false => Ok(()),
        }
    }

    pub(super) fn desk_back(&mut self, agent: AgentId) -> Result<(), Refusal> {
        self.away.lost.remove(&agent);
        if self.away.at_phone.contains(&agent) {
            self.sits_down(agent);
        }
        let ours = self.router.agent(agent).is_some_and(|agent| agent.pause() == Some(DESK_LOST));
        match ours && !self.planted(super::Bug::ForgetsDeskBack) {
            true => self.tell_agent(agent, AgentChange::BreakOver),
            false => Ok(()),
        }
    }

    fn known(&self, agent: AgentId) -> Result<(), Refusal> {
        self.config.center.agents.get(&agent).map(|_| ()).ok_or(Refusal::NoSuchAgent)
    }
}
