//! The journal: lines on standard error for whoever runs the server, by level, subject and call.
//!
//! ```text
//!  Entry::warn("trunk", "the carrier does not answer").with("trunk", &id).tell()
//!        │ level asked for? ── too many like it? (limit.rs) ── room in the queue?
//!        ▼
//!  thread `journal` ──▶ standard error: text or JSON (form.rs), `<4>` before it where systemd reads
//! ```
//!
//! **Nobody waits for it.** A line goes into a bounded queue; a reader of standard error that is slow costs lines, which
//! are counted and told, and never holds up a call.
//!
//! **No personal data.** The sentence is part of the program, and a [`Value`] is a number, an id, or a name that planners
//! wrote: a text that came with a call has no way in. The one door is an error's own text, which names files and
//! addresses of ours. That is also why this is not `tracing`, whose fields take whatever can be printed.
//!
//! **No line per packet.** What strangers send is counted by the machines; the counts are told when they have grown
//! (watch.rs). Beyond that no sentence is told more often than its level allows (limit.rs).
//!
//! What each level is for stands in docs/operators.md. Other commands than `serve` have no journal: their warnings are
//! plain sentences.
//!
//! Left out: files and their rotation (systemd, containers and `logrotate` have that), the lines of libraries (they
//! would tell addresses and tokens), and a change of the level while running.

mod calls;
mod form;
mod limit;
mod watch;

use super::clock::{self, Clock};
use super::defects::Kept;
use super::numbers::Exporter;
use super::pace;
use crate::config::{Form, JournalSettings, Level};
use crate::event::Event;
use crate::ids::{AgentId, CallId, FlowId, LegId, LineId, QueueId, TrunkId};
use crate::time::Wall;
use crate::written::Problem;
use limit::Limit;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use watch::{EVERY, Watch};

/// Lines that may wait for standard error (about 2 MB).
const QUEUE: usize = 4_096;
/// So long lines gather after some were written: under load a line costs no wake-up of its own.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is looked whether lines were left out.
const LOOK: Duration = Duration::from_secs(1);
/// How long the end of the program waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// One line, before it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub level: Level,
    /// What it is about, such as `call` or `trunk`.
    pub subject: &'static str,
    pub said: &'static str,
    pub call: Option<CallId>,
    pub fields: Vec<(&'static str, Value)>,
}

impl Entry {
    pub fn new(level: Level, subject: &'static str, said: &'static str) -> Entry {
        Entry { level, subject, said, call: None, fields: Vec::new() }
    }

    pub fn error(subject: &'static str, said: &'static str) -> Entry {
        Entry::new(Level::Error, subject, said)
    }

    pub fn warn(subject: &'static str, said: &'static str) -> Entry {
        Entry::new(Level::Warn, subject, said)
    }

    pub fn info(subject: &'static str, said: &'static str) -> Entry {
        Entry::new(Level::Info, subject, said)
    }

    pub fn debug(subject: &'static str, said: &'static str) -> Entry {
        Entry::new(Level::Debug, subject, said)
    }

    pub fn of(mut self, call: Option<CallId>) -> Entry {
        self.call = call;
        self
    }

    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Entry {
        self.fields.push((name, value.into()));
        self
    }

    /// The same if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Entry {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Writes it, or, where there is no journal, says it plainly.
    pub fn tell(self) {
        match JOURNAL.get() {
            Some(journal) => journal.take(self),
            None if self.level <= Level::Warn => eprintln!("{}", form::plain(&self)),
            None => {}
        }
    }
}

/// What a line may say beside its sentence: nothing that came with a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Whole(i64),
    Real(f64),
    Flag(bool),
}

impl Value {
    /// A name that whoever planned the center wrote, or a text of this program's own, such as why a file fails.
    pub fn written(name: &str) -> Value {
        Value::Text(name.to_owned())
    }

    /// A variant without texts in it: nothing that owns a text can be copied.
    pub fn word(word: impl std::fmt::Debug + Copy + 'static) -> Value {
        Value::Text(format!("{word:?}"))
    }

    /// An address that we listen on or connect to.
    pub fn ours(address: std::net::SocketAddr) -> Value {
        Value::Text(address.to_string())
    }
}

macro_rules! texts {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(it: $kind) -> Value {
                Value::Text(it.to_string())
            }
        }
    )*};
}
texts!(&'static str, AgentId, LegId, &FlowId, &LineId, &QueueId, &TrunkId, std::path::Display<'_>);

macro_rules! wholes {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(it: $kind) -> Value {
                Value::Whole(i64::try_from(it).unwrap_or(i64::MAX))
            }
        }
    )*};
}
impl From<f64> for Value {
    fn from(it: f64) -> Value {
        Value::Real(it)
    }
}

impl From<Wall> for Value {
    fn from(it: Wall) -> Value {
        Value::Text(it.to_string())
    }
}

wholes!(u16, u32, u64, usize, i32, i64);

impl From<bool> for Value {
    fn from(it: bool) -> Value {
        Value::Flag(it)
    }
}

/// In seconds.
impl From<Duration> for Value {
    fn from(it: Duration) -> Value {
        Value::Real(it.as_millis() as f64 / 1000.0)
    }
}

impl From<&Path> for Value {
    fn from(it: &Path) -> Value {
        Value::from(it.display())
    }
}

/// With what led to it.
impl From<&anyhow::Error> for Value {
    fn from(it: &anyhow::Error) -> Value {
        Value::Text(format!("{it:#}"))
    }
}

