//! `[server.sip.…]`: timers, registration, sessions, proofs of identity and limits of the SIP endpoint.

use crate::sip::guard::Network;
use crate::sip::{self, Capacity, Guarding, Limits, RegistrationTimes, SessionTimes, Timing};
use crate::written::{Place, Section, Value, write_duration};
use std::time::Duration;

/// What of [`sip::Config`] is written in the configuration, beside the listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub timing: Timing,
    pub registration: RegistrationTimes,
    pub sessions: SessionTimes,
    /// The pause between two OPTIONS to a registered phone; none: it is not asked.
    pub keepalive: Option<Duration>,
    pub nonce_life: Duration,
    pub guard: Guarding,
    pub limits: Limits,
    pub capacity: Capacity,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol {
            timing: Timing::default(),
            registration: RegistrationTimes::default(),
            sessions: SessionTimes::default(),
            keepalive: Some(30 * SECOND),
            nonce_life: 300 * SECOND,
            guard: Guarding::default(),
            limits: Limits::default(),
            capacity: Capacity::default(),
        }
    }
}

impl Protocol {
    /// Writes it into the settings of an endpoint.
    pub fn apply(&self, config: &mut sip::Config) {
        let it = self.clone();
        config.timing = it.timing;
        config.registration = it.registration;
        config.sessions = it.sessions;
        config.keepalive = it.keepalive;
        config.nonce_life = it.nonce_life;
        config.guard = it.guard;
        config.limits = it.limits;
        config.capacity = it.capacity;
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Networks in a list.
const MAX_NETWORKS: usize = 256;

/// Reads the tables below `[server.sip]`.
pub fn read(sip: &mut Section<'_>) -> Protocol {
    let (registration, keepalive) = registration(sip.section("registration"));
    let (guard, nonce_life) = guard(sip.section("guard"));
    let (limits, capacity) = limits(sip.section("limits"), registration.1);
    Protocol {
        timing: timing(sip.section("timers")),
        registration: registration.0,
        sessions: sessions(sip.section("sessions")),
        keepalive,
        nonce_life,
        guard,
        limits,
        capacity,
    }
}

/// A time with the place to complain at.
fn time(
    section: &mut Section<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<Duration>,
    usual: Duration,
) -> (Duration, Place) {
    let value = section.take(key);
    let place = value.as_ref().map_or(section.place.clone(), |value| value.place.clone());
    (value.and_then(|value| value.duration(range)).unwrap_or(usual), place)
}

/// Two times of which one must not be above the other.
fn ordered(section: &Section<'_>, (low, less): (&str, Duration), (high, more): (&str, Duration), place: &Place) {
    if less > more {
        let (less, more) = (write_duration(less), write_duration(more));
        section.page.report(place, format!("`{low}` is \"{less}\", above `{high}`, which is \"{more}\""));
    }
}

fn timing(mut section: Section<'_>) -> Timing {
    let usual = Timing::default();
    let (t1, place) = time(&mut section, "t1", 50 * MS..=5 * SECOND, usual.t1);
    let t2 = section.duration("t2", 50 * MS..=30 * SECOND, usual.t2);
    let t4 = section.duration("t4", 50 * MS..=MINUTE, usual.t4);
    ordered(&section, ("t1", t1), ("t2", t2), &place);
    ordered(&section, ("t1", t1), ("t4", t4), &place);
    section.finish();
    Timing { t1, t2, t4 }
}

fn sessions(mut section: Section<'_>) -> SessionTimes {
    let usual = SessionTimes::default();
    let on = section.take("on").and_then(|value| value.flag()).unwrap_or(usual.on);
    let interval = section.duration("interval", 90 * SECOND..=DAY, usual.interval);
    let (min, place) = time(&mut section, "min", 90 * SECOND..=HOUR, usual.min);
    ordered(&section, ("min", min), ("interval", interval), &place);
    section.finish();
    SessionTimes { on, interval, min }
}

/// The times with how many phones an agent may have, and how often each is asked.
fn registration(mut section: Section<'_>) -> ((RegistrationTimes, usize), Option<Duration>) {
    let usual = RegistrationTimes::default();
    let (min, min_place) = time(&mut section, "min", SECOND..=HOUR, usual.min);
    let max = section.duration("max", SECOND..=DAY, usual.max);
    let (default, place) = time(&mut section, "default", SECOND..=DAY, usual.default);
    ordered(&section, ("min", min), ("max", max), &min_place);
    ordered(&section, ("min", min), ("default", default), &place);
    ordered(&section, ("default", default), ("max", max), &place);
    let flow_timer = section.duration("flow_timer", 10 * SECOND..=HOUR, usual.flow_timer);
    let phones = section.whole("phones", 1..=100, Capacity::default().bindings_per_user as i64) as usize;
    let keepalive = section.take("keepalive").map_or(Some(Some(30 * SECOND)), |value| period(&value)).flatten();
    section.finish();
    ((RegistrationTimes { min, max, default, flow_timer }, phones), keepalive)
}

/// A time, or `"off"`.
fn period(value: &Value<'_>) -> Option<Option<Duration>> {
    if value.text_as_written() == Some("off") {
        return Some(None);
    }
    value.duration(5 * SECOND..=HOUR).map(Some)
}

/// Who fails to prove himself, with the life of a nonce.
fn guard(mut section: Section<'_>) -> (Guarding, Duration) {
    let usual = Guarding::default();
    let nonce_life = section.duration("nonce_life", 10 * SECOND..=DAY, 300 * SECOND);
    let networks = "a list of networks such as [\"192.0.2.0/24\", \"2001:db8::/32\"]";
    let trusted = section.take("trusted").map(|value| {
        let written = value.list(networks);
        written.iter().take(MAX_NETWORKS).filter_map(network).collect()
    });
    let guard = Guarding {
        free: section.whole("free", 0..=1_000, usual.free.into()) as u32,
        pause: section.duration("pause", 100 * MS..=MINUTE, usual.pause),
        limit: section.whole("limit", 1..=10_000, usual.limit.into()) as u32,
        window: section.duration("window", 10 * SECOND..=DAY, usual.window),
        ban: section.duration("ban", 10 * SECOND..=7 * DAY, usual.ban),
        most: section.whole("most", 100..=1_000_000, usual.most as i64) as usize,
        trusted: trusted.unwrap_or(usual.trusted),
    };
    section.finish();
    (guard, nonce_life)
}

fn network(value: &Value<'_>) -> Option<Network> {
    let why = value.text_as_written().and_then(|text| text.parse::<Network>().err());
    let allowed = why.map_or("a network such as \"192.0.2.0/24\", or an address".to_owned(), |why| {
        format!("a network such as \"192.0.2.0/24\", or an address ({why})")
    });
    value.parsed(&allowed, |text| text.parse().ok())
}

fn limits(mut section: Section<'_>, bindings_per_user: usize) -> (Limits, Capacity) {
    let (usual, room) = (Limits::default(), Capacity::default());
    let mut whole = |key, low, high, usual: usize| section.whole(key, low..=high, usual as i64) as usize;
    let limits = Limits {
        message_bytes: whole("message", 512, 1_048_576, usual.message_bytes),
        headers: whole("headers", 16, 4_096, usual.headers),
        header_bytes: whole("header", 256, 65_535, usual.header_bytes),
        uri_bytes: whole("uri", 64, 8_192, usual.uri_bytes),
    };
    let capacity = Capacity {
        transactions: whole("transactions", 100, 10_000_000, room.transactions),
        legs: whole("legs", 10, 1_000_000, room.legs),
        bindings_per_user,
        forks: whole("forks", 1, 256, room.forks),
        path: whole("path", 1, 64, room.path),
        queries: whole("queries", 10, 1_000_000, room.queries),
    };
    section.finish();
    (limits, capacity)
}
