//! Connections of HTTP that are bounded: so many at once, and each only as long as whole requests come over it. Whoever
//! can reach the port can neither take the files that calls need, nor a place for longer than the time-out.

use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

pub struct Limited {
    pub listener: TcpListener,
    pub timeout: Duration,
    pub places: Arc<Semaphore>,
}

impl Listener for Limited {
    type Io = Timed<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed<TcpStream>, SocketAddr) {
        // Nobody closes it, so there will be one. Meanwhile who comes waits in the system's queue.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Timed::new(stream, self.timeout, place), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing was answered for so long: bytes of a request that never becomes whole, one at a
/// time, do not keep it.
pub struct Timed<S> {
    stream: S,
    timeout: Duration,
    ends: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Timed<S> {
    fn new(stream: S, timeout: Duration, place: Option<OwnedSemaphorePermit>) -> Timed<S> {
        Timed { stream, timeout, ends: Box::pin(sleep(timeout)), _place: place }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.ends.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn goes_on(&mut self) {
        self.ends.as_mut().reset(Instant::now() + self.timeout);
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
