//! What it costs to say that a vehicle was not noticed: by stations that it has passed, by sensors of a station that saw it, and
//! not yet, or no more, further on. A sensor that was lost or dead excuses those who passed meanwhile.

use interface::{ReadingKind, View};

use crate::kinds::Kinds;
use crate::plan::Plan;
use crate::scene::{Scene, Silence};
use crate::scoring::{SLOW_M_S, Span, seconds};

/// What it costs at most to say that a vehicle came into the lane behind the first stations, unnoticed by them: one in two
/// hundred does.
const JOINED: f64 = 7.3;
/// The same at least, though the sensors there were silent just then.
const UNNOTICED: f64 = 4.5;
/// What it costs at most to say that a vehicle was not noticed any more: one in thirty is sent out of the lane.
const SENT_OUT: f64 = 3.5;
/// That a sensor is lost is told so much later, milliseconds.
const NOTICED_MS: u64 = 15_000;
/// A vehicle is on its way for so much longer than it drives, as far as is asked, seconds.
const ON_THE_WAY_S: f64 = 20.0;
/// What it costs less to be still on the way after some time than to arrive just then.
const STILL: f64 = 1.0;
/// Readings come at most so long after the vehicle has left, milliseconds; a portal's may be later.
const DUE_MS: u64 = 12_000;
const PORTAL_DUE_MS: u64 = 40_000;
/// The same as long as it may stand in the portal still, off its loop.
const STOOD_DUE_MS: u64 = 150_000;

