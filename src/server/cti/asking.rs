//! A command's way to the engine and back. The answer waits until what the command did is on disk; who cannot wait so long
//! is told that it is not known yet, and learns it by asking again with the same key.

use super::super::inbox::{Inbox, Message};
use super::presence::Presence;
use super::tokens::Owner;
use crate::command::{Actor, Ask, Command, Refusal};
use crate::cti::{self, Found, Keys};
use crate::engine::Input;
use crate::event::Mark;
use crate::proto::{self, outcome};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The engine answers and the disk takes what it did within this, or one of them is in trouble.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_KEY: usize = 64;
/// Commands of one who asks that wait for the engine or for the disk: many times what a desktop has on its way. While the
/// disk refuses, they wait until it does not.
const WAITING: usize = 256;

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

/// How far one command has come, for all who ask it with the same key.
#[derive(Clone)]
enum Progress {
    Asked,
    /// The engine has done it; it is not on disk yet.
    CarriedOut,
    Over(proto::Outcome),
}

type Answer = watch::Receiver<Progress>;

pub struct Asking {
    door: Door,
    keys: Arc<Mutex<Keys<Answer>>>,
    /// Of each who has something waiting, how much.
    waiting: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
    patience: Duration,
}

/// A command's place among those that wait.
struct Place {
    waiting: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
    name: Arc<str>,
}

impl Place {
    fn take(waiting: &Arc<Mutex<BTreeMap<Arc<str>, usize>>>, name: &Arc<str>) -> Option<Place> {
        let mut all = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(name).copied().unwrap_or_default();
        if own >= WAITING {
            return None;
        }
        all.insert(Arc::clone(name), own + 1);
        Some(Place { waiting: Arc::clone(waiting), name: Arc::clone(name) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.name) {
            Some(own) if *own > 1 => *own -= 1,
            _ => _ = all.remove(&self.name),
        }
    }
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
        let over = || watch::channel(Progress::Over(done_outcome())).1;
        done.iter().for_each(|mark| keys.restore(*mark, over()));
        Asking { door, keys: Arc::new(Mutex::new(keys)), waiting: Arc::default(), patience: PATIENCE }
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
        let answer = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            match keys.find(who, key, content) {
                Found::Known(_, answer) => answer,
                Found::Reused => return refused(proto::Refusal::KeyReused, "the key came before with another command"),
                Found::New => {
                    let Some(place) = Place::take(&self.waiting, &name) else {
                        return refused(proto::Refusal::Unavailable, "too many of yours wait already; ask again later");
                    };
                    let (progress, answer) = watch::channel(Progress::Asked);
                    let mark = keys.remember(who, key, content, answer.clone());
                    self.begin(command, mark, progress, place);
                    answer
                }
            }
        };
        outcome_of(answer, self.patience).await
    }

    /// In a task of its own: who does not wait for the answer has asked all the same, and asks again with his key.
    fn begin(&self, command: Command, mark: Mark, progress: watch::Sender<Progress>, place: Place) {
        let (door, keys) = (self.door.clone(), Arc::clone(&self.keys));
        tokio::spawn(async move {
            let outcome = door.carry_out(command, mark, &progress).await;
            if is_unavailable(&outcome) {
                keys.lock().unwrap_or_else(PoisonError::into_inner).forget(mark);
            }
            progress.send_replace(Progress::Over(outcome));
            drop(place);
        });
    }
}

/// What became of a command, or how far it has come when patience is over.
async fn outcome_of(mut answer: Answer, patience: Duration) -> proto::Outcome {
    let over = answer.wait_for(|progress| matches!(progress, Progress::Over(_)));
    _ = tokio::time::timeout(patience, over).await; // how far it has come by then says the rest
    let progress = answer.borrow().clone();
    match progress {
        Progress::Over(outcome) => outcome,
        Progress::CarriedOut => {
            refused(proto::Refusal::NotWritten, "it was carried out, and cannot be written to disk at present")
        }
        Progress::Asked => {
            refused(proto::Refusal::NotWritten, "the engine has not answered yet, and may still carry it out")
        }
    }
}

impl Door {
    async fn carry_out(&self, command: Command, mark: Mark, progress: &watch::Sender<Progress>) -> proto::Outcome {
        let seated = match command.ask {
            Ask::LogIn { agent } | Ask::Ready { agent } => Some(agent),
            _ => None,
        };
        // Who asks for another does not show that somebody is at that one's desktop.
        let himself = seated.filter(|agent| command.actor == Actor::Agent(*agent));
        // Before, so that he is not lost while he asks; after, for however long the engine took.
        himself.inspect(|agent| self.presence.renew(*agent));
        let outcome = self.pass_on(command, mark, progress).await;
        match himself {
            Some(agent) => self.presence.renew(agent),
            None => _ = seated.filter(|_| !is_refused(&outcome)).inspect(|agent| self.presence.expect(*agent)),
        }
        outcome
    }

