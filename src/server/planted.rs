//! What tests break in a running server, to see that whoever watches it is told. Only in builds with the feature
//! `planted-bugs`: elsewhere nothing is ever broken, and nothing of this is read.
//!
//! The file that the variable `TIERLINE_PLANTED` names has a line for each bug. It is read whenever one could act: a bug
//! ends when its line is gone.
//!
//! | line | what is broken |
//! |---|---|
//! | `panic NAME` | what is contained under that name ([`super::defects`]): `statistics`, or a thread each time it begins |
//! | `panic engine` | the engine, at some answers of agents ([`crate::engine::Bug::Panics`]); looked for at the start only |
//! | `few events` | the log: as if there were memory for [`FEW`] events that wait for the disk |

use crate::engine::Engine;

/// Events that may wait then.
pub const FEW: u64 = 5;

/// Whether the file has this line.
#[cfg(feature = "planted-bugs")]
fn is_planted(line: &str) -> bool {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("TIERLINE_PLANTED").map(PathBuf::from));
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.is_some_and(|text| text.lines().any(|planted| planted == line))
}

#[cfg(not(feature = "planted-bugs"))]
fn is_planted(_: &str) -> bool {
    false
}

/// Before something that is contained.
pub fn contained(name: &str) {
    assert!(!(cfg!(feature = "planted-bugs") && is_planted(&format!("panic {name}"))), "planted");
}

/// A new engine.
pub fn engine(engine: Engine) -> Engine {
    #[cfg(feature = "planted-bugs")]
    let engine = {
        let mut engine = engine;
        if is_planted("panic engine") {
            engine.plant(crate::engine::Bug::Panics);
        }
        engine
    };
    engine
}

/// How many events may wait for the disk.
pub fn limit(usual: u64) -> u64 {
    if is_planted("few events") { FEW } else { usual }
}
