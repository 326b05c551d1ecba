//! Call flows in a few lines each, played by SIPp: what one side sends and what it must get, in order.
//!
//! ```text
//! == an UPDATE without a body refreshes the session (RFC 4028 §7.4)
//! > INVITE
//!   Session-Expires: 90;refresher=uac
//!   sdp
//! < 200
//!   Session-Expires: 90;refresher=uac
//! > ACK
//! ```
//!
//! `>` is sent and `<` is awaited; nothing else may come but 100 and, before a final response, 180 and 183. A status
//! marked with `?` may come or not. Below `>` stand fields that replace the usual ones (`Name!` leaves one out,
//! `+Name` adds one more) and the body: `sdp` with words of [`sdp`], or `body TYPE TEXT`. Below `<` stand fields and
//! the regular expressions that they must match; each fills the next variable (`[$1]`), and what stands in brackets the
//! one after it (an INVITE fills four before: its From, To, Via and CSeq); `body REGEX` is for the body. A response is to what came last, or to what
//! stands behind it (`> 200 INVITE`). `> again` sends the message before once more, `wait MS` lets time
//! pass, and options of SIPp stand behind `%`, or
//! how long a caller stays (`% caller 3`). A flow that begins with `<` is that of an agent's phone.

use std::fmt::Write as _;

/// One flow as it is written.
pub struct Flow {
    pub title: String,
    pub options: Vec<String>,
    /// How long the caller stays whom an agent's phone takes.
    pub seconds: f64,
    steps: Vec<Step>,
}

enum Step {
    Wait(u32),
    Send { what: String, more: Vec<String>, again: bool },
    Await { what: String, fields: Vec<String>, optional: bool },
}

/// Every flow of a file; its name is that of a file in `flows`.
pub fn flows(file: &str) -> Vec<Flow> {
    let path = format!("{}/tests/interop/flows/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
    text.split("\n== ").skip(1).map(flow).collect()
}

/// A title and its steps.
pub fn flow(text: &str) -> Flow {
    let (title, rest) = text.split_once('\n').expect("a flow has steps");
    let mut flow = Flow { title: title.to_owned(), options: Vec::new(), seconds: 1.5, steps: Vec::new() };
    for line in rest.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (kind, words) = line.split_once(' ').unwrap_or((line, ""));
        match (kind, flow.steps.last_mut()) {
            ("%", _) if words.starts_with("caller ") => {
                flow.seconds = words.rsplit(' ').next().and_then(|s| s.parse().ok()).expect("seconds");
            }
            ("%", _) => flow.options.extend(words.split(' ').map(str::to_owned)),
            ("wait", _) => flow.steps.push(Step::Wait(words.parse().expect("milliseconds"))),
            (">", _) if words == "again" => {
                let sent = flow.steps.iter().rev().find_map(|step| match step {
                    Step::Send { what, more, .. } => Some((what.clone(), more.clone())),
                    Step::Await { .. } | Step::Wait(_) => None,
                });
                let (what, more) = sent.expect("something was sent before");
                flow.steps.push(Step::Send { what, more, again: true });
            }
            (">", _) => flow.steps.push(Step::Send { what: words.to_owned(), more: Vec::new(), again: false }),
            ("<", _) => {
                let (what, optional) = words.strip_suffix('?').map_or((words, false), |what| (what, true));
                flow.steps.push(Step::Await { what: what.to_owned(), fields: Vec::new(), optional });
            }
            ("", Some(Step::Send { more, .. })) => more.push(line.trim().to_owned()),
            ("", Some(Step::Await { fields, .. })) => fields.push(line.trim().to_owned()),
            _ => panic!("not a step of `{title}`: {line}"),
        }
    }
    flow
}

impl Flow {
    /// Whether it is an agent's phone that plays it.
    pub fn is_called(&self) -> bool {
        matches!(self.steps.first(), Some(Step::Await { .. }))
    }

