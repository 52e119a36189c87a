//! What becomes of a passage: when it is sealed, published, closed and forgotten. All of it is asked again after every input
//! and at every deadline; nothing here happens twice.

use interface::ReadingKind;

use crate::group::{Group, is_alarm};
use crate::lane::{LaneState, waits_until};
use crate::plan::Plan;
use crate::scoring::SLOW_M_S;
use crate::sightings::Sightings;
use crate::{AbsentReason, Effect, PassageId, PassageState};

/// A loop that stays covered this long has lost its edge, or the vehicle stands in the queue: the way on is counted from
/// here, milliseconds.
const STANDING_MS: u64 = 120_000;

/// Observations of this time are placed together, milliseconds.
const TOGETHER_MS: u64 = 2_000;
/// A vehicle that was seen at the exit alone is told after this time: what it is may become clear yet, milliseconds.
const UNMATCHED_MS: u64 = 150_000;
/// A vehicle that was not seen at the start of the lane, or only by a loop there, is told of when it has left, or when nothing
/// was heard of it for so long, milliseconds.
const HELD_MS: u64 = 240_000;
/// An alarm that may concern several vehicles, or seems to concern nobody, is raised so long after it came, milliseconds: what
/// is read in the next moment often tells.
const CLEARS_MS: u64 = 5_000;

impl LaneState {
    /// Settles an observation that was just taken in: at once if somebody waits for what it says, or else together with what
    /// comes in the next moment.
    pub fn settle_soon(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        let waits = self.passages.iter().any(|passage| passage.gate_open || passage.release_waits);
        let alarm = self.groups.iter().any(Group::has_unraised);
        if waits || alarm || self.urgent {
            self.settle(plan, out);
        } else if let Some(since) = self.unplaced_ms {
            let due = since.saturating_add(TOGETHER_MS);
            self.wake_ms = Some(self.wake_ms.map_or(due, |wake| wake.min(due)));
        }
    }

    /// Does everything that is due at the lane's time, and finds when the next thing will be.
    pub fn settle(&mut self, plan: &Plan, out: &mut Vec<Effect>) {
        self.compare_clocks(plan);
        if std::mem::take(&mut self.stirred) || self.unplaced_ms.is_some() {
            self.place(plan);
        }
        (self.unplaced_ms, self.urgent) = (None, false);
        if self.wants_room {
            self.make_room(plan, out);
            self.place(plan);
        }
        self.announce_alarms(plan, false, out);
        self.give_up_waiting(plan, out);
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        for index in 0..self.passages.len() {
            self.follow(plan, index, &sightings, out);
        }
        self.mark_abandoned(plan, &sightings);
        self.release_first(plan, &sightings, out);
        for index in 0..self.passages.len() {
            self.conclude(plan, index, &sightings, out);
        }
        while let Some(index) = self.passages.iter().position(|passage| {
            let is_final =
                final_at(plan, passage.ended_ms, passage.sealed_ms).is_some_and(|at| at <= self.clock_ms);
            let whole = passage.part_of;
            // What it is part of leans on what opened it.
            is_final && !whole.is_some_and(|whole| self.passages.iter().any(|other| other.number == whole))
        }) {
            self.forget(plan, index, out);
        }
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        self.wake_ms = self.next_wake(plan, &sightings);
    }

    /// Keeps a passage's state in step with where it has been seen.
    fn follow(&mut self, plan: &Plan, index: usize, sightings: &Sightings, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let groups = &self.groups;
        let Some(passage) = self.passages.get_mut(index) else { return };
        if passage.state == PassageState::Abandoned
            && passage.part_of.is_none()
            && !only_at_entry(plan, index, sightings)
        {
            passage.resume(now);
        }
        if passage.ended_ms.is_some() {
            return;
        }
        if passage.is_young() && passage.sealed_ms.is_none() {
            let own = || groups.iter().filter(|group| group.owner == Some(passage.number));
            let state = if own().any(|group| measures(group.track.kind)) {
                PassageState::Collecting
            } else if own().any(|group| names(group.track.kind) && group.satisfies()) {
                PassageState::Identified
            } else {
                PassageState::Approaching
            };
            passage.enter(state, now);
        }
        let exit = sightings.at(index, plan.last);
        let left = left_at(plan, passage.against, index, sightings).filter(|left| *left <= now);
        passage.left_ms = left;
        if passage.state == PassageState::Released
            && exit.zip(passage.decided_ms).is_some_and(|(span, decided)| span.from > decided)
        {
            passage.enter(PassageState::Departing, now);
        }
        if left.is_some() {
            self.close_gate(plan, index, out);
        }
    }

