//! From the engine's effects to events in the outbox, and what else the feed carries.

use std::time::Duration;

use interface::{SensorId, Stamp};
use outbox::New;
use packet::{HealthMessage, Unnumbered};
use passage::Effect;

use crate::health::SensorHealth;

/// The outbox entry of the event that `effect` calls for, if it calls for one.
pub fn event_of(site: &str, box_id: &str, effect: &Effect) -> Option<New> {
    let event = Unnumbered::from_effect(site, box_id, effect)?;
    Some(New {
        id: event.id().to_owned(),
        class: event.class().priority(),
        header: serde_json::to_string(&event.header).unwrap_or_default(),
        build: Box::new(move |seq| event.bytes_with(seq)),
    })
}

/// Health and load are published this often even if they do not change.
pub const EVERY: Duration = Duration::from_secs(60);
/// The broker forgets them after three times as long, so that a box that is gone does not look healthy.
pub const EXPIRY: Duration = Duration::from_secs(180);

/// The health message of a sensor.
pub fn health_message(sensor: &SensorId, known: &SensorHealth, now: &Stamp) -> HealthMessage {
    HealthMessage {
        sensor: sensor.clone(),
        protocol: known.protocol.to_owned(),
        health: known.health.clone(),
        at: now.utc,
        clock: now.clock,
    }
}
