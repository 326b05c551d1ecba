//! Whether those who read the log keep up with it.

use super::Finding;
use crate::server::clock::Clock;
use crate::server::records::{self, Extent};
use crate::server::store::{self, Reader};
use crate::time::Instant;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the records have what the log has, or come to it: a server is given `patience` to fold what the log has now.
pub fn records(data: &Path, patience: Duration) -> Option<Finding> {
    let log = Reader::open(data).ok().flatten()?; // what is wrong with the log is told there
    let end = log.last().ok().filter(|last| *last > 0)?;
    let serves = store::in_use(data).is_some();
    let look = || -> Result<Option<Extent>> {
        if !records::file(data).try_exists()? {
            return Ok(None);
        }
        Extent::of(&records::reading(data)?, &log).map(Some)
    };
    let first = look();
    let (mut last, clock) = (look(), Clock::start());
    while serves
        && clock.now().since(Instant::ZERO) < patience
        && !matches!(&last, Ok(Some(extent)) if extent.seq >= end)
    {
        std::thread::park_timeout(PAUSE);
        last = look();
    }
    Some(judged(first.ok().flatten(), last, (end, serves)))
}

/// `end`: of the log when it was first looked at.
fn judged(first: Option<Extent>, last: Result<Option<Extent>>, (end, serves): (u64, bool)) -> Finding {
    let extent = match last {
        Ok(extent) => extent,
        Err(why) => {
            let advice = "`tierline records rebuild` makes them anew from the log, where it has its beginning";
            return Finding::warning("records", format!("{why:#}"), advice);
        }
    };
    let seq = extent.map_or(0, |extent| extent.seq);
    let found = format!("{} of {end} events", seq.min(end));
    if seq >= end {
        return Finding::ok("records", found);
    }
    if !serves {
        return Finding::ok("records", format!("{found}; the next start or report brings them up"));
    }
    match seq > first.map_or(0, |extent| extent.seq) {
        true => Finding::warning(
            "records",
            format!("{found}, and the server brings them up"),
            "reports say up to when they are complete: wait, or look at tierline_records_lag_events",
        ),
        false => Finding::warning(
            "records",
            format!("{found}, and nobody brings them up"),
            "the server's lines about `records` say why: another program that holds records.db, a full disk, lost \
             permissions; if it cannot be read any more, `tierline records rebuild`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health::{Ok as Well, Warning};
    use super::*;
    use crate::time::Wall;

    #[test]
    fn records_that_follow_come_up_or_stand_still() {
        let at =
            |seq| Some(Extent { seq, until: Wall(0), from: None, gaps: Vec::new(), lacks: 0, running: 0, since: None });
        for (first, last, serves, health, part) in [
            (at(9), at(9), true, Well, "9 of 9 events"),
            (at(7), at(12), true, Well, "9 of 9 events"),
            (at(3), at(3), false, Well, "3 of 9 events; the next start or report"),
            (None, None, false, Well, "0 of 9 events"),
            (at(3), at(7), true, Warning, "7 of 9 events, and the server brings them up"),
            (at(3), at(3), true, Warning, "3 of 9 events, and nobody"),
            (None, None, true, Warning, "0 of 9 events, and nobody"),
        ] {
            let found = judged(first, Ok(last), (9, serves));
            assert!(found.health == health && found.found.contains(part), "{found:?}");
            assert_eq!(found.advice.is_some(), health == Warning, "{found:?}");
        }
        let broken = judged(None, Err(anyhow::anyhow!("no database")), (9, true));
        assert!(broken.health == Warning && broken.found == "no database", "{broken:?}");
    }
}
