//! The other side of the wire: SIPp, baresip and our own phone, each with a configuration of its own.

use super::audio;
use super::capture;
pub use super::capture::Codec;
use super::harness::{GENEROUS, Ground, Program, SECOND, wait_until};
use super::nets::Place;
use super::server::{Server, TIERLINE, password};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where Debian's `sip-tester` keeps its recordings of keys.
const SIPP_KEYS: &str = "/usr/share/sip-tester";
/// Where Debian's `baresip-core` keeps its modules.
const BARESIP_MODULES: &str = "/usr/lib/baresip/modules";

/// Who a baresip is that says so.
pub const UUID: &str = "7cafe8a5-1f2d-4b0c-9a3e-3d6a0c9f2b11";

/// A SIPp in the making: what it is and says.
pub struct Sipp<'s> {
    pub name: &'s str,
    pub scenario: &'s str,
    /// Instead of a scenario's file, its text.
    pub text: Option<&'s str>,
    /// The port it uses, and the one for audio, with the next even one; fresh ones if none.
    pub at: Option<u16>,
    pub audio: Option<u16>,
    pub from: &'s str,
    pub number: &'s str,
    /// The network it is in, and its address there.
    pub place: Option<&'s Place>,
    pub ip: Ipv4Addr,
    /// Where it sends to; the server if none.
    pub to: Option<SocketAddr>,
    pub status: u16,
    /// What a registered Contact ends with, as `;transport=tcp`.
    pub over: &'s str,
    /// It says that it uses TLS: there is a tunnel.
    pub hidden: bool,
    /// Tone that `said.pcap` consists of, and keys at times in seconds within it.
    pub says: f64,
    /// Instead, something over and over.
    pub speech: Option<&'s [i16]>,
    /// Or a tone for each call by its number, in `said-N.pcap`.
    pub says_by_call: Option<fn(u32) -> f64>,
    pub keys: &'s [(f64, u8)],
    pub codec: Codec,
    /// It says nothing but comfort noise from here to there.
    pub pause: (f64, f64),
    pub seconds: f64,
    pub calls: u32,
    pub more: &'s [&'s str],
}

impl Default for Sipp<'_> {
    fn default() -> Self {
        let (name, scenario, from, number) = ("caller", "caller_hangs_up", "guest", super::server::DIRECT);
        let (at, status, says, keys, seconds, calls, more) = (None, 200, 600.0, &[][..], 5.0, 1, &[][..]);
        let (says_by_call, speech, text, audio, to) = (None, None, None, None, None);
        let pause = (0.0, 0.0);
        let (codec, place, ip, over, hidden) = (Codec::Mu, None, Ipv4Addr::LOCALHOST, "", false);
        Sipp {
            name,
            scenario,
            text,
            at,
            audio,
            from,
            number,
            place,
            ip,
            to,
            status,
            over,
            hidden,
            says,
            speech,
            says_by_call,
            keys,
            codec,
            pause,
            seconds,
            calls,
            more,
        }
    }
}

