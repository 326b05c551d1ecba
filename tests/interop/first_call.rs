//! The README's first call: the demo as shipped, three terminals, nothing but this program.

use super::audio;
use super::harness::{Ground, SECOND, wait_until};
use super::heard::{HEARD, sound};
use super::peers::event;
use super::server::{TIERLINE, get};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// The shipped configuration with ports of our own; everything else as people get it.
fn demo(ground: &Ground, sip: SocketAddr, http: SocketAddr) -> String {
    let grpc = ground.address();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(shipped.join("deploy/tierline.toml")).expect("the demo's configuration");
    let (first, last) = ground.audio_ports();
    let flows = shipped.join("ivr-flows").display().to_string();
    let changes = [
        ("\"127.0.0.1:5060\"", format!("\"{sip}\"")),
        ("\"127.0.0.1:8080\"", format!("\"{http}\"")),
        ("\"127.0.0.1:50051\"", format!("\"{grpc}\"")),
        ("[20000, 59999]  ", format!("[{first}, {last}]  ")),
        ("\"../ivr-flows\" ", format!("\"{flows}\" ")),
    ];
    let text = changes.into_iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "the demo's configuration does not say {from} any more");
        text.replacen(from, &to, 1)
    });
    // Ports for the whole center would be more than a test has.
    text.replace("calls = 2000", "calls = 80")
}

#[test]
fn the_first_call_works_with_three_terminals() {
    let ground = Ground::new("first_call");
    let (sip, http) = (ground.address(), ground.address());
    std::fs::write(ground.file("demo.toml"), demo(&ground, sip, http)).expect("a configuration");
    let tierline = || Command::new(TIERLINE);
    let server = ground.run("terminal-1", tierline().args(["serve", "--config", "demo.toml"]));
    wait_until("the server is ready", 20 * SECOND, || get(http, "/readyz").is_some_and(|(status, _)| status == 200));
    server.says("Try, in a second", 20 * SECOND);
    let said = server.output();
    let passwords = std::fs::read_to_string(ground.file("data/passwords")).expect("passwords made at first start");
    for user in ["ada", "ben", "cleo", "dan"] {
        let line = passwords.lines().find_map(|line| line.strip_prefix(&format!("{user}:"))).expect("a password");
        assert!(line.len() >= 12 && said.contains(line), "{user}'s password is not shown:\n{said}");
    }
    assert!(said.contains("tierline phone"), "nothing to try next:\n{said}");
    assert!(said.contains("--dial 100 "), "not the README's first call:\n{said}");

    audio::write_wav(&ground.file("hello.wav"), &audio::tone(1000.0, 2.0), 8000);
    audio::write_wav(&ground.file("question.wav"), &audio::tone(600.0, 2.0), 8000);
    let at = sip.to_string();
    let agent_args =
        ["phone", "--server", &at, "--user", "ada", "--answer", "--play", "hello.wav", "--record", "agent.wav"];
    let mut agent = ground.run("terminal-2", tierline().args(agent_args));
    event(&agent, "Registered", 10 * SECOND);
    let call = ["phone", "--server", &at, "--dial", "100", "--press", ",,,,,,1", "--play", "question.wav"];
    let call = [&call[..], &["--record", "heard.wav", "--hang-up", "9"]].concat();
    let mut caller = ground.run("terminal-3", tierline().args(call));
    event(&agent, "Connected", 20 * SECOND);
    assert_eq!(caller.wait(20 * SECOND), 0, "{}", caller.output());
    assert_eq!(event(&agent, "Ended", 5 * SECOND)["answered"], true);
    agent.signal(libc::SIGINT);
    assert_eq!(agent.wait(10 * SECOND), 0);

    let heard = audio::read_wav(&ground.file("heard.wav"));
    assert!(heard.len() > 8 * 8000, "only {} samples were recorded", heard.len());
    let (_, welcome) = audio::find_prompt(&heard, &sound("welcome"));
    assert!(welcome >= HEARD, "the caller's recording holds {welcome:.1} % of the welcome");
    let (tone, share) = audio::main_tone(&heard[heard.len() - 2 * 8000..], &[600.0, 1000.0]);
    assert!(tone == 1000.0 && share >= 90.0, "the caller's last two seconds: {tone} Hz in {share:.1} %");
    let (tone, share) = audio::main_tone(&audio::read_wav(&ground.file("agent.wav")), &[600.0, 1000.0]);
    assert!(tone == 600.0 && share >= 90.0, "the agent's recording: {tone} Hz in {share:.1} %");
    let list =
        Command::new(TIERLINE).args(["calls", "--data"]).arg(ground.file("data")).output().expect("tierline runs");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("1001") && list.contains("support"), "{list}");
}
