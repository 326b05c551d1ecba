//! Whole simulated worlds: Prometheus, the tables and the reports say the same of them, though each counts by itself.

use super::*;
use crate::center::Center;
use crate::event::TransferTo;
use crate::sim::people::Habits;
use crate::sim::{Options, World};
use crate::stats::{Kind, Sample, Stats, Value as Number};
use std::collections::BTreeMap;

/// Numbers by name and labels: counts, and milliseconds.
type Sums = BTreeMap<String, i64>;

/// What is compared, and how much of it there must be in all worlds together, for a comparison of nothing proves nothing.
const COMPARED: [(&str, i64); 27] = [
    ("tierline_queue_offered_total", 100),
    ("tierline_queue_requeued_total", 1),
    ("tierline_queue_answered_total", 100),
    ("tierline_queue_answered_within_target_total", 50),
    ("tierline_queue_abandoned_total", 10),
    ("tierline_queue_abandoned_within_target_total", 3),
    ("tierline_queue_abandoned_short_total", 2),
    ("tierline_queue_diverted_total", 2),
    ("tierline_queue_lost_total", 3),
    ("tierline_queue_wait_seconds_sum", 100_000),
    ("tierline_queue_talk_seconds_sum", 100_000),
    ("tierline_queue_handle_seconds_sum", 100_000),
    ("tierline_queue_wrap_up_seconds_sum", 10_000),
    ("tierline_transfers_total", 5),
    ("tierline_transfers_failed_total", 1),
    ("tierline_agents_state_seconds_total", 1_000_000),
    ("tierline_agent_state_seconds_total", 1_000_000),
    ("tierline_agent_answered_total", 100),
    ("tierline_agent_offers_missed_total", 10),
    ("tierline_offers_total", 100),
    ("tierline_calls_arrived_total", 200),
    ("tierline_calls_ended_total", 200),
    ("tierline_flow_entered_total", 200),
    ("tierline_flow_left_total", 200),
    ("tierline_flow_person_asked_total", 3),
    ("tierline_flow_look_ups_total", 3),
    ("tierline_flow_contained", 1),
];

fn add(sums: &mut Sums, name: &str, labels: &[&str], value: i64) {
    *sums.entry(format!("{name}{{{}}}", labels.join(","))).or_default() += value;
}

/// Of the exported numbers those that are compared.
fn in_metrics(center: &Center, events: &[Event]) -> Sums {
    let mut stats = Stats::new(center);
    events.iter().for_each(|event| stats.apply(event));
    let (mut sums, end) = (Sums::new(), events[events.len() - 1].at);
    for sample in stats.samples(end, true) {
        let (name, value) = match (&sample.value, sample.family.kind) {
            (Number::Spread { sum, .. }, _) => (format!("{}_sum", sample.family.name), sum * 1000.0),
            (Number::Number(n), Kind::Counter) if sample.family.name.contains("seconds") => {
                (sample.family.name.to_owned(), n * 1000.0)
            }
            (Number::Number(n), _) => (sample.family.name.to_owned(), *n),
        };
        let labels: Vec<&str> = sample.labels.iter().map(String::as_str).collect();
        // Who was never there has no interval.
        if name.ends_with("state_seconds_total") && labels.contains(&"logged_out") {
            continue;
        }
        if COMPARED.iter().any(|(of, _)| *of == name) {
            add(&mut sums, &name, &labels, value.round() as i64);
        }
        if name == "tierline_flow_left_total" && labels[1] == "contained" {
            add(&mut sums, "tierline_flow_contained", &labels[..1], value as i64);
        }
    }
    sums.retain(|_, value| *value != 0);
    sums
}

