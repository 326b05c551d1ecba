//! The traps of the peers, each with a test named after it: what goes wrong there does not here.

use super::*;

#[track_caller]
fn rows(rows: &[(&str, &str, &str)]) {
    rows.iter().for_each(|(name, script, expect)| check(name, script, expect));
}

#[test]
fn trap_01_one_call_answered_twice() {
    rows(&[
        (
            "one call, never two answers",
            "in 11; in 12; call 1 support; accept 1; accept 1",
            "ring1 1>11; talk 1>11 after 0",
        ),
        (
            "an answer after the ring time is no answer",
            "in 11; in 12; call 1 support; @20; accept 1; accept 2",
            "ring1 1>11; @20; stop1 TimedOut; ring2 1>12; talk 1>12 after 20",
        ),
    ]);
}

#[test]
fn trap_02_head_of_line_blocking() {
    rows(&[
        ("the head of the queue blocks nobody", "call 1 support french=9; @1; call 2 support; in 12", "@1; ring1 2>12"),
        ("nor does the longest idle agent", "in 11; @1; in 12; @2; in 14; call 1 support french=6", "@2; ring1 1>14"),
    ]);
}

#[test]
fn trap_03_a_weighted_queue_starves_another() {
    rows(&[
        ("work is compared, not queues", "call 1 sales; @1; call 2 support; @2; in 12", "@2; ring1 1>12"),
        ("five points are five minutes", "call 1 sales; @299; call 2 vip; in 13", "@299; ring1 2>13"),
        ("and no more", "call 1 sales; @301; call 2 vip; in 13", "@301; ring1 1>13"),
        ("nobody waits longest", "call 1 vip; @9; leave 1; call 2 sales; in 13", "@9; ring1 2>13"),
    ]);
}

#[test]
fn trap_06_wrap_up_cut_short_by_another_queue() {
    rows(&[(
        "one agent, one wrap-up, over all queues",
        "in 12; call 1 support; accept 1; finish 12 support; call 2 sales; @9; @10",
        "ring1 1>12; talk 1>12 after 0; @10; ring2 2>12",
    )]);
}

#[test]
fn trap_08_ring_timeouts_log_agents_out() {
    rows(&[
        (
            "who did not answer gets the same call again after a time",
            "in 11; call 1 support; @20; @49; @50",
            "ring1 1>11; @20; stop1 TimedOut; @50; ring2 1>11",
        ),
        (
            "after three refusals he rests, and then is back by himself",
            "in 13; call 1 sales; decline 1; decline 2; decline 3; @59; @60",
            "ring1 1>13; ring2 1>13; ring3 1>13; @60; ring4 1>13",
        ),
        (
            "the rest is lifted with one command",
            "in 13; call 1 sales; decline 1; decline 2; decline 3; @5; ready 13",
            "ring1 1>13; ring2 1>13; ring3 1>13; @5; ring4 1>13",
        ),
        (
            "an answer is a new beginning",
            "in 13; call 1 sales; decline 1; decline 2; accept 3; finish 13 sales; call 1 sales; decline 4; decline 5",
            "ring1 1>13; ring2 1>13; ring3 1>13; talk 1>13 after 0; ring4 1>13; ring5 1>13; ring6 1>13",
        ),
        (
            "so is the rest",
            "in 13; call 1 sales; decline 1; decline 2; decline 3; @60; decline 4; decline 5",
            "ring1 1>13; ring2 1>13; ring3 1>13; @60; ring4 1>13; ring5 1>13; ring6 1>13",
        ),
        (
            "so is the command",
            "in 13; call 1 sales; decline 1; pause 13 tea; decline 2; ready 13; decline 3; decline 4",
            "ring1 1>13; ring2 1>13; ring3 1>13; ring4 1>13; ring5 1>13",
        ),
    ]);
}

