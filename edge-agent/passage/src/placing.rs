//! Which passage does each group belong to? The visits of a station are aligned with the passages of the lane by order, time
//! and names together; what other stations say is the context. Decisions are taken anew while the passages are open, so that
//! later evidence corrects them.

use interface::{ReadingKind, View};

use crate::alignment::{Choice, Costs, IMPOSSIBLE, align};
use crate::group::{Group, Mark, Track};
use crate::lane::{LaneState, MAX_ENTRIES};
use crate::plan::Plan;
use crate::scoring::{self, Context, Fit, When};
use crate::sightings::Sightings;
use crate::visits::{Visit, Visits};
use crate::{Alternative, Entry, PassageId, PassageState, identity};

/// Costs that differ by less leave a doubt.
const MARGIN: f64 = 1.5;
/// The same for an alarm, where the wrong vehicle is the worst outcome.
const ALARM_MARGIN: f64 = 3.0;
/// A placed group moves only for a gain of at least this, so that nothing swings to and fro.
const INERTIA: f64 = 0.3;
/// A placed group is taken away from its passage, to nobody, only for a gain of at least this.
const LOYALTY: f64 = 1.0;
/// So long after a passage has ended its groups are moved no more; new ones may still come, milliseconds.
const SETTLED_MS: u64 = 30_000;
/// What remains of the cost of being missed for a vehicle that was sent out of the lane or overtaken.
const SENT_AWAY: f64 = 0.2;
/// A station's visits lean on their passages' names, and these on the visits; this many rounds settle them or stop them.
const ROUNDS: usize = 2;
/// What is fixed counts for the order of what came so long after it, milliseconds.
const NEAR_MS: u64 = 60_000;

/// Where a group is to go.
struct Move {
    group: usize,
    owner: Option<u64>,
    candidates: Vec<PassageId>,
    why: String,
    alternatives: Vec<Alternative>,
}

/// What has come of carrying out moves.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    /// Anything has changed.
    any: bool,
    /// A group has found another vehicle, or a first one for others to lean on.
    moved: bool,
}

/// What a visit, or a radio contact, may cost with each passage, best first, and with nobody.
struct Ranking {
    ranked: Vec<(f64, usize)>,
    ghost: f64,
}

impl LaneState {
    /// Places the groups of one station; if a group finds another vehicle, those of all stations.
    pub fn place(&mut self, plan: &Plan, station: usize) {
        let stations = plan.lane.stations.len();
        let news = self.place_station(plan, station);
        if news.moved {
            for other in (0..stations).filter(|other| *other != station) {
                self.place_station(plan, other);
            }
            self.place_station(plan, station);
        }
        self.count_entries();
    }

    fn place_station(&mut self, plan: &Plan, station: usize) -> News {
        let mut news = News::default();
        for _ in 0..ROUNDS {
            let moves = self.judge(plan, station);
            let changed = self.carry_out_all(moves);
            news.moved |= changed.moved;
            if !changed.any {
                break;
            }
        }
        let mut tracks: Vec<Track> = Vec::new();
        for group in self.groups.iter().filter(|group| group.track.station == station) {
            if group.track.is_radio() && !tracks.contains(&group.track) && !self.is_fixed(group) {
                tracks.push(group.track.clone());
            }
        }
        for track in tracks {
            let moves = self.judge_radio(plan, &track);
            self.carry_out_all(moves);
        }
        news
    }

    fn carry_out_all(&mut self, moves: Vec<Move>) -> News {
        let mut news = News::default();
        for step in moves {
            let tells = self.groups.get(step.group).is_some_and(|group| !group.track.is_radio());
            let (changed, from, to) = self.carry_out(step);
            news.any |= changed;
            news.moved |= tells && from != to;
        }
        news
    }

    /// The groups of a station, radio aside, that are to be placed, and those fixed ones that they lean on.
    fn window(&self, station: usize) -> Vec<usize> {
        let here = || {
            let groups = self.groups.iter().enumerate();
            groups.filter(|(_, group)| group.track.station == station && !group.track.is_radio())
        };
        let loose = here().filter(|(_, group)| !self.is_fixed(group));
        let Some(since) = loose.map(|(_, group)| group.first_ms).min() else { return Vec::new() };
        let since = since.saturating_sub(NEAR_MS);
        here()
            .filter(|(_, group)| group.last_ms >= since || !self.is_fixed(group))
            .map(|(index, _)| index)
            .collect()
    }

    fn passage_index(&self, number: Option<u64>) -> Option<usize> {
        let number = number?;
        self.passages.iter().position(|passage| passage.number == number)
    }

