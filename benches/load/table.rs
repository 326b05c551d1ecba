//! The one table, as people read it in a terminal and in the README.

use std::fmt;

/// A measured row; cells as they are printed, empty where there is nothing to say.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub work: String,
    pub ours: String,
    pub bare: String,
    pub ratio: String,
    pub aim: &'static str,
    /// None: nothing was aimed at.
    pub met: Option<bool>,
    /// The strongest open peer, measured on this kind of machine.
    pub peer: &'static str,
}

impl Row {
    fn cells(&self) -> [&str; 7] {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "–",
        };
        let cells = [&self.work, &self.ours, &self.bare, &self.ratio, self.aim, met, self.peer];
        cells.map(|cell| if cell.is_empty() { "–" } else { cell })
    }
}

/// Rows under their head, in Markdown.
pub struct Table(pub Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["work", "ours", "bare kernel loop", "ratio", "aim", "met", "strongest open peer"];
        let rows: Vec<[&str; 7]> = std::iter::once(head).chain(self.0.iter().map(Row::cells)).collect();
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for (line, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if line == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{:-<1$}", "", width + 2))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// Median, 99th percentile and maximum of microseconds. Zeros if there are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub count: usize,
}

impl Spread {
    pub fn of(microseconds: &mut [u32]) -> Spread {
        microseconds.sort_unstable();
        let count = microseconds.len();
        let at = |part: f64| microseconds.get((count as f64 * part) as usize).or(microseconds.last()).copied();
        let ms = |part| f64::from(at(part).unwrap_or(0)) / 1000.0;
        Spread { p50: ms(0.5), p99: ms(0.99), max: ms(1.0), count }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} · p99 {:.2} · max {:.1} ms", self.p50, self.p99, self.max)
    }
}
