//! How sure it is that a group belongs to its passage, whose else it may be, and why it is there: found when a passage is
//! published or an alarm is raised, by demanding that a visit goes elsewhere and asking what the lane would cost then.

use std::cell::RefCell;

use crate::group::Group;
use crate::halves::{Demand, Halves};
use crate::lane::LaneState;
use crate::plan::Plan;
use crate::prices::Prices;
use crate::radio::{ALARM_MARGIN, LOOSE_ALARM_MARGIN, MARGIN, told, why};
use crate::scene::{Courses, Scene};
use crate::scoring::{self, Neighbours, When, seconds};
use crate::travel::FASTEST_M_S;
use crate::{Alternative, PassageId, identity};

/// How much surer an alarm is of its vehicle if only a smaller part of this may be another's.
const STAYS: f64 = 2.1;

/// What is found out about one group.
struct Finding {
    group: usize,
    candidates: Vec<PassageId>,
    alternatives: Vec<Alternative>,
    why: String,
}

/// Somebody else whose a visit may be, and what that costs more; nobody's without a passage.
type Rival = (f64, Option<u64>);

impl LaneState {
    /// Finds out how sure everything is that belongs to a passage.
    pub fn find_doubts(&mut self, plan: &Plan, number: u64) {
        let name = |number: u64| self.passages.iter().find(|passage| passage.number == number);
        let own = name(number);
        if let Some((own, whole)) = own.and_then(|own| Some((own.id.clone(), name(own.part_of?)?.id.clone())))
        {
            for group in self.groups.iter_mut().filter(|group| group.owner == Some(number)) {
                group.doubtful = true;
                group.candidates = vec![own.clone(), whole.clone()];
                group.why = "opened a passage that has turned out to be part of another one".to_owned();
                (group.margin, group.alternatives) =
                    (None, vec![Alternative { passage: Some(whole.clone()), cost: 0.0 }]);
            }
            return;
        }
        let prices = RefCell::new(std::mem::take(&mut self.prices));
        let findings = self.findings(plan, number, &prices);
        self.prices = prices.into_inner();
        for finding in findings {
            let Some(group) = self.groups.get_mut(finding.group) else { continue };
            group.margin = finding.alternatives.first().map(|next| next.cost);
            group.alternatives = finding.alternatives;
            group.doubtful = !finding.candidates.is_empty();
            group.candidates = finding.candidates;
            group.why = finding.why;
        }
    }

    fn findings(&self, plan: &Plan, number: u64, prices: &RefCell<Prices>) -> Vec<Finding> {
        let own = self.groups.iter().filter(|group| group.owner == Some(number) && !group.track.is_radio());
        let Some(scene) =
            own.map(|group| group.first_ms).min().and_then(|since| self.scene(plan, Some(since), prices))
        else {
            return Vec::new();
        };
        let courses = self.courses(&scene);
        let Some(place) = courses.iter().position(|course| owner(&scene, course) == Some(number)) else {
            return Vec::new();
        };
        let mut findings = Vec::new();
        let Some(course) = courses.get(place) else { return findings };
        let mut posts: Vec<usize> =
            course.iter().filter_map(|visit| scene.at(*visit)).map(|seen| seen.post).collect();
        posts.dedup();
        for post in posts {
            let halves = Halves::of(&scene, &courses, &|other| other == post);
            let here =
                course.iter().copied().filter(|visit| scene.at(*visit).is_some_and(|seen| seen.post == post));
            for visit in here {
                let rivals = rivals(&scene, &halves, visit, number);
                let Some(seen) = scene.at(visit) else { continue };
                for member in &seen.members {
                    let Some(group) = self.groups.get(*member) else { continue };
                    let mut rivals = rivals.clone();
                    if group.is_alarm() {
                        rivals.extend(chain_rivals(&scene, &courses, place, post));
                    }
                    self.add_neighbours(&scene, &mut rivals, *member);
                    findings.push(self.finding(&scene, &courses, place, visit, *member, rivals));
                }
            }
        }
        findings
    }

