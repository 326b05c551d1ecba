//! `tierline phone`.

use super::values::{calls, keys, seconds};
use super::{Where, well};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tierline::server;
use tierline::server::accounts::Kind;
use tierline::server::phone::ServerName;
use tierline::server::wrong::OrWrong;

#[derive(clap::Args)]
pub struct PhoneArgs {
    /// Where the server listens for SIP: an address or a host name, with or without a port (default 5060).
    #[arg(long, value_name = "HOST[:PORT]", default_value = "127.0.0.1:5060")]
    server: ServerName,
    /// Register (or call) as this user. Who calls a line may be anybody: with a number such as +4930123456 the call comes
    /// from that number.
    #[arg(long)]
    user: Option<String>,
    /// The user's password. Default: looked up in the data directory of a server on this machine.
    #[arg(long)]
    password: Option<String>,
    #[command(flatten)]
    place: Where,
    /// The name that the called party's phone shows beside the number; desktops, flows and the log know the number only
    /// (--user).
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

/// From the server's file, if there is one.
fn password_of(user: &str, place: &Where) -> anyhow::Result<Option<String>> {
    let file = place.secrets(Kind::Passwords)?;
    match file.exists() {
        true => Ok(server::accounts::read(&file, Kind::Passwords).or_wrong()?.remove(user)),
        false => Ok(None),
    }
}

pub fn phone(args: PhoneArgs) -> anyhow::Result<ExitCode> {
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
    use super::super::{Args, What};
    use super::*;
    use clap::Parser;

    #[test]
    fn right_values_are_taken() {
        let line = "tierline phone --server ::1 --answer --press ,*1#a --hang-up 0.5 --calls 3";
        let What::Phone(args) = Args::parse_from(line.split(' ')).what else { panic!("`phone` is a command") };
        assert_eq!((args.answer, args.press.as_deref()), (Some(Duration::from_secs(1)), Some(",*1#A")));
        assert_eq!((args.hang_up, args.calls), (Some(Duration::from_millis(500)), Some(3)));
        assert_eq!(args.server.to_string(), "[::1]:5060");
    }
}
