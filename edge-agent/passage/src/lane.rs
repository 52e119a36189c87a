//! One lane: its passages in driving order, and everything its sensors have said that is not yet final.

use std::collections::{BTreeMap, VecDeque};

use interface::{Observation, Reading, ReadingKind, SensorId, Stamp, View};
use serde::{Deserialize, Serialize};

use crate::clock_offset::{self, ClockOffset, Occupied};
use crate::group::{Group, Item, Mark, Track, is_alarm};
use crate::naming::passage_id;
use crate::passage::Passage;
use crate::plan::Plan;
use crate::prices::Prices;
use crate::scoring::seconds;
use crate::sightings::Sightings;
use crate::traces::Traces;
use crate::travel::Travel;
use crate::{Effect, OrphanReport, PassageId, PassageState};

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
/// How long a group waits for a vehicle that it fits, milliseconds: cameras see a vehicle some seconds before the loop, and a
/// chain of vehicles is understood only when one of them is known at the end.
const WAIT_MS: u64 = 60_000;
/// How long an alarm waits.
const WAIT_ALARM_MS: u64 = 15_000;
/// How long a name waits: it may be of a vehicle that stands in the queue before the station.
const WAIT_NAMED_MS: u64 = 150_000;

/// How far a vehicle may be from where it would be if it drove evenly, of the whole time.
const UNEVEN: f64 = 0.25;

