//! Rows of the tables, and what stands in their columns.

use super::fold::OpenCall;
use super::schema::{self, Table};
use super::{CallRecord, Interval, LookUp, Offer, Part, PartKind, Parts, Path, Segment, To, Transfer, Wait};
use crate::event::{OfferOutcome, Party, StepWay};
use crate::ids::{AgentId, CallId, LegId};
use crate::time::Wall;
use std::fmt::Debug;
use std::time::Duration;

/// One row; the numbers count within the call, from 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Call { record: Box<CallRecord>, talked: Duration, held: Duration },
    Segment { call: CallId, n: usize, part: Part },
    Offer { call: CallId, n: usize, offer: Offer, queue: Option<String> },
    Queue { call: CallId, n: usize, wait: Box<Segment>, talked: Duration, held: Duration },
    Agent(Interval),
    Path { call: CallId, n: usize, path: Path },
    LookUp { call: CallId, n: usize, look_up: LookUp },
    Transfer { call: CallId, n: usize, transfer: Transfer },
    Disposition(Disposition),
}

/// An agent has coded a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    pub seq: u64,
    pub call: CallId,
    pub agent: AgentId,
    pub at: Wall,
    pub disposition: String,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl Row {
    /// All rows of a call that has ended.
    pub(super) fn of_call(open: OpenCall) -> Vec<Row> {
        let OpenCall { record, parts, paths, transfers, .. } = open;
        let (call, mut rows) = (record.call, Vec::new());
        for (wait, n) in record.segments.iter().zip(1..) {
            let [talked, held] = wait.leg.map(|leg| time_of(&parts, leg)).unwrap_or_default();
            rows.push(Row::Queue { call, n, wait: Box::new(wait.clone()), talked, held });
        }
        for (offer, n) in record.offers.iter().zip(1..) {
            let queue = record.segments.iter().find(|wait| wait.work == offer.work).map(|wait| wait.queue.to_string());
            rows.push(Row::Offer { call, n, offer: offer.clone(), queue });
        }
        rows.extend(parts.done().iter().zip(1..).map(|(part, n)| Row::Segment { call, n, part: part.clone() }));
        rows.extend(paths.paths.into_iter().zip(1..).map(|(path, n)| Row::Path { call, n, path }));
        rows.extend(paths.look_ups.into_iter().zip(1..).map(|(look_up, n)| Row::LookUp { call, n, look_up }));
        let transfers = transfers.all().into_iter().zip(1..);
        rows.extend(transfers.map(|(transfer, n)| Row::Transfer { call, n, transfer }));
        let legs = || record.segments.iter().filter_map(|wait| wait.leg);
        let [talked, held] = [0, 1].map(|of| legs().map(|leg| time_of(&parts, leg)[of]).sum());
        rows.push(Row::Call { record: Box::new(record), talked, held });
        rows
    }

    /// The table that it belongs to.
    pub fn table(&self) -> &'static Table {
        match self {
            Row::Call { .. } => &schema::CALL,
            Row::Segment { .. } => &schema::SEGMENT,
            Row::Offer { .. } => &schema::OFFER,
            Row::Queue { .. } => &schema::QUEUE_INTERVAL,
            Row::Agent(_) => &schema::AGENT_INTERVAL,
            Row::Path { .. } => &schema::FLOW_PATH,
            Row::LookUp { .. } => &schema::LOOK_UP,
            Row::Transfer { .. } => &schema::TRANSFER,
            Row::Disposition(_) => &schema::DISPOSITION,
        }
    }

    /// Its cells, in the order of the table's columns.
    pub fn cells(&self) -> Vec<Cell> {
        match self {
            Row::Call { record, talked, held } => call_cells(record, *talked, *held),
            Row::Segment { call, n, part } => segment_cells(*call, *n, part),
            Row::Offer { call, n, offer, queue } => offer_cells(*call, *n, offer, queue),
            Row::Queue { call, n, wait, talked, held } => queue_cells(*call, *n, wait, *talked, *held),
            Row::Agent(interval) => vec![
                int(interval.agent.0),
                id(interval.seq),
                word(&interval.mode),
                text(&interval.reason),
                opt(interval.call.map(|call| id(call.0))),
                at(interval.from),
                at(interval.to),
                int(interval.unreachable()),
                opt(interval.work.map(|work| id(work.0))),
            ],
            Row::Path { call, n, path } => path_cells(*call, *n, path),
            Row::LookUp { call, n, look_up } => vec![
                id(call.0),
                int(*n as i64),
                text(&look_up.flow),
                text(&look_up.step),
                at(look_up.asked),
                text(match look_up.result {
                    StepWay::Found => "found",
                    StepWay::NotFound => "not_found",
                    _ => "failed",
                }),
                ms(look_up.took),
            ],
            Row::Transfer { call, n, transfer } => transfer_cells(*call, *n, transfer),
            Row::Disposition(Disposition { seq, call, agent, at: when, disposition }) => {
                vec![id(*seq), id(call.0), int(agent.0), at(*when), text(disposition)]
            }
        }
    }
}

/// How long this leg talked, and how long it was held, as far as that is over.
pub fn time_of(parts: &Parts, leg: LegId) -> [Duration; 2] {
    [PartKind::Talking, PartKind::Held].map(|kind| {
        let of_leg = parts.done().iter().filter(|part| part.leg == leg && part.kind == kind);
        of_leg.map(|part| super::between(part.from, part.to)).sum()
    })
}

