//! Radio (tags, seals) hears vehicles that are elsewhere: its contacts are aligned with the passages by their last good
//! reception, after everything else, and are no evidence for the order.

use std::collections::BTreeMap;

use crate::alignment::{Choice, Costs, IMPOSSIBLE, align};
use crate::group::{Group, Mark, Track};
use crate::lane::{LaneState, MAX_ENTRIES};
use crate::plan::Plan;
use crate::scoring::{self, Context, Fit, When};
use crate::sightings::Sightings;
use crate::{Alternative, Entry, PassageId};

/// Costs that differ by less leave a doubt.
pub(crate) const MARGIN: f64 = 1.5;
/// The same for an alarm, where the wrong vehicle is the worst outcome. Of 763 alarms of `hil-tests/peers/traffic/following.py` 11 were
/// on a wrong vehicle and 345 referred with 2.5, 5 and 397 with 3.5, 4 and 463 with 4.5.
pub(crate) const ALARM_MARGIN: f64 = 3.5;
/// The same where no loop says who was there.
pub(crate) const LOOSE_ALARM_MARGIN: f64 = 4.5;
/// A placed group moves only for a gain of at least this, so that nothing swings to and fro.
const INERTIA: f64 = 0.3;

/// What other readers that heard the same name say at most against a vehicle, nats: it may have come again.
const ELSEWHERE: f64 = 8.0;
/// What it costs more to say that nobody in the lane has a name which two readers heard.
const HEARD_TWICE: f64 = 3.0;

/// Where a group is to go.
struct Move {
    group: usize,
    owner: Option<u64>,
    candidates: Vec<PassageId>,
    why: String,
    alternatives: Vec<Alternative>,
}

impl LaneState {
    /// Places the contacts of all radio sensors.
    pub fn place_radio(&mut self, plan: &Plan) {
        let mut tracks: Vec<Track> = Vec::new();
        for group in &self.groups {
            if group.track.is_radio() && !tracks.contains(&group.track) && self.lock_of(group).is_none() {
                tracks.push(group.track.clone());
            }
        }
        let heard = self.heard(plan, &tracks);
        for track in tracks {
            for step in self.judge_radio(plan, &track, &heard) {
                self.move_contact(step);
            }
        }
    }

    /// How well each contact fits each passage, by the number of its group.
    fn heard(&self, plan: &Plan, tracks: &[Track]) -> BTreeMap<u64, Vec<Fit>> {
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        let mut heard = BTreeMap::new();
        for track in tracks {
            let contexts = sightings.contexts(self, plan, track);
            let at_m = plan.position_m(track.station);
            let lag_s = self.travel.tag_s(track.station);
            for group in self.groups.iter().filter(|group| group.track == *track) {
                let lock = self.lock_of(group);
                let pairs = self.passages.iter().zip(&contexts);
                let fits = pairs.map(|(passage, context)| {
                    if let Some(lock) = lock {
                        let cost = if lock == passage.number { 0.0 } else { IMPOSSIBLE };
                        return Fit { cost, time: When::Unknown, identity: None };
                    }
                    let mut fit = scoring::radio(group, context, at_m, lag_s);
                    let mine = group.owner == Some(passage.number);
                    if !mine && passage.entries.saturating_add(group.items.len()) > MAX_ENTRIES {
                        fit.cost = IMPOSSIBLE;
                    }
                    fit
                });
                heard.insert(group.number, fits.collect());
            }
        }
        heard
    }

    /// What other readers say of each passage that heard the same name: by how much it fits them worse than the best one.
    fn elsewhere(&self, group: &Group, heard: &BTreeMap<u64, Vec<Fit>>) -> Option<Vec<f64>> {
        let Mark::Key { key, .. } = &group.mark else { return None };
        let mut sum: Option<Vec<f64>> = None;
        for other in self.groups.iter().filter(|other| {
            other.track != group.track
                && other.track.kind == group.track.kind
                && matches!(&other.mark, Mark::Key { key: known, .. } if known == key)
        }) {
            let Some(fits) = heard.get(&other.number) else { continue };
            let best = fits.iter().map(|fit| fit.cost).fold(IMPOSSIBLE, f64::min);
            let sum = sum.get_or_insert_with(|| vec![0.0; fits.len()]);
            for (slot, fit) in sum.iter_mut().zip(fits) {
                *slot = (*slot + fit.cost - best).min(ELSEWHERE);
            }
        }
        sum
    }

