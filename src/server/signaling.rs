//! SIP over UDP: one thread reads, the engine's thread sends. And the resolution of host names.

use super::driver::{Message, SendSip};
use crate::engine::Input;
use crate::sip::uri::Uri;
use crate::sip::{self, Flow, Transport};
use anyhow::{Context, Result};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

/// Largest datagram there is.
const DATAGRAM: usize = 65_535;
/// How often the reading thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
const SIP_PORT: u16 = 5060;
/// Datagrams that may wait for the engine's thread; one more is dropped, as a full socket buffer would have done.
/// Phones send again what was lost (RFC 3261 §17.1.1.2). About 10 MB at the usual sizes.
const WAITING_DATAGRAMS: usize = 8_192;

/// Counts the datagrams that wait for the engine's thread, and those dropped because too many did.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Backlog {
    /// Whether one more may wait; it is counted either way.
    fn enter(&self) -> bool {
        // Only the reading thread adds, so nobody can have taken the last place in between.
        let room = self.waiting.load(Ordering::Relaxed) < WAITING_DATAGRAMS;
        if room {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        room
    }

    /// One that waited is taken.
    pub fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Dropped since start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A bound UDP listener.
pub struct Udp {
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    backlog: Arc<Backlog>,
}

impl Udp {
    pub fn bind(address: SocketAddr) -> Result<Udp> {
        let socket = UdpSocket::bind(address).with_context(|| format!("cannot listen on udp {address}"))?;
        super::net::enlarge_buffers(&socket);
        socket.set_read_timeout(Some(LOOK))?;
        Ok(Udp { socket: Arc::new(socket), stop: Arc::default(), reader: None, backlog: Arc::default() })
    }

    /// Starts the reading thread; `listener` is this listener's number.
    pub fn read_into(&mut self, listener: u16, inbox: Sender<Message>) -> Result<()> {
        let (socket, stop, backlog) = (Arc::clone(&self.socket), Arc::clone(&self.stop), self.backlog());
        let reader = std::thread::Builder::new().name("sip-udp".to_owned()).spawn(move || {
            let mut buffer = vec![0; DATAGRAM];
            while !stop.load(Ordering::Relaxed) {
                // An error here is the time-out, or an ICMP message about a datagram sent earlier.
                let Ok((length, remote)) = socket.recv_from(&mut buffer) else { continue };
                if !backlog.enter() {
                    continue;
                }
                let datagram =
                    Message::Datagram { flow: Flow::udp(listener, remote), bytes: buffer[..length].to_vec() };
                if inbox.send(datagram).is_err() {
                    return;
                }
            }
        })?;
        self.reader = Some(reader);
        Ok(())
    }

    /// The count of what waits; whoever takes a [`Message::Datagram`] says so there.
    pub fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// What sends datagrams from this listener.
    pub fn sender(&self) -> SendSip {
        let socket = Arc::clone(&self.socket);
        // A datagram that cannot be sent is a lost datagram: the transaction's timers deal with it.
        Box::new(move |flow: Flow, bytes: &[u8]| _ = socket.send_to(bytes, flow.remote))
    }

    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.take().map(JoinHandle::join);
    }
}

/// Resolves names on threads of its own: a slow name server must not hold up anything else.
pub fn resolver(runtime: tokio::runtime::Handle, inbox: Sender<Message>) -> Box<dyn Fn(u64, Uri) + Send> {
    Box::new(move |query, uri| {
        let inbox = inbox.clone();
        runtime.spawn_blocking(move || {
            let port = uri.port.unwrap_or(SIP_PORT);
            let found = (uri.host.to_string(), port).to_socket_addrs();
            let flows = found.map(|found| found.map(|address| (Transport::Udp, address)).collect()).unwrap_or_default();
            _ = inbox.send(Message::Input(Input::Sip(sip::Input::Resolved { query, flows })));
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_over_the_limit_are_dropped_and_counted() {
        let backlog = Backlog::default();
        let entered = (0..WAITING_DATAGRAMS + 3).filter(|_| backlog.enter()).count();
        assert_eq!((entered, backlog.dropped()), (WAITING_DATAGRAMS, 3));
        backlog.leave();
        assert_eq!((backlog.enter(), backlog.enter(), backlog.dropped()), (true, false, 4));
    }
}
