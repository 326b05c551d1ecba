//! How far something is that takes long: over and over in one line for who watches, a line now and then for a log, by the
//! journal where there is one.
#![allow(clippy::disallowed_methods, reason = "the shell reads the clock")]

use crate::server::journal::{self, Entry};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// What is quicker than this says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two lines in a log.
const SELDOM: Duration = Duration::from_secs(10);

pub struct Progress {
    what: &'static str,
    out: Box<dyn Write>,
    terminal: bool,
    next: Instant,
    told: bool,
}

impl Progress {
    pub fn new(what: &'static str) -> Progress {
        #[cfg(test)]
        if let Some(out) = seen::looked_at() {
            return Progress::to(Box::new(out), false, what, Instant::now() - PATIENCE);
        }
        let terminal = std::io::stderr().is_terminal();
        Progress::to(Box::new(std::io::stderr()), terminal, what, Instant::now())
    }

    /// Of what is printed meanwhile: whoever sees it come needs nothing else, and it would stand in between.
    pub fn of_what_is_printed(what: &'static str) -> Progress {
        let progress = Progress::new(what);
        match std::io::stdout().is_terminal() {
            true => Progress { out: Box::new(std::io::sink()), terminal: false, ..progress },
            false => progress,
        }
    }

    fn to(out: Box<dyn Write>, terminal: bool, what: &'static str, now: Instant) -> Progress {
        Progress { what, out, terminal, next: now + PATIENCE, told: false }
    }

    /// So many of so many are done. Always true: it may stand where somebody asks whether to go on.
    pub fn shows(&mut self, done: u64, of: u64) -> bool {
        self.shows_at(Instant::now(), done, of);
        true
    }

    fn shows_at(&mut self, now: Instant, done: u64, of: u64) {
        if now < self.next {
            return;
        }
        if journal::is_kept() {
            self.next = now + SELDOM;
            Entry::info("records", self.what).with("done", done).with("of", of).tell();
            return;
        }
        let (pause, begin, end) = match self.terminal {
            true => (Duration::from_millis(200), "\r", ""),
            false => (SELDOM, "", "\n"),
        };
        self.next = now + pause;
        self.told = true;
        let percent = done.min(of) * 100 / of.max(1);
        // Who does not read it misses nothing but this.
        _ = write!(self.out, "{begin}{} {done} of {of} ({percent} %){end}", self.what).and_then(|()| self.out.flush());
    }

    /// Nothing more is shown; what stood in the terminal is gone.
    pub fn end(mut self) {
        if self.terminal && self.told {
            _ = write!(self.out, "\r\x1b[K");
        }
    }
}

/// For tests: what is shown on this thread, as if each thing took longer than one waits for it.
#[cfg(test)]
pub(in crate::server) mod seen {
    use std::cell::RefCell;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub struct Shown(pub Arc<Mutex<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    thread_local!(static LOOKS: RefCell<Option<Shown>> = const { RefCell::new(None) });

    pub fn looked_at() -> Option<Shown> {
        LOOKS.with_borrow(Option::clone)
    }

    /// What is shown while it runs.
    pub fn while_it_runs(run: impl FnOnce()) -> String {
        let out = Shown::default();
        LOOKS.set(Some(out.clone()));
        run();
        LOOKS.set(None);
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::seen::Shown;
    use super::*;

    /// What is shown by somebody who does a tenth each 100 ms, or each second.
    fn shown(terminal: bool, tenth: Duration) -> String {
        let (out, begun) = (Shown::default(), Instant::now());
        let mut progress = Progress::to(Box::new(out.clone()), terminal, "events", begun);
        (1..=10).for_each(|n| progress.shows_at(begun + tenth * n, u64::from(n), 10));
        progress.end();
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_takes_longer_than_a_second_is_shown_and_what_is_quicker_is_not() {
        let (quick, slow) = (Duration::from_millis(99), Duration::from_secs(2));
        assert_eq!([shown(true, quick), shown(false, quick)], ["", ""]);
        let line = |n: u32| format!("\revents {n} of 10 ({n}0 %)");
        assert_eq!(shown(true, slow), (1..=10).map(line).collect::<String>() + "\r\x1b[K");
        // A log gets a line after a second, and then one each ten seconds.
        assert_eq!(shown(false, slow), "events 1 of 10 (10 %)\nevents 6 of 10 (60 %)\n");
    }
}
