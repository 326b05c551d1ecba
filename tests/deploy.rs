//! What is under `deploy/` is read by the programs that it is for, or by their linters; the image is built and run.
//!
//! The image's first stage needs another registry's image of Rust, so the test runs that stage's commands itself, for the
//! same target and without optimization, and gives what they leave to the second stage in the first one's place.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

#[path = "place/alone.rs"]
mod alone;
#[path = "deploy/pod.rs"]
mod pod;
#[path = "deploy/service.rs"]
mod service;

use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What Alpine's Rust builds for, too.
const STATIC: &str = "x86_64-unknown-linux-musl";
/// How much of a service a systemd unit may expose, in tenths; 0 is nothing, 100 all.
const EXPOSURE: &str = "--threshold=15";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A linter that `tests/install.sh` has put into a Python of the tests' own.
fn linter(name: &str) -> Command {
    let path = root().join("target/deploy/python/bin").join(name);
    assert!(path.exists(), "there is no {}: make tools", path.display());
    Command::new(path)
}

/// What a program says that must succeed.
fn said(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let Output { status, stdout, stderr } =
        command.current_dir(root()).output().unwrap_or_else(|why| panic!("{shown}: {why}: make tools"));
    let said = [stdout.as_slice(), stderr.as_slice()].map(String::from_utf8_lossy).concat();
    assert!(status.success(), "{shown} fails:\n{said}");
    said
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The seconds behind `key` in a file.
fn seconds(path: &str, key: &str) -> u64 {
    let text = text(path);
    let value = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("{key}: {path}"));
    let value = value.trim_matches(|c: char| !c.is_ascii_digit());
    value.parse().unwrap_or_else(|_| panic!("{path}: {key}{value}"))
}

#[test]
fn container_files_are_clean() {
    said(linter("hadolint").args(["--failure-threshold", "style", "deploy/Containerfile"]));
    said(linter("hadolint").args(["--failure-threshold", "style", "deploy/kubernetes/Containerfile"]));
}

#[test]
fn yaml_is_clean() {
    said(linter("yamllint").args([
        "-s",
        "-c",
        "deploy/.yamllint",
        "deploy/compose.yaml",
        "deploy/kubernetes",
        "deploy/prometheus",
        "deploy/grafana",
    ]));
}

#[test]
fn manifests_are_what_kubernetes_takes() {
    let told = said(linter("kubernetes-validate").args(["--strict", "deploy/kubernetes/tierline.yaml"]));
    for resource in ["serviceaccount", "statefulset", "service"] {
        assert!(told.contains(&format!("passed for resource {resource}/tierline")), "{told}");
    }
}

#[test]
fn compose_takes_its_file_and_finds_what_it_mounts() {
    said(Command::new("docker-compose").args(["-f", "deploy/compose.yaml", "config", "--quiet"]));
    let compose = text("deploy/compose.yaml");
    let mounted = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let mounted: Vec<&str> = mounted.filter_map(|mount| mount.split(':').next()).collect();
    assert!(mounted.contains(&"tierline.toml"), "{mounted:?}");
    for path in mounted {
        assert!(root().join("deploy").join(path).exists(), "deploy/{path} is mounted and missing");
    }
}

/// A file's YAML documents.
fn yaml(path: &str) -> Vec<Value> {
    let read = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let told = said(linter("python").args(["-c", read, path]));
    serde_json::from_str(&told).expect("JSON")
}

fn word(of: &Value) -> &str {
    of.as_str().unwrap_or_else(|| panic!("{of} is no text"))
}

/// Where a service of the compose file has this folder of ours.
fn mounted(service: &Value, folder: &str) -> String {
    let volumes = service["volumes"].as_array().expect("volumes").iter().map(word);
    let mut places = volumes.filter_map(|volume| volume.strip_prefix(folder)?.strip_prefix(':'));
    places.next().unwrap_or_else(|| panic!("{folder} is not mounted")).split(':').next().unwrap_or_default().to_owned()
}

/// All values under `key`, however deep.
fn under<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().collect()
        }
        Value::Array(all) => all.iter().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|value| under(value, key, found));
}

