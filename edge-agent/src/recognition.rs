//! Recognition workers: frames of the cameras in, plate readings out.
//!
//! Each worker is a thread with its own readers. Cameras are dealt out to the workers; a worker takes the newest frame
//! of each of its cameras in turn, so that none waits for another longer than one picture takes. Frames in which
//! nothing moved are passed over. Without models the lane goes on: plates are then absent, and the sensor says why.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use firmware_config::Recognition;
use interface::{Frame, FrameSlot, Outgoing, PlateCandidate, PlateReading, Reading, SensorId, UtcMs, View};
use models::{
    Consensus, ConsensusOptions, Manifest, ModelStore, Picture, PlateOptions, PlateReader, PlateResult,
    Runtime,
};
use packet::CERTAIN_PLATE;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::clock::Clock;
use crate::metrics::Metrics;

/// Pause of a worker that found no frame.
const IDLE: Duration = Duration::from_millis(20);
/// A scene counts as changed when this share of the coarse picture changed by more than [`CHANGE`] grey levels.
const CHANGED_SHARE: f64 = 0.01;
/// Noise of a camera stays below this, grey levels of 255.
const CHANGE: u8 = 12;
/// After a change frames are looked at for this long, so that a vehicle that stops is read while it stands.
const ATTENTION: Duration = Duration::from_millis(1500);
/// Most frames kept for evidence per camera.
const MOST_FRAMES: usize = 32;

/// A camera to be read.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Its sensor.
    pub sensor: SensorId,
    /// Which end of the vehicle it sees.
    pub view: View,
    /// Countries whose plates are expected.
    pub countries: Vec<String>,
    /// Where its newest frame is.
    pub frames: FrameSlot,
}

/// What the workers share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where readings go. Full: the worker waits.
    pub readings: mpsc::Sender<Outgoing>,
    /// Numbers.
    pub metrics: Metrics,
    /// For the time at which a vehicle was seen.
    pub clock: Clock,
    /// Ends the workers.
    pub stop: CancellationToken,
}

/// Loads the models and starts the workers.
pub fn start(
    settings: &Recognition,
    cameras: Vec<Camera>,
    shared: &Shared,
) -> anyhow::Result<Vec<std::thread::JoinHandle<()>>> {
    let runtime = Runtime::load(&settings.runtime)?;
    let store = ModelStore::open(&settings.models, Manifest::builtin()?)?;
    let workers = usize::from(settings.workers).min(cameras.len()).max(1);
    let mut shares: Vec<Vec<Camera>> = vec![Vec::new(); workers];
    for (index, camera) in cameras.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(index % workers) {
            share.push(camera);
        }
    }
    let mut threads = Vec::new();
    for share in shares {
        let mut readers = BTreeMap::new();
        for camera in &share {
            if !readers.contains_key(&camera.countries) {
                let options = PlateOptions {
                    countries: camera.countries.clone(),
                    threads: settings.threads.into(),
                    ..PlateOptions::default()
                };
                readers.insert(camera.countries.clone(), PlateReader::load(&runtime, &store, options)?);
            }
        }
        let names: Vec<_> = share.iter().map(|camera| camera.sensor.0.as_str()).collect();
        info!("recognition of {} is ready", names.join(", "));
        let shared = shared.clone();
        let worker = std::thread::Builder::new().name("recognition".to_owned());
        threads.push(worker.spawn(move || work(share, readers, &shared))?);
    }
    Ok(threads)
}

fn work(cameras: Vec<Camera>, mut readers: BTreeMap<Vec<String>, PlateReader>, shared: &Shared) {
    let begin = Instant::now();
    let mut watches: Vec<_> = cameras.into_iter().map(CameraWatch::new).collect();
    while !shared.stop.is_cancelled() {
        let mut busy = false;
        for watch in &mut watches {
            let Some(reader) = readers.get_mut(&watch.camera.countries) else { continue };
            busy |= watch.look(reader, begin, shared);
        }
        if !busy {
            std::thread::sleep(IDLE);
        }
    }
    for watch in &mut watches {
        let results = watch.consensus.finish();
        watch.report(results, begin, shared);
    }
}

