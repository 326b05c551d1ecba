//! Where a leg's packets come from and go to, when its SDP may be wrong about it because of NAT.
//!
//! ```text
//!            packet from the SDP's address
//!  Probation ──────────────────────────────▶ Locked to that address
//!      │ n consecutive packets of one other address
//!      └───────────────────────────────────▶ Locked to that one (Latched)
//! ```
//! Once locked, packets from a third address neither redirect the leg nor are they heard; only the SDP's own address
//! takes it back. A new address in a new SDP starts again. What another leg that had the same port not long ago heard,
//! from the same address with the same SSRC, is heard only where the SDP names that address, or the packets are of this
//! leg by their key: its peer may not know that the call is over. With another SSRC it is a new call of the same phone,
//! since each session has a random one (RFC 3550 §8).
//!
//! NAT explains another port of the SDP's own address, and any address if the SDP names one that only its own network
//! knows. For others n is [`DOUBT`] times as many, unless the packets prove by their key whose they are. Left out: the
//! address that signaling came from, which is another host's as often as not.

use super::rtp::{self, Packet};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// What is asked of an address that NAT does not explain: of a gateway that sends from another one than it names, or of
/// a stranger who hopes to be first. With 3 packets else, it is heard after 300 ms.
pub const DOUBT: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the leg's peer.
    Known,
    /// From the leg's peer, whose address is known from now on.
    Latched,
    /// From elsewhere, or not yet long enough.
    Foreign,
}

/// What else than its address says that a packet is the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    Address,
    /// Its key.
    Authentic,
}

/// Whom a leg heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    pub address: SocketAddr,
    /// The source that its packets named.
    pub ssrc: u32,
}

