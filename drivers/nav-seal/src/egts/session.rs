//! The server: accepts, splits, hands readings over, answers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use interface::{Driver, DriverContext, DriverFault, ProbeReport, Stopped, async_trait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::EgtsPlan;
use super::dialogue::{Dialogue, terminal_number};
use super::record::{Record, Subrecord};
use super::seal::{Rules, Seals};
use super::transport::{self, Body, Incoming, Splitter, StreamError};

/// How long the other side may take to accept an answer. The sender resends after 5 s (GOST 33472, transport timers).
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// `last_packet_ms` before the first packet.
const NEVER: u64 = u64::MAX;

/// The running server.
pub(super) struct Server {
    plan: EgtsPlan,
}

struct Shared {
    plan: EgtsPlan,
    context: DriverContext,
    seals: Mutex<Seals>,
    started: Instant,
    last_packet_ms: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the other side did not take an answer within {} s", WRITE_TIMEOUT.as_secs())]
    Write,
    #[error("nothing came for {0} s")]
    Idle(u32),
    #[error("expected an answer of at most 65535 bytes: {0}")]
    Answer(#[from] transport::TooLong),
    #[error("its number is not in the list `seals`")]
    NotListed,
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Server {
    pub(super) fn new(plan: EgtsPlan) -> Self {
        Self { plan }
    }
}

#[async_trait]
impl Driver for Server {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        let listen = self.plan.listen;
        let listener = bind(listen).await.map_err(DriverFault)?;
        let parameters = &self.plan.parameters;
        let rules = Rules {
            inputs: parameters.inputs.clone(),
            tamper_causes: parameters.tamper_causes.clone(),
            low_battery_causes: parameters.low_battery_causes.clone(),
            hold_s: parameters.hold_s,
            repeat_ms: u64::from(parameters.repeat_s) * 1000,
        };
        let shared = Arc::new(Shared {
            plan: self.plan,
            context,
            seals: Mutex::new(Seals::new(rules)),
            started: Instant::now(),
            last_packet_ms: AtomicU64::new(NEVER),
        });
        let mut connections = JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = shared.context.stopped() => return Ok(()),
                _ = tick.tick() => shared.tell_health(),
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Err(why) = shared.admit(peer, connections.len()) {
                            tracing::warn!(sensor = %shared.context.sensor(), %peer, "connection refused: {why}");
                            continue;
                        }
                        let shared = shared.clone();
                        connections.spawn(async move { shared.attend(stream, peer).await });
                    }
                    // Such as too many open files: what is open goes on, and the next try is not at once.
                    Err(error) => {
                        tracing::warn!(sensor = %shared.context.sensor(), "failed to accept a connection: {error}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
    }
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "another program, or the running daemon, listens there already",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address; see `ip address`",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
            _ => "check the address",
        };
        format!("failed to listen on {listen}: {error}; {hint}")
    })
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn admit(&self, peer: SocketAddr, open: usize) -> Result<(), String> {
        if !self.plan.allow.iter().any(|network| network.contains(peer.ip())) {
            return Err("its address is not in `allow`".to_owned());
        }
        if open >= usize::from(self.plan.parameters.max_connections) {
            return Err(format!("{open} connections are open, which is all that `max_connections` allows"));
        }
        Ok(())
    }

    fn tell_health(&self) {
        let idle_s = self.plan.parameters.idle_s;
        match self.last_packet_ms.load(Ordering::Relaxed) {
            // A server that listens is there, also while no seal is near.
            NEVER if self.now_ms() > u64::from(idle_s) * 1000 => {
                self.context.degraded(format!(
                    "listening on {}, but no EGTS packet has come since the start; check the link to the seals' operator",
                    self.plan.listen
                ));
            }
            last if self.now_ms().saturating_sub(last) > u64::from(idle_s) * 1000 => {
                self.context.degraded(format!(
                    "no EGTS packet has come for more than {idle_s} s; check the link to the seals' operator"
                ));
            }
            _ => self.context.online(),
        }
    }

    async fn attend(&self, stream: TcpStream, peer: SocketAddr) {
        let sensor = self.context.sensor();
        tracing::info!(%sensor, %peer, "connected");
        match self.talk(stream).await {
            Ok(()) => tracing::info!(%sensor, %peer, "disconnected"),
            Err(why) => tracing::warn!(%sensor, %peer, "connection closed: {why}"),
        }
    }

    /// Talks until the other side closes.
    async fn talk(&self, mut stream: TcpStream) -> Result<(), Ended> {
        stream.set_nodelay(true)?;
        let idle_s = self.plan.parameters.idle_s;
        let (mut splitter, mut dialogue) = (Splitter::default(), Dialogue::default());
        let mut buffer = [0u8; 4096];
        loop {
            let read = timeout(Duration::from_secs(idle_s.into()), stream.read(&mut buffer)).await;
            let count = read.map_err(|_| Ended::Idle(idle_s))??;
            if count == 0 {
                return Ok(());
            }
            splitter.push(buffer.get(..count).unwrap_or_default());
            while let Some(incoming) = splitter.next_packet()? {
                self.take(incoming, &mut dialogue, &mut stream).await?;
            }
        }
    }

    async fn take(
        &self,
        incoming: Incoming,
        dialogue: &mut Dialogue,
        stream: &mut TcpStream,
    ) -> Result<(), Ended> {
        if let Incoming::Refused(refusal) = &incoming {
            let sensor = self.context.sensor();
            tracing::warn!(%sensor, packet = refusal.id, result = refusal.result, "packet refused");
        }
        let now_ms = self.now_ms();
        self.last_packet_ms.store(now_ms, Ordering::Relaxed);
        self.context.online();
        let outcome = {
            let mut seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner);
            dialogue.receive(incoming, &mut seals, &self.plan.parameters.seals, now_ms)
        };
        // The answer releases the sender from keeping the record, so it comes after the hand-over.
        for (reading, device_at) in outcome.readings {
            self.context.observe(reading, device_at, Vec::new()).await?;
        }
        for answer in &outcome.answers {
            let bytes = transport::encode(answer)?;
            timeout(WRITE_TIMEOUT, stream.write_all(&bytes)).await.map_err(|_| Ended::Write)??;
        }
        if outcome.close { Err(Ended::NotListed) } else { Ok(()) }
    }
}

