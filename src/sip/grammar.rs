//! The small pieces that URIs and header fields are made of (RFC 3261 §25.1): tokens, quoted strings, `%HH`
//! escapes, and the cutting of text at separators outside quotes and brackets.

use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Which bytes some part of a message may be made of: one bit each, so that a text is checked in one pass.
pub(super) struct Class(u8);

impl Class {
    /// RFC 3261 §25.1 `token`.
    pub const TOKEN: Class = Class(1);
    /// A parameter's value without quotes: no white space, quotes, brackets and commas.
    pub const VALUE: Class = Class(2);
    /// What may stand in a URI somewhere: no white space, controls, quotes and brackets.
    pub const URI: Class = Class(4);
    /// A host name or an IPv4 address.
    pub const HOST: Class = Class(8);
    /// No white space and controls.
    pub const WORD: Class = Class(16);
    /// No `%`: nothing is escaped.
    pub const PLAIN: Class = Class(32);
    /// No white space.
    pub const DENSE: Class = Class(64);
    /// Nothing at which [`cut`] has to stop.
    const ON: Class = Class(128);

    const fn of(byte: u8) -> u8 {
        let alphanumeric = byte.is_ascii_alphanumeric();
        let token =
            alphanumeric || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        let value = !matches!(byte, b' ' | b'\t' | b'"' | b'<' | b'>' | b',');
        let word = byte > b' ' && byte != 0x7f;
        let uri = word && !matches!(byte, b'<' | b'>' | b'"');
        let host = alphanumeric || matches!(byte, b'-' | b'.' | b'_');
        let (token, value) = (token as u8 * Class::TOKEN.0, value as u8 * Class::VALUE.0);
        let (uri, host, word) = (uri as u8 * Class::URI.0, host as u8 * Class::HOST.0, word as u8 * Class::WORD.0);
        let (plain, dense) =
            ((byte != b'%') as u8 * Class::PLAIN.0, !byte.is_ascii_whitespace() as u8 * Class::DENSE.0);
        let on = !matches!(byte, b';' | b',' | b'"' | b'<' | 0) as u8 * Class::ON.0;
        token | value | uri | host | word | plain | dense | on
    }

    /// The classes that all bytes are in; all classes for an empty text.
    pub fn shared(text: &str) -> Class {
        Class(text.bytes().fold(u8::MAX, |still, byte| still & CLASSES[usize::from(byte)]))
    }

    pub fn holds(&self, other: Class) -> bool {
        self.0 & other.0 != 0
    }
}

/// The classes that each byte is in.
static CLASSES: [u8; 256] = {
    let (mut classes, mut byte) = ([0; 256], 0);
    while byte < 256 {
        classes[byte] = Class::of(byte as u8);
        byte += 1;
    }
    classes
};

/// Whether all bytes are in that class; true for an empty text.
pub(super) fn all_of(text: &str, class: Class) -> bool {
    Class::shared(text).holds(class)
}

/// Like `split_once` at the first white space; what follows begins without any.
pub(super) fn split_at_space(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| matches!(byte, b' ' | b'\t'))?;
    Some((&text[..at], text[at + 1..].trim_ascii_start()))
}

/// Like `split_once`, for one ASCII byte. What it is looked for in is short: no search in vectors pays.
pub(super) fn split_at(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Whether two names of parameters are the same.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    // RFC 4475 §3.1.1.4: `%6C%72` is `lr`.
    a.eq_ignore_ascii_case(b)
        || (a.len() > b.len() && a.contains('%') && unescape(a).eq_ignore_ascii_case(b.as_bytes()))
}

/// Digits only, as an unsigned number of 32 bits.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    let digit = |sum: u32, byte: u8| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u32::from(byte - b'0')),
        _ => None,
    };
    if text.is_empty() { None } else { text.bytes().try_fold(0, digit) }
}

/// RFC 3261 §25.1 `token`.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && all_of(text, Class::TOKEN)
}

