//! The callers' side: INVITE, what the engine answers and asks, BYE.

use super::super::os;
use super::super::server::LINE;
use super::super::text::{self, Text};
use super::{CALLERS, Caller, PATIENCE, Phones, Retry, State, T1, Timer};

impl Phones {
    pub(super) fn start_call(&mut self) {
        let i = self.callers.len();
        let (server, own) = (self.server, self.addresses[0]);
        let sdp = text::sdp(self.media[0], self.plan.direction, self.plan.mux);
        let sent = format!(
            "INVITE sip:{LINE}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKi{i}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+{i}@{own}>;tag=c{i}\r\nTo: <sip:{LINE}@{server}>\r\n\
             Call-ID: c{i}@bench\r\nCSeq: 1 INVITE\r\nContact: <sip:+{i}@{own}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.send(CALLERS, &sent);
        let (to, target) = (String::new(), String::new());
        let started = os::now();
        let state = State::Inviting;
        self.callers.push(Caller { state, talks: false, started, sent, to, target, media: None, leg: None, ended: 0 });
        self.tally.started += 1;
        self.after(T1, Timer::Again(Retry::Invite(i), 1));
        self.after(PATIENCE, Timer::NotQueued(i));
    }

    pub(super) fn caller_answered(&mut self, status: u16, text: &Text<'_>) {
        let Some(i) = text.number("Call-ID:", "c").filter(|i| *i < self.callers.len()) else {
            return self.fail("an answer to nobody");
        };
        let state = self.callers[i].state;
        let is_invite = text.header("CSeq:").ends_with("INVITE");
        match (is_invite, status, state) {
            (true, 100..200, State::Inviting) => self.callers[i].state = State::Proceeding,
            (true, 100..200, _) => {}
            (true, 200..300, State::Inviting | State::Proceeding) => {
                let caller = &mut self.callers[i];
                text.header("To:").clone_into(&mut caller.to);
                text.target().clone_into(&mut caller.target);
                (caller.state, caller.media) = (State::Up, text.media());
                self.tally.queued += 1;
                self.acknowledge(i);
            }
            (true, 200..300, _) => self.acknowledge(i),
            (true, _, State::Inviting | State::Proceeding) => {
                self.callers[i].state = State::Ended;
                self.fail(format!("{status} to INVITE"));
                self.refusal_taken(i, text);
            }
            (true, _, _) => self.refusal_taken(i, text),
            (false, 200, State::Leaving) => self.side_ended(i, true),
            (false, 200, _) => {}
            (false, _, _) => self.fail(format!("{status} to BYE")),
        }
    }

    fn acknowledge(&self, i: usize) {
        let (caller, own) = (&self.callers[i], self.addresses[0]);
        let (to, target) = (&caller.to, &caller.target);
        self.send(
            CALLERS,
            &format!(
                "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKa{i}\r\nMax-Forwards: 70\r\n\
                 From: <sip:+{i}@{own}>;tag=c{i}\r\nTo: {to}\r\nCall-ID: c{i}@bench\r\nCSeq: 1 ACK\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
        );
    }

    /// RFC 3261 §17.1.1.3: the ACK of a refusal belongs to the INVITE's transaction.
    fn refusal_taken(&self, i: usize, text: &Text<'_>) {
        let (server, own, to) = (self.server, self.addresses[0], text.header("To:"));
        self.send(
            CALLERS,
            &format!(
                "ACK sip:{LINE}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKi{i}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:+{i}@{own}>;tag=c{i}\r\nTo: {to}\r\nCall-ID: c{i}@bench\r\n\
                 CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
            ),
        );
    }

    /// The engine asks the caller's phone: only BYE is expected.
    pub(super) fn caller_asked(&mut self, text: &Text<'_>) {
        self.send(CALLERS, &text.answer("200 OK", "", "", ""));
        let i = text.number("Call-ID:", "c").filter(|i| *i < self.callers.len());
        match i {
            Some(i) if text.is("BYE") && self.callers[i].state == State::Up => {
                if !self.callers[i].talks {
                    self.fail("the engine hung up on a caller who waits");
                }
                self.side_ended(i, true);
            }
            Some(_) if text.is("BYE") => {}
            _ => self.fail(format!("a caller is asked {}", text.method())),
        }
    }

    pub(super) fn caller_hangs_up(&mut self, i: usize) {
        let (caller, own) = (&mut self.callers[i], self.addresses[0]);
        let (to, target) = (&caller.to, &caller.target);
        caller.sent = format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKb{i}\r\nMax-Forwards: 70\r\n\
             From: <sip:+{i}@{own}>;tag=c{i}\r\nTo: {to}\r\nCall-ID: c{i}@bench\r\nCSeq: 2 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        caller.state = State::Leaving;
        self.send(CALLERS, &self.callers[i].sent);
        self.after(T1, Timer::Again(Retry::CallerBye(i), 1));
    }
}
