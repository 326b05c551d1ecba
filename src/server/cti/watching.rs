//! One reader's stream: a snapshot and then live, or first from the log what he has not seen.

use super::super::journal::Entry;
use super::super::store::Reader;
use super::hub::{self, Hub, PORTION, Subscriber};
use super::presence::{Presence, Present};
use super::tokens::Owner;
use crate::center::Center;
use crate::command::Actor;
use crate::config::CtiSettings;
use crate::cti::{self, Cursor, Feed, Sight, View, Viewer};
use crate::proto::Item;
use anyhow::Result;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

/// A reader who catches up and takes nothing for so long is cut.
const STALLED: Duration = Duration::from_secs(10);
/// Readers who catch up at once; others wait for their turn.
const CATCHING_UP: usize = 8;

pub struct Watching {
    pub center: Arc<Center>,
    pub data: PathBuf,
    pub hub: Arc<Hub>,
    pub presence: Arc<Presence>,
    pub limits: Arc<Limits>,
}

/// How many may look.
pub struct Limits {
    all: usize,
    each: usize,
    /// By name.
    open: Mutex<BTreeMap<Arc<str>, usize>>,
    catching_up: Arc<Semaphore>,
}

impl Limits {
    pub fn new(settings: &CtiSettings) -> Arc<Limits> {
        let (all, each) = (settings.streams as usize, settings.streams_each as usize);
        let catching_up = Arc::new(Semaphore::new(CATCHING_UP));
        Arc::new(Limits { all, each, open: Mutex::default(), catching_up })
    }

    fn enter(self: &Arc<Limits>, name: &Arc<str>) -> Result<Entered, Status> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= self.all || open.get(name).is_some_and(|n| *n >= self.each) {
            return Err(Status::resource_exhausted("too many streams are open; close one"));
        }
        *open.entry(Arc::clone(name)).or_default() += 1;
        Ok(Entered { limits: Arc::clone(self), name: Arc::clone(name) })
    }
}

/// One stream, as long as it is open.
struct Entered {
    limits: Arc<Limits>,
    name: Arc<str>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get_mut(&self.name).map(|n| {
            *n -= 1;
            *n
        });
        if left == Some(0) {
            open.remove(&self.name);
        }
    }
}

/// What a reader reads.
pub struct Stream {
    items: mpsc::Receiver<Item>,
    cut: Arc<AtomicBool>,
    ended: bool,
    _entered: Entered,
    _present: Option<Present>,
}

impl tokio_stream::Stream for Stream {
    type Item = Result<Item, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.items.poll_recv(context));
        Poll::Ready(Some(next.ok_or_else(|| {
            self.ended = true;
            match self.cut.load(Relaxed) {
                true => Status::resource_exhausted("too slow: go on at the cursor of the last item"),
                false => Status::unavailable("the stream ended: go on at the cursor of the last item"),
            }
        })))
    }
}

impl Watching {
    /// Reads the log, and a snapshot may be large: not on a thread that serves others.
    pub async fn open(&self, Owner { name, actor }: Owner, cursor: Vec<u8>) -> Result<Stream, Status> {
        let viewer = Viewer::of(&actor, &self.center);
        let viewer = Arc::new(viewer.ok_or_else(|| Status::permission_denied("the configuration no longer has you"))?);
        let entered = self.limits.enter(&name)?;
        let (hub, center, data) = (Arc::clone(&self.hub), Arc::clone(&self.center), self.data.clone());
        let cut = Arc::<AtomicBool>::default();
        let opening = Opening { hub, center, data, sight: Sight::new(viewer), cut: Arc::clone(&cut) };
        let turns = Arc::clone(&self.limits.catching_up);
        let turn = Arc::clone(&turns).acquire_owned().await;
        let turn = turn.map_err(|_closed| Status::unavailable("Tierline stops"))?;
        let opened = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            opening.open(&cursor)
        });
        let (stream, catching_up) = opened.await.map_err(|_| Status::internal("a defect of ours"))??;
        catching_up.map(|catching_up| tokio::spawn(catching_up.run(turns)));
        let present = match actor {
            Actor::Agent(agent) => Some(self.presence.enter(agent)),
            _ => None,
        };
        Ok(Stream { items: stream, cut, ended: false, _entered: entered, _present: present })
    }
}

/// A stream on its way to be open.
struct Opening {
    hub: Arc<Hub>,
    center: Arc<Center>,
    data: PathBuf,
    sight: Sight,
    cut: Arc<AtomicBool>,
}

type Items = mpsc::Receiver<Item>;

impl Opening {
    fn open(self, cursor: &[u8]) -> Result<(Items, Option<CatchingUp>), Status> {
        match cursor {
            [] => Ok((self.begin(), None)),
            cursor => self.resume(cursor).map(|(items, catching_up)| (items, Some(catching_up))),
        }
    }

