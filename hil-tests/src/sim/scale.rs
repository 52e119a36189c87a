//! A weighbridge with an indicator, on a pty or on TCP like a serial server. What the indicator speaks is in
//! [`super::tenso_m`] and [`super::toledo_continuous`].

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::unistd::ttyname;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How often the pty is looked at: there is no wake-up for "somebody has opened the other end".
const PTY_POLL: Duration = Duration::from_millis(5);

/// What the indicator shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    /// Gross weight, kg.
    pub kg: i64,
    /// Whether it stands still.
    pub stable: bool,
    /// Above the capacity.
    pub overload: bool,
}

/// An indicator's side of a protocol.
pub trait Indicator: Send + 'static {
    /// How often it sends without being asked.
    fn period(&self) -> Option<Duration> {
        None
    }

    /// What it sends without being asked.
    fn send(&mut self, _display: Display) -> Vec<u8> {
        Vec::new()
    }

    /// What it answers to `bytes`.
    fn receive(&mut self, _bytes: &[u8], _display: Display) -> Vec<u8> {
        Vec::new()
    }
}

/// The load on the platform, with its settling.
#[derive(Debug)]
struct Load {
    kg: i64,
    before_kg: i64,
    since: Instant,
    settle: Duration,
    capacity_kg: i64,
}

impl Load {
    /// Ramps up in the first half of the settling time, then swings by up to 4 %. Shown in steps of 20 kg.
    fn display(&self, now: Instant) -> Display {
        let elapsed = now.saturating_duration_since(self.since);
        let stable = elapsed >= self.settle;
        let (from, to) = (self.before_kg as f64, self.kg as f64);
        let kg = if stable {
            to
        } else {
            let part = elapsed.as_secs_f64() / self.settle.as_secs_f64();
            let ramp = (2.0 * part).min(1.0);
            let swing = 0.04 * (1.0 - part) * (elapsed.as_secs_f64() * 15.0).sin();
            from + (to - from) * ramp * (1.0 + swing)
        };
        let kg = (kg / 20.0).round() as i64 * 20;
        Display { kg, stable, overload: kg > self.capacity_kg }
    }
}

struct Shared {
    load: Mutex<Load>,
    indicator: Mutex<Box<dyn Indicator>>,
    muted: AtomicBool,
}

impl Shared {
    fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn display(&self) -> Display {
        Self::lock(&self.load).display(Instant::now())
    }

    fn period(&self) -> Duration {
        Self::lock(&self.indicator).period().unwrap_or(Duration::from_secs(3600))
    }

    fn unasked(&self) -> Vec<u8> {
        self.unless_muted(Self::lock(&self.indicator).send(self.display()))
    }

    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        self.unless_muted(Self::lock(&self.indicator).receive(bytes, self.display()))
    }

    fn unless_muted(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.muted.load(Ordering::Relaxed) { Vec::new() } else { bytes }
    }
}

enum Place {
    /// A link to the pty's other end, as `/dev/serial/by-id` has them: its name outlives the device.
    Pty(TempDir),
    Tcp(SocketAddr),
}

/// A running weighbridge; ends when dropped.
pub struct SimScale {
    shared: Arc<Shared>,
    place: Place,
    task: Option<JoinHandle<()>>,
}

