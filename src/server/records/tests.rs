//! Records on a real disk: killed with -9 in a storm of calls and rebuilt, brought up from an older log, described.

mod behind;
mod day;
mod foreign;
mod gaps;
mod ledger;
mod pruned;

use super::*;
use crate::records::schema::TABLES;
use crate::server::clock::{Clock, EventTime};
use crate::server::store::{Keep, Store, damage};
use crate::sim::{Options, World};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = Dir(std::env::temp_dir().join(format!("tierline-records-{}-{name}", std::process::id())));
        _ = fs::remove_dir_all(&dir.0);
        dir
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// What a small world says: calls, refusals, transfers, breaks, a kill.
fn world() -> &'static [Event] {
    static EVENTS: OnceLock<Vec<Event>> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let mut world = World::new(Options { crashes: 1, ..Options::swarm(2) });
        world.keep_journal();
        world.run();
        world.journal().to_vec()
    })
}

/// The world's `n`th repetition: other numbers, so that no two calls have the same.
fn repeated(n: u64) -> Vec<Event> {
    let events = world();
    let (seq, later) = (n * events.len() as u64, Duration::from_secs(n * 86_400));
    let again = |event: &Event| Event {
        seq: event.seq + seq,
        at: event.at + later,
        call: event.call.map(|call| CallId(call.0 + (n << 36))),
        what: event.what.clone(),
    };
    events.iter().map(again).collect()
}

