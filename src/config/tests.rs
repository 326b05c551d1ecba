//! Configurations that are right and wrong, on disk and built in.

use super::*;
use crate::center::Srtp;
use crate::center::{Ageing, Membership, NotReadyReason, RingPlan, Selection, WrapUp};
use crate::ids::{AgentId, QueueId, Rng};
use crate::media::{Codec, Protection};
use crate::written::mangled;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

const DEMO: &str = include_str!("../../deploy/tierline.toml");

/// A directory of its own with a demo in it, removed at the end.
struct Demo(PathBuf);

impl Demo {
    fn new(name: &str, config: &str) -> Demo {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let dir = std::env::temp_dir().join(format!("tierline-config-{}-{number}-{name}", std::process::id()));
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
        load(Some(&self.0.join(source::DEMO))).map_err(|refused| refused.problems)
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

    /// A line such as `file:2:5: message` as the text that stands there, or the file, and the message.
    fn pointed_at(&self, told: &str) -> (String, String) {
        let (place, message) = told.split_once(": ").unwrap();
        let mut parts = place.split(':');
        let (file, line) = (parts.next().unwrap(), parts.next().map(|n| n.parse::<usize>().unwrap()));
        let Some(line) = line else { return (file.into(), message.into()) };
        let column: usize = parts.next().unwrap().parse().unwrap();
        let text = fs::read_to_string(self.0.join(file)).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let at = lines[line - 1].chars().skip(column - 1).collect::<String>() + &lines[line..].concat();
        (at, message.into())
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
    assert_eq!(center.line_for("200").unwrap().flow.as_str(), "desk");
    let queues: Vec<&str> = center.queues.keys().map(QueueId::as_str).collect();
    assert_eq!(queues, ["general", "level1", "level2", "screeners", "technical"]);
    let users: Vec<_> = center.agents.values().map(|agent| (agent.id.0, agent.user.as_str())).collect();
    assert_eq!(users, [(1001, "ada"), (1002, "ben"), (1003, "cleo"), (1004, "dan")]);
    assert_eq!((center.codes.ready.as_str(), center.codes.not_ready.as_str()), ("*1", "*0"));
    assert!(loaded.sounds.len() > 100, "{} sounds", loaded.sounds.len());
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
        // Beside the configuration lies what containers and services need.
        let of_demo = |path: &Path| dir != "deploy" || path.extension().is_some_and(|extension| extension == "toml");
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file() && of_demo(&entry.path()));
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
    let without_places = |server: &ServerSettings| {
        let mut server = ServerSettings { http_place: (0, 0), ..server.clone() };
        server.media.place = (0, 0);
        server.cti = None; // none without its table
        server.sip.listeners.iter_mut().for_each(|listener| listener.place = (0, 0));
        server
    };
    assert_eq!(without_places(&demo.server), without_places(&bare.server));
    assert_eq!((&demo.center.limits, &demo.center.codes), (&bare.center.limits, &bare.center.codes));
    let support = crate::ids::LineId::new("support");
    assert_eq!(demo.center.lines[&support], bare.center.lines[&support]);
    let general = QueueId::new("general");
    assert_eq!(demo.center.queues[&general], bare.center.queues[&general]);
    assert_eq!(bare.center.agents[&AgentId(1001)].name, "ada");
    assert_eq!(bare.warnings.len(), 2, "nobody serves the queues");
}

/// A row of the page says something, and each setting has one.
#[test]
fn the_page_of_settings_has_a_meaning_for_each_and_each_once() {
    let mut wrong = Vec::new();
    for table in reference::tables().into_iter().filter(|table| table.name != "hours.NAME") {
        for (n, setting) in table.settings.iter().enumerate() {
            let key = &setting.key;
            let says = setting.meaning.trim();
            if says.is_empty() {
                wrong.push(format!("`{key}` of [{}] means nothing", table.name));
            }
            if says.matches('(').count() != says.matches(')').count() {
                wrong.push(format!("`{key}` of [{}] is torn: {says}", table.name));
            }
            if table.settings[..n].iter().any(|other| other.key == *key) {
                wrong.push(format!("`{key}` of [{}] is there twice", table.name));
            }
        }
    }
    assert!(wrong.is_empty(), "in deploy/tierline.toml: {wrong:#?}");
}

/// Asks the reader itself: a setting that is none is answered with all that there are.
#[test]
fn the_page_of_settings_lacks_none_that_the_reader_knows() {
    let (mut asked, mut missing) = (0, Vec::new());
    // A calendar's settings are days, each explained by one.
    for table in reference::tables().into_iter().filter(|table| table.name != "hours.NAME") {
        let line = DEMO.lines().find(|line| {
            let name = line.trim_start_matches("# ").trim_start_matches('[').split(']').next().unwrap_or_default();
            let kind = table.name.trim_end_matches("NAME").trim_end_matches("NUMBER");
            line.trim_start_matches("# ").starts_with('[')
                && (name == table.name || kind.ends_with('.') && name.starts_with(kind))
        });
        let line = line.unwrap_or_else(|| panic!("there is no [{}]", table.name));
        let demo = Demo::new("page", &DEMO.replacen(line, &format!("{}\nzzz = 1", line.trim_start_matches("# ")), 1));
        let told = demo.told();
        let Some(allowed) =
            told.iter().find_map(|told| told.split_once("zzz").and_then(|(_, rest)| rest.split_once("allowed: ")))
        else {
            continue; // a setting that it must have is told in its place
        };
        asked += 1;
        let subtable = |key: &str| DEMO.contains(&format!("[{}.{key}", table.name));
        for key in allowed.1.split(';').next().unwrap_or_default().split(", ").map(str::trim) {
            if !table.settings.iter().any(|setting| setting.key == key) && !subtable(key) {
                missing.push(format!("`{key}` of [{}]", table.name));
            }
        }
    }
    assert!(missing.is_empty(), "explained nowhere in deploy/tierline.toml: {missing:#?}");
    assert!(asked >= 15, "only {asked} tables said what they know");
}

#[test]
fn settings_are_read_as_written() {
    let config = DEMO
        .replace("ring_timeout = \"20s\"", "ring_timeout = \"1m30s\"")
        .replace("bind = \"127.0.0.1:5060\"", "bind = \"0.0.0.0:5060\"\nadvertised = \"203.0.113.5:5080\"")
        .replace("# password_file = \"passwords\"", "password_file = \"passwords\"")
        .replace("# planes = 2", "planes = 2")
        .replacen("target = \"20s\"", "target = \"45s\"", 1)
        .replace("agent_series = false", "agent_series = true");
    let demo = Demo::new("written", &config);
    demo.write("deploy/passwords", b"# demo\nada:long enough\nben:long:enough\n\ncleo:12345678\r\ndan:12345678\n");
    let loaded = demo.load().unwrap();
    assert_eq!(loaded.center.queues[&QueueId::new("general")].ring_timeout, Duration::from_secs(90));
    assert_eq!(loaded.center.queues[&QueueId::new("general")].target, Duration::from_secs(45));
    let server = loaded.server;
    assert!(server.agent_series);
    assert_eq!(server.sip.listeners[0].bind.to_string(), "0.0.0.0:5060");
    assert_eq!(server.sip.listeners[1].advertised.to_string(), "203.0.113.5:5080");
    assert_eq!(
        (server.media.bind.to_string(), server.media.advertised.to_string()),
        ("0.0.0.0".into(), "203.0.113.5".into())
    );
    assert_eq!((server.media.planes, server.media.ports), (Some(2), (20_000, 59_999)));
    let passwords = passwords(&server.password_file.unwrap(), &loaded.center).unwrap();
    assert_eq!((passwords["ben"].as_str(), passwords["cleo"].as_str()), ("long:enough", "12345678"));
}

#[test]
fn listeners_certificates_and_limits_of_connections() {
    use crate::sip::Transport;
    let more = "\n[[server.sip.listen]]\ntransport = \"tls\"\nbind = \"127.0.0.1:5061\"\n\
        [[server.sip.listen]]\ntransport = \"udp\"\nbind = \"[::1]:5070\"\nadvertised = \"[2001:db8::1]:5060\"\n\
        [server.sip.tls]\ncertificate = \"own.pem\"\nkey = \"key.pem\"\n";
    let with = |bind: &str| DEMO.replacen("bind = \"127.0.0.1:5060\"", &format!("{bind}{more}"), 1);
    let loaded = Demo::new("listeners", &with("bind = \"127.0.0.1:5060\"")).load().unwrap();
    let told = |loaded: &Loaded| {
        let shown = |l: &SipListener| format!("{} {} {}", l.transport.as_str(), l.bind, l.advertised);
        loaded.server.sip.listeners.iter().map(shown).collect::<Vec<_>>()
    };
    let [udp, tcp] = ["UDP", "TCP"].map(|transport| format!("{transport} 127.0.0.1:5060 127.0.0.1:5060"));
    let listed = ["TLS 127.0.0.1:5061 127.0.0.1:5061".to_owned(), "UDP [::1]:5070 [2001:db8::1]:5060".to_owned()];
    assert_eq!(told(&loaded), [&[udp, tcp], &listed[..]].concat());
    assert_eq!(told(&Demo::new("listed", &with("")).load().unwrap()), listed, "without `bind` only what is listed");
    let sip = loaded.server.sip;
    assert!(sip.tls.own.is_some_and(|(file, key)| file.ends_with("deploy/own.pem") && key.ends_with("key.pem")));
    assert_eq!((sip.tls.trust, sip.connections), (None, ConnectionSettings::default()));
    let usual = &Demo::new("usual", DEMO).load().unwrap().server.sip.listeners;
    assert_eq!(usual.iter().map(|l| l.transport).collect::<Vec<_>>(), [Transport::Udp, Transport::Tcp]);

    let bind = "bind = \"127.0.0.1:5060\"";
    let listen = |text: &str| format!("{bind}\n[[server.sip.listen]]\n{text}");
    check(bind, &listen("transport = \"sctp\"\nbind = \"127.0.0.1:1\""), &[("\"sctp\"", "\"udp\", \"tcp\" or")]);
    check(bind, &listen("transport = \"tls\""), &[("listen]]", "lacks `bind`")]);
    check(bind, &listen("transport = \"tls\"\nbind = \"127.0.0.1:5060\""), &[("sip]", "two listeners share")]);
    check(bind, &listen("transport = \"tls\"\nbind = \"192.0.2.1:1\""), &[("\"192", "name a `password_file`")]);
    let heard_at = |audio: &str| listen(&format!("transport = \"tls\"\nbind = \"127.0.0.1:1\"\naudio = \"{audio}\""));
    check(bind, &heard_at("203.0.113.9"), &[]);
    check(bind, &heard_at("0.0.0.0"), &[("\"0.0.0.0\"", "an address that others can send to")]);
    check(bind, &heard_at("2001:db8::1"), &[("\"127.0.0.1:1\"", "is of another kind than 127.0.0.1")]);
    let spoken =
        |media: &str| format!("{bind}\n[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"[::1]:5070\"\n{media}");
    let both = |media: &str| {
        let text = DEMO.replacen(bind, &spoken(""), 1).replacen("# bind = \"127.0.0.1\" ", &format!("{media} # "), 1);
        let media = Demo::new("spoken", &text).load().unwrap().server.media;
        let other = media.other.map(|other| format!(" {} {}", other.bind, other.advertised));
        format!("{} {}{}", media.bind, media.advertised, other.unwrap_or_default())
    };
    assert_eq!(both(""), "127.0.0.1 127.0.0.1 ::1 ::1", "where SIP is");
    assert_eq!(both("bind = \"127.0.0.2\""), "127.0.0.2 127.0.0.2", "as it is written");
    assert_eq!(both("bind = [\"::1\", \"127.0.0.2\"]"), "::1 ::1 127.0.0.2 127.0.0.2");
    assert_eq!(both("advertised = [\"2001:db8::5\", \"203.0.113.5\"]"), "127.0.0.1 203.0.113.5 ::1 2001:db8::5");
    assert_eq!(both("advertised = \"2001:db8::5\""), "127.0.0.1 127.0.0.1 ::1 2001:db8::5");
    let alike = "addresses of the same kind";
    check("# bind = \"127.0.0.1\" ", "bind = [\"127.0.0.1\", \"127.0.0.2\"] #", &[("[\"127", alike)]);
    check("# bind = \"127.0.0.1\" ", "bind = [] #", &[("[]", "or none")]);
    let kind = "an address of the kind of 127.0.0.1";
    check("# bind = \"127.0.0.1\" ", "advertised = \"2001:db8::5\" #", &[("\"2001:db8::5\"", kind)]);
    let half = format!("{bind}\n[server.sip.tls]\nkey = \"key.pem\"");
    check(bind, &half, &[("\"key.pem\"", "belong together")]);
    check("idle = \"1h\"", "idle = \"1s\"", &[("\"1s\"", "10s")]);
    let among = "SIP on udp 127.0.0.1:30000 lies among the ports of audio, 20000 to 59999";
    check(bind, "bind = \"127.0.0.1:30000\"", &[("[20000", among)]);
    check(bind, &listen("transport = \"tcp\"\nbind = \"127.0.0.1:30000\""), &[]);
    // Where SIP is spoken over both kinds of addresses, audio is too.
    let among = "SIP on udp [::1]:30000 lies among the ports of audio, 20000 to 59999";
    check(bind, &listen("transport = \"udp\"\nbind = \"[::1]:30000\""), &[("[20000", among)]);
    check(
        "ports = [20000, 59999]",
        "bind = \"0.0.0.0\"\nports = [5000, 9999]",
        &[("[5000", "SIP on udp 127.0.0.1:5060")],
    );
    check("most = 10000", "most = 0", &[("0", "1 to 100000")]);
    check(bind, &format!("{bind}\nname_servers = [\"dns\"]"), &[("\"dns\"", "an IP address")]);
}

/// Those of IPv4 have a listener of their own, if they are told where to send to.
#[test]
fn a_listener_at_any_address_of_ipv6_has_a_twin_of_ipv4() {
    let any = |advertised: &str, more: &str| {
        let text = format!("bind = \"[::]:5060\"\nadvertised = {advertised}\n{more}[server.sip.tls]\n");
        let text = DEMO
            .replacen("bind = \"127.0.0.1:5060\"", &text, 1)
            .replace("# password_file = \"passwords\"", "password_file = \"p\"");
        let demo = Demo::new("any", &text);
        demo.write("deploy/p", b"ada:12345678\nben:12345678\ncleo:12345678\ndan:12345678\n");
        let listeners = demo.load().unwrap().server.sip.listeners.into_iter();
        let shown = |l: SipListener| format!("{} {} {}", l.transport.as_str(), l.bind, l.advertised);
        listeners.map(shown).filter(|listener| !listener.starts_with("TCP")).collect::<Vec<_>>()
    };
    let (four, six) = ("203.0.113.5:5060", "[2001:db8::5]:5060");
    let at = |bind: &str, told: &str| format!("UDP {bind}:5060 {told}");
    assert_eq!(any(&format!("\"{four}\""), ""), [at("[::]", four), at("0.0.0.0", four)]);
    assert_eq!(any(&format!("\"{six}\""), ""), [at("[::]", six)]);
    assert_eq!(any(&format!("[\"{four}\", \"{six}\"]"), ""), [at("[::]", six), at("0.0.0.0", four)]);
    let own = "[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"127.0.0.1:5060\"\n";
    assert_eq!(any(&format!("\"{four}\""), own), [at("[::]", four), at("127.0.0.1", "127.0.0.1:5060")]);
    let bind = "bind = \"127.0.0.1:5060\"";
    let two = "bind = \"127.0.0.1:5060\"\nadvertised = [\"203.0.113.5:1\", \"[2001:db8::5]:1\"]";
    check(bind, two, &[("[\"203", "one of IPv4 and one of IPv6 where `bind` is [::]")]);
}

#[test]
fn trunks_are_read_and_their_mistakes_are_told() {
    let with = |table: &str| format!("[trunk.carrier]\n{table}\n[codes]");
    let good = "addresses = [\"192.0.2.7\", \"198.51.100.0/24\"]\nserver = \"sip.carrier.example;transport=tls\"\n\
        user = \"account\"\npassword_file = \"carrier.password\"\nregister = \"10m\"\ncountry = \"49\"\n\
        allowed = [\"+49\", \"112\"]\noutgoing = { calls = 3 }\noptions = \"0s\"";
    let loaded = Demo::new("trunks", &DEMO.replacen("[codes]", &with(good), 1)).load().unwrap();
    let trunk = loaded.center.trunks.values().next().unwrap();
    assert_eq!((trunk.peers.len(), trunk.outgoing.calls, trunk.incoming.calls, trunk.options), (2, 3, 100, None));
    assert!(trunk.allows("+4930123456") && trunk.allows("112") && !trunk.allows("+33123"));
    assert!(loaded.server.trunk_passwords.values().all(|file| file.ends_with("deploy/carrier.password")));

    let check = |table: &str, expect: &[(&str, &str)]| super::tests::check("[codes]", &with(table), expect);
    check("", &[("carrier]", "has no `addresses` that calls come from and no `server`")]);
    check("addresses = [\"carrier\"]\nserver = \"x\"", &[("\"carrier\"", "allowed: an IP address, a network")]);
    check("server = \"a@b\"\naddresses = [\"192.0.2.7\"]", &[("\"a@b\"", "a name or address, with or without")]);
    check("server = \"x;transport=sctp\"\naddresses = [\"192.0.2.7\"]", &[("\"x;", "(udp, tcp, tls)")]);
    check("server = \"x\"\nuser = \"u\"", &[("carrier]", "only one of `user` and `password_file`")]);
    check("server = \"x\"\nregister = \"10m\"", &[("carrier]", "has `register`; that needs")]);
    check("server = \"x\"\naccept_digest = true", &[("carrier]", "no `user` that could be proven")]);
    check("addresses = [\"192.0.2.7\"]\nallowed = [\"+49\"]", &[("carrier]", "has `allowed` and no `server`")]);
    for (srtp, expect) in [("off", Srtp::Off), ("optional", Srtp::Optional), ("required", Srtp::Required)] {
        let written = DEMO.replacen("[codes]", &with(&format!("{good}\nsrtp = \"{srtp}\"")), 1);
        let loaded = Demo::new("trunks", &written).load().unwrap();
        assert_eq!(loaded.center.trunks.values().next().unwrap().srtp, Some(expect));
    }
    assert_eq!(trunk.srtp, None);
    check("server = \"x\"\nsrtp = \"yes\"", &[("\"yes\"", "allowed: \"off\", \"optional\" or \"required\"")]);
    for server in ["x", "x;transport=tcp"] {
        let table = format!("server = \"{server}\"\nsrtp = \"optional\"");
        check(&table, &[("carrier]", "has `srtp` and no `server` with \";transport=tls\"")]);
    }
    check("server = \"x\"\noptions = \"2s\"", &[("\"2s\"", "\"0s\" for none, or \"5s\" to \"1h\"")]);
    check("server = \"x\"\nnumber = \"030123\"", &[("\"030123\"", "a number in the form of E.164")]);
    check("server = \"x\"\nallowed = [\"*\"]", &[("\"*\"", "with +, what numbers begin with")]);
    let over = |server: &str, listener: &str| format!("server = \"{server}\"\nlistener = \"{listener}\"");
    check(&over("sip.carrier.example", "127.0.0.1:5060"), &[]);
    check(&over("127.0.0.9;transport=tcp", "127.0.0.1:5060"), &[]);
    check(
        &over("x", "127.0.0.1:5062"),
        &[("\"127.0.0.1:5062\"", "where no SIP is spoken; allowed: a `bind` of [server.sip]")],
    );
    check(&over("x;transport=tls", "127.0.0.1:5060"), &[("\"127.0.0.1:5060\"", "is reached at x by TLS, and nothing")]);
    check(&over("[::1]", "127.0.0.1:5060"), &[("\"127.0.0.1:5060\"", "is reached at [::1] by UDP, and nothing")]);
    let only = "addresses = [\"192.0.2.7\"]\nlistener = \"127.0.0.1:5060\"";
    check(only, &[("carrier]", "has `listener` and no `server`")]);
    check("server = \"x\"\nadresses = []", &[("adresses", "did you mean \"addresses\"?")]);
}

#[test]
fn an_agent_s_number_must_be_one_that_a_trunk_may_call() {
    check("name = \"Ben\"", "name = \"Ben\"\nnumber = \"+4930123\"", &[("\"+4930123\"", "no trunk may call +4930123")]);
    check("[queue.technical]", "[queue.technical]\ntransfers = [\"0\"]", &[("technical]", "no trunk may call that")]);
    check(
        "[queue.technical]",
        "[queue.technical]\ntransfers = [\"x\"]",
        &[("\"x\"", "with +, what numbers begin with")],
    );
    check("name = \"Ben\"", "name = \"Ben\"\nnumber = \"112\"", &[("\"112\"", "a number in the form of E.164")]);
}

/// Nobody is refused for it: an agent may be given the skill while callers wait.
#[test]
fn skills_that_nobody_has_are_told() {
    let demo = Demo::new("skills", DEMO);
    assert_eq!(demo.told(), Vec::<String>::new());
    let desk = String::from_utf8(fs::read(demo.0.join("ivr-flows/desk.toml")).unwrap()).unwrap();
    let network = "skills = { network = 3 }";
    let rows = [
        ("skills = { netwrk = 3 }", "no agent has the skill `netwrk`; did you mean \"network\"?"),
        ("skills = { network = 10 }", "no agent of the queue `level1` has what is asked for: network 10"),
        // Each has one of them.
        (
            "skills = { network = 8, accounts = 5 }",
            "no agent of the queue `level1` has what is asked for: accounts 5, network 8",
        ),
        ("skills = { network = 8, hardware = 3 }", ""),
        ("skills = {}", ""),
    ];
    for (skills, expect) in rows {
        demo.write("ivr-flows/desk.toml", desk.replacen(network, skills, 1).as_bytes());
        let told: Vec<_> = demo.told().iter().map(|told| demo.pointed_at(told)).collect();
        let wanted: Vec<&str> = Some(expect).filter(|expect| !expect.is_empty()).into_iter().collect();
        let messages: Vec<&str> = told.iter().map(|(_, message)| message.as_str()).collect();
        assert_eq!(messages, wanted, "{skills}");
        let written = skills.trim_start_matches("skills = ");
        assert!(told.iter().all(|(text, _)| text.starts_with(written)), "{skills}: {told:?}");
    }
    let relax = |step: &str| format!("[queue.level1]\nrelax = [{{ after = \"1m\", {step} }}]");
    let unknown = [("{ after", "no agent has the skill `netwrk`; did you mean \"network\"?")];
    check("[queue.level1]", &relax("remove = [\"netwrk\"]"), &unknown);
    check("[queue.level1]", &relax("lower = { netwrk = 1 }"), &unknown);
    check("[queue.level1]", &relax("lower = { network = 1 }"), &[]);
    // What nobody ever waits out is met.
    demo.write("ivr-flows/desk.toml", desk.replacen(network, "skills = { network = 10 }", 1).as_bytes());
    let relaxed = DEMO.replacen("[queue.level1]", &relax("lower = { network = 8 }"), 1);
    demo.write(source::DEMO, relaxed.as_bytes());
    assert_eq!(demo.told(), Vec::<String>::new());
}

/// Each of the two flows is right by itself.
#[test]
fn flows_that_lead_to_each_other_for_ever_are_a_mistake() {
    let demo = Demo::new("circle", DEMO);
    for (flow, to) in [("support", "desk"), ("desk", "support")] {
        let text = format!("version = 1\nstart = \"a\"\n[step.a]\nflow = \"{to}\"\n");
        demo.write(&format!("ivr-flows/{flow}.toml"), text.as_bytes());
    }
    let told = demo.told();
    assert_eq!(told.len(), 1, "{told:#?}");
    let circle = "a caller who presses no key would go round for ever: desk.a → support.a → desk.a;";
    assert!(told[0].starts_with("ivr-flows/support.toml:4:8: ") && told[0].contains(circle), "{told:#?}");
}

/// The rare settings of SIP stand in the demo as comments: what they say is what holds without them.
#[test]
fn what_the_demo_writes_as_comments_are_the_defaults_too() {
    let names = ["sessions", "timers", "limits"];
    let mut inside = false;
    let uncommented = DEMO.lines().map(|line| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        inside = match bare.strip_prefix("[server.sip.").and_then(|rest| rest.split_once(']')) {
            Some((name, _)) => names.contains(&name),
            None => inside && line.starts_with('#'),
        };
        let rare = ["most = 50000", "nonce_life", "digest = \"md5\""].iter().any(|key| bare.starts_with(key));
        if inside || rare { bare } else { line }
    });
    let text = uncommented.collect::<Vec<_>>().join("\n");
    let written = ["on = true", "interval", "t1", "t4", "message = 65535", "queries", "nonce_life", "digest"];
    assert!(written.iter().all(|key| text.contains(&format!("\n{key}"))), "{text}");
    let protocol = |text: &str| Demo::new("comments", text).load().unwrap().server.sip.protocol;
    assert_eq!((protocol(&text), protocol(DEMO)), (Protocol::default(), Protocol::default()));
}

