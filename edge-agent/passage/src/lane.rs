//! One lane: its passages in driving order, and everything its sensors have said that is not yet final.

use std::collections::{BTreeMap, VecDeque};

use interface::{Observation, Reading, ReadingKind, SensorId, Stamp, View};
use serde::{Deserialize, Serialize};

use crate::clock_offset::{self, ClockOffset};
use crate::group::{Group, Item, Mark, Track, is_alarm};
use crate::naming::passage_id;
use crate::passage::Passage;
use crate::plan::Plan;
use crate::sightings::Sightings;
use crate::travel::Travel;
use crate::{Effect, OrphanReport, PassageId, PassageState, identity};

/// Passages that are open at once in one lane; a 300 m lane holds 64 cars bumper to bumper. The oldest gives way.
pub(crate) const MAX_OPEN: usize = 64;
/// Passages of one lane that are open or still amended. The oldest gives way.
const MAX_PASSAGES: usize = 128;
/// Observations of one passage; more are orphans.
pub(crate) const MAX_ENTRIES: usize = 4096;
/// Groups of one lane; observations that would make more are orphans.
const MAX_GROUPS: usize = 2048;
/// Names of passages remembered after they are final.
const MAX_REMEMBERED: usize = 256;
/// How long a group waits for a vehicle that it fits before it is asked whether it is one, milliseconds: cameras see a vehicle
/// some seconds before the loop.
const WAIT_MS: u64 = 15_000;
/// How long a name waits: it may be of a vehicle that stands in the queue before the station.
const WAIT_NAMED_MS: u64 = 150_000;
/// A plate at the entry opens a passage only if no vehicle is known to have been there within this time, milliseconds.
const ALONE_MS: u64 = 3_000;

/// A plate that was read at least this surely is a vehicle, even if the loop has missed it.
const SURE_PLATE: f64 = 0.75;

/// A loop that was free for less than this may have lost a trailer for the gap behind its tractor, milliseconds; it can be
/// longer when the vehicle stops just then, but then so are gaps between vehicles.
const SPLIT_MS: u64 = 2_500;

/// A plate that opens a passage at once was read at least this surely; otherwise it waits for company.
const OPENING_PLATE: f64 = 0.6;

/// The last time a sensor was offline, monotonic milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub from: u64,
    pub to: Option<u64>,
    /// Whether it has given a reading since.
    pub heard: bool,
}

/// State of one lane. Each lane has its own time, moved by its own inputs: what happens in another lane changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LaneState {
    /// Stamp of the newest input: the pair from which later times are derived.
    pub anchor: Option<Stamp>,
    /// The lane's time, monotonic milliseconds. Never goes back within a boot.
    pub clock_ms: u64,
    /// In driving order.
    pub passages: Vec<Passage>,
    /// In order of arrival.
    pub groups: Vec<Group>,
    pub offsets: BTreeMap<SensorId, ClockOffset>,
    pub outages: BTreeMap<SensorId, Outage>,
    pub travel: Travel,
    pub remembered: VecDeque<PassageId>,
    pub next_number: u64,
    /// When something is to be done without input.
    pub wake_ms: Option<u64>,
}

impl LaneState {
    /// The stamp of lane time `ms`.
    pub fn stamp(&self, ms: u64) -> Stamp {
        let anchor = self.anchor.clone().unwrap_or_default();
        let later = ms.saturating_sub(anchor.mono_ms);
        anchor.plus_ms(later)
    }

    /// Moves the lane's time to an input's stamp; deadlines before it have been run.
    pub fn arrive(&mut self, stamp: &Stamp) {
        self.clock_ms = self.clock_ms.max(stamp.mono_ms);
        if self.anchor.as_ref().is_none_or(|anchor| stamp.mono_ms >= anchor.mono_ms) {
            self.anchor = Some(stamp.clone());
        }
    }

    pub fn is_offline(&self, sensor: &SensorId) -> bool {
        self.outages.get(sensor).is_some_and(|outage| outage.to.is_none())
    }

