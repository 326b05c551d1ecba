//! Who comes in while there is no room, and when we are wrong about him.

use super::{Bench, authorization, call, invite, register};
use std::collections::BTreeSet;
use tierline::engine::Input;
use tierline::event::{AgentMode, What};
use tierline::media;
use tierline::sim::place;

const AGENT: &str = "sip:1001@192.0.2.1";

fn dial(id: &str, branch: u32, number: &str, proof: &str) -> String {
    invite(id, branch, AGENT, proof).replace("sip:100@", &format!("sip:{number}@"))
}

/// Dials a short code, with proof when asked for it; the last answer.
pub fn dials(bench: &mut Bench, id: &str, number: &str) -> String {
    bench.after(20).datagram(&dial(id, 1, number, ""));
    if !bench.sent.last().is_some_and(|sent| sent.starts_with("SIP/2.0 401")) {
        return bench.sent.last().cloned().unwrap_or_default();
    }
    let proof = authorization(bench);
    bench.after(20).datagram(&dial(id, 2, number, &proof));
    bench.sent.last().cloned().unwrap_or_default()
}

/// A house is full because agents are missing: who comes back from his break must be able to say so.
#[test]
fn an_agent_says_that_he_is_there_though_the_center_is_full_or_the_log_fails() {
    for fails in [false, true] {
        let mut configuration = place::configuration(1);
        configuration.center.limits.calls = if fails { 100 } else { 1 };
        let mut bench = Bench::of(configuration);
        bench.datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
        let proof = authorization(&bench);
        bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
        let port = call(&mut bench);
        bench.after(20).tell(super::Input::LogHealthy(!fails));
        let refused = dials(&mut bench, "line", "100");
        assert!(refused.starts_with("SIP/2.0 503"), "a call of his own finds no room: {refused}");
        let answered = dials(&mut bench, "break", place::NOT_READY);
        assert!(answered.starts_with("SIP/2.0 100"), "{answered}");
        super::open(&mut bench);
        let now = |bench: &Bench| {
            bench.events.iter().rev().find_map(|what| match what {
                What::BreakBegan { .. } => Some("break"),
                What::BreakEnded { .. } => Some("ready"),
                _ => None,
            })
        };
        assert_eq!(now(&bench), Some("break"), "{:#?}", bench.events);
        dials(&mut bench, "back", place::READY);
        assert_eq!(now(&bench), Some("ready"), "{:#?}", bench.events);
        let asks = media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event };
        bench.after(200).tell(super::Input::Media(asks));
        assert!(bench.count(|what| matches!(what, What::Queued { .. })) > 0, "{:#?}", bench.events);
    }
}

/// A panic while it is looked at who comes in, before there is a call that could be ended: he is told.
#[cfg(feature = "planted-bugs")]
#[test]
fn who_makes_us_fail_before_he_is_a_call_gets_an_answer() {
    let mut bench = Bench::new();
    bench.engine.plant(tierline::engine::Bug::PanicsAtTheDoor);
    for n in 0..12 {
        bench.after(500).datagram(&invite(&format!("c{n}"), 1, "sip:guest@192.0.2.9", ""));
    }
    let of = |sent: &String| sent.lines().find(|line| line.starts_with("Call-ID")).map(str::to_owned);
    let refused: BTreeSet<_> = bench.sent.iter().filter(|sent| sent.starts_with("SIP/2.0 500")).map(of).collect();
    let repaired = bench.count(|what| matches!(what, What::Repaired { .. }));
    let arrived = bench.count(|what| matches!(what, What::CallArrived { .. }));
    assert!(repaired > 0 && arrived > 0 && repaired + arrived == 12, "{repaired} panics, {arrived} calls");
    assert_eq!(refused.len(), repaired, "{:#?}", bench.sent);
    assert_eq!(bench.count(|what| matches!(what, What::AgentStateChanged { to: AgentMode::Busy, .. })), 0);
}

/// A start that has used up its numbers ends as a whole: inside a step it would end each call, and nobody would start it anew.
#[test]
fn an_engine_without_numbers_ends() {
    let with = |counter: &str, next: u32| {
        let mut bench = Bench::new();
        let mut state = serde_json::to_value(&bench.engine).unwrap();
        let place = state.pointer_mut(counter).unwrap_or_else(|| panic!("{counter} is no counter"));
        assert!(place.is_number(), "{counter}: {place}");
        *place = next.into();
        bench.engine = serde_json::from_value(state).unwrap();
        let step = || bench.after(20).tell(Input::Timeout);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).is_ok()
    };
    for counter in [
        "/ids/calls/next",
        "/ids/works/next",
        "/ids/handles/next",
        "/sip/leg_ids/next",
        "/router/reservations/ids/next",
    ] {
        assert!(with(counter, u32::MAX / 2), "{counter}");
        assert!(!with(counter, u32::MAX - 3), "{counter}");
    }
}
