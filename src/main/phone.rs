//! `tierline phone`.

use super::values::{calls, keys, seconds};
use super::{Place, Where, well};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tierline::server;
use tierline::server::accounts::Kind;
use tierline::server::phone::ServerName;
use tierline::server::wrong::{OrWrong, Wrong};

#[derive(clap::Args)]
pub struct PhoneArgs {
    /// Where the server listens for SIP: an address or a host name, with or without a port (default 5060). Default: where
    /// the one on this machine does whose data directory it is, or 127.0.0.1:5060.
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<ServerName>,
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

/// From the server's file, or why there is none: whoever calls with a number of his own needs none.
fn password_of(user: &str, place: &Place) -> anyhow::Result<Result<String, String>> {
    let file = place.secrets(Kind::Passwords)?;
    let shown = file.display();
    match file.try_exists() {
        Ok(true) => {
            let found = server::accounts::read(&file, Kind::Passwords).or_wrong()?.remove(user);
            Ok(found.ok_or_else(|| format!("{shown} has no password of `{user}`")))
        }
        Ok(false) => {
            Ok(Err(format!("there is no {shown} here (the server may have been started in another directory)")))
        }
        Err(why) => Ok(Err(format!("cannot look for {shown}: {why}"))),
    }
}

/// Where to call. A configuration that cannot be read is none of the business of who names no server by it.
fn called(is_named: bool, place: anyhow::Result<Place>) -> anyhow::Result<ServerName> {
    let found = match place {
        Ok(place) => place.serving().and_then(|serving| serving.sip).map(|sip| sip.to_string()),
        Err(why) if is_named => return Err(why),
        Err(_) => None,
    };
    let name = found.unwrap_or_else(|| "127.0.0.1:5060".to_owned());
    name.parse().map_err(|why| Wrong(format!("the server is at {name}, which cannot be called: {why}")).into())
}

pub fn phone(args: PhoneArgs) -> anyhow::Result<ExitCode> {
    let (mut place, is_named) = (args.place.find(), args.place.config.is_some());
    let (password, lacks) = match (&args.user, args.password) {
        (Some(user), None) => {
            let found = place?;
            let password = password_of(user, &found)?;
            place = Ok(found);
            (password.as_ref().ok().cloned(), password.err())
        }
        (_, password) => (password, None),
    };
    let settings = server::phone::Settings {
        server: Some(args.server.map_or_else(|| called(is_named, place), Ok)?),
        user: args.user,
        password,
        lacks,
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
        assert_eq!(args.server.expect("a server").to_string(), "[::1]:5060");
    }
}
