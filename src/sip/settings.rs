//! What an endpoint is told about its place in the world: listeners, timers, limits.

use super::api::{Flow, Transport};
use super::digest::Algorithm;
use super::frame;
use super::guard::Network;
use super::route;
use crate::center::Peer;
use crate::ids::TrunkId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where we receive. The two addresses differ behind a NAT and where we bind to "any".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub bind: SocketAddr,
    /// What Via and Contact tell the others.
    pub advertised: SocketAddr,
    pub transport: Transport,
    /// Which Digest algorithm phones are challenged with here: one only, since some phones fail on a choice.
    pub algorithm: Algorithm,
}

impl Listener {
    /// UDP, advertised as bound, MD5.
    pub fn udp(bind: SocketAddr) -> Listener {
        Listener { bind, advertised: bind, transport: Transport::Udp, algorithm: Algorithm::Md5 }
    }
}

/// RFC 3261 §17.1.1.1 and table 4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Estimated round trip: 50 ms … 5 s, default 500 ms.
    pub t1: Duration,
    /// Longest pause between retransmissions: `t1` … 30 s, default 4 s.
    pub t2: Duration,
    /// How long a message may linger in the network: `t1` … 60 s, default 5 s.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// How long a phone may register for (RFC 3261 §10.3 step 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationTimes {
    /// Less is answered 423: 1 s … 1 h, default 60 s.
    pub min: Duration,
    /// More is cut to this: `min` … 24 h, default 1 h.
    pub max: Duration,
    /// For a phone that asks for nothing: `min` … `max`, default 5 min.
    pub default: Duration,
    /// Within which a phone behind a flow of RFC 5626 sends something over it: 10 s … 1 h, default 2 min.
    pub flow_timer: Duration,
}

impl Default for RegistrationTimes {
    fn default() -> RegistrationTimes {
        let secs = Duration::from_secs;
        RegistrationTimes { min: secs(60), max: secs(3600), default: secs(300), flow_timer: secs(120) }
    }
}

/// How long a session may live unless it is refreshed (RFC 4028).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimes {
    /// Whether we ask for a timer, and grant one to who does not insist (`Require: timer`). Default: yes.
    pub on: bool,
    /// What we ask for, and grant at most: `min` … 24 h, default 30 min. A refresh is due at half of it.
    pub interval: Duration,
    /// Less is answered 422: 90 s … 1 h, default 90 s.
    pub min: Duration,
}

impl Default for SessionTimes {
    fn default() -> SessionTimes {
        SessionTimes { on: true, interval: Duration::from_secs(1800), min: Duration::from_secs(90) }
    }
}

/// What the endpoint may hold at most; beyond it new work is refused with 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Server transactions: 100 … 10,000,000, default 200,000; twice as many for requests within calls. Each may
    /// keep 2,048 bytes on average; where messages are longer, there is room for fewer.
    pub transactions: usize,
    /// Legs: 10 … 1,000,000, default 100,000.
    pub legs: usize,
    /// Bindings of one user: 1 … 100, default 8; one more replaces the least useful one.
    pub bindings_per_user: usize,
    /// Places at which one call of ours may ring or be answered, told apart by their tags; what more say is not heard:
    /// 1 … 256, default 16.
    pub forks: usize,
    /// Proxies in front of a phone (Path): 1 … 64, default 8; with more it is refused with 400.
    pub path: usize,
    /// Questions to the shell without an answer: 10 … 1,000,000, default 20,000.
    pub queries: usize,
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity { transactions: 200_000, legs: 100_000, bindings_per_user: 8, forks: 16, path: 8, queries: 20_000 }
    }
}

/// What becomes of those who fail to prove who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarding {
    /// Failures without consequence: 0 … 1,000, default 3.
    pub free: u32,
    /// The first pause after that, doubled with each further failure: 100 ms … 1 min, default 1 s.
    pub pause: Duration,
    /// So many failures, of an address or at a user, end in a ban: 1 … 10,000, default 10.
    pub limit: u32,
    /// Failures are forgotten when none has followed for so long: 10 s … 1 day, default 10 min.
    pub window: Duration,
    /// How long a ban lasts: 10 s … 7 days, default 10 min.
    pub ban: Duration,
    /// Addresses, and users, that are counted or banned at once: 100 … 1,000,000, default 50,000.
    pub most: usize,
    /// Networks that are never counted. Default: this machine.
    pub trusted: Vec<Network>,
}

