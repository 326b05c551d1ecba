//! Alerts about what nothing outside the program can provoke on purpose: defects of ours, and events for which there is no
//! room. They are planted in a server (`src/server/planted.rs`) that was built for that, under real calls and a real
//! Prometheus.

use super::alerts::{HURRIED, ends, fires};
use super::harness::{GENEROUS, Ground, SECOND, wait_until};
use super::peers::{Sipp, phone_agent};
use super::prometheus::Prometheus;
use super::server::{Server, Wishes, is_over};

/// What is broken from now on.
fn plant(ground: &Ground, lines: &str) {
    std::fs::write(ground.file("planted"), lines).expect("a file of bugs");
}

fn started<'g>(ground: &'g Ground, planted: &str) -> (Server<'g>, Prometheus) {
    plant(ground, planted);
    let server = Server::start(ground, &Wishes::agents(&["ada"]));
    let prometheus = Prometheus::start(ground, server.http, &HURRIED);
    (server, prometheus)
}

/// A step of the engine panics: that call ends, the next ones go on, and somebody is told.
#[test]
fn an_engine_that_repairs_itself() {
    let ground = Ground::new("planted_engine");
    let (server, prometheus) = started(&ground, "panic engine\n");
    let _agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0", "--hang-up", "1"]);
    assert!(!prometheus.fires("Defect"));
    // Not each answer panics: those before and after it talk.
    let causes = || -> Vec<String> { server.calls().iter().rev().map(|call| call["cause"].to_string()).collect() };
    for batch in 1.. {
        let name = format!("batch-{batch}");
        let many = Sipp { name: &name, scenario: "caller_waits", calls: 8, more: &["-r", "8"], ..Sipp::default() };
        many.start(&ground, &server).wait(60 * SECOND);
        let causes = causes();
        let first = causes.iter().position(|cause| cause == "\"Defect\"");
        if first.is_some_and(|first| causes[first..].iter().any(|cause| cause == "\"AgentHungUp\"")) {
            break;
        }
        assert!(batch < 6, "no call met the defect, or none after it went well: {causes:?}");
    }
    fires(&prometheus, "Defect");
    ends(&prometheus, "Defect");
    let said = server.program.errors();
    assert!(said.contains("repaired an inner error"), "the alert sends one to lines that are not there: {said}");
}

/// Statistics panic at each event: calls go on, and numbers again when it is over.
#[test]
fn a_defect_beside_the_calls() {
    let ground = Ground::new("planted_beside");
    let (server, prometheus) = started(&ground, "");
    let _agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let one = |name| Sipp { name, seconds: 1.0, ..Sipp::default() }.start(&ground, &server).wait(30 * SECOND);
    assert_eq!(one("before"), 0);
    assert!(!prometheus.fires("DefectBeside"));
    plant(&ground, "panic statistics\n");
    assert_eq!(one("meanwhile"), 0);
    fires(&prometheus, "DefectBeside");
    assert!(server.metrics()["tierline_defects_total{part=\"statistics\"}"] > 5.0);
    plant(&ground, "");
    assert_eq!(one("after"), 0);
    ends(&prometheus, "DefectBeside");
    let counted = |name: &str| server.metrics()[name];
    assert_eq!(counted("tierline_calls_arrived_total{line=\"direct\"}"), 2.0, "one was not counted, two were");
    assert!(server.wait_ended(3, GENEROUS).iter().all(|call| call["outcome"] == "Served"));
}

/// The thread of the records panics as often as it begins. When it does not any more, they have all.
#[test]
fn a_thread_that_panics_again_and_again() {
    let ground = Ground::new("planted_thread");
    let (server, prometheus) = started(&ground, "panic records\n");
    ["ThreadMissing", "DefectBeside"].iter().for_each(|alert| fires(&prometheus, alert));
    let _agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    assert_eq!(Sipp { seconds: 1.0, ..Sipp::default() }.start(&ground, &server).wait(30 * SECOND), 0);
    assert!(server.metrics()["tierline_records_lag_events"] > 5.0);
    assert!(server.program.errors().contains("a thread panicked"), "{}", server.program.errors());
    plant(&ground, "");
    ["ThreadMissing", "DefectBeside"].iter().for_each(|alert| ends(&prometheus, alert));
    wait_until("the records have all", GENEROUS, || server.metrics()["tierline_records_lag_events"] == 0.0);
    let listed = server.tierline(&["calls", "--json", "--queue", "general"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

/// Somebody holds the log while callers hang up, and there is no room for what is to be written.
#[test]
fn events_that_find_no_room() {
    let ground = Ground::new("planted_events");
    let (mut server, prometheus) = started(&ground, "");
    let many = Sipp { name: "many", calls: 10, seconds: 8.0, more: &["-r", "10"], ..Sipp::default() };
    let mut many = many.start(&ground, &server);
    wait_until("they wait", GENEROUS, || server.metrics()["tierline_queue_waiting{queue=\"general\"}"] == 10.0);
    assert!(!prometheus.fires("EventsLost"));
    let other = rusqlite::Connection::open(server.data.join("events.db")).expect("the log");
    other.busy_timeout(10 * SECOND).expect("patience");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    plant(&ground, "few events\n");
    assert_eq!(many.wait(60 * SECOND), 0);
    fires(&prometheus, "EventsLost");
    other.execute_batch("ROLLBACK").expect("given back");
    plant(&ground, "");
    ends(&prometheus, "EventsLost");
    // As it says: calls that were open then end at the next start.
    server.program.kill();
    server.start_again();
    let calls = server.calls();
    assert_eq!((calls.len(), calls.iter().filter(|call| is_over(call)).count()), (10, 10), "{calls:?}");
    let ended = |cause: &str| calls.iter().filter(|call| call["cause"] == cause).count();
    assert!(ended("Restart") > 0 && ended("Restart") + ended("CallerHungUp") == 10, "{calls:?}");
}
