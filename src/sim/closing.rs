//! Callers arrive, until the day is over; then all must become quiet.

use super::agenda::Due;
use super::parties::Party;
use super::people::{self, Person, Thought};
use super::{Check, World};
use crate::time::Instant;
use std::time::Duration;

/// How long after the last arrival the world may need to become quiet.
const QUIET_WITHIN: Duration = Duration::from_secs(3 * 3_600);
/// How often it is asked whether all is quiet, once no calls arrive any more.
const CLOSING: Duration = Duration::from_secs(10);

impl World {
    pub(super) fn caller_arrives(&mut self) {
        if self.now.since(Instant::ZERO) >= self.options.duration {
            return;
        }
        let key = self.next_phone;
        self.next_phone += 1;
        let person = Person::caller(self.options.habits.clone(), self.rng.fork(&format!("caller {key}")));
        self.parties.insert(key, Party::new(person));
        self.remembers(key, (0, Thought::Begin));
        let mean = Duration::from_secs_f64(3_600.0 / self.options.calls_per_hour().max(0.001));
        let next = people::exponential(&mut self.rng, mean);
        self.after(next, Due::Arrival);
    }

    /// An operator switches the announcement, and will do so again.
    pub(super) fn banner(&mut self, on: bool) {
        self.operator_asks(crate::command::Ask::Banner { banner: super::desk::BANNER.to_owned(), on });
        if self.now.since(Instant::ZERO) < self.options.duration {
            self.after(self.options.banners, Due::Banner { on: !on });
        }
    }

    /// No calls arrive any more: the callers leave, the agents go home, then nothing may be left.
    pub(super) fn closing(&mut self) {
        if !self.going_home && !self.parties.iter().any(|(_, party)| party.person.is_caller()) {
            self.going_home = true;
            self.close_carriers();
            self.close_desktops();
            let agents: Vec<u32> = self.parties.keys().iter().copied().collect();
            for (place, key) in agents.into_iter().enumerate() {
                self.after(Duration::from_millis(place as u64 * 20), Due::Remember(key, (0, Thought::GoHome)));
            }
        }
        let left = self.pending();
        let late = self.now.since(Instant::ZERO) > self.options.duration + QUIET_WITHIN;
        if left.is_none() || late {
            self.quiet = true;
            self.settle();
            let open = self.books.up_to_date().open_calls();
            self.tally.must(Check::Quiet, left.is_none() && open == 0, || {
                format!("left: {}; {open} calls open in the log", left.unwrap_or_default())
            });
            self.check_asked();
            self.look_at_everything();
        } else {
            self.after(CLOSING, Due::Closing);
        }
    }

    /// Why the world is not quiet.
    pub fn pending(&self) -> Option<String> {
        let engine = match &self.engine {
            None => Some("the engine is being started".to_owned()),
            Some(engine) => engine
                .pending()
                .map(|what| format!("engine: {what}"))
                .or_else(|| engine.deadline().map(|at| format!("engine: a deadline in {:?}", at.since(self.now)))),
        };
        let phones = || self.parties.iter().find_map(|(key, party)| party.pending(key));
        engine
            .or_else(phones)
            .or_else(|| self.planes.pending())
            .or_else(|| self.untold())
            .or_else(|| self.asking.unanswered())
    }
}
