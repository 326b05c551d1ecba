//! A report's numbers, written as a table for people, as CSV, or as lines of JSON.

use super::rows::{self, Rows};
use crate::records::spans::Spans;
use crate::server::progress::Progress;
use crate::time::Wall;
use serde_json::{Map, json};
use std::fmt::{self, Write};

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
    kind: Kind,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Time,
    Share,
}

impl Column {
    pub const fn new(name: &'static str, what: &'static str) -> Column {
        Column { name, what, kind: Kind::Count }
    }

    /// Seconds.
    pub const fn time(name: &'static str, what: &'static str) -> Column {
        Column { name, what, kind: Kind::Time }
    }

    pub const fn share(name: &'static str, what: &'static str) -> Column {
        Column { name, what, kind: Kind::Share }
    }

    fn whole(self) -> String {
        let unit = match self.kind {
            Kind::Count => "",
            Kind::Time => "_s",
            Kind::Share => "_ratio",
        };
        self.name.replace([' ', '-'], "_") + unit
    }
}

/// What stands in a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Count(u64),
    /// Milliseconds; none: of nothing.
    Ms(Option<u64>),
    Share(Option<f64>),
}

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// What the rows are of.
    pub by: &'static str,
    pub columns: &'static [Column],
    /// The intervals of the rows.
    pub spans: Spans,
    pub rows: Rows,
    /// All rows together, for people.
    pub total: Option<Vec<Value>>,
    /// What must be known to read it; above a table, in comments of CSV, and in each object of JSON: of no rows in one that
    /// has nothing else.
    pub notes: Vec<String>,
}

/// What is in a name's place where all of them are summed up.
const ALL: &str = "(all)";

impl Sheet {
    /// Writes it, row by row; `at` writes times.
    pub fn write(&self, out: &mut dyn Write, format: Format, at: &dyn Fn(Wall) -> String) -> fmt::Result {
        match format {
            Format::Table => self.table(out, at),
            Format::Csv => self.csv(out, at),
            Format::Json => self.json(out, at),
        }
    }

    /// Each row: from when to when, of whom, and its values.
    fn each(
        &self,
        mut progress: Progress,
        at: &dyn Fn(Wall) -> String,
        mut take: impl FnMut([&str; 3], &[Value]) -> fmt::Result,
    ) -> fmt::Result {
        // Many rows are of one interval.
        let (mut of, mut times) = (usize::MAX, [String::new(), String::new()]);
        for (done, (n, name, values)) in (0..).zip(self.rows.iter()) {
            progress.shows(done, self.rows.len() as u64);
            if n != of {
                let (begin, end) = self.spans.span(n);
                (of, times) = (n, [at(begin), at(end)]);
            }
            take([&times[0], &times[1], name], &values)?;
        }
        progress.end();
        let (from, to) = self.spans.whole();
        self.total.iter().try_for_each(|values| take([&at(from), &at(to), ALL], values))
    }

    fn head(&self) -> [&'static str; 3] {
        ["from", "to", self.by]
    }

