//! `edit`: another text for a message of one's own, from the arguments or from a pipe.

use clap::Args;
use serde::Serialize;

use super::{ClientOptions, Failure, context::Context, send::body};

/// Of `edit`.
#[derive(Args, Debug)]
pub struct EditArgs {
    /// Which, as `messages` shows it
    id: u64,
    /// The new text; standard input if absent or `-`
    #[arg(allow_negative_numbers = true)]
    text: Vec<String>,
}

#[derive(Serialize)]
struct Edited {
    edited: u64,
    position: u64,
}

/// Edits.
pub async fn edit(args: EditArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let writer = context.client.writer()?;
    let _telling = context.tell_when_frozen();
    let position = writer.edit(args.id, body(args.text).await?).await?.await?;
    context.output.result(&Edited { edited: args.id, position }, || format!("edited {}", args.id))?;
    context.remember().await
}
