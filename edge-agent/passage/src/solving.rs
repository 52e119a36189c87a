//! Looks for the courses that cost least together. The visits of a lane are taken apart in two halves, those of one post and
//! the rest, or those before and after a place of the lane; both keep their order, so the best way to join them again is
//! found exactly, by dynamic programming. This is repeated with every post and every place until nothing gets cheaper: the
//! iterative refinement that is known from the alignment of biological sequences (Barton and Sternberg, 1987). It moves whole
//! chains of vehicles that were shifted by one, which no decision about a single reading can.

use crate::alignment::IMPOSSIBLE;
use crate::scene::{Courses, Scene};

/// Rounds after which it is left as it is; nearly always two are enough.
const ROUNDS: usize = 4;
/// A gain that counts.
const GAIN: f64 = 1e-6;
/// Where no course costs more than this, nothing is wrong.
const FINE: f64 = 0.5;
/// A course that costs more may be wrong.
const DEAR: f64 = 5.0;
/// How often what is expensive is taken apart.
const RUINS: usize = 2;
/// Visits of one vehicle at one post, one after the other.
const RUN: usize = 3;
/// How many vehicles further along something may be moved in one step.
const REACH: usize = 8;
/// What is further apart is not of one vehicle, milliseconds.
const APART_MS: u64 = 1_200_000;

/// Two halves of all courses, each in driving order, and what their joins cost.
#[derive(Debug)]
pub(crate) struct Halves {
    pub ours: Vec<Vec<usize>>,
    pub theirs: Vec<Vec<usize>>,
    /// For each of ours: the cost alone, if nobody behind is joined, and if somebody is.
    alone: Vec<(f64, f64)>,
    theirs_alone: Vec<f64>,
    /// For each of ours, each of theirs and each number of theirs, the cost of the join.
    joined: Vec<f64>,
    /// For each of ours, how many of theirs stand before it now: only what is near is tried.
    places: Vec<usize>,
}

/// What is demanded of one of theirs, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing.
    Free,
    /// It is joined to this one of ours.
    With(usize, usize),
    /// It is joined to none.
    Alone(usize),
}

impl Halves {
    /// Takes all courses apart: `theirs` holds the visits for which `is_theirs` says so.
    pub fn of(scene: &Scene<'_>, courses: &Courses, is_theirs: &dyn Fn(usize) -> bool) -> Self {
        let part = |wanted: bool| -> Vec<Vec<usize>> {
            let parts = courses.iter().map(|course| {
                let chosen = course.iter().copied();
                chosen
                    .filter(|visit| scene.at(*visit).is_some_and(|seen| is_theirs(seen.post)) == wanted)
                    .collect::<Vec<usize>>()
            });
            parts.filter(|part| !part.is_empty()).collect()
        };
        let ours = part(false);
        // Visits of one post may be of several vehicles, and those of a chain stay together.
        let mut theirs = part(true);
        let mut places = Vec::with_capacity(ours.len());
        let mut before = 0;
        let single = theirs.iter().flatten().filter_map(|visit| scene.at(*visit)).map(|seen| seen.post);
        let (least, most) = (single.clone().min(), single.max());
        if least == most {
            theirs = theirs.into_iter().flatten().map(|visit| vec![visit]).collect();
            theirs.sort_by_key(|part| part.first().copied());
        }
        let runs = least == most;
        for course in courses {
            let is_their = |visit: &usize| scene.at(*visit).is_some_and(|seen| is_theirs(seen.post));
            if !course.iter().all(is_their) {
                places.push(before);
            }
            before += if runs {
                course.iter().filter(|visit| is_their(visit)).count()
            } else {
                usize::from(course.iter().any(is_their))
            };
        }
        let mut halves =
            Self { places, alone: Vec::new(), theirs_alone: Vec::new(), joined: Vec::new(), ours, theirs };
        halves.price(scene);
        halves
    }

