//! Stories of single vehicles, and properties of random traffic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

mod against;
mod alarms;
mod appraisal;
mod clean;
mod properties;
mod radio;
mod stories;
mod world;
