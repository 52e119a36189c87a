//! Keeps what comes, then answers it.

use std::collections::BTreeMap;
use std::time::Duration;

use interface::UtcMs;
use packet::{CommandResult, Receipt, Rejection, Status, Topic, Topics};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, watch};
use tracing::{debug, error, warn};

use super::check::{Checked, Checker};
use super::session::Delivery;
use super::store::{Decided, Input, Outcome, Store};
use super::{ConsumerConfig, StoredEvent};

/// Most deliveries in one transaction: one fsync for all of them.
const BATCH: usize = 100;

/// How often decisions are looked over that have no answer yet.
const LOOK_OVER: Duration = Duration::from_secs(1);

/// Keeps batches until nobody delivers any more.
pub(super) struct Keeper {
    pub(super) config: ConsumerConfig,
    pub(super) checker: Checker,
    pub(super) deliveries: mpsc::Receiver<Delivery>,
    pub(super) connected: watch::Receiver<Option<AsyncClient>>,
    pub(super) stored: broadcast::Sender<StoredEvent>,
}

impl Keeper {
    pub(super) async fn run(mut self, mut store: Store) -> anyhow::Result<()> {
        let mut look_over = tokio::time::interval(LOOK_OVER);
        look_over.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let mut reconnected = false;
            tokio::select! {
                received = self.deliveries.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return Ok(());
                    }
                }
                Ok(()) = self.connected.changed() => reconnected = true,
                _ = look_over.tick() => {}
            }
            store = self.keep(store, std::mem::take(&mut batch), reconnected).await?;
        }
    }

    /// Keeps one batch and answers it. The disk is waited for on a thread of its own.
    async fn keep(&self, mut store: Store, batch: Vec<Delivery>, reconnected: bool) -> anyhow::Result<Store> {
        let inputs = batch.iter().filter_map(|delivery| self.read(delivery)).collect();
        let connected = self.connected.borrow().clone();
        // Without a connection a decision would be made that nobody hears in time.
        let decide = connected.as_ref().and(self.config.decide);
        let upto = reconnected && connected.is_some();
        let kept = tokio::task::spawn_blocking(move || {
            let (outcomes, decided) = store.keep(inputs, decide, now())?;
            let stored = if upto { store.stored_up_to()? } else { Vec::new() };
            anyhow::Ok((store, outcomes, decided, stored))
        });
        let (store, outcomes, decided, upto) = kept.await??;
        for delivery in &batch {
            if delivery.client.try_ack(&delivery.publish).is_err() {
                debug!("a delivery is not acknowledged, its connection is gone: the broker will repeat it");
            }
        }
        let receipts = self.announce(outcomes);
        // What the broker kept for us comes before our subscriptions stand: it is answered on its own connection.
        if let Some(Delivery { client, .. }) = batch.last() {
            for (topics, receipt) in receipts {
                send(client, &topics.receipt(), &receipt, None);
            }
        }
        if let Some(client) = connected {
            for (topics, upto_seq) in upto {
                let receipt = Receipt { upto_seq: Some(upto_seq), ..Receipt::default() };
                send(&client, &topics.receipt(), &receipt, None);
            }
            for Decided { topics, command_id, command } in decided {
                // The broker drops a decision that nobody could carry out any more.
                let expiry = u32::try_from(command.valid_ms / 1000).ok();
                send(&client, &topics.command("decision", &command_id), &command, expiry);
            }
        }
        Ok(store)
    }

    /// What a delivery says; `None` if it is nothing of ours.
    fn read(&self, delivery: &Delivery) -> Option<Input> {
        let publish = &delivery.publish;
        let name = std::str::from_utf8(&publish.topic).ok()?;
        let (topics, topic) = Topics::parse(name)?;
        match &topic {
            Topic::Status => {
                let status: Status = serde_json::from_slice(&publish.payload).ok()?;
                Some(Input::Status(topics, status))
            }
            Topic::CommandResult { .. } => {
                let result: CommandResult = serde_json::from_slice(&publish.payload).ok()?;
                Some(Input::Result(topics, result))
            }
            _ => {
                let checked = self.checker.check(&topics, &topic, &publish.payload)?;
                if let Checked::Refused { reason, .. } | Checked::Nameless { reason } = &checked {
                    error!("{name}: refused: {reason}");
                }
                Some(Input::Event(topics, checked))
            }
        }
    }

    /// Tells the watchers what is stored, and makes one receipt for each box.
    fn announce(&self, outcomes: Vec<Outcome>) -> BTreeMap<Topics, Receipt> {
        let mut receipts: BTreeMap<Topics, Receipt> = BTreeMap::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Stored { event, deliveries } => {
                    receipts.entry(event.topics.clone()).or_default().ids.push(event.id.clone());
                    let stored = StoredEvent {
                        source: event.topics.source(),
                        id: event.id,
                        seq: event.seq.unsigned_abs(),
                        class: event.class,
                        packet: event.packet,
                        first: deliveries == 1,
                    };
                    // Nobody may be watching.
                    let _ = self.stored.send(stored);
                }
                Outcome::Refused { topics, id, reason } => {
                    receipts.entry(topics).or_default().rejected.push(Rejection { id, reason });
                }
                Outcome::Kept => {}
            }
        }
        receipts
    }
}

/// Publishes without waiting: what does not go out now is asked for again by the box's next repeat.
fn send(client: &AsyncClient, topic: &str, message: &impl Serialize, expiry_s: Option<u32>) {
    let payload = match serde_json::to_vec(message) {
        Ok(payload) => payload,
        Err(error) => return error!("{topic}: cannot be written: {error}"),
    };
    let properties = PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: expiry_s,
        content_type: Some("application/json".to_owned()),
        ..PublishProperties::default()
    };
    if let Err(error) =
        client.try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties)
    {
        warn!("{topic}: not sent: {error}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the consumer is another machine than the box, with its own clock"
)]
fn now() -> UtcMs {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UtcMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
