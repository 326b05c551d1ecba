//! What happens, as somebody at a desktop reads it: a line for each event, who and what in words. When it was, stands before
//! it; more of what rings, below it.

use crate::proto::event::What;
use crate::proto::{self, AgentState, OfferOutcome, Role, transferred};
use crate::written::counted;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Names that one line tells at most; of more the number is told.
const TOLD: usize = 10;

/// Who reads, and what is known of the others.
pub(super) struct Plain {
    /// An agent's number, 0 for anybody else.
    me: u32,
    names: BTreeMap<u32, String>,
    /// Milliseconds since 1970 → as a clock shows it.
    clock: fn(i64) -> String,
}

impl Plain {
    pub fn new(clock: fn(i64) -> String) -> Plain {
        Plain { me: 0, names: BTreeMap::new(), clock }
    }

    /// What happened, or how things stand at `now`: the first of the lines with its time, what belongs to it below.
    pub fn item(&mut self, item: &proto::item::What, now: i64) -> Vec<String> {
        let (at, lines) = match item {
            proto::item::What::Snapshot(snapshot) => (now, self.snapshot(snapshot)),
            proto::item::What::Event(event) => (event.at_ms, self.event(event)),
        };
        let at = (self.clock)(at);
        let below = " ".repeat(at.chars().count());
        let starts = std::iter::once(&at).chain(std::iter::repeat(&below));
        lines.into_iter().zip(starts).map(|(line, start)| format!("{start} {line}")).collect()
    }

    fn snapshot(&mut self, told: &proto::Snapshot) -> Vec<String> {
        self.me = told.agent;
        self.names.extend(told.agents.iter().map(|agent| (agent.agent, agent.name.clone())));
        let mut lines = Vec::new();
        if let Some(me) = told.agents.iter().find(|agent| agent.agent == self.me && self.me != 0) {
            let unreachable = if me.unreachable { "; no phone of yours answers" } else { "" };
            let since = if me.since_ms == 0 { String::new() } else { format!(" since {}", (self.clock)(me.since_ms)) };
            lines.push(format!(
                "you are {} ({}): {}{since}{unreachable}",
                me.name,
                me.agent,
                state(me.state(), &me.reason)
            ));
        } else if !told.agents.is_empty() || !told.queues.is_empty() {
            let sees = match told.role() {
                Role::Operator => "all of the center",
                _ => "your queues, their agents and their calls",
            };
            lines.push(format!("you see {sees}"));
        }
        lines.extend(self.colleagues(told));
        if !told.queues.is_empty() {
            let queues = told.queues.iter().map(|queue| format!("{} ({})", queue.queue, waiting(queue.waiting)));
            lines.push(format!("queues: {}", listed(queues)));
        }
        if !told.banners.is_empty() {
            lines.push(format!("announcements that are on: {}", told.banners.join(", ")));
        }
        lines.extend(self.calls(told));
        lines
    }

