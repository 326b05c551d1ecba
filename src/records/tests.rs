//! Calls folded from events, and drawn: literal expectations.

use super::*;
use crate::event::{AgentMode, Audio, NoChoice, PersonalKind};
use crate::ids::{FlowId, SkillId};

const CALLER: LegId = LegId(1);

/// Events of one call at the given milliseconds.
fn call(rows: Vec<(i64, What)>) -> Vec<Event> {
    let event = |(seq, (ms, what))| Event { seq: seq as u64, at: Wall(ms), call: Some(CallId(1)), what };
    rows.into_iter().enumerate().map(event).collect()
}

fn personal(kind: PersonalKind, text: Option<&str>) -> Personal {
    Personal { kind, handle: 5, text: text.map(Into::into) }
}

fn arrives(number: Option<&str>) -> What {
    let line = Some(LineId::new("support"));
    let caller = personal(PersonalKind::Number, number);
    What::arrives(CALLER, line, caller)
}

fn keyed(text: Option<&str>) -> What {
    What::DigitKeyed { flow: FlowId::new("main"), step: "menu".into(), digit: personal(PersonalKind::Digit, text) }
}

fn nothing_chosen(why: NoChoice, again: bool) -> What {
    What::NothingChosen { flow: FlowId::new("main"), step: "menu".into(), why, again }
}

fn queued(work: u64, again: bool) -> What {
    What::Queued {
        work: WorkId(work),
        queue: QueueId::new("sales"),
        priority: 0,
        skills: BTreeMap::new(),
        again,
        served: Duration::ZERO,
    }
}

/// As the router writes it.
const WHY: &str = "longest idle (93 s) of 2; waited 0 s";

fn rings(n: u64, agent: u32) -> What {
    let why = WHY.to_owned();
    What::Delivered { work: WorkId(1), reservation: ReservationId(n), agent: AgentId(agent), leg: LegId(10 + n), why }
}

fn rang(n: u64, agent: u32, outcome: OfferOutcome) -> What {
    What::OfferEnded { work: WorkId(1), reservation: ReservationId(n), agent: AgentId(agent), outcome }
}

fn talk(work: u64, n: u64, agent: u32, waited: u64) -> What {
    let (agent, leg, waited) = (AgentId(agent), LegId(10 + n), Duration::from_millis(waited));
    What::Established { work: WorkId(work), queue: QueueId::new("sales"), agent, leg, waited, told: None }
}

fn diverted(why: DivertReason) -> What {
    What::Diverted { work: WorkId(1), queue: QueueId::new("sales"), why }
}

fn caller_gone(cause: Cause) -> What {
    What::ConnectionCleared { leg: CALLER, party: Party::Caller, cause }
}

fn agent_gone(n: u64, agent: u32, cause: Cause) -> What {
    What::ConnectionCleared { leg: LegId(10 + n), party: Party::Agent(AgentId(agent)), cause }
}

fn ended(cause: Cause, phase: Phase) -> What {
    What::CallEnded { cause, phase }
}

/// A call that two agents were rung for and one took.
fn served(number: Option<&str>, key: Option<&str>) -> Vec<Event> {
    call(vec![
        (1000, arrives(number)),
        (1010, What::CallAnswered { leg: CALLER }),
        (1010, What::StepEntered { flow: FlowId::new("main"), step: "menu".into() }),
        (4000, keyed(key)),
        (4000, queued(1, false)),
        (4000, rings(1, 1003)),
        (19_000, rang(1, 1003, OfferOutcome::NoAnswer)),
        (19_000, rings(2, 1004)),
        (19_100, agent_gone(1, 1003, Cause::NoAnswer)),
        (22_000, rang(2, 1004, OfferOutcome::Accepted)),
        (22_000, talk(1, 2, 1004, 18_000)),
        (
            22_000,
            What::LegConfirmed {
                leg: LegId(12),
                party: Party::Agent(AgentId(1004)),
                dialog: personal(PersonalKind::Dialog, None),
            },
        ),
        (30_000, What::Held { leg: LegId(12) }),
        (32_000, What::Retrieved { leg: LegId(12) }),
        (61_000, caller_gone(Cause::CallerHungUp)),
        (61_200, agent_gone(2, 1004, Cause::CallerHungUp)),
        (61_200, ended(Cause::CallerHungUp, Phase::Connected)),
    ])
}

