//! The client's own thread: reads the log, hands what is to be said to tokio, takes what comes back, and writes down what is
//! done. A defect of ours costs the event that it is met in: the outbox begins anew from the log, as after a kill, without
//! that event.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

use super::memory::{Memory, Standing};
use super::{Counts, Ground};
use crate::ids::CallId;
use crate::server::aside;
use crate::server::clock::EventTime;
use crate::server::defects::contain;
use crate::server::journal::{Entry, Value};
use crate::server::store::Reader;
use crate::ticketing::{Failure, Input, Outbox, Output, Request, Response, Settings};
use crate::time::Wall;
use anyhow::Result;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Events read at once.
const PORTION: usize = 256;
/// How long the thread sleeps at most.
const NAP: Duration = Duration::from_secs(60);
/// … and before it tries again what its disk did not let it do, or begins anew after a defect.
const AGAIN: Duration = Duration::from_secs(1);

/// What wakes the thread.
pub(super) enum News {
    Committed,
    /// With the round that it was asked in: what an outbox has asked before it began anew is not its successor's.
    Answered(u64, CallId, Result<Response, Failure>),
    Stop,
}

/// Sends a request of a round, and answers with [`News::Answered`].
pub(super) type Send = Box<dyn Fn(u64, CallId, Request) + std::marker::Send>;

/// The thread's own.
pub(super) struct Clerk {
    settings: Settings,
    log: u64,
    outbox: Outbox,
    memory: Memory,
    duties: Duties,
    reader: Reader,
    data: PathBuf,
    /// The last event that was read.
    at: u64,
    /// Its number and time, once one was.
    stamp: Option<(u64, Wall)>,
    /// How often an outbox has begun.
    round: u64,
    /// The present one is not to be trusted.
    broken: bool,
    /// Events that nothing is told of: a defect of ours was met there.
    defects: BTreeSet<u64>,
    /// Calls of which nothing more is told: it was met in all of the call.
    lost: BTreeSet<CallId>,
    /// What the outbox is being told: an event, or the whole of a call.
    taking: Taking,
    send: Send,
    numbers: Counts,
    /// What is told has the events' time, and so has what is too late: no jump of the clock on the wall makes it so.
    time: EventTime,
    /// What panics.
    #[cfg(test)]
    planted: fn(&Input) -> bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taking {
    event: Option<u64>,
    call: Option<CallId>,
}

/// What is to be done, and stays so until it is: disks are full, and files are held locked.
#[derive(Default)]
struct Duties {
    /// To be written down.
    notes: Vec<Output>,
    /// Calls to be read again, after that.
    again: VecDeque<CallId>,
}

impl Duties {
    /// # Errors
    /// Nothing was written down; all of it stays to be.
    fn write(&mut self, memory: &mut Memory, standing: Standing) -> Result<()> {
        memory.write(&self.notes, standing)?;
        self.notes.clear();
        Ok(())
    }

    /// The next call to be read again, which `read` reads.
    ///
    /// # Errors
    /// It could not be read, and stays to be, after all others: they may be well.
    fn read<T>(&mut self, read: impl FnOnce(CallId) -> Result<T>) -> Result<Option<T>> {
        let Some(call) = self.again.pop_front() else { return Ok(None) };
        let read = read(call);
        if read.is_err() {
            self.again.push_back(call);
        }
        read.map(Some)
    }

    fn note(&mut self, note: Output) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether something outlives its call from now on.
    fn forget(&self) -> bool {
        self.notes.iter().any(|note| matches!(note, Output::Forget { .. }))
    }

    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.again.is_empty()
    }
}

/// What is older the ticketing system has been told, or somebody has been told that it has not.
const TOLD: Duration = Duration::from_secs(7 * 86_400);

/// The first event that is told again where nothing is known of what was told.
pub(super) fn told_again(log: &Reader, now: Wall) -> Result<u64> {
    let since = Wall(now.0.saturating_sub(TOLD.as_millis() as i64));
    let (mut least, mut most) = (0, log.last()?);
    while least < most {
        let middle = least.midpoint(most);
        match log.next(middle)? {
            Some((_, at)) if at < since => least = middle + 1,
            _ => most = middle,
        }
    }
    Ok(least + 1)
}

impl Clerk {
    pub fn new(ground: Ground, memory: Memory, outbox: Outbox) -> Clerk {
        let Ground { settings, reader, log, data, send, numbers, time } = ground;
        let (at, duties, defects) = (memory.low - 1, Duties::default(), BTreeSet::new());
        Clerk {
            settings,
            log,
            outbox,
            memory,
            duties,
            reader,
            data,
            at,
            stamp: None,
            round: 0,
            broken: false,
            defects,
            lost: BTreeSet::new(),
            taking: Taking::default(),
            send,
            numbers,
            time,
            #[cfg(test)]
            planted: |_| false,
        }
    }

