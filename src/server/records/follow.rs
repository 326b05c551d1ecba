//! The thread that keeps the records up with the log, off the engine's and the log's own.

use super::Records;
use super::lag::Behind;
use crate::server::aside;
use crate::server::clock::EventTime;
use crate::server::defects::Kept;
use crate::server::journal::Entry;
use crate::server::named::Named;
use crate::server::progress::Progress;
use crate::server::store::{Reader, Recent, Store};
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The log grows for so long before what is new is folded: one transaction for many groups.
const PAUSE: Duration = Duration::from_millis(500);
/// … under load: calls begin and end in one transaction then, and what is open is written for few of them.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// Load: so many events in one transaction.
const MANY: u64 = 1_000;
/// The pause before it is tried again after it failed.
const AGAIN: Duration = Duration::from_secs(5);
/// It looks whether all is there though nothing is new: somebody may have begun to make the records anew, and ended before
/// they were whole.
const LOOK: Duration = Duration::from_secs(60);

/// A stop waits for so many events at most; the next start goes on.
const LEFT_AT_STOP: u64 = 100_000;

enum News {
    /// Something is new: told once after each time that the follower has begun to fold.
    Committed,
    /// What is new does not fit into memory for long.
    Filling,
    Stop,
}

/// The follower as it runs; dropping it folds what is safe and stops it.
pub struct Follower {
    news: Sender<News>,
    stopping: Arc<AtomicBool>,
    thread: Option<Kept>,
    pub behind: Arc<Behind>,
}

impl Follower {
    /// Begins to follow the log in `data`. A log that has no records yet is folded from its beginning, beside the
    /// calls, with progress. `time` is that of the events.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn start(data: &Path, store: &Store, time: EventTime) -> Result<Follower> {
        let (news, heard) = channel();
        let log = Reader::of(data)?;
        let behind = Arc::new(Behind::new(time));
        behind.folded(super::place(data), &log)?;
        let (written, recent, curious) = (Arc::clone(&behind), store.bare(), Arc::new(AtomicBool::new(true)));
        let (committed, filling, asks) = (news.clone(), recent.clone(), Arc::clone(&curious));
        store.on_commit(Box::new(move |last| {
            written.written(last);
            // A follower that has ended needs no news.
            if asks.swap(false, SeqCst) {
                _ = committed.send(News::Committed);
            } else if filling.is_filling() {
                _ = committed.send(News::Filling);
            }
        }));
        let stopping = Arc::new(AtomicBool::new(false));
        let mut clerk = Clerk {
            data: data.into(),
            log,
            recent,
            curious,
            records: None,
            file: None,
            stopping: Arc::clone(&stopping),
            failed: false,
            behind: Arc::clone(&behind),
            time,
        };
        let thread = Kept::start("records", move || {
            (clerk.records, clerk.file) = (None, None); // what a panic left half-folded is not written
            clerk.run(&heard);
        })?;
        Ok(Follower { news, stopping, thread: Some(thread), behind })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopping.store(true, Relaxed);
        _ = self.news.send(News::Stop);
        self.thread.take().into_iter().for_each(Kept::join);
    }
}

/// The thread's own.
struct Clerk {
    data: std::path::PathBuf,
    log: Reader,
    recent: Recent,
    /// It has begun to fold, and has not been told of anything new since.
    curious: Arc<AtomicBool>,
    records: Option<Records>,
    /// What `records` has open.
    file: Option<Named>,
    stopping: Arc<AtomicBool>,
    failed: bool,
    behind: Arc<Behind>,
    time: EventTime,
}

impl Clerk {
    fn run(&mut self, heard: &Receiver<News>) {
        loop {
            let before = self.records.as_ref().map(Records::seq);
            self.curious.store(true, SeqCst);
            let folded = self.fold();
            let pause = match &folded {
                Ok(()) if before.is_some_and(|before| self.seq().saturating_sub(before) >= MANY) => BUSY_PAUSE,
                Ok(()) => PAUSE,
                Err(_) => AGAIN,
            };
            self.tell(folded);
            // What failed is tried again, also where nothing new comes.
            let most = if self.failed { pause } else { LOOK };
            if self.stopping.load(Relaxed) || !rest(heard, (pause, most), self.failed) {
                let last = self.fold();
                return self.tell(last);
            }
        }
    }

