//! Who may use gRPC: tokens, in a file of lines `name:token`, readable by its owner only.
//!
//! A name is an agent's user, a lead or an operator. Where the configuration names no file, `tokens` in the data
//! directory is used, and whoever has no token yet gets one made up there. A file of your own may hold
//! `name:sha256:HEX` in place of the token. In memory there are digests only, and looking one up takes the same time
//! whether it is known or not.

use super::super::accounts::{self, Kind};
use crate::center::Center;
use crate::command::Actor;
use crate::config::CtiSettings;
use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Characters of a token.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

/// Whose token it is: several operators are the same actor, and have names of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub name: Arc<str>,
    pub actor: Actor,
}

/// Who somebody is, by the digest of his token.
pub struct Tokens {
    owners: Vec<([u8; 32], Owner)>,
    pub file: PathBuf,
    /// Made at first start.
    pub made_up: bool,
}

/// The file that holds tokens where the configuration names none.
pub fn default_file(data: &Path) -> PathBuf {
    data.join("tokens")
}

impl Tokens {
    /// # Errors
    /// The file can be read by others, or it is told of each in it who is unknown or has no usable token.
    pub fn load(settings: &CtiSettings, center: &Center, data: &Path) -> Result<Tokens> {
        let made_up = settings.token_file.is_none();
        let file = settings.token_file.clone().unwrap_or_else(|| default_file(data));
        let known = people(settings, center)?;
        let written = match made_up {
            true => accounts::completed(&file, known.keys(), Kind::Tokens)?,
            false => accounts::read(&file, Kind::Tokens)?,
        };
        let (mut owners, mut wrong) = (Vec::new(), Vec::new());
        for (name, token) in &written {
            match (known.get(name), digest_of(name, token)) {
                (Some(actor), Ok(digest)) => {
                    owners.push((digest, Owner { name: name.as_str().into(), actor: actor.clone() }));
                }
                (Some(_), Err(why)) => wrong.push(why.to_string()),
                (None, _) if made_up => {} // somebody whom the configuration had before
                (None, _) => wrong.push(format!("`{name}` is no agent's user, lead or operator")),
            }
        }
        owners.sort_by_key(|(digest, _)| *digest);
        let twice = owners.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        wrong.extend(twice.map(|pair| format!("`{}` and `{}` have the same token", pair[0].1.name, pair[1].1.name)));
        let wrong: Vec<String> = wrong.iter().map(|why| format!("{}: {why}", file.display())).collect();
        ensure!(wrong.is_empty(), wrong.join("\n"));
        Ok(Tokens { owners, file, made_up })
    }

    /// Whose token it is.
    pub fn owner(&self, token: &str) -> Option<Owner> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut owner = None;
        for (known, of) in &self.owners {
            // Every byte of every digest is looked at.
            let differs = known.iter().zip(&digest).fold(0, |differs, (a, b)| differs | (a ^ b));
            if differs == 0 {
                owner = Some(of);
            }
        }
        owner.cloned()
    }
}

fn people(settings: &CtiSettings, center: &Center) -> Result<BTreeMap<String, Actor>> {
    let agents = center.agents.values().map(|agent| (agent.user.clone(), Actor::Agent(agent.id)));
    let leads = center.leads.keys().map(|lead| (lead.to_string(), Actor::Lead(lead.clone())));
    let operators = settings.operators.iter().map(|name| (name.clone(), Actor::Operator));
    let mut people = BTreeMap::new();
    for (name, actor) in agents.chain(leads).chain(operators) {
        ensure!(people.insert(name.clone(), actor).is_none(), "`{name}` is an agent's user and a lead or operator too");
    }
    Ok(people)
}

fn digest_of(name: &str, written: &str) -> Result<[u8; 32]> {
    let Some(hex) = written.strip_prefix("sha256:") else {
        let (from, to) = (LENGTH.start(), LENGTH.end());
        ensure!(LENGTH.contains(&written.len()), "the token of `{name}` is not allowed; allowed: {from} to {to} bytes");
        return Ok(Sha256::digest(written).into());
    };
    let byte = |i: usize| u8::from_str_radix(hex.get(i * 2..i * 2 + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    match bytes.and_then(|bytes| bytes.try_into().ok()).filter(|_| hex.len() == 64) {
        Some(digest) => Ok(digest),
        None => bail!("the digest of `{name}` is no SHA-256; allowed: 64 hexadecimal digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;

    #[test]
    fn a_token_names_its_owner_and_nothing_else_does() {
        let digest = |token: &str| digest_of("x", token).unwrap();
        let hashed = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let owner = |name: &str, actor| Owner { name: name.into(), actor };
        let (ada, operator) = (owner("ada", Actor::Agent(AgentId(1))), owner("night", Actor::Operator));
        let owners = vec![(digest("0123456789abcdef"), ada.clone()), (digest(hashed), operator.clone())];
        let tokens = Tokens { owners, file: PathBuf::new(), made_up: false };
        assert_eq!(tokens.owner("0123456789abcdef"), Some(ada));
        assert_eq!(tokens.owner("test"), Some(operator));
        for wrong in ["", "0123456789abcdeF", "0123456789abcde", hashed] {
            assert_eq!(tokens.owner(wrong), None);
        }
        assert!(digest_of("x", "short").is_err() && digest_of("x", "sha256:12").is_err());
    }
}
