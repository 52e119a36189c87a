//! What is known of every sensor, for the status page, the metrics and the feed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use interface::{Health, HealthState, SensorId, UtcMs};
use tokio::sync::watch;

/// One sensor with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorHealth {
    /// Its protocol.
    pub protocol: &'static str,
    /// How it is doing.
    pub health: Health,
    /// How often it was started again.
    pub restarts: u64,
    /// What it cannot do although it answers, such as a camera whose pictures nobody can read.
    pub impairments: Vec<String>,
    /// How many readings it gave since the daemon started.
    pub readings: u64,
}

/// The health of all sensors. Cheap to clone; every clone is the same table.
#[derive(Clone, Debug)]
pub struct HealthTable {
    sensors: Arc<Mutex<BTreeMap<SensorId, SensorHealth>>>,
    changes: Arc<watch::Sender<u64>>,
}

impl HealthTable {
    /// A table of sensors with their protocols, all connecting.
    pub fn new(sensors: impl IntoIterator<Item = (SensorId, &'static str)>) -> Self {
        let sensors = sensors
            .into_iter()
            .map(|(id, protocol)| {
                let health = Health::default();
                (id, SensorHealth { protocol, health, restarts: 0, impairments: Vec::new(), readings: 0 })
            })
            .collect();
        Self { sensors: Arc::new(Mutex::new(sensors)), changes: Arc::new(watch::Sender::new(0)) }
    }

    /// Sets a sensor's state with the reason. A sensor that is online and impaired counts as degraded.
    pub fn set_state(&self, sensor: &SensorId, state: HealthState, error: Option<String>) {
        let mut changed = false;
        if let Some(entry) = self.lock().get_mut(sensor) {
            let (state, error) = match state {
                HealthState::Online if !entry.impairments.is_empty() => {
                    (HealthState::Degraded, Some(entry.impairments.join("; ")))
                }
                other => (other, error),
            };
            changed = entry.health.state != state || entry.health.error != error;
            entry.health.state = state;
            entry.health.error = error;
        }
        if changed {
            self.changes.send_modify(|version| *version += 1);
        }
    }

    /// Notes what a sensor cannot do for as long as the daemon runs.
    pub fn impair(&self, sensor: &SensorId, why: String) {
        let state = self.lock().get_mut(sensor).map(|entry| {
            entry.impairments.push(why);
            entry.health.state
        });
        if matches!(state, Some(HealthState::Online | HealthState::Connecting | HealthState::Degraded)) {
            self.set_state(sensor, HealthState::Online, None);
        }
    }

    /// Counts a restart.
    pub fn restarted(&self, sensor: &SensorId) {
        if let Some(entry) = self.lock().get_mut(sensor) {
            entry.restarts += 1;
        }
    }

    /// Notes a reading.
    pub fn reading(&self, sensor: &SensorId, at: UtcMs) {
        if let Some(entry) = self.lock().get_mut(sensor) {
            entry.readings += 1;
            entry.health.last_reading = Some(at);
        }
    }

    /// A copy of the whole table.
    pub fn all(&self) -> BTreeMap<SensorId, SensorHealth> {
        self.lock().clone()
    }

    /// Rises with each change of a state.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SensorId, SensorHealth>> {
        // Entries are changed field by field and any mix of them is a valid health.
        self.sensors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_nobody_reads_stays_degraded_when_it_comes_online() {
        let camera = SensorId::from("camera");
        let table = HealthTable::new([(camera.clone(), "camera/rtsp")]);
        let health = || table.all()[&camera].health.clone();
        table.set_state(&camera, HealthState::Online, None);
        table.impair(&camera, "no model".to_owned());
        assert_eq!(health().state, HealthState::Degraded);
        table.set_state(&camera, HealthState::Offline, Some("no power".to_owned()));
        assert_eq!(health().error.as_deref(), Some("no power"));
        table.set_state(&camera, HealthState::Online, None);
        assert_eq!((health().state, health().error.as_deref()), (HealthState::Degraded, Some("no model")));
    }
}
