//! The packet: the published state of a passage.

use interface::{
    CheckDigit, ClockQuality, DocumentKind, ObservationId, PlateCandidate, RadiationAlarm, ReadingKind,
    SealState, Seat, SensorId, Sha256, UtcMs, Verdict, WeighMode,
};
use passage::{AbsentReason, Direction, PassageState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Finding;
use crate::words::{AbsentReasonWord, DirectionWord, PassageStateWord, VerdictWord};

/// The state of one vehicle's passage at one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Packet {
    /// Names the passage: UUIDv7 (RFC 9562). The same passage keeps it through every revision, replay and restart.
    pub passage_id: String,
    /// Counts the published states of the passage, from 1. A higher one replaces a lower one.
    pub revision: u32,
    /// Customs office code or UN/LOCODE of the checkpoint.
    pub site: String,
    /// The box at the site.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The driving lane.
    pub lane: String,
    /// Its direction.
    #[schemars(with = "DirectionWord")]
    pub direction: Direction,
    /// How far the passage has come.
    #[schemars(with = "PassageStateWord")]
    pub state: PassageState,
    /// Whether every required reading is there; `missing` says which is not.
    pub complete: bool,
    /// When the first observation reached the box.
    pub opened_at: UtcMs,
    /// How far `opened_at` can be trusted.
    pub opened_clock: ClockQuality,
    /// When this revision was made.
    pub published_at: UtcMs,
    /// How far `published_at` can be trusted.
    pub published_clock: ClockQuality,
    /// Plate at the front of the vehicle.
    pub plate_front: Finding<PlateValue>,
    /// Plate at the rear of the vehicle or of its last trailer.
    pub plate_rear: Finding<PlateValue>,
    /// RFID tags.
    pub tags: Finding<Vec<TagValue>>,
    /// Radiation control.
    pub radiation: Finding<RadiationValue>,
    /// Weight; a stable weighing is preferred.
    pub weight: Finding<WeightValue>,
    /// Outer dimensions.
    pub dimensions: Finding<DimensionsValue>,
    /// Container codes.
    pub containers: Finding<Vec<ContainerValue>>,
    /// Navigation seals.
    pub seals: Finding<Vec<SealValue>>,
    /// Faces.
    pub faces: Finding<Vec<FaceValue>>,
    /// Documents and barcodes.
    pub documents: Finding<Vec<DocumentValue>>,
    /// Views of the undercarriage.
    pub undercarriage: Finding<Vec<Verdict>>,
    /// X-ray and other inspection.
    pub inspection: Finding<Vec<Verdict>>,
    /// Unusual things in the scene.
    pub anomalies: Finding<Vec<Verdict>>,
    /// What should agree and does not, and what a person should look at.
    pub discrepancies: Vec<Discrepancy>,
    /// Required readings that are not there. Empty in a complete packet.
    pub missing: Vec<MissingReading>,
    /// The decision; null until there is one.
    pub decision: Option<DecisionValue>,
    /// Every observation of the passage, in order of arrival.
    pub observations: Vec<ObservationEntry>,
    /// Bytes kept as proof, by their SHA-256.
    pub evidence: Vec<EvidenceRef>,
}

/// A registration plate, fused over every read of this end of the vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlateValue {
    /// The plate in canonical form: upper case, no spaces, Latin look-alikes; other letters as they stand, `?` for one not read.
    pub text: String,
    /// Country, ISO 3166-1 alpha-2; null if not known.
    pub country: Option<String>,
    /// Probability that `text` is right, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f64,
    /// Whether the reading may be relied on without a second look (`confidence` of 0.95 or more, and not doubtful whose it is).
    pub certain: bool,
    /// Other readings that were possible, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<PlateCandidate>,
}

/// An RFID tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagValue {
    /// The EPC in hexadecimal digits.
    pub epc: String,
    /// How often it was read.
    pub reads: u32,
    /// Strongest signal, dBm; null if the reader does not say.
    pub rssi_dbm: Option<f64>,
    /// The antenna of that signal, from 1; null if the reader does not say.
    pub antenna: Option<u16>,
}

