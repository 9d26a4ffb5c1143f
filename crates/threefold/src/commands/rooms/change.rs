//! What changes rooms, or who is in them.

use serde::Serialize;
use threefold_client::{Error, Receipt, RoomChanges, Writer, chat::Role};

use super::{CreateArgs, RenameArgs, RoleArgs, TopicArgs, WhichArgs, WhomArgs, bare, called};
use crate::commands::{
    ClientOptions, Failure,
    context::Context,
    output::escape,
    render::{role_name, room_name},
};

#[derive(Serialize)]
struct Created<'a> {
    conversation: u64,
    id: u64,
    room: &'a str,
}

/// What was done with a room; what was not asked for is absent.
#[derive(Default, Serialize)]
struct Done<'a> {
    room: &'a str,
    done: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<bool>,
    position: u64,
}

/// Carries a change out, and says what was done.
async fn carry_out<'a, F>(
    options: ClientOptions,
    change: impl FnOnce(Writer) -> F,
    done: Done<'a>,
    human: impl FnOnce() -> String,
) -> Result<(), Failure>
where
    F: Future<Output = Result<Receipt<u64>, Error>>,
{
    let context = Context::logged_in(&options)?;
    let _telling = context.tell_when_frozen();
    let position = change(context.client.writer()?).await?.await?;
    context.output.result(&Done { position, ..done }, human)?;
    context.remember().await
}

/// Makes a room.
pub async fn create(args: CreateArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let _telling = context.tell_when_frozen();
    let name = bare(&args.name);
    let created = context.client.writer()?.create_room(name, args.topic, !args.private).await?.await?;
    let value = Created { conversation: created.conversation, id: created.id, room: name };
    context.output.result(&value, || format!("made {}", room_name(name)))?;
    context.remember().await
}

/// Becomes a member.
pub async fn join(args: WhichArgs, options: ClientOptions) -> Result<(), Failure> {
    let room = bare(&args.room);
    let change = |writer: Writer| async move { writer.join_room(called(room)).await };
    carry_out(options, change, Done { room, done: "joined", ..Done::default() }, || {
        format!("joined {}", room_name(room))
    })
    .await
}

/// Is no member any more.
pub async fn leave(args: WhichArgs, options: ClientOptions) -> Result<(), Failure> {
    let room = bare(&args.room);
    let change = |writer: Writer| async move { writer.leave_room(called(room)).await };
    carry_out(options, change, Done { room, done: "left", ..Done::default() }, || format!("left {}", room_name(room)))
        .await
}

/// Turns an invitation down.
pub async fn decline(args: WhichArgs, options: ClientOptions) -> Result<(), Failure> {
    let room = bare(&args.room);
    let change = |writer: Writer| async move { writer.decline_invitation(called(room)).await };
    carry_out(options, change, Done { room, done: "declined", ..Done::default() }, || {
        format!("declined the invitation to {}", room_name(room))
    })
    .await
}

/// Lets somebody join.
pub async fn invite(args: WhomArgs, options: ClientOptions) -> Result<(), Failure> {
    let (room, user) = (bare(&args.room), args.user.as_str());
    let change = |writer: Writer| async move { writer.invite(called(room), user).await };
    carry_out(options, change, Done { room, done: "invited", user: Some(user), ..Done::default() }, || {
        format!("invited {} to {}", escape(user), room_name(room))
    })
    .await
}

/// Takes somebody out.
pub async fn remove(args: WhomArgs, options: ClientOptions) -> Result<(), Failure> {
    let (room, user) = (bare(&args.room), args.user.as_str());
    let change = |writer: Writer| async move { writer.remove_from_room(called(room), user).await };
    carry_out(options, change, Done { room, done: "removed", user: Some(user), ..Done::default() }, || {
        format!("removed {} from {}", escape(user), room_name(room))
    })
    .await
}

/// Gives a role.
pub async fn role(args: RoleArgs, options: ClientOptions) -> Result<(), Failure> {
    let (room, user, role) = (bare(&args.room), args.user.as_str(), Role::from(args.role));
    let change = |writer: Writer| async move { writer.set_role(called(room), user, role).await };
    let word = role_name(role);
    let done = Done { room, done: "role set", user: Some(user), role: Some(word), ..Done::default() };
    carry_out(options, change, done, || format!("{} is {word} of {} now", escape(user), room_name(room))).await
}

/// Says what the room is about.
pub async fn topic(args: TopicArgs, options: ClientOptions) -> Result<(), Failure> {
    let (room, topic) = (bare(&args.room), args.topic.join(" "));
    let changes = RoomChanges { topic: Some(topic.clone()), ..RoomChanges::default() };
    let change = |writer: Writer| async move { writer.change_room(called(room), changes).await };
    let done = Done { room, done: "changed", topic: Some(&topic), ..Done::default() };
    carry_out(options, change, done, || format!("the topic of {} is: {}", room_name(room), escape(&topic))).await
}

/// Gives the room another name.
pub async fn rename(args: RenameArgs, options: ClientOptions) -> Result<(), Failure> {
    let (room, name) = (bare(&args.room), bare(&args.name));
    let changes = RoomChanges { name: Some(name.to_owned()), ..RoomChanges::default() };
    let change = |writer: Writer| async move { writer.change_room(called(room), changes).await };
    let done = Done { room, done: "changed", name: Some(name), ..Done::default() };
    carry_out(options, change, done, || format!("{} is called {} now", room_name(room), room_name(name))).await
}

/// Says who finds the room.
pub async fn publish(args: WhichArgs, options: ClientOptions, public: bool) -> Result<(), Failure> {
    let room = bare(&args.room);
    let changes = RoomChanges { public: Some(public), ..RoomChanges::default() };
    let change = |writer: Writer| async move { writer.change_room(called(room), changes).await };
    let done = Done { room, done: "changed", public: Some(public), ..Done::default() };
    let word = if public { "public" } else { "private" };
    carry_out(options, change, done, || format!("{} is {word} now", room_name(room))).await
}
