//! Events and how things stand, as they are told to desktops.

use super::view::{CallRow, View, Viewer};
use crate::center::{Banner, Center};
use crate::event::{self, AgentMode, Event, Party, TransferTo, What};
use crate::ids::{AgentId, CallId, SkillId};
use crate::proto;
use proto::event::What as Told;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The event, after `view` has taken it; none for what is between Tierline and its phones.
pub fn event(event: &Event, view: &View) -> Option<proto::Event> {
    let row = event.call.and_then(|call| view.calls.get(&call));
    Some(proto::Event {
        at_ms: event.at.0,
        call: event.call.map(|call| call.to_string()).unwrap_or_default(),
        what: Some(what(event, row)?),
    })
}

fn what(event: &Event, row: Option<&CallRow>) -> Option<Told> {
    let holder = |leg| row.and_then(|row| row.agent_of(leg)).map_or(0, |agent| agent.0);
    Some(match &event.what {
        What::EngineStarted { .. } => Told::Restarted(proto::Restarted {}),
        What::BannerSwitched { banner, on } => {
            Told::BannerSwitched(proto::BannerSwitched { banner: banner.clone(), on: *on })
        }
        What::CallArrived { line, private, language, caller, .. } => Told::CallArrived(proto::CallArrived {
            line: line.as_ref().map(ToString::to_string).unwrap_or_default(),
            caller: number(caller.text.as_ref().filter(|_| !private)),
            language: language.clone(),
        }),
        What::StepEntered { flow, step } => {
            Told::StepEntered(proto::StepEntered { flow: flow.to_string(), step: step.clone() })
        }
        What::DigitKeyed { step, digit, .. } => {
            Told::KeyPressed(proto::KeyPressed { step: step.clone(), key: text(digit.text.as_ref()) })
        }
        What::Held { leg } => Told::Held(proto::Held { agent: holder(*leg) }),
        What::Retrieved { leg } => Told::Retrieved(proto::Retrieved { agent: holder(*leg) }),
        What::DataAttached { agent, name, value } => Told::DataAttached(proto::DataAttached {
            agent: agent.0,
            name: name.clone(),
            value: text(value.text.as_ref()),
        }),
        // No agent has the number 0.
        What::FlowAttached { name, value, .. } => {
            Told::DataAttached(proto::DataAttached { agent: 0, name: name.clone(), value: text(value.text.as_ref()) })
        }
        What::Transferred { agent, to } => {
            Told::Transferred(proto::Transferred { agent: agent.0, to: Some(transferred(to)) })
        }
        What::Disposed { agent, disposition, notes } => Told::Disposed(proto::Disposed {
            agent: agent.0,
            disposition: disposition.clone(),
            notes: text(notes.as_ref().and_then(|notes| notes.text.as_ref())),
        }),
        What::ConnectionCleared { party, cause, .. } => {
            let (agent, why) = (if let Party::Agent(agent) = party { agent.0 } else { 0 }, cause.text().to_owned());
            let outside = matches!(party, Party::Outside);
            Told::ConnectionCleared(proto::ConnectionCleared { agent, why, outside })
        }
        What::CallEnded { cause, .. } => {
            let (why, cause) = (cause.text().to_owned(), u32::from(cause.q850()));
            Told::CallEnded(proto::CallEnded { why, cause })
        }
        What::AgentStateChanged { agent, from, to, reason } => Told::AgentStateChanged(proto::AgentStateChanged {
            agent: agent.0,
            from: mode(*from).into(),
            to: mode(*to).into(),
            reason: reason.clone(),
        }),
        What::AgentReachable { agent, reachable } => {
            Told::AgentReachable(proto::AgentReachable { agent: agent.0, reachable: *reachable })
        }
        waits => return seeking(event, waits, row),
    })
}

