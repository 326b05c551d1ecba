//! Connections of gRPC, so many at once. Where all places are taken, who has proven nothing over his connection gives way,
//! whoever came first of them; where all have, one more is closed. So whoever can reach the port, and has no token, keeps no
//! desktop out and takes no files that calls need.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};
use tonic::Request;
use tonic::transport::server::{Connected, TlsConnectInfo};

/// Before the next is taken after one could not be: the process may be out of files.
const AGAIN: Duration = Duration::from_secs(1);

/// Connections that come in.
pub struct Incoming {
    listener: TcpListener,
    places: usize,
    taken: Arc<Mutex<Taken>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub fn new(listener: TcpListener, places: usize) -> Incoming {
        Incoming { listener, places, taken: Arc::default(), pause: None }
    }
}

impl tokio_stream::Stream for Incoming {
    type Item = io::Result<Held>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Held>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let Ok((stream, _)) = ready!(self.listener.poll_accept(cx)) else {
                self.pause = Some(Box::pin(sleep(AGAIN)));
                continue;
            };
            _ = stream.set_nodelay(true); // it may be gone
            if let Some(held) = Taken::enter(&self.taken, self.places, stream) {
                return Poll::Ready(Some(Ok(held)));
            }
        }
    }
}

/// Who has a place, in the order in which they came.
#[derive(Default)]
struct Taken {
    turns: u64,
    by: BTreeMap<u64, Who>,
}

struct Who {
    proven: bool,
    /// Ends the connection.
    way: oneshot::Sender<()>,
}

impl Taken {
    /// None, and the stream is closed, where nobody gives way.
    fn enter(taken: &Arc<Mutex<Taken>>, places: usize, stream: TcpStream) -> Option<Held> {
        let mut all = locked(taken);
        if all.by.len() >= places {
            let turn = all.by.iter().find(|(_, who)| !who.proven).map(|(turn, _)| *turn)?;
            _ = all.by.remove(&turn).map(|who| who.way.send(())); // it may just have ended
        }
        let (way, needed) = oneshot::channel();
        all.turns += 1;
        let turn = all.turns;
        all.by.insert(turn, Who { proven: false, way });
        Some(Held { stream, needed, over: false, place: Arc::new(Place { turn, taken: Arc::clone(taken) }) })
    }
}

fn locked(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's place; free when the last who has it is gone.
struct Place {
    turn: u64,
    taken: Arc<Mutex<Taken>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.taken).by.remove(&self.turn);
    }
}

/// A connection that ends when its place is needed.
pub struct Held {
    stream: TcpStream,
    needed: oneshot::Receiver<()>,
    over: bool,
    place: Arc<Place>,
}

/// What requests know of their connection.
#[derive(Clone)]
pub struct Over(std::sync::Weak<Place>);

/// Whoever asks over this connection has proven who he is: it is his from now on.
pub fn proven<T>(request: &Request<T>) {
    let extensions = request.extensions();
    let tls = extensions.get::<TlsConnectInfo<Over>>().map(TlsConnectInfo::get_ref);
    let place = extensions.get::<Over>().or(tls).and_then(|over| over.0.upgrade());
    if let Some(place) = place {
        locked(&place.taken).by.get_mut(&place.turn).into_iter().for_each(|who| who.proven = true);
    }
}

impl Connected for Held {
    type ConnectInfo = Over;

    fn connect_info(&self) -> Over {
        Over(Arc::downgrade(&self.place))
    }
}

impl Held {
    fn is_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // Who is asked after he has said so panics.
        self.over = self.over || Pin::new(&mut self.needed).poll(cx).is_ready();
        if self.over { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Held {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let held = self.get_mut();
        held.is_over(cx)?;
        Pin::new(&mut held.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let held = self.get_mut();
        held.is_over(cx)?;
        Pin::new(&mut held.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
