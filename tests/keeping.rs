//! A full disk and a log that somebody holds locked, provoked for real under calls: those that run go on, new ones are
//! refused, whoever runs it is told, and nothing is lost. Needs root, for networks and file systems of its own.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

mod place;

use place::clock::Clock;
use place::{Place, Running, wait_until};
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
    doctor_says(&place, "WRONG", &format!("process {} serves, but: the log cannot be written", server.child.id()));
    assert!(server.says("the event log cannot be written"), "a line tells it");
    // Who waits still waits; he leaves while nothing can be written.
    assert!(caller.child.try_wait().expect("a child").is_none(), "the running call goes on");
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success(), "the call ended as its caller wanted");
    drop(taken);
    mends(broken);
    wait_until("new calls are taken again", || place.run(&["healthy", "--ready"]).status.success());
    wait_until("nothing waits in memory", || place.metric("tierline_log_queued_events ") == 0.0);
    doctor_says(&place, "ok", &format!("process {} serves and takes new calls", server.child.id()));
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

/// Beside a server `doctor` asks that one, in place of looking at ports. (The small disk is wrong by itself.)
fn doctor_says(place: &Place, health: &str, found: &str) {
    let doctor = place.run(&["doctor", "--config", "center.toml"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let lines_of = |check| said.lines().filter(move |line| line.split_whitespace().nth(1) == Some(check));
    let server: Vec<&str> = lines_of("server").collect();
    assert!(server.len() == 1 && server[0].starts_with(health) && server[0].ends_with(found), "{said}");
    assert_eq!(lines_of("start").count(), 0, "ports are looked at:\n{said}");
    assert_eq!(doctor.status.code(), Some(2));
}

/// Fills the disk on which this folder lies.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut filler = File::create(&path).expect("a file");
    // To the last byte: larger portions first.
    for size in [65_536, 4096, 1] {
        while filler.write_all(&vec![7; size]).is_ok() {}
    }
    path
}

#[test]
fn a_full_disk_refuses_new_calls_and_loses_nothing() {
    check("full", fill, |filler| fs::remove_file(filler).expect("the filler"));
}

/// The disk of the recording alone is full: no call is refused for it, and what was recorded until then can be replayed.
#[test]
fn a_recording_ends_when_its_disk_is_full_and_calls_go_on() {
    let mut place = Place::new("recording");
    let dir = place.dir.join("recorded");
    let disk = place.disk(&dir, c"size=512k");
    let mut server = place.start(&["serve", "--config", "center.toml", "--record", "recorded/calls"]);
    wait_until("the server is ready", || {
        assert!(server.child.try_wait().expect("a child").is_none(), "it does not start");
        place.run(&["healthy", "--ready"]).status.success()
    });
    called(&mut place, 1);
    let mut caller = place.start(&["phone", "--dial", "100"]);
    wait_until("a caller waits", || caller.says("Connected"));
    fill(&dir);
    let mut calls = 1;
    wait_until("a line tells it", || {
        calls += 1;
        let call = place.run(&["phone", "--dial", "100", "--hang-up", "0"]);
        assert!(call.status.success(), "new calls are taken: {call:?}");
        server.says("the recording ends here, because it cannot be written; calls go on")
    });
    assert!(place.run(&["healthy", "--ready"]).status.success());
    assert!(caller.child.try_wait().expect("a child").is_none(), "the running call goes on");
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success());
    assert_eq!(place.metric("tierline_log_healthy "), 1.0);
    server.stop();
    assert_eq!(place.calls().len(), calls + 1, "the log has all");
    let replayed = place.run(&["replay", "recorded/calls", "--data", "data"]);
    let told = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(replayed.status.success() && told.contains("the same as in the log"), "{replayed:?}");
    assert!(told.contains("the log of that start goes on"), "{told}");
    drop(disk);
}

