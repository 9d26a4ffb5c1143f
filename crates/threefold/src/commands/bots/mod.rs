//! `bot`: accounts for programs. `webhook` has a file of its own.
//!
//! A token is shown once, when it is made, and on standard output alone: a script takes it from there. It logs the bot in like a
//! password: `THREEFOLD_PASSWORD=TOKEN threefold login BOT --session BOT.json`.

pub mod webhooks;

use clap::{Args, Subcommand};
use serde::Serialize;
use threefold_client::{Token, chat::Bot};

use super::{
    ClientOptions, Failure, Nothing, With,
    confirm::Confirmation,
    context::Context,
    output::{escape, table, time},
};

/// Of `bot`.
#[derive(Args, Debug)]
pub struct BotArgs {
    #[command(subcommand)]
    command: BotCommand,
}

#[derive(Subcommand, Debug)]
enum BotCommand {
    /// Make a bot, and show its token (once: keep it)
    Create(With<NameArgs>),
    /// List your bots and webhooks
    List(With<Nothing>),
    /// Give a bot another token, and show it; ends its sessions
    Token(With<TokenArgs>),
    /// Delete a bot; what others received stays
    Delete(With<DeleteArgs>),
}

/// Of `bot delete`.
#[derive(Args, Debug)]
struct DeleteArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Of `bot create`.
#[derive(Args, Debug)]
struct NameArgs {
    /// Its name: 1 to 32 letters, digits, `_`, `.` or `-`
    name: String,
}

/// Of `bot token`.
#[derive(Args, Debug)]
struct TokenArgs {
    /// Its name
    name: String,
    /// Give it none: nothing logs it in any more
    #[arg(long)]
    revoke: bool,
}

impl BotArgs {
    /// What every client command takes.
    pub fn options(&self) -> &ClientOptions {
        match &self.command {
            BotCommand::Create(with) => &with.options,
            BotCommand::Delete(with) => &with.options,
            BotCommand::List(with) => &with.options,
            BotCommand::Token(with) => &with.options,
        }
    }
}

#[derive(Serialize)]
struct WithToken<'a> {
    name: &'a str,
    token: String,
}

#[derive(Serialize)]
struct Done<'a> {
    name: &'a str,
    done: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    account: u64,
    has_token: bool,
    disabled: bool,
    created_at_ms: u64,
    webhook_of: u64,
}

/// Does something with bots.
pub async fn bot(args: BotArgs) -> Result<(), Failure> {
    match args.command {
        BotCommand::Create(with) => create(with.args, with.options).await,
        BotCommand::List(with) => list(with.options).await,
        BotCommand::Token(with) => token(with.args, with.options).await,
        BotCommand::Delete(with) => delete(with.args, with.options).await,
    }
}

async fn create(args: NameArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let token = Token::generate()?;
    context.client.writer()?.create_bot(&args.name, &token).await?.await?;
    show_token(&context, &args.name, &token)?;
    context.remember().await
}

async fn token(args: TokenArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let token = if args.revoke { None } else { Some(Token::generate()?) };
    context.client.writer()?.set_bot_token(&args.name, token.as_ref()).await?.await?;
    match &token {
        Some(token) => show_token(&context, &args.name, token)?,
        None => done(&context, &args.name, "token revoked")?,
    }
    context.remember().await
}

async fn delete(args: DeleteArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    args.confirmation.of("Deleting a bot", &args.name)?;
    context.client.writer()?.delete_bot(&args.name).await?.await?;
    done(&context, &args.name, "deleted")?;
    context.remember().await
}

async fn list(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let bots = context.client.bots().await?;
    let mut rows = Vec::new();
    for bot in &bots {
        let Bot { account, name, has_token, disabled, created_at_ms, webhook_of } = bot;
        if context.output.is_json() {
            let (account, created_at_ms, webhook_of) = (*account, *created_at_ms, *webhook_of);
            let (has_token, disabled) = (*has_token, *disabled);
            let value = Shown { name, account, has_token, disabled, created_at_ms, webhook_of };
            context.output.result(&value, String::new)?;
        }
        let kind = match (*webhook_of, *has_token) {
            (0, true) => "bot".to_owned(),
            (0, false) => "bot without a token".to_owned(),
            _ => format!("webhook {account}"),
        };
        let disabled = if *disabled { "disabled" } else { "" };
        rows.push(vec![escape(name), kind, format!("since {}", time(*created_at_ms)), disabled.to_owned()]);
    }
    context.output.remark(&table(&rows))?;
    if bots.is_empty() {
        context.output.remark("you have no bots: make one with `threefold bot create NAME`")?;
    }
    context.remember().await
}

/// The token alone for people too, so that `$(threefold bot create echo)` is it; what it is for stands on standard error.
fn show_token(context: &Context, name: &str, token: &Token) -> Result<(), Failure> {
    let token = token.to_hex();
    if !context.output.is_json() {
        eprintln!(
            "threefold: the token of {}, shown this once: a bot logs in with it in the place of a password, a webhook's address ends with it",
            escape(name)
        );
    }
    Ok(context.output.result(&WithToken { name, token: token.clone() }, || token)?)
}

fn done(context: &Context, name: &str, what: &'static str) -> Result<(), Failure> {
    Ok(context.output.result(&Done { name, done: what }, || format!("{}: {what}", escape(name)))?)
}
