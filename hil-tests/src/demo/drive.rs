//! How vehicles drive through a lane: several at once, in order, each place taken by one of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use interface::UtcMs;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::devices::{ENTRY_LOOP, EXIT_LOOP, LaneDevices};
use super::vehicle::{Seal, Vehicle};
use crate::sim::camera::RtspServer;
use crate::sim::egts::SealTerminal;
use crate::sim::tsa::Profile;

/// How long a vehicle is in the camera's picture.
const IN_VIEW: Duration = Duration::from_secs(2);
/// How long its tag is in the reader's field.
const TAG_HEARD: Duration = Duration::from_millis(1200);
/// How long the scale swings when a vehicle has stopped on it, ms.
const SETTLING_MS: u64 = 1200;
/// How long a driver stands on the scale: longer than it swings and the indicator's flag must hold.
const ON_SCALE: Duration = Duration::from_millis(2500);
/// How long a driver waits at the barrier before somebody lets him out by hand.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the next vehicle waits for the barrier to close behind the one before.
const CLOSING: Duration = Duration::from_secs(8);
/// A gamma source well above the portal's threshold of 7 standard deviations.
const SOURCE_SIGMA: f64 = 30.0;

/// What happens to a vehicle on its way.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// It has come to the entry.
    Entered {
        /// The vehicle's number.
        number: usize,
        /// When.
        at: Instant,
        /// The same by the wall clock.
        utc: UtcMs,
    },
    /// It has left the lane.
    Left {
        /// The vehicle's number.
        number: usize,
        /// When, by the wall clock.
        utc: UtcMs,
        /// Whether the barrier stayed closed and it was let out by hand.
        by_hand: bool,
    },
}

/// The places of a lane; each holds one vehicle.
#[derive(Clone, Default)]
struct Places {
    before_portal: Arc<Mutex<()>>,
    portal: Arc<Mutex<()>>,
    scale: Arc<Mutex<()>>,
    barrier: Arc<Mutex<()>>,
}

/// Drives `vehicles` through `lane`, in order. Ends when the last one has left.
pub async fn drive_lane(
    lane: Arc<LaneDevices>,
    cameras: Arc<RtspServer>,
    vehicles: Vec<Vehicle>,
    moments: mpsc::Sender<Moment>,
) -> anyhow::Result<()> {
    let places = Places::default();
    let mut driving = JoinSet::new();
    let mut next = tokio::time::Instant::now();
    for vehicle in vehicles {
        let picture = prepare(&cameras, &vehicle).await?;
        tokio::time::sleep_until(next).await;
        let here = places.before_portal.clone().lock_owned().await;
        next = tokio::time::Instant::now() + Duration::from_secs_f64(vehicle.gap_s);
        let trip = Trip {
            vehicle,
            picture,
            lane: lane.clone(),
            cameras: cameras.clone(),
            places: places.clone(),
            moments: moments.clone(),
        };
        driving.spawn(trip.drive(here));
        while let Some(ended) = driving.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = driving.join_next().await {
        ended??;
    }
    Ok(())
}

async fn prepare(cameras: &Arc<RtspServer>, vehicle: &Vehicle) -> anyhow::Result<PathBuf> {
    let (cameras, look, number) = (cameras.clone(), vehicle.look.clone(), vehicle.number);
    tokio::task::spawn_blocking(move || cameras.prepare(&number.to_string(), &look.scene()?)).await?
}

struct Trip {
    vehicle: Vehicle,
    picture: PathBuf,
    lane: Arc<LaneDevices>,
    cameras: Arc<RtspServer>,
    places: Places,
    moments: mpsc::Sender<Moment>,
}

impl Trip {
    async fn drive(self, here: OwnedMutexGuard<()>) -> anyhow::Result<()> {
        let (vehicle, lane) = (&self.vehicle, &self.lane);
        let number = vehicle.number;
        let passing = Duration::from_secs_f64(vehicle.passing_s());
        let between = Duration::from_secs_f64(15.0 / vehicle.speed_m_s);

        self.tell(Moment::Entered { number, at: Instant::now(), utc: now() }).await;
        let (at_entry, at_portal) = tokio::join!(self.enter(passing), async {
            sleep(between).await;
            self.places.portal.clone().lock_owned().await
        });
        at_entry?;
        // The rear of the vehicle has left the entry and its front stands at the portal: the next one may come.
        drop(here);
        let source = if vehicle.radiates { SOURCE_SIGMA } else { 0.0 };
        let profile = Profile { gamma_sigma: source, ..Profile::clean(passing.as_secs_f64()) };
        lane.portal.occupancy(profile).await?;
        let on_scale = self.places.scale.clone().lock_owned().await;
        drop(at_portal);

        lane.scale.put(vehicle.weight_kg, SETTLING_MS);
        sleep(ON_SCALE).await;
        let at_barrier = self.places.barrier.clone().lock_owned().await;
        lane.scale.remove();
        drop(on_scale);

        sleep(between / 2).await;
        let seal = vehicle.seal.map(|seal| tokio::spawn(report(seal, lane.clone())));
        let opened = timeout(PATIENCE, self.barrier(|position| position >= 0.99)).await.is_ok();
        lane.io.set_input(EXIT_LOOP, true);
        sleep(passing).await;
        lane.io.set_input(EXIT_LOOP, false);
        self.tell(Moment::Left { number, utc: now(), by_hand: !opened }).await;
        // A barrier that stays open lets the next one out as well; what that means is for the daemon to say.
        let _ = timeout(CLOSING, self.barrier(|position| position <= 0.01)).await;
        drop(at_barrier);
        if let Some(seal) = seal {
            seal.await?;
        }
        Ok(())
    }

    /// Over the loop, past camera and RFID reader.
    async fn enter(&self, passing: Duration) -> anyhow::Result<()> {
        let lane = &self.lane;
        let vehicle = &self.vehicle;
        self.cameras.show(&lane.camera, &self.picture)?;
        lane.io.set_input(ENTRY_LOOP, true);
        let camera = async {
            sleep(IN_VIEW).await;
            self.cameras.empty(&lane.camera)
        };
        let tag = async {
            lane.rfid.0.show_tag(&vehicle.epc, 1, -52).await?;
            sleep(TAG_HEARD).await;
            lane.rfid.0.hide_tag(&vehicle.epc).await
        };
        let rear = async {
            sleep(passing).await;
            lane.io.set_input(ENTRY_LOOP, false);
        };
        let (camera, tag, ()) = tokio::join!(camera, tag, rear);
        let _ = std::fs::remove_file(&self.picture);
        camera.and(tag).with_context(|| format!("vehicle {} cannot enter", vehicle.number))
    }

    async fn barrier(&self, there: impl Fn(f64) -> bool) {
        while !self.lane.io.position(0).is_some_and(&there) {
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn tell(&self, moment: Moment) {
        // Nobody listens any more when the demo is ending.
        let _ = self.moments.send(moment).await;
    }
}

/// A seal keeps its report until a box takes it, or until it is out of reach.
async fn report(seal: Seal, lane: Arc<LaneDevices>) {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        let sent = async {
            let mut terminal = SealTerminal::connect(lane.seals, seal.id).await?;
            terminal.set_time(now());
            terminal.report(seal.inputs, seal.cause).await
        };
        if sent.await.is_ok() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// The time by the wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a seal has a clock of its own, and so has the person who watches"
)]
pub fn now() -> UtcMs {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UtcMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
