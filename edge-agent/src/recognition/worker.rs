//! A worker: takes cameras in turn and lets their watches look at the newest frame.

use std::time::{Duration, Instant};

use interface::{Frame, Outgoing, Reading, SensorId, UtcMs};
use models::{ModelError, Picture};
use tracing::error;

use super::motion::Motion;
use super::region::Region;
use super::turns::Turns;
use super::{Camera, Shared};

/// Pause of a worker that found nothing to do.
const IDLE: Duration = Duration::from_millis(20);
/// How often a camera without frames is asked whether a passage is over, milliseconds.
const POLL_MS: u64 = 100;
/// A frame that is older than this when its turn comes is not read: the vehicle may have left, and another one come.
const MOST_AGE: Duration = Duration::from_secs(3);

/// What looks for one kind of reading in the pictures of one camera, with the readers `R` of the worker that has its
/// turn. Times are monotonic milliseconds.
pub(super) trait Watch<R>: Send {
    /// Looks at a picture that was taken at `at_ms`.
    fn look(&mut self, picture: &Picture, at_ms: u64, readers: &mut R) -> Result<(), ModelError>;

    /// What is complete at `now_ms`.
    fn poll(&mut self, now_ms: u64) -> Vec<Told>;

    /// Everything that was seen: nothing follows, or the next picture shows another vehicle.
    fn finish(&mut self) -> Vec<Told>;
}

/// A reading made of one or several pictures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub reading: Reading,
    /// When it was seen last, monotonic milliseconds.
    pub last_ms: u64,
    /// Bytes to keep as proof.
    pub evidence: Vec<Vec<u8>>,
}

/// One camera with what was seen on it lately.
pub(super) struct Post<R> {
    camera: Camera,
    region: Region,
    motion: Motion,
    watches: Vec<Box<dyn Watch<R>>>,
    polled_ms: u64,
    /// How far behind the camera the newest frame was when it was taken up, milliseconds.
    behind_ms: u64,
    /// Frames that were too old when their turn came.
    too_old: u64,
    /// Frames of the present motion that were left out since the last one that was read.
    left_out: u32,
}

impl<R> Post<R> {
    pub fn new(camera: Camera, watches: Vec<Box<dyn Watch<R>>>) -> Self {
        let region = Region::new(&camera.sight);
        Self {
            motion: Motion::new(&region),
            region,
            camera,
            watches,
            polled_ms: 0,
            behind_ms: 0,
            too_old: 0,
            left_out: u32::MAX,
        }
    }

    /// Whether there is something to do.
    fn wants(&self, now_ms: u64) -> bool {
        self.camera.frames.is_full() || now_ms.saturating_sub(self.polled_ms) >= POLL_MS
    }

    /// Looks at the newest frame, if there is one, and tells what is complete. Returns whether recognition ran.
    fn turn(&mut self, readers: &mut R, begin: Instant, shared: &Shared) -> bool {
        let mut looked = false;
        let mut seen_ms = None;
        if let Some(frame) = self.camera.frames.try_take() {
            let at_ms = milliseconds(begin, frame.captured);
            self.behind_ms = milliseconds(begin, Instant::now()).saturating_sub(at_ms);
            seen_ms = Some(at_ms);
            looked = self.is_worth_reading(&frame, shared);
            if looked {
                shared.metrics.picture(&self.camera.sensor);
                self.look(&frame, readers, begin, shared);
            }
        }
        let too_old = self.too_old + self.camera.frames.count_too_old();
        shared.metrics.frames_too_old(&self.camera.sensor, too_old);
        self.polled_ms = milliseconds(begin, Instant::now());
        // A vehicle is gone when the camera does not show it any more, however long the last picture took to read.
        let until_ms = seen_ms.unwrap_or(self.polled_ms.saturating_sub(self.behind_ms));
        for watch in &mut self.watches {
            let told = watch.poll(until_ms);
            report(&self.camera.sensor, told, begin, shared);
        }
        looked
    }