#[test]
fn timers_registration_guard_and_limits_of_sip() {
    let more = "[server.sip.timers]\nt1 = \"1s\"\n[server.sip.sessions]\non = false\ninterval = \"10m\"\n\
        [server.sip.limits]\nmessage = 4096\ntransactions = 500\nforks = 2\npath = 1\n[server.http]";
    let config = DEMO
        .replace("[server.http]", more)
        .replace("keepalive = \"30s\"", "keepalive = \"off\"")
        .replace("phones = 8", "phones = 2")
        .replace("unread = 262144", "unread = 16384")
        .replace("unheard = 67108864", "unheard = 1048576")
        .replace("\"127.0.0.0/8\", ", "\"198.51.100.0/24\", ")
        .replace("# digest = \"md5\"", "digest = \"sha-256\"");
    let sip = Demo::new("protocol", &config).load().unwrap().server.sip;
    assert!(sip.listeners.iter().all(|listener| listener.digest == crate::sip::digest::Algorithm::Sha256));
    let mut endpoint = crate::sip::Config::new(Vec::new(), "x");
    sip.protocol.apply(&mut endpoint);
    assert_eq!((endpoint.timing.t1, endpoint.timing.t2), (Duration::from_secs(1), Duration::from_secs(4)));
    assert_eq!((endpoint.sessions.on, endpoint.sessions.interval.as_secs()), (false, 600));
    assert_eq!((endpoint.keepalive, endpoint.capacity.bindings_per_user), (None, 2));
    assert_eq!((endpoint.limits.message_bytes, endpoint.capacity.transactions), (4_096, 500));
    assert_eq!((endpoint.capacity.forks, endpoint.capacity.path), (2, 1));
    assert_eq!((sip.connections.unread, sip.connections.unheard), (16_384, 1 << 20));
    let trusts = ["198.51.100.7", "127.0.0.1", "::1"].map(|ip| endpoint.guard.trusts(ip.parse().unwrap()));
    assert_eq!(trusts, [true, false, true]);

    let table = |text: &str| format!("[server.sip.{text}\n[server.http]");
    let http = "[server.http]";
    check(
        http,
        &table("timers]\nt1 = \"4s\"\nt2 = \"2s\""),
        &[("\"4s\"", "`t1` is \"4s\", above `t2`, which is \"2s\"")],
    );
    check(http, &table("timers]\nt1 = \"1ms\""), &[("\"1ms\"", "\"50ms\" to \"5s\"")]);
    check(http, &table("sessions]\nmin = \"30s\""), &[("\"30s\"", "\"1m30s\" to \"1h\"")]);
    check(http, &table("sessions]\ninterval = \"2m\"\nmin = \"3m\""), &[("\"3m\"", "above `interval`")]);
    check(http, &table("limits]\nheaders = 5"), &[("5", "16 to 4096")]);
    check(http, &table("limits]\nforks = 0"), &[("0", "1 to 256")]);
    check(http, &table("limits]\npath = 65"), &[("65", "1 to 64")]);
    check("unread = 262144", "unread = 1000", &[("1000", "16384 to 16777216")]);
    check("min = \"1m\"", "min = \"10m\"", &[("\"5m\"", "`min` is \"10m\", above `default`")]);
    check("default = \"5m\"  ", "default = \"2h\"  ", &[("\"2h\"", "above `max`")]);
    check("keepalive = \"30s\"", "keepalive = \"on\"", &[("\"on\"", "\"5s\" to \"1h\"")]);
    check("limit = 10 ", "limit = 0 ", &[("0", "1 to 10000")]);
    check("\"127.0.0.0/8\"", "\"127.0.0.1/8\"", &[("\"127", "did you mean 127.0.0.0/8?")]);
    check("# digest = \"md5\"", "digest = \"sha1\"", &[("\"sha1\"", "\"md5\" or \"sha-256\"")]);
}

