//! Counters of an endpoint since its start. Not events: hostile packets never grow a log.

use super::header::Method;
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
    /// Wrong passwords and unknown users.
    pub auth_failures: u64,
    /// Nonces that were too old or used before.
    pub stale_nonces: u64,
    /// Requests refused because the endpoint was full or draining.
    pub overloads: u64,
    pub bindings: u64,
    pub legs: u64,
    pub transactions: u64,
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

/// Counts under `INVITE 200`.
pub(super) fn count_response(table: &mut BTreeMap<String, u64>, method: &Method, status: u16) {
    let label = label(method);
    let mut key = String::with_capacity(label.len() + 6);
    key.push_str(label);
    key.push(' ');
    put_number(&mut key, status.into());
    count(table, &key);
}
