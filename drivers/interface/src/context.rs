//! What a running driver is given, and how it speaks.

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{FrameSlot, GateAction, HealthState, Reading, SensorId, UtcMs};

/// A reading on its way to the journal; stamped and numbered there.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Which sensor speaks.
    pub sensor: SensorId,
    /// What it measured.
    pub reading: Reading,
    /// When the device says it was measured.
    pub device_at: Option<UtcMs>,
    /// Bytes to keep as proof.
    pub evidence: Vec<Vec<u8>>,
}

/// Something a gate is told to do. The driver answers each command once.
#[derive(Debug)]
pub struct Command {
    /// What to do.
    pub action: GateAction,
    /// Where the answer goes.
    pub reply: oneshot::Sender<CommandReply>,
}

/// `Ok` says what was done, `Err` why it was not; both in plain words.
pub type CommandReply = Result<String, String>;

/// The daemon is stopping, or nobody listens any more: end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver was told to stop")]
pub struct Stopped;

/// What a running driver is given.
#[derive(Debug)]
pub struct DriverContext {
    sensor: SensorId,
    readings: mpsc::Sender<Outgoing>,
    state: watch::Sender<(HealthState, Option<String>)>,
    frames: FrameSlot,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
}

/// The other ends of a [`DriverContext`], for the supervisor, or for a test.
#[derive(Debug)]
pub struct ContextHandles {
    /// Newest state the driver reported, with the reason in plain words.
    pub state: watch::Receiver<(HealthState, Option<String>)>,
    /// Newest frame of a camera.
    pub frames: FrameSlot,
    /// Commands to a gate. Holds eight; a ninth waits.
    pub commands: mpsc::Sender<Command>,
    /// Cancel to stop the driver.
    pub stop: CancellationToken,
}

impl DriverContext {
    /// A context for `sensor` that sends its readings into `readings`, and the other ends of it.
    pub fn new(sensor: SensorId, readings: mpsc::Sender<Outgoing>) -> (Self, ContextHandles) {
        Self::with_frames(sensor, readings, FrameSlot::default())
    }

    /// The same, with a frame slot that outlives this driver.
    pub fn with_frames(
        sensor: SensorId,
        readings: mpsc::Sender<Outgoing>,
        frames: FrameSlot,
    ) -> (Self, ContextHandles) {
        let (state, state_receiver) = watch::channel((HealthState::Connecting, None));
        let (command_sender, commands) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let handles = ContextHandles {
            state: state_receiver,
            frames: frames.clone(),
            commands: command_sender,
            stop: stop.clone(),
        };
        (Self { sensor, readings, state, frames, commands, stop }, handles)
    }

    /// The configured name of this sensor.
    pub fn sensor(&self) -> &SensorId {
        &self.sensor
    }

    /// Hands over a reading. Waits while the daemon is behind, so that nothing is dropped without a word.
    pub async fn observe(
        &self,
        reading: Reading,
        device_at: Option<UtcMs>,
        evidence: Vec<Vec<u8>>,
    ) -> Result<(), Stopped> {
        let outgoing = Outgoing { sensor: self.sensor.clone(), reading, device_at, evidence };
        tokio::select! {
            sent = self.readings.send(outgoing) => sent.map_err(|_| Stopped),
            () = self.stop.cancelled() => Err(Stopped),
        }
    }

    /// The device answers and measures.
    pub fn online(&self) {
        self.report(HealthState::Online, None);
    }

    /// The device answers, but something is wrong; `why` says what, and what to do.
    pub fn degraded(&self, why: impl Into<String>) {
        self.report(HealthState::Degraded, Some(why.into()));
    }

    /// Not connected; `why` says what is being tried, if there is something to say.
    pub fn connecting(&self, why: Option<String>) {
        self.report(HealthState::Connecting, why);
    }

    fn report(&self, state: HealthState, error: Option<String>) {
        self.state.send_if_modified(|current| {
            let next = (state, error);
            let changed = *current != next;
            *current = next;
            changed
        });
    }

    /// Where a camera puts its frames.
    pub fn frames(&self) -> &FrameSlot {
        &self.frames
    }

    /// Waits for the next command; never answers once nobody can send one any more.
    pub async fn command(&mut self) -> Command {
        match self.commands.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }

    /// Waits until the driver is told to stop. A session selects on this beside its device.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// A handle for a thread or task of the driver's own to watch.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }
}
