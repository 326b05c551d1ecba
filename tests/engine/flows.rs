//! What flows write down: keys of secrets never, attached values as long as was promised.

use super::{Bench, call};
use tierline::engine::Input;
use tierline::event::{PersonalKind, What};
use tierline::ids::FlowId;
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
