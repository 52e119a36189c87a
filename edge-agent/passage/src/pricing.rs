//! What it costs to say that visits are of one vehicle, in nats: by the times from post to post, the vehicle before, the names,
//! and what should have noticed it and did not.

use interface::{ReadingKind, View};

use crate::alignment::IMPOSSIBLE;
use crate::group::{Group, Mark};
use crate::identity;
use crate::scene::{Courses, Kinds, Scene, Seen};
use crate::scoring::{self, Span, seconds};
use crate::travel::FASTEST_M_S;

/// What contradicts the order of a lane but may be a clock's fault.
const ABSURD: f64 = 40.0;
/// What it costs at most to say that a vehicle came into the lane behind the first stations, unnoticed by them: one in two
/// hundred does.
const JOINED: f64 = 5.3;
/// What it costs at most to say that a vehicle was not noticed any more: one in fifty is sent out of the lane.
const SENT_OUT: f64 = 4.2;
/// What remains of that for a vehicle of which it is known.
const SENT_AWAY: f64 = 0.2;
/// What it costs at most to say that a vehicle was not noticed at some posts on its way.
const MISSED: f64 = 6.0;
/// A loop that lost an edge between two vehicles was not covered by one all the time.
const LOST_BETWEEN: f64 = 7.0;
/// Two results that a station makes once per vehicle are of two vehicles.
const TWO_RESULTS: f64 = 5.0;
/// The front of a vehicle that is measured at a post is at most about this far beyond it, metres.
const REACHES_M: f64 = 20.0;
/// A plate that fits no other of its end, read well.
const OTHER_PLATE: f64 = 6.0;
/// Readings come at most so long after the vehicle has left, seconds; a portal's may be later.
const DUE_S: f64 = 12.0;
const PORTAL_DUE_S: f64 = 40.0;

