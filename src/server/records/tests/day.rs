//! What stands in each column of each table: a few calls in which everything happens that has a column, against rows that
//! were checked by hand (`day.txt`).

use super::*;
use crate::event::{
    AgentMode, Cause, DivertReason, OfferOutcome, Party, Personal, PersonalKind, Phase, StepWay, TransferTo,
};
use crate::ids::{AgentId, FlowId, LegId, LineId, QueueId, ReservationId, TrunkId, WorkId};
use AgentMode::{Busy, LoggedOut, NotReady, Ready, Reserved, WrapUp};

/// Events in order; times in milliseconds.
#[derive(Default)]
struct Day {
    events: Vec<Event>,
    call: Option<CallId>,
}

impl Day {
    fn at(&mut self, ms: i64, what: What) -> &mut Day {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Event { seq, at: Wall(ms), call: self.call, what });
        self
    }

    fn call(&mut self, ms: i64, n: u64, trunk: Option<&str>) -> &mut Day {
        self.call = Some(CallId(n));
        let caller = Personal { kind: PersonalKind::Number, handle: 50 + n, text: None };
        let (line, language, private) = (Some(LineId::new("main")), "de".to_owned(), trunk.is_some());
        let trunk = trunk.map(TrunkId::new);
        self.at(ms, What::CallArrived { leg: LegId(10 * n), line, by_agent: None, trunk, private, language, caller });
        self.at(ms + 100, What::CallAnswered { leg: LegId(10 * n) }).step(ms + 200, "main", "menu")
    }

    fn step(&mut self, ms: i64, flow: &str, step: &str) -> &mut Day {
        self.at(ms, What::StepEntered { flow: FlowId::new(flow), step: step.to_owned() })
    }

    fn queued(&mut self, ms: i64, work: u64, queue: &str, again: bool) -> &mut Day {
        let (queue, skills) = (QueueId::new(queue), Default::default());
        self.at(ms, What::Queued { work: WorkId(work), queue, priority: 3, skills, again, served: Duration::ZERO })
    }

    /// Agent `agent` is rung on leg `leg` for this wait.
    fn rings(&mut self, ms: i64, (work, agent, leg): (u64, u32, u64)) -> &mut Day {
        let (work, reservation, agent, why) = (WorkId(work), ReservationId(leg), AgentId(agent), String::new());
        self.at(ms, What::Delivered { work, reservation, agent, leg: LegId(leg), why })
    }

    fn rang(&mut self, ms: i64, (work, agent, leg): (u64, u32, u64), outcome: OfferOutcome) -> &mut Day {
        let (work, reservation, agent) = (WorkId(work), ReservationId(leg), AgentId(agent));
        self.at(ms, What::OfferEnded { work, reservation, agent, outcome });
        match outcome {
            OfferOutcome::Accepted => self,
            _ => self.leaves(ms, leg, Party::Agent(agent), Cause::AgentHungUp),
        }
    }

    fn talks(&mut self, ms: i64, (work, agent, leg): (u64, u32, u64), queue: &str, told: Option<u64>) -> &mut Day {
        let (queue, told, waited) = (QueueId::new(queue), told.map(Duration::from_secs), Duration::ZERO);
        self.at(
            ms,
            What::Established { work: WorkId(work), queue, agent: AgentId(agent), leg: LegId(leg), waited, told },
        )
    }

    fn leaves(&mut self, ms: i64, leg: u64, party: Party, cause: Cause) -> &mut Day {
        self.at(ms, What::ConnectionCleared { leg: LegId(leg), party, cause })
    }

    fn ends(&mut self, ms: i64, cause: Cause, phase: Phase) -> &mut Day {
        self.at(ms, What::CallEnded { cause, phase })
    }

    fn state(&mut self, ms: i64, agent: u32, from: AgentMode, to: AgentMode, reason: &str) -> &mut Day {
        let call = self.call.take(); // as the engine tells it
        self.at(ms, What::AgentStateChanged { agent: AgentId(agent), from, to, reason: reason.to_owned() });
        self.call = call;
        self
    }
}

