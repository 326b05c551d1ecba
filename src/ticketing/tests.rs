//! Scenes: what happens in the log and at the ticketing system, and what is said.

mod aside;
mod wound_back;

use super::*;
use crate::event::{Cause, Party, Personal, PersonalKind, Phase, TransferTo};
use crate::ids::{FlowId, LegId, LineId, QueueId, ReservationId, WorkId};

const CALL: CallId = CallId(1);
const LOG: u64 = 7;
const SETTINGS: Settings = Settings {
    pop_expires: Duration::from_secs(20),
    retry: Duration::from_secs(1),
    retry_most: Duration::from_secs(8),
    parallel: 2,
};

/// An outbox with its log and a clock in milliseconds.
struct Scene {
    outbox: Outbox,
    log: Vec<Event>,
    now: i64,
}

fn begun(done: BTreeMap<String, String>, low: u64) -> Outbox {
    Outbox::new(SETTINGS, LOG, super::Left { done, low, ..Default::default() })
}

fn personal(handle: u64, text: &str) -> Personal {
    Personal { kind: PersonalKind::Text, handle, text: Some(text.into()) }
}

impl Scene {
    fn new() -> Scene {
        Scene { outbox: begun(BTreeMap::new(), 1), log: Vec::new(), now: 0 }
    }

    fn event(&mut self, call: CallId, what: What) {
        let event = Event { seq: self.log.len() as u64 + 1, at: Wall(self.now), call: Some(call), what };
        self.log.push(event.clone());
        self.outbox.handle(Wall(self.now), Input::Event(Box::new(event)));
        self.outbox.handle(Wall(self.now), Input::AllRead);
    }

    fn arrives(&mut self, call: CallId) {
        self.arrives_with(call, false);
    }

    fn arrives_with(&mut self, call: CallId, private: bool) {
        let caller = personal(call.0, "sip:+4930123@example.org");
        let line = Some(LineId::new("support"));
        self.event(
            call,
            What::CallArrived {
                leg: LegId(call.0),
                line,
                by_agent: None,
                trunk: None,
                private,
                language: "en".into(),
                caller,
            },
        );
    }

    fn rings(&mut self, offer: u64, agent: u32) {
        let (work, reservation) = (WorkId(offer), ReservationId(offer));
        let queue = QueueId::new("general");
        self.event(
            CALL,
            What::Queued { work, queue, priority: 0, skills: BTreeMap::new(), again: false, served: Duration::ZERO },
        );
        let (agent, leg) = (AgentId(agent), LegId(100 + offer));
        self.event(CALL, What::Delivered { work, reservation, agent, leg, why: String::new() });
    }

    fn answered(&mut self, offer: u64, agent: u32) {
        let (work, reservation, agent) = (WorkId(offer), ReservationId(offer), AgentId(agent));
        self.event(CALL, What::OfferEnded { work, reservation, agent, outcome: OfferOutcome::Accepted });
        let (queue, leg, waited) = (QueueId::new("general"), LegId(100 + offer), Duration::from_secs(3));
        self.event(CALL, What::Established { work, queue, agent, leg, waited, told: None });
    }

    fn attaches(&mut self, agent: u32, name: &str, value: &str) {
        let value = personal(1000 + self.log.len() as u64, value);
        self.event(CALL, What::DataAttached { agent: AgentId(agent), name: name.into(), value });
    }

    fn flow_attaches(&mut self, name: &str, value: &str) {
        let value = personal(1000 + self.log.len() as u64, value);
        self.event(CALL, What::FlowAttached { flow: FlowId::new("main"), name: name.into(), value });
    }

    fn ends(&mut self) {
        self.event(CALL, What::ConnectionCleared { leg: LegId(1), party: Party::Caller, cause: Cause::CallerHungUp });
        self.event(CALL, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected });
    }

    fn sent(&mut self) -> Vec<(CallId, Request)> {
        let outputs = std::iter::from_fn(|| self.outbox.poll());
        let sent = outputs.filter_map(|output| match output {
            Output::Send { call, request } => Some((call, request)),
            _ => None,
        });
        sent.collect()
    }

    /// The one request that is under way, in short.
    fn says(&mut self) -> String {
        self.sent().iter().map(|(_, request)| short(request)).collect::<Vec<_>>().join(" | ")
    }

    fn hears(&mut self, result: Result<Response, Failure>) -> String {
        self.outbox.handle(Wall(self.now), Input::Answered { call: CALL, result });
        self.says()
    }

    fn later(&mut self, ms: i64) -> String {
        self.passes(ms);
        self.says()
    }

    fn passes(&mut self, ms: i64) {
        self.now += ms;
        self.outbox.handle(Wall(self.now), Input::Timeout);
    }
}

