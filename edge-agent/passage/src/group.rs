//! Observations of one sensor that surely belong together: both edges of one occupancy, reads of one plate, one tag while
//! it is heard. A group is placed as a whole.

use interface::{Observation, RadiationAlarm, Reading, ReadingKind, SealState, SensorId, View, WATCH_LIST};
use serde::{Deserialize, Serialize};

use crate::weighed::is_far_above;
use crate::{Alternative, PassageId, identity};

/// A loop that is free for less than this and covered again has chattered. What is longer may be the gap behind a tractor, or
/// between vehicles that stand bumper to bumper.
const DROPOUT_MS: u64 = 120;
/// Two equal edges, or equal results, within this time are one, told twice.
const TWICE_MS: u64 = 2_000;
/// A plate or code that is read again after this time has come again.
const READ_AGAIN_MS: u64 = 20_000;
/// What one camera reads within this time is of one vehicle: these follow each other after 1.5 s at least.
const AT_ONCE_MS: u64 = 800;
/// The distance of what one plate is misread as; a badge is further away.
const MISREAD: f64 = 3.0;
/// A tag that is silent for this long has gone.
const SILENCE_MS: u64 = 30_000;
/// The same of a seal: it is at the rear doors, and heard again and again while its vehicle stands in the queue.
const SEAL_SILENCE_MS: u64 = 600_000;
/// Readings of a stream (a settling scale) that follow each other within this time belong together.
const STREAM_MS: u64 = 1_500;
/// A reception within this much of the strongest is a good one, dB.
const GOOD_DB: f64 = 6.0;
/// Observations in one group; the next one begins another group.
const ITEMS: usize = 512;
/// An occupancy that a radiation portal claims to have lasted longer is not believed.
const LONGEST_OCCUPANCY_MS: u64 = 600_000;

/// One stream of readings: what is aligned with the vehicles of a lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Track {
    pub station: usize,
    pub kind: ReadingKind,
    pub sensor: SensorId,
    pub view: Option<View>,
}

impl Track {
    /// The track an observation belongs to.
    pub fn of(station: usize, observation: &Observation) -> Self {
        let view = if let Reading::Plate(plate) = &observation.reading { Some(plate.view) } else { None };
        Self { station, kind: observation.reading.kind(), sensor: observation.id.sensor.clone(), view }
    }

    /// Whether the sensor hears vehicles that are not in front of it.
    pub fn is_radio(&self) -> bool {
        matches!(self.kind, ReadingKind::Tag | ReadingKind::Seal)
    }
}

/// One observation and its place in the order of arrival.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub order: u64,
    pub observation: Observation,
}

/// What is known about a group as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mark {
    /// A loop was covered and freed; an edge may be lost.
    Occupancy { rise: Option<u64>, fall: Option<u64> },
    /// A plate, as it was read best.
    Plate { text: String, confidence: f64, view: View },
    /// A tag, seal or container; `good_ms` is its last good reception.
    Key { key: String, best_dbm: Option<f64>, good_ms: u64 },
    /// Anything without a name.
    Value,
}

/// Observations that are placed together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub number: u64,
    pub track: Track,
    pub mark: Mark,
    /// When it began and ended, as placed by device time, monotonic milliseconds.
    pub first_ms: u64,
    pub last_ms: u64,
    /// When its first observation arrived.
    pub arrived_ms: u64,
    pub items: Vec<Item>,
    /// That the vehicle left the loop was not told when it did: the next one came, or the loop was away.
    pub assumed_left: bool,
    /// Number of the passage it belongs to.
    pub owner: Option<u64>,
    /// When it was last taken from a passage without being given to another, monotonic milliseconds.
    #[serde(default)]
    pub loose_ms: Option<u64>,
    pub doubtful: bool,
    pub candidates: Vec<PassageId>,
    pub why: String,
    /// What the next best place would have cost more, nats; and the places.
    pub margin: Option<f64>,
    pub alternatives: Vec<Alternative>,
    /// How many of its observations have raised their alarm, and whom it named.
    pub announced: usize,
    pub named: Vec<PassageId>,
}

