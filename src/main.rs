//! The command line, nothing else.

#[path = "main/desktops.rs"]
mod desktops;
#[path = "main/flow.rs"]
mod flow;
#[path = "main/phone.rs"]
mod phone;
#[path = "main/reports.rs"]
mod reports;
#[path = "main/simulate.rs"]
mod simulate;
#[path = "main/values.rs"]
mod values;

use clap::{Parser, Subcommand};
use desktops::{AgentArgs, BannerArgs};
use flow::FlowWhat;
use phone::PhoneArgs;
use reports::{CallsArgs, RecordsWhat, ReportArgs};
use simulate::SimulateArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use tierline::server::place::Place;
use tierline::server::printing::{self, print, say};
use tierline::server::{self, Outcome};

/// SIP is many small texts: with this allocator and thin LTO a simulated day takes 51 s in place of 66 s.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A telephony and routing engine for support centers.
#[derive(Parser)]
#[command(version, about, max_term_width = 120, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    what: What,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 it could not be done, or did not come out well: trying again may help; 2 \
                          what was asked or configured is wrong: trying again as it is cannot help.";

#[derive(Subcommand)]
enum What {
    /// Serve a support center: SIP, audio, menus, queues, agents.
    ///
    /// Without flags it serves the demo center of deploy/tierline.toml, or the same demo from inside the program
    /// where that file is not found. SIGTERM or Ctrl-C: no new calls, running ones may end; once more: stop now.
    Serve {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Directory of the log, made-up passwords and spoken prompts. Default: as configured, `data`.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Record every input of the engine to this file, for `tierline replay`. Personal: for its owner only.
        /// It has no limit of size, and calls wait for its disk.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Check a configuration and its flows, and start nothing. Exit code 1 or 2 if it could not be served.
    Check {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Data directory that would be served from. Default: as configured.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Do not try whether its ports are free: for a file that is another machine's, or beside another server.
        #[arg(long)]
        no_ports: bool,
    },
    /// Ask a server on this machine whether it is well; exit code 1 if not. For containers and probes.
    Healthy {
        /// Where it serves HTTP.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        #[arg(value_parser = values::address)]
        http: std::net::SocketAddr,
        /// Ask whether it takes new calls, not only whether it lives.
        #[arg(long)]
        ready: bool,
    },
    /// Look at this machine and what is configured: ports, limits, certificates, clock, disk, log. Says what to do.
    ///
    /// Exit code 0: all is well; 1: there are warnings; 2: something is wrong.
    Doctor {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Directory of the log. Default: as configured.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print JSON, a line for each finding.
        #[arg(long)]
        json: bool,
    },
    /// Look at a flow: as a picture, or walked through without a call.
    #[command(subcommand)]
    Flow(FlowWhat),
    /// A telephone for trying things: registers and answers, or dials.
    ///
    /// Prints one JSON line for everything that happens. Typed lines: `a` answers, `d` declines, `h` hangs up,
    /// `q` ends, anything else is pressed as keys. Ctrl-C hangs up properly.
    Phone(PhoneArgs),
    /// A desktop on the command line: what happens is printed, what is typed is asked. `help` says what.
    ///
    /// Exit code 1 if a line of a script, which `--do` gives or another program, was refused, or one that is read was not
    /// understood; who types at a terminal is told so, and ends with 0. A `--do` that is not understood is a wrong value: 2,
    /// and nothing is asked.
    Agent(AgentArgs),
    /// Switch an announcement of flows on or off in a running server, at once and over restarts.
    Banner(BannerArgs),
    /// A small ticketing system to try things with: tickets, screen-pops and histories in SQLite.
    Ticketing {
        /// Where it listens for gRPC.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
        listen: std::net::SocketAddr,
        /// Directory of its file.
        #[arg(long, value_name = "DIR", default_value = "tickets")]
        data: PathBuf,
        /// File (mode 0600) whose first line whoever asks must show: the same as `ticketing.token_file`. Needed beyond this
        /// machine.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// What is kept of a person.
    Person {
        #[command(subcommand)]
        what: PersonWhat,
    },
    /// Remove and erase what is older than `[keep]` says, now; a server does the same every hour.
    ///
    /// Nothing is, exit code 1, where the clock is more than a week away from the time that was believed last.
    Keep {
        /// The clock is right: remove what is old by it, and let a server believe it, too.
        #[arg(long)]
        believe_clock: bool,
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Directory of the log. Default: as configured.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// List calls, or draw one as a ladder of what happened.
    Calls(CallsArgs),
    /// Count calls, waits and agents' times, over intervals, by queue, agent, line or flow.
    Report(ReportArgs),
    /// What is made of the log: tables of calls, offers, agents, queues and flows (docs/records.md).
    #[command(subcommand)]
    Records(RecordsWhat),
    /// Simulate a day: the same engine, real SIP over a bad network, people with patience, habits and mistakes.
    ///
    /// Prints what callers and agents would have met, how often each check ran, and the hash of the event log: the
    /// same seed gives the same log, byte for byte. Exit code 1 if a check failed; the seed says how to see it again.
    Simulate(SimulateArgs),
    /// Run a recording of `serve --record` through a fresh engine, and say what came out.
    Replay {
        #[arg(value_name = "FILE")]
        recording: PathBuf,
        /// Compare with the log in this directory.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum PersonWhat {
    /// Erase a caller's number from the log, and what was keyed and noted in the calls. Events and counts stay.
    ///
    /// May be run while the server runs. Calls that still run are left as they are, and told: exit code 1, erase again.
    Erase {
        /// As the caller's side gave it, such as +4930123456.
        number: String,
        #[command(flatten)]
        place: Where,
    },
}

/// A server's data directory.
#[derive(clap::Args)]
struct Where {
    /// Configuration file. Default: as of `tierline serve`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of a server on this machine. Default: as configured.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Where {
    fn find(&self) -> anyhow::Result<Place> {
        Place::find(self.config.as_deref(), self.data.as_deref())
    }

    fn data(&self) -> anyhow::Result<PathBuf> {
        Ok(self.find()?.data)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.what).and_then(|code| printing::all_was_written().map(|()| code)) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("tierline: {why:#}");
            ExitCode::from(server::wrong::exit_code(&why))
        }
    }
}

fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(outcome.exit_code())
}

/// Done, or not well.
fn well(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(what: What) -> anyhow::Result<ExitCode> {
    match what {
        What::Serve { config, data, record } => {
            server::process::takes_small_pages();
            Ok(code(server::serve(&server::Options { config, data, record })?))
        }
        What::Check { config, data, no_ports } => {
            Ok(code(server::check(config.as_deref(), data.as_deref(), !no_ports)?))
        }
        What::Healthy { http, ready } => {
            say!("{}", server::healthy::ask(http, ready)?);
            Ok(ExitCode::SUCCESS)
        }
        What::Doctor { config, data, json } => doctor(config, data, json),
        What::Flow(what) => {
            print(format_args!("{}", flow::flow(what)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Phone(args) => phone::phone(args),
        What::Agent(args) => desktops::agent(args),
        What::Banner(args) => desktops::banner(args),
        What::Ticketing { listen, data, token_file } => {
            server::ticketing::example::serve(listen, &data, token_file.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        What::Person { what: PersonWhat::Erase { number, place } } => {
            let (told, whole) = server::person::erase(&place.data()?, &number)?;
            print(format_args!("{told}"));
            Ok(well(whole))
        }
        What::Keep { believe_clock, config, data } => {
            print(format_args!("{}", server::keeping::now(config.as_deref(), data, believe_clock)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Calls(args) => {
            print(format_args!("{}", reports::calls(args)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Report(args) => {
            print(format_args!("{}", reports::report(args)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Records(what) => {
            print(format_args!("{}", reports::records(what)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Simulate(args) => simulate::simulate(args),
        What::Replay { recording, data } => {
            print(format_args!("{}", server::record::replay(&recording, data.as_deref())?));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn doctor(config: Option<PathBuf>, data: Option<PathBuf>, json: bool) -> anyhow::Result<ExitCode> {
    let findings = server::doctor::examine(config.as_deref(), data)?;
    print(format_args!("{}", if json { server::doctor::json(&findings)? } else { server::doctor::text(&findings) }));
    Ok(ExitCode::from(server::doctor::exit_code(&findings)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a command line that cannot be meant.
    #[test]
    fn wrong_values_are_told_with_unit_and_range() {
        let check = |line: &str, part: &str| {
            let told = Args::try_parse_from(line.split(' ')).err().map(|why| why.to_string()).unwrap_or_default();
            assert!(told.contains("invalid value") && told.contains(part), "{line}: {told}");
        };
        check("tierline phone --answer -1", "allowed: 0 to 86400 seconds");
        check("tierline phone --hang-up NaN", "allowed: 0 to 86400 seconds");
        check("tierline phone --silence soon", "allowed: 0 to 86400 seconds");
        check("tierline phone --press 12x", "there is no key `x`; allowed: 1 to 1000 of 0-9, *, #, A-D");
        check("tierline phone --press -5", "there is no key `-`");
        check("tierline phone --press=", "allowed: 1 to 1000 of");
        check("tierline phone --calls -2", "allowed: a whole number from 1 to 1000000 calls");
        check("tierline phone --server host:0", "with or without a port from 1 to 65535 (default 5060)");
        check("tierline calls --last -3", "allowed: a whole number from 0 to 1000000 calls");
        check("tierline report month", "allowed: queue, agent, line, flow");
        check("tierline report --interval 2h", "allowed: 15m, 30m, 1h, day, week");
        check("tierline report --formula best", "allowed: without-short, answered, offered, offered-in-time");
        check("tierline report --target -1", "allowed: 0 to 86400 seconds");
        check("tierline simulate --agents -5", "allowed: a whole number from 1 to 10000 agents");
        check("tierline simulate --agents 0", "allowed: a whole number from 1 to 10000 agents");
        check("tierline simulate --hours -8", "allowed: 0.05 to 1000 hours");
        check("tierline simulate --calls-per-hour 0", "allowed: 1 to 1000000 calls in an hour");
        check("tierline simulate --crashes -1", "allowed: a whole number from 0 to 10000 times");
        check("tierline simulate --seed -1", "allowed: a whole number from 0 to 18446744073709551615");
    }
}
