//! Which step leads to which: every step that is named must exist, no circle may trap a caller, and a step that
//! nothing leads to is worth a warning.

use super::{A_STEP, Reader, name};
use crate::ivr::flow::{Step, WAITING};
use crate::written::{Place, Problem, Said, Section, Value, did_you_mean};
use std::collections::{BTreeMap, BTreeSet};

/// One step may lead to another.
#[derive(Clone, Debug)]
pub(super) struct Way {
    from: String,
    to: String,
    /// Where it is written.
    place: Place,
    /// Whether it is only taken after the caller pressed a key or has waited in a queue.
    earned: bool,
}

impl<'p> Reader<'p> {
    /// The step that `key` names.
    pub(super) fn way(&mut self, section: &mut Section<'p>, key: &'static str, earned: bool) -> Option<String> {
        let value = section.require(key, A_STEP)?;
        self.way_to(&section.label, &value, earned)
    }

    pub(super) fn way_to(&mut self, from: &str, value: &Value<'p>, earned: bool) -> Option<String> {
        let to = name(value, A_STEP)?;
        self.ways.push(Way { from: from.into(), to: to.it.clone(), place: to.place, earned });
        Some(to.it)
    }

    /// Reports steps that are named and do not exist.
    pub(super) fn check_ways(&self, steps: &BTreeMap<String, Said<Step>>, start: Option<&Said<String>>) {
        let known: Vec<&str> = steps.keys().map(String::as_str).take(20).collect();
        let named = self.ways.iter().map(|way| (&way.to, &way.place));
        for (to, place) in named.chain(start.map(|start| (&start.it, &start.place))) {
            // Without any step, that is the mistake, and it has been told.
            if !steps.contains_key(to) && !steps.is_empty() && self.steps_known {
                let near = did_you_mean(to, steps.keys().map(String::as_str));
                self.page.report(place, format!("there is no step `{to}`; the steps are: {}{near}", known.join(", ")));
            }
        }
    }

    /// Reports circles in which a caller who presses nothing goes round for ever: a walk in depth that meets
    /// a step it is still under.
    pub(super) fn check_circles(&self) {
        let mut ways: BTreeMap<&str, Vec<&Way>> = BTreeMap::new();
        self.ways.iter().filter(|way| !way.earned).for_each(|way| ways.entry(&way.from).or_default().push(way));
        let out = |step: &str| ways.get(step).cloned().unwrap_or_default().into_iter();
        let (mut done, mut open) = (BTreeSet::new(), BTreeSet::new());
        for first in ways.keys() {
            let mut path = vec![(*first, out(first))];
            open.insert(*first);
            while let Some((step, rest)) = path.last_mut() {
                match rest.next() {
                    None => {
                        done.insert(*step);
                        open.remove(*step);
                        path.pop();
                    }
                    Some(way) if open.contains(way.to.as_str()) => {
                        let circle = path.iter().map(|(step, _)| *step).skip_while(|step| *step != way.to);
                        self.report_circle(way, &circle.collect::<Vec<_>>());
                    }
                    Some(way) if done.contains(way.to.as_str()) => {}
                    Some(way) => {
                        open.insert(&way.to);
                        path.push((&way.to, out(&way.to)));
                    }
                }
            }
        }
    }

    fn report_circle(&self, closed_by: &Way, steps: &[&str]) {
        let message = format!(
            "a caller who presses no key would go round for ever: {} → {}; let one of these lead to a step outside",
            steps.join(" → "),
            steps[0]
        );
        self.page.report(&closed_by.place, message);
    }

    /// Warns of steps that nothing leads to, of callers who cannot get out, and of questions without a way to a person.
    pub(super) fn check_care(&mut self, steps: &BTreeMap<String, Said<Step>>, start: &str, person: Option<&str>) {
        let reached = reachable(steps, start, person, true);
        let lost = steps.iter().filter(|(name, _)| !reached.contains(name.as_str()));
        let lost = lost.map(|(name, step)| (step, format!("nothing leads to the step `{name}`")));
        // Who waits in a queue is let out of its treatment by the agent, or by the queue.
        let walked = reachable(steps, start, person, false);
        let ends = |step: &Step| matches!(step, Step::Queue(_) | Step::HangUp(_) | Step::Flow(_));
        let staffed = |step: &Step| matches!(step, Step::Queue(_) | Step::Flow(_));
        let asks = |step: &Step| matches!(step, Step::Menu(_) | Step::Collect(_));
        let leads = |name: &str, to: &dyn Fn(&Step) -> bool| {
            reachable(steps, name, person, false).iter().any(|name| steps.get(*name).is_some_and(|step| to(&step.it)))
        };
        let walked = steps.iter().filter(|(name, _)| walked.contains(name.as_str()));
        let has_people = steps.values().any(|step| staffed(&step.it));
        let trapped = walked.filter_map(|(name, step)| match &step.it {
            step_is if !asks(step_is) => None,
            _ if !leads(name, &ends) => {
                Some((step, format!("no way leads out of `{name}`: a caller could be trapped here")))
            }
            _ if has_people && !leads(name, &staffed) => {
                Some((step, format!("no way leads from `{name}` to a person, neither by a key nor by `otherwise`")))
            }
            _ => None,
        });
        let told: Vec<(&Said<Step>, String)> = lost.chain(trapped).collect();
        let told: Vec<Problem> = told.into_iter().map(|(step, why)| self.page.problem(&step.place, why)).collect();
        self.warnings.extend(told);
    }
}

/// The steps that `start` leads to, itself included; `waiting`: also those of treatments.
fn reachable<'s>(
    steps: &'s BTreeMap<String, Said<Step>>,
    start: &'s str,
    person: Option<&'s str>,
    waiting: bool,
) -> BTreeSet<&'s str> {
    let (mut reached, mut todo) = (BTreeSet::from([start]), vec![start]);
    while let Some(step) = todo.pop().and_then(|name| steps.get(name)) {
        let asks = matches!(step.it, Step::Menu(_) | Step::Collect(_) | Step::Music(_));
        let ways = step.it.ways().into_iter().filter(|(label, _)| waiting || *label != WAITING).map(|(_, to)| to);
        todo.extend(ways.chain(person.filter(|_| asks)).filter(|to| reached.insert(to)));
    }
    reached
}
