//! Reading what people wrote: TOML values that know where they stand, and every problem at once.
//!
//! A [`Page`] is one file. Its [`Section`]s hand out [`Value`]s by key and remember which keys were asked for,
//! so that a left-over key is reported together with those that are allowed. A value that is not what
//! was asked for is reported on the page and reading goes on with a stand-in; the page's problems decide at
//! the end whether anything that was read counts. (Serde's derive stops at the first mistake; hence by hand.)

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// Problems reported per file; the rest is told as a number.
const MAX_PROBLEMS: usize = 100;
/// Characters of a wrong value that are shown.
const MAX_SHOWN: usize = 40;

/// Something that somebody wrote and that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// As it is shown to people.
    pub file: String,
    /// From 1; 0 if the whole file is concerned.
    pub line: usize,
    /// In characters, from 1; 0 if the whole file is concerned.
    pub column: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Problem {
    /// A problem of a whole file.
    pub fn whole(file: &str, message: String) -> Problem {
        Problem { file: file.into(), line: 0, column: 0, message }
    }
}

impl fmt::Display for Problem {
    /// `deploy/tierline.toml:12:16: …`, the form that editors turn into links.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{}:{}: {}", self.file, line, self.column, self.message),
        }
    }
}

/// Where something stands, in bytes from the start of its page.
pub type Place = Range<usize>;

/// One file while it is read.
#[derive(Debug)]
pub struct Page<'i> {
    file: &'i str,
    text: &'i str,
    problems: RefCell<Vec<Problem>>,
    untold: RefCell<usize>,
}

impl<'i> Page<'i> {
    /// `file` is how the page is called in problems.
    pub fn new(file: &'i str, text: &'i str) -> Page<'i> {
        Page { file, text, problems: RefCell::default(), untold: RefCell::default() }
    }

    /// The whole page as a section. Wrong TOML is reported, and what could be understood is returned.
    pub fn root(&self) -> Section<'_> {
        let place = 0..0;
        if self.text.len() > MAX_FILE {
            self.report(&place, format!("the file has {} bytes; allowed: up to {MAX_FILE}", self.text.len()));
            return Section::new(self, place, String::new(), Vec::new());
        }
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.report(&error.span().unwrap_or(0..0), format!("this is no TOML: {}", error.message()));
        }
        Section::new(self, place, String::new(), entries(table.into_inner()))
    }

    pub fn report(&self, place: &Place, message: String) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= MAX_PROBLEMS {
            *self.untold.borrow_mut() += 1;
        } else {
            problems.push(self.problem(place, message));
        }
    }

    /// A problem at `place` that is not reported yet.
    pub fn problem(&self, place: &Place, message: String) -> Problem {
        let (line, column) = self.line_and_column(place);
        Problem { file: self.file.into(), line, column, message }
    }

    /// Both from 1, the column in characters.
    pub fn line_and_column(&self, place: &Place) -> (usize, usize) {
        let before = self.text.as_bytes().get(..place.start).unwrap_or(self.text.as_bytes());
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
    }

    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// All that was reported, in the order of the page.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        match self.untold.into_inner() {
            0 => {}
            n => problems.push(Problem::whole(self.file, format!("and {n} more"))),
        }
        problems
    }
}

/// A TOML value, owned.
#[derive(Clone, Debug)]
enum Plain {
    Text(String),
    /// None beyond 64 bits.
    Whole(Option<i64>),
    Flag(bool),
    List(Vec<(Place, Plain)>),
    Table(Vec<Entry>),
    /// Fractions, dates and times: nothing here is written so.
    Other(&'static str),
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    key_place: Place,
    place: Place,
    plain: Plain,
}

/// The depth of the recursion is bounded by the TOML parser's own limit.
fn plain(value: DeValue<'_>) -> Plain {
    match value {
        DeValue::String(s) => Plain::Text(s.into_owned()),
        DeValue::Integer(n) => Plain::Whole(i64::from_str_radix(n.as_str(), n.radix()).ok()),
        DeValue::Boolean(b) => Plain::Flag(b),
        DeValue::Array(list) => Plain::List(list.into_iter().map(|v| (v.span(), plain(v.into_inner()))).collect()),
        DeValue::Table(table) => Plain::Table(entries(table)),
        DeValue::Float(_) => Plain::Other("a fraction"),
        DeValue::Datetime(_) => Plain::Other("a date or time"),
    }
}

/// In the order of the page.
fn entries(table: DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            key_place: key.span(),
            place: value.span(),
            key: key.into_inner().into_owned(),
            plain: plain(value.into_inner()),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place.start);
    entries
}

/// A value together with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    pub it: T,
    pub place: Place,
}

/// A table whose keys are asked for one by one.
#[derive(Debug)]
pub struct Section<'p> {
    pub page: &'p Page<'p>,
    /// Where its name stands.
    pub place: Place,
    /// Its name; empty for the whole page.
    pub label: String,
    entries: Vec<Entry>,
    asked: BTreeSet<&'static str>,
}

