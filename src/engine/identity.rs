//! Who a caller is, as far as he may be believed, and who is told what of him (RFC 3323, RFC 3325).
//!
//! | from | number | shown to agents |
//! |---|---|---|
//! | a stranger | From | From, without what belongs to his own dialog; at the address he calls from where From names our host |
//! | an agent | From | the same, with the name that he has proven where From names our host |
//! | a trunk | the first P-Asserted-Identity that holds a number, else From; in the form of E.164 | the same; nothing if he asked for privacy |
//!
//! Where a call is passed on over a trunk, the trunk's `shows` says whose number is in From, and `asserted_identity`
//! whether P-Asserted-Identity repeats it; a caller who asked for privacy is anonymous in From.
//!
//! P-Asserted-Identity of others than trunks is not looked at. The log knows the number in any case, as personal data.

use crate::center::Trunk;
use crate::ids::TrunkId;
use crate::sip::header::{NameAddr, Params};
use crate::sip::uri::{Host, Scheme, Uri};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Max-Forwards of a request that lacks it (RFC 3261 §16.6 step 3).
const HOPS: u8 = 70;

/// Where a call came from, as far as passing it on needs that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub trunk: Option<TrunkId>,
    /// The caller's number in the form of E.164, vouched for by a trunk.
    pub number: Option<String>,
    /// He does not want his number to be shown.
    pub private: bool,
    /// How often the call may still be passed on.
    pub hops: u8,
}

/// A caller as he is told of.
pub(super) struct Caller {
    /// For the log.
    pub told: String,
    /// For agents' phones.
    pub shown: NameAddr,
    pub origin: Origin,
}

impl Caller {
    pub fn new(from: NameAddr, headers: &[(String, String)], trunk: Option<&Trunk>) -> Caller {
        let hops = values(headers, "Max-Forwards").find_map(|value| value.trim().parse().ok()).unwrap_or(HOPS);
        let Some(trunk) = trunk else {
            let origin = Origin { trunk: None, number: None, private: false, hops };
            return Caller { told: from.uri.to_string(), shown: shown(from), origin };
        };
        let who = asserted(headers, trunk).unwrap_or_else(|| from.clone());
        let read = trunk.numbers.read(&who.uri.user_decoded());
        let is_number = read.strip_prefix('+').unwrap_or(&read).bytes().all(|b| b.is_ascii_digit()) && !read.is_empty();
        let private = asks_for_privacy(headers) || is_anonymous(&from.uri);
        // A tel URI has no host: the trunk's stands in for it, as in From.
        let host = if who.uri.scheme == Scheme::Tel { from.uri.host.clone() } else { who.uri.host.clone() };
        let uri = if is_number { Uri::sip(&read, host, None) } else { who.uri.clone() };
        let known = NameAddr { uri, params: Params::default(), ..who };
        Caller {
            told: known.uri.to_string(),
            shown: if private { anonymous() } else { shown(known) },
            origin: Origin { trunk: Some(trunk.id.clone()), number: is_number.then_some(read), private, hops },
        }
    }

    /// He has proven to be this user, and gives our host as his.
    pub fn is_user(&mut self, user: &str) {
        let host = self.shown.uri.host.clone();
        self.shown.uri = Uri::sip(user, host, None);
    }

    /// He gives our host as his and has proven nothing: he is shown at the address that he calls from, so that nobody
    /// looks like a colleague without a password.
    pub fn is_none_of_ours(&mut self, from: IpAddr) {
        let uri = &mut self.shown.uri;
        if uri.host.ip() != Some(from) {
            (uri.host, uri.port) = (from.into(), None);
        }
    }
}

/// The number that a trunk's call is for. One that registers is called by its user: the number stands in To then.
pub(super) fn called(trunk: &Trunk, uri: &Uri, headers: &[(String, String)]) -> String {
    let user = uri.user_decoded();
    let to = values(headers, "To").find_map(NameAddr::parse);
    match to {
        Some(to) if trunk.user.as_ref() == Some(&user) => to.uri.user_decoded(),
        _ => user,
    }
}

/// From, and the fields beside it, of a call that is passed on over a trunk.
pub(super) fn outgoing(trunk: &Trunk, origin: &Origin) -> (NameAddr, Vec<(String, String)>) {
    let host = trunk.server.as_ref().and_then(|server| Host::parse(&server.host));
    let host = host.unwrap_or_else(|| Host::Name("anonymous.invalid".to_owned()));
    let at = |number: &str| NameAddr::new(Uri::sip(&trunk.numbers.write(number), host.clone(), None));
    let own = trunk.identity.number.as_deref().or(trunk.user.as_deref()).map(at);
    let callers = origin.number.as_deref().filter(|_| trunk.identity.shows_caller).map(at);
    let hidden = origin.private && callers.is_some();
    let known = callers.or(own);
    let mut headers = Vec::new();
    if let Some(known) = known.as_ref().filter(|_| trunk.identity.asserts) {
        headers.push(("P-Asserted-Identity".to_owned(), known.text()));
    }
    if hidden {
        headers.push(("Privacy".to_owned(), "id".to_owned()));
    }
    (known.filter(|_| !hidden).unwrap_or_else(anonymous), headers)
}

/// RFC 3325 §9.1: one or two values, a SIP and a tel URI.
fn asserted(headers: &[(String, String)], trunk: &Trunk) -> Option<NameAddr> {
    let all: Vec<NameAddr> =
        values(headers, "P-Asserted-Identity").flat_map(crate::sip::header::list).filter_map(NameAddr::parse).collect();
    let has_number = |who: &&NameAddr| trunk.numbers.read(&who.uri.user_decoded()).starts_with('+');
    all.iter().find(has_number).or(all.first()).cloned()
}

/// RFC 3323 §4.2, RFC 3325 §9.3: `id` hides the asserted identity, `user` what the user says of himself.
fn asks_for_privacy(headers: &[(String, String)]) -> bool {
    let words = values(headers, "Privacy").flat_map(|field| field.split(';'));
    words.map(str::trim).any(|word| ["id", "user"].iter().any(|hides| word.eq_ignore_ascii_case(hides)))
}

/// RFC 3323 §4.1.1.3.
fn is_anonymous(uri: &Uri) -> bool {
    uri.user_decoded().eq_ignore_ascii_case("anonymous") || uri.host.to_string() == "anonymous.invalid"
}

pub(super) fn anonymous() -> NameAddr {
    let host = Host::parse("anonymous.invalid").expect("a host name");
    NameAddr { display: Some("Anonymous".to_owned()), ..NameAddr::new(Uri::sip("anonymous", host, None)) }
}

/// What an agent's phone shows of a caller: his address as he gave it, without what belongs to his own dialog. His
/// host stays his: a stranger must not look like a colleague.
fn shown(from: NameAddr) -> NameAddr {
    let mut shown = NameAddr::new(Uri { params: Params::default(), headers: String::new(), ..from.uri });
    shown.display = from.display;
    shown
}

fn values<'h>(headers: &'h [(String, String)], name: &'h str) -> impl Iterator<Item = &'h str> {
    headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