impl SimScale {
    /// On a serial port that is a pty; [`SimScale::port`] is its path.
    pub fn on_pty(indicator: impl Indicator) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder for the port's link")?;
        let mut scale = Self::new(indicator, Place::Pty(folder));
        let Place::Pty(folder) = &scale.place else { anyhow::bail!("not a pty") };
        scale.task =
            Some(tokio::spawn(serve_pty(open_pty(&folder.path().join(LINK))?, scale.shared.clone())));
        Ok(scale)
    }

    /// Behind a serial server on loopback; [`SimScale::address`] is where.
    pub async fn on_tcp(indicator: impl Indicator) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut scale = Self::new(indicator, Place::Tcp(listener.local_addr()?));
        scale.task = Some(tokio::spawn(serve_tcp(listener, scale.shared.clone())));
        Ok(scale)
    }

    fn new(indicator: impl Indicator, place: Place) -> Self {
        let load =
            Load { kg: 0, before_kg: 0, since: Instant::now(), settle: Duration::ZERO, capacity_kg: 60_000 };
        let shared = Shared {
            load: Mutex::new(load),
            indicator: Mutex::new(Box::new(indicator)),
            muted: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), place, task: None }
    }

    /// Path of the serial port, if it is on one.
    pub fn port(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Pty(folder) => Some(folder.path().join(LINK)),
            Place::Tcp(_) => None,
        }
    }

    /// `host:port` of the serial server, if it is behind one.
    pub fn address(&self) -> Option<String> {
        match &self.place {
            Place::Pty(_) => None,
            Place::Tcp(address) => Some(address.to_string()),
        }
    }

    /// The line of the site file that leads here: `port = "…"` or `address = "…"`.
    pub fn parameter(&self) -> String {
        match &self.place {
            Place::Pty(folder) => format!("port = \"{}\"", folder.path().join(LINK).display()),
            Place::Tcp(address) => format!("address = \"{address}\""),
        }
    }

    /// Puts `kg` on the platform; the display stands still after `settle_ms`. A settling time that is never reached
    /// makes a vehicle that rolls over without standing.
    pub fn put(&self, kg: i64, settle_ms: u64) {
        let now = Instant::now();
        let mut load = Shared::lock(&self.shared.load);
        load.before_kg = load.display(now).kg;
        load.kg = kg;
        load.since = now;
        load.settle = Duration::from_millis(settle_ms);
    }

    /// Empties the platform at once.
    pub fn remove(&self) {
        self.put(0, 0);
    }

    /// The indicator stops sending and answering, or starts again.
    pub fn mute(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Exchanges the indicator, as after a change of its settings.
    pub fn set_indicator(&self, indicator: impl Indicator) {
        *Shared::lock(&self.shared.indicator) = Box::new(indicator);
    }

    /// Pulls the plug: the port disappears, or the serial server goes off.
    pub async fn unplug(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
        if let Place::Pty(folder) = &self.place {
            let _ = std::fs::remove_file(folder.path().join(LINK));
        }
    }

    /// Puts the plug back: the same name or address again.
    pub async fn plug_in(&mut self) -> anyhow::Result<()> {
        self.unplug().await;
        self.task = Some(match &self.place {
            Place::Pty(folder) => {
                tokio::spawn(serve_pty(open_pty(&folder.path().join(LINK))?, self.shared.clone()))
            }
            Place::Tcp(address) => {
                tokio::spawn(serve_tcp(TcpListener::bind(address).await?, self.shared.clone()))
            }
        });
        Ok(())
    }
}

impl Drop for SimScale {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

const LINK: &str = "usb-scale-port0";

fn open_pty(link: &std::path::Path) -> anyhow::Result<File> {
    let pty = openpty(None, None).context("failed to open a pty")?;
    let path = ttyname(&pty.slave).context("failed to name the pty")?;
    std::os::unix::fs::symlink(&path, link).with_context(|| format!("failed to link {}", link.display()))?;
    fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("failed to set the pty non-blocking")?;
    // The other end is not kept open here: a client that claims it exclusively could not open it a second time.
    Ok(File::from(pty.master))
}

async fn serve_pty(mut pty: File, shared: Arc<Shared>) {
    let mut poll = interval(PTY_POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let period = shared.period();
    let mut last = Instant::now();
    let mut buffer = [0u8; 256];
    loop {
        poll.tick().await;
        let out = match pty.read(&mut buffer) {
            Ok(read) => shared.answer(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Vec::new(),
            // Nobody has the other end open; what would be sent now would wait there for the next one.
            Err(_) => continue,
        };
        // A full pty drops bytes, as a UART does that nobody empties.
        let _ = pty.write(&out);
        if last.elapsed() >= period {
            last = Instant::now();
            let _ = pty.write(&shared.unasked());
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    // One client at a time, like a serial server.
    while let Ok((stream, _)) = listener.accept().await {
        let _ = serve_client(stream, &shared).await;
    }
}

async fn serve_client(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut ticks = interval(shared.period());
    let mut buffer = [0u8; 256];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read? {
                0 => return Ok(()),
                read => stream.write_all(&shared.answer(buffer.get(..read).unwrap_or_default())).await?,
            },
            _ = ticks.tick() => stream.write_all(&shared.unasked()).await?,
        }
    }
}
