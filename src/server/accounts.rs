//! Who may register: passwords of agents' phones.
//!
//! Passwords stand in a file of lines `user:password`, readable by its owner only. Where the configuration names
//! none, `passwords` in the data directory is used, and whoever has no password yet gets one made up there. The
//! engine sees no password: it asks whether credentials prove a user.

use super::chance;
use crate::center::Center;
use crate::config::{self, Problem, Problems};
use crate::ids::TrunkId;
use crate::sip::digest::{Algorithm, Credentials, ha1};
use crate::sip::header::Method;
use anyhow::{Context, Result, bail, ensure};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Letters and digits that nobody mistakes for one another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";
/// 16 characters of 5 bits.
const LENGTH: usize = 16;

/// What proves a user.
#[derive(Clone)]
pub struct Accounts {
    realm: String,
    secrets: BTreeMap<String, (String, String)>,
    /// Checked in place of an unknown user's, so that the answer takes as long.
    nobody: (String, String),
    /// What challenges of carriers are answered with, by trunk.
    trunks: BTreeMap<String, String>,
}

/// Accounts with what people must be told about them.
pub struct Loaded {
    pub accounts: Accounts,
    pub file: PathBuf,
    /// Passwords are ours, made at first start: good for a demo on this machine, and only there.
    pub made_up: bool,
    /// Whose were made just now.
    pub fresh: BTreeSet<String>,
    pub passwords: BTreeMap<String, String>,
}

/// The file that holds passwords where the configuration names none.
pub fn default_file(data: &Path) -> PathBuf {
    data.join("passwords")
}

/// Reads, and where it is ours to do so completes, the passwords of all agents.
pub fn load(
    center: &Center,
    (file, trunks): (Option<&Path>, &BTreeMap<TrunkId, PathBuf>),
    data: &Path,
) -> Result<Loaded> {
    let made_up = file.is_none();
    let file = file.map_or_else(|| default_file(data), Path::to_path_buf);
    let (passwords, fresh) = match made_up {
        true => {
            let before = made_before(&file, Kind::Passwords)?;
            let passwords = own_file(center, &file)?;
            let fresh = passwords.keys().filter(|user| !before.contains_key(*user)).cloned().collect();
            (passwords, fresh)
        }
        false => {
            check_mode(&file)?;
            (config::passwords(&file, center)?, BTreeSet::new())
        }
    };
    let mut accounts = Accounts::new(&center.name, &passwords)?;
    accounts.add_trunks(center, trunks)?;
    Ok(Loaded { accounts, file, made_up, fresh, passwords })
}

/// Whether the passwords of all trunks can be had.
///
/// # Errors
/// One line for each that cannot.
pub fn of_trunks(center: &Center, files: &BTreeMap<TrunkId, PathBuf>) -> Result<()> {
    Accounts::new(&center.name, &BTreeMap::new())?.add_trunks(center, files)
}

/// Reads the file of made-up passwords and completes it for agents who have none yet.
fn own_file(center: &Center, file: &Path) -> Result<BTreeMap<String, String>> {
    completed(file, center.agents.values().map(|agent| &agent.user), Kind::Passwords)
}

/// The made-up secrets that a file has; none if there is no file yet.
///
/// # Errors
/// It cannot be read, others may read it, or it has been emptied: new secrets would lock out everybody who has the old ones.
pub fn made_before(file: &Path, kind: Kind) -> Result<BTreeMap<String, String>> {
    if !file.exists() {
        return Ok(BTreeMap::new());
    }
    let known = read(file, kind)?;
    let hint = format!("put back its lines `{}`, or remove the file to have new {} made", kind.line(), kind.name());
    ensure!(!known.is_empty(), "{}: nobody has a line here; {hint}", file.display());
    Ok(known)
}

/// Reads a file of made-up secrets and completes it for those who have none yet.
pub fn completed<'n>(
    file: &Path,
    names: impl Iterator<Item = &'n String>,
    kind: Kind,
) -> Result<BTreeMap<String, String>> {
    let mut passwords = made_before(file, kind)?;
    let known = passwords.len();
    for name in names {
        if let Entry::Vacant(place) = passwords.entry(name.clone()) {
            place.insert(make_up()?);
        }
    }
    if passwords.len() > known {
        let what = kind.of();
        write(file, what, &passwords).with_context(|| format!("cannot write {what} to {}", file.display()))?;
    }
    Ok(passwords)
}

