//! Which time it is, for deciding what is old: the one judge of whether the system's clock is to be believed.
//!
//! What is removed is gone, so a clock that stands ahead must not make things old. The time that was believed last is
//! written down (`believed` in the log's table `meta`); from it and from the time that has passed since follows where
//! the clock may be:
//!
//! ```text
//!                      the time believed last, and what has passed since
//!   ──────────────┬──────────────────┼──────────────────┬──────────────▶
//!      doubted    │◀──── slack ─────▶│◀──── slack ─────▶│   doubted
//! ```
//!
//! | | slack | why |
//! |---|---|---|
//! | at a start | [`ABSENCE`] | nobody knows how long the machine was off |
//! | while it runs | [`HOUR`] | what has passed is known; a jump of less makes nothing old that matters |
//!
//! A clock within is believed, and the time goes on from it. One that is not is **doubted**, and what is old is judged
//! by the time that was believed and what has passed since, or by the clock where that is behind: never more is removed
//! than either of them says. A doubt ends when the clock comes back within, or when somebody says that it is right
//! (`tierline keep --believe-clock`). It needs nothing written down to outlive a restart: the time believed last does
//! not follow a clock that is doubted.

use crate::time::{Instant, Wall};

/// A machine may be off for so long, in milliseconds; a clock that is further away is asked about.
const ABSENCE: i64 = 7 * 86_400_000;
const HOUR: i64 = 3_600_000;
/// The clock is kept right by less than this at a time.
const JUMP: i64 = 1_000;
/// Two clocks drift apart by less than a thousandth of the time that passes.
const DRIFT: i64 = 1_000;

/// The judge. Its time is an argument, as everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// The time that is believed, and when it was so.
    held: Wall,
    since: Instant,
    slack: i64,
    /// By how much the clock is ahead of that time, if it is doubted.
    doubt: Option<i64>,
    /// The clock at the last look, and when that was.
    seen: (Instant, Wall),
}

impl Belief {
    /// `mark`: the time that was believed last before this start; none if there was no start before.
    pub fn new(now: Instant, wall: Wall, mark: Option<Wall>) -> Belief {
        let held = mark.unwrap_or(wall);
        let mut belief = Belief { held, since: now, slack: ABSENCE, doubt: None, seen: (now, wall) };
        belief.judge(now, wall);
        belief
    }

    /// Looks at the clock; by how many milliseconds it has jumped since the look before, if it has.
    pub fn look(&mut self, now: Instant, wall: Wall) -> Option<i64> {
        let (before, seen) = std::mem::replace(&mut self.seen, (now, wall));
        let jump = wall.0.saturating_sub(seen.0.saturating_add(passed(before, now)));
        self.judge(now, wall);
        (jump.saturating_abs() > JUMP).then_some(jump)
    }

    fn judge(&mut self, now: Instant, wall: Wall) {
        let ahead = wall.0.saturating_sub(self.mark(now).0);
        match ahead.saturating_abs() <= self.slack + passed(self.since, now) / DRIFT {
            true => (self.held, self.since, self.slack, self.doubt) = (wall, now, HOUR, None),
            false => self.doubt = Some(ahead),
        }
    }

    /// Somebody says that it was `mark` a moment ago.
    pub fn believe(&mut self, now: Instant, mark: Wall) {
        (self.held, self.since, self.slack) = (mark, now, HOUR);
        self.judge(now, self.seen.1);
    }

    /// What is to be written down: the time that is believed.
    pub fn mark(&self, now: Instant) -> Wall {
        Wall(self.held.0.saturating_add(passed(self.since, now)))
    }

    /// What is old is judged by this time.
    pub fn time(&self, now: Instant) -> Wall {
        Wall(self.mark(now).0.saturating_add(self.doubt.unwrap_or(0).min(0)))
    }

    /// By how many milliseconds a clock that is not believed is ahead.
    pub fn doubt(&self) -> Option<i64> {
        self.doubt
    }
}

