//! The command line, nothing else.

#[path = "main/reports.rs"]
mod reports;
#[path = "main/values.rs"]
mod values;

use clap::{Parser, Subcommand};
use reports::{OnlyArgs, ReportArgs, filter, report};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tierline::server::accounts::Kind;
use tierline::server::flows::Found;
use tierline::server::phone::ServerName;
use tierline::server::printing::{self, print, say};
use tierline::server::wrong::{OrWrong, Wrong};
use tierline::server::{self, Outcome};
use tierline::sim;
use values::{agents, calls, calls_listed, calls_per_hour, crashes, hours, keys, seconds, seed};

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
    },
    /// Ask a server on this machine whether it is well; exit code 1 if not. For containers and probes.
    Healthy {
        /// Where it serves HTTP.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
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
    },
    /// What is kept of a person.
    Person {
        #[command(subcommand)]
        what: PersonWhat,
    },
    /// Remove what is older than `[keep]` says, now; a server does the same every hour.
    ///
    /// Nothing is removed, exit code 1, where the clock is more than a week away from the time that was believed last.
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
    Calls {
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
        #[command(flatten)]
        only: OnlyArgs,
    },
    /// Count calls, waits and agents' times, over intervals, by queue, agent, line or flow.
    Report(ReportArgs),
    /// What is made of the log: tables of calls, offers, agents, queues and flows (docs/records.md).
    #[command(subcommand)]
    Records(RecordsWhat),
    /// Simulate a day: the same engine, real SIP over a bad network, people with patience, habits and mistakes.
    ///
    /// Prints what callers and agents would have met, how often each check ran, and the hash of the event log: the
    /// same seed gives the same log, byte for byte. Exit code 1 if a check failed; the seed says how to see it again.
    Simulate {
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
        /// How often the engine is killed, at random times (0 to 10,000).
        #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = crashes)]
        crashes: u64,
        /// Fold the log into records, and compare their sums with what was seen. Needs `--crashes 0`.
        #[arg(long)]
        records: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
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
enum FlowWhat {
    /// Draw a flow as a tree, or for a page that draws Mermaid.
    Draw {
        /// The flow: its file without .toml.
        flow: String,
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print a chart in the language of Mermaid.
        #[arg(long)]
        mermaid: bool,
    },
    /// Walk through a flow and print what a caller would hear.
    Try(TryArgs),
}

#[derive(clap::Args)]
struct TryArgs {
    /// The flow: its file without .toml.
    flow: String,
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keys, each pressed when something listens: 0-9, *, #, A-D; a comma lets the time pass.
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true, value_parser = keys, default_value = ",")]
    keys: String,
    /// The line that is called. Default: the first that leads to the flow.
    #[arg(long, value_name = "NAME")]
    line: Option<String>,
    /// The caller's number. Default: withheld.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    caller: String,
    /// The caller's language. Default: the line's.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// When, as the clocks of the line show it, such as "2026-12-24 10:30". Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// What look-ups find: fields such as state=open,tier=2, or nothing. Default: they fail.
    #[arg(long, value_name = "FIELDS", value_parser = server::flows::found_fields)]
    found: Option<Found>,
    /// An announcement that is on; may be given again.
    #[arg(long, value_name = "NAME")]
    banner: Vec<String>,
}

