//! Which passage does each group belong to? The visits of the lane are put together to courses (`solving`); a course is a
//! passage. Decisions are taken anew while passages are open, so that later evidence corrects them.

use std::cell::RefCell;

use crate::PassageState;
use crate::group::Group;
use crate::lane::{LaneState, MAX_ENTRIES};
use crate::naming::passage_id;
use crate::passage::Passage;
use crate::plan::Plan;
use crate::prices::Prices;
use crate::scene::{Courses, Scene};
use crate::solving::improve;

/// So long after a passage has ended its groups are moved no more, just before it is forgotten; new ones may still come,
/// milliseconds.
const SETTLED_MS: u64 = 110_000;
/// The same after a passage that is told was heard of last.
const QUIET_MS: u64 = 400_000;
/// A course is taken for a vehicle if that is so much cheaper than taking its visits for nobody's.
const SURE: f64 = 1.0;
/// Visits lean on the names of their passages, and these on the visits; this many times they are looked at again.
const LOOKS: usize = 2;

/// Whether a group opened its passage, and that is told: then it stays there.
pub(crate) fn opened(owner: &Passage, group: &Group) -> bool {
    owner.told && owner.opener == group.number
}

/// One course and the passage that it is.
struct Place {
    course: Vec<usize>,
    passage: Option<u64>,
}

/// A vehicle as it was found.
struct Vehicle {
    /// Indices of its groups.
    members: Vec<usize>,
    /// Its passage, if it has one.
    passage: Option<u64>,
    /// It was seen first at the end of the lane.
    at_end: bool,
    /// It drives against the direction.
    against: bool,
}

/// What is to be given to which passage.
struct Found {
    places: Vec<Vehicle>,
    /// All groups that were looked at.
    covered: Vec<usize>,
}

impl LaneState {
    /// Puts every group where it costs least, opens passages for vehicles that have none, and lets go of those that were not
    /// told and have turned out to be nobody's.
    pub fn place(&mut self, plan: &Plan) {
        for _ in 0..LOOKS {
            if !self.place_once(plan) {
                break;
            }
        }
        self.place_radio(plan);
        self.count_entries();
    }

    /// The passage of a group, if it stays there: it opened it, and the passage is told, or that ended a while ago.
    pub fn lock_of(&self, group: &Group) -> Option<u64> {
        let owner = self.owner_of(group)?;
        (self.is_settled(owner) || opened(owner, group)).then_some(owner.number)
    }

    pub fn owner_of(&self, group: &Group) -> Option<&Passage> {
        self.passages.iter().find(|passage| group.owner == Some(passage.number))
    }

    /// The passage that a passage is part of, or itself.
    pub fn whole<'a>(&'a self, passage: &'a Passage) -> &'a Passage {
        let whole =
            passage.part_of.and_then(|whole| self.passages.iter().find(|other| other.number == whole));
        whole.unwrap_or(passage)
    }

    /// Whether what a passage has will not be taken from it any more.
    pub fn is_settled(&self, passage: &Passage) -> bool {
        let since = |from: u64, lasts: u64| from.saturating_add(lasts) <= self.clock_ms;
        passage.ended_ms.is_some_and(|ended| since(ended, SETTLED_MS))
            || (passage.told && since(passage.touched_ms, QUIET_MS))
    }

    /// Whether a group tells where its vehicle is. Radio hears vehicles that are elsewhere, so it does only where it opens
    /// passages.
    pub fn stands(&self, plan: &Plan, group: &Group) -> bool {
        !group.track.is_radio()
            || plan
                .opener
                .as_ref()
                .is_some_and(|(sensor, kind)| *sensor == group.track.sensor && *kind == group.track.kind)
            || self.passages.iter().any(|passage| passage.opener == group.number)
    }

    /// The courses as the groups' owners say, in driving order; visits of nobody stand alone.
    pub fn courses(&self, scene: &Scene<'_>) -> Courses {
        let mut courses: Courses = Vec::new();
        let mut owners: Vec<u64> = Vec::new();
        for passage in &self.passages {
            let own = |seen: &crate::scene::Seen| seen.lock.or(seen.owner) == Some(passage.number);
            let course: Vec<usize> =
                scene.seen.iter().enumerate().filter(|(_, seen)| own(seen)).map(|(index, _)| index).collect();
            if !course.is_empty() {
                courses.push(course);
                owners.push(passage.number);
            }
        }
        for (index, seen) in scene.seen.iter().enumerate() {
            if seen.lock.or(seen.owner).is_some_and(|owner| owners.contains(&owner)) {
                continue;
            }
            scene.insert(&mut courses, index);
        }
        courses
    }

    fn place_once(&mut self, plan: &Plan) -> bool {
        let prices = RefCell::new(std::mem::take(&mut self.prices));
        let found = self.find_places(plan, &prices);
        self.prices = prices.into_inner();
        found.is_some_and(|found| self.carry_out(plan, found.places, &found.covered))
    }

