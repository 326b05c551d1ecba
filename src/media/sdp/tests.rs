//! Tables for offer and answer.

use super::*;
use crate::ids::Rng;
use Codec::{Pcma, Pcmu};
use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};

fn local() -> Local {
    Local {
        address: "192.0.2.1:4000".parse().unwrap(),
        codecs: vec![Pcma, Pcmu],
        session_id: 7,
        version: 3,
        direction: SendRecv,
        telephone_event: true,
        mux: true,
        protection: Protection::None,
        secret: None,
        agreed: None,
    }
}

/// A description with these lines after its head.
fn sdp(lines: &str) -> Vec<u8> {
    let head = "v=0\no=- 1 1 IN IP4 198.51.100.9\ns=call\nc=IN IP4 198.51.100.9\nt=0 0\n";
    format!("{head}{}\n", lines.replace("; ", "\n")).replace('\n', "\r\n").into_bytes()
}

fn brief(s: &Session) -> String {
    let receive: Vec<_> = s.receive.iter().map(|(p, c)| format!("{p}={}", c.name())).collect();
    format!(
        "{} {} send {}={} take {} events {:?}/{:?} {:?}",
        s.remote,
        s.remote_control.port(),
        s.send_payload,
        s.codec.name(),
        receive.join(","),
        s.send_events,
        s.receive_events,
        s.direction
    )
}

/// The m-lines and a-lines of our answer, in one line.
fn lines(text: &[u8]) -> String {
    let text = std::str::from_utf8(text).unwrap();
    let kept: Vec<_> = text.split("\r\n").filter(|l| l.starts_with("m=") || l.starts_with("a=")).collect();
    kept.join("; ")
}

#[test]
fn our_offer_to_the_byte() {
    let expect = "v=0\r\no=- 7 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp-mux\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(String::from_utf8(offer(&local())).unwrap(), expect);
    let six = Local {
        address: "[2001:db8::1]:4000".parse().unwrap(),
        codecs: vec![Pcmu],
        telephone_event: false,
        mux: false,
        direction: Inactive,
        ..local()
    };
    let expect = "v=0\r\no=- 7 3 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=inactive\r\n";
    assert_eq!(String::from_utf8(offer(&six)).unwrap(), expect);
}

#[test]
fn answers() {
    let rows = [
        (
            "m=audio 5004 RTP/AVP 0 8",
            "0 8",
            "198.51.100.9:5004 5005 send 0=PCMU take 0=PCMU,8=PCMA events None/None SendRecv",
        ),
        (
            "m=audio 5004 RTP/AVP 8 0",
            "8 0",
            "198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA,0=PCMU events None/None SendRecv",
        ),
        // Numbers are the offer's; names count, in any case; other clocks, channels and codecs do not.
        (
            "m=audio 5004 RTP/AVP 9 97 3 98 96; a=rtpmap:9 G722/8000; a=rtpmap:97 pcmu/8000/1; a=rtpmap:98 PCMA/16000; \
             a=rtpmap:96 Telephone-Event/8000; a=fmtp:96 0-16; a=ptime:30",
            "97 96",
            "198.51.100.9:5004 5005 send 97=PCMU take 97=PCMU events Some(96)/Some(96) SendRecv",
        ),
        // A telephone-event for a wide-band codec only is none for us.
        (
            "m=audio 5004 RTP/AVP 8 100; a=rtpmap:100 telephone-event/48000",
            "8",
            "198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA events None/None SendRecv",
        ),
        // The same codec twice; a static number that is given another meaning.
        (
            "m=audio 5004 RTP/AVP 8 111 0; a=rtpmap:111 PCMA/8000; a=rtpmap:0 L16/8000",
            "8",
            "198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA events None/None SendRecv",
        ),
        // Other streams are refused in place; the stream's own c= wins; RTCP elsewhere.
        (
            "m=video 6000 RTP/AVP 31; m=audio 5004 RTP/AVP 0; c=IN IP4 203.0.113.5; a=rtcp:5010; m=audio 7000 RTP/AVP 8",
            "video 0|0|audio 0",
            "203.0.113.5:5004 5010 send 0=PCMU take 0=PCMU events None/None SendRecv",
        ),
        // The first stream that we can take.
        (
            "m=audio 0 RTP/AVP 0; m=audio 5004 RTP/SAVP 0; m=audio 5006 RTP/AVP 0; a=rtcp:5020 IN IP4 203.0.113.6",
            "audio 0|audio 0|0",
            "198.51.100.9:5006 5020 send 0=PCMU take 0=PCMU events None/None SendRecv",
        ),
    ];
    check_answers(&rows);
}

