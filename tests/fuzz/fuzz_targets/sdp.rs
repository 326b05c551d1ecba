//! Fuzz target: session descriptions. What one input is put through stands in `bodies`.
#![no_main]
#[path = "../bodies/sdp.rs"]
mod sdp_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sdp_body::run(bytes));
