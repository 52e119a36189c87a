//! Weighbridges and axle scales.
//!
//! | `protocol` | device | file |
//! |---|---|---|
//! | `weigh-scale/tenso_m` | Tenso-M indicators, polled | [`tenso_m`] |
//! | `weigh-scale/toledo_continuous` | METTLER TOLEDO and compatible indicators in continuous output | [`toledo_continuous`] |
//!
//! Both over a serial port or a serial server ([`transport`]); both turn a stream of weights into observations of
//! vehicles in the same way ([`weighing`]).

pub mod tenso_m;
pub mod toledo_continuous;
pub mod transport;
pub mod weighing;

/// Every protocol of this crate.
pub static PROTOCOLS: &[&dyn interface::Protocol] = &[&tenso_m::TensoM, &toledo_continuous::ToledoContinuous];
