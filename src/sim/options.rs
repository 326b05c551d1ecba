//! What is simulated: how many people, how long, how bad the network, how often the engine dies.

use super::network::Conditions;
use super::people::Habits;
use super::place;
use crate::ids::Rng;
use std::time::Duration;

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub seed: u64,
    pub agents: u32,
    /// How long calls arrive; then all must become quiet.
    pub duration: Duration,
    /// Calls in an hour; none: what keeps the agents busy for about 87 % of their time.
    pub calls_per_hour: Option<f64>,
    pub conditions: Conditions,
    pub habits: Habits,
    /// Share of the phones that use 100rel, UPDATE or short session timers, each by itself.
    pub odd_phones: f64,
    /// Whether queues select, ring, age, relax and wrap up each in a drawn way, and not all in the default one.
    pub rules: bool,
    /// How often the engine is killed, at random times; and as often, where there are desktops, after some of their commands.
    pub crashes: u32,
    /// Share of the engine's ports that cannot be opened.
    pub port_failures: f64,
    /// Share of the engine's requests that its own machine cannot send (RFC 3261 §18.4), and tells it.
    pub unsent: f64,
    /// How long the ticketing system takes for an answer, on average.
    pub ticketing: Duration,
    /// How long the announcement is on, and off; zero: nobody switches it.
    pub banners: Duration,
    /// Carriers that calls go out over; without any, nobody dials [`place::VENDOR_LINE`] with success.
    pub carriers: u32,
    /// How long a carrier works between two troubles, on average; zero: always.
    pub carrier_trouble: Duration,
    /// Share of the carriers that want proof of who calls, and share of those that want a registration.
    pub guarded: f64,
    /// Share of the agents who are reached on an outside number; most of them have no phone.
    pub on_numbers: f64,
    /// Share of the agents who have a desktop; if not zero, at least one has.
    pub desktops: f64,
    /// How long a desktop works between two troubles, on average.
    pub desktop_trouble: Duration,
    /// The pause between two OPTIONS to a registered phone.
    pub keepalive: Option<Duration>,
    /// How many inputs the engine gets between two looks at its whole state; 1: after each.
    pub scan_every: u64,
    /// Keep every input of the engine, to replay them.
    pub record: bool,
}

impl Options {
    /// A usual day of a center: good network, ordinary people, the engine killed once.
    pub fn day(seed: u64, agents: u32, hours: f64) -> Options {
        Options {
            seed,
            agents,
            duration: Duration::from_secs_f64(hours.clamp(0.0, 1_000.0) * 3_600.0),
            calls_per_hour: None,
            conditions: Conditions {
                loss: 0.002,
                duplication: 0.001,
                ..Conditions::drawn(&mut Rng::from_number(seed))
            },
            habits: Habits::usual(),
            odd_phones: 0.1,
            rules: false,
            crashes: 1,
            port_failures: 0.0,
            unsent: 0.000_1,
            ticketing: Duration::from_millis(200),
            banners: Duration::from_secs(1_200),
            carriers: 2,
            carrier_trouble: Duration::from_secs(1_800),
            guarded: 0.5,
            on_numbers: 0.04,
            desktops: 0.05,
            desktop_trouble: Duration::from_secs(400),
            keepalive: Some(Duration::from_secs(60)),
            scan_every: (u64::from(agents) * 2).max(1),
            record: false,
        }
    }

    /// A small world in which everything is drawn from the seed: how bad the network, how odd the people, how
    /// often the engine dies.
    pub fn swarm(seed: u64) -> Options {
        let mut rng = Rng::from_number(seed).fork("options");
        let agents = 1 + rng.below(12) as u32;
        let rate = [2.0, 10.0, 20.0, 40.0][rng.below(4) as usize];
        Options {
            seed,
            agents,
            duration: Duration::from_secs(600 + rng.below(1_800)),
            calls_per_hour: Some(rate * f64::from(agents)),
            conditions: Conditions::drawn(&mut rng),
            habits: Habits::drawn(&mut rng),
            odd_phones: 0.3,
            rules: rng.chance(0.6),
            crashes: rng.below(4).saturating_sub(1) as u32,
            port_failures: if rng.chance(0.2) { 0.05 } else { 0.0 },
            unsent: if rng.chance(0.3) { 0.02 } else { 0.0 },
            ticketing: Duration::from_millis(rng.below(3_000)),
            banners: Duration::from_secs(60 + rng.below(600)),
            carriers: rng.below(4) as u32,
            carrier_trouble: Duration::from_secs(30 + rng.below(600)),
            on_numbers: if rng.chance(0.5) { rng.unit() * 0.6 } else { 0.0 },
            desktops: if rng.chance(0.7) { rng.unit() } else { 0.0 },
            desktop_trouble: Duration::from_secs(20 + rng.below(200)),
            guarded: [0.0, 0.5, 1.0][rng.below(3) as usize],
            keepalive: Some(Duration::from_secs(30)),
            scan_every: 1,
            record: false,
        }
    }

    /// A network that loses nothing, people who do as they are told, an engine that lives.
    pub fn scripted() -> Options {
        Options {
            conditions: Conditions::clean(),
            odd_phones: 0.0,
            unsent: 0.0,
            crashes: 0,
            ticketing: Duration::ZERO,
            banners: Duration::ZERO,
            carriers: 0,
            on_numbers: 0.0,
            desktops: 0.0,
            keepalive: None,
            scan_every: 1,
            duration: Duration::ZERO,
            ..Options::day(1, 2, 0.0)
        }
    }

    pub(super) fn calls_per_hour(&self) -> f64 {
        let busy = self.habits.mean_talk.as_secs_f64() + 4.0 + place::WRAP_UP.as_secs_f64() + 3.0;
        self.calls_per_hour.unwrap_or(f64::from(self.agents) * 3_600.0 / busy * 0.87)
    }
}
