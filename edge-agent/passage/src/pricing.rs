//! What it costs to say that visits are of one vehicle, in nats: by the times from post to post, the vehicle before, the names,
//! and what should have noticed it and did not.

use interface::ReadingKind;

use crate::alignment::IMPOSSIBLE;
use crate::kinds::Kinds;
use crate::length_class::{self, Together};
use crate::same_post::{CHANGES_S, again, changed, close_behind};
use crate::scene::{Courses, Scene, Seen};
use crate::scoring::{Span, seconds};
use crate::size::Size;
use crate::travel::{FASTEST_M_S, LONGEST_M, Way};

/// What contradicts the order of a lane but may be a clock's fault.
const ABSURD: f64 = 40.0;
/// A loop sees a vehicle so far before and behind its middle, both together and with what a clock may be off, metres.
const LOOP_M: f64 = 3.0;
/// What remains of what it costs not to be noticed any more for a vehicle that is known to have been sent away.
const SENT_AWAY: f64 = 0.4;
/// What it costs at most to say that a vehicle was not noticed at some posts on its way.
const MISSED: f64 = 6.0;
/// Two results that a station makes once per vehicle are of two vehicles.
const TWO_RESULTS: f64 = 5.0;
/// The front of a vehicle that is measured at a post is at most about this far beyond it, metres.
const REACHES_M: f64 = 17.0;
/// What a second costs that it was measured there later than that.
const SPOKE_LATE: f64 = 0.7;
/// What it costs that a vehicle's rear had to wait at a post because its front had to wait at the next.
const WAITED: f64 = 0.5;
/// What it costs at most to say that a vehicle was over a loop for as short as hardly any is, where nothing else told of it.
const BRIEF_MOST: f64 = 4.0;
/// What it costs to say that two passages, both told, are of one vehicle.
const TOLD_TWICE: f64 = 3.0;

/// What a course costs by where it has been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SoFar {
    pub cost: f64,
    /// Until when that is so, monotonic milliseconds, if nothing is seen: some readings are not missing yet.
    pub until: u64,
    /// Where and when it was last.
    pub last: Option<(usize, Span)>,
    /// What remains of what it costs not to be noticed any more.
    pub away: f64,
    /// It is that of a vehicle that drove against the direction.
    pub against: bool,
}

/// What a part of a cost is called.
pub(crate) type Term = &'static str;

/// All visits of a course at one post.
struct Stop {
    post: usize,
    span: Span,
    /// It was only measured, by devices that tell when a vehicle has passed.
    passed: bool,
    /// When the first of its visits ended.
    told: u64,
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
    /// What it costs to say that these visits are of one vehicle. `overtaken`: a later vehicle was further on.
    pub fn cost(&self, course: &[usize], overtaken: bool) -> f64 {
        let so_far = self.remembered(course);
        so_far.cost + self.not_yet(course, &so_far, overtaken)
    }

    /// What a course costs by where it has not been yet, or will not be.
    fn not_yet(&self, course: &[usize], so_far: &SoFar, overtaken: bool) -> f64 {
        let Some((post, span)) = so_far.last else { return 0.0 };
        if so_far.against {
            return self.back_among_others(course, post, &span);
        }
        let alone = course.last().filter(|last| self.at(**last).is_some_and(|seen| seen.span == span));
        alone.map_or_else(|| self.to_come(post, &span, overtaken), |last| self.last(*last, overtaken))
            * so_far.away
    }

    /// What a course costs by where it has been, in the direction of the lane or against it, whichever costs less. Each part is
    /// told to `told`, with its name.
    pub(crate) fn so_far(&self, course: &[usize], told: &mut impl FnMut(Term, f64)) -> SoFar {
        let mut parts: Vec<(Term, f64)> = Vec::new();
        if let Some(against) = self.against(course, &mut |term, part| parts.push((term, part)))
            && against.cost < self.ahead(course, &mut |_, _| {}).cost
        {
            parts.into_iter().for_each(|(term, part)| told(term, part));
            return against;
        }
        self.ahead(course, told)
    }

