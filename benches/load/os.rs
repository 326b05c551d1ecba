//! What the bench needs of the kernel: batches of datagrams with the kernel's own time of arrival, clocks, the CPU
//! time and memory of another process. Linux only; all unsafe code of the bench is here.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Datagrams per system call.
pub const BATCH: usize = 64;
/// Room for a datagram: a SIP message with its SDP is below.
const SIZE: usize = 4096;
/// Asked for, and cut by the kernel to `net.core.rmem_max`: the generator may look away for 100 ms.
const BUFFER: libc::c_int = 8 << 20;

unsafe extern "C" {
    fn clock_getcpuclockid(pid: libc::pid_t, clock: *mut libc::clockid_t) -> libc::c_int;
}

/// A socket on a free loopback port that tells when the kernel received each datagram.
pub fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    for (option, value) in [(libc::SO_RCVBUF, BUFFER), (libc::SO_SNDBUF, BUFFER), (libc::SO_TIMESTAMPNS, 1)] {
        // SAFETY: the option's value is an int that outlives the call.
        let set = unsafe {
            let value = (&raw const value).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size_of::<libc::c_int>() as u32)
        };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(socket)
}

/// The IPv4 address of a socket that [`socket`] made.
pub fn address(socket: &UdpSocket) -> SocketAddrV4 {
    match socket.local_addr() {
        Ok(std::net::SocketAddr::V4(address)) => address,
        other => panic!("a bound IPv4 socket has an IPv4 address, not {other:?}"),
    }
}

/// As many open files as the kernel allows: two per leg.
pub fn raise_file_limit() {
    // SAFETY: plain structs that outlive the calls. A failure shows when sockets run out.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
}

/// Lets this process die with the one that started it.
pub fn die_with_parent() {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Sends `signal` to a process that this one has started and not waited for.
pub fn signal(pid: u32, signal: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

fn clock(id: libc::clockid_t) -> u64 {
    // SAFETY: a plain struct that outlives the call.
    let at = unsafe {
        let mut at: libc::timespec = zeroed();
        assert!(libc::clock_gettime(id, &raw mut at) == 0, "the clock {id} can be read");
        at
    };
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// Nanoseconds since 1970: the clock that datagrams are stamped with.
pub fn now() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

/// Sleeps until `at` of [`now`]'s clock.
pub fn sleep_until(at: u64) {
    let until = libc::timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as i64 };
    // SAFETY: a plain struct that outlives the call; being woken too early by a signal does no harm.
    unsafe {
        libc::clock_nanosleep(libc::CLOCK_REALTIME, libc::TIMER_ABSTIME, &raw const until, std::ptr::null_mut());
    }
}

/// CPU time that a process has used since its start, with all its threads, those that have ended too.
pub fn cpu(pid: u32) -> Duration {
    let mut id = 0;
    // SAFETY: writes one number.
    let found = unsafe { clock_getcpuclockid(pid as libc::pid_t, &raw mut id) };
    assert!(found == 0, "process {pid} has a CPU clock while it runs");
    Duration::from_nanos(clock(id))
}

/// CPU time of each thread by name, for saying where it goes.
pub fn cpu_by_thread(pid: u32) -> Vec<(String, Duration)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let read = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let used = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((name.trim().to_owned(), Duration::from_nanos(used.split(' ').next()?.parse().ok()?)))
    };
    tasks.filter_map(read).collect()
}

/// A number of `/proc/PID/FILE`: kilobytes, or a count.
pub fn status(pid: u32, file: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn to_c(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn from_c(address: &libc::sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)), u16::from_be(address.sin_port))
}

/// A datagram that was received.
pub struct Datagram<'a> {
    pub from: SocketAddrV4,
    /// When the kernel took it from the wire, by [`now`]'s clock.
    pub at: u64,
    pub bytes: &'a [u8],
}

/// Room for a batch of datagrams.
pub struct Inbox {
    bytes: Vec<[u8; SIZE]>,
    names: Vec<libc::sockaddr_in>,
    /// Aligned room for one control message with a time.
    controls: Vec<[u64; 8]>,
    headers: Vec<libc::mmsghdr>,
    iovecs: Vec<libc::iovec>,
}

impl Inbox {
    pub fn new() -> Inbox {
        // SAFETY: all of these are plain C structs for which zero is a value.
        let (name, header, iovec) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Inbox {
            bytes: vec![[0; SIZE]; BATCH],
            names: vec![name; BATCH],
            controls: vec![[0; 8]; BATCH],
            headers: vec![header; BATCH],
            iovecs: vec![iovec; BATCH],
        }
    }

