//! TLS for SIP (RFC 3261 §26.3.1, RFC 5922 §7): rustls with ring, TLS 1.2 and 1.3.
//!
//! Files are read again on SIGHUP and when one has changed; a file that cannot be used changes nothing. Connections
//! that are open keep what they began with. Who we connect to must have a certificate for the name in the URI, not for
//! the one that SRV led to. Left out: certificates of phones (they prove themselves by Digest).

use super::certificates;
use super::counters::Counters;
use crate::config::{self, TlsSettings};
use crate::server::journal::Entry;
use anyhow::{Context, Result, bail};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What TLS listeners and connections of ours use.
pub struct Tls {
    files: Files,
    current: RwLock<Current>,
}

/// Which files.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    trust: Option<PathBuf>,
}

#[derive(Clone)]
struct Current {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// `names` are host names and addresses that a certificate for trying out bears; it is made in `data` if none is
    /// configured.
    ///
    /// # Errors
    /// A file cannot be read, or certificate and key do not belong together.
    pub fn open(settings: &TlsSettings, data: &Path, names: &[String]) -> Result<Tls> {
        let (certificate, key) = match &settings.own {
            Some(own) => own.clone(),
            None => certificates::for_trying_out(&data.join("tls"), names)?,
        };
        let files = Files { certificate, key, trust: settings.trust.clone() };
        let current = RwLock::new(files.read()?);
        Ok(Tls { files, current })
    }

    /// Whether the files that are configured can be used; what cannot, with its place in the configuration.
    pub fn check(settings: &TlsSettings) -> Vec<((usize, usize), anyhow::Error)> {
        let own = settings.own.clone().map(|(certificate, key)| Files { certificate, key, trust: None });
        let own = own.map_or(Ok(()), |files| files.server().map(drop));
        let trust = roots(settings.trust.as_deref()).map(drop);
        let all = [(settings.own_place, own), (settings.trust_place, trust)];
        all.into_iter().filter_map(|(place, had)| Some((place, had.err()?))).collect()
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().server)
    }

    /// A handshake as client; `name` is a host name or an address.
    ///
    /// # Errors
    /// The peer is not who it should be, or does not speak TLS.
    pub async fn connect(&self, name: String, stream: TcpStream) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        TlsConnector::from(self.current().client).connect(name, stream).await
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`Tls::open`]; then all stays as it was.
    pub fn reload(&self) -> Result<()> {
        let read = self.files.read()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Reads the files again on SIGHUP and when they have changed, for ever.
    pub async fn follow(self: Arc<Self>, counters: Arc<Counters>) {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut asked) = signal(SignalKind::hangup()) else { return };
        let (mut looks, mut seen) = (tokio::time::interval(LOOK), self.files.changed());
        loop {
            let must = tokio::select! {
                _ = asked.recv() => true,
                _ = looks.tick() => false,
            };
            let now = self.files.changed();
            if !must && now == seen {
                continue;
            }
            seen = now;
            let read = self.reload();
            counters.reloaded(read.is_ok());
            let file = self.files.certificate.as_path();
            let line = match &read {
                Ok(()) => Entry::info("tls", "a new certificate is in use from now on").with("file", file),
                Err(why) => {
                    let stays = "the certificate in use stays, because the new one cannot be used";
                    Entry::error("tls", stays).with("why", why)
                }
            };
            line.tell();
        }
    }
}

impl Files {
    fn read(&self) -> Result<Current> {
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_root_certificates(roots(self.trust.as_deref())?)
            .with_no_client_auth();
        Ok(Current { server: Arc::new(self.server()?), client: Arc::new(client) })
    }

    fn server(&self) -> Result<ServerConfig> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("no private key in PEM can be read from {}", config::shown(&self.key)))?;
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .with_context(|| {
                format!("{} and {} cannot be used together", config::shown(&self.certificate), config::shown(&self.key))
            })
    }

    /// When each file was written last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [Some(&self.certificate), Some(&self.key), self.trust.as_ref()];
        files.into_iter().flatten().map(|file| file.metadata().and_then(|data| data.modified()).ok()).collect()
    }
}

/// Roots of servers that we connect to: of a file, or the system's.
fn roots(trust: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = match trust {
        Some(file) => certificates(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (used, _) = roots.add_parsable_certificates(found);
    match trust {
        Some(file) if used == 0 => bail!("{} holds no root certificate", config::shown(file)),
        _ => Ok(roots),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => bail!("{} holds no certificate; allowed: a PEM file with one", config::shown(file)),
        Err(why) => {
            bail!("no certificate can be read from {}: {why}; allowed: a PEM file with one", config::shown(file))
        }
    }
}
