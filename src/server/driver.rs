//! The engine's thread: wait, handle, drain.
//!
//! Everything that reaches the engine comes through one channel and passes [`Driver::door`] with its `now`, which
//! is also where a recording is made.

use super::accounts::Accounts;
use super::clock::Clock;
use super::net;
use super::record::Recorder;
use super::signaling::Backlog;
use super::store::Store;
use crate::engine::{Engine, Input, Output};
use crate::event::Event;
use crate::media;
use crate::sip;
use crate::stats::Stats;
use crate::time::Instant;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many inputs are taken before outputs that wait for a syscall get their turn.
const BATCH: usize = 64;
/// Calls wait for this thread: before what else the machine does, after the audio.
const NICE: i32 = -5;

/// What reaches the engine's thread.
pub enum Message {
    Input(Input),
    /// From the network: one that counts in the [`Backlog`].
    Datagram {
        flow: sip::Flow,
        bytes: Vec<u8>,
    },
    /// Looks at the engine between two inputs: for metrics and readiness.
    Look(Box<dyn FnOnce(&Engine) + Send>),
    /// Ends the thread.
    Stop,
    /// The process cannot go on, and why.
    Failed(String),
}

/// Sends one datagram; the flow's listener says from where.
pub type SendSip = Box<dyn Fn(sip::Flow, &[u8]) + Send>;

/// Where the engine's outputs go.
pub struct Outlets {
    pub sip: SendSip,
    pub media: Box<dyn Fn(media::Command) + Send>,
    /// Resolves a host name and answers through the channel.
    pub resolve: Box<dyn Fn(u64, sip::uri::Uri) + Send>,
    pub store: Arc<Store>,
    pub accounts: Accounts,
    pub stats: Arc<Mutex<Stats>>,
    pub record: Option<Recorder>,
}

pub struct Driver {
    pub engine: Engine,
    pub clock: Clock,
    pub inbox: Receiver<Message>,
    pub outlets: Outlets,
    pub backlog: Arc<Backlog>,
    /// What the engine was told last about the log.
    pub log_healthy: bool,
    /// Told once, when a drain has come to its end.
    pub drained: Option<Sender<()>>,
}

impl Driver {
    /// Runs until `Message::Stop` or until nobody can send any more.
    ///
    /// # Errors
    /// `Message::Failed` came.
    pub fn run(mut self) -> anyhow::Result<()> {
        net::prefer_this_thread(NICE);
        self.drain();
        let end = loop {
            let first = self.inbox.recv_timeout(self.patience());
            // Before what came is handled: a new call must not be taken when its events cannot be written.
            self.look_at_log();
            match first {
                Ok(message) => {
                    if let Some(end) = self.batch(message) {
                        break end;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
            if self.engine.deadline().is_some_and(|at| at <= self.clock.now()) {
                self.door(Input::Timeout);
            }
            if self.engine.is_drained() {
                self.drained.take().map(|drained| drained.send(()));
            }
        };
        if let Some(record) = &mut self.outlets.record
            && let Err(why) = record.flush()
        {
            eprintln!("the end of the recording cannot be written: {why:#}");
        }
        end
    }

    /// Takes the first and what else waits, up to a batch; how the thread ends, if it does.
    fn batch(&mut self, first: Message) -> Option<anyhow::Result<()>> {
        let mut end = self.take(first);
        for _ in 1..BATCH {
            let (None, Ok(message)) = (&end, self.inbox.try_recv()) else { break };
            end = self.take(message);
        }
        end
    }

    fn take(&mut self, message: Message) -> Option<anyhow::Result<()>> {
        match message {
            Message::Stop => return Some(Ok(())),
            Message::Failed(why) => return Some(Err(anyhow::anyhow!(why))),
            Message::Input(input) => self.door(input),
            Message::Datagram { flow, bytes } => {
                self.backlog.leave();
                self.door(Input::Sip(sip::Input::Received { flow, bytes }));
            }
            Message::Look(look) => look(&self.engine),
        }
        None
    }

    fn look_at_log(&mut self) {
        let healthy = self.outlets.store.healthy();
        if healthy != self.log_healthy {
            self.log_healthy = healthy;
            self.door(Input::LogHealthy(healthy));
        }
    }

    fn patience(&self) -> Duration {
        let at = self.engine.deadline().unwrap_or(Instant(u64::MAX));
        at.since(self.clock.now()).min(Duration::from_secs(3600))
    }

    /// The one door: every input with its `now`.
    fn door(&mut self, input: Input) {
        let now = self.clock.now();
        self.record(now, &input);
        self.engine.handle(now, input);
        self.drain();
    }

    /// A recording that cannot be written ends; the calls go on.
    fn record(&mut self, now: Instant, input: &Input) {
        let Some(record) = &mut self.outlets.record else { return };
        if let Err(why) = record.input(now, input) {
            eprintln!("the recording ends here, because it cannot be written: {why:#}");
            self.outlets.record = None;
        }
    }

    fn drain(&mut self) {
        let mut events = Vec::new();
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Sip { flow, bytes } => (self.outlets.sip)(flow, &bytes),
                Output::Media(command) => (self.outlets.media)(command),
                Output::Event(event) => {
                    // Numbers that a panic left half-read are whole: only this thread writes them.
                    self.outlets.stats.lock().unwrap_or_else(PoisonError::into_inner).apply(&event);
                    events.push(event);
                }
                Output::Verify { query, credentials, method } => {
                    self.log(std::mem::take(&mut events)); // the answer makes events of its own
                    let ok = self.outlets.accounts.verify(&credentials, &method);
                    self.door(Input::Sip(sip::Input::Verified { query, ok }));
                }
                Output::Resolve { query, uri } => (self.outlets.resolve)(query, uri),
                // Nobody outside asks for replies yet: commands come from phones and signals.
                Output::Reply { .. } => {}
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