    async fn pass_on(&self, command: Command, mark: Mark, progress: &watch::Sender<Progress>) -> proto::Outcome {
        let (id, told) = self.replies.expect();
        if self.inbox.send(Message::Input(Input::Once(id, command, mark))).is_err() {
            return refused(proto::Refusal::Unavailable, "Tierline stops");
        }
        let Ok((result, seq)) = told.await else {
            return refused(proto::Refusal::NotWritten, "it is not known whether it was carried out");
        };
        if let Err(why) = result {
            return proto::Outcome { result: Some(outcome::Result::Refused(cti::refused(why))) };
        }
        progress.send_replace(Progress::CarriedOut);
        match self.committed.clone().wait_for(|done| *done >= seq).await {
            Ok(_) => done_outcome(),
            Err(_) => {
                refused(proto::Refusal::NotWritten, "it was carried out, and Tierline stopped before it was written")
            }
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

/// Nothing was done.
fn is_refused(outcome: &proto::Outcome) -> bool {
    matches!(&outcome.result, Some(outcome::Result::Refused(r)) if r.why != i32::from(proto::Refusal::NotWritten))
}

fn is_unavailable(outcome: &proto::Outcome) -> bool {
    matches!(&outcome.result, Some(outcome::Result::Refused(r)) if r.why == i32::from(proto::Refusal::Unavailable))
}

#[cfg(test)]
mod tests {
    use super::super::super::inbox::Messages;
    use super::*;
    use crate::ids::AgentId;

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
            self.asks_as(Actor::Operator, (name, key), agent)
        }

        fn asks_as(
            &self,
            actor: Actor,
            (name, key): (&str, &str),
            agent: u32,
        ) -> tokio::task::JoinHandle<proto::Outcome> {
            let (asking, owner) = (Arc::clone(&self.asking), Owner { name: name.into(), actor });
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

    /// Trap 13: who asks in another's name, be it refused or not, does not keep a desktop alive that is gone; and who logs an
    /// agent in for whom no stream ever comes has not made somebody who is there for ever.
    #[test]
    fn trap_13_asking_for_another_is_no_sign_of_life_of_his_desktop() {
        let (ada, ben) = (AgentId(1001), AgentId(1002));
        let (own, operator) = (Actor::Agent(ben), Actor::Operator);
        for (actor, answer, leased, begins, longer) in [
            (Actor::Agent(ada), Err(Refusal::NotAllowed), true, false, false),
            (Actor::Agent(ada), Err(Refusal::NotAllowed), false, false, false),
            (operator.clone(), Ok(()), true, false, false),
            (operator.clone(), Ok(()), false, true, false),
            (operator, Err(Refusal::NoSuchAgent), false, false, false),
            (own.clone(), Ok(()), true, false, true),
            (own, Ok(()), false, true, false),
        ] {
            run(async {
                let scene = Scene::new();
                let presence = &scene.asking.door.presence;
                if leased {
                    presence.renew(ben);
                }
                let before = presence.leased_until(ben);
                let asked = scene.asks_as(actor.clone(), ("script", "k"), 1002);
                let id = scene.reached().await.expect("the command");
                scene.replies.tell(id, answer, 1);
                scene.committed.send_replace(1);
                asked.await.unwrap();
                let after = presence.leased_until(ben);
                assert_eq!((before.is_none() && after.is_some(), before.is_some() && after > before), (begins, longer));
            });
        }
    }

    /// Neither a slow engine nor a full disk leaves anybody in doubt for ever.
    #[test]
    fn who_was_told_that_it_is_not_known_yet_learns_it_by_asking_again() {
        run(async {
            let mut scene = Scene::new();
            Arc::get_mut(&mut scene.asking).expect("nobody asks yet").patience = Duration::ZERO;
            let told = |outcome: proto::Outcome| match outcome.result {
                Some(outcome::Result::Refused(refused)) => (refused.why(), refused.text),
                _ => (proto::Refusal::Unspecified, "done".to_owned()),
            };
            let first = scene.asks("night", "k", 1001);
            let id = scene.reached().await.expect("the command");
            let (why, text) = told(first.await.unwrap());
            assert_eq!((why, text.contains("not answered yet")), (proto::Refusal::NotWritten, true), "{text}");
            scene.replies.tell(id, Ok(()), 5);
            let (why, text) = told(scene.asks("night", "k", 1001).await.unwrap());
            assert_eq!((why, text.contains("was carried out")), (proto::Refusal::NotWritten, true), "{text}");
            scene.committed.send_replace(5);
            assert!(is_done(&scene.asks("night", "k", 1001).await.unwrap()));
            assert_eq!(scene.reached().await, None, "the engine is asked once");
        });
    }

    /// The disk refuses, and somebody goes on asking: he is told, and nobody else is.
    #[test]
    fn no_more_than_so_many_of_one_wait() {
        run(async {
            let scene = Scene::new();
            let asks: Vec<_> = (0..WAITING).map(|n| scene.asks("night", &n.to_string(), 1001)).collect();
            let (first, _) = scene.reached_with().await.expect("the command");
            let more = scene.asks("night", "more", 1001).await.unwrap();
            assert!(
                matches!(more.result, Some(outcome::Result::Refused(it)) if it.why() == proto::Refusal::Unavailable)
            );
            let again = scene.asks("night", "1", 1001);
            let _day = scene.asks("day", "k", 1001);
            let mut reached = 1;
            while scene.reached().await.is_some() {
                reached += 1;
            }
            assert_eq!(reached, WAITING + 1, "another's is asked, and what was asked before is not refused");
            assert!(!again.is_finished());
            scene.carried_out(first, 5);
            assert!(is_done(&asks.into_iter().next().unwrap().await.unwrap()));
            let _more = scene.asks("night", "more", 1001);
            assert!(scene.reached().await.is_some(), "there is a place again");
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
