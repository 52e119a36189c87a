//! All courses of a lane taken apart in two halves, and the best way to join these again that keeps the order of both: exact,
//! by dynamic programming.

use std::cmp::Ordering;

use crate::alignment::IMPOSSIBLE;
use crate::scene::{Courses, Scene, Seen};

/// Visits of one vehicle at one post, one after the other.
const RUN: usize = 3;
/// The same where no loop says what is of one vehicle.
const LOOSE_RUN: usize = 7;
/// How many vehicles further along something may be moved in one step.
const REACH: usize = 6;
/// Late results and clocks that are off put things in the wrong order by less than this, milliseconds.
const DISORDER_MS: u64 = 60_000;
/// What is further apart is not of one vehicle, milliseconds.
const APART_MS: u64 = 1_200_000;

/// Two halves of all courses, each in driving order, and what their joins cost.
#[derive(Clone, Debug)]
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
    /// How many of theirs one of ours may be joined to.
    run: usize,
}

/// What is demanded of one of theirs, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing.
    Free,
    /// It is joined to this one of ours.
    With(usize, usize),
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
        let looped =
            theirs.iter().flatten().filter_map(|visit| scene.at(*visit)).any(|seen| seen.span.by_presence);
        let run = if runs && !looped { LOOSE_RUN } else { RUN };
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
        let mut halves = Self {
            places,
            run,
            alone: Vec::new(),
            theirs_alone: Vec::new(),
            joined: Vec::new(),
            ours,
            theirs,
        };
        halves.price(scene);
        halves
    }

    fn price(&mut self, scene: &Scene<'_>) {
        let reach = scene.reach(&self.ours);
        let their_reach = scene.reach(&self.theirs);
        let beyond =
            self.theirs.iter().flatten().filter_map(|visit| scene.at(*visit)).map(|seen| seen.post).min();
        let locks: Vec<Option<u64>> = self.theirs.iter().map(|part| scene.lock(part)).collect();
        let mut joined = Vec::with_capacity(self.ours.len() * self.theirs.len() * self.run);
        let mut course: Vec<usize> = Vec::new();
        let spans: Vec<(u64, u64)> = self.theirs.iter().map(|part| span(scene, part)).collect();
        let mut fits: Vec<bool> = Vec::with_capacity(self.theirs.len());
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
            let far = |first: usize| first > middle + REACH + self.run || first + REACH + self.run < middle;
            fits.clear();
            fits.extend(self.theirs.iter().zip(&spans).zip(&locks).enumerate().map(
                |(index, ((part, theirs), other))| {
                    // What is joined to some of theirs that are near goes on from there.
                    (!far(index) || !far(index.saturating_sub(self.run)))
                        && (lock.is_none() || other.is_none() || lock == *other)
                        && near(span, *theirs)
                        && in_order(scene, our, part)
                },
            ));
            for first in 0..self.theirs.len() {
                if far(first) {
                    joined.extend(std::iter::repeat_n(IMPOSSIBLE, self.run));
                    continue;
                }
                course.clear();
                course.extend_from_slice(our);
                for count in 0..self.run {
                    let fit = fits.get(first + count).is_some_and(|fit| *fit);
                    let Some(part) = self.theirs.get(first + count).filter(|_| fit) else {
                        joined.extend(std::iter::repeat_n(IMPOSSIBLE, self.run - count));
                        break;
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
        let index = (our * self.theirs.len() + first) * self.run + count;
        self.joined.get(index).copied().unwrap_or(IMPOSSIBLE)
    }

    /// For one of theirs, the least cost if it is joined to each of ours, and if it is joined to none: what
    /// [`join`](Self::join) finds for each demand, from the best ways to it and from it on.
    pub fn choices(&self, wanted: usize) -> (Vec<f64>, f64) {
        let (rows, columns) = (self.ours.len(), self.theirs.len());
        let at = |i: usize, j: usize| i * (columns + 1) + j;
        let read = |table: &[f64], i: usize, j: usize| table.get(at(i, j)).copied().unwrap_or(f64::INFINITY);
        let alone = |i: usize| self.alone.get(i).copied().unwrap_or((0.0, 0.0));
        let lone = |j: usize| self.theirs_alone.get(j).copied().unwrap_or(0.0);
        let (never, later) = self.ways_on(Demand::Free);
        // The best way to each point, if something behind it is joined.
        let mut before = vec![f64::INFINITY; (rows + 1) * (columns + 1)];
        if let Some(first) = before.first_mut() {
            *first = 0.0;
        }
        for i in 0..=rows {
            for j in 0..=columns {
                let here = read(&before, i, j);
                let mut lower = |i: usize, j: usize, cost: f64| {
                    if let Some(slot) = before.get_mut(at(i, j)).filter(|_| j <= columns) {
                        *slot = slot.min(cost);
                    }
                };
                if i < rows {
                    lower(i + 1, j, here + alone(i).1);
                    for count in 0..self.run.min(columns - j) {
                        lower(i + 1, j + count + 1, here + self.joined(i, j, count));
                    }
                }
                if j < columns {
                    lower(i, j + 1, here + lone(j));
                }
            }
        }
        let first = (wanted + 1).saturating_sub(self.run);
        let with = |i: usize| {
            let starts = first..=wanted;
            let runs =
                starts.flat_map(|j| (wanted - j..self.run.min(columns - j)).map(move |count| (j, count)));
            let costs = runs.map(|(j, count)| {
                let rest = read(&never, i + 1, j + count + 1).min(read(&later, i + 1, j + count + 1));
                read(&before, i, j) + self.joined(i, j, count) + rest
            });
            costs.fold(f64::INFINITY, f64::min)
        };
        let followed =
            (0..=rows).map(|i| read(&before, i, wanted) + lone(wanted) + read(&later, i, wanted + 1));
        let last = (0..=rows).flat_map(|i| (0..=wanted).map(move |j| (i, j)));
        let last = last.map(|(i, j)| read(&before, i, j) + read(&never, i, j));
        ((0..rows).map(with).collect(), followed.chain(last).fold(f64::INFINITY, f64::min))
    }

    /// The least cost from each point on, if nothing behind it is joined, and if something is.
    fn ways_on(&self, demand: Demand) -> (Vec<f64>, Vec<f64>) {
        let (rows, columns) = (self.ours.len(), self.theirs.len());
        let at = |i: usize, j: usize| i * (columns + 1) + j;
        let mut never = vec![0.0; (rows + 1) * (columns + 1)];
        let mut later = vec![f64::INFINITY; (rows + 1) * (columns + 1)];
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
                    none = none.min(self.lone(j, demand) + read(&never, i, j + 1));
                    some = some.min(self.lone(j, demand) + read(&later, i, j + 1));
                }
                if i < rows {
                    for count in 0..self.run.min(columns - j) {
                        let rest = read(&never, i + 1, j + count + 1).min(read(&later, i + 1, j + count + 1));
                        some = some.min(self.pair(i, j, count, demand) + rest);
                    }
                }
                if let (Some(slot), Some(next)) = (never.get_mut(at(i, j)), later.get_mut(at(i, j))) {
                    (*slot, *next) = (none, some);
                }
            }
        }
        (never, later)
    }

    fn lone(&self, j: usize, demand: Demand) -> f64 {
        match demand {
            Demand::With(wanted, _) if wanted == j => f64::INFINITY,
            _ => self.theirs_alone.get(j).copied().unwrap_or(0.0),
        }
    }

    fn pair(&self, i: usize, j: usize, count: usize, demand: Demand) -> f64 {
        match demand {
            Demand::With(wanted, with) if (j..=j + count).contains(&wanted) && with != i => f64::INFINITY,
            _ => self.joined(i, j, count),
        }
    }

    /// The cheapest joins that keep the order: their cost, and for each of theirs the one of ours.
    pub fn join(&self, demand: Demand) -> (f64, Vec<Option<usize>>) {
        let (rows, columns) = (self.ours.len(), self.theirs.len());
        let at = |i: usize, j: usize| i * (columns + 1) + j;
        let alone = |i: usize| self.alone.get(i).copied().unwrap_or((0.0, 0.0));
        let read = |table: &[f64], i: usize, j: usize| table.get(at(i, j)).copied().unwrap_or(f64::INFINITY);
        let pair = |i: usize, j: usize, count: usize| self.pair(i, j, count, demand);
        let (never, later) = self.ways_on(demand);
        let total = read(&never, 0, 0).min(read(&later, 0, 0));
        let mut with = vec![None; columns];
        let (mut i, mut j) = (0, 0);
        let mut open = read(&later, 0, 0) <= read(&never, 0, 0);
        while open && (i < rows || j < columns) {
            let cost = read(&later, i, j);
            let same = |other: f64| other <= cost + 1e-9;
            let run = (0..self.run.min(columns - j)).filter(|_| i < rows).find(|count| {
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

pub(crate) fn span(scene: &Scene<'_>, part: &[usize]) -> (u64, u64) {
    let spans = || part.iter().filter_map(|visit| scene.at(*visit)).map(|seen| seen.span);
    (spans().map(|span| span.from).min().unwrap_or(0), spans().map(|span| span.to).max().unwrap_or(0))
}

pub(crate) fn near(one: (u64, u64), other: (u64, u64)) -> bool {
    one.0 <= other.1.saturating_add(APART_MS) && other.0 <= one.1.saturating_add(APART_MS)
}

/// Whether no part was further along so much earlier that no clock explains it: most joins need no closer look.
fn in_order(scene: &Scene<'_>, one: &[usize], other: &[usize]) -> bool {
    let until = |seen: &Seen| if seen.span.open { scene.now } else { seen.span.to };
    let follows = |a: &Seen, b: &Seen| until(b).saturating_add(DISORDER_MS) >= a.span.from;
    let ahead = |a: &Seen, b: &Seen| match a.post.cmp(&b.post) {
        Ordering::Less => follows(a, b),
        Ordering::Greater => follows(b, a),
        Ordering::Equal => true,
    };
    // Or all of it the other way round.
    let all = |fits: &dyn Fn(&Seen, &Seen) -> bool| {
        scene.visits(one).all(|a| scene.visits(other).all(|b| fits(a, b)))
    };
    all(&ahead) || all(&|a, b| a.post != b.post && ahead(b, a))
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
                run: RUN,
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
                let (choices, alone) = halves.choices(theirs);
                prop_assert!((ours.map_or(alone, |ours| choices[ours]) - best).abs() < 1e-9);
                for (other, cost) in choices.into_iter().enumerate() {
                    prop_assert!(cost > best - 1e-9);
                    let demanded = halves.join(Demand::With(theirs, other)).0;
                    prop_assert!(cost == demanded || (cost - demanded).abs() < 1e-9, "{} {}", cost, demanded);
                }
                let mut without = halves.clone();
                for (index, cost) in without.joined.iter_mut().enumerate() {
                    let first = index / RUN % halves.theirs.len();
                    if (first..=first + index % RUN).contains(&theirs) {
                        *cost = f64::INFINITY;
                    }
                }
                prop_assert!((without.join(Demand::Free).0 - alone).abs() < 1e-9);
            }
        }
    }
}
