//! Looks at a lane: lays out everything that is to be placed, and what that leans on, as a scene.

use std::cell::RefCell;

use interface::{ReadingKind, View};

use crate::alignment::IMPOSSIBLE;
use crate::group::{Group, Mark};
use crate::lane::LaneState;
use crate::placing::opened;
use crate::plan::Plan;
use crate::plates::{plates_cost, read_well};
use crate::prices::Prices;
use crate::scene::Scene;
use crate::scoring::seconds;
use crate::visits::Visits;
use crate::{PassageState, identity};

/// What is fixed counts for the order of what came so long after it, milliseconds.
const NEAR_MS: u64 = 60_000;
/// What the same name at another post speaks at most for a reading being of an occupancy: it may have come before.
const SAME_NAME: f64 = 4.0;
/// What a second costs that a front plate was read later than nine of ten there; so many seconds are nothing, and at most.
const READ_LATE: (f64, f64, f64) = (2.5, 0.5, 5.0);

/// Where a group is, and what holds it there; passages by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Home {
    pub post: usize,
    /// The passage whose vehicle it is of at present.
    pub whose: Option<u64>,
    /// The passage whose vehicle has what it says, for good. A passage that was decided about is not found to be part of another
    /// one any more.
    pub lock: Option<u64>,
    /// The passage that it opened, which has been told.
    pub tie: Option<u64>,
    /// Its vehicle has been sent out of the lane, or has turned round.
    pub away: bool,
    /// Its passage is settled.
    settled: bool,
    /// It tells where its vehicle is.
    stands: bool,
}

impl LaneState {
    fn home(&self, plan: &Plan, group: &Group) -> Home {
        let free =
            Home { post: plan.post_of(&group.track), stands: self.stands(plan, group), ..Home::default() };
        let Some(owner) = self.owner_of(group) else { return free };
        let whole = self.whole(owner);
        let settled = self.is_settled(whole);
        let holds = opened(owner, group);
        let decided = owner.decision.is_some() && holds && owner.part_of.is_none();
        Home {
            whose: Some(whole.number),
            lock: (settled || decided).then_some(whole.number),
            tie: holds.then_some(owner.number),
            away: matches!(
                whole.state,
                PassageState::Referred | PassageState::Abandoned | PassageState::Expired
            ),
            settled,
            ..free
        }
    }

