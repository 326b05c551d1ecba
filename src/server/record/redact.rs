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
        Input::Sip(sip::Input::Proven { query, credentials: Some(credentials) }) => {
            let response = "0".repeat(credentials.response.len());
            let credentials = Some(sip::digest::Credentials { response, ..credentials.clone() });
            Cow::Owned(Input::Sip(sip::Input::Proven { query: *query, credentials }))
        }
        _ => Cow::Borrowed(input),
    }
}

/// A message without Digest responses (RFC 7616 §3.4: a password could be guessed from one) and without keys of SRTP
/// (RFC 4568 §6.1); none if it has neither.
fn without_secrets(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Option<Vec<u8>> = None;
    let (mut proves, mut at) = (false, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        // RFC 3261 §7.3.1: a field goes on in lines that begin with a blank.
        proves = if line.starts_with(b" ") || line.starts_with(b"\t") { proves } else { is_proof(line) };
        let range = match proves {
            true => value(line, b"response"),
            false if line.starts_with(b"a=crypto:") => value(line, b"inline"),
            false => None,
        };
        if let Some(range) = range {
            let with = if proves { b'0' } else { b'A' };
            clean.get_or_insert_with(|| bytes.to_vec())[at + range.start..at + range.end].fill(with);
        }
        at += line.len();
    }
    clean
}

fn is_proof(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii_end();
    [&b"Authorization"[..], b"Proxy-Authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Where the value of the parameter `name` stands in `line`: after `=` or `:`, with blanks and a quote or not.
fn value(line: &[u8], name: &[u8]) -> Option<Range<usize>> {
    let at = line.windows(name.len()).position(|here| here.eq_ignore_ascii_case(name))? + name.len();
    let before = line[at..].iter().take_while(|byte| b" \t=:\"".contains(byte)).count();
    let length = line[at + before..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte));
    Some(at + before..at + before + length.count())
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
