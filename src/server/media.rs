//! The planes' threads: sockets, wake-ups and the clock around [`Plane`], one thread for each.
//!
//! A thread waits in epoll for its legs' sockets, for commands and for its plane's deadline, and sends straight from
//! the plane's arena. Each leg has a pair of ports of its own: RTP on the even one, RTCP on the next (RFC 3550 §11), or
//! both on the even one, and no socket on the next (RFC 5761).
//! Level-triggered epoll and one receive for each readiness: two system calls for a packet, or fewer when several
//! legs are ready at once. Under load it rests for two milliseconds between two looks ([`super::pace`]): waking costs
//! more than a packet. A port that moves goes from thread to thread with its sockets.
//!
//! Not io_uring: forwarding for 500 sockets with multishot receives and sends submitted in batches took 7.1 µs of CPU a
//! packet where this loop took 6.7 (Linux 6.18, three alternating runs). sendmmsg has nothing to batch: a socket sends
//! one packet a tick.

mod pairs;
mod sockets;

use super::clock::Clock;
use super::net::{self, BATCH, Epoll, Wake};
use super::pace::{self, Pace};
use crate::config::MediaSettings;
use crate::ids::{PortId, Rng};
use crate::media::{Command, Event, Former, Input, Moving, Output, Plane, Settings, Sounds, Stats};
use crate::time::Instant;
use anyhow::{Context, Result};
use pairs::{Pair, Pairs};
use sockets::{Received, Sockets};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// All planes of this process.
pub struct Planes {
    lines: Arc<[Line]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Whether a leg could have its ports.
///
/// # Errors
/// Why none could.
pub fn try_ports(bind: IpAddr, ports: (u16, u16)) -> Result<()> {
    Pairs::new(bind, ports, 0, 1).try_all()
}

/// Where audio is spoken: at one address, or at one of IPv4 and one of IPv6.
pub fn addresses(media: &MediaSettings) -> impl Iterator<Item = IpAddr> {
    [Some(media.bind), media.other.map(|other| other.bind)].into_iter().flatten()
}

/// The way to one plane's thread.
#[derive(Clone)]
struct Line {
    inbox: Sender<Message>,
    wake: Wake,
}

/// A thread's end of its line.
struct End {
    messages: Receiver<Message>,
    epoll: Epoll,
}

enum Message {
    Command(Command),
    /// A port from another plane, with its sockets.
    Arrived(Box<Moving>, Pair),
    /// Another plane needs a pair of this plane's share no more.
    Home(Pair),
    Count(Sender<Figures>),
    /// Something happens to the thread's sockets.
    #[cfg(test)]
    Befall(fn(&mut Sockets)),
    Stop,
}

/// What the planes have counted since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub plane: Stats,
    /// Packets that the system would not take.
    pub unsent: u64,
    /// Legs whose RTCP needed its own port again and found it taken.
    pub robbed: u64,
    /// How often the thread let packets gather.
    pub rests: u64,
}

/// How long `figures` waits for a plane that is busy.
const PATIENCE: Duration = Duration::from_millis(500);
/// Audio that is 20 ms late is heard: before everything else that the machine does.
pub const NICE: i32 = -10;

/// What a plane's thread tells.
pub enum Notice {
    Event(Event),
    /// It has ended by itself, and why: calls cannot be served any more.
    Ended(String),
}

impl Planes {
    /// Starts `count` threads (1 … 256). `settings.plane` is set for each; `notices` is called on the planes' threads
    /// and must not wait.
    pub fn start(
        count: u16,
        media: &MediaSettings,
        settings: Settings,
        sounds: Arc<Sounds>,
        (clock, root): (Clock, &Rng),
        notices: impl Fn(Notice) + Clone + Send + 'static,
    ) -> Result<Planes> {
        let count = count.max(1);
        let files = usize::try_from(net::raise_file_limit()).unwrap_or(usize::MAX) / usize::from(count);
        let (lines, ends): (Vec<_>, Vec<_>) =
            (0..count).map(|_| Line::new()).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let planes = Planes { lines: lines.into(), threads: Mutex::default() };
        for (plane, End { messages, epoll }) in (0..count).zip(ends) {
            let chance = root.fork(&format!("plane {plane}"));
            let machine = Plane::new(Settings { plane, ..settings.clone() }, Arc::clone(&sounds), chance);
            let pairs = addresses(media).map(|bind| Pairs::new(bind, media.ports, plane, count)).collect();
            let (blank, lines, binds, rests) = (machine.clone(), Arc::clone(&planes.lines), Vec::new(), 0);
            let (sockets, notices) = (Sockets::new(pairs, epoll, files), notices.clone());
            let driver =
                Driver { plane: machine, blank, number: plane, sockets, clock, messages, lines, notices, binds, rests };
            planes.spawn(driver).with_context(|| format!("cannot start the audio thread {plane}"))?;
        }
        Ok(planes)
    }

