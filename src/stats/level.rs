//! Service level: six formulas that all have this name. They differ in what becomes of callers who left.

/// What the formulas are made of, for one target time T.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// A.
    pub answered: u64,
    /// A_T: answered within T.
    pub answered_within: u64,
    /// B.
    pub abandoned: u64,
    /// B_T: abandoned within T.
    pub abandoned_within: u64,
    /// B_s: sooner than the queue's `short_abandon`.
    pub abandoned_short: u64,
}

/// How the share is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formula {
    /// Who left does not count.
    AnsweredOnly,
    /// Who left counts against us.
    AbandonedAgainst,
    /// Who left within T counts as served.
    EarlyAsServed,
    /// Who left within T does not count.
    EarlyIgnored,
    /// Short abandons count as served.
    ShortAsServed,
    /// Short abandons do not count: the usual one.
    ShortIgnored,
}

impl Formula {
    pub const ALL: [Formula; 6] = [
        Formula::AnsweredOnly,
        Formula::AbandonedAgainst,
        Formula::EarlyAsServed,
        Formula::EarlyIgnored,
        Formula::ShortAsServed,
        Formula::ShortIgnored,
    ];

    /// As it is written in labels and asked for.
    pub fn name(self) -> &'static str {
        match self {
            Formula::AnsweredOnly => "A_T/A",
            Formula::AbandonedAgainst => "A_T/(A+B)",
            Formula::EarlyAsServed => "(A_T+B_T)/(A+B)",
            Formula::EarlyIgnored => "A_T/(A+B-B_T)",
            Formula::ShortAsServed => "(A_T+B_s)/(A+B)",
            Formula::ShortIgnored => "A_T/(A+B-B_s)",
        }
    }

    /// The share from 0 to 1; none before the first wait that counts.
    pub fn of(self, waits: &Waits) -> Option<f64> {
        let Waits { answered: a, answered_within: a_t, abandoned: b, abandoned_within: b_t, abandoned_short: b_s } =
            *waits;
        let (part, whole) = match self {
            Formula::AnsweredOnly => (a_t, a),
            Formula::AbandonedAgainst => (a_t, a + b),
            Formula::EarlyAsServed => (a_t + b_t, a + b),
            Formula::EarlyIgnored => (a_t, a + b - b_t),
            Formula::ShortAsServed => (a_t + b_s, a + b),
            Formula::ShortIgnored => (a_t, a + b - b_s),
        };
        (whole > 0).then(|| part as f64 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_of_one_day_differ() {
        let waits =
            Waits { answered: 90, answered_within: 72, abandoned: 30, abandoned_within: 20, abandoned_short: 10 };
        let rows = [
            ("A_T/A", 72.0 / 90.0),
            ("A_T/(A+B)", 72.0 / 120.0),
            ("(A_T+B_T)/(A+B)", 92.0 / 120.0),
            ("A_T/(A+B-B_T)", 72.0 / 100.0),
            ("(A_T+B_s)/(A+B)", 82.0 / 120.0),
            ("A_T/(A+B-B_s)", 72.0 / 110.0),
        ];
        for (formula, (name, expect)) in Formula::ALL.into_iter().zip(rows) {
            assert_eq!((formula.name(), formula.of(&waits)), (name, Some(expect)));
            assert_eq!(formula.of(&Waits::default()), None, "{name}: nobody came");
        }
    }
}