/// Refuses a file of secrets that others can read.
pub fn check_mode(file: &Path) -> Result<()> {
    check_mode_of(file, || format!("cannot read {}", config::shown(file)))
}

fn check_mode_of(file: &Path, what: impl Fn() -> String) -> Result<()> {
    let metadata = fs::metadata(file).with_context(what)?;
    let mode = metadata.permissions().mode();
    // SAFETY: a plain system call.
    let us = unsafe { libc::geteuid() };
    if !is_private(mode, metadata.uid(), us) {
        bail!("{} can be read by others (mode {:o}); run `chmod 600` on it", config::shown(file), mode & 0o777);
    }
    Ok(())
}

/// Whether a file of this mode and owner is read by its owner only. One that root hands to us through a group is, too:
/// so Kubernetes (a secret with `fsGroup`) and systemd (a credential) give secrets to who is not root.
fn is_private(mode: u32, owner: u32, us: u32) -> bool {
    let handed = owner == 0 && us != 0;
    mode & if handed { 0o037 } else { 0o077 } == 0
}

/// What a file of secrets holds, as it is told, and how its lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Passwords,
    Tokens,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Passwords => "passwords",
            Kind::Tokens => "tokens",
        }
    }

    fn of(self) -> &'static str {
        match self {
            Kind::Passwords => "passwords of phones",
            Kind::Tokens => "tokens of desktops",
        }
    }

    fn line(self) -> &'static str {
        match self {
            Kind::Passwords => "user:password",
            Kind::Tokens => "name:token",
        }
    }
}

/// Reads a file of lines `user:password`, or of what `kind` says; empty lines and lines that begin with `#` do not count.
pub fn read(file: &Path, kind: Kind) -> Result<BTreeMap<String, String>> {
    let what = || format!("cannot read {} from {}", kind.name(), config::shown(file));
    let text = fs::read_to_string(file).with_context(what)?;
    check_mode_of(file, what)?;
    let (mut passwords, mut wrong) = (BTreeMap::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line itself is not shown: it may hold a password.
        let message = match line.split_once(':') {
            Some((user, _)) if passwords.contains_key(user) => format!("`{user}` has a line above"),
            Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                passwords.insert(user.to_owned(), password.to_owned());
                continue;
            }
            _ => format!("a line must be `{}`", kind.line()),
        };
        wrong.push(Problem { file: config::shown(file), line: number + 1, column: 1, message });
    }
    if wrong.is_empty() { Ok(passwords) } else { Err(Problems(wrong).into()) }
}

/// The first line of a trunk's file.
///
/// # Errors
/// It cannot be read, others may read it, or its first line is empty.
pub fn trunk_password(file: &Path) -> Result<String> {
    check_mode(file)?;
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read a password from {}", config::shown(file)))?;
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => bail!("{}: the first line must be the trunk's password", config::shown(file)),
    }
}

fn write(file: &Path, what: &str, passwords: &BTreeMap<String, String>) -> Result<()> {
    let unfinished = file.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    out.set_permissions(Permissions::from_mode(0o600))?; // one that was left behind may have another mode
    writeln!(out, "# The {what}, made at first start. Yours to change; read at each start.")?;
    for (user, password) in passwords {
        writeln!(out, "{user}:{password}")?;
    }
    out.sync_all()?;
    fs::rename(&unfinished, file)?;
    Ok(())
}

