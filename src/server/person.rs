//! `tierline person erase`: a person's number, and what was keyed and noted in the person's calls, leave the log.
//!
//! Texts are overwritten where they are (`store` says why that leaves no copy), on a connection of its own beside a
//! running server, and the write-ahead log is emptied. A call that runs has its dialog in the log until it ends, and a
//! running server may hold its texts in memory: such a call is left, and told. What a running server still has to tell the
//! ticketing system of calls that are over loses its texts too (`ticketing.db` is where it hears of that).

use super::wrong::Wrong;
use super::{store, ticketing};
use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::path::Path;

const UNKNOWN: &str = "nothing is kept of this number: is it written as the caller's side gave it? `tierline calls --numbers` \
                       shows the numbers that are kept";

/// Erases, and says what was erased, and whether that is all: calls that run are left.
///
/// # Errors
/// There is no log, it cannot be written, or somebody reads it for so long that copies remain. Or nothing is kept of the
/// number: it may be mistyped.
pub fn erase(data: &Path, number: &str) -> Result<(String, bool)> {
    if number.trim().is_empty() {
        return Err(Wrong("say which number".to_owned()).into());
    }
    let person = store::Person::find(data, number.trim())?;
    // Before: a kill between the two leaves no texts that are erased in the log and still told. And after: a running
    // server may have read some meanwhile.
    let (calls, person_is_known) = (person.calls().clone(), person.is_known());
    ticketing::memory::erase(data, &calls)?;
    let erased = person.erase();
    ticketing::memory::erase(data, &calls)?; // also where somebody reads the log: nobody will find these calls again
    let erased = erased?;
    // After all that could be left of an earlier attempt is gone.
    ensure!(person_is_known, "{UNKNOWN}");
    let mut text = String::new();
    writeln!(text, "erased {} texts of {} calls", erased.texts, erased.calls)?;
    if erased.running > 0 {
        let (calls, have) = if erased.running == 1 { ("call", "it has") } else { ("calls", "they have") };
        let still = if erased.running == 1 { "still runs" } else { "still run" };
        writeln!(text, "{} {calls} of this person {still}; erase again when {have} ended", erased.running)?;
    }
    writeln!(text, "not touched: the ticketing system, recordings of inputs (`serve --record`), backups")?;
    Ok((text, erased.running == 0))
}
