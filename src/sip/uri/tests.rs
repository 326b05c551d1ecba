//! What is read, what is refused, and what means the same.

use super::*;
use std::net::Ipv4Addr;

#[test]
fn uris_that_are_read_are_written_the_same() {
    let rows = [
        "sip:alice@atlanta.com",
        "sips:alice:secret@atlanta.com:5061;transport=tcp?subject=a&priority=urgent",
        "sip:[2001:db8::10]:5070;lr",
        "sip:192.0.2.1:5060",
        "sip:user;par=u%40example.net@example.com",
        "sip:*11#@10.0.0.1",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d(doesn't-it)@example.com",
        "sip:%00%00@host5.example.com",
        "tel:+1-201-555-0123;ext=7",
        "isbn:2983792873",
        "soap.beep://192.0.2.103:3002",
    ];
    for text in rows {
        assert_eq!(Uri::parse(text).map(|u| u.to_string()), Ok(text.to_owned()));
    }
    assert_eq!(Uri::parse("SIP:Bob@Biloxi.COM").unwrap().to_string(), "sip:Bob@biloxi.com");
}

#[test]
fn what_is_no_uri_is_refused() {
    let rows = [
        "",
        "sip",
        "sip:",
        "sip:@host",
        "sip:a@",
        "sip:a@b c",
        "<sip:a@b>",
        "sip:a@b;",
        "sip:a@b;;x",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:65536",
        "sip:a@b:+5",
        "sip:a@[::1",
        "sip:a@::1",
        "sip:a@1.2.3.400",
        "sip:%4@b",
        "sip:a%zz@b",
        "1sip:a@b",
        "tel:",
        "tel:+",
        "tel:abc xyz",
        "tel:12;",
        "other:",
        "sip:a@b@c",
        "sip:a@b;=c",
    ];
    for text in rows {
        assert_eq!(Uri::parse(text), Err(Misbehavior::Uri), "{text}");
    }
    let many = format!("sip:a@b{}", ";p".repeat(65));
    assert_eq!(Uri::parse(&many), Err(Misbehavior::Uri));
}

#[test]
fn parts_are_found() {
    let uri = Uri::parse("sip:+1%2d2;x=y:pw@[::1]:99;Transport=TCP;lr;%6C%61zy=1?a=b").unwrap();
    assert_eq!(uri.user_decoded(), "+1-2;x=y");
    assert_eq!((uri.password.as_deref(), uri.port, uri.transport()), (Some("pw"), Some(99), Some("TCP")));
    assert_eq!(uri.host.ip(), Some("::1".parse().unwrap()));
    assert_eq!((uri.params.value("LR"), uri.params.value("x"), uri.params.text("lazy")), (Some(None), None, Some("1")));
    assert_eq!(uri.headers, "a=b");
    assert_eq!(Uri::parse("tel:+1-(201)-555.0123").unwrap().user_decoded(), "+12015550123");
    assert_eq!(Uri::sip("a b@c", Host::Name("h".into()), None).to_string(), "sip:a%20b%40c@h");
    assert_eq!(Uri::sip("", Host::V4(Ipv4Addr::LOCALHOST), Some(5070)).to_string(), "sip:127.0.0.1:5070");
}

#[test]
fn equivalence_is_that_of_rfc_3261() {
    let rows = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            true,
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            true,
        ),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false),
        ("sip:a@b", "sips:a@b", false),
        ("sip:a@b", "sip:b", false),
        ("sip:a%3Bx@b", "sip:a;x@b", false),
        ("sip:a%3bx@b", "sip:a%3Bx@b", true),
        ("sip:%00@b", "sip:%00%00@b", false),
        ("sip:a@[::1]", "sip:a@[0:0::1]", true),
        ("sip:a:p@b", "sip:a@b", false),
        ("sip:a@b;%6C%72", "sip:a@b;lr", true),
        ("sip:a@b;user=phone;user=ip", "sip:a@b;user=phone;user=ip", true),
    ];
    for (a, b, expect) in rows {
        let (ua, ub) = (Uri::parse(a).unwrap(), Uri::parse(b).unwrap());
        assert_eq!((ua.equivalent(&ub), ub.equivalent(&ua)), (expect, expect), "{a} and {b}");
    }
}