/// A key without its log and its time, which all have.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("0000000000000007-").expect("the log's own id");
    key.rsplit_once('-').expect("a time").0
}

fn short(request: &Request) -> String {
    match request {
        Request::Find(it) => format!("find {}", it.number),
        Request::Open(it) => format!("{} {:?}", bare(&it.key), it.data),
        Request::Pop(it) => {
            let tickets: Vec<&str> = it.tickets.iter().map(|ticket| ticket.number.as_str()).collect();
            format!("{} to {} of {} {:?} {tickets:?}", bare(&it.key), it.agent, it.name, it.data)
        }
        Request::Follow(it) => format!("{} [{}]", bare(&it.key), it.ticket),
    }
}

fn found() -> Result<Response, Failure> {
    let ticket = proto::Ticket { number: "7".into(), title: "old".into(), status: "open".into() };
    Ok(Response::Found(proto::FindCallerResponse { name: "Jo".into(), tickets: vec![ticket] }))
}

fn opened(ticket: &str) -> Result<Response, Failure> {
    Ok(Response::Opened(proto::OpenTicketResponse { ticket: ticket.into() }))
}

#[test]
fn a_screeners_notes_reach_the_ticket_and_the_next_pop_in_order() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    assert_eq!(scene.says(), "find +4930123");
    scene.rings(1, 1001);
    assert_eq!(scene.says(), "", "one after the other");
    assert_eq!(scene.hears(found()), "pop-r0-0-1 to 1001 of Jo {} [\"7\"]");
    scene.answered(1, 1001);
    assert_eq!(scene.hears(Ok(Response::Taken)), "follow-5 []");
    scene.attaches(1001, "category", "vpn");
    scene.event(CALL, What::Transferred { agent: AgentId(1001), to: TransferTo::Queue(QueueId::new("level-1")) });
    scene.rings(2, 1002);
    assert_eq!(scene.hears(Ok(Response::Taken)), "follow-6 []");
    assert_eq!(scene.hears(Ok(Response::Taken)), "open-c0-0-1 {\"category\": \"vpn\"}");
    assert_eq!(scene.hears(opened("1001")), "follow-7 [1001]");
    let pop = "pop-r0-0-2 to 1002 of Jo {\"category\": \"vpn\"} [\"1001\", \"7\"]";
    assert_eq!(scene.hears(Ok(Response::Taken)), pop);
    scene.answered(2, 1002);
    scene.ends();
    assert_eq!(scene.hears(Ok(Response::Taken)), "follow-11 [1001]");
    assert_eq!(scene.hears(Ok(Response::Taken)), "follow-13 [1001]", "no second ticket");
    assert_eq!(scene.hears(Ok(Response::Taken)), "");
    assert_eq!(scene.outbox.low(), 1, "agents may still note something");
    scene.attaches(1002, "cause", "cable");
    assert_eq!(scene.says(), "follow-14 [1001]");
    scene.hears(Ok(Response::Taken));
    scene.later(60_000);
    assert_eq!((scene.outbox.low(), scene.outbox.deadline()), (15, None), "all is said and nothing is kept");
}

/// A phone rings: what its agent's screen shows is not kept back by a search that hangs.
#[test]
fn a_pop_waits_for_who_it_is_for_a_second_and_no_longer() {
    let pop = |n: u32, name: &str, tickets: &str| format!("pop-r0-0-{n} to 100{n} of {name} {{}} [{tickets}]");
    let mut scene = Scene::new();
    scene.arrives(CALL);
    assert_eq!(scene.says(), "find +4930123");
    scene.later(4_000);
    scene.rings(1, 1001);
    assert_eq!(scene.outbox.deadline(), Some(Wall(5_000)));
    assert_eq!(scene.later(999), "");
    assert_eq!(scene.later(1), pop(1, "", ""));
    assert_eq!(scene.hears(Ok(Response::Taken)), "");
    // What it says in the end is of use for the next one.
    assert_eq!(scene.hears(found()), "");
    scene.rings(2, 1002);
    assert_eq!(scene.says(), pop(2, "Jo", "\"7\""));
    // One that fails late fails alone, and takes the place of none that is under way.
    for fails in [Ok(Response::NotFound(Failure::Later)), Ok(Response::NotFound(Failure::Never))] {
        let mut scene = Scene::new();
        scene.arrives(CALL);
        scene.rings(1, 1001);
        scene.says();
        assert_eq!(scene.later(1_000), pop(1, "", ""));
        assert_eq!(scene.hears(fails), "");
        assert_eq!(scene.outbox.numbers().waiting, 1);
        scene.answered(1, 1001);
        assert_eq!(scene.hears(Ok(Response::Taken)), "follow-5 []");
        scene.arrives(CallId(2));
        assert_eq!(scene.says(), "find +4930123", "nothing else is under way");
    }
}

