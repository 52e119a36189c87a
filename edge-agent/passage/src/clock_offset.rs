//! When something really happened, from what the device says and when it arrived.

use interface::{Stamp, UtcMs};
use serde::{Deserialize, Serialize};

/// A result is never placed further back than this before its arrival; what claims more has a wrong clock.
const LATEST_MS: u64 = 120_000;
/// The offset is the smallest of the last one to two times this many results, so that a clock that was set is followed.
const WINDOW: u32 = 64;

/// Offset between a device's clock and the box's monotonic one: the lower envelope of arrival minus device time, since a
/// result can be late but never early.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockOffset {
    smallest: Option<i64>,
    smallest_before: Option<i64>,
    count: u32,
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
