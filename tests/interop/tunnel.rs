//! TLS for those who cannot: Debian's SIPp has none, so what it says over TCP goes through a tunnel of the test's own.

use super::harness::Ground;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Carries connections as long as it lives.
pub struct Tunnel {
    /// Where it takes them.
    pub at: SocketAddr,
    _runtime: Runtime,
}

/// Takes TCP and goes on to `to` over TLS, trusting `root`.
pub fn into_tls(ground: &Ground, to: SocketAddr, root: &Path) -> Tunnel {
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(root).expect("a file").map(|root| root.expect("a certificate"));
    roots.add_parsable_certificates(found);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    carry(ground, move |mut plain| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(to).await?;
            let mut hidden = connector.connect(ServerName::from(to.ip()), stream).await?;
            copy_bidirectional(&mut plain, &mut hidden).await
        }
    })
}

/// Takes TLS and goes on to `to` over TCP.
pub fn out_of_tls(ground: &Ground, to: SocketAddr, own: Arc<ServerConfig>) -> Tunnel {
    let acceptor = TlsAcceptor::from(own);
    carry(ground, move |hidden| {
        let acceptor = acceptor.clone();
        async move {
            let mut hidden = acceptor.accept(hidden).await?;
            let mut plain = TcpStream::connect(to).await?;
            copy_bidirectional(&mut hidden, &mut plain).await
        }
    })
}

/// A connection that breaks ends on both sides, and the test sees what is missing.
fn carry<Carried>(ground: &Ground, each: impl Fn(TcpStream) -> Carried + Send + 'static) -> Tunnel
where
    Carried: Future<Output = std::io::Result<(u64, u64)>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(ground.address())).expect("a port");
    let at = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    Tunnel { at, _runtime: runtime }
}