impl Former {
    /// Whose a datagram is; nobody's if it does not begin as RTP, encrypted or not, does.
    pub fn of(address: SocketAddr, bytes: &[u8]) -> Option<Former> {
        rtp::source(bytes).map(|(_, _, ssrc)| Former { address, ssrc })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latch {
    sdp: SocketAddr,
    remote: SocketAddr,
    locked: bool,
    /// The source that was heard last from `remote`.
    heard: Option<u32>,
    /// The address that the peer's own SDP has just moved away from; what still comes from there is old.
    left: Option<SocketAddr>,
    /// Whom another leg that had the same port heard last.
    previous: Option<Former>,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    sequence: u16,
    count: u8,
}

impl Latch {
    /// `previous` is whom another leg that had the same port not long ago heard last.
    pub fn new(sdp: SocketAddr, previous: Option<Former>) -> Latch {
        Latch { sdp, remote: sdp, locked: false, heard: None, left: None, previous, candidate: None }
    }

    /// Where to send.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Whom it has heard there last.
    pub fn former(&self) -> Option<Former> {
        self.heard.map(|ssrc| Former { address: self.remote, ssrc })
    }

    /// The peer has sent a new SDP. One that names nobody (the hold of RFC 2543) leaves the peer who he is.
    pub fn moved(&mut self, sdp: SocketAddr) {
        if sdp != self.sdp && !sdp.ip().is_unspecified() {
            let left = (self.remote == self.sdp).then_some(self.sdp);
            *self = Latch { left, ..Latch::new(sdp, self.previous) };
        }
    }

    /// Whether nothing from there can be heard, whatever it is.
    pub fn is_closed_to(&self, from: SocketAddr) -> bool {
        self.locked && from != self.sdp && from != self.remote
    }

    /// Whether RTCP from there is the peer's where it shares the port of RTP (RFC 5761): it comes from where its packets
    /// come from, and before those show where, from the address that its SDP names, whatever port its NAT has chosen.
    pub fn is_control_of(&self, from: SocketAddr) -> bool {
        match self.locked {
            true => from == self.sdp || from == self.remote,
            false => from.ip() == self.sdp.ip(),
        }
    }

    /// A valid packet; `after` of them in a row from one other address that can be the peer's move the leg there.
    pub fn packet(&mut self, from: SocketAddr, packet: &Packet<'_>, after: u8, proof: Proof) -> Verdict {
        let verdict = self.judge(from, packet, after, proof);
        if verdict != Verdict::Foreign {
            self.heard = Some(packet.ssrc);
        }
        verdict
    }

    fn judge(&mut self, from: SocketAddr, packet: &Packet<'_>, after: u8, proof: Proof) -> Verdict {
        // Whoever sent first from elsewhere may have been a stranger: the address that the peer itself named takes
        // the leg back at any time, and with it every stranger is out for good.
        if self.locked && from != self.sdp {
            return if from == self.remote { Verdict::Known } else { Verdict::Foreign };
        }
        if from == self.sdp {
            (self.locked, self.remote, self.candidate) = (true, from, None);
            return Verdict::Known;
        }
        let former = Former { address: from, ssrc: packet.ssrc };
        if self.previous == Some(former) && proof == Proof::Address {
            return Verdict::Foreign; // and whoever is on probation stays so
        }
        let explained = proof == Proof::Authentic || from.ip() == self.sdp.ip() || is_local(self.sdp.ip());
        let after = if explained { after } else { after.saturating_mul(DOUBT) };
        if self.left == Some(from) || self.count(from, packet) < after {
            return Verdict::Foreign;
        }
        (self.locked, self.remote, self.candidate) = (true, from, None);
        Verdict::Latched
    }

    /// How many consecutive packets have come from there (RFC 3550 A.1 probation, by address).
    fn count(&mut self, from: SocketAddr, packet: &Packet<'_>) -> u8 {
        let follows =
            |c: &Candidate| c.from == from && c.ssrc == packet.ssrc && packet.sequence == c.sequence.wrapping_add(1);
        let count = self.candidate.filter(follows).map_or(1, |c| c.count.saturating_add(1));
        self.candidate = Some(Candidate { from, ssrc: packet.ssrc, sequence: packet.sequence, count });
        count
    }
}

/// Whether only the address's own network knows it, so that its owner is seen under another one elsewhere.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // RFC 6598: 100.64.0.0/10 is between a carrier's NAT and its customers'.
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || ip.is_unspecified() || a == 100 && b & 0xc0 == 64
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets as `<sender><sequence>`, of SSRC 1, or 2 with `'` behind; `>x` as a new SDP; the verdicts, and where we
    /// send in the end.
    fn check(packets: &str, verdicts: &str, remote: char) {
        check_after(None, packets, verdicts, remote);
    }

    /// The same, of a leg whose port was another's before, which heard SSRC 1 from there.
    fn check_after(previous: Option<char>, packets: &str, verdicts: &str, remote: char) {
        let address = |c: char| match c {
            '0' => "0.0.0.0:4000".parse().unwrap(),
            c => SocketAddr::from(([10, 0, 2, c as u8], 4000)),
        };
        let mut latch = Latch::new(address('s'), previous.map(|c| Former { address: address(c), ssrc: 1 }));
        let mut got = String::new();
        for word in packets.split(' ') {
            let sender = word.chars().next().unwrap();
            if sender == '>' {
                latch.moved(address(word.chars().nth(1).unwrap()));
                got.push('>');
                continue;
            }
            let sequence = word[1..].trim_end_matches('\'').parse().unwrap();
            let ssrc = if word.ends_with('\'') { 2 } else { 1 };
            let packet = Packet { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc, payload: b"x" };
            got.push(match latch.packet(address(sender), &packet, 3, Proof::Address) {
                Verdict::Known => 'k',
                Verdict::Latched => 'L',
                Verdict::Foreign => '-',
            });
        }
        assert_eq!((got.as_str(), latch.remote()), (verdicts, address(remote)), "{packets}");
    }

    #[test]
    fn legs_follow_their_peer_and_nobody_else() {
        check("s1 s2 a1 a2 a3 a4 s3", "kk----k", 's');
        check("a1 a2 a3 a4 s1 s2 a5 a6 a7", "--Lkkk---", 's'); // the SDP's own takes it back
        check("a65534 a65535 a0 b1 b2 b3", "--L---", 'a');
        check("a1 b1 a2 b2 a3 b3", "------", 's'); // not in a row
        check("a1 a2 a4 a5 a6", "----L", 'a'); // a gap starts again
        check("a1 a2 s1 a3 a4", "--k--", 's'); // the SDP's own wins
        check("s1 >s s2 a1 a2 a3", "k>k---", 's');
        check("s1 >t s2 s3 s4 s5 t1 t2", "k>----kk", 't'); // old packets do not bring it back
        check("s1 >t s2 a1 a2 a3 t1", "k>---Lk", 't');
        check("a1 a2 a3 >t a4 a5 a6 a7", "--L>--Lk", 'a'); // the same NAT after a re-INVITE
        // A hold as RFC 2543 has it names nobody: whoever was the peer stays it.
        check("s1 >0 a1 a2 a3 s2 >s s3", "k>---k>k", 's');
        check("a1 a2 a3 >0 b1 b2 b3 a4 >s a5", "--L>---k>k", 'a');
    }

    #[test]
    fn the_peer_of_the_leg_before_is_not_heard() {
        check_after(Some('p'), "p1 p2 p3 p4 p5 s1 p6", "-----k-", 's');
        check_after(Some('p'), "p1 p2 p3 a1 a2 a3 p4", "-----L-", 'a');
        check_after(Some('p'), "a1 p1 a2 p2 a3 p3", "----L-", 'a'); // nor does it hinder others
        check_after(Some('s'), "s1 s2 a1", "kk-", 's'); // many behind one address: it is the SDP's own
        check_after(Some('p'), "s1 >p s2 p1 p2", "k>-kk", 'p'); // a new SDP may name it
        check_after(Some('p'), "s1 >t p1 p2 p3 p4 t1", "k>----k", 't'); // and another one does not clear it
        check_after(Some('s'), "s1 >t s2 s3 s4 t1 >u t2 s5 s6 s7 s8", "k>---k>-----", 'u');
        let (previous, sdp) = ("10.0.2.80:4000".parse().unwrap(), "10.0.2.1:4000".parse().unwrap());
        let mut latch = Latch::new(sdp, Some(Former { address: previous, ssrc: 1 }));
        let packet =
            |sequence| Packet { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: 1, payload: b"x" };
        let latched = |n: &u16| latch.packet(previous, &packet(*n), 3, Proof::Authentic) == Verdict::Latched;
        assert_eq!((1..9).find(latched), Some(3), "its key is this leg's: the same phone calls again");
    }

    #[test]
    fn who_calls_again_is_heard() {
        check_after(Some('p'), "p1' p2' p3' p4'", "--Lk", 'p'); // the same NAT, a new session's SSRC
        check_after(Some('p'), "p1 p2 p3 p1' p2' p3'", "-----L", 'p'); // after what was late of the old
        check_after(Some('p'), "p1' p7 p2' p8 p3'", "----L", 'p'); // or between it
        check_after(Some('p'), "p1' p2' s1 p3'", "--k-", 's'); // it is on probation like others
        check_after(Some('p'), "s1 >t p1' p2' p3'", "k>--L", 'p');
        check_after(Some('p'), "a1 a2 a3", "--L", 'a'); // the same SSRC, from elsewhere
    }

    #[test]
    fn what_is_remembered_is_what_was_heard() {
        let [sdp, other, third]: [SocketAddr; 3] = [1, 2, 3].map(|c| ([10, 0, 2, c], 4000).into());
        let mut latch = Latch::new(sdp, None);
        let mut next = 0;
        let mut check = |latch: &mut Latch, from, ssrc, expect: Option<(SocketAddr, u32)>| {
            next += 1;
            let packet = Packet { marker: false, payload_type: 0, sequence: next, timestamp: 0, ssrc, payload: b"x" };
            latch.packet(from, &packet, 2, Proof::Address);
            assert_eq!(latch.former(), expect.map(|(address, ssrc)| Former { address, ssrc }), "{next}");
        };
        check(&mut latch, other, 5, None); // on probation
        check(&mut latch, other, 5, Some((other, 5)));
        check(&mut latch, third, 6, Some((other, 5)));
        check(&mut latch, other, 7, Some((other, 7)));
        check(&mut latch, sdp, 8, Some((sdp, 8)));
        latch.moved(third);
        assert_eq!(latch.former(), None, "nobody was heard there");
        check(&mut latch, third, 9, Some((third, 9)));
        latch.moved(third);
        check(&mut latch, other, 5, Some((third, 9)));
    }

    #[test]
    fn a_datagram_says_whose_it_is_if_it_is_rtp() {
        let address = "192.0.2.1:4000".parse().unwrap();
        let rtp = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2];
        let with = |at: usize, byte: u8| {
            let mut bytes = rtp;
            bytes[at] = byte;
            bytes
        };
        for (bytes, expect) in [
            (&rtp[..], Some(0x102)),
            (&rtp[..11], None),
            (b"", None),
            (&with(0, 0x40), None), // another version
            (&with(1, 200), None),  // RTCP
            (&with(0, 0x81), None), // a CSRC list that is not there
        ] {
            assert_eq!(Former::of(address, bytes), expect.map(|ssrc| Former { address, ssrc }), "{bytes:?}");
        }
    }

