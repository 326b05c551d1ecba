//! The operators' guide's own lines, followed: copies are made beside a server that takes calls, and are gone back to after more
//! calls and starts. Nothing that was copied is thrown away, and the ticketing system neither takes a new call for one that was
//! lost nor leaves anything of it out.

use super::harness::{GENEROUS, Ground, SECOND, wait_until};
use super::peers::{Sipp, phone_agent};
use super::server::{Server, TIERLINE, Wishes};
use rusqlite::Connection;
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

struct Center<'g> {
    ground: &'g Ground,
    server: Server<'g>,
    placed: usize,
}

impl Center<'_> {
    /// One more, talked; then the records and the ticketing system have all of it.
    fn call(&mut self) {
        self.placed += 1;
        let name = format!("call-{}", self.placed);
        let call = Sipp { name: &name, seconds: 1.0, ..Sipp::default() };
        assert_eq!(call.start(self.ground, &self.server).wait(40 * SECOND), 0, "a call did not go on");
        wait_until("all is told", 2 * GENEROUS, || {
            let metrics = self.server.metrics();
            metrics["tierline_records_lag_events"] == 0.0 && metrics["tierline_ticketing_waiting"] == 0.0
        });
        let all = (self.placed as i64, self.placed as i64);
        wait_until("the ticketing system has a ticket and an end of each call", GENEROUS, || self.tickets() >= all);
        assert_eq!(self.tickets(), all);
    }

    /// Tickets, and those that a call's end was told of.
    fn tickets(&self) -> (i64, i64) {
        let conn =
            Connection::open(self.ground.file("tickets").join("tickets.db")).expect("the ticketing system's file");
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get(0)).expect("a count");
        let ended = "SELECT count(DISTINCT ticket) FROM history WHERE text LIKE 'ended:%'";
        (count("SELECT count(*) FROM ticket"), count(ended))
    }

    fn starts_again(&mut self) {
        self.server.program.kill();
        self.server.start_again();
    }
}

#[test]
fn copies_that_were_made_under_calls_are_gone_back_to() {
    let ground = Ground::new("copied");
    let at = ground.address();
    let more = format!("[ticketing]\naddress = \"http://{at}\"\nretry = \"200ms\"\nretry_most = \"1s\"\n");
    let mut system = Command::new(TIERLINE);
    let system = system.args(["ticketing", "--listen", &at.to_string(), "--data", "tickets"]);
    let _system = ground.run("ticketing", system);
    let server = Server::start(&ground, &Wishes { more, ..Wishes::agents(&["ada"]) });
    let _agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let mut center = Center { ground: &ground, server, placed: 0 };
    center.call();
    for line in lines(".backup") {
        run(&ground, &line);
        center.call();
    }
    // What is lost, with a start in it; its number is given again.
    let copied = center.placed - 1;
    center.starts_again();
    center.call();
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
    center.call();
    let files = std::fs::read_dir(ground.file("data")).expect("the data").map(|file| file.expect("a file").file_name());
    let files: Vec<_> = files.filter_map(|name| name.into_string().ok()).collect();
    assert!(
        files.iter().any(|name| name == "ticketing.db") && !files.iter().any(|name| name.contains("aside")),
        "{files:?}"
    );
    let calls = ["calls", "--json", "--queue", "general", "--last", "100"];
    assert_eq!(center.server.tierline(&calls).lines().count(), copied + 1);
}
