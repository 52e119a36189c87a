//! How long vehicles take from station to station, learned from the lane itself.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Times that are remembered for each way.
const REMEMBERED: usize = 64;
/// With fewer times than this the lane is judged by its length alone.
const ENOUGH: usize = 12;
/// Nothing drives faster than this in a checkpoint lane, m/s.
pub(crate) const FASTEST_M_S: f64 = 25.0;
/// A vehicle can reach the next station this far before its rear has left the one before, metres: the longest road train
/// is 25 m.
pub(crate) const LONGEST_M: f64 = 25.0;

/// What a way usually takes, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usual {
    /// From leaving one station to reaching the other, the tenth and the ninetieth percentile; negative if a long vehicle
    /// stands at both.
    pub low: i64,
    pub high: i64,
    /// From reaching one to reaching the other, the tenth percentile.
    pub fronts: i64,
}

/// Times of one way, milliseconds: from leaving one station to reaching the other, and from reaching to reaching.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Way {
    from: usize,
    to: usize,
    newest: VecDeque<(i64, i64)>,
    usual: Option<Usual>,
}

/// What is known of all ways of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Travel {
    ways: Vec<Way>,
}

impl Travel {
    /// A vehicle reached station `to` so long after it left and after it reached station `from`, milliseconds.
    pub fn learn(&mut self, from: usize, to: usize, taken_ms: i64, fronts_ms: i64) {
        let known = self.ways.iter().position(|way| (way.from, way.to) == (from, to));
        let index = known.unwrap_or_else(|| {
            self.ways.push(Way { from, to, newest: VecDeque::new(), usual: None });
            self.ways.len() - 1
        });
        let Some(way) = self.ways.get_mut(index) else { return };
        if way.newest.len() >= REMEMBERED {
            way.newest.pop_front();
        }
        way.newest.push_back((taken_ms, fronts_ms));
        if way.newest.len() < ENOUGH {
            return;
        }
        let mut taken: Vec<i64> = way.newest.iter().map(|(taken, _)| *taken).collect();
        let mut fronts: Vec<i64> = way.newest.iter().map(|(_, fronts)| *fronts).collect();
        taken.sort_unstable();
        fronts.sort_unstable();
        let at = |sorted: &[i64], tenths: usize| sorted.get(sorted.len() * tenths / 10).copied().unwrap_or(0);
        way.usual = Some(Usual { low: at(&taken, 1), high: at(&taken, 9), fronts: at(&fronts, 1) });
    }

    /// What a way of `metres` usually takes, seconds: low, high, fronts. Without a loop (`sure`) the time of leaving or
    /// reaching is only that of a reading.
    pub fn usual(&self, from: usize, to: usize, metres: f64, sure: bool) -> (f64, f64, f64) {
        let learned = self.ways.iter().find(|way| (way.from, way.to) == (from, to)).and_then(|way| way.usual);
        #[allow(clippy::cast_precision_loss)]
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match learned {
            Some(usual) => (seconds(usual.low), seconds(usual.high), seconds(usual.fronts)),
            None if !sure => (-20.0, metres / 2.0 + 20.0, -20.0),
            None => (((metres - LONGEST_M) / 12.0).clamp(-4.0, 60.0), metres / 2.0 + 10.0, metres / 10.0),
        }
    }

    /// Follows a change of the layout.
    pub fn renumber(&mut self, new: impl Fn(usize) -> usize) {
        for way in &mut self.ways {
            (way.from, way.to) = (new(way.from), new(way.to));
        }
    }
}
