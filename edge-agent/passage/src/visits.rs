//! What the devices of one station say at one time is one *visit*: an occupancy with everything that was measured during it,
//! or, where there is no loop, readings close together. A visit is placed as a whole.

use interface::{ReadingKind, View};

use crate::alignment::{Choice, Costs, IMPOSSIBLE, align};
use crate::group::{Group, Mark, Track};
use crate::identity;
use crate::scoring::{self, Neighbours, Span};

/// Readings without a loop that follow each other within this time, and do not contradict each other, are of one vehicle:
/// half of the shortest gap between vehicles with the time a camera needs, milliseconds.
const CLOSE_MS: u64 = 1_500;
/// A vehicle has left the loop so long after its rear was seen, or the portal was free, milliseconds.
const LEAVES_MS: u64 = 1_500;
/// Of two devices that tell one occupancy, one is free at most so long after the other, milliseconds.
const MISSED_MS: u64 = 4_000;

/// One vehicle at one station, as far as its devices agree.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Indices of its groups, what it is built on first.
    pub members: Vec<usize>,
    pub span: Span,
}

impl Visit {
    /// If its loop did not tell when it left, other devices may have: a portal whose occupancy ended, a camera that saw its rear.
    fn left_by_others(&mut self, groups: &[Group]) {
        if self.span.sure.1 || self.span.open {
            return;
        }
        let members = self.members.iter().filter_map(|member| groups.get(*member));
        let passed = members.filter(|group| match &group.mark {
            Mark::Plate { view, .. } => *view == View::Rear,
            _ => group.track.kind == ReadingKind::Radiation && group.last_ms > group.first_ms,
        });
        let left = passed.map(|group| group.last_ms.saturating_add(LEAVES_MS)).max();
        if let Some(left) = left.filter(|left| (self.span.from..self.span.to).contains(left)) {
            self.span.to = left;
        }
    }
}

/// All visits of one station, and for each member the extra cost of the other visits.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    pub all: Vec<Visit>,
    /// Index of a group; what it would cost more to belong to another visit.
    pub rivals: Vec<(usize, usize, f64)>,
}

impl Visits {
    /// Forms the visits of the groups with these indices. `names` says what a group's name costs in the visit that is built
    /// on another group.
    pub fn of(groups: &[Group], chosen: &[usize], now: u64, names: &dyn Fn(usize, usize) -> f64) -> Self {
        let get = |index: usize| groups.get(index);
        let mut seeds: Vec<usize> = Vec::new();
        let mut tracks: Vec<&Track> = Vec::new();
        for index in chosen {
            let Some(group) = get(*index) else { continue };
            if group.track.kind == ReadingKind::Presence {
                seeds.push(*index);
            } else if !tracks.contains(&&group.track) {
                tracks.push(&group.track);
            }
        }
        seeds.sort_by_key(|index| get(*index).map(|group| (group.first_ms, group.number)));
        let mut visits = Self::default();
        for index in seeds {
            let Some(group) = get(index) else { continue };
            let span = span_of(group);
            let twin = visits.all.iter_mut().rev().find(|visit| {
                let other = visit.members.iter().filter_map(|member| get(*member));
                other.clone().all(|other| other.track != group.track)
                    && visit.span.from <= span.to
                    && span.from <= visit.span.to
            });
            match twin {
                Some(visit) => {
                    visit.span = both(&visit.span, &span, now);
                    visit.members.push(index);
                }
                None => visits.all.push(Visit { members: vec![index], span }),
            }
        }
        let occupied = visits.all.len();
        let mut free: Vec<usize> = Vec::new();
        tracks.sort();
        for track in tracks {
            let mut own: Vec<usize> = chosen
                .iter()
                .copied()
                .filter(|index| get(*index).is_some_and(|g| g.track == *track))
                .collect();
            own.sort_by_key(|index| get(*index).map(|group| (group.anchor_ms(), group.number)));
            visits.attach(groups, &own, occupied, now, names, &mut free);
        }
        for visit in visits.all.get_mut(..occupied).unwrap_or_default() {
            visit.left_by_others(groups);
        }
        visits.cluster(groups, free, names);
        visits.all.sort_by_key(|visit| (visit.span.from, visit.span.to));
        visits
    }

