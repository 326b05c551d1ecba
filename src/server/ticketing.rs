//! The ticketing system's client: carries what the outbox ([`crate::ticketing`]) wants said, and writes down what was
//! said. A thread of its own reads the log and the answers; requests run side by side on tokio.
//!
//! `ticketing.db` in the data directory ([`memory`]) holds where in the log a start must begin, and the keys of what is done
//! since. No personal data: requests are made anew from the log.
#![allow(clippy::disallowed_methods, reason = "the shell reads the clock")]

mod clerk;
pub mod example;
#[cfg(test)]
mod folder;
pub mod look_up;
pub mod memory;
mod proof;

use super::clock::EventTime;
use super::defects::Kept;
use super::journal::Entry;
use super::store::{Reader, Store};
use crate::config::{self, TicketingSettings};
use crate::proto::{self, ticketing_client::TicketingClient};
use crate::stats::Sample;
use crate::stats::families as f;
use crate::ticketing::{Failure, Numbers, Outbox, Request, Response, Settings};
use crate::time::Wall;
use anyhow::{Context, Result, bail};
use clerk::{Clerk, News};
use memory::Memory;
use proof::{Connector, Proof};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// The client as it runs.
pub struct Ticketing {
    news: Sender<News>,
    thread: Option<Kept>,
    numbers: Counts,
}

/// What is counted, for whoever asks.
pub type Counts = Arc<Mutex<Numbers>>;

impl Ticketing {
    /// `next`: the first event of this start, where a first start begins.
    ///
    /// # Errors
    /// The log cannot be read.
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
        let settings = Settings {
            pop_expires: settings.pop_expires,
            retry: settings.retry,
            retry_most: settings.retry_most,
            parallel: settings.parallel as usize,
        };
        let numbers = Counts::default();
        let of_clerk = news.clone();
        let send: clerk::Send = Box::new(move |round, call, request| {
            let (line, news) = (line.clone(), of_clerk.clone());
            runtime.spawn(async move {
                let result = line.say(request).await;
                _ = news.send(News::Answered(round, call, result));
            });
        });
        let data = data.to_owned();
        let ground = Ground { settings, reader, log, data, send, numbers: Arc::clone(&numbers), time };
        let thread = Kept::start("ticketing", life(Start::of(ground, next), heard))?;
        Ok(Ticketing { news, thread: Some(thread), numbers })
    }

    pub fn counts(&self) -> Counts {
        Arc::clone(&self.numbers)
    }
}

impl Drop for Ticketing {
    fn drop(&mut self) {
        _ = self.news.send(News::Stop);
        self.thread.take().into_iter().for_each(Kept::join);
    }
}

/// What a clerk stands on.
struct Ground {
    settings: Settings,
    reader: Reader,
    log: u64,
    data: PathBuf,
    send: clerk::Send,
    numbers: Counts,
    /// What is told has the events' time, and so has what is too late: no jump of the clock on the wall makes it so.
    time: EventTime,
}

/// Before there is a clerk.
struct Start {
    ground: Ground,
    /// The first event of this start.
    next: u64,
    /// Somebody was told that there is none yet.
    told: bool,
    /// What is met first panics.
    #[cfg(test)]
    planted: bool,
}

/// The pause before the file is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// All that the thread does; it does it again after a panic. What a clerk is made from is given up only when there is one: a
/// defect that is met before is met again, and the thread is missed until then.
fn life(start: Start, heard: Receiver<News>) -> impl FnMut() + std::marker::Send {
    let (mut start, mut clerk) = (Some(start), None);
    move || {
        while let Some(begins) = &mut start {
            match begins.open() {
                Ok((memory, outbox)) => clerk = start.take().map(|start| Clerk::new(start.ground, memory, outbox)),
                Err(why) => {
                    begins.tell(&why);
                    if !rests(&heard) {
                        return;
                    }
                }
            }
        }
        clerk.iter_mut().for_each(|clerk| clerk.run(&heard));
    }
}

impl Start {
    fn of(ground: Ground, next: u64) -> Start {
        let told = false;
        Start {
            ground,
            next,
            told,
            #[cfg(test)]
            planted: false,
        }
    }

    /// Opens what was written down.
    fn open(&mut self) -> Result<(Memory, Outbox)> {
        let Ground { settings, reader, log, data, numbers, time, .. } = &self.ground;
        // What comes waits since, until a clerk knows better.
        numbers.lock().unwrap_or_else(PoisonError::into_inner).oldest.get_or_insert(time.now());
        #[cfg(test)]
        assert!(!std::mem::take(&mut self.planted), "planted");
        let (memory, left) = Memory::of(data, reader, self.next, &|| clerk::told_again(reader, time.now()))?;
        Ok((memory, Outbox::new(*settings, *log, left)))
    }

    /// Somebody holds it, or the disk does not let us: calls go on meanwhile.
    fn tell(&mut self, why: &anyhow::Error) {
        if !std::mem::replace(&mut self.told, true) {
            let later = "ticketing.db cannot be opened; calls go on, and the ticketing system is told later";
            Entry::error("ticketing", later).with("why", why).tell();
        }
    }
}

/// False: it is to stop.
fn rests(heard: &Receiver<News>) -> bool {
    let until = std::time::Instant::now() + AGAIN;
    loop {
        match heard.recv_timeout(until.saturating_duration_since(std::time::Instant::now())) {
            Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(_) => {}
        }
    }
}

