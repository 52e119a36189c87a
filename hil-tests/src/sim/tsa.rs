//! A TSA radiation portal behind a serial server: background while free, scan lines while occupied.
//!
//! The portal goes on whether or not anybody listens, as a real one does: an occupancy without a listener is lost.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use interface::RadiationAlarm;
use radiation_portal::tsa::codec::{Counts, Record, SetupTag};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Gamma background, counts per second and detector.
const GAMMA_BACKGROUND: f64 = 200.0;
/// Alarm threshold of the simulated portal, standard deviations (as in the quoted setups).
const SIGMA: f64 = 7.0;
/// Neutron alarm of the simulated portal, counts per second over all detectors.
const NEUTRON_ALARM: u32 = 12;

/// What drives through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// How long the portal is occupied, s of the portal's time.
    pub seconds: f64,
    /// Peak of the gamma source, standard deviations above the background; 0 for none.
    pub gamma_sigma: f64,
    /// Peak of the neutron source, counts per second over all detectors; 0 for none.
    pub neutron_cps: f64,
}

impl Profile {
    /// A vehicle with nothing radioactive, which shadows some of the background.
    pub fn clean(seconds: f64) -> Self {
        Self { seconds, gamma_sigma: 0.0, neutron_cps: 0.0 }
    }

    /// A vehicle with a gamma source.
    pub fn gamma(seconds: f64, sigma: f64) -> Self {
        Self { seconds, gamma_sigma: sigma, neutron_cps: 0.0 }
    }
}

/// What the portal sent about an occupancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Its number.
    pub number: u32,
    /// What the portal called.
    pub alarm: RadiationAlarm,
    /// Largest sum of five gamma lines, if there were five.
    pub gamma_max_cps: Option<u32>,
    /// Last gamma background sent before it.
    pub gamma_background_cps: u32,
    /// Number of gamma lines.
    pub gamma_lines: u64,
}

/// What is wrong with the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackgroundFault {
    /// `GH`.
    GammaHigh,
    /// `GL`.
    GammaLow,
    /// `NH`.
    NeutronHigh,
}

enum Order {
    Occupancy(Profile, oneshot::Sender<Truth>),
    Fault(Option<BackgroundFault>),
    Line(Vec<u8>),
    Mute(bool),
}

#[derive(Clone)]
enum Sent {
    Bytes(Vec<u8>),
    Cut,
}

/// A running portal; ends when dropped.
pub struct TsaPortal {
    address: String,
    orders: mpsc::Sender<Order>,
    sent: broadcast::Sender<Sent>,
    tasks: [JoinHandle<()>; 2],
}

impl TsaPortal {
    /// A portal in real time: background every 5 s, scan lines every 200 ms.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_fast(1.0, 1).await
    }

    /// A portal whose time runs `speed` times as fast, with its own `seed` of the counting noise.
    pub async fn start_fast(speed: f64, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("failed to bind a loopback port")?;
        let address = listener.local_addr()?.to_string();
        let (orders, receiver) = mpsc::channel(16);
        // A listener that is this many lines behind is cut off.
        let (sent, _) = broadcast::channel(1024);
        let portal = Portal {
            interval: Duration::from_secs_f64(0.2 / speed.max(0.01)),
            random: ChaCha8Rng::seed_from_u64(seed),
            sent: sent.clone(),
            number: 0,
            background: 0,
            fault: None,
            muted: false,
        };
        let tasks = [tokio::spawn(serve(listener, sent.clone())), tokio::spawn(portal.run(receiver))];
        Ok(Self { address, orders, sent, tasks })
    }

    /// `host:port` of the serial server.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A vehicle drives through; returns when it has left.
    pub async fn occupancy(&self, profile: Profile) -> anyhow::Result<Truth> {
        let (sender, truth) = oneshot::channel();
        self.order(Order::Occupancy(profile, sender)).await?;
        truth.await.context("the portal has ended")
    }

    /// Background faults from now on, or none any more.
    pub async fn fault(&self, fault: Option<BackgroundFault>) -> anyhow::Result<()> {
        self.order(Order::Fault(fault)).await
    }

    /// Opens or closes a tamper switch.
    pub async fn tamper(&self, open: bool) -> anyhow::Result<()> {
        let tag = if open { "TT,111111,111011" } else { "TC,111111,111111" };
        self.line(format!("{tag},111111,111111\r\n").as_bytes()).await
    }

    /// Sends any bytes.
    pub async fn line(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.order(Order::Line(bytes.to_vec())).await
    }

    /// The wire between portal and serial server is cut, or mended: connections stay, nothing comes.
    pub async fn mute(&self, muted: bool) -> anyhow::Result<()> {
        self.order(Order::Mute(muted)).await
    }

    /// Cuts every connection; new ones are accepted.
    pub fn disconnect(&self) {
        let _ = self.sent.send(Sent::Cut);
    }

    /// How many listen now.
    pub fn listeners(&self) -> usize {
        self.sent.receiver_count()
    }

    async fn order(&self, order: Order) -> anyhow::Result<()> {
        self.orders.send(order).await.ok().context("the portal has ended")
    }
}

impl Drop for TsaPortal {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.disconnect();
    }
}

async fn serve(listener: TcpListener, sent: broadcast::Sender<Sent>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(client(stream, sent.subscribe()));
    }
}

async fn client(mut stream: TcpStream, mut sent: broadcast::Receiver<Sent>) {
    let mut ignored = [0u8; 64];
    loop {
        tokio::select! {
            read = stream.read(&mut ignored) => if !matches!(read, Ok(1..)) { return },
            bytes = sent.recv() => match bytes {
                Ok(Sent::Bytes(bytes)) if stream.write_all(&bytes).await.is_ok() => {}
                _ => return,
            },
        }
    }
}