    fn spawn(&self, driver: Driver<impl Fn(Notice) + Send + 'static>) -> std::io::Result<()> {
        let name = format!("plane-{}", driver.number);
        let thread = std::thread::Builder::new().name(name).spawn(move || driver.run())?;
        self.threads.lock().expect("no thread panics with this lock").push(thread);
        Ok(())
    }

    pub fn count(&self) -> u16 {
        self.lines.len() as u16
    }

    /// What carries commands to the planes.
    pub fn sender(&self) -> Commands {
        Commands { lines: Arc::clone(&self.lines), left: BTreeMap::new() }
    }

    /// The counters of each plane; a plane that does not answer in time is left out.
    pub fn figures(&self) -> Vec<Figures> {
        let asked = self.lines.iter().map(|line| {
            let (answer, figures) = channel();
            line.post(Message::Count(answer));
            figures
        });
        let asked: Vec<_> = asked.collect();
        asked.iter().filter_map(|figures| figures.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Ends the threads and closes all sockets. Returns when they are gone.
    pub fn stop(&self) {
        for line in &*self.lines {
            line.post(Message::Stop); // it may have ended already
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

impl Line {
    /// The way to a plane's thread, and that thread's end of it.
    fn new() -> Result<(Line, End)> {
        let ((inbox, messages), wake) = (channel(), Wake::new()?);
        let epoll = Epoll::new()?;
        epoll.add_wake(&wake, WAKE)?;
        Ok((Line { inbox, wake }, End { messages, epoll }))
    }

    /// What is left for a thread that has ended is dropped, sockets with it.
    fn post(&self, message: Message) {
        if self.inbox.send(message).is_ok() {
            self.wake.wake();
        }
    }
}

/// Carries commands to the planes, each to the one that its port names. What is left between two calls of `flush` wakes
/// each plane once; while there is much to do, also what is left between a few of them, if no call waits for it.
pub struct Commands {
    lines: Arc<[Line]>,
    /// The planes that something has been left for, and for how many looks of the engine's that can wait.
    left: BTreeMap<u16, u32>,
}

impl Commands {
    /// Leaves a command for its plane, which looks at it after [`Commands::flush`].
    pub fn send(&mut self, command: Command) {
        if let Command::Move { to, .. } = command {
            self.leave(to, command.clone());
        }
        self.leave(command.port().plane, command);
    }

    fn leave(&mut self, plane: u16, command: Command) {
        // A port of a plane that does not exist was never opened; a plane that has stopped has no ports.
        let Some(line) = self.lines.get(usize::from(plane)) else { return };
        // Only who gets ports is waited for: an INVITE or an answer names them.
        let looks = if matches!(command, Command::Open { .. }) { 0 } else { LOOKS };
        if line.inbox.send(Message::Command(command)).is_ok() {
            self.left.entry(plane).and_modify(|left| *left = looks.min(*left)).or_insert(looks);
        }
    }

    /// Wakes the planes that something has been left for. `again` says that this is called again in a moment: then some of
    /// it can wait.
    pub fn flush(&mut self, again: bool) {
        let lines = &self.lines;
        self.left.retain(|plane, looks| {
            let waits = again && *looks > 0;
            *looks = looks.saturating_sub(1);
            if !waits {
                lines[usize::from(*plane)].wake.wake();
            }
            waits
        });
    }
}

/// For so many looks a plane need not be woken for what no call waits for: some 5 ms.
const LOOKS: u32 = 3;
const WAKE: u64 = u64::MAX;
/// How long packets gather under load: no listener notices, and hundreds of them wake the thread once.
const REST: Duration = Duration::from_millis(2);
/// Room for a datagram; longer ones are cut, and refused by the plane.
const DATAGRAM: usize = 2048;

/// One plane with what it needs of the world.
struct Driver<F> {
    plane: Plane,
    /// The plane before its first port.
    blank: Plane,
    number: u16,
    sockets: Sockets,
    clock: Clock,
    messages: Receiver<Message>,
    /// The ways to all planes.
    lines: Arc<[Line]>,
    notices: F,
    /// Ports that want sockets, of IPv6 or not, between two inputs.
    binds: Vec<(PortId, bool)>,
    rests: u64,
}

impl<F: Fn(Notice)> Driver<F> {
    /// Works until it is told to stop or cannot wait for its sockets. A panic ends the legs of this plane, not the plane.
    fn run(mut self) {
        net::prefer_this_thread(NICE);
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.work())) {
                Ok(Ok(())) => return,
                Ok(Err(why)) => {
                    self.end_legs();
                    return (self.notices)(Notice::Ended(format!(
                        "an audio thread cannot wait for its sockets: {why}"
                    )));
                }
                Err(_) => self.end_legs(),
            }
        }
    }

    fn end_legs(&mut self) {
        let expected: Vec<_> = self.plane.expected().collect();
        self.plane = self.blank.clone();
        self.binds.clear();
        // Messages may have been left behind, and who left them may believe that we know.
        self.line().wake.clear();
        self.line().wake.wake();
        let ports = self.sockets.close_all();
        for port in ports.into_iter().chain(expected) {
            let why = "its audio thread failed".to_owned();
            (self.notices)(Notice::Event(Event::OpenFailed { port, why }));
        }
    }

    fn line(&self) -> &Line {
        &self.lines[usize::from(self.number)]
    }

    /// Returns when it is told to stop.
    fn work(&mut self) -> std::io::Result<()> {
        let (mut ready, mut buffer, mut pace) = (Vec::new(), [0; DATAGRAM], Pace::default());
        loop {
            let timeout = self.time_left();
            ready.clear();
            ready.extend(self.sockets.epoll.wait(timeout)?);
            let now = self.clock.now();
            let packets = ready.iter().filter(|token| **token != WAKE).count();
            for token in &ready {
                match *token {
                    WAKE => {
                        if !self.read_messages(now) {
                            return Ok(());
                        }
                    }
                    token => self.read_socket(now, token, &mut buffer),
                }
            }
            self.time_passed();
            if pace.came(now, packets) && packets > 0 && packets < BATCH {
                self.rests += 1;
                pace::rest(self.time_left().unwrap_or(REST).min(REST));
            }
        }
    }

    /// Until the plane or a socket has something to do by itself.
    fn time_left(&self) -> Option<Duration> {
        let deadline = [self.plane.deadline(), self.sockets.deadline()].into_iter().flatten().min();
        deadline.map(|at| at.since(self.clock.now()))
    }

    fn time_passed(&mut self) {
        let now = self.clock.now();
        if self.plane.deadline().is_some_and(|at| at <= now) {
            self.input(now, Input::Timeout);
        }
        self.sockets.time_passed(now);
    }

    /// False when it is time to end.
    fn read_messages(&mut self, now: Instant) -> bool {
        self.line().wake.clear();
        loop {
            match self.messages.try_recv() {
                Ok(Message::Command(command)) => self.input(now, Input::Command(command)),
                Ok(Message::Arrived(moving, pair)) => self.arrived(moving, pair),
                Ok(Message::Home(pair)) => self.sockets.come_home(self.clock.now(), pair),
                // Who asked may have lost patience.
                Ok(Message::Count(answer)) => {
                    _ = answer.send(Figures {
                        plane: self.plane.stats(),
                        unsent: self.sockets.unsent,
                        robbed: self.sockets.robbed,
                        rests: self.rests,
                    });
                }
                #[cfg(test)]
                Ok(Message::Befall(what)) => what(&mut self.sockets),
                Err(TryRecvError::Empty) => return true,
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn read_socket(&mut self, now: Instant, token: u64, buffer: &mut [u8; DATAGRAM]) {
        let input = match self.sockets.receive(now, token, buffer) {
            Received::Nothing => return,
            Received::Datagram { port, control: true, from, length } => {
                Input::Control { port, from, bytes: &buffer[..length] }
            }
            Received::Datagram { port, control: false, from, length } => {
                Input::Packet { port, from, bytes: &buffer[..length] }
            }
            Received::Broken { port, why } => {
                self.close(port, None);
                Input::BindFailed { port, why }
            }
        };
        self.input(now, input);
    }

    fn arrived(&mut self, moving: Box<Moving>, pair: Pair) {
        let port = moving.port();
        let input = match self.sockets.adopt(port, pair) {
            Ok(()) => Input::Arrived { moving },
            Err(why) => Input::BindFailed { port, why: format!("{why:#}") },
        };
        self.input(self.clock.now(), input);
    }

    fn depart(&mut self, port: PortId, moving: Box<Moving>) {
        // A port without sockets, or for a thread that has ended, does not come; who expects it says so. Its pair is
        // dropped then, here or with the thread's messages, and free at its home.
        let Some(pair) = self.sockets.release(port) else { return };
        if let Some(line) = self.lines.get(usize::from(moving.port().plane)) {
            line.post(Message::Arrived(moving, pair));
        }
    }

    fn close(&mut self, port: PortId, peer: Option<Former>) {
        if let Some(stranger) = self.sockets.close(self.clock.now(), port, peer) {
            self.lines[usize::from(stranger.home)].post(Message::Home(stranger));
        }
    }

    fn input(&mut self, now: Instant, input: Input<'_>) {
        self.plane.handle(now, input);
        self.drain();
        while let Some((port, six)) = self.binds.pop() {
            let answer = match self.sockets.open(now, port, six) {
                Ok((local, previous)) => Input::Bound { port, local, previous },
                Err(why) => Input::BindFailed { port, why: format!("{why:#}") },
            };
            self.plane.handle(now, answer);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.plane.poll() {
            match output {
                Output::Packet { port, to, bytes } => self.sockets.send(port, to, bytes),
                Output::Control { port, to, bytes } => self.sockets.send_control(port, to, bytes),
                Output::Event(event) => (self.notices)(Notice::Event(event)),
                Output::Bind { port, six } => self.binds.push((port, six)),
                Output::Share { port, on } => self.sockets.share(port, on),
                Output::Unbind { port, peer } => self.close(port, peer),
                Output::Depart { port, moving } => self.depart(port, moving),
                Output::Heard { .. } => {} // nobody listens on the server yet
            }
        }
    }
}

#[cfg(test)]
mod tests;
