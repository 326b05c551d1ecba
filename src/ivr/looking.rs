//! Look-ups in the ticketing system: asked, waited for, asked again.
//!
//! Two questions are [`PAUSE`] apart at least, and each time twice as long up to `timeout`: a system that starts anew refuses
//! for some seconds, in no time. So all tries together last as long as `timeout` times their number at most.

use super::flow::{LookupStep, Step};
use super::{Cause, Found, Output, Phase, Run, Scene, Way};
use crate::expr::{Type, Value};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between the first question and the second.
const PAUSE: Duration = Duration::from_millis(500);

/// A question to the ticketing system that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looking {
    pub(super) id: u64,
    pub(super) until: Instant,
    /// It has failed, and is asked again then.
    #[serde(default)]
    pub(super) rests: bool,
    /// How often it has been asked again.
    again: u32,
    /// The token of what is heard meanwhile; 0 if nothing is.
    pub(super) plays: u64,
}

impl Run {
    pub(super) fn look_up(&mut self, now: Instant, scene: &Scene<'_>, step: &LookupStep) {
        let prompts = self.sounds(scene, &[&step.meanwhile]);
        if prompts.is_empty() {
            self.silence();
            return self.ask(now, scene, step, (0, 0));
        }
        self.last_token += 1;
        let token = self.last_token;
        self.outputs.push_back(Output::Play { prompts, token, interruptible: false });
        self.ask(now, scene, step, (0, token));
    }

    fn ask(&mut self, now: Instant, scene: &Scene<'_>, step: &LookupStep, (again, plays): (u32, u64)) {
        self.last_token += 1; // also tells apart what is asked from what plays
        let id = self.last_token;
        self.phase = Phase::Looking(Looking { id, until: now + step.timeout, rests: false, again, plays });
        let value = |of: &crate::expr::Expr| of.value(&|name| self.value_of(scene, name)).to_string();
        let with = step.with.iter().map(|(name, of)| (name.clone(), value(of))).collect();
        self.outputs.push_back(Output::LookUp { id, query: step.query.clone(), with, timeout: step.timeout });
    }

    /// No answer has come in time, or the pause is over.
    pub(super) fn look_up_again(&mut self, now: Instant, scene: &Scene<'_>, looking: &Looking) {
        match self.here(scene) {
            Some(Step::Lookup(step)) if looking.rests => self.ask(now, scene, step, (looking.again + 1, looking.plays)),
            Some(Step::Lookup(_)) => self.looked_up(now, scene, Found::Failed),
            _ => self.hang_up(Cause::StepGone),
        }
    }

    /// The answer has come, or none did.
    pub(super) fn looked_up(&mut self, now: Instant, scene: &Scene<'_>, found: Found) {
        let Phase::Looking(looking) = self.phase.clone() else { return };
        let Some(Step::Lookup(step)) = self.here(scene) else { return self.hang_up(Cause::StepGone) };
        let (way, next) = match found {
            Found::Failed if looking.again < step.retries => {
                let pause = PAUSE.saturating_mul(1 << looking.again.min(16)).min(step.timeout);
                // Since it was asked, which was `timeout` before the end.
                let until = looking.until.before(step.timeout) + pause;
                let rests = Looking { until, rests: true, ..looking };
                return match until <= now {
                    true => self.look_up_again(now, scene, &rests),
                    false => self.phase = Phase::Looking(rests),
                };
            }
            Found::Failed | Found::Refused => (Way::Failed, &step.failed),
            Found::Nothing => (Way::NotFound, &step.not_found),
            Found::Fields(fields) => {
                for (field, kind) in &step.fields {
                    let value = fields.get(field).map_or(kind.empty(), |text| read(text, *kind));
                    self.keep(format!("{}.{field}", step.into), value);
                }
                (Way::Found, &step.found)
            }
        };
        self.went(way);
        self.stop_playing();
        self.enter(now, scene, next.clone());
    }
}

/// A field's text as what the flow says it is; the empty value for what is something else.
fn read(text: &str, kind: Type) -> Value {
    match kind {
        Type::Text => Value::Text(text.to_owned()),
        Type::Number => text.trim().parse().map_or(kind.empty(), Value::Number),
        Type::Flag => Value::Flag(matches!(text.trim(), "true" | "yes" | "1")),
        Type::Time => kind.empty(),
    }
}
