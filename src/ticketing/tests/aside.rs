//! A ticketing system that takes some and not others: what is put aside, and how it arrives.

use super::*;

/// What the outbox wants, done as the shell does it, with a ticketing system that opens no tickets while `broken`.
struct Desk {
    outbox: Outbox,
    log: Vec<Event>,
    now: i64,
    broken: bool,
    /// It takes no codes of calls.
    refuses_notes: bool,
    /// That the last code came with.
    last_ticket: String,
    left: super::super::Left,
    by_call: BTreeMap<CallId, Kept>,
    /// Keys that were taken, in order.
    taken: Vec<String>,
    tries: usize,
}

/// A call's events, and the keys of it that are done.
#[derive(Default)]
struct Kept {
    events: Vec<Event>,
    done: BTreeMap<String, String>,
    /// What outlives them.
    ticket: Option<(String, String)>,
}

impl Desk {
    fn new() -> Desk {
        let left = super::super::Left { low: 1, ..Default::default() };
        let outbox = Outbox::new(SETTINGS, LOG, left.clone());
        let (log, by_call, taken) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (refuses_notes, last_ticket) = (false, String::new());
        Desk { outbox, log, now: 0, broken: true, refuses_notes, last_ticket, left, by_call, taken, tries: 0 }
    }

    fn event(&mut self, call: u64, what: What) {
        let event = Event { seq: self.log.len() as u64 + 1, at: Wall(self.now), call: Some(CallId(call)), what };
        self.log.push(event.clone());
        self.by_call.entry(CallId(call)).or_default().events.push(event.clone());
        self.outbox.handle(Wall(self.now), Input::Event(Box::new(event)));
        self.outbox.handle(Wall(self.now), Input::AllRead);
        self.works();
    }

    /// A call that is answered.
    fn talks(&mut self, call: u64) {
        let (line, caller) = (Some(LineId::new("support")), personal(call, "sip:+4930123@example.org"));
        let (leg, language) = (LegId(call), "en".into());
        let arrived = What::CallArrived { leg, line, by_agent: None, trunk: None, private: false, language, caller };
        self.event(call, arrived);
        let (work, reservation, agent) = (WorkId(call), ReservationId(call), AgentId(1001));
        let (queue, leg) = (QueueId::new("general"), LegId(100_000 + call));
        self.event(call, What::Delivered { work, reservation, agent, leg, why: String::new() });
        self.event(call, What::OfferEnded { work, reservation, agent, outcome: OfferOutcome::Accepted });
        let waited = Duration::ZERO;
        self.event(call, What::Established { work, queue, agent, leg, waited, told: None });
    }

