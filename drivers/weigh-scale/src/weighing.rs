//! From a stream of weights to observations of vehicles.
//!
//! Nothing is observed while the platform is empty. A vehicle is observed once when its weight has become stable, and
//! again whenever it becomes stable at another weight (it drove up further, a trailer was uncoupled). A vehicle that
//! leaves without ever having been stable is observed when it leaves, marked unstable, with its largest plateau.
//! Pure: time is passed in as milliseconds of any clock that never runs backwards.

use interface::{ConfigError, Reading, WeighMode};

/// What the indicator says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A valid gross weight.
    Gross {
        /// Grams.
        grams: i64,
        /// Whether the indicator calls it stable.
        stable: bool,
    },
    /// Overload, out of range, or anything else that makes the displayed digits no weight.
    Invalid,
}

/// How vehicles are told from an empty platform and from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Below this the platform counts as empty, grams.
    pub empty_below: i64,
    /// Weights closer together than this are the same weight, grams.
    pub change: i64,
    /// How long the indicator's stable flag must hold, ms.
    pub stable_ms: u64,
}

/// Lightest thing that counts as a vehicle, kg: above a person on the platform, below a motorcycle with its rider.
pub(crate) fn default_empty_below_kg() -> u32 {
    200
}

/// A few scale intervals (20 kg for a 60 t weighbridge of OIML R 76 class III), and a person climbing out.
pub(crate) fn default_change_kg() -> u32 {
    100
}

/// Longer than a truck stands between two jerks of a clutch, as a rule.
pub(crate) fn default_stable_ms() -> u64 {
    500
}

/// A run of similar weights shorter than this is a passing value, no plateau, ms.
const PLATEAU_MS: u64 = 400;

impl Settings {
    /// Checks the three parameters of the site file.
    pub fn new(empty_below_kg: u32, change_kg: u32, stable_ms: u64) -> Result<Self, ConfigError> {
        let in_range = |field, value: u64, least: u64, most: u64, unit| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ConfigError::field(field, format!("expected {least} to {most} {unit}, found {value}")))
        };
        in_range("empty_below_kg", empty_below_kg.into(), 1, 20_000, "kg")?;
        in_range("change_kg", change_kg.into(), 1, 10_000, "kg")?;
        in_range("stable_ms", stable_ms, 0, 30_000, "ms")?;
        Ok(Self {
            empty_below: i64::from(empty_below_kg) * 1_000,
            change: i64::from(change_kg) * 1_000,
            stable_ms,
        })
    }
}

/// The platform.
#[derive(Clone, Debug)]
pub struct Weighing {
    settings: Settings,
    visit: Option<Visit>,
    invalid_since_empty: bool,
}

#[derive(Clone, Debug, Default)]
struct Visit {
    reported: Option<i64>,
    stable_since: Option<(u64, i64)>,
    run: Option<Run>,
    plateau: Option<Run>,
}

/// Successive weights within `change` of the first.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: i64,
    sum: i128,
    count: i128,
    from_ms: u64,
    to_ms: u64,
}

impl Run {
    fn start(now_ms: u64, grams: i64) -> Self {
        Self { first: grams, sum: grams.into(), count: 1, from_ms: now_ms, to_ms: now_ms }
    }

    fn mean(&self) -> i64 {
        i64::try_from(self.sum / self.count.max(1)).unwrap_or(self.first)
    }

    fn length_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }

    /// A real plateau beats a passing value; among plateaus the heaviest, among passing values the longest counts.
    fn better_than(&self, other: &Self) -> bool {
        match (self.length_ms() >= PLATEAU_MS, other.length_ms() >= PLATEAU_MS) {
            (true, true) => self.mean() > other.mean(),
            (false, false) => (self.length_ms(), self.mean()) > (other.length_ms(), other.mean()),
            (long, _) => long,
        }
    }
}

impl Weighing {
    /// An empty platform.
    pub fn new(settings: Settings) -> Self {
        Self { settings, visit: None, invalid_since_empty: false }
    }

    /// Takes what the indicator says now; gives an observation if there is one to make.
    pub fn step(&mut self, now_ms: u64, sample: Sample) -> Option<Reading> {
        let Sample::Gross { grams, stable } = sample else {
            self.invalid_since_empty = true;
            if let Some(visit) = &mut self.visit {
                visit.stable_since = None;
                visit.end_run();
            }
            return None;
        };
        if grams < self.settings.empty_below {
            return self.left();
        }
        let change = self.settings.change;
        let near = |a: i64, b: i64| a.abs_diff(b) <= change.unsigned_abs();
        let visit = self.visit.get_or_insert_default();
        match &mut visit.run {
            Some(run) if near(run.first, grams) => {
                run.sum = run.sum.saturating_add(grams.into());
                run.count = run.count.saturating_add(1);
                run.to_ms = now_ms;
            }
            _ => {
                visit.end_run();
                visit.run = Some(Run::start(now_ms, grams));
            }
        }
        if !stable {
            visit.stable_since = None;
            return None;
        }
        let since = match visit.stable_since {
            Some((since, first)) if near(first, grams) => since,
            _ => {
                visit.stable_since = Some((now_ms, grams));
                now_ms
            }
        };
        if now_ms.saturating_sub(since) < self.settings.stable_ms
            || visit.reported.is_some_and(|reported| near(reported, grams))
        {
            return None;
        }
        visit.reported = Some(grams);
        Some(weight(grams, true))
    }

