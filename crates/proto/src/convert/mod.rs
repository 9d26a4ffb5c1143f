//! Conversions between the chat protocol and the domain.
//!
//! Promises: what comes out of here towards the domain is well formed, so nothing behind it looks at
//! wire types again; what goes out towards clients is complete. Left out on purpose: everything that
//! needs the state (names are given by a [`Names`], conversations named by a person are resolved by
//! the server), and rules about content, which `apply` decides.

mod administration;
mod bot;
mod error;
mod event;
mod page;
mod room;
mod token;
mod write;

pub use administration::administration;
pub use bot::{bot, webhook};
pub use error::{Refusal, code_of, error_of, error_of_status, status_of};
pub use event::{Names, PlaceName, attachment, conversation, event, message, reacted_by, shown};
pub use page::{history_page, message_ids, page_limit, pattern, search_limit};
pub use room::{invitation, member, room};
pub use token::{TOKEN_BYTES, Token};
pub use write::{Administer, FORWARDED_BYTES, Operation, Place, answered, edit_of, request_id, result, session_reply};
