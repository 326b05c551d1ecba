//! What a number is: its name, its kind, its labels and the sentence that defines it.
//!
//! All of them stand in one table ([`super::families`]); the page for people ([`reference`]) is made from it.

use super::families::CHAPTERS;

/// All series of one name.
#[derive(Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// Names of labels, in the order of their values in a [`Sample`].
    pub labels: &'static [&'static str],
    /// One or two sentences that define it, for people.
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at each start.
    Counter,
    Gauge,
    /// With the upper bounds of its buckets; one more has none.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub family: &'static Family,
    pub labels: Vec<String>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    /// `up_to`: how many were up to each bound of the family.
    Spread {
        up_to: Vec<u64>,
        count: u64,
        sum: f64,
    },
}

impl Family {
    /// A series of it.
    pub fn sample<const N: usize>(&'static self, labels: [&str; N], value: f64) -> Sample {
        self.series(labels, Value::Number(value))
    }

    /// The same of something that is counted.
    pub fn count<const N: usize>(&'static self, labels: [&str; N], value: u64) -> Sample {
        self.sample(labels, value as f64)
    }

    /// The same of something that is or is not.
    pub fn flag<const N: usize>(&'static self, labels: [&str; N], on: bool) -> Sample {
        self.sample(labels, f64::from(u8::from(on)))
    }

    pub fn series<const N: usize>(&'static self, labels: [&str; N], value: Value) -> Sample {
        assert_eq!(labels.len(), self.labels.len(), "{} has the labels {:?}", self.name, self.labels);
        Sample { family: self, labels: labels.map(str::to_owned).to_vec(), value }
    }
}

/// Every family, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Family> {
    CHAPTERS.iter().flat_map(|chapter| chapter.families.iter().copied())
}

/// What belongs together on the page.
pub struct Chapter {
    pub title: &'static str,
    pub about: &'static str,
    pub families: &'static [&'static Family],
}

/// The page that says what each number means, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for chapter in CHAPTERS {
        page += &format!(
            "\n## {}\n\n{}\n\n| name | kind | labels | what it is |\n|---|---|---|---|\n",
            chapter.title, chapter.about
        );
        for family in chapter.families {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let buckets = match family.kind {
                Kind::Histogram(bounds) => {
                    let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
                    format!(" Buckets up to {}.", bounds.join(", "))
                }
                _ => String::new(),
            };
            let help = family.help.replace('|', "\\|");
            page +=
                &format!("| `{}` | {} | {} | {help}{buckets} |\n", family.name, family.kind.name(), labels.join(", "));
        }
    }
    page
}

const HEAD: &str = "\
# The numbers

Every number of `/metrics`, for Prometheus. This page is made from the table in the code that the program itself uses
(`METRICS=rewrite cargo test --test docs` writes it anew).

- Counters and histograms begin at 0 with each start; `rate()` and `increase()` know that.
- Times are in seconds, shares are ratios from 0 to 1. What waits, talks or runs at the moment of the scrape is a gauge.
- Labels hold names from the configuration and words of closed lists, so that their number is bounded: queues, lines,
  flows and their steps, trunks, states, reasons, causes. No number or name of a caller is ever a label; agents appear by
  state and reason, and one by one (by their number at the desk) only with `agent_series = true` in `[server.http]`.
- Numbers of calls, queues, flows and agents are folds of the event log: what `tierline calls` and the records say can be
  compared with them.

**Service level.** Many formulas have that name, so the formula is a label. For a queue's target time T (`target` of the
queue): A answered, A_T answered within T, B abandoned, B_T abandoned within T, B_s short abandons (sooner than
`short_abandon`). The usual one is `A_T/(A+B-B_s)`. A caller who waits again, because an agent's phone was lost, or the number or the agent that he was sent to did not take him, was
answered before and counts once; a wait that ended by our doing is lost, not abandoned.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_say_their_kind_and_unit_and_are_defined_once() {
        let mut seen = BTreeSet::new();
        for Family { name, kind, labels, help } in all() {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.starts_with("tierline_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name} is a {}", kind.name());
            let timed = !help.starts_with("Time ") || name.contains("_seconds");
            assert!(timed, "{name} is a time without its unit");
            assert!(help.ends_with('.') && help.len() > 15, "{name}: `{help}` is no sentence");
            assert!(!labels.iter().any(|label| ["call", "caller", "number", "name", "le"].contains(label)), "{name}");
            if let Kind::Histogram(bounds) = kind {
                assert!(bounds.is_sorted_by(|a, b| a < b), "{name}: buckets rise");
            }
        }
    }

    /// Callers wait for an hour; what lies beyond the last bucket has no percentile.
    #[test]
    fn the_times_of_queues_are_known_to_an_hour() {
        let queues = || all().filter(|family| family.name.starts_with("tierline_queue_"));
        let last = |family: &Family| match family.kind {
            Kind::Histogram(bounds) => bounds.last().copied(),
            _ => None,
        };
        let short: Vec<_> = queues().filter(|family| last(family).is_some_and(|bound| bound < 3600.0)).collect();
        assert!(short.is_empty(), "{short:#?}");
        assert!(queues().filter_map(last).count() >= 5, "waits, talks, wrap-up");
    }

    #[test]
    #[should_panic(expected = "has the labels")]
    fn a_sample_has_a_value_for_each_label() {
        _ = super::super::families::QUEUE_WAITING.count([], 1);
    }
}