    fn table(&self, out: &mut dyn Write, at: &dyn Fn(Wall) -> String) -> fmt::Result {
        let names = self.head().into_iter().chain(self.columns.iter().map(|column| column.name));
        let head: Vec<String> = names.map(str::to_uppercase).collect();
        let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
        let line = |place: [&str; 3], values: &[Value]| {
            place.into_iter().map(str::to_owned).chain(values.iter().map(|value| value.shown())).collect::<Vec<_>>()
        };
        // Written twice, for less than keeping all of it at once.
        self.each(Progress::new(WIDTHS), at, |place, values| {
            let cells = line(place, values);
            widths.iter_mut().zip(&cells).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
            Ok(())
        })?;
        self.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        let mut put = |line: &[String]| {
            let cells = line.iter().zip(&widths).enumerate();
            // Names to the left, numbers to the right.
            let cells = cells.map(|(n, (cell, width))| match n {
                0..3 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        put(&head)?;
        self.each(Progress::of_what_is_printed(WRITTEN), at, |place, values| put(&line(place, values)))?;
        match self.rows.is_empty() {
            true => writeln!(out, "nothing in this time"),
            false => Ok(()),
        }
    }

    fn csv(&self, out: &mut dyn Write, at: &dyn Fn(Wall) -> String) -> fmt::Result {
        self.notes.iter().try_for_each(|note| write!(out, "# {note}\r\n"))?;
        let names = self.head().into_iter().map(str::to_owned).chain(self.columns.iter().map(|column| column.whole()));
        write!(out, "{}\r\n", names.collect::<Vec<_>>().join(","))?;
        self.each(Progress::of_what_is_printed(WRITTEN), at, |place, values| {
            let fields = place.into_iter().map(quoted).chain(values.iter().map(|value| value.plain()));
            write!(out, "{}\r\n", fields.collect::<Vec<_>>().join(","))
        })
    }

    fn json(&self, out: &mut dyn Write, at: &dyn Fn(Wall) -> String) -> fmt::Result {
        if self.rows.is_empty() {
            return writeln!(out, "{}", json!({ "notes": self.notes }));
        }
        let names: Vec<String> = self.columns.iter().map(|column| column.whole()).collect();
        self.each(Progress::of_what_is_printed(WRITTEN), at, |place, values| {
            let place = self.head().into_iter().zip(place).map(|(name, text)| (name.to_owned(), text.into()));
            let values = names.iter().zip(values).map(|(name, value)| (name.clone(), value.json()));
            let mut object: Map<String, serde_json::Value> = place.chain(values).collect();
            object.insert("notes".to_owned(), self.notes.clone().into());
            writeln!(out, "{}", serde_json::Value::from(object))
        })
    }
}

impl Value {
    fn shown(self) -> String {
        match self {
            Value::Ms(Some(ms)) if ms >= 3_600_000 => {
                format!("{}:{:02}:{:02}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60)
            }
            Value::Ms(Some(ms)) => format!("{}:{:02}", ms / 60_000, ms / 1000 % 60),
            Value::Share(Some(share)) => format!("{:.1} %", share * 100.0),
            Value::Ms(None) | Value::Share(None) => "-".to_owned(),
            Value::Count(_) => self.plain(),
        }
    }

    fn plain(self) -> String {
        match self {
            Value::Count(count) => count.to_string(),
            Value::Ms(ms) => ms.map(|ms| format!("{}.{:03}", ms / 1000, ms % 1000)).unwrap_or_default(),
            Value::Share(share) => share.map(|share| format!("{share:.6}")).unwrap_or_default(),
        }
    }

    fn json(self) -> serde_json::Value {
        match self {
            Value::Count(count) => json!(count),
            Value::Ms(ms) => json!(ms.map(|ms| ms as f64 / 1000.0)),
            Value::Share(share) => json!(share),
        }
    }

    /// As few bytes as it needs; of which kind it is its column says.
    pub(super) fn pack(self, to: &mut Vec<u8>) {
        match self {
            Value::Count(count) => rows::number(count, to),
            Value::Ms(ms) => rows::number(ms.map_or(0, |ms| ms.saturating_add(1)), to),
            Value::Share(None) => to.push(0),
            Value::Share(Some(share)) => {
                to.push(1);
                to.extend(share.to_le_bytes());
            }
        }
    }

    pub(super) fn unpack(of: Column, from: &mut &[u8]) -> Value {
        match of.kind {
            Kind::Count => Value::Count(rows::read(from)),
            Kind::Time => Value::Ms(rows::read(from).checked_sub(1)),
            Kind::Share => match rows::read(from) {
                0 => Value::Share(None),
                _ => {
                    let (share, rest) = from.split_first_chunk().expect("a share lies behind its mark");
                    *from = rest;
                    Value::Share(Some(f64::from_le_bytes(*share)))
                }
            },
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
