//! Whole simulated worlds: Prometheus and the report say the same of them.

use super::*;
use crate::sim::{Options, World};
use crate::stats::{Family, Stats, Value as Number, families};
use std::collections::BTreeMap;

/// Entered and contained, by flow.
type Flows = BTreeMap<String, [u64; 2]>;

fn in_metrics(events: &[Event]) -> Flows {
    let mut stats = Stats::default();
    events.iter().for_each(|event| stats.apply(event));
    let mut flows = Flows::new();
    for sample in stats.samples(Wall(0), false) {
        let family: &Family = sample.family;
        let contained = family == &families::FLOW_LEFT && sample.labels[1] == "contained";
        if let (Number::Number(n), true) = (&sample.value, contained || family == &families::FLOW_ENTERED) {
            flows.entry(sample.labels[0].clone()).or_default()[usize::from(contained)] += *n as u64;
        }
    }
    flows.retain(|_, counts| counts[0] > 0);
    flows
}

fn in_report(name: &str, events: &[Event]) -> Flows {
    let mut log = Log::new(name);
    log.events = events.to_vec();
    let dir = log.written();
    let day = |at: Wall| Some(at.to_string()[..10].to_owned());
    let (first, last) = (events[0].at, events[events.len() - 1].at);
    let (from, to) = (day(first), day(last + Duration::from_secs(2 * 86_400)));
    let zone = "UTC".to_owned();
    let text =
        report(&dir.0, &Asked { from, to, zone, format: Format::Json, ..asked(By::Flow, None, "", "") }).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let one = |row: serde_json::Value| {
        let counts = ["entered", "contained"].map(|name| row[name].as_u64().unwrap());
        (row["flow"].as_str().unwrap().to_owned(), counts)
    };
    rows.map(one).filter(|(_, counts)| counts[0] > 0).collect()
}

#[test]
fn who_entered_a_flow_and_was_helped_there_is_told_alike() {
    let mut all = [0, 0];
    for seed in 1..=4 {
        let mut world = World::new(Options { crashes: 0, ..Options::swarm(seed) });
        world.keep_journal();
        world.run();
        let events = world.journal();
        let (metrics, report) = (in_metrics(events), in_report(&format!("world-{seed}"), events));
        assert_eq!(metrics, report, "seed {seed}");
        report.values().for_each(|counts| (0..2).for_each(|n| all[n] += counts[n]));
    }
    assert!(all[1] > 0 && all[0] > all[1], "these worlds prove little: {all:?}");
}
