//! Who fails to prove himself too often must wait longer each time, and is not listened to for a while after that.
//!
//! Counted by address (IPv6: by /64, which is what one subscriber has) and by the user that was claimed, known or not:
//! what an attacker meets tells nothing about who exists. Who guesses one user's password from many places locks
//! nobody out where he has proven himself before. Trusted networks are never counted.
//!
//! ```text
//! failures    1 … free    free+1 …       limit
//!             heard       waits, 503     address: dropped · user: every proof counts as wrong
//! ```
//!
//! From a banned address still heard are phones over the flow that they are registered over, trunks, and what belongs to
//! calls that run. Memory is bounded: of what is counted, the oldest is forgotten. Left out: who only asks for challenges
//! is not counted, since each costs one hash and tells nothing. A phone behind a banned address that must register anew
//! waits for the end of the ban, unless its network is trusted: whoever guesses there must not learn who else is.

use super::settings::Guarding;
use crate::time::{Instant, Timers};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4() && masked(ip, self.bits) == self.address
    }
}

/// The first `bits` of an address; no more than it has.
fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => (ip & Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0))).into(),
        IpAddr::V6(ip) => (ip & Ipv6Addr::from(u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0))).into(),
    }
}

impl FromStr for Network {
    type Err = String;

    /// `192.0.2.0/24`, or one address. Bits beyond those that count must be zero: else it is not what was meant.
    fn from_str(text: &str) -> Result<Network, String> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is no address"))?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let digits = |bits: &str| bits.bytes().all(|b| b.is_ascii_digit());
        let bits = bits.map_or(Some(all), |bits| bits.parse().ok().filter(|n| *n <= all && digits(bits)));
        let bits = bits.ok_or_else(|| format!("`{text}`: a length from 0 to {all} must follow the slash"))?;
        match masked(address, bits) {
            whole if whole == address => Ok(Network { address, bits }),
            whole => Err(format!("`{text}` has bits beyond its length; did you mean {whole}/{bits}?")),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Network, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

/// Whether somebody's proof is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Heard,
    /// Too soon after he failed: seconds still to wait.
    Waits(u32),
    /// His user is under attack, and he has never been proven there; or his address is banned, and is heard only because
    /// a carrier or a phone is there too: as if the proof were wrong.
    Refused,
}

/// Characters of a user's name that is counted; none of ours is longer.
const LONGEST_NAME: usize = 64;
/// Addresses of one user that are remembered, because he has proven himself there.
const PLACES: usize = 8;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Guard {
    addresses: Failures<IpAddr>,
    users: Failures<String>,
    /// User → where he has proven himself, latest last. Only users that exist can: bounded by them.
    proven: BTreeMap<String, Vec<IpAddr>>,
}

impl Guard {
    /// Whether what comes from there is dropped unread. Nearly free while nobody is banned.
    pub fn drops(&self, ip: IpAddr) -> bool {
        !self.addresses.banned.is_empty() && self.addresses.banned.contains(&subscriber(ip))
    }

    /// Asked before a proof is looked at. `registered`: the user's own phone is registered over this very flow.
    pub fn verdict(&self, now: Instant, settings: &Guarding, (ip, user): (IpAddr, &str), registered: bool) -> Verdict {
        if registered || settings.trusts(ip) {
            return Verdict::Heard;
        }
        let (place, user) = (subscriber(ip), countable(user));
        let known = self.proven.get(user).is_some_and(|places| places.contains(&place));
        if self.addresses.banned.contains(&place) || (!known && self.users.banned.contains(user)) {
            return Verdict::Refused;
        }
        let of_user = if known { Duration::ZERO } else { self.users.pause(now, settings, user) };
        let pause = of_user.max(self.addresses.pause(now, settings, &place));
        match u32::try_from(pause.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX) {
            0 => Verdict::Heard,
            seconds => Verdict::Waits(seconds),
        }
    }

    pub fn failed(&mut self, now: Instant, settings: &Guarding, (ip, user): (IpAddr, &str)) {
        if !settings.trusts(ip) {
            self.addresses.count(now, settings, subscriber(ip));
            self.users.count(now, settings, countable(user).to_owned());
        }
    }

    pub fn proved(&mut self, (ip, user): (IpAddr, &str)) {
        let place = subscriber(ip);
        let places = self.proven.entry(user.to_owned()).or_default();
        if places.last() != Some(&place) {
            places.retain(|known| *known != place);
            places.push(place);
            places.drain(..places.len().saturating_sub(PLACES));
        }
    }

    /// Forgets where users have proven themselves that are no more.
    pub fn keep_only(&mut self, exists: impl Fn(&str) -> bool) {
        self.proven.retain(|user, _| exists(user));
    }

