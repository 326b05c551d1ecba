//! The bare kernel loops that everything is compared with, each a process of its own: what any program on this
//! machine must pay for the same packets.

use super::os::{self, Epoll, Outbox};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddrV4, UdpSocket};
use std::process::{Child, Command, Stdio};

/// Bytes of a G.711 packet of 20 ms.
pub const PACKET: usize = 172;

/// A bare loop that runs until it is dropped.
pub struct Bare {
    child: Child,
    /// Where it receives, one address per stream.
    pub ports: Vec<u16>,
}

impl Bare {
    /// A relay of `pairs` calls: what comes in on port 2i goes to `agents`, on port 2i+1 to `callers`.
    pub fn relay(pairs: usize, callers: SocketAddrV4, agents: SocketAddrV4) -> Bare {
        Bare::start(&["bare-relay", &pairs.to_string(), &callers.to_string(), &agents.to_string()])
    }

    /// A sender of `streams` · 50 packets a second.
    pub fn sender(streams: usize, to: SocketAddrV4) -> Bare {
        Bare::start(&["bare-sender", &streams.to_string(), &to.to_string()])
    }

    /// The same from a socket for each stream, as phones must be sent to.
    pub fn senders(streams: usize, to: SocketAddrV4) -> Bare {
        Bare::start(&["bare-senders", &streams.to_string(), &to.to_string()])
    }

    /// Sends back what it gets, one datagram after the other.
    pub fn echo() -> Bare {
        Bare::start(&["bare-echo"])
    }

    fn start(args: &[&str]) -> Bare {
        let own = std::env::current_exe().expect("a process knows its own file");
        let mut child =
            Command::new(own).args(args).stdout(Stdio::piped()).spawn().expect("a bare loop can be started");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output was asked for");
        BufReader::new(out).read_line(&mut line).expect("a bare loop says its ports");
        let ports = line.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        Bare { child, ports }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What the processes do. `args` as [`Bare`] gives them; never returns.
pub fn run(args: &[String]) {
    os::die_with_parent();
    os::raise_file_limit();
    let address = |i: usize| args[i].parse().expect("an address");
    let count = || args[1].parse().expect("a number");
    match args[0].as_str() {
        "bare-relay" => relay(count(), address(2), address(3)),
        "bare-sender" => send(count(), address(2)),
        "bare-senders" => send_each(count(), address(2)),
        _ => echo(),
    }
}

/// One socket per stream: epoll_wait, recv, sendto.
fn relay(pairs: usize, callers: SocketAddrV4, agents: SocketAddrV4) {
    let bind = |_| UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let sockets: Vec<UdpSocket> = (0..pairs * 2).map(bind).collect();
    let epoll = Epoll::new();
    for (i, socket) in sockets.iter().enumerate() {
        epoll.add(socket, i as u64);
    }
    say(sockets.iter().map(|socket| os::address(socket).port()));
    let mut buffer = [0; 2048];
    let mut events = os::NO_EVENTS;
    loop {
        for event in epoll.wait(&mut events) {
            let from = event.u64 as usize;
            let to = if from.is_multiple_of(2) { agents } else { callers };
            os::relay(&sockets[from], &sockets[from ^ 1], to, &mut buffer);
        }
    }
}

/// One socket, batches of sendmmsg.
fn send(streams: usize, to: SocketAddrV4) {
    let socket = os::socket().expect("a free port");
    say([os::address(&socket).port()].into_iter());
    let mut outbox = Outbox::new();
    let gap = 20_000_000 * os::BATCH as u64 / streams as u64;
    let mut next = os::now();
    loop {
        for _ in 0..os::BATCH {
            outbox.push(&socket, to, &[0xff; PACKET]);
        }
        next += gap;
        os::sleep_until(next);
    }
}

/// A socket for each stream, watched for what comes in: one send for each packet, in five bursts of 20 ms.
fn send_each(streams: usize, to: SocketAddrV4) {
    const BURSTS: usize = 5;
    let sockets: Vec<UdpSocket> = (0..streams).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
    let epoll = Epoll::new();
    for (i, socket) in sockets.iter().enumerate() {
        epoll.add(socket, i as u64);
    }
    say(sockets.iter().take(1).map(|socket| os::address(socket).port()));
    let mut next = os::now();
    loop {
        for burst in sockets.chunks(streams.div_ceil(BURSTS)) {
            for socket in burst {
                _ = socket.send_to(&[0xff; PACKET], to);
            }
            next += 20_000_000 / BURSTS as u64;
            os::sleep_until(next);
        }
    }
}

/// One socket: wait for a datagram, send it back.
fn echo() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    say([os::address(&socket).port()].into_iter());
    let mut buffer = [0; 2048];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            _ = socket.send_to(&buffer[..length], from);
        }
    }
}

fn say(ports: impl Iterator<Item = u16>) {
    let line: Vec<String> = ports.map(|port| port.to_string()).collect();
    println!("{}", line.join(" "));
    _ = std::io::stdout().flush();
}