    /// Gives each group of one track, in order, to the occupancy that it was measured in, if there is one.
    fn attach(
        &mut self,
        groups: &[Group],
        own: &[usize],
        occupied: usize,
        now: u64,
        names: &dyn Fn(usize, usize) -> f64,
        free: &mut Vec<usize>,
    ) {
        let seeds = self.all.get(..occupied).unwrap_or_default();
        if seeds.is_empty() {
            free.extend_from_slice(own);
            return;
        }
        let track: Vec<&Group> = own.iter().filter_map(|index| groups.get(*index)).collect();
        let pair = own.iter().zip(&track).map(|(index, group)| {
            let cost = |(place, visit): (usize, &Visit)| {
                let ahead = place.checked_sub(1).and_then(|before| seeds.get(before));
                let neighbours = Neighbours {
                    ahead: ahead.map(|visit| (visit.span.from, visit.span.to)),
                    behind: seeds.get(place + 1).map(|visit| visit.span.from),
                };
                let seed = visit.members.first().copied().unwrap_or(usize::MAX);
                scoring::at_station(group, &visit.span, neighbours).0 + names(*index, seed)
            };
            seeds.iter().enumerate().map(cost).collect()
        });
        let pairs = track.iter().zip(track.iter().skip(1));
        let repeat = std::iter::once(0.0).chain(pairs.map(|(group, next)| scoring::repeat(group, next)));
        let kind = track.first().map_or(ReadingKind::Anomaly, |group| group.track.kind);
        let missed = scoring::missed(kind);
        let due = |visit: &Visit| !visit.span.open && visit.span.to.saturating_add(5_000) < now;
        let costs = Costs {
            pair: pair.collect(),
            ghost: track.iter().map(|_| scoring::APART).collect(),
            repeat: repeat.collect(),
            missed: vec![missed; occupied],
            pending: seeds.iter().map(|visit| if due(visit) { missed } else { 0.0 }).collect(),
        };
        for (index, Choice { with, ghost }) in own.iter().zip(align(&costs)) {
            let best = with.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((best, cost)) = best.filter(|(_, cost)| *cost < ghost) else {
                free.push(*index);
                continue;
            };
            for (other, more) in with.iter().enumerate().filter(|(other, _)| *other != best) {
                let seed = seeds_first(&self.all, other);
                if let Some(seed) = seed.filter(|_| more - cost < scoring::CLEAR) {
                    self.rivals.push((*index, seed, more - cost));
                }
            }
            if let Some(visit) = self.all.get_mut(best) {
                visit.members.push(*index);
            }
        }
    }

    /// Readings outside every occupancy.
    fn cluster(&mut self, groups: &[Group], mut free: Vec<usize>, names: &dyn Fn(usize, usize) -> f64) {
        let get = |index: usize| groups.get(index);
        free.sort_by_key(|index| get(*index).map(|group| (group.anchor_ms(), group.number)));
        let first = self.all.len();
        for index in free {
            let Some(group) = get(index) else { continue };
            let span = span_of(group);
            if let Some(visit) = self.all.get_mut(first..).and_then(<[Visit]>::last_mut)
                && span.from < visit.span.to.saturating_add(CLOSE_MS)
                && visit.members.iter().filter_map(|member| get(*member)).all(|other| agree(other, group))
                && visit.members.iter().all(|member| names(index, *member) < IMPOSSIBLE)
            {
                visit.span.to = visit.span.to.max(span.to);
                visit.span.from = visit.span.from.min(span.from);
                visit.members.push(index);
                continue;
            }
            self.all.push(Visit { members: vec![index], span });
        }
    }
}

/// One occupancy as two devices tell it: each edge by the one that is sure of it.
fn both(one: &Span, other: &Span, now: u64) -> Span {
    let left = |span: &Span| !span.open && span.sure.1;
    let to = match (left(one), left(other)) {
        (true, false) => one.to,
        (false, true) => other.to,
        _ => one.to.max(other.to),
    };
    let from = match (one.sure.0, other.sure.0) {
        (true, false) => one.from,
        (false, true) => other.from,
        _ => one.from.min(other.from),
    };
    // The one that is covered still may have missed that it left.
    let missed = (left(one) || left(other)) && now > to.saturating_add(MISSED_MS);
    Span {
        from,
        to,
        open: (one.open || other.open) && !missed,
        sure: (one.sure.0 || other.sure.0, one.sure.1 || other.sure.1),
        ..*one
    }
}

