//! What the times say that a vehicle needed from post to post: how fast it was, how long it was, for whom it waited.

use crate::same_post::CHANGES_S;
use crate::scene::{Scene, Seen};
use crate::scoring::{Span, seconds};
use crate::size::Size;
use crate::travel::{FASTEST_M_S, LONGEST_M, Way};

/// What contradicts the order of a lane but may be a clock's fault.
const ABSURD: f64 = 40.0;
/// A loop sees a vehicle so far before and behind its middle, both together and with what a clock may be off, metres.
const LOOP_M: f64 = 3.0;
/// The front of a vehicle that is measured at a post is at most about this far beyond it, metres.
const REACHES_M: f64 = 17.0;
/// What a second costs that it was measured there later than that.
const SPOKE_LATE: f64 = 0.7;
/// What it costs that a vehicle's rear had to wait at a post because its front had to wait at the next.
const WAITED: f64 = 0.5;

/// All visits of a course at one post.
pub(crate) struct Stop {
    pub post: usize,
    pub span: Span,
    /// It was only measured, by devices that tell when a vehicle has passed.
    pub passed: bool,
    /// When the first of its visits ended.
    pub told: u64,
}

impl Stop {
    /// When its rear left the post, as far as that is known.
    fn rear_left(&self) -> Option<u64> {
        let left = self.span.by_presence && !self.span.open && self.span.sure.1;
        (left || self.passed).then_some(self.span.to)
    }

    /// When its rear came to the post: a loop tells when it has left.
    fn rear_came(&self) -> Option<u64> {
        if self.passed { Some(self.told) } else { self.rear_left() }
    }
}

