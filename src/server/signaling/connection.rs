//! The life of one connection: handshake, messages in (framing, keepalive, limits of time), messages out.
//!
//! RFC 3261 §18.3 (framing by Content-Length), RFC 5626 §4.4.1 (two line ends are answered with one).

use super::counters::Side;
use super::streams::Shared;
use crate::engine::Input;
use crate::server::inbox::{Message, Room};
use crate::server::net;
use crate::sip::frame::{Frame, Framer, PONG};
use crate::sip::{self, Flow, Transport};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// Messages of one connection that may wait for the engine's thread; then it is not read.
const TURNS: usize = 16;
/// Bytes read at once.
const READ: usize = 4_096;
/// What a waiting message costs beside its bytes.
const COST: usize = 64;
/// How long a peer may take to read what fills the system's buffer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// The peer closed it.
    Closed,
    /// The network or the peer broke it.
    Broken,
    /// It could not be made.
    Unreachable,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// Nothing came for the time that it may be idle.
    Idle,
    /// No message came after it was accepted.
    Silent,
    /// A message began and did not end in time.
    Slow,
    /// What came was no SIP, or too large.
    Unframed,
    /// The peer does not read.
    NotReading,
    /// All were in use, and nobody had registered or called over it.
    GaveWay,
}

impl Ended {
    /// For metrics.
    pub fn name(self) -> &'static str {
        match self {
            Ended::Closed => "closed",
            Ended::Broken => "broken",
            Ended::Unreachable => "unreachable",
            Ended::Handshake => "handshake",
            Ended::Idle => "idle",
            Ended::Silent => "silent",
            Ended::Slow => "slow",
            Ended::Unframed => "unframed",
            Ended::NotReading => "not_reading",
            Ended::GaveWay => "gave_way",
        }
    }
}

/// Where to leave what shall be sent.
pub struct Link {
    queue: UnboundedSender<Vec<u8>>,
    /// Bytes in it.
    unsent: Arc<AtomicUsize>,
    /// How many may be.
    most: usize,
    cut: Arc<Cut>,
}

/// Tells a connection to end at once.
#[derive(Default)]
struct Cut {
    now: Notify,
    gives_way: AtomicBool,
}

impl Cut {
    async fn told(&self) -> Ended {
        self.now.notified().await;
        if self.gives_way.load(Ordering::Acquire) { Ended::GaveWay } else { Ended::NotReading }
    }
}

/// The connection's side of a [`Link`].
pub struct Ends {
    queue: UnboundedReceiver<Vec<u8>>,
    answers: UnboundedSender<Vec<u8>>,
    unsent: Arc<AtomicUsize>,
    most: usize,
    cut: Arc<Cut>,
}

/// `most`: bytes that may wait for the peer to read them.
pub fn link(most: usize) -> (Link, Ends) {
    let ((sender, queue), unsent, cut) = (unbounded_channel(), Arc::<AtomicUsize>::default(), Arc::<Cut>::default());
    let ends = Ends { queue, answers: sender.clone(), unsent: Arc::clone(&unsent), most, cut: Arc::clone(&cut) };
    (Link { queue: sender, unsent, most, cut }, ends)
}

impl Link {
    /// Never waits: with too many bytes the connection is cut.
    pub fn send(&self, bytes: Vec<u8>) {
        let cost = bytes.len() + COST;
        if self.unsent.fetch_add(cost, Ordering::AcqRel) + cost > self.most {
            self.cut.now.notify_one();
        } else if self.queue.send(bytes).is_err() {
            self.unsent.fetch_sub(cost, Ordering::AcqRel); // it is ending: its flows will be told
        }
    }

    /// Makes room for another connection.
    pub fn give_way(&self) {
        self.cut.gives_way.store(true, Ordering::Release);
        self.cut.now.notify_one();
    }

    pub fn is_idle(&self) -> bool {
        self.unsent.load(Ordering::Acquire) == 0
    }
}

/// TCP, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The life of a connection that came.
pub async fn accept(shared: Arc<Shared>, flow: Flow, stream: TcpStream, ends: Ends) -> Ended {
    prepare(&stream);
    if flow.transport == Transport::Tcp {
        return run(&shared, flow, Box::new(stream), ends, false).await;
    }
    let Some(tls) = &shared.tls else { return Ended::Handshake };
    let cut = Arc::clone(&ends.cut);
    let handshake = timeout(shared.settings.message, tls.acceptor().accept(stream));
    let stream = tokio::select! {
        stream = handshake => stream,
        why = cut.told() => return why,
    };
    match stream {
        Ok(Ok(stream)) => run(&shared, flow, Box::new(stream), ends, false).await,
        _ => {
            shared.counters.handshake_failed(Side::Theirs);
            Ended::Handshake
        }
    }
}

