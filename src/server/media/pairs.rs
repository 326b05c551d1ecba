//! One plane's share of the range of UDP ports: which of its pairs are free, how one is bound, and whose it was last.
//!
//! Pairs go from plane to plane with their legs, and may end anywhere: in a message that nobody reads any more, too.
//! So a pair is free again when it is dropped, and no plane has to be told.

use super::super::net;
use crate::media::Former;
use crate::time::Instant;
use anyhow::{Context, Result};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One plane's share of the range of UDP ports: every n-th pair of it.
pub struct Pairs {
    bind: IpAddr,
    first: u16,
    pub plane: u16,
    planes: u16,
    places: Arc<[Place]>,
    /// Where the search goes on, so that a port rests before it is used again.
    next: usize,
}

/// A leg's two ports (RFC 3550 §11), wherever their sockets are watched.
pub struct Pair {
    /// Whose share of the range they are of.
    pub home: u16,
    /// Where RTP comes; RTCP comes to the next port.
    pub local: SocketAddr,
    pub rtp: UdpSocket,
    /// None while RTCP shares the port of RTP (RFC 5761). The next port stays the leg's, who may want it again.
    pub control: Option<UdpSocket>,
    /// Receiving has failed so often since it last did not.
    pub faults: u32,
    /// Its second port was there whenever it was wanted.
    pub whole: bool,
    /// Dropped after the sockets, so that what is free can be bound.
    pub lease: Lease,
}

/// The right to two ports of a plane's share, given back by dropping it.
pub struct Lease {
    places: Arc<[Place]>,
    index: usize,
}

#[derive(Default)]
struct Place {
    taken: AtomicBool,
    left: Mutex<Option<Left>>,
}

/// Whom a pair's last leg heard, until when.
#[derive(Clone, Copy)]
struct Left {
    at: Instant,
    peer: Former,
}

/// A peer that has been silent may speak again so long after its leg has ended, since it may not know: 64·T1, after
/// which a BYE that nobody answered has been given up (RFC 3261 §17.1.2.2, timer F).
pub const HAUNTED: Duration = Duration::from_secs(32);

/// Pairs that others hold may be met so often before a leg gets none: some 10 ms of a thread that others' audio waits for.
/// The next leg's search goes on behind them.
const TRIES: usize = 2048;

impl Pairs {
    pub fn new(bind: IpAddr, (first, last): (u16, u16), plane: u16, planes: u16) -> Pairs {
        let first = first.next_multiple_of(2);
        let all = (usize::from(last) + 1).saturating_sub(usize::from(first)) / 2;
        let share = (all + usize::from(planes) - 1).saturating_sub(usize::from(plane)) / usize::from(planes);
        Pairs { bind, first, plane, planes, places: (0..share).map(|_| Place::default()).collect(), next: 0 }
    }

    pub fn is_six(&self) -> bool {
        self.bind.is_ipv6()
    }

    fn port(&self, index: usize) -> u16 {
        self.first + 2 * (index * usize::from(self.planes) + usize::from(self.plane)) as u16
    }

    /// Binds the next pair that is free.
    pub fn bind(&mut self) -> Result<Pair> {
        let (share, first, mut tried) = (self.places.len(), self.next, 0);
        for index in (0..share).map(|i| (first + i) % share) {
            let Some(lease) = Lease::take(&self.places, index) else { continue };
            self.next = (index + 1) % share;
            let local = SocketAddr::new(self.bind, self.port(index));
            match self.bind_pair(lease, local) {
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => tried += 1,
                bound => return bound.with_context(|| format!("cannot open udp {local}")),
            }
            if tried == TRIES {
                break;
            }
        }
        let used = self.used();
        anyhow::bail!("no free pair of ports: of {share}, {used} are taken by calls and {tried} by other programs")
    }

    /// Whether any pair of the share can be had, however many others hold.
    pub fn try_all(&mut self) -> Result<()> {
        let mut outcome = self.bind();
        for _ in 0..self.places.len() / TRIES {
            outcome = outcome.or_else(|_| self.bind());
        }
        outcome.map(|_pair| ())
    }

