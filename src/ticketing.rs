//! What the ticketing system is to be told: an outbox, fed from the durable log.
//!
//! [`Outbox`] is a plain struct with three verbs, `handle(now, input)`, `poll()`, `deadline()`. Its time is wall time,
//! since a request may be as old as the events in the log.
//!
//! **In order per call.** A call's requests form a line; the next is sent when the one before has been answered, has
//! expired or was refused for ever, but for pops. Calls do not wait for each other, but for [`Settings::parallel`].
//!
//! **Once.** Each request that changes something has a key made of the log's own id, of ids in it and of when it happened:
//! a log that was put back from a copy gives the ids that it has lost again, to others. After a kill the same
//! events make the same requests with the same keys; those that were answered are left out ([`Output::Done`] is written
//! down), and the one that was under way comes again: the ticketing system knows it by its key. What was done of a call is
//! remembered until a restart reads nothing of that call any more ([`Output::Forget`]).
//!
//! **Nothing waits for it.** The engine knows nothing of it. While much waits here nothing more is read
//! ([`Outbox::wants_more`]): the log keeps it. A screen-pop whose offer is over, or that is too old, is dropped and
//! counted; everything else is tried until it is answered. A call whose request fails again and again, while others are
//! answered, is put aside (`aside`), so that one bad request keeps nobody else's from being told. What is noted of a call
//! long after its end is told too (`late`).
//!
//! **A pop waits for nobody.** The search for who calls that hangs when a phone rings is gone past, and what
//! nobody there has a method for (`overtaken`).
//!
//! **What is erased meanwhile** in the log is not said any more: that something was noted is, and not what (`erased`).

mod aside;
mod case;
mod erased;
mod late;
mod overtaken;

pub use case::{Request, Response};

use crate::cti::{View, view};
use crate::event::{Event, OfferOutcome, What};
use crate::ids::{AgentId, CallId};
use crate::proto;
use crate::time::Wall;
use aside::Aside;
use case::{Case, Job};
use late::Late;
use overtaken::Overtaken;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Requests that may wait before no more events are read.
pub const WAITING: usize = 10_000;
/// A call is remembered so long after its end: agents still note things of it. What comes later is looked up in the log.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Who calls is of use before a phone rings; after this nobody is asked any more.
const FIND: Duration = Duration::from_secs(10);
/// Longest number of a ticket.
const LONGEST_TICKET: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub pop_expires: Duration,
    pub retry: Duration,
    pub retry_most: Duration,
    /// Requests under way at once.
    pub parallel: usize,
}

#[derive(Clone, Debug)]
pub enum Input {
    /// The next event of the log, with its texts.
    Event(Box<Event>),
    /// There is no further event at present.
    AllRead,
    /// The answer to `Send`.
    Answered { call: CallId, result: Result<Response, Failure> },
    /// The answer to `Reread`: the call's events, with their texts, and what was written down of it.
    Reread { call: CallId, events: Vec<Event>, done: BTreeMap<String, String> },
    /// The call's texts were erased in the log: nothing of them is said any more.
    Erased { call: CallId },
    /// `deadline()` has come.
    Timeout,
}

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody there, too slow, or in trouble.
    Later,
    /// The method is not there, be it that something else answers in the ticketing system's place: later, and no screen-pop
    /// waits for it.
    NoMethod,
    /// Refused for what it is.
    Never,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Answer with `Answered`.
    Send { call: CallId, request: Request },
    /// To be written down: the request with this key needs no more. `result` is what a restart must know of it.
    Done { call: CallId, key: String, result: String },
    /// To be written down: nothing of this call is needed any more, and nothing of it is read again.
    Forget { call: CallId },
    /// To be written down, and known to the next start: `what` of this call fails while others are answered, and all of
    /// the call is told later.
    Aside { call: CallId, first_seq: u64, since: Wall, what: &'static str },
    /// To be written down: none of the texts that were erased is here any more.
    Erased { call: CallId },
    /// Answer with `Reread`, after all that is to be written down was.
    Reread { call: CallId },
}

