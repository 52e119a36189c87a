//! The recorded journal once more through the engine: twice the same, and the same as was published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use interface::UtcMs;
use packet::Packet;
use serde_json::Value;

use crate::consumer::PassageLine;

/// What a replay showed.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Passages in its output.
    pub passages: usize,
    /// Where two runs, or the replay and the feed, differ. Empty if all is well.
    pub differences: Vec<String>,
    /// What differs because the run was ended before its passages were.
    pub unfinished: usize,
    /// Orphans that are a loop's word that it is free: each loop says so when it is connected.
    pub free_loops: usize,
}

/// Replays the journal in `storage` twice, into `work`. The daemon was told to end at `ended`; the replay goes on to the end
/// of every passage.
pub fn replay(
    edge_agent: &Path,
    site: &Path,
    storage: &Path,
    work: &Path,
    stored: &[PassageLine],
    ended: UtcMs,
) -> anyhow::Result<Replayed> {
    let journal = work.join("journal.jsonl");
    join_segments(&storage.join("journal"), &journal)?;
    let outputs = [work.join("replay-1.jsonl"), work.join("replay-2.jsonl")];
    let mut texts = Vec::new();
    for output in &outputs {
        let run = Command::new(edge_agent)
            .args(["replay", "--config"])
            .arg(site)
            .arg(&journal)
            .output()
            .context("failed to start edge-agent replay")?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        ensure!(run.status.success(), "edge-agent replay failed: {said}");
        fs::write(output, &run.stdout)?;
        texts.push(String::from_utf8(run.stdout).context("the replay is not text")?);
    }
    let mut replayed = Replayed::default();
    let text = texts.first().map(String::as_str).unwrap_or_default();
    if texts.iter().any(|other| other != text) {
        replayed.differences.push(format!(
            "two replays differ: diff {} {}",
            outputs[0].display(),
            outputs[1].display()
        ));
    }
    compare(text, stored, ended, &mut replayed)?;
    replayed.free_loops = free_loops(text, &fs::read_to_string(&journal)?);
    Ok(replayed)
}

/// Puts the segments of a journal behind each other.
fn join_segments(folder: &Path, into: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("no journal in {}", folder.display()))?;
    let mut segments: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    segments.sort();
    ensure!(!segments.is_empty(), "no journal in {}", folder.display());
    let mut whole = Vec::new();
    for segment in segments {
        whole.extend(fs::read(&segment)?);
    }
    fs::write(into, whole).with_context(|| format!("failed to write {}", into.display()))
}

fn compare(text: &str, stored: &[PassageLine], ended: UtcMs, replayed: &mut Replayed) -> anyhow::Result<()> {
    let mut packets: BTreeMap<String, Packet> = BTreeMap::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).context("the replay's output is not JSON Lines")?;
        if value.get("passage_id").is_some() {
            let packet: Packet = serde_json::from_value(value).context("the replay has no packets")?;
            packets.insert(packet.passage_id.clone(), packet);
        }
    }
    replayed.passages = packets.len();
    for line in stored {
        let published = &line.packet;
        let id = &published.passage_id;
        match packets.remove(id) {
            None => {
                replayed.differences.push(format!("passage {id} was published and is not in the replay"));
            }
            Some(again) if again == *published => {}
            Some(again) if again.revision > published.revision && again.published_at > ended => {
                replayed.unfinished += 1;
            }
            Some(again) => replayed.differences.push(format!(
                "passage {id}: revision {} was published, revision {} is in the replay, {} differ",
                published.revision,
                again.revision,
                differing(&serde_json::to_value(published)?, &serde_json::to_value(&again)?).join(", ")
            )),
        }
    }
    for (id, packet) in packets {
        if packet.published_at > ended {
            replayed.unfinished += 1;
        } else {
            replayed.differences.push(format!("passage {id} is in the replay and was not published"));
        }
    }
    Ok(())
}

/// How many of the orphans in `text` are, by the journal, loops that are free.
fn free_loops(text: &str, journal: &str) -> usize {
    let name = |value: &Value| Some((value.get("sensor")?.as_str()?.to_owned(), value.get("seq")?.as_u64()?));
    let lines = |text: &str| -> Vec<Value> {
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let orphans: BTreeSet<_> = lines(text).iter().filter_map(|line| name(line.get("orphan")?)).collect();
    let free = |line: &&Value| line.pointer("/reading/occupied") == Some(&Value::Bool(false));
    let journal = lines(journal);
    let free = journal.iter().filter(free).filter_map(name);
    free.filter(|observation| orphans.contains(observation)).count()
}

/// Names of the fields that differ.
fn differing(left: &Value, right: &Value) -> Vec<String> {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else {
        return vec!["everything".to_owned()];
    };
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    keys.into_iter().filter(|key| left.get(*key) != right.get(*key)).cloned().collect()
}
