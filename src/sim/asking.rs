//! Commands of desktops: each has a key, and comes again with it until its answer has come.
//!
//! What decides is what serves: [`Keys`] are the shell's, and the engine writes the marks. Here are the wire, which loses
//! commands and answers, the server's waiting for the disk, and the program's patience, which is sometimes shorter than that.
//! The engine is killed in between; a start knows what its log knows.
//!
//! **What is checked** ([`Check::DoneOnce`]). As far as the log goes a command is carried out once at most, also by what its
//! events say: each attaches and notes a text that no other does. Who is told that it is done finds it there; who is told that
//! it was refused does not, then or later. Who gets two answers gets the same. What died with the engine before it was safe was
//! not done, and nobody was told so.

use super::agenda::Due;
use super::desktop::in_words;
use super::{Check, World, people};
use crate::command::{Actor, Ask, Command, Refusal, Verb};
use crate::cti::{Found, Keys};
use crate::engine::{Bug, Input};
use crate::event::{Event, What};
use crate::ids::{AgentId, Rng};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Replies to commands with keys have numbers from here on; others have the agent's.
pub(super) const KEYED: u64 = 1 << 32;
/// So many commands are lost on their way, and so many answers.
const LOST: f64 = 0.1;
/// How long an item takes at most; shorter than a start after a kill takes.
const WIRE: u64 = 45;
/// After this a program asks again, on average.
const PATIENCE: Duration = Duration::from_secs(1);
/// … and at least.
const LEAST_PATIENCE: Duration = Duration::from_millis(40);
/// A kill that is meant for a command comes within this after it was carried out: before it is safe, while its answer is on
/// its way, or later.
const KILLED_WITHIN: u64 = 80;
/// So many commands in a row are followed by one.
pub(super) const KILLS: u32 = 3;
/// So many answers that a killed server had sent are lost with it.
const LOST_WITH_IT: f64 = 0.5;

/// What comes to pass with a command.
#[derive(Clone, Copy, Debug)]
pub enum AtAsking {
    /// The program asks, or asks again, if it has no answer.
    Asks { key: u64 },
    /// What it asks arrives at the server.
    Arrives { key: u64, epoch: u32 },
    /// The answer arrives.
    Answered { key: u64, answer: Answer, epoch: u32 },
}

/// What a program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Refused(Refusal),
}

/// What was seen of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// Commands that came again while they were carried out or after it …
    pub known: u64,
    /// … and after a kill, known from the log alone.
    pub after_a_kill: u64,
    /// Commands that a kill took with it when they were carried out and not safe.
    pub lost: u64,
}

/// One command, as the program and whoever watches over the world know it.
struct Asked {
    agent: AgentId,
    ask: Ask,
    /// The first answer that came, and of which start it was.
    answer: Option<(Answer, u32)>,
    /// How often it was carried out, as far as the log goes; and how often its own text is there.
    done: u32,
    told: u32,
}

/// How far the server is with a command.
#[derive(Default)]
struct Progress {
    /// Those who asked and wait.
    wait: u32,
    answer: Option<Answer>,
    /// Known from the log of an earlier start.
    restored: bool,
}

/// Commands, and the present server's part of them.
pub(super) struct Asking {
    rng: Rng,
    asked: BTreeMap<u64, Asked>,
    /// How often agents with desktops have sent a caller on, as the log says.
    sent_on: BTreeMap<AgentId, u32>,
    /// Kills that wait for the next command that is carried out.
    pub kills: u32,
    keys: Keys<()>,
    progress: BTreeMap<u64, Progress>,
    /// Carried out and not safe yet: the last event so far, and the key.
    unsafe_yet: Vec<(u64, u64)>,
    pub seen: Repeated,
}

impl Asking {
    pub fn new(rng: Rng) -> Asking {
        Asking {
            rng,
            asked: BTreeMap::new(),
            sent_on: BTreeMap::new(),
            kills: 0,
            keys: Keys::default(),
            progress: BTreeMap::new(),
            unsafe_yet: Vec::new(),
            seen: Repeated::default(),
        }
    }

    /// Who has asked and has no answer yet.
    pub fn unanswered(&self) -> Option<String> {
        let asked = self.asked.values().rev().find(|asked| asked.answer.is_none())?;
        Some(format!("agent {} has no answer to {:?}", asked.agent, asked.ask))
    }
}

/// What a command attaches and notes, so that it is known in the log.
fn text(key: u64) -> String {
    format!("Jo of the desktop, command {key}")
}

fn key_in(text: &str) -> Option<u64> {
    text.rsplit_once("command ")?.1.parse().ok()
}

