//! Reports of a small log: each number by hand, over days of 23 and 25 hours.

use super::*;
use crate::event::{AgentMode, Cause, Event, OfferOutcome, Party, Personal, PersonalKind, Phase, StepWay, What};
use crate::ids::{AgentId, CallId, FlowId, LegId, LineId, QueueId, ReservationId, WorkId};
use crate::server::basis::Target;
use crate::server::store::{Keep, Store};
use std::path::PathBuf;

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A log of calls and of an agent's day, written event by event.
struct Log {
    dir: Dir,
    events: Vec<Event>,
    calls: u64,
}

const BERLIN: &str = "Europe/Berlin";
const SPRING: &str = "2026-03-29";
const AUTUMN: &str = "2026-10-25";

impl Log {
    fn new(name: &str) -> Log {
        let dir = Dir(std::env::temp_dir().join(format!("tierline-report-{}-{name}", std::process::id())));
        _ = std::fs::remove_dir_all(&dir.0);
        Log { dir, events: Vec::new(), calls: 0 }
    }

    fn add(&mut self, at: Wall, call: Option<u64>, what: What) {
        let call = call.map(|call| CallId(1 << 32 | call));
        self.events.push(Event { seq: self.events.len() as u64 + 1, at, call, what });
    }

    fn state(&mut self, at: Wall, from: AgentMode, to: AgentMode) {
        self.add(at, None, What::AgentStateChanged { agent: AgentId(7), from, to, reason: "lunch".to_owned() });
    }

    /// A call that waits so many seconds, and then is answered and talks for ten, or is given up.
    fn call(&mut self, at: Wall, waits: u64, answered: bool) {
        self.call_in("sales", at, waits, answered);
    }

    fn call_in(&mut self, queue: &str, at: Wall, waits: u64, answered: bool) {
        self.call_for(queue, at, waits, answered, 10);
    }

    fn call_for(&mut self, queue: &str, at: Wall, waits: u64, answered: bool, talks: u64) {
        self.calls += 1;
        let n = self.calls;
        let (s, queue) = (Duration::from_secs, QueueId::new(queue));
        let caller = Personal { kind: PersonalKind::Number, handle: n, text: None };
        let line = Some(LineId::new("main"));
        let (flow, step, work, agent, leg) = (FlowId::new("menu"), "look".to_owned(), WorkId(n), AgentId(7), LegId(n));
        let arrived = What::arrives(leg, line, caller);
        self.add(at, Some(n), arrived);
        self.add(at, Some(n), What::StepEntered { flow: flow.clone(), step: step.clone() });
        self.add(at + s(2), Some(n), What::StepDecided { flow, step, way: StepWay::Failed });
        let at = at + s(2);
        let queued = What::queued(work, &queue, false);
        self.add(at, Some(n), queued);
        let (reservation, rung) = (ReservationId(n), LegId(1_000 + n));
        self.add(at, Some(n), What::Delivered { work, reservation, agent, leg: rung, why: String::new() });
        let outcome = if answered { OfferOutcome::Accepted } else { OfferOutcome::CallerLeft };
        self.add(at + s(waits), Some(n), What::OfferEnded { work, reservation, agent, outcome });
        let mut end = at + s(waits);
        if answered {
            self.add(end, Some(n), What::Established { work, queue, agent, leg: rung, waited: s(waits), told: None });
            end = end + s(talks);
        }
        let cause = Cause::CallerHungUp;
        self.add(end, Some(n), What::ConnectionCleared { leg, party: Party::Caller, cause });
        self.add(end, Some(n), What::ConnectionCleared { leg: rung, party: Party::Agent(agent), cause });
        self.add(end, Some(n), What::CallEnded { cause, phase: Phase::Queued });
    }

    fn written(self) -> Dir {
        let opened = Store::open_with(&self.dir.0, 0, Keep::default(), Wall(0)).unwrap();
        opened.store.append(self.events);
        opened.store.close().unwrap();
        self.dir
    }
}

fn local(text: &str) -> Wall {
    Local::of(BERLIN).unwrap().time(text).unwrap()
}

