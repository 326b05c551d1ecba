//! One way of a bridge that cannot be forwarded as it is: into another codec, through a jitter buffer.
//!
//! ```text
//!  packets ─▶ Buffer ─▶ Decoder ─▶ Concealment ─▶ 8 ⇄ 16 kHz ─▶ Encoder ─▶ a packet each 20 ms
//!  comfort noise ───────────────────▶ Noise ──────────▲
//! ```
//! The packets are the line's own, 20 ms each, whatever length the peer's have. Comfort noise that the other leg has not
//! agreed to take becomes audio here too; then the buffer stays empty, and the next packet of audio is forwarded again.
//!
//! Left out: comfort noise made of silence; keys, which go beside this as events (RFC 4733).

use super::codec::{Codec, Decoder, Encoder, FRAME};
use super::conceal::{Concealment, Noise, blend};
use super::jitter::{Buffer, Frame, Piece};
use super::resample::{Doubler, Halver};
use super::rtp::{Packet, is_after};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relay {
    from: Codec,
    to: Codec,
    buffer: Buffer,
    decoder: Decoder,
    concealment: Concealment,
    /// What the peer's silence sounds like, and from which timestamp on.
    noise: Option<(Noise, u32)>,
    rate: Rate,
    encoder: Encoder,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Rate {
    Same,
    Up(Doubler),
    Down(Halver),
}

/// 20 ms in the outgoing codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub bytes: Vec<u8>,
    /// Whether some of it is made up because it was lost or late.
    pub concealed: bool,
}

impl Relay {
    pub fn new(from: Codec, to: Codec) -> Relay {
        let rate = match (from.samples_per_tick(), to.samples_per_tick()) {
            (1, 2) => Rate::Up(Doubler::default()),
            (2, 1) => Rate::Down(Halver::default()),
            _ => Rate::Same,
        };
        let concealment = Concealment::new(8 * from.samples_per_tick());
        let (buffer, decoder, encoder) = (Buffer::new(), Decoder::new(from), Encoder::new(to));
        Relay { from, to, buffer, decoder, concealment, noise: None, rate, encoder }
    }

    /// Whether it is for this way.
    pub fn fits(&self, from: Codec, to: Codec) -> bool {
        (self.from, self.to) == (from, to)
    }

    pub fn to(&self) -> Codec {
        self.to
    }

    /// Whether it has nothing to say until something comes.
    pub fn is_idle(&self) -> bool {
        self.buffer.is_idle() && self.noise.is_none()
    }

    pub fn audio(&mut self, now: Instant, packet: &Packet<'_>) {
        self.buffer.put(now, packet);
    }

    pub fn noise(&mut self, packet: &Packet<'_>) {
        match (Noise::read(packet.payload), &mut self.noise) {
            (Some(new), Some((noise, since))) => {
                noise.change(&new);
                *since = packet.timestamp;
            }
            (new, none) => *none = new.map(|noise| (noise, packet.timestamp)),
        }
    }

    /// What is heard in the 20 ms from `at` on; none if there is nothing to say.
    pub fn frame(&mut self, at: Instant) -> Option<Made> {
        let mut samples = Vec::new();
        let concealed = match self.buffer.take(at) {
            Frame::Nothing => {
                self.make_noise(FRAME, &mut samples)?;
                false
            }
            Frame::Pieces { pieces, ticks } => {
                let lost = pieces.into_iter().map(|piece| self.hear(piece, &mut samples)).filter(|lost| *lost).count();
                if ticks > FRAME as u32 {
                    fold(&mut samples);
                }
                lost > 0
            }
        };
        let (mut resampled, mut bytes) = (Vec::new(), Vec::with_capacity(FRAME));
        match &mut self.rate {
            Rate::Same => resampled = samples,
            Rate::Up(doubler) => doubler.double(&samples, &mut resampled),
            Rate::Down(halver) => halver.halve(&samples, &mut resampled),
        }
        self.encoder.encode(&resampled, &mut bytes);
        Some(Made { bytes, concealed })
    }

    /// Appends a piece as samples; whether it was lost or late.
    fn hear(&mut self, piece: Piece, samples: &mut Vec<i16>) -> bool {
        match piece {
            Piece::Audio(bytes) => {
                let start = samples.len();
                self.decoder.decode(&bytes, samples);
                self.concealment.join(&mut samples[start..]);
                let now = self.buffer.next();
                self.noise.take_if(|(_, since)| now.is_some_and(|now| is_after(now, *since)));
                false
            }
            Piece::Gap(ticks) => {
                if self.make_noise(ticks as usize, samples).is_some() {
                    return false;
                }
                self.concealment.cover(ticks as usize * self.from.samples_per_tick(), samples);
                true
            }
        }
    }

    fn make_noise(&mut self, ticks: usize, samples: &mut Vec<i16>) -> Option<()> {
        let (noise, _) = self.noise.as_mut()?;
        let start = samples.len();
        noise.make(ticks * self.from.samples_per_tick(), samples);
        self.concealment.join(&mut samples[start..]);
        Some(())
    }
}

/// Twice as many samples as fit are heard as one half that goes over into the other.
fn fold(samples: &mut Vec<i16>) {
    let length = samples.len() / 2;
    for n in 0..length {
        samples[n] = blend(samples[n], samples[length + n], n, length);
    }
    samples.truncate(length);
}