    /// What should happen to the contacts of one radio sensor. Each vehicle is heard last when it is there, so contacts are in
    /// driving order by their last good reception.
    fn judge_radio(&self, plan: &Plan, track: &Track, heard: &BTreeMap<u64, Vec<Fit>>) -> Vec<Move> {
        let opens = |group: &Group| self.stands(plan, group);
        let mut order: Vec<usize> = (0..self.groups.len())
            .filter(|index| {
                self.groups.get(*index).is_some_and(|group| group.track == *track && !opens(group))
            })
            .collect();
        order.sort_by_key(|index| self.groups.get(*index).map(|group| (group.anchor_ms(), group.number)));
        let groups: Vec<&Group> = order.iter().filter_map(|index| self.groups.get(*index)).collect();
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        let contexts = sightings.contexts(self, plan, track);
        let others: Vec<Option<Vec<f64>>> = groups.iter().map(|group| self.elsewhere(group, heard)).collect();
        let fits: Vec<Vec<Fit>> = groups
            .iter()
            .zip(&others)
            .map(|(group, other)| {
                let mut fits = heard.get(&group.number).cloned().unwrap_or_default();
                for (fit, more) in fits.iter_mut().zip(other.iter().flatten()) {
                    fit.cost = (fit.cost + more).min(IMPOSSIBLE);
                    fit.identity = (*more < ELSEWHERE / 2.0).then_some("same");
                }
                fits
            })
            .collect();
        let pairs = groups.iter().zip(groups.iter().skip(1));
        let repeat = std::iter::once(0.0).chain(pairs.map(|(group, next)| scoring::repeat(group, next)));
        let missed = vec![scoring::missed(track.kind); self.passages.len()];
        let costs = Costs {
            pair: fits.iter().map(|fits| fits.iter().map(|fit| fit.cost).collect()).collect(),
            ghost: groups
                .iter()
                .zip(&others)
                .map(|(group, other)| {
                    if self.lock_of(group).is_some() {
                        IMPOSSIBLE
                    } else {
                        let twice = if other.is_some() { HEARD_TWICE } else { 0.0 };
                        scoring::ghost(group) + twice - self.weakness(plan, group)
                    }
                })
                .collect(),
            repeat: repeat.collect(),
            pending: vec![0.0; missed.len()],
            missed,
        };
        let choices = align(&costs);
        let mut moves = Vec::new();
        for (((index, group), fits), choice) in order.iter().zip(&groups).zip(&fits).zip(&choices) {
            if self.lock_of(group).is_none() {
                moves.push(self.choose_contact(*index, group, fits, choice, &contexts));
            }
        }
        moves
    }

    /// How much speaks for a contact being of another lane: it was heard weaker than vehicles in this one are, nats.
    fn weakness(&self, plan: &Plan, group: &Group) -> f64 {
        let Mark::Key { best_dbm: Some(best), .. } = &group.mark else { return 0.0 };
        (0.8 * self.travel.weaker_db(plan.post_of(&group.track), *best)).min(6.0)
    }