#[test]
fn a_flow_is_no_configuration_and_is_told_so_once() {
    let demo = Demo::new("a-flow", DEMO);
    let flow = demo.0.join("ivr-flows/support.toml");
    let refused = load(Some(&flow)).unwrap_err();
    let [problem] = refused.problems.0.as_slice() else { panic!("{}", refused.problems) };
    assert!(problem.to_string().starts_with(&format!("{}: this is a flow", flow.display())), "{problem}");
}

/// The demo with `from` replaced by `to`. Each problem or warning is expected as the text at which it points (or the
/// file, if it points nowhere) and a part of its message.
fn check(from: &str, to: &str, expect: &[(&str, &str)]) {
    assert!(DEMO.contains(from), "{from}");
    let demo = Demo::new("check", &DEMO.replacen(from, to, 1));
    let told: Vec<(String, String)> = demo.told().iter().map(|told| demo.pointed_at(told)).collect();
    let fits = |((at, message), (text, part)): (&(String, String), &(&str, &str))| {
        at.starts_with(text) && message.contains(part)
    };
    let all = told.len() == expect.len() && told.iter().zip(expect).all(fits);
    assert!(all, "{to}\nexpected {expect:#?}\ntold {told:#?}");
}

#[test]
fn wrong_settings_are_told_with_place_and_what_is_allowed() {
    check("version = 1", "version = 2", &[("2\n", "`version` is 2; allowed: a whole number from 1 to 1")]);
    check("version = 1", "version = 1\n[", &[("\n", "this is no TOML")]);
    check("name = \"Demo Support\"", "", &[("center]", "`center` lacks `name`")]);
    check("domains = []", "domains = [\"exa mple\"]", &[("\"exa", "allowed: a domain such as")]);
    check("\"UTC\" ", "\"Mars\" ", &[("\"Mars", "allowed: an IANA time zone such as")]);
    check("\"UTC\" ", "\"Europe/Berln\" ", &[("\"Europe", "or \"UTC\"; did you mean \"Europe/Berlin\"?")]);
    check("\"UTC\" ", "\"Asia/Kathmandu\" ", &[]);
    check("\"en\"  ", "\"xx\"  ", &[("\"xx", "no language has the code \"xx\"")]);
    check("\"en\"  ", "\"en_GB\"  ", &[("\"en_GB", "did you mean \"en-GB\"?")]);
    check("numbers = [\"100\"]", "numbers = []", &[("[]", "the line `support` has no number")]);
    check("numbers = [\"100\"]", "numbers = [100]", &[("100]", "`numbers` is 100; allowed: 1 to 32 of 0-9")]);
    let taken = "the number 1001 belongs to the line `support`";
    check("numbers = [\"100\"]", "numbers = [\"1001\"]", &[("1001]", taken)]);
    check("flow = \"support\"", "flow = \"sales\"", &[("\"sales\"", "ivr-flows/sales.toml is no file")]);
    check("flow = \"support\"", "flow = \"../x\"", &[("\"../x\"", "allowed: the name of a flow (1 to 64 of a-z")]);
    let allowed = "`ring_timeout` is \"900s\"; allowed: \"1s\" to \"5m\", written like \"20s\"";
    check("ring_timeout = \"20s\"", "ring_timeout = \"900s\"", &[("\"900s\"", allowed)]);
    check("max_waiting = 1000", "max_waiting = 0.5", &[("0.5", "`max_waiting` is a fraction; allowed: a whole")]);
    let missing = "ivr-flows/sounds/jazz.wav is no file";
    check("music = \"hold-music\"", "music = \"jazz\"", &[("\"jazz\"", missing)]);
    let heard = "hold-musik.wav is no file; did you mean \"hold-music\"?";
    check("music = \"hold-music\"", "music = \"hold-musik\"", &[("\"hold", heard)]);
    check("[agent.1002]", "[agent.01002]", &[("01002]", "an agent cannot have the number `01002`")]);
    let twice = "`1001` is written twice; allowed: once";
    check("[agent.1002]", "[agent.1001]", &[("1001]\nuser = \"ben", twice)]);
    check("user = \"ben\"", "user = \"ada\"", &[("\"ada\"\nname = \"Ben", "another agent has the user `ada`")]);
    check("user = \"ben\"", "user = \"Ben\"", &[("\"Ben\"", "allowed: 1 to 32 of a-z")]);
    check("network = 8", "network = 11", &[("11, hardware", "`network` is 11; allowed: a whole number from 1 to 10")]);
    let taken = "the number 100 belongs to the line `support`";
    check("ready = \"*1\"", "ready = \"100\"", &[("\"100\"  ", taken)]);
    check("calls = 2000", "call = 2000", &[("call ", "`call` is not known here; allowed: calls, drain, s")]);
    check("calls = 2000", "calls = 20000", &[("[20000", "enough for 10000 calls; [limits] allows 20000")]);
    let nowhere = "there is no directory deploy/nowhere";
    check("flows = \"../ivr-flows\"", "flows = \"nowhere\"", &[("\"nowhere", nowhere)]);
    let sip = "bind = \"127.0.0.1:5060\"";
    check(sip, "bind = \"localhost\"", &[("\"localhost\"", "allowed: an IP address and a port")]);
    check(sip, "bind = \"192.0.2.1:5060\"", &[("\"192", "name a `password_file`")]);
    check(
        sip,
        "bind = \"[::]:5060\"",
        &[
            ("\"[::]", "[::]:5060 can be reached from outside"),
            ("\"[::]", "phones cannot be told to send to [::]:5060"),
        ],
    );
    let told = "that others can send to";
    check("# advertised = \"203.0.113.5\"", "advertised = \"0.0.0.0\"", &[("\"0.0.0.0\"", told)]);
    let ports = "ports = [20000, 59999]";
    check(ports, "ports = [20001, 20002]", &[("[20001", "no leg fits between 20001 and 20002")]);
    check(ports, "ports = [20000, 20001]", &[("[20000", "enough for no call; allowed: at least four")]);
    check(ports, "ports = [20001, 20004]", &[("[20001", "enough for no call")]);
    check(ports, "ports = [20000, 20003]", &[("[20000", "enough for 1 call; [limits] allows 2000")]);
    check(ports, "ports = [65535, 65535]", &[("[65535", "no leg fits between 65535 and 65535")]);
    let backwards = "`ports`: the first port is above the last; did you mean [20000, 30000]?";
    check(ports, "ports = [30000, 20000]", &[("[30000", backwards)]);
    check(ports, "ports = [20000]", &[("[20000]", "`ports` is a list; allowed: the first and the last port")]);
    check(
        ports,
        "ports = [80, 90]",
        &[
            ("80", "`ports` is 80; allowed: a whole number from 1024"),
            ("90", "`ports` is 90; allowed: a whole number from 1024"),
        ],
    );
    let unread = "cannot be read: No such file";
    check("# password_file = \"passwords\"", "password_file = \"none\"", &[("deploy/none", unread)]);
}

