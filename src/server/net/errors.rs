//! What hosts and routers say of datagrams that did not arrive (ICMP). Linux keeps it for a socket that wants to know
//! (`IP_RECVERR`, ip(7)), with the beginning of the datagram.
//!
//! Such a socket is told of an error by its next call too, be that of another datagram, which is then not sent:
//! [`super::datagrams::send`] tries again.
//!
//! Left out: who quotes no more than RFC 792 asks for, the datagram's UDP header, names no request. It is not looked for by its
//! address: anybody can make up an error about an address, and would end what is under way toward a carrier; the branch that is
//! quoted otherwise cannot be guessed. What such a one means is found out by waiting.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// As much of a datagram as can be quoted: what says so is no longer than 576 bytes (RFC 1812 §4.3.2.3), or 1,280 of IPv6
/// (RFC 4443 §2.4).
pub const QUOTED: usize = 1_280;

/// From now on errors are kept for [`next`], which must be called then: they take room in the buffer of what comes, and
/// the socket counts as ready. A system that cannot leaves it to whoever waits for an answer.
pub fn keep(socket: &UdpSocket) {
    let one = 1i32;
    let (value, length) = ((&raw const one).cast(), size_of::<i32>() as libc::socklen_t);
    // Both: IPv4 comes over sockets of IPv6 as well.
    for (level, option) in [(libc::SOL_IP, libc::IP_RECVERR), (libc::SOL_IPV6, libc::IPV6_RECVERR)] {
        // SAFETY: the kernel reads one i32 that lives through the call.
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    }
}

/// The next error, without waiting: how many bytes of `room` its datagram began with, if it says that nobody can be reached
/// there (RFC 3261 §18.4: port, host, network or protocol unreachable, or a bad parameter); else none.
///
/// # Errors
/// There is no further one (`WouldBlock`).
pub fn next(socket: &UdpSocket, room: &mut [u8; QUOTED]) -> io::Result<Option<usize>> {
    let mut control = [0u64; 64]; // aligned as its headers must be
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: QUOTED };
    // SAFETY: all bytes zero is a header without name, data and control.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header points to `room` and `control` with their lengths, and all live through the call.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has written whole headers into `control` and set the length to what it wrote.
    let mut place = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !place.is_null() {
        // SAFETY: not null, so a whole header within `control`.
        let head = unsafe { place.read_unaligned() };
        if [(libc::SOL_IP, libc::IP_RECVERR), (libc::SOL_IPV6, libc::IPV6_RECVERR)]
            .contains(&(head.cmsg_level, head.cmsg_type))
        {
            // SAFETY: what follows a header of this kind is this, whole (ip(7)).
            let error = unsafe { libc::CMSG_DATA(place).cast::<libc::sock_extended_err>().read_unaligned() };
            return Ok(is_unreachable(&error).then_some(read as usize));
        }
        // SAFETY: `place` is a header within `control`.
        place = unsafe { libc::CMSG_NXTHDR(&raw const header, place) };
    }
    Ok(None)
}

/// Time that is exceeded, and datagrams that are too large on the way, are for whoever repeats them (§18.4).
fn is_unreachable(error: &libc::sock_extended_err) -> bool {
    const TOO_LARGE: u8 = 4;
    match (error.ee_origin, error.ee_type) {
        (libc::SO_EE_ORIGIN_ICMP, 3) => error.ee_code != TOO_LARGE,
        (libc::SO_EE_ORIGIN_ICMP, 12) | (libc::SO_EE_ORIGIN_ICMP6, 1 | 4) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::datagrams::send;
    use super::*;

    #[test]
    fn who_is_not_there_is_told_and_others_get_what_is_sent_to_them() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (ours, theirs) = (UdpSocket::bind(host).unwrap(), UdpSocket::bind(host).unwrap());
            let gone = UdpSocket::bind(host).and_then(|socket| socket.local_addr()).unwrap();
            keep(&ours);
            let mut room = [0; QUOTED];
            assert_eq!(next(&ours, &mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let long = [b'x'; 4_000];
            for sent in [&b"INVITE"[..], &long] {
                let both = [(gone, sent.to_vec()), (theirs.local_addr().unwrap(), b"BYE".to_vec())];
                send(&ours, &both, |bytes, why| panic!("{why}: {bytes:?}"));
                let mut came = [0; 9];
                assert_eq!(theirs.recv(&mut came).unwrap(), 3, "an error of another is not its own");
                let quoted = next(&ours, &mut room).unwrap().expect("a port where nobody listens");
                assert!(quoted > 400.min(sent.len() - 1) && sent.starts_with(&room[..quoted]), "{quoted} bytes");
            }
            assert_eq!(next(&ours, &mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn only_what_cannot_be_reached_counts() {
        let rows = [
            ((libc::SO_EE_ORIGIN_ICMP, 3, 0), true),
            ((libc::SO_EE_ORIGIN_ICMP, 3, 1), true),
            ((libc::SO_EE_ORIGIN_ICMP, 3, 2), true),
            ((libc::SO_EE_ORIGIN_ICMP, 3, 3), true),
            ((libc::SO_EE_ORIGIN_ICMP, 3, 4), false),
            ((libc::SO_EE_ORIGIN_ICMP, 3, 13), true),
            ((libc::SO_EE_ORIGIN_ICMP, 4, 0), false),
            ((libc::SO_EE_ORIGIN_ICMP, 11, 0), false),
            ((libc::SO_EE_ORIGIN_ICMP, 12, 0), true),
            ((libc::SO_EE_ORIGIN_ICMP6, 1, 4), true),
            ((libc::SO_EE_ORIGIN_ICMP6, 2, 0), false),
            ((libc::SO_EE_ORIGIN_ICMP6, 3, 0), false),
            ((libc::SO_EE_ORIGIN_ICMP6, 4, 1), true),
            ((libc::SO_EE_ORIGIN_LOCAL, 0, 0), false),
        ];
        for ((ee_origin, ee_type, ee_code), expect) in rows {
            let error =
                libc::sock_extended_err { ee_errno: 0, ee_origin, ee_type, ee_code, ee_pad: 0, ee_info: 0, ee_data: 0 };
            assert_eq!(is_unreachable(&error), expect, "{ee_origin} {ee_type} {ee_code}");
        }
    }
}
