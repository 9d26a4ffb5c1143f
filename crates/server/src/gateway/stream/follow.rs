//! The reading half of a stream: everything the account may see after the client's cursor, pulled from the
//! state as fast as the client reads and no faster.

use std::{future::pending, pin::pin, time::Duration};

use threefold_core::{Event, EventBody, Position, Rejection, Scope};
use threefold_proto::{
    chat::{self, server_frame},
    convert::{self, Names as _, Refusal},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{Conversation, Ending, progress::Progress, told::Shared};
use crate::{
    gateway::door::{Door, Follow},
    node::{Followed, Seen},
};

/// How long a server that is behind the client's cursor tries to catch up before it sends the client on.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether the session is still good: not every end is an event (it may expire).
const SESSION_CHECK: Duration = Duration::from_secs(10);

impl<D: Door> Conversation<D> {
    /// Serves one subscription after the other.
    pub(super) async fn follow(&self, mut subscriptions: mpsc::Receiver<Box<chat::Subscribe>>) -> Result<(), Ending> {
        let Some(mut wanted) = subscriptions.recv().await else { return Ok(()) };
        let mut present = None;
        loop {
            if wanted.invisible {
                present = None;
            } else if present.is_none() {
                present = Some(self.gateway.door().arrive(self.caller.session.account));
            }
            let mut delivery = pin!(self.deliver(wanted));
            wanted = tokio::select! {
                biased;
                ended = &mut delivery => return ended,
                next = subscriptions.recv() => match next {
                    Some(next) => next,
                    // The client has said everything, and still listens.
                    None => return delivery.await,
                },
            };
        }
    }

    /// Sends events until the session or the stream ends.
    async fn deliver(&self, wanted: Box<chat::Subscribe>) -> Result<(), Ending> {
        let after = Box::pin(self.begin(*wanted)).await?;
        let start = self.gateway.door().position();
        self.outlet.send(server_frame::Frame::Subscribed(self.subscribed(start))).await?;
        let mut follower = self.gateway.door().follow(self.caller.session.account, after);
        let mut progress = Progress::new(start);
        let mut session_check = interval(SESSION_CHECK);
        session_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = progress.due();
            let told = async move {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            // What comes now and then goes before what may come without a pause.
            tokio::select! {
                biased;
                _ = session_check.tick() => self.check_session()?,
                () = told => self.tell(progress.tell()).await?,
                // Apart, so that a stream on which nothing happens is no larger for it.
                followed = follower.next() => Box::pin(self.pass_on(followed, &follower, &mut progress)).await?,
            }
        }
    }

    /// Where to begin: the client's cursor, if it is of this cluster and this server is as far.
    async fn begin(&self, wanted: chat::Subscribe) -> Result<Position, Refusal> {
        let door = self.gateway.door();
        if !wanted.recovery_id.is_empty() && wanted.recovery_id != door.recovery_id() {
            return Err(Refusal::CursorInvalid);
        }
        let after = Position(wanted.after);
        if after > door.position() {
            self.gateway.wait_for(after, Instant::now() + CATCH_UP_PATIENCE).await?;
        }
        Ok(after)
    }

    fn subscribed(&self, start: Position) -> chat::Subscribed {
        let door = self.gateway.door();
        chat::Subscribed {
            recovery_id: door.recovery_id().into(),
            position: start.0,
            servers: door.client_addresses(),
            attachment_bytes: self.gateway.largest_attachment(),
        }
    }

    async fn pass_on(&self, followed: Followed, follower: &impl Follow, progress: &mut Progress) -> Result<(), Ending> {
        let Followed { events, up_to, typing, is_of_account } = followed;
        let any = !events.is_empty();
        let mut names = self.gateway.directory().of(self.gateway.door(), self.caller.session.account);
        // First: who types and then sends is not shown as typing after the message.
        for notice in typing {
            let typing = chat::TypingNotice {
                conversation: notice.conversation.0,
                account: notice.account.0,
                account_name: names.account(notice.account),
                position: notice.position.0,
            };
            self.outlet.send(server_frame::Frame::Typing(typing)).await?;
        }
        for event in events {
            let own = self.caller.session.session;
            let over = matches!(&event.body, EventBody::SessionEnded { session } if *session == own);
            match event {
                // Who has left since is told by the name that the room had then.
                Seen::Common(common) if in_room(follower, &common) => {
                    let make = |event: &Event| {
                        let event = convert::event(event.clone(), &mut names);
                        Shared::new(server_frame::Frame::Event(event))
                    };
                    self.outlet.send_shared(common.made(Shared::is_fresh, make)).await?;
                }
                event => {
                    let event = convert::event(event.into_event(), &mut names);
                    self.outlet.send(server_frame::Frame::Event(event)).await?;
                }
            }
            if over {
                return Err(Refusal::Rejected(Rejection::SessionInvalid).into());
            }
        }
        if let Some(position) = progress.reach(up_to, any) {
            self.tell(position).await?;
        }
        // A change of the account itself (its password) is told in its mailbox; its end leaves nothing behind to be told.
        if is_of_account {
            self.check_session()?;
        }
        Ok(())
    }

    async fn tell(&self, position: Position) -> Result<(), Ending> {
        self.outlet.send(server_frame::Frame::CaughtUp(chat::CaughtUp { position: position.0 })).await
    }

    fn check_session(&self) -> Result<(), Refusal> {
        let session = self.gateway.session(&self.caller.token);
        let session = session.ok_or(Refusal::Rejected(Rejection::SessionInvalid))?;
        // A stream may stay open for longer than a session lives.
        self.gateway.renew(&session, self.caller.token);
        Ok(())
    }
}

/// Whether the reader is in the room of an event.
fn in_room(follower: &impl Follow, event: &Event) -> bool {
    matches!(event.scope, Scope::Conversation(room) if follower.attends(room))
}