#[test]
fn wrong_settings_of_numbers_are_told() {
    let allowed = "`target` is \"2h\"; allowed: \"1s\" to \"1h\"";
    check("target = \"20s\"", "target = \"2h\"", &[("\"2h\"", allowed)]);
    check("agent_series = false", "agent_series = \"no\"", &[("\"no\"", "`agent_series` is")]);
}

/// Only a desktop codes a call, and only `[server.cti]` lets one connect.
#[test]
fn calls_that_must_be_coded_where_nobody_can_are_told() {
    let mandatory = DEMO.replacen("wrap_up_mode = \"optional\"", "wrap_up_mode = \"mandatory\"", 1);
    let (before, cti) = mandatory.split_once("[server.cti]").expect("the demo has desktops");
    let (_, after) = cti.split_once("\n# [ticketing]").expect("what follows");
    let alone = format!("{before}\n# [ticketing]{after}");
    let told = |text: &str| {
        let demo = Demo::new("coded", text);
        demo.told().iter().map(|told| demo.pointed_at(told)).collect::<Vec<_>>()
    };
    assert_eq!(told(&mandatory), []);
    let told = told(&alone);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0.starts_with("general]") && told[0].1.contains("`general` must be coded"), "{told:?}");
}

#[test]
fn rules_of_routing_are_read_and_checked() {
    let config = DEMO
        .replace("selection = \"longest_idle\"", "selection = \"round_robin\"")
        .replace("ring = \"one\"", "ring = \"progressive\"\nring_most = 3\nring_every = \"7s\"")
        .replace("wrap_up_mode = \"optional\"", "wrap_up_mode = \"limited\"")
        .replace("# max_expected_wait", "max_expected_wait")
        .replace("# no_staff_after", "no_staff_after")
        .replace("# ageing", "ageing")
        .replace("# relax", "relax")
        .replace("# [reason.lunch]\n# digit", "[reason.lunch]\ndigit")
        .replace(
            "queues = [\"general\", \"level1\"]",
            "queues = [{ queue = \"general\", order = 2, delay = \"30s\", weight = 3 }, \"level1\"]",
        );
    let center = Demo::new("rules", &config).load().unwrap().center;
    let general = &center.queues[&QueueId::new("general")];
    let seconds = Duration::from_secs;
    assert_eq!(general.selection, Selection::RoundRobin);
    assert_eq!(general.ring, RingPlan::Progressive { every: seconds(7), most: 3 });
    assert_eq!(general.wrap_up, WrapUp::Limited(seconds(10)));
    assert_eq!((general.max_expected_wait, general.no_staff_after), (Some(seconds(600)), Some(seconds(60))));
    assert_eq!(general.ageing, [Ageing { after: seconds(300), points: 2 }]);
    let network = crate::ids::SkillId::new("network");
    assert_eq!((general.relax[0].lower[&network], &general.relax[1].remove[0]), (3, &network));
    assert_eq!(center.reasons["lunch"], NotReadyReason { digit: Some('1'), productive: false });
    let member = Membership { order: 2, delay: seconds(30), weight: 3 };
    assert_eq!(center.agents[&AgentId(1002)].queues[&QueueId::new("general")], member);

    let ring = "ring = \"one\"";
    check(ring, "ring = \"once\"", &[("\"once\"", "allowed: one, several, all, progressive; did you mean \"one\"?")]);
    let late = "the second begins (`ring_every`)";
    check(ring, "ring = \"progressive\"\nring_every = \"20s\"", &[("general]", late)]);
    let ageing = "# ageing = [{ after = \"5m\", points = 2 }]";
    check(ageing, "ageing = [{ points = 2 }]", &[("ageing", "`ageing` lacks `after`")]);
    check(ageing, "ageing = [{ after = \"5m\", points = 2000 }]", &[("2000", "from -1000 to 1000")]);
    let twice = "ageing = [{ after = \"5m\", points = 2 }, { after = \"5m\", points = 2 }]";
    check(ageing, twice, &[("{ after = \"5m\", points = 2 }]", "allowed: rising times")]);
    check(ageing, "ageing = [{ after = \"31m\", points = 2 }]", &[("{ after", "nobody waits so long")]);
    check(ageing, "relax = [{ after = \"30s\" }]", &[("relax", "this step relaxes nothing")]);
    // Trap 20: a good agent's phone has not rung to its end when the requirement is relaxed.
    check(
        ageing,
        "relax = [{ after = \"9s\", remove = [\"network\"] }]",
        &[("{ after", "before one phone has rung to its end")],
    );
    let general = "queues = [\"general\", \"level1\"]";
    check(general, "queues = [{ order = 2 }]", &[("queues", "`queues` lacks `queue`")]);
    check(general, "queues = [{ queue = \"generl\" }]", &[("\"generl\"", "did you mean \"general\"?")]);
    let limits = "[limits]";
    check(
        limits,
        "[reason.a]\ndigit = 10\n[limits]",
        &[("10\n", "`digit` is 10; allowed: a whole number from 0 to 9")],
    );
    let same = "[reason.a]\ndigit = 1\n[reason.b]\ndigit = 1\n[limits]";
    check(limits, same, &[("1\n[limits", "*01 belongs to the reason `a`")]);
}