/// The life of a connection of ours. `name` is what the peer's certificate must bear; none: its address.
pub async fn connect(shared: Arc<Shared>, flow: Flow, name: Option<String>, ends: Ends) -> Ended {
    let from = shared.listeners[usize::from(flow.listener)].bind;
    let Ok(Ok(stream)) = timeout(shared.settings.connect, open(from, flow.remote)).await else {
        return Ended::Unreachable;
    };
    shared.counters.opened(flow.transport);
    prepare(&stream);
    if flow.transport == Transport::Tcp {
        return run(&shared, flow, Box::new(stream), ends, true).await;
    }
    let Some(tls) = &shared.tls else { return Ended::Handshake };
    let name = name.unwrap_or_else(|| flow.remote.ip().to_string());
    match timeout(shared.settings.message, tls.connect(name, stream)).await {
        Ok(Ok(stream)) => run(&shared, flow, Box::new(stream), ends, true).await,
        _ => {
            shared.counters.handshake_failed(Side::Ours);
            Ended::Handshake
        }
    }
}

async fn open(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !from.ip().is_unspecified() {
        socket.bind(SocketAddr::new(from.ip(), 0))?;
    }
    socket.connect(to).await
}

fn prepare(stream: &TcpStream) {
    _ = stream.set_nodelay(true); // messages are whole: there is nothing to wait for
    net::notice_dead_peer(stream);
}

async fn run(shared: &Shared, flow: Flow, stream: Box<dyn Stream>, ends: Ends, ours: bool) -> Ended {
    let (reader, writer) = tokio::io::split(stream);
    let Ends { queue, answers, unsent, most, cut } = ends;
    let answers = Link { queue: answers, unsent: Arc::clone(&unsent), most, cut: Arc::clone(&cut) };
    let reading = Reading { shared, flow, answers, turns: Arc::new(Semaphore::new(TURNS)), greeted: ours };
    tokio::select! {
        why = reading.run(reader) => why,
        why = write(writer, queue, &unsent) => why,
        why = cut.told() => why,
    }
}

async fn write(
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut queue: UnboundedReceiver<Vec<u8>>,
    unsent: &AtomicUsize,
) -> Ended {
    while let Some(bytes) = queue.recv().await {
        let whole = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(WRITE_LIMIT, whole).await {
            Ok(Ok(())) => unsent.fetch_sub(bytes.len() + COST, Ordering::AcqRel),
            Ok(Err(_)) => return Ended::Broken,
            Err(_) => return Ended::NotReading,
        };
    }
    Ended::Closed
}

struct Reading<'s> {
    shared: &'s Shared,
    flow: Flow,
    answers: Link,
    turns: Arc<Semaphore>,
    /// A message has come, or need not.
    greeted: bool,
}

impl Reading<'_> {
    async fn run(mut self, mut reader: ReadHalf<Box<dyn Stream>>) -> Ended {
        let (opened, limits) = (Instant::now(), &self.shared.settings);
        let (mut framer, mut buffer) = (Framer::new(self.shared.limits.clone()), vec![0; READ]);
        let (mut last, mut begun) = (opened, None::<Instant>);
        loop {
            let (limit, why) = match begun {
                Some(begun) => (begun + limits.message, Ended::Slow),
                None if !self.greeted => (opened + limits.message, Ended::Silent),
                None => (last + limits.idle, Ended::Idle),
            };
            let count = match timeout_at(limit, reader.read(&mut buffer)).await {
                Err(_) => return why,
                Ok(Err(_)) => return Ended::Broken,
                Ok(Ok(0)) => return Ended::Closed,
                Ok(Ok(count)) => count,
            };
            framer.push(&buffer[..count]);
            loop {
                match framer.poll() {
                    Ok(Some(frame)) => {
                        begun = begun.filter(|_| !matches!(frame, Frame::Message(_)));
                        self.take(frame).await;
                    }
                    Ok(None) => break,
                    Err(_) => return Ended::Unframed,
                }
            }
            // Waiting for the engine was not the peer's fault.
            last = Instant::now();
            begun = if framer.is_inside_message() { begun.or(Some(last)) } else { None };
        }
    }

    async fn take(&mut self, frame: Frame) {
        let bytes = match frame {
            Frame::Ping => return self.answers.send(PONG.to_vec()),
            Frame::Pong => return,
            Frame::Message(bytes) => bytes,
        };
        self.greeted = true;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let room = Arc::clone(&self.shared.room).acquire_many_owned(length).await;
        let (Ok(turn), Ok(bytes_room)) = (turn, room) else { return }; // nobody closes them
        let input = Input::Sip(sip::Input::Received { flow: self.flow, bytes });
        _ = self.shared.inbox.send(Message::Framed(input, Room { turn, bytes: bytes_room }));
    }
}
