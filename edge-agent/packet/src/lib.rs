//! The contract with the IISPP: packets, CloudEvents envelope, topics, JSON Schema, AsyncAPI.

mod messages;

pub use messages::{CommandResult, CommandState, DecisionCommand, Receipt, Rejection, Status, StatusState};
