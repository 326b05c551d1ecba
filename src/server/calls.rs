//! `tierline calls`: the list of recent calls, and one call as a ladder of what happened.
//!
//! Which calls are listed is found in the records ([`filter`]) where more is asked for than the last ones; what is shown
//! is read from the event log, beside a running engine or without one. Callers' numbers and keys are personal:
//! they are shown only when asked for, and only while they are kept. The dialog of a running call is never shown.

pub mod filter;

use crate::event::{Cause, Event, What};
use crate::ids::{AgentId, CallId};
use crate::records::{CallRecord, Offer, Outcome, Parts, Segment, Wait, ladder_of, parts_of, record_of, time_of};
use crate::server::basis::Basis;
use crate::server::journal::Entry;
use crate::server::local::{Local, UTC};
use crate::server::store::{self, Reader};
use crate::server::wrong::{OrWrong, Wrong};
use crate::time::Wall;
use crate::written::{counted, write_duration};
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the list is to show.
#[derive(Clone, Debug, Default)]
pub struct Show {
    /// At most this many calls, newest first.
    pub last: usize,
    /// One JSON object for each call and line, instead of a table.
    pub json: bool,
    /// With the callers' numbers.
    pub numbers: bool,
    /// Only these.
    pub filter: filter::Filter,
    /// The time zone whose clocks show when calls came, and when the filter means. None: the center's.
    pub zone: Option<String>,
    /// Where that, and the names that a filter may have, are configured. None: where the server that runs has it from, or
    /// where `tierline serve` looks.
    pub config: Option<PathBuf>,
}

const NONE_SUCH: &str = "No such calls.\n";
const NONE_YET: &str = "No calls yet. Start `tierline serve` and dial a line.\n";

/// The calls that arrived last, as a table or as lines of JSON.
///
/// # Errors
/// There is no log in `data` ([`super::store::NoLog`]), or it cannot be read; the text says why. Or a name in the filter is
/// nobody's.
pub fn list(data: &Path, show: &Show) -> Result<String> {
    let reader = Reader::of(data)?;
    let basis = Basis::new(data, show.config.as_deref());
    // Programs are told times in UTC.
    let needs_none = (show.json && show.filter.is_none()).then_some(UTC);
    let local = basis.local(show.zone.as_deref().or(needs_none))?;
    let calls = match show.filter.is_none() {
        true => reader.recent_calls(show.last)?,
        false => {
            show.filter.names_known(data, &basis)?;
            show.filter.find(data, &local, show.last)?
        }
    };
    let found = reader.as_one(|| records_of(&reader, &calls, show.numbers))?;
    let gone = calls.len() - found.len();
    if show.json && gone > 0 {
        Entry::warn("calls", "some calls are in reports only").with("calls", gone as u64).tell();
    }
    match show.json {
        true => found.iter().map(|call| Ok(serde_json::to_string(&Written::from(call))? + "\n")).collect(),
        false if found.is_empty() && show.last > 0 && show.filter.is_none() => Ok(NONE_YET.to_string()),
        false if calls.is_empty() => Ok(NONE_SUCH.to_string()),
        false if found.is_empty() => Ok(in_reports(gone)),
        false => {
            let open = found.iter().any(|found| found.record.ended.is_none());
            let cut = open && store::in_use(data).is_none();
            let others = [(cut, nobody_serves(data)), (gone > 0, in_reports(gone))];
            let others = others.into_iter().filter(|(is_so, _)| *is_so).map(|(_, line)| line);
            Ok(table(&found, &local, show.numbers, cut) + &others.collect::<String>())
        }
    }
}

/// What is said of calls without an end where nothing runs that could end them.
fn nobody_serves(data: &Path) -> String {
    format!(
        "No server runs from {}: what is `cut` had no end when the last one did; the next start ends it\n",
        data.display()
    )
}

