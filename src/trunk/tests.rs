//! Health, order and weight, as tables.

use super::*;
use crate::center::{Form, Identity, NumberPlan, Server};

fn trunk(name: &str, order: u16, weight: u16) -> Trunk {
    let server = Server { host: format!("{name}.example"), port: None, transport: None };
    Trunk {
        id: TrunkId::new(name),
        peers: Vec::new(),
        server: Some(server),
        user: None,
        listener: None,
        accepts_digest: false,
        register: None,
        realm: None,
        srtp: None,
        order,
        weight,
        incoming: Share { calls: 10, rate: 100 },
        outgoing: Share { calls: 10, rate: 100 },
        options: Some(Duration::from_secs(30)),
        identity: Identity { number: None, shows_caller: false, asserts: false },
        numbers: NumberPlan {
            country: "49".into(),
            national: "0".into(),
            international: "00".into(),
            short: 6,
            bare: false,
            form: Form::E164,
        },
        allowed: vec!["+49".into(), "112".into()],
        denied: vec!["+49900".into()],
    }
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

fn with(trunks: impl IntoIterator<Item = Trunk>) -> Trunks {
    let mut machine = Trunks::new(Rng::from_number(7));
    let trunks = trunks.into_iter().map(|trunk| (trunk.id.clone(), trunk)).collect();
    machine.handle(at(1), Input::Configure(trunks));
    machine
}

fn said(machine: &mut Trunks) -> Vec<Output> {
    std::iter::from_fn(|| machine.poll()).collect()
}

fn names(order: &[TrunkId]) -> Vec<&str> {
    order.iter().map(TrunkId::as_str).collect()
}

#[test]
fn nothing_may_be_called_that_is_not_allowed() {
    let closed = Trunk { allowed: Vec::new(), ..trunk("b", 1, 1) };
    let incoming = Trunk { server: None, ..trunk("c", 1, 1) };
    let mut machine = with([trunk("a", 1, 1), closed, incoming]);
    for (number, expect) in [
        ("+4930123456", true),
        ("+33123456", false),
        ("+49900123", false),
        ("112", true),
        ("1123", false),
        ("4930123456", false),
        ("", false),
    ] {
        assert_eq!(machine.route(at(2), number), if expect { vec![TrunkId::new("a")] } else { vec![] }, "{number}");
        assert_eq!(machine.reaches(number), expect);
    }
}

#[test]
fn order_comes_before_weight_and_weight_is_a_share() {
    let mut machine = with([trunk("backup", 20, 1), trunk("big", 10, 3), trunk("small", 10, 1)]);
    let mut first = BTreeMap::<String, u32>::new();
    for _ in 0..4_000 {
        let order = machine.route(at(2), "+4930123456");
        assert_eq!((order.len(), order[2].as_str()), (3, "backup"));
        *first.entry(order[0].to_string()).or_default() += 1;
    }
    assert!((2_850..=3_150).contains(&first["big"]), "{first:?}");
}

#[test]
fn a_trunk_is_down_after_two_silences_and_up_after_two_answers() {
    let mut machine = with([trunk("a", 1, 1), trunk("b", 2, 1)]);
    let a = TrunkId::new("a");
    machine.handle(at(1), Input::Timeout);
    assert!(said(&mut machine).contains(&Output::Probe { trunk: a.clone() }), "it is asked at once");
    use TrunkState::{Down, Unknown, Up};
    let rows = [
        (true, Some((Unknown, Up))),
        (false, None),
        (true, None),
        (false, None),
        (false, Some((Up, Down))),
        (false, None),
        (true, None),
        (false, None),
        (true, None),
        (true, Some((Down, Up))),
        (true, None),
    ];
    for (seconds, (answered, expect)) in (2..).zip(rows) {
        machine.handle(at(seconds), Input::Probed { trunk: a.clone(), answered });
        let states = said(&mut machine).into_iter().filter_map(|output| match output {
            Output::State { from, to, .. } => Some((from, to)),
            _ => None,
        });
        assert_eq!(states.collect::<Vec<_>>(), Vec::from_iter(expect), "at {seconds} s");
        let usable = names(&machine.route(at(seconds), "+491")).contains(&"a");
        assert_eq!(usable, machine.state(&a) != Some(Down));
    }
}

#[test]
fn who_says_503_or_nothing_rests_and_others_are_tried() {
    let mut machine = with([trunk("a", 1, 1), trunk("b", 2, 1)]);
    let a = TrunkId::new("a");
    let rows = [
        (Failure::Overloaded { retry_after: Some(60) }, 60),
        (Failure::Overloaded { retry_after: None }, 10),
        (Failure::Overloaded { retry_after: Some(86_400) }, 300),
        (Failure::Refused, 0),
        (Failure::Unreachable, 10),
    ];
    for (now, (why, rest)) in (1..).map(|n| n * 1_000).zip(rows) {
        machine.handle(at(now), Input::Failed { trunk: a.clone(), why });
        if rest > 0 {
            assert_eq!(names(&machine.route(at(now + rest - 1), "112")), ["b"], "{why:?}");
        }
        assert_eq!(names(&machine.route(at(now + rest), "112")), ["a", "b"], "{why:?}");
    }
    assert_eq!(machine.numbers().next().unwrap().1.failures, 5);
}

/// RFC 3261 §21.5.4: who is overloaded and says for how long is left alone for that long, though he answers OPTIONS and
/// older calls get on; who was only silent is back with his first answer.
#[test]
fn an_answer_ends_the_rest_of_who_was_silent_and_not_of_who_is_overloaded() {
    let a = TrunkId::new("a");
    let signs = [Input::Probed { trunk: a.clone(), answered: true }, Input::Carried { trunk: a.clone() }];
    for sign in signs {
        let mut machine = with([trunk("a", 1, 1), trunk("b", 2, 1)]);
        machine.handle(at(1), Input::Probed { trunk: a.clone(), answered: true });
        machine.handle(at(10), Input::Failed { trunk: a.clone(), why: Failure::Overloaded { retry_after: Some(60) } });
        machine.handle(at(12), Input::Failed { trunk: a.clone(), why: Failure::Unreachable });
        machine.handle(at(13), sign.clone());
        assert_eq!(names(&machine.route(at(69), "112")), ["b"], "{sign:?}");
        assert_eq!(names(&machine.route(at(70), "112")), ["a", "b"], "{sign:?}");
        machine.handle(at(80), Input::Failed { trunk: a.clone(), why: Failure::Unreachable });
        assert_eq!(names(&machine.route(at(81), "112")), ["b"], "{sign:?}");
        machine.handle(at(82), sign.clone());
        assert_eq!(names(&machine.route(at(82), "112")), ["a", "b"], "{sign:?}");
    }
}

#[test]
fn who_registers_is_used_while_registered() {
    let registers = Trunk { register: Some(Duration::from_secs(600)), options: None, ..trunk("a", 1, 1) };
    let mut machine = with([registers.clone()]);
    let a = TrunkId::new("a");
    assert_eq!(said(&mut machine), [Output::Register { trunk: a.clone() }]);
    assert!(machine.route(at(2), "112").is_empty());
    machine.handle(at(3), Input::Registered { trunk: a.clone(), holds: true });
    machine.handle(at(4), Input::Registered { trunk: a.clone(), holds: true });
    assert_eq!(said(&mut machine), [Output::Registration { trunk: a.clone(), holds: true }], "told once");
    assert_eq!(names(&machine.route(at(5), "112")), ["a"]);
    machine.handle(at(6), Input::Configure(BTreeMap::from([(a.clone(), registers)])));
    assert_eq!(said(&mut machine), [], "nothing has changed");
    machine.handle(at(7), Input::Configure(BTreeMap::new()));
    assert_eq!(said(&mut machine), [Output::Unregister { trunk: a }]);
}

#[test]
fn a_trunk_in_doubt_is_asked_more_often() {
    let mut machine = with([trunk("a", 1, 1)]);
    let a = TrunkId::new("a");
    let mut asked = Vec::new();
    for second in 1..=100 {
        machine.handle(at(second), Input::Timeout);
        for output in said(&mut machine) {
            if let Output::Probe { trunk } = output {
                asked.push(second);
                machine.handle(at(second), Input::Probed { trunk, answered: second < 60 });
            }
        }
    }
    assert_eq!(machine.state(&a), Some(TrunkState::Down));
    let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.contains(&5) && gaps.contains(&30), "{asked:?}");
}

