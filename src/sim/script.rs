//! Scenarios for ladders: who does what when, written in plain lines.
//!
//! ```text
//! agents 2
//! keepalive 20
//! ring all
//! trunk first is caller2
//! number 1001
//! phone 1001 describes early updates early
//! phone 1002 knows no-timers
//! lose 1 200 OK from Tierline
//! mute 1002
//! draw calls
//! at 0.5 1001 registers
//! at 2 caller dials 100
//! at 8 desk of 1001 hold
//! at 60 ends
//! ```
//!
//! People are `caller`, `caller2` …, and agents by number. They do nothing but what the script says. With `draw calls` the
//! drawing is not of the messages, but of each call as `tierline calls ID` shows it to an operator.

use super::ladder::{self, Trace};
use super::media::Owner;
use super::parties::{Party, address};
use super::people::{Act, Person};
use super::{Due, Options, World, place};
use crate::center::RingPlan;
use crate::command;
use crate::engine::Input;
use crate::event::Event;
use crate::ids::{AgentId, CallId, QueueId};
use crate::phone::{Ask, Manner};
use crate::records::ladder_of;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// What happens at a line.
#[derive(Clone, Debug, PartialEq)]
enum Deed {
    Person(u32, Did),
    Crash,
    Drain,
    Banner {
        banner: String,
        on: bool,
    },
    /// What an agent asks for at the desktop.
    Desk(AgentId, command::Ask),
    Stop,
    Ends,
}

#[derive(Clone, Debug, PartialEq)]
enum Did {
    Registers { right: bool },
    Unregisters,
    Dials(String),
    Presses(String),
    Answers,
    Declines(u16),
    HangsUp,
    Vanishes,
    Hold(bool),
}

/// A datagram that gets lost, by its label in the ladder.
#[derive(Clone, Debug, PartialEq)]
struct Loss {
    times: u32,
    label: String,
    from_us: bool,
}

/// A scenario that has been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    agents: u32,
    /// The pause between two OPTIONS to a phone; none are sent without it.
    keepalive: Option<Duration>,
    /// Every agent's phone rings at once.
    ring_all: bool,
    /// Carriers, in the order in which they are tried, and whose phones they are.
    trunks: Vec<(String, u32)>,
    losses: Vec<Loss>,
    /// Agents who are reached on the outside number, and must confirm.
    numbers: Vec<u32>,
    /// Phones that use SIP in their own manner, and after how many seconds their sessions expire.
    manners: Vec<(u32, Manner, Option<Duration>)>,
    /// Whose audio never comes to us.
    mute: Vec<u32>,
    /// Drawn are the calls as the records have them.
    draws_calls: bool,
    deeds: Vec<(Duration, Deed)>,
}

/// The script's state in a world; empty where none runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    script: Script,
}

impl Running {
    /// How this phone uses SIP, if the script says so.
    pub fn manner(&self, key: u32) -> Option<(Manner, Option<Duration>)> {
        let of_key = self.script.manners.iter().find(|(who, ..)| *who == key)?;
        Some((of_key.1, of_key.2))
    }

    /// Whether the script wants this datagram lost.
    pub fn loses(&mut self, from_us: bool, bytes: &[u8]) -> bool {
        if self.script.losses.is_empty() {
            return false;
        }
        let label = ladder::label(bytes);
        let wanted = |loss: &&mut Loss| loss.times > 0 && loss.from_us == from_us && label.starts_with(&loss.label);
        match self.script.losses.iter_mut().find(wanted) {
            Some(loss) => {
                loss.times -= 1;
                true
            }
            None => false,
        }
    }
}

