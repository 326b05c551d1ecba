//! Whose turn it is outlives the engine.

use super::{Bench, MS, authorization, call, register};
use std::collections::BTreeMap;
use std::time::Duration;
use tierline::center::WrapUp;
use tierline::command::{Actor, Ask, Command};
use tierline::engine::Input;
use tierline::event::{AgentMode, Event, What};
use tierline::ids::{AgentId, CallId, QueueId};
use tierline::log::{OpenChange, open_changes};
use tierline::media;
use tierline::sim::{ENGINE, place};
use tierline::sip::Listener;
use tierline::time::Wall;

fn start() -> Bench {
    Bench::unopened(place::configuration(3), vec![Listener::udp(ENGINE)])
}

/// What a start after `bench` is told.
fn left_open(bench: &Bench) -> Vec<(Event, Option<String>)> {
    let mut open = BTreeMap::new();
    for (seq, what) in (1..).zip(&bench.events) {
        let event = Event { seq, at: Wall(0), call: Some(CallId(9)), what: what.clone() };
        for change in open_changes(&event) {
            match change {
                OpenChange::Open(key) => _ = open.insert(key, event.clone()),
                OpenChange::Close(key) => _ = open.remove(&key),
            }
        }
    }
    let text = |event: &Event| event.what.personal().and_then(|personal| personal.text.as_deref().map(str::to_owned));
    open.into_values().map(|event| (event.clone(), text(&event))).collect()
}

fn signs_in(bench: &mut Bench, agent: &str, number: u32) {
    let as_agent = |text: String| text.replace("1001", agent).replace("r@192", &format!("r{agent}@192"));
    let contact = format!("sip:{agent}@192.0.2.9:5062");
    bench.after(20).datagram(&as_agent(register(number, &contact, "")));
    let proof = as_agent(authorization(bench));
    bench.after(20).datagram(&as_agent(register(number + 1, &contact, &proof)));
}

/// The agent who is held for the next caller.
fn next(bench: &mut Bench) -> AgentId {
    let port = call(bench);
    let digit = Input::Media(media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event });
    bench.after(200).tell(digit);
    let held = bench.events.iter().rev().find_map(|what| match what {
        What::AgentStateChanged { agent, to: AgentMode::Reserved, .. } => Some(*agent),
        _ => None,
    });
    held.unwrap_or_else(|| panic!("nobody: {:#?}", bench.events))
}

/// Nobody waits for a phone that is known to answer nothing, whoever remembers it.
#[test]
fn a_phone_that_answered_nothing_is_not_rung_after_a_kill() {
    let mut bench = start();
    bench.tell(Input::Restored(Vec::new()));
    for (number, agent) in (0..).zip(["1001", "1002"]) {
        signs_in(&mut bench, agent, 10 * number + 1);
    }
    // Both are asked by OPTIONS; the second one answers.
    let silent = |what: &What| matches!(what, What::PhoneReachable { agent: AgentId(1001), reachable: false });
    for _ in 0..2_000 {
        bench.after(100).tell(Input::Timeout);
        let asked: Vec<String> = bench.sent.drain(..).filter(|sent| sent.starts_with("OPTIONS sip:1002")).collect();
        asked.iter().for_each(|request| bench.datagram(&ok(request)));
        if bench.count(silent) > 0 {
            break;
        }
    }
    for _ in 0..2 {
        let open = left_open(&bench);
        bench = start();
        bench.tell(Input::Restored(open));
        assert_eq!(bench.count(silent), 1, "{:#?}", bench.events);
    }
    assert_eq!(next(&mut bench), AgentId(1002));
}

/// A phone's answer.
fn ok(request: &str) -> String {
    let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let fields = request.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
    let fields: String = fields.map(|line| format!("{line}\n")).collect();
    format!("SIP/2.0 200 OK\n{fields}Content-Length: 0\n\n")
}

/// Twice: the second start knows it from what the first one wrote.
#[test]
fn who_was_idle_longest_is_so_after_a_kill_and_another_one() {
    let start =
        || Bench::unopened(place::configuration(3), Vec::from([tierline::sip::Listener::udp(tierline::sim::ENGINE)]));
    let mut bench = start();
    bench.tell(Input::Restored(Vec::new()));
    for (number, agent) in (0..).zip(["1003", "1002", "1001"]) {
        signs_in(&mut bench, agent, 10 * number + 1);
    }
    for kill in 1..=2 {
        let open = left_open(&bench);
        bench = start();
        bench.tell(Input::Restored(open));
        assert_eq!(bench.count(|what| matches!(what, What::AgentStateChanged { to: AgentMode::Ready, .. })), 3);
        assert!(bench.now.0 < Duration::from_secs(1).as_nanos() as u64 && bench.now.0 >= MS, "a clock of its own");
        if kill == 2 {
            assert_eq!(next(&mut bench), AgentId(1003));
        }
    }
}