impl Group {
    /// A group of one observation that happened at `at_ms` and arrived at `arrived_ms`.
    pub fn new(number: u64, track: Track, item: Item, at_ms: u64, arrived_ms: u64) -> Self {
        let (mark, first_ms) = match &item.observation.reading {
            Reading::Presence { occupied: true } => {
                (Mark::Occupancy { rise: Some(at_ms), fall: None }, at_ms)
            }
            Reading::Presence { occupied: false } => {
                (Mark::Occupancy { rise: None, fall: Some(at_ms) }, at_ms)
            }
            Reading::Plate(plate) => {
                let confidence = probability(plate.confidence);
                (Mark::Plate { text: plate.text.clone(), confidence, view: plate.view }, at_ms)
            }
            Reading::Tag { epc, rssi_dbm, .. } => {
                (Mark::Key { key: epc.clone(), best_dbm: *rssi_dbm, good_ms: at_ms }, at_ms)
            }
            Reading::Seal { seal_id, .. } => {
                (Mark::Key { key: seal_id.clone(), best_dbm: None, good_ms: at_ms }, at_ms)
            }
            Reading::Container { code, .. } => {
                (Mark::Key { key: code.clone(), best_dbm: None, good_ms: at_ms }, at_ms)
            }
            Reading::Radiation { duration_ms, .. } => {
                let lasted = duration_ms.unwrap_or(0).min(LONGEST_OCCUPANCY_MS);
                (Mark::Value, at_ms.saturating_sub(lasted))
            }
            _ => (Mark::Value, at_ms),
        };
        Self {
            number,
            track,
            mark,
            first_ms,
            last_ms: at_ms,
            arrived_ms,
            items: vec![item],
            assumed_left: false,
            owner: None,
            loose_ms: None,
            doubtful: false,
            candidates: Vec::new(),
            why: String::new(),
            margin: None,
            alternatives: Vec::new(),
            announced: 0,
            named: Vec::new(),
        }
    }

    /// Whether an observation that happened at `at_ms` surely belongs to this group. `edge_since` says whether a loop at the
    /// station changed since the group's last reading, `away_since` whether the sensor was offline: a loop that comes back
    /// tells its state again, and that it is covered or free says nothing new of the vehicle that it was covered by or that
    /// had left it.
    pub fn accepts(&self, observation: &Observation, at_ms: u64, edge_since: bool, away_since: bool) -> bool {
        let reading = &observation.reading;
        let gap = at_ms.saturating_sub(self.last_ms);
        let same = self.items.last().is_some_and(|item| {
            item.observation.reading == *reading && item.observation.device_at == observation.device_at
        });
        if same && at_ms.abs_diff(self.last_ms) < TWICE_MS && matches!(self.mark, Mark::Value) {
            return self.items.len() < ITEMS;
        }
        self.items.len() < ITEMS
            && match (&self.mark, reading) {
                (Mark::Occupancy { rise, fall }, Reading::Presence { occupied }) => {
                    match (occupied, rise, fall) {
                        (true, Some(rise), None) => away_since || at_ms.saturating_sub(*rise) < TWICE_MS,
                        (true, Some(_), Some(fall)) => at_ms.saturating_sub(*fall) < DROPOUT_MS,
                        (false, _, Some(fall)) => at_ms.saturating_sub(*fall) < TWICE_MS,
                        (false, _, None) => true,
                        (true, None, _) => false,
                    }
                }
                (Mark::Plate { text, .. }, Reading::Plate(plate)) => {
                    let distance = identity::distance(text, &plate.text);
                    (gap < READ_AGAIN_MS && distance < identity::SAME)
                        || (gap < AT_ONCE_MS && distance <= MISREAD)
                }
                (Mark::Key { key, .. }, Reading::Tag { epc, .. }) => gap < SILENCE_MS && key == epc,
                (Mark::Key { key, .. }, Reading::Seal { seal_id, .. }) => {
                    gap < SEAL_SILENCE_MS && key == seal_id
                }
                (Mark::Key { key, .. }, Reading::Container { code, .. }) => {
                    gap < READ_AGAIN_MS && identity::distance(key, code) < identity::SAME
                }
                (Mark::Value, Reading::Weight { gross_kg, .. }) => {
                    gap < STREAM_MS && !edge_since && !self.has_settled_below(*gross_kg)
                }
                (Mark::Value, Reading::Face { .. } | Reading::Document { .. }) => {
                    gap < STREAM_MS && !edge_since
                }
                _ => false,
            }
    }

