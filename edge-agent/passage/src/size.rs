//! How long a vehicle can be, by what was measured of it: a car is not over a loop for as long as a road train at the same
//! speed, weighs less, and carries no container. Contradictions tell vehicles of a chain apart that have no names.

use interface::{Reading, ReadingKind};

use crate::group::{Group, Mark};
use crate::scoring::seconds;

/// What weighs less is a car or a van, kilograms (the limit of category B, Directive 2006/126/EC), and at most so long, metres.
pub(crate) const LIGHT: (i64, f64) = (3_500, 8.0);
/// What weighs more is a lorry, kilograms, and at least so long, metres.
pub(crate) const HEAVY: (i64, f64) = (9_000, 5.5);
/// What has so many axles is at least so long, metres.
pub(crate) const MANY_AXLES: (usize, f64) = (4, 8.0);
/// A container of 20 feet (ISO 668) and the cab before it, metres.
const CARRIES_CONTAINER_M: f64 = 7.5;
/// What it costs to say that a car or a van carries goods under a navigation seal.
const SEALED: f64 = 3.0;
/// How far a measured length may be off, metres.
const INEXACT_M: f64 = 1.0;
/// What a metre costs by which measurements contradict each other, and at most.
const CONTRADICTION: (f64, f64) = (0.5, 3.0);

/// Least and greatest length, metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    pub least_m: f64,
    pub most_m: f64,
}

impl Default for Size {
    fn default() -> Self {
        Self { least_m: 0.0, most_m: f64::INFINITY }
    }
}

impl Size {
    /// By one group; hardly anybody is faster than `fast_m_s`.
    pub fn of(group: &Group, fast_m_s: f64) -> Self {
        let at_least = |least_m: f64| Self { least_m, ..Self::default() };
        let at_most = |most_m: f64| Self { most_m, ..Self::default() };
        if let Mark::Occupancy { rise: Some(rise), fall: Some(fall) } = group.mark {
            return if group.assumed_left {
                Self::default()
            } else {
                at_most(fast_m_s * seconds(rise, fall))
            };
        }
        if group.track.kind == ReadingKind::Container {
            return at_least(CARRIES_CONTAINER_M);
        }
        let measured = group.items.iter().map(|item| match &item.observation.reading {
            Reading::Weight { gross_kg, axles_kg, stable: true, .. } => {
                let axles = axles_kg.as_ref().map_or(0, Vec::len);
                if axles >= MANY_AXLES.0 {
                    at_least(MANY_AXLES.1)
                } else if *gross_kg > HEAVY.0 {
                    at_least(HEAVY.1)
                } else if *gross_kg < LIGHT.0 {
                    at_most(LIGHT.1)
                } else {
                    Self::default()
                }
            }
            Reading::Dimensions { length_mm, .. } => {
                let length_m = f64::from(*length_mm) / 1000.0;
                Self { least_m: length_m - INEXACT_M, most_m: length_m + INEXACT_M }
            }
            _ => Self::default(),
        });
        measured.fold(Self::default(), Self::both)
    }

    /// What two measurements of one vehicle say together.
    pub fn both(self, other: Self) -> Self {
        Self { least_m: self.least_m.max(other.least_m), most_m: self.most_m.min(other.most_m) }
    }

    /// What two parts of one vehicle say that came over a loop one after the other.
    pub fn parts(self, other: Self) -> Self {
        Self { least_m: self.least_m.max(other.least_m), most_m: self.most_m + other.most_m }
    }

    /// What it costs to say that a vehicle of this length is under a seal.
    pub fn sealed(self) -> f64 {
        if self.most_m <= LIGHT.1 { SEALED } else { 0.0 }
    }

    /// What it costs to say that one vehicle has this length.
    pub fn contradiction(self) -> f64 {
        (CONTRADICTION.0 * (self.least_m - self.most_m)).clamp(0.0, CONTRADICTION.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_car_that_is_as_short_as_its_occupancy_says_carries_no_container() {
        let car = Size { most_m: 5.0, ..Size::default() };
        let lorry = Size { least_m: CARRIES_CONTAINER_M, ..Size::default() };
        assert!(car.both(lorry).contradiction() > 1.0);
        assert!(car.both(Size::default()).contradiction() == 0.0);
        // Over one loop as a tractor and over it again as its trailer.
        assert!(car.parts(car).both(lorry).contradiction() == 0.0);
    }

    #[test]
    fn a_car_is_not_under_a_seal() {
        let car = Size { most_m: LIGHT.1, ..Size::default() };
        assert!(car.sealed() > 0.0);
        assert!(Size::default().sealed() == 0.0);
    }

    #[test]
    fn what_a_contradiction_costs_is_bounded() {
        let most = Size { least_m: 0.0, most_m: 0.0 };
        let least = Size { least_m: 1000.0, most_m: f64::INFINITY };
        assert!(most.both(least).contradiction() <= CONTRADICTION.1);
    }
}
