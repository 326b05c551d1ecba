//! Callers of trunks and of nobody, as a table.

use super::*;
use crate::center::{Form, Identity, NumberPlan, Share};

fn trunk() -> Trunk {
    let share = Share { calls: 1, rate: 1 };
    Trunk {
        id: TrunkId::new("carrier"),
        peers: Vec::new(),
        server: None,
        user: Some("account".into()),
        listener: None,
        accepts_digest: false,
        register: None,
        realm: None,
        srtp: None,
        order: 0,
        weight: 1,
        incoming: share,
        outgoing: share,
        options: None,
        identity: Identity { number: None, shows_caller: false, asserts: false },
        numbers: NumberPlan {
            country: "49".into(),
            national: "0".into(),
            international: "00".into(),
            short: 6,
            bare: false,
            form: Form::E164,
        },
        allowed: Vec::new(),
        denied: Vec::new(),
    }
}

fn headers(fields: &[&str]) -> Vec<(String, String)> {
    let field = |text: &&str| text.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    fields.iter().filter_map(field).collect()
}

#[test]
fn who_is_shown_and_who_is_written_down() {
    const FROM: &str = "\"Eve\" <sip:0309999@192.0.2.7:5070;user=phone>;tag=1";
    const PAI: &str = "P-Asserted-Identity: \"Bob\" <sip:030123456@carrier.example>";
    const HIDDEN: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let rows: &[(&str, &[&str], bool, &str, &str)] = &[
        // From, fields, of a trunk, shown, written down
        (FROM, &[], true, "\"Eve\" <sip:+49309999@192.0.2.7>", "sip:+49309999@192.0.2.7"),
        (FROM, &[PAI], true, "\"Bob\" <sip:+4930123456@carrier.example>", "sip:+4930123456@carrier.example"),
        (FROM, &[PAI], false, "\"Eve\" <sip:0309999@192.0.2.7:5070>", "sip:0309999@192.0.2.7:5070;user=phone"),
        (FROM, &[PAI, "Privacy: id"], true, HIDDEN, "sip:+4930123456@carrier.example"),
        (FROM, &[PAI, "Privacy: header;ID"], true, HIDDEN, "sip:+4930123456@carrier.example"),
        (FROM, &[PAI, "Privacy: user"], true, HIDDEN, "sip:+4930123456@carrier.example"),
        (
            FROM,
            &[PAI, "Privacy: none"],
            true,
            "\"Bob\" <sip:+4930123456@carrier.example>",
            "sip:+4930123456@carrier.example",
        ),
        (
            FROM,
            &["Privacy: id"],
            false,
            "\"Eve\" <sip:0309999@192.0.2.7:5070>",
            "sip:0309999@192.0.2.7:5070;user=phone",
        ),
        (HIDDEN, &[PAI], true, HIDDEN, "sip:+4930123456@carrier.example"),
        (HIDDEN, &[], true, HIDDEN, "sip:anonymous@anonymous.invalid"),
        (
            FROM,
            &["P-Asserted-Identity: <tel:+4930-123-456;ext=1>"],
            true,
            "<sip:+4930123456@192.0.2.7>",
            "sip:+4930123456@192.0.2.7",
        ),
        (
            FROM,
            &["P-Asserted-Identity: \"Bob, B\" <sip:bob@carrier.example>, <tel:+4930123456>"],
            true,
            "<sip:+4930123456@192.0.2.7>",
            "sip:+4930123456@192.0.2.7",
        ),
        (
            FROM,
            &["P-Asserted-Identity: nonsense <"],
            true,
            "\"Eve\" <sip:+49309999@192.0.2.7>",
            "sip:+49309999@192.0.2.7",
        ),
        ("<sip:112@192.0.2.7>", &[], true, "<sip:112@192.0.2.7>", "sip:112@192.0.2.7"),
    ];
    for (from, fields, of_trunk, shown, told) in rows {
        let trunk = trunk();
        let caller = Caller::new(NameAddr::parse(from).unwrap(), &headers(fields), of_trunk.then_some(&trunk));
        assert_eq!((caller.shown.text().as_str(), caller.told.as_str()), (*shown, *told), "{from} {fields:?}");
        assert_eq!(caller.origin.trunk.is_some(), *of_trunk);
        assert_eq!(caller.origin.private, *shown == HIDDEN);
    }
}