/// Those whom agents sent on, by where to and what became of it, from the events alone: read backwards, so that what
/// comes next is known.
fn transfers(events: &[Event]) -> Sums {
    let (mut sums, mut next) = (Sums::new(), BTreeMap::<CallId, Vec<&What>>::new());
    for event in events.iter().rev() {
        let Some(call) = event.call else { continue };
        let after = next.entry(call).or_default();
        let mut became = |kind: &str, result: Option<&str>| {
            result.into_iter().for_each(|result| add(&mut sums, "transfers", &[kind, result], 1));
        };
        let comes = || after.iter().rev();
        match &event.what {
            What::Transferred { to: TransferTo::Queue(_), .. } => {
                let waits = comes().any(|what| matches!(what, What::Queued { again: false, .. }));
                became("queue", Some(if waits { "done" } else { "ended" }));
            }
            What::Transferred { to: TransferTo::Agent(to), .. } => {
                let found = comes().find_map(|what| match what {
                    What::Established { agent, .. } if agent == to => Some("done"),
                    What::OfferEnded { outcome: OfferOutcome::Accepted | OfferOutcome::CallerLeft, .. } => None,
                    What::OfferEnded { agent, outcome, .. } if agent == to && *outcome != OfferOutcome::Failed => {
                        Some("not_taken")
                    }
                    What::Established { .. } | What::Diverted { .. } => Some("not_taken"),
                    What::CallEnded { .. } => Some("ended"),
                    _ => None,
                });
                became("agent", found);
            }
            What::Transferred { to: TransferTo::Number(_), .. } => became("number", Some(outside(comes()))),
            _ => {}
        }
        after.push(&event.what);
    }
    sums
}

/// What became of a call to a number outside, of which this comes.
fn outside<'a>(mut comes: impl Iterator<Item = &'a &'a What>) -> &'static str {
    let found = comes.find_map(|what| match what {
        What::OutsideJoined { .. } => Some("done"),
        What::TransferFailed { .. } => Some("failed"),
        _ => None,
    });
    found.unwrap_or("ended")
}

/// Of waits, of agents' parts of calls, and of the reports by agent and by queue, what was held is the same; milliseconds.
fn holds_agree(conn: &Connection, data: &Path, center: &Center, events: &[Event]) -> i64 {
    let sum = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).unwrap().unwrap_or(0);
    let waits = sum("SELECT sum(held_ms) FROM queue_interval");
    let parts = sum("SELECT sum(ended - began) FROM segment WHERE party = 'agent' AND kind = 'held'");
    assert_eq!(waits, parts);
    let ms = |row: &serde_json::Value, column: &str| (row[column].as_f64().unwrap_or_default() * 1000.0).round() as i64;
    let agents = whole(data, By::Agent, center, events);
    assert_eq!(agents.iter().map(|row| ms(row, "hold_s")).sum::<i64>(), waits);
    for row in whole(data, By::Queue, center, events) {
        let sql = format!(
            "SELECT sum(held_ms) / max(1, sum(agent IS NOT NULL)) FROM queue_interval WHERE queue = '{}'",
            row["queue"].as_str().unwrap()
        );
        assert_eq!(ms(&row, "mean_hold_s"), sum(&sql), "{row}");
    }
    waits
}

/// Each call ends in the phase in which it was counted at the last moment before: `tierline_calls` and
/// `tierline_calls_ended_total` mean the same. How often that was with an outside party.
fn phases_agree(center: &Center, events: &[Event]) -> usize {
    let (mut stats, mut outside) = (Stats::new(center), 0);
    let mut before = BTreeMap::<CallId, (Wall, Option<Phase>)>::new();
    let mut called = std::collections::BTreeSet::new();
    for event in events {
        if let Some(call) = event.call {
            let known = before.entry(call).or_insert((event.at, None));
            if known.0 != event.at {
                *known = (event.at, stats.phase(call));
            }
            match &event.what {
                What::OutsideCalled { .. } => _ = called.insert(call),
                What::TransferFailed { .. } => _ = called.remove(&call),
                What::CallEnded { phase, .. } => {
                    let was = before[&call].1.unwrap_or(Phase::Arriving);
                    assert_eq!(was, *phase, "{call} at {}", event.at);
                    outside += usize::from(called.contains(&call));
                }
                _ => {}
            }
        }
        stats.apply(event);
    }
    outside
}

/// `CallerHungUp` as the labels have it.
fn snake(word: &str) -> String {
    let parts = word.chars().enumerate().map(|(n, c)| match c.is_uppercase() && n > 0 {
        true => format!("_{}", c.to_lowercase()),
        false => c.to_lowercase().to_string(),
    });
    parts.collect()
}

