//! Barriers, traffic lights and induction loops.
//!
//! | `protocol` | what |
//! |---|---|
//! | `gate-io/modbus` | a remote I/O module by Modbus TCP |

pub mod modbus;

/// Every protocol of this crate.
pub static PROTOCOLS: &[&dyn interface::Protocol] = &[&modbus::ModbusIo];