    /// The scene of all groups that are to be placed, or of those since a time, and of those that they lean on; nothing if there
    /// is nothing to do.
    pub fn scene<'a>(
        &'a self,
        plan: &'a Plan,
        since_ms: Option<u64>,
        prices: &'a RefCell<Prices>,
    ) -> Option<Scene<'a>> {
        let homes: Vec<Home> = self.groups.iter().map(|group| self.home(plan, group)).collect();
        let standing = || self.groups.iter().zip(&homes).enumerate().filter(|(_, (_, home))| home.stands);
        let since = match since_ms {
            Some(since) => since,
            None => standing()
                .filter(|(_, (_, home))| !home.settled)
                .map(|(_, (group, _))| group.first_ms)
                .min()?,
        };
        let since = since.saturating_sub(NEAR_MS);
        let recent: Vec<u64> = standing()
            .filter(|(_, (group, _))| group.last_ms >= since)
            .filter_map(|(_, (_, home))| home.whose)
            .collect();
        let mut by_post: Vec<Vec<usize>> = vec![Vec::new(); plan.posts()];
        for (index, (group, home)) in standing() {
            let near = group.last_ms >= since || home.whose.is_some_and(|owner| recent.contains(&owner));
            if let Some(slot) = by_post.get_mut(home.post).filter(|_| near) {
                slot.push(index);
            }
        }
        let offline = |station: usize, kind: ReadingKind| {
            let mut sensors = plan.sensors_for(station, kind).peekable();
            sensors.peek()?;
            sensors.try_fold((0, u64::MAX), |(from, to), sensor| {
                let outage = self.outages.get(sensor)?;
                let both = (outage.from.max(from), outage.to.unwrap_or(u64::MAX).min(to));
                (both.0 < both.1).then_some(both)
            })
        };
        let heard = |post: usize, kind: ReadingKind| {
            let own = self
                .groups
                .iter()
                .zip(&homes)
                .filter(|(group, home)| group.track.kind == kind && home.post == post);
            own.map(|(group, _)| group.last_ms).max().unwrap_or(0)
        };
        let mut scene = Scene::new(plan, &self.travel, self.clock_ms, &self.groups, &offline, &heard, prices);
        scene.traces = Some(&self.traces);
        let names = |index: usize, seed: usize| self.name_cost(&homes, prices, index, seed);
        for (post, chosen) in by_post.iter().enumerate().filter(|(_, chosen)| !chosen.is_empty()) {
            let visits = Visits::of(&self.groups, chosen, self.clock_ms, &names);
            scene.add(post, visits, &homes);
        }
        scene.ready();
        Some(scene)
    }

    /// What a group's plate costs in a visit that is built on `seed`, by the plates that its passage has at other posts.
    fn name_cost(&self, homes: &[Home], prices: &RefCell<Prices>, index: usize, seed: usize) -> f64 {
        let (Some(group), Some(home), Some(seeded), Some(seed)) =
            (self.groups.get(index), homes.get(index), self.groups.get(seed), homes.get(seed))
        else {
            return 0.0;
        };
        // What cannot be taken from its passage is in no visit of another one.
        if home.lock.is_some_and(|lock| seed.whose != Some(lock))
            || seed.lock.is_some_and(|lock| home.lock.is_some_and(|own| own != lock))
        {
            return IMPOSSIBLE;
        }
        let late = self.read_late(group, seeded);
        let (Mark::Plate { text, view, .. }, Some(owner)) = (&group.mark, seed.whose) else { return late };
        if !identity::is_plate(text) {
            return late;
        }
        let known = self.groups.iter().zip(homes).filter(|(other, _)| other.owner == Some(owner));
        let elsewhere = known.filter(|(_, other)| other.post != home.post);
        let costs = elsewhere.filter_map(|(other, _)| match &other.mark {
            Mark::Plate { text: known, view: seen, .. } if seen == view && identity::is_plate(known) => {
                let distance = prices.borrow_mut().distance(text, known);
                Some(plates_cost(distance, read_well(group).min(read_well(other))))
            }
            _ => None,
        });
        late + costs.min_by(f64::total_cmp).unwrap_or(0.0).max(-SAME_NAME)
    }

    /// What it costs that a front plate was read first so long after its vehicle had come onto the loop: where a camera looks
    /// before the loop none is, and what it sees then stands behind that vehicle.
    fn read_late(&self, group: &Group, seed: &Group) -> f64 {
        let front = matches!(group.mark, Mark::Plate { view: View::Front, .. });
        let (true, Mark::Occupancy { rise: Some(rise), .. }) = (front, &seed.mark) else { return 0.0 };
        let usual = self.travel.front_lags.between(group.track.station, 1);
        usual.map_or(0.0, |(_, most)| {
            (READ_LATE.0 * (seconds(*rise, group.first_ms) - most - READ_LATE.1)).clamp(0.0, READ_LATE.2)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interface::{PlateReading, Reading};

    #[test]
    fn what_a_camera_before_the_loop_reads_when_somebody_is_on_it_stands_behind() {
        let read = |at: u64| {
            let plate = PlateReading {
                text: "A123MP05".into(),
                country: None,
                confidence: 0.9,
                view: View::Front,
                candidates: Vec::new(),
            };
            Group::sample(&[(at, Reading::Plate(plate))])
        };
        let on_the_loop = Group::over(0, 10_000, 16_000);
        let mut lane = LaneState::default();
        let late = |lane: &LaneState, at: u64| lane.read_late(&read(at), &on_the_loop);
        assert!(late(&lane, 12_500) == 0.0, "nothing is known of this camera");
        for _ in 0..10 {
            lane.travel.front_lags.learn(0, 10_000, 8_800);
        }
        assert!(late(&lane, 12_500) > 3.0 && late(&lane, 9_000) == 0.0);
        // One that reads them on the loop.
        for _ in 0..40 {
            lane.travel.front_lags.learn(0, 10_000, 13_000);
        }
        assert!(late(&lane, 12_500) == 0.0);
    }
}
