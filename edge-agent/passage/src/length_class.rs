//! Cars and lorries: what was measured of a vehicle says which it is, and so does how long it was over a loop, or in a portal.
//! How long either kind is there the lane teaches. So a chain of vehicles that is shifted by one costs more, though nobody has a name.

use interface::{Reading, ReadingKind};
use serde::{Deserialize, Serialize};

use crate::group::Group;
use crate::scoring::Span;
use crate::size::{HEAVY, LIGHT, MANY_AXLES};

/// What is shorter is a car or a van, what is longer a lorry, millimetres.
const SHORT_MM: u32 = 6_500;
const LONG_MM: u32 = 9_000;
/// What it costs to be measured as the other class, nats.
const OTHERWISE: f64 = 4.0;
/// Where times over a loop are told apart, seconds: each bound is about 1.4 times the one before.
const BOUNDS_S: [f64; 9] = [0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 16.0];
const BINS: usize = BOUNDS_S.len() + 1;
/// How often what is no vehicle is over a loop for so long: people, animals and carts, loops that stutter.
const NO_VEHICLE: [f64; 4] = [0.35, 0.2, 0.2, 0.2];
/// What is believed of cars and lorries before any was measured: 4 to 6 m and 7 to 18 m over a loop of 2 m at 2 to 9 m/s, and some
/// that stand. Counts as so many vehicles.
const BELIEVED: [[f64; BINS]; 2] =
    [[0.5, 2.0, 3.0, 3.0, 1.5, 1.0, 0.7, 0.7, 1.0, 1.6], [0.1, 0.2, 0.5, 1.4, 2.2, 2.6, 2.2, 1.6, 1.7, 2.5]];
/// What all loops of the lane have taught is believed of each as much as this many vehicles.
const BELIEF: f64 = 8.0;
/// Counts are halved when they come to this.
const COUNTED: f64 = 400.0;
/// How much each time counts: those of one vehicle are alike because its driver is.
const WEIGHT: f64 = 0.7;
/// The most that classes speak for and against a course, nats.
const MOST: (f64, f64) = (3.0, 6.0);

/// Log-likelihoods of something for a car and for a lorry.
pub(crate) type Odds = [f64; 2];

const A_CAR: Odds = [0.0, -OTHERWISE];
const A_LORRY: Odds = [-OTHERWISE, 0.0];
/// A vehicle has the same plate at both ends, as cars have and one lorry in four: those without a trailer.
pub(crate) const ENDS_ALIKE: Odds = [0.0, -1.4];
/// It has another one behind: it draws a trailer, as one car in thirty does, or was misread.
pub(crate) const ENDS_DIFFER: Odds = [-3.5, 0.0];

/// What several measurements of one vehicle say together: the same thing twice says no more.
pub(crate) fn both(one: Odds, other: Odds) -> Odds {
    [one[0].min(other[0]), one[1].min(other[1])]
}

/// What a group says by what it has measured; zeros if nothing.
pub(crate) fn measured(group: &Group) -> Odds {
    if group.track.kind == ReadingKind::Container {
        return A_LORRY;
    }
    let each = group.items.iter().map(|item| match &item.observation.reading {
        Reading::Weight { gross_kg, axles_kg, stable, .. } => {
            let axles = axles_kg.as_ref().map_or(0, Vec::len);
            if *gross_kg > HEAVY.0 || axles >= MANY_AXLES.0 {
                A_LORRY
            } else if *stable && *gross_kg < LIGHT.0 {
                A_CAR
            } else {
                [0.0; 2]
            }
        }
        Reading::Dimensions { length_mm, .. } if *length_mm < SHORT_MM => A_CAR,
        Reading::Dimensions { length_mm, .. } if *length_mm > LONG_MM => A_LORRY,
        _ => [0.0; 2],
    });
    each.fold([0.0; 2], both)
}

/// Whether it is known how long a vehicle was at a post: by its loop, or by the portal that `radiation` is of.
pub(crate) fn tells(span: &Span, radiation: bool) -> bool {
    if span.by_presence { !span.open && span.sure == (true, true) } else { radiation && span.to > span.from }
}

/// How many cars and lorries were over a loop for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counts {
    times: [[f64; BINS]; 2],
}

