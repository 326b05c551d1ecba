//! Desktops that are gone: an agent who has logged in at one and has no stream any more for a while gets no calls.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

use super::super::inbox::{Inbox, Message};
use super::hub::Hub;
use crate::command::{Actor, Ask, Command};
use crate::engine::Input;
use crate::ids::AgentId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which agents have streams open. Each coming and going is a turn: who is looked for after a while is gone only if he
/// has not come since, not even for a moment.
#[derive(Debug, Default)]
struct Streams(BTreeMap<AgentId, Open>);

#[derive(Debug, Default)]
struct Open {
    count: u32,
    turn: u64,
}

impl Streams {
    /// True for the first.
    fn enter(&mut self, agent: AgentId) -> bool {
        let open = self.0.entry(agent).or_default();
        (open.count, open.turn) = (open.count + 1, open.turn + 1);
        open.count == 1
    }

    /// The turn to look for after a while, if that was the last one.
    fn leave(&mut self, agent: AgentId) -> Option<u64> {
        let open = self.0.get_mut(&agent)?;
        (open.count, open.turn) = (open.count - 1, open.turn + 1);
        (open.count == 0).then_some(open.turn)
    }

    /// Turn 0: he has not come since the start.
    fn is_gone_since(&self, agent: AgentId, turn: u64) -> bool {
        self.0.get(&agent).map_or(turn == 0, |open| open.turn == turn)
    }
}

pub struct Presence {
    streams: Mutex<Streams>,
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
    /// Who had logged in before this start has as long to come back as one whose stream was cut.
    pub fn start(patience: Duration, inbox: Inbox, hub: Arc<Hub>) -> Arc<Presence> {
        let runtime = tokio::runtime::Handle::current();
        let presence = Arc::new(Presence { streams: Mutex::default(), patience, inbox, runtime });
        let at_start = Arc::clone(&presence);
        presence.runtime.spawn(async move {
            tokio::time::sleep(at_start.patience).await;
            hub.desks().into_iter().for_each(|agent| at_start.look_for(agent, 0));
        });
        presence
    }

    pub fn enter(self: &Arc<Presence>, agent: AgentId) -> Present {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.enter(agent) {
            self.tell(Ask::DeskBack { agent });
        }
        Present { presence: Arc::clone(self), agent }
    }

    fn look_for(&self, agent: AgentId, turn: u64) {
        // Told under the lock: who comes now says so after it.
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.is_gone_since(agent, turn) {
            self.tell(Ask::DeskLost { agent });
        }
    }

    fn tell(&self, ask: Ask) {
        let command = Command { actor: Actor::Operator, ask };
        _ = self.inbox.send(Message::Input(Input::Command { id: 0, command })); // an engine that has ended needs no word
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut streams = self.presence.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = streams.leave(self.agent) {
            let (presence, agent) = (Arc::clone(&self.presence), self.agent);
            presence.runtime.clone().spawn(async move {
                tokio::time::sleep(presence.patience).await;
                presence.look_for(agent, turn);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A desktop that is gone, back for a moment, and gone again has its whole patience anew.
    #[test]
    fn who_came_back_for_a_moment_is_not_looked_for_by_the_first_going() {
        let (mut streams, agent) = (Streams::default(), AgentId(1001));
        assert!(streams.is_gone_since(agent, 0), "not yet seen after a start");
        assert!(streams.enter(agent) && !streams.enter(agent));
        assert!(!streams.is_gone_since(agent, 0));
        assert_eq!(streams.leave(agent), None, "one is left");
        let first = streams.leave(agent).expect("the last one");
        assert!(streams.is_gone_since(agent, first));
        assert!(streams.enter(agent));
        let second = streams.leave(agent).expect("the last one again");
        assert!(!streams.is_gone_since(agent, first), "he has been here since");
        assert!(streams.is_gone_since(agent, second) && !streams.is_gone_since(agent, 0));
    }
}
