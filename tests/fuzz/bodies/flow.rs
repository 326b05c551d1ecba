//! One input as a flow file: read, or told what is wrong with it.

use tierline::ids::FlowId;
use tierline::ivr::load::{Surroundings, load};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (hours, banners) = (["desk".to_owned()].into(), ["outage".to_owned()].into());
    let around = Surroundings { hours, banners, ..Surroundings::with_queues(&["general", "technical"]) };
    match load(FlowId::new("fuzz"), "fuzz.toml", text, &around) {
        Ok(read) => assert!(read.flow.steps.contains_key(&read.flow.start), "it starts where nothing is"),
        Err(problems) => assert!(!problems.is_empty(), "refused without a word"),
    }
}
