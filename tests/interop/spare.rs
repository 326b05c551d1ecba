//! An agent with two phones, of which one is not there any more: the other one is rung, and heard.

use super::audio;
use super::harness::{GENEROUS, Ground};
use super::heard::{assert_whole_talk, heard_by, music_from};
use super::peers::{Sipp, Softphone, register};
use super::server::{Server, Wishes};

const CALLER: f64 = 600.0;
const AGENT: f64 = 1000.0;

#[test]
fn an_agent_whose_desk_phone_is_unplugged_is_reached_at_his_other_one() {
    let ground = Ground::new("spare_phone");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let softphone =
        Softphone { at: server.sip, user: "ada", hz: AGENT, registers: true, answers: true, ..Softphone::default() };
    let softphone = softphone.start(&ground);
    softphone.wait_registered();
    // The newer one, which is rung first, and nobody is there.
    let unplugged = register(&ground, &server, &["ada"]);
    let capture = ground.capture();
    let mut caller = Sipp { says: CALLER, seconds: 10.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!(call["phase"], "Connected", "{call}");
    assert_eq!(server.metrics()["tierline_router_offers_total"], 1.0, "one offer, whichever phone it was");
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 3, "{legs:?}");
    let (dead, agent) = (&legs[1], &legs[2]);
    assert_eq!((dead.sides.expect("an INVITE").1.port(), dead.answered), (unplugged, None));
    assert!(dead.began < agent.began, "nobody else was rung first: the test proves nothing");
    // Music until she answers.
    let (all, talk) = (legs[0].talk(), agent.talk());
    let heard = heard_by(&capture, &legs[0], &server);
    let music = heard.samples(all.0, talk.0);
    let right = audio::alike(&music, &music_from(&music)[..music.len()]) / 100.0;
    let frames = (music.len() / audio::FRAME) as f64;
    assert_whole_talk(&capture, &server, (&legs[0], agent), AGENT, right * frames);
}