    /// Where every group costs least; nothing if there is nothing to do.
    fn find_places(&self, plan: &Plan, prices: &RefCell<Prices>) -> Option<Found> {
        let mut scene = self.scene(plan, None, prices)?;
        let courses = self.courses(&scene);
        let courses = improve(&mut scene, courses);
        let reach = scene.reach(&courses);
        let mut places: Vec<Place> = Vec::with_capacity(courses.len());
        for (course, reach) in courses.into_iter().zip(reach) {
            let lock = scene.lock(&course).or_else(|| self.main(&scene, &course));
            let overtaken = scene.is_overtaken(&course, reach);
            let real = lock.is_some() || scene.cost(&course, overtaken) + SURE < scene.ghost(&course);
            places.push(Place {
                passage: lock.filter(|_| real),
                course: if real { course } else { Vec::new() },
            });
        }
        places.retain(|place| !place.course.is_empty());
        self.keep_names(&scene, &mut places);
        let found = places
            .iter()
            .map(|place| {
                let visits = || place.course.iter().filter_map(|visit| scene.at(*visit));
                let at_end = visits().next().is_some_and(|seen| Plan::station_of(seen.post) == plan.last)
                    && plan.first != plan.last;
                Vehicle {
                    members: visits().flat_map(|seen| seen.members.iter().copied()).collect(),
                    passage: place.passage,
                    at_end,
                    against: scene.is_against(&place.course),
                }
            })
            .collect();
        let covered = scene.seen.iter().flat_map(|seen| seen.members.iter().copied()).collect();
        Some(Found { places: found, covered })
    }

    /// Of the told passages that visits of a course opened, the one that it shares most with: the others are part of it.
    fn main(&self, scene: &Scene<'_>, course: &[usize]) -> Option<u64> {
        let share = |tie: u64| {
            let members = scene.visits(course).flat_map(|seen| &seen.members);
            let own = members.filter_map(|member| self.groups.get(*member));
            own.filter(|group| group.owner == Some(tie)).map(|group| group.items.len()).sum::<usize>()
        };
        scene.ties(course).min_by_key(|tie| (std::cmp::Reverse(share(*tie)), *tie))
    }

    /// Each course is the passage that it shares most with.
    fn keep_names(&self, scene: &Scene<'_>, places: &mut [Place]) {
        let mut claims: Vec<(usize, usize, u64)> = Vec::new();
        for (index, place) in places.iter().enumerate().filter(|(_, place)| place.passage.is_none()) {
            let mut counts: Vec<(u64, usize)> = Vec::new();
            let members =
                place.course.iter().filter_map(|visit| scene.at(*visit)).flat_map(|seen| &seen.members);
            for group in members.filter_map(|member| self.groups.get(*member)) {
                let Some(owner) = group.owner else { continue };
                match counts.iter_mut().find(|(known, _)| *known == owner) {
                    Some((_, count)) => *count += group.items.len(),
                    None => counts.push((owner, group.items.len())),
                }
            }
            claims.extend(counts.into_iter().map(|(owner, count)| (count, index, owner)));
        }
        claims.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (_, index, owner) in claims {
            let taken = places.iter().any(|place| place.passage == Some(owner));
            let gone = self
                .passages
                .iter()
                .any(|passage| passage.number == owner && passage.told && self.is_held(passage));
            if let Some(place) =
                places.get_mut(index).filter(|place| place.passage.is_none() && !taken && !gone)
            {
                place.passage = Some(owner);
            }
        }
    }

    /// Whether a passage is told and what opened it is still there: then only the course with that is it.
    fn is_held(&self, passage: &Passage) -> bool {
        self.groups.iter().any(|group| group.number == passage.opener && group.owner == Some(passage.number))
    }

