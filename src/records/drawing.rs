//! One call drawn as a ladder.

use super::between;
use crate::event::{Cause, Event, NoChoice, OfferOutcome, Party, StepWay, TransferTo, What};
use crate::ids::{AgentId, LegId};
use crate::ladder::Ladder;
use crate::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CALLER: usize = 0;
const US: usize = 1;
const OUTSIDE: &str = "Outside";
const BOTH: &str = "audio: passed to each other";

/// The events of one call as a ladder: caller, Tierline, and each agent who was rung. Times count from the
/// arrival. Numbers and keys are shown where the events carry their texts. Empty without events.
pub fn ladder_of(events: &[Event]) -> String {
    let Some(first) = events.first() else { return String::new() };
    let mut drawing = Drawing {
        ladder: Ladder::new(&["Caller", "Tierline"]),
        began: first.at,
        legs: BTreeMap::new(),
        confirmed: BTreeSet::new(),
    };
    events.iter().for_each(|event| drawing.add(event));
    drawing.ladder.to_string()
}

struct Drawing {
    ladder: Ladder,
    began: Wall,
    /// The column of each leg.
    legs: BTreeMap<LegId, usize>,
    /// Legs that came to a 200, so that a BYE ends them.
    confirmed: BTreeSet<LegId>,
}

impl Drawing {
    fn add(&mut self, event: &Event) {
        let time = between(self.began, event.at);
        match &event.what {
            What::CallArrived { leg, caller, .. } => {
                self.legs.insert(*leg, CALLER);
                self.ladder.arrow(time, CALLER, US, &arrival(&event.what));
                if let Some(number) = &caller.text {
                    self.ladder.note(time, CALLER, &format!("from {number}"));
                }
                if let What::CallArrived { trunk: Some(trunk), .. } = &event.what {
                    self.ladder.note(time, CALLER, &format!("over trunk {trunk}"));
                }
            }
            What::CallAnswered { leg } => {
                self.confirmed.insert(*leg);
                self.ladder.arrow(time, US, CALLER, "200");
            }
            What::DigitKeyed { digit, .. } => {
                let key = digit.text.as_deref().unwrap_or("•");
                self.ladder.arrow(time, CALLER, US, &format!("key {key}"));
            }
            What::Delivered { agent, leg, why, .. } => {
                let at = self.agent(*agent);
                self.legs.insert(*leg, at);
                self.ladder.arrow(time, US, at, "INVITE");
                self.ladder.note(time, US, why);
            }
            What::OutsideCalled { leg, number } => {
                let at = self.ladder.column(OUTSIDE);
                self.legs.insert(*leg, at);
                if let Some(number) = &number.text {
                    self.ladder.note(time, at, &format!("is {number}"));
                }
            }
            What::NetworkReached { leg, trunk } => {
                let at = self.legs.get(leg).copied().unwrap_or(US);
                self.ladder.arrow(time, US, at, &format!("INVITE over {trunk}"));
            }
            What::OfferEnded { agent, outcome, .. } => self.offer_ended(time, *agent, *outcome),
            What::Held { leg } => self.holds(time, *leg, ("hold", "audio: the other one hears music")),
            What::Retrieved { leg } => self.holds(time, *leg, ("resume", BOTH)),
            What::LegConfirmed { leg, .. } => {
                self.confirmed.insert(*leg); // its 200 is drawn as the answer or the accepted offer
            }
            What::ConnectionCleared { leg, party, cause } => self.cleared(time, *leg, *party, *cause),
            What::LegHeard { party, audio, .. } => {
                let at = self.column(*party);
                self.ladder.note(time, at, &audio.to_string());
            }
            What::Transferred { agent, to } => {
                let at = self.agent(*agent);
                self.ladder.arrow(time, at, US, &format!("sends on to {}", sent_to(to)));
            }
            What::DataAttached { agent, name, value } => {
                let (at, value) = (self.agent(*agent), value.text.as_deref().unwrap_or("•"));
                self.ladder.note(time, at, &format!("{name}: {value}"));
            }
            What::Disposed { agent, disposition, .. } => {
                let at = self.agent(*agent);
                self.ladder.note(time, at, &format!("coded as {disposition}"));
            }
            What::AgentStateChanged { agent, from, to, reason } => {
                let at = self.agent(*agent);
                self.ladder.note(time, at, &format!("{from:?} → {to:?} ({reason})"));
            }
            other => self.remarks(time, other),
        }
    }

    fn remarks(&mut self, time: Duration, what: &What) {
        if let Some(text) = remark(what) {
            self.ladder.note(time, US, &text);
        }
        if let What::ReasonGiven { party, reason, .. } = what {
            let at = self.column(*party);
            self.ladder.note(time, at, &format!("says {reason}"));
        }
        if let What::Established { .. } | What::OutsideJoined { .. } = what {
            self.ladder.note(time, US, BOTH);
        }
    }

    fn holds(&mut self, time: Duration, leg: LegId, (says, audio): (&str, &str)) {
        self.says(time, leg, says);
        self.ladder.note(time, US, audio);
    }

    fn column(&mut self, party: Party) -> usize {
        match party {
            Party::Caller => CALLER,
            Party::Agent(agent) => self.agent(agent),
            Party::Outside => self.ladder.column(OUTSIDE),
        }
    }

    fn agent(&mut self, agent: AgentId) -> usize {
        self.ladder.column(&format!("Agent {agent}"))
    }

