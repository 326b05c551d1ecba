//! `tierline calls`: the list of recent calls, and one call as a ladder of what happened.
//!
//! Read from the event log, beside a running engine or without one. Callers' numbers and keys are personal:
//! they are shown only when asked for, and only while they are kept.

use crate::event::Event;
use crate::ids::{AgentId, CallId};
use crate::records::{CallRecord, Offer, Outcome, Segment, Wait, ladder_of, record_of};
use crate::server::store::{Filter, Reader};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What the list is to show.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// At most this many calls, newest first.
    pub last: usize,
    /// One JSON object for each call and line, instead of a table.
    pub json: bool,
    /// With the callers' numbers.
    pub numbers: bool,
}

const NONE_YET: &str = "No calls yet. Start `tierline serve` and dial a line.\n";

/// The calls that arrived last, as a table or as lines of JSON.
///
/// # Errors
/// The log in `data` cannot be read; the text says why.
pub fn list(data: &Path, show: Show) -> Result<String> {
    let mut records = Vec::new();
    if let Some(reader) = Reader::open(data)? {
        for call in reader.recent_calls(show.last, &Filter::default())? {
            records.extend(record_of(&events(&reader, call, show.numbers)?));
        }
    }
    match show.json {
        true => records.iter().map(|record| Ok(serde_json::to_string(&Written::from(record))? + "\n")).collect(),
        false if records.is_empty() && show.last > 0 => Ok(NONE_YET.to_string()),
        false => Ok(table(&records, show.numbers)),
    }
}

/// One call as a ladder; `id` as the list shows it.
///
/// # Errors
/// `id` is no call id; there is no such call; the log in `data` cannot be read.
pub fn ladder(data: &Path, id: &str, numbers: bool) -> Result<String> {
    let call: CallId = id.parse().map_err(anyhow::Error::msg)?;
    let reader = Reader::open(data)?.with_context(|| format!("there is no event log in `{}` yet", data.display()))?;
    let events = events(&reader, call, numbers)?;
    if events.is_empty() {
        bail!("there is no call {call}; `tierline calls` lists what there is");
    }
    Ok(ladder_of(&events))
}

fn events(reader: &Reader, call: CallId, texts: bool) -> Result<Vec<Event>> {
    let mut events = reader.events(call)?;
    if texts {
        reader.join_texts(&mut events)?;
    }
    Ok(events)
}

/// Columns as wide as their widest entry.
fn table(records: &[CallRecord], numbers: bool) -> String {
    let mut rows = vec![["CALL", "ARRIVED", "LINE", "OUTCOME", "WAITED", "TALK", "AGENT", "CALLER"].map(String::from)];
    rows.extend(records.iter().map(row));
    let shown = if numbers { 8 } else { 7 };
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..shown).map(width).collect();
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(record: &CallRecord) -> [String; 8] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
    let reached = match (&record.line, record.by_agent) {
        (Some(line), _) => line.to_string(),
        (None, Some(agent)) => format!("agent {agent}"),
        (None, None) => "-".to_string(),
    };
    let goes_on = |unfinished: bool, time: Duration| if unfinished { "…".to_string() } else { clock(time) };
    let last = record.segments.last();
    let waited = last.map(|s| goes_on(s.wait == Wait::Waiting, record.waited()));
    let talks = |s: &Segment| s.talk_from.is_some() && s.talk.is_none();
    let talk = record.segments.iter().any(|s| s.agent.is_some());
    let talk = talk.then(|| goes_on(last.is_some_and(talks), record.talked()));
    let agent = record.segments.iter().rev().find_map(|s| s.agent);
    [
        record.call.to_string(),
        record.arrived.to_string(),
        reached,
        outcome(record),
        or_dash(waited),
        or_dash(talk),
        or_dash(agent.map(|a| a.to_string())),
        or_dash(record.caller.text.as_deref().map(printable)),
    ]
}

