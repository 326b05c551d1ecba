//! What the log must say of calls to outside numbers, in a transfer or to an agent.

use super::checks::{Check, Tally};
use crate::event::{Event, TransferProblem, TrunkProblem, What};
use crate::ids::{LegId, TrunkId};
use std::collections::{BTreeMap, BTreeSet};

/// A call's way outside, as far as it has been told.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The outside party, and whether he has joined.
    party: Option<(LegId, bool)>,
    hunts: BTreeMap<LegId, Hunt>,
}

#[derive(Clone, Debug, Default)]
struct Hunt {
    /// Which trunk has the call now.
    on: Option<TrunkId>,
    tried: BTreeSet<TrunkId>,
}

impl Outside {
    pub fn follow(&mut self, event: &Event, tally: &mut Tally) {
        match &event.what {
            What::OutsideCalled { leg, .. } => {
                let before = self.party.replace((*leg, false));
                tally.must(Check::OutsideEndsOnce, before.is_none(), || format!("{leg} is called beside {before:?}"));
            }
            What::OutsideJoined { leg } => {
                let before = self.party.replace((*leg, true));
                let (called, on) = (before == Some((*leg, false)), self.hunts.get(leg).is_some_and(|h| h.on.is_some()));
                tally.must(Check::OutsideEndsOnce, called, || format!("{leg} joins, and {before:?} is known"));
                tally.must(Check::TrunksTakeTurns, on, || format!("{leg} joins over no trunk"));
            }
            What::TransferFailed { why } => {
                let before = self.party.take();
                // Where no trunk may be tried nobody is called.
                let fits = matches!(before, Some((_, false))) || before.is_none() && *why == TransferProblem::NoTrunk;
                tally.must(Check::OutsideEndsOnce, fits, || format!("a transfer failed, and {before:?} is known"));
            }
            What::StepEntered { .. } | What::Queued { .. } | What::Delivered { .. } | What::Established { .. } => {
                tally.must(Check::OutsideEndsOnce, self.party.is_none(), || {
                    format!("{} while {:?} is outside", event.what.name(), self.party)
                });
            }
            What::NetworkReached { leg, trunk } => self.goes_over(*leg, trunk, tally),
            What::TrunkFailed { leg, trunk, why } => self.comes_back(*leg, trunk, *why, tally),
            _ => {}
        }
    }

    fn goes_over(&mut self, leg: LegId, trunk: &TrunkId, tally: &mut Tally) {
        let hunt = self.hunts.entry(leg).or_default();
        let before = hunt.on.replace(trunk.clone());
        let new = hunt.tried.insert(trunk.clone());
        tally.must(Check::TrunksTakeTurns, before.is_none() && new, || {
            format!("{leg} goes over {trunk}, for the first time: {new}, beside {before:?}")
        });
    }

    fn comes_back(&mut self, leg: LegId, trunk: &TrunkId, why: TrunkProblem, tally: &mut Tally) {
        let hunt = self.hunts.entry(leg).or_default();
        let before = hunt.on.take();
        let expected = (why != TrunkProblem::Full).then_some(trunk);
        tally.must(Check::TrunksTakeTurns, before.as_ref() == expected, || {
            format!("{trunk} fails as {why:?}, and {leg} is on {before:?}")
        });
    }
}
