//! One connection to the broker: options, and the task in which rumqttc's event loop runs.

use std::time::Duration;

use packet::{Status, StatusState};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, LastWill};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::UplinkConfig;

/// Time for TCP, TLS and CONNACK together, seconds.
const CONNECT_TIMEOUT_S: u64 = 10;

/// The largest packet taken from the broker, bytes: a receipt with some ten thousand ids.
const MAX_INCOMING: u32 = 1 << 20;

/// Room for messages that are not events: subscriptions, birth, health, results.
const SPARE: u16 = 16;

/// Ends a task with its owner.
pub(super) struct AbortOnDrop(pub JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Broken {
    /// The network, the broker's health, its rights.
    Connection(String),
    /// What it was sent.
    Content(String),
}

pub(super) fn status(config: &UplinkConfig, state: StatusState, session: &str) -> Status {
    Status { state, session: Some(session.to_owned()), ..config.status.clone() }
}

/// The last will: short, since it stands in for a box that is not there.
fn will(config: &UplinkConfig, session: &str) -> LastWill {
    let status = Status {
        state: StatusState::Lost,
        session: Some(session.to_owned()),
        boot: config.status.boot.clone(),
        config_sha256: None,
        version: None,
        models: Vec::new(),
        next_seq: None,
        since: None,
    };
    let payload = serde_json::to_vec(&status).unwrap_or_else(|_| br#"{"state":"lost"}"#.to_vec());
    LastWill::new(config.topics.status(), payload, QoS::AtLeastOnce, true, None)
}

/// A client, and the events of its event loop, which begins to connect at once.
pub(super) fn start(
    config: &UplinkConfig,
    session: &str,
) -> (AsyncClient, mpsc::Receiver<Result<Event, Broken>>, AbortOnDrop) {
    let mut options = MqttOptions::new(config.client_id.clone(), config.host.clone(), config.port);
    options.set_keep_alive(Duration::from_secs(u64::from(config.keep_alive_s.max(5))));
    options.set_clean_start(true);
    options.set_connection_timeout(CONNECT_TIMEOUT_S);
    options.set_max_packet_size(Some(MAX_INCOMING));
    options.set_last_will(will(config, session));
    options.set_outgoing_inflight_upper_limit(config.window.saturating_add(SPARE));
    if let Some(tls) = &config.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
            ca: tls.ca_pem.clone(),
            alpn: None,
            client_auth: Some((tls.cert_pem.clone(), tls.key_pem.clone())),
        }));
    }
    let (client, event_loop) =
        AsyncClient::new(options, usize::from(config.window.saturating_add(SPARE)) * 2);
    // Full: the event loop waits, and with it the broker. This side never waits for the event loop.
    let (sender, events) = mpsc::channel(256);
    let task = tokio::spawn(drive(event_loop, sender));
    (client, events, AbortOnDrop(task))
}

async fn drive(mut event_loop: EventLoop, events: mpsc::Sender<Result<Event, Broken>>) {
    loop {
        let event = event_loop.poll().await.map_err(|error| why(&error));
        let ended = event.is_err();
        if events.send(event).await.is_err() || ended {
            return;
        }
    }
}

fn why(error: &ConnectionError) -> Broken {
    use DisconnectReasonCode as Code;
    use rumqttc::v5::mqttbytes::Error as Bytes;
    let text = match error {
        ConnectionError::Timeout(_) => format!("no answer within {CONNECT_TIMEOUT_S} s"),
        ConnectionError::ConnectionRefused(code) => format!("the broker refused the connection: {code:?}"),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            format!(
                "the broker ended the connection: {reason_code:?} {}",
                reason_string.as_deref().unwrap_or_default()
            )
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "the broker does not answer pings".to_owned()
        }
        // PUBACK reason 149, which rumqttc 0.25 does not know (its puback.rs, `reason`).
        ConnectionError::MqttState(StateError::Deserialization(Bytes::InvalidConnectReturnCode(149))) => {
            "packet too large".to_owned()
        }
        error => error.to_string(),
    };
    let content = match error {
        ConnectionError::MqttState(StateError::Deserialization(bytes)) => !matches!(bytes, Bytes::Io(_)),
        ConnectionError::MqttState(StateError::OutgoingPacketTooLarge { .. }) => true,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => matches!(
            reason_code,
            Code::MalformedPacket
                | Code::ProtocolError
                | Code::ImplementationSpecificError
                | Code::TopicNameInvalid
                | Code::PacketTooLarge
                | Code::PayloadFormatInvalid
        ),
        _ => false,
    };
    if content { Broken::Content(text) } else { Broken::Connection(text) }
}
