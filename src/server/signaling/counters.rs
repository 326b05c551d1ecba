//! What connections and look-ups of names have met since start, for metrics.

use super::connection::Ended;
use crate::sip::Transport;
use crate::stats::Sample;
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
        let transports = |name, help, table: &BTreeMap<Transport, u64>| {
            let one = |transport: Transport| {
                let label = ("transport", transport.as_str().to_ascii_lowercase());
                Sample::counter(name, help, &[label], table.get(&transport).copied().unwrap_or_default())
            };
            [Transport::Tcp, Transport::Tls].map(one)
        };
        let help = "Connections that came.";
        let mut samples = transports("tierline_sip_connections_accepted_total", help, &counts.accepted).to_vec();
        let help = "Connections that we made.";
        samples.extend(transports("tierline_sip_connections_opened_total", help, &counts.opened));
        let one = |name, help, key, value: &str, n: u64| Sample::counter(name, help, &[(key, value.to_owned())], n);
        samples.extend(["total", "address"].map(|why| {
            let help = "Connections that were refused, by the limit that was reached.";
            let n = counts.refused.get(why).copied().unwrap_or_default();
            one("tierline_sip_connections_refused_total", help, "limit", why, n)
        }));
        samples.extend(counts.ended.iter().map(|(why, n)| {
            let help = "Connections that ended, by reason.";
            one("tierline_sip_connections_ended_total", help, "reason", why.name(), *n)
        }));
        samples.extend([(Side::Theirs, "accepting"), (Side::Ours, "connecting")].map(|(side, name)| {
            let n = counts.handshakes.get(&side).copied().unwrap_or_default();
            one("tierline_sip_tls_handshakes_failed_total", "TLS handshakes that failed.", "side", name, n)
        }));
        samples.extend([(true, "used"), (false, "refused")].map(|(ok, name)| {
            let n = counts.reloads.get(&ok).copied().unwrap_or_default();
            one("tierline_sip_tls_reloads_total", "Certificates read again.", "outcome", name, n)
        }));
        let help = "Host names that led nowhere.";
        samples.push(Sample::counter("tierline_sip_names_failed_total", help, &[], counts.names));
        samples
    }
}