/// An agent whom a kill met in a talk, and whose phone is not known any more: his notes wait for him, and not for a call of
/// another day.
#[test]
fn notes_of_a_call_that_a_kill_ended_wait_for_who_signs_in_later() {
    let mut bench = start();
    let (call, work, queue) = (CallId(9), tierline::ids::WorkId(9), QueueId::new("support"));
    let (agent, leg) = (AgentId(1001), tierline::ids::LegId(9));
    let what = What::Established { work, queue, agent, leg, waited: Duration::ZERO, told: None };
    let talked = Event { seq: 1, at: Wall(0), call: Some(call), what };
    bench.tell(Input::Restored(vec![(talked, None)]));
    // Somebody waits: he would be rung at once.
    let port = super::call(&mut bench);
    let digit = Input::Media(media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event });
    bench.after(200).tell(digit);
    signs_in(&mut bench, "1001", 1);
    let modes = |bench: &Bench| {
        let to = |what: &What| match what {
            What::AgentStateChanged { to, .. } => Some(*to),
            _ => None,
        };
        bench.events.iter().filter_map(to).collect::<Vec<_>>()
    };
    assert_eq!(modes(&bench), [AgentMode::WrapUp], "{:#?}", bench.events);
    bench.after(60_000).tell(Input::Timeout);
    assert_eq!(modes(&bench)[..3], [AgentMode::WrapUp, AgentMode::Ready, AgentMode::Reserved]);
    // Whoever has written them owes none to the next start.
    let open = left_open(&bench);
    assert!(!open.iter().any(|(event, _)| matches!(event.what, What::Established { .. })));
}

/// His desktop is lost, and he says at his phone that he works: the desktop that is back after a kill is one whose loss counts
/// again, though nobody logs in anew.
#[test]
fn a_desktop_that_was_left_for_the_phone_is_back_after_a_kill() {
    let mut bench = start();
    bench.tell(Input::Restored(Vec::new()));
    signs_in(&mut bench, "1001", 1);
    let agent = AgentId(1001);
    let asks =
        |bench: &mut Bench, actor, ask| bench.after(20).tell(Input::Command { id: 1, command: Command { actor, ask } });
    asks(&mut bench, Actor::Agent(agent), Ask::LogIn { agent });
    asks(&mut bench, Actor::Operator, Ask::DeskLost { agent });
    super::door::dials(&mut bench, "code", place::READY);
    let lost = |what: &What| matches!(what, What::BreakBegan { reason, .. } if reason == "desktop lost");
    assert_eq!(bench.count(lost), 1);
    let open = left_open(&bench);
    for back in [false, true] {
        bench = start();
        bench.tell(Input::Restored(open.clone()));
        if back {
            asks(&mut bench, Actor::Operator, Ask::DeskBack { agent });
        }
        asks(&mut bench, Actor::Operator, Ask::DeskLost { agent });
        assert_eq!(bench.count(lost), usize::from(back), "{:#?}", bench.events);
    }
}

/// Notes that must be written wait for a phone that is gone for a while, over a kill; what was coded meanwhile is done.
#[test]
fn notes_that_are_owed_outlive_a_phone_that_is_gone_and_a_kill() {
    for (coded, after) in [(false, AgentMode::WrapUp), (true, AgentMode::Ready)] {
        let mut bench = super::coded::bench(WrapUp::Mandatory);
        let bye = super::coded::talk(&mut bench);
        bench.after(200).datagram(&bye);
        let leaves = |number, proof: &str| register(number, "*", proof).replace("<*>", "*").replace(": 600", ": 0");
        bench.after(200).datagram(&leaves(5, ""));
        let proof = authorization(&bench);
        bench.after(20).datagram(&leaves(6, &proof));
        if coded {
            super::coded::codes(&mut bench);
        }
        assert_eq!(super::coded::mode(&bench), Some(AgentMode::LoggedOut), "{:#?}", bench.events);
        let open = left_open(&bench);
        let mut configuration = place::configuration(3);
        configuration.center.queues.get_mut(&QueueId::new("support")).expect("a queue").wrap_up = WrapUp::Mandatory;
        bench = Bench::unopened(configuration, vec![Listener::udp(ENGINE)]);
        bench.tell(Input::Restored(open));
        signs_in(&mut bench, "1001", 1);
        assert_eq!(super::coded::mode(&bench), Some(after), "coded: {coded}");
    }
}
