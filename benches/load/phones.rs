//! Callers and agents by the hundred: SIP from templates, so that the generator costs little beside what it measures.
//! All callers come from one address, as from a trunk; each agent's phone has its own. It knows what a call of ours needs (RFC 3261 §17 timers
//! on UDP included) and counts everything else as a failure.

use super::os::{self, Epoll, Inbox};
use super::server::{LINE, PASSWORD, user};
use super::text::{self, Text};
use super::traffic::{Side, Stream};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;
use tierline::sip::digest::{Challenge, Login};
use tierline::sip::header::Method;

/// RFC 3261 §17.1.1.1.
const T1: u64 = 500_000_000;
/// A call that is not in the queue, or not at an end, after so long has failed.
const PATIENCE: u64 = 8_000_000_000;
/// Times that something is sent again.
const TRIES: u32 = 6;
/// Number of the callers' socket; an agent's is one more than his number.
const CALLERS: usize = 0;
const MILLISECOND: u64 = 1_000_000;

/// How calls go.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Attribute of the callers' SDP.
    pub direction: &'static str,
    /// Who hangs up, and how long after the agent answered; none: calls stay.
    pub hang_up: Option<(Side, Duration)>,
    /// A call that has ended is followed by a new one.
    pub again: bool,
}

/// What became of the calls.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub started: u64,
    /// Answered by the engine: in the queue.
    pub queued: u64,
    /// Caller and agent talk, or have talked.
    pub talked: u64,
    /// Talked and ended properly for both sides.
    pub completed: u64,
    pub again: u64,
    pub failures: BTreeMap<String, u64>,
    /// From an agent's BYE to the next INVITE at his phone, in microseconds.
    pub idle: Vec<u32>,
    /// From the caller's INVITE to the INVITE at an agent's phone, in microseconds.
    pub found: Vec<u32>,
}

