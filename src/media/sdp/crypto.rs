//! Keys in descriptions: `a=crypto` (RFC 4568), for the suites of [`Suite`].
//!
//! A line that asks for what is not known here is skipped as a whole, as §5.1.2 wants: other suites, several keys, a key
//! derivation rate, packets that are not encrypted or not authenticated, forward error correction. A key's lifetime is
//! its owner's concern: it offers another key in time.

use crate::ids::Rng;
use crate::media::secure::{Key, Keying, MAX_IDENTIFIER, Suite};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Where a leg's keys come from: the same keys each time, until the leg gets another one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret([u8; 32]);

impl Secret {
    pub fn draw(rng: &mut Rng) -> Secret {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next_u64().to_be_bytes()));
        Secret(bytes)
    }

    /// Our key for a suite: each has its own, since keys must be unique (§6.1).
    pub fn keying(&self, suite: Suite) -> Keying {
        let part = |n: u8| Sha256::new().chain_update(self.0).chain_update(suite.name()).chain_update([n]).finalize();
        let mut bytes = [part(0), part(1)].concat();
        bytes.truncate(suite.length());
        Keying { suite, key: Key::new(bytes), identifier: Vec::new() }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// One `a=crypto` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// What an answer names the offered line by.
    pub tag: u32,
    pub keying: Keying,
}

impl Crypto {
    /// Reads what follows `a=crypto:`; `None` if it must be skipped.
    pub fn read(value: &str) -> Option<Crypto> {
        let mut words = value.split_ascii_whitespace();
        let (tag, suite, keys) = (words.next()?, words.next()?, words.next()?);
        let tag = Some(tag).filter(|tag| tag.len() <= 9 && tag.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let suite = Suite::ALL.into_iter().find(|known| suite.eq_ignore_ascii_case(known.name()))?;
        // §6.3.7: how far to look for lost packets is a hint; `-` marks what need not be understood.
        words.all(|word| word.starts_with('-') || word.starts_with("WSH=")).then_some(())?;
        let (method, info) = keys.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
            return None;
        }
        let mut parts = info.split('|');
        let bytes = decode(parts.next()?).filter(|bytes| bytes.len() == suite.length())?;
        let mut next = parts.next();
        if next.is_some_and(|part| !part.contains(':')) {
            next.filter(|lifetime| is_lifetime(lifetime))?;
            next = parts.next();
        }
        let identifier = next.map_or(Some(Vec::new()), identifier)?;
        parts.next().is_none().then(|| Crypto { tag, keying: Keying { suite, key: Key::new(bytes), identifier } })
    }
}

/// As in the description, without the line's end.
impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = encode(self.keying.key.bytes());
        write!(f, "a=crypto:{} {} inline:{key}", self.tag, self.keying.suite.name())
    }
}

/// §6.1: a number of packets, or a power of two; 2⁴⁸ at most.
fn is_lifetime(text: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with(['0', '+']));
    match text.strip_prefix("2^") {
        Some(power) => number(power).is_some_and(|power| power <= 48),
        None => number(text).is_some_and(|n| n <= 1 << 48),
    }
}

/// §6.1: `value:length`, in decimal; as it stands in packets.
fn identifier(text: &str) -> Option<Vec<u8>> {
    let (value, length) = text.split_once(':')?;
    let value: u128 = value.parse().ok().filter(|value| *value > 0)?;
    let length: usize = length.parse().ok().filter(|length| (1..=MAX_IDENTIFIER).contains(length))?;
    let bytes = value.to_be_bytes();
    let (zeros, digits) = bytes.split_at(bytes.len().saturating_sub(length));
    zeros.iter().all(|byte| *byte == 0).then(|| [&vec![0; length - digits.len()], digits].concat())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base 64 (RFC 4648 §4).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for n in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= part.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The same back; padding may be missing.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        (bits, count) = (bits << 6 | value as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    (count < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64() {
        // RFC 4648 §10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(decode(text.trim_end_matches('=')).as_deref(), Some(bytes.as_bytes()));
        }
        for bad in ["Z", "Zm9vY", "Zm 9", "Zm-_", "Z=g="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_are_read() {
        let key = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"; // RFC 4568 §6.1
        let (gcm, long) = ("A".repeat(38), "A".repeat(59));
        // What follows `a=crypto:`; tag, suite, bytes of the key, identifier.
        let rows = [
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}"), "1 AesCm80 30 []"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4"), "1 AesCm80 30 [0, 0, 0, 1]"),
            (format!("2 AES_CM_128_HMAC_SHA1_32 inline:{key}|1066:4"), "2 AesCm32 30 [0, 0, 4, 42]"),
            (format!("2 AES_CM_128_HMAC_SHA1_32 inline:{key}|2^48"), "2 AesCm32 30 []"),
            (format!("2 AES_CM_128_HMAC_SHA1_32 inline:{key}|1000000"), "2 AesCm32 30 []"),
            (format!("7 aead_aes_128_gcm INLINE:{gcm}"), "7 Gcm128 28 []"),
            (format!("7 AEAD_AES_128_GCM inline:{gcm}=="), "7 Gcm128 28 []"),
            (format!("999999999 AEAD_AES_256_GCM inline:{long}= WSH=64 -X=1"), "999999999 Gcm256 44 []"),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|5:20"),
                "1 AesCm80 30 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]",
            ),
            // Other suites, methods, lengths.
            (format!("1 F8_128_HMAC_SHA1_80 inline:{key}"), "-"),
            (format!("1 AES_256_CM_HMAC_SHA1_80 inline:{long}"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 uri:{key}"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{gcm}"), "-"),
            (format!("1 AEAD_AES_128_GCM inline:{key}"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}!"), "-"),
            // Two keys; parameters that change what packets look like.
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4;inline:{key}|2^20|2:4"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} KDR=1"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTCP"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNAUTHENTICATED_SRTP"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} FEC_ORDER=FEC_SRTP"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} NEWS"), "-"),
            // Lifetimes and identifiers that cannot be.
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^49"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|0"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|x"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|1:129"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|1:0"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|256:1"), "-"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|1:4|2^20"), "-"),
            (format!("x AES_CM_128_HMAC_SHA1_80 inline:{key}"), "-"),
            (format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{key}"), "-"),
            ("1 AES_CM_128_HMAC_SHA1_80".into(), "-"),
            (String::new(), "-"),
        ];
        for (value, expect) in rows {
            let got = Crypto::read(&value).map_or("-".to_string(), |Crypto { tag, keying: k }| {
                format!("{tag} {:?} {} {:?}", k.suite, k.key.bytes().len(), k.identifier)
            });
            assert_eq!(got, expect, "{value}");
        }
    }

    #[test]
    fn keys_are_our_own_and_stay() {
        let mut rng = Rng::from_number(1);
        let (secret, other) = (Secret::draw(&mut rng), Secret::draw(&mut rng));
        let mut seen = Vec::new();
        for suite in Suite::ALL {
            let line = Crypto { tag: 3, keying: secret.keying(suite) };
            let text = line.to_string();
            assert_eq!(Crypto::read(text.strip_prefix("a=crypto:").unwrap()), Some(line));
            assert_ne!(secret.keying(suite), other.keying(suite));
            seen.push(secret.keying(suite).key.bytes()[..16].to_vec());
        }
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), format!("{secret:?}").as_str()), (4, "(secret)"));
    }
}
