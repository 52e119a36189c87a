//! Looks for the courses that cost least together. The visits of a lane are taken apart in two halves, those of one post and
//! the rest, or those before and after a place of the lane; both keep their order, so the best way to join them again is
//! found exactly, by dynamic programming. This is repeated with every post and every place until nothing gets cheaper: the
//! iterative refinement that is known from the alignment of biological sequences (Barton and Sternberg, 1987). It moves whole
//! chains of vehicles that were shifted by one, which no decision about a single reading can.

use crate::halves::{Demand, Halves, near, span};
use crate::scene::{Courses, Scene};

/// Rounds after which it is left as it is; nearly always two are enough.
const ROUNDS: usize = 4;
/// A gain that counts.
const GAIN: f64 = 1e-6;
/// A course that costs more may be wrong.
const DEAR: f64 = 5.0;
/// How often what is expensive is taken apart.
const RUINS: usize = 2;
/// A course that costs more may be put together of parts of two vehicles.
const SUSPECT: f64 = 3.0;
/// At how many places courses are parted, the dearest first, and how many others on each side may get what is parted.
const SPLITS: usize = 4;
const AROUND: usize = 3;

/// Makes courses cheaper as long as that is possible. Where it has come to an end with expensive ones, these and their
/// neighbours are taken apart and put together anew, since no single step may lead out of there.
pub(crate) fn improve(scene: &mut Scene<'_>, courses: Courses) -> Courses {
    let (mut courses, mut total) = refine(scene, courses, false);
    if exchange(scene, &courses) {
        (courses, total) = refine(scene, courses, false);
    }
    for _ in 0..RUINS {
        let Some(ruined) = ruin(scene, &courses) else { break };
        let (again, cost) = refine(scene, ruined, false);
        if cost > total - GAIN {
            break;
        }
        (courses, total) = (again, cost);
    }
    let mut left = SPLITS;
    while let Some(split) = split(scene, &courses, total, &mut left) {
        (courses, total) = split;
    }
    courses
}

/// A way to take all courses apart.
#[derive(Clone, Copy)]
enum Cut {
    /// The visits of one post, and the rest.
    Post(usize),
    /// Those before a post, and those from there on.
    Before(usize),
    /// Those of some posts in a row, and the rest.
    Between(usize, usize),
}

impl Cut {
    /// All ways for a lane where these posts have visits, in the order in which they are tried; without those of several posts in
    /// a row, of which there are most, if it is to be `quick`.
    fn all(posts: &[usize], quick: bool) -> Vec<Self> {
        let inner = posts.get(1..posts.len().saturating_sub(1)).filter(|_| !quick).unwrap_or_default();
        let pairs = |(index, from): (usize, &usize)| {
            let from = *from;
            inner.iter().skip(index + 1).map(move |to| Self::Between(from, *to))
        };
        let single = posts.iter().map(|post| Self::Post(*post));
        let places = posts.iter().skip(1).map(|post| Self::Before(*post));
        single.chain(places).chain(inner.iter().enumerate().flat_map(pairs)).collect()
    }

    fn is_theirs(self, post: usize) -> bool {
        match self {
            Self::Post(own) => post == own,
            Self::Before(first) => post >= first,
            Self::Between(from, to) => (from..=to).contains(&post),
        }
    }
}

