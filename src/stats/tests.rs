//! Numbers folded from events, against sums by hand.

use super::*;
use crate::center::{Agent, Limits, Membership, Queue, ShortCodes, WrapUp};
use crate::event::{AgentMode, Personal, PersonalKind, StepWay};
use crate::ids::{AgentId, FlowId, ReservationId};

fn center() -> Center {
    let seconds = Duration::from_secs;
    let id = QueueId::new("sales");
    let queue = Queue {
        id: id.clone(),
        ring_timeout: seconds(15),
        wrap_up: WrapUp::None,
        max_waiting: 10,
        max_wait: seconds(600),
        priority: 0,
        retry_same_agent: seconds(5),
        music: "music".into(),
        short_abandon: seconds(5),
        ..Queue::named(id.clone())
    };
    let agent = |n: u32| {
        let queues = [(id.clone(), Membership::default())].into();
        let (number, confirm, skills) = (None, false, BTreeMap::new());
        (AgentId(n), Agent { id: AgentId(n), user: n.to_string(), name: "Ada".into(), queues, skills, number, confirm })
    };
    Center {
        trunks: BTreeMap::new(),
        name: "demo".into(),
        domains: Vec::new(),
        time_zone: "UTC".into(),
        language: "en".into(),
        lines: BTreeMap::new(),
        queues: [(id.clone(), queue)].into(),
        leads: Default::default(),
        agents: [agent(1), agent(2)].into(),
        reasons: BTreeMap::new(),
        codes: ShortCodes {
            ready: "*1".into(),
            not_ready: "*2".into(),
            ready_sound: "ready".into(),
            not_ready_sound: "not-ready".into(),
            confirm_sound: String::new(),
        },
        limits: Limits { calls: 10, silence: seconds(60), drain: seconds(60), strangers: 1, strangers_per_address: 1 },
        hours: BTreeMap::new(),
        zones: BTreeMap::new(),
        banners: BTreeMap::new(),
    }
}

/// Calls that are played into the numbers, each with its own ids.
struct Play {
    stats: Stats,
    call: u64,
    at: i64,
    /// Of the last event.
    now: i64,
}

impl Play {
    fn new() -> Play {
        Play { stats: Stats::new(&center()), call: 0, at: 0, now: 0 }
    }

    fn event(&mut self, ms: i64, what: What) -> &mut Play {
        self.now = self.at + ms;
        self.stats.apply(&Event { seq: 1, at: Wall(self.at + ms), call: Some(CallId(self.call)), what });
        self
    }

    fn arrives(&mut self) -> &mut Play {
        self.call += 1;
        self.at += 1_000_000;
        let caller = Personal { kind: PersonalKind::Number, handle: 1, text: Some("+4930123456".into()) };
        let line = Some(LineId::new("support"));
        self.event(0, What::arrives(LegId(1), line, caller))
    }

    fn queued(&mut self, ms: i64, again: bool) -> &mut Play {
        let (work, queue) = (WorkId(self.call), QueueId::new("sales"));
        self.event(
            ms,
            What::Queued { work, queue, priority: 0, skills: BTreeMap::new(), again, served: Duration::ZERO },
        )
    }

    fn rings(&mut self, ms: i64) -> &mut Play {
        let (work, reservation) = (WorkId(self.call), ReservationId(self.call));
        self.event(ms, What::Delivered { work, reservation, agent: AgentId(1), leg: LegId(2), why: String::new() })
    }

    fn rang(&mut self, ms: i64, outcome: OfferOutcome) -> &mut Play {
        let (work, reservation) = (WorkId(self.call), ReservationId(self.call));
        self.event(ms, What::OfferEnded { work, reservation, agent: AgentId(1), outcome })
    }

    fn talks(&mut self, ms: i64, waited_ms: u64) -> &mut Play {
        self.talks_as_told(ms, waited_ms, None)
    }

    fn talks_as_told(&mut self, ms: i64, waited_ms: u64, told: Option<u64>) -> &mut Play {
        let told = told.map(Duration::from_secs);
        let (work, queue, waited) = (WorkId(self.call), QueueId::new("sales"), Duration::from_millis(waited_ms));
        self.event(ms, What::Established { work, queue, agent: AgentId(1), leg: LegId(2), waited, told })
    }

