//! What a start prints and refuses: a demo's passwords go where only whoever started it reads them, and a second server on
//! the same data is told that, first and alone.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

mod place;

use place::{Place, Running, wait_until};
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");

/// Ada's, made up at the first start.
fn password(place: &Place) -> String {
    let made_up = fs::read_to_string(place.data.join("passwords")).expect("made up at the start");
    made_up.lines().find_map(|line| line.strip_prefix("ada:")).expect("a line").to_owned()
}

#[test]
fn a_password_is_printed_when_it_is_made_up_and_not_again() {
    let mut place = Place::new("first-start");
    for (start, shown) in [("the first", true), ("the second", false)] {
        let server = place.serve();
        let (secret, said) = (password(&place), fs::read_to_string(&server.out).expect("what it says"));
        assert_eq!(said.contains(&secret), shown, "{start} start: {said}");
        assert!(said.contains("ada") && said.contains("data/passwords"), "{start} start: {said}");
        server.stop();
    }
}

/// What systemd keeps is read by more people than the file is.
#[test]
fn a_first_start_into_systemds_journal_prints_no_password() {
    let place = Place::new("into-journal");
    let (out, err) = (place.dir.join("out"), place.dir.join("err"));
    let journal = File::create(&out).expect("a file");
    let of = journal.metadata().expect("a file");
    let mut command = Command::new(TIERLINE);
    command.args(["serve", "--config", "center.toml"]).current_dir(&place.dir).stdin(Stdio::null());
    command.env("JOURNAL_STREAM", format!("{}:{}", of.dev(), of.ino()));
    let child = command.stdout(journal).stderr(File::create(&err).expect("a file")).spawn().expect("it starts");
    let server = Running { child, out: out.clone(), err };
    wait_until("the server is ready", || server.says("is ready"));
    let said = fs::read_to_string(&out).expect("what it says");
    assert!(!said.contains(&password(&place)), "{said}");
    assert!(said.contains("  agents ada: their passwords, made at first start, are in data/passwords\n"), "{said}");
    server.stop();
}

#[test]
fn a_second_server_on_the_same_data_is_told_that_and_nothing_else() {
    let mut place = Place::new("held");
    let server = place.serve();
    let second = place.run(&["serve", "--config", "center.toml"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let by = format!("the data directory `data` is in use by another tierline (process {}); stop", server.child.id());
    assert!(said.starts_with(&by) && said.lines().count() == 1, "{said}");
    assert_eq!(second.status.code(), Some(1), "it passes: {said}");
    // With mistakes beside it that is said as well, and of its ports, which the first has, nothing.
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    fs::write(place.dir.join("wrong.toml"), center.replace("numbers", "number")).expect("a configuration");
    let second = place.run(&["serve", "--config", "wrong.toml"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("`number` is not known here") && said.contains(&by), "{said}");
    assert!(second.status.code() == Some(2) && !said.contains("cannot listen"), "{said}");
    // From another directory it is its ports that are taken: each is told, and once how to see by whom.
    let second = place.run(&["serve", "--config", "center.toml", "--data", "other"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        said.contains("cannot listen on http") && said.matches("it may be another tierline").count() == 1,
        "{said}"
    );
    assert_eq!(second.status.code(), Some(2), "{said}");
}

/// Who may read a password is no secret of the one who must mend it; it is told once.
#[test]
fn passwords_that_others_can_read_are_refused_in_one_sentence() {
    let place = Place::new("open-passwords");
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    assert!(center.contains("[server]\n"), "{center}");
    let center = center.replace("[server]\n", "[server]\npassword_file = \"passwords\"\n");
    fs::write(place.dir.join("center.toml"), center).expect("the configuration");
    let file = place.dir.join("passwords");
    fs::write(&file, "ada:ada-knows-it\n").expect("a file of passwords");
    for (mode, told) in [(0o644, 1), (0o640, 1), (0o600, 0)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
        let check = place.run(&["check", "--no-ports", "--config", "center.toml"]);
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert_eq!(said.matches("passwords can be read by others").count(), told, "{mode:o}: {said}");
        assert_eq!(check.status.code(), Some(2 * told as i32), "{mode:o}: {said}");
    }
}

/// Asked in the shortest way: its door is open before it answers there.
fn is_ready() -> bool {
    let asked = TcpStream::connect("127.0.0.1:8080").and_then(|mut door| {
        write!(door, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        std::io::read_to_string(door)
    });
    asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A supervisor may change its mind the moment that it is told "ready": that is a stop, and no kill.
#[test]
fn who_is_asked_to_stop_when_it_has_just_become_ready_stops_in_order() {
    let mut place = Place::new("stops-at-once");
    for start in 1..=8 {
        let server = place.start(&["serve", "--config", "center.toml"]);
        wait_until("it says that it is ready", is_ready);
        let err = server.err.clone();
        server.stop(); // with success
        let said = fs::read_to_string(err).expect("its lines");
        assert!(said.contains("server: has stopped"), "start {start}: {said}");
    }
}
