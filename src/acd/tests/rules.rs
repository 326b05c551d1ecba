//! What queues may be told to do: whom they choose, how many ring, what is relaxed, when points come, whom they wait
//! for, when they give up; and what agents' profiles say.

use super::*;
use crate::center::{Ageing, Membership, Relaxation, RingPlan, Selection};

type Change = fn(&mut Center);

fn queue_of<'a>(center: &'a mut Center, name: &str) -> &'a mut center::Queue {
    center.queues.get_mut(&QueueId::new(name)).unwrap()
}

fn support(center: &mut Center) -> &mut center::Queue {
    queue_of(center, "support")
}

fn member(center: &mut Center, agent: u32, queue: &str, order: u8, delay: u64) {
    let member = Membership { order, delay: Duration::from_secs(delay), weight: 1 };
    center.agents.get_mut(&AgentId(agent)).unwrap().queues.insert(QueueId::new(queue), member);
}

fn relax(after: u64, remove: &str, lower: &str) -> Relaxation {
    Relaxation {
        after: Duration::from_secs(after),
        if_expected_wait: None,
        remove: remove.split_whitespace().map(SkillId::new).collect(),
        lower: skills(lower),
    }
}

#[track_caller]
fn rows(rows: &[(&str, Change, &str, &str)]) {
    for (name, change, script, expect) in rows {
        let mut center = center();
        change(&mut center);
        let mut desk = Desk::of(&center);
        desk.run(script);
        assert_eq!(desk.told(false), *expect, "{name}");
    }
}

#[test]
fn a_requirement_is_relaxed_step_by_step() {
    rows(&[
        (
            "lowered after a time",
            |c| support(c).relax = vec![relax(30, "", "french=5")],
            "in 11; in 12; in 14; occupy 14; call 1 support french=9; @29; @30",
            "@30; ring1 1>12",
        ),
        (
            "removed later",
            |c| support(c).relax = vec![relax(30, "", "french=7"), relax(60, "french", "")],
            "in 11; in 14; silent 11; occupy 14; call 1 support french=9; alive 11; @59; @60",
            "@60; ring1 1>11",
        ),
        (
            "a step that nobody at work can serve is skipped",
            |c| support(c).relax = vec![relax(30, "", "french=7"), relax(60, "", "french=5")],
            "in 12; call 1 support french=9",
            "ring1 1>12",
        ),
        (
            "but not if nobody could serve any",
            |c| support(c).relax = vec![relax(30, "", "french=7")],
            "in 11; call 1 support french=9; @600",
            "@600; expired 1",
        ),
        (
            "the clock is the requirement's, not the arrival's",
            |c| support(c).relax = vec![relax(30, "french", "")],
            "in 11; in 14; occupy 14; @100; call 1 support french=9 at=10; @129; @130",
            "@130; ring1 1>11",
        ),
        (
            "a level that is lower already stays",
            |c| support(c).relax = vec![relax(10, "", "french=9")],
            "in 12; occupy 12; call 1 support french=5; @20; vacate 12",
            "@20; ring1 1>12",
        ),
    ]);
}

#[test]
fn points_come_with_waiting() {
    let age: Change = |c| support(c).ageing = vec![Ageing { after: Duration::from_secs(60), points: 3 }];
    rows(&[
        ("not yet", age, "call 1 support; @10; call 2 support +1; @50; in 11", "@50; ring1 2>11"),
        ("three points after a minute", age, "call 1 support; @10; call 2 support +1; @60; in 11", "@60; ring1 1>11"),
        (
            "wait served elsewhere counts",
            age,
            "@100; call 1 support +1; call 2 support at=40; in 11",
            "@100; ring1 2>11",
        ),
    ]);
}

