//! How long a vehicle is: what was measured of it says that, and how long it was over a loop, or in a portal, says it, too. How
//! fast vehicles pass there the lane teaches (`passing`). So a chain of vehicles that is shifted by one costs more, though nobody
//! has a name.

use interface::{Reading, ReadingKind};
use serde::{Deserialize, Serialize};

use crate::group::Group;
use crate::passing::{Density, Speeds, normal};
use crate::scoring::Span;

/// Classes of length.
pub(crate) const CLASSES: usize = 5;

/// What vehicles of a class are like.
struct Class {
    /// How long they are, and how far that spreads, metres.
    length_m: (f64, f64),
    /// Their median mass, kilograms, and the standard deviation of its logarithm, between empty and full.
    kilograms: (f64, f64),
    /// How often they have 2, 3, 4, and more axles.
    axles: [f64; 4],
    /// How often they come, before the lane has taught it.
    share: f64,
}

/// Cars; vans and light lorries; rigid lorries; buses and long lorries; tractors with a trailer.
const LIKE: [Class; CLASSES] = [
    Class { length_m: (4.5, 0.5), kilograms: (1_700.0, 0.35), axles: [1.0, 0.03, 0.02, 0.01], share: 0.3 },
    Class { length_m: (6.2, 0.8), kilograms: (3_200.0, 0.5), axles: [0.9, 0.06, 0.03, 0.01], share: 0.1 },
    Class { length_m: (8.5, 1.3), kilograms: (11_000.0, 0.6), axles: [0.6, 0.3, 0.08, 0.02], share: 0.15 },
    Class { length_m: (12.0, 1.2), kilograms: (15_000.0, 0.45), axles: [0.5, 0.4, 0.08, 0.02], share: 0.1 },
    Class { length_m: (16.3, 1.7), kilograms: (26_000.0, 0.5), axles: [0.02, 0.05, 0.18, 0.75], share: 0.35 },
];
/// The most that one measurement speaks against a class, nats.
const OTHERWISE: f64 = 4.5;
/// What shows more before it has settled is no car and no van, kilograms.
const HEAVY_KG: i64 = 9_000;
/// How many vehicles' worth is believed of how often they come.
const BELIEVED: f64 = 10.0;
/// Counts are halved when they come to this.
const COUNTED: f64 = 400.0;
/// How much each time counts: those of one vehicle are alike because its driver is.
const WEIGHT: f64 = 0.7;
/// The most that lengths speak for and against a course, nats.
const MOST: (f64, f64) = (3.0, 6.0);
/// Where times are told apart: from the least on, seconds, each by so much above the one before.
const LEAST_S: f64 = 0.2;
const LONGER: f64 = 1.15;
const TIMES: usize = 56;
/// How long people, animals and carts are over a loop, and how long it stutters: median, seconds, and spread of the logarithm.
const NO_VEHICLE: (f64, f64) = (0.8, 0.7);

/// Log-likelihoods of something for each class.
pub(crate) type Odds = [f64; CLASSES];
/// What says nothing.
pub(crate) const NOTHING: Odds = [0.0; CLASSES];

const CARRIES_CONTAINER: Odds = [-OTHERWISE, -OTHERWISE, -1.0, -3.0, 0.0];
const HEAVY: Odds = [-OTHERWISE, -OTHERWISE, 0.0, 0.0, 0.0];
/// A vehicle has the same plate at both ends, as all have but those that draw a trailer.
pub(crate) const ENDS_ALIKE: Odds = [0.0, 0.0, 0.0, 0.0, -2.5];
/// It has another one behind: it draws a trailer, as one car in thirty does, or was misread.
pub(crate) const ENDS_DIFFER: Odds = [-3.5, -3.0, -2.0, -3.0, 0.0];

/// What several measurements of one vehicle say together: the same thing twice says no more.
pub(crate) fn both(one: Odds, other: Odds) -> Odds {
    each(one, other, f64::min)
}

/// Both of each class taken together.
fn each(one: Odds, other: Odds, of: impl Fn(f64, f64) -> f64) -> Odds {
    let mut all = one;
    for (slot, other) in all.iter_mut().zip(other) {
        *slot = of(*slot, other);
    }
    all
}