    fn ends(&mut self, call: u64) {
        self.event(call, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected });
    }

    fn works(&mut self) {
        while let Some(output) = self.outbox.poll() {
            match output {
                Output::Send { call, request } => {
                    let result = self.answer(&request);
                    self.outbox.handle(Wall(self.now), Input::Answered { call, result });
                }
                Output::Done { call, key, result } => _ = self.kept(call).done.insert(key, result),
                Output::Forget { call } => {
                    let kept = self.kept(call);
                    let ticket =
                        kept.done.iter().find(|(key, ticket)| bare(key).starts_with("open") && !ticket.is_empty());
                    kept.ticket = ticket.map(|(key, ticket)| (key.clone(), ticket.clone())).or(kept.ticket.take());
                    kept.done.clear();
                    self.left.aside.remove(&call);
                }
                Output::Aside { call, first_seq, since, what } => {
                    assert_eq!(what, if self.refuses_notes { "FollowCall" } else { "OpenTicket" });
                    self.left.aside.insert(call, (first_seq, since));
                }
                Output::Erased { .. } => {}
                Output::Reread { call } => {
                    let kept = self.kept(call);
                    let done = kept.done.clone().into_iter().chain(kept.ticket.clone()).collect();
                    let events = kept.events.clone();
                    self.outbox.handle(Wall(self.now), Input::Reread { call, events, done });
                }
            }
            self.left.low = self.outbox.low();
        }
    }

    fn kept(&mut self, call: CallId) -> &mut Kept {
        self.by_call.entry(call).or_default()
    }

    fn answer(&mut self, request: &Request) -> Result<Response, Failure> {
        if matches!(request, Request::Open(_)) && self.broken {
            self.tries += 1;
            return Err(Failure::Later);
        }
        if let Request::Follow(it) = request
            && matches!(it.what, Some(proto::follow_call_request::What::Disposed(_)))
        {
            if self.refuses_notes {
                return Err(Failure::Later);
            }
            self.last_ticket.clone_from(&it.ticket);
        }
        self.taken.extend(request.key().map(|key| bare(key).to_owned()));
        match request {
            Request::Find(_) => found(),
            Request::Open(_) => opened("1001"),
            _ => Ok(Response::Taken),
        }
    }

    /// So many seconds, each with a call that goes the same way if `busy`.
    fn passes(&mut self, seconds: i64, busy: bool) {
        for _ in 0..seconds {
            self.now += 1_000;
            self.outbox.handle(Wall(self.now), Input::Timeout);
            self.works();
            if busy {
                let call = self.now as u64;
                self.talks(call);
                self.ends(call);
            }
        }
    }

    /// A kill -9, and the next start.
    fn killed(&mut self) {
        let done = self.by_call.values().flat_map(|kept| kept.done.clone()).collect();
        self.outbox = Outbox::new(SETTINGS, LOG, super::super::Left { done, ..self.left.clone() });
        let again: Vec<Event> = self.log.iter().filter(|event| event.seq >= self.left.low).cloned().collect();
        for event in again {
            self.outbox.handle(Wall(self.now), Input::Event(Box::new(event)));
            self.works();
        }
        self.outbox.handle(Wall(self.now), Input::AllRead);
        self.works();
    }
}

/// No ticket can be opened for hours. Every other call's pops come all the same, memory is bounded, and a start begins
/// near the present; when tickets can be opened again each is, once, and what follows comes behind it, over a kill.
#[test]
fn one_method_that_is_wrong_for_ever_keeps_nothing_else_from_being_told() {
    let mut desk = Desk::new();
    desk.passes(6_000, true);
    let numbers = desk.outbox.numbers();
    assert_eq!(desk.taken.iter().filter(|key| key.starts_with("pop")).count(), 6_000, "each phone's pop came");
    // Without it 12,000 requests would wait, and no more be read.
    assert!(desk.outbox.wants_more() && numbers.waiting < 200, "{numbers:?}");
    assert!(numbers.aside > 5_900 && numbers.oldest <= Some(Wall(2_000)), "{numbers:?}");
    let last = desk.log.len() as u64;
    assert!(desk.left.low > last - 1_000, "a start begins near the present: {} of {last}", desk.left.low);
    assert_eq!(desk.outbox.needed(), 1, "and the log keeps what is not told");
    let tries = desk.tries;
    desk.passes(100, false);
    // Those that failed last have some tries left; what is aside is tried one at a time, with pauses.
    assert!(desk.tries - tries < 100, "{} tries", desk.tries - tries);
    desk.broken = false;
    desk.now += 10_000;
    desk.outbox.handle(Wall(desk.now), Input::Timeout); // the first of them is under way when the kill comes
    desk.killed();
    desk.passes(200, false);
    let numbers = desk.outbox.numbers();
    assert_eq!((numbers.aside, numbers.waiting, numbers.oldest), (0, 0, None));
    assert_eq!(desk.outbox.needed(), last + 1, "nothing is kept any more");
    assert!(desk.left.aside.is_empty() && desk.by_call.values().all(|kept| kept.done.is_empty()));
    let once: BTreeSet<&String> = desk.taken.iter().collect();
    assert_eq!(once.len(), desk.taken.len(), "something was told twice");
    // For each call: a pop, that it was answered, a ticket, its end.
    assert_eq!(desk.taken.len(), 4 * 6_000);
}

