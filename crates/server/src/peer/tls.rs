//! Who may speak on the peer port: mutual TLS 1.3 under the cluster's own authority.
//!
//! A server's certificate bears its name as a DNS name; whoever dials a server names the one it means to
//! reach, so that a mixed-up address is an error and not another server's vote.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{config::PeerTls, net::boundary::Watched};

/// The protocol of a death stream, as TLS negotiates it.
pub const DEATH_ALPN: &[u8] = b"threefold-death/1";

/// This server's certificate, and how it checks those of others.
#[derive(Clone)]
pub struct Identity {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    death_connector: TlsConnector,
}

/// A file that cannot be used; the words name it.
#[derive(Debug, thiserror::Error)]
#[error("peer TLS: {0}")]
pub struct TlsError(String);

impl Identity {
    /// Reads the PEM files.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be.
    pub fn load(files: &PeerTls) -> Result<Self, TlsError> {
        let in_file = |path: &Path, error: &dyn std::fmt::Display| TlsError(format!("{}: {error}", path.display()));
        let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, TlsError> {
            let all = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| in_file(path, &error))?;
            if all.is_empty() { Err(in_file(path, &"holds no certificate")) } else { Ok(all) }
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.ca)? {
            roots.add(root).map_err(|error| in_file(&files.ca, &error))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| in_file(&files.key, &error))?;
        let unusable = |error: &dyn std::fmt::Display| in_file(&files.certificate, error);

        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| unusable(&error))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| unusable(&error))?;
        server.alpn_protocols = vec![b"h2".to_vec(), DEATH_ALPN.to_vec()];
        // Unread tickets in a dead process's buffers would turn the end of its streams into a reset.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| unusable(&error))?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        let mut death = client.clone();
        death.alpn_protocols = vec![DEATH_ALPN.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            death_connector: TlsConnector::from(Arc::new(death)),
        })
    }

    /// The server side of a connection.
    pub async fn accept(
        &self,
        stream: tokio::net::TcpStream,
    ) -> io::Result<tokio_rustls::server::TlsStream<Watched<tokio::net::TcpStream>>> {
        self.acceptor.accept(Watched::new(stream)).await
    }

    /// The client side of a connection to the server called `name`.
    pub async fn connect(
        &self,
        name: &str,
        stream: tokio::net::TcpStream,
    ) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

impl Identity {
    /// The client side of a death stream to the server called `name`.
    pub async fn connect_death<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: &str,
        stream: S,
    ) -> io::Result<tokio_rustls::client::TlsStream<S>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        self.death_connector.connect(name, stream).await
    }
}

/// Whether a certificate bears `name`.
pub fn bears_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(certificate), Ok(name)) = (webpki::EndEntityCert::try_from(certificate), ServerName::try_from(name)) else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}
