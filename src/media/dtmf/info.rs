//! Keys in the bodies of INFO: `application/dtmf-relay` (lines `Signal=5` and `Duration=160`) and `application/dtmf`
//! (the key alone). No RFC says what they are; these are the forms that phones and gateways send.

/// The key that a body presses, if it is of one of these types.
pub fn key(content_type: &str, body: &[u8]) -> Option<char> {
    let kind = content_type.split(';').next()?.trim();
    let text = std::str::from_utf8(body.get(..body.len().min(MAX_BYTES))?).ok()?;
    if kind.eq_ignore_ascii_case("application/dtmf") {
        return named(text.trim());
    }
    if !kind.eq_ignore_ascii_case("application/dtmf-relay") {
        return None;
    }
    let signal = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("Signal").then_some(value.trim())
    });
    named(signal?)
}

/// More is no key.
const MAX_BYTES: usize = 256;

/// By its name, or by the number that RFC 4733 gives it.
fn named(text: &str) -> Option<char> {
    let event = |n: usize| super::KEYS.get(n).copied().map(char::from);
    match (text.len(), text.chars().next()?.to_ascii_uppercase()) {
        (1, key) => super::KEYS.contains(&u8::try_from(key).ok()?).then_some(key),
        (2, '1') => event(text.parse().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rng;

    #[test]
    fn bodies() {
        let (relay, plain) = ("application/dtmf-relay", "application/dtmf");
        for (kind, body, expect) in [
            (relay, "Signal=5\r\nDuration=160\r\n", Some('5')),
            (relay, "Signal= *\nDuration= 250", Some('*')),
            (relay, "duration=100\r\nSIGNAL = b\r\n", Some('B')),
            (relay, "Signal=11\r\n", Some('#')),
            (relay, "Signal=10", Some('*')),
            ("Application/DTMF-Relay; charset=utf-8", "Signal=0", Some('0')),
            (plain, "7", Some('7')),
            (plain, "#\r\n", Some('#')),
            (plain, "15", Some('D')),
            // Flash, names that are none, nothing.
            (plain, "16", None),
            (plain, "77", None),
            (plain, "1x", None),
            (plain, "+1", None),
            (plain, "hf", None),
            (plain, "é", None),
            (plain, "", None),
            (relay, "5", None),
            (relay, "Signal=", None),
            (relay, "Signal=55\r\n", None),
            (relay, "Signals=5", None),
            ("application/sdp", "5", None),
            ("", "5", None),
        ] {
            assert_eq!(key(kind, body.as_bytes()), expect, "{kind} {body:?}");
        }
        assert_eq!(key(plain, b"\xff"), None);
    }

    #[test]
    fn a_million_mutations_do_not_panic() {
        let seeds: [&[u8]; 3] = [b"Signal=5\r\nDuration=160\r\n", b"12", b"Duration=9\nSignal = #"];
        let (mut rng, mut keys, mut bytes) = (Rng::from_number(2976), 0, Vec::new());
        for n in 0..1_000_000 {
            bytes.clear();
            bytes.extend_from_slice(seeds[n % 3]);
            crate::media::mutation::mutate(&mut bytes, &mut rng);
            let kind = ["application/dtmf-relay", "application/dtmf"][usize::from(n % 3 == 1)];
            keys += u32::from(key(kind, &bytes).is_some());
        }
        assert!((100_000..900_000).contains(&keys), "{keys}");
    }
}
