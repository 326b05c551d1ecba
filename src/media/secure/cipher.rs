//! The arithmetic of SRTP: session keys from a master key, encryption, tags (RFC 3711 §4, RFC 7714).
//!
//! Known: AES in counter mode with HMAC-SHA1, and AES-GCM. A datagram is rewritten where it lies. Left out: F8, a key
//! derivation rate other than zero, unencrypted or unauthenticated packets.

use super::{Keying, Suite};
use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use aes_gcm::aead::{AeadInPlace, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Bytes of an AES-GCM tag.
const GCM_TAG: usize = 16;
/// Bytes of the word that ends an SRTCP packet: the flag E and the index (RFC 3711 §3.4).
const TRAILER: usize = 4;
/// The flag E: this SRTCP packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// The packet's tag does not fit: it is somebody else's, or damaged, or no such packet at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

/// One direction's session keys, ready for use.
#[derive(Clone)]
pub struct Ciphers {
    audio: Transform,
    control: Transform,
}

#[derive(Clone)]
enum Transform {
    CounterMode { cipher: Box<Aes128>, salt: [u8; 14], auth: Hmac<Sha1>, tag: usize },
    Gcm128 { cipher: Box<Aes128Gcm>, salt: [u8; 12] },
    Gcm256 { cipher: Box<Aes256Gcm>, salt: [u8; 12] },
}

/// RFC 3711 §4.3.2: labels of the first of three keys (encryption, authentication, salt).
const AUDIO_LABELS: u8 = 0;
const CONTROL_LABELS: u8 = 3;

impl Ciphers {
    pub fn new(keying: &Keying) -> Ciphers {
        let (key, salt) = keying.key.bytes().split_at(keying.suite.key_length());
        let transform = |labels: u8, tag| match keying.suite {
            Suite::AesCm80 | Suite::AesCm32 => {
                let derive = |label, out: &mut [u8]| derive(&Aes128::new(key.into()), salt, labels + label, out);
                let (mut encryption, mut auth, mut own_salt) = ([0; 16], [0; 20], [0; 14]);
                derive(0, &mut encryption);
                derive(1, &mut auth);
                derive(2, &mut own_salt);
                Transform::counter_mode(&encryption, &auth, own_salt, tag)
            }
            Suite::Gcm128 => {
                let derive = |label, out: &mut [u8]| derive(&Aes128::new(key.into()), salt, labels + label, out);
                let (mut encryption, mut own_salt) = ([0; 16], [0; 12]);
                derive(0, &mut encryption);
                derive(2, &mut own_salt);
                Transform::Gcm128 { cipher: Box::new(Aes128Gcm::new(&encryption.into())), salt: own_salt }
            }
            Suite::Gcm256 => {
                let derive = |label, out: &mut [u8]| derive(&Aes256::new(key.into()), salt, labels + label, out);
                let (mut encryption, mut own_salt) = ([0; 32], [0; 12]);
                derive(0, &mut encryption);
                derive(2, &mut own_salt);
                Transform::Gcm256 { cipher: Box::new(Aes256Gcm::new(&encryption.into())), salt: own_salt }
            }
        };
        // RFC 4568 §6.2.2: the short tag is for SRTP only.
        let tag = if keying.suite == Suite::AesCm32 { 4 } else { 10 };
        Ciphers { audio: transform(AUDIO_LABELS, tag), control: transform(CONTROL_LABELS, 10) }
    }

    /// Encrypts the RTP packet that is all of `packet` from `start` on, its header of `header` bytes left in the clear.
    pub fn seal(&self, packet: &mut Vec<u8>, start: usize, header: usize, ids: Ids, identifier: &[u8]) {
        let body = start + header;
        match &self.audio {
            Transform::CounterMode { cipher, salt, auth, tag } => {
                counter_mode(&**cipher, ids.counter(salt), &mut packet[body..]);
                let full = auth.clone().chain_update(&packet[start..]).chain_update(ids.rollover()).finalize();
                packet.extend_from_slice(identifier);
                packet.extend_from_slice(&full.into_bytes()[..*tag]);
            }
            Transform::Gcm128 { cipher, salt } => {
                gcm_seal(&**cipher, &ids.nonce(salt), packet, start..body, &[]);
                packet.extend_from_slice(identifier);
            }
            Transform::Gcm256 { cipher, salt } => {
                gcm_seal(&**cipher, &ids.nonce(salt), packet, start..body, &[]);
                packet.extend_from_slice(identifier);
            }
        }
    }

    /// Decrypts an RTP packet; what is left of it is plain RTP. `identifier` is the key's and must be in the packet.
    pub fn open(&self, packet: &mut Vec<u8>, header: usize, ids: Ids, identifier: &[u8]) -> Result<(), Forged> {
        match &self.audio {
            Transform::CounterMode { cipher, salt, auth, tag } => {
                let end =
                    packet.len().checked_sub(tag + identifier.len()).filter(|end| *end >= header).ok_or(Forged)?;
                let (text, trailer) = packet.split_at(end);
                let tag = trailer.strip_prefix(identifier).ok_or(Forged)?;
                let auth = auth.clone().chain_update(text).chain_update(ids.rollover());
                auth.verify_truncated_left(tag).map_err(|_| Forged)?;
                packet.truncate(end);
                counter_mode(&**cipher, ids.counter(salt), &mut packet[header..]);
                Ok(())
            }
            Transform::Gcm128 { cipher, salt } => {
                strip(packet, identifier)?;
                gcm_open(&**cipher, &ids.nonce(salt), packet, header, &[])
            }
            Transform::Gcm256 { cipher, salt } => {
                strip(packet, identifier)?;
                gcm_open(&**cipher, &ids.nonce(salt), packet, header, &[])
            }
        }
    }

    /// Encrypts the compound RTCP packet that is all of `packet` from `start` on; the first 8 bytes stay in the clear.
    pub fn seal_control(&self, packet: &mut Vec<u8>, start: usize, ids: Ids, identifier: &[u8]) {
        let (body, word) = (start + 8, (ids.index as u32 | ENCRYPTED).to_be_bytes());
        match &self.control {
            Transform::CounterMode { cipher, salt, auth, tag } => {
                counter_mode(&**cipher, ids.counter(salt), &mut packet[body..]);
                packet.extend_from_slice(&word);
                let full = auth.clone().chain_update(&packet[start..]).finalize();
                packet.extend_from_slice(identifier);
                packet.extend_from_slice(&full.into_bytes()[..*tag]);
            }
            Transform::Gcm128 { cipher, salt } => {
                gcm_seal(&**cipher, &ids.nonce(salt), packet, start..body, &word);
                packet.extend_from_slice(&word);
                packet.extend_from_slice(identifier);
            }
            Transform::Gcm256 { cipher, salt } => {
                gcm_seal(&**cipher, &ids.nonce(salt), packet, start..body, &word);
                packet.extend_from_slice(&word);
                packet.extend_from_slice(identifier);
            }
        }
    }

    /// The index that a packet claims (RFC 3711 §3.4); none if it is too short or not encrypted.
    pub fn control_index(&self, packet: &[u8], identifier: &[u8]) -> Option<u32> {
        let after = match &self.control {
            Transform::CounterMode { tag, .. } => identifier.len() + tag,
            _ => identifier.len(),
        };
        let end = packet.len().checked_sub(after).filter(|end| *end >= 8 + TRAILER)?;
        let word = u32::from_be_bytes(*packet[..end].last_chunk()?);
        (word & ENCRYPTED != 0).then_some(word & !ENCRYPTED)
    }

    /// Decrypts an SRTCP packet whose index is that of [`Ciphers::control_index`].
    pub fn open_control(&self, packet: &mut Vec<u8>, ids: Ids, identifier: &[u8]) -> Result<(), Forged> {
        match &self.control {
            Transform::CounterMode { cipher, salt, auth, tag } => {
                let end =
                    packet.len().checked_sub(tag + identifier.len()).filter(|end| *end >= 8 + TRAILER).ok_or(Forged)?;
                let (text, trailer) = packet.split_at(end);
                let tag = trailer.strip_prefix(identifier).ok_or(Forged)?;
                auth.clone().chain_update(text).verify_truncated_left(tag).map_err(|_| Forged)?;
                packet.truncate(end - TRAILER);
                counter_mode(&**cipher, ids.counter(salt), &mut packet[8..]);
                Ok(())
            }
            Transform::Gcm128 { cipher, salt } => {
                let word = strip(packet, identifier).and_then(|()| take_word(packet))?;
                gcm_open(&**cipher, &ids.nonce(salt), packet, 8, &word)
            }
            Transform::Gcm256 { cipher, salt } => {
                let word = strip(packet, identifier).and_then(|()| take_word(packet))?;
                gcm_open(&**cipher, &ids.nonce(salt), packet, 8, &word)
            }
        }
    }
}

impl Transform {
    fn counter_mode(key: &[u8; 16], auth: &[u8], salt: [u8; 14], tag: usize) -> Transform {
        let auth = <Hmac<Sha1> as Mac>::new_from_slice(auth).expect("HMAC takes keys of any length");
        Transform::CounterMode { cipher: Box::new(Aes128::new(key.into())), salt, auth, tag }
    }
}

/// What makes a packet's nonce: its source, and its index (48 bits of SRTP: rollover counter and sequence number; 31
/// bits of SRTCP).
#[derive(Clone, Copy)]
pub struct Ids {
    pub ssrc: u32,
    pub index: u64,
}

impl Ids {
    /// RFC 3711 §4.1.1.
    fn counter(self, salt: &[u8; 14]) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[4..8].copy_from_slice(&self.ssrc.to_be_bytes());
        iv[8..14].copy_from_slice(&self.index.to_be_bytes()[2..]);
        xor(&mut iv, salt);
        iv
    }

    /// RFC 7714 §8.1, §9.1: the same places for both kinds of index.
    fn nonce(self, salt: &[u8; 12]) -> [u8; 12] {
        let mut iv = [0; 12];
        iv[2..6].copy_from_slice(&self.ssrc.to_be_bytes());
        iv[6..12].copy_from_slice(&self.index.to_be_bytes()[2..]);
        xor(&mut iv, salt);
        iv
    }

    /// RFC 3711 §4.2: the tag covers the rollover counter, which is not sent.
    fn rollover(self) -> [u8; 4] {
        ((self.index >> 16) as u32).to_be_bytes()
    }
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    bytes.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}

