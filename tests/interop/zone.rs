//! A name server of a test: a few records, answered over UDP (RFC 1035).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub const NAPTR: u16 = 35;

/// One record's data.
#[derive(Clone)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    /// Questions for this kind of record are left unanswered.
    Silence(u16),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, &'static str),
    /// Order, preference, service, replacement; its flag is `s`.
    Naptr(u16, u16, &'static str, &'static str),
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Data::A(_) => 1,
            Data::Aaaa(_) => 28,
            Data::Silence(kind) => *kind,
            Data::Srv(..) => 33,
            Data::Naptr(..) => NAPTR,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        match self {
            Data::A(ip) => ip.octets().to_vec(),
            Data::Aaaa(ip) => ip.octets().to_vec(),
            Data::Silence(_) => Vec::new(),
            Data::Srv(priority, weight, port, target) => {
                let numbers = [priority, weight, port].map(|n| n.to_be_bytes()).concat();
                [numbers, name(target)].concat()
            }
            Data::Naptr(order, preference, service, replacement) => {
                let numbers = [order, preference].map(|n| n.to_be_bytes()).concat();
                [numbers, text("s"), text(service), text(""), name(replacement)].concat()
            }
        }
    }
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([vec![0]]).collect::<Vec<_>>().concat()
}

/// Answers until it is dropped.
pub struct Zone {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Zone {
    pub fn serve(at: SocketAddr, records: Vec<(&'static str, Data)>) -> Zone {
        let socket = UdpSocket::bind(at).expect("a port for the name server");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut room = [0; 1500];
            while !until.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut room) {
                    _ = answer(&room[..length], &records).map(|bytes| socket.send_to(&bytes, from));
                }
            }
        });
        Zone { stop, thread: Some(thread) }
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn answer(question: &[u8], records: &[(&str, Data)]) -> Option<Vec<u8>> {
    let end = 12 + question.get(12..)?.iter().position(|b| *b == 0)? + 5;
    let asked = question.get(12..end)?;
    let kind = u16::from_be_bytes([asked[asked.len() - 4], asked[asked.len() - 3]]);
    let asked_name = asked[..asked.len() - 4].to_ascii_lowercase();
    let found: Vec<&Data> =
        records.iter().filter(|(n, d)| name(n) == asked_name && d.kind() == kind).map(|(_, d)| d).collect();
    if found.iter().any(|data| matches!(data, Data::Silence(_))) {
        return None;
    }
    let known = records.iter().any(|(n, _)| name(n) == asked_name);
    // An answer with authority; a name that is not known is said to be none.
    let code = if known { 0 } else { 3 };
    let mut bytes = [&question[..2], &[0x85, 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0], asked].concat();
    for data in found {
        let rest = data.bytes();
        bytes.extend([0xc0, 12]);
        bytes.extend([data.kind().to_be_bytes(), [0, 1], [0, 0], [0, 60], (rest.len() as u16).to_be_bytes()].concat());
        bytes.extend(rest);
    }
    Some(bytes)
}
