//! What a caller is led through and hears: the flow run, prompts and music.

use super::{Deadline, Engine, LegState, Place};
use crate::acd;
use crate::command::{MAX_NAMES, MAX_VALUE};
use crate::event::{Cause, NoChoice, PersonalKind, StepWay, What};
use crate::ids::{AgentId, CallId, FlowId, LegId, QueueId, WorkId};
use crate::ivr;
use crate::media::{self, SoundId, Source};
use crate::sip;
use crate::time::Instant;
use std::time::Duration;

/// Keys that count in a row, and the pause after that: nobody keys so many by hand, each is an event in the log, and a
/// program must not fill that. How fast they follow says nothing: what a network held up comes all at once.
const KEYS_AT_ONCE: u32 = 200;
const KEYING: Duration = Duration::from_secs(1);
/// Name of the sound that is silence; `@` cannot be part of a configured one.
pub const SILENCE: &str = "@silence";
/// Token of sounds that never end by themselves; flow runs count theirs from 1.
pub(super) const ENDLESS: u64 = 0;
/// As `tierline check` says of a flow that attaches more.
const _: () = assert!(ivr::load::MAX_ATTACHED == MAX_NAMES);
/// What is kept of a secret key.
const MASKED: char = '•';

impl Engine {
    pub(super) fn start_flow(&mut self, call: CallId) {
        self.run(call, ivr::Input::Start);
    }

    /// INFO within the call: a key, or nothing that concerns us.
    pub(super) fn informed(&mut self, leg: LegId, body: Option<sip::Body>) {
        if let Some(digit) = body.and_then(|body| media::key_of_info(&body.content_type, &body.bytes)) {
            self.key_pressed(leg, digit, media::Way::Info);
        }
    }

    pub(super) fn key_pressed(&mut self, leg: LegId, digit: char, way: media::Way) {
        let now = self.now;
        if !self.legs.get_mut(&leg).is_some_and(|leg| leg.keys.is_new(now, digit, way)) {
            return;
        }
        if self.confirmed_by(leg, digit) {
            return;
        }
        let Some(call) = self.call_of_caller(leg) else { return };
        if !call.run.listens(&self.index.flows) {
            return; // between the parties, or out of boredom
        }
        let (id, flow, step) = (call.id, call.run.flow().clone(), call.run.step().to_owned());
        // A key of a PIN or a card is masked here, where it enters.
        let shown = if call.run.keeps_secret(&self.index.flows) { MASKED } else { digit };
        let call = self.calls.get_mut(&id).expect("the call that has just been looked up");
        if !call.keying.take_of(now, KEYING, KEYS_AT_ONCE) {
            return;
        }
        let digit_text = self.personal(PersonalKind::Digit, shown.to_string());
        self.emit(Some(id), What::DigitKeyed { flow, step, digit: digit_text });
        self.run(id, ivr::Input::Digit(digit));
    }

    pub(super) fn play_finished(&mut self, leg: LegId, token: u64) {
        if let Some(call) = self.call_of_caller(leg).map(|call| call.id) {
            self.run(call, ivr::Input::PlayFinished { token });
        }
    }

    pub(super) fn no_key(&mut self, call: CallId) {
        self.run(call, ivr::Input::Timeout);
    }

    /// Within what whoever follows the call is promised, as from desktops: a text of a look-up may be longer, and flows that
    /// lead to each other may attach more names, of which those are left out that come last.
    fn flow_attaches(&mut self, id: CallId, name: String, mut value: String) {
        if !self.takes_names(id, [&name].into_iter()) {
            return;
        }
        value.truncate(value.floor_char_boundary(MAX_VALUE));
        let (flow, _) = self.whereabouts(id);
        let value = self.personal(PersonalKind::Text, value);
        self.emit(Some(id), What::FlowAttached { flow, name, value });
    }

