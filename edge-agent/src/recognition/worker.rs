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
}

impl<R> Post<R> {
    pub fn new(camera: Camera, watches: Vec<Box<dyn Watch<R>>>) -> Self {
        let region = Region::new(&camera.sight);
        Self { motion: Motion::new(&region), region, camera, watches, polled_ms: 0 }
    }

    /// Whether there is something to do.
    fn wants(&self, now_ms: u64) -> bool {
        self.camera.frames.is_full() || now_ms.saturating_sub(self.polled_ms) >= POLL_MS
    }

    /// Looks at the newest frame, if there is one, and tells what is complete. Returns whether recognition ran.
    fn turn(&mut self, readers: &mut R, begin: Instant, shared: &Shared) -> bool {
        let mut looked = false;
        if let Some(frame) = self.camera.frames.try_take() {
            let sensor = &self.camera.sensor;
            shared.metrics.frames_dropped(sensor, self.camera.frames.overwritten());
            // A named frame is a file of its own, to be read whatever it shows.
            if frame.name.is_some() || self.motion.deserves_a_look(&frame) {
                shared.metrics.picture(sensor);
                looked = true;
                self.look(&frame, readers, begin, shared);
            } else {
                shared.metrics.frame_still(sensor);
            }
        }
        self.polled_ms = milliseconds(begin, Instant::now());
        for watch in &mut self.watches {
            let told = watch.poll(self.polled_ms);
            report(&self.camera.sensor, told, begin, shared);
        }
        looked
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
        };
        let stop = shared.stop.clone();
        let fake = Fake { camera, frames: frames.clone(), quick, stop_after, stop };
        let sensor = SensorId(format!("camera-{camera}"));
        (frames.clone(), Post::new(Camera { sensor, sight, frames }, vec![Box::new(fake)]))
    }

    #[test]
    fn cameras_that_always_have_a_frame_get_equal_shares_of_few_workers() {
        let (shared, _receiver) = shared();
        let log = Log::default();
        let (slots, posts): (Vec<_>, Vec<_>) = (0..5).map(|camera| post(camera, true, 100, &shared)).unzip();
        slots.iter().for_each(|slot| slot.put(frame(0, true)));
        let turns = Turns::new(posts);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| work(&turns, log.clone(), Instant::now(), &shared));
            }
        });
        let log = log.lock().unwrap();
        let shares: Vec<usize> =
            (0..5).map(|camera| log.iter().filter(|looked| **looked == camera).count()).collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 2, "{shares:?}");
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
