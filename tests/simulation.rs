//! The simulator: many small worlds from seeds, each drawn differently; determinism; replay.

use tierline::sim::{Options, World, run};

#[test]
fn a_swarm_of_small_worlds_keeps_every_promise() {
    let seeds = 1..=12u64;
    for seed in seeds {
        let report = run(Options::swarm(seed));
        assert!(report.failure.is_none(), "{report}");
    }
}