    /// A sensor of this lane was lost or came back.
    pub fn sensor_state(&mut self, sensor: &SensorId, offline: bool) {
        let now = self.clock_ms;
        match (offline, self.outages.get_mut(sensor)) {
            (true, Some(Outage { to: None, .. })) | (false, None) => {}
            (true, _) => {
                self.outages.insert(sensor.clone(), Outage { from: now, to: None, heard: false });
            }
            (false, Some(outage)) => {
                outage.to.get_or_insert(now);
            }
        }
    }

    /// Takes in one observation of a sensor at `station`.
    pub fn observe(&mut self, plan: &Plan, station: usize, observation: Observation, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let mut at = now;
        if let Some(device_at) = observation.device_at {
            let sensor = &observation.id.sensor;
            at = if plan.sensors.get(sensor).is_some_and(|(_, place)| place.box_clock) {
                clock_offset::place_by_box_clock(&observation.stamp, device_at)
            } else {
                self.offsets.entry(sensor.clone()).or_default().place(now, device_at)
            };
        }
        let track = Track::of(station, &observation);
        if track.kind == ReadingKind::Presence {
            let newest =
                self.groups.iter().filter(|group| group.track == track).map(|group| group.last_ms).max();
            at = at.max(newest.unwrap_or(0));
        }
        let order = self.count();
        let item = Item { order, observation };
        let appended = self.append(plan, &track, item, at);
        let outage = self.outages.get_mut(&track.sensor);
        let first_since = outage.is_some_and(|outage| !std::mem::replace(&mut outage.heard, true));
        let Some(item) = appended else { return };
        if first_since && item.observation.reading == (Reading::Presence { occupied: false }) {
            // Nobody is known to have stood there, so nobody has left.
            let why = "the loop tells that it is free after it was away".to_owned();
            self.orphan(plan, item.observation, why, false, out);
            return;
        }
        if self.groups.len() >= MAX_GROUPS {
            self.orphan(
                plan,
                item.observation,
                "the lane holds too many open observations".to_owned(),
                true,
                out,
            );
            return;
        }
        let number = self.count();
        let group = Group::new(number, track.clone(), item, at, now);
        if track.kind == ReadingKind::Presence && matches!(group.mark, Mark::Occupancy { rise: Some(_), .. })
        {
            for older in self.groups.iter_mut().filter(|older| older.track == track) {
                older.assume_left(at);
            }
        }
        let freed_only = matches!(group.mark, Mark::Occupancy { rise: None, .. });
        self.groups.push(group);
        let opener = plan.opener.as_ref().is_some_and(|(sensor, kind)| {
            *sensor == track.sensor && *kind == track.kind && station == plan.first
        });
        let misread = self.groups.last().is_some_and(|group| self.is_misread(plan, group));
        if opener && !freed_only && !misread && !self.is_second_half(plan, number) {
            self.open(plan, number, PassageState::Approaching, out);
        }
        self.open_behind(plan, number, out);
        self.place(plan, station);
    }

    /// Adds an observation to a group of its track that it surely belongs to; gives it back if there is none.
    fn append(&mut self, plan: &Plan, track: &Track, item: Item, at: u64) -> Option<Item> {
        let now = self.clock_ms;
        let edges = self.groups.iter().filter(|group| {
            group.track.station == track.station && group.track.kind == ReadingKind::Presence
        });
        let last_edge = edges.map(|group| group.last_ms).max().unwrap_or(0);
        let named = matches!(track.kind, ReadingKind::Plate | ReadingKind::Container) || track.is_radio();
        // Without a name, only the latest group can go on.
        let reach = if named { usize::MAX } else { 1 };
        let full = |group: &Group| {
            let owner = self.passages.iter().find(|passage| group.owner == Some(passage.number));
            owner.is_some_and(|passage| passage.entries >= MAX_ENTRIES)
        };
        let outage = self.outages.get(&track.sensor).map(|outage| outage.from);
        let mut recent = self.groups.iter_mut().rev().filter(|group| group.track == *track).take(reach);
        let group = recent.find(|group| {
            let away = outage.is_some_and(|from| from >= group.last_ms);
            !full(group) && group.accepts(&item.observation.reading, at, last_edge > group.last_ms, away)
        });
        let Some(group) = group else { return Some(item) };
        group.add(item, at);
        let owner = group.owner;
        if let Some(passage) = self.passages.iter_mut().find(|passage| owner == Some(passage.number)) {
            passage.touch(now);
            passage.touched_ms = now;
            passage.entries += 1;
        }
        // A known group that has only grown stays where it is; an edge or a better reception may change the picture.
        if owner.is_none() || track.kind == ReadingKind::Presence || track.is_radio() {
            self.place(plan, track.station);
        }
        None
    }