impl Sipp<'_> {
    pub fn start(&self, ground: &Ground, server: &Server) -> Program {
        self.start_at(ground, server.sip)
    }

    /// Against whatever is at `to`, if it does not say itself where it sends to.
    pub fn start_at(&self, ground: &Ground, to: SocketAddr) -> Program {
        let dir = ground.file(self.name);
        std::fs::create_dir_all(&dir).expect("a folder for SIPp");
        let (tone, length) = (audio::tone(self.says, self.seconds + 30.0), self.seconds + 30.0);
        let said = self.speech.map_or(tone, |speech| audio::repeated(speech, length));
        capture::write_played(&dir.join("said.pcap"), (&said, self.codec), self.keys, self.pause);
        for (call, tone) in self.says_by_call.iter().flat_map(|tone| (1..=self.calls).map(move |call| (call, tone))) {
            let said = audio::tone(tone(call), self.seconds + 3.0);
            capture::write_played(&dir.join(format!("said-{call}.pcap")), (&said, self.codec), &[], (0.0, 0.0));
        }
        _ = std::fs::copy(Path::new(SIPP_KEYS).join("dtmf_2833_1.pcap"), dir.join("dtmf_2833_1.pcap"));
        std::fs::write(dir.join("scenario.xml"), self.scenario_text()).expect("a scenario");
        let mut command = self.command(ground, self.to.unwrap_or(to), &dir);
        command.arg("-d").arg(format!("{:.0}", self.seconds * 1000.0)).args(self.more);
        ground.run_at(self.place, self.name, &mut command)
    }

    /// SIPp substitutes keywords in what it sends, not in what it expects.
    fn scenario_text(&self) -> String {
        if let Some(text) = self.text {
            return text.to_owned();
        }
        let file = format!("tests/interop/scenarios/{}.xml", self.scenario);
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a scenario");
        let codec = |codec: Codec| {
            let (number, name) = (codec.number(), codec.name());
            [format!("RTP/AVP {number} 101"), format!("a=rtpmap:{number} {name}/8000")]
        };
        let changed = codec(Codec::Mu).into_iter().zip(codec(self.codec));
        let text = changed.fold(text, |text, (usual, other)| text.replace(&usual, &other));
        let text = if self.hidden { text.replace("[transport]", "TLS") } else { text };
        text.replace("[status]", &self.status.to_string())
            .replace("[called over]", self.over)
            .replace("[one tone each]", &one_tone_each(self.calls))
    }

    fn command(&self, ground: &Ground, to: SocketAddr, dir: &Path) -> Command {
        let at = self.at.unwrap_or_else(|| ground.port());
        // SIPp takes the next even port too, for video.
        let audio = self.audio.unwrap_or_else(|| [ground.port(), ground.port()][0]);
        let mut command = Command::new("sipp");
        let ip = self.ip.to_string();
        command.arg("-sf").arg(dir.join("scenario.xml"));
        command.args(["-i", &ip, "-mi", &ip, "-nostdin", "-trace_err"]);
        command.args(["-p", &at.to_string(), "-mp", &audio.to_string(), "-timeout", "120"]);
        for (key, value) in [("from", self.from), ("number", self.number)] {
            command.args(["-key", key, value]);
        }
        command.args(["-m", &self.calls.to_string()]).arg(to.to_string());
        command
    }
}

/// A step for each call that plays that call's own tone.
fn one_tone_each(calls: u32) -> String {
    let mut text = "  <nop><action><assignstr assign_to=\"mine\" value=\"[call_number]\"/></action></nop>\n".to_owned();
    for number in 1..=calls {
        write!(
            text,
            "  <nop next=\"{number}\" test=\"other\"><action><strcmp assign_to=\"other\" variable=\"mine\" value=\"{number}\"/>\
             </action></nop>\n  <nop><action><exec play_pcap_audio=\"said-{number}.pcap\"/></action></nop>\n  \
             <label id=\"{number}\"/>\n"
        )
        .expect("text");
    }
    text
}

/// A SIPp that has registered as an agent and plays the scenario.
pub fn sipp_agent(ground: &Ground, server: &Server, user: &str, sipp: Sipp) -> Program {
    let at = ground.port();
    let (place, ip, to) = (sipp.place, sipp.ip, sipp.to);
    let there = Sipp { at: Some(at), place, ip, to, ..Sipp::default() };
    assert_eq!(try_register_as(ground, server, &[user], 200, there), 0, "SIPp could not register");
    let agent = Sipp { name: user, from: user, at: Some(at), calls: 1000, ..sipp }.start(ground, server);
    if place.is_none() {
        // Between its registration and this a call would find nobody.
        wait_until("SIPp takes calls", GENEROUS, || is_bound(at));
    }
    agent
}

/// Whether somebody in this thread's network has this port of UDP.
fn is_bound(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/thread-self/net/udp").expect("the table of sockets");
    let local = format!(":{port:04X}");
    table.lines().filter_map(|line| line.split_whitespace().nth(1)).any(|address| address.ends_with(&local))
}

/// The same over TCP, or over TLS by a tunnel at `called`: SIPp takes no calls over the connection that it has registered
/// over, so it registers over UDP and says where it wants to be called, and over what.
pub fn sipp_agent_over(
    ground: &Ground,
    server: &Server,
    user: &str,
    (called, over): (u16, &str),
    sipp: Sipp,
) -> Program {
    assert_eq!(try_register_over(ground, server, (&[user], called), 200, over), 0, "SIPp could not register");
    let at = Some(sipp.at.unwrap_or(called));
    Sipp { name: user, from: user, at, calls: 1000, more: &["-t", "t1"], ..sipp }.start(ground, server)
}

/// Registers agents from one port and returns it, free again for whoever takes their calls.
pub fn register(ground: &Ground, server: &Server, users: &[&str]) -> u16 {
    let at = ground.port();
    let wanted = users.len().to_string();
    assert_eq!(try_register(ground, server, users, at, 200), 0, "SIPp could not register {wanted} agents");
    at
}

/// SIPp's exit code: 0 if every registration ended with `status`.
pub fn try_register(ground: &Ground, server: &Server, users: &[&str], at: u16, status: u16) -> i32 {
    try_register_over(ground, server, (users, at), status, "")
}

