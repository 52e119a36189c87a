//! A reading with its origin. The JSON form is one line of the journal.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BootId, ClockQuality, Reading, Sha256, Stamp, UtcMs};

/// Name of a configured sensor, unique within a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SensorId(pub String);

impl fmt::Display for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for SensorId {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// Names one observation: which sensor, and which of its observations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObservationId {
    /// The sensor.
    pub sensor: SensorId,
    /// Counts the sensor's observations.
    pub seq: u64,
}

/// A reading with sensor, sequence number, stamp and evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Line", into = "Line")]
pub struct Observation {
    /// Sensor and sequence number.
    pub id: ObservationId,
    /// When it reached the box.
    pub stamp: Stamp,
    /// When the device says it was measured; may be skewed.
    pub device_at: Option<UtcMs>,
    /// Bytes kept as proof.
    pub evidence: Vec<Sha256>,
    /// What was measured.
    pub reading: Reading,
}

/// The journal's flat form of an [`Observation`].
#[derive(Clone, Serialize, Deserialize)]
struct Line {
    sensor: SensorId,
    seq: u64,
    mono_ms: u64,
    at: UtcMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_at: Option<UtcMs>,
    #[serde(default, skip_serializing_if = "is_empty_boot")]
    boot: BootId,
    #[serde(default, skip_serializing_if = "is_unsynced")]
    clock: ClockQuality,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Sha256>,
    reading: Reading,
}

fn is_empty_boot(boot: &BootId) -> bool {
    boot.0.is_empty()
}

fn is_unsynced(clock: &ClockQuality) -> bool {
    *clock == ClockQuality::Unsynced
}

impl From<Line> for Observation {
    fn from(line: Line) -> Self {
        Self {
            id: ObservationId { sensor: line.sensor, seq: line.seq },
            stamp: Stamp { mono_ms: line.mono_ms, utc: line.at, clock: line.clock, boot: line.boot },
            device_at: line.device_at,
            evidence: line.evidence,
            reading: line.reading,
        }
    }
}

impl From<Observation> for Line {
    fn from(observation: Observation) -> Self {
        Self {
            sensor: observation.id.sensor,
            seq: observation.id.seq,
            mono_ms: observation.stamp.mono_ms,
            at: observation.stamp.utc,
            device_at: observation.device_at,
            boot: observation.stamp.boot,
            clock: observation.stamp.clock,
            evidence: observation.evidence,
            reading: observation.reading,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_format_description_is_read_and_written() {
        let text = concat!(
            r#"{"sensor":"lpr-in-1-front","seq":17,"mono_ms":83412250,"at":"2026-11-22T08:00:01.250Z","#,
            r#""device_at":"2026-11-22T08:00:01.100Z","reading":{"kind":"presence","occupied":false}}"#
        );
        let observation: Observation = serde_json::from_str(text).unwrap();
        assert_eq!(observation.stamp.mono_ms, 83_412_250);
        assert_eq!(serde_json::to_string(&observation).unwrap(), text);
    }
}
