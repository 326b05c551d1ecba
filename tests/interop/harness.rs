//! Grounds, programs and waiting: what every test of this folder stands on.
//!
//! A test gets a `Ground`: a folder of its own and a block of ports that nobody else has. Programs started on it
//! end with the test, whatever happens; their outputs stay in the folder and are shown when the test fails.

use super::capture::{Capture, TICK};
use super::nets::{Place, enter};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ports of one test. The blocks lie below the ports that the system gives out by itself.
const BLOCK: u16 = 500;
const BLOCKS: std::ops::Range<u16> = 20..64;
/// Of a block: the first for SIP, HTTP and peers, the rest for the server's audio.
pub const OWN: u16 = 150;
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Nice value of the programs under test.
const URGENT: i32 = -10;
/// Longest line-up of a program's output shown when a test fails.
const SHOWN: usize = 6000;

pub const SECOND: Duration = Duration::from_secs(1);
/// For what comes at once on an idle machine and late on a busy one.
pub const GENEROUS: Duration = Duration::from_secs(40);

/// Looks until there is something to see. Fails after `limit`, naming what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(LOOK);
    }
}

pub fn wait_until(what: &str, limit: Duration, mut look: impl FnMut() -> bool) {
    wait_for(what, limit, || look().then_some(()));
}

/// Lets a call go on: the only thing that is done by time alone, as people do.
pub fn talk_for(time: Duration) {
    std::thread::sleep(time);
}

/// A folder and a block of ports for one test.
pub struct Ground {
    pub dir: PathBuf,
    base: u16,
    next: Cell<u16>,
    /// The process that is judged, once it runs.
    server: Cell<u32>,
    /// Holds the block against other tests, in this process and in others.
    _guard: TcpListener,
}

impl Ground {
    pub fn new(test: &str) -> Ground {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop").join(test);
        _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a folder for the test");
        let free = |block: u16| Some((block * BLOCK, TcpListener::bind((Ipv4Addr::LOCALHOST, block * BLOCK)).ok()?));
        let (base, guard) = BLOCKS.into_iter().find_map(free).expect("a free block of ports");
        Ground { dir, base, next: Cell::new(base + 10), server: Cell::new(0), _guard: guard }
    }

    /// An even port with the odd one above it.
    pub fn port(&self) -> u16 {
        let port = self.next.get();
        self.next.set(port + 2);
        assert!(port < self.base + OWN, "a test uses too many ports");
        port
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// First and last port for the server's audio.
    pub fn audio_ports(&self) -> (u16, u16) {
        (self.base + OWN, self.base + BLOCK - 1)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts a program; its outputs go to `NAME.out` and `NAME.err` of the folder.
    pub fn run(&self, name: &str, command: &mut Command) -> Program {
        self.run_at(None, name, command)
    }

    /// The same in another network.
    pub fn run_at(&self, place: Option<&Place>, name: &str, command: &mut Command) -> Program {
        let network = place.map(Place::descriptor);
        let output = |kind: &str| {
            let path = self.file(&format!("{name}.{kind}"));
            (File::create(&path).expect("a file for a program's output"), path)
        };
        let ((out, out_path), (err, err_path)) = (output("out"), output("err"));
        // A group of its own: what it starts ends with it.
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        // The program ends with the thread of its test even if that is killed.
        // SAFETY: plain system calls, allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                network.map_or(Ok(()), enter)?;
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // Where we may: what else runs on this machine must not be heard in a call.
                libc::setpriority(libc::PRIO_PROCESS, 0, URGENT);
                Ok(())
            });
        }
        let shown = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|why| panic!("`{shown}` cannot be started ({why}): make tools"));
        if name.starts_with("serve") {
            self.server.set(child.id());
        }
        Program { name: name.to_owned(), child, out: out_path, err: err_path }
    }

    /// Begins to capture everything that concerns this ground.
    pub fn capture(&self) -> Tcpdump {
        self.capture_at(None, "wire", &["-i", "lo"])
    }

    /// The same in a network of its own, of all that passes there.
    pub fn capture_in(&self, place: &Place, name: &str) -> Tcpdump {
        self.capture_at(Some(place), name, &["-i", "any", "-y", "LINUX_SLL"])
    }

    fn capture_at(&self, place: Option<&Place>, name: &str, which: &[&str]) -> Tcpdump {
        let path = self.file(&format!("{name}.pcap"));
        let mut command = Command::new("tcpdump");
        command.args(which).args(["-n", "-U", "-B", "16384", "-Z", "root", "-w"]).arg(&path);
        command.arg(format!("(udp or tcp) and portrange {}-{}", self.base, self.base + BLOCK - 1));
        let program = self.run_at(place, &format!("tcpdump-{name}"), &mut command);
        wait_until("tcpdump listens", 10 * SECOND, || program.errors().contains("listening on"));
        let (base, place) = (self.base, place.cloned());
        Tcpdump { program, path, base, _clockwork: Clockwork::start(base, place.clone(), self.server.get()), place }
    }
}