    /// A vehicle that was seen at the entry only has reversed out if a later one has overtaken it, which a lane does not
    /// allow, or if its plate has come in again.
    fn mark_abandoned(&mut self, plan: &Plan, sightings: &Sightings) {
        let now = self.clock_ms;
        let plate = |number: u64| {
            let mut plates = self.groups.iter().filter(move |group| group.owner == Some(number));
            plates.find_map(Group::plate_seen)
        };
        let mut gone = Vec::new();
        for (index, passage) in self.passages.iter().enumerate() {
            let waiting = passage.is_young()
                || matches!(passage.state, PassageState::Sealed | PassageState::AwaitingDecision);
            if !waiting || passage.ended_ms.is_some() || !only_at_entry(plan, index, sightings) {
                continue;
            }
            let mut younger = self.passages.iter().enumerate().skip(index + 1);
            let replaced = younger.any(|(other, later)| {
                let overtaken = passage.sealed_ms.is_some()
                    && later.state != PassageState::Unmatched
                    && sightings.after(other, plan.first).is_some();
                let again = plate(passage.number)
                    .zip(plate(later.number))
                    .is_some_and(|((view, text), (other_view, other))| view == other_view && text == other);
                overtaken || again
            });
            if replaced {
                gone.push(index);
            }
        }
        for index in gone {
            if let Some(passage) = self.passages.get_mut(index) {
                passage.end(PassageState::Abandoned, now);
            }
        }
    }

    /// Seals, ends and publishes a passage when it is time.
    fn conclude(&mut self, plan: &Plan, index: usize, sightings: &Sightings, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let due = self.seal_due(plan, index, sightings);
        let Some(passage) = self.passages.get_mut(index) else { return };
        let sealing = passage.sealed_ms.is_none() && due <= now;
        if sealing {
            passage.sealed_ms = Some(now);
            passage.touch(now);
            if passage.is_young() {
                passage.enter(PassageState::Sealed, now);
            }
        }
        if passage.ended_ms.is_none() && passage.sealed_ms.is_some() {
            let keep = passage.state == PassageState::Unmatched;
            let reversed = only_at_entry(plan, index, sightings) && passage.decision.is_none();
            let end = if passage.left_ms.is_some() {
                Some(PassageState::Closed)
            } else if decision_due(plan, passage).is_some_and(|due| due <= now) {
                Some(if reversed { PassageState::Abandoned } else { PassageState::Closed })
            } else if passage.touched_ms.saturating_add(plan.timing.expiry_ms) <= now {
                Some(if reversed { PassageState::Abandoned } else { PassageState::Expired })
            } else {
                None
            };
            if let Some(state) = end {
                passage.end(if keep { PassageState::Unmatched } else { state }, now);
            }
        }
        if passage.ended_ms.is_some() {
            self.close_gate(plan, index, out);
            self.learn(plan, index);
        }
        let Some(passage) = self.passages.get(index) else { return };
        let gathered =
            passage.dirty_ms.is_some_and(|dirty| dirty.saturating_add(plan.timing.gather_ms) <= now);
        // What an alarm may concern is told at once, whole or not.
        let referred = passage.state == PassageState::Referred;
        let first = (passage.sealed_ms.is_some() || referred) && passage.revision == 0;
        if first || (passage.sealed_ms.is_some() && gathered) {
            self.publish(plan, index, out);
        }
        if let Some(passage) = self.passages.get_mut(index)
            && passage.state == PassageState::Sealed
        {
            passage.state = PassageState::AwaitingDecision;
        }
    }

