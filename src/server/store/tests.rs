//! The log on a real disk: kills, full disks, foreign files, what readers see; what is erased: `tests/erased.rs`.

mod erased;
mod person;

use super::writer::{GROUP_ROWS, GROUP_TIME};
use super::*;
use crate::event::{Cause, Party, Personal, Phase, What};
use crate::ids::{CallId, LegId};
use crate::log;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

const NODE: u16 = 7;
const NUMBER: &str = "+4930123456";
const DIALOG: &str = "sip:4930123456@192.0.2.7;tag=secret";

/// A directory of its own for each test, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tierline-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = Dir(std::env::temp_dir().join(name));
        let _ = fs::remove_dir_all(&dir.0);
        dir
    }

    /// What a kill -9 at this moment would leave.
    fn as_killed_now(&self) -> Dir {
        let copy = Dir::new();
        fs::create_dir_all(&copy.0).unwrap();
        for name in ["events.db", "events.db-wal"] {
            if self.0.join(name).exists() {
                fs::copy(self.0.join(name), copy.0.join(name)).unwrap();
            }
        }
        copy
    }

    fn hold(&self, text: &str) -> bool {
        let holds = |path: PathBuf| fs::read(path).unwrap().windows(text.len()).any(|w| w == text.as_bytes());
        fs::read_dir(&self.0).unwrap().any(|entry| holds(entry.unwrap().path()))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(dir: &Dir) -> Opened {
    Store::open_with(&dir.0, NODE, Keep::default(), Wall(0)).unwrap()
}

fn refused(dir: &Dir) -> String {
    format!("{:#}", Store::open_with(&dir.0, NODE, Keep::default(), Wall(0)).unwrap_err())
}

fn event(seq: u64, call: u64, what: What) -> Event {
    Event { seq, at: Wall(seq as i64 * 1000), call: Some(CallId(call)), what }
}

fn personal(kind: PersonalKind, handle: u64, text: &str) -> Personal {
    Personal { kind, handle, text: Some(text.into()) }
}

fn arrived(seq: u64, call: u64, line: Option<&str>) -> Event {
    let caller = personal(PersonalKind::Number, u64::MAX - seq, NUMBER);
    let line = line.map(crate::ids::LineId::new);
    event(seq, call, What::arrives(LegId(call), line, caller))
}

/// What is for a restart goes with what it belongs to, everything else by the clock: no kind is neither.
#[test]
fn each_kind_of_text_has_a_time_or_is_for_a_restart() {
    let kept = Keep::default().times().map(|(kind, _)| kind);
    use PersonalKind::{Binding, Dialog, Digit, Number, Text};
    for kind in [Number, Digit, Text, Dialog, Binding] {
        assert_eq!(kept.contains(&kind), !kind.is_for_restart(), "{kind:?}");
    }
}

fn confirmed(seq: u64, call: u64) -> Event {
    let dialog = personal(PersonalKind::Dialog, seq, DIALOG);
    event(seq, call, What::LegConfirmed { leg: LegId(call), party: Party::Caller, dialog })
}

fn cleared(seq: u64, call: u64) -> Event {
    event(seq, call, What::ConnectionCleared { leg: LegId(call), party: Party::Caller, cause: Cause::CallerHungUp })
}

fn ended(seq: u64, call: u64) -> Event {
    event(seq, call, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::InFlow })
}

fn append(store: &Store, events: &[Event]) {
    events.iter().for_each(|event| store.append(vec![event.clone()]));
    store.flush().unwrap();
}

#[test]
fn what_was_appended_is_read_back_and_starts_are_counted() {
    let dir = Dir::new();
    let first = open(&dir);
    assert_eq!((first.epoch, first.next_seq, first.recovered.len()), (1, 1, 0));
    let events = [arrived(1, u64::MAX, Some("support")), confirmed(2, u64::MAX), cleared(3, u64::MAX)];
    append(&first.store, &events);
    assert_eq!(first.store.numbers().committed_seq, 3);
    first.store.close().unwrap();

    let second = open(&dir);
    assert_eq!((second.epoch, second.next_seq), (2, 4));
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    let mut back = reader.events(CallId(u64::MAX)).unwrap();
    assert_eq!(back.len(), 3);
    assert!(back.iter().all(|e| e.what.personal().is_none_or(|p| p.text.is_none())), "texts without being asked");
    reader.join_texts(&mut back).unwrap();
    assert_eq!(back[0], events[0]);
    assert_eq!(back[2], events[2]);
}

