//! A dialog as plain data, and the requests within it (RFC 3261 §12).
//!
//! Left out: what is being negotiated inside the dialog (`leg` and `turn` know), and dialogs of SUBSCRIBE.

use super::api::{Account, Flow};
use super::header::{CSeq, Method, Name, NameAddr};
use super::message::{Request, Response};
use super::uri::Uri;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One confirmed or early dialog: what RFC 3261 §12 calls the dialog state, and the path to the peer.
/// Small (well below 3 KB), complete, and enough to end the call after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogRecord {
    pub call_id: String,
    /// Our From or To as it stands in requests, tag included.
    pub local: String,
    pub local_tag: String,
    /// The peer's From or To, tag included.
    pub remote: String,
    /// Empty for peers of RFC 2543.
    pub remote_tag: String,
    /// The peer's Contact.
    pub target: Uri,
    /// The route set in the order of Route, as written.
    pub routes: Vec<String>,
    /// Our Contact.
    pub contact: String,
    /// The number of our last request.
    pub local_cseq: u32,
    /// The number of the peer's last request, if it made one.
    pub remote_cseq: Option<u32>,
    /// How the peer was reached, or reached us by what may move him, last.
    pub flow: Flow,
    /// The peer sits behind `flow` (a bound phone, a NAT): without a route set, requests go there and not to `target`.
    pub pinned: bool,
    /// Who answers challenges in the dialog, where the password is with the shell, after a restart too; one whose password
    /// is here is not written down.
    #[serde(default)]
    pub account: Option<Account>,
    /// Whose phone the peer is, by his proof or by the flow of its registration: it alone may name itself by a GRUU of ours,
    /// which is taken as any other address from others.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the listener of `flow` was bound, for a start with others.
    #[serde(default)]
    pub bound: Option<SocketAddr>,
}

impl DialogRecord {
    /// The dialog that our 2xx to `invite` makes (§12.1.1). `from` is where the INVITE came from.
    pub(super) fn of_request(invite: &Request, tag: &str, contact: String, from: Flow) -> DialogRecord {
        let headers = &invite.headers;
        let mut local = headers.to().ok();
        local.iter_mut().for_each(|to| to.set_tag(tag));
        let target = headers.contact().ok().flatten();
        DialogRecord {
            call_id: headers.call_id().unwrap_or_default().to_owned(),
            local: local.map(|to| to.text()).unwrap_or_default(),
            local_tag: tag.to_owned(),
            remote: headers.get(&Name::From).unwrap_or_default().to_owned(),
            remote_tag: headers.from_tag().unwrap_or_default().to_owned(),
            pinned: target.is_none() || is_behind_nat(invite),
            target: target.or_else(|| headers.from().ok()).map_or_else(|| invite.uri.clone(), |a| a.uri),
            routes: headers.all(&Name::RecordRoute).map(str::to_owned).collect(),
            contact,
            // §12.1.1 leaves it open; a number of ours so that the first request is 1.
            local_cseq: 0,
            remote_cseq: headers.cseq().ok().map(|cseq| cseq.number),
            flow: from,
            account: None,
            user: None,
            bound: None,
        }
    }

    /// The dialog that a response to our INVITE makes (§12.1.2). `flow` is where the INVITE went.
    pub(super) fn of_response(response: &Response, contact: String, flow: Flow, pinned: bool) -> DialogRecord {
        let headers = &response.headers;
        let target = headers.contact().ok().flatten().or_else(|| headers.to().ok());
        let mut routes: Vec<String> = headers.all(&Name::RecordRoute).map(str::to_owned).collect();
        routes.reverse();
        DialogRecord {
            call_id: headers.call_id().unwrap_or_default().to_owned(),
            local: headers.get(&Name::From).unwrap_or_default().to_owned(),
            local_tag: headers.from_tag().unwrap_or_default().to_owned(),
            remote: headers.get(&Name::To).unwrap_or_default().to_owned(),
            remote_tag: headers.to_tag().unwrap_or_default().to_owned(),
            target: target.map_or_else(|| Uri::sip("", flow.remote.ip().into(), Some(flow.remote.port())), |a| a.uri),
            routes,
            contact,
            local_cseq: headers.cseq().map(|cseq| cseq.number).unwrap_or_default(),
            remote_cseq: None,
            flow,
            pinned,
            account: None,
            user: None,
            bound: None,
        }
    }

    /// Whether a message with this Call-ID and remote tag belongs here (the local tag was looked up).
    pub(super) fn is_of(&self, call_id: &str, remote_tag: &str) -> bool {
        self.call_id == call_id && self.remote_tag == remote_tag
    }

    /// The next request in this dialog (§12.2.1.1); counts the CSeq up. Not for ACK.
    pub(super) fn request(&mut self, method: Method) -> Request {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq)
    }

    /// A request with a given CSeq number: the ACK has its INVITE's.
    pub(super) fn numbered(&self, method: Method, number: u32) -> Request {
        let (uri, routes) = self.route();
        let mut request = Request::new(method.clone(), uri);
        let headers = &mut request.headers;
        routes.into_iter().for_each(|route| headers.push(Name::Route, route));
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, self.local.as_str());
        headers.push(Name::To, self.remote.as_str());
        headers.push(Name::CallId, self.call_id.as_str());
        headers.push(Name::CSeq, CSeq { number, method: method.clone() }.text());
        if matches!(method, Method::Invite | Method::Update | Method::Notify) {
            headers.push(Name::Contact, self.contact.as_str());
        }
        request
    }

    /// Request URI and Route fields. A first route without `lr` is a strict router (§12.2.1.1).
    fn route(&self) -> (Uri, Vec<String>) {
        match self.first_route().filter(|first| !first.params.has("lr")) {
            None => (self.target.clone(), self.routes.clone()),
            Some(strict) => {
                let mut routes = self.routes[1..].to_vec();
                routes.push(NameAddr::new(self.target.clone()).text());
                (strict, routes)
            }
        }
    }

    fn first_route(&self) -> Option<Uri> {
        Some(NameAddr::parse(self.routes.first()?)?.uri)
    }

    /// Where requests go: to the first route, else to the target; `None` is `flow` itself.
    pub(super) fn next_hop(&self) -> Option<Uri> {
        match self.first_route() {
            Some(route) => Some(route),
            None if self.pinned => None,
            None => Some(self.target.clone()),
        }
    }

    /// re-INVITE and UPDATE may move the peer's Contact (§12.2), and where they come from is where he is now: whoever is behind
    /// a NAT, or has changed his network, has no other address. Whether anything of it is new.
    pub(super) fn follow(&mut self, request: &Request, from: Flow) -> bool {
        let before = (self.pinned, self.flow);
        let moved = self.refresh_target(request.headers.contact().ok().flatten());
        self.pinned |= is_behind_nat(request);
        self.flow = from;
        moved || before != (self.pinned, self.flow)
    }

    /// The 2xx to ours may move his Contact too.
    pub(super) fn refresh_target(&mut self, contact: Option<NameAddr>) -> bool {
        let Some(contact) = contact.filter(|contact| contact.uri != self.target) else { return false };
        self.target = contact.uri;
        true
    }
}

/// Whether the sender itself sits behind a NAT: its only Via was not what we saw (RFC 3581 §4 filled it in).
fn is_behind_nat(request: &Request) -> bool {
    let Ok(vias) = request.headers.vias() else { return false };
    let [via] = vias.as_slice() else { return false };
    let moved = via.received().is_some_and(|ip| via.host.ip() != Some(ip));
    moved || via.rport().flatten().is_some_and(|port| port != via.port.unwrap_or(5060))
}
