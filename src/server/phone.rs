//! Sockets and files for the built-in phone: `tierline phone`.
//!
//! It registers and answers, or dials; presses keys; plays a WAV; records what it hears; prints one JSON line for
//! everything that happens. Keys typed on the terminal are pressed. Ctrl-C hangs up properly.

mod address;
mod failed;
mod files;
mod first_answer;
mod sockets;

use super::chance;
use crate::server::printing::say;
pub use address::ServerName;
use address::local_address;
use files::{Recording, create_recording, load_sound};
use first_answer::FirstAnswer;
use sockets::{Audio, audio_sockets, readable};

use super::clock::Clock;
use super::printing;
use super::wrong::Wrong;
use crate::ids::{PortId, Rng};
use crate::media::{self, Codec, Plane, Sounds, Source};
use crate::phone::{self, Ask, Event, Phone};
use crate::sip::header::NameAddr;
use crate::sip::uri::{Host, Uri};
use crate::sip::{self, Account, Flow, Listener};

use anyhow::{Context, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};

/// What the phone is to do.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where Tierline (or any other SIP server) listens.
    pub server: Option<ServerName>,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Why there is no password, where one was looked for.
    pub lacks: Option<String>,
    /// What the called party is shown; the user if none.
    pub caller: Option<String>,
    /// Number or SIP URI to call; without it the phone waits for calls.
    pub dial: Option<String>,
    /// Answer incoming calls after this long; without it they ring until `a` is typed.
    pub answer_after: Option<Duration>,
    /// Keys to press after the call is connected; `,` is a pause of half a second.
    pub press: Option<String>,
    /// A WAV that the other side hears, over and over.
    pub play: Option<PathBuf>,
    /// A WAV to write what is heard to.
    pub record: Option<PathBuf>,
    /// Hang up after talking so long.
    pub hang_up_after: Option<Duration>,
    /// End after this many calls.
    pub calls: Option<u32>,
    /// Silence that the phone reports.
    pub silence: Option<Duration>,
}

const REGISTRATION: u32 = 300;
/// How long a BYE or an un-REGISTER may take when the phone ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs the phone until its calls are over or Ctrl-C. Returns whether it did what it was started for.
pub fn run(settings: Settings) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async { Desk::new(settings).await?.work().await });
    runtime.shutdown_background(); // the thread that reads the terminal cannot be interrupted
    outcome
}

/// The phone on its desk: the pure phone, its plane, sockets, files and owner.
struct Desk {
    settings: Settings,
    clock: Clock,
    phone: Phone,
    plane: Plane,
    sip: UdpSocket,
    audio: BTreeMap<PortId, Audio>,
    recording: Option<Recording>,
    server: SocketAddr,
    first_answer: FirstAnswer,
    deeds: Deeds,
}

/// What the owner will do, and has done.
#[derive(Default)]
struct Deeds {
    answer_at: Option<crate::time::Instant>,
    hang_up_at: Option<crate::time::Instant>,
    leave_at: Option<crate::time::Instant>,
    leaving: bool,
    talked: u32,
    ended: u32,
    failed: bool,
    /// The last attempt to register was in vain.
    unregistered: bool,
    /// Samples heard since the recording was last made safe.
    unsaved: u32,
}

impl Desk {
    async fn new(settings: Settings) -> Result<Desk> {
        let server = settings.server.as_ref().context("no server address")?.look_up().await?;
        let local: IpAddr = local_address(server)?;
        let sip = UdpSocket::bind((local, 0)).await.context("cannot open a SIP socket")?;
        let user = settings.user.clone().unwrap_or_else(|| "guest".to_owned());
        let mut sip_config = sip::Config::new(vec![Listener::udp(sip.local_addr()?)], "Tierline phone");
        sip_config.keepalive = None;
        let mut identity = NameAddr::new(Uri::sip(&user, Host::from(server.ip()), None));
        identity.display.clone_from(&settings.caller);
        let account = settings.password.as_deref().map(|password| Account::new(&user, password));
        let phone_settings = phone::Settings {
            sip: sip_config,
            identity,
            account,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            manner: phone::Manner { shares_port: true, ..phone::Manner::default() },
            plane: 0,
            media_address: local,
        };
        let rng = Rng::new(chance::bytes()?);
        let mut sounds = Sounds::default();
        // A phone that says nothing sends silence: one that sends nothing at all would be taken for dead.
        let source = match &settings.play {
            Some(path) => load_sound(&mut sounds, path)?,
            None => Source::Loop(sounds.add_samples("silence", &[0; 160])),
        };
        let plane_settings =
            media::Settings { silence_after: settings.silence.unwrap_or(Duration::ZERO), ..media::Settings::default() };
        let plane = Plane::new(plane_settings, Arc::new(sounds), rng.fork("media"));
        let recording = settings.record.as_ref().map(create_recording).transpose()?;
        let phone = Phone::new(phone_settings, 0, rng.fork("phone"));
        let (clock, audio, deeds) = (Clock::start(), BTreeMap::new(), Deeds::default());
        let first_answer = FirstAnswer::awaited(local, server, clock.now()).await;
        let mut desk = Desk { settings, clock, phone, plane, sip, audio, recording, server, first_answer, deeds };
        desk.begin(source)?;
        Ok(desk)
    }

