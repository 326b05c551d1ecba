//! The README's first call: the demo as shipped, three terminals, nothing but this program.

use super::audio;
use super::harness::{GENEROUS, Ground, Program, SECOND, wait_until};
use super::heard::{HEARD, sound};
use super::nets::Place;
use super::peers::event;
use super::server::{TIERLINE, get};
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// The shipped configuration with ports of our own; everything else as people get it.
fn demo(ground: &Ground, sip: SocketAddr, http: SocketAddr) -> String {
    demo_at(ground, [sip, http, ground.address()])
}

/// The same, with the port of desktops too.
pub fn demo_at(ground: &Ground, [sip, http, grpc]: [SocketAddr; 3]) -> String {
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
    wait_until("the server is ready", GENEROUS, || get(http, "/readyz").is_some_and(|(status, _)| status == 200));
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

/// Without a flag and in an empty folder it is the demo that is inside the program: a caller hears it.
#[test]
fn an_empty_folder_is_enough_for_a_first_call() {
    let ground = Ground::new("empty_folder");
    let _alone = Place::begin(); // the demo's own ports
    let folder: Vec<_> = std::fs::read_dir(&ground.dir).expect("the folder").flatten().collect();
    assert!(folder.is_empty(), "{folder:?}");
    let _server = ground.run("serve", Command::new(TIERLINE).arg("serve"));
    let http = "127.0.0.1:8080".parse().expect("an address");
    wait_until("the server is ready", GENEROUS, || get(http, "/readyz").is_some_and(|(status, _)| status == 200));
    let call = ["phone", "--dial", "100", "--record", "heard.wav", "--hang-up", "5"];
    let mut caller = ground.run("caller", Command::new(TIERLINE).args(call));
    assert_eq!(caller.wait(GENEROUS), 0, "{}", caller.output());
    let (_, welcome) = audio::find_prompt(&audio::read_wav(&ground.file("heard.wav")), &sound("welcome"));
    assert!(welcome >= HEARD, "the caller heard {welcome:.1} % of the welcome");
}

/// How loud each tenth of a second is.
fn loudness(samples: &[i16], rate: usize) -> Vec<f64> {
    let loud = |part: &[i16]| (part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / part.len() as f64).sqrt();
    samples.chunks_exact(rate / 10).map(loud).collect()
}

/// From -1 to 1: how much two lines go up and down together.
fn together(a: &[f64], b: &[f64]) -> f64 {
    let mean = |line: &[f64]| line.iter().sum::<f64>() / line.len() as f64;
    let (of_a, of_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - of_a, y - of_b)).sum::<f64>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt().max(1.0)
}

/// Who changes a text and starts again hears the new one, spoken by a program that is installed.
#[test]
fn a_changed_text_is_spoken_anew_and_heard() {
    const TEXT: &str = "Good morning. This is the quiet desk of the old library. Please wait a little while.";
    let ground = Ground::new("changed_text");
    let (sip, http) = (ground.address(), ground.address());
    let (shipped, flows) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows"), ground.file("flows"));
    std::fs::create_dir_all(&flows).expect("a folder");
    for file in std::fs::read_dir(&shipped).expect("the demo's flows").flatten().filter(|file| file.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).expect("a flow");
        let text = text.replace("\"Welcome to the demo support line.\"", &format!("\"{TEXT}\""));
        std::fs::write(flows.join(file.file_name()), text).expect("a flow");
    }
    std::os::unix::fs::symlink(shipped.join("sounds"), flows.join("sounds")).expect("the demo's sounds");
    let text = demo(&ground, sip, http).replace(&shipped.display().to_string(), &flows.display().to_string());
    std::fs::write(ground.file("demo.toml"), text).expect("a configuration");
    let _server = ground.run("serve", Command::new(TIERLINE).args(["serve", "--config", "demo.toml"]));
    wait_until("the server is ready", GENEROUS, || get(http, "/readyz").is_some_and(|(status, _)| status == 200));
    let at = sip.to_string();
    let call = ["phone", "--server", &at, "--dial", "100", "--record", "heard.wav", "--hang-up", "8"];
    let mut caller = ground.run("caller", Command::new(TIERLINE).args(call));
    assert_eq!(caller.wait(GENEROUS), 0, "{}", caller.output());
    // What the program says by itself, beside the server.
    std::fs::write(ground.file("text"), TEXT).expect("a text");
    let spoken = ground.file("spoken.wav");
    let mut flite = Command::new("flite");
    let said = flite.args(["-voice", "slt", "-f"]).arg(ground.file("text")).arg("-o").arg(&spoken).status();
    assert!(said.expect("`flite`: make tools").success());
    let bytes = std::fs::read(&spoken).expect("what was spoken");
    let rate = u32::from_le_bytes(bytes[24..28].try_into().expect("four bytes")) as usize;
    let samples: Vec<i16> = bytes[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let (spoken, heard) = (loudness(&samples, rate), loudness(&audio::read_wav(&ground.file("heard.wav")), 8_000));
    assert!(spoken.len() > 40 && heard.len() > spoken.len(), "{} and {} tenths of a second", spoken.len(), heard.len());
    let best = |line: &[f64]| (0..=5).map(|at| together(&line[at..], &heard)).fold(-1.0, f64::max);
    let as_heard = (0..5).map(|at| together(&spoken, &heard[at..])).fold(best(&spoken), f64::max);
    assert!(as_heard > 0.9, "what was heard goes with what was to be heard by {as_heard:.2}");
    let old = together(&loudness(&sound("welcome"), 8_000), &heard);
    assert!(old < 0.8, "the old text is heard ({old:.2})");
}