    /// What a course costs by where it has been, in the direction of the lane.
    fn ahead(&self, course: &[usize], told: &mut impl FnMut(Term, f64)) -> SoFar {
        let mut cost = 0.0;
        let mut add = |term: Term, part: f64| {
            cost += part;
            told(term, part);
        };
        let mut before: Option<Stop> = None;
        let mut until = u64::MAX;
        let mut size = Size::default();
        let mut evidence = Together::default();
        let classes = &self.learned.classes;
        let mut visits = self.visits(course).peekable();
        while let Some(first) = visits.next() {
            let post = first.post;
            let mut span = first.span;
            let mut last = first;
            let mut kinds = first.kinds;
            let mut here = first.size;
            let mut measured = first.odds;
            let mut weighed = first.weighed;
            while let Some(next) = visits.next_if(|next| next.post == post) {
                add("again", again(last, next));
                if span.by_presence && !span.open && !next.span.by_presence {
                    // By its loop it has left.
                    add("again", (0.2 * (seconds(span.to, next.span.from) - 3.0)).clamp(0.0, 8.0));
                }
                add("again", TWO_RESULTS * f64::from((kinds.0 & next.kinds.0 & Kinds::SINGLE).count_ones()));
                kinds.0 |= next.kinds.0;
                add("again", weighed.again(next.weighed));
                weighed = weighed.both(next.weighed);
                let parts = span.by_presence && next.span.by_presence;
                measured = length_class::both(measured, next.odds);
                here = if parts { here.parts(next.size) } else { here.both(next.size) };
                if next.span.by_presence || !span.by_presence {
                    span.to = span.to.max(next.span.to);
                    span.open = next.span.open;
                    span.sure.1 = next.span.sure.1;
                }
                span.by_presence |= next.span.by_presence;
                last = next;
            }
            size = size.both(here);
            if measured != [0.0; 2] {
                evidence.add(Some(classes.measured(measured)));
            }
            let lasts = seconds(span.from, span.to);
            if length_class::tells(&span, kinds.has(ReadingKind::Radiation)) {
                evidence.add(classes.over(post, lasts));
                if kinds.is_presence_alone() {
                    add("brief", classes.brief(post, lasts).min(BRIEF_MOST));
                }
            }
            add("close behind", close_behind(first));
            let (lacking, so_long) = self.lacking(post, kinds, &span, visits.peek().is_none());
            add("lacking", lacking);
            until = until.min(so_long);
            let stop = Stop { post, span, passed: first.results(), told: first.span.to };
            match &before {
                None => add("joined", self.joined(post, &span)),
                Some(old) => {
                    let beyond = visits.peek().copied();
                    let during = (old.span.to.min(span.from), span.from);
                    add("unseen", self.unseen(old.post + 1, post, during).min(MISSED));
                    add("changed", changed(first));
                    add("travel", self.travel(old, &stop));
                    size = size.both(self.reaches(old, &stop));

                    add("taken", self.taken(old, &stop, (first, last), beyond));
                    add("alone", self.alone(old, &stop, first, last));
                }
            };
            before = Some(stop);
        }
        evidence.add(self.ends(course).map(|odds| classes.measured(odds)));
        add("told", self.told_twice(course));
        add("size", size.contradiction());
        add("class", classes.cost(&evidence));
        add("names", self.names(course));
        let away = if self.visits(course).any(|seen| seen.away) { SENT_AWAY } else { 1.0 };
        SoFar { cost, until, last: before.map(|stop| (stop.post, stop.span)), away, against: false }
    }

    /// That a vehicle was told more than once, as several.
    pub(crate) fn told_twice(&self, course: &[usize]) -> f64 {
        let lock = self.lock(course);
        let mut first = lock;
        let mut cost = 0.0;
        for tie in self.ties(course) {
            if *first.get_or_insert(tie) != tie {
                cost += TOLD_TWICE;
            }
        }
        cost
    }

    /// The parts of what a course costs, by name.
    pub fn terms(&self, course: &[usize], overtaken: bool) -> Vec<(Term, f64)> {
        let mut terms: Vec<(Term, f64)> = Vec::new();
        let found =
            self.so_far(course, &mut |term, part| match terms.iter_mut().find(|(known, _)| *known == term) {
                Some((_, sum)) => *sum += part,
                None => terms.push((term, part)),
            });
        terms.push(("to come", self.not_yet(course, &found, overtaken)));
        terms
    }

