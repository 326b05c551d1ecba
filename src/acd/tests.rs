//! The router's scenarios as short scripts; the peers' traps in `traps`, what queues may be told in `rules`, seeded
//! crowds in `crowd`.
//!
//! A script is commands separated by `;`. `@S` moves the clock to second S, firing what is due on the way.

mod anew;
mod crowd;
mod rules;
mod traps;

use super::*;
use crate::center;
use crate::ids::SkillId;
use std::time::Duration;

fn seconds(s: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(s)
}

pub(super) fn skills(text: &str) -> Skills {
    let pair = |pair: &str| pair.split_once('=').map(|(name, level)| (SkillId::new(name), level.parse().unwrap()));
    text.split_whitespace().filter_map(pair).collect()
}

fn queue(name: &str, wrap_up: u64, priority: i32) -> center::Queue {
    center::Queue {
        ring_timeout: Duration::from_secs(20),
        wrap_up: WrapUp::Optional(Duration::from_secs(wrap_up)),
        max_waiting: 4,
        max_wait: Duration::from_secs(600),
        priority,
        retry_same_agent: Duration::from_secs(30),
        music: String::new(),
        short_abandon: Duration::ZERO,
        ..center::Queue::named(QueueId::new(name))
    }
}

fn agent(id: u32, queues: &str, has: &str) -> center::Agent {
    center::Agent {
        id: AgentId(id),
        user: id.to_string(),
        name: String::new(),
        queues: queues.split_whitespace().map(|name| (QueueId::new(name), center::Membership::default())).collect(),
        skills: skills(has),
        number: None,
        confirm: false,
    }
}

/// support: wrap-up 10 s; sales: none, its agents may be rung again at once; vip: 5 points.
pub(super) fn center() -> Center {
    let mut sales = queue("sales", 0, 0);
    sales.retry_same_agent = Duration::ZERO;
    let queues = [queue("support", 10, 0), sales, queue("vip", 0, 5)];
    let agents = [
        agent(11, "support", ""),
        agent(12, "support sales", "french=5"),
        agent(13, "sales vip", ""),
        agent(14, "support sales vip", "french=9 german=3"),
    ];
    Center {
        trunks: BTreeMap::new(),
        name: "test".into(),
        domains: Vec::new(),
        time_zone: "UTC".into(),
        language: "en".into(),
        lines: BTreeMap::new(),
        queues: queues.into_iter().map(|queue| (queue.id.clone(), queue)).collect(),
        leads: Default::default(),
        agents: agents.into_iter().map(|agent| (agent.id, agent)).collect(),
        reasons: BTreeMap::new(),
        codes: center::ShortCodes {
            ready: "*1".into(),
            not_ready: "*2".into(),
            ready_sound: "ready".into(),
            not_ready_sound: "not-ready".into(),
            confirm_sound: String::new(),
        },
        limits: center::Limits {
            calls: 100,
            silence: Duration::from_secs(30),
            drain: Duration::ZERO,
            strangers: 1,
            strangers_per_address: 1,
        },
        hours: BTreeMap::new(),
        zones: BTreeMap::new(),
        banners: BTreeMap::new(),
    }
}

/// A router with its clock, checked after every input.
struct Desk {
    router: Router,
    now: Instant,
    outputs: Vec<(Instant, Output)>,
}

impl Desk {
    fn new() -> Desk {
        Desk::of(&center())
    }

    fn of(center: &Center) -> Desk {
        let router = Router::new(center, IdCounter::new(0, 0), Rng::from_number(0));
        Desk { router, now: Instant::ZERO, outputs: Vec::new() }
    }

    fn handle(&mut self, input: Input) {
        let shown = format!("{input:?}");
        self.router.handle(self.now, input);
        self.outputs.extend(std::iter::from_fn(|| self.router.poll()).map(|output| (self.now, output)));
        self.router.check().unwrap_or_else(|broken| panic!("after {shown}: {broken}"));
    }

    fn advance(&mut self, to: Instant) {
        while let Some(at) = self.router.deadline().filter(|at| *at <= to) {
            self.now = self.now.max(at);
            self.handle(Input::Timeout);
        }
        self.now = to;
    }

    fn change(&mut self, agent: &str, change: AgentChange) {
        self.handle(Input::Agent { agent: AgentId(agent.parse().unwrap()), change });
    }

    fn run(&mut self, script: &str) {
        for command in script.split(';').map(str::trim).filter(|command| !command.is_empty()) {
            if let Some(second) = command.strip_prefix('@') {
                self.advance(seconds(second.parse().unwrap()));
                continue;
            }
            let words: Vec<&str> = command.split_whitespace().collect();
            self.command(words[0], words[1], &words[2..]);
        }
    }

