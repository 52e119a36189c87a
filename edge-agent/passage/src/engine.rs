//! The engine: lanes side by side, each with its own time.

use std::collections::BTreeMap;

use interface::{Observation, Stamp};
use serde::{Deserialize, Serialize};

use crate::deciding::refusal;
use crate::lane::LaneState;
use crate::plan::Plan;
use crate::sightings::Sightings;
use crate::traces::Traces;
use crate::{
    Checkpoint, Decision, Effect, Input, LaneId, OpenPassage, OrphanReport, PassageId, PassageState,
    StationId,
};

/// Turns observations into passages. Pure: the same inputs give the same effects.
///
/// Each lane has its own time, moved by its own inputs and by [`tick`](Self::tick): a lane's effects do not depend on what
/// happens in other lanes, nor on how often or how late `tick` is called, since each deadline runs as of its own time.
///
/// A serialized engine is a snapshot; [`restore`](Self::restore) puts it back to work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Snapshot")]
pub struct Engine {
    checkpoint: Checkpoint,
    lanes: BTreeMap<LaneId, LaneState>,
    /// What a restore had to say; goes out first.
    backlog: Vec<Effect>,
    #[serde(skip)]
    plans: BTreeMap<LaneId, Plan>,
}

#[derive(Deserialize)]
struct Snapshot {
    checkpoint: Checkpoint,
    lanes: BTreeMap<LaneId, LaneState>,
    backlog: Vec<Effect>,
}

impl From<Snapshot> for Engine {
    fn from(snapshot: Snapshot) -> Self {
        let plans = Plan::all(&snapshot.checkpoint);
        Self { checkpoint: snapshot.checkpoint, lanes: snapshot.lanes, backlog: snapshot.backlog, plans }
    }
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(checkpoint: Checkpoint) -> Self {
        let plans = Plan::all(&checkpoint);
        Self { checkpoint, lanes: BTreeMap::new(), backlog: Vec::new(), plans }
    }

    /// Puts a snapshot back to work, perhaps under another layout: passages of a lane that has gone, or whose stations have,
    /// are published as interrupted with the next effects.
    pub fn restore(checkpoint: Checkpoint, snapshot: Self) -> Self {
        let mut engine = Self::new(checkpoint);
        engine.backlog = snapshot.backlog;
        for (id, mut lane) in snapshot.lanes {
            let Some(old) = snapshot.plans.get(&id) else { continue };
            let stations = engine.plans.get(&id).and_then(|new| moved_stations(old, new));
            if let Some(stations) = stations {
                lane.renumber(&stations);
                if let Some(plan) = engine.plans.get(&id).filter(|plan| *plan != old) {
                    lane.stirred = true;
                    lane.settle(plan, &mut engine.backlog);
                }
            } else {
                lane.interrupt(old, &mut engine.backlog);
            }
            if engine.plans.contains_key(&id) {
                engine.lanes.insert(id, lane);
            }
        }
        engine
    }

    /// Runs the deadlines of the input's lane that are due at `now`, each as of its own time, then takes in the input.
    pub fn step(&mut self, now: &Stamp, input: Input) -> Vec<Effect> {
        let mut out = std::mem::take(&mut self.backlog);
        match input {
            Input::Observation(observation) => self.observe(now, observation, &mut out),
            Input::SensorState { sensor, offline } => {
                let lane = self.checkpoint.sensors.get(&sensor).map(|place| place.lane.clone());
                if let Some((plan, lane)) = lane.and_then(|id| self.lane(&id)) {
                    lane.advance(plan, now, &mut out);
                    lane.arrive(now);
                    lane.sensor_state(&sensor, offline);
                    lane.stirred = true;
                    lane.settle(plan, &mut out);
                }
            }
            Input::Decision { passage, decision } => self.decide(now, &passage, decision, &mut out),
        }
        out
    }

    /// Runs the deadlines of all lanes that are due at `now`, in the order of their times.
    pub fn tick(&mut self, now: &Stamp) -> Vec<Effect> {
        let mut out = std::mem::take(&mut self.backlog);
        for (id, lane) in &mut self.lanes {
            if let Some(plan) = self.plans.get(id) {
                lane.notice_boot(plan, now, &mut out);
            }
        }
        while let Some((due, id)) = self.next_lane().filter(|(due, _)| *due <= now.mono_ms) {
            self.run_one(&id, due, &mut out);
        }
        out
    }