    /// Gives the run one input and carries out what it asks for.
    pub(super) fn run(&mut self, id: CallId, input: ivr::Input) {
        self.current = Some(id);
        let Some(call) = self.calls.get(&id) else { return };
        if !self.index.flows.contains_key(call.run.flow()) {
            // A new configuration took the flow away. Who talks does not need it any more.
            return if call.conversation.is_none() {
                self.end_call(id, Cause::FlowEnded)
            };
        }
        let wait = self.wait_of(id, &input);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let scene = ivr::Scene {
            flows: &self.index.flows,
            center: &self.config.center,
            wall: self.start.wall + self.now.since(Instant::ZERO),
            banners: &self.banners,
            wait,
        };
        call.run.handle(self.now, &scene, input);
        match call.run.deadline() {
            Some(at) => self.timers.set(Deadline::NoKey(id), at),
            None => _ = self.timers.cancel(&Deadline::NoKey(id)),
        }
        while let Some(output) = self.calls.get_mut(&id).and_then(|call| call.run.poll()) {
            self.run_said(id, output);
        }
    }

    fn run_said(&mut self, id: CallId, output: ivr::Output) {
        match output {
            ivr::Output::Answer => self.answer_caller(id),
            ivr::Output::Entered { flow, step } => self.emit(Some(id), What::StepEntered { flow, step }),
            ivr::Output::NothingChosen { why, again } => {
                let (flow, step) = self.whereabouts(id);
                self.emit(Some(id), What::NothingChosen { flow, step, why: no_choice(why), again });
            }
            ivr::Output::Went { way, flow, step } => {
                self.emit(Some(id), What::StepDecided { flow, step, way: step_way(way) });
            }
            ivr::Output::PersonAsked => {
                let (flow, step) = self.whereabouts(id);
                self.emit(Some(id), What::PersonAsked { flow, step });
            }
            ivr::Output::Attach { label, value } => self.flow_attaches(id, label, value),
            ivr::Output::Play { prompts, token, .. } => self.play_prompts(id, &prompts, token),
            ivr::Output::Music(music) => self.music(id, &music),
            ivr::Output::StopPlaying => {
                let port = self.caller_port(id);
                self.media_do(media::Command::Stop { port });
            }
            ivr::Output::Queue { queue, priority, skills, preferred } => {
                let place = Place::new(WorkId(self.ids.works.take()), queue, self.now);
                self.takes_place(id, Place { priority, skills, preferred, ..place });
            }
            ivr::Output::Leave => self.leave_queue(id),
            ivr::Output::LookUp { id: lookup, query, with, timeout } => {
                self.outputs.push_back(super::Output::LookUp { call: id, id: lookup, query, with, timeout });
            }
            ivr::Output::Transfer { number, ring } => self.transfer(id, &number, ring),
            ivr::Output::HangUp { .. } => self.end_call(id, Cause::FlowEnded),
        }
    }

    /// The flow has the caller wait. Who waits there already keeps his place and what rings for him, unless other skills
    /// are asked for, and gets the points and the preferred agent of the step that names some; and what he has waited counts
    /// wherever he goes from one queue to another.
    fn takes_place(&mut self, id: CallId, place: Place) {
        let before = self.calls.get(&id).and_then(|call| call.seeking.as_ref()).map(|seeking| &seeking.place);
        let stays = before.is_some_and(|before| {
            before.queue == place.queue && (place.skills.is_empty() || place.skills == before.skills)
        });
        if stays {
            self.stands_otherwise(id, place.priority, place.preferred);
            return self.run(id, ivr::Input::Waits);
        }
        let arrived = before.map_or(self.now, |before| before.arrived);
        self.leave_queue(id);
        self.wait(id, Place { arrived, ..place }, false);
    }

    /// Who waits goes on doing so, with other points or for somebody else first. A step that says neither changes neither.
    fn stands_otherwise(&mut self, id: CallId, priority: i32, preferred: Option<AgentId>) {
        let Some(seeking) = self.calls.get_mut(&id).and_then(|call| call.seeking.as_mut()) else { return };
        let place = &mut seeking.place;
        let before = (place.priority, place.preferred);
        place.priority = if priority == 0 { place.priority } else { priority };
        place.preferred = preferred.or(place.preferred);
        if (place.priority, place.preferred) != before {
            (place.position, place.admitted) = (None, true);
            let asked = place.asked();
            self.router_do(acd::Input::Enqueue(asked));
        }
    }