#[test]
fn an_agents_profile_orders_his_queues_and_delays_them() {
    rows(&[
        (
            "the first queue first",
            |c| member(c, 12, "sales", 2, 0),
            "call 1 sales; @9; call 2 support; in 12",
            "@9; ring1 2>12",
        ),
        ("then the second", |c| member(c, 12, "sales", 2, 0), "call 1 sales; @9; in 12", "@9; ring1 1>12"),
        ("he comes in late", |c| member(c, 12, "sales", 1, 30), "in 12; call 1 sales; @29; @30", "@30; ring1 1>12"),
        (
            "others are rung meanwhile",
            |c| member(c, 12, "sales", 1, 30),
            "in 12; @1; in 13; @2; call 1 sales; call 2 sales; @32",
            "@2; ring1 1>13; @22; stop1 TimedOut; ring2 1>13; @32; ring3 2>12",
        ),
        (
            "wait served elsewhere counts",
            |c| member(c, 12, "sales", 1, 30),
            "in 12; @99; call 1 sales at=50",
            "@99; ring1 1>12",
        ),
        (
            "who is wanted himself comes in at once",
            |c| {
                member(c, 12, "sales", 1, 30);
                c.agents.get_mut(&AgentId(12)).unwrap().skills.insert(own_skill(AgentId(12)), 1);
            },
            "in 12; @99; call 1 sales only=12",
            "@99; ring1 1>12",
        ),
    ]);
}

#[test]
fn each_queue_chooses_in_its_way() {
    let talk = "in 11; @1; in 12; @2; in 14; @10; call 1 support; @20; accept 1; @80; finish 11 support; ready 11; ";
    let all: [(Selection, &str, &str); 7] = [
        (Selection::LongestIdle, "call 2 support french=5; @90", "12"),
        (Selection::MostProficient, "call 2 support french=5; @90", "14"),
        (Selection::FewestCalls, "call 2 support; @90", "12"),
        (Selection::LeastTalkTime, "call 2 support; @90", "12"),
        (Selection::LeastOccupied, "call 2 support; @90", "12"),
        (Selection::RoundRobin, "call 2 support; @90", "12"),
        (Selection::FixedOrder, "call 2 support; @90", "11"),
    ];
    for (selection, then, expect) in all {
        let mut center = center();
        support(&mut center).selection = selection;
        let mut desk = Desk::of(&center);
        desk.run(talk);
        desk.told(false);
        desk.run(then);
        let told = desk.told(false);
        assert!(told.starts_with(&format!("@80; ring2 2>{expect}")), "{selection:?}: {told}");
    }
}

/// Of two available agents the one with three times the weight is chosen three times as often, whoever waited longer.
#[test]
fn lots_are_drawn_by_weight() {
    let mut center = center();
    support(&mut center).selection = Selection::WeightedRandom;
    support(&mut center).wrap_up = WrapUp::None;
    let heavy = center.agents.get_mut(&AgentId(12)).unwrap();
    heavy.queues.get_mut(&QueueId::new("support")).unwrap().weight = 3;
    let mut desk = Desk::of(&center);
    desk.run("in 11; in 12");
    let mut chosen = BTreeMap::from([("11", 0), ("12", 0)]);
    for n in 1..=2000 {
        desk.run(&format!("call 1 support; accept {n}"));
        let told = desk.told(false);
        let who = if told.contains("1>12") { "12" } else { "11" };
        *chosen.get_mut(who).unwrap() += 1;
        desk.run(&format!("finish {who} support"));
    }
    assert!((1400..1600).contains(&chosen["12"]), "{chosen:?}");
}

#[test]
fn several_phones_ring_and_one_gets_it() {
    rows(&[
        (
            "all",
            |c| support(c).ring = RingPlan::All,
            "in 11; in 12; in 14; call 1 support; accept 2; accept 1",
            "ring1 1>11; ring2 1>12; ring3 1>14; talk 1>12 after 0; stop1 AcceptedElsewhere; stop3 AcceptedElsewhere",
        ),
        (
            "two",
            |c| support(c).ring = RingPlan::Several(2),
            "in 11; in 12; in 14; call 1 support; decline 1",
            "ring1 1>11; ring2 1>12; ring3 1>14",
        ),
        (
            "who comes later rings too, unless somebody waits whom nobody is rung for",
            |c| support(c).ring = RingPlan::All,
            "in 11; call 1 support; call 2 support; in 12; in 14",
            "ring1 1>11; ring2 2>12; ring3 1>14",
        ),
        (
            "one more after each while",
            |c| support(c).ring = RingPlan::Progressive { every: Duration::from_secs(5), most: 2 },
            "in 11; in 12; in 14; call 1 support; @5; @15; leave 1",
            "ring1 1>11; @5; ring2 1>12; @15; stop1 WorkGone; stop2 WorkGone",
        ),
    ]);
}