/// What the ticketing system answers cannot be written down for a while: nothing is lost, and no
/// ticket is opened twice, however often it is told.
#[test]
fn a_full_disk_under_what_the_ticketing_system_was_told_loses_nothing() {
    let mut place = Place::new("ticketing");
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    let center = center.replace("[queue.general]\n", "[queue.general]\nwrap_up = \"0s\"\n");
    let away = "[ticketing]\naddress = \"http://127.0.0.1:50061\"\nretry = \"200ms\"\nretry_most = \"1s\"\n";
    fs::write(place.dir.join("center.toml"), center + away).expect("a configuration");
    let server = place.serve();
    let phone = place.start(&["phone", "--user", "ada", "--answer"]);
    wait_until("the phone is registered", || server.says("has a phone"));
    served(&mut place);
    wait_until("somebody is to be told", || place.metric("tierline_ticketing_waiting ") > 0.0);
    let filler = fill(&place.data);
    let system = place.start(&["ticketing", "--listen", "127.0.0.1:50061", "--data", "tickets"]);
    wait_until("it answers", || place.metric("tierline_ticketing_answered_total ") > 0.0);
    wait_until("a line tells it", || server.says("the ticketing system is told later"));
    fs::remove_file(filler).expect("the filler");
    wait_until("all is told", || place.metric("tierline_ticketing_waiting ") == 0.0);
    assert_eq!(tickets(&place), 1, "of one call");
    let answered = |place: &Place| place.metric("tierline_ticketing_answered_total ");
    let before = answered(&place);
    served(&mut place);
    wait_until("the second call is told", || tickets(&place) == 2);
    wait_until("all of it is told", || place.metric("tierline_ticketing_waiting ") == 0.0);
    let of_one = answered(&place) - before;
    let aside = fs::read_dir(&place.data).expect("the data").flatten();
    let aside = aside.filter(|file| file.file_name().to_string_lossy().contains("aside"));
    assert_eq!(aside.count(), 0, "a full disk is no damage");
    // Who starts again knows what was told.
    server.stop();
    let server = place.serve();
    served(&mut place);
    wait_until("the third call is told", || tickets(&place) == 3);
    wait_until("all of it is told", || place.metric("tierline_ticketing_waiting ") == 0.0);
    assert_eq!(tickets(&place), 3, "of three calls");
    assert!(answered(&place) < 2.0 * of_one, "{} answers of which one call needs {of_one}", answered(&place));
    drop((phone, system));
    server.stop();
}

/// A caller who talks with an agent, and hangs up.
fn served(place: &mut Place) {
    let answered = "tierline_queue_answered_total{queue=\"general\"} ";
    let before = place.metric(answered);
    let mut caller = place.start(&["phone", "--dial", "100"]);
    wait_until("an agent answers", || place.metric(answered) > before);
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success());
}

fn tickets(place: &Place) -> i64 {
    let system = Connection::open(place.dir.join("tickets/tickets.db")).expect("the ticketing system's file");
    system.query_row("SELECT count(*) FROM ticket", [], |row| row.get(0)).expect("a number")
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

/// Whether the server holds a lock on a file, as every user of a database with a write-ahead log does.
fn is_locked(server: &Running, file: &Path) -> bool {
    let (inode, process) = (fs::metadata(file).expect("the file").ino(), server.child.id().to_string());
    let locks = fs::read_to_string("/proc/locks").expect("the system's locks");
    let is_it = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"POSIX")
            && words.get(4) == Some(&process.as_str())
            && words.get(5).is_some_and(|file| file.ends_with(&format!(":{inode}")))
    };
    locks.lines().any(is_it)
}

/// Who looks into a database with another program, and leaves it, takes nothing away from the server. (Seen: the server had
/// lost its own locks; the program's end removed the write-ahead log, and every new call got 503 until a restart.)
#[test]
fn a_stranger_who_looks_into_the_files_changes_nothing() {
    let mut place = Place::new("stranger");
    let server = place.serve();
    let recorded = |place: &Place| {
        let said = place.run(&["records", "status"]);
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    called(&mut place, 1);
    for calls in [2, 3] {
        for (file, table) in [("events.db", "event"), ("records.db", "call")] {
            assert!(is_locked(&server, &place.data.join(file)), "{file}: SQLite's lock of the server is lost");
            let look = format!(
                "import sqlite3\nconn = sqlite3.connect('{file}')\n\
                 assert conn.execute('SELECT count(*) FROM {table}').fetchone()[0] > 0\nconn.close()"
            );
            let mut stranger = Command::new("python3");
            let looked = stranger.args(["-c", &look]).current_dir(&place.data).output().expect("python3 runs");
            assert!(looked.status.success(), "{looked:?}");
            assert!(place.data.join(format!("{file}-wal")).exists(), "{file}: the write-ahead log is gone");
        }
        called(&mut place, calls);
        wait_until("the records have it", || recorded(&place).contains("the end of the log"));
        assert!(place.run(&["healthy", "--ready"]).status.success());
    }
    server.stop();
    assert_eq!(place.calls().len(), 3);
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
    assert_eq!(place.metric("tierline_clock_doubted_seconds "), 0.0);
    assert_eq!(place.metric("tierline_clock_jumps_total "), 0.0);
}

const NUMBER: &str = "+493012345678";
const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// A place with a clock that the test sets, and one call in its log.
fn with_a_clock(name: &str) -> Place {
    let mut place = Place::new(name);
    place.clock = Some(Clock::new(&place.dir));
    let server = place.serve();
    let mut caller = place.start(&["phone", "--dial", "100", "--user", NUMBER]);
    wait_until("the caller waits", || caller.says("Connected"));
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success());
    server.stop();
    assert!(knows_the_number(&place));
    place
}

