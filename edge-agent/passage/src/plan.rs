//! A lane of the checkpoint as the engine works with it: indices instead of names, and who opens a passage.

use std::collections::BTreeMap;

use interface::{Reading, ReadingKind, SensorId, View};

use crate::group::Track;
use crate::{Checkpoint, Lane, LaneId, SensorPlace, Timing};

/// Posts of one station.
const POSTS: usize = 3;

/// One lane, ready to work with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub site: String,
    pub box_id: String,
    pub lane: Lane,
    pub timing: Timing,
    /// Station index and place of each sensor of this lane.
    pub sensors: BTreeMap<SensorId, (usize, SensorPlace)>,
    /// Whether each station has a loop.
    looped: Vec<bool>,
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
        let has_loop = |station: usize| {
            let mut here = sensors.values().filter(|(at, _)| *at == station);
            here.any(|(_, place)| place.readings.contains(&ReadingKind::Presence))
        };
        Self {
            site: checkpoint.site.clone(),
            box_id: checkpoint.box_id.clone(),
            lane: lane.clone(),
            timing: checkpoint.timing.clone(),
            looped: (0..lane.stations.len()).map(has_loop).collect(),
            sensors,
            first,
            last,
            opener,
        }
    }

    /// Whether a sensor at the station gives readings of this kind.
    pub fn fitted(&self, station: usize, kind: ReadingKind) -> bool {
        match kind {
            ReadingKind::Presence => self.looped.get(station).copied().unwrap_or(false),
            _ => self.sensors_for(station, kind).next().is_some(),
        }
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

    /// Whether somebody may wait for this reading: it opens a passage, or a packet needs it. A plate is read several times: it is
    /// soon enough with the others.
    pub fn is_awaited(&self, station: usize, reading: &Reading) -> bool {
        let kind = reading.kind();
        if station == self.first && *reading == (Reading::Presence { occupied: true }) {
            return true;
        }
        let usable = match reading {
            Reading::Weight { stable, .. } => *stable,
            _ => kind != ReadingKind::Plate,
        };
        usable && self.lane.stations.get(station).is_some_and(|station| station.required.contains(&kind))
    }

    /// How many posts the lane has. A *post* is what is seen as one: a station with a loop, or, without one, its front plates,
    /// its measurements, or its rear plates, since there the next vehicle's front may be seen before this one's rear.
    pub fn posts(&self) -> usize {
        self.lane.stations.len() * POSTS
    }

    /// The station of a post.
    pub fn station_of(post: usize) -> usize {
        post / POSTS
    }

    /// The posts of a station.
    pub fn posts_of(station: usize) -> std::ops::Range<usize> {
        station * POSTS..(station + 1) * POSTS
    }

    /// The first post of a station.
    pub fn first_post_of(station: usize) -> usize {
        station * POSTS
    }

    /// Whether a post sees the rear of vehicles only.
    pub fn is_rear_post(post: usize) -> bool {
        post % POSTS == 2
    }

    /// Whether a post has no loop and only measures.
    pub fn is_measuring_post(post: usize) -> bool {
        post % POSTS == 1
    }

    /// The post where a track stands.
    pub fn post_of(&self, track: &Track) -> usize {
        let part = match (track.kind, track.view) {
            _ if self.fitted(track.station, ReadingKind::Presence) => 0,
            (ReadingKind::Plate, Some(View::Rear)) => 2,
            (ReadingKind::Plate, _) => 0,
            _ => 1,
        };
        track.station * POSTS + part
    }

    /// The kinds of readings that vehicles are expected to cause at a post, radio aside.
    pub fn kinds_of_post(&self, post: usize) -> impl Iterator<Item = ReadingKind> + '_ {
        let (station, part) = (Self::station_of(post), post % POSTS);
        let looped = self.fitted(station, ReadingKind::Presence);
        let mut kinds: Vec<ReadingKind> = Vec::new();
        for (_, place) in self.sensors.values().filter(|(at, _)| *at == station) {
            for kind in &place.readings {
                let stands = match kind {
                    ReadingKind::Tag | ReadingKind::Seal | ReadingKind::Anomaly => false,
                    _ if looped => part == 0,
                    ReadingKind::Plate if place.view == Some(View::Rear) => part == 2,
                    ReadingKind::Plate => part == 0,
                    _ => part == 1,
                };
                if stands && !kinds.contains(kind) {
                    kinds.push(*kind);
                }
            }
        }
        kinds.into_iter()
    }

    /// Where posts are after stations were renumbered.
    pub fn moved_post(station: impl Fn(usize) -> usize) -> impl Fn(usize) -> usize {
        move |post| station(Self::station_of(post)) * POSTS + post % POSTS
    }

    /// Whether anything at a station tells when a vehicle is there: radio hears it from afar.
    pub fn tells(&self, station: usize) -> bool {
        (0..POSTS).any(|part| self.kinds_of_post(station * POSTS + part).next().is_some())
    }

    /// Position of a post, metres.
    pub fn post_m(&self, post: usize) -> f64 {
        self.position_m(Self::station_of(post))
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

#[cfg(test)]
impl Plan {
    /// A lane with a loop at each of these places, metres.
    pub fn looped(places_m: &[f64]) -> Self {
        Self::with(places_m, |_| ReadingKind::Presence)
    }

    /// A lane with something that gives such readings at each of these places, metres.
    pub fn with(places_m: &[f64], kind: impl Fn(usize) -> ReadingKind) -> Self {
        use crate::{Direction, StationId};
        let lane = LaneId("in-1".into());
        let name = |n: usize| StationId(format!("s{n}"));
        let station = |(n, position_m): (usize, &f64)| crate::Station {
            id: name(n),
            position_m: *position_m,
            required: Vec::new(),
            deadline_ms: 60_000,
        };
        let place = |n: usize| {
            let place = SensorPlace {
                lane: lane.clone(),
                station: name(n),
                readings: vec![kind(n)],
                view: None,
                box_clock: false,
            };
            (SensorId(format!("loop{n}")), place)
        };
        let stations = places_m.iter().enumerate().map(station).collect();
        let checkpoint = Checkpoint {
            lanes: vec![Lane { id: lane.clone(), direction: Direction::In, stations }],
            sensors: (0..places_m.len()).map(place).collect(),
            ..Checkpoint::default()
        };
        Self::new(&checkpoint, &checkpoint.lanes[0])
    }
}