    fn choose_contact(
        &self,
        index: usize,
        group: &Group,
        fits: &[Fit],
        choice: &Choice,
        contexts: &[Context<'_>],
    ) -> Move {
        let nobody = |why: &str| Move {
            group: index,
            owner: None,
            candidates: Vec::new(),
            why: why.to_owned(),
            alternatives: Vec::new(),
        };
        let mut ranked: Vec<(f64, usize)> = choice.with.iter().copied().zip(0..).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let owned = self.passages.iter().position(|passage| group.owner == Some(passage.number));
        if let Some(owner) = owned
            && let Some(kept) = choice.with.get(owner)
            && ranked.first().is_some_and(|(cost, _)| *kept < cost + INERTIA)
        {
            ranked.retain(|(_, index)| *index != owner);
            ranked.insert(0, (*kept, owner));
        }
        let Some(&(cost, best)) = ranked.first() else { return nobody("no vehicle is in the lane") };
        let Some(passage) = self.passages.get(best) else { return nobody("no vehicle is in the lane") };
        let Some(fit) = fits.get(best) else { return nobody("fits nobody") };
        let loyal = if owned == Some(best) { INERTIA } else { 0.0 };
        if choice.ghost + loyal <= cost || fit.cost >= IMPOSSIBLE / 2.0 {
            if passage.entries.saturating_add(group.items.len()) > MAX_ENTRIES && owned != Some(best) {
                return nobody(&format!("the passage it fits holds {MAX_ENTRIES} observations already"));
            }
            return nobody(&format!("fits nobody; {}", fit.time));
        }
        let id = |index: usize| self.passages.get(index).map(|passage| passage.id.clone());
        let margin = if group.is_alarm() { ALARM_MARGIN } else { MARGIN };
        let mut candidates: Vec<PassageId> = vec![passage.id.clone()];
        let rivals = ranked.iter().skip(1).filter(|(other, _)| *other < cost + margin);
        candidates.extend(rivals.filter_map(|(_, index)| id(*index)));
        if fit.identity.is_none() {
            self.inherit_doubt(contexts.get(best), &mut candidates);
        }
        if candidates.len() < 2 {
            candidates.clear();
        }
        let others = ranked.iter().skip(1).map(|(other, index)| (*other, id(*index)));
        let alternatives = told(others.chain(std::iter::once((choice.ghost, None))), cost);
        let why = why(best, self.passages.len(), fit.time, fit.identity);
        Move { group: index, owner: Some(passage.number), candidates, why, alternatives }
    }

    /// What leans on a loop's doubtful occupancy is as doubtful.
    fn inherit_doubt(&self, context: Option<&Context<'_>>, candidates: &mut Vec<PassageId>) {
        let leaned_on = context.and_then(|context| context.here.as_ref()?.doubtful);
        let Some(source) =
            leaned_on.and_then(|number| self.groups.iter().find(|group| group.number == number))
        else {
            return;
        };
        for candidate in &source.candidates {
            if !candidates.contains(candidate) {
                candidates.push(candidate.clone());
            }
        }
    }

    fn move_contact(&mut self, step: Move) {
        let now = self.clock_ms;
        let Some(group) = self.groups.get_mut(step.group) else { return };
        let before = group.owner;
        group.margin = step.alternatives.first().map(|next| next.cost);
        group.alternatives = step.alternatives;
        let same = before == step.owner;
        if same && group.candidates == step.candidates {
            if before.is_none() {
                group.why = step.why;
            }
            return;
        }
        group.why = step.why;
        group.give(step.owner, now);
        group.doubtful = !step.candidates.is_empty();
        group.candidates = step.candidates;
        for passage in &mut self.passages {
            if before == Some(passage.number) || step.owner == Some(passage.number) {
                passage.touch(now);
            }
            if before.is_none() && step.owner == Some(passage.number) {
                passage.touched_ms = now;
            }
        }
    }
}

/// The places that come after the chosen one, which costs `cost`, as they are told.
pub(crate) fn told(others: impl Iterator<Item = (f64, Option<PassageId>)>, cost: f64) -> Vec<Alternative> {
    let mut all: Vec<(f64, Option<PassageId>)> =
        others.filter(|(other, _)| *other - cost < IMPOSSIBLE / 2.0).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.truncate(Entry::ALTERNATIVES);
    let rounded = |cost: f64| (cost * 100.0).round() / 100.0;
    all.into_iter()
        .map(|(other, passage)| Alternative { passage, cost: rounded((other - cost).max(0.0)) })
        .collect()
}

/// Why something is where it is, in plain words: its passage is the `index`-th of `count`.
pub(crate) fn why(index: usize, count: usize, time: When, identity: Option<&str>) -> String {
    format!(
        "order: {} of {count} in the lane; {time}; identity: {}",
        index + 1,
        identity.unwrap_or("says nothing")
    )
}
