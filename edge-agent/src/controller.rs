//! The controller: one thread through which everything passes, in one order.
//!
//! A batch of inputs is stamped, written to the journal, and only then given to the engine; what the engine wants
//! published is durable in the outbox before the uplink hears of it; gates move after that. After a crash the newest
//! journal segment is given to the engine again: it says the same things under the same ids, the outbox knows them and
//! stores nothing twice, and gates are not moved again.
//!
//! When the outbox is full, what it cannot take is held here and tried again each second; the journal does not
//! rotate meanwhile, so that a crash loses nothing of it. When [`MOST_HELD`] events are held, no more readings are
//! taken and the drivers wait: said aloud as an error, because then vehicles may pass unread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use interface::{Observation, ObservationId, Outgoing, SensorId, Stamp};
use outbox::{New, Outbox, OutboxError};
use packet::{CommandResult, CommandState, LoadMessage};
use passage::{Checkpoint, Decision, Effect, Engine, Input, PassageId, PassageState, Report, Verdict};
use replay::{Header, Record, VERSION};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::evidence::EvidenceStore;
use crate::feed::event_of;
use crate::gate::GateRequest;
use crate::health::HealthTable;
use crate::journal::{Journal, Limits};
use crate::load::LoadCounter;
use crate::metrics::Metrics;
use crate::supervisor::SensorLost;

/// Inputs taken together: one journal write, one outbox commit.
const BATCH: usize = 256;
/// Events held while the outbox is full before readings are no longer taken.
const MOST_HELD: usize = 10_000;
/// How often the journal is forced to the disk, and held events are tried again.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A decision that came from the IISPP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingDecision {
    /// Name of the command.
    pub command_id: String,
    /// Which passage.
    pub passage: PassageId,
    /// What was decided.
    pub verdict: Verdict,
    /// Not to be begun after this monotonic time, milliseconds.
    pub deadline_mono_ms: u64,
}

/// Everything the controller listens to. Each channel is bounded; a full one makes its sender wait.
#[derive(Debug)]
pub struct Inlets {
    /// Readings of the drivers and of recognition.
    pub readings: mpsc::Receiver<Outgoing>,
    /// Sensors lost and found.
    pub lost: mpsc::Receiver<SensorLost>,
    /// Decisions of the IISPP.
    pub decisions: mpsc::Receiver<IncomingDecision>,
}

/// Everything the controller tells.
#[derive(Debug)]
pub struct Outlets {
    /// Gate actions.
    pub gates: mpsc::Sender<GateRequest>,
    /// What became of commands that never reach a gate.
    pub results: mpsc::Sender<CommandResult>,
    /// Rises when the outbox has grown.
    pub wake: watch::Sender<u64>,
    /// How busy the lanes are, newest count.
    pub load: watch::Sender<Option<LoadMessage>>,
    /// Rises with every turn of the loop, so that a watchdog sees it alive.
    pub alive: watch::Sender<u64>,
}

/// What the controller owns.
pub struct Controller {
    site: String,
    box_id: String,
    clock: Clock,
    engine: Engine,
    journal: Journal,
    outbox: Arc<Outbox>,
    evidence: EvidenceStore,
    health: HealthTable,
    metrics: Metrics,
    last_seq: BTreeMap<SensorId, u64>,
    last_stamp: Stamp,
    load: LoadCounter,
    held: Vec<Effect>,
    /// Passages that were open when the daemon last ended: whether a release of theirs was carried out is not known until
    /// the vehicle leaves.
    taken_up: BTreeSet<PassageId>,
    /// When to try again what the outbox did not take.
    try_again: Option<std::time::Instant>,
}

/// Where the controller keeps its files, and how much of them.
#[derive(Debug)]
pub struct Stores {
    /// Directory of the journal.
    pub journal: std::path::PathBuf,
    /// Its limits.
    pub journal_limits: Limits,
    /// Evidence.
    pub evidence: EvidenceStore,
    /// The outbox.
    pub outbox: Arc<Outbox>,
}

