//! The passage engine: observations in, effects out. Pure and deterministic: no I/O, no clock, no async.
//!
//! How an observation finds its vehicle. Costs are about negative log-likelihoods, in nats.
//!
//! 1. Observations of one sensor that surely belong together form a *group*: both edges of an occupancy, the reads of one
//!    plate, a tag while it is heard (`group`). Device time places late results (`clock_offset`).
//! 2. A *post* is a station with a loop, or, without one, its front plates, its measurements or its rear plates (`plan`). What
//!    the devices of a post say at one time is one *visit*: each sensor's groups are aligned in order with the occupancies of
//!    the loop; without a loop, what is close together is one (`visits`).
//! 3. A vehicle's way through the lane is a *course*: visits in driving order. One function says what a course costs: by the
//!    times from post to post, which the lane teaches (`travel`, `learning`), by the vehicle before, by its names, and by what
//!    should have noticed it and did not (`pricing`, `times`, `plates`, `unnoticed`; `scene` is what it works on); by whether
//!    what was measured, and its plates at both ends, fit how long it was over the loops (`length_class`, `passing`, `size`);
//!    and by whether the tags of two readers are its own (`heard`). When devices speak beside the loop the lane teaches, too
//!    (`lags`). Those who are forgotten leave `traces`: who waited behind them did so still. A course may also run against the
//!    direction (`against`).
//! 4. The courses that cost least together are looked for by taking all of them apart in two halves, those of one post and the
//!    rest or those before and after a place of the lane, and joining these again in the best way that keeps the order, which
//!    dynamic programming finds exactly (`halves`); again and again, with every post and place, until nothing gets cheaper
//!    (`solving`); and by parting what is expensive, since no single step may lead out of there.
//!    So a whole chain of vehicles that was shifted by one moves back as soon as one of them is known.
//! 5. A course that is surely a vehicle is a passage (`placing`). As long as nobody was told of a passage, it can vanish again
//!    or become another's; what has been told keeps what opened it, everything else can still move until some time after its
//!    vehicle has left. Two that were told and turn out to be one vehicle become one: the other keeps its opener and says so.
//! 6. Radio (tags, seals) hears vehicles that are elsewhere: its contacts are held against where each vehicle was
//!    (`whereabouts`), those of one name at all readers together, after all others (`radio`). Only tags that fit one
//!    visit clearly are evidence for courses.
//! 7. When something is published or an alarm is raised, it is asked what the lane would cost if this belonged elsewhere: that
//!    is its margin, and those are its alternatives (`doubts`).
//! 8. Observations are placed within two seconds (a lane is looked at again only when something is new), at once if an alarm, a required reading or the gate waits for it. `lifecycle`
//!    seals, publishes, amends and closes passages; `deciding` carries out decisions.
//!
//! Costs are kept from one look at a lane to the next (`prices`), with what it has learned laid out by post (`learned`): most of
//! what is tried was tried before. They are found anew when the lane learns something, and change nothing that is decided.
//!
//! `appraisal` says, for tests with known truth, what the engine's solution costs beside any other, part by part.

mod against;
mod alignment;
mod appraisal;
mod clock_offset;
mod deciding;
mod doubts;
mod engine;
mod group;
mod halves;
mod heard;
mod identity;
mod kinds;
mod lags;
mod lane;
mod layout;
mod learned;
mod learning;
mod length_class;
mod lifecycle;
mod looking;
mod naming;
mod passage;
mod passing;
mod placing;
mod plan;
mod plates;
mod prices;
mod pricing;
mod radio;
mod report;
mod same_post;
mod scene;
mod scoring;
mod sightings;
mod size;
mod solving;
mod times;
mod traces;
mod travel;
mod unnoticed;
mod visits;
mod weighed;
mod whereabouts;

pub use appraisal::{Course, Difference};
pub use engine::Engine;
pub use layout::{Checkpoint, Direction, Lane, LaneId, SensorPlace, Station, StationId, Timing};
pub use report::{
    AbsentReason, Alternative, Decision, Effect, Entry, Input, Missing, OpenPassage, OrphanReport, PassageId,
    PassageState, Report, Verdict,
};
