//! What the router goes by, as written: how queues choose, ring, relax, age and give up; what agents' profiles say;
//! reasons for being not ready. Also what is allowed but hardly meant.

use super::trunk::{PREFIXES, prefix};
use super::values::list;
use crate::center::{Ageing, Membership, NotReadyReason, Queue, Relaxation, RingPlan, Selection, WrapUp};
use crate::ids::SkillId;
use crate::ivr::load::skills;
use crate::written::{A_NAME, Place, Problem, Section, Value, is_name};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Steps of one queue's ageing or relaxation.
const MAX_STEPS: usize = 20;

/// Reads the rules of a queue into `queue`; returns what is hardly meant, and where each step of `relax` is.
pub fn rules(table: &mut Section<'_>, queue: &mut Queue, place: &Place) -> (Vec<Problem>, Vec<Place>) {
    queue.selection = one_of(table, "selection", &Selection::NAMES).unwrap_or(queue.selection);
    queue.ring = ring(table);
    queue.wrap_up = wrap_up(table);
    queue.max_expected_wait = table.take("max_expected_wait").and_then(|v| v.duration(SECOND..=DAY));
    queue.no_staff_after = table.take("no_staff_after").and_then(|v| v.duration(Duration::ZERO..=DAY));
    queue.strict = table.take("strict").and_then(|v| v.flag()).unwrap_or(false);
    queue.preferred_for = table.duration("preferred_for", Duration::ZERO..=HOUR, queue.preferred_for);
    queue.transfers = list(table.take("transfers"), PREFIXES, |value| prefix(value, PREFIXES));
    let ageing = steps(table, "ageing", "a list such as [{ after = \"5m\", points = 2 }]", |step| {
        let points = step.require("points", "points from -1000 to 1000").and_then(|v| v.whole(-1000..=1000));
        points.map(|points| points as i32)
    });
    let example =
        "a list such as [{ after = \"30s\", lower = { network = 3 } }, { after = \"1m\", remove = [\"french\"] }]";
    let relax = steps(table, "relax", example, relaxation);
    queue.ageing = ageing.iter().map(|(_, after, points)| Ageing { after: *after, points: *points }).collect();
    let mut hardly = hardly_meant(table, queue, place);
    for (at, after, _) in &relax {
        // The good agent's phone has not rung to its end when others may be rung.
        if *after < queue.ring_timeout {
            let message =
                format!("relaxed before one phone has rung to its end (`ring_timeout`, {:?})", queue.ring_timeout);
            hardly.push(table.page.problem(at, message));
        }
    }
    let late = ageing.iter().map(|(at, after, _)| (at, after)).chain(relax.iter().map(|(at, after, _)| (at, after)));
    for (at, _) in late.filter(|(_, after)| **after >= queue.max_wait) {
        let message = format!("nobody waits so long: the longest wait (`max_wait`) is {:?}", queue.max_wait);
        hardly.push(table.page.problem(at, message));
    }
    let places = relax.iter().map(|(at, ..)| at.clone()).collect();
    queue.relax = relax.into_iter().map(|(_, after, step)| Relaxation { after, ..step }).collect();
    (hardly, places)
}

fn hardly_meant(table: &Section<'_>, queue: &Queue, place: &Place) -> Vec<Problem> {
    let mut told = Vec::new();
    if queue.ring_timeout >= queue.max_wait {
        told.push("one phone rings (`ring_timeout`) as long as the longest wait (`max_wait`) allows");
    }
    if queue.preferred_for >= queue.max_wait {
        told.push(
            "the preferred agent is waited for (`preferred_for`) as long as the longest wait (`max_wait`) allows",
        );
    }
    if matches!(queue.ring, RingPlan::Progressive { every, .. } if every >= queue.ring_timeout) {
        told.push("the first phone has stopped ringing (`ring_timeout`) when the second begins (`ring_every`)");
    }
    told.into_iter().map(|told| table.page.problem(place, told.to_owned())).collect()
}

