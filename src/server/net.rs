//! What Linux offers for sockets beyond the standard library: epoll, a wake-up, buffer sizes, the limit of open
//! files, priorities. The only place with calls into libc, each wrapped in a safe function.

pub mod datagrams;
pub mod errors;

use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Tells which of many sockets can be read. Level-triggered: what is not read is told again.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// Sockets told by one `wait` at most.
pub const BATCH: usize = 256;

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the result is checked.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` is open and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    /// One that cannot be waited for.
    #[cfg(test)]
    pub fn broken() -> io::Result<Epoll> {
        Ok(Epoll { fd: OwnedFd::from(File::open("/dev/null")?), ..Epoll::new()? })
    }

    /// Watches a socket, told by `token`, until it is closed.
    pub fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, libc::EPOLLIN, token)
    }

    /// Watches for wake-ups. Edge-triggered: each is told once and needs no reading.
    pub fn add_wake(&self, wake: &Wake, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, &*wake.file, libc::EPOLLIN | libc::EPOLLET, token)
    }

    /// Watches a socket no longer that stays open.
    pub fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket, 0, 0)
    }

    fn control(&self, what: i32, socket: &impl AsRawFd, events: i32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives through the call; a bad descriptor is an error, not undefined.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, socket.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// Waits until a socket can be read or the time is over (none: no limit; rounded up to milliseconds);
    /// the tokens of those that can.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = u64> + use<'_>> {
        Ok(self.wait_for_errors(timeout)?.map(|(token, _)| token))
    }

    /// The same, and of each whether the system has an error to tell of it.
    pub fn wait_for_errors(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = (u64, bool)> + use<'_>> {
        let ms = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the kernel writes at most `BATCH` events into a buffer of so many.
        let count =
            checked(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), BATCH as i32, ms) });
        let count = match count {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            other => other? as usize,
        };
        Ok(self.events[..count].iter().map(|e| (e.u64, e.events & libc::EPOLLERR as u32 != 0)))
    }
}

/// Wakes a thread that waits in an [`Epoll`]. Waking one that is being woken costs no system call.
#[derive(Clone)]
pub struct Wake {
    file: Arc<File>,
    /// It has been woken and has not looked since.
    pending: Arc<AtomicBool>,
}

impl Wake {
    pub fn new() -> io::Result<Wake> {
        // SAFETY: no pointers; the result is checked.
        let fd = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: `fd` is open and belongs to nobody else.
        Ok(Wake { file: Arc::new(unsafe { File::from_raw_fd(fd) }), pending: Arc::default() })
    }

    /// The waiting thread will be told.
    pub fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // Nobody reads the counter; it is full after 2⁶⁴ − 2 wake-ups.
            let _ = (&*self.file).write(&1u64.to_ne_bytes());
        }
    }

    /// Takes all wake-ups so far. What was left for this thread before them is to be looked at after this.
    pub fn clear(&self) {
        // A swap, not a store: it makes what every waker left before its own swap visible here.
        self.pending.swap(false, Ordering::AcqRel);
    }
}

/// Room for bursts of signaling from many phones: 4 MiB with CAP_NET_ADMIN, else what `net.core.rmem_max` allows.
/// Returns how many bytes that are.
pub fn enlarge_buffers(socket: &UdpSocket) -> usize {
    set_receive_buffer(socket, libc::SO_RCVBUF, 4 << 20);
    set_receive_buffer(socket, libc::SO_RCVBUFFORCE, 4 << 20);
    let (mut value, mut length) = (0i32, size_of::<i32>() as libc::socklen_t);
    let place = (&raw mut value).cast();
    // SAFETY: the kernel writes one i32 that lives through the call. Failing leaves zero.
    unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, place, &raw mut length) };
    usize::try_from(value).unwrap_or(0) / 2 // the kernel tells it doubled, for its own use (socket(7))
}

/// A socket for one leg's audio that never blocks, with room for 64 KiB: more than a second of it. In one system call
/// less than the standard library's, which sets both apart.
pub fn bind_audio(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the result is checked.
    let fd = checked(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: `fd` is open and belongs to nobody else.
    let socket = UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) });
    set_receive_buffer(&socket, libc::SO_RCVBUF, 64 << 10);
    match address {
        SocketAddr::V4(v4) => {
            never_fragment(&socket);
            let sin_addr = libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) };
            let (sin_family, sin_port) = (family as libc::sa_family_t, v4.port().to_be());
            bind(&socket, &libc::sockaddr_in { sin_family, sin_port, sin_addr, sin_zero: [0; 8] })?;
        }
        SocketAddr::V6(v6) => {
            only_six(&socket);
            let sin6_addr = libc::in6_addr { s6_addr: v6.ip().octets() };
            let (sin6_family, sin6_port) = (family as libc::sa_family_t, v6.port().to_be());
            let (sin6_flowinfo, sin6_scope_id) = (v6.flowinfo(), v6.scope_id());
            bind(&socket, &libc::sockaddr_in6 { sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id })?;
        }
    }
    Ok(socket)
}

/// IPv4 has sockets of its own, on the same port.
fn only_six(socket: &UdpSocket) {
    let one = 1i32;
    let (value, length) = ((&raw const one).cast(), size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel reads one i32 that lives through the call.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, value, length) };
}

/// `A` is one of the system's `sockaddr_…`.
fn bind<A>(socket: &UdpSocket, address: &A) -> io::Result<()> {
    let (pointer, length) = ((&raw const *address).cast(), size_of::<A>() as libc::socklen_t);
    // SAFETY: the kernel reads `length` bytes of an address that lives through the call.
    checked(unsafe { libc::bind(socket.as_raw_fd(), pointer, length) }).map(drop)
}

/// What looks like a socket that can be read and is none: receiving fails again and again.
#[cfg(test)]
pub fn broken_socket() -> io::Result<UdpSocket> {
    let wake = Wake::new()?;
    wake.wake();
    Ok(UdpSocket::from(OwnedFd::from(wake.file.try_clone()?)))
}

fn set_receive_buffer(socket: &UdpSocket, option: i32, bytes: i32) {
    let (value, length) = (&raw const bytes, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel reads one i32 that lives through the call. Failing leaves the system's default, which works.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value.cast(), length) };
}

/// Audio is small: it is never cut in pieces, whatever a forged ICMP message says of the path, and the system need not
/// make up an identification for each packet (RFC 6864 §4.1), which costs a twentieth of sending it.
fn never_fragment(socket: &UdpSocket) {
    let (value, length) = (libc::IP_PMTUDISC_PROBE, size_of::<i32>() as libc::socklen_t);
    let (fd, option) = (socket.as_raw_fd(), libc::IP_MTU_DISCOVER);
    // SAFETY: the kernel reads one i32 that lives through the call. Failing leaves the system's default, which works.
    unsafe { libc::setsockopt(fd, libc::IPPROTO_IP, option, (&raw const value).cast(), length) };
}

/// A peer that vanished is noticed: probes after a minute of silence, and what was sent must be acknowledged within
/// half a minute (RFC 5482). A system that cannot leaves it to the limits above it.
pub fn notice_dead_peer(socket: &impl AsRawFd) {
    let tcp = libc::IPPROTO_TCP;
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (tcp, libc::TCP_KEEPIDLE, 60),
        (tcp, libc::TCP_KEEPINTVL, 10),
        (tcp, libc::TCP_KEEPCNT, 3),
        (tcp, libc::TCP_USER_TIMEOUT, 30_000),
    ];
    for (level, option, value) in options {
        let (value, length) = (&raw const value, size_of::<i32>() as libc::socklen_t);
        // SAFETY: the kernel reads one i32 that lives through the call.
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), length) };
    }
}

/// Allows as many open files as the system lets us; each leg needs two, or one (RFC 5761). Returns how many that are.
pub fn raise_file_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes to and reads from `limit`, which lives through the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 0;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 { raised.rlim_cur } else { limit.rlim_cur }
    }
}

/// Asks that the calling thread run before others; `nice` is -20 (first) … 19. Without the right to it (CAP_SYS_NICE or
/// RLIMIT_NICE) the thread runs as it did, and this is false.
pub fn prefer_this_thread(nice: i32) -> bool {
    // SAFETY: no pointers. 0 is the calling thread: in Linux the nice value belongs to threads (setpriority(2)).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) == 0 }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_is_told_once() {
        let (mut epoll, wake) = (Epoll::new().unwrap(), Wake::new().unwrap());
        epoll.add_wake(&wake, 7).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap().count(), 0);
        wake.clone().wake();
        wake.wake();
        assert_eq!(epoll.wait(None).unwrap().collect::<Vec<_>>(), [7]);
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap().count(), 0);
        wake.clear();
        wake.wake();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap().collect::<Vec<_>>(), [7], "without reading the counter");
    }

    #[test]
    fn audio_sockets_do_not_block_and_are_where_they_should_be() {
        for ip in ["127.0.0.1", "::1"] {
            let any = SocketAddr::new(ip.parse().unwrap(), 0);
            let socket = bind_audio(any).unwrap();
            assert_eq!(socket.recv(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let local = socket.local_addr().unwrap();
            assert_eq!(bind_audio(local).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            let peer = UdpSocket::bind(any).unwrap();
            peer.send_to(b"audio", local).unwrap();
            let mut bytes = [0; 9];
            assert_eq!(socket.recv_from(&mut bytes).unwrap(), (5, peer.local_addr().unwrap()));
            let mut buffered = 0;
            while peer.send_to(&[0; 172], local).is_ok() && buffered < 2000 {
                buffered += 1;
            }
            let held = std::iter::from_fn(|| socket.recv(&mut [0; 200]).ok()).count();
            assert!((50..500).contains(&held), "{held} of {buffered} packets wait: more than a second, and bounded");
        }
    }

    #[test]
    fn the_limit_of_files_is_raised() {
        let limit = raise_file_limit();
        assert!(limit >= 256 && raise_file_limit() == limit);
    }
}
