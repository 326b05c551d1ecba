//! Damage for parsers' tests: what a bad network, a bad phone or an attacker does to bytes.

use crate::ids::Rng;

/// Bytes that a mutated input has at most.
const MAX: usize = 4096;

/// Changes one to four things.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(4) {
        step(bytes, rng);
    }
    bytes.truncate(MAX);
}

/// One change, mostly small; all of its choices come from one draw.
fn step(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let draw = rng.next_u64();
    let length = bytes.len() as u64;
    let at = ((draw >> 32) * length) >> 32;
    let (at, byte, span) = (at as usize, (draw >> 24) as u8, usize::from((draw >> 16) as u8) % 12);
    let end = (at + span).min(bytes.len());
    match draw % 8 {
        _ if bytes.is_empty() => bytes.push(byte),
        0 => bytes[at] = byte,
        1 => bytes[at] = bytes[at].wrapping_add(if byte & 1 == 0 { 1 } else { 255 }),
        2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][usize::from(byte) % 5],
        3 => bytes.insert(at, byte),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.extend_from_within(at..end),
        6 if byte & 3 == 0 => bytes.truncate(at),
        _ => bytes[at] ^= 1 << (byte & 7),
    }
}
