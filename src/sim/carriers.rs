//! Carriers: gateways that bring calls to outside numbers, and are not always well.
//!
//! A carrier has one address and many lines; behind each line is somebody with a phone ([`Person::outsider`]). A new call
//! goes to a line that is quiet, by its Call-ID; what belongs to a call goes where the call went; OPTIONS are answered
//! by the first line. A carrier works, or it is in one of the moods of [`Mood`] for a while. Some want to know who calls,
//! or a registration ([`super::doors`]).
//!
//! Left out: calls that they bring (see `place::configuration`).

use super::agenda::Due;
use super::doors::{Door, user_at};
use super::parties::Party;
use super::people::{self, Person};
use super::{Options, World, parties, place};
use crate::engine::{Configuration, Input};
use crate::ids::{AgentId, Rng};
use crate::phone::{self, Ask};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// The first line of the first carrier; its other lines follow, then those of the next one.
pub(super) const FIRST_LINE: u32 = 0x00c0_0000;
const LINES: u32 = 64;
/// How long a trouble of a carrier lasts at most.
const LONGEST_TROUBLE: u64 = 120;
/// What makes a call outside fail, or not: how many may be under way at once.
const SHARES: [u32; 4] = [1, 2, 50, 50];

/// How a carrier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    /// New calls are refused with this status at once: 503, or another that is the carrier's own.
    Refuses(u16),
    /// Nothing that is sent to it arrives, what is talked goes on.
    Silent,
    /// Its process has died with all calls.
    Dead,
}

#[derive(Clone, Debug)]
struct Carrier {
    mood: Mood,
    /// When something was last lost in its silence.
    unheard: Option<Instant>,
    door: Door,
}

/// All carriers.
#[derive(Clone, Debug, Default)]
pub(super) struct Carriers {
    all: Vec<Carrier>,
    /// The line of each call, by Call-ID.
    calls: BTreeMap<String, u32>,
    /// Agents (by place) who have no phone, only a number.
    pub phoneless: BTreeSet<u32>,
}

/// Whether this is somebody behind a carrier.
pub(super) fn is_line(key: u32) -> bool {
    key >= FIRST_LINE
}

/// The key whose address this one shares.
pub(super) fn gateway_of(key: u32) -> u32 {
    if is_line(key) { FIRST_LINE + (key - FIRST_LINE) / LINES * LINES } else { key }
}

/// What the trunk over this carrier is called.
pub(super) fn name_of(key: u32) -> String {
    format!("out-{}", (key - FIRST_LINE) / LINES)
}

/// `2.17` for a line.
pub(super) fn number_of(line: u32) -> String {
    format!("{}.{}", (line - FIRST_LINE) / LINES + 1, (line - FIRST_LINE) % LINES + 1)
}

impl Carriers {
    /// Puts carriers into the configuration, and agents who are reached over them.
    pub fn new(options: &Options, configuration: &mut Configuration, rng: &mut Rng) -> Carriers {
        if options.carriers == 0 {
            return Carriers::default();
        }
        let gateways = (0..options.carriers).map(|n| FIRST_LINE + n * LINES);
        let named: Vec<(String, SocketAddr)> =
            gateways.map(|gateway| (name_of(gateway), parties::address(gateway))).collect();
        place::add_vendor(configuration, &named);
        let doors = Door::drawn(options.carriers, options.guarded, &mut rng.fork("doors"));
        let mut all = Vec::new();
        for ((name, _), door) in named.iter().zip(doors) {
            let trunk = configuration.center.trunks.get_mut(&crate::ids::TrunkId::new(name)).expect("just put there");
            trunk.order = rng.below(2) as u16;
            trunk.outgoing.calls = SHARES[rng.below(SHARES.len() as u64) as usize];
            trunk.options = rng.chance(0.8).then_some(Duration::from_secs(30));
            trunk.user = (door.challenges.is_some() || door.registers).then(|| user_at(name));
            // Another names it when we register or call.
            trunk.realm = trunk.user.is_some().then(|| name.to_owned()).filter(|_| !door.registers);
            trunk.register = door.registers.then(|| Duration::from_secs([60, 120, 300][rng.below(3) as usize]));
            all.push(Carrier { mood: Mood::Works, unheard: None, door });
        }
        let mut phoneless = BTreeSet::new();
        for key in 0..options.agents {
            if rng.chance(options.on_numbers) {
                let agent = AgentId(place::FIRST_AGENT + key);
                place::reach_on_number(configuration, agent, rng.chance(0.7));
                if rng.chance(0.6) {
                    phoneless.insert(key);
                }
            }
        }
        Carriers { all, calls: BTreeMap::new(), phoneless }
    }

    pub fn door(&mut self, key: u32) -> Option<&mut Door> {
        self.of(key).map(|carrier| &mut carrier.door)
    }

    pub fn door_named(&mut self, trunk: &str) -> Option<&mut Door> {
        let number: usize = trunk.strip_prefix("out-")?.parse().ok()?;
        self.all.get_mut(number).map(|carrier| &mut carrier.door)
    }

    /// The engine begins to know them.
    pub fn meet(&mut self, now: Instant) {
        self.all.iter_mut().for_each(|carrier| carrier.door.opens(now));
    }

    fn of(&mut self, key: u32) -> Option<&mut Carrier> {
        self.all.get_mut((key.checked_sub(FIRST_LINE)? / LINES) as usize)
    }
}