#[derive(Subcommand)]
enum RecordsWhat {
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

#[derive(Subcommand)]
enum PersonWhat {
    /// Erase a caller's number from the log, and what was keyed and noted in the calls. Events and counts stay.
    ///
    /// May be run while the server runs. Calls that still run are left as they are, and told.
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
    fn data(&self) -> anyhow::Result<PathBuf> {
        server::wrong::data_dir(self.config.as_deref(), self.data.as_deref())
    }
}

/// Where to ask over gRPC, and as whom.
#[derive(clap::Args)]
struct Grpc {
    /// Where the server listens for gRPC.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    server: String,
    /// The token. Default: looked up in the data directory of a server on this machine.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    place: Where,
    /// For https: a PEM file of the roots to trust.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

#[derive(clap::Args)]
struct BannerArgs {
    #[arg(value_enum)]
    state: Switch,
    /// The announcement: [banner.NAME] of the configuration.
    name: String,
    /// Who: an operator of `[server.cti]`.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    user: String,
    #[command(flatten)]
    grpc: Grpc,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(clap::Args)]
struct AgentArgs {
    /// Who: an agent's user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    grpc: Grpc,
    /// Ask this, as it would be typed, then the next, and end. Exit code 1 if something was refused.
    #[arg(long = "do", value_name = "LINE")]
    asks: Vec<String>,
    /// Print JSON, a line each.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct PhoneArgs {
    /// Where the server listens for SIP: an address or a host name, with or without a port (default 5060).
    #[arg(long, value_name = "HOST[:PORT]", default_value = "127.0.0.1:5060")]
    server: ServerName,
    /// Register (or call) as this user.
    #[arg(long)]
    user: Option<String>,
    /// The user's password. Default: looked up in the data directory of a server on this machine.
    #[arg(long)]
    password: Option<String>,
    #[command(flatten)]
    place: Where,
    /// The name that the called party is shown.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Call this number or SIP URI, and end when the call ends. Without it the phone waits for calls.
    #[arg(long, value_name = "NUMBER")]
    dial: Option<String>,
    /// Answer calls by itself, after so many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", allow_negative_numbers = true)]
    #[arg(value_parser = seconds)]
    answer: Option<Duration>,
    /// Keys to press once connected: 0-9, *, #, A-D; a comma waits half a second.
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true, value_parser = keys)]
    press: Option<String>,
    /// A WAV that the other side hears, over and over.
    #[arg(long, value_name = "WAV")]
    play: Option<PathBuf>,
    /// Record what is heard to this WAV.
    #[arg(long, value_name = "WAV")]
    record: Option<PathBuf>,
    /// Hang up after talking so many seconds.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    hang_up: Option<Duration>,
    /// End after so many calls.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = calls)]
    calls: Option<u64>,
    /// Say `Silent` after so many seconds without audio.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    silence: Option<Duration>,
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
        What::Serve { config, data, record } => Ok(code(server::serve(&server::Options { config, data, record })?)),
        What::Check { config, data } => Ok(code(server::check(config.as_deref(), data.as_deref())?)),
        What::Healthy { http, ready } => {
            say!("{}", server::healthy::ask(http, ready)?);
            Ok(ExitCode::SUCCESS)
        }
        What::Doctor { config, data, json } => doctor(config, data, json),
        What::Flow(what) => {
            print(format_args!("{}", flow(what)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Phone(args) => phone(args),
        What::Agent(args) => agent(args),
        What::Banner(args) => banner(args),
        What::Ticketing { listen, data } => {
            server::ticketing::example::serve(listen, &data)?;
            Ok(ExitCode::SUCCESS)
        }
        What::Person { what: PersonWhat::Erase { number, place } } => {
            print(format_args!("{}", server::person::erase(&place.data()?, &number)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Keep { believe_clock, config, data } => {
            print(format_args!("{}", server::keeping::now(config.as_deref(), data, believe_clock)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Calls { call, place, last, json, numbers, only } => {
            let data = place.data()?;
            let text = match call {
                Some(call) if json => server::calls::told(&data, &call, numbers)?,
                Some(call) => server::calls::ladder(&data, &call, numbers)?,
                None => {
                    let (last, filter, config) = (last as usize, filter(only), place.config);
                    server::calls::list(&data, &server::calls::Show { last, json, numbers, filter, config })?
                }
            };
            print(format_args!("{text}"));
            Ok(ExitCode::SUCCESS)
        }
        What::Report(args) => {
            print(format_args!("{}", report(args)?));
            Ok(ExitCode::SUCCESS)
        }
        What::Records(what) => {
            let text = match what {
                RecordsWhat::Rebuild { place } => server::records::rebuild(&place.data()?)?,
                RecordsWhat::Status { place } => server::records::status(&place.data()?)?,
                RecordsWhat::Schema => server::records::described(),
            };
            print(format_args!("{text}"));
            Ok(ExitCode::SUCCESS)
        }
        What::Simulate { seed, agents, hours, calls_per_hour, crashes, records, json } => {
            if records && crashes > 0 {
                return Err(Wrong("--records compares with what was seen: it needs --crashes 0".to_owned()).into());
            }
            let day = sim::Options::day(seed, agents as u32, hours);
            let options = sim::Options { calls_per_hour, crashes: crashes as u32, ..day };
            Ok(well(server::simulate::run(options, records, json)?))
        }
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

fn flow(what: FlowWhat) -> anyhow::Result<String> {
    match what {
        FlowWhat::Draw { flow, config, mermaid } => server::flows::draw(config.as_deref(), &flow, mermaid),
        FlowWhat::Try(TryArgs { flow, config, keys, line, caller, language, at, found, banner: banners }) => {
            let trial = server::flows::Trial { keys, line, caller, language, at, found, banners };
            server::flows::try_out(config.as_deref(), &flow, trial)
        }
    }
}

fn grpc(grpc: Grpc, user: Option<&str>) -> anyhow::Result<server::agent::Settings> {
    let Grpc { server, token, place, trust } = grpc;
    let token = match (token, user) {
        (Some(token), _) => token,
        (None, None) => return Err(Wrong("say who: --user NAME, or --token TOKEN".to_owned()).into()),
        (None, Some(user)) => {
            let file = server::cti::tokens::default_file(&place.data()?);
            let token = server::accounts::read(&file, Kind::Tokens).or_wrong()?.get(user).cloned();
            token.ok_or_else(|| Wrong(format!("{} has no token of `{user}`", file.display())))?
        }
    };
    Ok(server::agent::Settings { server, token, trust, asks: Vec::new(), json: false })
}

fn agent(AgentArgs { user, grpc: way, asks, json }: AgentArgs) -> anyhow::Result<ExitCode> {
    let settings = server::agent::Settings { asks, json, ..grpc(way, user.as_deref())? };
    Ok(well(server::agent::run(settings)?))
}

fn banner(BannerArgs { state, name, user, grpc: way }: BannerArgs) -> anyhow::Result<ExitCode> {
    let state = if state == Switch::On { "on" } else { "off" };
    let done = server::agent::once(&grpc(way, Some(&user))?, &format!("banner {state} {name}"))?;
    Ok(well(done))
}

/// From the data directory, if there are passwords there.
fn password_of(user: &str, place: &Where) -> anyhow::Result<Option<String>> {
    let file = server::accounts::default_file(&place.data()?);
    match file.exists() {
        true => Ok(server::accounts::read(&file, Kind::Passwords).or_wrong()?.remove(user)),
        false => Ok(None),
    }
}

fn phone(args: PhoneArgs) -> anyhow::Result<ExitCode> {
    let password = match (&args.user, args.password) {
        (Some(user), None) => password_of(user, &args.place)?,
        (_, password) => password,
    };
    let settings = server::phone::Settings {
        server: Some(args.server),
        user: args.user,
        password,
        caller: args.caller,
        dial: args.dial,
        answer_after: args.answer,
        press: args.press,
        play: args.play,
        record: args.record,
        hang_up_after: args.hang_up,
        calls: args.calls.map(|calls| calls as u32),
        silence: args.silence,
    };
    Ok(well(server::phone::run(settings)?))
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
        check("tierline phone --press 12x", "there is no key `X`; allowed: 1 to 1000 of 0-9, *, #, A-D");
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

    #[test]
    fn right_values_are_taken() {
        let line = "tierline phone --server ::1 --answer --press ,*1#a --hang-up 0.5 --calls 3";
        let What::Phone(args) = Args::parse_from(line.split(' ')).what else { panic!("`phone` is a command") };
        assert_eq!((args.answer, args.press.as_deref()), (Some(Duration::from_secs(1)), Some(",*1#A")));
        assert_eq!((args.hang_up, args.calls), (Some(Duration::from_millis(500)), Some(3)));
        assert_eq!(args.server.to_string(), "[::1]:5060");
    }
}
