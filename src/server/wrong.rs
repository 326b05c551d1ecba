//! How a command ends, for scripts and for whoever watches over a server: one rule, and one place that knows it.
//!
//! | exit code | what it means |
//! |---|---|
//! | 0 | done |
//! | 1 | understood, and could not be done or did not come out well: trying again may help |
//! | 2 | what was asked or configured is wrong: trying again as it is cannot help |

use super::store::{NoLog, Unusable};
use crate::config::{self, Loaded};
use anyhow::Result;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// What was asked or configured is wrong, in words.
#[derive(Debug)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// Says so of an error.
pub trait OrWrong<T> {
    /// # Errors
    /// The same, as [`Wrong`].
    fn or_wrong(self) -> Result<T>;

    /// # Errors
    /// The same: as [`Wrong`], unless the system says that it passes.
    fn or_wrong_unless_passing(self) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrWrong<T> for Result<T, E> {
    fn or_wrong(self) -> Result<T> {
        self.map_err(|why| Wrong(format!("{:#}", why.into())).into())
    }

    fn or_wrong_unless_passing(self) -> Result<T> {
        self.map_err(Into::into).map_err(|why| match is_passing(&why) {
            true => why,
            false => Wrong(format!("{why:#}")).into(),
        })
    }
}

/// The exit code of a command that ended with this.
pub fn exit_code(why: &anyhow::Error) -> u8 {
    if is_wrong(why) { 2 } else { 1 }
}

pub fn is_wrong(why: &anyhow::Error) -> bool {
    why.is::<Wrong>() || why.is::<NoLog>() || why.is::<Unusable>() || why.chain().any(is_no_database)
}

/// Somebody else's file, or junk, has the name of one of ours.
fn is_no_database(why: &(dyn std::error::Error + 'static)) -> bool {
    let code = why.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    code == Some(rusqlite::ErrorCode::NotADatabase)
}

/// Whether it is of the machine as it is now: the disk is full, somebody listens on the port, the address is not there
/// yet.
pub fn is_passing(why: &anyhow::Error) -> bool {
    use ErrorKind::{AddrInUse, AddrNotAvailable, QuotaExceeded, ResourceBusy, StorageFull, TimedOut};
    is_of(why, &[AddrInUse, AddrNotAvailable, QuotaExceeded, ResourceBusy, StorageFull, TimedOut])
}

/// Whether the system does not let us: nobody but its owner can mend that.
pub fn is_denied(why: &anyhow::Error) -> bool {
    is_of(why, &[ErrorKind::PermissionDenied])
}

/// Whether somebody else listens there.
pub fn is_taken(why: &anyhow::Error) -> bool {
    is_of(why, &[ErrorKind::AddrInUse])
}

fn is_of(why: &anyhow::Error, kinds: &[ErrorKind]) -> bool {
    let of =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    why.chain().filter_map(of).any(|kind| kinds.contains(&kind))
}

/// The configuration of a command that needs it.
///
/// # Errors
/// It is [`Wrong`].
pub fn loaded(config: Option<&Path>) -> Result<Loaded> {
    config::load(config).map_err(|refused| Wrong(refused.problems.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn what_is_wrong_stays_so_with_what_is_said_around_it() {
        let wrong = Err::<(), _>(anyhow::anyhow!("no such flow")).or_wrong();
        assert_eq!(exit_code(&wrong.context("flow draw").unwrap_err()), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("the disk is full")), 1);
        assert_eq!(exit_code(&anyhow::Error::from(NoLog::in_dir(Path::new("x"))).context("calls")), 2);
    }

    #[test]
    fn what_passes_is_known_from_the_system_s_own_word() {
        for (kind, passes) in [
            (ErrorKind::AddrInUse, true),
            (ErrorKind::StorageFull, true),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::NotFound, false),
        ] {
            let why = anyhow::Error::from(std::io::Error::from(kind)).context("cannot listen");
            assert_eq!(is_passing(&why), passes, "{kind:?}");
        }
        assert!(!is_passing(&anyhow::anyhow!("in words only")));
    }
}