    fn command(&mut self, verb: &str, who: &str, rest: &[&str]) {
        let (agent, reservation) = (AgentId(who.parse().unwrap()), ReservationId(who.parse().unwrap()));
        let work = WorkId(who.parse().unwrap());
        match verb {
            "in" => self.change(who, AgentChange::SignIn),
            "out" => self.change(who, AgentChange::SignOut),
            "ready" => self.change(who, AgentChange::Ready),
            "pause" => self.change(who, AgentChange::NotReady(rest.join(" "))),
            "alive" => self.change(who, AgentChange::Reachable(true)),
            "silent" => self.change(who, AgentChange::Reachable(false)),
            "more" => {
                self.change(who, AgentChange::MoreWrapUp(Duration::from_secs(rest[0].parse().unwrap())));
            }
            "done" => self.change(who, AgentChange::WrapUpDone),
            "occupy" => self.handle(Input::Occupy { agent }),
            "vacate" => self.handle(Input::Vacate { agent }),
            "finish" => self.handle(Input::Finish { agent, queue: QueueId::new(rest[0]) }),
            "leave" => self.handle(Input::Dequeue { work }),
            "accept" => self.handle(Input::Accept { reservation }),
            "decline" => self.handle(Input::Refuse { reservation, why: Refusal::Declined }),
            "dead" => self.handle(Input::Refuse { reservation, why: Refusal::Unreachable }),
            "call" => self.call(work, QueueId::new(rest[0]), &rest[1..].join(" ")),
            other => panic!("no command {other}"),
        }
    }

    /// `options`: `+POINTS`, `at=SECOND`, `pref=AGENT`, `not=AGENT`, `pos=PLACE`, `only=AGENT`, `again=1`, `SKILL=LEVEL`.
    fn call(&mut self, work: WorkId, queue: QueueId, options: &str) {
        let mut skills = skills(options);
        let mut option = |name| skills.remove(&SkillId::new(name)).map(u32::from);
        let arrived = option("at").map_or(self.now, |second| seconds(second.into()));
        let (preferred, excluded) = (option("pref").map(AgentId), option("not").map(AgentId).into_iter().collect());
        let position = option("pos");
        let points = options.split_whitespace().find_map(|option| option.strip_prefix('+'));
        let priority = points.map_or(0, |points| points.parse().unwrap());
        let (only, admitted) = (option("only").map(AgentId), option("again").is_some());
        let place = Place { priority, arrived, preferred, excluded, position, ..Place::new(work, queue, self.now) };
        self.handle(Input::Enqueue(Place { skills, only, admitted, ..place }.asked()));
    }

    /// States or all the rest, with `@S` before what is told at a later second than the one before.
    fn told(&mut self, states: bool) -> String {
        let (mut text, mut last) = (String::new(), Instant::ZERO);
        for (at, output) in std::mem::take(&mut self.outputs) {
            if matches!(output, Output::State { .. } | Output::Reachable { .. }) != states {
                continue;
            }
            if at > last {
                text += &format!("@{}; ", at.since(Instant::ZERO).as_secs());
                last = at;
            }
            text += &format!("{}; ", told(&output));
        }
        text.trim_end_matches("; ").to_owned()
    }
}

fn told(output: &Output) -> String {
    match output {
        Output::Offered { reservation, work, agent, .. } => format!("ring{} {}>{agent}", reservation.0, work.0),
        Output::Withdrawn { reservation, why, .. } => format!("stop{} {why:?}", reservation.0),
        Output::Accepted { work, agent, waited, .. } => format!("talk {}>{agent} after {}", work.0, waited.as_secs()),
        Output::State { agent, to: AgentState::NotReady(reason), .. } => format!("{agent} not ready: {reason}"),
        Output::State { agent, to, .. } => format!("{agent} {to:?}"),
        Output::Reachable { agent, reachable } => format!("{agent} {}reachable", if *reachable { "" } else { "un" }),
        Output::Expired { work } => format!("expired {}", work.0),
        Output::Rejected { work, why } => format!("rejected {} {why:?}", work.0),
    }
}

/// What the engine is told, states apart.
#[track_caller]
fn check(name: &str, script: &str, expect: &str) {
    let mut desk = Desk::new();
    desk.run(script);
    assert_eq!(desk.told(false), expect, "{name}");
}

