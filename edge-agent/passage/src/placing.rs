//! Which passage does each group belong to? Every track of a station is aligned with the passages of the lane; what other
//! tracks say is the context. Decisions are taken anew while the passages are open, so that later evidence corrects them.

use interface::ReadingKind;

use crate::alignment::{Choice, Costs, IMPOSSIBLE, align};
use crate::group::{Group, Track};
use crate::lane::{LaneState, MAX_ENTRIES};
use crate::plan::Plan;
use crate::scoring::{self, Context, Fit, When};
use crate::sightings::Sightings;
use crate::{Alternative, Entry, PassageId, PassageState};

/// Costs that differ by less leave a doubt.
const MARGIN: f64 = 1.5;
/// The same for an alarm, where the wrong vehicle is the worst outcome.
const ALARM_MARGIN: f64 = 3.0;
/// A placed group moves only for a gain of at least this, so that nothing swings to and fro.
const INERTIA: f64 = 0.3;
/// A placed group is taken away from its passage, to nobody, only for a gain of at least this.
const LOYALTY: f64 = 3.0;
/// So long after a passage has ended its groups are moved no more; new ones may still come, milliseconds.
const SETTLED_MS: u64 = 30_000;
/// What remains of the cost of being missed for a vehicle that was sent out of the lane.
const SENT_AWAY: f64 = 0.2;
/// A station's tracks are each other's context; this many rounds settle them or stop them.
const ROUNDS: usize = 2;

/// Where a group is to go.
struct Move {
    group: usize,
    owner: Option<u64>,
    doubtful: bool,
    candidates: Vec<PassageId>,
    why: String,
    margin: Option<f64>,
    alternatives: Vec<Alternative>,
}

impl LaneState {
    /// Places the groups of one station; if that tells where a vehicle is or moves a group to another one, those of all
    /// stations.
    pub fn place(&mut self, plan: &Plan, station: usize) {
        if self.place_station(plan, station) {
            for other in (0..plan.lane.stations.len()).filter(|other| *other != station) {
                self.place_station(plan, other);
            }
        }
        self.count_entries();
    }

    /// Says whether a loop or a name has found its vehicle, or a group has found another one.
    fn place_station(&mut self, plan: &Plan, station: usize) -> bool {
        let mut tracks: Vec<Track> = Vec::new();
        for group in
            self.groups.iter().filter(|group| group.track.station == station && !self.is_fixed(group))
        {
            if !tracks.contains(&group.track) {
                tracks.push(group.track.clone());
            }
        }
        // Loops first: the others lean on them. Radio last.
        tracks.sort_by_key(|track| (track.is_radio(), track.clone()));
        let mut news = false;
        for _ in 0..ROUNDS {
            let mut changed = false;
            for track in &tracks {
                let moves = self.judge(plan, track);
                for step in moves {
                    let (change, from, to) = self.carry_out(step);
                    changed |= change;
                    let tells = matches!(track.kind, ReadingKind::Presence | ReadingKind::Plate);
                    news |= from != to && (from.is_some() || tells);
                }
            }
            if !changed {
                break;
            }
        }
        news
    }

    /// What should happen to the groups of one track.
    fn judge(&self, plan: &Plan, track: &Track) -> Vec<Move> {
        let mut order: Vec<usize> = (0..self.groups.len())
            .filter(|index| self.groups.get(*index).is_some_and(|group| group.track == *track))
            .collect();
        order.sort_by_key(|index| self.groups.get(*index).map(|group| (group.anchor_ms(), group.number)));
        let groups: Vec<&Group> = order.iter().filter_map(|index| self.groups.get(*index)).collect();
        let sightings = Sightings::of(&self.passages, &self.groups, plan, Some(track));
        let contexts = sightings.contexts(&self.passages, &self.groups, plan, track);
        let loop_here = plan
            .sensors_for(track.station, ReadingKind::Presence)
            .any(|sensor| *sensor != track.sensor && !self.is_offline(sensor));
        let fits: Vec<Vec<Fit>> = groups.iter().map(|group| self.fits(group, &contexts, loop_here)).collect();
        let choices = self.choices(track, &groups, &fits, &sightings);
        let mut moves = Vec::new();
        for (((index, group), fits), choice) in order.iter().zip(&groups).zip(&fits).zip(&choices) {
            if !self.is_fixed(group) {
                moves.push(self.decide_one(*index, group, fits, choice, &contexts));
            }
        }
        moves
    }