fn make_up() -> Result<String> {
    Ok(chance::bytes::<LENGTH>()?.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

impl Accounts {
    fn new(realm: &str, passwords: &BTreeMap<String, String>) -> Result<Accounts> {
        let both = |user: &str, password: &str| {
            let of = |algorithm| ha1(algorithm, user, realm, password);
            (of(Algorithm::Md5), of(Algorithm::Sha256))
        };
        let secrets = passwords.iter().map(|(user, password)| (user.clone(), both(user, password))).collect();
        let (realm, nobody, trunks) = (realm.to_owned(), both("", &make_up()?), BTreeMap::new());
        Ok(Accounts { realm, secrets, nobody, trunks })
    }

    /// Takes the passwords of trunks. One that must prove itself to us has the same one there.
    fn add_trunks(&mut self, center: &Center, files: &BTreeMap<TrunkId, PathBuf>) -> Result<()> {
        let mut wrong = Vec::new();
        for (id, file) in files {
            let password = match trunk_password(file) {
                Ok(password) => password,
                Err(why) => {
                    wrong.push(format!("{why:#}"));
                    continue;
                }
            };
            let Some(user) = center.trunks.get(id).and_then(|trunk| trunk.user.as_deref()) else { continue };
            if center.trunks[id].accepts_digest {
                self.accept(user, &password);
            }
            self.trunks.insert(id.to_string(), password);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    /// Takes whoever proves to have this password as this user.
    fn accept(&mut self, user: &str, password: &str) {
        let of = |algorithm| ha1(algorithm, user, &self.realm, password);
        self.secrets.insert(user.to_owned(), (of(Algorithm::Md5), of(Algorithm::Sha256)));
    }

    /// The password that challenges for this trunk are answered with.
    pub fn of_trunk(&self, trunk: &str) -> Option<&str> {
        self.trunks.get(trunk).map(String::as_str)
    }

    /// Whether the credentials prove the user that they name. Unknown users cost the same work as known ones: a
    /// secret that nobody knows is checked in place of theirs, and everything is looked at before anything is said.
    pub fn verify(&self, credentials: &Credentials, method: &Method) -> bool {
        let known = self.secrets.get(&credentials.username);
        let (md5, sha256) = known.unwrap_or(&self.nobody);
        let secret = match credentials.algorithm {
            Algorithm::Md5 => md5,
            Algorithm::Sha256 => sha256,
        };
        credentials.verify(secret, method) & known.is_some() & (credentials.realm == self.realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::digest::{Challenge, Login, work};

    #[test]
    fn secrets_are_for_their_owner_or_handed_by_root() {
        for (mode, owner, us, private) in [
            (0o600, 1000, 1000, true),
            (0o400, 1000, 1000, true),
            (0o640, 1000, 1000, false), // its owner let a group read it
            (0o604, 1000, 1000, false),
            (0o440, 0, 65532, true), // Kubernetes: root's, and our group's
            (0o400, 0, 65532, true),
            (0o444, 0, 65532, false),
            (0o460, 0, 65532, false), // the group could change it
            (0o440, 0, 0, false),     // we are root: then the group are others
        ] {
            assert_eq!(is_private(mode | 0o100_000, owner, us), private, "{mode:o} of {owner}, read by {us}");
        }
    }

    #[test]
    fn a_file_of_secrets_tells_all_its_mistakes_and_no_secret() {
        let file = std::env::temp_dir().join(format!("tierline-secrets-{}", std::process::id()));
        let lines =
            ["# ours", "ada:ada-knows-it", "", "ben-knows-it", ":cleo-knows-it", "dan:", "ada:again-ada", "eve:e"];
        fs::write(&file, lines.join("\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let told = read(&file, Kind::Tokens).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        let shown = file.display();
        let line = |number| format!("{shown}:{number}:1: a line must be `name:token`");
        let twice = format!("{shown}:7:1: `ada` has a line above");
        assert_eq!(told.lines().collect::<Vec<_>>(), [line(4), line(5), line(6), twice]);
    }

    #[test]
    fn unknown_users_cost_the_work_of_known_ones() {
        let passwords = BTreeMap::from([("ada".to_owned(), "ada-knows-it".to_owned())]);
        let mut accounts = Accounts::new("r", &passwords).unwrap();
        // Of a trunk that proves itself to us by Digest.
        accounts.accept("pbx", "pbx-knows-it");
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let claim = |user, password, realm| {
                let mut proof = Challenge::new(realm, "n", algorithm).answer(
                    Login { user, password },
                    &Method::Register,
                    "sip:r",
                    1,
                    "c",
                );
                proof.realm = "r".to_owned();
                let mut ok = false;
                let hashed = work::of(|| ok = accounts.verify(&proof, &Method::Register));
                (ok, hashed)
            };
            let (right, cost) = claim("ada", "ada-knows-it", "r");
            assert!(right && cost > 0);
            assert_eq!(claim("pbx", "pbx-knows-it", "r"), (true, cost), "a trunk");
            assert_eq!(claim("pbx", "wrong", "r"), (false, cost), "a trunk");
            for (user, password) in [("ada", "wrong"), ("eve", "ada-knows-it"), ("", ""), ("nobody-of-that-name", "x")]
            {
                assert_eq!(claim(user, password, "r"), (false, cost), "{user}");
            }
            assert_eq!(claim("ada", "ada-knows-it", "other"), (false, cost));
        }
    }
}
