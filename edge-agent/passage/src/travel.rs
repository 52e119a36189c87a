//! How long vehicles take from post to post, and how often a sensor notices them, learned from the lane itself.

use std::collections::VecDeque;

use interface::ReadingKind;
use serde::{Deserialize, Serialize};

use crate::lags::Lags;
use crate::length_class::LengthClasses;
use crate::plan::Plan;

/// Times that are remembered for each way.
const REMEMBERED: usize = 64;
/// With fewer times than this the lane is judged by its length alone.
const ENOUGH: usize = 10;
/// Nothing drives faster than this in a checkpoint lane, m/s.
pub(crate) const FASTEST_M_S: f64 = 25.0;
/// A vehicle can reach the next station this far before its rear has left the one before, metres: the longest road train
/// is 25 m.
pub(crate) const LONGEST_M: f64 = 25.0;
/// From the moment when a vehicle has left a post until the one behind, which waited for it, stands there: usual, seconds.
const FOLLOWS_S: f64 = 3.0;
/// The same, but likely, in a lane that is not known yet.
const UNKNOWN_FAST_M_S: f64 = 14.0;
/// In no lane does nobody ever drive as fast as this, m/s: where everybody seems slower, all have queued.
const EVERYWHERE_M_S: f64 = 5.0;
/// What it costs at most to have found the lane free where the latest ones had to wait.
const FREE: f64 = 2.5;
/// The part that each vehicle of a queue forgets of how fast others were without one.
const FORGOTTEN: f64 = 0.002;
/// What is believed of a sensor before vehicles were counted weighs as much as this many of them.
const BELIEF: f64 = 20.0;
/// Counts are halved when they come to this, so that a sensor's present state counts most.
const COUNTED: f64 = 200.0;
/// A sensor that has missed so many vehicles in a row is taken for dead, and what it costs to have been missed by it then.
const DEAD: u32 = 3;
pub(crate) const DEAD_COST: f64 = 1.0;
/// The least and the greatest spread of a time that is believed, seconds.
const SPREAD_S: (f64, f64) = (0.5, 30.0);

/// How long after it came to a station the tag of a vehicle is heard first, before that is known, seconds: its reader hears it
/// from further away than cameras see it.
const UNKNOWN_TAG_S: (f64, f64) = (-3.5, 1.5);

/// Vehicles of a lane are heard within this much of each other, dB.
const WEAKER_DB: f64 = 7.0;

/// The greatest spread that is believed between two loops, and beside that the least speed, m/s.
const BETWEEN_LOOPS_S: f64 = 6.0;
const SLOWLY_M_S: f64 = 1.5;

/// Times of one way, milliseconds: from leaving one post to reaching the other, and from reaching to reaching.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    from: usize,
    to: usize,
    newest: VecDeque<(i64, i64)>,
    usual: Option<Usual>,
}

/// Tenth percentile, median and ninetieth percentile of the time from leaving to reaching, and the tenth percentile of the time
/// from reaching to reaching, milliseconds. Times are negative if a long vehicle stands at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Usual {
    low: i64,
    middle: i64,
    high: i64,
    fronts: i64,
}

/// How often a kind of reading was missing at a post.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Habit {
    post: usize,
    kind: ReadingKind,
    missed: f64,
    of: f64,
    /// How many vehicles in a row were missed, up to the latest.
    #[serde(default)]
    in_a_row: u32,
}

/// Vehicles whose plate was read at a post, and how many of them were not read from the front, and from the rear.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Views {
    post: usize,
    missed: [f64; 2],
    of: f64,
}

/// What is known of all ways and posts of a lane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Travel {
    times: Vec<Times>,
    habits: Vec<Habit>,
    /// How often a vehicle whose plate was read at a post was read from the front, and from the rear.
    #[serde(default)]
    views: Vec<Views>,
    /// How well the latest vehicles of the lane were heard at each post, dBm.
    signals: Vec<(usize, VecDeque<f64>)>,
    /// How long after a vehicle came to a station, where no loop tells, its tag was heard first.
    #[serde(default)]
    pub tag_lags: Lags,
    /// How long after a vehicle came onto the loop of a station its front plate was read first.
    #[serde(default)]
    pub front_lags: Lags,
    /// How fast the latest vehicles were from loop to loop, m/s.
    speeds: VecDeque<f64>,
    fast_m_s: Option<f64>,
    /// How long cars and lorries are over its loops.
    #[serde(default)]
    pub classes: LengthClasses,
}