impl<'p> Section<'p> {
    fn new(page: &'p Page<'p>, place: Place, label: String, entries: Vec<Entry>) -> Section<'p> {
        Section { page, place, label, entries, asked: BTreeSet::new() }
    }

    /// Whether `key` is there. Does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Takes `key` out, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'p>> {
        self.asked.insert(key);
        let i = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(i);
        Some(self.value(entry))
    }

    /// Takes `key` out; without it the page has a problem. `wanted` says what belongs there.
    pub fn require(&mut self, key: &'static str, wanted: &str) -> Option<Value<'p>> {
        let value = self.take(key);
        if value.is_none() {
            let whose = if self.label.is_empty() { "the file".into() } else { format!("`{}`", self.label) };
            self.page.report(&self.place, format!("{whose} lacks `{key}`: {wanted}"));
        }
        value
    }

    /// Takes the table `key` out; an empty one if it is not there.
    pub fn section(&mut self, key: &'static str) -> Section<'p> {
        let found = self.take(key).and_then(|value| value.section());
        found.unwrap_or_else(|| Section::new(self.page, self.place.clone(), key.into(), Vec::new()))
    }

    /// Takes all that is left, in the order of the page: for tables whose keys are names that people give.
    pub fn rest(mut self) -> Vec<Value<'p>> {
        std::mem::take(&mut self.entries).into_iter().map(|entry| self.value(entry)).collect()
    }

    /// Reports keys that nobody asked for.
    pub fn finish(self) {
        let allowed: Vec<&str> = self.asked.iter().copied().collect();
        for entry in &self.entries {
            let message = format!("`{}` is not known here; allowed: {}", shown(&entry.key), allowed.join(", "));
            self.page.report(&entry.key_place, message);
        }
    }

    /// A time such as `"20s"` within `range`; `default` if it is not written.
    pub fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>, default: Duration) -> Duration {
        self.take(key).and_then(|value| value.duration(range)).unwrap_or(default)
    }

    /// A whole number within `range`; `default` if it is not written.
    pub fn whole(&mut self, key: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.take(key).and_then(|value| value.whole(range)).unwrap_or(default)
    }

    fn value(&self, entry: Entry) -> Value<'p> {
        Value { page: self.page, label: entry.key, key_place: entry.key_place, place: entry.place, plain: entry.plain }
    }
}

/// One value. Each way to read it reports on the page what was expected instead.
#[derive(Clone, Debug)]
pub struct Value<'p> {
    pub page: &'p Page<'p>,
    /// Its key.
    pub label: String,
    pub key_place: Place,
    pub place: Place,
    plain: Plain,
}

impl<'p> Value<'p> {
    /// Reports that this is not what is allowed here.
    pub fn wrong(&self, allowed: &str) {
        let is = match &self.plain {
            Plain::Text(s) => format!("\"{}\"", shown(s)),
            Plain::Whole(Some(n)) => n.to_string(),
            Plain::Whole(None) => "a number beyond 64 bits".into(),
            Plain::Flag(b) => b.to_string(),
            Plain::List(_) => "a list".into(),
            Plain::Table(_) => "a table".into(),
            Plain::Other(what) => (*what).into(),
        };
        self.page.report(&self.place, format!("`{}` is {is}; allowed: {allowed}", shown(&self.label)));
    }

    fn or_wrong<T>(&self, found: Option<T>, allowed: &str) -> Option<T> {
        if found.is_none() {
            self.wrong(allowed);
        }
        found
    }

    /// A text that `read` makes something of.
    pub fn parsed<T>(&self, allowed: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = match &self.plain {
            Plain::Text(s) => read(s),
            _ => None,
        };
        self.or_wrong(found, allowed)
    }

    /// A text of at most `max` characters, neither empty nor with control characters.
    pub fn text(&self, max: usize) -> Option<String> {
        self.parsed(&format!("a text of 1 to {max} characters in one line"), |s| one_line(s, max))
    }

    pub fn whole(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let found = match self.plain {
            Plain::Whole(Some(n)) if range.contains(&n) => Some(n),
            _ => None,
        };
        self.or_wrong(found, &format!("a whole number from {} to {}", range.start(), range.end()))
    }