fn report(data: &Path, asked: &Asked) -> Result<String> {
    super::report(data, asked).map(|report| report.to_string())
}

/// The same with these targets.
fn made(data: &Path, asked: &Asked, targets: &dyn Fn() -> Result<Targets>) -> Result<String> {
    super::made(data, asked, &Basis::new(data, None), targets).map(|report| report.to_string())
}

/// Of the queues of a center, as its file has them.
fn targets(queues: &BTreeMap<QueueId, crate::center::Queue>, asked: &Asked) -> Result<Targets> {
    let own = queues.iter().map(|(id, queue)| (id.to_string(), Target::of(queue))).collect();
    Ok(Targets::new(own, "center.toml", asked))
}

fn asked(by: By, step: Option<Step>, day: &str, to: &str) -> Asked {
    Asked {
        by,
        step,
        from: Some(day.to_owned()),
        to: Some(to.to_owned()),
        zone: Some(BERLIN.to_owned()),
        only: None,
        formula: Formula::default(),
        target: Some(Duration::from_secs(20)),
        short: Some(Duration::from_secs(5)),
        config: None,
        format: Format::Table,
    }
}

/// Five answered (three within 20 s), three given up (one at once, one more within 20 s).
fn eight_calls(log: &mut Log, day: &str) {
    let hour = |n: i64| Wall(local(day).0 + n * 3_600_000);
    for (n, (waits, answered)) in
        [(5, true), (20, true), (21, true), (60, true), (1, true), (4, false), (20, false), (90, false)]
            .iter()
            .enumerate()
    {
        log.call(hour(n as i64), *waits, *answered);
    }
}