/// What a way usually takes, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Way {
    /// From leaving to reaching, and how far it spreads to either side.
    usual: f64,
    early: f64,
    late: f64,
    /// What a second costs that it was faster, at most.
    haste: f64,
    /// From reaching to reaching, the least that is usual.
    fronts: f64,
    /// The least from leaving to reaching for one who finds the lane free, and from reaching to reaching.
    free: f64,
    free_fronts: f64,
}

impl Way {
    /// What it costs to have taken this long from leaving one post to reaching the other; the vehicle before left that one so
    /// long after this one had left the first. The density of Laplace's distribution, with a heavier tail for those who wait.
    pub fn taken(&self, taken: f64, blocked: Option<f64>, looped: bool) -> f64 {
        let ready = blocked.map_or(f64::MIN, |left| left + FOLLOWS_S);
        let (usual, early, late) = if ready > self.usual {
            (
                ready,
                self.early.max(1.5),
                if looped { self.late.clamp(2.0, 4.0) } else { self.late.clamp(6.0, 12.0) },
            )
        } else {
            (self.usual, self.early, self.late)
        };
        let off = taken - usual;
        if off < 0.0 {
            let over = (-off - 0.7 * early).max(0.0);
            let most = if taken >= self.free { FREE } else { 14.0 };
            return (over * self.haste.min(1.0 / early)).min(most);
        }
        // One vehicle in a hundred stands for minutes without a reason.
        let waits = 0.6 + 0.9 * (1.0 + off / 6.0).ln() + (off / 60.0).min(2.0);
        (off / late - 0.7).max(0.0).min(waits)
    }

    /// What it costs to have taken at least this long.
    pub fn late(&self, taken: f64, blocked: Option<f64>) -> f64 {
        let ready = blocked.map_or(self.usual, |left| self.usual.max(left + FOLLOWS_S));
        if taken > ready { self.taken(taken, blocked, true) } else { 0.0 }
    }

    /// What it costs to have reached the other post so long after the first.
    pub fn fronts(&self, since: f64) -> f64 {
        let most = if since >= self.free_fronts { FREE } else { f64::INFINITY };
        (0.6 * (0.7 * self.fronts - since).clamp(0.0, 12.0)).min(most)
    }
}

impl Travel {
    /// A vehicle reached post `to` so long after it left and after it reached post `from`, milliseconds.
    pub fn learn(&mut self, from: usize, to: usize, taken_ms: i64, fronts_ms: i64) {
        let known = self.times.iter().position(|times| (times.from, times.to) == (from, to));
        let index = known.unwrap_or_else(|| {
            self.times.push(Times { from, to, newest: VecDeque::new(), usual: None });
            self.times.len() - 1
        });
        let Some(times) = self.times.get_mut(index) else { return };
        if times.newest.len() >= REMEMBERED {
            times.newest.pop_front();
        }
        times.newest.push_back((taken_ms, fronts_ms));
        if times.newest.len() < ENOUGH {
            return;
        }
        let mut taken: Vec<i64> = times.newest.iter().map(|(taken, _)| *taken).collect();
        let mut fronts: Vec<i64> = times.newest.iter().map(|(_, fronts)| *fronts).collect();
        taken.sort_unstable();
        fronts.sort_unstable();
        let at = |sorted: &[i64], tenths: usize| sorted.get(sorted.len() * tenths / 10).copied().unwrap_or(0);
        times.usual = Some(Usual {
            low: at(&taken, 1),
            middle: at(&taken, 5),
            high: at(&taken, 9),
            fronts: at(&fronts, 1),
        });
    }

    /// A vehicle was, or was not, noticed at a post by the sensors of this kind.
    pub fn count(&mut self, post: usize, kind: ReadingKind, missed: bool) {
        let known = self.habits.iter().position(|habit| habit.post == post && habit.kind == kind);
        let index = known.unwrap_or_else(|| {
            self.habits.push(Habit { post, kind, missed: 0.0, of: 0.0, in_a_row: 0 });
            self.habits.len() - 1
        });
        let Some(habit) = self.habits.get_mut(index) else { return };
        habit.of += 1.0;
        habit.missed += f64::from(u8::from(missed));
        habit.in_a_row = if missed { habit.in_a_row.saturating_add(1) } else { 0 };
        if habit.of >= COUNTED {
            habit.of /= 2.0;
            habit.missed /= 2.0;
        }
    }