/// It has failed, and is tried again: the pop goes within the second too.
#[test]
fn a_pop_does_not_wait_for_the_next_attempt() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    assert_eq!(scene.hears(Ok(Response::NotFound(Failure::Later))), "");
    assert_eq!(scene.later(1_000), "find +4930123");
    assert_eq!(scene.hears(Ok(Response::NotFound(Failure::Later))), "");
    scene.rings(1, 1001);
    assert_eq!(scene.later(999), "", "the next would be after two seconds");
    assert!(scene.later(1).starts_with("pop-r0-0-1"));
    assert_eq!(scene.hears(Ok(Response::Taken)), "", "it has its pause");
    // Who calls is still asked, for the next one.
    assert_eq!(scene.later(1_000), "find +4930123");
    assert_eq!(scene.hears(found()), "");
    scene.rings(2, 1002);
    assert_eq!(scene.says(), "pop-r0-0-2 to 1002 of Jo {} [\"7\"]");
    // The next pop goes past it as well, whatever it waits for.
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    assert_eq!(scene.hears(Ok(Response::NotFound(Failure::Later))), "");
    scene.rings(1, 1001);
    scene.rings(2, 1002);
    assert_eq!(scene.later(1_000), "pop-r0-0-1 to 1001 of  {} []");
    assert_eq!(scene.hears(Ok(Response::Taken)), "pop-r0-0-2 to 1002 of  {} []");
    assert_eq!(scene.hears(Ok(Response::Taken)), "find +4930123");
    assert_eq!(scene.hears(Ok(Response::NotFound(Failure::Later))), "");
    assert_eq!(scene.outbox.numbers().waiting, 1);
    assert_eq!(scene.later(10_000), "");
    assert_eq!(scene.outbox.numbers().waiting, 0, "its own time is over");
}

/// Whoever has no method for what goes on in a call has its pops all the same, and at once; a ticket that is being opened
/// they wait for, since they show it.
#[test]
fn a_pop_goes_past_what_nobody_has_a_method_for_and_not_past_a_ticket() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    scene.flow_attaches("topic", "vpn");
    assert_eq!(scene.hears(found()), "follow-2 []");
    scene.rings(1, 1001);
    assert_eq!(scene.hears(Err(Failure::NoMethod)), "pop-r0-0-1 to 1001 of Jo {\"topic\": \"vpn\"} [\"7\"]");
    assert_eq!(scene.hears(Ok(Response::Taken)), "");
    assert_eq!(scene.later(1_000), "follow-2 []");
    assert_eq!(scene.hears(Err(Failure::NoMethod)), "");
    // One that comes while it has its pause goes at once.
    scene.rings(2, 1002);
    assert_eq!(scene.says(), "pop-r0-0-2 to 1002 of Jo {\"topic\": \"vpn\"} [\"7\"]");
    assert_eq!(scene.hears(Ok(Response::Taken)), "");
    assert_eq!(scene.later(2_000), "follow-2 []");
    scene.answered(2, 1002);
    assert_eq!(scene.hears(Ok(Response::Taken)), "follow-8 []");
    scene.event(CALL, What::Transferred { agent: AgentId(1002), to: TransferTo::Queue(QueueId::new("level-1")) });
    scene.rings(3, 1003);
    assert_eq!(scene.hears(Ok(Response::Taken)), "open-c0-0-1 {\"topic\": \"vpn\"}");
    assert_eq!(scene.hears(Err(Failure::NoMethod)), "");
    assert_eq!(scene.later(1_000), "open-c0-0-1 {\"topic\": \"vpn\"}");
}

