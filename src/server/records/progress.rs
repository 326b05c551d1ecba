//! How far something is that takes long: over and over in one line for who watches, a line now and then for a log, by the
//! journal where there is one.

use crate::server::journal::{self, Entry};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// What is quicker than this says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two lines in a log.
const SELDOM: Duration = Duration::from_secs(10);

pub struct Progress {
    what: &'static str,
    terminal: bool,
    next: Instant,
    told: bool,
}

impl Progress {
    pub fn new(what: &'static str) -> Progress {
        Progress { what, terminal: std::io::stderr().is_terminal(), next: Instant::now() + PATIENCE, told: false }
    }

    /// So many of so many are done. Always true: it may stand where somebody asks whether to go on.
    pub fn shows(&mut self, done: u64, of: u64) -> bool {
        if Instant::now() < self.next {
            return true;
        }
        if journal::is_kept() {
            self.next = Instant::now() + SELDOM;
            Entry::info("records", self.what).with("done", done).with("of", of).tell();
            return true;
        }
        let (pause, begin, end) = match self.terminal {
            true => (Duration::from_millis(200), "\r", ""),
            false => (SELDOM, "", "\n"),
        };
        self.next = Instant::now() + pause;
        self.told = true;
        let percent = done.min(of) * 100 / of.max(1);
        eprint!("{begin}{} {done} of {of} ({percent} %){end}", self.what);
        _ = std::io::stderr().flush();
        true
    }

    /// Nothing more is shown; what stood in the terminal is gone.
    pub fn end(self) {
        if self.terminal && self.told {
            eprint!("\r\x1b[K");
        }
    }
}
