//! Configurations that are right and wrong, on disk and built in.

use super::*;
use crate::ids::{AgentId, QueueId, Rng};
use std::fs;
use std::time::Duration;

const DEMO: &str = include_str!("../../deploy/tierline.toml");

/// A directory of its own with a demo in it, removed at the end.
struct Demo(PathBuf);

impl Demo {
    fn new(name: &str, config: &str) -> Demo {
        let dir = std::env::temp_dir().join(format!("tierline-config-{}-{name}", std::process::id()));
        let demo = Demo(dir);
        for (path, bytes) in source::EMBEDDED {
            demo.write(path, bytes);
        }
        demo.write(source::DEMO, config.as_bytes());
        demo
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(Some(&self.0.join(source::DEMO)))
    }

    /// What is told, with paths relative to the directory.
    fn told(&self) -> Vec<String> {
        let told = match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(problems) => problems.0,
        };
        let dir = format!("{}/", self.0.display());
        told.iter().map(|problem| problem.to_string().replace(&dir, "")).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn the_demo_is_complete_inside_the_program() {
    let loaded = load_embedded().unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.file, "(built in) deploy/tierline.toml");
    let center = &loaded.center;
    assert_eq!(center.line_for("100").unwrap().flow.as_str(), "support");
    assert_eq!(center.queues.keys().map(QueueId::as_str).collect::<Vec<_>>(), ["general", "technical"]);
    let users: Vec<_> = center.agents.values().map(|agent| (agent.id.0, agent.user.as_str())).collect();
    assert_eq!(users, [(1001, "ada"), (1002, "ben"), (1003, "cleo"), (1004, "dan")]);
    assert_eq!((center.codes.ready.as_str(), center.codes.not_ready.as_str()), ("*1", "*0"));
    assert_eq!(loaded.sounds.len(), 9);
    for sound in &loaded.sounds {
        assert!(sound.recording.is_some() && sound.speak.is_none(), "{} is recorded as written", sound.name);
    }
}

/// Nothing lies in the demo's directories that the program does not carry, and the reverse.
#[test]
fn the_demo_inside_the_program_is_the_one_beside_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for dir in ["deploy", "ivr-flows", "ivr-flows/sounds"] {
        let entries = fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        found.extend(files.map(|entry| format!("{dir}/{}", entry.file_name().to_str().unwrap())));
    }
    found.sort();
    let mut carried: Vec<&str> = source::EMBEDDED.iter().map(|(path, _)| *path).collect();
    carried.sort_unstable();
    assert_eq!(found, carried);
}

#[test]
fn what_the_demo_writes_are_the_defaults() {
    let bare = "version = 1\n[center]\nname = \"Demo Support\"\n[line.support]\nnumbers = [\"100\"]\n\
        flow = \"support\"\n[queue.general]\n[queue.technical]\n[agent.1001]\nuser = \"ada\"\n";
    let (demo, bare) = (Demo::new("full", DEMO).load().unwrap(), Demo::new("bare", bare).load().unwrap());
    assert_eq!(demo.server, bare.server);
    assert_eq!((&demo.center.limits, &demo.center.codes), (&bare.center.limits, &bare.center.codes));
    assert_eq!(demo.center.lines, bare.center.lines);
    let general = QueueId::new("general");
    assert_eq!(demo.center.queues[&general], bare.center.queues[&general]);
    assert_eq!(bare.center.agents[&AgentId(1001)].name, "ada");
    assert_eq!(bare.warnings.len(), 2, "nobody serves the queues");
}

