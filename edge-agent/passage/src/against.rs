//! Vehicles that drive through the lane against its direction: seen at the later posts first.

use std::ops::ControlFlow;

use crate::pricing::{SoFar, Term};
use crate::same_post::again;
use crate::scene::{Scene, Seen};
use crate::scoring::{Span, seconds};
use crate::travel::FASTEST_M_S;

/// What it costs to say that a vehicle drives against the direction: one in a hundred and fifty does.
const AGAINST: f64 = 5.0;
/// What it costs at most to say that it was not noticed before it was seen first: it may have turned in the lane.
const BEGAN: f64 = 5.0;
/// The same for what it passed between two posts. Scales and document readers do not ask for such vehicles.
const BETWEEN: f64 = 5.0;
/// The same for what is still before it, when it should have been there.
const GONE: f64 = 4.5;
/// What it costs that a loop saw somebody else in the lane meanwhile, and at most: it may have been nobody.
const MET: f64 = 4.0;
const MET_MOST: f64 = 12.0;
/// Clocks that are off and results that are late put posts in the wrong order by less than this, milliseconds.
const DISORDER_MS: u64 = 3_000;
/// What a second costs that it came sooner than anything drives, and later than it would slowly.
const TOO_SOON: f64 = 1.0;
const TOO_LATE: f64 = 0.3;
/// The most that times cost from post to post.
const TIMES_MOST: f64 = 10.0;
/// Who drives against the direction is not slower than this for long, m/s; so much later is not late, seconds.
const SLOWEST_M_S: f64 = 1.5;
const PATIENCE_S: f64 = 10.0;

/// All visits of a course at one post.
#[derive(Clone, Copy)]
struct Stop {
    post: usize,
    span: Span,
}

impl Scene<'_> {
    /// The posts of a course in driving order, if it may be that of a vehicle that drove against the direction: it was at each
    /// later one before, and not only loops say so. People and carts go there, too.
    fn runs_back(&self, course: &[usize]) -> Option<Vec<Stop>> {
        let mut stops: Vec<Stop> = Vec::new();
        let mut only_loops = true;
        let ordered = self.visits(course).try_for_each(|seen| {
            only_loops &= seen.kinds.is_presence_alone();
            match stops.last_mut() {
                Some(stop) if stop.post == seen.post => {
                    stop.span.from = stop.span.from.min(seen.span.from);
                    stop.span.to = stop.span.to.max(seen.span.to);
                    stop.span.open |= seen.span.open;
                }
                Some(stop) if stop.span.from.saturating_add(DISORDER_MS) < seen.span.from => {
                    return ControlFlow::Break(());
                }
                _ => stops.push(Stop { post: seen.post, span: seen.span }),
            }
            ControlFlow::Continue(())
        });
        let (first, last) = (stops.first()?, stops.last()?);
        let back = first.span.from > last.span.from && self.apart_m(first, last) > 0.0;
        (ordered.is_continue() && back && !only_loops).then_some(stops)
    }

    fn apart_m(&self, one: &Stop, other: &Stop) -> f64 {
        (self.plan.post_m(other.post) - self.plan.post_m(one.post)).abs()
    }

    /// What a course costs if its vehicle drove against the direction; nothing if it cannot have. Each part is told to `told`.
    pub(crate) fn against(&self, course: &[usize], told: &mut impl FnMut(Term, f64)) -> Option<SoFar> {
        let stops = self.runs_back(course)?;
        let (lowest, highest) = (stops.first()?, stops.last()?);
        let mut cost = 0.0;
        let mut add = |term: Term, part: f64| {
            cost += part;
            told(term, part);
        };
        add("against", AGAINST);
        let before = self.unseen(highest.post + 1, self.plan.posts(), (highest.span.from, highest.span.from));
        add("joined", before.min(BEGAN));
        for (next, stop) in stops.iter().zip(stops.iter().skip(1)) {
            let during = (stop.span.from.min(next.span.from), next.span.from);
            add("unseen", self.unseen(next.post + 1, stop.post, during).min(BETWEEN));
            let taken = seconds(stop.span.from, next.span.from);
            let metres = self.apart_m(stop, next);
            let soon = TOO_SOON * (metres / FASTEST_M_S - 2.0 - taken).max(0.0);
            let late = TOO_LATE * (taken - metres / SLOWEST_M_S - PATIENCE_S).max(0.0);
            add("travel", (soon + late).min(TIMES_MOST));
        }
        let visits: Vec<&Seen> = self.visits(course).collect();
        for (one, next) in
            visits.iter().zip(visits.iter().skip(1)).filter(|(one, next)| one.post == next.post)
        {
            add("again", again(one, next));
        }
        add("names", self.names(course));
        add("told", self.told_twice(course));
        Some(SoFar {
            cost,
            until: u64::MAX,
            last: Some((lowest.post, lowest.span)),
            away: 1.0,
            against: true,
        })
    }

    /// What it costs that the vehicle of a course drove against the direction, beside others: that it was not noticed any more
    /// after its lowest post, unless it may be on its way still, and that loops saw others in the lane meanwhile, whom it would
    /// have met.
    pub(crate) fn back_among_others(&self, course: &[usize], post: usize, span: &Span) -> f64 {
        let began = self.visits(course).map(|seen| seen.span.from).min().unwrap_or(span.from);
        let others = self.seen.iter().enumerate().filter(|(visit, _)| !course.contains(visit));
        let looped = others.map(|(_, seen)| seen).filter(|seen| seen.span.by_presence && seen.span.sure.0);
        let met = looped.clone().filter(|seen| (began + 1..span.from).contains(&seen.span.from)).count();
        let rest_m = (self.plan.post_m(post) - self.plan.position_m(self.plan.first)).abs();
        let on_the_way_s = rest_m / SLOWEST_M_S + PATIENCE_S;
        let overdue = !span.open && seconds(span.to, self.now) > on_the_way_s;
        let mut before = looped.filter(|seen| seen.post < post && seen.span.from > span.from);
        let rest = if overdue || before.next().is_some() {
            self.unseen(0, post, (span.to, self.now)).min(GONE)
        } else {
            0.0
        };
        // Never more than a few.
        #[allow(clippy::cast_precision_loss)]
        let met = (MET * met as f64).min(MET_MOST);
        rest + met
    }

    /// Whether the vehicle of a course drove against the direction.
    pub(crate) fn is_against(&self, course: &[usize]) -> bool {
        self.remembered(course).against
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
    use std::cell::RefCell;

    #[test]
    fn who_drives_against_the_direction_meets_nobody() {
        let (plan, travel) = (Plan::looped(&[0.0, 30.0, 60.0]), Travel::default());
        let over = |station: usize, at: u64| Group::over(station, at, at + 2_000);
        let cost = |met_ms: u64| {
            let groups = [over(0, 30_000), over(1, met_ms), over(2, 10_000)];
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 33_000, &groups, &|_, _| None, &|_, _| 0, &prices);
            for (index, group) in groups.iter().enumerate() {
                let visits = Visits::of(&groups, &[index], 33_000, &|_, _| 0.0);
                scene.add(plan.post_of(&group.track), visits, &[Home::default(); 3]);
            }
            scene.ready();
            let lowest = scene.at(0).unwrap();
            scene.back_among_others(&[0, 2], lowest.post, &lowest.span)
        };
        // Another one was at the middle loop while it was in the lane, or before.
        assert!(cost(20_000) > cost(2_000) + 3.0, "{} {}", cost(20_000), cost(2_000));
    }
}
