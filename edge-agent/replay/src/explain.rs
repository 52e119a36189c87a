//! The story of one passage in plain words, for an officer or a technician who asks why something is in a packet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::BufRead;

use interface::{CheckDigit, Observation, ObservationId, Reading, Stamp};
use passage::{
    AbsentReason, Checkpoint, Decision, Direction, Effect, Entry, PassageId, PassageState, Report, Verdict,
};

use crate::run::{ReplayError, Summary, run};

/// What happened to one passage, and who else was there.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Every published state, oldest first. Empty if there is no such passage.
    pub revisions: Vec<Report>,
    /// Alarms that named it: when, the observation, and all that were named.
    pub alarms: Vec<(Stamp, Observation, Vec<PassageId>)>,
    /// Plates of the passages there are, for those that are mentioned.
    pub plates: BTreeMap<PassageId, Vec<String>>,
}

impl Story {
    /// Replays `journal` and keeps what concerns the passage called `name`: its id, the last characters of it, or a plate. Where
    /// several fit, the first that was published. Without any, `plates` tells which passages there are.
    pub fn collect(
        checkpoint: &Checkpoint,
        journal: impl BufRead,
        name: &str,
    ) -> Result<(Self, Summary), ReplayError> {
        let mut story = Self::default();
        let mut all: BTreeMap<PassageId, Vec<Report>> = BTreeMap::new();
        let mut order: Vec<PassageId> = Vec::new();
        let mut alarms = Vec::new();
        let summary = run(checkpoint, journal, |effect| {
            match effect {
                Effect::Publish(report) => {
                    let known = all.entry(report.passage.clone()).or_default();
                    if known.is_empty() {
                        order.push(report.passage.clone());
                    }
                    known.push(*report);
                }
                Effect::Alarm { observation, candidates, published, .. } => {
                    alarms.push((published, *observation, candidates));
                }
                _ => {}
            }
            Ok(())
        })?;
        for (id, reports) in &all {
            story.plates.insert(id.clone(), reports.last().map(plates_of).unwrap_or_default());
        }
        let by_id = order.iter().find(|id| id.0.ends_with(name));
        let by_plate = || {
            order.iter().find(|id| {
                story.plates.get(id).is_some_and(|plates| plates.iter().any(|plate| plate == name))
            })
        };
        if let Some(id) = by_id.or_else(by_plate) {
            story.revisions = all.remove(id).unwrap_or_default();
            story.alarms = alarms.into_iter().filter(|(_, _, named)| named.contains(id)).collect();
        }
        Ok((story, summary))
    }
}

/// Tells the story; nothing if there is no such passage.
pub fn explain(story: &Story) -> String {
    let (Some(first), Some(last)) = (story.revisions.first(), story.revisions.last()) else {
        return String::new();
    };
    let mut text = String::new();
    opening(&mut text, last);
    observations(&mut text, story, last);
    history(&mut text, story);
    alarms(&mut text, story, last);
    missing(&mut text, last);
    ending(&mut text, first, last);
    text
}

fn opening(text: &mut String, report: &Report) {
    let direction = match report.direction {
        Direction::In => "into the country",
        Direction::Out => "out of the country",
    };
    let _ = writeln!(text, "Passage {}", report.passage);
    let _ = writeln!(text, "Lane {}, {direction}. It opened at {}.", report.lane.0, report.opened.utc);
    if report.against {
        text.push_str("It drove against the direction of the lane.\n");
    }
    match plates_of(report).as_slice() {
        [] => text.push_str("No plate was read.\n"),
        plates => {
            let _ = writeln!(text, "Plates read: {}.", plates.join(", "));
        }
    }
}

/// Seconds from the opening, with a sign.
fn since(report: &Report, stamp: &Stamp) -> String {
    // Within a boot, far below 2^52 milliseconds.
    #[allow(clippy::cast_precision_loss)]
    let ms = |stamp: &Stamp| stamp.mono_ms as f64;
    format!("{:+.1} s", (ms(stamp) - ms(&report.opened)) / 1000.0)
}

fn observations(text: &mut String, story: &Story, last: &Report) {
    let came = first_seen(&story.revisions);
    let _ = writeln!(text, "\nWhat was seen, in order of arrival ({} observations):", last.entries.len());
    let mut why_before = None;
    for entry in &last.entries {
        let id = &entry.observation.id;
        let _ = writeln!(
            text,
            "  {:>9}  {:<10} {}  [{} {}]",
            since(last, &entry.observation.stamp),
            entry.station.0,
            reading(&entry.observation.reading),
            id.sensor,
            id.seq
        );
        // Readings of one vehicle in a row share their reason.
        let same = why_before == Some((&id.sensor, entry.why.as_str()));
        if !same && !entry.why.is_empty() {
            let _ = writeln!(text, "{:24}because: {}", "", entry.why);
        }
        if !same {
            alternatives(text, story, entry);
        }
        why_before = Some((&id.sensor, entry.why.as_str()));
        if let Some(revision) = came.get(id).filter(|revision| **revision > 1) {
            let _ = writeln!(text, "{:24}came to this passage with revision {revision}", "");
        }
        doubt(text, story, last, entry);
    }
}

