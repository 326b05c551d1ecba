//! Calls by trunk, and what the trunks' machine wants done.

use super::Engine;
use crate::ids::TrunkId;
use crate::trunk::{self, Output, Way};

impl Engine {
    pub(super) fn configure_trunks(&mut self) {
        let trunks = self.config.center.trunks.clone();
        self.trunks.handle(self.now, trunk::Input::Configure(trunks));
    }

    /// Gives back a leg's share of a trunk.
    pub(super) fn release(&mut self, trunk: TrunkId, way: Way) {
        if !self.planted(super::Bug::ForgetsTrunk) {
            self.trunks.handle(self.now, trunk::Input::Released { trunk, way });
        }
    }

    pub(super) fn trunk_said(&mut self, output: Output) {
        _ = output;
    }
}
