//! What the engine's costs say of its own mistakes: what it found beside the truth, part by part.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use interface::ObservationId;
use passage::{Course, Difference, Effect, Engine};

use crate::Failure;
use crate::journal::Traffic;

/// So often it is looked at, milliseconds.
const EVERY_MS: u64 = 10_000;
/// A mistake is judged so long after its vehicle was last observed: everything is known then, and little is final.
const AFTER_MS: u64 = 40_000;

/// Runs the engine over the journal and says for each mistake what found and truth cost soon after its vehicle had been observed last.
pub fn explain_costs(traffic: &Traffic, failures: &[Failure]) -> String {
    let failed: HashSet<&ObservationId> = failures.iter().map(|failure| &failure.id).collect();
    let mut engine = Engine::new(traffic.layout.checkpoint.clone());
    let mut seen: Vec<(u64, Difference)> = Vec::new();
    let mut place: HashMap<ObservationId, usize> = HashMap::new();
    let whose = |id: &ObservationId| traffic.truth.get(id).and_then(|origin| origin.visit).map(|n| n as u64);
    let mut last: HashMap<Option<u64>, u64> = HashMap::new();
    let mut own: HashMap<&ObservationId, u64> = HashMap::new();
    for observation in traffic.observations() {
        own.insert(&observation.id, observation.stamp.mono_ms);
        let at = last.entry(whose(&observation.id)).or_default();
        *at = observation.stamp.mono_ms.max(*at);
    }
    let due = |id: &ObservationId| {
        let at = whose(id).map_or_else(|| own.get(id), |visit| last.get(&Some(visit)));
        at.map_or(u64::MAX, |at| at + AFTER_MS)
    };
    let mut next = 0;
    for line in &traffic.lines {
        let _: Vec<Effect> = engine.step(&line.stamp, line.input.clone());
        let now = line.stamp.mono_ms;
        if now < next {
            continue;
        }
        next = now + EVERY_MS;
        for (_, differences) in engine.appraise(&whose) {
            for difference in differences {
                let all = difference.found.iter().flat_map(|course| &course.observations);
                let wrong =
                    all.filter(|id| failed.contains(id) && due(id) <= now && !place.contains_key(*id));
                let wrong: Vec<ObservationId> = wrong.cloned().collect();
                if !wrong.is_empty() {
                    place.extend(wrong.into_iter().map(|id| (id, seen.len())));
                    seen.push((now, difference));
                }
            }
        }
    }
    let mut by_place: BTreeMap<usize, usize> = BTreeMap::new();
    for index in place.values() {
        *by_place.entry(*index).or_default() += 1;
    }
    let mut text = String::new();
    let mut worst: Vec<(usize, usize)> = by_place.into_iter().collect();
    worst.sort_by_key(|(index, count)| (std::cmp::Reverse(*count), *index));
    for (index, count) in worst {
        if let Some((now, difference)) = seen.get(index) {
            describe(&mut text, *now, count, difference);
        }
    }
    text
}

fn describe(text: &mut String, now: u64, count: usize, difference: &Difference) {
    let cost = |courses: &[Course]| courses.iter().map(|course| course.cost).sum::<f64>();
    let (found, truth) = (cost(&difference.found), cost(&difference.truth));
    let mut parts: BTreeMap<&str, f64> = BTreeMap::new();
    for (courses, sign) in [(&difference.found, -1.0), (&difference.truth, 1.0)] {
        for (name, part) in courses.iter().flat_map(|course| &course.parts) {
            *parts.entry(name).or_default() += sign * part;
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, part)| part.abs() > 0.05)
        .map(|(name, part)| format!("{name} {part:+.1}"))
        .collect();
    let _ = writeln!(
        text,
        "{count} observations; at {now} the truth costs {truth:.1}, found {found:.1} ({:+.1}){}: {}",
        truth - found,
        if difference.held { ", held" } else { "" },
        parts.join(", ")
    );
    for (name, courses) in [("found", &difference.found), ("truth", &difference.truth)] {
        for course in courses {
            let parts = course.parts.iter().filter(|(_, part)| part.abs() > 0.05);
            let parts: Vec<String> = parts.map(|(name, part)| format!("{name} {part:.1}")).collect();
            let _ = writeln!(text, "  {name} {:6.1}  {}", course.cost, course.visits.join(" | "));
            let _ = writeln!(text, "                {}", parts.join(", "));
        }
    }
}