    /// The last event that is folded.
    fn seq(&self) -> u64 {
        self.records.as_ref().map_or(0, Records::seq)
    }

    fn fold(&mut self) -> Result<()> {
        if let Some(why) = self.file.as_ref().and_then(|file| file.check().err()) {
            let gone = "the records' file is gone; it is made anew from the log, as far as that reaches";
            Entry::error("records", gone).with("why", &why).tell();
            (self.records, self.file) = (None, None);
        }
        if self.records.is_none() {
            let (time, recent) = (Some(self.time), self.recent.clone());
            self.records = Some(Records { time, recent, ..Records::of(&self.data, &self.log)? });
            self.file = Some(Named::new(&super::file(&self.data))?);
        }
        let (Some(records), stopping) = (self.records.as_mut(), &self.stopping) else { return Ok(()) };
        let (log, behind) = (&self.log, &self.behind);
        let mut progress = Progress::new("records are made from the log: events");
        let folded = records.catch_up(log, &mut |done, of| {
            // Where the log cannot be read, the next portion says so.
            _ = behind.folded(done, log);
            progress.shows(done, of) && !(stopping.load(Relaxed) && of.saturating_sub(done) > LEFT_AT_STOP)
        });
        progress.end();
        if let Err(why) = &folded
            && aside::is_useless(why)
        {
            (self.records, self.file) = (None, None);
            super::put_aside(&self.data, why)?;
        }
        folded?;
        self.behind.folded(self.seq(), &self.log)
    }

    /// Once when it begins to fail, and once when it does not any more.
    fn tell(&mut self, folded: Result<()>) {
        match folded {
            Err(why) if !self.failed => {
                Entry::error("records", "the records fall behind; calls and the log go on").with("why", &why).tell();
                self.failed = true;
            }
            Ok(()) if self.failed => {
                Entry::info("records", "the records are written again").tell();
                self.failed = false;
            }
            _ => {}
        }
    }
}

/// Waits for something new and then for `pause`, as long as there is room, or only for `most`; false if it is to stop.
fn rest(heard: &Receiver<News>, (pause, most): (Duration, Duration), failed: bool) -> bool {
    match heard.recv_timeout(most) {
        Err(RecvTimeoutError::Timeout) => return true,
        Ok(News::Committed | News::Filling) => {}
        Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
    }
    let until = Instant::now() + pause;
    loop {
        match heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            // What has just failed is not tried again sooner for that: what is lost from memory is in the log.
            Ok(News::Filling) if !failed => return true,
            Ok(News::Committed | News::Filling) => {}
            Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing may be the last of the day.
    #[test]
    fn what_failed_is_tried_again_though_nothing_is_new() {
        let ((_news, heard), (done, rested)) = (channel(), channel());
        std::thread::spawn(move || _ = done.send(rest(&heard, (Duration::from_secs(3_600), Duration::ZERO), true)));
        assert_eq!(rested.recv_timeout(Duration::from_secs(20)), Ok(true), "it waits for a commit");
    }

    /// What comes faster than it gathers is folded sooner, while it is in memory.
    #[test]
    fn it_does_not_rest_until_there_is_no_room() {
        let ((news, heard), hour) = (channel(), Duration::from_secs(3_600));
        _ = [News::Committed, News::Filling, News::Stop].map(|told| news.send(told).unwrap());
        assert!(rest(&heard, (hour, hour), false), "it gathers for an hour");
        assert!(!rest(&heard, (hour, hour), false));
        // … but for what failed: it would be tried again with each commit.
        _ = [News::Committed, News::Filling, News::Stop].map(|told| news.send(told).unwrap());
        assert!(!rest(&heard, (hour, hour), true), "it rests until it is told to stop");
    }
}
