//! Whole simulated worlds: Prometheus, the tables and the reports say the same of them, though each counts by itself.

use super::*;
use crate::center::Center;
use crate::sim::{Options, World};
use crate::stats::{Kind, Stats, Value as Number};
use std::collections::BTreeMap;

/// Numbers by name and labels: counts, and milliseconds.
type Sums = BTreeMap<String, i64>;

/// What is compared, and how much of it there must be in all worlds together, for a comparison of nothing proves nothing.
const COMPARED: [(&str, i64); 23] = [
    ("tierline_queue_offered_total", 100),
    ("tierline_queue_requeued_total", 1),
    ("tierline_queue_answered_total", 100),
    ("tierline_queue_answered_within_target_total", 50),
    ("tierline_queue_abandoned_total", 10),
    ("tierline_queue_abandoned_within_target_total", 3),
    ("tierline_queue_abandoned_short_total", 2),
    ("tierline_queue_diverted_total", 2),
    ("tierline_queue_lost_total", 1),
    ("tierline_queue_wait_seconds_sum", 100_000),
    ("tierline_queue_talk_seconds_sum", 100_000),
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
            zone: "UTC".to_owned(),
            format: Format::Json,
            target: None,
            short: None,
            ..asked(by, step, "", "")
        };
        let told = made(data, &asked, &|| Ok(Targets::new(&center.queues, "center", &asked))).unwrap();
        for line in told.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = row[["queue", "agent", "line", "flow"][by as usize]].as_str().unwrap();
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
        zone: "UTC".to_owned(),
        format: Format::Json,
        formula: Formula::OfferedInTime,
        target: None,
        short: None,
        ..asked(By::Queue, None, "", "")
    };
    let told = made(data, &asked, &|| Ok(Targets::new(&center.queues, "center", &asked))).unwrap();
    for row in told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        let count = |name: &str| row[name].as_i64().unwrap();
        let share = row["service_level_ratio"].as_f64().unwrap_or_default();
        let both = (share * (count("answered") + count("abandoned")) as f64).round() as i64;
        let queue = row["queue"].as_str().unwrap();
        add(sums, "tierline_queue_abandoned_within_target_total", &[queue], both - count("in_target"));
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
    let mut all = Sums::new();
    for seed in 1..=8 {
        let swarm = Options { crashes: 0, record: true, ..Options::swarm(seed) };
        let mut world = World::new(swarm);
        world.keep_journal();
        world.run();
        let (_, configuration, _) = world.recording();
        let (center, events) = (&configuration.center, &with_more(world.journal()));
        let (metrics, records) = (in_metrics(center, events), in_records(&format!("world-{seed}"), center, events));
        let names = metrics.keys().chain(records.keys()).filter(|name| metrics.get(*name) != records.get(*name));
        let differ: Vec<_> = names
            .map(|name| format!("{name}: metrics {:?}, records {:?}", metrics.get(name), records.get(name)))
            .collect();
        assert!(differ.is_empty(), "seed {seed}:\n{}", differ.join("\n"));
        metrics.into_iter().for_each(|(name, value)| *all.entry(name).or_default() += value);
    }
    let unreachable = all.get("tierline_agents_state_seconds_total{unreachable,none}");
    assert!(unreachable > Some(&10_000), "{unreachable:?} ms of nobody whom nothing reached");
    for (name, least) in COMPARED {
        let sum: i64 = all.iter().filter(|(of, _)| of.split('{').next() == Some(name)).map(|(_, value)| value).sum();
        assert!(sum >= least, "{name}: only {sum} in all these worlds");
    }
}
