//! The planes' threads: sockets, wake-ups and the clock around [`Plane`], one thread for each.
//!
//! A thread waits in epoll for its legs' sockets, for commands and for its plane's deadline, and sends straight from
//! the plane's arena. Each leg has a pair of ports of its own: RTP on the even one, RTCP on the next (RFC 3550 §11).
//! Level-triggered epoll and one receive for each readiness: two system calls for a packet, or fewer when several
//! legs are ready at once.

use super::clock::Clock;
use super::net::{self, Epoll, Wake};
use crate::config::MediaSettings;
use crate::ids::{PortId, Rng};
use crate::media::{Command, Event, Input, Output, Plane, Settings, Sounds, Stats};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// All planes of this process.
pub struct Planes {
    lines: Vec<Line>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The way to one plane's thread.
#[derive(Clone)]
struct Line {
    inbox: Sender<Message>,
    wake: Wake,
}

enum Message {
    Command(Command),
    Count(Sender<Figures>),
    Stop,
}

/// What the planes have counted since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub plane: Stats,
    /// Packets that the system would not take.
    pub unsent: u64,
}

/// How long `figures` waits for a plane that is busy.
const PATIENCE: Duration = Duration::from_millis(500);

impl Planes {
    /// Starts `count` threads (1 … 256). `settings.plane` is set for each; `events` is called on the planes' threads
    /// and must not wait.
    pub fn start(
        count: u16,
        media: &MediaSettings,
        settings: Settings,
        sounds: Arc<Sounds>,
        clock: Clock,
        events: impl Fn(Event) + Clone + Send + 'static,
    ) -> Result<Planes> {
        net::raise_file_limit();
        let mut planes = Planes { lines: Vec::new(), threads: Mutex::default() };
        for plane in 0..count.max(1) {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("the system gives no randomness: {e}"))?;
            let machine = Plane::new(Settings { plane, ..settings.clone() }, Arc::clone(&sounds), Rng::new(seed));
            let pairs = Pairs::new(media.bind, media.ports, usize::from(plane), usize::from(count.max(1)));
            let line = planes.spawn(machine, pairs, clock, events.clone());
            planes.lines.push(line.with_context(|| format!("cannot start the audio thread {plane}"))?);
        }
        Ok(planes)
    }

    fn spawn(
        &self,
        plane: Plane,
        pairs: Pairs,
        clock: Clock,
        events: impl Fn(Event) + Send + 'static,
    ) -> std::io::Result<Line> {
        let ((inbox, messages), wake, epoll) = (channel(), Wake::new()?, Epoll::new()?);
        epoll.add(&wake, WAKE)?;
        let sockets = Sockets { pairs, epoll, table: Vec::new(), free: Vec::new(), slots: BTreeMap::new(), unsent: 0 };
        let driver = Driver { plane, sockets, clock, messages, wake: wake.clone(), events, binds: Vec::new() };
        let name = format!("plane-{}", self.lines.len());
        let thread = std::thread::Builder::new().name(name).spawn(move || driver.run())?;
        self.threads.lock().expect("no thread panics with this lock").push(thread);
        Ok(Line { inbox, wake })
    }

    pub fn count(&self) -> u16 {
        self.lines.len() as u16
    }

    /// What carries commands to the planes, each to the one that its port names.
    pub fn sender(&self) -> Box<dyn Fn(Command) + Send> {
        let lines = self.lines.clone();
        Box::new(move |command| {
            // A port of a plane that does not exist was never opened; a plane that has stopped has no ports.
            let Some(line) = lines.get(usize::from(command.port().plane)) else { return };
            if line.inbox.send(Message::Command(command)).is_ok() {
                line.wake.wake();
            }
        })
    }

    /// The counters of each plane; a plane that does not answer in time is left out.
    pub fn figures(&self) -> Vec<Figures> {
        let asked = self.lines.iter().filter_map(|line| {
            let (answer, figures) = channel();
            line.inbox.send(Message::Count(answer)).ok()?;
            line.wake.wake();
            Some(figures)
        });
        let asked: Vec<_> = asked.collect();
        asked.iter().filter_map(|figures| figures.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Ends the threads and closes all sockets. Returns when they are gone.
    pub fn stop(&self) {
        for line in &self.lines {
            let _ = line.inbox.send(Message::Stop); // it may have ended already
            line.wake.wake();
        }
        for thread in self.threads.lock().expect("no thread panics with this lock").drain(..) {
            let _ = thread.join(); // its panic has been printed
        }
    }
}

impl std::ops::Drop for Planes {
    fn drop(&mut self) {
        self.stop();
    }
}

const WAKE: u64 = u64::MAX;
/// Room for a datagram; longer ones are cut, and refused by the plane.
const DATAGRAM: usize = 2048;

/// One plane with what it needs of the world.
struct Driver<F> {
    plane: Plane,
    sockets: Sockets,
    clock: Clock,
    messages: Receiver<Message>,
    wake: Wake,
    events: F,
    /// Ports that want sockets, between two inputs.
    binds: Vec<PortId>,
}

impl<F: Fn(Event)> Driver<F> {
    fn run(mut self) {
        let (mut ready, mut buffer) = (Vec::new(), [0; DATAGRAM]);
        loop {
            let timeout = self.plane.deadline().map(|at| at.since(self.clock.now()));
            ready.clear();
            match self.sockets.epoll.wait(timeout) {
                Ok(tokens) => ready.extend(tokens),
                Err(e) => return eprintln!("an audio thread ends: {e}"),
            }
            for token in &ready {
                match *token {
                    WAKE => {
                        if !self.read_messages() {
                            return;
                        }
                    }
                    token => self.read_socket(token, &mut buffer),
                }
            }
            self.time_passed();
        }
    }

    fn time_passed(&mut self) {
        let now = self.clock.now();
        if self.plane.deadline().is_some_and(|at| at <= now) {
            self.input(Input::Timeout);
        }
    }

    /// False when it is time to end.
    fn read_messages(&mut self) -> bool {
        self.wake.clear();
        loop {
            match self.messages.try_recv() {
                Ok(Message::Command(command)) => self.input(Input::Command(command)),
                // Who asked may have lost patience.
                Ok(Message::Count(answer)) => {
                    _ = answer.send(Figures { plane: self.plane.stats(), unsent: self.sockets.unsent });
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn read_socket(&mut self, token: u64, buffer: &mut [u8; DATAGRAM]) {
        let Some(pair) = self.sockets.table.get((token >> 1) as usize).and_then(Option::as_ref) else { return };
        let (port, control) = (pair.port, token & 1 == 1);
        let socket = if control { &pair.control } else { &pair.rtp };
        // Nothing to read: the socket is another one since the batch began.
        let Ok((length, from)) = socket.recv_from(buffer) else { return };
        let bytes = &buffer[..length];
        self.input(match control {
            true => Input::Control { port, from, bytes },
            false => Input::Packet { port, from, bytes },
        });
    }

    fn input(&mut self, input: Input<'_>) {
        self.plane.handle(self.clock.now(), input);
        self.drain();
        while let Some(port) = self.binds.pop() {
            let answer = match self.sockets.open(port) {
                Ok(local) => Input::Bound { port, local },
                Err(why) => Input::BindFailed { port, why: format!("{why:#}") },
            };
            self.plane.handle(self.clock.now(), answer);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.plane.poll() {
            match output {
                Output::Packet { port, to, bytes } => self.sockets.send(port, to, bytes),
                Output::Control { port, to, bytes } => self.sockets.send_control(port, to, bytes),
                Output::Event(event) => (self.events)(event),
                Output::Bind { port } => self.binds.push(port),
                Output::Unbind { port } => self.sockets.close(port),
                Output::Heard { .. } => {} // nobody listens on the server yet
            }
        }
    }
}

/// One thread's sockets. A token is a place in the table, doubled, and one more for RTCP.
struct Sockets {
    pairs: Pairs,
    epoll: Epoll,
    table: Vec<Option<Pair>>,
    free: Vec<usize>,
    slots: BTreeMap<u64, usize>,
    unsent: u64,
}

struct Pair {
    port: PortId,
    index: usize,
    rtp: UdpSocket,
    control: UdpSocket,
}

impl Sockets {
    fn open(&mut self, port: PortId) -> Result<SocketAddr> {
        let (index, rtp, control) = self.pairs.bind()?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            self.table.len() - 1
        });
        // From here on `close` can undo all of it.
        self.slots.insert(port.number, slot);
        let pair = self.table[slot].insert(Pair { port, index, rtp, control });
        let token = slot as u64 * 2;
        let watched = self.epoll.add(&pair.rtp, token).and_then(|()| self.epoll.add(&pair.control, token + 1));
        let local = watched.and_then(|()| pair.rtp.local_addr());
        if local.is_err() {
            self.close(port);
        }
        local.context("cannot watch a leg's sockets")
    }

    /// Closing takes the sockets out of epoll too.
    fn close(&mut self, port: PortId) {
        let Some(slot) = self.slots.remove(&port.number) else { return };
        if let Some(pair) = self.table[slot].take() {
            self.pairs.give_back(pair.index);
        }
        self.free.push(slot);
    }

    fn pair(&self, port: PortId) -> Option<&Pair> {
        self.table[*self.slots.get(&port.number)?].as_ref()
    }

    fn send(&mut self, port: PortId, to: SocketAddr, bytes: &[u8]) {
        let sent = self.pair(port).is_some_and(|pair| pair.rtp.send_to(bytes, to).is_ok());
        self.unsent += u64::from(!sent);
    }

    fn send_control(&mut self, port: PortId, to: SocketAddr, bytes: &[u8]) {
        let sent = self.pair(port).is_some_and(|pair| pair.control.send_to(bytes, to).is_ok());
        self.unsent += u64::from(!sent);
    }
}

/// One plane's share of the range of UDP ports: every n-th pair of it.
struct Pairs {
    bind: IpAddr,
    first: u16,
    plane: usize,
    planes: usize,
    taken: Vec<bool>,
    /// Where the search goes on, so that a port rests before it is used again.
    next: usize,
}

/// Pairs that others hold may be met so often before a leg gets none.
const TRIES: usize = 64;

impl Pairs {
    fn new(bind: IpAddr, (first, last): (u16, u16), plane: usize, planes: usize) -> Pairs {
        let first = first.next_multiple_of(2);
        let all = (usize::from(last) + 1).saturating_sub(usize::from(first)) / 2;
        let share = (all + planes - 1).saturating_sub(plane) / planes;
        Pairs { bind, first, plane, planes, taken: vec![false; share], next: 0 }
    }

    fn port(&self, index: usize) -> u16 {
        self.first + 2 * (index * self.planes + self.plane) as u16
    }

    fn bind(&mut self) -> Result<(usize, UdpSocket, UdpSocket)> {
        let share = self.taken.len();
        let mut tries = 0;
        for index in (0..share).map(|i| (self.next + i) % share) {
            if self.taken[index] || tries == TRIES {
                continue;
            }
            tries += 1;
            let port = self.port(index);
            match self.bind_pair(port) {
                Ok((rtp, control)) => {
                    (self.taken[index], self.next) = (true, (index + 1) % share);
                    return Ok((index, rtp, control));
                }
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(e) => {
                    return Err(e).with_context(|| format!("cannot open udp {}", SocketAddr::new(self.bind, port)));
                }
            }
        }
        anyhow::bail!("no free pair of ports ({share} for this plane, {} taken by it)", self.used())
    }

    fn used(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count()
    }

    fn bind_pair(&self, port: u16) -> std::io::Result<(UdpSocket, UdpSocket)> {
        let open = |port| {
            let socket = UdpSocket::bind((self.bind, port))?;
            socket.set_nonblocking(true)?;
            net::limit_buffers(&socket);
            Ok::<_, std::io::Error>(socket)
        };
        Ok((open(port)?, open(port + 1)?))
    }

    fn give_back(&mut self, index: usize) {
        self.taken[index] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_share_a_range_of_ports() {
        type Row = ((u16, u16), usize, Vec<Vec<u16>>);
        let rows: [Row; 5] = [
            ((20_000, 20_007), 1, vec![vec![20_000, 20_002, 20_004, 20_006]]),
            ((20_000, 20_007), 2, vec![vec![20_000, 20_004], vec![20_002, 20_006]]),
            ((20_001, 20_006), 2, vec![vec![20_002], vec![20_004]]),
            ((20_000, 20_000), 1, vec![vec![]]),
            ((65_530, 65_535), 2, vec![vec![65_530, 65_534], vec![65_532]]),
        ];
        for (range, planes, expect) in rows {
            for (plane, expect) in expect.iter().enumerate() {
                let pairs = Pairs::new(IpAddr::from([127, 0, 0, 1]), range, plane, planes);
                let got: Vec<_> = (0..pairs.taken.len()).map(|i| pairs.port(i)).collect();
                assert_eq!(&got, expect, "{range:?} {plane}/{planes}");
            }
        }
    }
}
