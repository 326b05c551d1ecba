//! Keys heard as pairs of tones (ITU-T Q.23, Q.24), where a peer presses none as events.
//!
//! Blocks of 12.75 ms are looked at by eight Goertzel filters. A key is two blocks with the same pair, in which this pair
//! is nearly all that is heard, neither of its tones is much louder than the other, and no other of the eight comes near:
//! a voice does all of this hardly ever. The key is reported at once; it is over after two blocks without it.
//!
//! Left out: tones toward a peer; the rejection of tones 3.5 % off, which blocks so short cannot tell.

use super::codec::{Codec, Ear};
use super::rtp::{CLOCK, Packet};
use serde::{Deserialize, Serialize};
use std::f32::consts::TAU;
use std::sync::LazyLock;

/// Samples of a block.
const BLOCK: usize = 102;
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// A tone's power in a block at −36 dBm0: the square of half its peak times the samples.
const FAINTEST: f32 = 353.0 * 353.0 * (BLOCK * BLOCK / 4) as f32;
/// Powers as ratios. Q.24: the higher tone is at most 8 dB louder, the lower one at most 4 dB.
const HIGHER_LOUDER: f32 = 6.3;
const LOWER_LOUDER: f32 = 2.5;
/// How much louder the pair is than the next of its group; and its share of all that is heard.
const STANDS_OUT: f32 = 6.3;
const SHARE: f32 = 0.72;
/// Blocks that make a key, and that end it.
const CONFIRMED: u8 = 2;
const RELEASED: u8 = 2;
/// How long a key has lasted when it is sure.
pub const SURE_MS: u32 = 25;
/// Ticks that may be lost within a key. 60 ms.
const MAX_GAP: u32 = 480;

/// Hears the keys in what one peer says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tones {
    ear: Ear,
    /// Less than a block, between packets.
    rest: Vec<i16>,
    /// The SSRC and timestamp that come next.
    next: Option<(u32, u32)>,
    detector: Detector,
}

impl Tones {
    /// The keys that became known with this packet: one at most in 25 ms.
    pub fn packet(&mut self, packet: &Packet<'_>, codec: Codec) -> Vec<char> {
        if let Some((ssrc, next)) = self.next {
            let ahead = packet.timestamp.wrapping_sub(next) as i32;
            if ssrc != packet.ssrc || ahead.unsigned_abs() > CLOCK as u32 || ahead > MAX_GAP as i32 {
                (self.rest, self.detector) = (Vec::new(), Detector::default());
            } else if ahead < 0 {
                return Vec::new(); // late, or a duplicate
            }
        }
        self.next = Some((packet.ssrc, packet.timestamp.wrapping_add(packet.payload.len() as u32)));
        self.ear.hear(codec, packet.payload, &mut self.rest);
        let whole = self.rest.len() / BLOCK * BLOCK;
        let keys = self.rest[..whole].chunks_exact(BLOCK).filter_map(|block| self.detector.block(block)).collect();
        self.rest.drain(..whole);
        keys
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Detector {
    /// What the last blocks had in common, and how many they were.
    candidate: Option<char>,
    blocks: u8,
    /// The key that is down, and the blocks since it was heard.
    down: Option<char>,
    missed: u8,
}

impl Detector {
    fn block(&mut self, samples: &[i16]) -> Option<char> {
        let key = heard(samples);
        self.blocks = if key.is_some() && key == self.candidate { self.blocks.saturating_add(1) } else { 1 };
        self.candidate = key;
        let still = self.down.is_none() || key == self.down;
        self.missed = if still { 0 } else { self.missed + 1 };
        if self.missed >= RELEASED {
            (self.down, self.missed) = (None, 0);
        }
        let pressed = key.filter(|key| self.blocks == CONFIRMED && self.down != Some(*key))?;
        (self.down, self.missed) = (Some(pressed), 0);
        Some(pressed)
    }
}

/// The key whose pair of tones is nearly all of this block.
fn heard(samples: &[i16]) -> Option<char> {
    let energy: f32 = samples.iter().map(|s| f32::from(*s).powi(2)).sum();
    if energy * (BLOCK as f32) < FAINTEST * 4.0 {
        return None; // cheaper than the filters
    }
    let (rows, columns) = (ROWS.map(|hz| power(samples, hz)), COLUMNS.map(|hz| power(samples, hz)));
    let ((row, lower), (column, higher)) = (loudest(&rows)?, loudest(&columns)?);
    let audible = lower >= FAINTEST && higher >= FAINTEST;
    let level = higher <= lower * HIGHER_LOUDER && lower <= higher * LOWER_LOUDER;
    // A tone of peak p has the energy n·p²/2 and the power (n·p/2)².
    let pure = lower + higher >= SHARE * energy * BLOCK as f32 / 2.0;
    (audible && level && pure).then_some(KEYS[row][column])
}

/// The loudest of a group, if the others are far below it.
fn loudest(powers: &[f32; 4]) -> Option<(usize, f32)> {
    let (at, most) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let others = powers.iter().enumerate().filter(|(n, _)| *n != at);
    others.clone().all(|(_, power)| power * STANDS_OUT < most).then_some((at, most))
}

/// Goertzel's recursion.
fn power(samples: &[i16], hz: f32) -> f32 {
    static TURNS: LazyLock<Vec<(f32, f32)>> = LazyLock::new(|| {
        let turn = |hz: f32| (hz, 2.0 * (TAU * hz / CLOCK as f32).cos());
        ROWS.into_iter().chain(COLUMNS).map(turn).collect()
    });
    let turn = TURNS.iter().find(|(known, _)| *known == hz).map_or(0.0, |(_, turn)| *turn);
    let (one, two) = samples.iter().fold((0.0, 0.0), |(one, two), s| (f32::from(*s) + turn * one - two, one));
    one * one + two * two - turn * one * two
}

#[cfg(test)]
mod tests;
