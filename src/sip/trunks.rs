//! Calls of trunks: known by where they come from, by the registration that they come through, or proven by Digest.

use super::Endpoint;
use super::api::{Account, Flow, Secret, Source};
use super::message::Request;
use crate::ids::TrunkId;

impl Endpoint {
    /// The trunk that calls over this flow are of. The most exact address counts.
    pub(super) fn trunk_at(&self, flow: Flow) -> Option<TrunkId> {
        let peers = self.config.trunk_peers.iter().filter(|(_, peer)| peer.is(flow.remote));
        let known = peers.max_by_key(|(_, peer)| (peer.port.is_some(), peer.prefix));
        let known = known.map(|(trunk, _)| trunk.clone());
        // A phone's own registration has no name, and it knows no trunks.
        known.or_else(|| self.registrations.over(flow).filter(|name| !name.is_empty()).map(TrunkId::new))
    }

    /// Who answers challenges in a call from there (RFC 3261 §22.2: either side of a dialog may be asked).
    pub(super) fn account_with(&self, source: &Source) -> Option<Account> {
        let Source::Trunk(trunk) = source else { return None };
        let user = self.config.trunk_accounts.get(trunk)?.clone();
        Some(Account { user, secret: Secret::Held(trunk.to_string()) })
    }

    /// Whether an INVITE says in From that it comes from somebody here, where trunks prove themselves by Digest: known
    /// or not, he is asked for it. Callers' numbers and names elsewhere are of strangers, whatever they are.
    pub(super) fn must_prove_name(&self, request: &Request) -> bool {
        let here = || request.headers.from().is_ok_and(|from| self.is_ours(&from.uri.host));
        !self.config.trunk_users.is_empty() && here()
    }
}
