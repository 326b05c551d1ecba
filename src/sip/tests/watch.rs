//! Peers that hold are asked whether they are there.

use super::answers::{establish, reply, within};
use super::*;
use crate::sip::header::Name;

fn watch(raw: &mut Raw, leg: LegId, on: bool) {
    assert_eq!(raw.input(Input::Command(Command::Watch { leg, on })), []);
}

fn asked(raw: &mut Raw, seconds: u64) -> Vec<Request> {
    let outputs = raw.run(seconds * 1_000);
    requests(&outputs)
}

/// Those that tell how a leg ended.
fn ends(outputs: &[Output]) -> Vec<EndCause> {
    let end = |output: &Output| match output {
        Output::Event(Event::Ended { why, .. }) => Some(*why),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

/// Whatever is answered, the peer is there; unless it says that there is no such dialog.
#[test]
fn any_answer_but_that_there_is_no_dialog_will_do() {
    let statuses = [(200, true), (405, true), (486, true), (500, true), (404, false), (408, false), (481, false)];
    for (allow, method) in [("", "OPTIONS"), ("Allow: INVITE, UPDATE\n", "UPDATE")] {
        for (status, lives) in statuses {
            let mut raw = Raw::new(config(HERE));
            let (leg, tag) = establish(&mut raw, allow);
            watch(&mut raw, leg, true);
            assert_eq!(asked(&mut raw, 29), []);
            let first = asked(&mut raw, 2).remove(0);
            let (to, cseq) = (first.headers.to_tag(), first.headers.cseq().unwrap().number);
            assert_eq!((first.method.as_str(), to, first.body.len()), (method, Some("b1"), 0));
            let outputs = reply(&mut raw, &first, status, "b1");
            let gone = [EndCause::DialogGone];
            assert_eq!(ends(&outputs), if lives { &gone[..0] } else { &gone }, "{method} {status}");
            if lives {
                // A phone that takes no UPDATE after all is asked in the other way.
                let method = if status == 405 { "OPTIONS" } else { method };
                let second = asked(&mut raw, 31).remove(0);
                assert_eq!((second.method.as_str(), second.headers.cseq().unwrap().number), (method, cseq + 1));
                let over = raw.send(&within(&tag, "BYE", 2, "z"));
                assert_eq!(ends(&over), [EndCause::Bye]);
            }
            let sent = asked(&mut raw, 300);
            assert!(sent.iter().all(|request| request.method != Method::Invite), "{sent:?}");
            assert_eq!(raw.endpoint.pending(), None, "{method} {status}");
        }
    }
}

/// Who says nothing for 64·T1 is gone, and so is who cannot be reached for so long: a connection may come back.
#[test]
fn who_cannot_be_heard_is_gone() {
    for fails in [false, true] {
        let mut raw = Raw::new(config(HERE));
        let (leg, _) = establish(&mut raw, "");
        watch(&mut raw, leg, true);
        assert_eq!(asked(&mut raw, 31).len(), 2, "one OPTIONS, sent again once");
        let (begin, flow) = (raw.now, Flow::udp(0, THERE.parse().unwrap()));
        let mut ended = Vec::new();
        for _ in 0..500 {
            if fails {
                ended.extend(ends(&raw.input(Input::TransportFailed { flow })));
            }
            ended.extend(ends(&raw.run(100)));
            if !ended.is_empty() {
                break;
            }
        }
        let after = raw.now.since(begin).as_secs();
        assert!(ended == [EndCause::DialogGone] && (30..38).contains(&after), "{fails}: {ended:?} after {after} s");
    }
    // Reached again in between.
    let mut raw = Raw::new(config(HERE));
    let (leg, _) = establish(&mut raw, "");
    watch(&mut raw, leg, true);
    for _ in 0..20 {
        raw.run(29_000);
        raw.input(Input::TransportFailed { flow: Flow::udp(0, THERE.parse().unwrap()) });
        let question = asked(&mut raw, 6).pop().expect("a question");
        assert_eq!(ends(&reply(&mut raw, &question, 200, "b1")), []);
    }
}

#[test]
fn who_holds_no_longer_is_not_asked() {
    let mut raw = Raw::new(config(HERE));
    let (leg, _) = establish(&mut raw, "");
    for _ in 0..3 {
        watch(&mut raw, leg, true);
        watch(&mut raw, leg, true);
        assert_eq!(asked(&mut raw, 29), []);
        watch(&mut raw, leg, false);
        assert_eq!(asked(&mut raw, 100), []);
    }
    // The period is that of the phones that are asked outside of calls, if they are.
    let mut raw = Raw::new(Config { keepalive: Some(Duration::from_secs(7)), ..config(HERE) });
    let (leg, _) = establish(&mut raw, "");
    watch(&mut raw, leg, true);
    assert_eq!(asked(&mut raw, 6), []);
    let question = asked(&mut raw, 2).remove(0);
    assert!(question.headers.get(&Name::SessionExpires).is_none(), "{question:?}");
}

/// Who refreshes the session has said so: a question that is refused makes no refreshes of ours (RFC 4028 §10).
#[test]
fn a_refused_question_is_no_refresh() {
    for status in [200, 403, 500] {
        let mut raw = Raw::new(config(HERE));
        let session = "Allow: INVITE, UPDATE\nSupported: timer\nSession-Expires: 1800;refresher=uac\n";
        let (leg, _) = establish(&mut raw, session);
        watch(&mut raw, leg, true);
        let first = asked(&mut raw, 31).remove(0);
        assert_eq!(first.method, Method::Update);
        reply(&mut raw, &first, status, "b1");
        assert_eq!(asked(&mut raw, 29), [], "{status}");
        assert_eq!(asked(&mut raw, 2).len(), 2, "{status}: the next question, sent again once");
    }
}