    fn left(&mut self) -> Option<Reading> {
        let invalid = std::mem::take(&mut self.invalid_since_empty);
        let mut visit = self.visit.take()?;
        visit.end_run();
        // After an overload the rest of the trace is only the vehicle driving on or off: no weight of it is known.
        if visit.reported.is_some() || invalid {
            return None;
        }
        visit.plateau.map(|plateau| weight(plateau.mean(), false))
    }
}

impl Visit {
    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        if self.plateau.is_none_or(|plateau| run.better_than(&plateau)) {
            self.plateau = Some(run);
        }
    }
}

fn weight(grams: i64, stable: bool) -> Reading {
    Reading::Weight { gross_kg: to_kg(grams), axles_kg: None, stable, mode: WeighMode::Static }
}

/// Whole kilograms, half a kilogram away from zero.
pub fn to_kg(grams: i64) -> i64 {
    grams.saturating_add(500 * grams.signum()) / 1_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: Settings = Settings { empty_below: 200_000, change: 100_000, stable_ms: 500 };

    /// Runs (kg, stable) samples 200 ms apart; a weight of `None` is invalid.
    fn run(samples: &[(Option<i64>, bool)]) -> Vec<(i64, bool)> {
        let mut weighing = Weighing::new(SETTINGS);
        let mut found = Vec::new();
        for (n, &(kg, stable)) in samples.iter().enumerate() {
            let sample = kg.map_or(Sample::Invalid, |kg| Sample::Gross { grams: kg * 1_000, stable });
            if let Some(Reading::Weight { gross_kg, stable, .. }) = weighing.step(n as u64 * 200, sample) {
                found.push((gross_kg, stable));
            }
        }
        found
    }

    fn stay(kg: i64, stable: bool, times: usize) -> Vec<(Option<i64>, bool)> {
        vec![(Some(kg), stable); times]
    }

    #[test]
    fn an_empty_platform_gives_nothing() {
        assert_eq!(run(&[stay(0, true, 20), stay(-40, true, 20), stay(180, true, 20)].concat()), []);
    }

    #[test]
    fn a_vehicle_is_weighed_once_and_again_at_another_weight() {
        let trace = [
            stay(0, true, 5),
            stay(9_000, false, 3),
            stay(18_540, true, 10),
            stay(18_580, true, 10),
            stay(30_000, false, 2),
            stay(36_200, true, 10),
            stay(0, false, 1),
            stay(18_540, true, 5),
        ];
        assert_eq!(run(&trace.concat()), [(18_540, true), (36_200, true), (18_540, true)]);
    }

    #[test]
    fn a_flicker_of_the_stable_flag_is_not_a_weight() {
        let trace = [stay(7_000, true, 2), stay(15_000, false, 1), stay(20_000, true, 4), stay(0, true, 1)];
        assert_eq!(run(&trace.concat()), [(20_000, true)]);
    }

    #[test]
    fn a_vehicle_that_never_stands_still_gives_its_largest_plateau_unstable() {
        let trace = [
            stay(0, true, 1),
            stay(7_000, false, 6),
            stay(14_000, false, 1),
            stay(24_000, false, 4),
            stay(31_000, false, 1),
            stay(9_000, false, 3),
            stay(0, false, 1),
        ];
        assert_eq!(run(&trace.concat()), [(24_000, false)]);
        let dash = [stay(5_000, false, 1), stay(12_000, false, 1), stay(6_000, false, 1), stay(0, true, 1)];
        assert_eq!(run(&dash.concat()), [(12_000, false)]);
    }

    #[test]
    fn an_overload_gives_no_weight_and_is_over_once_the_platform_is_empty() {
        let overload =
            [stay(30_000, false, 3), vec![(None, false); 10], stay(30_000, false, 3), stay(0, true, 2)];
        assert_eq!(run(&overload.concat()), []);
        let next = [overload.concat(), stay(12_000, true, 5), stay(0, true, 1)];
        assert_eq!(run(&next.concat()), [(12_000, true)]);
    }

    #[test]
    fn kilograms_are_rounded_to_the_nearest() {
        assert_eq!([499, 500, -499, -500, 123_400].map(to_kg), [0, 1, 0, -1, 123]);
    }

    proptest! {
        #[test]
        fn every_visit_gives_an_unstable_weight_at_most_once_and_never_an_empty_one(
            trace in prop::collection::vec((prop::option::weighted(0.95, -100i64..60_000), any::<bool>()), 0..200)
        ) {
            for (kg, _) in run(&trace) {
                prop_assert!(kg >= 200);
            }
        }

        #[test]
        fn extreme_weights_do_not_overflow(grams in prop::collection::vec(any::<i64>(), 0..50)) {
            let mut weighing = Weighing::new(SETTINGS);
            for (n, &grams) in grams.iter().enumerate() {
                weighing.step(n as u64 * 1_000, Sample::Gross { grams, stable: n % 2 == 0 });
            }
        }
    }
}