fn seeds_first(all: &[Visit], index: usize) -> Option<usize> {
    all.get(index)?.members.first().copied()
}

/// Whether two readings may be of one vehicle.
fn agree(a: &Group, b: &Group) -> bool {
    match (&a.mark, &b.mark) {
        (Mark::Plate { text, view, .. }, Mark::Plate { text: other, view: seen, .. }) => {
            // A rear plate ends a vehicle, a front plate begins one.
            let ended = *view == View::Rear && *seen == View::Front;
            // A camera that reads two names by turns sees one vehicle with both: a plate and a sign.
            let by_turns = a.track == b.track && a.first_ms < b.first_ms && b.last_ms < a.last_ms;
            !ended && (by_turns || view != seen || identity::distance(text, other) <= 1.0)
        }
        (Mark::Value, Mark::Value) => {
            a.track != b.track || !matches!(a.track.kind, ReadingKind::Radiation | ReadingKind::Dimensions)
        }
        _ => true,
    }
}

/// When a group says that the vehicle was there.
pub(crate) fn span_of(group: &Group) -> Span {
    let by_presence = matches!(group.mark, Mark::Occupancy { .. });
    let rear = matches!(group.mark, Mark::Plate { view: View::Rear, .. });
    Span {
        from: if rear { group.last_ms } else { group.first_ms },
        to: group.last_ms,
        open: group.is_open(),
        by_presence,
        sure: group.sure(),
        doubtful: group.doubtful.then_some(group.number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interface::{PlateReading, RadiationAlarm, Reading, SensorId};

    fn of(groups: &[Group]) -> Visits {
        let all: Vec<usize> = (0..groups.len()).collect();
        Visits::of(groups, &all, 100_000, &|_, _| 0.0)
    }

    fn plate(times: &[u64], text: &str) -> Group {
        let read = |at: &u64| {
            let plate = PlateReading {
                text: text.into(),
                country: None,
                confidence: 0.9,
                view: View::Front,
                candidates: Vec::new(),
            };
            (*at, Reading::Plate(plate))
        };
        Group::sample(&times.iter().map(read).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_that_is_read_between_readings_of_another_is_of_the_same_vehicle() {
        let plates = [plate(&[10_000, 11_200], "053GCZ02"), plate(&[10_600], "TGX18440")];
        assert_eq!(of(&plates).all.len(), 1);
        let plates = [plate(&[10_000, 11_200], "053GCZ02"), plate(&[12_000], "TGX18440")];
        assert_eq!(of(&plates).all.len(), 2);
    }

    /// What a loop told that did not notice when its vehicle left: the next one came.
    fn assumed(from: u64, next: u64) -> Group {
        let mut group = Group::sample(&[(from, Reading::Presence { occupied: true })]);
        group.assume_left(next);
        group
    }

    #[test]
    fn a_portal_tells_when_a_vehicle_left_whose_loop_did_not() {
        let result = Reading::Radiation {
            alarm: RadiationAlarm::None,
            gamma_max_cps: None,
            gamma_background_cps: None,
            neutron_max_cps: None,
            duration_ms: Some(9_000),
        };
        let groups = [assumed(10_000, 90_000), Group::sample(&[(19_500, result)])];
        let visits = of(&groups);
        let span = visits.all.first().unwrap().span;
        assert!(span.to < 25_000 && !span.open && !span.sure.1, "{span:?}");
    }

    #[test]
    fn of_two_devices_that_tell_one_occupancy_the_one_is_believed_that_saw_the_edge() {
        let mut barrier = Group::over(0, 10_400, 15_000);
        barrier.track.sensor = SensorId("barrier".into());
        let visits = of(&[assumed(10_000, 90_000), barrier]);
        assert_eq!(visits.all.len(), 1);
        let span = visits.all.first().unwrap().span;
        assert_eq!((span.from, span.to, span.open, span.sure), (10_000, 15_000, false, (true, true)));
    }
}
