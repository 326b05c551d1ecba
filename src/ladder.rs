//! Draws a call-flow ladder in plain text: the drawing that telephony people read.
//!
//! ```text
//!          Caller            Tierline
//!            │                   │
//!   0.000    │───── INVITE ─────▶│
//!            │                   │ waits in `support`
//!   2.500    │◀────── 200 ───────│
//! ```
//!
//! One lifeline (`│`) for each party, an arrow for each message, notes to the right of a lifeline. Columns are
//! as wide as their texts need; the same rows give the same bytes. Knows nothing of calls or SIP.

use std::fmt;
use std::time::Duration;

/// Texts longer than this go on in the next line, so that one long explanation does not widen the whole drawing.
const WRAP: usize = 44;
/// Cells between the drawing's time and what stands next to it.
const MARGIN: usize = 2;
/// What an arrow needs beside its text: `── ` on one side, ` ─▶` on the other, and the step onto the next lifeline.
const ARROW: usize = 7;

/// A drawing in the making. Rows appear in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    time: Duration,
    from: usize,
    /// The same as `from` for a note.
    to: usize,
    /// At least one line.
    text: Vec<String>,
}

impl Ladder {
    /// An empty drawing; `columns` are the parties from left to right.
    pub fn new<S: AsRef<str>>(columns: &[S]) -> Ladder {
        Ladder { columns: columns.iter().map(|name| clean(name.as_ref())).collect(), rows: Vec::new() }
    }

    /// The column called `name`; added at the right if there is none yet.
    pub fn column(&mut self, name: &str) -> usize {
        let name = clean(name);
        self.columns.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.columns.push(name);
            self.columns.len() - 1
        })
    }

    /// A message; `time` is printed in seconds. From a column to itself it is drawn as a note.
    pub fn arrow(&mut self, time: Duration, from: usize, to: usize, text: &str) {
        assert!(from.max(to) < self.columns.len(), "a ladder's arrow joins columns that exist");
        self.rows.push(Row { time, from, to, text: wrap(&clean(text)) });
    }

    /// A remark beside the lifeline of column `at`.
    pub fn note(&mut self, time: Duration, at: usize, text: &str) {
        self.arrow(time, at, at, text);
    }

    /// The distance from each lifeline to the next one.
    fn gaps(&self) -> Vec<usize> {
        let mut gaps: Vec<usize> =
            self.columns.windows(2).map(|pair| width(&pair[0]).div_ceil(2) + width(&pair[1]).div_ceil(2) + 2).collect();
        for row in &self.rows {
            let (left, right) = (row.from.min(row.to), row.from.max(row.to));
            // The first line stands in an arrow, or is a note; all others are notes.
            let note = row.text.iter().map(|line| width(line) + 3).max().unwrap_or(0);
            if let Some(gap) = gaps.get_mut(left).filter(|_| left == right || row.text.len() > 1) {
                *gap = note.max(*gap);
            }
            if left < right {
                let have: usize = gaps[left..right].iter().sum();
                gaps[right - 1] += (width(&row.text[0]) + ARROW).saturating_sub(have);
            }
        }
        gaps
    }
}

impl fmt::Display for Ladder {
    /// The drawing; every line ends with a newline and none with a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times: Vec<String> = self.rows.iter().map(|row| format!("{:.3}", row.time.as_secs_f64())).collect();
        let time_width = times.iter().map(|t| t.len()).max().unwrap_or(0).max(7);
        let mut at = time_width + MARGIN + self.columns.first().map_or(0, |name| width(name) / 2);
        let mut lifelines = vec![at];
        for gap in self.gaps() {
            at += gap;
            lifelines.push(at);
        }
        lifelines.truncate(self.columns.len());
        writeln!(f, "{}", head(&self.columns, &lifelines).trim_end())?;
        writeln!(f, "{}", line(&lifelines, "").trim_end())?;
        let mut before = None;
        for (row, time) in self.rows.iter().zip(&times) {
            let shown = if before == Some(time) { String::new() } else { format!("{time:>time_width$}") };
            before = Some(time);
            row.draw(f, &lifelines, &shown)?;
        }
        Ok(())
    }
}

impl Row {
    fn draw(&self, f: &mut fmt::Formatter<'_>, lifelines: &[usize], time: &str) -> fmt::Result {
        let mut notes = self.text.iter();
        let mut canvas: Vec<char> = line(lifelines, time).chars().collect();
        if self.from != self.to
            && let Some(text) = notes.next()
        {
            self.shaft(&mut canvas, lifelines, text);
            writeln!(f, "{}", canvas.iter().collect::<String>().trim_end())?;
            canvas = line(lifelines, "").chars().collect();
        }
        for text in notes {
            put(&mut canvas, lifelines[self.from.min(self.to)] + 2, text);
            writeln!(f, "{}", canvas.iter().collect::<String>().trim_end())?;
            canvas = line(lifelines, "").chars().collect();
        }
        Ok(())
    }

