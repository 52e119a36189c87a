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
    /// The passage that it was.
    #[serde(default)]
    pub number: u64,
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

    /// Where forgotten vehicles were further on that came to a post after one that was there from `from` on.
    pub fn beyond(&self, post: usize, from: u64) -> impl Iterator<Item = &Trace> {
        let behind = self.at(post).filter(move |trace| trace.from > from && trace.number != 0);
        behind.flat_map(move |trace| {
            self.0.iter().filter(move |other| other.number == trace.number && other.post > post)
        })
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
                number,
                sure: (span.sure.0, span.sure.1 && !span.open),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::passage::Passage;
    use crate::{PassageId, PassageState};
    use interface::{BootId, Stamp};
    use std::cell::RefCell;

    /// One vehicle stands on the second loop of a lane for five minutes, another one waits behind it.
    fn waiting() -> (Plan, LaneState) {
        let mut lane = LaneState { clock_ms: 320_000, ..LaneState::default() };
        for (number, first, second) in
            [(1, (0, 3_000), (10_000, 300_000)), (2, (6_000, 9_000), (306_000, 310_000))]
        {
            for (station, (from, to)) in [(0, first), (1, second)] {
                let mut group = Group::over(station, from, to);
                group.owner = Some(number);
                lane.groups.push(group);
            }
            let id = PassageId(number.to_string());
            let state = PassageState::Collecting;
            lane.passages.push(Passage::new(number, id, state, Stamp::default(), first.0, lane.clock_ms));
        }
        (Plan::looped(&[0.0, 40.0]), lane)
    }

    #[test]
    fn to_have_waited_behind_one_who_is_forgotten_costs_no_more_than_before() {
        let (plan, mut lane) = waiting();
        let cost = |lane: &LaneState| {
            let prices = RefCell::default();
            let scene = lane.scene(&plan, Some(0), &prices).unwrap();
            let own = |visit: &usize| scene.at(*visit).is_some_and(|seen| seen.owner == Some(2));
            scene.cost(&(0..scene.seen.len()).filter(own).collect::<Vec<_>>(), false)
        };
        let before = cost(&lane);
        lane.forget(&plan, 0, &mut Vec::new());
        assert_eq!(lane.passages.len(), 1);
        let after = cost(&lane);
        assert!((after - before).abs() < 1e-9, "{before} {after}");
        lane.traces = Traces::default();
        assert!(cost(&lane) > before + 2.0);
    }

    #[test]
    fn whom_a_forgotten_vehicle_has_overtaken_is_known_to_have_been_left_behind() {
        // The second one is at the end of the lane and forgotten; the first one was seen at the start only.
        let (plan, mut lane) = waiting();
        lane.groups.retain(|group| group.owner == Some(2) || group.track.station == 0);
        let overtaken = |lane: &LaneState| {
            let prices = RefCell::default();
            let scene = lane.scene(&plan, Some(0), &prices).unwrap();
            let first = scene.seen.iter().position(|seen| seen.owner == Some(1)).unwrap();
            scene.is_overtaken(&[first], None)
        };
        assert!(!overtaken(&lane));
        lane.forget(&plan, 1, &mut Vec::new());
        assert!(overtaken(&lane));
        // Who was there before it has overtaken nobody.
        let (plan, mut lane) = waiting();
        lane.groups.retain(|group| group.owner == Some(1) || group.track.station == 0);
        lane.forget(&plan, 0, &mut Vec::new());
        let prices = RefCell::default();
        let scene = lane.scene(&plan, Some(0), &prices).unwrap();
        assert!(!scene.is_overtaken(&[0], None));
    }

    #[test]
    fn who_drove_against_the_direction_leaves_no_trace_and_nobody_does_from_boot_to_boot() {
        let (plan, mut lane) = waiting();
        if let Some(first) = lane.passages.first_mut() {
            first.against = true;
        }
        lane.forget(&plan, 0, &mut Vec::new());
        assert_eq!(lane.traces, Traces::default());
        lane.forget(&plan, 0, &mut Vec::new());
        assert_ne!(lane.traces, Traces::default());
        // The monotonic clock begins anew: times of before say nothing any more.
        lane.anchor = Some(Stamp::default());
        let boot = Stamp { boot: BootId("next".into()), ..Stamp::default() };
        lane.notice_boot(&plan, &boot, &mut Vec::new());
        assert_eq!(lane.traces, Traces::default());
    }

    #[test]
    fn no_more_traces_are_kept_than_matter() {
        let mut traces = Traces::default();
        for at in 0..100 {
            for post in [3, 0] {
                traces.add(Trace {
                    post,
                    from: at,
                    to: at + 1,
                    by_presence: true,
                    sure: (true, true),
                    number: 0,
                });
            }
        }
        // One that is forgotten late, though it was there before.
        traces.add(Trace { post: 0, from: 5, to: 6, by_presence: true, sure: (true, true), number: 0 });
        for post in [0, 3] {
            let from: Vec<u64> = traces.at(post).map(|trace| trace.from).collect();
            assert_eq!(from, [97, 98, 99]);
        }
    }
}
