//! Asks a server on this machine how it is, for a container or a probe: an image from scratch has no other program.
//!
//! Left out: HTTPS and redirects, for the pages have neither.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than a page waits for the engine, shorter than whoever probes waits for us.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of the answer: a page that says why not is one line.
const ANSWER_MAX: u64 = 4096;

/// What the page says where all is well.
///
/// # Errors
/// Nobody answers there, or the answer is not 200; then the sentence of the page.
pub fn ask(http: SocketAddr, ready: bool) -> Result<String> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let what = || format!("nobody answers on http://{http}{path}");
    let mut stream = TcpStream::connect_timeout(&http, PATIENCE).with_context(what)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: who answers after the first of several and closes would cut the answer off.
    let asked = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).with_context(what)?;
    let mut text = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut text).with_context(what)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("http://{http}{path} answers something else") };
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.trim_end().to_owned()),
        Some("503") => bail!("{}", body.trim_end()),
        _ => bail!("http://{http}{path} answers `{}`", head.lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What is told when a server answers this.
    fn told(answer: &'static str) -> std::result::Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut asked = [0; 512];
            let read = stream.read(&mut asked).expect("a request");
            stream.write_all(answer.as_bytes()).expect("an answer");
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        let said = ask(address, true).map_err(|why| why.to_string());
        let asked = server.join().expect("it answered");
        assert!(asked.starts_with("GET /readyz HTTP/1.1\r\n"), "{asked}");
        said
    }

    #[test]
    fn only_200_is_well() {
        assert_eq!(told("HTTP/1.1 200 OK\r\n\r\nready\n"), Ok("ready".to_owned()));
        let draining = told("HTTP/1.1 503 Service Unavailable\r\n\r\ndraining: no new calls\n");
        assert_eq!(draining, Err("draining: no new calls".to_owned()));
        assert!(told("HTTP/1.1 404 Not Found\r\n\r\n").is_err_and(|why| why.contains("404 Not Found")));
        assert!(told("SSH-2.0-OpenSSH\r\n").is_err_and(|why| why.contains("something else")));
        assert!(told("").is_err());
    }

    #[test]
    fn nobody_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let why = ask(address, false).expect_err("nobody listens there").to_string();
        assert_eq!(why, format!("nobody answers on http://{address}/healthz"));
    }
}
