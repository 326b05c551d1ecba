//! Trunks at run time: which are up, how much of each is in use, and which one carries the next call.
//!
//! [`Trunks`] is a plain struct with three verbs: `handle(now, input)`, `poll()`, `deadline()`. It knows trunks by name
//! and numbers by their digits; messages, calls and passwords are others'. What it is asked at once and answers at
//! once are [`Trunks::route`] and [`Trunks::seize`].
//!
//! ```text
//!             answers                      FAILURES silences in a row
//!  Unknown ─────────────▶ Up ─────────────────────────────────────────▶ Down
//!     └───────────────────▲── ANSWERS answers in a row ───────────────────┘
//! ```
//!
//! **Usable** for the next call is a trunk that has a server, is not down, is registered if it wants to be, and does
//! not rest: one that answered 503 rests for its Retry-After, whatever else it answers meanwhile (RFC 3261 §21.5.4); one
//! that gave no answer to an INVITE rests for [`REST`] or until its next answer, and is asked by OPTIONS at once. **Order**: lower `order` first; among equals a draw by `weight` (as RFC 2782 does).
//! **Limits** hold per trunk and direction: calls at once, and new calls per second by the generic cell rate algorithm
//! with a burst of one second.

mod usage;

use crate::center::{Share, Trunk};
use crate::ids::{Rng, TrunkId};
use crate::time::{Instant, Timers};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use usage::Usage;
pub use usage::{Full, Numbers};

/// Silences in a row after which a trunk is down.
const FAILURES: u32 = 2;
/// Answers in a row after which one that was down is up again.
const ANSWERS: u32 = 2;
/// How long a trunk rests that gave no answer to an INVITE; also the least and usual rest after a 503.
pub const REST: Duration = Duration::from_secs(10);
/// A longer Retry-After is not believed: nobody shall take a trunk away for a day.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// How long an answer to OPTIONS may take; and while it is open whether a trunk is up, or it is down, the pause.
const IN_DOUBT: Duration = Duration::from_secs(5);

/// Whether a trunk's server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrunkState {
    /// Not asked yet, or never asked.
    Unknown,
    Up,
    Down,
}

/// The direction of a call, as seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Way {
    In,
    Out,
}

/// Why a trunk did not carry a call that it was tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Failure {
    /// It gave no answer, or its address could not be reached or found.
    Unreachable,
    /// 503, for so many seconds if it says so.
    Overloaded { retry_after: Option<u32> },
    /// Another answer that is the trunk's and not the called party's.
    Refused,
}

/// What the engine tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// Which trunks there are from now on. Who was there before keeps his state.
    Configure(BTreeMap<TrunkId, Trunk>),
    /// The server answered OPTIONS, or did not.
    Probed {
        trunk: TrunkId,
        answered: bool,
    },
    /// Our registration holds, or does not.
    Registered {
        trunk: TrunkId,
        holds: bool,
    },
    /// A call over the trunk got on: its server is there.
    Carried {
        trunk: TrunkId,
    },
    Failed {
        trunk: TrunkId,
        why: Failure,
    },
    /// A call that was seized is over on this trunk.
    Released {
        trunk: TrunkId,
        way: Way,
    },
    Timeout,
}