#[test]
fn a_killed_process_leaves_what_was_open_and_nothing_else() {
    let dir = Dir::new();
    let running = open(&dir);
    let events = [
        arrived(1, 1, None),
        confirmed(2, 1),
        arrived(3, 2, None),
        confirmed(4, 2),
        cleared(5, 1),
        ended(6, 1),
        confirmed(7, 2), // the same leg again: only the later dialog counts
    ];
    append(&running.store, &events);
    let killed = dir.as_killed_now();
    let after = open(&killed);
    assert_eq!((after.epoch, after.next_seq), (2, 8));
    assert_eq!(after.recovered, [events[2].clone(), events[6].clone()]);
    assert_eq!(dialogs(&killed), 1, "the text of an ended or replaced dialog is still there");
}

/// Texts of dialogs that are in the file.
fn dialogs(dir: &Dir) -> i64 {
    let conn = Connection::open(schema::file(&dir.0)).unwrap();
    let sql = "SELECT count(*) FROM slot WHERE body <> zeroblob(length(body))";
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Under load each waits for others, and for no group that may never come.
#[test]
fn what_ended_dialogs_needed_is_gone_soon_though_nothing_follows_and_with_a_start() {
    let (dir, each) = (Dir::new(), 100);
    let running = open(&dir);
    running.store.append((1..=each).map(|n| confirmed(n, n)).collect());
    running.store.append((1..=each).map(|n| cleared(each + n, n)).chain([confirmed(2 * each + 1, 777)]).collect());
    running.store.flush().unwrap();
    let killed = dir.as_killed_now();
    assert_eq!(open(&killed).recovered.len(), 1);
    assert_eq!(dialogs(&killed), 1);
    let begun = Instant::now();
    while dialogs(&dir) != 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} texts", dialogs(&dir));
        std::thread::yield_now();
    }
}

/// Appends `rows` events, `pace` apart, and asks for a flush. Returns how many groups that may take at most: one
/// more begins only when one is full or its time is over.
fn burst(store: &Store, first: u64, rows: u64, pace: Duration) -> u64 {
    let before = Instant::now();
    for n in 0..rows {
        while before.elapsed() < pace * n as u32 {
            std::thread::yield_now();
        }
        store.append(vec![event(first + n, 1, What::DrainStarted)]);
    }
    let (done, answer) = mpsc::sync_channel(1);
    store.order(Order::Flush { target: first + rows - 1, done }).unwrap();
    let bound = rows / GROUP_ROWS + (before.elapsed().as_micros() / GROUP_TIME.as_micros()) as u64 + 1;
    answer.recv().unwrap().unwrap();
    bound
}

#[test]
fn events_are_committed_in_groups() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let mut first = 1;
    for (rows, pace) in [(20_000, Duration::ZERO), (100, Duration::from_micros(200))] {
        let before = store.numbers().commits;
        let bound = burst(&store, first, rows, pace);
        let commits = store.numbers().commits - before;
        assert!(commits <= bound, "{commits} commits for {rows} rows, expected at most {bound}");
        first += rows;
    }
    assert_eq!(store.numbers().committed_seq, 20_100);
}

#[test]
fn a_queue_over_its_limit_stops_new_calls_and_at_twice_the_limit_drops() {
    let dir = Dir::new();
    let Opened { mut store, .. } = open(&dir);
    store.limit = 10;
    let (go_on, wait) = mpsc::channel::<()>();
    let stuck = Order::With(Box::new(move |_| wait.recv().unwrap_or_default())); // a disk that does not answer
    store.order(stuck).unwrap();
    for (seq, healthy, lost) in [(9, true, 0), (10, false, 0), (20, false, 0), (21, false, 1)] {
        let appended = store.numbers().queued + store.numbers().lost;
        (appended + 1..=seq).for_each(|seq| store.append(vec![event(seq, 1, What::DrainStarted)]));
        assert_eq!((store.healthy(), store.numbers().lost), (healthy, lost), "after {seq}");
    }
    drop(go_on);
    store.flush().unwrap();
    assert!(store.healthy());
    assert_eq!(store.numbers().committed_seq, 20);
}