/// `log in`, `hold`, `dispatch to <queue>` and so on.
fn desk(agent: AgentId, words: &[&str]) -> Result<command::Ask, String> {
    use command::{Ask, Verb};
    let verb = match words {
        ["logs", "in"] => return Ok(Ask::LogIn { agent }),
        ["logs", "out"] => return Ok(Ask::LogOut { agent }),
        ["ready"] => return Ok(Ask::Ready { agent }),
        ["not", "ready", reason] => return Ok(Ask::NotReady { agent, reason: (*reason).to_owned() }),
        ["more", "time", seconds] => {
            let time = Duration::from_secs(seconds.parse().map_err(|_| "how many seconds?")?);
            return Ok(Ask::MoreTime { agent, time });
        }
        ["hang", "up"] => Verb::HangUp,
        ["hold"] => Verb::Hold,
        ["retrieve"] => Verb::Retrieve,
        ["answer"] => Verb::Answer,
        ["attach", pairs @ ..] if pairs.len() % 2 == 0 => {
            Verb::Attach(pairs.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect())
        }
        ["dispatch", "to", queue] => {
            Verb::Dispatch { queue: QueueId::new(queue), skills: Default::default(), priority: 0 }
        }
        ["transfer", "to", other] => Verb::ToAgent(AgentId(other.parse().map_err(|_| "to which agent?")?)),
        ["transfer", "outside", "to", number] => Verb::ToNumber((*number).to_owned()),
        ["dispose", word] => Verb::Dispose { disposition: (*word).to_owned(), notes: String::new() },
        _ => return Err("no desktop can do this".to_owned()),
    };
    Ok(Ask::Serve { agent, call: None, verb })
}

/// `describes early`, `updates early`, `requires reliable`, `knows no-timers`, `shares port`, `expires <seconds>`; several in one line.
fn manner(words: &[&str]) -> Result<(Manner, Option<Duration>), String> {
    let (mut manner, mut expires) = (Manner::default(), None);
    for pair in words.chunks(2) {
        match pair {
            ["describes", "early"] => manner.describes_early = true,
            ["updates", "early"] => manner.updates_early = true,
            ["requires", "reliable"] => manner.requires_reliable = true,
            ["knows", "no-timers"] => manner.knows_no_timers = true,
            ["shares", "port"] => manner.shares_port = true,
            ["expires", seconds] => {
                expires = Some(Duration::from_secs(seconds.parse().map_err(|_| "after how many seconds?")?));
            }
            _ => return Err("no phone has this manner".to_owned()),
        }
    }
    Ok((manner, expires))
}

impl Script {
    /// Reads a scenario; the error names the line.
    pub fn read(text: &str) -> Result<Script, String> {
        let mut script = Script { agents: 1, ..Script::default() };
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.is_empty() || words[0].starts_with('#') {
                continue;
            }
            script.line(&words).map_err(|why| format!("line {}: {why}: `{line}`", number + 1))?;
        }
        Ok(script)
    }

    fn line(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["agents", n] => self.agents = n.parse().map_err(|_| "how many agents?")?,
            ["keepalive", seconds] => {
                let seconds = seconds.parse().map_err(|_| "how many seconds?")?;
                self.keepalive = Some(Duration::from_secs(seconds));
            }
            ["ring", "all"] => self.ring_all = true,
            ["mute", who] => self.mute.push(self.person(who)?),
            ["draw", "calls"] => self.draws_calls = true,
            ["phone", who, manners @ ..] => {
                let (manner, expires) = manner(manners)?;
                self.manners.push((self.person(who)?, manner, expires));
            }
            ["trunk", name, "is", who] => self.trunks.push(((*name).to_owned(), self.person(who)?)),
            ["number", who] => self.numbers.push(self.person(who)?),
            ["lose", times, label @ .., "from", who] => {
                let times = times.parse().map_err(|_| "how many times?")?;
                self.losses.push(Loss { times, label: label.join(" "), from_us: *who == ladder::US });
            }
            ["at", time, deed @ ..] => {
                let time: f64 = time.parse().map_err(|_| "at which second?")?;
                let at = Duration::try_from_secs_f64(time).map_err(|_| "at which second?")?;
                let deed = self.deed(deed)?;
                self.deeds.push((at, deed));
            }
            _ => return Err(
                "expected `agents`, `keepalive`, `ring all`, `phone`, `trunk`, `lose`, `mute`, `draw calls` or `at`"
                    .to_owned(),
            ),
        }
        Ok(())
    }

    fn deed(&self, words: &[&str]) -> Result<Deed, String> {
        let (who, did) = match words {
            ["engine", "is", "killed"] => return Ok(Deed::Crash),
            ["engine", "drains"] => return Ok(Deed::Drain),
            ["banner", banner, state @ ("on" | "off")] => {
                return Ok(Deed::Banner { banner: (*banner).to_owned(), on: *state == "on" });
            }
            ["engine", "is", "stopped"] => return Ok(Deed::Stop),
            ["ends"] => return Ok(Deed::Ends),
            ["desk", "of", who, asks @ ..] => {
                self.person(who)?;
                let agent = AgentId(who.parse().map_err(|_| format!("{who} is no agent"))?);
                return desk(agent, asks).map(|ask| Deed::Desk(agent, ask));
            }
            [who, "registers"] => (who, Did::Registers { right: true }),
            [who, "registers", "with", "a", "wrong", "password"] => (who, Did::Registers { right: false }),
            [who, "unregisters"] => (who, Did::Unregisters),
            [who, "dials", number] => (who, Did::Dials((*number).to_owned())),
            [who, "presses", keys] => (who, Did::Presses((*keys).to_owned())),
            [who, "answers"] => (who, Did::Answers),
            [who, "declines"] => (who, Did::Declines(486)),
            [who, "declines", status] => (who, Did::Declines(status.parse().map_err(|_| "with which status?")?)),
            [who, "hangs", "up"] => (who, Did::HangsUp),
            [who, "vanishes"] => (who, Did::Vanishes),
            [who, "holds"] => (who, Did::Hold(true)),
            [who, "retrieves"] => (who, Did::Hold(false)),
            _ => return Err("nobody can do this".to_owned()),
        };
        Ok(Deed::Person(self.person(who)?, did))
    }

    fn person(&self, name: &str) -> Result<u32, String> {
        if let Some(number) = name.strip_prefix("caller") {
            let number: u32 = if number.is_empty() { 1 } else { number.parse().map_err(|_| "which caller?")? };
            return Ok(self.agents + number.max(1) - 1);
        }
        let number: u32 = name.parse().map_err(|_| format!("who is {name}?"))?;
        match number.checked_sub(place::FIRST_AGENT).filter(|key| *key < self.agents) {
            Some(key) => Ok(key),
            None => Err(format!("{name} is no agent")),
        }
    }
}

