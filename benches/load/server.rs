//! The engine under test: `tierline serve` of the same build as a process of its own, with what the default
//! configuration has (desktops, records and all) but a queue without time for notes and as many agents as a row needs, on
//! free ports, with its log on the disk that holds the build.

use super::os;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Every agent's password.
pub const PASSWORD: &str = "bench-password";
/// The line that callers dial; it leads to the queue at once.
pub const LINE: &str = "100";
/// How long a start may take.
const START: u64 = 20_000_000_000;

/// A running engine; ends with its data when dropped.
pub struct Server {
    child: Child,
    directory: PathBuf,
    pub sip: SocketAddrV4,
}

impl Server {
    /// Starts an engine with so many agents and waits until it is ready.
    /// `waiting`: how many callers will wait at once; beyond some thousands the limits are lifted for them.
    pub fn start(name: &str, agents: usize, waiting: usize) -> Server {
        Server::led(name, agents, waiting, FLOW)
    }

    /// The same for callers who are told their places again and again.
    pub fn treating(name: &str, agents: usize, waiting: usize) -> Server {
        let treated = FLOW.replace("queue = \"general\"\n", "queue = \"general\"\ntreatment = \"place\"\n");
        Server::led(name, agents, waiting, &(treated + TREATMENT))
    }

    fn led(name: &str, agents: usize, waiting: usize, flow: &str) -> Server {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{name}-{}", std::process::id()));
        _ = fs::remove_dir_all(&directory);
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let sip = os::address(&udp);
        let http = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let desktops = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let text = configuration((agents, waiting), sip, &http.to_string(), &desktops.to_string());
        write_files(&directory, &text, agents, flow).expect("room on the disk");
        drop(udp);
        let said = fs::File::create(directory.join("said")).expect("room on the disk");
        let child = Command::new(env!("CARGO_BIN_EXE_tierline"))
            .args(["serve", "--config", "tierline.toml", "--data", "data"])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file can be shared"))
            .stderr(said)
            .spawn()
            .expect("the program that was built can be started");
        let server = Server { child, directory, sip };
        server.until_ready(&http.to_string());
        server
    }

    fn until_ready(&self, http: &str) {
        let limit = os::now() + START;
        while !is_ready(http) {
            assert!(os::now() < limit, "tierline serve is not ready; it said:\n{}", self.said());
            os::sleep_until(os::now() + 50_000_000);
        }
    }

    /// Stops it for a while, or lets it go on.
    pub fn stands_still(&self, still: bool) {
        os::signal(self.child.id(), if still { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// What it has printed.
    pub fn said(&self) -> String {
        fs::read_to_string(self.directory.join("said")).unwrap_or_default()
    }

    pub fn cpu(&self) -> Duration {
        os::cpu(self.child.id())
    }

    pub fn cpu_by_thread(&self) -> Vec<(String, Duration)> {
        os::cpu_by_thread(self.child.id())
    }

    /// Resident memory in kilobytes.
    pub fn memory(&self) -> u64 {
        os::status(self.child.id(), "status", "VmRSS")
    }

    pub fn threads(&self) -> u64 {
        os::status(self.child.id(), "status", "Threads")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.directory);
    }
}

fn is_ready(http: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// What an agent's phone registers as.
pub fn user(agent: usize) -> String {
    format!("agent{agent}")
}

fn configuration((agents, waiting): (usize, usize), sip: SocketAddrV4, http: &str, desktops: &str) -> String {
    let waiting = waiting.max(1_000) * 2;
    let first_port = if waiting > 4_000 { 4_000 } else { 20_000 };
    let mut text = format!(
        "version = 1\n[center]\nname = \"Bench\"\n[line.support]\nnumbers = [\"{LINE}\"]\nflow = \"support\"\n\
         [queue.general]\nwrap_up = \"0s\"\nmax_waiting = {waiting}\n\
         [limits]\ncalls = {waiting}\nstrangers = 100000\nstrangers_per_address = 100000\n\
         [server]\nflows = \"flows\"\npassword_file = \"passwords\"\n\
         [server.sip]\nbind = \"{sip}\"\n[server.http]\nbind = \"{http}\"\n[server.cti]\nbind = \"{desktops}\"\n[server.media]\nports = [{first_port}, 32767]\n"
    );
    for agent in 0..agents {
        let user = user(agent);
        let number = agent + 1001; // beyond the line's number
        write!(text, "[agent.{number}]\nuser = \"{user}\"\nqueues = [\"general\"]\n").expect("a string takes all");
    }
    text
}

/// Straight into the queue: no prompt, no key. The other steps are the demo's, so that their recordings serve.
const FLOW: &str = r#"
version = 1
start = "general"
language = "en"
[step.general]
queue = "general"
full = "busy"
timeout = "later"
refused = "later"
[step.busy]
hang_up = "All our lines are busy. Please call again in a few minutes. Goodbye."
[step.later]
hang_up = "I am sorry that nobody could take your call. Please call again later. Goodbye."
"#;

/// What they are led through meanwhile, about as often as by the demo's desk.
const TREATMENT: &str = r#"
[step.place]
play = { say = "queue.position", as = "number" }
next = "music"
[step.music]
music = true
for = "10s"
next = "place"
"#;

fn write_files(directory: &Path, configuration: &str, agents: usize, flow: &str) -> std::io::Result<()> {
    fs::create_dir_all(directory.join("flows"))?;
    fs::write(directory.join("tierline.toml"), configuration)?;
    fs::write(directory.join("flows/support.toml"), flow)?;
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/ivr-flows/sounds"), directory.join("flows/sounds"))?;
    let passwords: String = (0..agents).map(|agent| format!("{}:{PASSWORD}\n", user(agent))).collect();
    let file = directory.join("passwords");
    fs::write(&file, passwords)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}
