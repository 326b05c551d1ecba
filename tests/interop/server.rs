//! The program under test: `tierline serve` with a configuration of its own, and its other commands.

use super::clock::Clock;
use super::harness::{GENEROUS, Ground, Program, SECOND, wait_for, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");
/// The line with the demo's flow, and one that leads straight into the queue.
pub const SUPPORT: &str = "100";
pub const DIRECT: &str = "200";

/// What a test wants to be different.
#[derive(Clone)]
pub struct Wishes {
    pub agents: Vec<String>,
    pub silence: &'static str,
    pub ring_timeout: &'static str,
    pub wrap_up: &'static str,
    /// Further lines of each queue.
    pub queue: &'static str,
    pub drain: &'static str,
    /// Where it serves SIP and audio.
    pub ip: Ipv4Addr,
    /// It listens at any address of IPv6, and tells others its own of IPv4.
    pub six: bool,
    /// Further lines of `[server.sip]` and tables below it.
    pub sip: String,
    /// Further tables at the end of the configuration.
    pub more: String,
    /// What each agent serves and can, instead of both queues.
    pub agent_lines: Vec<&'static str>,
    /// Further lines of the last agent's table.
    pub last_agent: String,
    /// Further flows: name and text.
    pub flows: Vec<(&'static str, String)>,
    /// Further lines of `[server.http]`.
    pub http: &'static str,
    /// Further lines of `[server.media]`.
    pub media: String,
    /// A clock of its own.
    pub clock: bool,
    /// Every input goes to the file `recording`.
    pub record: bool,
}

impl Wishes {
    pub fn agents(users: &[&str]) -> Wishes {
        let agents = users.iter().map(|user| (*user).to_owned()).collect();
        Wishes {
            agents,
            silence: "30s",
            ring_timeout: "20s",
            wrap_up: "0s",
            queue: "",
            drain: "1m",
            ip: Ipv4Addr::LOCALHOST,
            six: false,
            sip: String::new(),
            more: String::new(),
            agent_lines: Vec::new(),
            last_agent: String::new(),
            flows: Vec::new(),
            http: "",
            media: String::new(),
            clock: false,
            record: false,
        }
    }
}

pub fn password(user: &str) -> String {
    format!("{user}-knows-it")
}

/// A serving Tierline.
pub struct Server<'g> {
    ground: &'g Ground,
    pub program: Program,
    pub sip: SocketAddr,
    pub http: SocketAddr,
    pub config: PathBuf,
    pub data: PathBuf,
    /// If it was wished for.
    pub clock: Option<Clock>,
    starts: u32,
}

impl<'g> Server<'g> {
    pub fn start(ground: &'g Ground, wishes: &Wishes) -> Server<'g> {
        let sip = SocketAddr::new(wishes.ip.into(), ground.port());
        let http = ground.address();
        let config = write_center(ground, wishes, sip, http);
        let clock = wishes.clock.then(|| Clock::new(&ground.file("")));
        let record = wishes.record.then(|| ground.file("recording"));
        Server::serving(ground, (config, sip, http), clock, record)
    }

    /// With a configuration that says `sip` and `http`; and a recording of all that comes, into a file.
    pub fn serving(
        ground: &'g Ground,
        (config, sip, http): (PathBuf, SocketAddr, SocketAddr),
        clock: Option<Clock>,
        record: Option<PathBuf>,
    ) -> Server<'g> {
        let data = ground.file("data");
        let mut command = serve(&config, &data);
        clock.iter().for_each(|clock| clock.of(&mut command));
        record.iter().for_each(|file| _ = command.arg("--record").arg(file));
        let program = ground.run("serve-1", &mut command);
        let mut server = Server { ground, program, sip, http, config, data, clock, starts: 1 };
        server.wait_ready();
        server
    }

    fn wait_ready(&mut self) {
        let (http, program) = (self.http, &mut self.program);
        wait_until("the server is ready", GENEROUS, || {
            assert!(program.is_running(), "the server did not start: {}", program.errors());
            get(http, "/readyz").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Starts again on the same data after an end of whatever kind.
    pub fn start_again(&mut self) {
        self.starts += 1;
        let mut command = serve(&self.config, &self.data);
        self.clock.iter().for_each(|clock| clock.of(&mut command));
        self.program = self.ground.run(&format!("serve-{}", self.starts), &mut command);
        self.wait_ready();
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        wait_for(&format!("an answer to GET {path}"), 5 * SECOND, || get(self.http, path))
    }

    /// Every sample of `/metrics`: name with labels → value.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("not a number: {line}")))
        };
        samples.map(sample).collect()
    }

    /// The calls' list, newest first, as `tierline calls --json` prints it.
    pub fn calls(&self) -> Vec<Value> {
        json_lines(&self.tierline(&["calls", "--json", "--last", "1000"]))
    }

    /// What `tierline ARGS --data …` prints.
    pub fn tierline(&self, args: &[&str]) -> String {
        let output = Command::new(TIERLINE).args(args).arg("--data").arg(&self.data).output().expect("tierline runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tierline {args:?} failed: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The newest call as `tierline calls ID` draws it.
    pub fn drawing(&self) -> String {
        let calls = self.calls();
        self.tierline(&["calls", calls[0]["call"].as_str().expect("a call has an id")])
    }

    /// First and last port of its audio.
    pub fn audio_ports(&self) -> (u16, u16) {
        self.ground.audio_ports()
    }

    /// Waits until the log says that a number of calls is over, and that none is left in the engine.
    pub fn wait_ended(&self, calls: usize, limit: Duration) -> Vec<Value> {
        wait_for(&format!("the end of {calls} calls"), limit, || {
            let list = self.calls();
            let ended = list.iter().filter(|call| is_over(call)).count();
            (list.len() == ended && ended >= calls).then_some(list)
        })
    }
}

pub fn is_over(call: &Value) -> bool {
    call["ended"].is_string() || call["ended"].is_number()
}

pub fn serve(config: &Path, data: &Path) -> Command {
    let mut command = Command::new(TIERLINE);
    command.arg("serve").arg("--config").arg(config).arg("--data").arg(data);
    // A build with planted bugs looks there (`planted.rs`), others do not.
    command.env("TIERLINE_PLANTED", data.with_file_name("planted"));
    command
}

/// Writes configuration, flows and passwords; returns the configuration's path.
fn write_center(ground: &Ground, wishes: &Wishes, sip: SocketAddr, http: SocketAddr) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows");
    let flows = ground.file("flows");
    std::fs::create_dir_all(&flows).expect("a folder for flows");
    _ = std::fs::remove_file(flows.join("sounds"));
    std::os::unix::fs::symlink(shipped.join("sounds"), flows.join("sounds")).expect("a link to the sounds");
    std::fs::copy(shipped.join("support.toml"), flows.join("support.toml")).expect("the demo's flow");
    let direct = "version = 1\nstart = \"wait\"\n[step.wait]\nqueue = \"general\"\notherwise = \"later\"\n\
                  [step.later]\nhang_up = \"You are ready.\"\n";
    std::fs::write(flows.join("direct.toml"), direct).expect("a flow");
    for (name, text) in &wishes.flows {
        std::fs::write(flows.join(format!("{name}.toml")), text).expect("a flow");
    }
    let (first, last) = ground.audio_ports();
    let bind = match wishes.six {
        true => format!("[::]:{}\"\nadvertised = \"{sip}", sip.port()),
        false => sip.to_string(),
    };
    let mut text = format!(
        "version = 1\n[center]\nname = \"Test\"\n[line.support]\nnumbers = [\"{SUPPORT}\"]\nflow = \"support\"\n\
         [line.direct]\nnumbers = [\"{DIRECT}\"]\nflow = \"direct\"\n[limits]\nsilence = \"{}\"\ndrain = \"{}\"\n\
         calls = 80\n[server]\nflows = \"flows\"\npassword_file = \"passwords\"\n[server.sip]\nbind = \"{bind}\"\n\
         {}\n[server.http]\nbind = \"{http}\"\n{}[server.media]\nports = [{first}, {last}]\n{}\n",
        wishes.silence, wishes.drain, wishes.sip, wishes.http, wishes.media
    );
    for queue in ["general", "technical"] {
        let (ring, wrap, more) = (wishes.ring_timeout, wishes.wrap_up, wishes.queue);
        writeln!(text, "[queue.{queue}]\nring_timeout = \"{ring}\"\nwrap_up = \"{wrap}\"\n{more}").expect("text");
    }
    text.push_str(&wishes.more);
    let mut passwords = String::new();
    for (place, user) in wishes.agents.iter().enumerate() {
        let lines = wishes.agent_lines.get(place).unwrap_or(&"queues = [\"general\", \"technical\"]");
        writeln!(text, "[agent.{}]\nuser = \"{user}\"\n{lines}", 1001 + place).expect("text");
        writeln!(passwords, "{user}:{}", password(user)).expect("text");
    }
    text.push_str(&wishes.last_agent);
    let file = ground.file("passwords");
    std::fs::write(&file, passwords).expect("a file of passwords");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("a file for its owner only");
    let config = ground.file("tierline.toml");
    std::fs::write(&config, text).expect("a configuration");
    config
}

/// Status and body of a page; none if nobody answers.
pub fn get(http: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&http, SECOND).ok()?;
    stream.set_read_timeout(Some(5 * SECOND)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn json_lines(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    text.lines().map(line).collect()
}
