//! The machine that the engine runs on: starts it, kills it, carries its outputs to their places, keeps its log.

use super::agenda::Due;
use super::ledger::{self, Ledger, Sums};
use super::media::Owner;
use super::promises::{HANG_UP_WITHIN, HEAR_WITHIN};
use super::{ENGINE, Options, World, books, ladder, parties, people, place};
use crate::engine::{Engine, Input, Output, Start};
use crate::event::{Event, What};
use crate::ids::{AgentId, Rng};
use crate::sip::digest::{self, Credentials};
use crate::sip::header::Method;
use crate::sip::{self, Listener};
use crate::time::{Instant, Wall};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Wall time when the run begins: 2026-01-05T08:00:00Z.
pub(super) const WALL: Wall = Wall(1_767_600_000_000);

impl World {
    pub(super) fn start_engine(&mut self) {
        let (next_seq, open) = self.books.crash();
        self.epoch += 1;
        self.scan.forget();
        // What the log does not say of a phone has to be found out anew.
        let known = |event: &Event| match event.what {
            What::PhoneReachable { agent, reachable: false } => agent.0.checked_sub(place::FIRST_AGENT),
            _ => None,
        };
        let silent: BTreeSet<u32> = open.iter().filter_map(|(event, _)| known(event)).collect();
        for key in self.parties.keys().difference(&silent).copied().collect::<Vec<_>>() {
            self.parties.find_mut(key).into_iter().for_each(|party| party.unheard = None);
        }
        self.recording.clear();
        self.engine_wake = None;
        self.started = (start(&self.options, &self.rng, self.epoch, next_seq), self.configuration.clone());
        let engine = Engine::new(self.started.0.clone(), self.started.1.clone());
        #[cfg(feature = "planted-bugs")]
        let engine = {
            let mut engine = engine;
            self.bug.iter().for_each(|bug| engine.plant(*bug));
            engine
        };
        self.engine = Some(engine);
        self.carriers.meet(self.now);
        self.note(ladder::US, || "starts".to_owned());
        self.desktops_start(&open);
        self.asking_start(&open);
        self.engine_gets(Input::Restored(open));
    }

    pub(super) fn crash(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        self.retransmissions += engine.sip().stats().retransmissions_sent;
        // What was written long enough ago is safe; of the rest, a random part.
        let mut rng = self.rng.fork(&format!("crash {}", self.epoch));
        let lost = books::COMMIT.mul_f64(rng.unit()).as_nanos() as u64;
        self.commit(Instant(self.now.0.saturating_sub(lost)));
        self.books.die();
        self.ledger.iter_mut().for_each(ledger::Both::killed);
        self.planes.vanish(self.now, Owner::Engine);
        self.note_left_ringing();
        self.desktops_crash();
        self.note(ladder::US, || "is killed".to_owned());
        self.after(Duration::from_millis(50 + rng.below(5_000)), Due::Restart);
    }

    pub(super) fn engine_wakes(&mut self) {
        if self.engine_wake.is_some_and(|at| at <= self.now) {
            self.engine_wake = None;
        }
        match self.engine.as_ref().and_then(Engine::deadline) {
            Some(at) if at <= self.now => self.engine_gets(Input::Timeout),
            _ => self.plan_engine_wake(),
        }
    }

    fn plan_engine_wake(&mut self) {
        let deadline = self.engine.as_ref().and_then(Engine::deadline);
        if let Some(at) = deadline
            && self.engine_wake.is_none_or(|planned| at < planned)
        {
            self.engine_wake = Some(at);
            self.at(at.max(self.now), Due::EngineWake);
        }
    }

    /// The one door: every input of the engine passes here.
    pub(super) fn engine_gets(&mut self, input: Input) {
        let Some(engine) = &mut self.engine else { return };
        if self.options.record {
            self.recording.push((self.now, input.clone()));
        }
        engine.handle(self.now, input);
        let mut outputs = std::mem::take(&mut self.said);
        outputs.extend(std::iter::from_fn(|| engine.poll()));
        let changes = |output: &Output| {
            let Output::Event(event) = output else { return false };
            matches!(event.what, What::AgentStateChanged { .. } | What::AgentReachable { .. })
        };
        let changed = outputs.iter().any(changes);
        outputs.drain(..).for_each(|output| self.engine_said(output));
        self.said = outputs;
        self.tell_unsent();
        self.see(|now, engine, ledger| ledger.look(now, engine, changed));
        self.remember_seen();
        self.inputs += 1;
        if self.inputs.is_multiple_of(self.options.scan_every) {
            self.look_at_everything();
        }
        self.plan_engine_wake();
    }

