//! What asks over gRPC: `tierline agent` and `tierline banner`.

use super::{Place, Where, well};
use std::path::PathBuf;
use std::process::ExitCode;
use tierline::server;
use tierline::server::accounts::Kind;
use tierline::server::wrong::{OrWrong, Wrong};

/// Where to ask over gRPC, and as whom.
#[derive(clap::Args)]
pub struct Grpc {
    /// Where the server listens for gRPC. Default: where the one on this machine does whose data directory it is, or
    /// http://127.0.0.1:50051.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The token. Default: looked up where a server on this machine has its tokens.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    place: Where,
    /// For https: a PEM file of the roots to trust.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

/// Where the demo listens.
const DEMO: &str = "http://127.0.0.1:50051";

#[derive(clap::Args)]
pub struct BannerArgs {
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
pub enum Switch {
    On,
    Off,
}

#[derive(clap::Args)]
pub struct AgentArgs {
    /// Who: an agent's user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    grpc: Grpc,
    /// Ask this, as it would be typed, then the next, and end.
    #[arg(long = "do", value_name = "LINE")]
    asks: Vec<String>,
    /// Print JSON, a line each.
    #[arg(long)]
    json: bool,
}

fn grpc(grpc: Grpc, user: Option<&str>) -> anyhow::Result<server::agent::Settings> {
    let Grpc { server, token, place, trust } = grpc;
    let place = match (&server, &token) {
        (Some(_), Some(_)) => None,
        _ => Some(place.find()?),
    };
    let noted = || place.as_ref().and_then(Place::serving).and_then(|serving| serving.grpc);
    let server = server.or_else(noted).unwrap_or_else(|| DEMO.to_owned());
    let token = match (token, user, &place) {
        (Some(token), ..) => token,
        (None, Some(user), Some(place)) => {
            let file = place.secrets(Kind::Tokens)?;
            let lacks = |what: &str| Wrong(format!("{} has {what} of `{user}`; say it by --token", file.display()));
            let token = server::accounts::read(&file, Kind::Tokens).or_wrong()?.get(user).cloned();
            let token = token.ok_or_else(|| lacks("no token"))?;
            if token.starts_with("sha256:") {
                return Err(lacks("only a digest of the token").into());
            }
            token
        }
        (None, ..) => return Err(Wrong("say who: --user NAME, or --token TOKEN".to_owned()).into()),
    };
    Ok(server::agent::Settings { server, token, trust, asks: Vec::new(), json: false })
}

pub fn agent(AgentArgs { user, grpc: way, asks, json }: AgentArgs) -> anyhow::Result<ExitCode> {
    let settings = server::agent::Settings { asks, json, ..grpc(way, user.as_deref())? };
    Ok(well(server::agent::run(settings)?))
}

pub fn banner(BannerArgs { state, name, user, grpc: way }: BannerArgs) -> anyhow::Result<ExitCode> {
    let state = if state == Switch::On { "on" } else { "off" };
    let done = server::agent::once(&grpc(way, Some(&user))?, &format!("banner {state} {name}"))?;
    Ok(well(done))
}
