//! Events from the log to all who look: one thread reads what was committed, folds it, and hands each event to every
//! reader who may see it. Nobody is waited for.

use super::super::journal::Entry;
use super::super::store::Reader;
use super::Left;
use crate::cti::{self, Cursor, View, Viewer};
use crate::event::Event;
use crate::proto::{self, Item, item};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events read at once.
pub const PORTION: usize = 256;
/// After so many events that a reader may not see he gets their cursor alone, so that he does not begin far back.
pub const UNSEEN: u32 = 4_096;
/// The pause before the log is read again after it could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// One who looks.
pub struct Subscriber {
    pub viewer: Arc<Viewer>,
    pub items: mpsc::Sender<Item>,
    /// Set when he was too slow.
    pub cut: Arc<AtomicBool>,
    pub unseen: u32,
}

/// Where the readers stand.
pub struct Hub {
    state: Mutex<State>,
    pub waiting: usize,
    pub committed: watch::Receiver<u64>,
}

pub struct State {
    pub view: View,
    pub at: Cursor,
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
        let state = State { view, at: Cursor { seq: before, at }, subscribers: Vec::new() };
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
            let after = self.lock().at.seq;
            let events = reader.after(after, PORTION)?;
            if events.is_empty() {
                return Ok(());
            }
            let mut state = self.lock();
            for event in &events {
                acquaint(&mut state.view, reader, event)?;
                state.take(event);
            }
        }
    }
}

impl State {
    fn take(&mut self, event: &Event) {
        self.at = Cursor { seq: event.seq, at: event.at };
        let told = tell(&mut self.view, event);
        let at = self.at;
        self.subscribers.retain_mut(|subscriber| subscriber.take(told.as_ref(), at));
    }
}

/// Tells the fold of a call from its beginning, if `event` is the first that it meets.
pub fn acquaint(view: &mut View, reader: &Reader, event: &Event) -> Result<()> {
    if let (false, Some(call)) = (view.knows(event), event.call) {
        let mut events = reader.events(call)?;
        reader.join_texts(&mut events)?;
        events.iter().filter(|earlier| earlier.seq < event.seq).for_each(|earlier| _ = view.apply(earlier));
    }
    Ok(())
}

/// The event as it is told, with those whom it concerns; none if it is told to nobody.
pub fn tell(view: &mut View, event: &Event) -> Option<(cti::Audience, proto::Event)> {
    // What ends a call is told of the call as it was.
    let ends = matches!(event.what, crate::event::What::CallEnded { .. });
    let before = if ends { cti::event(event, view) } else { None };
    let audience = view.apply(event);
    let told = before.or_else(|| cti::event(event, view))?;
    Some((audience, told))
}

impl Subscriber {
    /// False if he is gone or too slow.
    fn take(&mut self, told: Option<&(cti::Audience, proto::Event)>, at: Cursor) -> bool {
        let Some(item) = item_for(&self.viewer, told, at, &mut self.unseen) else { return !self.items.is_closed() };
        let sent = self.items.try_send(item);
        if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) {
            self.cut.store(true, Relaxed);
        }
        sent.is_ok()
    }
}

/// What `viewer` gets for an event: the event, nothing, or the cursor alone after much that is not for him.
pub fn item_for(
    viewer: &Viewer,
    told: Option<&(cti::Audience, proto::Event)>,
    at: Cursor,
    unseen: &mut u32,
) -> Option<Item> {
    let seen = told.filter(|(audience, _)| viewer.sees(audience));
    *unseen = if seen.is_some() { 0 } else { *unseen + 1 };
    let what = seen.map(|(_, event)| item::What::Event(event.clone()));
    if what.is_none() && *unseen < UNSEEN {
        return None;
    }
    *unseen = 0;
    Some(Item { cursor: at.to_bytes(), what })
}
