//! One plane's sockets: which leg has which pair of ports, and who is told by which token.
//!
//! ```text
//!            bind                     close                rest over, quiet, drained
//!  (free) ─────────▶ a leg's ────────────────▶ resting ──────────────────────────────▶ a leg's
//!     ▲                 │ another plane's leg    │ not needed for long, noisy, too many
//!     └─────────────────┴── closed ◀─────────────┘
//! ```
//! Making a leg's two sockets and destroying them costs more than all else that a call without audio does on a plane.
//! A pair that is given back stays open and watched; what still comes is thrown away.

use super::super::net::Epoll;
use super::pairs::{Pair, Pairs};
use crate::ids::PortId;
use crate::time::Instant;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
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
    pairs: Pairs,
    pub epoll: Epoll,
    table: Vec<Option<Place>>,
    free: Vec<usize>,
    slots: BTreeMap<u64, usize>,
    /// Since when which places rest, the longest first.
    resting: VecDeque<(Instant, usize)>,
    stock: usize,
    /// Packets that the system would not take.
    pub unsent: u64,
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
    pub fn new(pairs: Pairs, epoll: Epoll, files: usize) -> Sockets {
        Sockets {
            pairs,
            epoll,
            table: Vec::new(),
            free: Vec::new(),
            slots: BTreeMap::new(),
            resting: VecDeque::new(),
            stock: STOCK.min(files / SHARE_OF_FILES / 2),
            unsent: 0,
        }
    }

    /// Takes one datagram from the socket that a token means.
    pub fn receive(&mut self, now: Instant, token: u64, buffer: &mut [u8]) -> Received {
        let slot = (token >> 1) as usize;
        let control = token & 1 == 1;
        let Some(place) = self.table.get_mut(slot).and_then(Option::as_mut) else { return Received::Nothing };
        let pair = &mut place.pair;
        let result = if control { pair.control.recv_from(buffer) } else { pair.rtp.recv_from(buffer) };
        pair.faults = if result.is_ok() { 0 } else { pair.faults };
        match (place.state, result) {
            // The socket is another one since the batch began.
            (_, Err(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Received::Nothing,
            (PlaceState::Leg(port), Ok((length, from))) => Received::Datagram { port, control, length, from },
            (PlaceState::Resting(_), Ok(_)) => {
                place.state = PlaceState::Resting(Some(now));
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

    /// Gives a leg its sockets: a pair that has rested, or a new one, or, if there is none, the longest rested.
    pub fn open(&mut self, now: Instant, port: PortId) -> Result<SocketAddr> {
        let slot = match self.rested(now) {
            Some(slot) => slot,
            None => self.bind().or_else(|why| self.oldest().ok_or(why))?,
        };
        self.slots.insert(port.number, slot);
        let place = self.table[slot].as_mut().expect("a place that was found has a pair");
        (place.state, place.pair.faults) = (PlaceState::Leg(port), 0);
        Ok(place.pair.local)
    }

    fn rested(&mut self, now: Instant) -> Option<usize> {
        for _ in 0..CLOSED_AT_ONCE {
            let (since, slot) = *self.resting.front()?;
            if now.since(since) < REST {
                return None;
            }
            self.resting.pop_front();
            let noisy = match self.table[slot].as_ref().map(|place| place.state) {
                Some(PlaceState::Resting(Some(last))) => now.since(last) < REST,
                _ => false,
            };
            if !noisy && self.is_drained(slot) {
                return Some(slot);
            }
            self.discard(slot);
        }
        None
    }

    fn oldest(&mut self) -> Option<usize> {
        for _ in 0..CLOSED_AT_ONCE {
            let (_, slot) = self.resting.pop_front()?;
            if self.is_drained(slot) {
                return Some(slot);
            }
            self.discard(slot);
        }
        None
    }

    /// Throws away what has come for the leg before; false if the pair is of no use.
    fn is_drained(&self, slot: usize) -> bool {
        let Some(place) = &self.table[slot] else { return false };
        [&place.pair.rtp, &place.pair.control].into_iter().all(|socket| {
            (0..DRAIN).any(|_| socket.recv(&mut [0; 1]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock))
        })
    }

    fn bind(&mut self) -> Result<usize> {
        let pair = self.pairs.bind()?;
        self.watch(pair, PlaceState::Resting(None)).context("cannot watch a leg's sockets")
    }

    fn watch(&mut self, pair: Pair, state: PlaceState) -> std::io::Result<usize> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            self.table.len() - 1
        });
        // From here on `discard` can undo all of it.
        let pair = &self.table[slot].insert(Place { pair, state }).pair;
        let token = slot as u64 * 2;
        let watched = self.epoll.add(&pair.rtp, token).and_then(|()| self.epoll.add(&pair.control, token + 1));
        watched.inspect_err(|_| self.discard(slot))?;
        Ok(slot)
    }

    /// A leg needs its sockets no more. A pair of another plane is handed out, to be sent there.
    pub fn close(&mut self, now: Instant, port: PortId) -> Option<Pair> {
        let slot = *self.slots.get(&port.number)?;
        let place = self.table[slot].as_mut()?;
        if place.pair.home != self.pairs.plane {
            return self.release(port);
        }
        place.state = PlaceState::Resting(None);
        self.slots.remove(&port.number);
        if place.pair.faults > 0 || self.resting.len() >= self.stock {
            self.discard(slot);
        } else {
            self.resting.push_back((now, slot));
        }
        None
    }

    /// Closing takes the sockets out of epoll too.
    fn discard(&mut self, slot: usize) {
        if let Some(Place { pair, .. }) = self.table[slot].take() {
            if pair.home == self.pairs.plane {
                self.pairs.give_back(pair.index);
            }
            self.free.push(slot);
        }
    }

    /// Lets a leg's sockets go to another plane; what has come and was not read goes with them.
    pub fn release(&mut self, port: PortId) -> Option<Pair> {
        let slot = self.slots.remove(&port.number)?;
        let pair = self.table[slot].take()?.pair;
        self.free.push(slot);
        for socket in [&pair.rtp, &pair.control] {
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
        self.pairs.take(pair.index);
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

    /// The legs that had sockets, and the pairs that are to be sent to other planes.
    pub fn close_all(&mut self) -> (Vec<PortId>, Vec<Pair>) {
        let (mut ports, mut strangers) = (Vec::new(), Vec::new());
        for Place { pair, state } in std::mem::take(&mut self.table).into_iter().flatten() {
            if let PlaceState::Leg(port) = state {
                ports.push(port);
            }
            if pair.home != self.pairs.plane {
                strangers.push(pair);
            }
        }
        (self.free, self.slots, self.resting) = Default::default();
        self.pairs.give_all_back();
        (ports, strangers)
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
        let sent = self.pair(port).is_some_and(|pair| pair.control.send_to(bytes, to).is_ok());
        self.unsent += u64::from(!sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn sockets(ports: (u16, u16), files: usize) -> Sockets {
        Sockets::new(Pairs::new(HERE, ports, 0, 1), Epoll::new().unwrap(), files)
    }

    fn id(number: u64) -> PortId {
        PortId { plane: 0, number }
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// What the sockets that can be read have, as the plane's thread reads them.
    fn heard(sockets: &mut Sockets, now: Instant) -> Vec<Received> {
        let ready: Vec<u64> = sockets.epoll.wait(Some(Duration::ZERO)).unwrap().collect();
        let received = ready.into_iter().map(|token| sockets.receive(now, token, &mut [0; 99]));
        received.filter(|received| *received != Received::Nothing).collect()
    }

    /// Legs by number at ms: `+1@0` opens, `-1@5` closes, `~@7` lets time pass, `!20100@9` is a late packet to that
    /// port that is read, `.20100@9` one that is not read. The ports that the opened legs got, and how many pairs rest.
    fn check(range: (u16, u16), files: usize, steps: &str, ports: &str, resting: usize) {
        let (mut sockets, peer) = (sockets(range, files), UdpSocket::bind((HERE, 0)).unwrap());
        let mut got = Vec::new();
        for step in steps.split(' ') {
            let (what, ms) = step.split_once('@').unwrap();
            let (what, number) = what.split_at(1);
            let (now, number) = (at(ms.parse().unwrap()), number.parse().unwrap_or(0));
            match what {
                "+" => got.push(sockets.open(now, id(number)).map_or("-".to_owned(), |local| local.port().to_string())),
                "-" => assert!(sockets.close(now, id(number)).is_none()),
                "~" => sockets.time_passed(now),
                _ => {
                    peer.send_to(b"late", (HERE, number as u16)).unwrap();
                    if what == "!" {
                        heard(&mut sockets, now);
                    }
                }
            }
        }
        assert_eq!((got.join(" ").as_str(), sockets.resting.len()), (ports, resting), "{steps}");
        let rest: Vec<_> = heard(&mut sockets, at(0));
        assert!(rest.is_empty(), "late packets are nobody's: {rest:?}");
    }

    #[test]
    fn pairs_rest_before_they_are_used_again() {
        let range = (17_100, 17_107);
        check(range, 600, "+1@0 +2@0 -1@10 +3@1000 -2@1500", "17100 17102 17104", 2);
        check(range, 600, "+1@0 -1@10 +2@2010 +3@2010", "17100 17100 17102", 0);
        check(range, 600, "+1@0 +2@0 -2@10 -1@10 +3@3000 +4@3000", "17100 17102 17102 17100", 0);
        // None is left: one that has not rested is better than none.
        check(range, 600, "+1@0 +2@0 +3@0 +4@0 +5@0 -3@10 -1@20 +6@30", "17100 17102 17104 17106 - 17104", 1);
        // Late packets: those read make a pair noisy, and it is closed; others are drained.
        check(range, 600, "+1@0 -1@10 !17100@1000 +2@2500", "17100 17102", 0);
        check(range, 600, "+1@0 -1@10 !17100@1000 +2@3000", "17100 17100", 0);
        check(range, 600, "+1@0 -1@10 .17100@10 .17101@10 .17100@10 +2@2010", "17100 17100", 0);
        check(range, 600, "+1@0 .17100@5 -1@10 +2@2010 -2@2020", "17100 17100", 1);
        // Not needed for long; more than there may be.
        check(range, 600, "+1@0 +2@0 -1@0 -2@10 ~@60000", "17100 17102", 1);
        check(range, 6, "+1@0 +2@0 -1@0 -2@10 +3@20", "17100 17102 17104", 1);
    }

    #[test]
    fn a_leg_does_not_hear_who_was_there_before_it() {
        let (mut sockets, peer) = (sockets((17_110, 17_111), 600), UdpSocket::bind((HERE, 0)).unwrap());
        let local = sockets.open(at(0), id(1)).unwrap();
        let from = peer.local_addr().unwrap();
        let late = || {
            for port in [local.port(), local.port() + 1] {
                (0..300).for_each(|_| _ = peer.send_to(&[0; 172], (HERE, port)).unwrap());
            }
        };
        late();
        sockets.close(at(0), id(1));
        assert_eq!(sockets.open(at(5000), id(2)).unwrap(), local);
        assert_eq!(heard(&mut sockets, at(5000)), [], "a full buffer of the old call");
        peer.send_to(b"new", local).unwrap();
        let new = Received::Datagram { port: id(2), control: false, length: 3, from };
        assert_eq!(heard(&mut sockets, at(5000)), [new]);
        // The same where there is no time to rest.
        late();
        sockets.close(at(5001), id(2));
        assert_eq!(sockets.open(at(5001), id(3)).unwrap(), local);
        assert_eq!(heard(&mut sockets, at(5001)), []);
    }

    #[test]
    fn idle_pairs_go_in_small_portions() {
        let mut sockets = sockets((17_120, 17_159), 600);
        (0..20).for_each(|n| _ = sockets.open(at(0), id(n)).unwrap());
        (0..20).for_each(|n| _ = sockets.close(at(0), id(n)));
        assert_eq!(sockets.deadline(), Some(at(60_000)));
        sockets.time_passed(at(59_999));
        assert_eq!(sockets.resting.len(), 20);
        sockets.time_passed(at(60_000));
        assert_eq!(sockets.resting.len(), 20 - CLOSED_AT_ONCE);
        (0..2).for_each(|_| sockets.time_passed(at(60_000)));
        assert_eq!((sockets.resting.len(), sockets.deadline()), (0, None));
        assert!(UdpSocket::bind((HERE, 17_120)).is_ok(), "closed");
    }

    #[test]
    fn a_pair_goes_with_its_leg_and_comes_home() {
        let range = (17_160, 17_167);
        let pairs = |plane| Pairs::new(HERE, range, plane, 2);
        let mut planes = [0, 1].map(|plane| Sockets::new(pairs(plane), Epoll::new().unwrap(), 600));
        let [home, away] = &mut planes;
        let peer = UdpSocket::bind((HERE, 0)).unwrap();
        let (old, new) = (id(1), PortId { plane: 1, number: 1 });
        let local = home.open(at(0), old).unwrap();
        peer.send_to(b"on its way", local).unwrap();
        away.adopt(new, home.release(old).unwrap()).unwrap();
        assert!(home.release(old).is_none() && home.close(at(0), old).is_none());
        assert_eq!(heard(home, at(0)), []);
        let from = peer.local_addr().unwrap();
        let expect = Received::Datagram { port: new, control: false, length: 10, from };
        assert_eq!(heard(away, at(0)), [expect], "what was not read goes with it");
        // Its place is taken meanwhile, also after a panic at home.
        assert_eq!(home.open(at(0), id(2)).unwrap().port(), 17_164);
        home.close_all();
        assert_eq!(home.open(at(0), id(3)).unwrap().port(), 17_160 + 4);
        assert!(home.open(at(0), id(4)).is_err());
        let pair = away.close(at(0), new).unwrap();
        home.come_home(at(0), pair);
        assert_eq!((away.resting.len(), home.resting.len()), (0, 1));
        assert_eq!(home.open(at(0), id(5)).unwrap(), local);
        // A panic away: strangers are sent home.
        away.adopt(new, home.release(id(5)).unwrap()).unwrap();
        let (ports, strangers) = away.close_all();
        assert_eq!((ports, strangers.len(), strangers[0].local), (vec![new], 1, local));
    }
}
