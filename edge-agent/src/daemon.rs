//! `edge-agent run`: puts the parts together, starts them, and ends them in order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use firmware_config::{ConfiguredSensor, Site};
use outbox::{Limits, Outbox};
use packet::CommandResult;
use passage::LaneId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::controller::{Controller, Inlets, Outlets, Stores};
use crate::evidence::EvidenceStore;
use crate::faces::{self, FaceDesk};
use crate::gate::Gates;
use crate::health::HealthTable;
use crate::iispp;
use crate::journal;
use crate::metrics::{self, Metrics};
use crate::recognition::{self, Camera, Shared};
use crate::supervisor::{self, Supervised, supervise};

/// Readings waiting for the controller. Full: the drivers wait.
const READINGS: usize = 1024;
/// Journal segments are this long: a restart reads one.
const SEGMENT_BYTES: u64 = 8 << 20;
const MIB: u64 = 1 << 20;

/// Where the outbox of `site` is.
pub fn outbox_folder(site: &Site) -> PathBuf {
    site.storage.directory.join("outbox")
}

/// Runs the checkpoint until SIGTERM or SIGINT.
pub fn run(site: Site) -> anyhow::Result<()> {
    site.warnings.iter().for_each(|warning| warn!("{warning}"));
    // Ignoring a second installation: the first one stays in force.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let ended = runtime.block_on(start(site, handle));
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn start(mut site: Site, handle: tokio::runtime::Handle) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let clock = Clock::new().context("failed to read the kernel's boot id")?;
    let metrics = Metrics::default();
    let checkpoint = crate::layout::checkpoint(&site);
    let health = HealthTable::new(site.sensors.iter().map(|sensor| (sensor.id.clone(), sensor.protocol)));
    let outbox = open_outbox(&site)?;
    let (readings, reading_receiver) = mpsc::channel(READINGS);
    let (lost, lost_receiver) = mpsc::channel(256);
    let (decisions, decision_receiver) = mpsc::channel(64);
    let (gate_requests, gate_receiver) = mpsc::channel(64);
    let (results, result_receiver) = mpsc::channel::<CommandResult>(64);
    let wake = watch::Sender::new(0);
    let alive = watch::Sender::new(0);
    let load = watch::Sender::new(None);

    let stores = stores(&site, outbox.clone())?;
    let controller = Controller::open(checkpoint, stores, clock.clone(), health.clone(), metrics.clone())?;

    let sensors: Vec<Arc<ConfiguredSensor>> =
        std::mem::take(&mut site.sensors).into_iter().map(Arc::new).collect();
    let outlets = supervisor::Outlets { readings: readings.clone(), lost, health: health.clone() };
    let running: Vec<Supervised> =
        sensors.iter().map(|sensor| supervise(sensor.clone(), outlets.clone(), stop.child_token())).collect();
    drop(outlets);
    let shared = Shared { readings, metrics: metrics.clone(), clock: clock.clone(), stop: stop.clone() };
    let recognisers = start_recognition(&site, &sensors, &running, shared, &health);
    tokio::spawn(gates_of(&sensors, &running, &site).run(gate_receiver, results.clone(), clock.clone()));
    serve_metrics(&site, metrics.clone(), health.clone());
    let uplink = site.iispp.as_ref().map(|settings| {
        let parts = iispp::Parts {
            outbox: outbox.clone(),
            wake: wake.subscribe(),
            decisions,
            results: result_receiver,
            health: health.clone(),
            load: load.subscribe(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            stop: stop.clone(),
        };
        iispp::start(&site, settings, parts)
    });
    let uplink = uplink.transpose()?;
    if uplink.is_none() {
        warn!("no [iispp] in the site file: packets stay in the outbox");
    }

    let inlets = Inlets { readings: reading_receiver, lost: lost_receiver, decisions: decision_receiver };
    let mut turns = alive.subscribe();
    let outlets = Outlets { gates: gate_requests, results, wake, load, alive };
    let controller_stop = CancellationToken::new();
    let thread_stop = controller_stop.clone();
    let thread = std::thread::Builder::new()
        .name("controller".to_owned())
        .spawn(move || controller.run(&handle, inlets, &outlets, &thread_stop))?;
    notify(&[sd_notify::NotifyState::Ready]);
    info!(sensors = sensors.len(), "checkpoint {} is running", site.site.id);

    watch_over(&thread, &mut turns).await?;
    info!("stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    stop.cancel();
    for sensor in running {
        // A driver that panicked is reported already.
        let _ = sensor.task.await;
    }
    for thread in recognisers {
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
    controller_stop.cancel();
    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
    if let Some(uplink) = uplink {
        let _ = uplink.await;
    }
    match ended {
        Ok(result) => result,
        Err(_) => anyhow::bail!("the controller failed in a way it should not; please report this"),
    }
}

/// Waits for a signal. Pets systemd's watchdog as long as the controller turns.
async fn watch_over(
    thread: &std::thread::JoinHandle<anyhow::Result<()>>,
    turns: &mut watch::Receiver<u64>,
) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let every = sd_notify::watchdog_enabled().map_or(Duration::from_secs(5), |limit| limit / 3);
    let mut pet = tokio::time::interval(every);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            interrupted = tokio::signal::ctrl_c() => return interrupted.context("failed to wait for a signal"),
            _ = pet.tick() => {
                if turns.has_changed().unwrap_or(false) {
                    turns.mark_unchanged();
                    notify(&[sd_notify::NotifyState::Watchdog]);
                } else if thread.is_finished() {
                    return Ok(());
                }
            }
        }
    }
}

