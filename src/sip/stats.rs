//! Counters of an endpoint since its start. Not events: hostile packets never grow a log.

use super::header::Method;
use super::status;
use super::text::put_number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an endpoint has seen and done. Keys of methods are `INVITE` …, `other` for unknown ones; keys of
/// responses are `INVITE 200`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub requests_received: BTreeMap<String, u64>,
    pub requests_sent: BTreeMap<String, u64>,
    pub responses_received: BTreeMap<String, u64>,
    pub responses_sent: BTreeMap<String, u64>,
    pub retransmissions_received: u64,
    pub retransmissions_sent: u64,
    /// Messages that could not be read, by `Misbehavior::name`.
    pub refusals: BTreeMap<String, u64>,
    /// Responses that belong to no transaction.
    pub stray_responses: u64,
    /// ACKs that belong to no dialog.
    pub stray_acks: u64,
    /// Proofs that were worth nothing, by reason: see [`Unproven`].
    pub auth_failures: BTreeMap<String, u64>,
    /// Bans of addresses and of users.
    pub bans: [Bans; 2],
    /// Messages from banned addresses, dropped unread.
    pub banned: u64,
    /// What became of bindings: `bound` (made or renewed), `refused` (a REGISTER), or why they ended.
    pub registrations: BTreeMap<String, u64>,
    /// Nonces that were too old or used before.
    pub stale_nonces: u64,
    /// Requests refused because the endpoint was full.
    pub overloads: u64,
    /// Of these, INVITEs for which there was no room.
    pub turned_away: u64,
    pub bindings: u64,
    pub legs: u64,
    pub transactions: u64,
}

/// How many are banned, and were since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    pub now: u64,
    pub total: u64,
}

/// Why a proof was worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproven {
    /// The password is wrong, or the user unknown.
    Wrong,
    /// It proves another user than the one that the request is about.
    OtherUser,
    /// It cannot be read.
    Malformed,
    /// It came too soon after others that failed, and was not looked at.
    TooSoon,
    /// Its user is banned from where it came, and it was not looked at.
    Banned,
}

impl Unproven {
    pub fn name(self) -> &'static str {
        match self {
            Unproven::Wrong => "wrong",
            Unproven::OtherUser => "other_user",
            Unproven::Malformed => "malformed",
            Unproven::TooSoon => "too_soon",
            Unproven::Banned => "banned",
        }
    }

    /// Whether it counts against who sent it: only what a nonce proves that he can receive. (On UDP anybody could make
    /// others fail by their address.)
    pub fn is_failure(self) -> bool {
        matches!(self, Unproven::Wrong | Unproven::OtherUser)
    }
}

/// Adds one without making a new key each time.
pub(super) fn count(table: &mut BTreeMap<String, u64>, key: &str) {
    match table.get_mut(key) {
        Some(number) => *number += 1,
        None => {
            table.insert(key.to_owned(), 1);
        }
    }
}

/// The method's name, bounded: whatever strangers invent is `other`.
pub(super) fn label(method: &Method) -> &str {
    match method {
        Method::Other(_) => "other",
        known => known.as_str(),
    }
}

/// Counts under `INVITE 200`; codes that no document knows under `INVITE 4xx`, so that no peer makes numbers by the hundred.
pub(super) fn count_response(table: &mut BTreeMap<String, u64>, method: &Method, status: u16) {
    let label = label(method);
    let mut key = String::with_capacity(label.len() + 6);
    key.push_str(label);
    key.push(' ');
    if status::is_known(status) {
        put_number(&mut key, status.into());
    } else {
        put_number(&mut key, u32::from(status / 100));
        key.push_str("xx");
    }
    count(table, &key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_make_numbers_by_inventing_codes() {
        let mut table = BTreeMap::new();
        (100..=699).for_each(|status| count_response(&mut table, &Method::Invite, status));
        assert!(table.len() < 100, "{} keys", table.len());
        assert_eq!(table.values().sum::<u64>(), 600, "each is counted");
        assert_eq!(
            (table["INVITE 486"], table.contains_key("INVITE 487"), table.contains_key("INVITE 499")),
            (1, true, false)
        );
        for class in 1..=6_u16 {
            let known = (class * 100..class * 100 + 100).filter(|status| status::is_known(*status)).count() as u64;
            assert_eq!(table[&format!("INVITE {class}xx")], 100 - known);
        }
    }
}
