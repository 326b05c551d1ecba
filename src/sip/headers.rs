//! The header fields of one message in their order, and their typed reading (RFC 3261 §7.3, §20).
//!
//! Fields keep their text; typed values are made when asked for. `Message::parse` has checked the fields that
//! every message has, so asking for them fails only on messages that we made ourselves.

use super::grammar::{Class, all_of, cut, find_param, parse_number, pieces};
use super::header::{CSeq, Name, NameAddr, Via};
use super::message::Misbehavior;
use serde::{Deserialize, Serialize};

/// The header fields of a message in their order, unfolded, lists as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub Vec<(Name, String)>);

/// `Contact` is a list of addresses, or `*` (only in REGISTER, RFC 3261 §10.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contacts {
    Star,
    List(Vec<NameAddr>),
}

/// Fields of most messages; more make the list grow.
const USUAL_FIELDS: usize = 16;

impl Headers {
    /// Empty, with room for the fields of most messages.
    pub(super) fn with_room() -> Headers {
        Headers(Vec::with_capacity(USUAL_FIELDS))
    }

    /// The first field of that name, as written.
    pub fn get(&self, name: &Name) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of that name; comma lists split where the grammar says so.
    pub fn all<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a str> {
        // No separator of a field that is no list: NUL is in no list either.
        let separator = if name.is_list() { b',' } else { 0 };
        self.fields(name).flat_map(move |field| pieces(field, separator))
    }