/// What is said of calls whose events were removed because they are old.
fn in_reports(calls: usize) -> String {
    let calls = counted(calls, "such call");
    format!("{calls} in `tierline report` only: older than `keep.events`, so it is not known any more what happened\n")
}

/// A call as its events tell it.
struct Found {
    record: CallRecord,
    parts: Parts,
    code: Option<Code>,
}

impl Found {
    /// Talk with an agent, and hold, as in the records; none before it is over.
    fn talk(&self, segment: &Segment) -> Option<[Duration; 2]> {
        segment.talk.and(segment.leg).map(|leg| time_of(&self.parts, leg))
    }

    /// Over all segments that are over.
    fn talks(&self) -> [Duration; 2] {
        let talks = || self.record.segments.iter().filter_map(|segment| self.talk(segment));
        [0, 1].map(|of| talks().map(|talk| talk[of]).sum())
    }
}

fn records_of(reader: &Reader, calls: &[CallId], numbers: bool) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for call in calls {
        found.extend(found_in(reader, &events(reader, *call, numbers)?)?);
    }
    Ok(found)
}

fn found_in(reader: &Reader, events: &[Event]) -> Result<Option<Found>> {
    let (events, code) = (as_it_was(events, killed(reader, events)?), code_of(events));
    Ok(record_of(&events).map(|record| Found { record, parts: parts_of(&events), code }))
}

/// What a kill left open ended at the last moment of which the log knows, as in the records: the next start, which says so,
/// may be a night later.
fn as_it_was(events: &[Event], killed: Option<(u64, Wall)>) -> Vec<Event> {
    let mut events = events.to_vec();
    if let Some((start, last)) = killed {
        events.iter_mut().filter(|event| event.seq > start).for_each(|event| event.at = last);
    }
    events
}

/// The start that ended this call, where one did, and the last moment of which the log knew before it.
fn killed(reader: &Reader, events: &[Event]) -> Result<Option<(u64, Wall)>> {
    let by_start = |event: &&Event| matches!(event.what, What::CallEnded { cause: Cause::Restart, .. });
    Ok(events.iter().find(by_start).map(|event| reader.start_before(event.seq)).transpose()?.flatten())
}

/// One call as a ladder; `id` as the list shows it.
///
/// # Errors
/// `id` is no call id; there is no such call; there is no log in `data` ([`super::store::NoLog`]), or it cannot be read.
pub fn ladder(data: &Path, id: &str, numbers: bool) -> Result<String> {
    let (events, reader) = (events_of(data, id, numbers)?, Reader::of(data)?);
    let killed = killed(&reader, &events)?;
    let told = killed.and_then(|(start, last)| {
        let after = events.iter().find(|event| event.seq > start)?;
        Some(how_it_ended(Duration::from_millis(u64::try_from(after.at.0 - last.0).unwrap_or(0))))
    });
    Ok(ladder_of(&as_it_was(&events, killed)) + &told.unwrap_or_default())
}

/// What is said of a call that a kill has cut, where the drawing has no clock.
fn how_it_ended(later: Duration) -> String {
    let later = write_duration(Duration::from_secs(later.as_secs()));
    format!(
        "The server was killed while this call ran: it ends at the last moment that the log knows of.\n\
         The next start, {later} later, told whoever was still there.\n"
    )
}

/// One call as a line of JSON: what the list has of it, and under `events` all that happened.
///
/// # Errors
/// As [`ladder()`].
pub fn told(data: &Path, id: &str, numbers: bool) -> Result<String> {
    let (reader, events) = (Reader::of(data)?, events_of(data, id, numbers)?);
    let mut told = serde_json::to_value(found_in(&reader, &events)?.as_ref().map(Written::from))?;
    told["events"] = events.iter().map(event_told).collect::<Result<_>>()?;
    Ok(told.to_string() + "\n")
}

