//! Events from the log to all who look: one thread reads what was committed, folds it, and hands each event to every
//! reader who may see it. Nobody is waited for.

use super::super::defects::{Kept, contain};
use super::super::journal::Entry;
use super::super::store::{Reader, Recent};
use super::Left;
use crate::cti::{Cursor, Feed, Sight, Told, View};
use crate::event::Event;
use crate::ids::CallId;
use crate::proto::Item;
use anyhow::Result;
use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events read at once.
pub const PORTION: usize = 256;
/// The pause before the log is read again after it could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// One who looks.
pub struct Subscriber {
    pub sight: Sight,
    pub items: mpsc::Sender<Item>,
    /// Set when he was too slow.
    pub cut: Arc<AtomicBool>,
}

/// What is read: the last events from memory, and all others from the disk.
pub struct Log {
    pub reader: Reader,
    pub recent: Recent,
}

/// Where the readers stand.
pub struct Hub {
    state: Mutex<State>,
    pub waiting: usize,
    pub committed: watch::Receiver<u64>,
}

pub struct State {
    pub feed: Feed,
    pub subscribers: Vec<Subscriber>,
}

impl Hub {
    /// Starts the thread that reads. `before`: the last event before this start, and what was left then.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn start(
        log: Log,
        (before, left): (u64, &Left),
        committed: watch::Receiver<u64>,
        waiting: usize,
    ) -> Result<Arc<Hub>> {
        let at = log.reader.at(before)?.unwrap_or_default();
        let view = View { desks: left.desks.clone(), switched: left.switched.clone(), ..View::default() };
        let feed = Feed { view, at: Cursor { seq: before, at } };
        let state = State { feed, subscribers: Vec::new() };
        let hub = Arc::new(Hub { state: Mutex::new(state), waiting, committed });
        let of_thread = Arc::downgrade(&hub);
        let runtime = tokio::runtime::Handle::current();
        Kept::start("cti-events", move || follow(&of_thread, &log, &runtime))?;
        Ok(hub)
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_all(&self, log: &Log) -> Result<()> {
        loop {
            let after = self.lock().feed.at.seq;
            let events = match log.recent.behind(after) {
                Some(events) => events,
                None => Arc::new(log.reader.after(after, PORTION)?),
            };
            if events.is_empty() {
                return Ok(());
            }
            for event in events.iter().filter(|event| event.seq > after) {
                self.step(event, || self.take(event, |call| whole(&log.reader, call)))?;
            }
            log.recent.read(events.last().map_or(after, |event| event.seq));
        }
    }

    /// Takes one event. Should that panic, no desktop hears of this one, and all hear of those behind it.
    fn step(&self, event: &Event, take: impl FnOnce() -> Result<()>) -> Result<()> {
        contain("cti-events", take).unwrap_or_else(|| {
            Entry::error("desktops", "no desktop is told of an event: a defect of ours")
                .with("event", event.seq)
                .tell();
            self.lock().feed.at = Cursor { seq: event.seq, at: event.at };
            Ok(())
        })
    }

    /// The disk is read before the lock is taken: who begins to look waits for no disk.
    fn take(&self, event: &Event, read: impl FnOnce(CallId) -> Result<Vec<Event>>) -> Result<()> {
        let lacks = self.lock().feed.lacks(event); // nobody else changes it
        let earlier = lacks.map(read).transpose()?.unwrap_or_default();
        let State { feed, subscribers } = &mut *self.lock();
        let anybody = !subscribers.is_empty();
        let Ok(told) = feed.take(event, |_| Ok::<_, Infallible>(earlier), |_| anybody);
        subscribers.retain_mut(|subscriber| subscriber.take(&told, feed.at));
        Ok(())
    }
}

/// The thread: all that is there, and whatever is committed then, as long as the hub is there.
fn follow(hub: &Weak<Hub>, log: &Log, runtime: &tokio::runtime::Handle) {
    let mut committed = hub.upgrade().map(|hub| hub.committed.clone());
    while let (Some(hub), Some(committed)) = (hub.upgrade(), &mut committed) {
        if let Err(why) = hub.take_all(log) {
            Entry::error("desktops", "desktops hear nothing").with("why", &why).tell();
            let again = runtime.block_on(tokio::time::timeout(AGAIN, std::future::pending::<()>()));
            drop(again);
            continue;
        }
        drop(hub);
        // Marked as seen before it is read: what is committed meanwhile wakes again.
        if runtime.block_on(committed.changed()).is_err() {
            return;
        }
    }
}

/// All events of a call, with their texts.
pub fn whole(reader: &Reader, call: CallId) -> Result<Vec<Event>> {
    let mut events = reader.events(call)?;
    reader.join_texts(&mut events)?;
    Ok(events)
}

