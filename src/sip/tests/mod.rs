//! Two endpoints, one clock, and a wire between them that can be watched and cut.

mod answers;
mod calls;
mod early;
mod glare;
mod guarding;
mod instances;
mod invites;
mod overload;
mod owed;
mod phones;
mod referrals;
mod sessions;
mod storm;
mod transports;
mod trunks;
mod watch;

use super::header::{Method, NameAddr};
use super::message::{Message, Request, Response};
use super::uri::Uri;
use super::*;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const HERE: &str = "10.0.0.1:5060";
pub(super) const THERE: &str = "10.0.0.2:5062";

pub(super) fn at(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

pub(super) fn config(bind: &str) -> Config {
    let mut config = Config::new(vec![Listener::udp(bind.parse().unwrap())], "test");
    config.keepalive = None;
    config
}

pub(super) fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}

pub(super) fn account(user: &str) -> Account {
    Account::new(user, &format!("secret of {user}"))
}

/// What the wire does with a message: its sender (0 or 1) and first line → whether it gets lost.
type Loss = Box<dyn FnMut(usize, &str) -> bool>;

/// Side 0 is the caller (or phone), side 1 the called (or registrar), 10 ms apart.
pub(super) struct Pair {
    pub now: Instant,
    pub sides: [Endpoint; 2],
    places: [SocketAddr; 2],
    wire: VecDeque<(Instant, usize, Vec<u8>)>,
    pub events: [Vec<Event>; 2],
    /// `> INVITE` from side 0, `< 200 INVITE` from side 1, `x` before what got lost.
    pub ladder: Vec<String>,
    pub loss: Loss,
    /// Where names lead.
    pub names: Vec<Place>,
}

impl Pair {
    pub fn new() -> Pair {
        Pair::with(config(HERE), config(THERE))
    }

    pub fn with(first: Config, second: Config) -> Pair {
        let places = [first.listeners[0].bind, second.listeners[0].bind];
        let end = |config: Config, node| Endpoint::new(config, Rng::from_number(node), IdCounter::new(node as u16, 1));
        Pair {
            now: at(1000),
            sides: [end(first, 1), end(second, 2)],
            places,
            wire: VecDeque::new(),
            events: [Vec::new(), Vec::new()],
            ladder: Vec::new(),
            loss: Box::new(|_, _| false),
            names: Vec::new(),
        }
    }

    pub fn tell(&mut self, side: usize, command: Command) {
        self.input(side, Input::Command(command));
    }

    pub fn input(&mut self, side: usize, input: Input) {
        self.sides[side].handle(self.now, input);
        self.collect(side);
    }

    fn collect(&mut self, side: usize) {
        while let Some(output) = self.sides[side].poll() {
            match output {
                Output::Send { bytes, .. } => self.carry(side, bytes),
                Output::Event(event) => self.events[side].push(event),
                Output::Verify { query, credentials, method } => {
                    let password = format!("secret of {}", credentials.username);
                    let realm = &self.sides[side].config().realm;
                    let ha1 = digest::ha1(credentials.algorithm, &credentials.username, realm, &password);
                    let ok = credentials.verify(&ha1, &method);
                    self.sides[side].handle(self.now, Input::Verified { query, ok });
                }
                Output::Prove { query, user, asked, .. } => {
                    let password = format!("secret of {user}");
                    let credentials = asked.answers(digest::Login { user: &user, password: &password });
                    self.sides[side].handle(self.now, Input::Proven { query, credentials });
                }
                Output::Resolve { query, .. } => {
                    let flows = self.names.clone();
                    self.sides[side].handle(self.now, Input::Resolved { query, flows });
                }
            }
        }
    }

    fn carry(&mut self, side: usize, bytes: Vec<u8>) {
        let line = title(&bytes);
        read_by_another(&bytes);
        let lost = (self.loss)(side, &line);
        self.ladder.push(format!("{}{} {line}", if lost { "x" } else { "" }, ["<", ">"][1 - side]));
        if !lost {
            self.wire.push_back((self.now + Duration::from_millis(10), 1 - side, bytes));
        }
    }

    /// Lets `ms` pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let deadlines = self.sides.iter().filter_map(Endpoint::deadline);
            let next = deadlines.chain(self.wire.front().map(|(at, _, _)| *at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            match self.wire.front() {
                Some((at, _, _)) if *at <= self.now => {
                    let (_, side, bytes) = self.wire.pop_front().unwrap();
                    let flow = Flow::udp(0, self.places[1 - side]);
                    self.input(side, Input::Received { flow, bytes });
                }
                _ => (0..2).for_each(|side| self.input(side, Input::Timeout)),
            }
        }
        self.now = end;
    }

