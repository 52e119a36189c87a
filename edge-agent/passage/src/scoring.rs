//! How well a group fits a passage. A cost is about a negative log-likelihood: 0 fits as well as can be, 1 is e times less
//! likely, negative speaks for the pair more than chance would. The constants are judgements about lanes of 20 to 300 m.

use std::fmt;

use interface::{ReadingKind, View};

use crate::alignment::IMPOSSIBLE;
use crate::group::{Group, Mark};
use crate::identity;

/// Nothing drives faster than this in a checkpoint lane, m/s.
const FASTEST_M_S: f64 = 25.0;
/// What a vehicle does between stations when nothing holds it up, m/s.
const USUAL_M_S: f64 = 5.0;
/// Below this nothing is called driving, m/s: used for when a vehicle should have been somewhere.
pub(crate) const SLOW_M_S: f64 = 1.0;
/// Times of different sensors of one station may differ by this much, seconds.
const JITTER_S: f64 = 1.0;
/// Added to both sides of a ratio of travel times, so that short ways are not judged too finely, seconds.
const SOFT_S: f64 = 3.0;
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

/// What is known of a passage beside the track that is being placed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context<'a> {
    /// At this station.
    pub here: Option<Span>,
    /// Distance in metres, and time, at the nearest station before this one where it was seen.
    pub before: Option<(f64, Span)>,
    /// The same after this one.
    pub after: Option<(f64, Span)>,
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
    /// A loop's occupancy, from the other readings at the station.
    Apart(f64),
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
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time: ")?;
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Apart(s) => write!(f, "{s:.1} s from other readings here"),
            Self::Before(s) => write!(f, "{s:.1} s before it came here"),
            Self::There(s) => write!(f, "{s:.1} s after it came here"),
            Self::After(s) => write!(f, "{s:.1} s after it left here"),
            Self::OnTheWay(s, earliest) => {
                write!(f, "{s:.1} s after it came to the station before, possible from {earliest:.1} s")
            }
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

/// What it costs to say that `group` belongs to the passage of `context`. `loop_here`: another sensor of the station
/// is a loop, so that a vehicle which is here should be known to be.
pub(crate) fn fit(group: &Group, context: &Context<'_>, loop_here: bool) -> Fit {
    let (mut cost, time) = match &context.here {
        Some(span) if group.track.kind == ReadingKind::Presence => together(group, span),
        Some(span) => at_station(group, span),
        None => {
            let (cost, time) = on_the_way(group, context);
            let unseen = loop_here && group.track.kind != ReadingKind::Presence;
            (cost + if unseen { NO_LOOP } else { 0.0 }, time)
        }
    };
    if let Some(left) = context.left_ms
        && group.track.kind != ReadingKind::Radiation
        && seconds(left, group.anchor_ms()) > 5.0
    {
        cost += GONE;
    }
    let (named, identity) = by_name(group, context);
    Fit { cost: (cost + named).min(IMPOSSIBLE), time, identity }
}

/// A loop was covered; other sensors saw the vehicle here.
fn together(group: &Group, span: &Span) -> (f64, When) {
    let gap = seconds(span.to, group.first_ms).max(seconds(group.last_ms, span.from)).max(0.0);
    let gap = if group.is_open() && span.from >= group.first_ms { 0.0 } else { gap };
    let time = When::Apart(gap);
    if gap < 2.0 { (TOGETHER, time) } else { (gap / 1.5, time) }
}

