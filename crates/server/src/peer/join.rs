//! How a server comes into its cluster: it asks the configured peers until one has it admitted.
//!
//! A server asks at every start. For a member with unchanged addresses that is one answer; a server with an empty
//! directory is admitted under a new id in the place of the old server of its name.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
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
/// A server that an operator has removed asks again this often: it may be let in again.
const RETIRED_LOOK_AGAIN: Duration = Duration::from_secs(1);
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

/// How a question for admission was answered. The weightiest answer of several counts; the order is that of weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// Not now, or not there.
    NotYet(String),
    /// An operator has removed this server.
    Removed(String),
    Admitted,
    /// A recovery has replaced the history that this server holds. That is so for ever.
    Replaced(String),
}

/// Asks until admitted, and from time to time whether that still holds. Runs for ever.
pub async fn join(channels: Arc<Channels>, engine: Arc<Engine>, member: Member, peers: Vec<PeerConfig>) {
    let others = peers.into_iter().filter(|peer| peer.name != member.name).collect::<Vec<_>>();
    if others.is_empty() {
        return;
    }
    let mut said = String::new();
    let mut verdict = Answer::NotYet(String::new());
    loop {
        let asked = others.iter().map(|other| ask(&channels, &engine, &member, other));
        let answers = join_all(asked).await;
        // What was replaced stays so, whatever others of the old history say.
        let replaced = Some(verdict).filter(|verdict| matches!(verdict, Answer::Replaced(_)));
        let reasons = reasons(others.iter().map(|other| other.name.as_str()).zip(&answers));
        verdict = answers.into_iter().chain(replaced).max().unwrap_or_else(|| Answer::NotYet(String::new()));
        let (news, pause) = match &verdict {
            Answer::NotYet(_) => (format!("waiting to be admitted: {reasons}"), RETRY),
            Answer::Removed(why) => (format!("this server is not a member any more: {why}"), RETIRED_LOOK_AGAIN),
            Answer::Admitted => ("this server is a member of the cluster".to_owned(), LOOK_AGAIN),
            Answer::Replaced(why) => (format!("this server is not a member any more: {why}"), LOOK_AGAIN),
        };
        match &verdict {
            Answer::NotYet(_) => {}
            Answer::Admitted => engine.retire(None),
            Answer::Removed(why) | Answer::Replaced(why) => engine.retire(Some(why.clone())),
        }
        if news != said {
            tracing::info!("{news}");
            said = news;
        }
        sleep(pause).await;
    }
}

/// Why this server is not admitted yet: each reason once, with the names of those who gave it.
fn reasons<'a>(answers: impl Iterator<Item = (&'a str, &'a Answer)>) -> String {
    let mut reasons: Vec<(Vec<&str>, &str)> = Vec::new();
    for (name, answer) in answers {
        let Answer::NotYet(why) = answer else { continue };
        match reasons.iter_mut().find(|(_, known)| known == why) {
            Some((names, _)) => names.push(name),
            None => reasons.push((vec![name], why)),
        }
    }
    let reasons = reasons.iter().map(|(names, why)| format!("{}: {why}", names.join(", ")));
    reasons.collect::<Vec<_>>().join("; ")
}

fn as_member(peer: &PeerConfig) -> Member {
    Member::at(&peer.name, &peer.peer_address, "")
}

async fn ask(channels: &Channels, engine: &Engine, member: &Member, other: &PeerConfig) -> Answer {
    use peer::join_reply::State;
    let request = peer::JoinRequest {
        node_id: engine.id(),
        node: Some(member_to_wire(member)),
        hops: 0,
        recovery_id: engine.cluster().recovery_id().into(),
    };
    let reply = timeout(PATIENCE, channels.client(&as_member(other), Lane::Control).join(request)).await;
    let reply = match reply {
        Ok(Ok(reply)) => reply.into_inner(),
        Ok(Err(status)) => return Answer::NotYet(status.message().to_owned()),
        Err(_) => return Answer::NotYet("no answer".to_owned()),
    };
    match reply.state() {
        State::Admitted => Answer::Admitted,
        State::Removed => Answer::Removed(reply.detail),
        State::Replaced => Answer::Replaced(reply.detail),
        State::Pending | State::Refused | State::Unspecified => Answer::NotYet(reply.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_given_once_and_the_weightiest_answer_counts() {
        let not_yet = |why: &str| Answer::NotYet(why.to_owned());
        let answers = [("a", not_yet("no answer")), ("b", not_yet("not expected")), ("c", not_yet("no answer"))];
        let said = reasons(answers.iter().map(|(name, answer)| (*name, answer)));
        assert_eq!(said, "a, c: no answer; b: not expected");
        let (removed, replaced) = (Answer::Removed(String::new()), Answer::Replaced(String::new()));
        assert!(not_yet("z") < removed && removed < Answer::Admitted && Answer::Admitted < replaced);
    }
}
