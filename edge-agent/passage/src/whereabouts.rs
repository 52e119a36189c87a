//! Where a vehicle was at any moment, from where it was seen: what radio, which hears vehicles that are elsewhere, is held
//! against.

use interface::{ReadingKind, View};

use crate::group::{Group, Mark};
use crate::plan::Plan;
use crate::scoring::{SLOW_M_S, seconds};

/// From the front to the rear of a vehicle of middle length, metres: when its rear leaves a loop its front is so far beyond.
const LENGTH_M: f64 = 8.0;
/// How fast a vehicle comes, and drives off, metres a second.
const SPEED_M_S: f64 = 4.0;
/// Who waits for the vehicle at a place stands so far before it, metres.
const WAITS_M: f64 = 8.0;
/// Longer before than this it may have stood: then it is believed to have been slower, seconds.
const SLOW_BEFORE_S: f64 = 4.0;
/// How far before it was first seen it is believed to have been on its way, metres.
const APPROACH_M: f64 = 60.0;

/// The front of one vehicle: when it was where, monotonic milliseconds and metres along the lane, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    points: Vec<(u64, f64)>,
    /// It stands on a loop still, as far as is known.
    stands: bool,
    /// It has not reached this yet, metres; nothing if it has driven off.
    bound_m: Option<f64>,
    /// It drives against the direction.
    against: bool,
}

impl Whereabouts {
    /// From the groups that a passage owns.
    pub fn of<'a>(plan: &Plan, groups: impl Iterator<Item = &'a Group>, against: bool) -> Self {
        if against {
            return Self::back(plan, groups);
        }
        let mut points: Vec<(u64, f64)> = Vec::new();
        let mut furthest: Option<usize> = None;
        let mut stands = false;
        for group in groups.filter(|group| !group.track.is_radio()) {
            let station = group.track.station;
            let at_m = plan.position_m(station);
            match &group.mark {
                Mark::Occupancy { rise, fall } => {
                    points.extend(rise.map(|rise| (rise, at_m)));
                    points.extend(fall.map(|fall| (fall, at_m + LENGTH_M)));
                }
                Mark::Plate { view: View::Front, .. } => points.push((group.last_ms, at_m - 1.0)),
                Mark::Plate { .. } => {
                    points.extend([group.first_ms, group.last_ms].map(|ms| (ms, at_m + LENGTH_M)))
                }
                Mark::Value if group.track.kind == ReadingKind::Radiation => {
                    points.push((group.last_ms, at_m + LENGTH_M))
                }
                _ => points.push((group.first_ms, at_m + LENGTH_M / 2.0)),
            }
            if furthest.is_none_or(|known| station > known) {
                (furthest, stands) = (Some(station), false);
            }
            if furthest == Some(station) {
                stands |= group.is_open();
            }
        }
        points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // It never goes back: what says so is a reading that was late.
        let mut front = f64::MIN;
        for (_, at_m) in &mut points {
            front = front.max(*at_m);
            *at_m = front;
        }
        // If nothing further on would tell, it drives off.
        let next = furthest.and_then(|known| (known + 1..=plan.last).find(|station| plan.tells(*station)));
        Self { points, stands, bound_m: next.map(|next| plan.position_m(next)), against }
    }

    /// Of a vehicle that drives against the direction: where its leading end was.
    fn back<'a>(plan: &Plan, groups: impl Iterator<Item = &'a Group>) -> Self {
        let standing = groups.filter(|group| !group.track.is_radio());
        let mut points: Vec<(u64, f64)> =
            standing.map(|group| (group.first_ms, plan.position_m(group.track.station))).collect();
        points.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut least = f64::MAX;
        for (_, at_m) in &mut points {
            least = least.min(*at_m);
            *at_m = least;
        }
        Self { points, stands: false, bound_m: None, against: true }
    }

    /// Where the front was at `ms`; `None` of a vehicle that was never seen. Between two places it drove `evenly`, or else up to
    /// the vehicle before, and waited there.
    pub fn front_m(&self, ms: u64, evenly: bool) -> Option<f64> {
        let next = self.points.partition_point(|(at, _)| *at <= ms);
        let before = next.checked_sub(1).and_then(|before| self.points.get(before));
        match (before, self.points.get(next)) {
            (Some((from, a)), Some((to, b))) if self.against => {
                Some(a + (b - a) * seconds(*from, ms) / seconds(*from, *to).max(0.001))
            }
            (None, Some((at, front))) if self.against => {
                Some(front + (SPEED_M_S * seconds(ms, *at)).min(APPROACH_M))
            }
            (Some((from, front)), None) if self.against => Some(front - SPEED_M_S * seconds(*from, ms)),
            (None, Some((at, front))) => {
                let before = seconds(ms, *at);
                let driven =
                    SPEED_M_S * before.min(SLOW_BEFORE_S) + SLOW_M_S * (before - SLOW_BEFORE_S).max(0.0);
                Some(front - driven.min(APPROACH_M))
            }
            (Some((from, a)), Some((to, b))) => {
                let share = seconds(*from, ms) / seconds(*from, *to).max(0.001);
                let even = a + share * (b - a);
                let driven = a + SPEED_M_S * seconds(*from, ms);
                Some(if evenly { even } else { even.max(driven.min(b - WAITS_M)) })
            }
            (Some((_, front)), None) if self.stands => Some(*front),
            (Some((from, front)), None) => {
                let on = front + SPEED_M_S * seconds(*from, ms);
                Some(self.bound_m.map_or(on, |bound| on.min(bound.max(*front))))
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interface::Reading;

    #[test]
    fn who_was_last_seen_before_a_station_that_only_radio_hears_drives_on() {
        let edges =
            [(0, Reading::Presence { occupied: true }), (9_000, Reading::Presence { occupied: false })];
        let group = Group::sample(&edges);
        let plan = Plan::looped(&[0.0, 30.0]);
        let after = |plan: &Plan, ms| {
            Whereabouts::of(plan, std::iter::once(&group), false).front_m(ms, true).unwrap()
        };
        assert!(after(&plan, 300_000) == 30.0, "it waits before the loop");
        let plan =
            Plan::with(
                &[0.0, 30.0],
                |station| {
                    if station == 1 { ReadingKind::Seal } else { ReadingKind::Presence }
                },
            );
        assert!(after(&plan, 12_000) < 30.0 && after(&plan, 300_000) > 100.0);
    }
}
