//! What is told of events: which level each has, and which of its fields are nobody's personal data.
//!
//! A call is two lines at `info`, its arrival and its end; all its steps are told at `debug`. Texts that agents or flows
//! note, and their names, are not told at all.

use super::{Entry, Value};
use crate::config::Level;
use crate::event::{Event, Party, TransferTo, TrunkMode, What};

/// The line of `event`, if it is told at `least`.
pub(super) fn line(event: &Event, least: Level) -> Option<Entry> {
    if level(&event.what) > least {
        return None;
    }
    Some(told(&event.what).of(event.call))
}

fn level(what: &What) -> Level {
    match what {
        What::Repaired { .. } => Level::Error,
        What::TrunkStateChanged { to: TrunkMode::Down, .. } | What::TrunkRegistered { holds: false, .. } => Level::Warn,
        What::EngineStarted { .. }
        | What::DrainStarted
        | What::Reconfigured
        | What::CallArrived { .. }
        | What::CallEnded { .. }
        | What::BannerSwitched { .. }
        | What::DeskEntered { .. }
        | What::DeskLeft { .. }
        | What::TrunkStateChanged { .. }
        | What::TrunkRegistered { .. }
        | What::PhoneRegistered { .. }
        | What::PhoneUnregistered { .. }
        | What::PhoneReachable { .. }
        | What::AgentReachable { .. } => Level::Info,
        _ => Level::Debug,
    }
}

fn told(what: &What) -> Entry {
    let say = |subject, said| Entry::new(level(what), subject, said);
    match what {
        What::EngineStarted { node, epoch, .. } => {
            say("engine", "has started").with("node", *node).with("start", *epoch)
        }
        What::DrainStarted => say("engine", "takes no new calls from here on"),
        What::Reconfigured => say("engine", "has other settings"),
        What::Repaired { what } => {
            say("engine", "repaired an inner error, which is a defect").with("what", Value::written(what))
        }
        What::BannerSwitched { banner, on } => {
            say("banner", "was switched").with("banner", Value::written(banner)).with("on", *on)
        }
        What::TrunkStateChanged { trunk, to: TrunkMode::Down, .. } => {
            say("trunk", "does not answer any more").with("trunk", trunk)
        }
        What::TrunkStateChanged { trunk, to, .. } => {
            say("trunk", "has another state").with("trunk", trunk).with("state", Value::word(*to))
        }
        What::TrunkRegistered { trunk, holds: true } => say("trunk", "is registered").with("trunk", trunk),
        What::TrunkRegistered { trunk, holds: false } => say("trunk", "lost its registration").with("trunk", trunk),
        What::DeskEntered { agent } => say("agent", "sits at a desktop").with("agent", *agent),
        What::DeskLeft { agent, .. } => say("agent", "has left the desktop").with("agent", *agent),
        What::PhoneRegistered { agent, .. } => say("agent", "has a phone").with("agent", *agent),
        What::PhoneUnregistered { agent, .. } => say("agent", "has a phone less").with("agent", *agent),
        What::PhoneReachable { agent, reachable: true } => {
            say("agent", "has a phone that answers again").with("agent", *agent)
        }
        What::PhoneReachable { agent, .. } => say("agent", "has a phone that does not answer").with("agent", *agent),
        What::AgentReachable { agent, reachable: true } => say("agent", "can be reached again").with("agent", *agent),
        What::AgentReachable { agent, .. } => {
            say("agent", "can be reached by no phone or number, and gets no calls").with("agent", *agent)
        }
        What::AgentStateChanged { agent, from, to, .. } => say("agent", "has another state")
            .with("agent", *agent)
            .with("from", Value::word(*from))
            .with("to", Value::word(*to)),
        What::BreakBegan { agent, reason } => {
            say("agent", "asked for a break").with("agent", *agent).with("reason", Value::written(reason))
        }
        What::BreakEnded { agent } => say("agent", "asked for calls").with("agent", *agent),
        of_call => of_a_call(of_call, |said| say("call", said)),
    }
}