    fn price(&mut self, scene: &Scene<'_>) {
        let reach = scene.reach(&self.ours);
        let their_reach = scene.reach(&self.theirs);
        let beyond =
            self.theirs.iter().flatten().filter_map(|visit| scene.at(*visit)).map(|seen| seen.post).min();
        let locks: Vec<Option<u64>> = self.theirs.iter().map(|part| scene.lock(part)).collect();
        let mut joined = Vec::with_capacity(self.ours.len() * self.theirs.len() * RUN);
        let mut course: Vec<usize> = Vec::new();
        let places = self.places.clone();
        for (place, (our, reach)) in self.ours.iter().zip(&reach).enumerate() {
            let lock = scene.lock(our);
            let bound = lock.is_some() && locks.contains(&lock);
            let held = if bound { IMPOSSIBLE } else { 0.0 };
            let later = beyond.is_some_and(|beyond| {
                our.last().and_then(|last| scene.at(*last)).is_some_and(|seen| seen.post < beyond)
            });
            let overtaken = scene.is_overtaken(our, *reach);
            let free = scene.price(our, overtaken);
            let passed = if later && !overtaken { scene.price(our, true) } else { free };
            self.alone.push((free + held, passed + held));
            let span = span(scene, our);
            let middle = places.get(place).copied().unwrap_or(0);
            for first in 0..self.theirs.len() {
                if first > middle + REACH || first + REACH < middle {
                    joined.extend([IMPOSSIBLE; RUN]);
                    continue;
                }
                course.clear();
                course.extend_from_slice(our);
                let mut possible = true;
                for count in 0..RUN {
                    let part = self.theirs.get(first + count);
                    possible = possible
                        && part.is_some_and(|part| {
                            let other = locks.get(first + count).copied().flatten();
                            near(span, self::span(scene, part))
                                && (lock.is_none() || other.is_none() || lock == other)
                        });
                    let Some(part) = part.filter(|_| possible) else {
                        joined.push(IMPOSSIBLE);
                        continue;
                    };
                    course.extend_from_slice(part);
                    course.sort_unstable();
                    let behind = their_reach.get(first + count).copied().flatten();
                    let overtaken = scene.is_overtaken(&course, (*reach).max(behind));
                    joined.push(scene.cost(&course, overtaken));
                }
            }
        }
        self.joined = joined;
        for (part, reach) in self.theirs.iter().zip(&their_reach) {
            let lock = scene.lock(part);
            let bound = lock.is_some() && self.ours.iter().any(|our| scene.lock(our) == lock);
            let held = if bound { IMPOSSIBLE } else { 0.0 };
            self.theirs_alone.push(scene.price(part, scene.is_overtaken(part, *reach)) + held);
        }
    }

    fn joined(&self, our: usize, first: usize, count: usize) -> f64 {
        let index = (our * self.theirs.len() + first) * RUN + count;
        self.joined.get(index).copied().unwrap_or(IMPOSSIBLE)
    }

    /// The cheapest joins that keep the order: their cost, and for each of theirs the one of ours.
    pub fn join(&self, demand: Demand) -> (f64, Vec<Option<usize>>) {
        let (rows, columns) = (self.ours.len(), self.theirs.len());
        let at = |i: usize, j: usize| i * (columns + 1) + j;
        let mut never = vec![0.0; (rows + 1) * (columns + 1)];
        let mut later = vec![f64::INFINITY; (rows + 1) * (columns + 1)];
        let lone = |j: usize| match demand {
            Demand::With(wanted, _) if wanted == j => f64::INFINITY,
            _ => self.theirs_alone.get(j).copied().unwrap_or(0.0),
        };
        let pair = |i: usize, j: usize, count: usize| match demand {
            Demand::Alone(wanted) if (j..=j + count).contains(&wanted) => f64::INFINITY,
            Demand::With(wanted, with) if (j..=j + count).contains(&wanted) && with != i => f64::INFINITY,
            _ => self.joined(i, j, count),
        };
        let alone = |i: usize| self.alone.get(i).copied().unwrap_or((0.0, 0.0));
        let read = |table: &[f64], i: usize, j: usize| table.get(at(i, j)).copied().unwrap_or(f64::INFINITY);
        for i in (0..=rows).rev() {
            for j in (0..=columns).rev() {
                let mut none = f64::INFINITY;
                let mut some = f64::INFINITY;
                if i == rows && j == columns {
                    none = 0.0;
                }
                if i < rows {
                    none = none.min(alone(i).0 + read(&never, i + 1, j));
                    some = some.min(alone(i).1 + read(&later, i + 1, j));
                }
                if j < columns {
                    none = none.min(lone(j) + read(&never, i, j + 1));
                    some = some.min(lone(j) + read(&later, i, j + 1));
                }
                if i < rows {
                    for count in 0..RUN.min(columns - j) {
                        let rest = read(&never, i + 1, j + count + 1).min(read(&later, i + 1, j + count + 1));
                        some = some.min(pair(i, j, count) + rest);
                    }
                }
                if let (Some(slot), Some(next)) = (never.get_mut(at(i, j)), later.get_mut(at(i, j))) {
                    (*slot, *next) = (none, some);
                }
            }
        }
        let total = read(&never, 0, 0).min(read(&later, 0, 0));
        let mut with = vec![None; columns];
        let (mut i, mut j) = (0, 0);
        let mut open = read(&later, 0, 0) <= read(&never, 0, 0);
        while open && (i < rows || j < columns) {
            let cost = read(&later, i, j);
            let same = |other: f64| other <= cost + 1e-9;
            let run = (0..RUN.min(columns - j)).filter(|_| i < rows).find(|count| {
                let rest = read(&never, i + 1, j + count + 1).min(read(&later, i + 1, j + count + 1));
                same(pair(i, j, *count) + rest)
            });
            if let Some(count) = run {
                for slot in with.iter_mut().skip(j).take(count + 1) {
                    *slot = Some(i);
                }
                (i, j) = (i + 1, j + count + 1);
                open = read(&later, i, j) <= read(&never, i, j);
            } else if i < rows && same(alone(i).1 + read(&later, i + 1, j)) {
                i += 1;
            } else if j < columns {
                j += 1;
            } else {
                break;
            }
        }
        (total, with)
    }