    /// Opens a passage with the group of this number as its first.
    pub fn open(&mut self, plan: &Plan, group: u64, state: PassageState, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let Some((at, station, opening)) =
            self.groups.iter().find(|open| open.number == group).and_then(|open| {
                Some((open.first_ms, open.track.station, open.items.first()?.observation.clone()))
            })
        else {
            return;
        };
        let id = passage_id(plan, &opening);
        // The same observation told twice would name the same passage: the second one has no vehicle of its own.
        if self.remembered.contains(&id) || self.passages.iter().any(|passage| passage.id == id) {
            return;
        }
        self.make_room(plan, out);
        let number = self.count();
        let position = self.position(plan, station, at);
        let passage = Passage::new(number, id, state, opening.stamp, at, now);
        self.passages.insert(position.min(self.passages.len()), passage);
        if let Some(group) = self.groups.iter_mut().find(|open| open.number == group) {
            group.owner = Some(number);
            group.pinned = true;
            group.why = match state {
                PassageState::Unmatched => "seen at the exit, fits nobody: a passage of its own".to_owned(),
                _ => "opened the passage".to_owned(),
            };
        }
    }

    /// Where in driving order a vehicle stands that was at `station` at this time.
    fn position(&self, plan: &Plan, station: usize, at: u64) -> usize {
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        let earlier = |index: &usize| {
            let here = sightings.at(*index, station).is_some_and(|span| span.from <= at);
            here || sightings.after(*index, station).is_some_and(|(_, span)| span.from <= at)
        };
        (0..self.passages.len()).rev().find(earlier).map_or(0, |index| index + 1)
    }

    /// Gives up on groups that have waited long enough: they open a passage, or become orphans.
    pub fn give_up_waiting(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        while let Some(index) =
            self.groups.iter().position(|group| group.owner.is_none() && waits_until(group) <= now)
        {
            let Some(group) = self.groups.get(index) else { return };
            let number = group.number;
            if let Some(state) = self.would_open(plan, group) {
                self.open(plan, number, state, out);
                // What waits at other stations may be this vehicle's.
                for station in 0..plan.lane.stations.len() {
                    self.place(plan, station);
                }
            }
            let Some(group) = self.groups.get_mut(index).filter(|group| group.number == number) else {
                continue;
            };
            group.asked = true;
            if group.owner.is_none() && waits_until(group) <= now {
                let group = self.groups.remove(index);
                self.orphan_group(plan, group, out);
            }
        }
    }

