//! The checkpoint as the engine sees it: lanes, stations in driving order, and where each sensor stands.

use std::collections::BTreeMap;
use std::fmt;

use interface::{ReadingKind, SensorId, View};
use serde::{Deserialize, Serialize};

/// Name of a lane, unique within a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(pub String);

/// Name of a station, unique within its lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StationId(pub String);

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which way a lane is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the country.
    In,
    /// Out of the country.
    Out,
}

/// A position along a lane where sensors stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// Its name.
    pub id: StationId,
    /// Distance from the start of the lane, metres; rises in driving order.
    pub position_m: f64,
    /// Readings without which a packet is incomplete.
    pub required: Vec<ReadingKind>,
    /// How long after the vehicle should have been here its readings may come, milliseconds.
    pub deadline_ms: u64,
}

/// A driving lane with its stations in driving order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Its name.
    pub id: LaneId,
    /// Which way it is driven.
    pub direction: Direction,
    /// At least one.
    pub stations: Vec<Station>,
}

/// Where a sensor stands and what it gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorPlace {
    /// The lane.
    pub lane: LaneId,
    /// The station in it.
    pub station: StationId,
    /// Kinds of readings it can give.
    pub readings: Vec<ReadingKind>,
    /// For cameras: which end of the vehicle it sees.
    pub view: Option<View>,
    /// Whether its `device_at` is by the box's own clock, as for pictures that the box reads itself. It then says exactly
    /// when something was seen; the offset of another clock has to be learned first.
    #[serde(default)]
    pub box_clock: bool,
}

/// The engine's time limits. Defaults fit lanes of 20 to 300 m with stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// How long after sealing a late observation still makes a new revision, milliseconds.
    pub amendment_window_ms: u64,
    /// How long a sealed passage waits for a decision before it counts as closed without one, milliseconds.
    pub decision_ms: u64,
    /// How long a passage may live without any observation before it is expired, milliseconds.
    pub expiry_ms: u64,
    /// How long changes are gathered before a new revision is published, milliseconds.
    pub gather_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { amendment_window_ms: 120_000, decision_ms: 600_000, expiry_ms: 1_800_000, gather_ms: 2_000 }
    }
}

/// A whole checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Customs office code or UN/LOCODE.
    pub site: String,
    /// Name of this box at the site.
    pub box_id: String,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// Every sensor.
    pub sensors: BTreeMap<SensorId, SensorPlace>,
    /// Time limits.
    pub timing: Timing,
}