    pub fn take_ladder(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ladder)
    }

    /// What became known on this side. That an INVITE goes out is no news but for who writes it down.
    pub fn take_events(&mut self, side: usize) -> Vec<Event> {
        self.events[side].retain(|event| !matches!(event, Event::Calling { .. }));
        std::mem::take(&mut self.events[side])
    }

    /// The INVITEs that went out from this side, as they were written down.
    pub fn written_down(&self, side: usize) -> Vec<InviteRecord> {
        let calling = |event: &Event| match event {
            Event::Calling { invite, .. } => Some(invite.clone()),
            _ => None,
        };
        self.events[side].iter().filter_map(calling).collect()
    }

    /// Calls side 1 from side 0; returns the caller's leg.
    pub fn invite(&mut self) -> LegId {
        let leg = self.sides[0].next_leg();
        let command = Command::Invite {
            leg,
            uri: Uri::parse(&format!("sip:100@{THERE}")).unwrap(),
            flow: None,
            from: address("\"Ada\" <sip:ada@10.0.0.1>"),
            to: address("<sip:100@10.0.0.2>"),
            offer: Some(Body::sdp("offer")),
            headers: vec![("X-Test".into(), "7".into())],
            account: None,
            listener: None,
        };
        self.tell(0, command);
        leg
    }

    /// The called side's leg, once the INVITE has arrived.
    pub fn invited(&mut self) -> LegId {
        self.run(20);
        let invited = self.events[1].iter().find_map(|event| match event {
            Event::Invited { leg, .. } => Some(*leg),
            _ => None,
        });
        invited.expect("an INVITE has arrived")
    }

    /// A call that is established; the two legs.
    pub fn call(&mut self) -> (LegId, LegId) {
        let caller = self.invite();
        let called = self.invited();
        self.tell(1, Command::Answer { leg: called, body: Body::sdp("answer") });
        self.run(100);
        assert!(matches!(self.events[1].last(), Some(Event::Established { .. })), "{:?}", self.events[1]);
        self.take_ladder();
        self.events.iter_mut().for_each(Vec::clear);
        (caller, called)
    }

    /// Everything has ended: nothing pends, and after the lingering nothing is left at all.
    pub fn assert_quiet(&mut self) {
        for side in &self.sides {
            assert_eq!(side.pending(), None);
        }
        self.run(70_000);
        for side in &self.sides {
            let left = (side.legs.len(), side.by_tag.len(), side.serving.len(), side.acks.len(), side.cancelling.len());
            assert_eq!((left, side.stats().transactions, side.deadline()), ((0, 0, 0, 0, 0), 0, None));
        }
    }
}

/// A call to this URI, over this flow if there is one, without an offer and anything else that is special.
pub(super) fn invite_of(leg: LegId, uri: &str, flow: Option<Flow>) -> Command {
    Command::Invite {
        leg,
        uri: Uri::parse(uri).unwrap(),
        flow,
        from: address("<sip:100@10.0.0.1>"),
        to: address(&format!("<{uri}>")),
        offer: None,
        headers: Vec::new(),
        account: None,
        listener: None,
    }
}

/// The same call with an offer.
pub(super) fn offering(mut invite: Command, with: Body) -> Command {
    if let Command::Invite { offer, .. } = &mut invite {
        *offer = Some(with);
    }
    invite
}

/// `INVITE`, or `200 INVITE`.
pub(super) fn title(bytes: &[u8]) -> String {
    match Message::parse(bytes, &Limits::default()).expect("an endpoint sends what can be read") {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => {
            format!("{} {}", response.status, response.headers.cseq().unwrap().method)
        }
    }
}