    /// The courses that these joins make, in driving order.
    pub fn courses(&self, scene: &Scene<'_>, with: &[Option<usize>]) -> Courses {
        let mut courses: Courses = Vec::with_capacity(self.ours.len() + self.theirs.len());
        let (mut i, mut j) = (0, 0);
        while i < self.ours.len() || j < self.theirs.len() {
            match with.get(j).copied() {
                Some(Some(owner)) if owner <= i => {
                    let mut course = self.ours.get(i).cloned().unwrap_or_default();
                    while let (Some(Some(same)), Some(part)) = (with.get(j), self.theirs.get(j)) {
                        if *same != owner {
                            break;
                        }
                        course.extend_from_slice(part);
                        j += 1;
                    }
                    course.sort_unstable();
                    courses.push(course);
                    i += 1;
                }
                Some(None) if self.goes_first(scene, i, j) => {
                    courses.extend(self.theirs.get(j).cloned());
                    j += 1;
                }
                _ => {
                    courses.extend(self.ours.get(i).cloned());
                    i += 1;
                }
            }
        }
        courses
    }

    /// Whether theirs comes before ours, where neither is joined.
    fn goes_first(&self, scene: &Scene<'_>, i: usize, j: usize) -> bool {
        match (self.ours.get(i), self.theirs.get(j)) {
            (Some(ours), Some(theirs)) => {
                scene.is_ahead(theirs, ours).unwrap_or_else(|| scene.start(theirs) < scene.start(ours))
            }
            (None, _) => true,
            _ => false,
        }
    }
}

fn span(scene: &Scene<'_>, part: &[usize]) -> (u64, u64) {
    let spans = || part.iter().filter_map(|visit| scene.at(*visit)).map(|seen| seen.span);
    (spans().map(|span| span.from).min().unwrap_or(0), spans().map(|span| span.to).max().unwrap_or(0))
}

fn near(one: (u64, u64), other: (u64, u64)) -> bool {
    one.0 <= other.1.saturating_add(APART_MS) && other.0 <= one.1.saturating_add(APART_MS)
}

/// Makes courses cheaper as long as that is possible. Where it has come to an end with expensive ones, these and their
/// neighbours are taken apart and put together anew, since no single step may lead out of there.
pub(crate) fn improve(scene: &mut Scene<'_>, courses: Courses) -> Courses {
    let (mut courses, mut total) = refine(scene, courses);
    if exchange(scene, &courses) {
        (courses, total) = refine(scene, courses);
    }
    for _ in 0..RUINS {
        let Some(ruined) = ruin(scene, &courses) else { break };
        let (again, cost) = refine(scene, ruined);
        if cost > total - GAIN {
            break;
        }
        (courses, total) = (again, cost);
    }
    courses
}

