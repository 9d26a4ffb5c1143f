//! The kinds of values that settings have, each checked as it is read, wherever it is read from.

use std::{fmt, net::SocketAddr, str::FromStr};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use threefold_server::{config::PeerConfig, peer::certs};

/// Where to listen: an IP address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{text:?} is no address to listen on: write IP:PORT, such as 127.0.0.1:7400"))
    }
}

/// What others are told: a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(pub String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address: write HOST:PORT, such as chat-1.example:7400");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        if host.is_empty() || !(bracketed || host.chars().all(plain)) {
            return Err(wrong());
        }
        match port.parse::<u16>() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(_) => Ok(Self(text.to_owned())),
        }
    }
}

/// Where a web page comes from, as browsers say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(pub String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let place = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let plain =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':' | '[' | ']');
        match place {
            Some(place) if !place.is_empty() && place.chars().all(plain) => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "{text:?} is no origin: write SCHEME://HOST or SCHEME://HOST:PORT, such as https://chat.example"
            )),
        }
    }
}

/// A server of the cluster: its name and its peer address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Peer(pub PeerConfig);

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.trim().split_once('=').ok_or_else(|| {
            format!("{text:?} is no peer: write NAME=HOST:PORT, such as server-2=chat-2.example:7500")
        })?;
        certs::check_server_name(name).map_err(|error| error.to_string())?;
        let address: Address = address.parse()?;
        Ok(Self(PeerConfig { name: name.to_owned(), peer_address: address.0 }))
    }
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

macro_rules! through_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

through_text!(Listen, Address, Origin, Peer);

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.0.name, self.0.peer_address)
    }
}
