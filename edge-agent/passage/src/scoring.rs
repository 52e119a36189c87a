//! How well a group fits a passage. A cost is about a negative log-likelihood: 0 fits as well as can be, 1 is e times less
//! likely, negative speaks for the pair more than chance would. The constants are judgements about lanes of 20 to 300 m.

use std::fmt;

use interface::{ReadingKind, View};

use crate::alignment::IMPOSSIBLE;
use crate::group::{Group, Mark};
use crate::identity;
use crate::travel::{FASTEST_M_S, LONGEST_M};

/// Below this nothing is called driving, m/s: used for when a vehicle should have been somewhere.
pub(crate) const SLOW_M_S: f64 = 1.0;
/// Times of different sensors of one station may differ by this much, seconds.
const JITTER_S: f64 = 1.0;
/// What it costs to stand apart from every occupancy of a station with a loop.
pub(crate) const APART: f64 = 5.0;
/// What costs more than this is no alternative worth telling.
pub(crate) const CLEAR: f64 = 12.0;
/// A reading at a station whose loop has not seen the vehicle.
const NO_LOOP: f64 = 2.0;
/// A reading while the loop is covered, or a loop edge while another sensor sees the vehicle.
const TOGETHER: f64 = -1.0;
/// After the vehicle was seen to leave the lane.
const GONE: f64 = 8.0;
/// It was seen further along before.
const BACKWARDS: f64 = 8.0;

/// A time during which a vehicle was at a station, monotonic milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub from: u64,
    pub to: u64,
    /// Still there, as far as is known.
    pub open: bool,
    /// By a loop or light barrier.
    pub by_presence: bool,
    /// Number of the group that says so, if that one is doubtful.
    pub doubtful: Option<u64>,
}

/// When a passage was seen at another station.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Elsewhere {
    /// From there to here, metres.
    pub metres: f64,
    pub span: Span,
    /// What that way usually takes, seconds: see [`Travel::usual`](crate::travel::Travel::usual).
    pub usual: (f64, f64, f64),
}

/// What is known of a passage beside the track that is being placed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context<'a> {
    /// At this station.
    pub here: Option<Span>,
    /// The nearest station before this one where it was seen.
    pub before: Option<Elsewhere>,
    /// The same after this one.
    pub after: Option<Elsewhere>,
    /// By the loops before, it cannot have been here earlier; by the loops after, it cannot have come later.
    pub not_before: Option<u64>,
    pub not_after: Option<u64>,
    /// The vehicle before it was further on only later, so it was here until about then.
    pub free_from: Option<u64>,
    /// Plates that are known of it.
    pub plates: Vec<(View, &'a str)>,
    /// Tags, seals and containers that are known of it.
    pub keys: Vec<(ReadingKind, &'a str)>,
    /// When it left the lane.
    pub left_ms: Option<u64>,
}

/// A cost and what speaks for or against the pair, in words.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub cost: f64,
    pub time: When,
    pub identity: Option<&'static str>,
}

/// How the time of a group stands to what is known of a passage, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// Nothing to compare with.
    Unknown,
    /// Before the vehicle came to the station.
    Before(f64),
    /// After it came, while it was there.
    There(f64),
    /// After it left the station.
    After(f64),
    /// After it came to the station before, and the earliest that is possible.
    OnTheWay(f64, f64),
    /// Before it came to the station after.
    Ahead(f64),
    /// Before it can have been here.
    Early(f64),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time: ")?;
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Before(s) => write!(f, "{s:.1} s before it came here"),
            Self::There(s) => write!(f, "{s:.1} s after it came here"),
            Self::After(s) => write!(f, "{s:.1} s after it left here"),
            Self::OnTheWay(s, earliest) => {
                write!(f, "{s:.1} s after it came to the station before, possible from {earliest:.1} s")
            }
            Self::Early(s) => write!(f, "{s:.1} s before it can have been here"),
            Self::Ahead(s) => write!(f, "{s:.1} s before it came to the station after"),
        }
    }
}