    #[test]
    fn strangers_must_wait_longer_than_nat() {
        // The SDP's address, the candidate's, its proof; after how many packets it is the leg's.
        for (sdp, from, proof, expect) in [
            ("198.51.100.9:4000", "198.51.100.9:9999", Proof::Address, 3),
            ("198.51.100.9:4000", "203.0.113.1:4000", Proof::Address, 15),
            ("198.51.100.9:4000", "203.0.113.1:4000", Proof::Authentic, 3),
            ("198.51.100.9:4000", "10.0.0.1:4000", Proof::Address, 15),
            ("10.1.2.3:4000", "203.0.113.1:4000", Proof::Address, 3),
            ("172.31.2.3:4000", "203.0.113.1:4000", Proof::Address, 3),
            ("172.32.2.3:4000", "203.0.113.1:4000", Proof::Address, 15),
            ("192.168.2.3:4000", "203.0.113.1:4000", Proof::Address, 3),
            ("100.64.2.3:4000", "203.0.113.1:4000", Proof::Address, 3),
            ("100.128.2.3:4000", "203.0.113.1:4000", Proof::Address, 15),
            ("169.254.2.3:4000", "203.0.113.1:4000", Proof::Address, 3),
            ("0.0.0.0:4000", "203.0.113.1:4000", Proof::Address, 3),
            ("[fd00::1]:4000", "[2001:db8::1]:4000", Proof::Address, 3),
            ("[2001:db8::2]:4000", "[2001:db8::1]:4000", Proof::Address, 15),
        ] {
            let mut latch = Latch::new(sdp.parse().unwrap(), None);
            let packet =
                |sequence| Packet { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: 1, payload: b"x" };
            let latched = |n: &u16| latch.packet(from.parse().unwrap(), &packet(*n), 3, proof) == Verdict::Latched;
            assert_eq!((1..100).find(latched), Some(expect), "{sdp} {from} {proof:?}");
            assert!(latch.is_closed_to("192.0.2.77:1".parse().unwrap()) && !latch.is_closed_to(sdp.parse().unwrap()));
        }
    }
}
