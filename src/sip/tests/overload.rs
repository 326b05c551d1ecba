//! A full endpoint: new calls are refused first, then other new work; calls that run go on to their end.

use super::*;
use crate::sip::header::Name;

/// Room for ten transactions.
fn full(over: Transport) -> (Raw, u32) {
    let mut config = config(HERE);
    config.listeners[0].transport = over;
    config.users = ["1001".to_owned()].into();
    config.capacity = Capacity { transactions: 10, ..Capacity::default() };
    let mut raw = Raw::new(config);
    let remote = THERE.parse().unwrap();
    raw.over = Some(Flow { listener: 0, transport: over, remote, connection: u64::from(over != Transport::Udp) });
    (raw, 0)
}

fn invite(raw: &mut Raw, number: u32) -> Vec<Output> {
    let text = ask("INVITE", &format!("n{number}"), SDP, "v=0").replace("Call-ID: c1", &format!("Call-ID: n{number}"));
    raw.send(&text)
}

fn leg_of(outputs: &[Output]) -> LegId {
    let invited = |output: &Output| match output {
        Output::Event(Event::Invited { leg, .. }) => Some(*leg),
        _ => None,
    };
    outputs.iter().find_map(invited).expect("a call")
}

#[test]
fn under_full_load_new_calls_go_first_and_running_calls_never() {
    for over in [Transport::Udp, Transport::Tcp] {
        let (mut raw, mut number) = full(over);
        // A call that runs.
        let outputs = invite(&mut raw, 0);
        raw.input(Input::Command(Command::Answer { leg: leg_of(&outputs), body: Body::sdp("answer") }));
        let tag = raw.endpoint.by_tag.sorted()[0].0.clone();
        let within = |raw: &mut Raw, method: &str, cseq: u32, more: &str, body: &str| {
            let dialog = format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: {cseq} {method}\n{more}");
            let text = ask(method, &format!("d{cseq}"), &dialog, body).replace("Call-ID: c1", "Call-ID: n0");
            raw.send(&text)
        };
        assert!(
            within(&mut raw, "ACK", 1, "", "").iter().any(|o| matches!(o, Output::Event(Event::Established { .. })))
        );
        // The flood: one call rings, so that there is one to cancel; the others are new calls until there is no room.
        let refused = loop {
            number += 1;
            let outputs = invite(&mut raw, number);
            match responses(&outputs).last().map(|response| response.status) {
                Some(100) => {}
                last => break (last, responses(&outputs).pop().unwrap()),
            }
            assert!(number < 1_000, "it is never full");
        };
        assert_eq!(refused.0, Some(503));
        assert_eq!(refused.1.headers.get(&Name::RetryAfter), Some("5"));
        // Other new work is still taken: phones keep their registrations while callers are sent away.
        let register = ask("REGISTER", "r", "To: <sip:1001@10.0.0.1>\n", "").replace("Call-ID: c1", "Call-ID: r");
        assert_eq!(statuses(&raw.send(&register)), [401]);
        for n in 0..100 {
            let options = ask("OPTIONS", &format!("o{n}"), "", "").replace("Call-ID: c1", &format!("Call-ID: o{n}"));
            raw.send(&options);
        }
        let options = ask("OPTIONS", "o", "", "").replace("Call-ID: c1", "Call-ID: o");
        // Over a stream an answered request is forgotten at once (timer J is zero): it takes no room.
        let expect = if over == Transport::Udp { 503 } else { 200 };
        assert_eq!(statuses(&raw.send(&options)), [expect], "then there is room for nothing new");
        assert_eq!(statuses(&invite(&mut raw, 2_000)), [503]);
        // Invented tags, and the ends of calls that there are not, take no room from those who run.
        for n in 0..100 {
            let astray = format!("To: <sip:100@10.0.0.1>;tag=x\nCSeq: {n} INVITE\n{SDP}");
            let refused = statuses(&raw.send(&ask("INVITE", &format!("b{n}"), &astray, "v=0")));
            assert_eq!(refused, [503], "a new call, whatever it says");
            let nothing = ask("CANCEL", &format!("e{n}"), "CSeq: 1 CANCEL\n", "");
            assert_eq!(statuses(&raw.send(&nothing)), [481]);
        }
        // The call that runs: keys, an offer, and its end; and one that rings can be given up.
        assert_eq!(statuses(&within(&mut raw, "INFO", 2, "Content-Type: application/dtmf\n", "5")), [200]);
        let offered = within(&mut raw, "INVITE", 3, SDP, "v=1");
        assert!(offered.iter().any(|output| matches!(output, Output::Event(Event::Offered { .. }))), "{offered:?}");
        assert!(statuses(&within(&mut raw, "BYE", 4, "", "")).contains(&200));
        let cancel = ask("CANCEL", "n1", "CSeq: 1 CANCEL\n", "").replace("Call-ID: c1", "Call-ID: n1");
        assert_eq!(statuses(&raw.send(&cancel)), [200, 487], "{over:?}");
        assert!(raw.endpoint.stats().overloads > if over == Transport::Udp { 90 } else { 1 });
        // Invented tags take no room from those who run.
        for n in 0..1_000 {
            let astray = format!("To: <sip:100@10.0.0.1>;tag=x\nCSeq: {n} INFO\n");
            assert_eq!(statuses(&raw.send(&ask("INFO", &format!("a{n}"), &astray, ""))), [481]);
        }
        raw.run(70_000);
        assert_eq!(statuses(&invite(&mut raw, 3_000)), [100], "and when it is over, calls are taken again");
    }
}
