//! What it costs to say that visits are of one vehicle, in nats: by the times from post to post, the vehicle before, the names,
//! and what should have noticed it and did not.

use interface::ReadingKind;

use crate::alignment::IMPOSSIBLE;
use crate::kinds::Kinds;
use crate::length_class::{self, NOTHING, Together};
use crate::same_post::{again, changed, close_behind};
use crate::scene::{Courses, Scene};
use crate::scoring::{Span, seconds};
use crate::size::Size;
use crate::times::Stop;

/// What remains of what it costs not to be noticed any more for a vehicle that is known to have been sent away.
const SENT_AWAY: f64 = 0.4;
/// The same for one that has caused an alarm: one in three or four is sent to inspection.
const ALARMED: f64 = 0.35;
/// What it costs at most to say that a vehicle was not noticed at some posts on its way.
const MISSED: f64 = 6.0;
/// Two results that a station makes once per vehicle are of two vehicles.
const TWO_RESULTS: f64 = 5.0;
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
            if measured != NOTHING {
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
        add("tags", self.tags(course));
        let away = if self.visits(course).any(|seen| seen.away) {
            SENT_AWAY
        } else if self.visits(course).any(|seen| seen.alarm) {
            ALARMED
        } else {
            1.0
        };
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::looking::Home;
    use crate::plan::Plan;
    use crate::travel::Travel;
    use crate::visits::Visits;
    use interface::{RadiationAlarm, Reading, View};
    use std::cell::RefCell;

    #[test]
    fn who_has_caused_an_alarm_is_more_likely_to_have_been_sent_out() {
        let plan = Plan::looped(&[0.0, 40.0]);
        let travel = Travel::default();
        let gone = |alarm: RadiationAlarm| {
            let result = Reading::Radiation {
                alarm,
                gamma_max_cps: None,
                gamma_background_cps: None,
                neutron_max_cps: None,
                duration_ms: None,
            };
            let groups = [Group::over(0, 10_000, 13_000), Group::sample(&[(13_500, result)])];
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 60_000, &groups, &|_, _| None, &|_, _| 0, &prices);
            scene.add(0, Visits::of(&groups, &[0, 1], 60_000, &|_, _| 0.0), &[Home::default(); 2]);
            scene.ready();
            let terms = scene.terms(&[0], true);
            terms.iter().find(|(term, _)| *term == "to come").map_or(0.0, |(_, cost)| *cost)
        };
        assert!(gone(RadiationAlarm::Gamma) + 1.5 < gone(RadiationAlarm::None));
    }

    #[test]
    fn what_is_over_a_loop_more_briefly_than_vehicles_are_is_hardly_one_unless_it_has_a_plate() {
        let plan = Plan::looped(&[0.0, 40.0]);
        let mut travel = Travel::default();
        for _ in 0..40 {
            travel.classes.learn(&[(0, 1.5), (0, 5.0)], NOTHING);
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
}
