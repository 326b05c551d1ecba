//! How things stand, folded from events, and who may see which of them.
//!
//! A fold may begin anywhere in the log: a call that it meets in the middle is told from its beginning first
//! ([`View::knows`]). So begins that of a running server with its start, and that of a reader who resumes where he left.

use crate::center::Center;
use crate::command::{self, Actor};
use crate::event::{AgentMode, DivertReason, Event, OfferOutcome, Party, TransferTo, What};
use crate::ids::{AgentId, CallId, LegId, LineId, QueueId, ReservationId};
use crate::time::Wall;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Steps of the menu that are kept of one call: the first half of them, and the last.
pub const MAX_STEPS: usize = 32;
/// Keys that are kept of one call.
pub const MAX_KEYS: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub agents: BTreeMap<AgentId, AgentRow>,
    pub calls: BTreeMap<CallId, CallRow>,
    pub desks: BTreeSet<AgentId>,
    /// Announcements that somebody has switched.
    pub switched: BTreeMap<String, bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    pub mode: AgentMode,
    pub reason: String,
    pub since: Wall,
    /// A phone or a number of his can be reached.
    pub reachable: bool,
}

/// A call that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRow {
    pub line: Option<LineId>,
    pub caller: Option<Arc<str>>,
    pub arrived: Wall,
    /// The last one that it waited in.
    pub queue: Option<QueueId>,
    /// Since when it waits, as the router counts it: with what was served before an agent sent the caller on, and from where
    /// the wait began whose agent was lost. None while it does not wait.
    pub waiting: Option<Wall>,
    /// The last wait that an agent has ended: since when, and how long it was.
    served: Option<(Wall, Duration)>,
    /// Who talks with the caller, until the caller is with somebody else or nobody.
    pub talking: Option<AgentId>,
    pub ringing: BTreeMap<ReservationId, AgentId>,
    pub held: bool,
    pub data: BTreeMap<String, Arc<str>>,
    /// Without the steps that he is led through while he waits: they say nothing of why he calls.
    pub path: VecDeque<String>,
    /// The last one of those.
    treated_at: Option<String>,
    pub keys: String,
    legs: BTreeMap<LegId, AgentId>,
}

/// Whom one event concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// They see all of it, and so do their leads; each once, and few.
    pub agents: Vec<AgentId>,
    /// Their leads see it.
    pub queue: Option<QueueId>,
    /// The queue's agents see it too: it says who waits, and nothing of the person.
    pub queue_agents: bool,
    pub everybody: bool,
}

/// Who looks.
#[derive(Clone, Debug)]
pub enum Viewer {
    Agent { agent: AgentId, queues: BTreeSet<QueueId> },
    Lead { queues: BTreeSet<QueueId>, agents: BTreeSet<AgentId> },
    Operator,
}

impl Audience {
    fn adds(&mut self, agent: AgentId) {
        if !self.agents.contains(&agent) {
            self.agents.push(agent);
        }
    }
}

impl Viewer {
    /// None for somebody whom the configuration does not have.
    pub fn of(actor: &Actor, center: &Center) -> Option<Viewer> {
        Some(match actor {
            Actor::Agent(agent) => {
                Viewer::Agent { agent: *agent, queues: center.agents.get(agent)?.queues.keys().cloned().collect() }
            }
            Actor::Lead(lead) => Viewer::Lead {
                queues: center.leads.get(lead)?.clone(),
                agents: center.agents.keys().copied().filter(|agent| command::leads(center, lead, *agent)).collect(),
            },
            Actor::Operator => Viewer::Operator,
        })
    }

    pub fn sees(&self, audience: &Audience) -> bool {
        let queue = |queues: &BTreeSet<QueueId>| audience.queue.as_ref().is_some_and(|queue| queues.contains(queue));
        audience.everybody
            || match self {
                Viewer::Operator => true,
                Viewer::Lead { queues, agents } => {
                    queue(queues) || audience.agents.iter().any(|agent| agents.contains(agent))
                }
                Viewer::Agent { agent, queues } => {
                    audience.agents.contains(agent) || audience.queue_agents && queue(queues)
                }
            }
    }

