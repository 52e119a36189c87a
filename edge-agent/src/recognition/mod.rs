//! Recognition: frames of the cameras in, readings out.
//!
//! The workers are threads that share all cameras: whoever is free takes the camera that was served least recently and
//! has a frame (`turns.rs`). A frame that nobody could take in time is overwritten by the next one and counted; none is
//! queued. Frames in which nothing moved inside the camera's region are passed over (`motion.rs`). What is left is cut
//! to the region, its masks are blackened (`region.rs`), and each of the camera's watches looks at it: `plates.rs`,
//! `faces.rs`, `containers.rs`. A watch makes one reading of many frames.
//!
//! A kind of reading whose models cannot be used is absent: its sensors say why, everything else goes on.

mod check;
mod containers;
mod faces;
mod motion;
mod plates;
mod region;
mod turns;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use firmware_config::Recognition;
use interface::{FrameSlot, Outgoing, ReadingKind, SensorId, Sight};
use models::{
    ContainerOptions, ContainerReader, FaceOptions, FaceReader, Manifest, ModelStore, PlateOptions,
    PlateReader, Runtime,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use check::problems;

use crate::clock::Clock;
use crate::faces::{FaceDesk, FaceError};
use crate::metrics::Metrics;
use containers::ContainerWatch;
use faces::FaceWatch;
use plates::PlateWatch;
use turns::Turns;
use worker::{Post, Watch, work};

/// A camera to be read.
#[derive(Clone, Debug)]
pub struct Camera {
    /// Its sensor.
    pub sensor: SensorId,
    /// What is to be read.
    pub sight: Sight,
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

/// Recognition as far as it could be started.
#[derive(Debug, Default)]
pub struct Started {
    /// The workers.
    pub threads: Vec<std::thread::JoinHandle<()>>,
    /// What is not read at which camera, and why.
    pub absent: Vec<(SensorId, String)>,
}

/// The readers of one worker. ONNX Runtime's sessions are run by one thread at a time, so each worker has its own; a
/// worker's cameras share them.
#[derive(Debug, Default)]
struct Readers {
    plates: Option<PlateReader>,
    containers: Option<ContainerReader>,
    faces: Option<FaceReader>,
}

/// Loads the models and starts the workers. `settings` is `None` where the site file has no `[recognition]`, `desk` is why
/// there is none where faces cannot be kept.
pub fn start(
    settings: Option<&Recognition>,
    desk: Result<Arc<FaceDesk>, FaceError>,
    cameras: Vec<Camera>,
    shared: &Shared,
) -> Started {
    let mut started = Started::default();
    let workers = settings.map_or(1, |settings| usize::from(settings.workers)).min(cameras.len()).max(1);
    let mut readers: Vec<Readers> = (0..workers).map(|_| Readers::default()).collect();
    let wanted = |kind| cameras.iter().any(|camera| camera.sight.reads.contains(&kind));
    let mut faults: Vec<(ReadingKind, String)> = Vec::new();
    for kind in
        [ReadingKind::Plate, ReadingKind::Face, ReadingKind::Container].into_iter().filter(|it| wanted(*it))
    {
        let fault = match &desk {
            Err(error) if kind == ReadingKind::Face && settings.is_some() => Some(error.to_string()),
            _ => load(kind, settings, &mut readers).err().map(|error| format!("{error:#}")),
        };
        faults.extend(fault.map(|why| (kind, format!("{kind} is not read: {why}"))));
    }
    let mut posts = Vec::new();
    for camera in cameras {
        let fault = |kind| faults.iter().find(|(faulty, _)| *faulty == kind).map(|(_, why)| why.clone());
        let mut watches: Vec<Box<dyn Watch<Readers>>> = Vec::new();
        for kind in &camera.sight.reads {
            match fault(*kind) {
                Some(why) => started.absent.push((camera.sensor.clone(), why)),
                None => watches.extend(watch(*kind, &camera.sight, desk.as_ref().ok(), &shared.clock)),
            }
        }
        if !watches.is_empty() {
            info!(sensor = %camera.sensor, "recognition is ready");
            posts.push(Post::new(camera, watches));
        }
    }
    if posts.is_empty() {
        return started;
    }
    let turns = Arc::new(Turns::new(posts));
    let begin = Instant::now();
    for (index, own) in readers.into_iter().enumerate() {
        let (turns, shared) = (turns.clone(), shared.clone());
        let thread = std::thread::Builder::new().name(format!("recognition {index}"));
        match thread.spawn(move || work(&turns, own, begin, &shared)) {
            Ok(thread) => started.threads.push(thread),
            // The other workers serve all cameras; without any, the lane goes on without recognition.
            Err(error) => tracing::error!("failed to start recognition worker {index}: {error}"),
        }
    }
    started
}

/// Loads the models of one kind for every worker.
fn load(kind: ReadingKind, settings: Option<&Recognition>, readers: &mut [Readers]) -> anyhow::Result<()> {
    let Some(settings) = settings else { anyhow::bail!("the site file has no [recognition]") };
    let runtime = Runtime::load(&settings.runtime)?;
    let store = ModelStore::open(&settings.models, Manifest::builtin()?)?;
    for own in readers {
        match kind {
            ReadingKind::Plate => {
                let options = PlateOptions { threads: settings.threads.into(), ..PlateOptions::default() };
                own.plates = Some(PlateReader::load(&runtime, &store, options)?);
            }
            ReadingKind::Container => {
                let options =
                    ContainerOptions { threads: settings.threads.into(), ..ContainerOptions::default() };
                own.containers = Some(ContainerReader::load(&runtime, &store, options)?);
            }
            ReadingKind::Face => {
                let options = FaceOptions {
                    threads: settings.threads.into(),
                    least_quality: settings.faces.as_ref().map_or(0.0, |faces| faces.min_quality as f32),
                    ..FaceOptions::default()
                };
                own.faces = Some(FaceReader::load(&runtime, &store, options)?);
            }
            other => anyhow::bail!("this version reads no {other} in pictures"),
        }
    }
    Ok(())
}

/// What looks for `kind` in the pictures of a camera.
fn watch(
    kind: ReadingKind,
    sight: &Sight,
    desk: Option<&Arc<FaceDesk>>,
    clock: &Clock,
) -> Option<Box<dyn Watch<Readers>>> {
    match kind {
        ReadingKind::Plate => Some(Box::new(PlateWatch::new(sight))),
        ReadingKind::Container => Some(Box::new(ContainerWatch::new())),
        ReadingKind::Face => Some(Box::new(FaceWatch::new(sight, desk?.clone(), clock.clone()))),
        _ => None,
    }
}
