//! The header fields of one message in their order, and their typed reading (RFC 3261 §7.3, §20).
//!
//! Fields keep their text; typed values are made when asked for. `Message::parse` has checked the fields that
//! every message has, so asking for them fails only on messages that we made ourselves.

use super::grammar::{Class, all_of, cut, find_param, parse_number, pieces};
use super::header::{CSeq, Name, NameAddr, Via};
use super::message::Misbehavior;
use super::text::has_line_end;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The header fields of a message in their order, unfolded, lists as written. Serialized as a list of names and values.
///
/// Their values stand in one text: a message is read, copied and dropped as two pieces of memory, however many
/// fields it has. What is replaced stays in the text as waste until there is more of it than of the rest.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Name, String)>", into = "Vec<(Name, String)>")]
pub struct Headers {
    text: String,
    fields: Vec<Field>,
    /// Bytes of `text` that belong to no field.
    waste: usize,
}

#[derive(Clone)]
struct Field {
    name: Name,
    /// Where its value begins and ends in the text.
    start: u32,
    end: u32,
}

impl Field {
    fn value<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start as usize..self.end as usize]
    }
}

/// `Contact` is a list of addresses, or `*` (only in REGISTER, RFC 3261 §10.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contacts {
    Star,
    List(Vec<NameAddr>),
}

/// Fields of most messages, and bytes of their values; more make them grow.
const USUAL_FIELDS: usize = 16;
const USUAL_BYTES: usize = 512;
/// Bytes of waste that are not worth a look.
const WASTE: usize = 4_096;

impl Headers {
    /// Empty, with room for the fields of most messages.
    pub(super) fn with_room() -> Headers {
        Headers::with_bytes(USUAL_BYTES)
    }

    /// Empty, with room for values of so many bytes.
    pub(super) fn with_bytes(bytes: usize) -> Headers {
        Headers { text: String::with_capacity(bytes), fields: Vec::with_capacity(USUAL_FIELDS), waste: 0 }
    }

    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.fields.iter().map(|field| (&field.name, field.value(&self.text)))
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        self.fields.len()
    }

    /// Whether no value says more than one line.
    pub(super) fn are_of_one_line(&self) -> bool {
        !has_line_end(self.text.as_bytes())
    }

    /// The first field of that name, as written.
    pub fn get(&self, name: &Name) -> Option<&str> {
        self.fields.iter().find(|field| field.name == *name).map(|field| field.value(&self.text))
    }

    /// All values of that name; comma lists split where the grammar says so.
    pub fn all<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a str> {
        // No separator of a field that is no list: NUL is in no list either.
        let separator = if name.is_list() { b',' } else { 0 };
        self.fields(name).flat_map(move |field| pieces(field, separator))
    }

    fn fields<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }

    pub fn has(&self, name: &Name) -> bool {
        self.get(name).is_some()
    }

    /// Whether a list field (`Require`, `Supported`, `Allow` …) holds this token, without case.
    pub fn lists(&self, name: &Name, token: &str) -> bool {
        self.all(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: Name, value: impl AsRef<str>) {
        let field = self.written(name, value.as_ref());
        self.fields.push(field);
    }

    /// Adds a field before all others.
    pub fn push_front(&mut self, name: Name, value: impl AsRef<str>) {
        let field = self.written(name, value.as_ref());
        self.fields.insert(0, field);
    }

    /// Replaces all fields of that name by one, at the place of the first (or the end).
    pub fn set(&mut self, name: Name, value: impl AsRef<str>) {
        let Some(first) = self.place_of(&name) else { return self.push(name, value) };
        self.replace(first, value.as_ref());
        let mut index = 0;
        self.retain(|n, _| {
            index += 1;
            index <= first + 1 || *n != name
        });
    }

    pub fn remove(&mut self, name: &Name) {
        self.retain(|n, _| n != name);
    }

    /// Keeps the fields for which that is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&Name, &str) -> bool) {
        let (text, waste) = (&self.text, &mut self.waste);
        self.fields.retain(|field| {
            let stays = keep(&field.name, field.value(text));
            *waste += if stays { 0 } else { field.value(text).len() };
            stays
        });
    }

    fn place_of(&self, name: &Name) -> Option<usize> {
        self.fields.iter().position(|field| field.name == *name)
    }

    /// Puts a value into the text: its field.
    fn written(&mut self, name: Name, value: &str) -> Field {
        let place = |bytes| u32::try_from(bytes).expect("header fields below 4 GiB");
        let start = place(self.text.len());
        self.text.push_str(value);
        Field { name, start, end: place(self.text.len()) }
    }

    fn replace(&mut self, at: usize, value: &str) {
        self.waste += self.fields[at].value(&self.text).len();
        let name = self.fields[at].name.clone();
        self.fields[at] = self.written(name, value);
        if self.waste > WASTE.max(self.text.len() / 2) {
            *self = self.iter().map(|(name, value)| (name.clone(), value)).collect();
        }
    }

    /// The hop that sent this message to us.
    pub fn top_via(&self) -> Result<Via, Misbehavior> {
        let field = self.get(&Name::Via).ok_or(Misbehavior::ViaMissing)?;
        let (first, _) = cut(field, b',').ok_or(Misbehavior::Via)?;
        Via::parse(first).ok_or(Misbehavior::Via)
    }

    /// The branch of the hop that sent this message to us, without building the Via.
    pub fn top_branch(&self) -> Option<&str> {
        let (first, _) = cut(self.get(&Name::Via)?, b',')?;
        find_param(first, "branch").filter(|branch| !branch.is_empty())
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
        let Some(at) = self.place_of(&Name::Via) else { return };
        let rest = cut(self.fields[at].value(&self.text), b',').and_then(|(_, rest)| rest).map(str::to_owned);
        match (via, rest) {
            (Some(via), Some(rest)) => self.replace(at, &format!("{via}, {rest}")),
            (Some(via), None) => self.replace(at, &via),
            (None, Some(rest)) => self.replace(at, &rest),
            (None, None) => {
                let gone = self.fields.remove(at);
                self.waste += gone.value(&self.text).len();
            }
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

impl<V: AsRef<str>> FromIterator<(Name, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Name, V)>>(fields: I) -> Headers {
        let mut headers = Headers::default();
        headers.extend(fields);
        headers
    }
}

impl<V: AsRef<str>> Extend<(Name, V)> for Headers {
    fn extend<I: IntoIterator<Item = (Name, V)>>(&mut self, fields: I) {
        fields.into_iter().for_each(|(name, value)| self.push(name, value));
    }
}

impl From<Vec<(Name, String)>> for Headers {
    fn from(fields: Vec<(Name, String)>) -> Headers {
        fields.into_iter().collect()
    }
}

impl From<Headers> for Vec<(Name, String)> {
    fn from(headers: Headers) -> Vec<(Name, String)> {
        headers.iter().map(|(name, value)| (name.clone(), value.to_owned())).collect()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
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
        fields.iter().map(|(name, value)| (Name::from(*name), *value)).collect()
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
        assert_eq!(one.get(&Name::Via), Some("SIP/2.0/UDP a;received=1.2.3.4, SIP/2.0/TCP b;x"));
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
