//! What the system allows: readings, and what they mean for calls.
#![allow(clippy::disallowed_methods, reason = "the shell reads the clock")]

use super::Finding;
use crate::config::Loaded;
use crate::server::keeping::belief::Belief;
use crate::server::{clock, media, net};
use crate::time::{self, Wall};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A leg has a socket for audio and, unless its peer shares ports (RFC 5761), one for its reports; a call has two legs.
const FILES_PER_CALL: u64 = 4;
/// Listeners, the log, what is read and written in passing.
const FILES_BESIDE: u64 = 100;

pub fn files(loaded: &Loaded) -> Finding {
    let calls = u64::from(loaded.center.limits.calls) * FILES_PER_CALL + FILES_BESIDE;
    let streams = loaded.server.cti.as_ref().map_or(0, |cti| u64::from(cti.streams));
    files_of(net::raise_file_limit(), calls, calls + loaded.server.sip.connections.most as u64 + streams)
}

/// `calls`: what as many calls as are configured need; `all`: with as many connections.
fn files_of(limit: u64, calls: u64, all: u64) -> Finding {
    let found = format!("{limit} files may be open; `limits.calls` at once need {calls}, with all connections {all}");
    let advice =
        || "raise the limit (`LimitNOFILE` of the service, `ulimit -n`), or lower `limits.calls` and `most`".to_owned();
    match limit {
        _ if limit < calls => Finding::wrong("files", found, advice()),
        _ if limit < all => Finding::warning("files", found, advice()),
        _ => Finding::ok("files", found),
    }
}

pub fn priority() -> Finding {
    // In Linux the nice value belongs to threads: this one tries and ends.
    priority_of(std::thread::spawn(|| net::prefer_this_thread(media::NICE)).join().unwrap_or(false))
}

fn priority_of(granted: bool) -> Finding {
    match granted {
        true => Finding::ok("priority", "audio may go before other programs"),
        false => Finding::warning(
            "priority",
            "audio may not go before other programs: it stutters while they use the processor",
            "allow nice -10: `LimitNICE=-10` of the service, `ulimits: nice: 30` of a container, or CAP_SYS_NICE",
        ),
    }
}

/// A socket of SIP's with the room that it gets.
pub fn buffer() -> Finding {
    match std::net::UdpSocket::bind("127.0.0.1:0") {
        Ok(socket) => buffer_of(net::enlarge_buffers(&socket)),
        Err(why) => Finding::wrong("buffer", format!("no UDP socket can be made: {why}"), "see `files`"),
    }
}

fn buffer_of(bytes: usize) -> Finding {
    let found = format!("the system keeps {} KiB of SIP over UDP while the engine is busy", bytes >> 10);
    match bytes < crate::server::signaling::SMALL_BUFFER {
        true => Finding::warning(
            "buffer",
            found,
            "`sysctl net.core.rmem_max=4194304`, or bursts of messages are dropped and sent again",
        ),
        false => Finding::ok("buffer", found),
    }
}

/// `last`: when the last event in the log was.
pub fn clock(last: Option<Wall>) -> Finding {
    // SAFETY: `modes` 0 only reads; all fields are numbers, for which zero is a value.
    let mut reading: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes to `reading`, which lives through the call.
    let state = unsafe { libc::adjtimex(&raw mut reading) };
    clock_of(clock::wall(), last, state >= 0 && state != libc::TIME_ERROR)
}

/// A finding if a start would not believe the clock. `mark`: the time that was believed last.
pub fn doubted(mark: Option<Wall>) -> Option<Finding> {
    doubted_of(clock::wall(), mark?)
}

fn doubted_of(now: Wall, mark: Wall) -> Option<Finding> {
    Belief::new(time::Instant::ZERO, now, Some(mark)).doubt()?;
    Some(Finding::wrong(
        "clock",
        format!("it says {now}, and the time that was believed last is {mark}: nothing becomes old by it"),
        "set it right: `timedatectl status`; if it is right, for this was off for long: `tierline keep --believe-clock`",
    ))
}

/// 2026-01-01: no Tierline of this kind is older.
const OLDEST: Wall = Wall(1_767_225_600_000);
/// Two machines that are kept right differ by less.
const BEHIND: i64 = 1_000;

fn clock_of(now: Wall, last: Option<Wall>, kept_right: bool) -> Finding {
    let behind = last.map_or(0, |last| last.0 - now.0);
    if now < OLDEST {
        return Finding::wrong("clock", format!("it says {now}, which is past"), "set it: `timedatectl set-ntp true`");
    }
    if behind > BEHIND {
        return Finding::wrong(
            "clock",
            format!("it says {now}, and the log's last event is {} s later: it was set back", behind / 1000),
            "set it right before the next start, or reports count hours twice: `timedatectl status`",
        );
    }
    match kept_right {
        true => Finding::ok("clock", format!("it says {now}, and a time server keeps it right")),
        false => Finding::warning(
            "clock",
            format!("it says {now}, and no time server keeps it right"),
            "run chrony or systemd-timesyncd (in a container: on its host); `timedatectl status` tells",
        ),
    }
}

/// What a disk has left, and how long it takes.
struct Disk {
    free: u64,
    /// Files that may still be made.
    inodes: u64,
    /// Of a few small writes, each to its end.
    middle: Duration,
    worst: Duration,
}

