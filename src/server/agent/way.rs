//! The way to the server: a connection with the token, and the stream, which is opened again and again.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

use super::{AGAIN, Settings};
use crate::proto::{self, desk_client::DeskClient};
use crate::server::wrong::{OrWrong, Wrong};
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

pub(super) type Desk = DeskClient<tonic::service::interceptor::InterceptedService<Channel, Bearer>>;

/// Sends the token with everything.
#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

const HINT: &str = "it must be where the server listens for gRPC, `[server.cti]` of its configuration";

pub(super) async fn connect(settings: &Settings) -> Result<Desk> {
    let server = url(&settings.server);
    let wrong =
        |why| Wrong(format!("`{}` is no address to ask at ({why}); allowed: HOST:PORT or a URL", settings.server));
    let endpoint = Endpoint::from_shared(server.clone()).map_err(wrong)?;
    let mut endpoint = endpoint.connect_timeout(Duration::from_secs(5));
    if server.starts_with("https://") {
        let lacks = || Wrong("say with --trust which roots the server's certificate has".to_owned());
        let file = settings.trust.as_ref().ok_or_else(lacks)?;
        let roots = std::fs::read(file).with_context(|| format!("cannot read {}", file.display())).or_wrong()?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots));
        endpoint = endpoint.tls_config(tls).with_context(|| format!("{} holds no roots", file.display())).or_wrong()?;
    }
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|why| {
        let why = anyhow::Error::from(why); // each layer below says the same once more
        anyhow::anyhow!("nobody answers at {server}; {HINT}: {}", why.root_cause())
    })?;
    let token = format!("Bearer {}", settings.token).parse().context("this can be no token").or_wrong()?;
    Ok(DeskClient::with_interceptor(channel, Bearer(token)))
}

/// As phones take it: an address and a port are enough.
pub(super) fn url(server: &str) -> String {
    if server.contains("://") { server.to_owned() } else { format!("http://{server}") }
}

/// What the server has against a request.
pub(super) fn refused(status: &tonic::Status) -> anyhow::Error {
    let unknown = "the server does not know this token; name the server's data directory (--data) or configuration \
                   (--config), where its tokens are, or give one with --token";
    match status.code() {
        tonic::Code::Unauthenticated => Wrong(unknown.to_owned()).into(),
        // As somebody else answers who listens there: HTTP of another kind, or none at all.
        // (A proxy before a server that is gone for a moment says 502 or 503, which is told as being away.)
        code if code != tonic::Code::Unavailable && status.message().starts_with("grpc-status header missing") => {
            Wrong(format!("what answers there speaks no gRPC; {HINT}")).into()
        }
        _ if status.message() == "transport error" => {
            anyhow::anyhow!("the server does not answer, or what does speaks no gRPC; {HINT}")
        }
        _ => anyhow::anyhow!("{}", status.message()),
    }
}

/// It will be back, or nobody knows whether it has heard.
pub(super) fn is_away(status: &tonic::Status) -> bool {
    matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled)
}

/// Reads the stream, again and again. Ends with an error that asking again cannot help.
pub(super) async fn watch(mut desk: Desk, items: mpsc::Sender<Result<proto::Item>>) {
    let (mut cursor, mut away) = (Vec::new(), false);
    loop {
        let stream = desk.watch(proto::WatchRequest { cursor: cursor.clone() }).await;
        let ended = match stream {
            Ok(stream) => {
                if std::mem::take(&mut away) {
                    eprintln!("connected again");
                }
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(item)) => {
                            cursor.clone_from(&item.cursor);
                            if items.send(Ok(item)).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => break tonic::Status::unavailable("the stream ended"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        match ended.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                _ = items.send(Err(refused(&ended))).await;
                return;
            }
            tonic::Code::OutOfRange => cursor.clear(), // another log: begin anew
            _ if is_away(&ended) && !std::mem::replace(&mut away, true) => {
                eprintln!("not connected; it is tried again until the server is back");
            }
            _ => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}