    /// The plate of a vehicle was read at a post from these ends, front and rear; from one at least.
    pub fn count_views(&mut self, post: usize, read: [bool; 2]) {
        let known = self.views.iter().position(|views| views.post == post);
        let index = known.unwrap_or_else(|| {
            self.views.push(Views { post, missed: [0.0; 2], of: 0.0 });
            self.views.len() - 1
        });
        let Some(views) = self.views.get_mut(index) else { return };
        views.of += 1.0;
        for (missed, read) in views.missed.iter_mut().zip(read) {
            *missed += f64::from(u8::from(!read));
        }
        if views.of >= COUNTED {
            views.of /= 2.0;
            views.missed = views.missed.map(|missed| missed / 2.0);
        }
    }

    /// What it costs to say that a vehicle whose plate was read at a post was not read from the front, and from the rear;
    /// nothing until that is known to be seldom.
    pub fn missed_views(&self, post: usize) -> [f64; 2] {
        let views = self.views.iter().find(|views| views.post == post && views.of >= BELIEF / 2.0);
        views.map_or([0.0; 2], |views| {
            views.missed.map(|missed| -((missed + 0.1 * BELIEF) / (views.of + 0.2 * BELIEF)).min(1.0).ln())
        })
    }

    /// A vehicle drove this fast from loop to loop, m/s.
    pub fn drove(&mut self, speed_m_s: f64) {
        if self.speeds.len() >= REMEMBERED {
            self.speeds.pop_front();
        }
        self.speeds.push_back(speed_m_s);
        if self.speeds.len() >= ENOUGH {
            let mut sorted: Vec<f64> = self.speeds.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            let usual = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(UNKNOWN_FAST_M_S);
            let usual = (1.25 * usual).clamp(EVERYWHERE_M_S, FASTEST_M_S);
            // A queue is no reason to forget how fast they are without one.
            let known = self.fast_m_s.unwrap_or(usual);
            self.fast_m_s = Some(if usual > known { usual } else { known + FORGOTTEN * (usual - known) });
        }
    }

    /// Faster than this hardly anybody drives in this lane, m/s.
    pub fn fast_m_s(&self) -> f64 {
        self.fast_m_s.unwrap_or(UNKNOWN_FAST_M_S)
    }

    /// A vehicle of this lane was heard at a post, at best this well, dBm.
    pub fn heard(&mut self, post: usize, best_dbm: f64) {
        let known = self.signals.iter().position(|(at, _)| *at == post);
        let index = known.unwrap_or_else(|| {
            self.signals.push((post, VecDeque::new()));
            self.signals.len() - 1
        });
        let Some((_, newest)) = self.signals.get_mut(index) else { return };
        if newest.len() >= REMEMBERED {
            newest.pop_front();
        }
        newest.push_back(best_dbm);
    }

    /// How long after it came to a station the tag of a vehicle is heard first: between these, usually, seconds.
    pub fn tag_s(&self, station: usize) -> (f64, f64) {
        self.tag_lags.between(station, 2).unwrap_or(UNKNOWN_TAG_S)
    }

