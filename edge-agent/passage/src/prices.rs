//! What courses were found to cost, kept from one look at a lane to the next: most of what is tried has been tried before, and
//! what a course costs by where it has been changes only when the lane has learned something or a sensor falls silent.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::identity;
use crate::learned::Learned;
use crate::plan::Plan;
use crate::pricing::SoFar;
use crate::scene::{Seen, Silence};
use crate::travel::Travel;

/// Prices, visits or distances that are kept; with more of any, all are forgotten before the next look.
const KEPT: usize = 16_384;

/// Prices by what they depend on. It never changes what a lane decides: that is why two lanes that differ in it are the same.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    learned: Option<Arc<Learned>>,
    silences: Vec<Silence>,
    /// Numbers of names.
    texts: HashMap<String, u64, FixedState>,
    /// How far two names are apart, by their numbers.
    distances: HashMap<(u64, u64), f64, FixedState>,
    /// Numbers of visits, by all that their costs need.
    visits: HashMap<Vec<u64>, u32, FixedState>,
    /// By the numbers of their visits.
    courses: HashMap<Box<[u32]>, SoFar, FixedState>,
}

impl Clone for Prices {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Prices {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Prices {
    /// Makes ready for a look at a lane: what was learned of it, as its posts see it.
    pub fn learned(&mut self, plan: &Plan, travel: &Travel) -> Arc<Learned> {
        let most = self.courses.len().max(self.visits.len()).max(self.distances.len()).max(self.texts.len());
        if most > KEPT {
            self.forget();
        }
        self.learned.get_or_insert_with(|| Arc::new(Learned::of(plan, travel))).clone()
    }

    /// Forgets what depends on when sensors were silent, if that has changed.
    pub fn silent(&mut self, silences: &[Silence]) {
        let excuses = || silences.iter().filter(|silence| silence.saves > 0.0);
        if !self.silences.iter().eq(excuses()) {
            self.courses.clear();
            self.silences = excuses().copied().collect();
        }
    }

    /// Forgets everything: the lane has learned something.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The number of a name.
    fn text(&mut self, text: &str) -> u64 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let number = self.texts.len() as u64;
        self.texts.insert(text.to_owned(), number);
        number
    }

    /// How far two names are apart.
    pub fn distance(&mut self, a: &str, b: &str) -> f64 {
        let pair = (self.text(a), self.text(b));
        *self.distances.entry(pair).or_insert_with(|| identity::distance(a, b))
    }

    /// The number of a visit, by all that its costs need. `texts` are the names that it has numbers of.
    pub fn visit(&mut self, seen: &Seen, texts: &[&str]) -> u32 {
        let needs = self.needs(seen, texts);
        if let Some(known) = self.visits.get(&needs) {
            return *known;
        }
        // Far fewer than prices.
        let number = u32::try_from(self.visits.len()).unwrap_or(u32::MAX);
        self.visits.insert(needs, number);
        number
    }

    /// What the course of these visits costs, if that is known and still so at `now`.
    pub fn known(&self, visits: &[u32], now: u64) -> Option<SoFar> {
        self.courses.get(visits).copied().filter(|known| now <= known.until)
    }

    pub fn keep(&mut self, visits: &[u32], found: SoFar) {
        self.courses.insert(visits.into(), found);
    }

    /// Everything of a visit that the cost of a course leans on.
    fn needs(&mut self, seen: &Seen, texts: &[&str]) -> Vec<u64> {
        let span = &seen.span;
        let (settled, most) = seen.weighed.kilograms();
        let numbers = [
            seen.lock,
            seen.tie,
            seen.blocked,
            seen.follows,
            seen.ahead.map(|(came, _)| came),
            seen.ahead.and_then(|(_, left)| left),
            seen.behind,
            seen.reached_before,
            seen.left_at_last,
            settled.map(i64::cast_unsigned),
            most.map(i64::cast_unsigned),
        ];
        let is_there = numbers.iter().map(Option::is_some);
        let flags = [span.open, span.by_presence, span.sure.0, span.sure.1, seen.away, seen.alarm];
        let flags = flags.into_iter().chain(is_there).fold(0, |all, flag| all << 1 | u64::from(flag));
        let mut name = |number: usize| self.text(texts.get(number).copied().unwrap_or_default());
        let mut needs = vec![
            seen.post as u64,
            span.from,
            span.to,
            flags,
            u64::from(seen.kinds.0),
            seen.size.least_m.to_bits(),
            seen.size.most_m.to_bits(),
        ];
        needs.extend(seen.odds.map(f64::to_bits));
        needs.extend(numbers.map(Option::unwrap_or_default));
        for (view, text, read) in &seen.plates {
            needs.extend([*view as u64, name(*text), read.to_bits()]);
        }
        // Ends the plates.
        needs.push(u64::MAX);
        for (kind, text) in &seen.keys {
            needs.extend([*kind as u64, name(*text)]);
        }
        needs.push(u64::MAX);
        needs.extend(seen.tags.iter().map(|text| name(*text)));
        needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_is_promised() {
        let (plan, travel) = (Plan::looped(&[0.0, 30.0]), Travel::default());
        let mut prices = Prices::default();
        for number in 0..3 * KEPT {
            prices.learned(&plan, &travel);
            prices.distance(&number.to_string(), "A123");
            assert!(prices.texts.len() <= KEPT + 2 && prices.distances.len() <= KEPT + 1, "{number}");
        }
    }
}
