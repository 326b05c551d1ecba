//! Networks of a test's own: the test's thread and what it starts are at the *office*, in a network namespace of
//! their own; phones may be at *home*, in another. Between the two is a wire of this process (two TUN devices), which
//! may lose, delay and reorder datagrams by a seed, or be a NAT. (Delays by the kernel are not in every kernel.)

use super::alone;
use super::harness::SECOND;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tierline::ids::Rng;

/// The server's address at the office, and another one there.
pub const OFFICE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);
/// What the office sees of a home behind a NAT, and the home's own address there.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
/// A home without a NAT.
pub const HOME: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// A network namespace; it lasts as long as something is in it, or this.
#[derive(Clone)]
pub struct Place(Arc<File>);

impl Place {
    /// Takes this thread into a new namespace, with what it will start.
    pub fn begin() -> Place {
        alone::network();
        Place(Arc::new(File::open("/proc/thread-self/ns/net").expect("this thread's namespace")))
    }

    /// Another one.
    pub fn elsewhere() -> Place {
        std::thread::spawn(Place::begin).join().expect("a namespace")
    }

    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Does something there. Sockets that are made there stay there.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope.spawn(|| enter(self.descriptor()).map(|()| work()).expect("a namespace")).join()
        })
        .unwrap_or_else(|why| std::panic::resume_unwind(why))
    }

    /// The end of a wire, with its address there, and everything unknown led into it.
    fn end(&self, at: Ipv4Addr) -> File {
        self.inside(|| {
            let mut options = File::options();
            let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun");
            let file = file.expect("/dev/net/tun: the kernel's TUN devices are needed");
            // struct ifreq: the name, then IFF_TUN | IFF_NO_PI.
            let mut request = [0_u8; 40];
            request[..5].copy_from_slice(b"wire0");
            request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
            // SAFETY: TUNSETIFF reads an ifreq of 40 bytes.
            let made = unsafe { libc::ioctl(file.as_raw_fd(), 0x4004_54ca, request.as_ptr()) };
            assert_eq!(made, 0, "no TUN device: {}", std::io::Error::last_os_error());
            ip(&["addr", "add", &format!("{at}/24"), "dev", "wire0"]);
            ip(&["link", "set", "wire0", "up", "mtu", "1500", "txqueuelen", "2000"]);
            ip(&["route", "add", "default", "dev", "wire0"]);
            file
        })
    }
}

/// Takes this thread there.
pub fn enter(descriptor: RawFd) -> std::io::Result<()> {
    // SAFETY: a plain system call; it concerns this thread and what it starts.
    match unsafe { libc::setns(descriptor, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).status().expect("`ip` is there: make tools");
    assert!(done.success(), "ip {args:?} failed");
}

/// What becomes of datagrams on their way, drawn by `seed` for each direction in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub delay: Duration,
    /// More or less than `delay`.
    pub jitter: Duration,
    /// Of a hundred.
    pub lost: u64,
    pub seed: u64,
}

/// How a home's phones are seen from outside: each of their ports as one of the NAT's, through which only those may
/// come whom the phone has sent to, from the very port (RFC 4787: endpoint-independent mapping, address- and
/// port-dependent filtering), and only for a while after the phone has sent last.
pub struct Nat {
    pub life: Duration,
    /// The next port outside.
    pub port: u16,
    doors: BTreeMap<u16, Door>,
}

struct Door {
    inside: u16,
    port: u16,
    known: BTreeSet<(Ipv4Addr, u16)>,
    last: Instant,
}

impl Nat {
    pub fn new(life: Duration, port: u16) -> Nat {
        Nat { life, port, doors: BTreeMap::new() }
    }

    fn outward(&mut self, packet: &mut [u8], now: Instant) -> bool {
        let Some(((_, from), to)) = ends(packet) else { return false };
        self.doors.retain(|_, door| now < door.last + self.life);
        let (doors, next) = (&mut self.doors, &mut self.port);
        let door = doors.entry(from).or_insert_with(|| {
            *next += 1;
            Door { inside: from, port: *next, known: BTreeSet::new(), last: now }
        });
        door.last = now;
        door.known.insert(to);
        readdress(packet, 12, 20, (OUTSIDE, door.port));
        true
    }

    fn inward(&mut self, packet: &mut [u8], now: Instant) -> bool {
        let Some((from, (_, to))) = ends(packet) else { return false };
        let life = self.life;
        let open = |door: &&Door| door.port == to && now < door.last + life && door.known.contains(&from);
        let Some(door) = self.doors.values().find(open) else { return false };
        readdress(packet, 16, 22, (PRIVATE, door.inside));
        true
    }
}

type End = (Ipv4Addr, u16);

/// Where a datagram comes from and goes to.
fn ends(packet: &[u8]) -> Option<(End, End)> {
    let is_udp = packet.len() >= 28 && packet[0] == 0x45 && packet[9] == 17;
    let end = |ip: usize, port: usize| {
        let octets: [u8; 4] = packet[ip..ip + 4].try_into().expect("four bytes");
        (Ipv4Addr::from(octets), u16::from_be_bytes([packet[port], packet[port + 1]]))
    };
    is_udp.then(|| (end(12, 20), end(16, 22)))
}

