//! What an agent has to write after a call: coding it in the talk, coding it later, and asking for time.

use super::{AGENT, Bench, OFFER, authorization, register};
use std::time::Duration;
use tierline::center::WrapUp;
use tierline::command::{Actor, Ask, Command, Refusal, Verb};
use tierline::engine::{Configuration, Input};
use tierline::event::{AgentMode, Cause, What};
use tierline::ids::{AgentId, QueueId};
use tierline::media;
use tierline::sim::place;
use tierline::time::Instant;

const ADA: AgentId = AgentId(1001);

/// A bench whose queue wraps up so.
pub fn bench(wrap_up: WrapUp) -> Bench {
    let mut configuration = place::configuration(1);
    configuration.center.queues.get_mut(&QueueId::new("support")).expect("a queue").wrap_up = wrap_up;
    bench_of(configuration)
}

/// The same with all that this says.
pub fn bench_of(configuration: Configuration) -> Bench {
    let mut bench = Bench::of(configuration);
    bench.datagram(&register(1, AGENT, ""));
    let proof = authorization(&bench);
    bench.after(20).datagram(&register(2, AGENT, &proof));
    bench
}

/// A caller has waited, and talks with 1001. The agent's BYE.
pub fn talk(bench: &mut Bench) -> String {
    let port = super::call(bench);
    let digit = Input::Media(media::Event::Digit { port, digit: '2', duration_ms: 40, way: media::Way::Event });
    bench.after(200).tell(digit);
    let port = *bench.opened.last().expect("a port for the agent");
    bench.after(2).tell(Input::Media(media::Event::Opened { port, local: "192.0.2.1:20002".parse().unwrap() }));
    let invite = bench.sent.last().filter(|sent| sent.starts_with("INVITE")).expect("an INVITE").replace("\r\n", "\n");
    let field = |name: &str| invite.lines().find(|line| line.starts_with(name)).expect("a field").to_owned();
    let (via, from, to, id, cseq) = (field("Via:"), field("From:"), field("To:"), field("Call-ID:"), field("CSeq:"));
    let length = OFFER.len() + OFFER.lines().count();
    bench.after(20).datagram(&format!(
        "SIP/2.0 200 OK\n{via}\n{from}\n{to};tag=phone\n{id}\n{cseq}\nContact: <{AGENT}>\n\
         Content-Type: application/sdp\nContent-Length: {length}\n\n{OFFER}"
    ));
    assert_eq!(bench.count(|what| matches!(what, What::Established { .. })), 1, "{:#?}", bench.events);
    let contact = field("Contact:");
    let target = contact.split(['<', '>']).nth(1).expect("where we are reached");
    let (we, he) = (from.replacen("From:", "To:", 1), to.replacen("To:", "From:", 1));
    format!(
        "BYE {target} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKbye;rport\n{he};tag=phone\n{we}\n{id}\n\
         CSeq: 1 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n"
    )
}

/// 1001 asks; the answer.
pub fn asks(bench: &mut Bench, ask: Ask) -> Option<Result<(), Refusal>> {
    bench.replies.clear();
    bench.after(20).tell(Input::Command { id: 1, command: Command { actor: Actor::Agent(ADA), ask } });
    bench.replies.pop()
}

pub fn codes(bench: &mut Bench) {
    let verb = Verb::Dispose { disposition: "solved".to_owned(), notes: String::new() };
    assert_eq!(asks(bench, Ask::Serve { agent: ADA, call: None, verb }), Some(Ok(())));
}

pub fn mode(bench: &Bench) -> Option<AgentMode> {
    bench.events.iter().rev().find_map(|what| match what {
        What::AgentStateChanged { to, .. } => Some(*to),
        _ => None,
    })
}

/// Coding may come before the end or after it; and it is a race which of the two, so both must free him. Who has not coded
/// is told so.
#[test]
fn a_call_that_is_coded_in_the_talk_leaves_no_notes_that_must_be_written() {
    let minute = Duration::from_secs(60);
    let (free, notes, owes) = (AgentMode::Ready, AgentMode::WrapUp, Err(Refusal::NotCoded));
    let ready = Ask::Ready { agent: ADA };
    for (wrap_up, coded, after, answer) in [
        (WrapUp::Mandatory, true, free, Ok(())),
        (WrapUp::Mandatory, false, notes, owes),
        (WrapUp::Limited(minute), true, free, Ok(())),
        (WrapUp::Limited(minute), false, notes, owes),
        (WrapUp::Optional(minute), true, notes, Ok(())),
        (WrapUp::Optional(minute), false, notes, Ok(())),
    ] {
        let mut bench = bench(wrap_up);
        let bye = talk(&mut bench);
        if coded {
            codes(&mut bench);
        }
        bench.after(200).datagram(&bye);
        assert_eq!(mode(&bench), Some(after), "{wrap_up:?}, coded: {coded}");
        assert_eq!(asks(&mut bench, ready.clone()), Some(answer), "{wrap_up:?}, coded: {coded}");
        let since = if answer == owes { notes } else { free };
        assert_eq!(mode(&bench), Some(since), "{wrap_up:?}, coded: {coded}");
        codes(&mut bench);
        assert_eq!(mode(&bench), Some(free), "{wrap_up:?}, coded: {coded}");
    }
}

