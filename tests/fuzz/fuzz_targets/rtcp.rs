//! Fuzz target: RTCP on an open port. What one input is put through stands in `bodies`.
#![no_main]
#[path = "../bodies/packets.rs"]
mod packets_body;
#[path = "../bodies/sdp.rs"]
mod sdp_body;

// Several packets, each behind its length in one byte: what one does to the next is looked at, too.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut talk, mut rest) = (packets_body::Talk::new(), bytes);
    while let Some((length, more)) = rest.split_first() {
        let (packet, more) = more.split_at(usize::from(*length).min(more.len()));
        talk.rtcp(packet);
        rest = more;
    }
});
