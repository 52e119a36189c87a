//! A lane as it is judged: what each post has seen, vehicle by vehicle. A vehicle's way through the lane is a *course*: visits
//! in driving order. `pricing` says what a course costs; `solving` looks for the courses that cost least together.

use std::cell::RefCell;
use std::sync::Arc;

use interface::{ReadingKind, View};

use crate::group::{Group, Mark};
use crate::kinds::Kinds;
use crate::learned::Learned;
use crate::length_class::{self, NOTHING, Odds};
use crate::looking::Home;
use crate::plan::Plan;
use crate::plates::read_well;
use crate::prices::Prices;
use crate::pricing::SoFar;
use crate::same_post::Before;
use crate::scoring::{self, Span};
use crate::size::Size;
use crate::traces::{Trace, Traces};
use crate::travel::{DEAD_COST, Travel};
use crate::visits::Visits;
use crate::weighed::Weighed;

/// Visits of a course, nearly always.
const LONG: usize = 16;

/// The courses of a lane, in driving order: numbers of visits, each in driving order.
pub(crate) type Courses = Vec<Vec<usize>>;

/// A visit and what its costs need.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub post: usize,
    /// Indices of its groups.
    pub members: Vec<usize>,
    pub span: Span,
    /// Number of the passage that it cannot be taken from.
    pub lock: Option<u64>,
    /// Number of the passage that it opened, which has been told.
    pub tie: Option<u64>,
    /// Number of the passage that it is of at present.
    pub owner: Option<u64>,
    /// Its vehicle has been sent out of the lane, or has turned round: it is not expected further on.
    pub away: bool,
    /// An alarm was raised by what was measured: its vehicle is likely to be sent out of the lane.
    pub alarm: bool,
    /// When the vehicle before left the post, as far as is known.
    pub blocked: Option<u64>,
    /// When the loop of the post was left before, if that and that it was reached now are sure.
    pub follows: Option<u64>,
    /// When the vehicle before came onto the loop of the post, and when the one before that had left it.
    pub ahead: Option<(u64, Option<u64>)>,
    /// When the next vehicle came onto the loop of the post.
    pub behind: Option<u64>,
    /// When the vehicle before came to the post, by any of its devices.
    pub reached_before: Option<u64>,
    /// When a vehicle that has left the post came to the next one that has seen any, at the last: it had left by then.
    pub left_at_last: Option<u64>,
    /// How far a forgotten vehicle has come that was behind it.
    pub passed_by: Option<usize>,
    /// What it costs to say that it is nobody's.
    pub ghost: f64,
    pub kinds: Kinds,
    pub size: Size,
    pub weighed: Weighed,
    /// What its measurements say of its being a car or a lorry.
    pub odds: Odds,
    pub plates: Vec<(View, usize, f64)>,
    pub keys: Vec<(ReadingKind, usize)>,
    /// Tags that were heard when it was there.
    pub tags: Vec<usize>,
}

impl Seen {
    /// Whether it is, or opened, a passage that was told.
    pub fn is_held(&self) -> bool {
        self.lock.is_some() || self.tie.is_some()
    }

    /// Whether it was only measured, by devices that tell when a vehicle has passed.
    pub fn results(&self) -> bool {
        self.kinds.0 & !Kinds::RESULTS == 0 || Plan::is_rear_post(self.post)
    }
}

/// A time during which a kind of reading could not, or most likely could not, come from a post, monotonic milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Silence {
    pub post: usize,
    pub kind: ReadingKind,
    pub from: u64,
    pub to: u64,
    /// How much less it costs to have been missed then.
    pub saves: f64,
}

impl Silence {
    /// Whether any of this time is in it.
    pub fn meets(&self, (from, to): (u64, u64)) -> bool {
        self.from <= to && from <= self.to
    }
}

/// What it costs that a visit was the last one of its course, if nobody behind it was further on, and if somebody was.
#[derive(Clone, Copy, Debug, Default)]
struct ToCome {
    waiting: Option<f64>,
    overtaken: Option<f64>,
}

/// Everything that courses are made of.
pub(crate) struct Scene<'a> {
    pub plan: &'a Plan,
    pub travel: &'a Travel,
    pub now: u64,
    /// In order of posts and times.
    pub seen: Vec<Seen>,
    /// Index of a group, of the first group of another visit of its post, and what it would cost more to belong to that.
    pub rivals: Vec<(usize, usize, f64)>,
    groups: &'a [Group],
    /// Names, and how far they are apart as far as that was asked: not numbers before.
    texts: Vec<&'a str>,
    distances: RefCell<Vec<f64>>,
    /// The number of each visit among the prices.
    numbers: Vec<u32>,
    prices: &'a RefCell<Prices>,
    /// What it costs that each visit was the last one, as far as that was asked.
    to_come: RefCell<Vec<ToCome>>,
    /// When sensors were offline, or seem to have been dead.
    pub silences: Vec<Silence>,
    pub learned: Arc<Learned>,
    /// Where those were that are forgotten.
    pub traces: Option<&'a Traces>,
}

