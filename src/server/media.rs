//! The planes' threads: sockets, wake-ups and the clock around [`Plane`], one thread for each.
//!
//! A thread waits in epoll for its legs' sockets, for commands and for its plane's deadline, and sends straight from
//! the plane's arena. Each leg has a pair of ports of its own: RTP on the even one, RTCP on the next (RFC 3550 §11).
//! Level-triggered epoll and one receive for each readiness: two system calls for a packet, or fewer when several
//! legs are ready at once.

mod sockets;

use super::clock::Clock;
use super::net::{self, Epoll, Wake};
use crate::config::MediaSettings;
use crate::ids::{PortId, Rng};
use crate::media::{Command, Event, Input, Output, Plane, Settings, Sounds, Stats};
use anyhow::{Context, Result};
use sockets::{Pairs, Sockets};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
/// Audio that is 20 ms late is heard: before everything else that the machine does.
const NICE: i32 = -10;

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
        clock: Clock,
        notices: impl Fn(Notice) + Clone + Send + 'static,
    ) -> Result<Planes> {
        net::raise_file_limit();
        let mut planes = Planes { lines: Vec::new(), threads: Mutex::default() };
        for plane in 0..count.max(1) {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("the system gives no randomness: {e}"))?;
            let machine = Plane::new(Settings { plane, ..settings.clone() }, Arc::clone(&sounds), Rng::new(seed));
            let pairs = Pairs::new(media.bind, media.ports, usize::from(plane), usize::from(count.max(1)));
            let line = planes.spawn(machine, pairs, clock, notices.clone());
            planes.lines.push(line.with_context(|| format!("cannot start the audio thread {plane}"))?);
        }
        Ok(planes)
    }

    fn spawn(
        &self,
        plane: Plane,
        pairs: Pairs,
        clock: Clock,
        notices: impl Fn(Notice) + Send + 'static,
    ) -> std::io::Result<Line> {
        let ((inbox, messages), wake, epoll) = (channel(), Wake::new()?, Epoll::new()?);
        epoll.add(&wake, WAKE)?;
        let sockets = Sockets::new(pairs, epoll);
        let blank = plane.clone();
        let driver = Driver { plane, blank, sockets, clock, messages, wake: wake.clone(), notices, binds: Vec::new() };
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
    /// The plane before its first port.
    blank: Plane,
    sockets: Sockets,
    clock: Clock,
    messages: Receiver<Message>,
    wake: Wake,
    notices: F,
    /// Ports that want sockets, between two inputs.
    binds: Vec<PortId>,
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
        self.plane = self.blank.clone();
        self.binds.clear();
        self.wake.wake(); // messages may have been left behind
        for port in self.sockets.close_all() {
            let why = "its audio thread failed".to_owned();
            (self.notices)(Notice::Event(Event::OpenFailed { port, why }));
        }
    }

    /// Returns when it is told to stop.
    fn work(&mut self) -> std::io::Result<()> {
        let (mut ready, mut buffer) = (Vec::new(), [0; DATAGRAM]);
        loop {
            let timeout = self.plane.deadline().map(|at| at.since(self.clock.now()));
            ready.clear();
            ready.extend(self.sockets.epoll.wait(timeout)?);
            for token in &ready {
                match *token {
                    WAKE => {
                        if !self.read_messages() {
                            return Ok(());
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
        let Some((port, socket, control)) = self.sockets.of(token) else { return };
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
                Output::Event(event) => (self.notices)(Notice::Event(event)),
                Output::Bind { port } => self.binds.push(port),
                Output::Unbind { port } => self.sockets.close(port),
                Output::Heard { .. } => {} // nobody listens on the server yet
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Planes whose range of ports is empty, so that none is opened.
    fn planes(count: u16, events: impl Fn(Event) + Clone + Send + 'static) -> Planes {
        let notices = move |notice| match notice {
            Notice::Event(event) => events(event),
            Notice::Ended(why) => panic!("{why}"),
        };
        let ip = IpAddr::from([127, 0, 0, 1]);
        let media = MediaSettings { bind: ip, advertised: ip, ports: (20_000, 20_000), planes: None };
        Planes::start(count, &media, Settings::default(), Arc::default(), Clock::start(), notices).unwrap()
    }

    fn open(plane: u16) -> Command {
        Command::Open { port: PortId { plane, number: u64::from(plane) } }
    }

    #[test]
    fn commands_find_their_plane_and_events_come_back() {
        let (events, seen) = channel();
        let planes = planes(3, move |event| events.send(event).unwrap());
        let send = planes.sender();
        for plane in [2, 0, 7] {
            send(open(plane)); // 7 is nowhere
        }
        let mut ports: Vec<_> = (0..2).map(|_| seen.recv().unwrap().port().plane).collect();
        ports.sort_unstable();
        assert_eq!(ports, [0, 2]);
        send(Command::Stop { port: PortId { plane: 1, number: 9 } });
        let strays: Vec<_> = planes.figures().iter().map(|f| f.plane.strays).collect();
        assert_eq!((planes.count(), strays), (3, vec![0, 1, 0]));
        planes.stop();
        send(open(0));
        assert!(planes.figures().is_empty() && seen.recv().is_err());
    }

    #[test]
    fn a_panic_does_not_end_a_plane() {
        let (events, seen) = channel();
        let first = Arc::new(AtomicBool::new(true));
        let planes = planes(1, move |event| {
            assert!(!first.swap(false, Ordering::Relaxed), "planted: the first event ends in a panic");
            events.send(event).unwrap();
        });
        let send = planes.sender();
        send(open(0));
        send(open(0));
        let Event::OpenFailed { why, .. } = seen.recv().unwrap() else { panic!("no port can be opened") };
        assert!(why.contains("no free pair of ports"), "{why}");
    }
}
