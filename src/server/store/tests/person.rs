//! A person's texts are gone from every file, and nobody else's.

use super::erased::never_wait_for_readers;
use super::*;
use crate::event::{PersonalKind, TransferTo};
use crate::ids::FlowId;

const OTHER: &str = "sip:+4989765@example.org";

fn erase_person(dir: &Path, number: &str) -> Result<ErasedPerson> {
    Person::find(dir, number)?.erase()
}

/// Handles grow, as the engine's do.
fn caller_of(call: u64, text: &str) -> What {
    let caller = personal(PersonalKind::Number, call * 3, text);
    What::arrives(LegId(call), None, caller)
}

fn note(handle: u64, text: &str) -> What {
    let value = personal(PersonalKind::Text, handle, text);
    What::DataAttached { agent: crate::ids::AgentId(1001), name: "summary".into(), value }
}

fn notes(handle: u64, text: &str) -> What {
    let notes = Some(personal(PersonalKind::Text, handle, text));
    What::Disposed { agent: crate::ids::AgentId(1001), disposition: "solved".into(), notes }
}

/// Many calls of two people, in turn, with long and short texts; some of each person's still in the write-ahead log.
#[test]
fn what_is_kept_of_a_person_leaves_every_file_while_a_server_writes() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let mut seq = 0;
    for call in 1..=200u64 {
        let (who, mark) = if call % 2 == 0 { (OTHER, "kept") } else { ("sip:+4930123@example.org", "gone") };
        let long = format!("{mark}-notes-{}", "x".repeat((call * 7919 % 6000) as usize));
        let whats = [caller_of(call, who), note(call * 3 + 1, &format!("{mark}-summary")), notes(call * 3 + 2, &long)];
        for what in whats {
            seq += 1;
            store.append(vec![event(seq, call, what)]);
        }
        seq += 1;
        append(&store, &[ended(seq, call)]);
    }
    assert!(dir.hold("+4930123") && dir.hold("gone-summary") && dir.hold("gone-notes"), "the check would find them");
    let erased = erase_person(&dir.0, "+4930123").unwrap();
    assert_eq!(erased, ErasedPerson { calls: 100, texts: 300, running: 0 });
    assert!(!dir.hold("+4930123") && !dir.hold("gone-summary") && !dir.hold("gone-notes"), "a file still holds it");
    assert!(dir.hold(OTHER) && dir.hold("kept-summary") && dir.hold("kept-notes"));
    append(&store, &[event(seq + 1, 500, caller_of(500, OTHER)), ended(seq + 2, 500)]);
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    let mut events = reader.events(CallId(1)).unwrap();
    reader.join_texts(&mut events).unwrap();
    assert_eq!(events.len(), 4, "no event is gone");
    assert!(events.iter().all(|event| event.what.personal().is_none_or(|personal| personal.text.is_none())));
    assert_eq!(erase_person(&dir.0, "+4930123").unwrap(), ErasedPerson::default(), "nothing is left to erase");
}

#[test]
fn a_call_that_runs_is_left_and_told_and_a_reader_in_the_way_too() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    never_wait_for_readers(&store);
    append(&store, &[event(1, 1, caller_of(1, "tel:+4930123"))]);
    assert_eq!(erase_person(&dir.0, "+4930123").unwrap(), ErasedPerson { calls: 0, texts: 0, running: 1 });
    append(&store, &[ended(2, 1)]);
    assert_eq!(erase_person(&dir.0, "+4930123").unwrap(), ErasedPerson { calls: 1, texts: 1, running: 0 });
    assert!(!dir.hold("+4930123"));
    assert!(erase_person(&dir.0.join("nowhere"), "1").is_err());
}

/// A number that was keyed or sent on to in another person's call goes, and nothing else of that call does.
#[test]
fn where_the_number_stands_in_another_s_call_only_it_is_erased() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let number = "+49170555";
    let attached = |kind, handle| {
        let (flow, name) = (FlowId::new("main"), "callback".into());
        What::FlowAttached { flow, name, value: personal(kind, handle, number) }
    };
    let sent = |handle| {
        let to = TransferTo::Number(personal(PersonalKind::Number, handle, number));
        What::Transferred { agent: crate::ids::AgentId(1001), to }
    };
    let called = |handle| What::OutsideCalled { leg: LegId(9), number: personal(PersonalKind::Number, handle, number) };
    // As flows' notes are written now, and as they were once.
    let whats = [
        caller_of(1, OTHER),
        attached(PersonalKind::Text, 100),
        attached(PersonalKind::Digit, 101),
        note(102, "kept-summary"),
        sent(103),
        called(104),
        notes(105, "kept-notes"),
    ];
    for (what, seq) in whats.into_iter().zip(1..) {
        append(&store, &[event(seq, 1, what)]);
    }
    assert_eq!(erase_person(&dir.0, number).unwrap(), ErasedPerson { calls: 0, texts: 0, running: 1 }, "it runs");
    append(&store, &[ended(8, 1)]);
    assert!(dir.hold(number), "the check would find it");
    assert_eq!(erase_person(&dir.0, number).unwrap(), ErasedPerson { calls: 0, texts: 4, running: 0 });
    assert!(!dir.hold(number), "a file still holds it");
    for kept in [OTHER, "kept-summary", "kept-notes"] {
        assert!(dir.hold(kept), "{kept} is another's");
    }
}

/// What a flow or an agent has attached is no caller's number to the log, and the call that has it may run all the same: what
/// is still to be told of it is told.
#[test]
fn a_number_that_was_only_attached_stays_while_that_call_runs() {
    let number = "+49170555";
    let (flow, name) = (FlowId::new("main"), "callback".to_owned());
    let attached = What::FlowAttached { flow, name, value: personal(PersonalKind::Text, 100, number) };
    for what in [attached, note(100, number), notes(100, number)] {
        let dir = Dir::new();
        let Opened { store, .. } = open(&dir);
        append(&store, &[event(1, 1, caller_of(1, OTHER)), event(2, 1, what)]);
        assert_eq!(erase_person(&dir.0, number).unwrap(), ErasedPerson { calls: 0, texts: 0, running: 1 });
        append(&store, &[ended(3, 1)]);
        assert_eq!(erase_person(&dir.0, number).unwrap(), ErasedPerson { calls: 0, texts: 1, running: 0 });
    }
}

#[test]
fn a_key_alone_is_nobody_s_number() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let (flow, step) = (FlowId::new("main"), "menu".to_owned());
    let keyed = What::DigitKeyed { flow, step, digit: personal(PersonalKind::Digit, 100, "7") };
    append(&store, &[event(1, 1, caller_of(1, OTHER)), event(2, 1, keyed), ended(3, 1)]);
    assert_eq!(erase_person(&dir.0, "7").unwrap(), ErasedPerson::default());
}
