//! The ticketing system's client: carries what the outbox ([`crate::ticketing`]) wants said, and writes down what was
//! said. A thread of its own reads the log and the answers; requests run side by side on tokio.
//!
//! `ticketing.db` in the data directory holds where in the log a start must begin, and the keys of what is done since.
//! No personal data: requests are made anew from the log.
#![allow(clippy::disallowed_methods, reason = "the shell reads the clock")]

pub mod example;
pub mod look_up;

use super::clock::EventTime;
use super::journal::{Entry, Value};
use super::store::{Reader, Store};
use crate::config::TicketingSettings;
use crate::ids::CallId;
use crate::proto::{self, ticketing_client::TicketingClient};
use crate::stats::Sample;
use crate::stats::families as f;
use crate::ticketing::{Failure, Input, Left, Numbers, Outbox, Output, Request, Response, Settings, log_name};
use crate::time::Wall;
use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

/// Events read at once.
const PORTION: usize = 256;
/// How long the thread sleeps at most.
const NAP: Duration = Duration::from_secs(60);
/// … and before it tries again what its disk did not let it do.
const AGAIN: Duration = Duration::from_secs(1);

/// What wakes the thread.
enum News {
    Committed,
    Answered(CallId, Result<Response, Failure>),
    Stop,
}

/// The client as it runs.
pub struct Ticketing {
    news: Sender<News>,
    thread: Option<std::thread::JoinHandle<()>>,
    numbers: Counts,
}

/// What is counted, for whoever asks.
pub type Counts = Arc<Mutex<Numbers>>;

impl Ticketing {
    /// `next`: the first event of this start, where a first start begins.
    ///
    /// # Errors
    /// Its own file cannot be read.
    pub fn start(
        settings: &TicketingSettings,
        line: Line,
        data: &Path,
        (store, next): (&Store, u64),
        time: EventTime,
    ) -> Result<Ticketing> {
        let runtime = tokio::runtime::Handle::current();
        let (news, heard) = channel();
        let committed = news.clone();
        store.on_commit(Box::new(move |_| _ = committed.send(News::Committed)));
        let reader = Reader::open(data)?.context("there is no log")?;
        let log = reader.log_id()?;
        let memory = Memory::open(data, log, next).context("cannot open ticketing.db")?;
        let outbox = Outbox::new(
            Settings {
                pop_expires: settings.pop_expires,
                retry: settings.retry,
                retry_most: settings.retry_most,
                parallel: settings.parallel as usize,
            },
            log,
            memory.left()?,
        );
        let numbers = Counts::default();
        let at = memory.low - 1;
        let duties = Duties::default();
        let (of_clerk, counts) = (news.clone(), Arc::clone(&numbers));
        let clerk = Clerk { outbox, memory, duties, reader, at, line, runtime, news: of_clerk, numbers: counts, time };
        let thread = std::thread::Builder::new().name("ticketing".into()).spawn(move || clerk.run(&heard))?;
        Ok(Ticketing { news, thread: Some(thread), numbers })
    }

    pub fn counts(&self) -> Counts {
        Arc::clone(&self.numbers)
    }
}

