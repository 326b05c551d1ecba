//! Calls to outside numbers in random days: everything that may become of them does become of some.

use super::{Options, World};
use std::collections::BTreeMap;
use tierline::event::{OfferOutcome, TransferProblem, TransferTo, TrunkMode, TrunkProblem, What};

#[test]
fn calls_outside_meet_all_that_carriers_do() {
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 1..=16 {
        let options = Options::swarm(seed);
        let mut world = World::new(Options { carriers: options.carriers.max(1), on_numbers: 0.4, ..options });
        world.keep_journal();
        world.run();
        assert!(world.report().failure.is_none(), "{}", world.report());
        let mut hunted = std::collections::BTreeSet::new();
        let mut accepted = BTreeMap::new();
        for event in world.journal() {
            let what = match &event.what {
                What::OutsideCalled { leg, .. } => {
                    hunted.insert(*leg);
                    "called".to_owned()
                }
                What::NetworkReached { leg, .. } if !hunted.contains(leg) => {
                    accepted.insert(*leg, ());
                    "an agent's number is called".to_owned()
                }
                What::Established { leg, .. } if accepted.contains_key(leg) => "an agent takes it there".to_owned(),
                What::OfferEnded { outcome: OfferOutcome::Unreachable, .. } => "an agent is not reached".to_owned(),
                What::OutsideJoined { .. } => "joined".to_owned(),
                What::TransferFailed { why } => format!("{why:?}"),
                What::TrunkFailed { why, .. } => format!("trunk {why:?}"),
                What::TrunkStateChanged { to, .. } => format!("trunk {to:?}"),
                What::Transferred { to: TransferTo::Number(_), .. } => "an agent sends outside".to_owned(),
                _ => continue,
            };
            *met.entry(what).or_default() += 1;
        }
    }
    let wanted = [
        "called",
        "joined",
        "an agent sends outside",
        "an agent's number is called",
        "an agent takes it there",
        "an agent is not reached",
    ];
    let failures =
        [TransferProblem::Busy, TransferProblem::NoAnswer, TransferProblem::Refused, TransferProblem::NoTrunk];
    let troubles = [TrunkProblem::Full, TrunkProblem::Unreachable, TrunkProblem::Overloaded, TrunkProblem::Refused];
    let wanted = wanted.map(str::to_owned).into_iter();
    let wanted =
        wanted.chain(failures.map(|why| format!("{why:?}"))).chain(troubles.map(|why| format!("trunk {why:?}")));
    let wanted = wanted.chain([TrunkMode::Up, TrunkMode::Down].map(|mode| format!("trunk {mode:?}")));
    let missing: Vec<_> = wanted.filter(|what| !met.contains_key(what)).collect();
    assert!(missing.is_empty(), "nobody met {missing:?}: {met:#?}");
    println!("{met:#?}");
}
