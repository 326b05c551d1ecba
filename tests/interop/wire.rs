//! Raw SIP by hand over a stream: for what no phone does.

use super::harness::SECOND;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

/// A connection, and what has come over it and was not looked at yet.
pub struct Wire<S> {
    pub stream: S,
    heard: Vec<u8>,
}

impl Wire<TcpStream> {
    pub fn to(server: SocketAddr) -> Wire<TcpStream> {
        let stream = TcpStream::connect_timeout(&server, 5 * SECOND).expect("a connection");
        Wire::over_tcp(stream)
    }

    /// The next connection that comes.
    pub fn accepted(listener: &TcpListener) -> Wire<TcpStream> {
        Wire::over_tcp(listener.accept().expect("a connection").0)
    }

    fn over_tcp(stream: TcpStream) -> Wire<TcpStream> {
        stream.set_nodelay(true).expect("an option set");
        stream.set_read_timeout(Some(20 * SECOND)).expect("a time-out");
        Wire::over(stream)
    }
}

impl<S: Read + Write> Wire<S> {
    pub fn over(stream: S) -> Wire<S> {
        Wire { stream, heard: Vec::new() }
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).expect("bytes sent");
    }

    /// The next whole message; none once the peer has closed.
    pub fn message(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8_lossy(&self.heard).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let field = |line: &str| line.strip_prefix("Content-Length: ").map(str::to_owned);
                let length = head.lines().find_map(field).and_then(|n| n.trim().parse::<usize>().ok()).unwrap_or(0);
                let whole = head.len() + 4 + length;
                if self.heard.len() >= whole {
                    return Some(String::from_utf8(self.heard.drain(..whole).collect()).expect("text"));
                }
            }
            if self.read() == 0 {
                return None;
            }
        }
    }

    /// The next message with this first word or status, others passed over.
    pub fn until(&mut self, what: &str) -> String {
        loop {
            let message = self.message().unwrap_or_else(|| panic!("closed before {what}"));
            if message.starts_with(what) || message.starts_with(&format!("SIP/2.0 {what}")) {
                return message;
            }
        }
    }

    /// The next bytes, however many; none once the peer has closed.
    pub fn bytes(&mut self) -> Vec<u8> {
        if self.heard.is_empty() {
            self.read();
        }
        std::mem::take(&mut self.heard)
    }

    /// Whether the peer closes, whatever it still says.
    pub fn is_closed(&mut self) -> bool {
        while self.read() > 0 {}
        true
    }

    /// A connection that was reset is closed, too; a time-out fails the test.
    fn read(&mut self) -> usize {
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.heard.extend_from_slice(&buffer[..count]);
                count
            }
            Err(why) if matches!(why.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("nothing came, and the connection is open")
            }
            Err(_) => 0,
        }
    }
}

/// An OPTIONS of its own number.
pub fn options(number: u32, over: &str, uri: &str) -> String {
    format!(
        "OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/{over} 127.0.0.1:5999;branch=z9hG4bK-{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:raw@127.0.0.1>;tag=r{number}\r\nTo: <{uri}>\r\nCall-ID: raw-{number}\r\nCSeq: {number} OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// An INVITE of a call of its own; `more` are further header lines.
pub fn invite(uri: &str, contact: &str, more: &str) -> String {
    invite_for(9, uri, contact, more)
}

/// The same for audio at a port.
pub fn invite_for(port: u16, uri: &str, contact: &str, more: &str) -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    );
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK-call{call}\r\nMax-Forwards: 70\r\n{more}\
         From: <sip:raw@127.0.0.1>;tag=call\r\nTo: <{uri}>\r\nCall-ID: raw-call{call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// The ACK for a 200 of [`invite`].
pub fn ack(ok: &str) -> String {
    let field = |name: &str| ok.lines().find_map(|line| line.strip_prefix(name)).expect("a field").to_owned();
    let target = field("Contact: ").trim_matches(['<', '>']).to_owned();
    format!(
        "ACK {target} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK-ack\r\nMax-Forwards: 70\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        field("From: "),
        field("To: "),
        field("Call-ID: ")
    )
}

/// A response to a request.
pub fn answer(request: &str, status: &str) -> String {
    let keep = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
    let fields = request.lines().filter(|line| keep.iter().any(|name| line.starts_with(name)));
    let fields: String = fields.map(|line| format!("{line}\r\n")).collect();
    format!("SIP/2.0 {status}\r\n{fields}Content-Length: 0\r\n\r\n")
}