impl Drop for Ticketing {
    fn drop(&mut self) {
        _ = self.news.send(News::Stop);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The thread's own.
struct Clerk {
    outbox: Outbox,
    memory: Memory,
    duties: Duties,
    reader: Reader,
    /// The last event that was read.
    at: u64,
    line: Line,
    runtime: tokio::runtime::Handle,
    news: Sender<News>,
    numbers: Counts,
    /// What is told has the events' time, and so has what is too late: no jump of the clock on the wall makes it so.
    time: EventTime,
}

/// What is to be done, and stays so until it is: disks are full, and files are held locked.
#[derive(Default)]
struct Duties {
    /// To be written down.
    notes: Vec<Output>,
    /// Calls to be read again, after that.
    again: VecDeque<CallId>,
}

impl Duties {
    /// # Errors
    /// Nothing was written down; all of it stays to be.
    fn write(&mut self, memory: &mut Memory, at: (u64, u64)) -> Result<()> {
        memory.write(&self.notes, at)?;
        self.notes.clear();
        Ok(())
    }

    /// The next call to be read again, which `read` reads.
    ///
    /// # Errors
    /// It could not be read, and stays to be.
    fn read<T>(&mut self, read: impl FnOnce(CallId) -> Result<T>) -> Result<Option<T>> {
        let Some(call) = self.again.front() else { return Ok(None) };
        let read = read(*call)?;
        self.again.pop_front();
        Ok(Some(read))
    }

    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.again.is_empty()
    }
}

impl Clerk {
    fn run(mut self, heard: &Receiver<News>) {
        loop {
            if let Err(why) = self.read().and_then(|()| self.carry_out()) {
                Entry::warn("ticketing", "the ticketing system is told later").with("why", &why).tell();
            }
            *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) = self.outbox.numbers();
            let nap = if self.duties.is_empty() { NAP } else { AGAIN };
            let wait = self.outbox.deadline().map_or(nap, |at| until(self.time.now(), at).min(nap));
            match heard.recv_timeout(wait) {
                Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(News::Answered(call, result)) => {
                    self.outbox.handle(self.time.now(), Input::Answered { call, result });
                }
                Ok(News::Committed) => {}
                Err(RecvTimeoutError::Timeout) => self.outbox.handle(self.time.now(), Input::Timeout),
            }
        }
    }

    fn read(&mut self) -> Result<()> {
        while self.outbox.wants_more() {
            let events = self.reader.after(self.at, PORTION)?;
            if events.is_empty() {
                self.outbox.handle(self.time.now(), Input::AllRead);
                return Ok(());
            }
            for event in events {
                self.at = event.seq;
                self.outbox.handle(self.time.now(), Input::Event(Box::new(event)));
            }
        }
        Ok(())
    }

    fn carry_out(&mut self) -> Result<()> {
        loop {
            self.take_outputs();
            self.duties.write(&mut self.memory, (self.outbox.low(), self.outbox.needed()))?;
            let (reader, memory) = (&self.reader, &self.memory);
            let read = self.duties.read(|call| {
                let mut events = reader.events(call)?;
                reader.join_texts(&mut events)?;
                Ok(Input::Reread { call, events, done: memory.done_of(call)? })
            })?;
            match read {
                Some(read) => self.outbox.handle(self.time.now(), read),
                None => return Ok(()),
            }
        }
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.outbox.poll() {
            match output {
                Output::Send { call, request } => {
                    let (line, news) = (self.line.clone(), self.news.clone());
                    self.runtime.spawn(async move {
                        let result = line.say(request).await;
                        _ = news.send(News::Answered(call, result));
                    });
                }
                Output::Reread { call } => self.duties.again.push_back(call),
                Output::Aside { call, first_seq, since, what } => {
                    tell_aside(call, what, self.outbox.numbers().aside);
                    self.duties.notes.push(Output::Aside { call, first_seq, since, what });
                }
                note => self.duties.notes.push(note),
            }
        }
    }
}

/// For who runs it: the first, and then whenever twice as many are.
fn tell_aside(call: CallId, what: &str, aside: u64) {
    if aside.is_power_of_two() {
        let put = "the ticketing system does not take this of a call, and takes what others bring: it is told later";
        let entry = Entry::warn("ticketing", put).of(Some(call)).with("what", Value::written(what));
        entry.with("aside", aside).tell();
    }
}

fn until(now: Wall, at: Wall) -> Duration {
    Duration::from_millis(u64::try_from(at.0 - now.0).unwrap_or(0).max(1))
}

/// What survives a kill.
struct Memory {
    conn: Connection,
    low: u64,
}

