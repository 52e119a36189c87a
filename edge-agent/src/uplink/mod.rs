//! Delivers the outbox to the IISPP over MQTT 5, and brings its decisions back.
//!
//! # Rules
//!
//! 1. **Only a receipt removes.** PUBACK says that a broker has an event, not that the IISPP has stored it. An event leaves
//!    the outbox when the IISPP's [`packet::Receipt`] names it, and goes to the dead letters when the receipt or the broker
//!    refuses it for good.
//! 2. **Every connection is new.** A new client and a new event loop for each, clean start, and sending begins again at the
//!    first event without a receipt. rumqttc 0.25 drops its queue, silently, when the broker does not know the session any
//!    more; nothing that matters is ever in that queue alone. The receiver tells repeats by their ids.
//! 3. **What gets no receipt is sent again**, after the receipt time-out, which doubles up to eightfold while the IISPP
//!    stays silent. Meanwhile at most [`MAX_UNRECEIPTED`] events are sent ahead of its receipts, alarms excepted.
//! 4. **One event cannot block the others.** One that exceeds the broker's Maximum Packet Size, or that the broker's PUBACK
//!    refuses by its content, becomes a dead letter. One over which the broker ends the connection is sent alone next
//!    time, and becomes a dead letter if it happens again.
//! 5. **A refusal by rights is a fault of the installation**, not of the event: it is said aloud in
//!    [`UplinkState::faults`], and the event stays.
//! 6. **No waiting inside.** The event loop runs in a task of its own; this side only uses the client's non-waiting calls,
//!    and no more of them than the broker's Receive Maximum allows.

mod commands;
mod connection;
mod progress;
mod session;
mod state;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use interface::Stamp;
use outbox::{Outbox, OutboxError};
use packet::{CommandResult, DecisionCommand, Status, Topics};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use commands::{CommandLedger, LONGEST_VALID_MS};
pub use progress::MAX_UNRECEIPTED;
pub use state::{Link, UplinkState};

use crate::backoff::Backoff;
use session::{End, Session};

/// The first wait between two connections, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// A connection that held this long was a good one: the next wait is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// Certificates in PEM.
#[derive(Clone)]
pub struct Tls {
    /// The authorities that the broker's certificate is checked against.
    pub ca_pem: Vec<u8>,
    /// This box's certificate.
    pub cert_pem: Vec<u8>,
    /// Its key.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls { .. }")
    }
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct UplinkConfig {
    /// The broker.
    pub host: String,
    /// Its port; 8883 by convention with TLS.
    pub port: u16,
    /// Without it the connection is in the clear: for tests.
    pub tls: Option<Tls>,
    /// MQTT client id; two clients with one id throw each other out.
    pub client_id: String,
    /// The topics of this box.
    pub topics: Topics,
    /// Keep-alive, seconds; 5 is the least rumqttc takes.
    pub keep_alive_s: u16,
    /// Most events under way at once; the broker's Receive Maximum may allow fewer.
    pub window: u16,
    /// How long to wait for a receipt before an event is sent again, milliseconds.
    pub receipt_timeout_ms: u64,
    /// The birth message; state, session, `next_seq` and `since` are filled in.
    pub status: Status,
}

/// A message that replaces its predecessor on its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The message.
    pub payload: Vec<u8>,
    /// The broker forgets it after this many seconds, unless it comes again; it comes every minute and on change.
    pub expiry_s: Option<u32>,
}

/// The newest health and load messages by topic. The sender changes it in place: `board.send_modify(|board|
/// Arc::make_mut(board).insert(topic, message))`.
pub type Board = Arc<BTreeMap<String, Retained>>;

/// What the IISPP says to the box.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// Do this with a vehicle. Given once for each id, and answered once through `results`.
    Decision {
        /// The id of the command.
        id: String,
        /// What to do.
        command: DecisionCommand,
        /// When it was received.
        received: Stamp,
        /// Not to be begun after this monotonic time, milliseconds; answer [`packet::CommandState::Expired`] then.
        deadline_mono_ms: u64,
    },
}

/// Reads the clock. The shell's is [`crate::clock`]; tests bring their own.
pub type ReadClock = Arc<dyn Fn() -> Stamp + Send + Sync>;

