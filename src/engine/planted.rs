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
    /// The same, and the router is left in ruins.
    PanicsAndCorrupts,
    /// The engine panics while it looks at who comes in.
    PanicsAtTheDoor,
    /// The engine panics in the middle of what an agent asks for at his desktop.
    PanicsAtTheDesk,
    /// The router's counts are wrong from the first answered call on.
    Corrupts,
    /// A number is left out between events.
    SkipsNumber,
    /// The end of a call is told twice.
    EndsTwice,
    /// A leg goes without a word.
    ForgetsCleared,
    /// An offer ends without a word.
    ForgetsOfferEnd,
    /// Every offer is told to have been accepted.
    AcceptsAlways,
    /// An agent's state is told as if he had been logged out before.
    MistellsState,
    /// The caller's number stands in the log.
    LogsNumber,
    /// The agent's refusal does not reach the router: he stays reserved.
    ForgetsRefusal,
    /// A phone that does not answer is believed to be there.
    BelievesTheDead,
    /// A phone that an earlier start let ring is not told that nobody is there any more.
    LetsThemRing,
    /// The router is told that the work needs what nobody can.
    AsksTooMuch,
    /// A call over a trunk is over, its share of the trunk stays taken.
    ForgetsTrunk,
    /// An agent sends the caller on, and he waits nowhere.
    ForgetsToQueue,
    /// Who is sent on begins to wait anew.
    LosesWait,
    /// Who comes back to a line that has become full is turned away.
    TurnsAway,
    /// Whose agent is lost begins to wait anew.
    LosesPlace,
    /// Who is put on hold hears music and is still heard.
    ForgetsLeave,
    /// Hold at the desktop leaves both talking.
    HoldsNothing,
    /// An outside party is not reached, and nobody says so.
    ForgetsTransferEnd,
    /// A trunk that has failed is tried again at once.
    TriesTrunkTwice,
    /// A carrier that asks who calls gets no answer.
    ForgetsProof,
    /// A carrier is told another's password.
    MixesPasswords,
    /// A carrier that wants a registration gets none.
    ForgetsToRegister,
    /// A registration is told to hold when it was just asked for.
    BelievesRegistered,
    /// A desktop that is gone is believed to be there.
    BelievesDesks,
    /// Who is at his desktop again is held as lost.
    ForgetsDeskBack,
    /// Some events reach no desktop (in the fold that serves them).
    SkipsItems,
    /// A desktop that resumes is told again what it has seen (in the simulator's stand-in for the shell).
    TellsAgain,
    /// … or nothing of what it has missed.
    ForgetsTheMissed,
    /// What was carried out is not in the log: after a kill it is done again.
    ForgetsDone,
    /// A command that comes again is taken for a new one (in what the shell remembers).
    ForgetsKeys,
    /// A desktop is told that it is done before it is safe (in the simulator's stand-in for the shell).
    AnswersEarly,
}

impl Bug {
    pub const ALL: [Bug; 43] = [
        Bug::ForgetsDequeue,
        Bug::ForgetsFinish,
        Bug::ForgetsBye,
        Bug::ForgetsCancel,
        Bug::LeaksPort,
        Bug::ForgetsJoin,
        Bug::Panics,
        Bug::PanicsAndCorrupts,
        Bug::PanicsAtTheDoor,
        Bug::PanicsAtTheDesk,
        Bug::Corrupts,
        Bug::SkipsNumber,
        Bug::EndsTwice,
        Bug::ForgetsCleared,
        Bug::ForgetsOfferEnd,
        Bug::AcceptsAlways,
        Bug::MistellsState,
        Bug::LogsNumber,
        Bug::ForgetsRefusal,
        Bug::BelievesTheDead,
        Bug::LetsThemRing,
        Bug::AsksTooMuch,
        Bug::ForgetsTrunk,
        Bug::ForgetsToQueue,
        Bug::LosesWait,
        Bug::TurnsAway,
        Bug::LosesPlace,
        Bug::ForgetsLeave,
        Bug::HoldsNothing,
        Bug::ForgetsTransferEnd,
        Bug::TriesTrunkTwice,
        Bug::ForgetsProof,
        Bug::MixesPasswords,
        Bug::ForgetsToRegister,
        Bug::BelievesRegistered,
        Bug::BelievesDesks,
        Bug::ForgetsDeskBack,
        Bug::SkipsItems,
        Bug::TellsAgain,
        Bug::ForgetsTheMissed,
        Bug::ForgetsDone,
        Bug::ForgetsKeys,
        Bug::AnswersEarly,
    ];
}

impl Engine {
    /// Plants a bug, from now on.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Some(bug);
    }

    /// What a planted bug breaks when an agent has answered.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn break_at_answer(&mut self) {
        let now = self.now_and_then();
        if self.planted(Bug::Corrupts) || self.planted(Bug::PanicsAndCorrupts) && now {
            self.router.corrupt();
        }
        let panics = self.planted(Bug::Panics) || self.planted(Bug::PanicsAndCorrupts);
        assert!(!(panics && now), "planted");
    }

    /// What a planted bug breaks when somebody comes in.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn break_at_arrival(&self) {
        assert!(!(self.planted(Bug::PanicsAtTheDoor) && self.now_and_then()), "planted");
    }

    /// Not each time: between two panics there are calls that must go on. However many events a call has, no call of a
    /// kind always meets it: the numbers of events are stirred.
    #[cfg(feature = "planted-bugs")]
    fn now_and_then(&self) -> bool {
        (self.ids.seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(3)
    }

    /// What a planted bug breaks when an agent has asked for something and half of it is done.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn break_at_desk(&self) {
        assert!(!(self.planted(Bug::PanicsAtTheDesk) && self.asking.is_some()), "planted");
    }

    pub(super) fn planted(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.planted == Some(bug)
    }
}
