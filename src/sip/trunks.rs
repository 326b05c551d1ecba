//! Calls of trunks: known by where they come from, by the registration that they come through, or proven by Digest.

use super::Endpoint;
use super::api::{Account, Flow, Secret, Source};
use super::message::Request;
use super::transaction::Purpose;
use crate::ids::TrunkId;

/// Realms that are remembered of one carrier; of more, the oldest is forgotten.
const MAX_REALMS: usize = 8;

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
        Some(Account { user, secret: Secret::Held(trunk.to_string()), realms: Vec::new() })
    }

    /// Whether a challenge is answered for an account that the shell holds. What begins something goes to the carrier, who
    /// says in which realm he knows us (RFC 3261 §22.1). Within a call the other party may ask as well, for a proof that he
    /// could use or guess the password by: there only a realm counts that the carrier has named before.
    pub(super) fn proves_in(&mut self, held: &str, purpose: Purpose, realm: &str) -> bool {
        if let Some(only) = self.config.trunk_realms.get(&TrunkId::new(held)) {
            return only == realm;
        }
        let known = self.realms.entry(held.to_owned()).or_default();
        let begins = matches!(purpose, Purpose::Register(_) | Purpose::Call(_));
        if begins && !known.iter().any(|known| known == realm) {
            known.push(realm.to_owned());
            let too_many = known.len().saturating_sub(MAX_REALMS);
            known.drain(..too_many);
        }
        known.iter().any(|known| known == realm)
    }

    /// The account of a dialog as it is written down: with the realms that its carrier has named.
    pub(super) fn account_kept(&self, account: Option<&Account>) -> Option<Account> {
        let account = account.filter(|account| matches!(account.secret, Secret::Held(_)))?;
        let Secret::Held(held) = &account.secret else { return None };
        Some(Account { realms: self.realms.get(held).cloned().unwrap_or_default(), ..account.clone() })
    }

    /// A dialog of an earlier start knows what that had learned.
    pub(super) fn learn_realms(&mut self, account: Option<&Account>) {
        if let Some(Account { secret: Secret::Held(held), realms, .. }) = account {
            let known = self.realms.entry(held.clone()).or_default();
            let new: Vec<String> = realms.iter().filter(|realm| !known.contains(realm)).cloned().collect();
            known.extend(new.into_iter().take(MAX_REALMS.saturating_sub(known.len())));
        }
    }

    /// Whether an INVITE says in From that it comes from somebody here, where trunks prove themselves by Digest: known
    /// or not, he is asked for it. Callers' numbers and names elsewhere are of strangers, whatever they are.
    pub(super) fn must_prove_name(&self, request: &Request) -> bool {
        let here = || request.headers.from().is_ok_and(|from| self.is_ours(&from.uri.host));
        !self.config.trunk_users.is_empty() && here()
    }
}