impl Controller {
    /// Opens the journal and takes up the passages that were open when the daemon last ended.
    pub fn open(
        checkpoint: Checkpoint,
        stores: Stores,
        clock: Clock,
        health: HealthTable,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let lanes: Vec<_> = checkpoint.lanes.iter().map(|lane| lane.id.clone()).collect();
        let (site, box_id) = (checkpoint.site.clone(), checkpoint.box_id.clone());
        let first_header = Header {
            journal: VERSION,
            site: site.clone(),
            box_id: box_id.clone(),
            last_seq: BTreeMap::new(),
            snapshot: None,
        };
        let (journal, recovered) = Journal::open(&stores.journal, stores.journal_limits, &first_header)
            .with_context(|| format!("failed to open the journal in {}", stores.journal.display()))?;
        let mut controller = Self {
            site,
            box_id,
            engine: Engine::new(checkpoint.clone()),
            clock,
            journal,
            outbox: stores.outbox,
            evidence: stores.evidence,
            health,
            metrics,
            last_seq: BTreeMap::new(),
            last_stamp: Stamp::default(),
            load: LoadCounter::new(lanes),
            held: Vec::new(),
            taken_up: BTreeSet::new(),
            try_again: None,
        };
        if let Some(recovered) = recovered {
            controller.recover(checkpoint, recovered)?;
        }
        controller.expect_sensors()?;
        Ok(controller)
    }

    fn recover(
        &mut self,
        checkpoint: Checkpoint,
        recovered: crate::journal::Recovered,
    ) -> anyhow::Result<()> {
        for (line, reason) in &recovered.unreadable {
            error!("journal line {line} cannot be read and is skipped: {reason}");
        }
        if recovered.torn_bytes > 0 {
            warn!(
                "the journal ended in the middle of a line ({} bytes); nobody had acted on it",
                recovered.torn_bytes
            );
        }
        self.last_seq = recovered.header.last_seq;
        if let Some(snapshot) = recovered.header.snapshot {
            match serde_json::from_value::<Engine>(snapshot) {
                Ok(snapshot) => self.engine = Engine::restore(checkpoint, snapshot),
                Err(error) => error!(
                    "the engine's snapshot cannot be read, open passages of older segments are lost: {error}"
                ),
            }
        }
        let count = recovered.records.len();
        for Record { stamp, input } in recovered.records {
            if let Input::Observation(observation) = &input {
                self.last_seq.insert(observation.id.sensor.clone(), observation.id.seq);
            }
            let effects = self.engine.step(&stamp, input);
            self.last_stamp = stamp;
            // Gates moved when this happened; moving them again now would be for another vehicle.
            self.held.extend(effects.into_iter().filter(|effect| !matches!(effect, Effect::Gate { .. })));
        }
        self.publish_held();
        self.taken_up = self.engine.open_passages().into_iter().map(|open| open.passage).collect();
        info!("took up the journal: {count} inputs, {} passages open", self.taken_up.len());
        Ok(())
    }

    /// Tells the engine that no sensor has been heard yet: what one says first may be its state, not an event.
    fn expect_sensors(&mut self) -> anyhow::Result<()> {
        let stamp = self.stamp();
        let sensors = self.health.all().into_keys();
        let records: Vec<_> = sensors
            .map(|sensor| Record {
                stamp: stamp.clone(),
                input: Input::SensorState { sensor, offline: true },
            })
            .collect();
        self.journal.append(&records).context("failed to write the journal")?;
        for Record { stamp, input } in records {
            let effects = self.engine.step(&stamp, input);
            self.held.extend(effects.into_iter().filter(|effect| !matches!(effect, Effect::Gate { .. })));
        }
        Ok(())
    }

    /// Runs until `stop`, then takes what is still in the inlets.
    pub fn run(
        mut self,
        runtime: &tokio::runtime::Handle,
        mut inlets: Inlets,
        outlets: &Outlets,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut last_housekeeping = std::time::Instant::now();
        while !stop.is_cancelled() {
            let inputs = runtime.block_on(self.gather(&mut inlets, stop));
            self.turn(inputs, outlets);
            if last_housekeeping.elapsed() >= HOUSEKEEPING {
                last_housekeeping = std::time::Instant::now();
                self.keep_house();
                outlets.load.send_replace(Some(self.load.message(&self.last_stamp)));
            }
            outlets.alive.send_modify(|turns| *turns += 1);
        }
        let rest = drain(&mut inlets);
        self.turn(rest, outlets);
        self.journal.sync().context("failed to write the journal to the disk")
    }

