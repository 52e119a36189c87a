//! The passage engine: observations in, effects out. Pure and deterministic: no I/O, no clock, no async.
//!
//! How an observation finds its vehicle:
//!
//! 1. Observations of one sensor that surely belong together form a *group*: both edges of an occupancy, the reads of one
//!    plate, a tag while it is heard (`group`). Device time places late results (`clock_offset`).
//! 2. The loop at the entry (or the camera, where there is no loop) opens passages; a lane keeps them in driving order
//!    (`lane`).
//! 3. The groups of each sensor are *aligned* with the passages: the cheapest pairing that keeps the order, found by dynamic
//!    programming (`alignment`, `placing`) over costs by time and identity (`scoring`, `identity`), with what the other
//!    sensors have said as context (`sightings`). The cost of the second-best pairing tells the doubt. As long as a passage
//!    is open or amended, later evidence can move a group.
//! 4. `lifecycle` seals, publishes, amends and closes passages; `deciding` carries out decisions.

mod alignment;
mod clock_offset;
mod deciding;
mod engine;
mod group;
mod identity;
mod lane;
mod layout;
mod lifecycle;
mod naming;
mod passage;
mod placing;
mod plan;
mod report;
mod scoring;
mod sightings;

pub use engine::Engine;
pub use layout::{Checkpoint, Direction, Lane, LaneId, SensorPlace, Station, StationId, Timing};
pub use report::{
    AbsentReason, Alternative, Decision, Effect, Entry, Input, Missing, OpenPassage, OrphanReport, PassageId,
    PassageState, Report, Verdict,
};
