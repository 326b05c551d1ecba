//! The supervisors' dashboard, panel by panel: what each shows is what the tables of the records say, by SQL, and what the
//! test has placed.

use super::prometheus::{Prometheus, shipped};
use super::server::Server;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Far more than the test takes: everything is within it.
pub const RANGE: &str = "5m";
const RANGE_MINUTES: f64 = 5.0;

/// What happened in a queue, counted by whoever counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    pub offered: f64,
    pub answered: f64,
    pub within: f64,
    pub abandoned: f64,
    pub short: f64,
    pub given_back: f64,
    pub lost: f64,
    pub again: f64,
    pub waiting: f64,
}

pub fn dashboard(name: &str) -> Value {
    let text = std::fs::read_to_string(shipped(&format!("grafana/dashboards/{name}.json"))).expect("a dashboard");
    serde_json::from_str(&text).expect("JSON")
}

pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row")
}

/// As Grafana asks it, with every queue and flow chosen.
pub fn substituted(expression: &str, formula: &str) -> String {
    let values =
        [("$__rate_interval", RANGE), ("$__range", RANGE), ("$queue", ".*"), ("$flow", ".*"), ("$formula", formula)];
    values.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// A formula of the service level, as it is called in Prometheus, and what it says of A, A_T, B, B_T and B_s.
type Formula = (&'static str, fn([f64; 5]) -> f64);

pub const FORMULAS: [Formula; 6] = [
    ("A_T/(A+B-B_s)", |[a, a_t, b, _, b_s]| a_t / (a + b - b_s)),
    ("A_T/A", |[a, a_t, ..]| a_t / a),
    ("A_T/(A+B)", |[a, a_t, b, ..]| a_t / (a + b)),
    ("(A_T+B_T)/(A+B)", |[a, a_t, b, b_t, _]| (a_t + b_t) / (a + b)),
    ("A_T/(A+B-B_T)", |[a, a_t, b, b_t, _]| a_t / (a + b - b_t)),
    ("(A_T+B_s)/(A+B)", |[a, a_t, b, _, b_s]| (a_t + b_s) / (a + b)),
];

/// The tables, and what a report of them is told: T and what a short abandon is, in milliseconds.
pub struct Tables {
    conn: Connection,
    pub target: f64,
    pub short: f64,
}

/// One wait of a queue: outcome, reason, milliseconds, again, talk with hold, and whether an agent took it.
struct Wait {
    outcome: String,
    reason: String,
    waited: f64,
    again: bool,
    talked: f64,
    agent: bool,
}

impl Tables {
    pub fn of(server: &Server, target: f64, short: f64) -> Tables {
        let (file, flags) = (server.data.join("records.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let conn = Connection::open_with_flags(file, flags).expect("the records");
        conn.busy_timeout(super::harness::GENEROUS).expect("a time-out");
        Tables { conn, target, short }
    }

    fn waits(&self, queue: &str) -> Vec<Wait> {
        let sql = "SELECT outcome, coalesce(reason, ''), waited_ms, again, talked_ms + held_ms, agent IS NOT NULL
                   FROM queue_interval WHERE queue = ?1";
        let mut query = self.conn.prepare(sql).expect("a table");
        let wait = |row: &rusqlite::Row<'_>| {
            let (waited, talked) = (row.get::<_, i64>(2)? as f64, row.get::<_, i64>(4)? as f64);
            let (again, agent) = (row.get(3)?, row.get(5)?);
            Ok(Wait { outcome: row.get(0)?, reason: row.get(1)?, waited, again, talked, agent })
        };
        query.query_map([queue], wait).expect("rows").collect::<Result<_, _>>().expect("rows")
    }

    /// Since when somebody waits in the queue, in milliseconds since 1970.
    fn waiting(&self, queue: &str) -> Vec<f64> {
        let open = self.open("call");
        let segments = open.iter().filter_map(|call| call["record"]["segments"].as_array()?.last());
        let there = segments.filter(|wait| wait["queue"] == queue && wait["wait"] == "Waiting");
        there.map(|wait| wait["queued_at"].as_f64().expect("a time")).collect()
    }

    /// How many of these agents are in one of these states, and reached.
    fn agents(&self, agents: &[u64], modes: &[&str]) -> f64 {
        let open = self.open("agent");
        let is = |agent: &&Value| {
            let (number, mode) = (agent["agent"].as_u64(), agent["mode"].as_str().expect("a state"));
            number.is_some_and(|number| agents.contains(&number)) && modes.contains(&mode) && agent["reachable"] == true
        };
        open.iter().filter(is).count() as f64
    }

    fn open(&self, of: &str) -> Vec<Value> {
        let mut query = self.conn.prepare("SELECT value FROM state WHERE key LIKE ?1").expect("a table");
        let rows = query.query_map([format!("{of} %")], |row| row.get::<_, String>(0)).expect("rows");
        rows.map(|text| serde_json::from_str(&text.expect("a row")).expect("JSON")).collect()
    }

    pub fn counted(&self, queue: &str) -> Counted {
        let (waits, waiting) = (self.waits(queue), self.waiting(queue).len() as f64);
        let count =
            |which: &dyn Fn(&Wait) -> bool| waits.iter().filter(|wait| !wait.again && which(wait)).count() as f64;
        let ended = |outcome: &str| count(&|wait| wait.outcome == outcome);
        Counted {
            offered: count(&|_| true) + waiting,
            answered: ended("answered"),
            within: count(&|wait| wait.outcome == "answered" && wait.waited <= self.target),
            abandoned: ended("abandoned"),
            short: count(&|wait| wait.outcome == "abandoned" && wait.waited < self.short),
            given_back: ended("diverted"),
            lost: ended("lost"),
            again: waits.iter().filter(|wait| wait.again).count() as f64,
            waiting,
        }
    }

    /// A, A_T, B, B_T and B_s.
    fn level(&self, queue: &str) -> [f64; 5] {
        let Counted { answered, within, abandoned, short, .. } = self.counted(queue);
        let gave_up = |wait: &&Wait| !wait.again && wait.outcome == "abandoned" && wait.waited <= self.target;
        [answered, within, abandoned, self.waits(queue).iter().filter(gave_up).count() as f64, short]
    }

    /// Seconds from an agent's answer until he was free again; of agents who serve one queue only.
    fn mean_handling(&self, agents: &[u64]) -> f64 {
        let names = agents.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT (SELECT sum(ended - began) FROM agent_interval WHERE agent IN ({names}) AND mode IN ('Busy', 'WrapUp')),
                    (SELECT count(*) FROM offer WHERE agent IN ({names}) AND result = 'answered')"
        );
        let sums = self.conn.query_row(&sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let (ms, calls) = sums.expect("sums");
        ms as f64 / 1000.0 / calls as f64
    }
}

fn mean(seconds: impl Iterator<Item = f64>) -> f64 {
    let all: Vec<f64> = seconds.collect();
    all.iter().sum::<f64>() / all.len() as f64
}

/// As Prometheus has it from a histogram's buckets; NaN of nothing.
fn quantile(q: f64, bounds: &[f64], seconds: &[f64]) -> f64 {
    let up_to = |bound: f64| seconds.iter().filter(|second| **second <= bound).count() as f64;
    let rank = q * seconds.len() as f64;
    if seconds.is_empty() {
        return f64::NAN;
    }
    let Some(at) = bounds.iter().position(|bound| up_to(*bound) >= rank) else { return bounds[bounds.len() - 1] };
    let low = if at == 0 { 0.0 } else { bounds[at - 1] };
    let before = if at == 0 { 0.0 } else { up_to(low) };
    low + (bounds[at] - low) * (rank - before) / (up_to(bounds[at]) - before)
}

#[track_caller]
fn same(what: &str, shown: f64, expected: f64) {
    let alike = (shown - expected).abs() <= 1e-6 * expected.abs().max(1.0) || shown.is_nan() && expected.is_nan();
    assert!(alike, "{what}: the dashboard shows {shown}, and it was {expected}");
}

/// The dashboard, as it is seen.
pub struct Seen<'a> {
    pub prometheus: &'a Prometheus,
    dashboard: Value,
}

impl Seen<'_> {
    pub fn by(prometheus: &Prometheus) -> Seen<'_> {
        Seen { prometheus, dashboard: dashboard("queues") }
    }

    fn panel(&self, title: &str) -> &Value {
        panels(&self.dashboard).find(|found| found["title"] == title).unwrap_or_else(|| panic!("no panel {title}"))
    }

    fn expression(&self, title: &str, query: usize, formula: &str) -> String {
        substituted(self.panel(title)["targets"][query]["expr"].as_str().expect("a query"), formula)
    }

    /// The one number of a panel's query.
    pub fn one(&self, title: &str, query: usize) -> f64 {
        self.level(title, query, FORMULAS[0].0)
    }

    fn level(&self, title: &str, query: usize, formula: &str) -> f64 {
        self.prometheus
            .number(&self.expression(title, query, formula))
            .unwrap_or_else(|| panic!("{title}: not one number"))
    }

    /// A number of each queue.
    fn each(&self, title: &str, query: usize, formula: &str, queue: &str) -> f64 {
        let found = self.prometheus.query(&self.expression(title, query, formula));
        found.into_iter().find(|(labels, _)| labels["queue"] == queue).map_or(f64::NAN, |(_, value)| value)
    }

    /// The column of a table, by the name that it shows.
    pub fn column(&self, column: &str, queue: &str) -> f64 {
        let panel = self.panel("Queues");
        let names = panel["transformations"][1]["options"]["renameByName"].as_object().expect("names of columns");
        let (value, _) = names.iter().find(|(_, name)| *name == column).unwrap_or_else(|| panic!("no column {column}"));
        let target = |target: &Value| value.ends_with(&format!("#{}", target["refId"].as_str().unwrap_or_default()));
        let query = panel["targets"].as_array().expect("queries").iter().position(target).expect("the column's query");
        self.each("Queues", query, FORMULAS[0].0, queue)
    }

    pub fn counted(&self, queue: &str) -> Counted {
        let column = |name: &str| self.column(name, queue);
        Counted {
            offered: column("Offered"),
            answered: column("Answered"),
            within: column("In time"),
            abandoned: column("Abandoned"),
            short: column("of them short"),
            given_back: column("Given back"),
            lost: column("Lost"),
            again: column("Again"),
            waiting: column("Waiting"),
        }
    }

    /// Every panel, against the tables. `queues`: each with the agents who serve it alone.
    pub fn is_what_the_tables_say(&self, tables: &Tables, queues: &[(&str, &[u64])], bounds: &[f64]) {
        let at_work = ["Ready", "Reserved", "Busy", "WrapUp"];
        let all: Vec<u64> = queues.iter().flat_map(|(_, agents)| agents.iter().copied()).collect();
        let sum = |of: &dyn Fn(Counted) -> f64| queues.iter().map(|(queue, _)| of(tables.counted(queue))).sum::<f64>();
        let mut compared: BTreeMap<&str, u32> = BTreeMap::new();
        let mut one = |title: &'static str, query: usize, scale: f64, expected: f64| {
            *compared.entry(title).or_default() += 1;
            same(title, self.one(title, query) * scale, expected);
        };
        one("Waiting now", 0, 1.0, sum(&|queue| queue.waiting));
        one("Agents ready", 0, 1.0, tables.agents(&all, &["Ready"]));
        one("Agents at work", 0, 1.0, tables.agents(&all, &at_work));
        one("Waiting and at work", 0, 1.0, sum(&|queue| queue.waiting));
        one("Waiting and at work", 1, 1.0, tables.agents(&all, &["Ready"]));
        one("Waiting and at work", 2, 1.0, tables.agents(&all, &at_work));
        self.longest(tables, queues);
        // In each minute: Prometheus estimates at the edges of the time, and callers are whole.
        for (query, expected) in
            [sum(&|q| q.offered), sum(&|q| q.answered), sum(&|q| q.abandoned)].into_iter().enumerate()
        {
            same("Callers", (self.one("Callers", query) * RANGE_MINUTES).round(), expected);
        }
        for (formula, of) in FORMULAS {
            let levels: Vec<[f64; 5]> = queues.iter().map(|(queue, _)| tables.level(queue)).collect();
            let sums = [0, 1, 2, 3, 4].map(|n| levels.iter().map(|level| level[n]).sum());
            same(formula, self.level("Service level", 0, formula), of(sums));
            for ((queue, _), level) in queues.iter().zip(levels) {
                same(formula, self.each("Service level of the last hour", 0, formula, queue), of(level));
            }
        }
        for (queue, agents) in queues {
            self.queue(tables, (queue, agents), bounds);
        }
        let known = ["Longest wait now", "Callers", "Service level", "Service level of the last hour", "Queues"];
        let known = known.iter().chain(&["How long callers waited", "How long a call takes", "Given back to the flow"]);
        let all = panels(&self.dashboard).map(|panel| panel["title"].as_str().expect("a title"));
        let forgotten: Vec<&str> =
            all.filter(|title| !compared.contains_key(title) && !known.clone().any(|known| known == title)).collect();
        assert!(forgotten.is_empty(), "panels that nobody compares: {forgotten:?}");
    }

    /// What was measured is not less than what had been waited when Prometheus began to ask, nor more than what is by now.
    fn longest(&self, tables: &Tables, queues: &[(&str, &[u64])]) {
        let since = queues.iter().flat_map(|(queue, _)| tables.waiting(queue)).fold(f64::INFINITY, f64::min) / 1000.0;
        let shown = self.expression("Longest wait now", 0, FORMULAS[0].0);
        let asked = "max(timestamp(tierline_queue_longest_wait_seconds))";
        let more = self.prometheus.number(&format!("{shown} - ({asked} - {since})")).expect("one number");
        let shown = self.prometheus.number(&shown).expect("one number");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs_f64();
        assert!(more >= -0.05 && shown <= now - since + 0.05, "{more} s more than was waited; {shown} s since {since}");
    }

    fn queue(&self, tables: &Tables, (queue, agents): (&str, &[u64]), bounds: &[f64]) {
        let (waits, at_work) = (tables.waits(queue), ["Ready", "Reserved", "Busy", "WrapUp"]);
        assert_eq!(self.counted(queue), tables.counted(queue), "{queue}");
        same("At work", self.column("At work", queue), tables.agents(agents, &at_work));
        let waited = |outcome: &str| -> Vec<f64> {
            let such = waits.iter().filter(|wait| !wait.again && wait.outcome == outcome);
            such.map(|wait| wait.waited / 1000.0).collect()
        };
        let (answered, handling) = (waited("answered"), tables.mean_handling(agents));
        let talk = mean(waits.iter().filter(|wait| wait.agent).map(|wait| wait.talked / 1000.0));
        same("Mean wait", self.column("Mean wait", queue), mean(answered.iter().copied()));
        same("Mean handling", self.column("Mean handling", queue), handling);
        let each = |title, query| self.each(title, query, FORMULAS[0].0, queue);
        same("How long a call takes, talk", each("How long a call takes", 0), talk);
        same("How long a call takes, handling", each("How long a call takes", 1), handling);
        let expected = [(0.5, answered.clone()), (0.9, answered), (0.5, waited("abandoned"))];
        for (query, (q, seconds)) in expected.into_iter().enumerate() {
            same("How long callers waited", each("How long callers waited", query), quantile(q, bounds, &seconds));
        }
        let reasons = self.prometheus.query(&self.expression("Given back to the flow", 0, FORMULAS[0].0));
        for (labels, shown) in reasons.into_iter().filter(|(labels, _)| labels["queue"] == queue) {
            let word = labels["reason"].as_str().expect("a reason").replace('_', "");
            let so = |wait: &&Wait| wait.outcome == "diverted" && wait.reason.to_lowercase() == word && !wait.again;
            same(&format!("given back: {word}"), shown, waits.iter().filter(so).count() as f64);
        }
    }
}
