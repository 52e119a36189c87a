//! When the frames of a live video were taken. Pure: the reader says when it asked for the video and when it read a frame.
//!
//! FFmpeg looks at a video for seconds before it gives the first frame, and a reader that is slower than the camera falls
//! behind by as much as the sockets hold, which is a quarter of a minute: the time at which a frame is read says little. A
//! frame's own time stamp counts from the first frame. When that one was taken is between the moment at which the video was
//! asked for and the least of "read at, less time stamp" of all frames, since none is read before it is taken.

use std::time::{Duration, Instant};

/// A server starts to send within this time, or the reader has to catch up first: how far off the first stamps may be.
const HANDSHAKE: Duration = Duration::from_secs(1);
/// Catching up has ended when frames came no quicker than they were taken for this long.
const STEADY: Duration = Duration::from_secs(2);
/// Frames arrive this unevenly.
const JITTER: Duration = Duration::from_millis(300);
/// Most that a camera's clock is slow, parts per million: five times what a poor crystal is off.
const DRIFT_PPM: u32 = 500;
/// Frames whose stamp stands still, before it is taken for none.
const STANDING: u32 = 5;
/// A stamp that runs back by more than this begins a new count.
const BACK: Duration = Duration::from_secs(1);

/// What is known of when a frame was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When, at the earliest while the reader catches up, and within the jitter of the network afterwards.
    pub at: Instant,
    /// Whether the reader is still catching up with what was buffered while the video was opened.
    pub catching_up: bool,
}

/// The clock of one video, from its opening to its end.
#[derive(Clone, Debug)]
pub struct VideoClock {
    asked: Instant,
    /// When the frame with stamp zero was taken, at the latest.
    origin: Option<Instant>,
    /// When `origin` fell last.
    fell: Instant,
    settled: bool,
    newest: Duration,
    standing: u32,
    read: Instant,
}

impl VideoClock {
    /// The clock of a video that is asked for now.
    pub fn new(asked: Instant) -> Self {
        Self {
            asked,
            origin: None,
            fell: asked,
            settled: false,
            newest: Duration::ZERO,
            standing: 0,
            read: asked,
        }
    }

    /// When the frame with `stamp` was taken that was read at `read`.
    pub fn taken(&mut self, stamp: Duration, read: Instant) -> Taken {
        self.standing = if stamp == self.newest { self.standing.saturating_add(1) } else { 0 };
        if self.standing >= STANDING {
            // Without stamps there is nothing to go by.
            return Taken { at: read, catching_up: false };
        }
        if stamp + BACK < self.newest {
            (self.origin, self.settled) = (None, true);
        }
        self.newest = stamp;
        let offset = read.checked_sub(stamp).unwrap_or(read);
        let creep = read.saturating_duration_since(self.read) * DRIFT_PPM / 1_000_000;
        self.read = read;
        let before = self.origin.map(|origin| origin + creep);
        let origin = before.map_or(offset, |before| before.min(offset));
        self.origin = Some(origin);
        if before.is_none_or(|before| before.saturating_duration_since(offset) > JITTER / 10) {
            self.fell = read;
        }
        let even = self.fell < read && offset.saturating_duration_since(origin) <= JITTER;
        let steady = read.saturating_duration_since(self.fell) >= STEADY;
        self.settled |= even && (steady || origin <= self.asked + HANDSHAKE);
        let origin = if self.settled { origin } else { self.asked };
        Taken { at: (origin + stamp).min(read), catching_up: !self.settled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Frame `number` of 10 a second, taken at `first` and so on; the stamps count from the first.
    fn age(clock: &mut VideoClock, asked: Instant, first: u64, number: u64, read: u64) -> (u64, bool) {
        let taken = clock.taken(ms(100 * number), asked + ms(read));
        let truth = asked + ms(first + 100 * number);
        let off = taken.at.max(truth) - taken.at.min(truth);
        (u64::try_from(off.as_millis()).unwrap(), taken.catching_up)
    }

    #[test]
    fn frames_that_waited_while_the_video_was_opened_keep_their_time() {
        let asked = Instant::now();
        let mut clock = VideoClock::new(asked);
        // The camera answers after 300 ms; the first frame is read after 5 s, the others at once behind it.
        for number in 0..48 {
            let (off, catching_up) = age(&mut clock, asked, 300, number, 5_000 + number);
            assert!(off == 300 && catching_up, "{number}: {off} {catching_up}");
        }
        for number in 48..100 {
            let (off, catching_up) = age(&mut clock, asked, 300, number, 310 + 100 * number);
            assert!(catching_up == (number < 49) && (off <= 50 || catching_up), "{number}: {off}");
        }
    }

    #[test]
    fn a_server_that_answers_slowly_is_not_taken_for_one_that_is_behind() {
        let asked = Instant::now();
        let mut clock = VideoClock::new(asked);
        let mut last = (0, true);
        for number in 0..40 {
            last = age(&mut clock, asked, 4_000, number, 4_020 + 100 * number);
        }
        assert_eq!(last, (20, false));
    }

    #[test]
    fn a_reader_that_falls_behind_sees_how_far() {
        let asked = Instant::now();
        let mut clock = VideoClock::new(asked);
        for number in 0..20 {
            age(&mut clock, asked, 0, number, 20 + 100 * number);
        }
        // From here it reads half as quickly as the camera takes.
        for number in 20..120 {
            let (off, _) = age(&mut clock, asked, 0, number, 2_020 + 200 * (number - 20));
            assert!(off <= 50, "{number}: {off}");
        }
        // Then it catches up.
        for number in 120..320 {
            let (off, _) =
                age(&mut clock, asked, 0, number, (22_020 + (number - 120)).max(20 + 100 * number));
            assert!(off <= 50, "{number}: {off}");
        }
    }

    #[test]
    fn a_slow_clock_is_followed_and_a_stamp_that_jumps_or_stands_does_no_harm() {
        let asked = Instant::now();
        let mut clock = VideoClock::new(asked);
        // 200 parts per million slow, for two hours.
        for second in 0..7_200 {
            let read = asked + ms(1_000 * second);
            let taken = clock.taken(ms(1_000 * second - second / 5), read);
            assert!(read - taken.at <= ms(20), "{second}: {:?}", read - taken.at);
        }
        let read = asked + ms(7_200_000);
        assert_eq!(clock.taken(ms(10), read).at, read, "the count began anew");
        assert_eq!(clock.taken(ms(9_000_000), read + ms(100)).at, read + ms(100), "it jumped ahead");
        for number in 2..20 {
            let read = read + ms(1_000 * number);
            let taken = clock.taken(ms(9_000_000), read);
            assert!(number < 7 || taken.at == read, "{number}");
        }
    }
}