fn of_a_call(what: &What, say: impl Fn(&'static str) -> Entry) -> Entry {
    match what {
        What::CallArrived { line, by_agent, trunk, .. } => say("arrives")
            .with_some("line", line.as_ref())
            .with_some("trunk", trunk.as_ref())
            .with_some("agent", *by_agent),
        What::CallEnded { cause, phase } => say("ends").with("cause", cause.text()).with("phase", Value::word(*phase)),
        What::StepEntered { flow, step } => say("is at a step").with("flow", flow).with("step", Value::written(step)),
        What::DigitKeyed { flow, step, .. } => {
            say("has pressed a key").with("flow", flow).with("step", Value::written(step))
        }
        What::NothingChosen { flow, step, why, again } => say("has chosen nothing")
            .with("flow", flow)
            .with("step", Value::written(step))
            .with("why", Value::word(*why))
            .with("again", *again),
        What::StepDecided { flow, step, way } => {
            say("goes a way").with("flow", flow).with("step", Value::written(step)).with("way", Value::word(*way))
        }
        What::PersonAsked { flow, step } => {
            say("asks for a person").with("flow", flow).with("step", Value::written(step))
        }
        What::Queued { queue, priority, again, .. } => {
            say("waits").with("queue", queue).with("priority", *priority).with("again", *again)
        }
        What::Diverted { queue, why, .. } => {
            say("leaves the queue").with("queue", queue).with("why", Value::word(*why))
        }
        other => of_parties(other, say),
    }
}

/// Who takes part in a call.
fn of_parties(what: &What, say: impl Fn(&'static str) -> Entry) -> Entry {
    match what {
        What::CallAnswered { leg } => say("is answered").with("leg", *leg),
        What::Delivered { agent, leg, .. } => say("rings").with("agent", *agent).with("leg", *leg),
        What::OfferEnded { agent, outcome, .. } => {
            say("rings no more").with("agent", *agent).with("outcome", Value::word(*outcome))
        }
        What::Established { queue, agent, leg, waited, .. } => {
            say("talks").with("agent", *agent).with("queue", queue).with("leg", *leg).with("waited", *waited)
        }
        What::Transferred { agent, to } => {
            let to = match to {
                TransferTo::Queue(queue) => Value::from(queue),
                TransferTo::Agent(agent) => Value::from(*agent),
                TransferTo::Number(_) => Value::from("outside"),
            };
            say("is sent on").with("agent", *agent).with("to", to)
        }
        What::DataAttached { agent, .. } => say("has a note").with("agent", *agent),
        What::Disposed { agent, .. } => say("is coded").with("agent", *agent),
        What::Held { leg } => say("is held").with("leg", *leg),
        What::Retrieved { leg } => say("is taken back").with("leg", *leg),
        What::OutsideCalled { leg, .. } => say("calls outside").with("leg", *leg),
        What::NetworkReached { leg, trunk } => say("goes over a trunk").with("leg", *leg).with("trunk", trunk),
        What::TrunkFailed { leg, trunk, why } => {
            say("was not carried").with("leg", *leg).with("trunk", trunk).with("why", Value::word(*why))
        }
        What::OutsideJoined { leg } => say("talks outside").with("leg", *leg),
        What::TransferFailed { why } => say("comes back").with("why", Value::word(*why)),
        What::LegConfirmed { leg, party, .. } => match *party {
            Party::Agent(agent) => say("has a party").with("leg", *leg).with("party", "agent").with("agent", agent),
            Party::Caller => say("has a party").with("leg", *leg).with("party", "caller"),
            Party::Outside => say("has a party").with("leg", *leg).with("party", "outside"),
        },
        What::ReasonGiven { leg, reason, .. } => {
            say("is given a reason").with("leg", *leg).with("reason", Value::written(&reason.to_string()))
        }
        What::ConnectionCleared { leg, cause, .. } => {
            say("loses a party").with("leg", *leg).with("cause", cause.text())
        }
        What::LegHeard { leg, audio, .. } => say("was heard")
            .with("leg", *leg)
            .with("codec", Value::written(&audio.codec))
            .with("packets_in", audio.packets_in)
            .with("packets_out", audio.packets_out)
            .with("lost", audio.lost),
        other => say("goes on").with("event", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AgentMode, Cause, Phase};
    use crate::ids::{AgentId, FlowId, LegId, QueueId, ReservationId, TrunkId, WorkId};

    /// The words that the operators' guide has for events, where it says what each level is for.
    #[test]
    fn the_guide_says_which_events_are_told_at_which_level() {
        use crate::event::Personal;
        let (agent, leg, work, queue) = (AgentId(1), LegId(1), WorkId(1), QueueId::new("sales"));
        let (trunk, flow, step) = (TrunkId::new("carrier"), FlowId::new("main"), "menu".to_owned());
        let text = |kind| Personal { kind, handle: 1, text: None };
        let number = text(crate::event::PersonalKind::Number);
        let (digit, binding) = (text(crate::event::PersonalKind::Digit), text(crate::event::PersonalKind::Binding));
        let trunk_is = |to| What::TrunkStateChanged { trunk: trunk.clone(), from: TrunkMode::Unknown, to };
        let registered = |holds| What::TrunkRegistered { trunk: trunk.clone(), holds };
        let (cause, phase, to) = (Cause::CallerHungUp, Phase::Queued, TransferTo::Queue(queue.clone()));
        let waited = std::time::Duration::ZERO;
        let arrives = What::arrives(leg, None, number);
        let rows = [
            (Level::Error, "an inner error was repaired", What::Repaired { what: "x".to_owned() }),
            (Level::Warn, "a trunk that does not answer", trunk_is(TrunkMode::Down)),
            (Level::Warn, "or has lost its registration", registered(false)),
            (Level::Info, "start", What::EngineStarted { node: 0, epoch: 1, alive: None }),
            (Level::Info, "drain", What::DrainStarted),
            (Level::Info, "other settings", What::Reconfigured),
            (Level::Info, "each call's arrival", arrives),
            (Level::Info, "and end", What::CallEnded { cause, phase }),
            (Level::Info, "phones that come", What::PhoneRegistered { agent, binding }),
            (Level::Info, "stop to answer", What::PhoneReachable { agent, reachable: false }),
            (Level::Info, "agents whom nothing reaches", What::AgentReachable { agent, reachable: false }),
            (Level::Info, "desktops", What::DeskEntered { agent }),
            (Level::Info, "trunks", trunk_is(TrunkMode::Up)),
            (Level::Info, "trunks", registered(true)),
            (Level::Info, "announcements", What::BannerSwitched { banner: "storm".to_owned(), on: true }),
            (Level::Debug, "steps in its flow", What::StepEntered { flow: flow.clone(), step: step.clone() }),
            (Level::Debug, "its keys", What::DigitKeyed { flow, step, digit }),
            (Level::Debug, "waits", What::queued(work, &queue, false)),
            (
                Level::Debug,
                "phones that ring",
                What::Delivered { work, reservation: ReservationId(1), agent, leg, why: String::new() },
            ),
            (Level::Debug, "who talks", What::Established { work, queue, agent, leg, waited, told: None }),
            (Level::Debug, "holds", What::Held { leg }),
            (Level::Debug, "is sent on", What::Transferred { agent, to }),
            (
                Level::Debug,
                "agents' states",
                What::AgentStateChanged { agent, from: AgentMode::Ready, to: AgentMode::Busy, reason: String::new() },
            ),
        ];
        let guide = include_str!("../../../docs/operators.md");
        for (at, words, what) in rows {
            let name = format!("{at:?}").to_lowercase();
            let row =
                guide.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).expect("a row of the guide");
            assert!(row.contains(words), "the guide's row of {name} has no `{words}`: {row}");
            assert_eq!(level(&what), at, "{words}");
        }
    }
    /// As every other line has it, so that one search finds all of an agent.
    #[test]
    fn an_agent_is_a_number_in_every_line() {
        let dialog = crate::event::Personal { kind: crate::event::PersonalKind::Dialog, handle: 1, text: None };
        let told = |party| {
            let event = What::LegConfirmed { leg: LegId(7), party, dialog: dialog.clone() };
            crate::server::journal::form::plain(&told(&event))
        };
        assert!(told(Party::Agent(AgentId(1002))).ends_with(" party=agent agent=1002"));
        assert!(told(Party::Caller).ends_with(" party=caller"));
    }
}