/// The ask with a text of its own, where it has one.
fn with_text(ask: Ask, key: u64) -> Ask {
    let Ask::Serve { agent, call, verb } = ask else { return ask };
    let verb = match verb {
        Verb::Attach(data) => Verb::Attach(data.into_keys().map(|name| (name, text(key))).collect()),
        Verb::Dispose { disposition, .. } => Verb::Dispose { disposition, notes: text(key) },
        other => other,
    };
    Ask::Serve { agent, call, verb }
}

fn has_text(ask: &Ask) -> bool {
    matches!(ask, Ask::Serve { verb: Verb::Attach(_) | Verb::Dispose { .. }, .. })
}

fn sends_on(ask: &Ask) -> bool {
    matches!(ask, Ask::Serve { verb: Verb::Dispatch { .. } | Verb::ToAgent(_) | Verb::ToNumber(_), .. })
}

/// Who asks for this says that he is there.
fn says_present(ask: &Ask) -> bool {
    matches!(ask, Ask::LogIn { .. } | Ask::Ready { .. })
}

impl World {
    /// The agent's program asks for something, with a new key.
    pub(super) fn program_asks(&mut self, agent: AgentId, ask: Ask) {
        let key = self.asking.asked.len() as u64 + 1;
        let asked = Asked { agent, ask: with_text(ask, key), answer: None, done: 0, told: 0 };
        self.asking.asked.insert(key, asked);
        self.at_asking(AtAsking::Asks { key });
    }

    pub(super) fn at_asking(&mut self, due: AtAsking) {
        match due {
            AtAsking::Asks { key } => self.asks(key),
            AtAsking::Arrives { key, epoch } if epoch == self.epoch => self.command_arrives(key),
            // The server that it was sent to is gone.
            AtAsking::Arrives { .. } => {}
            AtAsking::Answered { key, answer, epoch } => self.answer_arrives(key, answer, epoch),
        }
    }

    fn asks(&mut self, key: u64) {
        let Some(asked) = self.asking.asked.get(&key).filter(|asked| asked.answer.is_none()) else { return };
        let (who, what) = (format!("Agent {}", asked.agent), in_words(&asked.ask));
        self.note(&who, || format!("desk: {what}"));
        let patience = people::exponential(&mut self.asking.rng, PATIENCE).max(LEAST_PATIENCE);
        self.after(patience, Due::Asking(AtAsking::Asks { key }));
        if self.engine.is_some() {
            let epoch = self.epoch;
            self.over_the_wire(AtAsking::Arrives { key, epoch });
        }
    }

    fn over_the_wire(&mut self, what: AtAsking) {
        let lost = self.asking.rng.chance(LOST);
        let delay = Duration::from_millis(1 + self.asking.rng.below(WIRE));
        if !lost {
            self.after(delay, Due::Asking(what));
        }
    }

    // What the server does.

    pub(super) fn asking_start(&mut self, open: &[(Event, Option<String>)]) {
        let asking = &mut self.asking;
        (asking.keys, asking.progress) = Default::default();
        asking.seen.lost += asking.unsafe_yet.len() as u64;
        asking.unsafe_yet.clear();
        #[cfg(feature = "planted-bugs")]
        {
            asking.keys.forgets = self.bug == Some(Bug::ForgetsKeys);
        }
        for (event, _) in open {
            if let What::CommandDone { mark } = event.what {
                asking.keys.restore(mark, ());
                asking.progress.insert(mark.key, Progress { wait: 0, answer: Some(Answer::Done), restored: true });
            }
        }
    }

    fn command_arrives(&mut self, key: u64) {
        let Some(asked) = self.asking.asked.get(&key).filter(|_| self.engine.is_some()) else { return };
        let (agent, ask) = (asked.agent, asked.ask.clone());
        let (who, content) = (u64::from(agent.0), key as u32);
        match self.asking.keys.find(who, key, content) {
            Found::New => {
                let mark = self.asking.keys.remember(who, key, content, ());
                self.asking.progress.insert(key, Progress { wait: 1, ..Progress::default() });
                if says_present(&ask) {
                    self.renews(agent);
                }
                let command = Command { actor: Actor::Agent(agent), ask };
                self.engine_gets(Input::Once(KEYED + key, command, mark));
            }
            found => {
                let known = matches!(found, Found::Known(..));
                self.tally.must(Check::DoneOnce, known, || format!("command {key} came before with another content"));
                let progress = self.asking.progress.entry(key).or_default();
                progress.wait += 1;
                let (answer, restored) = (progress.answer, progress.restored);
                self.asking.seen.known += 1;
                self.asking.seen.after_a_kill += u64::from(restored);
                answer.into_iter().for_each(|answer| self.answers(key, answer));
            }
        }
    }

