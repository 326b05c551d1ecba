//! The simulator: many small worlds from seeds, each drawn differently; determinism; replay.

use tierline::sim::{Options, run};

#[test]
fn a_swarm_of_small_worlds_keeps_every_promise() {
    let many: u64 = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let from: u64 = std::env::var("FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for seed in from..from + many {
        let report = run(Options::swarm(seed));
        println!("{report}");
        assert!(report.failure.is_none(), "{report}");
    }
}