#[test]
fn a_work_waits_for_the_agent_it_prefers() {
    let first: Change = |c| support(c).preferred_for = Duration::from_secs(30);
    rows(&[
        ("free", first, "in 11; @1; in 12; call 1 support pref=12", "@1; ring1 1>12"),
        ("busy", first, "in 11; in 12; occupy 12; call 1 support pref=12; @9; vacate 12", "@9; ring1 1>12"),
        ("too long busy", first, "in 11; in 12; occupy 12; call 1 support pref=12; @30", "@30; ring1 1>11"),
        ("not there", first, "in 11; call 1 support pref=12", "ring1 1>11"),
        ("leaves", first, "in 11; in 12; occupy 12; call 1 support pref=12; @9; silent 12", "@9; ring1 1>11"),
        ("does not answer", first, "in 11; in 12; call 1 support pref=12; @9; decline 1", "ring1 1>12; @9; ring2 1>11"),
        (
            "holds up nobody",
            first,
            "in 12; occupy 12; call 1 support pref=12; @1; call 2 support; in 11",
            "@1; ring1 2>11",
        ),
        (
            "refused it lately",
            first,
            "in 11; in 12; call 1 support pref=12; decline 1; leave 1; call 1 support pref=12",
            "ring1 1>12; ring2 1>11; stop2 WorkGone; ring3 1>11",
        ),
        ("lacks the skill", first, "in 11; in 12; call 1 support french=9 pref=11; in 14", "ring1 1>14"),
        (
            "prefers him only later, and waits for him from then on",
            first,
            "in 11; in 12; occupy 11; occupy 12; call 1 support; @40; call 1 support pref=12; vacate 11; @60; vacate 12",
            "@60; ring1 1>12",
        ),
        (
            "and no longer",
            first,
            "in 11; in 12; occupy 11; occupy 12; call 1 support; @40; call 1 support pref=12; vacate 11; @69; @70",
            "@70; ring1 1>11",
        ),
        ("rings on for whom it rings", first, "in 11; call 1 support; in 12; call 1 support pref=12", "ring1 1>11"),
        ("who passed it on does not get it back", first, "in 11; @1; in 12; call 1 support not=11", "@1; ring1 1>12"),
    ]);
}

#[test]
fn a_queue_without_staff_gives_up() {
    let soon: Change = |c| support(c).no_staff_after = Some(Duration::from_secs(60));
    let at_once: Change = |c| support(c).no_staff_after = Some(Duration::ZERO);
    rows(&[
        (
            "from the beginning",
            soon,
            "call 1 support; @59; @60; call 2 support",
            "@60; rejected 1 NoStaff; rejected 2 NoStaff",
        ),
        ("somebody comes", soon, "call 1 support; @59; in 11; decline 1; @99", "@59; ring1 1>11; @89; ring2 1>11"),
        (
            "the last one leaves",
            soon,
            "in 11; call 1 support; out 11; decline 1; @59; @60",
            "ring1 1>11; @60; rejected 1 NoStaff",
        ),
        ("a break is no staff", at_once, "in 11; pause 11 tea; @0; call 1 support", "rejected 1 NoStaff"),
        ("not said: who comes waits", |_| {}, "call 1 support; @599", ""),
    ]);
}

