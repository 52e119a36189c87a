//! Two simple ways to assign observations, as others do it, on the same journal.

use std::collections::BTreeMap;

use interface::{Observation, Reading, SensorId};

use crate::journal::Traffic;
use crate::outcome::{Outcome, Passage, Placed};
use crate::score::score;

/// How long a passage lives without any observation, milliseconds.
const IDLE_MS: u64 = 180_000;

struct Open {
    index: usize,
    last_ms: u64,
}

fn placed(observation: &Observation, why: &str) -> Placed {
    Placed { id: observation.id.clone(), doubtful: false, candidates: Vec::new(), why: why.to_owned() }
}

fn new_passage(outcome: &mut Outcome) -> usize {
    let id = format!("p{}", outcome.passages.len());
    outcome.passages.push(Passage { id, state: String::new(), sealed_after_s: None, entries: Vec::new() });
    outcome.passages.len() - 1
}

/// Where each sensor stands: lane, station's number of all, and which sensor opens passages in the lane: the loop of the
/// first station, or without one its first camera.
struct Plan {
    place: BTreeMap<SensorId, (usize, usize)>,
    openers: Vec<Option<SensorId>>,
}

impl Plan {
    fn of(traffic: &Traffic) -> Self {
        let mut place = BTreeMap::new();
        let mut openers = Vec::new();
        for (lane_index, lane) in traffic.layout.lanes.iter().enumerate() {
            for (station, built) in lane.places.iter().enumerate() {
                for sensor in &built.sensors {
                    place.insert(sensor.id.clone(), (lane_index, station));
                }
            }
            let first = lane.places.first().map(|place| place.sensors.as_slice()).unwrap_or_default();
            let opener = first
                .iter()
                .find(|sensor| sensor.kind == interface::ReadingKind::Presence)
                .or_else(|| first.iter().find(|sensor| sensor.kind == interface::ReadingKind::Plate));
            openers.push(opener.map(|sensor| sensor.id.clone()));
        }
        Self { place, openers }
    }
}

/// A new vehicle comes when the loop at the entry is covered, or without a loop another plate is read there; all that
/// happens in the lane belongs to the vehicle that came last, until the next one comes or the lane is quiet for long. As gate
/// systems do it, with one "current vehicle" per lane.
pub fn current_vehicle(traffic: &Traffic) -> Outcome {
    let plan = Plan::of(traffic);
    let mut outcome = Outcome::default();
    let mut current: BTreeMap<usize, Open> = BTreeMap::new();
    let mut plates: BTreeMap<usize, String> = BTreeMap::new();
    for observation in traffic.observations() {
        let now = observation.stamp.mono_ms;
        let Some((lane, _)) = plan.place.get(&observation.id.sensor).copied() else { continue };
        let is_opener = plan.openers[lane].as_ref() == Some(&observation.id.sensor);
        let opens = is_opener
            && match &observation.reading {
                Reading::Presence { occupied } => *occupied,
                Reading::Plate(plate) => {
                    plates.insert(lane, plate.text.clone()).as_ref() != Some(&plate.text)
                }
                _ => false,
            };
        if opens {
            let index = new_passage(&mut outcome);
            current.insert(lane, Open { index, last_ms: now });
        }
        match current.get_mut(&lane).filter(|open| now < open.last_ms + IDLE_MS) {
            Some(open) => {
                open.last_ms = now;
                outcome.passages[open.index].entries.push(placed(observation, "the lane's current vehicle"));
            }
            None => outcome.orphans.push((observation.id.clone(), "no current vehicle".to_owned())),
        }
    }
    outcome
}

/// Windows that are tried, milliseconds.
const WINDOWS_MS: [u64; 6] = [5_000, 10_000, 20_000, 40_000, 80_000, 160_000];

