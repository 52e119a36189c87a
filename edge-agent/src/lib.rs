//! The checkpoint edge controller: one daemon per checkpoint.

pub mod backoff;
pub mod uplink;