fn events_of(data: &Path, id: &str, numbers: bool) -> Result<Vec<Event>> {
    let call: CallId = id.parse().map_err(anyhow::Error::msg).or_wrong()?;
    let reader = Reader::of(data)?;
    let events = reader.as_one(|| events(&reader, call, numbers))?;
    if events.is_empty() {
        return Err(Wrong(format!("there is no call {call}; `tierline calls` lists what there is")).into());
    }
    Ok(events)
}

/// Time in RFC 3339; what was joined of personal texts beside the handle that stands for it.
fn event_told(event: &Event) -> Result<serde_json::Value> {
    let mut told = serde_json::to_value(&event.what)?;
    told["seq"] = event.seq.into();
    told["at"] = event.at.to_string().into();
    if let Some((handle, text)) = event.what.personal().and_then(|p| Some((p.handle, p.text.as_deref()?))) {
        let fields = told.as_object_mut().into_iter().flat_map(|fields| fields.values_mut());
        fields.filter(|field| field["handle"] == handle).for_each(|field| field["text"] = text.into());
    }
    Ok(told)
}

/// What an agent asked for by dialing a short code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Code {
    Ready,
    NotReady,
}

/// Told by the flow that confirms it, whose name no configured flow can have.
fn code_of(events: &[Event]) -> Option<Code> {
    events.iter().find_map(|event| match &event.what {
        What::StepEntered { flow, .. } if flow.as_str() == "@ready" => Some(Code::Ready),
        What::StepEntered { flow, .. } if flow.as_str() == "@not-ready" => Some(Code::NotReady),
        _ => None,
    })
}

fn events(reader: &Reader, call: CallId, texts: bool) -> Result<Vec<Event>> {
    let mut events = reader.events(call)?;
    if texts {
        reader.join_texts(&mut events)?;
    }
    Ok(events)
}

/// Columns as wide as their widest entry. `cut`: nobody serves, so none of them runs.
fn table(calls: &[Found], local: &Local, numbers: bool, cut: bool) -> String {
    let arrived = match &*local.name {
        UTC => "ARRIVED".to_owned(),
        zone => format!("ARRIVED ({zone})"),
    };
    let head = ["CALL", &arrived, "LINE", "OUTCOME", "WAITED", "TALK", "HOLD", "AGENT", "CALLER"];
    let mut rows = vec![head.map(String::from)];
    rows.extend(calls.iter().map(|call| row(call, local, cut)));
    let shown = if numbers { 9 } else { 8 };
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..shown).map(width).collect();
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(found: &Found, local: &Local, cut: bool) -> [String; 9] {
    let record = &found.record;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
    let reached = match (&record.line, record.by_agent) {
        (Some(line), _) => line.to_string(),
        (None, Some(agent)) => format!("agent {agent}"),
        (None, None) => "-".to_string(),
    };
    let goes_on = |unfinished: bool, time: Duration| match unfinished {
        true if cut => "?".to_string(),
        true => "…".to_string(),
        false => clock(time),
    };
    let last = record.segments.last();
    let waited = last.map(|s| goes_on(s.wait == Wait::Waiting, record.waited()));
    let talks = |s: &Segment| s.talk_from.is_some() && s.talk.is_none();
    let any = record.segments.iter().any(|s| s.agent.is_some());
    let [talk, hold] = found.talks().map(|time| any.then(|| goes_on(last.is_some_and(talks), time)));
    let agent = record.segments.iter().rev().find_map(|s| s.agent);
    [
        record.call.to_string(),
        local.to_the_ms(record.arrived),
        reached,
        outcome(record, found.code, cut),
        or_dash(waited),
        or_dash(talk),
        or_dash(hold),
        or_dash(agent.map(|a| a.to_string())),
        or_dash(record.caller.text.as_deref().map(printable)),
    ]
}