    /// Of what he sees, whether he sees the caller too. To who merely serves the queue it says that somebody waits.
    pub fn sees_person(&self, audience: &Audience) -> bool {
        match self {
            Viewer::Agent { agent, .. } => audience.agents.contains(agent),
            Viewer::Lead { .. } | Viewer::Operator => true,
        }
    }

    pub fn sees_agent(&self, other: AgentId) -> bool {
        match self {
            Viewer::Operator => true,
            Viewer::Lead { agents, .. } => agents.contains(&other),
            Viewer::Agent { agent, .. } => *agent == other,
        }
    }

    pub fn sees_queue(&self, queue: &QueueId) -> bool {
        match self {
            Viewer::Operator => true,
            Viewer::Lead { queues, .. } | Viewer::Agent { queues, .. } => queues.contains(queue),
        }
    }

    pub fn sees_call(&self, call: &CallRow) -> bool {
        self.sees(&Audience { agents: call.parties(), queue: call.queue.clone(), ..Audience::default() })
    }
}

impl View {
    /// Whether the call's beginning was seen, or the event needs none.
    pub fn knows(&self, event: &Event) -> bool {
        // How a leg was heard is told when the call is over, and to nobody.
        let alone = matches!(event.what, What::CallArrived { .. } | What::LegHeard { .. });
        alone || event.call.is_none_or(|call| self.calls.contains_key(&call))
    }

    /// Takes the next event, of which nobody is told.
    pub fn learn(&mut self, event: &Event) {
        self.change(event);
        self.leave(event);
    }

    /// Takes the next event; says whom it concerns. A call that it ends is still there, to be told of, until [`View::leave`].
    pub fn apply(&mut self, event: &Event) -> Audience {
        let before = event.call.and_then(|call| self.calls.get(&call));
        let mut audience = Audience { agents: before.map(CallRow::parties).unwrap_or_default(), ..Audience::default() };
        let ends = matches!(event.what, What::CallEnded { .. });
        let waited_in = before.filter(|_| ends).and_then(CallRow::waits_in);
        self.change(event);
        if let Some(row) = event.call.and_then(|call| self.calls.get(&call)) {
            row.talks_or_rings().for_each(|agent| audience.adds(agent));
            audience.queue.clone_from(&row.queue);
        }
        match &event.what {
            What::EngineStarted { .. } | What::BannerSwitched { .. } => audience.everybody = true,
            What::AgentStateChanged { agent, .. }
            | What::AgentReachable { agent, .. }
            | What::DataAttached { agent, .. }
            | What::Disposed { agent, .. }
            | What::Transferred { agent, .. }
            | What::OfferEnded { agent, .. } => audience.adds(*agent),
            What::Queued { queue, .. } | What::Established { queue, .. } | What::Diverted { queue, .. } => {
                (audience.queue, audience.queue_agents) = (Some(queue.clone()), true);
            }
            What::CallEnded { .. } => {
                audience.queue_agents = waited_in.is_some();
                audience.queue = waited_in.or(audience.queue);
            }
            _ => {}
        }
        audience
    }

    /// Forgets the call that the event has ended.
    pub fn leave(&mut self, event: &Event) {
        if let (What::CallEnded { .. }, Some(call)) = (&event.what, event.call) {
            self.calls.remove(&call);
        }
    }

