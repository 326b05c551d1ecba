//! A stand-in for the media planes: who hears whom, as data; no packet of audio is made.
//!
//! It takes the same commands and makes the same events as `media::Plane`, for the engine's ports and for
//! those of all phones, since it must know both ends: keys pressed at one end are heard at the other, and an
//! end whose peer is gone reports `Silent`. What it tells of a port in the end is as if packets had come and gone
//! as long as both heard each other, some of them lost.
//!
//! Left out: what packets can do (loss, latching, codecs); the planes' own tests have that.

use crate::ids::{PortId, Rng};
use crate::media::{Command, Direction, Event, PortStats, Quality, Session, SoundId, Source, Way};
use crate::table::Table;
use crate::time::{Instant, Timers};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    Engine,
    Phone(u32),
}

/// A port of somebody.
pub type End = (Owner, PortId);

/// What is heard at one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    Sound(SoundId),
    Person(u32),
}

#[derive(Clone, Debug)]
struct Port {
    local: SocketAddr,
    session: Option<Session>,
    plays: Option<(Source, u64)>,
    joined: Option<PortId>,
    /// The other end, if both know each other: each sends to where the other one is.
    far: Option<End>,
    /// Until when the keys asked for so far are being pressed.
    pressing: Instant,
    talk: Talk,
}

/// How long a port has heard and said something, of what lies before `until`.
#[derive(Clone, Copy, Debug)]
struct Talk {
    until: Instant,
    heard: Duration,
    said: Duration,
    /// When it heard something last, or was opened.
    last: Instant,
}

/// A key that is pressed at an end; the number tells keys apart.
type Key = (End, u64, char);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Due {
    /// When the sockets are open.
    Opened(End),
    /// When the sockets are closed.
    Closed(End),
    /// When what plays has been heard.
    Finished(End),
    /// When a key has been pressed.
    Pressed(Key),
    /// When this end has heard nothing for too long.
    Unheard(End),
}

/// The stand-in.
#[derive(Clone, Debug)]
pub struct StandIn {
    now: Instant,
    sounds: BTreeMap<SoundId, Duration>,
    silence: [Duration; 2],
    ports: Table<End, Port>,
    /// Those ports, in order.
    ends: BTreeSet<End>,
    addresses: Table<SocketAddr, End>,
    timers: Timers<Due>,
    /// Of ports that are being closed.
    talks: BTreeMap<End, Talk>,
    /// Keys that are being pressed.
    keys: BTreeSet<Key>,
    outputs: VecDeque<(Owner, Event)>,
    numbers: u64,
    rng: Rng,
    /// Share of ports that cannot be opened.
    failures: f64,
    /// Whose audio never comes to where it is sent.
    mute: BTreeSet<Owner>,
}

/// Ports of one address: even numbers from here …
const FIRST_PORT: u16 = 20_000;
/// … so many of them.
const PORTS: u64 = 20_000;
/// One key and the pause after it.
const KEY: Duration = Duration::from_millis(160);
/// From then on a party has told how it hears …
const REPORTED: Duration = Duration::from_secs(5);
/// … and should have been heard.
const ONE_WAY: Duration = Duration::from_secs(10);
/// A `,` among the keys.
const PAUSE: Duration = Duration::from_millis(500);

impl StandIn {
    /// `silence`: after how long the engine's ports and the phones' ports report that they hear nothing.
    pub fn new(sounds: BTreeMap<SoundId, Duration>, silence: [Duration; 2], failures: f64, rng: Rng) -> StandIn {
        StandIn {
            now: Instant::ZERO,
            sounds,
            silence,
            ports: Table::default(),
            ends: BTreeSet::new(),
            addresses: Table::default(),
            timers: Timers::default(),
            talks: BTreeMap::new(),
            keys: BTreeSet::new(),
            outputs: VecDeque::new(),
            numbers: 0,
            rng,
            failures,
            mute: BTreeSet::new(),
        }
    }