impl Counts {
    fn of(&self, class: usize) -> f64 {
        self.times.get(class).map_or(0.0, |times| times.iter().sum())
    }

    fn add(&mut self, class: usize, bin: usize) {
        if let Some(count) = self.times.get_mut(class).and_then(|times| times.get_mut(bin)) {
            *count += 1.0;
        }
        if self.of(0) + self.of(1) >= COUNTED {
            self.times = self.times.map(|times| times.map(|count| count / 2.0));
        }
    }

    /// How often a class has a time of this bin; a time of the bins beside it is nearly that.
    fn share(&self, class: usize, bin: usize) -> f64 {
        let (Some(times), Some(believed)) = (self.times.get(class), BELIEVED.get(class)) else { return 0.0 };
        let count = |bin: usize| Some(times.get(bin)? + believed.get(bin)?);
        let at = |bin: Option<usize>| bin.and_then(count).unwrap_or(0.0);
        let smooth = 0.5 * at(Some(bin)) + 0.25 * (at(bin.checked_sub(1)) + at(bin.checked_add(1)));
        #[allow(clippy::cast_precision_loss)]
        let even = 1.0 / BINS as f64;
        (smooth + even) / (self.of(class) + believed.iter().sum::<f64>() + 1.0)
    }
}

/// What a lane has learned of times over its loops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LengthClasses {
    all: Counts,
    posts: Vec<(usize, Counts)>,
}

fn bin(seconds: f64) -> usize {
    BOUNDS_S.iter().take_while(|bound| **bound <= seconds).count()
}

impl LengthClasses {
    /// A vehicle of which this was measured was over the loop of a post for so long.
    pub fn learn(&mut self, post: usize, seconds: f64, odds: Odds) {
        let class = usize::from(odds[1] > odds[0]);
        if (odds[0] - odds[1]).abs() < OTHERWISE / 2.0 {
            return;
        }
        self.all.add(class, bin(seconds));
        match self.posts.iter_mut().find(|(known, _)| *known == post) {
            Some((_, counts)) => counts.add(class, bin(seconds)),
            None => {
                let mut counts = Counts::default();
                counts.add(class, bin(seconds));
                self.posts.push((post, counts));
            }
        }
    }

    /// How often a car, and a lorry, is over the loop of a post for so long.
    fn shares(&self, post: usize, bin: usize) -> [f64; 2] {
        let own = self.posts.iter().find(|(known, _)| *known == post).map(|(_, counts)| counts);
        let share = |class: usize| {
            let usual = self.all.share(class, bin);
            own.map_or(usual, |own| {
                let of = own.of(class);
                (own.share(class, bin) * of + usual * BELIEF) / (of + BELIEF)
            })
        };
        [share(0), share(1)]
    }

    /// What a time over the loop of a post says, relative to how often such times are.
    pub fn over(&self, post: usize, seconds: f64) -> Odds {
        let [light, heavy] = self.shares(post, bin(seconds));
        let prior = self.prior();
        let any = light * prior[0] + heavy * prior[1];
        [WEIGHT * (light / any).ln(), WEIGHT * (heavy / any).ln()]
    }

    fn prior(&self) -> [f64; 2] {
        let light = (self.all.of(0) + 5.0) / (self.all.of(0) + self.all.of(1) + 10.0);
        [light, 1.0 - light]
    }

    /// What every time over the loops of so many posts says.
    pub fn table(&self, posts: usize) -> Table {
        let prior = self.prior();
        let start = |bin: usize| bin.checked_sub(1).and_then(|at| BOUNDS_S.get(at)).copied().unwrap_or(0.0);
        let over = |post: usize| std::array::from_fn(|bin| Evidence::of(self.over(post, start(bin)), prior));
        let brief = |post: usize| {
            std::array::from_fn(|bin| {
                let [light, heavy] = self.shares(post, bin);
                let vehicle = light * prior[0] + heavy * prior[1];
                NO_VEHICLE.get(bin).map_or(0.0, |share| (share / vehicle).ln().max(0.0))
            })
        };
        Table {
            prior,
            brief: (0..posts).map(brief).collect(),
            over: (0..posts).map(over).collect(),
            car: Evidence::of(A_CAR, prior),
            lorry: Evidence::of(A_LORRY, prior),
        }
    }

