//! Logs with a few calls, and what is shown of them.

use super::*;
use crate::event::{Cause, Party, Personal, PersonalKind, Phase};
use crate::ids::{FlowId, LegId, LineId, QueueId, TrunkId, WorkId};
use crate::server::store::NoLog;
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
    What::arrives(LegId(call), line, caller)
}

fn rings(agent: u32) -> What {
    let (work, reservation, leg) = (WorkId(1), crate::ids::ReservationId(1), LegId(9));
    What::Delivered { work, reservation, agent: AgentId(agent), leg, why: String::new() }
}

/// Three calls: one served, one that failed, one that waits.
fn three_calls(dir: &Dir) {
    let queue = QueueId::new("sales");
    let work = WorkId(1);
    let queued = What::queued(work, &queue, false);
    let waited = Duration::from_secs(67);
    let talk = What::Established { work, queue, agent: AgentId(1003), leg: LegId(9), waited, told: None };
    let gone = |cause| What::ConnectionCleared { leg: LegId(1), party: Party::Caller, cause };
    let rows = [
        (1, 0, arrives(1)),
        (1, 3, queued.clone()),
        (1, 69, rings(1003)),
        (1, 70, talk),
        (2, 71, arrives(2)),
        (1, 75, gone(Cause::CallerHungUp)),
        (1, 75, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected }),
        (2, 76, What::CallEnded { cause: Cause::NoMedia, phase: Phase::Arriving }),
        (3, 80, arrives(3)),
        (3, 81, queued),
    ];
    write(dir, rows.into());
}

fn write(dir: &Dir, rows: Vec<(u64, i64, What)>) {
    let opened = Store::open_with(&dir.0, 0, Keep::default(), Wall(0)).unwrap();
    for (i, (call, s, what)) in rows.into_iter().enumerate() {
        let (seq, at) = (i as u64 + 1, Wall(EVENING + s * 1000));
        let call = (call > 0).then_some(CallId(1 << 32 | call)); // 0: of no call
        opened.store.append(vec![Event { seq, at, call, what }]);
    }
    opened.store.close().unwrap();
}

fn listed(dir: &Dir, last: usize, json: bool, numbers: bool) -> String {
    list(&dir.0, &Show { last, json, numbers, ..Show::default() }).unwrap()
}

#[test]
fn the_list_is_a_table_newest_first() {
    let dir = dir("table");
    Store::open_with(&dir.0, 0, Keep::default(), Wall(0)).unwrap().store.close().unwrap();
    assert_eq!(listed(&dir, 20, false, false), NONE_YET);
    assert_eq!(listed(&dir, 20, true, false), "");
    three_calls(&dir);
    let check = |last, numbers, expect: &str| assert_eq!(listed(&dir, last, false, numbers), expect[1..]);
    let cut = listed(&dir, 1, false, false);
    assert!(cut.contains("support  cut      ?") && cut.contains("No server runs from "), "nobody serves: {cut}");
    let _serves = Store::open_with(&dir.0, 0, Keep::default(), Wall(0)).unwrap();
    check(
        20,
        false,
        "
CALL    ARRIVED                   LINE     OUTCOME                  WAITED  TALK  HOLD  AGENT
c0-1-3  2026-11-21T20:32:27.250Z  support  running                  …       -     -     -
c0-1-2  2026-11-21T20:32:18.250Z  support  failed: no common codec  -       -     -     -
c0-1-1  2026-11-21T20:31:07.250Z  support  served                   1:07    0:05  0:00  1003
",
    );
    check(
        1,
        true,
        "
CALL    ARRIVED                   LINE     OUTCOME  WAITED  TALK  HOLD  AGENT  CALLER
c0-1-3  2026-11-21T20:32:27.250Z  support  running  …       -     -     -      +4930123456
",
    );
}