/// Grafana is not started here: what one file says of another is compared.
#[test]
fn grafana_finds_the_dashboards_and_they_find_prometheus() {
    let services = &yaml("deploy/compose.yaml")[0]["services"];
    let (grafana, prometheus) = (&services["grafana"], &services["prometheus"]);
    assert_eq!(mounted(grafana, "./grafana/provisioning"), "/etc/grafana/provisioning", "Grafana's own folder");
    let providers = &yaml("deploy/grafana/provisioning/dashboards/tierline.yml")[0]["providers"];
    assert_eq!(word(&providers[0]["options"]["path"]), mounted(grafana, "./grafana/dashboards"));

    let sources = &yaml("deploy/grafana/provisioning/datasources/tierline.yml")[0]["datasources"];
    let files = fs::read_dir(root().join("deploy/grafana/dashboards")).expect("the dashboards");
    let files: Vec<PathBuf> = files.map(|file| file.expect("a dashboard").path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&file).expect("text")).expect("JSON");
        let mut asked = Vec::new();
        under(&dashboard, "datasource", &mut asked);
        assert!(!asked.is_empty(), "{} asks nobody", file.display());
        for source in asked {
            let known = ["uid", "type"].map(|key| source[key] == sources[0][key]);
            assert_eq!(known, [true, true], "{}: {source} is not provisioned", file.display());
        }
    }

    let command: Vec<&str> = prometheus["command"].as_array().expect("a command").iter().map(word).collect();
    let told = |option: &str| {
        let found = command.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {option} in {command:?}"))
    };
    assert_eq!(word(&sources[0]["url"]), format!("http://{}", told("--web.listen-address")));
    assert_eq!(told("--config.file"), mounted(prometheus, "./prometheus") + "/prometheus.yml");
    let settings = &yaml("deploy/prometheus/prometheus.yml")[0];
    assert_eq!(sources[0]["jsonData"]["timeInterval"], settings["global"]["scrape_interval"]);
    let demo: toml::Table = text("deploy/tierline.toml").parse().expect("TOML");
    let http = demo["server"]["http"]["bind"].as_str().expect("an address");
    assert_eq!(settings["scrape_configs"][0]["static_configs"][0]["targets"][0], http);
    assert_eq!(services["tierline"]["command"][2], mounted(&services["tierline"], "./tierline.toml"));
}

#[test]
fn whoever_stops_it_waits_for_the_drain() {
    assert!(text("deploy/tierline.toml").contains("drain = \"5m\""));
    for (path, key) in [
        ("deploy/compose.yaml", "stop_grace_period: "),
        ("deploy/systemd/tierline.service", "TimeoutStopSec="),
        ("deploy/kubernetes/tierline.yaml", "terminationGracePeriodSeconds: "),
    ] {
        // The engine's own limit, and seconds for the last BYEs and the log.
        assert!(seconds(path, key) >= 300 + 10, "{path}");
    }
}

/// The commands that the heads of our files show, and what is known of each.
const SHOWN: [(&str, &str); 6] = [
    ("podman build --format docker -t tierline:0.1.0 -f deploy/Containerfile .", "buildah, which podman builds with"),
    ("docker build -t tierline:0.1.0 -f deploy/Containerfile .", "the same file, by buildah"),
    ("podman build -t center:1 -f deploy/kubernetes/Containerfile .", "buildah, which podman builds with"),
    ("docker compose -f deploy/compose.yaml up", "read by docker-compose; its images are other registries'"),
    ("kubectl create configmap tierline --from-file=deploy/tierline.toml", "no cluster: done as a kubelet would"),
    ("kubectl apply -f deploy/kubernetes/tierline.yaml", "no cluster: validated, and its pod run"),
];
/// This one's file is whoever runs it's own.
const OWN_FILE: &str = "kubectl create secret generic tierline --from-file=passwords";

#[test]
fn commands_in_the_heads_of_files_are_known_and_name_files_that_are_there() {
    let files = ["deploy/Containerfile", "deploy/compose.yaml", "deploy/kubernetes/tierline.yaml"];
    let heads = files.map(text);
    let lines = heads.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("#   "));
    let commands: Vec<&str> = lines.filter(|line| !line.starts_with('(') && *line != OWN_FILE).collect();
    for command in &commands {
        assert!(SHOWN.iter().any(|(shown, _)| shown == command), "nobody tries `{command}`");
        let named = command.split([' ', '=']).filter(|word| word.starts_with("deploy/"));
        named.for_each(|file| assert!(root().join(file).exists(), "`{command}`: {file} is missing"));
    }
    let left: Vec<_> = SHOWN.iter().filter(|(shown, _)| !commands.contains(shown)).collect();
    assert!(left.is_empty(), "{left:?} are not shown");
}