    /// The snapshot, and from there on live: both of one moment. The snapshot has its own room, however many parts it
    /// has: who is to wait for it has done nothing wrong.
    fn begin(self) -> Items {
        let mut state = self.hub.lock();
        let snapshot = cti::snapshot(&state.feed.view, &self.sight.viewer, &self.center);
        let parts = cti::in_parts(snapshot, state.feed.at.to_bytes());
        let (items, stream) = mpsc::channel(parts.len() + self.hub.waiting);
        parts.into_iter().for_each(|part| _ = items.try_send(part)); // there is room
        state.subscribers.push(Subscriber { sight: self.sight, items, cut: self.cut });
        stream
    }

    fn resume(self, cursor: &[u8]) -> Result<(Items, CatchingUp), Status> {
        let foreign = || Status::out_of_range("the cursor is not one of this log; begin without one");
        let cursor = Cursor::from_bytes(cursor).ok_or_else(foreign)?;
        let failed = |why: anyhow::Error| Status::unavailable(format!("the log cannot be read: {why:#}"));
        let reader = Reader::of(&self.data).map_err(failed)?;
        let known = cursor.seq == 0 || reader.at(cursor.seq).map_err(failed)? == Some(cursor.at);
        if !known {
            return Err(foreign());
        }
        drop(reader);
        let (items, stream) = mpsc::channel(self.hub.waiting);
        let Opening { hub, data, sight, cut, .. } = self;
        let subscriber = Subscriber { sight, items, cut };
        let feed = Feed { view: View::default(), at: cursor };
        Ok((stream, CatchingUp { data, hub, subscriber, feed, left: VecDeque::new() }))
    }
}

/// A reader on his way from his cursor to now.
struct CatchingUp {
    data: PathBuf,
    hub: Arc<Hub>,
    subscriber: Subscriber,
    feed: Feed,
    /// What was read and not yet taken by him.
    left: VecDeque<Item>,
}

/// How far a turn came.
enum Turn {
    /// There is more to read.
    Reads(CatchingUp),
    /// He is live, or gone.
    Over,
}

impl CatchingUp {
    /// A turn is for reading the log: who does not take what was read waits without one, so that nobody waits for him.
    async fn run(mut self, turns: Arc<Semaphore>) {
        loop {
            if !self.hand_over().await {
                return;
            }
            let Ok(_turn) = turns.acquire().await else { return };
            self = match tokio::task::spawn_blocking(move || self.read()).await {
                Ok(Ok(Turn::Reads(further))) => further,
                Ok(Ok(Turn::Over)) => return,
                Ok(Err(why)) => {
                    return Entry::error("desktops", "a desktop that resumes hears nothing").with("why", &why).tell();
                }
                Err(_) => return,
            };
        }
    }

    /// False if he is gone or too slow.
    async fn hand_over(&mut self) -> bool {
        while let Some(item) = self.left.pop_front() {
            match tokio::time::timeout(STALLED, self.subscriber.items.send(item)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return false,
                Err(_) => {
                    self.subscriber.cut.store(true, Relaxed);
                    return false;
                }
            }
        }
        !self.subscriber.items.is_closed()
    }