impl Tally {
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Start,
    HangUp(usize),
    NotQueued(usize),
    NotEnded(usize),
    /// Send again what the caller's call, the agent's leg or the agent's registration still waits for.
    Again(Retry, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Retry {
    Invite(usize),
    CallerBye(usize),
    Answer(usize),
    AgentBye(usize),
    Register(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inviting,
    Proceeding,
    Up,
    Leaving,
    Ended,
}

struct Caller {
    state: State,
    talks: bool,
    started: u64,
    /// The last request, to be sent again.
    sent: String,
    /// To with the engine's tag, and its Contact.
    to: String,
    target: String,
    media: Option<SocketAddrV4>,
    leg: Option<usize>,
    /// Of the caller's and the agent's side, how many have ended.
    ended: u8,
}

struct Leg {
    agent: usize,
    caller: Option<usize>,
    state: State,
    call_id: String,
    /// The engine's From; the agent's To with tag.
    remote: String,
    local: String,
    target: String,
    sent: String,
    media: Option<SocketAddrV4>,
}

#[derive(Default)]
struct Agent {
    registered: bool,
    sent: String,
    freed: Option<u64>,
}

/// All phones of both sides.
pub struct Phones {
    plan: Plan,
    server: SocketAddrV4,
    /// Where their audio is.
    media: [SocketAddrV4; 2],
    /// Of all callers; then of each agent.
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddrV4>,
    epoll: Epoll,
    inbox: Option<Inbox>,
    callers: Vec<Caller>,
    legs: Vec<Leg>,
    leg_ids: BTreeMap<String, usize>,
    agents: Vec<Agent>,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    pub tally: Tally,
}

impl Phones {
    pub fn new(server: SocketAddrV4, media: [SocketAddrV4; 2], agents: usize, plan: Plan) -> Phones {
        let sockets: Vec<UdpSocket> = (0..=agents).map(|_| os::socket().expect("a free port")).collect();
        let addresses = sockets.iter().map(os::address).collect();
        let epoll = Epoll::new();
        for (number, socket) in sockets.iter().enumerate() {
            epoll.add(socket, number as u64);
        }
        let agents = (0..agents).map(|_| Agent::default()).collect();
        Phones {
            plan,
            server,
            media,
            sockets,
            addresses,
            epoll,
            inbox: Some(Inbox::new()),
            callers: Vec::new(),
            legs: Vec::new(),
            leg_ids: BTreeMap::new(),
            agents,
            timers: BinaryHeap::new(),
            tally: Tally::default(),
        }
    }

    /// Registers so many more agents, from `first`, and waits until all are.
    pub fn register(&mut self, agents: std::ops::Range<usize>) {
        for agent in agents.clone() {
            self.send_register(agent, 1, "");
            // The engine's socket takes hundreds at once, but phones do not come at once.
            if agent % 16 == 15 {
                self.run(Duration::from_millis(5), |_| false);
            }
        }
        let all = |phones: &Phones| agents.clone().all(|agent| phones.agents[agent].registered);
        assert!(self.run(Duration::from_secs(20), all), "agents cannot register: {:?}", self.tally.failures);
    }

    /// Starts so many calls a second for so long, beginning now.
    pub fn offer(&mut self, rate: u64, span: Duration) {
        let calls = (span.as_secs_f64() * rate as f64).round() as u64;
        self.offer_calls(rate, calls);
    }

    /// Starts so many calls, `rate` a second.
    pub fn offer_calls(&mut self, rate: u64, calls: u64) {
        let now = os::now();
        for i in 0..calls {
            self.timers.push(Reverse((now + i * 1_000_000_000 / rate, Timer::Start)));
        }
    }

    /// Lets the phones live until `done` or until `limit` has passed; says whether it was `done`.
    pub fn run(&mut self, limit: Duration, done: impl Fn(&Phones) -> bool) -> bool {
        let end = os::now() + limit.as_nanos() as u64;
        loop {
            self.step();
            if done(self) {
                return true;
            }
            let now = os::now();
            if now >= end {
                return false;
            }
            let next = self.timers.peek().map_or(end, |Reverse((at, _))| *at).min(end).min(now + 10 * MILLISECOND);
            self.epoll.wait_for(Duration::from_nanos(next.saturating_sub(now)));
        }
    }

    /// Does what is due and takes what has come, without waiting.
    pub fn step(&mut self) {
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > os::now() {
                break;
            }
            self.timers.pop();
            self.due(timer);
        }
        let mut inbox = self.inbox.take().expect("only a step has it, and steps are not nested");
        let mut events = os::NO_EVENTS;
        for event in self.epoll.ready(&mut events) {
            let who = event.u64 as usize;
            let count = inbox.receive(&self.sockets[who], if who == CALLERS { os::BATCH } else { 4 });
            for i in 0..count {
                let datagram = inbox.datagram(i);
                match std::str::from_utf8(datagram.bytes) {
                    Ok(text) => self.received(who, datagram.at, &Text(text)),
                    Err(_) => self.fail("not text"),
                }
            }
        }
        self.inbox = Some(inbox);
    }

    /// The audio that goes on now: of each talking pair the caller's, then the agent's.
    pub fn talking(&self) -> Vec<Stream> {
        let pairs = self.callers.iter().filter(|caller| caller.talks && caller.state == State::Up);
        let pairs = pairs.filter_map(|caller| Some((caller.media?, self.legs[caller.leg?].media?)));
        pairs.flat_map(|(caller, agent)| [(Side::Caller, caller), (Side::Agent, agent)]).map(stream).collect()
    }

    /// The audio of callers who wait.
    pub fn waiting(&self) -> Vec<Stream> {
        let waiting = self.callers.iter().filter(|caller| !caller.talks && caller.state == State::Up);
        waiting.filter_map(|caller| caller.media).map(|to| stream((Side::Caller, to))).collect()
    }

    fn send(&self, who: usize, text: &str) {
        // What the kernel does not take is lost, and sent again by its timer.
        _ = self.sockets[who].send_to(text.as_bytes(), self.server);
    }

    fn fail(&mut self, why: impl Into<String>) {
        *self.tally.failures.entry(why.into()).or_default() += 1;
    }

    fn after(&mut self, wait: u64, timer: Timer) {
        self.timers.push(Reverse((os::now() + wait, timer)));
    }

    fn due(&mut self, timer: Timer) {
        match timer {
            Timer::Start => self.start_call(),
            Timer::HangUp(caller) => self.hang_up(caller),
            Timer::NotQueued(i) if matches!(self.callers[i].state, State::Inviting | State::Proceeding) => {
                self.callers[i].state = State::Ended;
                self.fail("not in the queue in time");
            }
            Timer::NotEnded(i) if self.callers[i].ended < 2 => self.fail("not ended for both in time"),
            Timer::NotQueued(_) | Timer::NotEnded(_) => {}
            Timer::Again(retry, tries) => self.again(retry, tries),
        }
    }

    fn again(&mut self, retry: Retry, tries: u32) {
        let leg = |i: usize| (self.legs[i].agent + 1, &self.legs[i].sent);
        let (who, text) = match retry {
            Retry::Invite(i) if self.callers[i].state == State::Inviting => (CALLERS, &self.callers[i].sent),
            Retry::CallerBye(i) if self.callers[i].state == State::Leaving => (CALLERS, &self.callers[i].sent),
            Retry::Answer(i) if self.legs[i].state == State::Inviting => leg(i),
            Retry::AgentBye(i) if self.legs[i].state == State::Leaving => leg(i),
            Retry::Register(i) if !self.agents[i].registered => (i + 1, &self.agents[i].sent),
            _ => return,
        };
        self.send(who, text);
        self.tally.again += 1;
        if tries < TRIES {
            self.after(T1 << tries.min(3), Timer::Again(retry, tries + 1));
        } else {
            self.fail(format!("sent {TRIES} times in vain"));
        }
    }

    fn send_register(&mut self, agent: usize, cseq: u32, authorization: &str) {
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

    fn start_call(&mut self) {
        let i = self.callers.len();
        let (server, own) = (self.server, self.addresses[0]);
        let sdp = text::sdp(self.media[0], self.plan.direction);
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

    fn received(&mut self, who: usize, at: u64, text: &Text<'_>) {
        match (who, text.status()) {
            (_, None) if text.is("OPTIONS") => self.send(who, &text.answer("200 OK", "", "", "")),
            (CALLERS, Some(status)) => self.caller_answered(status, text),
            (_, Some(status)) => self.agent_answered(status, text),
            (CALLERS, None) => self.caller_asked(text),
            (_, None) => self.agent_asked(who - 1, at, text),
        }
    }

    fn caller_answered(&mut self, status: u16, text: &Text<'_>) {
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
    fn caller_asked(&mut self, text: &Text<'_>) {
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

    fn hang_up(&mut self, i: usize) {
        let caller = &self.callers[i];
        if caller.state != State::Up {
            return;
        }
        match (self.plan.hang_up, caller.leg) {
            (Some((Side::Agent, _)), Some(leg)) => self.agent_hangs_up(leg),
            _ => self.caller_hangs_up(i),
        }
        self.after(PATIENCE, Timer::NotEnded(i));
    }

    fn caller_hangs_up(&mut self, i: usize) {
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

    fn agent_hangs_up(&mut self, i: usize) {
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

    /// One of a call's two sides has ended; with the second the call is complete.
    fn side_ended(&mut self, i: usize, callers: bool) {
        let caller = &mut self.callers[i];
        if callers {
            caller.state = State::Ended;
        }
        caller.ended += 1;
        if caller.ended == 2 {
            self.tally.completed += 1;
            if self.plan.again {
                self.start_call();
            }
        }
    }

    fn agent_answered(&mut self, status: u16, text: &Text<'_>) {
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

    fn agent_asked(&mut self, agent: usize, at: u64, text: &Text<'_>) {
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
        let sent = text.answer("200 OK", &tag, &contact, &text::sdp(self.media[1], "sendrecv"));
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
            self.after(after.as_nanos() as u64, Timer::HangUp(i));
        }
    }

    fn leg_ended(&mut self, leg: usize) {
        self.legs[leg].state = State::Ended;
        if let Some(caller) = self.legs[leg].caller {
            self.side_ended(caller, false);
        }
    }
}

fn stream((side, to): (Side, SocketAddrV4)) -> Stream {
    Stream { side, to }
}