    /// How well vehicles of this lane are usually heard at a post, dBm; `None` until enough were.
    pub fn signal(&self, post: usize) -> Option<f64> {
        let (_, newest) = self.signals.iter().find(|(at, newest)| *at == post && newest.len() >= ENOUGH)?;
        let mut sorted: Vec<f64> = newest.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    /// How much weaker a contact at a post is than any of vehicles in this lane, dB; 0 until that is known.
    pub fn weaker_db(&self, post: usize, best_dbm: f64) -> f64 {
        self.signal(post).map_or(0.0, |usual| (usual - WEAKER_DB - best_dbm).max(0.0))
    }

    /// What it costs to say that a vehicle passed a post without being noticed by sensors of this kind.
    pub fn missed(&self, post: usize, kind: ReadingKind) -> f64 {
        let believed = match kind {
            ReadingKind::Presence | ReadingKind::Radiation => 0.007,
            ReadingKind::Plate | ReadingKind::Dimensions => 0.05,
            ReadingKind::Weight => 0.1,
            ReadingKind::Anomaly | ReadingKind::Tag | ReadingKind::Seal => return 0.0,
            _ => 0.5,
        };
        let habit = self.habits.iter().find(|habit| habit.post == post && habit.kind == kind);
        let (missed, of) = habit.map_or((0.0, 0.0), |habit| (habit.missed, habit.of));
        -((missed + believed * BELIEF) / (of + BELIEF)).ln()
    }

    /// Whether the sensors of this kind at a post have missed so many vehicles in a row that they are taken for dead.
    pub fn is_dead(&self, post: usize, kind: ReadingKind) -> bool {
        let habit = self.habits.iter().find(|habit| habit.post == post && habit.kind == kind);
        habit.is_some_and(|habit| habit.in_a_row >= DEAD)
    }

    /// What a way of `metres` usually takes. Without a loop at its start (`sure`) the time of leaving is only that of a reading;
    /// `looped` is whether there are loops at both ends.
    pub fn way(&self, from: usize, to: usize, metres: f64, sure: bool, looped: bool) -> Way {
        let learned = self
            .times
            .iter()
            .find(|times| (times.from, times.to) == (from, to))
            .and_then(|times| times.usual);
        #[allow(clippy::cast_precision_loss)]
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let (low, middle, high, fronts) = match learned {
            Some(usual) => {
                (seconds(usual.low), seconds(usual.middle), seconds(usual.high), seconds(usual.fronts))
            }
            None if !sure => (-20.0, metres / 5.0, metres / 2.0 + 20.0, -20.0),
            None => {
                let low = ((metres - LONGEST_M) / 12.0).clamp(-4.0, 60.0);
                (low, low.max(metres / 6.0), metres / 2.0 + 10.0, metres / 10.0)
            }
        };
        // A tenth lies beyond 1.6 times the spread of Laplace's distribution.
        let most = if looped { BETWEEN_LOOPS_S } else { SPREAD_S.1 };
        let spread = |width: f64| (width / 1.6).clamp(SPREAD_S.0, most);
        // Nobody has a reason to stop between two loops. If many seem to have, they were taken for each other.
        let middle = if looped { middle.min(metres / SLOWLY_M_S + BETWEEN_LOOPS_S) } else { middle };
        // A long vehicle reaches the next post before it has left this one, and may stand so for any time.
        let haste = if !sure || metres < LONGEST_M { 0.02 } else { 1.0 };
        let free = (metres - LONGEST_M).max(0.6 * metres) / self.fast_m_s();
        Way {
            usual: middle,
            early: spread(middle - low),
            late: spread(high - middle),
            haste,
            fronts,
            free,
            free_fronts: metres / self.fast_m_s(),
        }
    }

    /// Follows a change of the layout.
    pub fn renumber(&mut self, station: impl Fn(usize) -> usize) {
        let new = Plan::moved_post(&station);
        for times in &mut self.times {
            (times.from, times.to) = (new(times.from), new(times.to));
        }
        for habit in &mut self.habits {
            habit.post = new(habit.post);
        }
        for views in &mut self.views {
            views.post = new(views.post);
        }
        for (post, _) in &mut self.signals {
            *post = new(*post);
        }
        self.tag_lags.renumber(&station);
        self.front_lags.renumber(&station);
        self.classes.renumber(&new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_does_not_make_forget_how_fast_a_free_lane_is() {
        let mut travel = Travel::default();
        for _ in 0..20 {
            travel.drove(8.0);
        }
        for _ in 0..100 {
            travel.drove(1.5);
            // From loop to loop over 40 m it took a minute.
            travel.learn(0, 3, 60_000, 70_000);
        }
        assert!(travel.fast_m_s() > 8.0, "{}", travel.fast_m_s());
        let way = travel.way(0, 3, 40.0, true, true);
        assert!(way.taken(4.0, None, true) <= FREE, "{}", way.taken(4.0, None, true));
        assert!(way.fronts(6.0) <= FREE, "{}", way.fronts(6.0));
        // But nothing flies.
        assert!(way.taken(0.1, None, true) > FREE && way.fronts(2.0) > FREE);
    }

    #[test]
    fn a_lane_that_has_seen_only_queues_does_not_believe_that_nobody_drives_faster() {
        let mut travel = Travel::default();
        for _ in 0..20 {
            travel.drove(1.5);
        }
        assert!(travel.fast_m_s() >= 5.0, "{}", travel.fast_m_s());
    }
}