/// Two agents come, and one of them is not reached for a moment at the end. A caller from a carrier asks for a person; the first agent refuses, the second talks, holds, and sends
/// him on to a queue that gives him back; he is put through to a number outside.
fn first_call(day: &mut Day) {
    day.state(0, 7, LoggedOut, Ready, "registered").state(0, 8, LoggedOut, Ready, "registered");
    day.call(1_000, 1, Some("carrier"));
    let (flow, step) = (FlowId::new("main"), "menu".to_owned());
    day.at(2_000, What::StepDecided { flow: flow.clone(), step: step.clone(), way: StepWay::NotFound });
    day.at(2_500, What::PersonAsked { flow, step }).queued(3_000, 1, "sales", false).step(3_000, "music", "wait");
    day.state(3_000, 7, Ready, Reserved, "offered").rings(3_000, (1, 7, 11)).rang(
        5_000,
        (1, 7, 11),
        OfferOutcome::Declined,
    );
    day.state(5_000, 7, Reserved, NotReady, "declined");
    day.state(5_000, 8, Ready, Reserved, "offered").rings(5_000, (1, 8, 12)).rang(
        8_000,
        (1, 8, 12),
        OfferOutcome::Accepted,
    );
    day.state(8_000, 8, Reserved, Busy, "accepted").talks(8_000, (1, 8, 12), "sales", Some(4));
    day.at(10_000, What::Held { leg: LegId(12) }).at(13_000, What::Retrieved { leg: LegId(12) });
    day.at(20_000, What::Transferred { agent: AgentId(8), to: TransferTo::Queue(QueueId::new("support")) });
    day.leaves(20_000, 12, Party::Agent(AgentId(8)), Cause::AgentHungUp).queued(20_000, 2, "support", false);
    day.state(20_000, 8, Busy, WrapUp, "sent on");
    day.at(21_000, What::Disposed { agent: AgentId(8), disposition: "solved".to_owned(), notes: None });
    day.at(25_000, What::Diverted { work: WorkId(2), queue: QueueId::new("support"), why: DivertReason::MaxWait });
    day.step(25_000, "main", "late");
    let number = Personal { kind: PersonalKind::Number, handle: 90, text: None };
    day.at(26_000, What::OutsideCalled { leg: LegId(13), number });
    day.at(26_500, What::NetworkReached { leg: LegId(13), trunk: TrunkId::new("other") });
    day.at(29_000, What::OutsideJoined { leg: LegId(13) });
    day.leaves(34_000, 10, Party::Caller, Cause::CallerHungUp).leaves(34_100, 13, Party::Outside, Cause::CallerHungUp);
    day.ends(34_100, Cause::CallerHungUp, Phase::Connected).state(40_000, 8, WrapUp, Ready, "time");
    for (at, reachable) in [(40_500, false), (40_800, true)] {
        day.at(at, What::AgentReachable { agent: AgentId(8), reachable });
    }
}

/// The phone of the agent is lost, the caller waits again, is missed, and gives up.
fn second_call(day: &mut Day) {
    day.state(41_000, 7, NotReady, LoggedOut, "logged out").call(50_000, 2, None).queued(51_000, 3, "sales", false);
    day.rings(51_000, (3, 8, 21)).rang(53_000, (3, 8, 21), OfferOutcome::Accepted).talks(
        53_000,
        (3, 8, 21),
        "sales",
        None,
    );
    day.leaves(60_000, 21, Party::Agent(AgentId(8)), Cause::Silent).queued(60_500, 3, "sales", true);
    day.rings(60_500, (3, 9, 22)).rang(70_500, (3, 9, 22), OfferOutcome::NoAnswer);
    day.rings(70_500, (3, 9, 23)).leaves(72_000, 20, Party::Caller, Cause::CallerHungUp);
    day.rang(72_100, (3, 9, 23), OfferOutcome::CallerLeft).ends(72_200, Cause::CallerHungUp, Phase::Alerting);
}

