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
    raft::{
        Engine,
        types::{Member, member_to_wire},
    },
};

/// Between two rounds of asking.
const RETRY: Duration = Duration::from_millis(200);
/// A member asks again this often: a leader may have died before its admission was certain.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A peer that does not answer within this is passed over.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether this server may found a cluster: every configured peer has answered, and none is part of a cluster. Else it
/// must join: a founder that came back with an empty directory would found a second cluster beside the first.
pub async fn may_found(channels: &Channels, name: &str, peers: &[PeerConfig]) -> bool {
    for other in peers.iter().filter(|peer| peer.name != name) {
        let mut said = false;
        loop {
            let mut client = channels.client(&as_member(other), Lane::Control);
            match timeout(PATIENCE, client.status(peer::PeerStatusRequest {})).await {
                Ok(Ok(status)) if status.get_ref().initialized => {
                    tracing::warn!(server = %other.name, "not founding a cluster: a configured peer is part of one already");
                    return false;
                }
                Ok(Ok(_)) => break,
                Ok(Err(_)) | Err(_) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::info!(server = %other.name, "waiting for the peer to answer before founding a cluster");
                    }
                    sleep(RETRY).await;
                }
            }
        }
    }
    true
}

/// Asks until admitted, and from time to time whether that still holds. Runs for ever.
pub async fn join(channels: Arc<Channels>, engine: Arc<Engine>, member: Member, peers: Vec<PeerConfig>) {
    let others = peers.into_iter().filter(|peer| peer.name != member.name).collect::<Vec<_>>();
    let mut said = String::new();
    while !others.is_empty() {
        let mut admitted = false;
        for other in &others {
            let news = match ask(&channels, &engine, &member, other).await {
                Ok(()) => {
                    admitted = true;
                    "this server is a member of the cluster".to_owned()
                }
                Err(why) => format!("waiting to be admitted: {}: {why}", other.name),
            };
            if news != said {
                tracing::info!("{news}");
                said = news;
            }
            if admitted {
                break;
            }
        }
        sleep(if admitted { LOOK_AGAIN } else { RETRY }).await;
    }
}

fn as_member(peer: &PeerConfig) -> Member {
    Member::at(&peer.name, &peer.peer_address, "")
}

async fn ask(channels: &Channels, engine: &Engine, member: &Member, other: &PeerConfig) -> Result<(), String> {
    use peer::join_reply::State;
    let request = peer::JoinRequest {
        node_id: engine.id(),
        node: Some(member_to_wire(member)),
        hops: 0,
        recovery_id: engine.cluster().recovery_id().into(),
    };
    let reply = timeout(PATIENCE, channels.client(&as_member(other), Lane::Control).join(request))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    match reply.state() {
        State::Admitted => Ok(()),
        State::Pending | State::Refused | State::Unspecified => Err(reply.detail),
    }
}
