//! The checkpoint edge controller: one daemon per checkpoint.
//!
//! `main.rs` is the command line; this library holds what it does, so that tests can reach it.

pub mod backoff;
pub mod catalogue;
pub mod clock;
pub mod controller;
pub mod daemon;
pub mod evidence;
pub mod faces;
pub mod feed;
pub mod gate;
pub mod health;
pub mod iispp;
pub mod journal;
pub mod layout;
pub mod load;
pub mod metrics;
pub mod probe;
pub mod recognise;
pub mod recognition;
pub mod silent;
pub mod site;
pub mod supervisor;
pub mod uplink;