/// An hour that comes twice, and a clock that is half an hour off: who reads the list sees which one it was.
#[test]
fn calls_came_when_the_center_s_clocks_say_so() {
    let dir = dir("zone");
    let opened = Store::open_with(&dir.0, 0, Keep::default(), Wall(0)).unwrap();
    // 02:30:00.005 in summer time, and an hour later.
    for (n, at) in [(1, 1_792_888_200_005), (2, 1_792_891_800_005)] {
        opened.store.append(vec![Event { seq: n, at: Wall(at), call: Some(CallId(1 << 32 | n)), what: arrives(n) }]);
    }
    opened.store.flush().unwrap();
    let demo = std::fs::read_to_string("deploy/tierline.toml").unwrap();
    let flows = std::env::current_dir().unwrap().join("ivr-flows");
    let of = |zone: &str| {
        let text = demo.replace("time_zone = \"UTC\"", &format!("time_zone = \"{zone}\""));
        let config = dir.0.join("own.toml");
        std::fs::write(&config, text.replace("\"../ivr-flows\"", &format!("\"{}\"", flows.display()))).unwrap();
        Some(config)
    };
    let shown = |show: Show| {
        let text = list(&dir.0, &Show { last: 9, ..show }).unwrap();
        let arrived = text.lines().map(|line| line[8..].split("  ").next().unwrap().to_owned());
        arrived.collect::<Vec<_>>()
    };
    let (berlin, name) = (of("Europe/Berlin"), "ARRIVED (Europe/Berlin)");
    let summer = "2026-10-25T02:30:00.005+02:00";
    let winter = "2026-10-25T02:30:00.005+01:00";
    assert_eq!(shown(Show { config: berlin.clone(), ..Show::default() }), [name, winter, summer]);
    // Of an hour that comes twice the first one is meant; UTC where it is said.
    let since = |from: &str| filter::Filter { from: Some(from.to_owned()), ..filter::Filter::default() };
    for (from, zone, expect) in [
        ("2026-10-25T02:30", None, vec![name, winter, summer]),
        ("2026-10-25T01:00Z", None, vec![name, winter]),
        ("2026-10-25T01:00", Some("UTC"), vec!["ARRIVED", "2026-10-25T01:30:00.005Z"]),
    ] {
        let (filter, zone) = (since(from), zone.map(str::to_owned));
        let of = shown(Show { filter, zone, config: berlin.clone(), ..Show::default() });
        assert_eq!(of, expect, "{from}");
    }
    let india = ["ARRIVED (Asia/Kolkata)", "2026-10-25T07:00:00.005+05:30", "2026-10-25T06:00:00.005+05:30"];
    assert_eq!(shown(Show { config: of("Asia/Kolkata"), ..Show::default() }), india);
    // A configuration of another log says nothing of this one; programs have UTC.
    assert_eq!(shown(Show::default())[0], "ARRIVED");
    let json = list(&dir.0, &Show { last: 1, json: true, config: berlin, ..Show::default() }).unwrap();
    assert!(json.contains("\"arrived\":\"2026-10-25T01:30:00.005Z\""), "{json}");
    opened.store.close().unwrap();
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
    assert!(refused("c0-1-1").contains("there is no directory"));
    three_calls(&dir);
    assert!(refused("42").contains("looks like c0-1-42"));
    assert!(refused("c0-1-4").contains("there is no call c0-1-4"));
    let [masked, full] = [false, true].map(|numbers| ladder(&dir.0, "c0-1-1", numbers).unwrap());
    assert!(masked.contains("talk with agent 1003") && !masked.contains("4930123456"), "{masked}");
    assert!(full.contains("from +4930123456"), "{full}");
}

#[test]
fn where_no_log_is_that_is_said() {
    let dir = dir("none");
    let told = |data: &Path| {
        let why = list(data, &Show { last: 20, ..Show::default() }).unwrap_err();
        assert!(why.is::<NoLog>());
        why.to_string()
    };
    assert!(told(&dir.0).starts_with("there is no directory `"), "{}", told(&dir.0));
    std::fs::create_dir_all(&dir.0).unwrap();
    assert!(told(&dir.0).starts_with("there is no event log in `"), "{}", told(&dir.0));
    assert!(ladder(&dir.0, "c0-1-1", false).unwrap_err().is::<NoLog>());
    assert!(super::told(&dir.0, "c0-1-1", false).unwrap_err().is::<NoLog>());
}