#[test]
fn a_trunk_that_registers_is_called_by_its_user() {
    let uri = |text: &str| Uri::parse(text).unwrap();
    let to = headers(&["To: <sip:030123@carrier.example>"]);
    assert_eq!(called(&trunk(), &uri("sip:account@10.0.0.1"), &to), "030123");
    assert_eq!(called(&trunk(), &uri("sip:030555@10.0.0.1"), &to), "030555");
    assert_eq!(called(&trunk(), &uri("sip:account@10.0.0.1"), &[]), "account");
    assert_eq!(called(&trunk(), &uri("tel:+49-30-5"), &to), "+49305");
}

#[test]
fn hops_count_down_from_what_came() {
    let hops = |fields: &[&str]| Caller::new(NameAddr::parse("<sip:a@b>").unwrap(), &headers(fields), None).origin.hops;
    assert_eq!((hops(&[]), hops(&["Max-Forwards: 12"]), hops(&["Max-Forwards: 300"])), (70, 12, 70));
}

#[test]
fn who_calls_out_is_shown_by_the_trunk_s_rules() {
    let server = crate::center::Server { host: "carrier.example".into(), port: Some(5070), transport: None };
    let of = |shows_caller, asserts, number: Option<&str>| Trunk {
        server: Some(server.clone()),
        identity: Identity { number: number.map(str::to_owned), shows_caller, asserts },
        ..trunk()
    };
    let origin =
        |number: Option<&str>, private| Origin { trunk: None, number: number.map(str::to_owned), private, hops: 70 };
    let (known, unknown) = (origin(Some("+4940555"), false), origin(None, false));
    let hidden = origin(Some("+4940555"), true);
    const OURS: &str = "<sip:+4930123@carrier.example>";
    const HIS: &str = "<sip:+4940555@carrier.example>";
    const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let ours = Some("+4930123");
    let rows: [(Trunk, &Origin, &str, Option<&str>, bool); 9] = [
        // trunk, caller, From, P-Asserted-Identity, Privacy
        (of(false, false, ours), &known, OURS, None, false),
        (of(false, true, ours), &known, OURS, Some(OURS), false),
        (of(false, true, ours), &hidden, OURS, Some(OURS), false),
        (of(true, false, ours), &known, HIS, None, false),
        (of(true, true, ours), &known, HIS, Some(HIS), false),
        (of(true, true, ours), &unknown, OURS, Some(OURS), false),
        (of(true, true, ours), &hidden, NOBODY, Some(HIS), true),
        (of(true, false, ours), &hidden, NOBODY, None, true),
        (of(false, false, None), &known, "<sip:account@carrier.example>", None, false),
    ];
    for (number, (trunk, origin, from, asserted, private)) in rows.into_iter().enumerate() {
        let (told, headers) = outgoing(&trunk, origin);
        assert_eq!(told.text(), from, "row {number}");
        assert_eq!(values(&headers, "P-Asserted-Identity").next(), asserted, "row {number}");
        assert_eq!(values(&headers, "Privacy").next(), private.then_some("id"), "row {number}");
    }
}

/// Nobody is shown as one of the house who has not proven it.
#[test]
fn our_own_host_is_for_who_has_proven_to_be_of_the_house() {
    let from = |text: &str| Caller::new(NameAddr::parse(text).unwrap(), &[], None);
    let there = "198.51.100.7".parse().unwrap();
    for (text, expect) in [
        ("\"Ada\" <sip:1001@center.example:5070>", "\"Ada\" <sip:1001@198.51.100.7>"),
        ("<sip:1001@198.51.100.7:5070>", "<sip:1001@198.51.100.7:5070>"),
    ] {
        let mut caller = from(text);
        caller.is_none_of_ours(there);
        assert_eq!(caller.shown.text(), expect);
    }
    let mut caller = from("\"Ada\" <sip:1002@center.example:5070;x=y>");
    caller.is_user("1001");
    assert_eq!(caller.shown.text(), "\"Ada\" <sip:1001@center.example>");
}