    pub fn deadline(&self) -> Option<Instant> {
        [self.addresses.bans.deadline(), self.users.bans.deadline()].into_iter().flatten().min()
    }

    /// Lifts the bans whose time is over.
    pub fn timeout(&mut self, now: Instant) {
        self.addresses.lift(now);
        self.users.lift(now);
    }

    /// Addresses and users: banned now, and bans since the start.
    pub fn bans(&self) -> [(usize, u64); 2] {
        [(self.addresses.banned.len(), self.addresses.total), (self.users.banned.len(), self.users.total)]
    }
}

/// One subscriber's share of the address space.
pub fn subscriber(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.into(),
            None => (ip & Ipv6Addr::from(u128::MAX << 64)).into(),
        },
        ip => ip,
    }
}

fn countable(user: &str) -> &str {
    let end = (0..=user.len().min(LONGEST_NAME)).rev().find(|end| user.is_char_boundary(*end));
    &user[..end.unwrap_or(0)]
}

/// How often each has failed of late, and who is banned for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Failures<K: Ord + Hash + Clone> {
    counts: BTreeMap<K, Count>,
    /// By the last failure, so that the oldest is forgotten first.
    by_age: BTreeSet<(Instant, K)>,
    banned: BTreeSet<K>,
    /// When to lift a ban.
    bans: Timers<K>,
    total: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Count {
    failures: u32,
    last: Instant,
}

impl<K: Ord + Hash + Clone> Default for Failures<K> {
    fn default() -> Failures<K> {
        let (counts, by_age) = (BTreeMap::new(), BTreeSet::new());
        Failures { counts, by_age, banned: BTreeSet::new(), bans: Timers::default(), total: 0 }
    }
}

impl<K: Ord + Hash + Clone> Failures<K> {
    fn count(&mut self, now: Instant, settings: &Guarding, who: K) {
        self.forget_old(now, settings);
        let earlier = self.forget(&who).filter(|count| now.since(count.last) < settings.window);
        let failures = earlier.map_or(0, |count| count.failures) + 1;
        if failures >= settings.limit && self.banned.len() < settings.most {
            self.total += u64::from(self.banned.insert(who.clone()));
            self.bans.set(who, now + settings.ban);
            return; // Afterwards it begins anew.
        }
        self.counts.insert(who.clone(), Count { failures, last: now });
        self.by_age.insert((now, who));
    }

    fn forget(&mut self, who: &K) -> Option<Count> {
        let count = self.counts.remove(who)?;
        self.by_age.remove(&(count.last, who.clone()));
        Some(count)
    }

    /// Those whose time is over, and the oldest where there are too many.
    fn forget_old(&mut self, now: Instant, settings: &Guarding) {
        while let Some((last, who)) = self.by_age.first() {
            if now.since(*last) < settings.window && self.counts.len() < settings.most {
                return;
            }
            let who = who.clone();
            self.forget(&who);
        }
    }

    /// How long he must still wait: nothing at first, then twice as long each time.
    fn pause<Q: Ord + ?Sized>(&self, now: Instant, settings: &Guarding, who: &Q) -> Duration
    where
        K: std::borrow::Borrow<Q>,
    {
        let Some(count) = self.counts.get(who) else { return Duration::ZERO };
        let Some(doublings) = count.failures.checked_sub(settings.free + 1) else { return Duration::ZERO };
        let pause = settings.pause.saturating_mul(1 << doublings.min(20)).min(settings.window);
        pause.saturating_sub(now.since(count.last))
    }

