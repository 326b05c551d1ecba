//! What Linux offers for sockets beyond the standard library: epoll, a wake-up, buffer sizes, the limit of open
//! files, priorities. The only place with calls into libc, each wrapped in a safe function.

pub mod datagrams;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
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
const BATCH: usize = 256;

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the result is checked.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` is open and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    /// Watches a socket, told by `token`, until it is closed.
    pub fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: `event` lives through the call; a bad descriptor is an error, not undefined.
        checked(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event)
        })?;
        Ok(())
    }

    /// Waits until a socket can be read or the time is over (none: no limit; rounded up to milliseconds);
    /// the tokens of those that can.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = u64> + use<'_>> {
        let ms = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the kernel writes at most `BATCH` events into a buffer of so many.
        let count =
            checked(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), BATCH as i32, ms) });
        let count = match count {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            other => other? as usize,
        };
        Ok(self.events[..count].iter().map(|e| e.u64))
    }
}

/// Wakes a thread that waits in an [`Epoll`]. Waking one that is being woken costs no system call.
#[derive(Clone)]
pub struct Wake {
    file: Arc<File>,
    /// It will be found readable.
    pending: Arc<AtomicBool>,
}

impl Wake {
    pub fn new() -> io::Result<Wake> {
        // SAFETY: no pointers; the result is checked.
        let fd = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: `fd` is open and belongs to nobody else.
        Ok(Wake { file: Arc::new(unsafe { File::from_raw_fd(fd) }), pending: Arc::default() })
    }

    /// The waiting thread will find this readable.
    pub fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // It fails only when 2⁶⁴ − 2 wake-ups are waiting already.
            let _ = (&*self.file).write(&1u64.to_ne_bytes());
        }
    }

    /// Takes all wake-ups so far. What was left for this thread before them is to be looked at after this.
    pub fn clear(&self) {
        let _ = (&*self.file).read(&mut [0; 8]);
        // A swap, not a store: it makes what every waker left before its own swap visible here.
        self.pending.swap(false, Ordering::AcqRel);
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

/// Room for bursts of signaling from many phones: 4 MiB with CAP_NET_ADMIN, else what `net.core.rmem_max` allows.
pub fn enlarge_buffers(socket: &UdpSocket) {
    set_receive_buffer(socket, libc::SO_RCVBUF, 4 << 20);
    set_receive_buffer(socket, libc::SO_RCVBUFFORCE, 4 << 20);
}

/// A limit for one leg's audio, 64 KiB: more than a second of it.
pub fn limit_buffers(socket: &UdpSocket) {
    set_receive_buffer(socket, libc::SO_RCVBUF, 64 << 10);
}

fn set_receive_buffer(socket: &UdpSocket, option: i32, bytes: i32) {
    let (value, length) = (&raw const bytes, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel reads one i32 that lives through the call. Failing leaves the system's default, which works.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value.cast(), length) };
}

/// Allows as many open files as the system lets us; each leg needs two. Returns how many that are.
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
/// RLIMIT_NICE) the thread runs as it did.
pub fn prefer_this_thread(nice: i32) {
    // SAFETY: no pointers. 0 is the calling thread: in Linux the nice value belongs to threads (setpriority(2)).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
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
        epoll.add(&wake, 7).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap().count(), 0);
        wake.clone().wake();
        wake.wake();
        assert_eq!(epoll.wait(None).unwrap().collect::<Vec<_>>(), [7]);
        wake.clear();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap().count(), 0);
    }

    #[test]
    fn the_limit_of_files_is_raised() {
        let limit = raise_file_limit();
        assert!(limit >= 256 && raise_file_limit() == limit);
    }
}
