//! Wire formats only: the chat protocol clients speak (as protobuf and as JSON), the peer protocol servers speak, and the
//! conversions between them and the domain's types. No sockets, no decisions.

/// `proto/chat.proto`: what clients speak.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated; documented in the proto file")]
pub mod chat {
    tonic::include_proto!("threefold.chat.v1");
}

/// `proto/peer.proto`: what servers speak with each other.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated; documented in the proto file")]
pub mod peer {
    tonic::include_proto!("threefold.peer.v1");
}

pub mod convert;
pub mod json;

/// The calls of the chat protocol that are answered once, named as in JSON: in lower case, words joined by `_`.
pub const CALLS: &[&str] = include!(concat!(env!("OUT_DIR"), "/calls.rs"));
pub mod framing;

/// Both protocols' descriptors, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/threefold.descriptors.bin"));