    /// Publishes the next revision of a passage.
    pub fn publish(&mut self, plan: &Plan, index: usize, out: &mut Vec<Effect>) {
        let stamp = self.stamp(self.clock_ms);
        let missing = self.missing(plan, index);
        if let Some(number) = self.passages.get(index).map(|passage| passage.number) {
            self.find_doubts(plan, number);
        }
        if let Some(passage) = self.passages.get_mut(index) {
            passage.missing = missing;
            out.push(Effect::Publish(Box::new(passage.report(plan, &self.groups, stamp))));
        }
    }

    /// The required readings that a passage lacks, and why.
    fn missing(&self, plan: &Plan, index: usize) -> Vec<(usize, ReadingKind, AbsentReason)> {
        let Some(passage) = self.passages.get(index) else { return Vec::new() };
        let until = passage.sealed_ms.unwrap_or(self.clock_ms);
        let lacking = plan.required().filter(|(station, kind)| !self.has(passage.number, *station, *kind));
        lacking
            .map(|(station, kind)| {
                let out = |sensor| {
                    self.outages.get(sensor).is_some_and(|outage| {
                        outage.from <= until && outage.to.is_none_or(|to| to >= passage.opened_ms)
                    })
                };
                let reason = if !plan.fitted(station, kind) {
                    AbsentReason::NotFitted
                } else if self.groups_of(passage.number, station, kind).next().is_some()
                    && kind != ReadingKind::Weight
                {
                    AbsentReason::Unreadable
                } else if plan.sensors_for(station, kind).all(out) {
                    AbsentReason::Offline
                } else {
                    AbsentReason::Timeout
                };
                (station, kind, reason)
            })
            .collect()
    }

