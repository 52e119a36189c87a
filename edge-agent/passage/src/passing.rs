//! How fast vehicles pass the loops of a lane, and its portals: what one was there for is its length over that. One histogram of
//! speeds for all of them, since those who stand in a queue are slow whatever they are; each post leans on the whole lane, and
//! the lane on what is believed of any.

use serde::{Deserialize, Serialize};

/// A loop is covered for so much longer than the vehicle, metres: it sees it from a metre before to a metre behind.
const LOOP_M: f64 = 2.0;
/// The least speed that is told apart, m/s, and how many there are, each by `STEP` above the one before.
const SLOWEST_M_S: f64 = 0.02;
const SPEEDS: usize = 28;
const STEP: f64 = 1.3;
/// What is believed of any lane: how often vehicles drive through, and stand; median speeds, m/s, and their spread as the
/// standard deviation of the logarithm.
const DRIVES: (f64, f64, f64) = (0.7, 3.2, 0.5);
const STANDS: (f64, f64, f64) = (0.3, 0.35, 1.2);
/// That counts as so many vehicles, and what the lane has taught as so many of each post.
const BELIEVED: f64 = 6.0;
const LANE: f64 = 8.0;
/// Of those it is believed that they may have any speed.
const ANY: f64 = 0.05;
/// Counts are halved when they come to this.
const COUNTED: f64 = 400.0;

/// How many vehicles passed at which speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Speeds {
    counts: [f64; SPEEDS],
}

impl Speeds {
    fn of(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// A vehicle that is of this length with this probability was there for so long.
    pub fn add(&mut self, length_m: f64, seconds: f64, probability: f64) {
        let (low, share) = place(length_m, seconds);
        for (index, part) in [(low, 1.0 - share), (low + 1, share)] {
            if let Some(count) = self.counts.get_mut(index) {
                *count += probability * part;
            }
        }
        if self.of() >= COUNTED {
            self.counts = self.counts.map(|count| count / 2.0);
        }
    }
}

/// How likely each speed is, per unit of its logarithm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Density([f64; SPEEDS]);

impl Density {
    /// Of a lane that has taught this.
    pub fn of_lane(taught: &Speeds) -> Self {
        let believed = std::array::from_fn(|index| {
            let speed = SLOWEST_M_S.ln() + step() * index_f(index);
            [DRIVES, STANDS].iter().map(|of| of.0 * normal(speed, of.1.ln(), of.2)).sum::<f64>()
        });
        Self(believed).taught(taught, BELIEVED)
    }

    /// Of a post of that lane, which has taught this.
    pub fn of_post(&self, taught: &Speeds) -> Self {
        self.taught(taught, LANE)
    }

    fn taught(&self, taught: &Speeds, belief: f64) -> Self {
        let count =
            |index: Option<usize>| index.and_then(|index| taught.counts.get(index)).copied().unwrap_or(0.0);
        // Speeds beside one that was seen are nearly as likely.
        let smooth = |index: usize| {
            0.5 * count(Some(index)) + 0.25 * (count(index.checked_sub(1)) + count(index.checked_add(1)))
        };
        let all = taught.of() + belief;
        let at = |index: usize| {
            let known = self.0.get(index).copied().unwrap_or(0.0);
            (smooth(index) / step() + known * belief) / all
        };
        Self(std::array::from_fn(at))
    }

    /// How likely it is that a vehicle of this length is there for so long, per unit of the logarithm.
    pub fn of(&self, length_m: f64, seconds: f64) -> f64 {
        let (low, share) = place(length_m, seconds);
        let at = |index: usize| self.0.get(index).copied().unwrap_or(0.0);
        let any = ANY / (step() * index_f(SPEEDS));
        (1.0 - ANY) * ((1.0 - share) * at(low) + share * at(low + 1)) + any
    }
}

fn step() -> f64 {
    STEP.ln()
}

#[allow(clippy::cast_precision_loss)]
fn index_f(index: usize) -> f64 {
    index as f64
}

/// Between which speeds it passed: the lower one, and how far it is from there to the next.
fn place(length_m: f64, seconds: f64) -> (usize, f64) {
    let speed = (length_m + LOOP_M) / seconds.max(0.05);
    let at = ((speed / SLOWEST_M_S).ln() / step()).clamp(0.0, index_f(SPEEDS - 1) - 1e-9);
    // Between 0 and the number of speeds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let low = at as usize;
    (low, at - index_f(low))
}

/// The density of a normal distribution.
pub(crate) fn normal(at: f64, middle: f64, spread: f64) -> f64 {
    let off = (at - middle) / spread;
    (-0.5 * off * off).exp() / (spread * std::f64::consts::TAU.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_teaches_how_fast_vehicles_pass() {
        let mut speeds = Speeds::default();
        let believed = Density::of_lane(&speeds);
        for _ in 0..100 {
            speeds.add(4.5, 1.0, 1.0);
        }
        let taught = Density::of_lane(&speeds);
        // 6.5 m/s is usual here, whoever drives it.
        assert!(taught.of(4.5, 1.0) > 3.0 * believed.of(4.5, 1.0));
        assert!(taught.of(11.0, 2.0) > 3.0 * taught.of(11.0, 8.0));
        // Nothing is impossible, and no time is no number.
        for seconds in [0.0, 0.01, 1e9, f64::INFINITY] {
            assert!(taught.of(4.5, seconds) > 0.0, "{seconds}");
        }
    }

    #[test]
    fn a_density_is_one() {
        let believed = Density::of_lane(&Speeds::default());
        // From the fastest that is told apart to the slowest.
        let sum: f64 = (0..1420).map(|n| believed.of(4.0, (f64::from(n) / 200.0 - 1.4).exp()) / 200.0).sum();
        assert!((sum - 1.0).abs() < 0.1, "{sum}");
    }
}