/// One whose flow serves him, and one whom a command ends while he waits.
fn last_calls(day: &mut Day) {
    day.call(80_000, 3, None).step(81_000, "menu", "hello");
    day.leaves(84_000, 30, Party::Caller, Cause::FlowEnded).ends(84_000, Cause::FlowEnded, Phase::InFlow);
    day.call(90_000, 4, None).queued(91_000, 5, "sales", false);
    day.leaves(96_000, 40, Party::Caller, Cause::Commanded).ends(96_000, Cause::Commanded, Phase::Queued);
}

/// One is sent to an agent who declines, and another talks with him; she sends him to one who serves another queue and does
/// not answer, and he talks with the one who takes what is sent to him. Another hangs up while the agent's phone rings.
fn sent_on_calls(day: &mut Day) {
    let sends = |day: &mut Day, ms: i64, (by, leg): (u32, u64), to: u32| {
        day.at(ms, What::Transferred { agent: AgentId(by), to: TransferTo::Agent(AgentId(to)) });
        day.leaves(ms, leg, Party::Agent(AgentId(by)), Cause::Transferred);
    };
    let takes = |day: &mut Day, ms: i64, ring: (u64, u32, u64)| {
        day.rings(ms, ring).rang(ms + 1_000, ring, OfferOutcome::Accepted).talks(ms + 1_000, ring, "sales", None);
    };
    day.call(100_000, 5, None).queued(101_000, 6, "sales", false);
    takes(day, 101_000, (6, 8, 51));
    sends(day, 103_000, (8, 51), 7);
    day.queued(103_000, 7, "sales", false).rings(103_000, (7, 7, 52)).rang(104_000, (7, 7, 52), OfferOutcome::Declined);
    takes(day, 104_000, (7, 9, 53));
    sends(day, 106_000, (9, 53), 7);
    day.queued(106_000, 8, "support", false).rings(106_000, (8, 7, 54)).rang(
        108_000,
        (8, 7, 54),
        OfferOutcome::NoAnswer,
    );
    let (work, queue) = (WorkId(8), QueueId::new("support"));
    day.at(108_000, What::Diverted { work, queue, why: DivertReason::NotTaken }).queued(108_000, 9, "sales", true);
    takes(day, 108_000, (9, 9, 55));
    sends(day, 110_000, (9, 55), 8);
    day.queued(110_000, 10, "sales", false);
    takes(day, 110_000, (10, 8, 56));
    day.leaves(112_000, 50, Party::Caller, Cause::CallerHungUp).leaves(
        112_000,
        56,
        Party::Agent(AgentId(8)),
        Cause::CallerHungUp,
    );
    day.ends(112_000, Cause::CallerHungUp, Phase::Connected);
    day.call(120_000, 6, None).queued(121_000, 11, "sales", false);
    takes(day, 121_000, (11, 8, 61));
    sends(day, 123_000, (8, 61), 7);
    day.queued(123_000, 12, "sales", false).rings(123_000, (12, 7, 62)).leaves(
        124_000,
        60,
        Party::Caller,
        Cause::CallerHungUp,
    );
    day.rang(124_000, (12, 7, 62), OfferOutcome::CallerLeft).ends(124_000, Cause::CallerHungUp, Phase::Alerting);
}

const CALLS: [fn(&mut Day); 4] = [first_call, second_call, last_calls, sent_on_calls];

/// The rows as text, a table after the other; times in milliseconds.
fn written(conn: &Connection) -> String {
    let mut text = String::new();
    for table in TABLES {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        text += &format!("{}: {}\n", table.name, names.join(" "));
        let mut query = conn.prepare(&format!("SELECT * FROM {} ORDER BY 1, 2", table.name)).unwrap();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells = (0..names.len()).map(|n| match row.get_unwrap::<_, Value>(n) {
                Value::Null => "-".to_owned(),
                Value::Integer(number) => number.to_string(),
                Value::Text(text) => text.replace(' ', "_"),
                other => panic!("{other:?}"),
            });
            text += &format!("  {}\n", cells.collect::<Vec<_>>().join(" "));
        }
    }
    text
}

