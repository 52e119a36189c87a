//! Small messages beside the packets: status, receipts, commands and their results.

use passage::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use interface::{ClockQuality, Health, SensorId, UtcMs};

use crate::words::VerdictWord;

/// IISPP → box: what is stored at the centre. Only this removes a packet from the box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Everything up to and including this `seq` is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto_seq: Option<u64>,
    /// These events are stored, by `id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// These events are refused for good; the box moves them to its dead letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejection>,
}

/// An event that the IISPP refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    /// `id` of the event.
    pub id: String,
    /// Why, for the people at both ends.
    pub reason: String,
}

/// Box → IISPP, retained: whether the box is there, and what it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Whether the box is there.
    pub state: StatusState,
    /// Names this connection; a will of an older connection carries an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Names this boot of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// SHA-256 of the site file in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_sha256: Option<String>,
    /// Version of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Models in use, by name and SHA-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The `seq` that the next new event will get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_seq: Option<u64>,
    /// When the connection was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UtcMs>,
}

/// Whether the box is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Connected (the birth message).
    Online,
    /// Went away in good order.
    Stopped,
    /// The connection broke (the last will).
    Lost,
}

/// IISPP → box on `cmd/decision/<id>`: what to do with a vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionCommand {
    /// The passage it concerns.
    pub passage_id: String,
    /// The decision.
    #[schemars(with = "VerdictWord")]
    pub decision: Verdict,
    /// When it was issued, UTC. Together with `valid_ms` it says how long it may be carried out.
    pub issued_at: UtcMs,
    /// How long it may be carried out, milliseconds; 10,000 is the longest that is accepted.
    pub valid_ms: u64,
}

/// Box → IISPP on `cmd/<type>/<id>/result`: how far a command has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandResult {
    /// `id` of the command.
    pub id: String,
    /// How far it has come.
    pub state: CommandState,
    /// What was done, or why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How far a command has come. Survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Accepted, not begun.
    Received,
    /// Begun.
    Executing,
    /// Carried out.
    Done,
    /// Not carried out.
    Failed,
    /// Came or was begun too late.
    Expired,
}

/// Box → IISPP on `health/<sensor>`, retained, on change and every minute: how a sensor is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthMessage {
    /// The sensor.
    pub sensor: SensorId,
    /// The protocol it speaks.
    pub protocol: String,
    /// How it is doing.
    #[serde(flatten)]
    pub health: Health,
    /// When this was said.
    pub at: UtcMs,
    /// How far `at` can be trusted.
    pub clock: ClockQuality,
}

/// Box → IISPP on `load`: how busy the lanes are; the centre balances traffic by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadMessage {
    /// When this was counted.
    pub at: UtcMs,
    /// How far `at` can be trusted.
    pub clock: ClockQuality,
    /// Every lane.
    pub lanes: Vec<LaneLoad>,
}

/// How busy a lane is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaneLoad {
    /// The lane.
    pub lane: String,
    /// Passages that are open now.
    pub queue_length: u32,
    /// Vehicles that left in the last hour; null while the box has run for less.
    pub vehicles_per_hour: Option<f64>,
    /// Mean time from entry to exit of those vehicles, seconds; null if there were none.
    pub seconds_per_vehicle: Option<f64>,
}
