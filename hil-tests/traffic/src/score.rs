//! How right an outcome is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use interface::{ObservationId, RadiationAlarm, Reading, ReadingKind, SealState};
use serde::Serialize;

use crate::journal::{Origin, Traffic, visit_name};
use crate::outcome::{Outcome, Placed};

/// Right and all of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many are right.
    pub right: usize,
    /// How many there are.
    pub all: usize,
}

impl Share {
    fn count(&mut self, right: bool) {
        self.all += 1;
        self.right += usize::from(right);
    }

    /// Per cent; 100 of nothing.
    #[allow(clippy::cast_precision_loss)]
    pub fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { 100.0 * self.right as f64 / self.all as f64 }
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.all += other.all;
    }
}

/// What became of the alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Alarms {
    /// All alarms that a vehicle caused.
    pub all: usize,
    /// In the packet of their vehicle, without doubt.
    pub right: usize,
    /// Marked doubtful, with the vehicle among the candidates.
    pub referred: usize,
    /// On another vehicle: silently, or with candidates that are all wrong.
    pub wrong: usize,
    /// Of those, the other vehicle has no alarm of its own.
    pub wrong_innocent: usize,
    /// Orphans.
    pub lost: usize,
}

/// The result, to be added up over seeds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Score {
    /// Observations in the right place.
    pub observations: Share,
    /// Vehicles whose packet holds nothing of others, of those that have a packet.
    pub pure: Share,
    /// Vehicles whose packet has a reading of each kind and station for which there is one.
    pub complete: Share,
    /// Both: the packet is what it should be. All vehicles that left at least two observations count.
    pub pure_and_complete: Share,
    /// Alarms.
    pub alarms: Alarms,
    /// Passages.
    pub passages: usize,
    /// Passages of no vehicle, or of one that has another passage.
    pub false_passages: usize,
    /// Of those, made of observations of nothing.
    pub ghost_passages: usize,
    /// Vehicles without a passage, of those that left two observations or more.
    pub without_passage: usize,
    /// Vehicles.
    pub vehicles: usize,
    /// Observations that became orphans.
    pub orphans: usize,
    /// Observations marked doubtful.
    pub doubtful: usize,
    /// Observations that are nowhere, or in more than one place: must be 0.
    pub lost_or_doubled: usize,
    /// From the opening to the first publication, seconds.
    #[serde(skip)]
    pub sealed_after_s: Vec<f64>,
    /// By kind of reading.
    pub by_kind: BTreeMap<String, Share>,
    /// By what is special about the observation.
    pub by_cause: BTreeMap<&'static str, Share>,
    /// By layout, for several seeds.
    pub by_layout: BTreeMap<String, Share>,
}

/// An observation in the wrong place.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The observation.
    pub id: ObservationId,
    /// Whose it is.
    pub truth: Option<usize>,
    /// Where it was put: passage, the visit that passage stands for, and why. Nothing for an orphan.
    pub put: Option<(String, Option<usize>)>,
    /// The engine's words.
    pub why: String,
    /// The passage of the vehicle it belongs to.
    pub belongs: Option<String>,
    /// Whether it is an alarm.
    pub alarm: bool,
    /// Whether it was marked doubtful.
    pub doubtful: bool,
    /// What is special about it.
    pub cause: &'static str,
}

/// Whether a reading is an alarm.
pub fn is_alarm(reading: &Reading) -> bool {
    match reading {
        Reading::Radiation { alarm, .. } => !matches!(alarm, RadiationAlarm::None | RadiationAlarm::Fault),
        Reading::Seal { state, .. } => *state == SealState::Tampered,
        _ => false,
    }
}

/// Which visit each passage stands for: that of most of its observations. A visit's passage is the one with the most of its
/// observations; others are duplicates.
struct Matching {
    visit_of: Vec<Option<usize>>,
    passage_of: HashMap<usize, usize>,
}

impl Matching {
    fn of(outcome: &Outcome, truth: &HashMap<ObservationId, Origin>) -> Self {
        let mut visit_of = Vec::new();
        let mut best: HashMap<usize, (usize, usize)> = HashMap::new();
        for (index, passage) in outcome.passages.iter().enumerate() {
            let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
            for entry in &passage.entries {
                if let Some(Origin { visit: Some(visit), .. }) = truth.get(&entry.id) {
                    *votes.entry(*visit).or_default() += 1;
                }
            }
            let winner = votes.iter().max_by_key(|(visit, count)| (**count, std::cmp::Reverse(**visit)));
            let winner = winner.map(|(visit, count)| (*visit, *count));
            visit_of.push(winner.map(|(visit, _)| visit));
            if let Some((visit, count)) = winner
                && best.get(&visit).is_none_or(|(most, _)| count > *most)
            {
                best.insert(visit, (count, index));
            }
        }
        Self { visit_of, passage_of: best.into_iter().map(|(visit, (_, index))| (visit, index)).collect() }
    }
}

