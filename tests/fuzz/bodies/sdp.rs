//! One input as a session description: as an offer that we answer, and as the answer to an offer of ours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tierline::media::codec::Codec;
use tierline::media::{Local, sdp};

pub fn local() -> Local {
    Local {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 20_000),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        session_id: 1,
        version: 1,
        direction: Default::default(),
        telephone_event: true,
        mux: true,
        protection: Default::default(),
        secret: None,
        agreed: None,
    }
}

pub fn run(bytes: &[u8]) {
    let local = local();
    if let Ok((answer, session)) = sdp::answer(bytes, &local) {
        assert!(!answer.is_empty() && session.receive.iter().all(|(payload, _)| *payload < 128));
    }
    let _ = sdp::accept(&sdp::offer(&local), bytes);
}
