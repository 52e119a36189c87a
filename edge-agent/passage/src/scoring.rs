//! How well a group fits a passage. A cost is about a negative log-likelihood: 0 fits as well as can be, 1 is e times less
//! likely, negative speaks for the pair more than chance would. The constants are judgements about lanes of 20 to 300 m.

use std::fmt;

use interface::{Reading, ReadingKind, View, WeighMode};

use crate::alignment::IMPOSSIBLE;
use crate::group::{Group, Item, Mark};
use crate::identity;
use crate::size::Size;
use crate::weighed::is_other;
use crate::whereabouts::Whereabouts;

/// Below this nothing is called driving, m/s: used for when a vehicle should have been somewhere.
pub(crate) const SLOW_M_S: f64 = 1.0;
/// What it costs to stand apart from every occupancy of a station with a loop.
pub(crate) const APART: f64 = 5.0;
/// What costs more than this is no alternative worth telling.
pub(crate) const CLEAR: f64 = 12.0;
/// A front plate is read from so long before to so long after its vehicle comes onto the loop, seconds.
const FRONT_S: (f64, f64) = (3.5, 2.0);
/// What it costs to have been read although another vehicle was nearer to the camera.
const HIDDEN: f64 = 2.5;
/// What it costs at most that a rear plate was seen before its vehicle came: a nat a second.
const NOT_YET: f64 = 4.0;
/// What it costs that a front plate was read when its vehicle had left the loop, and at most, as the seconds go on.
const GONE_BY: f64 = 2.0;
const GONE_BY_MOST: f64 = 7.0;
/// A rear plate is read from so long before to so long after its vehicle has left the loop, seconds.
const REAR_S: (f64, f64) = (1.0, 3.0);
/// What it costs at most that it was read before that: now and then a vehicle stands with its rear on the loop.
const STANDS: f64 = 3.0;
/// How far before and behind the antenna the front of a vehicle is when a reader hears it well, metres, and how many metres
/// further are e times less likely.
const TAG_REACH_M: (f64, f64, f64) = (10.0, 10.0, 4.0);
const SEAL_REACH_M: (f64, f64, f64) = (20.0, 45.0, 10.0);
/// What it costs to say that radio hears a vehicle which another one has overtaken: it has left the lane.
const GONE: f64 = 4.0;
/// A tag is heard well up to so long before its vehicle comes onto the loop, seconds.
const TAG_EARLY_S: f64 = 6.0;
/// What it costs at most to say that a seal was not heard when its vehicle was at the station, or still when it had left.
const SILENT: f64 = 2.5;
/// What it costs beside that if it was not heard at all while its vehicle stood there.
const UNHEARD: f64 = 2.5;
/// What a second costs that a tag was heard first after its vehicle had come onto the loop, and at most.
const TAG_ALREADY: (f64, f64) = (0.25, 2.5);
/// What it costs that a tag was heard well while its vehicle waited for the one at the station.
const QUEUED: f64 = 1.5;
/// What it costs to have a name beside one that another reader heard.
const ANOTHER_NAME: f64 = 1.0;
/// A reading while the loop is covered, or a loop edge while another sensor sees the vehicle.
const TOGETHER: f64 = -1.0;

/// A time during which a vehicle was at a station, monotonic milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub from: u64,
    pub to: u64,
    /// Still there, as far as is known.
    pub open: bool,
    /// By a loop or light barrier.
    pub by_presence: bool,
    /// The loop has told when it came, and when it left; if not, that is assumed.
    pub sure: (bool, bool),
    /// Number of the group that says so, if that one is doubtful.
    pub doubtful: Option<u64>,
}

/// What is known of a passage beside the track that is being placed.
#[derive(Debug, Default)]
pub(crate) struct Context<'a> {
    /// At this station.
    pub here: Option<Span>,
    /// When it came to this station by its front plate or a portal, where no loop tells that, monotonic milliseconds.
    pub came: Option<u64>,
    pub whereabouts: Whereabouts,
    /// When a later vehicle was further on than this one had been seen.
    pub overtaken: Option<u64>,
    pub size: Size,
    /// Tags, seals and containers that are known of it.
    pub keys: Vec<(ReadingKind, &'a str)>,
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
    /// After it came to the station after, against the direction.
    Back(f64),
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
            Self::Ahead(s) => write!(f, "{s:.1} s before it came to the station after"),
            Self::Back(s) => write!(f, "{s:.1} s after it came to the station after, against the direction"),
        }
    }
}