impl Guarding {
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(ip))
    }
}

impl Default for Guarding {
    fn default() -> Guarding {
        let secs = Duration::from_secs;
        let own = ["127.0.0.0/8", "::1"].map(|text| text.parse().expect("a network"));
        let (pause, window, ban) = (secs(1), secs(600), secs(600));
        Guarding { free: 3, pause, limit: 10, window, ban, most: 50_000, trusted: own.to_vec() }
    }
}

/// What an endpoint is told about its place in the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Shown in challenges; part of every HA1.
    pub realm: String,
    /// Host names that are ours beside the listeners' addresses.
    pub domains: Vec<String>,
    /// Who must prove to be who he says (user parts, plain text).
    pub users: BTreeSet<String>,
    /// Whose calls are which trunk's, by where they come from.
    pub trunk_peers: Vec<(TrunkId, Peer)>,
    /// Who proves by Digest to be which trunk.
    pub trunk_users: BTreeMap<String, TrunkId>,
    /// As whom a trunk's challenges are answered, in calls that it brings; whoever calls out over one says so each time.
    #[serde(default)]
    pub trunk_accounts: BTreeMap<TrunkId, String>,
    /// The only realm in which a trunk's challenges are answered, where one is set.
    #[serde(default)]
    pub trunk_realms: BTreeMap<TrunkId, String>,
    pub timing: Timing,
    pub registration: RegistrationTimes,
    pub sessions: SessionTimes,
    /// Whether our user carries out `Event::Referred`; if not, REFER is answered 603 and not offered in Allow.
    pub takes_refer: bool,
    /// The pause between two OPTIONS to a bound phone: 5 s … 1 h, default 30 s; `None` sends none.
    pub keepalive: Option<Duration>,
    /// For the headers Server and User-Agent.
    pub server_name: String,
    pub limits: frame::Limits,
    pub capacity: Capacity,
    /// How long a nonce may be used: 10 s … 1 day, default 5 min.
    pub nonce_life: Duration,
    #[serde(default)]
    pub guard: Guarding,
}

impl Config {
    /// Defaults everywhere; the realm is `server_name`.
    pub fn new(listeners: Vec<Listener>, server_name: &str) -> Config {
        Config {
            listeners,
            realm: server_name.to_owned(),
            domains: Vec::new(),
            users: BTreeSet::new(),
            trunk_peers: Vec::new(),
            trunk_users: BTreeMap::new(),
            trunk_accounts: BTreeMap::new(),
            trunk_realms: BTreeMap::new(),
            timing: Timing::default(),
            registration: RegistrationTimes::default(),
            sessions: SessionTimes::default(),
            takes_refer: false,
            keepalive: Some(Duration::from_secs(30)),
            server_name: server_name.to_owned(),
            limits: frame::Limits::default(),
            capacity: Capacity::default(),
            nonce_life: Duration::from_secs(300),
            guard: Guarding::default(),
        }
    }

    /// The way that a flow of before a restart is now: listeners may stand in another order, or be gone. `bound` is where
    /// its listener was: a phone behind a NAT is reached from nowhere else.
    pub(super) fn flow_now(&self, flow: Flow, bound: Option<SocketAddr>) -> Option<Flow> {
        // Listeners at [::] took IPv4 as well once.
        let remote = SocketAddr::new(flow.remote.ip().to_canonical(), flow.remote.port());
        let flow = Flow { remote, ..flow };
        let reaches = |listener: &&Listener| {
            listener.transport == flow.transport && route::reaches(listener.bind.ip(), flow.remote.ip())
        };
        let same = |listener: &Listener| Some(listener.bind) == bound && reaches(&listener);
        let there = self.listeners.get(usize::from(flow.listener)).filter(reaches).map(|_| usize::from(flow.listener));
        let listener = self.listeners.iter().position(same).or(there);
        let listener = listener.or_else(|| self.listeners.iter().position(|listener| reaches(&listener)))?;
        Some(Flow { listener: u16::try_from(listener).ok()?, ..flow })
    }

    /// Where the listener of a flow is bound.
    pub(super) fn bound(&self, flow: Flow) -> Option<SocketAddr> {
        self.listeners.get(usize::from(flow.listener)).map(|listener| listener.bind)
    }
}