fn set(place: &Place, ahead: i64) {
    place.clock.as_ref().expect("a clock").set(ahead);
}

fn knows_the_number(place: &Place) -> bool {
    let calls = place.run(&["calls", "--json", "--numbers", "--last", "1000"]);
    assert!(calls.status.success(), "{calls:?}");
    String::from_utf8_lossy(&calls.stdout).contains(NUMBER)
}

/// By hand, where no server runs, and beside one that was started with other settings: first the numbers, then all else.
#[test]
fn keep_erases_and_removes_what_is_old() {
    let mut place = with_a_clock("aged");
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    let keeps = |place: &Place, settings: &str| {
        fs::write(place.dir.join("keep.toml"), format!("{center}[keep]\n{settings}")).expect("a configuration");
        let kept = place.run(&["keep", "--config", "keep.toml", "--data", "data"]);
        assert!(kept.status.success(), "{kept:?}");
        let said = String::from_utf8_lossy(&kept.stdout).into_owned();
        let numbers = said.split_whitespace().filter_map(|word| word.parse().ok());
        <[u64; 3]>::try_from(numbers.take(3).collect::<Vec<_>>()).expect("events, rows, texts")
    };
    let texts = "numbers = \"1d\"\ndigits = \"1d\"\ntexts = \"1d\"\n";
    assert_eq!(keeps(&place, texts), [0, 0, 0], "it is of today");
    set(&place, 2 * DAY);
    assert_eq!(keeps(&place, texts), [0, 0, 1]);
    assert!(!knows_the_number(&place) && place.calls().len() == 1, "the call is there still");
    // Another call, of today, by a server that keeps all for longer.
    let server = place.serve();
    let kept = place.run(&["keep", "--config", "keep.toml"]);
    let why = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(kept.status.code() == Some(2) && why.contains("--data"), "its data may be another server's: {kept:?}");
    called(&mut place, 2);
    let [events, rows, erased] = keeps(&place, &format!("{texts}events = \"1d\"\nrecords = \"1d\"\n"));
    assert!(events > 0 && rows > 0 && erased == 0, "{events} events, {rows} rows, {erased} numbers");
    assert_eq!(place.calls().len(), 1, "the other one is of today");
    let report = place.run(&["report", "line", "--from", "2020-01-01", "--to", "2100-01-01"]);
    let told = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(told.contains("incomplete before") && told.contains("complete up to"), "{told}");
    server.stop();
}

fn doubted(place: &Place) -> i64 {
    place.metric("tierline_clock_doubted_seconds ").round() as i64
}

#[test]
fn a_clock_that_stands_years_ahead_at_a_start_erases_nothing() {
    let mut place = with_a_clock("ahead");
    set(&place, 3 * YEAR);
    for _ in 0..2 {
        let server = place.serve();
        wait_until("the clock is doubted", || server.says("is not believed"));
        assert!((3 * YEAR - 60..3 * YEAR + 60).contains(&doubted(&place)), "{}", doubted(&place));
        assert!(knows_the_number(&place), "nothing is erased by a clock that is not believed");
        let kept = place.run(&["keep", "--config", "center.toml"]);
        let why = String::from_utf8_lossy(&kept.stderr).into_owned();
        assert!(kept.status.code() == Some(1) && why.contains("--believe-clock"), "{kept:?}");
        // Calls go on as ever.
        let mut caller = place.start(&["phone", "--dial", "100"]);
        wait_until("a caller waits", || caller.says("Connected"));
        writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
        assert!(caller.child.wait().expect("a child").success());
        server.stop();
    }
    let server = place.serve();
    wait_until("the clock is doubted again", || doubted(&place) > YEAR);
    // Whoever runs it knows better.
    let kept = place.run(&["keep", "--config", "center.toml", "--believe-clock"]);
    assert!(kept.status.success(), "{kept:?}");
    wait_until("the server believes it, too", || doubted(&place) == 0);
    assert!(server.says("is believed again"));
    server.stop();
    let _server = place.serve();
    assert_eq!(doubted(&place), 0);
    assert!(!knows_the_number(&place), "by a clock that is believed the number is three years old");
}

