//! Calls of trunks: known by where they come from, by the registration that they come through, or proven by Digest.

use super::Endpoint;
use super::api::Flow;
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

    /// Whether an INVITE claims to come from a trunk's user, in From or Contact: callers' numbers stand in From
    /// otherwise.
    pub(super) fn claims_trunk(&self, request: &Request) -> bool {
        let from = request.headers.from().ok().map(|from| from.uri.user_decoded());
        let contact = request.headers.contact().ok().flatten().map(|contact| contact.uri.user_decoded());
        [from, contact].into_iter().flatten().any(|user| self.config.trunk_users.contains_key(&user))
    }
}
