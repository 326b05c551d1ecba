//! Who is at a desktop, as the server holds it and as it should be.
//!
//! Who has logged in at one and has had no stream for [`LOST`] is not ready until he has one again, or has left it by saying at
//! his phone that he is there; who has one is not held as lost ([`Check::LeaseKept`]). What should be is noted here beside the
//! leases, from streams and commands alone.

use super::agenda::Due;
use super::{Check, World};
use crate::command::Ask;
use crate::cti::{Leases, Lookout};
use crate::event::{Event, What};
use crate::ids::AgentId;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long an agent may be without a stream.
pub const LOST: Duration = Duration::from_secs(10);
/// The reason of the break of those whose desktop is lost.
const DESK_LOST: &str = "desktop lost";

#[derive(Default)]
pub(super) struct Present {
    leases: Leases<Instant>,
    /// Who has logged in at a desktop, as the engine has said.
    desks: BTreeSet<AgentId>,
    /// Since when they have no stream and have asked for nothing.
    alone: BTreeMap<AgentId, Instant>,
}

/// What comes to pass with a lease.
#[derive(Clone, Copy, Debug)]
pub enum AtLease {
    /// The server looks whether it has ended.
    Looks { epoch: u32 },
    /// It must have, if he has been alone since then.
    Ended { since: Instant, epoch: u32 },
}

impl World {
    pub(super) fn leases_start(&mut self, desks: BTreeSet<AgentId>) {
        self.desktops.present = Present { desks: desks.clone(), ..Present::default() };
        desks.into_iter().for_each(|agent| self.renews(agent));
    }

    pub(super) fn at_lease(&mut self, agent: AgentId, due: AtLease) {
        match due {
            AtLease::Looks { epoch } if epoch == self.epoch => self.lease_looked_at(agent),
            AtLease::Ended { since, epoch } if epoch == self.epoch => self.check_lost(agent, since),
            AtLease::Looks { .. } | AtLease::Ended { .. } => {}
        }
    }

    pub(super) fn stream_opened(&mut self, agent: AgentId) {
        let now = self.now;
        let present = &mut self.desktops.present;
        present.alone.remove(&agent);
        if present.leases.enter(agent, now) {
            self.operator_asks(Ask::DeskBack { agent });
        }
        self.check_present();
    }

    pub(super) fn stream_closed(&mut self, agent: AgentId) {
        let until = self.now + LOST;
        if self.desktops.present.leases.leave(agent, until) {
            self.looks_at(agent, until);
        }
        self.alone(agent);
    }

    /// He has asked for what says that he is there.
    pub(super) fn renews(&mut self, agent: AgentId) {
        let until = self.now + LOST;
        if self.desktops.present.leases.renew(agent, until) {
            self.looks_at(agent, until);
        }
        self.alone(agent);
    }

    /// From now on he has no stream, unless he has another.
    fn alone(&mut self, agent: AgentId) {
        if self.with_stream().any(|with| with == agent) {
            return;
        }
        self.desktops.present.alone.insert(agent, self.now);
        let due = AtLease::Ended { since: self.now, epoch: self.epoch };
        self.after(LOST + Duration::from_millis(1), Due::Lease(agent, due));
    }

    fn looks_at(&mut self, agent: AgentId, at: Instant) {
        let due = AtLease::Looks { epoch: self.epoch };
        self.at(at, Due::Lease(agent, due));
    }

    fn lease_looked_at(&mut self, agent: AgentId) {
        match self.desktops.present.leases.look(agent, self.now) {
            Lookout::Here => {}
            Lookout::Until(later) => self.looks_at(agent, later),
            Lookout::Gone => {
                self.desktops.seen.lost += 1;
                self.operator_asks(Ask::DeskLost { agent });
            }
        }
    }

    /// The engine has said something that concerns it.
    pub(super) fn note_desk(&mut self, event: &Event) {
        match &event.what {
            What::DeskEntered { agent } => _ = self.desktops.present.desks.insert(*agent),
            What::DeskLeft { agent, .. } => _ = self.desktops.present.desks.remove(agent),
            What::Delivered { agent, .. } if self.desktops.present.desks.contains(agent) => {
                self.tally.must(Check::LeaseKept, !self.is_lost(*agent), || {
                    format!("agent {agent} is rung, and his desktop is lost")
                });
            }
            _ => {}
        }
    }

    /// His lease is over.
    fn is_lost(&self, agent: AgentId) -> bool {
        self.desktops.present.alone.get(&agent).is_some_and(|since| self.now.since(*since) > LOST)
    }

    fn check_lost(&mut self, agent: AgentId, since: Instant) {
        let present = &self.desktops.present;
        let concerned = present.desks.contains(&agent);
        if self.engine.is_some() && concerned && present.alone.get(&agent) == Some(&since) {
            let paused = self.pause_of(agent).is_some();
            self.tally.must(Check::LeaseKept, paused, || format!("agent {agent} is ready, and his desktop is lost"));
        }
    }

    /// Nobody who has a stream is held as lost.
    pub(super) fn check_present(&mut self) {
        let wrong = self.with_stream().find(|agent| self.pause_of(*agent) == Some(DESK_LOST));
        self.tally.must(Check::LeaseKept, wrong.is_none(), || format!("agent {wrong:?} is at his desktop and lost"));
    }
}
