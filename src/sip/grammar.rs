//! The small pieces that URIs and header fields are made of (RFC 3261 §25.1): parameters, tokens, quoted strings,
//! `%HH` escapes, and the cutting of text at separators outside quotes and brackets.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Parameters of one URI or header value; more are refused.
pub const PARAMS: usize = 64;

/// `;name=value` parameters; names compare without case; values as written (quotes kept).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// `None`: not there. `Some(None)`: there without a value.
    pub fn value(&self, name: &str) -> Option<Option<&str>> {
        self.0.iter().find(|(n, _)| same_name(n, name)).map(|(_, value)| value.as_deref())
    }

    /// The value, if there is one that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).flatten().filter(|value| !value.is_empty())
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Changes a parameter in its place, or adds it at the end.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(n, _)| same_name(n, name)) {
            Some(param) => param.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !same_name(n, name));
    }

    /// `name=value;name` without quotes or white space, as in URIs.
    pub(super) fn parse(text: &str) -> Option<Params> {
        let mut params = Vec::new();
        for piece in text.split(';') {
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (piece, None),
            };
            if name.is_empty() || params.len() == PARAMS {
                return None;
            }
            params.push((name.to_owned(), value));
        }
        Some(Params(params))
    }
}

pub(super) fn same_name(a: &str, b: &str) -> bool {
    // RFC 4475 §3.1.1.4: `%6C%72` is `lr`.
    a.eq_ignore_ascii_case(b) || (a.contains('%') && unescape(a).eq_ignore_ascii_case(b.as_bytes()))
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| match value {
            Some(value) => write!(f, ";{name}={value}"),
            None => write!(f, ";{name}"),
        })
    }
}

/// Digits only, as an unsigned number of 32 bits.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// RFC 3261 §25.1 `token`.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

/// Cuts at the first `separator` outside quotes and brackets: what is before it, and what is after it if it is
/// there, both trimmed. `None` if a quote or bracket stays open before it.
pub(super) fn cut(text: &str, separator: u8) -> Option<(&str, Option<&str>)> {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !bracketed => quoted = !quoted,
            _ if quoted => {}
            b'<' if !bracketed => bracketed = true,
            b'>' if bracketed => bracketed = false,
            _ if byte == separator && !bracketed => {
                return Some((text[..at].trim_ascii_end(), Some(text[at + 1..].trim_ascii_start())));
            }
            _ => {}
        }
    }
    (!quoted && !bracketed).then_some((text, None))
}

/// The pieces between separators outside quotes and brackets, trimmed; empty ones are left out. What follows an
/// open quote or bracket comes as one piece.
pub(super) fn pieces(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest.take()?;
        let (piece, after) = cut(whole, separator).unwrap_or((whole, None));
        rest = after;
        Some(piece.trim_ascii())
    })
    .filter(|piece| !piece.is_empty())
}

/// `name = value ; name` after the first semicolon.
pub(super) fn parse_params(text: Option<&str>) -> Option<Params> {
    let (mut params, mut rest) = (Vec::new(), text);
    while let Some(text) = rest {
        let (piece, after) = cut(text, b';')?;
        let (name, value) = match piece.split_once('=') {
            Some((name, value)) => (name.trim_ascii_end(), Some(value.trim_ascii_start())),
            None => (piece, None),
        };
        if params.len() == PARAMS || !is_token(name) || value.is_some_and(|v| !is_param_value(v)) {
            return None;
        }
        params.push((name.to_owned(), value.map(str::to_owned)));
        rest = after;
    }
    Some(Params(params))
}

/// A quoted string, or something without white space, quotes and brackets.
fn is_param_value(value: &str) -> bool {
    match value.starts_with('"') {
        true => unquote(value).is_some(),
        false => !value.contains([' ', '\t', '"', '<', '>', ',']),
    }
}

/// The first parameter `name` of a header value, found without reading the rest; empty if it has no value.
pub(super) fn find_param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let (_, params) = cut(value, b';')?;
    let mut named = pieces(params?, b';').map(|piece| piece.split_once('=').unwrap_or((piece, "")));
    named.find(|(n, _)| same_name(n.trim_ascii_end(), name)).map(|(_, text)| text.trim_ascii_start())
}

/// What is between the quotes, without escapes; `None` if the text is not one whole quoted string.
pub fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    let (mut plain, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(plain),
            '\\' => plain.push(chars.next()?),
            c => plain.push(c),
        }
    }
}

/// A quoted string that says `text`. Line ends cannot be said and become spaces.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\r' | '\n' => quoted.push(' '),
            // RFC 3261 §25.1 `quoted-pair`: control characters stand escaped.
            '"' | '\\' | '\0'..='\x1f' | '\x7f' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub(super) fn escapes_are_whole(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        match &rest[at + 1..] {
            [a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest = after,
            _ => return false,
        }
    }
    true
}

/// `%HH` → byte; a broken escape stays.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [a, b, ..] if *first == b'%' => hex(*a).zip(hex(*b)),
            _ => None,
        };
        bytes.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// One spelling for texts that differ only in needless escapes: those of reserved characters (RFC 2396 §2.2),
/// of controls and of non-ASCII bytes stay, in upper case; others are undone.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte else {
            plain.push('%');
            rest = after;
            continue;
        };
        if byte.is_ascii_graphic() && !b";/?:@&=+$,%".contains(&byte) {
            plain.push(char::from(byte));
        } else {
            plain.push_str(&format!("%{byte:02X}"));
        }
        rest = &after[2..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// RFC 3261 §25.1 `user`: unreserved and user-unreserved stay, all else becomes `%HH`.
pub(super) fn escape_user(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_goes_there_and_back() {
        for text in ["", "a", "a \"b\" \\ c", "BEL:\x07 NUL:\0 DEL:\x7f", "работающий"] {
            assert_eq!(unquote(&quote(text)).as_deref(), Some(text));
        }
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
        for text in ["", "\"", "a\"", "\"a\"b\"", "\"a\\\""] {
            assert_eq!(unquote(text), None, "{text}");
        }
    }
}
