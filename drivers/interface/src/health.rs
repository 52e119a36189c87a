//! How a sensor is doing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::UtcMs;

/// State of a sensor as the supervisor and the technician see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Started, no word from the device yet.
    #[default]
    Connecting,
    /// The device answers and measures.
    Online,
    /// The device answers, but something is wrong with it.
    Degraded,
    /// The device does not answer.
    Offline,
}

impl HealthState {
    /// The word used in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
        }
    }
}

/// How a sensor is doing, with the reason in plain words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// What is wrong and what to do; `None` while all is well.
    pub error: Option<String>,
    /// When the sensor last gave a reading; `None` if it has not yet.
    pub last_reading: Option<UtcMs>,
}
