//! SIP on the wire. UDP is read and sent on the engine's thread, here; connections and names are tokio's.
//!
//! [`streams`] has all connections and sends, [`connection`] is the life of one, [`tls`] its handshake,
//! [`certificates`] makes those for trying out, [`resolve`] looks names up, [`counters`] counts.

pub mod certificates;
pub mod connection;
pub mod counters;
pub mod listening;
pub mod resolve;
pub mod streams;
pub mod tls;

use super::inbox::Inbox;
use super::journal::{Entry, Value};
use super::net::datagrams::{self, Datagrams};
use super::net::{self, Epoll, errors};
use crate::config::SipSettings;
use crate::ids::Rng;
use crate::sip::uri::Uri;
use crate::sip::{self, Flow};
use anyhow::{Context, Result};
use counters::Counters;
use resolve::Names;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use streams::Streams;
use tls::Tls;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// A receive buffer below this, in bytes, holds less than half a second of 500 calls/s.
pub const SMALL_BUFFER: usize = 1 << 20;

/// A bound UDP listener: the engine's thread reads and sends here.
pub struct Udp {
    /// Its number among the listeners.
    listener: u16,
    socket: Arc<UdpSocket>,
    /// What is to be sent together.
    leaving: Vec<(SocketAddr, Vec<u8>)>,
}

/// Where to ask how many datagrams the system had to drop, because the engine did not read them in time.
pub struct Dropped(Arc<UdpSocket>);

impl Udp {
    pub fn bind(listener: u16, address: SocketAddr) -> Result<Udp> {
        let socket = listening::udp(address).with_context(|| format!("cannot listen on udp {address}"))?;
        let room = net::enlarge_buffers(&socket);
        if room < SMALL_BUFFER {
            const SMALL: &str = "the system's buffer for SIP over UDP is small; raise net.core.rmem_max to 4194304, or \
                                 bursts of messages will be dropped and sent again";
            Entry::warn("sip", SMALL).with("address", Value::ours(address)).with("kib", room >> 10).tell();
        }
        errors::keep(&socket);
        // Sending must not wait either: what does not fit is lost, as on the network.
        socket.set_nonblocking(true)?;
        Ok(Udp { listener, socket: Arc::new(socket), leaving: Vec::new() })
    }

    /// `epoll` tells `token` while there is something to read.
    pub fn watch(&self, epoll: &Epoll, token: u64) -> std::io::Result<()> {
        epoll.add(&*self.socket, token)
    }

    /// One batch of what has come; false if that was all.
    pub fn receive(&self, room: &mut Datagrams, mut take: impl FnMut(Flow, &[u8])) -> bool {
        let Ok(came) = room.receive(&self.socket) else { return false };
        came.map(|(remote, bytes)| take(Flow::udp(self.listener, remote), bytes)).count() == datagrams::BATCH
    }