    /// Whatever this one says from here on gets lost, as behind a router that lets no audio out.
    pub fn mute(&mut self, owner: Owner) {
        self.mute.insert(owner);
    }

    /// `host` is the owner's address.
    pub fn handle(&mut self, now: Instant, owner: Owner, host: IpAddr, command: Command) {
        self.now = now;
        self.count_around((owner, command.port()));
        if let Command::Join { b, .. } = command {
            self.count_around((owner, b));
        }
        match command {
            Command::Open { port, .. } => self.open((owner, port), host),
            Command::Close { port } => self.close((owner, port)),
            Command::Connect { port, session } => self.connect((owner, port), session),
            Command::Play { port, source, token } => self.play((owner, port), source, token),
            Command::Stop { port } => self.stop((owner, port)),
            Command::Join { a, b } => self.join(owner, a, b),
            Command::Leave { port } => self.leave((owner, port)),
            Command::SendDigits { port, digits } => self.press((owner, port), &digits),
            // Nobody records here, and who does not acknowledge has not invented himself.
            Command::Listen { .. } | Command::Allow { .. } => {}
            Command::Move { port, to } => assert!(
                port.plane == to,
                "{port:?} cannot move to plane {to}: the world's engine has one plane, and its phones move nothing"
            ),
        }
    }