    pub fn flag(&self) -> Option<bool> {
        let found = match self.plain {
            Plain::Flag(b) => Some(b),
            _ => None,
        };
        self.or_wrong(found, "true or false")
    }

    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (from, to) = (write_duration(*range.start()), write_duration(*range.end()));
        let allowed = format!("\"{from}\" to \"{to}\", written like \"20s\", \"5m\" or \"1h30m\"");
        self.parsed(&allowed, |s| read_duration(s).filter(|d| range.contains(d)))
    }

    pub fn is_true(&self) -> bool {
        matches!(self.plain, Plain::Flag(true))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.plain, Plain::List(_))
    }

    pub fn is_table(&self) -> bool {
        matches!(self.plain, Plain::Table(_))
    }

    /// The entries of a list; each carries the list's key.
    pub fn list(self, allowed: &str) -> Vec<Value<'p>> {
        let Plain::List(list) = &self.plain else {
            self.wrong(allowed);
            return Vec::new();
        };
        let entry = |(place, plain): &(Place, Plain)| Value {
            page: self.page,
            label: self.label.clone(),
            key_place: self.key_place.clone(),
            place: place.clone(),
            plain: plain.clone(),
        };
        list.iter().map(entry).collect()
    }

    pub fn section(self) -> Option<Section<'p>> {
        match self.plain {
            Plain::Table(entries) => Some(Section::new(self.page, self.key_place, self.label, entries)),
            _ => {
                self.wrong("a table");
                None
            }
        }
    }
}

fn one_line(s: &str, max: usize) -> Option<String> {
    let fits = !s.trim().is_empty() && s.chars().count() <= max && !s.chars().any(char::is_control);
    fits.then(|| s.to_owned())
}

/// `s`, cut to what fits into a sentence, with control characters made visible.
fn shown(s: &str) -> String {
    let mut cut: String = s.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if s.chars().count() > MAX_SHOWN {
        cut.push('…');
    }
    cut
}

/// Units of a duration, in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// `1h30m`, `20s`, `250ms`: whole numbers with units, each unit once, largest first.
pub fn read_duration(s: &str) -> Option<Duration> {
    let (mut rest, mut total, mut units) = (s.trim(), 0u64, UNITS.iter());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit = &behind[..behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len())];
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
        rest = &behind[unit.len()..];
    }
    Some(Duration::from_millis(total))
}

/// The shortest form that [`read_duration`] reads; parts below a millisecond are left out.
pub fn write_duration(d: Duration) -> String {
    let mut rest = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let mut written = String::new();
    for (unit, ms) in UNITS {
        if rest >= ms {
            written += &format!("{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    if written.is_empty() { "0s".into() } else { written }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        let rows = [
            ("20s", Some(20_000), "20s"),
            ("5m", Some(300_000), "5m"),
            ("1h30m", Some(5_400_000), "1h30m"),
            ("250ms", Some(250), "250ms"),
            ("1s5ms", Some(1005), "1s5ms"),
            ("90s", Some(90_000), "1m30s"),
            ("24h", Some(86_400_000), "1d"),
            ("0s", Some(0), "0s"),
            ("20", None, ""),
            ("", None, ""),
            ("s", None, ""),
            ("5 m", None, ""),
            ("1s1m", None, ""),
            ("1s1s", None, ""),
            ("-1s", None, ""),
            ("1.5s", None, ""),
            ("99999999999999999999s", None, ""),
            ("18446744073709551615d", None, ""),
            ("5µ", None, ""),
        ];
        for (text, ms, written) in rows {
            assert_eq!(read_duration(text), ms.map(Duration::from_millis), "{text}");
            if let Some(ms) = ms {
                assert_eq!(write_duration(Duration::from_millis(ms)), written);
            }
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_and_where_it_stands() {
        let text = "a = 1\nb = \"x\"\nünknown = 1\n[t]\nd = \"9s\"\nf = 1\n";
        let page = Page::new("f.toml", text);
        let mut root = page.root();
        assert_eq!(root.whole("a", 2..=3, 2), 2);
        assert_eq!(root.whole("b", 2..=3, 3), 3);
        root.require("c", "a name");
        let mut t = root.section("t");
        t.duration("d", Duration::from_secs(10)..=Duration::from_secs(90), Duration::ZERO);
        t.take("f").and_then(|v| v.flag());
        t.require("g", "a number");
        t.finish();
        root.finish();
        let told: Vec<String> = page.into_problems().iter().map(Problem::to_string).collect();
        assert_eq!(
            told,
            [
                "f.toml:1:1: the file lacks `c`: a name",
                "f.toml:1:5: `a` is 1; allowed: a whole number from 2 to 3",
                "f.toml:2:5: `b` is \"x\"; allowed: a whole number from 2 to 3",
                "f.toml:3:1: `ünknown` is not known here; allowed: a, b, c, t",
                "f.toml:3:1: this is no TOML: invalid unquoted key, expected letters, numbers, `-`, `_`",
                "f.toml:4:2: `t` lacks `g`: a number",
                "f.toml:5:5: `d` is \"9s\"; allowed: \"10s\" to \"1m30s\", written like \"20s\", \"5m\" or \"1h30m\"",
                "f.toml:6:5: `f` is 1; allowed: true or false",
            ]
        );
    }

    #[test]
    fn a_page_of_mistakes_is_told_in_part() {
        let text: String = (0..500).map(|i| format!("k{i} = 1\n")).collect();
        let page = Page::new("f", &text);
        page.root().finish();
        let problems = page.into_problems();
        assert_eq!((problems.len(), problems[MAX_PROBLEMS].message.as_str()), (MAX_PROBLEMS + 1, "and 400 more"));
    }
}