    fn is_worth_reading(&mut self, frame: &Frame, shared: &Shared) -> bool {
        let (sensor, frames) = (&self.camera.sensor, &self.camera.frames);
        shared.metrics.frames_dropped(sensor, frames.overwritten());
        // A named frame is a file of its own, to be read whatever it shows and however long it waited.
        if frame.name.is_some() {
            return true;
        }
        let too_old = frame.captured.elapsed() > MOST_AGE;
        self.too_old += u64::from(too_old);
        if too_old {
            return false;
        }
        if !self.motion.deserves_a_look(frame) {
            shared.metrics.frame_still(sensor);
            self.left_out = u32::MAX;
            return false;
        }
        if self.left_out < self.camera.sight.read_every.saturating_sub(1) {
            shared.metrics.frame_left_out(sensor);
            self.left_out += 1;
            return false;
        }
        self.left_out = 0;
        true
    }

    fn look(&mut self, frame: &Frame, readers: &mut R, begin: Instant, shared: &Shared) {
        let sensor = &self.camera.sensor;
        let picture = match self.region.cut(frame) {
            Ok(picture) => picture,
            Err(error) => return error!(%sensor, "a frame cannot be used: {error}"),
        };
        let at_ms = milliseconds(begin, frame.captured);
        for watch in &mut self.watches {
            if let Err(error) = watch.look(&picture, at_ms, readers) {
                error!(%sensor, "a picture could not be read: {error}");
            }
            if frame.name.is_some() {
                let told = watch.finish();
                report(sensor, told, begin, shared);
            }
        }
    }

    fn finish(&mut self, begin: Instant, shared: &Shared) {
        for watch in &mut self.watches {
            let told = watch.finish();
            report(&self.camera.sensor, told, begin, shared);
        }
    }
}

/// Serves the cameras until it is stopped.
pub(super) fn work<R>(turns: &Turns<Post<R>>, mut readers: R, begin: Instant, shared: &Shared) {
    while !shared.stop.is_cancelled() {
        let now_ms = milliseconds(begin, Instant::now());
        match turns.take(|post| post.wants(now_ms)) {
            Some((seat, mut post)) => {
                let served = post.turn(&mut readers, begin, shared);
                turns.give_back(seat, post, served);
            }
            None => std::thread::sleep(IDLE),
        }
    }
    while let Some((_, mut post)) = turns.take(|_| true) {
        post.finish(begin, shared);
    }
}

fn report(sensor: &SensorId, told: Vec<Told>, begin: Instant, shared: &Shared) {
    for Told { reading, last_ms, evidence } in told {
        let seen_ago = milliseconds(begin, Instant::now()).saturating_sub(last_ms);
        let now = shared.clock.now().utc;
        let device_at = Some(UtcMs(now.0 - i64::try_from(seen_ago).unwrap_or(0)));
        let outgoing = Outgoing { sensor: sensor.clone(), reading, device_at, evidence };
        // Fails only when the daemon is ending.
        let _ = shared.readings.blocking_send(outgoing);
    }
}

