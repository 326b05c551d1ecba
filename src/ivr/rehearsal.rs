//! A flow walked without a call: what a caller would hear and where the keys lead, as lines to read.

use super::flow::Flow;
use super::{Facts, Found, Input, Music, Output, Phase, QueueResult, Run, Scene, Wait, Way};
use crate::center::Center;
use crate::ids::FlowId;
use crate::time::{Instant, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Inputs of one rehearsal: a flow that goes on for ever is cut.
const MAX_INPUTS: usize = 1_000;
/// Rounds of a treatment before somebody answers.
const MAX_ROUNDS: u32 = 2;
/// Stands before a key that is pressed while something is said.
const EARLY: char = '!';

/// What the world does while a flow is rehearsed.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub wall: Wall,
    pub facts: Facts,
    /// Pressed one by one, each when what is said has been heard and a key is waited for; a comma lets the time pass, and
    /// what has `!` before it is pressed while something is said.
    pub keys: String,
    /// What each look-up finds.
    pub found: Option<Found>,
    pub banners: BTreeSet<String>,
    /// How each waiting ends.
    pub queue: Option<QueueResult>,
}

/// Walks the flow to its end; a line for each thing that happens.
pub fn rehearse(flows: &BTreeMap<FlowId, Arc<Flow>>, center: &Center, flow: &Flow, world: World) -> Vec<String> {
    let mut walk = Rehearsal {
        flows,
        center,
        run: Run::new(flow, world.facts.clone()),
        keys: world.keys.chars().collect(),
        world,
        now: Instant(1),
        rounds: 0,
        lines: Vec::new(),
    };
    walk.tell(Input::Start);
    for _ in 0..MAX_INPUTS {
        let Some(input) = walk.next() else { return walk.lines };
        walk.tell(input);
    }
    walk.lines.push(format!("… and so on: {MAX_INPUTS} turns are shown"));
    walk.lines
}

struct Rehearsal<'r> {
    flows: &'r BTreeMap<FlowId, Arc<Flow>>,
    center: &'r Center,
    run: Run,
    keys: VecDeque<char>,
    world: World,
    now: Instant,
    /// How often the music of a treatment has been heard.
    rounds: u32,
    lines: Vec<String>,
}

impl Rehearsal<'_> {
    fn tell(&mut self, input: Input) {
        let wait = Wait { position: 1, expected: Some(Duration::from_secs(120)), waited: Duration::ZERO };
        let scene = Scene {
            flows: self.flows,
            center: self.center,
            wall: self.world.wall + self.now.since(Instant(1)),
            banners: &self.world.banners,
            wait: Some(wait),
        };
        self.run.handle(self.now, &scene, input);
        while let Some(output) = self.run.poll() {
            self.said(output);
        }
    }

    /// What happens next, if anything does.
    fn next(&mut self) -> Option<Input> {
        let listens = self.run.listens(self.flows);
        match self.run.phase.clone() {
            Phase::Playing { .. } if self.keys.front() == Some(&EARLY) => self.press(" before the end"),
            // Who tries a flow wants to read what is said: nobody presses before it is over.
            Phase::Playing { token } => {
                self.now = Instant(self.now.0 + 1); // what is heard takes its time
                Some(Input::PlayFinished { token })
            }
            Phase::Listening { until } => match self.keys.front() {
                Some(',') | None => {
                    self.keys.pop_front();
                    self.passes(until, "no key is pressed")
                }
                Some(_) => self.press(""),
            },
            Phase::Music { until } => match self.keys.front() {
                Some(key) if listens && *key != ',' => self.press(""),
                _ if self.run.is_treated() && self.rounds >= MAX_ROUNDS => self.queue_ends(),
                _ => {
                    self.rounds += 1;
                    self.keys.pop_front();
                    self.passes(until, "the music goes on")
                }
            },
            Phase::Looking(looking) if looking.rests => self.passes(looking.until, "waits before it asks again"),
            Phase::Looking(looking) => {
                let found = self.world.found.clone().unwrap_or(Found::Failed);
                self.lines.push(match &found {
                    Found::Fields(fields) => format!("   finds {}", listed(fields)),
                    Found::Nothing => "   finds nothing".to_owned(),
                    Found::Failed | Found::Refused => "   gets no answer".to_owned(),
                });
                Some(Input::LookedUp { id: looking.id, found })
            }
            Phase::Queued if self.rounds == 0 => {
                self.rounds = 1;
                Some(Input::Waits)
            }
            Phase::Queued => self.queue_ends(),
            Phase::Transferring => {
                self.lines.push("   the outside party answers".to_owned());
                None
            }
            Phase::New | Phase::Talking | Phase::Over => None,
        }
    }

    fn press(&mut self, when: &str) -> Option<Input> {
        self.keys.pop_front_if(|key| *key == EARLY);
        let key = self.keys.pop_front()?;
        self.lines.push(format!("   presses {key}{when}"));
        Some(Input::Digit(key))
    }

    fn passes(&mut self, until: Instant, what: &str) -> Option<Input> {
        self.lines.push(format!("   {what} for {:.1} s", until.since(self.now).as_secs_f64()));
        self.now = until;
        Some(Input::Timeout)
    }

    fn queue_ends(&mut self) -> Option<Input> {
        self.rounds = 0;
        let result = self.world.queue.take().unwrap_or(QueueResult::Answered);
        self.lines.push(match result {
            QueueResult::Answered => "   an agent answers".to_owned(),
            QueueResult::Full => "   the queue is full".to_owned(),
            QueueResult::TimedOut => "   has waited too long".to_owned(),
            QueueResult::Refused => "   the queue refuses".to_owned(),
            QueueResult::NoStaff => "   nobody is at work in the queue".to_owned(),
            QueueResult::LongWait => "   the expected wait is too long".to_owned(),
        });
        Some(Input::QueueResult(result))
    }

    fn said(&mut self, output: Output) {
        let line = match output {
            Output::Entered { flow, step } => format!("{flow}.{step}"),
            Output::Play { prompts, .. } if prompts.is_empty() => return,
            Output::Play { prompts, .. } => format!("   hears: {}", self.words(&prompts)),
            Output::Music(Music::Silence) => return,
            Output::Music(Music::Of(queue)) => format!("   hears the music of {queue}"),
            Output::Music(Music::Named(name)) => format!("   hears {name}"),
            Output::NothingChosen { again: true, .. } => "   is asked again".to_owned(),
            Output::NothingChosen { again: false, .. } => "   has been asked often enough".to_owned(),
            Output::PersonAsked => "   asks for a person".to_owned(),
            Output::Queue { queue, priority, skills, preferred } => {
                let skills: Vec<String> = skills.iter().map(|(skill, level)| format!("{skill} {level}")).collect();
                let wanted = if skills.is_empty() { String::new() } else { format!(" for {}", skills.join(", ")) };
                let points = if priority == 0 { String::new() } else { format!(", priority {priority}") };
                let first = preferred.map(|agent| format!(", first for agent {agent}")).unwrap_or_default();
                format!("   waits in the queue {queue}{wanted}{points}{first}")
            }
            Output::Leave => {
                self.rounds = 0;
                "   gives up the place in the queue".to_owned()
            }
            Output::Transfer { number, .. } => format!("   is put through to {number}"),
            Output::LookUp { query, with, .. } => format!("   looks up {query} with {}", listed(&with)),
            Output::Attach { label, value } => format!("   notes {label}: {value}"),
            Output::HangUp { .. } => "   the call ends".to_owned(),
            Output::Went { way, .. } => format!("   {}", went(way)),
            Output::Answer | Output::StopPlaying => return,
        };
        self.lines.push(line);
    }

    fn words(&self, sounds: &[String]) -> String {
        let text = |sound: &String| {
            let mut texts = self.flows.values().flat_map(|flow| &flow.texts);
            texts.find(|text| text.name == *sound).map_or(sound.clone(), |text| text.text.clone())
        };
        sounds.iter().map(text).collect::<Vec<_>>().join(" ")
    }
}