/// What a group says by what it has measured.
pub(crate) fn measured(group: &Group) -> Odds {
    if group.track.kind == ReadingKind::Container {
        return CARRIES_CONTAINER;
    }
    let each = group.items.iter().map(|item| match &item.observation.reading {
        Reading::Weight { gross_kg, axles_kg, stable, .. } => {
            let axles = axles_kg.as_ref().map_or(NOTHING, |axles| with_axles(axles.len()));
            both(axles, weighed(*gross_kg, *stable))
        }
        Reading::Dimensions { length_mm, .. } => {
            let length_m = f64::from(*length_mm) / 1000.0;
            relative(|like| off(length_m, like.length_m) - like.length_m.1.ln())
        }
        _ => NOTHING,
    });
    each.fold(NOTHING, both)
}

fn weighed(gross_kg: i64, stable: bool) -> Odds {
    if !stable {
        return if gross_kg > HEAVY_KG { HEAVY } else { NOTHING };
    }
    // Exact: far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    let kilograms = (gross_kg.max(1) as f64).ln();
    relative(|like| off(kilograms, (like.kilograms.0.ln(), like.kilograms.1)) - like.kilograms.1.ln())
}

fn with_axles(count: usize) -> Odds {
    if count < 2 {
        return NOTHING;
    }
    relative(|like| like.axles.get(count - 2).or(like.axles.last()).copied().unwrap_or(1.0).ln())
}

fn off(at: f64, (middle, spread): (f64, f64)) -> f64 {
    -0.5 * ((at - middle) / spread).powi(2)
}

/// Log-likelihoods beside the greatest of them.
fn relative(of: impl Fn(&Class) -> f64) -> Odds {
    let each = LIKE.each_ref().map(of);
    let best = each.iter().copied().fold(f64::MIN, f64::max);
    each.map(|odds| (odds - best).max(-OTHERWISE))
}

/// Whether it is known how long a vehicle was at a post: by its loop, or by the portal that `radiation` is of.
pub(crate) fn tells(span: &Span, radiation: bool) -> bool {
    if span.by_presence { !span.open && span.sure == (true, true) } else { radiation && span.to > span.from }
}

/// What a lane has learned of how long its vehicles are and how fast they pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LengthClasses {
    #[serde(default)]
    came: [f64; CLASSES],
    #[serde(default)]
    speeds: Speeds,
    #[serde(default)]
    speeds_at: Vec<(usize, Speeds)>,
}

impl LengthClasses {
    /// A vehicle of which this was measured was at these posts for so long, seconds.
    pub fn learn(&mut self, times: &[(usize, f64)], measured: Odds) {
        let table = self.table(times.iter().map(|(post, _)| post + 1).max().unwrap_or(0));
        let mut together = Together::default();
        together.add(Some(table.measured(measured)));
        for (post, seconds) in times {
            together.add(table.over(*post, *seconds));
        }
        let all = any(together.all, table.prior);
        let probability = each(together.all, table.prior, |odds, prior| (odds - all).exp() * prior);
        for (came, probability) in self.came.iter_mut().zip(probability) {
            *came += probability;
        }
        if self.came.iter().sum::<f64>() >= COUNTED {
            self.came = self.came.map(|count| count / 2.0);
        }
        for (post, seconds) in times {
            let known = self.speeds_at.iter().position(|(known, _)| known == post);
            let index = known.unwrap_or_else(|| {
                self.speeds_at.push((*post, Speeds::default()));
                self.speeds_at.len() - 1
            });
            for (like, probability) in LIKE.iter().zip(probability) {
                self.speeds.add(like.length_m.0, *seconds, probability);
                if let Some((_, speeds)) = self.speeds_at.get_mut(index) {
                    speeds.add(like.length_m.0, *seconds, probability);
                }
            }
        }
    }

    fn prior(&self) -> Odds {
        let all = self.came.iter().sum::<f64>() + BELIEVED;
        each(self.came, LIKE.each_ref().map(|like| like.share), |came, share| (came + BELIEVED * share) / all)
    }

