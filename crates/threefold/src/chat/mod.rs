//! `chat`: a conversation on the whole terminal.
//!
//! `model` is what the screen shows, `update` what an event changes in it, `view` how it is drawn: pure, and so tested without a
//! terminal and without a cluster. `runtime` brings the three together with the terminal (`terminal`) and the client library
//! (`worker`).
//!
//! Promises: a message that was sent is shown as pending until it is acknowledged, and once, whatever fails meanwhile; the terminal is
//! given back as it was, also after a panic or a signal; nothing that others write controls it. Left out: a cursor of its own. A
//! screen shows what there is; what happened while nobody looked, it reads from the history.

mod conversation;
mod draft;
mod editor;
mod exchange;
mod format;
mod kept;
mod layout;
mod leaving;
mod look;
mod model;
mod overlay;
mod people;
mod request;
mod runtime;
#[cfg(test)]
mod tests;
mod transcript;
mod update;
mod view;
mod worker;

use std::io::IsTerminal as _;

use clap::Args;
pub use kept::unsent_in;
use model::Bell;
use theme::{Colours, Theme};
use threefold::tui::{terminal, text, theme};

use crate::commands::{ClientOptions, Failure, context::Context};

/// Of `chat`.
#[derive(Args, Debug)]
pub struct ChatArgs {
    /// With whom to begin, or in which room ('#room')
    name: Option<String>,
    /// Which colours to use [default: as NO_COLOR, COLORTERM and TERM say]
    #[arg(long, value_enum, value_name = "WHICH")]
    colours: Option<Colours>,
    /// For which direct messages and mentions to ring the terminal's bell
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Bell::Away)]
    bell: Bell,
    /// Leave the mouse to the terminal, to mark and copy with
    #[arg(long)]
    no_mouse: bool,
    /// Do not appear as online
    #[arg(long)]
    invisible: bool,
}

/// Chats.
pub async fn chat(args: ChatArgs, options: ClientOptions) -> Result<(), Failure> {
    if options.json || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("chat needs a terminal: use `threefold follow --json` and `send` in scripts"));
    }
    let context = Context::logged_in(&options)?;
    let theme = args.colours.map_or_else(Theme::detected, Theme::new);
    runtime::run(&context, &args, theme).await?;
    context.remember().await
}