    /// Whether it is this side that hangs up.
    pub fn hangs_up(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Send { what, .. } if what.starts_with("BYE")))
    }

    /// Whether whoever calls is answered.
    pub fn answers(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Send { what, .. } if what.starts_with("200")))
    }

    /// Every method, status and field that is sent or awaited.
    pub fn names(&self) -> Vec<String> {
        let first = |text: &str| text.split([' ', ':', '?']).next().unwrap_or("").to_owned();
        let of_step = |step: &Step| match step {
            Step::Wait(_) => Vec::new(),
            Step::Send { what, more: lines, .. } | Step::Await { what, fields: lines, .. } => {
                lines.iter().chain([what]).map(|line| first(line)).collect()
            }
        };
        self.steps.iter().flat_map(of_step).collect()
    }

    /// The scenario that SIPp plays.
    pub fn scenario(&self) -> String {
        let mut writer = Writer { called: self.is_called(), ..Writer::default() };
        self.steps.iter().for_each(|step| writer.step(step));
        let seen: Vec<String> = (1..=writer.variables).map(|n| n.to_string()).collect();
        let reference = match seen.is_empty() {
            true => String::new(),
            false => format!("  <Reference variables=\"{}\"/>\n", seen.join(",")),
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n\
             <scenario name=\"{}\">\n{}{reference}</scenario>\n",
            escaped(&self.title),
            writer.text
        )
    }
}

/// What a response needs of an INVITE, in the order of its variables.
const COPIED: [&str; 4] = ["From:", "To:", "Via:", "CSeq:"];

#[derive(Default)]
struct Writer {
    text: String,
    called: bool,
    variables: u32,
    /// The number of our last request and of our last INVITE: their CSeq, and what their branch ends with.
    number: u32,
    invite: u32,
    /// A response with a tag has come, so that requests are sent within the dialog.
    within: bool,
    /// A final response to the last INVITE has come, and it was none of success.
    refused: bool,
    /// What the last request of ours was.
    asked: String,
    /// The last request that came.
    heard: String,
    /// We have refused the last INVITE, and have answered none: the next one is no re-INVITE.
    turned_down: bool,
    answered: bool,
    /// The first variable of the last INVITE that came, and whether its To had a tag.
    invited: (u32, bool),
}