    /// Gives the groups to their passages. Says whether anything has changed.
    fn carry_out(&mut self, plan: &Plan, places: Vec<Vehicle>, covered: &[usize]) -> bool {
        let now = self.clock_ms;
        let mut owners: Vec<(usize, Option<u64>)> = covered.iter().map(|index| (*index, None)).collect();
        owners.sort_unstable();
        let mut order: Vec<u64> = Vec::new();
        let mut changed = false;
        let mut parts: Vec<(u64, Option<u64>)> = Vec::new();
        for Vehicle { members, passage, at_end, against } in places {
            let Some(number) = passage.or_else(|| self.open(plan, &members)) else { continue };
            order.push(number);
            for group in members.iter().filter_map(|member| self.groups.get(*member)) {
                let opened = self.owner_of(group).filter(|owner| opened(owner, group));
                parts.extend(
                    opened.map(|owner| (owner.number, Some(number).filter(|main| *main != owner.number))),
                );
            }
            let mut room = MAX_ENTRIES;
            for member in &members {
                let items = self.groups.get(*member).map_or(0, |group| group.items.len());
                let kept = self.groups.get(*member).is_some_and(|group| group.owner == Some(number));
                if items > room && !kept {
                    continue;
                }
                room = room.saturating_sub(items);
                if let Ok(at) = owners.binary_search_by_key(member, |(index, _)| *index)
                    && let Some(slot) = owners.get_mut(at)
                {
                    slot.1 = Some(number);
                }
            }
            self.settle_name(plan, number, &members, at_end);
            if let Some(passage) = self.passages.iter_mut().find(|passage| passage.number == number)
                && std::mem::replace(&mut passage.against, against) != against
            {
                passage.touch(now);
            }
        }
        let mut touched: Vec<u64> = Vec::new();
        let mut given: Vec<u64> = Vec::new();
        for (index, owner) in owners {
            let held = self.groups.get(index).is_some_and(|group| self.lock_of(group).is_some());
            let Some(group) = self.groups.get_mut(index) else { continue };
            if group.owner == owner || held {
                continue;
            }
            changed |= group.owner.is_some();
            touched.extend(group.owner);
            touched.extend(owner);
            if group.owner.is_none() {
                given.extend(owner);
            }
            group.give(owner, now);
            group.doubtful = false;
            group.candidates.clear();
            group.alternatives.clear();
            group.margin = None;
            group.why = if owner.is_none() { "fits nobody".to_owned() } else { String::new() };
        }
        for passage in &mut self.passages {
            if touched.contains(&passage.number) {
                passage.touch(now);
            }
            // What only moves is no news of a vehicle: else two passages that contend for something would never end.
            if given.contains(&passage.number) {
                passage.touched_ms = now;
            }
        }
        for (number, whole) in parts {
            if let Some(passage) = self.passages.iter_mut().find(|passage| passage.number == number) {
                passage.be_part_of(whole, now);
            }
        }
        self.let_go(&order);
        self.put_in_order(&order);
        changed
    }

    /// A passage that was not told is named after what it saw first.
    fn settle_name(&mut self, plan: &Plan, number: u64, members: &[usize], at_end: bool) {
        if !self.passages.iter().any(|passage| passage.number == number && !passage.told) {
            return;
        }
        let groups = members.iter().filter_map(|member| self.groups.get(*member));
        let mut firsts: Vec<(u64, &Group)> =
            groups.filter_map(|group| Some((group.items.first()?.order, group))).collect();
        firsts.sort_by_key(|(order, _)| *order);
        let named = firsts.iter().find_map(|(_, group)| {
            let opening = &group.items.first()?.observation;
            let id = passage_id(plan, opening);
            let taken = self.remembered.contains(&id)
                || self.passages.iter().any(|other| other.number != number && other.id == id);
            (!taken).then(|| (group.number, group.first_ms, opening.stamp.clone(), id))
        });
        let Some(passage) = self.passages.iter_mut().find(|passage| passage.number == number) else { return };
        if let Some((opener, opened_ms, opened, id)) = named
            && passage.opener != opener
        {
            (passage.opener, passage.opened_ms, passage.opened, passage.id) = (opener, opened_ms, opened, id);
        }
        if passage.is_young() || passage.state == PassageState::Unmatched {
            let now = self.clock_ms;
            match (at_end, passage.state) {
                (true, PassageState::Unmatched) => {}
                (true, _) => passage.enter(PassageState::Unmatched, now),
                (false, PassageState::Unmatched) => passage.enter(PassageState::Approaching, now),
                (false, _) => {}
            }
        }
    }

    /// Passages that nobody was told of and that have nothing left were none.
    fn let_go(&mut self, kept: &[u64]) {
        let now = self.clock_ms;
        let groups = &self.groups;
        let stands = |number: u64, opener: u64| {
            groups.iter().any(|group| {
                group.owner == Some(number) && (!group.track.is_radio() || group.number == opener)
            })
        };
        let gone: Vec<u64> = self
            .passages
            .iter()
            .filter(|passage| {
                !passage.told && !kept.contains(&passage.number) && !stands(passage.number, passage.opener)
            })
            .map(|passage| passage.number)
            .collect();
        if gone.is_empty() {
            return;
        }
        self.passages.retain(|passage| !gone.contains(&passage.number));
        for group in
            self.groups.iter_mut().filter(|group| group.owner.is_some_and(|owner| gone.contains(&owner)))
        {
            group.give(None, now);
        }
    }

    /// Puts the passages in driving order: those of the courses as these stand, all others before.
    fn put_in_order(&mut self, order: &[u64]) {
        let rank = |number: u64| order.iter().position(|other| *other == number).map_or(0, |at| at + 1);
        self.passages.sort_by_key(|passage| rank(passage.number));
    }

    fn count_entries(&mut self) {
        for passage in &mut self.passages {
            let own = self.groups.iter().filter(|group| group.owner == Some(passage.number));
            passage.entries = own.map(|group| group.items.len()).sum();
        }
    }
}