impl Scene<'_> {
    /// What it costs to say that these visits are of one vehicle. `overtaken`: a later vehicle was further on.
    pub fn cost(&self, course: &[usize], overtaken: bool) -> f64 {
        let mut cost = 0.0;
        let mut before: Option<(usize, Span, bool)> = None;
        let mut visits = self.visits(course).peekable();
        while let Some(first) = visits.next() {
            let post = first.post;
            let mut span = first.span;
            let mut last = first;
            let mut kinds = first.kinds;
            while let Some(next) = visits.next_if(|next| next.post == post) {
                cost += again(last, next);
                if span.by_presence && !span.open && !next.span.by_presence {
                    // By its loop it has left.
                    cost += (0.2 * (seconds(span.to, next.span.from) - 3.0)).clamp(0.0, 8.0);
                }
                cost += TWO_RESULTS * f64::from((kinds.0 & next.kinds.0 & Kinds::SINGLE).count_ones());
                kinds.0 |= next.kinds.0;
                if next.span.by_presence || !span.by_presence {
                    span.to = span.to.max(next.span.to);
                    span.open = next.span.open;
                    span.sure.1 = next.span.sure.1;
                }
                span.by_presence |= next.span.by_presence;
                last = next;
            }
            cost += self.lacking(post, kinds, &span);
            cost += match before {
                None => self.unseen(0, post).min(JOINED),
                Some((from, old, passed)) => {
                    self.unseen(from + 1, post).min(MISSED)
                        + self.travel((from, &old, passed), (post, &span, first.results()), first.blocked)
                }
            };
            before = Some((post, span, first.results()));
        }
        if let Some((last, span, _)) = before {
            let away = self.visits(course).any(|seen| seen.away);
            cost += self.to_come(last, &span, overtaken) * if away { SENT_AWAY } else { 1.0 };
        }
        cost + self.names(course)
    }

    /// What the visits of a course cost if they are nobody's.
    pub fn ghost(&self, course: &[usize]) -> f64 {
        if self.lock(course).is_some() {
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

    /// Not to have been noticed at the posts from `from` to before `to`.
    fn unseen(&self, from: usize, to: usize) -> f64 {
        let before = |post: usize| self.unseen_before.get(post).copied().unwrap_or(0.0);
        (before(to) - before(from)).max(0.0)
    }

    /// Not to have been noticed by some sensors of a post where others did.
    fn lacking(&self, post: usize, kinds: Kinds, span: &Span) -> f64 {
        let Some(expected) = self.expected.get(post) else { return 0.0 };
        let mut cost = 0.0;
        for (kind, missed) in expected.iter().filter(|(kind, _)| !kinds.has(*kind)) {
            let due = if *kind == ReadingKind::Radiation { PORTAL_DUE_S } else { DUE_S };
            if *kind == ReadingKind::Presence || (!span.open && seconds(span.to, self.now) > due) {
                cost += missed;
            }
        }
        cost.min(8.0)
    }

    /// Not to have been noticed yet, or any more, after `last`.
    fn to_come(&self, last: usize, span: &Span, overtaken: bool) -> f64 {
        let most = self.unseen(last + 1, self.plan.posts()).min(SENT_OUT);
        if overtaken || most == 0.0 {
            return most;
        }
        if span.open {
            return 0.0;
        }
        let way = self.plan.length_m() / scoring::SLOW_M_S;
        let late = seconds(span.to, self.now) - way - 120.0;
        (late / 30.0).clamp(0.0, most)
    }

    /// From one post to a later one. Each with when the vehicle was there, and whether it was only measured by devices that
    /// tell when its rear has passed.
    fn travel(
        &self,
        (from, old, passed_old): (usize, &Span, bool),
        (post, new, passed_new): (usize, &Span, bool),
        blocked: Option<u64>,
    ) -> f64 {
        let metres = (self.plan.post_m(post) - self.plan.post_m(from)).abs();
        let since = seconds(old.from, new.from);
        let fronts = old.by_presence && new.by_presence;
        if fronts && old.sure.0 && since < metres / FASTEST_M_S - 1.0 {
            return ABSURD;
        }
        let ways = self.ways.get(from * self.plan.posts() + post);
        let Some(way) = ways.map(|[any, looped]| if old.by_presence { looped } else { any }) else {
            return ABSURD;
        };
        let fast = self.travel.fast_m_s();
        let mut cost = 0.0;
        if !passed_old && old.sure.0 {
            // Cameras see a vehicle some metres before the post.
            let lead = if new.by_presence { 0.0 } else { 8.0 };
            cost += ((metres - lead) / fast - if fronts { 0.5 } else { 1.5 } - since).clamp(0.0, 12.0);
        }
        if !old.by_presence {
            // What is measured when it has all but reached the next post is not its own: nothing is longer than a road train.
            let least = (metres - REACHES_M) / fast - 2.0;
            cost += 0.7
                * (least - seconds(old.to, new.from)).clamp(0.0, 12.0)
                * if metres > REACHES_M { 1.0 } else { 0.0 };
        }
        if !passed_old && !passed_new && old.sure.0 && new.sure.0 {
            cost += way.fronts(since);
        }
        // Its rear passes one post after the other, too; what a device tells may be late by a second or two.
        let rear = |span: &Span, passed: bool| {
            ((span.by_presence && !span.open && span.sure.1) || passed).then_some(span.to)
        };
        if let (Some(left), Some(next)) = (rear(old, passed_old), rear(new, passed_new)) {
            let least = metres / FASTEST_M_S - 0.5 - if passed_old { 2.5 } else { 0.0 };
            cost += (least - seconds(left, next)).clamp(0.0, 12.0);
        } else if let Some(next) = rear(new, passed_new) {
            // What is read before is read before its rear has passed the next post.
            cost += 0.7 * (seconds(next, old.to) - 3.0).clamp(0.0, 12.0);
        }
        if old.open {
            // Its rear has not left the post before: possible only for a long vehicle, or if the edge was lost.
            cost += (0.2 * (metres - 15.0)).clamp(0.0, 4.0);
        } else if old.sure.1 && new.sure.0 {
            let taken = seconds(old.to, new.from);
            cost += way.taken(taken, blocked.map(|left| seconds(old.to, left)));
        }
        cost
    }

    /// What the names of a course say together.
    fn names(&self, course: &[usize]) -> f64 {
        let mut cost = 0.0;
        for (index, seen) in self.visits(course).enumerate() {
            if seen.plates.is_empty() && seen.keys.is_empty() {
                continue;
            }
            let before = || self.visits(course).take(index);
            for view in View::ALL {
                let mut best: Option<f64> = None;
                for (_, text, read) in seen.plates.iter().filter(|(seen, ..)| seen == view) {
                    let known = before().flat_map(|other| &other.plates);
                    for (_, other, well) in known.filter(|(known, ..)| known == view) {
                        let price = plates_cost(self.distance(*text, *other), read.min(*well));
                        best = Some(best.map_or(price, |best| best.min(price)));
                    }
                }
                let new = || seen.plates.iter().filter(|(seen, ..)| seen == view);
                let any = || before().flat_map(|other| &other.plates);
                if let Some(best) = best {
                    cost += best;
                } else if new().any(|(_, text, _)| {
                    any().any(|(_, other, _)| self.distance(*text, *other) < identity::SAME)
                }) {
                    // A rear plate may differ from the front one: only that they are the same says something.
                    cost -= 4.0;
                }
            }
            for (kind, key) in &seen.keys {
                let same_kind = before().flat_map(|other| &other.keys).filter(|(known, _)| known == kind);
                let nearest = same_kind.map(|(_, known)| self.distance(*key, *known)).min_by(f64::total_cmp);
                cost += match nearest {
                    Some(distance) if distance <= 1.0 => plates_cost(distance, 1.0),
                    // A vehicle can have several containers: another one says little.
                    Some(_) => 0.5,
                    None => 0.0,
                };
            }
        }
        cost
    }
}

/// How well a plate was read, 0 to 1; 1 stands for a text that is beyond doubt.
pub(crate) fn read_well(group: &Group) -> f64 {
    match &group.mark {
        Mark::Plate { confidence, .. } if group.items.len() < 2 && *confidence < 0.9 => confidence * 0.8,
        _ => 1.0,
    }
}

/// What two plates of one end at this distance say of being one vehicle's. `weight` is 1 if both were read well: then they
/// differ because the vehicles do; fleets have numbers in a row.
pub(crate) fn plates_cost(distance: f64, weight: f64) -> f64 {
    let unsure = weight < 1.0;
    if distance == 0.0 {
        -8.0
    } else if distance < identity::SAME {
        if unsure { -6.0 } else { -3.5 }
    } else if distance <= 1.0 {
        if unsure { -2.0 } else { 1.0 }
    } else if distance <= 2.0 {
        2.0 * weight
    } else {
        OTHER_PLATE * weight
    }
}

/// What it costs to say that `next` is of the same vehicle as `one`, the visit before it at the post.
fn again(one: &Seen, next: &Seen) -> f64 {
    let gap = seconds(one.span.to, next.span.from).max(0.0);
    match (one.span.by_presence, next.span.by_presence) {
        // It came again without having left.
        (true, true) if !one.span.sure.1 || !next.span.sure.0 => LOST_BETWEEN,
        // The loop has lost a trailer for the gap behind its tractor.
        // That is short beside the tractor and the trailer, unless the vehicle stops just then.
        (true, true) => {
            let lasts = |span: &Span| seconds(span.from, span.to).max(0.1);
            let shortest = lasts(&one.span).min(if next.span.open { f64::MAX } else { lasts(&next.span) });
            let seldom = if gap < 0.25 {
                1.0
            } else if gap < 0.5 {
                2.0
            } else {
                3.0
            };
            (seldom + (gap - 0.5).max(0.0) + 4.0 * (gap / shortest - 0.4).max(0.0)).min(15.0)
                + (0.3 * (gap - 15.0)).clamp(0.0, 15.0)
        }
        (false, false) => 0.3 + (0.03 * (gap - 5.0).max(0.0)).min(8.0),
        _ => 1.0 + (0.2 * (gap - 2.0).max(0.0)).min(8.0),
    }
}