#[track_caller]
fn check_states(name: &str, script: &str, expect: &str) {
    let mut desk = Desk::new();
    desk.run(script);
    assert_eq!(desk.told(true), expect, "{name}");
}

#[test]
fn a_work_meets_an_agent() {
    let rows = [
        ("agent waits, call comes", "in 11; call 1 support; @5; accept 1", "ring1 1>11; @5; talk 1>11 after 5"),
        ("call waits, agent comes", "call 1 support; @5; in 11; @7; accept 1", "@5; ring1 1>11; @7; talk 1>11 after 7"),
        ("longest idle first", "in 12; @1; in 11; call 1 support", "@1; ring1 1>12"),
        ("equally idle: the lower number", "in 12; in 11; call 1 support", "ring1 1>11"),
        (
            "idle counts from the last conversation",
            "in 11; @1; in 12; @2; call 1 support; accept 1; finish 11 support; @20; call 2 support",
            "@2; ring1 1>11; talk 1>11 after 0; @20; ring2 2>12",
        ),
        ("not an agent of another queue", "in 13; call 1 support", ""),
        ("caller leaves while it rings", "in 11; call 1 support; leave 1; accept 1", "ring1 1>11; stop1 WorkGone"),
        ("caller leaves before", "call 1 support; leave 1; in 11", ""),
        ("an unknown queue", "call 1 nowhere", "rejected 1 UnknownQueue"),
        (
            "the fifth is one too many",
            "call 1 support; call 2 support; call 3 support; call 4 support; call 5 support; leave 2; call 6 support",
            "rejected 5 Full",
        ),
        ("nobody comes", "call 1 support; @600; in 11", "@600; expired 1"),
        (
            "what rings when the wait is over may still be answered",
            "call 1 support; @590; in 11; @605; accept 1",
            "@590; ring1 1>11; @605; talk 1>11 after 605",
        ),
        (
            "or expires with its ring",
            "call 1 support; @590; in 11; in 12; @700",
            "@590; ring1 1>11; @610; stop1 TimedOut; expired 1",
        ),
        (
            "a transfer keeps the wait already served",
            "@100; call 1 support; call 2 support at=50; in 11; accept 1",
            "@100; ring1 2>11; talk 2>11 after 50",
        ),
        ("nobody arrives in the future", "call 1 support at=99; call 2 support; in 11", "ring1 1>11"),
        ("unknown ids", "in 99; leave 7; accept 7; decline 7; finish 11 support; finish 99 support; occupy 99", ""),
    ];
    rows.into_iter().for_each(|(name, script, expect)| check(name, script, expect));
}

#[test]
fn states_of_an_agent() {
    let rows = [
        (
            "one call",
            "in 11; call 1 support; accept 1; @9; finish 11 support; @19; out 11",
            "11 Ready; 11 Reserved; 11 Busy; @9; 11 WrapUp; @19; 11 Ready; 11 LoggedOut",
        ),
        ("no wrap-up", "in 13; call 1 sales; accept 1; finish 13 sales", "13 Ready; 13 Reserved; 13 Busy; 13 Ready"),
        (
            "wrap-up ended early",
            "in 11; call 1 support; accept 1; finish 11 support; ready 11; @60",
            "11 Ready; 11 Reserved; 11 Busy; 11 WrapUp; 11 Ready",
        ),
        (
            "signs in as he was left",
            "in 11; pause 11 tea; out 11; @5; in 11",
            "11 Ready; 11 not ready: tea; 11 LoggedOut; @5; 11 not ready: tea",
        ),
        (
            "a wish in an offer",
            "in 11; call 1 support; pause 11 tea; decline 1",
            "11 Ready; 11 Reserved; 11 not ready: tea",
        ),
        (
            "a wish in a call",
            "in 11; call 1 support; accept 1; pause 11 tea; finish 11 support; @10",
            "11 Ready; 11 Reserved; 11 Busy; 11 WrapUp; @10; 11 not ready: tea",
        ),
        (
            "a wish taken back",
            "in 13; call 1 sales; accept 1; pause 13 tea; ready 13; finish 13 sales",
            "13 Ready; 13 Reserved; 13 Busy; 13 Ready",
        ),
        (
            "a sign-out in a call",
            "in 13; call 1 sales; accept 1; out 13; finish 13 sales",
            "13 Ready; 13 Reserved; 13 Busy; 13 LoggedOut",
        ),
        (
            "a penalty is shown",
            "in 11; call 1 support; dead 1; @60",
            "11 Ready; 11 Reserved; 11 not ready: unreachable; @60; 11 Ready; 11 Reserved",
        ),
        (
            "a break in a penalty outlives it",
            "in 11; call 1 support; dead 1; pause 11 tea; @60",
            "11 Ready; 11 Reserved; 11 not ready: unreachable; 11 not ready: tea",
        ),
        ("a call of his own", "in 11; occupy 11; out 11; vacate 11", "11 Ready; 11 Busy; 11 LoggedOut"),
        ("the same again changes nothing", "in 11; in 11; ready 11; done 11; alive 11; vacate 11", "11 Ready"),
    ];
    rows.into_iter().for_each(|(name, script, expect)| check_states(name, script, expect));
}

