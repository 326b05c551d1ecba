//! What the engine makes of raw bytes and keys that no phone of ours would send: inputs go in at its one door, and what
//! comes out is looked at.

#[path = "engine/coded.rs"]
mod coded;
#[path = "engine/door.rs"]
mod door;
#[path = "engine/flows.rs"]
mod flows;
#[path = "engine/heard.rs"]
mod heard;
#[path = "engine/kinds.rs"]
mod kinds;
#[path = "engine/moved.rs"]
mod moved;
#[path = "engine/outside.rs"]
mod outside;
#[path = "engine/passed.rs"]
mod passed;
#[path = "engine/phones.rs"]
mod phones;
#[path = "engine/refreshed.rs"]
mod refreshed;
#[path = "engine/turns.rs"]
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tierline::center::NotReadyReason;
use tierline::command::{Actor, Ask, Command, Refusal, Verb};
use tierline::engine::turned::Turned;
use tierline::engine::{Configuration, Engine, Input, Output, Start};
use tierline::event::{AgentMode, DivertReason, Event, What};
use tierline::ids::{AgentId, FlowId, PortId, QueueId, TrunkId};
use tierline::ivr::Step;
use tierline::media;
use tierline::sim::{ENGINE, place};
use tierline::sip::{self, Flow, Listener};
use tierline::time::{Instant, Wall};
use tierline::trunk::Way;

const MS: u64 = 1_000_000;

/// An engine, the time, and all that it has said since it was last asked.
struct Bench {
    engine: Engine,
    now: Instant,
    events: Vec<What>,
    sent: Vec<String>,
    /// Where each of it went, and where what comes comes from.
    went: Vec<SocketAddr>,
    from: SocketAddr,
    opened: Vec<PortId>,
    /// Whether each of them is of IPv6.
    kinds: Vec<bool>,
    replies: Vec<Result<(), Refusal>>,
    /// What the planes were told beside that.
    told: Vec<media::Command>,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(place::configuration(1))
    }

    fn of(configuration: Configuration) -> Bench {
        Bench::with(configuration, vec![Listener::udp(ENGINE)])
    }

    fn with(configuration: Configuration, listeners: Vec<Listener>) -> Bench {
        let mut bench = Bench::unopened(configuration, listeners);
        bench.tell(Input::Restored(Vec::new()));
        bench
    }

    /// Not yet told what an earlier start left open.
    fn unopened(configuration: Configuration, listeners: Vec<Listener>) -> Bench {
        Bench::speaking(configuration, listeners, None)
    }

    /// The same, with audio at another address too.
    fn speaking(configuration: Configuration, listeners: Vec<Listener>, media_other: Option<IpAddr>) -> Bench {
        let start = Start {
            node: 0,
            epoch: 1,
            alive: None,
            next_seq: 1,
            wall: Wall(0),
            seed: [7; 32],
            sip: sip::Config::new(listeners, "tierline"),
            planes: 1,
            media_address: ENGINE.ip(),
            media_other,
            listeners_audio: BTreeMap::new(),
            terms: media::Terms::default(),
        };
        let engine = Engine::new(start, configuration);
        let (events, sent, went, opened, kinds, told, replies) = Default::default();
        let from = "192.0.2.9:5062".parse().unwrap();
        Bench { engine, now: Instant(MS), events, sent, went, from, opened, kinds, told, replies }
    }

    fn after(&mut self, ms: u64) -> &mut Bench {
        self.now = Instant(self.now.0 + ms * MS);
        self
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Event(Event { what, .. }) => self.events.push(what),
                Output::Sip { flow, bytes } => {
                    self.sent.push(String::from_utf8_lossy(&bytes).into_owned());
                    self.went.push(flow.remote);
                }
                // Any password is right here: the verdict is the shell's.
                Output::Verify { query, .. } => self.tell(Input::Sip(sip::Input::Verified { query, ok: true })),
                Output::Media(media::Command::Open { port, six }) => {
                    self.opened.push(port);
                    self.kinds.push(six);
                }
                Output::Reply { result, .. } => self.replies.push(result),
                Output::Media(command) => self.told.push(command),
                _ => {}
            }
        }
    }

    fn datagram(&mut self, text: &str) {
        let flow = Flow::udp(u16::from(self.from.is_ipv6()), self.from);
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.tell(Input::Sip(sip::Input::Received { flow, bytes }));
    }

    fn count(&self, which: impl Fn(&What) -> bool) -> usize {
        self.events.iter().filter(|what| which(what)).count()
    }
}