#[test]
fn the_rows_of_a_day_are_what_was_written_by_hand() {
    let mut day = Day::default();
    CALLS.iter().for_each(|calls| calls(&mut day));
    let dir = Dir::new("day");
    fs::create_dir_all(&dir.0).unwrap();
    let mut records = Records::open(&dir.0).unwrap();
    records.take(&day.events).unwrap();
    let (found, expected) = (written(&records.conn), include_str!("day.txt"));
    let differ = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "first at {differ:#?}, of\n{found}");
}

/// A table's columns in this file.
fn columns(conn: &Connection, table: &str) -> Vec<String> {
    let mut query = conn.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The day's rows as each of these versions wrote them become those of this one, as far as that version knew of them.
#[test]
fn rows_of_earlier_versions_become_what_a_fold_makes_now() {
    let mut day = Day::default();
    CALLS.iter().for_each(|calls| calls(&mut day));
    let (mut fold, mut rows) = (Fold::default(), Vec::new());
    day.events.iter().for_each(|event| fold.apply(event, &mut rows));
    let filled = |version: usize| {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn, version).unwrap();
        for row in &rows {
            let (table, has) = (row.table(), columns(&conn, row.table().name));
            let cells =
                table.columns.iter().zip(row.cells()).filter(|(column, _)| has.iter().any(|name| name == column.name));
            let (names, values): (Vec<&str>, Vec<Cell>) = cells.map(|(column, cell)| (column.name, cell)).unzip();
            if !names.is_empty() {
                let places = vec!["?"; names.len()].join(", ");
                let sql = format!("INSERT INTO {}({}) VALUES ({places})", table.name, names.join(", "));
                conn.execute(&sql, rusqlite::params_from_iter(values.iter())).unwrap();
            }
        }
        conn
    };
    // What each version wrote otherwise, and what it did not write.
    let (waits, told) = ("UPDATE queue_interval SET waited_ms = waited_ms + 5000 WHERE work = 2;", "told_ms = NULL");
    let write_up = "UPDATE agent_interval SET call = NULL WHERE mode = 'WrapUp';";
    let reached = "UPDATE agent_interval SET unreachable = 1 WHERE mode = 'Busy';";
    // What was heard while waiting, and the time of it, was the path's that led to the queue.
    let last = |what: &str| {
        format!("(SELECT {what} FROM queue_interval q WHERE q.call = flow_path.call ORDER BY n DESC LIMIT 1)")
    };
    let joined = |exit: &str, to: &str| {
        let ended = last("ended");
        format!(
            "UPDATE flow_path SET ended = {ended}, exit = '{exit}', exit_to = {to} WHERE waiting = 0 AND exit = 'queue';"
        )
    };
    for (version, otherwise, unknown) in [
        (
            3,
            [waits, write_up].concat(),
            format!("UPDATE queue_interval SET {told}; UPDATE agent_interval SET unreachable = 0;"),
        ),
        (4, write_up.to_owned(), "UPDATE agent_interval SET unreachable = 0;".to_owned()),
        (5, [write_up, reached].concat(), String::new()),
        (6, "UPDATE transfer SET result = 'done' WHERE kind = 'agent';".to_owned(), String::new()),
        (8, joined("hung_up", "NULL"), joined("queue", &last("queue"))),
    ] {
        let (mut old, new) = (filled(version), filled(schema::MIGRATIONS.len()));
        old.execute_batch(&otherwise).unwrap();
        let transfers = if version < 6 { "DELETE FROM transfer;" } else { "" };
        new.execute_batch(&(unknown + transfers)).unwrap();
        schema::migrate(&mut old, schema::MIGRATIONS.len()).unwrap();
        let (brought, expected) = (written(&old), written(&new));
        let differ = brought.lines().zip(expected.lines()).find(|(brought, expected)| brought != expected);
        assert!(brought == expected, "from version {version}: {differ:#?}");
    }
}
