//! A log that SQLite cannot read, told so that whoever meets it knows what to do, and what that costs.

use anyhow::Error;
use rusqlite::ErrorCode;
use std::fmt;
use std::path::{Path, PathBuf};

/// The file of the log is damaged, or is somebody else's.
#[derive(Debug)]
pub struct Unusable {
    file: PathBuf,
    /// By SQLite.
    said: &'static str,
}

impl Unusable {
    /// What to do.
    pub const ADVICE: &'static str = "move `events.db`, `events.db-wal` and `events.db-shm` away, and put a backup of \
                                      `events.db` in their place (docs/operators.md, Backup and restore); without one \
                                      the next start begins an empty log, without the calls and reports until now, \
                                      agents' breaks, phones that are registered, announcements that are on, and what \
                                      the ticketing system was not told yet";

    /// What is so.
    pub fn found(&self) -> String {
        format!(
            "the event log `{}` cannot be used: it is damaged, or another program's file (SQLite says: {})",
            self.file.display(),
            self.said
        )
    }

    fn of(file: &Path, why: &Error) -> Option<Unusable> {
        let code = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code)
        };
        let said = why.chain().filter_map(code).find_map(|code| match code {
            ErrorCode::NotADatabase => Some("file is not a database"),
            ErrorCode::DatabaseCorrupt => Some("database disk image is malformed"),
            _ => None,
        })?;
        Some(Unusable { file: file.to_owned(), said })
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.found(), Unusable::ADVICE)
    }
}

impl std::error::Error for Unusable {}

/// Why the log in `file` cannot be opened: [`Unusable`], or else `what`, and why.
pub(super) fn told(why: Error, what: &str, file: &Path) -> Error {
    match Unusable::of(file, &why) {
        Some(unusable) => unusable.into(),
        None => why.context(format!("{what} `{}`", file.display())),
    }
}