/// How fast vehicles drive usually, of how fast hardly any does, and how far off a time is that is found by that, of it.
const USUAL: f64 = 0.55;
const UNUSUAL: f64 = 0.4;
/// How far off the times of a radiation portal or of rear plates may be, seconds.
const IN_PORTAL_S: f64 = 1.0;
/// How long before its rear plate is read a vehicle may be at a station, milliseconds.
const BEFORE_REAR_MS: u64 = 15_000;

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
    /// Where those were that are forgotten.
    #[serde(default)]
    pub traces: Traces,
    /// A vehicle found no room.
    pub wants_room: bool,
    /// When the first observation came that is not placed yet, monotonic milliseconds.
    pub unplaced_ms: Option<u64>,
    /// Something else has happened that what is placed may lean on.
    #[serde(default)]
    pub stirred: bool,
    /// One of them may be all that a packet waits for.
    pub urgent: bool,
    /// When something is to be done without input.
    pub wake_ms: Option<u64>,
    /// What was found to cost what.
    #[serde(skip)]
    pub prices: Prices,
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
                let offset = self.offsets.entry(sensor.clone()).or_default();
                offset.time(&observation.stamp, now, device_at, &observation.reading)
            };
        }
        let track = Track::of(station, &observation);
        if track.kind == ReadingKind::Presence {
            let newest =
                self.groups.iter().filter(|group| group.track == track).map(|group| group.last_ms).max();
            at = at.max(newest.unwrap_or(0));
        }
        let order = self.count();
        let awaited = plan.is_awaited(station, &observation.reading);
        let item = Item { order, observation };
        self.unplaced_ms.get_or_insert(now);
        self.urgent |= awaited;
        let appended = self.append(&track, item, at);
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
        self.groups.push(group);
    }

    /// Holds device times against the loops of their stations. What a device said before it was known whether its clock is off
    /// is moved to when it happened.
    pub fn compare_clocks(&mut self, plan: &Plan) {
        let now = self.clock_ms;
        let due = self.offsets.iter().filter(|(_, offset)| offset.is_due(now));
        let due: Vec<(SensorId, usize)> =
            due.filter_map(|(sensor, _)| Some((sensor.clone(), plan.sensors.get(sensor)?.0))).collect();
        for (sensor, station) in due {
            let occupied = if plan.fitted(station, ReadingKind::Presence) {
                self.occupied(station)
            } else {
                let seen = self.seen_by_others(station, &sensor);
                if seen.is_empty() { self.passed_by(plan, station) } else { seen }
            };
            let Some(by) = self.offsets.get_mut(&sensor).and_then(|offset| offset.compare(now, &occupied))
            else {
                continue;
            };
            for group in self.groups.iter_mut().filter(|group| group.track.sensor == sensor) {
                group.shift(by);
                self.stirred = true;
            }
        }
    }

    /// When the loops of a station were covered.
    fn occupied(&self, station: usize) -> Vec<Occupied> {
        let edges = self.groups.iter().filter(|group| group.track.station == station);
        let edges = edges.filter_map(|group| match group.mark {
            Mark::Occupancy { rise, fall } => {
                Some(Occupied { rise, fall: fall.filter(|_| !group.assumed_left), inexact_s: 0.0 })
            }
            _ => None,
        });
        edges.collect()
    }

    /// When vehicles were at a station without a loop, as its radiation portal tells, or else its camera for rear plates, if these
    /// are other sensors than this one.
    fn seen_by_others(&self, station: usize, sensor: &SensorId) -> Vec<Occupied> {
        let others = || {
            let here = self.groups.iter().filter(|group| group.track.station == station);
            here.filter(|group| group.track.sensor != *sensor)
        };
        let results = others()
            .filter(|group| group.track.kind == ReadingKind::Radiation && group.last_ms > group.first_ms);
        let portal: Vec<Occupied> = results
            .map(|group| Occupied {
                rise: Some(group.first_ms),
                fall: Some(group.last_ms),
                inexact_s: IN_PORTAL_S,
            })
            .collect();
        if !portal.is_empty() {
            return portal;
        }
        let rears = others().filter(|group| matches!(group.mark, Mark::Plate { view: View::Rear, .. }));
        rears
            .map(|group| Occupied {
                rise: Some(group.first_ms.saturating_sub(BEFORE_REAR_MS)),
                fall: Some(group.last_ms),
                inexact_s: IN_PORTAL_S,
            })
            .collect()
    }

    /// When vehicles must have been at a station without a loop, if they drove evenly from the loop before to the one behind, or as
    /// is usual from or to the only one.
    fn passed_by(&self, plan: &Plan, station: usize) -> Vec<Occupied> {
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        let usual_m_s = USUAL * self.travel.fast_m_s();
        let forward = self.passages.iter().enumerate().filter(|(_, passage)| !passage.against);
        let passed = forward.filter_map(|(index, _)| {
            let looped = |at: usize| {
                let span = sightings.at(index, at).filter(|span| span.by_presence && !span.open)?;
                Some(((plan.position_m(station) - plan.position_m(at)).abs(), span))
            };
            let before = (0..station).rev().find_map(looped);
            let behind = (station + 1..=plan.last).find_map(looped);
            // Saturates; times within a boot are far below 2^52 milliseconds.
            #[allow(clippy::cast_possible_truncation)]
            let later = |at: u64, seconds: f64| Some(at.saturating_add_signed((seconds * 1000.0) as i64));
            Some(match (before, behind) {
                (Some((driven_m, left)), Some((rest_m, reached))) => {
                    let share = driven_m / (driven_m + rest_m).max(0.1);
                    let on = |a: u64, b: u64| later(a, share * seconds(a, b).max(0.0));
                    Occupied {
                        rise: on(left.from, reached.from),
                        fall: on(left.to, reached.to),
                        inexact_s: UNEVEN * seconds(left.from, reached.from).max(0.0),
                    }
                }
                (Some((metres, left)), None) => Occupied {
                    rise: later(left.from, metres / usual_m_s),
                    fall: later(left.to, metres / usual_m_s),
                    inexact_s: UNUSUAL * metres / usual_m_s,
                },
                (None, Some((metres, reached))) => Occupied {
                    rise: later(reached.from, -metres / usual_m_s),
                    fall: later(reached.to, -metres / usual_m_s),
                    inexact_s: UNUSUAL * metres / usual_m_s,
                },
                (None, None) => return None,
            })
        });
        passed.collect()
    }

    /// Adds an observation to a group of its track that it surely belongs to; gives it back if there is none.
    fn append(&mut self, track: &Track, item: Item, at: u64) -> Option<Item> {
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
            !full(group) && group.accepts(&item.observation, at, last_edge > group.last_ms, away)
        });
        let Some(group) = group else { return Some(item) };
        let away = outage.is_some_and(|from| from >= group.last_ms);
        group.add(item, at);
        if away {
            group.left_unseen();
        }
        if let Some(owner) = group.owner
            && let Some(passage) = self.passages.iter_mut().find(|passage| owner == passage.number)
        {
            passage.touch(now);
            passage.touched_ms = now;
            passage.entries += 1;
        }
        None
    }

    /// Opens a passage for these groups; `None` if what it saw first has opened one before.
    pub fn open(&mut self, plan: &Plan, members: &[usize]) -> Option<u64> {
        let now = self.clock_ms;
        let groups = members.iter().filter_map(|member| self.groups.get(*member));
        let first = groups.min_by_key(|group| group.items.first().map(|item| item.order))?;
        let (opener, at) = (first.number, first.first_ms);
        let opening = first.items.first()?.observation.clone();
        let id = passage_id(plan, &opening);
        // The same observation told twice would name the same passage: the second one has no vehicle of its own.
        if self.remembered.contains(&id) || self.passages.iter().any(|passage| passage.id == id) {
            return None;
        }
        if self.passages.len() >= MAX_PASSAGES
            || self.passages.iter().filter(|passage| passage.ended_ms.is_none()).count() >= MAX_OPEN
        {
            self.wants_room = true;
            return None;
        }
        let number = self.count();
        let mut passage = Passage::new(number, id, PassageState::Approaching, opening.stamp, at, now);
        passage.opener = opener;
        self.passages.push(passage);
        Some(number)
    }

    /// Gives up on groups that have waited long enough: they open a passage, or become orphans.
    pub fn give_up_waiting(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        while let Some(index) =
            self.groups.iter().position(|group| group.owner.is_none() && waits_until(group) <= now)
        {
            let group = self.groups.remove(index);
            self.orphan_group(plan, group, out);
        }
    }

    /// Publishes every observation of a group as an orphan.
    pub fn orphan_group(&mut self, plan: &Plan, group: Group, out: &mut Vec<Effect>) {
        let unraised = group.has_unraised();
        let why = if group.why.is_empty() { "fits nobody".to_owned() } else { group.why };
        for item in group.items {
            self.orphan(plan, item.observation, why.clone(), unraised, out);
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
    pub fn make_room(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        self.wants_room = false;
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
        let number = self.passages.get(index).map(|passage| passage.number);
        if self.groups.iter().any(|group| group.owner == number && group.has_unraised()) {
            self.announce_alarms(plan, true, out);
        }
        if self.passages.get(index).is_some_and(|passage| passage.dirty_ms.is_some()) {
            self.publish(plan, index, out);
        }
        if index >= self.passages.len() {
            return;
        }
        self.close_gate(plan, index, out);
        self.leave_traces(plan, index);
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

/// Until when a group without a passage waits for one, monotonic milliseconds. A contact waits from when it was heard last; what
/// was taken from a passage, from then on: what comes next may give it back.
pub(crate) fn waits_until(group: &Group) -> u64 {
    let since = if group.track.is_radio() { group.last_ms.max(group.arrived_ms) } else { group.arrived_ms };
    let since = group.loose_ms.map_or(since, |loose| loose.max(since));
    since.saturating_add(match (group.is_alarm(), group.is_named()) {
        (true, _) => WAIT_ALARM_MS,
        (false, true) => WAIT_NAMED_MS,
        (false, false) => WAIT_MS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_from_a_passage_waits_again_for_another() {
        let edges =
            [(0, Reading::Presence { occupied: true }), (9_000, Reading::Presence { occupied: false })];
        let mut covered = Group::sample(&edges);
        let before = waits_until(&covered);
        covered.give(Some(7), 10_000);
        covered.give(Some(8), 60_000);
        assert_eq!(waits_until(&covered), before);
        covered.give(None, 90_000);
        assert_eq!(waits_until(&covered), before + 90_000);
    }
}
