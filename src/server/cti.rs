//! gRPC for desktops: who asks, commands, the event stream, health, reflection.
//!
//! | file | what it does |
//! |---|---|
//! | `tokens` | who somebody is |
//! | `asking` | a command's way to the engine and back |
//! | `door` | how many may connect |
//! | `hub` | events from the log to all who look |
//! | `watching` | one reader's stream |
//! | `presence` | who is at a desktop, and since when not any more |
//! | `worded` | a refusal that names what was asked for, and what there is |
//!
//! Events are read from the log after they were committed: what a desktop has seen, a restart remembers.

mod asking;
mod door;
mod hub;
mod presence;
pub mod tokens;
mod watching;
mod worded;

pub use asking::Replies;

use super::inbox::Inbox;
use super::store::{Reader, Store};
use crate::center::Center;
use crate::config::{self, CtiSettings};
use crate::event::{Event, Mark, What};
use crate::ids::AgentId;
use crate::proto;
use crate::proto::desk_server::{Desk, DeskServer};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokens::{Owner, Tokens};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// A command is small; notes are its longest part. One whole Attach of 64 values of 1,000 bytes fits.
const LONGEST_MESSAGE: usize = 128 * 1024;
/// A peer that is gone without a word is known to be so within the sum of both.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_ANSWER: Duration = Duration::from_secs(5);

/// What the service stands on.
pub struct Ground {
    pub center: Center,
    pub data: PathBuf,
    pub inbox: Inbox,
    pub replies: Replies,
    pub store: Arc<Store>,
    /// The last event before this start.
    pub before: u64,
    pub left: Left,
}

/// What earlier starts left behind for desktops.
#[derive(Debug, Default)]
pub struct Left {
    /// Agents who had logged in at one.
    pub desks: BTreeSet<AgentId>,
    /// Commands that were carried out, the last one last.
    pub commands: Vec<Mark>,
    /// Announcements that somebody has switched.
    pub switched: BTreeMap<String, bool>,
}

impl Left {
    /// From what is open in the log.
    pub fn of(recovered: &[Event]) -> Left {
        let mut left = Left::default();
        let mut commands = BTreeMap::new();
        for event in recovered {
            match &event.what {
                What::DeskEntered { agent } => _ = left.desks.insert(*agent),
                What::CommandDone { mark } => _ = commands.insert(event.seq, *mark),
                What::BannerSwitched { banner, on } => _ = left.switched.insert(banner.clone(), *on),
                _ => {}
            }
        }
        left.commands = commands.into_values().collect();
        left
    }
}

/// What is opened before anything serves.
pub struct Opened {
    pub listener: TcpListener,
    pub secrets: Secrets,
}

/// What proves who somebody is, and who we are.
pub struct Secrets {
    tokens: Tokens,
    tls: Option<tonic::transport::Identity>,
}

/// Reads tokens and certificates.
///
/// # Errors
/// One of them cannot be had.
pub fn secrets(settings: &CtiSettings, center: &Center, data: &Path) -> Result<Secrets> {
    let tokens = Tokens::load(settings, center, data)?;
    Ok(Secrets { tokens, tls: certificate(settings)? })
}

/// What a desktop is shown, if that is encrypted.
///
/// # Errors
/// A file cannot be read.
pub fn certificate(settings: &CtiSettings) -> Result<Option<tonic::transport::Identity>> {
    settings.tls.as_ref().map(|(certificate, key)| identity(certificate, key)).transpose()
}

fn identity(certificate: &Path, key: &Path) -> Result<tonic::transport::Identity> {
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("cannot read {}", config::shown(file)));
    Ok(tonic::transport::Identity::from_pem(read(certificate)?, read(key)?))
}

/// Serves until the future is dropped.
///
/// # Errors
/// The certificate cannot be used, or the log cannot be read.
pub fn serve(
    opened: Opened,
    settings: &CtiSettings,
    ground: Ground,
) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
    let (committed, watched) = watch::channel(ground.before);
    ground.store.on_commit(Box::new(move |seq| _ = committed.send(seq)));
    let log = hub::Log { reader: Reader::of(&ground.data)?, recent: ground.store.recent() };
    let hub = hub::Hub::start(log, (ground.before, &ground.left), watched.clone(), settings.waiting as usize)?;
    let presence = presence::Presence::start(settings.desk_lost, ground.inbox.clone(), ground.left.desks);
    let limits = watching::Limits::new(settings);
    let (inbox, replies, presence_of_door) = (ground.inbox, ground.replies, Arc::clone(&presence));
    let door = asking::Door { inbox, replies, committed: watched, presence: presence_of_door };
    let service = Service {
        tokens: Arc::new(opened.secrets.tokens),
        asking: asking::Asking::new(door, &ground.left.commands),
        watching: watching::Watching { center: Arc::new(ground.center), data: ground.data, hub, presence, limits },
    };
    let mut server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_ANSWER))
        .max_concurrent_streams(settings.calls_each);
    if let Some(identity) = opened.secrets.tls {
        server = server.tls_config(tonic::transport::ServerTlsConfig::new().identity(identity))?;
    }
    let incoming = door::Incoming::new(opened.listener, settings.connections as usize);
    let desk = DeskServer::new(service).max_decoding_message_size(LONGEST_MESSAGE);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTION)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(async move {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<DeskServer<Service>>().await;
        let router = server.add_service(health_service).add_service(reflection).add_service(desk);
        router.serve_with_incoming(incoming).await.context("gRPC has ended")
    })
}

/// The desk's service.
pub struct Service {
    tokens: Arc<Tokens>,
    asking: asking::Asking,
    watching: watching::Watching,
}

impl Service {
    fn who<T>(&self, request: &Request<T>) -> Result<Owner, Status> {
        let written = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = written.and_then(|value| value.strip_prefix("Bearer "));
        let owner = token.and_then(|token| self.tokens.owner(token));
        owner.iter().for_each(|_| door::proven(request));
        owner.ok_or_else(|| Status::unauthenticated("send `authorization: Bearer TOKEN` with a token that is known"))
    }
}

#[tonic::async_trait]
impl Desk for Service {
    async fn r#do(&self, request: Request<proto::Command>) -> Result<Response<proto::Outcome>, Status> {
        let owner = self.who(&request)?;
        let asked = request.into_inner();
        let ask = asked.ask.clone();
        let mut outcome = self.asking.ask(owner, asked).await;
        worded::refusal(&mut outcome, ask.as_ref(), &self.watching.center);
        Ok(Response::new(outcome))
    }

    type WatchStream = watching::Stream;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Result<Response<watching::Stream>, Status> {
        let owner = self.who(&request)?;
        Ok(Response::new(self.watching.open(owner, request.into_inner().cursor).await?))
    }
}