/// A call that has come through a menu and waited: everything that is told of it when a phone rings and when its ticket is
/// opened.
#[test]
fn a_pop_and_a_ticket_say_all_that_is_known() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    let flow = || FlowId::new("main");
    for step in ["welcome", "menu"] {
        scene.event(CALL, What::StepEntered { flow: flow(), step: step.into() });
    }
    for (handle, key) in [(7, "4"), (8, "2")] {
        let digit = Personal { kind: PersonalKind::Digit, handle, text: Some(key.into()) };
        scene.event(CALL, What::DigitKeyed { flow: flow(), step: "menu".into(), digit });
    }
    for (name, value) in [("category", "mail"), ("impact", "one site"), ("urgency", "high"), ("summary", "no mail")] {
        scene.flow_attaches(name, value);
    }
    let (work, reservation, agent, queue) = (WorkId(1), ReservationId(1), AgentId(1001), QueueId::new("general"));
    scene.event(
        CALL,
        What::Queued { work, queue, priority: 0, skills: BTreeMap::new(), again: false, served: Duration::ZERO },
    );
    scene.now = 3_000;
    scene.event(CALL, What::Delivered { work, reservation, agent, leg: LegId(101), why: String::new() });
    scene.answered(1, 1001);
    scene.ends();
    let mut said = Vec::new();
    for result in [found()].into_iter().chain(std::iter::repeat_n(Ok(Response::Taken), 6)) {
        scene.outbox.handle(Wall(scene.now), Input::Answered { call: CALL, result });
        said.extend(scene.sent().into_iter().map(|(_, request)| request));
    }
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let data = [("category", "mail"), ("impact", "one site"), ("summary", "no mail"), ("urgency", "high")];
    let data: BTreeMap<String, String> = data.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let pop = said.iter().find_map(|request| if let Request::Pop(it) = request { Some(it) } else { None });
    let expect = proto::ScreenPopRequest {
        key: "0000000000000007-pop-r0-0-1-3000".into(),
        agent: 1001,
        call: "c0-0-1".into(),
        offer: "r0-0-1".into(),
        number: "+4930123".into(),
        name: "Jo".into(),
        line: "support".into(),
        queue: "general".into(),
        menu_path: words(&["welcome", "menu"]),
        keys: "42".into(),
        waited_ms: 3_000,
        data: data.clone(),
        tickets: vec![proto::Ticket { number: "7".into(), title: "old".into(), status: "open".into() }],
    };
    assert_eq!(pop, Some(&expect));
    let open = said.iter().find_map(|request| if let Request::Open(it) = request { Some(it) } else { None });
    let expect = proto::OpenTicketRequest {
        key: "0000000000000007-open-c0-0-1-0".into(),
        call: "c0-0-1".into(),
        number: "+4930123".into(),
        line: "support".into(),
        category: "mail".into(),
        impact: "one site".into(),
        urgency: "high".into(),
        summary: "no mail".into(),
        keys: "42".into(),
        menu_path: words(&["welcome", "menu"]),
        data,
        agent: 1001,
    };
    assert_eq!(open, Some(&expect));
}

/// Neither the question who calls, nor the pop, nor the ticket names the number of a caller who withholds it.
#[test]
fn a_caller_who_asked_for_privacy_has_no_number_at_the_ticketing_system() {
    for private in [false, true] {
        let mut scene = Scene::new();
        scene.arrives_with(CALL, private);
        let mut said = scene.sent();
        scene.rings(1, 1001);
        scene.answered(1, 1001);
        scene.ends();
        for result in [found(), Ok(Response::Taken), Ok(Response::Taken), opened("1001")] {
            scene.outbox.handle(Wall(0), Input::Answered { call: CALL, result });
            said.extend(scene.sent());
        }
        let numbers = said.iter().filter_map(|(_, request)| match request {
            Request::Find(it) => Some(it.number.as_str()),
            Request::Pop(it) => Some(&it.number),
            Request::Open(it) => Some(&it.number),
            Request::Follow(_) => None,
        });
        let expect = if private { "" } else { "+4930123" };
        assert_eq!(numbers.collect::<Vec<_>>(), [expect; 3]);
        assert_eq!(format!("{said:?}").contains("4930123"), !private);
    }
}

/// What the flow has attached stands in the pop and in the ticket, and follows.
#[test]
fn a_flows_notes_reach_the_pop_and_the_ticket() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    scene.flow_attaches("topic", "vpn");
    scene.rings(1, 1001);
    assert_eq!(scene.hears(found()), "follow-2 []");
    assert_eq!(scene.hears(Ok(Response::Taken)), "pop-r0-0-1 to 1001 of Jo {\"topic\": \"vpn\"} [\"7\"]");
    scene.answered(1, 1001);
    scene.hears(Ok(Response::Taken));
    scene.ends();
    assert_eq!(scene.hears(Ok(Response::Taken)), "open-c0-0-1 {\"topic\": \"vpn\"}");
}

