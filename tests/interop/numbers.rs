//! The numbers as those meet them who look: a Prometheus that scrapes the program under calls, the rules and
//! dashboards that are shipped, and what the calls' own records say.

use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::peers::{Sipp, event, phone_agent};
use super::prometheus::{Prometheus, content, shipped};
use super::server::{DIRECT, SUPPORT, Server, Wishes};
use super::supervised::{Counted, FORMULAS, Seen, Tables, dashboard, panels, substituted};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn the_rules_and_dashboards_are_what_their_tools_want() {
    for file in ["recording.yml", "alerts.yml"] {
        let said = content(Command::new("promtool").args(["check", "rules"]).arg(shipped("prometheus").join(file)));
        assert!(said.contains("SUCCESS"), "{said}");
    }
    content(Command::new("promtool").args(["check", "config"]).arg(shipped("prometheus/prometheus.yml")));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/rules.yml");
    content(Command::new("promtool").args(["test", "rules"]).arg(tests));
    // Grafana's own types read the dashboards and lose nothing.
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/python/bin/python");
    let said = content(Command::new(python).arg(shipped("grafana/make.py")).arg("--check"));
    assert!(said.contains("4 dashboards"), "{said}");
}

#[test]
fn every_alert_says_what_to_do_and_is_tested() {
    let text = std::fs::read_to_string(shipped("prometheus/alerts.yml")).expect("the alerts");
    let tests = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/rules.yml"));
    let (tests, provoked) =
        (tests.expect("the tests of rules"), [include_str!("alerts.rs"), include_str!("planted.rs")]);
    let guide = include_str!("../../docs/operators.md");
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 15, "{} alerts", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        for part in ["summary: ", "what_to_do: ", "severity: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        assert!(tests.contains(&format!("- name: {name}\n")), "promtool does not test {name}");
        assert!(guide.contains(&format!("`{name}`")), "docs/operators.md does not tell of {name}");
        for (verb, told) in [("fires", "makes it fire"), ("ends", "sees it end")] {
            assert!(provoked.iter().any(|tests| waits_for(tests, verb, name)), "{name}: nobody {told}");
        }
    }
}

/// Whether a statement of these tests waits until this alert fires, or ends; that it does not fire before is another matter.
fn waits_for(tests: &str, verb: &str, alert: &str) -> bool {
    let calls = [format!("{verb}(&prometheus, "), format!("{verb}(prometheus, ")];
    let named = format!("\"{alert}\"");
    tests.split(';').any(|statement| statement.contains(&named) && calls.iter().any(|call| statement.contains(call)))
}

