//! What `chat`, `up`'s table and long commands share of the terminal: taking it and giving it back, colours, text measured in
//! cells, and bars that fill.
//!
//! Promises: a terminal that was taken is given back as it was, also after a panic; nothing that others write controls it. Left
//! out: what is shown, which each of them decides.

pub mod figures;
pub mod keys;
pub mod progress;
pub mod signals;
pub mod terminal;
pub mod text;
pub mod theme;
