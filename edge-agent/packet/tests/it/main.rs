//! The packet as an integrator sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod contract;
mod findings;
mod reports;