/// Of callers that wait, and of phones that ring for them.
fn seeking(event: &Event, what: &What, row: Option<&CallRow>) -> Option<Told> {
    Some(match what {
        What::Queued { queue, priority, skills, again, .. } => Told::Queued(proto::Queued {
            queue: queue.to_string(),
            priority: *priority,
            skills: levels(skills),
            again: *again,
            call: event.call.zip(row).map(|(id, row)| call(id, row)),
        }),
        What::Delivered { reservation, agent, why, .. } => {
            let since = row.and_then(|row| row.waiting);
            Told::Delivered(proto::Delivered {
                agent: agent.0,
                offer: reservation.to_string(),
                why: why.clone(),
                call: event.call.zip(row).map(|(id, row)| call(id, row)),
                waited_ms: since.map_or(0, |since| (event.at.0 - since.0).max(0)),
            })
        }
        What::OfferEnded { reservation, agent, outcome, .. } => Told::OfferEnded(proto::OfferEnded {
            agent: agent.0,
            offer: reservation.to_string(),
            outcome: outcome_told(*outcome).into(),
        }),
        What::Established { queue, agent, waited, .. } => Told::Established(proto::Established {
            agent: agent.0,
            queue: queue.to_string(),
            waited_ms: millis(*waited),
        }),
        What::Diverted { queue, why, .. } => {
            Told::Diverted(proto::Diverted { queue: queue.to_string(), why: diverted(*why).to_owned() })
        }
        _ => return None,
    })
}

/// How things stand for `viewer`.
pub fn snapshot(view: &View, viewer: &Viewer, center: &Center) -> proto::Snapshot {
    let agents = center.agents.values().filter(|agent| viewer.sees_agent(agent.id));
    let waiting = |id| view.calls.values().filter(|c| c.waiting.is_some() && c.queue.as_ref() == Some(id)).count();
    let queues = center.queues.keys().filter(|queue| viewer.sees_queue(queue));
    let calls = view.calls.iter().filter(|(_, row)| viewer.sees_call(row));
    let on = |(name, banner): &(&String, &Banner)| view.switched.get(*name).copied().unwrap_or(banner.on);
    let (agent, role) = match viewer {
        Viewer::Agent { agent, .. } => (agent.0, proto::Role::Agent),
        Viewer::Lead { .. } => (0, proto::Role::Lead),
        Viewer::Operator => (0, proto::Role::Operator),
    };
    proto::Snapshot {
        agent,
        role: role.into(),
        agents: agents.map(|agent| agent_view(view, agent.id, &agent.name)).collect(),
        queues: queues.map(|id| proto::QueueView { queue: id.to_string(), waiting: waiting(id) as u32 }).collect(),
        calls: calls.map(|(id, row)| call(*id, row)).collect(),
        banners: center.banners.iter().filter(on).map(|(name, _)| name.clone()).collect(),
        more: false,
    }
}

fn agent_view(view: &View, agent: AgentId, name: &str) -> proto::AgentView {
    let row = view.agents.get(&agent);
    let state = row.map_or(AgentMode::LoggedOut, |row| row.mode);
    proto::AgentView {
        agent: agent.0,
        name: name.to_owned(),
        state: mode(state).into(),
        reason: row.filter(|row| row.mode == AgentMode::NotReady).map(|row| row.reason.clone()).unwrap_or_default(),
        since_ms: row.map_or(0, |row| row.since.0),
        unreachable: row.is_some_and(|row| !row.reachable),
    }
}

/// A call as it is now.
pub fn call(id: CallId, row: &CallRow) -> proto::CallView {
    proto::CallView {
        call: id.to_string(),
        line: row.line.as_ref().map(ToString::to_string).unwrap_or_default(),
        caller: number(row.caller.as_ref()),
        arrived_ms: row.arrived.0,
        queue: row.queue.as_ref().map(ToString::to_string).unwrap_or_default(),
        agent: row.talking.map_or(0, |agent| agent.0),
        ringing: row
            .ringing
            .iter()
            .map(|(offer, agent)| proto::Ringing { agent: agent.0, offer: offer.to_string() })
            .collect(),
        held: row.held,
        data: row.data.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
        menu_path: row.path.iter().cloned().collect(),
        keys: row.keys.clone(),
        waiting_since_ms: row.waiting.map_or(0, |since| since.0),
    }
}