impl World {
    /// Carriers begin to work, and to have troubles.
    pub(super) fn open_carriers(&mut self) {
        for carrier in 0..self.options.carriers {
            self.line_is_there(FIRST_LINE + carrier * LINES);
            self.plan_trouble(carrier);
        }
    }

    fn plan_trouble(&mut self, carrier: u32) {
        if !self.options.carrier_trouble.is_zero() {
            let after = people::exponential(&mut self.rng, self.options.carrier_trouble);
            self.after(after, Due::Carrier(carrier));
        }
    }

    /// A carrier that works has a trouble from now on, and one that had one works again.
    pub(super) fn carrier_turns(&mut self, carrier: u32) {
        let first = FIRST_LINE + carrier * LINES;
        let over = self.now.since(Instant::ZERO) >= self.options.duration;
        let Some(mood) = self.carriers.of(first).map(|carrier| carrier.mood) else { return };
        let moods = [Mood::Refuses(503), Mood::Refuses(403), Mood::Refuses(500), Mood::Silent, Mood::Dead, Mood::Dead];
        let next = match mood {
            Mood::Works if over => return,
            Mood::Works => moods[self.rng.below(moods.len() as u64) as usize],
            _ => Mood::Works,
        };
        self.note(&format!("Carrier {}", carrier + 1), || format!("{next:?}"));
        if mood == Mood::Works {
            self.check_registered(first);
        }
        self.carriers.of(first).into_iter().for_each(|carrier| carrier.mood = next);
        match next {
            Mood::Works => {
                let now = self.now;
                self.carriers.door(first).into_iter().for_each(|door| door.opens(now));
                self.line_is_there(first);
                self.plan_trouble(carrier);
            }
            _ => {
                let lasts = Duration::from_secs(2 + self.rng.below(LONGEST_TROUBLE));
                self.after(lasts, Due::Carrier(carrier));
            }
        }
        if next == Mood::Dead {
            self.carriers.door(first).into_iter().for_each(Door::forgets);
            let lines: Vec<u32> = self.parties.keys().range(first..first + LINES).copied().collect();
            lines.into_iter().for_each(|line| self.vanish(line));
        }
    }

    /// To which line a message goes that has arrived at a carrier; none where it is lost.
    pub(super) fn line_for(&mut self, gateway: u32, bytes: &[u8]) -> Option<u32> {
        let now = self.now;
        let carrier = self.carriers.of(gateway)?;
        let mood = carrier.mood;
        if matches!(mood, Mood::Silent | Mood::Dead) {
            carrier.unheard = Some(now);
            return None;
        }
        if !self.passes_door(gateway, mood, bytes) {
            return None;
        }
        let id = call_id(bytes)?;
        match self.carriers.calls.get(&id) {
            Some(line) => Some(*line),
            None if bytes.starts_with(b"INVITE ") => {
                let line = (gateway..gateway + LINES).find(|line| self.is_quiet(*line)).unwrap_or(gateway);
                self.line_is_there(line);
                self.carriers.calls.retain(|_, other| *other != line);
                self.carriers.calls.insert(id, line);
                let refuses = if let Mood::Refuses(status) = mood { Some(status) } else { None };
                if refuses.is_some() {
                    self.carriers.door(gateway).into_iter().for_each(|door| door.refuses(now));
                }
                self.phone_gets(line, phone::Input::Ask(Ask::Refuse { status: refuses }));
                Some(line)
            }
            None => Some(gateway),
        }
    }

    fn is_quiet(&self, line: u32) -> bool {
        let phone = self.parties.find(line).and_then(|party| party.phone.as_ref());
        phone.is_none_or(|phone| phone.pending().is_none())
    }

    fn line_is_there(&mut self, line: u32) {
        if self.parties.find(line).is_some_and(|party| party.phone.is_some()) {
            return;
        }
        if self.parties.find(line).is_none() {
            let (habits, rng) = (self.options.habits.clone(), self.rng.fork(&format!("line {line}")));
            self.parties.insert(line, Party::new(Person::outsider(habits, rng)));
        }
        self.boot(line, true);
    }

    /// Whether something that was sent to this line within `time` was lost in its carrier's silence.
    pub(super) fn was_unheard(&mut self, line: u32, time: Duration) -> bool {
        let now = self.now;
        self.carriers.of(line).and_then(|carrier| carrier.unheard).is_some_and(|at| now.since(at) <= time)
    }

    /// The day is over: nobody is reached over carriers any more, and they are asked no more whether they are there.
    pub(super) fn close_carriers(&mut self) {
        if self.options.carriers == 0 {
            return;
        }
        let works = |carrier: &u32| self.carriers.all[*carrier as usize].mood == Mood::Works;
        let working: Vec<u32> = (0..self.options.carriers).filter(works).collect();
        working.into_iter().for_each(|carrier| self.check_registered(FIRST_LINE + carrier * LINES));
        let center = &mut self.configuration.center;
        center.trunks.values_mut().for_each(|trunk| (trunk.options, trunk.register) = (None, None));
        center.agents.values_mut().for_each(|agent| agent.number = None);
        self.engine_gets(Input::Configured(Box::new(self.configuration.clone())));
    }
}

/// The Call-ID of a message as the engine writes it.
fn call_id(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).map(str::to_owned)
}