impl<'a> Scene<'a> {
    /// An empty scene of these groups; `prices` are those of the lane. `offline` says since when all sensors of a kind are offline at a station, or from when to
    /// when they were; `heard` when such a reading came last from a post.
    pub fn new(
        plan: &'a Plan,
        travel: &'a Travel,
        now: u64,
        groups: &'a [Group],
        offline: &dyn Fn(usize, ReadingKind) -> Option<(u64, u64)>,
        heard: &dyn Fn(usize, ReadingKind) -> u64,
        prices: &'a RefCell<Prices>,
    ) -> Self {
        let learned = prices.borrow_mut().learned(plan, travel);
        let mut silences = Vec::new();
        for (post, kinds) in learned.expected.iter().enumerate() {
            for (kind, cost) in kinds.iter().copied() {
                if let Some((from, to)) = offline(Plan::station_of(post), kind) {
                    silences.push(Silence { post, kind, from, to, saves: cost });
                } else if travel.is_dead(post, kind) {
                    let (from, saves) = (heard(post, kind), (cost - DEAD_COST).max(0.0));
                    silences.push(Silence { post, kind, from, to: u64::MAX, saves });
                }
            }
        }
        prices.borrow_mut().silent(&silences);
        Self {
            plan,
            travel,
            now,
            seen: Vec::new(),
            rivals: Vec::new(),
            groups,
            texts: Vec::new(),
            distances: RefCell::default(),
            numbers: Vec::new(),
            prices,
            to_come: RefCell::default(),
            silences,
            learned,
            traces: None,
        }
    }

    /// Adds the visits of one post, in order of time; `homes` are those of all groups.
    pub fn add(&mut self, post: usize, visits: Visits, homes: &[Home]) {
        let mut before = Before::default();
        let traces = self.traces;
        let mut gone = traces.into_iter().flat_map(|traces| traces.at(post)).map(Trace::span).peekable();
        let first = self.seen.len();
        let looped = visits.all.iter().any(|visit| visit.span.by_presence);
        self.rivals.extend(visits.rivals);
        for visit in visits.all {
            while let Some(span) = gone.next_if(|span| span.from <= visit.span.from) {
                before.pass(&span, looped);
            }
            let members = || visit.members.iter().filter_map(|index| homes.get(*index));
            let mut seen = Seen {
                post,
                span: visit.span,
                lock: members().find_map(|home| home.lock),
                tie: members().find_map(|home| home.tie),
                owner: members().find_map(|home| home.whose),
                alarm: false,
                away: members().find(|home| home.whose.is_some()).is_some_and(|home| home.away),
                members: visit.members.clone(),
                blocked: before.left,
                follows: before.follows.filter(|_| visit.span.by_presence && visit.span.sure.0),
                ahead: before.ahead,
                behind: None,
                reached_before: None,
                left_at_last: None,
                passed_by: traces
                    .and_then(|traces| traces.beyond(post, visit.span.from).map(|trace| trace.post).max()),
                ghost: 0.0,
                kinds: Kinds::default(),
                size: Size::default(),
                weighed: Weighed::default(),
                odds: NOTHING,
                plates: Vec::new(),
                keys: Vec::new(),
                tags: Vec::new(),
            };
            self.tell_all(&mut seen);
            before.pass(&seen.span, looped);
            self.seen.push(seen);
        }
        let mut behind: Option<u64> = None;
        for seen in self.seen.iter_mut().skip(first).rev() {
            seen.behind = behind;
            if seen.span.by_presence {
                behind = Some(seen.span.from);
            }
        }
    }

    /// To be called when all visits are there, before anything is priced.
    pub fn ready(&mut self) {
        self.hear();
        let at = |post: usize| {
            let from = self.seen.partition_point(|seen| seen.post < post);
            let to = self.seen.partition_point(|seen| seen.post <= post);
            self.seen.get(from..to).unwrap_or_default()
        };
        let came = |post: usize, until: u64| {
            let seen = at(post).iter().map(|seen| seen.span.from);
            seen.chain(self.gone(post).map(|trace| trace.from)).filter(|from| *from < until).max()
        };
        let found: Vec<(Option<u64>, Option<u64>)> = self
            .seen
            .iter()
            .map(|seen| {
                let mut beyond = seen.post + 1..self.plan.posts();
                let next = beyond.find(|post| !at(*post).is_empty() || self.gone(*post).next().is_some());
                let left = next
                    .and_then(|next| Some(self.leaves_before(seen.post, next, came(next, seen.span.to)?)));
                (came(seen.post, seen.span.from), left)
            })
            .collect();
        for (seen, (reached_before, left_at_last)) in self.seen.iter_mut().zip(found) {
            (seen.reached_before, seen.left_at_last) = (reached_before, left_at_last);
        }
        let mut prices = self.prices.borrow_mut();
        self.numbers = self.seen.iter().map(|seen| prices.visit(seen, &self.texts)).collect();
        *self.to_come.borrow_mut() = vec![ToCome::default(); self.seen.len()];
    }

