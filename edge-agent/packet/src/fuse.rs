//! Makes one value of several reads.

use std::collections::BTreeMap;

use interface::{ObservationId, PlateCandidate, PlateReading, SensorId, UtcMs};
use passage::AbsentReason;

use crate::{Candidate, Finding, PlateValue};

/// Least probability at which a plate is called certain: at most one in twenty may be wrong. Our own choice, and the
/// only place where it is made.
pub const CERTAIN_PLATE: f64 = 0.95;

/// Least share of the summed confidence at which the best plate text outweighs the others; below it the plate is
/// disputed. Four fifths, our own choice: one misread among five equal reads does not make a dispute.
pub const DOMINANT_SHARE: f64 = 0.8;

/// A value with the observation it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Read<'a, T> {
    pub(crate) id: &'a ObservationId,
    pub(crate) at: UtcMs,
    pub(crate) value: T,
    /// Whether it may as well be of another vehicle.
    pub(crate) doubtful: bool,
}

/// A probability as a device gives it, brought into 0 to 1; what is not a number proves nothing.
pub(crate) fn probability(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

/// The reads of one plate text.
struct Group<'a> {
    text: &'a str,
    reads: Vec<&'a Read<'a, &'a PlateReading>>,
    summed: f64,
}

/// One plate out of all reads of one end of the vehicle, weighed by summed confidence. The confidence of the result
/// is its best read's, lowered by what speaks for other texts.
pub(crate) fn plate(reads: &[Read<'_, &PlateReading>], absent: AbsentReason) -> Finding<PlateValue> {
    let groups = group_by_text(reads);
    let total: f64 = groups.iter().map(|group| group.summed).sum();
    let share = |group: &Group<'_>| if total > 0.0 { group.summed / total } else { 0.0 };
    let dominant = groups.first().is_some_and(|best| groups.len() == 1 || share(best) >= DOMINANT_SHARE);
    let kept = if dominant { 1 } else { groups.len() };
    let lowered = |group: &Group<'_>| if groups.len() == 1 { 1.0 } else { share(group) };
    let candidates =
        groups.iter().take(kept).map(|group| candidate(group, lowered(group), &groups)).collect();
    Finding::from_candidates(candidates, absent)
}

/// Reads by text, the most confidently read first; of equals the one read first.
fn group_by_text<'a>(reads: &'a [Read<'a, &'a PlateReading>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for read in reads {
        let confidence = probability(read.value.confidence);
        match groups.iter_mut().find(|group| group.text == read.value.text) {
            Some(group) => {
                group.reads.push(read);
                group.summed += confidence;
            }
            None => groups.push(Group { text: &read.value.text, reads: vec![read], summed: confidence }),
        }
    }
    groups.sort_by(|a, b| b.summed.total_cmp(&a.summed));
    groups
}

fn candidate(group: &Group<'_>, share: f64, groups: &[Group<'_>]) -> Candidate<PlateValue> {
    let best = group.reads.iter().map(|read| probability(read.value.confidence)).fold(0.0, f64::max);
    let confidence = probability(best * share);
    let value = PlateValue {
        text: group.text.to_owned(),
        country: country(group),
        confidence,
        // A plate that is surely read and may be of another vehicle is nothing to act on.
        certain: confidence >= CERTAIN_PLATE && group.reads.iter().any(|read| !read.doubtful),
        candidates: alternatives(group, groups),
    };
    with_sources(value, group.reads.iter().map(|read| (read.id, read.at)))
}

/// The country that was read with the most confidence in sum.
fn country(group: &Group<'_>) -> Option<String> {
    let mut votes: BTreeMap<&str, f64> = BTreeMap::new();
    for read in &group.reads {
        if let Some(country) = &read.value.country {
            *votes.entry(country).or_default() += probability(read.value.confidence);
        }
    }
    votes.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(country, _)| country.to_owned())
}

