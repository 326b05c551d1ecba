//! Bindings of users' phones (RFC 3261 §10.3), each with the flow it came over, and whether it still answers.
//!
//! Authentication has happened before. A phone behind several flows is told apart in `instance`. Left out: `Date` in
//! answers.

use super::api::{Event, Flow, UnboundCause};
use super::header::{Contacts, Name, NameAddr};
use super::headers::{Headers, parse_seconds};
use super::instance::{Manner, instance_of, reg_id_of};
use super::message::Request;
use super::settings::RegistrationTimes;
use super::uri::{Scheme, Uri};
use crate::table::Table;
use crate::time::{Instant, Timers};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// One phone of one user: where it is, and the flow it came over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Plain text.
    pub user: String,
    /// As the phone registered it; the URI is the request URI of calls to it.
    pub contact: NameAddr,
    /// The path to the phone.
    pub flow: Flow,
    /// Preference 0 … 1,000 (thousandths; 1,000 if the phone says none).
    pub q: u16,
    /// RFC 3261 §10.3 step 7: with these two an old REGISTER that comes late is told from a new one.
    pub call_id: String,
    pub cseq: u32,
    /// When it ends unless refreshed.
    pub expires: Instant,
    /// Whether the phone answered when it was last asked.
    pub alive: bool,
    /// The proxies in front of the phone, first hop first, as they stand in Route (RFC 3327).
    #[serde(default)]
    pub path: Vec<String>,
    /// The phone itself, a URN (RFC 5626 §4.1).
    #[serde(default)]
    pub instance: Option<String>,
    /// Which of its flows this is; none: it does not keep several.
    #[serde(default)]
    pub reg_id: Option<u32>,
    /// What its temporary GRUUs are sealed with; none: it asked for none.
    #[serde(default)]
    pub seed: Option<String>,
    /// Where the listener of `flow` was bound, for a start with others.
    #[serde(default)]
    pub bound: Option<SocketAddr>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Deadline {
    /// When to forget a binding that was not refreshed.
    Expire(u64),
    /// When to ask the phone whether it is there.
    Ask(u64),
}

/// Why a REGISTER fails: its status, and for 423 the seconds of Min-Expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: u16,
    pub min_expires: Option<u64>,
}

const fn refused(status: u16) -> Refused {
    Refused { status, min_expires: None }
}