    /// The engine has answered.
    pub(super) fn command_replied(&mut self, key: u64, result: Result<(), Refusal>) {
        if let Err(why) = result {
            return self.answers(key, Answer::Refused(why));
        }
        self.asking.unsafe_yet.push((self.books.newest(), key));
        if self.planted(Bug::AnswersEarly) {
            self.answers(key, Answer::Done);
        }
        if self.asking.kills > 0 {
            self.asking.kills -= 1;
            let after = Duration::from_millis(self.asking.rng.below(KILLED_WITHIN));
            self.after(after, Due::Crash);
        }
    }

    /// So much of the log is safe.
    pub(super) fn asking_committed(&mut self) {
        let written = self.books.written();
        let safe: Vec<u64> = self.asking.unsafe_yet.extract_if(.., |(seq, _)| *seq <= written).map(|it| it.1).collect();
        for key in safe {
            let Some(asked) = self.asking.asked.get_mut(&key) else { continue };
            asked.done += 1;
            let (agent, present, done) = (asked.agent, says_present(&asked.ask), asked.done);
            self.tally.must(Check::DoneOnce, done == 1, || format!("command {key} was carried out {done} times"));
            if present {
                self.renews(agent);
            }
            self.answers(key, Answer::Done);
        }
    }

    fn answers(&mut self, key: u64, answer: Answer) {
        let epoch = self.epoch;
        let progress = self.asking.progress.entry(key).or_default();
        progress.answer = Some(answer);
        for _ in 0..std::mem::take(&mut progress.wait) {
            self.over_the_wire(AtAsking::Answered { key, answer, epoch });
        }
    }

    // What is checked.

    /// An event is safe.
    pub(super) fn asking_reads(&mut self, event: &Event) {
        let text = match &event.what {
            What::DataAttached { value, .. } => value.text.as_deref(),
            What::Disposed { notes, .. } => notes.as_ref().and_then(|notes| notes.text.as_deref()),
            What::Transferred { agent, .. } => {
                *self.asking.sent_on.entry(*agent).or_default() += 1;
                None
            }
            _ => None,
        };
        let Some(key) = text.and_then(key_in) else { return };
        let told = self.asking.asked.get_mut(&key).map_or(0, |asked| {
            asked.told += 1;
            asked.told
        });
        self.tally.must(Check::DoneOnce, told == 1, || format!("the text of command {key} is in the log {told} times"));
    }

    fn answer_arrives(&mut self, key: u64, answer: Answer, epoch: u32) {
        let is_gone = self.engine.is_none() || epoch != self.epoch;
        if is_gone && self.asking.rng.chance(LOST_WITH_IT) {
            return;
        }
        let Some(asked) = self.asking.asked.get_mut(&key) else { return };
        let (first, of) = *asked.answer.get_or_insert((answer, epoch));
        // What an earlier start refused, whose answer was lost, another may do.
        let same = first == answer || epoch > of && first != Answer::Done;
        let what = (asked.agent, asked.ask.clone());
        self.tally.must(Check::DoneOnce, same, || format!("{what:?}: told {first:?}, and then {answer:?}"));
        self.check_answer(key, answer);
    }

    /// What the log says is what was answered.
    fn check_answer(&mut self, key: u64, answer: Answer) {
        let Some(asked) = self.asking.asked.get(&key) else { return };
        let wanted = u32::from(answer == Answer::Done);
        let told = if has_text(&asked.ask) { wanted } else { 0 };
        let right = (asked.done, asked.told) == (wanted, told);
        self.tally.must(Check::DoneOnce, right, || {
            let (done, told) = (asked.done, asked.told);
            format!("agent {} is told {answer:?} of command {key}, in the log {done} and {told} times", asked.agent)
        });
    }

    /// In the end: what was answered is what was done, and nothing else was.
    pub(super) fn check_asked(&mut self) {
        let answers: Vec<_> = self.asking.asked.iter().filter_map(|(key, it)| Some((*key, it.answer?.0))).collect();
        answers.into_iter().for_each(|(key, answer)| self.check_answer(key, answer));
        let mut sent_on: BTreeMap<AgentId, u32> = BTreeMap::new();
        for asked in self.asking.asked.values().filter(|asked| sends_on(&asked.ask)) {
            *sent_on.entry(asked.agent).or_default() += asked.done;
        }
        for (agent, times) in sent_on {
            let in_log = self.asking.sent_on.get(&agent).copied().unwrap_or_default();
            self.tally.must(Check::DoneOnce, in_log == times, || {
                format!("agent {agent} has sent {in_log} callers on, and asked for it {times} times")
            });
        }
    }
}