#[test]
fn a_lone_event_is_committed_without_being_asked_for() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    for seq in 1..=20 {
        store.append(vec![event(seq, 1, What::DrainStarted)]);
        let before = Instant::now();
        while store.numbers().committed_seq < seq {
            assert!(before.elapsed() < Duration::from_secs(10), "event {seq} was forgotten");
            std::thread::yield_now();
        }
    }
    assert_eq!(store.numbers().commits, 20);
}

#[test]
fn a_full_disk_loses_nothing_and_stops_new_calls_until_there_is_room() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let pages = |n: i64| Order::With(Box::new(move |conn| conn.pragma_update(None, "max_page_count", n).unwrap()));
    store.order(pages(1)).unwrap(); // SQLite takes it as: no page more than now
    (1..=2000).for_each(|seq| store.append(vec![arrived(seq, seq, None)]));
    let why = store.flush().unwrap_err().to_string();
    assert!(why.contains("full"), "{why}");
    assert!(!store.healthy() && store.numbers().failures > 0);
    store.order(pages(1_000_000)).unwrap();
    while store.flush().is_err() {} // a flush tries at once, so this is no waiting loop
    assert!(store.healthy());
    assert_eq!(store.numbers().committed_seq, 2000);
    // Groups that failed must not have changed what the writer knows about what is open.
    append(&store, &(1..=1500).map(|call| ended(2000 + call, call)).collect::<Vec<_>>());
    store.close().unwrap();
    assert_eq!(open(&dir).recovered.len(), 500);
}

#[test]
fn stopping_with_a_full_disk_ends_and_says_what_is_lost() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    store.order(Order::With(Box::new(|conn| conn.pragma_update(None, "max_page_count", 1).unwrap()))).unwrap();
    (1..=2000).for_each(|seq| store.append(vec![arrived(seq, seq, None)]));
    let why = store.close().unwrap_err().to_string();
    assert!(why.contains("2000 events are lost"), "{why}");
}

#[test]
fn a_number_that_is_taken_costs_one_event_not_the_log() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let recent = store.recent();
    append(&store, &[arrived(1, 1, None), arrived(1, 2, None), arrived(2, 3, None)]);
    assert!(recent.behind(0).is_none(), "what is not in the log is told to nobody");
    assert_eq!((store.numbers().lost, store.numbers().committed_seq, store.healthy()), (1, 2, true));
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    assert_eq!(reader.recent_calls(9).unwrap(), [CallId(3), CallId(1)]);
}

#[test]
fn what_opens_and_closes_within_a_group_never_reaches_the_disk() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    store.append(vec![arrived(1, 1, None), confirmed(2, 1), confirmed(3, 1), cleared(4, 1), ended(5, 1)]);
    store.append(vec![arrived(6, 2, None), confirmed(7, 2), cleared(8, 2), confirmed(9, 2)]);
    store.flush().unwrap();
    let seqs = |dir: &Dir| open(dir).recovered.iter().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&dir.as_killed_now()), [6, 9], "what is open at the end of a group");
    append(&store, &[cleared(10, 2), ended(11, 2)]);
    store.append(vec![arrived(12, 3, None), confirmed(13, 3), cleared(14, 3)]);
    store.close().unwrap();
    assert!(!dir.hold(DIALOG) && dir.hold(NUMBER));
    assert_eq!(seqs(&dir), [12]);
}

#[test]
fn what_an_earlier_process_opened_is_closed_and_erased() {
    let dir = Dir::new();
    append(&open(&dir).store, &[arrived(1, 1, None), confirmed(2, 1), arrived(3, 2, None), confirmed(4, 2)]);
    let Opened { store, recovered, .. } = open(&dir);
    assert_eq!(recovered.len(), 4);
    append(&store, &[cleared(5, 1), ended(6, 1), confirmed(7, 2), cleared(8, 2)]);
    store.close().unwrap();
    assert!(!dir.hold(DIALOG), "a dialog of an earlier process is still there");
    assert_eq!(open(&dir).recovered, [arrived(3, 2, None)]);
}

