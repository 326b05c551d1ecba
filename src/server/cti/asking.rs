//! A command's way to the engine and back. The answer waits until what the command did is on disk.

use super::super::inbox::{Inbox, Message};
use super::presence::Presence;
use super::tokens::Owner;
use crate::command::{Ask, Command, Refusal};
use crate::cti::{self, Found, Keys};
use crate::engine::Input;
use crate::event::Mark;
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
    keys: Mutex<Keys<Answer>>,
}

/// The way to the engine and back.
#[derive(Clone)]
pub struct Door {
    pub inbox: Inbox,
    pub replies: Replies,
    pub committed: watch::Receiver<u64>,
    pub presence: Arc<Presence>,
}

impl Asking {
    /// `done`: what was carried out before this start, the last one last.
    pub fn new(door: Door, done: &[Mark]) -> Asking {
        let mut keys = Keys::default();
        done.iter().for_each(|mark| keys.restore(*mark, Arc::new(OnceCell::new_with(Some(done_outcome())))));
        Asking { door, keys: Mutex::new(keys) }
    }

    pub async fn ask(&self, Owner { name, actor }: Owner, asked: proto::Command) -> proto::Outcome {
        if !(1..=LONGEST_KEY).contains(&asked.key.chars().count()) {
            return refused(proto::Refusal::Invalid, "a key has 1 to 64 characters");
        }
        let command = match cti::command(actor, &asked) {
            Ok(command) => command,
            Err(refused) => return proto::Outcome { result: Some(outcome::Result::Refused(refused)) },
        };
        let (who, key) = (digest(name.as_bytes()), digest(asked.key.as_bytes()));
        // The key is in it: nobody can guess what was asked from the digest who does not know the key.
        let content = digest(&prost::Message::encode_to_vec(&asked)) as u32;
        let (mark, answer) = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            match keys.find(who, key, content) {
                Found::Known(mark, answer) => (mark, answer),
                Found::Reused => return refused(proto::Refusal::KeyReused, "the key came before with another command"),
                Found::New => {
                    let answer = Answer::default();
                    (keys.remember(who, key, content, Arc::clone(&answer)), answer)
                }
            }
        };
        // A task of its own: who does not wait for the answer has asked all the same, and asks again with his key.
        let (door, waiting) = (self.door.clone(), Arc::clone(&answer));
        let done = tokio::spawn(async move { waiting.get_or_init(|| door.carry_out(command, mark)).await.clone() });
        let Ok(outcome) = done.await else {
            return refused(proto::Refusal::NotWritten, "it is not known whether it was carried out");
        };
        if is_unavailable(&outcome) {
            self.keys.lock().unwrap_or_else(PoisonError::into_inner).forget(mark);
        }
        outcome
    }
}

impl Door {
    async fn carry_out(&self, command: Command, mark: Mark) -> proto::Outcome {
        let calls_for = match command.ask {
            Ask::LogIn { agent } | Ask::Ready { agent } => Some(agent),
            _ => None,
        };
        // Before, so that he is not lost while he asks; after, for however long the engine took.
        calls_for.inspect(|agent| self.presence.renew(*agent));
        let outcome = self.pass_on(command, mark).await;
        calls_for.inspect(|agent| self.presence.renew(*agent));
        outcome
    }

    async fn pass_on(&self, command: Command, mark: Mark) -> proto::Outcome {
        let (id, told) = self.replies.expect();
        if self.inbox.send(Message::Input(Input::Once(id, command, mark))).is_err() {
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
            Ok(Ok(_)) => done_outcome(),
            _ => refused(proto::Refusal::NotWritten, "it was carried out, and cannot be written to disk at present"),
        }
    }
}

fn done_outcome() -> proto::Outcome {
    proto::Outcome { result: Some(outcome::Result::Done(proto::Done {})) }
}

