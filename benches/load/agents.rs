//! The agents' side: registering, being rung, answering at once, BYE.

use super::super::os;
use super::super::server::{PASSWORD, user};
use super::super::text::{self, Text};
use super::{Leg, Phones, Retry, State, T1, Timer};
use tierline::sip::digest::{Challenge, Login};
use tierline::sip::header::Method;

impl Phones {
    pub(super) fn send_register(&mut self, agent: usize, cseq: u32, authorization: &str) {
        let (server, own, user) = (self.server, self.addresses[agent + 1], user(agent));
        let text = format!(
            "REGISTER sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKr{agent}x{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@{server}>;tag=r{agent}\r\nTo: <sip:{user}@{server}>\r\n\
             Call-ID: r{agent}@bench\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{own}>\r\nExpires: 3600\r\n\
             {authorization}Content-Length: 0\r\n\r\n"
        );
        self.send(agent + 1, &text);
        self.agents[agent].sent = text;
        self.after(T1, Timer::Again(Retry::Register(agent), 1));
    }

    pub(super) fn agent_answered(&mut self, status: u16, text: &Text<'_>) {
        if text.header("CSeq:").ends_with("BYE") {
            let leg = self.leg_ids.get(text.header("Call-ID:")).copied();
            return match leg {
                Some(leg) if status == 200 && self.legs[leg].state == State::Leaving => self.leg_ended(leg),
                Some(_) if status == 200 => {}
                _ => self.fail(format!("{status} to an agent's BYE")),
            };
        }
        let Some(agent) = text.number("Call-ID:", "r").filter(|agent| *agent < self.agents.len()) else {
            return self.fail("an answer to no agent");
        };
        match status {
            100..200 => {}
            200 => self.agents[agent].registered = true,
            401 if text.header("CSeq:").starts_with("1 ") => match Challenge::parse(text.header("WWW-Authenticate:")) {
                Ok(challenge) => {
                    let (name, uri) = (user(agent), format!("sip:{}", self.server));
                    let login = Login { user: &name, password: PASSWORD };
                    let credentials = challenge.answer(login, &Method::Register, &uri, 1, "0a4f113b");
                    self.send_register(agent, 2, &format!("Authorization: {credentials}\r\n"));
                }
                Err(why) => self.fail(format!("a challenge that is none: {why:?}")),
            },
            _ => self.fail(format!("{status} to REGISTER")),
        }
    }

    pub(super) fn agent_asked(&mut self, agent: usize, at: u64, text: &Text<'_>) {
        let known = self.leg_ids.get(text.header("Call-ID:")).copied();
        match (text.method(), known) {
            ("INVITE", None) => self.agent_rings(agent, at, text),
            ("INVITE", Some(leg)) => self.send(agent + 1, &self.legs[leg].sent),
            ("ACK", Some(leg)) => self.agent_talks(leg),
            ("BYE", Some(leg)) => {
                self.send(agent + 1, &text.answer("200 OK", "", "", ""));
                if self.legs[leg].state == State::Up {
                    self.leg_ended(leg);
                }
            }
            (method, _) => {
                self.fail(format!("an agent is asked {method}"));
                self.send(agent + 1, &text.answer("481 Call/Transaction Does Not Exist", "", "", ""));
            }
        }
    }

    fn agent_rings(&mut self, agent: usize, at: u64, text: &Text<'_>) {
        let i = self.legs.len();
        let Some(caller) = text.number("From:", "sip:+") else {
            return self.fail("an INVITE of nobody");
        };
        let tag = format!(";tag=a{i}");
        let contact = format!("Contact: <sip:{}@{}>\r\n", user(agent), self.addresses[agent + 1]);
        self.send(agent + 1, &text.answer("180 Ringing", &tag, &contact, ""));
        let sent = text.answer("200 OK", &tag, &contact, &text::sdp(self.media[1], self.plan.direction, self.plan.mux));
        self.send(agent + 1, &sent);
        if let Some(freed) = self.agents[agent].freed.take() {
            self.tally.idle.push((at.saturating_sub(freed) / 1000) as u32);
        }
        let call_id = text.header("Call-ID:").to_owned();
        self.leg_ids.insert(call_id.clone(), i);
        let (remote, target) = (text.header("From:").to_owned(), text.target().to_owned());
        let local = format!("{}{tag}", text.header("To:"));
        let known = self.callers.get(caller).map(|caller| caller.started);
        if let Some(started) = known {
            self.tally.found.push((at.saturating_sub(started) / 1000) as u32);
        }
        let caller = known.map(|_| caller);
        let (state, media) = (State::Inviting, text.media());
        self.legs.push(Leg { agent, caller, state, call_id, remote, local, target, sent, media });
        self.after(T1, Timer::Again(Retry::Answer(i), 1));
    }

    fn agent_talks(&mut self, leg: usize) {
        if self.legs[leg].state != State::Inviting {
            return;
        }
        self.legs[leg].state = State::Up;
        let Some(i) = self.legs[leg].caller else { return };
        if self.callers[i].talks {
            return self.fail("two agents for one caller");
        }
        (self.callers[i].talks, self.callers[i].leg) = (true, Some(leg));
        self.tally.talked += 1;
        if let Some((_, after)) = self.plan.hang_up {
            // Half to one and a half as long, so that calls do not end in step.
            let percent = 50 + (i as u64 * 37) % 101;
            self.after(after.as_nanos() as u64 * percent / 100, Timer::HangUp(i));
        }
    }

    pub(super) fn agent_hangs_up(&mut self, i: usize) {
        let leg = &mut self.legs[i];
        let own = self.addresses[leg.agent + 1];
        let Leg { target, local, remote, call_id, .. } = &*leg;
        leg.sent = format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKd{i}\r\nMax-Forwards: 70\r\n\
             From: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        );
        leg.state = State::Leaving;
        let agent = leg.agent;
        self.agents[agent].freed = Some(os::now());
        self.send(agent + 1, &self.legs[i].sent);
        self.after(T1, Timer::Again(Retry::AgentBye(i), 1));
    }

    fn leg_ended(&mut self, leg: usize) {
        self.legs[leg].state = State::Ended;
        if let Some(caller) = self.legs[leg].caller {
            self.side_ended(caller, false);
        }
    }
}