#[test]
fn a_pop_that_is_too_late_is_dropped_and_counted_and_the_rest_arrives() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    assert_eq!(scene.hears(Err(Failure::Later)), "");
    scene.rings(1, 1001);
    // The offer ends before anybody could be told of it.
    let (work, reservation, agent) = (WorkId(1), ReservationId(1), AgentId(1001));
    scene.event(CALL, What::OfferEnded { work, reservation, agent, outcome: OfferOutcome::NoAnswer });
    assert_eq!(scene.outbox.numbers().pops_expired, 1);
    scene.rings(2, 1002);
    scene.answered(2, 1002);
    assert_eq!(scene.later(1_000), "pop-r0-0-2 to 1002 of  {} []");
    assert_eq!(scene.hears(Err(Failure::Later)), "");
    // After ten seconds nobody asks any more who called, after twenty the pop is stale; what remains is told.
    assert_eq!(scene.later(20_000), "follow-8 []");
    assert_eq!(scene.outbox.numbers().pops_expired, 2);
    let pauses: Vec<String> = [1_000, 2_000, 4_000, 8_000, 8_000]
        .into_iter()
        .map(|pause| {
            assert_eq!(scene.hears(Err(Failure::Later)), "");
            assert_eq!(scene.later(pause - 1), "");
            scene.later(1)
        })
        .collect();
    assert!(pauses.iter().all(|said| said == "follow-8 []"), "{pauses:?}");
    assert_eq!(scene.hears(Ok(Response::Taken)), "");
    assert_eq!(scene.outbox.numbers().waiting, 0);
}

/// One that is under way when its offer ends is not said again.
#[test]
fn a_stale_pop_is_not_tried_again_and_keeps_nothing_waiting() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    scene.hears(found());
    scene.rings(1, 1001);
    assert_eq!(scene.says(), "pop-r0-0-1 to 1001 of Jo {} [\"7\"]");
    let (work, reservation, agent) = (WorkId(1), ReservationId(1), AgentId(1001));
    scene.event(CALL, What::OfferEnded { work, reservation, agent, outcome: OfferOutcome::NoAnswer });
    scene.rings(2, 1002);
    assert_eq!(scene.hears(Err(Failure::Later)), "pop-r0-0-2 to 1002 of Jo {} [\"7\"]", "the next at once");
    let numbers = scene.outbox.numbers();
    assert_eq!((numbers.pops_expired, numbers.waiting), (1, 1));
    scene.answered(2, 1002);
    // Sixteen seconds of trying; the next try would be after the pop's time: it is dropped then, not after.
    for pause in [1_000, 2_000, 4_000, 8_000] {
        assert_eq!(scene.hears(Err(Failure::Later)), "");
        assert_eq!(scene.later(pause), "pop-r0-0-2 to 1002 of Jo {} [\"7\"]");
    }
    assert_eq!(scene.hears(Err(Failure::Later)), "");
    assert_eq!(scene.later(4_999), "");
    assert_eq!(scene.later(1), "follow-8 []");
    assert_eq!(scene.outbox.numbers().pops_expired, 2);
}

#[test]
fn a_refusal_for_ever_is_counted_and_a_wrong_answer_is_asked_again() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    scene.hears(found());
    scene.rings(1, 1001);
    scene.answered(1, 1001);
    scene.says();
    assert_eq!(scene.hears(Err(Failure::Never)), "follow-5 []");
    scene.ends();
    assert_eq!(scene.hears(Ok(Response::Taken)), "open-c0-0-1 {}");
    assert_eq!(scene.hears(opened("")), "", "no number");
    assert_eq!(scene.later(1_000), "open-c0-0-1 {}");
    assert_eq!(scene.hears(opened("1001")), "follow-7 [1001]");
    let numbers = scene.outbox.numbers();
    assert_eq!((numbers.refused, numbers.failed), (1, 1));
}

/// At every point of a run: a kill, and the run begins anew from what was written down. What the ticketing system
/// does for each key is done once, and in the same order.
#[test]
fn a_kill_at_any_point_repeats_no_key_that_was_answered_and_loses_none() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.rings(1, 1001);
    scene.answered(1, 1001);
    scene.attaches(1001, "category", "vpn");
    scene.ends();
    let log = scene.log;
    let whole = killed_after(&log, usize::MAX).0;
    assert_eq!(whole.iter().filter(|key| bare(key).starts_with("open")).count(), 1);
    for answers in 0..=whole.len() {
        let (mut keys, done, low) = killed_after(&log, answers);
        let outbox = begun(done, low);
        let mut scene = Scene { outbox, log: Vec::new(), now: 0 };
        keys.truncate(answers); // one more may have been under way: it comes again
        for event in log.iter().filter(|event| event.seq >= low) {
            scene.outbox.handle(Wall(0), Input::Event(Box::new(event.clone())));
        }
        keys.extend(drain(&mut scene, usize::MAX).0);
        assert_eq!(keys, whole, "killed after {answers} answers");
    }
}

type Written = (Vec<String>, BTreeMap<String, String>, u64);

fn killed_after(log: &[Event], answers: usize) -> Written {
    let mut scene = Scene::new();
    for event in log {
        scene.outbox.handle(Wall(0), Input::Event(Box::new(event.clone())));
    }
    let (keys, done) = drain(&mut scene, answers);
    let low = scene.outbox.low();
    (keys, done, low)
}

