//! Which texts are gone from the files of the log, and when.

use super::*;

#[test]
fn a_dialog_is_forgotten_with_its_leg_and_a_number_with_its_time() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    append(&store, &[arrived(1, 1, None), confirmed(2, 1)]);
    assert!(dir.hold(DIALOG) && dir.hold(NUMBER), "the check itself would find them");
    append(&store, &[cleared(3, 1), ended(4, 1)]);
    store.erase_expired(Wall(1000) + Keep::default().number + Duration::from_millis(1)).unwrap();
    store.flush().unwrap();
    assert!(!dir.hold(DIALOG) && !dir.hold(NUMBER), "a file still holds personal text");
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    let mut events = reader.events(CallId(1)).unwrap();
    reader.join_texts(&mut events).unwrap();
    assert_eq!(events.len(), 4, "erasing a text erases no event");
    assert_eq!(events[0].what.personal().unwrap().text, None);
}

/// Otherwise a truncation gives them five seconds.
pub(super) fn never_wait_for_readers(store: &Store) {
    store.order(Order::With(Box::new(|conn| conn.busy_timeout(Duration::ZERO).unwrap()))).unwrap();
}

/// The same while nothing has expired: a dialog's copy in the write-ahead log goes within the hour too.
#[test]
fn an_ended_dialog_leaves_the_write_ahead_log_though_nothing_expires() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    append(&store, &[confirmed(1, 1)]);
    append(&store, &[cleared(2, 1)]);
    assert!(dir.hold(DIALOG), "the check itself would find it");
    store.erase_expired(Wall(1000)).unwrap();
    store.flush().unwrap();
    assert!(!dir.hold(DIALOG), "a file still holds an ended dialog");
}

#[test]
fn a_truncation_that_a_reader_held_up_is_made_up_for() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    never_wait_for_readers(&store);
    append(&store, &[arrived(1, 1, None), confirmed(2, 1)]);
    let slow = Connection::open(schema::file(&dir.0)).unwrap();
    slow.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    append(&store, &[cleared(3, 1)]);
    let hour = |n: i64| {
        let time = Wall(1000) + Keep::default().number + Duration::from_secs(3600) * n as u32;
        let erased = store.erase_expired(time).unwrap().recv().unwrap().unwrap();
        let held = dir.hold(DIALOG) || dir.hold(NUMBER);
        assert_eq!(erased, Erased { texts: u64::from(n == 1), emptied: !held }, "whoever asked is told");
        held
    };
    assert!(hour(1), "the reader held up nothing");
    assert!(hour(2), "the reader held up nothing");
    drop(slow);
    assert!(!hour(3), "nobody tried again");
}

/// A page of the texts is damaged, while events are written as ever: whoever asked is told, and the next time does it.
#[test]
fn whoever_asks_is_told_that_erasing_fails() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    append(&store, &[arrived(1, 1, None)]);
    let run = |sql: &'static str| {
        store.order(Order::With(Box::new(move |conn| conn.execute_batch(sql).unwrap()))).unwrap();
    };
    let time = Wall(1000) + Keep::default().number;
    let erase = || store.erase_expired(time).unwrap().recv().unwrap();
    run("CREATE TRIGGER damage BEFORE UPDATE ON personal BEGIN SELECT RAISE(ABORT, 'it is damaged'); END");
    let why = erase().unwrap_err();
    assert!(why.contains("it is damaged") && dir.hold(NUMBER), "{why}");
    append(&store, &[confirmed(2, 1)]);
    run("DROP TRIGGER damage");
    assert_eq!(erase(), Ok(Erased { texts: 1, emptied: true }));
    assert!(!dir.hold(NUMBER));
}

/// By whoever asks for it in place of the writer, beside it: `tierline keep`.
#[test]
fn texts_are_erased_beside_the_writer() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    append(&store, &[arrived(1, 1, None), confirmed(2, 1)]);
    let keep = Keep { number: Duration::from_secs(60), ..Keep::default() };
    let none = Erased { texts: 0, emptied: true };
    assert_eq!(erase_expired(&dir.0, keep, Wall(60_999)).unwrap(), none);
    assert_eq!(erase_expired(&dir.0, keep, Wall(61_000)).unwrap(), Erased { texts: 1, ..none });
    assert!(!dir.hold(NUMBER) && dir.hold(DIALOG), "what runs stays as it is");
    append(&store, &[cleared(3, 1), ended(4, 1)]);
    store.close().unwrap();
    assert!(erase_expired(&dir.0.join("nowhere"), keep, Wall(0)).unwrap_err().is::<NoLog>());
}

/// The four digits after each `prefix` in the database.
fn numbered(dir: &Dir, prefix: &str) -> std::collections::BTreeSet<u64> {
    let all = fs::read(schema::file(&dir.0)).unwrap();
    let texts = all.windows(prefix.len() + 4).filter(|w| w.starts_with(prefix.as_bytes()));
    texts.filter_map(|w| std::str::from_utf8(&w[prefix.len()..]).ok()?.parse().ok()).collect()
}

