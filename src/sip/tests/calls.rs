//! Calls between two endpoints, as ladders.

use super::*;

fn reason(cause: u16) -> Option<Reason> {
    Some(Reason { protocol: "Q.850".into(), cause, text: "Because".into() })
}

pub(super) fn hang_up(leg: LegId) -> Command {
    Command::HangUp { leg, reason: reason(16) }
}

pub(super) fn answer(leg: LegId) -> Command {
    Command::Answer { leg, body: Body::sdp("answer") }
}

#[test]
fn a_call_from_invite_to_bye() {
    let mut pair = Pair::new();
    let caller = pair.invite();
    let called = pair.invited();
    let Some(Event::Invited { source, caller: from, called: to, offer, headers, .. }) = pair.events[1].first() else {
        panic!("{:?}", pair.events[1]);
    };
    assert_eq!((source, from.display.as_deref()), (&Source::Stranger, Some("Ada")));
    assert_eq!((to.user_decoded().as_str(), offer), ("100", &Some(Body::sdp("offer"))));
    assert!(
        headers.contains(&("X-Test".into(), "7".into())) && headers.contains(&("Max-Forwards".into(), "70".into()))
    );
    pair.tell(1, Command::Ring { leg: called, status: 180, body: None });
    pair.run(5_000);
    pair.tell(1, answer(called));
    pair.run(5_000);
    pair.tell(0, hang_up(caller));
    pair.run(1_000);
    let ladder = ["> INVITE", "< 100 INVITE", "< 180 INVITE", "< 200 INVITE", "> ACK", "> BYE", "< 200 BYE"];
    assert_eq!(pair.take_ladder(), ladder);
    let ours = pair.take_events(0);
    assert!(
        matches!(&ours[..], [
        Event::Provisional { status: 180, .. },
        Event::Established { body: Some(body), .. },
    ] if *body == Body::sdp("answer")),
        "{ours:?}"
    );
    let theirs = pair.take_events(1);
    assert!(
        matches!(&theirs[1..], [
        Event::Established { body: None, .. },
        Event::Ended { why: EndCause::Bye, reason: given, .. },
    ] if *given == reason(16)),
        "{theirs:?}"
    );
    pair.assert_quiet();
}

#[test]
fn the_called_hangs_up() {
    let mut pair = Pair::new();
    let (_, called) = pair.call();
    pair.tell(1, hang_up(called));
    pair.run(1_000);
    assert_eq!(pair.take_ladder(), ["< BYE", "> 200 BYE"]);
    assert!(matches!(&pair.take_events(0)[..], [Event::Ended { why: EndCause::Bye, .. }]));
    assert_eq!(pair.take_events(1), []);
    pair.assert_quiet();
}

#[test]
fn the_caller_cancels() {
    let mut pair = Pair::new();
    let caller = pair.invite();
    pair.invited();
    pair.tell(0, hang_up(caller));
    pair.run(1_000);
    let ladder = ["> INVITE", "< 100 INVITE", "> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"];
    assert_eq!(pair.take_ladder(), ladder);
    assert!(matches!(&pair.take_events(1)[1..], [Event::Cancelled { reason: given, .. }] if *given == reason(16)));
    assert_eq!(pair.take_events(0), []);
    pair.assert_quiet();
}

#[test]
fn a_cancel_waits_for_the_first_response() {
    let mut pair = Pair::new();
    let mut left = 1;
    pair.loss = Box::new(move |_, line| line == "INVITE" && std::mem::replace(&mut left, 0) == 1);
    let caller = pair.invite();
    pair.tell(0, hang_up(caller));
    pair.run(2_000);
    let ladder = ["x> INVITE", "> INVITE", "< 100 INVITE", "> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"];
    assert_eq!(pair.take_ladder(), ladder);
    pair.assert_quiet();
}

