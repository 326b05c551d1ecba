//! Sockets of the phone's audio.

use crate::ids::PortId;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;

/// An even port and the odd one above it (RFC 3550 §11).
pub async fn audio_sockets(ip: std::io::Result<IpAddr>) -> Result<(UdpSocket, UdpSocket, SocketAddr)> {
    let ip = ip?;
    for _ in 0..100 {
        let rtp = UdpSocket::bind((ip, 0)).await?;
        let local = rtp.local_addr()?;
        if local.port() % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((ip, local.port() + 1)).await
        {
            return Ok((rtp, rtcp, local));
        }
    }
    bail!("no free pair of ports for audio")
}

/// Waits until some audio socket has something to read; for ever if there is none.
pub async fn readable(audio: &BTreeMap<PortId, (UdpSocket, UdpSocket)>) {
    match audio.values().next_back() {
        Some((rtp, rtcp)) => tokio::select! {
            _ = rtp.readable() => {}
            _ = rtcp.readable() => {}
        },
        None => std::future::pending().await,
    }
}
