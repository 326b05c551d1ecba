//! The fuzz targets (tests/fuzz) compile as they stand and run, without the fuzzer: its macro is played here.
#![allow(
    unused_attributes,
    dead_code,
    clippy::duplicate_mod,
    reason = "the targets are programs of their own, and each uses what it needs"
)]

extern crate self as libfuzzer_sys;

#[macro_export]
macro_rules! fuzz_target {
    (|$bytes:ident: &[u8]| $body:expr) => {
        pub fn fuzz($bytes: &[u8]) {
            $body;
        }
    };
}

#[path = "fuzz/fuzz_targets/flow.rs"]
mod flow;
#[path = "fuzz/fuzz_targets/rtcp.rs"]
mod rtcp;
#[path = "fuzz/fuzz_targets/rtp.rs"]
mod rtp;
#[path = "fuzz/fuzz_targets/sdp.rs"]
mod sdp;
#[path = "fuzz/fuzz_targets/sip.rs"]
mod sip;

type Target = (&'static str, fn(&[u8]));

#[test]
fn every_target_takes_what_a_fuzzer_gives() {
    let targets: [Target; 5] =
        [("flow", flow::fuzz), ("rtcp", rtcp::fuzz), ("rtp", rtp::fuzz), ("sdp", sdp::fuzz), ("sip", sip::fuzz)];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let files =
        std::fs::read_dir(folder.join("fuzz_targets")).expect("targets").map(|file| file.expect("a file").path());
    let mut known: Vec<String> = files.map(|file| file.file_stem().expect("a name").to_string_lossy().into()).collect();
    known.sort();
    assert_eq!(known, targets.map(|(name, _)| name));
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    let mut rng = tierline::ids::Rng::from_number(23);
    for (name, fuzz) in targets {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
            fuzz(&bytes);
        }
    }
}