    /// When `tick` has something to do, monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.backlog.is_empty() { self.next_lane().map(|(due, _)| due) } else { Some(0) }
    }

    /// Runs all deadlines in virtual time until nothing is open: the end of a replay.
    pub fn finish(&mut self) -> Vec<Effect> {
        let mut out = std::mem::take(&mut self.backlog);
        while let Some((due, id)) = self.next_lane() {
            self.run_one(&id, due, &mut out);
        }
        out
    }

    /// The passages that have not ended, by lane, in driving order.
    pub fn open_passages(&self) -> Vec<OpenPassage> {
        let mut open = Vec::new();
        for (id, lane) in &self.lanes {
            let Some(plan) = self.plans.get(id) else { continue };
            let sightings = Sightings::of(&lane.passages, &lane.groups, plan);
            for (index, passage) in
                lane.passages.iter().enumerate().filter(|(_, open)| open.ended_ms.is_none())
            {
                let own = lane.groups.iter().filter(|group| group.owner == Some(passage.number));
                let mut plates: Vec<(usize, String)> = own
                    .filter_map(|group| Some((group.items.len(), group.plate_seen()?.1.to_owned())))
                    .collect();
                plates.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
                let station =
                    sightings.before(index, usize::MAX).map(|(at, _)| plan.station_name(at).to_owned());
                open.push(OpenPassage {
                    lane: id.clone(),
                    passage: passage.id.clone(),
                    state: passage.state,
                    opened: passage.opened.clone(),
                    station: station.map(StationId),
                    plates: plates.into_iter().map(|(_, plate)| plate).collect(),
                });
            }
        }
        open
    }

    fn observe(&mut self, now: &Stamp, observation: Observation, out: &mut Vec<Effect>) {
        let lane = self.checkpoint.sensors.get(&observation.id.sensor).map(|place| place.lane.clone());
        let found = lane.and_then(|id| self.lane(&id));
        let station = found.as_ref().and_then(|(plan, _)| plan.sensors.get(&observation.id.sensor));
        let (Some(station), Some((plan, lane))) = (station.map(|(station, _)| *station), found) else {
            let why = format!("sensor `{}` stands in no lane of this checkpoint", observation.id.sensor);
            let published = now.clone();
            out.push(Effect::Orphan(Box::new(OrphanReport { observation, lane: None, why, published })));
            return;
        };
        lane.advance(plan, now, out);
        lane.arrive(now);
        lane.observe(plan, station, observation, out);
        lane.settle_soon(plan, out);
    }

    fn decide(&mut self, now: &Stamp, passage: &PassageId, decision: Decision, out: &mut Vec<Effect>) {
        let known = |lane: &LaneState| {
            lane.remembered.contains(passage) || lane.passages.iter().any(|open| open.id == *passage)
        };
        let id = self.lanes.iter().find(|(_, lane)| known(lane)).map(|(id, _)| id.clone());
        let Some((plan, lane)) = id.and_then(|id| self.lane(&id)) else {
            out.push(refusal(passage, &decision, "no passage of this name is known here"));
            return;
        };
        lane.advance(plan, now, out);
        lane.arrive(now);
        lane.decide(plan, passage, decision, out);
        lane.stirred = true;
        lane.settle(plan, out);
    }

    /// All lanes that have seen something.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (&LaneId, &Plan, &LaneState)> {
        self.lanes.iter().filter_map(|(id, lane)| Some((id, self.plans.get(id)?, lane)))
    }

    fn lane(&mut self, id: &LaneId) -> Option<(&Plan, &mut LaneState)> {
        let plan = self.plans.get(id)?;
        Some((plan, self.lanes.entry(id.clone()).or_default()))
    }

    fn next_lane(&self) -> Option<(u64, LaneId)> {
        let due = self.lanes.iter().filter(|(id, _)| self.plans.contains_key(id));
        due.filter_map(|(id, lane)| Some((lane.wake_ms?, id.clone()))).min()
    }

    fn run_one(&mut self, id: &LaneId, due: u64, out: &mut Vec<Effect>) {
        if let Some((plan, lane)) = self.lane(id) {
            lane.run_deadline(plan, due, out);
        }
    }
}

/// For each station of `old`, its index in `new`; `None` if one has gone or they stand in another order.
fn moved_stations(old: &Plan, new: &Plan) -> Option<Vec<usize>> {
    let index = |name: &StationId| new.lane.stations.iter().position(|station| station.id == *name);
    let moved: Vec<usize> =
        old.lane.stations.iter().map(|station| index(&station.id)).collect::<Option<_>>()?;
    moved.is_sorted().then_some(moved)
}

impl LaneState {
    /// Runs the deadlines up to `now`, after a look at the boot.
    fn advance(&mut self, plan: &Plan, now: &Stamp, out: &mut Vec<Effect>) {
        self.notice_boot(plan, now, out);
        while let Some(due) = self.wake_ms.filter(|due| *due <= now.mono_ms) {
            self.run_deadline(plan, due, out);
        }
    }

    fn run_deadline(&mut self, plan: &Plan, due: u64, out: &mut Vec<Effect>) {
        self.clock_ms = self.clock_ms.max(due);
        self.settle(plan, out);
    }

    /// After a restart of the machine its monotonic clock has begun anew: nothing that was open can go on.
    pub fn notice_boot(&mut self, plan: &Plan, now: &Stamp, out: &mut Vec<Effect>) {
        if self.anchor.as_ref().is_none_or(|anchor| anchor.boot == now.boot) {
            return;
        }
        self.clock_ms = now.mono_ms;
        self.anchor = Some(now.clone());
        self.interrupt(plan, out);
        self.offsets.clear();
        self.outages.clear();
    }

    /// Publishes every passage as interrupted, unless its state was final, and forgets it. What waits is orphaned.
    fn interrupt(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        while let Some(passage) = self.passages.first_mut() {
            if passage.ended_ms.is_none() {
                passage.end(PassageState::Interrupted, now);
                passage.touch(now);
            }
            self.forget(plan, 0, out);
        }
        for group in std::mem::take(&mut self.groups) {
            self.orphan_group(plan, group, out);
        }
        // Their times are of the clock that has ended, or of a lane that has gone.
        self.traces = Traces::default();
        self.wake_ms = None;
        self.prices.forget();
    }

    fn renumber(&mut self, stations: &[usize]) {
        let new = |old: usize| stations.get(old).copied().unwrap_or(old);
        self.travel.renumber(new);
        self.traces.renumber(Plan::moved_post(new));
        self.prices.forget();
        for group in &mut self.groups {
            group.track.station = new(group.track.station);
        }
        for passage in &mut self.passages {
            for (station, _, _) in &mut passage.missing {
                *station = new(*station);
            }
        }
    }
}