#[test]
fn trap_09_a_change_of_status_during_an_offer() {
    rows(&[
        (
            "a break wished for while it rings stops no ring",
            "in 11; call 1 support; pause 11 lunch; @20; @60",
            "ring1 1>11; @20; stop1 TimedOut",
        ),
        ("nor does a sign-out", "in 11; call 1 support; out 11; @9; accept 1", "ring1 1>11; @9; talk 1>11 after 9"),
    ]);
}

#[test]
fn trap_10_a_new_priority_does_not_move_the_caller() {
    rows(&[
        (
            "a new priority moves the caller at once",
            "call 1 support; @9; call 2 support; call 2 support +1 at=9; in 11",
            "@9; ring1 2>11",
        ),
        ("and leaves alone what rings", "in 11; call 1 support; call 1 support +9", "ring1 1>11"),
        (
            "a new queue does not",
            "in 11; call 1 support; call 1 sales; in 12",
            "ring1 1>11; stop1 WorkGone; ring2 1>12",
        ),
    ]);
}

#[test]
fn trap_13_an_agent_without_a_phone_is_available() {
    rows(&[
        ("a silent phone is not rung", "in 11; silent 11; call 1 support; @3; alive 11", "@3; ring1 1>11"),
        (
            "a dead phone rests",
            "in 11; call 1 support; dead 1; call 2 support; @59; @60",
            "ring1 1>11; @60; ring2 1>11",
        ),
        (
            "until it shows life",
            "in 11; call 1 support; dead 1; call 2 support; @9; alive 11",
            "ring1 1>11; @9; ring2 2>11",
        ),
        ("who is in another call is not rung", "in 11; occupy 11; call 1 support; @3; vacate 11", "@3; ring1 1>11"),
    ]);
}

#[test]
fn trap_14_a_refusal_drops_the_caller() {
    rows(&[(
        "a refused call keeps its place",
        "call 1 support; @1; call 2 support; in 11; decline 1; in 12",
        "@1; ring1 1>11; ring2 2>11; ring3 1>12",
    )]);
}

#[test]
fn trap_14_a_full_line_turns_away_who_comes_back() {
    rows(&[
        (
            "whose agent was lost is first again, however many have come since",
            "in 11; call 1 support; accept 1; @1; call 2 support; call 3 support; call 4 support; call 5 support; \
             @9; finish 11 support; call 6 support at=0 again=1; in 12",
            "ring1 1>11; talk 1>11 after 0; @9; ring2 6>12",
        ),
        (
            "and the next new one is turned away as before",
            "call 1 support; call 2 support; call 3 support; call 4 support; call 5 support again=1; call 6 support",
            "rejected 6 Full",
        ),
    ]);
}

#[test]
fn trap_19_the_third_transfer_between_queues_breaks() {
    rows(&[(
        "queue, agent, queue, three times",
        "in 12; call 1 sales; accept 1; finish 12 sales; call 1 support; accept 2; finish 12 support; @10; \
             call 1 sales; accept 3; finish 12 sales; call 1 support",
        "ring1 1>12; talk 1>12 after 0; ring2 1>12; talk 1>12 after 0; @10; ring3 1>12; talk 1>12 after 0; ring4 1>12",
    )]);
}

/// Staffed means at work: who is on a break, silent or signed out is not counted for escalation.
#[test]
fn trap_07_an_agent_away_counts_as_present() {
    let rows = [("in 11", 1), ("in 11; pause 11 tea", 0), ("in 11; silent 11", 0), ("in 11; out 11", 0)];
    for (script, staffed) in rows {
        let mut center = center();
        let queue = center.queues.get_mut(&QueueId::new("support")).unwrap();
        queue.no_staff_after = Some(Duration::ZERO);
        let mut desk = Desk::of(&center);
        desk.run(script);
        desk.run("@1; call 1 support");
        assert_eq!(desk.router.queue(&QueueId::new("support")).unwrap().staffed, staffed, "{script}");
        let expect = if staffed == 0 { "@1; rejected 1 NoStaff" } else { "@1; ring1 1>11" };
        assert_eq!(desk.told(false), expect, "{script}");
    }
}
