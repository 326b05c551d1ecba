//! What a screen-pop goes past.
//!
//! It would wait for the answer to who calls: it does so for a second after the phone began to ring, and goes without a name
//! then. The answer is of use for the next one: a search that waits for a free slot, or to be tried again, waits on behind
//! it. And it waits for no `FollowCall` where nobody has that method: else a system that takes pops alone would never be seen to
//! be one. A ticket that is being opened it does wait for, since it shows it.

use super::case::{Case, Job};
use super::{Failure, Outbox, Request, Response};
use crate::ids::CallId;
use crate::time::Wall;
use std::collections::BTreeSet;
use std::time::Duration;

const FIND_FOR_POP: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(super) struct Overtaken {
    /// Calls whose pops wait for a `FindCaller` that is under way, by when they wait no more …
    held: BTreeSet<(Wall, CallId)>,
    /// … and those that wait no more, while it still is.
    calls: BTreeSet<CallId>,
}

impl Overtaken {
    pub fn deadline(&self) -> Option<Wall> {
        self.held.first().map(|(at, _)| *at)
    }
}

impl Case {
    /// When its first request is looked at next, or the pop that may go past that.
    pub fn due(&self) -> Option<Wall> {
        let due = self.jobs.front()?.due();
        Some(self.passes_at().map_or(due, |at| at.min(due)))
    }

    /// Whether a phone has rung for so long that its pop waits no more for who calls.
    fn pop_hurries(&self, now: Wall) -> bool {
        self.jobs.iter().any(|job| job.offer.is_some() && job.at + FIND_FOR_POP <= now)
    }

    /// When the first pop may go past the first request.
    fn passes_at(&self) -> Option<Wall> {
        let behind = |job: &Job| job.offer.is_some() || matches!(job.request, Request::Open(_));
        let pop = self.jobs.iter().skip(1).find(|job| behind(job)).filter(|job| job.offer.is_some())?;
        let first = self.jobs.front()?;
        match first.request {
            Request::Find(_) => Some(pop.at + FIND_FOR_POP),
            Request::Follow(_) if first.no_method => Some(pop.not_before),
            _ => None,
        }
    }

    /// Lets the first pop go past what is first and not under way, if it may by now: who calls is asked behind it, and what
    /// failed is told behind it. All else keeps its order.
    pub fn make_way(&mut self, now: Wall) {
        while self.passes_at().is_some_and(|at| at <= now) {
            let pop = self.jobs.iter().position(|job| job.offer.is_some()).unwrap_or(0);
            match self.jobs.front().is_some_and(|job| matches!(job.request, Request::Find(_))) {
                true => self.jobs.make_contiguous()[..=pop].rotate_left(1),
                false => self.jobs.make_contiguous()[..=pop].rotate_right(1),
            }
        }
    }
}

impl Outbox {
    /// A phone rings.
    pub(super) fn hurries(&mut self, call: CallId, rings: Wall) {
        let finds = |case: &Case| case.jobs.iter().any(|job| matches!(job.request, Request::Find(_)));
        if self.cases.get(&call).is_some_and(finds) {
            self.overtaken.held.insert((rings + FIND_FOR_POP, call));
        }
    }

    /// Requests go past a `FindCaller` that is under way and has been waited for long enough. Nothing depends on their order:
    /// it changes nothing.
    pub(super) fn overtake(&mut self, now: Wall) {
        while let Some((_, call)) = self.overtaken.held.first().copied().filter(|(at, _)| *at <= now) {
            self.overtaken.held.pop_first();
            let hangs = |case: &&mut Case| case.finds() && case.pop_hurries(now);
            let Some(case) = self.cases.get_mut(&call).filter(hangs) else { continue };
            case.under_way = false;
            self.overtaken.calls.insert(call);
            self.finish(call, None);
        }
    }

    /// True if it is the answer to one that was overtaken.
    pub(super) fn comes_late(&mut self, call: CallId, result: &Result<Response, Failure>) -> bool {
        let find = matches!(result, Ok(Response::Found(_) | Response::NotFound(_)));
        if !find || !self.overtaken.calls.remove(&call) {
            return false;
        }
        self.under_way -= 1;
        match (result, self.cases.get_mut(&call)) {
            (Ok(Response::NotFound(_)), _) => self.numbers.failed += 1,
            (Ok(found), case) => {
                self.numbers.answered += 1;
                case.into_iter().for_each(|case| _ = case.heard(found.clone()));
            }
            (Err(_), _) => {}
        }
        true
    }
}