#[test]
fn how_audio_is_spoken() {
    let codecs = "codecs = [\"PCMU\", \"PCMA\", \"G722\"]";
    check(codecs, "codecs = [\"G722\", \"pcmu\"]", &[]);
    check(codecs, "codecs = [\"opus\"]", &[("\"opus\"", "allowed: a list of \"PCMU\", \"PCMA\" and \"G722\"")]);
    check(codecs, "codecs = []", &[("[]", "calls need a codec")]);
    check(codecs, "codecs = [\"G722\", \"G722\"]", &[("[\"G722\"", "G722 is there twice")]);
    let srtp = "srtp = \"optional\"";
    check(srtp, "srtp = \"off\"", &[]);
    check(srtp, "srtp = \"yes\"", &[("\"yes\"", "allowed: \"off\", \"optional\" or \"required\"")]);
    check(srtp, "srtp = \"required\"", &[("\"required\"", "over UDP; only TLS keeps them secret")]);
    let digits = "inband_digits = \"auto\"";
    check(digits, "inband_digits = true", &[("true", "allowed: \"off\", \"auto\" or \"always\"")]);
    let mux = "rtcp_mux = true";
    check(mux, "rtcp_mux = \"yes\"", &[("\"yes\"", "allowed: true or false")]);
    let written = DEMO.replace(codecs, "codecs = [\"G722\", \"pcmu\"]").replace(srtp, "srtp = \"off\"");
    let written = written.replace(mux, "rtcp_mux = false");
    let media = Demo::new("audio", &written.replace(digits, "inband_digits = \"always\"")).load().unwrap().server.media;
    let terms = Terms { codecs: vec![Codec::G722, Codec::Pcmu], protection: Protection::None, mux: false };
    assert_eq!((media.terms, media.tones), (terms, TonesHeard::Always));
}