fn register(number: u32, contact: &str, authorization: &str) -> String {
    format!(
        "REGISTER sip:192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKr{number};rport\n\
         From: <sip:1001@192.0.2.1>;tag=a\nTo: <sip:1001@192.0.2.1>\nCall-ID: r@192.0.2.9\n\
         CSeq: {number} REGISTER\nMax-Forwards: 70\nContact: <{contact}>\nExpires: 600\n{authorization}\
         Content-Length: 0\n\n"
    )
}

/// The answer to the last challenge.
fn authorization(bench: &Bench) -> String {
    let challenge = bench.sent.iter().rev().find(|sent| sent.starts_with("SIP/2.0 401")).expect("a challenge");
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
    format!(
        "Authorization: Digest username=\"1001\", realm=\"tierline\", nonce=\"{nonce}\", uri=\"sip:192.0.2.1\", \
         response=\"{}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\n",
        "0".repeat(32)
    )
}

/// RFC 3261 §19.1.4: scheme, host and transport are compared without case. A phone that spells its address otherwise is
/// the same phone: the log has one binding of it, never two.
#[test]
fn a_phone_that_respells_its_contact_is_one_phone() {
    let mut bench = Bench::new();
    bench.datagram(&register(1, "sip:1001@phone.example:5062;transport=udp", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@phone.example:5062;transport=udp", &proof));
    bench.after(20).datagram(&register(3, "sip:1001@PHONE.example:5062;transport=UDP", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(4, "sip:1001@PHONE.example:5062;transport=UDP", &proof));
    let mut open: BTreeMap<u64, u32> = BTreeMap::new();
    for what in &bench.events {
        match what {
            What::PhoneRegistered { binding, .. } => *open.entry(binding.handle).or_default() += 1,
            What::PhoneUnregistered { binding, .. } => drop(open.remove(binding)),
            _ => {}
        }
    }
    assert_eq!(bench.count(|what| matches!(what, What::PhoneRegistered { .. })), 2, "{:#?}", bench.events);
    assert_eq!(open.len(), 1, "{:#?}", bench.events);
    assert_eq!(bench.count(|what| matches!(what, What::AgentStateChanged { .. })), 1, "{:#?}", bench.events);
}

const AGENT: &str = "sip:1001@192.0.2.9:5062";
const OFFER: &str = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\nm=audio 4000 RTP/AVP 0 101\n\
    a=rtpmap:101 telephone-event/8000\n";

fn invite(id: &str, branch: u32, from: &str, authorization: &str) -> String {
    let length = OFFER.len() + OFFER.lines().count();
    format!(
        "INVITE sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKi{id}{branch};rport\n\
         From: <{from}>;tag={id}\nTo: <sip:100@192.0.2.1>\nCall-ID: {id}@192.0.2.9\nCSeq: {branch} INVITE\n\
         Max-Forwards: 70\nContact: <sip:guest@192.0.2.9:5062>\n{authorization}Content-Type: application/sdp\n\
         Content-Length: {length}\n\n{OFFER}"
    )
}

/// The plane opens the last port that was asked for, and the call is answered.
fn open(bench: &mut Bench) -> PortId {
    let port = *bench.opened.last().expect("a port for the caller");
    let local = "192.0.2.1:20000".parse().unwrap();
    bench.after(2).tell(Input::Media(media::Event::Opened { port, local }));
    let last = bench.sent.last().expect("an answer");
    assert!(last.starts_with("SIP/2.0 200"), "answered: {last}");
    port
}

/// A stranger who is led through the flow of the line.
fn call(bench: &mut Bench) -> PortId {
    bench.datagram(&invite("b", 1, "sip:guest@192.0.2.9", ""));
    open(bench)
}

/// A call that an agent makes from his registered phone. Returns its BYE.
fn own_call(bench: &mut Bench, id: &str) -> String {
    let from = "sip:1001@192.0.2.1";
    bench.after(20).datagram(&invite(id, 1, from, ""));
    let proof = authorization(bench);
    bench.after(20).datagram(&invite(id, 2, from, &proof));
    open(bench);
    let answer = bench.sent.last().expect("an answer");
    let to = answer.lines().find(|line| line.starts_with("To:")).expect("a To");
    let rest = format!("From: <{from}>;tag={id}\n{to}\nCall-ID: {id}@192.0.2.9\nMax-Forwards: 70\nContent-Length: 0\n");
    let request = |method: &str, number: u32| {
        format!(
            "{method} sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK{method}{id};rport\n\
             CSeq: {number} {method}\n{rest}\n"
        )
    };
    bench.after(20).datagram(&request("ACK", 2));
    request("BYE", 3)
}

/// Two calls of his own, one of which ends: he is busy until the other one has ended too.
#[test]
fn an_agent_is_busy_until_the_last_of_his_own_calls_ends() {
    let mut bench = Bench::new();
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
    let states = |bench: &Bench| {
        let to = |what: &What| match what {
            What::AgentStateChanged { to, .. } => Some(*to),
            _ => None,
        };
        bench.events.iter().filter_map(to).collect::<Vec<_>>()
    };
    let [first, second] = ["one", "two"].map(|id| own_call(&mut bench, id));
    assert_eq!(states(&bench), [AgentMode::Ready, AgentMode::Busy]);
    bench.after(20).datagram(&first);
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 1);
    assert_eq!(states(&bench), [AgentMode::Ready, AgentMode::Busy]);
    bench.after(20).datagram(&second);
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 2);
    assert_eq!(states(&bench), [AgentMode::Ready, AgentMode::Busy, AgentMode::Ready]);
}

/// What the agent dials behind the code for a break is its reason, and the same code without one has none.
#[test]
fn an_agent_dials_why_he_takes_a_break() {
    let mut configuration = place::configuration(1);
    let lunch = NotReadyReason { digit: Some('1'), productive: false };
    configuration.center.reasons.insert("lunch".to_owned(), lunch);
    let mut bench = Bench::of(configuration);
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
    for (dialed, id, reason) in
        [("*511", "lunch", Some("lunch")), ("*512", "none", None), ("*51", "any", Some("short code"))]
    {
        bench.events.clear();
        let from = "sip:1001@192.0.2.1";
        let dial = |branch, proof: &str| invite(id, branch, from, proof).replace("sip:100@", &format!("sip:{dialed}@"));
        bench.after(20).datagram(&dial(1, ""));
        let proof = authorization(&bench);
        bench.after(20).datagram(&dial(2, &proof));
        let told = bench.events.iter().find_map(|what| match what {
            What::BreakBegan { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        assert_eq!(told, reason, "{dialed}: {:#?}", bench.events);
    }
}

/// A queue that nobody serves sends the caller on at once, by the flow's branch for that; one whose wait would be too
/// long by its own.
#[test]
fn nobody_at_work_and_too_long_a_wait_have_branches_of_their_own() {
    for no_staff in [true, false] {
        let mut configuration = place::configuration(1);
        let queue = configuration.center.queues.get_mut(&QueueId::new("support")).unwrap();
        queue.no_staff_after = no_staff.then_some(Duration::ZERO);
        let flow = configuration.flows.get_mut(&FlowId::new("main")).unwrap();
        let Some(Step::Queue(step)) = flow.steps.get_mut("support") else { panic!("a queue step") };
        (step.no_staff, step.long_wait) = ("menu".to_owned(), "menu".to_owned());
        let mut bench = Bench::of(configuration);
        let port = call(&mut bench);
        let digit = Input::Media(media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event });
        bench.after(200).tell(digit);
        bench.after(1).tell(Input::Timeout);
        let away = |what: &What| matches!(what, What::Diverted { why: DivertReason::NoStaff, .. });
        assert_eq!(bench.count(away), usize::from(no_staff), "{:#?}", bench.events);
        let mut steps = bench.events.iter().filter_map(|what| match what {
            What::StepEntered { step, .. } => Some(step.as_str()),
            _ => None,
        });
        let expect = if no_staff { "menu" } else { "support" };
        assert_eq!(steps.next_back(), Some(expect), "{:#?}", bench.events);
    }
}

/// A call in an agent's name without a proof gets what any call gets, whatever it is for, and is shown and written down
/// as one from where it comes from.
#[test]
fn who_gives_an_agent_s_name_without_proof_is_a_stranger() {
    let run = |name: &str, number: &str| {
        let mut bench = Bench::new();
        bench.datagram(
            &invite("x", 1, &format!("sip:{name}@192.0.2.1"), "").replace("sip:100@", &format!("sip:{number}@")),
        );
        let status = bench.sent.last().and_then(|sent| sent.get(8..11)).unwrap_or_default().to_owned();
        let told = bench.events.iter().find_map(|what| match what {
            What::CallArrived { by_agent, caller, .. } => Some((*by_agent, caller.text.as_deref().map(str::to_owned))),
            _ => None,
        });
        let sent = bench.sent.iter().map(|sent| sent.replace(name, "X")).collect::<Vec<_>>();
        (sent, status, told.map(|(agent, text)| (agent, text.map(|text| text.replace(name, "X")))))
    };
    let stranger = Some((None, Some("sip:X@192.0.2.1".to_owned())));
    for (number, status, told) in [
        ("100", "100", stranger),
        (place::READY, "401", None),
        (place::NOT_READY, "401", None),
        ("*517", "401", None),
        ("*7", "404", None),
        ("1002", "404", None),
    ] {
        let known = run("1001", number);
        assert_eq!((known.1.as_str(), &known.2), (status, &told), "{number}");
        assert_eq!(known, run("7777", number), "{number}");
    }
}

/// What agents' phones will show of a caller who gives our host as his: the name he has proven, or where he calls from.
#[test]
fn nobody_looks_like_a_colleague_without_proof() {
    let shown = |bench: &Bench| bench.engine.calls().last().map(|call| call.caller_shown.uri.to_string());
    let mut bench = Bench::new();
    bench.datagram(&invite("stranger", 1, "sip:1002@192.0.2.1:5060", ""));
    assert_eq!(shown(&bench).as_deref(), Some("sip:1002@192.0.2.9"));
    bench.datagram(&invite("foreign", 1, "sip:1002@elsewhere.example", ""));
    assert_eq!(shown(&bench).as_deref(), Some("sip:1002@elsewhere.example"));
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.datagram(&invite("agent", 1, "sip:chief@192.0.2.1", &proof));
    assert_eq!(shown(&bench).as_deref(), Some("sip:1001@192.0.2.1"));
}

/// A phone that says while it rings that it takes the event `talk` is told to answer from the desktop, within the dialog
/// that its 180 began. One that does not say so is not.
#[test]
fn a_phone_is_told_to_answer_if_it_takes_that() {
    for (allows, expect) in
        [("Allow-Events: hold, talk\n", Ok(())), ("Allow-Events: hold\n", Err(Refusal::PhoneCannot))]
    {
        let mut bench = Bench::new();
        bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
        let proof = authorization(&bench);
        bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
        let port = call(&mut bench);
        let digit = Input::Media(media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event });
        bench.after(200).tell(digit);
        let port = *bench.opened.last().expect("a port for the agent");
        bench.after(2).tell(Input::Media(media::Event::Opened { port, local: "192.0.2.1:20002".parse().unwrap() }));
        let invite =
            bench.sent.last().filter(|sent| sent.starts_with("INVITE")).expect("an INVITE").replace("\r\n", "\n");
        let field = |name: &str| invite.lines().find(|line| line.starts_with(name)).expect("a field").to_owned();
        let answer = || Command {
            actor: Actor::Agent(AgentId(1001)),
            ask: Ask::Serve { agent: AgentId(1001), call: None, verb: Verb::Answer },
        };
        bench.tell(Input::Command { id: 1, command: answer() });
        assert_eq!(bench.replies, [Err(Refusal::PhoneCannot)], "it has not said anything yet");
        let (via, from, to) = (field("Via:"), field("From:"), field("To:"));
        let (call_id, cseq) = (field("Call-ID:"), field("CSeq:"));
        bench.after(20).datagram(&format!(
            "SIP/2.0 180 Ringing\n{via}\n{from}\n{to};tag=phone\n{call_id}\n{cseq}\n\
             Contact: <sip:1001@192.0.2.9:5062>\n{allows}Content-Length: 0\n\n"
        ));
        bench.tell(Input::Command { id: 2, command: answer() });
        assert_eq!(bench.replies.last(), Some(&expect), "{allows}");
        let told = bench.sent.last().filter(|sent| sent.starts_with("NOTIFY"));
        assert_eq!(told.is_some(), expect.is_ok());
        for part in ["NOTIFY sip:1001@192.0.2.9:5062 SIP/2.0", "Event: talk", ";tag=phone", &call_id, "CSeq: 2 NOTIFY"]
        {
            assert!(told.is_none_or(|told| told.contains(part)), "{part}: {told:?}");
        }
    }
}

/// What a network has held up, or has lost the ends of, comes all at once: each key counts.
#[test]
fn keys_that_arrive_together_all_count() {
    for pause in [160, 40, 4, 0] {
        let mut bench = Bench::new();
        let port = call(&mut bench);
        for _ in 0..3 {
            // A wrong key: the menu is offered again and goes on listening, twice.
            bench.after(pause).tell(Input::Media(media::Event::Digit {
                port,
                digit: '9',
                duration_ms: 40,
                way: media::Way::Event,
            }));
        }
        assert_eq!(bench.count(|what| matches!(what, What::DigitKeyed { .. })), 3, "{pause} ms apart");
    }
}

/// A key that a phone sends by INFO is a key; what it sends by another way soon after is the same one.
#[test]
fn a_key_that_comes_twice_is_one() {
    let mut bench = Bench::new();
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
    let bye = own_call(&mut bench, "one");
    let port = *bench.opened.last().expect("a port");
    let keys = |bench: &Bench| bench.count(|what| matches!(what, What::DigitKeyed { .. }));
    let body = "Signal=9\nDuration=160\n";
    let length = format!("Content-Type: application/dtmf-relay\nContent-Length: {}\n\n{body}", body.len() + 2);
    let info = bye.replace("BYE", "INFO").replace("Content-Length: 0\n\n", &length);
    bench.after(200).datagram(&info);
    assert!(bench.sent.last().is_some_and(|sent| sent.starts_with("SIP/2.0 200")));
    assert_eq!(keys(&bench), 1);
    let event = |way| Input::Media(media::Event::Digit { port, digit: '9', duration_ms: 100, way });
    bench.after(100).tell(event(media::Way::Event));
    bench.after(100).tell(event(media::Way::Tones));
    assert_eq!(keys(&bench), 1, "the same key");
    bench.after(200).tell(event(media::Way::Event));
    assert_eq!(keys(&bench), 2, "pressed again");
    bench.after(200).datagram(&bye.replace("CSeq: 3", "CSeq: 4"));
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 1);
}

/// Nobody takes a party's place in mid-call, and nobody is called because a party says so: a stranger's Replaces is
/// forbidden (RFC 3891 §3), an agent's is declined, and so is REFER (RFC 3515). The call goes on.
#[test]
fn transfers_by_the_phone_are_declined_and_the_call_goes_on() {
    let mut bench = Bench::new();
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
    let bye = own_call(&mut bench, "one");
    let tag =
        bye.split("To: ").nth(1).and_then(|to| to.lines().next()?.split("tag=").nth(1)).expect("our tag").to_owned();
    let replaces = format!("Replaces: one@192.0.2.9;to-tag={tag};from-tag=one\nRequire: replaces\n");
    let last = |bench: &Bench| bench.sent.last().expect("an answer").lines().next().unwrap_or_default().to_owned();
    let agent = "sip:1001@192.0.2.1";
    bench.after(20).datagram(&invite("three", 1, "sip:guest@192.0.2.9", &replaces));
    assert_eq!(last(&bench), "SIP/2.0 403 Forbidden");
    bench.after(20).datagram(&invite("two", 1, agent, &replaces));
    let proof = authorization(&bench) + &replaces;
    bench.after(20).datagram(&invite("two", 2, agent, &proof));
    assert_eq!(last(&bench), "SIP/2.0 603 Decline");
    let refer = bye.replace("BYE", "REFER").replace("Max-Forwards", "Refer-To: <sip:bob@b.example>\nMax-Forwards");
    bench.after(20).datagram(&refer);
    assert_eq!(last(&bench), "SIP/2.0 603 Decline");
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 0, "the call goes on");
    bench.after(20).datagram(&bye.replace("CSeq: 3", "CSeq: 4"));
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 1);
}