/// Every row of every table, and what is open; the numbers that say how far it is.
fn content(dir: &Path) -> Vec<String> {
    let conn = schema::open_to_read(dir).unwrap().expect("there are records");
    let mut lines = Vec::new();
    let names = TABLES.iter().map(|table| table.name).chain(["state", "meta"]);
    for name in names {
        // What the clock on the wall shows, and how often all was made safe, is not of the log.
        let of = if name == "meta" { "meta WHERE key NOT IN ('wall', 'safe')" } else { name };
        let mut query = conn.prepare(&format!("SELECT * FROM {of} ORDER BY 1, 2")).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells = (0..columns).map(|i| format!("{:?}", row.get::<_, Value>(i).unwrap()));
            lines.push(format!("{name}: {}", cells.collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

fn count(dir: &Path, table: &str) -> i64 {
    let Ok(Some(conn)) = schema::open_to_read(dir) else { return 0 };
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap_or(0)
}

fn same(left: &[String], right: &[String]) {
    let differ = left.iter().zip(right).find(|(left, right)| left != right);
    assert!(differ.is_none() && left.len() == right.len(), "{} rows, {}: {differ:#?}", left.len(), right.len());
}

fn open(dir: &Path) -> crate::server::store::Opened {
    Store::open_with(dir, 0, Keep::default(), Wall(0)).unwrap()
}

fn time() -> EventTime {
    EventTime { clock: Clock::start(), began: world().last().unwrap().at }
}

fn follower(dir: &Path, store: &Store) -> Follower {
    Follower::start(dir, store, time()).unwrap()
}

/// What the killed process does: a log and a follower under as many calls as they can take.
fn storm(dir: &Path) {
    let opened = open(dir);
    let _follower = follower(dir, &opened.store);
    let (mut n, mut next) = (0, opened.next_seq);
    loop {
        for event in repeated(n) {
            // A start goes on with the numbers; what an earlier process has of this world is passed over.
            if event.seq >= next {
                next = event.seq + 1;
                opened.store.append(vec![event]);
            }
        }
        n += 1;
        opened.store.flush().unwrap();
    }
}

const STORM: &str = "TIERLINE_TEST_STORM";

fn in_a_storm(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let own = "server::records::tests::killed_in_a_storm_of_calls_the_records_are_those_of_a_rebuild";
    command.args(["--exact", own]).env(STORM, dir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn killed_in_a_storm_of_calls_the_records_are_those_of_a_rebuild() {
    // The process that is killed is this test, too.
    if let Some(dir) = std::env::var_os(STORM) {
        return storm(Path::new(&dir));
    }
    let dir = Dir::new("killed");
    for kill in 1..=4 {
        let mut child = in_a_storm(&dir.0);
        let (begun, least) = (Instant::now(), count(&dir.0, "call") + 300);
        while count(&dir.0, "call") < least {
            assert!(begun.elapsed() < Duration::from_secs(120), "kill {kill}: there are no records");
            std::thread::yield_now();
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    let before = Reader::open(&dir.0).unwrap().unwrap().last().unwrap();
    // Killed while the disk was asked to keep a transaction, it may be whole, and known to nobody yet who only reads: who
    // opens the file to write finds it.
    let seq = Records::open(&dir.0).unwrap().seq();
    let killed = content(&dir.0);
    assert!(0 < seq && seq <= before, "{seq} of {before} events");
    // The rows of a killed process are those of a fold up to its last event, none more, none less.
    let clean = Dir::new("clean");
    fs::create_dir_all(&clean.0).unwrap();
    let mut anew = Records::open(&clean.0).unwrap();
    let log = Reader::open(&dir.0).unwrap().unwrap();
    while anew.seq() < seq {
        let mut events = log.bare_after(anew.seq(), 777).unwrap();
        events.retain(|event| event.seq <= seq);
        anew.take(&events).unwrap();
    }
    same(&killed, &content(&clean.0));
    // A start goes on from there, and comes to what a rebuild makes.
    let opened = open(&dir.0);
    // At a stop a follower leaves what is far behind to the next start: it is given its time.
    let follower = follower(&dir.0, &opened.store);
    let begun = Instant::now();
    while Records::open(&dir.0).unwrap().seq() < before {
        assert!(begun.elapsed() < Duration::from_secs(120), "the start does not come to the log's end");
        std::thread::yield_now();
    }
    drop(follower);
    let went_on = content(&dir.0);
    rebuild(&dir.0).unwrap();
    same(&went_on, &content(&dir.0));
    assert!(went_on.len() > killed.len() || seq == before, "the start had nothing to do");
    assert!(count(&dir.0, "call") > 1_000 && count(&dir.0, "agent_interval") > 1_000);
}

/// A directory of a Tierline that kept no records: they are made when the next one starts.
#[test]
fn a_log_without_records_is_brought_up_at_the_start() {
    let dir = Dir::new("older");
    let opened = open(&dir.0);
    opened.store.append(repeated(0));
    opened.store.close().unwrap();
    assert!(!file(&dir.0).exists() && status(&dir.0).unwrap().starts_with("no records yet"));
    let opened = open(&dir.0);
    drop(follower(&dir.0, &opened.store));
    let last = world().len();
    let told = status(&dir.0).unwrap();
    assert!(told.starts_with(&format!("records of {last} events; the log has {last}\n")), "{told}");
    let ended = world().iter().filter(|event| event.what.name() == "CallEnded").count();
    assert_eq!(count(&dir.0, "call"), ended as i64);
    opened.store.close().unwrap();
}

/// What takes long says how far it is: the records are brought up first, from the log's beginning where there are none, and
/// then made anew.
#[test]
fn a_rebuild_shows_how_far_it_is_from_its_first_event_on() {
    let dir = Dir::new("progress");
    let opened = open(&dir.0);
    opened.store.append(repeated(0));
    opened.store.close().unwrap();
    let shown = crate::server::progress::seen::while_it_runs(|| _ = rebuild(&dir.0).unwrap());
    for part in ["records are brought up to the log: events ", "records: events "] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
}

/// Two that fold the same log (a server, and a rebuild beside it) never fold an event twice.
#[test]
fn two_writers_take_turns() {
    let dir = Dir::new("two");
    let opened = open(&dir.0);
    opened.store.append(repeated(0));
    opened.store.flush().unwrap();
    let log = Reader::open(&dir.0).unwrap().unwrap();
    let [mut one, mut other] = [(); 2].map(|()| Records::open(&dir.0).unwrap());
    loop {
        let (a, b) = (log.bare_after(one.seq(), 50).unwrap(), log.bare_after(other.seq(), 70).unwrap());
        if a.is_empty() && b.is_empty() {
            break;
        }
        one.take(&a).unwrap();
        other.take(&b).unwrap();
    }
    let shared = content(&dir.0);
    drop(one);
    rebuild(&dir.0).unwrap();
    other.catch_up(&log, &mut |_, _| true).unwrap();
    same(&shared, &content(&dir.0));
}

/// What the schema says is what the file has, in a new file and in one that was brought up from each older version.
#[test]
fn the_tables_are_as_described_from_each_version() {
    for from in 1..=schema::MIGRATIONS.len() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn, from).unwrap();
        schema::migrate(&mut conn, schema::MIGRATIONS.len()).unwrap();
        for table in TABLES {
            let sql = format!("SELECT name, type, \"notnull\" OR pk > 0 FROM pragma_table_info('{}')", table.name);
            let mut query = conn.prepare(&sql).unwrap();
            let has = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, !row.get::<_, bool>(2)?))).unwrap();
            let has: Vec<(String, String, bool)> = has.collect::<Result<_, _>>().unwrap();
            let told = table.columns.iter().map(|c| (c.name.to_owned(), c.kind.to_owned(), c.optional));
            assert_eq!(has, told.collect::<Vec<_>>(), "{} from version {from}", table.name);
        }
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records.md")).unwrap_or_default();
    let told = crate::records::schema::reference();
    assert!(page == told, "docs/records.md is not what `tierline records schema` prints");
}

#[test]
fn files_of_others_and_of_newer_versions_are_refused() {
    let dir = Dir::new("foreign");
    fs::create_dir_all(&dir.0).unwrap();
    let refused = || format!("{:#}", Records::open(&dir.0).err().expect("it is refused"));
    let conn = Connection::open(file(&dir.0)).unwrap();
    conn.execute_batch("CREATE TABLE other(x)").unwrap();
    assert!(refused().contains("none of Tierline's records"), "{}", refused());
    drop(conn);
    fs::remove_file(file(&dir.0)).unwrap();
    let conn = schema::open(&dir.0).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    assert!(refused().contains("a newer Tierline wrote them (version 99"), "{}", refused());
}

/// A number that a caller has, and the keys pressed, are nowhere in the records.
#[test]
fn records_hold_no_personal_text() {
    let dir = Dir::new("personal");
    let opened = open(&dir.0);
    let follower = follower(&dir.0, &opened.store);
    opened.store.append(repeated(0));
    opened.store.flush().unwrap();
    drop(follower);
    let texts = world().iter().filter_map(|event| event.what.personal()?.text.clone());
    let texts: BTreeSet<String> = texts.filter(|text| text.len() > 6).map(|text| text.to_string()).collect();
    assert!(texts.len() > 20, "{} numbers and dialogs", texts.len());
    let bytes = [fs::read(file(&dir.0)).unwrap(), fs::read(dir.0.join("records.db-wal")).unwrap_or_default()].concat();
    let all = String::from_utf8_lossy(&bytes);
    assert!(all.contains("support"), "the records are in the file");
    let found: Vec<_> = texts.iter().filter(|text| all.contains(text.as_str())).collect();
    assert!(found.is_empty(), "{} of {} texts, such as {}", found.len(), texts.len(), found[0]);
}

/// Nothing has happened for an hour, and the file has been written to for another reason. By whatever clock events have,
/// who waits has waited for that hour.
#[test]
fn a_quiet_center_s_present_is_not_when_its_file_was_written() {
    let dir = Dir::new("quiet");
    let opened = open(&dir.0);
    let began = Wall(86_400_000);
    let time = crate::server::clock::EventTime { clock: crate::server::clock::Clock::start(), began };
    let hour = 3_600_000;
    let happened = |at| Event { seq: 1, at, call: None, what: What::DrainStarted };
    let wall = crate::server::clock::wall();
    for (mut records, last, expect) in [
        (Records::open_with(&dir.0, time).unwrap(), Wall(began.0 - hour), began.0),
        (Records::open(&dir.0).unwrap(), Wall(wall.0 - hour), wall.0),
    ] {
        records.conn.execute_batch("UPDATE meta SET value = 0").unwrap();
        records.look().unwrap();
        records.take(&[happened(last)]).unwrap();
        let now = now(&records.conn).unwrap().0;
        assert!((expect..expect + hour / 2).contains(&now), "{now} is not about {expect}");
    }
    drop(opened);
}

/// Version 2 said so of everybody whom nothing failed.
#[test]
fn who_hung_up_in_a_flow_is_not_contained_any_more() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, 2).unwrap();
    for (call, cause, exit) in [(1, "CallerHungUp", "hung_up"), (2, "FlowEnded", "ended"), (3, "Commanded", "ended")] {
        let sql =
            "INSERT INTO call(call, language, private, caller, arrived, ended, cause, outcome, waited_ms, talked_ms,
                   held_ms) VALUES (?1, 'en', 0, 1, 0, 9, ?2, 'LeftFlow', 0, 0, 0)";
        conn.execute(sql, (call, cause)).unwrap();
        let sql = "INSERT INTO flow_path(call, n, flow, waiting, began, ended, spent_ms, steps, path, person, exit,
                   contained) VALUES (?1, 1, 'menu', 0, 0, 9, 9, 1, 'hello', 0, ?2, 1)";
        conn.execute(sql, (call, exit)).unwrap();
    }
    schema::migrate(&mut conn, schema::MIGRATIONS.len()).unwrap();
    let mut query = conn.prepare("SELECT call FROM flow_path WHERE contained").unwrap();
    let contained: Vec<i64> = query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(contained, [2]);
}