/// One Contact of a REGISTER, read.
struct Wish {
    contact: NameAddr,
    q: u16,
    /// Zero removes.
    life: Duration,
    instance: Option<String>,
    /// Only where flows are kept apart.
    reg_id: Option<u32>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Registrar {
    bindings: BTreeMap<u64, Binding>,
    by_user: BTreeMap<String, BTreeSet<u64>>,
    /// Asked for with each message that comes.
    by_flow: Table<Flow, BTreeSet<u64>>,
    timers: Timers<Deadline>,
    last: u64,
    /// Phones that are due to be asked.
    pub due: Vec<u64>,
    /// Phones that have just been found not to answer.
    pub silenced: Vec<u64>,
}

impl Registrar {
    /// The user's bindings, oldest first.
    pub fn of<'a>(&'a self, user: &str) -> impl Iterator<Item = &'a Binding> {
        self.by_user.get(user).into_iter().flatten().map(|number| &self.bindings[number])
    }

    pub fn all(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values()
    }

    pub fn by_number(&self, number: u64) -> Option<&Binding> {
        self.bindings.get(&number)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// What has come due: expired bindings go, phones to be asked are put in `due`.
    pub fn timeout(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Deadline::Expire(number) => events.extend(self.remove(number, UnboundCause::Expired)),
                Deadline::Ask(number) => self.due.push(number),
            }
        }
        events
    }

    /// RFC 3261 §10.3 steps 6 and 7: all of the request's Contacts or none.
    pub fn register(
        &mut self,
        now: Instant,
        (user, flow): (&str, Flow),
        (request, manner): (&Request, &Manner),
        times: &RegistrationTimes,
        at_most: usize,
    ) -> Result<Vec<Event>, Refused> {
        let headers = &request.headers;
        let (Ok(call_id), Ok(cseq)) = (headers.call_id(), headers.cseq()) else { return Err(refused(400)) };
        let expires = headers.expires();
        let wishes = match headers.contacts().map_err(|why| refused(why.status()))? {
            Contacts::Star if expires != Some(0) => return Err(refused(400)), // §10.2.2
            Contacts::Star => self.of(user).map(removal).collect(),
            Contacts::List(contacts) => read(contacts, expires, times, manner.outbound)?,
        };
        let known: Vec<Option<u64>> = wishes.iter().map(|wish| self.meant(user, wish)).collect();
        let is_old =
            |number: &u64| self.bindings[number].call_id == call_id && self.bindings[number].cseq >= cseq.number;
        if known.iter().flatten().any(is_old) {
            return Err(refused(500)); // Step 7: an old REGISTER that came late changes nothing.
        }
        let (had_phones, was_alive) = (self.by_user.contains_key(user), self.is_alive(user));
        let mut events = Vec::new();
        for wish in wishes {
            // Looked up here again: a request may name one Contact twice.
            let number = self.meant(user, &wish);
            match number {
                Some(number) if wish.life.is_zero() => {
                    events.extend(self.remove(number, UnboundCause::Removed));
                    continue;
                }
                None if wish.life.is_zero() => continue,
                _ => {}
            }
            let seed = self.seed(number, call_id, &wish, manner);
            let binding = Binding {
                path: manner.path.clone(),
                instance: wish.instance,
                reg_id: wish.reg_id,
                seed,
                user: user.to_owned(),
                contact: wish.contact,
                flow,
                q: wish.q,
                call_id: call_id.to_owned(),
                cseq: cseq.number,
                expires: now + wish.life,
                alive: true,
                bound: None,
            };
            events.extend(self.make_room(user, number, at_most));
            self.put(number, binding.clone());
            events.push(Event::Bound { user: user.to_owned(), binding });
        }
        let is_alive = self.is_alive(user);
        events.retain(|event| !matches!(event, Event::Alive { .. })); // Of the steps; only the sum counts.
        if had_phones && is_alive != was_alive && self.by_user.contains_key(user) {
            events.push(Event::Alive { user: user.to_owned(), alive: is_alive });
        }
        Ok(events)
    }

    /// Takes over a binding of an earlier start.
    pub fn restore(&mut self, binding: Binding) {
        let number = self.find(&binding.user, &binding.contact.uri, binding.instance.as_deref(), binding.reg_id);
        let alive = binding.alive;
        let number = self.put(number, binding);
        if !alive {
            self.silenced.push(number);
        }
    }

    fn meant(&self, user: &str, wish: &Wish) -> Option<u64> {
        self.find(user, &wish.contact.uri, wish.instance.as_deref(), wish.reg_id)
    }

    /// RFC 5627 §5.1: temporary GRUUs live as long as the phone registers with the same Call-ID.
    fn seed(&self, number: Option<u64>, call_id: &str, wish: &Wish, manner: &Manner) -> Option<String> {
        let known = number.map(|number| &self.bindings[&number]).filter(|known| known.call_id == call_id);
        let fresh = || manner.seed.clone();
        (manner.gruu && wish.instance.is_some())
            .then(|| known.and_then(|known| known.seed.clone()).unwrap_or_else(fresh))
    }

    /// A binding is known by its Contact, or by the phone and which of its flows it is (RFC 5626 §6).
    fn find(&self, user: &str, uri: &Uri, instance: Option<&str>, reg_id: Option<u32>) -> Option<u64> {
        let is_meant = |binding: &Binding| match reg_id {
            Some(_) => binding.reg_id == reg_id && binding.instance.as_deref() == instance,
            None => binding.contact.uri.equivalent(uri),
        };
        self.by_user.get(user)?.iter().copied().find(|number| is_meant(&self.bindings[number]))
    }

    /// Makes room for a new binding: of those that do not answer, else of all, the oldest goes.
    fn make_room(&mut self, user: &str, replaced: Option<u64>, at_most: usize) -> Vec<Event> {
        let Some(numbers) = self.by_user.get(user).filter(|n| replaced.is_none() && n.len() >= at_most) else {
            return Vec::new();
        };
        let useless = numbers.iter().min_by_key(|number| (self.bindings[number].alive, **number)).copied();
        useless.map(|number| self.remove(number, UnboundCause::Replaced)).unwrap_or_default()
    }

    /// Adds a binding or renews the one with this number.
    pub fn put(&mut self, number: Option<u64>, binding: Binding) -> u64 {
        let number = number.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        if let Some(old) = self.bindings.get(&number) {
            let flow = old.flow;
            self.no_more_over(flow, number);
        }
        self.timers.set(Deadline::Expire(number), binding.expires);
        self.by_flow.or_default(binding.flow).insert(number);
        self.by_user.entry(binding.user.clone()).or_default().insert(number);
        self.bindings.insert(number, binding);
        number
    }

    fn remove(&mut self, number: u64, why: UnboundCause) -> Vec<Event> {
        let Some(binding) = self.bindings.remove(&number) else { return Vec::new() };
        self.no_more_over(binding.flow, number);
        self.timers.cancel(&Deadline::Expire(number));
        self.timers.cancel(&Deadline::Ask(number));
        let mut events = Vec::new();
        let user = binding.user.clone();
        if let Some(numbers) = self.by_user.get_mut(&user) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_user.remove(&user);
            } else if binding.alive && !self.is_alive(&user) {
                events.push(Event::Alive { user: user.clone(), alive: false });
            }
        }
        events.push(Event::Unbound { user, binding, why });
        events
    }

    /// Takes away the bindings of users that are no more.
    pub fn keep_only(&mut self, users: &BTreeSet<String>) -> Vec<Event> {
        let gone: Vec<u64> =
            self.bindings.iter().filter(|(_, b)| !users.contains(&b.user)).map(|(number, _)| *number).collect();
        gone.into_iter().flat_map(|number| self.remove(number, UnboundCause::Removed)).collect()
    }

    /// When to ask each binding that is not yet going to be asked; `pause` is drawn anew for each.
    pub fn ask_later(&mut self, number: u64, at: Instant) {
        if self.bindings.contains_key(&number) {
            self.timers.set(Deadline::Ask(number), at);
        }
    }

    /// The same for one that may be about to be asked.
    pub fn ask_no_later(&mut self, number: u64, at: Instant) {
        if !self.timers.is_set(&Deadline::Ask(number)) {
            self.ask_later(number, at);
        }
    }

    /// Bindings without a deadline for being asked, and not being asked now (`asked`).
    pub fn unasked(&self, user: &str) -> Vec<u64> {
        let numbers = self.by_user.get(user).into_iter().flatten().copied();
        numbers.filter(|number| !self.timers.is_set(&Deadline::Ask(*number))).collect()
    }

    fn is_alive(&self, user: &str) -> bool {
        self.of(user).any(|binding| binding.alive)
    }

    /// The phone behind `flow` that was asked as `uri` answered, or did not. Where several phones share a flow,
    /// only bindings with that Contact are meant; where one has several flows behind a proxy, the one whose Path was taken.
    pub fn heard(&mut self, (flow, uri): (Flow, &Uri), sent: &Headers, alive: bool) -> Vec<Event> {
        let shared = self.behind(flow).nth(1).is_some();
        let led = |binding: &Binding| binding.path.iter().map(String::as_str).eq(sent.all(&Name::Route));
        let is_meant = |binding: &Binding| {
            !shared || (binding.contact.uri.equivalent(uri) && (binding.path.is_empty() || led(binding)))
        };
        let changes = |number: &u64| {
            let binding = &self.bindings[number];
            // First what is cheap: nearly every message comes from a phone that is known to live.
            binding.alive != alive && is_meant(binding)
        };
        let numbers = self.behind(flow).filter(changes).collect();
        self.turn(numbers, alive)
    }

    /// The bindings that came over this very flow.
    pub fn over(&self, flow: Flow) -> impl Iterator<Item = &Binding> {
        self.behind(flow).map(|number| &self.bindings[&number])
    }

    /// Whether any phone is registered over this very flow.
    pub fn knows(&self, flow: Flow) -> bool {
        self.behind(flow).next().is_some()
    }

    /// Whether a phone of this user is registered over this very flow.
    pub fn is_behind(&self, flow: Flow, user: &str) -> bool {
        // Over a proxy's flow others come too, and may guess.
        let own = |binding: &Binding| binding.user == user && binding.path.is_empty();
        self.behind(flow).any(|number| own(&self.bindings[&number]))
    }

    fn behind(&self, flow: Flow) -> impl Iterator<Item = u64> {
        self.by_flow.get(&flow).into_iter().flatten().copied()
    }

    fn no_more_over(&mut self, flow: Flow, number: u64) {
        let Some(numbers) = self.by_flow.find_mut(&flow) else { return };
        numbers.remove(&number);
        if numbers.is_empty() {
            self.by_flow.remove(&flow);
        }
    }

    fn turn(&mut self, numbers: Vec<u64>, alive: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for number in numbers {
            let user = self.bindings[&number].user.clone();
            let was_alive = self.is_alive(&user);
            if let Some(binding) = self.bindings.get_mut(&number) {
                binding.alive = alive;
            }
            if !alive {
                self.silenced.push(number);
            }
            let is_alive = self.is_alive(&user);
            if is_alive != was_alive {
                events.push(Event::Alive { user, alive: is_alive });
            }
        }
        events
    }

    /// A connection broke. A phone that keeps flows has lost this one (RFC 5626 §5.3), and one behind a NAT cannot be connected
    /// to; any other may be called by its Path or at its Contact until it expires (RFC 3261 §10.3), if it is there: it is asked at once, and does not count before it answers.
    pub fn flow_failed(&mut self, now: Instant, flow: Flow) -> Vec<Event> {
        let (asked, gone): (Vec<u64>, Vec<u64>) =
            self.behind(flow).partition(|number| self.bindings[number].may_be_reached_anew());
        asked.iter().for_each(|number| self.timers.set(Deadline::Ask(*number), now));
        let mut events = self.turn(asked, false);
        events.extend(gone.into_iter().flat_map(|number| self.remove(number, UnboundCause::Unreachable)));
        events
    }

    /// The phone answered at its Contact, its connection being gone.
    pub fn answers_at_contact(&mut self, number: u64) -> Vec<Event> {
        let known = self.bindings.contains_key(&number);
        self.turn(known.then_some(number).into_iter().collect(), true)
    }

    /// The phone could not be reached at its Contact; `is_gone` tells whether its own connection is gone, too.
    pub fn lost_connection(&mut self, number: u64, is_gone: impl Fn(Flow) -> bool) -> Vec<Event> {
        let binding = self.bindings.get(&number).filter(|binding| binding.flow.transport.is_reliable());
        match binding.filter(|binding| is_gone(binding.flow)) {
            Some(_) => self.remove(number, UnboundCause::Unreachable),
            None => Vec::new(),
        }
    }

    /// The flow of a phone that has registered this very place.
    pub fn reached_at(&self, uri: &Uri) -> Option<Flow> {
        let is_there = |binding: &&Binding| {
            let contact = &binding.contact.uri;
            contact.user == uri.user && contact.port == uri.port && contact.host == uri.host
        };
        self.bindings.values().rfind(is_there).map(|binding| binding.flow)
    }

    /// The Contact values of a 200 to REGISTER: every binding with what is left of its life (§10.3 step 8).
    /// `record`: the user's address, if the phone asked for names that are made of it.
    pub fn listing(&self, now: Instant, user: &str, record: Option<&Uri>) -> Vec<(Name, String)> {
        let entry = |binding: &Binding| {
            let mut contact = binding.contact.clone();
            let left = binding.expires.since(now).as_nanos().div_ceil(1_000_000_000);
            contact.params.set("expires", Some(&left.to_string()));
            record.into_iter().for_each(|record| binding.name_to(&mut contact, record));
            (Name::Contact, contact.text())
        };
        self.of(user).map(entry).collect()
    }
}

