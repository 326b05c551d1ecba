//! The phones' passwords: a text file of lines `user:password`.
//!
//! Problems name lines and users and never show a password.

use super::source::Source;
use super::{Problem, Problems};
use crate::center::Center;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Characters of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Reads the passwords of all agents, by user. Blank lines and lines that begin with `#` are skipped.
/// A user twice, an unknown user and an agent without a password are problems.
pub fn passwords(file: &Path, center: &Center) -> Result<BTreeMap<String, String>, Problems> {
    let text = Source::Disk.text(file).map_err(|problem| Problems(vec![problem]))?;
    let shown = Source::Disk.shown(file);
    let (mut passwords, mut problems) = (BTreeMap::new(), Vec::new());
    // Whose line is wrong is told there, and not once more.
    let mut has_line = BTreeSet::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        has_line.extend(line.split_once(':').map(|(user, _)| user));
        match entry(line, center, &passwords) {
            Ok((user, password)) => drop(passwords.insert(user.to_owned(), password.to_owned())),
            Err(message) => problems.push(Problem { file: shown.clone(), line: i + 1, column: 1, message }),
        }
    }
    let lacking = center.agents.values().filter(|agent| !has_line.contains(agent.user.as_str()));
    let lacking = lacking.map(|agent| Problem::whole(&shown, format!("the user `{}` has no password", agent.user)));
    problems.extend(lacking);
    if problems.is_empty() { Ok(passwords) } else { Err(Problems(problems)) }
}

fn entry<'l>(line: &'l str, center: &Center, before: &BTreeMap<String, String>) -> Result<(&'l str, &'l str), String> {
    let (user, password) = line.split_once(':').ok_or("this line is none of `user:password`")?;
    if center.agent_of(user).is_none() {
        return Err("this line's user is no agent's; allowed: the users of the configuration's agents".into());
    }
    if before.contains_key(user) {
        return Err(format!("the user `{user}` has a password above"));
    }
    if !LENGTH.contains(&password.chars().count()) || password.chars().any(char::is_control) {
        let (from, to) = (LENGTH.start(), LENGTH.end());
        return Err(format!("the password of `{user}` is not allowed; allowed: {from} to {to} characters"));
    }
    Ok((user, password))
}
