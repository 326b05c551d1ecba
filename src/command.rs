//! What may be asked of the engine, by whom, and why it may be refused.
//!
//! A command is imperative and always carries an authenticated actor. Phones' short codes, signals of
//! the operating system and (later) gRPC all come through this one door.

use crate::ids::{AgentId, CallId};
use serde::{Deserialize, Serialize};

/// One request with the one who asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub actor: Actor,
    pub ask: Ask,
}

/// Who asks. Authenticated before the command is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    Agent(AgentId),
    /// Whoever runs the process.
    Operator,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// Take calls. Ends wrap-up and lifts a penalty for calls not answered. An agent asks for himself only.
    Ready { agent: AgentId },
    /// Take no calls, after the present one. An agent asks for himself only.
    NotReady { agent: AgentId, reason: String },
    /// End a call. Operator only.
    EndCall { call: CallId },
    /// End every call at once. Operator only.
    EndAll,
    /// Take no new calls; end the running ones when `limits.drain` has passed. Operator only.
    Drain,
}

/// Why a command was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    NotAllowed,
    NoSuchAgent,
    NoSuchCall,
    /// The configuration has a list of reasons, and this is none of them.
    NoSuchReason,
}

impl Command {
    /// Whether the actor may ask this at all.
    pub fn allowed(&self) -> Result<(), Refusal> {
        match (self.actor, &self.ask) {
            (Actor::Operator, _) => Ok(()),
            (Actor::Agent(who), Ask::Ready { agent } | Ask::NotReady { agent, .. }) if who == *agent => Ok(()),
            (Actor::Agent(_), _) => Err(Refusal::NotAllowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_ask_for_themselves_only() {
        let check = |actor, ask: Ask, expect| assert_eq!(Command { actor, ask }.allowed(), expect);
        let (ada, ben) = (AgentId(1), AgentId(2));
        check(Actor::Agent(ada), Ask::Ready { agent: ada }, Ok(()));
        check(Actor::Agent(ada), Ask::Ready { agent: ben }, Err(Refusal::NotAllowed));
        check(Actor::Agent(ada), Ask::NotReady { agent: ben, reason: String::new() }, Err(Refusal::NotAllowed));
        check(Actor::Agent(ada), Ask::EndCall { call: CallId(1) }, Err(Refusal::NotAllowed));
        check(Actor::Agent(ada), Ask::Drain, Err(Refusal::NotAllowed));
        check(Actor::Operator, Ask::Drain, Ok(()));
        check(Actor::Operator, Ask::Ready { agent: ben }, Ok(()));
    }
}
