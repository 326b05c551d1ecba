//! What `tierline agent` tells somebody who is new to it: what is there before what he asked for, and that no call can come
//! to who has no phone.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

mod place;

use place::{Place, wait_until};
use std::fs;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Output, Stdio};

const DESKS: &str = "[server.cti]\nbind = \"127.0.0.1:50051\"\n";

/// At the end of the configuration.
fn add(place: &Place, more: &str) {
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    fs::write(place.dir.join("center.toml"), center + more).expect("a configuration");
}

#[test]
fn an_agent_without_a_phone_is_told_after_what_is_there() {
    let mut place = Place::new("desk");
    add(&place, DESKS);
    let server = place.serve();
    let asks = |place: &Place, more: &[&str]| {
        let asked = [&["agent", "--user", "ada", "--do", "login", "--do", "ready"], more].concat();
        let output = place.run(&asked);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = asks(&place, &[]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].ends_with(" you are ada (1001): logged out (no phone is registered)"), "{told}");
    assert!(lines[1].ends_with(" queues: general (nobody waits)"), "{told}");
    assert_eq!(lines[2..], ["  done", "  done; but no phone of yours is registered: no call can come yet"], "{told}");
    let told = asks(&place, &["--json"]);
    assert!(told.lines().next().is_some_and(|line| line.contains("\"snapshot\"")), "{told}");
    assert!(told.contains("\"note\":\"no phone of yours is registered"), "{told}");
    let _phone = place.start(&["phone", "--user", "ada", "--answer"]);
    wait_until("the phone is registered", || server.says("has a phone"));
    let told = asks(&place, &["--do", "logout", "--do", "login", "--do", "ready"]);
    assert_eq!(told.matches("  done").count(), 5, "{told}");
    assert!(!told.contains("no phone of yours"), "what he is comes after the answer: {told}");
    // What does not come is waited for no longer than was said, and then it is told.
    let waits = |json: &[&str]| {
        let output = place.run(&[&["agent", "--user", "ada", "--do", "wait call_ended 1"], json].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = waits(&[]);
    assert!(told.ends_with("  waits for call_ended\n  refused: call_ended has not come in 1 s\n"), "{told}");
    assert!(waits(&["--json"]).contains("\"refused\":\"NOT_COME\""));
    // Where pages are served nobody speaks gRPC.
    let output = place.run(&["agent", "--user", "ada", "--server", "127.0.0.1:8080", "--do", "ready"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && told.contains("speaks no gRPC"), "{output:?}");
}

/// Ada's desktop, with what she types; from a pipe or, as she sees it, at a terminal.
fn types(place: &Place, lines: &str, at_terminal: bool) -> Output {
    let mut desk = Command::new(env!("CARGO_BIN_EXE_tierline"));
    desk.args(["agent", "--user", "ada"]).current_dir(&place.dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (input, mut keyboard) = match at_terminal {
        true => terminal(),
        false => {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            (reader.into(), fs::File::from(OwnedFd::from(writer)))
        }
    };
    let desk = desk.stdin(Stdio::from(input)).spawn().expect("tierline starts");
    keyboard.write_all(lines.as_bytes()).expect("it is typed");
    desk.wait_with_output().expect("it ends")
}

/// A terminal, and the keyboard of whoever sits at it.
fn terminal() -> (OwnedFd, fs::File) {
    let (mut keyboard, mut terminal) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: it writes two descriptors, which are nobody else's yet.
    let (opened, descriptors) = unsafe {
        let opened = libc::openpty(&raw mut keyboard, &raw mut terminal, none, none.cast(), none.cast());
        (opened, [keyboard, terminal].map(|descriptor| OwnedFd::from_raw_fd(descriptor)))
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    let [keyboard, terminal] = descriptors;
    (terminal, keyboard.into())
}

/// Who ends his desktop is told what that means for him, and so is the log, without his name.
#[test]
fn who_quits_is_told_that_no_calls_come_any_more() {
    let mut place = Place::new("quits");
    add(&place, &format!("{DESKS}desk_lost = \"1s\"\n"));
    let server = place.serve();
    let said = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let away = types(&place, "quit\n", false);
    assert!(away.status.success() && !said(&away).contains("no more calls"), "nobody is at work: {away:?}");
    let _phone = place.start(&["phone", "--user", "ada", "--answer"]);
    wait_until("the phone is registered", || server.says("has a phone"));
    let ready = types(&place, "login\nready\nquit\n", false);
    assert!(ready.status.success() && said(&ready).contains("you get no more calls after a moment"), "{ready:?}");
    wait_until("the log says so", || {
        server.says("agent: has no desktop any more: who has logged in at one gets no calls")
    });
    let log = fs::read_to_string(&server.err).expect("the log");
    let line = log.lines().rfind(|line| line.contains("has no desktop any more")).expect("a line");
    assert!(line.ends_with("agent=1001 seconds=1.0") && !line.to_lowercase().contains("ada"), "{line}");
    let lost = "tierline_agents{state=\"not_ready\",reason=\"desktop lost\"} 1\n";
    wait_until("his state is in the log", || place.metrics().contains(lost));
    let state = types(&place, "quit\n", false);
    assert!(said(&state).contains("on a break (desktop lost)"), "{state:?}");
}

/// A script learns by the exit code what somebody at a terminal has read.
#[test]
fn a_mistyped_line_fails_a_script_and_nobody_at_a_terminal() {
    let mut place = Place::new("mistyped");
    add(&place, DESKS);
    let _server = place.serve();
    for (at_terminal, code) in [(false, 1), (true, 0)] {
        let ended = types(&place, "hlep\nquit\n", at_terminal);
        assert_eq!(ended.status.code(), Some(code), "at a terminal: {at_terminal}: {ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("nothing is called `hlep` here"), "{ended:?}");
    }
    assert!(types(&place, "quit\n", false).status.success());
}

/// A name on the command line that nothing has is a wrong value: told with what there is, and it cannot help to try again.
#[test]
fn an_announcement_that_there_is_none_of_is_named() {
    let mut place = Place::new("announcement");
    add(&place, &format!("{DESKS}[banner.outage]\n"));
    let _server = place.serve();
    let none = place.run(&["banner", "on", "outag"]);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!(told, "tierline: there is no announcement `outag`; allowed: outage; did you mean \"outage\"?\n");
    assert_eq!(none.status.code(), Some(2));
    assert!(place.run(&["banner", "on", "outage"]).status.success());
    // An agent is refused it, whatever the name: that is no wrong value, and may be otherwise tomorrow.
    let ada = place.run(&["banner", "on", "outage", "--user", "ada"]);
    assert_eq!(ada.status.code(), Some(1), "{ada:?}");
    let pause = place.run(&["agent", "--user", "ada", "--do", "break foo bar"]);
    let told = String::from_utf8_lossy(&pause.stdout).into_owned();
    assert!(told.contains("refused: no reasons are configured: a reason is then one word of a-z"), "{told}");
}
