//! Numbers for Prometheus, served on a loopback address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use interface::{HealthState, ReadingKind, SensorId};
use passage::Effect;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::health::HealthTable;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReadingLabels {
    sensor: String,
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SensorLabels {
    sensor: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// The daemon's numbers. Cheap to clone; every clone counts into the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    readings: Family<ReadingLabels, Counter>,
    events: Family<KindLabels, Counter>,
    open_passages: Gauge,
    outbox_events: Gauge,
    outbox_bytes: Gauge,
    journal_failures: Counter,
    frames_dropped: Family<SensorLabels, Gauge<i64, AtomicI64>>,
    frames_too_old: Family<SensorLabels, Gauge<i64, AtomicI64>>,
    frames_still: Family<SensorLabels, Counter>,
    frames_left_out: Family<SensorLabels, Counter>,
    pictures: Family<SensorLabels, Counter>,
    uplink_connected: Gauge,
    sensor_up: Family<SensorLabels, Gauge>,
    sensor_restarts: Family<SensorLabels, Gauge<u64, AtomicU64>>,
}

impl Metrics {
    /// A reading was taken.
    pub fn reading(&self, sensor: &SensorId, kind: ReadingKind) {
        self.readings
            .get_or_create(&ReadingLabels { sensor: sensor.0.clone(), kind: kind.word().to_owned() })
            .inc();
    }

    /// An event was made durable.
    pub fn published(&self, effect: &Effect) {
        let kind = match effect {
            Effect::Publish(_) => "packet",
            Effect::Orphan(_) => "orphan",
            Effect::Alarm { .. } => "alarm",
            _ => return,
        };
        self.events.get_or_create(&KindLabels { kind: kind.to_owned() }).inc();
    }

    /// How many passages are open.
    pub fn open_passages(&self, count: usize) {
        self.open_passages.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How full the outbox is.
    pub fn outbox(&self, events: u64, bytes: u64) {
        self.outbox_events.set(i64::try_from(events).unwrap_or(i64::MAX));
        self.outbox_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The journal could not be written.
    pub fn journal_failure(&self) {
        self.journal_failures.inc();
    }

    /// How many frames of a camera were dropped so far because recognition was busy.
    pub fn frames_dropped(&self, sensor: &SensorId, count: u64) {
        let labels = SensorLabels { sensor: sensor.0.clone() };
        self.frames_dropped.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many frames of a camera were too old so far, when they were read or when a worker came to them.
    pub fn frames_too_old(&self, sensor: &SensorId, count: u64) {
        let labels = SensorLabels { sensor: sensor.0.clone() };
        self.frames_too_old.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A frame was left out because only every so many are read (`read_every`).
    pub fn frame_left_out(&self, sensor: &SensorId) {
        self.frames_left_out.get_or_create(&SensorLabels { sensor: sensor.0.clone() }).inc();
    }

    /// A frame was passed over because nothing moved in it.
    pub fn frame_still(&self, sensor: &SensorId) {
        self.frames_still.get_or_create(&SensorLabels { sensor: sensor.0.clone() }).inc();
    }

    /// Recognition looked at a picture.
    pub fn picture(&self, sensor: &SensorId) {
        self.pictures.get_or_create(&SensorLabels { sensor: sensor.0.clone() }).inc();
    }

    /// Whether the IISPP's broker is connected.
    pub fn uplink_connected(&self, connected: bool) {
        self.uplink_connected.set(i64::from(connected));
    }

    fn sensors(&self, health: &HealthTable) {
        for (sensor, known) in health.all() {
            let labels = SensorLabels { sensor: sensor.0 };
            let up = matches!(known.health.state, HealthState::Online | HealthState::Degraded);
            self.sensor_up.get_or_create(&labels).set(i64::from(up));
            self.sensor_restarts.get_or_create(&labels).set(known.restarts);
        }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("edge_agent");
        registry.register("readings", "Readings taken", self.readings.clone());
        registry.register("events", "Events made durable, by kind", self.events.clone());
        registry.register("open_passages", "Passages that are not closed", self.open_passages.clone());
        registry.register("outbox_events", "Events without a receipt", self.outbox_events.clone());
        registry.register("outbox_bytes", "Bytes of events without a receipt", self.outbox_bytes.clone());
        registry.register("journal_failures", "Failed writes of the journal", self.journal_failures.clone());
        registry.register("frames_dropped", "Frames that a newer one replaced", self.frames_dropped.clone());
        registry.register(
            "frames_too_old",
            "Frames that were too old when they were to be read",
            self.frames_too_old.clone(),
        );
        registry.register(
            "frames_left_out",
            "Frames left out because of read_every",
            self.frames_left_out.clone(),
        );
        registry.register(
            "frames_still",
            "Frames passed over because nothing moved",
            self.frames_still.clone(),
        );
        registry.register("pictures", "Pictures that recognition looked at", self.pictures.clone());
        registry.register(
            "uplink_connected",
            "1 while connected to the broker",
            self.uplink_connected.clone(),
        );
        registry.register("sensor_up", "1 while the sensor answers", self.sensor_up.clone());
        registry.register("sensor_restarts", "Restarts of the sensor's driver", self.sensor_restarts.clone());
        registry
    }
}

/// Serves `/metrics` on `listen` until the daemon ends.
pub async fn serve(listen: SocketAddr, metrics: Metrics, health: HealthTable) -> std::io::Result<()> {
    let registry = Arc::new(metrics.registry());
    let page = move |State((registry, metrics, health)): State<(Arc<Registry>, Metrics, HealthTable)>| async move {
        metrics.sensors(&health);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &registry);
        ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
    };
    let app = Router::new().route("/metrics", get(page)).with_state((registry, metrics, health));
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, app).await
}