impl Writer {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(ms) => writeln!(self.text, "  <pause milliseconds=\"{ms}\"/>").expect("text"),
            Step::Send { what, more, again } => self.send(what, more, *again),
            Step::Await { what, fields, optional } => self.wait_for(what, fields, *optional),
        }
    }

    fn wait_for(&mut self, what: &str, fields: &[String], optional: bool) {
        let is_status = what.starts_with(|c: char| c.is_ascii_digit());
        let mut may_come = if self.asked == "INVITE" { vec!["100", "180", "183"] } else { vec!["100"] };
        may_come.retain(|status| is_status && what >= "200" || *status == "100" && is_status && what != "100");
        for status in may_come {
            writeln!(self.text, "  <recv response=\"{status}\" optional=\"true\"/>").expect("text");
        }
        let (kind, first) = if is_status { ("response", false) } else { ("request", !self.within) };
        let may = if optional { " optional=\"true\"" } else { "" };
        let auth = if matches!(what, "401" | "407") { " auth=\"true\"" } else { "" };
        let mut actions = String::new();
        if what == "INVITE" {
            // An agent's phone may be called again after its refusal: not in a dialog then.
            self.invited = (self.variables + 1, !self.called || (self.invited.0 > 0 && !self.turned_down));
            for name in COPIED {
                self.variables += 1;
                actions += &action(&header(name), ".*", self.variables);
            }
        }
        for field in fields {
            self.variables += 1;
            let (place, expression) = match field.strip_prefix("body ") {
                Some(expression) => ("search_in=\"body\"".to_owned(), expression),
                None => {
                    let (name, expression) = field.split_once(": ").unwrap_or((field, "."));
                    (header(&format!("{name}:")), expression)
                }
            };
            actions += &action(&place, expression, self.variables);
            self.variables += u32::from(expression.contains('('));
        }
        let inner = if actions.is_empty() { String::new() } else { format!("<action>\n{actions}  </action>") };
        let makes = if is_status { self.asked == "INVITE" && *"101" <= *what && *what < *"300" } else { first };
        let routes = if makes { " rrs=\"true\"" } else { "" };
        writeln!(self.text, "  <recv {kind}=\"{what}\"{may}{routes}{auth}>{inner}</recv>").expect("text");
        self.within |= makes;
        match is_status {
            true if self.asked == "INVITE" && what >= "200" => self.refused = what >= "300",
            true => {}
            false => self.heard = what.to_owned(),
        }
    }

    fn send(&mut self, what: &str, more: &[String], again: bool) {
        let first = what.split(' ').next().unwrap_or("");
        let is_status = first.starts_with(|c: char| c.is_ascii_digit());
        if !is_status && !again && !matches!(first, "ACK" | "CANCEL") {
            self.number += 1;
            if first == "INVITE" {
                (self.invite, self.refused) = (self.number, false);
            }
        }
        let to = what.split(' ').nth(1).unwrap_or(&self.heard).to_owned();
        let answers = is_status && first >= "200" && to == "INVITE";
        self.answered |= answers && first < "300";
        self.turned_down = if answers { first >= "300" && !self.answered } else { self.turned_down };
        let (start, fields) = if is_status { self.response(first, &to) } else { self.request(what, first) };
        if !is_status && first != "ACK" && first != "CANCEL" {
            self.asked = first.to_owned();
        }
        let (lines, body) = altered(fields, more);
        // Who awaits an answer repeats its request until it comes.
        let repeats = answers || (!is_status && first != "ACK");
        let retrans = if repeats { " retrans=\"500\"" } else { "" };
        let length =
            if lines.iter().any(|line| line.starts_with("Content-Length")) { "" } else { "Content-Length: [len]\n" };
        let head = lines.join("\n");
        write!(self.text, "  <send{retrans}><![CDATA[\n{start}\n{head}\n{length}\n{body}\n]]></send>\n").expect("text");
    }

    fn request(&self, what: &str, method: &str) -> (String, Vec<String>) {
        let words: Vec<&str> = what.split(' ').collect();
        let target = if self.within && !self.refused { "[next_url]" } else { "sip:[number]@[remote_ip]:[remote_port]" };
        let target = words.get(1).copied().unwrap_or(target);
        let version = words.get(2).copied().unwrap_or("SIP/2.0");
        let (transaction, number) = match method {
            // RFC 3261 §17.1.1.3: the ACK of a refusal belongs to the INVITE's transaction.
            "ACK" if !self.refused => (format!("{}-ack", self.invite), self.invite),
            "ACK" | "CANCEL" => (self.invite.to_string(), self.invite),
            _ => (self.number.to_string(), self.number),
        };
        let tag = if self.within || method == "ACK" { "[peer_tag_param]" } else { "" };
        let (us, them) = match self.called {
            true => ("From:[$2];tag=[pid]a[call_number]".to_owned(), "To:[$1]".to_owned()),
            false => (
                "From: \"Caller\" <sip:[from]@[local_ip]:[local_port]>;tag=[pid]c[call_number]".to_owned(),
                format!("To: <sip:[number]@[remote_ip]:[remote_port]>{tag}"),
            ),
        };
        let fields = vec![
            format!(
                "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-{transaction}"
            ),
            "Max-Forwards: 70".to_owned(),
            us,
            them,
            "Call-ID: [call_id]".to_owned(),
            format!("CSeq: {number} {method}"),
            "Contact: <sip:[from]@[local_ip]:[local_port]>".to_owned(),
        ];
        let routes = self.within.then(|| "[routes]".to_owned());
        (format!("{method} {target} {version}"), fields.into_iter().chain(routes).collect())
    }

    /// A response to the last INVITE, or to what came last.
    fn response(&self, status: &str, to: &str) -> (String, Vec<String>) {
        let (first, has_tag) = self.invited;
        let tag = if has_tag { "" } else { ";tag=[pid]a[call_number]" };
        let copied = |field: &str, at: u32| format!("{field}[${}]", first + at);
        let fields = match to {
            "INVITE" => vec![copied("Via:", 2), copied("From:", 0), copied("To:", 1) + tag, copied("CSeq:", 3)],
            _ => ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_CSeq:]"].map(str::to_owned).to_vec(),
        };
        let rest = ["Call-ID: [call_id]", "Contact: <sip:[from]@[local_ip]:[local_port]>"].map(str::to_owned);
        (format!("SIP/2.0 {status} Said"), fields.into_iter().chain(rest).collect())
    }
}