/// Answers up to so many requests that have keys; says which came, and what was written down.
fn drain(scene: &mut Scene, answers: usize) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut keys, mut done) = (Vec::new(), BTreeMap::new());
    while let Some(output) = scene.outbox.poll() {
        match output {
            Output::Send { call, request } => {
                let answer = match &request {
                    Request::Find(_) => found().unwrap(),
                    Request::Open(it) => {
                        keys.push(it.key.clone());
                        opened("1001").unwrap()
                    }
                    Request::Pop(proto::ScreenPopRequest { key, .. })
                    | Request::Follow(proto::FollowCallRequest { key, .. }) => {
                        keys.push(key.clone());
                        Response::Taken
                    }
                };
                if keys.len() > answers {
                    break; // the kill comes before its answer
                }
                scene.outbox.handle(Wall(0), Input::Answered { call, result: Ok(answer) });
            }
            Output::Done { key, result, .. } => _ = done.insert(key, result),
            Output::Forget { .. } => {}
            Output::Aside { .. } | Output::Reread { .. } | Output::Erased { .. } => panic!("nothing is put aside here"),
        }
    }
    (keys, done)
}

/// What a kill leaves behind: what was done of each call, and where to read from.
#[derive(Default)]
struct Left {
    done: BTreeMap<String, (CallId, String)>,
    /// Of calls that are forgotten.
    tickets: BTreeMap<CallId, (String, String)>,
    low: u64,
    /// The tickets that were named with what followed.
    named: Vec<String>,
}

impl Left {
    /// Writes down what is to be, answers what is asked, and says which keys were sent.
    fn after(&mut self, scene: &mut Scene, answers: bool) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(output) = scene.outbox.poll() {
            match output {
                Output::Send { call, request } => {
                    sent.extend(request.key().map(|key| bare(key).to_owned()));
                    if let Request::Follow(it) = &request {
                        self.named.push(it.ticket.clone());
                    }
                    let answer = match request {
                        Request::Find(_) => found(),
                        Request::Open(_) => opened("1001"),
                        _ => Ok(Response::Taken),
                    };
                    if answers {
                        scene.outbox.handle(Wall(scene.now), Input::Answered { call, result: answer });
                    }
                }
                Output::Done { call, key, result } => _ = self.done.insert(key, (call, result)),
                Output::Forget { call } => self.forget(call),
                Output::Reread { call } => {
                    let events = scene.log.iter().filter(|event| event.call == Some(call)).cloned().collect();
                    let done = self.done.iter().filter(|(_, (of, _))| *of == call);
                    let done = done.map(|(key, (_, result))| (key.clone(), result.clone()));
                    let done = done.chain(self.tickets.get(&call).cloned()).collect();
                    scene.outbox.handle(Wall(scene.now), Input::Reread { call, events, done });
                }
                Output::Aside { .. } | Output::Erased { .. } => panic!("nothing is put aside or erased here"),
            }
            self.low = scene.outbox.low();
        }
        sent
    }

    /// Its ticket stays known.
    fn forget(&mut self, call: CallId) {
        let ticket = self.done.iter().find(|(key, (of, _))| *of == call && bare(key).starts_with("open"));
        let ticket = ticket.map(|(key, (_, ticket))| (key.clone(), ticket.clone()));
        ticket.into_iter().for_each(|ticket| _ = self.tickets.insert(call, ticket));
        self.done.retain(|_, (of, _)| *of != call);
    }

    /// The next start, which reads what it must and is told that this was all.
    fn restart(&self, log: &[Event], now: i64) -> Scene {
        let done = self.done.iter().map(|(key, (_, result))| (key.clone(), result.clone())).collect();
        let mut scene = Scene { outbox: begun(done, self.low), log: log.to_vec(), now };
        for event in log.iter().filter(|event| event.seq >= self.low) {
            scene.outbox.handle(Wall(now), Input::Event(Box::new(event.clone())));
        }
        scene.outbox.handle(Wall(now), Input::AllRead);
        scene
    }
}

/// A long call keeps the log from being passed over; a short one in it is over and forgotten meanwhile. What was told
/// of it is not told again after a kill, and is forgotten for good when the long one is over.
#[test]
fn what_was_done_is_known_as_long_as_it_may_be_read_again() {
    let (mut scene, mut left) = (Scene::new(), Left::default());
    scene.arrives(CallId(2));
    scene.arrives(CALL);
    scene.rings(1, 1001);
    scene.answered(1, 1001);
    scene.ends();
    assert_eq!(left.after(&mut scene, true), ["pop-r0-0-1", "follow-6", "open-c0-0-1", "follow-8"]);
    scene.passes(120_000);
    left.after(&mut scene, true);
    assert_eq!(left.low, 1);
    let mut scene = left.restart(&scene.log, 130_000);
    assert_eq!(left.after(&mut scene, true), [""; 0], "told again");
    let ended = What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::InFlow };
    scene.event(CallId(2), ended);
    left.after(&mut scene, true);
    scene.passes(120_000);
    left.after(&mut scene, true);
    assert_eq!((left.done.len(), left.low), (0, 10));
}

