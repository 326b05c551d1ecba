//! What is counted and never told one by one: messages, proofs, packets. What has grown is told every [`EVERY`], with by
//! how much; the counters are those of `/metrics`, so that a line and a graph say the same.

use super::Entry;
use crate::config::Level;
use crate::stats::families as f;
use crate::stats::{Family, Sample, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it is looked.
pub const EVERY: Duration = Duration::from_secs(10);

/// What is told when it grows, as what.
const TOLD: &[(&Family, Level, &str, &str)] = &[
    (&f::SIP_REFUSALS, Level::Warn, "sip", "messages could not be read"),
    (&f::SIP_AUTH_FAILURES, Level::Warn, "sip", "proofs of identity were worth nothing"),
    (&f::SIP_BANS, Level::Warn, "sip", "who fails too often is not listened to any more"),
    (&f::SIP_BANNED_MESSAGES, Level::Warn, "sip", "messages of those who are banned were dropped unread"),
    (&f::SIP_OVERLOADS, Level::Warn, "sip", "requests were refused with 503: it is full, or it stops"),
    (&f::SIP_DROPPED, Level::Warn, "sip", "the system dropped datagrams, because too many were waiting"),
    (&f::SIP_CONNECTIONS_REFUSED, Level::Warn, "sip", "connections were refused, because there are too many"),
    (&f::SIP_HANDSHAKES, Level::Warn, "sip", "TLS handshakes failed"),
    (&f::SIP_NAMES, Level::Warn, "sip", "host names led nowhere"),
    (&f::MEDIA_ONE_WAY, Level::Warn, "media", "parties were sent audio and not heard"),
    (&f::MEDIA_UNSENT, Level::Warn, "media", "the system would not take audio packets"),
    (
        &f::MEDIA_ROBBED,
        Level::Warn,
        "media",
        "legs have no RTCP: another program has taken the port that it needed again",
    ),
    (&f::MEDIA_DROPPED, Level::Debug, "media", "audio packets were not used"),
    (&f::LOG_LOST, Level::Error, "log", "events are lost"),
];

/// The counters as they were.
#[derive(Debug, Default)]
pub struct Watch {
    /// By family and labels.
    seen: BTreeMap<(&'static str, Vec<String>), f64>,
}

impl Watch {
    /// A line for each counter that is higher than at the look before.
    pub fn look(&mut self, samples: &[Sample]) -> Vec<Entry> {
        samples.iter().filter_map(|sample| self.grown(sample)).collect()
    }

    fn grown(&mut self, sample: &Sample) -> Option<Entry> {
        let (_, level, subject, said) = TOLD.iter().find(|(family, ..)| family.name == sample.family.name)?;
        let Value::Number(now) = sample.value else { return None };
        let seen = self.seen.entry((sample.family.name, sample.labels.clone())).or_default();
        let more = now - std::mem::replace(seen, now);
        let labels = sample.family.labels.iter().zip(&sample.labels);
        // The names of reasons and the numbers of planes are the program's own.
        let labels = labels.map(|(name, label)| (*name, super::Value::written(label)));
        let line = Entry::new(*level, subject, said).with("count", more as i64);
        (more > 0.0).then(|| labels.fold(line, |line, (name, label)| line.with(name, label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_grown_is_told_once_with_by_how_much() {
        let mut watch = Watch::default();
        let at = |long: u64, garbage: u64, legs: u64| {
            [
                f::SIP_REFUSALS.count(["TooLong"], long),
                f::SIP_REFUSALS.count(["Garbage"], garbage),
                f::SIP_LEGS.count([], legs),
            ]
        };
        let line = |reason, count: i64| {
            let line = Entry::warn("sip", "messages could not be read").with("count", count);
            line.with("reason", super::super::Value::written(reason))
        };
        assert_eq!(watch.look(&at(0, 0, 5)), []);
        assert_eq!(watch.look(&at(0, 90_000, 7)), [line("Garbage", 90_000)]);
        assert_eq!(watch.look(&at(0, 90_000, 9)), []);
        assert_eq!(watch.look(&at(2, 90_001, 9)), [line("TooLong", 2), line("Garbage", 1)]);
        let said = "legs have no RTCP: another program has taken the port that it needed again";
        let line = Entry::warn("media", said).with("count", 1i64).with("plane", super::super::Value::written("0"));
        assert_eq!(watch.look(&[f::MEDIA_ROBBED.count(["0"], 1)]), [line]);
    }
}