    /// A batch of word of what was sent, while epoll tells of an error: the branches of requests that could not reach anybody
    /// (RFC 3261 §18.4) are added to `lost`. Anybody may send us an ICMP message: only who has seen a request can quote its
    /// branch.
    pub fn undelivered(&self, lost: &mut Vec<String>) {
        let mut room = [0; errors::QUOTED];
        for _ in 0..datagrams::BATCH {
            match errors::next(&self.socket, &mut room) {
                Ok(Some(length)) => lost.extend(sip::branch_quoted(&room[..length])),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    /// It leaves with the next [`Udp::flush`].
    pub fn send(&mut self, to: Flow, bytes: Vec<u8>) {
        self.leaving.push((to.remote, bytes));
    }

    /// Sends what has gathered, with one system call. `cannot` is told each that cannot be sent to there (RFC 3261 §18.4):
    /// there is no way, or it is too long for it. What only does not fit now, or is held back by a packet filter (EPERM), is
    /// a lost datagram: the transaction's timers deal with it.
    pub fn flush(&mut self, mut cannot: impl FnMut(&[u8])) {
        let no_way =
            [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EADDRNOTAVAIL, libc::EACCES, libc::EINVAL, libc::EMSGSIZE];
        datagrams::send(&self.socket, &self.leaving, |bytes, why| {
            if why.raw_os_error().is_some_and(|code| no_way.contains(&code)) {
                cannot(bytes);
            }
        });
        self.leaving.clear();
    }

    pub fn dropped(&self) -> Dropped {
        Dropped(Arc::clone(&self.socket))
    }
}

impl Dropped {
    /// Since start.
    pub fn count(&self) -> u64 {
        datagrams::dropped(&self.0)
    }
}

/// What runs beside the engine's thread.
pub struct Beside {
    pub streams: Streams,
    pub counters: Arc<Counters>,
    /// Answers `sip::Output::Resolve` through the inbox.
    pub resolve: Box<dyn Fn(u64, Uri) + Send>,
}

/// Begins to accept connections and to look names up. `epoch`: the number of this start, so that connections have
/// numbers that none of an earlier start had.
///
/// # Errors
/// The name servers cannot be used.
pub fn start(
    settings: &SipSettings,
    (tcp, tls): (Vec<(u16, TcpListener)>, Option<Arc<Tls>>),
    (epoch, root): (u32, &Rng),
    inbox: &Inbox,
    runtime: &Handle,
) -> Result<Beside> {
    let counters = Arc::<Counters>::default();
    if let Some(tls) = &tls {
        runtime.spawn(Arc::clone(tls).follow(Arc::clone(&counters)));
    }
    let setup = streams::Setup {
        listeners: settings.listeners.clone(),
        settings: settings.connections.clone(),
        limits: settings.protocol.limits.clone(),
        tls,
        first: u64::from(epoch) << 32,
    };
    let streams = Streams::new(setup, inbox.clone(), runtime.clone(), Arc::clone(&counters));
    tcp.into_iter().for_each(|(number, socket)| streams.listen(number, socket));
    let transports = settings.listeners.iter().map(|listener| listener.transport).collect();
    let dns = runtime.block_on(async { resolve::Dns::new(&settings.name_servers) })?;
    let names = Names::new(dns, transports, root.fork("names"));
    let told = (streams.clone(), Arc::clone(&counters));
    let resolve = resolve::resolver(names, told, (runtime.clone(), inbox.clone()));
    Ok(Beside { streams, counters, resolve })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent next takes the error off the socket, and only the word of it stays.
    #[test]
    fn word_of_who_is_not_there_is_read_also_where_datagrams_come_all_the_time() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (peer, mut ours) = (UdpSocket::bind(address).unwrap(), Udp::bind(3, address).unwrap());
        let (gone, local) =
            (UdpSocket::bind(address).unwrap().local_addr().unwrap(), ours.socket.local_addr().unwrap());
        let (mut room, mut lost, mut came) = (Datagrams::default(), Vec::new(), Vec::new());
        let mut epoll = Epoll::new().unwrap();
        ours.watch(&epoll, 7).unwrap();
        let mut told = || epoll.wait_for_errors(Some(std::time::Duration::ZERO)).unwrap().collect::<Vec<_>>();
        for branch in ["z9hG4bKone", "z9hG4bKtwo"] {
            let request = format!("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch={branch}\r\n\r\n");
            ours.send(Flow::udp(3, gone), request.into_bytes());
            ours.flush(|_| panic!("nothing stands in its way"));
            ours.send(Flow::udp(3, peer.local_addr().unwrap()), b"another".to_vec());
            ours.flush(|_| panic!("nothing stands in its way"));
            peer.send_to(b"a datagram", local).unwrap();
            assert_eq!(told(), [(7, true)], "also when its error has been taken off the socket");
            ours.undelivered(&mut lost);
            assert_eq!(told(), [(7, false)], "it has been read, and the datagram has not");
            let more = ours.receive(&mut room, |flow, bytes| came.push((flow.remote, bytes.to_vec())));
            assert!(!more, "that was all");
            assert_eq!(std::mem::take(&mut came), [(peer.local_addr().unwrap(), b"a datagram".to_vec())]);
            assert_eq!(std::mem::take(&mut lost), [branch]);
        }
    }
}
