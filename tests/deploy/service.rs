//! The unit of systemd: what its tools say of it, and that it is installed as the guide says.

use super::{EXPOSURE, root, said, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A unit must name a program that is there; ours is not installed where it is tested.
fn unit() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    fs::create_dir_all(&dir).expect("a folder for the unit");
    let unit = text("deploy/systemd/tierline.service");
    assert!(unit.contains("ExecStart=/usr/bin/tierline serve "));
    let unit = unit.replace("=/usr/bin/tierline ", concat!("=", env!("CARGO_BIN_EXE_tierline"), " "));
    fs::write(dir.join("tierline.service"), unit).expect("the unit");
    dir.join("tierline.service")
}

#[test]
fn systemd_takes_the_unit_and_finds_it_tight() {
    let unit = unit();
    let told = said(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert!(!told.contains("tierline.service"), "{told}");
    said(Command::new("systemd-analyze").args(["security", "--no-pager", "--offline=true", EXPOSURE]).arg(&unit));
    let users = root().join("deploy/systemd/tierline.sysusers");
    said(Command::new("systemd-sysusers").arg("--dry-run").arg(users));
}

/// The steps of the operators' guide, each a command.
fn steps() -> Vec<String> {
    let guide = text("docs/operators.md");
    let (_, part) = guide.split_once("**As a service of systemd**").expect("the guide says how");
    let lines = part.lines().skip(1).skip_while(|line| !line.starts_with("1. "));
    let steps = lines.map_while(|line| line.split_once(". `").map(|(_, step)| step.trim_end_matches('`').to_owned()));
    steps.collect()
}

/// The same below another root: this machine's own is not touched, and nothing is started.
fn below(root: &Path, step: &str) -> String {
    let shown = root.display();
    let step = step.replace("target/release/tierline", env!("CARGO_BIN_EXE_tierline"));
    let step = step.replace(" /usr/", &format!(" {shown}/usr/")).replace(" /etc/", &format!(" {shown}/etc/"));
    match step.split_once(' ') {
        None if step == "systemd-sysusers" => format!("{step} --root={shown}"),
        Some(("systemctl", rest)) => format!("systemctl --root={shown} {}", rest.replace("--now ", "")),
        _ => step,
    }
}

#[test]
fn the_service_is_installed_as_the_guide_says() {
    let machine = std::env::temp_dir().join(format!("tierline-service-{}", std::process::id()));
    _ = fs::remove_dir_all(&machine);
    let steps = steps();
    assert_eq!(steps.len(), 7, "{steps:?}");
    for step in &steps {
        said(Command::new("sh").args(["-ec", &below(&machine, step)]));
    }
    let unit = fs::read_to_string(machine.join("etc/systemd/system/tierline.service")).expect("the unit");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("what it starts");
    let words: Vec<&str> = start.split_whitespace().collect();
    let [program, "serve", "--config", configuration, ..] = words[..] else { panic!("{start}") };
    let there = |path: &str| machine.join(path.trim_start_matches('/'));
    let checked =
        said(Command::new(there(program)).args(["check", "--no-ports", "--config"]).arg(there(configuration)));
    assert!(checked.contains("can be served"), "{checked}");
    let users = fs::read_to_string(there("/etc/passwd")).expect("who there is");
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).expect("whose it is");
    assert!(users.lines().any(|line| line.starts_with(&format!("{user}:"))), "{users}");
    let wanted = there("/etc/systemd/system/multi-user.target.wants/tierline.service");
    assert!(wanted.symlink_metadata().is_ok(), "it is not enabled");
    _ = fs::remove_dir_all(&machine);
}