#[test]
fn a_served_call_has_one_segment_and_two_offers() {
    let record = record_of(&served(None, None)).unwrap();
    assert_eq!((record.arrived, record.answered, record.ended), (Wall(1000), Some(Wall(1010)), Some(Wall(61_200))));
    assert_eq!((record.outcome(), record.phase), (Outcome::Served, Some(Phase::Connected)));
    let talk = record.segments[0].talk;
    assert_eq!((record.waited(), talk), (Duration::from_secs(18), Some(Duration::from_secs(39))));
    let parts = parts_of(&served(None, None));
    assert_eq!(time_of(&parts, LegId(12)), [Duration::from_millis(37_200), Duration::from_secs(2)]);
    let offers: Vec<_> = record.offers.iter().map(|o| (o.agent.0, o.rang.as_secs(), o.outcome.unwrap())).collect();
    assert_eq!(offers, [(1003, 15, OfferOutcome::NoAnswer), (1004, 3, OfferOutcome::Accepted)]);
    let segment = &record.segments[0];
    assert_eq!((segment.agent, segment.wait, record.segments.len()), (Some(AgentId(1004)), Wait::Answered, 1));
}

#[test]
fn what_became_of_the_call_and_of_its_waits() {
    use Cause::{AgentHungUp, CallerHungUp, Commanded, Defect, FlowEnded, Protocol, Restart};
    // (what happened after the arrival, outcome, (waited, talk) of each segment in ms)
    let check = |rows: Vec<(i64, What)>, outcome, segments: &[(u64, Option<u64>)]| {
        let rows = std::iter::once((0, arrives(None))).chain(rows).collect();
        let record = record_of(&call(rows)).unwrap();
        assert_eq!(record.outcome(), outcome, "{record:#?}");
        let ms = |d: Duration| d.as_millis() as u64;
        let found: Vec<_> = record.segments.iter().map(|s| (ms(s.waited), s.talk.map(ms))).collect();
        assert_eq!(found, segments, "{record:#?}");
    };
    let end = |ms, cause| [(ms, caller_gone(cause)), (ms + 500, ended(cause, Phase::InFlow))];
    let with = |rows: Vec<(i64, What)>, end: [(i64, What); 2]| rows.into_iter().chain(end).collect();
    check(vec![], Outcome::Running, &[]);
    check(vec![(5, queued(1, false))], Outcome::Running, &[(0, None)]);
    check(vec![(5, queued(1, false)), (9, talk(1, 1, 7, 4))], Outcome::Running, &[(4, None)]);
    check(end(9, CallerHungUp).to_vec(), Outcome::LeftFlow, &[]);
    check(end(9, FlowEnded).to_vec(), Outcome::FlowEnded, &[]);
    check(end(9, Defect).to_vec(), Outcome::Failed, &[]);
    // A caller whose phone is gone is one who is gone, as in the tables and the numbers.
    check(end(9, Protocol).to_vec(), Outcome::LeftFlow, &[]);
    check(with(vec![(10, queued(1, false))], end(90, Protocol)), Outcome::Abandoned, &[(80, None)]);
    // The wait is over when the caller leaves, not when the last ringing phone has been stopped.
    check(with(vec![(10, queued(1, false))], end(90, CallerHungUp)), Outcome::Abandoned, &[(80, None)]);
    check(with(vec![(10, queued(1, false))], end(90, Restart)), Outcome::Failed, &[(80, None)]);
    check(
        with(vec![(10, queued(1, false)), (40, diverted(DivertReason::MaxWait))], end(90, FlowEnded)),
        Outcome::FlowEnded,
        &[(30, None)],
    );
    // The agent's phone is lost: talk ends with its leg; the caller waits again and is served again.
    let lost = vec![
        (10, queued(1, false)),
        (20, talk(1, 1, 7, 10)),
        (50, agent_gone(1, 7, Cause::Silent)),
        (60, queued(1, true)),
    ];
    check(with(lost.clone(), end(90, CallerHungUp)), Outcome::Abandoned, &[(10, Some(30)), (30, None)]);
    let again = [lost, vec![(80, talk(1, 2, 8, 20))]].concat();
    check(with(again, end(90, AgentHungUp)), Outcome::Served, &[(10, Some(30)), (20, Some(10))]);
    // An agent sends him on: the router keeps his place by both waits, each row has its own.
    let on = |rest: Vec<(i64, What)>| {
        [
            vec![
                (10, queued(1, false)),
                (40, talk(1, 1, 7, 30)),
                (70, agent_gone(1, 7, Cause::AgentHungUp)),
                (70, queued(2, false)),
            ],
            rest,
        ]
        .concat()
    };
    check(
        with(on(vec![(75, talk(2, 2, 8, 35))]), end(90, CallerHungUp)),
        Outcome::Served,
        &[(30, Some(30)), (5, Some(15))],
    );
    check(with(on(vec![]), end(75, CallerHungUp)), Outcome::Abandoned, &[(30, Some(30)), (5, None)]);
    // A clock set back makes no negative times.
    check(with(vec![(50, queued(1, false))], end(20, Commanded)), Outcome::Failed, &[(0, None)]);
}