/// Seconds from `from` to `to`; negative if `to` is earlier.
fn seconds(from: u64, to: u64) -> f64 {
    // Within a boot, far below 2^52 milliseconds.
    #[allow(clippy::cast_precision_loss)]
    let (from, to) = (from as f64, to as f64);
    (to - from) / 1000.0
}

/// What it costs to say that a radio contact belongs to the passage of `context`. `loop_here`: the station has a loop, so
/// that a vehicle which is here should be known to be.
pub(crate) fn radio(group: &Group, context: &Context<'_>, loop_here: bool) -> Fit {
    let at = group.anchor_ms();
    let (mut cost, time) = match &context.here {
        Some(span) => at_station(group, span),
        None => {
            // It is heard before it comes: only how far it is matters.
            let (cost, time) = on_the_way(at, at, context, None);
            (0.2 * cost.min(8.0) + if loop_here { NO_LOOP } else { 0.0 }, time)
        }
    };
    if context.left_ms.is_some_and(|left| seconds(left, at) > 5.0) {
        cost += GONE;
    }
    let (named, identity) = by_name(group, context);
    Fit { cost: (cost + named).min(IMPOSSIBLE), time, identity }
}

/// What it costs by time to say that a visit belongs to the passage of `context`; the vehicle before left at `blocked`.
pub(crate) fn visit(span: &Span, late: bool, context: &Context<'_>, blocked: Option<u64>) -> (f64, When) {
    let (mut cost, time) = on_the_way(span.from, span.to, context, blocked);
    if !late && context.left_ms.is_some_and(|left| seconds(left, span.from) > 5.0) {
        cost += GONE;
    }
    (cost.min(IMPOSSIBLE), time)
}

/// A rear plate comes after the front of its vehicle was seen, at a station without a loop.
pub(crate) fn rear(span: &Span, context: &Context<'_>) -> f64 {
    let Some(here) = &context.here else { return 0.5 };
    let after = seconds(here.from, span.from);
    if after < 1.0 { (2.0 * (1.0 - after)).min(8.0) } else { (0.03 * (after - 3.0)).clamp(0.0, 1.0) }
}

/// The vehicle is known to have been at the station.
pub(crate) fn at_station(group: &Group, span: &Span) -> (f64, When) {
    if group.track.kind == ReadingKind::Radiation {
        return radiation(group, span);
    }
    let t = group.anchor_ms();
    let early = seconds(t, span.from);
    let late = if span.open { 0.0 } else { seconds(span.to, t) };
    let inside = When::There(seconds(span.from, t));
    let view = if let Mark::Plate { view, .. } = &group.mark { Some(*view) } else { None };
    // Reach before and after the span, and what the distance from the edge it belongs to costs per second.
    let (lead, lag) = match (group.track.kind, view) {
        (_, Some(View::Front)) => (3.0, 0.5),
        (_, Some(View::Rear)) => (0.5, 3.0),
        (ReadingKind::Tag | ReadingKind::Seal, _) => (2.0, 2.0),
        _ => (1.0, 2.0),
    };
    let drift = match view {
        Some(View::Front) => 0.05 * seconds(span.from, t).abs().min(20.0),
        Some(View::Rear) if span.open => 0.3,
        Some(View::Rear) => 0.05 * seconds(span.to, t).abs().min(20.0),
        None => 0.05 * early.max(late).max(0.0),
    };
    if early > lead {
        // A vehicle is seen and heard while it waits for the one before.
        let (slope, most) = match (group.track.kind, view) {
            (_, Some(View::Front)) => (0.04, 4.0),
            (ReadingKind::Tag, _) => (0.2, 4.0),
            (ReadingKind::Seal, _) => (0.03, 3.0),
            _ => (1.2, IMPOSSIBLE),
        };
        return ((slope * (early - lead)).min(most) + drift, When::Before(early));
    }
    if late > lag {
        let over = late - lag;
        let slope = 1.2;
        return (slope * over + drift, When::After(late));
    }
    (if span.by_presence { TOGETHER + drift } else { drift }, inside)
}

