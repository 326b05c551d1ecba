//! One TOML value, owned, with its place; each way to read it says what was expected instead.

use super::duration::{read_duration, write_duration};
use super::names::did_you_mean;
use super::{Page, Place, Section};
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// Characters of a wrong value that are shown.
const MAX_SHOWN: usize = 40;

/// A TOML value, owned.
#[derive(Clone, Debug)]
pub(super) enum Plain {
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
pub(super) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub place: Place,
    pub plain: Plain,
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
pub(super) fn entries(table: DeTable<'_>) -> Vec<Entry> {
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

/// One value. Each way to read it reports on the page what was expected instead.
#[derive(Clone, Debug)]
pub struct Value<'p> {
    pub page: &'p Page<'p>,
    /// Its key.
    pub label: String,
    pub key_place: Place,
    pub place: Place,
    pub(super) plain: Plain,
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

    /// The text, if it is one.
    pub fn text_as_written(&self) -> Option<&str> {
        match &self.plain {
            Plain::Text(s) => Some(s),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn number_as_written(&self) -> Option<i64> {
        match self.plain {
            Plain::Whole(number) => number,
            _ => None,
        }
    }

    /// True or false, if it is one of them.
    pub fn flag_as_written(&self) -> Option<bool> {
        match self.plain {
            Plain::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The key as a value of its own, for tables whose keys are read like texts.
    pub fn label_as_text(&self) -> Value<'p> {
        let (place, plain) = (self.key_place.clone(), Plain::Text(self.label.clone()));
        Value { page: self.page, label: self.label.clone(), key_place: place.clone(), place, plain }
    }

    /// Where the byte `offset` of a text stands; the whole text where it is written with escapes.
    pub fn inside(&self, offset: usize) -> Place {
        let (Some(text), written) = (self.text_as_written(), self.page.written(&self.place)) else {
            return self.place.clone();
        };
        let found = ["\"\"\"", "'''", "\"", "'"].into_iter().find_map(|quote| {
            let inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
            (inner == text).then_some(quote.len())
        });
        match found {
            Some(quote) => self.place.start + quote + offset..self.place.end,
            None => self.place.clone(),
        }
    }

    /// One of the names `known`; what is none of them is reported with those that are near.
    pub fn one_of<'k>(&self, allowed: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
        let written = self.text_as_written().unwrap_or_default();
        let found = known.clone().find(|name| *name == written);
        if found.is_none() {
            self.wrong(&format!("{allowed}{}", did_you_mean(written, known)));
        }
        found
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

    /// How many entries a list has; 0 for what is none.
    pub fn entries(&self) -> usize {
        match &self.plain {
            Plain::List(list) => list.len(),
            _ => 0,
        }
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
pub fn shown(s: &str) -> String {
    let mut cut: String = s.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if s.chars().count() > MAX_SHOWN {
        cut.push('…');
    }
    cut
}
