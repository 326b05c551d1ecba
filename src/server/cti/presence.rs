//! Who is at a desktop: its stream is a lease. An agent who has logged in and has none for a while gets no calls, whether
//! a stream was cut, or he never opened one, or a restart came between.
//!
//! Asking to log in or to be ready counts as a sign of life of who asks for himself: from there the same while runs.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

use super::super::inbox::{Inbox, Message};
use super::super::journal::Entry;
use crate::command::{Actor, Ask, Command};
use crate::cti::{Leases, Lookout};
use crate::engine::Input;
use crate::ids::AgentId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Of who has not logged in at one it says nothing: he gets calls as before.
const GONE: &str = "has no desktop any more: who has logged in at one gets no calls until it is back";

pub struct Presence {
    leases: Mutex<Leases<Instant>>,
    patience: Duration,
    inbox: Inbox,
    runtime: tokio::runtime::Handle,
}

/// A stream of an agent, as long as it is open.
pub struct Present {
    presence: Arc<Presence>,
    agent: AgentId,
}

impl Presence {
    /// `desks`: who had logged in before this start. They have as long to come back as one whose stream was cut.
    pub fn start(patience: Duration, inbox: Inbox, desks: impl IntoIterator<Item = AgentId>) -> Arc<Presence> {
        let runtime = tokio::runtime::Handle::current();
        let presence = Arc::new(Presence { leases: Mutex::default(), patience, inbox, runtime });
        desks.into_iter().for_each(|agent| presence.renew(agent));
        presence
    }

    pub fn enter(self: &Arc<Presence>, agent: AgentId) -> Present {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        // A stream that was cut and is back is no news: it was never told to be gone.
        if !leases.knows(agent) {
            Entry::info("agent", "has a desktop").with("agent", agent).tell();
        }
        if leases.enter(agent, Instant::now()) {
            self.tell(Ask::DeskBack { agent });
        }
        Present { presence: Arc::clone(self), agent }
    }

    /// He has asked for calls at his desktop, which must show itself from now on.
    pub fn renew(self: &Arc<Presence>, agent: AgentId) {
        self.until(|leases, until| leases.renew(agent, until), agent);
    }

    /// Somebody else has asked for calls for him: his desktop must show itself, and has no longer for it than it had.
    pub fn expect(self: &Arc<Presence>, agent: AgentId) {
        self.until(|leases, until| leases.expect(agent, until), agent);
    }

    #[cfg(test)]
    pub fn leased_until(&self, agent: AgentId) -> Option<Instant> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).until(agent)
    }

    fn until(self: &Arc<Presence>, change: impl FnOnce(&mut Leases<Instant>, Instant) -> bool, agent: AgentId) {
        let until = Instant::now() + self.patience;
        let watch = change(&mut self.leases.lock().unwrap_or_else(PoisonError::into_inner), until);
        if watch {
            let presence = Arc::clone(self);
            self.runtime.spawn(async move { presence.watch(agent, until).await });
        }
    }

    async fn watch(&self, agent: AgentId, mut until: Instant) {
        loop {
            tokio::time::sleep_until(until).await;
            // Told under the lock: who comes now says so after it.
            let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
            match leases.look(agent, Instant::now()) {
                Lookout::Here => return,
                Lookout::Until(later) => until = later,
                Lookout::Gone => {
                    Entry::info("agent", GONE).with("agent", agent).with("seconds", self.patience).tell();
                    return self.tell(Ask::DeskLost { agent });
                }
            }
        }
    }

    fn tell(&self, ask: Ask) {
        let command = Command { actor: Actor::Operator, ask };
        _ = self.inbox.send(Message::Input(Input::Command { id: 0, command })); // an engine that has ended needs no word
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let agent = self.agent;
        self.presence.until(|leases, until| leases.leave(agent, until), agent);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::inbox::Messages;
    use super::*;

    const ADA: AgentId = AgentId(1001);

    /// The next thing that the engine is told.
    async fn told(messages: &Messages) -> Ask {
        loop {
            if let Some(Message::Input(Input::Command { command, .. })) = messages.next() {
                return command.ask;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Trap 13: who was logged in before a restart, who logs in and never opens a stream, and who asks for calls once
    /// more and shows himself no more than before, is not there for ever.
    #[test]
    fn trap_13_a_desktop_without_a_stream_is_lost_when_its_lease_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (inbox, messages) = Inbox::new().unwrap();
            let (ben, lost) = (AgentId(1002), |agent| Ask::DeskLost { agent });
            let presence = Presence::start(Duration::from_millis(5), inbox, [ben]);
            assert_eq!(told(&messages).await, lost(ben), "since the start");
            for _ in ["logged in", "asked to be ready"] {
                presence.renew(ADA);
                assert_eq!(told(&messages).await, lost(ADA));
            }
            let present = presence.enter(ADA);
            assert_eq!(told(&messages).await, Ask::DeskBack { agent: ADA });
            presence.renew(ADA);
            presence.renew(ben);
            assert_eq!(told(&messages).await, lost(ben), "whose lease is younger");
            drop(present);
            assert_eq!(told(&messages).await, lost(ADA));
        });
    }
}
