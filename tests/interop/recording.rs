//! `serve --record` and `tierline replay`: what was recorded of real calls gives the log of those calls, and holds no proof of
//! a password and no key of their audio.

use super::harness::{GENEROUS, Ground, SECOND, talk_for};
use super::peers::{Sipp, Softphone, try_register};
use super::server::{DIRECT, Server, Wishes};
use serde_json::Value;

/// Every SIP message that a recording holds.
fn messages(recording: &str) -> Vec<String> {
    fn bytes(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::Array(bytes)) = fields.get("bytes") {
                    let bytes = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Vec<_>>();
                    found.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                fields.values().for_each(|value| bytes(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| bytes(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for line in recording.lines().skip(1) {
        bytes(&serde_json::from_str(line).expect("an input"), &mut found);
    }
    found
}

/// What follows each `before` in a text, up to one of `ends`.
fn values<'t>(text: &'t str, before: &str, ends: &[char]) -> Vec<&'t str> {
    text.split(before).skip(1).map(|rest| rest.split(ends).next().unwrap_or_default()).collect()
}

#[test]
fn a_recording_of_calls_with_passwords_and_keys_replays_and_tells_neither() {
    let ground = Ground::new("recording");
    let tls = ground.address();
    let sip = format!("[[server.sip.listen]]\ntransport = \"tls\"\nbind = \"{tls}\"");
    let media = "srtp = \"optional\"".to_owned();
    let mut server = Server::start(&ground, &Wishes { sip, media, record: true, ..Wishes::agents(&["ada"]) });
    assert_eq!(try_register(&ground, &server, &["ada:wrong"], ground.port(), 401), 0);
    let over = ";transport=tls";
    let agent =
        Softphone { at: tls, over, user: "ada", hz: 1000.0, registers: true, answers: true, ..Softphone::default() };
    let agent = Softphone { more: ";mediaenc=srtp", ..agent }.start(&ground);
    agent.wait_registered();
    let caller = Softphone { at: tls, over, more: ";mediaenc=srtp-mand", hz: 600.0, ..Softphone::default() };
    let caller = caller.start(&ground);
    caller.tell(&format!("dial sip:{DIRECT}@{tls}{over}"));
    caller.program.says("Call established", GENEROUS);
    talk_for(2 * SECOND);
    agent.tell("hold");
    talk_for(SECOND);
    agent.tell("resume");
    talk_for(SECOND);
    caller.tell("hangup");
    assert_eq!(server.wait_ended(1, GENEROUS)[0]["phase"], "Connected");
    assert_eq!(Sipp { seconds: 3.0, ..Sipp::default() }.start(&ground, &server).wait(GENEROUS), 0);
    server.wait_ended(2, GENEROUS);
    // What is being written can be replayed as far as it goes, and says so.
    let file = ground.file("recording");
    let so_far = server.tierline(&["replay", &file.to_string_lossy()]);
    assert!(so_far.contains("the same as in the log"), "{so_far}");
    server.program.signal(libc::SIGTERM);
    assert_eq!(server.program.wait(GENEROUS), 0);

    let said = server.tierline(&["replay", &file.to_string_lossy()]);
    assert!(said.contains("the same as in the log"), "{said}");
    assert_eq!(said.lines().count(), 1, "it is whole: {said}");
    let recording = std::fs::read_to_string(&file).expect("a recording");
    let half = ground.file("half");
    std::fs::write(&half, &recording[..recording.len() / 2]).expect("half of it");
    let cut = server.tierline(&["replay", &half.to_string_lossy()]);
    assert!(cut.contains("ends in the middle of an input") && cut.contains("the log of that start goes on"), "{cut}");
    let messages = messages(&recording);
    let all = |before: &str, ends: &[char]| -> Vec<String> {
        messages.iter().flat_map(|text| values(text, before, ends)).map(str::to_owned).collect()
    };
    let (responses, keys) = (all("response=\"", &['"']), all("inline:", &['|', ' ', '\r', '=']));
    assert!(
        responses.len() >= 2 && responses.iter().all(|r| r.len() == 32 && r.bytes().all(|b| b == b'0')),
        "{responses:?}"
    );
    assert!(keys.len() >= 2 && keys.iter().all(|key| key.len() >= 38 && key.bytes().all(|b| b == b'A')), "{keys:?}");
}