#[test]
fn each_event_is_found_in_the_row_it_shares_with_others() {
    let none = |seq| Event { call: None, ..event(seq, 0, What::DrainStarted) };
    let other = |seq, call| event(seq, call, What::Reconfigured);
    let mut events = vec![none(1), arrived(2, 7, None), none(3), ended(4, 7), arrived(5, 8, None), none(6)];
    events.extend((7..=100).map(|seq| other(seq, 8))); // more than one row takes
    events.extend([other(103, 8), other(104, 7), none(105)]); // after a gap
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    store.append(events.clone());
    store.close().unwrap();
    assert_eq!(open(&dir).next_seq, 106);
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    for seq in 0..110 {
        let expect = events.iter().find(|event| event.seq == seq).map(crate::log::encode);
        assert_eq!(reader.line(seq).unwrap(), expect, "event {seq}");
    }
    for call in [7, 8, 9] {
        let mut found = reader.events(CallId(call)).unwrap();
        reader.join_texts(&mut found).unwrap();
        let expect: Vec<Event> = events.iter().filter(|event| event.call == Some(CallId(call))).cloned().collect();
        assert_eq!(found, expect, "call {call}");
    }
    let count = "SELECT count(*) FROM event";
    let rows: i64 = Connection::open(schema::file(&dir.0)).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
    assert!(rows <= 8, "{rows} rows for {} events", events.len());
}

#[test]
fn only_the_owner_may_read() {
    let dir = Dir::new();
    let opened = open(&dir);
    append(&opened.store, &[arrived(1, 1, None)]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.0.clone()), 0o700);
    for name in ["events.db", "events.db-wal", "events.db-shm", "tierline.lock"] {
        assert_eq!(mode(dir.0.join(name)), 0o600, "{name}");
    }
}

#[test]
fn people_are_given_numbers_and_no_dialogs() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    append(&store, &[arrived(1, 1, None), confirmed(2, 1)]);
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    let mut events = reader.events(CallId(1)).unwrap();
    reader.join_texts(&mut events).unwrap();
    let texts: Vec<_> = events.iter().map(|event| event.what.personal().unwrap().text.as_deref()).collect();
    assert_eq!(texts, [Some(NUMBER), None]);
}

#[test]
fn what_is_read_as_one_is_not_changed_by_what_is_written_meanwhile() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    erased::never_wait_for_readers(&store);
    append(&store, &[arrived(1, 1, None)]);
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    let texts = || {
        let mut events = reader.events(CallId(1)).unwrap();
        reader.join_texts(&mut events).unwrap();
        let texts = events.iter().filter(|event| event.what.personal().is_some_and(|p| p.text.is_some())).count();
        (events.len(), texts)
    };
    let both = reader.as_one(|| {
        let before = texts();
        append(&store, &[ended(2, 1)]);
        store.erase_expired(Wall(1000) + Keep::default().number).unwrap();
        store.flush().unwrap();
        Ok((before, texts()))
    });
    assert_eq!(both.unwrap(), ((1, 1), (1, 1)));
    assert_eq!(texts(), (2, 0), "it is stuck in the past");
}

#[test]
fn calls_are_listed_newest_first() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    assert!(Reader::open(&dir.0.join("nowhere")).unwrap().is_none());
    append(&store, &[arrived(1, 11, Some("a")), arrived(2, 12, Some("b")), ended(3, 11), arrived(4, 13, Some("a"))]);
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    for (limit, expect) in [(9, &[13, 12, 11][..]), (2, &[13, 12]), (0, &[])] {
        let expect: Vec<_> = expect.iter().map(|n| CallId(*n)).collect();
        assert_eq!(reader.recent_calls(limit).unwrap(), expect);
    }
}

/// The tables of the first Tierline.
const OLDER: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE event(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, call INTEGER, type TEXT NOT NULL,
                       version INTEGER NOT NULL, line TEXT NOT NULL);
    CREATE TABLE personal(handle INTEGER PRIMARY KEY, kind TEXT NOT NULL, expires INTEGER, text TEXT NOT NULL);
    CREATE TABLE open(key TEXT PRIMARY KEY, seq INTEGER NOT NULL, handle INTEGER) WITHOUT ROWID;
    INSERT INTO meta VALUES ('schema', 1), ('epoch', 0), ('node', 7);
";