fn refine(scene: &Scene<'_>, mut courses: Courses) -> (Courses, f64) {
    let mut total = scene.total(&courses);
    let posts: Vec<usize> =
        (0..scene.plan.posts()).filter(|post| scene.seen.iter().any(|seen| seen.post == *post)).collect();
    for round in 0..ROUNDS {
        let before = total;
        for post in &posts {
            if round > 0 || has_loose(scene, &courses, *post) {
                take(scene, &mut courses, &mut total, &|other| other == *post);
            }
        }
        // If all is well, it is left as it is.
        if round == 0 && dear(scene, &courses, FINE).is_empty() {
            break;
        }
        for place in posts.iter().skip(1) {
            take(scene, &mut courses, &mut total, &|other| other >= *place);
        }
        let inner = posts.get(1..posts.len().saturating_sub(1)).unwrap_or_default();
        for (index, from) in inner.iter().enumerate() {
            for to in inner.iter().skip(index + 1) {
                take(scene, &mut courses, &mut total, &|other| (*from..=*to).contains(&other));
            }
        }
        merge(scene, &mut courses, &mut total);
        if before - total < GAIN {
            break;
        }
    }
    (courses, total)
}

/// Whether a visit of the post stands alone.
fn has_loose(scene: &Scene<'_>, courses: &Courses, post: usize) -> bool {
    let alone = courses.iter().filter(|course| course.len() == 1).flatten();
    alone.filter_map(|visit| scene.at(*visit)).any(|seen| seen.post == post)
}

/// The courses that cost more than `limit`.
fn dear(scene: &Scene<'_>, courses: &Courses, limit: f64) -> Vec<usize> {
    let reach = scene.reach(courses);
    let priced = courses.iter().zip(&reach).enumerate();
    priced
        .filter(|(_, (course, reach))| scene.price(course, scene.is_overtaken(course, **reach)) > limit)
        .map(|(index, _)| index)
        .collect()
}

/// What a device has read between two vehicles may be of either: it goes where all courses together cost less. Says whether
/// anything was moved.
fn exchange(scene: &mut Scene<'_>, courses: &Courses) -> bool {
    let mut any = false;
    for (group, seed, more) in scene.rivals.clone() {
        let find = |member: usize| scene.seen.iter().position(|seen| seen.members.contains(&member));
        let (Some(from), Some(to)) = (find(group), find(seed)) else { continue };
        let held =
            |visit: usize| scene.at(visit).is_none_or(|seen| seen.lock.is_some() || seen.members.len() < 2);
        if from == to || held(from) || scene.at(to).is_none_or(|seen| seen.lock.is_some()) {
            continue;
        }
        let touched: Vec<usize> = (0..courses.len())
            .filter(|index| {
                courses.get(*index).is_some_and(|course| course.contains(&from) || course.contains(&to))
            })
            .collect();
        let reach = scene.reach(courses);
        let price = |scene: &Scene<'_>| -> f64 {
            let courses = touched.iter().filter_map(|index| courses.get(*index).zip(reach.get(*index)));
            courses.map(|(course, reach)| scene.price(course, scene.is_overtaken(course, *reach))).sum()
        };
        let before = price(scene);
        scene.move_member(group, from, to);
        if price(scene) + more < before - GAIN {
            any = true;
        } else {
            scene.move_member(group, to, from);
        }
    }
    any
}

/// Takes expensive courses and their neighbours apart; nothing if there are none.
fn ruin(scene: &Scene<'_>, courses: &Courses) -> Option<Courses> {
    let mut bad = vec![false; courses.len()];
    for index in dear(scene, courses, DEAR) {
        if let (Some(slot), true) =
            (bad.get_mut(index), courses.get(index).is_some_and(|course| course.len() > 1))
        {
            *slot = true;
        }
    }
    let mut kept: Courses = Vec::with_capacity(courses.len());
    let mut loose: Vec<usize> = Vec::new();
    for (index, course) in courses.iter().enumerate() {
        let near = |index: Option<usize>| index.and_then(|index| bad.get(index)).copied().unwrap_or(false);
        if !near(Some(index)) && !near(index.checked_sub(1)) && !near(index.checked_add(1)) {
            kept.push(course.clone());
            continue;
        }
        let (held, free): (Vec<usize>, Vec<usize>) = course
            .iter()
            .copied()
            .partition(|visit| scene.at(*visit).is_some_and(|seen| seen.lock.is_some()));
        if !held.is_empty() {
            kept.push(held);
        }
        loose.extend(free);
    }
    if loose.is_empty() {
        return None;
    }
    loose.sort_unstable();
    for visit in loose {
        scene.insert(&mut kept, visit);
    }
    Some(kept)
}

