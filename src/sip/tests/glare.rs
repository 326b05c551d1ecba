//! Offers that meet (RFC 3261 §14).

use super::answers::{calling, establish, reply};
use super::*;

fn offer(leg: LegId, body: &str) -> Command {
    Command::Reoffer { leg, body: Body::sdp(body) }
}

fn accept(leg: LegId, body: &str) -> Command {
    Command::AcceptOffer { leg, body: Body::sdp(body) }
}

/// Two offers that cross; the legs of caller and called after both 491.
fn crossed(pair: &mut Pair) -> (LegId, LegId) {
    let (caller, called) = pair.call();
    pair.tell(0, offer(caller, "a"));
    pair.tell(1, offer(called, "b"));
    pair.run(21);
    let refused = pair.take_ladder().iter().filter(|line| line.contains("491")).count();
    assert_eq!((refused, pair.take_events(0), pair.take_events(1)), (2, vec![], vec![]), "nobody is told yet");
    (caller, called)
}

#[test]
fn of_two_offers_that_cross_the_callees_comes_first() {
    let mut pair = Pair::new();
    let (caller, called) = crossed(&mut pair);
    pair.run(2_050);
    assert_eq!(pair.take_events(0), [Event::Offered { leg: caller, body: Some(Body::sdp("b")) }]);
    pair.tell(0, accept(caller, "b too"));
    pair.run(30);
    assert_eq!(pair.take_events(1), [Event::OfferAnswered { leg: called, body: Some(Body::sdp("b too")) }]);
    pair.take_ladder();
    pair.run(4_000);
    assert_eq!(pair.take_events(0), [Event::OfferOutdated { leg: caller }], "what it says is no longer so");
    assert_eq!(pair.take_ladder(), [""; 0]);
    pair.tell(0, offer(caller, "a, then"));
    pair.run(30);
    assert_eq!(pair.take_events(1), [Event::Offered { leg: called, body: Some(Body::sdp("a, then")) }]);
    pair.tell(1, accept(called, "fine"));
    pair.run(30);
    assert_eq!(pair.take_events(0), [Event::OfferAnswered { leg: caller, body: Some(Body::sdp("fine")) }]);
    pair.tell(0, Command::HangUp { leg: caller, reason: None });
    pair.run(100);
    pair.assert_quiet();
}

#[test]
fn an_offer_goes_out_again_as_it_was_if_the_others_was_refused() {
    let mut pair = Pair::new();
    let (caller, called) = crossed(&mut pair);
    pair.run(2_050);
    pair.tell(0, Command::RefuseOffer { leg: caller, status: 488 });
    pair.run(30);
    assert_eq!(pair.take_events(1), [Event::OfferRefused { leg: called, status: 488 }]);
    pair.run(2_000);
    assert_eq!(pair.take_events(1), [Event::Offered { leg: called, body: Some(Body::sdp("a")) }]);
    pair.tell(1, Command::HangUp { leg: called, reason: None });
    pair.run(100);
    pair.assert_quiet();
}

#[test]
fn an_offer_waits_for_the_one_that_is_under_way() {
    let mut pair = Pair::new();
    let (caller, called) = pair.call();
    pair.tell(0, offer(caller, "a"));
    pair.run(15);
    pair.tell(1, offer(called, "b"));
    pair.tell(1, offer(called, "c"));
    assert_eq!(pair.take_events(1)[1..], [Event::OfferRefused { leg: called, status: 491 }], "one at a time");
    pair.tell(1, Command::RefuseOffer { leg: called, status: 488 });
    pair.run(2_100);
    assert_eq!(pair.take_events(0)[1..], [Event::Offered { leg: caller, body: Some(Body::sdp("b")) }]);
}

/// Refuses a re-INVITE until no other comes; the pauses in ms, and the last event.
fn pauses(raw: &mut Raw, leg: LegId, tag: &str) -> (Vec<u64>, Vec<Output>) {
    let mut outputs = raw.input(Input::Command(offer(leg, "a")));
    let mut pauses = Vec::new();
    loop {
        let invite = requests(&outputs).into_iter().find(is(Method::Invite)).expect("a re-INVITE");
        assert_eq!(invite.body, b"a");
        outputs = reply(raw, &invite, 491, tag);
        let start = raw.now;
        if outputs.iter().any(|output| matches!(output, Output::Event(_))) {
            return (pauses, outputs);
        }
        outputs = Vec::new();
        while !requests(&outputs).iter().any(is(Method::Invite)) {
            assert!(raw.now.since(start) < Duration::from_secs(5), "it is tried again");
            outputs = raw.run(10);
        }
        pauses.push(u64::try_from(raw.now.since(start).as_millis()).unwrap());
    }
}

#[test]
fn who_made_the_call_id_waits_longer() {
    for (is_owner, range) in [(true, 2_100..=4_000), (false, 0..=2_010)] {
        let mut all = Vec::new();
        for _ in 0..10 {
            let mut raw = Raw::new(config(HERE));
            raw.endpoint.rng = Rng::from_number(all.len() as u64);
            let (leg, tag) = if is_owner {
                let (leg, invite) = calling(&mut raw);
                reply(&mut raw, &invite, 200, "one");
                (leg, "one")
            } else {
                (establish(&mut raw, "").0, "b1")
            };
            let (waited, last) = pauses(&mut raw, leg, tag);
            assert_eq!(waited.len(), 4, "five tries");
            assert!(last.contains(&Output::Event(Event::OfferRefused { leg, status: 491 })), "{last:?}");
            assert_eq!(raw.run(10_000), [], "given up");
            all.extend(waited);
        }
        assert!(all.iter().all(|ms| range.contains(ms)), "{all:?}");
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(most - least > 1_500, "drawn from the whole range: {all:?}");
    }
}
