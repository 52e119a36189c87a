//! What a lane learns from each passage that has ended: how long its ways took, and which sensors noticed it.

use interface::{ReadingKind, View};

use crate::group::Mark;
use crate::lane::LaneState;
use crate::length_class::{self, NOTHING};
use crate::plan::Plan;
use crate::scoring::{Span, seconds};
use crate::sightings::came_first;
use crate::visits::span_of;

/// A vehicle that reached a post within this time after the one before had left it was waiting for that one, milliseconds.
const WAITED_MS: u64 = 6_000;

/// Speeds are learned from loops at least so far apart, metres.
const FAR_M: f64 = 6.0;

/// Who is over a loop for longer than this stands there, seconds: 18 m take 6 s at 3 m/s.
const STOPPED_S: f64 = 8.0;

/// What a passage was noticed by at one post.
struct Noticed {
    span: Span,
    kinds: Vec<ReadingKind>,
    /// Plates read from the front, and from the rear.
    views: [bool; 2],
}

impl LaneState {
    /// Learns from a passage that has ended, once.
    pub fn learn(&mut self, plan: &Plan, index: usize) {
        let Some(passage) = self.passages.get_mut(index) else { return };
        if std::mem::replace(&mut passage.learned, true) {
            return;
        }
        if passage.against {
            return;
        }
        let number = passage.number;
        self.prices.forget();
        let contacts =
            self.groups.iter().filter(|group| group.owner == Some(number) && group.track.is_radio());
        let heard: Vec<(usize, f64)> = contacts
            .filter_map(|group| match &group.mark {
                Mark::Key { best_dbm, .. } => Some((plan.post_of(&group.track), (*best_dbm)?)),
                _ => None,
            })
            .collect();
        for (post, best_dbm) in heard {
            self.travel.heard(post, best_dbm);
        }
        let lags: Vec<(usize, u64, u64)> = self
            .groups
            .iter()
            .filter(|group| {
                group.owner == Some(number) && group.track.kind == ReadingKind::Tag && !group.doubtful
            })
            .filter_map(|group| {
                let read = came_first(self, plan, number, group.track.station)?;
                Some((group.track.station, read, group.first_ms))
            })
            .collect();
        for (station, came, heard) in lags {
            self.travel.tag_lags.learn(station, came, heard);
        }
        for (station, came, read) in self.fronts(number) {
            self.travel.front_lags.learn(station, came, read);
        }
        let own: Vec<Option<Noticed>> =
            (0..plan.posts()).map(|post| self.noticed(plan, number, post)).collect();
        let seen = || own.iter().enumerate().filter_map(|(post, noticed)| Some((post, noticed.as_ref()?)));
        // Between some loops it may have had to stop, and on others it did.
        let drives = |span: &Span| !span.open && seconds(span.from, span.to) < STOPPED_S;
        let looped = || seen().filter(|(_, noticed)| noticed.span.by_presence && noticed.span.sure.0);
        let speeds = looped().zip(looped().skip(1)).filter_map(|((from, left), (post, reached))| {
            let metres = (plan.post_m(post) - plan.post_m(from)).abs();
            let since = seconds(left.span.from, reached.span.from);
            (metres > FAR_M && since > 0.5 && drives(&left.span)).then_some(metres / since)
        });
        if let Some(fastest) = speeds.max_by(f64::total_cmp) {
            self.travel.drove(fastest);
        }
        let mut before: Option<(usize, Span)> = None;
        for (post, noticed) in seen() {
            let span = noticed.span;
            if let Some((from, left)) =
                before.filter(|(_, left)| !left.open && left.sure == (true, true) && span.sure.0)
                && !self.waited(plan, index, post, &left, &span)
            {
                let ms = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
                let since = |at: u64| ms(span.from).saturating_sub(ms(at));
                self.travel.learn(from, post, since(left.to), since(left.from));
            }
            before = Some((post, span));
        }
        let (Some(first), Some(last)) = (seen().map(|(post, _)| post).min(), before.map(|(post, _)| post))
        else {
            return;
        };
        if first == last {
            return;
        }
        let measured =
            self.groups.iter().filter(|group| group.owner == Some(number)).map(length_class::measured);
        let odds = measured.fold(NOTHING, length_class::both);
        let told = seen().filter(|(_, noticed)| {
            length_class::tells(&noticed.span, noticed.kinds.contains(&ReadingKind::Radiation))
        });
        let times: Vec<(usize, f64)> =
            told.map(|(post, noticed)| (post, seconds(noticed.span.from, noticed.span.to))).collect();
        self.travel.classes.learn(&times, odds);
        for (post, noticed) in seen() {
            if noticed.views != [false; 2] {
                self.travel.count_views(post, noticed.views);
            }
        }
        for post in first..=last {
            let kinds: Vec<ReadingKind> = plan.kinds_of_post(post).collect();
            for kind in kinds {
                let away =
                    plan.sensors_for(Plan::station_of(post), kind).all(|sensor| self.is_offline(sensor));
                if !away {
                    let noticed = own.get(post).and_then(Option::as_ref);
                    let missed = noticed.is_none_or(|noticed| !noticed.kinds.contains(&kind));
                    self.travel.count(post, kind, missed);
                }
            }
        }
    }

