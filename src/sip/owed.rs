//! What a phone could not be told because its way was gone, it is told when its user registers again.
//!
//! A phone whose connection broke, or that was out of its network, while its call ended does not know that: it goes on
//! ringing, or its agent sits in a call without anybody, and is busy for the next one. Its BYE or CANCEL is kept for a
//! while and sent over whatever the user registers from next (RFC 3261 §17.2.3: a transaction is found by its branch, a
//! dialog by its tags, whichever connection they come over). So too what a restart could not tell: connections end with
//! their start.
//!
//! Left out: callers and carriers, who register nowhere here.

use super::Endpoint;
use super::api::Flow;
use super::message::Request;
use super::transaction::{Errand, Outcome, Purpose};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// No phone rings for longer, and one without audio for so long has given up.
const KEPT: Duration = Duration::from_secs(600);
/// In all: what is older is forgotten.
const AT_MOST: usize = 1_000;
/// Of one: a user's phones, and the places that they come from meanwhile.
const WAYS: usize = 8;

/// A BYE, or an INVITE to be cancelled, whose peer did not answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Owed {
    until: Instant,
    /// The INVITE has its Via, for its CANCEL bears the same.
    request: Request,
    errand: Errand,
    /// Over which ways it has been sent again.
    told: Vec<Flow>,
}

impl Owed {
    fn is_for(&self, user: &str) -> bool {
        self.errand.user.as_deref() == Some(user)
    }

    fn is_of(&self, request: &Request) -> bool {
        self.request.headers.call_id() == request.headers.call_id()
    }
}

/// All of them, oldest first.
pub(super) type Owing = VecDeque<Owed>;

impl Endpoint {
    /// A request has come to its end: what ends a call and was not heard is kept, what was heard is not owed any more.
    pub(super) fn note_debt(&mut self, now: Instant, errand: &Errand, request: &Request, outcome: &Outcome) {
        match (errand.purpose, outcome) {
            (Purpose::Bye, Outcome::Response(response)) if response.status < 300 => self.told_all(request),
            (Purpose::Call(_), Outcome::Response(_)) => self.told_all(request),
            (Purpose::Bye, Outcome::Response(_)) => {}
            (Purpose::Bye, _) => self.owe(now, errand, request),
            // One that was never heard rings nowhere.
            (Purpose::Call(_), Outcome::Timeout { heard: true } | Outcome::TransportFailed { heard: true }) => {
                self.owe(now, errand, request);
            }
            _ => {}
        }
    }

    /// Whoever was not told that this call is over knows it now.
    pub(super) fn told_all(&mut self, request: &Request) {
        self.owing.retain(|owed| !owed.is_of(request));
    }

    fn owe(&mut self, now: Instant, errand: &Errand, request: &Request) {
        if errand.user.is_none() || self.owing.iter().any(|owed| owed.is_of(request)) {
            return;
        }
        self.owing.retain(|owed| owed.until > now);
        if self.owing.len() >= AT_MOST {
            self.owing.pop_front();
        }
        let errand = Errand { attempt: 0, spare: Vec::new(), ..errand.clone() };
        let mut request = request.clone();
        request.body = Vec::new();
        if errand.purpose == Purpose::Bye {
            request.headers.remove_top_via();
        }
        self.owing.push_back(Owed { until: now + KEPT, request, errand, told: Vec::new() });
    }

    /// A phone of `user` has registered over `flow`.
    pub(super) fn pay(&mut self, now: Instant, user: &str, flow: Flow) {
        let due = |owed: &Owed| owed.until > now && owed.is_for(user) && !owed.told.contains(&flow);
        if !self.owing.iter().any(due) || self.registrar.over(flow).next().is_none() {
            return;
        }
        let mut owing = std::mem::take(&mut self.owing);
        for owed in owing.iter_mut().filter(|owed| due(owed) && owed.told.len() < WAYS) {
            owed.told.push(flow);
            self.tell_late(now, flow, owed.request.clone(), owed.errand.clone());
        }
        self.owing = owing;
    }

    fn tell_late(&mut self, now: Instant, flow: Flow, request: Request, errand: Errand) {
        let route = request.headers.routes().ok().and_then(|routes| Some(routes.first()?.uri.clone()));
        let flow = route.and_then(|route| self.locate(&route, Some(flow))).unwrap_or(flow);
        if errand.purpose == Purpose::Bye {
            return self.launch(now, flow, request, errand);
        }
        let reason = errand.reason.clone();
        if let Some(key) = self.transactions.restore_invite(flow, request, errand) {
            self.transactions.cancel(now, key, reason);
        }
    }
}
