//! What the running server answers to each message of RFC 4475, byte for byte as they are, over UDP.

#[path = "../torture/rows.rs"]
mod rows;

use super::alone;
use super::harness::{Ground, SECOND};
use super::server::{Server, Wishes};
use super::wire::options;
use rows::TORTURE;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;

/// Where the Vias of the messages want their answers: at the place that they come from, at these ports.
const PORTS: [u16; 3] = [5060, 5050, 5070];

#[test]
fn every_torture_message_gets_its_answer() {
    alone::network();
    let ground = Ground::new("torture");
    // By turns, for some are repetitions of others by their Via.
    let server = Server::start(&ground, &Wishes::agents(&["user"]));
    let second = Ground::new("torture_2");
    let other = Server::start(&second, &Wishes::agents(&["user"]));
    let ports = PORTS.map(|port| UdpSocket::bind(("127.0.0.1", port)).expect("a port"));
    ports.iter().for_each(|port| port.set_read_timeout(Some(20 * SECOND)).expect("a time-out"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let mut answers = BTreeMap::<&str, Vec<u16>>::new();
    for (number, (name, ..)) in (1..).zip(TORTURE) {
        let message = std::fs::read(folder.join(format!("{name}.dat"))).expect("a message");
        let server = if number % 2 == 0 { &server } else { &other };
        ports[0].send_to(&message, server.sip).expect("a message sent");
        let id = call_id(&String::from_utf8_lossy(&message));
        // What is asked afterwards is answered afterwards.
        for port in &ports {
            let at = port.local_addr().expect("an address").to_string();
            let ours = options(number * 10 + u32::from(at.as_bytes()[12]), "UDP", "sip:127.0.0.1");
            port.send_to(ours.replace("127.0.0.1:5999", &at).as_bytes(), server.sip).expect("a question sent");
            let mut room = [0; 65_535];
            loop {
                let (count, _) = port.recv_from(&mut room).expect("an answer to the question");
                let said = String::from_utf8_lossy(&room[..count]).into_owned();
                let status: u16 = said[8..11].parse().expect("a status");
                match call_id(&said) {
                    asked if asked == call_id(&ours) => break,
                    known if known == id && !answers.get(name).is_some_and(|all| all.contains(&status)) => {
                        answers.entry(name).or_default().push(status);
                    }
                    _ => {} // an earlier one's, again
                }
            }
        }
    }
    let wrong = TORTURE.iter().filter(|(name, .., expect)| answers.get(name).map_or(&[][..], Vec::as_slice) != *expect);
    let wrong: Vec<String> =
        wrong.map(|(name, section, ..)| format!("{name} {section}: {:?}", answers.get(name))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(server.calls().is_empty() && other.calls().is_empty(), "nothing of it is a call");
}

fn call_id(text: &str) -> String {
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        ["call-id", "i"].contains(&name.trim().to_ascii_lowercase().as_str()).then(|| value.trim().to_owned())
    };
    text.lines().find_map(named).unwrap_or_default()
}