/// What happened to requests, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub answered: u64,
    /// Attempts that failed and are made again.
    pub failed: u64,
    /// Requests that the ticketing system refused for ever.
    pub refused: u64,
    /// Screen-pops that were too late.
    pub pops_expired: u64,
    /// Requests that wait or are under way.
    pub waiting: u64,
    /// Calls that are put aside.
    pub aside: u64,
    /// Since when the oldest of all these does.
    pub oldest: Option<Wall>,
}

/// What an earlier run has written down.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Keys that are done, with what was said.
    pub done: BTreeMap<String, String>,
    /// Calls that were put aside, with their first events and since when something of them waits.
    pub aside: BTreeMap<CallId, (u64, Wall)>,
    /// The first event that must be read again.
    pub low: u64,
}

#[derive(Clone, Debug)]
pub struct Outbox {
    settings: Settings,
    /// What the log is called in keys.
    log: String,
    view: View,
    cases: BTreeMap<CallId, Case>,
    /// Calls that have requests and none under way, by when the next is to be tried.
    line: BTreeSet<(Wall, CallId)>,
    under_way: usize,
    overtaken: Overtaken,
    /// What an earlier run has done, with what it said.
    done: BTreeMap<String, String>,
    /// The next event's number at least.
    next: u64,
    /// The last event that an earlier run has told of: until it is read again nothing that was done is forgotten.
    told_before: u64,
    /// When the last event happened that was read; none when all has been.
    reading: Option<Wall>,
    /// Calls that are over and said, by their last events' numbers.
    over: BTreeSet<(u64, CallId)>,
    aside: Aside,
    late: Late,
    outputs: VecDeque<Output>,
    numbers: Numbers,
}

impl Outbox {
    /// `log`: the log's own id. `left`: what was written down. Events must come from [`Outbox::low`] of the run before.
    pub fn new(settings: Settings, log: u64, left: Left) -> Outbox {
        let Left { done, aside, low } = left;
        let told = done.keys().filter_map(|key| key.split_once("-follow-")?.1.split('-').next()?.parse::<u64>().ok());
        let told_before = told.max().unwrap_or(0);
        Outbox {
            settings,
            log: log_name(log),
            view: View::default(),
            cases: BTreeMap::new(),
            line: BTreeSet::new(),
            under_way: 0,
            overtaken: Overtaken::default(),
            done,
            next: low,
            told_before,
            reading: None,
            over: BTreeSet::new(),
            aside: Aside::new(aside),
            late: Late::default(),
            outputs: VecDeque::new(),
            numbers: Numbers::default(),
        }
    }

    /// What was counted before it began anew is counted on.
    pub fn counting_on(self, before: Numbers) -> Outbox {
        let Numbers { answered, failed, refused, pops_expired, .. } = before;
        Outbox { numbers: Numbers { answered, failed, refused, pops_expired, ..self.numbers }, ..self }
    }