fn call_cells(record: &CallRecord, talked: Duration, held: Duration) -> Vec<Cell> {
    let last = record.segments.last();
    vec![
        id(record.call.0),
        opt(record.line.as_ref().map(text)),
        opt(record.by_agent.map(|agent| int(agent.0))),
        opt(record.trunk.as_ref().map(text)),
        text(&record.language),
        int(record.private),
        id(record.caller.handle),
        at(record.arrived),
        opt(record.answered.map(at)),
        at(record.ended.unwrap_or(record.arrived).max(record.arrived)),
        opt(record.phase.as_ref().map(word)),
        opt(record.cause.as_ref().map(word)),
        word(&record.outcome()),
        opt(last.map(|wait| text(&wait.queue))),
        opt(record.segments.iter().rev().find_map(|wait| wait.agent).map(|agent| int(agent.0))),
        ms(record.waited()),
        ms(talked),
        ms(held),
    ]
}

fn segment_cells(call: CallId, n: usize, part: &Part) -> Vec<Cell> {
    let party = match part.party {
        Party::Caller => "caller",
        Party::Agent(_) => "agent",
        Party::Outside => "outside",
    };
    vec![
        id(call.0),
        int(n as i64),
        id(part.leg.0),
        text(party),
        text(match part.kind {
            PartKind::Arriving => "arriving",
            PartKind::Flow => "flow",
            PartKind::Waiting => "waiting",
            PartKind::Ringing => "ringing",
            PartKind::Talking => "talking",
            PartKind::Held => "held",
        }),
        opt(part.agent.map(|agent| int(agent.0))),
        opt(part.queue.as_ref().map(text)),
        opt(part.trunk.as_ref().map(text)),
        at(part.from),
        at(part.to),
    ]
}

fn offer_cells(call: CallId, n: usize, offer: &Offer, queue: &Option<String>) -> Vec<Cell> {
    let outcome = offer.outcome.unwrap_or(OfferOutcome::Failed);
    let result = match outcome {
        OfferOutcome::Accepted => "answered",
        OfferOutcome::Declined => "refused",
        OfferOutcome::NoAnswer | OfferOutcome::Unreachable => "missed",
        OfferOutcome::CallerLeft | OfferOutcome::Withdrawn | OfferOutcome::Failed => "cancelled",
    };
    vec![
        id(call.0),
        int(n as i64),
        id(offer.reservation.0),
        id(offer.work.0),
        opt(queue.as_ref().map(text)),
        int(offer.agent.0),
        at(offer.at),
        at(offer.at + offer.rang),
        text(result),
        word(&outcome),
    ]
}

fn queue_cells(call: CallId, n: usize, wait: &Segment, talked: Duration, held: Duration) -> Vec<Cell> {
    let (outcome, reason) = match wait.wait {
        Wait::Answered => ("answered", Cell::Null),
        Wait::Diverted(why) => ("diverted", word(&why)),
        Wait::Ended(cause) if cause.is_callers_own() => ("abandoned", word(&cause)),
        Wait::Ended(cause) => ("lost", word(&cause)),
        Wait::Waiting => ("lost", Cell::Null),
    };
    vec![
        id(call.0),
        int(n as i64),
        id(wait.work.0),
        text(&wait.queue),
        int(wait.priority),
        int(wait.again),
        at(wait.queued_at),
        at(wait.left.unwrap_or(wait.queued_at)),
        ms(wait.waited),
        text(outcome),
        reason,
        opt(wait.agent.map(|agent| int(agent.0))),
        ms(talked),
        ms(held),
        opt(wait.told.map(ms)),
    ]
}

fn path_cells(call: CallId, n: usize, path: &Path) -> Vec<Cell> {
    let (exit, to) = path.exit.as_ref().map(|exit| exit.words()).unwrap_or(("failed", None));
    vec![
        id(call.0),
        int(n as i64),
        text(&path.flow),
        int(path.waiting),
        at(path.from),
        at(path.to),
        ms(path.spent),
        int(path.steps.len() as i64),
        text(path.steps.join(" > ")),
        int(path.person),
        text(exit),
        opt(to.map(text)),
        int(path.contained),
    ]
}

fn transfer_cells(call: CallId, n: usize, transfer: &Transfer) -> Vec<Cell> {
    let (kind, result, reason) = transfer.words();
    let (queue, agent) = match &transfer.to {
        To::Queue(queue) => (Some(text(queue)), None),
        To::Agent(agent) => (None, Some(int(agent.0))),
        To::Number => (None, None),
    };
    vec![
        id(call.0),
        int(n as i64),
        at(transfer.at),
        opt(transfer.by.map(|agent| int(agent.0))),
        text(kind),
        opt(queue),
        opt(agent),
        text(result),
        opt(reason.map(text)),
    ]
}

fn int(number: impl Into<i64>) -> Cell {
    Cell::Int(number.into())
}

/// Numbers of 64 bits are written as SQLite's signed ones.
fn id(number: u64) -> Cell {
    Cell::Int(number as i64)
}

fn at(wall: Wall) -> Cell {
    Cell::Int(wall.0)
}

fn ms(time: Duration) -> Cell {
    Cell::Int(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

fn text(of: impl ToString) -> Cell {
    Cell::Text(of.to_string())
}

/// A word of the log.
fn word(of: &impl Debug) -> Cell {
    Cell::Text(format!("{of:?}"))
}

fn opt(cell: Option<Cell>) -> Cell {
    cell.unwrap_or(Cell::Null)
}