    /// What should happen to the groups of one station, radio aside. Without a loop, rear plates are placed apart: the next
    /// vehicle's front is seen before.
    fn judge(&self, plan: &Plan, station: usize) -> Vec<Move> {
        let window = self.window(station);
        if window.is_empty() || self.passages.is_empty() {
            return Vec::new();
        }
        if plan.fitted(station, ReadingKind::Presence) {
            return self.judge_visits(plan, station, window, false);
        }
        let rear =
            |index: &usize| self.groups.get(*index).is_some_and(|group| group.track.view == Some(View::Rear));
        let (rear, others): (Vec<usize>, Vec<usize>) = window.into_iter().partition(rear);
        let mut moves = self.judge_visits(plan, station, others, false);
        moves.extend(self.judge_visits(plan, station, rear, true));
        moves
    }

    fn judge_visits(&self, plan: &Plan, station: usize, window: Vec<usize>, rear: bool) -> Vec<Move> {
        if window.is_empty() {
            return Vec::new();
        }
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        let contexts = sightings.contexts(self, plan, station, None);
        let owner_of = |index: usize| self.passage_index(self.groups.get(index)?.owner);
        let names = |index: usize, seed: usize| {
            let context = owner_of(seed).and_then(|owner| contexts.get(owner));
            context
                .zip(self.groups.get(index))
                .map_or(0.0, |(context, group)| scoring::by_name(group, context).0)
        };
        let visits = Visits::of(&self.groups, &window, self.clock_ms, &names);
        let fits = self.fits(&visits, &contexts, rear);
        let done = self.done_before(plan, station, &window, rear);
        let choices = self.choices(plan, station, &visits, &fits, &sightings, done);
        let rankings: Vec<Ranking> =
            visits.all.iter().zip(&choices).map(|(visit, choice)| self.rank(visit, choice)).collect();
        let mut moves = Vec::new();
        for (index, visit) in visits.all.iter().enumerate() {
            for member in &visit.members {
                let Some(group) = self.groups.get(*member) else { continue };
                if !self.is_fixed(group)
                    && let (Some(ranking), Some(fits)) = (rankings.get(index), fits.get(index))
                {
                    let ranking = self.with_rivals(*member, ranking, &visits, &rankings);
                    moves.push(self.decide_one(*member, group, fits, &ranking, &contexts));
                }
            }
        }
        moves
    }

    /// The ranking of a visit, with what its member would cost in other visits.
    fn with_rivals(&self, member: usize, own: &Ranking, visits: &Visits, rankings: &[Ranking]) -> Ranking {
        let mut ranked = own.ranked.clone();
        let best = ranked.first().map_or(0.0, |(cost, _)| *cost);
        for (_, seed, more) in visits.rivals.iter().filter(|(group, ..)| *group == member) {
            let visit = visits.all.iter().position(|visit| visit.members.first() == Some(seed));
            let owner = visit.and_then(|visit| rankings.get(visit)?.ranked.first());
            let Some((_, owner)) = owner else { continue };
            for (cost, index) in &mut ranked {
                if index == owner {
                    *cost = cost.min(best + more);
                }
            }
        }
        if let Some(first) = own.ranked.first() {
            // Its own visit stays the choice.
            ranked.retain(|(_, index)| *index != first.1);
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            ranked.insert(0, *first);
        }
        Ranking { ranked, ghost: own.ghost }
    }

    /// The passage that a visit cannot be taken from.
    fn held_by(&self, visit: &Visit) -> Option<usize> {
        let fixed = visit.members.iter().filter_map(|member| self.groups.get(*member));
        let owner = fixed.filter(|group| self.is_fixed(group)).find_map(|group| group.owner);
        self.passage_index(owner)
    }