/// A trunk that is never asked cannot come back by answers: it rests, however often it fails, and is tried again. One
/// that is down and shall not be asked any more is as unknown as a new one.
#[test]
fn a_trunk_that_is_never_asked_is_never_down_for_good() {
    let quiet = Trunk { options: None, ..trunk("a", 1, 1) };
    let a = TrunkId::new("a");
    let mut machine = with([quiet.clone()]);
    for now in [10, 30, 50, 70] {
        machine.handle(at(now), Input::Failed { trunk: a.clone(), why: Failure::Unreachable });
        assert_eq!(names(&machine.route(at(now + 9), "112")), Vec::<&str>::new());
        assert_eq!(names(&machine.route(at(now + 10), "112")), ["a"]);
        assert!(machine.reaches("112"));
    }
    assert_eq!(said(&mut machine), []);

    let mut machine = with([trunk("a", 1, 1)]);
    for now in [2, 3] {
        machine.handle(at(now), Input::Probed { trunk: a.clone(), answered: false });
    }
    assert_eq!(machine.state(&a), Some(TrunkState::Down));
    said(&mut machine);
    machine.handle(at(4), Input::Configure(BTreeMap::from([(a.clone(), quiet)])));
    let back = Output::State { trunk: a.clone(), from: TrunkState::Down, to: TrunkState::Unknown };
    assert_eq!(said(&mut machine), [back]);
    assert_eq!(names(&machine.route(at(5), "112")), ["a"]);
    // Asked again later: what was open then does not count as a silence now.
    machine.handle(at(6), Input::Configure(BTreeMap::from([(a.clone(), trunk("a", 1, 1))])));
    machine.handle(at(6), Input::Timeout);
    assert_eq!(said(&mut machine), [Output::Probe { trunk: a.clone() }]);
    machine.handle(at(11), Input::Timeout);
    assert_eq!(
        (said(&mut machine), machine.state(&a)),
        (vec![Output::Probe { trunk: a.clone() }], Some(TrunkState::Unknown))
    );
}