/// Seconds from `from` to `to`; negative if `to` is earlier.
pub(crate) fn seconds(from: u64, to: u64) -> f64 {
    // Within a boot, far below 2^52 milliseconds.
    #[allow(clippy::cast_precision_loss)]
    let (from, to) = (from as f64, to as f64);
    (to - from) / 1000.0
}

/// What it costs to say that a radio contact at `at_m` belongs to the passage of `context`.
pub(crate) fn radio(group: &Group, context: &Context<'_>, at_m: f64, lag_s: (f64, f64)) -> Fit {
    let at = group.anchor_ms();
    let time = match &context.here {
        Some(span) if at < span.from => When::Before(seconds(at, span.from)),
        Some(span) if !span.open && at > span.to => When::After(seconds(span.to, at)),
        Some(span) => When::There(seconds(span.from, at)),
        None => When::Unknown,
    };
    // A tag is behind the windscreen, a seal at the rear doors and heard from further away.
    let (ahead, behind, slope) =
        if group.track.kind == ReadingKind::Tag { TAG_REACH_M } else { SEAL_REACH_M };
    let far = |ms: u64| {
        // A seal is heard from as far as the queue reaches.
        let evenly = group.track.kind == ReadingKind::Tag;
        let past = context.whereabouts.front_m(ms, evenly)? - at_m;
        let beyond = (-ahead - past).max(past - behind).max(0.0);
        Some((beyond / slope).min(9.0) + 0.02 * past.abs())
    };
    let (Some(first), Some(good)) = (far(group.first_ms), far(at)) else {
        return Fit { cost: IMPOSSIBLE, time, identity: None };
    };
    let stay = context.here.as_ref().filter(|span| span.by_presence);
    let cost = if let Some(came) = context.came.filter(|_| group.track.kind == ReadingKind::Tag) {
        beside(group, came, lag_s)
    } else if group.track.kind == ReadingKind::Seal {
        // It is heard all the while: the vehicle was near when it was heard first, too.
        let silent = stay.map_or(0.0, |span| silent(at, span));
        0.6 * good + 0.4 * first + silent + context.size.sealed()
    } else {
        stay.map_or(good, |span| {
            let on_the_loop = behind_windscreen(group.first_ms, at, span);
            // Or it stood behind the vehicle there.
            if at < span.from { on_the_loop.min(QUEUED + good) } else { on_the_loop }
        })
    };
    let gone = if context.overtaken.is_some_and(|since| at > since) { GONE } else { 0.0 };
    let named = by_key(group, context);
    Fit { cost: (cost + gone + named).min(IMPOSSIBLE), time, identity: None }
}

/// What it costs that a tag was heard of the vehicle that came then, by its front plate or a portal, where no loop tells.
pub(crate) fn beside(group: &Group, came: u64, (least_s, most_s): (f64, f64)) -> f64 {
    let lag = seconds(came, group.first_ms);
    let off = (least_s - lag).max(lag - most_s).max(0.0);
    // It was heard still when it was seen.
    let before = seconds(group.last_ms, came) - 2.0;
    let within = 0.05 * (lag - least_s.midpoint(most_s)).abs();
    (0.4 * off + 0.3 * before.max(0.0) + within).min(9.0)
}

/// A seal is heard of the vehicle that is at the station, and of those behind it: what speaks against its last reception
/// being from before its vehicle came, or from after it left. Who stands there for a while is heard meanwhile, as often as
/// before.
fn silent(at: u64, span: &Span) -> f64 {
    let early = seconds(at, span.from);
    let late = if span.open { 0.0 } else { seconds(span.to, at) - 2.0 };
    let missed =
        if early > 0.0 && !span.open { (0.1 * seconds(span.from, span.to)).min(UNHEARD) } else { 0.0 };
    (0.1 * early.max(late)).clamp(0.0, SILENT) + missed
}

