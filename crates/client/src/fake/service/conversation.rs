//! One stream of a fake server: writes in; results, events and what the server does wrong out.

use threefold_proto::chat::{
    CaughtUp, ClientFrame, Error, ErrorCode, Event, Pong, ServerFrame, Subscribe, Subscribed, Write, WriteResult,
    client_frame, event::Body, server_frame::Frame, write_result::Result as Answer,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tonic::{Status, Streaming};

use super::{
    super::state::{SessionEntry, State, refusal},
    Service, status, take_one,
};

/// One stream.
pub(super) struct Conversation {
    pub(super) service: Service,
    pub(super) token: Vec<u8>,
    pub(super) session: SessionEntry,
    pub(super) sender: mpsc::Sender<std::result::Result<ServerFrame, Status>>,
    /// Frames until it breaks.
    pub(super) left: Option<usize>,
    pub(super) cursor: Option<u64>,
    pub(super) online: bool,
}

/// The stream is over.
struct Over;

impl Conversation {
    pub(super) async fn run(mut self, mut frames: Streaming<ClientFrame>) {
        let mut changed = self.service.shared.changed.subscribe();
        loop {
            let done = tokio::select! {
                biased;
                frame = frames.next() => match frame {
                    Some(Ok(ClientFrame { frame: Some(frame) })) => self.take(frame).await,
                    _ => Err(Over),
                },
                _ = changed.changed() => self.catch_up().await,
            };
            if done.is_err() {
                break;
            }
        }
        if self.online {
            *self.service.shared.state().online.entry(self.session.account).or_default() -= 1;
        }
    }

    async fn put(&mut self, frame: Frame) -> std::result::Result<(), Over> {
        if self.service.behave(|behaviour| behaviour.silent) {
            return Ok(());
        }
        if self.left == Some(0) {
            let _ = self.sender.send(Err(Status::unavailable("the stream breaks"))).await;
            return Err(Over);
        }
        self.left = self.left.map(|left| left - 1);
        self.sender.send(Ok(ServerFrame { frame: Some(frame) })).await.map_err(|_| Over)
    }

    async fn fail(&mut self, error: &Error) -> std::result::Result<(), Over> {
        let _ = self.sender.send(Err(status(error))).await;
        Err(Over)
    }

    async fn take(&mut self, frame: client_frame::Frame) -> std::result::Result<(), Over> {
        match frame {
            client_frame::Frame::Ping(ping) => self.put(Frame::Pong(Pong { number: ping.number })).await,
            client_frame::Frame::Subscribe(subscribe) => self.subscribe(subscribe).await,
            client_frame::Frame::Write(write) => self.write(write).await,
            client_frame::Frame::Typing(_) => Ok(()),
        }
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> std::result::Result<(), Over> {
        let recovery_id = self.service.shared.state().recovery_id.clone();
        if !subscribe.recovery_id.is_empty() && subscribe.recovery_id != recovery_id {
            return self.fail(&refusal(ErrorCode::CursorInvalid, "another history")).await;
        }
        if self.service.behave(|behaviour| behaviour.unavailable) {
            return self.fail(&refusal(ErrorCode::Unavailable, "no leader")).await;
        }
        let position = {
            let mut state = self.service.shared.state();
            state.subscriptions.push(subscribe.after);
            if !self.online && !subscribe.invisible {
                *state.online.entry(self.session.account).or_default() += 1;
                self.online = true;
            }
            state.position()
        };
        self.cursor = Some(subscribe.after);
        let servers = self.service.servers();
        let subscribed = Subscribed { recovery_id: recovery_id.into(), position, servers, ..Subscribed::default() };
        self.put(Frame::Subscribed(subscribed)).await?;
        self.catch_up().await
    }

    async fn write(&mut self, write: Write) -> std::result::Result<(), Over> {
        let (swallow, refuse, twice) = self.service.behave(|behaviour| {
            let swallow = take_one(&mut behaviour.swallow_writes);
            let refuse = behaviour.unavailable || (!swallow && take_one(&mut behaviour.refuse_writes));
            (swallow, refuse, behaviour.twice)
        });
        if swallow {
            return Ok(());
        }
        let answer = if refuse {
            Answer::Error(refusal(ErrorCode::Unavailable, "no leader"))
        } else {
            self.service.shared.state().write(&self.session, &write)
        };
        let unanswered = self.service.behave(|behaviour| behaviour.unanswered);
        if unanswered.is_some() && unanswered == write.request.map(|request| request.number) {
            return Ok(());
        }
        let result = WriteResult { request: write.request, result: Some(answer) };
        if twice {
            self.put(Frame::Result(result.clone())).await?;
        }
        self.put(Frame::Result(result)).await?;
        self.service.shared.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    /// Sends what is new, if there is a subscription.
    async fn catch_up(&mut self) -> std::result::Result<(), Over> {
        let (logged_in, position, events) = {
            let state = self.service.shared.state();
            (state.sessions.contains_key(&self.token), state.position(), self.new_events(&state))
        };
        if !logged_in {
            return self.fail(&refusal(ErrorCode::SessionInvalid, "the session was ended")).await;
        }
        let Some(cursor) = self.cursor else { return Ok(()) };
        let twice = self.service.behave(|behaviour| behaviour.twice);
        for event in events {
            if twice {
                self.put(Frame::Event(event.clone())).await?;
            }
            self.put(Frame::Event(event)).await?;
        }
        self.cursor = Some(cursor.max(position));
        self.put(Frame::CaughtUp(CaughtUp { position })).await
    }

    fn new_events(&self, state: &State) -> Vec<Event> {
        let Some(cursor) = self.cursor else { return Vec::new() };
        let account = self.session.account;
        let mine = state.events.iter().filter(|(members, event)| members.contains(&account) && event.id > cursor);
        let as_seen = mine.map(|(_, event)| match &event.body {
            Some(Body::Message(message)) => {
                Event { body: Some(Body::Message(state.seen_by(account, message))), ..event.clone() }
            }
            _ => event.clone(),
        });
        as_seen.collect()
    }
}
