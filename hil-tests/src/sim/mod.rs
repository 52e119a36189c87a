//! Simulated devices: each speaks its real protocol on a real socket or pty.

pub mod camera;
pub mod egts;
pub mod llrp;
pub mod modbus;
pub mod scale;
pub mod tenso_m;
pub mod toledo_continuous;
pub mod tsa;