pub fn disk(data: &Path) -> Vec<Finding> {
    // What is missing is made at the first start.
    let there = data.ancestors().find(|dir| dir.is_dir()).filter(|dir| !dir.as_os_str().is_empty());
    let dir = there.unwrap_or(Path::new("."));
    match measure(dir) {
        Ok(disk) => disk_of(dir, &disk),
        Err(why) => vec![Finding::wrong(
            "disk",
            format!("nothing can be written in {}: {why}", dir.display()),
            "make room there, or give the directory to the user that serves, or name another as `server.data`",
        )],
    }
}

/// Small writes, as the log makes them.
const WRITES: usize = 9;

fn measure(dir: &Path) -> io::Result<Disk> {
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // SAFETY: all fields are numbers, for which zero is a value.
    let mut room: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads the path and writes to `room`; both live through the call.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut room) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let probe = dir.join(format!(".tierline-doctor-{}", std::process::id()));
    let times = time_writes(&probe);
    _ = fs::remove_file(&probe); // it may never have been made
    let mut times = times?;
    times.sort();
    // A file system that has no fixed number of them says 0.
    let inodes = if room.f_files == 0 { u64::MAX } else { room.f_favail };
    Ok(Disk { free: room.f_bavail * room.f_frsize, inodes, middle: times[WRITES / 2], worst: times[WRITES - 1] })
}

fn time_writes(probe: &Path) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(probe)?;
    let mut one = || {
        let begun = Instant::now();
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    (0..WRITES).map(|_| one()).collect()
}

const MIB: u64 = 1 << 20;

fn disk_of(dir: &Path, disk: &Disk) -> Vec<Finding> {
    let Disk { free, inodes, middle, worst } = *disk;
    let found = format!("{} MiB are free in {}", free / MIB, dir.display());
    let advice = "make room, or shorten what is kept (`[keep]`); a full disk takes no new calls";
    let room = match (free / MIB, inodes) {
        (0..64, _) | (_, 0..16) => Finding::wrong("disk", found, advice),
        (64..1024, _) | (_, 16..1000) => Finding::warning("disk", found, advice),
        _ => Finding::ok("disk", found),
    };
    let found = format!("a write is safe after {middle:.1?}, at worst {worst:.1?}");
    let advice = "use a disk of its own, an SSD, or one without a network in between: tickets and desktops wait for it";
    let speed = match middle.as_millis() {
        0..20 => Finding::ok("disk speed", found),
        20..1000 => Finding::warning("disk speed", found, advice),
        _ => Finding::wrong("disk speed", found, advice),
    };
    vec![room, speed]
}

#[cfg(test)]
mod tests {
    use super::super::Health::{self, Ok as Well, Warning, Wrong};
    use super::*;

    #[test]
    fn files_for_calls_and_for_connections() {
        let check = |limit, expected: Health| assert_eq!(files_of(limit, 8_100, 28_100).health, expected, "{limit}");
        check(1_024, Wrong);
        check(8_100, Warning);
        check(28_100, Well);
    }

    #[test]
    fn priority_and_buffer() {
        assert_eq!((priority_of(true).health, priority_of(false).health), (Well, Warning));
        assert_eq!((buffer_of(212_992).health, buffer_of(4 << 20).health), (Warning, Well));
    }

    #[test]
    fn a_clock_that_is_wrong_set_back_or_left_alone() {
        let now = Wall(1_790_000_000_000);
        let before = |seconds: i64| Some(Wall(now.0 - seconds * 1000));
        for (now, last, kept_right, expected) in [
            (now, None, true, Well),
            (now, before(60), true, Well),
            (now, None, false, Warning),
            (now, before(-1), true, Well), // another machine's
            (now, before(-3600), true, Wrong),
            (Wall(86_400_000), None, true, Wrong),
        ] {
            assert_eq!(clock_of(now, last, kept_right).health, expected, "{now}, {last:?}, {kept_right}");
        }
        assert!(clock_of(now, before(-3600), true).found.contains("3600 s later"));
    }

    #[test]
    fn a_clock_that_a_start_would_not_believe() {
        let (now, day) = (Wall(1_790_000_000_000), 86_400_000);
        for (mark, expected) in [(0, false), (-6, false), (6, false), (-8, true), (8, true), (-1000, true)] {
            let found = doubted_of(now, Wall(now.0 + mark * day));
            assert_eq!(found.map(|finding| finding.health), expected.then_some(Health::Wrong), "{mark} days");
        }
    }

    #[test]
    fn a_disk_that_is_full_or_slow() {
        let ms = Duration::from_millis;
        for (free, inodes, middle, expected) in [
            (50_000, 1_000_000, ms(2), [Well, Well]),
            (500, 1_000_000, ms(2), [Warning, Well]),
            (10, 1_000_000, ms(2), [Wrong, Well]),
            (50_000, 3, ms(2), [Wrong, Well]),
            (50_000, 500, ms(2), [Warning, Well]),
            (50_000, 1_000_000, ms(90), [Well, Warning]),
            (50_000, 1_000_000, ms(1500), [Well, Wrong]),
        ] {
            let disk = Disk { free: free * MIB, inodes, middle, worst: middle * 2 };
            let healths: Vec<Health> = disk_of(Path::new("/d"), &disk).iter().map(|finding| finding.health).collect();
            assert_eq!(healths, expected, "{free} MiB, {inodes} files, {middle:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_made_yet_is_looked_at_where_it_will_be() {
        let findings = disk(&std::env::temp_dir().join("tierline-nobody/made/this"));
        assert!(findings.iter().all(|finding| !finding.found.contains("nothing can be written")), "{findings:?}");
        assert!(findings[0].found.contains(&*std::env::temp_dir().to_string_lossy()), "{findings:?}");
    }
}
