//! The engine's thread: wait, handle, drain.
//!
//! Everything that reaches the engine comes through one channel and passes [`Driver::door`] with its `now`, which
//! is also where a recording is made.

use super::accounts::Accounts;
use super::clock::Clock;
use super::record::Recorder;
use super::store::Store;
use crate::engine::{Engine, Input, Output};
use crate::event::Event;
use crate::media;
use crate::sip;
use crate::stats::Stats;
use crate::time::Instant;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many inputs are taken before outputs that wait for a syscall get their turn.
const BATCH: usize = 64;

/// What reaches the engine's thread.
pub enum Message {
    Input(Input),
    /// Looks at the engine between two inputs: for metrics and readiness.
    Look(Box<dyn FnOnce(&Engine) + Send>),
    /// Ends the thread.
    Stop,
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
    /// What the engine was told last about the log.
    pub log_healthy: bool,
    /// Told once, when a drain has come to its end.
    pub drained: Option<Sender<()>>,
}

impl Driver {
    /// Runs until `Message::Stop` or until nobody can send any more.
    pub fn run(mut self) -> anyhow::Result<()> {
        self.drain()?;
        loop {
            match self.inbox.recv_timeout(self.patience()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            for _ in 1..BATCH {
                match self.inbox.try_recv() {
                    Ok(Message::Stop) => return self.finish(),
                    Ok(message) => self.take(message)?,
                    Err(_) => break,
                }
            }
            if self.engine.deadline().is_some_and(|at| at <= self.clock.now()) {
                self.door(Input::Timeout)?;
            }
            let healthy = self.outlets.store.healthy();
            if healthy != self.log_healthy {
                self.log_healthy = healthy;
                self.door(Input::LogHealthy(healthy))?;
            }
            if self.engine.is_drained() {
                self.drained.take().map(|drained| drained.send(()));
            }
        }
        self.finish()
    }

    fn patience(&self) -> Duration {
        let at = self.engine.deadline().unwrap_or(Instant(u64::MAX));
        at.since(self.clock.now()).min(Duration::from_secs(3600))
    }

    fn take(&mut self, message: Message) -> anyhow::Result<()> {
        match message {
            Message::Input(input) => self.door(input),
            Message::Look(look) => {
                look(&self.engine);
                Ok(())
            }
            Message::Stop => Ok(()),
        }
    }

    /// The one door: every input with its `now`.
    fn door(&mut self, input: Input) -> anyhow::Result<()> {
        let now = self.clock.now();
        if let Some(record) = &mut self.outlets.record {
            record.input(now, &input)?;
        }
        self.engine.handle(now, input);
        self.drain()
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let mut events = Vec::new();
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Sip { flow, bytes } => (self.outlets.sip)(flow, &bytes),
                Output::Media(command) => (self.outlets.media)(command),
                Output::Event(event) => {
                    self.outlets.stats.lock().expect("no reader of the numbers panics").apply(&event);
                    events.push(event);
                }
                Output::Verify { query, credentials, method } => {
                    self.log(std::mem::take(&mut events)); // the answer makes events of its own
                    let ok = self.outlets.accounts.verify(&credentials, &method);
                    self.door(Input::Sip(sip::Input::Verified { query, ok }))?;
                }
                Output::Resolve { query, uri } => (self.outlets.resolve)(query, uri),
                // Nobody outside asks for replies yet: commands come from phones and signals.
                Output::Reply { .. } => {}
            }
        }
        self.log(events);
        Ok(())
    }

    /// What one step made goes to the log as one.
    fn log(&self, step: Vec<Event>) {
        if !step.is_empty() {
            self.outlets.store.append(step);
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if let Some(record) = &mut self.outlets.record {
            record.flush()?;
        }
        Ok(())
    }
}