    fn begin(&mut self, source: Source) -> Result<()> {
        self.ask(Ask::Listen { on: self.recording.is_some() });
        self.ask(Ask::Say { source });
        let registrar = Uri::sip("", Host::from(self.server.ip()), Some(self.server.port()));
        match (&self.settings.dial, &self.settings.password) {
            (Some(to), _) => {
                let to = self.address(to)?;
                let flow = Some(Flow::udp(0, self.server));
                self.ask(Ask::Dial { to, flow });
            }
            (None, Some(_)) => self.ask(Ask::Register { registrar, expires: REGISTRATION }),
            (None, None) => match &self.settings.user {
                Some(user) => {
                    let why = self.settings.lacks.clone().unwrap_or_else(|| format!("there is no password for {user}"));
                    return Err(Wrong(format!("{why}: give --password, or --data of a server here")).into());
                }
                None => {
                    return Err(Wrong("a phone that waits for calls must register: give --user".to_owned()).into());
                }
            },
        }
        Ok(())
    }

    /// A number at the server, or a whole SIP URI.
    fn address(&self, text: &str) -> Result<Uri> {
        if text.contains(':') {
            return Uri::parse(text).map_err(|why| anyhow::anyhow!("`{text}` cannot be called: {why}"));
        }
        Ok(Uri::sip(text, Host::from(self.server.ip()), Some(self.server.port())))
    }

    async fn work(mut self) -> Result<bool> {
        let mut keyboard = BufReader::new(tokio::io::stdin()).lines();
        let mut keyboard_open = true;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut datagram = vec![0; 65_535];
        loop {
            self.settle().await?;
            if printing::nobody_reads() {
                self.leave();
            }
            if self.is_done() {
                return self.finish();
            }
            let sleep = tokio::time::sleep_until(self.clock.std(self.deadline()).into());
            tokio::select! {
                got = self.sip.recv_from(&mut datagram) => {
                    if let Ok((length, remote)) = got {
                        self.first_answer.came();
                        let (flow, bytes) = (Flow::udp(0, remote), datagram[..length].to_vec());
                        self.tell_phone(phone::Input::Sip(sip::Input::Received { flow, bytes }));
                    }
                }
                () = readable(&self.audio) => self.read_audio(&mut datagram),
                () = sleep => self.time_passed(),
                () = self.first_answer.refused() => self.nobody_listens(),
                line = next_line(&mut keyboard, keyboard_open) => match line {
                    Some(line) => self.typed(line.trim()),
                    None => keyboard_open = false,
                },
                _ = interrupt.recv() => self.leave(),
                _ = terminate.recv() => self.leave(),
            }
        }
    }

    fn deadline(&self) -> crate::time::Instant {
        let deeds = [self.deeds.answer_at, self.deeds.hang_up_at, self.deeds.leave_at];
        let machines = [self.phone.deadline(), self.plane.deadline(), self.first_answer.deadline()];
        let far = self.clock.now() + Duration::from_secs(3600);
        deeds.into_iter().chain(machines).flatten().min().unwrap_or(far)
    }

    fn time_passed(&mut self) {
        let now = self.clock.now();
        let due = |at: &mut Option<crate::time::Instant>| at.is_some_and(|at| at <= now).then(|| at.take()).is_some();
        if let Some(told) = self.first_answer.overdue(now) {
            eprintln!("{told}");
        }
        if due(&mut self.deeds.answer_at) {
            self.ask(Ask::Answer);
        }
        if due(&mut self.deeds.hang_up_at) {
            self.hang_up();
        }
        if self.phone.deadline().is_some_and(|at| at <= now) {
            self.tell_phone(phone::Input::Timeout);
        }
        if self.plane.deadline().is_some_and(|at| at <= now) {
            self.plane.handle(now, media::Input::Timeout);
        }
    }

