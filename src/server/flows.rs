//! `tierline flow`: pictures of a center's flows, and walks through them without a call.

use super::clock::wall as clock_shows;
use super::wrong::{OrWrong, Wrong, loaded};
use crate::center::Center;
use crate::config::Loaded;
use crate::expr::Type;
use crate::ids::{FlowId, LineId};
pub use crate::ivr::Found;
use crate::ivr::rehearsal::{World, rehearse};
use crate::ivr::{Facts, Flow, Step, drawing};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What is told to try a flow with.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    pub keys: String,
    pub line: Option<String>,
    pub caller: String,
    pub language: Option<String>,
    /// Wall time; none: now.
    pub at: Option<String>,
    pub found: Option<Found>,
    pub banners: Vec<String>,
}

/// What look-ups find, as the command line says it: `state=open,tier=2` or `nothing`.
///
/// # Errors
/// It is neither.
pub fn found_fields(text: &str) -> Result<Found, String> {
    if text == "nothing" {
        return Ok(Found::Nothing);
    }
    let fields = text.split(',').map(|field| field.split_once('=')).collect::<Option<Vec<_>>>();
    let fields = fields.ok_or("allowed: fields such as state=open,tier=2, or nothing")?;
    Ok(Found::Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
}

/// The flow as a tree, or for Mermaid.
///
/// # Errors
/// The configuration is wrong, or has no such flow.
pub fn draw(config: Option<&Path>, flow: &str, mermaid: bool) -> Result<String> {
    let loaded = loaded(config)?;
    let flow = found(&loaded, flow)?;
    Ok(if mermaid { drawing::mermaid(flow) } else { drawing::tree(flow) })
}

/// What a caller would hear, line by line.
///
/// # Errors
/// The configuration is wrong, or has no such flow, line, announcement or language; no look-up has such a field; the time
/// cannot be read.
pub fn try_out(config: Option<&Path>, flow: &str, trial: Trial) -> Result<String> {
    let loaded = loaded(config)?;
    let flow = found(&loaded, flow)?;
    let center = &loaded.center;
    let line = line(center, flow, trial.line.as_deref())?;
    let (language, zone) = line.map_or((&center.language, &center.time_zone), |line| (&line.language, &line.time_zone));
    let wall = trial.at.map_or_else(|| Ok(clock_shows()), |at| read_time(center, zone, &at)).or_wrong()?;
    if let Some(unknown) = trial.banners.iter().find(|name| !center.banners.contains_key(*name)) {
        let known = listed(center.banners.keys().map(String::as_str));
        return Err(Wrong(format!("there is no announcement `{unknown}`; allowed: {known}")).into());
    }
    let led = led_through(&loaded, flow);
    if let Some(unknown) = &trial.language {
        language_known(&led, language, unknown)?;
    }
    if let Some(Found::Fields(fields)) = &trial.found {
        fields_known(&led, fields)?;
    }
    let on = center.banners.iter().filter(|(_, banner)| banner.on).map(|(name, _)| name.clone());
    let facts = Facts {
        line: line.map(|line| line.id.clone()),
        caller: trial.caller,
        is_agent: false,
        language: trial.language.unwrap_or(language.clone()),
        time_zone: zone.clone(),
    };
    let banners: BTreeSet<String> = on.chain(trial.banners).collect();
    let flows = loaded.flows.iter().map(|(id, flow)| (id.clone(), Arc::new(flow.clone()))).collect();
    let world = World { wall, facts, keys: trial.keys, found: trial.found, banners, queue: None };
    let lines = rehearse(&flows, center, flow, world);
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// The flow and those that it leads to.
fn led_through<'l>(loaded: &'l Loaded, flow: &'l Flow) -> Vec<&'l Flow> {
    let mut led = vec![flow];
    let mut looked_at = 0;
    while let Some(flow) = led.get(looked_at).copied() {
        looked_at += 1;
        for step in flow.steps.values() {
            let Step::Flow(to) = step else { continue };
            led.extend(loaded.flows.get(to).filter(|to| led.iter().all(|known| known.id != to.id)));
        }
    }
    led
}

/// A language is one that something is said in, or the line's.
fn language_known(led: &[&Flow], of_line: &str, language: &str) -> Result<()> {
    let texts = led.iter().flat_map(|flow| &flow.texts).map(|text| text.language.as_str());
    let known: BTreeSet<&str> = texts.chain([of_line]).collect();
    if known.contains(language) {
        return Ok(());
    }
    let known = listed(known.into_iter());
    Err(Wrong(format!("nothing is said in the language `{language}`; allowed: {known}")).into())
}

/// Fields are those of some look-up, and numbers where it reads numbers: of others the flow would hear nothing.
fn fields_known(led: &[&Flow], given: &BTreeMap<String, String>) -> Result<()> {
    let steps = led.iter().flat_map(|flow| flow.steps.values());
    let lookups = steps.filter_map(|step| if let Step::Lookup(step) = step { Some(step) } else { None });
    let known: BTreeMap<&str, Type> =
        lookups.flat_map(|step| &step.fields).map(|(name, kind)| (name.as_str(), *kind)).collect();
    for (name, value) in given {
        let allowed = || match known.is_empty() {
            true => "nothing is looked up, or no field of it is read".to_owned(),
            false => listed(known.keys().copied()),
        };
        match known.get(name.as_str()) {
            None => return Err(Wrong(format!("no look-up has the field `{name}`; allowed: {}", allowed())).into()),
            Some(Type::Number) if value.trim().parse::<i64>().is_err() => {
                return Err(Wrong(format!("`{name}` is \"{value}\"; allowed: a whole number")).into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn found<'l>(loaded: &'l Loaded, name: &str) -> Result<&'l Flow> {
    let known = || listed(loaded.flows.keys().map(FlowId::as_str));
    let missing = || match loaded.unread.iter().any(|unread| unread == name) {
        true => format!(
            "no line and no flow leads to `{name}`, so it is not read; name it in the configuration, as \
                         `flow` of a [line.NAME]. Read are: {}",
            known()
        ),
        false => format!("there is no flow `{name}`; allowed: {}", known()),
    };
    loaded.flows.get(&FlowId::new(name)).with_context(missing).or_wrong()
}

/// The line that is named, or the first that leads to the flow.
fn line<'c>(center: &'c Center, flow: &Flow, name: Option<&str>) -> Result<Option<&'c crate::center::Line>> {
    let Some(name) = name else { return Ok(center.lines.values().find(|line| line.flow == flow.id)) };
    let known = || listed(center.lines.keys().map(LineId::as_str));
    let line = center.lines.get(&LineId::new(name));
    line.map(Some).with_context(|| format!("there is no line `{name}`; allowed: {}", known())).or_wrong()
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// `2026-12-24 10:30` as the clocks of the line show it.
fn read_time(center: &Center, zone: &str, text: &str) -> Result<crate::time::Wall> {
    let wrong = || format!("`{text}` is no time; allowed: such as \"2026-12-24 10:30\", in {zone}");
    let time: Option<jiff::civil::DateTime> = text.trim().replace(' ', "T").parse().ok();
    let utc = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok()).with_context(wrong)?;
    let utc = utc.timestamp().as_millisecond();
    // The offset of the zone then, found by asking what the clocks show when UTC's show this.
    let guess = crate::time::Wall(utc);
    let shift = |wall: crate::time::Wall| {
        let local = center.local(zone, wall);
        let minutes = i64::from(local.minute) - utc.div_euclid(60_000).rem_euclid(1_440);
        let days = local.date.cmp(&center.local("UTC", guess).date) as i64;
        (days * 1_440 + minutes) * 60_000
    };
    Ok(crate::time::Wall(utc - shift(guess)))
}
