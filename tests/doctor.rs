//! `tierline doctor` on machines and configurations that lack something: each is told, with what to do. Needs root, for
//! networks and file systems of its own.

#[path = "place/alone.rs"]
mod alone;

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tierline::event::{Event, What};
use tierline::server::store::Store;
use tierline::time::Wall;

/// A copy of the demo in a folder and a network of its own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("tierline-doctor-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("deploy")).expect("a folder for the test");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(root.join("deploy/tierline.toml"), dir.join("deploy/tierline.toml")).expect("the demo");
        std::os::unix::fs::symlink(root.join("ivr-flows"), dir.join("ivr-flows")).expect("its flows");
        alone::network_and_mounts();
        Place(dir)
    }

    /// Replaces what is written in the configuration.
    fn write(&self, old: &str, new: &str) {
        let file = self.0.join("deploy/tierline.toml");
        let text = fs::read_to_string(&file).expect("the configuration");
        assert!(text.contains(old), "{old}");
        fs::write(&file, text.replacen(old, new, 1)).expect("the configuration");
    }

    fn doctor(&self) -> Command {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_tierline"));
        doctor.args(["doctor", "--json"]).current_dir(&self.0);
        doctor
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What a doctor says, with its exit code.
fn said(doctor: &mut Command) -> (Vec<Value>, i32) {
    let output = doctor.output().expect("tierline runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    (text.lines().map(line).collect(), output.status.code().expect("it ends by itself"))
}

/// Expects one finding of `check` with this health whose text has `part`, with advice and the exit code of it.
fn expect(doctor: &mut Command, check: &str, health: &str, part: &str) {
    let (findings, code) = said(doctor);
    let found = findings.iter().find(|finding| {
        let text = finding["found"].as_str().expect("text");
        finding["check"] == check && finding["health"] == health && text.contains(part)
    });
    let found = found.unwrap_or_else(|| panic!("no {health} {check} with `{part}` in {findings:#?}"));
    assert!(found["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{found}");
    assert!(code >= if health == "wrong" { 2 } else { 1 }, "exit code {code} with {found}");
}

#[test]
fn nothing_is_wrong_with_the_demo() {
    let place = Place::new("well");
    let (findings, code) = said(&mut place.doctor());
    let wrong: Vec<_> = findings.iter().filter(|finding| finding["health"] == "wrong").collect();
    assert!(wrong.is_empty() && code < 2, "{wrong:#?}");
    for check in ["configuration", "start", "files", "clock", "disk", "disk speed", "log", "speech", "ticketing"] {
        assert!(findings.iter().any(|finding| finding["check"] == check), "{check} was not looked at");
    }
    let text = Command::new(env!("CARGO_BIN_EXE_tierline")).arg("doctor").current_dir(&place.0).output();
    let text = String::from_utf8(text.expect("tierline runs").stdout).expect("text");
    assert!(text.contains("\nok       start          all ports are free"), "{text}");
    assert!(!place.0.join("data").exists(), "a look makes no data directory");
    let left = fs::read_dir(&place.0)
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".tierline"));
    assert_eq!(left.count(), 0, "what was written to time the disk is removed");
}

#[test]
fn what_is_written_wrong_or_taken_is_told() {
    let place = Place::new("taken");
    let _ours = TcpListener::bind("127.0.0.1:8080").expect("a port");
    expect(&mut place.doctor(), "start", "wrong", "cannot listen on http 127.0.0.1:8080");
    let _grpc = TcpListener::bind("127.0.0.1:50051").expect("a port");
    expect(&mut place.doctor(), "start", "wrong", "cannot listen on grpc 127.0.0.1:50051");
    place.write("ports = [20000, 59999]", "ports = [20000, 20399]");
    expect(&mut place.doctor(), "audio ports", "warning", "400 audio ports are enough for 100 calls");
    place.write("drain = \"5m\"", "drain = \"soon\"");
    expect(&mut place.doctor(), "configuration", "wrong", "`drain` is \"soon\"");
}

#[test]
fn what_the_system_does_not_allow_is_told() {
    let place = Place::new("allowed");
    let mut few = place.doctor();
    let lower = || {
        let limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
        // SAFETY: the kernel reads a limit that lives through the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
            return Ok(());
        }
        Err(std::io::Error::last_os_error())
    };
    // SAFETY: between fork and exec the closure only makes a system call.
    expect(unsafe { few.pre_exec(lower) }, "files", "wrong", "1024 files may be open");
    // Nobody's: no right to a better priority or a larger buffer, none to write here.
    let nobody = |doctor: &mut Command| {
        doctor.uid(65_534).gid(65_534);
    };
    for (check, health, part) in
        [("priority", "warning", "may not go before"), ("disk", "wrong", "nothing can be written in")]
    {
        let mut doctor = place.doctor();
        nobody(&mut doctor);
        expect(&mut doctor, check, health, part);
    }
}

#[test]
fn a_small_disk_is_told() {
    let place = Place::new("small");
    let data = place.0.join("data");
    fs::create_dir(&data).expect("a folder");
    let to = std::ffi::CString::new(data.to_str().expect("text")).expect("a path");
    // SAFETY: the kernel reads texts that live through the calls. The first keeps what follows in this namespace.
    let mounted = unsafe {
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        ) + libc::mount(c"tmpfs".as_ptr(), to.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=8m".as_ptr().cast())
    };
    assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
    expect(&mut place.doctor(), "disk", "wrong", "8 MiB are free");
    // SAFETY: as above.
    unsafe { libc::umount2(to.as_ptr(), libc::MNT_DETACH) };
}

