//! Digest authentication.
use super::header::Method;
use super::message::Misbehavior;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    Md5,
    Sha256,
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
    pub stale: bool,
}

impl Challenge {
    /// What we send: with `qop="auth"`, not stale.
    pub fn new(_realm: &str, _nonce: &str, _algorithm: Algorithm) -> Challenge { todo!() }
    /// What we got; fails if it is no Digest, of an unknown algorithm, or wants auth-int only.
    pub fn parse(_value: &str) -> Result<Challenge, Misbehavior> { todo!() }
    /// The credentials that answer this challenge; `nc` counts from 1 per nonce; `cnonce` is random text.
    pub fn answer(&self, _login: Login<'_>, _method: &Method, _uri: &str, _nc: u32, _cnonce: &str) -> Credentials {
        todo!()
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub user: &'a str,
    pub password: &'a str,
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
    /// `Misbehavior::AuthorizationSyntax` is a 400; everything else it returns is answered by a new challenge (401).
    pub fn parse(_value: &str) -> Result<Credentials, Misbehavior> { todo!() }
    /// Whether the response proves the knowledge of `ha1`; in constant time.
    pub fn verify(&self, _ha1: &str, _method: &Method) -> bool { todo!() }
}

impl fmt::Display for Credentials {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

/// `H(user:realm:password)` in hexadecimal: what a user table keeps instead of the password.
pub fn ha1(_algorithm: Algorithm, _user: &str, _realm: &str, _password: &str) -> String { todo!() }