/// The outcome; with the cause where the outcome alone leaves one guessing.
fn outcome(record: &CallRecord) -> String {
    match (record.outcome(), record.cause) {
        (Outcome::Failed, Some(cause)) => format!("failed: {}", cause.text()),
        (outcome, _) => outcome.text().to_string(),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    arrived: String,
    answered: Option<String>,
    ended: Option<String>,
    outcome: Outcome,
    phase: Option<crate::event::Phase>,
    cause: Option<crate::event::Cause>,
    waited_s: f64,
    talked_s: f64,
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
    talk_s: Option<f64>,
}

#[derive(Serialize)]
struct WrittenOffer {
    agent: AgentId,
    at: String,
    rang_s: f64,
    outcome: Option<crate::event::OfferOutcome>,
}

impl From<&CallRecord> for Written {
    fn from(record: &CallRecord) -> Self {
        Written {
            call: record.call.to_string(),
            line: record.line.as_ref().map(ToString::to_string),
            by_agent: record.by_agent,
            caller: record.caller.text.as_deref().map(str::to_string),
            arrived: record.arrived.to_string(),
            answered: record.answered.map(|at| at.to_string()),
            ended: record.ended.map(|at| at.to_string()),
            outcome: record.outcome(),
            phase: record.phase,
            cause: record.cause,
            waited_s: record.waited().as_secs_f64(),
            talked_s: record.talked().as_secs_f64(),
            segments: record.segments.iter().map(WrittenSegment::from).collect(),
            offers: record.offers.iter().map(WrittenOffer::from).collect(),
        }
    }
}

impl From<&Segment> for WrittenSegment {
    fn from(segment: &Segment) -> Self {
        WrittenSegment {
            queue: segment.queue.to_string(),
            queued_at: segment.queued_at.to_string(),
            waited_s: segment.waited.as_secs_f64(),
            wait: segment.wait,
            agent: segment.agent,
            talk_s: segment.talk.map(|talk| talk.as_secs_f64()),
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
mod tests {
    use super::*;
    use crate::event::{Cause, Party, Personal, PersonalKind, Phase, What};
    use crate::ids::{LegId, LineId, QueueId, WorkId};
    use crate::server::store::{Keep, Store};
    use crate::time::Wall;
    use std::path::PathBuf;

    const EVENING: i64 = 1_795_293_067_250;

    struct Dir(PathBuf);

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn dir(name: &str) -> Dir {
        let dir = Dir(std::env::temp_dir().join(format!("tierline-calls-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&dir.0);
        dir
    }

    fn arrives(call: u64) -> What {
        let caller = Personal { kind: PersonalKind::Number, handle: call, text: Some("+4930123456".into()) };
        let line = Some(LineId::new("support"));
        What::CallArrived { leg: LegId(call), line, by_agent: None, language: "en".into(), caller }
    }

    /// Three calls: one served, one that failed, one that waits.
    fn three_calls(dir: &Dir) {
        let queue = QueueId::new("sales");
        let work = WorkId(1);
        let queued = What::Queued { work, queue: queue.clone(), priority: 0, skills: Default::default(), again: false };
        let waited = Duration::from_secs(67);
        let talk = What::Established { work, queue, agent: AgentId(1003), leg: LegId(9), waited };
        let gone = |cause| What::ConnectionCleared { leg: LegId(1), party: Party::Caller, cause };
        let rows = [
            (1, 0, arrives(1)),
            (1, 3, queued.clone()),
            (1, 70, talk),
            (2, 71, arrives(2)),
            (1, 75, gone(Cause::CallerHungUp)),
            (1, 75, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected }),
            (2, 76, What::CallEnded { cause: Cause::NoMedia, phase: Phase::Arriving }),
            (3, 80, arrives(3)),
            (3, 81, queued),
        ];
        let opened = Store::open_with(&dir.0, 0, Keep::default(), Wall(0)).unwrap();
        for (i, (call, s, what)) in rows.into_iter().enumerate() {
            let (seq, at) = (i as u64 + 1, Wall(EVENING + s * 1000));
            opened.store.append(vec![Event { seq, at, call: Some(CallId(1 << 32 | call)), what }]);
        }
        opened.store.close().unwrap();
    }

    fn listed(dir: &Dir, last: usize, json: bool, numbers: bool) -> String {
        list(&dir.0, Show { last, json, numbers }).unwrap()
    }

    #[test]
    fn the_list_is_a_table_newest_first() {
        let dir = dir("table");
        assert_eq!(listed(&dir, 20, false, false), NONE_YET);
        assert_eq!(listed(&dir, 20, true, false), "");
        three_calls(&dir);
        let check = |last, numbers, expect: &str| assert_eq!(listed(&dir, last, false, numbers), expect[1..]);
        check(
            20,
            false,
            "
CALL    ARRIVED                   LINE     OUTCOME                  WAITED  TALK  AGENT
c0-1-3  2026-11-21T20:32:27.250Z  support  running                  …       -     -
c0-1-2  2026-11-21T20:32:18.250Z  support  failed: no common codec  -       -     -
c0-1-1  2026-11-21T20:31:07.250Z  support  served                   1:07    0:05  1003
",
        );
        check(
            1,
            true,
            "
CALL    ARRIVED                   LINE     OUTCOME  WAITED  TALK  AGENT  CALLER
c0-1-3  2026-11-21T20:32:27.250Z  support  running  …       -     -      +4930123456
",
        );
    }

    #[test]
    fn json_has_a_line_for_each_call_and_numbers_only_when_asked_for() {
        let dir = dir("json");
        three_calls(&dir);
        let text = listed(&dir, 20, true, false);
        assert!(!text.contains("4930123456"));
        let served: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
        assert_eq!((&served["waited_s"], &served["talked_s"]), (&67.0.into(), &5.0.into()));
        assert_eq!((&served["outcome"], &served["segments"][0]["agent"]), (&"Served".into(), &1003.into()));
        assert!(listed(&dir, 20, true, true).lines().all(|line| line.contains(r#""caller":"+4930123456""#)));
    }

    #[test]
    fn a_ladder_is_drawn_for_a_call_that_exists() {
        let dir = dir("ladder");
        let refused = |id: &str| format!("{:#}", ladder(&dir.0, id, false).unwrap_err());
        assert!(refused("c0-1-1").contains("no event log"));
        three_calls(&dir);
        assert!(refused("42").contains("looks like c0-1-42"));
        assert!(refused("c0-1-4").contains("there is no call c0-1-4"));
        let [masked, full] = [false, true].map(|numbers| ladder(&dir.0, "c0-1-1", numbers).unwrap());
        assert!(masked.contains("talk with agent 1003") && !masked.contains("4930123456"), "{masked}");
        assert!(full.contains("from +4930123456"), "{full}");
    }
}