    /// Whether it is of a platform that has settled, which shows this much more now: another vehicle comes onto it.
    fn has_settled_below(&self, gross_kg: i64) -> bool {
        self.items.iter().any(|item| match item.observation.reading {
            Reading::Weight { gross_kg: settled, stable: true, .. } => is_far_above(gross_kg, settled),
            _ => false,
        })
    }

    /// Gives it to a passage, or to none.
    pub fn give(&mut self, owner: Option<u64>, now: u64) {
        if self.owner.is_some() && owner.is_none() {
            self.loose_ms = Some(now);
        }
        self.owner = owner;
    }

    /// Adds an observation that happened at `at_ms`.
    pub fn add(&mut self, item: Item, at_ms: u64) {
        self.learn(&item.observation.reading, at_ms);
        self.first_ms = self.first_ms.min(at_ms);
        self.last_ms = self.last_ms.max(at_ms);
        self.items.push(item);
        self.vote();
    }

    /// A plate is what most of its reads say, each as much as it is sure.
    fn vote(&mut self) {
        let Mark::Plate { text, confidence, .. } = &mut self.mark else { return };
        let mut votes: Vec<(&str, f64, f64)> = Vec::new();
        for item in &self.items {
            let Reading::Plate(plate) = &item.observation.reading else { continue };
            let sure = probability(plate.confidence);
            match votes.iter_mut().find(|(known, ..)| *known == plate.text) {
                Some((_, sum, most)) => (*sum, *most) = (*sum + sure, most.max(sure)),
                None => votes.push((&plate.text, sure, sure)),
            }
        }
        let Some(first) = votes.first().copied() else { return };
        let (best, _, most) =
            votes.into_iter().fold(first, |best, vote| if vote.1 > best.1 { vote } else { best });
        (*text, *confidence) = (best.to_owned(), most);
    }

    fn learn(&mut self, reading: &Reading, at_ms: u64) {
        match (&mut self.mark, reading) {
            (Mark::Occupancy { fall, .. }, Reading::Presence { occupied }) => {
                *fall = if *occupied { None } else { Some(at_ms) };
            }
            (Mark::Key { best_dbm, good_ms, .. }, Reading::Tag { rssi_dbm, .. }) => {
                match (*best_dbm, *rssi_dbm) {
                    (Some(best), Some(now)) if now < best - GOOD_DB => return,
                    (Some(best), Some(now)) => *best_dbm = Some(best.max(now)),
                    (None, now) => *best_dbm = now,
                    (Some(_), None) => {}
                }
                *good_ms = (*good_ms).max(at_ms);
            }
            (Mark::Key { good_ms, .. }, _) => *good_ms = (*good_ms).max(at_ms),
            _ => {}
        }
    }

    /// It happened so much later than was thought, milliseconds.
    pub fn shift(&mut self, by_ms: i64) {
        self.first_ms = self.first_ms.saturating_add_signed(by_ms);
        self.last_ms = self.last_ms.saturating_add_signed(by_ms);
        if let Mark::Key { good_ms, .. } = &mut self.mark {
            *good_ms = good_ms.saturating_add_signed(by_ms);
        }
    }

    /// The next vehicle has come over the loop: this one must have left it, though the edge was lost.
    pub fn assume_left(&mut self, at_ms: u64) {
        if let Mark::Occupancy { fall: fall @ None, .. } = &mut self.mark {
            *fall = Some(at_ms);
            self.assumed_left = true;
            self.last_ms = self.last_ms.max(at_ms);
        }
    }

    /// The loop was away when the vehicle left it: it had left by `last_ms`.
    pub fn left_unseen(&mut self) {
        self.assumed_left |= matches!(self.mark, Mark::Occupancy { fall: Some(_), .. });
    }

    /// Whether a loop has told when the vehicle came, and when it left.
    pub fn sure(&self) -> (bool, bool) {
        match self.mark {
            Mark::Occupancy { rise, fall } => (rise.is_some(), fall.is_some() && !self.assumed_left),
            _ => (true, true),
        }
    }