/// The vehicle is known to have been at the station.
fn at_station(group: &Group, span: &Span) -> (f64, When) {
    let t = group.anchor_ms();
    let early = seconds(t, span.from);
    let late = if span.open { 0.0 } else { seconds(span.to, t) };
    let inside = When::There(seconds(span.from, t));
    let view = if let Mark::Plate { view, .. } = &group.mark { Some(*view) } else { None };
    // Reach before and after the span, and what the distance from the edge it belongs to costs per second.
    let (lead, lag) = match (group.track.kind, view) {
        (_, Some(View::Front)) => (3.0, 0.5),
        (_, Some(View::Rear)) => (0.5, 3.0),
        (ReadingKind::Radiation, _) => (1.0, 4.0),
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
        return (1.2 * (early - lead) + drift, When::Before(early));
    }
    if late > lag {
        let over = late - lag;
        // A portal's result comes when it has been computed: lateness without a device time says little.
        let excuse = group.track.kind == ReadingKind::Radiation && !group.has_device_time() && over < 60.0;
        let slope = if excuse { 0.1 } else { 1.2 };
        return (slope * over + drift, When::After(late));
    }
    (if span.by_presence { TOGETHER + drift } else { drift }, inside)
}

/// The vehicle has not been seen here: could it be here then?
fn on_the_way(group: &Group, context: &Context<'_>) -> (f64, When) {
    let t = if group.track.is_radio() { group.anchor_ms() } else { group.first_ms };
    let mut cost = if context.before.is_none() && context.after.is_none() { 1.5 } else { 0.0 };
    let mut time = When::Unknown;
    if let Some((metres, span)) = &context.before {
        let since_arrival = seconds(span.from, t);
        let earliest = metres / FASTEST_M_S;
        time = When::OnTheWay(since_arrival, earliest);
        if since_arrival < earliest - JITTER_S {
            return (IMPOSSIBLE, time);
        }
        let leaving = if span.open { span.from } else { span.to };
        let taken = seconds(leaving, t).max(0.0);
        let ratio = ((taken + SOFT_S) / (metres / USUAL_M_S + SOFT_S)).ln();
        cost += if ratio > 0.0 { 0.8 * ratio } else { -ratio };
    }
    if let Some((metres, span)) = &context.after {
        let ahead = seconds(t, span.from);
        if context.before.is_none() {
            time = When::Ahead(ahead);
        }
        if ahead < metres / FASTEST_M_S - 2.0 * JITTER_S {
            cost += BACKWARDS;
        }
    }
    (cost, time)
}

/// What names say.
fn by_name(group: &Group, context: &Context<'_>) -> (f64, Option<&'static str>) {
    let known: Vec<f64> = match &group.mark {
        Mark::Plate { text, view, .. } => {
            let same_view = context.plates.iter().filter(|(known, _)| known == view);
            let distances: Vec<f64> = same_view.map(|(_, known)| identity::distance(text, known)).collect();
            if distances.is_empty() {
                // A rear plate may differ from the front one: only that they are the same says something.
                let other =
                    context.plates.iter().any(|(_, known)| identity::distance(text, known) < identity::SAME);
                return if other { (-2.0, Some("same plate at the other end")) } else { (0.0, None) };
            }
            distances
        }
        Mark::Key { key, .. } => {
            let same_kind = context.keys.iter().filter(|(kind, _)| *kind == group.track.kind);
            let distances = same_kind.map(|(_, known)| {
                if group.track.kind == ReadingKind::Container {
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
        Mark::Key { .. } if group.track.is_radio() && best > 0.0 => (0.5, None),
        _ => (identity::cost(best), Some(words)),
    }
}

/// What it costs to say that a group belongs to nobody.
pub(crate) fn ghost(group: &Group) -> f64 {
    match group.track.kind {
        ReadingKind::Presence => 7.0,
        ReadingKind::Plate => 5.0,
        ReadingKind::Tag | ReadingKind::Seal => 4.0,
        ReadingKind::Radiation => 9.0,
        _ => 6.0,
    }
}

/// What it costs to say that a vehicle passed a sensor of this kind without being noticed.
pub(crate) fn missed(kind: ReadingKind) -> f64 {
    match kind {
        ReadingKind::Presence | ReadingKind::Radiation => 5.0,
        ReadingKind::Plate | ReadingKind::Dimensions => 3.0,
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
        _ if matches!(next.track.kind, ReadingKind::Radiation | ReadingKind::Dimensions) => 4.0,
        _ => 0.3,
    }
}