    fn gone(&mut self, ms: i64, cause: Cause) -> &mut Play {
        self.event(ms, What::ConnectionCleared { leg: LegId(1), party: Party::Caller, cause });
        self.event(ms + 700, What::CallEnded { cause, phase: Phase::Queued })
    }

    /// The value of the sample whose name and label values are `name{value,…}`; of a histogram's bucket, its count or
    /// its sum with `_bucket`, `_count` or `_sum` behind the name, and the bound as last label.
    fn value(&self, name: &str) -> f64 {
        let samples = self.stats.samples(Wall(self.now), true);
        let found: Vec<f64> =
            samples.iter().flat_map(spelled).filter(|(said, _)| said == name).map(|(_, n)| n).collect();
        let all = || samples.iter().flat_map(spelled).map(|(said, _)| said).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{name} in {:?}", all());
        found[0]
    }

    fn rows(&self, rows: &[(&str, f64)]) {
        rows.iter().for_each(|(name, expect)| assert_eq!(self.value(name), *expect, "{name}"));
        assert_eq!(self.stats.balance(), Ok(()));
    }
}

fn spelled(sample: &Sample) -> Vec<(String, f64)> {
    let name = sample.family.name.strip_prefix("tierline_").unwrap();
    let with = |suffix: &str, le: Option<String>| {
        let labels: Vec<String> = sample.labels.iter().cloned().chain(le).collect();
        format!("{name}{suffix}{{{}}}", labels.join(","))
    };
    match (&sample.value, sample.family.kind) {
        (Value::Spread { up_to, count, sum }, Kind::Histogram(bounds)) => {
            let buckets =
                bounds.iter().zip(up_to).map(|(bound, n)| (with("_bucket", Some(bound.to_string())), *n as f64));
            buckets.chain([(with("_count", None), *count as f64), (with("_sum", None), *sum)]).collect()
        }
        (Value::Number(value), _) => vec![(with("", None), *value)],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_moves_through_the_numbers() {
    let mut play = Play::new();
    let phase = |play: &mut Play, expect: &str| {
        for phase in ["arriving", "in_flow", "queued", "alerting", "connected"] {
            assert_eq!(play.value(&format!("calls{{{phase}}}")), f64::from(u8::from(phase == expect)), "{expect}");
        }
    };
    phase(play.arrives(), "arriving");
    phase(play.event(1, What::StepEntered { flow: FlowId::new("main"), step: "hello".into() }), "in_flow");
    phase(play.queued(2, false), "queued");
    assert_eq!(play.value("queue_waiting{sales}"), 1.0);
    phase(play.rings(3), "alerting");
    phase(play.rang(9, OfferOutcome::NoAnswer), "queued");
    phase(play.rings(10), "alerting");
    phase(play.rang(1002, OfferOutcome::Accepted).talks(1002, 1000), "connected");
    assert_eq!(play.value("queue_waiting{sales}"), 0.0);
    phase(play.gone(9002, Cause::CallerHungUp), "");
    assert_eq!(play.value("queue_talk_seconds_sum{sales}"), 8.0);
    assert_eq!(play.value("offers_total{no_answer}") + play.value("offers_total{accepted}"), 2.0);
    assert_eq!(play.value("calls_arrived_total{support}"), 1.0);
    assert_eq!(play.value("calls_ended_total{queued,caller_hung_up}"), 1.0);
}

#[test]
fn waits_are_counted_by_how_they_end() {
    let mut play = Play::new();
    play.arrives().queued(0, false).talks(20_000, 20_000).gone(60_000, Cause::CallerHungUp);
    play.arrives().queued(0, false).talks(20_001, 20_001).gone(60_001, Cause::AgentHungUp);
    play.arrives().queued(0, false).gone(4_999, Cause::CallerHungUp); // short
    play.arrives().queued(0, false).gone(5_000, Cause::CallerHungUp);
    play.arrives().queued(0, false).gone(90_001, Cause::Silent);
    play.arrives().queued(0, false).gone(10, Cause::Restart);
    let (work, queue) = (WorkId(7), QueueId::new("sales"));
    let diverted = What::Diverted { work, queue, why: DivertReason::MaxWait };
    play.arrives().queued(0, false).event(5, diverted).gone(10, Cause::CallerHungUp);
    // Answered, lost, waits again, gives up: was answered all the same.
    let lost = What::ConnectionCleared { leg: LegId(2), party: Party::Agent(AgentId(1)), cause: Cause::Silent };
    play.arrives().queued(0, false).talks(1000, 1000).event(3000, lost).queued(3000, true);
    play.gone(9000, Cause::CallerHungUp);
    play.rows(&[
        ("queue_offered_total{sales}", 8.0),
        ("queue_answered_total{sales}", 3.0),
        ("queue_answered_within_target_total{sales}", 2.0),
        ("queue_abandoned_total{sales}", 3.0),
        ("queue_abandoned_within_target_total{sales}", 2.0),
        ("queue_abandoned_short_total{sales}", 1.0),
        ("queue_lost_total{sales}", 1.0),
        ("queue_diverted_total{sales,max_wait}", 1.0),
        ("queue_diverted_total{sales,full}", 0.0),
        ("queue_requeued_total{sales}", 1.0),
        ("queue_waiting{sales}", 0.0),
        ("queue_talk_seconds_count{sales}", 3.0),
        ("queue_talk_seconds_sum{sales}", 82.0),
        ("queue_wait_seconds_bucket{sales,answered,20}", 2.0),
        ("queue_wait_seconds_bucket{sales,answered,30}", 3.0),
        ("queue_wait_seconds_bucket{sales,answered,7200}", 3.0),
        ("queue_wait_seconds_bucket{sales,abandoned,90}", 2.0),
        ("queue_wait_seconds_count{sales,abandoned}", 3.0),
        ("queue_wait_seconds_sum{sales,abandoned}", 100.0),
        ("queue_wait_seconds_sum{sales,diverted}", 0.005),
        ("queue_target_seconds{sales}", 20.0),
        ("queue_service_level_ratio{sales,A_T/(A+B-B_s)}", 2.0 / 5.0),
        ("queue_service_level_ratio{sales,A_T/A}", 2.0 / 3.0),
        ("queue_service_level_ratio{sales,(A_T+B_T)/(A+B)}", 4.0 / 6.0),
    ]);
}

#[test]
fn who_waits_is_counted_with_the_longest_wait() {
    let mut play = Play::new();
    play.arrives().queued(0, false);
    let first = play.at;
    play.arrives().queued(500, false);
    play.now = first + 1_030_000;
    play.rows(&[("queue_waiting{sales}", 2.0), ("queue_longest_wait_seconds{sales}", 1030.0)]);
}

/// An agent sends the caller on: he waits in another queue, and that wait is no longer than it is, however it ends.
#[test]
fn a_wait_after_an_agent_has_sent_the_caller_on_counts_for_itself() {
    let mut play = Play::new();
    // The router keeps his place by all of 102 seconds.
    play.arrives().queued(0, false).talks(100_000, 100_000);
    play.queued(130_000, false).talks(132_000, 102_000).gone(140_000, Cause::CallerHungUp);
    play.arrives().queued(0, false).talks(100_000, 100_000);
    play.queued(130_000, false).gone(132_000, Cause::CallerHungUp);
    play.rows(&[
        ("queue_offered_total{sales}", 4.0),
        ("queue_answered_total{sales}", 3.0),
        ("queue_answered_within_target_total{sales}", 1.0),
        ("queue_abandoned_within_target_total{sales}", 1.0),
        ("queue_wait_seconds_sum{sales,answered}", 202.0),
        ("queue_wait_seconds_sum{sales,abandoned}", 2.0),
    ]);
}

#[test]
fn a_call_keeps_its_agent_until_it_is_written_up() {
    let mut play = Play::new();
    let change = |from, to| What::AgentStateChanged { agent: AgentId(1), from, to, reason: "test".into() };
    use AgentMode::{Busy, Ready, Reserved, WrapUp};
    play.arrives().queued(0, false).event(1000, change(Reserved, Busy)).talks(1000, 1000);
    play.gone(61_000, Cause::CallerHungUp).event(61_000, change(Busy, WrapUp)).event(81_500, change(WrapUp, Ready));
    play.arrives().queued(0, false).talks(1000, 1000).event(1000, change(Reserved, Busy));
    play.gone(31_000, Cause::CallerHungUp).event(31_000, change(Busy, Ready));
    play.rows(&[
        ("queue_handle_seconds_count{sales}", 2.0),
        ("queue_handle_seconds_sum{sales}", 80.5 + 30.0),
        ("queue_wrap_up_seconds_count{sales}", 1.0),
        ("queue_wrap_up_seconds_sum{sales}", 20.5),
        ("agent_answered_total{1}", 2.0),
        ("agent_answered_total{2}", 0.0),
    ]);
}

#[test]
fn calls_leave_the_flow_that_they_entered_once() {
    let mut play = Play::new();
    let step = |flow: &str, step: &str| What::StepEntered { flow: FlowId::new(flow), step: step.into() };
    let decided = |way| What::StepDecided { flow: FlowId::new("main"), step: "ask".into(), way };
    play.arrives().event(1, step("main", "hello")).event(2, step("main", "menu"));
    let person = What::PersonAsked { flow: FlowId::new("main"), step: "menu".into() };
    play.event(3, person.clone())
        .event(3, person)
        .queued(4, false)
        .event(5, step("music", "wait"))
        .gone(9, Cause::CallerHungUp);
    play.arrives().event(1, step("main", "hello")).gone(9, Cause::FlowEnded);
    play.arrives().event(1, step("main", "hello")).event(2, step("desk", "hello")).gone(9, Cause::CallerHungUp);
    play.arrives().event(1, step("main", "hello")).event(2, decided(StepWay::Failed)).event(3, decided(StepWay::Open));
    play.rows(&[
        ("flow_entered_total{main}", 4.0),
        ("flow_left_total{main,queued}", 1.0),
        ("flow_left_total{main,contained}", 1.0),
        ("flow_left_total{main,other_flow}", 1.0),
        ("flow_left_total{main,hung_up}", 0.0),
        ("flow_left_total{desk,hung_up}", 1.0),
        ("flow_entered_total{music}", 0.0),
        ("flow_steps_total{music,wait}", 1.0),
        ("flow_steps_total{main,hello}", 4.0),
        ("flow_person_asked_total{main}", 1.0),
        ("flow_look_ups_total{main,failed}", 1.0),
        ("flow_look_ups_total{main,found}", 0.0),
    ]);
    assert_eq!(play.stats.flows.inside(&FlowId::new("main")), 1);
}

#[test]
fn agents_are_counted_by_state_from_the_start() {
    let mut play = Play::new();
    let change = |n, from, to| What::AgentStateChanged { agent: AgentId(n), from, to, reason: "test".into() };
    assert_eq!(play.value("agents{logged_out,none}"), 2.0);
    play.event(0, change(1, AgentMode::LoggedOut, AgentMode::Ready));
    assert_eq!((play.value("agents{logged_out,none}"), play.value("agents{ready,none}")), (1.0, 1.0));
    play.event(1, change(2, AgentMode::LoggedOut, AgentMode::NotReady));
    assert_eq!((play.value("agents{logged_out,none}"), play.value("agents{not_ready,other}")), (0.0, 1.0));
    play.rows(&[("queue_agents{sales,ready}", 1.0), ("queue_agents{sales,not_ready}", 1.0)]);
    let mut fewer = center();
    fewer.agents.remove(&AgentId(1));
    play.stats.configure(&fewer);
    assert_eq!(play.value("agents{ready,none}"), 0.0);
}

/// Who waits for an agent whom nothing reaches waits for nobody: he is not ready, whatever his state says. A phone of his
/// that does not answer says nothing of his other phone or his number.
#[test]
fn an_agent_whom_nothing_reaches_is_not_at_work() {
    let mut play = Play::new();
    let agent = AgentId(1);
    let state = |play: &mut Play, from, to| {
        play.event(0, What::AgentStateChanged { agent, from, to, reason: "test".into() });
    };
    let check = |play: &Play, expect: &str| {
        for state in ["not_ready", "ready", "busy", "unreachable"] {
            let label = format!("queue_agents{{sales,{state}}}");
            assert_eq!(play.value(&label), f64::from(u8::from(state == expect)), "{state}, expected {expect}");
        }
    };
    state(&mut play, AgentMode::LoggedOut, AgentMode::Ready);
    check(&play, "ready");
    play.event(1, What::PhoneReachable { agent, reachable: false });
    check(&play, "ready");
    play.event(1, What::AgentReachable { agent, reachable: false });
    check(&play, "unreachable");
    state(&mut play, AgentMode::Ready, AgentMode::NotReady); // his penalty
    check(&play, "not_ready");
    state(&mut play, AgentMode::NotReady, AgentMode::Ready);
    check(&play, "unreachable");
    play.event(2, What::AgentReachable { agent, reachable: true });
    check(&play, "ready");
    play.event(3, What::AgentReachable { agent, reachable: false });
    state(&mut play, AgentMode::Ready, AgentMode::Busy);
    check(&play, "busy"); // nobody else reaches him, but he talks
    state(&mut play, AgentMode::Busy, AgentMode::Ready);
    check(&play, "unreachable");
    let binding = Personal { kind: PersonalKind::Binding, handle: 9, text: None };
    play.event(4, What::PhoneRegistered { agent, binding });
    check(&play, "unreachable");
    state(&mut play, AgentMode::Ready, AgentMode::Busy);
    play.event(4, What::AgentReachable { agent, reachable: true });
    check(&play, "busy");
    play.event(5, What::AgentReachable { agent: AgentId(2), reachable: false });
    check(&play, "busy"); // the other one is logged out, and that first
    // Who comes back begins anew.
    play.event(6, What::AgentReachable { agent, reachable: false });
    state(&mut play, AgentMode::Busy, AgentMode::LoggedOut);
    state(&mut play, AgentMode::LoggedOut, AgentMode::Ready);
    check(&play, "ready");
}

/// Any text is a reason where none are configured; none of it becomes a label.
#[test]
fn breaks_are_counted_by_the_reasons_that_are_known() {
    let mut play = Play::new();
    let mut center = center();
    let lunch = crate::center::NotReadyReason { digit: None, productive: false };
    center.reasons.insert("lunch".into(), lunch);
    play.stats.configure(&center);
    play.event(0, What::EngineStarted { node: 0, epoch: 1, alive: None });
    let mut change = |ms, from, to, reason: &str| {
        _ = play.event(ms, What::AgentStateChanged { agent: AgentId(1), from, to, reason: reason.into() });
    };
    use AgentMode::{LoggedOut, NotReady, Ready};
    change(10_000, LoggedOut, NotReady, "lunch");
    change(40_000, NotReady, NotReady, "my mother calls");
    change(45_000, NotReady, Ready, "Asked");
    change(46_000, Ready, NotReady, "no answer");
    play.event(50_000, What::DrainStarted);
    play.rows(&[
        ("agents{not_ready,no answer}", 1.0),
        ("agents{not_ready,lunch}", 0.0),
        ("agents{logged_out,none}", 1.0),
        ("agents_state_seconds_total{logged_out,none}", 10.0 + 50.0),
        ("agents_state_seconds_total{not_ready,lunch}", 30.0),
        ("agents_state_seconds_total{not_ready,other}", 5.0),
        ("agents_state_seconds_total{not_ready,no answer}", 4.0),
        ("agents_state_seconds_total{ready,none}", 1.0),
        ("agent_state{1,not_ready}", 1.0),
        ("agent_state_seconds_total{1,not_ready}", 39.0),
        ("agent_state_seconds_total{2,logged_out}", 50.0),
    ]);
}

#[test]
fn calls_from_before_the_start_disturb_nothing() {
    let mut play = Play::new();
    play.queued(0, false).rings(1).talks(2, 2).gone(3, Cause::Restart);
    assert_eq!((play.value("queue_offered_total{sales}"), play.value("queue_lost_total{sales}")), (0.0, 0.0));
    assert_eq!(play.value("calls_ended_total{queued,restart}"), 1.0);
}

#[test]
fn no_label_names_a_person_or_a_call() {
    let mut play = Play::new();
    play.arrives().queued(0, false).rings(1);
    let text = format!("{:?}", play.stats.samples(Wall(0), true));
    assert!(!text.contains("4930123456") && !text.contains("Ada") && !text.contains("c0-0-"), "{text}");
}

/// What callers were told of their wait is held against what it became.
#[test]
fn a_wait_that_was_told_is_compared_with_the_real_one() {
    let mut play = Play::new();
    for (waited, told) in [(100, Some(120)), (121, Some(120)), (200, Some(120)), (50, None)] {
        play.arrives().queued(0, false);
        play.talks_as_told(1_000 * waited as i64, 1_000 * waited, told).gone(900_000, Cause::AgentHungUp);
    }
    let value = |name: &str| play.value(&format!("queue_told_wait_error_seconds_{name}"));
    assert_eq!((value("count{sales,shorter}"), value("sum{sales,shorter}")), (1.0, 20.0));
    assert_eq!((value("count{sales,longer}"), value("sum{sales,longer}")), (2.0, 81.0));
    assert_eq!((value("bucket{sales,longer,5}"), value("bucket{sales,longer,90}")), (1.0, 2.0));
}
