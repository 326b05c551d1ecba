//! One core's share of the audio; knows ports and bridges, not calls.
mod bridge;
pub mod codec;
mod dtmf;
mod hearing;
mod latch;
mod rtp;
pub mod sdp;
pub mod source;
mod wav;
mod words;

pub use codec::Codec;
pub use sdp::{Local, Refusal};
pub use source::{SoundId, Sounds, Source, WavError};
pub use words::*;

use crate::ids::{PortId, Rng};
use crate::time::Instant;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Plane {}

impl Plane {
    pub fn new(_settings: Settings, _sounds: Arc<Sounds>, _rng: Rng) -> Plane {
        unimplemented!()
    }

    pub fn handle(&mut self, _now: Instant, _input: Input<'_>) {
        unimplemented!()
    }

    pub fn poll(&mut self) -> Option<Output<'_>> {
        unimplemented!()
    }

    pub fn deadline(&self) -> Option<Instant> {
        unimplemented!()
    }

    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    pub fn port_stats(&self, _port: PortId) -> Option<PortStats> {
        unimplemented!()
    }

    /// Why the plane is not quiet, if it is not.
    pub fn pending(&self) -> Option<String> {
        unimplemented!()
    }
}