/// The uplink before it runs.
pub struct Uplink {
    /// Where and how to connect.
    pub config: UplinkConfig,
    /// What is to be delivered. The header of an event is its [`packet::EventHeader`] in JSON.
    pub outbox: Arc<Outbox>,
    /// The clock that expiry is judged by.
    pub clock: ReadClock,
    /// Changes after each append.
    pub wake: watch::Receiver<u64>,
    /// Health and load.
    pub board: watch::Receiver<Board>,
    /// Where commands go. If it is full the command fails, and says so.
    pub incoming: mpsc::Sender<Incoming>,
    /// How commands ended.
    pub results: mpsc::Receiver<CommandResult>,
    /// How the uplink is doing.
    pub state: watch::Sender<UplinkState>,
    /// Cancel to end it in good order.
    pub stop: CancellationToken,
}

impl fmt::Debug for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uplink").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Uplink {
    /// Runs until it is told to stop. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// If the outbox cannot be read at the start. Later trouble is said in the state and tried again.
    pub async fn run(mut self) -> Result<(), OutboxError> {
        // Fails if one is installed already, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let outbox = self.outbox.clone();
        let ledger = Arc::new(blocking(move || CommandLedger::open(outbox)).await?);
        let keeper = keep_results(&mut self, ledger.clone());
        let _keeper = connection::AbortOnDrop(keeper);
        let mut backoff = Backoff::new(FIRST_WAIT, LAST_WAIT);
        let mut suspects = HashSet::new();
        let mut number = 0u64;
        while !self.stop.is_cancelled() {
            number += 1;
            let began = Instant::now();
            let stamp = (self.clock)();
            let name = format!("{:x}-{number}", stamp.utc.0);
            let mut session = Session::connect(&mut self, &ledger, &mut suspects, name);
            let end = session.run().await;
            let progressed = session.progressed();
            let in_flight = session.in_flight_ids();
            drop(session);
            if progressed || began.elapsed() > GOOD_CONNECTION {
                backoff.reset();
            }
            let why = match end {
                End::Stopped => break,
                End::Broken(why) => why,
                End::Refused(why) => {
                    self.suspect(&mut suspects, in_flight, &why).await;
                    why
                }
                End::Storage(why) => {
                    error!("the uplink cannot use the outbox: {why}");
                    why.to_string()
                }
            };
            let wait = backoff.wait();
            warn!(broker = %self.broker(), "uplink down: {why}; trying again in {} ms", wait.as_millis());
            self.state.send_modify(|state| {
                state.link = Link::Waiting;
                state.session = None;
                state.error = Some(why);
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.state.send_modify(|state| state.link = Link::Stopped);
        info!("uplink stopped");
        Ok(())
    }

    /// The broker ended the connection over something it was sent. One event alone under way was it; of several each is
    /// sent alone next time.
    async fn suspect(&self, suspects: &mut HashSet<String>, in_flight: Vec<String>, why: &str) {
        match in_flight.as_slice() {
            [id] if suspects.remove(id) => {
                let (outbox, id) = (self.outbox.clone(), id.clone());
                let reason = format!("the broker ends the connection over it: {why}");
                match blocking(move || outbox.reject(&id, &reason)).await {
                    Ok(_) => self.state.send_modify(|state| state.rejected += 1),
                    Err(failure) => error!("failed to move an event to the dead letters: {failure}"),
                }
            }
            _ => suspects.extend(in_flight),
        }
    }

    fn broker(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }
}

/// Stores results as they come, connected or not.
fn keep_results(uplink: &mut Uplink, ledger: Arc<CommandLedger>) -> tokio::task::JoinHandle<()> {
    let (_, closed) = mpsc::channel(1);
    let mut results = std::mem::replace(&mut uplink.results, closed);
    tokio::spawn(async move {
        while let Some(result) = results.recv().await {
            let ledger = ledger.clone();
            let id = result.id.clone();
            if let Err(failure) = blocking(move || ledger.finish(&result)).await {
                error!(id, "failed to store the result of a command: {failure}");
            }
        }
    })
}

/// Runs what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OutboxError> + Send + 'static,
) -> Result<T, OutboxError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => Err(OutboxError::Io {
            what: "finish a task on the outbox".to_owned(),
            source: std::io::Error::other(failure.to_string()),
        }),
    }
}
