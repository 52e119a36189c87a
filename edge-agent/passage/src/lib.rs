//! The passage engine: observations in, effects out. Pure and deterministic: no I/O, no clock, no async.

mod layout;
mod report;

pub use layout::{Checkpoint, Direction, Lane, LaneId, SensorPlace, Station, StationId, Timing};
pub use report::{
    AbsentReason, Decision, Effect, Entry, Input, Missing, OrphanReport, PassageId, PassageState, Report,
    Verdict,
};