fn milliseconds(begin: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(begin).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use interface::{FrameSlot, ReadingKind, Seat, Sight};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock::Clock;
    use crate::metrics::Metrics;

    /// Which camera was looked at, in order: the reader of these tests.
    type Log = Arc<Mutex<Vec<usize>>>;

    fn frame(grey: u8, named: bool) -> Frame {
        let name = named.then(|| "a.jpg".to_owned());
        Frame { width: 8, height: 8, bgr: vec![grey; 192], captured: Instant::now(), name }
    }

    /// Writes its camera into the log, puts the next frame there if the camera is a quick one, and tells that there was something
    /// when it is asked to finish.
    struct Fake {
        camera: usize,
        frames: FrameSlot,
        quick: bool,
        stop_after: usize,
        stop: CancellationToken,
    }

    impl Watch<Log> for Fake {
        fn look(&mut self, _: &Picture, _: u64, log: &mut Log) -> Result<(), ModelError> {
            let mut log = log.lock().unwrap();
            log.push(self.camera);
            if self.quick {
                self.frames.put(frame(0, true));
            }
            if log.len() >= self.stop_after {
                self.stop.cancel();
            }
            Ok(())
        }
        fn poll(&mut self, _: u64) -> Vec<Told> {
            Vec::new()
        }
        fn finish(&mut self) -> Vec<Told> {
            let reading = Reading::Presence { occupied: true };
            vec![Told { reading, last_ms: 0, evidence: Vec::new() }]
        }
    }

    fn shared() -> (Shared, mpsc::Receiver<Outgoing>) {
        let (readings, receiver) = mpsc::channel(1000);
        let stop = CancellationToken::new();
        (Shared { readings, metrics: Metrics::default(), clock: Clock::new().unwrap(), stop }, receiver)
    }

    fn post(camera: usize, quick: bool, stop_after: usize, shared: &Shared) -> (FrameSlot, Post<Log>) {
        let frames = FrameSlot::default();
        let sight = Sight {
            reads: vec![ReadingKind::Plate],
            view: None,
            countries: Vec::new(),
            seat: Seat::Unknown,
            region: None,
            masks: Vec::new(),
            read_every: 1,
        };
        let stop = shared.stop.clone();
        let fake = Fake { camera, frames: frames.clone(), quick, stop_after, stop };
        let sensor = SensorId(format!("camera-{camera}"));
        (frames.clone(), Post::new(Camera { sensor, sight, frames }, vec![Box::new(fake)]))
    }

    /// Two workers in lockstep, which take and give back as `work` does. Threads of the test's own would be at the mercy of the
    /// scheduler: a worker that is set aside in the middle of a picture holds its camera, and only that one, back.
    #[test]
    fn cameras_that_always_have_a_frame_get_equal_shares_of_few_workers() {
        let (shared, _receiver) = shared();
        let log = Log::default();
        let (slots, posts): (Vec<_>, Vec<_>) = (0..5).map(|camera| post(camera, true, 200, &shared)).unzip();
        slots.iter().for_each(|slot| slot.put(frame(0, true)));
        let turns = Turns::new(posts);
        let begin = Instant::now();
        let take = || turns.take(|post| post.wants(milliseconds(begin, Instant::now()))).unwrap();
        let mut first = take();
        for _ in 0..99 {
            // The second worker starts while the first still has a camera, and the other way round.
            let second = take();
            let (seat, mut post) = std::mem::replace(&mut first, second);
            assert!(post.turn(&mut log.clone(), begin, &shared));
            turns.give_back(seat, post, true);
        }
        let log = log.lock().unwrap();
        let shares: Vec<usize> =
            (0..5).map(|camera| log.iter().filter(|looked| **looked == camera).count()).collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 1, "{shares:?}");
    }

    /// Several real workers serve every camera, however the threads are scheduled.
    #[test]
    fn every_camera_is_served_while_another_always_has_a_frame() {
        let (shared, _receiver) = shared();
        let log = Log::default();
        let (slots, posts): (Vec<_>, Vec<_>) = (0..5).map(|camera| post(camera, true, 200, &shared)).unzip();
        slots.iter().for_each(|slot| slot.put(frame(0, true)));
        let turns = Turns::new(posts);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| work(&turns, log.clone(), Instant::now(), &shared));
            }
        });
        let log = log.lock().unwrap();
        assert!((0..5).all(|camera| log.contains(&camera)));
    }

    /// Writes down the times at which it is asked what is complete.
    struct Listener(Log);

    impl Watch<Log> for Listener {
        fn look(&mut self, _: &Picture, _: u64, log: &mut Log) -> Result<(), ModelError> {
            log.lock().unwrap().push(0);
            // Reading takes a while.
            std::thread::sleep(Duration::from_millis(30));
            Ok(())
        }
        fn poll(&mut self, now_ms: u64) -> Vec<Told> {
            self.0.lock().unwrap().push(usize::try_from(now_ms).unwrap());
            Vec::new()
        }
        fn finish(&mut self) -> Vec<Told> {
            Vec::new()
        }
    }

    #[test]
    fn time_stands_still_while_a_picture_is_read_and_runs_on_without_pictures() {
        let (shared, _receiver) = shared();
        let (slot, mut post) = post(0, false, 100, &shared);
        let polled = Log::default();
        post.watches = vec![Box::new(Listener(polled.clone()))];
        let begin = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let captured = begin + Duration::from_millis(98_500);
        slot.put(Frame { captured, ..frame(0, false) });
        assert!(post.turn(&mut Log::default(), begin, &shared));
        assert_eq!(*polled.lock().unwrap(), [98_500], "as of the frame, not of the end of its reading");
        post.turn(&mut Log::default(), begin, &shared);
        let next = polled.lock().unwrap()[1];
        // 1.5 s behind, as the frame was, and 30 ms on.
        assert!((98_530..99_500).contains(&next), "{next}");
    }

    #[test]
    fn a_frame_that_is_too_old_when_its_turn_comes_is_not_read_but_counted() {
        let (shared, _receiver) = shared();
        let log = Log::default();
        let (slot, mut post) = post(0, false, 100, &shared);
        let begin = Instant::now();
        let old = begin.checked_sub(Duration::from_millis(3_100)).unwrap();
        slot.put(Frame { captured: old, ..frame(0, false) });
        assert!(!post.turn(&mut log.clone(), begin, &shared));
        // A file is read however long it waited.
        slot.put(Frame { captured: old, ..frame(0, true) });
        assert!(post.turn(&mut log.clone(), begin, &shared));
        assert_eq!((post.too_old, log.lock().unwrap().len()), (1, 1));
    }

    #[test]
    fn of_moving_frames_every_so_many_are_read_and_the_first_of_a_motion_always() {
        let (shared, _receiver) = shared();
        let log = Log::default();
        let (slot, mut post) = post(0, false, 100, &shared);
        post.camera.sight.read_every = 3;
        let begin = Instant::now();
        let mut read = |grey: u8, ms: u64| {
            slot.put(Frame { captured: begin + Duration::from_millis(ms), ..frame(grey, false) });
            post.turn(&mut log.clone(), begin, &shared)
        };
        let first: Vec<bool> = (0..7u8).map(|n| read(n * 30, u64::from(n) * 100)).collect();
        assert_eq!(first, [true, false, false, true, false, false, true]);
        assert!(!read(180, 5_000), "nothing moved");
        assert!(read(0, 5_100) && !read(30, 5_200), "a new motion");
    }

    #[test]
    fn a_frame_that_came_too_early_is_dropped_and_counted_and_a_still_one_is_not_read() {
        let (shared, mut receiver) = shared();
        let log = Log::default();
        let (slot, mut post) = post(0, false, 100, &shared);
        let mut readers = log.clone();
        for grey in [0, 100, 200] {
            slot.put(frame(grey, false));
        }
        let begin = Instant::now();
        assert!(post.wants(0));
        assert!(post.turn(&mut readers, begin, &shared));
        assert!(!post.wants(post.polled_ms));
        slot.put(Frame { captured: begin + Duration::from_secs(5), ..frame(201, false) });
        assert!(!post.turn(&mut readers, begin, &shared), "nothing moved");
        assert_eq!((slot.overwritten(), log.lock().unwrap().len()), (2, 1));
        assert!(receiver.try_recv().is_err());
        post.finish(begin, &shared);
        assert_eq!(receiver.try_recv().unwrap().sensor, SensorId::from("camera-0"));
    }
}
