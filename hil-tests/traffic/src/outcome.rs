//! Where each observation was put: by the engine, by a baseline, or as a replay's output says.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use interface::ObservationId;
use passage::{Effect, Engine, PassageId, Report};
use serde::Deserialize;

use crate::journal::Traffic;

/// One observation in a passage.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The observation.
    pub id: ObservationId,
    /// Marked as doubtful.
    pub doubtful: bool,
    /// Whose else it may be, its own passage included.
    pub candidates: Vec<String>,
    /// Why it is here.
    pub why: String,
}

/// One passage, in its last revision.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Its name.
    pub id: String,
    /// Its state, in a word.
    pub state: String,
    /// From its opening to its first publication, seconds; unknown from a replay's last revisions.
    pub sealed_after_s: Option<f64>,
    /// Its observations.
    pub entries: Vec<Placed>,
}

/// All passages and orphans of a journal.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The passages.
    pub passages: Vec<Passage>,
    /// What belongs to nobody, and why.
    pub orphans: Vec<(ObservationId, String)>,
}

/// Runs the engine over the journal, to the end.
pub fn run_engine(traffic: &Traffic) -> Outcome {
    let mut engine = Engine::new(traffic.layout.checkpoint.clone());
    let mut last: BTreeMap<PassageId, (u64, Box<Report>)> = BTreeMap::new();
    let mut outcome = Outcome::default();
    let mut take = |effects: Vec<Effect>, outcome: &mut Outcome| {
        for effect in effects {
            match effect {
                Effect::Publish(report) => {
                    let first = report.published.mono_ms;
                    let slot = last.entry(report.passage.clone()).or_insert_with(|| (first, report.clone()));
                    slot.1 = report;
                }
                Effect::Orphan(orphan) => outcome.orphans.push((orphan.observation.id, orphan.why)),
                _ => {}
            }
        }
    };
    for line in &traffic.lines {
        take(engine.step(&line.stamp, line.input.clone()), &mut outcome);
    }
    take(engine.finish(), &mut outcome);
    outcome.passages = last.into_values().map(|(first, report)| from_report(first, *report)).collect();
    outcome
}

fn from_report(first_published_ms: u64, report: Report) -> Passage {
    let entries = report.entries.into_iter().map(|entry| Placed {
        id: entry.observation.id,
        doubtful: entry.doubtful,
        candidates: entry.candidates.into_iter().map(|passage| passage.0).collect(),
        why: entry.why,
    });
    #[allow(clippy::cast_precision_loss)]
    let sealed = first_published_ms.saturating_sub(report.opened.mono_ms) as f64 / 1000.0;
    Passage {
        id: report.passage.0,
        state: format!("{:?}", report.state),
        sealed_after_s: Some(sealed),
        entries: entries.collect(),
    }
}

#[derive(Deserialize)]
struct PacketLine {
    passage_id: String,
    #[serde(default)]
    state: String,
    observations: Vec<EntryLine>,
}

#[derive(Deserialize)]
struct EntryLine {
    sensor: String,
    seq: u64,
    #[serde(default)]
    doubtful: bool,
    #[serde(default)]
    candidates: Vec<String>,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
struct OrphanLine {
    orphan: Name,
}

#[derive(Deserialize)]
struct Name {
    sensor: String,
    seq: u64,
}

/// Reads the output of `edge-agent replay`. With `--revisions`, the last revision of a passage counts.
pub fn read_replay(text: &str) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || format!("line {} of the replay's output", number + 1);
        if line.starts_with("{\"orphan\"") {
            let OrphanLine { orphan: Name { sensor, seq } } = serde_json::from_str(line).with_context(at)?;
            outcome.orphans.push((ObservationId { sensor: sensor.as_str().into(), seq }, String::new()));
            continue;
        }
        let packet: PacketLine = serde_json::from_str(line).with_context(at)?;
        let entries = packet.observations.into_iter().map(|entry| Placed {
            id: ObservationId { sensor: entry.sensor.as_str().into(), seq: entry.seq },
            doubtful: entry.doubtful,
            candidates: entry.candidates,
            why: entry.why,
        });
        let passage = Passage {
            id: packet.passage_id.clone(),
            state: packet.state,
            sealed_after_s: None,
            entries: entries.collect(),
        };
        match places.get(&packet.passage_id) {
            Some(index) => outcome.passages[*index] = passage,
            None => {
                places.insert(packet.passage_id, outcome.passages.len());
                outcome.passages.push(passage);
            }
        }
    }
    Ok(outcome)
}