/// Writes another address into a datagram, and its checksums.
fn readdress(packet: &mut [u8], ip: usize, port: usize, (address, number): End) {
    packet[ip..ip + 4].copy_from_slice(&address.octets());
    packet[port..port + 2].copy_from_slice(&number.to_be_bytes());
    packet[10..12].fill(0);
    let sum = packet[..20].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[26..28].fill(0); // none is wanted over IPv4 (RFC 768)
}

/// A wire between the office, where this thread is, and a home.
pub struct Wire {
    pub home: Place,
    /// From then on what is sent vanishes, and nobody is told.
    cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    pub fn lay(office: &Place, trouble: Trouble, nat: Option<Nat>) -> Wire {
        let home = Place::elsewhere();
        let ends = [office.end(OFFICE), home.end(if nat.is_some() { PRIVATE } else { HOME })];
        office.inside(|| ip(&["addr", "add", &format!("{ELSEWHERE}/24"), "dev", "wire0"]));
        let stop = Arc::new(AtomicBool::new(false));
        let (cut, until) = (Arc::<AtomicBool>::default(), Arc::clone(&stop));
        let whether = Arc::clone(&cut);
        let thread = std::thread::spawn(move || carry(ends, trouble, nat, (&until, &whether)));
        Wire { home, cut, stop, thread: Some(thread) }
    }

    /// Makes a black hole of it.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// A packet on its way, the next to arrive being the greatest.
#[derive(PartialEq, Eq)]
struct Flying {
    at: Instant,
    number: u64,
    to: usize,
    bytes: Vec<u8>,
}

impl Ord for Flying {
    fn cmp(&self, other: &Flying) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Flying) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// End 0 is the office's, end 1 the home's.
fn carry(mut ends: [File; 2], trouble: Trouble, mut nat: Option<Nat>, (stop, cut): (&AtomicBool, &AtomicBool)) {
    // SAFETY: a plain system call; on Linux it concerns the calling thread only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
    let rng = Rng::from_number(trouble.seed);
    let mut draws = [rng.fork("from the office"), rng.fork("from home")];
    let (mut flying, mut number, mut room) = (BinaryHeap::new(), 0, [0; 2048]);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let next = flying.peek().map_or(SECOND / 20, |next: &Flying| next.at.saturating_duration_since(now));
        wait(&ends, next.min(SECOND / 20));
        for from in 0..2 {
            while let Ok(length) = ends[from].read(&mut room) {
                let (packet, now) = (&mut room[..length], Instant::now());
                let draw = &mut draws[from];
                let (is_lost, off) =
                    (draw.below(100) < trouble.lost, draw.below(1 + 2 * trouble.jitter.as_micros() as u64));
                let passes = match &mut nat {
                    Some(nat) if from == 1 => nat.outward(packet, now),
                    Some(nat) => nat.inward(packet, now),
                    None => true,
                };
                if passes && !is_lost && !cut.load(Ordering::Relaxed) {
                    number += 1;
                    let at = now + trouble.delay + Duration::from_micros(off) - trouble.jitter;
                    flying.push(Flying { at, number, to: 1 - from, bytes: packet.to_vec() });
                }
            }
        }
        while flying.peek().is_some_and(|next| next.at <= Instant::now()) {
            let Flying { to, bytes, .. } = flying.pop().expect("the one that was looked at");
            _ = ends[to].write(&bytes);
        }
    }
}

/// Until a packet comes to one of the ends.
fn wait(ends: &[File; 2], limit: Duration) {
    let poll = |file: &File| libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polls = [poll(&ends[0]), poll(&ends[1])];
    let limit = libc::timespec { tv_sec: 0, tv_nsec: limit.as_nanos().min(999_999_999) as libc::c_long };
    // SAFETY: two valid pollfds and a time; no signal mask.
    unsafe { libc::ppoll(polls.as_mut_ptr(), 2, &limit, std::ptr::null()) };
}

#[test]
fn a_nat_lets_in_whom_was_written_to() {
    let packet = |from: End, to: End| {
        let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        bytes.extend([from.0.octets(), to.0.octets()].concat());
        bytes.extend([from.1.to_be_bytes(), to.1.to_be_bytes(), [0, 8], [0, 0]].concat());
        bytes
    };
    let (mut nat, now) = (Nat::new(SECOND, 9000), Instant::now());
    let (phone, server, other) = ((PRIVATE, 5060), (OFFICE, 5060), (ELSEWHERE, 5060));
    let mut out = packet(phone, server);
    assert!(nat.outward(&mut out, now));
    let seen = (OUTSIDE, 9001);
    assert_eq!(ends(&out), Some((seen, server)));
    let comes = |nat: &mut Nat, from, later| {
        let mut back = packet(from, seen);
        nat.inward(&mut back, now + later).then(|| ends(&back).expect("a datagram").1)
    };
    assert_eq!(comes(&mut nat, server, SECOND / 2), Some(phone));
    assert_eq!(comes(&mut nat, other, SECOND / 2), None, "a stranger comes in");
    assert_eq!(comes(&mut nat, server, 2 * SECOND), None, "the door stays open for ever");
    assert_eq!(comes(&mut nat, (OFFICE, 5062), SECOND / 2), None, "another port comes in");
}