    fn fits(&self, visits: &Visits, contexts: &[Context<'_>], rear: bool) -> Vec<Vec<Fit>> {
        let mut blocked: Option<u64> = None;
        let awaited = contexts.iter().position(|context| {
            context.here.is_none()
                && context.after.is_none()
                && context.before.is_some()
                && context.left_ms.is_none()
        });
        let mut all = Vec::with_capacity(visits.all.len());
        for visit in &visits.all {
            let held = self.held_by(visit);
            let members: Vec<&Group> =
                visit.members.iter().filter_map(|member| self.groups.get(*member)).collect();
            let items: usize = members.iter().map(|group| group.items.len()).sum();
            let late = members.iter().all(|group| group.track.kind == ReadingKind::Radiation);
            let row = self.passages.iter().zip(contexts).enumerate().map(|(index, (passage, context))| {
                if let Some(held) = held {
                    let cost = if held == index { 0.0 } else { IMPOSSIBLE };
                    return Fit { cost, time: When::Unknown, identity: None };
                }
                let (mut cost, time) = scoring::visit(&visit.span, late, context, blocked);
                if rear {
                    cost += scoring::rear(&visit.span, context);
                }
                // The first that is still to come here is the likeliest.
                if awaited.is_some_and(|awaited| awaited < index) {
                    cost += 0.5;
                }
                let (named, identity) = pooled(&members, context);
                let mine = members.iter().any(|group| group.owner == Some(passage.number));
                let full = !mine && passage.entries.saturating_add(items) > MAX_ENTRIES;
                let cost = if full { IMPOSSIBLE } else { (cost + named).min(IMPOSSIBLE) };
                Fit { cost, time, identity }
            });
            all.push(row.collect());
            if visit.span.by_presence {
                blocked = Some(visit.span.to);
            }
        }
        all
    }

    /// Whether a group stays where it is: it opened its passage, or that ended a while ago.
    fn is_fixed(&self, group: &Group) -> bool {
        let owner = self.passages.iter().find(|passage| group.owner == Some(passage.number));
        let ended = owner.and_then(|passage| passage.ended_ms);
        group.pinned || ended.is_some_and(|ended| ended.saturating_add(SETTLED_MS) <= self.clock_ms)
    }

    fn choices(
        &self,
        plan: &Plan,
        station: usize,
        visits: &Visits,
        fits: &[Vec<Fit>],
        sightings: &Sightings,
        done: Option<usize>,
    ) -> Vec<Choice> {
        let pair = fits.iter().map(|fits| fits.iter().map(|fit| fit.cost).collect()).collect();
        let members = |visit: &Visit| -> Vec<&Group> {
            visit.members.iter().filter_map(|member| self.groups.get(*member)).collect()
        };
        let ghost = visits.all.iter().map(|visit| {
            if self.held_by(visit).is_some() {
                return IMPOSSIBLE;
            }
            let sum: f64 = members(visit).iter().map(|group| scoring::ghost(group)).sum();
            sum.min(scoring::UNKNOWN)
        });
        let pairs = visits.all.iter().zip(visits.all.iter().skip(1));
        let repeat = pairs.map(|(one, next)| again(one, next, &members(one), &members(next)));
        let furthest =
            |index: usize| (0..plan.lane.stations.len()).rev().find(|at| sightings.at(index, *at).is_some());
        let mut ahead: Option<usize> = None;
        let mut overtaken = vec![false; self.passages.len()];
        for index in (0..self.passages.len()).rev() {
            let own = furthest(index);
            if let Some(slot) = overtaken.get_mut(index) {
                *slot = ahead.is_some_and(|ahead| own.is_none_or(|own| own < ahead));
            }
            ahead = ahead.max(own);
        }
        // A reading beside a loop that saw nothing: the loop may have failed for others as well.
        let failing = plan.fitted(station, ReadingKind::Presence)
            && visits.all.iter().all(|visit| !visit.span.by_presence || self.held_by(visit).is_some());
        let expected = plan.missed(station).min(if failing { scoring::FAILING } else { f64::MAX });
        let missed: Vec<f64> = self
            .passages
            .iter()
            .zip(&overtaken)
            .enumerate()
            .map(|(index, (passage, overtaken))| {
                let away = matches!(
                    passage.state,
                    PassageState::Referred | PassageState::Abandoned | PassageState::Expired
                ) || (*overtaken && !sightings.reached(index, station));
                if done.is_some_and(|done| index <= done)
                    || (passage.ended_ms.is_some() && !sightings.reached(index, station))
                {
                    return 0.05;
                }
                expected * if away { SENT_AWAY } else { 1.0 }
            })
            .collect();
        let pending = missed
            .iter()
            .enumerate()
            .map(|(index, missed)| if sightings.beyond(index, station) { *missed } else { 0.0 })
            .collect();
        let costs = Costs {
            pair,
            ghost: ghost.collect(),
            repeat: std::iter::once(0.0).chain(repeat).collect(),
            missed,
            pending,
        };
        align(&costs)
    }

    /// The last passage that was here before the window: those up to it are not expected any more.
    fn done_before(&self, plan: &Plan, station: usize, window: &[usize], rear: bool) -> Option<usize> {
        let looped = plan.fitted(station, ReadingKind::Presence);
        let groups = self.groups.iter().enumerate().filter(|(index, group)| {
            group.track.station == station
                && !group.track.is_radio()
                && (looped || (group.track.view == Some(View::Rear)) == rear)
                && window.binary_search(index).is_err()
        });
        groups.filter_map(|(_, group)| self.passage_index(group.owner)).max()
    }

    /// The passages of a choice in order of their cost; the present owner first if the gain would be too small.
    fn rank(&self, visit: &Visit, choice: &Choice) -> Ranking {
        let owner = visit.members.iter().find_map(|member| self.groups.get(*member)?.owner);
        self.ranking(owner, choice)
    }

    fn ranking(&self, owner: Option<u64>, choice: &Choice) -> Ranking {
        let mut ranked: Vec<(f64, usize)> = choice.with.iter().copied().zip(0..).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        if let Some(owner) = self.passage_index(owner)
            && let Some(kept) = choice.with.get(owner)
            && ranked.first().is_some_and(|(cost, _)| *kept < cost + INERTIA)
        {
            ranked.retain(|(_, index)| *index != owner);
            ranked.insert(0, (*kept, owner));
        }
        Ranking { ranked, ghost: choice.ghost }
    }

    /// What should happen to the contacts of one radio sensor. Each vehicle is heard last when it is there, so contacts are in
    /// driving order by their last good reception.
    fn judge_radio(&self, plan: &Plan, track: &Track) -> Vec<Move> {
        let mut order: Vec<usize> = (0..self.groups.len())
            .filter(|index| self.groups.get(*index).is_some_and(|group| group.track == *track))
            .collect();
        order.sort_by_key(|index| self.groups.get(*index).map(|group| (group.anchor_ms(), group.number)));
        let groups: Vec<&Group> = order.iter().filter_map(|index| self.groups.get(*index)).collect();
        let sightings = Sightings::of(&self.passages, &self.groups, plan);
        let contexts = sightings.contexts(self, plan, track.station, Some(track));
        let loop_here =
            plan.sensors_for(track.station, ReadingKind::Presence).any(|sensor| !self.is_offline(sensor));
        let fit = |group: &Group| -> Vec<Fit> {
            let pairs = self.passages.iter().zip(&contexts);
            pairs
                .map(|(passage, context)| {
                    let mine = group.owner == Some(passage.number);
                    if self.is_fixed(group) {
                        let cost = if mine { 0.0 } else { IMPOSSIBLE };
                        return Fit { cost, time: When::Unknown, identity: None };
                    }
                    let mut fit = scoring::radio(group, context, loop_here);
                    if !mine && passage.entries.saturating_add(group.items.len()) > MAX_ENTRIES {
                        fit.cost = IMPOSSIBLE;
                    }
                    fit
                })
                .collect()
        };
        let fits: Vec<Vec<Fit>> = groups.iter().map(|group| fit(group)).collect();
        let pairs = groups.iter().zip(groups.iter().skip(1));
        let repeat = std::iter::once(0.0).chain(pairs.map(|(group, next)| scoring::repeat(group, next)));
        let missed = vec![scoring::missed(track.kind); self.passages.len()];
        let costs = Costs {
            pair: fits.iter().map(|fits| fits.iter().map(|fit| fit.cost).collect()).collect(),
            ghost: groups
                .iter()
                .map(|group| if self.is_fixed(group) { IMPOSSIBLE } else { scoring::ghost(group) })
                .collect(),
            repeat: repeat.collect(),
            pending: vec![0.0; missed.len()],
            missed,
        };
        let choices = align(&costs);
        let mut moves = Vec::new();
        for (((index, group), fits), choice) in order.iter().zip(&groups).zip(&fits).zip(&choices) {
            if !self.is_fixed(group) {
                let ranking = self.ranking(group.owner, choice);
                moves.push(self.decide_one(*index, group, fits, &ranking, &contexts));
            }
        }
        moves
    }

    fn decide_one(
        &self,
        index: usize,
        group: &Group,
        fits: &[Fit],
        ranking: &Ranking,
        contexts: &[Context<'_>],
    ) -> Move {
        let nobody = |why: &str| Move {
            group: index,
            owner: None,
            candidates: Vec::new(),
            why: why.to_owned(),
            alternatives: Vec::new(),
        };
        let Some(&(cost, best)) = ranking.ranked.first() else { return nobody("no vehicle is in the lane") };
        let keeps = self.passage_index(group.owner) == Some(best);
        let loyal = if keeps { LOYALTY } else { 0.0 };
        let impossible = fits.get(best).is_none_or(|fit| fit.cost >= IMPOSSIBLE / 2.0);
        if ranking.ghost + loyal <= cost || impossible {
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
        let alternatives = self.alternatives(ranking);
        let margin = if group.is_alarm() { ALARM_MARGIN } else { MARGIN };
        let id = |index: usize| self.passages.get(index).map(|passage| passage.id.clone());
        let mut candidates: Vec<PassageId> = id(best).into_iter().collect();
        let rivals = ranking.ranked.iter().skip(1).filter(|(other, _)| *other < cost + margin);
        candidates.extend(rivals.filter_map(|(_, index)| id(*index)));
        let identity = fits.get(best).and_then(|fit| fit.identity);
        if identity.is_none() && group.track.is_radio() {
            self.inherit_doubt(contexts.get(best), &mut candidates);
        }
        if group.is_alarm() {
            for named in &group.named {
                if !candidates.contains(named) {
                    candidates.push(named.clone());
                }
            }
        }
        if candidates.len() < 2 {
            candidates.clear();
        }
        let time = fits.get(best).map_or(When::Unknown, |fit| fit.time);
        let why = format!(
            "order: {} of {} in the lane; {time}; identity: {}",
            best + 1,
            self.passages.len(),
            identity.unwrap_or("says nothing")
        );
        let owner = self.passages.get(best).map(|passage| passage.number);
        Move { group: index, owner, candidates, why, alternatives }
    }

    /// The places that come after the chosen one.
    fn alternatives(&self, ranking: &Ranking) -> Vec<Alternative> {
        let Some((cost, _)) = ranking.ranked.first() else { return Vec::new() };
        let id = |index: usize| self.passages.get(index).map(|passage| passage.id.clone());
        let others = ranking.ranked.iter().skip(1).map(|(other, index)| (*other, Some(*index)));
        let mut all: Vec<(f64, Option<usize>)> = others
            .chain(std::iter::once((ranking.ghost, None)))
            .filter(|(other, _)| *other - cost < IMPOSSIBLE / 2.0)
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.truncate(Entry::ALTERNATIVES);
        all.into_iter()
            .map(|(other, index)| Alternative {
                passage: index.and_then(id),
                cost: ((other - cost) * 100.0).round() / 100.0,
            })
            .collect()
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
        group.margin = step.alternatives.first().map(|next| next.cost);
        group.alternatives = step.alternatives;
        let same = before == step.owner;
        if same && group.candidates == step.candidates {
            if before.is_none() {
                group.why = step.why;
            }
            return (false, before, before);
        }
        if !same || group.why.is_empty() {
            group.why = step.why;
        }
        group.owner = step.owner;
        group.doubtful = !step.candidates.is_empty();
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

/// What the names of a visit say together: for each end and kind the best of its reads.
fn pooled(members: &[&Group], context: &Context<'_>) -> (f64, Option<&'static str>) {
    type Best = ((ReadingKind, Option<View>), f64, Option<&'static str>);
    let mut best: Vec<Best> = Vec::new();
    for group in members.iter().filter(|group| group.is_named()) {
        let (cost, words) = scoring::by_name(group, context);
        if words.is_none() {
            continue;
        }
        let key = (group.track.kind, group.track.view);
        match best.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, known, said)) if cost < *known => (*known, *said) = (cost, words),
            Some(_) => {}
            None => best.push((key, cost, words)),
        }
    }
    let words = best.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).and_then(|(.., words)| *words);
    (best.iter().map(|(_, cost, _)| cost).sum(), words)
}

/// What it costs to say that a visit is of the same passage as the one before it at the station.
fn again(one: &Visit, next: &Visit, members: &[&Group], others: &[&Group]) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let gap = next.span.from.saturating_sub(one.span.to) as f64 / 1000.0;
    let mut cost = match (one.span.by_presence, next.span.by_presence) {
        // The loop has lost the vehicle for a moment, or it came back.
        (true, true) => (2.0 + 0.6 * gap).min(5.0),
        (false, false) => 0.3,
        _ => 1.0,
    };
    for (group, other) in members.iter().flat_map(|group| others.iter().map(move |other| (group, other))) {
        cost += match (&group.mark, &other.mark) {
            (Mark::Plate { text, view, .. }, Mark::Plate { text: second, view: seen, .. })
                if view == seen && identity::is_plate(text) && identity::is_plate(second) =>
            {
                (2.0 * identity::distance(text, second)).min(6.0) - 1.0
            }
            (Mark::Value, Mark::Value)
                if group.track == other.track
                    && matches!(group.track.kind, ReadingKind::Radiation | ReadingKind::Dimensions) =>
            {
                3.0
            }
            _ => 0.0,
        };
    }
    cost.clamp(0.1, 12.0)
}