#[test]
fn what_goes_with_a_codec() {
    check_answers(&[
        // Comfort noise is agreed to, by whatever number, and is no codec.
        (
            "m=audio 5004 RTP/AVP 0 13 101; a=rtpmap:101 telephone-event/8000",
            "0 13 101",
            "198.51.100.9:5004 5005 send 0=PCMU take 0=PCMU events Some(101)/Some(101) SendRecv",
        ),
        (
            "m=audio 5004 RTP/AVP 8 98; a=rtpmap:98 CN/8000",
            "8 98",
            "198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA events None/None SendRecv",
        ),
        // telephone-event at both clocks: the one of our codecs' clock.
        (
            "m=audio 5004 RTP/AVP 96 8 100 101; a=rtpmap:96 opus/48000/2; a=rtpmap:100 telephone-event/48000; \
             a=rtpmap:101 telephone-event/8000",
            "8 101",
            "198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA events Some(101)/Some(101) SendRecv",
        ),
        // We send 20 ms whatever is asked for, which everybody must take.
        (
            "m=audio 5004 RTP/AVP 8; a=ptime:30; a=maxptime:60",
            "8",
            "198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA events None/None SendRecv",
        ),
    ]);
}

/// What is offered, the m-line of our answer (`…` stands for the usual attributes), the session.
fn check_answers(rows: &[(&str, &str, &str)]) {
    for (offered, expect, session) in rows {
        let (text, got) = answer(&sdp(offered), &local()).unwrap_or_else(|e| panic!("{offered}: {e}"));
        assert_eq!(brief(&got), *session, "{offered}");
        let m: Vec<_> = std::str::from_utf8(&text).unwrap().split("\r\n").filter(|l| l.starts_with("m=")).collect();
        for (line, expect) in m.iter().zip(expect.split('|')) {
            let (start, end) = match expect.split_once(' ') {
                Some((media, "0")) if media.len() == 5 => (format!("m={media} 0 RTP/"), ""),
                _ => ("m=audio 4000 RTP/AVP ".to_string(), expect),
            };
            assert!(line.starts_with(&start) && line.ends_with(end), "{offered}: {line}");
        }
        assert_eq!(m.len(), expect.split('|').count(), "{offered}");
        sdp_types::Session::parse(&text).unwrap();
    }
}

#[test]
fn g722_by_its_number_and_by_its_name() {
    let wide = Local { codecs: Codec::ALL.to_vec(), ..local() };
    // RFC 3551 §4.5.2: its clock is 8 kHz, though it has 16,000 samples a second.
    for (offered, expect) in [
        ("m=audio 5004 RTP/AVP 9 0", "9=G722,0=PCMU"),
        ("m=audio 5004 RTP/AVP 0 9; a=rtpmap:9 G722/8000/1", "0=PCMU,9=G722"),
        ("m=audio 5004 RTP/AVP 110 8; a=rtpmap:110 g722/8000", "110=G722,8=PCMA"),
        ("m=audio 5004 RTP/AVP 9 8; a=rtpmap:9 G722/16000", "8=PCMA"),
    ] {
        let (text, session) = answer(&sdp(offered), &wide).unwrap();
        let receive: Vec<_> = session.receive.iter().map(|(p, c)| format!("{p}={}", c.name())).collect();
        assert_eq!(receive.join(","), expect, "{offered}");
        assert_eq!(session.codec.name(), expect.split(['=', ',']).nth(1).unwrap());
        assert!(!expect.contains("G722") || lines(&text).contains("G722/8000"), "{offered}");
    }
    let ours = String::from_utf8(offer(&Local { codecs: vec![Codec::G722, Pcmu], ..local() })).unwrap();
    assert!(ours.contains("RTP/AVP 9 0 101\r\na=rtpmap:9 G722/8000\r\n"), "{ours}");
    let session = accept(ours.as_bytes(), &sdp("m=audio 5004 RTP/AVP 0")).unwrap();
    assert_eq!((session.codec, session.receive), (Pcmu, vec![(9, Codec::G722), (0, Pcmu)]));
}