    /// When a passage came onto the loops of stations and when its front plate was read first there.
    fn fronts(&self, number: u64) -> Vec<(usize, u64, u64)> {
        let own = || self.groups.iter().filter(move |group| group.owner == Some(number));
        let read = own().filter(|group| {
            matches!(group.mark, Mark::Plate { view: View::Front, .. }) && !group.is_lettering()
        });
        let came = |station: usize| {
            let here = own().filter(move |group| group.track.station == station);
            here.filter_map(|group| match group.mark {
                Mark::Occupancy { rise, .. } => rise,
                _ => None,
            })
            .min()
        };
        read.filter_map(|group| Some((group.track.station, came(group.track.station)?, group.first_ms)))
            .collect()
    }

    /// When a passage was at a post.
    pub fn was_at(&self, plan: &Plan, number: u64, post: usize) -> Option<Span> {
        self.noticed(plan, number, post).map(|noticed| noticed.span)
    }

    fn noticed(&self, plan: &Plan, number: u64, post: usize) -> Option<Noticed> {
        let mut noticed: Option<Noticed> = None;
        for group in self.groups.iter().filter(|group| {
            group.owner == Some(number) && !group.track.is_radio() && plan.post_of(&group.track) == post
        }) {
            let span = span_of(group);
            let plate = group.plate_seen().map(|(view, _)| view);
            let views = [plate == Some(View::Front), plate == Some(View::Rear)];
            let kind = Some(group.track.kind).filter(|_| !group.is_lettering());
            let Some(known) = &mut noticed else {
                noticed = Some(Noticed { span, kinds: kind.into_iter().collect(), views });
                continue;
            };
            known.kinds.extend(kind);
            known.views = [known.views[0] | views[0], known.views[1] | views[1]];
            // A loop knows best.
            if known.span.by_presence == span.by_presence {
                known.span.from = known.span.from.min(span.from);
                known.span.to = known.span.to.max(span.to);
                known.span.open |= span.open;
            } else if span.by_presence {
                known.span = span;
            }
        }
        noticed
    }

    /// Whether the vehicle had to wait for the one before it: such times say nothing about the way.
    fn waited(&self, plan: &Plan, index: usize, post: usize, left: &Span, reached: &Span) -> bool {
        let ahead = self.passages.iter().take(index).rev();
        let mut there = ahead.filter_map(|passage| self.was_at(plan, passage.number, post));
        let gone = self.traces.at(post).filter(|trace| trace.from < reached.from).map(|trace| trace.to);
        let left_by = there.next().map(|ahead| ahead.to);
        left_by.into_iter().chain(gone).any(|to| to > left.to && reached.from < to.saturating_add(WAITED_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::passage::Passage;
    use crate::travel::Travel;
    use crate::{PassageId, PassageState};
    use interface::{Reading, Stamp};

    /// Twenty vehicles that come to the loops of a lane so long after the first one, and are on each so long, milliseconds.
    fn driven(plan: &Plan, came: &[(u64, u64)]) -> LaneState {
        let mut lane = LaneState::default();
        for number in 0..20 {
            for (station, (at, on)) in came.iter().enumerate() {
                let at = number * 100_000 + at;
                let edges = [
                    (at, Reading::Presence { occupied: true }),
                    (at + on, Reading::Presence { occupied: false }),
                ];
                let mut group = Group::sample(&edges);
                (group.track.station, group.owner) = (station, Some(number));
                lane.groups.push(group);
            }
            let id = PassageId(number.to_string());
            lane.passages.push(Passage::new(number, id, PassageState::Closed, Stamp::default(), 0, 0));
            lane.learn(plan, lane.passages.len() - 1);
        }
        lane
    }

    #[test]
    fn how_fast_a_lane_can_be_is_learned_from_where_nobody_has_to_stop() {
        // At the last two loops everybody stops: 20 m in 30 s, but 60 m before that in 10 s.
        let plan = Plan::looped(&[0.0, 60.0, 80.0]);
        let lane = driven(&plan, &[(0, 2_000), (10_000, 2_000), (40_000, 2_000)]);
        assert!(lane.travel.fast_m_s() > 6.0, "{}", lane.travel.fast_m_s());
    }

    #[test]
    fn who_stands_on_a_loop_does_not_tell_how_fast_the_lane_is() {
        // The only loops are at the booth and behind it.
        let plan = Plan::looped(&[0.0, 20.0]);
        let lane = driven(&plan, &[(0, 60_000), (62_000, 2_000)]);
        assert!(lane.travel.fast_m_s() > 6.0, "{}", lane.travel.fast_m_s());
    }

    #[test]
    fn nothing_is_learned_from_who_drives_against_the_direction() {
        let plan = Plan::looped(&[0.0, 60.0]);
        let learned = |against: bool| {
            let mut lane = LaneState::default();
            for (station, at) in [(0, 40_000), (1, 10_000)] {
                let over = [
                    (at, Reading::Presence { occupied: true }),
                    (at + 2_000, Reading::Presence { occupied: false }),
                ];
                let mut group = Group::sample(&over);
                (group.track.station, group.owner) = (station, Some(1));
                lane.groups.push(group);
            }
            let id = PassageId("1".into());
            let mut passage = Passage::new(1, id, PassageState::Closed, Stamp::default(), 0, 0);
            passage.against = against;
            lane.passages.push(passage);
            lane.learn(&plan, 0);
            lane.travel != Travel::default()
        };
        assert_eq!((learned(false), learned(true)), (true, false));
    }
}