    /// Whether a group that fits nobody is a vehicle of its own.
    fn would_open(&self, plan: &Plan, group: &Group) -> Option<PassageState> {
        let station = group.track.station;
        let looped = plan.fitted(station, ReadingKind::Presence);
        let mates = || {
            self.groups.iter().filter(|other| {
                other.track.station == station
                    && other.number != group.number
                    && other.owner.is_none()
                    && !other.track.is_radio()
                    && together(group, other)
            })
        };
        let sure = match &group.mark {
            // A loop alone may have been covered by a person or a bird.
            Mark::Occupancy { rise, .. } => {
                let alone = plan.kinds(station).all(|kind| kind == ReadingKind::Presence);
                rise.is_some() && (alone && station == plan.last || mates().any(|other| other.is_sure()))
            }
            // Where there is a loop, a doubtful read that nothing else supports is lettering, not a vehicle.
            Mark::Plate { text, confidence, view } => {
                identity::is_plate(text)
                    && (!looped || *confidence >= SURE_PLATE)
                    && (*view == View::Front || !plan.sees_front(station))
            }
            Mark::Key { .. } => !group.track.is_radio() && !looped,
            Mark::Value => group.track.kind != ReadingKind::Anomaly && !looped,
        };
        if !sure {
            return None;
        }
        if station == plan.first {
            let sightings = Sightings::of(&self.passages, &self.groups, plan);
            let alone =
                (0..self.passages.len()).filter_map(|index| sightings.at(index, station)).all(|span| {
                    group.last_ms.saturating_add(ALONE_MS) < span.from
                        || (!span.open && span.to.saturating_add(ALONE_MS) < group.first_ms)
                });
            let speaks = matches!(group.mark, Mark::Plate { .. });
            return (speaks && alone).then_some(PassageState::Approaching);
        }
        if station == plan.last {
            return Some(PassageState::Unmatched);
        }
        let speaks = looped || matches!(group.mark, Mark::Plate { .. });
        (speaks && matches!(group.mark, Mark::Plate { .. } | Mark::Occupancy { .. }))
            .then_some(PassageState::Approaching)
    }

    /// Whether an occupancy may be the trailer of the vehicle before, which the loop lost for a moment: it came soon after, and
    /// no other front has been seen.
    fn is_second_half(&self, plan: &Plan, number: u64) -> bool {
        let Some(group) = self.groups.iter().find(|group| group.number == number) else { return false };
        let Mark::Occupancy { rise: Some(rise), .. } = group.mark else { return false };
        let before =
            self.groups.iter().rev().find(|other| other.number != number && other.track == group.track);
        let soon = before.is_some_and(|before| {
            before.owner.is_some() && !before.is_open() && before.last_ms.saturating_add(SPLIT_MS) > rise
        });
        soon && plan.sees_front(group.track.station) && self.new_front(group, before).is_none()
    }

    /// A front plate that was read while a loop was covered and is not that of the vehicle before.
    fn new_front(&self, group: &Group, before: Option<&Group>) -> Option<&Group> {
        let fronts = || {
            self.groups.iter().filter(|other| {
                other.track.station == group.track.station
                    && other.track.view == Some(View::Front)
                    && other.plate_seen().is_some_and(|(_, text)| identity::is_plate(text))
            })
        };
        let old = |plate: &Group| {
            fronts().any(|other| {
                let near = before.is_some_and(|before| {
                    other.first_ms <= before.last_ms && together(before, other) && other.owner == before.owner
                });
                let same = plate
                    .plate_seen()
                    .zip(other.plate_seen())
                    .is_some_and(|(a, b)| identity::distance(a.1, b.1) <= 2.5);
                near && same
            })
        };
        fronts().find(|plate| together(plate, group) && !old(plate))
    }

    /// An occupancy that might have been a second half is a vehicle of its own once its front is seen.
    fn open_behind(&mut self, plan: &Plan, number: u64, out: &mut Vec<Effect>) {
        let Some(plate) = self.groups.iter().find(|group| group.number == number) else { return };
        let station = plate.track.station;
        if station != plan.first || plate.track.view != Some(View::Front) {
            return;
        }
        let opener = |group: &&Group| {
            matches!(group.mark, Mark::Occupancy { rise: Some(_), .. })
                && group.track.station == station
                && plan.opener.as_ref().is_some_and(|(sensor, _)| *sensor == group.track.sensor)
        };
        let mut occupancies = self.groups.iter().filter(opener).rev();
        let Some(newest) = occupancies.next().filter(|newest| !newest.pinned && together(newest, plate))
        else {
            return;
        };
        let found = self.new_front(newest, occupancies.next()).is_some_and(|found| found.number == number);
        let opened = newest.number;
        if found {
            self.open(plan, opened, PassageState::Approaching, out);
        }
    }

