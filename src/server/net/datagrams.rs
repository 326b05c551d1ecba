//! Datagrams in batches: one system call reads all that have come (recvmmsg(2)), and what the system had to drop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams read by one system call at most.
pub const BATCH: usize = 16;
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
