//! What a scale says while vehicles stand on it one after the other: it speaks while it settles, and again when a vehicle drives
//! off. What it says then tells vehicles apart where no loop does.

use interface::{Reading, WeighMode};

use crate::group::Group;

/// A vehicle that is weighed twice weighs the same, but for the scale's error and who steps off: up to an eighth of its weight.
const SAME_WEIGHT: i64 = 8;
/// What a platform shows before it settles is seldom more than so much of the weight that it settles at, per cent.
const SWINGS: i64 = 160;
/// What it costs to say that a platform which had settled was of the same vehicle when it settled at another weight.
const SETTLED_ANEW: f64 = 5.0;
/// The same, when it showed more than that before it settled, or after: a platform swings.
const SWUNG: f64 = 4.0;
/// What speaks for one vehicle that it settled again at the very same weight: one of a hundred others weighs as much, to a
/// division of the scale.
const SAME_AGAIN: f64 = -3.0;

/// What a static scale showed at one time, kilograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weighed {
    /// The weight that it settled at.
    settled: Option<i64>,
    /// The most that it showed without having settled.
    most: Option<i64>,
}

impl Weighed {
    /// What the readings of a group say.
    pub fn of(group: &Group) -> Self {
        let mut weighed = Self::default();
        for item in &group.items {
            if let Reading::Weight { gross_kg, stable, mode: WeighMode::Static, .. } =
                item.observation.reading
            {
                let slot = if stable { &mut weighed.settled } else { &mut weighed.most };
                *slot = Some(slot.map_or(gross_kg, |known| known.max(gross_kg)));
            }
        }
        weighed
    }

    /// The weight that it settled at, and the most that it showed without having settled.
    pub fn kilograms(self) -> (Option<i64>, Option<i64>) {
        (self.settled, self.most)
    }

    /// What both say if they are of one vehicle.
    pub fn both(self, other: Self) -> Self {
        Self { settled: self.settled.max(other.settled), most: self.most.max(other.most) }
    }

    /// What it costs to say that `next` is of the same vehicle.
    pub fn again(self, next: Self) -> f64 {
        match (self.settled, next.settled) {
            (Some(one), Some(other)) if one == other && one > 0 => SAME_AGAIN,
            (Some(one), Some(other)) if is_other(one, other) => SETTLED_ANEW,
            // A heavier one comes; who drives off shows less and less.
            (Some(one), None) if next.most.is_some_and(|most| most > one && is_other(most, one)) => SWUNG,
            (None, Some(other)) if self.most.is_some_and(|most| is_far_above(most, other)) => SWUNG,
            _ => 0.0,
        }
    }
}

/// Whether two weights are of two vehicles, kilograms.
pub(crate) fn is_other(one: i64, other: i64) -> bool {
    one.abs_diff(other).saturating_mul(SAME_WEIGHT.unsigned_abs()) > one.max(other).unsigned_abs()
}

/// Whether a platform that shows `kg` is not of the vehicle that it has settled at, or settles at, `settled` of.
pub(crate) fn is_far_above(kg: i64, settled: i64) -> bool {
    kg.saturating_mul(100) > settled.saturating_mul(SWINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[(i64, bool)]) -> Weighed {
        let reading = |&(gross_kg, stable): &(i64, bool)| {
            (0, Reading::Weight { gross_kg, axles_kg: None, stable, mode: WeighMode::Static })
        };
        Weighed::of(&Group::sample(&values.iter().map(reading).collect::<Vec<_>>()))
    }

    #[test]
    fn a_scale_that_has_settled_is_heavier_only_with_the_next_vehicle_on_it() {
        let car = shown(&[(1_900, false), (2_020, true), (1_980, true)]);
        assert!(car.again(shown(&[(34_000, false)])) > 3.0);
        assert!(car.again(shown(&[(34_000, false), (34_800, true)])) > 3.0);
        // It drives off, or settles again.
        assert!(car.again(shown(&[(700, false)])) == 0.0);
        assert!(car.again(shown(&[(2_000, true)])) == 0.0);
        // The very same weight is hardly another vehicle's.
        assert!(car.again(shown(&[(2_020, true)])) < -2.0);
    }

    #[test]
    fn who_drives_onto_a_scale_makes_it_heavier_until_it_settles() {
        let axle = shown(&[(6_000, false)]);
        assert!(axle.again(shown(&[(18_000, false), (39_000, true)])) == 0.0);
        // The lorry before drives off.
        assert!(shown(&[(19_000, false)]).again(shown(&[(1_300, true)])) > 3.0);
    }
}
