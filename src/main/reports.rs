//! What shows what was: `tierline calls`, `tierline report`, `tierline records`.

use super::Where;
use super::values::{by, calls_listed, seconds};
use clap::Subcommand;
use std::time::Duration;
use tierline::server;
use tierline::server::wrong::Wrong;

#[derive(clap::Args)]
pub struct CallsArgs {
    /// The call to draw, such as c0-1-5; without it calls are listed.
    call: Option<String>,
    #[command(flatten)]
    place: Where,
    /// How many calls to list, newest first.
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true, value_parser = calls_listed)]
    last: u64,
    /// Print JSON: a line for each call, or one with all that happened in the call that is named.
    #[arg(long)]
    json: bool,
    /// Show callers' numbers and keyed digits (personal data).
    #[arg(long)]
    numbers: bool,
    /// Time zone whose clocks show when calls came; --from and --to are times of them. Default: the center's.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    only: OnlyArgs,
}

#[derive(Subcommand)]
pub enum RecordsWhat {
    /// Make all records anew from the log. May be run while the server runs; what is missing meanwhile comes back.
    Rebuild {
        #[command(flatten)]
        place: Where,
    },
    /// How far the records are behind the log, and how many rows each table has.
    Status {
        #[command(flatten)]
        place: Where,
    },
    /// Describe the tables, a line for each column.
    Schema,
}

/// Which calls are listed.
#[derive(clap::Args)]
pub struct OnlyArgs {
    /// Arrived at or after this, such as 2026-03-29 or 2026-03-29T08:30.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Arrived before this.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Came to this line.
    #[arg(long, value_name = "NAME")]
    line: Option<String>,
    /// Waited in this queue.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// This agent was rung, talked, or made the call.
    #[arg(long, value_name = "NUMBER")]
    agent: Option<u32>,
    /// Ended so, such as CallerHungUp or "no audio arrived".
    #[arg(long, value_name = "CAUSE", value_parser = server::calls::filter::cause)]
    cause: Option<server::calls::filter::Cause>,
    /// Waited in queues so long or longer.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    min_wait: Option<Duration>,
    /// Came or went over this trunk.
    #[arg(long, value_name = "NAME")]
    trunk: Option<String>,
}

#[derive(clap::Args)]
pub struct ReportArgs {
    /// queue, agent, line or flow.
    #[arg(value_name = "BY", default_value = "queue", value_parser = by)]
    by: server::report::By,
    /// Length of the intervals: 15m, 30m, 1h, day, week. Default: the whole time is one.
    #[arg(long, value_name = "LENGTH", value_parser = server::report::step)]
    interval: Option<server::report::Step>,
    /// Beginning, as the clocks of the zone show it, such as 2026-03-29 or 2026-03-29T08:30. Default: today.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End, not included. Default: now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Time zone whose hours, days and weeks are meant. Default: the center's.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Only the queue, agent, line or flow of this name.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Of the service level: without-short A_T/(A+B-B_s), answered A_T/A, offered A_T/(A+B), offered-in-time
    /// (A_T+B_T)/(A+B), patient A_T/(A+B-B_T), short-served (A_T+B_s)/(A+B).
    #[arg(long, value_name = "NAME", default_value = "without-short", value_parser = server::report::formula)]
    formula: server::report::Formula,
    /// T of the service level. Default: each queue's own `target`.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    target: Option<Duration>,
    /// Who hangs up sooner is a short abandon. Default: each queue's own `short_abandon`.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    short: Option<Duration>,
    /// The queues' own targets are in the configuration.
    #[command(flatten)]
    place: Where,
    /// Print CSV (RFC 4180).
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON, an object a line.
    #[arg(long)]
    json: bool,
}

fn filter(only: OnlyArgs) -> server::calls::filter::Filter {
    let OnlyArgs { from, to, line, queue, agent, cause, min_wait: least_wait, trunk } = only;
    server::calls::filter::Filter { from, to, line, queue, agent, cause, least_wait, trunk }
}

pub fn report(args: ReportArgs) -> anyhow::Result<server::report::Report> {
    use server::report::{Asked, Format};
    let format = match (args.csv, args.json) {
        (true, _) => Format::Csv,
        (_, true) => Format::Json,
        _ => Format::Table,
    };
    let ReportArgs { by, interval: step, from, to, zone, only, formula, target, short, place, .. } = args;
    let (data, config) = (place.data()?, place.config);
    server::report::report(&data, &Asked { by, step, from, to, zone, only, formula, target, short, config, format })
}

pub fn calls(args: CallsArgs) -> anyhow::Result<String> {
    let CallsArgs { call, place, last, json, numbers, zone, only } = args;
    let (data, filter) = (place.data()?, filter(only));
    match call {
        Some(call) if !filter.is_none() || zone.is_some() => {
            let what =
                format!("{call} is one call; what says which calls are listed (--from, --queue …) is for the list");
            Err(Wrong(what).into())
        }
        Some(call) if json => server::calls::told(&data, &call, numbers),
        Some(call) => server::calls::ladder(&data, &call, numbers),
        None => {
            let (last, config) = (last as usize, place.config);
            server::calls::list(&data, &server::calls::Show { last, json, numbers, filter, zone, config })
        }
    }
}

pub fn records(what: RecordsWhat) -> anyhow::Result<String> {
    match what {
        RecordsWhat::Rebuild { place } => server::records::rebuild(&place.data()?),
        RecordsWhat::Status { place } => server::records::status(&place.data()?),
        RecordsWhat::Schema => Ok(server::records::described()),
    }
}