    fn groups_of(&self, passage: u64, station: usize, kind: ReadingKind) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| {
            group.owner == Some(passage) && group.track.station == station && group.track.kind == kind
        })
    }

    fn has(&self, passage: u64, station: usize, kind: ReadingKind) -> bool {
        self.groups_of(passage, station, kind).any(Group::satisfies)
    }

    /// When a passage is to be sealed, monotonic milliseconds; in the past if everything is there.
    fn seal_due(&self, plan: &Plan, index: usize, sightings: &Sightings) -> u64 {
        let Some(passage) = self.passages.get(index) else { return u64::MAX };
        if passage.state == PassageState::Unmatched {
            return passage.opened_ms.saturating_add(UNMATCHED_MS);
        }
        let due = self.complete_or_late(plan, index, sightings);
        let named = || {
            let mut own = self.groups.iter().filter(|group| group.owner == Some(passage.number));
            own.any(|group| names(group.track.kind))
        };
        let came = sightings.at(index, plan.first);
        let nameless =
            came.is_some_and(|span| !span.open) && only_at_entry(plan, index, sightings) && !named();
        if passage.told || (came.is_some() && !nameless) {
            return due;
        }
        // Most of what seems to have come into the lane behind its start, or has not been seen but by the first loop, is of a
        // vehicle that is known, as turns out when its plate is read.
        due.max(passage.touched_ms.saturating_add(HELD_MS).min(passage.left_ms.unwrap_or(u64::MAX)))
    }

    /// When a passage is complete, or what it lacks is late, monotonic milliseconds.
    fn complete_or_late(&self, plan: &Plan, index: usize, sightings: &Sightings) -> u64 {
        let Some(passage) = self.passages.get(index) else { return u64::MAX };
        let mut fitted = plan.required().filter(|(station, kind)| plan.fitted(*station, *kind)).peekable();
        if fitted.peek().is_none() {
            // Nothing is waited for: it is complete when it has come to the end of the lane.
            let at_end = plan.first != plan.last && sightings.at(index, plan.last).is_some();
            if passage.left_ms.is_some() || at_end {
                return passage.opened_ms;
            }
            return self
                .expected(plan, index, plan.last, sightings)
                .saturating_add(plan.deadline_ms(plan.last));
        }
        fitted
            .filter(|(station, kind)| !self.has(passage.number, *station, *kind))
            .map(|(station, _)| {
                self.expected(plan, index, station, sightings).saturating_add(plan.deadline_ms(station))
            })
            .max()
            .unwrap_or(passage.opened_ms)
    }

    /// When a vehicle was at a station, or should have been, monotonic milliseconds.
    fn expected(&self, plan: &Plan, index: usize, station: usize, sightings: &Sightings) -> u64 {
        if let Some(span) = sightings.at(index, station) {
            return span.from;
        }
        if let Some((_, span)) = sightings.after(index, station) {
            return span.from;
        }
        let opened = self.passages.get(index).map_or(0, |passage| passage.opened_ms);
        let (before, leaving) = match sightings.before(index, station) {
            Some((before, span)) if span.open => (before, span.from.saturating_add(STANDING_MS)),
            Some((before, span)) => (before, span.to),
            None => (plan.first, opened),
        };
        let metres = (plan.position_m(station) - plan.position_m(before)).abs();
        // Saturates; positions are finite.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let travel = (metres / SLOW_M_S * 1000.0) as u64;
        leaving.saturating_add(travel)
    }

    /// Raises alarms that were not raised yet, or whose candidates have grown, and refers every candidate of a doubtful one.
    /// That one waits for a moment, unless it is the `last` time to raise it or somebody may be about to leave.
    pub fn announce_alarms(&mut self, plan: &Plan, last: bool, out: &mut Vec<Effect>) {
        let published = self.stamp(self.clock_ms);
        let mut refer: Vec<PassageId> = Vec::new();
        let mut alarmed: Vec<u64> =
            self.groups.iter().filter(|group| group.is_alarm()).filter_map(|group| group.owner).collect();
        alarmed.sort_unstable();
        alarmed.dedup();
        // What is settled is as sure as it will be.
        alarmed.retain(|number| {
            self.passages.iter().any(|passage| passage.number == *number && !self.is_settled(passage))
        });
        for number in alarmed {
            self.find_doubts(plan, number);
        }
        let may_leave = |name: &PassageId| {
            let mut named = self.passages.iter().filter(|passage| passage.id == *name);
            named.any(|passage| passage.gate_open || passage.release_waits || passage.left_ms.is_some())
        };
        for group in self.groups.iter_mut().filter(|group| group.is_alarm()) {
            let owner = self.passages.iter().find(|passage| group.owner == Some(passage.number));
            let mut names: Vec<PassageId> = owner.map(|passage| passage.id.clone()).into_iter().collect();
            for candidate in group.candidates.iter().chain(&group.named) {
                if !names.contains(candidate) {
                    names.push(candidate.clone());
                }
            }
            let waits = names.len() != 1 && self.clock_ms < clears_at(group);
            if waits && !last && !names.iter().any(may_leave) {
                continue;
            }
            let grown = names.len() > group.named.len();
            let alarms = group.items.iter().filter(|item| is_alarm(&item.observation.reading));
            let count = group.alarms();
            // All that are new; or, if only the candidates are, the latest once more.
            let from = if grown { group.announced.min(count.saturating_sub(1)) } else { group.announced };
            for item in alarms.skip(from) {
                out.push(Effect::Alarm {
                    observation: Box::new(item.observation.clone()),
                    lane: plan.lane.id.clone(),
                    candidates: names.clone(),
                    published: published.clone(),
                });
            }
            if names.len() > 1 && (grown || count > group.announced) {
                refer.extend(names.iter().cloned());
            }
            group.announced = count;
            group.named = names;
        }
        let named: Vec<PassageId> =
            self.groups.iter().flat_map(|group| group.named.iter().cloned()).collect();
        for passage in self.passages.iter_mut().filter(|passage| named.contains(&passage.id)) {
            passage.told = true;
        }
        for index in 0..self.passages.len() {
            if self.passages.get(index).is_some_and(|passage| refer.contains(&passage.id)) {
                self.refer(plan, index, out);
            }
        }
    }

    /// When something is to be done next, monotonic milliseconds.
    fn next_wake(&self, plan: &Plan, sightings: &Sightings) -> Option<u64> {
        let waiting = self.groups.iter().filter(|group| group.owner.is_none()).map(waits_until);
        let alarms = self.groups.iter().filter(|group| group.has_unraised()).map(clears_at);
        let passages = self.passages.iter().enumerate().map(|(index, passage)| {
            let mut wake = u64::MAX;
            if passage.sealed_ms.is_none() {
                wake = self.seal_due(plan, index, sightings);
            } else if let Some(dirty) = passage.dirty_ms {
                wake = dirty.saturating_add(plan.timing.gather_ms);
            }
            if let Some(at) = final_at(plan, passage.ended_ms, passage.sealed_ms) {
                // With what it is part of, if that is later.
                return if passage.part_of.is_some() && at <= self.clock_ms { wake } else { wake.min(at) };
            }
            if passage.sealed_ms.is_some() {
                wake = wake.min(passage.touched_ms.saturating_add(plan.timing.expiry_ms));
                wake = wake.min(decision_due(plan, passage).unwrap_or(u64::MAX));
            }
            if passage.left_ms.is_none() {
                wake = wake.min(left_at(plan, passage.against, index, sightings).unwrap_or(u64::MAX));
            }
            wake
        });
        waiting.chain(alarms).chain(passages).chain(self.release_wake()).min()
    }
}

