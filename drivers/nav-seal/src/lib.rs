//! Navigation seals (GNSS electronic seals), as their operators' platforms or the seals themselves report them.
//!
//! | `protocol` | what |
//! |---|---|
//! | `nav-seal/egts` | server for EGTS (GOST 33472-2015), over TCP |

pub mod egts;

/// Every protocol of this crate.
pub static PROTOCOLS: &[&dyn interface::Protocol] = &[&egts::Egts];