fn refine(scene: &Scene<'_>, mut courses: Courses, quick: bool) -> (Courses, f64) {
    let mut total = scene.total(&courses);
    let posts: Vec<usize> =
        (0..scene.plan.posts()).filter(|post| scene.seen.iter().any(|seen| seen.post == *post)).collect();
    // What was tried on these very courses need not be tried again.
    let mut cuts: Vec<(Cut, Option<usize>)> =
        Cut::all(&posts, quick).into_iter().map(|cut| (cut, None)).collect();
    let mut version = 0;
    for round in 0..ROUNDS {
        let before = total;
        for (cut, tried) in &mut cuts {
            let skipped = round == 0 && matches!(cut, Cut::Post(post) if !has_loose(scene, &courses, *post));
            if skipped || *tried == Some(version) {
                continue;
            }
            version += usize::from(take(scene, &mut courses, &mut total, &|post| cut.is_theirs(post)));
            *tried = Some(version);
        }
        version += usize::from(merge(scene, &mut courses, &mut total));
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
        let held = |visit: usize| scene.at(visit).is_none_or(|seen| seen.is_held() || seen.members.len() < 2);
        if from == to || held(from) || scene.at(to).is_none_or(|seen| seen.is_held()) {
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
        let (held, free): (Vec<usize>, Vec<usize>) =
            course.iter().copied().partition(|visit| scene.at(*visit).is_some_and(|seen| seen.is_held()));
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

/// Parts suspect courses in two, at one place after the other, until that leads to cheaper ones: what was joined to the wrong
/// vehicle in a row is moved as one. Each try is counted down from `left`.
fn split(scene: &Scene<'_>, courses: &Courses, total: f64, left: &mut usize) -> Option<(Courses, f64)> {
    let reach = scene.reach(courses);
    let priced = courses.iter().zip(&reach).enumerate();
    let mut suspect: Vec<(f64, usize, &Vec<usize>)> = priced
        .map(|(index, (course, reach))| {
            (scene.price(course, scene.is_overtaken(course, *reach)), index, course)
        })
        .filter(|(cost, ..)| *cost > SUSPECT)
        .collect();
    suspect.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index, course) in suspect {
        let (from, to) = (index.saturating_sub(AROUND), (index + 1 + AROUND).min(courses.len()));
        let (Some(before), Some(around), Some(behind)) =
            (courses.get(..from), courses.get(from..to), courses.get(to..))
        else {
            continue;
        };
        let around = around.to_vec();
        let known = scene.total(&around);
        for (head, tail) in (1..course.len()).filter_map(|at| course.split_at_checked(at)) {
            if scene.lock(head).is_some() && scene.lock(tail).is_some() {
                continue;
            }
            *left = left.checked_sub(1)?;
            let mut parted = around.clone();
            parted.splice(index - from..=index - from, [head.to_vec(), tail.to_vec()]);
            let (found, cost) = refine(scene, parted, true);
            if cost < known - GAIN {
                let (all, cost) = refine(scene, [before, &found, behind].concat(), false);
                if cost < total - GAIN {
                    return Some((all, cost));
                }
            }
        }
    }
    None
}

/// Takes all courses apart and joins them in the best way. Says whether they are cheaper now.
fn take(
    scene: &Scene<'_>,
    courses: &mut Courses,
    total: &mut f64,
    is_theirs: &dyn Fn(usize) -> bool,
) -> bool {
    let halves = Halves::of(scene, courses, is_theirs);
    if halves.ours.is_empty() || halves.theirs.is_empty() {
        return false;
    }
    let joined = halves.courses(scene, &halves.join(Demand::Free).1);
    let cost = scene.total(&joined);
    let cheaper = cost < *total - GAIN;
    if cheaper {
        (*courses, *total) = (joined, cost);
    }
    cheaper
}

/// Two neighbours that are one vehicle. Says whether there were such.
fn merge(scene: &Scene<'_>, courses: &mut Courses, total: &mut f64) -> bool {
    let mut index = 0;
    let mut merged = false;
    while index + 1 < courses.len() {
        let (Some(one), Some(next)) = (courses.get(index), courses.get(index + 1)) else { break };
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
                merged = true;
                continue;
            }
        }
        index += 1;
    }
    merged
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
    fn what_was_joined_to_the_wrong_vehicle_in_a_row_is_moved_as_one() {
        let plan = Plan::looped(&[0.0, 60.0, 80.0]);
        // Three vehicles; each stands at the middle loop for more than a minute, the second one close behind the first.
        let spans = [
            (0, 0, 2_000),
            (0, 30_000, 32_000),
            (0, 95_000, 97_000),
            (1, 12_000, 90_000),
            (1, 91_000, 158_000),
            (1, 164_000, 200_000),
            (2, 103_000, 107_000),
            (2, 168_000, 175_000),
        ];
        let groups = spans.map(|(station, from, to)| Group::over(station, from, to));
        let (travel, prices) = (Travel::default(), RefCell::default());
        let mut scene = Scene::new(&plan, &travel, 180_000, &groups, &|_, _| None, &|_, _| 0, &prices);
        for (station, chosen) in [&[0, 1, 2][..], &[3, 4, 5], &[6, 7]].into_iter().enumerate() {
            let visits = Visits::of(&groups, chosen, 180_000, &|_, _| 0.0);
            scene.add(station * 3, visits, &[Home::default(); 8]);
        }
        scene.ready();
        let right = vec![vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]];
        let wrong = vec![vec![0, 3, 4, 7], vec![1, 5], vec![2], vec![6]];
        assert_eq!(improve(&mut scene, wrong), right);
    }
}