    /// Whether it tells who the vehicle is.
    pub fn is_named(&self) -> bool {
        matches!(self.mark, Mark::Plate { .. } | Mark::Key { .. })
    }

    /// Whether the loop is covered still, as far as is known.
    pub fn is_open(&self) -> bool {
        matches!(self.mark, Mark::Occupancy { fall: None, .. })
    }

    /// The time that says most about where the vehicle was.
    pub fn anchor_ms(&self) -> u64 {
        match &self.mark {
            Mark::Occupancy { rise, fall } => rise.or(*fall).unwrap_or(self.first_ms),
            Mark::Key { good_ms, .. } if self.track.is_radio() => *good_ms,
            Mark::Value if self.track.kind == ReadingKind::Radiation => self.last_ms,
            _ => self.first_ms,
        }
    }

    /// Whether a device clock tells the time, so that lateness is no excuse.
    pub fn has_device_time(&self) -> bool {
        self.items.iter().any(|item| item.observation.device_at.is_some())
    }

    /// Whether one of its observations must be heard at once.
    pub fn is_alarm(&self) -> bool {
        self.items.iter().any(|item| is_alarm(&item.observation.reading))
    }

    /// How many of its observations must be heard at once.
    pub fn alarms(&self) -> usize {
        self.items.iter().filter(|item| is_alarm(&item.observation.reading)).count()
    }

    /// Whether an alarm of its observations was not raised yet.
    pub fn has_unraised(&self) -> bool {
        self.announced < self.alarms()
    }

    /// Whether a camera has read something on a vehicle that is no plate.
    pub fn is_lettering(&self) -> bool {
        matches!(&self.mark, Mark::Plate { text, .. } if !identity::is_plate(text))
    }

    /// Whether it holds a usable reading of its kind: what satisfies a requirement.
    pub fn satisfies(&self) -> bool {
        self.items.iter().any(|item| match &item.observation.reading {
            Reading::Weight { stable, .. } => *stable,
            Reading::Plate(plate) => !plate.text.is_empty(),
            Reading::Radiation { alarm, .. } => *alarm != RadiationAlarm::Fault,
            _ => true,
        })
    }
}

/// Whether a reading must be heard at once: a radiation alarm, an attacked seal, somebody of the watch list.
pub(crate) fn is_alarm(reading: &Reading) -> bool {
    match reading {
        Reading::Radiation { alarm, .. } => {
            matches!(alarm, RadiationAlarm::Gamma | RadiationAlarm::Neutron | RadiationAlarm::GammaNeutron)
        }
        Reading::Seal { state, .. } => *state == SealState::Tampered,
        Reading::Anomaly(verdict) => verdict.verdict.as_deref() == Some(WATCH_LIST),
        _ => false,
    }
}

fn probability(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 }
}

impl Group {
    /// The plate it shows, if it is one that could be read.
    pub fn plate_seen(&self) -> Option<(View, &str)> {
        match &self.mark {
            Mark::Plate { text, view, .. } if !text.is_empty() => Some((*view, text.as_str())),
            _ => None,
        }
    }
}

#[cfg(test)]
impl Group {
    /// A loop of a station was covered from one time to another, milliseconds.
    pub fn over(station: usize, from: u64, to: u64) -> Self {
        let edges =
            [(from, Reading::Presence { occupied: true }), (to, Reading::Presence { occupied: false })];
        let mut group = Self::sample(&edges);
        group.track.station = station;
        group
    }

    /// What a sensor said at these times, milliseconds.
    pub fn sample(readings: &[(u64, Reading)]) -> Self {
        let item = |order: usize, reading: &Reading| {
            let observation = Observation {
                id: interface::ObservationId { sensor: SensorId("s".into()), seq: order as u64 },
                stamp: interface::Stamp::default(),
                device_at: None,
                reading: reading.clone(),
                evidence: Vec::new(),
            };
            Item { order: order as u64, observation }
        };
        let (at, first) = readings.first().unwrap();
        let first = item(0, first);
        let mut group = Self::new(1, Track::of(0, &first.observation), first, *at, *at);
        for (order, (at, reading)) in readings.iter().enumerate().skip(1) {
            group.add(item(order, reading), *at);
        }
        group
    }
}