/// A frame that may become evidence.
struct Kept {
    tag: u64,
    picture: Picture,
}

/// One camera with what was seen on it lately.
struct CameraWatch {
    camera: Camera,
    consensus: Consensus,
    motion: Motion,
    kept: Vec<Kept>,
    next_tag: u64,
}

impl CameraWatch {
    fn new(camera: Camera) -> Self {
        Self {
            camera,
            consensus: Consensus::new(ConsensusOptions::default()),
            motion: Motion::default(),
            kept: Vec::new(),
            next_tag: 0,
        }
    }

    /// Looks at the newest frame, if there is one. Returns whether there was.
    fn look(&mut self, reader: &mut PlateReader, begin: Instant, shared: &Shared) -> bool {
        let frame = self.camera.frames.try_take();
        let found = frame.is_some();
        if let Some(frame) = frame {
            shared.metrics.frames_dropped(&self.camera.sensor, self.camera.frames.overwritten());
            if let Err(error) = self.read(frame, reader, begin, shared) {
                error!(sensor = %self.camera.sensor, "a picture could not be read: {error}");
            }
        }
        let now_ms = milliseconds(begin, Instant::now());
        let results = self.consensus.poll(now_ms);
        self.report(results, begin, shared);
        found
    }

    fn read(
        &mut self,
        frame: Frame,
        reader: &mut PlateReader,
        begin: Instant,
        shared: &Shared,
    ) -> Result<(), models::ModelError> {
        // A named frame is a file of its own, to be read whatever it shows.
        if frame.name.is_none() && !self.motion.deserves_a_look(&frame) {
            return Ok(());
        }
        shared.metrics.picture(&self.camera.sensor);
        let picture = Picture::from_bgr(frame.width, frame.height, &frame.bgr)?;
        let reads = reader.read(&picture)?;
        debug!(sensor = %self.camera.sensor, plates = reads.len(), "{:?}", reads.first().map(|read| (&read.text, read.probability)));
        let tag = self.next_tag;
        self.next_tag += 1;
        if !reads.is_empty() {
            self.kept.push(Kept { tag, picture });
        }
        self.consensus.add(milliseconds(begin, frame.captured), &reads, tag);
        if frame.name.is_some() {
            let results = self.consensus.finish();
            self.report(results, begin, shared);
        }
        Ok(())
    }

    fn report(&mut self, results: Vec<PlateResult>, begin: Instant, shared: &Shared) {
        for result in results {
            let evidence = self.evidence(&result);
            let seen_ago = milliseconds(begin, Instant::now()).saturating_sub(result.last_ms);
            let now = shared.clock.now().utc;
            let outgoing = Outgoing {
                sensor: self.camera.sensor.clone(),
                reading: Reading::Plate(reading_of(result, self.camera.view)),
                device_at: Some(UtcMs(now.0 - i64::try_from(seen_ago).unwrap_or(0))),
                evidence,
            };
            // Fails only when the daemon is ending.
            let _ = shared.readings.blocking_send(outgoing);
        }
        let in_use = self.consensus.frames_in_use();
        self.kept.retain(|kept| in_use.contains(&kept.tag));
        let surplus = self.kept.len().saturating_sub(MOST_FRAMES);
        self.kept.drain(..surplus);
    }

    /// The plate's crop and the whole picture it was read from.
    fn evidence(&self, result: &PlateResult) -> Vec<Vec<u8>> {
        let Some(kept) = self.kept.iter().find(|kept| kept.tag == result.frame_tag) else {
            return Vec::new();
        };
        let crop = models::crop_jpeg(&kept.picture, result.corners);
        let overview = kept.picture.jpeg(80);
        crop.into_iter().chain(overview).collect()
    }
}

