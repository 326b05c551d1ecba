//! Sockets that listen for SIP.
//!
//! A listener at an address of IPv6, `[::]` above all, takes IPv4 too (RFC 3493 §5.3), unless IPv4 has a listener of its own
//! on that port: then neither would get the other's.

use crate::config::Needs;
use crate::sip::Transport;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use tokio::net::TcpListener;

/// Connections that the system keeps for us until they are accepted.
const BACKLOG: i32 = 1024;

/// Whether a listener must leave IPv4 to another.
pub fn only_six(needs: &Needs, (bind, transport): (SocketAddr, Transport)) -> bool {
    let shares = |other: SocketAddr, by: Transport| {
        other.is_ipv4() && other.port() == bind.port() && by.is_reliable() == transport.is_reliable()
    };
    bind.is_ipv6() && needs.listeners.iter().any(|listener| shares(listener.bind, listener.transport))
}

/// # Errors
/// The address is taken, not here, or not for us.
pub fn udp(address: SocketAddr, only_six: bool) -> io::Result<UdpSocket> {
    bound(address, only_six, (Type::DGRAM, Protocol::UDP)).map(UdpSocket::from)
}

/// To be called within tokio's runtime.
///
/// # Errors
/// The address is taken, not here, or not for us.
pub fn tcp(address: SocketAddr, only_six: bool) -> io::Result<TcpListener> {
    let socket = bound(address, only_six, (Type::STREAM, Protocol::TCP))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn bound(address: SocketAddr, only_six: bool, (kind, protocol): (Type, Protocol)) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if only_six {
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
            let (first, second) = (udp(six, true).unwrap(), tcp(six, true).unwrap());
            let (first, second) = (first.local_addr().unwrap().port(), second.local_addr().unwrap().port());
            let at = |port| SocketAddr::new(four.ip(), port);
            udp(at(first), false).is_ok() && tcp(at(second), false).is_ok()
        });
        assert!(shared);
        // Alone, the one of IPv6 takes both.
        let both = tcp(six, false).unwrap();
        let port = both.local_addr().unwrap().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(tcp(SocketAddr::new(four.ip(), port), false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
