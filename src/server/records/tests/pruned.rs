//! What is old goes from the log and the records, and nothing else does.

use super::*;
use crate::config::KeepSettings;
use crate::server::calls;
use crate::server::keeping::{self, Plan, Removed};

const DAY: Duration = Duration::from_secs(86_400);

fn plan(dir: &Dir, events: Duration, records: Duration) -> Plan {
    let keep = KeepSettings { events, records, ..KeepSettings::default() };
    Plan { data: dir.0.clone(), keep, ticketing: false }
}

/// Three days of the small world, in a log; the records have the first `folded` days.
fn three_days(name: &str, folded: u64) -> Dir {
    let dir = Dir::new(name);
    let opened = open(&dir.0);
    (0..3).flat_map(repeated).for_each(|event| opened.store.append(vec![event]));
    opened.store.close().unwrap();
    let mut records = Records::open(&dir.0).unwrap();
    let until = folded * world().len() as u64;
    let log = Reader::open(&dir.0).unwrap().unwrap();
    while records.seq() < until {
        let mut events = log.bare_after(records.seq(), 500).unwrap();
        events.retain(|event| event.seq <= until);
        records.take(&events).unwrap();
    }
    dir
}

/// As of the last event.
fn pass(plan: &Plan, goes_on: &mut dyn FnMut(Removed) -> bool) -> anyhow::Result<Removed> {
    let log = Reader::open(&plan.data)?.expect("a log");
    let last = log.at(log.last()?)?.expect("an event");
    keeping::pass(plan, last, goes_on)
}

#[test]
fn a_pruned_log_leaves_the_records_and_a_restart_what_they_were() {
    let dir = three_days("pruned", 3);
    let before = content(&dir.0);
    let recovered = |dir: &Dir| open(&dir.0).recovered;
    let open_before = recovered(&dir);
    assert!(!open_before.is_empty(), "something is open at the end of the world");
    let Removed { events, rows } = pass(&plan(&dir, DAY, DAY * 1000), &mut |_| true).unwrap();
    assert!(events as usize > world().len() / 2 && rows == 0, "{events} events, {rows} rows");
    same(&before, &content(&dir.0));
    assert_eq!(recovered(&dir), open_before);
    let log = Reader::open(&dir.0).unwrap().unwrap();
    let last = log.at(log.last().unwrap()).unwrap().unwrap();
    let young = repeated(2).into_iter().chain(repeated(1)).filter(|event| event.at.0 >= last.0 - 86_400_000);
    for event in young {
        assert!(log.at(event.seq).unwrap().is_some_and(|at| at == event.at), "event {} is young", event.seq);
    }
    // Who asks for calls is told of those whose events are gone; reports count them still.
    let filter = calls::filter::Filter { from: Some("2000-01-01".to_owned()), ..Default::default() };
    let listed = calls::list(&dir.0, &calls::Show { last: 10_000, filter, ..Default::default() }).unwrap();
    let all = before.iter().filter(|line| line.starts_with("call: ")).count();
    let shown = listed.lines().filter(|line| line.starts_with('c')).count();
    assert!(
        shown < all && listed.contains(&format!("\n{} such calls in `tierline report` only", all - shown)),
        "{listed}"
    );
    // What the log has is made again, and what is missing in it stays.
    rebuild(&dir.0).unwrap();
    same(&before, &content(&dir.0));
    assert_eq!(pass(&plan(&dir, DAY, DAY * 1000), &mut |_| true).unwrap(), Removed::default(), "once is enough");
}

#[test]
fn what_the_records_have_not_taken_in_stays() {
    let dir = three_days("behind", 0);
    assert_eq!(pass(&plan(&dir, DAY, DAY), &mut |_| true).unwrap(), Removed::default());
    let dir = three_days("half", 1);
    let all = Reader::open(&dir.0).unwrap().unwrap().bare_after(world().len() as u64, 1_000_000).unwrap();
    let removed = pass(&plan(&dir, Duration::from_secs(1), DAY * 1000), &mut |_| true).unwrap();
    assert!(removed.events > 0);
    let left = Reader::open(&dir.0).unwrap().unwrap().bare_after(world().len() as u64, 1_000_000).unwrap();
    assert_eq!(left, all, "all that is behind the records' place");
}

