//! What is to be sent next on one connection. Pure; its memory does not grow with the backlog.

use std::collections::BTreeMap;
use std::time::Duration;

/// Most events sent ahead of receipts on one connection, alarms excepted. An IISPP that is down would otherwise be sent the
/// whole backlog over and over; brokers drop what a slow subscriber does not fetch (mosquitto beyond 1000).
pub const MAX_UNRECEIPTED: u64 = 2_000;

/// The receipt time-out grows to this many times its first value.
const LONGEST: u32 = 8;

/// The class that goes first and is never held back.
const ALARMS: u8 = 0;

/// How far sending has come, by class.
///
/// Within a class events are sent in the order of their `seq`, so one number per class says what was sent. `settled` is the
/// same as it was one receipt time-out ago: what is below it and still queued has waited too long.
#[derive(Debug)]
pub(super) struct Progress {
    sent: BTreeMap<u8, u64>,
    settled: BTreeMap<u8, u64>,
    unreceipted: u64,
    first_timeout: Duration,
    timeout: Duration,
}

impl Progress {
    pub fn new(timeout: Duration) -> Self {
        Self {
            sent: BTreeMap::new(),
            settled: BTreeMap::new(),
            unreceipted: 0,
            first_timeout: timeout,
            timeout,
        }
    }

    /// Events of `class` above this `seq` are to be sent.
    pub fn after(&self, class: u8) -> u64 {
        self.sent.get(&class).copied().unwrap_or(0)
    }

    /// How many more events of `class` may be sent now.
    pub fn allowance(&self, class: u8) -> u64 {
        if class == ALARMS { u64::MAX } else { MAX_UNRECEIPTED.saturating_sub(self.unreceipted) }
    }

    pub fn sent(&mut self, class: u8, seq: u64) {
        self.sent.insert(class, seq);
        self.unreceipted += 1;
    }

    /// A receipt removed something.
    pub fn receipted(&mut self) {
        self.unreceipted = 0;
        self.timeout = self.first_timeout;
    }

    /// The time until [`Progress::timed_out`] is to be called.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A receipt time-out has passed; `heads` are the first queued events by class. Answers whether sending begins again.
    pub fn timed_out(&mut self, heads: &[(u8, u64)]) -> bool {
        let overdue =
            heads.iter().any(|(class, seq)| self.settled.get(class).is_some_and(|settled| seq <= settled));
        self.settled = self.sent.clone();
        if overdue {
            self.sent.clear();
            self.unreceipted = 0;
            self.timeout = (self.timeout * 2).min(self.first_timeout * LONGEST);
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_what_waited_a_whole_timeout_is_sent_again() {
        let mut progress = Progress::new(SECOND);
        progress.sent(1, 5);
        assert!(!progress.timed_out(&[(1, 3)]));
        progress.sent(1, 9);
        // 6 to 9 were sent after the last time-out began.
        assert!(!progress.timed_out(&[(1, 6)]));
        assert_eq!(progress.after(1), 9);
        assert!(progress.timed_out(&[(0, 50), (1, 6)]));
        assert_eq!((progress.after(1), progress.timeout()), (0, SECOND * 2));
        for _ in 0..9 {
            progress.sent(1, 9);
            progress.timed_out(&[(1, 6)]);
        }
        assert_eq!(progress.timeout(), SECOND * LONGEST);
        progress.receipted();
        assert_eq!(progress.timeout(), SECOND);
    }

    #[test]
    fn without_receipts_only_alarms_go_on() {
        let mut progress = Progress::new(SECOND);
        (1..=MAX_UNRECEIPTED).for_each(|seq| progress.sent(1, seq));
        assert_eq!((progress.allowance(1), progress.allowance(0)), (0, u64::MAX));
        progress.receipted();
        assert_eq!(progress.allowance(1), MAX_UNRECEIPTED);
    }
}
