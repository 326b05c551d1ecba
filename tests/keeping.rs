//! A full disk and a log that somebody holds locked, provoked for real under calls: those that run go on, new ones are
//! refused, whoever runs it is told, and nothing is lost. Needs root, for networks and file systems of its own.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

use rusqlite::Connection;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");

/// A program that ends with the test.
struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    fn says(&self, part: &str) -> bool {
        [&self.out, &self.err].iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(part)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A center whose line leads straight into a queue, on a small disk, in a network of its own.
struct Place {
    dir: PathBuf,
    data: PathBuf,
    started: u32,
}

impl Place {
    fn new(name: &str) -> Place {
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
        let to = std::ffi::CString::new(data.to_str().expect("text")).expect("a path");
        // SAFETY: system calls; they concern this thread and what it starts, and read texts that live through them.
        let alone = unsafe {
            libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS)
                + libc::mount(
                    c"none".as_ptr(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                )
                + libc::mount(c"tmpfs".as_ptr(), to.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=6m".as_ptr().cast())
        };
        assert_eq!(alone, 0, "a network and a disk of one's own need root: {}", std::io::Error::last_os_error());
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("`ip`: make tools").success());
        Place { dir, data, started: 0 }
    }

    fn start(&mut self, args: &[&str]) -> Running {
        self.started += 1;
        let file = |end: &str| self.dir.join(format!("{}.{end}", self.started));
        let (out, err) = (file("out"), file("err"));
        let outlet = |path: &Path| File::create(path).expect("a file for what it says");
        let mut command = Command::new(TIERLINE);
        command.args(args).current_dir(&self.dir).stdin(Stdio::piped()).stdout(outlet(&out)).stderr(outlet(&err));
        Running { child: command.spawn().expect("tierline starts"), out, err }
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(TIERLINE).args(args).current_dir(&self.dir).output().expect("tierline runs")
    }

    fn serve(&mut self) -> Running {
        let mut server = self.start(&["serve", "--config", "center.toml"]);
        wait_until("the server is ready", || {
            let ended = server.child.try_wait().expect("a child").is_some();
            assert!(!ended, "it does not start: {}", fs::read_to_string(&server.err).unwrap_or_default());
            self.run(&["healthy", "--ready"]).status.success()
        });
        server
    }

    fn metric(&self, name: &str) -> f64 {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:8080").expect("the server serves numbers");
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
        let text = std::io::read_to_string(stream).expect("an answer");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    fn calls(&self) -> Vec<Value> {
        let output = self.run(&["calls", "--json", "--last", "1000"]);
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let to = std::ffi::CString::new(self.data.to_str().expect("text")).expect("a path");
        // SAFETY: a system call that reads a text that lives through it.
        unsafe { libc::umount2(to.as_ptr(), libc::MNT_DETACH) };
        _ = fs::remove_dir_all(&self.dir);
    }
}

/// `breaks` makes the log impossible to write until what it returns is given to `mends`.
fn check<B>(name: &str, breaks: impl FnOnce(&Path) -> B, mends: impl FnOnce(B)) {
    let mut place = Place::new(name);
    let server = place.serve();
    let mut caller = place.start(&["phone", "--dial", "100"]);
    wait_until("the caller waits in the queue", || caller.says("Connected"));
    let broken = breaks(&place.data);
    // Those who come before the log's thread has noticed are taken; their events wait.
    let mut taken = Vec::new();
    wait_until("new calls are not taken", || {
        taken.push(place.start(&["phone", "--dial", "100"]));
        assert!(taken.len() < 500, "new calls are taken for ever");
        let ready = place.run(&["healthy", "--ready"]);
        String::from_utf8_lossy(&ready.stderr).contains("the log cannot be written")
    });
    let refused = place.run(&["phone", "--dial", "100"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stdout).contains("503"), "{refused:?}");
    assert_eq!(place.metric("tierline_log_healthy "), 0.0);
    assert!(server.says("the event log cannot be written"), "a line tells it");
    // Who waits still waits; he leaves while nothing can be written.
    assert!(caller.child.try_wait().expect("a child").is_none(), "the running call goes on");
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success(), "the call ended as its caller wanted");
    drop(taken);
    mends(broken);
    wait_until("new calls are taken again", || place.run(&["healthy", "--ready"]).status.success());
    wait_until("nothing waits in memory", || place.metric("tierline_log_queued_events ") == 0.0);
    assert_eq!(place.metric("tierline_log_lost_events_total "), 0.0);
    assert!(place.metric("tierline_log_failures_total ") >= 1.0);
    let first = place.calls().pop().expect("the first call is in the log");
    assert!(first["ended"].is_string() || first["ended"].is_number(), "{first}");
    // A call like any other.
    let mut last = place.start(&["phone", "--dial", "100"]);
    wait_until("a new caller waits", || last.says("Connected"));
    writeln!(last.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(last.child.wait().expect("a child").success());
}

#[test]
fn a_full_disk_refuses_new_calls_and_loses_nothing() {
    let fill = |data: &Path| {
        let path = data.join("filler");
        let mut filler = File::create(&path).expect("a file");
        // To the last byte: larger portions first.
        for size in [65_536, 4096, 1] {
            while filler.write_all(&vec![7; size]).is_ok() {}
        }
        path
    };
    check("full", fill, |filler| fs::remove_file(filler).expect("the filler"));
}

#[test]
fn a_locked_log_refuses_new_calls_and_loses_nothing() {
    let lock = |data: &Path| {
        let conn = Connection::open(data.join("events.db")).expect("the log");
        conn.busy_timeout(Duration::from_secs(10)).expect("patience");
        conn.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
        conn
    };
    check("locked", lock, |conn| conn.execute_batch("ROLLBACK").expect("no lock any more"));
}

/// What is young stays; what is old: `records/tests/pruned.rs`.
#[test]
fn keep_runs_beside_a_server_and_leaves_what_is_young() {
    let mut place = Place::new("old");
    fs::write(place.dir.join("center.toml"), {
        let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
        center + "[keep]\nnumbers = \"1d\"\ndigits = \"1d\"\ntexts = \"1d\"\nevents = \"1d\"\nrecords = \"1d\"\n"
    })
    .expect("a configuration");
    let _server = place.serve();
    let kept = place.run(&["keep", "--config", "center.toml"]);
    let said = String::from_utf8_lossy(&kept.stdout).into_owned();
    assert!(said.contains("removed 0 events from the log and 0 rows"), "{kept:?}");
    assert_eq!(place.metric("tierline_keep_paused "), 0.0);
    assert_eq!(place.metric("tierline_clock_jumps_total "), 0.0);
}
