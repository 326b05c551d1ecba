//! The operators' guide's own lines, followed: copies are made beside a server that takes calls, and are gone back to after more
//! calls and starts. Nothing that was copied is thrown away, and the ticketing system neither takes a new call for one that was
//! lost nor leaves anything of it out.

use super::center::Center;
use super::harness::{GENEROUS, Ground, wait_until};
use std::process::Command;

/// The lines of the guide's block that has `what` in it, but for ours.
fn lines(what: &str) -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operators.md")).expect("the guide");
    let block = page.split("```").find(|block| block.starts_with("sh\n") && block.contains(what)).expect("the block");
    block.lines().skip(1).filter(|line| !line.starts_with("tierline")).map(str::to_owned).collect()
}

fn run(ground: &Ground, line: &str) {
    let output = Command::new("sh").args(["-ec", line]).current_dir(ground.file("")).output().expect("a shell");
    assert!(output.status.success(), "`{line}`: {output:?}");
}

/// One more call; then the records and the ticketing system have all of it.
fn call(center: &mut Center<'_>) {
    center.call(1.0);
    wait_until("all is told", 2 * GENEROUS, || {
        let metrics = center.server.metrics();
        metrics["tierline_records_lag_events"] == 0.0 && metrics["tierline_ticketing_waiting"] == 0.0
    });
    let all = (center.placed as i64, center.placed as i64);
    wait_until("the ticketing system has a ticket and an end of each call", GENEROUS, || tickets(center) >= all);
    assert_eq!(tickets(center), all);
}

/// Tickets, and those that a call's end was told of.
fn tickets(center: &Center<'_>) -> (i64, i64) {
    let conn = center.tickets();
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get(0)).expect("a count");
    let ended = "SELECT count(DISTINCT ticket) FROM history WHERE text LIKE 'ended:%'";
    (count("SELECT count(*) FROM ticket"), count(ended))
}

#[test]
fn copies_that_were_made_under_calls_are_gone_back_to() {
    let ground = Ground::new("copied");
    let mut center = Center::open(&ground);
    call(&mut center);
    for line in lines(".backup") {
        run(&ground, &line);
        call(&mut center);
    }
    // What is lost, with a start in it; its number is given again.
    let copied = center.placed - 1;
    center.starts_again();
    call(&mut center);
    center.server.program.kill();
    for line in lines("mkdir -m 700 restored") {
        run(&ground, &line);
    }
    // What is no database is a plain file.
    run(
        &ground,
        "mv data lost; for file in lost/*; do case $file in *.db*) ;; *) cp -r $file restored;; esac; done; mv restored data",
    );
    center.server.start_again();
    call(&mut center);
    let files = std::fs::read_dir(ground.file("data")).expect("the data").map(|file| file.expect("a file").file_name());
    let files: Vec<_> = files.filter_map(|name| name.into_string().ok()).collect();
    assert!(
        files.iter().any(|name| name == "ticketing.db") && !files.iter().any(|name| name.contains("aside")),
        "{files:?}"
    );
    let calls = ["calls", "--json", "--queue", "general", "--last", "100"];
    assert_eq!(center.server.tierline(&calls).lines().count(), copied + 1);
}
