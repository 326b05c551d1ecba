//! Datagrams in batches: one system call reads all that have come (recvmmsg(2)), one sends all that there is to send
//! (sendmmsg(2)); and what the system had to drop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams read or sent by one system call at most.
pub const BATCH: usize = 16;
/// How often one is sent that fails, for the system may tell there of another ([`super::errors`]).
const TRIES: u32 = 4;
/// The largest datagram there is.
const SIZE: usize = 65_535;

/// Room for one batch; a page of it is used only when a datagram has come that far.
pub struct Datagrams {
    bytes: Vec<u8>,
    names: [libc::sockaddr_storage; BATCH],
    /// Of the last batch.
    lengths: [usize; BATCH],
}

impl Default for Datagrams {
    fn default() -> Datagrams {
        // SAFETY: all bytes zero is an address of no family, which `address` refuses.
        let names = unsafe { std::mem::zeroed() };
        Datagrams { bytes: vec![0; BATCH * SIZE], names, lengths: [0; BATCH] }
    }
}

impl Datagrams {
    /// What has come, without waiting: up to [`BATCH`] datagrams with their senders.
    ///
    /// # Errors
    /// Nothing has come (`WouldBlock`), or the system tells of a datagram sent earlier that nobody took.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<impl Iterator<Item = (SocketAddr, &[u8])>> {
        // Each room is borrowed once and alone: borrowing the whole again would end the pointers made before.
        let mut parts = self.bytes.chunks_exact_mut(SIZE);
        let mut rooms: [libc::iovec; BATCH] = std::array::from_fn(|_| {
            let part = parts.next().expect("there are as many rooms as a batch has datagrams");
            libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: SIZE }
        });
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|i| {
            // SAFETY: all bytes zero is a header without name, data and control.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut self.names[i]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = &raw mut rooms[i];
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        let (count, none) = (BATCH as libc::c_uint, std::ptr::null_mut());
        // SAFETY: each header points to a name and to one room of `SIZE` bytes of its own, and all live through the call.
        let read =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _, none) };
        let read = super::checked(read)? as usize;
        for (length, header) in self.lengths.iter_mut().zip(&headers) {
            *length = header.msg_len as usize;
        }
        let each = |i: usize| Some((address(&self.names[i])?, &self.bytes[i * SIZE..][..self.lengths[i].min(SIZE)]));
        Ok((0..read).filter_map(each))
    }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let place = &raw const *name;
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: a `sockaddr_storage` is at least as large and as aligned, and its family says that it is this.
            let v4 = unsafe { &*place.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some((ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*place.cast::<libc::sockaddr_in6>() };
            let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Sends them all in their order, a batch with one system call. `failed` is told each that the system did not take, and
/// why; the others go on.
pub fn send(socket: &UdpSocket, all: &[(SocketAddr, Vec<u8>)], mut failed: impl FnMut(&[u8], io::Error)) {
    let (mut rest, mut tries) = (all, 1);
    while let Some(((_, first), others)) = rest.split_first() {
        // The call ends at the first that fails, and tells why only if that is the first of all.
        match send_batch(socket, &rest[..rest.len().min(BATCH)]) {
            Ok(sent) => (rest, tries) = (&rest[sent.max(1)..], 1),
            Err(why) if tries < TRIES && why.kind() != io::ErrorKind::WouldBlock => tries += 1,
            Err(why) => {
                failed(first, why);
                (rest, tries) = (others, 1);
            }
        }
    }
}

fn send_batch(socket: &UdpSocket, batch: &[(SocketAddr, Vec<u8>)]) -> io::Result<usize> {
    // SAFETY: all bytes zero is an address of no family, a room of no bytes, and a header without either.
    let (mut names, mut rooms, mut headers): (
        [libc::sockaddr_storage; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { std::mem::zeroed() };
    for (i, (to, bytes)) in batch.iter().enumerate() {
        headers[i].msg_hdr.msg_namelen = put_address(*to, &mut names[i]);
        headers[i].msg_hdr.msg_name = (&raw mut names[i]).cast();
        rooms[i] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        headers[i].msg_hdr.msg_iov = &raw mut rooms[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    let count = batch.len() as libc::c_uint;
    // SAFETY: `count` headers point to a name and to one room each, which live through the call and are only read.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _)
    };
    super::checked(sent).map(|sent| sent as usize)
}

/// The address as the system has it, and how long that is.
fn put_address(address: SocketAddr, name: &mut libc::sockaddr_storage) -> libc::socklen_t {
    let place = &raw mut *name;
    let length = match address {
        SocketAddr::V4(v4) => {
            let sin_addr = libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) };
            let (sin_family, sin_port) = (libc::AF_INET as libc::sa_family_t, v4.port().to_be());
            let all = libc::sockaddr_in { sin_family, sin_port, sin_addr, sin_zero: [0; 8] };
            // SAFETY: a `sockaddr_storage` is at least as large and as aligned.
            unsafe { place.cast::<libc::sockaddr_in>().write(all) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let sin6_addr = libc::in6_addr { s6_addr: v6.ip().octets() };
            let (sin6_family, sin6_port) = (libc::AF_INET6 as libc::sa_family_t, v6.port().to_be());
            let (sin6_flowinfo, sin6_scope_id) = (v6.flowinfo(), v6.scope_id());
            let all = libc::sockaddr_in6 { sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id };
            // SAFETY: as above.
            unsafe { place.cast::<libc::sockaddr_in6>().write(all) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    length as libc::socklen_t
}

/// Datagrams that the system dropped unread, because this socket's buffer was full (`SK_MEMINFO_DROPS`, socket(7)).
pub fn dropped(socket: &UdpSocket) -> u64 {
    const DROPS: usize = 8;
    let mut info = [0u32; DROPS + 1];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `info`. Failing leaves zero.
    unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    u64::from(info[DROPS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_with_its_senders_and_its_end_is_told() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (ours, theirs) = (UdpSocket::bind(host).unwrap(), UdpSocket::bind(host).unwrap());
            let mut datagrams = Datagrams::default();
            let idle = datagrams.receive(&ours).map(Iterator::count).unwrap_err();
            assert_eq!(idle.kind(), io::ErrorKind::WouldBlock);
            let sent: Vec<Vec<u8>> = (0..BATCH + 3).map(|n| vec![n as u8; n * 100]).collect();
            for bytes in &sent {
                theirs.send_to(bytes, ours.local_addr().unwrap()).unwrap();
            }
            let mut came = Vec::new();
            while let Ok(batch) = datagrams.receive(&ours) {
                let before = came.len();
                came.extend(batch.map(|(from, bytes)| (from, bytes.to_vec())));
                assert!(came.len() > before && came.len() - before <= BATCH);
            }
            let from = theirs.local_addr().unwrap();
            assert_eq!(came, sent.into_iter().map(|bytes| (from, bytes)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_are_sent_in_their_order_and_what_cannot_be_is_told() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (ours, theirs) = (UdpSocket::bind(host).unwrap(), UdpSocket::bind(host).unwrap());
            let to = theirs.local_addr().unwrap();
            let nowhere = SocketAddr::new(to.ip(), 0);
            // The first of all, one within a batch, two beside each other at its end, the last of all.
            let bad = [0, 5, BATCH - 1, BATCH, 2 * BATCH + 2];
            let place = |n: usize| if bad.contains(&n) { nowhere } else { to };
            let all: Vec<_> = (0..2 * BATCH + 3).map(|n| (place(n), vec![n as u8; 1 + n * 10])).collect();
            let mut failed = Vec::new();
            send(&ours, &all, |bytes, why| failed.push((bytes[0] as usize, why.raw_os_error())));
            assert_eq!(failed, bad.map(|n| (n, Some(libc::EINVAL))));
            let mut datagrams = Datagrams::default();
            let mut came = Vec::new();
            while let Ok(batch) = datagrams.receive(&theirs) {
                came.extend(batch.map(|(from, bytes)| (from, bytes.to_vec())));
            }
            let from = ours.local_addr().unwrap();
            let sent = all.iter().filter(|(at, _)| *at == to).map(|(_, bytes)| (from, bytes.clone()));
            assert_eq!(came, sent.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_does_not_fit_into_the_buffer_is_counted() {
        let ours = super::super::bind_audio("127.0.0.1:0".parse().unwrap()).unwrap();
        let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(dropped(&ours), 0);
        for _ in 0..100 {
            theirs.send_to(&[0; 10_000], ours.local_addr().unwrap()).unwrap();
        }
        let mut datagrams = Datagrams::default();
        let mut came = 0;
        while let Ok(batch) = datagrams.receive(&ours) {
            came += batch.count();
        }
        assert_eq!((came < 100, dropped(&ours)), (true, 100 - came as u64));
    }
}