    /// One portion of the log, or the step into the live stream.
    fn read(mut self) -> Result<Turn> {
        let until = {
            let mut state = self.hub.lock();
            if state.feed.at.seq <= self.feed.at.seq {
                state.subscribers.push(self.subscriber);
                return Ok(Turn::Over);
            }
            state.feed.at.seq
        };
        let reader = Reader::of(&self.data)?;
        for event in reader.after(self.feed.at.seq, PORTION)?.iter().filter(|event| event.seq <= until) {
            let sight = &mut self.subscriber.sight;
            let viewer = Arc::clone(&sight.viewer);
            let told = self.feed.take(event, |call| hub::whole(&reader, call), |audience| viewer.sees(audience))?;
            self.left.extend(sight.item(&told, self.feed.at));
        }
        Ok(Turn::Reads(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two operators are the same actor; what one opens is not the other's.
    #[test]
    fn streams_are_counted_by_name() {
        let catching_up = Arc::new(Semaphore::new(CATCHING_UP));
        let limits = Arc::new(Limits { all: 3, each: 2, open: Mutex::default(), catching_up });
        let enter = |name: &str| limits.enter(&name.into());
        let (first, second) = (enter("day").unwrap(), enter("day").unwrap());
        assert!(enter("day").is_err(), "two each");
        let other = enter("night").unwrap();
        drop(first);
        assert!(enter("day").is_ok());
        let third = enter("day").unwrap();
        assert!(enter("night").is_err(), "three in all");
        drop((second, third, other));
        assert!(limits.open.lock().unwrap().is_empty());
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn watching(hub: Hub) -> Watching {
        let (inbox, _messages) = super::super::super::inbox::Inbox::new().unwrap();
        let center = Arc::new(crate::config::load(None).unwrap().center);
        let limits =
            Limits { all: 9, each: 9, open: Mutex::default(), catching_up: Arc::new(Semaphore::new(CATCHING_UP)) };
        let presence = Presence::start(Duration::from_secs(10), inbox, []);
        Watching { center, data: PathBuf::new(), hub: Arc::new(hub), presence, limits: Arc::new(limits) }
    }

    fn operator() -> Owner {
        Owner { name: "night".into(), actor: Actor::Operator }
    }

    /// Seventeen parts, where sixteen events may wait: nobody reads before all of it is there.
    #[test]
    fn a_snapshot_comes_whole_however_little_may_wait() {
        use crate::event::{Event, Personal, PersonalKind, What};
        use crate::ids::{CallId, LegId};
        let mut feed = Feed { view: View::default(), at: Cursor { seq: 6, at: crate::time::Wall(1) } };
        for n in 1..=17 {
            let caller = Personal { kind: PersonalKind::Number, handle: n, text: Some("9".repeat(1 << 20).into()) };
            let what = What::arrives(LegId(n), None, caller);
            let event = Event { seq: 6 + n, at: crate::time::Wall(2), call: Some(CallId(n)), what };
            _ = feed.take(&event, |_| Ok::<[Event; 0], Status>([]), |_| true).unwrap();
        }
        runtime().block_on(async {
            let watching = watching(Hub::of(feed, 16));
            let mut stream = watching.open(operator(), Vec::new()).await.unwrap();
            let mut calls = 0;
            loop {
                let item = stream.items.recv().await.expect("the snapshot breaks off");
                let Some(crate::proto::item::What::Snapshot(part)) = item.what else { panic!("no part") };
                calls += part.calls.len();
                if !part.more {
                    break;
                }
            }
            assert_eq!((calls, watching.hub.lock().subscribers.len()), (17, 1));
        });
    }

    /// There is one thread, and the hub is busy: with a desktop that waits on that thread nothing would go on.
    #[test]
    fn a_desktop_that_connects_holds_up_nobody_else() {
        runtime().block_on(async {
            let feed = Feed { view: View::default(), at: Cursor { seq: 6, at: crate::time::Wall(1) } };
            let watching = watching(Hub::of(feed, 16));
            let (hub, (go_on, busy)) = (Arc::clone(&watching.hub), std::sync::mpsc::channel::<()>());
            let (began, begun) = tokio::sync::oneshot::channel();
            let busy = std::thread::spawn(move || {
                let _state = hub.lock();
                began.send(()).unwrap();
                _ = busy.recv();
            });
            begun.await.unwrap();
            let others = async { go_on.send(()).unwrap() };
            let (opened, ()) = tokio::join!(biased; watching.open(operator(), Vec::new()), others);
            assert!(opened.is_ok());
            busy.join().unwrap();
        });
    }

    /// Eight turns, eight desktops that resume far back and read nothing: the ninth has what it has missed while none of
    /// them has been given up.
    #[test]
    fn who_resumes_and_does_not_read_keeps_nobody_waiting() {
        use crate::event::{AgentMode, What};
        use crate::ids::AgentId;
        use crate::time::Wall;
        let data = std::env::temp_dir().join(format!("tierline-watching-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&data);
        let opened = super::super::super::store::Store::open(&data, 1).unwrap();
        let changes = |seq| {
            let (agent, from, to, reason) = (AgentId(1), AgentMode::Ready, AgentMode::NotReady, String::new());
            let what = What::AgentStateChanged { agent, from, to, reason };
            crate::event::Event { seq, at: Wall(0), call: None, what }
        };
        let last = opened.next_seq + 999;
        opened.store.append((opened.next_seq..=last).map(changes).collect());
        opened.store.flush().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_committed, watched) = tokio::sync::watch::channel(last);
            let log = hub::Log { reader: Reader::of(&data).unwrap(), recent: opened.store.recent() };
            let hub = Hub::start(log, (last, &super::super::Left::default()), watched, 16).unwrap();
            let turns = Arc::new(Semaphore::new(CATCHING_UP));
            let resumes = || {
                let (items, stream) = mpsc::channel(hub.waiting);
                let cut = Arc::<AtomicBool>::default();
                let viewer = Arc::new(Viewer::Operator);
                let subscriber = Subscriber { sight: Sight::new(viewer), items, cut: Arc::clone(&cut) };
                let (data, hub) = (data.clone(), Arc::clone(&hub));
                let feed = Feed { view: View::default(), at: Cursor { seq: 0, at: Wall(0) } };
                let catching_up = CatchingUp { data, hub, subscriber, feed, left: VecDeque::new() };
                tokio::spawn(catching_up.run(Arc::clone(&turns)));
                (stream, cut)
            };
            let slow: Vec<_> = (0..CATCHING_UP).map(|_| resumes()).collect();
            let (mut ninth, _) = resumes();
            for n in 0..1_000 {
                assert!(ninth.recv().await.is_some(), "item {n}");
            }
            assert!(slow.iter().all(|(_, cut)| !cut.load(Relaxed)), "the ninth waited until another was given up");
        });
        drop(opened.store);
        std::fs::remove_dir_all(&data).unwrap();
    }
}
