//! One plane's share of the range of UDP ports: which of its pairs are free, and how one is bound.

use super::super::net;
use anyhow::{Context, Result};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// One plane's share of the range of UDP ports: every n-th pair of it.
pub struct Pairs {
    bind: IpAddr,
    first: u16,
    pub plane: u16,
    planes: u16,
    taken: Vec<bool>,
    /// Where the search goes on, so that a port rests before it is used again.
    next: usize,
}

/// A leg's two sockets (RFC 3550 §11), wherever they are watched.
pub struct Pair {
    /// Whose share of the range they are of, and their place in it.
    pub home: u16,
    pub index: usize,
    /// Where RTP comes; RTCP comes to the next port.
    pub local: SocketAddr,
    pub rtp: UdpSocket,
    pub control: UdpSocket,
    /// Receiving has failed so often since it last did not.
    pub faults: u32,
}

/// Pairs that others hold may be met so often before a leg gets none.
const TRIES: usize = 64;

impl Pairs {
    pub fn new(bind: IpAddr, (first, last): (u16, u16), plane: u16, planes: u16) -> Pairs {
        let first = first.next_multiple_of(2);
        let all = (usize::from(last) + 1).saturating_sub(usize::from(first)) / 2;
        let share = (all + usize::from(planes) - 1).saturating_sub(usize::from(plane)) / usize::from(planes);
        Pairs { bind, first, plane, planes, taken: vec![false; share], next: 0 }
    }

    fn port(&self, index: usize) -> u16 {
        self.first + 2 * (index * usize::from(self.planes) + usize::from(self.plane)) as u16
    }

    /// Binds the next pair that is free.
    pub fn bind(&mut self) -> Result<Pair> {
        let share = self.taken.len();
        let mut tries = 0;
        for index in (0..share).map(|i| (self.next + i) % share) {
            if self.taken[index] || tries == TRIES {
                continue;
            }
            tries += 1;
            let local = SocketAddr::new(self.bind, self.port(index));
            match self.bind_pair(index, local) {
                Ok(pair) => {
                    (self.taken[index], self.next) = (true, (index + 1) % share);
                    return Ok(pair);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(e) => return Err(e).with_context(|| format!("cannot open udp {local}")),
            }
        }
        anyhow::bail!("no free pair of ports ({share} for this plane, {} taken by it)", self.used())
    }

    fn used(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count()
    }

    fn bind_pair(&self, index: usize, local: SocketAddr) -> std::io::Result<Pair> {
        let rtp = net::bind_audio(local)?;
        let control = net::bind_audio(SocketAddr::new(self.bind, local.port() + 1))?;
        Ok(Pair { home: self.plane, index, local, rtp, control, faults: 0 })
    }

    /// A pair of this share is open somewhere.
    pub fn take(&mut self, index: usize) {
        self.taken[index] = true;
    }

    /// A pair of this share is closed.
    pub fn give_back(&mut self, index: usize) {
        self.taken[index] = false;
    }

    /// All pairs of this share are closed, or are where binding them fails.
    pub fn give_all_back(&mut self) {
        self.taken.fill(false);
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
                let got: Vec<_> = (0..pairs.taken.len()).map(|i| pairs.port(i)).collect();
                assert_eq!(&got, expect, "{range:?} {plane}/{planes}");
            }
        }
    }
}