#[test]
fn a_fold_may_begin_anywhere() {
    let events = served(None, None);
    assert_eq!(record_of(&events[1..]), None);
    let mut calls = Calls::default();
    assert!(events[..5].iter().all(|event| calls.apply(event).is_none()));
    assert_eq!(calls.running().count(), 1);
    assert!(events[5..].iter().any(|event| calls.apply(event).is_some()));
    assert_eq!(calls.running().count(), 0);
}

#[test]
fn intervals_of_an_agent_add_up() {
    use AgentMode::{Busy, LoggedOut, Ready, Reserved, WrapUp};
    let mut agents = Agents::default();
    let mut apply = |ms, from, to| {
        let what = What::AgentStateChanged { agent: AgentId(7), from, to, reason: "test".into() };
        agents.apply(&Event { seq: 1, at: Wall(ms), call: None, what })
    };
    assert_eq!(apply(100, LoggedOut, Ready), None);
    let rows = [(150, Ready, Reserved), (170, Reserved, Busy), (160, Busy, WrapUp), (400, WrapUp, Ready)];
    let lengths: Vec<_> = rows.map(|(ms, from, to)| apply(ms, from, to).unwrap().length().as_millis()).to_vec();
    assert_eq!(lengths, [50, 20, 0, 230], "one interval where the clock went back is empty, none is negative");
    assert_eq!(agents.misfits(), 0);
    let open: Vec<_> = agents.open(Wall(1000)).collect();
    assert_eq!((open.len(), open[0].mode, open[0].length().as_millis()), (1, Ready, 600));
    let odd = What::AgentStateChanged { agent: AgentId(7), from: Busy, to: Ready, reason: "test".into() };
    agents.apply(&Event { seq: 1, at: Wall(1100), call: None, what: odd });
    assert_eq!(agents.misfits(), 1);
}

fn drawn(events: &[Event], expect: &str) {
    let drawing = ladder_of(events);
    assert_eq!(drawing, expect.strip_prefix('\n').unwrap_or(expect), "\n{drawing}");
}

#[test]
fn a_served_call_as_a_ladder() {
    drawn(
        &served(Some("+4930123456"), Some("1")),
        "
         Caller                 Tierline                              Agent 1003  Agent 1004
            │                       │                                      │           │
  0.000     │── INVITE to support ─▶│                                      │           │
            │ from +4930123456      │                                      │           │
  0.010     │◀──────── 200 ─────────│                                      │           │
            │                       │ step menu                            │           │
  3.000     │──────── key 1 ───────▶│                                      │           │
            │                       │ waits in queue sales                 │           │
            │                       │─────────────── INVITE ──────────────▶│           │
            │                       │ longest idle (93 s) of 2; waited 0 s │           │
 18.000     │                       │───────── CANCEL (no answer) ────────▶│           │
            │                       │───────────────────── INVITE ─────────┼──────────▶│
            │                       │ longest idle (93 s) of 2; waited 0 s │           │
 21.000     │                       │◀───────────────────── 200 ───────────┼───────────│
            │                       │ talk with agent 1004 (waited 18.0 s) │           │
            │                       │ audio: passed to each other          │           │
 29.000     │                       │◀───────────────────── hold ──────────┼───────────│
            │                       │ audio: the other one hears music     │           │
 31.000     │                       │◀──────────────────── resume ─────────┼───────────│
            │                       │ audio: passed to each other          │           │
 60.000     │───────── BYE ────────▶│                                      │           │
 60.200     │                       │────────────── BYE (caller hung up) ──┼──────────▶│
            │                       │ ended: caller hung up (Connected)    │           │
",
    );
}

/// How each was heard is told after the end, when the ports are closed; one that is closed earlier stands where it was.
#[test]
fn a_ladder_says_how_each_party_was_heard() {
    let heard = |leg: u64, party, packets_in, packets_out, lost| {
        let audio = Audio {
            codec: "PCMU".to_owned(),
            packets_in,
            packets_out,
            lost,
            jitter_ms: 4,
            round_trip_us: (packets_in > 0).then_some(21_400),
            ..Audio::default()
        };
        What::LegHeard { leg: LegId(leg), party, audio }
    };
    let mut events = served(None, None);
    events.extend(call(vec![
        (61_202, heard(1, Party::Caller, 1_204, 1_210, 4)),
        (61_203, heard(12, Party::Agent(AgentId(1004)), 0, 1_150, 0)),
    ]));
    let drawing = ladder_of(&events);
    for part in
        ["\n 60.202     │ heard 1,204 packets of PCMU, 0.3 % lost,  │", "│ one-way audio: heard nothing; sent 1,150\n"]
    {
        assert!(drawing.contains(part), "{drawing}");
    }
    // The fold has ended the call before, and makes nothing of it.
    let (mut fold, mut rows) = (Fold::default(), Vec::new());
    events[..events.len() - 2].iter().for_each(|event| fold.apply(event, &mut rows));
    let (before, count) = (fold.calls().count(), rows.len());
    events[events.len() - 2..].iter().for_each(|event| fold.apply(event, &mut rows));
    assert_eq!((fold.calls().count(), rows.len()), (before, count));
    assert_eq!(record_of(&events), record_of(&served(None, None)));
}