/// `number=1001, tier=2`
fn listed(fields: &BTreeMap<String, String>) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if fields.is_empty() { "nothing".to_owned() } else { fields.join(", ") }
}

/// As a call's ladder says it.
fn went(way: Way) -> String {
    match way {
        Way::Open => "it is open",
        Way::Closed => "it is closed",
        Way::Holiday => "it is a holiday",
        Way::Case(number) => return format!("case {number} holds"),
        Way::Otherwise => "no case holds",
        Way::Collected => "the number is whole",
        Way::Found => "found",
        Way::NotFound => "not found",
        Way::Failed => "the look-up failed",
        Way::Announced => "an announcement is on",
        Way::Left => "gives up the place in the queue",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ivr::tests::{Stage, flow};

    /// Keys, then what is told, cut to the lines that matter.
    fn check(text: &str, world: World, expect: &[&str]) {
        let stage = Stage::new(flow(text));
        let flow = stage.flows.values().next().unwrap().clone();
        assert_eq!(rehearse(&stage.flows, &stage.center, &flow, world), expect);
    }

    #[test]
    fn a_caller_is_walked_to_an_agent() {
        let text = r#"version = 1
start = "menu"
[step.menu]
menu = "Press 1."
keys = { 1 = "people" }
otherwise = "bye"
[step.people]
queue = "general"
treatment = "hold"
otherwise = "bye"
[step.hold]
play = ["Your place is", { say = "queue.position", as = "number" }]
next = "music"
[step.music]
music = true
for = "20s"
next = "hold"
[step.bye]
hang_up = "Bye."
"#;
        let world = |keys: &str, queue| World { keys: keys.into(), queue, ..World::default() };
        let answered = [
            "f.menu",
            "   hears: Press 1.",
            "   no key is pressed for 5.0 s",
            "   is asked again",
            "   hears: Press 1.",
            "   presses 1",
            "f.people",
            "   waits in the queue general",
            "f.hold",
            "   hears: Your place is one",
            "f.music",
            "   hears the music of general",
            "   the music goes on for 20.0 s",
            "f.hold",
            "   hears: Your place is one",
            "f.music",
            "   hears the music of general",
            "   an agent answers",
        ];
        check(text, world(",1", None), &answered);
        let at_once = [&answered[..2], &answered[5..]].concat();
        check(text, world("1", None), &at_once);
        let early = [&answered[..2], &["   presses 1 before the end"], &answered[6..]].concat();
        check(text, world("!1", None), &early);
        let late =
            [&answered[..17], &["   has waited too long", "f.bye", "   hears: Bye.", "   the call ends"]].concat();
        check(text, world(",1", Some(QueueResult::TimedOut)), &late);
    }
}
