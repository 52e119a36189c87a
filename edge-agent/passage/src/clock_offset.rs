//! When something really happened, from what the device says and when it arrived. Results that always come some seconds after
//! their device time are of a device that takes so long, or of one whose clock is off: the loops of its station tell which.

use std::collections::VecDeque;

use interface::{Reading, Stamp, UtcMs, View};
use serde::{Deserialize, Serialize};

use crate::scoring::seconds;

/// A result is never placed further back than this before its arrival; what claims more has a wrong clock.
const LATEST_MS: u64 = 120_000;
/// The offset is the smallest of the last one to two times this many results, so that a clock that was set is followed.
const WINDOW: u32 = 64;
/// Two times of one result that are nearer to each other say nothing, milliseconds.
const NEAR_MS: u64 = 700;
/// What happened at a loop is known so long after a result, milliseconds.
const KNOWN_MS: u64 = 60_000;
/// Results that wait for that.
const WAITING: usize = 32;
/// One result says at most so much for one time and against the other, seconds off; and so much makes sure, and the most.
const OFF_S: f64 = 5.0;
const SURE_S: f64 = 3.0;
const MOST_S: f64 = 30.0;
/// Where a vehicle is when a result of its passage over a loop is told, before and after, milliseconds: its front plate is read
/// when it comes onto the loop, its rear plate and its radiation when it leaves it, anything else while it is there.
const FRONT_MS: (u64, u64) = (3_500, 2_000);
const REAR_MS: (u64, u64) = (1_000, 3_000);
const PASSED_MS: (u64, u64) = (300, 300);
const THERE_MS: (u64, u64) = (0, 1_000);

/// Offset between a device's clock and the box's monotonic one: the lower envelope of arrival minus device time, since a
/// result can be late but never early.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClockOffset {
    smallest: Option<i64>,
    smallest_before: Option<i64>,
    count: u32,
    /// How much better device times fit the loops of the station than times by the least lag, seconds, over all results.
    #[serde(default)]
    in_favour: f64,
    /// The device's clock is taken to be that of the box.
    #[serde(default)]
    is_right: bool,
    #[serde(default)]
    waiting: VecDeque<Waiting>,
}

/// When a vehicle was at a place, monotonic milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Occupied {
    pub rise: Option<u64>,
    pub fall: Option<u64>,
    /// How far these times may be off, seconds.
    pub inexact_s: f64,
}

/// A result whose two times are to be held against the loops of its station, monotonic milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    by_lag: u64,
    by_clock: u64,
    known: u64,
    role: Role,
}

/// Where on a loop the vehicle is that a result is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Role {
    Comes,
    Leaves,
    Passed,
    There,
}

impl Role {
    fn of(reading: &Reading) -> Option<Self> {
        match reading {
            Reading::Tag { .. } | Reading::Seal { .. } | Reading::Presence { .. } | Reading::Anomaly(_) => {
                None
            }
            Reading::Plate(plate) if plate.view == View::Front => Some(Self::Comes),
            Reading::Plate(_) => Some(Self::Leaves),
            Reading::Radiation { .. } => Some(Self::Passed),
            _ => Some(Self::There),
        }
    }

    /// How far a time is from where it should be beside an occupancy, seconds.
    fn off(self, at: u64, (rise, fall): (Option<u64>, Option<u64>)) -> Option<f64> {
        let around = |edge: Option<u64>, (before, after): (u64, u64)| {
            edge.map(|edge| (edge.saturating_sub(before), edge.saturating_add(after)))
        };
        let (from, to) = match self {
            Self::Comes => around(rise, FRONT_MS)?,
            Self::Leaves => around(fall, REAR_MS)?,
            Self::Passed => around(fall, PASSED_MS)?,
            Self::There => (rise?.saturating_sub(THERE_MS.0), fall?.saturating_add(THERE_MS.1)),
        };
        Some(seconds(at, from).max(seconds(to, at)).max(0.0))
    }
}

impl ClockOffset {
    /// Learns from one result and says when it happened, on the monotonic clock of its arrival.
    pub fn place(&mut self, arrival_ms: u64, device_at: UtcMs) -> u64 {
        let arrival = i64::try_from(arrival_ms).unwrap_or(i64::MAX);
        let offset = arrival.saturating_sub(device_at.0);
        if self.count >= WINDOW {
            self.smallest_before = self.smallest.take();
            self.count = 0;
        }
        self.count += 1;
        self.smallest = Some(self.smallest.map_or(offset, |smallest| smallest.min(offset)));
        let best = [self.smallest, self.smallest_before].into_iter().flatten().min().unwrap_or(offset);
        let late = u64::try_from(offset.saturating_sub(best)).unwrap_or(0);
        if late > LATEST_MS { arrival_ms } else { arrival_ms.saturating_sub(late) }
    }

    /// When a result happened that arrives now: by the least lag or, once that is known to fit better, by the device's clock as
    /// it is.
    pub fn time(&mut self, arrival: &Stamp, now: u64, device_at: UtcMs, reading: &Reading) -> u64 {
        let by_lag = self.place(now, device_at);
        let by_clock = place_by_box_clock(arrival, device_at);
        if by_lag > by_clock.saturating_add(NEAR_MS)
            && let Some(role) = Role::of(reading)
        {
            if self.waiting.len() >= WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back(Waiting { by_lag, by_clock, known: now.saturating_add(KNOWN_MS), role });
        }
        if self.is_right { by_clock } else { by_lag }
    }