    pub fn handle(&mut self, now: Wall, input: Input) {
        match input {
            Input::Event(event) => self.happened(&event),
            Input::AllRead => self.reading = None,
            Input::Answered { call, result } => self.answered(now, call, result),
            Input::Reread { call, events, done } => self.reread(call, &events, done),
            Input::Erased { call } => self.erased(call),
            Input::Timeout => {}
        }
        self.overtake(now);
        self.send(now);
        self.try_again(now);
        self.forget(now);
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn deadline(&self) -> Option<Wall> {
        let free = self.under_way < self.settings.parallel;
        let next = self.line.first().filter(|_| free).map(|(at, _)| *at);
        let aside = self.aside.deadline(self.next).filter(|_| free && self.wants_more());
        let over = self.cases.values().filter(|case| case.jobs.is_empty()).filter_map(|case| case.keep_until).min();
        // While events are being read, time is theirs.
        let over = over.filter(|_| self.reading.is_none());
        next.into_iter().chain(self.overtaken.deadline()).chain(aside).chain(over).min()
    }

    pub fn wants_more(&self) -> bool {
        self.numbers.waiting < WAITING as u64
    }

    /// The number of the first event that a restart needs.
    pub fn low(&self) -> u64 {
        let cases = self.cases.values().filter(|case| !case.apart).map(|case| case.first_seq);
        cases.chain(self.late.first_seq()).min().unwrap_or(self.next)
    }

    pub fn numbers(&self) -> Numbers {
        let oldest = self.cases.values().flat_map(|case| &case.jobs).map(|job| job.at).min();
        let oldest = oldest.into_iter().chain(self.aside.oldest()).min();
        Numbers { oldest, aside: self.aside.waiting(), ..self.numbers }
    }

    fn happened(&mut self, event: &Event) {
        (self.next, self.reading) = (event.seq + 1, Some(event.at));
        let begins = matches!(event.what, What::CallArrived { .. });
        if begins && event.call.is_some_and(|call| self.aside.has(call)) {
            return; // read apart
        }
        let mut view = std::mem::take(&mut self.view);
        self.take(&mut view, event);
        self.view = view;
    }

    fn take(&mut self, view: &mut View, event: &Event) {
        if let (Some(call), What::CallArrived { line: Some(_), .. }) = (event.call, &event.what) {
            self.cases.insert(call, Case::new(event));
        }
        // What ends a call is told of it as it was.
        let ended = matches!(event.what, What::CallEnded { .. }).then(|| event.call).flatten();
        let last = ended.and_then(|call| view.calls.get(&call).cloned());
        view.learn(event);
        let Some(call) = event.call else { return };
        let running = view.calls.contains_key(&call);
        let Some(case) = self.cases.get_mut(&call) else {
            return if !running {
                self.noted_late(call, event)
            };
        };
        if let Some(row) = last.as_ref().or(view.calls.get(&call)) {
            case.row = row.clone();
        }
        case.last_seq = case.last_seq.max(event.seq);
        case.note_late(event);
        case.note_erased(event);
        let requests = self.requests(call, event);
        requests.into_iter().for_each(|job| self.add(call, job));
        if let (Some(case), What::CallEnded { .. }) = (self.cases.get_mut(&call), &event.what) {
            case.keep_until = Some(event.at + REMEMBERED);
        }
    }

    /// What is to be told because of `event`.
    fn requests(&mut self, call: CallId, event: &Event) -> Vec<Job> {
        let case = self.cases.get_mut(&call).expect("the case that has just been looked up");
        let (log, at) = (self.log.clone(), event.at.0);
        let follow = |what| {
            let key = format!("{log}-follow-{}-{at}", event.seq);
            vec![Job::new(event.at, Request::follow(key, call, event, what))]
        };
        use proto::follow_call_request::What as Follow;
        match &event.what {
            What::CallArrived { .. } => {
                let job = Job::new(event.at, case.find(call));
                vec![Job { expires: Some(event.at + FIND), ..job }]
            }
            What::Delivered { reservation, agent, .. } => {
                let mut pop = case.pop(call, event, *reservation, *agent);
                pop.key = format!("{log}-pop-{reservation}-{at}");
                let job = Job::new(event.at, Request::Pop(pop));
                self.hurries(call, event.at);
                vec![Job { expires: Some(event.at + self.settings.pop_expires), offer: Some(*reservation), ..job }]
            }
            What::OfferEnded { reservation, outcome, .. } if *outcome != OfferOutcome::Accepted => {
                let dropped = case.drop_pop(*reservation, event.at);
                self.numbers.pops_expired += dropped.len() as u64;
                self.numbers.waiting -= dropped.len() as u64;
                // A start that reads of the offer again meets its end later: it must know by then.
                let done = dropped.into_iter().map(|key| Output::Done { call, key, result: String::new() });
                self.outputs.extend(done);
                self.tidy_line(call);
                Vec::new()
            }
            What::Established { agent, waited, .. } => {
                case.talked = Some(*agent);
                let waited_ms = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
                follow(Follow::Answered(proto::FollowAnswered { agent: agent.0, waited_ms }))
            }
            // His agent was lost: that talk is over, and the next pop should know its ticket.
            What::Queued { again: true, .. } => {
                case.talked.map(|agent| self.open(call, event, agent)).unwrap_or_default()
            }
            What::Transferred { agent, to } => {
                let mut jobs = self.open(call, event, *agent);
                let to = view::transferred_to(to);
                jobs.extend(follow(Follow::Transferred(proto::FollowTransferred { agent: agent.0, to })));
                jobs
            }
            What::DataAttached { agent, name, value } => {
                let (name, value) = (name.clone(), value.text.as_deref().unwrap_or_default().to_owned());
                follow(Follow::Attached(proto::FollowAttached { agent: agent.0, name, value }))
            }
            What::FlowAttached { name, value, .. } => {
                let (name, value) = (name.clone(), value.text.as_deref().unwrap_or_default().to_owned());
                follow(Follow::Attached(proto::FollowAttached { agent: 0, name, value }))
            }
            What::Disposed { agent, disposition, notes } => {
                let notes = notes.as_ref().and_then(|notes| notes.text.as_deref()).unwrap_or_default().to_owned();
                let disposition = disposition.clone();
                follow(Follow::Disposed(proto::FollowDisposed { agent: agent.0, disposition, notes }))
            }
            What::CallEnded { cause, .. } => {
                let mut jobs = case.talked.map(|agent| self.open(call, event, agent)).unwrap_or_default();
                jobs.extend(follow(Follow::Ended(proto::FollowEnded { why: cause.text().to_owned() })));
                jobs
            }
            _ => Vec::new(),
        }
    }

    /// A ticket, once for a call, unless the call has one.
    fn open(&mut self, call: CallId, event: &Event, agent: AgentId) -> Vec<Job> {
        let case = self.cases.get_mut(&call).expect("the case that has just been looked up");
        if std::mem::replace(&mut case.opened, true) || case.has_ticket() {
            return Vec::new();
        }
        let key = format!("{}-open-{call}-{}", self.log, case.arrived.0);
        vec![Job::new(event.at, case.open(key, call, agent))]
    }

    fn add(&mut self, call: CallId, job: Job) {
        let case = self.cases.get_mut(&call).expect("jobs are made for cases");
        let mut done = |key: &str| self.done.remove(key).or_else(|| self.done.remove(timeless(key)?));
        if let Some(result) = job.request.key().and_then(&mut done) {
            case.learned(&job.request, &result);
            return;
        }
        if self.late.is_told() {
            return;
        }
        self.numbers.waiting += 1;
        let (first, pops) = (case.jobs.is_empty(), job.offer.is_some());
        if first {
            self.line.insert((job.not_before, call));
        }
        case.jobs.push_back(job);
        if pops && !first {
            self.tidy_line(call);
        }
    }

    /// A case without requests stands in no line.
    fn tidy_line(&mut self, call: CallId) {
        let Some(case) = self.cases.get(&call) else { return };
        if !case.under_way {
            self.line.retain(|(_, of)| *of != call);
            case.due().into_iter().for_each(|at| _ = self.line.insert((at, call)));
        }
    }

    fn send(&mut self, now: Wall) {
        while self.under_way < self.settings.parallel {
            let Some((at, call)) = self.line.first().copied().filter(|(at, _)| *at <= now) else { return };
            self.line.remove(&(at, call));
            let case = self.cases.get_mut(&call).expect("who stands in the line has a case");
            case.make_way(now);
            let expired = case.jobs.front().is_some_and(|job| job.expires.is_some_and(|at| at <= now));
            if expired {
                self.finish(call, None);
                continue;
            }
            let Some(request) = case.next_request() else { continue };
            case.under_way = true;
            self.under_way += 1;
            self.outputs.push_back(Output::Send { call, request });
        }
    }

    fn answered(&mut self, now: Wall, call: CallId, result: Result<Response, Failure>) {
        if self.comes_late(call, &result) {
            return;
        }
        let Some(case) = self.cases.get_mut(&call).filter(|case| case.under_way) else { return };
        (case.under_way, self.under_way) = (false, self.under_way - 1);
        let result = result.and_then(|response| match &response {
            Response::NotFound(why) => Err(*why),
            Response::Opened(it) if !(1..=LONGEST_TICKET).contains(&it.ticket.chars().count()) => Err(Failure::Later),
            _ => Ok(response),
        });
        match result {
            Ok(response) => {
                self.numbers.answered += 1;
                let result = case.heard(response);
                self.finish(call, Some(result));
            }
            Err(Failure::Never) => {
                self.numbers.refused += 1;
                self.finish(call, Some(String::new()));
            }
            Err(why) => {
                self.numbers.failed += 1;
                self.failed(now, call, why);
            }
        }
    }

    /// The call's first request is tried again after a pause, unless it is too late or keeps others waiting.
    fn failed(&mut self, now: Wall, call: CallId, why: Failure) {
        let heard = self.heard();
        let Some(job) = self.cases.get_mut(&call).and_then(|case| case.jobs.front_mut()) else { return };
        let pause = self.settings.retry.saturating_mul(1 << job.attempts.min(16));
        job.attempts += 1;
        job.no_method = why == Failure::NoMethod;
        job.failed_at.get_or_insert(heard);
        job.not_before = now + pause.min(self.settings.retry_most);
        if job.expires.is_some_and(|expires| expires <= now) {
            self.finish(call, None);
        } else if self.blocks(call) {
            self.put_aside(now, call);
        } else {
            self.cases.get(&call).and_then(Case::due).into_iter().for_each(|at| _ = self.line.insert((at, call)));
        }
    }

    /// The call's first request needs no more: it was answered, or has expired.
    fn finish(&mut self, call: CallId, result: Option<String>) {
        let case = self.cases.get_mut(&call).expect("what is finished belongs to a case");
        let Some(job) = case.jobs.pop_front() else { return };
        self.numbers.waiting -= 1;
        if result.is_none() && job.offer.is_some() {
            self.numbers.pops_expired += 1;
        }
        if let Some(key) = job.request.key().map(str::to_owned) {
            self.outputs.push_back(Output::Done { call, key, result: result.unwrap_or_default() });
        }
        case.due().into_iter().for_each(|at| _ = self.line.insert((at, call)));
        self.told_aside(call);
    }

    /// While events are still being read, what is noted after a call's end may be among them.
    fn forget(&mut self, now: Wall) {
        let at = self.reading.unwrap_or(now).min(now);
        let over = |case: &Case| case.jobs.is_empty() && case.keep_until.is_some_and(|until| until <= at);
        let gone: Vec<CallId> = self.cases.iter().filter(|(_, case)| over(case)).map(|(call, _)| *call).collect();
        for call in gone {
            let Some(case) = self.cases.remove(&call) else { continue };
            self.over.insert((case.last_seq, call));
            if case.apart {
                self.told_aside(call);
            }
        }
        // A restart reads from there, and must know until then what was done.
        let low = if self.next > self.told_before { self.low() } else { 0 };
        while let Some((_, call)) = self.over.first().copied().filter(|(last, _)| *last < low) {
            self.over.pop_first();
            self.forget_aside(call);
        }
    }
}

/// The key without its time, as an earlier version wrote it down.
fn timeless(key: &str) -> Option<&str> {
    Some(key.rsplit_once('-')?.0)
}

/// What a log is called in keys.
pub fn log_name(log: u64) -> String {
    format!("{log:016x}")
}

#[cfg(test)]
mod tests;