/// Plays a scenario and draws it. A check that fails, or somebody who is not quiet where the script `ends`, is an error.
pub fn play(text: &str) -> Result<String, String> {
    let script = Script::read(text)?;
    let mut world = World::new(Options { agents: script.agents, keepalive: script.keepalive, ..Options::scripted() });
    if script.draws_calls {
        world.keep_journal();
    }
    world.set_scene(script);
    while world.step() {}
    world.settle();
    match world.tally.failure() {
        Some(failure) => Err(format!("{failure}\n{}", world.drawing())),
        None if world.journal.is_some() => Ok(calls_drawn(world.journal())),
        None => Ok(world.drawing()),
    }
}

/// Each call as an operator sees it who may not see numbers and keys.
fn calls_drawn(events: &[Event]) -> String {
    let mut calls: BTreeMap<CallId, Vec<Event>> = BTreeMap::new();
    for event in events {
        let mut event = event.clone();
        event.what.personal_mut().into_iter().for_each(|personal| personal.text = None);
        event.call.into_iter().for_each(|call| calls.entry(call).or_default().push(event.clone()));
    }
    let drawings: Vec<String> = calls.values().map(|events| ladder_of(events)).collect();
    drawings.join("\n")
}

impl World {
    fn set_scene(&mut self, script: Script) {
        let mut people: Vec<u32> = (0..script.agents).collect();
        people.extend(script.deeds.iter().filter_map(|(_, deed)| match deed {
            Deed::Person(key, _) => Some(*key),
            _ => None,
        }));
        people.extend(script.trunks.iter().map(|(_, key)| *key));
        people.sort_unstable();
        people.dedup();
        let (agents, callers): (Vec<u32>, Vec<u32>) = people.iter().partition(|key| **key < script.agents);
        let mut columns: Vec<String> = callers.iter().map(|key| self.column(*key)).collect();
        columns.push(ladder::US.to_owned());
        columns.extend(agents.iter().map(|key| self.column(*key)));
        self.trace = Some(Trace::new(columns));
        for key in people {
            let rng = self.rng.fork(&format!("puppet {key}"));
            self.parties.insert(key, Party::new(Person::puppet(rng)));
        }
        for (place, (at, _)) in script.deeds.iter().enumerate() {
            self.at(Instant::ZERO + *at, Due::Script(place));
        }
        script.mute.iter().for_each(|key| self.planes.mute(Owner::Phone(*key)));
        if script.ring_all {
            self.configuration.center.queues.values_mut().for_each(|queue| queue.ring = RingPlan::All);
            self.engine_gets(Input::Configured(Box::new(self.configuration.clone())));
        }
        if !script.trunks.is_empty() {
            let carriers: Vec<_> = script.trunks.iter().map(|(name, key)| (name.clone(), address(*key))).collect();
            place::add_vendor(&mut self.configuration, &carriers);
            let reached = script.numbers.iter().map(|key| place::FIRST_AGENT + key);
            reached.for_each(|agent| place::reach_on_number(&mut self.configuration, AgentId(agent), true));
            self.engine_gets(Input::Configured(Box::new(self.configuration.clone())));
            script.trunks.iter().for_each(|(_, key)| self.boot(*key, true));
        }
        self.script = Running { script };
    }

