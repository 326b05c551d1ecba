//! Fuzz target: flow files. What one input is put through stands in `bodies`.
#![no_main]
#[path = "../bodies/flow.rs"]
mod flow_body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flow_body::run(bytes));
