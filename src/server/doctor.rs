//! `tierline doctor`: looks at the machine and the configuration before callers do, and says what to do.
//!
//! | file | what it looks at |
//! |---|---|
//! | `machine` | open files, priority, buffers, clock, disk: readings of the system, and what they mean |
//! | `certificate` | from when to when a certificate holds, and for which names |
//! | `parts` | ports, certificates, sounds, the ticketing system, the event log |
//! | `followers` | whether the records follow the log |
//!
//! Each look is a [`Finding`]; what a reading means is decided by functions without I/O. Nothing is changed, but for
//! a file that is written where the log is, to time the disk, and removed again. Left out: locked memory, for
//! nothing of ours locks any.

mod certificate;
mod followers;
mod machine;
mod parts;

use super::store;
use crate::config::{self, Loaded};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Ok,
    /// It works, but not as well or as long as it should.
    Warning,
    /// Calls will fail, or a start will.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub health: Health,
    pub found: String,
    /// What to do; there unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, health: Health::Ok, found: found.into(), advice: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, health: Health::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn wrong(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, health: Health::Wrong, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Looks at everything.
///
/// # Errors
/// The system gives no thread.
pub fn examine(config: Option<&Path>, data: Option<PathBuf>) -> anyhow::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut loaded = match config::load(config) {
        Ok(loaded) => loaded,
        Err(refused) => return Ok(of_refused(&refused)),
    };
    loaded.server.data = match data {
        Some(data) => data,
        None => super::place::meant(config, loaded.server.data.clone())?,
    };
    let findings = of_loaded(&loaded, runtime.handle());
    runtime.shutdown_background();
    Ok(findings)
}

/// What can be said of the machine where the configuration cannot be read.
fn of_refused(refused: &config::Refused) -> Vec<Finding> {
    let wrong = |problem: &config::Problem| {
        Finding::wrong("configuration", problem.to_string(), "correct it; `tierline check` tells when it is right")
    };
    let configuration = refused.problems.0.iter().map(wrong);
    configuration.chain([machine::priority(), machine::buffer(), machine::clock(None)]).collect()
}

fn of_loaded(loaded: &Loaded, runtime: &tokio::runtime::Handle) -> Vec<Finding> {
    let (log, last) = parts::log(loaded);
    let mut findings = vec![Finding::ok("configuration", format!("{} can be read", loaded.file))];
    findings.extend(parts::ports(loaded, runtime));
    findings.push(parts::audio_ports(loaded));
    findings.push(machine::files(loaded));
    findings.extend([machine::priority(), machine::buffer(), machine::clock(last)]);
    findings.extend(machine::doubted(store::believed(&loaded.server.data).ok().flatten()));
    findings.extend(machine::disk(&loaded.server.data));
    findings.extend(log);
    findings.extend(followers::records(&loaded.server.data, Duration::from_secs(5)));
    findings.extend(parts::certificates(loaded));
    findings.extend(parts::sounds(loaded));
    findings.push(parts::ticketing(loaded, runtime));
    findings
}

/// 0: all is well; 1: there are warnings; 2: something is wrong.
pub fn exit_code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.health).max() {
        Some(Health::Wrong) => 2,
        Some(Health::Warning) => 1,
        Some(Health::Ok) | None => 0,
    }
}

/// A line for each finding, and below it what to do.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, health, found, advice } in findings {
        let health = match health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Wrong => "WRONG",
        };
        _ = writeln!(text, "{health:<8} {check:<14} {}", found.replace('\n', "; ")); // a string takes all
        if let Some(advice) = advice {
            _ = writeln!(text, "{:<23} → {advice}", "");
        }
    }
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    match (count(Health::Wrong), count(Health::Warning)) {
        (0, 0) => text.push_str("all is well\n"),
        (wrong, warnings) => _ = writeln!(text, "{wrong} wrong, {}", crate::written::counted(warnings, "warning")),
    }
    text
}

/// A line of JSON for each finding.
pub fn json(findings: &[Finding]) -> anyhow::Result<String> {
    let lines: Result<Vec<_>, _> = findings.iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each check has its row in the guide, and each row its check.
    #[test]
    fn the_guide_has_a_row_for_each_check() {
        let sources = [
            include_str!("doctor.rs").split("mod tests").next().unwrap(),
            include_str!("doctor/machine.rs"),
            include_str!("doctor/parts.rs"),
            include_str!("doctor/followers.rs"),
            include_str!("doctor/certificate.rs"),
        ];
        let named = |text: &'static str| {
            let calls = ["ok(", "warning(", "wrong("].map(|of| format!("Finding::{of}"));
            let behind = calls.map(|call| text.split(&call).skip(1).map(str::to_owned).collect::<Vec<_>>()).concat();
            behind
                .into_iter()
                .filter_map(|rest| Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned()))
        };
        let checks: std::collections::BTreeSet<String> = sources.into_iter().flat_map(named).collect();
        let guide = include_str!("../../docs/operators.md");
        let table = guide.split("| check | wrong or a warning if |\n|---|---|\n").nth(1).expect("the table");
        let rows = table.lines().take_while(|line| line.starts_with('|')).map(|line| line.split('|').nth(1).unwrap());
        let rows = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned));
        assert_eq!(rows.collect::<std::collections::BTreeSet<_>>(), checks);
    }

    #[test]
    fn the_worst_finding_is_the_exit_code() {
        let (ok, warning, wrong) =
            (Finding::ok("a", "x"), Finding::warning("b", "y", "do"), Finding::wrong("c", "z", "do"));
        assert_eq!(exit_code(&[]), 0);
        assert_eq!(exit_code(&[ok.clone(), ok.clone()]), 0);
        assert_eq!(exit_code(&[ok.clone(), warning.clone()]), 1);
        assert_eq!(exit_code(&[ok.clone(), wrong.clone(), warning.clone()]), 2);
        let told = text(&[ok, warning, wrong.clone()]);
        assert!(told.contains("warning  b              y\n                        → do\n"), "{told}");
        assert!(told.ends_with("1 wrong, 1 warning\n"), "{told}");
        assert_eq!(
            json(&[wrong]).expect("JSON"),
            "{\"check\":\"c\",\"health\":\"wrong\",\"found\":\"z\",\"advice\":\"do\"}\n"
        );
    }
}
