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
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(String::from_utf8(offer(&local())).unwrap(), expect);
    let six = Local {
        address: "[2001:db8::1]:4000".parse().unwrap(),
        codecs: vec![Pcmu],
        telephone_event: false,
        direction: Inactive,
        ..local()
    };
    let expect = "v=0\r\no=- 7 3 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=inactive\r\n";
    assert_eq!(String::from_utf8(offer(&six)).unwrap(), expect);
}

#[test]
fn answers() {
    // What is offered, the m-line of our answer (`…` stands for the usual attributes), the session.
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
    for (offered, expect, session) in rows {
        let (text, got) = answer(&sdp(offered), &local()).unwrap_or_else(|e| panic!("{offered}: {e}"));
        assert_eq!(brief(&got), session, "{offered}");
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
        ("m=audio 5004 RTP/AVPF 0", Refusal::Profile("RTP/AVPF".into())),
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
fn mutated_descriptions_do_not_panic() {
    let seeds = [
        sdp(
            "m=video 6000 RTP/AVP 31; m=audio 5004/2 RTP/AVP 0 8 101; c=IN IP4 203.0.113.5; a=rtcp:5010 IN IP4 1.2.3.4; \
             a=rtpmap:101 telephone-event/8000; a=fmtp:101 0-16; a=ptime:20; a=sendonly",
        ),
        offer(&local()),
    ];
    let mut rng = Rng::from_number(4566);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..200_000 {
        let mut bytes = seeds[rng.below(2) as usize].clone();
        for _ in 0..1 + rng.below(4) {
            mutate(&mut bytes, &mut rng);
        }
        match answer(&bytes, &local()) {
            Ok((text, _)) => {
                taken += 1;
                assert!(sdp_types::Session::parse(&text).is_ok(), "our answer must be readable");
            }
            Err(_) => refused += 1,
        }
        let _ = accept(&seeds[1], &bytes);
    }
    assert!(taken > 10_000 && refused > 10_000, "{taken} taken, {refused} refused");
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    let end = (at + rng.below(12) as usize).min(bytes.len());
    match rng.below(5) {
        0 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
        1 => bytes.insert(at, b" =:/\r\n0-9a"[rng.below(10) as usize]),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() as u64 + 1) as usize;
            bytes.splice(to..to, piece);
        }
        _ if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        _ => {}
    }
}
