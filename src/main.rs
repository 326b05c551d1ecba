//! The command line, nothing else.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tierline::server::{self, Outcome};
use tierline::sim;

/// SIP is many small texts: with this allocator and thin LTO a simulated day takes 51 s in place of 66 s.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A telephony and routing engine for support centers.
#[derive(Parser)]
#[command(version, about, max_term_width = 120)]
struct Args {
    #[command(subcommand)]
    what: What,
}

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
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Check a configuration and its flows, and start nothing. Exit code 2 if it could not be served.
    Check {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// A telephone for trying things: registers and answers, or dials.
    ///
    /// Prints one JSON line for everything that happens. Typed lines: `a` answers, `d` declines, `h` hangs up,
    /// `q` ends, anything else is pressed as keys. Ctrl-C hangs up properly.
    Phone(PhoneArgs),
    /// List calls, or draw one as a ladder of what happened.
    Calls {
        /// The call to draw, such as c0-1-5; without it calls are listed.
        call: Option<String>,
        /// Directory of the log.
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
        /// How many calls to list, newest first.
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
        /// Show callers' numbers and keyed digits (personal data).
        #[arg(long)]
        numbers: bool,
    },
    /// Simulate a day: the same engine, real SIP over a bad network, people with patience, habits and mistakes.
    ///
    /// Prints what callers and agents would have met, how often each check ran, and the hash of the event log: the
    /// same seed gives the same log, byte for byte. Exit code 1 if a check failed; the seed says how to see it again.
    Simulate {
        /// What everything random is drawn from.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// How many agents work (1 to 10,000).
        #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        agents: u32,
        /// How long calls arrive (0.05 to 1,000).
        #[arg(long, value_name = "HOURS", default_value_t = 8.0, value_parser = between::<5, 100_000>)]
        hours: f64,
        /// Calls in an hour (1 to 1,000,000). Default: what keeps the agents busy for about 87 % of their time.
        #[arg(long, value_name = "N", value_parser = between::<100, 100_000_000>)]
        calls_per_hour: Option<f64>,
        /// How often the engine is killed, at random times.
        #[arg(long, value_name = "N", default_value_t = 1)]
        crashes: u32,
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

#[derive(clap::Args)]
struct PhoneArgs {
    /// Where the server listens for SIP.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5060")]
    server: SocketAddr,
    /// Register (or call) as this user.
    #[arg(long)]
    user: Option<String>,
    /// The user's password. Default: looked up in the data directory of a server on this machine.
    #[arg(long)]
    password: Option<String>,
    /// Where to look the password up.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// The name that the called party is shown.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Call this number or SIP URI, and end when the call ends. Without it the phone waits for calls.
    #[arg(long, value_name = "NUMBER")]
    dial: Option<String>,
    /// Answer calls by itself, after so many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    answer: Option<f64>,
    /// Keys to press once connected: 0-9, *, #, A-D; a comma waits half a second.
    #[arg(long, value_name = "KEYS")]
    press: Option<String>,
    /// A WAV that the other side hears, over and over.
    #[arg(long, value_name = "WAV")]
    play: Option<PathBuf>,
    /// Record what is heard to this WAV.
    #[arg(long, value_name = "WAV")]
    record: Option<PathBuf>,
    /// Hang up after talking so many seconds.
    #[arg(long, value_name = "SECONDS")]
    hang_up: Option<f64>,
    /// End after so many calls.
    #[arg(long, value_name = "N")]
    calls: Option<u32>,
    /// Say `Silent` after so many seconds without audio.
    #[arg(long, value_name = "SECONDS")]
    silence: Option<f64>,
}

/// A number between two bounds, given in hundredths.
fn between<const LEAST: u32, const MOST: u32>(text: &str) -> Result<f64, String> {
    let (least, most) = (f64::from(LEAST) / 100.0, f64::from(MOST) / 100.0);
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("allowed: {least} to {most}"))
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.what) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("tierline: {why:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> anyhow::Result<ExitCode> {
    match what {
        What::Serve { config, data, record } => match server::serve(&server::Options { config, data, record })? {
            Outcome::Stopped => Ok(ExitCode::SUCCESS),
            Outcome::Refused => Ok(ExitCode::from(2)),
        },
        What::Check { config } => {
            Ok(if server::check(config.as_deref()) { ExitCode::SUCCESS } else { ExitCode::from(2) })
        }
        What::Phone(args) => phone(args),
        What::Calls { call, data, last, json, numbers } => {
            let text = match call {
                Some(call) => server::calls::ladder(&data, &call, numbers)?,
                None => server::calls::list(&data, server::calls::Show { last, json, numbers })?,
            };
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        What::Simulate { seed, agents, hours, calls_per_hour, crashes, json } => {
            let options = sim::Options { calls_per_hour, crashes, ..sim::Options::day(seed, agents, hours) };
            Ok(if server::simulate::run(options, json)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        What::Replay { recording, data } => {
            print!("{}", server::record::replay(&recording, data.as_deref())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn phone(args: PhoneArgs) -> anyhow::Result<ExitCode> {
    let seconds = |s: f64| Duration::try_from_secs_f64(s).map_err(|_| anyhow::anyhow!("{s} is no number of seconds"));
    let password = match (&args.user, args.password) {
        (Some(user), None) => server::accounts::read(&server::accounts::default_file(&args.data))
            .ok()
            .and_then(|passwords| passwords.get(user).cloned()),
        (_, password) => password,
    };
    let settings = server::phone::Settings {
        server: Some(args.server),
        user: args.user,
        password,
        caller: args.caller,
        dial: args.dial,
        answer_after: args.answer.map(seconds).transpose()?,
        press: args.press,
        play: args.play,
        record: args.record,
        hang_up_after: args.hang_up.map(seconds).transpose()?,
        calls: args.calls,
        silence: args.silence.map(seconds).transpose()?,
    };
    Ok(if server::phone::run(settings)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