impl Memory {
    /// `next`: where to begin if nothing of this log was written down.
    fn open(data: &Path, log: u64, next: u64) -> Result<Memory> {
        let conn = Connection::open(data.join("ticketing.db"))?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "secure_delete", true)?;
        conn.execute_batch(
            "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS done(key TEXT PRIMARY KEY, call INTEGER NOT NULL, result TEXT NOT NULL);
             CREATE INDEX IF NOT EXISTS done_call ON done(call);
             CREATE TABLE IF NOT EXISTS ticket(call INTEGER PRIMARY KEY, key TEXT NOT NULL, result TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS aside(call INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL,
             since INTEGER NOT NULL);",
        )?;
        let meta = |key| {
            let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
            value.optional().map(|value| value.map(|value| value as u64))
        };
        match meta("log")? {
            Some(known) if known == log => {}
            // What is known is of a log that was begun anew since.
            Some(_) => {
                conn.execute_batch("DELETE FROM done; DELETE FROM ticket; DELETE FROM aside; DELETE FROM meta")?
            }
            // Keys did not name their log before there was an id.
            None => _ = conn.execute("UPDATE done SET key = ?1 || '-' || key", [log_name(log)])?,
        }
        let now = params![log as i64, next as i64];
        conn.execute("INSERT OR IGNORE INTO meta VALUES ('log', ?1), ('low', ?2)", now)?;
        let low = meta("low")?.unwrap_or(next).min(next).max(1);
        Ok(Memory { conn, low })
    }

