//! One call, as the ticketing system is told of it: what is known, and what is still to be said.

use super::Failure;
use crate::cti::{self, CallRow};
use crate::event::{Event, What};
use crate::ids::{AgentId, CallId, ReservationId};
use crate::proto;
use crate::time::Wall;
use std::collections::{BTreeMap, VecDeque};

/// The attached name that says which ticket the call has.
const TICKET: &str = "ticket";
/// Tickets of a caller that are shown.
const MAX_TICKETS: usize = 10;
/// Characters of a name, and of each text of a ticket.
const MAX_SHOWN: usize = 200;

/// What is asked or told.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Find(proto::FindCallerRequest),
    Open(proto::OpenTicketRequest),
    Pop(proto::ScreenPopRequest),
    Follow(proto::FollowCallRequest),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    Found(proto::FindCallerResponse),
    /// `FindCaller` has failed: told apart from what else of a call may fail meanwhile.
    NotFound(Failure),
    Opened(proto::OpenTicketResponse),
    Taken,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub request: Request,
    /// When it arose.
    pub at: Wall,
    pub not_before: Wall,
    pub expires: Option<Wall>,
    /// The screen-pop's.
    pub offer: Option<ReservationId>,
    pub attempts: u32,
    /// Nobody there has the method.
    pub no_method: bool,
    /// How many requests had been answered in all when it failed first.
    pub failed_at: Option<u64>,
}

impl Job {
    pub fn new(at: Wall, request: Request) -> Job {
        Job { request, at, not_before: at, expires: None, offer: None, attempts: 0, no_method: false, failed_at: None }
    }

    /// When it is looked at next. What is too late by then is not waited for, neither by what comes behind it.
    pub fn due(&self) -> Wall {
        self.not_before.min(self.expires.unwrap_or(self.not_before))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub arrived: Wall,
    pub first_seq: u64,
    pub last_seq: u64,
    pub row: CallRow,
    pub jobs: VecDeque<Job>,
    pub under_way: bool,
    /// Who talked with the caller last.
    pub talked: Option<AgentId>,
    /// A ticket was asked for, or need not be.
    pub opened: bool,
    /// Set at the call's end.
    pub keep_until: Option<Wall>,
    /// It was put aside once, and is read apart from all others.
    pub apart: bool,
    found: Option<proto::FindCallerResponse>,
    ticket: Option<String>,
    ticket_erased: bool,
}

impl Request {
    /// As the proto file calls it.
    pub fn method(&self) -> &'static str {
        match self {
            Request::Find(_) => "FindCaller",
            Request::Open(_) => "OpenTicket",
            Request::Pop(_) => "ScreenPop",
            Request::Follow(_) => "FollowCall",
        }
    }

    /// None for what changes nothing.
    pub fn key(&self) -> Option<&str> {
        match self {
            Request::Find(_) => None,
            Request::Open(it) => Some(&it.key),
            Request::Pop(it) => Some(&it.key),
            Request::Follow(it) => Some(&it.key),
        }
    }

    pub fn follow(key: String, call: CallId, event: &Event, what: proto::follow_call_request::What) -> Request {
        Request::Follow(proto::FollowCallRequest {
            key,
            call: call.to_string(),
            ticket: String::new(),
            at_ms: event.at.0,
            what: Some(what),
        })
    }
}

impl Case {
    /// `event`: the call's arrival.
    pub fn new(event: &Event) -> Case {
        Case {
            arrived: event.at,
            first_seq: event.seq,
            last_seq: event.seq,
            row: CallRow::default(),
            jobs: VecDeque::new(),
            under_way: false,
            talked: None,
            opened: false,
            keep_until: None,
            apart: false,
            found: None,
            ticket: None,
            ticket_erased: false,
        }
    }

    /// A ticket that somebody has named and that was erased since is one all the same: no other is opened.
    pub fn note_erased(&mut self, event: &Event) {
        if let What::DataAttached { name, value, .. } | What::FlowAttached { name, value, .. } = &event.what
            && name == TICKET
        {
            self.ticket_erased = value.text.is_none();
        }
    }

    /// Somebody has named the call's ticket.
    pub fn has_ticket(&self) -> bool {
        self.ticket_erased || self.row.data.get(TICKET).is_some_and(|ticket| !ticket.is_empty())
    }

    /// After its end a call is in no view any more; what is noted then is kept here.
    pub fn note_late(&mut self, event: &Event) {
        if let (Some(_), What::DataAttached { name, value, .. }) = (self.keep_until, &event.what) {
            self.row.data.insert(name.clone(), value.text.clone().unwrap_or_else(|| "".into()));
        }
    }

    pub fn find(&self, call: CallId) -> Request {
        let (number, line) = (cti::number(self.row.caller.as_ref()), self.line());
        Request::Find(proto::FindCallerRequest { call: call.to_string(), number, line })
    }