/// Rows of `state` as earlier versions wrote them, a line each. They are never changed: who has such records keeps them.
const STATE: &str = include_str!("tests/state.txt");

#[test]
fn what_was_open_in_an_earlier_version_is_read() {
    let dir = Dir::new("state");
    fs::create_dir_all(&dir.0).unwrap();
    let records = Records::open(&dir.0).unwrap();
    let rows = STATE.lines().map(|line| line.split_once('\t').expect("a key and its value"));
    for (key, value) in rows.clone() {
        records.conn.execute("INSERT INTO state VALUES (?1, ?2)", [key, value]).unwrap();
    }
    let (calls, agents) = (running(&records.conn).unwrap(), present(&records.conn).unwrap().0);
    assert_eq!(calls.len() + agents.len(), rows.clone().count());
    let fold = read_state(&records.conn).unwrap();
    assert_eq!((fold.calls().count(), fold.agents(Wall(0)).count()), (calls.len(), agents.len()));
    // What nobody can read is left out, and all else is there.
    records.conn.execute("UPDATE state SET value = '{}' WHERE key = 'agent 1002'", []).unwrap();
    let fold = read_state(&records.conn).unwrap();
    assert_eq!((fold.calls().count(), fold.agents(Wall(0)).count()), (calls.len(), agents.len() - 1));
    assert_eq!(present(&records.conn).unwrap().0.len(), agents.len() - 1);
    assert!(Records::open(&dir.0).is_ok());
}
