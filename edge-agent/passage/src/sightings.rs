//! Where each passage of a lane has been seen, and when, from the groups it owns.

use interface::{ReadingKind, View};

use crate::group::{Group, Mark, Track};
use crate::lane::LaneState;
use crate::passage::Passage;
use crate::plan::Plan;
use crate::scoring::{Context, Span};
use crate::size::Size;
use crate::whereabouts::Whereabouts;

/// For each passage and station, when the passage was there.
#[derive(Debug)]
pub(crate) struct Sightings {
    stations: usize,
    spans: Vec<Option<Span>>,
}

impl Sightings {
    /// From all groups that have an owner. Radio hears vehicles that are elsewhere, so it counts only where it opened the
    /// passage.
    pub fn of(passages: &[Passage], groups: &[Group], plan: &Plan) -> Self {
        let stations = plan.lane.stations.len();
        let mut sightings = Self { stations, spans: vec![None; stations * passages.len()] };
        let mut numbers: Vec<(u64, usize)> =
            passages.iter().enumerate().map(|(index, passage)| (passage.number, index)).collect();
        numbers.sort_unstable();
        for group in groups {
            let Some(owner) = group.owner else { continue };
            let found = numbers.binary_search_by_key(&owner, |(number, _)| *number).ok();
            let Some((_, index)) = found.and_then(|found| numbers.get(found)) else { continue };
            let opener = passages.get(*index).is_some_and(|passage| passage.opener == group.number);
            if opener || !group.track.is_radio() {
                sightings.add(*index, group);
            }
        }
        for (index, passage) in passages.iter().enumerate() {
            sightings.close_passed(index, passage.against);
        }
        sightings
    }

    fn add(&mut self, passage: usize, group: &Group) {
        if group.track.station >= self.stations {
            return;
        }
        let Some(slot) = self.spans.get_mut(passage * self.stations + group.track.station) else { return };
        let by_presence = matches!(group.mark, Mark::Occupancy { .. });
        let (from, to) = (group.first_ms, group.last_ms);
        let doubtful = group.doubtful.then_some(group.number);
        let new = Span { from, to, open: group.is_open(), by_presence, sure: group.sure(), doubtful };
        *slot = match slot.take() {
            Some(old) if old.by_presence && !by_presence => Some(old),
            Some(old) if old.by_presence == by_presence => Some(Span {
                from: old.from.min(from),
                to: old.to.max(to),
                open: if new.from >= old.from { new.open } else { old.open },
                by_presence,
                sure: (old.sure.0 && new.sure.0, old.sure.1 && new.sure.1),
                doubtful: old.doubtful.or(doubtful),
            }),
            _ => Some(new),
        };
    }

    /// A vehicle that is seen further on has left the stations before, though a loop's edge was lost.
    fn close_passed(&mut self, passage: usize, against: bool) {
        let mut later: Option<u64> = None;
        for step in 0..self.stations {
            let station = if against { step } else { self.stations - 1 - step };
            let Some(Some(span)) = self.spans.get_mut(passage * self.stations + station) else { continue };
            if let (true, Some(later)) = (span.open, later) {
                span.open = false;
                span.to = span.to.max(later);
            }
            later = Some(later.map_or(span.from, |later| later.min(span.from)));
        }
    }

    /// When a passage was at a station.
    pub fn at(&self, passage: usize, station: usize) -> Option<&Span> {
        if station >= self.stations {
            return None;
        }
        self.spans.get(passage * self.stations + station)?.as_ref()
    }

    /// The nearest station before `station` where the passage was seen.
    pub fn before(&self, passage: usize, station: usize) -> Option<(usize, &Span)> {
        (0..station.min(self.stations)).rev().find_map(|at| Some((at, self.at(passage, at)?)))
    }

    /// The nearest station after `station` where the passage was seen.
    pub fn after(&self, passage: usize, station: usize) -> Option<(usize, &Span)> {
        (station.saturating_add(1)..self.stations).find_map(|at| Some((at, self.at(passage, at)?)))
    }

    /// When a later vehicle was seen first further on than this one ever: it had left the lane by then.
    fn overtaken(&self, passage: usize) -> Option<u64> {
        let furthest = (0..self.stations).rev().find(|station| self.at(passage, *station).is_some())?;
        let passages = self.spans.len() / self.stations.max(1);
        let beyond = (passage + 1..passages).filter_map(|later| self.after(later, furthest));
        beyond.map(|(_, span)| span.from).min()
    }

    /// The same by those that are forgotten.
    fn left_behind(&self, lane: &LaneState, passage: usize) -> Option<u64> {
        let furthest = (0..self.stations).rev().find(|station| self.at(passage, *station).is_some())?;
        let from = self.at(passage, furthest)?.from;
        let beyond = Plan::posts_of(furthest).flat_map(|post| lane.traces.beyond(post, from));
        beyond.filter(|trace| Plan::station_of(trace.post) > furthest).map(|trace| trace.from).min()
    }

    /// What is known of each passage for a radio track.
    pub fn contexts<'a>(&self, lane: &'a LaneState, plan: &Plan, track: &Track) -> Vec<Context<'a>> {
        let own = |number: u64| lane.groups.iter().filter(move |group| group.owner == Some(number));
        let keys = |number: u64| {
            own(number).filter(|group| group.track != *track).filter_map(|group| match &group.mark {
                Mark::Key { key, .. } => Some((group.track.kind, key.as_str())),
                _ => None,
            })
        };
        let fast_m_s = lane.travel.fast_m_s();
        let size = |number: u64| {
            // A tractor and its trailer may have been over a loop one after the other.
            let measured = own(number).filter(|group| group.track.kind != ReadingKind::Presence);
            let sizes = measured.map(|group| Size::of(group, fast_m_s));
            sizes.fold(Size::default(), Size::both)
        };
        lane.passages
            .iter()
            .enumerate()
            .map(|(index, passage)| Context {
                here: self.at(index, track.station).copied(),
                came: came_first(lane, plan, passage.number, track.station),
                overtaken: {
                    let gone = self.left_behind(lane, index);
                    self.overtaken(index).into_iter().chain(gone).min()
                },
                whereabouts: Whereabouts::of(plan, own(passage.number), passage.against),
                size: size(passage.number),
                keys: keys(passage.number).collect(),
            })
            .collect()
    }
}

/// When a passage came to a station without a loop, by its front plate or a portal that tells how long it was there.
pub(crate) fn came_first(lane: &LaneState, plan: &Plan, number: u64, station: usize) -> Option<u64> {
    if plan.fitted(station, ReadingKind::Presence) {
        return None;
    }
    let own =
        || lane.groups.iter().filter(|group| group.owner == Some(number) && group.track.station == station);
    let plates = own().filter(|group| matches!(group.mark, Mark::Plate { view: View::Front, .. }));
    // A portal tells how long ago it came.
    let results =
        own().filter(|group| group.track.kind == ReadingKind::Radiation && group.last_ms > group.first_ms);
    plates.map(|group| group.first_ms).min().or_else(|| results.map(|group| group.first_ms).min())
}