fn try_register_over(ground: &Ground, server: &Server, (users, at): (&[&str], u16), status: u16, over: &str) -> i32 {
    try_register_as(ground, server, users, status, Sipp { at: Some(at), over, ..Sipp::default() })
}

/// From the place and port of that SIPp.
fn try_register_as(ground: &Ground, server: &Server, users: &[&str], status: u16, there: Sipp) -> i32 {
    let at = there.at.unwrap_or_default();
    let mut csv = "SEQUENTIAL\n".to_owned();
    for user in users {
        let (name, said) = user.split_once(':').map_or_else(|| (*user, password(user)), |(u, p)| (u, p.to_owned()));
        writeln!(csv, "{name};[authentication username={name} password={said}]").expect("text");
    }
    let file = ground.file(&format!("users-{at}.csv"));
    std::fs::write(&file, csv).expect("a file of users");
    let (name, file) = (format!("register-{at}"), file.to_string_lossy().into_owned());
    let calls = u32::try_from(users.len()).expect("a few users");
    let more = ["-inf", &file, "-r", "50"];
    let sipp = Sipp { name: &name, scenario: "register", status, calls, more: &more, ..there };
    sipp.start(ground, server).wait(30 * SECOND)
}

/// A baresip.
pub struct Baresip {
    pub program: Program,
    control: SocketAddr,
    dir: PathBuf,
    place: Option<Place>,
}

/// A baresip in the making: who it is, what it says, and how it reaches us.
pub struct Softphone<'s> {
    /// The server's address.
    pub at: SocketAddr,
    /// The transport, as what the account's URI ends with: `;transport=tcp`.
    pub over: &'s str,
    pub user: &'s str,
    pub hz: f64,
    /// Instead, something over and over.
    pub speech: Option<&'s [i16]>,
    pub codec: Codec,
    /// As the agent of that name; else it is a caller without an account.
    pub registers: bool,
    /// By itself.
    pub answers: bool,
    /// RTP and RTCP on one port, if we can too (RFC 5761).
    pub shares: bool,
    /// Further parameters of its account, each after a semicolon.
    pub more: &'s str,
    /// The port that it is called at; a fresh one if none.
    pub listens: Option<u16>,
    /// The network it is in, and its address there.
    pub place: Option<&'s Place>,
    pub ip: Ipv4Addr,
}

impl Default for Softphone<'_> {
    fn default() -> Self {
        let at = (Ipv4Addr::LOCALHOST, 5060).into();
        let (over, user, hz, codec, more) = ("", "visitor", 1100.0, Codec::Mu, "");
        let (place, ip, speech, listens) = (None, Ipv4Addr::LOCALHOST, None, None);
        let (registers, answers, shares) = (false, false, false);
        Softphone { at, over, user, hz, speech, codec, registers, answers, shares, more, listens, place, ip }
    }
}

impl Softphone<'_> {
    pub fn start(&self, ground: &Ground) -> Baresip {
        let (user, at, over) = (self.user, self.at, self.over);
        let dir = ground.file(user);
        std::fs::create_dir_all(&dir).expect("a folder for baresip");
        let mode = if self.answers { "auto" } else { "manual" };
        let who = match self.registers {
            true => format!("auth_user={user};auth_pass={};regint=120", password(user)),
            false => "regint=0".to_owned(),
        };
        let codec = if self.codec == Codec::G722 { "G722/16000/1" } else { self.codec.name() };
        let more = self.more;
        let account = format!("<sip:{user}@{at}{over}>;{who};answermode={mode};audio_codecs={codec}{more}\n");
        self.launch(ground, dir, &account)
    }

    fn launch(&self, ground: &Ground, dir: PathBuf, account: &str) -> Baresip {
        let (name, ip, control) = (self.user, self.ip, ground.address());
        let (sip, tone) = (self.listens.unwrap_or_else(|| ground.port()), dir.join("tone.wav"));
        let low = ground.port();
        let high = (0..5).map(|_| ground.port()).last().expect("ports for audio");
        let said = self.speech.map_or(audio::tone(self.hz, 20.0), |speech| audio::repeated(speech, 60.0));
        audio::write_wav(&tone, &said, 8000);
        let mut config = format!(
            "poll_method epoll\nsip_listen {ip}:{sip}\nnet_interface {ip}\nrtp_ports {low}-{high}\n\
             audio_source aufile,{}\naudio_player aubridge,nil\naudio_alert aubridge,nil\nausrc_srate 8000\n\
             ausrc_channels 1\nauplay_srate 8000\nauplay_channels 1\nctrl_tcp_listen {control}\nsnd_path {}\n\
             call_max_calls 4\nrtcp_mux {}\nmodule_path {BARESIP_MODULES}\n",
            tone.display(),
            dir.display(),
            if self.shares { "yes" } else { "no" }
        );
        let more = [("G722", "g722"), ("srtp", "srtp")].into_iter().filter(|(needs, _)| account.contains(needs));
        let modules = ["g711", "aufile", "aubridge", "sndfile"].into_iter().chain(more.map(|(_, module)| module));
        for module in modules {
            writeln!(config, "module {module}.so").expect("text");
        }
        // Who keeps flows says which phone it is, the same after each start.
        let keeps_flows = account.contains("sipnat=outbound");
        if keeps_flows {
            std::fs::write(dir.join("uuid"), UUID).expect("baresip's name");
            config.push_str("module_tmp uuid.so\n");
        }
        for module in ["account", "menu", "ctrl_tcp"] {
            writeln!(config, "module_app {module}.so").expect("text");
        }
        std::fs::write(dir.join("config"), config).expect("baresip's configuration");
        std::fs::write(dir.join("accounts"), account).expect("baresip's account");
        std::fs::write(dir.join("contacts"), "").expect("baresip's contacts");
        let mut command = Command::new("baresip");
        let program = ground.run_at(self.place, name, command.arg("-v").arg("-f").arg(&dir));
        let phone = Baresip { program, control, dir, place: self.place.cloned() };
        wait_until("baresip can be controlled", GENEROUS, || phone.connect().is_ok());
        phone
    }
}

