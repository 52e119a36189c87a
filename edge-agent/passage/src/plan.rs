//! A lane of the checkpoint as the engine works with it: indices instead of names, and who opens a passage.

use std::collections::BTreeMap;

use interface::{ReadingKind, SensorId, View};

use crate::scoring;
use crate::{Checkpoint, Lane, LaneId, SensorPlace, Timing};

/// One lane, ready to work with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub site: String,
    pub box_id: String,
    pub lane: Lane,
    pub timing: Timing,
    /// Station index and place of each sensor of this lane.
    pub sensors: BTreeMap<SensorId, (usize, SensorPlace)>,
    /// Index of the first station with sensors.
    pub first: usize,
    /// Index of the last station with sensors.
    pub last: usize,
    /// The sensor, and the kind of its readings, that opens passages.
    pub opener: Option<(SensorId, ReadingKind)>,
}

impl Plan {
    /// Every lane of `checkpoint`. Sensors at unknown lanes or stations are left out: what they say is an orphan.
    pub fn all(checkpoint: &Checkpoint) -> BTreeMap<LaneId, Self> {
        checkpoint.lanes.iter().map(|lane| (lane.id.clone(), Self::new(checkpoint, lane))).collect()
    }

    fn new(checkpoint: &Checkpoint, lane: &Lane) -> Self {
        let sensors: BTreeMap<_, _> = checkpoint
            .sensors
            .iter()
            .filter(|(_, place)| place.lane == lane.id)
            .filter_map(|(sensor, place)| {
                let station = lane.stations.iter().position(|station| station.id == place.station)?;
                Some((sensor.clone(), (station, place.clone())))
            })
            .collect();
        let stations = || sensors.values().map(|(station, _)| *station);
        let first = stations().min().unwrap_or(0);
        let last = stations().max().unwrap_or(0);
        let opener = opener(&sensors, first);
        Self {
            site: checkpoint.site.clone(),
            box_id: checkpoint.box_id.clone(),
            lane: lane.clone(),
            timing: checkpoint.timing.clone(),
            sensors,
            first,
            last,
            opener,
        }
    }

    /// Whether a sensor at the station gives readings of this kind.
    pub fn fitted(&self, station: usize, kind: ReadingKind) -> bool {
        self.sensors_for(station, kind).next().is_some()
    }

    /// The sensors at the station that give readings of this kind.
    pub fn sensors_for(&self, station: usize, kind: ReadingKind) -> impl Iterator<Item = &SensorId> {
        self.sensors
            .iter()
            .filter(move |(_, (at, place))| *at == station && place.readings.contains(&kind))
            .map(|(sensor, _)| sensor)
    }

    /// Kinds that no sensor of the lane gives.
    pub fn not_fitted(&self) -> Vec<ReadingKind> {
        let given = |kind| self.sensors.values().any(|(_, place)| place.readings.contains(kind));
        ReadingKind::ALL.iter().filter(|kind| !given(kind)).copied().collect()
    }

    /// Ends of the vehicle that no camera of the lane sees. A plate sensor that does not say what it sees may see both.
    pub fn views_not_fitted(&self) -> Vec<View> {
        let cameras = self.sensors.values().map(|(_, place)| place);
        let seen = |view: View| {
            cameras.clone().any(|place| {
                place.readings.contains(&ReadingKind::Plate) && place.view.is_none_or(|seen| seen == view)
            })
        };
        View::ALL.iter().filter(|view| !seen(**view)).copied().collect()
    }

    /// Position of a station, metres; 0 for an unknown one or a position that is no number.
    pub fn position_m(&self, station: usize) -> f64 {
        self.lane
            .stations
            .get(station)
            .map(|station| station.position_m)
            .filter(|m| m.is_finite())
            .unwrap_or(0.0)
    }

    /// Name of a station.
    pub fn station_name(&self, station: usize) -> &str {
        self.lane.stations.get(station).map_or("?", |station| &station.id.0)
    }

    /// The station's deadline, milliseconds.
    pub fn deadline_ms(&self, station: usize) -> u64 {
        self.lane.stations.get(station).map_or(0, |station| station.deadline_ms)
    }

    /// The kinds of readings that the station's sensors give.
    pub fn kinds(&self, station: usize) -> impl Iterator<Item = ReadingKind> + '_ {
        let here = self.sensors.values().filter(move |(at, _)| *at == station);
        here.flat_map(|(_, place)| place.readings.iter().copied())
    }

    /// Whether some camera of the station may see the front of vehicles.
    pub fn sees_front(&self, station: usize) -> bool {
        let here = self.sensors.values().filter(|(at, _)| *at == station).map(|(_, place)| place);
        let mut cameras = here.filter(|place| place.readings.contains(&ReadingKind::Plate));
        cameras.any(|place| place.view != Some(View::Rear))
    }

    /// What it costs to say that a vehicle passed the station without being noticed by any sensor.
    pub fn missed(&self, station: usize) -> f64 {
        let sum: f64 = self.kinds(station).map(scoring::missed).sum();
        sum.min(scoring::SENT_OUT)
    }

    /// The required readings that some sensor can give, by station.
    pub fn required(&self) -> impl Iterator<Item = (usize, ReadingKind)> + '_ {
        let stations = self.lane.stations.iter().enumerate();
        stations.flat_map(|(index, station)| station.required.iter().map(move |kind| (index, *kind)))
    }
}

/// A loop opens passages; without one the front camera, then any camera, then a tag, then whatever is there.
fn opener(
    sensors: &BTreeMap<SensorId, (usize, SensorPlace)>,
    first: usize,
) -> Option<(SensorId, ReadingKind)> {
    let rank = |kind: ReadingKind, view: Option<View>| match (kind, view) {
        (ReadingKind::Presence, _) => 0,
        (ReadingKind::Plate, Some(View::Front)) => 1,
        (ReadingKind::Plate, _) => 2,
        (ReadingKind::Tag, _) => 3,
        _ => 4,
    };
    sensors
        .iter()
        .filter(|(_, (station, _))| *station == first)
        .flat_map(|(sensor, (_, place))| place.readings.iter().map(move |kind| (sensor, *kind, place.view)))
        .min_by_key(|(_, kind, view)| rank(*kind, *view))
        .map(|(sensor, kind, _)| (sensor.clone(), kind))
}
