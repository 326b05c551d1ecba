//! The engine's thread: wait, handle, drain.
//!
//! It reads its SIP sockets itself, in batches: a message costs no hop from another thread. Everything else comes
//! through the [`super::inbox`]. All of it passes [`Driver::door`] with its `now`, which is also where a recording is
//! made. Under load it rests for a millisecond between two looks ([`super::pace`]): being woken for one message costs as
//! much as handling it.

use super::accounts::Accounts;
use super::clock::Clock;
use super::cti::Replies;
use super::defects::{self, LOOKS};
use super::inbox::{Message, Messages};
use super::journal::Entry;
use super::net::datagrams::Datagrams;
use super::net::{self, Epoll};
use super::pace::{self, Pace};
use super::pulse::Pulse;
use super::record::Recorder;
use super::signaling::Udp;
use super::signaling::streams::Streams;
use super::store::Store;
use super::tally::Tally;
use super::ticketing::look_up::Question;
use crate::engine::{Engine, Input, Output};
use crate::event::Event;
use crate::sip;
use crate::sip::digest::Login;
use crate::time::Instant;
use anyhow::Context;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::oneshot;

/// Inputs of one kind handled before the thread looks what else has come.
const BATCH: usize = 16;
/// Datagrams that may wait here, and their bytes. Beyond them the system's buffer fills, and then it drops what comes:
/// phones send again what was lost (RFC 3261 §17.1.1.2).
const WAITING_DATAGRAMS: usize = 8_192;
const WAITING_BYTES: usize = 16 << 20;
/// How long messages gather under load.
const REST: Duration = Duration::from_millis(1);
/// Calls wait for this thread: before what else the machine does, after the audio.
const NICE: i32 = -5;

/// Where the engine's outputs go.
pub struct Outlets {
    pub media: super::media::Commands,
    pub streams: Streams,
    /// Resolves a host name and answers through the channel.
    pub resolve: Box<dyn Fn(u64, sip::uri::Uri) + Send>,
    /// Asks the ticketing system for a flow and answers through the channel.
    pub look_up: Box<dyn Fn(Question) + Send>,
    pub store: Arc<Store>,
    pub accounts: Accounts,
    /// Who waits for what a command did.
    pub replies: Replies,
    pub tally: Tally,
    pub pulse: Arc<Pulse>,
    pub record: Option<Recorder>,
}

pub struct Driver {
    pub engine: Engine,
    pub clock: Clock,
    /// By their numbers among the listeners.
    pub udp: BTreeMap<u64, Udp>,
    pub inbox: Messages,
    pub outlets: Outlets,
    /// What the engine was told last about the log.
    pub healthy: bool,
    /// The last event that the engine made.
    pub last_seq: u64,
    /// Told once, when a drain has come to its end.
    pub drained: Option<Sender<()>>,
    /// When the thread ends at the latest, once it has been told to.
    pub ends: Option<Instant>,
}

/// Datagrams get lost: a BYE is sent up to four times in so long (RFC 3261 §17.1.2.2). Who has not answered it by
/// then is gone.
const FAREWELL: Duration = Duration::from_secs(4);
/// The token of the inbox; listeners have their numbers.
const INBOX: u64 = u64::MAX;