/// Images in a storage of the tests' own, which one of them has at a time.
struct Images {
    dir: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

static IMAGES: Mutex<()> = Mutex::new(());

impl Images {
    fn new() -> Images {
        let turn = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
        Images { dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("images"), _turn: turn }
    }

    fn buildah(&self, command: &str) -> Command {
        let mut buildah = Command::new("buildah");
        buildah.args(["--storage-driver", "vfs"]).arg("--root").arg(self.dir.join("root"));
        buildah.arg("--runroot").arg(self.dir.join("run")).arg(command);
        buildah
    }

    /// Builds by a file of ours; `from` stands in for its stage `build`.
    fn build(&self, tag: &str, file: &str, from: Option<&Path>) {
        let mut build = self.buildah("build");
        build.args(["--isolation", "chroot", "--format", "docker", "--pull-never", "-t", tag, "-f", file]);
        if let Some(from) = from {
            build.arg(format!("--build-context=build={}", from.display()));
        }
        said(build.arg("."));
    }
}

/// What the image's first stage runs, command by command.
fn first_stage() -> Vec<Vec<String>> {
    let file = text("deploy/Containerfile");
    let (_, stage) = file.split_once(" AS build\n").expect("a first stage");
    let (stage, _) = stage.split_once("\nFROM ").expect("a second stage");
    let joined = stage.replace("\\\n", " ");
    let mut runs = joined.lines().filter_map(|line| line.strip_prefix("RUN "));
    let run = runs.next().expect("the first stage runs something");
    assert_eq!(runs.next(), None, "a second RUN would have to be run here");
    run.split("&&").map(|command| command.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Makes what the first stage makes, by its own commands, and gives the folder that stands for its root.
fn built() -> PathBuf {
    let commands = first_stage();
    let (build, installs) = commands.split_first().expect("a command");
    assert!(build.starts_with(&["cargo".to_owned(), "build".to_owned()]), "{build:?}");
    assert!(build.contains(&"--release".to_owned()), "an image is optimized: {build:?}");
    let mut cargo = Command::new(env!("CARGO"));
    let sysroot = said(Command::new("rustc").args(["--print", "sysroot"]));
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(STATIC).join("lib");
    assert!(library.is_dir(), "this Rust cannot build for {STATIC}: make tools");
    cargo.args(build[1..].iter().filter(|word| *word != "--release")).args(["--target", STATIC]);
    // As somebody would who types it: what the outer cargo has set for this test would make some crates anew.
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO"));
    ours.filter(|(name, _)| name != "CARGO_HOME").for_each(|(name, _)| _ = cargo.env_remove(name));
    said(&mut cargo);
    let stage = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stage");
    _ = fs::remove_dir_all(&stage);
    fs::create_dir_all(stage.join("etc/ssl/certs")).expect("a folder like the stage's");
    for install in installs {
        assert_eq!(install[0], "install", "{install:?}");
        let here = |word: &String| match (word.strip_prefix("target/release/"), word.strip_prefix('/')) {
            (Some(made), _) => root().join("target").join(STATIC).join("debug").join(made),
            (None, Some(at)) => stage.join(at),
            (None, None) => word.into(),
        };
        said(Command::new("install").args(install[1..].iter().map(here)));
    }
    let roots = "etc/ssl/certs/ca-certificates.crt";
    fs::copy(Path::new("/").join(roots), stage.join(roots)).expect("the system's roots: make tools");
    stage
}

/// An image's files in a folder, and how it wants to be run.
struct Unpacked<'i> {
    images: &'i Images,
    container: String,
    root: PathBuf,
    config: Value,
}

impl<'i> Unpacked<'i> {
    fn new(images: &'i Images, tag: &str) -> Unpacked<'i> {
        let container = said(images.buildah("from").args(["--pull-never", tag])).trim().to_owned();
        let root = said(images.buildah("mount").arg(&container)).trim().into();
        let told = said(images.buildah("inspect").args(["--type", "image", tag]));
        let told: Value = serde_json::from_str(&told).expect("buildah tells in JSON");
        Unpacked { images, container, root, config: told["Docker"]["config"].clone() }
    }

    fn words(&self, key: &str) -> Vec<String> {
        let words = self.config[key].as_array().unwrap_or_else(|| panic!("no {key} in {}", self.config));
        words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    }

    /// Runs `words` in the image: its files, its user, its folder, nothing else.
    fn command(&self, words: &[String]) -> Command {
        let user = self.config["User"].as_str().expect("a user");
        let (uid, gid) = user.split_once(':').expect("a user and his group, as numbers");
        let (uid, gid): (u32, u32) = (uid.parse().expect("a number"), gid.parse().expect("a number"));
        assert!(uid != 0 && gid != 0, "it runs as root");
        let folder = self.config["WorkingDir"].as_str().expect("a folder").to_owned();
        let root = std::ffi::CString::new(self.root.to_str().expect("text")).expect("a path");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        let enter = move || {
            // SAFETY: system calls that touch no memory but the path, which the closure owns.
            let entered = unsafe {
                libc::chroot(root.as_ptr()) == 0
                    && libc::setgroups(0, std::ptr::null()) == 0
                    && libc::setgid(gid) == 0
                    && libc::setuid(uid) == 0
            };
            if entered { std::env::set_current_dir(&folder) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: between fork and exec the closure only makes system calls.
        unsafe { command.pre_exec(enter) };
        command
    }
}

impl Drop for Unpacked<'_> {
    fn drop(&mut self) {
        _ = self.images.buildah("rm").arg(&self.container).output();
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn the_image_serves_tells_its_health_and_drains() {
    let images = Images::new();
    images.build("localhost/tierline:0.1.0", "deploy/Containerfile", Some(&built()));
    images.build("localhost/center:1", "deploy/kubernetes/Containerfile", None);
    let image = Unpacked::new(&images, "localhost/center:1");
    assert!(image.root.join("etc/tierline/ivr-flows/support.toml").exists());
    // The runtime's gift.
    fs::write(image.root.join("etc/resolv.conf"), "nameserver 127.0.0.1\n").expect("a file");
    alone::network();

    let health = image.config["Healthcheck"]["Test"].as_array().expect("a health check");
    assert_eq!(health[0], "CMD");
    let health: Vec<String> = health[1..].iter().map(|word| word.as_str().expect("a word").to_owned()).collect();
    let ask = |more: &[&str]| {
        let words: Vec<String> = health.iter().cloned().chain(more.iter().map(|word| (*word).to_owned())).collect();
        image.command(&words).output().expect("the health check runs")
    };
    assert_eq!(ask(&[]).status.code(), Some(1), "nothing serves yet");
    let words = [image.words("Entrypoint"), image.words("Cmd")].concat();
    let (out, err) = (image.root.with_extension("out"), image.root.with_extension("err"));
    let outlet = |path: &Path| fs::File::create(path).expect("a file for what it says");
    let mut serve = image.command(&words);
    let mut serving =
        Running(serve.stdin(Stdio::null()).stdout(outlet(&out)).stderr(outlet(&err)).spawn().expect("it starts"));
    let errors = || fs::read_to_string(&err).unwrap_or_default();
    let begun = Instant::now();
    while !ask(&["--ready"]).status.success() {
        assert!(serving.0.try_wait().expect("a child").is_none(), "it ended: {}", errors());
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never ready: {}", errors());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(String::from_utf8_lossy(&ask(&[]).stdout), "ok\n");
    assert!(image.root.join("var/lib/tierline/data/events.db").exists(), "its log is in the volume");

    // SAFETY: the process is our child and not yet waited for.
    unsafe { libc::kill(i32::try_from(serving.0.id()).expect("a process number"), libc::SIGTERM) };
    let ended = serving.0.wait().expect("a child");
    assert!(ended.success(), "{ended}: {}", errors());
    assert!(errors().trim_end().ends_with("stopped"), "{}", errors());
}