    pub fn poll(&mut self) -> Option<(Owner, Event)> {
        self.outputs.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// `deadline()` has come.
    pub fn time_passed(&mut self, now: Instant) {
        self.now = now;
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Opened((owner, port)) => self.opened((owner, port)),
                Due::Closed((owner, port)) => {
                    let stats = self.talks.remove(&(owner, port)).map(|talk| talk.stats(now, port.number));
                    self.tell(owner, Event::Closed { port, stats: stats.unwrap_or_default() });
                }
                Due::Finished(end) => self.finished(end),
                Due::Pressed(key) => self.pressed(key),
                Due::Unheard((owner, port)) => self.tell(owner, Event::Silent { port }),
            }
        }
    }

    /// All ports of `owner` are gone without a word: the process or the phone died.
    pub fn vanish(&mut self, now: Instant, owner: Owner) {
        self.now = now;
        for port in self.open_ports(owner) {
            self.count_around((owner, port));
            self.forget((owner, port));
        }
        let [first, last] = ends_of(owner);
        let closing: Vec<End> = self.talks.range(first..=last).map(|(end, _)| *end).collect();
        for end in closing {
            self.talks.remove(&end);
            self.timers.cancel(&Due::Closed(end));
        }
        let keys: Vec<Key> = self.keys.range((first, 0, '\0')..=(last, u64::MAX, char::MAX)).copied().collect();
        for key in keys {
            self.keys.remove(&key);
            self.timers.cancel(&Due::Pressed(key));
        }
        self.outputs.retain(|(whose, _)| *whose != owner);
    }

    /// The ports that `owner` has, those excluded that are being closed.
    pub fn open_ports(&self, owner: Owner) -> Vec<PortId> {
        let [first, last] = ends_of(owner);
        self.ends.range(first..=last).map(|(_, port)| *port).collect()
    }

    pub fn is_open(&self, end: End) -> bool {
        self.ports.contains_key(&end)
    }

    /// The port that is bridged with `port` of the engine.
    pub fn joined(&self, port: PortId) -> Option<PortId> {
        self.ports.get(&(Owner::Engine, port))?.joined
    }

    /// The other end, if both know each other.
    pub fn far(&self, end: End) -> Option<End> {
        self.ports.get(&end)?.far
    }

    fn find_far(&self, end: End) -> Option<End> {
        let port = self.ports.get(&end)?;
        let far = *self.addresses.get(&port.session.as_ref()?.remote)?;
        let back = self.ports.get(&far)?.session.as_ref()?;
        (back.remote == port.local).then_some(far)
    }

    /// Whether something of what the other end says comes here.
    fn hears(&self, end: End) -> bool {
        let far = self.far(end).filter(|(owner, _)| !self.mute.contains(owner));
        let session = far.and_then(|far| self.ports.get(&far)?.session.as_ref());
        session.is_some_and(|session| session.direction.sends())
    }

    /// Where `end` sends its audio, and from where.
    pub fn path(&self, end: End) -> Option<(SocketAddr, SocketAddr)> {
        let port = self.ports.get(&end)?;
        Some((port.local, port.session.as_ref()?.remote))
    }

    /// What the owner of this phone hears.
    pub fn heard_by(&self, phone: u32) -> Heard {
        let owner = Owner::Phone(phone);
        let far = self.open_ports(owner).into_iter().find_map(|port| self.far((owner, port)));
        let Some(port) = far.and_then(|far| self.ports.get(&far)) else { return Heard::Nothing };
        if let Some((source, _)) = &port.plays {
            return match source {
                Source::Once(sounds) => sounds.first().map_or(Heard::Nothing, |sound| Heard::Sound(*sound)),
                Source::Loop(sound) => Heard::Sound(*sound),
                Source::Tone { .. } => Heard::Nothing,
            };
        }
        match port.joined.and_then(|joined| self.far((Owner::Engine, joined))) {
            Some((Owner::Phone(who), _)) => Heard::Person(who),
            _ => Heard::Nothing,
        }
    }

    /// Why it is not quiet.
    pub fn pending(&self) -> Option<String> {
        let end = self.ends.first().map(|end| format!("port {end:?} is open"));
        end.or_else(|| self.timers.keys().next().map(|due| format!("{due:?} is to come")))
    }

    fn tell(&mut self, owner: Owner, event: Event) {
        self.outputs.push_back((owner, event));
    }

    fn soon(&mut self) -> Instant {
        self.now + Duration::from_micros(200 + self.rng.below(3_000))
    }

    fn open(&mut self, end: End, host: IpAddr) {
        let local = loop {
            let number = FIRST_PORT + 2 * (self.numbers % PORTS) as u16;
            self.numbers += 1;
            let local = SocketAddr::new(host, number);
            if !self.addresses.contains_key(&local) {
                break local;
            }
        };
        self.addresses.insert(local, end);
        self.ends.insert(end);
        let talk = Talk { until: self.now, heard: Duration::ZERO, said: Duration::ZERO, last: self.now };
        let (pressing, far) = (self.now, None);
        self.ports.insert(end, Port { local, session: None, plays: None, joined: None, far, pressing, talk });
        let at = self.soon();
        self.timers.set(Due::Opened(end), at);
    }

    fn opened(&mut self, end: End) {
        let (owner, port) = end;
        let Some(local) = self.ports.get(&end).map(|port| port.local) else { return };
        if owner == Owner::Engine && self.rng.chance(self.failures) {
            self.forget(end);
            return self.tell(owner, Event::OpenFailed { port, why: "no socket is left".to_owned() });
        }
        self.tell(owner, Event::Opened { port, local });
    }

    fn close(&mut self, end: End) {
        if let Some(port) = self.ports.get(&end) {
            self.talks.insert(end, port.talk);
            self.forget(end);
            let at = self.soon();
            self.timers.set(Due::Closed(end), at);
        }
    }

    fn forget(&mut self, end: End) {
        self.leave(end);
        let far = self.far(end);
        if let Some(port) = self.ports.remove(&end) {
            self.addresses.remove(&port.local);
            self.ends.remove(&end);
        }
        for due in [Due::Opened(end), Due::Finished(end), Due::Unheard(end)] {
            self.timers.cancel(&due);
        }
        if let Some(far) = far {
            self.knows(far, None);
            self.listen(far);
        }
    }

    fn connect(&mut self, end: End, session: Session) {
        let before = self.far(end);
        let Some(port) = self.ports.find_mut(&end) else { return };
        let first = port.session.replace(session).is_none();
        if first && let Some((source, token)) = port.plays.take() {
            self.play(end, source, token);
        }
        let after = self.find_far(end);
        before.into_iter().for_each(|far| self.knows(far, None));
        after.into_iter().for_each(|far| self.knows(far, Some(end)));
        self.knows(end, after);
        [Some(end), before, after].into_iter().flatten().for_each(|end| self.listen(end));
    }

    fn knows(&mut self, end: End, far: Option<End>) {
        self.ports.find_mut(&end).into_iter().for_each(|port| port.far = far);
    }

    /// Whether this end hears its peer may have changed.
    fn listen(&mut self, end: End) {
        // As a plane does: who holds says sendonly, and many send nothing then (RFC 3264 §8.4).
        let session = self.ports.get(&end).and_then(|port| port.session.as_ref());
        let expects = session.is_some_and(|session| session.direction == Direction::SendRecv);
        let far = self.far(end).and_then(|far| self.ports.get(&far)?.session.as_ref());
        let shares = |session: &&Session| session.agreed.mux;
        if let (Some(here), Some(there)) = (session.as_ref().map(shares), far.as_ref().map(shares)) {
            assert!(here == there, "one end of {end:?} sends RTCP where the other one does not take it");
        }
        let (hears, due) = (self.hears(end), Due::Unheard(end));
        match expects && !hears {
            true if !self.timers.is_set(&due) => {
                let after = self.silence[usize::from(end.0 != Owner::Engine)];
                self.timers.set(due, self.now + after);
            }
            true => {}
            false => _ = self.timers.cancel(&due),
        }
    }

    /// As in a plane, who is played to stays joined: the other one goes on hearing him.
    fn play(&mut self, end: End, source: Source, token: u64) {
        let Some(port) = self.ports.find_mut(&end) else { return };
        let length = match &source {
            Source::Once(sounds) => Some(sounds.iter().filter_map(|sound| self.sounds.get(sound)).sum::<Duration>()),
            Source::Loop(_) | Source::Tone { .. } => None,
        };
        port.plays = Some((source, token));
        self.timers.cancel(&Due::Finished(end));
        if let (Some(length), true) = (length, port.session.is_some()) {
            self.timers.set(Due::Finished(end), self.now + length);
        }
    }

    fn stop(&mut self, end: End) {
        self.timers.cancel(&Due::Finished(end));
        if let Some(port) = self.ports.find_mut(&end) {
            port.plays = None;
        }
    }

    fn finished(&mut self, end: End) {
        self.count(end);
        let plays = self.ports.find_mut(&end).and_then(|port| port.plays.take());
        if let Some((_, token)) = plays {
            self.tell(end.0, Event::Finished { port: end.1, token });
        }
    }

    fn join(&mut self, owner: Owner, a: PortId, b: PortId) {
        for port in [a, b] {
            self.leave((owner, port));
            self.stop((owner, port));
        }
        if self.ports.contains_key(&(owner, a)) && self.ports.contains_key(&(owner, b)) {
            for (one, other) in [(a, b), (b, a)] {
                self.ports.find_mut(&(owner, one)).expect("the port that has just been seen").joined = Some(other);
            }
        }
    }

    fn leave(&mut self, end: End) {
        let Some(other) = self.ports.find_mut(&end).and_then(|port| port.joined.take()) else { return };
        if let Some(other) = self.ports.find_mut(&(end.0, other)) {
            other.joined = None;
        }
    }

    /// Something is about to change at `end`: counts what it, its peer and who is joined with it have heard and said.
    fn count_around(&mut self, end: End) {
        let joined = self.ports.get(&end).and_then(|port| port.joined).map(|other| (end.0, other));
        [Some(end), self.far(end), joined].into_iter().flatten().for_each(|end| self.count(end));
    }

    /// Of the engine's ports: nobody asks phones.
    fn count(&mut self, end: End) {
        if end.0 != Owner::Engine {
            return;
        }
        let hears = self.hears(end);
        let (now, Some(port)) = (self.now, self.ports.find_mut(&end)) else { return };
        let sends = port.session.as_ref().is_some_and(|session| session.direction.sends());
        let (span, talk) = (now.since(port.talk.until), &mut port.talk);
        talk.until = now;
        if sends && (port.plays.is_some() || port.joined.is_some()) {
            talk.said += span;
        }
        if hears {
            (talk.heard, talk.last) = (talk.heard + span, now);
        }
    }

    fn press(&mut self, end: End, digits: &str) {
        let Some(port) = self.ports.find_mut(&end) else { return };
        let mut at = port.pressing.max(self.now);
        for digit in digits.chars() {
            at = at + if digit == ',' { PAUSE } else { KEY };
            if digit != ',' {
                self.numbers += 1;
                let key = (end, self.numbers, digit);
                self.keys.insert(key);
                self.timers.set(Due::Pressed(key), at);
            }
        }
        port.pressing = at;
    }

    fn pressed(&mut self, key: Key) {
        self.keys.remove(&key);
        let (end, _, digit) = key;
        if let Some((owner, port)) = self.far(end) {
            self.tell(owner, Event::Digit { port, digit, duration_ms: 100, way: Way::Event });
        }
    }
}

