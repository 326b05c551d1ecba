//! SRTP by hand: every suite in both directions, a packet that comes twice, one that is damaged, and new keys in mid-call,
//! over a real socket. What seals and opens packets here is reckoned anew from RFC 3711 and RFC 7714, with ciphers of others.

use super::codecs::over_tls;
use super::harness::{GENEROUS, Ground, wait_until};
use super::peers::{Sipp, sipp_agent};
use super::server::{DIRECT, Server};
use super::streams::tls;
use super::wire::{Wire, ack, invite_for};
use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Keys and salts, as many bytes of them as a suite needs.
const FIRST: &[u8; 44] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr";
const SECOND_KEY: &[u8; 44] = b"zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJI";
const SSRC: [u8; 4] = [1, 2, 3, 4];

/// A suite of RFC 4568 §6.2 or RFC 7714 §14.2: its name, the bytes of its key, of its salt, and of what it adds to a packet.
#[derive(Clone, Copy)]
struct Suite(&'static str, usize, usize, usize);

const SUITES: [Suite; 4] = [
    Suite("AES_CM_128_HMAC_SHA1_80", 16, 14, 10),
    Suite("AES_CM_128_HMAC_SHA1_32", 16, 14, 4),
    Suite("AEAD_AES_128_GCM", 16, 12, 16),
    Suite("AEAD_AES_256_GCM", 32, 12, 16),
];

impl Suite {
    fn inline(self, secret: &[u8; 44]) -> String {
        to_base64(&secret[..self.1 + self.2])
    }

    fn is_gcm(self) -> bool {
        self.0.ends_with("GCM")
    }
}

/// What one direction is under.
struct Keys {
    suite: Suite,
    key: Vec<u8>,
    salt: Vec<u8>,
    auth: Hmac<Sha1>,
}

/// AES-GCM of either length. `start`: the nonce is its first twelve bytes.
trait Sealing {
    /// Encrypts the body; its tag.
    fn seal(&self, start: &[u8; 16], header: &[u8], body: &mut [u8]) -> Vec<u8>;
    /// Decrypts the body if nothing was changed.
    fn open(&self, start: &[u8; 16], header: &[u8], body: &mut [u8], tag: &[u8]) -> bool;
}

impl<C: AeadInPlace<NonceSize = aes::cipher::consts::U12, TagSize = aes::cipher::consts::U16>> Sealing for C {
    fn seal(&self, start: &[u8; 16], header: &[u8], body: &mut [u8]) -> Vec<u8> {
        let nonce = Nonce::from_slice(&start[..12]);
        self.encrypt_in_place_detached(nonce, header, body).expect("it can be sealed").to_vec()
    }

    fn open(&self, start: &[u8; 16], header: &[u8], body: &mut [u8], tag: &[u8]) -> bool {
        let nonce = Nonce::from_slice(&start[..12]);
        self.decrypt_in_place_detached(nonce, header, body, Tag::from_slice(tag)).is_ok()
    }
}

/// RFC 3711 §4.1.1: as many bytes of the key stream as there are, from where the counter's last two bytes are zero.
fn stream(key: &[u8], mut counter: [u8; 16], bytes: &mut [u8]) {
    let encrypt = |block: &mut aes::Block| match key.len() {
        16 => Aes128::new_from_slice(key).expect("a key of 16 bytes").encrypt_block(block),
        _ => Aes256::new_from_slice(key).expect("a key of 32 bytes").encrypt_block(block),
    };
    for (number, part) in (0u16..).zip(bytes.chunks_mut(16)) {
        counter[14..].copy_from_slice(&number.to_be_bytes());
        let mut block = counter.into();
        encrypt(&mut block);
        part.iter_mut().zip(block).for_each(|(byte, key)| *byte ^= key);
    }
}

impl Keys {
    /// Of what stands behind `inline:` (RFC 3711 §4.3.1; a salt of twelve bytes is filled up with zeros, RFC 7714 §11).
    fn of(suite: Suite, inline: &str) -> Keys {
        let master = from_base64(inline);
        let derive = |label: u8, length: usize| {
            let (mut counter, mut out) = ([0; 16], vec![0; length]);
            counter[..suite.2].copy_from_slice(&master[suite.1..suite.1 + suite.2]);
            counter[7] ^= label;
            stream(&master[..suite.1], counter, &mut out);
            out
        };
        let auth = <Hmac<Sha1> as Mac>::new_from_slice(&derive(1, 20)).expect("a key");
        Keys { suite, key: derive(0, suite.1), salt: derive(2, suite.2), auth }
    }

    /// What differs in each packet: for GCM 12 bytes (RFC 7714 §8.1), for counter mode 16 (RFC 3711 §4.1.1). There are too
    /// few packets for a rollover.
    fn start(&self, header: &[u8]) -> [u8; 16] {
        let (mut start, shift) = ([0; 16], if self.suite.is_gcm() { 2 } else { 4 });
        start[..self.salt.len()].copy_from_slice(&self.salt);
        start[shift..].iter_mut().zip(&header[8..12]).for_each(|(byte, id)| *byte ^= id);
        let at = if self.suite.is_gcm() { 10 } else { 12 };
        start[at..].iter_mut().zip(&header[2..4]).for_each(|(byte, number)| *byte ^= number);
        start
    }

    fn gcm(&self) -> Box<dyn Sealing> {
        match self.key.len() {
            16 => Box::new(Aes128Gcm::new_from_slice(&self.key).expect("a key")),
            _ => Box::new(Aes256Gcm::new_from_slice(&self.key).expect("a key")),
        }
    }

    fn tag(&self, packet: &[u8]) -> Vec<u8> {
        let tag = self.auth.clone().chain_update(packet).chain_update([0; 4]).finalize().into_bytes();
        tag[..self.suite.3].to_vec()
    }

    /// 20 ms of one byte.
    fn seal(&self, number: u16, byte: u8) -> Vec<u8> {
        let time = (u32::from(number) * 160).to_be_bytes();
        let header = [&[0x80, 0][..], &number.to_be_bytes(), &time, &SSRC].concat();
        let mut body = vec![byte; 160];
        if self.suite.is_gcm() {
            let tag = self.gcm().seal(&self.start(&header), &header, &mut body);
            return [header, body, tag].concat();
        }
        stream(&self.key, self.start(&header), &mut body);
        let packet = [header, body].concat();
        [packet.clone(), self.tag(&packet)].concat()
    }

    /// What a packet of ours says, if it is under this key.
    fn open(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let end = packet.len().checked_sub(self.suite.3).filter(|end| *end > 12)?;
        let header = &packet[..12];
        let mut body = packet[12..end].to_vec();
        if self.suite.is_gcm() {
            return self.gcm().open(&self.start(header), header, &mut body, &packet[end..]).then_some(body);
        }
        (self.tag(&packet[..end]) == packet[end..]).then(|| {
            stream(&self.key, self.start(header), &mut body);
            body
        })
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, i| word << 8 | usize::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = if i <= three.len() { DIGITS[word >> (18 - 6 * i) & 63] } else { b'=' };
            text.push(char::from(digit));
        }
    }
    text
}