    /// Waits for inputs, for the engine's next deadline, or for housekeeping.
    async fn gather(&self, inlets: &mut Inlets, stop: &CancellationToken) -> Vec<Heard> {
        let now = self.clock.now().mono_ms;
        let until_deadline =
            self.engine.next_deadline().map_or(u64::MAX, |deadline| deadline.saturating_sub(now));
        let wait = HOUSEKEEPING.min(Duration::from_millis(until_deadline));
        let room = self.held.len() < MOST_HELD;
        let first = tokio::select! {
            Some(reading) = inlets.readings.recv(), if room => Some(Heard::Reading(reading)),
            Some(lost) = inlets.lost.recv(), if room => Some(Heard::Lost(lost)),
            Some(decision) = inlets.decisions.recv() => Some(Heard::Decision(decision)),
            () = tokio::time::sleep(wait) => None,
            () = stop.cancelled() => None,
        };
        let mut inputs: Vec<_> = first.into_iter().collect();
        while room && inputs.len() < BATCH {
            let Ok(reading) = inlets.readings.try_recv() else { break };
            inputs.push(Heard::Reading(reading));
        }
        inputs
    }

    /// One turn: journal, engine, outbox, gates.
    fn turn(&mut self, inputs: Vec<Heard>, outlets: &Outlets) {
        let deadlines: BTreeMap<_, _> = inputs.iter().filter_map(Heard::deadline).collect();
        let records: Vec<_> =
            inputs.into_iter().filter_map(|heard| self.record(heard, &outlets.results)).collect();
        self.write_journal(&records, &outlets.alive);
        let mut effects = Vec::new();
        for Record { stamp, input } in records {
            effects.extend(self.engine.step(&stamp, input));
        }
        let now = self.stamp();
        effects.extend(self.engine.tick(&now));
        let (gates, published): (Vec<_>, Vec<_>) = effects
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Gate { .. } | Effect::DecisionRefused { .. }));
        for effect in &published {
            if let Effect::Publish(report) = effect {
                self.mend(report, &outlets.results);
            }
        }
        self.held.extend(published);
        if self.publish_held() {
            outlets.wake.send_modify(|version| *version += 1);
        }
        self.metrics.open_passages(self.engine.open_passages().len());
        for request in gate_requests(gates, &deadlines, &outlets.results) {
            if let Err(refused) = outlets.gates.try_send(request) {
                error!("the gates do not take commands; not done: {refused}");
            }
        }
    }

    /// A release that the daemon's end interrupted was answered as failed, since the barrier may or may not have opened. When
    /// the vehicle has left after all, it was carried out.
    fn mend(&mut self, report: &Report, results: &mpsc::Sender<CommandResult>) {
        let left = matches!(report.state, PassageState::Departing | PassageState::Closed);
        if !left || !self.taken_up.remove(&report.passage) {
            return;
        }
        if let Some(Decision { verdict: Verdict::Release, command_id, .. }) = &report.decision {
            let detail = "the box was started again in the middle of it; the vehicle has left since";
            answer(results, command_id.clone(), CommandState::Done, detail.to_owned());
        }
    }

    /// Now, never earlier than before.
    fn stamp(&mut self) -> Stamp {
        let now = self.clock.now();
        if now.boot != self.last_stamp.boot || now.mono_ms > self.last_stamp.mono_ms {
            self.last_stamp = now;
        }
        self.last_stamp.clone()
    }

    /// Stamps what was heard; `None` for a decision that came too late.
    fn record(&mut self, heard: Heard, results: &mpsc::Sender<CommandResult>) -> Option<Record> {
        let stamp = self.stamp();
        let input = match heard {
            Heard::Reading(outgoing) => Input::Observation(self.observation(outgoing, &stamp)),
            Heard::Lost(SensorLost { sensor, offline }) => Input::SensorState { sensor, offline },
            Heard::Decision(late) if late.deadline_mono_ms < stamp.mono_ms => {
                answer(results, late.command_id, CommandState::Expired, "came too late".to_owned());
                return None;
            }
            Heard::Decision(IncomingDecision { command_id, passage, verdict, .. }) => Input::Decision {
                passage,
                decision: Decision { verdict, by: "iispp".to_owned(), command_id },
            },
        };
        Some(Record { stamp, input })
    }

    fn observation(&mut self, outgoing: Outgoing, stamp: &Stamp) -> Observation {
        let Outgoing { sensor, reading, device_at, evidence } = outgoing;
        let seq = self.last_seq.entry(sensor.clone()).or_default();
        *seq += 1;
        let id = ObservationId { sensor: sensor.clone(), seq: *seq };
        let mut names = Vec::new();
        for bytes in &evidence {
            match self.evidence.keep(bytes) {
                Ok(name) => names.push(name),
                // The reading matters more than its proof.
                Err(error) => {
                    error!(%sensor, "failed to keep evidence: {error}; the reading goes on without it")
                }
            }
        }
        self.health.reading(&sensor, stamp.utc);
        self.metrics.reading(&sensor, reading.kind());
        Observation { id, stamp: stamp.clone(), device_at, evidence: names, reading }
    }

    /// Writes `records`, however long it takes: nothing may be used that is not in the journal. A full disk is no reason
    /// for the watchdog to start the daemon again.
    fn write_journal(&mut self, records: &[Record], alive: &watch::Sender<u64>) {
        while let Err(error) = self.journal.append(records) {
            error!("failed to write the journal: {error}; readings wait, trying again in 1 s");
            self.metrics.journal_failure();
            alive.send_modify(|turns| *turns += 1);
            std::thread::sleep(HOUSEKEEPING);
        }
    }

    /// Makes all held events durable in the outbox. On an error they stay held, and are tried again after a while.
    /// Returns whether the outbox has grown.
    fn publish_held(&mut self) -> bool {
        if self.held.is_empty() || self.try_again.is_some_and(|time| std::time::Instant::now() < time) {
            return false;
        }
        self.try_again = None;
        let events: Vec<New> =
            self.held.iter().filter_map(|effect| event_of(&self.site, &self.box_id, effect)).collect();
        match self.outbox.append_batch(events) {
            Ok(_) => {
                for effect in self.held.drain(..) {
                    self.metrics.published(&effect);
                    if let Effect::Publish(report) = &effect {
                        self.load.note(report);
                    }
                }
                true
            }
            // It would block everything behind it for ever. What it was made of stays in the journal.
            Err(OutboxError::TooLarge { id, bytes, .. }) => {
                error!("event {id} of {bytes} bytes can never be stored and is given up");
                self.held.retain(|effect| {
                    event_of(&self.site, &self.box_id, effect).is_none_or(|event| event.id != id)
                });
                false
            }
            Err(error) => {
                error!("{error}; {} events are held and tried again", self.held.len());
                self.try_again = Some(std::time::Instant::now() + HOUSEKEEPING);
                false
            }
        }
    }

    fn keep_house(&mut self) {
        if let Err(error) = self.journal.sync() {
            error!("failed to write the journal to the disk: {error}");
        }
        self.metrics.outbox(self.outbox.len(), self.outbox.bytes());
        if self.journal.is_full() && self.held.is_empty() {
            let header = Header {
                journal: VERSION,
                site: self.site.clone(),
                box_id: self.box_id.clone(),
                last_seq: self.last_seq.clone(),
                snapshot: serde_json::to_value(&self.engine)
                    .inspect_err(|error| error!("failed to write the engine's snapshot: {error}"))
                    .ok(),
            };
            // Without a snapshot open passages could not be taken up: stay with the old segment.
            if header.snapshot.is_some()
                && let Err(error) = self.journal.rotate(&header)
            {
                error!("failed to begin a new journal segment: {error}; the old one goes on");
            }
        }
    }
}