fn header(name: &str) -> String {
    format!("search_in=\"hdr\" header=\"{name}\"")
}

/// `place`: where the expression must match.
fn action(place: &str, expression: &str, variable: u32) -> String {
    // What stands in brackets goes into a variable of its own.
    let into = if expression.contains('(') { format!("{variable},{}", variable + 1) } else { variable.to_string() };
    format!("    <ereg regexp=\"{}\" {place} check_it=\"true\" assign_to=\"{into}\"/>\n", escaped(expression))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// The fields as a step wants them, and its body.
fn altered(mut fields: Vec<String>, more: &[String]) -> (Vec<String>, String) {
    let mut body = String::new();
    for line in more {
        let name = |line: &str| line.split(':').next().unwrap_or("").to_owned();
        if line == "sdp" || line.starts_with("sdp ") {
            fields.push("Content-Type: application/sdp".to_owned());
            body = sdp(&line[3..]);
        } else if let Some(text) = line.strip_prefix("body ") {
            let (kind, text) = text.split_once(' ').unwrap_or((text, ""));
            fields.push(format!("Content-Type: {kind}"));
            body = format!("{}\n", text.replace("\\n", "\n"));
        } else if let Some(left_out) = line.strip_suffix('!') {
            fields.retain(|field| name(field) != left_out);
        } else if let Some(added) = line.strip_prefix('+') {
            fields.push(added.to_owned());
        } else {
            match fields.iter_mut().find(|field| name(field) == name(line)) {
                Some(field) => line.clone_into(field),
                None => fields.push(line.clone()),
            }
        }
    }
    (fields, body)
}

/// A description. Words: a direction; `zero`, an address of RFC 2543's hold; `moved`, another port; `unknown`, a codec
/// that nobody has; `alaw`; `mux`, RTP and RTCP on one port.
fn sdp(words: &str) -> String {
    let has = |word: &str| words.split(' ').any(|w| w == word);
    let at = if has("zero") { "0.0.0.0" } else { "[media_ip]" };
    let port = if has("moved") { "[media_port+2]" } else { "[media_port]" };
    let (number, codec) = match () {
        () if has("unknown") => (96, "NONESUCH"),
        () if has("alaw") => (8, "PCMA"),
        () => (0, "PCMU"),
    };
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"].into_iter().filter(|word| has(word));
    let direction: String = directions.map(|word| format!("a={word}\n")).collect();
    let mux = if has("mux") { "a=rtcp-mux\n" } else { "" };
    let (noise, its_map) = if has("noise") { (" 13", "a=rtpmap:13 CN/8000\n") } else { ("", "") };
    format!(
        "v=0\no=sipp 53655765 2353687637 IN IP4 [local_ip]\ns=-\nc=IN IP4 {at}\nt=0 0\nm=audio {port} RTP/AVP {number}{noise} 101\n\
         a=rtpmap:{number} {codec}/8000\n{its_map}a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n{mux}{direction}a=ptime:20\n"
    )
}
