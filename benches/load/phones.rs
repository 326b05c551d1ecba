//! Callers and agents by the hundred: SIP from templates, so that the generator costs little beside what it measures.
//! All callers come from one address, as from a trunk; each agent's phone has its own. It knows what a call of ours
//! needs (RFC 3261 §17 timers on UDP included) and counts everything else as a failure.

mod agents;
mod callers;

use super::os::{self, Epoll, Inbox};
use super::text::Text;
use super::traffic::{Side, Stream};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

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
    /// Attribute of both sides' SDP.
    pub direction: &'static str,
    /// Who hangs up, and how long after the agent answered, on average; none: calls stay.
    pub hang_up: Option<(Side, Duration)>,
    /// Both sides have RTP and RTCP on one port, and the server a file less for each leg.
    pub mux: bool,
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

    fn received(&mut self, who: usize, at: u64, text: &Text<'_>) {
        match (who, text.status()) {
            (_, None) if text.is("OPTIONS") => self.send(who, &text.answer("200 OK", "", "", "")),
            (CALLERS, Some(status)) => self.caller_answered(status, text),
            (_, Some(status)) => self.agent_answered(status, text),
            (CALLERS, None) => self.caller_asked(text),
            (_, None) => self.agent_asked(who - 1, at, text),
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
}

fn stream((side, to): (Side, SocketAddrV4)) -> Stream {
    Stream { side, to }
}
