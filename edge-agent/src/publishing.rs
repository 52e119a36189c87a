//! From the engine's effects to events of the outbox.

use outbox::New;
use passage::Effect;

/// The event that `effect` asks for, if it asks for one.
pub fn events_of(site: &str, box_id: &str, effect: &Effect) -> Option<New> {
    let _ = (site, box_id, effect);
    None
}