fn from_base64(text: &str) -> Vec<u8> {
    // What fills it up at the end counts as zeros.
    let value = |digit: u8| DIGITS.iter().position(|d| *d == digit).unwrap_or(0);
    let each = |four: &[u8]| {
        let word = four.iter().fold(0, |word, digit| word << 6 | value(*digit));
        [word >> 16, word >> 8, word].map(|byte| (byte & 255) as u8)
    };
    text.as_bytes().chunks(4).flat_map(each).collect()
}

/// An offer of one key, or the same in mid-call.
fn offer(text: &str, suite: Suite, secret: &[u8; 44]) -> String {
    let (head, sdp) = text.split_once("\r\n\r\n").expect("a body");
    let key = suite.inline(secret);
    let sdp = sdp.replace("RTP/AVP 0", &format!("RTP/SAVP 0\r\na=crypto:1 {} inline:{key}", suite.0));
    let head = head.split("Content-Length").next().expect("a head").replace("/TCP", "/TLS");
    format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// Its own key, and where it wants its audio.
fn answered<S: Read + Write>(wire: &mut Wire<S>, suite: Suite, cseq: u32) -> (Keys, SocketAddr, String) {
    let ok = wire.until("200");
    let key = ok.split("inline:").nth(1).and_then(|rest| rest.lines().next()).expect("a key of its own");
    let port = ok.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse::<u16>().ok());
    let ack = ack(&ok).replace("/TCP", "/TLS").replace("CSeq: 1", &format!("CSeq: {cseq}"));
    wire.say(ack.replace("z9hG4bK-ack", &format!("z9hG4bK-ack{cseq}")));
    (Keys::of(suite, key), (Ipv4Addr::LOCALHOST, port.expect("a port")).into(), ok)
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

fn by_hand(suite: Suite) {
    let ground = Ground::new(&format!("srtp_{}", suite.0));
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
    wire.say(offer(&text, suite, FIRST));
    let (theirs, to, ok) = answered(&mut wire, suite, 1);
    let first = Keys::of(suite, &suite.inline(FIRST));
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
    let again =
        offer(&text, suite, SECOND_KEY).replace("CSeq: 1", "CSeq: 2").replacen("branch=z9hG4bK", "branch=z9hG4bKr", 1);
    let was = again.lines().find(|line| line.starts_with("To: ")).expect("a To").to_owned();
    wire.say(again.replace(&was, &format!("To: {tag}")));
    let (theirs, to, _) = answered(&mut wire, suite, 2);
    let second = Keys::of(suite, &suite.inline(SECOND_KEY));
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

#[test]
fn packets_again_and_forged_ones_are_dropped_and_new_keys_are_taken_in_every_suite() {
    SUITES.into_iter().for_each(by_hand);
}
