//! Digest authentication of both sides: RFC 3261 §22 with the algorithms of RFC 7616 and RFC 8760.
//!
//! MD5 and SHA-256, `qop=auth` and the older form without (RFC 2069). `auth-int` and `-sess` are not offered;
//! credentials that use them are answered by a new challenge, as are those with SHA-512-256 (RFC 7616 §3.9.2); of several
//! challenges the first that we know is answered. User names are not hashed (§3.4.4: a client may, none must). Left out: `Authentication-Info` with `nextnonce`, since
//! phones do not read it, and a stale nonce costs them one exchange in five minutes. Which nonces are alive and which counts
//! were used is the endpoint's business, as is who knows the passwords: here is arithmetic and text.

use super::grammar::{is_token, pieces, quote, unquote};
use super::header::Method;
use super::message::Misbehavior;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// The token of RFC 7616 §3.3.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn parse(token: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256].into_iter().find(|a| a.as_str().eq_ignore_ascii_case(token))
    }

    /// The hash of the parts with colons between them, as lower-case hexadecimal digits.
    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        #[cfg(test)]
        work::count(text.len());
        let hex = |bytes: &[u8]| bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(hex_digit).collect();
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// What has been hashed, in bytes: so that a test can see what no clock could prove.
#[cfg(test)]
pub mod work {
    thread_local!(static HASHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

    pub fn count(bytes: usize) {
        HASHED.set(HASHED.get() + bytes);
    }

    /// The bytes hashed by this thread while `what` ran.
    pub fn of(what: impl FnOnce()) -> usize {
        let before = HASHED.get();
        what();
        HASHED.get() - before
    }
}

fn hex_digit(value: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(value)])
}

/// `H(user:realm:password)` in hexadecimal: what a user table keeps instead of the password.
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user, realm, password])
}

/// The value of a `WWW-Authenticate` or `Proxy-Authenticate` (its `Display`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub algorithm: Algorithm,
    /// Whether `qop="auth"` is offered; without it the answer is RFC 2069's.
    pub qop_auth: bool,
    pub opaque: Option<String>,
    /// The credentials were right but their nonce is too old: answer again without asking anybody.
    pub stale: bool,
}

/// Who answers a challenge.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub user: &'a str,
    pub password: &'a str,
}

impl Challenge {
    /// What we send: with `qop="auth"`, not stale.
    pub fn new(realm: &str, nonce: &str, algorithm: Algorithm) -> Challenge {
        let (realm, nonce) = (realm.to_owned(), nonce.to_owned());
        Challenge { realm, nonce, algorithm, qop_auth: true, opaque: None, stale: false }
    }