#[test]
fn what_cannot_be_opened_is_refused_in_words() {
    let check = |prepare: &dyn Fn(&Dir), expect: &str| {
        let dir = Dir::new();
        fs::create_dir_all(&dir.0).unwrap();
        prepare(&dir);
        let why = refused(&dir);
        assert!(why.contains(expect) && why.contains(dir.0.to_str().unwrap()), "{why}");
        assert!(
            !["the event log", "not a database"].iter().any(|said| why.matches(said).count() > 1),
            "told twice: {why}"
        );
    };
    let sql = |dir: &Dir, sql: &str| Connection::open(schema::file(&dir.0)).unwrap().execute_batch(sql).unwrap();
    check(&|dir| fs::write(schema::file(&dir.0), [7; 5000]).unwrap(), "not a database");
    let head = |dir: &Dir, from: usize, bytes: usize| {
        drop(open(dir));
        let mut all = fs::read(schema::file(&dir.0)).unwrap();
        all[from..from + bytes].fill(0xEE);
        fs::write(schema::file(&dir.0), all).unwrap();
    };
    check(&|dir| head(dir, 0, 100), "cannot be used: it is damaged, or another program's file");
    check(&|dir| head(dir, 0, 100), "the next start begins an empty log, without the calls");
    check(&|dir| head(dir, 100, 8_000), "cannot be used: it is damaged");
    check(&|dir| sql(dir, "CREATE TABLE cats(name)"), "not an event log");
    check(&|dir| sql(dir, "CREATE TABLE meta(cats)"), "not an event log");
    check(
        &|dir| {
            drop(open(dir));
            sql(dir, "DROP TABLE slot");
        },
        "not an event log",
    );
    check(&|dir| fs::create_dir(schema::file(&dir.0)).unwrap(), "directory");
    check(
        &|dir| {
            drop(open(dir));
            sql(dir, "DROP TABLE slot; UPDATE meta SET value = 3 WHERE key = 'schema'");
        },
        "a newer Tierline wrote it (schema 3; this program reads up to 2)",
    );
    check(&|dir| sql(dir, OLDER), "an older Tierline wrote it (schema 1), which this program cannot read");
    check(&|dir| sql(dir, OLDER), "keep the directory, and name another with `--data`");
    check(
        &|dir| {
            append(&open(dir).store, &[arrived(1, 1, None)]);
            sql(dir, "UPDATE event SET lines = 'x'");
        },
        "event 1 cannot be read",
    );
    let newer = format!("event 1 cannot be read: written in log version {}; this program reads up", log::VERSION + 1);
    check(
        &|dir| {
            append(&open(dir).store, &[arrived(1, 1, None)]);
            sql(dir, "UPDATE event SET version = version + 1");
        },
        &newer,
    );
}

#[test]
fn a_reader_too_says_who_wrote_what_it_cannot_read() {
    let check = |sql: &str, expect: &str| {
        let dir = Dir::new();
        fs::create_dir_all(&dir.0).unwrap();
        Connection::open(schema::file(&dir.0)).unwrap().execute_batch(sql).unwrap();
        let why = format!("{:#}", Reader::open(&dir.0).unwrap_err());
        assert!(why.contains(expect), "{why}");
    };
    check(OLDER, "an older Tierline wrote it (schema 1)");
    check(&OLDER.replace("'schema', 1", "'schema', 3"), "a newer Tierline wrote it (schema 3;");
    check("CREATE TABLE cats(name)", "not an event log");
}

#[test]
fn two_processes_never_write_one_log() {
    let dir = Dir::new();
    let first = open(&dir);
    let why = refused(&dir);
    assert!(why.contains("in use") && why.contains(&std::process::id().to_string()), "{why}");
    drop(first);
    assert_eq!(open(&dir).epoch, 2, "the refused start was not counted");
}

#[test]
fn a_log_belongs_to_the_node_that_began_it() {
    let dir = Dir::new();
    drop(open(&dir));
    let why = format!("{:#}", Store::open_with(&dir.0, NODE + 1, Keep::default(), Wall(0)).unwrap_err());
    assert!(why.contains("it belongs to node 7, and the configuration says `node = 8`"), "{why}");
    assert_eq!(open(&dir).epoch, 2, "a start that was refused was counted");
}