/// Until when an alarm that was never raised may wait for its vehicle to become clear, monotonic milliseconds.
fn clears_at(group: &Group) -> u64 {
    if group.announced > 0 { 0 } else { group.arrived_ms.saturating_add(CLEARS_MS) }
}

/// Readings that a measuring station gives.
fn measures(kind: ReadingKind) -> bool {
    use ReadingKind::{Dimensions, Inspection, Radiation, Undercarriage, Weight};
    matches!(kind, Radiation | Weight | Dimensions | Undercarriage | Inspection)
}

/// Readings that say who a vehicle is.
fn names(kind: ReadingKind) -> bool {
    matches!(kind, ReadingKind::Plate | ReadingKind::Tag | ReadingKind::Container | ReadingKind::Seal)
}

/// When a vehicle has driven off, or will be taken to have: at the falling edge of the last station, or without a loop there
/// when that station's deadline has passed. Who drives against the direction leaves at the first one.
fn left_at(plan: &Plan, against: bool, index: usize, sightings: &Sightings) -> Option<u64> {
    let station = if against { plan.first } else { plan.last };
    let span = sightings.at(index, station)?;
    match (span.by_presence, span.open) {
        (true, true) => None,
        (true, false) => Some(span.to),
        (false, _) => Some(span.from.saturating_add(plan.deadline_ms(station))),
    }
}

fn only_at_entry(plan: &Plan, index: usize, sightings: &Sightings) -> bool {
    plan.first != plan.last
        && sightings.at(index, plan.first).is_some()
        && sightings.after(index, plan.first).is_none()
}

/// When a sealed passage is closed for want of a decision.
fn decision_due(plan: &Plan, passage: &crate::passage::Passage) -> Option<u64> {
    let undecided = passage.decision.is_none() && passage.state != PassageState::Referred;
    let sealed = passage.sealed_ms.filter(|_| undecided)?;
    Some(sealed.max(passage.touched_ms).saturating_add(plan.timing.decision_ms))
}

/// When a passage's amendment window closes.
fn final_at(plan: &Plan, ended: Option<u64>, sealed: Option<u64>) -> Option<u64> {
    Some(ended?.max(sealed.unwrap_or(0)).saturating_add(plan.timing.amendment_window_ms))
}