#[test]
fn old_records_go_and_those_of_later_calls_stay() {
    let dir = three_days("old", 3);
    let calls = |dir: &Dir, condition: &str| count(&dir.0, &format!("call WHERE {condition}"));
    let log = Reader::open(&dir.0).unwrap().unwrap();
    let before = log.at(log.last().unwrap()).unwrap().unwrap().0 - 86_400_000;
    let (young, old) = (calls(&dir, &format!("ended >= {before}")), calls(&dir, &format!("ended < {before}")));
    assert!(young > 0 && old > 0, "{young} young, {old} old");
    let removed = pass(&plan(&dir, DAY * 1000, DAY), &mut |_| true).unwrap();
    assert!(removed.events == 0 && removed.rows as i64 > old);
    assert_eq!((calls(&dir, &format!("ended >= {before}")), calls(&dir, &format!("ended < {before}"))), (young, 0));
    for table in TABLES.iter().filter(|table| table.key.starts_with("call,")) {
        let orphans = format!("{} WHERE ended < {before} AND call NOT IN (SELECT call FROM call)", table.name);
        assert_eq!(count(&dir.0, &orphans), 0, "{}", table.name);
    }
    assert_eq!(count(&dir.0, &format!("agent_interval WHERE ended < {before}")), 0);
    // Whoever asks for an earlier time is told that it is not whole.
    assert_eq!(told_of(&dir, before - 1_000), [true, true, true]);
    assert_eq!(told_of(&dir, before + 1_000), [false, true, false]);
}

/// Whether it is said of a time that begins then that rows of it are missing: by the records, their status, a report.
fn told_of(dir: &Dir, from: i64) -> [bool; 3] {
    use crate::server::report::{Asked, By, Format, Formula, report};
    let conn = reading(&dir.0).unwrap();
    let shown = |at: Wall| at.to_string();
    let told = extent(&dir.0, &conn).unwrap().lacking((Wall(from), Wall(i64::MAX)), &shown);
    let asked = Asked {
        by: By::Line,
        step: None,
        from: Some(Wall(from).to_string()[..19].to_owned() + "Z"),
        to: Some("2100-01-01".to_owned()),
        zone: Some("UTC".to_owned()),
        only: None,
        formula: Formula::default(),
        target: None,
        short: None,
        config: None,
        format: Format::Table,
    };
    let made = report(&dir.0, &asked).unwrap().to_string();
    let known = |text: &str| text.contains("incomplete before");
    [told.iter().any(|told| known(told)), known(&status(&dir.0).unwrap()), known(&made)]
}

/// The records' file is gone, and the log does not reach back as far as it did.
#[test]
fn records_of_a_log_whose_beginning_is_gone_say_from_when_they_are() {
    let dir = three_days("late", 3);
    let first = world()[0].at.0;
    assert_eq!(told_of(&dir, first), [false; 3]);
    assert!(pass(&plan(&dir, DAY, DAY * 1000), &mut |_| true).unwrap().events > 0);
    assert_eq!(told_of(&dir, first), [false; 3], "the log is not what they are");
    for name in ["records.db", "records.db-wal", "records.db-shm"] {
        _ = fs::remove_file(dir.0.join(name));
    }
    bring_up(&dir.0).unwrap();
    assert_eq!(told_of(&dir, first), [true; 3]);
    let log = Reader::open(&dir.0).unwrap().unwrap();
    let (_, at) = log.next(log.removed().unwrap()).unwrap().unwrap();
    assert_eq!(extent(&dir.0, &reading(&dir.0).unwrap()).unwrap().from, Some(at));
}

#[test]
fn a_pass_can_be_stopped_between_two_portions() {
    let dir = three_days("stopped", 3);
    let first = pass(&plan(&dir, DAY, DAY), &mut |_| false).unwrap();
    assert!(first.events > 0 && first.rows == 0);
    assert!(pass(&plan(&dir, DAY, DAY), &mut |_| true).unwrap().rows > 0);
}

/// A first start: the threads that make the files of the records and of the ticketing system have just begun.
#[test]
fn files_that_are_being_made_need_all_of_the_log_and_are_no_failure() {
    let dir = three_days("first", 3);
    for name in ["records.db", "records.db-wal", "records.db-shm"] {
        _ = fs::remove_file(dir.0.join(name));
    }
    for name in ["records.db", "ticketing.db"] {
        fs::write(dir.0.join(name), "").unwrap();
    }
    let plan = Plan { ticketing: true, ..plan(&dir, Duration::from_secs(1), DAY * 1000) };
    assert_eq!(pass(&plan, &mut |_| true).unwrap(), Removed::default());
}

/// Records are made anew while events go: whatever was read before it went is made again, and all else stays.
#[test]
fn records_that_are_made_anew_and_a_pass_never_come_between_each_other() {
    let dir = three_days("race", 3);
    let (before, plan) = (content(&dir.0), plan(&dir, Duration::from_secs(1), DAY * 1000));
    let log = Reader::open(&dir.0).unwrap().unwrap();
    let begin = || anew::Anew::begin(&dir.0, &log).unwrap();
    let read = |anew: &mut anew::Anew| anew.read(&dir.0, &log, &mut |_, _| {}).unwrap();
    // Somebody is killed before he is done: nothing was emptied.
    let mut one = begin();
    assert!(read(&mut one));
    same(&before, &content(&dir.0));
    // All has gone after it was read; then before another one has begun to read.
    let mut late = begin();
    assert!(pass(&plan, &mut |_| true).unwrap().events > 0);
    one.put(&dir.0, &log).unwrap();
    same(&before, &content(&dir.0));
    assert!(!read(&mut late), "it would have read less than there was when it began");
    assert!(read(&mut begin()));
    rebuild(&dir.0).unwrap();
    same(&before, &content(&dir.0));
    let left =
        fs::read_dir(&dir.0).unwrap().filter(|file| file.as_ref().unwrap().path().to_string_lossy().contains("anew"));
    drop(late);
    assert_eq!(left.count(), 0);
}