    /// Follows a change of the layout.
    pub fn renumber(&mut self, new: impl Fn(usize) -> usize) {
        for (post, _) in &mut self.posts {
            *post = new(*post);
        }
    }
}

/// Something that says which class a vehicle is of, and how likely that is of any vehicle, as a logarithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    odds: Odds,
    any: f64,
}

impl Evidence {
    fn of(odds: Odds, prior: [f64; 2]) -> Self {
        Self { odds, any: any(odds, prior) }
    }
}

fn any(odds: Odds, prior: [f64; 2]) -> f64 {
    (prior[0] * odds[0].exp() + prior[1] * odds[1].exp()).ln()
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
        self.all = [self.all[0] + odds[0], self.all[1] + odds[1]];
        self.each += any;
    }
}

/// What every time over a loop says, worked out: courses are priced much more often than anything is learned.
#[derive(Debug)]
pub(crate) struct Table {
    prior: [f64; 2],
    over: Vec<[Evidence; BINS]>,
    brief: Vec<[f64; BINS]>,
    car: Evidence,
    lorry: Evidence,
}

impl Table {
    /// What a time over the loop of a post says.
    pub fn over(&self, post: usize, seconds: f64) -> Option<Evidence> {
        self.over.get(post)?.get(bin(seconds)).copied()
    }

    /// What a time over the loop of a post speaks for its having been no vehicle that was there, nats.
    pub fn brief(&self, post: usize, seconds: f64) -> f64 {
        self.brief.get(post).and_then(|brief| brief.get(bin(seconds))).copied().unwrap_or(0.0)
    }

    /// What measurements say.
    pub fn measured(&self, odds: Odds) -> Evidence {
        match odds {
            A_CAR => self.car,
            A_LORRY => self.lorry,
            _ => Evidence::of(odds, self.prior),
        }
    }

    /// What it costs to say that all of this is of one vehicle, beside its being of several.
    pub fn cost(&self, evidence: &Together) -> f64 {
        (evidence.each - any(evidence.all, self.prior)).clamp(-MOST.0, MOST.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_learns_how_long_cars_and_lorries_are_over_a_loop() {
        let mut classes = LengthClasses::default();
        assert!(classes.over(0, 1.0)[0] > classes.over(0, 1.0)[1]);
        for _ in 0..40 {
            classes.learn(0, 1.2, [0.0, -OTHERWISE]);
            classes.learn(0, 4.5, [-OTHERWISE, 0.0]);
        }
        let (short, long) = (classes.over(0, 1.2), classes.over(0, 4.5));
        assert!(short[0] > 0.0 && short[1] < -1.0 && long[1] > 0.0 && long[0] < -1.0);
        // What is hardly there at all is no vehicle; what is there as long as vehicles are may be one.
        assert!(classes.table(1).brief(0, 0.4) > 2.0 && classes.table(1).brief(0, 4.5) == 0.0);
        // A slow lane: what one loop taught is believed of the others, too.
        let mut slow = LengthClasses::default();
        for _ in 0..40 {
            slow.learn(0, 5.0, [0.0, -OTHERWISE]);
            slow.learn(0, 20.0, [-OTHERWISE, 0.0]);
        }
        let (before, after) = (LengthClasses::default().over(3, 5.0), slow.over(3, 5.0));
        assert!(before[1] > before[0] && after[0] > after[1], "{before:?} {after:?}");
        // A car that was over a loop like a lorry costs, a car like a car speaks for itself; one reading says nothing.
        let table = classes.table(1);
        let (over_short, over_long) = (table.over(0, 1.2).unwrap(), table.over(0, 4.5).unwrap());
        assert_eq!((over_short.odds, over_long.odds), (short, long));
        let car = table.measured(A_CAR);
        let cost = |evidence: &[Evidence]| {
            let mut together = Together::default();
            evidence.iter().for_each(|one| together.add(Some(*one)));
            table.cost(&together)
        };
        assert!(cost(&[over_long, car]) > 1.0);
        assert!(cost(&[over_short, car]) < 0.0);
        assert!(cost(&[over_short, over_long]) > cost(&[over_short, over_short]));
        assert!(cost(&[over_long]).abs() < 0.3);
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