/// A command of ours whose user types; each line when it is wanted.
pub fn at_the_terminal(ground: &Ground, name: &str, args: &[&str]) -> (Program, File) {
    let pipe = ground.file(&format!("{name}.keys"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let typed = format!("exec {TIERLINE} \"$@\" < {}", pipe.display());
    let program = ground.run(name, Command::new("sh").args(["-c", &typed, name]).args(args));
    let keys = File::options().write(true).open(&pipe).expect("a pipe that is read");
    (program, keys)
}

pub fn types(keys: &mut File, line: &str) {
    writeln!(keys, "{line}").expect("somebody reads");
}

/// What is typed at a phone: `a` and `d` are for a call that rings, and nothing else.
#[test]
fn a_phone_does_what_is_typed() {
    let ground = Ground::new("typed");
    let (sip, http) = (ground.address(), ground.address());
    std::fs::write(ground.file("demo.toml"), demo(&ground, sip, http)).expect("a configuration");
    let server = ground.run("serve", Command::new(TIERLINE).args(["serve", "--config", "demo.toml"]));
    wait_until("the server is ready", GENEROUS, || get(http, "/readyz").is_some_and(|(status, _)| status == 200));
    let at = sip.to_string();
    let (mut agent, mut agents) =
        at_the_terminal(&ground, "agent", &["phone", "--server", &at, "--user", "ada", "--calls", "1"]);
    event(&agent, "Registered", GENEROUS);
    // Nothing rings: that is told, and uses up no call.
    types(&mut agents, "d");
    wait_until("it is told", GENEROUS, || agent.errors().contains("nothing rings"));
    let (mut caller, mut callers) = at_the_terminal(&ground, "caller", &["phone", "--server", &at, "--dial", "100"]);
    event(&caller, "Connected", GENEROUS);
    types(&mut callers, "d");
    wait_until("it is told", GENEROUS, || caller.errors().contains("nothing rings"));
    assert!(caller.is_running() && !caller.output().contains("HungUp"), "{}", caller.output());
    types(&mut callers, "h");
    assert_eq!(caller.wait(GENEROUS), 0);
    assert!(caller.output().contains("HungUp"), "{}", caller.output());
    // The one call is still to come.
    let call = ["phone", "--server", &at, "--dial", "100", "--press", ",,,,,,1"];
    let _caller = ground.run("second", Command::new(TIERLINE).args(call));
    event(&agent, "Incoming", GENEROUS);
    types(&mut agents, "d");
    assert_eq!(agent.wait(GENEROUS), 0, "{}", agent.output());
    assert!(!agent.output().contains("Connected"), "{}", agent.output());
    drop(server);
}