#[test]
fn a_long_reason_is_cut() {
    let mut desk = Desk::new();
    desk.run("in 11");
    desk.change("11", AgentChange::NotReady("ä".repeat(MAX_REASON + 1)));
    let expect = AgentState::NotReady("ä".repeat(MAX_REASON));
    assert_eq!(desk.router.agent(AgentId(11)).map(Agent::state), Some(&expect));
}

#[test]
fn a_break_or_a_short_sign_out_costs_nobody_his_turn() {
    let rows = [
        ("a break", "in 11; @9; in 12; pause 11 tea; @99; ready 11; call 1 support", "@99; ring1 1>11"),
        ("a phone that registers anew", "in 11; @9; in 12; out 11; @99; in 11; call 1 support", "@99; ring1 1>11"),
        ("a night", "in 11; @9; in 12; out 11; @9999; in 11; call 1 support", "@9999; ring1 1>12"),
        (
            "a refusal",
            "in 11; @9; in 12; call 1 support; decline 1; call 2 support",
            "@9; ring1 1>11; ring2 1>12; ring3 2>11",
        ),
    ];
    rows.into_iter().for_each(|(name, script, expect)| check(name, script, expect));
}

#[test]
fn a_queue_is_seen_as_it_is() {
    let view = |waiting, longest: Option<u64>, staffed, ready| QueueView {
        waiting,
        longest_since: longest.map(seconds),
        staffed,
        ready,
    };
    let rows = [
        ("", view(0, None, 0, 0)),
        ("in 11; in 12", view(0, None, 2, 2)),
        ("in 11; in 12; @3; call 1 support", view(1, Some(3), 2, 1)),
        ("in 11; @3; call 1 support; accept 1; finish 11 support", view(0, None, 1, 0)),
        // 7: an agent away is not staff
        (
            "in 11; in 12; in 14; pause 11 tea; silent 12; out 14; @3; call 1 support; @4; call 2 support +9",
            view(2, Some(3), 0, 0),
        ),
    ];
    for (script, expect) in rows {
        let mut desk = Desk::new();
        desk.run(script);
        assert_eq!(desk.router.queue(&QueueId::new("support")), Some(expect), "{script}");
    }
    let mut desk = Desk::new();
    desk.run("call 1 support; call 2 support; call 3 support +1; call 4 sales");
    let places = [1, 2, 3, 4, 5].map(|work| desk.router.position(WorkId(work)));
    assert_eq!(places, [Some(2), Some(3), Some(1), Some(1), None]);
    assert_eq!(desk.router.queue(&QueueId::new("nowhere")), None);
}

/// Trap 11: a reload keeps everybody's state; what is gone gives back what it held.
#[test]
fn a_new_configuration_keeps_what_it_can() {
    type Change = fn(&mut Center);
    let talk = "in 11; in 12; call 1 support; call 2 support; accept 1; call 3 sales; call 4 support";
    let rows: [(&str, &str, Change, &str, &str); 8] = [
        ("the same", talk, |_| {}, "", ""),
        (
            "a work in a removed queue",
            talk,
            |center| {
                center.queues.remove(&QueueId::new("sales"));
                center.agents.values_mut().for_each(|agent| _ = agent.queues.remove(&QueueId::new("sales")));
            },
            "",
            "rejected 3 UnknownQueue",
        ),
        (
            "a removed agent who rings",
            talk,
            |center| _ = center.agents.remove(&AgentId(12)),
            "@9; in 14",
            "stop2 AgentGone; @9; ring3 2>14",
        ),
        ("a removed agent who talks", talk, |center| _ = center.agents.remove(&AgentId(11)), "finish 11 support", ""),
        (
            "an agent gets a queue",
            "call 4 support",
            |center| {
                let queues = &mut center.agents.get_mut(&AgentId(13)).unwrap().queues;
                queues.insert(QueueId::new("support"), center::Membership::default());
            },
            "in 13",
            "ring1 4>13",
        ),
        (
            "an agent gets a skill",
            "in 12; call 1 support french=9",
            |center| center.agents.get_mut(&AgentId(12)).unwrap().skills = skills("french=9"),
            "",
            "ring1 1>12",
        ),
        (
            "a queue gets points",
            "call 1 sales; @1; call 2 support",
            |center| {
                center.queues.get_mut(&QueueId::new("support")).unwrap().priority = 1;
            },
            "in 12",
            "@1; ring1 2>12",
        ),
        (
            "a new agent",
            talk,
            |center| _ = center.agents.insert(AgentId(15), agent(15, "sales", "")),
            "in 15",
            "ring3 3>15",
        ),
    ];
    for (name, before, change, after, expect) in rows {
        let mut desk = Desk::new();
        desk.run(before);
        desk.told(false);
        let mut center = center();
        change(&mut center);
        desk.handle(Input::Configure(center));
        desk.run(after);
        let told = desk.told(false);
        assert_eq!(told, expect, "{name}");
    }
}