/// Scores an outcome. The failures come in order of arrival.
pub fn score(traffic: &Traffic, outcome: &Outcome) -> (Score, Vec<Failure>) {
    let truth = &traffic.truth;
    let matching = Matching::of(outcome, truth);
    let mut places: HashMap<&ObservationId, (Option<usize>, Option<&Placed>, &str)> = HashMap::new();
    let mut score =
        Score { passages: outcome.passages.len(), orphans: outcome.orphans.len(), ..Score::default() };
    let mut listed = 0;
    for (index, passage) in outcome.passages.iter().enumerate() {
        score.sealed_after_s.extend(passage.sealed_after_s);
        for entry in &passage.entries {
            places.insert(&entry.id, (Some(index), Some(entry), &entry.why));
            listed += 1;
        }
    }
    for (id, why) in &outcome.orphans {
        places.insert(id, (None, None, why));
        listed += 1;
    }
    let known = traffic.observations().filter(|observation| places.contains_key(&observation.id)).count();
    score.lost_or_doubled = (truth.len() - known) + (listed - known);
    let alarmed: BTreeSet<usize> = traffic
        .observations()
        .filter(|observation| is_alarm(&observation.reading))
        .filter_map(|observation| truth.get(&observation.id)?.visit)
        .collect();
    let kinds: HashMap<_, _> =
        traffic.layout.checkpoint.sensors.iter().map(|(id, place)| (id, &place.station)).collect();
    // For each visit: what there is, what its packet has.
    let mut there: Vec<BTreeSet<(&str, ReadingKind)>> = vec![BTreeSet::new(); traffic.visits.len()];
    let mut has = there.clone();
    let mut counts = vec![0usize; traffic.visits.len()];
    let mut impure = vec![false; outcome.passages.len()];
    let mut failures = Vec::new();
    for observation in traffic.observations() {
        let Some(origin) = truth.get(&observation.id) else { continue };
        let (put, entry, why) = places.get(&observation.id).copied().unwrap_or((None, None, "nowhere"));
        let own = origin.visit.and_then(|visit| matching.passage_of.get(&visit).copied());
        let right = match (origin.visit, put) {
            (None, None) => true,
            (Some(_), None) => origin.or_nobody,
            (None, Some(_)) => origin.or_nobody,
            (Some(_), Some(put)) => own == Some(put),
        };
        let kind = observation.reading.kind();
        score.observations.count(right);
        score.by_kind.entry(kind.word().to_owned()).or_default().count(right);
        score.by_cause.entry(origin.cause.word()).or_default().count(right);
        let doubtful = entry.is_some_and(|entry| entry.doubtful);
        score.doubtful += usize::from(doubtful);
        if let Some(visit) = origin.visit.filter(|_| !origin.or_nobody) {
            let station = kinds.get(&observation.id.sensor).map_or("", |station| station.0.as_str());
            there[visit].insert((station, kind));
            counts[visit] += 1;
            if right {
                has[visit].insert((station, kind));
            }
        }
        if let (Some(put), false) = (put, right) {
            impure[put] = true;
        }
        let alarm = is_alarm(&observation.reading) && origin.visit.is_some() && !origin.or_nobody;
        if alarm {
            score.alarms.all += 1;
            let own_id = own.map(|own| outcome.passages[own].id.as_str());
            let names = entry.is_some_and(|entry| {
                entry.candidates.iter().any(|candidate| Some(candidate.as_str()) == own_id)
            });
            match (put, right, doubtful) {
                (None, ..) => score.alarms.lost += 1,
                (_, true, false) => score.alarms.right += 1,
                (_, true, true) => score.alarms.referred += 1,
                (_, false, true) if names => score.alarms.referred += 1,
                (Some(put), false, _) => {
                    score.alarms.wrong += 1;
                    let innocent = matching.visit_of[put].is_none_or(|visit| !alarmed.contains(&visit));
                    score.alarms.wrong_innocent += usize::from(innocent);
                }
            }
        }
        if !right {
            failures.push(Failure {
                id: observation.id.clone(),
                truth: origin.visit,
                put: put.map(|put| (outcome.passages[put].id.clone(), matching.visit_of[put])),
                why: why.to_owned(),
                belongs: own.map(|own| outcome.passages[own].id.clone()),
                alarm,
                doubtful,
                cause: origin.cause.word(),
            });
        }
    }
    for (index, visit) in matching.visit_of.iter().enumerate() {
        let own = visit.is_some_and(|visit| matching.passage_of.get(&visit) == Some(&index));
        score.false_passages += usize::from(!own);
        score.ghost_passages += usize::from(visit.is_none());
    }
    for visit in 0..traffic.visits.len() {
        if counts[visit] < 2 {
            continue;
        }
        score.vehicles += 1;
        let Some(passage) = matching.passage_of.get(&visit) else {
            score.without_passage += 1;
            score.pure_and_complete.count(false);
            continue;
        };
        let pure = !impure[*passage];
        let complete = there[visit] == has[visit];
        score.pure.count(pure);
        score.complete.count(complete);
        score.pure_and_complete.count(pure && complete);
    }
    let layout = traffic.layout.lanes.first().map_or(String::new(), |lane| lane.layout.clone());
    score.by_layout.insert(layout, score.observations);
    (score, failures)
}

