//! One vehicle in a lane, as far as it is not derived from its groups.

use interface::{ReadingKind, Stamp};
use serde::{Deserialize, Serialize};

use crate::group::Group;
use crate::plan::Plan;
use crate::{AbsentReason, Decision, Entry, Missing, PassageId, PassageState, Report, StationId};

/// An open passage, or one whose amendment window is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Passage {
    /// Names it within its lane.
    pub number: u64,
    pub id: PassageId,
    pub state: PassageState,
    pub opened: Stamp,
    /// Number of the group that opened it.
    pub opener: u64,
    /// It was named to the outside, so it cannot vanish any more and keeps what opened it.
    pub told: bool,
    /// Number of the passage whose vehicle this one's has turned out to be, after both were told: of this one only what opened it
    /// remains.
    #[serde(default)]
    pub part_of: Option<u64>,
    /// The opening observation's time, monotonic milliseconds, as the lane placed it.
    pub opened_ms: u64,
    /// When something of it last arrived.
    pub touched_ms: u64,
    pub revision: u32,
    /// Since when there is something that is not published.
    pub dirty_ms: Option<u64>,
    pub sealed_ms: Option<u64>,
    /// Required readings that were missing when it was sealed, or are since.
    pub missing: Vec<(usize, ReadingKind, AbsentReason)>,
    pub decision: Option<Decision>,
    pub decided_ms: Option<u64>,
    /// When it drove off the last station.
    pub left_ms: Option<u64>,
    /// When its state became final.
    pub ended_ms: Option<u64>,
    /// The barrier was opened for it and not closed since.
    pub gate_open: bool,
    /// Released, but another vehicle stands between it and the barrier.
    pub release_waits: bool,
    /// When the barrier was last opened for it.
    pub gate_opened_ms: Option<u64>,
    /// Whether the lane has learned from its times.
    pub learned: bool,
    /// Observations, over all its groups.
    pub entries: usize,
    /// Its vehicle drives against the direction of the lane.
    #[serde(default)]
    pub against: bool,
}

impl Passage {
    pub fn new(
        number: u64,
        id: PassageId,
        state: PassageState,
        opened: Stamp,
        opened_ms: u64,
        now: u64,
    ) -> Self {
        Self {
            number,
            id,
            state,
            opened,
            opener: 0,
            told: false,
            part_of: None,
            opened_ms,
            touched_ms: now,
            revision: 0,
            dirty_ms: Some(now),
            sealed_ms: None,
            missing: Vec::new(),
            decision: None,
            decided_ms: None,
            left_ms: None,
            ended_ms: None,
            gate_open: false,
            release_waits: false,
            gate_opened_ms: None,
            learned: false,
            entries: 0,
            against: false,
        }
    }

    /// Something changed that a published packet should say.
    pub fn touch(&mut self, now: u64) {
        self.dirty_ms.get_or_insert(now);
    }

    /// Puts it in another state.
    pub fn enter(&mut self, state: PassageState, now: u64) {
        if self.state != state {
            self.state = state;
            self.touch(now);
        }
    }

    /// It had not gone after all: it waits for a decision again.
    pub fn resume(&mut self, now: u64) {
        self.ended_ms = None;
        self.enter(PassageState::AwaitingDecision, now);
    }

    /// Puts it in a state it will not leave again, unless it is seen again where it cannot be then.
    pub fn end(&mut self, state: PassageState, now: u64) {
        self.enter(state, now);
        self.ended_ms.get_or_insert(now);
        self.sealed_ms.get_or_insert(now);
    }

    /// Its vehicle has turned out to be that of another passage, which was told as well; or not so, after all.
    pub fn be_part_of(&mut self, whole: Option<u64>, now: u64) {
        if std::mem::replace(&mut self.part_of, whole) == whole {
            return;
        }
        self.touch(now);
        match whole {
            Some(_) if self.ended_ms.is_none() => self.end(PassageState::Abandoned, now),
            None if self.state == PassageState::Abandoned => self.resume(now),
            _ => {}
        }
    }

    /// Whether it is still before its sealing, undecided.
    pub fn is_young(&self) -> bool {
        matches!(self.state, PassageState::Approaching | PassageState::Identified | PassageState::Collecting)
    }

    /// The next revision, made of the groups that are its own.
    pub fn report(&mut self, plan: &Plan, groups: &[Group], published: Stamp) -> Report {
        self.revision = self.revision.saturating_add(1);
        self.dirty_ms = None;
        self.told = true;
        let mut entries: Vec<(u64, Entry)> = Vec::with_capacity(self.entries);
        for group in groups.iter().filter(|group| group.owner == Some(self.number)) {
            let station = StationId(plan.station_name(group.track.station).to_owned());
            entries.extend(group.items.iter().map(|item| {
                let entry = Entry {
                    observation: item.observation.clone(),
                    station: station.clone(),
                    doubtful: group.doubtful,
                    candidates: group.candidates.clone(),
                    why: group.why.clone(),
                    margin: group.margin,
                    alternatives: group.alternatives.clone(),
                };
                (item.order, entry)
            }));
        }
        entries.sort_by_key(|(order, _)| *order);
        let missing = self.missing.iter().map(|(station, kind, reason)| Missing {
            station: StationId(plan.station_name(*station).to_owned()),
            kind: *kind,
            reason: *reason,
        });
        Report {
            passage: self.id.clone(),
            revision: self.revision,
            lane: plan.lane.id.clone(),
            direction: plan.lane.direction,
            state: self.state,
            opened: self.opened.clone(),
            published,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            missing: missing.collect(),
            not_fitted: plan.not_fitted(),
            views_not_fitted: plan.views_not_fitted(),
            decision: self.decision.clone(),
            against: self.against,
        }
    }
}