    fn change(&mut self, event: &Event) {
        match &event.what {
            // What ran is ended by the events that follow; everybody begins logged out.
            What::EngineStarted { .. } => self.agents.clear(),
            What::AgentStateChanged { agent, to, reason, .. } => {
                let row = self.agents.entry(*agent).or_insert_with(|| AgentRow {
                    mode: *to,
                    reason: String::new(),
                    since: event.at,
                    reachable: true,
                });
                (row.mode, row.since) = (*to, event.at);
                row.reason.clone_from(reason);
                row.reachable |= *to == AgentMode::LoggedOut;
            }
            What::AgentReachable { agent, reachable } => {
                self.agents.get_mut(agent).into_iter().for_each(|row| row.reachable = *reachable);
            }
            What::BannerSwitched { banner, on } => _ = self.switched.insert(banner.clone(), *on),
            What::DeskEntered { agent } => _ = self.desks.insert(*agent),
            What::DeskLeft { agent, .. } => _ = self.desks.remove(agent),
            What::CallArrived { line, private, caller, .. } => {
                let row = CallRow {
                    line: line.clone(),
                    caller: caller.text.clone().filter(|_| !private),
                    arrived: event.at,
                    ..CallRow::default()
                };
                event.call.and_then(|call| self.calls.insert(call, row));
            }
            _ => {
                let row = event.call.and_then(|call| self.calls.get_mut(&call));
                row.into_iter().for_each(|row| row.apply(event));
            }
        }
    }
}

impl CallRow {
    fn talks_or_rings(&self) -> impl Iterator<Item = AgentId> + '_ {
        self.talking.into_iter().chain(self.ringing.values().copied())
    }

    /// Agents whose call it is at present, each once.
    pub fn parties(&self) -> Vec<AgentId> {
        let mut audience = Audience::default();
        self.talks_or_rings().for_each(|agent| audience.adds(agent));
        audience.agents
    }

    fn waits_in(&self) -> Option<QueueId> {
        self.queue.clone().filter(|_| self.waiting.is_some())
    }

    /// Whose leg it is; none: the caller's.
    pub fn agent_of(&self, leg: LegId) -> Option<AgentId> {
        self.legs.get(&leg).copied()
    }

    fn comes_to(&mut self, step: String) {
        if self.path.len() == MAX_STEPS {
            self.path.remove(MAX_STEPS / 2);
        }
        self.path.push_back(step);
    }

    fn apply(&mut self, event: &Event) {
        match &event.what {
            What::StepEntered { step, .. } if self.waiting.is_some() => {
                self.treated_at.get_or_insert_default().clone_from(step);
            }
            What::StepEntered { step, .. } => self.comes_to(step.clone()),
            What::DigitKeyed { digit, .. } => {
                self.keys.push_str(digit.text.as_deref().unwrap_or_default());
                let more = self.keys.chars().count().saturating_sub(MAX_KEYS);
                self.keys = self.keys.chars().skip(more).collect();
            }
            What::Queued { queue, again, served, .. } => {
                let since = match self.served {
                    _ if !served.is_zero() => before(event.at, *served),
                    // As it was before that was written down.
                    Some((since, _)) if *again => since,
                    Some((_, waited)) => before(event.at, waited),
                    None => event.at,
                };
                (self.queue, self.waiting, self.treated_at) = (Some(queue.clone()), Some(since), None);
                (self.talking, self.held) = (None, false);
            }
            What::Delivered { reservation, agent, leg, .. } => {
                self.ringing.insert(*reservation, *agent);
                self.legs.insert(*leg, *agent);
            }
            What::OfferEnded { reservation, agent, outcome, .. } => {
                self.ringing.remove(reservation);
                if *outcome == OfferOutcome::Accepted {
                    self.talking = Some(*agent);
                }
            }
            What::Established { agent, waited, .. } => {
                (self.talking, self.waiting, self.held) = (Some(*agent), None, false);
                self.served = Some((before(event.at, *waited), *waited));
            }
            What::Diverted { why, .. } => {
                (self.waiting, self.served) = (None, None);
                // He has chosen it.
                let chosen = self.treated_at.take().filter(|_| *why == DivertReason::Left);
                chosen.into_iter().for_each(|step| self.comes_to(step));
            }
            What::Held { .. } => self.held = true,
            What::Retrieved { .. } => self.held = false,
            What::DataAttached { name, value, .. } | What::FlowAttached { name, value, .. } => {
                let text = value.text.clone().unwrap_or_else(|| "".into());
                self.data.insert(name.clone(), text);
            }
            What::Transferred { .. } => {
                (self.talking, self.held) = (None, false);
                // Should he come back, the talk was no wait.
                self.served = self.served.map(|(_, waited)| (before(event.at, waited), waited));
            }
            What::ConnectionCleared { leg, party: Party::Agent(_), .. } => _ = self.legs.remove(leg),
            _ => {}
        }
    }
}

