//! Sockets that listen for SIP.
//!
//! Each socket has addresses of one kind: over one at `[::]` that took IPv4 too, as the system has it (RFC 3493 §5.3), peers of
//! IPv4 would have addresses of IPv6, which nothing else knows them by. The configuration gives IPv4 a listener of its own.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use tokio::net::TcpListener;

/// Connections that the system keeps for us until they are accepted.
const BACKLOG: i32 = 1024;

/// # Errors
/// The address is taken, not here, or not for us.
pub fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    bound(address, (Type::DGRAM, Protocol::UDP)).map(UdpSocket::from)
}

/// To be called within tokio's runtime.
///
/// # Errors
/// The address is taken, not here, or not for us.
pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, (Type::STREAM, Protocol::TCP))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn bound(address: SocketAddr, (kind, protocol): (Type, Protocol)) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // The connections of the last start, which the system still remembers, do not hold the port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_kinds_of_addresses_share_a_port() {
        let (six, four): (SocketAddr, SocketAddr) = (([0u16; 8], 0).into(), ([0u8; 4], 0).into());
        // Somebody else may have the port that the system chose on the other side.
        let shared = (0..20).any(|_| {
            let (first, second) = (udp(six).unwrap(), tcp(six).unwrap());
            let (first, second) = (first.local_addr().unwrap().port(), second.local_addr().unwrap().port());
            let at = |port| SocketAddr::new(four.ip(), port);
            udp(at(first)).is_ok() && tcp(at(second)).is_ok()
        });
        assert!(shared);
    }
}