/// What it costs that the tag of a vehicle which was on the loop like this was heard first, and well for the last time, then.
pub(crate) fn behind_windscreen(first: u64, at: u64, span: &Span) -> f64 {
    let early = seconds(at, span.from).max(0.0);
    let late = if span.open { 0.0 } else { seconds(span.to, at).max(0.0) };
    // It was there already, and heard only then.
    let already = (TAG_ALREADY.0 * (seconds(span.from, first) - 3.0)).clamp(0.0, TAG_ALREADY.1);
    let outside = 0.3 * (early - TAG_EARLY_S).max(0.0) + 0.6 * (late - 1.0).max(0.0);
    (outside + already + 0.03 * early + 0.1 * late).min(9.0)
}

/// When the vehicles before and behind one were at the loop of a station, monotonic milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Neighbours {
    /// When the one before came and left.
    pub ahead: Option<(u64, u64)>,
    /// When the one behind came.
    pub behind: Option<u64>,
}

/// The vehicle is known to have been at the station.
pub(crate) fn at_station(group: &Group, span: &Span, neighbours: Neighbours) -> (f64, When) {
    if matches!(group.track.kind, ReadingKind::Radiation | ReadingKind::Undercarriage) {
        return radiation(group, span);
    }
    let (first, last) = (group.first_ms, group.last_ms);
    let time = if first < span.from {
        When::Before(seconds(first, span.from))
    } else if !span.open && first > span.to {
        When::After(seconds(span.to, first))
    } else {
        When::There(seconds(span.from, first))
    };
    let cost = match &group.mark {
        Mark::Plate { view: View::Front, .. } => front(first, span, neighbours.ahead),
        Mark::Plate { .. } => rear((first, last), span, neighbours.behind),
        _ => {
            let early = seconds(first, span.from);
            let late = if span.open { 0.0 } else { seconds(span.to, first) };
            let drift = 0.05 * early.max(late).clamp(0.0, 60.0);
            let outside = if tells_when_passed(group) {
                // It is measured when all of the vehicle has passed, and that may have to wait.
                (2.0 * (early - 0.3).max(0.0)).min(10.0) + (0.6 * (late - 2.0).max(0.0)).min(2.5)
            } else {
                1.2 * ((early - 1.0).max(0.0) + (late - 2.0).max(0.0))
            };
            (if span.by_presence && outside == 0.0 { TOGETHER } else { 0.0 }) + outside + drift
        }
    };
    (cost.min(IMPOSSIBLE), time)
}

/// Whether a device tells this when all of a vehicle has passed: gauges, scales for vehicles in motion.
fn tells_when_passed(group: &Group) -> bool {
    let first = group.items.first().map(|item| &item.observation.reading);
    let moving = matches!(first, Some(Reading::Weight { mode: WeighMode::Wim | WeighMode::Axle, .. }));
    moving || group.track.kind == ReadingKind::Dimensions
}

/// A front plate is read when the vehicle comes, some metres before the loop: just before its rising edge, or as long before
/// as the vehicle has to wait for the one on the loop.
fn front(read: u64, span: &Span, ahead: Option<(u64, u64)>) -> f64 {
    let before = seconds(read, span.from);
    if before <= -FRONT_S.1 {
        // Its front has gone by when it has left the loop.
        let gone =
            if span.open { 0.0 } else { (GONE_BY * (seconds(span.to, read) - 1.0)).clamp(0.0, GONE_BY_MOST) };
        return (0.4 * (-before - FRONT_S.1)).min(6.0) + gone;
    }
    // Of two vehicles the nearer one.
    let near = 0.2 * before.abs().min(FRONT_S.0);
    let wait = before - FRONT_S.0;
    let waited = if wait > 0.0 { 1.2 + (0.01 * wait).min(1.5) } else { 0.0 };
    // Once the loop is free, nobody stands before it for long.
    let free = ahead.map_or(read, |(_, left)| read.max(left));
    // The one before stood between it and the camera.
    let hidden = if ahead.is_some_and(|(came, _)| read < came) { HIDDEN } else { 0.0 };
    near + waited + hidden + (0.15 * (seconds(free, span.from) - 2.0 * FRONT_S.0)).clamp(0.0, 2.5)
}

