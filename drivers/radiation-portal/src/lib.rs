//! Radiation portal monitors.
//!
//! | `protocol` | device | file |
//! |---|---|---|
//! | `radiation-portal/tsa` | TSA and Rapiscan controllers that send gross counts as ASCII lines, over a serial server | [`tsa`] |

pub mod tsa;

/// Every protocol of this crate.
pub static PROTOCOLS: &[&dyn interface::Protocol] = &[&tsa::Tsa];
