//! What a value on the command line may be. A wrong one is told with its unit and range.

use std::ops::RangeInclusive;
use std::time::Duration;
use tierline::server;

fn number(text: &str, range: RangeInclusive<f64>, unit: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("allowed: {} to {} {unit}", range.start(), range.end()))
}

fn whole(text: &str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("allowed: a whole number from {} to {} {unit}", range.start(), range.end()))
}

/// Where a server has its pages, on this machine or another: also as the URL that is printed at a start.
pub fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let bare = bare.strip_prefix("localhost:").map_or(bare.to_owned(), |port| format!("127.0.0.1:{port}"));
    bare.parse()
        .map_err(|_| "allowed: an address with a port, such as 127.0.0.1:8080 or http://127.0.0.1:8080".to_owned())
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 0.0..=86_400.0, "seconds").map(Duration::from_secs_f64)
}

pub fn hours(text: &str) -> Result<f64, String> {
    number(text, 0.05..=1_000.0, "hours")
}

pub fn calls_per_hour(text: &str) -> Result<f64, String> {
    number(text, 1.0..=1_000_000.0, "calls in an hour")
}

pub fn calls(text: &str) -> Result<u64, String> {
    whole(text, 1..=1_000_000, "calls")
}

pub fn calls_listed(text: &str) -> Result<u64, String> {
    whole(text, 0..=1_000_000, "calls")
}

pub fn agents(text: &str) -> Result<u64, String> {
    whole(text, 1..=10_000, "agents")
}

pub fn crashes(text: &str) -> Result<u64, String> {
    whole(text, 0..=10_000, "times")
}

pub fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX, "(any gives a world of its own)")
}

pub fn by(text: &str) -> Result<server::report::By, String> {
    use server::report::By;
    let known = [("queue", By::Queue), ("agent", By::Agent), ("line", By::Line), ("flow", By::Flow)];
    let found = known.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, by)| by).ok_or_else(|| "allowed: queue, agent, line, flow".to_owned())
}

/// Keys of a telephone; small letters mean the same.
pub fn keys(text: &str) -> Result<String, String> {
    keys_and(text, &[','], "a comma, which lets time pass")
}

/// The same for who tries a flow without a call.
pub fn tried_keys(text: &str) -> Result<String, String> {
    let others = "a comma, which lets time pass, or ! before a key that is pressed while something is said";
    let follows = text.split('!').skip(1).all(|rest| rest.starts_with(|key| key != ','));
    if follows { keys_and(text, &[',', '!'], others) } else { Err("a key must stand behind each !".to_owned()) }
}

fn keys_and(text: &str, others: &[char], what: &str) -> Result<String, String> {
    let allowed = format!("allowed: 1 to 1000 of 0-9, *, #, A-D, and {what}");
    let is_key = |key: char| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d') || others.contains(&key);
    match text.chars().find(|key| !is_key(*key)) {
        Some(wrong) => Err(format!("there is no key `{}`; {allowed}", wrong.escape_debug())),
        None if (1..=1000).contains(&text.len()) => Ok(text.to_ascii_uppercase()),
        None => Err(allowed),
    }
}
