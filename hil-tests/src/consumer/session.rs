//! The consumer's connection to the broker.
//!
//! The MQTT client is disposable: each connection has a new one. Nothing is lost with it, since the broker keeps the
//! session, a delivery is acknowledged only after it is on disk, and the box repeats an event until a receipt names it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use packet::{EVENT_FILTERS, RESULT_FILTER, STATUS_FILTER};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ConsumerConfig;

/// Deliveries that the broker may have under way to us: bounds our memory, and lets a slow disk slow the broker.
const RECEIVE_MAXIMUM: u16 = 100;

/// Requests that the client may hold. More than every acknowledgement and receipt of [`RECEIVE_MAXIMUM`] deliveries.
const REQUESTS: usize = 1024;

/// How long the broker keeps our session while we are away, seconds: a day.
const SESSION_EXPIRY_S: u32 = 86_400;

/// First and longest pause before the next connection.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A message, and the connection on which it is to be acknowledged.
pub(super) struct Delivery {
    pub(super) client: AsyncClient,
    pub(super) publish: Publish,
}

/// Connects, and connects again, until `stop`. `connected` holds the client while its subscriptions stand.
pub(super) async fn run(
    config: ConsumerConfig,
    deliveries: mpsc::Sender<Delivery>,
    connected: watch::Sender<Option<AsyncClient>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut pause = PAUSE.0;
    while !stop.is_cancelled() {
        let (client, events) = AsyncClient::new(options(&config)?, REQUESTS);
        let was_connected = tokio::select! {
            reason = connection(&client, events, &deliveries, &connected) => {
                warn!("connection to {}:{} ended: {reason:#}", config.host, config.port);
                connected.send_replace(None).is_some()
            }
            () = stop.cancelled() => break,
        };
        pause = if was_connected { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    connected.send_replace(None);
    Ok(())
}

fn options(config: &ConsumerConfig) -> anyhow::Result<MqttOptions> {
    let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
    options
        .set_keep_alive(Duration::from_secs(20))
        .set_connection_timeout(5)
        .set_clean_start(false)
        .set_session_expiry_interval(Some(SESSION_EXPIRY_S))
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        .set_manual_acks(true);
    if let Some(tls) = &config.tls {
        // Fails if the process has a provider already: then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = |path: &std::path::Path| {
            std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
        };
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
            ca: read(&tls.ca)?,
            alpn: None,
            client_auth: Some((read(&tls.cert)?, read(&tls.key)?)),
        }));
    }
    Ok(options)
}

/// Runs one connection and answers why it ended.
async fn connection(
    client: &AsyncClient,
    mut events: EventLoop,
    deliveries: &mpsc::Sender<Delivery>,
    connected: &watch::Sender<Option<AsyncClient>>,
) -> anyhow::Error {
    loop {
        let event = match events.poll().await {
            Ok(Event::Incoming(packet)) => packet,
            Ok(Event::Outgoing(_)) => continue,
            Err(error) => return error.into(),
        };
        if let Err(error) = incoming(event, client, deliveries, connected).await {
            return error;
        }
    }
}

async fn incoming(
    packet: Packet,
    client: &AsyncClient,
    deliveries: &mpsc::Sender<Delivery>,
    connected: &watch::Sender<Option<AsyncClient>>,
) -> anyhow::Result<()> {
    match packet {
        Packet::ConnAck(_) => {
            let filters = EVENT_FILTERS.iter().chain([&STATUS_FILTER, &RESULT_FILTER]);
            let filters = filters.map(|filter| Filter::new(*filter, QoS::AtLeastOnce));
            client.try_subscribe_many(filters).context("failed to subscribe")?;
        }
        Packet::SubAck(answer) => {
            let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
            if !answer.return_codes.iter().all(granted) {
                bail!(
                    "the broker refused a subscription ({:?}): allow this client to read {EVENT_FILTERS:?}, \
                     {STATUS_FILTER} and {RESULT_FILTER}",
                    answer.return_codes
                );
            }
            info!("subscribed");
            connected.send_replace(Some(client.clone()));
        }
        Packet::Publish(publish) => {
            // Waits while the disk is behind; the keeper never waits for this task, so they cannot wait for each other.
            let delivery = Delivery { client: client.clone(), publish };
            deliveries.send(delivery).await.ok().context("nothing is kept any more")?;
        }
        Packet::Disconnect(reason) => bail!("the broker ended it: {:?}", reason.reason_code),
        _ => {}
    }
    Ok(())
}
