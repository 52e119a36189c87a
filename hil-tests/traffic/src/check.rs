//! What must hold for any bytes that are given as a journal.

use std::collections::BTreeMap;

use interface::ObservationId;
use passage::{Checkpoint, Effect, Engine, Input, PassageId};
use replay::{Line, parse_line};

/// Passages that one lane may hold open at a time, the engine's own limit.
const OPEN_PER_LANE: usize = 64;

/// Gives `bytes` to an engine as a journal. An error says which promise was broken: every observation exactly once in the last
/// revisions and orphans, revisions without gaps, bounded passages, nothing open at the end. Panics are for the caller.
pub fn check_journal(checkpoint: &Checkpoint, bytes: &[u8]) -> Result<(), String> {
    let mut engine = Engine::new(checkpoint.clone());
    let mut given: BTreeMap<ObservationId, usize> = BTreeMap::new();
    let mut last: BTreeMap<PassageId, (u32, Vec<ObservationId>)> = BTreeMap::new();
    let mut found: BTreeMap<ObservationId, usize> = BTreeMap::new();
    let mut take = |effects: Vec<Effect>, found: &mut BTreeMap<ObservationId, usize>| -> Result<(), String> {
        for effect in effects {
            match effect {
                Effect::Publish(report) => {
                    let ids = report.entries.into_iter().map(|entry| entry.observation.id).collect();
                    let before = last.insert(report.passage.clone(), (report.revision, ids));
                    let expected = before.map_or(1, |(revision, _)| revision + 1);
                    if report.revision != expected {
                        return Err(format!(
                            "{}: revision {} after {}",
                            report.passage,
                            report.revision,
                            expected - 1
                        ));
                    }
                }
                Effect::Orphan(orphan) => *found.entry(orphan.observation.id).or_default() += 1,
                _ => {}
            }
        }
        Ok(())
    };
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        // A snapshot is the daemon's own, not a device's: it is not under test here.
        let Ok(Line::Record(record)) = parse_line(text.trim()) else { continue };
        if let Input::Observation(observation) = &record.input {
            *given.entry(observation.id.clone()).or_default() += 1;
        }
        take(engine.step(&record.stamp, record.input), &mut found)?;
        let open = engine.open_passages().len();
        if open > OPEN_PER_LANE * checkpoint.lanes.len() {
            return Err(format!("{open} passages are open"));
        }
    }
    take(engine.finish(), &mut found)?;
    if let Some(deadline) = engine.next_deadline() {
        return Err(format!("a deadline at {deadline} is left after the end"));
    }
    for id in last.into_values().flat_map(|(_, ids)| ids) {
        *found.entry(id).or_default() += 1;
    }
    if found != given {
        let wrong = given.iter().find(|(id, count)| found.get(id) != Some(count));
        return Err(format!("not exactly once: {wrong:?}"));
    }
    Ok(())
}
