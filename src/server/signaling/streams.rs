//! All connections, TCP and TLS, ours and theirs: what is sent finds one or makes one.
//!
//! The engine's thread only ever puts bytes into a queue ([`Streams::send`]); everything that takes time is a task of
//! tokio ([`super::connection`]). A connection that ends, or cannot be made, is told to the engine for each flow that
//! it was used as, so that requests go elsewhere and bindings end (RFC 3261 §17.1.4, RFC 5626 §4.2.2). A connection of
//! ours is found again by its number, or by transport and address; one of theirs by address only without TLS, since
//! nobody has checked who they are (RFC 5923 §8.1).

use super::connection::{self, Ended, Link};
use super::counters::Counters;
use super::tls::Tls;
use crate::config::{ConnectionSettings, SipListener};
use crate::engine::Input;
use crate::server::inbox::{Inbox, Message};
use crate::sip::{self, Flow, Limits, Place, Transport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Bytes of messages from all connections that may wait for the engine's thread.
const ROOM: usize = 64 << 20;
/// Places of names that are remembered; of more, the oldest is forgotten.
const PLACES: usize = 10_000;
/// Flows that one connection may be used as; further ones are not told when it ends, and time out instead.
const FLOWS: usize = 16;

/// Everything that connections share.
pub struct Shared {
    pub listeners: Vec<SipListener>,
    pub settings: ConnectionSettings,
    /// Of one message.
    pub limits: Limits,
    /// There if there is a TLS listener.
    pub tls: Option<Arc<Tls>>,
    pub inbox: Inbox,
    pub runtime: Handle,
    pub counters: Arc<Counters>,
    /// In bytes: what may wait for the engine's thread.
    pub room: Arc<Semaphore>,
    table: Mutex<Table>,
}

/// The door of the engine's thread to all connections. Clones share them.
#[derive(Clone)]
pub struct Streams(Arc<Shared>);

/// What a start knows.
pub struct Setup {
    pub listeners: Vec<SipListener>,
    pub settings: ConnectionSettings,
    pub limits: Limits,
    pub tls: Option<Arc<Tls>>,
    /// The first connection's number: greater than all of earlier starts.
    pub first: u64,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: BTreeMap<u64, Open>,
    /// Which connection leads there.
    by_address: BTreeMap<(Transport, SocketAddr), u64>,
    /// Accepted ones by address.
    accepted: BTreeMap<IpAddr, usize>,
    /// Where names have led, and the number of the connection to there, made or not.
    places: BTreeMap<(String, Transport, SocketAddr), u64>,
    names: BTreeMap<u64, (String, Transport, SocketAddr)>,
    oldest: VecDeque<u64>,
}

struct Open {
    link: Link,
    /// What it was used as.
    flows: BTreeSet<Flow>,
    accepted_from: Option<IpAddr>,
}

impl Streams {
    pub fn new(setup: Setup, inbox: Inbox, runtime: Handle, counters: Arc<Counters>) -> Streams {
        let Setup { listeners, settings, limits, tls, first } = setup;
        let (room, table) = (Arc::new(Semaphore::new(ROOM)), Mutex::new(Table { last: first, ..Table::default() }));
        Streams(Arc::new(Shared { listeners, settings, limits, tls, inbox, runtime, counters, room, table }))
    }

    /// Accepts what comes to listener number `index`.
    pub fn listen(&self, index: u16, socket: TcpListener) {
        let shared = Arc::clone(&self.0);
        self.0.runtime.spawn(async move {
            loop {
                match socket.accept().await {
                    Ok((stream, remote)) => shared.accepted(index, stream, remote),
                    // Out of descriptors, or a connection that was gone at once: others may still come.
                    #[expect(clippy::disallowed_methods, reason = "the shell waits in real time")]
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
    }

    /// Sends over the flow's connection, which is made if the flow says where to. Never waits.
    pub fn send(&self, flow: Flow, bytes: Vec<u8>) {
        let shared = &self.0;
        let mut table = shared.table();
        let there = (flow.transport, flow.remote);
        let number = match flow.connection {
            0 => table.by_address.get(&there).copied(),
            number => Some(number),
        };
        if let Some(open) = number.and_then(|number| table.open.get_mut(&number)) {
            if open.flows.len() < FLOWS {
                open.flows.insert(flow);
            }
            open.link.send(bytes);
            return;
        }
        let name = number.and_then(|number| table.names.get(&number).map(|(name, ..)| name.clone()));
        let full = table.open.len() >= shared.settings.most;
        if full || (flow.connection != 0 && name.is_none()) {
            drop(table);
            if full {
                shared.counters.refused("total");
            }
            return shared.tell_failed([flow]);
        }
        let number = if flow.connection == 0 { table.next() } else { flow.connection };
        let (link, ends) = connection::link();
        link.send(bytes);
        let own = Flow { connection: number, ..flow };
        table.open.insert(number, Open { link, flows: BTreeSet::from([flow, own]), accepted_from: None });
        if name.is_none() {
            table.by_address.insert(there, number);
        }
        drop(table);
        let life = connection::connect(Arc::clone(shared), own, name, ends);
        shared.live(number, life);
    }

    /// The place of a name, with the number of its connection.
    pub fn place(&self, name: &str, transport: Transport, remote: SocketAddr) -> Place {
        if transport != Transport::Tls {
            return Place { transport, remote, connection: 0 };
        }
        let connection = self.0.table().place((name.to_owned(), transport, remote));
        Place { transport, remote, connection }
    }

    /// Returns when everything has been sent, or after `limit`.
    pub async fn flush(&self, limit: Duration) {
        let idle = async {
            while !self.0.table().open.values().all(|open| open.link.is_idle()) {
                #[expect(clippy::disallowed_methods, reason = "the shell waits in real time")]
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        _ = tokio::time::timeout(limit, idle).await;
    }

    /// How many are open, by transport.
    pub fn open(&self) -> BTreeMap<Transport, usize> {
        let mut counts = BTreeMap::from([(Transport::Tcp, 0), (Transport::Tls, 0)]);
        let table = self.0.table();
        let transports = table.open.values().filter_map(|open| open.flows.first()).map(|flow| flow.transport);
        transports.for_each(|transport| *counts.entry(transport).or_default() += 1);
        counts
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        // A table that a panic left is whole: each change is one call.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepted(self: &Arc<Self>, listener: u16, stream: TcpStream, remote: SocketAddr) {
        let (from, transport) = (remote.ip(), self.listeners[usize::from(listener)].transport);
        let mut table = self.table();
        let of_address = table.accepted.get(&from).copied().unwrap_or_default();
        if table.open.len() >= self.settings.most || of_address >= self.settings.most_per_address {
            let total = of_address < self.settings.most_per_address;
            drop(table);
            return self.counters.refused(if total { "total" } else { "address" });
        }
        let number = table.next();
        let (link, ends) = connection::link();
        let flow = Flow { listener, transport, remote, connection: number };
        table.accepted.insert(from, of_address + 1);
        table.open.insert(number, Open { link, flows: BTreeSet::from([flow]), accepted_from: Some(from) });
        if transport == Transport::Tcp {
            table.by_address.insert((transport, remote), number);
        }
        drop(table);
        self.counters.accepted(transport);
        let life = connection::accept(Arc::clone(self), flow, stream, ends);
        self.live(number, life);
    }

    /// Runs a connection's life to its end.
    fn live(self: &Arc<Self>, number: u64, life: impl Future<Output = Ended> + Send + 'static) {
        let place = Taken { shared: Arc::clone(self), number };
        self.runtime.spawn(async move {
            let why = life.await;
            place.shared.counters.ended(why);
        });
    }

    fn ended(&self, number: u64) {
        let mut table = self.table();
        let Some(open) = table.open.remove(&number) else { return };
        for flow in &open.flows {
            let there = (flow.transport, flow.remote);
            if table.by_address.get(&there) == Some(&number) {
                table.by_address.remove(&there);
            }
        }
        if let Some(from) = open.accepted_from
            && let Some(count) = table.accepted.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                table.accepted.remove(&from);
            }
        }
        drop(table);
        self.tell_failed(open.flows);
    }

    fn tell_failed(&self, flows: impl IntoIterator<Item = Flow>) {
        for flow in flows {
            let failed = sip::Input::TransportFailed { flow };
            _ = self.inbox.send(Message::Input(Input::Sip(failed))); // an engine that has ended needs it no more
        }
    }
}

/// A connection's place, given back however its life ends: with a panic, too.
struct Taken {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shared.ended(self.number);
    }
}

impl Table {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn place(&mut self, place: (String, Transport, SocketAddr)) -> u64 {
        if let Some(number) = self.places.get(&place) {
            return *number;
        }
        let number = self.next();
        self.places.insert(place.clone(), number);
        self.names.insert(number, place);
        self.oldest.push_back(number);
        if self.oldest.len() > PLACES
            && let Some(forgotten) = self.oldest.pop_front().and_then(|number| self.names.remove(&number))
        {
            self.places.remove(&forgotten);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> (Streams, crate::server::inbox::Messages) {
        let (inbox, messages) = Inbox::new().unwrap();
        let sip = crate::config::load(None).unwrap().server.sip;
        let setup = Setup {
            listeners: sip.listeners,
            settings: sip.connections,
            limits: Limits::default(),
            tls: None,
            first: 1,
        };
        (Streams::new(setup, inbox, Handle::current(), Arc::default()), messages)
    }

    /// The place is somebody else's, and whoever was registered over it is told to be gone.
    #[tokio::test]
    async fn a_connection_that_panics_leaves_no_place_taken() {
        let (streams, messages) = streams();
        let shared = &streams.0;
        let (from, transport) = (SocketAddr::from(([127, 0, 0, 1], 5060)), Transport::Tcp);
        let (link, _ends) = connection::link();
        let flow = Flow { listener: 0, transport, remote: from, connection: 2 };
        let open = Open { link, flows: BTreeSet::from([flow]), accepted_from: Some(from.ip()) };
        shared.table().open.insert(2, open);
        shared.table().accepted.insert(from.ip(), 1);
        shared.live(2, async { panic!("planted") });
        while !shared.table().open.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(shared.table().accepted.is_empty());
        let told = loop {
            match messages.next() {
                Some(message) => break message,
                None => tokio::task::yield_now().await,
            }
        };
        let is_failed =
            matches!(told, Message::Input(Input::Sip(sip::Input::TransportFailed { flow: gone })) if gone == flow);
        assert!(is_failed);
    }
}