    /// The other occupancies of its station that a group may have been measured in.
    fn add_neighbours(&self, scene: &Scene<'_>, rivals: &mut Vec<Rival>, member: usize) {
        for (_, seed, more) in scene.rivals.iter().filter(|(group, ..)| *group == member) {
            if let Some(other) = self.groups.get(*seed) {
                rivals.push((*more, other.owner));
            }
        }
    }

    fn finding(
        &self,
        scene: &Scene<'_>,
        courses: &Courses,
        place: usize,
        visit: usize,
        member: usize,
        mut rivals: Vec<Rival>,
    ) -> Finding {
        let group = self.groups.get(member);
        let course = courses.get(place).map_or(&[][..], Vec::as_slice);
        let number = group.and_then(|group| group.owner);
        let opened = self.passages.iter().any(|passage| {
            Some(passage.number) == number && group.is_some_and(|group| group.number == passage.opener)
        });
        let id = |number: u64| {
            self.passages.iter().find(|passage| passage.number == number).map(|passage| passage.id.clone())
        };
        // The cheapest way to each rival.
        rivals.retain(|(cost, other)| *cost < scoring::CLEAR && (*other != number || number.is_none()));
        rivals.sort_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
        rivals.dedup_by_key(|(_, other)| *other);
        rivals.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let alarm = group.is_some_and(Group::is_alarm);
        let looped = scene.at(visit).is_some_and(|seen| seen.span.by_presence);
        let margin = if !alarm {
            MARGIN
        } else if looped {
            ALARM_MARGIN
        } else {
            LOOSE_ALARM_MARGIN
        };
        let mut candidates: Vec<PassageId> = number.and_then(id).into_iter().collect();
        let near = rivals.iter().filter(|(cost, _)| *cost < margin);
        candidates.extend(near.filter_map(|(_, other)| id((*other)?)));
        if let Some(group) = group.filter(|_| alarm) {
            for named in &group.named {
                if !candidates.contains(named) {
                    candidates.push(named.clone());
                }
            }
        }
        if candidates.len() < 2 || (opened && !alarm) {
            candidates.clear();
        }
        let others = rivals.iter().filter_map(|(cost, other)| match other {
            Some(other) => id(*other).map(|id| (*cost, Some(id))),
            None => Some((*cost, None)),
        });
        let words = if opened {
            "opened the passage".to_owned()
        } else {
            let time = group.map_or(When::Unknown, |group| when(scene, course, visit, group));
            why(
                place,
                courses.len(),
                time,
                group.and_then(|group| same_name(scene, course, self, visit, group)),
            )
        };
        let alternatives = if opened { Vec::new() } else { told(others, 0.0) };
        Finding { group: member, candidates, alternatives, why: words }
    }
}

/// The passage that a part of a course is of.
fn owner(scene: &Scene<'_>, part: &[usize]) -> Option<u64> {
    part.iter().filter_map(|visit| scene.at(*visit)).find_map(|seen| seen.lock.or(seen.owner))
}

/// What it would cost more if a visit were of another vehicle, or of nobody.
fn rivals(scene: &Scene<'_>, halves: &Halves, visit: usize, number: u64) -> Vec<Rival> {
    let Some(ours) = halves.theirs.iter().position(|part| part.contains(&visit)) else { return Vec::new() };
    let home = halves.ours.iter().position(|part| owner(scene, part) == Some(number));
    let (with, alone) = halves.choices(ours);
    let base = home.and_then(|home| with.get(home)).copied().unwrap_or(alone);
    let others = halves.ours.iter().zip(&with).enumerate().filter(|(index, _)| Some(*index) != home);
    let mut rivals: Vec<Rival> = others.map(|(_, (part, cost))| (cost - base, owner(scene, part))).collect();
    if home.is_some() {
        rivals.push((alone - base, None));
    }
    rivals
}

