//! What callers dial, and what they press there: on the main line a menu of queues, on the desk's lines every kind
//! of step that a flow may have, on the vendor's a number outside.

use super::people::Habits;
use super::{desk, place};
use crate::ids::Rng;
use std::time::Duration;

/// A key or several, and when after the answer they are pressed.
pub type Keys = Vec<(Duration, &'static str)>;

/// The number that a caller dials.
pub fn line(rng: &mut Rng, habits: &Habits) -> &'static str {
    if rng.chance(habits.vendor_line) {
        return place::VENDOR_LINE;
    }
    match rng.chance(habits.desk_lines) {
        true => [desk::LINE, desk::LINE, desk::LINE, desk::CLOSED, desk::HOLIDAY][rng.below(5) as usize],
        false => place::LINE,
    }
}

/// What he presses, once the line has answered.
pub fn keys(rng: &mut Rng, line: &str) -> Keys {
    match line {
        place::LINE => on_the_main_line(rng),
        // Whoever is not put through is asked what he wants instead, sooner or later.
        place::VENDOR_LINE => [5.0, 25.0, 45.0].map(|at| (seconds(rng, at, at + 15.0), "2")).into(),
        _ => at_the_desk(rng),
    }
}

fn seconds(rng: &mut Rng, from: f64, to: f64) -> Duration {
    Duration::from_secs_f64(from + rng.unit() * (to - from))
}

fn on_the_main_line(rng: &mut Rng) -> Keys {
    let first = seconds(rng, 1.0, 9.0);
    match rng.below(100) {
        0..50 => vec![(first, "2")],
        50..75 => vec![(first, "1")],
        75..84 => vec![(first, "3")],
        84..90 => vec![(first, "9"), (first + Duration::from_secs(9), "2")],
        90..93 => vec![(first, "1"), (first + Duration::from_millis(300), "2")],
        _ => Vec::new(), // presses nothing
    }
}

/// The ways through the desk's flow, as a caller goes who listens: what he keys, one after the other.
const WAYS: [&[&str]; 8] = [
    &["1", "34#", "1"],             // a ticket of the second level, confirmed
    &["1", "12#", "1"],             // one of the first
    &["1", "99#", "1"],             // the ticketing system fails
    &["1", "98#", "1"],             // it says nothing
    &["1", "56#", "2", "12#", "1"], // keyed wrong, told so, once more
    &["2", "1", "34#", "1"],        // in German
    &["4", "1234"],                 // a PIN
    &["3", "1"],                    // a person; then he leaves while he waits
];
const MASHED: [&str; 12] = ["0", "1", "2", "3", "4", "9", "*", "#", "34#", "12", "56#", "1234"];

fn at_the_desk(rng: &mut Rng) -> Keys {
    let mut at = Duration::ZERO;
    let mut then = |rng: &mut Rng, keys, pause| {
        at += pause;
        at += seconds(rng, 0.3, 2.0);
        (at, keys)
    };
    if rng.chance(0.7) {
        let way = WAYS[rng.below(WAYS.len() as u64) as usize];
        way.iter().map(|keys| then(rng, *keys, Duration::from_secs(2))).collect()
    } else {
        let many = rng.below(8);
        (0..many)
            .map(|_| {
                let keys = MASHED[rng.below(MASHED.len() as u64) as usize];
                then(rng, keys, Duration::ZERO)
            })
            .collect()
    }
}