    pub fn run(&mut self, heard: &Receiver<News>) {
        let mut news = Ok(News::Committed);
        loop {
            match contain("ticketing", || self.turn(news)) {
                Some(Ok(())) => {}
                Some(Err(why)) if aside::is_useless(&why) => self.has_lost_its_memory(&why),
                Some(Err(why)) => {
                    Entry::warn("ticketing", "the ticketing system is told later").with("why", &why).tell()
                }
                None => self.has_failed(),
            }
            *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) = self.outbox.numbers();
            let nap = if self.duties.is_empty() && !self.broken { NAP } else { AGAIN };
            let wait = self.outbox.deadline().map_or(nap, |at| until(self.time.now(), at).min(nap));
            news = heard.recv_timeout(wait);
            if matches!(news, Ok(News::Stop) | Err(RecvTimeoutError::Disconnected)) {
                return;
            }
        }
    }

    /// What was written down is damaged: begun anew from the log, without what of it was not written down.
    fn has_lost_its_memory(&mut self, why: &anyhow::Error) {
        let again = told_again(&self.reader, self.time.now());
        match again.and_then(|again| Memory::anew(&self.data, self.log, again, why)) {
            Ok(memory) => {
                (self.memory, self.duties, self.broken) = (memory, Duties::default(), true);
            }
            Err(why) => Entry::warn("ticketing", "the ticketing system is told later").with("why", &why).tell(),
        }
    }

    /// The outbox begins anew in the next turn, without what it failed at.
    fn has_failed(&mut self) {
        let Taking { event, call } = std::mem::take(&mut self.taking);
        let lost = "the ticketing system is not told of something, and of the rest anew: a defect of ours";
        Entry::error("ticketing", lost).of(call).with_some("event", event).tell();
        self.broken = true;
        self.defects.extend(event);
        self.lost.extend(call.filter(|_| event.is_none()));
        std::thread::sleep(AGAIN); // what is met again and again takes no processor
    }

    /// Takes what has come, reads on, and does what is to be done.
    fn turn(&mut self, news: Result<News, RecvTimeoutError>) -> Result<()> {
        if self.broken {
            self.begin_anew()?;
        }
        match news {
            Ok(News::Answered(round, call, result)) if round == self.round => {
                self.take(Input::Answered { call, result });
            }
            Ok(_) => {}
            Err(_) => self.take(Input::Timeout),
        }
        self.read()?;
        self.carry_out()
    }

    fn take(&mut self, input: Input) {
        self.taking = match &input {
            Input::Event(event) => Taking { event: Some(event.seq), call: event.call },
            Input::Reread { call, .. } => Taking { event: None, call: Some(*call) },
            _ => Taking::default(),
        };
        #[cfg(test)]
        assert!(!(self.planted)(&input), "planted");
        self.outbox.handle(self.time.now(), input);
        self.taking = Taking::default();
    }

    /// From what was written down, as after a kill.
    fn begin_anew(&mut self) -> Result<()> {
        let standing = self.memory.standing()?;
        self.duties.write(&mut self.memory, standing)?;
        let before = self.outbox.numbers();
        self.outbox = Outbox::new(self.settings, self.log, self.memory.left()?).counting_on(before);
        (self.at, self.duties) = (self.memory.low - 1, Duties::default());
        self.round += 1;
        self.broken = false;
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        while self.outbox.wants_more() {
            let events = self.reader.after(self.at, PORTION)?;
            if events.is_empty() {
                self.take(Input::AllRead);
                return Ok(());
            }
            for event in events {
                (self.at, self.stamp) = (event.seq, Some((event.seq, event.at)));
                if !self.defects.contains(&event.seq) {
                    self.take(Input::Event(Box::new(event)));
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self) -> Result<()> {
        loop {
            // What was erased is not said any more, whatever is about to be.
            for call in self.memory.erased()? {
                self.take(Input::Erased { call });
            }
            self.take_outputs();
            let standing = self.standing()?;
            self.duties.write(&mut self.memory, standing)?;
            let (reader, memory, defects, lost) = (&self.reader, &self.memory, &self.defects, &self.lost);
            let read = self.duties.read(|call| {
                let mut events = reader.events(call)?;
                reader.join_texts(&mut events)?;
                events.retain(|event| !defects.contains(&event.seq) && !lost.contains(&call));
                Ok(Input::Reread { call, events, done: memory.done_of(call)? })
            })?;
            match read {
                Some(read) => self.take(read),
                None => return Ok(()),
            }
        }
    }

    fn standing(&self) -> Result<Standing> {
        let first = if self.duties.forget() { self.reader.first_call()? } else { None };
        Ok(Standing { low: self.outbox.low(), needed: self.outbox.needed(), read: self.stamp, first })
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.outbox.poll() {
            match output {
                Output::Send { call, request } => (self.send)(self.round, call, request),
                Output::Reread { call } => self.duties.again.push_back(call),
                Output::Aside { call, first_seq, since, what } => {
                    tell_aside(call, what, self.outbox.numbers().aside);
                    self.duties.notes.push(Output::Aside { call, first_seq, since, what });
                }
                note @ Output::Erased { .. } => self.duties.note(note),
                note => self.duties.notes.push(note),
            }
        }
    }
}

/// For who runs it: the first, and then whenever twice as many are.
fn tell_aside(call: CallId, what: &str, aside: u64) {
    if aside.is_power_of_two() {
        let put = "the ticketing system does not take this of a call, and takes what others bring: it is told later";
        let entry = Entry::warn("ticketing", put).of(Some(call)).with("what", Value::written(what));
        entry.with("aside", aside).tell();
    }
}

fn until(now: Wall, at: Wall) -> Duration {
    Duration::from_millis(u64::try_from(at.0 - now.0).unwrap_or(0).max(1))
}

/// For tests.
#[cfg(test)]
pub(super) mod examples {
    use super::*;
    use crate::event::{Event, Personal, PersonalKind, What};
    use crate::ids::{LegId, LineId};

    pub const SETTINGS: Settings = Settings {
        pop_expires: Duration::from_secs(20),
        retry: Duration::from_secs(1),
        retry_most: Duration::from_secs(8),
        parallel: 8,
    };

    pub fn arrives(seq: u64) -> Event {
        let caller = Personal { kind: PersonalKind::Number, handle: seq, text: Some("sip:jo@example.org".into()) };
        let what = What::arrives(LegId(seq), Some(LineId::new("support")), caller);
        Event { seq, at: Wall(5_000), call: Some(CallId(seq)), what }
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::examples::{SETTINGS, arrives};
    use super::*;
    use crate::event::{Cause, Event, Phase, What};
    use crate::ids::AgentId;
    use crate::server::clock::Clock;
    use crate::server::store::{Keep, Store, damage};
    use anyhow::bail;
    use std::collections::BTreeMap;
    use std::sync::mpsc::channel;

    /// A disk that is full, and a log that cannot be read for a moment: nothing that was to be done is forgotten.
    #[test]
    fn what_could_not_be_written_or_read_is_still_to_be() {
        let data = Folder::new("full");
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let (call, since) = (CallId(2), Wall(5));
        let (mut duties, at) = (Duties::default(), Standing { low: 4, needed: 3, ..Standing::default() });
        duties.notes.push(Output::Aside { call, first_seq: 3, since, what: "OpenTicket" });
        duties.again.push_back(call);
        memory.conn.pragma_update(None, "query_only", true).unwrap();
        assert!(duties.write(&mut memory, at).is_err());
        assert!(duties.read::<()>(|_| anyhow::bail!("locked")).is_err() && !duties.is_empty());
        memory.conn.pragma_update(None, "query_only", false).unwrap();
        duties.write(&mut memory, at).unwrap();
        assert_eq!(memory.left().unwrap().aside, BTreeMap::from([(call, (3, since))]));
        assert_eq!(duties.read(Ok).unwrap(), Some(call));
        assert!(duties.is_empty());
    }

    /// One call that cannot be read keeps no other one.
    #[test]
    fn a_call_that_cannot_be_read_stands_behind_those_that_can() {
        let mut duties = Duties { again: [CallId(1), CallId(2), CallId(3)].into(), ..Duties::default() };
        let mut turn = || duties.read(|call| if call == CallId(1) { bail!("a broken row") } else { Ok(call) });
        let said: Vec<_> = (0..4).map(|_| turn().map_err(|why| why.to_string())).collect();
        let broken = Err("a broken row".to_owned());
        assert_eq!(said, [broken.clone(), Ok(Some(CallId(2))), Ok(Some(CallId(3))), broken]);
        assert!(!duties.is_empty(), "it stays to be read");
    }

    fn logged(name: &str, events: Vec<Event>) -> (Folder, Store) {
        let data = Folder::new(name);
        let store = Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap().store;
        events.into_iter().for_each(|event| store.append(vec![event]));
        store.flush().unwrap();
        (data, store)
    }

    fn clerk(data: &std::path::Path, now: i64, send: Send) -> Clerk {
        let reader = Reader::open(data).unwrap().unwrap();
        let log = reader.log_id().unwrap();
        let time = EventTime { clock: Clock::start(), began: Wall(now) };
        let memory = Memory::open(data, log, 1).unwrap();
        let outbox = Outbox::new(SETTINGS, log, memory.left().unwrap());
        let (settings, data, numbers) = (SETTINGS, data.to_owned(), Counts::default());
        Clerk::new(Ground { settings, reader, log, data, send, numbers, time }, memory, outbox)
    }

    /// A panic at one event, and one at what is sent first: neither ends the thread, the others are told, and what was
    /// asked before is not taken for an answer.
    #[test]
    fn a_defect_costs_the_event_that_it_is_met_in() {
        let (data, store) = logged("defect", (1..=3).map(arrives).collect());
        let (asked, asks) = channel();
        let mut panicked = false;
        let send = move |round, call, _| {
            if !std::mem::replace(&mut panicked, true) {
                panic!("planted");
            }
            asked.send((round, call)).unwrap();
        };
        let send = std::cell::RefCell::new(send);
        let send: Send = Box::new(move |round, call, request| (send.borrow_mut())(round, call, request));
        let mut clerk = clerk(&data, 5_000, send);
        clerk.planted = |input| matches!(input, Input::Event(event) if event.seq == 2);
        let (news, heard) = channel();
        let thread = std::thread::spawn(move || clerk.run(&heard));
        let next = || asks.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!([next(), next()], [(2, CallId(1)), (2, CallId(3))]);
        // Of an outbox that is no more.
        let answer = |round| News::Answered(round, CallId(1), Err(Failure::Later));
        news.send(answer(1)).unwrap();
        news.send(answer(2)).unwrap();
        assert_eq!(next(), (2, CallId(1)), "tried again");
        news.send(News::Stop).unwrap();
        thread.join().unwrap();
        drop(store);
    }

    /// A call that is read again for what was noted late, and a defect that is met in it: its note is lost, and no other.
    #[test]
    fn a_call_that_panics_whenever_it_is_read_again_keeps_nobody_else() {
        let late = |seq: u64, call: u64| {
            let what = What::Disposed { agent: AgentId(1001), disposition: "solved".into(), notes: None };
            Event { seq, at: Wall(500_000), call: Some(CallId(call)), what }
        };
        let over = |seq: u64, call: u64| {
            let what = What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::InFlow };
            Event { seq, at: Wall(6_000), call: Some(CallId(call)), what }
        };
        let (data, store) = logged("reread", vec![arrives(1), arrives(2), over(3, 1), over(4, 2)]);
        let (news, heard) = channel();
        let (said, says) = channel();
        let answers = news.clone();
        let send: Send = Box::new(move |round, call, request| {
            _ = answers.send(News::Answered(round, call, Ok(Response::Taken)));
            _ = said.send(request.key().map(|key| key[17..].rsplit_once('-').unwrap().0.to_owned()));
        });
        let mut clerk = clerk(&data, 900_000, send);
        clerk.planted =
            |input| matches!(input, Input::Reread { call, events, .. } if *call == CallId(1) && !events.is_empty());
        let thread = std::thread::spawn(move || clerk.run(&heard));
        let mut told = BTreeSet::new();
        let mut until = |all: &[&str]| {
            while !all.iter().all(|key| told.contains(*key)) {
                told.extend(says.recv_timeout(Duration::from_secs(60)).unwrap());
            }
            told.clone()
        };
        until(&["follow-3", "follow-4"]);
        [late(5, 1), late(6, 2)].into_iter().for_each(|event| store.append(vec![event]));
        store.flush().unwrap();
        news.send(News::Committed).unwrap();
        let told = until(&["follow-6"]);
        assert!(!told.contains("follow-5"), "{told:?}");
        news.send(News::Stop).unwrap();
        thread.join().unwrap();
        drop(store);
    }

    /// A page of the log is damaged: that is not of ticketing.db, which stays where it is.
    #[test]
    fn a_log_that_cannot_be_read_is_not_the_memory_of_what_was_told() {
        let (data, store) = logged("log-damaged", (1..=200).map(arrives).collect());
        store.close().unwrap();
        // Not where it is looked for what was told a week ago.
        damage::page_of(&data, 160);
        let mut clerk = clerk(&data, 5_000, Box::new(|_, _, _| ()));
        let (news, heard) = channel();
        news.send(News::Stop).unwrap();
        assert!(told_again(&clerk.reader, clerk.time.now()).is_ok(), "that would be an error of its own");
        assert!(clerk.turn(Ok(News::Committed)).is_err(), "the log is damaged");
        clerk.run(&heard);
        assert!(data.join("ticketing.db").exists() && !data.join("ticketing.db.aside-1").exists());
    }
}
