//! What callers went through in flows: one path for each flow of a call, and each look-up.

use super::between;
use crate::event::{Cause, DivertReason, Event, StepWay, What};
use crate::ids::{FlowId, QueueId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A caller's way through one flow. Who comes back to it (from a queue that was full) goes on in the same path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    pub flow: FlowId,
    /// Heard while waiting in a queue.
    pub waiting: bool,
    pub from: Wall,
    /// When it was left last.
    pub to: Wall,
    /// The time within it, without what came between.
    pub spent: Duration,
    /// The steps passed, in order.
    pub steps: Vec<String>,
    /// The key that asks for a person was pressed.
    pub person: bool,
    /// How it was left last; `None` while the caller is in it.
    pub exit: Option<Exit>,
    /// The caller found in the flow what he wanted: it came to its end, and he neither came to a queue or an outside
    /// party nor asked for a person. Who hung up may have, or not; he is not among them.
    pub contained: bool,
}

/// [`Path::is_entry`] as a condition on rows of `flow_path`.
pub const IS_ENTRY: &str = "waiting = 0 AND flow NOT LIKE '@%'";

impl Path {
    /// Whether the caller is one of those who entered the flow: neither what is heard while waiting nor what confirms
    /// an agent's short code was entered. Numbers and reports count these, once for each call and flow.
    pub fn is_entry(&self) -> bool {
        !self.waiting && !self.flow.as_str().starts_with('@')
    }
}

/// How a flow was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Queue(QueueId),
    Flow(FlowId),
    Outside,
    /// An agent took the caller who waited.
    Answered,
    Diverted(DivertReason),
    /// The flow came to its end.
    Ended,
    HungUp,
    Failed,
}

impl Exit {
    /// Its word, and what it led to where that has a name.
    pub fn words(&self) -> (&'static str, Option<String>) {
        match self {
            Exit::Queue(queue) => ("queue", Some(queue.to_string())),
            Exit::Flow(flow) => ("flow", Some(flow.to_string())),
            Exit::Outside => ("outside", None),
            Exit::Answered => ("answered", None),
            Exit::Diverted(why) => ("diverted", Some(format!("{why:?}"))),
            Exit::Ended => ("ended", None),
            Exit::HungUp => ("hung_up", None),
            Exit::Failed => ("failed", None),
        }
    }
}

/// The ticketing system was asked for something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookUp {
    pub flow: FlowId,
    pub step: String,
    /// When the caller came to the step.
    pub asked: Wall,
    pub took: Duration,
    /// Found, not found, or failed.
    pub result: StepWay,
}

/// The paths of one call while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paths {
    pub paths: Vec<Path>,
    pub look_ups: Vec<LookUp>,
    /// The path that the caller is in, and since when.
    current: Option<(usize, Wall)>,
    /// When the present step began.
    step_at: Wall,
    waiting: bool,
    /// The caller came to a queue or an outside party, or asked for a person.
    reached: bool,
}

impl Paths {
    /// The flows that the caller was led through.
    pub fn flows(&self) -> impl Iterator<Item = &FlowId> {
        self.paths.iter().map(|path| &path.flow)
    }

    /// The path that the caller is in.
    pub fn present(&self) -> Option<&Path> {
        self.current.map(|(place, _)| &self.paths[place])
    }

    /// Takes the call's next event, which was `at`.
    pub fn apply(&mut self, at: Wall, event: &Event) {
        match &event.what {
            What::StepEntered { flow, step } => self.entered(at, flow, step),
            What::PersonAsked { .. } => {
                self.reached = true;
                self.current.iter().for_each(|(place, _)| self.paths[*place].person = true);
            }
            What::StepDecided { flow, step, way: way @ (StepWay::Found | StepWay::NotFound | StepWay::Failed) } => {
                let (asked, took) = (self.step_at, between(self.step_at, at));
                self.look_ups.push(LookUp { flow: flow.clone(), step: step.clone(), asked, took, result: *way });
            }
            What::Queued { queue, .. } => {
                self.leave(at, Exit::Queue(queue.clone()));
                (self.waiting, self.reached) = (true, true);
            }
            What::OutsideCalled { .. } => {
                self.leave(at, Exit::Outside);
                self.reached = true;
            }
            What::Established { .. } => self.stop_waiting(at, Exit::Answered),
            What::Diverted { why, .. } => self.stop_waiting(at, Exit::Diverted(*why)),
            What::CallEnded { cause, .. } => self.ended(at, *cause),
            _ => {}
        }
    }