/// A center with a trunk at the bench's address, of two calls at once, and a line with a number in the form of E.164.
fn with_trunk() -> Configuration {
    let mut configuration = place::configuration(1);
    let trunk = place::trunk("carrier", &["192.0.2.9"], 2);
    configuration.center.trunks.insert(trunk.id.clone(), trunk);
    configuration.center.lines.values_mut().for_each(|line| line.numbers.push("+4930123456".to_owned()));
    configuration
}

fn trunk_invite(call: &str, number: &str, fields: &str) -> String {
    format!(
        "INVITE sip:{number}@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK{call};rport\n\
         From: <sip:0309999999@192.0.2.9>;tag={call}\nTo: <sip:{number}@192.0.2.1>\nCall-ID: {call}\n\
         CSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:192.0.2.9:5062>\n{fields}Content-Length: 0\n\n"
    )
}

#[test]
fn a_trunk_s_call_reaches_its_line_by_any_form_of_the_number() {
    let trunk = Some(TrunkId::new("carrier"));
    for number in ["+4930123456", "030123456", "004930123456", "100"] {
        let mut bench = Bench::of(with_trunk());
        bench.datagram(&trunk_invite("a", number, "P-Asserted-Identity: <tel:+4940555>\nPrivacy: id\n"));
        let arrived = bench.events.iter().find_map(|what| match what {
            What::CallArrived { trunk, caller, .. } => Some((trunk.clone(), caller.text.as_deref().map(str::to_owned))),
            _ => None,
        });
        assert_eq!(arrived, Some((trunk.clone(), Some("sip:+4940555@192.0.2.9".to_owned()))), "{number}");
    }
    // The same from somebody else: only what a line is called by, and he is who he says.
    for (number, reached) in [("030123456", 0), ("+4930123456", 1), ("+49409999999", 0)] {
        let mut configuration = with_trunk();
        configuration.center.trunks.values_mut().for_each(|trunk| trunk.peers.clear());
        let mut bench = Bench::of(configuration);
        bench.datagram(&trunk_invite("a", number, "P-Asserted-Identity: <tel:+4940555>\n"));
        assert_eq!(bench.count(|what| matches!(what, What::CallArrived { trunk: None, .. })), reached, "{number}");
        assert_eq!(bench.sent.iter().filter(|sent| sent.starts_with("SIP/2.0 404")).count(), 1 - reached);
    }
}