    pub(super) fn script_line(&mut self, line: usize) {
        let Some((_, deed)) = self.script.script.deeds.get(line).cloned() else { return };
        match deed {
            Deed::Crash => self.crash(),
            Deed::Drain => self.operator_asks(command::Ask::Drain),
            Deed::Banner { banner, on } => self.operator_asks(command::Ask::Banner { banner, on }),
            Deed::Desk(agent, ask) => self.desk_asks(agent, ask),
            Deed::Stop => self.operator_asks(command::Ask::EndAll),
            Deed::Ends => {
                self.quiet = true;
                let left = self.pending().filter(|_| !self.someone_is_registered());
                self.tally.must(super::Check::Quiet, left.is_none(), || left.unwrap_or_default());
            }
            Deed::Person(key, did) => self.did(key, did),
        }
    }

    /// While phones are registered there are deadlines; calls and ports must be gone nevertheless.
    fn someone_is_registered(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.pending().is_none()) && self.planes.pending().is_none()
    }

    fn did(&mut self, key: u32, did: Did) {
        let who = self.column(key);
        let text = match &did {
            Did::Presses(keys) => Some(format!("presses {keys}")),
            Did::Vanishes => Some("vanishes".to_owned()),
            Did::Answers => Some("answers".to_owned()),
            Did::Registers { right: false } => Some("has a wrong password".to_owned()),
            _ => None,
        };
        text.into_iter().for_each(|text| self.note(&who, || text));
        let act = match did {
            Did::Registers { right } => {
                self.boot(key, right);
                Act::Register { right }
            }
            Did::Unregisters => Act::Ask(Ask::Unregister),
            Did::Dials(number) => return self.dial(key, &number),
            Did::Presses(digits) => Act::Ask(Ask::Press { digits }),
            Did::Answers => Act::Ask(Ask::Answer),
            Did::Declines(status) => Act::Ask(Ask::Decline { status }),
            Did::HangsUp => Act::Ask(Ask::HangUp),
            Did::Vanishes => Act::Vanish,
            Did::Hold(on) => Act::Ask(Ask::Hold { on }),
        };
        self.does(key, 0, act);
    }

    /// Draws every message from here on: to see what a seed does.
    pub fn watch(&mut self) {
        self.trace.get_or_insert_with(|| Trace::new(vec![ladder::US.to_owned()]));
    }

    /// The ladder of all that was watched; empty if nothing was.
    pub fn drawing(&self) -> String {
        self.trace.as_ref().map(Trace::draw).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_or_its_mistake_is_named() {
        let good = "agents 2\n# a remark\n\nlose 2 200 OK from Tierline\nat 0.5 1002 answers\nat 3 caller2 presses 12";
        let script = Script::read(good).unwrap();
        assert_eq!(script.losses, [Loss { times: 2, label: "200 OK".to_owned(), from_us: true }]);
        let half = Duration::from_millis(500);
        assert_eq!(script.deeds[0], (half, Deed::Person(1, Did::Answers)));
        assert_eq!(script.deeds[1], (Duration::from_secs(3), Deed::Person(3, Did::Presses("12".to_owned()))));
        let check = |text: &str, expect: &str| assert_eq!(Script::read(text).unwrap_err(), expect);
        check("\nat x caller hangs up", "line 2: at which second?: `at x caller hangs up`");
        check("at 1 1002 answers", "line 1: 1002 is no agent: `at 1 1002 answers`");
        check("at 1 bob answers", "line 1: who is bob?: `at 1 bob answers`");
        check("phone caller is loud", "line 1: no phone has this manner: `phone caller is loud`");
        check("at 1 caller sings", "line 1: nobody can do this: `at 1 caller sings`");
        check(
            "in 1 caller dials 100",
            "line 1: expected `agents`, `keepalive`, `ring all`, `phone`, `trunk`, `lose`, `mute`, `draw calls` \
             or `at`: `in 1 caller dials 100`",
        );
    }
}
