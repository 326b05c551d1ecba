//! The service level: six formulas go by that name, so each number is told with its own.

use serde::{Deserialize, Serialize};

/// A formula. T is the threshold; A were answered, A_T of them within T; B gave up, B_T within T, B_s at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Formula {
    Answered,
    Offered,
    OfferedInTime,
    Patient,
    ShortServed,
    #[default]
    WithoutShort,
}

/// What a formula is computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub answered: u64,
    pub answered_in_time: u64,
    pub abandoned: u64,
    pub abandoned_in_time: u64,
    pub abandoned_short: u64,
}

impl Formula {
    pub const ALL: [Formula; 6] = [
        Formula::WithoutShort,
        Formula::Answered,
        Formula::Offered,
        Formula::OfferedInTime,
        Formula::Patient,
        Formula::ShortServed,
    ];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Formula::Answered => "answered",
            Formula::Offered => "offered",
            Formula::OfferedInTime => "offered-in-time",
            Formula::Patient => "patient",
            Formula::ShortServed => "short-served",
            Formula::WithoutShort => "without-short",
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Formula::Answered => "A_T/A",
            Formula::Offered => "A_T/(A+B)",
            Formula::OfferedInTime => "(A_T+B_T)/(A+B)",
            Formula::Patient => "A_T/(A+B-B_T)",
            Formula::ShortServed => "(A_T+B_s)/(A+B)",
            Formula::WithoutShort => "A_T/(A+B-B_s)",
        }
    }

    /// By its name or its text.
    pub fn named(name: &str) -> Option<Formula> {
        Formula::ALL.into_iter().find(|formula| [formula.name(), formula.text()].contains(&name))
    }

    /// The share; `None` if nothing counts.
    pub fn of(self, counts: Counts) -> Option<f64> {
        let Counts { answered: a, answered_in_time: a_t, abandoned: b, abandoned_in_time: b_t, abandoned_short: b_s } =
            counts;
        let (part, whole) = match self {
            Formula::Answered => (a_t, a),
            Formula::Offered => (a_t, a + b),
            Formula::OfferedInTime => (a_t + b_t, a + b),
            Formula::Patient => (a_t, a + b - b_t),
            Formula::ShortServed => (a_t + b_s, a + b),
            Formula::WithoutShort => (a_t, a + b - b_s),
        };
        (whole > 0).then(|| part as f64 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_same_calls_each_formula_says_something_else() {
        let counts = Counts {
            answered: 1_000,
            answered_in_time: 860,
            abandoned: 60,
            abandoned_in_time: 40,
            abandoned_short: 25,
        };
        let rows = [
            (Formula::Answered, 860.0 / 1_000.0),
            (Formula::Offered, 860.0 / 1_060.0),
            (Formula::OfferedInTime, 900.0 / 1_060.0),
            (Formula::Patient, 860.0 / 1_020.0),
            (Formula::ShortServed, 885.0 / 1_060.0),
            (Formula::WithoutShort, 860.0 / 1_035.0),
        ];
        assert_eq!(rows.len(), Formula::ALL.len());
        for (formula, share) in rows {
            assert_eq!(formula.of(counts), Some(share), "{}", formula.text());
            assert_eq!(formula.of(Counts::default()), None);
            assert_eq!([Formula::named(formula.name()), Formula::named(formula.text())], [Some(formula); 2]);
        }
        assert_eq!(Formula::default().text(), "A_T/(A+B-B_s)");
    }
}