#[test]
fn a_trunk_takes_what_it_may_and_no_more() {
    let mut bench = Bench::of(with_trunk());
    for call in ["a", "b", "c"] {
        bench.after(1000).datagram(&trunk_invite(call, "100", ""));
    }
    let carrier = TrunkId::new("carrier");
    assert_eq!(bench.engine.trunks().in_use(&carrier, Way::In), 2);
    let refused = bench.sent.iter().find(|sent| sent.starts_with("SIP/2.0 503")).expect("a refusal");
    assert!(refused.contains("Retry-After: 10\r\n"), "{refused}");
    // One that leaves makes room for one.
    let cancel = trunk_invite("a", "100", "").replace("INVITE", "CANCEL");
    bench.after(100).datagram(&cancel);
    assert_eq!(bench.engine.trunks().in_use(&carrier, Way::In), 1);
    bench.after(1000).datagram(&trunk_invite("d", "100", ""));
    assert_eq!(bench.engine.trunks().in_use(&carrier, Way::In), 2);
    assert_eq!(bench.count(|what| matches!(what, What::CallArrived { trunk: Some(_), .. })), 3);
    // From another address no number of outside is reached, not even by who names himself as the trunk does.
    bench.after(1000).datagram(&trunk_invite("e", "+4940123456", ""));
    assert_eq!(bench.sent.iter().filter(|sent| sent.starts_with("SIP/2.0 404")).count(), 1);
}

