//! What became of calls in flows, by the paths of the records: a call enters a flow once, and how it left counts when
//! the call ends. What is played while a caller waits is not entered; its steps are counted all the same.

use super::families as f;
use super::family::Sample;
use super::words::snake;
use crate::event::{Event, NoChoice, StepWay, What};
use crate::ids::FlowId;
use crate::records::{Exit, Path, Paths};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Flows {
    entered: BTreeMap<FlowId, u64>,
    left: BTreeMap<(FlowId, Outcome), u64>,
    steps: BTreeMap<(FlowId, String), u64>,
    nothing: BTreeMap<(FlowId, NoChoice), u64>,
    person: BTreeMap<FlowId, u64>,
    look_ups: BTreeMap<(FlowId, StepWay), u64>,
}

/// How a call left a flow in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Contained,
    Queued,
    /// To a party outside.
    Transferred,
    OtherFlow,
    /// The flow came to its end, but the caller was not helped by it alone; or the call was ended by a command.
    Ended,
    HungUp,
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 7] = [
        Outcome::Contained,
        Outcome::Queued,
        Outcome::Transferred,
        Outcome::OtherFlow,
        Outcome::Ended,
        Outcome::HungUp,
        Outcome::Failed,
    ];

    /// Of a call that has ended.
    fn of(path: &Path) -> Outcome {
        match &path.exit {
            _ if path.contained => Outcome::Contained,
            Some(Exit::Queue(_) | Exit::Answered | Exit::Diverted(_)) => Outcome::Queued,
            Some(Exit::Outside) => Outcome::Transferred,
            Some(Exit::Flow(_)) => Outcome::OtherFlow,
            Some(Exit::Ended) => Outcome::Ended,
            Some(Exit::HungUp) => Outcome::HungUp,
            Some(Exit::Failed) | None => Outcome::Failed,
        }
    }
}

impl Flows {
    /// It is in the numbers from here on, if only with zeros.
    pub fn know(&mut self, flow: &FlowId) {
        self.entered.entry(flow.clone()).or_default();
    }

    pub fn know_step(&mut self, flow: &FlowId, step: &str) {
        self.steps.entry((flow.clone(), step.to_owned())).or_default();
    }

    /// The next event of the call whose paths these are.
    pub fn follow(&mut self, paths: &mut Paths, event: &Event) {
        let known = paths.paths.len();
        let asks = matches!(event.what, What::PersonAsked { .. });
        if let Some(path) = paths.present().filter(|path| asks && path.is_entry() && !path.person) {
            *self.person.entry(path.flow.clone()).or_default() += 1;
        }
        paths.apply(event.at, event);
        for path in paths.paths[known..].iter().filter(|path| path.is_entry()) {
            *self.entered.entry(path.flow.clone()).or_default() += 1;
        }
        match &event.what {
            What::StepEntered { flow, step } => {
                self.know(flow);
                *self.steps.entry((flow.clone(), step.clone())).or_default() += 1;
            }
            What::CallEnded { .. } => {
                for path in paths.paths.iter().filter(|path| path.is_entry()) {
                    *self.left.entry((path.flow.clone(), Outcome::of(path))).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    pub fn nothing(&mut self, flow: &FlowId, why: NoChoice) {
        self.know(flow);
        *self.nothing.entry((flow.clone(), why)).or_default() += 1;
    }

    pub fn decided(&mut self, flow: &FlowId, way: StepWay) {
        if LOOK_UPS.contains(&way) {
            self.know(flow);
            *self.look_ups.entry((flow.clone(), way)).or_default() += 1;
        }
    }

    /// Calls that entered and have not ended.
    #[cfg(test)]
    pub fn inside(&self, flow: &FlowId) -> u64 {
        let left: u64 = self.left.iter().filter(|((of, _), _)| of == flow).map(|(_, n)| n).sum();
        self.entered.get(flow).copied().unwrap_or(0) - left
    }

    pub fn samples(&self, out: &mut Vec<Sample>) {
        for (flow, entered) in &self.entered {
            let name = flow.as_str();
            out.push(f::FLOW_ENTERED.count([name], *entered));
            let of = |n: Option<&u64>| n.copied().unwrap_or(0);
            for outcome in Outcome::ALL {
                let n = of(self.left.get(&(flow.clone(), outcome)));
                out.push(f::FLOW_LEFT.count([name, &snake(&outcome)], n));
            }
            for why in [NoChoice::NoKey, NoChoice::WrongKey] {
                out.push(f::FLOW_NOTHING.count([name, &snake(&why)], of(self.nothing.get(&(flow.clone(), why)))));
            }
            out.push(f::FLOW_PERSON.count([name], of(self.person.get(flow))));
            for way in LOOK_UPS {
                out.push(f::FLOW_LOOKUPS.count([name, &snake(&way)], of(self.look_ups.get(&(flow.clone(), way)))));
            }
        }
        out.extend(self.steps.iter().map(|((flow, step), n)| f::FLOW_STEPS.count([flow.as_str(), step], *n)));
    }
}

const LOOK_UPS: [StepWay; 3] = [StepWay::Found, StepWay::NotFound, StepWay::Failed];
