//! One input as a flow file: read, or told what is wrong with it.

use std::collections::BTreeSet;
use tierline::ids::{FlowId, QueueId};
use tierline::ivr::load::{Surroundings, load};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let queues: BTreeSet<QueueId> = ["general", "technical"].into_iter().map(QueueId::new).collect();
    let trunks = std::collections::BTreeMap::new();
    let around = Surroundings { queues: &queues, queues_known: true, language: "en", trunks: &trunks };
    match load(FlowId::new("fuzz"), "fuzz.toml", text, &around) {
        Ok(read) => assert!(read.flow.steps.contains_key(&read.flow.start), "it starts where nothing is"),
        Err(problems) => assert!(!problems.is_empty(), "refused without a word"),
    }
}
