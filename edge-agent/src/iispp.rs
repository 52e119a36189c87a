//! Connects the uplink with the rest: site file, decisions, health, load, metrics.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use firmware_config::{FileReference, Iispp, Site};
use outbox::Outbox;
use packet::{CommandResult, LoadMessage, Status, StatusState, Topics};
use passage::PassageId;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::clock::Clock;
use crate::controller::IncomingDecision;
use crate::feed::{EVERY, EXPIRY, health_message};
use crate::health::HealthTable;
use crate::metrics::Metrics;
use crate::uplink::{Board, Incoming, Link, Retained, Tls, Uplink, UplinkConfig, UplinkState};

/// What the uplink is connected to.
#[derive(Debug)]
pub struct Parts {
    /// What is to be delivered.
    pub outbox: Arc<Outbox>,
    /// Changes when there is more of it.
    pub wake: watch::Receiver<u64>,
    /// Where decisions go. Full: the command fails, and says so.
    pub decisions: mpsc::Sender<IncomingDecision>,
    /// What became of commands.
    pub results: mpsc::Receiver<CommandResult>,
    /// All sensors.
    pub health: HealthTable,
    /// How busy the lanes are.
    pub load: watch::Receiver<Option<LoadMessage>>,
    /// Numbers.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
    /// Ends the uplink.
    pub stop: CancellationToken,
}

/// Starts the uplink to the broker of `iispp`.
pub fn start(site: &Site, iispp: &Iispp, parts: Parts) -> anyhow::Result<JoinHandle<()>> {
    let topics = Topics::new(&site.site.id, &site.site.box_id)?;
    let tls = iispp.tls.as_ref().map(|tls| -> anyhow::Result<Tls> {
        Ok(Tls {
            ca_pem: read(&tls.ca_file)?,
            cert_pem: read(&tls.certificate_file)?,
            key_pem: read(&tls.key_file)?,
        })
    });
    let config = UplinkConfig {
        host: iispp.host.clone(),
        port: iispp.port,
        tls: tls.transpose()?,
        client_id: format!("{}-{}", site.site.id, site.site.box_id),
        topics: topics.clone(),
        keep_alive_s: iispp.keep_alive_s,
        window: iispp.window,
        receipt_timeout_ms: u64::from(iispp.receipt_timeout_s) * 1000,
        status: Status {
            state: StatusState::Online,
            session: None,
            boot: Some(parts.clock.now().boot.0),
            config_sha256: Some(site.sha256.to_string()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            models: models_of(site),
            next_seq: None,
            since: None,
        },
    };
    let (incoming, decisions) = mpsc::channel(16);
    let board = watch::Sender::new(Board::default());
    let state = watch::Sender::new(UplinkState::default());
    tokio::spawn(forward(decisions, parts.decisions));
    tokio::spawn(mirror(state.subscribe(), parts.metrics));
    let clock = parts.clock.clone();
    let uplink = Uplink {
        config,
        outbox: parts.outbox,
        clock: Arc::new(move || clock.now()),
        wake: parts.wake,
        board: board.subscribe(),
        incoming,
        results: parts.results,
        state,
        stop: parts.stop.clone(),
    };
    tokio::spawn(keep_board(board, topics, parts.health, parts.load, parts.clock, parts.stop));
    Ok(tokio::spawn(async move {
        if let Err(failure) = uplink.run().await {
            error!("the uplink cannot run, events stay in the outbox: {failure}");
        }
    }))
}

/// The models in use, by name and SHA-256.
fn models_of(site: &Site) -> Vec<String> {
    let manifest = site.recognition.as_ref().and_then(|_| models::Manifest::builtin().ok());
    manifest
        .iter()
        .flat_map(|manifest| &manifest.model)
        .map(|model| format!("{} {}", model.name, model.sha256))
        .collect()
}

/// Hands decisions to the controller.
async fn forward(mut incoming: mpsc::Receiver<Incoming>, decisions: mpsc::Sender<IncomingDecision>) {
    while let Some(Incoming::Decision { id, command, deadline_mono_ms, .. }) = incoming.recv().await {
        let decision = IncomingDecision {
            command_id: id,
            passage: PassageId(command.passage_id),
            verdict: command.decision,
            deadline_mono_ms,
        };
        if decisions.send(decision).await.is_err() {
            return;
        }
    }
}

/// Says the uplink's faults aloud and shows its state in the metrics.
async fn mirror(mut state: watch::Receiver<UplinkState>, metrics: Metrics) {
    let mut said = Default::default();
    loop {
        let current = state.borrow_and_update().clone();
        metrics.uplink_connected(current.link == Link::Online);
        if current.faults != said {
            current.faults.iter().for_each(|(what, why)| error!("uplink: {what}: {why}"));
            said = current.faults;
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Publishes health on change and every minute, and load every minute.
async fn keep_board(
    board: watch::Sender<Board>,
    topics: Topics,
    health: HealthTable,
    load: watch::Receiver<Option<LoadMessage>>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut changes = health.changes();
    let mut minute = tokio::time::interval(EVERY);
    let mut published = Default::default();
    loop {
        let all = tokio::select! {
            _ = minute.tick() => true,
            changed = changes.changed() => {
                if changed.is_err() { return }
                false
            }
            () = stop.cancelled() => return,
        };
        let now = clock.now();
        let sensors = health.all();
        board.send_modify(|board| {
            let board = Arc::make_mut(board);
            for (sensor, known) in &sensors {
                // The time of the last reading alone is no change.
                let state = (known.health.state, known.health.error.clone());
                let last: &mut std::collections::BTreeMap<_, _> = &mut published;
                if all || last.get(sensor) != Some(&state) {
                    last.insert(sensor.clone(), state);
                    put(board, topics.health(&sensor.0), &health_message(sensor, known, &now));
                }
            }
            if let (true, Some(load)) = (all, load.borrow().as_ref()) {
                put(board, topics.load(), load);
            }
        });
    }
}

fn put(board: &mut std::collections::BTreeMap<String, Retained>, topic: String, message: &impl Serialize) {
    match serde_json::to_vec(message) {
        Ok(payload) => {
            let expiry_s = u32::try_from(EXPIRY.as_secs()).ok();
            board.insert(topic, Retained { payload, expiry_s });
        }
        Err(failure) => warn!(topic, "failed to write a message: {failure}"),
    }
}

fn read(file: &FileReference) -> anyhow::Result<Vec<u8>> {
    let path: PathBuf = file.path()?;
    std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
}