fn notify(states: &[sd_notify::NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("failed to tell systemd: {error}");
    }
}

fn open_outbox(site: &Site) -> anyhow::Result<Arc<Outbox>> {
    let limits = Limits {
        max_events: site.storage.outbox_max_events,
        max_bytes: site.storage.outbox_max_mib * MIB,
        ..Limits::default()
    };
    Ok(Arc::new(Outbox::open(outbox_folder(site), limits)?))
}

fn stores(site: &Site, outbox: Arc<Outbox>) -> anyhow::Result<Stores> {
    let directory = &site.storage.directory;
    let evidence = directory.join("evidence");
    let segments = (site.storage.journal_max_mib * MIB / SEGMENT_BYTES).max(2);
    Ok(Stores {
        journal: directory.join("journal"),
        journal_limits: journal::Limits {
            segment_bytes: SEGMENT_BYTES,
            segments: usize::try_from(segments).unwrap_or(usize::MAX),
        },
        evidence: EvidenceStore::open(&evidence, site.storage.evidence_max_mib * MIB)
            .with_context(|| format!("failed to open the evidence in {}", evidence.display()))?,
        outbox,
    })
}

/// Starts recognition for the cameras. What cannot be read degrades its cameras and nothing else.
fn start_recognition(
    site: &Site,
    sensors: &[Arc<ConfiguredSensor>],
    running: &[Supervised],
    shared: Shared,
    health: &HealthTable,
) -> Vec<std::thread::JoinHandle<()>> {
    let desk = faces::open(site).map(Arc::new);
    if let Some(settings) = site.recognition.as_ref().and_then(|it| it.faces.as_ref()) {
        let folder = faces::folder(site, settings);
        let days = settings.retention_days;
        tokio::spawn(retain_faces(desk.as_ref().ok().cloned(), folder, days, shared.clone()));
    }
    let cameras: Vec<_> = sensors
        .iter()
        .zip(running)
        .filter_map(|(sensor, running)| {
            let sight = sensor.plan.recognition()?;
            Some(Camera { sensor: sensor.id.clone(), sight, frames: running.frames.clone() })
        })
        .collect();
    if cameras.is_empty() {
        return Vec::new();
    }
    let started = recognition::start(site.recognition.as_ref(), desk, cameras, &shared);
    for (sensor, why) in started.absent {
        error!(%sensor, "{why}");
        health.impair(&sensor, why);
    }
    started.threads
}

/// Deletes face templates whose time is over, now and every day.
/// What passed is deleted even if the key is lost.
async fn retain_faces(desk: Option<Arc<FaceDesk>>, folder: PathBuf, retention_days: u32, shared: Shared) {
    let mut days = tokio::time::interval(Duration::from_secs(24 * 3600));
    loop {
        tokio::select! {
            _ = days.tick() => {}
            () = shared.stop.cancelled() => return,
        }
        let (desk, folder, now) = (desk.clone(), folder.clone(), shared.clock.now().utc);
        let retain = move || faces::retain(desk.as_deref(), &folder, retention_days, now);
        match tokio::task::spawn_blocking(retain).await {
            Ok(Ok((0, 0))) => {}
            Ok(Ok((people, passages))) => {
                info!("face templates deleted: {people} enrolled people, {passages} days of passages");
            }
            Ok(Err(error)) => error!("face templates that should be deleted are not: {error}"),
            Err(panicked) => error!("face templates that should be deleted are not: {panicked}"),
        }
    }
}

/// For each lane the gate that stands last in driving order.
fn gates_of(sensors: &[Arc<ConfiguredSensor>], running: &[Supervised], site: &Site) -> Gates {
    let mut gates = BTreeMap::new();
    for lane in &site.lanes {
        for station in &lane.stations {
            for (sensor, running) in sensors.iter().zip(running) {
                if sensor.plan.is_gate() && sensor.lane == lane.id && sensor.station == station.id {
                    gates.insert(LaneId(lane.id.clone()), (sensor.id.clone(), running.commands.clone()));
                }
            }
        }
    }
    Gates(gates)
}

fn serve_metrics(site: &Site, metrics: Metrics, health: HealthTable) {
    let listen = site.status.listen;
    tokio::spawn(async move {
        if let Err(error) = metrics::serve(listen, metrics, health).await {
            // The lane matters more than its numbers.
            error!("no metrics on {listen}: {error}; choose another [status] listen");
        }
    });
}