fn doubt(text: &mut String, story: &Story, last: &Report, entry: &Entry) {
    if !entry.doubtful {
        return;
    }
    let others: Vec<String> = entry
        .candidates
        .iter()
        .filter(|candidate| **candidate != last.passage)
        .map(|candidate| called(story, candidate))
        .collect();
    let others = if others.is_empty() { "another vehicle".to_owned() } else { others.join(" or ") };
    let _ = writeln!(text, "{:24}doubtful: it may as well be of {others}", "");
}

/// Where else it could be, and how much less likely that is.
fn alternatives(text: &mut String, story: &Story, entry: &Entry) {
    let places: Vec<String> = entry
        .alternatives
        .iter()
        .map(|other| {
            let whose = other.passage.as_ref().map_or("nobody".to_owned(), |passage| called(story, passage));
            format!("{whose}, {} less likely", odds(other.cost))
        })
        .collect();
    if !places.is_empty() {
        let _ = writeln!(text, "{:24}else: {}", "", places.join("; "));
    }
}

/// A difference of costs, nats, as a factor of likelihood.
fn odds(cost: f64) -> String {
    let factor = cost.exp();
    if factor >= 1e6 {
        "over a million times".to_owned()
    } else if factor >= 10.0 {
        format!("{factor:.0} times")
    } else {
        format!("{factor:.1} times")
    }
}

/// A passage by the end of its id and its plates.
fn called(story: &Story, passage: &PassageId) -> String {
    let short = passage.0.get(passage.0.len().saturating_sub(8)..).unwrap_or(&passage.0);
    match story.plates.get(passage).map(Vec::as_slice) {
        None | Some([]) => format!("…{short}"),
        Some(plates) => format!("…{short} ({})", plates.join(", ")),
    }
}

/// The revision with which each observation last came to the passage.
fn first_seen(revisions: &[Report]) -> BTreeMap<ObservationId, u32> {
    let mut came: BTreeMap<ObservationId, u32> = BTreeMap::new();
    for report in revisions {
        let now: BTreeSet<&ObservationId> =
            report.entries.iter().map(|entry| &entry.observation.id).collect();
        came.retain(|id, _| now.contains(id));
        for id in now {
            came.entry(id.clone()).or_insert(report.revision);
        }
    }
    came
}

fn history(text: &mut String, story: &Story) {
    text.push_str("\nWhat was published:\n");
    let mut before: Option<&Report> = None;
    for report in &story.revisions {
        let _ = write!(
            text,
            "  {:>9}  revision {}: {}, {} observations",
            since(report, &report.published),
            report.revision,
            state(report.state),
            report.entries.len()
        );
        if let Some(before) = before {
            let ids = |report: &Report| -> BTreeSet<ObservationId> {
                report.entries.iter().map(|entry| entry.observation.id.clone()).collect()
            };
            let (old, new) = (ids(before), ids(report));
            let (added, gone) = (new.difference(&old).count(), old.difference(&new).count());
            if added > 0 {
                let _ = write!(text, ", {added} more");
            }
            if gone > 0 {
                let _ = write!(text, ", {gone} given to another passage or to nobody");
            }
        }
        let newly =
            report.decision.as_ref().filter(|_| before.is_none_or(|old| old.decision != report.decision));
        if let Some(Decision { verdict, by, .. }) = newly {
            let _ = write!(text, "; decided by {by}: {}", verdict_word(*verdict));
        }
        text.push('\n');
        before = Some(report);
    }
}

fn alarms(text: &mut String, story: &Story, last: &Report) {
    if story.alarms.is_empty() {
        return;
    }
    text.push_str("\nAlarms:\n");
    for (stamp, observation, named) in &story.alarms {
        let _ = write!(
            text,
            "  {:>9}  {} [{} {}]",
            since(last, stamp),
            reading(&observation.reading),
            observation.id.sensor,
            observation.id.seq
        );
        let others: Vec<String> =
            named.iter().filter(|other| **other != last.passage).map(|other| called(story, other)).collect();
        if others.is_empty() {
            text.push_str(", named this vehicle alone");
        } else {
            let _ = write!(text, ", could be of several vehicles: also named {}", others.join(" and "));
        }
        let placed = last.entries.iter().any(|entry| entry.observation.id == observation.id);
        text.push_str(if placed { "\n" } else { "; its observation belongs to another passage now\n" });
    }
}

