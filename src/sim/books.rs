//! The log as it stands on the disk, and what must hold in it.
//!
//! Writing is group commit: an event is safe [`COMMIT`] after it was made; what is younger dies with the
//! engine. [`Fold`] folds what is safe, so that it sees exactly what a restart sees.
//!
//! **A second thread may fold**, if the shell has one for it ([`Folder`]): the fold and a batch of [`BATCH`] events go there,
//! and the fold comes back before the next batch goes. So a check that fails is seen at a fixed point, at most two batches
//! later than by a world that folds by itself, and whoever asks the fold something waits for it first.

mod fold;

use super::checks::Failure;
use super::summary::Summary;
use crate::event::Event;
use crate::time::Instant;
pub use fold::Fold;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// How long an event waits for its commit.
pub const COMMIT: Duration = Duration::from_millis(25);
/// So many events are handed to a folder at once.
const BATCH: usize = 256;
const AT_HOME: &str = "whoever asks the fold waits for it first";

/// The disk, and the fold of the log.
pub struct Books {
    unsafe_yet: VecDeque<(Instant, Arc<Event>)>,
    written: u64,
    /// What is safe and not yet folded, with the time when it became so.
    unfolded: Batch,
    /// None while the folder has it.
    fold: Option<Box<Fold>>,
    folder: Option<(Sender<Job>, Receiver<Job>)>,
    /// Events that died with an engine before they were safe.
    pub lost: u64,
}

type Batch = Vec<(Instant, Arc<Event>)>;
type Job = (Box<Fold>, Batch);

/// Folds a world's log in a thread of its own.
pub struct Folder {
    jobs: Receiver<Job>,
    done: Sender<Job>,
}

impl Folder {
    /// As long as the world is there.
    pub fn work(self) {
        for (mut fold, mut batch) in self.jobs {
            fold.take(&mut batch);
            if self.done.send((fold, batch)).is_err() {
                return;
            }
        }
    }
}

impl Books {
    pub fn new(summary: Summary) -> Books {
        let mut fold = Box::<Fold>::default();
        fold.summary = summary;
        let (unsafe_yet, unfolded, fold) = (VecDeque::new(), Vec::new(), Some(fold));
        Books { unsafe_yet, written: 0, unfolded, fold, folder: None, lost: 0 }
    }

    /// From here on a folder folds.
    pub fn folder(&mut self) -> Folder {
        let ((to, jobs), (done, from)) = (mpsc::channel(), mpsc::channel());
        self.folder = Some((to, from));
        Folder { jobs, done }
    }

    pub fn write(&mut self, now: Instant, event: Event) {
        self.unsafe_yet.push_back((now, Arc::new(event)));
    }

    /// When the oldest event that is not yet safe will be.
    pub fn deadline(&self) -> Option<Instant> {
        self.unsafe_yet.front().map(|(at, _)| *at + COMMIT)
    }

    /// Commits what was made at or before `until`.
    pub fn commit(&mut self, now: Instant, until: Instant, mut each: impl FnMut(&Arc<Event>)) {
        while let Some((_, event)) = self.unsafe_yet.pop_front_if(|(at, _)| *at <= until) {
            self.written += 1;
            each(&event);
            self.unfolded.push((now, event));
        }
        match self.folder {
            None => _ = self.up_to_date(),
            Some(_) if self.unfolded.len() >= BATCH => self.hands_over(),
            Some(_) => {}
        }
    }

    /// The fold of all that is safe.
    pub fn up_to_date(&mut self) -> &mut Fold {
        self.comes_home();
        let fold = self.fold.as_mut().expect(AT_HOME);
        fold.take(&mut self.unfolded);
        fold
    }

    fn hands_over(&mut self) {
        self.comes_home();
        // A run that has failed goes no further.
        if self.failure().is_none()
            && let (Some((folder, _)), Some(fold)) = (&self.folder, self.fold.take())
        {
            let batch = std::mem::take(&mut self.unfolded);
            folder.send((fold, batch)).expect("a folder works as long as its world is there");
        }
    }

    fn comes_home(&mut self) {
        if let (None, Some((_, folder))) = (&self.fold, &self.folder) {
            let (fold, batch) = folder.recv().expect("a folder gives back what it gets");
            self.fold = Some(fold);
            if self.unfolded.is_empty() {
                self.unfolded = batch;
            }
        }
    }

    /// As it was when the fold was up to date last.
    pub fn fold(&self) -> &Fold {
        self.fold.as_ref().expect(AT_HOME)
    }

    /// The first check of the log that has failed, as far as the fold is at home.
    pub fn failure(&self) -> Option<&Failure> {
        self.fold.as_ref().and_then(|fold| fold.tally.failure())
    }

    /// The engine died: what is not safe is lost.
    pub fn die(&mut self) {
        self.lost += self.unsafe_yet.len() as u64;
        self.unsafe_yet.clear();
    }

    /// What a new start must be told: the number of its first event, and what was open.
    pub fn crash(&mut self) -> (u64, Vec<(Event, Option<String>)>) {
        self.die();
        (self.written + 1, self.up_to_date().open())
    }

    pub fn written(&self) -> u64 {
        self.written
    }

    /// The last event, be it safe or not.
    pub fn newest(&self) -> u64 {
        self.unsafe_yet.back().map_or(self.written, |(_, event)| event.seq)
    }

    /// The last events of all calls, oldest first.
    pub fn last(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.fold().last.iter().chain(self.unsafe_yet.iter().map(|(_, event)| event)).map(|event| &**event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::sim::{Check, Options, Report, World};
    use crate::time::Wall;

    fn run(options: &Options, with_folder: bool) -> Report {
        let mut world = World::new(options.clone());
        if with_folder {
            let folder = world.folder();
            std::thread::spawn(|| folder.work());
        }
        world.run();
        world.report()
    }

    #[test]
    fn a_report_is_the_same_whoever_folds() {
        let options = Options { agents: 5, calls_per_hour: Some(300.0), crashes: 2, ..Options::swarm(3) };
        let report = run(&options, false);
        assert!(report.events > 2 * BATCH as u64 && report.crashes > 0, "{report}");
        assert_eq!(run(&options, true), report);
    }

    /// An event is missing: that is seen when the folder comes back, as what it was.
    #[test]
    fn what_a_folder_finds_is_seen_with_its_time() {
        let run = |with_folder: bool| {
            let mut books = Books::new(Summary::default());
            with_folder.then(|| books.folder()).map(|folder| std::thread::spawn(|| folder.work()));
            let seen_at = (1..2_000).find(|n| {
                let (at, seq) = (Instant(n * 1_000_000), n + u64::from(*n >= 300));
                books.write(at, Event { seq, at: Wall(0), call: None, what: What::DrainStarted });
                books.commit(at, at, |_| {});
                books.failure().is_some()
            });
            books.up_to_date();
            (seen_at, books.failure().map(|failure| (failure.check, failure.after)))
        };
        let failure = Some((Check::Gapless, Duration::from_millis(300)));
        assert_eq!(run(false), (Some(300), failure));
        assert_eq!(run(true), (Some(3 * BATCH as u64), failure));
    }
}
