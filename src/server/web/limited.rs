//! Connections of HTTP that are bounded: so many at once, and none over which nothing is answered for long. Whoever can reach
//! the port cannot take the files that calls need. Who asks again and again keeps his place until somebody else comes: where
//! all are taken, the one that was answered longest ago gives way, so that a probe has its answer however many hold theirs.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

use axum::serve::Listener;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, Sleep, sleep};

pub struct Limited {
    listener: TcpListener,
    timeout: Duration,
    places: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

impl Limited {
    pub fn new(listener: TcpListener, timeout: Duration, places: usize) -> Limited {
        Limited { listener, timeout, places: Arc::new(Semaphore::new(places)), taken: Arc::default() }
    }
}

impl Listener for Limited {
    type Io = Timed<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed<TcpStream>, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.listener).await;
        if self.places.available_permits() == 0 {
            locked(&self.taken).gives_way();
        }
        // Nobody closes it, so there will be one.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        (Timed::new(stream, self.timeout, Place::new(&self.taken, permit)), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Who has a place, who was answered longest ago first.
#[derive(Default)]
struct Taken {
    turns: u64,
    by: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Taken {
    fn last(&mut self, way: oneshot::Sender<()>) -> u64 {
        self.turns += 1;
        self.by.insert(self.turns, way);
        self.turns
    }

    fn gives_way(&mut self) {
        _ = self.by.pop_first().map(|(_, way)| way.send(())); // it may just have ended
    }
}

fn locked(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's own; it is free when this is dropped.
struct Place {
    turn: u64,
    taken: Arc<Mutex<Taken>>,
    /// Somebody else needs it.
    needed: oneshot::Receiver<()>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    fn new(taken: &Arc<Mutex<Taken>>, permit: Option<OwnedSemaphorePermit>) -> Place {
        let (way, needed) = oneshot::channel();
        Place { turn: locked(taken).last(way), taken: Arc::clone(taken), needed, _permit: permit }
    }

    fn answers(&mut self) {
        let mut taken = locked(&self.taken);
        if let Some(way) = taken.by.remove(&self.turn) {
            self.turn = taken.last(way);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.taken).by.remove(&self.turn);
    }
}

/// A connection that ends when nothing was answered for so long: bytes of a request that never becomes whole, one at a
/// time, do not keep it. Or when its place is needed.
pub struct Timed<S> {
    stream: S,
    timeout: Duration,
    ends: Pin<Box<Sleep>>,
    place: Place,
    over: bool,
}

impl<S> Timed<S> {
    fn new(stream: S, timeout: Duration, place: Place) -> Timed<S> {
        Timed { stream, timeout, ends: Box::pin(sleep(timeout)), place, over: false }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // Who is asked after he has said so panics.
        self.over =
            self.over || self.ends.as_mut().poll(cx).is_ready() || Pin::new(&mut self.place.needed).poll(cx).is_ready();
        if self.over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn goes_on(&mut self) {
        self.ends.as_mut().reset(Instant::now() + self.timeout);
        self.place.answers();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        timed.is_over(cx)?;
        Pin::new(&mut timed.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let timed = self.get_mut();
        timed.is_over(cx)?; // a reader who takes nothing
        let written = Pin::new(&mut timed.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            timed.goes_on();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