    /// Takes what is there, at most `most` datagrams (up to [`BATCH`]), without waiting.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> usize {
        for i in 0..most {
            self.iovecs[i] = libc::iovec { iov_base: self.bytes[i].as_mut_ptr().cast(), iov_len: SIZE };
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = (&raw mut self.names[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_iov = &raw mut self.iovecs[i];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[i].as_mut_ptr().cast();
            header.msg_controllen = size_of::<[u64; 8]>();
        }
        // SAFETY: every pointer was set above to room that `self` owns.
        let count = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::recvmmsg(socket.as_raw_fd(), headers, most as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// One of those that `receive` counted.
    pub fn datagram(&self, i: usize) -> Datagram<'_> {
        let header = &self.headers[i];
        // SAFETY: the kernel filled the control room and said how much of it.
        let at = unsafe {
            let control = libc::CMSG_FIRSTHDR(&raw const header.msg_hdr);
            let stamped = !control.is_null() && (*control).cmsg_type == libc::SCM_TIMESTAMPNS;
            stamped.then(|| libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned())
        };
        let at = at.map_or_else(now, |at| at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64);
        Datagram { from: from_c(&self.names[i]), at, bytes: &self.bytes[i][..header.msg_len as usize] }
    }
}

/// Datagrams of one size to be sent together.
pub struct Outbox {
    bytes: Vec<[u8; 256]>,
    names: Vec<libc::sockaddr_in>,
    headers: Vec<libc::mmsghdr>,
    iovecs: Vec<libc::iovec>,
    filled: usize,
}

impl Outbox {
    pub fn new() -> Outbox {
        // SAFETY: all of these are plain C structs for which zero is a value.
        let (name, header, iovec) = unsafe { (zeroed(), zeroed(), zeroed()) };
        let (names, headers, iovecs) = (vec![name; BATCH], vec![header; BATCH], vec![iovec; BATCH]);
        Outbox { bytes: vec![[0; 256]; BATCH], names, headers, iovecs, filled: 0 }
    }

    /// Adds a datagram (at most 256 bytes); a full batch leaves.
    pub fn push(&mut self, socket: &UdpSocket, to: SocketAddrV4, bytes: &[u8]) {
        let i = self.filled;
        self.bytes[i][..bytes.len()].copy_from_slice(bytes);
        self.iovecs[i].iov_len = bytes.len();
        self.names[i] = to_c(to);
        self.filled += 1;
        if self.filled == BATCH {
            self.flush(socket);
        }
    }

    /// Sends what was added. What the kernel does not take is lost, as on a wire.
    pub fn flush(&mut self, socket: &UdpSocket) {
        for i in 0..self.filled {
            self.iovecs[i].iov_base = self.bytes[i].as_mut_ptr().cast();
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = (&raw mut self.names[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_iov = &raw mut self.iovecs[i];
            header.msg_iovlen = 1;
        }
        if self.filled > 0 {
            // SAFETY: every pointer was set above to what `self` owns.
            unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), self.filled as u32, 0) };
        }
        self.filled = 0;
    }
}

/// No events yet.
pub const NO_EVENTS: [libc::epoll_event; BATCH] = [libc::epoll_event { events: 0, u64: 0 }; BATCH];

/// Waits for readable sockets: the plainest epoll there is.
pub struct Epoll(libc::c_int);

impl Epoll {
    pub fn new() -> Epoll {
        // SAFETY: takes a number.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0, "the kernel has epoll");
        Epoll(epoll)
    }

    pub fn add(&self, socket: &UdpSocket, number: u64) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: the event outlives the call.
        let added = unsafe { libc::epoll_ctl(self.0, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) };
        assert!(added == 0, "a socket can be watched");
    }

    /// The numbers of up to [`BATCH`] sockets that can be read; waits for the first.
    pub fn wait<'e>(&self, events: &'e mut [libc::epoll_event; BATCH]) -> &'e [libc::epoll_event] {
        self.look(events, -1)
    }

    /// As `wait`, without waiting.
    pub fn ready<'e>(&self, events: &'e mut [libc::epoll_event; BATCH]) -> &'e [libc::epoll_event] {
        self.look(events, 0)
    }

    fn look<'e>(&self, events: &'e mut [libc::epoll_event; BATCH], limit: libc::c_int) -> &'e [libc::epoll_event] {
        // SAFETY: the list outlives the call and its length is given.
        let count = unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), BATCH as i32, limit) };
        &events[..usize::try_from(count).unwrap_or(0)]
    }

    /// Waits until a socket can be read, or for so long: finer than the milliseconds of `epoll_wait`.
    pub fn wait_for(&self, limit: Duration) {
        let mut look = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        let limit = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        // SAFETY: the two plain structs outlive the call.
        unsafe { libc::ppoll(&raw mut look, 1, &raw const limit, std::ptr::null()) };
    }
}

/// `recv` and `sendto` without anything around them.
pub fn relay(from: &UdpSocket, by: &UdpSocket, to: SocketAddrV4, buffer: &mut [u8; 2048]) {
    let to = to_c(to);
    // SAFETY: buffer and address outlive the calls, their lengths are given.
    unsafe {
        let room = buffer.as_mut_ptr().cast();
        let length = libc::recv(from.as_raw_fd(), room, buffer.len(), libc::MSG_DONTWAIT);
        if let Ok(length) = usize::try_from(length) {
            let size = size_of::<libc::sockaddr_in>() as u32;
            libc::sendto(by.as_raw_fd(), room, length, libc::MSG_DONTWAIT, (&raw const to).cast(), size);
        }
    }
}