    /// The flow and the step that the caller is at.
    fn whereabouts(&self, id: CallId) -> (FlowId, String) {
        let run = &self.calls[&id].run;
        (run.flow().clone(), run.step().to_owned())
    }

    fn music(&mut self, id: CallId, music: &ivr::Music) {
        let name = match music {
            ivr::Music::Silence => Some(SILENCE),
            ivr::Music::Of(queue) => self.config.center.queues.get(queue).map(|queue| queue.music.as_str()),
            ivr::Music::Named(name) => Some(name.as_str()),
        };
        if let Some(sound) = name.and_then(|name| self.config.sounds.get(name)).copied() {
            let port = self.caller_port(id);
            self.media_do(media::Command::Play { port, source: Source::Loop(sound), token: ENDLESS });
        }
    }

    fn answer_caller(&mut self, id: CallId) {
        let leg_id = self.calls[&id].caller;
        let leg = self.legs.get_mut(&leg_id).expect("a call's caller has a leg as long as the call lives");
        let LegState::Negotiated { body, ours } = leg.state.clone() else { return };
        leg.state = LegState::Answered { offer: ours.then(|| body.bytes.clone()) };
        self.sip_do(sip::Command::Answer { leg: leg_id, body });
        self.emit(Some(id), What::CallAnswered { leg: leg_id });
    }

    fn play_prompts(&mut self, id: CallId, prompts: &[String], token: u64) {
        let sounds: Vec<SoundId> = prompts.iter().filter_map(|name| self.config.sounds.get(name).copied()).collect();
        if sounds.is_empty() {
            return self.run(id, ivr::Input::PlayFinished { token }); // nothing to hear is heard at once
        }
        let port = self.caller_port(id);
        self.media_do(media::Command::Play { port, source: Source::Once(sounds), token });
    }

    /// Lets the leg hear the queue's music.
    pub(super) fn play_music(&mut self, leg: LegId, queue: &QueueId) {
        let music = self.config.center.queues.get(queue).map(|queue| queue.music.as_str());
        let sound = music.and_then(|name| self.config.sounds.get(name)).copied();
        if let (Some(sound), Some(leg)) = (sound, self.legs.get(&leg)) {
            let port = leg.port;
            self.media_do(media::Command::Play { port, source: Source::Loop(sound), token: ENDLESS });
        }
    }

    pub(super) fn caller_port(&self, id: CallId) -> crate::ids::PortId {
        self.legs[&self.calls[&id].caller].port
    }

    fn call_of_caller(&self, leg: LegId) -> Option<&super::Call> {
        self.calls.get(&self.legs.get(&leg)?.call).filter(|call| call.caller == leg)
    }
}

fn no_choice(why: ivr::NoChoice) -> NoChoice {
    match why {
        ivr::NoChoice::NoKey => NoChoice::NoKey,
        ivr::NoChoice::WrongKey => NoChoice::WrongKey,
    }
}

fn step_way(way: ivr::Way) -> StepWay {
    match way {
        ivr::Way::Open => StepWay::Open,
        ivr::Way::Closed => StepWay::Closed,
        ivr::Way::Holiday => StepWay::Holiday,
        ivr::Way::Case(number) => StepWay::Case(number),
        ivr::Way::Otherwise => StepWay::Otherwise,
        ivr::Way::Collected => StepWay::Collected,
        ivr::Way::Found => StepWay::Found,
        ivr::Way::NotFound => StepWay::NotFound,
        ivr::Way::Failed => StepWay::Failed,
        ivr::Way::Announced => StepWay::Announced,
        ivr::Way::Left => StepWay::Left,
    }
}
