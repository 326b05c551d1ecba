//! Where the phone's server is, as people write it: an address or a name, with or without a port.

use anyhow::{Context, Result};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// SIP's port where none is written (RFC 3261 §19.1.2).
const PORT: u16 = 5060;
const ALLOWED: &str = "an address or a host name, with or without a port from 1 to 65535 (default 5060), such as \
    192.0.2.7, [2001:db8::7]:5080 or sip.example.org";

/// A server that is not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    /// Without brackets.
    host: String,
    port: u16,
}

impl FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerName, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(format!("allowed: {ALLOWED}"))?;
                let six = host.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':'));
                (if six { host } else { "" }, rest.strip_prefix(':'))
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        let good = (1..=253).contains(&host.len()) && host.bytes().all(known) && !host.starts_with('-');
        let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port > 0));
        match port.filter(|_| good) {
            Some(port) => Ok(ServerName { host: host.to_owned(), port }),
            None => Err(format!("allowed: {ALLOWED}")),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl ServerName {
    /// The first address of this name that a packet could be sent to.
    ///
    /// # Errors
    /// The name has no address.
    pub async fn look_up(&self) -> Result<SocketAddr> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.with_context(|| format!("the server `{}` cannot be found", self.host))?;
        let reachable = |at: &SocketAddr| local_address(*at).is_ok();
        found.into_iter().find(reachable).with_context(|| format!("there is no way to {self}"))
    }
}

/// The address of this machine that `server` is reached from.
pub fn local_address(server: SocketAddr) -> Result<IpAddr> {
    let unspecified: SocketAddr = if server.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
    let probe = std::net::UdpSocket::bind(unspecified)?;
    probe.connect(server).with_context(|| format!("there is no way to {server}"))?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_in_many_ways() {
        let check = |text: &str, expect: &str| {
            let read = text.parse::<ServerName>();
            assert_eq!(read.as_ref().map(ToString::to_string).unwrap_or_default(), expect, "{text}: {read:?}");
        };
        check("127.0.0.1", "127.0.0.1:5060");
        check("127.0.0.1:5070", "127.0.0.1:5070");
        check("localhost", "localhost:5060");
        check("sip.example.org:5080", "sip.example.org:5080");
        check("::1", "[::1]:5060");
        check("[::1]", "[::1]:5060");
        check("[::1]:5070", "[::1]:5070");
        check("2001:db8::7", "[2001:db8::7]:5060");
        for wrong in ["", ":5060", "host:", "host:0", "host:70000", "host:x", "[::1", "[::1]x", "[host]", "a b", "-x"] {
            check(wrong, "");
        }
    }

    #[test]
    fn a_name_is_looked_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = |text: &str| runtime.block_on(text.parse::<ServerName>().unwrap().look_up());
        assert!(found("localhost").is_ok_and(|at| at.ip().is_loopback() && at.port() == 5060));
        assert_eq!(found("127.0.0.1:5070").unwrap().to_string(), "127.0.0.1:5070");
    }
}