impl Score {
    /// Adds another journal's score.
    pub fn add(&mut self, other: &Self) {
        self.observations.add(other.observations);
        self.pure.add(other.pure);
        self.complete.add(other.complete);
        self.pure_and_complete.add(other.pure_and_complete);
        self.alarms.all += other.alarms.all;
        self.alarms.right += other.alarms.right;
        self.alarms.referred += other.alarms.referred;
        self.alarms.wrong += other.alarms.wrong;
        self.alarms.wrong_innocent += other.alarms.wrong_innocent;
        self.alarms.lost += other.alarms.lost;
        self.passages += other.passages;
        self.false_passages += other.false_passages;
        self.ghost_passages += other.ghost_passages;
        self.without_passage += other.without_passage;
        self.vehicles += other.vehicles;
        self.orphans += other.orphans;
        self.doubtful += other.doubtful;
        self.lost_or_doubled += other.lost_or_doubled;
        self.sealed_after_s.extend(&other.sealed_after_s);
        for (mine, theirs) in [(&mut self.by_kind, &other.by_kind), (&mut self.by_layout, &other.by_layout)] {
            for (name, share) in theirs {
                mine.entry(name.clone()).or_default().add(*share);
            }
        }
        for (name, share) in &other.by_cause {
            self.by_cause.entry(name).or_default().add(*share);
        }
    }

    /// A quantile of the time until sealed, seconds.
    pub fn sealed_s(&self, quantile: f64) -> Option<f64> {
        let mut times = self.sealed_after_s.clone();
        times.sort_by(f64::total_cmp);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (quantile * times.len().saturating_sub(1) as f64).round() as usize;
        times.get(index).copied()
    }
}

/// The failures in words, the worst first: alarms on a wrong vehicle, then as they came.
pub fn explain(traffic: &Traffic, outcome: &Outcome, failures: &[Failure], most: usize) -> String {
    use std::fmt::Write;
    let mut order: Vec<&Failure> = failures.iter().collect();
    order.sort_by_key(|failure| !failure.alarm);
    let readings: HashMap<_, _> =
        traffic.observations().map(|observation| (&observation.id, observation)).collect();
    let base = traffic.lines.first().map_or(0, |line| line.stamp.mono_ms);
    let mut text = String::new();
    for failure in order.into_iter().take(most) {
        let Some(observation) = readings.get(&failure.id) else { continue };
        #[allow(clippy::cast_precision_loss)]
        let seconds = (observation.stamp.mono_ms - base) as f64 / 1000.0;
        let reading = serde_json::to_string(&observation.reading).unwrap_or_default();
        let whose = |visit: Option<usize>| {
            visit.map_or("nobody".to_owned(), |visit| {
                let found = &traffic.visits[visit];
                format!(
                    "{} ({}, {:?}, {} / {})",
                    visit_name(visit),
                    found.vehicle.kind.word(),
                    found.manner,
                    found.vehicle.plates.0,
                    found.vehicle.plates.1
                )
            })
        };
        let short = |id: &str| id.get(id.len().saturating_sub(8)..).unwrap_or(id).to_owned();
        let _ = writeln!(
            text,
            "{seconds:9.1} s  {}#{}  mono {}  {reading}{}{}",
            failure.id.sensor,
            failure.id.seq,
            observation.stamp.mono_ms,
            if failure.alarm { "  ALARM" } else { "" },
            if failure.doubtful { "  doubtful" } else { "" }
        );
        let _ = writeln!(
            text,
            "             cause: {}; belongs to {} [passage {}]",
            failure.cause,
            whose(failure.truth),
            failure.belongs.as_deref().map_or("none".to_owned(), short)
        );
        match &failure.put {
            Some((passage, visit)) => {
                let state = outcome.passages.iter().find(|open| open.id == *passage);
                let _ = writeln!(
                    text,
                    "             put into {} ({}) of {}",
                    short(passage),
                    state.map_or("", |passage| passage.state.as_str()),
                    whose(*visit)
                );
            }
            None => text.push_str("             made an orphan\n"),
        }
        let _ = writeln!(text, "             why: {}", failure.why);
    }
    text
}
