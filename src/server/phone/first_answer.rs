//! Whether anybody is there: a phone whose server does not run would be silent for 32 s (RFC 3261 §17, timers B and F).
//!
//! A socket of its own sends one keepalive (RFC 5626 §3.5.1), for only a connected socket is told that nobody listens.

use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// After so long without a word from there it is told that nothing came. A server that runs answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the first datagram of the server.
pub struct FirstAnswer {
    server: SocketAddr,
    /// None when there is nothing more to learn.
    probe: Option<UdpSocket>,
    tell_at: Option<Instant>,
}

impl FirstAnswer {
    pub async fn awaited(local: IpAddr, server: SocketAddr, now: Instant) -> FirstAnswer {
        FirstAnswer { server, probe: asking(local, server).await.ok(), tell_at: Some(now + PATIENCE) }
    }

    /// Something came.
    pub fn came(&mut self) {
        (self.probe, self.tell_at) = (None, None);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.tell_at
    }

    /// What to tell when the time is over; once.
    pub fn overdue(&mut self, now: Instant) -> Option<String> {
        self.tell_at.take_if(|at| *at <= now).map(|_| {
            format!(
                "no answer from {} so far; does `tierline serve` run there, with SIP over UDP? --server names another \
                 address",
                self.server
            )
        })
    }

    /// Comes to an end if the system there says that nobody listens on the port (ICMP).
    pub async fn refused(&self) {
        let Some(probe) = &self.probe else { return std::future::pending().await };
        loop {
            match probe.recv(&mut [0; 16]).await {
                Err(why) if why.kind() == std::io::ErrorKind::ConnectionRefused => return,
                Err(_) => return std::future::pending().await,
                Ok(_) => {} // it has answered the keepalive; the phone's own socket is what counts
            }
        }
    }

    /// What to tell of that.
    pub fn refusal(&mut self) -> String {
        self.came();
        format!(
            "nobody listens on udp {}: start `tierline serve` first, or say with --server where it listens",
            self.server
        )
    }
}

async fn asking(local: IpAddr, server: SocketAddr) -> std::io::Result<UdpSocket> {
    let probe = UdpSocket::bind((local, 0)).await?;
    probe.connect(server).await?;
    probe.send(b"\r\n\r\n").await?;
    Ok(probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn a_port_without_a_server_is_told_at_once() {
        run(async {
            let server = UdpSocket::bind((HERE, 0)).await.unwrap();
            let address = server.local_addr().unwrap();
            drop(server);
            let mut first = FirstAnswer::awaited(HERE, address, Instant(0)).await;
            first.refused().await;
            assert!(first.refusal().starts_with(&format!("nobody listens on udp {address}: start")));
            assert_eq!((first.deadline(), first.overdue(Instant(u64::MAX))), (None, None), "it is told once");
        });
    }

    #[test]
    fn a_server_that_says_nothing_is_told_in_time_and_one_that_speaks_is_not() {
        run(async {
            let server = UdpSocket::bind((HERE, 0)).await.unwrap();
            let address = server.local_addr().unwrap();
            let mut first = FirstAnswer::awaited(HERE, address, Instant(0)).await;
            let at = first.deadline().unwrap();
            assert_eq!(first.overdue(Instant(at.0 - 1)), None);
            assert!(first.overdue(at).unwrap().contains("no answer from 127.0.0.1:"));
            assert_eq!(first.overdue(at), None);
            let mut first = FirstAnswer::awaited(HERE, address, Instant(0)).await;
            first.came();
            assert_eq!((first.deadline(), first.overdue(at)), (None, None));
        });
    }
}