#[test]
fn settings_are_read_as_written() {
    let config = DEMO
        .replace("ring_timeout = \"20s\"", "ring_timeout = \"1m30s\"")
        .replace("bind = \"127.0.0.1:5060\"", "bind = \"0.0.0.0:5060\"\nadvertised = \"203.0.113.5:5080\"")
        .replace("# password_file = \"passwords\"", "password_file = \"passwords\"")
        .replace("# planes = 2", "planes = 2");
    let demo = Demo::new("written", &config);
    demo.write("deploy/passwords", b"# demo\nada:long enough\nben:long:enough\n\ncleo:12345678\r\ndan:12345678\n");
    let loaded = demo.load().unwrap();
    assert_eq!(loaded.center.queues[&QueueId::new("general")].ring_timeout, Duration::from_secs(90));
    let server = loaded.server;
    assert_eq!(server.sip.bind.to_string(), "0.0.0.0:5060");
    assert_eq!(server.sip.advertised.to_string(), "203.0.113.5:5080");
    assert_eq!(
        (server.media.bind.to_string(), server.media.advertised.to_string()),
        ("0.0.0.0".into(), "203.0.113.5".into())
    );
    assert_eq!((server.media.planes, server.media.ports), (Some(2), (20_000, 59_999)));
    let passwords = passwords(&server.password_file.unwrap(), &loaded.center).unwrap();
    assert_eq!((passwords["ben"].as_str(), passwords["cleo"].as_str()), ("long:enough", "12345678"));
}

/// The demo with `from` replaced by `to`; each problem or warning is expected as a place and a part of its message.
fn check(from: &str, to: &str, expect: &[(&str, &str)]) {
    assert!(DEMO.contains(from), "{from}");
    let demo = Demo::new("check", &DEMO.replace(from, to));
    let told = demo.told();
    let fits = |(told, (place, part)): (&String, &(&str, &str))| {
        let line = DEMO[..DEMO.find(from).unwrap()].matches('\n').count() + 1;
        let place = match place.strip_prefix('+') {
            Some(place) => {
                let (down, column) = place.split_once(':').unwrap();
                format!("deploy/tierline.toml:{}:{column}", line + down.parse::<usize>().unwrap())
            }
            None => place.to_string(),
        };
        told.starts_with(&format!("{place}: ")) && told.contains(part)
    };
    let all = told.len() == expect.len() && told.iter().zip(expect).all(fits);
    assert!(all, "{to}\nexpected {expect:#?}\ntold {told:#?}");
}

/// A place `+2:5` is two lines below the replaced text, column 5.
#[test]
fn wrong_settings_are_told_with_place_and_what_is_allowed() {
    check("version = 1", "version = 2", &[("+0:11", "`version` is 2; allowed: a whole number from 1 to 1")]);
    check("name = \"Demo Support\"", "", &[("+-1:2", "`center` lacks `name`")]);
    check("domains = []", "domains = [\"exa mple\"]", &[("+0:12", "allowed: a domain such as")]);
    check("\"UTC\" ", "\"Mars\" ", &[("+0:13", "allowed: an IANA time zone such as")]);
    check("numbers = [\"100\"]", "numbers = []", &[("+0:11", "the line `support` has no number")]);
    check(
        "numbers = [\"100\"]",
        "numbers = [100]",
        &[("+0:11", "the line `support` has no number"), ("+0:12", "`numbers` is 100; allowed: 1 to 32 of 0-9")],
    );
    check("numbers = [\"100\"]", "numbers = [\"1001\"]", &[("+33:8", "the number 1001 belongs to the line `support`")]);
    check("flow = \"support\"", "flow = \"sales\"", &[("+0:8", "ivr-flows/sales.toml is no file")]);
    check("flow = \"support\"", "flow = \"../x\"", &[("+0:8", "allowed: the name of a flow (1 to 64 of a-z")]);
    check(
        "ring_timeout = \"20s\"",
        "ring_timeout = \"900s\"",
        &[("+0:16", "`ring_timeout` is \"900s\"; allowed: \"1s\" to \"5m\", written like \"20s\"")],
    );
    check("max_waiting = 1000", "max_waiting = 0.5", &[("+0:15", "`max_waiting` is a fraction; allowed: a whole")]);
    check("music = \"hold-music\"", "music = \"jazz\"", &[("+0:9", "ivr-flows/sounds/jazz.wav is no file")]);
    check("[queue.technical]", "[queue.Tech]", &[("ivr-flows/support.toml:0:0", "")]);
}