/// The same from the tables and the reports.
fn in_records(name: &str, center: &Center, events: &[Event]) -> Sums {
    let mut log = Log::new(name);
    log.events = events.to_vec();
    let dir = log.written();
    records::bring_up(&dir.0).unwrap();
    let conn = records::reading(&dir.0).unwrap();
    let mut sums = Sums::new();
    of_queues(&conn, &mut sums);
    of_calls(&conn, &mut sums);
    of_handling(&conn, &mut sums);
    of_flows(&conn, &mut sums);
    each(&conn, "SELECT mode, reason, ended - began, unreachable FROM agent_interval", |row| {
        state(&mut sums, center, (&text(row, 0), int(row, 3) == 1), &text(row, 1), int(row, 2));
    });
    let (open, end) = records::present(&conn).unwrap();
    for interval in open {
        let mode = (&*format!("{:?}", interval.mode), interval.unreachable());
        state(&mut sums, center, mode, &interval.reason, end.0 - interval.from.0);
    }
    by_reports(&mut sums, &dir.0, center, events);
    columns_agree(&dir.0, center, events);
    each(&conn, "SELECT kind, result FROM transfer WHERE agent IS NOT NULL", |row| {
        add(&mut sums, "transfers", &[&text(row, 0), &text(row, 1)], 1);
    });
    add(&mut sums, "held", &[], holds_agree(&conn, &dir.0, center, events));
    sums.retain(|_, value| *value != 0);
    sums
}

fn each(conn: &Connection, sql: &str, mut take: impl FnMut(&Row<'_>)) {
    let mut query = conn.prepare(sql).unwrap();
    let mut rows = query.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        take(row);
    }
}

fn text(row: &Row<'_>, n: usize) -> String {
    row.get::<_, Option<String>>(n).unwrap().unwrap_or_default()
}

fn int(row: &Row<'_>, n: usize) -> i64 {
    row.get(n).unwrap()
}

fn of_queues(conn: &Connection, sums: &mut Sums) {
    let sql = "SELECT queue, outcome, reason, waited_ms, talked_ms + held_ms, again FROM queue_interval";
    each(conn, sql, |row| {
        let (queue, outcome, reason) = (text(row, 0), text(row, 1), text(row, 2));
        let of = |what: &str| format!("tierline_queue_{what}_total");
        let one = [queue.as_str()];
        add(sums, "tierline_queue_talk_seconds_sum", &one, int(row, 4));
        if int(row, 5) == 1 {
            return add(sums, &of("requeued"), &one, 1);
        }
        match outcome.as_str() {
            "diverted" => add(sums, &of("diverted"), &[&queue, &snake(&reason)], 1),
            outcome => add(sums, &of(outcome), &one, 1),
        }
        if outcome != "lost" {
            add(sums, "tierline_queue_wait_seconds_sum", &[&queue, &outcome], int(row, 3));
        }
    });
}

/// Talk and writing up name the wait that was answered.
fn of_handling(conn: &Connection, sums: &mut Sums) {
    let sql = "SELECT q.queue, a.mode, a.ended - a.began FROM agent_interval a
               JOIN queue_interval q ON q.call = a.call AND q.work = a.work WHERE a.mode IN ('Busy', 'WrapUp')";
    each(conn, sql, |row| {
        let (queue, ms) = (text(row, 0), int(row, 2));
        add(sums, "tierline_queue_handle_seconds_sum", &[&queue], ms);
        if text(row, 1) == "WrapUp" {
            add(sums, "tierline_queue_wrap_up_seconds_sum", &[&queue], ms);
        }
    });
    each(conn, "SELECT kind, result, reason, agent IS NOT NULL FROM transfer", |row| {
        if int(row, 3) == 1 {
            add(sums, "tierline_transfers_total", &[&text(row, 0)], 1);
        }
        if text(row, 1) == "failed" {
            add(sums, "tierline_transfers_failed_total", &[&snake(&text(row, 2))], 1);
        }
    });
}

fn of_calls(conn: &Connection, sums: &mut Sums) {
    each(conn, "SELECT agent, result, outcome FROM offer", |row| {
        let agent = int(row, 0).to_string();
        add(sums, "tierline_offers_total", &[&snake(&text(row, 2))], 1);
        match text(row, 1).as_str() {
            "answered" => add(sums, "tierline_agent_answered_total", &[&agent], 1),
            "refused" | "missed" => add(sums, "tierline_agent_offers_missed_total", &[&agent], 1),
            _ => {}
        }
    });
    each(conn, "SELECT line, phase, cause FROM call", |row| {
        let line = Some(text(row, 0)).filter(|line| !line.is_empty()).unwrap_or("(short code)".to_owned());
        add(sums, "tierline_calls_arrived_total", &[&line], 1);
        add(sums, "tierline_calls_ended_total", &[&snake(&text(row, 1)), &snake(&text(row, 2))], 1);
    });
}