#[test]
fn an_alert_that_is_only_named_is_not_waited_for() {
    let tests = "assert!(!prometheus.fires(\"A\")); fires(&prometheus, \"B\");
                 [\"C\", \"D\"].iter().for_each(|alert| ends(prometheus, alert));";
    let found = |verb| ["A", "B", "C", "D"].map(|alert| waits_for(tests, verb, alert));
    assert_eq!(found("fires"), [false, true, false, false]);
    assert_eq!(found("ends"), [false, false, true, true]);
}

/// Of the calls that this test places: see there. The second queue's caller is answered, and his agent's phone dies.
const PLACED: Counted = Counted {
    offered: 8.0,
    answered: 3.0,
    within: 2.0,
    abandoned: 3.0,
    short: 1.0,
    given_back: 1.0,
    lost: 0.0,
    again: 0.0,
    waiting: 1.0,
};
const BESIDE: Counted = Counted {
    offered: 1.0,
    answered: 1.0,
    within: 1.0,
    abandoned: 0.0,
    short: 0.0,
    given_back: 0.0,
    lost: 0.0,
    again: 1.0,
    waiting: 0.0,
};
/// Who serves which queue alone.
const SERVE: [(&str, &[u64]); 2] = [("general", &[1001]), ("technical", &[1002])];

/// Each with an agent of its own; the second has a line 300.
fn two_queues() -> Wishes {
    let queue = "target = \"3s\"\nshort_abandon = \"1s\"\nmax_waiting = 1\nretry_same_agent = \"0s\"";
    let beside = "version = 1\nstart = \"wait\"\n[step.wait]\nqueue = \"technical\"\notherwise = \"later\"\n\
                  [step.later]\nhang_up = \"You are ready.\"\n";
    Wishes {
        queue,
        wrap_up: "1s",
        silence: "3s",
        agent_lines: vec!["queues = [\"general\"]", "queues = [\"technical\"]"],
        flows: vec![("beside", beside.to_owned())],
        // A carrier and a ticketing system that are away: their numbers are there all the same.
        more: "[line.beside]\nnumbers = [\"300\"]\nflow = \"beside\"\n\
               [trunk.away]\naddresses = [\"127.0.0.1:9\"]\nserver = \"127.0.0.1:9\"\n\
               [ticketing]\naddress = \"http://127.0.0.1:9\"\n"
            .to_owned(),
        ..Wishes::agents(&["ada", "ben"])
    }
}

#[test]
fn what_supervisors_see_is_what_happened() {
    let ground = Ground::new("numbers");
    let server = Server::start(&ground, &two_queues());
    let prometheus = Prometheus::start(&ground, server.http, &[("[1h]", "[5m]")]);
    let seen = Seen::by(&prometheus);
    metrics_are_neat(&server);
    let calls = |name, seconds| Sipp { name, seconds, ..Sipp::default() }.start(&ground, &server);
    // Nobody is there: one gives up at once, one within the target, one beyond it.
    for (name, seconds) in [("short", 0.5), ("soon", 2.0), ("late", 4.5)] {
        assert_eq!(calls(name, seconds).wait(20 * SECOND), 0);
    }
    // One waits beyond the target and is answered; a second one finds the queue full, and the flow says so.
    let mut patient = calls("patient", 9.0);
    wait_until("he waits", 10 * SECOND, || waiting(&server) == 1.0);
    let full = Sipp { name: "full", scenario: "caller_waits", ..Sipp::default() };
    assert_eq!(full.start(&ground, &server).wait(20 * SECOND), 0);
    talk_for(3 * SECOND);
    let agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    event(&agent, "Connected", GENEROUS);
    assert_eq!(patient.wait(20 * SECOND), 0);
    // Two are answered in time, one after the other.
    let is_ready =
        |queue: &str| server.metrics()[&format!("tierline_queue_agents{{queue=\"{queue}\",state=\"ready\"}}")] == 1.0;
    for name in ["first", "second"] {
        wait_until("the agent is ready", 10 * SECOND, || is_ready("general"));
        assert_eq!(calls(name, 2.0).wait(20 * SECOND), 0);
    }
    wait_until("the agent is ready", 10 * SECOND, || is_ready("general"));
    // In the other queue one is answered at once; his agent's phone dies, and he waits again until he leaves.
    let mate = phone_agent(&ground, &server, "ben", 1200.0, &["--answer", "0"]);
    wait_until("his mate is ready", 10 * SECOND, || is_ready("technical"));
    wait_until("both are seen", 20 * SECOND, || seen.one("Agents ready", 0) == 2.0);
    let mut moved = Sipp { name: "moved", number: "300", seconds: 12.0, ..Sipp::default() }.start(&ground, &server);
    event(&mate, "Connected", GENEROUS);
    drop(mate);
    let requeued = "tierline_queue_requeued_total{queue=\"technical\"}";
    wait_until("he waits again", 10 * SECOND, || server.metrics()[requeued] == 1.0);
    assert_eq!(moved.wait(30 * SECOND), 0);
    // One hears the menu and leaves; the agent goes, and the last one waits on.
    let menu = Sipp { name: "menu", number: SUPPORT, seconds: 1.0, ..Sipp::default() };
    assert_eq!(menu.start(&ground, &server).wait(20 * SECOND), 0);
    drop(agent);
    wait_until("the phones are found dead", 5 * GENEROUS, || !is_ready("general") && !is_ready("technical"));
    let last = Sipp { name: "last", number: DIRECT, scenario: "caller_waits", seconds: 120.0, ..Sipp::default() };
    let mut last = last.start(&ground, &server);
    wait_until("he waits", 10 * SECOND, || waiting(&server) == 1.0);
    wait_until("the last one was scraped", 20 * SECOND, || seen.counted("general").waiting == 1.0);
    assert_eq!((seen.counted("general"), seen.counted("technical")), (PLACED, BESIDE), "the dashboard");
    assert!(last.is_running());
    // What was said last may not be safe on disk yet.
    wait_until("the log has all", 20 * SECOND, || recorded(&server.calls()).offered == PLACED.offered);
    assert_eq!((&PLACED, &PLACED), (&recorded(&server.calls()), &shown_in_metrics(&server)), "records, /metrics");
    // The tables know of whose wait is over, and beside them of who waits still.
    let over = Counted { offered: PLACED.offered - PLACED.waiting, waiting: 0.0, ..PLACED };
    wait_until("the tables have all", 20 * SECOND, || reported(&server).0 == over);
    let tables = Tables::of(&server, 3000.0, 1000.0);
    wait_until("they know who waits", 20 * SECOND, || tables.counted("general") == PLACED);
    assert_panels(&prometheus);
    seen.is_what_the_tables_say(&tables, &SERVE, &bounds(&server));
    let level = PLACED.within / (PLACED.answered + PLACED.abandoned - PLACED.short);
    assert_eq!(reported(&server).1, level, "the service level by the report");
}

/// Upper bounds of the buckets of waits, but for the last one.
fn bounds(server: &Server) -> Vec<f64> {
    let name = "tierline_queue_wait_seconds_bucket{queue=\"general\",outcome=\"answered\",le=\"";
    let metrics = server.metrics();
    let found = metrics.keys().filter_map(|key| key.strip_prefix(name)?.trim_end_matches("\"}").parse::<f64>().ok());
    let mut bounds: Vec<f64> = found.filter(|bound| bound.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    assert!(bounds.len() > 10, "{bounds:?}");
    bounds
}

/// What the tables of the records say, and their service level.
fn reported(server: &Server) -> (Counted, f64) {
    // From yesterday on: the day may end while this runs.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis() as i64;
    let from = tierline::time::Wall(now - 86_400_000).to_string()[..10].to_owned();
    // Target and short are those of the queue in the configuration, as in Prometheus.
    let config = server.config.display().to_string();
    let text = server.tierline(&["report", "queue", "--from", &from, "--config", &config, "--json"]);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |name: &str| {
        let rows = rows.iter().filter(|row| row["queue"] == "general");
        rows.map(|row| row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"))).sum()
    };
    let counted = Counted {
        offered: of("offered"),
        answered: of("answered"),
        within: of("in_target"),
        abandoned: of("abandoned"),
        short: of("short"),
        given_back: of("diverted"),
        lost: of("lost"),
        again: of("again"),
        waiting: 0.0,
    };
    (counted, of("service_level_ratio"))
}

fn waiting(server: &Server) -> f64 {
    server.metrics()["tierline_queue_waiting{queue=\"general\"}"]
}

/// `promtool check metrics` finds nothing to complain of.
fn metrics_are_neat(server: &Server) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool is there: make tools");
    promtool.stdin.take().expect("its input").write_all(server.get("/metrics").1.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).join("\n");
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// What `tierline calls --json` says of the queue.
fn recorded(calls: &[Value]) -> Counted {
    let mut counted = Counted::default();
    let segments = calls.iter().flat_map(|call| call["segments"].as_array().into_iter().flatten());
    for segment in segments.filter(|segment| segment["queue"] == "general") {
        let waited = segment["waited_s"].as_f64().expect("a time");
        counted.offered += 1.0;
        match &segment["wait"] {
            Value::String(wait) if wait == "Waiting" => counted.waiting += 1.0,
            Value::String(wait) if wait == "Answered" => {
                counted.answered += 1.0;
                counted.within += f64::from(u8::from(waited <= 3.0));
            }
            wait if wait["Diverted"].is_string() => counted.given_back += 1.0,
            _ => {
                counted.abandoned += 1.0;
                counted.short += f64::from(u8::from(waited < 1.0));
            }
        }
    }
    counted
}

/// What the program itself shows.
fn shown_in_metrics(server: &Server) -> Counted {
    let samples = server.metrics();
    let of = |name: &str| samples[&format!("tierline_queue_{name}{{queue=\"general\"}}")];
    let diverted =
        samples.iter().filter(|(name, _)| name.starts_with("tierline_queue_diverted_total{queue=\"general\""));
    Counted {
        offered: of("offered_total"),
        answered: of("answered_total"),
        within: of("answered_within_target_total"),
        abandoned: of("abandoned_total"),
        short: of("abandoned_short_total"),
        given_back: diverted.map(|(_, n)| n).sum(),
        lost: of("lost_total"),
        again: of("requeued_total"),
        waiting: of("waiting"),
    }
}

/// What stands where there is nothing to show.
const NOTHING: [&str; 2] = [" or on() label_replace(vector(0)", " or vector(0)"];
/// Panels of which there may be nothing, and is nothing here: nobody is on a break, or out of reach; nobody sent what cannot be
/// read, or a wrong proof; nobody is connected by TCP. `counted.rs` and `alerts.rs` have these.
const QUIET: [&str; 5] =
    ["Not ready", "Not ready, by reason", "Unreachable, by agent", "SIP trouble", "Phones and connections"];

/// Every query of every panel returns something, and where it would anyway, what it asks for does: a name that does not exist
/// would be as empty.
fn assert_panels(prometheus: &Prometheus) {
    let (mut asked, mut quiet) = (0, Vec::new());
    for name in ["queues", "agents", "flows", "operations"] {
        let dashboard = dashboard(name);
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().expect("queries") {
                let expression = substituted(target["expr"].as_str().expect("a query"), FORMULAS[0].0);
                assert!(!expression.contains('$'), "{expression}");
                let found = prometheus.query(&expression);
                assert!(!found.is_empty(), "{name}, {}: `{expression}` finds nothing", panel["title"]);
                let found = NOTHING.iter().find_map(|nothing| Some(expression.split_once(nothing)?.0));
                if found.is_some_and(|alone| prometheus.query(alone).is_empty()) {
                    quiet.push(panel["title"].as_str().expect("a title").to_owned());
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 80, "only {asked} queries");
    quiet.retain(|title| !QUIET.contains(&title.as_str()));
    assert_eq!(quiet, [""; 0], "nothing is found there though there should be");
}