/// What else the plate may be: other texts that were read, and what the reads of this text held possible.
fn alternatives(group: &Group<'_>, groups: &[Group<'_>]) -> Vec<PlateCandidate> {
    let mut found: Vec<PlateCandidate> = Vec::new();
    let mut add = |text: &str, country: &Option<String>, confidence: f64| {
        let confidence = probability(confidence);
        match found.iter_mut().find(|known| known.text == text) {
            Some(known) if known.confidence >= confidence => {}
            Some(known) => known.confidence = confidence,
            None if text == group.text => {}
            None => {
                found.push(PlateCandidate { text: text.to_owned(), country: country.clone(), confidence });
            }
        }
    };
    for read in groups.iter().flat_map(|group| &group.reads) {
        add(&read.value.text, &read.value.country, read.value.confidence);
    }
    for candidate in group.reads.iter().flat_map(|read| &read.value.candidates) {
        add(&candidate.text, &candidate.country, candidate.confidence);
    }
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    found
}

/// One value out of what several sensors measured: each sensor's preferred read, and a dispute where two sensors do
/// not agree. `better(new, old)` says whether a sensor's newer read replaces its older one.
pub(crate) fn by_sensor<T: Clone>(
    reads: &[Read<'_, T>],
    absent: AbsentReason,
    better: impl Fn(&T, &T) -> bool,
    agree: impl Fn(&T, &T) -> bool,
) -> Finding<T> {
    let mut per_sensor: Vec<&Read<'_, T>> = Vec::new();
    for read in reads {
        match per_sensor.iter_mut().find(|known| known.id.sensor == read.id.sensor) {
            Some(known) if better(&read.value, &known.value) => *known = read,
            Some(_) => {}
            None => per_sensor.push(read),
        }
    }
    let agreed = per_sensor.iter().all(|a| per_sensor.iter().all(|b| agree(&a.value, &b.value)));
    if !agreed {
        let candidates = per_sensor
            .iter()
            .map(|read| with_sources(read.value.clone(), [(read.id, read.at)].into_iter()))
            .collect();
        return Finding::Disputed { candidates };
    }
    let best =
        per_sensor.iter().copied().reduce(|old, new| if better(&new.value, &old.value) { new } else { old });
    let candidate =
        best.map(|best| with_sources(best.value.clone(), per_sensor.iter().map(|read| (read.id, read.at))));
    Finding::from_candidates(candidate.into_iter().collect(), absent)
}

/// A list of distinct things out of all reads; `same` recognises one, `merge(known, new)` brings two reads of it
/// together.
pub(crate) fn list<T: Clone>(
    reads: &[Read<'_, T>],
    absent: AbsentReason,
    same: impl Fn(&T, &T) -> bool,
    merge: impl Fn(&mut T, &T),
) -> Finding<Vec<T>> {
    let mut items: Vec<T> = Vec::new();
    for read in reads {
        match items.iter_mut().find(|known| same(known, &read.value)) {
            Some(known) => merge(known, &read.value),
            None => items.push(read.value.clone()),
        }
    }
    if items.is_empty() {
        return Finding::Absent { reason: absent };
    }
    let Candidate { value, sources, at } = with_sources(items, reads.iter().map(|read| (read.id, read.at)));
    Finding::Measured { value, sources, at }
}

fn with_sources<'a, T>(value: T, reads: impl Iterator<Item = (&'a ObservationId, UtcMs)>) -> Candidate<T> {
    let (sources, times): (Vec<_>, Vec<_>) = reads.map(|(id, at)| (id.clone(), at)).unzip();
    Candidate { value, sources, at: times.into_iter().max().unwrap_or_default() }
}

/// Plate texts by sensor, where the sensors' best reads differ.
pub(crate) fn plate_disagreement<'a>(
    reads: &'a [Read<'a, &'a PlateReading>],
) -> Option<BTreeMap<&'a SensorId, &'a Read<'a, &'a PlateReading>>> {
    let mut best: BTreeMap<&SensorId, &Read<'_, &PlateReading>> = BTreeMap::new();
    for read in reads {
        let known = best.entry(&read.id.sensor).or_insert(read);
        if probability(read.value.confidence) > probability(known.value.confidence) {
            *known = read;
        }
    }
    let first = best.values().next()?.value.text.as_str();
    best.values().any(|read| read.value.text != first).then_some(best)
}