/// Each rule of `check` can fail: a bug planted in the state is named.
#[test]
fn planted_bugs_are_caught() {
    type Plant = fn(&mut Router);
    let rows: [(&str, Plant, &str); 12] = [
        ("a ghost reservation", |r| agent_of(r, 12).reservation = None, "reservations are open"),
        ("a stuck agent", |r| agent_of(r, 11).reservation = Some(ReservationId(9)), "agents are reserved"),
        ("a ring without end", |r| _ = r.timers.cancel(&Timer::Ring(ReservationId(2))), "no deadline"),
        ("an endless wait", |r| _ = r.timers.cancel(&Timer::Attend(WorkId(3))), "should be looked at"),
        ("an endless wrap-up", |r| _ = r.timers.cancel(&Timer::WrapUp(AgentId(11))), "deadline of wrap-up"),
        ("a deadline for nothing", |r| r.timers.set(Timer::WrapUp(AgentId(99)), seconds(9)), "have a reason"),
        ("a state that was not told", |r| agent_of(r, 14).pause = Some("tea".into()), "but should be"),
        ("a lost caller", |r| r.queues.values_mut().for_each(|q| q.line.clear()), "is not in the line"),
        ("a caller nobody looks for", |r| r.queues.values_mut().for_each(|q| q.classes.clear()), "seeks: false"),
        ("a forgotten agent", |r| r.queues.values_mut().for_each(|q| q.ready.clear()), "list of ready agents"),
        ("wrong staff", |r| r.queues.values_mut().for_each(|q| q.staff.clear()), "agents at work"),
        ("an eligible pair", |r| agent_of(r, 14).refused.clear(), "could take it"),
    ];
    let mut desk = Desk::new();
    // 11 writes up, 12 rings for 2, 14 is ready but has refused 3, which waits.
    desk.run("in 11; call 1 support; accept 1; finish 11 support; in 12; call 2 support");
    desk.run("in 14; call 3 support; decline 3");
    let sound = desk.router;
    for (name, plant, expect) in rows {
        let mut router = sound.clone();
        plant(&mut router);
        let broken = router.check().expect_err(name);
        assert!(broken.contains(expect), "{name}: {broken}");
    }
}

fn agent_of(router: &mut Router, id: u32) -> &mut Agent {
    router.agents.get_mut(&AgentId(id)).unwrap()
}

/// Trap 1 for offers that ring several agents, which the tables allow: one answers, the others stop.
#[test]
fn of_two_agents_rung_for_one_work_one_gets_it() {
    let mut desk = Desk::new();
    desk.run("in 11; call 1 support; in 12");
    let explanation = Explanation {
        chosen_by: ChosenBy::Arrival,
        selection: center::Selection::LongestIdle,
        relaxed: 0,
        ringing: 1,
        idle: Duration::ZERO,
        waited: Duration::ZERO,
        points: 0,
        others: 1,
        passed_over: Vec::new(),
    };
    let choice = matching::Choice { work: WorkId(1), agent: AgentId(12), explanation };
    for (end, expect) in [
        ("accept 2; accept 1", "ring2 1>12; talk 1>12 after 0; stop1 AcceptedElsewhere"),
        ("decline 1; accept 2", "ring2 1>12; talk 1>12 after 0"),
        ("leave 1", "ring2 1>12; stop1 WorkGone; stop2 WorkGone"),
    ] {
        let mut desk = Desk { router: desk.router.clone(), now: desk.now, outputs: Vec::new() };
        desk.router.offer(desk.now, choice.clone());
        desk.run(end);
        assert_eq!(desk.told(false), expect);
    }
}