/// What was found in what planners wrote, and is harmless.
pub fn warned(subject: &'static str, found: &Problem) {
    let said = Entry::warn(subject, "what is written can be served, but is not as it should be");
    said.with("what", Value::Text(found.to_string())).tell();
}

/// What happened, as far as it is told at the level that was asked for.
pub fn event(event: &Event) {
    let least = JOURNAL.get().map(|journal| journal.settings.level);
    if let Some(line) = least.and_then(|least| calls::line(event, least)) {
        line.tell();
    }
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

struct Journal {
    settings: JournalSettings,
    clock: Clock,
    queue: SyncSender<Order>,
    limit: Mutex<Limit>,
    /// Lines for which there was no room.
    unwritten: AtomicU64,
}

enum Order {
    Write(Wall, Entry),
    Flush(SyncSender<()>),
}

impl Journal {
    fn take(&self, line: Entry) {
        let told = line.level <= self.settings.level && self.limit().admits(&line, self.clock.now());
        if told && self.queue.try_send(Order::Write(clock::wall(), line)).is_err() {
            self.unwritten.fetch_add(1, Relaxed);
        }
    }

    fn limit(&self) -> std::sync::MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines about lines that were left out.
    fn left_out(&self) -> Vec<Entry> {
        let mut lines = self.limit().ended(self.clock.now());
        let unwritten = self.unwritten.swap(0, Relaxed);
        let slow = "lines are lost, because standard error is not read fast enough";
        lines.extend((unwritten > 0).then(|| Entry::warn("journal", slow).with("lost", unwritten)));
        lines
    }
}

/// From here on lines are written as `settings` say. The first call counts.
///
/// # Errors
/// The system gives no thread.
pub fn start(settings: JournalSettings) -> std::io::Result<()> {
    let (queue, orders) = sync_channel(QUEUE);
    let journal =
        Journal { settings, clock: Clock::start(), queue, limit: Mutex::default(), unwritten: AtomicU64::new(0) };
    if JOURNAL.set(journal).is_ok() {
        let shape = Shape { form: settings.form, systemd: is_systemds(libc::STDERR_FILENO) };
        Kept::start("journal", move || write_all(&orders, shape))?;
    }
    Ok(())
}

/// From now on a panic is a line like all others: where it was, and what it says if that is a text of the program. What it
/// makes up may hold personal data.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(|at| Value::written(&format!("{}:{}", at.file(), at.line())));
        let said = panic.payload().downcast_ref::<&'static str>().map(|said| Value::written(said));
        let thread = std::thread::current().name().map(Value::written);
        let entry = Entry::error("server", "a thread panicked");
        entry.with_some("thread", thread).with_some("at", at).with_some("said", said).tell();
    }));
}

/// Whether lines are written here, and nothing else is.
pub fn is_kept() -> bool {
    JOURNAL.get().is_some()
}

/// Looks at what is counted from now on.
pub fn watch(runtime: &tokio::runtime::Handle, numbers: Arc<Exporter>) {
    runtime.spawn(async move {
        let (watch, mut looks) = (Arc::new(Mutex::new(Watch::default())), tokio::time::interval(EVERY));
        loop {
            looks.tick().await;
            let (numbers, watch) = (Arc::clone(&numbers), Arc::clone(&watch));
            // Collecting waits for the engine's thread for a moment.
            let look = move || {
                let lines = watch.lock().unwrap_or_else(PoisonError::into_inner).look(&numbers.samples());
                lines.into_iter().for_each(Entry::tell);
            };
            _ = tokio::task::spawn_blocking(look).await;
        }
    });
}

/// Waits until what was told is written, but not for a reader that does not read.
pub fn flush() {
    let Some(journal) = JOURNAL.get() else { return };
    let (written, answer) = sync_channel(1);
    if journal.queue.try_send(Order::Flush(written)).is_ok() {
        _ = answer.recv_timeout(LAST);
    }
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    form: Form,
    systemd: bool,
}

/// The thread: what comes after a silence is written at once, and all that has come then in one piece.
fn write_all(orders: &Receiver<Order>, shape: Shape) {
    loop {
        let (mut text, mut flushed) = (String::new(), Vec::new());
        let first = match orders.recv_timeout(LOOK) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for order in first.into_iter().chain(std::iter::from_fn(|| orders.try_recv().ok()).take(QUEUE)) {
            match order {
                Order::Write(at, line) => form::put(&mut text, shape, at, &line),
                Order::Flush(answer) => flushed.push(answer),
            }
        }
        let left_out = JOURNAL.get().map(|journal| journal.left_out());
        left_out.iter().flatten().for_each(|line| form::put(&mut text, shape, clock::wall(), line));
        _ = std::io::stderr().lock().write_all(text.as_bytes()); // nobody is left to tell
        flushed.iter().for_each(|answer| _ = answer.try_send(()));
        if !text.is_empty() {
            pace::rest(GATHER);
        }
    }
}

/// Whether what is written to this descriptor goes to systemd's journal (systemd.exec(5), `$JOURNAL_STREAM`): it knows the
/// time, takes the level from a prefix (sd-daemon(3)), and keeps what it reads.
pub fn is_systemds(descriptor: i32) -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let file = format!("/proc/self/fd/{descriptor}");
    let ours = std::fs::metadata(file).map(|file| format!("{}:{}", file.dev(), file.ino()));
    ours.is_ok_and(|ours| ours == stream)
}
