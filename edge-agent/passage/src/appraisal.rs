//! What the courses of a lane cost beside those of a known truth, part by part. Where the truth is dearer, the costs are wrong;
//! where it is cheaper and was not found, the search is, or what was told held it up. For whoever works on the engine.

use std::cell::RefCell;
use std::collections::BTreeMap;

use interface::ObservationId;

use crate::LaneId;
use crate::engine::Engine;
use crate::lane::LaneState;
use crate::plan::Plan;
use crate::scene::{Courses, Scene};

/// Vehicles whose courses differ from the true ones, with what they share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// The courses as the engine has found them.
    pub found: Vec<Course>,
    /// The same visits, as they truly belong together.
    pub truth: Vec<Course>,
    /// Whether something is not where it belongs because what was told cannot be taken back.
    pub held: bool,
}

/// The way of one vehicle, or visits that are nobody's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Its visits in words: post, when it was there, what noticed it.
    pub visits: Vec<String>,
    /// What was observed of it.
    pub observations: Vec<ObservationId>,
    /// What it costs, nats: the sum of the parts.
    pub cost: f64,
    /// The parts by name.
    pub parts: BTreeMap<&'static str, f64>,
}

impl Engine {
    /// Where the engine has put together what does not belong together, lane by lane, as of now. `whose` says whose an
    /// observation truly is; what is nobody's belongs to none.
    pub fn appraise(&self, whose: &dyn Fn(&ObservationId) -> Option<u64>) -> Vec<(LaneId, Vec<Difference>)> {
        let lanes = self.lanes();
        lanes.map(|(id, plan, lane)| (id.clone(), lane.appraise(plan, whose))).collect()
    }
}

impl LaneState {
    fn appraise(&self, plan: &Plan, whose: &dyn Fn(&ObservationId) -> Option<u64>) -> Vec<Difference> {
        let prices = RefCell::default();
        let Some(scene) = self.scene(plan, None, &prices) else { return Vec::new() };
        let found = self.courses(&scene);
        let truth = true_courses(self, &scene, whose);
        let mut component: Vec<usize> = (0..scene.seen.len()).collect();
        for course in found.iter().chain(&truth) {
            for pair in course.windows(2) {
                if let [a, b] = pair {
                    join(&mut component, *a, *b);
                }
            }
        }
        let mut differences: BTreeMap<usize, Difference> = BTreeMap::new();
        for (courses, true_ones) in [(&found, false), (&truth, true)] {
            let reach = scene.reach(courses);
            for (course, reach) in courses.iter().zip(&reach) {
                let other = if true_ones { &found } else { &truth };
                let Some(first) = course.first().filter(|_| !other.contains(course)) else { continue };
                let overtaken = scene.is_overtaken(course, *reach);
                let difference = differences.entry(root(&component, *first)).or_default();
                let told = describe(self, &scene, course, overtaken);
                if true_ones {
                    let owner = |visit: &usize| scene.at(*visit).and_then(|seen| seen.lock);
                    let locks = course.iter().filter_map(owner);
                    difference.held |= locks.clone().min() != locks.max();
                    difference.truth.push(told);
                } else {
                    difference.found.push(told);
                }
            }
        }
        differences.into_values().collect()
    }
}

/// The courses by the truth, in driving order; visits of nobody stand alone. A visit of several vehicles is of the one that most
/// of it is of.
fn true_courses(
    lane: &LaneState,
    scene: &Scene<'_>,
    whose: &dyn Fn(&ObservationId) -> Option<u64>,
) -> Courses {
    let mut by_vehicle: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut alone: Vec<usize> = Vec::new();
    for (visit, seen) in scene.seen.iter().enumerate() {
        let mut counts: BTreeMap<Option<u64>, usize> = BTreeMap::new();
        for group in seen.members.iter().filter_map(|member| lane.groups.get(*member)) {
            for item in &group.items {
                *counts.entry(whose(&item.observation.id)).or_default() += 1;
            }
        }
        match counts.into_iter().max_by_key(|(_, count)| *count).and_then(|(vehicle, _)| vehicle) {
            Some(vehicle) => by_vehicle.entry(vehicle).or_default().push(visit),
            None => alone.push(visit),
        }
    }
    let mut courses: Courses = Vec::new();
    let mut all: Vec<Vec<usize>> = by_vehicle.into_values().collect();
    all.sort_by(|a, b| scene.start(a).total_cmp(&scene.start(b)));
    for course in all {
        let before = courses.iter().rposition(|other| scene.is_ahead(other, &course) == Some(true));
        let behind = courses.iter().position(|other| scene.is_ahead(&course, other) == Some(true));
        let at = behind.or(before.map(|before| before + 1)).unwrap_or(courses.len());
        courses.insert(at, course);
    }
    for visit in alone {
        scene.insert(&mut courses, visit);
    }
    courses
}

fn root(component: &[usize], of: usize) -> usize {
    let mut at = of;
    while let Some(next) = component.get(at).filter(|next| **next != at) {
        at = *next;
    }
    at
}

fn join(component: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(component, a), root(component, b));
    if let Some(slot) = component.get_mut(a.max(b)) {
        *slot = a.min(b);
    }
}

fn describe(lane: &LaneState, scene: &Scene<'_>, course: &[usize], overtaken: bool) -> Course {
    let mut told = Course::default();
    for seen in scene.visits(course) {
        let kinds = seen.members.iter().filter_map(|member| lane.groups.get(*member));
        let words: Vec<String> = kinds
            .map(|group| {
                let kind = format!("{:?}", group.track.kind).to_lowercase();
                group.plate_seen().map_or(kind, |(view, text)| format!("{view:?} {text}"))
            })
            .collect();
        let sure = |sure: bool| if sure { "" } else { "?" };
        told.visits.push(format!(
            "{}.{} {}{}-{}{} {}{}{}",
            scene.plan.station_name(Plan::station_of(seen.post)),
            seen.post,
            seen.span.from / 100,
            sure(seen.span.sure.0),
            if seen.span.open { "...".to_owned() } else { (seen.span.to / 100).to_string() },
            sure(seen.span.sure.1),
            words.join(","),
            if seen.lock.is_some() {
                " locked"
            } else if seen.tie.is_some() {
                " told"
            } else {
                ""
            },
            if seen.away { " away" } else { "" },
        ));
        let items = seen.members.iter().filter_map(|member| lane.groups.get(*member)).flat_map(|g| &g.items);
        told.observations.extend(items.map(|item| item.observation.id.clone()));
    }
    let ghost: f64 = scene.visits(course).map(|seen| seen.ghost).sum();
    let terms = scene.terms(course, overtaken);
    let cost = scene.cost(course, overtaken);
    let held = scene.is_held(course);
    if ghost < cost && !held {
        told.cost = ghost;
        told.parts.insert("nobody", ghost);
    } else {
        told.cost = cost;
        told.parts = terms.into_iter().collect();
    }
    told
}