    /// What we got; fails if it is no Digest, of an unknown algorithm, or wants auth-int only.
    pub fn parse(value: &str) -> Result<Challenge, Misbehavior> {
        let fields = Fields::parse(value)?;
        // RFC 7616 §3.3: a list; tokens that we do not know are left out.
        let qop_auth = fields.text("qop").map(|qops| pieces(&qops, b',').any(|q| q.eq_ignore_ascii_case("auth")));
        if qop_auth == Some(false) {
            return Err(Misbehavior::AuthorizationKind);
        }
        Ok(Challenge {
            realm: fields.required("realm")?,
            nonce: fields.required("nonce")?,
            algorithm: fields.algorithm()?,
            qop_auth: qop_auth.is_some(),
            opaque: fields.text("opaque"),
            stale: fields.text("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// What was answered by `proof`, to be answered again.
    pub fn of(proof: Credentials) -> Challenge {
        let Credentials { realm, nonce, algorithm, opaque, qop_auth, .. } = proof;
        Challenge { realm, nonce, algorithm, qop_auth: qop_auth.is_some(), opaque, stale: false }
    }

    /// The credentials that answer this challenge; `nc` counts from 1 per nonce; `cnonce` is random text.
    pub fn answer(&self, login: Login<'_>, method: &Method, uri: &str, nc: u32, cnonce: &str) -> Credentials {
        let mut credentials = Credentials {
            username: login.user.to_owned(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_owned(),
            response: String::new(),
            algorithm: self.algorithm,
            qop_auth: self.qop_auth.then(|| (nc, cnonce.to_owned())),
            opaque: self.opaque.clone(),
        };
        let ha1 = ha1(self.algorithm, login.user, &self.realm, login.password);
        credentials.response = credentials.expected_response(&ha1, method);
        credentials
    }
}

/// The challenges that one request answers together: each proxy on its way has a realm of its own (RFC 3261 §22.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Each with the count of its nonce, from 1.
    pub challenges: Vec<(Challenge, u32)>,
    pub method: Method,
    /// The request URI.
    pub uri: String,
    /// Random text of ours.
    pub cnonce: String,
}

impl Asked {
    /// One proof for each challenge, in their order.
    pub fn answers(&self, login: Login<'_>) -> Vec<Credentials> {
        let answer =
            |(challenge, nc): &(Challenge, u32)| challenge.answer(login, &self.method, &self.uri, *nc, &self.cnonce);
        self.challenges.iter().map(answer).collect()
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", quote(&self.realm), quote(&self.nonce))?;
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        if self.qop_auth {
            f.write_str(", qop=\"auth\"")?;
        }
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", quote(opaque))?;
        }
        f.write_str(if self.stale { ", stale=true" } else { "" })
    }
}

/// The value of an `Authorization` or `Proxy-Authorization` (its `Display`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    /// Hexadecimal, lower case.
    pub response: String,
    pub algorithm: Algorithm,
    /// With `qop=auth`: the nonce count and the client's nonce.
    pub qop_auth: Option<(u32, String)>,
    pub opaque: Option<String>,
}

impl Credentials {
    /// Fails with [`Misbehavior::Authorization`] (400) if Digest is broken, and with
    /// [`Misbehavior::AuthorizationKind`] (401) if it is something that we did not offer.
    pub fn parse(value: &str) -> Result<Credentials, Misbehavior> {
        let fields = Fields::parse(value)?;
        let qop_auth = match fields.text("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => Some((fields.nonce_count()?, fields.required("cnonce")?)),
            Some(_) => return Err(Misbehavior::AuthorizationKind),
        };
        Ok(Credentials {
            username: fields.required("username")?,
            realm: fields.required("realm")?,
            nonce: fields.required("nonce")?,
            uri: fields.required("uri")?,
            response: fields.required("response")?.to_ascii_lowercase(),
            algorithm: fields.algorithm()?,
            qop_auth,
            opaque: fields.text("opaque"),
        })
    }

    /// The response of somebody who knows `ha1` (RFC 7616 §3.4.1; without qop RFC 2069 §2.1.2).
    pub fn expected_response(&self, ha1: &str, method: &Method) -> String {
        let ha2 = self.algorithm.hash(&[method.as_str(), &self.uri]);
        match &self.qop_auth {
            Some((nc, cnonce)) => self.algorithm.hash(&[ha1, &self.nonce, &format!("{nc:08x}"), cnonce, "auth", &ha2]),
            None => self.algorithm.hash(&[ha1, &self.nonce, &ha2]),
        }
    }

    /// Whether the response proves the knowledge of `ha1`; in a time that does not tell how near it was.
    pub fn verify(&self, ha1: &str, method: &Method) -> bool {
        let expected = self.expected_response(ha1, method);
        let differences = expected.bytes().zip(self.response.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differences) == 0 && expected.len() == self.response.len()
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username={}, realm={}", quote(&self.username), quote(&self.realm))?;
        write!(f, ", nonce={}, uri={}", quote(&self.nonce), quote(&self.uri))?;
        write!(f, ", response=\"{}\", algorithm={}", self.response, self.algorithm.as_str())?;
        if let Some((nc, cnonce)) = &self.qop_auth {
            write!(f, ", qop=auth, nc={nc:08x}, cnonce={}", quote(cnonce))?;
        }
        self.opaque.as_ref().map_or(Ok(()), |opaque| write!(f, ", opaque={}", quote(opaque)))
    }
}

/// The `name=value` pairs after the scheme.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn parse(value: &'a str) -> Result<Fields<'a>, Misbehavior> {
        let (scheme, rest) = value.trim_ascii().split_once([' ', '\t']).unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(Misbehavior::AuthorizationKind);
        }
        let pair = |piece: &'a str| {
            let (name, value) = piece.split_once('=')?;
            let (name, value) = (name.trim_ascii_end(), value.trim_ascii_start());
            (is_token(name) && (is_token(value) || unquote(value).is_some())).then_some((name, value))
        };
        let pairs: Option<Vec<_>> = pieces(rest, b',').map(pair).collect();
        pairs.map(Fields).ok_or(Misbehavior::Authorization)
    }

    fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(unquote(value).unwrap_or_else(|| (*value).to_owned()))
    }

    fn required(&self, name: &str) -> Result<String, Misbehavior> {
        self.text(name).ok_or(Misbehavior::Authorization)
    }

    fn algorithm(&self) -> Result<Algorithm, Misbehavior> {
        match self.text("algorithm") {
            None => Ok(Algorithm::Md5), // RFC 3261 §22.4: what is meant without the word
            Some(token) => Algorithm::parse(&token).ok_or(Misbehavior::AuthorizationKind),
        }
    }

    fn nonce_count(&self) -> Result<u32, Misbehavior> {
        let text = self.required("nc")?;
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(&text, 16).ok().filter(|_| digits).ok_or(Misbehavior::Authorization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    /// RFC 7616 §3.9.1 (an HTTP GET: the arithmetic is the same).
    fn rfc_7616(algorithm: Algorithm) -> Credentials {
        let mut challenge = Challenge::new("http-auth@example.org", NONCE, algorithm);
        challenge.opaque = Some("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS".into());
        let login = Login { user: "Mufasa", password: "Circle of Life" };
        challenge.answer(login, &Method::from("GET"), "/dir/index.html", 1, CNONCE)
    }

    /// RFC 7616 §3.9.2: an algorithm that we do not speak, and a hashed user name. Neither is taken for broken, nor for
    /// something that we know.
    #[test]
    fn sha_512_256_and_hashed_user_names_are_told_from_what_we_speak() {
        let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
            nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
            opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true";
        let credentials = "Digest \
            username=\"488869477bf257147b804c45308cd62ac4e25eb717b12b298c79e62dcea254ec\", realm=\"api@example.org\", \
            uri=\"/doe.json\", algorithm=SHA-512-256, nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
            nc=00000001, cnonce=\"NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm\", qop=auth, \
            response=\"ae66e67d6b427bd3f120414a82e4acff38e8ecd9101d6c861229025f607a79dd\", \
            opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", userhash=true";
        assert_eq!(Challenge::parse(challenge), Err(Misbehavior::AuthorizationKind));
        assert_eq!(Credentials::parse(credentials), Err(Misbehavior::AuthorizationKind));
        // With an algorithm that we speak, the offer to hash names does not hinder, and what else stands there is read.
        let known = Challenge::parse(&challenge.replace("SHA-512-256", "SHA-256")).unwrap();
        assert_eq!((known.algorithm, known.qop_auth), (Algorithm::Sha256, true));
        let login = Login { user: "J\u{e4}s\u{f8}n Doe", password: "Secret, or not?" };
        let answer = known.answer(login, &Method::from("GET"), "/doe.json", 1, "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm");
        assert_eq!(answer.username, login.user);
        assert!(!answer.to_string().contains("userhash"), "the name is not hashed, and nothing says that it is");
    }

    #[test]
    fn vectors_of_rfc_7616_and_rfc_2069() {
        let rows = [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ];
        for (algorithm, response) in rows {
            assert_eq!(rfc_7616(algorithm).response, response);
        }
        // RFC 2069 §2.4 with the response of its erratum 749.
        let old = Challenge {
            qop_auth: false,
            ..Challenge::new("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", Algorithm::Md5)
        };
        let login = Login { user: "Mufasa", password: "CircleOfLife" };
        assert_eq!(
            old.answer(login, &Method::from("GET"), "/dir/index.html", 1, "").response,
            "1949323746fe6a43ef61f9606e7febea"
        );
    }

    #[test]
    fn only_the_right_password_method_and_uri_verify() {
        let right = rfc_7616(Algorithm::Sha256);
        let get = Method::from("GET");
        let ha1_of = |password| ha1(Algorithm::Sha256, "Mufasa", "http-auth@example.org", password);
        assert!(right.verify(&ha1_of("Circle of Life"), &get));
        assert!(!right.verify(&ha1_of("circle of life"), &get));
        assert!(!right.verify(&ha1_of("Circle of Life"), &Method::Register));
        let changes: [fn(&mut Credentials); 6] = [
            |c| c.uri.push('x'),
            |c| c.nonce.push('x'),
            |c| c.qop_auth = Some((2, CNONCE.into())),
            |c| c.qop_auth = None,
            |c| c.response.truncate(63),
            |c| c.response.push('0'),
        ];
        for (row, change) in changes.iter().enumerate() {
            let mut wrong = right.clone();
            change(&mut wrong);
            assert!(!wrong.verify(&ha1_of("Circle of Life"), &get), "change {row}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let mut challenge = Challenge::new("a \"realm\"", "n", algorithm);
            assert_eq!(Challenge::parse(&challenge.to_string()), Ok(challenge.clone()));
            challenge = Challenge { qop_auth: false, opaque: Some("o".into()), stale: true, ..challenge };
            assert_eq!(Challenge::parse(&challenge.to_string()), Ok(challenge.clone()));
            for qop_auth in [false, true] {
                let login = Login { user: "17", password: "p" };
                let credentials =
                    Challenge { qop_auth, ..challenge.clone() }.answer(login, &Method::Register, "sip:x", 255, "c");
                assert_eq!(Credentials::parse(&credentials.to_string()), Ok(credentials));
            }
        }
        let text = rfc_7616(Algorithm::Md5).to_string();
        assert!(text.contains(", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"f2/"), "{text}");
    }

    #[test]
    fn credentials_that_we_did_not_ask_for() {
        use Misbehavior::{Authorization as Broken, AuthorizationKind as Other};
        let base = "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0A\"";
        let rows = [
            (base.to_owned(), Ok(())),
            (format!("{base}, qop=auth, nc=0000000a, cnonce=\"c\""), Ok(())),
            (format!("{base},qop=\"auth\" , nc=0000000A,cnonce=c, auth-param=x"), Ok(())),
            ("NoOneKnowsThisScheme opaque-data=here".into(), Err(Other)),
            ("Basic dTpw".into(), Err(Other)),
            (String::new(), Err(Other)),
            ("Digest".into(), Err(Broken)),
            (format!("{base}, algorithm=SHA-512-256"), Err(Other)),
            (format!("{base}, algorithm=MD5-sess"), Err(Other)),
            (format!("{base}, qop=auth-int, nc=00000001, cnonce=\"c\""), Err(Other)),
            (format!("{base}, qop=auth, cnonce=\"c\""), Err(Broken)),
            (format!("{base}, qop=auth, nc=1, cnonce=\"c\""), Err(Broken)),
            (format!("{base}, qop=auth, nc=+0000001, cnonce=\"c\""), Err(Broken)),
            (format!("{base}, qop=auth, nc=00000001"), Err(Broken)),
            (format!("{base}, x=\"open"), Err(Broken)),
            (format!("{base}, nonsense"), Err(Broken)),
            ("Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\"".into(), Err(Broken)),
        ];
        for (value, expect) in rows {
            assert_eq!(Credentials::parse(&value).map(drop), expect, "{value}");
        }
    }

    #[test]
    fn challenges_of_others() {
        let parse = |rest: &str| Challenge::parse(&format!("digest realm=\"r\", nonce=\"n\"{rest}"));
        let expect = Challenge { qop_auth: false, ..Challenge::new("r", "n", Algorithm::Md5) };
        assert_eq!(parse(""), Ok(expect.clone()));
        assert_eq!(
            parse(", qop=\"auth-int, auth\", domain=\"sip:x\""),
            Ok(Challenge { qop_auth: true, ..expect.clone() })
        );
        assert_eq!(parse(", stale=TRUE, algorithm=md5"), Ok(Challenge { stale: true, ..expect }));
        assert_eq!(parse(", qop=\"auth-int\""), Err(Misbehavior::AuthorizationKind));
        assert_eq!(parse(", algorithm=AKAv1-MD5"), Err(Misbehavior::AuthorizationKind));
        assert_eq!(Challenge::parse("Digest nonce=\"n\""), Err(Misbehavior::Authorization));
    }
}