#[test]
fn queues_are_counted_and_the_formula_is_named() {
    let mut log = Log::new("queues");
    eight_calls(&mut log, SPRING);
    let dir = log.written();
    let whole = asked(By::Queue, None, SPRING, "2026-03-30");
    let told = report(&dir.0, &whole).unwrap();
    let expect = "\
2026-03-29T00:00+01:00 to 2026-03-30T00:00+02:00 in Europe/Berlin
service level A_T/(A+B-B_s) (without-short), T 20 s, short below 5 s, as asked for
complete up to 2026-03-29T08:01:32+02:00, the end of the log
FROM                    TO                      QUEUE  OFFERED  ANSWERED  IN TARGET  ABANDONED  SHORT  DIVERTED  LOST  AGAIN  SERVICE LEVEL  MEAN WAIT  LONGEST WAIT  MEAN TALK  MEAN HOLD  MEAN HANDLING  TALK
2026-03-29T00:00+01:00  2026-03-30T00:00+02:00  sales        8         5          3          3      1         0     0      0         42.9 %       0:21          1:30       0:10       0:00           0:10  0:50
";
    assert_eq!(told, expect);
    for (formula, share) in [
        (Formula::Answered, 3.0 / 5.0),
        (Formula::Offered, 3.0 / 8.0),
        (Formula::OfferedInTime, 5.0 / 8.0),
        (Formula::Patient, 3.0 / 6.0),
        (Formula::ShortServed, 4.0 / 8.0),
    ] {
        let told = report(&dir.0, &Asked { formula, format: Format::Json, ..whole.clone() }).unwrap();
        let row: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(row["service_level_ratio"], share, "{}", formula.text());
        assert!(row["notes"][1].as_str().unwrap().contains(formula.text()), "{row}");
    }
    let other = Asked { target: Some(Duration::from_secs(60)), short: Some(Duration::from_secs(21)), ..whole.clone() };
    let told = report(&dir.0, &other).unwrap();
    assert!(told.contains("83.3 %") && told.contains("T 60 s, short below 21 s"), "{told}");
    let nobody = report(&dir.0, &Asked { only: Some("general".to_owned()), ..whole.clone() }).unwrap();
    assert!(nobody.ends_with("nothing in this time\n"), "{nobody}");
    // Also of nothing it is said up to when that is so.
    let nobody = Asked { only: Some("general".to_owned()), format: Format::Json, ..whole.clone() };
    let told: serde_json::Value = serde_json::from_str(&report(&dir.0, &nobody).unwrap()).unwrap();
    assert_eq!(told.as_object().unwrap().len(), 1);
    assert!(told["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().starts_with("complete up to")));
    // A queue that is not configured any more is one all the same; one that never was is a mistake.
    let config = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/tierline.toml");
    for (by, only, expect) in [
        (By::Queue, "sales", None),
        (By::Queue, "sale", Some("there is no queue `sale`")),
        (By::Queue, "generl", Some("did you mean \"general\"?")),
        (By::Agent, "1001", None),
        (By::Agent, "7777", Some("there is no agent `7777`")),
        (By::Line, "support", None),
        (By::Line, "suport", Some("did you mean \"support\"?")),
        (By::Line, "-", None),
        (By::Flow, "desk", None),
        (By::Flow, "dest", Some("did you mean \"desk\"?")),
    ] {
        let asked = Asked { by, only: Some(only.to_owned()), config: Some(config.clone()), ..whole.clone() };
        let told = report(&dir.0, &asked);
        let why = told.as_ref().err().map(|why| (crate::server::wrong::exit_code(why), why.to_string()));
        assert_eq!(why.as_ref().map(|(code, _)| *code), expect.map(|_| 2), "{by:?} {only}: {told:?}");
        assert!(why.is_none_or(|(_, why)| why.contains(expect.unwrap_or_default())), "{by:?} {only}");
    }
}

/// Two queues with the same waits: one in 20 s, 21 s and gone after 4 s and 8 s, as each of them means it.
#[test]
fn each_queue_has_its_own_target_and_the_total_is_of_these() {
    let mut log = Log::new("targets");
    for queue in ["sales", "support"] {
        for (n, (waits, answered)) in [(20, true), (21, true), (4, false), (8, false)].into_iter().enumerate() {
            log.call_in(queue, Wall(local(SPRING).0 + n as i64 * 3_600_000), waits, answered);
        }
    }
    let dir = log.written();
    let queue = |name: &str, target: u64, short: u64| {
        let (target, short_abandon) = (Duration::from_secs(target), Duration::from_secs(short));
        let id = QueueId::new(name);
        (id.clone(), crate::center::Queue { target, short_abandon, ..crate::center::Queue::named(id) })
    };
    let center = [queue("sales", 20, 5), queue("support", 30, 10)].into();
    let own = Asked { target: None, short: None, ..asked(By::Queue, None, SPRING, "2026-03-30") };
    let told = |asked: &Asked| made(&dir.0, asked, &|| targets(&center, asked)).unwrap();
    let text = told(&own);
    let heading = "T 20 s, short below 5 s (sales); T 30 s, short below 10 s (support), as in center.toml\n";
    assert!(text.contains(heading), "{text}");
    let rows = |text: &str| {
        let row = |line: &str| line.split_whitespace().skip(2).take(6).collect::<Vec<_>>().join(" ");
        text.lines().skip(4).map(row).collect::<Vec<_>>()
    };
    // Offered, answered, in target, abandoned, short.
    assert_eq!(rows(&text), ["sales 4 2 1 2 1", "support 4 2 2 2 2", "(all) 8 4 3 4 3"]);
    assert!(text.lines().last().unwrap().contains(" 60.0 %"), "3 of 8 - 3: {text}");
    let text = told(&Asked { target: Some(Duration::from_secs(10)), ..own.clone() });
    let heading = "T 10 s, short below 5 s (sales); T 10 s, short below 10 s (support), T as asked for, short as in";
    assert!(text.contains(heading), "{text}");
    assert_eq!(rows(&text), ["sales 4 2 0 2 1", "support 4 2 0 2 2", "(all) 8 4 0 4 3"]);
    let csv = told(&Asked { format: Format::Csv, ..own.clone() });
    assert!(!csv.contains("(all)") && csv.contains("# service level"), "{csv}");
    // Those of the file that is served: neither queue is in it.
    let text = report(&dir.0, &own).unwrap();
    assert!(text.contains("as in deploy/tierline.toml; not there, so with the defaults: sales, support\n"), "{text}");
    assert_eq!(rows(&text), ["sales 4 2 1 2 1", "support 4 2 1 2 1", "(all) 8 4 2 4 2"]);
    let missing = Asked { config: Some("nowhere.toml".into()), ..own };
    let told = format!("{:#}", report(&dir.0, &missing).unwrap_err());
    assert!(told.contains("name it with --config, or give --target and --short"), "{told}");
}

/// A call an hour from midnight: which stretches there are, and how many calls are in each.
#[test]
fn days_of_23_and_25_hours_have_their_calls() {
    for (day, next, hours, name) in [(SPRING, "2026-03-30", 23, "spring"), (AUTUMN, "2026-10-26", 25, "autumn")] {
        let mut log = Log::new(name);
        let begin = local(day);
        (-1..=hours).for_each(|n| log.call(Wall(begin.0 + n * 3_600_000), 1, true));
        let dir = log.written();
        let offered = |step, from: &str| {
            let csv = Asked { format: Format::Csv, ..asked(By::Queue, step, from, next) };
            let told = report(&dir.0, &csv).unwrap();
            let rows = told.split("\r\n").filter(|line| line.starts_with("20")).map(str::to_owned);
            rows.map(|row| (row[11..22].to_owned(), row.split(',').nth(3).unwrap().to_owned())).collect::<Vec<_>>()
        };
        let (days, offset) = (offered(Some(Step::Day), day), if name == "spring" { "+01:00" } else { "+02:00" });
        assert_eq!(days, [(format!("00:00{offset}"), hours.to_string())], "{name}");
        let by_hour = offered(Some(Step::Hour), day);
        assert_eq!(by_hour.len() as i64, hours, "{name}: {by_hour:?}");
        assert!(by_hour.iter().all(|(_, count)| count == "1"), "{name}: {by_hour:?}");
        let at_two: Vec<&str> =
            by_hour.iter().filter(|(at, _)| at.starts_with("02")).map(|(at, _)| at.as_str()).collect();
        let expect: &[&str] = if name == "spring" { &[] } else { &["02:00+02:00", "02:00+01:00"] };
        assert_eq!(at_two, expect, "{name}");
        let two_days = offered(Some(Step::Day), if name == "spring" { "2026-03-28" } else { "2026-10-24" });
        let counts: Vec<&str> = two_days.iter().map(|(_, count)| count.as_str()).collect();
        assert_eq!(counts, ["1", &hours.to_string()], "{name}: the call before midnight is the day before's");
    }
}

#[test]
fn agents_have_their_share_of_each_interval() {
    use AgentMode::{LoggedOut, NotReady, Ready};
    let mut log = Log::new("agents");
    let hour = |n: i64| Wall(local(SPRING).0 + n * 3_600_000);
    log.state(hour(0), LoggedOut, Ready);
    log.state(hour(4) + Duration::from_secs(1_800), Ready, NotReady);
    log.call(hour(5), 7, true);
    log.call(hour(5), 3, false);
    log.state(hour(25), NotReady, LoggedOut);
    log.add(hour(26), None, What::Reconfigured);
    let dir = log.written();
    let rows = |step, to: &str| {
        let told = report(&dir.0, &Asked { format: Format::Json, ..asked(By::Agent, step, SPRING, to) }).unwrap();
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let s = |name: &str| row[name].as_f64().unwrap();
            [s("signed_in_s"), s("ready_s"), s("not_ready_s"), s("answered"), s("cancelled"), s("talk_s")]
        };
        told.lines().map(row).collect::<Vec<_>>()
    };
    // A day of 23 hours: the break goes on over its end, and over the beginning of the next one.
    let day = [23.0 * 3600.0, 4.5 * 3600.0, 18.5 * 3600.0, 1.0, 1.0, 10.0];
    assert_eq!(rows(Some(Step::Day), "2026-03-30"), [day]);
    let next = [2.0 * 3600.0, 0.0, 2.0 * 3600.0, 0.0, 0.0, 0.0];
    assert_eq!(rows(Some(Step::Day), "2026-03-31"), [day, next]);
    let quarters = rows(Some(Step::Quarter), "2026-03-31");
    let sum = |column: usize| quarters.iter().map(|row| row[column]).sum::<f64>();
    assert_eq!([0, 1, 2, 3, 4, 5].map(sum), [25.0 * 3600.0, 4.5 * 3600.0, 20.5 * 3600.0, 1.0, 1.0, 10.0]);
}

/// As people see them, and a spreadsheet: to the letter.
#[test]
fn agents_lines_and_flows_are_written_as_people_read_them() {
    use AgentMode::{Busy, LoggedOut, NotReady, Ready, Reserved, WrapUp};
    let mut log = Log::new("written");
    let minute = |n: i64| Wall(local(SPRING).0 + n * 60_000);
    let states = [
        (0, LoggedOut, Ready),
        (60, Ready, Reserved),
        (61, Reserved, Busy),
        (62, Busy, WrapUp),
        (63, WrapUp, NotReady),
    ];
    states.into_iter().for_each(|(n, from, to)| log.state(minute(n), from, to));
    log.call(minute(60), 60, true);
    log.call(minute(90), 3, false);
    log.state(minute(25 * 60), NotReady, LoggedOut);
    log.add(minute(26 * 60), None, What::Reconfigured);
    let dir = log.written();
    let told = |by, format| report(&dir.0, &Asked { format, ..asked(by, None, SPRING, "2026-03-30") }).unwrap();
    let tables = [By::Agent, By::Line, By::Flow].map(|by| told(by, Format::Table)).join("\n");
    assert_eq!((tables, told(By::Agent, Format::Csv)), (TABLES.to_owned(), CSV.replace('\n', "\r\n")));
}

const TABLES: &str = "\
2026-03-29T00:00+01:00 to 2026-03-30T00:00+02:00 in Europe/Berlin
complete up to 2026-03-30T03:00:00+02:00, the end of the log
FROM                    TO                      AGENT  SIGNED IN  NOT READY    READY  RUNG  BUSY  WRAP-UP  UNREACHABLE  OCCUPANCY  ANSWERED  REFUSED  MISSED  CANCELLED  TALK  HOLD
2026-03-29T00:00+01:00  2026-03-30T00:00+02:00  7       23:00:00   21:57:00  1:00:00  1:00  1:00     1:00         0:00      4.8 %         1        0       0          1  0:10  0:00

2026-03-29T00:00+01:00 to 2026-03-30T00:00+02:00 in Europe/Berlin
complete up to 2026-03-30T03:00:00+02:00, the end of the log
FROM                    TO                      LINE  ARRIVED  SERVED  TRANSFERRED  ABANDONED  LEFT FLOW  FLOW ENDED  FAILED  MEAN LENGTH  MEAN WAIT OF ALL  TALK
2026-03-29T00:00+01:00  2026-03-30T00:00+02:00  main        2       1            0          1          0           0       0         0:38              0:31  0:10

2026-03-29T00:00+01:00 to 2026-03-30T00:00+02:00 in Europe/Berlin
complete up to 2026-03-30T03:00:00+02:00, the end of the log
FROM                    TO                      FLOW  ENTERED  CONTAINED  CONTAINMENT  PERSON ASKED  TO QUEUE  OUTSIDE  TO FLOW  ENDED  HUNG UP  FAILED  MEAN TIME  LOOK-UPS  NOT FOUND  LOOK-UPS FAILED  MEAN LOOK-UP
2026-03-29T00:00+01:00  2026-03-30T00:00+02:00  menu        2          0        0.0 %             0         2        0        0      0        0       0       0:02         2          0                2          0:02
";
const CSV: &str = "\
# 2026-03-29T00:00+01:00 to 2026-03-30T00:00+02:00 in Europe/Berlin
# complete up to 2026-03-30T03:00:00+02:00, the end of the log
from,to,agent,signed_in_s,not_ready_s,ready_s,rung_s,busy_s,wrap_up_s,unreachable_s,occupancy_ratio,answered,refused,missed,cancelled,talk_s,hold_s
2026-03-29T00:00+01:00,2026-03-30T00:00+02:00,7,82800.000,79020.000,3600.000,60.000,60.000,60.000,0.000,0.047619,1,0,0,1,10.000,0.000
";

/// What takes long says how far it is, each part of it: reading, writing.
#[test]
fn a_report_shows_how_far_it_is() {
    use crate::server::progress::seen;
    let mut log = Log::new("progress");
    log.state(local(SPRING), AgentMode::LoggedOut, AgentMode::Ready);
    log.call(local(SPRING), 7, true);
    let dir = log.written();
    for (by, read) in [(By::Queue, "report: seconds of the time"), (By::Agent, "report: agents 0 of 1 (0 %)")] {
        for format in [Format::Table, Format::Csv, Format::Json] {
            let asked = Asked { format, ..asked(by, Some(Step::Day), SPRING, "2026-03-31") };
            let shown = seen::while_it_runs(|| assert!(report(&dir.0, &asked).unwrap().len() > 100));
            for part in [read, "report: rows written 0 of 1 (0 %)"] {
                assert!(shown.contains(part), "{by:?}, {format:?}: no `{part}` in {shown}");
            }
        }
    }
}

/// He begins to wait before the hour, is rung in the next one, and talks into the one after it.
#[test]
fn talk_is_shared_out_among_the_hours_in_which_it_was() {
    let mut log = Log::new("talk");
    let minute = |n: i64| Wall(local(SPRING).0 + n * 60_000);
    log.state(minute(0), AgentMode::LoggedOut, AgentMode::Ready);
    log.call_for("sales", minute(9 * 60 + 58), 3 * 60, true, 62 * 60);
    log.add(minute(24 * 60), None, What::Reconfigured);
    let dir = log.written();
    let told =
        report(&dir.0, &Asked { format: Format::Json, ..asked(By::Agent, Some(Step::Hour), SPRING, "2026-03-30") });
    let rows = told.unwrap();
    let rows = rows.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let talks: Vec<(String, u64, f64)> = rows
        .map(|row| {
            (
                row["from"].as_str().unwrap()[11..13].to_owned(),
                row["answered"].as_u64().unwrap(),
                row["talk_s"].as_f64().unwrap(),
            )
        })
        .filter(|(_, answered, talk)| *answered > 0 || *talk > 0.0)
        .collect();
    // Twelve o'clock there: the clocks were put forward at two.
    let from = |hour: &str, answered, talk| (hour.to_owned(), answered, talk);
    assert_eq!(talks, [from("10", 1, 0.0), from("11", 0, 59.0 * 60.0 - 2.0), from("12", 0, 3.0 * 60.0 + 2.0)]);
}

#[test]
fn lines_and_flows_say_what_became_of_the_calls() {
    let mut log = Log::new("lines");
    eight_calls(&mut log, AUTUMN);
    let dir = log.written();
    let row = |by| {
        let told = report(&dir.0, &Asked { format: Format::Csv, ..asked(by, None, AUTUMN, "2026-10-26") }).unwrap();
        told.split("\r\n").filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        row(By::Line)[..2],
        [
            "from,to,line,arrived,served,transferred,abandoned,left_flow,flow_ended,failed,mean_length_s,mean_wait_of_all_s,talk_s",
            "2026-10-25T00:00+02:00,2026-10-26T00:00+01:00,main,8,5,0,3,0,0,0,35.875,27.625,50.000"
        ]
    );
    assert_eq!(
        row(By::Flow)[..2],
        [
            "from,to,flow,entered,contained,containment_ratio,person_asked,to_queue,outside,to_flow,ended,hung_up,failed,\
             mean_time_s,look_ups,not_found,look_ups_failed,mean_look_up_s",
            "2026-10-25T00:00+02:00,2026-10-26T00:00+01:00,menu,8,0,0.000000,0,8,0,0,0,0,0,2.000,8,0,8,2.000"
        ]
    );
}

#[test]
fn what_is_no_time_or_zone_is_told() {
    let dir = Log::new("wrong").written();
    let refused = |change: &dyn Fn(&mut Asked)| {
        let mut asked = asked(By::Queue, Some(Step::Quarter), SPRING, "2026-03-30");
        change(&mut asked);
        format!("{:#}", report(&dir.0, &asked).unwrap_err())
    };
    let told = refused(&|asked| asked.zone = Some("Mars/Olympus".to_owned()));
    assert!(told.contains("there is no time zone `Mars/Olympus`"), "{told}");
    for text in
        ["2026-02-30", "2026-3-1", "yesterday", "2026-03-29T25:00", "2026-03-29T10", "-026-03-29", "2026-03-29-1"]
    {
        let told = refused(&|asked| asked.from = Some(text.to_owned()));
        assert!(told.contains(&format!("`{text}` is no time; allowed: a day such as")), "{told}");
    }
    let told = refused(&|asked| asked.to = asked.from.clone());
    assert!(told.contains("is empty"), "{told}");
    let told = refused(&|asked| asked.from = Some("1990-01-01".to_owned()));
    assert!(told.contains("more than 110000 intervals"), "{told}");
    assert_eq!(local("2026-03-29T02:30"), local("2026-03-29T03:00"), "left out by the clocks");
    assert_eq!(local("2026-10-25T02:30:05Z").0, 1_792_895_405_000);
}

/// The guide defines each column of each report, in the words that stand beside it in the code.
#[test]
fn the_guide_says_what_each_column_means() {
    let guide = include_str!("../../../docs/supervisors.md");
    for by in [By::Queue, By::Agent, By::Line, By::Flow] {
        let told = reference(by);
        assert!(guide.contains(&told), "docs/supervisors.md lacks\n{told}");
        assert!(told.lines().all(|line| !line.ends_with("|  |")), "{told}");
    }
}

/// A caller is answered, the agent's phone is lost after two minutes, and another one talks with him for eight, in the next
/// hour: the mean is of two talks, and each hour has its own.
#[test]
fn talks_of_who_waits_again_count_as_talks() {
    let mut log = Log::new("again");
    let (agent, begin) = (AgentId(1001), local(SPRING).0 + 10 * 3_600_000);
    let mut add = |s: i64, what: What| log.add(Wall(begin + s * 1000), Some(900), what);
    let caller = Personal { kind: PersonalKind::Number, handle: 1, text: None };
    add(0, What::arrives(LegId(900), Some(LineId::new("main")), caller));
    for (n, from, to, again) in [(1, 3_400, 3_520, false), (2, 3_601, 4_081, true)] {
        let (work, queue, leg) = (WorkId(900 + n), QueueId::new("sales"), LegId(900 + n));
        add(from, What::queued(work, &queue, again));
        let reservation = ReservationId(900 + n);
        add(from, What::Delivered { work, reservation, agent, leg, why: String::new() });
        add(from, What::OfferEnded { work, reservation, agent, outcome: OfferOutcome::Accepted });
        add(from, What::Established { work, queue, agent, leg, waited: Duration::ZERO, told: None });
        add(to, What::ConnectionCleared { leg, party: Party::Agent(agent), cause: Cause::Silent });
    }
    add(4_081, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected });
    let dir = log.written();
    let rows = |step| {
        let told = report(&dir.0, &Asked { format: Format::Json, ..asked(By::Queue, step, SPRING, "2026-03-30") });
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let [answered, again] = ["answered", "again"].map(|name| row[name].as_u64().unwrap());
            (answered, again, row["mean_talk_s"].as_f64().unwrap(), row["mean_handling_s"].as_f64().unwrap())
        };
        told.unwrap().lines().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(None), [(1, 1, 300.0, 300.0)]);
    assert_eq!(rows(Some(Step::Hour)), [(1, 0, 120.0, 120.0), (0, 1, 480.0, 480.0)]);
}

mod worlds;