#[test]
fn a_2xx_that_races_the_cancel_gets_ack_and_bye() {
    let mut pair = Pair::new();
    let caller = pair.invite();
    let called = pair.invited();
    pair.tell(1, answer(called)); // The 200 and the CANCEL cross.
    pair.tell(0, hang_up(caller));
    pair.run(1_000);
    let ladder =
        ["> INVITE", "< 100 INVITE", "< 200 INVITE", "> CANCEL", "> ACK", "> BYE", "< 200 CANCEL", "< 200 BYE"];
    assert_eq!(pair.take_ladder(), ladder);
    assert_eq!(pair.take_events(0), []);
    assert!(matches!(&pair.take_events(1)[1..], [Event::Established { .. }, Event::Ended { .. }]));
    pair.assert_quiet();
}

#[test]
fn refusals_say_what_they_mean() {
    for (status, headers, after) in [
        (486, vec![], None),
        (503, vec![("Retry-After".to_owned(), "7 (soon)".to_owned())], Some(7)),
        (603, vec![], None),
    ] {
        let mut pair = Pair::new();
        pair.invite();
        let called = pair.invited();
        pair.tell(1, Command::Refuse { leg: called, status, headers });
        pair.run(1_000);
        let events = pair.take_events(0);
        assert!(
            matches!(&events[..], [Event::Failed { status: s, retry_after, why: FailureCause::Status, .. }]
                if *s == status && *retry_after == after),
            "{events:?}"
        );
        pair.assert_quiet();
    }
}

#[test]
fn hanging_up_on_a_caller_who_hears_ringing_is_480() {
    let mut pair = Pair::new();
    pair.invite();
    let called = pair.invited();
    pair.tell(1, hang_up(called));
    pair.run(1_000);
    let events = pair.take_events(0);
    assert!(matches!(&events[..], [Event::Failed { status: 480, reason: given, .. }] if *given == reason(16)));
    pair.assert_quiet();
}

#[test]
fn nobody_answers_at_all() {
    let mut pair = Pair::new();
    pair.loss = Box::new(|side, _| side == 0);
    pair.invite();
    pair.run(31_999);
    assert_eq!(pair.take_ladder().len(), 7, "timer A: 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s");
    assert_eq!(pair.take_events(0), []);
    pair.run(1);
    assert!(matches!(&pair.take_events(0)[..], [Event::Failed { status: 408, why: FailureCause::Timeout, .. }]));
    pair.assert_quiet();
}

#[test]
fn a_broken_flow_fails_the_call_at_once() {
    let mut pair = Pair::new();
    pair.invite();
    pair.input(0, Input::TransportFailed { flow: Flow::udp(0, THERE.parse().unwrap()) });
    assert!(matches!(&pair.take_events(0)[..], [Event::Failed { status: 503, why: FailureCause::Transport, .. }]));
}

#[test]
fn a_lost_ack_is_sent_again_for_each_2xx() {
    let mut pair = Pair::new();
    let mut left = 2;
    pair.loss = Box::new(move |_, line| {
        let lost = line == "ACK" && left > 0;
        left -= u32::from(lost);
        lost
    });
    pair.invite();
    let called = pair.invited();
    pair.tell(1, answer(called));
    pair.run(5_000);
    let tail = ["< 200 INVITE", "x> ACK", "< 200 INVITE", "x> ACK", "< 200 INVITE", "> ACK"];
    assert_eq!(pair.take_ladder()[2..], tail);
    assert!(matches!(&pair.take_events(1)[1..], [Event::Established { .. }]));
    assert_eq!(pair.take_events(0).len(), 1, "one Established, however often the 2xx comes");
}

#[test]
fn without_any_ack_the_call_ends_with_bye() {
    let mut pair = Pair::new();
    pair.loss = Box::new(|_, line| line == "ACK");
    pair.invite();
    let called = pair.invited();
    pair.tell(1, answer(called));
    pair.run(31_900);
    assert_eq!(pair.take_events(1).len(), 1);
    pair.run(200);
    assert!(matches!(&pair.take_events(1)[..], [Event::Ended { why: EndCause::NoAck, .. }]));
    assert_eq!(pair.take_ladder().iter().filter(|line| *line == "< BYE").count(), 1);
    assert!(matches!(&pair.take_events(0)[..], [Event::Established { .. }, Event::Ended { .. }]));
    pair.assert_quiet();
}