/// What the machine wants done, or tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Send OPTIONS to the server and answer with `Probed`; an earlier one does not matter any more.
    Probe {
        trunk: TrunkId,
    },
    /// Register at the server; `Registered` follows whenever that changes.
    Register {
        trunk: TrunkId,
    },
    Unregister {
        trunk: TrunkId,
    },
    State {
        trunk: TrunkId,
        from: TrunkState,
        to: TrunkState,
    },
    Registration {
        trunk: TrunkId,
        holds: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Timer {
    /// When to ask the trunk's server by OPTIONS.
    Probe(TrunkId),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Carrier {
    settings: Trunk,
    state: TrunkState,
    registered: bool,
    /// Answers (or, if negative, silences) in a row.
    run: i32,
    /// An OPTIONS is under way.
    asked: bool,
    /// After a silence; any answer ends it.
    resting_until: Instant,
    /// After a 503; nothing but time ends it.
    overloaded_until: Instant,
    incoming: Usage,
    outgoing: Usage,
    failures: u64,
}

/// All trunks and what is known of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trunks {
    carriers: BTreeMap<TrunkId, Carrier>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    rng: Rng,
}

impl Trunks {
    /// `rng` draws among trunks of the same order.
    pub fn new(rng: Rng) -> Trunks {
        Trunks { carriers: BTreeMap::new(), timers: Timers::default(), outputs: VecDeque::new(), rng }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Configure(trunks) => self.configure(now, trunks),
            Input::Probed { trunk, answered } => self.probed(now, trunk, answered),
            Input::Registered { trunk, holds } => self.registered(&trunk, holds),
            Input::Carried { trunk } => self.heard(now, &trunk, true),
            Input::Failed { trunk, why } => self.failed(now, &trunk, why),
            Input::Released { trunk, way } => {
                self.carriers.get_mut(&trunk).into_iter().for_each(|carrier| carrier.usage(way).release());
            }
            Input::Timeout => {
                while let Some(Timer::Probe(trunk)) = self.timers.pop_due(now) {
                    self.probe(now, trunk);
                }
            }
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Takes one call's share of a trunk; `Released` gives it back.
    ///
    /// # Errors
    /// Nothing of it is left.
    pub fn seize(&mut self, now: Instant, trunk: &TrunkId, way: Way) -> Result<(), Full> {
        let Some(carrier) = self.carriers.get_mut(trunk) else { return Err(Full::Calls) };
        let share = carrier.share(way);
        carrier.usage(way).seize(now, share)
    }

    /// The usable trunks that may carry a call to `number`, in the order in which they are to be tried.
    pub fn route(&mut self, now: Instant, number: &str) -> Vec<TrunkId> {
        let fits = |carrier: &&Carrier| carrier.settings.allows(number) && carrier.is_usable(now);
        let mut left: Vec<(u16, u16, TrunkId)> = self.carriers.values().filter(fits).map(Carrier::rank).collect();
        left.sort();
        let mut order = Vec::new();
        while let Some((first, ..)) = left.first() {
            let equals = left.iter().take_while(|(order, ..)| order == first).count();
            let all: u64 = left[..equals].iter().map(|(_, weight, _)| u64::from(*weight)).sum();
            let mut draw = self.rng.below(all);
            let at = left[..equals].iter().position(|(_, weight, _)| {
                let hit = draw < u64::from(*weight);
                draw = draw.saturating_sub(u64::from(*weight));
                hit
            });
            order.push(left.remove(at.unwrap_or(0)).2);
        }
        order
    }

    /// Whether a call to `number` could leave, rests and limits aside: they are over by themselves.
    pub fn reaches(&self, number: &str) -> bool {
        self.carriers.values().any(|carrier| carrier.settings.allows(number) && carrier.is_there())
    }

    pub fn state(&self, trunk: &TrunkId) -> Option<TrunkState> {
        self.carriers.get(trunk).map(|carrier| carrier.state)
    }

    /// Counters and gauges of each trunk.
    pub fn numbers(&self) -> impl Iterator<Item = (&TrunkId, Numbers)> {
        self.carriers.iter().map(|(id, carrier)| (id, carrier.numbers()))
    }

    /// Calls of one direction that have not been released.
    pub fn in_use(&self, trunk: &TrunkId, way: Way) -> u32 {
        self.carriers.get(trunk).map_or(0, |carrier| match way {
            Way::In => carrier.incoming.calls,
            Way::Out => carrier.outgoing.calls,
        })
    }

    fn configure(&mut self, now: Instant, trunks: BTreeMap<TrunkId, Trunk>) {
        let gone: Vec<TrunkId> = self.carriers.keys().filter(|id| !trunks.contains_key(id)).cloned().collect();
        for trunk in gone {
            self.timers.cancel(&Timer::Probe(trunk.clone()));
            let was = self.carriers.remove(&trunk);
            if was.is_some_and(|carrier| carrier.settings.register.is_some()) {
                self.outputs.push_back(Output::Unregister { trunk });
            }
        }
        for (id, settings) in trunks {
            match self.carriers.get_mut(&id) {
                Some(carrier) if carrier.settings == settings => {}
                Some(carrier) => {
                    let was = std::mem::replace(&mut carrier.settings, settings);
                    self.changed(now, id, Some(was));
                }
                None => {
                    self.carriers.insert(id.clone(), Carrier::new(settings));
                    self.changed(now, id, None);
                }
            }
        }
    }

    fn changed(&mut self, now: Instant, trunk: TrunkId, was: Option<Trunk>) {
        let settings = &self.carriers[&trunk].settings;
        let of = |trunk: &Trunk| (trunk.server.clone(), trunk.listener, trunk.user.clone(), trunk.register);
        let moved = was.as_ref().is_none_or(|was| of(was) != of(settings));
        let registered = was.as_ref().is_some_and(|was| was.register.is_some());
        match settings.register {
            Some(_) if moved => self.outputs.push_back(Output::Register { trunk: trunk.clone() }),
            None if registered => self.outputs.push_back(Output::Unregister { trunk: trunk.clone() }),
            _ => {}
        }
        match settings.options.filter(|_| settings.server.is_some()) {
            Some(_) => self.timers.set(Timer::Probe(trunk), now),
            None => self.asked_no_more(trunk),
        }
    }

    /// Who is not asked cannot answer: he is as unknown as a new one.
    fn asked_no_more(&mut self, trunk: TrunkId) {
        self.timers.cancel(&Timer::Probe(trunk.clone()));
        let Some(carrier) = self.carriers.get_mut(&trunk) else { return };
        (carrier.asked, carrier.run) = (false, 0);
        let from = std::mem::replace(&mut carrier.state, TrunkState::Unknown);
        if from != TrunkState::Unknown {
            self.outputs.push_back(Output::State { trunk, from, to: TrunkState::Unknown });
        }
    }

    /// Asks the server, and looks again soon whether it has answered.
    fn probe(&mut self, now: Instant, trunk: TrunkId) {
        let Some(carrier) = self.carriers.get_mut(&trunk) else { return };
        let Some(pause) = carrier.settings.options else { return };
        if std::mem::replace(&mut carrier.asked, true) {
            self.heard(now, &trunk, false);
        }
        self.timers.set(Timer::Probe(trunk.clone()), now + pause.min(IN_DOUBT));
        self.outputs.push_back(Output::Probe { trunk });
    }

    fn probed(&mut self, now: Instant, trunk: TrunkId, answered: bool) {
        let Some(carrier) = self.carriers.get_mut(&trunk) else { return };
        carrier.asked = false;
        self.heard(now, &trunk, answered);
        let carrier = &self.carriers[&trunk];
        let Some(pause) = carrier.settings.options else { return };
        let settled = answered && carrier.state == TrunkState::Up;
        self.timers.set(Timer::Probe(trunk), now + if settled { pause } else { pause.min(IN_DOUBT) });
    }

    /// The server of a trunk gave an answer, or none where one was due.
    fn heard(&mut self, now: Instant, trunk: &TrunkId, answered: bool) {
        let Some(carrier) = self.carriers.get_mut(trunk) else { return };
        carrier.run = match (answered, carrier.run) {
            (true, run @ 0..) => run.saturating_add(1).min(1_000),
            (false, run @ ..=0) => run.saturating_sub(1).max(-1_000),
            (true, _) => 1,
            (false, _) => -1,
        };
        let enough = |runs: u32| carrier.run.unsigned_abs() >= runs;
        let to = match (carrier.state, answered) {
            (TrunkState::Unknown, true) => TrunkState::Up,
            (TrunkState::Down, true) if enough(ANSWERS) => TrunkState::Up,
            // Who is never asked could never come back: it only rests.
            (TrunkState::Unknown | TrunkState::Up, false) if enough(FAILURES) && carrier.settings.options.is_some() => {
                TrunkState::Down
            }
            (state, _) => state,
        };
        if answered && carrier.state != TrunkState::Down {
            carrier.resting_until = carrier.resting_until.min(now);
        }
        let from = std::mem::replace(&mut carrier.state, to);
        if from != to {
            self.outputs.push_back(Output::State { trunk: trunk.clone(), from, to });
        }
    }

    fn registered(&mut self, trunk: &TrunkId, holds: bool) {
        let Some(carrier) = self.carriers.get_mut(trunk) else { return };
        if std::mem::replace(&mut carrier.registered, holds) != holds {
            self.outputs.push_back(Output::Registration { trunk: trunk.clone(), holds });
        }
    }

    fn failed(&mut self, now: Instant, trunk: &TrunkId, why: Failure) {
        let Some(carrier) = self.carriers.get_mut(trunk) else { return };
        carrier.failures += 1;
        match why {
            Failure::Unreachable => {
                carrier.resting_until = carrier.resting_until.max(now + REST);
                let asks = carrier.settings.options.is_some() && !carrier.asked;
                self.heard(now, trunk, false);
                if asks {
                    self.timers.set(Timer::Probe(trunk.clone()), now);
                }
            }
            Failure::Overloaded { retry_after } => {
                let rest = Duration::from_secs(u64::from(retry_after.unwrap_or(0))).clamp(REST, LONGEST_REST);
                carrier.overloaded_until = carrier.overloaded_until.max(now + rest);
            }
            Failure::Refused => {}
        }
    }
}

impl Carrier {
    fn new(settings: Trunk) -> Carrier {
        Carrier {
            settings,
            state: TrunkState::Unknown,
            registered: false,
            run: 0,
            asked: false,
            resting_until: Instant::ZERO,
            overloaded_until: Instant::ZERO,
            incoming: Usage::default(),
            outgoing: Usage::default(),
            failures: 0,
        }
    }

    fn is_there(&self) -> bool {
        let registered = self.settings.register.is_none() || self.registered;
        self.state != TrunkState::Down && registered
    }

    fn is_usable(&self, now: Instant) -> bool {
        self.is_there() && self.resting_until.max(self.overloaded_until) <= now
    }

    fn rank(&self) -> (u16, u16, TrunkId) {
        (self.settings.order, self.settings.weight, self.settings.id.clone())
    }

    fn share(&self, way: Way) -> Share {
        match way {
            Way::In => self.settings.incoming,
            Way::Out => self.settings.outgoing,
        }
    }

    fn usage(&mut self, way: Way) -> &mut Usage {
        match way {
            Way::In => &mut self.incoming,
            Way::Out => &mut self.outgoing,
        }
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            state: self.state,
            registered: self.settings.register.map(|_| self.registered),
            incoming: self.incoming.counted(),
            outgoing: self.outgoing.counted(),
            failures: self.failures,
        }
    }
}

#[cfg(test)]
mod tests;