fn of_flows(conn: &Connection, sums: &mut Sums) {
    each(conn, "SELECT flow, exit, contained FROM flow_path WHERE waiting = 0 AND flow NOT LIKE '@%'", |row| {
        let (flow, exit) = (text(row, 0), text(row, 1));
        let outcome = match exit.as_str() {
            _ if int(row, 2) == 1 => "contained",
            "queue" | "answered" | "diverted" => "queued",
            "outside" => "transferred",
            "flow" => "other_flow",
            exit => exit,
        };
        add(sums, "tierline_flow_left_total", &[&flow, outcome], 1);
    });
    each(conn, "SELECT flow, result FROM look_up", |row| {
        add(sums, "tierline_flow_look_ups_total", &[&text(row, 0), &text(row, 1)], 1);
    });
}

fn state(sums: &mut Sums, center: &Center, (mode, unreachable): (&str, bool), reason: &str, ms: i64) {
    const OWN: [&str; 7] = ["short code", "logged out", "desktop lost", "declined", "no answer", "busy", "unreachable"];
    let known = center.reasons.contains_key(reason) || OWN.contains(&reason);
    let labels = match mode {
        "LoggedOut" => return,
        "NotReady" => ["not_ready", if known { reason } else { "other" }],
        _ if unreachable => ["unreachable", "none"],
        mode => [&*snake(mode), "none"],
    };
    add(sums, "tierline_agents_state_seconds_total", &labels, ms);
}

/// An agent's hour, state by state.
fn of_agent(sums: &mut Sums, agent: &str, row: &serde_json::Value) {
    let ms = |column: &str| (row[column].as_f64().unwrap() * 1000.0).round() as i64;
    let states = ["not_ready", "ready", "reserved", "busy", "wrap_up", "unreachable"];
    let columns = ["not_ready_s", "ready_s", "rung_s", "busy_s", "wrap_up_s", "unreachable_s"];
    for (state, column) in states.into_iter().zip(columns) {
        add(sums, "tierline_agent_state_seconds_total", &[agent, state], ms(column));
    }
    assert_eq!(ms("signed_in_s"), columns.map(ms).iter().sum::<i64>(), "{row}");
}

/// What has a column of a report.
fn by_reports(sums: &mut Sums, data: &Path, center: &Center, events: &[Event]) {
    let day = |at: Wall| Some(at.to_string()[..10].to_owned());
    let (first, last) = (events[0].at, events[events.len() - 1].at);
    let (from, to) = (day(first), day(last + Duration::from_secs(2 * 86_400)));
    let mut rows = |by: By, step, columns: &[(&str, &str)]| {
        let asked = Asked {
            from: from.clone(),
            to: to.clone(),
            zone: Some("UTC".to_owned()),
            format: Format::Json,
            target: None,
            short: None,
            ..asked(by, step, "", "")
        };
        let told = made(data, &asked, &|| targets(&center.queues, &asked)).unwrap();
        for line in told.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(name) = row[["queue", "agent", "line", "flow"][by as usize]].as_str() else { continue };
            if by == By::Agent {
                of_agent(sums, name, &row);
                continue;
            }
            columns.iter().for_each(|(column, number)| add(sums, number, &[name], row[*column].as_i64().unwrap()));
            if by == By::Flow {
                let count = |column: &str| row[column].as_i64().unwrap();
                let left = ["to_queue", "outside", "to_flow", "ended", "hung_up", "failed"].map(count);
                assert_eq!(count("entered"), left.iter().sum::<i64>(), "{row}");
            }
        }
    };
    rows(
        By::Queue,
        Some(Step::Quarter),
        &[
            ("offered", "tierline_queue_offered_total"),
            ("in_target", "tierline_queue_answered_within_target_total"),
            ("short", "tierline_queue_abandoned_short_total"),
        ],
    );
    rows(
        By::Flow,
        None,
        &[
            ("entered", "tierline_flow_entered_total"),
            ("contained", "tierline_flow_contained"),
            ("person_asked", "tierline_flow_person_asked_total"),
        ],
    );
    rows(By::Agent, Some(Step::Hour), &[]);
    // T is within the formulas only: of those who gave up, from the shares.
    let asked = Asked {
        from,
        to,
        zone: Some("UTC".to_owned()),
        format: Format::Json,
        formula: Formula::OfferedInTime,
        target: None,
        short: None,
        ..asked(By::Queue, None, "", "")
    };
    let told = made(data, &asked, &|| targets(&center.queues, &asked)).unwrap();
    let rows = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    for row in rows.filter(|row| row["queue"].is_string()) {
        let count = |name: &str| row[name].as_i64().unwrap();
        let share = row["service_level_ratio"].as_f64().unwrap_or_default();
        let both = (share * (count("answered") + count("abandoned")) as f64).round() as i64;
        let queue = row["queue"].as_str().unwrap();
        add(sums, "tierline_queue_abandoned_within_target_total", &[queue], both - count("in_target"));
    }
}

