//! Where each passage of a lane has been seen, and when, from the groups it owns.

use interface::ReadingKind;

use crate::group::{Group, Mark, Track};
use crate::passage::Passage;
use crate::plan::Plan;
use crate::scoring::{Context, Span};

/// For each passage and station, when the passage was there.
#[derive(Debug)]
pub(crate) struct Sightings {
    stations: usize,
    spans: Vec<Option<Span>>,
}

impl Sightings {
    /// From all groups that have an owner, except those of one track that is to be placed. Radio hears vehicles that are
    /// elsewhere, so it counts only where it opened the passage. What leans on a station's loop is no evidence for the
    /// loop: there only names count.
    pub fn of(passages: &[Passage], groups: &[Group], plan: &Plan, except: Option<&Track>) -> Self {
        let stations = plan.lane.stations.len();
        let mut sightings = Self { stations, spans: vec![None; stations * passages.len()] };
        for group in groups {
            let leans = except.is_some_and(|track| {
                track.kind == ReadingKind::Presence
                    && track.station == group.track.station
                    && !group.is_named()
            });
            let counts = except != Some(&group.track) && (group.pinned || !(group.track.is_radio() || leans));
            let index = passages.iter().position(|passage| group.owner == Some(passage.number));
            if let (true, Some(index)) = (counts, index) {
                sightings.add(index, group);
            }
        }
        for index in 0..passages.len() {
            sightings.close_passed(index);
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
        let new = Span { from, to, open: group.is_open(), by_presence, doubtful };
        *slot = match slot.take() {
            Some(old) if old.by_presence && !by_presence => Some(old),
            Some(old) if old.by_presence == by_presence => Some(Span {
                from: old.from.min(from),
                to: old.to.max(to),
                open: if new.from >= old.from { new.open } else { old.open },
                by_presence,
                doubtful: old.doubtful.or(doubtful),
            }),
            _ => Some(new),
        };
    }

    /// A vehicle that is seen further on has left the stations before, though a loop's edge was lost.
    fn close_passed(&mut self, passage: usize) {
        let mut later: Option<u64> = None;
        for station in (0..self.stations).rev() {
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

    /// Whether the passage was seen at the station or after it.
    pub fn reached(&self, passage: usize, station: usize) -> bool {
        self.at(passage, station).is_some() || self.after(passage, station).is_some()
    }

    /// What is known of each passage for the placing of a track at `station`.
    pub fn contexts<'a>(
        &self,
        passages: &[Passage],
        groups: &'a [Group],
        plan: &Plan,
        track: &Track,
    ) -> Vec<Context<'a>> {
        let station = track.station;
        let metres = |other: usize| (plan.position_m(station) - plan.position_m(other)).abs();
        let mut contexts: Vec<Context<'a>> = (0..passages.len())
            .zip(passages)
            .map(|(index, passage)| Context {
                here: self.at(index, station).copied(),
                before: self.before(index, station).map(|(at, span)| (metres(at), *span)),
                after: self.after(index, station).map(|(at, span)| (metres(at), *span)),
                plates: Vec::new(),
                keys: Vec::new(),
                left_ms: passage.left_ms.or(passage.ended_ms),
            })
            .collect();
        for group in groups.iter().filter(|group| group.track != *track) {
            let index = passages.iter().position(|passage| group.owner == Some(passage.number));
            let Some(context) = index.and_then(|index| contexts.get_mut(index)) else { continue };
            match &group.mark {
                Mark::Plate { text, view, .. } if !text.is_empty() => {
                    context.plates.push((*view, text));
                }
                Mark::Key { key, .. } => context.keys.push((group.track.kind, key)),
                _ => {}
            }
        }
        contexts
    }
}