    fn left(&self) -> Result<Left> {
        let mut query = self.conn.prepare("SELECT call, first_seq, since FROM aside")?;
        let rows = query.query_map([], |row| {
            let (call, first_seq): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((CallId(call as u64), (first_seq as u64, Wall(row.get(2)?))))
        })?;
        let aside = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Left { done: self.done()?, aside, low: self.low })
    }

    fn done(&self) -> Result<BTreeMap<String, String>> {
        let mut query = self.conn.prepare("SELECT key, result FROM done")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn done_of(&self, call: CallId) -> Result<BTreeMap<String, String>> {
        let both = "SELECT key, result FROM done WHERE call = ?1 UNION SELECT key, result FROM ticket WHERE call = ?1";
        let mut query = self.conn.prepare_cached(both)?;
        let rows = query.query_map([call.0 as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// `low`: where a start begins to read; `needed`: what the log must keep.
    fn write(&mut self, notes: &[Output], (low, needed): (u64, u64)) -> Result<()> {
        if notes.is_empty() {
            return Ok(()); // where to begin is written with the next note
        }
        let tx = self.conn.transaction()?;
        for note in notes {
            match note {
                Output::Done { call, key, result } => {
                    tx.prepare_cached("INSERT OR REPLACE INTO done VALUES (?1, ?2, ?3)")?.execute(params![
                        key,
                        call.0 as i64,
                        result
                    ])?;
                }
                Output::Forget { call } => {
                    // What is noted of it later is told with its ticket.
                    let ticket = "INSERT OR REPLACE INTO ticket SELECT call, key, result FROM done
                                  WHERE call = ?1 AND key LIKE '%-open-%' AND result <> ''";
                    tx.prepare_cached(ticket)?.execute([call.0 as i64])?;
                    tx.prepare_cached("DELETE FROM done WHERE call = ?1")?.execute([call.0 as i64])?;
                    tx.prepare_cached("DELETE FROM aside WHERE call = ?1")?.execute([call.0 as i64])?;
                }
                Output::Aside { call, first_seq, since, .. } => {
                    let row = params![call.0 as i64, *first_seq as i64, since.0];
                    tx.prepare_cached("INSERT OR REPLACE INTO aside VALUES (?1, ?2, ?3)")?.execute(row)?;
                }
                Output::Send { .. } | Output::Reread { .. } => {}
            }
        }
        let now = params![low as i64, needed as i64];
        tx.execute("INSERT OR REPLACE INTO meta VALUES ('low', ?1), ('needed', ?2)", now)?;
        tx.commit()?;
        self.low = low;
        Ok(())
    }
}

/// The way to the ticketing system. Connects when it is needed, again and again.
#[derive(Clone)]
pub struct Line {
    client: TicketingClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Line {
    /// # Errors
    /// The address, the token's file or the roots cannot be used.
    pub fn new(settings: &TicketingSettings) -> Result<Line> {
        let endpoint = endpoint(settings)?;
        let token = settings.token_file.as_deref().map(token).transpose()?;
        let client = TicketingClient::new(endpoint.connect_lazy());
        Ok(Line { client, token, timeout: settings.timeout })
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        self.token.iter().for_each(|token| _ = request.metadata_mut().insert("authorization", token.clone()));
        request
    }

    async fn say(&self, request: Request) -> Result<Response, Failure> {
        let mut client = self.client.clone();
        let answer = async move {
            Ok(match request {
                Request::Find(it) => Response::Found(client.find_caller(self.request(it)).await?.into_inner()),
                Request::Open(it) => Response::Opened(client.open_ticket(self.request(it)).await?.into_inner()),
                Request::Pop(it) => client.screen_pop(self.request(it)).await.map(|_| Response::Taken)?,
                Request::Follow(it) => client.follow_call(self.request(it)).await.map(|_| Response::Taken)?,
            })
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(said) => said.map_err(|status: Status| failure(&status)),
            Err(_) => Err(Failure::Later),
        }
    }

    /// The status of a ticket; none: there is no such ticket.
    ///
    /// # Errors
    /// Nobody answers in time.
    pub async fn status(&self, ticket: String, number: String) -> Result<Option<proto::TicketStatusResponse>, Failure> {
        let request = self.request(proto::TicketStatusRequest { ticket, number });
        let mut client = self.client.clone();
        match tokio::time::timeout(self.timeout, client.ticket_status(request)).await {
            Ok(Ok(answer)) => Ok(Some(answer.into_inner()).filter(|answer| answer.found)),
            Ok(Err(status)) => Err(failure(&status)),
            Err(_) => Err(Failure::Later),
        }
    }
}

fn endpoint(settings: &TicketingSettings) -> Result<Endpoint> {
    let endpoint = Endpoint::from_shared(settings.address.clone())?
        .connect_timeout(settings.timeout)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_while_idle(true);
    if !settings.address.starts_with("https://") {
        return Ok(endpoint);
    }
    let roots = match &settings.trust {
        Some(file) => vec![std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?],
        None => system_roots(),
    };
    let tls = ClientTlsConfig::new().ca_certificates(roots.into_iter().map(Certificate::from_pem));
    Ok(endpoint.tls_config(tls)?)
}

/// Whether the ticketing system is there and takes a connection; nothing is asked of it.
///
/// # Errors
/// Why it is not.
pub async fn reach(settings: &TicketingSettings) -> Result<()> {
    Line::new(settings)?; // its token too
    endpoint(settings)?.connect().await?;
    Ok(())
}

/// The proto file says which codes mean "never".
fn failure(status: &Status) -> Failure {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Failure::Never,
        _ => Failure::Later,
    }
}

fn token(file: &Path) -> Result<MetadataValue<Ascii>> {
    super::accounts::check_mode(file)?;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let first = text.lines().next().unwrap_or_default().trim();
    format!("Bearer {first}").parse().with_context(|| format!("{} holds no usable token", file.display()))
}

/// The system's roots, as PEM.
fn system_roots() -> Vec<Vec<u8>> {
    let pem = |der: &[u8]| {
        let text = base64(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n").into_bytes()
    };
    rustls_native_certs::load_native_certs().certs.iter().map(|der| pem(der.as_ref())).collect()
}

/// Base64 in lines (RFC 7468).
fn base64(der: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (number, three) in der.chunks(3).enumerate() {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
        if number % 16 == 15 {
            text.push('\n');
        }
    }
    text + "\n"
}

/// The outbox's numbers under their public names; `now` on the events' clock, by which what waits has waited.
pub fn samples(numbers: &Numbers, now: Wall) -> Vec<Sample> {
    let lag = numbers.oldest.map_or(0, |since| (now.0 - since.0).max(0));
    vec![
        f::TICKETING_ANSWERED.count([], numbers.answered),
        f::TICKETING_RETRIED.count([], numbers.failed),
        f::TICKETING_REFUSED.count([], numbers.refused),
        f::TICKETING_EXPIRED.count([], numbers.pops_expired),
        f::TICKETING_WAITING.count([], numbers.waiting),
        f::TICKETING_ASIDE.count([], numbers.aside),
        f::TICKETING_LAG.sample([], lag as f64 / 1000.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(memory: &Memory) -> Vec<String> {
        memory.done().unwrap().into_keys().collect()
    }

    /// What was written down is of one log; of another one nothing is known, and its numbers begin anew.
    #[test]
    fn what_was_done_belongs_to_one_log() {
        let data = std::env::temp_dir().join(format!("tierline-ticketing-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data).unwrap();
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let key = "0000000000000007-open-c0-0-1".to_owned();
        let note = Output::Done { call: CallId(1), key: key.clone(), result: "1001".into() };
        let (call, since) = (CallId(2), Wall(5));
        memory.write(&[note, Output::Aside { call, first_seq: 3, since, what: "OpenTicket" }], (40, 3)).unwrap();
        drop(memory);
        let same = Memory::open(&data, 7, 90).unwrap();
        assert_eq!(same.left().unwrap().aside, BTreeMap::from([(call, (3, since))]));
        assert_eq!(same.done_of(CallId(1)).unwrap(), BTreeMap::from([(key.clone(), "1001".to_owned())]));
        assert_eq!((same.low, done(&same)), (40, vec![key]));
        drop(same);
        let other = Memory::open(&data, 8, 3).unwrap();
        assert_eq!((other.low, done(&other)), (3, Vec::new()));
        assert!(other.left().unwrap().aside.is_empty());
        std::fs::remove_dir_all(&data).unwrap();
    }

    fn made(name: &str) -> std::path::PathBuf {
        let data = std::env::temp_dir().join(format!("tierline-ticketing-{}-{name}", std::process::id()));
        _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data).unwrap();
        data
    }

    /// A disk that is full, and a log that cannot be read for a moment: nothing that was to be done is forgotten.
    #[test]
    fn what_could_not_be_written_or_read_is_still_to_be() {
        let data = made("full");
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let (call, since) = (CallId(2), Wall(5));
        let mut duties = Duties::default();
        duties.notes.push(Output::Aside { call, first_seq: 3, since, what: "OpenTicket" });
        duties.again.push_back(call);
        memory.conn.pragma_update(None, "query_only", true).unwrap();
        assert!(duties.write(&mut memory, (4, 3)).is_err());
        assert!(duties.read::<()>(|_| anyhow::bail!("locked")).is_err() && !duties.is_empty());
        memory.conn.pragma_update(None, "query_only", false).unwrap();
        duties.write(&mut memory, (4, 3)).unwrap();
        assert_eq!(memory.left().unwrap().aside, BTreeMap::from([(call, (3, since))]));
        assert_eq!(duties.read(Ok).unwrap(), Some(call));
        assert!(duties.is_empty());
        std::fs::remove_dir_all(&data).unwrap();
    }

    /// A call that is forgotten keeps its ticket's number, for what is noted of it later; nothing else.
    #[test]
    fn a_ticket_outlives_its_call() {
        let data = made("late");
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let call = CallId(1);
        let done = |what: &str, result: &str| {
            let key = format!("{}-{what}", log_name(7));
            Output::Done { call, key, result: result.into() }
        };
        memory.write(&[done("open-c0-0-1", "1001"), done("follow-3", "")], (1, 1)).unwrap();
        memory.write(&[Output::Forget { call }], (9, 9)).unwrap();
        assert!(memory.left().unwrap().done.is_empty());
        let ticket = (format!("{}-open-c0-0-1", log_name(7)), "1001".to_owned());
        assert_eq!(memory.done_of(call).unwrap(), BTreeMap::from([ticket]));
        std::fs::remove_dir_all(&data).unwrap();
    }
}