impl Scene<'_> {
    /// Not to have been noticed at the posts from `from` to before `to`, which it passed within this time.
    pub(crate) fn unseen(&self, from: usize, to: usize, during: (u64, u64)) -> f64 {
        let before = |post: usize| self.learned.unseen_before.get(post).copied().unwrap_or(0.0);
        let silent = self.silences.iter().filter(|silence| {
            (from..to).contains(&silence.post)
                && silence.meets((during.0, during.1.saturating_add(NOTICED_MS)))
        });
        (before(to) - before(from) - silent.map(|silence| silence.saves).sum::<f64>()).max(0.0)
    }

    /// To have come to a post unnoticed by all before.
    pub(crate) fn joined(&self, post: usize, span: &Span) -> f64 {
        let least = if Plan::station_of(post) > self.plan.first { UNNOTICED } else { 0.0 };
        self.unseen(0, post, self.on_its_way(post, span.from)).clamp(least, JOINED)
    }

    /// When a vehicle that came to a post then may have passed those before.
    fn on_its_way(&self, post: usize, came: u64) -> (u64, u64) {
        let metres = (self.plan.post_m(post) - self.plan.position_m(self.plan.first)).abs();
        // Saturates; positions are finite.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let most = ((metres / SLOW_M_S + ON_THE_WAY_S) * 1000.0) as u64;
        (came.saturating_sub(most), came)
    }

    /// What that a kind of reading is missing costs less because it could not come from a post at a time.
    fn is_silent(&self, post: usize, kind: ReadingKind, during: (u64, u64)) -> Option<f64> {
        let silent =
            |silence: &&Silence| (silence.post, silence.kind) == (post, kind) && silence.meets(during);
        self.silences.iter().find(silent).map(|silence| silence.saves)
    }

    /// Not to have been noticed by some sensors of a post where others did, and until when that costs the same if nothing else is
    /// seen, monotonic milliseconds.
    pub(crate) fn lacking(&self, post: usize, kinds: Kinds, span: &Span, last: bool) -> (f64, u64) {
        let Some(expected) = self.learned.expected.get(post) else { return (0.0, u64::MAX) };
        let mut cost = 0.0;
        let excused = self.silences.iter().any(|silence| silence.post == post && silence.saves > 0.0);
        let mut until = if span.open && excused { self.now } else { u64::MAX };
        for (kind, missed) in expected.iter().filter(|(kind, _)| !kinds.has(*kind)) {
            let due = if *kind != ReadingKind::Radiation {
                DUE_MS
            } else if last {
                STOOD_DUE_MS
            } else {
                PORTAL_DUE_MS
            };
            let due = span.to.saturating_add(due);
            if *kind == ReadingKind::Presence || (!span.open && self.now > due) {
                let until = if span.open { self.now } else { span.to.saturating_add(NOTICED_MS) };
                let during = (span.from, until);
                cost += missed - self.is_silent(post, *kind, during).unwrap_or(0.0);
            } else if !span.open {
                until = until.min(due);
            }
        }
        // A tractor is read from the front and its trailer from the rear.
        let due = span.to.saturating_add(DUE_MS);
        let read = kinds.has(ReadingKind::Plate) && !span.open;
        let ends = self.learned.views.get(post).filter(|_| read).into_iter().flatten().zip(View::ALL);
        for (missed, _) in ends.filter(|(_, view)| kinds.0 & Kinds::end(**view) == 0) {
            if self.now > due {
                cost += missed;
            } else {
                until = until.min(due);
            }
        }
        (cost.min(8.0), until)
    }

    /// Not to have been noticed yet, or any more, after `last`.
    pub(crate) fn to_come(&self, last: usize, span: &Span, overtaken: bool) -> f64 {
        let most = self.unseen(last + 1, self.plan.posts(), (span.to, self.now)).min(SENT_OUT);
        if overtaken || most == 0.0 {
            return most;
        }
        if span.open {
            return 0.0;
        }
        // To have stood for so long is as seldom on the way as before it is noticed again.
        let next = (last + 1..self.plan.posts()).find(|post| self.has_loop(*post));
        let Some(next) = next.or_else(|| (last + 1..self.plan.posts()).rfind(|post| self.is_fitted(*post)))
        else {
            return 0.0;
        };
        let Some([any, looped]) = self.learned.ways.get(last * self.plan.posts() + next) else { return 0.0 };
        let way = if span.by_presence { looped } else { any };
        let ahead = self.seen.iter().rev().find(|seen| seen.post == next && seen.span.by_presence);
        let left = ahead.map(|seen| if seen.span.open { self.now } else { seen.span.to });
        let gone = self.gone(next).rfind(|trace| trace.by_presence).map(|trace| trace.to);
        let blocked = left.max(gone);
        let taken = way.taken(seconds(span.to, self.now), blocked.map(|left| seconds(span.to, left)), true);
        // Who has reached the next loop since was before this one, where one after the other stops.
        let before = ahead.filter(|seen| !span.by_presence && seen.span.from > span.from);
        let alone = before.map_or(0.0, |seen| {
            let since = |at: u64| seconds(span.from, at);
            way.late(since(seen.span.from), seen.blocked.map(since))
        });
        ((taken - STILL).max(0.0) + alone).min(most)
    }

    fn is_fitted(&self, post: usize) -> bool {
        let now = (self.now, self.now);
        let kinds = self.learned.expected.get(post);
        kinds.is_some_and(|kinds| kinds.iter().any(|(kind, _)| self.is_silent(post, *kind, now).is_none()))
    }

    fn has_loop(&self, post: usize) -> bool {
        let kinds = self.learned.expected.get(post);
        let now = (self.now, self.now);
        kinds.is_some_and(|kinds| kinds.iter().any(|(kind, _)| *kind == ReadingKind::Presence))
            && self.is_silent(post, ReadingKind::Presence, now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::travel::Travel;
    use std::cell::RefCell;

    #[test]
    fn a_lost_sensor_excuses_those_who_passed_while_it_was_silent_and_no_others() {
        let (plan, travel) = (Plan::looped(&[0.0, 30.0]), Travel::default());
        let offline = |station: usize, _| (station == 0).then_some((1_000_000, 1_100_000));
        let prices = RefCell::default();
        let scene = Scene::new(&plan, &travel, 2_000_000, &[], &offline, &|_, _| 0, &prices);
        let entry = |during| scene.unseen(0, 3, during);
        assert!(entry((1_010_000, 1_050_000)) == 0.0);
        assert!(entry((900_000, 950_000)) > 4.0 && entry((1_200_000, 1_250_000)) > 4.0);
        assert!(scene.unseen(3, 6, (1_010_000, 1_050_000)) > 4.0);
    }
}
