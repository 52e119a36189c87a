//! How long after a vehicle came to a station one of its devices speaks: the latest times, and how they spread.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Times that are kept for each station, and how many are needed before they are believed.
const REMEMBERED: usize = 40;
const ENOUGH: usize = 5;

/// The latest times of each station, milliseconds; negative if the device spoke before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lags(Vec<(usize, VecDeque<i64>)>);

impl Lags {
    /// At a station a device spoke at `spoke` of a vehicle that had come at `came`, monotonic milliseconds.
    pub fn learn(&mut self, station: usize, came: u64, spoke: u64) {
        let known = self.0.iter().position(|(at, _)| *at == station);
        let index = known.unwrap_or_else(|| {
            self.0.push((station, VecDeque::new()));
            self.0.len() - 1
        });
        let Some((_, newest)) = self.0.get_mut(index) else { return };
        if newest.len() >= REMEMBERED {
            newest.pop_front();
        }
        let ms = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        newest.push_back(ms(spoke).saturating_sub(ms(came)));
    }

    /// Between which times all but so many tenths at either end are, seconds; nothing until enough are known.
    pub fn between(&self, station: usize, tenths: usize) -> Option<(f64, f64)> {
        let (_, newest) = self.0.iter().find(|(at, newest)| *at == station && newest.len() >= ENOUGH)?;
        let mut sorted: Vec<i64> = newest.iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len() - 1;
        let out = last * tenths / 10;
        // Times within a boot are far below 2^52 milliseconds.
        #[allow(clippy::cast_precision_loss)]
        let at = |index: usize| sorted.get(index).map(|ms| *ms as f64 / 1000.0);
        at(out).zip(at(last - out))
    }

    /// Follows a change of the layout.
    pub fn renumber(&mut self, new: impl Fn(usize) -> usize) {
        for (station, _) in &mut self.0 {
            *station = new(*station);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seldom_does_not_count() {
        let mut lags = Lags::default();
        for lag in 0..10 {
            lags.learn(1, 10_000, 9_000 + lag * 100);
            assert_eq!(lags.between(1, 1).is_some(), lag >= 4);
        }
        lags.learn(1, 10_000, 30_000);
        let (least, most) = lags.between(1, 1).unwrap();
        assert!((least + 0.9).abs() < 0.01 && most < 0.0, "{least} {most}");
        assert!(lags.between(0, 1).is_none());
    }
}