/// Joins by time: an observation at a station belongs to the vehicle whose expected time there is nearest, within a window.
/// The expected time is that of the entry plus the median travel time to the station, which is learned from the journal
/// itself. As stream processors join; kinder than life, since the window is the one that the truth says is best for this journal.
pub fn time_window(traffic: &Traffic) -> Outcome {
    let plan = Plan::of(traffic);
    let travel = travel_times(traffic, &plan);
    let joined = WINDOWS_MS.iter().map(|window| join(traffic, &plan, &travel, *window));
    let right = |outcome: &Outcome| score(traffic, outcome).0.observations.right;
    joined.max_by_key(right).unwrap_or_default()
}

fn join(traffic: &Traffic, plan: &Plan, travel: &[Vec<u64>], window_ms: u64) -> Outcome {
    let mut outcome = Outcome::default();
    // Entry times of each lane, with their passages.
    let mut entries: Vec<Vec<(u64, usize)>> = vec![Vec::new(); traffic.layout.lanes.len()];
    for (lane, came_ms) in openings(traffic, plan) {
        let index = new_passage(&mut outcome);
        entries[lane].push((came_ms, index));
    }
    for observation in traffic.observations() {
        let now = observation.stamp.mono_ms;
        let Some((lane, station)) = plan.place.get(&observation.id.sensor).copied() else { continue };
        let expected = now.saturating_sub(travel[lane][station]);
        let next = entries[lane].partition_point(|(came_ms, _)| *came_ms < expected);
        let near = entries[lane].iter().skip(next.saturating_sub(1)).take(2);
        let best = near.map(|(came_ms, index)| (came_ms.abs_diff(expected), *index)).min();
        match best {
            Some((off, index)) if off <= window_ms => {
                outcome.passages[index].entries.push(placed(observation, "nearest expected time"));
            }
            _ => outcome.orphans.push((observation.id.clone(), "no vehicle is expected".to_owned())),
        }
    }
    outcome.passages.retain(|passage| !passage.entries.is_empty());
    outcome
}

/// When vehicles came, lane by lane.
fn openings(traffic: &Traffic, plan: &Plan) -> Vec<(usize, u64)> {
    let mut found = Vec::new();
    let mut plates: BTreeMap<usize, String> = BTreeMap::new();
    for observation in traffic.observations() {
        let Some((lane, _)) = plan.place.get(&observation.id.sensor).copied() else { continue };
        if plan.openers[lane].as_ref() != Some(&observation.id.sensor) {
            continue;
        }
        let opens = match &observation.reading {
            Reading::Presence { occupied } => *occupied,
            Reading::Plate(plate) => plates.insert(lane, plate.text.clone()).as_ref() != Some(&plate.text),
            _ => false,
        };
        if opens {
            found.push((lane, observation.stamp.mono_ms));
        }
    }
    found
}

/// Median time from the nearest entry before to an observation at each station, milliseconds.
fn travel_times(traffic: &Traffic, plan: &Plan) -> Vec<Vec<u64>> {
    let mut last_entry: BTreeMap<usize, u64> = BTreeMap::new();
    let mut samples: Vec<Vec<Vec<u64>>> =
        traffic.layout.lanes.iter().map(|lane| vec![Vec::new(); lane.places.len()]).collect();
    for observation in traffic.observations() {
        let now = observation.stamp.mono_ms;
        let Some((lane, station)) = plan.place.get(&observation.id.sensor).copied() else { continue };
        let is_opener = plan.openers[lane].as_ref() == Some(&observation.id.sensor);
        if is_opener && !matches!(observation.reading, Reading::Presence { occupied: false }) {
            last_entry.insert(lane, now);
        }
        if let (Some(entry), true) = (
            last_entry.get(&lane),
            matches!(observation.reading, Reading::Presence { .. } | Reading::Plate(_)),
        ) {
            samples[lane][station].push(now - entry);
        }
    }
    let median = |times: &mut Vec<u64>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    };
    samples.iter_mut().map(|lane| lane.iter_mut().map(median).collect()).collect()
}