fn missing(text: &mut String, last: &Report) {
    if last.missing.is_empty() {
        text.push_str("\nEvery required reading is there.\n");
        return;
    }
    text.push_str("\nWhat is missing:\n");
    for missing in &last.missing {
        let why = match missing.reason {
            AbsentReason::NotFitted => "no sensor there gives it",
            AbsentReason::Offline => "its sensor was offline",
            AbsentReason::Timeout => "its sensor gave nothing in time",
            AbsentReason::Unreadable => "the sensor saw the vehicle and could not read it",
            AbsentReason::Withheld => "not for this reader",
        };
        let _ = writeln!(text, "  {} at {}: {why}", missing.kind, missing.station);
    }
}

fn ending(text: &mut String, first: &Report, last: &Report) {
    let doubtful = last.entries.iter().filter(|entry| entry.doubtful).count();
    let _ = write!(text, "\nIt was sealed after {}", since(first, &first.published).trim_start_matches('+'));
    let _ = write!(
        text,
        " {}.",
        if first.missing.is_empty() { "with everything that is required" } else { "at its deadline" }
    );
    let _ = writeln!(
        text,
        " Now: {}; {doubtful} of {} observations are doubtful.",
        state(last.state),
        last.entries.len()
    );
}

/// The plates of a passage, each once, the one read most often first.
fn plates_of(report: &Report) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &report.entries {
        if let Reading::Plate(plate) = &entry.observation.reading
            && !plate.text.is_empty()
        {
            *counts.entry(&plate.text).or_default() += 1;
        }
    }
    let mut plates: Vec<(&str, usize)> = counts.into_iter().collect();
    plates.sort_by_key(|(text, count)| (std::cmp::Reverse(*count), *text));
    plates.into_iter().map(|(text, _)| text.to_owned()).collect()
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Release => "release",
        Verdict::Inspect => "inspect",
        Verdict::Hold => "hold",
    }
}

fn state(state: PassageState) -> &'static str {
    match state {
        PassageState::Approaching => "approaching",
        PassageState::Identified => "identified",
        PassageState::Collecting => "collecting",
        PassageState::Sealed => "sealed",
        PassageState::AwaitingDecision => "waiting for a decision",
        PassageState::Released => "released",
        PassageState::Referred => "referred",
        PassageState::Refused => "held",
        PassageState::Departing => "driving out",
        PassageState::Closed => "has left",
        PassageState::Abandoned => "reversed out",
        PassageState::Expired => "never seen leaving",
        PassageState::Manual => "taken over by an operator",
        PassageState::Interrupted => "interrupted by a loss of power",
        PassageState::Unmatched => "seen leaving only",
    }
}

/// A reading in plain words.
fn reading(reading: &Reading) -> String {
    let of = |value: Option<f64>| value.map_or("not told".to_owned(), |value| format!("{value:.0}"));
    match reading {
        Reading::Presence { occupied: true } => "the loop was covered".to_owned(),
        Reading::Presence { occupied: false } => "the loop was free again".to_owned(),
        Reading::Plate(plate) if plate.text.is_empty() => format!("{} plate seen, not read", plate.view),
        Reading::Plate(plate) => {
            format!("{} plate {}, {:.0} % sure", plate.view, plate.text, plate.confidence * 100.0)
        }
        Reading::Tag { epc, rssi_dbm, .. } => format!("tag {epc}, {} dBm", of(*rssi_dbm)),
        Reading::Radiation { alarm, gamma_max_cps, gamma_background_cps, .. } => format!(
            "radiation: {alarm}, gamma {} cps over a background of {}",
            of(*gamma_max_cps),
            of(*gamma_background_cps)
        ),
        Reading::Weight { gross_kg, stable, mode, .. } => {
            format!("weight {gross_kg} kg, {mode}{}", if *stable { "" } else { ", not settled" })
        }
        Reading::Dimensions { length_mm, width_mm, height_mm } => {
            format!("dimensions {length_mm} x {width_mm} x {height_mm} mm")
        }
        Reading::Container { code, confidence, type_code, check_digit } => {
            let type_code = type_code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
            let digit = match check_digit {
                Some(CheckDigit::Computed) => ", check digit computed",
                Some(CheckDigit::Contradicted) => ", check digit does not fit",
                Some(CheckDigit::Read) | None => "",
            };
            format!("container {code}{type_code}, {:.0} % sure{digit}", confidence * 100.0)
        }
        Reading::Seal { seal_id, state } => format!("seal {seal_id}: {state}"),
        Reading::Face { seat, .. } => format!("face ({seat})"),
        Reading::Document { kind_of, .. } => format!("document ({kind_of})"),
        Reading::Undercarriage(verdict) => format!("undercarriage: {}", words(verdict)),
        Reading::Inspection(verdict) => format!("inspection: {}", words(verdict)),
        Reading::Anomaly(verdict) => format!("unusual scene: {}", words(verdict)),
    }
}

fn words(verdict: &interface::Verdict) -> String {
    let said = verdict.verdict.iter().chain(&verdict.label).cloned().collect::<Vec<_>>().join(", ");
    if said.is_empty() { "no verdict".to_owned() } else { said }
}
