//! What a driver is, and the only crate drivers depend on.
//!
//! Without features this crate is plain types: [`Reading`], [`Observation`], [`Stamp`], [`Health`]. The feature
//! `driver` adds the traits [`Protocol`], [`Plan`] and [`Driver`], and [`DriverContext`], through which a running
//! driver speaks.

mod digest;
mod health;
mod observation;
mod reading;
mod stamp;

pub use digest::Sha256;
pub use health::{Health, HealthState};
pub use observation::{Observation, ObservationId, SensorId};
pub use reading::{
    CheckDigit, DocumentKind, GateAction, Light, PlateCandidate, PlateReading, RadiationAlarm, Reading,
    ReadingKind, SealState, Seat, Verdict, View, WATCH_LIST, WeighMode,
};
pub use stamp::{BootId, ClockQuality, Stamp, UtcMs};

#[cfg(feature = "driver")]
mod context;
#[cfg(feature = "driver")]
mod frame;
#[cfg(feature = "driver")]
mod parameters;
#[cfg(feature = "driver")]
mod protocol;
#[cfg(feature = "driver")]
mod sight;

#[cfg(feature = "driver")]
pub use context::{Command, CommandReply, ContextHandles, DriverContext, Outgoing, Stopped};
#[cfg(feature = "driver")]
pub use frame::{Frame, FrameSlot};
#[cfg(feature = "driver")]
pub use parameters::{ConfigError, parse_parameters};
#[cfg(feature = "driver")]
pub use protocol::{Driver, DriverFault, Plan, ProbeReport, Protocol, Resource, find_protocol};
#[cfg(feature = "driver")]
pub use sight::{Area, Sight};

#[cfg(feature = "driver")]
pub use async_trait::async_trait;
