//! A report's numbers, written as a table for people, as CSV, or as lines of JSON.

use crate::server::records::progress::Progress;
use crate::time::Wall;
use serde_json::{Map, json};

const WIDTHS: &str = "report: rows measured";
const WRITTEN: &str = "report: rows written";

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Table,
    Csv,
    /// An object a line.
    Json,
}

/// A column's name, and what it means; of times and shares CSV and JSON add the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// For docs/supervisors.md.
    pub what: &'static str,
    unit: &'static str,
}

impl Column {
    pub const fn new(name: &'static str, what: &'static str) -> Column {
        Column { name, what, unit: "" }
    }

    /// Seconds.
    pub const fn time(name: &'static str, what: &'static str) -> Column {
        Column { name, what, unit: "_s" }
    }

    pub const fn share(name: &'static str, what: &'static str) -> Column {
        Column { name, what, unit: "_ratio" }
    }

    fn whole(self) -> String {
        self.name.replace([' ', '-'], "_") + self.unit
    }
}

/// What stands in a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    At(Wall),
    Text(String),
    Count(u64),
    /// Milliseconds; none: of nothing.
    Ms(Option<u64>),
    Share(Option<f64>),
}

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    pub head: Vec<Column>,
    pub rows: Vec<Vec<Value>>,
    /// What must be known to read it; above a table, in comments of CSV, and in each object of JSON: of no rows in one that
    /// has nothing else.
    pub notes: Vec<String>,
}

impl Sheet {
    /// `at` writes times.
    pub fn written(&self, format: Format, at: &dyn Fn(Wall) -> String) -> String {
        match format {
            Format::Table => self.table(at),
            Format::Csv => self.csv(at),
            Format::Json => self.json(at),
        }
    }

    fn table(&self, at: &dyn Fn(Wall) -> String) -> String {
        let head: Vec<String> = self.head.iter().map(|column| column.name.to_uppercase()).collect();
        let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
        // Written twice, for less than keeping all of it at once.
        let shown = |row: &[Value]| row.iter().map(|value| value.shown(at)).collect::<Vec<_>>();
        let mut progress = Progress::new(WIDTHS);
        for (done, row) in (0..).zip(&self.rows) {
            progress.shows(done, self.rows.len() as u64);
            let cells = shown(row);
            widths.iter_mut().zip(&cells).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
        }
        progress.end();
        let mut text: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        let mut progress = Progress::new(WRITTEN);
        for (done, line) in (0..).zip([head].into_iter().chain(self.rows.iter().map(|row| shown(row)))) {
            progress.shows(done, self.rows.len() as u64);
            let cells = line.iter().zip(&widths).enumerate();
            // Names to the left, numbers to the right.
            let cells = cells.map(|(n, (cell, width))| match n {
                0..3 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        progress.end();
        if self.rows.is_empty() {
            text += "nothing in this time\n";
        }
        text
    }

    fn csv(&self, at: &dyn Fn(Wall) -> String) -> String {
        let mut text: String = self.notes.iter().map(|note| format!("# {note}\r\n")).collect();
        let head = self.head.iter().map(|column| column.whole()).collect::<Vec<_>>();
        text += &(head.join(",") + "\r\n");
        let mut progress = Progress::new(WRITTEN);
        for (done, row) in (0..).zip(&self.rows) {
            progress.shows(done, self.rows.len() as u64);
            let fields = row.iter().map(|value| quoted(&value.plain(at)));
            text += &(fields.collect::<Vec<_>>().join(",") + "\r\n");
        }
        progress.end();
        text
    }

    fn json(&self, at: &dyn Fn(Wall) -> String) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            text = json!({ "notes": self.notes }).to_string() + "\n";
        }
        let mut progress = Progress::new(WRITTEN);
        for (done, row) in (0..).zip(&self.rows) {
            progress.shows(done, self.rows.len() as u64);
            let fields = self.head.iter().zip(row).map(|(column, value)| (column.whole(), value.json(at)));
            let mut object: Map<String, serde_json::Value> = fields.collect();
            object.insert("notes".to_owned(), self.notes.clone().into());
            text += &(serde_json::Value::from(object).to_string() + "\n");
        }
        progress.end();
        text
    }
}

impl Value {
    fn shown(&self, at: &dyn Fn(Wall) -> String) -> String {
        match self {
            Value::Ms(Some(ms)) if *ms >= 3_600_000 => {
                format!("{}:{:02}:{:02}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60)
            }
            Value::Ms(Some(ms)) => format!("{}:{:02}", ms / 60_000, ms / 1000 % 60),
            Value::Share(Some(share)) => format!("{:.1} %", share * 100.0),
            Value::Ms(None) | Value::Share(None) => "-".to_owned(),
            other => other.plain(at),
        }
    }

    fn plain(&self, at: &dyn Fn(Wall) -> String) -> String {
        match self {
            Value::At(wall) => at(*wall),
            Value::Text(text) => text.clone(),
            Value::Count(count) => count.to_string(),
            Value::Ms(ms) => ms.map(|ms| format!("{}.{:03}", ms / 1000, ms % 1000)).unwrap_or_default(),
            Value::Share(share) => share.map(|share| format!("{share:.6}")).unwrap_or_default(),
        }
    }

    fn json(&self, at: &dyn Fn(Wall) -> String) -> serde_json::Value {
        match self {
            Value::At(_) | Value::Text(_) => self.plain(at).into(),
            Value::Count(count) => json!(count),
            Value::Ms(ms) => json!(ms.map(|ms| ms as f64 / 1000.0)),
            Value::Share(share) => json!(share),
        }
    }
}

/// RFC 4180 §2.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}
