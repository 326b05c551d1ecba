//! RFC 3263 §4.1 and §4.2 as a table over a zone in memory, and RFC 2782's shares.

use super::*;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Lines `name TYPE data`; data as in a zone file, weights and priorities before the rest. `?` stands for data of which a
/// question gets no answer.
struct Zone(&'static str);

impl Zone {
    fn of<T>(&self, name: &str, kind: &str, read: impl Fn(Vec<&str>) -> T) -> Found<T> {
        let name = name.trim_end_matches('.');
        let words = self.0.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of = words.filter(|w| w.len() > 2 && w[0] == name && w[1] == kind).map(|w| w[2..].to_vec());
        of.map(|data| if data[0] == "?" { Err(Unanswered) } else { Ok(read(data)) }).collect()
    }
}

impl Records for Zone {
    async fn pointers(&self, name: &str) -> Found<Pointer> {
        let pointer = |w: Vec<&str>| Pointer {
            order: w[0].parse().unwrap(),
            preference: w[1].parse().unwrap(),
            flags: w[2].into(),
            service: w[3].into(),
            replacement: w[4].into(),
        };
        self.of(name, "NAPTR", pointer)
    }

    async fn services(&self, name: &str) -> Found<Service> {
        let service = |w: Vec<&str>| Service {
            priority: w[0].parse().unwrap(),
            weight: w[1].parse().unwrap(),
            port: w[2].parse().unwrap(),
            target: w[3].into(),
        };
        self.of(name, "SRV", service)
    }

    async fn addresses(&self, name: &str) -> Found<IpAddr> {
        let kinds = ["AAAA", "A"].map(|kind| self.of(name, kind, |w| w[0].parse().unwrap()));
        let found = kinds.iter().flatten().flatten().copied().collect::<Vec<_>>();
        if found.is_empty() && kinds.iter().any(Result::is_err) { Err(Unanswered) } else { Ok(found) }
    }

    fn is_local(&self, name: &str) -> bool {
        name == "pbx"
    }
}

const ZONE: &str = "\
    all.test NAPTR 20 10 s SIP+D2U _sip._udp.all.test
    all.test NAPTR 10 20 s SIP+D2T _sip._tcp.all.test
    all.test NAPTR 10 10 s SIPS+D2T _sips._tcp.all.test
    all.test NAPTR 5 5 s SIP+D2W _ws.all.test
    all.test NAPTR 5 5 u E2U+sip !x!y!
    _sip._udp.all.test SRV 1 0 5070 a.test
    _sip._tcp.all.test SRV 2 0 5072 b.test
    _sip._tcp.all.test SRV 1 0 5071 a.test
    _sips._tcp.all.test SRV 1 0 5073 a.test
    srv.test A 10.0.0.9
    _sip._tcp.srv.test SRV 1 0 5080 a.test
    _sip._udp.srv.test SRV 1 0 5081 a.test
    _sip._udp.none.test SRV 1 0 5060 .
    none.test A 10.0.0.8
    _sip._tcp.dead.test SRV 1 0 5060 gone.test
    dead.test A 10.0.0.7
    mute.test NAPTR ?
    _sip._tcp.mute.test SRV 1 0 5080 a.test
    mute.test A 10.0.0.6
    safe.test NAPTR 1 1 s SIPS+D2T _sips._tcp.safe.test
    _sips._tcp.safe.test SRV ?
    _sip._udp.safe.test SRV 1 0 5060 a.test
    safe.test A 10.0.0.5
    lost.test A 10.0.0.4
    _sip._tcp.lost.test SRV ?
    half.test A 10.0.0.3
    _sip._udp.half.test SRV ?
    _sip._tcp.half.test SRV 1 0 5080 a.test
    some.test A 10.0.0.3
    some.test AAAA ?
    _sip._udp.some.test SRV 1 0 5060 gone.test
    _sip._udp.some.test SRV 2 0 5060 still.test
    still.test A ?
    pbx A 10.0.0.2
    _sip._udp.pbx SRV ?
    _sip._tcp.pbx SRV ?
    _sips._tcp.pbx SRV ?
    a.test A 10.0.0.1
    b.test A 10.0.0.2
    b.test AAAA 2001:db8::2";

fn find(zone: &'static str, uri: &str) -> Result<Vec<String>, Unanswered> {
    let transports = BTreeSet::from([Transport::Udp, Transport::Tcp, Transport::Tls]);
    let names = Names::new(Zone(zone), transports, Rng::from_number(1));
    let uri = Uri::parse(uri).unwrap();
    let found = pin!(names.find(&uri));
    // Nothing here waits.
    let Poll::Ready(found) = found.poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
    Ok(found?.iter().map(|(transport, at)| format!("{} {at}", transport.as_str())).collect())
}

#[test]
fn names_lead_where_rfc_3263_says() {
    let rows: &[(&str, &[&str])] = &[
        // A port: no SRV, no NAPTR; UDP, TLS for SIPS, or what the URI says.
        ("sip:all.test:5090", &["UDP 10.0.0.1:5090"]),
        ("sip:a.test:5090", &["UDP 10.0.0.1:5090"]),
        ("sips:a.test:5090", &["TLS 10.0.0.1:5090"]),
        ("sip:a.test:5090;transport=tcp", &["TCP 10.0.0.1:5090"]),
        ("sip:b.test:1", &["UDP [2001:db8::2]:1", "UDP 10.0.0.2:1"]),
        // A transport: its SRV, else the default port.
        ("sip:all.test;transport=tcp", &["TCP 10.0.0.1:5071", "TCP [2001:db8::2]:5072", "TCP 10.0.0.2:5072"]),
        ("sip:srv.test;transport=udp", &["UDP 10.0.0.1:5081"]),
        ("sip:a.test;transport=tls", &["TLS 10.0.0.1:5061"]),
        ("sips:all.test;transport=tcp", &["TLS 10.0.0.1:5073"]),
        ("sip:a.test;transport=sctp", &[]),
        // NAPTR: the peer's order; what we do not speak is passed over.
        (
            "sip:all.test",
            &[
                "TLS 10.0.0.1:5073",
                "TCP 10.0.0.1:5071",
                "TCP [2001:db8::2]:5072",
                "TCP 10.0.0.2:5072",
                "UDP 10.0.0.1:5070",
            ],
        ),
        ("sips:all.test", &["TLS 10.0.0.1:5073"]),
        // No NAPTR: our order of SRV; no SRV: the address.
        ("sip:srv.test", &["UDP 10.0.0.1:5081", "TCP 10.0.0.1:5080"]),
        ("sips:srv.test", &["TLS 10.0.0.9:5061"]),
        ("sip:a.test", &["UDP 10.0.0.1:5060"]),
        // What SRV records say counts (RFC 2782: `.` is decidedly not there), and if it leads nowhere.
        ("sip:none.test", &[]),
        ("sip:none.test;transport=udp", &[]),
        ("sip:none.test;transport=tcp", &["TCP 10.0.0.8:5060"]),
        ("sip:dead.test", &[]),
        ("sip:dead.test;transport=udp", &["UDP 10.0.0.7:5060"]),
        ("sip:nowhere.test", &[]),
    ];
    for (uri, expect) in rows {
        // The row with a port at `all.test` needs an address of that name.
        let zone: &'static str = if uri.starts_with("sip:all.test:") { "all.test A 10.0.0.1" } else { ZONE };
        assert_eq!(find(zone, uri).unwrap(), *expect, "{uri}");
    }
}

/// What was not answered is not taken for what does not exist; what can be done without it is done.
#[test]
fn a_question_without_an_answer_leads_to_no_other_place() {
    let rows: &[(&str, Result<&[&str], Unanswered>)] = &[
        // Some name servers never answer NAPTR: our own order then.
        ("sip:mute.test", Ok(&["TCP 10.0.0.1:5080"])),
        // Not in the clear to who asks for TLS, nor to the host of the web.
        ("sip:safe.test", Err(Unanswered)),
        ("sip:lost.test;transport=tcp", Err(Unanswered)),
        ("sip:lost.test", Err(Unanswered)),
        ("sip:lost.test;transport=udp", Ok(&["UDP 10.0.0.4:5060"])),
        ("sip:half.test", Ok(&["TCP 10.0.0.1:5080"])),
        ("sip:some.test:5060", Ok(&["UDP 10.0.0.3:5060"])),
        ("sip:some.test;transport=udp", Err(Unanswered)),
        ("sip:still.test:5060", Err(Unanswered)),
        // A name of this machine or network has no services.
        ("sip:pbx", Ok(&["UDP 10.0.0.2:5060"])),
        ("sip:pbx;transport=tcp", Ok(&["TCP 10.0.0.2:5060"])),
    ];
    for (uri, expect) in rows {
        let expect = expect.map(|places| places.iter().map(|at| (*at).to_owned()).collect::<Vec<_>>());
        assert_eq!(find(ZONE, uri), expect, "{uri}");
    }
}

#[test]
fn weights_are_shares_of_first_places() {
    let service = |priority, weight, target: &str| Service { priority, weight, port: 1, target: target.into() };
    let services = vec![service(2, 0, "spare"), service(1, 30, "small"), service(1, 70, "large"), service(1, 0, "nil")];
    let (mut rng, mut first) = (Rng::from_number(7), std::collections::BTreeMap::<String, u32>::new());
    for _ in 0..10_000 {
        let ordered = in_order(services.clone(), |most| rng.below(most + 1));
        assert_eq!((ordered.len(), ordered[3].target.as_str()), (4, "spare"), "a lower priority comes first");
        *first.entry(ordered[0].target.clone()).or_default() += 1;
    }
    let share = |target: &str| first.get(target).copied().unwrap_or_default();
    assert!((6_700..7_200).contains(&share("large")), "{first:?}");
    assert!((2_750..3_250).contains(&share("small")), "{first:?}");
    assert!((1..300).contains(&share("nil")), "{first:?}");
}
