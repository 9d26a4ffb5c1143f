//! A bounded model of survivor mode.
//!
//! Three servers, every order of steps within [`Bounds`]: votes and appends are messages of their own, which arrive late
//! or never; processes crash and start again between any two steps, and within one; links are cut and heal; sole survivors force
//! themselves. Each decision is made by `threefold-rules`, the very functions the servers call.
//!
//! Promised of every state reached: nothing shown is lost or changed, two leaders can never both complete a write, and the
//! last server of three can go on. What is left out: time (anything may happen at any time), pre-votes, probing for the place where logs
//! diverge, snapshots, changes of the voters by an operator, false proofs of death, disks that lose what they acknowledged.

mod action;
pub mod bounds;
pub mod explore;
mod facts;
mod machine;
pub mod properties;
mod settle;
pub mod spaces;
pub mod state;
mod steps;
mod streams;

pub use action::Action;
pub use bounds::{Bounds, Broken};
pub use steps::Model;
