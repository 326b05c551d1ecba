//! The two databases beside the log are damaged or held by somebody, while the server runs and when it starts: calls go on,
//! whoever runs it is told, and when it is over both have all that happened, each thing once.

use super::center::Center;
use super::harness::{GENEROUS, Ground, wait_until};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const FILES: [&str; 2] = ["records.db", "ticketing.db"];

/// Whoever opened it reads this from now on.
fn overwrite(file: &Path, bytes: &[u8]) {
    let open = File::options().write(true).open(file).expect("a database");
    open.write_all_at(bytes, 0).expect("written over");
    open.set_len(bytes.len() as u64).expect("cut");
}

/// The call of each ticket that there is.
fn tickets(center: &Center<'_>) -> Vec<String> {
    let conn = center.tickets();
    let mut query = conn.prepare("SELECT call FROM ticket").expect("a statement");
    query.query_map([], |row| row.get(0)).expect("tickets").map(|call| call.expect("a call")).collect()
}

/// Both have all calls, each once.
fn all_there(center: &Center<'_>) {
    let listed = || center.server.tierline(&["calls", "--json", "--queue", "general", "--last", "100"]);
    // The caller knows a moment before the log that the call is over.
    let served = || listed().lines().filter(|line| line.contains("\"Served\"")).count();
    wait_until("the records have all", 2 * GENEROUS, || {
        center.server.metrics()["tierline_records_lag_events"] == 0.0 && served() == center.placed
    });
    assert_eq!(listed().lines().count(), center.placed, "{}", listed());
    wait_until("the ticketing system has all", 2 * GENEROUS, || tickets(center).len() >= center.placed);
    let tickets = tickets(center);
    let each: BTreeSet<&String> = tickets.iter().collect();
    assert_eq!((tickets.len(), each.len()), (center.placed, center.placed), "{tickets:?}");
}

fn is_told(center: &Center<'_>, times: usize, what: &str) {
    let said = center.server.program.errors();
    let told = said.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told, times, "`{what}`: {said}");
}

#[test]
fn calls_go_on_beside_broken_databases_and_nothing_is_lost() {
    let ground = Ground::new("broken");
    let mut center = Center::open(&ground);
    let place = |file: &str| ground.file("data").join(file);
    center.call(2.0);
    all_there(&center);
    // At a start: no database at all, or half of one.
    for halved in [false, true] {
        center.server.program.kill();
        for file in FILES {
            // All that was written is in the file itself then.
            let conn = Connection::open(place(file)).expect("a database");
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("written");
            drop(conn);
            let bytes = std::fs::read(place(file)).expect("a database");
            let damage = if halved { bytes[..bytes.len() / 2].to_vec() } else { vec![b'x'; bytes.len()] };
            overwrite(&place(file), &damage);
        }
        center.server.start_again();
        center.call(2.0);
        all_there(&center);
        is_told(&center, 1, "the records cannot be used; they are put aside");
        is_told(&center, 1, "ticketing.db cannot be used; it is put aside");
    }
    // While it runs: it may notice at its next look at that page, or only when it starts again.
    for file in FILES {
        overwrite(&place(file), &vec![b'x'; 40_000]);
        overwrite(&place(&format!("{file}-wal")), b"");
    }
    center.call(2.0);
    all_there(&center);
    center.starts_again();
    center.call(2.0);
    all_there(&center);
    // Somebody else has both, at a start and for a call.
    center.server.program.kill();
    let held = FILES.map(|file| Connection::open(place(file)).expect("a database"));
    held.iter().for_each(|held| held.execute_batch("BEGIN EXCLUSIVE").expect("held"));
    center.server.start_again();
    center.call(2.0);
    wait_until("somebody is told", 2 * GENEROUS, || {
        let said = center.server.program.errors();
        said.contains("the records fall behind") && said.contains("ticketing.db cannot be opened; calls go on")
    });
    assert!(center.server.metrics()["tierline_records_lag_seconds"] > 0.0);
    assert!(center.server.metrics()["tierline_ticketing_lag_seconds"] > 0.0);
    held.iter().for_each(|held| held.execute_batch("ROLLBACK").expect("given back"));
    all_there(&center);
}
