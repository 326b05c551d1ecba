//! What flows write down: keys of secrets never, attached values as long as was promised.

use super::{Bench, call};
use tierline::engine::Input;
use tierline::event::{PersonalKind, What};
use tierline::ids::{AgentId, FlowId};
use tierline::ivr::load::{Surroundings, load};
use tierline::media;
use tierline::sim::place;

/// A bench whose callers are led through this.
fn bench(steps: &str) -> Bench {
    let mut configuration = place::configuration(1);
    let around = Surroundings::of(&configuration.center);
    let text = format!("version = 1\nstart = \"a\"\n{steps}\n[step.z]\nhang_up = true\n");
    let read = load(FlowId::new("main"), "main.toml", &text, &around).unwrap_or_else(|wrong| panic!("{}", wrong[0]));
    configuration.flows.insert(FlowId::new("main"), read.flow);
    Bench::of(configuration)
}

/// Where a PIN enters it is masked: each of its keys, also the one that was pressed ahead, which begins it.
#[test]
fn no_key_of_a_secret_is_written_down() {
    let text = "{ text = \"x\", sound = \"menu\" }";
    let steps = format!(
        "[step.a]\nplay = {text}\nnext = \"pin\"\n\
         [step.pin]\ncollect = {text}\ninto = \"pin\"\nmin = 4\nmax = 4\nend = \"\"\n@next = \"more\"\notherwise = \"z\"\n\
         [step.more]\ncollect = {text}\ninto = \"more\"\nmin = 1\nmax = 1\nend = \"\"\nnext = \"z\"\notherwise = \"z\"\n"
    );
    for (secret, expect) in [("secret = true\n", "••••5"), ("", "12345")] {
        let mut bench = bench(&steps.replace('@', secret));
        let port = call(&mut bench);
        for digit in "12345".chars() {
            let key = media::Event::Digit { port, digit, duration_ms: 40, way: media::Way::Event };
            bench.after(400).tell(Input::Media(key));
        }
        let keyed = bench.events.iter().filter_map(|what| match what {
            What::DigitKeyed { digit, .. } => digit.text.as_deref(),
            _ => None,
        });
        assert_eq!(keyed.collect::<String>(), expect, "{:#?}", bench.events);
    }
}

/// Desktops attach up to 1,000 bytes, and so do flows, whatever they have looked up.
#[test]
fn what_a_flow_attaches_is_as_long_as_was_promised() {
    for (letter, times, kept) in [("x", 2_000, 1_000), ("ö", 2_000, 1_000), ("€", 600, 999), ("x", 7, 7)] {
        let long = letter.repeat(times);
        let mut bench =
            bench(&format!("[variables]\nlong = \"{long}\"\n[step.a]\nattach = {{ last = \"long\" }}\nnext = \"z\"\n"));
        call(&mut bench);
        let attached = bench.events.iter().find_map(|what| match what {
            What::FlowAttached { value, .. } => Some(value),
            _ => None,
        });
        let attached = attached.expect("a value");
        assert_eq!(attached.kind, PersonalKind::Text, "it is kept as long as what agents attach");
        let attached = attached.text.as_deref().expect("a text");
        assert!(attached.len() == kept && long.starts_with(attached), "{letter}: {}", attached.len());
    }
}

/// Flows that lead to each other may attach more names than whoever follows a call is promised: those that come last are left
/// out, a name that is known is not.
#[test]
fn a_call_keeps_64_names_whatever_its_flows_attach() {
    let names = |range: std::ops::Range<u32>| range.map(|n| format!("n{n} = \"line\"")).collect::<Vec<_>>().join(", ");
    let mut bench = bench(&format!(
        "[step.a]\nattach = {{ {} }}\nnext = \"b\"\n[step.b]\nattach = {{ {} }}\nnext = \"c\"\n\
         [step.c]\nattach = {{ n0 = \"line\" }}\nnext = \"z\"\n",
        names(0..40),
        names(40..70)
    ));
    call(&mut bench);
    let attached = bench.events.iter().filter_map(|what| match what {
        What::FlowAttached { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let expect: Vec<String> = (0..64).map(|n| format!("n{n}")).chain(["n0".to_owned()]).collect();
    let (mut attached, mut expect) = (attached.collect::<Vec<_>>(), expect);
    attached.sort_unstable();
    expect.sort_unstable();
    assert_eq!(attached, expect);
}

/// A key of the treatment leads to a step of the same queue: what it says of points and of the preferred agent counts, and
/// the caller keeps his place by them.
#[test]
fn a_step_of_the_queue_that_he_waits_in_gives_him_other_points_and_another_agent() {
    let mut bench = bench(
        "[step.a]\nqueue = \"support\"\npriority = 5\ntreatment = \"t\"\notherwise = \"z\"\n\
         [step.t]\nmusic = true\nkeys = { 1 = \"urgent\", 2 = \"any\", 3 = \"his\" }\nnext = \"t\"\n\
         [step.urgent]\nqueue = \"support\"\npriority = 20\ntreatment = \"t\"\notherwise = \"z\"\n\
         [step.any]\nqueue = \"support\"\ntreatment = \"t\"\notherwise = \"z\"\n\
         [step.his]\nqueue = \"support\"\npreferred = \"1001\"\ntreatment = \"t\"\notherwise = \"z\"\n",
    );
    let port = call(&mut bench);
    let place = |bench: &Bench| {
        bench.engine.calls().find_map(|call| call.seeking.as_ref()).expect("a caller who waits").place.clone()
    };
    let first = place(&bench);
    let agent = Some(AgentId(place::FIRST_AGENT));
    for (digit, expect) in [('2', (5, None)), ('1', (20, None)), ('3', (20, agent)), ('2', (20, agent))] {
        let key = media::Event::Digit { port, digit, duration_ms: 40, way: media::Way::Event };
        bench.after(400).tell(Input::Media(key));
        let now = place(&bench);
        assert_eq!((now.priority, now.preferred), expect, "{digit}");
        assert_eq!((now.work, now.arrived, now.since), (first.work, first.arrived, first.since), "{digit}");
        assert_eq!(bench.engine.router().position(now.work), Some(1));
    }
    assert_eq!(bench.count(|what| matches!(what, What::Queued { .. })), 1);
}
