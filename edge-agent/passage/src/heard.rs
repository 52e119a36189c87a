//! Tags that were heard when a vehicle was at a station are names of it: those of two readers tie its visits together. Radio hears
//! vehicles that are elsewhere, so only what fits one visit clearly better than any other of the station is taken for its own.

use interface::ReadingKind;

use crate::group::{Group, Mark};
use crate::plan::Plan;
use crate::scene::{Scene, Seen};
use crate::scoring::{behind_windscreen, beside};

/// What fits a visit worse is of none, and by how much less another one must fit, nats.
const FITS: f64 = 4.0;
const CLEARLY: f64 = 1.5;
/// What it says that a vehicle was heard by two readers by one name, and by two names: it can have two tags.
const SAME_TAG: f64 = -6.0;
const OTHER_TAG: f64 = 2.5;

impl Scene<'_> {
    /// Finds out which tags are of which visits.
    pub(crate) fn hear(&mut self) {
        let groups = self.groups();
        for group in groups.iter().filter(|group| group.track.kind == ReadingKind::Tag) {
            let Mark::Key { key, good_ms, .. } = &group.mark else { continue };
            if self.is_weak(group) {
                continue;
            }
            let Some(visit) = self.heard_at(group, *good_ms) else { continue };
            let text = self.text(key);
            if let Some(seen) = self.seen.get_mut(visit)
                && !seen.tags.contains(&text)
            {
                seen.tags.push(text);
            }
        }
    }

    fn is_weak(&self, group: &Group) -> bool {
        let Mark::Key { best_dbm: Some(best), .. } = &group.mark else { return false };
        self.travel.weaker_db(self.plan.post_of(&group.track), *best) > 0.0
    }

    /// The visit of its station that a tag fits clearly better than any other.
    fn heard_at(&self, group: &Group, good_ms: u64) -> Option<usize> {
        let here = |seen: &Seen| Plan::station_of(seen.post) == group.track.station;
        // A loop or a camera tells when a vehicle came.
        let post = self.seen.iter().filter(|seen| here(seen)).map(|seen| seen.post).min()?;
        if post != Plan::first_post_of(group.track.station)
            && !self.plan.kinds_of_post(post).any(|kind| kind == ReadingKind::Radiation)
        {
            return None;
        }
        let lag_s = self.travel.tag_s(group.track.station);
        let mut best: Option<(f64, usize)> = None;
        let mut second = f64::INFINITY;
        for (index, seen) in self.seen.iter().enumerate().filter(|(_, seen)| seen.post == post) {
            let cost = fits(group, good_ms, seen, lag_s);
            if best.is_none_or(|(known, _)| cost < known) {
                second = best.map_or(second, |(known, _)| known);
                best = Some((cost, index));
            } else {
                second = second.min(cost);
            }
        }
        best.filter(|(cost, _)| *cost < FITS && second - cost > CLEARLY).map(|(_, index)| index)
    }

    /// What the tags of a course say together.
    pub(crate) fn tags(&self, course: &[usize]) -> f64 {
        let mut cost = 0.0;
        let mut before: Vec<usize> = Vec::new();
        for seen in self.visits(course).filter(|seen| !seen.tags.is_empty()) {
            if !before.is_empty() {
                cost += if seen.tags.iter().any(|tag| before.contains(tag)) { SAME_TAG } else { OTHER_TAG };
            }
            before.extend_from_slice(&seen.tags);
        }
        cost
    }
}

fn fits(group: &Group, good_ms: u64, seen: &Seen, lag_s: (f64, f64)) -> f64 {
    if seen.span.by_presence {
        return behind_windscreen(group.first_ms, good_ms, &seen.span);
    }
    beside(group, seen.span.from, lag_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looking::Home;
    use crate::travel::Travel;
    use crate::visits::Visits;
    use interface::Reading;
    use std::cell::RefCell;

    fn heard(station: usize, times: &[u64], epc: &str, dbm: f64) -> Group {
        let tag = |at: &u64| (*at, Reading::Tag { epc: epc.into(), rssi_dbm: Some(dbm), antenna: None });
        let mut group = Group::sample(&times.iter().map(tag).collect::<Vec<_>>());
        group.track.station = station;
        group
    }

    /// What the tags say of a vehicle that was on the first loop and on the second one.
    fn said(first: Group, second: Group) -> f64 {
        let plan = Plan::looped(&[0.0, 40.0]);
        let mut travel = Travel::default();
        for _ in 0..20 {
            travel.heard(plan.post_of(&first.track), -50.0);
            travel.heard(plan.post_of(&second.track), -50.0);
        }
        let groups = [
            Group::over(0, 10_000, 13_000),
            Group::over(0, 30_000, 33_000),
            Group::over(1, 20_000, 24_000),
            Group::over(1, 40_000, 44_000),
            first,
            second,
        ];
        let prices = RefCell::default();
        let mut scene = Scene::new(&plan, &travel, 60_000, &groups, &|_, _| None, &|_, _| 0, &prices);
        for (post, chosen) in [(0, [0, 1]), (3, [2, 3])] {
            scene.add(post, Visits::of(&groups, &chosen, 60_000, &|_, _| 0.0), &[Home::default(); 6]);
        }
        scene.ready();
        scene.tags(&[0, 2])
    }

    #[test]
    fn who_is_heard_by_one_name_at_two_readers_is_one_vehicle() {
        let near = |station: usize, at: u64, epc: &str| heard(station, &[at, at + 800], epc, -50.0);
        assert!(said(near(0, 9_500, "E2A1"), near(1, 19_500, "E2A1")) < -4.0);
        assert!(said(near(0, 9_500, "E2A1"), near(1, 19_500, "E2B2")) > 1.0);
        // Not what is heard of another one, what may be of either of two, what is of neither, or from the next lane.
        assert!(said(near(0, 9_500, "E2A1"), near(1, 39_500, "E2A1")) == 0.0);
        assert!(said(near(0, 9_500, "E2A1"), heard(1, &[26_000], "E2A1", -50.0)) == 0.0);
        assert!(said(near(0, 9_500, "E2A1"), heard(1, &[31_000], "E2A1", -50.0)) == 0.0);
        assert!(said(near(0, 9_500, "E2A1"), heard(1, &[19_500], "E2A1", -75.0)) == 0.0);
    }
}