    pub fn wall(&self) -> Wall {
        WALL + self.now.since(Instant::ZERO)
    }

    /// Lets the ledger see the engine, if one is kept.
    fn see(&mut self, look: impl FnOnce(Wall, &Engine, &mut Ledger)) {
        let now = self.wall();
        if let (Some(engine), Some(ledger)) = (&self.engine, &mut self.ledger) {
            look(now, engine, &mut ledger.seen);
        }
    }

    fn remember_seen(&mut self) {
        let all_safe = self.books.deadline().is_none();
        let kills = self.options.crashes > 0; // else it is not worth its time
        self.ledger.iter_mut().filter(|_| kills).for_each(|ledger| ledger.looked(self.now, all_safe));
    }

    /// Keeps a ledger of what is seen, and records of what the log says, from here on.
    pub fn keep_ledger(&mut self) {
        self.ledger = Some(Default::default());
        // Who is reached on a number has been ready since the engine began.
        self.see(|now, engine, ledger| ledger.look(now, engine, true));
        self.remember_seen();
    }

    /// What was seen, and what the records say, if a ledger was kept.
    pub fn ledger(&self) -> Option<(Sums, Sums)> {
        let now = self.wall();
        self.ledger.as_ref().map(|ledger| (ledger.seen.sums(now), ledger.recorded.sums(now)))
    }

    pub(super) fn look_at_everything(&mut self) {
        if let Some(engine) = &self.engine {
            self.scan.run(self.now, engine, &self.planes, &mut self.tally);
        }
        if !self.desktops.is_empty() {
            self.check_present();
        }
    }

    fn engine_said(&mut self, output: Output) {
        match output {
            Output::Sip { flow, bytes } => self.sends(flow.remote, bytes),
            Output::Verify { query, credentials, method } => self.verify(query, &credentials, &method),
            Output::Prove { query, held, user, asked } => {
                let password = parties::password(&held);
                let credentials = asked.answers(digest::Login { user: &user, password: &password });
                self.engine_gets(Input::Sip(sip::Input::Proven { query, credentials }));
            }
            Output::Resolve { query, .. } => {
                self.engine_gets(Input::Sip(sip::Input::Resolved { query, flows: Vec::new() }));
            }
            Output::Media(command) => self.planes_get(command),
            Output::LookUp { call, id, with, .. } => {
                if let Some(found) = super::desk::ticketing(&with) {
                    let (after, epoch) = (people::exponential(&mut self.rng, self.options.ticketing), self.epoch);
                    self.after(after, Due::LookedUp { call, id, found, epoch });
                }
            }
            Output::Reply { id, result } => self.replied(id, result),
            Output::Event(event) => self.happened(event),
        }
    }

    fn sends(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        let request = !bytes.starts_with(b"SIP/");
        match request && self.options.unsent > 0.0 && self.ways.chance(self.options.unsent) {
            true => self.unsent.extend(sip::branch_in(&bytes)),
            false => self.send(ENGINE, to, bytes),
        }
    }

    /// As the server does it: when the engine has said all.
    fn tell_unsent(&mut self) {
        while let Some(branch) = self.unsent.pop() {
            self.engine_gets(Input::Sip(sip::Input::Unsent { branch }));
        }
    }

    /// Commands of desktops have the agent's number, or one of their key.
    fn replied(&mut self, id: u64, result: Result<(), crate::command::Refusal>) {
        if let Some(key) = id.checked_sub(super::asking::KEYED) {
            return self.command_replied(key, result);
        }
        if let (1.., Err(why)) = (id, result) {
            self.note(&format!("Agent {id}"), || format!("refused: {}", why.text()));
        }
    }