/// What we write means the same to a parser that we have not written.
fn read_by_another(bytes: &[u8]) {
    use rsip::prelude::*;
    let theirs = rsip::SipMessage::try_from(bytes).expect("another parser reads what we write");
    let ours = Message::parse(bytes, &Limits::default()).expect("we read what we write");
    let (headers, via) = (ours.headers(), ours.headers().top_via().expect("a Via"));
    let branch = theirs.via_header().unwrap().typed().unwrap().branch().map(|branch| branch.value().to_owned());
    assert_eq!(branch.as_deref(), via.branch());
    assert_eq!(Some(theirs.call_id_header().unwrap().value()), headers.call_id().ok());
    assert_eq!(Ok(theirs.cseq_header().unwrap().seq().unwrap()), headers.cseq().map(|cseq| cseq.number));
    let tag = |tag: Option<rsip::param::Tag>| tag.map(|tag| tag.value().to_owned());
    assert_eq!(tag(theirs.from_header().unwrap().tag().unwrap()).as_deref(), headers.from_tag());
    assert_eq!(tag(theirs.to_header().unwrap().tag().unwrap()).as_deref(), headers.to_tag());
    let (kind, body) = match (&theirs, &ours) {
        (rsip::SipMessage::Request(theirs), Message::Request(ours)) => {
            (theirs.method.to_string() == ours.method.as_str(), theirs.body == ours.body)
        }
        (rsip::SipMessage::Response(theirs), Message::Response(ours)) => {
            (theirs.status_code.code() == ours.status, theirs.body == ours.body)
        }
        _ => (false, false),
    };
    assert!(kind && body, "{theirs:?}\n{ours:?}");
}

/// One endpoint and raw messages.
pub(super) struct Raw {
    pub now: Instant,
    pub endpoint: Endpoint,
    pub from: SocketAddr,
    /// In place of UDP from there.
    pub over: Option<Flow>,
}

impl Raw {
    pub fn new(config: Config) -> Raw {
        let endpoint = Endpoint::new(config, Rng::from_number(3), IdCounter::new(3, 1));
        Raw { now: at(1000), endpoint, from: THERE.parse().unwrap(), over: None }
    }

    /// Sends text (line ends are made right) and returns what comes out at once.
    pub fn send(&mut self, text: &str) -> Vec<Output> {
        let bytes = text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
        let flow = self.over.unwrap_or(Flow::udp(0, self.from));
        self.input(Input::Received { flow, bytes })
    }

    pub fn input(&mut self, input: Input) -> Vec<Output> {
        self.endpoint.handle(self.now, input);
        std::iter::from_fn(|| self.endpoint.poll()).collect()
    }

    pub fn run(&mut self, ms: u64) -> Vec<Output> {
        let end = self.now + Duration::from_millis(ms);
        let mut outputs = Vec::new();
        while let Some(next) = self.endpoint.deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            outputs.extend(self.input(Input::Timeout));
        }
        self.now = end;
        outputs
    }
}

/// The first request that is sent here could not be sent.
pub(super) fn unsent(outputs: &[Output]) -> Input {
    let branch = outputs.iter().find_map(|output| match output {
        Output::Send { bytes, .. } => branch_in(bytes),
        _ => None,
    });
    Input::Unsent { branch: branch.expect("a request") }
}

pub(super) fn messages(outputs: &[Output]) -> Vec<Message> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { bytes, .. } => Some(Message::parse(bytes, &Limits::default()).unwrap()),
        _ => None,
    });
    sent.collect()
}

pub(super) fn responses(outputs: &[Output]) -> Vec<Response> {
    let only = |message| match message {
        Message::Response(response) => Some(response),
        Message::Request(_) => None,
    };
    messages(outputs).into_iter().filter_map(only).collect()
}

pub(super) fn requests(outputs: &[Output]) -> Vec<Request> {
    let only = |message| match message {
        Message::Request(request) => Some(request),
        Message::Response(_) => None,
    };
    messages(outputs).into_iter().filter_map(only).collect()
}

pub(super) fn statuses(outputs: &[Output]) -> Vec<u16> {
    responses(outputs).iter().map(|response| response.status).collect()
}

/// A request from outside a dialog; `more` are further header lines, each with its line end.
pub(super) fn ask(method: &str, branch: &str, more: &str, body: &str) -> String {
    let to = if more.contains("To: ") { "" } else { "To: <sip:100@10.0.0.1>\n" };
    let cseq = if more.contains("CSeq: ") { String::new() } else { format!("CSeq: 1 {method}\n") };
    let contact = if more.contains("Contact: ") { "" } else { "Contact: <sip:bob@10.0.0.2:5062>\n" };
    format!(
        "{method} sip:100@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5062;branch=z9hG4bK{branch};rport\n\
         From: <sip:bob@example.org>;tag=b1\n{to}Call-ID: c1\n{cseq}{contact}{more}Content-Length: {}\n\n{body}",
        body.len()
    )
}

pub(super) const SDP: &str = "Content-Type: application/sdp\n";

pub(super) fn is(method: Method) -> impl Fn(&Request) -> bool {
    move |request| request.method == method
}