    /// Whether an opening plate is another read of a vehicle that is there already, or lettering.
    fn is_misread(&self, plan: &Plan, group: &Group) -> bool {
        let Mark::Plate { text, confidence, view } = &group.mark else { return false };
        if !identity::is_plate(text)
            || *confidence < OPENING_PLATE
            || *view == View::Rear && plan.sees_front(group.track.station)
        {
            return true;
        }
        self.groups.iter().any(|other| {
            other.owner.is_some()
                && other.track == group.track
                && together(group, other)
                && other.plate_seen().is_some_and(|(_, seen)| identity::distance(seen, text) <= 2.5)
        })
    }

    /// Publishes every observation of a group as an orphan.
    pub fn orphan_group(&mut self, plan: &Plan, group: Group, out: &mut Vec<Effect>) {
        let why = if group.why.is_empty() { "fits nobody".to_owned() } else { group.why };
        let alarms = group.items.iter().filter(|item| is_alarm(&item.observation.reading)).count();
        for item in group.items {
            self.orphan(plan, item.observation, why.clone(), alarms > group.announced, out);
        }
    }

    fn orphan(
        &self,
        plan: &Plan,
        observation: Observation,
        why: String,
        announce: bool,
        out: &mut Vec<Effect>,
    ) {
        let published = self.stamp(self.clock_ms);
        let lane = plan.lane.id.clone();
        if announce && is_alarm(&observation.reading) {
            out.push(Effect::Alarm {
                observation: Box::new(observation.clone()),
                lane: lane.clone(),
                candidates: Vec::new(),
                published: published.clone(),
            });
        }
        out.push(Effect::Orphan(Box::new(OrphanReport { observation, lane: Some(lane), why, published })));
    }

    /// Makes room for one more passage.
    fn make_room(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let open = self.passages.iter().filter(|passage| passage.ended_ms.is_none()).count();
        if open >= MAX_OPEN
            && let Some(index) = self.passages.iter().position(|passage| passage.ended_ms.is_none())
        {
            if let Some(passage) = self.passages.get_mut(index) {
                passage.end(PassageState::Expired, now);
            }
            self.forget(plan, index, out);
        }
        if self.passages.len() >= MAX_PASSAGES {
            let index = self.passages.iter().position(|passage| passage.ended_ms.is_some()).unwrap_or(0);
            self.forget(plan, index, out);
        }
    }

    /// Publishes what is unpublished of a passage and lets go of it and its groups.
    pub fn forget(&mut self, plan: &Plan, index: usize, out: &mut Vec<Effect>) {
        if self.passages.get(index).is_some_and(|passage| passage.dirty_ms.is_some()) {
            self.publish(plan, index, out);
        }
        if index >= self.passages.len() {
            return;
        }
        self.close_gate(plan, index, out);
        let passage = self.passages.remove(index);
        self.groups.retain(|group| group.owner != Some(passage.number));
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(passage.id);
    }

    fn count(&mut self) -> u64 {
        self.next_number = self.next_number.saturating_add(1);
        self.next_number
    }
}

/// Until when a group without a passage waits for one, monotonic milliseconds. A contact waits from when it was heard last.
pub(crate) fn waits_until(group: &Group) -> u64 {
    let since = if group.track.is_radio() { group.last_ms.max(group.arrived_ms) } else { group.arrived_ms };
    let patient = group.is_named() && !group.is_alarm() && (group.asked || group.track.is_radio());
    since.saturating_add(if patient { WAIT_NAMED_MS } else { WAIT_MS })
}

/// Whether two groups of a station are of one time.
fn together(one: &Group, other: &Group) -> bool {
    const APART_MS: u64 = 4_000;
    one.first_ms <= other.last_ms.saturating_add(APART_MS)
        && other.first_ms <= one.last_ms.saturating_add(APART_MS)
}
