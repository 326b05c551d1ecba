//! Whoever can reach the pages can take no connection with what is no request, and cannot keep others from theirs.

use super::harness::{Ground, SECOND, wait_until};
use super::server::{Server, Wishes, get};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn connected(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.http).expect("a connection");
    stream.set_read_timeout(Some(20 * SECOND)).expect("a time-out");
    stream
}

#[test]
fn who_says_nothing_or_never_ends_a_request_takes_no_place_for_long() {
    let ground = Ground::new("pages");
    let http = "connections = 3\ntimeout = \"2s\"\n";
    let server = Server::start(&ground, &Wishes { http, ..Wishes::agents(&["ada"]) });
    let mut silent = [(); 3].map(|()| connected(&server));
    // All places are taken, and given up.
    wait_until("a place", 20 * SECOND, || get(server.http, "/healthz").is_some_and(|(status, _)| status == 200));
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 64]).expect("the end of the connection"), 0);
    }
    // A header that grows, byte by byte.
    let mut slow = connected(&server);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX: ").expect("sent");
    slow.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    let mut looks = 0;
    loop {
        let cut = slow.write_all(b"x").is_err() || matches!(slow.read(&mut [0; 512]), Ok(0));
        if cut {
            break;
        }
        looks += 1;
        assert!(looks < 300, "he may go on for ever");
    }
    // Who asks again and again over one connection keeps it.
    let mut asks = connected(&server);
    for _ in 0..30 {
        asks.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n").expect("sent");
        let mut answer = [0; 512];
        let length = asks.read(&mut answer).expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
        super::harness::talk_for(Duration::from_millis(100));
    }
}

/// A probe has its answer however many hold their connections, also with whole requests; the one that was answered longest
/// ago gives way, and nobody else.
#[test]
fn who_holds_all_places_gives_way_to_a_probe() {
    let ground = Ground::new("pages_held");
    let http = "connections = 3\ntimeout = \"10m\"\n";
    let server = Server::start(&ground, &Wishes { http, ..Wishes::agents(&["ada"]) });
    let mut held = [(); 3].map(|()| connected(&server));
    let ask = |stream: &mut TcpStream| {
        _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"); // he may be gone
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).unwrap_or(0);
        answer[..length].starts_with(b"HTTP/1.1 200")
    };
    // What the start of the server has left goes first.
    wait_until("three answers", 20 * SECOND, || {
        for stream in &mut held {
            if !ask(stream) {
                *stream = connected(&server);
                return false;
            }
        }
        true
    });
    assert!(ask(&mut held[0]), "the second was answered longest ago then");
    assert!(get(server.http, "/readyz").is_some_and(|(status, _)| status == 200), "nobody gives way");
    assert!(ask(&mut held[0]) && ask(&mut held[2]) && !ask(&mut held[1]));
}
