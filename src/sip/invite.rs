//! An INVITE of ours as it is written down, and taken back by a later start.
//!
//! A phone rings as long as nobody tells it otherwise; after a kill -9 the next start must be able to (RFC 3261 §9.1: the
//! CANCEL has the branch, the tag and the number of its INVITE). It also knows then what a late answer belongs to.
//!
//! A phone that was reached over a connection, which ended with the earlier start, is looked for at its Contact if that is
//! where it was; one behind a NAT is told when it registers anew ([`super::owed`]).

use super::Endpoint;
use super::api::{Account, Event, Flow};
use super::frame::Limits;
use super::header::Name;
use super::leg::{Calling, Leg};
use super::message::{Message, Request};
use super::transaction::{ClientKey, Errand, Purpose};
use crate::ids::LegId;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a restart must know of an INVITE that has no final response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRecord {
    pub flow: Flow,
    /// Where the flow's listener was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<SocketAddr>,
    /// The request as it was sent, without its body and proofs.
    pub head: String,
    /// See `DialogRecord::pinned`.
    #[serde(default)]
    pub pinned: bool,
    /// What challenges of the BYE are answered with, should it have been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// Whose phone it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl InviteRecord {
    fn request(&self) -> Option<Request> {
        match Message::parse(self.head.as_bytes(), &Limits::default()) {
            Ok(Message::Request(request)) => Some(request),
            _ => None,
        }
    }
}

impl Endpoint {
    /// The INVITE of `leg` has gone out in this transaction.
    pub(super) fn tell_calling(&mut self, leg: LegId, key: ClientKey) {
        let Some((flow, errand)) = self.transactions.errand(key).filter(|_| self.is_current(leg, key)) else { return };
        let Some(sent) = self.transactions.sent(key) else { return };
        let mut head = Request { body: Vec::new(), ..sent.clone() };
        // A CANCEL bears no proof of who calls, and what is written down must not either.
        head.headers.retain(|name, _| !matches!(name, Name::Authorization | Name::ProxyAuthorization));
        let invite = InviteRecord {
            flow,
            bound: self.config.bound(flow),
            head: String::from_utf8_lossy(&head.to_bytes()).into_owned(),
            pinned: errand.pinned,
            account: self.account_kept(errand.account.as_deref()),
            user: errand.user.clone(),
        };
        self.tell(Event::Calling { leg, invite });
    }

    /// `Command::RestoreInvite`. What cannot be read was not written by us, and there is nothing to take back.
    pub(super) fn restore_invite(&mut self, leg: LegId, invite: InviteRecord) {
        let Some(request) = invite.request() else { return };
        let Some(local_tag) = request.headers.from_tag().map(str::to_owned) else { return };
        let mut flow = self.config.flow_now(invite.flow, invite.bound).unwrap_or(invite.flow);
        flow.connection = 0; // Those of the earlier start are gone.
        flow = self.way_anew(&request, flow).unwrap_or(flow);
        let account = invite.account.map(Box::new);
        self.learn_realms(account.as_deref());
        let errand = Errand { account, pinned: invite.pinned, user: invite.user, ..Errand::new(Purpose::Call(leg)) };
        let Some(key) = self.transactions.restore_invite(flow, request, errand) else { return };
        self.by_tag.insert(local_tag.clone(), leg);
        self.legs.insert(leg, Leg::Calling(Box::new(Calling::new(local_tag, Some(key), None))));
    }

    /// Where a phone takes connections that had made one itself: at its proxy, or at its Contact if it is no NAT's.
    fn way_anew(&self, request: &Request, flow: Flow) -> Option<Flow> {
        let route = request.headers.routes().ok().and_then(|routes| Some(routes.first()?.uri.clone()));
        let (is_direct, uri) = (route.is_none(), route.unwrap_or_else(|| request.uri.clone()));
        let way = self.locate(&uri, Some(flow)).filter(|_| flow.transport.is_reliable())?;
        (!is_direct || way.remote.ip() == flow.remote.ip()).then_some(way)
    }
}