/// Whose an alarm at a post of a course may be if the chain of vehicles is shifted before or behind it: it stays with one part
/// of its course, the other part is another vehicle's.
fn chain_rivals(scene: &Scene<'_>, courses: &Courses, place: usize, post: usize) -> Vec<Rival> {
    let mut rivals = Vec::new();
    let Some(course) = courses.get(place) else { return rivals };
    let number = owner(scene, course);
    for cut in 1..scene.plan.posts() {
        let halves = Halves::of(scene, courses, &|other| other >= cut);
        let find = |parts: &[Vec<usize>]| {
            parts.iter().position(|part| part.first().is_some_and(|first| course.contains(first)))
        };
        let (Some(ours), Some(theirs)) = (find(&halves.ours), find(&halves.theirs)) else { continue };
        let (with, _) = halves.choices(theirs);
        let Some(base) = with.get(ours).copied() else { continue };
        // If most of its course stays with it, it is the same vehicle with another part.
        let groups = |part: Option<&Vec<usize>>| -> usize {
            part.into_iter()
                .flatten()
                .filter_map(|visit| scene.at(*visit))
                .map(|seen| seen.members.len())
                .sum()
        };
        let (before, behind) = (groups(halves.ours.get(ours)), groups(halves.theirs.get(theirs)));
        let stays = if post >= cut { behind > before } else { before > behind };
        let base = base - if stays { STAYS } else { 0.0 };
        let others = with.into_iter().enumerate().filter(|(other, _)| *other != ours);
        for (other, cost) in others.filter(|(_, cost)| cost - base < scoring::CLEAR) {
            // Behind the cut it goes with their half; before it, their halves are exchanged.
            let rival = if post >= cut {
                halves.ours.get(other).and_then(|part| owner(scene, part))
            } else {
                let with = halves.join(Demand::With(theirs, other)).1;
                let exchanged = with.iter().position(|joined| *joined == Some(ours));
                exchanged.and_then(|index| halves.theirs.get(index)).and_then(|part| owner(scene, part))
            };
            if let Some(rival) = rival.filter(|rival| Some(*rival) != number) {
                rivals.push((cost - base, Some(rival)));
            }
        }
    }
    rivals
}

/// How the time of a group stands to the rest of its course.
fn when(scene: &Scene<'_>, course: &[usize], visit: usize, group: &Group) -> When {
    let Some(seen) = scene.at(visit) else { return When::Unknown };
    if seen.span.by_presence && group.track.kind != interface::ReadingKind::Presence {
        return scoring::at_station(group, &seen.span, Neighbours::default()).1;
    }
    let others = || course.iter().filter_map(|other| scene.at(*other));
    if scene.is_against(course) {
        let after = others().find(|other| other.post > seen.post);
        return after.map_or(When::Unknown, |after| When::Back(seconds(after.span.from, seen.span.from)));
    }
    let metres = |other: usize| (scene.plan.post_m(other) - scene.plan.post_m(seen.post)).abs();
    if let Some(before) = others().rev().find(|other| other.post < seen.post) {
        return When::OnTheWay(seconds(before.span.from, seen.span.from), metres(before.post) / FASTEST_M_S);
    }
    let after = others().find(|other| other.post > seen.post);
    after.map_or(When::Unknown, |after| When::Ahead(seconds(seen.span.from, after.span.from)))
}

/// What the name of a group says beside the names at the other posts of its course.
fn same_name(
    scene: &Scene<'_>,
    course: &[usize],
    lane: &LaneState,
    visit: usize,
    group: &Group,
) -> Option<&'static str> {
    let (view, text) = group.plate_seen().filter(|(_, text)| identity::is_plate(text))?;
    let others = course.iter().filter(|other| **other != visit).filter_map(|other| scene.at(*other));
    let known =
        others.flat_map(|seen| &seen.members).filter_map(|member| lane.groups.get(*member)?.plate_seen());
    let (same_end, other_end): (Vec<_>, Vec<_>) =
        known.filter(|(_, text)| identity::is_plate(text)).partition(|(seen, _)| *seen == view);
    let nearest = |plates: &[(interface::View, &str)]| {
        plates.iter().map(|(_, known)| identity::distance(text, known)).min_by(f64::total_cmp)
    };
    match (nearest(&same_end), nearest(&other_end)) {
        (Some(0.0), _) => Some("same"),
        (Some(distance), _) if distance < identity::SAME => Some("nearly the same"),
        (Some(_), _) => Some("conflict with the known one"),
        (None, Some(distance)) if distance < identity::SAME => Some("same plate at the other end"),
        (None, _) => None,
    }
}