/// Of a family's samples whose first label is this, and the last one: their sum, and how many a histogram has of them.
fn of(samples: &[Sample], name: &str, first: &str, last: &str) -> (f64, u64) {
    let fits = |sample: &&Sample| {
        let last = sample.labels.last().is_some_and(|label| last.is_empty() || label == last);
        sample.family.name == format!("tierline_{name}") && sample.labels[0] == first && last
    };
    samples.iter().filter(fits).fold((0.0, 0), |(sum, count), sample| match &sample.value {
        Number::Spread { sum: more, count: n, .. } => (sum + more, count + n),
        Number::Number(n) => (sum + n, count),
    })
}

/// As a report has it: to the millisecond, of sum and count.
fn mean_of((sum, count): (f64, u64)) -> Option<f64> {
    (count > 0).then(|| ((sum * 1000.0).round() / count as f64).floor() / 1000.0)
}

fn same(row: &serde_json::Value, expected: &[(&str, Option<f64>)]) {
    for (column, expect) in expected {
        let found = row[*column].as_f64();
        let near = found.unwrap_or_default() - expect.unwrap_or_default();
        assert!(found.is_some() == expect.is_some() && near.abs() < 0.0025, "{column}: {expect:?} in {row}");
    }
}

/// Every other column of the reports, against the numbers: whole ones, and means as they come of sums and counts.
fn columns_agree(data: &Path, center: &Center, events: &[Event]) {
    let mut stats = Stats::new(center);
    events.iter().for_each(|event| stats.apply(event));
    let samples = stats.samples(events[events.len() - 1].at, true);
    let talks = [By::Queue, By::Agent, By::Line].map(|by| whole(data, by, center, events)).map(|rows| {
        let talk = rows.iter().map(|row| {
            row_agrees(&samples, row);
            row["talk_s"].as_f64().unwrap()
        });
        talk.sum::<f64>()
    });
    assert!((talks[0] - talks[1]).abs() < 0.01 && (talks[0] - talks[2]).abs() < 0.01, "{talks:?} s of talk");
}

/// The rows of a report of all of it.
fn whole(data: &Path, by: By, center: &Center, events: &[Event]) -> Vec<serde_json::Value> {
    let asked = Asked {
        from: Some(events[0].at.to_string()[..10].to_owned()),
        to: Some((events[events.len() - 1].at + Duration::from_secs(2 * 86_400)).to_string()[..10].to_owned()),
        zone: Some("UTC".to_owned()),
        format: Format::Json,
        target: None,
        short: None,
        ..asked(by, None, "", "")
    };
    let told = made(data, &asked, &|| targets(&center.queues, &asked)).unwrap();
    let rows = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.filter(|row| row["from"].is_string()).collect()
}

fn row_agrees(samples: &[Sample], row: &serde_json::Value) {
    let (s, whole) = (|column: &str| row[column].as_f64().unwrap(), |name, first| Some(of(samples, name, first, "").0));
    if let Some(queue) = row["queue"].as_str() {
        let of = |name: &str, last: &str| of(samples, &format!("queue_{name}"), queue, last);
        let count = |name: &str| Some(of(&format!("{name}_total"), "").0);
        let columns = [
            ("answered", count("answered")),
            ("abandoned", count("abandoned")),
            ("diverted", count("diverted")),
            ("lost", count("lost")),
            ("again", count("requeued")),
            ("mean_wait_s", mean_of(of("wait_seconds", "answered"))),
            ("mean_handling_s", mean_of(of("handle_seconds", ""))),
        ];
        same(row, &columns);
        let both = row["mean_talk_s"].as_f64().zip(row["mean_hold_s"].as_f64()).map(|(talk, hold)| talk + hold);
        same(&serde_json::json!({ "both": both }), &[("both", mean_of(of("talk_seconds", "")))]);
    } else if let Some(agent) = row["agent"].as_str() {
        same(row, &[("answered", whole("agent_answered_total", agent))]);
        assert_eq!(Some(s("refused") + s("missed")), whole("agent_offers_missed_total", agent), "{row}");
        assert!(s("talk_s") + s("hold_s") <= s("busy_s") + 0.0005, "who talks is busy: {row}");
    } else {
        let line = row["line"].as_str().filter(|line| *line != "-").unwrap_or("(short code)");
        let outcomes = ["served", "transferred", "abandoned", "left_flow", "flow_ended", "failed"].map(s);
        assert_eq!(outcomes.iter().sum::<f64>(), s("arrived"), "{row}");
        same(row, &[("arrived", whole("calls_arrived_total", line))]);
    }
}

