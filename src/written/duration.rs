//! Durations as people write them: `20s`, `1h30m`.

use std::time::Duration;

/// Units of a duration, in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// `1h30m`, `20s`, `250ms`: whole numbers with units, each unit once, largest first.
pub fn read_duration(s: &str) -> Option<Duration> {
    let (mut rest, mut total, mut units) = (s.trim(), 0u64, UNITS.iter());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit = &behind[..behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len())];
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
        rest = &behind[unit.len()..];
    }
    Some(Duration::from_millis(total))
}

/// The shortest form that [`read_duration`] reads; parts below a millisecond are left out.
pub fn write_duration(d: Duration) -> String {
    let mut rest = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let mut written = String::new();
    for (unit, ms) in UNITS {
        if rest >= ms {
            written += &format!("{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    if written.is_empty() { "0s".into() } else { written }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        let rows = [
            ("20s", Some(20_000), "20s"),
            ("5m", Some(300_000), "5m"),
            ("1h30m", Some(5_400_000), "1h30m"),
            ("250ms", Some(250), "250ms"),
            ("1s5ms", Some(1005), "1s5ms"),
            ("90s", Some(90_000), "1m30s"),
            ("24h", Some(86_400_000), "1d"),
            ("0s", Some(0), "0s"),
            ("20", None, ""),
            ("", None, ""),
            ("s", None, ""),
            ("5 m", None, ""),
            ("1s1m", None, ""),
            ("1s1s", None, ""),
            ("-1s", None, ""),
            ("1.5s", None, ""),
            ("99999999999999999999s", None, ""),
            ("18446744073709551615d", None, ""),
            ("5µ", None, ""),
        ];
        for (text, ms, written) in rows {
            assert_eq!(read_duration(text), ms.map(Duration::from_millis), "{text}");
            if let Some(ms) = ms {
                assert_eq!(write_duration(Duration::from_millis(ms)), written);
            }
        }
    }
}