    fn fits(&self, group: &Group, contexts: &[Context<'_>], loop_here: bool) -> Vec<Fit> {
        let pairs = self.passages.iter().zip(contexts);
        let fixed = self.is_fixed(group);
        pairs
            .map(|(passage, context)| {
                let mine = group.owner == Some(passage.number);
                if fixed {
                    let cost = if mine { 0.0 } else { IMPOSSIBLE };
                    return Fit { cost, time: When::Unknown, identity: None };
                }
                let mut fit = scoring::fit(group, context, loop_here);
                let full = !mine && passage.entries.saturating_add(group.items.len()) > MAX_ENTRIES;
                if full {
                    fit.cost = IMPOSSIBLE;
                }
                fit
            })
            .collect()
    }

    /// Whether a group stays where it is: it opened its passage, or that ended a while ago.
    fn is_fixed(&self, group: &Group) -> bool {
        let owner = self.passages.iter().find(|passage| group.owner == Some(passage.number));
        let ended = owner.and_then(|passage| passage.ended_ms);
        group.pinned || ended.is_some_and(|ended| ended.saturating_add(SETTLED_MS) <= self.clock_ms)
    }

    fn choices(
        &self,
        track: &Track,
        groups: &[&Group],
        fits: &[Vec<Fit>],
        sightings: &Sightings,
    ) -> Vec<Choice> {
        let pair: Vec<Vec<f64>> = fits.iter().map(|fits| fits.iter().map(|fit| fit.cost).collect()).collect();
        let ghost = groups
            .iter()
            .map(|group| if self.is_fixed(group) { IMPOSSIBLE } else { scoring::ghost(group) })
            .collect::<Vec<f64>>();
        if track.is_radio() {
            // What is heard keeps no order: each contact for itself.
            let contacts = pair.into_iter().zip(ghost);
            return contacts.map(|(with, ghost)| Choice { with, ghost }).collect();
        }
        let pairs = groups.iter().zip(groups.iter().skip(1));
        let repeat = std::iter::once(0.0).chain(pairs.map(|(group, next)| scoring::repeat(group, next)));
        let missed: Vec<f64> = self
            .passages
            .iter()
            .map(|passage| {
                let away = matches!(
                    passage.state,
                    PassageState::Referred | PassageState::Abandoned | PassageState::Expired
                );
                scoring::missed(track.kind) * if away { SENT_AWAY } else { 1.0 }
            })
            .collect();
        let pending = missed
            .iter()
            .enumerate()
            .map(|(index, missed)| if sightings.reached(index, track.station) { *missed } else { 0.0 });
        let costs = Costs { pair, ghost, repeat: repeat.collect(), pending: pending.collect(), missed };
        align(&costs)
    }

    fn decide_one(
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
            doubtful: false,
            candidates: Vec::new(),
            why: why.to_owned(),
            margin: None,
            alternatives: Vec::new(),
        };
        let mut ranked: Vec<(f64, usize)> = choice.with.iter().copied().zip(0..).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some(&(mut cost, mut best)) = ranked.first() else { return nobody("no vehicle is in the lane") };
        let owner = self.passages.iter().position(|passage| group.owner == Some(passage.number));
        if let Some(owner) = owner
            && let Some(kept) = choice.with.get(owner)
            && *kept < cost + INERTIA
        {
            (cost, best) = (*kept, owner);
        }
        let loyal = if owner == Some(best) { LOYALTY } else { 0.0 };
        if choice.ghost + loyal <= cost || cost >= IMPOSSIBLE / 2.0 {
            let full = self
                .passages
                .get(best)
                .is_some_and(|passage| passage.entries.saturating_add(group.items.len()) > MAX_ENTRIES);
            return nobody(&match fits.get(best) {
                Some(_) if full => format!("the passage it fits holds {MAX_ENTRIES} observations already"),
                Some(fit) => format!("fits nobody; {}", fit.time),
                None => "fits nobody".to_owned(),
            });
        }
        let margin = if group.is_alarm() { ALARM_MARGIN } else { MARGIN };
        let id = |index: usize| self.passages.get(index).map(|passage| passage.id.clone());
        let mut candidates: Vec<PassageId> = id(best).into_iter().collect();
        let rivals = ranked.iter().filter(|(other, index)| *index != best && *other < cost + margin);
        candidates.extend(rivals.filter_map(|(_, index)| id(*index)));
        let identity = fits.get(best).and_then(|fit| fit.identity);
        if identity.is_none() {
            self.inherit_doubt(contexts.get(best), &mut candidates);
        }
        if group.is_alarm() {
            candidates.extend(
                group.named.iter().filter(|named| !candidates.contains(named)).cloned().collect::<Vec<_>>(),
            );
        }
        let doubtful = candidates.len() > 1;
        if !doubtful {
            candidates.clear();
        }
        let alternatives = self.alternatives(&ranked, best, cost, choice.ghost);
        let time = fits.get(best).map_or(When::Unknown, |fit| fit.time);
        let why = format!(
            "order: {} of {} in the lane; {time}; identity: {}",
            best + 1,
            self.passages.len(),
            identity.unwrap_or("says nothing")
        );
        Move {
            group: index,
            owner: self.passages.get(best).map(|passage| passage.number),
            doubtful,
            candidates,
            why,
            margin: alternatives.first().map(|next| next.cost),
            alternatives,
        }
    }