/// Whoever can reach the port can send what he likes: none of it is an event, so that nobody fills the log from outside.
#[test]
fn hostile_packets_never_grow_the_log() {
    let mut bench = Bench::new();
    let before = bench.events.len();
    let torture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let files = std::fs::read_dir(torture).expect("messages").map(|file| file.expect("a message").path());
    let mut messages: Vec<Vec<u8>> = files.map(|file| std::fs::read(file).expect("a message")).collect();
    assert!(messages.len() > 40, "only {} messages", messages.len());
    let ours = |text: String| text.replace('\n', "\r\n").into_bytes();
    for (id, number) in [("own", "1001"), ("code", "*0"), ("outside", "+4930123456")] {
        let elsewhere = format!("{number}@");
        messages.push(ours(invite(id, 1, "sip:guest@192.0.2.9", "").replace("100@", &elsewhere)));
    }
    // To a line that is there, with descriptions that nobody could answer: cut short, of a movie, of GSM, of nothing.
    for (id, from, to) in [
        ("cut", "v=0", "v=!"),
        ("movie", "m=audio", "m=video"),
        ("gsm", " 0 101", " 3 101"),
        ("place", "c=IN IP4 192.0.2.9", "c=IN IP4 192.0.2.x"),
    ] {
        messages.push(ours(invite(id, 1, "sip:guest@192.0.2.9", "").replace(from, to)));
    }
    messages.push(ours(register(1, "sip:1001@192.0.2.9:5062", "")));
    messages.extend(["OPTIONS", "BYE", "CANCEL", "ACK", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE", "NONSENSE"].map(
        |method| {
            ours(
                register(7, "sip:a@192.0.2.9", "")
                    .replace("REGISTER", method)
                    .replace("Call-ID: r", &format!("Call-ID: {method}")),
            )
        },
    ));
    let flow = Flow::udp(0, "192.0.2.66:5062".parse().unwrap());
    for bytes in messages {
        for cut in [bytes.len(), bytes.len() / 2, bytes.len() / 3] {
            let bytes = bytes[..cut].to_vec();
            bench.after(100).tell(Input::Sip(sip::Input::Received { flow, bytes }));
        }
    }
    assert_eq!(bench.events[before..], [], "{:#?}", bench.events);
    assert!(bench.sent.len() > 20, "only {} answers: not much was understood", bench.sent.len());
    assert_eq!(bench.opened, [], "sockets for nothing");
    assert!(bench.sent.iter().any(|sent| sent.starts_with("SIP/2.0 488")), "{:#?}", bench.sent);
}