impl Scene<'_> {
    /// What speaks against having been at one post and then at a later one.
    pub(crate) fn travel(&self, old: &Stop, new: &Stop) -> f64 {
        let metres = self.metres(old, new);
        let since = seconds(old.span.from, new.span.from);
        let fronts = old.span.by_presence && new.span.by_presence;
        if fronts && old.span.sure.0 && since < metres / FASTEST_M_S - 1.0 {
            return ABSURD;
        }
        let fast = self.travel.fast_m_s();
        // Cameras see a vehicle some metres before the post.
        let lead = if new.span.by_presence { 0.0 } else { 8.0 };
        let mut cost = 0.0;
        if !old.passed && old.span.sure.0 {
            cost += ((metres - lead) / fast - if fronts { 0.5 } else { 1.5 } - since).clamp(0.0, 12.0);
        }
        if !old.span.by_presence && metres > REACHES_M {
            // What is measured when it has all but reached the next post is not its own: nothing is longer than a road train.
            let least = (metres - REACHES_M) / fast - 2.0;
            cost += SPOKE_LATE * (least - seconds(old.span.to, new.span.from)).clamp(0.0, 12.0);
        }
        // Its rear passes one post after the other, too; what a device tells may be late by a second or two.
        if let (Some(left), Some(next)) = (old.rear_left(), new.rear_came()) {
            let late = if old.passed { 2.5 } else { 0.0 };
            let short = |speed: f64| metres / speed - 0.5 - late - seconds(left, next);
            cost += short(FASTEST_M_S).clamp(0.0, 12.0)
                + if new.passed { (0.5 * short(fast)).clamp(0.0, 2.0) } else { 0.0 };
        } else if let Some(next) = new.rear_came() {
            // What is read before is read before its rear has passed the next post.
            cost += 0.7 * (seconds(next, old.span.to) - 3.0).clamp(0.0, 12.0);
        }
        if old.span.open {
            // Its rear has not left the post before: possible only for a long vehicle, or if the edge was lost.
            cost += (0.2 * (metres - 15.0)).clamp(0.0, 4.0);
        } else if old.span.by_presence && old.span.sure.1 && new.span.sure.0 && !new.passed {
            // Between the rear and the front of nothing is more than this; what is longer has to be driven.
            let beyond = metres - LONGEST_M - lead;
            if beyond > 0.0 {
                let taken = seconds(old.span.to, new.span.from);
                cost += (beyond / fast - 0.5 - taken).clamp(0.0, 12.0);
            }
        }
        cost
    }

    /// How long a vehicle is at least that reached a loop so soon after it had left the one before.
    pub(crate) fn reaches(&self, old: &Stop, new: &Stop) -> Size {
        if !new.span.by_presence || !new.span.sure.0 || old.passed {
            return Size::default();
        }
        let Some(left) = old.rear_left() else { return Size::default() };
        let driven_m = self.travel.fast_m_s() * seconds(left, new.span.from).max(0.0);
        Size { least_m: (self.metres(old, new) - LOOP_M - driven_m).max(0.0), ..Size::default() }
    }

    /// What the time from one post to a later one costs. `first` and `last` are its visits there; `beyond` is where it was seen
    /// next.
    pub(crate) fn taken(
        &self,
        old: &Stop,
        new: &Stop,
        (first, last): (&Seen, &Seen),
        beyond: Option<&Seen>,
    ) -> f64 {
        let blocked = first.blocked;
        let Some(way) = self.way(old, new.post) else { return ABSURD };
        let mut cost = 0.0;
        if !old.passed && !new.passed && old.span.sure.0 && new.span.sure.0 {
            cost += way.fronts(seconds(old.span.from, new.span.from));
        }
        if old.span.open || !old.span.sure.1 || !new.span.sure.0 {
            return cost;
        }
        let since = |at: u64| seconds(old.span.to, at);
        let came = since(new.told.min(new.span.from));
        let mut taken = way.taken(came, blocked.map(since), new.span.by_presence);
        if let Some(left) =
            self.left_at_last(new, last, beyond).filter(|left| blocked.is_some_and(|known| *left > known))
        {
            taken = taken.min(way.taken(came, Some(since(left)), false));
        }
        // If it had to wait for the loop beyond, its rear had to wait here.
        let waited = beyond.filter(|seen| new.passed && seen.span.by_presence && seen.span.sure.0);
        let waited = waited.and_then(|seen| {
            let on = self.way(old, seen.post)?;
            Some(WAITED + on.late(since(seen.span.from), seen.blocked.map(since)))
        });
        cost + waited.map_or(taken, |waited| taken.min(waited))
    }

    /// When the vehicle before had left a post at the last, where no loop tells: before it was seen at the next one. `last` is its
    /// last visit there; `beyond` is where this one was seen next.
    fn left_at_last(&self, here: &Stop, last: &Seen, beyond: Option<&Seen>) -> Option<u64> {
        if here.span.by_presence || here.passed {
            return None;
        }
        match beyond {
            Some(seen) => Some(self.leaves_before(here.post, seen.post, seen.reached_before?)),
            None => last.left_at_last,
        }
    }

    fn way(&self, old: &Stop, to: usize) -> Option<&Way> {
        let [any, looped] = self.learned.ways.get(old.post * self.plan.posts() + to)?;
        Some(if old.span.by_presence { looped } else { any })
    }

    fn metres(&self, old: &Stop, new: &Stop) -> f64 {
        (self.plan.post_m(new.post) - self.plan.post_m(old.post)).abs()
    }

    /// Where no loop tells who is there, one vehicle at a time is there all the same: when this one came there the vehicle that
    /// reached the next post before it had gone, and when it left the one that reached the next post after it had not come.
    /// If the one before reached the next post while this one was still there, this one waited behind it.
    pub(crate) fn alone(&self, old: &Stop, new: &Stop, first: &Seen, last: &Seen) -> f64 {
        if old.span.by_presence || !new.span.by_presence {
            return 0.0;
        }
        let Some(way) = self.way(old, new.post) else { return 0.0 };
        let mut cost = 0.0;
        if let Some((reached, blocked)) = first.ahead.filter(|(reached, _)| *reached > old.told) {
            let since = |at: u64| seconds(old.span.from, at);
            cost += way.late(since(reached), blocked.map(since));
        }
        if let Some(next) = last.behind {
            let least = self.metres(old, new) / self.travel.fast_m_s() + 0.5 * CHANGES_S;
            cost += (0.7 * (least - seconds(old.span.to, next))).clamp(0.0, 8.0);
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::looking::Home;
    use crate::plan::Plan;
    use crate::pricing::Term;
    use crate::travel::Travel;
    use crate::visits::Visits;
    use interface::{DocumentKind, RadiationAlarm, Reading, ReadingKind, WeighMode};
    use std::cell::RefCell;

    /// A part of what the course of these visits costs; the groups are given in the order of posts.
    fn term(plan: &Plan, groups: &[Group], course: &[usize], name: Term) -> f64 {
        let travel = Travel::default();
        let homes = vec![Home::default(); groups.len()];
        let prices = RefCell::default();
        let mut scene = Scene::new(plan, &travel, 500_000, groups, &|_, _| None, &|_, _| 0, &prices);
        for post in 0..plan.posts() {
            let here =
                |index: &usize| groups.get(*index).map(|group| plan.post_of(&group.track)) == Some(post);
            let chosen: Vec<usize> = (0..groups.len()).filter(here).collect();
            scene.add(post, Visits::of(groups, &chosen, 500_000, &|_, _| 0.0), &homes);
        }
        scene.ready();
        let terms = scene.terms(course, false);
        terms.iter().find(|(term, _)| *term == name).map_or(0.0, |(_, cost)| *cost)
    }

    /// What a portal without a loop tells of a vehicle that has left it.
    fn result(at: u64, duration_ms: u64) -> Group {
        let reading = Reading::Radiation {
            alarm: RadiationAlarm::None,
            gamma_max_cps: None,
            gamma_background_cps: None,
            neutron_max_cps: None,
            duration_ms: Some(duration_ms),
        };
        let mut group = Group::sample(&[(at, reading)]);
        group.track.station = 1;
        group
    }

    fn weighed(station: usize, at: u64, gross_kg: i64) -> Group {
        let reading = Reading::Weight { gross_kg, axles_kg: None, stable: true, mode: WeighMode::Static };
        let mut group = Group::sample(&[(at, reading)]);
        group.track.station = station;
        group
    }

    #[test]
    fn who_comes_to_a_place_without_a_loop_when_the_one_there_has_just_gone_on_was_not_late() {
        let plan = Plan::with(&[0.0, 40.0, 80.0], |station| {
            if station == 1 { ReadingKind::Document } else { ReadingKind::Presence }
        });
        let shown = |at: u64| {
            let paper = Reading::Document { kind_of: DocumentKind::Barcode, text: "1".into() };
            let mut group = Group::sample(&[(at, paper)]);
            group.track.station = 1;
            group
        };
        // The one before shows a paper at 20 s and comes to the last loop at two minutes; this one shows its own then.
        let groups = [
            Group::over(0, 0, 3_000),
            Group::over(0, 6_000, 9_000),
            shown(20_000),
            shown(125_000),
            Group::over(2, 120_000, 123_000),
        ];
        let travel = Travel::default();
        let cost = |known: &[&[usize]]| {
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 130_000, &groups, &|_, _| None, &|_, _| 0, &prices);
            let homes = [Home::default(); 5];
            for (station, chosen) in known.iter().enumerate() {
                let post = groups.iter().find(|group| group.track.station == station);
                let post = post.map_or(0, |group| plan.post_of(&group.track));
                scene.add(post, Visits::of(&groups, chosen, 130_000, &|_, _| 0.0), &homes);
            }
            scene.ready();
            scene.cost(&[1, 3], false)
        };
        let (unknown, gone) = (cost(&[&[0, 1], &[2, 3]]), cost(&[&[0, 1], &[2, 3], &[4]]));
        assert!(gone + 2.0 < unknown, "{gone} {unknown}");
    }

    #[test]
    fn who_waits_in_the_portal_behind_one_who_waits_before_the_scale_was_not_ahead_of_it() {
        let plan = Plan::with(&[0.0, 25.0, 48.0], |station| {
            if station == 1 { ReadingKind::Radiation } else { ReadingKind::Presence }
        });
        // The one before comes onto the scale at 230 s, this one at 260 s.
        let alone = |own: Group| {
            let groups = [
                Group::over(0, 0, 3_000),
                Group::over(0, 6_000, 9_000),
                own,
                Group::over(2, 230_000, 250_000),
                Group::over(2, 260_000, 280_000),
            ];
            term(&plan, &groups, &[1, 2, 4], "alone")
        };
        assert!(alone(result(256_000, 240_000)) == 0.0);
        assert!(alone(result(18_000, 2_000)) > 2.0);
    }

    #[test]
    fn who_is_on_the_next_loop_as_soon_as_it_has_left_one_is_long() {
        let plan = Plan::looped(&[0.0, 20.0]);
        let size = |gross_kg: i64, came: u64| {
            let groups =
                [Group::over(0, 10_000, 25_000), Group::over(1, came, 40_000), weighed(1, 31_000, gross_kg)];
            term(&plan, &groups, &[0, 1], "size")
        };
        assert!(size(1_500, 25_100) > 2.0, "a car of 15 m");
        assert!(size(30_000, 25_100) == 0.0 && size(1_500, 27_000) == 0.0);
    }

    #[test]
    fn how_long_a_vehicle_was_in_a_portal_tells_a_car_from_a_lorry() {
        let plan = Plan::with(&[0.0, 25.0, 48.0], |station| match station {
            1 => ReadingKind::Radiation,
            2 => ReadingKind::Weight,
            _ => ReadingKind::Presence,
        });
        let class = |duration_ms: u64, gross_kg: i64| {
            let groups =
                [Group::over(0, 0, 3_000), result(12_000, duration_ms), weighed(2, 30_000, gross_kg)];
            term(&plan, &groups, &[0, 1, 2], "class")
        };
        assert!(class(6_000, 1_500) > class(1_200, 1_500) + 0.5, "a car");
        assert!(class(1_200, 38_000) > class(6_000, 38_000) + 0.5, "a lorry");
    }
}
