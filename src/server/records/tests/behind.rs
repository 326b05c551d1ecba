//! How far the records are behind is told in events and in time, by who follows and by who looks from outside.

use super::*;
use crate::stats::{Sample, Value as Number};

/// Events, and seconds.
fn lag(behind: &Behind) -> (f64, f64) {
    let number = |sample: &Sample| match sample.value {
        Number::Number(number) => number,
        Number::Spread { .. } => panic!("{sample:?}"),
    };
    let [events, seconds] = &behind.samples();
    (number(events), number(seconds))
}

/// A log of the small world, and nobody who folds it.
fn logged(name: &str) -> (Dir, Reader) {
    let dir = Dir::new(name);
    let opened = open(&dir.0);
    opened.store.append(repeated(0));
    opened.store.close().unwrap();
    let log = Reader::open(&dir.0).unwrap().unwrap();
    (dir, log)
}

#[test]
fn the_lag_is_what_the_log_has_and_how_old_the_first_of_it_is() {
    let (_dir, log) = logged("lag");
    let (events, now) = (world(), time());
    let behind = Behind::new(now);
    let end = events.len() as u64;
    // The events' clock stands where the world ended, and some moments of this test later.
    for done in [0, 1, end / 2, end - 1] {
        behind.folded(done, &log).unwrap();
        let (lacks, seconds) = lag(&behind);
        assert_eq!(lacks, (end - done) as f64);
        let waits = now.began.0 - events[done as usize].at.0;
        assert!((0..60_000).contains(&((seconds * 1000.0).round() as i64 - waits)), "{seconds} s after {done}");
    }
    behind.folded(end, &log).unwrap();
    assert_eq!(lag(&behind), (0.0, 0.0));
    // Written, and not folded yet; then more of it.
    behind.written(end + 5);
    let (lacks, seconds) = lag(&behind);
    assert!(lacks == 5.0 && seconds < 60.0, "{lacks} events, {seconds} s");
    behind.written(end + 7);
    assert_eq!(lag(&behind).0, 7.0);
    // What the log cannot show yet to who reads it is missing all the same.
    behind.folded(end, &log).unwrap();
    assert_eq!(lag(&behind).0, 7.0);
}

#[test]
fn a_follower_that_cannot_write_tells_how_far_behind_it_is_and_comes_up() {
    let (dir, log) = logged("held");
    let end = log.last().unwrap();
    let other = schema::open(&dir.0).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let opened = open(&dir.0);
    let follower = follower(&dir.0, &opened.store);
    assert_eq!(lag(&follower.behind).0, end as f64);
    opened.store.append(repeated(1));
    opened.store.flush().unwrap();
    assert_eq!(lag(&follower.behind).0, 2.0 * end as f64);
    other.execute_batch("ROLLBACK").unwrap();
    let begun = Instant::now();
    while lag(&follower.behind) != (0.0, 0.0) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", lag(&follower.behind));
        std::thread::yield_now();
    }
    assert_eq!(Records::open(&dir.0).unwrap().seq(), 2 * end);
    opened.store.close().unwrap();
}

#[test]
fn who_reads_is_told_up_to_when_all_is_there_and_what_runs() {
    let (dir, log) = logged("extent");
    let mut records = Records::open(&dir.0).unwrap();
    let told = |records: &Records| Extent::of(&records.conn, &log).unwrap().told(&|wall| format!("[{}]", wall.0));
    let end = log.last().unwrap();
    assert_eq!(told(&records), format!("complete up to nothing; {end} later events of the log not counted yet"));
    // A first call has come.
    let first = world().iter().find(|event| event.what.name() == "CallArrived").unwrap();
    records.take(&world()[..first.seq as usize]).unwrap();
    let at = first.at.0;
    let lacks = end - first.seq;
    assert_eq!(
        told(&records),
        format!(
            "complete up to [{at}]; {lacks} later events of the log not counted yet; 1 call not over and not counted yet, \
             from [{at}] on"
        )
    );
    records.catch_up(&log, &mut |_, _| true).unwrap();
    let last = world().last().unwrap().at.0;
    assert_eq!(told(&records), format!("complete up to [{last}], the end of the log"));
    assert!(status(&dir.0).unwrap().contains(", the end of the log\n"));
    let empty = Dir::new("empty");
    let opened = open(&empty.0);
    let (records, log) = (Records::open(&empty.0).unwrap(), Reader::open(&empty.0).unwrap().unwrap());
    assert_eq!(Extent::of(&records.conn, &log).unwrap().told(&|_| String::new()), "the log is empty");
    opened.store.close().unwrap();
}

/// A server's follower takes events from memory: they are those that it would have read, but for nothing.
#[test]
fn what_was_committed_a_moment_ago_is_folded_without_being_read_again() {
    let (close, far) = (Dir::new("close"), Dir::new("far"));
    let (opened, empty) = (open(&far.0), open(&close.0));
    let recent = opened.store.bare();
    for event in repeated(0) {
        opened.store.append(vec![event]);
    }
    opened.store.flush().unwrap();
    let mut records = Records { recent, ..Records::open(&close.0).unwrap() };
    // There is nothing in this log.
    records.catch_up(&Reader::of(&close.0).unwrap(), &mut |_, _| true).unwrap();
    assert_eq!(records.seq(), world().len() as u64);
    Records::open(&far.0).unwrap().catch_up(&Reader::of(&far.0).unwrap(), &mut |_, _| true).unwrap();
    same(&content(&close.0), &content(&far.0));
    empty.store.close().unwrap();
    opened.store.close().unwrap();
}