/// A rear plate is read when the vehicle has all but passed, and as long before it leaves as it stands so.
fn rear((first, read): (u64, u64), span: &Span, behind: Option<u64>) -> f64 {
    if read < span.from {
        return (2.0 + seconds(read, span.from)).min(8.0);
    }
    // Its rear is not there before its front was.
    let came = (seconds(first, span.from) - 0.5).clamp(0.0, NOT_YET);
    if span.open || (!span.sure.1 && read < span.to) {
        return 1.0 + came + (0.1 * (10.0 - seconds(span.from, read))).clamp(0.0, 1.0);
    }
    let after = seconds(span.to, read);
    if after < -REAR_S.0 {
        return (0.5 * (-after - REAR_S.0)).min(STANDS) + came;
    }
    // The next one stands between it and the camera.
    let hidden = if behind.is_some_and(|came| seconds(came, first) > REAR_S.0) { HIDDEN } else { 0.0 };
    (0.3 * (after - REAR_S.1)).clamp(0.0, 8.0) + hidden + came
}

/// A portal's result comes when the occupancy has ended, and says how long that was.
fn radiation(group: &Group, span: &Span) -> (f64, When) {
    let ended = group.last_ms;
    let late = seconds(span.to, ended);
    let began = seconds(span.from, group.first_ms).abs();
    let known = group.last_ms > group.first_ms;
    let mut cost = if known { (0.25 * (began - 1.0)).clamp(0.0, 4.0) } else { 0.0 };
    if span.open || (!span.sure.1 && late < 0.0) {
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
    let after = slope * (late - 2.5).max(0.0);
    // Or it stands in the portal, off the loop.
    cost += if known { after.min(0.15 * late + began) } else { after };
    (cost.min(IMPOSSIBLE) + TOGETHER, When::After(late.max(0.0)))
}

/// What it costs that another reader heard other names of this kind from the vehicle, but not this one: it can have several tags
/// and seals.
fn by_key(group: &Group, context: &Context<'_>) -> f64 {
    let Mark::Key { key, .. } = &group.mark else { return 0.0 };
    let mut same_kind = context.keys.iter().filter(|(kind, _)| *kind == group.track.kind).peekable();
    if same_kind.peek().is_some() && same_kind.all(|(_, known)| known != key) { ANOTHER_NAME } else { 0.0 }
}

/// What it costs to say that a group belongs to nobody.
pub(crate) fn ghost(group: &Group) -> f64 {
    match (&group.mark, group.track.kind) {
        (Mark::Plate { text, .. }, _) if !identity::is_plate(text) => 3.0,
        // Lettering is read with little confidence, and seldom twice.
        (Mark::Plate { confidence, .. }, _) if *confidence < 0.6 && group.items.len() < 2 => 0.8,
        (Mark::Occupancy { rise: None, .. }, _) => 0.9,
        // People and birds do not stay.
        (Mark::Occupancy { rise: Some(rise), fall: Some(fall) }, _) => {
            5.5 + (seconds(*rise, *fall) - 1.0).clamp(0.0, 2.5)
        }
        (_, ReadingKind::Presence) => 5.5,
        // Nothing reads like a plate twice and well.
        (Mark::Plate { confidence, .. }, _) if *confidence >= 0.8 && group.items.len() > 1 => 7.5,
        (_, ReadingKind::Plate) => 5.0,
        (_, ReadingKind::Tag | ReadingKind::Seal) => 5.0,
        (_, ReadingKind::Radiation) => 8.0,
        _ => 6.0,
    }
}

/// What it costs at most to say that a visit belongs to no known passage: then it is a vehicle that nobody saw before.
/// A vehicle that came into the lane unnoticed and left it unnoticed must cost less: what a portal has measured is nobody's else.
pub(crate) const UNKNOWN: f64 = 13.5;

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
        _ if other_weight(group, next) => 4.0,
        _ => 0.3,
    }
}

