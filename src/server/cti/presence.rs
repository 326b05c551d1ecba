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

pub struct Presence {
    streams: Mutex<BTreeMap<AgentId, u32>>,
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
            hub.desks().into_iter().for_each(|agent| at_start.look_for(agent));
        });
        presence
    }

    pub fn enter(self: &Arc<Presence>, agent: AgentId) -> Present {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let count = streams.entry(agent).or_default();
        *count += 1;
        if *count == 1 {
            self.tell(Ask::DeskBack { agent });
        }
        Present { presence: Arc::clone(self), agent }
    }

    fn look_for(&self, agent: AgentId) {
        if !self.streams.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&agent) {
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
        let left = streams.get_mut(&self.agent).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            streams.remove(&self.agent);
            let (presence, agent) = (Arc::clone(&self.presence), self.agent);
            presence.runtime.clone().spawn(async move {
                tokio::time::sleep(presence.patience).await;
                presence.look_for(agent);
            });
        }
    }
}
