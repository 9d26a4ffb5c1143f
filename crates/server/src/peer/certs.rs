//! Makes the certificates of the links between servers: one authority a cluster, one certificate a server.
//!
//! A server's certificate bears its name as its DNS name, because whoever dials a server checks that the answer comes
//! from the server it meant, wherever that one lives today. Further hosts and addresses may be added for other tools.
//! Both ends of a link show their certificate, so each is good for both ends.
//!
//! What is left out on purpose: expiry and revocation. A cluster must not stop by itself on some date, and whoever can
//! take a server's key can take its data; to shut a server out, make a new authority. The authority's key is needed
//! only to issue: keep it off the servers when they are several machines.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// The authority's certificate, within its directory.
pub const AUTHORITY_CERTIFICATE: &str = "authority.pem";
/// The authority's key, within its directory; readable by its owner only.
pub const AUTHORITY_KEY: &str = "authority.key";
/// A server's name in characters: one label of a DNS name, RFC 1035 section 2.3.4.
pub const SERVER_NAME_CHARS: usize = 63;
/// The first and the last year of every certificate: wide, so that no clock and no anniversary stops a cluster.
const VALID_YEARS: (i32, i32) = (2020, 2120);

/// Why no certificate was made; the words name the file.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// The name does not fit into a certificate.
    #[error(
        "{0:?} is no server name: it has 1 to 63 letters, digits and \"-\", begins with a letter and does not end with \"-\""
    )]
    Name(String),
    /// A file that must not be overwritten is there.
    #[error("{} exists already; remove it first if it is to be replaced", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file's content, or the request, makes no certificate.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        error: rcgen::Error,
    },
}

/// Checks a server's name: it must be usable as a DNS name in a certificate and as a part of a file name.
///
/// # Errors
/// [`CertsError::Name`] when it is not.
pub fn check_server_name(name: &str) -> Result<(), CertsError> {
    let fits = name.len() <= SERVER_NAME_CHARS
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !name.ends_with('-')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    if fits { Ok(()) } else { Err(CertsError::Name(name.to_owned())) }
}

/// Where the certificate of `server_name` and its key stand within `directory`.
#[must_use]
pub fn server_files(directory: &Path, server_name: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{server_name}.pem")), directory.join(format!("{server_name}.key")))
}

/// Makes a new authority in `directory` ([`AUTHORITY_CERTIFICATE`], [`AUTHORITY_KEY`]), creating the directory.
///
/// # Errors
/// When one of the files is there already or cannot be written.
pub fn create_authority(directory: &Path) -> Result<(), CertsError> {
    let certificate_path = directory.join(AUTHORITY_CERTIFICATE);
    let in_file = |error| CertsError::Certificate { path: certificate_path.clone(), error };
    let mut params = parameters("Threefold cluster authority", &[]).map_err(in_file)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(in_file)?;
    let certificate = params.self_signed(&key).map_err(in_file)?;
    fs::create_dir_all(directory).map_err(|error| CertsError::File { path: directory.to_owned(), error })?;
    write_new(&directory.join(AUTHORITY_KEY), &key.serialize_pem(), Secrecy::Secret)?;
    write_new(&certificate_path, &certificate.pem(), Secrecy::Public)
}

/// Issues a certificate for the server called `server_name` into `out_directory` (see [`server_files`]), signed by the
/// authority in `authority_directory`. `hosts` are further DNS names or IP addresses.
///
/// # Errors
/// When the name or a host does not fit, the authority cannot be read, or a file is there already or cannot be
/// written.
pub fn issue(
    authority_directory: &Path,
    out_directory: &Path,
    server_name: &str,
    hosts: &[String],
) -> Result<(), CertsError> {
    check_server_name(server_name)?;
    let issuer = read_authority(authority_directory)?;
    let (certificate_path, key_path) = server_files(out_directory, server_name);
    let in_file = |error| CertsError::Certificate { path: certificate_path.clone(), error };
    let names: Vec<String> = std::iter::once(server_name.to_owned()).chain(hosts.iter().cloned()).collect();
    let mut params = parameters(server_name, &names).map_err(in_file)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().map_err(in_file)?;
    let certificate = params.signed_by(&key, &issuer).map_err(in_file)?;
    fs::create_dir_all(out_directory).map_err(|error| CertsError::File { path: out_directory.to_owned(), error })?;
    write_new(&key_path, &key.serialize_pem(), Secrecy::Secret)?;
    write_new(&certificate_path, &certificate.pem(), Secrecy::Public)
}

fn parameters(common_name: &str, names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(VALID_YEARS.0, 1, 1);
    params.not_after = date_time_ymd(VALID_YEARS.1, 12, 31);
    Ok(params)
}

fn read_authority(directory: &Path) -> Result<Issuer<'static, KeyPair>, CertsError> {
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path).map(|text| (text, path.clone())).map_err(|error| CertsError::File { path, error })
    };
    let (key, key_path) = read(AUTHORITY_KEY)?;
    let (certificate, certificate_path) = read(AUTHORITY_CERTIFICATE)?;
    let key = KeyPair::from_pem(&key).map_err(|error| CertsError::Certificate { path: key_path, error })?;
    Issuer::from_ca_cert_pem(&certificate, key)
        .map_err(|error| CertsError::Certificate { path: certificate_path, error })
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Secret,
    Public,
}

