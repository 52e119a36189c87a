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
    /// All ways for a lane where these posts have visits, in the order in which they are tried.
    fn all(posts: &[usize]) -> Vec<Self> {
        let inner = posts.get(1..posts.len().saturating_sub(1)).unwrap_or_default();
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

fn refine(scene: &Scene<'_>, mut courses: Courses) -> (Courses, f64) {
    let mut total = scene.total(&courses);
    let posts: Vec<usize> =
        (0..scene.plan.posts()).filter(|post| scene.seen.iter().any(|seen| seen.post == *post)).collect();
    // What was tried on these very courses need not be tried again.
    let mut cuts: Vec<(Cut, Option<usize>)> = Cut::all(&posts).into_iter().map(|cut| (cut, None)).collect();
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