/// What is wrong is told once, and not again for everything that refers to it.
#[test]
fn one_mistake_is_one_sentence() {
    let name = "a queue cannot be called `Tech`; allowed: 1 to 64 of a-z";
    check("[queue.technical]", "[queue.Tech]", &[("Tech]", name)]);
    check(
        "[queue.technical]\nwrap_up = \"20s\"",
        "[queue]\ntechnical = 3",
        &[("3\n", "`technical` is 3; allowed: a table")],
    );
    check("version = 1", "version = ", &[("\n\n[center]", "this is no TOML: ")]);
    check("[center]", "[center", &[("\nname", "this is no TOML: unclosed table")]);
    check("user = \"ben\"", "user = ben", &[("ben\nname", "this is no TOML: string values must be quoted")]);
    check(
        "[line.support]",
        "[lines.support]",
        &[("lines.", "allowed: agent, banner, center, codes, hours, journal, keep, limits, line,")],
    );
    let passwords = "# password_file = \"passwords\"";
    assert!(DEMO.contains(passwords));
    let config = DEMO.replace(passwords, "password_file = \"passwords\"").replace("user = \"ben\"", "user = \"Ben\"");
    let demo = Demo::new("passwords-of-ben", &config);
    demo.write("deploy/passwords", b"ada:12345678\nben:12345678\ncleo:12345678\ndan:12345678\n");
    let told = demo.told();
    assert!(told.len() == 1 && told[0].contains("`user` is \"Ben\""), "{told:#?}");
}