/// Who is put aside in mid-call is told of later, with what happened meanwhile, in order; what happens then as well.
#[test]
fn a_call_that_runs_is_told_to_its_end() {
    let mut desk = Desk::new();
    desk.talks(1);
    let to = TransferTo::Queue(QueueId::new("level-1"));
    desk.event(1, What::Transferred { agent: AgentId(1001), to });
    for other in 2..40 {
        desk.passes(1, false);
        desk.talks(other);
    }
    assert_eq!(desk.outbox.numbers().aside, 1);
    let value = personal(900_000, "vpn");
    desk.event(1, What::DataAttached { agent: AgentId(1001), name: "category".into(), value });
    desk.killed();
    desk.broken = false;
    desk.passes(20, false);
    assert_eq!(desk.outbox.numbers().aside, 0);
    desk.ends(1);
    let of_call: Vec<&str> = desk.taken.iter().map(String::as_str).collect();
    let end = format!("follow-{}", desk.log.len());
    let note = format!("follow-{}", desk.log.len() - 1);
    let of_call: Vec<&str> = of_call
        .into_iter()
        .filter(|key| {
            ["pop-r0-0-1", "open-c0-0-1", "follow-4", "follow-5"].contains(key) || *key == note || *key == end
        })
        .collect();
    assert_eq!(of_call, ["pop-r0-0-1", "follow-4", "open-c0-0-1", "follow-5", &note, &end]);
    desk.passes(120, false);
    assert!(!desk.left.aside.is_empty(), "a kill would read it again, as long as older calls run");
    (2..40).for_each(|other| desk.ends(other));
    desk.passes(120, false);
    assert!(desk.left.aside.is_empty(), "forgotten when all is over");
}

/// While nobody is there at all nothing is put aside: the log keeps it, and all comes in order when somebody is.
#[test]
fn a_ticketing_system_that_is_away_has_nothing_put_aside() {
    let mut scene = Scene::new();
    scene.arrives(CALL);
    scene.rings(1, 1001);
    scene.answered(1, 1001);
    scene.says();
    for _ in 0..100 {
        scene.hears(Err(Failure::Later));
        scene.later(8_000);
    }
    assert_eq!((scene.outbox.numbers().aside, scene.outbox.low()), (0, 1));
    assert_eq!(scene.hears(Ok(Response::Taken)), "");
}

/// After a restart the log is read from behind the call's beginning or from before it: then not yet.
#[test]
fn what_was_put_aside_is_read_again_when_its_beginning_was_read() {
    let aside = BTreeMap::from([(CALL, (50, Wall(0)))]);
    let left = super::super::Left { low: 40, aside, ..Default::default() };
    let mut outbox = Outbox::new(SETTINGS, LOG, left);
    outbox.handle(Wall(0), Input::Timeout);
    assert_eq!(outbox.poll(), None, "nothing of it was read");
    let mut scene = Scene::new();
    scene.arrives(CALL);
    let arrived = Event { seq: 50, ..scene.log[0].clone() };
    outbox.handle(Wall(0), Input::Event(Box::new(arrived)));
    assert_eq!(outbox.poll(), Some(Output::Reread { call: CALL }));
}

/// A note that an agent makes long after the end and that the ticketing system does not take for a while, as of a ticket that
/// is closed: when it is taken, nothing else of the call is said again, over a kill and with its ticket.
#[test]
fn what_is_noted_late_and_put_aside_is_told_alone() {
    for kill in [false, true] {
        let mut desk = Desk::new();
        desk.broken = false;
        desk.talks(1);
        desk.ends(1);
        desk.passes(120, false);
        let before = desk.taken.len();
        desk.refuses_notes = true;
        let (agent, disposition) = (AgentId(1001), "solved".to_owned());
        desk.event(1, What::Disposed { agent, disposition, notes: None });
        let noted = desk.log.len() as u64;
        desk.passes(60, true);
        assert_eq!((desk.outbox.numbers().aside, desk.outbox.needed()), (1, noted), "the note is put aside");
        if kill {
            desk.killed();
        }
        desk.refuses_notes = false;
        desk.passes(60, true);
        let its = |key: &&String| {
            let events = &desk.by_call[&CallId(1)].events;
            *key == "open-c0-0-1" || events.iter().any(|event| **key == format!("follow-{}", event.seq))
        };
        let told: Vec<_> = desk.taken[before..].iter().filter(its).collect();
        assert_eq!(told, [&format!("follow-{noted}")], "kill: {kill}");
        assert_eq!((desk.outbox.numbers().aside, desk.last_ticket.as_str()), (0, "1001"));
    }
}