/// A stranger's call is written down, be it cancelled at once: who calls without end is told to wait, and an agent who proves
/// who he is calls all the same.
#[test]
fn a_stranger_who_calls_without_end_does_not_fill_the_log() {
    let mut bench = Bench::new();
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
    let before = bench.events.len();
    for number in 0..1_000 {
        let invite = invite(&format!("s{number}"), 1, "sip:guest@192.0.2.9", "");
        let head = invite.split("Content-Type").next().expect("a head").replace("INVITE", "CANCEL");
        bench.after(1).datagram(&invite);
        bench.datagram(&format!("{head}Content-Length: 0\n\n"));
        if let Some(port) = bench.opened.pop() {
            bench.tell(Input::Media(media::Event::OpenFailed { port, why: "it is closed".to_owned() }));
        }
    }
    let calls = bench.count(|what| matches!(what, What::CallArrived { .. }));
    let events = bench.events.len() - before;
    assert!((100..=121).contains(&calls) && events <= calls * 4, "{events} events of {calls} calls");
    // Each is sent again until its ACK comes.
    let refused = bench.sent.iter().filter(|sent| sent.starts_with("SIP/2.0 503") && sent.contains("Retry-After: 1\r"));
    assert_eq!(
        (refused.collect::<BTreeSet<_>>().len(), bench.engine.turned_away().0[Turned::Strangers as usize]),
        (1_000 - calls, 1_000 - calls as u64)
    );
    own_call(&mut bench, "own");
    assert_eq!(bench.count(|what| matches!(what, What::CallArrived { by_agent: Some(_), .. })), 1);
    // A little later he may call again.
    bench.opened.clear();
    bench.after(60).datagram(&invite("again", 1, "sip:guest@192.0.2.9", ""));
    open(&mut bench);
}