#[test]
fn a_clock_that_jumps_while_calls_run_is_told_and_makes_nothing_old() {
    let mut place = with_a_clock("jumps");
    let mut server = place.serve();
    for (ahead, jumps) in [(400 * DAY, 1.0), (0, 2.0), (-400 * DAY, 3.0)] {
        let mut caller = place.start(&["phone", "--dial", "100"]);
        wait_until("a caller waits", || caller.says("Connected"));
        set(&place, ahead);
        wait_until("the jump is noticed", || place.metric("tierline_clock_jumps_total ") == jumps);
        // Another number, which may be seen a moment later.
        wait_until("the clock is doubted by as much", || (ahead - 60..ahead + 60).contains(&doubted(&place)));
        assert!(caller.child.try_wait().expect("a child").is_none(), "the running call goes on");
        writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
        assert!(caller.child.wait().expect("a child").success());
    }
    assert!(server.says("the system's clock has jumped") && server.says("is believed again"));
    // The doubt outlives a restart, in both directions, and nothing is erased.
    for ahead in [-400 * DAY, 400 * DAY] {
        set(&place, ahead);
        server.stop();
        server = place.serve();
        wait_until("the clock is doubted", || server.says("is not believed"));
        assert!((ahead - 120..ahead + 120).contains(&doubted(&place)), "{} for {ahead}", doubted(&place));
        assert!(knows_the_number(&place));
    }
}

#[test]
fn a_log_that_is_moved_away_refuses_new_calls_and_loses_nothing() {
    let names = ["events.db", "events.db-wal"];
    let moved = |data: &Path| {
        let data = data.to_owned();
        names.iter().for_each(|name| fs::rename(data.join(name), data.join(format!("{name}.aside"))).expect("moved"));
        data
    };
    let back = |data: std::path::PathBuf| {
        names.iter().for_each(|name| fs::rename(data.join(format!("{name}.aside")), data.join(name)).expect("moved"));
    };
    check("moved", moved, back);
}

/// Calls, and waits until those that are over are in the records.
fn called(place: &mut Place, calls: usize) {
    let mut caller = place.start(&["phone", "--dial", "100"]);
    wait_until("a caller waits", || caller.says("Connected"));
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success());
    wait_until("the records have it", || {
        let listed = place.run(&["calls", "--queue", "general", "--json", "--last", "100"]);
        String::from_utf8_lossy(&listed.stdout).matches("\"ended\":\"").count() == calls
    });
}

#[test]
fn records_that_are_removed_under_the_server_are_made_anew() {
    let mut place = Place::new("removed");
    let server = place.serve();
    called(&mut place, 1);
    for name in ["records.db", "records.db-wal", "records.db-shm"] {
        fs::remove_file(place.data.join(name)).expect("a file of the records");
    }
    called(&mut place, 2);
    wait_until("a line tells it", || server.says("the records' file is gone"));
    wait_until("both calls are in the new file", || {
        let records = Connection::open(place.data.join("records.db")).expect("the records");
        let calls =
            records.query_row("SELECT count(*) FROM call WHERE ended IS NOT NULL", [], |row| row.get::<_, i64>(0));
        calls == Ok(2)
    });
    server.stop();
}

#[test]
fn files_whose_permissions_are_lost_are_told_and_lose_nothing() {
    const NOBODY: u32 = 65_534;
    let mut place = Place::new("permissions");
    place.user = Some(NOBODY);
    let give = |place: &Place, user: u32, mode: u32| {
        let files = fs::read_dir(&place.data).expect("the data").map(|entry| entry.expect("a file").path());
        for path in files.filter(|path| path.is_file()).chain([place.data.clone()]) {
            let bits = if path.is_dir() { mode | (mode & 0o400) >> 2 } else { mode };
            std::os::unix::fs::chown(&path, Some(user), Some(user)).expect("another owner");
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(bits)).expect("a mode");
        }
    };
    give(&place, NOBODY, 0o600);
    let server = place.serve();
    called(&mut place, 1);
    give(&place, 0, 0);
    // What is open stays open: calls go on, and so does the log.
    let mut caller = place.start(&["phone", "--dial", "100"]);
    wait_until("a caller waits", || caller.says("Connected"));
    writeln!(caller.child.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.child.wait().expect("a child").success());
    server.stop();
    let again = place.run(&["serve", "--config", "center.toml"]);
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && why.contains("cannot write in the data directory"), "{again:?}");
    let doctor = place.run(&["doctor", "--config", "center.toml"]);
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.code() == Some(2) && found.contains("WRONG    disk"), "{found}");
    give(&place, NOBODY, 0o600);
    let _server = place.serve();
    wait_until("both calls are there", || place.calls().iter().filter(|call| call["ended"].is_string()).count() == 2);
}
