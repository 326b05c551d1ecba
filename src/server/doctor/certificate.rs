//! From when to when a certificate holds (RFC 5280 §4.1.2.5), and for which names it does.
//!
//! The dates are read from DER by hand: three nested fields are not worth a library. Names are judged by rustls, as a
//! phone would. Left out: who has signed it; only those who connect know whom they trust.

use crate::config;
use crate::time::Wall;
use anyhow::{Context, Result, bail, ensure};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use std::path::Path;

/// What a file of certificates says of its first, and of the shortest-lived.
#[derive(Debug)]
pub struct Certificate {
    first: CertificateDer<'static>,
    /// The latest beginning and the earliest end of all in the file.
    pub from: Wall,
    pub until: Wall,
}

impl Certificate {
    /// # Errors
    /// The file holds no certificate that can be read.
    pub fn read(file: &Path) -> Result<Certificate> {
        let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain =
            read.map_err(|why| anyhow::anyhow!("no certificate can be read from {}: {why}", config::shown(file)))?;
        let mut times = Vec::new();
        for certificate in &chain {
            times.push(validity(certificate).with_context(|| format!("{} cannot be understood", config::shown(file)))?);
        }
        let from = times.iter().map(|(from, _)| *from).max();
        let until = times.iter().map(|(_, until)| *until).min();
        match (chain.into_iter().next(), from, until) {
            (Some(first), Some(from), Some(until)) => Ok(Certificate { first, from, until }),
            _ => bail!("{} holds no certificate", config::shown(file)),
        }
    }

    /// Whether it is good for this host name or address.
    pub fn is_for(&self, name: &str) -> bool {
        let Ok(name) = ServerName::try_from(name.to_owned()) else { return false };
        ParsedCertificate::try_from(&self.first).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

fn validity(der: &[u8]) -> Result<(Wall, Wall)> {
    let (certificate, _) = field(der, Some(SEQUENCE))?;
    let (mut signed, _) = field(certificate, Some(SEQUENCE))?;
    if signed.first() == Some(&VERSION) {
        signed = field(signed, None)?.1;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        signed = field(signed, None)?.1;
    }
    let (validity, _) = field(signed, Some(SEQUENCE))?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Ok((from, until))
}

/// The content of the first field, and what follows it (X.690 §8.1).
fn field(der: &[u8], tag: Option<u8>) -> Result<(&[u8], &[u8])> {
    let [found, length, rest @ ..] = der else { bail!("it ends too soon") };
    ensure!(tag.is_none_or(|tag| tag == *found), "there is a field {found:#x} where another must be");
    let (length, rest) = match length {
        0..=0x7F => (usize::from(*length), rest),
        0x81..=0x84 => {
            let bytes = usize::from(length & 0x7F);
            let (length, rest) = rest.split_at_checked(bytes).context("it ends too soon")?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => bail!("a field is too long"),
    };
    rest.split_at_checked(length).context("it ends too soon")
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5.1, §4.1.2.5.2).
fn time(der: &[u8]) -> Result<(Wall, &[u8])> {
    let tag = *der.first().context("it ends too soon")?;
    let (text, rest) = field(der, None)?;
    let text = std::str::from_utf8(text)?;
    let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<i16>().ok());
    let (year, at) = match (tag, number(0, 2), number(0, 4)) {
        (UTC_TIME, Some(year), _) => (if year < 50 { 2000 + year } else { 1900 + year }, 2),
        (GENERALIZED_TIME, _, Some(year)) => (year, 4),
        _ => bail!("`{text}` is no time"),
    };
    let part = |place: usize| number(at + 2 * place, at + 2 * place + 2).and_then(|part| i8::try_from(part).ok());
    let (Some(month), Some(day), Some(hour), Some(minute), Some(second)) =
        (part(0), part(1), part(2), part(3), part(4))
    else {
        bail!("`{text}` is no time")
    };
    let civil = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok();
    let zoned = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let stamp = zoned.with_context(|| format!("`{text}` is no time"))?.timestamp();
    Ok((Wall(stamp.as_millisecond()), rest))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    /// A certificate for `names` that holds from one day to another.
    pub fn made(names: &[&str], from: (i32, u8, u8), until: (i32, u8, u8)) -> rcgen::Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate")
    }

    fn day(year: i16, month: i8, day: i8) -> Wall {
        let zoned = jiff::civil::date(year, month, day).to_zoned(jiff::tz::TimeZone::UTC).expect("a day");
        Wall(zoned.timestamp().as_millisecond())
    }

    #[test]
    fn dates_and_names_are_read() {
        let dir = std::env::temp_dir().join(format!("tierline-certificate-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let file = dir.join("chain.pem");
        // 2050 and later are written in the longer form.
        let long = made(&["support.example", "192.0.2.7"], (2026, 2, 28), (2051, 3, 1));
        std::fs::write(&file, long.pem()).expect("a file");
        let read = Certificate::read(&file).expect("a certificate");
        assert_eq!((read.from, read.until), (day(2026, 2, 28), day(2051, 3, 1)));
        assert!(read.is_for("support.example") && read.is_for("192.0.2.7"));
        assert!(!read.is_for("example") && !read.is_for("192.0.2.8") && !read.is_for("no name"));
        // The one that signed it ends sooner.
        let root = made(&["root"], (1999, 12, 31), (2027, 1, 1));
        std::fs::write(&file, long.pem() + &root.pem()).expect("a file");
        let read = Certificate::read(&file).expect("a certificate");
        assert_eq!((read.from, read.until), (day(2026, 2, 28), day(2027, 1, 1)));
        std::fs::write(&file, "no certificate").expect("a file");
        assert!(Certificate::read(&file).is_err());
        std::fs::remove_dir_all(&dir).expect("a folder");
    }

    #[test]
    fn what_is_cut_short_is_no_certificate() {
        let der = made(&["a"], (2026, 1, 1), (2027, 1, 1)).der().to_vec();
        assert!(validity(&der).is_ok());
        for length in 0..120 {
            assert!(validity(&der[..length]).is_err(), "{length} bytes");
        }
        for (place, byte) in [(0, 0x31), (1, 0x85), (4, 0x02)] {
            let mut wrong = der.clone();
            wrong[place] = byte;
            assert!(validity(&wrong).is_err(), "{byte:#x} at {place}");
        }
    }
}