impl Drop for Ground {
    /// A failed test shows what its programs said.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut files: Vec<_> =
            std::fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        let text = |path: &PathBuf| path.extension().is_some_and(|e| ["out", "err", "log"].iter().any(|k| e == *k));
        for path in files.iter().filter(|path| text(path)) {
            let said = std::fs::read_to_string(path).unwrap_or_default();
            let from = said.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
            if !said.trim().is_empty() {
                eprintln!("──── {} ────\n{}", path.display(), &said[from..]);
            }
        }
    }
}

/// A running program; killed when dropped.
pub struct Program {
    pub name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Program {
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub fn signal(&self, signal: i32) {
        let pid = self.id();
        // SAFETY: signals a child that has not been waited for, so that the id is still its own.
        let done = unsafe { libc::kill(pid, signal) };
        assert_eq!(done, 0, "{} is gone already", self.name);
    }

    /// kill -9: no farewell.
    pub fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: a plain system call; the group is that of our child.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        _ = self.child.kill();
        _ = self.child.wait();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child's state").is_none()
    }

    /// Waits for its end and returns its exit code.
    pub fn wait(&mut self, limit: Duration) -> i32 {
        let (name, child) = (&self.name, &mut self.child);
        let status = wait_for(&format!("the end of {name}"), limit, || child.try_wait().expect("a child's state"));
        status.code().unwrap_or(-1)
    }

    /// Waits until it has printed a line with this in it.
    pub fn says(&self, what: &str, limit: Duration) -> String {
        let line = || self.output().lines().find(|line| line.contains(what)).map(str::to_owned);
        wait_for(&format!("{} says {what}", self.name), limit, line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A capture that runs.
pub struct Tcpdump {
    program: Program,
    path: PathBuf,
    base: u16,
    place: Option<Place>,
    _clockwork: Clockwork,
}

/// Sends a datagram every few milliseconds into a capture, to tell a machine that stands still from a program that
/// does not send: it says how long the server has waited for a processor so far.
struct Clockwork {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clockwork {
    fn start(port: u16, place: Option<Place>, server: u32) -> Clockwork {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            place.iter().for_each(|place| enter(place.descriptor()).expect("a namespace"));
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            // SAFETY: a plain system call; on Linux it concerns the calling thread only.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, URGENT) };
            while !until.load(Ordering::Relaxed) {
                let tick = [TICK, &waited(server)].concat();
                _ = socket.send_to(&tick, (Ipv4Addr::LOCALHOST, port));
                std::thread::sleep(LOOK);
            }
        });
        Clockwork { stop, thread: Some(thread) }
    }
}

/// How long each thread of a process that audio waits for has been ready to run without running: eight bytes of
/// nanoseconds for the engine, which tells the planes, and then for each plane in order.
fn waited(process: u32) -> Vec<u8> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of_thread = |thread: std::fs::DirEntry| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let plane = name.trim().strip_prefix("plane-").and_then(|number| number.parse::<u16>().ok());
        if plane.is_none() && name.trim() != "engine" {
            return None;
        }
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        Some((plane, text.split(' ').nth(1)?.parse::<u64>().ok()?))
    };
    let by_thread: BTreeMap<Option<u16>, u64> = threads.filter_map(of_thread).collect();
    by_thread.values().flat_map(|waited| waited.to_be_bytes()).collect()
}

impl Drop for Clockwork {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The last datagram of a capture: when it is in the file, so is everything before it.
const LAST: &[u8] = b"end of this capture";
/// How far from the end of the file it is looked for: others may still send.
const TAIL: usize = 1 << 20;

impl Tcpdump {
    /// What has come so far.
    pub fn so_far(&self) -> Capture {
        Capture::read(&self.path)
    }

    pub fn stop(mut self) -> Capture {
        let last = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.send_to(LAST, (Ipv4Addr::LOCALHOST, self.base)).expect("a datagram sent");
        };
        match &self.place {
            None => last(),
            Some(place) => place.inside(last),
        }
        wait_until("the capture is on disk", 10 * SECOND, || {
            let bytes = std::fs::read(&self.path).expect("a capture");
            bytes[bytes.len().saturating_sub(TAIL)..].windows(LAST.len()).any(|window| window == LAST)
        });
        self.program.signal(libc::SIGINT);
        self.program.wait(10 * SECOND);
        let lost = self.program.errors();
        assert!(lost.contains("\n0 packets dropped by kernel"), "the capture is not complete: {lost}");
        Capture::read(&self.path)
    }
}