/// Bytes of an answer: ten tickets are far less.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The way to the ticketing system. Connects when it is needed, again and again.
#[derive(Clone)]
pub struct Line {
    client: TicketingClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
    timeout: Duration,
    proof: Arc<Proof>,
}

impl Line {
    /// # Errors
    /// The address, the token's file or the roots cannot be used.
    pub fn new(settings: &TicketingSettings) -> Result<Line> {
        let endpoint = endpoint(settings)?;
        let token = settings.token_file.as_deref().map(token).transpose()?;
        let proof = Arc::new(Proof::default());
        let channel = endpoint.connect_with_connector_lazy(Connector::new(Arc::clone(&proof), settings.timeout));
        let client = TicketingClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        Ok(Line { client, token, timeout: settings.timeout, proof })
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        self.token.iter().for_each(|token| _ = request.metadata_mut().insert("authorization", token.clone()));
        request
    }

    async fn say(&self, request: Request) -> Result<Response, Failure> {
        let mut client = self.client.clone();
        let (finds, method) = (matches!(request, Request::Find(_)), request.method());
        let answer = async move {
            Ok(match request {
                Request::Find(it) => Response::Found(client.find_caller(self.request(it)).await?.into_inner()),
                Request::Open(it) => Response::Opened(client.open_ticket(self.request(it)).await?.into_inner()),
                Request::Pop(it) => client.screen_pop(self.request(it)).await.map(|_| Response::Taken)?,
                Request::Follow(it) => client.follow_call(self.request(it)).await.map(|_| Response::Taken)?,
            })
        };
        let said = self.hear(method, answer).await;
        if finds { said.or_else(|why| Ok(Response::NotFound(why))) } else { said }
    }

    /// The status of a ticket; none: there is no such ticket.
    ///
    /// # Errors
    /// Nobody answers in time.
    pub async fn status(&self, ticket: String, number: String) -> Result<Option<proto::TicketStatusResponse>, Failure> {
        let request = self.request(proto::TicketStatusRequest { ticket, number });
        let mut client = self.client.clone();
        let answer = self.hear("TicketStatus", client.ticket_status(request)).await?;
        Ok(Some(answer.into_inner()).filter(|answer| answer.found))
    }

    async fn hear<T>(
        &self,
        method: &'static str,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Failure> {
        let connection = self.proof.connection();
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(said) => self.proof.heard(connection, method, said),
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
        Some(file) => vec![std::fs::read(file).with_context(|| format!("cannot read {}", config::shown(file)))?],
        None => system_roots(),
    };
    let tls = ClientTlsConfig::new().ca_certificates(roots.into_iter().map(Certificate::from_pem));
    Ok(endpoint.tls_config(tls)?)
}

/// Whether the ticketing system answers, and takes our token: it is asked for the status of no ticket, which changes nothing.
/// Whatever else takes a connection there does not answer that.
///
/// # Errors
/// Why it is not.
pub async fn reach(settings: &TicketingSettings) -> Result<()> {
    let line = Line::new(settings)?;
    endpoint(settings)?.connect().await?; // which says best why there is none
    let mut client = line.client.clone();
    let asked = client.ticket_status(line.request(proto::TicketStatusRequest::default()));
    match tokio::time::timeout(line.timeout, asked).await {
        Err(_) => bail!("it takes a connection, and says nothing in {:?}", line.timeout),
        Ok(Err(status)) if !proof::answers(status.code()) => bail!("{:?}: {}", status.code(), status.message()),
        Ok(_) => Ok(()),
    }
}

/// The token that is sent.
///
/// # Errors
/// It cannot be read, others may read it, or it is none.
pub fn token(file: &Path) -> Result<MetadataValue<Ascii>> {
    super::accounts::check_mode(file)?;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", config::shown(file)))?;
    let first = text.lines().next().unwrap_or_default().trim();
    format!("Bearer {first}").parse().with_context(|| format!("{} holds no usable token", config::shown(file)))
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
    use super::folder::Folder;
    use super::*;
    use crate::server::clock::Clock;
    use crate::server::defects::contain;
    use crate::server::store::Keep;

    /// What panics before there is a clerk ends nothing: the thread begins again, and until then it is told that somebody
    /// waits.
    #[test]
    fn a_defect_at_the_start_is_not_the_end() {
        let data = Folder::new("start");
        let store = Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap().store;
        store.append(vec![clerk::examples::arrives(1)]);
        store.flush().unwrap();
        let reader = Reader::of(&data).unwrap();
        let (news, heard) = channel();
        let (asked, asks) = channel();
        let answers = news.clone();
        let send: clerk::Send = Box::new(move |_, call, _| {
            _ = asked.send(call);
            _ = answers.send(News::Stop);
        });
        let numbers = Counts::default();
        let ground = Ground {
            settings: clerk::examples::SETTINGS,
            log: reader.log_id().unwrap(),
            reader,
            data: data.to_owned(),
            send,
            numbers: Arc::clone(&numbers),
            time: EventTime { clock: Clock::start(), began: Wall(5_000) },
        };
        let mut run = life(Start { planted: true, ..Start::of(ground, 1) }, heard);
        assert!(contain("planted start", &mut run).is_none());
        assert!(numbers.lock().unwrap().oldest.is_some(), "nobody would know");
        assert!(contain("planted start", &mut run).is_some());
        assert_eq!(asks.try_iter().count(), 1, "it ends, and nobody is ever told");
        drop(news);
    }
}
