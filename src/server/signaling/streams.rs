//! All connections, TCP and TLS, ours and theirs: what is sent finds one or makes one.
//!
//! The engine's thread only ever puts bytes into a queue ([`Streams::send`]); everything that takes time is a task of
//! tokio ([`super::connection`]). A connection that ends, or cannot be made, is told to the engine for each flow that
//! it was used as, so that requests go elsewhere and bindings end (RFC 3261 §17.1.4, RFC 5626 §4.2.2). A connection of
//! ours is found again by its number, or by transport and address; one of theirs by address only without TLS, since
//! nobody has checked who they are (RFC 5923 §8.1).
//!
//! Where all connections are in use, the oldest of theirs gives way over which nobody has registered or called: a few
//! addresses that only hold as many as they may cannot keep phones out. Left out: those that dial a line over each.

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
    /// Accepted ones over which nobody has registered or called, oldest first.
    unproven: BTreeSet<u64>,
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
        let (room, table) =
            (Arc::new(Semaphore::new(settings.unheard)), Mutex::new(Table { last: first, ..Table::default() }));
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
            let proven = proves(&bytes);
            open.link.send(bytes);
            if proven {
                number.iter().for_each(|number| _ = table.unproven.remove(number));
            }
            return;
        }
        let name = number.and_then(|number| table.names.get(&number).map(|(name, ..)| name.clone()));
        if flow.connection != 0 && name.is_none() {
            drop(table);
            return shared.tell_failed([flow]);
        }
        let Some(gone) = table.make_room(shared.settings.most) else {
            drop(table);
            shared.counters.refused("total");
            return shared.tell_failed([flow]);
        };
        let number = if flow.connection == 0 { table.next() } else { flow.connection };
        let (link, ends) = connection::link(shared.settings.unread);
        link.send(bytes);
        let own = Flow { connection: number, ..flow };
        table.open.insert(number, Open { link, flows: BTreeSet::from([flow, own]), accepted_from: None });
        if name.is_none() {
            table.by_address.insert(there, number);
        }
        drop(table);
        shared.tell_failed(gone);
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
        if of_address >= self.settings.most_per_address {
            drop(table);
            return self.counters.refused("address");
        }
        let Some(gone) = table.make_room(self.settings.most) else {
            drop(table);
            return self.counters.refused("total");
        };
        let number = table.next();
        let (link, ends) = connection::link(self.settings.unread);
        let flow = Flow { listener, transport, remote, connection: number };
        *table.accepted.entry(from).or_default() += 1;
        table.unproven.insert(number);
        table.open.insert(number, Open { link, flows: BTreeSet::from([flow]), accepted_from: Some(from) });
        if transport == Transport::Tcp {
            table.by_address.insert((transport, remote), number);
        }
        drop(table);
        self.tell_failed(gone);
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
        let flows = self.table().forget(number).map(|open| open.flows);
        self.tell_failed(flows.unwrap_or_default());
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
    fn forget(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        self.unproven.remove(&number);
        for flow in &open.flows {
            let there = (flow.transport, flow.remote);
            if self.by_address.get(&there) == Some(&number) {
                self.by_address.remove(&there);
            }
        }
        if let Some(from) = open.accepted_from
            && let Some(count) = self.accepted.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                self.accepted.remove(&from);
            }
        }
        Some(open)
    }

    /// Room for one more of at most so many: what the connection that gave way was used as. None: there is no room.
    fn make_room(&mut self, most: usize) -> Option<BTreeSet<Flow>> {
        if self.open.len() < most {
            return Some(BTreeSet::new());
        }
        let oldest = *self.unproven.first()?;
        let open = self.forget(oldest)?;
        open.link.give_way();
        Some(open.flows)
    }

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

/// Whether a peer is worth his connection to whom this is sent: he has registered, his call was taken, or we ask something
/// of him, who is in a call or a phone of ours then.
fn proves(message: &[u8]) -> bool {
    if !message.starts_with(b"SIP/2.0 ") {
        return true;
    }
    let head = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let cseq = head.take_while(|line| !line.is_empty()).find(|line| line.starts_with(b"CSeq: "));
    let of_worth = cseq.is_some_and(|line| line.ends_with(b" REGISTER") || line.ends_with(b" INVITE"));
    message.starts_with(b"SIP/2.0 2") && of_worth
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
        let (link, _ends) = connection::link(1);
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

    #[test]
    fn who_has_registered_or_calls_is_worth_his_connection() {
        let rows = [
            ("SIP/2.0 200 OK", "1 REGISTER", true),
            ("SIP/2.0 200 OK", "1 INVITE", true),
            ("SIP/2.0 200 OK", "1 OPTIONS", false),
            ("SIP/2.0 401 Unauthorized", "1 REGISTER", false),
            ("SIP/2.0 100 Trying", "1 INVITE", false),
            ("SIP/2.0 404 Not Found", "7 INVITE", false),
            ("BYE sip:a@b SIP/2.0", "2 BYE", true),
        ];
        for (line, cseq, expect) in rows {
            let text = format!("{line}\r\nFrom: x\r\nCSeq: {cseq}\r\n\r\nCSeq: 1 INVITE");
            assert_eq!(proves(text.as_bytes()), expect, "{text}");
        }
    }
}
