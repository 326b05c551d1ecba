//! Events from the log to all who look: one thread reads what was committed, folds it, and hands each event to every
//! reader who may see it. Nobody is waited for.

use super::super::guarded::guarded;
use super::super::journal::Entry;
use super::super::store::Reader;
use super::Left;
use crate::cti::{Cursor, Feed, Sight, Told, View};
use crate::event::Event;
use crate::ids::CallId;
use crate::proto::Item;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
        data: &Path,
        (before, left): (u64, &Left),
        committed: watch::Receiver<u64>,
        waiting: usize,
    ) -> Result<Arc<Hub>> {
        let reader = Reader::open(data)?.context("there is no log")?;
        let at = reader.at(before)?.unwrap_or_default();
        let view = View { desks: left.desks.clone(), switched: left.switched.clone(), ..View::default() };
        let feed = Feed { view, at: Cursor { seq: before, at } };
        let state = State { feed, subscribers: Vec::new() };
        let hub = Arc::new(Hub { state: Mutex::new(state), waiting, committed });
        let of_thread = Arc::downgrade(&hub);
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("cti-events".into()).spawn(move || {
            let mut committed = of_thread.upgrade().map(|hub| hub.committed.clone());
            while let (Some(hub), Some(committed)) = (of_thread.upgrade(), &mut committed) {
                if let Err(why) = hub.take_all(&reader) {
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
        })?;
        Ok(hub)
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_all(&self, reader: &Reader) -> Result<()> {
        loop {
            let after = self.lock().feed.at.seq;
            let events = reader.after(after, PORTION)?;
            if events.is_empty() {
                return Ok(());
            }
            for event in &events {
                self.step(event, |state| state.take(event, reader))?;
            }
        }
    }

    /// Takes one event. Should that panic, no desktop hears of this one, and all hear of those behind it.
    fn step(&self, event: &Event, take: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.lock();
        guarded(|| take(&mut state)).unwrap_or_else(|| {
            Entry::error("desktops", "no desktop is told of an event: a defect of ours")
                .with("event", event.seq)
                .tell();
            state.feed.at = Cursor { seq: event.seq, at: event.at };
            Ok(())
        })
    }
}

impl State {
    fn take(&mut self, event: &Event, reader: &Reader) -> Result<()> {
        let told = self.feed.take(event, |call| whole(reader, call))?;
        let at = self.feed.at;
        self.subscribers.retain_mut(|subscriber| subscriber.take(&told, at));
        Ok(())
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
mod tests {
    use super::*;
    use crate::event::What;
    use crate::time::Wall;

    #[test]
    fn a_defect_costs_desktops_one_event() {
        let feed = Feed { view: View::default(), at: Cursor { seq: 6, at: Wall(1) } };
        let state = Mutex::new(State { feed, subscribers: Vec::new() });
        let hub = Hub { state, waiting: 1, committed: watch::channel(0).1 };
        let event = |seq| Event { seq, at: Wall(2), call: None, what: What::DrainStarted };
        hub.step(&event(7), |_| panic!("planted")).unwrap();
        assert_eq!(hub.lock().feed.at.seq, 7, "it is not tried again for ever");
        let next = |state: &mut State| {
            _ = state.feed.take(&event(8), |_| Ok::<_, anyhow::Error>(Vec::new()))?;
            Ok(())
        };
        hub.step(&event(8), next).unwrap();
        assert_eq!(hub.lock().feed.at.seq, 8);
        assert!(hub.step(&event(9), |_| anyhow::bail!("the disk")).is_err() && hub.lock().feed.at.seq == 8);
    }
}