/// Each key is an event, where keys are listened to: a program that presses them faster than any hand is heard no more.
#[test]
fn keys_without_end_do_not_fill_the_log() {
    let mut configuration = place::configuration(1);
    let keyed = configuration.flows.values_mut().find(|flow| flow.steps.contains_key("hold")).expect("music with keys");
    keyed.start = "hold".to_owned();
    let id = keyed.id.clone();
    configuration.center.lines.values_mut().for_each(|line| line.flow = id.clone());
    let mut bench = Bench::of(configuration);
    let port = call(&mut bench);
    for _ in 0..400 {
        let key = media::Event::Digit { port, digit: '9', duration_ms: 40, way: media::Way::Event };
        bench.after(45).tell(Input::Media(key));
    }
    let keyed = bench.count(|what| matches!(what, What::DigitKeyed { .. }));
    assert!((200..=220).contains(&keyed), "{keyed} of 400 keys were written down");
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 0);
}

/// Each hold is an event: whoever holds and retrieves without end is told to wait, and his call goes on.
#[test]
fn who_changes_his_session_without_end_does_not_fill_the_log() {
    let mut bench = Bench::new();
    bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
    let bye = own_call(&mut bench, "one");
    let update = |number: u32| {
        let body = format!("{OFFER}a={}\n", if number % 2 == 1 { "sendonly" } else { "sendrecv" });
        let length = body.len() + body.lines().count();
        let head = bye.replace("BYE", "UPDATE").replace("CSeq: 3", &format!("CSeq: {number}"));
        let head = head.replace("z9hG4bKUPDATE", &format!("z9hG4bK{number}U"));
        let fields = format!("Contact: <{AGENT}>\nContent-Type: application/sdp\nContent-Length: {length}");
        head.replace("Content-Length: 0", &fields).trim_end().to_owned() + "\n\n" + &body
    };
    let mut answers = BTreeMap::<String, u32>::new();
    for number in 3..33 {
        bench.after(50).datagram(&update(number));
        let answer = bench.sent.last().expect("an answer").lines().next().unwrap_or_default().to_owned();
        *answers.entry(answer).or_default() += 1;
    }
    assert_eq!(
        answers,
        BTreeMap::from([("SIP/2.0 200 OK".to_owned(), 16), ("SIP/2.0 491 Request Pending".to_owned(), 14)])
    );
    bench.after(2_000).datagram(&update(33));
    assert!(bench.sent.last().is_some_and(|sent| sent.starts_with("SIP/2.0 200")), "{:?}", bench.sent.last());
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 0, "the call goes on");
}

/// What stands in the log stays there: a reason is a code, not what somebody has to tell.
#[test]
fn a_break_has_a_reason_that_is_a_code() {
    let mut bench = Bench::new();
    for (reason, is_taken) in [("lunch", true), ("", true), ("dentist, back at two", false), ("Müller", false)] {
        let ask = Ask::NotReady { agent: AgentId(1001), reason: reason.to_owned() };
        let before = bench.count(|what| matches!(what, What::BreakBegan { .. }));
        bench.tell(Input::Command { id: 7, command: Command { actor: Actor::Operator, ask } });
        let begun = bench.count(|what| matches!(what, What::BreakBegan { .. })) - before;
        assert_eq!(begun == 1, is_taken, "`{reason}`");
    }
}