#[test]
fn a_bye_of_the_called_waits_for_the_ack() {
    let mut pair = Pair::new();
    let mut left = 1;
    pair.loss = Box::new(move |_, line| line == "ACK" && std::mem::replace(&mut left, 0) == 1);
    pair.invite();
    let called = pair.invited();
    pair.tell(1, answer(called));
    pair.tell(1, hang_up(called));
    pair.run(3_000);
    let tail = ["< 200 INVITE", "x> ACK", "< 200 INVITE", "> ACK", "< BYE", "> 200 BYE"];
    assert_eq!(pair.take_ladder()[2..], tail);
    assert_eq!(pair.take_events(1).len(), 1, "nothing after our own hang-up");
    pair.assert_quiet();
}

#[test]
fn offers_within_the_call() {
    let mut pair = Pair::new();
    let (caller, called) = pair.call();
    pair.tell(0, Command::Reoffer { leg: caller, body: Body::sdp("hold") });
    pair.run(100);
    assert_eq!(pair.take_events(1), [Event::Offered { leg: called, body: Some(Body::sdp("hold")) }]);
    pair.tell(1, Command::AcceptOffer { leg: called, body: Body::sdp("held") });
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::OfferAnswered { leg: caller, body: Some(Body::sdp("held")) }]);
    assert_eq!(pair.take_ladder(), ["> INVITE", "< 100 INVITE", "< 200 INVITE", "> ACK"]);
    // The other way, refused.
    pair.tell(1, Command::Reoffer { leg: called, body: Body::sdp("video") });
    pair.run(100);
    pair.tell(0, Command::RefuseOffer { leg: caller, status: 488 });
    pair.run(100);
    assert_eq!(pair.take_events(1), [Event::OfferRefused { leg: called, status: 488 }]);
    pair.tell(1, hang_up(called));
    pair.run(100);
    pair.assert_quiet();
}

#[test]
fn an_offer_into_a_dead_dialog_ends_the_leg() {
    let mut pair = Pair::new();
    let (caller, called) = pair.call();
    pair.loss = Box::new(|side, line| side == 1 && line == "BYE");
    pair.tell(1, hang_up(called));
    pair.run(50);
    pair.tell(0, Command::Reoffer { leg: caller, body: Body::sdp("a") });
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::Ended { leg: caller, reason: None, why: EndCause::DialogGone }]);
}

#[test]
fn the_offer_may_come_with_the_answer() {
    let mut pair = Pair::new();
    let leg = pair.sides[0].next_leg();
    pair.tell(0, invite_of(leg, &format!("sip:100@{THERE}"), None));
    let called = pair.invited();
    pair.tell(1, Command::Answer { leg: called, body: Body::sdp("offer") });
    pair.run(100);
    assert!(!pair.ladder.contains(&"> ACK".to_owned()), "the ACK waits for the answer");
    pair.tell(0, Command::AcceptOffer { leg, body: Body::sdp("answer") });
    pair.run(100);
    let last = pair.take_events(1).pop();
    assert!(
        matches!(&last, Some(Event::Established { body: Some(body), .. }) if *body == Body::sdp("answer")),
        "{last:?}"
    );
    pair.tell(0, hang_up(leg));
    pair.run(100);
    pair.assert_quiet();
}