#[test]
fn a_certificate_that_has_ended_is_told() {
    let place = Place::new("certificate");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    let made = params.self_signed(&key).expect("a certificate");
    fs::write(place.0.join("deploy/own.pem"), made.pem()).expect("a file");
    fs::write(place.0.join("deploy/own-key.pem"), key.serialize_pem()).expect("a file");
    place.write(
        "# [server.sip.tls]",
        "[[server.sip.listen]]\ntransport = \"tls\"\nbind = \"127.0.0.1:5061\"\n[server.sip.tls]\n\
         certificate = \"own.pem\"\nkey = \"own-key.pem\"\n# ",
    );
    expect(&mut place.doctor(), "certificate", "wrong", "ended at 2025-01-01");
}

#[test]
fn a_text_that_nobody_can_speak_is_told() {
    let place = Place::new("speech");
    fs::remove_file(place.0.join("ivr-flows")).expect("a link");
    let flows = place.0.join("ivr-flows");
    fs::create_dir(&flows).expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows");
    std::os::unix::fs::symlink(shipped.join("sounds"), flows.join("sounds")).expect("the sounds");
    fs::copy(shipped.join("desk.toml"), flows.join("desk.toml")).expect("a flow");
    let new = "version = 1\nstart = \"bye\"\n[step.bye]\nhang_up = \"Nobody has said this yet.\"\n";
    fs::write(flows.join("support.toml"), new).expect("a flow");
    expect(place.doctor().env("PATH", "/nowhere"), "speech", "wrong", "support.toml");
    let (findings, _) = said(&mut place.doctor());
    assert!(findings.iter().any(|finding| finding["check"] == "speech" && finding["health"] == "ok"), "{findings:#?}");
}

#[test]
fn a_ticketing_system_that_is_away_is_told() {
    let place = Place::new("ticketing");
    place.write("# [ticketing]", "[ticketing]\naddress = \"http://127.0.0.1:50052\"\n# ");
    expect(&mut place.doctor(), "ticketing", "warning", "http://127.0.0.1:50052 does not answer");
    // Something else listens there.
    let other = TcpListener::bind("127.0.0.1:50052").expect("a port");
    expect(&mut place.doctor(), "ticketing", "warning", "http://127.0.0.1:50052 does not answer");
    drop(other);
    // It is there, and wants another token than ours; then ours.
    let token = |name: &str, text: &str| {
        fs::write(place.0.join(name), text).expect("a token");
        fs::set_permissions(place.0.join(name), fs::Permissions::from_mode(0o600)).expect("its owner's");
    };
    token("theirs", "open sesame\n");
    token("deploy/ours", "please\n");
    place.write("address = \"http://127.0.0.1:50052\"", "address = \"http://127.0.0.1:50052\"\ntoken_file = \"ours\"");
    let mut system = Command::new(env!("CARGO_BIN_EXE_tierline"));
    system.args(["ticketing", "--listen", "127.0.0.1:50052", "--data", "tickets", "--token-file", "theirs"]);
    let mut system = Running(system.current_dir(&place.0).stdout(Stdio::piped()).spawn().expect("tierline runs"));
    let mut line = String::new();
    let out = system.0.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("it says that it serves");
    expect(&mut place.doctor(), "ticketing", "warning", "Unauthenticated");
    token("deploy/ours", "open sesame\n");
    let (findings, _) = said(&mut place.doctor());
    let well = findings.iter().any(|finding| finding["check"] == "ticketing" && finding["health"] == "ok");
    assert!(well, "{findings:#?}");
}

#[test]
fn a_log_that_is_foreign_or_damaged_is_told() {
    let place = Place::new("log");
    let data = place.0.join("data");
    let opened = Store::open(&data, 0).expect("a log");
    opened.store.close().expect("it is written");
    let (findings, _) = said(&mut place.doctor());
    assert!(findings.iter().any(|finding| finding["check"] == "log" && finding["health"] == "ok"), "{findings:#?}");
    place.write("node = 0", "node = 5");
    expect(&mut place.doctor(), "log", "wrong", "it belongs to node 0");
    place.write("node = 5", "node = 0");
    let file = data.join("events.db");
    let mut bytes = fs::read(&file).expect("the log");
    // The second page is the first table's.
    let page = bytes.len() / 4;
    bytes[8192..8192 + page.min(8192)].fill(0xEE);
    fs::write(&file, &bytes).expect("the log");
    expect(&mut place.doctor(), "log", "wrong", "");
    fs::write(&file, "this is no database").expect("the log");
    expect(&mut place.doctor(), "log", "wrong", "cannot be used");
}

/// A server would say that they fall behind, once; whoever looks later is told by this.
#[test]
fn records_that_cannot_be_read_are_told() {
    let place = Place::new("records");
    let data = place.0.join("data");
    let opened = Store::open(&data, 0).expect("a log");
    opened.store.append(vec![Event {
        seq: 1,
        at: Wall(1),
        call: None,
        what: What::EngineStarted { node: 0, epoch: 1, alive: None },
    }]);
    opened.store.close().expect("it is written");
    let (findings, _) = said(&mut place.doctor());
    let records = findings.iter().find(|finding| finding["check"] == "records").expect("they are looked at");
    assert_eq!(
        (&records["health"], &records["found"]),
        (&"ok".into(), &"0 of 1 events; the next start or report brings them up".into())
    );
    fs::write(data.join("records.db"), "this is no database").expect("a file");
    expect(&mut place.doctor(), "records", "warning", "cannot read the records");
}
