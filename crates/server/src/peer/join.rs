//! How a server comes into its cluster: it asks the configured peers until one has it admitted.
//!
//! A server asks at every start. For a member with unchanged addresses that is one answer; a server with an empty
//! directory is admitted under a new id in the place of the old server of its name.

use std::{sync::Arc, time::Duration};

use threefold_proto::peer;
use tokio::time::{sleep, timeout};

use super::channels::{Channels, Lane};
use crate::{
    config::PeerConfig,
    raft::types::{Member, member_to_wire},
};

/// Between two rounds of asking.
const RETRY: Duration = Duration::from_millis(200);
/// A peer that does not answer within this is passed over.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks until admitted.
pub async fn join(channels: Arc<Channels>, id: u64, member: Member, peers: Vec<PeerConfig>) {
    let others = peers.into_iter().filter(|peer| peer.name != member.name).collect::<Vec<_>>();
    if others.is_empty() {
        return;
    }
    let mut said = String::new();
    loop {
        for other in &others {
            match ask(&channels, id, &member, other).await {
                Ok(()) => {
                    tracing::info!(via = %other.name, "this server is a member of the cluster");
                    return;
                }
                Err(why) => {
                    let why = format!("{}: {why}", other.name);
                    if why != said {
                        tracing::info!("waiting to be admitted: {why}");
                        said = why;
                    }
                }
            }
        }
        sleep(RETRY).await;
    }
}

async fn ask(channels: &Channels, id: u64, member: &Member, other: &PeerConfig) -> Result<(), String> {
    use peer::join_reply::State;
    let target =
        Member { name: other.name.clone(), peer_address: other.peer_address.clone(), client_address: String::new() };
    let request = peer::JoinRequest { node_id: id, node: Some(member_to_wire(member)), hops: 0 };
    let reply = timeout(PATIENCE, channels.client(&target, Lane::Control).join(request))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    match reply.state() {
        State::Admitted => Ok(()),
        State::Pending | State::Refused | State::Unspecified => Err(reply.detail),
    }
}
