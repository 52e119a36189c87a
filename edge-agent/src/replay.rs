//! `edge-agent replay`: a journal through the engine in virtual time. No network, nothing written but the output.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use anyhow::Context;
use packet::Packet;
use passage::{Checkpoint, Effect, Engine, OrphanReport, PassageId};
use serde::Serialize;

use crate::journal::{Line, parse_line};

/// What a replay found on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inputs given to the engine.
    pub inputs: u64,
    /// Passages in the output.
    pub passages: u64,
    /// Orphans in the output.
    pub orphans: u64,
    /// Lines that could not be read: number and reason.
    pub unreadable: Vec<(usize, String)>,
}

#[derive(Serialize)]
struct OrphanLine<'a> {
    orphan: OrphanName<'a>,
}

#[derive(Serialize)]
struct OrphanName<'a> {
    sensor: &'a str,
    seq: u64,
}

/// A replay in progress.
struct Replay<'a> {
    checkpoint: &'a Checkpoint,
    engine: Engine,
    /// Newest revision of each passage, in the order in which passages were first published.
    order: Vec<PassageId>,
    newest: BTreeMap<PassageId, Packet>,
    orphans: Vec<OrphanReport>,
    revisions: Option<&'a mut dyn Write>,
}

/// Replays `journal` and writes, for each passage, its last packet revision, then every orphan, a line each. With
/// `all_revisions` every revision is written as it is published.
pub fn replay(
    checkpoint: &Checkpoint,
    journal: impl BufRead,
    output: &mut dyn Write,
    all_revisions: bool,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut replay = Replay {
        checkpoint,
        engine: Engine::new(checkpoint.clone()),
        order: Vec::new(),
        newest: BTreeMap::new(),
        orphans: Vec::new(),
        revisions: None,
    };
    if all_revisions {
        replay.revisions = Some(&mut *output);
    }
    for (index, line) in journal.split(b'\n').enumerate() {
        let line = line.context("failed to read the journal")?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        match parse_line(text) {
            Ok(Line::Header(header)) => {
                // Only a journal whose beginning has been rotated away starts with a snapshot that matters.
                if let (0, Some(snapshot)) = (summary.inputs, header.snapshot) {
                    let snapshot = serde_json::from_value(snapshot)
                        .context("failed to read the engine's snapshot in the journal")?;
                    replay.engine = Engine::restore(checkpoint.clone(), snapshot);
                }
            }
            Ok(Line::Record(record)) => {
                summary.inputs += 1;
                let effects = replay.engine.step(&record.stamp, record.input);
                replay.take(effects)?;
            }
            Err(error) => summary.unreadable.push((index + 1, error.to_string())),
        }
    }
    let effects = replay.engine.finish();
    replay.take(effects)?;
    let Replay { order, newest, orphans, .. } = replay;
    summary.passages = order.len() as u64;
    summary.orphans = orphans.len() as u64;
    if !all_revisions {
        for packet in order.iter().filter_map(|passage| newest.get(passage)) {
            write_line(output, packet)?;
        }
    }
    for orphan in &orphans {
        let id = &orphan.observation.id;
        write_line(output, &OrphanLine { orphan: OrphanName { sensor: &id.sensor.0, seq: id.seq } })?;
    }
    output.flush().context("failed to write the output")?;
    Ok(summary)
}

impl Replay<'_> {
    fn take(&mut self, effects: Vec<Effect>) -> anyhow::Result<()> {
        for effect in effects {
            match effect {
                Effect::Publish(report) => {
                    let packet = Packet::from_report(&self.checkpoint.site, &self.checkpoint.box_id, &report);
                    if let Some(output) = &mut self.revisions {
                        write_line(*output, &packet)?;
                    }
                    if self.newest.insert(report.passage.clone(), packet).is_none() {
                        self.order.push(report.passage);
                    }
                }
                Effect::Orphan(report) => self.orphans.push(*report),
                _ => {}
            }
        }
        Ok(())
    }
}

fn write_line(output: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *output, value).context("failed to write the output")?;
    output.write_all(b"\n").context("failed to write the output")
}