    /// What the visits of a course cost if they are nobody's.
    pub fn ghost(&self, course: &[usize]) -> f64 {
        if self.is_held(course) {
            return IMPOSSIBLE;
        }
        self.visits(course).map(|seen| seen.ghost).sum()
    }

    /// What a course costs by the better of both stories.
    pub fn price(&self, course: &[usize], overtaken: bool) -> f64 {
        if course.is_empty() { 0.0 } else { self.cost(course, overtaken).min(self.ghost(course)) }
    }

    /// What all courses cost together.
    pub fn total(&self, courses: &Courses) -> f64 {
        let reach = self.reach(courses);
        courses
            .iter()
            .zip(&reach)
            .map(|(course, overtaken)| self.price(course, self.is_overtaken(course, *overtaken)))
            .sum()
    }

    /// What speaks against having been at one post and then at a later one.
    fn travel(&self, old: &Stop, new: &Stop) -> f64 {
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
    fn reaches(&self, old: &Stop, new: &Stop) -> Size {
        if !new.span.by_presence || !new.span.sure.0 || old.passed {
            return Size::default();
        }
        let Some(left) = old.rear_left() else { return Size::default() };
        let driven_m = self.travel.fast_m_s() * seconds(left, new.span.from).max(0.0);
        Size { least_m: (self.metres(old, new) - LOOP_M - driven_m).max(0.0), ..Size::default() }
    }

    /// What the time from one post to a later one costs. `first` and `last` are its visits there; `beyond` is where it was seen
    /// next.
    fn taken(&self, old: &Stop, new: &Stop, (first, last): (&Seen, &Seen), beyond: Option<&Seen>) -> f64 {
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
    fn alone(&self, old: &Stop, new: &Stop, first: &Seen, last: &Seen) -> f64 {
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
    use crate::travel::Travel;
    use crate::visits::Visits;
    use interface::{DocumentKind, RadiationAlarm, Reading, View, WeighMode};
    use std::cell::RefCell;

    #[test]
    fn who_comes_to_a_place_without_a_loop_when_the_one_there_has_just_gone_on_was_not_late() {
        let plan = Plan::with(&[0.0, 40.0, 80.0], |station| {
            if station == 1 { ReadingKind::Document } else { ReadingKind::Presence }
        });
        let over = |station: usize, from: u64, to: u64| {
            let edges =
                [(from, Reading::Presence { occupied: true }), (to, Reading::Presence { occupied: false })];
            let mut group = Group::sample(&edges);
            group.track.station = station;
            group
        };
        let shown = |at: u64| {
            let paper = Reading::Document { kind_of: DocumentKind::Barcode, text: "1".into() };
            let mut group = Group::sample(&[(at, paper)]);
            group.track.station = 1;
            group
        };
        // The one before shows a paper at 20 s and comes to the last loop at two minutes; this one shows its own then.
        let groups = [
            over(0, 0, 3_000),
            over(0, 6_000, 9_000),
            shown(20_000),
            shown(125_000),
            over(2, 120_000, 123_000),
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
    fn what_is_over_a_loop_more_briefly_than_vehicles_are_is_hardly_one_unless_it_has_a_plate() {
        let plan = Plan::looped(&[0.0, 40.0]);
        let mut travel = Travel::default();
        for _ in 0..40 {
            travel.classes.learn(0, 1.5, [0.0, -4.0]);
            travel.classes.learn(0, 5.0, [-4.0, 0.0]);
        }
        let over = |ms: u64| {
            Group::sample(&[
                (10_000, Reading::Presence { occupied: true }),
                (10_000 + ms, Reading::Presence { occupied: false }),
            ])
        };
        let plate = Reading::Plate(interface::PlateReading {
            text: "A123MP05".into(),
            country: None,
            confidence: 0.9,
            view: View::Front,
            candidates: Vec::new(),
        });
        let brief = |groups: &[Group]| {
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 20_000, groups, &|_, _| None, &|_, _| 0, &prices);
            let all: Vec<usize> = (0..groups.len()).collect();
            let homes = vec![Home::default(); groups.len()];
            scene.add(0, Visits::of(groups, &all, 20_000, &|_, _| 0.0), &homes);
            scene.ready();
            let terms = scene.terms(&[0], false);
            terms.iter().find(|(term, _)| *term == "brief").map_or(0.0, |(_, cost)| *cost)
        };
        assert!(brief(&[over(300)]) > 2.0 && brief(&[over(1_500)]) == 0.0);
        assert!(brief(&[over(300), Group::sample(&[(10_100, plate)])]) == 0.0);
    }

    /// A part of what the course of these visits costs; the groups are given with their stations, in the order of posts.
    fn term(plan: &Plan, groups: &[(usize, Group)], course: &[usize], name: Term) -> f64 {
        let travel = Travel::default();
        let place = |(station, group): &(usize, Group)| {
            let mut group = group.clone();
            group.track.station = *station;
            group
        };
        let groups: Vec<Group> = groups.iter().map(place).collect();
        let homes = vec![Home::default(); groups.len()];
        let prices = RefCell::default();
        let mut scene = Scene::new(plan, &travel, 500_000, &groups, &|_, _| None, &|_, _| 0, &prices);
        for post in 0..plan.posts() {
            let here =
                |index: &usize| groups.get(*index).map(|group| plan.post_of(&group.track)) == Some(post);
            let chosen: Vec<usize> = (0..groups.len()).filter(here).collect();
            scene.add(post, Visits::of(&groups, &chosen, 500_000, &|_, _| 0.0), &homes);
        }
        scene.ready();
        let terms = scene.terms(course, false);
        terms.iter().find(|(term, _)| *term == name).map_or(0.0, |(_, cost)| *cost)
    }

    fn over(from: u64, to: u64) -> Group {
        Group::sample(&[
            (from, Reading::Presence { occupied: true }),
            (to, Reading::Presence { occupied: false }),
        ])
    }

    #[test]
    fn who_waits_in_the_portal_behind_one_who_waits_before_the_scale_was_not_ahead_of_it() {
        let plan = Plan::with(&[0.0, 25.0, 48.0], |station| {
            if station == 1 { ReadingKind::Radiation } else { ReadingKind::Presence }
        });
        let result = |at: u64, duration_ms: u64| {
            let reading = Reading::Radiation {
                alarm: RadiationAlarm::None,
                gamma_max_cps: None,
                gamma_background_cps: None,
                neutron_max_cps: None,
                duration_ms: Some(duration_ms),
            };
            (1, Group::sample(&[(at, reading)]))
        };
        // The one before comes onto the scale at 230 s, this one at 260 s.
        let alone = |own: (usize, Group)| {
            let before = [(0, over(0, 3_000)), (0, over(6_000, 9_000))];
            let behind = [own, (2, over(230_000, 250_000)), (2, over(260_000, 280_000))];
            term(&plan, &[&before[..], &behind[..]].concat(), &[1, 2, 4], "alone")
        };
        assert!(alone(result(256_000, 240_000)) == 0.0);
        assert!(alone(result(18_000, 2_000)) > 2.0);
    }

    #[test]
    fn who_is_on_the_next_loop_as_soon_as_it_has_left_one_is_long() {
        let plan = Plan::looped(&[0.0, 20.0]);
        let weighed = |gross_kg: i64| {
            let reading = Reading::Weight { gross_kg, axles_kg: None, stable: true, mode: WeighMode::Static };
            (1, Group::sample(&[(31_000, reading)]))
        };
        let size = |gross_kg: i64, came: u64| {
            let groups = [(0, over(10_000, 25_000)), (1, over(came, 40_000)), weighed(gross_kg)];
            term(&plan, &groups, &[0, 1], "size")
        };
        assert!(size(1_500, 25_100) > 2.0, "a car of 15 m");
        assert!(size(30_000, 25_100) == 0.0 && size(1_500, 27_000) == 0.0);
    }
}
