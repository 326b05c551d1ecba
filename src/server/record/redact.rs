//! Takes out of a recorded input what proves who somebody is or lets others listen. What is put in its place is as long
//! and of the same form, so that a recording replays the same: verdicts are inputs of their own, and keys of audio decide
//! nothing. Keys that callers press do: a flow may compare a secret number, so those stay.

use crate::engine::Input;
use crate::sip;
use std::borrow::Cow;
use std::ops::Range;

/// `input` as it may be written down.
pub fn redacted(input: &Input) -> Cow<'_, Input> {
    match input {
        Input::Sip(sip::Input::Received { flow, bytes }) => match without_secrets(bytes) {
            Some(bytes) => Cow::Owned(Input::Sip(sip::Input::Received { flow: *flow, bytes })),
            None => Cow::Borrowed(input),
        },
        Input::Sip(sip::Input::Proven { query, credentials }) => {
            let blank = |proof: &sip::digest::Credentials| {
                let response = "0".repeat(proof.response.len());
                sip::digest::Credentials { response, ..proof.clone() }
            };
            let credentials = credentials.iter().map(blank).collect();
            Cow::Owned(Input::Sip(sip::Input::Proven { query: *query, credentials }))
        }
        _ => Cow::Borrowed(input),
    }
}

/// A message without Digest responses (RFC 7616 §3.4, §3.5: a password could be guessed from one) and without keys of SRTP
/// (RFC 4568 §6.1); none if it has neither.
fn without_secrets(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        let field = &bytes[at..at + length_of_field(&bytes[at..])];
        let (ranges, with) = match proof(field) {
            Some(name) => (parameters(field, name), b'0'),
            None if field.starts_with(b"a=crypto:") => (keys(field), b'A'),
            None => (Vec::new(), 0),
        };
        for range in ranges {
            let place = &mut clean.get_or_insert_with(|| bytes.to_vec())[at + range.start..at + range.end];
            place.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = with);
        }
        at += field.len();
    }
    clean
}

/// RFC 3261 §7.3.1: a field goes on in lines that begin with a blank.
fn length_of_field(bytes: &[u8]) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut ends = ends.filter(|end| !bytes.get(*end).is_some_and(|next| b" \t".contains(next)));
    ends.next().unwrap_or(bytes.len())
}

/// The parameter that is the proof in a field of this name.
fn proof(field: &[u8]) -> Option<&'static [u8]> {
    let name = field.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii_end();
    let known: [(&[u8], &[u8]); 4] = [
        (b"Authorization", b"response"),
        (b"Proxy-Authorization", b"response"),
        (b"Authentication-Info", b"rspauth"),
        (b"Proxy-Authentication-Info", b"rspauth"),
    ];
    known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, parameter)| *parameter)
}

/// Where the values of the parameter `name` stand, without quotes. What is quoted is no parameter, whatever it says: a
/// realm is text.
fn parameters(field: &[u8], name: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < field.len() {
        let begins = at > 0 && (field[at - 1].is_ascii_whitespace() || b",:".contains(&field[at - 1]));
        if field[at] == b'"' {
            at = quoted(field, at).end + 1;
        } else if begins && let Some(value) = value_of(field, at, name) {
            at = value.end;
            found.push(value);
        } else {
            at += 1;
        }
    }
    found
}

/// The value, if the parameter of this name begins here.
fn value_of(field: &[u8], at: usize, name: &[u8]) -> Option<Range<usize>> {
    let blanks = |at: usize| at + field[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let end = at + name.len();
    field.get(at..end).filter(|here| here.eq_ignore_ascii_case(name))?;
    let equals = blanks(end);
    field.get(equals).filter(|byte| **byte == b'=')?;
    let value = blanks(equals + 1);
    if field.get(value) == Some(&b'"') {
        return Some(quoted(field, value));
    }
    let length = field[value..].iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b',').count();
    Some(value..value + length)
}

/// What stands in the quotes that open here; one that is never closed goes to the end.
fn quoted(field: &[u8], at: usize) -> Range<usize> {
    let (start, mut end) = (at + 1, at + 1);
    while end < field.len() && field[end] != b'"' {
        end += if field[end] == b'\\' { 2 } else { 1 };
    }
    start..end.min(field.len())
}

/// RFC 4568 §9.1: several keys may follow each other, each as `inline:KEY`, with its life and its name after a `|`.
fn keys(line: &[u8]) -> Vec<Range<usize>> {
    const METHOD: &[u8] = b"inline:";
    let begins = |(_, here): &(usize, &[u8])| here.eq_ignore_ascii_case(METHOD);
    let starts = line.windows(METHOD.len()).enumerate().filter(begins).map(|(at, _)| at + METHOD.len());
    let is_key = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    starts.map(|start| start..start + line[start..].iter().take_while(is_key).count()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_and_keys_are_blank_and_nothing_else_changes() {
        let rows = [
            (
                "Authorization: Digest response=\"6629fae4\", qop=auth",
                Some("Authorization: Digest response=\"00000000\", qop=auth"),
            ),
            (
                "proxy-authorization : Digest a=b,\r\n RESPONSE = 66\r\nTo: x",
                Some("proxy-authorization : Digest a=b,\r\n RESPONSE = 00\r\nTo: x"),
            ),
            ("a=crypto:1 AES inline:a+/b0|2^20|1:4\r\nm=", Some("a=crypto:1 AES inline:AAAAA|2^20|1:4\r\nm=")),
            (
                "a=crypto:1 A inline:ab==\na=crypto:2 A inline:cd",
                Some("a=crypto:1 A inline:AA==\na=crypto:2 A inline:AA"),
            ),
            (
                "Authorization: Digest username=\"response\", realm=\"Incident Response\", response=\"6629\"\r\nTo: x",
                Some(
                    "Authorization: Digest username=\"response\", realm=\"Incident Response\", response=\"0000\"\r\nTo: x",
                ),
            ),
            (
                "Authorization:Digest realm=\"First, response=66 \\\" Response = Team\",response=\"66\\\"-2\",uri=\"response=1\"",
                Some(
                    "Authorization:Digest realm=\"First, response=66 \\\" Response = Team\",response=\"000000\",uri=\"response=1\"",
                ),
            ),
            (
                "Authorization: Digest realm=\"a\r\n response=6\", xresponse=5\r\n\t, response=\r\n \"6\r\n 6",
                Some("Authorization: Digest realm=\"a\r\n response=6\", xresponse=5\r\n\t, response=\r\n \"0\r\n 0"),
            ),
            (
                "Authentication-Info: qop=auth, rspauth=\"66\", response=1",
                Some("Authentication-Info: qop=auth, rspauth=\"00\", response=1"),
            ),
            (
                "a=crypto:1 AES inline:a+/b|2^20|1:4;inline:cdef==|2^20|2:4 FEC_KEY=INLINE:gh\r\n",
                Some("a=crypto:1 AES inline:AAAA|2^20|1:4;inline:AAAA==|2^20|2:4 FEC_KEY=INLINE:AA\r\n"),
            ),
            ("Call-ID: inline:abc@h\r\nSubject: response=\"1\"", None),
            ("Authorization: Digest", None),
            ("", None),
        ];
        for (said, expect) in rows {
            let clean = without_secrets(said.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(clean.as_deref(), expect, "{said}");
        }
    }
}
