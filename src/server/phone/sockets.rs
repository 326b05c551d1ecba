//! Sockets of the phone's audio.

use crate::ids::PortId;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;

/// A call's sockets: RTP's, and RTCP's where it has one of its own.
pub struct Audio {
    pub rtp: UdpSocket,
    pub rtcp: Option<UdpSocket>,
}

impl Audio {
    /// RTCP shares the port of RTP (RFC 5761), or is on the next one again; somebody else may have taken that.
    pub async fn share(&mut self, on: bool) {
        match (on, &self.rtcp, self.rtp.local_addr()) {
            (true, ..) => self.rtcp = None,
            (false, None, Ok(local)) => self.rtcp = UdpSocket::bind((local.ip(), local.port() + 1)).await.ok(),
            _ => {}
        }
    }

    /// What the system does not take is lost, as on any wire.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) {
        _ = self.rtp.try_send_to(bytes, to);
    }

    pub fn send_control(&self, bytes: &[u8], to: SocketAddr) {
        self.rtcp.iter().for_each(|rtcp| _ = rtcp.try_send_to(bytes, to));
    }

    async fn readable(&self) {
        match &self.rtcp {
            Some(rtcp) => tokio::select! {
                _ = self.rtp.readable() => {}
                _ = rtcp.readable() => {}
            },
            None => _ = self.rtp.readable().await,
        }
    }
}

/// An even port and the odd one above it (RFC 3550 §11), and the address of the even one.
pub async fn audio_sockets(ip: std::io::Result<IpAddr>) -> Result<(Audio, SocketAddr)> {
    let ip = ip?;
    for _ in 0..100 {
        let rtp = UdpSocket::bind((ip, 0)).await?;
        let local = rtp.local_addr()?;
        if local.port() % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((ip, local.port() + 1)).await
        {
            return Ok((Audio { rtp, rtcp: Some(rtcp) }, local));
        }
    }
    bail!("no free pair of ports for audio")
}

/// Waits until some audio socket has something to read; for ever if there is none.
pub async fn readable(audio: &BTreeMap<PortId, Audio>) {
    match audio.values().next_back() {
        Some(audio) => audio.readable().await,
        None => std::future::pending().await,
    }
}