fn removal(binding: &Binding) -> Wish {
    let Binding { contact, instance, reg_id, .. } = binding.clone();
    Wish { contact, q: 0, life: Duration::ZERO, instance, reg_id }
}

/// Reads all Contacts before any is used, since a REGISTER is all or nothing.
/// `outbound`: flows are kept apart.
fn read(
    contacts: Vec<NameAddr>,
    expires: Option<u32>,
    times: &RegistrationTimes,
    outbound: bool,
) -> Result<Vec<Wish>, Refused> {
    let mut wishes: Vec<Wish> = Vec::new();
    for mut contact in contacts {
        if !matches!(contact.uri.scheme, Scheme::Sip | Scheme::Sips) {
            return Err(refused(400)); // We could not call it.
        }
        // §20.10, §10.3 step 6: the parameter, the field, our own default; a malformed parameter counts as none.
        let own = contact.params.text("expires").and_then(parse_seconds);
        let life = own.or(expires).map_or(times.default, |s| Duration::from_secs(s.into())).min(times.max);
        if !life.is_zero() && life < times.min {
            return Err(Refused { status: 423, min_expires: Some(times.min.as_secs()) });
        }
        let q = contact.params.text("q").and_then(|text| text.parse::<f32>().ok()).filter(|q| q.is_finite());
        let q = q.map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0).round() as u16);
        contact.params.remove("pub-gruu"); // ours to give (RFC 5627 §5.1)
        contact.params.remove("temp-gruu");
        let instance = instance_of(&contact);
        let reg_id = reg_id_of(&contact).filter(|_| outbound && instance.is_some());
        wishes.push(Wish { contact, q, life, instance, reg_id });
    }
    let flows = wishes.iter().filter(|wish| wish.reg_id.is_some() && !wish.life.is_zero());
    // RFC 5626 §6: a REGISTER goes over one flow, and can tell of one.
    if flows.count() > 1 { Err(refused(400)) } else { Ok(wishes) }
}
