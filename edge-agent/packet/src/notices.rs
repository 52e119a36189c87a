//! What is published beside the packets: orphans and alarms.

use interface::{ClockQuality, Observation, Reading, SensorId, Sha256, Stamp, UtcMs};
use passage::{LaneId, OrphanReport, PassageId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An observation that belongs to no passage: published, never attached silently, never dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrphanEvent {
    /// Customs office code or UN/LOCODE of the checkpoint.
    pub site: String,
    /// The box at the site.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The lane it was made in; null if its sensor is not known.
    pub lane: Option<String>,
    /// The sensor.
    pub sensor: SensorId,
    /// Counts the sensor's observations.
    pub seq: u64,
    /// When it reached the box.
    pub at: UtcMs,
    /// How far `at` can be trusted.
    pub clock: ClockQuality,
    /// What was measured.
    pub reading: Reading,
    /// Why it fits nobody, in plain words.
    pub why: String,
    /// Bytes kept as proof, by their SHA-256.
    pub evidence: Vec<Sha256>,
    /// When it was given up.
    pub published_at: UtcMs,
}

/// Something that cannot wait for the packet: a radiation alarm, a tampered seal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmEvent {
    /// Customs office code or UN/LOCODE of the checkpoint.
    pub site: String,
    /// The box at the site.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The lane.
    pub lane: String,
    /// The sensor that raised it.
    pub sensor: SensorId,
    /// Counts the sensor's observations.
    pub seq: u64,
    /// When it reached the box.
    pub at: UtcMs,
    /// How far `at` can be trusted.
    pub clock: ClockQuality,
    /// What was measured.
    pub reading: Reading,
    /// The passages it may concern, most likely first; empty if it fits nobody.
    pub candidates: Vec<String>,
    /// Bytes kept as proof, by their SHA-256.
    pub evidence: Vec<Sha256>,
    /// When it was raised.
    pub published_at: UtcMs,
}

impl OrphanEvent {
    /// `id` of the event that carries it: `orphan/<sensor>/<seq>`.
    pub fn id(&self) -> String {
        format!("orphan/{}/{}", self.sensor, self.seq)
    }

    /// The message about an orphan.
    pub fn from_report(site: &str, box_id: &str, report: &OrphanReport) -> Self {
        let observation = &report.observation;
        Self {
            site: site.to_owned(),
            box_id: box_id.to_owned(),
            lane: report.lane.as_ref().map(ToString::to_string),
            sensor: observation.id.sensor.clone(),
            seq: observation.id.seq,
            at: observation.stamp.utc,
            clock: observation.stamp.clock,
            reading: observation.reading.clone(),
            why: report.why.clone(),
            evidence: observation.evidence.clone(),
            published_at: report.published.utc,
        }
    }
}

impl AlarmEvent {
    /// `id` of the event that carries it: `alarm/<sensor>/<seq>/<digest>`. The digest is of the candidates, since an alarm is
    /// raised again when it may concern other passages than was known at first: that is another event, not a repeat.
    pub fn id(&self) -> String {
        let digest = Sha256::of(self.candidates.join("\n").as_bytes()).to_string();
        let digest: String = digest.chars().take(8).collect();
        format!("alarm/{}/{}/{digest}", self.sensor, self.seq)
    }

    /// The message about an alarm; the arguments are the fields of [`passage::Effect::Alarm`].
    pub fn new(
        site: &str,
        box_id: &str,
        observation: &Observation,
        lane: &LaneId,
        candidates: &[PassageId],
        published: &Stamp,
    ) -> Self {
        Self {
            site: site.to_owned(),
            box_id: box_id.to_owned(),
            lane: lane.to_string(),
            sensor: observation.id.sensor.clone(),
            seq: observation.id.seq,
            at: observation.stamp.utc,
            clock: observation.stamp.clock,
            reading: observation.reading.clone(),
            candidates: candidates.iter().map(ToString::to_string).collect(),
            evidence: observation.evidence.clone(),
            published_at: published.utc,
        }
    }
}
