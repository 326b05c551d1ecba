//! Events that found no room in the log: what came before them is all there, and what is missing is told of its own time.

use super::*;

/// The world, of which these events are missing.
fn lacking(name: &str, gaps: &[std::ops::Range<usize>]) -> Dir {
    let dir = Dir::new(name);
    let opened = open(&dir.0);
    let events = repeated(0).into_iter().enumerate().filter(|(n, _)| !gaps.iter().any(|gap| gap.contains(n)));
    opened.store.append(events.map(|(_, event)| event).collect());
    opened.store.close().unwrap();
    bring_up(&dir.0).unwrap();
    dir
}

/// What is said of a time.
fn told(dir: &Dir, from: i64, to: i64) -> Vec<String> {
    let extent = extent(&dir.0, &reading(&dir.0).unwrap()).unwrap();
    extent.lacking((Wall(from), Wall(to)), &|at| at.0.to_string())
}

/// From the last event before a gap to the first one after it.
fn around(gap: &std::ops::Range<usize>) -> (i64, i64) {
    (world()[gap.start - 1].at.0, world()[gap.end].at.0)
}

fn said(gap: &std::ops::Range<usize>) -> String {
    let (began, ended) = around(gap);
    let events = crate::written::counted(gap.len(), "event");
    format!("incomplete between {began} and {ended}: {events} could not be written to the log")
}

/// Gaps of growing length, as many as there is time between them.
fn apart(count: usize) -> Vec<std::ops::Range<usize>> {
    let (mut gaps, mut from) = (Vec::<std::ops::Range<usize>>::new(), 10);
    while gaps.len() < count {
        let gap = from..from + gaps.len() + 1;
        from += 1;
        let (began, ended) = around(&gap);
        if began < ended && gaps.last().is_none_or(|last| around(last).1 < began - 1_000) {
            from = gap.end + 10;
            gaps.push(gap);
        }
    }
    gaps
}

/// Each gap is told of the time that it touches, however the records were made.
#[test]
fn a_time_is_told_of_the_gaps_that_touch_it() {
    let gaps = apart(4);
    let dir = lacking("gaps", &gaps);
    for made in ["from the log", "anew"] {
        for (n, gap) in gaps.iter().enumerate() {
            let (began, ended) = around(gap);
            assert_eq!(told(&dir, began, ended), [said(gap)], "{made}");
            // Between it and the next one nothing is missing.
            let next = gaps.get(n + 1).map_or(i64::MAX, |next| around(next).0);
            assert_eq!(told(&dir, ended + 1, next), Vec::<String>::new(), "{made}");
        }
        assert_eq!(told(&dir, 0, around(&gaps[0]).0), Vec::<String>::new(), "{made}");
        assert_eq!(told(&dir, 0, around(&gaps[2]).1), gaps[..3].iter().map(said).collect::<Vec<_>>(), "{made}");
        // Many are told in one sentence.
        let (began, ended) = (around(&gaps[0]).0, around(&gaps[3]).1);
        let all = format!("incomplete between {began} and {ended}, 4 times: 10 events could not be written to the log");
        assert_eq!(told(&dir, 0, i64::MAX), [all], "{made}");
        rebuild(&dir.0).unwrap();
    }
}

/// A log that lacks something all the time: the last ones are known one by one, and none is forgotten.
#[test]
fn of_too_many_gaps_the_oldest_are_put_together() {
    let gaps = apart(8);
    let dir = lacking("many-gaps", &gaps);
    let rows = content(&dir.0).into_iter().filter(|line| line.starts_with("gap: ")).count();
    assert_eq!(rows, 5);
    let (began, ended) = (around(&gaps[0]).0, around(&gaps[3]).1);
    let oldest = format!("incomplete between {began} and {ended}: 10 events could not be written to the log");
    assert_eq!(told(&dir, 0, around(&gaps[4]).0), [oldest]);
    for gap in &gaps[4..] {
        let (began, ended) = around(gap);
        assert_eq!(told(&dir, began, ended), [said(gap)]);
    }
    let before = content(&dir.0);
    rebuild(&dir.0).unwrap();
    same(&before, &content(&dir.0));
}

/// What the log has lost since stays known, and goes with the records of its time.
#[test]
fn a_gap_stays_though_the_log_goes_and_goes_with_its_time() {
    let gaps = apart(2);
    let dir = lacking("gaps-gone", &gaps);
    let keep = |events, records| {
        let keep = crate::config::KeepSettings { events, records, ..Default::default() };
        let plan = crate::server::keeping::Plan { data: dir.0.clone(), keep, ticketing: false };
        crate::server::keeping::pass(&plan, world().last().unwrap().at, &mut |_| true).unwrap()
    };
    let (ever, last) = (Duration::from_secs(86_400 * 1_000), world().last().unwrap().at.0);
    assert!(keep(Duration::from_secs(1), ever).events > 0);
    rebuild(&dir.0).unwrap();
    let (began, ended) = around(&gaps[0]);
    assert_eq!(told(&dir, began, ended), [said(&gaps[0])]);
    // Old enough for the first one, and not for the second.
    let old = last - (around(&gaps[0]).1 + 1);
    assert!(keep(ever, Duration::from_millis(old.unsigned_abs())).rows > 0);
    let of = |gap: &std::ops::Range<usize>| told(&dir, around(gap).0, around(gap).1).contains(&said(gap));
    assert_eq!([of(&gaps[0]), of(&gaps[1])], [false, true]);
}

/// Version 7 knew one sum.
#[test]
fn what_was_known_of_all_gaps_together_is_the_first_one() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, 7).unwrap();
    conn.execute_batch("INSERT INTO meta VALUES ('lost', 30), ('lost_from', 1000), ('lost_to', 9000)").unwrap();
    schema::migrate(&mut conn, schema::MIGRATIONS.len()).unwrap();
    let older = Gap { count: 30, began: Wall(1_000), ended: Wall(9_000) };
    assert_eq!(gap::all(&conn).unwrap(), [older]);
    let next = Gap { count: 2, began: Wall(9_500), ended: Wall(9_600) };
    gap::note(&conn, 77, &next).unwrap();
    assert_eq!(gap::all(&conn).unwrap(), [older, next]);
    let left: i64 = conn.query_row("SELECT count(*) FROM meta WHERE key LIKE 'lost%'", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    // Whose log was whole has none.
    let mut whole = Connection::open_in_memory().unwrap();
    schema::migrate(&mut whole, 7).unwrap();
    schema::migrate(&mut whole, schema::MIGRATIONS.len()).unwrap();
    assert_eq!(gap::all(&whole).unwrap(), []);
}