    fn lift(&mut self, now: Instant) {
        while let Some(who) = self.bans.pop_due(now) {
            self.banned.remove(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Heard, Refused, Waits};

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn settings() -> Guarding {
        let secs = Duration::from_secs;
        let trusted = vec!["10.1.0.0/16".parse().unwrap()];
        Guarding { free: 2, pause: secs(1), limit: 6, window: secs(600), ban: secs(900), most: 1_000, trusted }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_fails_waits_longer_each_time_and_is_then_dropped() {
        let (mut guard, settings) = (Guard::default(), settings());
        let who = (ip("192.0.2.9"), "ada");
        // Seconds; what is said then; the proof is wrong each time it is heard.
        let rows = [
            (0, Heard),
            (0, Heard),
            (0, Heard),
            (0, Waits(1)),
            (1, Heard),
            (1, Waits(2)),
            (2, Waits(1)),
            (3, Heard),
            (3, Waits(4)),
            (7, Heard),
        ];
        for (second, expect) in rows {
            assert!(!guard.drops(who.0), "at {second}");
            assert_eq!(guard.verdict(at(second), &settings, who, false), expect, "at {second}");
            if expect == Heard {
                guard.failed(at(second), &settings, who);
            }
        }
        assert!(guard.drops(who.0) && !guard.drops(ip("192.0.2.8")));
        assert_eq!(guard.bans(), [(1, 1), (1, 1)]);
        assert_eq!(guard.deadline(), Some(at(907)));
        guard.timeout(at(907));
        assert!(!guard.drops(who.0));
        assert_eq!((guard.bans(), guard.deadline()), ([(0, 1), (0, 1)], None));
        assert_eq!(guard.verdict(at(907), &settings, who, false), Heard, "it begins anew");
    }

    #[test]
    fn an_attack_from_elsewhere_locks_nobody_out_at_home() {
        let (mut guard, settings) = (Guard::default(), settings());
        let (home, away) = (ip("192.0.2.1"), ip("192.0.2.2"));
        guard.proved((home, "ada"));
        for n in 0..6 {
            guard.failed(at(n), &settings, (ip(&format!("198.51.100.{n}")), "ada"));
        }
        assert_eq!(guard.bans(), [(0, 0), (1, 1)], "each address has failed once, the user six times");
        assert_eq!(guard.verdict(at(6), &settings, (home, "ada"), false), Heard);
        assert_eq!(guard.verdict(at(6), &settings, (away, "ada"), false), Refused);
        assert_eq!(guard.verdict(at(6), &settings, (away, "ada"), true), Heard, "his own phone's flow");
        assert_eq!(guard.verdict(at(6), &settings, (away, "ben"), false), Heard);
        assert_eq!(guard.verdict(at(6), &settings, (ip("10.1.2.3"), "ada"), false), Heard, "a trusted network");
        guard.keep_only(|user| user != "ada");
        assert_eq!(guard.verdict(at(6), &settings, (home, "ada"), false), Refused, "a user that is gone");
    }

    #[test]
    fn unknown_users_are_counted_like_known_ones() {
        let settings = settings();
        let run = |user: &str| {
            let mut guard = Guard::default();
            let mut said = Vec::new();
            for n in 0..9 {
                let who = (ip(&format!("198.51.100.{n}")), user);
                said.push(guard.verdict(at(0), &settings, who, false));
                guard.failed(at(0), &settings, who);
            }
            said
        };
        assert_eq!(run("ada"), run("nobody"));
        assert_eq!(run("ada").last(), Some(&Refused));
    }

    #[test]
    fn trusted_networks_and_quiet_times_are_not_held_against_anybody() {
        let (mut guard, settings) = (Guard::default(), settings());
        (0..100).for_each(|_| guard.failed(at(0), &settings, (ip("10.1.0.1"), "ada")));
        assert_eq!(guard.bans(), [(0, 0), (0, 0)]);
        for n in 0..20 {
            guard.failed(at(n * 600), &settings, (ip("192.0.2.1"), "ada")); // One in each window.
            assert_eq!(guard.verdict(at(n * 600), &settings, (ip("192.0.2.1"), "ada"), false), Heard);
        }
        assert_eq!(guard.bans(), [(0, 0), (0, 0)]);
    }

    #[test]
    fn many_attackers_fill_no_memory() {
        let (mut guard, settings) = (Guard::default(), settings());
        for n in 0..20_000u32 {
            let user = format!("{n}{}", "x".repeat(8_000));
            for _ in 0..1 + n % 7 {
                guard.failed(at(n.into()), &settings, (IpAddr::V4(n.into()), &user));
            }
        }
        let sizes = |counts: usize, ages: usize, banned: usize| counts == ages && counts <= 1_000 && banned <= 1_000;
        let Guard { addresses, users, .. } = &guard;
        assert!(sizes(addresses.counts.len(), addresses.by_age.len(), addresses.banned.len()));
        assert!(sizes(users.counts.len(), users.by_age.len(), users.banned.len()));
        assert!(users.counts.keys().all(|user| user.len() == LONGEST_NAME));
    }

    #[test]
    fn a_subscriber_of_ipv6_has_one_count() {
        let (mut guard, settings) = (Guard::default(), settings());
        (0..6).for_each(|n| guard.failed(at(0), &settings, (ip(&format!("2001:db8::{n}")), "ada")));
        assert!(guard.drops(ip("2001:db8::ffff")) && !guard.drops(ip("2001:db8:0:1::1")));
        (0..6).for_each(|_| guard.failed(at(0), &settings, (ip("::ffff:192.0.2.1"), "ben")));
        assert!(guard.drops(ip("192.0.2.1")));
    }

    #[test]
    fn networks() {
        let rows = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("::/0", "2001:db9::1", true),
            ("::1", "::1", true),
        ];
        for (network, address, expect) in rows {
            let read: Network = network.parse().unwrap();
            assert_eq!(read.contains(ip(address)), expect, "{address} in {network}");
            assert_eq!(read.to_string().parse::<Network>(), Ok(read));
        }
        for wrong in ["192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+8", "::/129", "x", "10/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