/// The same with both at once, as often as it takes for each to be first.
#[test]
fn whoever_is_first_no_row_is_lost() {
    let mut gone = 0;
    for _ in 0..12 {
        let dir = three_days("both", 3);
        let (before, plan) = (content(&dir.0), plan(&dir, Duration::from_secs(1), DAY * 1000));
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let rebuild = scope.spawn(|| {
                both.wait();
                rebuild(&dir.0).unwrap()
            });
            both.wait();
            gone += u64::from(pass(&plan, &mut |_| true).unwrap().events > 0);
            rebuild.join().unwrap()
        });
        same(&before, &content(&dir.0));
    }
    assert!(gone > 0, "no event ever went");
}

/// What the first row of the log has is open still, and stays: the log begins with its first event, and has a hole.
#[test]
fn a_log_of_which_something_is_gone_is_not_taken_for_whole() {
    let dir = Dir::new("hole");
    let opened = open(&dir.0);
    let (at, on) = (Wall(world()[0].at.0 - 1), true);
    let first =
        [What::EngineStarted { node: 0, epoch: 1, alive: None }, What::BannerSwitched { banner: "storm".into(), on }];
    let first = first.into_iter().zip(1..).map(|(what, seq)| Event { seq, at, call: None, what });
    opened.store.append(first.collect());
    (0..3).flat_map(repeated).for_each(|event| opened.store.append(vec![Event { seq: event.seq + 2, ..event }]));
    opened.store.close().unwrap();
    let log = Reader::open(&dir.0).unwrap().unwrap();
    Records::open(&dir.0).unwrap().catch_up(&log, &mut |_, _| true).unwrap();
    assert_eq!(log.removed().unwrap(), 0);
    rebuild(&dir.0).unwrap();
    let before = content(&dir.0);
    assert!(pass(&plan(&dir, DAY, DAY * 1000), &mut |_| true).unwrap().events > 0);
    assert!(log.at(1).unwrap().is_some() && log.removed().unwrap() > 100);
    rebuild(&dir.0).unwrap();
    same(&before, &content(&dir.0));
}

/// The clock stood three years ahead for a day: the days around it become old in their time.
#[test]
fn a_day_of_a_clock_that_stood_ahead_holds_up_nobody() {
    const YEARS: i64 = 3 * 365 * 86_400_000;
    let dir = Dir::new("ahead");
    let moved = |n: u64, event: Event| Event { at: Wall(event.at.0 + if n == 1 { YEARS } else { 0 }), ..event };
    for day in 0..3 {
        // Each on its own: events that are written together go together.
        let opened = open(&dir.0);
        repeated(day).into_iter().for_each(|event| opened.store.append(vec![moved(day, event)]));
        opened.store.close().unwrap();
    }
    let log = Reader::open(&dir.0).unwrap().unwrap();
    Records::open(&dir.0).unwrap().catch_up(&log, &mut |_, _| true).unwrap();
    let day = world().len() as u64;
    let left = || {
        [0, 1, 2].map(|n| (day * n + 1..=day * (n + 1)).filter(|seq| log.at(*seq).unwrap().is_some()).count() as u64)
    };
    pass(&plan(&dir, Duration::from_secs(1), DAY * 1000), &mut |_| true).unwrap();
    let [first, second, third] = left();
    assert!(first < day / 2 && second == day && third < day / 2, "{:?} of {day}", left());
    // Of the records too.
    let calls = |n: u64| {
        let from = |n: u64| (n << 36) as i64;
        let first = world().iter().find_map(|event| event.call).unwrap().0 as i64;
        count(&dir.0, &format!("call WHERE call BETWEEN {} AND {}", first + from(n), first + from(n + 1) - 1))
    };
    let before = [0, 1, 2].map(calls);
    assert!(!before.contains(&0), "{before:?}");
    pass(&plan(&dir, DAY * 1000, Duration::from_secs(1)), &mut |_| true).unwrap();
    let [first, second, third] = [0, 1, 2].map(calls);
    assert!(first == 0 && second == before[1] && third <= 2, "{first}, {second} and {third} of {before:?}");
}
