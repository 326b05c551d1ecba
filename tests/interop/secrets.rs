//! SRTP by hand: a packet that comes twice, one that is damaged, and new keys in mid-call, over a real socket. What seals
//! and opens packets here is reckoned anew from RFC 3711, with ciphers of others.

use super::codecs::over_tls;
use super::harness::{GENEROUS, Ground, wait_until};
use super::peers::{Sipp, sipp_agent};
use super::server::{DIRECT, Server};
use super::streams::tls;
use super::wire::{Wire, ack, invite_for};
use aes::Aes128;
use aes::cipher::{BlockEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// RFC 4568 §6.1: a key of 16 bytes and a salt of 14, as they stand in a description.
const FIRST: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk";
const SECOND_KEY: &str = "ZGNiYVpZWFdWVVRTUlFQT05NTEtKSUhHRkVEQ0JB";
const TAG: usize = 10;
const SSRC: [u8; 4] = [1, 2, 3, 4];

/// AES_CM_128_HMAC_SHA1_80 of one direction.
struct Keys {
    cipher: Aes128,
    salt: [u8; 14],
    auth: Hmac<Sha1>,
}

/// RFC 3711 §4.1.1: as many bytes of the key stream as there are, from where the counter's last two bytes are zero.
fn stream(cipher: &Aes128, mut counter: [u8; 16], bytes: &mut [u8]) {
    for (number, part) in (0u16..).zip(bytes.chunks_mut(16)) {
        counter[14..].copy_from_slice(&number.to_be_bytes());
        let mut block = counter.into();
        cipher.encrypt_block(&mut block);
        part.iter_mut().zip(block).for_each(|(byte, key)| *byte ^= key);
    }
}

impl Keys {
    /// Of what stands behind `inline:` (§4.3.1).
    fn of(inline: &str) -> Keys {
        let master = from_base64(inline);
        let cipher = Aes128::new_from_slice(&master[..16]).expect("a key of 16 bytes");
        let derive = |label: u8, out: &mut [u8]| {
            let mut counter = [0; 16];
            counter[..14].copy_from_slice(&master[16..30]);
            counter[7] ^= label;
            stream(&cipher, counter, out);
        };
        let (mut key, mut auth, mut salt) = ([0; 16], [0; 20], [0; 14]);
        derive(0, &mut key);
        derive(1, &mut auth);
        derive(2, &mut salt);
        let auth = <Hmac<Sha1> as Mac>::new_from_slice(&auth).expect("a key");
        Keys { cipher: Aes128::new(&key.into()), salt, auth }
    }

    /// Encrypts or decrypts what follows the header of twelve bytes. There are too few packets for a rollover.
    fn turn(&self, packet: &mut [u8]) {
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&self.salt);
        let (header, body) = packet.split_at_mut(12);
        counter[4..8].iter_mut().zip(&header[8..12]).for_each(|(byte, id)| *byte ^= id);
        counter[12..14].iter_mut().zip(&header[2..4]).for_each(|(byte, number)| *byte ^= number);
        stream(&self.cipher, counter, body);
    }

    fn tag(&self, packet: &[u8]) -> [u8; TAG] {
        let tag = self.auth.clone().chain_update(packet).chain_update([0; 4]).finalize().into_bytes();
        tag[..TAG].try_into().expect("a longer one")
    }

    /// 20 ms of one byte.
    fn seal(&self, number: u16, byte: u8) -> Vec<u8> {
        let time = (u32::from(number) * 160).to_be_bytes();
        let mut packet = [&[0x80, 0][..], &number.to_be_bytes(), &time, &SSRC, &[byte; 160]].concat();
        self.turn(&mut packet);
        packet.extend(self.tag(&packet));
        packet
    }

    /// What a packet of ours says, if it is under this key.
    fn open(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (text, tag) = packet.split_at(packet.len().checked_sub(TAG).filter(|end| *end > 12)?);
        let mut text = text.to_vec();
        (self.tag(&text) == tag).then(|| {
            self.turn(&mut text);
            text.split_off(12)
        })
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |digit: u8| digits.iter().position(|d| *d == digit).expect("a digit of base64");
    let each = |four: &[u8]| {
        let word = four.iter().fold(0, |word, digit| word << 6 | value(*digit));
        [word >> 16, word >> 8, word].map(|byte| (byte & 255) as u8)
    };
    text.as_bytes().chunks(4).flat_map(each).collect()
}

/// An offer of one key, or the same in mid-call.
fn offer(text: &str, key: &str) -> String {
    let (head, sdp) = text.split_once("\r\n\r\n").expect("a body");
    let sdp = sdp.replace("RTP/AVP 0", &format!("RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"));
    let head = head.split("Content-Length").next().expect("a head").replace("/TCP", "/TLS");
    format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// Its own key, and where it wants its audio.
fn answered<S: Read + Write>(wire: &mut Wire<S>, cseq: u32) -> (Keys, SocketAddr, String) {
    let ok = wire.until("200");
    let key = ok.split("inline:").nth(1).and_then(|rest| rest.lines().next()).expect("a key of its own");
    let port = ok.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse::<u16>().ok());
    let ack = ack(&ok).replace("/TCP", "/TLS").replace("CSeq: 1", &format!("CSeq: {cseq}"));
    wire.say(ack.replace("z9hG4bK-ack", &format!("z9hG4bK-ack{cseq}")));
    (Keys::of(key), (Ipv4Addr::LOCALHOST, port.expect("a port")).into(), ok)
}

/// Speaks until what is said comes back; the number of the next packet.
fn heard_back(audio: &UdpSocket, to: SocketAddr, (ours, theirs): (&Keys, &Keys), byte: u8, mut number: u16) -> u16 {
    wait_until(&format!("{byte:x} comes back"), GENEROUS, || {
        audio.send_to(&ours.seal(number, byte), to).expect("a packet sent");
        number += 1;
        let mut room = [0; 2_000];
        let came = std::iter::from_fn(|| audio.recv(&mut room).ok().and_then(|n| theirs.open(&room[..n])));
        came.take(4).any(|payload| payload == [byte; 160])
    });
    number
}

#[test]
fn packets_again_and_forged_ones_are_dropped_and_new_keys_are_taken() {
    let ground = Ground::new("srtp_by_hand");
    let (at, wishes) = over_tls(&ground, "optional");
    let server = Server::start(&ground, &wishes);
    let echo = Sipp { scenario: "agent_echoes", more: &["-rtp_echo"], ..Sipp::default() };
    let _agent = sipp_agent(&ground, &server, "ada", echo);
    let dropped = |reason: &str| {
        let of = |(name, value): (&String, &f64)| {
            let counts = name.starts_with("tierline_media_packets_dropped_total") && name.contains(reason);
            counts.then_some(*value)
        };
        server.metrics().iter().filter_map(of).sum::<f64>()
    };
    let audio = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    audio.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
    let port = audio.local_addr().expect("an address").port();
    let mut wire = tls(at, &ground.file("data/tls/ca.pem"), "127.0.0.1").expect("a handshake");
    let text = invite_for(port, &format!("sip:{DIRECT}@{at}"), &format!("sip:raw@{at};transport=tls"), "");
    wire.say(offer(&text, FIRST));
    let (theirs, to, ok) = answered(&mut wire, 1);
    let first = Keys::of(FIRST);
    let mut number = heard_back(&audio, to, (&first, &theirs), 0x44, 1);

    // The same packet again, and one that is changed on its way.
    for _ in 0..5 {
        audio.send_to(&first.seal(number - 1, 0x44), to).expect("a packet sent");
    }
    wait_until("repetitions are dropped", GENEROUS, || dropped("replayed") >= 5.0);
    let mut changed = first.seal(number, 0x44);
    changed[20] ^= 1;
    audio.send_to(&changed, to).expect("a packet sent");
    wait_until("what is changed is dropped", GENEROUS, || dropped("forged") >= 1.0);
    number = heard_back(&audio, to, (&first, &theirs), 0x45, number + 1);

    // A new key in mid-call (RFC 4568 §7.1.4); after a moment the old one counts no more.
    let tag = ok.lines().find_map(|line| line.strip_prefix("To: ")).expect("a To");
    let again = offer(&text, SECOND_KEY).replace("CSeq: 1", "CSeq: 2").replacen("branch=z9hG4bK", "branch=z9hG4bKr", 1);
    let was = again.lines().find(|line| line.starts_with("To: ")).expect("a To").to_owned();
    wire.say(again.replace(&was, &format!("To: {tag}")));
    let (theirs, to, _) = answered(&mut wire, 2);
    let second = Keys::of(SECOND_KEY);
    number = heard_back(&audio, to, (&second, &theirs), 0x33, number + 1);
    let before = dropped("forged");
    wait_until("the old key counts no more", GENEROUS, || {
        audio.send_to(&first.seal(number, 0x44), to).expect("a packet sent");
        number += 1;
        dropped("forged") > before
    });
    heard_back(&audio, to, (&second, &theirs), 0x34, number + 1);
    let bye =
        ack(&ok).replace("/TCP", "/TLS").replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 3").replace("-ack", "-bye");
    wire.say(bye);
    wire.until("200");
    server.wait_ended(1, GENEROUS);
}
