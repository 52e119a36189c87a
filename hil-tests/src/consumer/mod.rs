//! The reference IISPP consumer: what a centre has to do to receive a checkpoint's feed, and no more.
//!
//! It subscribes over MQTT 5, checks each event against the contract's schema, stores it once by (source, id) in SQLite
//! and keeps every revision, and only then sends a receipt; sees loss and repeats by the events' numbers; and, if asked
//! to, decides about each passage once. All of it may be stopped at any moment: what was not confirmed comes again.

mod check;
mod keeper;
mod report;
mod session;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use packet::{Class, Packet};
use passage::Verdict;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use report::{BoxLine, MissingNumbers, PassageLine, Report, Summary};
pub use store::Store;

use check::Checker;
use keeper::Keeper;
use rumqttc::v5::AsyncClient;

/// Deliveries between the connection and the disk. When it is full, the connection waits, and so does the broker.
const DELIVERIES: usize = 200;

/// Stored events that a watcher may be behind. One that is further behind misses the oldest.
const WATCHED: usize = 1024;

/// How long a stopping consumer may take to keep what it has received.
const STOPPING: Duration = Duration::from_secs(10);

/// Files in PEM for a TLS connection with a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the authority that signed the broker's.
    pub ca: PathBuf,
    /// The consumer's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What a consumer needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The broker's host: with TLS, the name in its certificate.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// For TLS; `None` connects in plain text, for tests only.
    pub tls: Option<TlsFiles>,
    /// MQTT client id. The broker keeps a session for it, so it must stay the same, and no two consumers may share it.
    pub client_id: String,
    /// The SQLite database; made if it is not there.
    pub database: PathBuf,
    /// The same decision for every passage that waits for one; `None` decides nothing. A real centre has its rules here.
    pub decide: Option<Verdict>,
}

/// An event that was just stored.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// The box.
    pub source: String,
    /// The event's `id`.
    pub id: String,
    /// The event's number.
    pub seq: u64,
    /// The event's class.
    pub class: Class,
    /// The packet, if it carries one.
    pub packet: Option<Box<Packet>>,
    /// Whether it came for the first time.
    pub first: bool,
}

/// A consumer that runs.
#[derive(Debug)]
pub struct Consumer {
    database: PathBuf,
    stored: broadcast::Sender<StoredEvent>,
    connected: watch::Receiver<Option<AsyncClient>>,
    stop: CancellationToken,
    session: JoinHandle<anyhow::Result<()>>,
    keeper: JoinHandle<anyhow::Result<()>>,
}

impl Consumer {
    /// Opens the database and starts to connect; returns before there is a connection. Runs in tokio's runtime.
    pub fn start(config: ConsumerConfig) -> anyhow::Result<Self> {
        let store = Store::open(&config.database)?;
        let checker = Checker::new()?;
        let stop = CancellationToken::new();
        let (delivered, deliveries) = mpsc::channel(DELIVERIES);
        let (connected_sender, connected) = watch::channel(None);
        let (stored, _) = broadcast::channel(WATCHED);
        let database = config.database.clone();
        let keeper = Keeper {
            config: config.clone(),
            checker,
            deliveries,
            connected: connected.clone(),
            stored: stored.clone(),
        };
        let session = tokio::spawn(session::run(config, delivered, connected_sender, stop.clone()));
        let keeper = tokio::spawn(keeper.run(store));
        Ok(Self { database, stored, connected, stop, session, keeper })
    }

    /// Waits until the consumer is connected and its subscriptions stand.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let mut connected = self.connected.clone();
        connected.wait_for(Option::is_some).await.context("the consumer has ended")?;
        Ok(())
    }

    /// Waits until the consumer ends by itself, which it does only when it cannot go on, such as on a full disk.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            ended = &mut self.session => ended?,
            ended = &mut self.keeper => ended?,
        }
    }

    /// Everything that is stored from now on. A watcher that falls more than 1024 events behind misses the oldest.
    pub fn subscribe_events(&self) -> broadcast::Receiver<StoredEvent> {
        self.stored.subscribe()
    }

    /// How the feed stands.
    pub async fn summary(&self) -> anyhow::Result<Summary> {
        self.look(|store| store.summary()).await
    }

    /// How the feed stands, and every passage.
    pub async fn report(&self) -> anyhow::Result<Report> {
        self.look(|store| store.report()).await
    }

    /// Every packet that came, all revisions of all passages.
    pub async fn packets(&self) -> anyhow::Result<Vec<Packet>> {
        self.look(|store| store.packets()).await
    }

    async fn look<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let database = self.database.clone();
        tokio::task::spawn_blocking(move || query(&Store::open_read_only(&database)?)).await?
    }

    /// Ends the connection, keeps what has come, and closes the database.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let both = async {
            self.session.await??;
            self.keeper.await?
        };
        tokio::time::timeout(STOPPING, both).await.context("the consumer did not stop in time")?
    }
}
