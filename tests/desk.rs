//! What `tierline agent` tells somebody who is new to it: what is there before what he asked for, and that no call can come
//! to who has no phone.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

mod place;

use place::{Place, wait_until};
use std::fs;

#[test]
fn an_agent_without_a_phone_is_told_after_what_is_there() {
    let mut place = Place::new("desk");
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    let desks = "[server.cti]\nbind = \"127.0.0.1:50051\"\n";
    fs::write(place.dir.join("center.toml"), center + desks).expect("a configuration");
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