#[test]
fn one_call_is_told_as_json() {
    let dir = dir("told");
    three_calls(&dir);
    let told =
        |numbers| serde_json::from_str::<serde_json::Value>(&super::told(&dir.0, "c0-1-1", numbers).unwrap()).unwrap();
    let [masked, full] = [told(false), told(true)];
    assert_eq!((&masked["outcome"], &masked["waited_s"]), (&"Served".into(), &67.0.into()));
    let events: Vec<&str> = masked["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(events, ["CallArrived", "Queued", "Delivered", "Established", "ConnectionCleared", "CallEnded"]);
    assert_eq!(masked["events"][0]["at"], "2026-11-21T20:31:07.250Z");
    assert!(!masked.to_string().contains("4930123456"));
    assert_eq!(full["events"][0]["caller"]["text"], "+4930123456");
}

/// With a dialog's tags and target anybody could end the call.
#[test]
fn of_a_running_call_the_dialog_is_never_shown() {
    let dir = dir("dialog");
    let dialog = Personal { kind: PersonalKind::Dialog, handle: 77, text: Some("tag=secret".into()) };
    let confirmed = What::LegConfirmed { leg: LegId(1), party: Party::Caller, dialog };
    write(&dir, vec![(1, 0, arrives(1)), (1, 1, confirmed)]);
    let shown = [
        super::told(&dir.0, "c0-1-1", true).unwrap(),
        ladder(&dir.0, "c0-1-1", true).unwrap(),
        listed(&dir, 20, true, true),
    ];
    for text in shown {
        assert!(text.contains("4930123456") && !text.contains("secret"), "{text}");
    }
}

/// A short code is a call too; the list says what was asked for.
#[test]
fn a_break_is_seen_in_the_list() {
    let dir = dir("codes");
    let code = |call, flow| {
        let caller = Personal { kind: PersonalKind::Number, handle: call, text: None };
        let by_agent = Some(AgentId(1001));
        let arrived = What::CallArrived {
            leg: LegId(call),
            line: None,
            by_agent,
            trunk: None,
            private: false,
            language: "en".into(),
            caller,
        };
        let step = What::StepEntered { flow: FlowId::new(flow), step: "say".into() };
        let ended = What::CallEnded { cause: Cause::FlowEnded, phase: Phase::InFlow };
        [arrived, step, ended].map(|what| (call, call as i64, what))
    };
    write(&dir, [code(1, "@not-ready"), code(2, "@ready")].concat());
    let expect = "
CALL    ARRIVED                   LINE        OUTCOME            WAITED  TALK  HOLD  AGENT
c0-1-2  2026-11-21T20:31:09.250Z  agent 1001  asked for calls    -       -     -     -
c0-1-1  2026-11-21T20:31:08.250Z  agent 1001  asked for a break  -       -     -     -
";
    assert_eq!(listed(&dir, 20, false, false), expect[1..]);
    assert!(listed(&dir, 1, true, false).contains(r#""code":"Ready""#));
}

#[test]
fn calls_are_found_by_what_they_were() {
    use crate::server::calls::filter::{Filter, cause};
    let dir = dir("filters");
    three_calls(&dir);
    let found = |filter: Filter| {
        let table = list(&dir.0, &Show { last: 20, filter, ..Show::default() }).unwrap();
        table.lines().filter_map(|line| Some(line.strip_prefix("c0-1-")?[..1].to_owned())).collect::<String>()
    };
    let (s, none) = (Duration::from_secs, Filter::default);
    let time = |text: &str| Some(text.to_owned());
    let rows = [
        (Filter { line: time("support"), ..none() }, "321"),
        (Filter { line: time("desk"), ..none() }, ""),
        (Filter { queue: time("sales"), ..none() }, "31"),
        (Filter { agent: Some(1003), ..none() }, "1"),
        (Filter { agent: Some(1004), ..none() }, ""),
        (Filter { cause: Some(Cause::NoMedia), ..none() }, "2"),
        (Filter { cause: Some(Cause::CallerHungUp), ..none() }, "1"),
        (Filter { least_wait: Some(s(67)), cause: Some(Cause::CallerHungUp), ..none() }, "1"),
        (Filter { least_wait: Some(s(68)), cause: Some(Cause::CallerHungUp), ..none() }, ""),
        (Filter { from: time("2026-11-21T20:32:19"), ..none() }, "3"),
        (Filter { to: time("2026-11-21T20:32:18"), ..none() }, "1"),
    ];
    for (filter, expect) in rows {
        let told = format!("{filter:?}");
        assert_eq!(found(filter), expect, "{told}");
    }
    for (filter, expect) in [
        (Filter { line: time("suport"), ..none() }, "there is no line `suport` in"),
        (Filter { queue: time("sale"), ..none() }, "did you mean \"sales\"?"),
        (Filter { agent: Some(77), ..none() }, "there is no agent `77` in"),
        (Filter { trunk: time("carrier"), ..none() }, "there is no trunk `carrier` in"),
    ] {
        let config = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/tierline.toml"));
        let why = list(&dir.0, &Show { last: 20, filter, config, ..Show::default() }).unwrap_err();
        assert_eq!(crate::server::wrong::exit_code(&why), 2);
        assert!(why.to_string().contains(expect), "{why}");
    }
    let winter = Filter { from: time("2026-11-21T21:32"), ..none() };
    let zone = Some("Europe/Berlin".to_owned());
    let text = list(&dir.0, &Show { last: 20, filter: winter, zone, ..Show::default() }).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("c0-1-")).count(), 2, "20:32 there is 21:32 here: {text}");
    let empty = Filter { from: Some("2026-11-22".into()), to: Some("2026-11-21".into()), ..none() };
    let why = list(&dir.0, &Show { last: 20, filter: empty, ..Show::default() }).unwrap_err();
    assert!(crate::server::wrong::exit_code(&why) == 2 && why.to_string().contains("is empty"), "{why}");
    let one = list(&dir.0, &Show { last: 1, filter: Filter { line: time("support"), ..none() }, ..Show::default() });
    assert_eq!(one.unwrap().lines().count(), 3, "a head, the newest of three, and that nobody serves");
    let nobody =
        list(&dir.0, &Show { last: 9, filter: Filter { cause: Some(Cause::Defect), ..none() }, ..Show::default() });
    assert_eq!(nobody.unwrap(), NONE_SUCH);
    assert_eq!(
        [cause("CallerHungUp"), cause("caller hung up"), cause("no-media")],
        [Ok(Cause::CallerHungUp), Ok(Cause::CallerHungUp), Ok(Cause::NoMedia)]
    );
    assert!(cause("bad luck").unwrap_err().starts_with("allowed: CallerHungUp, AgentHungUp"));
}

/// Who brought a call and who carried a leg of it out, whom it was made by: of calls that have ended as of those that run.
#[test]
fn calls_are_found_by_their_trunk_and_by_who_made_them() {
    use crate::server::calls::filter::Filter;
    let dir = dir("trunks");
    let came = |call: u64, over: Option<&str>, by: Option<u32>| {
        let What::CallArrived { leg, line, private, language, caller, .. } = arrives(call) else { panic!("arrives") };
        let (trunk, by_agent) = (over.map(TrunkId::new), by.map(AgentId));
        (call, call as i64, What::CallArrived { leg, line, by_agent, trunk, private, language, caller })
    };
    let went = |call: u64, trunk: &str| {
        let (leg, number) = (LegId(90 + call), Personal { kind: PersonalKind::Text, handle: 90 + call, text: None });
        let reached = What::NetworkReached { leg, trunk: TrunkId::new(trunk) };
        [What::OutsideCalled { leg, number }, reached, What::OutsideJoined { leg }].map(|what| (call, 20, what))
    };
    let ended = |call| (call, 30, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected });
    let mut rows: Vec<_> = [1, 4].map(|call| came(call, Some("bringer"), None)).into();
    rows.extend([came(2, None, Some(1001)), came(5, None, Some(1002)), came(3, None, None), came(6, None, None)]);
    rows.extend([went(3, "carrier"), went(6, "carrier")].concat());
    rows.extend([ended(1), ended(2), ended(3)]);
    write(&dir, rows);
    let found = |filter: Filter| {
        let table = list(&dir.0, &Show { last: 20, filter, ..Show::default() }).unwrap();
        table.lines().filter_map(|line| Some(line.strip_prefix("c0-1-")?[..1].to_owned())).collect::<String>()
    };
    let over = |trunk: &str| Filter { trunk: Some(trunk.to_owned()), ..Filter::default() };
    let by = |agent| Filter { agent: Some(agent), ..Filter::default() };
    assert_eq!(["bringer", "carrier", "other"].map(|trunk| found(over(trunk))), ["41", "63", ""]);
    assert_eq!([1001, 1002, 1003].map(|agent| found(by(agent))), ["2", "5", ""]);
    assert_eq!([found(Filter { agent: Some(1001), ..over("bringer") }), found(Filter::default())], ["", "654321"]);
}