/// A portal's result comes when the occupancy has ended, and says how long that was.
fn radiation(group: &Group, span: &Span) -> (f64, When) {
    let ended = group.last_ms;
    let late = seconds(span.to, ended);
    let began = seconds(span.from, group.first_ms).abs();
    let known = group.last_ms > group.first_ms;
    let mut cost = if known { (0.25 * (began - 1.0)).clamp(0.0, 4.0) } else { 0.0 };
    if span.open {
        // It has not ended, or its edge was lost.
        cost += if late > 0.0 { 0.5 } else { 2.0 };
        return (cost + TOGETHER, When::There(seconds(span.from, ended)));
    }
    if late < -1.0 {
        cost += (0.8 * (-late - 1.0)).min(10.0);
        return (
            cost,
            if seconds(span.from, ended) < 0.0 { When::Before(-late) } else { When::There(-late) },
        );
    }
    // Lateness without a device time says little.
    let slope = if group.has_device_time() || late > 60.0 { 1.0 } else { 0.15 };
    cost += slope * (late - 2.5).max(0.0);
    (cost.min(IMPOSSIBLE) + TOGETHER, When::After(late.max(0.0)))
}

/// The vehicle has not been seen here: could it be here from `from` to `to`? A lane is left in order: nobody reaches a
/// station while another stands there, so waiting for the one before costs nothing.
fn on_the_way(from: u64, to: u64, context: &Context<'_>, blocked: Option<u64>) -> (f64, When) {
    let mut cost = if context.before.is_none() && context.after.is_none() { 1.5 } else { 0.0 };
    let mut time = When::Unknown;
    if let Some(earliest) = context.not_before
        && seconds(from, earliest) > JITTER_S
    {
        return (IMPOSSIBLE, When::Early(seconds(from, earliest)));
    }
    if let Some(Elsewhere { metres, span, usual: (low, high, fronts) }) = &context.before {
        let since = seconds(span.from, from);
        time = When::OnTheWay(since, metres / FASTEST_M_S);
        cost += 0.6 * (0.7 * fronts - since).clamp(0.0, 12.0);
        if span.open {
            // Its rear has not left the station before: possible only for a long vehicle, or if the edge was lost.
            cost += (0.2 * (metres - 15.0)).clamp(0.0, 4.0);
        } else {
            let taken = seconds(span.to, from);
            let waited = blocked.map_or(*high, |left| seconds(span.to, left) + 3.0).max(*high);
            cost += both_at_once(*metres) * (low - taken).clamp(0.0, 12.0);
            let idle = (taken - waited).max(0.0);
            // One vehicle in a hundred stands for minutes without a reason.
            cost += 1.1 * (1.0 + idle / 6.0).ln() + (idle / 30.0).min(2.0);
        }
    }
    if let Some(Elsewhere { metres, span, usual: (low, high, fronts) }) = &context.after {
        if context.before.is_none() {
            time = When::Ahead(seconds(from, span.from));
        }
        if context.not_after.is_some_and(|latest| seconds(latest, from) > 2.0 * JITTER_S) {
            cost += BACKWARDS;
        } else {
            let taken = seconds(to, span.from);
            cost += 0.6 * (0.7 * fronts - seconds(from, span.from)).clamp(0.0, 10.0);
            cost += both_at_once(*metres) * (low - taken).clamp(0.0, 10.0);
            cost += 0.3 * (1.0 + (taken - high).max(0.0) / 6.0).ln();
        }
    }
    if let Some(free) = context.free_from {
        cost += 0.4 * seconds(from, free).clamp(0.0, 15.0);
    }
    (cost, time)
}

/// What a second costs that a vehicle reaches a station too early after it left the one before: nothing where a long one can
/// stand at both.
fn both_at_once(metres: f64) -> f64 {
    if metres < LONGEST_M { 0.02 } else { 0.6 }
}