    fn used(&self) -> usize {
        self.places.iter().filter(|place| place.taken.load(Ordering::Relaxed)).count()
    }

    fn bind_pair(&self, lease: Lease, local: SocketAddr) -> std::io::Result<Pair> {
        let rtp = net::bind_audio(local)?;
        // Also for who will share: both ports are known to be free then, for who comes later.
        let control = Some(net::bind_audio(control(local))?);
        Ok(Pair { home: self.plane, local, rtp, control, faults: 0, whole: true, lease })
    }
}

impl Pair {
    /// Binds the second port again.
    pub fn bind_control(&self) -> std::io::Result<UdpSocket> {
        net::bind_audio(control(self.local))
    }

    /// Whether another leg may have it.
    pub fn is_sound(&self) -> bool {
        self.faults == 0 && self.whole
    }

    /// The sockets that there are.
    pub fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        [Some(&self.rtp), self.control.as_ref()].into_iter().flatten()
    }
}

/// Where RTCP comes to where RTP comes to `local` (RFC 3550 §11).
fn control(local: SocketAddr) -> SocketAddr {
    SocketAddr::new(local.ip(), local.port() + 1)
}

impl Lease {
    fn take(places: &Arc<[Place]>, index: usize) -> Option<Lease> {
        let was_taken = places[index].taken.swap(true, Ordering::Acquire);
        (!was_taken).then(|| Lease { places: Arc::clone(places), index })
    }

    /// A leg has ended that heard this peer last.
    pub fn leave(&self, at: Instant, peer: Former) {
        *self.left() = Some(Left { at, peer });
    }

    /// Who may still believe to be talking with an earlier leg.
    pub fn previous(&self, now: Instant) -> Option<Former> {
        self.left().filter(|left| now.since(left.at) < HAUNTED).map(|left| left.peer)
    }

    fn left(&self) -> MutexGuard<'_, Option<Left>> {
        self.places[self.index].left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.places[self.index].taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_share_a_range_of_ports() {
        type Row = ((u16, u16), u16, Vec<Vec<u16>>);
        let rows: [Row; 5] = [
            ((20_000, 20_007), 1, vec![vec![20_000, 20_002, 20_004, 20_006]]),
            ((20_000, 20_007), 2, vec![vec![20_000, 20_004], vec![20_002, 20_006]]),
            ((20_001, 20_006), 2, vec![vec![20_002], vec![20_004]]),
            ((20_000, 20_000), 1, vec![vec![]]),
            ((65_530, 65_535), 2, vec![vec![65_530, 65_534], vec![65_532]]),
        ];
        for (range, planes, expect) in rows {
            for (plane, expect) in (0..).zip(&expect) {
                let pairs = Pairs::new(IpAddr::from([127, 0, 0, 1]), range, plane, planes);
                let got: Vec<_> = (0..pairs.places.len()).map(|i| pairs.port(i)).collect();
                assert_eq!(&got, expect, "{range:?} {plane}/{planes}");
            }
        }
    }

    #[test]
    fn free_pairs_are_found_behind_those_of_another_program() {
        net::raise_file_limit();
        let ip = IpAddr::from([127, 0, 0, 83]);
        let range = (20_000, 20_000 + 4 * TRIES as u16 - 1);
        let mut other = Pairs::new(ip, range, 0, 1);
        let theirs: Vec<_> = (0..TRIES + 1).map(|_| other.bind().expect("nobody else has this address")).collect();
        let mut ours = Pairs::new(ip, range, 0, 1);
        let told = ours.bind().err().expect("so many are taken").to_string();
        assert!(
            told.ends_with(&format!("of {}, 0 are taken by calls and {TRIES} by other programs", 2 * TRIES)),
            "{told}"
        );
        assert_eq!(ours.bind().expect("the search goes on").local.port(), range.0 + 2 * (TRIES as u16 + 1));
        Pairs::new(ip, range, 0, 1).try_all().expect("a start finds them at once");
        drop(theirs);
    }
}