    /// What every time at so many posts says.
    pub fn table(&self, posts: usize) -> Table {
        let prior = self.prior();
        let lane = Density::of_lane(&self.speeds);
        let density = |post: usize| {
            let own = self.speeds_at.iter().find(|(known, _)| *known == post);
            own.map_or_else(|| lane.clone(), |(_, speeds)| lane.of_post(speeds))
        };
        let at = |post: usize| {
            let density = density(post);
            std::array::from_fn(|time| Time::of(&density, start(time) * LONGER.sqrt(), prior))
        };
        Table { prior, times: (0..posts).map(at).collect() }
    }

    /// Follows a change of the layout.
    pub fn renumber(&mut self, new: impl Fn(usize) -> usize) {
        for (post, _) in &mut self.speeds_at {
            *post = new(*post);
        }
    }
}

/// When a time begins, seconds.
fn start(time: usize) -> f64 {
    // Few.
    #[allow(clippy::cast_precision_loss)]
    let steps = time as f64;
    LEAST_S * (LONGER.ln() * steps).exp()
}

/// The time that so many seconds are of.
fn time(seconds: f64) -> usize {
    let steps = (seconds.max(LEAST_S) / LEAST_S).ln() / LONGER.ln();
    // Not negative, and saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let time = steps as usize;
    time.min(TIMES - 1)
}

/// Something that says which class a vehicle is of, and how likely that is of any vehicle, as a logarithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    odds: Odds,
    any: f64,
}

impl Evidence {
    fn of(odds: Odds, prior: Odds) -> Self {
        Self { odds, any: any(odds, prior) }
    }
}

fn any(odds: Odds, prior: Odds) -> f64 {
    odds.iter().zip(prior).map(|(odds, prior)| prior * odds.exp()).sum::<f64>().ln()
}

/// What it says that a vehicle was at a post for some time.
#[derive(Clone, Copy, Debug)]
struct Time {
    evidence: Evidence,
    /// How much it speaks for its having been no vehicle that was there, nats.
    brief: f64,
}

impl Time {
    fn of(density: &Density, seconds: f64, prior: Odds) -> Self {
        let likely = LIKE.each_ref().map(|like| density.of(like.length_m.0, seconds));
        let vehicle: f64 = likely.iter().zip(prior).map(|(likely, prior)| likely * prior).sum();
        let none = normal(seconds.ln(), NO_VEHICLE.0.ln(), NO_VEHICLE.1);
        let odds = likely.map(|likely| WEIGHT * likely.ln());
        Self { evidence: Evidence::of(odds, prior), brief: (none / vehicle).ln().max(0.0) }
    }
}

/// Evidence of one vehicle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Together {
    all: Odds,
    each: f64,
}

impl Together {
    pub fn add(&mut self, evidence: Option<Evidence>) {
        let Some(Evidence { odds, any }) = evidence else { return };
        self.all = each(self.all, odds, |all, odds| all + odds);
        self.each += any;
    }
}

/// What every time at every post says, worked out: courses are priced much more often than anything is learned.
#[derive(Debug)]
pub(crate) struct Table {
    prior: Odds,
    times: Vec<[Time; TIMES]>,
}

impl Table {
    fn time(&self, post: usize, seconds: f64) -> Option<&Time> {
        self.times.get(post)?.get(time(seconds))
    }

    /// What a time over the loop of a post says.
    pub fn over(&self, post: usize, seconds: f64) -> Option<Evidence> {
        self.time(post, seconds).map(|time| time.evidence)
    }

    /// What a time over the loop of a post speaks for its having been no vehicle that was there, nats.
    pub fn brief(&self, post: usize, seconds: f64) -> f64 {
        self.time(post, seconds).map_or(0.0, |time| time.brief)
    }

    /// What measurements say.
    pub fn measured(&self, odds: Odds) -> Evidence {
        Evidence::of(odds, self.prior)
    }

