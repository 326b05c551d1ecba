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
use std::collections::BTreeMap;
use std::time::Duration;

/// No phone rings for longer, and one without audio for so long has given up.
const KEPT: Duration = Duration::from_secs(600);
/// Users who are owed something at once; whoever comes later is told once, as ever.
const USERS: usize = 20_000;
/// Of one: calls that he knows nothing of the end of, and places that he comes from meanwhile.
const OF_ONE: usize = 8;

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
    /// Of the same INVITE, or within the same dialog.
    fn is_of(&self, errand: &Errand, request: &Request) -> bool {
        let (ours, theirs) = (&self.request.headers, &request.headers);
        let same = match errand.purpose {
            Purpose::Bye => ours.to_tag() == theirs.to_tag(),
            _ => {
                ours.top_via().ok().and_then(|via| Some(via.branch()?.to_owned()))
                    == theirs.top_via().ok().and_then(|via| Some(via.branch()?.to_owned()))
            }
        };
        same && self.errand.purpose == errand.purpose && ours.call_id() == theirs.call_id()
    }
}

/// By user, each one's oldest first.
pub(super) type Owing = BTreeMap<String, Vec<Owed>>;

impl Endpoint {
    /// A request over `flow` has come to its end: what ends a call and was not heard is kept, what was heard is not owed any
    /// more.
    pub(super) fn note_debt(
        &mut self,
        now: Instant,
        flow: Option<Flow>,
        (errand, request): (&Errand, &Request),
        outcome: &Outcome,
    ) {
        let Some(user) = errand.user.as_deref() else { return };
        match (errand.purpose, outcome) {
            (Purpose::Bye, Outcome::Response(response)) if response.status >= 300 => {}
            (Purpose::Bye | Purpose::Call(_), Outcome::Response(_)) => {
                if let Some(owing) = self.owing.get_mut(user) {
                    owing.retain(|owed| !owed.is_of(errand, request));
                }
            }
            (Purpose::Bye, _) => self.owe(now, flow, user.to_owned(), (errand, request)),
            // One that was never heard rings nowhere.
            (Purpose::Call(_), Outcome::Timeout { heard: true } | Outcome::TransportFailed { heard: true }) => {
                self.owe(now, flow, user.to_owned(), (errand, request));
            }
            _ => {}
        }
    }

    fn owe(&mut self, now: Instant, flow: Option<Flow>, user: String, (errand, request): (&Errand, &Request)) {
        if self.owing.len() >= USERS && !self.owing.contains_key(&user) {
            self.owing.retain(|_, owing| owing.iter().any(|owed| owed.until > now));
            if self.owing.len() >= USERS {
                return;
            }
        }
        let owing = self.owing.entry(user.clone()).or_default();
        owing.retain(|owed| owed.until > now);
        if owing.len() >= OF_ONE || owing.iter().any(|owed| owed.is_of(errand, request)) {
            return;
        }
        let errand = Errand { attempt: 0, spare: Vec::new(), ..errand.clone() };
        let mut request = request.clone();
        request.body = Vec::new();
        if errand.purpose == Purpose::Bye {
            request.headers.remove_top_via();
        }
        owing.push(Owed { until: now + KEPT, request, errand, told: Vec::new() });
        // He may have come back over another way before this one was known to lead nowhere.
        let ways = self.registrar.of(&user).map(|binding| binding.flow);
        let others: Vec<Flow> = ways.filter(|way| Some(*way) != flow && self.lives(*way)).collect();
        others.into_iter().for_each(|way| self.pay(now, &user, way));
    }

    /// A phone of `user` is there over `flow`.
    pub(super) fn pay(&mut self, now: Instant, user: &str, flow: Flow) {
        if !self.owing.contains_key(user) || self.registrar.over(flow).next().is_none() {
            return;
        }
        let Some(mut owing) = self.owing.remove(user) else { return };
        owing.retain(|owed| owed.until > now);
        for owed in owing.iter_mut().filter(|owed| !owed.told.contains(&flow) && owed.told.len() < OF_ONE) {
            if self.tell_late(now, flow, owed.request.clone(), owed.errand.clone()) {
                owed.told.push(flow);
            }
        }
        if !owing.is_empty() {
            self.owing.insert(user.to_owned(), owing);
        }
    }

    /// False if the phone has just answered, and is told by that.
    fn tell_late(&mut self, now: Instant, flow: Flow, request: Request, errand: Errand) -> bool {
        let route = request.headers.routes().ok().and_then(|routes| Some(routes.first()?.uri.clone()));
        let flow = route.and_then(|route| self.locate(&route, Some(flow))).unwrap_or(flow);
        if errand.purpose == Purpose::Bye {
            self.launch(now, flow, request, errand);
            return true;
        }
        let reason = errand.reason.clone();
        let key = self.transactions.restore_anew(flow, request, errand);
        key.is_some_and(|key| self.transactions.cancel(now, key, reason))
    }
}