/// Cuts at the first `separator` (`;`, `,` or NUL) outside quotes and brackets: what is before it, and what is after it if it is
/// there, both trimmed. `None` if a quote or bracket stays open before it.
pub(super) fn cut(text: &str, separator: u8) -> Option<(&str, Option<&str>)> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while let Some(found) = bytes[at..].iter().position(|byte| CLASSES[usize::from(*byte)] & Class::ON.0 == 0) {
        at += found;
        at = match bytes[at] {
            b'"' => quote_end(bytes, at)?,
            b'<' => at + 2 + memchr(b'>', &bytes[at + 1..])?,
            byte if byte == separator => {
                return Some((text[..at].trim_ascii_end(), Some(text[at + 1..].trim_ascii_start())));
            }
            _ => at + 1,
        };
    }
    Some((text, None))
}

/// The index after the quoted string that begins at `start`; `None` if it stays open.
fn quote_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            _ => at += 2, // RFC 3261 §25.1 `quoted-pair`.
        }
    }
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

/// The first parameter `name` of a header value, found without reading the rest; empty if it has no value.
pub(super) fn find_param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let (_, params) = cut(value, b';')?;
    let mut named = pieces(params?, b';').map(|piece| split_at(piece, b'=').unwrap_or((piece, "")));
    named.find(|(n, _)| same_name(n.trim_ascii_end(), name)).map(|(_, text)| text.trim_ascii_start())
}

/// Whether the text is one whole quoted string.
pub(super) fn unquotes(text: &str) -> bool {
    text.starts_with('"') && quote_end(text.as_bytes(), 0) == Some(text.len())
}

/// What is between the quotes, without escapes; `None` if the text is not one whole quoted string.
pub fn unquote(text: &str) -> Option<String> {
    let mut rest = unquotes(text).then(|| &text[1..text.len() - 1])?;
    let mut plain = String::with_capacity(rest.len());
    while let Some((before, after)) = split_at(rest, b'\\') {
        plain.push_str(before);
        let mut escaped = after.chars();
        plain.extend(escaped.next());
        rest = escaped.as_str();
    }
    plain.push_str(rest);
    Some(plain)
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
    while let Some(at) = memchr(b'%', rest) {
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
        for text in ["", "\"", "a\"", "\"a\"b\"", "\"a\\\"", "\"a\\"] {
            assert_eq!(unquote(text), None, "{text}");
        }
    }

    #[test]
    fn separators_in_quotes_and_brackets_do_not_cut() {
        let rows = [
            ("a ; b;c", Some(("a", Some("b;c")))),
            ("a", Some(("a", None))),
            ("", Some(("", None))),
            (";", Some(("", Some("")))),
            ("\"a;\\\";\" <b;c>;d", Some(("\"a;\\\";\" <b;c>", Some("d")))),
            ("<\";>;\"", Some(("<\";>", Some("\"")))),
            ("\"<;\";>", Some(("\"<;\"", Some(">")))),
            ("a>;b", Some(("a>", Some("b")))),
            ("a\\;b", Some(("a\\", Some("b")))),
            ("a;\"", Some(("a", Some("\"")))),
            ("\"a;b", None),
            ("\"a\\\";b", None),
            ("\"a\\", None),
            ("<a;b", None),
            ("<", None),
        ];
        for (text, expect) in rows {
            assert_eq!(cut(text, b';'), expect, "{text}");
        }
    }

    #[test]
    fn classes_hold_what_they_say() {
        assert!((0..=255).all(|byte: u8| {
            let one = char::from(byte).to_string();
            !byte.is_ascii() || is_token(&one) == (byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
        }));
        let rows = [
            ("a=b;é", true, true, false, true),
            ("a b", false, false, false, false),
            ("host-1_a.b", true, true, true, true),
            ("a,b", false, true, false, true),
            ("<a>", false, false, false, true),
            ("a\u{7f}", true, false, false, false),
            ("", true, true, true, true),
        ];
        for (text, value, uri, host, word) in rows {
            let classes = [Class::VALUE, Class::URI, Class::HOST, Class::WORD].map(|class| all_of(text, class));
            assert_eq!(classes, [value, uri, host, word], "{text}");
        }
    }
}