/// What was heard, before it is stamped.
#[derive(Debug)]
enum Heard {
    Reading(Outgoing),
    Lost(SensorLost),
    Decision(IncomingDecision),
}

impl Heard {
    /// A command's name and the time until which it may be begun.
    fn deadline(&self) -> Option<(String, u64)> {
        match self {
            Self::Decision(decision) => Some((decision.command_id.clone(), decision.deadline_mono_ms)),
            _ => None,
        }
    }
}

fn drain(inlets: &mut Inlets) -> Vec<Heard> {
    let readings = std::iter::from_fn(|| inlets.readings.try_recv().ok()).map(Heard::Reading);
    readings.chain(std::iter::from_fn(|| inlets.lost.try_recv().ok()).map(Heard::Lost)).collect()
}

/// Gathers the gate actions of one command into one request.
fn gate_requests(
    effects: Vec<Effect>,
    deadlines: &BTreeMap<String, u64>,
    results: &mpsc::Sender<CommandResult>,
) -> Vec<GateRequest> {
    let mut requests: Vec<GateRequest> = Vec::new();
    for effect in effects {
        match effect {
            Effect::Gate { lane, action, command_id, .. } => match requests.last_mut() {
                Some(request) if request.lane == lane && request.command_id == command_id => {
                    request.actions.push(action)
                }
                _ => {
                    let deadline_mono_ms = command_id.as_ref().and_then(|id| deadlines.get(id)).copied();
                    requests.push(GateRequest { lane, actions: vec![action], command_id, deadline_mono_ms });
                }
            },
            Effect::DecisionRefused { command_id, why, .. } => {
                warn!("decision {command_id} not carried out: {why}");
                answer(results, command_id, CommandState::Failed, why);
            }
            _ => {}
        }
    }
    requests
}