/// A code that an agent gives two hours after the end, with the ticket that the call has; and the same with a kill before
/// and after it was taken.
#[test]
fn what_is_noted_long_after_the_end_is_told_once() {
    for (taken, kill) in [(true, false), (true, true), (false, true)] {
        let (mut scene, mut left) = (Scene::new(), Left::default());
        scene.arrives(CALL);
        scene.rings(1, 1001);
        scene.answered(1, 1001);
        scene.ends();
        left.after(&mut scene, true);
        scene.passes(120_000);
        left.after(&mut scene, true);
        assert_eq!((left.done.len(), left.low), (0, 8), "it is not read again");
        left.named.clear();
        scene.now = 7_200_000;
        let (agent, disposition) = (AgentId(1001), "solved".to_owned());
        scene.event(CALL, What::Disposed { agent, disposition, notes: None });
        scene.attaches(1001, "cause", "cable");
        let mut told = left.after(&mut scene, taken);
        assert_eq!(left.low, if taken { 10 } else { 8 }, "a start begins with what is told late");
        if kill {
            scene = left.restart(&scene.log, 7_300_000);
            told.extend(left.after(&mut scene, true));
        }
        told.dedup();
        let both = if taken { 2 } else { 3 };
        assert_eq!(
            (told, left.named.clone()),
            (vec!["follow-8".to_owned(), "follow-9".to_owned()], vec!["1001".to_owned(); both])
        );
        scene.passes(120_000);
        left.after(&mut scene, true);
        assert_eq!((left.done.len(), left.low), (0, 10), "nothing more is kept of it");
    }
}

/// A note that an agent makes after the end, and that a kill overtakes, is told by the next start, however late that is.
#[test]
fn a_late_note_is_not_lost_in_a_kill() {
    let (mut scene, mut left) = (Scene::new(), Left::default());
    scene.arrives(CALL);
    scene.rings(1, 1001);
    scene.answered(1, 1001);
    scene.ends();
    left.after(&mut scene, true);
    scene.now = 30_000;
    scene.attaches(1001, "cause", "cable");
    assert_eq!(left.after(&mut scene, false), ["follow-8"]);
    let mut scene = left.restart(&scene.log, 10_000_000);
    assert_eq!(left.after(&mut scene, true), ["follow-8"]);
}

#[test]
fn the_age_of_what_waits_is_told() {
    let mut scene = Scene::new();
    assert_eq!(scene.outbox.numbers().oldest, None);
    scene.now = 5_000;
    scene.arrives(CALL);
    scene.hears(Err(Failure::Later));
    scene.now = 6_000;
    scene.arrives(CallId(2));
    assert_eq!(scene.outbox.numbers().oldest, Some(Wall(5_000)));
}

#[test]
fn calls_do_not_wait_for_each_other_but_for_the_limit() {
    let mut scene = Scene::new();
    (1..=3).for_each(|call| scene.arrives(CallId(call)));
    let sent: Vec<CallId> = scene.sent().into_iter().map(|(call, _)| call).collect();
    assert_eq!(sent, [CallId(1), CallId(2)]);
    scene.outbox.handle(Wall(0), Input::Answered { call: CallId(2), result: found() });
    assert_eq!(scene.sent().len(), 1);
    // While much waits nothing more is read.
    assert!(scene.outbox.wants_more());
    (4..=WAITING as u64 + 3).for_each(|call| scene.arrives(CallId(call)));
    assert!(!scene.outbox.wants_more());
}

