//! `tierline simulate`.

use super::values::{agents, calls_per_hour, crashes, hours, seed};
use super::well;
use std::process::ExitCode;
use tierline::server;
use tierline::server::wrong::Wrong;
use tierline::sim;

#[derive(clap::Args)]
pub struct SimulateArgs {
    /// What everything random is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = seed)]
    seed: u64,
    /// How many agents work (1 to 10,000).
    #[arg(long, value_name = "N", default_value_t = 500, allow_negative_numbers = true, value_parser = agents)]
    agents: u64,
    /// How long calls arrive (0.05 to 1,000).
    #[arg(long, value_name = "HOURS", default_value_t = 8.0, allow_negative_numbers = true, value_parser = hours)]
    hours: f64,
    /// Calls in an hour (1 to 1,000,000). Default: what keeps the agents busy for about 87 % of their time.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = calls_per_hour)]
    calls_per_hour: Option<f64>,
    /// How often the engine is killed, at random times (0 to 10,000); unless 0, some commands of desktops are followed by
    /// three kills more.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = crashes)]
    crashes: u64,
    /// Fold the log into records, and compare their sums with what was seen. Needs `--crashes 0`.
    #[arg(long)]
    records: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn simulate(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let SimulateArgs { seed, agents, hours, calls_per_hour, crashes, records, json } = args;
    if records && crashes > 0 {
        return Err(Wrong("--records compares with what was seen: it needs --crashes 0".to_owned()).into());
    }
    let day = sim::Options::day(seed, agents as u32, hours);
    let options = sim::Options { calls_per_hour, crashes: crashes as u32, ..day };
    Ok(well(server::simulate::run(options, records, json)?))
}