/// What names say.
pub(crate) fn by_name(group: &Group, context: &Context<'_>) -> (f64, Option<&'static str>) {
    let known: Vec<f64> = match &group.mark {
        Mark::Plate { text, .. } if !identity::is_plate(text) => return (0.0, None),
        Mark::Plate { text, view, .. } => {
            let same_view = context.plates.iter().filter(|(known, _)| known == view);
            let distances: Vec<f64> = same_view.map(|(_, known)| identity::distance(text, known)).collect();
            if distances.is_empty() {
                // A rear plate may differ from the front one: only that they are the same says something.
                let other =
                    context.plates.iter().any(|(_, known)| identity::distance(text, known) < identity::SAME);
                return if other { (-4.0, Some("same plate at the other end")) } else { (0.0, None) };
            }
            distances
        }
        Mark::Key { key, .. } => {
            let same_kind = context.keys.iter().filter(|(kind, _)| *kind == group.track.kind);
            let distances = same_kind.map(|(_, known)| {
                if group.track.kind == ReadingKind::Container && identity::distance(key, known) <= 1.0 {
                    identity::distance(key, known)
                } else if key == known {
                    0.0
                } else {
                    // A vehicle can have several tags and seals: another one says little.
                    1.5
                }
            });
            distances.collect()
        }
        _ => return (0.0, None),
    };
    let Some(best) = known.into_iter().min_by(f64::total_cmp) else { return (0.0, None) };
    let words = if best == 0.0 {
        "same"
    } else if best < identity::SAME {
        "nearly the same"
    } else {
        "conflict with the known one"
    };
    match &group.mark {
        // A vehicle can have several tags, seals and containers: another one says little.
        Mark::Key { .. } if best > 1.0 => (0.5, None),
        _ => (identity::cost(best), Some(words)),
    }
}

/// What it costs to say that a group belongs to nobody.
pub(crate) fn ghost(group: &Group) -> f64 {
    match (&group.mark, group.track.kind) {
        (Mark::Plate { text, .. }, _) if !identity::is_plate(text) => 3.0,
        (_, ReadingKind::Presence) => 5.5,
        (_, ReadingKind::Plate) => 5.0,
        (_, ReadingKind::Tag | ReadingKind::Seal) => 5.0,
        (_, ReadingKind::Radiation) => 8.0,
        _ => 6.0,
    }
}

/// What it costs at most to say that a visit belongs to no known passage: then it is a vehicle that nobody saw before.
pub(crate) const UNKNOWN: f64 = 9.0;

/// What it costs at most to say that a vehicle was not noticed at a station: about one in a hundred is sent out of the lane,
/// turns round or is overtaken.
pub(crate) const SENT_OUT: f64 = 4.6;
/// The same where the station's loop has just missed a vehicle.
pub(crate) const FAILING: f64 = 1.0;

/// What it costs to say that a vehicle passed a sensor of this kind without being noticed.
pub(crate) fn missed(kind: ReadingKind) -> f64 {
    match kind {
        ReadingKind::Presence | ReadingKind::Radiation => 5.0,
        ReadingKind::Plate | ReadingKind::Dimensions => 3.0,
        ReadingKind::Tag | ReadingKind::Seal => 0.1,
        _ => 2.0,
    }
}

/// What it costs to say that `next` is of the same passage as `group`, the one before it in its track.
pub(crate) fn repeat(group: &Group, next: &Group) -> f64 {
    match (&group.mark, &next.mark) {
        (Mark::Occupancy { .. }, _) => 4.0,
        (Mark::Plate { text, .. }, Mark::Plate { text: other, .. }) => {
            (2.0 * identity::distance(text, other)).min(6.0)
        }
        (Mark::Key { key, .. }, Mark::Key { key: other, .. }) if key == other => 0.2,
        (Mark::Key { .. }, Mark::Key { .. }) if group.track.kind == ReadingKind::Container => 0.5,
        (Mark::Key { .. }, Mark::Key { .. }) if group.track.is_radio() => 2.0,
        _ if matches!(next.track.kind, ReadingKind::Radiation | ReadingKind::Dimensions) => 4.0,
        _ => 0.3,
    }
}