/// Result of a radiation portal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RadiationValue {
    /// What the portal called.
    pub alarm: RadiationAlarm,
    /// Largest gamma count rate, counts per second over all detectors.
    pub gamma_max_cps: Option<f64>,
    /// Gamma background before the vehicle, counts per second over all detectors.
    pub gamma_background_cps: Option<f64>,
    /// Largest neutron count rate, counts per second over all detectors.
    pub neutron_max_cps: Option<f64>,
    /// How long the portal was occupied, milliseconds.
    pub duration_ms: Option<u64>,
}

/// A weighing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightValue {
    /// Gross weight, kg (UNECE Recommendation 20: KGM).
    pub gross_kg: i64,
    /// Weight of each axle in driving order, kg; null if not weighed by axle.
    pub axles_kg: Option<Vec<i64>>,
    /// Whether the scale called the value stable.
    pub stable: bool,
    /// How it was weighed.
    pub mode: WeighMode,
}

/// Outer dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DimensionsValue {
    /// Length, mm.
    pub length_mm: u32,
    /// Width, mm.
    pub width_mm: u32,
    /// Height, mm.
    pub height_mm: u32,
}

/// A container code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerValue {
    /// ISO 6346 code.
    pub code: String,
    /// Probability that the code is right, 0 to 1: the best of its reads.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f64,
    /// Size and type code that stands with it (ISO 6346), such as `22G1`: the first that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_code: Option<String>,
    /// Where the last digit of the code comes from, as far as a read of it says: `read` if any of them read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_digit: Option<CheckDigit>,
}

/// A navigation seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SealValue {
    /// The seal's own number.
    pub seal_id: String,
    /// Its newest state in this passage.
    pub state: SealState,
}

/// A face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaceValue {
    /// Where it sat.
    pub seat: Seat,
    /// Quality of the picture for matching, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quality: f64,
    /// SHA-256 of the template, which stays on the box; null if none was taken.
    pub template: Option<Sha256>,
}

/// A document or barcode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentValue {
    /// What kind of text it is.
    pub kind_of: DocumentKind,
    /// The text as read.
    pub text: String,
}

/// Two sources that should agree and do not, or something else a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Discrepancy {
    /// What kind it is.
    pub kind: DiscrepancyKind,
    /// What exactly, in plain words.
    pub detail: String,
    /// The observations that show it.
    pub sources: Vec<ObservationId>,
}

/// Kinds of [`Discrepancy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscrepancyKind {
    /// Two sensors measured the same thing and got different values.
    SensorsDisagree,
    /// A seal reported that it was opened.
    SealOpened,
    /// A seal reported that it was attacked.
    SealTampered,
    /// An alarm that may belong to another vehicle as well.
    AlarmAmbiguous,
    /// A sensor saw the vehicle and said that it could not measure it.
    SensorFault,
    /// The vehicle drove through the lane against its direction.
    AgainstDirection,
}

/// A required reading that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingReading {
    /// Where it was expected.
    pub station: String,
    /// What was expected.
    pub kind: ReadingKind,
    /// Why it is not there.
    #[schemars(with = "AbsentReasonWord")]
    pub reason: AbsentReason,
}

/// The decision about a vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionValue {
    /// The decision itself.
    #[schemars(with = "VerdictWord")]
    pub verdict: passage::Verdict,
    /// Who decided: `iispp`, or the name of a local rule.
    pub by: String,
    /// Name of the command that carried it.
    pub command_id: String,
}

/// One observation of the passage, and how it came there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObservationEntry {
    /// The sensor.
    pub sensor: SensorId,
    /// Counts the sensor's observations.
    pub seq: u64,
    /// Why it is in this packet, in a few plain words.
    pub why: String,
    /// Whether another passage was nearly as likely.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// The likely passages, this one included, best first; empty unless doubtful.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// How much more the next best place would have cost, nats (the odds against it are e to this power); null if there is
    /// no other place, or if this observation opened the passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The next best places, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativePlace>,
}

/// Another place where an observation might belong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlternativePlace {
    /// The passage; null for nobody's.
    pub passage: Option<String>,
    /// How much more it would have cost, nats.
    pub cost: f64,
}

/// Bytes kept as proof on the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceRef {
    /// Their name.
    pub sha256: Sha256,
    /// The sensor they come from.
    pub sensor: SensorId,
    /// The observation they belong to.
    pub seq: u64,
}
