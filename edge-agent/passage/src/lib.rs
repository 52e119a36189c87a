//! The passage engine: observations in, effects out. Pure and deterministic: no I/O, no clock, no async.
//!
//! How an observation finds its vehicle. The model of a lane is a list of passages in driving order, each with the times at
//! which it was at each station and the names that were read from it; costs are about negative log-likelihoods, in nats.
//!
//! 1. Observations of one sensor that surely belong together form a *group*: both edges of an occupancy, the reads of one
//!    plate, a tag while it is heard (`group`). Device time places late results (`clock_offset`).
//! 2. What the devices of one station say at one time is one *visit*: each sensor's groups are aligned in order with the
//!    occupancies of the station's loop; without a loop, what is close together is one (`visits`).
//! 3. The visits of a station are *aligned* with the passages: the cheapest pairing that keeps the order, found by dynamic
//!    programming (`alignment`, `placing`) over costs by time and by all names of the visit together (`scoring`, `identity`).
//!    Time is judged by when the passage was at the stations before and after (`sightings`), by how long those ways take in
//!    this lane (`travel`, learned), and by the vehicle before, which it cannot have overtaken. The cost of the next best
//!    pairing is the margin. As long as a passage is open or amended, later evidence can move a visit.
//! 4. Radio (tags, seals) hears vehicles that are elsewhere: its contacts are aligned by their last good reception, after all
//!    others, and are no evidence for them.
//! 5. The loop at the entry (or the camera, where there is no loop) opens passages (`lane`); an occupancy right after another
//!    waits for a front plate, since loops lose the gap behind a tractor. A visit further on that fits nobody, with a loop and
//!    another device to say so, is a vehicle that the entry missed.
//! 6. `lifecycle` seals, publishes, amends and closes passages; `deciding` carries out decisions.

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
mod travel;
mod visits;

pub use engine::Engine;
pub use layout::{Checkpoint, Direction, Lane, LaneId, SensorPlace, Station, StationId, Timing};
pub use report::{
    AbsentReason, Alternative, Decision, Effect, Entry, Input, Missing, OpenPassage, OrphanReport, PassageId,
    PassageState, Report, Verdict,
};
