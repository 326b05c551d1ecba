//! A clock of a program's own, that a test sets: a library that stands before the system's (`clock.c`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Clock {
    library: PathBuf,
    ahead: PathBuf,
}

impl Clock {
    pub fn new(dir: &Path) -> Clock {
        let (library, ahead) = (dir.join("clock.so"), dir.join("ahead"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/place/clock.c");
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(made.expect("a C compiler").success());
        let clock = Clock { library, ahead };
        clock.set(0);
        clock
    }

    /// So many seconds ahead of the system's, from now on. In one piece: it is read meanwhile.
    pub fn set(&self, seconds: i64) {
        let new = self.ahead.with_extension("new");
        fs::write(&new, seconds.to_string()).expect("a file");
        fs::rename(&new, &self.ahead).expect("a file");
    }

    pub fn of(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("CLOCK_AHEAD", &self.ahead);
    }
}