    pub fn pop(&self, call: CallId, event: &Event, offer: ReservationId, agent: AgentId) -> proto::ScreenPopRequest {
        let queue = self.row.queue.as_ref().map(ToString::to_string).unwrap_or_default();
        let waited_ms = self.row.waiting.map_or(0, |since| (event.at.0 - since.0).max(0));
        proto::ScreenPopRequest {
            agent: agent.0,
            call: call.to_string(),
            offer: offer.to_string(),
            number: cti::number(self.row.caller.as_ref()),
            line: self.line(),
            queue,
            menu_path: self.row.path.iter().cloned().collect(),
            keys: self.row.keys.clone(),
            waited_ms,
            data: self.data(),
            ..Default::default() // name and tickets: as they are known when it is sent
        }
    }

    pub fn open(&self, key: String, call: CallId, agent: AgentId) -> Request {
        let named = |name: &str| self.row.data.get(name).map(ToString::to_string).unwrap_or_default();
        Request::Open(proto::OpenTicketRequest {
            key,
            call: call.to_string(),
            number: cti::number(self.row.caller.as_ref()),
            line: self.line(),
            category: named("category"),
            impact: named("impact"),
            urgency: named("urgency"),
            summary: named("summary"),
            keys: self.row.keys.clone(),
            menu_path: self.row.path.iter().cloned().collect(),
            data: self.data(),
            agent: agent.0,
        })
    }

    /// Takes the pop of an offer that is over out, if it waits; returns its key. One that is under way is not tried again.
    pub fn drop_pop(&mut self, offer: ReservationId, now: Wall) -> Vec<String> {
        let (mut dropped, mut place) = (Vec::new(), 0);
        let busy = self.under_way;
        let under_way = self.jobs.front_mut().filter(|job| busy && job.offer == Some(offer));
        under_way.into_iter().for_each(|job| job.expires = Some(now));
        self.jobs.retain(|job| {
            place += 1;
            let stays = job.offer != Some(offer) || busy && place == 1;
            dropped.extend(job.request.key().filter(|_| !stays).map(str::to_owned));
            stays
        });
        dropped
    }

    /// Whether `FindCaller` is under way.
    pub fn finds(&self) -> bool {
        self.under_way && self.jobs.front().is_some_and(|job| matches!(job.request, Request::Find(_)))
    }

    /// The first request, with what is known by now.
    pub fn next_request(&mut self) -> Option<Request> {
        let mut request = self.jobs.front()?.request.clone();
        match &mut request {
            Request::Pop(pop) => {
                pop.name = self.found.as_ref().map(|found| found.name.clone()).unwrap_or_default();
                pop.tickets = self.tickets();
            }
            Request::Follow(follow) => follow.ticket = self.ticket(),
            Request::Find(_) | Request::Open(_) => {}
        }
        Some(request)
    }

    /// Takes what came back; returns what a restart must know of it.
    pub fn heard(&mut self, response: Response) -> String {
        match response {
            Response::Found(found) => {
                self.found = Some(shown(found));
                String::new()
            }
            Response::Opened(opened) => {
                self.ticket = Some(opened.ticket.clone());
                opened.ticket
            }
            Response::Taken | Response::NotFound(_) => String::new(),
        }
    }

    /// The same from what was written down.
    pub fn learned(&mut self, request: &Request, result: &str) {
        if let (Request::Open(_), false) = (request, result.is_empty()) {
            self.ticket = Some(result.to_owned());
        }
    }

    /// Who calls, as the ticketing system has said, and which ticket it is, as somebody else has.
    pub fn forget_names(&mut self) {
        self.found = None;
        self.ticket_erased = self.has_ticket();
    }

    fn ticket(&self) -> String {
        let named = self.row.data.get(TICKET).map(ToString::to_string);
        self.ticket.clone().or(named).unwrap_or_default()
    }

    /// What FindCaller said, and first the call's own.
    fn tickets(&self) -> Vec<proto::Ticket> {
        let found = self.found.as_ref().map(|found| found.tickets.clone()).unwrap_or_default();
        let own = self.ticket();
        let new = !own.is_empty() && found.iter().all(|ticket| ticket.number != own);
        let own = new.then(|| proto::Ticket { number: own, ..Default::default() });
        own.into_iter().chain(found).collect()
    }

    fn data(&self) -> BTreeMap<String, String> {
        self.row.data.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    fn line(&self) -> String {
        self.row.line.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// As much of it as a screen shows: a wrong system's whole database is not kept for each call.
fn shown(found: proto::FindCallerResponse) -> proto::FindCallerResponse {
    let cut = |text: String| text.chars().take(MAX_SHOWN).collect();
    let ticket =
        |it: proto::Ticket| proto::Ticket { number: cut(it.number), title: cut(it.title), status: cut(it.status) };
    let tickets = found.tickets.into_iter().take(MAX_TICKETS).map(ticket).collect();
    proto::FindCallerResponse { name: cut(found.name), tickets }
}
