//! Whom an agent's caller gets next, where he is passed on.

use super::coded::{bench_of, talk};
use super::phones::passes;
use super::{AGENT, Bench, OFFER, authorization, register};
use std::time::Duration;
use tierline::acd::Place;
use tierline::center::Membership;
use tierline::command::{Actor, Ask, Command, Refusal, Verb};
use tierline::engine::{Configuration, Input};
use tierline::event::What;
use tierline::ids::{AgentId, QueueId};
use tierline::media;
use tierline::sim::place;
use tierline::sip::{self, Flow};

const ADA: AgentId = AgentId(1001);
const BOB: AgentId = AgentId(1002);

/// Two agents at work, in this order.
fn two(configuration: Configuration) -> Bench {
    let mut bench = bench_of(configuration);
    let other = |text: String| {
        text.replace("1001", "1002").replace("r@192.0.2.9", "s@192.0.2.9").replace("z9hG4bKr", "z9hG4bKs")
    };
    let contact = AGENT.replace("5062", "5072");
    bench.after(20).datagram(&other(register(1, &contact, "")));
    let proof = authorization(&bench);
    bench.after(20).datagram(&other(register(2, &contact, &proof)));
    bench
}

fn serve(bench: &mut Bench, agent: AgentId, verb: Verb) -> Option<Result<(), Refusal>> {
    bench.replies.clear();
    let ask = Ask::Serve { agent, call: None, verb };
    bench.after(20).tell(Input::Command { id: 1, command: Command { actor: Actor::Agent(agent), ask } });
    bench.replies.pop()
}

fn dispatch(bench: &mut Bench, queue: &str) {
    let verb = Verb::Dispatch { queue: QueueId::new(queue), skills: Default::default(), priority: 0 };
    assert_eq!(serve(bench, ADA, verb), Some(Ok(())));
}

/// Where the caller waits.
fn waits_at(bench: &Bench) -> Place {
    bench.engine.calls().find_map(|call| call.seeking.as_ref()).expect("a caller who waits").place.clone()
}

fn member(configuration: &mut Configuration, agent: AgentId, queue: &str) {
    let queues = &mut configuration.center.agents.get_mut(&agent).expect("an agent").queues;
    queues.insert(QueueId::new(queue), Membership::default());
}

/// Nobody is left out of a queue that is not his: there is nothing to look after then.
#[test]
fn only_who_serves_the_queue_is_spared_whom_he_sends_there() {
    for (queue, expect) in [("support", [ADA].into()), ("sales", Default::default())] {
        let mut configuration = place::configuration(2);
        member(&mut configuration, BOB, "sales");
        configuration.center.agents.get_mut(&ADA).expect("an agent").queues.remove(&QueueId::new("sales"));
        let mut bench = two(configuration);
        talk(&mut bench);
        dispatch(&mut bench, queue);
        assert_eq!(waits_at(&bench).excluded, expect, "{queue}");
    }
}

/// What he needs is relaxed by what he has waited: the talk does not count, nor the phone that rang in vain.
#[test]
fn what_was_talked_relaxes_nothing_where_a_transfer_is_not_taken() {
    let mut bench = two(place::configuration(2));
    talk(&mut bench);
    passes(&mut bench, 20);
    let before = bench.now;
    assert_eq!(serve(&mut bench, ADA, Verb::ToAgent(BOB)), Some(Ok(())));
    let place = waits_at(&bench);
    assert_eq!(place.only, Some(BOB));
    assert!(before.since(place.since) < Duration::from_secs(1), "{place:?} at {before:?}");
}