/// A person's texts are erased in the log while all of the call waits here: nothing that is said afterwards has any of them,
/// and all of it is said, in order.
#[test]
fn what_was_erased_is_not_said_any_more() {
    let mut scene = Scene::new();
    scene.outbox.settings.parallel = 1;
    scene.arrives(CALL);
    assert_eq!(scene.says(), "find +4930123");
    let digit = Personal { kind: PersonalKind::Digit, handle: 9, text: Some("4".into()) };
    scene.event(CALL, What::DigitKeyed { flow: FlowId::new("main"), step: "menu".into(), digit });
    scene.attaches(1001, "summary", "Jo's wife is ill");
    scene.rings(1, 1001);
    scene.answered(1, 1001);
    let number = Personal { kind: PersonalKind::Number, handle: 10, text: Some("+4930999".into()) };
    for to in [TransferTo::Number(number), TransferTo::Queue(QueueId::new("level-1"))] {
        scene.event(CALL, What::Transferred { agent: AgentId(1001), to });
    }
    scene.ends();
    let (agent, notes) = (AgentId(1001), Some(personal(11, "Jo's wife is ill")));
    scene.event(CALL, What::Disposed { agent, disposition: "solved".into(), notes });
    // Another person's.
    scene.arrives(CallId(2));
    // What was told before is told; what comes back of it is forgotten.
    scene.outbox.handle(Wall(0), Input::Answered { call: CALL, result: found() });
    scene.outbox.handle(Wall(0), Input::Erased { call: CALL });
    let mut said = Vec::new();
    for _ in 0..12 {
        let sent = scene.sent();
        let Some((call, request)) = sent.first() else { break };
        said.push((*call, format!("{request:?}")));
        let result = if let Request::Open(_) = request { opened("1001") } else { Ok(Response::Taken) };
        scene.outbox.handle(Wall(0), Input::Answered { call: *call, result });
    }
    let (of_call, other): (Vec<_>, Vec<_>) = said.into_iter().partition(|(call, _)| *call == CALL);
    assert_eq!((of_call.len(), other.len()), (8, 1), "{of_call:?}");
    for (_, said) in &of_call {
        let texts = ["4930123", "wife", "4930999", "\"4\"", "Jo", "old"];
        assert!(!texts.iter().any(|text| said.contains(text)), "{said}");
    }
    assert!(of_call.iter().any(|(_, said)| said.contains("queue level-1")) && other[0].1.contains("4930123"));
}

/// A call has a ticket, which somebody has named; its name is erased before the call is over, while it waits here or before
/// a start reads it again. No other ticket is opened for it; one that was taken back is none.
#[test]
fn a_ticket_whose_number_was_erased_is_still_one() {
    for (erased_here, named, opens) in [(true, "7", false), (false, "7", false), (false, "", true)] {
        let mut scene = Scene::new();
        scene.arrives(CALL);
        scene.rings(1, 1001);
        scene.answered(1, 1001);
        match erased_here || named.is_empty() {
            true => scene.flow_attaches("ticket", named),
            false => {
                let value = Personal { text: None, ..personal(9, named) };
                scene.event(CALL, What::FlowAttached { flow: FlowId::new("main"), name: "ticket".into(), value });
            }
        }
        if erased_here {
            scene.outbox.handle(Wall(0), Input::Erased { call: CALL });
        }
        scene.ends();
        let mut said = scene.says();
        for _ in 0..8 {
            said += &scene.hears(Ok(Response::Taken));
        }
        assert!(said.contains("follow-8"), "it is not over: {said}");
        assert_eq!(said.contains("open-"), opens, "{named:?}, {erased_here}: {said}");
    }
}

/// What a wrong system answers is neither kept for each call nor sent back with each pop.
#[test]
fn of_a_whole_database_a_screens_worth_is_kept() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    assert_eq!(scene.says(), "find +4930123");
    let ticket =
        |n: u32| proto::Ticket { number: n.to_string(), title: "ä".repeat(10_000), status: "x".repeat(10_000) };
    let found = proto::FindCallerResponse { name: "J".repeat(10_000), tickets: (0..10_000).map(ticket).collect() };
    scene.rings(1, 1001);
    scene.outbox.handle(Wall(scene.now), Input::Answered { call: CALL, result: Ok(Response::Found(found)) });
    let Some((_, Request::Pop(pop))) = scene.sent().pop() else { panic!("a pop") };
    let longest = pop.tickets.iter().flat_map(|it| [&it.title, &it.status]).map(|text| text.chars().count()).max();
    assert_eq!((pop.tickets.len(), pop.name.len(), longest), (10, 200, Some(200)));
    assert_eq!(pop.tickets[9].number, "9");
}

/// Its agent is lost: the talk is over, and who is rung next sees the ticket.
#[test]
fn a_ticket_is_opened_when_the_first_talk_is_over_though_nobody_sent_the_caller_on() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.says();
    scene.rings(1, 1001);
    scene.hears(found());
    scene.answered(1, 1001);
    scene.hears(Ok(Response::Taken));
    let (work, queue) = (WorkId(2), QueueId::new("general"));
    scene.event(
        CALL,
        What::Queued { work, queue, priority: 0, skills: BTreeMap::new(), again: true, served: Duration::ZERO },
    );
    assert_eq!(scene.hears(Ok(Response::Taken)), "open-c0-0-1 {}");
}