fn digest(bytes: &[u8]) -> u64 {
    let whole: [u8; 32] = Sha256::digest(bytes).into();
    whole.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn refused(why: proto::Refusal, text: &str) -> proto::Outcome {
    let refused = proto::Refused { why: why.into(), text: text.to_owned() };
    proto::Outcome { result: Some(outcome::Result::Refused(refused)) }
}

fn is_unavailable(outcome: &proto::Outcome) -> bool {
    matches!(&outcome.result, Some(outcome::Result::Refused(r)) if r.why == i32::from(proto::Refusal::Unavailable))
}

#[cfg(test)]
mod tests {
    use super::super::super::inbox::Messages;
    use super::*;
    use crate::command::Actor;

    struct Scene {
        asking: Arc<Asking>,
        messages: Messages,
        replies: Replies,
        committed: watch::Sender<u64>,
    }

    impl Scene {
        fn new() -> Scene {
            Scene::after(&[])
        }

        /// A start that finds these in the log.
        fn after(done: &[Mark]) -> Scene {
            let ((inbox, messages), replies) = (Inbox::new().unwrap(), Replies::default());
            let (committed, watched) = watch::channel(0);
            let presence = Presence::start(Duration::from_secs(10), inbox.clone(), []);
            let door = Door { inbox, replies: replies.clone(), committed: watched, presence };
            let asking = Arc::new(Asking::new(door, done));
            Scene { asking, messages, replies, committed }
        }

        fn asks(&self, name: &str, key: &str, agent: u32) -> tokio::task::JoinHandle<proto::Outcome> {
            let (asking, owner) = (Arc::clone(&self.asking), Owner { name: name.into(), actor: Actor::Operator });
            let ask = Some(proto::command::Ask::Ready(proto::Ready {}));
            let asked = proto::Command { key: key.to_owned(), agent, ask };
            tokio::spawn(async move { asking.ask(owner, asked).await })
        }

        /// Lets everybody go on as far as he can; then: the command that has reached the engine, if one has.
        async fn reached(&self) -> Option<u64> {
            self.reached_with().await.map(|(id, _)| id)
        }

        async fn reached_with(&self) -> Option<(u64, Mark)> {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            match self.messages.next() {
                Some(Message::Input(Input::Once(id, _, mark))) => Some((id, mark)),
                _ => None,
            }
        }

        fn carried_out(&self, id: u64, seq: u64) {
            self.replies.tell(id, Ok(()), seq);
            self.committed.send_replace(seq);
        }
    }

    fn run(scene: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(scene);
    }

    fn is_done(outcome: &proto::Outcome) -> bool {
        matches!(outcome.result, Some(outcome::Result::Done(_)))
    }

    /// A desktop asks, is cut off before the answer, connects again and asks the same with the same key.
    #[test]
    fn what_is_asked_again_after_its_asker_hung_up_is_done_once() {
        run(async {
            let scene = Scene::new();
            let first = scene.asks("night", "k", 1001);
            let id = scene.reached().await.expect("the command");
            first.abort();
            assert!(first.await.is_err());
            let second = scene.asks("night", "k", 1001);
            assert_eq!(scene.reached().await, None, "the engine is asked once");
            scene.carried_out(id, 5);
            assert!(is_done(&second.await.unwrap()));
            let third = scene.asks("night", "k", 1001);
            assert!(is_done(&third.await.unwrap()), "known by its key");
            assert_eq!(scene.reached().await, None);
        });
    }

    /// The engine was killed after it was done, and perhaps before anybody was told so.
    #[test]
    fn what_was_done_before_a_restart_is_not_done_again() {
        run(async {
            let before = Scene::new();
            let _asks = before.asks("night", "k", 1001);
            let (_, mark) = before.reached_with().await.expect("the command");
            let scene = Scene::after(&[mark]);
            assert!(is_done(&scene.asks("night", "k", 1001).await.unwrap()), "known from the log");
            let reused = scene.asks("night", "k", 1002).await.unwrap();
            assert!(
                matches!(reused.result, Some(outcome::Result::Refused(it)) if it.why() == proto::Refusal::KeyReused)
            );
            let _other = scene.asks("day", "k", 1001);
            assert!(scene.reached().await.is_some(), "another's key");
        });
    }

    /// Two operators may use the same key for different commands; one may not.
    #[test]
    fn keys_are_each_operator_s_own() {
        run(async {
            let scene = Scene::new();
            let day = scene.asks("day", "k", 1001);
            let id = scene.reached().await.expect("the command");
            let reused = scene.asks("day", "k", 1002).await.unwrap();
            assert!(
                matches!(reused.result, Some(outcome::Result::Refused(it)) if it.why() == proto::Refusal::KeyReused)
            );
            let night = scene.asks("night", "k", 1002);
            let other = scene.reached().await.expect("the other's command");
            scene.carried_out(id, 5);
            scene.carried_out(other, 6);
            assert!(is_done(&day.await.unwrap()) && is_done(&night.await.unwrap()));
        });
    }
}