/// The user part of a SIP or tel URI: what people call the number. Empty where it says that there is none (RFC 3323 §4.1.1.3).
pub fn number(uri: Option<&Arc<str>>) -> String {
    let uri = uri.map(|uri| &**uri).unwrap_or_default();
    let rest = ["sips:", "sip:", "tel:"].iter().find_map(|scheme| uri.strip_prefix(scheme)).unwrap_or(uri);
    let number = rest.split(['@', ';']).next().unwrap_or(rest);
    let withheld = ["anonymous", "unavailable", "unknown"].iter().any(|word| number.eq_ignore_ascii_case(word));
    if withheld { String::new() } else { number.to_owned() }
}

fn text(text: Option<&Arc<str>>) -> String {
    text.map(|text| text.to_string()).unwrap_or_default()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn levels(skills: &BTreeMap<SkillId, u8>) -> BTreeMap<String, u32> {
    skills.iter().map(|(skill, level)| (skill.to_string(), u32::from(*level))).collect()
}

fn transferred(to: &TransferTo) -> proto::transferred::To {
    use proto::transferred::To;
    match to {
        TransferTo::Queue(queue) => To::Queue(queue.to_string()),
        TransferTo::Agent(agent) => To::ToAgent(agent.0),
        TransferTo::Number(number) => To::Number(text(number.text.as_ref())),
    }
}

/// The words that the proto file lists.
fn diverted(why: event::DivertReason) -> &'static str {
    match why {
        event::DivertReason::Full => "full",
        event::DivertReason::MaxWait => "max_wait",
        event::DivertReason::Refused => "refused",
        event::DivertReason::Left => "left",
        event::DivertReason::NoStaff => "no_staff",
        event::DivertReason::LongWait => "long_wait",
        event::DivertReason::NotTaken => "not_taken",
    }
}

fn mode(mode: AgentMode) -> proto::AgentState {
    match mode {
        AgentMode::LoggedOut => proto::AgentState::LoggedOut,
        AgentMode::NotReady => proto::AgentState::NotReady,
        AgentMode::Ready => proto::AgentState::Ready,
        AgentMode::Reserved => proto::AgentState::Reserved,
        AgentMode::Busy => proto::AgentState::Busy,
        AgentMode::WrapUp => proto::AgentState::WrapUp,
    }
}

fn outcome_told(outcome: event::OfferOutcome) -> proto::OfferOutcome {
    use event::OfferOutcome as O;
    match outcome {
        O::Accepted => proto::OfferOutcome::Accepted,
        O::Declined => proto::OfferOutcome::Declined,
        O::NoAnswer => proto::OfferOutcome::NoAnswer,
        O::Unreachable => proto::OfferOutcome::Unreachable,
        O::CallerLeft => proto::OfferOutcome::CallerLeft,
        O::Withdrawn => proto::OfferOutcome::Withdrawn,
        O::Failed => proto::OfferOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::DivertReason::{Full, Left, LongWait, MaxWait, NoStaff, NotTaken, Refused};
    use std::collections::BTreeSet;

    /// Clients compare words: those of the proto file are all that there are.
    #[test]
    fn why_a_caller_waits_no_more_is_one_of_the_words_of_the_proto_file() {
        let file = include_str!("../../proto/tierline/v1/desk.proto");
        let (_, message) = file.split_once("message Diverted {").expect("the message");
        let (message, _) = message.split_once('}').expect("its end");
        let listed: BTreeSet<&str> = message.split('"').skip(1).step_by(2).collect();
        assert_eq!(listed, [Full, MaxWait, Refused, Left, NoStaff, LongWait, NotTaken].map(diverted).into());
    }
}
