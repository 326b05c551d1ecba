//! Whatever arrives: no panic, and nothing grows without bound.

use super::*;

/// What the storm is made from: whole calls, registrations, and the answers to them.
fn seeds() -> Vec<Vec<u8>> {
    let requests = [
        ask("INVITE", "1", SDP, "v=0"),
        ask("ACK", "1", "To: <sip:100@10.0.0.1>;tag=x\n", ""),
        ask("CANCEL", "1", "", ""),
        ask("BYE", "2", "To: <sip:100@10.0.0.1>;tag=x\nCSeq: 2 BYE\n", ""),
        ask("UPDATE", "3", &format!("To: <sip:100@10.0.0.1>;tag=x\nCSeq: 3 UPDATE\n{SDP}"), "v=0"),
        ask("REGISTER", "4", "To: <sip:1001@10.0.0.1>\nContact: *\nExpires: 0\n", ""),
        ask(
            "REGISTER",
            "5",
            "To: <sip:1001@10.0.0.1>\nAuthorization: Digest username=\"1001\", realm=\"test\", \
            nonce=\"00\", uri=\"sip:a\", response=\"00\", nc=00000001, cnonce=\"c\", qop=auth\n",
            "",
        ),
        ask("OPTIONS", "6", "Record-Route: <sip:p;lr>\nRequire: a\n", ""),
        ask("INFO", "7", "Reason: Q.850;cause=16;text=\"x\"\n", ""),
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK0-2\nFrom: <sip:a@b>;tag=1\n\
         To: <sip:c@d>;tag=2\nCall-ID: c1\nCSeq: 1 INVITE\nContact: <sip:x@y>\nContent-Length: 0\n\n"
            .to_owned(),
    ];
    requests.iter().map(|text| text.replace('\n', "\r\n").into_bytes()).collect()
}

fn mutate(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.below(4) {
        let place = rng.below(bytes.len().max(1) as u64) as usize;
        match rng.below(4) {
            0 => bytes.truncate(place),
            1 if !bytes.is_empty() => bytes[place] = rng.next_u32() as u8,
            2 => bytes.insert(place.min(bytes.len()), b"\r\n;,<>\"@:= 0"[rng.below(12) as usize]),
            _ => {
                let end = (place + rng.below(40) as usize).min(bytes.len());
                let piece = bytes[place.min(end)..end].to_vec();
                bytes.splice(place.min(end)..place.min(end), piece);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[test]
fn an_endpoint_in_a_storm() {
    let seeds = seeds();
    let mut rng = Rng::from_number(5);
    let mut config = config(HERE);
    config.users = ["1001".to_owned()].into();
    config.capacity = Capacity { transactions: 50, legs: 20, bindings_per_user: 2, queries: 10, ..Capacity::default() };
    let mut raw = Raw::new(config);
    let mut answered = 0;
    for _ in 0..30_000 {
        let seed = &seeds[rng.below(seeds.len() as u64) as usize];
        let bytes = mutate(seed, &mut rng);
        let mut outputs = raw.input(Input::Received { flow: Flow::udp(0, raw.from), bytes });
        // The other user: sometimes answers, sometimes hangs up, sometimes lets it ring.
        let invited = outputs.iter().find_map(|output| match output {
            Output::Event(Event::Invited { leg, .. }) => Some(*leg),
            _ => None,
        });
        if let Some(leg) = invited {
            let command = match rng.below(3) {
                0 => Command::Answer { leg, body: Body::sdp("v=0") },
                1 => Command::HangUp { leg, reason: None },
                _ => Command::Ring { leg, status: 180, body: None },
            };
            outputs.extend(raw.input(Input::Command(command)));
        }
        if let Some(Output::Verify { query, .. }) = outputs.iter().find(|o| matches!(o, Output::Verify { .. })) {
            outputs.extend(raw.input(Input::Verified { query: *query, ok: rng.chance(0.5) }));
        }
        outputs.extend(raw.run(rng.below(1_000)));
        for output in &outputs {
            // Answers to what could not be read repeat what was wrong; what we ask ourselves must be right.
            if let Output::Send { bytes, .. } = output {
                let is_answer = bytes.starts_with(b"SIP/2.0 ");
                assert!(is_answer || Message::parse(bytes, &Limits::default()).is_ok(), "{:?}", bytes.escape_ascii());
                answered += usize::from(is_answer);
            }
        }
        let stats = raw.endpoint.stats();
        assert!(stats.legs <= 20 && stats.transactions <= 150, "{stats:?}");
        assert!(raw.endpoint.transactions.adds_up(), "counts are those of the transactions");
    }
    assert!(answered > 10_000, "the storm was heard: {answered}");
}