/// The same where a number is busy, and he comes back.
#[test]
fn what_was_talked_relaxes_nothing_where_nobody_is_reached_outside() {
    const CARRIER: &str = "192.0.2.21:5060";
    let mut configuration = place::configuration(2);
    place::add_vendor(&mut configuration, &[("first".to_owned(), CARRIER.parse().expect("an address"))]);
    configuration.center.queues.values_mut().for_each(|queue| queue.transfers = vec!["+49".to_owned()]);
    let mut bench = two(configuration);
    talk(&mut bench);
    passes(&mut bench, 20);
    let before = bench.now;
    assert_eq!(serve(&mut bench, ADA, Verb::ToNumber(place::VENDOR.to_owned())), Some(Ok(())));
    let port = *bench.opened.last().expect("a port for who is called");
    bench.after(2).tell(Input::Media(media::Event::Opened { port, local: "192.0.2.1:20004".parse().unwrap() }));
    let invite = bench.sent.iter().rfind(|sent| sent.starts_with("INVITE")).expect("an INVITE").clone();
    let fields = ["Via:", "From:", "Call-ID:", "CSeq:", "To:"];
    let copied = fields.map(|name| invite.lines().find(|line| line.starts_with(name)).expect("a field")).join("\r\n");
    let bytes = format!("SIP/2.0 486 Busy Here\r\n{copied};tag=c\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let flow = Flow::udp(0, CARRIER.parse().expect("an address"));
    bench.after(20).tell(Input::Sip(sip::Input::Received { flow, bytes }));
    let place = waits_at(&bench);
    assert!(before.since(place.since) < Duration::from_secs(1), "{place:?} at {before:?}");
}

/// The phone that was rung last answers.
fn answers(bench: &mut Bench) {
    let length = OFFER.len() + OFFER.lines().count();
    responds(bench, "200 OK", &format!("Content-Type: application/sdp\nContent-Length: {length}\n\n{OFFER}"));
}

/// The phone that is to be rung gets its INVITE, and responds.
fn responds(bench: &mut Bench, status: &str, rest: &str) {
    let port = *bench.opened.last().expect("a port for the agent");
    bench.after(2).tell(Input::Media(media::Event::Opened { port, local: "192.0.2.1:20004".parse().unwrap() }));
    let invite = bench.sent.iter().rfind(|sent| sent.starts_with("INVITE")).expect("an INVITE").clone();
    let fields = ["Via:", "From:", "Call-ID:", "CSeq:", "To:"];
    let copied = fields.map(|name| invite.lines().find(|line| line.starts_with(name)).expect("a field")).join("\n");
    let rest = if rest.is_empty() { "Content-Length: 0\n\n" } else { rest };
    bench.after(20).datagram(&format!("SIP/2.0 {status}\n{copied};tag=other\nContact: <{AGENT}>\n{rest}"));
}

/// Whom the caller may be sent to outside is for the queue to say that he came from, whoever he was sent to meanwhile.
#[test]
fn the_queue_that_a_caller_came_from_says_where_he_may_be_sent() {
    for (allows, expect) in [("sales", Refusal::NotAllowed), ("support", Refusal::NoRoute)] {
        let mut configuration = place::configuration(2);
        let ada = configuration.center.agents.get_mut(&ADA).expect("an agent");
        ada.queues.retain(|queue, _| queue.as_str() == "support");
        let bob = configuration.center.agents.get_mut(&BOB).expect("an agent");
        bob.queues.clear();
        member(&mut configuration, BOB, "sales");
        for (name, queue) in &mut configuration.center.queues {
            queue.transfers = if name.as_str() == allows { vec!["+49".to_owned()] } else { Vec::new() };
        }
        let mut bench = two(configuration);
        talk(&mut bench);
        assert_eq!(serve(&mut bench, ADA, Verb::ToAgent(BOB)), Some(Ok(())));
        answers(&mut bench);
        assert_eq!(bench.count(|what| matches!(what, What::Established { agent: BOB, .. })), 1, "{:#?}", bench.events);
        let refused = serve(&mut bench, BOB, Verb::ToNumber("+4930123456".to_owned()));
        assert_eq!(refused, Some(Err(expect)), "{allows} lets callers be sent there");
    }
}

/// Whoever waits no longer than the phone of the one agent rings whom he was sent to leaves nothing in the line.
#[test]
fn a_wait_that_ends_while_the_one_agents_phone_rings_ends_once() {
    let mut configuration = place::configuration(2);
    for queue in configuration.center.queues.values_mut() {
        queue.max_wait = Duration::from_secs(10);
        assert!(queue.ring_timeout > queue.max_wait);
    }
    let mut bench = two(configuration);
    talk(&mut bench);
    assert_eq!(serve(&mut bench, ADA, Verb::ToAgent(BOB)), Some(Ok(())));
    let works = bench.count(|what| matches!(what, What::Queued { .. }));
    responds(&mut bench, "180 Ringing", "");
    for _ in 0..40 {
        bench.after(500).tell(Input::Timeout);
    }
    assert_eq!(bench.count(|what| matches!(what, What::Queued { .. })), works, "{:#?}", bench.events);
    assert_eq!(bench.engine.router().stats().waiting, 0, "{:#?}", bench.events);
}