    /// Whether there is something to compare.
    pub fn is_due(&self, now: u64) -> bool {
        self.waiting.front().is_some_and(|result| result.known <= now)
    }

    /// Holds the results whose surroundings are known by now against the occupancies of the station's loops, rising and falling
    /// edge. Says by how much what was placed before is to be moved, milliseconds, if it was found out that the clock is right,
    /// or that it is not.
    pub fn compare(&mut self, now: u64, occupancies: &[Occupied]) -> Option<i64> {
        let mut moved = None;
        while self.is_due(now) {
            let Some(result) = self.waiting.pop_front() else { break };
            let off = |at: u64| {
                let all = occupancies.iter().filter_map(|there| {
                    let off = result.role.off(at, (there.rise, there.fall))?;
                    Some((off - there.inexact_s).max(0.0))
                });
                all.min_by(f64::total_cmp).map(|off| off.min(OFF_S))
            };
            let (Some(by_lag), Some(by_clock)) = (off(result.by_lag), off(result.by_clock)) else { continue };
            self.in_favour = (self.in_favour + by_lag - by_clock).clamp(-MOST_S, MOST_S);
            let shift = i64::try_from(result.by_lag.saturating_sub(result.by_clock)).unwrap_or(0);
            if !self.is_right && self.in_favour > SURE_S {
                (self.is_right, moved) = (true, Some(-shift));
            } else if self.is_right && self.in_favour < -SURE_S {
                (self.is_right, moved) = (false, Some(shift));
            }
        }
        moved
    }
}

/// When something happened that the box itself has seen at `device_at`, on the monotonic clock of its arrival. Nothing is
/// learned here: what always takes two seconds, as reading a plate over several frames may, would be taken for a clock that
/// is two seconds off.
pub(crate) fn place_by_box_clock(arrival: &Stamp, device_at: UtcMs) -> u64 {
    // What is not yet, or longer ago than a result may take, is a clock that was set meanwhile.
    let late = u64::try_from(arrival.utc.0.saturating_sub(device_at.0)).unwrap_or(0);
    if late > LATEST_MS { arrival.mono_ms } else { arrival.mono_ms.saturating_sub(late) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_result_is_put_back_where_it_belongs() {
        let mut clock = ClockOffset::default();
        // The device's clock is 5 s fast; results take 200 ms.
        assert_eq!(clock.place(10_000, UtcMs(1_000_014_800)), 10_000);
        assert_eq!(clock.place(50_000, UtcMs(1_000_024_800)), 20_000);
        assert_eq!(clock.place(60_000, UtcMs(i64::MIN)), 60_000);
    }

    /// A device whose results come `lag` ms after its time and describe what happened `late` ms before they come, at a loop that
    /// each vehicle leaves after 3 s, one every 40 s: whether its clock is taken to be right in the end, how often that was
    /// found out anew, and how long after its vehicle had left the last result is placed.
    fn trusted(lag: u64, late: u64, reading: &Reading) -> (bool, u64, u64) {
        let mut clock = ClockOffset::default();
        let mut occupied = Vec::new();
        let (mut moved, mut off) = (0, 0);
        for n in 1..20 {
            let left = n * 40_000;
            occupied.push(Occupied { rise: Some(left - 3_000), fall: Some(left), inexact_s: 0.0 });
            let now = left + late;
            let utc = |ms: u64| UtcMs(1_790_000_000_000 + i64::try_from(ms).unwrap());
            let arrival = Stamp { mono_ms: now, utc: utc(now), ..Stamp::default() };
            off = clock.time(&arrival, now, utc(now - lag), reading) - left;
            if clock.is_due(now) {
                moved += u64::from(clock.compare(now, &occupied).is_some());
            }
        }
        (clock.is_right, moved, off)
    }

    #[test]
    fn a_device_that_takes_long_is_not_one_whose_clock_is_off() {
        let radiation = Reading::Radiation {
            alarm: interface::RadiationAlarm::None,
            gamma_max_cps: None,
            gamma_background_cps: None,
            neutron_max_cps: None,
            duration_ms: Some(3_000),
        };
        // It takes 7 s, and its clock is right; it takes 0.2 s, and its clock is slow by 7 s.
        assert_eq!(trusted(7_000, 7_000, &radiation), (true, 1, 0));
        assert_eq!(trusted(7_200, 200, &radiation), (false, 0, 200));
        // What radio hears says nothing of loops.
        let tag = Reading::Tag { epc: "A".into(), rssi_dbm: None, antenna: None };
        assert_eq!(trusted(7_000, 7_000, &tag), (false, 0, 7_000));
    }

    #[test]
    fn what_the_box_saw_itself_is_placed_by_its_own_clock_from_the_first_result_on() {
        let arrival = Stamp { mono_ms: 10_000, utc: UtcMs(1_000_000), ..Stamp::default() };
        assert_eq!(place_by_box_clock(&arrival, UtcMs(998_300)), 8_300);
        assert_eq!(place_by_box_clock(&arrival, UtcMs(1_000_200)), 10_000);
        assert_eq!(place_by_box_clock(&arrival, UtcMs(0)), 10_000);
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let mut clock = ClockOffset::default();
        clock.place(1_000, UtcMs(100_000));
        for n in 0..200 {
            clock.place(2_000 + n, UtcMs(41_000 + i64::try_from(n).unwrap()));
        }
        assert_eq!(clock.place(3_000, UtcMs(42_000)), 3_000);
    }
}