/// The outcome; with the cause where the outcome alone leaves one guessing, and of a short code what it asked for.
fn outcome(record: &CallRecord, code: Option<Code>, cut: bool) -> String {
    match (record.outcome(), record.cause, code) {
        (Outcome::Failed, Some(cause), _) => format!("failed: {}", cause.text()),
        (_, _, Some(Code::Ready)) => "asked for calls".to_string(),
        (_, _, Some(Code::NotReady)) => "asked for a break".to_string(),
        (Outcome::Running, ..) if cut => "cut".to_string(),
        (outcome, Some(cause), _) if cause.is_ours() => format!("{}, cut: {}", outcome.text(), cause.text()),
        (outcome, ..) => outcome.text().to_string(),
    }
}

/// A number comes from outside: nothing in it may move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// `3:07`, in minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// A call as JSON: times in RFC 3339, durations in seconds.
#[derive(Serialize)]
struct Written {
    call: String,
    line: Option<String>,
    by_agent: Option<AgentId>,
    /// Of an agent who dialed a short code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    /// The trunk that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trunk: Option<String>,
    /// When an outside party and the caller began to talk.
    #[serde(skip_serializing_if = "Option::is_none")]
    transferred: Option<String>,
    arrived: String,
    answered: Option<String>,
    ended: Option<String>,
    outcome: Outcome,
    phase: Option<crate::event::Phase>,
    cause: Option<Cause>,
    waited_s: f64,
    /// With agents, without what was held.
    talked_s: f64,
    held_s: f64,
    segments: Vec<WrittenSegment>,
    offers: Vec<WrittenOffer>,
}

#[derive(Serialize)]
struct WrittenSegment {
    queue: String,
    queued_at: String,
    waited_s: f64,
    wait: Wait,
    agent: Option<AgentId>,
    /// As above; none before it is over.
    talk_s: Option<f64>,
    held_s: Option<f64>,
}

#[derive(Serialize)]
struct WrittenOffer {
    agent: AgentId,
    at: String,
    rang_s: f64,
    outcome: Option<crate::event::OfferOutcome>,
}

impl From<&Found> for Written {
    fn from(found: &Found) -> Self {
        let (record, [talked, held]) = (&found.record, found.talks());
        Written {
            call: record.call.to_string(),
            line: record.line.as_ref().map(ToString::to_string),
            by_agent: record.by_agent,
            code: found.code,
            caller: record.caller.text.as_deref().map(str::to_string),
            trunk: record.trunk.as_ref().map(ToString::to_string),
            transferred: record.transferred.map(|at| at.to_string()),
            arrived: record.arrived.to_string(),
            answered: record.answered.map(|at| at.to_string()),
            ended: record.ended.map(|at| at.to_string()),
            outcome: record.outcome(),
            phase: record.phase,
            cause: record.cause,
            waited_s: record.waited().as_secs_f64(),
            talked_s: talked.as_secs_f64(),
            held_s: held.as_secs_f64(),
            segments: record.segments.iter().map(|segment| WrittenSegment::of(segment, found.talk(segment))).collect(),
            offers: record.offers.iter().map(WrittenOffer::from).collect(),
        }
    }
}

impl WrittenSegment {
    fn of(segment: &Segment, talk: Option<[Duration; 2]>) -> WrittenSegment {
        WrittenSegment {
            queue: segment.queue.to_string(),
            queued_at: segment.queued_at.to_string(),
            waited_s: segment.waited.as_secs_f64(),
            wait: segment.wait,
            agent: segment.agent,
            talk_s: talk.map(|[talk, _]| talk.as_secs_f64()),
            held_s: talk.map(|[_, held]| held.as_secs_f64()),
        }
    }
}

impl From<&Offer> for WrittenOffer {
    fn from(offer: &Offer) -> Self {
        let (agent, at, outcome) = (offer.agent, offer.at.to_string(), offer.outcome);
        WrittenOffer { agent, at, rang_s: offer.rang.as_secs_f64(), outcome }
    }
}

#[cfg(test)]
mod tests;
