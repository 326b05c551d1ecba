//! Inputs for an open port of a media plane: RTP and RTCP on one port (RFC 5761), and RTCP on one of its own, from its peer
//! and from a stranger.

use std::net::SocketAddr;
use std::sync::Arc;
use tierline::ids::{PortId, Rng};
use tierline::media::{Command, Input, Plane, Settings, Sounds, sdp};
use tierline::time::Instant;

const PEER: &str = "192.0.2.9:4000";
const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\n";

/// A plane with one port that talks to [`PEER`].
pub struct Talk {
    plane: Plane,
    port: PortId,
    now: Instant,
}

impl Talk {
    pub fn new() -> Talk {
        let (plane, port) = (
            Plane::new(Settings::default(), Arc::new(Sounds::default()), Rng::from_number(1)),
            PortId { plane: 0, number: 1 },
        );
        let mut talk = Talk { plane, port, now: Instant(1_000_000_000) };
        let local: SocketAddr = "192.0.2.1:20000".parse().unwrap();
        talk.input(Input::Command(Command::Open { port, six: false }));
        talk.input(Input::Bound { port, local, previous: None });
        let (_, session) = sdp::answer(OFFER, &super::sdp_body::local()).expect("a plain offer");
        talk.input(Input::Command(Command::Connect { port, session }));
        talk
    }

    fn input(&mut self, input: Input<'_>) {
        self.plane.handle(self.now, input);
        while self.plane.poll().is_some() {}
    }

    /// RTP, and 20 ms.
    pub fn rtp(&mut self, bytes: &[u8]) {
        let (port, from) = (self.port, self.from(bytes));
        self.input(Input::Packet { port, from, bytes });
        self.now.0 += 20_000_000;
        self.input(Input::Timeout);
    }

    pub fn rtcp(&mut self, bytes: &[u8]) {
        let (port, from) = (self.port, self.from(bytes));
        self.input(Input::Control { port, from, bytes });
    }

    fn from(&self, bytes: &[u8]) -> SocketAddr {
        let stranger = bytes.last().is_some_and(|last| last % 8 == 7);
        if stranger { "198.51.100.1:9".parse().unwrap() } else { PEER.parse().unwrap() }
    }
}
