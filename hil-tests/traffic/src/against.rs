//! Vehicles that drive through a lane against its direction, while nobody else is in it.

use crate::drive::{BEFORE_M, BEYOND_M, Manner, Visit};
use crate::layout::LanePlan;
use crate::random::Random;
use crate::sense::poisson;
use crate::vehicle::{Mix, Vehicle};

/// How long nobody else was in the lane before, and is after, seconds.
const ALONE_S: f64 = 5.0;
/// Between two samples of a path, seconds.
const STEP_S: f64 = 0.1;

/// As many visits as `rate` says for each of `driven`, the visits of the lane in its direction; fewer where there is no room.
/// `first_number` is the number of the first.
pub fn against(
    seed: u64,
    lane_index: usize,
    lane: &LanePlan,
    driven: &[Visit],
    mix: &Mix,
    rate: f64,
    first_number: usize,
) -> Vec<Visit> {
    let mut random = Random::stream(seed, &[12, lane_index as u64]);
    let end = driven.iter().map(|visit| visit.span().1).fold(0.0, f64::max);
    let last_m = lane.places.last().map_or(0.0, |place| place.position_m);
    let mut found: Vec<Visit> = Vec::new();
    for _ in 0..poisson(&mut random, rate * driven.len() as f64) {
        let start = random.uniform(0.0, end);
        let speed = random.uniform(2.0, 7.0);
        let vehicle = Vehicle::draw(&mut random, mix);
        // What is called front here is the end that is further along: its rear.
        let from_m = last_m + BEYOND_M + vehicle.length_m;
        let lasts = (from_m + BEFORE_M) / speed;
        let meets = |visit: &Visit| {
            let (from, to) = visit.span();
            from < start + lasts + ALONE_S && start - ALONE_S < to
        };
        if driven.iter().chain(&found).any(meets) {
            continue;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let steps = (lasts / STEP_S) as u32;
        let at = |step: u32| f64::from(step) * STEP_S;
        found.push(Visit {
            number: first_number + found.len(),
            lane: lane_index,
            vehicle,
            path: (0..=steps).map(|step| (start + at(step), from_m - speed * at(step))).collect(),
            stops: Vec::new(),
            manner: Manner::Against,
        });
    }
    found
}
