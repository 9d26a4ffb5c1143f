//! `webhook`: addresses to which programs post what is to be said in a room.

use clap::{Args, Subcommand};
use serde::Serialize;
use threefold_client::{
    To, Token,
    chat::{ErrorCode, Webhook},
};

use crate::commands::{
    ClientOptions, Failure, With,
    context::Context,
    output::{escape, table, time},
};

/// Of `webhook`.
#[derive(Args, Debug)]
pub struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Subcommand, Debug)]
enum WebhookCommand {
    /// Make a webhook of a room you moderate, and show its address (once: keep it)
    Create(With<CreateArgs>),
    /// List the webhooks of a room you moderate
    List(With<RoomArgs>),
    /// Delete a webhook
    Delete(With<DeleteArgs>),
}

/// Of `webhook create`.
#[derive(Args, Debug)]
struct CreateArgs {
    /// The room's name
    room: String,
    /// The name that its messages come from: 1 to 32 letters, digits, `_`, `.` or `-`
    name: String,
}

/// Of `webhook list`.
#[derive(Args, Debug)]
struct RoomArgs {
    /// The room's name
    room: String,
}

/// Of `webhook delete`.
#[derive(Args, Debug)]
struct DeleteArgs {
    /// The room's name
    room: String,
    /// The webhook's name
    name: String,
}

impl WebhookArgs {
    /// What every client command takes.
    pub fn options(&self) -> &ClientOptions {
        match &self.command {
            WebhookCommand::Create(with) => &with.options,
            WebhookCommand::List(with) => &with.options,
            WebhookCommand::Delete(with) => &with.options,
        }
    }
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    webhook: u64,
    token: &'a str,
    urls: &'a [String],
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    webhook: u64,
    by: &'a str,
    created_at_ms: u64,
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a str,
    webhook: u64,
}

/// Does something with webhooks.
pub async fn webhook(args: WebhookArgs) -> Result<(), Failure> {
    match args.command {
        WebhookCommand::Create(with) => create(with.args, with.options).await,
        WebhookCommand::List(with) => list(with.args, with.options).await,
        WebhookCommand::Delete(with) => delete(with.args, with.options).await,
    }
}

/// A room by its name, with or without `#`.
fn room(name: &str) -> To {
    To::Room(name.strip_prefix('#').unwrap_or(name).to_owned())
}

async fn create(args: CreateArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let token = Token::generate()?;
    let made = context.client.writer()?.create_webhook(room(&args.room), &args.name, &token).await?.await?;
    let token = token.to_hex();
    let address = |server: &String| {
        let server = if server.contains("://") { server.clone() } else { format!("http://{server}") };
        format!("{server}/hooks/{}/{token}", made.webhook)
    };
    let urls: Vec<String> = context.client.servers().iter().map(address).collect();
    if !context.output.is_json() {
        eprintln!(
            "threefold: whoever knows this address writes as {}; it is shown this once, and any server takes it",
            escape(&args.name)
        );
    }
    let value = Made { name: &args.name, webhook: made.webhook, token: &token, urls: &urls };
    context.output.result(&value, || urls.first().cloned().unwrap_or_default())?;
    context.remember().await
}

async fn list(args: RoomArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let webhooks = context.client.webhooks(room(&args.room)).await?;
    let mut rows = Vec::new();
    for Webhook { webhook, name, by, created_at_ms } in &webhooks {
        let by = by.as_ref().map(|by| by.name.as_str()).unwrap_or_default();
        if context.output.is_json() {
            let value = Shown { name, webhook: *webhook, by, created_at_ms: *created_at_ms };
            context.output.result(&value, String::new)?;
        }
        rows.push(vec![escape(name), format!("by {}", escape(by)), format!("since {}", time(*created_at_ms))]);
    }
    context.output.remark(&table(&rows))?;
    if webhooks.is_empty() {
        context.output.remark("the room has no webhooks: make one with `threefold webhook create ROOM NAME`")?;
    }
    context.remember().await
}

async fn delete(args: DeleteArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let webhooks = context.client.webhooks(room(&args.room)).await?;
    let named = webhooks.iter().find(|webhook| webhook.name.eq_ignore_ascii_case(&args.name));
    let Some(Webhook { webhook, name, .. }) = named else {
        let words = format!("no such webhook: {}; see them with `threefold webhook list ROOM`", escape(&args.name));
        return Err(Failure::refused(ErrorCode::UnknownWebhook, words));
    };
    context.client.writer()?.delete_webhook(*webhook).await?.await?;
    context.output.result(&Deleted { name, webhook: *webhook }, || format!("{}: deleted", escape(name)))?;
    context.remember().await
}
