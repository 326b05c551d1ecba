//! A small center in a network and on a disk of its own, and programs that run there. Needs root.

#![allow(dead_code, reason = "each test uses what it needs")]

pub mod alone;
pub mod clock;
pub mod disk;

use clock::Clock;
use disk::Disk;
use serde_json::Value;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");

/// A program that ends with the test.
pub struct Running {
    pub child: Child,
    pub out: PathBuf,
    pub err: PathBuf,
}

impl Running {
    pub fn says(&self, part: &str) -> bool {
        [&self.out, &self.err].iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(part)))
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        // SAFETY: a signal to a child of ours that nobody has waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        assert!(self.child.wait().expect("it ends").success(), "{}", fs::read_to_string(&self.err).unwrap_or_default());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A center whose line leads straight into a queue, on a small disk, in a network of its own.
pub struct Place {
    pub dir: PathBuf,
    pub data: PathBuf,
    started: u32,
    /// Of all that runs here.
    pub clock: Option<Clock>,
    /// Who runs it here, if not root.
    pub user: Option<u32>,
    /// Of the data.
    disk: Option<Disk>,
}

impl Place {
    pub fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("tierline-keeping-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        let data = dir.join("data");
        for folder in [&data, &dir.join("flows")] {
            fs::create_dir_all(folder).expect("a folder for the test");
        }
        let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows/sounds");
        std::os::unix::fs::symlink(sounds, dir.join("flows/sounds")).expect("the sounds");
        let flow = "version = 1\nstart = \"wait\"\n[step.wait]\nqueue = \"general\"\notherwise = \"later\"\n\
                    [step.later]\nhang_up = \"You are ready.\"\n";
        fs::write(dir.join("flows/direct.toml"), flow).expect("a flow");
        let center = "version = 1\n[center]\nname = \"Small\"\n[line.direct]\nnumbers = [\"100\"]\nflow = \"direct\"\n\
                      [queue.general]\n[agent.1001]\nuser = \"ada\"\nqueues = [\"general\"]\n[server]\nflows = \"flows\"\n";
        fs::write(dir.join("center.toml"), center).expect("a configuration");
        alone::network_and_mounts();
        let disk = Disk::mounted(&data, c"size=6m");
        Place { dir, data, started: 0, clock: None, user: None, disk: Some(disk) }
    }

    /// A small disk more, for as long as what is returned lives.
    pub fn disk(&self, at: &Path, size: &CStr) -> Disk {
        Disk::mounted(at, size)
    }

    fn prepare(&self, command: &mut Command) {
        self.clock.iter().for_each(|clock| clock.of(command));
        self.user.iter().for_each(|user| _ = command.uid(*user).gid(*user));
    }

    pub fn start(&mut self, args: &[&str]) -> Running {
        self.started += 1;
        let file = |end: &str| self.dir.join(format!("{}.{end}", self.started));
        let (out, err) = (file("out"), file("err"));
        let outlet = |path: &Path| File::create(path).expect("a file for what it says");
        let mut command = Command::new(TIERLINE);
        command.args(args).current_dir(&self.dir).stdin(Stdio::piped()).stdout(outlet(&out)).stderr(outlet(&err));
        self.prepare(&mut command);
        Running { child: command.spawn().expect("tierline starts"), out, err }
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(TIERLINE);
        self.prepare(&mut command);
        command.args(args).current_dir(&self.dir).output().expect("tierline runs")
    }

    pub fn serve(&mut self) -> Running {
        let mut server = self.start(&["serve", "--config", "center.toml"]);
        wait_until("the server is ready", || {
            let ended = server.child.try_wait().expect("a child").is_some();
            assert!(!ended, "it does not start: {}", fs::read_to_string(&server.err).unwrap_or_default());
            self.run(&["healthy", "--ready"]).status.success()
        });
        server
    }

    pub fn metrics(&self) -> String {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:8080").expect("the server serves numbers");
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
        std::io::read_to_string(stream).expect("an answer")
    }

    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    pub fn calls(&self) -> Vec<Value> {
        let output = self.run(&["calls", "--json", "--last", "1000"]);
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.disk = None;
        _ = fs::remove_dir_all(&self.dir);
    }
}
