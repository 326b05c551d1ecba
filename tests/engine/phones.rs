//! An agent with several phones, some of which are not there any more.

use super::{Bench, authorization, call, register};
use tierline::engine::Input;
use tierline::event::{AgentMode, OfferOutcome, What};
use tierline::media;

/// Registers phones at these ports, each with how much he prefers it.
fn with_phones(phones: &[(u16, &str)]) -> Bench {
    let mut bench = Bench::new();
    for (number, (port, q)) in (1..).zip(phones) {
        let contact = format!("sip:1001@192.0.2.9:{port}");
        let from_phone = |text: String| {
            text.replace("r@192.0.2.9", &format!("r{number}@192.0.2.9"))
                .replace(&format!("<{contact}>"), &format!("<{contact}>;q={q}"))
        };
        bench.after(20).datagram(&from_phone(register(2 * number, &contact, "")));
        let proof = authorization(&bench);
        bench.after(20).datagram(&from_phone(register(2 * number + 1, &contact, &proof)));
    }
    bench
}

/// A caller for the agent, up to the first INVITE.
fn rings(bench: &mut Bench) {
    let port = call(bench);
    let digit = Input::Media(media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event });
    bench.after(200).tell(digit);
    let port = *bench.opened.last().expect("a port for the agent");
    bench.after(2).tell(Input::Media(media::Event::Opened { port, local: "192.0.2.1:20002".parse().unwrap() }));
}

/// The ports of the phones that have been rung, in order; sent again counts once.
fn rung(bench: &Bench) -> Vec<String> {
    let mut ports = Vec::new();
    for invite in bench.sent.iter().filter(|sent| sent.starts_with("INVITE sip:1001@192.0.2.9:")) {
        let port = invite["INVITE sip:1001@192.0.2.9:".len()..].split([' ', ';']).next().unwrap_or_default().to_owned();
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

/// The phone that was rung last answers.
fn answers(bench: &mut Bench, status: &str) {
    let invite = bench.sent.iter().rfind(|sent| sent.starts_with("INVITE sip:1001")).expect("an INVITE").clone();
    let field = |name: &str| invite.lines().find(|line| line.starts_with(name)).expect("a field").to_owned();
    let (via, from, to, call_id, cseq) =
        (field("Via:"), field("From:"), field("To:"), field("Call-ID:"), field("CSeq:"));
    let body = if status.starts_with('2') { super::OFFER } else { "" };
    let length = body.len() + body.lines().count();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    bench.after(20).datagram(&format!(
        "SIP/2.0 {status} Said\n{via}\n{from}\n{to};tag=phone\n{call_id}\n{cseq}\nContact: <sip:1001@192.0.2.9:5062>\n\
         {kind}Content-Length: {length}\n\n{body}"
    ));
}

pub fn passes(bench: &mut Bench, seconds: u64) {
    (0..seconds * 10).for_each(|_| bench.after(100).tell(Input::Timeout));
}

fn outcomes(bench: &Bench) -> Vec<OfferOutcome> {
    let outcome = |what: &What| if let What::OfferEnded { outcome, .. } = what { Some(*outcome) } else { None };
    bench.events.iter().filter_map(outcome).collect()
}

/// His desk phone, which he prefers, is unplugged; his softphone is there. One offer, and the caller has him after the four
/// seconds that a phone has to say that it is there.
#[test]
fn the_next_phone_is_rung_where_one_is_dead() {
    let mut bench = with_phones(&[(5070, "1.0"), (5080, "0.1")]);
    rings(&mut bench);
    assert_eq!(rung(&bench), ["5070"]);
    passes(&mut bench, 3);
    assert_eq!(rung(&bench), ["5070"], "it has four seconds");
    passes(&mut bench, 2);
    assert_eq!(rung(&bench), ["5070", "5080"]);
    answers(&mut bench, "200");
    assert_eq!(outcomes(&bench), [OfferOutcome::Accepted], "{:#?}", bench.events);
    assert_eq!(bench.count(|what| matches!(what, What::Delivered { .. })), 1);
    assert_eq!(bench.count(|what| matches!(what, What::Established { .. })), 1);
}

/// What a phone that is there says of the agent is said for all of them: he declines, or does not answer.
#[test]
fn a_phone_that_speaks_for_its_agent_ends_the_offer() {
    for (status, expect) in
        [("486", Some(OfferOutcome::Declined)), ("480", Some(OfferOutcome::NoAnswer)), ("503", None)]
    {
        let mut bench = with_phones(&[(5070, "1.0"), (5080, "0.1")]);
        rings(&mut bench);
        answers(&mut bench, status);
        // 503: whatever is on the way to that phone cannot reach it.
        let phones = if expect.is_none() { vec!["5070", "5080"] } else { vec!["5070"] };
        assert_eq!(
            (rung(&bench), outcomes(&bench)),
            (phones.into_iter().map(str::to_owned).collect(), expect.into_iter().collect())
        );
    }
}

/// None of them is there: each is rung once, and the offer ends.
#[test]
fn an_agent_none_of_whose_phones_is_there_is_unreachable() {
    let mut bench = with_phones(&[(5070, "1.0"), (5080, "0.1"), (5090, "0.2")]);
    rings(&mut bench);
    passes(&mut bench, 13);
    assert_eq!(rung(&bench), ["5070", "5090", "5080"]);
    assert_eq!(outcomes(&bench), [OfferOutcome::Unreachable], "{:#?}", bench.events);
    let ready = |what: &What| matches!(what, What::AgentStateChanged { to: AgentMode::Reserved, .. });
    assert_eq!(bench.count(ready), 1);
}
