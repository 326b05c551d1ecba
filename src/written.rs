//! Reading what people wrote: TOML values that know where they stand, and every problem at once.
//!
//! A [`Page`] is one file. Its [`Section`]s hand out [`Value`]s by key and remember which keys were asked for,
//! so that a left-over key is reported together with those that are allowed. A value that is not what
//! was asked for is reported on the page and reading goes on with a stand-in; the page's problems decide at
//! the end whether anything that was read counts. (Serde's derive stops at the first mistake; hence by hand.)

mod duration;
mod language;
#[cfg(test)]
mod mangled;
mod names;
mod section;
mod value;

pub use duration::{read_duration, write_duration};
pub use language::language;
#[cfg(test)]
pub use mangled::mangled;
pub use names::{A_NAME, counted, did_you_mean, is_name};
pub use section::Section;
pub use value::{Value, shown};

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use toml::de::DeTable;
use value::entries;

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// Problems reported per file; the rest is told as a number.
const MAX_PROBLEMS: usize = 100;

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
    untold: Cell<usize>,
    /// It is no TOML: that is the one thing to say.
    broken: Cell<bool>,
}

impl<'i> Page<'i> {
    /// `file` is how the page is called in problems.
    pub fn new(file: &'i str, text: &'i str) -> Page<'i> {
        Page { file, text, problems: RefCell::default(), untold: Cell::default(), broken: Cell::default() }
    }

    /// The whole page as a section. Where it is no TOML its first mistake is reported and nothing else ever is: all
    /// that reading went on to find would be guesses about what was meant.
    pub fn root(&self) -> Section<'_> {
        let place = 0..0;
        if self.text.len() > MAX_FILE {
            self.report(&place, format!("the file has {} bytes; allowed: up to {MAX_FILE}", self.text.len()));
            self.broken.set(true);
            return Section::new(self, place, String::new(), Vec::new());
        }
        let (table, mut errors) = DeTable::parse_recoverable(self.text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        if let Some(error) = errors.first() {
            let place = error.span().unwrap_or(0..0);
            let (place, message) = self.no_toml(place, error.message());
            self.report(&place, message);
            self.broken.set(true);
        }
        Section::new(self, place, String::new(), entries(table.into_inner()))
    }

    /// Where that is, and what to do about it.
    fn no_toml(&self, place: Place, message: &str) -> (Place, String) {
        let key = self.text.get(place.clone()).filter(|_| message.contains("duplicate key"));
        if let Some(key) = key {
            let message = format!("`{}` is written twice; allowed: once", shown(key));
            return (place, message);
        }
        let open = [("between array elements", ("list", ']')), ("between key-value pairs", ("table", '}'))];
        let open = open.iter().find(|(part, _)| message.contains(part)).map(|(_, open)| *open);
        match open.zip(self.line_before(&place)) {
            Some(((what, end), before)) => {
                let lacks = format!("behind this a comma or, at the end of the {what}, `{end}` is missing");
                (before, format!("this is no TOML: {lacks}"))
            }
            None => (place, format!("this is no TOML: {message}")),
        }
    }

    /// The end of the last line before that says something, if nothing else stands before `place` in its own.
    fn line_before(&self, place: &Place) -> Option<Place> {
        let before = self.text.get(..place.start)?;
        let (above, own) = before.split_at(before.rfind('\n')? + 1);
        let mut start = above.len();
        let mut ends = above.split_inclusive('\n').rev().map(|line| {
            start -= line.len();
            (line.trim_start(), start + line.trim_end().len())
        });
        let says = |line: &str| !line.is_empty() && !line.starts_with('#');
        let (_, end) = ends.find(|(line, _)| says(line)).filter(|_| own.trim().is_empty())?;
        Some(end..end)
    }

    pub fn report(&self, place: &Place, message: String) {
        self.tell(self.problem(place, message));
    }

    /// Reports what [`Page::problem`] has made.
    pub fn tell(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if self.broken.get() {
            // It has been told that this is no TOML.
        } else if problems.len() >= MAX_PROBLEMS {
            self.untold.set(self.untold.get() + 1);
        } else {
            problems.push(problem);
        }
    }

    /// A problem at `place` that is not reported yet.
    pub fn problem(&self, place: &Place, message: String) -> Problem {
        let (line, column) = self.line_and_column(place);
        Problem { file: self.file.into(), line, column, message }
    }

    /// What stands at `place`.
    fn written(&self, place: &Place) -> &str {
        self.text.get(place.clone()).unwrap_or_default()
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

    /// How many problems were reported so far.
    pub fn told(&self) -> usize {
        self.problems.borrow().len() + self.untold.get()
    }

    /// Whether it is no TOML, so that what was read says nothing about what was meant.
    pub fn is_broken(&self) -> bool {
        self.broken.get()
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

/// A value together with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    pub it: T,
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_mistake_is_told_at_once_and_where_it_stands() {
        let text = "a = 1\nb = \"x\"\nunknown = 1\n[t]\nd = \"9s\"\nf = 1\n";
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
                "f.toml:3:1: `unknown` is not known here; allowed: a, b, c, t",
                "f.toml:4:2: `t` lacks `g`: a number",
                "f.toml:5:5: `d` is \"9s\"; allowed: \"10s\" to \"1m30s\", written like \"20s\", \"5m\" or \"1h30m\"",
                "f.toml:6:5: `f` is 1; allowed: true or false",
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_told_once_and_nothing_else() {
        let check = |text: &str, expect: &str| {
            let page = Page::new("f", text);
            let mut root = page.root();
            root.require("c", "a name");
            root.whole("a", 2..=3, 2);
            root.finish();
            let told: Vec<String> = page.into_problems().iter().map(Problem::to_string).collect();
            assert!(told.len() == 1 && told[0].starts_with(expect), "{text}: {told:?}");
        };
        check("a = 1\nb = \n[t\nd = 1", "f:2:");
        check("a = 1\nünknown = 1\n", "f:2:1: this is no TOML: invalid unquoted key, expected letters");
        check("a = \"1\nc = 1", "f:1:");
        // A bracket that is not closed is noticed in the next line at the earliest, and missing in the one before.
        let list = "this is no TOML: behind this a comma or, at the end of the list, `]` is missing";
        check("q = [\"a\", \"b\"\nname = 1\n[t]\n", &format!("f:1:14: {list}"));
        check("q = [\n  \"a\",\n  \"b\" # the last\n\n# else\n[t]\na = 1\n", &format!("f:3:17: {list}"));
        check("q = [\"a\" \"b\"]\n", "f:1:10: this is no TOML: missing comma");
        check("k = { a = 1\nb = 2\n", "f:1:12: this is no TOML: behind this a comma or, at the end of the table, `}`");
        check("[t\nname = 1\n", "f:1:3: this is no TOML: unclosed table, expected `]`");
        check("[t]\na = 1\nb = 1\n[t]\na = 1\nb = 1", "f:4:2: `t` is written twice; allowed: once");
    }

    #[test]
    fn a_misspelled_key_is_told_once() {
        let page = Page::new("f", "naem = 1\n[queues]");
        let mut root = page.root();
        root.require("name", "a name");
        root.require("line", "a table");
        root.section("queue");
        assert!(root.misspells("queue") && !root.misspells("line"));
        root.finish();
        let told: Vec<String> = page.into_problems().iter().map(Problem::to_string).collect();
        assert_eq!(
            told,
            [
                "f:1:1: `naem` is not known here; allowed: line, name, queue; did you mean \"name\"?",
                "f:1:1: the file lacks `line`: a table",
                "f:2:2: `queues` is not known here; allowed: line, name, queue; did you mean \"queue\"?",
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
