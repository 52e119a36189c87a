//! RFID readers, and what the tags say.
//!
//! | protocol | devices | module |
//! |---|---|---|
//! | `llrp` | UHF readers that speak LLRP 1.0.1 over TCP: Impinj, Zebra FX, Alien, ThingMagic, Feig, Kathrein, CAEN | [`llrp`] |
//!
//! [`epc`] reads the 96-bit forms of the EPC Tag Data Standard. A reading always carries the raw hexadecimal digits,
//! whatever they mean.

pub mod epc;
pub mod llrp;

/// Every protocol of this crate.
pub static PROTOCOLS: &[&dyn interface::Protocol] = &[&llrp::Llrp];