#[test]
fn personal_texts_are_masked_where_the_reader_has_none() {
    let drawing = ladder_of(&served(None, None));
    assert!(
        drawing.contains("key •") && drawing.contains("INVITE to support") && !drawing.contains("from"),
        "{drawing}"
    );
    assert_eq!(ladder_of(&[]), "");
}

#[test]
fn who_waits_for_somebody_with_skills_is_drawn_with_them() {
    let skilled = |again| {
        let skills = [("network", 3), ("french", 2)].map(|(skill, level)| (SkillId::new(skill), level));
        let (work, queue) = (WorkId(1), QueueId::new("sales"));
        What::Queued { work, queue, priority: 0, skills: BTreeMap::from(skills), again, served: Duration::ZERO }
    };
    drawn(
        &call(vec![(0, arrives(None)), (10, skilled(false)), (20, skilled(true))]),
        "
         Caller                 Tierline
            │                       │
  0.000     │── INVITE to support ─▶│
  0.010     │                       │ waits in queue sales for french 2, network 3
  0.020     │                       │ waits in queue sales for french 2, network 3
            │                       │ again
",
    );
}

#[test]
fn each_kind_of_end_is_drawn_as_its_message() {
    drawn(
        &call(vec![
            (0, arrives(None)),
            (10, queued(1, false)),
            (20, rings(1, 7)),
            (30, rang(1, 7, OfferOutcome::Declined)),
            (31, rings(2, 8)),
            (32, rang(2, 8, OfferOutcome::Unreachable)),
            (40, rings(3, 7)),
            (50, caller_gone(Cause::CallerHungUp)),
            (51, rang(3, 7, OfferOutcome::CallerLeft)),
            (60, agent_gone(3, 7, Cause::Withdrawn)),
            (60, ended(Cause::CallerHungUp, Phase::Alerting)),
        ]),
        "
         Caller                 Tierline                                Agent 7   Agent 8
            │                       │                                      │         │
  0.000     │── INVITE to support ─▶│                                      │         │
  0.010     │                       │ waits in queue sales                 │         │
  0.020     │                       │─────────────── INVITE ──────────────▶│         │
            │                       │ longest idle (93 s) of 2; waited 0 s │         │
  0.030     │                       │◀───────────── declines ──────────────│         │
  0.031     │                       │──────────────────── INVITE ──────────┼────────▶│
            │                       │ longest idle (93 s) of 2; waited 0 s │         │
  0.032     │                       │                                      │         │ not reachable
  0.040     │                       │─────────────── INVITE ──────────────▶│         │
            │                       │ longest idle (93 s) of 2; waited 0 s │         │
  0.050     │─────── CANCEL ───────▶│                                      │         │
  0.051     │                       │──────── CANCEL (caller left) ───────▶│         │
  0.060     │                       │ ended: caller hung up (Alerting)     │         │
",
    );
    drawn(
        &call(vec![
            (0, arrives(None)),
            (1, What::CallAnswered { leg: CALLER }),
            (2, keyed(None)),
            (2, nothing_chosen(NoChoice::WrongKey, true)),
            (2, nothing_chosen(NoChoice::NoKey, false)),
            (2, queued(1, false)),
            (3, diverted(DivertReason::Full)),
            (4, What::Repaired { what: "router rebuilt".into() }),
            (5, caller_gone(Cause::FlowEnded)),
            (5, ended(Cause::FlowEnded, Phase::InFlow)),
        ]),
        "
         Caller                     Tierline
            │                           │
  0.000     │──── INVITE to support ───▶│
  0.001     │◀────────── 200 ───────────│
  0.002     │────────── key • ─────────▶│
            │                           │ not what was asked for: asked again
            │                           │ no key: goes on otherwise
            │                           │ waits in queue sales
  0.003     │                           │ leaves queue sales (Full)
  0.004     │                           │ repaired: router rebuilt
  0.005     │◀─ BYE (end of the flow) ──│
            │                           │ ended: end of the flow (InFlow)
",
    );
}
