//! Traffic through simulated lanes with known truth: the generator, the scorer, and two baselines.
//!
//! [`generate`] draws a checkpoint and drives vehicles through it (`drive`), lets sensors see them (`sense`) and writes the
//! journal that the daemon would have written, with the truth about each observation. [`run_engine`] runs the passage engine
//! over it; [`score`] says how right the result is.
//!
//! A program for tests: it may index what it has made itself.
#![allow(clippy::indexing_slicing, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

mod against;
pub mod baselines;
mod check;
mod costs;
mod drive;
mod journal;
mod layout;
mod noise;
mod outcome;
mod random;
mod score;
mod sense;
mod table;
mod vehicle;

pub use check::check_journal;
pub use costs::explain_costs;
pub use drive::{Manner, Visit};
pub use journal::{Origin, Traffic, Wanted, generate};
pub use layout::{LAYOUTS, LanePlan, Layout, Place, Role, Sensor};
pub use noise::Noise;
pub use outcome::{Outcome, Passage, Placed, read_replay, run_engine};
pub use random::mix;
pub use score::{Alarms, Failure, Score, Share, explain, is_alarm, score};
pub use sense::Cause;
pub use table::table;
