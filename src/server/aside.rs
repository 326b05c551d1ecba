//! A database beside the log that is damaged, or is not of this log: it is put aside, where somebody may look at it, and
//! another one is begun from the log. The log itself is never put aside, and that it is damaged says nothing of who is made
//! from it. What is damaged again and again fills no disk: there are [`MOST`] of each, until somebody has looked.

use super::store::OfLog;
use anyhow::{Context, Result, bail};
use rusqlite::ErrorCode;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A file is whole and is not what belongs here, in words.
#[derive(Debug)]
pub struct Foreign(pub String);

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Foreign {}

/// SQLITE_IOERR_SHORT_READ: the file ends where a page should be.
const CUT: i32 = 522;

/// What belongs to a database, behind its name.
const FILES: [&str; 3] = ["-wal", "-shm", ""];

/// So many of one database lie there at most: each may be as large as the first.
const MOST: usize = 4;

/// Whether nothing will ever be read from the file again, or nothing that belongs here. Of errors of the log: no.
pub fn is_useless(why: &anyhow::Error) -> bool {
    let damaged = |cause: &(dyn std::error::Error + 'static)| {
        let error = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
        error.is_some_and(|error| {
            let code = matches!(error.code, ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt);
            code || error.extended_code == CUT
        })
    };
    !why.is::<OfLog>() && (why.is::<Foreign>() || why.chain().any(damaged))
}

/// Renames the database and what belongs to it; the name that it has now.
///
/// # Errors
/// It cannot be renamed, or [`MOST`] lie there.
pub fn put(file: &Path) -> Result<PathBuf> {
    let with = |file: &Path, end: &str| {
        let mut name = OsString::from(file);
        name.push(end);
        PathBuf::from(name)
    };
    let is_free = |place: &PathBuf| FILES.iter().all(|end| !with(place, end).exists());
    let free = (1..=MOST).map(|number| with(file, &format!(".aside-{number}"))).find(is_free);
    let Some(place) = free else {
        bail!(
            "`{}` cannot be used, and {MOST} of it were put aside already: it is left until somebody has looked why, and \
             has taken one of them away",
            file.display()
        )
    };
    // The write-ahead log first: it must not be taken for that of the next file.
    for end in FILES {
        let (from, to) = (with(file, end), with(&place, end));
        if from.try_exists()? {
            std::fs::rename(&from, &to).with_context(|| format!("cannot put `{}` aside", from.display()))?;
        }
    }
    Ok(place)
}

/// Removes all of this database that was put aside.
///
/// # Errors
/// Something cannot be removed.
pub fn remove(file: &Path) -> Result<()> {
    for number in 1..=MOST {
        for end in FILES {
            let mut name = OsString::from(file);
            name.push(format!(".aside-{number}{end}"));
            let place = PathBuf::from(name);
            match std::fs::remove_file(&place) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                    return Err(why).with_context(|| format!("cannot remove `{}`", place.display()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_put_aside_and_what_is_only_held_is_not() {
        let dir = std::env::temp_dir().join(format!("tierline-aside-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("x.db");
        let read = || -> Result<i64> {
            let conn = rusqlite::Connection::open(&file)?;
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).context("a count")
        };
        for number in 1..=MOST {
            std::fs::write(&file, [b'x'; 4096]).unwrap();
            assert!(is_useless(&read().unwrap_err()));
            assert!(!is_useless(&read().context(OfLog).context("told").unwrap_err()), "of another file");
            std::fs::write(dir.join("x.db-wal"), "old").unwrap();
            assert_eq!(put(&file).unwrap(), dir.join(format!("x.db.aside-{number}")));
            assert!(dir.join(format!("x.db.aside-{number}-wal")).exists() && !file.exists());
        }
        std::fs::write(&file, [b'x'; 4096]).unwrap();
        assert!(put(&file).unwrap_err().to_string().contains("4 of it were put aside already"));
        assert!(file.exists(), "it is left");
        for end in ["", "-wal"] {
            assert!(put(&file).is_err());
            std::fs::remove_file(dir.join(format!("x.db.aside-2{end}"))).unwrap();
        }
        assert_eq!(put(&file).unwrap(), dir.join("x.db.aside-2"));
        let held = rusqlite::Connection::open(&file).unwrap();
        held.execute_batch("CREATE TABLE t(x); BEGIN EXCLUSIVE").unwrap();
        assert!(!is_useless(&read().unwrap_err()));
        assert!(!is_useless(&anyhow::anyhow!("the disk is full")));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