/// What no simulated caller does: some ask for a person, and some once more; some calls are ended by a command.
fn with_more(events: &[Event]) -> Vec<Event> {
    let (mut steps, mut all) = (BTreeMap::<CallId, u32>::new(), Vec::new());
    for event in events {
        let mut event = event.clone();
        let number = event.call.map_or(0, |call| call.0);
        if let (0, What::ConnectionCleared { cause, .. } | What::CallEnded { cause, .. }) =
            (number % 7, &mut event.what)
            && event.call.is_some()
        {
            *cause = Cause::Commanded;
        }
        all.push(event.clone());
        if let (Some(call), What::StepEntered { flow, step }) = (event.call, &event.what) {
            let count = steps.entry(call).or_default();
            *count += 1;
            let asked = What::PersonAsked { flow: flow.clone(), step: step.clone() };
            let times = if number % 5 == 0 && *count == 2 { 1 + number % 2 } else { 0 };
            all.extend((0..times).map(|_| Event { what: asked.clone(), ..event.clone() }));
        }
    }
    all.iter_mut().zip(1..).for_each(|(event, seq)| event.seq = seq);
    all
}

/// Random days, each of other people: whatever they do, everybody says the same of it.
#[test]
fn numbers_tables_and_reports_say_the_same_of_random_days() {
    let (mut all, mut outside, mut held) = (Sums::new(), 0, 0);
    for seed in 1..=8 {
        let swarm = Options::swarm(seed);
        // In every second one much is sent on.
        let habits = if seed % 2 == 0 { Habits { desk: 0.7, ..swarm.habits.clone() } } else { swarm.habits.clone() };
        let swarm = Options { crashes: 0, record: true, habits, ..swarm };
        let mut world = World::new(swarm);
        world.keep_journal();
        world.run();
        let (_, configuration, _) = world.recording();
        let (center, events) = (&configuration.center, &with_more(world.journal()));
        outside += phases_agree(center, world.journal());
        let (mut metrics, mut records) =
            (in_metrics(center, events), in_records(&format!("world-{seed}"), center, events));
        metrics.extend(transfers(events));
        held += records.remove("held{}").unwrap_or_default();
        let names = metrics.keys().chain(records.keys()).filter(|name| metrics.get(*name) != records.get(*name));
        let differ: Vec<_> = names
            .map(|name| format!("{name}: metrics {:?}, records {:?}", metrics.get(name), records.get(name)))
            .collect();
        assert!(differ.is_empty(), "seed {seed}:\n{}", differ.join("\n"));
        metrics.into_iter().for_each(|(name, value)| *all.entry(name).or_default() += value);
    }
    assert!(held > 10_000, "{held} ms held");
    for sent in ["queue,done", "agent,done", "agent,not_taken", "number,"] {
        let times = all.keys().any(|name| name.starts_with(&format!("transfers{{{sent}")));
        assert!(times, "nobody was sent on: {sent}, of {:?}", all.range("transfers".to_owned()..));
    }
    assert!(outside > 5, "{outside} calls ended with an outside party");
    let unreachable = all.get("tierline_agents_state_seconds_total{unreachable,none}");
    assert!(unreachable > Some(&10_000), "{unreachable:?} ms of nobody whom nothing reached");
    for (name, least) in COMPARED {
        let sum: i64 = all.iter().filter(|(of, _)| of.split('{').next() == Some(name)).map(|(_, value)| value).sum();
        assert!(sum >= least, "{name}: only {sum} in all these worlds");
    }
}
