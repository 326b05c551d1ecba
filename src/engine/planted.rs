//! Bugs that can be planted, to prove that the simulator's checks catch them.
//!
//! A check that never fails proves nothing. Each bug here is one that a peer of ours shipped. They exist only in
//! builds with the feature `planted-bugs`, which `make test` uses; elsewhere [`Engine::planted`] is constantly
//! false and the compiler leaves no trace of it.

use super::Engine;
use serde::{Deserialize, Serialize};

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bug {
    /// The caller left, his work still waits: an agent is rung for a ghost.
    ForgetsDequeue,
    /// The conversation is over, the agent stays busy for ever.
    ForgetsFinish,
    /// The call is over, its peers are not told.
    ForgetsBye,
    /// The offer was taken back, the phone rings on.
    ForgetsCancel,
    /// The leg is gone, its port is not.
    LeaksPort,
    /// Both have answered and hear nothing.
    ForgetsJoin,
    /// The engine panics in the middle of a call's step.
    Panics,
}

impl Bug {
    pub const ALL: [Bug; 7] = [
        Bug::ForgetsDequeue,
        Bug::ForgetsFinish,
        Bug::ForgetsBye,
        Bug::ForgetsCancel,
        Bug::LeaksPort,
        Bug::ForgetsJoin,
        Bug::Panics,
    ];
}

impl Engine {
    /// Plants a bug, from now on.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Some(bug);
    }

    pub(super) fn planted(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.planted == Some(bug)
    }
}
