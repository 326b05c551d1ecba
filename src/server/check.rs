//! `tierline check`: what a start would meet, without one.

use super::opening::{self, Missing};
use super::{Outcome, store, wrong};
use crate::config::{self, Loaded};
use crate::server::printing::say;
use crate::written::counted;
use anyhow::Result;
use std::path::Path;

/// What is wrong with a configuration, and what else a start with it would lack.
pub fn all_wrong(refused: &config::Refused, data: Option<&Path>, lacking: Vec<String>) -> String {
    // What was spoken once lies with the data.
    let unheard = data.and_then(|data| opening::unheard(&refused.needs.sounds, data));
    let secrets = opening::secrets_of_refused(&refused.needs, data).lines;
    let lines = std::iter::once(refused.problems.to_string()).chain(unheard).chain(secrets).chain(lacking);
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads what `serve` would read, tries the ports that it would listen on if `ports` says so, and says what is wrong; how a
/// start would end.
///
/// # Errors
/// The system gives no thread.
pub fn check(config: Option<&Path>, data: Option<&Path>, ports: bool) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let loaded = match config::load(config) {
        Ok(loaded) => loaded,
        Err(refused) => {
            let data = data.or(refused.needs.data.as_deref());
            let mut missing = lacking(&refused.file, &refused.needs, (data, ports), runtime.handle());
            missing.unless_now(data.zip(refused.needs.node).map_or(Ok(()), |(data, node)| store::usable(data, node)));
            eprintln!("{}", all_wrong(&refused, data, missing.lines));
            return Ok(Outcome::Refused);
        }
    };
    loaded.warnings.iter().for_each(|warning| say!("warning: {warning}"));
    loaded.unread.iter().for_each(|flow| say!("note: no line and no flow leads to `{flow}`: it is not read"));
    let data = data.unwrap_or(&loaded.server.data);
    let mut missing = Missing::default();
    missing.wrong(opening::unheard(&loaded.sounds, data));
    missing.join(lacking(&loaded.file, &loaded.needs(), (Some(data), ports), runtime.handle()));
    opening::secrets(&loaded, data, &mut missing);
    missing.unless_now(store::usable(data, loaded.server.node));
    if let Err(why) = missing.none() {
        eprintln!("{why:#}");
        return Ok(if wrong::is_wrong(&why) { Outcome::Refused } else { Outcome::Failed });
    }
    say!("{}", good(&loaded));
    Ok(Outcome::Stopped)
}

/// What a start lacks; without ports where nobody asked for them, and where a server that runs from this directory has them
/// by right.
fn lacking(
    file: &str,
    needs: &config::Needs,
    (data, ports): (Option<&Path>, bool),
    runtime: &tokio::runtime::Handle,
) -> Missing {
    match data.and_then(|data| Some((data, store::in_use(data)?))) {
        _ if !ports => say!("note: ports are not tried"),
        Some((data, by)) => say!("note: process {by} serves from {}; ports were not tried", data.display()),
        None => return opening::lacking(file, needs, runtime),
    }
    opening::lacking(file, &needs.clone().without_ports(), runtime)
}

fn good(loaded: &Loaded) -> String {
    let center = &loaded.center;
    let counts = [(center.lines.len(), "line"), (center.queues.len(), "queue"), (center.agents.len(), "agent")];
    let trunks = Some((center.trunks.len(), "trunk")).filter(|(n, _)| *n > 0);
    let counts: Vec<_> = counts.into_iter().chain(trunks).map(|(n, what)| counted(n, what)).collect();
    format!("{}: {} can be served: {}", loaded.file, center.name, counts.join(", "))
}