    /// The arrow itself with its text in the middle.
    fn shaft(&self, canvas: &mut [char], lifelines: &[usize], text: &str) {
        let (left, right) = (lifelines[self.from.min(self.to)], lifelines[self.from.max(self.to)]);
        for cell in &mut canvas[left + 1..right] {
            *cell = if *cell == '│' { '┼' } else { '─' };
        }
        if self.from < self.to {
            canvas[right - 1] = '▶';
        } else {
            canvas[left + 1] = '◀';
        }
        let text: Vec<char> = if text.is_empty() { Vec::new() } else { format!(" {text} ").chars().collect() };
        let start = left + 1 + (right - left - 1 - text.len()) / 2;
        canvas[start..start + text.len()].copy_from_slice(&text);
    }
}

/// The names, each in the middle of its lifeline.
fn head(columns: &[String], lifelines: &[usize]) -> String {
    let mut canvas = Vec::new();
    for (name, at) in columns.iter().zip(lifelines) {
        put(&mut canvas, at - width(name) / 2, name);
    }
    canvas.into_iter().collect()
}

/// A line with the time and all lifelines.
fn line(lifelines: &[usize], time: &str) -> String {
    let mut canvas: Vec<char> = time.chars().collect();
    for at in lifelines {
        put(&mut canvas, *at, "│");
    }
    canvas.into_iter().collect()
}

/// Writes `text` from cell `at` on, over what is there.
fn put(canvas: &mut Vec<char>, at: usize, text: &str) {
    let end = at + width(text);
    canvas.resize(canvas.len().max(end), ' ');
    canvas[at..end].iter_mut().zip(text.chars()).for_each(|(cell, c)| *cell = c);
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Texts may come from outside: what would move the cursor becomes a dot.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Cuts `text` at spaces into lines of at most [`WRAP`] characters; a longer word is cut anywhere.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest: &str = word;
        let line = lines.last().map_or(0, |line| width(line));
        if line > 0 && line + 1 + width(rest) > WRAP {
            lines.push(String::new());
        }
        while let Some((cut, _)) = rest.char_indices().nth(WRAP) {
            lines.push(rest[..cut].to_string());
            rest = &rest[cut..];
            lines.push(String::new());
        }
        let last = lines.last_mut().expect("there is always a line");
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(rest);
    }
    lines.retain(|line| !line.is_empty());
    if lines.is_empty() { vec![String::new()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are (milliseconds, from, to, text); a note has the same column twice.
    fn check(columns: &[&str], rows: &[(u64, usize, usize, &str)], expect: &str) {
        let mut ladder = Ladder::new(columns);
        for (ms, from, to, text) in rows {
            ladder.arrow(Duration::from_millis(*ms), *from, *to, text);
        }
        assert_eq!(ladder.to_string(), expect.strip_prefix('\n').unwrap_or(expect), "\n{ladder}");
    }

    #[test]
    fn arrows_notes_and_times_line_up() {
        check(
            &["Caller", "Tierline"],
            &[
                (0, 0, 1, "INVITE"),
                (0, 1, 1, "waits in `support`, which is the last column"),
                (2500, 1, 0, "200"),
                (3_723_000, 0, 0, "hears"),
            ],
            "
          Caller      Tierline
             │            │
   0.000     │── INVITE ─▶│
             │            │ waits in `support`, which is the last column
   2.500     │◀── 200 ────│
3723.000     │ hears      │
",
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_texts() {
        check(
            &["A", "B", "C"],
            &[
                (1, 0, 1, ""),
                (2, 0, 2, "over the lifeline of another party"),
                (3, 2, 0, "x"),
                (4, 1, 1, "a note between B and C"),
            ],
            "
         A      B                                 C
         │      │                                 │
  0.001  │─────▶│                                 │
  0.002  │── over the lifeline of another party ─▶│
  0.003  │◀─────┼─────────── x ───────────────────│
  0.004  │      │ a note between B and C          │
",
        );
    }

    #[test]
    fn long_texts_go_on_below() {
        check(
            &["Caller", "Agent"],
            &[
                (0, 0, 1, "one two three four five six seven eight nine ten eleven twelve"),
                (10, 0, 0, "AbsolutelyUnbreakableWordThatIsLongerThanOneLineOfADrawingMayBe end"),
            ],
            "
         Caller                                              Agent
            │                                                  │
  0.000     │── one two three four five six seven eight nine ─▶│
            │ ten eleven twelve                                │
  0.010     │ AbsolutelyUnbreakableWordThatIsLongerThanOne     │
            │ LineOfADrawingMayBe end                          │
",
        );
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        check(
            &["A\u{1b}[2J"],
            &[(0, 0, 0, "line\nbreak\ttab")],
            "
         A·[2J
           │
  0.000    │ line·break·tab
",
        );
        assert_eq!(Ladder::default().to_string(), "\n\n");
    }

    #[test]
    fn a_column_is_found_again_by_name() {
        let mut ladder = Ladder::new(&["Caller"]);
        assert_eq!((ladder.column("Agent 7"), ladder.column("Caller"), ladder.column("Agent 7")), (1, 0, 1));
    }
}
