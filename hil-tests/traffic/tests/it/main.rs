//! The generator cannot be learned by heart, the engine keeps its promises over its traffic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod engine;
mod generator;
mod nonsense;
mod scorer;

use traffic::{Noise, Traffic, Wanted, generate};

/// A small journal.
pub fn small(seed: u64, vehicles: usize, noise: f64) -> Traffic {
    generate(&wanted(seed, vehicles, noise))
}

pub fn wanted(seed: u64, vehicles: usize, noise: f64) -> Wanted {
    Wanted { seed, vehicles, lanes: 2, layout: None, noise: Noise::world().scaled(noise), alarms: 0.2 }
}
