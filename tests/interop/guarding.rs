//! Attacks by a program that others attack with (SIPVicious): it finds neither passwords nor users, and those who work
//! here go on working.

use super::harness::{Ground, Program, SECOND, wait_for, wait_until};
use super::server::{Server, Wishes, password};
use super::wire::options;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use tierline::sip::digest::{Challenge, Login};
use tierline::sip::frame::Limits;
use tierline::sip::header::{Method, Name};
use tierline::sip::message::{Message, Response};

fn guarded(free: u32, limit: u32) -> Wishes {
    let sip = format!("[server.sip.guard]\ntrusted = []\nfree = {free}\nlimit = {limit}\npause = \"1m\"");
    Wishes { sip, ..Wishes::agents(&["ada"]) }
}

/// Guesses the password of ada from a list that ends with the right one.
fn crack(ground: &Ground, server: &Server) -> Program {
    let mut words: Vec<String> = (0..60).map(|n| format!("guess-{n}")).collect();
    words.push(password("ada"));
    std::fs::write(ground.file("words"), words.join("\n") + "\n").expect("a file");
    let mut command = Command::new("svcrack");
    let (port, from) = (server.sip.port().to_string(), ground.port().to_string());
    command.args(["-u", "ada", "-d", "words", "-p", &port, "-P", &from, "--maximumtime=3", "127.0.0.1"]);
    ground.run("svcrack", &mut command)
}

/// What svcrack prints of a password that it has found.
fn found(attack: &Program) -> bool {
    (attack.output() + &attack.errors()).contains(&password("ada"))
}

fn counted(server: &Server, name: &str) -> f64 {
    server.metrics().get(name).copied().unwrap_or_default()
}

/// A phone that says what it is told, over UDP.
pub struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
    cseq: u32,
}

impl Phone {
    pub fn at(ip: &str, server: &Server) -> Phone {
        let ip: IpAddr = ip.parse().expect("an address");
        let socket = UdpSocket::bind((ip, 0)).expect("a socket");
        socket.set_read_timeout(Some(5 * SECOND)).expect("a time-out");
        Phone { socket, server: server.sip, cseq: 0 }
    }