/// RFC 8829: what a browser offers needs keys by DTLS and ICE; it is refused as a whole, with its reason, and nothing
/// of it is taken for an ordinary stream.
#[test]
fn a_browser_s_offer_is_refused() {
    let browser = "a=group:BUNDLE 0 1; a=msid-semantic: WMS; m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126; \
        c=IN IP4 0.0.0.0; a=rtcp:9 IN IP4 0.0.0.0; a=ice-ufrag:abcd; a=ice-pwd:0123456789012345678901; \
        a=fingerprint:sha-256 00:11; a=setup:actpass; a=mid:0; a=sendrecv; a=rtcp-mux; a=rtpmap:111 opus/48000/2; \
        a=rtpmap:9 G722/8000; a=rtpmap:0 PCMU/8000; m=video 9 UDP/TLS/RTP/SAVPF 96; c=IN IP4 0.0.0.0; a=mid:1";
    for protection in [Protection::None, Protection::Optional, Protection::Required] {
        let secret = Some(Secret::draw(&mut Rng::from_number(1)));
        let local = Local { protection, secret, codecs: Codec::ALL.to_vec(), ..local() };
        let refusal = answer(&sdp(browser), &local).unwrap_err();
        assert_eq!(refusal, Refusal::Profile("UDP/TLS/RTP/SAVPF".into()), "{protection:?}");
        assert!(refusal.to_string().contains("not spoken here"));
    }
    // Beside a stream that can be taken, it is refused in place.
    let both = format!("{browser}; m=audio 5004 RTP/AVP 0");
    let (text, _) = answer(&sdp(&both), &local()).unwrap();
    assert!(lines(&text).starts_with("m=audio 0 UDP/TLS/RTP/SAVPF 111"), "{}", lines(&text));
}

#[test]
fn an_answer_to_the_byte() {
    let offered = b"v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=5 6\r\n\
        m=audio 5004 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n\
        m=text 5006 RTP/AVP 98\r\n";
    let (text, _) = answer(offered, &local()).unwrap();
    let expect = "v=0\r\no=- 7 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=5 6\r\n\
        m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\nm=text 0 RTP/AVP 98\r\n";
    assert_eq!(String::from_utf8(text).unwrap(), expect);
}

#[test]
fn directions_of_an_answer() {
    let audio = "m=audio 5004 RTP/AVP 0";
    let rows = [
        (format!("{audio}; a=sendonly"), SendRecv, RecvOnly),
        (format!("{audio}; a=recvonly"), SendRecv, SendOnly),
        (format!("{audio}; a=inactive"), SendRecv, Inactive),
        (format!("{audio}; a=sendrecv"), SendOnly, SendOnly),
        (format!("{audio}; a=sendonly"), SendOnly, Inactive),
        (audio.to_string(), Inactive, Inactive),
        (format!("a=sendonly; {audio}"), SendRecv, RecvOnly),
        (format!("a=sendonly; {audio}; a=sendrecv"), SendRecv, SendRecv),
        // The old hold.
        (format!("{audio}; c=IN IP4 0.0.0.0"), SendRecv, RecvOnly),
    ];
    for (offered, ours, expect) in rows {
        let (text, session) = answer(&sdp(&offered), &Local { direction: ours, ..local() }).unwrap();
        assert_eq!(session.direction, expect, "{offered}");
        assert!(lines(&text).to_lowercase().ends_with(&format!("a={expect:?}").to_lowercase()), "{offered}");
    }
}

#[test]
fn refusals() {
    let rows = [
        ("m=video 5004 RTP/AVP 31", Refusal::NoAudio),
        ("m=audio 0 RTP/AVP 0", Refusal::NoAudio),
        ("", Refusal::NoAudio),
        ("m=audio 5004 RTP/AVP 9 18", Refusal::NoCodec),
        ("m=audio 5004 udp 0", Refusal::Profile("udp".into())),
        ("m=audio 5004 RTP/SAVP 0; m=audio 5004 UDP/TLS/RTP/SAVPF 0", Refusal::Profile("UDP/TLS/RTP/SAVPF".into())),
        ("m=audio 5004 RTP/AVP 0; c=IN IP4 phone.example.com", Refusal::Address("phone.example.com".into())),
        ("m=audio 5004 RTP/AVP 0; c=IN IP6 2001:db8::9", Refusal::Address("2001:db8::9".into())),
        ("m=audio 5004 RTP/AVP 0; c=IN IP4 224.2.1.1/127", Refusal::Address("224.2.1.1/127".into())),
        ("m=audio 5004 RTP/AVP 0; c=IN IP4 224.2.1.1", Refusal::Address("224.2.1.1".into())),
    ];
    for (offered, expect) in rows {
        assert_eq!(answer(&sdp(offered), &local()).unwrap_err(), expect, "{offered}");
    }
    for malformed in
        [&b""[..], b"hello", b"v=1\r\n", b"v=0\r\nm=audio x RTP/AVP 0\r\n", b"v=0\r\nc=IN\r\n", &[b'v'; 20_000]]
    {
        let refusal = answer(malformed, &local()).unwrap_err();
        assert!(matches!(&refusal, Refusal::Malformed(why) if !why.is_empty()), "{refusal:?}");
    }
    // No connection address at all.
    let none = b"v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n";
    assert_eq!(answer(none, &local()).unwrap_err(), Refusal::Address(String::new()));
    // Other codecs than ours, and a name that is not UTF-8.
    assert_eq!(
        answer(&sdp("m=audio 5004 RTP/AVP 0"), &Local { codecs: vec![Pcma], ..local() }).unwrap_err(),
        Refusal::NoCodec
    );
    let latin =
        b"v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=B\xfcro\r\nc=IN IP4 198.51.100.9\r\nm=audio 5004 RTP/AVP 0\r\n";
    assert!(answer(latin, &local()).is_ok());
}

