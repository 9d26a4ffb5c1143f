//! Operators' orders, as they arrive at the peer port of any server.
//!
//! Whoever has a certificate of the cluster's authority may give them. What only the leader can do is passed on to it. An
//! order that was begun is carried to its end, though the one who gave it hangs up.

use std::sync::Arc;

use threefold_proto::peer::{self, admin_reply::State, admin_request, admin_server::Admin};
use tonic::{Request, Response, Status};

use super::{
    backup::{Backups, Chunks},
    channels::Channels,
};
use crate::raft::{Declined, Engine, Order};

/// An order is passed on at most this often: to the leader, and from a leader that hands over to the next.
const HOPS: u32 = 3;

/// The service and what it works with.
pub(super) struct AdminService {
    /// Raft.
    pub engine: Arc<Engine>,
    /// For passing on.
    pub channels: Arc<Channels>,
    /// For those who ask for everything.
    pub backups: Backups,
}

#[tonic::async_trait]
impl Admin for AdminService {
    type BackupStream = Chunks;

    async fn backup(&self, _request: Request<peer::BackupRequest>) -> Result<Response<Chunks>, Status> {
        self.backups.begin().await.map(Response::new)
    }

    async fn change(&self, request: Request<peer::AdminRequest>) -> Result<Response<peer::AdminReply>, Status> {
        let request = request.into_inner();
        let order = order_from_wire(request.clone()).ok_or_else(|| Status::unimplemented("an unknown order"))?;
        let engine = self.engine.clone();
        let task = tokio::spawn(async move { engine.order(&order).await });
        let outcome = task.await.map_err(|error| Status::internal(error.to_string()))?;
        let (state, detail) = match outcome {
            Ok(detail) => (State::Done, detail),
            Err(Declined::Refused(why)) => (State::Refused, why),
            Err(Declined::Unavailable(why)) => (State::Unavailable, why),
            Err(Declined::NotLeader(Some(leader))) if request.hops < HOPS => {
                let onward = peer::AdminRequest { hops: request.hops + 1, ..request };
                return self.channels.admin(&leader).change(onward).await;
            }
            Err(Declined::NotLeader(_)) => (State::Unavailable, "nobody leads just now".to_owned()),
        };
        Ok(Response::new(self.reply(state, detail)))
    }
}

impl AdminService {
    fn reply(&self, state: State, detail: String) -> peer::AdminReply {
        let overview = self.engine.overview();
        let members = overview.peers.into_iter().map(|known| peer::AdminMember {
            id: known.id,
            name: known.member.name,
            peer_address: known.member.peer_address,
            client_address: known.member.client_address,
            voter: known.voter,
            leader: overview.leader == Some(known.id),
        });
        peer::AdminReply {
            state: state.into(),
            detail,
            members: members.collect(),
            survivor_mode: self.engine.survivor_mode(),
        }
    }
}

/// An order as protobuf.
pub(super) fn order_to_wire(order: &Order) -> peer::AdminRequest {
    use admin_request::Order as Wire;
    let order = match order.clone() {
        Order::Invite { name, peer_address, in_place_of } => {
            Wire::Invite(peer::Invite { name, peer_address, in_place_of: in_place_of.unwrap_or_default() })
        }
        Order::Remove { name } => Wire::Remove(peer::Remove { name }),
        Order::TransferLeader { to } => Wire::TransferLeader(peer::TransferLeader { name: to.unwrap_or_default() }),
        Order::SurvivorMode { on } => Wire::SurvivorMode(peer::SetSurvivorMode { on }),
        Order::Look => Wire::Look(peer::Look {}),
    };
    peer::AdminRequest { order: Some(order), hops: 0 }
}

fn order_from_wire(request: peer::AdminRequest) -> Option<Order> {
    use admin_request::Order as Wire;
    let some = |name: String| Some(name).filter(|name| !name.is_empty());
    Some(match request.order? {
        Wire::Invite(peer::Invite { name, peer_address, in_place_of }) => {
            Order::Invite { name, peer_address, in_place_of: some(in_place_of) }
        }
        Wire::Remove(peer::Remove { name }) => Order::Remove { name },
        Wire::TransferLeader(peer::TransferLeader { name }) => Order::TransferLeader { to: some(name) },
        Wire::SurvivorMode(peer::SetSurvivorMode { on }) => Order::SurvivorMode { on },
        Wire::Look(peer::Look {}) => Order::Look,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_survives_the_wire() {
        let name = || "server-4".to_owned();
        let invite = |in_place_of| Order::Invite { name: name(), peer_address: "host:7500".to_owned(), in_place_of };
        for order in [
            invite(None),
            invite(Some("server-1".to_owned())),
            Order::Remove { name: name() },
            Order::TransferLeader { to: None },
            Order::TransferLeader { to: Some(name()) },
            Order::SurvivorMode { on: true },
            Order::SurvivorMode { on: false },
            Order::Look,
        ] {
            assert_eq!(order_from_wire(order_to_wire(&order)), Some(order));
        }
        assert_eq!(order_from_wire(peer::AdminRequest::default()), None);
    }
}
