//! The pod of the Kubernetes manifest, without a cluster: what the manifest says of its container is read and done to the
//! image as a kubelet would: arguments, environment, user and groups, a root that cannot be written, each volume with
//! the owner and mode that Kubernetes gives it, and the probes' commands. Left out: seccomp, limits of memory and CPU.

use super::{Images, Running, Unpacked, alone, built, root, said, text, yaml};
use serde_json::Value;
use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The node's address, which is told to phones.
const NODE: &str = "10.9.0.1";
const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");

fn words(of: &Value) -> Vec<String> {
    let words = of.as_array().unwrap_or_else(|| panic!("{of} is no list"));
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn number(of: &Value) -> u32 {
    of.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_else(|| panic!("{of} is no number"))
}

struct Pod<'i> {
    image: Unpacked<'i>,
    spec: Value,
}

impl Pod<'_> {
    fn container(&self) -> &Value {
        &self.spec["containers"][0]
    }

    /// What the kubelet prepares for a volume, with owner and mode as `fsGroup` has it.
    fn volume(&self, name: &str, dir: &Path) -> PathBuf {
        let path = dir.join(name);
        fs::create_dir_all(&path).expect("a folder");
        let group = number(&self.spec["securityContext"]["fsGroup"]);
        let give = |path: &Path, mode: u32| {
            chown(path, Some(0), Some(group)).expect("another group");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        let volumes = self.spec["volumes"].as_array().expect("volumes");
        match volumes.iter().find(|volume| volume["name"] == name) {
            Some(volume) if volume["configMap"].is_object() => {
                fs::write(path.join("tierline.toml"), center()).expect("the configuration");
            }
            Some(volume) if volume["secret"].is_object() => {
                let file = path.join("passwords");
                fs::write(&file, "ada:a-secret\nben:b-secret\ncleo:c-secret\ndan:d-secret\n").expect("passwords");
                // `fsGroup` lets its group read what only root could.
                assert_eq!(number(&volume["secret"]["defaultMode"]), 0o400);
                give(&file, 0o440);
            }
            Some(volume) => assert!(volume["emptyDir"].is_object(), "{volume}"),
            None => {} // a claim of the StatefulSet
        }
        give(&path, 0o2775);
        path
    }

    /// Mounts all volumes, then makes the root what the manifest wants.
    fn mount(&self, dir: &Path) {
        let root = &self.image.root;
        mount(root, root, 0);
        for mounted in self.container()["volumeMounts"].as_array().expect("mounts") {
            let [name, path] = ["name", "mountPath"].map(|key| mounted[key].as_str().expect("a text"));
            let at = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(&at).expect("where it is mounted");
            mount(&self.volume(name, dir), &at, 0);
            if mounted["readOnly"] == true {
                mount(&at, &at, libc::MS_REMOUNT | libc::MS_RDONLY);
            }
        }
        // The runtime's gift.
        fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.1\n").expect("a file");
        assert_eq!(self.container()["securityContext"]["readOnlyRootFilesystem"], true);
        mount(root, root, libc::MS_REMOUNT | libc::MS_RDONLY);
    }

    /// Runs `words` in the container.
    fn command(&self, words: &[String]) -> Command {
        let security = &self.spec["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        let [uid, gid, group] = ["runAsUser", "runAsGroup", "fsGroup"].map(|key| number(&security[key]));
        let folder = self.image.config["WorkingDir"].as_str().expect("a folder").to_owned();
        let root = CString::new(self.image.root.to_str().expect("text")).expect("a path");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        for variable in self.container()["env"].as_array().into_iter().flatten() {
            command.env(variable["name"].as_str().expect("a name"), variable["value"].as_str().expect("a value"));
        }
        let enter = move || {
            // SAFETY: system calls that touch no memory but the path and the number, which live through them.
            let entered = unsafe {
                libc::chroot(root.as_ptr()) == 0
                    && libc::setgroups(1, &raw const group) == 0
                    && libc::setgid(gid) == 0
                    && libc::setuid(uid) == 0
                    && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            };
            if entered { std::env::set_current_dir(&folder) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: between fork and exec the closure only makes system calls.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs the command of a probe.
    fn probe(&self, kind: &str) -> Output {
        let command = words(&self.container()[kind]["exec"]["command"]);
        self.command(&command).output().expect("the probe runs")
    }
}

impl Drop for Pod<'_> {
    /// The image can be removed again.
    fn drop(&mut self) {
        let root = CString::new(self.image.root.to_str().expect("text")).expect("a path");
        // SAFETY: a system call that reads a text that lives through it.
        while unsafe { libc::umount2(root.as_ptr(), libc::MNT_DETACH) } == 0 {}
    }
}

/// Binds `from` at `to`, with `flags` beside.
fn mount(from: &Path, to: &Path, flags: libc::c_ulong) {
    let [from, to] = [from, to].map(|path| CString::new(path.to_str().expect("text")).expect("a path"));
    // SAFETY: a system call that reads texts that live through it.
    let done =
        unsafe { libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), libc::MS_BIND | flags, std::ptr::null()) };
    assert_eq!(done, 0, "{to:?}: {}", std::io::Error::last_os_error());
}

/// The demo's configuration with what the manifest's head says is to be written otherwise.
fn center() -> String {
    let replaced = [
        ("bind = \"127.0.0.1:5060\"", format!("bind = \"{NODE}:5060\"")),
        ("bind = \"127.0.0.1:8080\"", "bind = \"0.0.0.0:8080\"".to_owned()),
        ("# password_file = \"passwords\"", "password_file = \"../secrets/passwords\"".to_owned()),
    ];
    replaced.iter().fold(text("deploy/tierline.toml"), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    })
}

fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A network of one's own with the node's address, and mounts that nobody else sees.
fn on_the_node() {
    alone::network_and_mounts();
    said(Command::new("ip").args(["address", "add", &format!("{NODE}/32"), "dev", "lo"]));
}

#[test]
fn the_manifests_pod_serves_is_probed_and_drains() {
    let images = Images::new();
    images.build("localhost/tierline:0.1.0", "deploy/Containerfile", Some(&built()));
    images.build("localhost/center:1", "deploy/kubernetes/Containerfile", None);
    let documents = yaml("deploy/kubernetes/tierline.yaml");
    let of_kind = |kind: &str| documents.iter().find(|document| document["kind"] == kind).expect("it is there");
    let spec = of_kind("StatefulSet")["spec"]["template"]["spec"].clone();
    let name = spec["containers"][0]["image"].as_str().expect("an image");
    on_the_node();
    let pod = Pod { image: Unpacked::new(&images, &format!("localhost/{name}")), spec: spec.clone() };
    let dir = std::env::temp_dir().join(format!("tierline-pod-{}", std::process::id()));
    pod.mount(&dir);
    assert_eq!(pod.probe("startupProbe").status.code(), Some(1), "nothing serves yet");

    let args = [pod.image.words("Entrypoint"), words(&pod.container()["args"])].concat();
    let outlet = |kind: &str| fs::File::create(dir.join(kind)).expect("a file for what it says");
    let mut serve = pod.command(&args);
    let serve = serve.stdin(Stdio::null()).stdout(outlet("out")).stderr(outlet("err")).spawn();
    let mut serving = Running(serve.expect("it starts"));
    let errors = || fs::read_to_string(dir.join("err")).unwrap_or_default();
    let startup = &pod.container()["startupProbe"];
    let limit = u64::from(number(&startup["periodSeconds"]) * number(&startup["failureThreshold"]));
    wait_until("it has started", Duration::from_secs(limit), || {
        assert!(serving.0.try_wait().expect("a child").is_none(), "it ended: {}", errors());
        pod.probe("startupProbe").status.success()
    });
    wait_until("it is ready", Duration::from_secs(30), || pod.probe("readinessProbe").status.success());
    assert!(pod.probe("livenessProbe").status.success());
    assert!(dir.join("data/data/events.db").exists(), "its log is in the volume: {}", errors());
    // What the Service names is served, on the node's address.
    let port = number(&of_kind("Service")["spec"]["ports"][0]["port"]);
    let mut stream = TcpStream::connect((NODE, u16::try_from(port).expect("a port"))).expect("the node's port");
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    drains(&pod, &mut serving, &dir, &errors);
    assert!(errors().trim_end().ends_with("stopped"), "{}", errors());
    let out = fs::read_to_string(dir.join("out")).unwrap_or_default();
    assert!(!out.contains("a-secret") && !errors().contains("a-secret"), "{out}");
    _ = fs::remove_dir_all(&dir);
}

/// What the kubelet does to end it: the hook, SIGTERM, and patience for longer than calls may go on.
fn drains(pod: &Pod<'_>, serving: &mut Running, dir: &Path, errors: &impl Fn() -> String) {
    assert!(pod.container()["lifecycle"].is_null(), "a hook would have to be run here");
    let center: toml::Table = center().parse().expect("TOML");
    let drain = center["limits"]["drain"].as_str().expect("a time");
    assert_eq!(drain, "5m");
    assert!(number(&pod.spec["terminationGracePeriodSeconds"]) >= 300 + 10);
    let dial = || {
        let mut phone = Command::new(TIERLINE);
        phone.args(["phone", "--server", &format!("{NODE}:5060"), "--dial", "100"]).current_dir(root());
        phone.stdin(Stdio::piped());
        phone
    };
    let outlet = fs::File::create(dir.join("caller")).expect("a file for what it says");
    let mut caller = Running(dial().stdout(outlet).spawn().expect("a phone"));
    let said = || fs::read_to_string(dir.join("caller")).unwrap_or_default();
    wait_until("the caller is connected", Duration::from_secs(30), || said().contains("Connected"));
    // SAFETY: the process is our child and not yet waited for.
    unsafe { libc::kill(serving.0.id().cast_signed(), libc::SIGTERM) };
    wait_until("it is not ready any more", Duration::from_secs(30), || !pod.probe("readinessProbe").status.success());
    assert!(pod.probe("livenessProbe").status.success(), "who drains is not killed for it");
    let refused = dial().output().expect("a phone");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("503"), "{refused:?}");
    assert!(caller.0.try_wait().expect("a child").is_none(), "the running call goes on: {}", said());
    writeln!(caller.0.stdin.take().expect("its input"), "q").expect("typed");
    assert!(caller.0.wait().expect("a child").success());
    let ended = serving.0.wait().expect("a child");
    assert!(ended.success(), "{ended}: {}", errors());
}
