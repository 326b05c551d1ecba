//! Fuzz target: SIP messages and streams. What one input is put through stands in `bodies`.
#![no_main]
#[path = "../bodies/sip.rs"]
mod sip_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| _ = sip_body::run(bytes));
