//! A command's way to the engine and back. The answer waits until what the command did is on disk.

use super::super::inbox::{Inbox, Message};
use crate::command::{Actor, Command, Refusal};
use crate::cti::{self, Found, Keys};
use crate::engine::Input;
use crate::proto::{self, outcome};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, oneshot, watch};

/// The engine's thread answers within this, or is overloaded.
const PATIENCE: Duration = Duration::from_secs(10);
/// The disk takes events within this, or is in trouble.
const DISK: Duration = Duration::from_secs(5);
const LONGEST_KEY: usize = 64;

/// What the engine said, and the last event of what it did.
type Said = (Result<(), Refusal>, u64);

/// Who waits for which reply. Commands without somebody who waits have the number 0.
#[derive(Clone, Default)]
pub struct Replies(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    last: u64,
    by_id: BTreeMap<u64, oneshot::Sender<Said>>,
}

impl Replies {
    fn expect(&self) -> (u64, oneshot::Receiver<Said>) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.last += 1;
        let id = waiting.last;
        waiting.by_id.insert(id, tell);
        (id, told)
    }

    /// Tells who waits.
    pub fn tell(&self, id: u64, result: Result<(), Refusal>, seq: u64) {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(&id);
        waits.map(|tell| tell.send((result, seq)));
    }
}

/// One answer, which those share who ask the same with the same key.
type Answer = Arc<OnceCell<proto::Outcome>>;

pub struct Asking {
    door: Door,
    keys: Mutex<Keys<Actor, Answer>>,
}

/// The way to the engine and back.
#[derive(Clone)]
struct Door {
    inbox: Inbox,
    replies: Replies,
    committed: watch::Receiver<u64>,
}

impl Asking {
    pub fn new(inbox: Inbox, replies: Replies, committed: watch::Receiver<u64>) -> Asking {
        Asking { door: Door { inbox, replies, committed }, keys: Mutex::default() }
    }

    pub async fn ask(&self, actor: Actor, asked: proto::Command) -> proto::Outcome {
        if !(1..=LONGEST_KEY).contains(&asked.key.chars().count()) {
            return refused(proto::Refusal::Invalid, "a key has 1 to 64 characters");
        }
        let command = match cti::command(actor.clone(), &asked) {
            Ok(command) => command,
            Err(refused) => return proto::Outcome { result: Some(outcome::Result::Refused(refused)) },
        };
        let content = Sha256::digest(prost::Message::encode_to_vec(&asked)).into();
        let answer = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            match keys.find(&actor, &asked.key, &content) {
                Found::Known(answer) => answer,
                Found::Reused => return refused(proto::Refusal::KeyReused, "the key came before with another command"),
                Found::New => {
                    let answer = Answer::default();
                    keys.remember(&actor, &asked.key, content, Arc::clone(&answer));
                    answer
                }
            }
        };
        // A task of its own: who does not wait for the answer has asked all the same, and asks again with his key.
        let (door, waiting) = (self.door.clone(), Arc::clone(&answer));
        let done = tokio::spawn(async move { waiting.get_or_init(|| door.carry_out(command)).await.clone() });
        let Ok(outcome) = done.await else {
            return refused(proto::Refusal::NotWritten, "it is not known whether it was carried out");
        };
        if is_unavailable(&outcome) {
            self.keys.lock().unwrap_or_else(PoisonError::into_inner).forget(&actor, &asked.key);
        }
        outcome
    }
}

impl Door {
    async fn carry_out(&self, command: Command) -> proto::Outcome {
        let (id, told) = self.replies.expect();
        if self.inbox.send(Message::Input(Input::Command { id, command })).is_err() {
            return refused(proto::Refusal::Unavailable, "Tierline stops");
        }
        let Ok(Ok((result, seq))) = tokio::time::timeout(PATIENCE, told).await else {
            return refused(proto::Refusal::NotWritten, "the engine has not answered yet, and may still carry it out");
        };
        if let Err(why) = result {
            return proto::Outcome { result: Some(outcome::Result::Refused(cti::refused(why))) };
        }
        let mut committed = self.committed.clone();
        let written = tokio::time::timeout(DISK, committed.wait_for(|done| *done >= seq)).await;
        match written {
            Ok(Ok(_)) => proto::Outcome { result: Some(outcome::Result::Done(proto::Done {})) },
            _ => refused(proto::Refusal::NotWritten, "it was carried out, and cannot be written to disk at present"),
        }
    }
}

fn refused(why: proto::Refusal, text: &str) -> proto::Outcome {
    let refused = proto::Refused { why: why.into(), text: text.to_owned() };
    proto::Outcome { result: Some(outcome::Result::Refused(refused)) }
}

fn is_unavailable(outcome: &proto::Outcome) -> bool {
    matches!(&outcome.result, Some(outcome::Result::Refused(r)) if r.why == i32::from(proto::Refusal::Unavailable))
}