impl Talk {
    /// What a plane might have counted; the number of the port stands for chance.
    fn stats(&self, closed: Instant, number: u64) -> PortStats {
        let packets = |time: Duration| (time.as_millis() / 20) as u64;
        let lost = packets(self.heard) * (number * 7 % 5) / 1000;
        let round_trip_us = (self.heard > REPORTED).then(|| (8_000 + number * 977 % 40_000) as u32);
        PortStats {
            packets_in: packets(self.heard) - lost,
            packets_out: packets(self.said),
            lost,
            jitter: (1 + number * 3 % 8) as u32 * 8,
            quiet_ms: closed.since(self.last).as_millis() as u32,
            quality: Quality {
                round_trip_us,
                one_way: self.heard.is_zero() && self.said > ONE_WAY,
                ..Quality::default()
            },
            ..PortStats::default()
        }
    }
}

/// The first and the last end that he may have.
fn ends_of(owner: Owner) -> [End; 2] {
    [PortId { plane: 0, number: 0 }, PortId { plane: u16::MAX, number: u64::MAX }].map(|port| (owner, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;

    const ENGINE: Owner = Owner::Engine;
    const SILENCE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(90)];

    fn port(number: u64) -> PortId {
        PortId { plane: 0, number }
    }

    fn host(owner: Owner) -> IpAddr {
        match owner {
            Owner::Engine => [192, 0, 2, 1].into(),
            Owner::Phone(key) => [10, 0, 0, key as u8].into(),
        }
    }

    struct Desk(StandIn, Instant);

    impl Desk {
        /// Two phones, each connected with a port of the engine.
        fn with_two_calls() -> Desk {
            let sounds = BTreeMap::from([(SoundId(1), Duration::from_secs(2))]);
            let mut desk = Desk(StandIn::new(sounds, SILENCE, 0.0, Rng::from_number(1)), Instant::ZERO);
            let ends = [(ENGINE, 1), (Owner::Phone(1), 1), (ENGINE, 2), (Owner::Phone(2), 1)];
            ends.iter()
                .for_each(|(owner, number)| desk.asks(*owner, Command::Open { port: port(*number), six: false }));
            let told = desk.until(1);
            let local = |end: (Owner, u64)| {
                let opened = told.iter().find_map(|(owner, event)| match event {
                    Event::Opened { port, local } if (*owner, port.number) == end => Some(*local),
                    _ => None,
                });
                opened.expect("each port opens")
            };
            for (a, b) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
                let session = session(local(ends[b]));
                desk.asks(ends[a].0, Command::Connect { port: port(ends[a].1), session });
            }
            desk
        }

        fn asks(&mut self, owner: Owner, command: Command) {
            self.0.handle(self.1, owner, host(owner), command);
        }

        /// What is told until so many seconds.
        fn until(&mut self, seconds: u64) -> Vec<(Owner, Event)> {
            while let Some(at) = self.0.deadline().filter(|at| at.0 <= seconds * 1_000_000_000) {
                self.1 = at;
                self.0.time_passed(at);
            }
            self.1 = Instant(seconds * 1_000_000_000);
            std::iter::from_fn(|| self.0.poll()).collect()
        }
    }

    fn session(remote: SocketAddr) -> Session {
        Session::plain(remote, Codec::Pcmu)
    }

    #[test]
    fn who_is_joined_is_heard_and_who_leaves_is_not() {
        let mut desk = Desk::with_two_calls();
        assert_eq!(desk.0.heard_by(1), Heard::Nothing);
        desk.asks(ENGINE, Command::Play { port: port(1), source: Source::Once(vec![SoundId(1)]), token: 7 });
        assert_eq!(desk.0.heard_by(1), Heard::Sound(SoundId(1)));
        assert_eq!(desk.until(4), [(ENGINE, Event::Finished { port: port(1), token: 7 })]);
        desk.asks(ENGINE, Command::Join { a: port(1), b: port(2) });
        assert_eq!((desk.0.heard_by(1), desk.0.heard_by(2)), (Heard::Person(2), Heard::Person(1)));
        desk.asks(ENGINE, Command::Leave { port: port(2) });
        assert_eq!((desk.0.heard_by(1), desk.0.heard_by(2)), (Heard::Nothing, Heard::Nothing));
    }

    #[test]
    fn keys_arrive_in_order_and_a_dead_peer_is_reported_once() {
        let mut desk = Desk::with_two_calls();
        desk.asks(Owner::Phone(1), Command::SendDigits { port: port(1), digits: "1,2".to_owned() });
        let digit = |digit| (ENGINE, Event::Digit { port: port(1), digit, duration_ms: 100, way: Way::Event });
        assert_eq!(desk.until(3), [digit('1'), digit('2')]);
        let now = desk.1;
        desk.0.vanish(now, Owner::Phone(2));
        assert_eq!(desk.until(32), []);
        assert_eq!(desk.until(200), [(ENGINE, Event::Silent { port: port(2) })]);
    }

    /// Who holds is not heard and hears nothing, and neither is he who is not joined to anybody.
    #[test]
    fn what_a_port_has_heard_and_said_is_told_when_it_is_closed() {
        let mut desk = Desk::with_two_calls();
        desk.asks(ENGINE, Command::Join { a: port(1), b: port(2) });
        desk.until(11);
        let ours = desk.0.path((ENGINE, port(2))).unwrap().0;
        let session = Session { direction: Direction::Inactive, ..session(ours) };
        desk.asks(Owner::Phone(2), Command::Connect { port: port(1), session });
        desk.until(31);
        [1, 2].into_iter().for_each(|number| desk.asks(ENGINE, Command::Close { port: port(number) }));
        let closed = |event: (Owner, Event)| match event {
            (_, Event::Closed { port, stats }) => Some((port.number, stats)),
            _ => None,
        };
        let closed: BTreeMap<u64, PortStats> = desk.until(32).into_iter().filter_map(closed).collect();
        let counted = |number: u64| {
            let stats = &closed[&number];
            (stats.packets_in + stats.lost, stats.packets_out, stats.quiet_ms / 1000)
        };
        assert_eq!((counted(1), counted(2)), ((1500, 1500, 0), (500, 1500, 20)));
    }

    #[test]
    fn nothing_is_left_when_all_ports_are_closed() {
        let mut desk = Desk::with_two_calls();
        desk.asks(ENGINE, Command::Close { port: port(1) });
        desk.asks(ENGINE, Command::Close { port: port(2) });
        assert!(desk.0.pending().is_some());
        [1, 2].into_iter().for_each(|key| desk.asks(Owner::Phone(key), Command::Close { port: port(1) }));
        let closed = desk.until(2).iter().filter(|(_, event)| matches!(event, Event::Closed { .. })).count();
        assert_eq!((closed, desk.0.pending()), (4, None));
    }
}
