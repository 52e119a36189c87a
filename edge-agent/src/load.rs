//! How busy the lanes are, counted from what the engine publishes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use interface::Stamp;
use packet::{LaneLoad, LoadMessage};
use passage::{LaneId, PassageId, PassageState, Report};

const HOUR_MS: u64 = 3_600_000;
/// Passages counted per lane and hour; a lane cannot serve more.
const MOST: usize = 3600;

/// Counts per lane.
#[derive(Clone, Debug, Default)]
pub struct LoadCounter {
    started_ms: Option<u64>,
    lanes: BTreeMap<LaneId, LaneCounter>,
}

#[derive(Clone, Debug, Default)]
struct LaneCounter {
    open: BTreeSet<PassageId>,
    /// When passages ended and how long they took, milliseconds; oldest first.
    ended: VecDeque<(u64, u64)>,
}

fn has_ended(state: PassageState) -> bool {
    matches!(
        state,
        PassageState::Closed
            | PassageState::Abandoned
            | PassageState::Expired
            | PassageState::Interrupted
            | PassageState::Unmatched
    )
}

impl LoadCounter {
    /// Counts of `lanes`, all empty.
    pub fn new(lanes: impl IntoIterator<Item = LaneId>) -> Self {
        Self {
            started_ms: None,
            lanes: lanes.into_iter().map(|lane| (lane, LaneCounter::default())).collect(),
        }
    }

    /// Takes note of a published state.
    pub fn note(&mut self, report: &Report) {
        let lane = self.lanes.entry(report.lane.clone()).or_default();
        if !has_ended(report.state) {
            lane.open.insert(report.passage.clone());
        } else if lane.open.remove(&report.passage) {
            let end = report.published.mono_ms;
            lane.ended.push_back((end, end.saturating_sub(report.opened.mono_ms)));
            if lane.ended.len() > MOST {
                lane.ended.pop_front();
            }
        }
    }

    /// The message of this moment.
    pub fn message(&mut self, now: &Stamp) -> LoadMessage {
        let started = *self.started_ms.get_or_insert(now.mono_ms);
        let hour_ago = now.mono_ms.saturating_sub(HOUR_MS);
        let whole_hour = now.mono_ms.saturating_sub(started) >= HOUR_MS;
        let lanes = self.lanes.iter_mut().map(|(id, lane)| {
            lane.ended.retain(|(end, _)| *end >= hour_ago);
            let count = lane.ended.len();
            let seconds = lane.ended.iter().map(|(_, took)| *took as f64 / 1000.0).sum::<f64>();
            LaneLoad {
                lane: id.0.clone(),
                queue_length: u32::try_from(lane.open.len()).unwrap_or(u32::MAX),
                vehicles_per_hour: whole_hour.then_some(count as f64),
                seconds_per_vehicle: (count > 0).then(|| seconds / count as f64),
            }
        });
        LoadMessage { at: now.utc, clock: now.clock, lanes: lanes.collect() }
    }
}