fn before(at: Wall, time: Duration) -> Wall {
    Wall(at.0.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

/// A number that is not known any more.
pub const OUTSIDE: &str = "a number outside";

/// Where a transfer went, in words.
pub fn transferred_to(to: &TransferTo) -> String {
    match to {
        TransferTo::Queue(queue) => format!("queue {queue}"),
        TransferTo::Agent(agent) => format!("agent {agent}"),
        TransferTo::Number(number) => number.text.as_deref().unwrap_or(OUTSIDE).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cause, Personal, PersonalKind, Phase};
    use crate::ids::WorkId;

    const CALL: CallId = CallId(1);

    fn viewers() -> [(&'static str, Viewer); 5] {
        let queues = |names: &[&str]| names.iter().map(|name| QueueId::new(name)).collect::<BTreeSet<_>>();
        let agent = |n, names: &[&str]| Viewer::Agent { agent: AgentId(n), queues: queues(names) };
        [
            ("1", agent(1, &["general"])),
            ("2", agent(2, &["technical"])),
            ("3", agent(3, &["technical"])),
            ("lead", Viewer::Lead { queues: queues(&["technical"]), agents: [AgentId(2), AgentId(3)].into() }),
            ("operator", Viewer::Operator),
        ]
    }

    fn queued_in(queue: &QueueId, again: bool, served_ms: u64) -> What {
        let (work, queue, served) = (WorkId(1), queue.clone(), Duration::from_millis(served_ms));
        What::Queued { work, queue, priority: 0, skills: [].into(), again, served }
    }

    /// Each event, and who sees it.
    #[test]
    fn agents_see_their_own_calls_and_queues_leads_their_queues_and_operators_all() {
        let text = |text: &str| Personal { kind: PersonalKind::Number, handle: 1, text: Some(text.into()) };
        let (work, general, technical) = (WorkId(1), QueueId::new("general"), QueueId::new("technical"));
        let queued = |queue: &QueueId| queued_in(queue, false, 0);
        let rings = |n: u64, agent| What::Delivered {
            work,
            reservation: ReservationId(n),
            agent: AgentId(agent),
            leg: LegId(10 + n),
            why: String::new(),
        };
        let over = |n: u64, agent, outcome| What::OfferEnded {
            work,
            reservation: ReservationId(n),
            agent: AgentId(agent),
            outcome,
        };
        let talks = |queue: &QueueId, agent| What::Established {
            work,
            queue: queue.clone(),
            agent: AgentId(agent),
            leg: LegId(1),
            waited: Duration::ZERO,
            told: None,
        };
        let attached = |agent| What::DataAttached { agent: AgentId(agent), name: "n".into(), value: text("v") };
        let arrived = What::arrives(LegId(1), None, text("7"));
        let sent = What::Transferred { agent: AgentId(1), to: TransferTo::Queue(technical.clone()) };
        let ended = What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected };
        let by_flow =
            What::FlowAttached { flow: crate::ids::FlowId::new("main"), name: "topic".into(), value: text("v") };
        let rows = [
            (arrived, "operator"),
            (by_flow.clone(), "operator"),
            (queued(&general), "1 operator"),
            (rings(1, 1), "1 operator"),
            (over(1, 1, OfferOutcome::Accepted), "1 operator"),
            (talks(&general, 1), "1 operator"),
            (attached(1), "1 operator"),
            (sent, "1 operator"),
            (queued(&technical), "2 3 lead operator"),
            (rings(2, 2), "2 lead operator"),
            (by_flow, "2 lead operator"),
            (over(2, 2, OfferOutcome::Declined), "2 lead operator"),
            (rings(3, 3), "3 lead operator"),
            (over(3, 3, OfferOutcome::Accepted), "3 lead operator"),
            (talks(&technical, 3), "2 3 lead operator"),
            (What::Held { leg: LegId(13) }, "3 lead operator"),
            (ended, "3 lead operator"),
            (attached(3), "3 lead operator"),
            (attached(1), "1 operator"),
        ];
        let mut view = View::default();
        for (seq, (what, expect)) in (1..).zip(rows) {
            let event = Event { seq, at: Wall(0), call: Some(CALL), what };
            let audience = view.apply(&event);
            view.leave(&event);
            let seen: Vec<_> = viewers().iter().filter(|(_, v)| v.sees(&audience)).map(|(name, _)| *name).collect();
            assert_eq!(seen.join(" "), expect, "{:?}", event.what);
        }
        assert!(view.calls.is_empty());
    }

    /// What the flow has attached is told as it happens, with no agent's number, and stands in the call's row.
    #[test]
    fn what_a_flow_attaches_is_shown_at_desktops() {
        let mut view = View { calls: [(CALL, CallRow::default())].into(), ..View::default() };
        let value = Personal { kind: PersonalKind::Text, handle: 2, text: Some("vpn".into()) };
        let what = What::FlowAttached { flow: crate::ids::FlowId::new("main"), name: "topic".into(), value };
        let event = Event { seq: 1, at: Wall(0), call: Some(CALL), what };
        view.apply(&event);
        let row = crate::cti::told::call(CALL, &view.calls[&CALL]);
        assert_eq!(row.data, [("topic".to_owned(), "vpn".to_owned())].into());
        let told = crate::cti::told::event(&event, &view).and_then(|told| told.what);
        let expect = crate::proto::DataAttached { agent: 0, name: "topic".into(), value: "vpn".into() };
        assert_eq!(told, Some(crate::proto::event::What::DataAttached(expect)));
    }

    #[test]
    fn a_caller_who_asked_for_privacy_has_no_number_at_desktops() {
        for (private, expect) in [(false, "+4930123"), (true, "")] {
            let text = Some("+4930123".into());
            let caller = Personal { kind: PersonalKind::Number, handle: 1, text };
            let language = "en".into();
            let what =
                What::CallArrived { leg: LegId(1), line: None, by_agent: None, trunk: None, private, language, caller };
            let arrived = Event { seq: 1, at: Wall(0), call: Some(CALL), what };
            let mut view = View::default();
            view.apply(&arrived);
            assert_eq!(crate::cti::told::call(CALL, &view.calls[&CALL]).caller, expect);
            let told = crate::cti::told::event(&arrived, &view);
            assert!(format!("{told:?}").contains("+4930123") != private, "{told:?}");
        }
    }

    /// What a desktop and a pop say of the wait is what the router goes by.
    #[test]
    fn a_wait_goes_on_after_an_agent() {
        let (work, queue, agent, leg) = (WorkId(1), QueueId::new("general"), AgentId(1), LegId(10));
        let queued = |again| queued_in(&queue, again, 0);
        let goes_over = |ms| queued_in(&queue, false, ms);
        let talks = |ms| {
            let (queue, waited) = (queue.clone(), Duration::from_millis(ms));
            What::Established { work, queue, agent, leg, waited, told: None }
        };
        let sent = || What::Transferred { agent, to: TransferTo::Queue(queue.clone()) };
        let number = || Personal { kind: PersonalKind::Number, handle: 1, text: None };
        let outside = || What::Transferred { agent, to: TransferTo::Number(number()) };
        let left = || What::Diverted { work, queue: queue.clone(), why: crate::event::DivertReason::Full };
        let rows = [
            ("a new wait", vec![(5_000, queued(false))], 5_000),
            (
                "sent on",
                vec![(0, queued(false)), (3_000, talks(3_000)), (8_000, sent()), (8_000, queued(false))],
                5_000,
            ),
            ("the agent is lost", vec![(1_000, queued(false)), (3_000, talks(2_000)), (8_000, queued(true))], 1_000),
            (
                "a number outside is not reached",
                vec![(0, queued(false)), (3_000, talks(3_000)), (8_000, outside()), (12_000, queued(true))],
                5_000,
            ),
            ("goes over", vec![(0, queued(false)), (4_000, left()), (4_000, goes_over(4_000))], 0),
            ("led elsewhere", vec![(3_000, talks(3_000)), (4_000, left()), (4_000, queued(false))], 4_000),
        ];
        for (name, whats, since) in rows {
            let mut row = CallRow::default();
            for (at, what) in whats {
                row.apply(&Event { seq: 1, at: Wall(at), call: Some(CALL), what });
            }
            assert_eq!(row.waiting, Some(Wall(since)), "{name}");
        }
    }

    #[test]
    fn what_is_kept_of_a_menu_is_bounded() {
        let mut view = View::default();
        let caller = Personal { kind: PersonalKind::Number, handle: 1, text: None };
        let arrived = What::arrives(LegId(1), None, caller);
        view.apply(&Event { seq: 1, at: Wall(0), call: Some(CALL), what: arrived });
        for n in 0..100 {
            let digit = Personal { kind: PersonalKind::Digit, handle: n, text: Some((n % 10).to_string().into()) };
            let flow = crate::ids::FlowId::new("main");
            let keyed = What::DigitKeyed { flow: flow.clone(), step: "menu".into(), digit };
            view.apply(&Event { seq: 2, at: Wall(0), call: Some(CALL), what: keyed });
            let entered = What::StepEntered { flow, step: n.to_string() };
            view.apply(&Event { seq: 3, at: Wall(0), call: Some(CALL), what: entered });
        }
        let row = &view.calls[&CALL];
        assert_eq!((row.keys.len(), row.path.len()), (MAX_KEYS, MAX_STEPS));
        assert!(row.keys.ends_with("789"));
        let path: Vec<&str> = row.path.iter().map(String::as_str).collect();
        assert_eq!((path[0], path[15], path[16], path[31]), ("0", "15", "84", "99"), "{path:?}");
    }

    /// Why he calls stands at the beginning, however long he is led round while he waits.
    #[test]
    fn the_treatment_is_no_part_of_the_menu_path() {
        let (work, queue, flow) = (WorkId(1), QueueId::new("general"), crate::ids::FlowId::new("main"));
        let queued = || queued_in(&queue, false, 0);
        let step = |step: &str| What::StepEntered { flow: flow.clone(), step: step.into() };
        let left = |why| What::Diverted { work, queue: queue.clone(), why };
        let mut row = CallRow::default();
        let mut tell = |what| row.apply(&Event { seq: 1, at: Wall(0), call: Some(CALL), what });
        ["menu", "network", "wait"].into_iter().for_each(|name| tell(step(name)));
        tell(queued());
        (0..20).for_each(|_| ["place", "expected", "music"].into_iter().for_each(|name| tell(step(name))));
        // Another choice is one of his again.
        tell(step("person"));
        tell(left(DivertReason::Left));
        tell(queued());
        ["place", "music"].into_iter().for_each(|name| tell(step(name)));
        tell(left(DivertReason::MaxWait));
        tell(step("call-back"));
        assert_eq!(row.path, ["menu", "network", "wait", "person", "call-back"]);
    }
}