    /// A call is given up; who waits for calls goes on asking, for the server may come.
    fn nobody_listens(&mut self) {
        let why = self.first_answer.refusal();
        eprintln!("{why}");
        if self.settings.dial.is_some() {
            say!("{}", json!({ "at": self.clock.now().0 / 1_000_000, "event": "Failed", "why": why }));
            (self.deeds.failed, self.deeds.leaving) = (true, true);
            self.deeds.leave_at = Some(self.clock.now()); // nobody is there to say farewell to
        } else {
            eprintln!("it is asked again until it is there");
        }
    }

    fn ask(&mut self, ask: Ask) {
        self.tell_phone(phone::Input::Ask(ask));
    }

    fn tell_phone(&mut self, input: phone::Input) {
        self.phone.handle(self.clock.now(), input);
    }

    /// Carries out everything that the phone and its plane want.
    async fn settle(&mut self) -> Result<()> {
        loop {
            if let Some(output) = self.phone.poll() {
                match output {
                    phone::Output::Sip { flow, bytes } => _ = self.sip.send_to(&bytes, flow.remote).await,
                    phone::Output::Media(command) => {
                        self.plane.handle(self.clock.now(), media::Input::Command(command));
                    }
                    phone::Output::Resolve { query, uri } => self.resolve(query, &uri).await,
                    phone::Output::Event(event) => self.noticed(event),
                }
            } else if !self.serve_plane().await? {
                return Ok(());
            }
        }
    }

    async fn resolve(&mut self, query: u64, uri: &Uri) {
        let found = tokio::net::lookup_host((uri.host.to_string(), uri.port.unwrap_or(5060))).await;
        let place = |remote| sip::Place { transport: sip::Transport::Udp, remote, connection: 0 };
        let flows = found.map(|found| found.map(place).collect()).unwrap_or_default();
        self.tell_phone(phone::Input::Sip(sip::Input::Resolved { query, flows }));
    }

    /// Carries out the plane's next wish; false if it has none.
    async fn serve_plane(&mut self) -> Result<bool> {
        let Some(output) = self.plane.poll() else { return Ok(false) };
        match output {
            media::Output::Packet { port, to, bytes } => {
                self.audio.get(&port).into_iter().for_each(|audio| audio.send(bytes, to));
            }
            media::Output::Control { port, to, bytes } => {
                self.audio.get(&port).into_iter().for_each(|audio| audio.send_control(bytes, to));
            }
            media::Output::Event(event) => self.tell_phone(phone::Input::Media(event)),
            media::Output::Heard { frame, .. } => {
                let Some(recording) = &mut self.recording else { return Ok(true) };
                frame.iter().try_for_each(|sample| recording.write_sample(*sample))?;
                self.deeds.unsaved += 160;
                if self.deeds.unsaved >= 8000 {
                    self.deeds.unsaved = 0;
                    recording.flush()?; // a killed phone leaves a WAV that can be played
                }
            }
            media::Output::Bind { port, .. } => self.bind_audio(port).await,
            media::Output::Share { port, on } => {
                if let Some(audio) = self.audio.get_mut(&port) {
                    audio.share(on).await;
                }
            }
            media::Output::Unbind { port, .. } | media::Output::Depart { port, .. } => _ = self.audio.remove(&port),
        }
        Ok(true)
    }

    async fn bind_audio(&mut self, port: PortId) {
        let input = match audio_sockets(self.sip.local_addr().map(|address| address.ip())).await {
            Ok((audio, local)) => {
                self.audio.insert(port, audio);
                media::Input::Bound { port, local, previous: None }
            }
            Err(why) => media::Input::BindFailed { port, why: why.to_string() },
        };
        self.plane.handle(self.clock.now(), input);
    }

    fn read_audio(&mut self, datagram: &mut [u8]) {
        let now = self.clock.now();
        for (port, Audio { rtp, rtcp }) in &self.audio {
            while let Ok((length, from)) = rtp.try_recv_from(datagram) {
                self.plane.handle(now, media::Input::Packet { port: *port, from, bytes: &datagram[..length] });
            }
            while let Some(Ok((length, from))) = rtcp.as_ref().map(|rtcp| rtcp.try_recv_from(datagram)) {
                self.plane.handle(now, media::Input::Control { port: *port, from, bytes: &datagram[..length] });
            }
        }
    }

