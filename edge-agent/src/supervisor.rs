//! Starts every sensor's driver, watches it and starts it again after a fault.

use std::sync::Arc;
use std::time::Duration;

use firmware_config::ConfiguredSensor;
use interface::{Command, DriverContext, FrameSlot, HealthState, Outgoing, SensorId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::health::HealthTable;

/// A driver that ran this long had recovered: its next fault is waited for from the shortest wait again.
const STEADY: Duration = Duration::from_secs(60);
/// How long a driver may take to end when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// A sensor became offline, or came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorLost {
    /// Which.
    pub sensor: SensorId,
    /// Whether it is offline now.
    pub offline: bool,
}

/// Where the supervisor's news go.
#[derive(Clone, Debug)]
pub struct Outlets {
    /// Readings. Full: the drivers wait.
    pub readings: mpsc::Sender<Outgoing>,
    /// Sensors lost and found. Full: the supervisor of that sensor waits.
    pub lost: mpsc::Sender<SensorLost>,
    /// State of every sensor.
    pub health: HealthTable,
}

/// A supervised sensor.
#[derive(Debug)]
pub struct Supervised {
    /// Its name.
    pub sensor: SensorId,
    /// The task that runs it.
    pub task: JoinHandle<()>,
    /// Newest frame, for cameras.
    pub frames: FrameSlot,
    /// Where commands go, while a driver is running.
    pub commands: watch::Receiver<Option<mpsc::Sender<Command>>>,
}

/// Starts `sensor` and keeps it running until `stop`.
pub fn supervise(sensor: Arc<ConfiguredSensor>, outlets: Outlets, stop: CancellationToken) -> Supervised {
    let (commands_sender, commands) = watch::channel(None);
    let frames = FrameSlot::default();
    let slot = frames.clone();
    let id = sensor.id.clone();
    let task = tokio::spawn(async move {
        // Until it has been heard, nobody can say that it is there.
        Supervisor { sensor, outlets, commands: commands_sender, frames: slot, offline: true }
            .run(stop)
            .await;
    });
    Supervised { sensor: id, task, frames, commands }
}

struct Supervisor {
    sensor: Arc<ConfiguredSensor>,
    outlets: Outlets,
    commands: watch::Sender<Option<mpsc::Sender<Command>>>,
    frames: FrameSlot,
    offline: bool,
}

impl Supervisor {
    async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        while !stop.is_cancelled() {
            let started = Instant::now();
            let fault = self.run_once(&stop).await;
            self.commands.send_replace(None);
            let Some(fault) = fault else { break };
            if started.elapsed() > STEADY {
                backoff.reset();
            }
            let wait = backoff.wait();
            warn!(sensor = %self.sensor.id, "{fault}; trying again in {:.1} s", wait.as_secs_f64());
            self.outlets.health.restarted(&self.sensor.id);
            self.state(HealthState::Offline, Some(fault)).await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Runs one driver to its end; `None` when it ended because it was told to.
    async fn run_once(&mut self, stop: &CancellationToken) -> Option<String> {
        let (context, handles) = DriverContext::with_frames(
            self.sensor.id.clone(),
            self.outlets.readings.clone(),
            self.frames.clone(),
        );
        self.commands.send_replace(Some(handles.commands.clone()));
        let mut running = tokio::spawn(self.sensor.plan.start().run(context));
        let mut state = handles.state;
        loop {
            tokio::select! {
                ended = &mut running => {
                    return match ended {
                        Ok(Ok(())) if stop.is_cancelled() => None,
                        Ok(Ok(())) => Some("the driver ended without a reason".to_owned()),
                        Ok(Err(fault)) => Some(fault.0),
                        Err(panicked) => Some(format!("the driver failed in a way it should not ({panicked}); please report this")),
                    };
                }
                Ok(()) = state.changed() => {
                    let (state, error) = state.borrow_and_update().clone();
                    // A driver that connects again after a fault is offline to everybody else until it has.
                    if state != HealthState::Connecting {
                        self.state(state, error).await;
                    }
                }
                () = stop.cancelled() => {
                    handles.stop.cancel();
                    if tokio::time::timeout(FAREWELL, &mut running).await.is_err() {
                        warn!(sensor = %self.sensor.id, "the driver did not end within {FAREWELL:?}; aborted");
                        running.abort();
                    }
                    return None;
                }
            }
        }
    }

    async fn state(&mut self, state: HealthState, error: Option<String>) {
        if state == HealthState::Online {
            info!(sensor = %self.sensor.id, "online");
        } else if state == HealthState::Degraded {
            warn!(sensor = %self.sensor.id, "degraded: {}", error.as_deref().unwrap_or("no reason given"));
        }
        self.outlets.health.set_state(&self.sensor.id, state, error);
        let offline = match state {
            HealthState::Offline => true,
            HealthState::Online | HealthState::Degraded => false,
            HealthState::Connecting => self.offline,
        };
        if offline != self.offline {
            self.offline = offline;
            let lost = SensorLost { sensor: self.sensor.id.clone(), offline };
            // Only fails when the daemon is ending, when nobody needs to know any more.
            let _ = self.outlets.lost.send(lost).await;
        }
    }
}
