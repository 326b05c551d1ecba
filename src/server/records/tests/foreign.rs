//! Records that cannot be those of the log: damaged, or of a log that was put back from a copy or begun anew.

use super::*;

/// The whole world, folded.
fn whole(name: &str) -> (Dir, Vec<String>) {
    let dir = Dir::new(name);
    let opened = open(&dir.0);
    opened.store.append(repeated(0));
    opened.store.close().unwrap();
    bring_up(&dir.0).unwrap();
    let rows = content(&dir.0);
    (dir, rows)
}

fn aside(dir: &Dir) -> usize {
    let files = fs::read_dir(&dir.0).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files
        .filter(|name| name.starts_with("records.db.aside-") && !name.contains("-wal") && !name.contains("-shm"))
        .count()
}

#[test]
fn a_damaged_file_is_put_aside_and_made_anew() {
    let (dir, rows) = whole("damaged");
    let bytes = fs::read(file(&dir.0)).unwrap();
    let garbage = vec![b'x'; bytes.len()];
    let half = bytes[..bytes.len() / 2].to_vec();
    let head = [&bytes[..100], &garbage[100..]].concat();
    for (number, damage) in [garbage, half, head].iter().enumerate() {
        for end in ["-wal", "-shm"] {
            _ = fs::remove_file(dir.0.join(format!("records.db{end}")));
        }
        fs::write(file(&dir.0), damage).unwrap();
        // By whoever comes first: a report, or the remedy that is named.
        match number % 2 {
            0 => bring_up(&dir.0).unwrap(),
            _ => _ = rebuild(&dir.0).unwrap(),
        }
        assert!(content(&dir.0) == rows, "damage {number}");
        assert_eq!(aside(&dir), number + 1);
    }
    let (dir, rows) = whole("undamaged");
    bring_up(&dir.0).unwrap();
    assert!(content(&dir.0) == rows && aside(&dir) == 0);
}

/// The log is an earlier copy, and then goes on; or it is another one.
#[test]
fn records_that_are_ahead_of_the_log_or_of_another_one_are_made_anew() {
    let (dir, _) = whole("ahead");
    let end = Records::open(&dir.0).unwrap().seq();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        _ = fs::remove_file(dir.0.join(name));
    }
    // Half as long; then as long, with the same numbers, and other events.
    let opened = open(&dir.0);
    let later = |event: &Event| Event { at: Wall(event.at.0 + 5), ..event.clone() };
    let events: Vec<Event> = repeated(0).iter().map(later).collect();
    let half = events.len() / 2;
    opened.store.append(events[..half].to_vec());
    opened.store.flush().unwrap();
    let log = Reader::open(&dir.0).unwrap().unwrap();
    let mut records = Records::of(&dir.0, &log).unwrap();
    records.catch_up(&log, &mut |_, _| true).unwrap();
    assert_eq!((records.seq(), aside(&dir)), (half as u64, 1));
    drop(records);
    opened.store.append(events[half..].to_vec());
    opened.store.flush().unwrap();
    let mut records = Records::of(&dir.0, &log).unwrap();
    records.catch_up(&log, &mut |_, _| true).unwrap();
    assert_eq!((records.seq(), aside(&dir)), (end, 1), "these are of this log");
    drop(records);
    // Records of the first world, beside a log that has as many events.
    let (first, _) = whole("other");
    for name in ["records.db", "records.db-wal", "records.db-shm"] {
        _ = fs::remove_file(dir.0.join(name));
        if first.0.join(name).exists() {
            fs::copy(first.0.join(name), dir.0.join(name)).unwrap();
        }
    }
    let expect = {
        let clean = Dir::new("clean");
        let opened = open(&clean.0);
        opened.store.append(events);
        opened.store.close().unwrap();
        bring_up(&clean.0).unwrap();
        content(&clean.0)
    };
    Records::of(&dir.0, &log).unwrap().catch_up(&log, &mut |_, _| true).unwrap();
    assert!(content(&dir.0) == expect);
    assert_eq!(aside(&dir), 2);
    opened.store.close().unwrap();
}

/// A page of the log is damaged: whoever meets it leaves the records as they are, a report and the thread of a server.
#[test]
fn records_stay_where_the_log_is_damaged() {
    let elsewhere = Dir::new("elsewhere");
    let other = open(&elsewhere.0);
    for (name, of) in [("log-end", 10), ("log-middle", 7), ("log-beginning", 0)] {
        let dir = Dir::new(name);
        let opened = open(&dir.0);
        let events = repeated(0);
        let half = events.len() / 2;
        opened.store.append(events[..half].to_vec());
        opened.store.flush().unwrap();
        drop(follower(&dir.0, &opened.store));
        let rows = content(&dir.0);
        assert_eq!(Records::open(&dir.0).unwrap().seq(), half as u64);
        opened.store.append(events[half..].to_vec());
        opened.store.close().unwrap();
        damage::page_of(&dir.0, (events.len() * of / 10).max(1) as u64);
        let why = bring_up(&dir.0).unwrap_err();
        assert!(format!("{why:#}").contains("events.db: "), "{why:#}");
        // It folds when it begins and when it ends. Where the end of the log cannot be read, there is none.
        assert_eq!(Follower::start(&dir.0, &other.store, time()).map(drop).is_ok(), of < 10);
        assert_eq!(aside(&dir), 0, "{name}");
        assert!(content(&dir.0) == rows, "{name}");
    }
    other.store.close().unwrap();
}
