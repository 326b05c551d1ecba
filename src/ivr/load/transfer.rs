//! The step that lets a caller talk with an outside party.

use super::Reader;
use crate::ivr::flow::TransferStep;
use crate::written::{Section, Value};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

impl<'p> Reader<'p> {
    pub(super) fn transfer(&mut self, section: &mut Section<'p>) -> Option<TransferStep> {
        let number = section.take("transfer").and_then(|value| self.outside_number(&value));
        let ring = section.duration("ring", 5 * SECOND..=300 * SECOND, 30 * SECOND);
        let busy = if section.has("busy") { self.way(section, "busy", false) } else { None };
        let failed = self.way(section, "failed", false)?;
        Some(TransferStep { number: number?, ring, busy: busy.unwrap_or_else(|| failed.clone()), failed })
    }

    /// A number that can be called: what no trunk allows is a mistake, or fraud.
    fn outside_number(&self, value: &Value<'p>) -> Option<String> {
        let number = value.parsed("a number such as \"+4930123456\", or a short one such as \"112\"", |s| {
            let digits = s.strip_prefix('+').unwrap_or(s);
            ((2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())).then(|| s.to_owned())
        })?;
        if self.around.center_known && !self.around.trunks.values().any(|trunk| trunk.allows(&number)) {
            let message =
                format!("no trunk may call {number}; `allowed` of a [trunk] in the configuration says what may");
            self.page.report(&value.place, message);
        }
        Some(number)
    }
}