fn one_of<T: Copy>(table: &mut Section<'_>, key: &'static str, known: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let name = table.take(key)?.one_of(&names.join(", "), names.iter().copied())?;
    known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn ring(table: &mut Section<'_>) -> RingPlan {
    let most = table.whole("ring_most", 2..=100, 2) as u32;
    let every = table.duration("ring_every", SECOND..=60 * SECOND, 5 * SECOND);
    let plans = [
        ("one", RingPlan::One),
        ("several", RingPlan::Several(most)),
        ("all", RingPlan::All),
        ("progressive", RingPlan::Progressive { every, most }),
    ];
    one_of(table, "ring", &plans).unwrap_or(RingPlan::One)
}

fn wrap_up(table: &mut Section<'_>) -> WrapUp {
    let time = table.duration("wrap_up", Duration::ZERO..=HOUR, 10 * SECOND);
    let modes = [
        ("none", WrapUp::None),
        ("optional", WrapUp::Optional(time)),
        ("mandatory", WrapUp::Mandatory),
        ("limited", WrapUp::Limited(time)),
        ("on_request", WrapUp::OnRequest(time)),
    ];
    one_of(table, "wrap_up_mode", &modes).unwrap_or(WrapUp::Optional(time))
}

/// Steps with `after`, rising, each with its place.
fn steps<'p, T>(
    table: &mut Section<'p>,
    key: &'static str,
    allowed: &str,
    mut read: impl FnMut(&mut Section<'p>) -> Option<T>,
) -> Vec<(Place, Duration, T)> {
    let (written, mut steps): (_, Vec<(Place, Duration, T)>) = (table.take(key), Vec::new());
    for value in written.map(|value| value.list(allowed)).unwrap_or_default() {
        let (page, place) = (value.page, value.place.clone());
        let Some(mut step) = value.section() else { continue };
        let after = step.require("after", "a time such as \"30s\"").and_then(|v| v.duration(SECOND..=DAY));
        let what = read(&mut step);
        step.finish();
        let (Some(after), Some(what)) = (after, what) else { continue };
        match steps.last() {
            Some((_, before, _)) if *before >= after => {
                page.report(
                    &place,
                    format!("this step of `{key}` comes no later than the one before; allowed: rising times"),
                );
            }
            _ if steps.len() >= MAX_STEPS => {
                page.report(&place, format!("`{key}` has too many steps; allowed: up to {MAX_STEPS}"));
                return steps;
            }
            _ => steps.push((place, after, what)),
        }
    }
    steps
}

fn relaxation(step: &mut Section<'_>) -> Option<Relaxation> {
    let if_expected_wait = step.take("if_expected_wait").and_then(|v| v.duration(SECOND..=DAY));
    let skill = |v: &Value<'_>| v.parsed(A_NAME, |s| is_name(s).then(|| SkillId::new(s)));
    let remove = list(step.take("remove"), "a list of skills such as [\"french\"]", skill);
    let lower = step.take("lower").map(skills).unwrap_or_default();
    if remove.is_empty() && lower.is_empty() {
        step.page.report(&step.place, "this step relaxes nothing; allowed: remove, lower, or both".to_owned());
        return None;
    }
    Some(Relaxation { after: Duration::ZERO, if_expected_wait, remove, lower })
}

/// How an agent serves the queue: the name alone, or a table that says how. Returns the value that names it.
pub fn membership<'p>(value: &Value<'p>) -> (Option<Value<'p>>, Membership) {
    if !value.is_table() {
        return (Some(value.clone()), Membership::default());
    }
    let Some(mut table) = value.clone().section() else { return (None, Membership::default()) };
    let queue = table.require("queue", "the name of a queue");
    let member = Membership {
        order: table.whole("order", 1..=10, 1) as u8,
        delay: table.duration("delay", Duration::ZERO..=HOUR, Duration::ZERO),
        weight: table.whole("weight", 1..=100, 1) as u8,
    };
    table.finish();
    (queue, member)
}

/// Reasons for being not ready, each with the place of its digit.
pub fn reasons(section: Section<'_>) -> BTreeMap<String, (NotReadyReason, Place)> {
    let mut reasons: BTreeMap<String, (NotReadyReason, Place)> = BTreeMap::new();
    for value in section.rest() {
        let (page, label, place) = (value.page, value.label.clone(), value.key_place.clone());
        if !is_name(&label) {
            page.report(&place, format!("a reason cannot be called `{label}`; allowed: {A_NAME}"));
        }
        let Some(mut table) = value.section() else { continue };
        let written = table.take("digit");
        let at = written.as_ref().map_or(place, |digit| digit.place.clone());
        let digit = written.and_then(|v| v.whole(0..=9)).and_then(|n| char::from_digit(n as u32, 10));
        let productive = table.take("productive").and_then(|v| v.flag()).unwrap_or(false);
        table.finish();
        reasons.insert(label, (NotReadyReason { digit, productive }, at));
    }
    reasons
}
