//! Prints a run as a call-flow ladder: the SIP messages between the phones and Tierline, with what people do.

use crate::ladder::Ladder;
use crate::time::Instant;

/// The middle column.
pub const US: &str = "Tierline";

/// What is drawn of a run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    at: Instant,
    from: usize,
    to: usize,
    text: String,
}

impl Trace {
    /// The parties in the order of the drawing.
    pub fn new(columns: Vec<String>) -> Trace {
        Trace { columns, rows: Vec::new() }
    }

    /// A datagram leaves `from` for `to`; `lost` if it will not arrive.
    pub fn message(&mut self, at: Instant, (from, to): (&str, &str), bytes: &[u8], lost: bool) {
        let text = format!("{}{}", label(bytes), if lost { " ✗ lost" } else { "" });
        let (from, to) = (self.column(from), self.column(to));
        self.rows.push(Row { at, from, to, text });
    }

    /// Something that a party does or hears.
    pub fn note(&mut self, at: Instant, who: &str, text: String) {
        let column = self.column(who);
        self.rows.push(Row { at, from: column, to: column, text });
    }

    fn column(&mut self, name: &str) -> usize {
        self.columns.iter().position(|known| known == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }

    /// The drawing, with the first row at time zero.
    pub fn draw(&self) -> String {
        let mut ladder = Ladder::new(&self.columns);
        let start = self.rows.first().map_or(Instant::ZERO, |row| row.at);
        for row in &self.rows {
            ladder.arrow(row.at.since(start), row.from, row.to, &row.text);
        }
        ladder.to_string()
    }
}

/// A few words for a SIP message: `INVITE 100 (SDP)`, `200 OK (BYE)`, `BYE "agent hung up"`.
pub fn label(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or("");
    let field = |name: &str| {
        let line = head
            .lines()
            .skip(1)
            .find(|line| line.split(':').next().is_some_and(|n| n.trim().eq_ignore_ascii_case(name)));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    let mut label = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => {
            let method = field("CSeq").and_then(|cseq| cseq.split(' ').nth(1)).unwrap_or("?");
            let status = if status.starts_with("481") { "481 No Such Call" } else { status };
            if method == "INVITE" { status.to_owned() } else { format!("{status} ({method})") }
        }
        None => request(first),
    };
    for (name, shown) in [("Retry-After", "Retry-After: "), ("Reason", "")] {
        if let Some(value) = field(name) {
            let value = value.split("text=").nth(1).map_or(value, |text| text.trim_matches('"'));
            label.push_str(&format!(" [{shown}{value}]"));
        }
    }
    if let Some(expires) = field("Expires").filter(|_| first.starts_with("REGISTER")) {
        label.push_str(&format!(" for {expires} s"));
    }
    if first.starts_with("REGISTER") && field("Authorization").is_some() {
        label.push_str(" with Digest");
    }
    if body.starts_with("v=0") {
        label.push_str(if body.contains("a=sendonly") { " (SDP, sendonly)" } else { " (SDP)" });
    }
    label
}

fn request(first: &str) -> String {
    let mut words = first.split(' ');
    let (method, uri) = (words.next().unwrap_or("?"), words.next().unwrap_or(""));
    let user = uri.strip_prefix("sip:").and_then(|rest| rest.split_once('@')).map(|(user, _)| user);
    match user.filter(|_| method == "INVITE") {
        Some(user) => format!("{method} {user}"),
        None => method.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_short_labels() {
        let check = |message: &str, expect: &str| assert_eq!(label(message.replace('\n', "\r\n").as_bytes()), expect);
        check("INVITE sip:100@192.0.2.1 SIP/2.0\nCSeq: 1 INVITE\n\nv=0\n", "INVITE 100 (SDP)");
        check("INVITE sip:100@192.0.2.1 SIP/2.0\nCSeq: 2 INVITE\n\nv=0\na=sendonly\n", "INVITE 100 (SDP, sendonly)");
        check("ACK sip:100@192.0.2.1 SIP/2.0\nCSeq: 1 ACK\n\n", "ACK");
        check("SIP/2.0 180 Ringing\nCSeq: 1 INVITE\n\n", "180 Ringing");
        check("SIP/2.0 200 OK\nCSeq: 7 BYE\n\n", "200 OK (BYE)");
        check(
            "SIP/2.0 503 Service Unavailable\nRetry-After: 10\nCSeq: 1 INVITE\n\n",
            "503 Service Unavailable [Retry-After: 10]",
        );
        check("BYE sip:a@b SIP/2.0\nReason: Q.850;cause=16;text=\"agent hung up\"\n\n", "BYE [agent hung up]");
        check("REGISTER sip:192.0.2.1 SIP/2.0\nExpires: 600\n\n", "REGISTER for 600 s");
        check("", "");
    }

    #[test]
    fn a_run_is_drawn_from_its_first_message() {
        let mut trace = Trace::new(vec!["Caller".to_owned(), US.to_owned()]);
        trace.message(Instant(2_000_000_000), ("Caller", US), b"OPTIONS sip:x SIP/2.0\r\n\r\n", true);
        trace.note(Instant(2_500_000_000), "Caller", "waits".to_owned());
        let drawn = trace.draw();
        assert!(drawn.contains("OPTIONS ✗ lost") && drawn.contains("0.000") && drawn.contains("0.500"), "{drawn}");
    }
}
