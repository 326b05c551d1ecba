//! A router that takes the place of a broken one: whatever the broken one's tables said, people are where they were.

use super::*;
use crate::acd::Doing;

/// Runs the script, lets a new router take the place, and says what it tells first: outputs, then states.
fn anew(desk: &mut Desk, serving: &[u32]) -> (String, String) {
    let waiting = desk.router.works.values().map(|work| work.place.clone()).collect();
    let doing = |agent: AgentId| Doing { serves: serving.contains(&agent.0), outside: false };
    // What a bug may have left behind.
    desk.router.agents.values_mut().for_each(|agent| (agent.counted, agent.listed) = (!agent.counted, !agent.listed));
    assert!(desk.router.check().is_err());
    desk.outputs.clear();
    desk.router = desk.router.anew(desk.now, (&center(), Rng::from_number(1)), doing, waiting);
    desk.outputs.extend(std::iter::from_fn(|| desk.router.poll()).map(|output| (desk.now, output)));
    desk.router.check().unwrap();
    let outputs = desk.outputs.clone();
    let rings = desk.told(false);
    desk.outputs = outputs;
    (rings, desk.told(true))
}

#[test]
fn breaks_rests_notes_and_turns_are_as_they_were() {
    let mut desk = Desk::new();
    // 11 has not answered and rests; 12 talks and wants a break behind it; 13 writes notes; 14 has waited for long.
    desk.run("in 11; call 1 support; dead 1; leave 1; in 12; call 2 support; accept 2; pause 12 lunch");
    desk.run("@5; in 14; in 13; call 3 vip; more 13 40");
    desk.run("leave 3; pause 14 tea; @6; ready 14");
    let before: Vec<Agent> = desk.router.agents.values().cloned().collect();
    let (rings, states) = anew(&mut desk, &[12]);
    assert_eq!((rings.as_str(), states.as_str()), ("", ""), "nothing has changed");
    for old in before {
        let new = desk.router.agent(old.id).unwrap();
        let facts = |agent: &Agent| {
            let Agent { signed_in, reachable, pause, penalty, refusals, conversation, wrap_up, .. } = agent.clone();
            let turn = (agent.idle_since, agent.conversations, agent.talked, agent.state.clone(), agent.since);
            ((signed_in, reachable, pause, penalty), (refusals, conversation, wrap_up), turn)
        };
        assert_eq!(facts(new), facts(&old), "{}", old.id);
    }
    // The rest ends by itself, the break comes behind the talk and its notes.
    desk.run("@61; finish 12 support; @80");
    assert_eq!(desk.told(true), "@60; 11 Ready; @61; 12 WrapUp; @71; 12 not ready: lunch");
}

#[test]
fn who_waits_is_turned_away_by_nothing_and_keeps_his_time() {
    let mut desk = Desk::new();
    desk.run("call 1 sales; call 2 sales; call 3 sales; call 4 sales; call 5 sales again=1; @590");
    let (told, _) = anew(&mut desk, &[]);
    assert_eq!(told, "", "the line has four places");
    desk.run("@600; @620");
    let expired = desk.told(false);
    assert_eq!(expired.matches("expired").count(), 5, "ten minutes from when they came: {expired}");
    // Nobody has been at work for a while, not since the clock began.
    let mut desk = Desk::new();
    desk.run("@100; in 11; @200; out 11");
    anew(&mut desk, &[]);
    assert_eq!(desk.router.queues[&QueueId::new("support")].unstaffed_since, Some(seconds(200)));
}

#[test]
fn phones_that_ring_are_rung_anew_and_what_the_engine_knows_better_counts() {
    let mut desk = Desk::new();
    desk.run("in 11; call 1 support; in 12; call 2 support; accept 2");
    // The offer to 11 is gone with the old tables; of 12's talk the engine knows nothing.
    let (rings, states) = anew(&mut desk, &[]);
    assert_eq!(rings, "ring3 1>11", "with a number that was never used");
    assert_eq!(states, "11 Ready; 12 WrapUp; 11 Reserved");
    assert_eq!(desk.router.agent(AgentId(11)).unwrap().state, AgentState::Reserved);
}

/// What the old router had to tell and nobody has heard is told still: intervals have no holes.
#[test]
fn what_was_not_told_yet_is_told() {
    let mut desk = Desk::new();
    desk.run("in 11; @1");
    desk.router.handle(desk.now, Input::Agent { agent: AgentId(11), change: AgentChange::NotReady("tea".into()) });
    let (_, states) = anew(&mut desk, &[]);
    assert_eq!(states, "@1; 11 not ready: tea");
}