    fn says(&mut self, time: Duration, leg: LegId, text: &str) {
        let from = self.legs.get(&leg).copied().unwrap_or(US);
        self.ladder.arrow(time, from, US, text);
    }

    fn offer_ended(&mut self, time: Duration, agent: AgentId, outcome: OfferOutcome) {
        let at = self.agent(agent);
        match outcome {
            OfferOutcome::Accepted => self.ladder.arrow(time, at, US, "200"),
            OfferOutcome::Declined => self.ladder.arrow(time, at, US, "declines"),
            OfferOutcome::NoAnswer => self.ladder.arrow(time, US, at, "CANCEL (no answer)"),
            OfferOutcome::Unreachable => self.ladder.note(time, at, "not reachable"),
            OfferOutcome::CallerLeft => self.ladder.arrow(time, US, at, "CANCEL (caller left)"),
            OfferOutcome::Withdrawn => self.ladder.arrow(time, US, at, "CANCEL (offer withdrawn)"),
            OfferOutcome::Failed => self.ladder.note(time, at, "offer failed"),
        }
    }

    fn cleared(&mut self, time: Duration, leg: LegId, party: Party, cause: Cause) {
        let at = self.column(party);
        let confirmed = self.confirmed.contains(&leg);
        match (party, cause) {
            // How the offer ended says it all.
            (Party::Agent(_), _) if !confirmed => {}
            (Party::Outside, Cause::NoAnswer | Cause::CallerHungUp) if !confirmed => {
                self.ladder.arrow(time, US, at, &format!("CANCEL ({})", cause.text()));
            }
            (Party::Outside, _) if !confirmed => {}
            (Party::Outside, Cause::OutsideHungUp) => self.ladder.arrow(time, at, US, "BYE"),
            (Party::Caller, Cause::CallerHungUp) => {
                self.ladder.arrow(time, at, US, if confirmed { "BYE" } else { "CANCEL" });
            }
            (Party::Agent(_), Cause::AgentHungUp) => self.ladder.arrow(time, at, US, "BYE"),
            _ if confirmed => self.ladder.arrow(time, US, at, &format!("BYE ({})", cause.text())),
            _ => self.ladder.arrow(time, US, at, &format!("refused ({})", cause.text())),
        }
    }
}

fn arrival(what: &What) -> String {
    match what {
        What::CallArrived { line: Some(line), .. } => format!("INVITE to {line}"),
        What::CallArrived { by_agent: Some(agent), .. } => format!("INVITE of agent {agent}"),
        _ => "INVITE".to_string(),
    }
}

fn sent_to(to: &TransferTo) -> String {
    match to {
        TransferTo::Queue(queue) => format!("queue {queue}"),
        TransferTo::Agent(agent) => format!("agent {agent}"),
        TransferTo::Number(number) => number.text.as_deref().unwrap_or("a number outside").to_owned(),
    }
}

/// What is no message between two parties, in words.
fn remark(what: &What) -> Option<String> {
    Some(match what {
        What::StepEntered { step, .. } => format!("step {step}"),
        What::NothingChosen { why, again, .. } => {
            let why = match why {
                NoChoice::NoKey => "no key",
                NoChoice::WrongKey => "not what was asked for",
            };
            format!("{why}: {}", if *again { "asked again" } else { "goes on otherwise" })
        }
        What::StepDecided { way, .. } => decided(*way),
        What::PersonAsked { .. } => "asks for a person".to_owned(),
        What::FlowAttached { name, value, .. } => {
            format!("notes {name}: {}", value.text.as_deref().unwrap_or("•"))
        }
        What::Queued { queue, skills, again, .. } => {
            let skills: Vec<String> = skills.iter().map(|(skill, level)| format!("{skill} {level}")).collect();
            let wanted = if skills.is_empty() { String::new() } else { format!(" for {}", skills.join(", ")) };
            format!("waits in queue {queue}{wanted}{}", if *again { " again" } else { "" })
        }
        What::Established { agent, waited, .. } => {
            format!("talk with agent {agent} (waited {:.1} s)", waited.as_secs_f64())
        }
        What::TrunkFailed { trunk, why, .. } => format!("trunk {trunk} does not carry it ({why:?})"),
        What::OutsideJoined { .. } => "talks with the outside party".to_owned(),
        What::LegMoved { party: Party::Agent(agent), .. } => format!("agent {agent} is reached elsewhere now"),
        What::LegMoved { party: Party::Caller, .. } => "the caller is reached elsewhere now".to_owned(),
        What::LegMoved { party: Party::Outside, .. } => "the outside party is reached elsewhere now".to_owned(),
        What::TransferFailed { why } => format!("transfer failed ({why:?})"),
        What::Diverted { queue, why, .. } => format!("leaves queue {queue} ({why:?})"),
        What::CallEnded { cause, phase } => format!("ended: {} ({phase:?})", cause.text()),
        What::Repaired { what } => format!("repaired: {what}"),
        _ => return None,
    })
}

fn decided(way: StepWay) -> String {
    match way {
        StepWay::Open => "it is open",
        StepWay::Closed => "it is closed",
        StepWay::Holiday => "it is a holiday",
        StepWay::Case(number) => return format!("case {number} holds"),
        StepWay::Otherwise => "no case holds",
        StepWay::Collected => "the number is whole",
        StepWay::Found => "found",
        StepWay::NotFound => "not found",
        StepWay::Failed => "the look-up failed",
        StepWay::Announced => "announces",
        StepWay::Left => "gives up the place in the queue",
    }
    .to_owned()
}
