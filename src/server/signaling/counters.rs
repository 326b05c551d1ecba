//! What connections and look-ups of names have met since start, for metrics.

use super::connection::Ended;
use crate::sip::Transport;
use crate::stats::families as f;
use crate::stats::{Family, Sample};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who began a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Theirs,
    Ours,
}

#[derive(Default)]
pub struct Counters(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    accepted: BTreeMap<Transport, u64>,
    opened: BTreeMap<Transport, u64>,
    refused: BTreeMap<&'static str, u64>,
    ended: BTreeMap<Ended, u64>,
    handshakes: BTreeMap<Side, u64>,
    names: u64,
    reloads: BTreeMap<bool, u64>,
}

impl Counters {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn accepted(&self, transport: Transport) {
        *self.counts().accepted.entry(transport).or_default() += 1;
    }

    pub fn opened(&self, transport: Transport) {
        *self.counts().opened.entry(transport).or_default() += 1;
    }

    /// `why`: `total` or `address`, the limit that was reached.
    pub fn refused(&self, why: &'static str) {
        *self.counts().refused.entry(why).or_default() += 1;
    }

    pub fn ended(&self, why: Ended) {
        *self.counts().ended.entry(why).or_default() += 1;
    }

    pub fn handshake_failed(&self, side: Side) {
        *self.counts().handshakes.entry(side).or_default() += 1;
    }

    /// A name led nowhere.
    pub fn name_failed(&self) {
        self.counts().names += 1;
    }

    pub fn reloaded(&self, ok: bool) {
        *self.counts().reloads.entry(ok).or_default() += 1;
    }

    pub fn samples(&self) -> Vec<Sample> {
        let counts = self.counts();
        let transports = |family: &'static Family, table: &BTreeMap<Transport, u64>| {
            let of = |transport: Transport| table.get(&transport).copied().unwrap_or_default();
            [Transport::Tcp, Transport::Tls]
                .map(|transport| family.count([&transport.as_str().to_ascii_lowercase()], of(transport)))
        };
        let mut samples = transports(&f::SIP_ACCEPTED, &counts.accepted).to_vec();
        samples.extend(transports(&f::SIP_OPENED, &counts.opened));
        samples.extend(["total", "address"].map(|limit| {
            f::SIP_CONNECTIONS_REFUSED.count([limit], counts.refused.get(limit).copied().unwrap_or_default())
        }));
        samples.extend(counts.ended.iter().map(|(why, n)| f::SIP_CONNECTIONS_ENDED.count([why.name()], *n)));
        samples.extend([(Side::Theirs, "accepting"), (Side::Ours, "connecting")].map(|(side, name)| {
            f::SIP_HANDSHAKES.count([name], counts.handshakes.get(&side).copied().unwrap_or_default())
        }));
        samples.extend(
            [(true, "used"), (false, "refused")]
                .map(|(ok, name)| f::SIP_RELOADS.count([name], counts.reloads.get(&ok).copied().unwrap_or_default())),
        );
        samples.push(f::SIP_NAMES.count([], counts.names));
        samples
    }
}