    /// The forgotten vehicles that were at a post, in order of time.
    pub fn gone(&self, post: usize) -> impl DoubleEndedIterator<Item = &Trace> {
        self.traces.into_iter().flat_map(move |traces| traces.at(post))
    }

    /// When a vehicle had left a post at the last that came to another one then.
    pub fn leaves_before(&self, post: usize, other: usize, came: u64) -> u64 {
        let metres = (self.plan.post_m(other) - self.plan.post_m(post)).abs();
        // Saturates; positions are finite.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let least = (metres / self.travel.fast_m_s() * 1000.0) as u64;
        came.saturating_sub(least)
    }

    /// Finds what the groups of a visit say together.
    fn tell_all(&mut self, seen: &mut Seen) {
        let groups = self.groups;
        let members = || seen.members.iter().filter_map(|index| groups.get(*index));
        seen.ghost = members().map(scoring::ghost).sum::<f64>().min(scoring::UNKNOWN);
        let told: Vec<&'a Group> = members().collect();
        seen.kinds = Kinds::default();
        seen.size = Size::default();
        seen.weighed = Weighed::default();
        seen.odds = NOTHING;
        seen.alarm = false;
        seen.plates.clear();
        seen.keys.clear();
        for group in told {
            self.tell(seen, group);
        }
    }

    /// Moves a group, that may be of either, from one visit to another of the same post.
    pub fn move_member(&mut self, group: usize, from: usize, to: usize) {
        let (Some(mut old), Some(mut new)) = (self.seen.get(from).cloned(), self.seen.get(to).cloned())
        else {
            return;
        };
        old.members.retain(|member| *member != group);
        new.members.push(group);
        self.tell_all(&mut old);
        self.tell_all(&mut new);
        for (index, seen) in [(from, old), (to, new)] {
            if let Some(slot) = self.numbers.get_mut(index) {
                *slot = self.prices.borrow_mut().visit(&seen, &self.texts);
            }
            if let Some(slot) = self.seen.get_mut(index) {
                *slot = seen;
            }
        }
    }

    fn tell(&mut self, seen: &mut Seen, group: &'a Group) {
        let kind = group.track.kind;
        if group.is_lettering() {
            seen.kinds.0 |= Kinds::LETTERING;
        } else {
            seen.kinds.add(kind);
        }
        seen.size = seen.size.both(Size::of(group, self.travel.fast_m_s()));
        seen.weighed = seen.weighed.both(Weighed::of(group));
        seen.alarm |= group.is_alarm();
        seen.odds = length_class::both(seen.odds, length_class::measured(group));
        match &group.mark {
            Mark::Plate { text, view, .. } if !group.is_lettering() => {
                let text = self.text(text);
                seen.plates.push((*view, text, read_well(group)));
                seen.kinds.0 |= Kinds::end(*view);
            }
            Mark::Key { key, .. } if !group.track.is_radio() => {
                let text = self.text(key);
                seen.keys.push((kind, text));
            }
            _ => {}
        }
    }

