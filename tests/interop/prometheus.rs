//! A Prometheus that scrapes the program, with the rules that are shipped.

use super::harness::{Ground, Program, SECOND, wait_until};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Prometheus {
    /// Ends with this.
    _program: Program,
    at: SocketAddr,
}

/// A file of deploy/.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// What a tool prints if it is content; fails if not.
pub fn content(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?} cannot be started ({why}): make tools"));
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).join("\n");
    assert!(output.status.success(), "{command:?} is not content:\n{said}");
    said
}

impl Prometheus {
    /// Scrapes `target` as often as a test has patience for, with the shipped files in which some words are others.
    pub fn start(ground: &Ground, target: SocketAddr, others: &[(&str, &str)]) -> Prometheus {
        let dir = ground.file("prometheus");
        std::fs::create_dir_all(&dir).expect("a folder for Prometheus");
        let hurried = [("interval: 15s", "interval: 250ms"), ("127.0.0.1:8080", &target.to_string())];
        for name in ["prometheus.yml", "recording.yml", "alerts.yml"] {
            let text = std::fs::read_to_string(shipped("prometheus").join(name)).expect("a shipped file");
            let all = hurried.iter().chain(others);
            let text = all.fold(text, |text, (usual, other)| text.replace(usual, other));
            std::fs::write(dir.join(name), text).expect("a file for Prometheus");
        }
        content(Command::new("promtool").args(["check", "config"]).arg(dir.join("prometheus.yml")));
        let at = ground.address();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", dir.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
        command.args([&format!("--web.listen-address={at}"), "--log.level=warn"]);
        let prometheus = Prometheus { _program: ground.run("prometheus", &mut command), at };
        wait_until("Prometheus scrapes", 40 * SECOND, || prometheus.number("up{job=\"tierline\"}") == Some(1.0));
        prometheus
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect_timeout(&self.at, SECOND).ok()?;
        stream.set_read_timeout(Some(10 * SECOND)).ok()?;
        // In version 1.0 an answer is not cut into chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.at).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    /// The series that an expression has now, each with its labels; fails where Prometheus does not understand it.
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let Some(answer) = self.ask(&format!("/api/v1/query?query={}", escaped(expression))) else { return Vec::new() };
        assert_eq!(answer["status"], "success", "`{expression}`: {answer}");
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().and_then(|n| n.parse().ok()).expect("a number");
        series.iter().map(|series| (series["metric"].clone(), value(series))).collect()
    }

    /// The only value of an expression.
    pub fn number(&self, expression: &str) -> Option<f64> {
        match self.query(expression).as_slice() {
            [(_, value)] => Some(*value),
            _ => None,
        }
    }

    /// Whether this alert fires now.
    pub fn fires(&self, alert: &str) -> bool {
        !self.query(&format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}")).is_empty()
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