    /// What it costs to say that all of this is of one vehicle, beside its being of several.
    pub fn cost(&self, evidence: &Together) -> f64 {
        (evidence.each - any(evidence.all, self.prior)).clamp(-MOST.0, MOST.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says to weigh as much.
    fn weighs(gross_kg: i64) -> Odds {
        weighed(gross_kg, true)
    }

    /// What it costs that one vehicle was at a post for so long and was measured like this.
    fn cost(classes: &LengthClasses, seconds: f64, measured: Odds) -> f64 {
        let table = classes.table(1);
        let mut together = Together::default();
        together.add(table.over(0, seconds));
        together.add(Some(table.measured(measured)));
        table.cost(&together)
    }

    #[test]
    fn who_is_over_a_loop_for_a_second_is_no_road_train_even_before_a_lane_has_taught_anything() {
        let classes = LengthClasses::default();
        let (car, train) = (weighs(1_500), weighs(36_000));
        assert!(cost(&classes, 1.3, train) > cost(&classes, 1.3, car) + 1.5);
        assert!(cost(&classes, 5.0, car) > cost(&classes, 5.0, train) + 0.3);
        // Whoever stands there for two minutes stands there.
        assert!((cost(&classes, 120.0, car) - cost(&classes, 120.0, train)).abs() < 1.0);
    }

    #[test]
    fn a_lane_teaches_how_fast_vehicles_pass_and_so_how_long_they_are() {
        let mut slow = LengthClasses::default();
        for _ in 0..40 {
            slow.learn(&[(0, 5.0)], weighs(1_500));
            slow.learn(&[(0, 15.0)], weighs(36_000));
        }
        let known = LengthClasses::default();
        assert!(cost(&slow, 5.0, weighs(1_500)) < cost(&known, 5.0, weighs(1_500)) - 0.5);
        assert!(cost(&slow, 5.0, weighs(36_000)) > cost(&known, 5.0, weighs(36_000)) + 0.5);
        // One reading says nothing about whether it is of one vehicle.
        let table = slow.table(1);
        let mut one = Together::default();
        one.add(table.over(0, 5.0));
        assert!(table.cost(&one).abs() < 1e-9);
    }

    #[test]
    fn what_is_hardly_over_a_loop_at_all_is_no_vehicle() {
        let mut classes = LengthClasses::default();
        for _ in 0..40 {
            classes.learn(&[(0, 1.5)], weighs(1_500));
            classes.learn(&[(0, 4.5)], weighs(36_000));
        }
        assert!(classes.table(1).brief(0, 0.4) > 2.0 && classes.table(1).brief(0, 4.5) == 0.0);
    }

    #[test]
    fn what_is_measured_says_how_long_a_vehicle_may_be() {
        let axles = |count: usize| Reading::Weight {
            gross_kg: 20_000,
            axles_kg: Some(vec![4_000; count]),
            stable: true,
            mode: interface::WeighMode::Axle,
        };
        let long = |length_mm| Reading::Dimensions { length_mm, width_mm: 2_500, height_mm: 3_900 };
        let says = |reading: Reading| measured(&Group::sample(&[(0, reading)]));
        assert!(says(axles(5))[4] > says(axles(5))[2] + 2.0 && says(axles(2))[2] > says(axles(2))[4] + 2.0);
        assert!(says(long(4_300))[0] == 0.0 && says(long(16_500))[4] == 0.0);
        // A platform that swings says only that it is no car.
        assert_eq!(weighed(20_000, false), HEAVY);
        assert_eq!(weighed(2_000, false), NOTHING);
        assert!(says(axles(5)).iter().all(|odds| *odds >= -OTHERWISE));
    }

    #[test]
    fn a_portal_without_a_loop_tells_how_long_a_vehicle_was_there() {
        let span = |by_presence: bool, open: bool, to: u64| Span {
            from: 1_000,
            to,
            open,
            by_presence,
            sure: (true, true),
            doubtful: None,
        };
        assert!(tells(&span(true, false, 4_000), false) && !tells(&span(true, true, 4_000), true));
        // A result without a duration does not, nor does what is read meanwhile.
        assert!(tells(&span(false, false, 4_000), true));
        assert!(!tells(&span(false, false, 1_000), true) && !tells(&span(false, false, 4_000), false));
    }
}