fn take(scene: &Scene<'_>, courses: &mut Courses, total: &mut f64, is_theirs: &dyn Fn(usize) -> bool) {
    let halves = Halves::of(scene, courses, is_theirs);
    if halves.ours.is_empty() || halves.theirs.is_empty() {
        return;
    }
    let joined = halves.courses(scene, &halves.join(Demand::Free).1);
    let cost = scene.total(&joined);
    if cost < *total - GAIN {
        (*courses, *total) = (joined, cost);
    }
}

/// Two neighbours that are one vehicle.
fn merge(scene: &Scene<'_>, courses: &mut Courses, total: &mut f64) {
    let mut index = 0;
    while index + 1 < courses.len() {
        let (Some(one), Some(next)) = (courses.get(index), courses.get(index + 1)) else { return };
        let locks = (scene.lock(one), scene.lock(next));
        if near(span(scene, one), span(scene, next))
            && (locks.0.is_none() || locks.1.is_none() || locks.0 == locks.1)
        {
            let mut tried = courses.clone();
            let moved = tried.remove(index + 1);
            if let Some(course) = tried.get_mut(index) {
                course.extend(moved);
                course.sort_unstable();
            }
            let cost = scene.total(&tried);
            if cost < *total - GAIN {
                (*courses, *total) = (tried, cost);
                continue;
            }
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn some_halves()(ours in 0usize..4, theirs in 0usize..5)(
            alone in prop::collection::vec((0.0..6.0, 0.0..6.0), ours),
            theirs_alone in prop::collection::vec(0.0..9.0, theirs),
            joined in prop::collection::vec(-8.0..9.0, ours * theirs * RUN),
            ours in Just(ours),
            theirs in Just(theirs),
        ) -> Halves {
            // To have been overtaken costs no less than to be expected still.
            let alone = alone.into_iter().map(|(free, more)| (free, free + more)).collect();
            Halves {
                ours: vec![vec![0]; ours],
                theirs: vec![vec![0]; theirs],
                alone,
                theirs_alone,
                joined,
                places: vec![0; ours],
            }
        }
    }

    /// The least cost by trying all ways; `later` is whether anything behind is joined.
    fn least(halves: &Halves, i: usize, j: usize) -> Vec<(f64, bool)> {
        if i == halves.ours.len() && j == halves.theirs.len() {
            return vec![(0.0, false)];
        }
        let mut found = Vec::new();
        if i < halves.ours.len() {
            for (cost, later) in least(halves, i + 1, j) {
                let alone = if later { halves.alone[i].1 } else { halves.alone[i].0 };
                found.push((cost + alone, later));
            }
            for count in 0..RUN.min(halves.theirs.len() - j) {
                for (cost, _) in least(halves, i + 1, j + count + 1) {
                    found.push((cost + halves.joined(i, j, count), true));
                }
            }
        }
        if j < halves.theirs.len() {
            for (cost, later) in least(halves, i, j + 1) {
                found.push((cost + halves.theirs_alone[j], later));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn halves_are_joined_as_well_as_by_trying_all_ways(halves in some_halves()) {
            let best = least(&halves, 0, 0).into_iter().map(|(cost, _)| cost).fold(f64::INFINITY, f64::min);
            let (cost, with) = halves.join(Demand::Free);
            prop_assert!((cost - best).abs() < 1e-9, "{} instead of {}", cost, best);
            // What it says is what that costs, and no demand makes it cheaper.
            for (theirs, ours) in with.iter().enumerate() {
                let same = ours.map_or(Demand::Alone(theirs), |ours| Demand::With(theirs, ours));
                prop_assert!((halves.join(same).0 - best).abs() < 1e-9);
                for other in 0..halves.ours.len() {
                    prop_assert!(halves.join(Demand::With(theirs, other)).0 > best - 1e-9);
                }
            }
        }
    }
}
