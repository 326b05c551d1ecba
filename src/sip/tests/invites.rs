//! What an earlier start had sent is taken back by the next one, by what was written down.

use super::calls::{answer, hang_up};
use super::*;

/// Side 0 is killed and starts anew; what goes out and comes in meanwhile is lost.
fn killed(pair: &mut Pair) -> Vec<InviteRecord> {
    let written = pair.written_down(0);
    pair.sides[0] = Endpoint::new(config(HERE), Rng::from_number(3), IdCounter::new(1, 2));
    pair.events[0].clear();
    // As on the disk.
    let text = serde_json::to_string(&written).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn taken_back(pair: &mut Pair, invites: Vec<InviteRecord>) {
    for invite in invites {
        let leg = pair.sides[0].next_leg();
        pair.tell(0, Command::RestoreInvite { leg, invite });
        pair.tell(0, hang_up(leg));
    }
}

#[test]
fn a_phone_that_rings_is_told() {
    let mut pair = Pair::new();
    pair.invite();
    let called = pair.invited();
    pair.tell(1, Command::Ring { leg: called, status: 180, body: None });
    pair.run(2_000);
    let invites = killed(&mut pair);
    pair.take_ladder();
    taken_back(&mut pair, invites);
    pair.run(2_000);
    assert_eq!(pair.take_ladder(), ["> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"]);
    assert_eq!(pair.take_events(0), []);
    assert!(matches!(&pair.take_events(1)[..], [.., Event::Cancelled { reason: Some(_), .. }]));
    pair.run(64_000);
    pair.assert_quiet();
}

#[test]
fn who_answered_while_nobody_was_there_gets_ack_and_bye() {
    let mut pair = Pair::new();
    pair.invite();
    let called = pair.invited();
    let invites = killed(&mut pair);
    pair.tell(1, answer(called)); // Nobody knows what it belongs to.
    pair.run(1_000);
    pair.take_ladder();
    taken_back(&mut pair, invites);
    pair.run(10_000);
    let ladder = pair.take_ladder();
    assert!(ladder.starts_with(&["> CANCEL".to_owned(), "< 200 CANCEL".to_owned()]), "{ladder:?}");
    assert!(ladder.ends_with(&["< 200 INVITE", "> ACK", "> BYE", "< 200 BYE"].map(str::to_owned)), "{ladder:?}");
    assert!(matches!(&pair.take_events(1)[..], [.., Event::Established { .. }, Event::Ended { .. }]));
    pair.run(64_000);
    pair.assert_quiet();
}

#[test]
fn new_calls_beside_it_are_not_mistaken_for_it() {
    let mut pair = Pair::new();
    pair.invite();
    let called = pair.invited();
    let invites = killed(&mut pair);
    taken_back(&mut pair, invites.clone());
    // Twice the same, as a log that repeats itself, changes nothing.
    taken_back(&mut pair, invites);
    pair.take_events(1);
    pair.invite();
    pair.run(1_000);
    let [Event::Cancelled { leg, .. }, Event::Invited { leg: second, .. }] = &pair.take_events(1)[..] else {
        panic!("the first is taken back, the second rings")
    };
    assert_eq!(*leg, called);
    pair.tell(1, answer(*second));
    pair.run(1_000);
    assert!(matches!(&pair.take_events(0)[..], [Event::Established { .. }]));
}

#[test]
fn what_is_no_invite_of_ours_is_left_alone() {
    let mut pair = Pair::new();
    pair.invite();
    pair.invited();
    let [invite] = &killed(&mut pair)[..] else { panic!("one INVITE went out") };
    let changed = |from: &str, to: &str| InviteRecord { head: invite.head.replace(from, to), ..invite.clone() };
    let huge = format!("-{:x}", u64::MAX - 1);
    let others = [
        changed("INVITE", "NOTIFY"),
        changed("z9hG4bK", "another"),
        changed(";tag=", ";gat="),
        changed("SIP/2.0", "SIP"),
        changed("-2", &huge),
        changed("-2", "-3"),
    ];
    pair.take_ladder();
    taken_back(&mut pair, others.to_vec());
    pair.run(1_000);
    assert_eq!(pair.take_ladder(), Vec::<String>::new());
    assert_eq!(pair.sides[0].pending(), None);
}
