//! A server that is killed in the midst of many calls, again and again: what its records hold is what is made anew from
//! its log, and each call is in them once.

use super::harness::{GENEROUS, Ground, SECOND, wait_until};
use super::peers::{Sipp, phone_agent};
use super::server::{Server, Wishes, is_over};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Calls that have come, of one start, when it is killed.
const ENOUGH: f64 = 40.0;

/// Every row of every table of what happened, in order.
fn rows(data: &Path) -> Vec<String> {
    let conn = Connection::open(data.join("records.db")).expect("the records");
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('state', 'meta') ORDER BY name";
    let mut names = conn.prepare(names).expect("a statement");
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).expect("tables").map(|name| name.expect("text")).collect();
    assert!(names.len() >= 8, "{names:?}");
    let mut all = Vec::new();
    for name in names {
        let mut query = conn.prepare(&format!("SELECT * FROM {name}")).expect("a table");
        let columns = query.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>()
        };
        let mut found: Vec<String> =
            query.query_map([], row).expect("rows").map(|row| format!("{name} {:?}", row.expect("a row"))).collect();
        found.sort();
        all.extend(found);
    }
    all
}

/// The calls that the log says have come, each by its number.
fn arrived(data: &Path) -> Vec<i64> {
    let conn = Connection::open(data.join("events.db")).expect("the log");
    let mut query = conn.prepare("SELECT call, lines FROM event WHERE call IS NOT NULL").expect("a statement");
    let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).expect("rows");
    let rows = rows.map(|row| row.expect("a row"));
    rows.flat_map(|(call, lines)| lines.matches("\"CallArrived\"").map(|_| call).collect::<Vec<_>>()).collect()
}

#[test]
fn killed_in_a_storm_of_calls_the_records_are_those_of_the_log() {
    let ground = Ground::new("storm");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada", "ben"]));
    // Who has answered in the last moment before a kill is in a call that no log knows: he hangs up by himself, and rests
    // for a minute because he was busy.
    let manner = ["--answer", "0", "--hang-up", "3"];
    let _agents = ["ada", "ben"].map(|user| phone_agent(&ground, &server, user, 1000.0, &manner));
    for round in 1..=3 {
        let name = format!("storm-{round}");
        let storm = Sipp { name: &name, calls: 4000, seconds: 1.5, more: &["-r", "20"], ..Sipp::default() };
        let storm = storm.start(&ground, &server);
        wait_until("many calls have come", GENEROUS * 3, || {
            let numbers = server.metrics();
            let talk = numbers["tierline_calls{phase=\"connected\"}"] >= 1.0;
            talk && numbers["tierline_calls_arrived_total{line=\"direct\"}"] >= ENOUGH
        });
        server.program.kill();
        drop(storm);
        server.start_again();
    }
    wait_until("all have ended", GENEROUS, || server.calls().iter().all(is_over));
    server.program.signal(libc::SIGTERM);
    assert_eq!(server.program.wait(30 * SECOND), 0);
    let kept = rows(&server.data);
    server.tierline(&["records", "rebuild"]);
    let anew = rows(&server.data);
    let differ: Vec<_> = kept.iter().zip(&anew).filter(|(kept, anew)| kept != anew).take(5).collect();
    assert!(kept == anew, "{} rows were kept, {} are made anew; first: {differ:#?}", kept.len(), anew.len());
    // Each call once, whatever it was doing when the server was killed.
    let came = arrived(&server.data);
    let each: BTreeSet<i64> = came.iter().copied().collect();
    assert!(came.len() == each.len() && each.len() >= 100, "{} calls came {} times", each.len(), came.len());
    let conn = Connection::open(server.data.join("records.db")).expect("the records");
    let mut query = conn.prepare("SELECT call, cause, phase FROM call").expect("a statement");
    let calls = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    let calls: Vec<(i64, String, String)> = calls.map(|row| row.expect("a row")).collect();
    assert_eq!(calls.iter().map(|(call, ..)| *call).collect::<BTreeSet<_>>(), each);
    assert_eq!(calls.len(), each.len());
    // They were killed while they waited, and while they talked, and are told so.
    for (phase, least) in [("Queued", 3), ("Connected", 1)] {
        let killed = calls.iter().filter(|(_, cause, how)| cause == "Restart" && how == phase).count();
        assert!(killed >= least, "{killed} were killed while {phase}: {calls:?}");
    }
}