/// Three queues that nobody finds, one word: each place is told, but that there is no queue at all only once.
#[test]
fn queues_that_are_not_there_are_told() {
    let wrong = "allowed: a list of queues (general, level1, level2, screeners, techncal); did you mean \"techncal\"?";
    let flow = "allowed: a queue of the configuration (general, level1, level2, screeners, techncal); did you mean";
    let named =
        ["\"technical\", \"screeners\"]  #", "\"technical\", \"level1\"", "\"technical\", \"screeners\", \"level2\""];
    let rows = named.map(|at| (at, wrong));
    let rows: Vec<_> = rows.into_iter().chain([("\"technical\"\nfull", flow)]).collect();
    check("[queue.technical]", "[queue.techncal]", &rows);
    let bare = "version = 1\n[center]\nname = \"x\"\n[line.support]\nnumbers = [\"100\"]\nflow = \"support\"\n\
        [agent.1]\nuser = \"a\"\nqueues = [\"x\", \"y\"]\n";
    let told = Demo::new("no-queues", bare).told();
    assert!(told.len() == 1 && told[0].contains("write a table such as [queue.support]"), "{told:#?}");
}

#[test]
fn flow_files_that_nothing_leads_to_are_known() {
    assert_eq!(Demo::new("read", DEMO).load().unwrap().unread, [""; 0]);
    let config = DEMO.replace("flow = \"desk\"", "flow = \"support\"");
    assert_eq!(Demo::new("unread", &config).load().unwrap().unread, ["desk"]);
}

#[test]
fn a_sound_that_nobody_has_recorded_is_noticed() {
    let flow = "version = 1\nstart = \"a\"\n[step.a]\nhang_up = { text = \"Bye.\", sound = \"welcom\" }\n";
    let demo = Demo::new("sounds", DEMO);
    demo.write("ivr-flows/support.toml", flow.as_bytes());
    let expect = "ivr-flows/support.toml:4:36: its text is spoken, for nobody has recorded `welcom`: \
        ivr-flows/sounds/welcom.wav is no file; did you mean \"welcome\"?";
    assert_eq!(demo.told(), [expect]);
    demo.write("ivr-flows/sounds/welcom.wav", b"any");
    assert_eq!(demo.told(), [""; 0]);
}

#[test]
fn mistakes_of_all_files_are_told_at_once() {
    let config = DEMO.replace("max_wait = \"30m\"", "max_wait = 30").replace("calls = 2000", "calls = 0");
    let demo = Demo::new("all", &config);
    demo.write("ivr-flows/support.toml", b"version = 1\nstart = \"x\"\n[step.y]\nhang_up = 1\n");
    demo.write("ivr-flows/sounds/texts.toml", b"version = 1\n[recording.A]\ntext = \"a\"\n");
    let told: Vec<String> = demo.told().iter().map(|told| demo.pointed_at(told).1).collect();
    let parts =
        ["`max_wait` is 30", "`calls` is 0", "`A` lacks", "cannot be called `A`", "no step `x`", "`hang_up` is 1"];
    assert!(told.len() == parts.len() && told.iter().zip(parts).all(|(told, part)| told.contains(part)), "{told:#?}");
}

/// One that is no TOML hides no other: neither those that only it leads to, nor what is wrong with the configuration, nor a
/// sound that a flow with another mistake names.
#[test]
fn a_flow_that_is_no_toml_hides_no_other_mistake() {
    let demo = Demo::new("broken-flows", &DEMO.replace("calls = 2000", "calls = 0"));
    demo.write("ivr-flows/support.toml", b"version = 1\nstart = \"a\"\n[step.a]\nflow = \"third\"\n[step.b\n");
    demo.write("ivr-flows/desk.toml", b"version = 1\nstart = a\n");
    demo.write("ivr-flows/third.toml", b"version = 1\nstart = \"a\"\n[step.a]\nflow = \"fourth\"\n[step.a]\n");
    let fourth = "version = 1\nstart = \"a\"\n[step.a]\nmusic = \"nobodys\"\nfor = 3\nnext = \"a\"\n";
    demo.write("ivr-flows/fourth.toml", fourth.as_bytes());
    demo.write("ivr-flows/sounds/texts.toml", b"version = 1\n[recording\n");
    let told: Vec<String> = demo.told();
    let expect = [
        ("deploy/tierline.toml:", "`calls` is 0"),
        ("ivr-flows/sounds/texts.toml:2:", "this is no TOML"),
        ("ivr-flows/support.toml:5:", "this is no TOML"),
        ("ivr-flows/third.toml:5:", "`a` is written twice"),
        ("ivr-flows/fourth.toml:4:9: ", "nobody has recorded the music"),
        ("ivr-flows/fourth.toml:5:7: ", "`for` is 3"),
        ("ivr-flows/desk.toml:2:", "this is no TOML"),
    ];
    for (place, part) in expect {
        let is_told = told.iter().filter(|told| told.starts_with(place) && told.contains(part)).count();
        assert_eq!(is_told, 1, "{place} {part}: {told:#?}");
    }
    assert_eq!(told.len(), expect.len(), "{told:#?}");
}