    fn colleagues(&self, told: &proto::Snapshot) -> Vec<String> {
        let others = || told.agents.iter().filter(|agent| agent.agent != self.me);
        let states = [
            AgentState::Ready,
            AgentState::Reserved,
            AgentState::Busy,
            AgentState::WrapUp,
            AgentState::NotReady,
            AgentState::LoggedOut,
        ];
        let of = |state: AgentState| {
            let names: Vec<&str> =
                others().filter(|agent| agent.state() == state).map(|agent| agent.name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{}: {}", self::state(state, ""), listed(names.into_iter())))
        };
        states.into_iter().filter_map(of).collect()
    }

    /// One's own, and how many there are of others.
    fn calls(&self, told: &proto::Snapshot) -> Vec<String> {
        let (mut lines, mut wait, mut talk, mut menu) = (Vec::new(), 0, 0, 0);
        for call in &told.calls {
            if self.me != 0 && call.agent == self.me {
                let held = if call.held { ", on hold" } else { "" };
                lines.push(format!("you talk with {}{held} [{}]", caller(call), call.call));
                lines.extend(about(call));
            } else if self.me != 0 && call.ringing.iter().any(|ringing| ringing.agent == self.me) {
                lines.push(format!("the phone rings: {} [{}]", from(call), call.call));
                lines.extend(about(call));
            } else if call.agent != 0 {
                talk += 1;
            } else if call.waiting_since_ms != 0 {
                wait += 1;
            } else {
                menu += 1;
            }
        }
        let counts = [(wait, "wait"), (talk, "talk"), (menu, "in a menu")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let counts: Vec<String> = counts.collect();
        lines.extend((!counts.is_empty()).then(|| format!("callers: {}", counts.join(", "))));
        lines
    }

    fn event(&self, event: &proto::Event) -> Vec<String> {
        let Some(what) = &event.what else { return Vec::new() };
        let mut lines = vec![self.what(what)];
        if !event.call.is_empty() {
            _ = write!(lines[0], " [{}]", event.call); // a string takes all
        }
        if let What::Delivered(proto::Delivered { agent, call: Some(call), .. }) = what
            && (self.me == 0 || *agent == self.me)
        {
            lines.extend(about(call));
        }
        lines
    }

    fn what(&self, what: &What) -> String {
        match what {
            What::CallArrived(it) => format!("{} calls {}", who_calls(&it.caller), or(&it.line, "a short code")),
            What::StepEntered(it) => format!("the caller comes to {}.{}", it.flow, it.step),
            What::KeyPressed(it) => format!("the caller presses {}", or(&it.key, "a key")),
            What::Queued(it) => queued(it),
            What::Delivered(it) => self.delivered(it),
            What::OfferEnded(it) => {
                let phone = self.whose(it.agent, "phone");
                format!("{phone} rings no more: {}", self.outcome(it))
            }
            What::Established(it) => {
                let after = seconds(it.waited_ms);
                format!("{} the caller from {}, who has waited {after}", self.does(it.agent, "talk with"), it.queue)
            }
            What::Diverted(it) => format!("the caller waits no more in {}: {}", it.queue, diverted(&it.why)),
            What::Held(it) => format!("{} the call", self.party(it.agent, "hold")),
            What::Retrieved(it) => format!("{} the call no more", self.party(it.agent, "hold")),
            What::DataAttached(it) => {
                let by = if it.agent == 0 { "the menu notes".to_owned() } else { self.does(it.agent, "note") };
                format!("{by} {}: {}", it.name, or(&it.value, "what may not be seen"))
            }
            What::Transferred(it) => format!("{} the caller on to {}", self.does(it.agent, "send"), self.goal(it)),
            What::Disposed(it) => {
                let notes = if it.notes.is_empty() { String::new() } else { format!(" ({})", it.notes) };
                format!("{} the call as {}{notes}", self.does(it.agent, "code"), it.disposition)
            }
            What::ConnectionCleared(it) => match (it.agent, it.outside) {
                (0, true) => format!("the party outside has left: {}", it.why),
                (0, false) => format!("the caller has left: {}", it.why),
                (agent, _) => format!("{} left the call: {}", self.has(agent), it.why),
            },
            What::CallEnded(it) => format!("the call has ended: {}", it.why),
            What::AgentStateChanged(it) => format!("{} {}", self.is(it.agent), state(it.to(), &it.reason)),
            What::AgentReachable(it) => match it.reachable {
                true => format!("{} can be reached again", self.whose(it.agent, "phone")),
                false => format!("{} cannot be reached: no calls come", self.whose(it.agent, "phone")),
            },
            What::Restarted(_) => "the server was started anew".to_owned(),
            What::BannerSwitched(it) => {
                format!("the announcement {} is {}", it.banner, if it.on { "on" } else { "off" })
            }
        }
    }

    fn delivered(&self, it: &proto::Delivered) -> String {
        let rings = match it.agent == self.me {
            true => "the phone rings".to_owned(),
            false => format!("{} rings", self.whose(it.agent, "phone")),
        };
        let call = it.call.as_ref().map(|call| format!(": {}", from(call))).unwrap_or_default();
        format!("{rings}{call}; waited {}", seconds(it.waited_ms))
    }

    fn outcome(&self, it: &proto::OfferEnded) -> &'static str {
        match it.outcome() {
            OfferOutcome::Accepted => "answered",
            OfferOutcome::Declined => "declined",
            OfferOutcome::NoAnswer => "not answered in time",
            OfferOutcome::Unreachable => "it could not be reached",
            OfferOutcome::CallerLeft => "the caller waits no more",
            OfferOutcome::Withdrawn => "the call goes elsewhere",
            OfferOutcome::Failed | OfferOutcome::Unspecified => "the server failed",
        }
    }

    fn goal(&self, it: &proto::Transferred) -> String {
        match &it.to {
            Some(transferred::To::Queue(queue)) => format!("the queue {queue}"),
            Some(transferred::To::ToAgent(agent)) => self.name(*agent),
            Some(transferred::To::Number(number)) => or(number, "a number outside").to_owned(),
            None => "somebody".to_owned(),
        }
    }

    /// `you`, `Ben (1002)`.
    fn name(&self, agent: u32) -> String {
        match self.names.get(&agent) {
            _ if agent == self.me && agent != 0 => "you".to_owned(),
            Some(name) => format!("{name} ({agent})"),
            None => format!("agent {agent}"),
        }
    }

    /// `you send`, `Ben (1002) sends`.
    fn does(&self, agent: u32, verb: &str) -> String {
        let name = self.name(agent);
        match verb.split_once(' ') {
            _ if name == "you" => format!("you {verb}"),
            Some((verb, rest)) => format!("{name} {verb}s {rest}"),
            None => format!("{name} {verb}s"),
        }
    }

    /// The same, where nobody's number is the caller.
    fn party(&self, agent: u32, verb: &str) -> String {
        if agent == 0 { format!("the caller {verb}s") } else { self.does(agent, verb) }
    }

    fn is(&self, agent: u32) -> String {
        let name = self.name(agent);
        if name == "you" { "you are".to_owned() } else { format!("{name} is") }
    }

    fn has(&self, agent: u32) -> String {
        let name = self.name(agent);
        if name == "you" { "you have".to_owned() } else { format!("{name} has") }
    }

    fn whose(&self, agent: u32, what: &str) -> String {
        let name = self.name(agent);
        if name == "you" { format!("your {what}") } else { format!("the {what} of {name}") }
    }
}

/// What an agent does, behind "is".
fn state(state: AgentState, reason: &str) -> String {
    match state {
        AgentState::LoggedOut => "logged out (no phone is registered)".to_owned(),
        AgentState::NotReady => format!("on a break{}", told_reason(reason)),
        AgentState::Ready => "ready".to_owned(),
        AgentState::Reserved => "next to be called".to_owned(),
        AgentState::Busy => "in a talk".to_owned(),
        AgentState::WrapUp => "writing notes".to_owned(),
        AgentState::Unspecified => "in a state that this program does not know".to_owned(),
    }
}

/// A break's reason is a code of small letters, or words; what moved the state otherwise is written with a capital one.
fn told_reason(reason: &str) -> String {
    match reason {
        "" | "short code" => String::new(),
        "no answer" => " (a call was not answered)".to_owned(),
        "declined" => " (a call was declined)".to_owned(),
        "busy" => " (the phone was busy)".to_owned(),
        "unreachable" => " (the phone could not be reached)".to_owned(),
        reason if reason.starts_with(|first: char| first.is_ascii_uppercase()) => String::new(),
        reason => format!(" ({reason})"),
    }
}

fn queued(it: &proto::Queued) -> String {
    let caller = it.call.as_ref().map_or("a caller".to_owned(), caller);
    let again = if it.again { " again" } else { "" };
    let skills: Vec<String> = it.skills.iter().map(|(skill, level)| format!("{skill} {level}")).collect();
    let wanted = if skills.is_empty() { String::new() } else { format!(" for {}", skills.join(", ")) };
    let points = if it.priority == 0 { String::new() } else { format!(", {} points", it.priority) };
    format!("{caller} waits{again} in {}{wanted}{points}", it.queue)
}

/// The words of the proto file, as sentences.
fn diverted(why: &str) -> &str {
    match why {
        "full" => "it is full",
        "max_wait" => "nobody may wait longer",
        "no_staff" => "nobody is at work there",
        "long_wait" => "the wait would be too long",
        "left" => "the caller has chosen something else",
        "refused" => "there is no such queue any more",
        "not_taken" => "the agent has not taken the call",
        other => other,
    }
}

/// `+4930123 on support, from general`
fn from(call: &proto::CallView) -> String {
    format!("{} on {}, from {}", caller(call), or(&call.line, "a short code"), or(&call.queue, "no queue"))
}

fn caller(call: &proto::CallView) -> String {
    who_calls(&call.caller).to_owned()
}

fn who_calls(number: &str) -> &str {
    or(number, "anonymous")
}

/// What a screen-pop shows below its first line.
fn about(call: &proto::CallView) -> Vec<String> {
    let menu = (!call.menu_path.is_empty()).then(|| format!("menu: {}", call.menu_path.join(" > ")));
    let keys = (!call.keys.is_empty()).then(|| format!("keys: {}", call.keys));
    let way: Vec<String> = menu.into_iter().chain(keys).collect();
    let way = (!way.is_empty()).then(|| format!("  {}", way.join("; ")));
    let mut data: Vec<(&String, &String)> = call.data.iter().collect();
    data.sort();
    way.into_iter().chain(data.into_iter().map(|(name, value)| format!("  {name}: {value}"))).collect()
}

fn or<'t>(text: &'t str, other: &'t str) -> &'t str {
    if text.is_empty() { other } else { text }
}

fn waiting(count: u32) -> String {
    if count == 0 { "nobody waits".to_owned() } else { format!("{} waiting", counted(count as usize, "caller")) }
}

fn seconds(ms: i64) -> String {
    format!("{} s", ms.max(0) / 1000)
}

/// Up to [`TOLD`], and how many more there are.
fn listed(names: impl ExactSizeIterator<Item = impl std::fmt::Display>) -> String {
    let more = names.len().saturating_sub(TOLD);
    let mut told: Vec<String> = names.take(TOLD).map(|name| name.to_string()).collect();
    told.extend((more > 0).then(|| format!("{more} more")));
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::item;

    fn plain() -> Plain {
        let mut plain = Plain::new(|at| format!("{at:04}"));
        let agent = |agent: u32, name: &str, state: AgentState| proto::AgentView {
            agent,
            name: name.to_owned(),
            state: state.into(),
            ..Default::default()
        };
        let agents = vec![agent(1001, "Ada", AgentState::Ready), agent(1002, "Ben", AgentState::Busy)];
        plain.item(&item::What::Snapshot(proto::Snapshot { agent: 1001, agents, ..Default::default() }), 1);
        plain
    }

    fn call() -> proto::CallView {
        proto::CallView {
            call: "c0-1-1".into(),
            line: "support".into(),
            caller: "+4930123".into(),
            queue: "general".into(),
            data: [("ticket".to_owned(), "1001".to_owned()), ("name".to_owned(), "Jo".to_owned())].into(),
            menu_path: vec!["welcome".into(), "menu".into()],
            keys: "1".into(),
            ..Default::default()
        }
    }

    #[test]
    fn what_rings_is_told_with_who_calls_and_what_was_noted() {
        let delivered = |agent| {
            What::Delivered(proto::Delivered { agent, waited_ms: 4_200, call: Some(call()), ..Default::default() })
        };
        let event = |what| item::What::Event(proto::Event { at_ms: 7, call: "c0-1-1".into(), what: Some(what) });
        let expect = [
            "0007 the phone rings: +4930123 on support, from general; waited 4 s [c0-1-1]",
            "       menu: welcome > menu; keys: 1",
            "       name: Jo",
            "       ticket: 1001",
        ];
        assert_eq!(plain().item(&event(delivered(1001)), 1), expect);
        let other = "0007 the phone of Ben (1002) rings: +4930123 on support, from general; waited 4 s [c0-1-1]";
        assert_eq!(plain().item(&event(delivered(1002)), 1), [other]);
    }

    /// One of each, as agent 1001 reads it: nothing is told as it is called on the wire.
    #[test]
    fn each_event_is_a_line_of_plain_words() {
        let changed = |agent, to: AgentState, reason: &str| {
            What::AgentStateChanged(proto::AgentStateChanged { agent, from: 0, to: to.into(), reason: reason.into() })
        };
        let ended = |agent, outcome: OfferOutcome| {
            What::OfferEnded(proto::OfferEnded { agent, outcome: outcome.into(), ..Default::default() })
        };
        let established =
            |agent| What::Established(proto::Established { agent, queue: "general".into(), waited_ms: 9_000 });
        let cleared = |agent, outside| {
            What::ConnectionCleared(proto::ConnectionCleared { agent, why: "agent hung up".into(), outside })
        };
        let sent = |to| What::Transferred(proto::Transferred { agent: 1001, to: Some(to) });
        let noted = |agent| What::DataAttached(proto::DataAttached { agent, name: "name".into(), value: "Jo".into() });
        let skills = [("network".to_owned(), 5)].into();
        let queued = proto::Queued { queue: "general".into(), priority: 3, skills, again: true, call: None };
        let rows = [
            (changed(1001, AgentState::Ready, "Asked"), "you are ready"),
            (changed(1001, AgentState::NotReady, "lunch"), "you are on a break (lunch)"),
            (changed(1001, AgentState::NotReady, "short code"), "you are on a break"),
            (changed(1001, AgentState::NotReady, "no answer"), "you are on a break (a call was not answered)"),
            (changed(1001, AgentState::NotReady, "busy"), "you are on a break (the phone was busy)"),
            (changed(1002, AgentState::Busy, "Answered"), "Ben (1002) is in a talk"),
            (changed(1003, AgentState::LoggedOut, "SignedOut"), "agent 1003 is logged out (no phone is registered)"),
            (ended(1001, OfferOutcome::NoAnswer), "your phone rings no more: not answered in time"),
            (ended(1002, OfferOutcome::Accepted), "the phone of Ben (1002) rings no more: answered"),
            (established(1001), "you talk with the caller from general, who has waited 9 s"),
            (established(1002), "Ben (1002) talks with the caller from general, who has waited 9 s"),
            (What::Held(proto::Held { agent: 1001 }), "you hold the call"),
            (What::Retrieved(proto::Retrieved { agent: 0 }), "the caller holds the call no more"),
            (noted(1001), "you note name: Jo"),
            (noted(0), "the menu notes name: Jo"),
            (sent(transferred::To::ToAgent(1002)), "you send the caller on to Ben (1002)"),
            (sent(transferred::To::Queue("level2".into())), "you send the caller on to the queue level2"),
            (sent(transferred::To::Number(String::new())), "you send the caller on to a number outside"),
            (cleared(1001, false), "you have left the call: agent hung up"),
            (cleared(0, true), "the party outside has left: agent hung up"),
            (What::Queued(queued), "a caller waits again in general for network 5, 3 points"),
            (What::Restarted(proto::Restarted {}), "the server was started anew"),
        ];
        let plain = plain();
        for (what, expect) in rows {
            assert_eq!(plain.what(&what), expect);
        }
    }

    #[test]
    fn who_comes_sees_how_things_stand() {
        let view = |agent: u32, name: &str, state: AgentState, reason: &str| proto::AgentView {
            agent,
            name: name.to_owned(),
            state: state.into(),
            reason: reason.to_owned(),
            since_ms: 5,
            unreachable: false,
        };
        let queues = ["general", "technical"]
            .map(|queue| proto::QueueView { queue: queue.into(), waiting: u32::from(queue == "general") });
        let mut whole = proto::Snapshot {
            agent: 1001,
            role: Role::Agent.into(),
            agents: vec![view(1001, "Ada", AgentState::NotReady, "lunch"), view(1002, "Ben", AgentState::Ready, "")],
            queues: queues.into(),
            calls: vec![proto::CallView { agent: 1001, held: true, ..call() }],
            banners: vec!["outage".into()],
            more: false,
        };
        let told = |whole: &proto::Snapshot| plain().item(&item::What::Snapshot(whole.clone()), 9);
        let expect = [
            "0009 you are Ada (1001): on a break (lunch) since 0005",
            "     ready: Ben",
            "     queues: general (1 caller waiting), technical (nobody waits)",
            "     announcements that are on: outage",
            "     you talk with +4930123, on hold [c0-1-1]",
            "       menu: welcome > menu; keys: 1",
            "       name: Jo",
            "       ticket: 1001",
        ];
        assert_eq!(told(&whole), expect);
        whole = proto::Snapshot { agent: 0, role: Role::Operator.into(), ..whole };
        whole.calls.push(proto::CallView { waiting_since_ms: 3, ..call() });
        let expect = [
            "0009 you see all of the center",
            "     ready: Ben",
            "     on a break: Ada",
            "     queues: general (1 caller waiting), technical (nobody waits)",
            "     announcements that are on: outage",
            "     callers: 1 wait, 1 talk",
        ];
        assert_eq!(told(&whole), expect);
        // Where thousands wait, the rest of them comes in messages of their own.
        let rest = proto::Snapshot { agents: vec![], queues: vec![], banners: vec![], ..whole };
        assert_eq!(told(&rest), ["0009 callers: 1 wait, 1 talk"]);
    }
}