#[test]
fn answers_to_our_offer() {
    let rows = [
        (
            "m=audio 5004 RTP/AVP 0",
            SendRecv,
            Ok("198.51.100.9:5004 5005 send 0=PCMU take 8=PCMA,0=PCMU events None/None SendRecv"),
        ),
        (
            "m=audio 5004 RTP/AVP 0 8 101; a=rtpmap:101 telephone-event/8000",
            SendRecv,
            Ok("198.51.100.9:5004 5005 send 0=PCMU take 8=PCMA,0=PCMU events Some(101)/Some(101) SendRecv"),
        ),
        // Its own numbers: we send with them and take ours.
        (
            "m=audio 5004 RTP/AVP 99 96; a=rtpmap:99 PCMA/8000; a=rtpmap:96 telephone-event/8000; a=recvonly",
            SendRecv,
            Ok("198.51.100.9:5004 5005 send 99=PCMA take 8=PCMA,0=PCMU events Some(96)/Some(101) SendOnly"),
        ),
        (
            "m=audio 5004 RTP/AVP 8; a=sendrecv",
            SendOnly,
            Ok("198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA,0=PCMU events None/None SendOnly"),
        ),
        (
            "m=audio 5004 RTP/AVP 8; a=sendonly",
            SendOnly,
            Ok("198.51.100.9:5004 5005 send 8=PCMA take 8=PCMA,0=PCMU events None/None Inactive"),
        ),
        ("m=audio 0 RTP/AVP 0", SendRecv, Err(Refusal::NoAudio)),
        ("m=audio 5004 RTP/AVP 18", SendRecv, Err(Refusal::NoCodec)),
        ("", SendRecv, Err(Refusal::NoAudio)),
    ];
    for (answered, ours, expect) in rows {
        let our_offer = offer(&Local { direction: ours, ..local() });
        let got = accept(&our_offer, &sdp(answered)).map(|s| brief(&s));
        assert_eq!(got, expect.map(str::to_string), "{answered}");
    }
}

#[test]
fn two_of_us_agree() {
    for (mine, yours) in [(SendRecv, SendRecv), (SendOnly, SendRecv), (SendRecv, Inactive), (RecvOnly, SendRecv)] {
        let a = Local { direction: mine, ..local() };
        let b = Local { address: "192.0.2.2:6000".parse().unwrap(), codecs: vec![Pcmu], direction: yours, ..local() };
        let our_offer = offer(&a);
        let (text, theirs) = answer(&our_offer, &b).unwrap();
        let ours = accept(&our_offer, &text).unwrap();
        assert_eq!((ours.codec, theirs.codec), (Pcmu, Pcmu));
        assert_eq!((ours.remote, theirs.remote), (b.address, a.address));
        assert_eq!(ours.direction.sends(), theirs.direction.receives());
        assert_eq!(ours.direction.receives(), theirs.direction.sends());
        assert_eq!(ours.send_events, theirs.receive_events);
    }
}