/// RFC 3711 §4.3.3, with a salt of 96 bits too (RFC 7714 §11: zeros follow it).
fn derive(cipher: &impl BlockEncrypt<BlockSize = aes::cipher::consts::U16>, salt: &[u8], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..salt.len()].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    counter_mode(cipher, iv, out);
}

/// RFC 3711 §4.1.1: XOR with the cipher of `iv`, `iv` + 1 …; the last 16 bits of `iv` are zero.
fn counter_mode(cipher: &impl BlockEncrypt<BlockSize = aes::cipher::consts::U16>, iv: [u8; 16], bytes: &mut [u8]) {
    const AT_ONCE: usize = 8;
    let mut counter = u16::from_be_bytes([iv[14], iv[15]]);
    for part in bytes.chunks_mut(16 * AT_ONCE) {
        let mut blocks = [Block::from(iv); AT_ONCE];
        for block in &mut blocks {
            block[14..].copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(&mut blocks[..part.len().div_ceil(16)]);
        part.chunks_mut(16).zip(&blocks).for_each(|(bytes, block)| xor(bytes, block));
    }
}

/// The bytes of `clear` and `after` are authenticated; what follows `clear` is encrypted too, and followed by the tag.
fn gcm_seal<C: AeadInPlace>(
    cipher: &C,
    nonce: &[u8; 12],
    packet: &mut Vec<u8>,
    clear: std::ops::Range<usize>,
    after: &[u8],
) {
    let (head, body) = packet.split_at_mut(clear.end);
    let known = [&head[clear.start..], after].concat();
    let tag = cipher.encrypt_in_place_detached(Nonce::<C>::from_slice(nonce), &known, body);
    packet.extend_from_slice(&tag.expect("a datagram is not longer than GCM can take"));
}

fn gcm_open<C: AeadInPlace>(
    cipher: &C,
    nonce: &[u8; 12],
    packet: &mut Vec<u8>,
    clear: usize,
    after: &[u8],
) -> Result<(), Forged> {
    let end = packet.len().checked_sub(GCM_TAG).filter(|end| *end >= clear).ok_or(Forged)?;
    let (text, tag) = packet.split_at_mut(end);
    let (head, body) = text.split_at_mut(clear);
    let (known, tag) = ([head, after].concat(), Tag::<C>::clone_from_slice(tag));
    let opened = cipher.decrypt_in_place_detached(Nonce::<C>::from_slice(nonce), &known, body, &tag);
    opened.map_err(|_| Forged)?;
    packet.truncate(end);
    Ok(())
}

/// Takes the key's identifier off the end.
fn strip(packet: &mut Vec<u8>, identifier: &[u8]) -> Result<(), Forged> {
    let rest = packet.strip_suffix(identifier).ok_or(Forged)?.len();
    packet.truncate(rest);
    Ok(())
}

fn take_word(packet: &mut Vec<u8>) -> Result<[u8; TRAILER], Forged> {
    let word = *packet.last_chunk().ok_or(Forged)?;
    packet.truncate(packet.len() - TRAILER);
    Ok(word)
}

#[cfg(test)]
mod tests;