impl Baresip {
    /// Registers as the agent and says a tone in its calls. `answers`: by itself.
    pub fn start(ground: &Ground, server: &Server, user: &str, hz: f64, answers: bool) -> Baresip {
        Baresip::start_over(ground, (server.sip, ""), user, hz, answers)
    }

    /// The same over a transport, as in [`Softphone`].
    pub fn start_over(ground: &Ground, (at, over): (SocketAddr, &str), user: &str, hz: f64, answers: bool) -> Baresip {
        Softphone { at, over, user, hz, answers, registers: true, ..Softphone::default() }.start(ground)
    }

    /// One without an account at the server: a caller.
    pub fn caller(ground: &Ground, name: &str, hz: f64) -> Baresip {
        Softphone { user: name, hz, ..Softphone::default() }.start(ground)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        match &self.place {
            None => TcpStream::connect(self.control),
            Some(place) => place.inside(|| TcpStream::connect(self.control)),
        }
    }

    pub fn wait_registered(&self) {
        self.program.says("200 OK", GENEROUS);
    }

    /// Gives a command, such as `dial sip:100@127.0.0.1:5060`, and returns what baresip answers.
    pub fn tell(&self, command: &str) -> String {
        let (command, params) = command.split_once(' ').unwrap_or((command, ""));
        let ask = serde_json::json!({ "command": command, "params": params, "token": "t" }).to_string();
        let mut stream = self.connect().expect("baresip's control port");
        stream.set_read_timeout(Some(5 * SECOND)).expect("a time-out");
        write!(stream, "{}:{ask},", ask.len()).expect("a command sent");
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains("\"response\":true") {
            let read = stream.read(&mut buffer).unwrap_or_else(|why| panic!("no answer to `{command}`: {why}"));
            assert!(read > 0, "baresip hung up on `{command}`");
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What it recorded from its calls, the newest last.
    pub fn heard(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.dir).expect("baresip's folder").flatten().map(|entry| entry.path());
        let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).collect();
        files.sort();
        files
    }
}

/// Our own phone, `tierline phone`.
pub fn phone(ground: &Ground, server: &Server, name: &str, args: &[&str]) -> Program {
    let mut command = Command::new(TIERLINE);
    command.arg("phone").arg("--server").arg(server.sip.to_string()).args(args);
    ground.run(name, &mut command)
}

/// Our own phone as an agent: registered when this returns. `hz` is the tone that it says.
pub fn phone_agent(ground: &Ground, server: &Server, user: &str, hz: f64, more: &[&str]) -> Program {
    let wav = ground.file(&format!("{user}.wav"));
    audio::write_wav(&wav, &audio::tone(hz, 1.0), 8000);
    let (wav, secret) = (wav.to_string_lossy().into_owned(), password(user));
    let args = [&["--user", user, "--password", &secret, "--play", &wav], more].concat();
    let program = phone(ground, server, user, &args);
    program.says("\"Registered\"", 15 * SECOND);
    program
}

/// Waits until our phone has told this event and returns the line.
pub fn event(program: &Program, name: &str, limit: Duration) -> Value {
    let line = program.says(&format!("\"event\":\"{name}\""), limit);
    serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line}"))
}
