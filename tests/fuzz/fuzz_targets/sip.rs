#![no_main]
#[path = "../bodies/sip.rs"]
mod sip_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| _ = sip_body::run(bytes));
