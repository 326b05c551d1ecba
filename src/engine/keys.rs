//! One key, however many ways a phone sends it: as an event (RFC 4733), as tones, by INFO.
//!
//! A key that comes by another way soon after is the same one; by the same way it is pressed again. Each report takes
//! part in one key, so that two presses that come by two ways each are two keys.

use crate::media::Way;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How far apart the reports of one key may be: one way tells when it goes down, another when it comes up.
const TOGETHER: Duration = Duration::from_secs(2);
/// Keys that are remembered; nobody presses more in that time.
const MAX_KEYS: usize = 32;

/// The last keys of one leg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys(VecDeque<Key>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    digit: char,
    at: Instant,
    /// The ways that it has come by.
    ways: Vec<Way>,
}

impl Keys {
    /// Whether this is a key that is not known yet.
    pub fn is_new(&mut self, now: Instant, digit: char, way: Way) -> bool {
        self.0.retain(|key| now.since(key.at) < TOGETHER);
        let same = self.0.iter_mut().find(|key| key.digit == digit && !key.ways.contains(&way));
        match same {
            Some(key) => key.ways.push(way),
            None => {
                self.0.truncate(MAX_KEYS - 1);
                self.0.push_back(Key { digit, at: now, ways: vec![way] });
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports as `ms digit way` (e: event, t: tones, i: INFO); the keys that they are.
    fn check(reports: &str, expect: &str) {
        let mut keys = Keys::default();
        let keys: String = reports
            .split(',')
            .filter_map(|row| {
                let words: Vec<_> = row.split_whitespace().collect();
                let way = match words[2] {
                    "e" => Way::Event,
                    "t" => Way::Tones,
                    _ => Way::Info,
                };
                let (at, digit) = (Instant(words[0].parse::<u64>().unwrap() * 1_000_000), words[1].chars().next()?);
                keys.is_new(at, digit, way).then_some(digit)
            })
            .collect();
        assert_eq!(keys, expect, "{reports}");
    }

    #[test]
    fn each_key_counts_once() {
        check("0 1 e,200 2 e,400 2 e,600 2 e", "1222");
        check("0 1 i,100 1 e", "1");
        check("0 1 t,5 1 e,90 1 i", "1");
        // Twice the same key, by two ways each, in any order.
        check("0 1 e,50 1 i,300 1 e,350 1 i", "11");
        check("0 1 e,300 1 e,350 1 i,360 1 i", "11");
        check("0 1 i,300 1 i,350 1 e,360 1 e,900 1 i", "111");
        // Others in between.
        check("0 1 e,100 2 e,150 1 i,160 2 i,200 3 i", "123");
        // Much later it is another press.
        check("0 1 e,1999 1 i,4000 1 i", "11");
        check("0 1 e,2000 1 i", "11");
    }

    #[test]
    fn a_flood_is_not_remembered() {
        let mut keys = Keys::default();
        (0..1000).for_each(|n| assert!(keys.is_new(Instant(n), '1', Way::Info)));
        assert_eq!(keys.0.len(), MAX_KEYS);
    }
}
