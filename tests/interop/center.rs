//! A center with one agent's phone and `tierline ticketing` beside it, whose calls are counted.

use super::harness::{Ground, Program, SECOND};
use super::peers::{Sipp, phone_agent};
use super::server::{Server, TIERLINE, Wishes};
use rusqlite::Connection;
use std::process::Command;

pub struct Center<'g> {
    pub ground: &'g Ground,
    pub server: Server<'g>,
    /// How many calls there were.
    pub placed: usize,
    _agent: Program,
    _ticketing: Program,
}

impl<'g> Center<'g> {
    pub fn open(ground: &'g Ground) -> Center<'g> {
        let at = ground.address();
        let more = format!("[ticketing]\naddress = \"http://{at}\"\nretry = \"200ms\"\nretry_most = \"1s\"\n");
        let mut ticketing = Command::new(TIERLINE);
        let ticketing = ticketing.args(["ticketing", "--listen", &at.to_string(), "--data", "tickets"]);
        let ticketing = ground.run("ticketing", ticketing);
        let server = Server::start(ground, &Wishes { more, ..Wishes::agents(&["ada"]) });
        let agent = phone_agent(ground, &server, "ada", 1000.0, &["--answer", "0"]);
        Center { ground, server, placed: 0, _agent: agent, _ticketing: ticketing }
    }

    /// One more, which talks for so many seconds.
    pub fn call(&mut self, seconds: f64) {
        self.placed += 1;
        let name = format!("call-{}", self.placed);
        let call = Sipp { name: &name, seconds, ..Sipp::default() };
        assert_eq!(call.start(self.ground, &self.server).wait(40 * SECOND), 0, "a call did not go on");
    }

    pub fn starts_again(&mut self) {
        self.server.program.kill();
        self.server.start_again();
    }

    /// The ticketing system's file.
    pub fn tickets(&self) -> Connection {
        Connection::open(self.ground.file("tickets").join("tickets.db")).expect("the ticketing system's file")
    }
}
