//! `threefold certs`: an authority and a certificate for each named server, as files.

use std::path::PathBuf;

use clap::Args;
use threefold_server::peer::certs::{self, AUTHORITY_CERTIFICATE, AUTHORITY_KEY, CertsError};

use crate::exit::Failure;

/// The options of `threefold certs`.
#[derive(Args, Debug)]
#[command(after_help = "Copy authority.pem and each server's two files to its machine; authority.key stays here, \
                        to issue certificates for further servers later.")]
pub struct CertsArgs {
    /// The directory for the files; an authority already there is used again.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A server's name; may be repeated.
    #[arg(long = "name", value_name = "NAME", required = true, value_delimiter = ',')]
    names: Vec<String>,
    /// A further host name or IP address in each certificate; may be repeated. Servers check names only.
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
}

/// Runs `threefold certs`.
///
/// # Errors
/// When a name does not fit, or a file exists already or cannot be written.
pub fn run(args: &CertsArgs) -> Result<(), Failure> {
    for name in &args.names {
        certs::check_server_name(name).map_err(|error| failure(&error))?;
    }
    let authority = args.out.join(AUTHORITY_CERTIFICATE);
    if !authority.exists() && !args.out.join(AUTHORITY_KEY).exists() {
        certs::create_authority(&args.out).map_err(|error| failure(&error))?;
        println!("{}", authority.display());
        println!("{}", args.out.join(AUTHORITY_KEY).display());
    }
    for name in &args.names {
        certs::issue(&args.out, &args.out, name, &args.hosts).map_err(|error| failure(&error))?;
        let (certificate, key) = certs::server_files(&args.out, name);
        println!("{}\n{}", certificate.display(), key.display());
    }
    Ok(())
}

fn failure(error: &CertsError) -> Failure {
    match error {
        CertsError::Name(_) => Failure::Usage(error.to_string()),
        CertsError::Exists(_) | CertsError::File { .. } | CertsError::Certificate { .. } => {
            Failure::Refused(error.to_string())
        }
    }
}