impl Subscriber {
    /// False if he is gone or too slow.
    fn take(&mut self, told: &Told, at: Cursor) -> bool {
        let Some(item) = self.sight.item(told, at) else { return !self.items.is_closed() };
        let sent = self.items.try_send(item);
        if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) {
            self.cut.store(true, Relaxed);
        }
        sent.is_ok()
    }
}

#[cfg(test)]
impl Hub {
    /// One that nobody feeds.
    pub fn of(feed: Feed, waiting: usize) -> Hub {
        let state = Mutex::new(State { feed, subscribers: Vec::new() });
        Hub { state, waiting, committed: watch::channel(0).1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::time::Wall;

    #[test]
    fn a_defect_costs_desktops_one_event() {
        let feed = Feed { view: View::default(), at: Cursor { seq: 6, at: Wall(1) } };
        let hub = Hub::of(feed, 1);
        let event = |seq| Event { seq, at: Wall(2), call: None, what: What::DrainStarted };
        hub.step(&event(7), || panic!("planted")).unwrap();
        assert_eq!(hub.lock().feed.at.seq, 7, "it is not tried again for ever");
        hub.step(&event(8), || hub.take(&event(8), |_| Ok(Vec::new()))).unwrap();
        assert_eq!(hub.lock().feed.at.seq, 8);
        assert!(hub.step(&event(9), || anyhow::bail!("the disk")).is_err() && hub.lock().feed.at.seq == 8);
    }

    /// An event of a call whose beginning nobody has seen yet: while the log is read, the lock is anybody's.
    #[test]
    fn nobody_who_begins_to_look_waits_for_the_disk() {
        let feed = Feed { view: View::default(), at: Cursor { seq: 6, at: Wall(1) } };
        let hub = Hub::of(feed, 1);
        let what = What::CallEnded { cause: crate::event::Cause::FlowEnded, phase: crate::event::Phase::Queued };
        let event = Event { seq: 7, at: Wall(2), call: Some(CallId(1)), what };
        let (mut read, mut free) = (0, false);
        hub.take(&event, |_| {
            (read, free) = (read + 1, hub.state.try_lock().is_ok());
            Ok(Vec::new())
        })
        .unwrap();
        assert_eq!((read, free, hub.lock().feed.at.seq), (1, true, 7));
    }

    /// The same for who is close behind and for who is not: what is read from memory is what is on the disk, with its texts.
    #[test]
    fn events_from_memory_are_those_of_the_log() {
        use crate::event::{Personal, PersonalKind};
        use crate::ids::{FlowId, LegId};
        let data = std::env::temp_dir().join(format!("tierline-hub-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&data);
        let opened = super::super::super::store::Store::open(&data, 1).unwrap();
        let (recent, first) = (opened.store.recent(), opened.next_seq);
        let text = |kind, handle, text: &str| Personal { kind, handle, text: Some(text.into()) };
        let arrived = What::arrives(LegId(1), None, text(PersonalKind::Number, 1, "sip:+4930123@example.org"));
        let key = |n| What::DigitKeyed {
            flow: FlowId::new("main"),
            step: "menu".to_owned(),
            digit: text(PersonalKind::Digit, n, "7"),
        };
        let what = [arrived].into_iter().chain((2..600).map(key));
        let event = |(seq, what)| Event { seq, at: Wall(5), call: Some(CallId(1)), what };
        for event in (opened.next_seq..).zip(what).map(event) {
            opened.store.append(vec![event]);
        }
        opened.store.flush().unwrap();
        let told = |recent: Recent| {
            let feed = Feed { view: View::default(), at: Cursor { seq: first - 1, at: Wall(0) } };
            let (hub, (items, mut stream)) = (Hub::of(feed, 1_000), mpsc::channel(1_000));
            let (sight, cut) = (Sight::new(Arc::new(crate::cti::Viewer::Operator)), Arc::default());
            hub.lock().subscribers.push(Subscriber { sight, items, cut });
            hub.take_all(&Log { reader: Reader::of(&data).unwrap(), recent }).unwrap();
            drop(hub);
            std::iter::from_fn(|| stream.blocking_recv()).collect::<Vec<_>>()
        };
        let far = told(Recent::default());
        assert!(recent.behind(first - 1).is_some(), "it waits in memory");
        let close = told(recent.clone());
        assert_eq!((close.len(), close == far), (599, true));
        assert!(recent.behind(first + 597).is_none(), "what has been read is not in memory any more");
        drop(opened.store);
        std::fs::remove_dir_all(&data).unwrap();
    }
}