fn answer(results: &mpsc::Sender<CommandResult>, id: String, state: CommandState, detail: String) {
    if let Err(refused) = results.try_send(CommandResult { id, state, detail: Some(detail) }) {
        error!("the uplink does not take results: {refused}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use interface::{Reading, ReadingKind};
    use passage::{Direction, Lane, LaneId, SensorPlace, Station, StationId};

    use super::*;

    fn checkpoint() -> Checkpoint {
        let lane = LaneId("in-1".into());
        let station = |id: &str, position_m| Station {
            id: StationId(id.into()),
            position_m,
            required: Vec::new(),
            deadline_ms: 60_000,
        };
        let stations = vec![station("entry", 0.0), station("exit", 1.0)];
        let sensors = ["entry", "exit"].map(|name| {
            let place = SensorPlace {
                lane: lane.clone(),
                station: StationId(name.into()),
                readings: vec![ReadingKind::Presence],
                view: None,
                box_clock: false,
            };
            (SensorId::from(name), place)
        });
        Checkpoint {
            site: "RU1".into(),
            box_id: "gw-1".into(),
            lanes: vec![Lane { id: lane, direction: Direction::In, stations }],
            sensors: BTreeMap::from(sensors),
            timing: passage::Timing { gather_ms: 0, ..passage::Timing::default() },
        }
    }

    fn open(folder: &Path) -> Controller {
        let outbox = Outbox::open(folder.join("outbox"), outbox::Limits::default()).unwrap();
        let stores = Stores {
            journal: folder.join("journal"),
            journal_limits: Limits { segment_bytes: 1 << 20, segments: 2 },
            evidence: EvidenceStore::open(&folder.join("evidence"), 1 << 20).unwrap(),
            outbox: Arc::new(outbox),
        };
        let health = HealthTable::new([]);
        Controller::open(checkpoint(), stores, Clock::new().unwrap(), health, Metrics::default()).unwrap()
    }

    fn outlets() -> (Outlets, mpsc::Receiver<GateRequest>, mpsc::Receiver<CommandResult>) {
        let ((gates, requests), (results, outcomes)) = (mpsc::channel(16), mpsc::channel(16));
        let (wake, load, alive) = (watch::Sender::new(0), watch::Sender::new(None), watch::Sender::new(0));
        (Outlets { gates, results, wake, load, alive }, requests, outcomes)
    }

    fn presence(sensor: &str, occupied: bool) -> Heard {
        let reading = Reading::Presence { occupied };
        Heard::Reading(Outgoing {
            sensor: SensorId::from(sensor),
            reading,
            device_at: None,
            evidence: Vec::new(),
        })
    }

    #[test]
    fn a_release_that_a_crash_interrupted_is_done_when_its_vehicle_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let (out, mut requests, mut outcomes) = outlets();
        let mut before = open(folder.path());
        before.turn(vec![presence("entry", true), presence("entry", false)], &out);
        let passage = before.engine.open_passages()[0].passage.clone();
        let release = IncomingDecision {
            command_id: "c1".into(),
            passage,
            verdict: Verdict::Release,
            deadline_mono_ms: u64::MAX,
        };
        before.turn(vec![Heard::Decision(release)], &out);
        assert!(requests.try_recv().unwrap().actions.contains(&interface::GateAction::OpenBarrier));
        assert!(outcomes.try_recv().is_err(), "what came of it is for the gate to say");
        drop(before);

        // The way of one metre.
        std::thread::sleep(Duration::from_millis(100));
        let mut after = open(folder.path());
        after.turn(vec![presence("entry", false), presence("exit", true)], &out);
        after.turn(vec![presence("exit", false)], &out);
        let result = outcomes.try_recv().unwrap();
        assert_eq!((result.id.as_str(), result.state), ("c1", CommandState::Done));
        assert!(outcomes.try_recv().is_err(), "told once");
    }
}