    fn answer(&self) -> Response {
        let mut bytes = [0; 4_096];
        let (count, _) = self.socket.recv_from(&mut bytes).expect("an answer");
        match Message::parse(&bytes[..count], &Limits::default()) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn register(&mut self, more: &str) -> Response {
        self.cseq += 1;
        let (at, number) = (self.socket.local_addr().expect("an address"), self.cseq);
        let text = format!(
            "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bK-{at}-{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:ada@127.0.0.1>;tag=1\r\nTo: <sip:ada@127.0.0.1>\r\nCall-ID: {at}\r\n\
             CSeq: {number} REGISTER\r\nContact: <sip:ada@{at}>\r\nExpires: 600\r\n{more}Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(text.as_bytes(), self.server).expect("sent");
        self.answer()
    }

    /// The status that the right password gets.
    fn sign_in(&mut self) -> u16 {
        let refused = self.register("");
        let challenge = refused.headers.get(&Name::WwwAuthenticate).expect("a challenge");
        let challenge = Challenge::parse(challenge).expect("a challenge that can be read");
        let secret = password("ada");
        let login = Login { user: "ada", password: &secret };
        let proof = challenge.answer(login, &Method::Register, "sip:127.0.0.1", 1, "c");
        self.register(&format!("Authorization: {proof}\r\n")).status
    }

    /// The last answer to a call to a short code, which nobody may call without a proof.
    fn call(&mut self, more: &str) -> Response {
        self.cseq += 1;
        let (at, number) = (self.socket.local_addr().expect("an address"), self.cseq);
        let text = format!(
            "INVITE sip:*1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bK-{at}-{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:ada@127.0.0.1>;tag={number}\r\nTo: <sip:*1@127.0.0.1>\r\n\
             Call-ID: {number}-{at}\r\nCSeq: {number} INVITE\r\nContact: <sip:ada@{at}>\r\n{more}Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(text.as_bytes(), self.server).expect("sent");
        let ours = |answer: &Response| answer.headers.cseq().is_ok_and(|cseq| cseq.number == number);
        loop {
            let answer = self.answer();
            if answer.status >= 200 && ours(&answer) {
                return answer;
            }
        }
    }

    /// The status that a call gets with a password that is wrong.
    pub fn guesses(&mut self) -> u16 {
        let refused = self.call("");
        let challenge = refused.headers.get(&Name::WwwAuthenticate).expect("a challenge");
        let challenge = Challenge::parse(challenge).expect("a challenge that can be read");
        let login = Login { user: "ada", password: "guessed" };
        let proof = challenge.answer(login, &Method::Invite, "sip:*1@127.0.0.1", 1, "c");
        self.call(&format!("Authorization: {proof}\r\n")).status
    }

    fn asks(&self) {
        let own = self.socket.local_addr().expect("an address").to_string();
        let text = options(1, "UDP", "sip:127.0.0.1").replace("127.0.0.1:5999", &own);
        self.socket.send_to(text.as_bytes(), self.server).expect("sent");
    }
}

#[test]
fn a_cracker_of_passwords_is_banned_and_a_working_phone_goes_on() {
    let ground = Ground::new("banned");
    let server = Server::start(&ground, &guarded(1_000, 20));
    let mut phone = Phone::at("127.0.0.1", &server);
    assert_eq!(phone.sign_in(), 200);
    let mut attack = crack(&ground, &server);
    wait_until("the attacker is banned", 20 * SECOND, || {
        counted(&server, "tierline_sip_bans_total{of=\"address\"}") == 1.0
    });
    attack.wait(30 * SECOND);
    assert!(!found(&attack), "the password was found: {}", attack.output());
    assert_eq!(counted(&server, "tierline_sip_auth_failures_total{reason=\"wrong\"}"), 20.0);
    // Whoever else is at that address is not heard either; but the phone that was registered is.
    let dropped = || counted(&server, "tierline_sip_banned_messages_total");
    let before = dropped();
    Phone::at("127.0.0.1", &server).asks();
    wait_until("an OPTIONS is dropped", 5 * SECOND, || dropped() > before);
    assert_eq!(phone.sign_in(), 200, "a working phone was locked out");
    // From elsewhere everything is as it was.
    let other = Phone::at("127.0.0.2", &server);
    other.asks();
    assert_eq!(other.answer().status, 200);
    assert_eq!(counted(&server, "tierline_sip_banned{of=\"address\"}"), 1.0);
    // But for whom the passwords were guessed of: he gets in from nowhere new, not even with the right one.
    assert_eq!(Phone::at("127.0.0.2", &server).sign_in(), 401, "a guesser only has to change his address");
    let of_users = ["tierline_sip_bans_total{of=\"user\"}", "tierline_sip_banned{of=\"user\"}"];
    assert_eq!(of_users.map(|name| counted(&server, name)), [1.0, 1.0]);
}

#[test]
fn a_cracker_of_passwords_is_slowed() {
    let ground = Ground::new("slowed");
    let server = Server::start(&ground, &guarded(3, 1_000));
    let mut attack = crack(&ground, &server);
    attack.wait(60 * SECOND);
    assert!(!found(&attack), "the password was found: {}", attack.output());
    assert_eq!(counted(&server, "tierline_sip_auth_failures_total{reason=\"wrong\"}"), 4.0);
    assert!(counted(&server, "tierline_sip_auth_failures_total{reason=\"too_soon\"}") > 0.0);
}

#[test]
fn who_is_not_slowed_finds_the_password() {
    let ground = Ground::new("unguarded");
    let server = Server::start(&ground, &guarded(1_000, 10_000));
    let attack = crack(&ground, &server);
    wait_for("the password: else the attacks above prove nothing", 60 * SECOND, || found(&attack).then_some(()));
}

#[test]
fn a_searcher_of_users_learns_nothing() {
    let ground = Ground::new("searched");
    let server = Server::start(&ground, &guarded(3, 10));
    std::fs::write(ground.file("users"), "eve\nada\nmallory\n").expect("a file");
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        let mut command = Command::new("svwar");
        let (port, from) = (server.sip.port().to_string(), ground.port().to_string());
        command.args([
            "-d",
            "users",
            "-m",
            method,
            "-p",
            &port,
            "-P",
            &from,
            "--force",
            "--maximumtime=3",
            "127.0.0.1",
        ]);
        let mut search = ground.run(&format!("svwar-{method}"), &mut command);
        search.wait(60 * SECOND);
        let said = search.output() + &search.errors();
        let told = |user: &str| said.lines().any(|line| line.starts_with('|') && line.contains(user));
        assert_eq!(told("ada"), told("eve"), "{method} tells who exists: {said}");
        assert_eq!(told("ada"), told("mallory"), "{method} tells who exists: {said}");
    }
}
