//! The journal's format: JSON Lines, one input of the engine a line.

use std::collections::BTreeMap;

use interface::{BootId, ClockQuality, Observation, SensorId, Stamp, UtcMs};
use passage::Input;
use serde::{Deserialize, Serialize};

/// Version of the format, in the header.
pub const VERSION: u32 = 1;

/// First line of a segment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub journal: u32,
    /// The site.
    #[serde(default)]
    pub site: String,
    /// The box at the site.
    #[serde(default, rename = "box")]
    pub box_id: String,
    /// Last sequence number given to each sensor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_seq: BTreeMap<SensorId, u64>,
    /// The engine's state before the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<serde_json::Value>,
}

/// A line that is not an observation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct InputLine {
    input: Input,
    mono_ms: u64,
    at: UtcMs,
    #[serde(default)]
    boot: BootId,
    #[serde(default)]
    clock: ClockQuality,
}

/// One line after the header.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it reached the box.
    pub stamp: Stamp,
    /// What the engine is told.
    pub input: Input,
}

/// What a line of a journal holds.
#[derive(Clone, Debug)]
pub enum Line {
    /// The header.
    Header(Box<Header>),
    /// An input of the engine.
    Record(Box<Record>),
}

/// Reads one line, without its end.
pub fn parse_line(text: &str) -> Result<Line, serde_json::Error> {
    // The three forms differ in their first key; observations are by far the most frequent.
    if text.starts_with("{\"journal\"") {
        return serde_json::from_str(text).map(|header| Line::Header(Box::new(header)));
    }
    if text.starts_with("{\"input\"") {
        let InputLine { input, mono_ms, at, boot, clock } = serde_json::from_str(text)?;
        return Ok(Line::Record(Box::new(Record { stamp: Stamp { mono_ms, utc: at, clock, boot }, input })));
    }
    match serde_json::from_str::<Observation>(text) {
        Ok(observation) => Ok(Line::Record(Box::new(Record {
            stamp: observation.stamp.clone(),
            input: Input::Observation(observation),
        }))),
        // Another writer may order the keys of a header differently.
        Err(error) => serde_json::from_str::<Header>(text)
            .map(|header| Line::Header(Box::new(header)))
            .map_err(|_| error),
    }
}

/// Appends one line.
pub fn write_line(buffer: &mut Vec<u8>, record: &Record) -> serde_json::Result<()> {
    match &record.input {
        Input::Observation(observation) => serde_json::to_writer(&mut *buffer, observation)?,
        input => {
            let Stamp { mono_ms, utc, clock, boot } = record.stamp.clone();
            serde_json::to_writer(
                &mut *buffer,
                &InputLine { input: input.clone(), mono_ms, at: utc, boot, clock },
            )?;
        }
    }
    buffer.push(b'\n');
    Ok(())
}