/// In milliseconds.
fn passed(from: Instant, to: Instant) -> i64 {
    i64::try_from(to.since(from).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const YEAR: i64 = 365 * DAY;
    const THEN: i64 = 1_790_000_000_000;

    fn second(n: u64) -> Instant {
        Instant(n * 1_000_000_000)
    }

    fn at(ms: i64) -> Wall {
        Wall(THEN + ms)
    }

    #[test]
    fn a_clock_at_a_start_is_believed_if_the_machine_may_have_been_off_so_long() {
        for (ahead, doubt, time) in [
            (0, None, 0),
            (3 * DAY, None, 3 * DAY),
            (7 * DAY, None, 7 * DAY),
            (7 * DAY + 1, Some(7 * DAY + 1), 0),
            (3 * YEAR, Some(3 * YEAR), 0),
            (-2 * DAY, None, -2 * DAY),
            (-40 * YEAR, Some(-40 * YEAR), -40 * YEAR),
        ] {
            let belief = Belief::new(second(5), at(ahead), Some(at(0)));
            assert_eq!((belief.doubt(), belief.time(second(5))), (doubt, at(time)), "{ahead} ms ahead");
        }
        let first = Belief::new(second(5), at(0), None);
        assert_eq!((first.doubt(), first.time(second(65))), (None, at(60_000)), "the first start believes");
    }

    #[test]
    fn a_doubt_outlives_every_restart() {
        let (mut mark, mut wall) = (at(0), at(3 * YEAR));
        for _ in 0..500 {
            let mut belief = Belief::new(second(0), wall, Some(mark));
            wall = wall + std::time::Duration::from_secs(86_400);
            assert_eq!(belief.look(second(86_400), wall), None);
            assert_eq!(belief.doubt(), Some(3 * YEAR), "it is as far ahead as it was");
            mark = belief.mark(second(86_400));
        }
        assert_eq!(mark, at(500 * DAY), "what has passed has passed nevertheless");
    }

    #[test]
    fn jumps_are_told_once_and_followed_if_small() {
        let mut belief = Belief::new(second(0), at(0), Some(at(0)));
        let mut look = |s: u64, ms: i64| {
            let jump = belief.look(second(s), at(ms));
            (jump, belief.doubt(), belief.time(second(s)).0 - THEN)
        };
        assert_eq!(look(10, 10_400), (None, None, 10_400), "slewed by 400 ms");
        assert_eq!(look(20, 20_800), (None, None, 20_800));
        assert_eq!(look(30, 31_200), (None, None, 31_200), "1.2 s in all, but never at once");
        assert_eq!(look(40, 46_200), (Some(5_000), None, 46_200), "set right after the start");
        assert_eq!(look(50, 56_200 + YEAR), (Some(YEAR), Some(YEAR), 56_200), "a year ahead makes nothing old");
        assert_eq!(look(60, 66_200 + YEAR), (None, Some(YEAR), 66_200), "told once, doubted on");
        assert_eq!(look(70, 76_200), (Some(-YEAR), None, 76_200), "and back");
        assert_eq!(look(80, 86_200 - YEAR), (Some(-YEAR), Some(-YEAR), 86_200 - YEAR), "behind: less is old");
        assert_eq!(look(90, 96_200), (Some(YEAR), None, 96_200));
    }

    /// A machine whose clock has no battery begins in 1970 until a time server is reached.
    #[test]
    fn a_clock_that_is_set_right_after_the_start_is_believed_then() {
        let mut belief = Belief::new(second(0), Wall(0), Some(at(0)));
        assert_eq!(belief.time(second(0)), Wall(0));
        assert_eq!(belief.look(second(40), at(3 * DAY)), Some(THEN + 3 * DAY - 40_000));
        assert_eq!((belief.doubt(), belief.time(second(40))), (None, at(3 * DAY)));
    }

    #[test]
    fn who_runs_it_may_say_that_the_clock_is_right() {
        let mut belief = Belief::new(second(0), at(YEAR), Some(at(0)));
        assert_eq!(belief.doubt(), Some(YEAR));
        belief.believe(second(0), at(YEAR));
        assert_eq!((belief.doubt(), belief.time(second(10))), (None, at(YEAR + 10_000)));
        // What was said of another clock does not count for this one.
        let mut belief = Belief::new(second(0), at(3 * YEAR), Some(at(0)));
        belief.believe(second(0), at(YEAR));
        assert_eq!((belief.doubt(), belief.time(second(0))), (Some(2 * YEAR), at(YEAR)));
    }

    #[test]
    fn no_clock_is_too_wrong_to_be_judged() {
        for wall in [Wall(i64::MIN), Wall(i64::MAX)] {
            let mut belief = Belief::new(second(0), wall, Some(at(0)));
            assert!(belief.doubt().is_some() && belief.time(second(0)) <= at(0));
            _ = belief.look(second(10), Wall(0));
            _ = belief.look(second(20), wall);
        }
    }
}
