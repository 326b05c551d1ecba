//! Whose connections are kept: of many that serve nobody the oldest goes, and one whose peer is gone without a word ends.

use super::desktop::Office;
use super::harness::{GENEROUS, Ground, SECOND, wait_until};
use super::nets::{OFFICE, Place, Trouble, Wire as Cable};
use super::server::{DIRECT, Server, Wishes};
use super::streams::{URI, ended, silent_call, with_sip};
use super::wire::{Wire, ack, invite, options};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Who has neither registered nor called gives way, the oldest first, and nobody else does.
#[test]
fn connections_that_serve_nobody_keep_nobody_out() {
    let ground = Ground::new("crowded");
    let server = Server::start(&ground, &with_sip("[server.sip.connections]\nmost = 4"));
    let asks = |number: u32| {
        let mut wire = Wire::to(server.sip);
        wire.say(options(number, "TCP", URI));
        wire.until("200");
        wire
    };
    let calls = || silent_call(&server, "sip:raw@127.0.0.1:9;transport=tcp", "");
    let mut call = calls();
    let [mut oldest, mut second, mut third] = [1, 2, 3].map(asks);
    let mut late = asks(4);
    assert!(oldest.is_closed());
    wait_until("it is counted", 5 * SECOND, || ended(&server, "gave_way") == 1.0);
    for (wire, number) in [&mut call, &mut second, &mut third, &mut late].into_iter().zip(5..) {
        wire.say(options(number, "TCP", URI));
        wire.until("200");
    }
    let more: Vec<_> = (0..3).map(|_| calls()).collect();
    assert!([second, third, late].iter_mut().all(Wire::is_closed));
    // All are in use by calls: nobody's gives way.
    assert!(Wire::to(server.sip).is_closed());
    assert_eq!(server.metrics()["tierline_sip_connections_refused_total{limit=\"total\"}"], 1.0);
    call.say(options(9, "TCP", URI));
    call.until("200");
    assert_eq!((more.len(), ended(&server, "gave_way")), (3, 4.0));
}

/// Phones behind a cable that is cut: what they would do is never known. Who is sent something must take it within half a
/// minute; who is sent nothing is asked after a minute by the system, and nothing else does: phones are not asked here.
#[test]
fn connections_whose_peer_is_gone_without_a_word_end() {
    let ground = Ground::new("half_open");
    let office = Place::begin();
    let cable = Cable::lay(&office, Trouble::default(), None);
    let sip = "[server.sip.registration]\nkeepalive = \"off\"".to_owned();
    let server = Server::start(&ground, &Wishes { ip: OFFICE, silence: "2s", sip, ..Wishes::agents(&["ada"]) });
    let at = server.sip;
    let [mut idle, mut calls] = cable.home.inside(|| [Wire::to(at), Wire::to(at)]);
    idle.say(options(1, "TCP", URI));
    idle.until("200");
    calls.say(invite(&format!("sip:{DIRECT}@{at}"), "sip:raw@203.0.113.2:9;transport=tcp", ""));
    let ok = calls.until("200");
    calls.say(ack(&ok));
    cable.cut();
    let broken = || ended(&server, "broken");
    wait_until("the caller's connection ends, whose BYE he does not take", 50 * SECOND, || broken() >= 1.0);
    wait_until("so does the one that nobody used", 70 * SECOND, || broken() >= 2.0);
    // They had not been closed by the other side.
    idle.stream.set_nonblocking(true).expect("an option set");
    assert_eq!(idle.stream.peek(&mut [0]).expect_err("nothing came").kind(), std::io::ErrorKind::WouldBlock);
}

/// Whether the other side ends it, whatever it says before.
fn ends(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(GENEROUS)).expect("a time-out");
    loop {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(why) => return why.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// What an HTTP/2 server's first SETTINGS say of this (RFC 9113 §6.5).
fn setting(stream: &mut TcpStream, which: u16) -> Option<u32> {
    stream.set_read_timeout(Some(GENEROUS)).expect("a time-out");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("a preface");
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!((head[3], head[4]), (4, 0), "SETTINGS come first");
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut body).expect("its body");
    let all = body.chunks_exact(6).map(|one| (u16::from_be_bytes([one[0], one[1]]), &one[2..]));
    all.filter(|(id, _)| *id == which)
        .map(|(_, value)| u32::from_be_bytes(value.try_into().expect("four bytes")))
        .next_back()
}

/// Whoever can reach the port of gRPC and has no token keeps no desktop out; who has proven himself keeps his place.
#[test]
fn a_desktop_has_its_connection_however_many_say_nothing() {
    let ground = Ground::new("connections_desk");
    let office = Office::with(&ground, None, Wishes::agents(&["ada", "ben"]), "connections = 2\ncalls_each = 3\n");
    let connect = || TcpStream::connect(&office.grpc).expect("a connection");
    // They are taken in the order in which they came.
    let mut silent = [connect(), connect()];
    assert_eq!(setting(&mut silent[1], 3), Some(3), "MAX_CONCURRENT_STREAMS");
    let first = office.watch("operator", 1);
    assert!(ends(&mut silent[0]), "who came first gives way first");
    let _second = office.watch("ada", 1);
    assert!(ends(&mut silent[1]));
    assert!(ends(&mut connect()), "all places are those of desktops");
    drop(first);
    let _third = office.watch("ben", 1);
}