    fn entered(&mut self, at: Wall, flow: &FlowId, step: &str) {
        self.step_at = at;
        if self.current.is_none_or(|(place, _)| self.paths[place].flow != *flow) {
            self.leave(at, Exit::Flow(flow.clone()));
            self.enter(at, flow);
        }
        if let Some((place, _)) = self.current {
            self.paths[place].steps.push(step.to_owned());
        }
    }

    fn enter(&mut self, at: Wall, flow: &FlowId) {
        // What is heard while waiting is another path than the one that led there, also in the same flow.
        let waiting = self.waiting;
        let known = self.paths.iter().rposition(|path| path.flow == *flow && path.waiting == waiting);
        let place = known.unwrap_or_else(|| {
            let (flow, spent, steps) = (flow.clone(), Duration::ZERO, Vec::new());
            let (from, to, person, exit, contained) = (at, at, false, None, false);
            self.paths.push(Path { flow, waiting, from, to, spent, steps, person, exit, contained });
            self.paths.len() - 1
        });
        self.paths[place].exit = None;
        self.current = Some((place, at));
    }

    fn leave(&mut self, at: Wall, exit: Exit) {
        let Some((place, since)) = self.current.take() else { return };
        let path = &mut self.paths[place];
        (path.to, path.exit) = (at.max(path.from), Some(exit));
        path.spent += between(since, at);
    }

    fn stop_waiting(&mut self, at: Wall, exit: Exit) {
        self.leave(at, exit);
        self.waiting = false;
    }

    fn ended(&mut self, at: Wall, cause: Cause) {
        let exit = match cause {
            cause if cause.is_callers_own() => Exit::HungUp,
            Cause::FlowEnded | Cause::Commanded => Exit::Ended,
            _ => Exit::Failed,
        };
        if let Some((place, _)) = self.current {
            self.paths[place].contained = !self.reached && cause == Cause::FlowEnded;
        }
        self.leave(at, exit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase;
    use crate::ids::WorkId;

    /// A planner looks for a bad menu where callers hang up: those who had left it for a queue are not among them.
    #[test]
    fn what_is_heard_while_waiting_is_a_path_of_its_own_also_in_the_same_flow() {
        let (flow, queue) = (FlowId::new("main"), QueueId::new("sales"));
        let step = |step: &str| What::StepEntered { flow: flow.clone(), step: step.to_owned() };
        let (work, skills, served) = (WorkId(1), Default::default(), Duration::ZERO);
        let queued = What::Queued { work, queue: queue.clone(), priority: 0, skills, again: false, served };
        let diverted = What::Diverted { work, queue: queue.clone(), why: DivertReason::MaxWait };
        let ended = What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Queued };
        let whats = [
            (0, step("menu")),
            (1_000, queued.clone()),
            (1_000, step("waiting")),
            (5_000, diverted),
            (5_000, step("later")),
            (6_000, queued),
            (6_000, step("waiting")),
            (9_000, ended),
        ];
        let mut paths = Paths::default();
        for (seq, (at, what)) in whats.into_iter().enumerate() {
            paths.apply(Wall(at), &Event { seq: seq as u64, at: Wall(at), call: None, what });
        }
        let shown = |path: &Path| (path.waiting, path.steps.join(" > "), path.spent.as_millis(), path.exit.clone());
        let expect = [
            (false, "menu > later".to_owned(), 2_000, Some(Exit::Queue(queue))),
            (true, "waiting > waiting".to_owned(), 7_000, Some(Exit::HungUp)),
        ];
        assert_eq!(paths.paths.iter().map(shown).collect::<Vec<_>>(), expect);
    }
}
