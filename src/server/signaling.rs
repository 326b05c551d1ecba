//! SIP over UDP, read and sent on the engine's thread. And the resolution of host names.

use super::inbox::{Inbox, Message};
use super::net::datagrams::{self, Datagrams};
use super::net::{self, Epoll};
use crate::engine::Input;
use crate::sip::uri::Uri;
use crate::sip::{self, Flow, Transport};
use anyhow::{Context, Result};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

const SIP_PORT: u16 = 5060;

/// A bound UDP listener: the engine's thread reads and sends here.
pub struct Udp {
    /// Its number among the listeners.
    listener: u16,
    socket: Arc<UdpSocket>,
}

/// Where to ask how many datagrams the system had to drop, because the engine did not read them in time.
pub struct Dropped(Arc<UdpSocket>);

impl Udp {
    pub fn bind(listener: u16, address: SocketAddr) -> Result<Udp> {
        let socket = UdpSocket::bind(address).with_context(|| format!("cannot listen on udp {address}"))?;
        net::enlarge_buffers(&socket);
        Ok(Udp { listener, socket: Arc::new(socket) })
    }

    /// `epoll` tells `token` while there is something to read.
    pub fn watch(&self, epoll: &Epoll, token: u64) -> std::io::Result<()> {
        epoll.add(&*self.socket, token)
    }

    /// One batch of what has come. An error here is about a datagram sent earlier, whose transaction has its timers.
    pub fn receive(&self, room: &mut Datagrams, mut take: impl FnMut(Flow, &[u8])) {
        let Ok(came) = room.receive(&self.socket) else { return };
        came.for_each(|(remote, bytes)| take(Flow::udp(self.listener, remote), bytes));
    }

    /// A datagram that cannot be sent is a lost datagram: the transaction's timers deal with it.
    pub fn send(&self, to: Flow, bytes: &[u8]) {
        _ = self.socket.send_to(bytes, to.remote);
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

/// Resolves names on threads of its own: a slow name server must not hold up anything else.
pub fn resolver(runtime: tokio::runtime::Handle, inbox: Inbox) -> Box<dyn Fn(u64, Uri) + Send> {
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
