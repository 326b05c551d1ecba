//! What is wrong with a request whoever it is for (RFC 3261 §8.2.1 to §8.2.3), before anybody looks at what it wants.

use super::Endpoint;
use super::api::Transport;
use super::header::{Method, Name};
use super::instance::REGISTERING;
use super::message::{Request, Response};
use super::uac::SUPPORTED;
use super::uri::Scheme;

impl Endpoint {
    /// What is wrong with a request whoever it is for (§8.2.1 to §8.2.3).
    pub(super) fn objection(&self, request: &Request, merged: bool) -> Option<Response> {
        let headers = &request.headers;
        let refuse = |status: u16, name: Name, value: String| {
            let mut response = Response::to_request(request, status, Some(&self.auth.stateless_tag(&value)));
            response.headers.push(name, value);
            Some(response)
        };
        if !self.understands(&request.method) {
            // §21.5.2: who does not even know the method is not capable of it for anybody.
            let status = if matches!(request.method, Method::Other(_)) { 501 } else { 405 };
            return refuse(status, Name::Allow, self.allow());
        }
        let registering: &[&str] = if request.method == Method::Register { &REGISTERING } else { &[] };
        let known = || SUPPORTED.iter().chain(registering);
        let is_known = |tag: &str| known().any(|known| known.eq_ignore_ascii_case(tag));
        let unknown: Vec<&str> = headers.all(&Name::Require).filter(|tag| !is_known(tag)).collect();
        if !unknown.is_empty() {
            return refuse(420, Name::Unsupported, unknown.join(", "));
        }
        if request.method != Method::Invite && headers.has(&Name::Replaces) {
            return Some(self.plain(request, 400)); // RFC 3891 §3
        }
        if headers.all(&Name::ContentEncoding).any(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return refuse(415, Name::AcceptEncoding, "identity".to_owned());
        }
        if negotiates(request) && !request.body.is_empty() && !is_sdp(request) {
            return refuse(415, Name::Accept, "application/sdp".to_owned());
        }
        if request.method == Method::Invite && !takes_sdp(request) {
            return refuse(406, Name::Accept, "application/sdp".to_owned()); // §21.4.7, RFC 4475 §3.3.15
        }
        if let Some(min) = self.too_short(request) {
            return refuse(422, Name::MinSe, min.to_string()); // RFC 4028 §9
        }
        if headers.to_tag().is_some() {
            return None;
        }
        match &request.uri.scheme {
            Scheme::Sip | Scheme::Tel => {}
            Scheme::Sips if self.config.listeners.iter().any(|listener| listener.transport == Transport::Tls) => {}
            Scheme::Sips | Scheme::Other(_) => return Some(self.plain(request, 416)),
        }
        if merged {
            return Some(self.plain(request, 482)); // §8.2.2.2
        }
        // RFC 4475 §3.3.11: for us a Max-Forwards of 0 is as good as any, but what is not for us ends here.
        let knows_addresses = !self.config.listeners.iter().any(|listener| listener.bind.ip().is_unspecified());
        let is_spent = headers.max_forwards() == Ok(Some(0)) && request.uri.scheme == Scheme::Sip;
        (is_spent && knows_addresses && !self.is_ours(&request.uri.host)).then(|| self.plain(request, 483))
    }

    /// No Info Package is taken (RFC 6086 §4.2.2); of the bodies without one those that are keys. A phone that tries another
    /// kind first goes on to one of these.
    pub(super) fn objection_to_info(&self, request: &Request) -> Option<Response> {
        let refuse = |status, name, value: &str| {
            let mut response = self.plain(request, status);
            response.headers.push(name, value);
            Some(response)
        };
        let kind = request.headers.content_type().unwrap_or_default();
        match request.headers.has(&Name::from("Info-Package")) {
            true => refuse(469, Name::from("Recv-Info"), ""),
            false if kind.is_empty() || KEYS.contains(&kind.as_str()) => None,
            false => refuse(415, Name::Accept, &KEYS.join(", ")),
        }
    }

    pub(super) fn plain(&self, request: &Request, status: u16) -> Response {
        let call_id = request.headers.call_id().unwrap_or_default();
        Response::to_request(request, status, Some(&self.auth.stateless_tag(call_id)))
    }

    fn understands(&self, method: &Method) -> bool {
        use Method::*;
        matches!(method, Invite | Ack | Cancel | Bye | Options | Info | Update | Prack | Refer)
            || (*method == Register && !self.config.users.is_empty())
    }
}

/// Bodies of INFO that press keys (`media::key_of_info`).
const KEYS: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];

/// RFC 3261 §20.11: a body of an unknown type that need not be understood counts as none.
pub(super) fn ignore_optional_body(request: &mut Request) {
    let disposition = request.headers.get(&Name::ContentDisposition).unwrap_or_default();
    let is_optional = disposition.split(';').any(|part| part.trim().eq_ignore_ascii_case("handling=optional"));
    let is_foreign = match request.method {
        Method::Info => !request.headers.content_type().is_some_and(|kind| KEYS.contains(&kind.as_str())),
        _ => negotiates(request) && !is_sdp(request),
    };
    if is_optional && is_foreign {
        request.headers.remove(&Name::ContentType);
        request.headers.remove(&Name::ContentEncoding);
        request.body = Vec::new();
    }
}

/// Whether a body would be an offer.
fn negotiates(request: &Request) -> bool {
    matches!(request.method, Method::Invite | Method::Update | Method::Prack)
}

/// Whether the caller could read our description: without an Accept he can (§20.1).
fn takes_sdp(request: &Request) -> bool {
    let kind = |range: &str| range.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let mut ranges = request.headers.all(&Name::Accept).map(kind).peekable();
    ranges.peek().is_none() || ranges.any(|range| matches!(range.as_str(), "application/sdp" | "application/*" | "*/*"))
}

fn is_sdp(request: &Request) -> bool {
    request.headers.content_type().as_deref() == Some("application/sdp")
}