    fn fields<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &Name) -> bool {
        self.get(name).is_some()
    }

    /// Whether a list field (`Require`, `Supported`, `Allow` …) holds this token, without case.
    pub fn lists(&self, name: &Name, token: &str) -> bool {
        self.all(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: Name, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// Adds a field before all others.
    pub fn push_front(&mut self, name: Name, value: impl Into<String>) {
        self.0.insert(0, (name, value.into()));
    }

    /// Replaces all fields of that name by one, at the place of the first (or the end).
    pub fn set(&mut self, name: Name, value: impl Into<String>) {
        let Some(first) = self.0.iter().position(|(n, _)| *n == name) else {
            return self.push(name, value);
        };
        self.0[first].1 = value.into();
        let mut index = 0;
        self.0.retain(|(n, _)| {
            index += 1;
            index <= first + 1 || *n != name
        });
    }

    pub fn remove(&mut self, name: &Name) {
        self.0.retain(|(n, _)| n != name);
    }

    /// The hop that sent this message to us.
    pub fn top_via(&self) -> Result<Via, Misbehavior> {
        let field = self.get(&Name::Via).ok_or(Misbehavior::ViaMissing)?;
        let (first, _) = cut(field, b',').ok_or(Misbehavior::Via)?;
        Via::parse(first).ok_or(Misbehavior::Via)
    }

    /// Rewrites the topmost Via only.
    pub fn set_top_via(&mut self, via: &Via) {
        self.replace_top_via(Some(via.text()));
    }

    /// Removes the topmost Via only.
    pub fn remove_top_via(&mut self) {
        self.replace_top_via(None);
    }

    fn replace_top_via(&mut self, via: Option<String>) {
        let Some(at) = self.0.iter().position(|(name, _)| *name == Name::Via) else { return };
        let rest = cut(&self.0[at].1, b',').and_then(|(_, rest)| rest);
        match (via, rest) {
            (Some(via), Some(rest)) => self.0[at].1 = format!("{via}, {rest}"),
            (Some(via), None) => self.0[at].1 = via,
            (None, Some(rest)) => self.0[at].1 = rest.to_owned(),
            (None, None) => drop(self.0.remove(at)),
        }
    }

    /// Whether the topmost Via can be read; like the other checks it copies nothing.
    pub(super) fn check_top_via(&self) -> Result<(), Misbehavior> {
        let field = self.get(&Name::Via).ok_or(Misbehavior::ViaMissing)?;
        let (first, _) = cut(field, b',').ok_or(Misbehavior::Via)?;
        Via::is_legal(first).then_some(()).ok_or(Misbehavior::Via)
    }

    /// All hops, ours or the last one first.
    pub fn vias(&self) -> Result<Vec<Via>, Misbehavior> {
        self.all(&Name::Via).map(|value| Via::parse(value).ok_or(Misbehavior::Via)).collect()
    }

    pub fn from(&self) -> Result<NameAddr, Misbehavior> {
        NameAddr::parse(self.get(&Name::From).ok_or(Misbehavior::FromMissing)?).ok_or(Misbehavior::From)
    }

    pub fn to(&self) -> Result<NameAddr, Misbehavior> {
        NameAddr::parse(self.get(&Name::To).ok_or(Misbehavior::ToMissing)?).ok_or(Misbehavior::To)
    }

    /// Whether From and To can be read.
    pub(super) fn check_parties(&self) -> Result<(), Misbehavior> {
        let from = self.get(&Name::From).ok_or(Misbehavior::FromMissing)?;
        NameAddr::is_legal(from).then_some(()).ok_or(Misbehavior::From)?;
        let to = self.get(&Name::To).ok_or(Misbehavior::ToMissing)?;
        NameAddr::is_legal(to).then_some(()).ok_or(Misbehavior::To)
    }

    /// The tag alone, without building the address.
    pub fn from_tag(&self) -> Option<&str> {
        find_param(self.get(&Name::From)?, "tag").filter(|tag| !tag.is_empty())
    }

    /// The tag alone, without building the address.
    pub fn to_tag(&self) -> Option<&str> {
        find_param(self.get(&Name::To)?, "tag").filter(|tag| !tag.is_empty())
    }

    pub fn call_id(&self) -> Result<&str, Misbehavior> {
        let value = self.get(&Name::CallId).ok_or(Misbehavior::CallIdMissing)?;
        let is_word = !value.is_empty() && all_of(value, Class::WORD);
        is_word.then_some(value).ok_or(Misbehavior::CallId)
    }

    pub fn cseq(&self) -> Result<CSeq, Misbehavior> {
        CSeq::parse(self.get(&Name::CSeq).ok_or(Misbehavior::CSeqMissing)?).ok_or(Misbehavior::CSeq)
    }

    pub fn max_forwards(&self) -> Result<Option<u8>, Misbehavior> {
        let Some(value) = self.get(&Name::MaxForwards) else { return Ok(None) };
        let hops = parse_number(value).and_then(|hops| u8::try_from(hops).ok());
        hops.map(Some).ok_or(Misbehavior::MaxForwards)
    }

    /// All contacts; an empty list if there is no such field.
    pub fn contacts(&self) -> Result<Contacts, Misbehavior> {
        let values: Vec<&str> = self.all(&Name::Contact).collect();
        match values.as_slice() {
            ["*"] => Ok(Contacts::Star),
            _ => Ok(Contacts::List(self.addresses(&Name::Contact, Misbehavior::Contact)?)),
        }
    }

    /// The first Contact, if there is one.
    pub fn contact(&self) -> Result<Option<NameAddr>, Misbehavior> {
        let first = self.all(&Name::Contact).next();
        first.map(|value| NameAddr::parse(value).ok_or(Misbehavior::Contact)).transpose()
    }

    pub fn routes(&self) -> Result<Vec<NameAddr>, Misbehavior> {
        self.addresses(&Name::Route, Misbehavior::Route)
    }

    pub fn record_routes(&self) -> Result<Vec<NameAddr>, Misbehavior> {
        self.addresses(&Name::RecordRoute, Misbehavior::RecordRoute)
    }

    /// Whether all Contacts, Routes and Record-Routes can be read.
    pub(super) fn check_addresses(&self) -> Result<(), Misbehavior> {
        let is_star = |text: &str| text == "*" && self.all(&Name::Contact).nth(1).is_none();
        let all_legal = |name: &Name| self.all(name).all(NameAddr::is_legal);
        if !self.all(&Name::Contact).all(|text| NameAddr::is_legal(text) || is_star(text)) {
            return Err(Misbehavior::Contact);
        }
        all_legal(&Name::Route).then_some(()).ok_or(Misbehavior::Route)?;
        all_legal(&Name::RecordRoute).then_some(()).ok_or(Misbehavior::RecordRoute)
    }

    fn addresses(&self, name: &Name, why: Misbehavior) -> Result<Vec<NameAddr>, Misbehavior> {
        self.all(name).map(|value| NameAddr::parse(value).ok_or(why)).collect()
    }

    /// Seconds of `Expires`; more than 2³² − 1 count as that, and what is no number as absent
    /// (RFC 4475 §3.1.2.4 leaves both to us).
    pub fn expires(&self) -> Option<u32> {
        self.get(&Name::Expires).and_then(parse_seconds)
    }

    /// Seconds of `Retry-After` (comment and parameters left out).
    pub fn retry_after(&self) -> Option<u32> {
        parse_seconds(self.get(&Name::RetryAfter)?.split([' ', '\t', ';', '(']).next()?)
    }

    /// `type/subtype` in lower case, without parameters.
    pub fn content_type(&self) -> Option<String> {
        let value = self.get(&Name::ContentType)?;
        let (kind, sub) = value.split(';').next()?.split_once('/')?;
        Some(format!("{}/{}", kind.trim_ascii(), sub.trim_ascii()).to_ascii_lowercase())
    }
}

/// `delta-seconds`; also the `expires` parameter of a Contact. Too many count as the most there can be.
pub fn parse_seconds(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        Headers(fields.iter().map(|(name, value)| (Name::from(*name), (*value).to_owned())).collect())
    }

    #[test]
    fn lists_are_split_where_the_grammar_says_so() {
        let headers = headers(&[
            ("Via", "SIP/2.0/UDP a;branch=1, SIP/2.0/TCP b"),
            ("Contact", "\"a, b\" <sip:a@b;x=1,2>, sip:c@d"),
            ("v", "SIP/2.0/TLS c"),
            ("Subject", "one, two"),
            ("Supported", "100rel,,timer , "),
        ]);
        let all = |name: &str| headers.all(&Name::from(name)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all("Via"), ["SIP/2.0/UDP a;branch=1", "SIP/2.0/TCP b", "SIP/2.0/TLS c"]);
        assert_eq!(all("m"), ["\"a, b\" <sip:a@b;x=1,2>", "sip:c@d"]);
        assert_eq!(all("Subject"), ["one, two"]);
        assert_eq!(all("k"), ["100rel", "timer"]);
        assert!(headers.lists(&Name::Supported, "TIMER") && !headers.lists(&Name::Supported, "time"));
        assert_eq!(headers.vias().unwrap().len(), 3);
    }

    #[test]
    fn only_the_top_via_is_rewritten() {
        let mut one = headers(&[("To", "x"), ("Via", "SIP/2.0/UDP a , SIP/2.0/TCP b;x"), ("Via", "SIP/2.0/TLS c")]);
        let mut via = one.top_via().unwrap();
        via.params.set("received", Some("1.2.3.4"));
        one.set_top_via(&via);
        assert_eq!(one.0[1].1, "SIP/2.0/UDP a;received=1.2.3.4, SIP/2.0/TCP b;x");
        for rest in [2, 1, 0, 0] {
            one.remove_top_via();
            assert_eq!(one.vias().unwrap().len(), rest);
        }
        assert_eq!(one.top_via(), Err(Misbehavior::ViaMissing));
    }

    #[test]
    fn setting_leaves_one_field_in_place() {
        let mut some = headers(&[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        some.set(Name::from("A"), "5");
        assert_eq!(some, headers(&[("a", "5"), ("b", "2"), ("c", "4")]));
        some.set(Name::from("d"), "6");
        some.remove(&Name::from("b"));
        some.push_front(Name::Via, "v");
        assert_eq!(some, headers(&[("Via", "v"), ("a", "5"), ("c", "4"), ("d", "6")]));
    }

    #[test]
    fn typed_fields_say_what_is_wrong() {
        use Misbehavior as M;
        let check = |field: (&str, &str)| {
            let one = headers(&[field]);
            let results = [
                one.top_via().err().filter(|e| *e != M::ViaMissing),
                one.from().err().filter(|e| *e != M::FromMissing),
                one.to().err().filter(|e| *e != M::ToMissing),
                one.call_id().err().filter(|e| *e != M::CallIdMissing),
                one.cseq().err().filter(|e| *e != M::CSeqMissing),
                one.max_forwards().err(),
                one.contacts().err(),
                one.routes().err(),
                one.record_routes().err(),
            ];
            results.into_iter().flatten().next()
        };
        let rows = [
            (("Via", "SIP/2.0/UDP a, nonsense"), None),
            (("Via", "nonsense"), Some(M::Via)),
            (("Via", "SIP/2.0/UDP \"a"), Some(M::Via)),
            (("From", "nobody"), Some(M::From)),
            (("To", "\"Mr. J. User <sip:j.user@example.com>"), Some(M::To)),
            (("Call-ID", "a b"), Some(M::CallId)),
            (("Call-ID", "word`~)(><:\\/\"][?}{@x"), None),
            (("CSeq", "INVITE"), Some(M::CSeq)),
            (("Max-Forwards", "0068"), None),
            (("Max-Forwards", "256"), Some(M::MaxForwards)),
            (("Max-Forwards", "-1"), Some(M::MaxForwards)),
            (("Contact", "*"), None),
            (("Contact", "*, sip:a@b"), Some(M::Contact)),
            (("Contact", "\"\" <> ;,\"Joe\" <sip:joe@example.org>;;,,;;"), Some(M::Contact)),
            (("Route", "sip:a b"), Some(M::Route)),
            (("Record-Route", "<sip:a;lr>, <sip:b"), Some(M::RecordRoute)),
        ];
        let checked = |field: (&str, &str)| {
            let one = headers(&[field]);
            let others = |why: &M| !matches!(why, M::ViaMissing | M::FromMissing | M::ToMissing);
            let from_and_to = headers(&[field, ("From", "sip:a@b"), ("To", "sip:a@b")]);
            let results =
                [one.check_top_via(), one.check_parties(), from_and_to.check_parties(), one.check_addresses()];
            results.into_iter().filter_map(Result::err).find(others)
        };
        for (field, expect) in rows {
            assert_eq!(check(field), expect, "{field:?}");
            let expect = expect.filter(|why| !matches!(why, M::CallId | M::CSeq | M::MaxForwards));
            assert_eq!(checked(field), expect, "{field:?}, checked only");
        }
    }

    #[test]
    fn numbers_and_types() {
        let expires = |text| headers(&[("Expires", text)]).expires();
        assert_eq!(
            [expires("60"), expires("99999999999999"), expires("soon"), expires("-1"), expires("")],
            [Some(60), Some(u32::MAX), None, None, None]
        );
        let retry = |text| headers(&[("Retry-After", text)]).retry_after();
        assert_eq!(
            [retry("120"), retry("18000;duration=3600"), retry("120 (in a meeting)"), retry("later")],
            [Some(120), Some(18_000), Some(120), None]
        );
        let kind = |text| headers(&[("c", text)]).content_type();
        assert_eq!(kind("Application / SDP ; charset=utf-8").as_deref(), Some("application/sdp"));
        assert_eq!(kind("sdp"), None);
        let tags =
            headers(&[("From", "\";tag=no\" <sip:a;tag=no@b;tag=no> ; x=1; tag = yes"), ("To", "sip:a@b;tag;tag=2")]);
        assert_eq!((tags.from_tag(), tags.to_tag()), (Some("yes"), None));
    }
}
