//! Where each passage of a lane has been seen, and when, from the groups it owns.

use crate::group::{Group, Mark, Track};
use crate::identity;
use crate::lane::LaneState;
use crate::passage::Passage;
use crate::plan::Plan;
use crate::scoring::{Context, Elsewhere, Span};
use crate::travel::FASTEST_M_S;

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
            let Some(owner) = group.owner.filter(|_| group.pinned || !group.track.is_radio()) else {
                continue;
            };
            let found = numbers.binary_search_by_key(&owner, |(number, _)| *number).ok();
            if let Some((_, index)) = found.and_then(|found| numbers.get(found)) {
                sightings.add(*index, group);
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

    /// The earliest or the latest moment at which the passage can have reached a station, by the loops before or after it.
    fn limit(&self, plan: &Plan, passage: usize, station: usize, earliest: bool) -> Option<u64> {
        let others = if earliest { 0..station } else { station.saturating_add(1)..self.stations };
        let limits = others.filter_map(|other| {
            let span = self.at(passage, other).filter(|span| span.by_presence)?;
            let metres = (plan.position_m(station) - plan.position_m(other)).abs();
            // Saturates; positions are finite.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let way = (metres / FASTEST_M_S * 1000.0) as u64;
            Some(if earliest { span.from.saturating_add(way) } else { span.from.saturating_sub(way) })
        });
        if earliest { limits.max() } else { limits.min() }
    }

    /// Whether the passage was seen after the station.
    pub fn beyond(&self, passage: usize, station: usize) -> bool {
        self.after(passage, station).is_some()
    }

    /// What is known of each passage at a station: for its visits what other stations have said, for radio everything.
    pub fn contexts<'a>(
        &self,
        lane: &'a LaneState,
        plan: &Plan,
        station: usize,
        radio: Option<&Track>,
    ) -> Vec<Context<'a>> {
        let metres = |other: usize| (plan.position_m(station) - plan.position_m(other)).abs();
        let elsewhere = |from: usize, to: usize, metres: f64, span: &Span| Elsewhere {
            metres,
            span: *span,
            usual: lane.travel.usual(from, to, metres, span.by_presence),
        };
        let mut contexts: Vec<Context<'a>> = (0..lane.passages.len())
            .zip(&lane.passages)
            .map(|(index, passage)| Context {
                here: self.at(index, station).copied(),
                before: self
                    .before(index, station)
                    .map(|(at, span)| elsewhere(at, station, metres(at), span)),
                after: self.after(index, station).map(|(at, span)| elsewhere(station, at, metres(at), span)),
                not_before: self.limit(plan, index, station, true),
                not_after: self.limit(plan, index, station, false),
                free_from: index.checked_sub(1).and_then(|before| {
                    let (at, span) =
                        self.after(before, station).filter(|_| self.at(before, station).is_none())?;
                    let (_, high, _) = lane.travel.usual(station, at, metres(at), span.by_presence);
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    Some(span.from.saturating_sub((high.max(0.0) * 1000.0) as u64))
                }),
                plates: Vec::new(),
                keys: Vec::new(),
                left_ms: passage.left_ms.or(passage.ended_ms),
            })
            .collect();
        for group in &lane.groups {
            let counts = match radio {
                Some(track) => group.track != *track,
                None => group.track.station != station || group.track.is_radio(),
            };
            if !counts || !group.is_named() || group.owner.is_none() {
                continue;
            }
            let index = lane.passages.iter().position(|passage| group.owner == Some(passage.number));
            let Some(context) = index.and_then(|index| contexts.get_mut(index)) else { continue };
            match &group.mark {
                Mark::Plate { text, view, .. } if identity::is_plate(text) => {
                    context.plates.push((*view, text));
                }
                Mark::Key { key, .. } => context.keys.push((group.track.kind, key)),
                _ => {}
            }
        }
        contexts
    }
}