/// Pages split and merge under this: no copy that they leave may hold a text.
#[test]
fn of_many_dialogs_in_any_order_only_the_open_ones_are_on_the_disk() {
    const CALLS: u64 = 1200;
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let text = |call: u64| format!("dialog-{call:04}-{}", "x".repeat((call * 7919 % 2000) as usize));
    let mut rng = crate::ids::Rng::from_number(5);
    let (mut seq, mut running) = (0, Vec::new());
    for call in 0..CALLS {
        seq += 2;
        let dialog = personal(PersonalKind::Dialog, seq, &text(call));
        let confirmed = What::LegConfirmed { leg: LegId(call), party: Party::Caller, dialog };
        store.append(vec![event(seq - 1, call, confirmed)]);
        running.push(call);
        let ends = running.swap_remove(rng.below(running.len() as u64) as usize);
        if rng.chance(0.9) {
            store.append(vec![cleared(seq, ends)]);
        } else {
            running.push(ends);
        }
        if call % 7 == 0 {
            store.flush().unwrap();
        }
    }
    store.close().unwrap();
    let held = numbered(&dir, "dialog-");
    assert_eq!(held, running.into_iter().collect());
}

#[test]
fn numbers_leave_no_copy_when_they_are_erased_among_others() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    for n in 1..=3000 {
        let caller = personal(PersonalKind::Number, n, &format!("number-{n:04}{}", "9".repeat((n % 40) as usize)));
        let arrived = What::arrives(LegId(n), None, caller);
        store.append(vec![event(n, n, arrived)]);
        if n % 500 == 0 {
            store.flush().unwrap();
            store.erase_expired(Wall(n as i64 * 1000 - 400_000) + Keep::default().number).unwrap();
        }
    }
    store.close().unwrap();
    let held = numbered(&dir, "number-");
    assert_eq!(held, (2601..=3000).collect());
    let reader = Reader::open(&dir.0).unwrap().unwrap();
    let mut events = [reader.events(CallId(2600)).unwrap(), reader.events(CallId(2601)).unwrap()].concat();
    reader.join_texts(&mut events).unwrap();
    let kept: Vec<bool> = events.iter().map(|e| e.what.personal().is_some_and(|p| p.text.is_some())).collect();
    assert_eq!(kept, [false, true]);
}

/// Their events are gone, and whatever is erased later leaves no copy behind in what became free.
#[test]
fn rows_of_erased_texts_go_with_their_events() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    for n in 1..=6000 {
        let caller = personal(PersonalKind::Number, n, &format!("number-{n:04}{}", "9".repeat((n % 40) as usize)));
        let arrived = What::arrives(LegId(n), None, caller);
        store.append(vec![event(n, n, arrived)]);
    }
    store.close().unwrap();
    // A start erases what has expired.
    let erase = |n: i64| {
        let now = Wall(n * 1000) + Keep::default().number;
        Store::open_with(&dir.0, NODE, Keep::default(), now).unwrap().store.close().unwrap();
    };
    let rows = || -> i64 {
        let conn = Connection::open(schema::file(&dir.0)).unwrap();
        conn.query_row("SELECT count(*) FROM personal", [], |row| row.get(0)).unwrap()
    };
    let prune = || {
        let mut pruner = Pruner::open(&dir.0, Wall(5_500_000), Wall(9_000_000)).unwrap();
        std::iter::from_fn(|| pruner.texts().unwrap()).sum::<u64>()
    };
    assert_eq!((prune(), rows()), (0, 6000), "nothing is erased yet");
    erase(5000);
    assert_eq!(numbered(&dir, "number-"), (5001..=6000).collect());
    // 5,000 are zeros, and 4,097 of them stay next to those that are texts.
    assert_eq!((prune(), rows()), (903, 5097));
    assert_eq!(prune(), 0);
    erase(6000);
    assert!(numbered(&dir, "number-").is_empty(), "a copy has stayed behind: {:?}", numbered(&dir, "number-"));
    assert_eq!(prune() + 4097, 5097);
}

#[test]
fn a_shorter_time_holds_for_texts_that_are_kept_already() {
    let dir = Dir::new();
    append(&open(&dir).store, &[arrived(1, 1, None)]);
    let keep = Keep { number: Duration::from_secs(60), ..Keep::default() };
    Store::open_with(&dir.0, NODE, keep, Wall(60_999)).unwrap();
    assert!(dir.hold(NUMBER));
    Store::open_with(&dir.0, NODE, keep, Wall(61_000)).unwrap();
    assert!(!dir.hold(NUMBER));
}

#[test]
fn a_start_erases_what_expired_while_nothing_ran() {
    let dir = Dir::new();
    let digit = personal(PersonalKind::Digit, 9, "digit-nine");
    let keyed = What::DigitKeyed { flow: crate::ids::FlowId::new("main"), step: "menu".into(), digit };
    append(&open(&dir).store, &[arrived(1, 1, None), event(2, 1, keyed)]);
    let month = Wall(2000) + Keep::default().digit;
    Store::open_with(&dir.0, NODE, Keep::default(), Wall(month.0 - 1)).unwrap();
    assert!(dir.hold("digit-nine"));
    Store::open_with(&dir.0, NODE, Keep::default(), month).unwrap();
    assert!(!dir.hold("digit-nine") && dir.hold(NUMBER));
}

/// At an orderly stop metrics and streams may still hold the store.
#[test]
fn a_stop_empties_the_write_ahead_log_whoever_holds_the_store() {
    let dir = Dir::new();
    let Opened { store, .. } = open(&dir);
    let (store, reader) = (Arc::new(store), Reader::open(&dir.0).unwrap());
    let held = store.clone();
    append(&store, &[confirmed(1, 1)]);
    append(&store, &[cleared(2, 1)]);
    assert!(dir.hold(DIALOG), "the check itself would find it");
    store.close().unwrap();
    assert!(!dir.hold(DIALOG), "a file still holds an ended dialog");
    held.append(vec![cleared(3, 1)]);
    assert_eq!((held.healthy(), held.numbers().lost, held.close().is_ok()), (false, 1, true));
    drop(reader);
}