fn reading_of(result: PlateResult, view: View) -> PlateReading {
    // The packet calls a plate certain by its confidence alone, so the reader's own doubt must show in it.
    let confidence = if result.certain {
        result.probability.max(CERTAIN_PLATE)
    } else {
        result.probability.min(CERTAIN_PLATE - 0.01)
    };
    let others = result.candidates.into_iter().skip(1).take(4);
    PlateReading {
        text: result.text,
        country: result.country,
        confidence,
        view,
        candidates: others
            .map(|other| PlateCandidate {
                text: other.text,
                country: other.country,
                confidence: other.probability,
            })
            .collect(),
    }
}

fn milliseconds(begin: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(begin).as_millis()).unwrap_or(u64::MAX)
}

/// Tells frames in which something moves from frames of an empty road.
#[derive(Default)]
struct Motion {
    coarse: Vec<u8>,
    attentive_until: Option<Instant>,
}

impl Motion {
    fn deserves_a_look(&mut self, frame: &Frame) -> bool {
        let coarse = coarse(frame);
        let changed =
            coarse.iter().zip(&self.coarse).filter(|(new, old)| new.abs_diff(**old) > CHANGE).count();
        let first = self.coarse.len() != coarse.len();
        if first || changed as f64 > coarse.len() as f64 * CHANGED_SHARE {
            self.attentive_until = Some(frame.captured + ATTENTION);
        }
        self.coarse = coarse;
        self.attentive_until.is_some_and(|until| frame.captured <= until)
    }
}

/// A grey picture of 64 x 36 means over a grid of single pixels: cheap, and enough to see motion.
fn coarse(frame: &Frame) -> Vec<u8> {
    const COLUMNS: usize = 64;
    const ROWS: usize = 36;
    /// Pixels per side that are averaged in each cell.
    const SAMPLES: usize = 3;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let grey = |x: usize, y: usize| {
        let at = (y * width + x) * 3;
        frame
            .bgr
            .get(at..at + 3)
            .map_or(0, |pixel| pixel.iter().map(|value| u32::from(*value)).sum::<u32>() / 3)
    };
    let mut cells = Vec::with_capacity(COLUMNS * ROWS);
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let mut sum = 0;
            for sample in 0..SAMPLES * SAMPLES {
                let x = (column * SAMPLES + sample % SAMPLES) * width / (COLUMNS * SAMPLES);
                let y = (row * SAMPLES + sample / SAMPLES) * height / (ROWS * SAMPLES);
                sum += grey(x, y);
            }
            cells.push(u8::try_from(sum / 9).unwrap_or(u8::MAX));
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(grey: u8, captured: Instant) -> Frame {
        Frame { width: 128, height: 72, bgr: vec![grey; 128 * 72 * 3], captured, name: None }
    }

    #[test]
    fn an_empty_road_is_passed_over_and_a_change_is_watched_for_a_while() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut motion = Motion::default();
        assert!(motion.deserves_a_look(&frame(100, at(0))));
        assert!(!motion.deserves_a_look(&frame(103, at(2000))));
        assert!(motion.deserves_a_look(&frame(160, at(2200))));
        assert!(motion.deserves_a_look(&frame(160, at(3600))));
        assert!(!motion.deserves_a_look(&frame(160, at(3900))));
    }

    #[test]
    fn only_a_certain_result_is_given_a_certain_confidence() {
        let result = |certain, probability| PlateResult {
            text: "A001MP05".into(),
            country: Some("RU".into()),
            probability,
            certain,
            candidates: Vec::new(),
            frames_agreeing: 1,
            frames: 1,
            frame_tag: 0,
            corners: [[0.0; 2]; 4],
            first_ms: 0,
            last_ms: 0,
        };
        assert!(reading_of(result(false, 0.99), View::Front).confidence < CERTAIN_PLATE);
        assert!(reading_of(result(true, 0.97), View::Front).confidence >= CERTAIN_PLATE);
    }
}