    fn planes_get(&mut self, command: crate::media::Command) {
        use crate::media::{Command, Source};
        let play = match &command {
            Command::Play { source: Source::Once(sounds), .. } => sounds.clone(),
            Command::Play { source: Source::Loop(sound), .. } => vec![*sound],
            _ => Vec::new(),
        };
        if let Command::Close { port } = &command
            && let Some((Owner::Phone(phone), port)) = self.planes.far((Owner::Engine, *port))
        {
            let (epoch, boots) = (self.epoch, self.boots_of(phone));
            self.after(HANG_UP_WITHIN, Due::PeerHangsUp { phone, boots, port, epoch });
        }
        self.see(|now, engine, ledger| ledger.hear(now, engine, &command));
        self.planes.handle(self.now, Owner::Engine, ENGINE.ip(), command);
        if !play.is_empty() {
            let names = || play.iter().map(|sound| place::sound_name(*sound)).collect::<Vec<_>>().join(" ");
            self.note(ladder::US, || format!("plays {}", names()));
        }
    }

    /// The shell's part of Digest: it knows what the passwords are.
    fn verify(&mut self, query: u64, credentials: &Credentials, method: &Method) {
        let (center, user) = (&self.configuration.center, &credentials.username);
        // Most are called by their numbers.
        let numbered = user.parse().ok().and_then(|number| center.agents.get(&AgentId(number)));
        let known = numbered.is_some_and(|agent| agent.user == *user) || center.agent_of(user).is_some();
        let password = parties::password(user);
        let realm = &center.name;
        let ha1 = digest::ha1(credentials.algorithm, user, realm, &password);
        let ok = known && credentials.verify(&ha1, method);
        let epoch = self.epoch;
        self.after(Duration::from_micros(500), Due::Verified { query, ok, epoch });
    }

    fn happened(&mut self, event: Event) {
        self.scan.note(self.now, &event);
        self.check_said_by_carriers(&event);
        self.note_desk(&event);
        if let What::Delivered { agent, .. } = event.what {
            self.check_not_known_dead(agent);
        }
        if let (What::Established { leg, .. } | What::OutsideJoined { leg }, Some(call)) = (&event.what, event.call) {
            let (leg, epoch) = (*leg, self.epoch);
            self.after(HEAR_WITHIN, Due::TalkersHear { call, leg, epoch });
        }
        if self.trace.is_some() {
            self.note_event(&event);
        }
        if self.books.deadline().is_none() {
            self.after(books::COMMIT, Due::Commit);
        }
        self.books.write(self.now, event);
    }

    pub(super) fn commit(&mut self, until: Instant) {
        self.make_safe(Instant(until.0.saturating_sub(books::COMMIT.as_nanos() as u64)));
        if let Some(at) = self.books.deadline() {
            self.at(at.max(self.now), Due::Commit);
        }
    }

    /// Makes all of the log safe: nothing dies any more; and all of it is folded.
    pub fn settle(&mut self) {
        self.make_safe(self.now);
        self.books.up_to_date();
        self.tally.learn(self.books.failure());
    }

    fn make_safe(&mut self, until: Instant) {
        let (journal, ledger) = (&mut self.journal, &mut self.ledger);
        let looked_at = !self.desktops.is_empty();
        let mut read = Vec::new();
        self.books.commit(self.now, until, |event| {
            read.extend(looked_at.then(|| Arc::clone(event)));
            ledger.iter_mut().for_each(|ledger| ledger.recorded.add(event));
            journal.iter_mut().for_each(|journal| journal.push(Event::clone(event)));
        });
        self.tally.learn(self.books.failure());
        ledger.iter_mut().for_each(|ledger| ledger.are_safe(until));
        read.iter().for_each(|event| self.asking_reads(event));
        self.desktops_read(read);
        self.asking_committed();
    }
}

pub(super) fn start(options: &Options, rng: &Rng, epoch: u32, next_seq: u64) -> Start {
    let mut rng = rng.fork(&format!("engine {epoch}"));
    let mut seed = [0; 32];
    seed.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next_u64().to_le_bytes()));
    let mut sip = sip::Config::new(vec![Listener::udp(ENGINE)], "tierline");
    sip.keepalive = options.keepalive;
    Start {
        node: 0,
        epoch,
        alive: None,
        next_seq,
        wall: WALL,
        seed,
        sip,
        planes: 1,
        media_address: ENGINE.ip(),
        media_other: None,
        listeners_audio: Default::default(),
        terms: Default::default(),
    }
}