/// They are found in several passes, and mended from the top down.
#[test]
fn mistakes_of_a_file_are_told_in_its_order() {
    let demo = Demo::new("order", DEMO);
    let flow = "version = 1\nstart = \"a\"\n[step.a]\nplya = 1\nplay = \"Hello.\"\nnext = \"b\"\n\
                [step.b]\nmusic = \"nobodys\"\nfor = \"30s\"\nnext = \"c\"\n[step.c]\nhang_up = 7\n";
    demo.write("ivr-flows/support.toml", flow.as_bytes());
    let told = demo.told();
    let lines: Vec<&str> = told.iter().filter_map(|told| told.split(':').nth(1)).collect();
    assert_eq!(lines, ["4", "8", "12"], "{told:#?}");
}

/// As people would write it: what the configuration names stands beside its own folder.
#[test]
fn a_file_is_shown_without_detours() {
    for (file, expect) in [
        ("deploy/../ivr-flows/sounds/welcome.wav", "ivr-flows/sounds/welcome.wav"),
        ("../deploy/./x.pem", "../deploy/x.pem"),
        ("/etc/tierline/deploy/../secrets/passwords", "/etc/tierline/secrets/passwords"),
    ] {
        assert_eq!(shown(Path::new(file)), expect);
    }
}

/// What it says of itself is a guess; a flow's mistakes are its own. What a flow names may well be configured.
#[test]
fn a_configuration_that_is_no_toml_hides_no_mistake_of_flows() {
    let demo = Demo::new("broken", &DEMO.replace("[center]", "[center"));
    assert_eq!(demo.told().len(), 1, "{:#?}", demo.told());
    let desk = fs::read_to_string(demo.0.join("ivr-flows/desk.toml")).unwrap();
    demo.write("ivr-flows/desk.toml", desk.replacen("hours = \"", "hours = \"un", 1).as_bytes());
    assert_eq!(demo.told().len(), 1, "a calendar of that name may be configured: {:#?}", demo.told());
    demo.write("ivr-flows/support.toml", b"version = 1\nstart = \"x\"\n[step.y]\nhang_up = 1\n");
    demo.write("ivr-flows/desk.toml", b"version = 1\nstart = a\n");
    let told = demo.told();
    let parts = ["deploy/tierline.toml:6:8: ", "ivr-flows/desk.toml:2:", "no step `x`", "`hang_up` is 1"];
    assert_eq!(told.len(), parts.len(), "{told:#?}");
    assert!(parts.iter().all(|part| told.iter().any(|told| told.contains(part))), "{told:#?}");
    // Where no line can be made out, each flow that is there is looked at.
    demo.write(source::DEMO, b"version = \n");
    assert_eq!(demo.told().len(), parts.len(), "{:#?}", demo.told());
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let told = load(Some(Path::new("/nowhere/tierline.toml"))).unwrap_err().problems.to_string();
    assert!(told.starts_with("/nowhere/tierline.toml: cannot be read: No such file"), "{told}");
    let demo = Demo::new("unreadable", DEMO);
    demo.write(source::DEMO, b"version = 1\n# \xff\n");
    assert_eq!(demo.told(), ["deploy/tierline.toml: is no UTF-8 text: see line 2"]);
    demo.write(source::DEMO, &vec![b'#'; (1 << 20) + 1]);
    assert_eq!(demo.told(), ["deploy/tierline.toml: is too large; allowed: up to 1048576 bytes"]);
}

/// Which text is heard from which file, and which is spoken.
#[test]
fn a_changed_text_is_spoken_anew() {
    let flow = "version = 1\nstart = \"a\"\n[step.a]\nhang_up = [\"Listed.\", \"New.\", \
        { text = \"Now.\", sound = \"then\" }, { text = \"Mine.\", sound = \"mine\" }, \
        { text = \"No file.\", sound = \"none\" }]\n";
    let texts = "version = 1\n[recording.listed]\ntext = \"Listed.\"\nlanguage = \"en\"\n\
        [recording.then]\ntext = \"Then.\"\nlanguage = \"en\"\n[recording.lost]\ntext = \"New.\"\nlanguage = \"en\"\n";
    let demo = Demo::new("speak", DEMO);
    demo.write("ivr-flows/support.toml", flow.as_bytes());
    demo.write("ivr-flows/sounds/texts.toml", texts.as_bytes());
    for name in ["listed", "then", "mine"] {
        demo.write(&format!("ivr-flows/sounds/{name}.wav"), b"any");
    }
    let sounds = demo.load().unwrap().sounds;
    let of = |text: &str| {
        let flow = demo.load().unwrap().flows.remove(&FlowId::new("support")).unwrap();
        let name = flow.prompts().iter().find(|prompt| prompt.text == text).unwrap().name.clone();
        let sound = sounds.iter().find(|sound| sound.name == name).unwrap();
        let file = match &sound.recording {
            Some(Recording::File(path)) => path.file_stem().unwrap().to_str().unwrap(),
            _ => "",
        };
        (file.to_owned(), sound.speak.is_some())
    };
    assert_eq!(of("Listed."), ("listed".into(), false));
    assert_eq!(of("New."), (String::new(), true));
    assert_eq!(of("Now."), ("then".into(), true));
    assert_eq!(of("Mine."), ("mine".into(), false));
    assert_eq!(of("No file."), (String::new(), true));
}

#[test]
fn passwords_are_checked_and_never_shown() {
    let demo = Demo::new("passwords", DEMO);
    let center = demo.load().unwrap().center;
    demo.write("p", b"ada:secret-one\nben:short\nada:secret-two\neve:secret-three\nsecret-four\n");
    let file = demo.0.join("p");
    let told = passwords(&file, &center).unwrap_err().to_string().replace(&file.display().to_string(), "p");
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "p:2:1: the password of `ben` is not allowed; allowed: 8 to 128 characters",
            "p:3:1: the user `ada` has a password above",
            "p:4:1: this line's user is no agent's; allowed: the users of the configuration's agents",
            "p:5:1: this line is none of `user:password`",
            "p: the user `cleo` has no password",
            "p: the user `dan` has no password",
        ]
    );
}

/// Changes, drops and doubles pieces of the demo: whatever comes of it is read or refused, never a panic.
#[test]
fn no_text_makes_it_panic() {
    let (mut rng, mut good, mut bad) = (Rng::from_number(11), 0, 0);
    for _ in 0..5_000 {
        let text = mangled(DEMO, |n| rng.below(n));
        let page = Page::new("f", &text);
        read::read(&page);
        if page.is_clean() { good += 1 } else { bad += 1 }
    }
    assert!(good > 100 && bad > 500, "{good} good, {bad} bad");
}
