//! One plane's sockets: which leg has which pair of ports, and who is told by which token.
//!
//! ```text
//!            bind                     close                rest over, quiet, drained
//!  (free) ─────────▶ a leg's ────────────────▶ resting ──────────────────────────────▶ a leg's
//!     ▲                 │ another plane's leg    │ not needed for long, noisy, too many
//!     └─────────────────┴── closed ◀─────────────┘
//! ```
//! Making a leg's two sockets and destroying them costs more than all else that a call without audio does on a plane.
//! A leg whose RTCP shares the port of RTP (RFC 5761) has one: its second is closed, and opened again for who needs it.
//! A pair that is given back stays open and watched; what still comes is thrown away. Its next leg is told whose the
//! pair was: who has been silent may speak again at any time.

use super::super::net::Epoll;
use super::pairs::{Pair, Pairs};
use crate::ids::PortId;
use crate::media::Former;
use crate::time::Instant;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A pair rests so long before the next leg gets it, and must have been quiet for so long. The old peer's packets of
/// 20 ms stop when it has heard of the end, be it by the second repetition of a BYE after 0.5 and 1.5 s
/// (RFC 3261 §17.1.2.2); one that goes on is noisy, and its pair is closed.
const REST: Duration = Duration::from_secs(2);
/// A pair that no leg has needed for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// Pairs that rest at most: those of 1,000 legs ended per second; some 12 MB of the kernel's memory. A plane may have
/// less: see [`Sockets::new`].
const STOCK: usize = 2048;
/// A third of the files that the process may have open rests at most, all planes together.
const SHARE_OF_FILES: usize = 3;
/// Pairs closed at one time for being idle or noisy: each costs some 10 µs of a thread that others' audio waits for.
const CLOSED_AT_ONCE: usize = 8;
/// Packets that a resting socket is drained of at most: more than its buffer can hold.
const DRAIN: usize = 512;
/// A socket that fails so often in a row is lost. One error may be a peer's that is gone (ICMP).
const FAULTS: u32 = 16;

/// One thread's sockets. A token is a place in the table, doubled, and one more for RTCP.
pub struct Sockets {
    /// Of IPv4, of IPv6, or of both.
    pairs: Vec<Pairs>,
    pub epoll: Epoll,
    table: Vec<Option<Place>>,
    free: Vec<usize>,
    slots: BTreeMap<u64, usize>,
    /// Since when which places rest, the longest first.
    resting: VecDeque<(Instant, usize)>,
    stock: usize,
    /// Packets that the system would not take.
    pub unsent: u64,
    /// Legs whose RTCP needed its own port again and found it taken.
    pub robbed: u64,
}

struct Place {
    pair: Pair,
    state: PlaceState,
}

#[derive(Clone, Copy)]
enum PlaceState {
    Leg(PortId),
    /// The last packet that came since.
    Resting(Option<Instant>),
}

/// What a socket had.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Nothing,
    Datagram {
        port: PortId,
        control: bool,
        length: usize,
        from: SocketAddr,
    },
    /// The leg's sockets are of no use any more.
    Broken {
        port: PortId,
        why: String,
    },
}

impl Sockets {
    /// `files` is how many of the process's open files are for all planes' legs.
    pub fn new(pairs: Vec<Pairs>, epoll: Epoll, files: usize) -> Sockets {
        Sockets {
            pairs,
            epoll,
            table: Vec::new(),
            free: Vec::new(),
            slots: BTreeMap::new(),
            resting: VecDeque::new(),
            stock: STOCK.min(files / SHARE_OF_FILES / 2),
            unsent: 0,
            robbed: 0,
        }
    }

