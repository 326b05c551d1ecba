//! A screen-pop that would wait for the answer to who calls: it does so for a second after the phone began to ring, and goes
//! without a name then. The answer is of use for the next one.

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

impl Outbox {
    /// A phone rings.
    pub(super) fn hurries(&mut self, call: CallId, rings: Wall) {
        let until = rings + FIND_FOR_POP;
        let Some(case) = self.cases.get_mut(&call) else { return };
        let Some(find) = case.jobs.front_mut().filter(|job| matches!(job.request, Request::Find(_))) else { return };
        find.expires = Some(find.expires.map_or(until, |expires| expires.min(until)));
        match case.under_way {
            true => _ = self.overtaken.held.insert((until, call)),
            false => self.tidy_line(call),
        }
    }

    /// Requests go past a `FindCaller` that has been waited for long enough. Nothing depends on their order: it changes
    /// nothing.
    pub(super) fn overtake(&mut self, now: Wall) {
        while let Some((_, call)) = self.overtaken.held.first().copied().filter(|(at, _)| *at <= now) {
            self.overtaken.held.pop_first();
            let Some(case) = self.cases.get_mut(&call).filter(|case| case.finds()) else { continue };
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