/// Whether a platform that had settled has settled again at the weight of another vehicle.
fn other_weight(group: &Group, next: &Group) -> bool {
    let settled = |item: &Item| match item.observation.reading {
        Reading::Weight { gross_kg, stable: true, .. } => Some(gross_kg),
        _ => None,
    };
    let before = group.items.iter().rev().find_map(settled);
    let after = next.items.iter().find_map(settled);
    before.zip(after).is_some_and(|(one, other)| is_other(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_the_loop(from: u64, to: u64) -> Span {
        Span { from, to, open: false, by_presence: true, sure: (true, true), doubtful: None }
    }

    #[test]
    fn a_front_plate_is_not_of_the_vehicle_that_has_left_the_loop() {
        // It waits for 15 s where the barrier is, before the loop.
        let (before, its) = (on_the_loop(10_000, 14_000), on_the_loop(31_000, 35_000));
        let behind = Some((before.from, before.to));
        for read in [17_000, 22_000] {
            assert!(front(read, &its, behind) < front(read, &before, None), "{read}");
        }
        // Its camera may be slow by a second.
        assert!(front(11_500, &before, None) < front(11_500, &its, behind));
    }

    #[test]
    fn a_rear_plate_that_was_seen_before_a_vehicle_came_is_not_its_own() {
        let (its, next) = (on_the_loop(8_000, 12_000), on_the_loop(15_000, 22_000));
        let read = (11_800, 21_000);
        assert!(rear(read, &its, Some(next.from)) < rear(read, &next, None));
        assert!(rear((21_500, 23_000), &next, None) < 0.1);
    }

    #[test]
    fn a_seal_is_of_the_vehicle_that_is_at_the_station_when_it_is_heard_last() {
        let (before, its) = (on_the_loop(10_000, 40_000), on_the_loop(45_000, 90_000));
        assert!(silent(80_000, &its) < silent(80_000, &before));
        assert!(silent(80_000, &on_the_loop(300_000, 310_000)) > silent(80_000, &its));
        assert!(silent(10_000_000, &before) <= SILENT);
        // As long as it is there it cannot be heard too late.
        assert!(silent(10_000_000, &Span { open: true, ..before }) == 0.0);
        // One that stood there for a minute would have been heard.
        assert!(
            silent(40_000, &on_the_loop(41_000, 101_000))
                > silent(40_000, &on_the_loop(41_000, 43_000)) + 2.0
        );
    }

    #[test]
    fn a_vehicle_that_stands_in_the_portal_off_the_loop_keeps_its_result() {
        // It was on the loop for 14 s and in the portal for 78 s; the next one was on the loop meanwhile.
        let result = Reading::Radiation {
            alarm: interface::RadiationAlarm::None,
            gamma_max_cps: Some(300.0),
            gamma_background_cps: Some(290.0),
            neutron_max_cps: None,
            duration_ms: Some(78_000),
        };
        let result = Group::sample(&[(1_018_000, result)]);
        let cost = |from, to| at_station(&result, &on_the_loop(from, to), Neighbours::default()).0;
        assert!(cost(937_000, 951_000) < cost(954_000, 1_049_000));
    }

    #[test]
    fn nobody_stands_on_a_loop_for_long_but_a_vehicle() {
        let covered = |ms: u64| {
            let edges =
                [(0, Reading::Presence { occupied: true }), (ms, Reading::Presence { occupied: false })];
            ghost(&Group::sample(&edges))
        };
        assert!(covered(10_000) > covered(800) + 2.0);
    }

    #[test]
    fn where_no_loop_tells_a_tag_is_of_the_vehicle_that_is_read_when_it_usually_is() {
        let tag = |at: u64| (at, Reading::Tag { epc: "E2A1".into(), rssi_dbm: Some(-50.0), antenna: None });
        // It stands at the gate for seven seconds; the next one is read meanwhile.
        let group = Group::sample(&[tag(10_500), tag(14_000), tag(17_500)]);
        let (its, next) = (9_500, 16_700);
        assert!(beside(&group, its, (-1.0, 2.0)) < 0.5);
        assert!(beside(&group, next, (-1.0, 2.0)) > 1.5);
        // A reader that hears vehicles long before they are read.
        assert!(beside(&group, next, (-8.0, -5.0)) < beside(&group, its, (-8.0, -5.0)));
    }

    #[test]
    fn a_tag_is_of_the_vehicle_that_comes_rather_than_of_the_one_that_has_left() {
        let (before, its) = (on_the_loop(10_000, 20_000), on_the_loop(29_000, 40_000));
        assert!(behind_windscreen(23_000, 24_000, &its) < behind_windscreen(23_000, 24_000, &before));
        assert!(behind_windscreen(28_000, 30_000, &its) == 0.0);
        assert!(behind_windscreen(11_000, 12_000, &before) == 0.0);
        // One that has stood at the reader for a minute was heard long ago.
        let stands = on_the_loop(10_000, 70_000);
        assert!(
            behind_windscreen(69_000, 70_000, &stands) > 2.0
                && behind_windscreen(9_000, 70_000, &stands) == 0.0
        );
    }
}