/// Listens for `patience` and tells who came.
pub(super) async fn probe(plan: &EgtsPlan, patience: Duration) -> ProbeReport {
    let listener = match bind(plan.listen).await {
        Ok(listener) => listener,
        Err(why) => return ProbeReport::failed(vec![why]),
    };
    let mut findings = vec![format!("listened on {}", plan.listen)];
    match timeout(patience, first_packet(plan, &listener, &mut findings)).await {
        Ok(line) => {
            findings.push(line);
            ProbeReport::found(findings)
        }
        Err(_) => {
            findings.push(format!("no EGTS packet came within {} s", patience.as_secs()));
            findings.push(
                "a platform tries again every 30 s or so; check that it has this address and port".into(),
            );
            ProbeReport::failed(findings)
        }
    }
}

/// Waits for the first packet that anybody sends.
async fn first_packet(plan: &EgtsPlan, listener: &TcpListener, findings: &mut Vec<String>) -> String {
    loop {
        let Ok((mut stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        if !plan.allow.iter().any(|network| network.contains(peer.ip())) {
            findings.push(format!("{peer} connected, but is not in `allow`"));
            continue;
        }
        let (mut splitter, mut buffer) = (Splitter::default(), [0u8; 4096]);
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => {
                    findings.push(format!("{peer} connected and went away without a packet"));
                    break;
                }
                Ok(count) => splitter.push(buffer.get(..count).unwrap_or_default()),
            }
            match splitter.next_packet() {
                Ok(Some(incoming)) => return format!("{peer} sent {}", describe(&incoming)),
                Ok(None) => {}
                Err(why) => {
                    findings.push(format!("{peer} connected, but does not speak EGTS: {why}"));
                    break;
                }
            }
        }
    }
}

fn describe(incoming: &Incoming) -> String {
    let packet = match incoming {
        Incoming::Packet(packet) => packet,
        Incoming::Refused(refusal) => return format!("a packet with bad data (code {})", refusal.result),
    };
    let (Body::AppData(records) | Body::Signed { records, .. }) = &packet.body else {
        return "an answer".to_owned();
    };
    let who = |record: &Record| {
        record.subrecords()?.iter().find_map(|subrecord| match subrecord {
            Subrecord::TermIdentity(identity) => {
                Some(format!("the authorisation of terminal {}", terminal_number(identity)?))
            }
            Subrecord::DispatcherIdentity { id, .. } => Some(format!("the authorisation of platform {id}")),
            _ => None,
        })
    };
    records.iter().find_map(who).unwrap_or_else(|| format!("a packet of {} records", records.len()))
}