/// At his phone too: he is not told that he is ready, which he is not.
#[test]
fn a_phone_does_not_say_ready_while_a_call_is_to_be_coded() {
    for (coded, sound) in [(true, "ready"), (false, "not-ready")] {
        let mut bench = bench(WrapUp::Mandatory);
        let bye = talk(&mut bench);
        if coded {
            codes(&mut bench);
        }
        bench.after(200).datagram(&bye);
        let dial = |branch, proof: &str| {
            super::invite("code", branch, "sip:1001@192.0.2.1", proof)
                .replace("sip:100@", &format!("sip:{}@", place::READY))
        };
        bench.after(20).datagram(&dial(1, ""));
        let proof = authorization(&bench);
        bench.after(20).datagram(&dial(2, &proof));
        super::open(&mut bench);
        let played = bench.told.iter().rev().find_map(|command| match command {
            media::Command::Play { source: media::Source::Once(sounds), .. } => Some(sounds[0]),
            _ => None,
        });
        let sounds = place::configuration(1).sounds;
        assert_eq!(played, Some(sounds[sound]), "coded: {coded}");
    }
}

/// Where wrap-up is on request an agent asks for it in the talk, and for more in it; elsewhere he has what the queue gives.
#[test]
fn an_agent_asks_for_time_to_write_notes() {
    let (ten, no, yes) = (Duration::from_secs(10), Err(Refusal::WrongState), Ok(()));
    // Asked in the talk for so many seconds, after it for more; how long he then has.
    for (wrap_up, first, second, seconds) in [
        (WrapUp::OnRequest(ten), None, None, 0),
        (WrapUp::OnRequest(ten), None, Some((30, no)), 0),
        (WrapUp::OnRequest(ten), Some((0, yes)), None, 10),
        (WrapUp::OnRequest(ten), Some((25, yes)), None, 25),
        (WrapUp::OnRequest(ten), Some((25, yes)), Some((30, yes)), 55),
        (WrapUp::Optional(ten), Some((0, yes)), None, 10),
        (WrapUp::Optional(ten), Some((25, yes)), None, 25),
        (WrapUp::Optional(ten), None, Some((30, yes)), 40),
        (WrapUp::Limited(ten), Some((25, no)), Some((30, no)), 10),
        (WrapUp::None, Some((25, no)), Some((30, no)), 0),
    ] {
        let mut bench = bench(wrap_up);
        let bye = talk(&mut bench);
        let more = |seconds| Ask::MoreTime { agent: ADA, time: Duration::from_secs(seconds) };
        if let Some((time, answer)) = first {
            assert_eq!(asks(&mut bench, more(time)), Some(answer), "{wrap_up:?} {first:?}");
        }
        bench.after(200).datagram(&bye);
        let over = bench.now;
        if let Some((time, answer)) = second {
            assert_eq!(asks(&mut bench, more(time)), Some(answer), "{wrap_up:?} {second:?}");
        }
        let row = format!("{wrap_up:?} {first:?} {second:?}");
        bench.now = Instant((over + Duration::from_secs(seconds)).0 - 1);
        bench.tell(Input::Timeout);
        assert_eq!(mode(&bench), Some(if seconds > 0 { AgentMode::WrapUp } else { AgentMode::Ready }), "{row}");
        bench.after(1).tell(Input::Timeout);
        assert_eq!(mode(&bench), Some(AgentMode::Ready), "{row}");
    }
}

/// We are wrong in the middle of what a desktop asks: that call ends, and whoever asked hears of it.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_panic_in_what_a_desktop_asks_ends_that_call_and_is_answered() {
    for verb in [Verb::Hold, Verb::HangUp] {
        let mut bench = bench(WrapUp::None);
        talk(&mut bench);
        bench.engine.plant(tierline::engine::Bug::PanicsAtTheDesk);
        let said = asks(&mut bench, Ask::Serve { agent: ADA, call: None, verb: verb.clone() });
        assert_eq!(said, Some(Err(Refusal::Defect)), "{verb:?}");
        assert!(bench.replies.is_empty(), "one answer");
        let defect = |what: &What| matches!(what, What::CallEnded { cause: Cause::Defect, .. });
        assert_eq!(bench.count(defect), 1, "{verb:?}: {:#?}", bench.events);
        assert_eq!(mode(&bench), Some(AgentMode::Ready), "{verb:?}");
        let again = asks(&mut bench, Ask::Serve { agent: ADA, call: None, verb: verb.clone() });
        assert_eq!(again, Some(Err(Refusal::NoSuchCall)), "{verb:?}");
    }
}
