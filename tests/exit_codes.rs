//! How each command ends, for scripts and for systemd: 0 done; 1 it could not be done, and trying again may help; 2 what
//! was asked or configured is wrong (docs/operators.md).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with a center that cannot be read, one whose port is taken, and no log.
struct Place {
    dir: PathBuf,
    port: u16,
    _taken: TcpListener,
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("tierline-exit-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("empty")).unwrap();
        std::fs::write(dir.join("wrong.toml"), "center = 1\n").unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let demo = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/tierline.toml")).unwrap();
        let http = "bind = \"127.0.0.1:8080\"";
        assert_eq!(demo.matches(http).count(), 1, "where the demo serves HTTP");
        let flows = format!("\"{}/", Path::new(env!("CARGO_MANIFEST_DIR")).display());
        let sip = 10_000 + std::process::id() % 9_000; // below those of audio; nobody calls here
        let taken_toml = demo.replace(http, &format!("bind = \"127.0.0.1:{port}\""));
        let taken_toml = taken_toml.replace("\"../", &flows).replace(":5060\"", &format!(":{sip}\""));
        std::fs::write(dir.join("taken.toml"), &taken_toml).unwrap();
        // What was emptied is somebody's mistake: new secrets would lock everybody out without a word.
        std::fs::create_dir(dir.join("emptied")).unwrap();
        for (secrets, left) in [("passwords", "# The passwords of phones\n"), ("tokens", "")] {
            let file = dir.join("emptied").join(secrets);
            std::fs::write(&file, left).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        std::fs::write(dir.join("open"), "ada:secret\n").unwrap();
        // A flow that is no TOML, beside a port that is taken, tokens that are none and secrets that were emptied.
        std::fs::create_dir(dir.join("flows")).unwrap();
        for flow in ["support", "desk"] {
            std::fs::write(dir.join("flows").join(flow).with_extension("toml"), "version = \n").unwrap();
        }
        std::fs::write(dir.join("tokens"), "ada\n").unwrap();
        std::fs::set_permissions(dir.join("tokens"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let many = taken_toml.replace(&format!("{flows}ivr-flows\""), "\"flows\"");
        let many = many.replace("[server.cti]", "[server.cti]\ntoken_file = \"tokens\"");
        assert!(many.contains("\"flows\"") && many.contains("\"tokens\""), "{many}");
        std::fs::write(dir.join("many.toml"), many).unwrap();
        std::fs::create_dir(dir.join("junk")).unwrap();
        std::fs::write(dir.join("junk/events.db"), "junk ".repeat(1_000)).unwrap();
        Place { dir, port, _taken: taken }
    }

    fn ends(&self, line: &str) -> (i32, String) {
        let line = line.replace("PORT", &self.port.to_string());
        let run = Command::new(env!("CARGO_BIN_EXE_tierline")).args(line.split(' ')).current_dir(&self.dir).output();
        let run = run.expect("it starts");
        let told = [run.stdout, run.stderr].concat();
        (run.status.code().unwrap_or(-1), String::from_utf8_lossy(&told).into_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.dir);
    }
}

const ROWS: &[(&str, i32, &str)] = &[
    // Done.
    ("records schema", 0, "call"),
    ("flow draw support", 0, "support"),
    ("simulate --seed 7 --agents 5 --hours 0.05 --calls-per-hour 20", 0, "note: nothing came up that"),
    // The world: it may be otherwise the next time.
    ("healthy --http 127.0.0.1:1", 1, "127.0.0.1:1"),
    ("healthy --http http://localhost:1/", 1, "127.0.0.1:1"),
    ("agent --token x --server http://127.0.0.1:1 --do quit", 1, "nobody answers"),
    ("banner on outage --token x --server http://127.0.0.1:1", 1, "nobody answers"),
    // The configuration.
    ("serve --config taken.toml --data there", 2, "in use"),
    ("serve --config taken.toml --data there", 2, "it may be another tierline, which serves from another directory"),
    ("check --config taken.toml --data there", 2, "in use"),
    ("check --config taken.toml --data open", 2, "`open` is no directory"),
    ("check --config taken.toml --data junk", 2, "not a database"),
    ("serve --config wrong.toml", 2, "wrong.toml:1"),
    ("check --config wrong.toml", 2, "wrong.toml:1"),
    ("doctor --config wrong.toml", 2, "wrong.toml:1"),
    ("keep --config wrong.toml", 2, "wrong.toml:1"),
    ("flow draw menu --config wrong.toml", 2, "wrong.toml:1"),
    ("flow try menu --config wrong.toml", 2, "wrong.toml:1"),
    ("calls --config wrong.toml", 2, "wrong.toml:1"),
    ("report --config wrong.toml", 2, "wrong.toml:1"),
    ("records status --config wrong.toml", 2, "wrong.toml:1"),
    ("person erase +4930 --config wrong.toml", 2, "wrong.toml:1"),
    ("phone --user ada --config wrong.toml", 2, "wrong.toml:1"),
    ("agent --user ada --config wrong.toml", 2, "wrong.toml:1"),
    ("check --data emptied --no-ports", 2, "emptied/passwords: nobody has a line here"),
    ("check --data emptied --no-ports", 2, "emptied/tokens: nobody has a line here"),
    ("serve --config taken.toml --data emptied", 2, "emptied/passwords: nobody has a line here"),
    // All at once.
    ("check --config many.toml --data emptied", 2, "flows/support.toml:1:11: this is no TOML"),
    ("check --config many.toml --data emptied", 2, "flows/desk.toml:1:11: this is no TOML"),
    ("check --config many.toml --data emptied", 2, "cannot listen on http 127.0.0.1:"),
    ("check --config many.toml --data emptied", 2, "tokens:1:1: a line must be `name:token`"),
    ("check --config many.toml --data emptied", 2, "emptied/passwords: nobody has a line here"),
    ("check --config many.toml --data junk", 2, "not a database"),
    ("serve --config many.toml --data emptied", 2, "tokens:1:1: a line must be `name:token`"),
    ("serve --config many.toml --data emptied", 2, "emptied/passwords: nobody has a line here"),
    // No log where it was named.
    ("calls --data empty", 2, "there is no event log in `empty`"),
    ("calls --data nowhere", 2, "there is no directory `nowhere`"),
    ("report --data empty", 2, "there is no event log"),
    ("records status --data empty", 2, "there is no event log"),
    ("records rebuild --data empty", 2, "there is no event log"),
    ("person erase +4930 --data empty", 2, "there is no event log"),
    ("keep --data empty", 2, "there is no event log"),
    // What was asked.
    ("calls --last many", 2, "allowed"),
    ("calls c0-x --data empty", 2, "c0-x"),
    ("calls c0-1-1 --queue general --data empty", 2, "c0-1-1 is one call"),
    ("agent --token x --server 127.0.0.1:1 --do quit", 1, "nobody answers at http://127.0.0.1:1"),
    ("agent --token x --server :// --do quit", 2, "allowed: HOST:PORT"),
    ("flow draw nothing", 2, "there is no flow `nothing`"),
    ("flow try support --keys !1", 0, "presses 1 before the end"),
    ("flow try support --keys 1!", 2, "a key must stand behind each !"),
    ("flow try support --keys x", 2, "there is no key `x`"),
    ("flow try support --line nothing", 2, "there is no line `nothing`"),
    ("flow try support --at noon", 2, "`noon` is no time"),
    ("flow try desk --language fr", 2, "nothing is said in the language `fr`; allowed: de, en"),
    ("flow try desk --language de", 0, "desk"),
    ("flow try desk --found stat=open", 2, "no look-up has the field `stat`; allowed: "),
    ("flow try desk --found state=open", 0, "desk"),
    ("flow try support --found state=open", 2, "allowed: nothing is looked up"),
    ("check --no-ports --config taken.toml --data there", 0, "note: ports are not tried"),
    ("simulate --records --crashes 1", 2, "--crashes 0"),
    ("agent", 2, "--user NAME"),
    ("agent --token x --server 127.0.0.1:1 --do redy", 2, "did you mean \"ready\"?"),
    ("agent --token x --server https://127.0.0.1:1 --do quit", 2, "--trust"),
    ("agent --token x --server https://127.0.0.1:1 --do quit --trust nothing", 2, "cannot read nothing"),
    ("agent --user ada --data empty", 2, "cannot read tokens"),
    ("phone", 2, "--user"),
    ("phone --user ada --data empty", 2, "--password"),
    ("replay nothing", 2, "cannot read the recording nothing"),
    ("replay wrong.toml", 2, "wrong.toml"),
    ("ticketing --listen 127.0.0.1:PORT", 2, "cannot listen on 127.0.0.1:"),
    ("ticketing --listen 127.0.0.1:0 --data open", 2, "open"),
    ("ticketing --listen 0.0.0.0:0", 2, "--token-file"),
    ("ticketing --listen 127.0.0.1:0 --token-file nothing", 2, "cannot read nothing"),
    ("phone --dial 100 --play nothing.wav", 2, "nothing.wav"),
    ("phone --dial 100 --play wrong.toml", 2, "wrong.toml"),
    ("phone --dial 100 --record nowhere/heard.wav", 2, "nowhere/heard.wav"),
    ("serve --config taken.toml --data open", 2, "`open`"),
];

#[test]
fn each_command_ends_by_the_one_rule() {
    let place = Place::new("codes");
    let mut wrong = Vec::new();
    for (line, code, says) in ROWS {
        let (ended, told) = place.ends(line);
        if ended != *code || !told.contains(says) {
            wrong.push(format!("tierline {line}: {ended}, not {code}; it says: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!place.dir.join("there").exists(), "a start that was refused has left a data directory");
}

/// Nobody has hung up where nobody was there.
#[test]
fn a_call_to_where_nobody_listens_fails_with_the_reason() {
    let place = Place::new("nobody");
    let (ended, told) = place.ends("phone --dial 100 --server 127.0.0.1:1");
    assert!(told.contains("\"event\":\"Failed\",\"why\":\"nobody listens on udp 127.0.0.1:1"), "{told}");
    assert!(ended == 1 && !told.contains("HungUp"), "{ended} {told}");
}

/// Once, and where it stands.
#[test]
fn a_wrong_line_of_passwords_is_told_once() {
    let place = Place::new("passwords");
    let config = std::fs::read_to_string(place.dir.join("taken.toml")).unwrap();
    let named = config.replace("# password_file = \"passwords\"", "password_file = \"secrets\"");
    assert_ne!(named, config, "where the demo names a file of passwords");
    std::fs::write(place.dir.join("named.toml"), named).unwrap();
    let lines = "ada:x\nben:ben-knows-it\ncleo:cleo-knows-it\ndan:dan-knows-it\n";
    std::fs::write(place.dir.join("secrets"), lines).unwrap();
    std::fs::set_permissions(place.dir.join("secrets"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (ended, told) = place.ends("check --config named.toml --data there --no-ports");
    assert!(ended == 2 && told.contains("secrets:1:1: the password of `ada` is not allowed"), "{ended} {told}");
    assert_eq!(told.matches("`ada`").count(), 1, "{told}");
}

/// Who asks from where the server's configuration is meets the server's log, not one that lies about.
#[test]
fn the_log_is_where_the_configuration_says() {
    let place = Place::new("log");
    let config = std::fs::read_to_string(place.dir.join("taken.toml")).unwrap();
    assert!(config.contains("data = \"data\""), "where the demo has its log");
    std::fs::write(place.dir.join("other.toml"), config.replace("data = \"data\"", "data = \"elsewhere\"")).unwrap();
    for command in
        ["calls", "report", "records status", "records rebuild", "person erase +4930", "keep", "agent --user ada"]
    {
        let (ended, told) = place.ends(&format!("{command} --config other.toml"));
        assert!(ended == 2 && told.contains("elsewhere"), "{command}: {ended} {told}");
    }
}

/// Who reads what is printed may leave: nothing is wrong then, and nothing is said.
#[test]
fn a_reader_who_leaves_is_no_failure() {
    let place = Place::new("left");
    for line in ["records schema", "flow draw support", "flow try support"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut run = Command::new(env!("CARGO_BIN_EXE_tierline"));
        let run = run.args(line.split(' ')).current_dir(&place.dir).stdout(writer).output().expect("it starts");
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!((run.status.code(), told.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let place = Place::new("full");
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a disk that is full");
    let mut run = Command::new(env!("CARGO_BIN_EXE_tierline"));
    let run = run.args(["records", "schema"]).current_dir(&place.dir).stdout(full).output().expect("it starts");
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(1) && told.contains("not all could be printed"), "{:?} {told}", run.status);
}
