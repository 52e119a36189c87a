//! When vehicles that have been forgotten were at the posts of a lane. Who waited behind one still waited for it: what that costs
//! does not change because the one before is long gone.

use serde::{Deserialize, Serialize};

use crate::lane::LaneState;
use crate::plan::Plan;
use crate::scoring::Span;

/// Traces of one post; the oldest gives way. Only the latest ones before the vehicles that are there still say anything.
const KEPT: usize = 3;

/// A forgotten vehicle at one post: from when to when, monotonic milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub post: usize,
    pub from: u64,
    pub to: u64,
    /// By a loop, and whether that told when it came, and when it left.
    pub by_presence: bool,
    pub sure: (bool, bool),
}

impl Trace {
    pub fn span(&self) -> Span {
        let Self { from, to, by_presence, sure, .. } = *self;
        Span { from, to, open: false, by_presence, sure, doubtful: None }
    }
}

/// The traces of a lane, by posts and times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Traces(Vec<Trace>);

impl Traces {
    /// Those of one post, in order of time.
    pub fn at(&self, post: usize) -> impl DoubleEndedIterator<Item = &Trace> {
        self.0.iter().filter(move |trace| trace.post == post)
    }

    fn add(&mut self, trace: Trace) {
        let at = self.0.partition_point(|other| (other.post, other.from) <= (trace.post, trace.from));
        self.0.insert(at, trace);
        if self.at(trace.post).count() > KEPT
            && let Some(oldest) = self.0.iter().position(|other| other.post == trace.post)
        {
            self.0.remove(oldest);
        }
    }

    /// Follows a change of the layout.
    pub fn renumber(&mut self, new: impl Fn(usize) -> usize) {
        for trace in &mut self.0 {
            trace.post = new(trace.post);
        }
    }
}

impl LaneState {
    /// Keeps when a passage that is about to be forgotten was where. Who drove against the direction was in nobody's way, and what
    /// is part of another passage has no vehicle of its own.
    pub fn leave_traces(&mut self, plan: &Plan, index: usize) {
        let Some(passage) = self.passages.get(index) else { return };
        if passage.against || passage.part_of.is_some() {
            return;
        }
        let number = passage.number;
        for post in 0..plan.posts() {
            let Some(span) = self.was_at(plan, number, post) else { continue };
            self.traces.add(Trace {
                post,
                from: span.from,
                to: span.to,
                by_presence: span.by_presence,
                sure: (span.sure.0, span.sure.1 && !span.open),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::looking::Home;
    use crate::scene::Scene;
    use crate::travel::Travel;
    use crate::visits::Visits;
    use interface::Reading;
    use std::cell::RefCell;

    #[test]
    fn to_have_waited_behind_one_who_is_forgotten_costs_no_more_than_before() {
        let plan = Plan::looped(&[0.0, 40.0]);
        let travel = Travel::default();
        // The one before stands on the second loop for five minutes, this one waits behind it.
        let spans = [(0, 0, 3_000), (0, 6_000, 9_000), (1, 10_000, 300_000), (1, 306_000, 310_000)];
        let groups = spans.map(|(station, from, to)| {
            let edges =
                [(from, Reading::Presence { occupied: true }), (to, Reading::Presence { occupied: false })];
            let mut group = Group::sample(&edges);
            group.track.station = station;
            group
        });
        let cost = |there: &[usize], traces: &Traces| {
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 320_000, &groups, &|_, _| None, &|_, _| 0, &prices);
            scene.traces = Some(traces);
            for station in 0..2 {
                let here = |index: &&usize| spans.get(**index).is_some_and(|(at, ..)| *at == station);
                let chosen: Vec<usize> = there.iter().filter(here).copied().collect();
                let visits = Visits::of(&groups, &chosen, 320_000, &|_, _| 0.0);
                scene.add(station * 3, visits, &[Home::default(); 4]);
            }
            scene.ready();
            let own: Vec<usize> = (0..scene.seen.len())
                .filter(|visit| {
                    scene.at(*visit).is_some_and(|seen| matches!(seen.span.from, 6_000 | 306_000))
                })
                .collect();
            scene.cost(&own, false)
        };
        let mut traces = Traces::default();
        let before = cost(&[0, 1, 2, 3], &traces);
        assert!(cost(&[1, 3], &traces) > before + 2.0);
        for (station, from, to) in [(0, 0, 3_000), (1, 10_000, 300_000)] {
            traces.add(Trace { post: station * 3, from, to, by_presence: true, sure: (true, true) });
        }
        let after = cost(&[1, 3], &traces);
        assert!((after - before).abs() < 1e-9, "{before} {after}");
    }

    #[test]
    fn no_more_traces_are_kept_than_matter() {
        let mut traces = Traces::default();
        for at in 0..100 {
            for post in [3, 0] {
                traces.add(Trace { post, from: at, to: at + 1, by_presence: true, sure: (true, true) });
            }
        }
        // One that is forgotten late, though it was there before.
        traces.add(Trace { post: 0, from: 5, to: 6, by_presence: true, sure: (true, true) });
        for post in [0, 3] {
            let from: Vec<u64> = traces.at(post).map(|trace| trace.from).collect();
            assert_eq!(from, [97, 98, 99]);
        }
    }
}