/// The next start may be a night later: nobody has talked until then, in the list as in the records.
#[test]
fn a_call_that_a_kill_has_cut_ended_with_the_last_that_the_log_knew() {
    // Of the second one the server is known to have been at work later than the log says.
    for (name, alive, seconds) in [("cut", None, 60), ("alive", Some(Wall(EVENING + 95_500)), 90)] {
        let dir = dir(name);
        assert_cut(&dir, alive, seconds);
    }
}

fn assert_cut(dir: &Dir, alive: Option<Wall>, seconds: i64) {
    let (queue, work, waited) = (QueueId::new("sales"), WorkId(1), Duration::from_secs(2));
    let queued = What::queued(work, &queue, false);
    let talk = What::Established { work, queue, agent: AgentId(1003), leg: LegId(9), waited, told: None };
    let (cause, phase, party) = (Cause::Restart, Phase::Connected, Party::Caller);
    let rows = vec![
        (0, 0, What::EngineStarted { node: 0, epoch: 1, alive: None }),
        (1, 0, arrives(1)),
        (1, 3, queued),
        (1, 4, rings(1003)),
        (1, 5, talk),
        (0, 65, What::Reconfigured),
        (0, 40_000, What::EngineStarted { node: 0, epoch: 2, alive }),
        (1, 40_001, What::ConnectionCleared { leg: LegId(1), party, cause }),
        (1, 40_001, What::CallEnded { cause, phase }),
        (0, 80_000, What::EngineStarted { node: 0, epoch: 3, alive: None }),
    ];
    write(dir, rows);
    let list: serde_json::Value = serde_json::from_str(&listed(dir, 20, true, false)).unwrap();
    let one: serde_json::Value = serde_json::from_str(&super::told(&dir.0, "c0-1-1", false).unwrap()).unwrap();
    let ended = Wall(EVENING + 5_000 + seconds * 1000 + alive.map_or(0, |_| 500));
    for told in [list, one] {
        assert_eq!(
            (&told["talked_s"], &told["ended"]),
            (&(seconds as f64 + alive.map_or(0.0, |_| 0.5)).into(), &ended.to_string().into())
        );
    }
    assert!(listed(dir, 20, false, false).contains("served, cut: engine restarted"), "whose doing it was");
    // The drawing ends when the list says, not a night later: it counts from the arrival.
    let (drawn, length) = (ladder(&dir.0, "c0-1-1", false).unwrap(), (ended.0 - EVENING) as f64 / 1000.0);
    let last =
        drawn.lines().rfind(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
    assert!(last.contains(&format!("{length:.3} ")) && last.contains("(engine restarted)"), "{length:.3}: {drawn}");
    assert!(drawn.ends_with("later, told whoever was still there.\n"), "{drawn}");
    crate::server::records::bring_up(&dir.0).unwrap();
    let conn = crate::server::records::reading(&dir.0).unwrap();
    let recorded: i64 = conn.query_row("SELECT ended FROM call", [], |row| row.get(0)).unwrap();
    assert_eq!(recorded, ended.0);
}

/// Ten minutes with an agent, four of them held: the list, the one call, and the tables of the records say the same.
#[test]
fn talk_is_without_what_was_held_as_in_the_records() {
    let dir = dir("held");
    let (queue, work, waited, leg) = (QueueId::new("sales"), WorkId(1), Duration::from_secs(2), LegId(9));
    let queued = What::queued(work, &queue, false);
    let agent = AgentId(1003);
    let talk = What::Established { work, queue, agent, leg, waited, told: None };
    let gone = |leg, party| What::ConnectionCleared { leg, party, cause: Cause::CallerHungUp };
    let rows = vec![
        (1, 0, arrives(1)),
        (1, 3, queued),
        (1, 4, rings(1003)),
        (1, 5, talk),
        (1, 65, What::Held { leg }),
        (1, 305, What::Retrieved { leg }),
        (1, 605, gone(LegId(1), Party::Caller)),
        (1, 605, gone(leg, Party::Agent(agent))),
        (1, 605, What::CallEnded { cause: Cause::CallerHungUp, phase: Phase::Connected }),
    ];
    write(&dir, rows);
    assert!(listed(&dir, 1, false, false).contains("  0:02    6:00  4:00  1003\n"));
    crate::server::records::bring_up(&dir.0).unwrap();
    let conn = crate::server::records::reading(&dir.0).unwrap();
    let recorded = |sql: &str| {
        conn.query_row(sql, [], |row| Ok([row.get::<_, f64>(0)?, row.get::<_, f64>(1)?])).unwrap().map(|ms| ms / 1000.0)
    };
    let of_call = recorded("SELECT talked_ms, held_ms FROM call");
    let of_wait = recorded("SELECT talked_ms, held_ms FROM queue_interval");
    assert_eq!((of_call, of_wait), ([360.0, 240.0], [360.0, 240.0]));
    for told in [listed(&dir, 1, true, false), super::told(&dir.0, "c0-1-1", false).unwrap()] {
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!([&told["talked_s"], &told["held_s"]].map(|of| of.as_f64().unwrap()), of_call);
        let segment = &told["segments"][0];
        assert_eq!([&segment["talk_s"], &segment["held_s"]].map(|of| of.as_f64().unwrap()), of_wait);
    }
}