    /// Takes one datagram from the socket that a token means.
    pub fn receive(&mut self, now: Instant, token: u64, buffer: &mut [u8]) -> Received {
        let slot = (token >> 1) as usize;
        let control = token & 1 == 1;
        let Some(place) = self.table.get_mut(slot).and_then(Option::as_mut) else { return Received::Nothing };
        let pair = &mut place.pair;
        let socket = if control { pair.control.as_ref() } else { Some(&pair.rtp) };
        let Some(socket) = socket else { return Received::Nothing }; // closed since the batch began
        let result = socket.recv_from(buffer);
        pair.faults = if result.is_ok() { 0 } else { pair.faults };
        match (place.state, result) {
            // The socket is another one since the batch began.
            (_, Err(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Received::Nothing,
            (PlaceState::Leg(port), Ok((length, from))) => Received::Datagram { port, control, length, from },
            (PlaceState::Resting(_), Ok((length, from))) => {
                place.state = PlaceState::Resting(Some(now));
                // The last leg's peer may never have been heard where it really is. Whom it did hear counts more.
                if !control && pair.lease.previous(now).is_none() {
                    let former = Former::of(from, &buffer[..length]);
                    former.into_iter().for_each(|former| pair.lease.leave(now, former));
                }
                Received::Nothing
            }
            (state, Err(why)) => {
                pair.faults += 1;
                match state {
                    PlaceState::Leg(port) if pair.faults >= FAULTS => {
                        Received::Broken { port, why: format!("its sockets fail: {why}") }
                    }
                    PlaceState::Resting(_) if pair.faults >= FAULTS => {
                        self.resting.retain(|(_, resting)| *resting != slot);
                        self.discard(slot);
                        Received::Nothing
                    }
                    _ => Received::Nothing,
                }
            }
        }
    }

    /// Gives a leg its sockets, of IPv6 or of IPv4: a pair that has rested, or a new one, or, if there is none, the longest
    /// rested. Their address, and whom the pair's last leg heard if that may still speak.
    pub fn open(&mut self, now: Instant, port: PortId, six: bool) -> Result<(SocketAddr, Option<Former>)> {
        let slot = match self.rested(now, six) {
            Some(slot) => slot,
            None => self.bind(six).or_else(|why| self.oldest(now, six).ok_or(why))?,
        };
        self.slots.insert(port.number, slot);
        let place = self.table[slot].as_mut().expect("a place that was found has a pair");
        (place.state, place.pair.faults) = (PlaceState::Leg(port), 0);
        Ok((place.pair.local, place.pair.lease.previous(now)))
    }

    fn rested(&mut self, now: Instant, six: bool) -> Option<usize> {
        for _ in 0..CLOSED_AT_ONCE {
            let place = self.resting.iter().position(|(_, slot)| self.is_six(*slot) == six)?;
            let (since, slot) = self.resting[place];
            if now.since(since) < REST {
                return None;
            }
            self.resting.remove(place);
            if !self.is_noisy(now, slot) && self.is_drained(slot) {
                return Some(slot);
            }
            self.discard(slot);
        }
        None
    }

    /// The longest rested of those that are quiet, or of all.
    fn oldest(&mut self, now: Instant, six: bool) -> Option<usize> {
        for _ in 0..CLOSED_AT_ONCE {
            let fits = |(_, slot): &&(Instant, usize)| self.is_six(*slot) == six;
            let quiet = |entry: &(Instant, usize)| fits(&entry) && !self.is_noisy(now, entry.1);
            let place = self.resting.iter().position(quiet);
            let place = place.or_else(|| self.resting.iter().position(|entry| fits(&entry)))?;
            let (_, slot) = self.resting.remove(place)?;
            if self.is_drained(slot) {
                return Some(slot);
            }
            self.discard(slot);
        }
        None
    }

    fn is_six(&self, slot: usize) -> bool {
        self.table[slot].as_ref().is_some_and(|place| place.pair.local.is_ipv6())
    }

    /// Whether somebody still sends to a pair that rests.
    fn is_noisy(&self, now: Instant, slot: usize) -> bool {
        match self.table[slot].as_ref().map(|place| place.state) {
            Some(PlaceState::Resting(Some(last))) => now.since(last) < REST,
            _ => false,
        }
    }

    /// Throws away what has come for the leg before; false if the pair is of no use.
    fn is_drained(&self, slot: usize) -> bool {
        let Some(place) = &self.table[slot] else { return false };
        place.pair.sockets().all(|socket| {
            (0..DRAIN).any(|_| socket.recv(&mut [0; 1]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock))
        })
    }

    fn bind(&mut self, six: bool) -> Result<usize> {
        let pairs = self.pairs.iter_mut().find(|pairs| pairs.is_six() == six);
        let pair = pairs.with_context(|| format!("no audio is spoken over IPv{}", if six { 6 } else { 4 }))?.bind()?;
        self.watch(pair, PlaceState::Resting(None)).context("cannot watch a leg's sockets")
    }

    fn watch(&mut self, pair: Pair, state: PlaceState) -> std::io::Result<usize> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            self.table.len() - 1
        });
        // From here on `discard` can undo all of it.
        let pair = &self.table[slot].insert(Place { pair, state }).pair;
        let tokens = slot as u64 * 2..;
        let watched = pair.sockets().zip(tokens).try_for_each(|(socket, token)| self.epoll.add(socket, token));
        watched.inspect_err(|_| self.discard(slot))?;
        Ok(slot)
    }

    /// RTCP of a leg shares the port of RTP from now on, or needs its own. One that cannot be opened, because somebody
    /// else has taken the port, is counted and done without, and the pair is no other leg's afterwards.
    pub fn share(&mut self, port: PortId, on: bool) {
        let Some(slot) = self.slots.get(&port.number).copied() else { return };
        let Some(Place { pair, .. }) = &mut self.table[slot] else { return };
        if on {
            pair.control = None; // closing takes it out of epoll too
        } else if pair.control.is_none() {
            let watch = |socket: &UdpSocket| self.epoll.add(socket, slot as u64 * 2 + 1);
            pair.control = pair.bind_control().and_then(|socket| watch(&socket).map(|()| socket)).ok();
            pair.whole = pair.control.is_some();
            self.robbed += u64::from(!pair.whole);
        }
    }

    /// A leg, which heard this peer last, needs its sockets no more. A sound pair of another plane is handed out, to
    /// be sent there.
    pub fn close(&mut self, now: Instant, port: PortId, peer: Option<Former>) -> Option<Pair> {
        let slot = *self.slots.get(&port.number)?;
        let place = self.table[slot].as_mut()?;
        peer.into_iter().for_each(|peer| place.pair.lease.leave(now, peer));
        let is_sound = place.pair.is_sound();
        if is_sound && self.pairs.iter().all(|pairs| pairs.plane != place.pair.home) {
            return self.release(port);
        }
        place.state = PlaceState::Resting(None);
        self.slots.remove(&port.number);
        if is_sound && self.resting.len() < self.stock {
            self.resting.push_back((now, slot));
        } else {
            self.discard(slot);
        }
        None
    }

    /// Closing takes the sockets out of epoll too, and makes the pair free at its home.
    fn discard(&mut self, slot: usize) {
        if self.table[slot].take().is_some() {
            self.free.push(slot);
        }
    }

    /// Lets a leg's sockets go to another plane; what has come and was not read goes with them.
    pub fn release(&mut self, port: PortId) -> Option<Pair> {
        let slot = self.slots.remove(&port.number)?;
        let pair = self.table[slot].take()?.pair;
        self.free.push(slot);
        for socket in pair.sockets() {
            _ = self.epoll.remove(socket); // what is not watched need not be taken out
        }
        Some(pair)
    }

    /// Takes a leg's sockets from another plane.
    pub fn adopt(&mut self, port: PortId, pair: Pair) -> Result<()> {
        let slot = self.watch(pair, PlaceState::Leg(port)).context("cannot watch a leg's sockets")?;
        self.slots.insert(port.number, slot);
        Ok(())
    }

    /// A pair of this plane's share has been given back by another plane.
    pub fn come_home(&mut self, now: Instant, pair: Pair) {
        if !pair.is_sound() || self.resting.len() >= self.stock {
            return; // closed, by being dropped
        }
        if let Ok(slot) = self.watch(pair, PlaceState::Resting(None)) {
            self.resting.push_back((now, slot));
        }
    }

    /// When a pair has been idle for too long.
    pub fn deadline(&self) -> Option<Instant> {
        self.resting.front().map(|(since, _)| *since + IDLE)
    }

    /// `deadline()` may have come.
    pub fn time_passed(&mut self, now: Instant) {
        for _ in 0..CLOSED_AT_ONCE {
            if self.deadline().is_none_or(|at| at > now) {
                return;
            }
            if let Some((_, slot)) = self.resting.pop_front() {
                self.discard(slot);
            }
        }
    }

    /// Closes all pairs, those of other planes too. The legs that had them.
    pub fn close_all(&mut self) -> Vec<PortId> {
        (self.free, self.slots, self.resting) = Default::default();
        let places = std::mem::take(&mut self.table).into_iter().flatten();
        let leg = |state| if let PlaceState::Leg(port) = state { Some(port) } else { None };
        places.filter_map(|place| leg(place.state)).collect()
    }

    /// Lets a leg's RTP socket fail from now on.
    #[cfg(test)]
    pub fn break_leg(&mut self, port: PortId) {
        let slot = self.slots[&port.number];
        let place = self.table[slot].as_mut().expect("the leg has a pair");
        place.pair.rtp = crate::server::net::broken_socket().expect("a file may be opened");
        self.epoll.add(&place.pair.rtp, slot as u64 * 2).expect("it can be watched");
    }

    fn pair(&self, port: PortId) -> Option<&Pair> {
        Some(&self.table[*self.slots.get(&port.number)?].as_ref()?.pair)
    }

    pub fn send(&mut self, port: PortId, to: SocketAddr, bytes: &[u8]) {
        let sent = self.pair(port).is_some_and(|pair| pair.rtp.send_to(bytes, to).is_ok());
        self.unsent += u64::from(!sent);
    }

    pub fn send_control(&mut self, port: PortId, to: SocketAddr, bytes: &[u8]) {
        let control = self.pair(port).and_then(|pair| pair.control.as_ref());
        let sent = control.is_some_and(|control| control.send_to(bytes, to).is_ok());
        self.unsent += u64::from(!sent);
    }
}

#[cfg(test)]
mod tests;
