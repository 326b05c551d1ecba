//! What became of calls in flows.
//!
//! A call enters the flow of its line and leaves it once: a [`Visit`] is open in between. What is played while a
//! caller waits, and what a flow does after a queue gave the call back, is no visit; its steps are counted all the
//! same.

use super::families as f;
use super::family::Sample;
use super::words::snake;
use crate::event::{Cause, NoChoice, StepWay};
use crate::ids::FlowId;
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

/// How a call left a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The flow came to its end.
    Contained,
    Queued,
    /// To a party outside.
    Transferred,
    OtherFlow,
    HungUp,
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 6] = [
        Outcome::Contained,
        Outcome::Queued,
        Outcome::Transferred,
        Outcome::OtherFlow,
        Outcome::HungUp,
        Outcome::Failed,
    ];

    /// Of a call that ended in the flow.
    pub fn of(cause: Cause) -> Outcome {
        match cause {
            Cause::FlowEnded => Outcome::Contained,
            Cause::CallerHungUp | Cause::Silent | Cause::Protocol => Outcome::HungUp,
            _ => Outcome::Failed,
        }
    }
}

/// Where one call is, as far as flows go.
#[derive(Clone, Debug, Default)]
pub(super) enum Visit {
    /// It has entered no flow yet.
    #[default]
    Before,
    In(FlowId),
    /// It has left, or comes from an agent's short code.
    Over,
}

impl Flows {
    /// It is in the numbers from here on, if only with zeros.
    pub fn know(&mut self, flow: &FlowId) {
        self.entered.entry(flow.clone()).or_default();
    }

    pub fn step(&mut self, visit: &mut Visit, flow: &FlowId, step: &str) {
        self.know(flow);
        *self.steps.entry((flow.clone(), step.to_owned())).or_default() += 1;
        match visit {
            Visit::In(at) if at == flow => return,
            Visit::In(_) => self.leave(visit, Outcome::OtherFlow),
            Visit::Before => {}
            Visit::Over => return,
        }
        *self.entered.entry(flow.clone()).or_default() += 1;
        *visit = Visit::In(flow.clone());
    }

    pub fn leave(&mut self, visit: &mut Visit, outcome: Outcome) {
        if let Visit::In(flow) = std::mem::replace(visit, Visit::Over) {
            *self.left.entry((flow, outcome)).or_default() += 1;
        }
    }

    pub fn nothing(&mut self, flow: &FlowId, why: NoChoice) {
        self.know(flow);
        *self.nothing.entry((flow.clone(), why)).or_default() += 1;
    }

    pub fn person(&mut self, flow: &FlowId) {
        self.know(flow);
        *self.person.entry(flow.clone()).or_default() += 1;
    }

    pub fn decided(&mut self, flow: &FlowId, way: StepWay) {
        if LOOK_UPS.contains(&way) {
            self.know(flow);
            *self.look_ups.entry((flow.clone(), way)).or_default() += 1;
        }
    }

    /// Calls that entered and have not left.
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
