//! Takes out of a recorded input what proves who somebody is or lets others listen. What is put in its place is as long
//! and of the same form, so that a recording replays the same: verdicts are inputs of their own, keys of audio decide
//! nothing, and a secret number is looked up outside, with the answer as an input.

use crate::engine::Input;
use crate::media;
use crate::sip;
use std::borrow::Cow;

/// `input` as it may be written down; `secret`: it is a key of a number that nobody may read.
pub fn redacted(input: &Input, secret: bool) -> Cow<'_, Input> {
    match input {
        Input::Media(media::Event::Digit { port, digit: '0'..='9', duration_ms, way }) if secret => {
            let (port, duration_ms, way) = (*port, *duration_ms, *way);
            Cow::Owned(Input::Media(media::Event::Digit { port, digit: '0', duration_ms, way }))
        }
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
    for (before, with) in [(&b"response=\""[..], b'0'), (b"inline:", b'A')] {
        let mut from = 0;
        while let Some(at) = find(&bytes[from..], before) {
            let begin = from + at + before.len();
            let length = bytes[begin..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte));
            from = begin + length.count();
            clean.get_or_insert_with(|| bytes.to_vec())[begin..from].fill(with);
        }
    }
    clean
}

/// Names of parameters are written in any case (RFC 3261 §7.3.1).
fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = [word[0].to_ascii_lowercase(), word[0].to_ascii_uppercase()];
    let mut starts = memchr::memchr2_iter(first[0], first[1], bytes);
    starts.find(|at| bytes[*at..].get(..word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PortId;

    #[test]
    fn responses_and_keys_are_blank_and_nothing_else_changes() {
        let rows = [
            ("response=\"6629fae4\", qop=auth", Some("response=\"00000000\", qop=auth")),
            ("RESPONSE=\"6629fae4\"", Some("RESPONSE=\"00000000\"")),
            ("a=crypto:1 AES inline:a+/b0|2^20|1:4", Some("a=crypto:1 AES inline:AAAAA|2^20|1:4")),
            ("inline:ab==\r\nx inline:cd", Some("inline:AA==\r\nx inline:AA")),
            ("response=\"1\" inline:k", Some("response=\"0\" inline:A")),
            ("response=\"", Some("response=\"")),
            ("a response to an inline remark", None),
            ("", None),
        ];
        for (said, expect) in rows {
            let clean = without_secrets(said.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(clean.as_deref(), expect, "{said}");
        }
    }

    #[test]
    fn a_secret_s_digits_are_one_and_what_ends_it_stays() {
        let key = |digit| {
            let port = PortId { plane: 0, number: 1 };
            Input::Media(media::Event::Digit { port, digit, duration_ms: 80, way: media::Way::Event })
        };
        let written = |digit, secret| match &*redacted(&key(digit), secret) {
            Input::Media(media::Event::Digit { digit, .. }) => *digit,
            _ => panic!("another input"),
        };
        assert_eq!([('7', true), ('#', true), ('7', false)].map(|(d, s)| written(d, s)), ['0', '#', '7']);
    }
}