    /// The places that come after the chosen one.
    fn alternatives(&self, ranked: &[(f64, usize)], best: usize, cost: f64, ghost: f64) -> Vec<Alternative> {
        let id = |index: usize| self.passages.get(index).map(|passage| passage.id.clone());
        let others = ranked.iter().filter(|(_, index)| *index != best);
        let mut all: Vec<Alternative> = others
            .map(|(other, index)| (*other, id(*index)))
            .chain(std::iter::once((ghost, None)))
            .filter(|(other, _)| *other < IMPOSSIBLE / 2.0)
            .map(|(other, passage)| Alternative { passage, cost: ((other - cost) * 100.0).round() / 100.0 })
            .collect();
        all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        all.truncate(Entry::ALTERNATIVES);
        all
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

    /// Says whether anything changed, and whose the group was and is.
    fn carry_out(&mut self, step: Move) -> (bool, Option<u64>, Option<u64>) {
        let now = self.clock_ms;
        let Some(group) = self.groups.get_mut(step.group) else { return (false, None, None) };
        let before = group.owner;
        group.margin = step.margin;
        group.alternatives = step.alternatives;
        let same = before == step.owner;
        if same && group.doubtful == step.doubtful && group.candidates == step.candidates {
            if before.is_none() {
                group.why = step.why;
            }
            return (false, before, before);
        }
        if !same || group.why.is_empty() {
            group.why = step.why;
        }
        group.owner = step.owner;
        group.doubtful = step.doubtful;
        group.candidates = step.candidates;
        for passage in &mut self.passages {
            if before == Some(passage.number) || step.owner == Some(passage.number) {
                passage.touch(now);
            }
            if !same && step.owner == Some(passage.number) {
                passage.touched_ms = now;
            }
        }
        (true, before, step.owner)
    }

    fn count_entries(&mut self) {
        for passage in &mut self.passages {
            let own = self.groups.iter().filter(|group| group.owner == Some(passage.number));
            passage.entries = own.map(|group| group.items.len()).sum();
        }
    }
}
