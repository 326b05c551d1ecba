//! What a connected call can do by itself (hold and retrieve at a phone), and the door of commands.

use super::{Deadline, Engine, LegState};
use crate::acd::{self, AgentChange};
use crate::command::{Ask, Command, Refusal};
use crate::event::{Cause, Mark, What};
use crate::ids::{AgentId, CallId, LegId};
use crate::media;
use crate::sip::{self, Body};

impl Engine {
    /// What is done and that it is done are in the log together: one step's events are.
    pub(super) fn asked(&mut self, id: u64, command: Command, mark: Option<Mark>) {
        self.asking = Some(id);
        let result = self.command(command);
        if let (Ok(()), Some(mark)) = (&result, mark)
            && !self.planted(super::Bug::ForgetsDone)
        {
            self.emit(None, What::CommandDone { mark });
        }
        self.reply(result);
    }

    /// Answers what is being asked, if anything is.
    pub(super) fn reply(&mut self, result: Result<(), Refusal>) {
        let reply = self.asking.take().map(|id| super::Output::Reply { id, result });
        self.outputs.extend(reply);
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        command.allowed(&self.config.center)?;
        match command.ask {
            Ask::Ready { agent } if self.must_code(agent) => Err(Refusal::NotCoded),
            Ask::Ready { agent } => self.tell_agent(agent, AgentChange::Ready),
            Ask::NotReady { reason, .. } if !self.is_reason(&reason) => {
                Err(Refusal::Invalid(match self.config.center.reasons.is_empty() {
                    true => "no reasons are configured: a reason is then one word of a-z, 0-9, \"_\", \".\" and \"-\"",
                    false => "this is none of the configured reasons",
                }))
            }
            Ask::NotReady { agent, reason } => {
                // As the router cuts it: a break that a restart restores is the same.
                let reason: String = reason.chars().take(acd::MAX_REASON).collect();
                self.tell_agent(agent, AgentChange::NotReady(reason))
            }
            Ask::MoreTime { agent, time } => self.more_time(agent, time),
            Ask::LogIn { agent } => self.log_in(agent),
            Ask::LogOut { agent } => self.log_out(agent),
            Ask::DeskLost { agent } => self.desk_lost(agent),
            Ask::DeskBack { agent } => self.desk_back(agent),
            Ask::Serve { agent, call, verb } => self.serve(agent, call, verb),
            Ask::EndCall { call } if self.calls.contains_key(&call) => {
                self.current = Some(call);
                self.end_call(call, Cause::Commanded);
                Ok(())
            }
            Ask::EndCall { .. } => Err(Refusal::NoSuchCall),
            Ask::Banner { banner, on } => self.switch_banner(banner, on),
            Ask::EndAll => {
                self.end_all(Cause::Stopped);
                Ok(())
            }
            Ask::Drain => {
                self.drain();
                Ok(())
            }
        }
    }

    pub(super) fn must_code(&self, agent: AgentId) -> bool {
        self.router.agent(agent).is_some_and(acd::Agent::must_code)
    }

    /// Any code will do where no reasons are configured. Not any text: it stays in the log.
    fn is_reason(&self, reason: &str) -> bool {
        let reasons = &self.config.center.reasons;
        let unnamed = reason.is_empty() || reason == super::arrival::UNNAMED_BREAK;
        let known = reasons.contains_key(reason) || (reasons.is_empty() && crate::command::is_code(reason));
        unnamed || known
    }

    pub(super) fn tell_agent(&mut self, agent: AgentId, change: AgentChange) -> Result<(), Refusal> {
        if !self.config.center.agents.contains_key(&agent) {
            return Err(Refusal::NoSuchAgent);
        }
        match &change {
            AgentChange::NotReady(reason) => self.emit(None, What::BreakBegan { agent, reason: reason.clone() }),
            // Nothing is said of a break that there was none of.
            _ if self.router.agent(agent).is_some_and(|agent| agent.pause().is_some()) => {
                self.emit(None, What::BreakEnded { agent });
            }
            _ => {}
        }
        self.router_do(acd::Input::Agent { agent, change });
        Ok(())
    }

    fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.timers.set(Deadline::DrainOver, self.now + self.config.center.limits.drain);
            self.emit(None, What::DrainStarted);
        }
    }

    /// The peer offers another session within its dialog: hold, retrieve, another address.
    pub(super) fn offered(&mut self, id: LegId, body: Option<Body>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        self.current = Some(leg.call);
        // Glare's answer: who means it offers again after some seconds (RFC 3261 §14.1).
        if !leg.changes.take(self.now) {
            return self.sip_do(sip::Command::RefuseOffer { leg: id, status: 491 });
        }
        let Some(body) = body else { return self.make_offer(id) };
        let port = leg.port;
        match leg.answer(&body) {
            Ok((body, session)) => {
                self.media_do(media::Command::Connect { port, session });
                self.sip_do(sip::Command::AcceptOffer { leg: id, body });
                self.hold_or_retrieve(id);
                self.watch(id);
            }
            // RFC 3261 §14.2: the session stays as it was.
            Err(_) => self.sip_do(sip::Command::RefuseOffer { leg: id, status: 488 }),
        }
    }

    /// An offer within the dialog without a body asks for ours (RFC 3261 §14.2).
    fn make_offer(&mut self, id: LegId) {
        let leg = self.legs.get_mut(&id).expect("the leg that has just been looked up");
        let codec = leg.session.as_ref().map(|session| session.codec);
        let Some(offer) = leg.offer(codec) else { return };
        leg.state = LegState::Confirmed { offer: Some(offer.clone()) };
        self.sip_do(sip::Command::AcceptOffer { leg: id, body: Body::sdp(offer) });
    }

    /// The answer to an offer of ours within the dialog.
    pub(super) fn offer_answered(&mut self, id: LegId, body: Option<Body>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        self.current = Some(leg.call);
        let LegState::Confirmed { offer } = &mut leg.state else { return };
        let (Some(offer), port) = (offer.take(), leg.port) else { return };
        if let Ok(session) = leg.accept(&offer, body.as_ref()) {
            self.media_do(media::Command::Connect { port, session });
            self.hold_or_retrieve(id);
            self.watch(id);
        }
    }

    /// The peer's answer to our last description, which the endpoint has offered again to refresh the session. It says mostly
    /// what stands.
    pub(super) fn refresh_answered(&mut self, id: LegId, offer: &Body, answer: &Body) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (before, port) = (leg.session.clone(), leg.port);
        self.current = Some(leg.call);
        if let Ok(session) = leg.accept(&offer.bytes, Some(answer))
            && before.as_ref() != Some(&session)
        {
            self.media_do(media::Command::Connect { port, session });
            self.hold_or_retrieve(id);
            self.watch(id);
        }
    }

    fn hold_or_retrieve(&mut self, id: LegId) {
        let leg = &self.legs[&id];
        let (call_id, holds) = (leg.call, leg.holds_us());
        let Some(call) = self.calls.get(&call_id) else { return };
        let Some(other) = call.other(id) else { return };
        let by_desk = call.conversation.as_ref().is_some_and(|talk| talk.by_desk);
        match (holds, call.held_by()) {
            (true, None) => self.hold(call_id, id, other),
            (true, Some(holder)) if holder == id => self.held_by_phone_too(call_id),
            (false, Some(holder)) if holder == id && !by_desk => {
                self.retrieve(call_id, id, other);
                // The other one may have put him on hold meanwhile, and still does.
                if self.legs[&other].holds_us() {
                    self.hold(call_id, other, id);
                }
            }
            _ => {}
        }
    }

    /// From here on only the phone can retrieve what was held at the desktop.
    fn held_by_phone_too(&mut self, call: CallId) {
        let talk = self.calls.get_mut(&call).and_then(|call| call.conversation.as_mut());
        talk.into_iter().for_each(|talk| talk.by_desk = false);
    }

    pub(super) fn hold(&mut self, call: CallId, holder: LegId, other: LegId) {
        let port = self.legs[&other].port;
        if !self.planted(super::Bug::ForgetsLeave) {
            self.media_do(media::Command::Leave { port });
        }
        let talk = self.calls.get_mut(&call).expect("who is put on hold was talking");
        talk.set_holder(Some(holder));
        // Who was put through by a flow came from no queue: any music is better than silence.
        let queue = talk.queue().or_else(|| self.config.center.queues.keys().next()).cloned();
        queue.into_iter().for_each(|queue| self.play_music(other, &queue));
        self.emit(Some(call), What::Held { leg: holder });
    }

    pub(super) fn retrieve(&mut self, call: CallId, holder: LegId, other: LegId) {
        let (a, b) = (self.legs[&holder].port, self.legs[&other].port);
        self.media_do(media::Command::Join { a, b });
        self.calls.get_mut(&call).into_iter().for_each(|call| call.set_holder(None));
        self.emit(Some(call), What::Retrieved { leg: holder });
    }
}
