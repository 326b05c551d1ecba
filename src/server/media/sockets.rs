//! One plane's sockets: which leg has which pair of ports, and who is told by which token.

use super::super::net::{self, Epoll};
use crate::ids::PortId;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// One thread's sockets. A token is a place in the table, doubled, and one more for RTCP.
pub struct Sockets {
    pairs: Pairs,
    pub epoll: Epoll,
    table: Vec<Option<Pair>>,
    free: Vec<usize>,
    slots: BTreeMap<u64, usize>,
    /// Packets that the system would not take.
    pub unsent: u64,
}

struct Pair {
    port: PortId,
    index: usize,
    rtp: UdpSocket,
    control: UdpSocket,
}

impl Sockets {
    pub fn new(pairs: Pairs, epoll: Epoll) -> Sockets {
        Sockets { pairs, epoll, table: Vec::new(), free: Vec::new(), slots: BTreeMap::new(), unsent: 0 }
    }

    /// The port and the socket that a token means, and whether that is for RTCP.
    pub fn of(&self, token: u64) -> Option<(PortId, &UdpSocket, bool)> {
        let pair = self.table.get(usize::try_from(token >> 1).ok()?)?.as_ref()?;
        let control = token & 1 == 1;
        Some((pair.port, if control { &pair.control } else { &pair.rtp }, control))
    }

    pub fn open(&mut self, port: PortId) -> Result<SocketAddr> {
        let (index, rtp, control) = self.pairs.bind()?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            self.table.len() - 1
        });
        // From here on `close` can undo all of it.
        self.slots.insert(port.number, slot);
        let pair = self.table[slot].insert(Pair { port, index, rtp, control });
        let token = slot as u64 * 2;
        let watched = self.epoll.add(&pair.rtp, token).and_then(|()| self.epoll.add(&pair.control, token + 1));
        let local = watched.and_then(|()| pair.rtp.local_addr());
        if local.is_err() {
            self.close(port);
        }
        local.context("cannot watch a leg's sockets")
    }

    /// Closing takes the sockets out of epoll too.
    pub fn close(&mut self, port: PortId) {
        let Some(slot) = self.slots.remove(&port.number) else { return };
        if let Some(pair) = self.table[slot].take() {
            self.pairs.give_back(pair.index);
        }
        self.free.push(slot);
    }

    pub fn close_all(&mut self) -> Vec<PortId> {
        let ports: Vec<_> = self.table.iter().flatten().map(|pair| pair.port).collect();
        ports.iter().for_each(|port| self.close(*port));
        ports
    }

    fn pair(&self, port: PortId) -> Option<&Pair> {
        self.table[*self.slots.get(&port.number)?].as_ref()
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

/// One plane's share of the range of UDP ports: every n-th pair of it.
pub struct Pairs {
    bind: IpAddr,
    first: u16,
    plane: usize,
    planes: usize,
    taken: Vec<bool>,
    /// Where the search goes on, so that a port rests before it is used again.
    next: usize,
}

/// Pairs that others hold may be met so often before a leg gets none.
const TRIES: usize = 64;

impl Pairs {
    pub fn new(bind: IpAddr, (first, last): (u16, u16), plane: usize, planes: usize) -> Pairs {
        let first = first.next_multiple_of(2);
        let all = (usize::from(last) + 1).saturating_sub(usize::from(first)) / 2;
        let share = (all + planes - 1).saturating_sub(plane) / planes;
        Pairs { bind, first, plane, planes, taken: vec![false; share], next: 0 }
    }

    fn port(&self, index: usize) -> u16 {
        self.first + 2 * (index * self.planes + self.plane) as u16
    }

    fn bind(&mut self) -> Result<(usize, UdpSocket, UdpSocket)> {
        let share = self.taken.len();
        let mut tries = 0;
        for index in (0..share).map(|i| (self.next + i) % share) {
            if self.taken[index] || tries == TRIES {
                continue;
            }
            tries += 1;
            let port = self.port(index);
            match self.bind_pair(port) {
                Ok((rtp, control)) => {
                    (self.taken[index], self.next) = (true, (index + 1) % share);
                    return Ok((index, rtp, control));
                }
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(e) => {
                    return Err(e).with_context(|| format!("cannot open udp {}", SocketAddr::new(self.bind, port)));
                }
            }
        }
        anyhow::bail!("no free pair of ports ({share} for this plane, {} taken by it)", self.used())
    }

    fn used(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count()
    }

    fn bind_pair(&self, port: u16) -> std::io::Result<(UdpSocket, UdpSocket)> {
        let open = |port| {
            let socket = UdpSocket::bind((self.bind, port))?;
            socket.set_nonblocking(true)?;
            net::limit_buffers(&socket);
            Ok::<_, std::io::Error>(socket)
        };
        Ok((open(port)?, open(port + 1)?))
    }

    fn give_back(&mut self, index: usize) {
        self.taken[index] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_share_a_range_of_ports() {
        type Row = ((u16, u16), usize, Vec<Vec<u16>>);
        let rows: [Row; 5] = [
            ((20_000, 20_007), 1, vec![vec![20_000, 20_002, 20_004, 20_006]]),
            ((20_000, 20_007), 2, vec![vec![20_000, 20_004], vec![20_002, 20_006]]),
            ((20_001, 20_006), 2, vec![vec![20_002], vec![20_004]]),
            ((20_000, 20_000), 1, vec![vec![]]),
            ((65_530, 65_535), 2, vec![vec![65_530, 65_534], vec![65_532]]),
        ];
        for (range, planes, expect) in rows {
            for (plane, expect) in expect.iter().enumerate() {
                let pairs = Pairs::new(IpAddr::from([127, 0, 0, 1]), range, plane, planes);
                let got: Vec<_> = (0..pairs.taken.len()).map(|i| pairs.port(i)).collect();
                assert_eq!(&got, expect, "{range:?} {plane}/{planes}");
            }
        }
    }
}
