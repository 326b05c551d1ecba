//! The SIP wire layer against messages that other people made: every message of RFC 4475 has a row here, and
//! seeded mutations of them and of ordinary messages must neither panic nor change when written and read again, in
//! memory that is bounded by their length. Other parsers are put through what the fuzz targets (tests/fuzz) do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use tierline::ids::Rng;
use tierline::sip::digest::Credentials;
use tierline::sip::frame::Limits;
use tierline::sip::header::{Contacts, Name};
use tierline::sip::message::{Message, Misbehavior as M, Request, Response};

#[path = "torture/rows.rs"]
mod rows;

#[path = "fuzz/bodies/flow.rs"]
mod flow_body;
#[path = "fuzz/bodies/packets.rs"]
mod packets_body;
#[path = "fuzz/bodies/sdp.rs"]
mod sdp_body;
#[path = "fuzz/bodies/sip.rs"]
mod sip_body;

use rows::TORTURE;

fn torture() -> BTreeMap<String, Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture");
    let files = std::fs::read_dir(folder).expect("tests/torture can be read").map(|f| f.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "dat"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

fn parse(bytes: &[u8]) -> Result<Message, M> {
    Message::parse(bytes, &Limits::default()).map_err(|refusal| refusal.why)
}

fn request(bytes: &[u8]) -> Request {
    match parse(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

#[test]
fn every_torture_message_has_its_outcome() {
    let files = torture();
    let mut rows: Vec<&str> = TORTURE.iter().map(|(name, ..)| *name).collect();
    rows.sort_unstable();
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), rows, "a file without a row or the reverse");
    for (name, section, expect, _) in TORTURE {
        let outcome = Message::parse(&files[*name], &Limits::default());
        assert_eq!(outcome.as_ref().map(drop).map_err(|r| r.why), *expect, "{name}, RFC 4475 §{section}");
        let Err(refusal) = outcome else { continue };
        let is_response = ["scalarlg", "bigcode"].contains(name);
        assert_eq!(refusal.answer.is_none(), is_response || *name == "badinv01", "{name}: to be answered or not");
        if let Some(answer) = refusal.answer {
            assert_eq!(answer.status, refusal.why.status(), "{name}");
            assert!(answer.headers.top_via().is_ok(), "{name}");
        }
    }
}

#[test]
fn the_tortuous_invite_is_understood() {
    let invite = request(&torture()["wsinv"]);
    let headers = &invite.headers;
    let vias = headers.vias().unwrap();
    assert_eq!(
        vias.iter().map(|v| v.host.to_string()).collect::<Vec<_>>(),
        ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
    );
    assert_eq!(
        vias.iter().map(|v| v.branch().unwrap()).collect::<Vec<_>>(),
        ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    );
    assert_eq!((headers.cseq().unwrap().number, headers.max_forwards()), (9, Ok(Some(68))));
    assert_eq!((headers.from_tag(), headers.to_tag()), (Some("98asjd8"), Some("1918181833n")));
    assert_eq!(headers.from().unwrap().display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(headers.get(&Name::from("newfangledheader")), Some("newfangled value continued newfangled value"));
    assert_eq!(headers.get(&Name::from("UnknownHeaderWithUnusualValue")), Some(";;,,;;,;"));
    let contact = headers.contact().unwrap().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!((contact.params.text("newparam"), contact.params.text("q")), (Some("newvalue"), Some("0.33")));
    assert_eq!(headers.routes().unwrap()[0].uri.params.value("lr"), Some(None));
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn escapes_and_parameters_mean_what_rfc_4475_says() {
    let files = torture();
    let contacts = |name: &str| match request(&files[name]).headers.contacts() {
        Ok(Contacts::List(list)) => list,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(request(&files["esc01"]).uri.user_decoded(), "sips:user@example.com");
    assert_eq!(request(&files["esc01"]).headers.from().unwrap().uri.user_decoded(), "I have spaces");
    let odd = &contacts("esc01")[0].uri;
    assert_eq!((odd.user_decoded().as_str(), odd.params.has("lr"), odd.params.has("name")), ("caller", true, true));
    assert_eq!(request(&files["esc02"]).method.as_str(), "RE%47IST%45R");
    assert_eq!(contacts("escnull").iter().map(|c| c.uri.user_decoded().len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(request(&files["semiuri"]).uri.user_decoded(), "user;par=u@example.net");
    assert_eq!(request(&files["dblreq"]).body, b"");
    assert_eq!(request(&files["transports"]).headers.vias().unwrap()[3].transport, "UNKNOWN");
    let (outside, inside) = (&contacts("cparam01")[0], &contacts("cparam02")[0]);
    assert_eq!((outside.params.has("unknownparam"), outside.uri.params.has("unknownparam")), (true, false));
    assert_eq!((inside.params.has("unknownparam"), inside.uri.params.has("unknownparam")), (false, true));
    assert_eq!(contacts("regescrt")[0].uri.headers, "Route=%3Csip:sip.example.com%3E");
    assert_eq!(request(&files["inv2543"]).headers.top_via().unwrap().branch(), None);
    assert!(request(&files["mpart01"]).to_bytes().ends_with(&request(&files["mpart01"]).body));
    // RFC 4475 §3.1.2.15: the quotes that are missing around a display name are inferred.
    let watson = request(&[&files["baddn"][..], b"\r\n"].concat());
    assert_eq!(watson.headers.to().unwrap().display.as_deref(), Some("Watson, Thomas"));
    assert!(matches!(parse(&files["noreason"]), Ok(Message::Response(r)) if r.reason.is_empty() && r.status == 100));
    assert!(
        matches!(parse(&files["unreason"]), Ok(Message::Response(r)) if r.reason.starts_with("= 2**3 * 5**2 но сто"))
    );
}

const INVITE: &str = "INVITE sip:1000@127.0.0.1:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 127.0.0.1:5062;rport;branch=z9hG4bK-524287-1---a1b2c3\r\nMax-Forwards: 70\r\n\
    From: \"Ann\" <sip:ann@127.0.0.1>;tag=8f1c\r\nTo: <sip:1000@127.0.0.1>\r\nCall-ID: 3848276298220188511@127.0.0.1\r\n\
    CSeq: 1 INVITE\r\nContact: <sip:ann@127.0.0.1:5062;transport=udp>\r\nAllow: INVITE, ACK, CANCEL, BYE\r\n\
    Record-Route: <sip:p1.example.com;lr>, <sip:[2001:db8::1]:5080;lr>\r\nSupported: 100rel, timer\r\n\
    Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";

const REGISTER: &str = "REGISTER sip:example.com SIP/2.0\r\nv: SIP/2.0/TLS [2001:db8::9:255]:5061;branch=z9hG4bKaa\r\n\
    f: sip:17@example.com;tag=1\r\nt: sip:17@example.com\r\ni: a@b\r\nCSeq: 2 REGISTER\r\nMax-Forwards: 1\r\n\
    m: <sip:17@[2001:db8::9:255]>;expires=60;q=0.5;+sip.instance=\"<urn:uuid:0>\"\r\nExpires: 300\r\n\
    Authorization: Digest username=\"17\", realm=\"r\", nonce=\"n\", uri=\"sip:example.com\", \
    response=\"00\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\nl: 0\r\n\r\n";

const CHALLENGED: &str = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bK1;received=5.6.7.8;rport=9\r\n\
    From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n\
    WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\n\
    Retry-After: 120 (busy);duration=3\r\nContact: <tel:+1-201-555-0123;ext=7>\r\nContent-Length: 0\r\n\r\n";

#[test]
fn faults_of_requests_are_named_and_answered() {
    let rows: &[(&str, &str, M, u16)] = &[
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", M::Version, 505),
        ("SIP/2.0\r\nVia", "HTTP/1.1\r\nVia", M::StartLine, 400),
        ("sip:1000@", "mailto:1000@", M::UriScheme, 416),
        ("sip:1000@127.0.0.1:5060 ", "sip:1000@127.0.0.1:99999 ", M::Uri, 400),
        ("Call-ID: 3", "Call-ID: 3 4", M::CallId, 400),
        ("CSeq: 1 INVITE\r\n", "", M::CSeqMissing, 400),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", M::CSeqMethod, 400),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", M::Repeated, 400),
        ("Max-Forwards: 70", "Max-Forwards: 7O", M::MaxForwards, 400),
        ("Max-Forwards: 70", "Max Forwards: 70", M::HeaderField, 400),
        ("Max-Forwards: 70", ": 70", M::HeaderField, 400),
        ("Max-Forwards: 70", "nonsense", M::HeaderField, 400),
        ("Max-Forwards: 70", "Subject: a\rb", M::HeaderText, 400),
        ("<sip:1000@127.0.0.1>\r\n", "<sip:1000@127.0.0.1>;;\r\n", M::To, 400),
        ("<sip:p1.example.com;lr>", "<sip:p1.example.com;lr", M::RecordRoute, 400),
        ("Length: 5", "Length: 6", M::BodyTooShort, 400),
        ("Length: 5", "Length: 99999999999999999999", M::ContentLength, 400),
        ("\r\n\r\nv=0\r\n", "", M::HeaderEnd, 400),
    ];
    for (from, to, why, status) in rows {
        let broken = INVITE.replacen(from, to, 1);
        assert_ne!(broken, INVITE, "{from} is not there");
        let refusal = Message::parse(broken.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!((refusal.why, refusal.why.status()), (*why, *status), "{to}");
        let answer = refusal.answer.expect(to);
        assert_eq!((answer.status, answer.reason.as_str()), (*status, why.sentence()));
        assert_eq!(answer.headers.top_via().unwrap().branch(), Some("z9hG4bK-524287-1---a1b2c3"));
        let ack = broken.replace("INVITE", "ACK").into_bytes();
        assert!(Message::parse(&ack, &Limits::default()).is_err_and(|r| r.answer.is_none()), "an ACK gets no answer");
    }
    for dropped in [&b""[..], b"\r\n\r\n", b"\0", b"GET / HTTP/1.1", b"\xff\xfe\xfd", b"SIP/2.0\r\n\r\n"] {
        assert!(Message::parse(dropped, &Limits::default()).is_err_and(|r| r.answer.is_none()), "{dropped:?}");
    }
    let latin = INVITE.replace("Ann", "J\u{fc}rg").chars().map(|c| c as u8).collect::<Vec<u8>>();
    assert_eq!(parse(&latin), Err(M::HeaderText));
}

#[test]
fn status_lines() {
    let rows = [
        ("SIP/2.0 401 Unauthorized", Ok((401, "Unauthorized"))),
        ("sip/2.0 699", Ok((699, ""))),
        ("SIP/2.0 0200 OK", Err(M::Status)),
        ("SIP/2.0 +20 OK", Err(M::Status)),
        ("SIP/2.0 099 x", Err(M::Status)),
        ("SIP/2.0 700 x", Err(M::Status)),
        ("SIP/2.0  200 OK", Err(M::Status)),
        ("SIP/2.1 200 OK", Err(M::Version)),
        ("SIP/2.0", Err(M::Status)),
    ];
    for (line, expect) in rows {
        let outcome = match parse(CHALLENGED.replacen("SIP/2.0 401 Unauthorized", line, 1).as_bytes()) {
            Ok(Message::Response(response)) => Ok((response.status, response.reason)),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(why) => Err(why),
        };
        assert_eq!(outcome, expect.map(|(status, reason)| (status, reason.to_owned())), "{line}");
    }
}

#[test]
fn limits_are_kept() {
    let limits = Limits { message_bytes: 900, headers: 20, header_bytes: 200, uri_bytes: 100 };
    let refused = |text: String| {
        Message::parse(text.as_bytes(), &limits).map(drop).map_err(|r| (r.why, r.answer.map(|a| a.status)))
    };
    // The INVITE has 12 fields; the answer needs the first five, which come before the limit.
    let with = |fields: usize| INVITE.replacen("Allow", &format!("{}Allow", "a: b\r\n".repeat(fields - 12)), 1);
    assert_eq!(refused(with(20)), Ok(()));
    assert_eq!(refused(with(21)), Err((M::TooManyHeaderFields, Some(513))));
    let long = |bytes: usize| "x".repeat(bytes);
    assert_eq!(refused(INVITE.into()), Ok(()));
    assert_eq!(refused(INVITE.replacen("1000", &long(100), 1)), Err((M::UriTooLong, Some(414))));
    assert_eq!(refused(INVITE.replacen("Ann", &long(200), 1)), Err((M::HeaderFieldTooLong, Some(513))));
    assert_eq!(refused(INVITE.to_owned() + &long(900)), Err((M::MessageTooLong, Some(513))));
}

#[test]
fn responses_carry_what_the_request_asked_for() {
    let invite = request(INVITE.as_bytes());
    let trying = Response::to_request(&invite, 100, None);
    assert_eq!((trying.reason.as_str(), trying.headers.to_tag(), trying.headers.count()), ("Trying", None, 5));
    let busy = Response::to_request(&invite, 486, Some("7"));
    assert_eq!(busy.headers.to_tag(), Some("7"));
    let text = String::from_utf8(busy.to_bytes()).unwrap();
    assert!(text.starts_with("SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;rport;branch="), "{text}");
    assert!(text.ends_with("CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"), "{text}");
    let mut tagged = invite.clone();
    tagged.headers.set(Name::To, "<sip:a@b>;tag=theirs");
    assert_eq!(Response::to_request(&tagged, 200, Some("7")).headers.to_tag(), Some("theirs"));
    let mut injected = busy;
    injected.headers.push(Name::Subject, "a\r\nEvil: b");
    injected.reason = "x\r\n\r\n".into();
    let text = String::from_utf8(injected.to_bytes()).unwrap();
    assert!(
        text.starts_with("SIP/2.0 486 x")
            && text.contains("Subject: a  Evil: b\r\n")
            && text.matches("\r\n\r\n").count() == 1
    );
}

/// What `rsip` reads of the messages that we write is what we meant: an independent parser of clean messages.
#[test]
fn another_parser_reads_what_we_write() {
    use rsip::prelude::*;
    let theirs = rsip::Request::try_from(request(INVITE.as_bytes()).to_bytes()).unwrap();
    assert_eq!((theirs.method, theirs.uri.to_string().as_str()), (rsip::Method::Invite, "sip:1000@127.0.0.1:5060"));
    assert_eq!(theirs.via_header().unwrap().typed().unwrap().branch().unwrap().value(), "z9hG4bK-524287-1---a1b2c3");
    assert_eq!(theirs.from_header().unwrap().typed().unwrap().tag().unwrap().value(), "8f1c");
    assert_eq!(theirs.cseq_header().unwrap().seq().unwrap(), 1);
    assert_eq!(theirs.call_id_header().unwrap().value(), "3848276298220188511@127.0.0.1");
    let register = request(REGISTER.as_bytes()); // compact names are written out
    let theirs = rsip::Request::try_from(register.to_bytes()).unwrap();
    let auth = theirs.authorization_header().unwrap().typed().unwrap();
    let ours = Credentials::parse(register.headers.get(&Name::Authorization).unwrap()).unwrap();
    assert_eq!((auth.username, auth.response), (ours.username, ours.response));
}

/// Of SIP messages, in all; by threads side by side.
const MUTATIONS: u32 = 1_000_000;
const THREADS: u32 = 4;
/// Bytes of memory that one input may need at once: so many, and so many for each of its own.
const ROOM: usize = 64 << 10;
const ROOM_PER_BYTE: usize = 64;

/// The system's allocator, which also knows how much each thread holds, and has held at most.
struct Counting;

thread_local!(static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) });

fn hold(bytes: isize) {
    // A thread that is ending has no counters any more.
    _ = HELD.try_with(|held| {
        let now = held.get().0 + bytes;
        held.set((now, held.get().1.max(now)));
    });
}

// SAFETY: everything is the system's allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size() as isize);
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        hold(-(layout.size() as isize));
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` returns, and the most memory that it held at once, in bytes.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = work();
    (result, usize::try_from(HELD.get().1 - before).expect("a peak"))
}

#[test]
fn the_peak_of_memory_is_seen() {
    let (kept, bytes) = peak(|| {
        drop(vec![0u8; 100_000]);
        vec![0u8; 10]
    });
    assert!((100_000..101_000).contains(&bytes) && kept.len() == 10, "{bytes}");
}

/// One to three small accidents.
fn mutate(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    const BITS: &[&[u8]] = &[
        b"\r\n",
        b"\r\n ",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\"",
        b"<",
        b">",
        b";",
        b",",
        b":",
        b"=",
        b"@",
        b"%",
        b"%00",
        b"\\",
        b"[",
        b"]",
        b"*",
        b" ",
        b"\t",
        b"\0",
        b"\xff",
        b"\xc2\xa0",
        b"4294967296",
        b"-1",
        b"sip:",
        b"tel:",
        b"SIP/2.0",
        b"?",
    ];
    let pick = |rng: &mut Rng| seeds[rng.below(seeds.len() as u64) as usize].clone();
    let mut bytes = pick(rng);
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        let end = (at + rng.below(40) as usize).min(bytes.len());
        match rng.below(7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, pick(rng).into_iter().skip(at).take(60))),
            3 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            4 => drop(bytes.splice(at..end, BITS[rng.below(BITS.len() as u64) as usize].iter().copied())),
            5 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => drop(bytes.splice(at..at, BITS[rng.below(BITS.len() as u64) as usize].iter().copied())),
        }
    }
    bytes
}

#[test]
fn a_million_mutated_messages_neither_panic_nor_change_nor_need_much_memory() {
    let mut seeds: Vec<Vec<u8>> = torture().into_values().filter(|m| m.len() < 2_000).collect();
    for _ in 0..12 {
        seeds.extend([INVITE, REGISTER, CHALLENGED].map(|m| m.as_bytes().to_vec()));
    }
    let run = |thread: u32| {
        let (mut rng, mut read, mut refusals) = (Rng::from_number(4475 + u64::from(thread)), 0, BTreeSet::new());
        for _ in 0..MUTATIONS / THREADS {
            let bytes = mutate(&mut rng, &seeds);
            let (outcome, held) = peak(|| sip_body::run(&bytes));
            let allowed = ROOM + ROOM_PER_BYTE * bytes.len();
            assert!(held < allowed, "{held} bytes of memory for {}", bytes.escape_ascii());
            match outcome {
                Ok(()) => read += 1,
                Err(why) => _ = refusals.insert(why.name()),
            }
        }
        (read, refusals)
    };
    let results: Vec<(u32, BTreeSet<&str>)> = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    // The mutations reach everywhere: many still read, and nearly every fault that a datagram can have occurs.
    for (read, refusals) in results {
        assert!(read > MUTATIONS / THREADS / 10, "{read} read");
        assert!(refusals.len() > 22, "{refusals:?}");
    }
}

/// Mutations of the other parsers here; their own tests have a million each.
const OTHERS: u32 = 20_000;

#[test]
fn what_the_other_fuzz_targets_do_holds_for_mutations() {
    let flow = include_bytes!("../ivr-flows/support.toml").to_vec();
    let offer =
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
            .to_vec();
    let mut rtp = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    rtp.extend([0xff; 160]);
    let mut rtcp = vec![0x80, 200, 0, 6];
    rtcp.extend([7; 24]);
    let mut rng = Rng::from_number(3550);
    let mut talk = packets_body::Talk::new();
    let mut each = |seed: &Vec<u8>, run: &mut dyn FnMut(&[u8])| {
        run(seed);
        (0..OTHERS).for_each(|_| run(&mutate(&mut rng, std::slice::from_ref(seed))));
    };
    each(&flow, &mut flow_body::run);
    each(&offer, &mut sdp_body::run);
    each(&rtp, &mut |bytes| talk.rtp(bytes));
    each(&rtcp, &mut |bytes| talk.rtcp(bytes));
}