#[test]
fn wrap_up_is_as_the_queue_says() {
    let check = |mode: WrapUp, script: &str, expect: &str| {
        let mut center = center();
        support(&mut center).wrap_up = mode;
        let mut desk = Desk::of(&center);
        desk.run("in 11; call 1 support; accept 1");
        desk.told(true);
        desk.run(script);
        assert_eq!(desk.told(true), expect, "{mode:?}: {script}");
    };
    let seconds = Duration::from_secs;
    check(WrapUp::None, "more 11 20; finish 11 support", "11 Ready");
    check(WrapUp::Optional(seconds(10)), "finish 11 support; ready 11", "11 WrapUp; 11 Ready");
    check(WrapUp::Optional(seconds(10)), "finish 11 support; more 11 5; @14; @15", "11 WrapUp; @15; 11 Ready");
    check(WrapUp::Optional(seconds(10)), "more 11 20; finish 11 support; @20", "11 WrapUp; @20; 11 Ready");
    check(WrapUp::Mandatory, "finish 11 support; ready 11; @3000; done 11", "11 WrapUp; @3000; 11 Ready");
    check(WrapUp::Limited(seconds(10)), "finish 11 support; more 11 9; ready 11; @10", "11 WrapUp; @10; 11 Ready");
    check(WrapUp::Mandatory, "done 11; finish 11 support", "11 Ready");
    check(WrapUp::Limited(seconds(10)), "done 11; finish 11 support", "11 Ready");
    check(WrapUp::Optional(seconds(10)), "done 11; finish 11 support; @10", "11 WrapUp; @10; 11 Ready");
    check(WrapUp::Limited(seconds(10)), "finish 11 support; @3; done 11", "11 WrapUp; @3; 11 Ready");
    check(WrapUp::OnRequest(seconds(10)), "finish 11 support", "11 Ready");
    check(WrapUp::OnRequest(seconds(10)), "more 11 0; finish 11 support; @10", "11 WrapUp; @10; 11 Ready");
    check(WrapUp::OnRequest(seconds(10)), "more 11 25; finish 11 support; @25", "11 WrapUp; @25; 11 Ready");
}

/// The test of a peer (Asterisk): joins with priority and requested place, and the place given.
#[test]
fn strict_classes_of_priority_order_as_the_oracle_says() {
    let mut center = center();
    (support(&mut center).strict, support(&mut center).max_waiting) = (true, 11);
    let mut desk = Desk::of(&center);
    let joins = [
        ("", 1),
        ("", 2),
        ("+1", 1),
        ("+1", 2),
        ("+2", 1),
        ("pos=5", 5),
        ("pos=200", 7),
        ("pos=1", 4),
        ("+8 pos=3", 1),
        ("+1 pos=7", 5),
        ("+1 pos=4", 4),
    ];
    for ((options, expect), work) in joins.into_iter().zip(1..) {
        desk.run(&format!("call {work} support {options}"));
        assert_eq!(desk.router.position(WorkId(work)), Some(expect), "join {work}: {options}");
    }
    desk.run("call 12 support");
    assert_eq!(desk.told(false), "rejected 12 Full");
}

#[test]
fn a_dispatched_call_keeps_what_it_has_waited_and_not_what_it_has_talked() {
    let mut desk = Desk::new();
    desk.run("call 1 sales; @60; in 13; accept 1; @240; finish 13 sales");
    let before = Place { arrived: seconds(0), ..Place::new(WorkId(1), QueueId::new("sales"), seconds(0)) };
    let next = before.dispatched(WorkId(2), QueueId::new("support"), Duration::from_secs(60), desk.now);
    desk.handle(Input::Enqueue(Place { excluded: [AgentId(11)].into(), ..next }));
    // Two minutes later than the dispatched call has waited: it comes first.
    desk.run("call 3 support at=190; in 11; in 12; accept 3");
    let expect = "@60; ring1 1>13; talk 1>13 after 60; @240; ring2 3>11; ring3 2>12; talk 2>12 after 60";
    assert_eq!(desk.told(false), expect);
}

/// Twelve calls of two minutes each teach the queue how long it takes.
fn experienced() -> Desk {
    let mut center = center();
    (support(&mut center).wrap_up, support(&mut center).max_waiting) = (WrapUp::None, 100);
    let mut desk = Desk::of(&center);
    desk.run("in 11");
    for n in 1..=12 {
        let (begin, end) = (120 * (n - 1), 120 * n);
        desk.run(&format!("@{begin}; call {n} support; accept {n}; @{end}; finish 11 support"));
    }
    desk
}