#[test]
fn a_million_mutations_do_not_panic() {
    let seeds = [
        sdp(
            "m=video 6000 RTP/AVP 31; m=audio 5004/2 RTP/AVP 0 8 101; c=IN IP4 203.0.113.5; a=rtcp:5010 IN IP4 1.2.3.4; \
             a=rtpmap:101 telephone-event/8000; a=fmtp:101 0-16; a=ptime:20; a=sendonly",
        ),
        offer(&protected(Protection::Required)),
        offer(&local()),
    ];
    let mut rng = Rng::from_number(4566);
    let our_offer = offer(&protected(Protection::Required));
    let (mut taken, mut refused, mut accepted) = (0, 0, 0);
    let (ours, mut bytes) = (protected(Protection::Optional), Vec::new());
    for n in 0..1_000_000 {
        bytes.clone_from(&seeds[n % seeds.len()]);
        crate::media::mutation::mutate(&mut bytes, &mut rng);
        if n % 4 == 0 {
            accepted += u32::from(accept(&our_offer, &bytes).is_ok());
            continue;
        }
        match answer(&bytes, &ours) {
            Ok((text, _)) => {
                taken += 1;
                assert!(n % 8 != 1 || sdp_types::Session::parse(&text).is_ok(), "our answer must be readable");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken.min(refused).min(accepted) > 10_000, "{taken} taken, {refused} refused, {accepted} accepted");
}

fn protected(protection: Protection) -> Local {
    Local { protection, secret: Some(Secret::draw(&mut Rng::from_number(9))), ..local() }
}

/// Keys as a phone writes them: `80`, `32`, `128`, `256`; `?` is of a suite that is not known here.
fn keys(text: &str) -> String {
    let line = |(tag, name)| match name {
        "80" => format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{}|2^31", "A".repeat(40)),
        "32" => format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_32 inline:{}|2^31|1:1", "B".repeat(40)),
        "128" => format!("a=crypto:{tag} AEAD_AES_128_GCM inline:{}==", "C".repeat(37) + "A"),
        "256" => format!("a=crypto:{tag} AEAD_AES_256_GCM inline:{}=", "D".repeat(58) + "A"),
        _ => format!("a=crypto:{tag} F8_128_HMAC_SHA1_80 inline:{}", "A".repeat(40)),
    };
    (1..).zip(text.split_ascii_whitespace()).map(line).collect::<Vec<_>>().join("; ")
}

/// The profile that is agreed on, and the suite of the keys.
fn terms(session: &Session) -> String {
    let mut text = session.agreed.profile.name().to_owned();
    if let Some(security) = &session.security {
        assert_eq!(security.send.suite, security.receive.suite);
        assert_ne!(security.send.key, security.receive.key);
        text += &format!(" {:?}", security.receive.suite);
    }
    text
}

#[test]
fn profiles_and_keys_that_are_offered() {
    use Protection::{None as Never, Optional, Required};
    // The profile, the keys, what we do with each protection: `-` for a refusal.
    for (profile, offered, expect) in [
        ("RTP/AVP", "", [(Never, "RTP/AVP"), (Optional, "RTP/AVP"), (Required, "-")]),
        ("RTP/AVPF", "", [(Never, "RTP/AVPF"), (Optional, "RTP/AVPF"), (Required, "-")]),
        ("rtp/avp", "", [(Never, "RTP/AVP"), (Optional, "RTP/AVP"), (Required, "-")]),
        ("RTP/AVP", "80", [(Never, "RTP/AVP"), (Optional, "RTP/AVP AesCm80"), (Required, "RTP/AVP AesCm80")]),
        ("RTP/AVP", "?", [(Never, "RTP/AVP"), (Optional, "RTP/AVP"), (Required, "-")]),
        ("RTP/SAVP", "80 32", [(Never, "-"), (Optional, "RTP/SAVP AesCm80"), (Required, "RTP/SAVP AesCm80")]),
        ("RTP/SAVP", "? 32 80", [(Never, "-"), (Optional, "RTP/SAVP AesCm32"), (Required, "RTP/SAVP AesCm32")]),
        ("RTP/SAVPF", "256 128", [(Never, "-"), (Optional, "RTP/SAVPF Gcm256"), (Required, "RTP/SAVPF Gcm256")]),
        ("RTP/SAVP", "128 80", [(Never, "-"), (Optional, "RTP/SAVP Gcm128"), (Required, "RTP/SAVP Gcm128")]),
        ("RTP/SAVP", "", [(Never, "-"), (Optional, "-"), (Required, "-")]),
        ("RTP/SAVP", "?", [(Never, "-"), (Optional, "-"), (Required, "-")]),
        ("UDP/TLS/RTP/SAVPF", "80", [(Never, "-"), (Optional, "-"), (Required, "-")]),
    ] {
        for (protection, expect) in expect {
            let offered = sdp(&format!("m=audio 5004 {profile} 0; {}", keys(offered)));
            let got = answer(&offered, &protected(protection));
            let Ok((text, session)) = got else {
                let refused = got.unwrap_err();
                assert!(matches!(refused, Refusal::Protection(_) | Refusal::Profile(_)), "{refused}");
                assert_eq!(expect, "-", "{profile} {protection:?}");
                continue;
            };
            assert_eq!(terms(&session), expect, "{profile} {protection:?}");
            let text = lines(&text);
            assert!(text.starts_with(&format!("m=audio 4000 {} 0; ", session.agreed.profile.name())), "{text}");
            let crypto: Vec<_> = text.split("; ").filter_map(|line| line.strip_prefix("a=crypto:")).collect();
            let chosen = crypto.first().map(|line| Crypto::read(line).unwrap().keying);
            assert_eq!((chosen, crypto.len() <= 1), (session.security.map(|s| s.send), true), "{text}");
        }
    }
    // Without a secret nothing is encrypted.
    let offered = sdp(&format!("m=audio 5004 RTP/SAVP 0; {}", keys("80")));
    assert!(answer(&offered, &Local { secret: None, ..protected(Required) }).is_err());
    // The tag of the line that was chosen, and the identifier that its packets carry.
    let offered = sdp(&format!("m=audio 5004 RTP/SAVP 0; {}", keys("? 32 80")));
    let (text, session) = answer(&offered, &protected(Optional)).unwrap();
    assert!(lines(&text).contains("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"));
    let security = session.security.unwrap();
    assert_eq!((&security.receive.identifier[..], &security.send.identifier[..]), (&[1][..], &[][..]));
    // Another secret is another key; the same is the same.
    let other = Local { secret: Some(Secret::draw(&mut Rng::from_number(10))), ..protected(Optional) };
    assert_ne!(answer(&offered, &other).unwrap().1.security.unwrap().send, security.send);
    let again = answer(&offered, &protected(Required)).unwrap().1.security.unwrap();
    assert_eq!(again.send, security.send);
}

#[test]
fn answers_to_protected_offers() {
    use Protection::{None as Never, Optional, Required};
    // Our protection, the answer's profile, its keys; what is agreed on.
    for (ours, profile, answered, expect) in [
        (Never, "RTP/AVP", "", "RTP/AVP"),
        (Never, "RTP/AVP", "80", "RTP/AVP"), // nobody asked
        (Never, "RTP/SAVP", "80", "-"),
        (Optional, "RTP/AVP", "", "RTP/AVP"),
        (Optional, "RTP/AVP", "256", "RTP/AVP Gcm256"),
        (Optional, "RTP/AVP", "128", "-"), // tag 1 is the other one
        (Optional, "RTP/AVP", "?", "-"),
        (Optional, "RTP/SAVP", "256", "-"),
        (Required, "RTP/SAVP", "256", "RTP/SAVP Gcm256"),
        (Required, "RTP/SAVPF", "256", "RTP/SAVP Gcm256"),
        (Required, "RTP/SAVP", "", "-"),
        (Required, "RTP/SAVP", "80", "-"),
        (Required, "RTP/AVP", "", "-"),
    ] {
        let answered = sdp(&format!("m=audio 5004 {profile} 0; {}", keys(answered)));
        let got = accept(&offer(&protected(ours)), &answered).map_or("-".to_owned(), |session| terms(&session));
        assert_eq!(got, expect, "{ours:?} {profile}");
    }
    let third = sdp(&format!("m=audio 5004 RTP/SAVP 0; {}", keys("80").replace("crypto:1", "crypto:3")));
    assert_eq!(terms(&accept(&offer(&protected(Required)), &third).unwrap()), "RTP/SAVP AesCm80");
}

#[test]
fn two_of_us_agree_on_keys() {
    for (ours, theirs) in [(Protection::Required, Protection::Optional), (Protection::Optional, Protection::Required)] {
        let other = Local { secret: Some(Secret::draw(&mut Rng::from_number(10))), ..protected(theirs) };
        let our_offer = offer(&protected(ours));
        let (text, their_session) = answer(&our_offer, &other).unwrap();
        let (a, b) = (accept(&our_offer, &text).unwrap().security.unwrap(), their_session.security.unwrap());
        assert_eq!((&a.send, &a.receive), (&b.receive, &b.send));
    }
    let plain = Local { protection: Protection::None, ..protected(Protection::None) };
    assert!(answer(&offer(&protected(Protection::Required)), &plain).is_err());
    let our_offer = offer(&protected(Protection::Optional));
    let (text, session) = answer(&our_offer, &plain).unwrap();
    assert_eq!((session.security, accept(&our_offer, &text).unwrap().security), (None, None));
}

#[test]
fn later_offers_keep_what_was_agreed_on() {
    let offered = format!(
        "m=video 6000 RTP/AVP 31; m=audio 5004 RTP/SAVPF 0; {}; a=rtcp-mux; m=text 7000 RTP/AVP 98",
        keys("80")
    );
    let (text, session) = answer(&sdp(&offered), &protected(Protection::Optional)).unwrap();
    assert!(lines(&text).contains("a=rtcp-mux"));
    let next = Local { agreed: Some(session.agreed.clone()), ..protected(Protection::Optional) };
    let again = offer(&next);
    let text = lines(&again);
    let m: Vec<_> = text.split("; ").filter(|line| line.starts_with("m=")).collect();
    assert_eq!(m, ["m=video 0 RTP/AVP 31", "m=audio 4000 RTP/SAVPF 8 0 101", "m=text 0 RTP/AVP 98"]);
    assert!(text.contains("a=rtcp-mux") && text.contains("a=crypto:1 "));
    let answered =
        format!("m=video 0 RTP/AVP 31; m=audio 5004 RTP/SAVPF 0; {}; a=rtcp-mux; m=text 0 RTP/AVP 98", keys("256"));
    let second = accept(&again, &sdp(&answered)).unwrap();
    assert_eq!((second.agreed, second.security.is_some()), (session.agreed, true));
    assert_eq!(accept(&again, &sdp("m=video 0 RTP/AVP 31")).unwrap_err(), Refusal::NoAudio);
    // A peer that does not share its port gets none to share.
    let (_, plain) = answer(&sdp("m=audio 5004 RTP/AVP 0"), &local()).unwrap();
    assert_eq!(plain.agreed, Agreed::default());
}

#[test]
fn browsers_offers_are_refused_in_words() {
    let fingerprint = "a=fingerprint:sha-256 00:11; a=setup:actpass; a=ice-ufrag:x; a=ice-pwd:y; a=rtcp-mux; \
                       a=candidate:1 1 UDP 1 198.51.100.9 5004 typ host";
    for (profile, expect) in [
        ("UDP/TLS/RTP/SAVPF", "audio by \"UDP/TLS/RTP/SAVPF\", which is not spoken here"),
        ("RTP/SAVPF", "audio is encrypted, and no key in the description is of a kind that is known here"),
    ] {
        let offered = sdp(&format!("a=group:BUNDLE 0; m=audio 5004 {profile} 111 0; a=mid:0; {fingerprint}"));
        assert_eq!(answer(&offered, &protected(Protection::Optional)).unwrap_err().to_string(), expect);
    }
    // ICE alone is no reason: its writer is at the address of `c=` too (RFC 8445 §5.3 and its default candidate).
    let offered =
        sdp("m=audio 5004 RTP/AVP 0; a=ice-ufrag:x; a=ice-pwd:y; a=candidate:1 1 UDP 1 10.0.0.9 5004 typ host");
    assert!(!lines(&answer(&offered, &local()).unwrap().0).contains("ice"));
}

#[test]
fn the_event_of_the_right_clock_is_chosen() {
    let offered = "m=audio 5004 RTP/AVP 111 8 110 101; a=rtpmap:111 opus/48000/2; \
                   a=rtpmap:110 telephone-event/48000; a=rtpmap:101 telephone-event/8000";
    let (text, session) = answer(&sdp(offered), &local()).unwrap();
    assert_eq!((session.receive_events, session.send_payload), (Some(101), 8));
    assert!(!lines(&text).contains("48000"));
}

#[test]
fn addresses_that_need_not_be_reachable_are_taken() {
    // Private ones are as the peer sees itself; its packets show where it is.
    for address in ["10.0.0.7", "192.168.1.7", "100.64.0.7", "127.0.0.1"] {
        let offered = sdp(&format!("m=audio 5004 RTP/AVP 0; c=IN IP4 {address}; a=ptime:40; a=maxptime:60"));
        let (text, session) = answer(&offered, &local()).unwrap();
        assert_eq!(session.remote.ip().to_string(), address);
        assert!(lines(&text).contains("a=ptime:20"));
    }
}

/// RFC 5761 §5.1.1 and §4: what is offered, whether one port is agreed on, by whom who may share and who may not.
#[test]
fn one_port_is_shared_with_whoever_offers_it() {
    let events =
        |number| format!("m=audio 5004 RTP/AVP 0 {number}; a=rtpmap:{number} telephone-event/8000; a=rtcp-mux");
    for (offered, expect) in [
        ("m=audio 5004 RTP/AVP 0; a=rtcp-mux".to_owned(), true),
        ("m=audio 5004 RTP/AVP 0; a=rtcp:6000; a=rtcp-mux".to_owned(), true),
        ("m=audio 5004 RTP/AVP 0".to_owned(), false),
        ("m=video 6000 RTP/AVP 31; a=rtcp-mux; m=audio 5004 RTP/AVP 0".to_owned(), false), // another stream's
        // A number that looks like RTCP costs the port, not the number; one that nobody takes costs nothing.
        (events(63), true),
        (events(64), false),
        (events(95), false),
        (events(96), true),
        ("m=audio 5004 RTP/AVP 72; a=rtpmap:72 PCMU/8000; a=rtcp-mux".to_owned(), false),
        ("m=audio 5004 RTP/AVP 0 70; a=rtpmap:70 CN/8000; a=rtcp-mux".to_owned(), false),
        ("m=audio 5004 RTP/AVP 0 70; a=rtpmap:70 iLBC/8000; a=rtcp-mux".to_owned(), true),
    ] {
        for may in [true, false] {
            let local = Local { mux: may, ..local() };
            let (text, session) = answer(&sdp(&offered), &local).unwrap();
            assert_eq!(session.agreed.mux, expect && may, "{offered} {may}");
            assert_eq!(lines(&text).contains("a=rtcp-mux"), expect && may, "{offered} {may}");
            let numbers = offered.contains("telephone-event");
            assert_eq!(session.receive_events.is_some(), numbers, "{offered}");
        }
    }
}

#[test]
fn one_port_is_shared_with_whoever_answers_so() {
    // Whether we offer it, the answer, whether it is agreed on and what is understood then.
    for (may, answered, expect) in [
        (true, "m=audio 5004 RTP/AVP 0; a=rtcp-mux", Ok((true, "0=PCMU"))),
        (true, "m=audio 5004 RTP/AVP 0", Ok((false, "0=PCMU"))),
        (false, "m=audio 5004 RTP/AVP 0; a=rtcp-mux", Ok((false, "0=PCMU"))), // nobody asked (RFC 8035)
        // Numbers that we would send and that look like RTCP.
        (true, "m=audio 5004 RTP/AVP 72 8; a=rtpmap:72 PCMU/8000; a=rtcp-mux", Ok((true, "8=PCMA"))),
        (true, "m=audio 5004 RTP/AVP 72; a=rtpmap:72 PCMU/8000; a=rtcp-mux", Err(Refusal::NoCodec)),
        (true, "m=audio 5004 RTP/AVP 72; a=rtpmap:72 PCMU/8000", Ok((false, "72=PCMU"))),
    ] {
        let ours = offer(&Local { mux: may, ..local() });
        assert_eq!(lines(&ours).contains("a=rtcp-mux"), may);
        let got = accept(&ours, &sdp(answered));
        let got = got.map(|s| (s.agreed.mux, format!("{}={}", s.send_payload, s.codec.name())));
        assert_eq!(got, expect.map(|(mux, sends)| (mux, sends.to_owned())), "{answered}");
    }
    let keys = "m=audio 5004 RTP/AVP 0 95; a=rtpmap:95 telephone-event/8000; a=rtcp-mux";
    let session = accept(&offer(&local()), &sdp(keys)).unwrap();
    assert_eq!((session.agreed.mux, session.send_events), (true, None));
}

/// What is agreed on is offered again, and an offer of the other side may change it in mid-call.
#[test]
fn one_port_is_dropped_and_taken_up_again() {
    let mut agreed = None;
    for (offered, expect) in [("a=rtcp-mux", true), ("a=ptime:20", false), ("a=rtcp-mux", true)] {
        let local = Local { agreed, ..local() };
        let (_, session) = answer(&sdp(&format!("m=audio 5004 RTP/AVP 0; {offered}")), &local).unwrap();
        assert_eq!(session.agreed.mux, expect);
        let next = Local { agreed: Some(session.agreed.clone()), ..local };
        assert_eq!(lines(&offer(&next)).contains("a=rtcp-mux"), expect);
        agreed = Some(session.agreed);
    }
}