impl Driver {
    /// The engine's thread, and what is closed when it ends, however it does.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self) -> anyhow::Result<(std::thread::JoinHandle<anyhow::Result<()>>, oneshot::Receiver<()>)> {
        let (alive, engine_ended) = oneshot::channel();
        let engine = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let _alive: oneshot::Sender<()> = alive; // dropped at the end, also by a panic
            self.run()
        })?;
        Ok((engine, engine_ended))
    }

    /// Runs until `Message::Stop` or until nobody can send any more; and then until the last BYE is answered, for
    /// [`FAREWELL`] at most.
    ///
    /// # Errors
    /// `Message::Failed` came, or the sockets cannot be waited for.
    pub fn run(mut self) -> anyhow::Result<()> {
        net::prefer_this_thread(NICE);
        self.drain();
        self.flush(false);
        let end = self.work().context("the engine cannot wait for its sockets").and_then(|end| end);
        self.flush(false);
        if let Some(record) = &mut self.outlets.record
            && let Err(why) = record.flush()
        {
            Entry::error("recording", "the end of the recording cannot be written").with("why", &why).tell();
        }
        end
    }

    fn work(&mut self) -> io::Result<anyhow::Result<()>> {
        let (mut epoll, mut room, mut waiting) = (Epoll::new()?, Datagrams::default(), VecDeque::new());
        let (mut pace, mut steps, mut bytes, mut lost, mut rested) = (Pace::default(), 0, 0, Vec::new(), false);
        self.inbox.watch(&epoll, INBOX)?;
        for (listener, udp) in &self.udp {
            udp.watch(&epoll, *listener)?;
        }
        loop {
            // Who has rested looks anyway: nobody need wake him for what came meanwhile.
            let first = if waiting.is_empty() && !rested { self.inbox.may_sleep() } else { None };
            let busy = rested || first.is_some() || !waiting.is_empty();
            let ready = epoll.wait_for_errors(if busy { Some(Duration::ZERO) } else { self.patience() })?;
            for (udp, error) in ready.filter_map(|(token, error)| Some((self.udp.get(&token)?, error))) {
                if error {
                    udp.undelivered(&mut lost);
                }
                // All of it, out of the system's small buffer.
                while waiting.len() < WAITING_DATAGRAMS
                    && bytes < WAITING_BYTES
                    && udp.receive(&mut room, |flow, datagram| {
                        bytes += datagram.len();
                        waiting.push_back((flow, datagram.to_vec()));
                    })
                {}
            }
            self.outlets.pulse.waiting(waiting.len());
            // Before what came is handled: a new call must not be taken when its events cannot be written.
            self.look_at_log();
            if let Some(end) = self.messages(first) {
                return Ok(end);
            }
            for branch in lost.drain(..) {
                self.door(Input::Sip(sip::Input::Unsent { branch }));
            }
            for (flow, datagram) in waiting.drain(..waiting.len().min(BATCH)) {
                bytes -= datagram.len();
                self.door(Input::Sip(sip::Input::Received { flow, bytes: datagram }));
            }
            self.time_passed();
            self.outlets.tally.catch_up();
            let passed = self.outlets.pulse.steps() - steps;
            steps += passed;
            let is_busy = pace.came(self.clock.now(), passed as usize) && passed > 0;
            self.flush(is_busy);
            if self.has_said_goodbye() {
                return Ok(Ok(()));
            }
            rested = is_busy && waiting.is_empty() && self.inbox.is_empty();
            if rested {
                pace::rest(self.patience().unwrap_or(REST).min(REST));
            }
        }
    }

    /// Whether the thread is to end and nothing is left to be said, or no more time for it.
    fn has_said_goodbye(&self) -> bool {
        self.ends.is_some_and(|at| at <= self.clock.now() || self.engine.is_silent())
    }

    fn time_passed(&mut self) {
        if self.engine.deadline().is_some_and(|at| at <= self.clock.now()) {
            self.door(Input::Timeout);
        }
        if self.engine.is_drained() {
            self.drained.take().map(|drained| drained.send(()));
        }
    }

    /// Takes the first and what else has come, up to a batch; how the thread ends, if it does.
    fn messages(&mut self, first: Option<Message>) -> Option<anyhow::Result<()>> {
        let mut next = first.or_else(|| self.inbox.next());
        for _ in 1..BATCH {
            if let Some(end) = self.take(next?) {
                return Some(end);
            }
            next = self.inbox.next();
        }
        self.take(next?)
    }

    fn take(&mut self, message: Message) -> Option<anyhow::Result<()>> {
        match message {
            Message::Stop => self.ends = self.ends.or_else(|| Some(self.clock.now() + FAREWELL)),
            Message::Failed(why) => return Some(Err(anyhow::anyhow!(why))),
            Message::Input(input) => self.door(input),
            Message::Framed(input, room) => {
                self.door(input);
                drop(room);
            }
            Message::Look(look) => _ = defects::contain(LOOKS, || look(&self.engine)),
        }
        None
    }

    fn look_at_log(&mut self) {
        let healthy = self.outlets.store.healthy();
        if healthy != self.healthy {
            self.healthy = healthy;
            self.door(Input::LogHealthy(healthy));
        }
    }

    fn patience(&self) -> Option<Duration> {
        [self.engine.deadline(), self.ends].into_iter().flatten().min().map(|at| at.since(self.clock.now()))
    }

    /// The one door: every input with its `now`.
    fn door(&mut self, input: Input) {
        let now = self.clock.now();
        self.record(now, &input);
        self.engine.handle(now, input);
        self.drain();
        self.outlets.pulse.step(self.clock.now().since(now));
    }

    /// What the inputs of one look have brought about leaves together. The engine hears of requests that cannot be sent.
    /// `again` says that the next look is soon.
    fn flush(&mut self, again: bool) {
        loop {
            let (mut unsent, begun) = (Vec::new(), self.clock.now());
            self.udp.values_mut().for_each(|udp| udp.flush(|bytes| unsent.extend(sip::branch_in(bytes))));
            self.outlets.pulse.sent(self.clock.now().since(begun));
            if unsent.is_empty() {
                return self.outlets.media.flush(again);
            }
            unsent.into_iter().for_each(|branch| self.door(Input::Sip(sip::Input::Unsent { branch })));
        }
    }

    /// A recording that cannot be written ends; the calls go on.
    fn record(&mut self, now: Instant, input: &Input) {
        let Some(record) = &mut self.outlets.record else { return };
        if let Err(why) = record.input(now, input) {
            let ends = Entry::error("recording", "the recording ends here, because it cannot be written; calls go on");
            ends.with("why", &why).tell();
            self.outlets.record = None;
        }
    }

    fn drain(&mut self) {
        let mut events = Vec::new();
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Sip { flow, bytes } if flow.transport.is_reliable() => self.outlets.streams.send(flow, bytes),
                Output::Sip { flow, bytes } => {
                    let udp = self.udp.get_mut(&u64::from(flow.listener));
                    if let Some(udp) = udp {
                        udp.send(flow, bytes);
                    }
                }
                Output::Media(command) => self.outlets.media.send(command),
                Output::Event(event) => {
                    self.outlets.tally.event(&event);
                    self.last_seq = event.seq;
                    events.push(event);
                }
                Output::Verify { query, credentials, method } => {
                    self.log(std::mem::take(&mut events)); // the answer makes events of its own
                    let ok = self.outlets.accounts.verify(&credentials, &method);
                    self.door(Input::Sip(sip::Input::Verified { query, ok }));
                }
                Output::Prove { query, held, user, asked } => {
                    self.log(std::mem::take(&mut events));
                    let password = self.outlets.accounts.of_trunk(&held);
                    let answers = |password| asked.answers(Login { user: &user, password });
                    let credentials = password.map(answers).unwrap_or_default();
                    self.door(Input::Sip(sip::Input::Proven { query, credentials }));
                }
                Output::Resolve { query, uri } => (self.outlets.resolve)(query, uri),
                Output::LookUp { call, id, query, with, timeout } => {
                    (self.outlets.look_up)(Question { call, id, query, with, timeout });
                }
                Output::Reply { id, result } => self.outlets.replies.tell(id, result, self.last_seq),
            }
        }
        self.log(events);
    }

    /// What one step made goes to the log as one.
    fn log(&self, step: Vec<Event>) {
        if !step.is_empty() {
            self.outlets.store.append(step);
        }
    }
}