    fn noticed(&mut self, event: Event) {
        print_line(&self.clock, &event);
        let now = self.clock.now();
        match event {
            Event::Incoming { .. } => self.deeds.answer_at = self.settings.answer_after.map(|after| now + after),
            Event::Connected => {
                self.deeds.talked += 1;
                self.deeds.hang_up_at = self.settings.hang_up_after.map(|after| now + after);
                if let Some(digits) = self.settings.press.clone() {
                    self.ask(Ask::Press { digits });
                }
            }
            Event::Failed { status } => {
                eprintln!("{}", failed::told(status, &self.settings));
                self.call_over(true);
            }
            Event::Ended { answered, .. } => self.call_over(!answered && self.settings.dial.is_some()),
            Event::RegistrationFailed { status } => {
                self.deeds.unregistered = true;
                if matches!(status, 401..=404) {
                    eprintln!("the server does not know this user with this password: --password, --data or --config?");
                    self.deeds.leaving = true;
                }
            }
            Event::Registered { .. } => self.deeds.unregistered = false,
            Event::Progress { .. } | Event::Digit { .. } | Event::Silent => {}
        }
    }

    fn call_over(&mut self, failed: bool) {
        (self.deeds.answer_at, self.deeds.hang_up_at) = (None, None);
        self.deeds.failed |= failed;
        self.deeds.ended += 1;
        if self.settings.dial.is_some() || self.settings.calls.is_some_and(|calls| self.deeds.ended >= calls) {
            self.leave();
        }
    }

    fn hang_up(&mut self) {
        if self.phone.is_busy() {
            self.ask(Ask::HangUp);
            say!("{}", json!({ "at": self.clock.now().0 / 1_000_000, "event": "HungUp" }));
            self.call_over(false);
        }
    }

    /// Hangs up, takes the registration back, and ends when that is done.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.deeds.leaving, true) {
            return;
        }
        self.deeds.leave_at = Some(self.clock.now() + FAREWELL);
        self.hang_up();
        if self.settings.dial.is_none() {
            self.ask(Ask::Unregister);
        }
    }

    fn is_done(&self) -> bool {
        let late = self.deeds.leave_at.is_some_and(|at| at <= self.clock.now());
        self.deeds.leaving && (late || self.phone.pending().is_none())
    }

    fn finish(mut self) -> Result<bool> {
        if let Some(recording) = self.recording.take() {
            recording.finalize()?;
        }
        Ok(!self.deeds.failed && !self.deeds.unregistered)
    }

    /// A line from the terminal: `a` answers, `d` declines, `h` hangs up, `q` ends; everything else is keys.
    fn typed(&mut self, line: &str) {
        match line {
            "" => {}
            "a" | "d" if !self.phone.is_ringing() => eprintln!("nothing rings"),
            "a" => self.ask(Ask::Answer),
            "d" => {
                self.ask(Ask::Decline { status: 486 });
                self.call_over(false);
            }
            "h" => self.hang_up(),
            "q" => self.leave(),
            keys if !keys
                .bytes()
                .all(|key| matches!(key.to_ascii_uppercase(), b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D' | b',')) =>
            {
                eprintln!(
                    "`{line}` is not understood; allowed: a answers, d declines, h hangs up, q ends, and keys are pressed"
                );
            }
            _ if !self.phone.is_busy() => eprintln!("there is no call to press keys in"),
            keys => self.ask(Ask::Press { digits: keys.to_owned() }),
        }
    }
}

/// One JSON line; times in milliseconds since the phone was started.
fn print_line(clock: &Clock, event: &Event) {
    let mut line = json!({ "at": clock.now().0 / 1_000_000 });
    match serde_json::to_value(event) {
        Ok(serde_json::Value::String(name)) => line["event"] = name.into(),
        Ok(serde_json::Value::Object(fields)) => {
            for (name, value) in fields {
                line["event"] = name.into();
                value.as_object().into_iter().flatten().for_each(|(key, value)| line[key] = value.clone());
            }
        }
        _ => {}
    }
    say!("{line}");
}

async fn next_line(keyboard: &mut Lines<BufReader<Stdin>>, open: bool) -> Option<String> {
    match open {
        true => keyboard.next_line().await.ok().flatten(),
        false => std::future::pending().await,
    }
}