/// Writes a file that is not there yet; a secret one is never readable by others, not even for a moment.
fn write_new(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), CertsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secrecy == Secrecy::Secret { 0o600 } else { 0o644 });
    }
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CertsError::Exists(path.to_owned()),
        _ => CertsError::File { path: path.to_owned(), error },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{
        ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        server::WebPkiClientVerifier,
    };

    use super::*;

    fn roots(authority: &Path) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.join(AUTHORITY_CERTIFICATE)).unwrap()).unwrap();
        Arc::new(roots)
    }

    fn identity(directory: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (certificate, key) = server_files(directory, name);
        (vec![CertificateDer::from_pem_file(certificate).unwrap()], PrivateKeyDer::from_pem_file(key).unwrap())
    }

    /// `client` (of one directory) dials `server` (of another), meaning the server called `meant`.
    fn handshake(client: (&Path, &str), server: (&Path, &str), meant: &str) -> Result<(), rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(server.0), provider.clone()).build().unwrap();
        let (chain, key) = identity(server.0, server.1);
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        let (chain, key) = identity(client.0, client.1);
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots(client.0))
            .with_client_auth_cert(chain, key)?;
        let name = ServerName::try_from(meant.to_owned()).unwrap();
        let mut client = Connection::Client(ClientConnection::new(Arc::new(client), name)?);
        let mut server = Connection::Server(ServerConnection::new(Arc::new(server))?);
        // A handshake of TLS 1.3 takes two flights each way.
        for _ in 0..4 {
            transfer(&mut client, &mut server)?;
            transfer(&mut server, &mut client)?;
        }
        assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake is done");
        Ok(())
    }

    fn transfer(from: &mut Connection, to: &mut Connection) -> Result<(), rustls::Error> {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn servers_of_one_authority_shake_hands_both_ways() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        create_authority(path).unwrap();
        issue(path, path, "server-1", &[]).unwrap();
        issue(path, path, "server-2", &["127.0.0.1".to_owned(), "chat.example".to_owned()]).unwrap();
        handshake((path, "server-1"), (path, "server-2"), "server-2").unwrap();
        handshake((path, "server-2"), (path, "server-1"), "server-1").unwrap();
        handshake((path, "server-1"), (path, "server-2"), "127.0.0.1").unwrap();
        handshake((path, "server-1"), (path, "server-2"), "chat.example").unwrap();
        let mixed_up = handshake((path, "server-1"), (path, "server-2"), "server-3").unwrap_err();
        assert!(matches!(mixed_up, rustls::Error::InvalidCertificate(_)), "{mixed_up}");
    }

    #[test]
    fn certificates_of_another_authority_are_refused_both_ways() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for directory in [&ours, &theirs] {
            create_authority(directory.path()).unwrap();
            issue(directory.path(), directory.path(), "server-1", &[]).unwrap();
        }
        handshake((ours.path(), "server-1"), (theirs.path(), "server-1"), "server-1").unwrap_err();
        // A client that trusts us but cannot show a certificate of ours.
        let mixed = tempfile::tempdir().unwrap();
        fs::copy(ours.path().join(AUTHORITY_CERTIFICATE), mixed.path().join(AUTHORITY_CERTIFICATE)).unwrap();
        let (certificate, key) = server_files(theirs.path(), "server-1");
        let (to_certificate, to_key) = server_files(mixed.path(), "server-1");
        fs::copy(certificate, to_certificate).unwrap();
        fs::copy(key, to_key).unwrap();
        handshake((mixed.path(), "server-1"), (ours.path(), "server-1"), "server-1").unwrap_err();
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        create_authority(path).unwrap();
        assert!(matches!(create_authority(path), Err(CertsError::Exists(_))));
        issue(path, path, "a", &[]).unwrap();
        assert!(matches!(issue(path, path, "a", &[]), Err(CertsError::Exists(_))));
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let missing = issue(directory.path(), directory.path(), "a", &[]).unwrap_err().to_string();
        assert!(missing.contains(AUTHORITY_KEY), "{missing}");
        create_authority(directory.path()).unwrap();
        fs::write(directory.path().join(AUTHORITY_KEY), "nonsense").unwrap();
        let broken = issue(directory.path(), directory.path(), "a", &[]).unwrap_err().to_string();
        assert!(broken.contains(AUTHORITY_KEY), "{broken}");
    }

    #[test]
    fn names_fit_a_certificate_and_a_file() {
        for good in ["a", "server-1", "Node7", &"a".repeat(63)] {
            check_server_name(good).unwrap();
        }
        for bad in ["", "1", "-a", "a-", "a.b", "a_b", "../a", "ä", "a b", &"a".repeat(64)] {
            check_server_name(bad).unwrap_err();
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        create_authority(directory.path()).unwrap();
        issue(directory.path(), directory.path(), "a", &[]).unwrap();
        for key in [AUTHORITY_KEY, "a.key"] {
            let mode = fs::metadata(directory.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }
}