struct Portal {
    interval: Duration,
    random: ChaCha8Rng,
    sent: broadcast::Sender<Sent>,
    number: u32,
    background: u32,
    fault: Option<BackgroundFault>,
    muted: bool,
}

impl Portal {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut rounds = 0u32;
        loop {
            if rounds.is_multiple_of(12) {
                self.setup();
            }
            rounds = rounds.wrapping_add(1);
            self.send_background();
            // 25 intervals of 200 ms are the 5 s between backgrounds.
            let next = tokio::time::Instant::now() + self.interval * 25;
            while let Ok(order) = tokio::time::timeout_at(next, orders.recv()).await {
                match order {
                    None => return,
                    Some(Order::Occupancy(profile, done)) => {
                        let truth = self.occupancy(profile).await;
                        let _ = done.send(truth);
                    }
                    Some(Order::Fault(fault)) => {
                        self.fault = fault;
                        self.send_background();
                    }
                    Some(Order::Line(bytes)) => self.bytes(bytes),
                    Some(Order::Mute(muted)) => self.muted = muted,
                }
            }
        }
    }

    fn setup(&mut self) {
        let setup = |tag, fields: &[&str]| Record::Setup {
            tag,
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
        };
        self.record(&Record::GammaSetup {
            high_fault: 660,
            low_fault: 90,
            intervals: 5,
            hold_in: 10,
            sigma: SIGMA,
        });
        self.record(&setup(SetupTag::Sg2, &["1111", "0.068", "5.000", "3", "SUM", "1.10.1"]));
        self.record(&setup(SetupTag::Sn1, &["000020", "005", "000047", "0010", "03", "120"]));
    }

    fn send_background(&mut self) {
        let gamma = match self.fault {
            Some(BackgroundFault::GammaHigh) => Record::GammaHigh(self.counts(900.0)),
            Some(BackgroundFault::GammaLow) => Record::GammaLow(self.counts(20.0)),
            _ => Record::GammaBackground(self.counts(GAMMA_BACKGROUND)),
        };
        if let Record::GammaHigh(counts) | Record::GammaLow(counts) | Record::GammaBackground(counts) = gamma
        {
            self.background = counts.iter().sum();
        }
        self.record(&gamma);
        let neutron = match self.fault {
            Some(BackgroundFault::NeutronHigh) => Record::NeutronHigh(self.counts(50.0)),
            _ => Record::NeutronBackground(self.counts(0.75)),
        };
        self.record(&neutron);
    }

    async fn occupancy(&mut self, profile: Profile) -> Truth {
        let background = f64::from(self.background);
        let threshold = background + SIGMA * background.sqrt();
        let lines = (profile.seconds / 0.2).round().max(1.0) as u64;
        let mut window = VecDeque::new();
        let (mut gamma_alarm, mut neutron_alarm, mut largest) = (false, false, None);
        for line in 0..lines {
            sleep(self.interval).await;
            // The source passes in the middle; its field along the lane is taken as a bell of a sixth of the time.
            let offset = (line as f64 + 0.5) / lines as f64 - 0.5;
            let bell = (-0.5 * (offset * 6.0).powi(2)).exp();
            let rate = 0.9 * background + (profile.gamma_sigma * background.sqrt() + 0.1 * background) * bell;
            let counts = self.counts(rate / 4.0 / 5.0);
            window.push_back(counts.iter().sum::<u32>());
            if window.len() > 5 {
                window.pop_front();
            }
            let sum = (window.len() == 5).then(|| window.iter().sum::<u32>());
            largest = largest.max(sum);
            let alarm = sum.is_some_and(|sum| f64::from(sum) > threshold);
            gamma_alarm |= alarm;
            self.record(&Record::GammaScan { counts, alarm });
            if line % 5 == 4 {
                let counts = self.counts(0.75 + profile.neutron_cps * bell / 4.0);
                let alarm = counts.iter().sum::<u32>() >= NEUTRON_ALARM;
                neutron_alarm |= alarm;
                self.record(&Record::NeutronScan { counts, alarm });
            }
        }
        // The beams stand 0.3 m apart.
        let metres_per_second = 12.0 / profile.seconds.max(0.1);
        self.record(&Record::Speed {
            seconds: 0.3 / metres_per_second,
            mph: metres_per_second * 2.236_936,
            kmh: metres_per_second * 3.6,
        });
        self.number = (self.number + 1) % 1_000_000;
        self.record(&Record::End { occupancy: self.number, neutron_background_milli: 750 });
        let alarm = match (gamma_alarm, neutron_alarm) {
            (true, true) => RadiationAlarm::GammaNeutron,
            (true, false) => RadiationAlarm::Gamma,
            (false, true) => RadiationAlarm::Neutron,
            (false, false) => RadiationAlarm::None,
        };
        Truth {
            number: self.number,
            alarm,
            gamma_max_cps: largest,
            gamma_background_cps: self.background,
            gamma_lines: lines,
        }
    }

    /// Four counts around `mean`: counting statistics by the normal distribution (sum of twelve uniform numbers).
    fn counts(&mut self, mean: f64) -> Counts {
        let mut counts = [0; 4];
        for count in &mut counts {
            let normal: f64 = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
            *count = (mean + normal * mean.sqrt()).round().max(0.0) as u32;
        }
        counts
    }

    fn record(&mut self, record: &Record) {
        self.bytes(format!("{record}\r\n").into_bytes());
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        if !self.muted {
            // Nobody listening is no error.
            let _ = self.sent.send(Sent::Bytes(bytes));
        }
    }
}
