//! A journal through the engine in virtual time.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use packet::Packet;
use passage::{Checkpoint, Effect, Engine, OrphanReport, PassageId};
use serde::Serialize;

use crate::line::{Line, parse_line};

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal could not be read.
    #[error("failed to read the journal")]
    Journal(#[source] io::Error),
    /// The journal begins with a snapshot that is none of this engine's.
    #[error("failed to read the engine's snapshot in line {line} of the journal")]
    Snapshot {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The output could not be written.
    #[error("failed to write the output")]
    Output(#[source] io::Error),
}

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

/// Runs `journal` through an engine, to the end, and gives every effect to `take`. The summary counts inputs and unreadable
/// lines; an error of `take` ends the run.
pub fn run(
    checkpoint: &Checkpoint,
    mut journal: impl BufRead,
    mut take: impl FnMut(Effect) -> io::Result<()>,
) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    let mut engine = Engine::new(checkpoint.clone());
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if journal.read_until(b'\n', &mut bytes).map_err(ReplayError::Journal)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        match parse_line(text) {
            Ok(Line::Header(header)) => {
                // Only a journal whose beginning has been rotated away starts with a snapshot that matters.
                if let (0, Some(snapshot)) = (summary.inputs, header.snapshot) {
                    let snapshot = serde_json::from_value(snapshot)
                        .map_err(|source| ReplayError::Snapshot { line, source })?;
                    engine = Engine::restore(checkpoint.clone(), snapshot);
                }
            }
            Ok(Line::Record(record)) => {
                summary.inputs += 1;
                for effect in engine.step(&record.stamp, record.input) {
                    take(effect).map_err(ReplayError::Output)?;
                }
            }
            Err(error) => summary.unreadable.push((line, error.to_string())),
        }
    }
    for effect in engine.finish() {
        take(effect).map_err(ReplayError::Output)?;
    }
    Ok(summary)
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

/// Replays `journal` and writes, for each passage, its last packet revision, then every orphan, a line each. With
/// `all_revisions` every revision is written as it is published.
pub fn replay(
    checkpoint: &Checkpoint,
    journal: impl BufRead,
    output: &mut dyn Write,
    all_revisions: bool,
) -> Result<Summary, ReplayError> {
    // Newest revision of each passage, in the order in which passages were first published.
    let mut order: Vec<PassageId> = Vec::new();
    let mut newest: BTreeMap<PassageId, Packet> = BTreeMap::new();
    let mut orphans: Vec<OrphanReport> = Vec::new();
    let mut summary = run(checkpoint, journal, |effect| {
        match effect {
            Effect::Publish(report) => {
                let packet = Packet::from_report(&checkpoint.site, &checkpoint.box_id, &report);
                if all_revisions {
                    write_json(output, &packet)?;
                }
                if newest.insert(report.passage.clone(), packet).is_none() {
                    order.push(report.passage);
                }
            }
            Effect::Orphan(report) => orphans.push(*report),
            _ => {}
        }
        Ok(())
    })?;
    summary.passages = order.len() as u64;
    summary.orphans = orphans.len() as u64;
    let mut finish = || {
        if !all_revisions {
            for packet in order.iter().filter_map(|passage| newest.get(passage)) {
                write_json(output, packet)?;
            }
        }
        for orphan in &orphans {
            let id = &orphan.observation.id;
            write_json(output, &OrphanLine { orphan: OrphanName { sensor: &id.sensor.0, seq: id.seq } })?;
        }
        output.flush()
    };
    finish().map_err(ReplayError::Output)?;
    Ok(summary)
}

fn write_json(output: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}
