//! What speaks for and against the visits of one post being of one vehicle.

use interface::View;

use crate::plan::Plan;
use crate::scene::Seen;
use crate::scoring::{Span, seconds};

/// Occupancies that follow each other within this time may be of a tractor and its trailer, milliseconds.
const COUPLED_MS: u64 = 1_500;
/// A loop that lost an edge between two vehicles was not covered by one all the time.
const LOST_BETWEEN: f64 = 7.0;
/// No vehicle is over a loop for less, seconds: 4 m at 10 m/s.
const BLIP_S: f64 = 0.4;
/// One vehicle leaves a place and the next one stands there so much later at least, seconds.
pub(crate) const CHANGES_S: f64 = 5.0;
/// Even when they move off from standing bumper to bumper, a loop is free between two vehicles for longer than this, seconds: it
/// takes a driver a second to follow. What a second less costs.
const FOLLOWS_CLOSELY_S: f64 = 1.3;
const CLOSE_BEHIND: f64 = 7.0;

/// Who was at a post before, as what was seen there tells one after the other.
#[derive(Default)]
pub(crate) struct Before {
    /// When the last one left, as far as is known.
    pub left: Option<u64>,
    /// When the last one came onto the loop, and when the one before that had left it.
    pub ahead: Option<(u64, Option<u64>)>,
    /// When the loop was left, if that is sure.
    pub follows: Option<u64>,
}

impl Before {
    /// Somebody was there; `looped` is whether the post has a loop that tells.
    pub fn pass(&mut self, span: &Span, looped: bool) {
        if span.by_presence {
            // What follows so closely may be the trailer of the same vehicle.
            let same = self.left.is_some_and(|left| span.from < left.saturating_add(COUPLED_MS));
            self.ahead = self.ahead.filter(|_| same).or(Some((span.from, self.left)));
            self.left = Some(span.to);
            self.follows = Some(span.to).filter(|_| !span.open && span.sure.1);
        } else if !looped {
            // As far as is known.
            self.left = Some(span.to);
        }
    }
}

/// What it costs to say that this is the first visit of its vehicle at a place where one after the other stops.
pub(crate) fn changed(first: &Seen) -> f64 {
    let since = first.blocked.filter(|_| !first.span.by_presence && Plan::is_measuring_post(first.post));
    since.map_or(0.0, |left| (0.6 * (CHANGES_S - seconds(left, first.span.from))).max(0.0))
}

/// What it costs to say that a loop was covered by the next vehicle so soon.
pub(crate) fn close_behind(first: &Seen) -> f64 {
    let gap = first.follows.map(|left| seconds(left, first.span.from));
    gap.map_or(0.0, |gap| (CLOSE_BEHIND * (FOLLOWS_CLOSELY_S - gap)).clamp(0.0, 9.0))
}

/// What it costs to say that `next` is of the same vehicle as `one`, the visit before it at the post.
pub(crate) fn again(one: &Seen, next: &Seen) -> f64 {
    let gap = seconds(one.span.to, next.span.from).max(0.0);
    match (one.span.by_presence, next.span.by_presence) {
        // It came again without having left.
        (true, true) if !one.span.sure.1 || !next.span.sure.0 => LOST_BETWEEN,
        // The loop has lost a trailer for the gap behind its tractor.
        // That is short beside the tractor and the trailer, unless the vehicle stops just then.
        (true, true) => {
            let lasts = |span: &Span| seconds(span.from, span.to).max(0.1);
            let shortest = lasts(&one.span).min(if next.span.open { f64::MAX } else { lasts(&next.span) });
            if shortest < BLIP_S && gap < 1.0 {
                return 1.0 + gap;
            }
            let seldom = if gap < 0.25 {
                1.0
            } else if gap < 0.5 {
                2.0
            } else {
                3.0
            };
            // A trailer is not read from the front.
            let (most, each_s, longest) = if next.plates.iter().any(|(view, ..)| *view == View::Front) {
                (15.0, 0.3, 15.0)
            } else {
                (9.0, 0.05, 4.0)
            };
            (seldom + (2.0 * (gap - 0.75)).clamp(0.0, 5.0) + 4.0 * (gap / shortest - 0.4).max(0.0)).min(most)
                + (each_s * (gap - 15.0)).clamp(0.0, longest)
        }
        (false, false) => 0.3 + (0.03 * (gap - 5.0).max(0.0)).min(8.0),
        _ => 1.0 + (0.2 * (gap - 2.0).max(0.0)).min(4.0),
    }
}