#[test]
fn a_dialog_is_restored_from_its_written_form() {
    let mut pair = Pair::new();
    let (caller, called) = pair.call();
    let written = serde_json::to_string(pair.sides[0].dialog(caller).unwrap()).unwrap();
    assert!(written.len() < 1_000, "a dialog is small: {written}");
    // A re-INVITE follows that is not written down any more.
    pair.tell(0, Command::Reoffer { leg: caller, body: Body::sdp("hold") });
    pair.run(50);
    pair.tell(1, Command::AcceptOffer { leg: called, body: Body::sdp("held") });
    pair.run(50);
    pair.take_ladder();
    pair.sides[0] = Endpoint::new(config(HERE), Rng::from_number(99), IdCounter::new(1, 2));
    pair.tell(0, Command::Restore { leg: caller, dialog: serde_json::from_str(&written).unwrap() });
    pair.tell(0, hang_up(caller));
    pair.run(100);
    assert_eq!(pair.take_ladder(), ["> BYE", "< 200 BYE"]);
    assert!(matches!(&pair.take_events(1)[..], [.., Event::Ended { why: EndCause::Bye, .. }]));
}

#[test]
fn a_whole_endpoint_can_be_written_down_in_the_middle() {
    let mut pair = Pair::new();
    pair.invite();
    let called = pair.invited();
    pair.tell(1, answer(called));
    for side in 0..2 {
        let written = serde_json::to_string(&pair.sides[side]).unwrap();
        pair.sides[side] = serde_json::from_str(&written).unwrap();
    }
    pair.run(1_000);
    assert!(matches!(&pair.take_events(1)[1..], [Event::Established { .. }]));
}

#[test]
fn names_are_resolved_and_tried_in_order() {
    let mut pair = Pair::new();
    let dead: SocketAddr = "10.9.9.9:5060".parse().unwrap();
    let place = |transport, remote| Place { transport, remote, connection: 0 };
    let there = THERE.parse().unwrap();
    pair.names = vec![place(Transport::Udp, dead), place(Transport::Tcp, dead), place(Transport::Udp, there)];
    let leg = pair.sides[0].next_leg();
    let invite = invite_of(leg, "sip:100@example.com", None);
    pair.loss = Box::new(|_, line| line == "INVITE");
    pair.tell(0, invite.clone());
    pair.input(0, Input::TransportFailed { flow: Flow::udp(0, dead) });
    assert_eq!(pair.take_events(0), [], "the second address is tried first");
    pair.input(0, Input::TransportFailed { flow: Flow::udp(0, THERE.parse().unwrap()) });
    assert!(matches!(&pair.take_events(0)[..], [Event::Failed { why: FailureCause::Transport, .. }]));
    // Who has hung up is not tried elsewhere.
    pair.tell(0, invite.clone());
    pair.tell(0, hang_up(leg));
    pair.take_ladder();
    pair.input(0, Input::TransportFailed { flow: Flow::udp(0, dead) });
    assert_eq!((pair.take_ladder(), pair.take_events(0)), (vec![], vec![]));
    pair.names.clear();
    pair.tell(0, invite);
    assert!(matches!(&pair.take_events(0)[..], [Event::Failed { status: 404, why: FailureCause::Unresolved, .. }]));
}

#[test]
fn calls_survive_a_bad_network() {
    for seed in 0..60 {
        let mut pair = Pair::new();
        let mut rng = Rng::from_number(seed);
        pair.loss = Box::new(move |_, _| rng.chance(0.3));
        let caller = pair.invite();
        pair.run(20_000);
        let invited = pair.events[1].iter().find_map(|event| match event {
            Event::Invited { leg, .. } => Some(*leg),
            _ => None,
        });
        if let Some(called) = invited {
            pair.tell(1, answer(called));
        }
        pair.run(40_000);
        pair.tell(0, hang_up(caller));
        pair.run(40_000);
        pair.loss = Box::new(|_, _| false);
        if let Some(called) = invited {
            pair.tell(1, hang_up(called));
        }
        pair.run(40_000);
        let ends = pair.events[1].iter().filter(|e| matches!(e, Event::Ended { .. } | Event::Cancelled { .. })).count();
        assert!(ends <= 1, "seed {seed}: {:?}", pair.events[1]);
        pair.assert_quiet();
    }
}
