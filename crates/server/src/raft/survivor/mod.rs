//! Survivor mode: what the pure decisions of `threefold_rules` need to know, and what becomes of their answers.

pub mod configuration;