#[test]
fn an_expected_wait_is_what_the_router_would_do() {
    let mut desk = experienced();
    desk.run("call 20 support; accept 13; @1500; call 21 support; call 22 support; call 23 support french=5");
    let wait = |desk: &Desk, work| desk.router.forecast(desk.now, WorkId(work));
    let at = |seconds, by| Some(Forecast { p50: Duration::from_secs(seconds), p90: Duration::from_secs(seconds), by });
    // Call 20 began at 1440 and takes two minutes.
    assert_eq!(wait(&desk, 21), at(60, Method::Runs));
    assert_eq!(wait(&desk, 22), at(180, Method::Runs));
    assert_eq!(wait(&desk, 23).map(|f| f.p50), Some(Duration::from_secs(4 * 3600)), "nobody at work speaks French");
    desk.run("in 12; occupy 12");
    assert!(wait(&desk, 23).unwrap().p50 < Duration::from_secs(240), "now somebody does");
    let mut fresh = Desk::new();
    fresh.run("in 11; call 1 support; call 2 support");
    assert_eq!(wait(&fresh, 2), None, "nothing is known yet");
    fresh.run("accept 1; @90; finish 11 support; done 11; accept 2; call 3 support");
    let formula = Forecast { p50: Duration::from_secs(90), p90: Duration::from_secs(180), by: Method::Formula };
    assert_eq!(wait(&fresh, 3), Some(formula), "few samples");
}

#[test]
fn too_long_an_expected_wait_is_refused() {
    let mut desk = experienced();
    let mut center = center();
    (support(&mut center).wrap_up, support(&mut center).max_waiting) = (WrapUp::None, 100);
    support(&mut center).max_expected_wait = Some(Duration::from_secs(200));
    desk.handle(Input::Configure(center));
    desk.told(false);
    desk.run("call 20 support; accept 13; call 21 support; call 22 support");
    assert_eq!(desk.told(false), "@1440; ring13 20>11; talk 20>11 after 0; rejected 22 LongWait");
    // Who comes next into the same place hears the same: nothing is run forward for him within a second.
    let before = forecast::work::runs();
    desk.run("call 23 support; call 24 support; call 25 support french=5");
    assert_eq!(desk.told(false), "@1440; rejected 23 LongWait; rejected 24 LongWait; rejected 25 LongWait");
    assert_eq!(forecast::work::runs() - before, 1, "French is another question");
    desk.run("@1442; call 26 support");
    assert_eq!(forecast::work::runs() - before, 2);
}

/// A refusal that is remembered holds as long as nobody is free.
#[test]
fn nobody_is_refused_while_somebody_is_free() {
    let mut desk = experienced();
    let mut center = center();
    support(&mut center).wrap_up = WrapUp::None;
    support(&mut center).max_expected_wait = Some(Duration::from_secs(50));
    desk.handle(Input::Configure(center));
    desk.told(false);
    desk.run("call 20 support; accept 13; call 21 support; in 12; call 22 support");
    let told = desk.told(false);
    assert!(told.contains("rejected 21 LongWait") && told.contains("22>12"), "{told}");
}

/// A place may get worse; who tells it remembers the best (`ivr`, trap 4).
#[test]
fn a_place_grows_when_work_of_more_points_comes() {
    let mut desk = experienced();
    desk.run("call 20 support; accept 13; call 21 support; call 22 support");
    let place = |desk: &Desk| desk.router.position(WorkId(22));
    assert_eq!(place(&desk), Some(2));
    desk.run("call 23 support +9; call 24 support +9");
    assert_eq!(place(&desk), Some(4));
    desk.run("leave 21; leave 23; leave 24");
    assert_eq!(place(&desk), Some(1));
}

#[test]
fn it_is_known_what_nobody_could_ever_serve() {
    let mut center = center();
    let could = |center: &Center, needs: &str| {
        center.queues[&QueueId::new("support")].could_be_served(&skills(needs), center.agents.values())
    };
    let rows =
        [("", true), ("french=9", true), ("french=9 german=3", true), ("french=10", false), ("spanish=1", false)];
    rows.iter().for_each(|(needs, expect)| assert_eq!(could(&center, needs), *expect, "{needs}"));
    let (remove, lower) = (vec![SkillId::new("spanish")], skills("french=5"));
    let step = Relaxation { after: Duration::from_secs(60), if_expected_wait: None, remove, lower };
    support(&mut center).relax = vec![step];
    assert!(could(&center, "spanish=1 french=10"), "after the last step of relaxation");
    center.agents.values_mut().for_each(|agent| _ = agent.queues.remove(&QueueId::new("support")));
    assert!(!could(&center, ""), "nobody serves the queue");
}