    /// All groups of the lane.
    pub fn groups(&self) -> &'a [Group] {
        self.groups
    }

    pub(crate) fn text(&mut self, text: &'a str) -> usize {
        let known = self.texts.iter().position(|known| *known == text);
        known.unwrap_or_else(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }

    /// How far two names are apart, by their numbers.
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        if a == b {
            return 0.0;
        }
        let count = self.texts.len();
        let mut known = self.distances.borrow_mut();
        if known.len() != count * count {
            known.clear();
            known.resize(count * count, f64::NAN);
        }
        let Some(slot) = known.get_mut(a.min(b) * count + a.max(b)) else { return 9.0 };
        if slot.is_nan() {
            let text = |index: usize| self.texts.get(index).copied().unwrap_or("");
            *slot = self.prices.borrow_mut().distance(text(a), text(b));
        }
        *slot
    }

    /// What a course costs by where it has been: as was found out before, if that is so still.
    pub fn remembered(&self, course: &[usize]) -> SoFar {
        let mut visits = [0; LONG];
        let mut more = Vec::new();
        let numbers = course.iter().filter_map(|visit| self.numbers.get(*visit).copied());
        let visits = if let Some(visits) = visits.get_mut(..course.len()) {
            for (slot, number) in visits.iter_mut().zip(numbers) {
                *slot = number;
            }
            &*visits
        } else {
            more.extend(numbers);
            &more
        };
        if let Some(known) = self.prices.borrow().known(visits, self.now) {
            return known;
        }
        let found = self.so_far(course, &mut |_, _| {});
        self.prices.borrow_mut().keep(visits, found);
        found
    }

    /// What it costs that this visit was the last one of its course.
    pub fn last(&self, visit: usize, overtaken: bool) -> f64 {
        let known = self.to_come.borrow().get(visit).copied().unwrap_or_default();
        if let Some(cost) = if overtaken { known.overtaken } else { known.waiting } {
            return cost;
        }
        let cost = self.seen.get(visit).map_or(0.0, |seen| self.to_come(seen.post, &seen.span, overtaken));
        if let Some(known) = self.to_come.borrow_mut().get_mut(visit) {
            *(if overtaken { &mut known.overtaken } else { &mut known.waiting }) = Some(cost);
        }
        cost
    }

    /// A visit by its number.
    pub fn at(&self, visit: usize) -> Option<&Seen> {
        self.seen.get(visit)
    }

    pub fn visits<'s>(&'s self, course: &'s [usize]) -> impl DoubleEndedIterator<Item = &'s Seen> {
        course.iter().filter_map(|visit| self.seen.get(*visit))
    }

    /// The passage that a course cannot be taken from.
    pub fn lock(&self, course: &[usize]) -> Option<u64> {
        self.visits(course).find_map(|seen| seen.lock)
    }

    /// The told passages that visits of a course opened.
    pub fn ties<'s>(&'s self, course: &'s [usize]) -> impl Iterator<Item = u64> + 's {
        self.visits(course).filter_map(|seen| seen.tie)
    }

    /// Whether a course has something that is, or opened, a passage which was told.
    pub fn is_held(&self, course: &[usize]) -> bool {
        self.visits(course).any(Seen::is_held)
    }

    /// For each course, how far any later vehicle has come.
    pub fn reach(&self, courses: &[Vec<usize>]) -> Vec<Option<usize>> {
        let mut reach = vec![None; courses.len()];
        let mut furthest: Option<usize> = None;
        for (course, slot) in courses.iter().zip(&mut reach).rev() {
            *slot = furthest;
            // A single visit may be nobody's.
            let posts = || self.visits(course).map(|seen| seen.post);
            if posts().min() != posts().max() || self.is_held(course) {
                furthest = furthest.max(posts().max());
            }
        }
        reach
    }

    /// Puts a visit among the courses, alone, where it fits the order.
    pub fn insert(&self, courses: &mut Courses, visit: usize) {
        let one = [visit];
        let first_behind = courses.iter().position(|course| self.is_ahead(&one, course) == Some(true));
        let at = first_behind.unwrap_or_else(|| {
            let last_ahead = courses.iter().rposition(|course| self.is_ahead(&one, course) == Some(false));
            last_ahead.map_or_else(
                || courses.iter().take_while(|course| self.start(course) <= self.start(&one)).count(),
                |last| last + 1,
            )
        });
        courses.insert(at.min(courses.len()), vec![visit]);
    }

    /// Whether one part is of a vehicle further ahead than another's, as far as that can be told: who passed a post first, or
    /// was still before it when the other was there, nothing if they were never so near.
    pub fn is_ahead(&self, one: &[usize], other: &[usize]) -> Option<bool> {
        for a in self.visits(one) {
            for b in self.visits(other) {
                let until = |seen: &Seen| if seen.span.open { self.now } else { seen.span.to };
                if a.post == b.post {
                    return Some((a.span.from, a.span.to) < (b.span.from, b.span.to));
                }
                if b.post < a.post && until(b) >= a.span.from {
                    return Some(true);
                }
                if a.post < b.post && until(a) >= b.span.from {
                    return Some(false);
                }
            }
        }
        None
    }

    /// When a part of a course began, as if that had been at the start of the lane, seconds.
    pub fn start(&self, part: &[usize]) -> f64 {
        let Some(seen) = part.first().and_then(|first| self.seen.get(*first)) else { return 0.0 };
        #[allow(clippy::cast_precision_loss)]
        let from = seen.span.from as f64 / 1000.0;
        from - self.plan.post_m(seen.post) / 4.0
    }

    /// Whether somebody behind has been further on.
    pub fn is_overtaken(&self, course: &[usize], reach: Option<usize>) -> bool {
        let last = course.last().and_then(|last| self.seen.get(*last));
        reach.max(last.and_then(|seen| seen.passed_by)) > last.map(|seen| seen.post)
    }
}
