//! Decisions, and what they do to the gate.

use interface::{GateAction, Light};

use crate::lane::LaneState;
use crate::plan::Plan;
use crate::sightings::Sightings;
use crate::{Decision, Effect, PassageId, PassageState, Verdict};

/// A vehicle that the barrier was opened for this long ago has driven through, also if the exit loop missed it,
/// milliseconds.
const PASSES_MS: u64 = 30_000;

impl LaneState {
    /// Carries out a decision about a passage of this lane.
    pub fn decide(&mut self, plan: &Plan, passage: &PassageId, decision: Decision, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let index = self.passages.iter().position(|open| open.id == *passage);
        let Some((index, open)) = index.and_then(|index| Some((index, self.passages.get_mut(index)?))) else {
            out.push(refusal(passage, &decision, "the passage is closed"));
            return;
        };
        let why = if open.ended_ms.is_some() {
            Some("the passage is closed")
        } else if open.left_ms.is_some() {
            Some("the vehicle has left the lane")
        } else if open.decision.as_ref().is_some_and(|old| old.command_id == decision.command_id) {
            Some("this command was carried out before")
        } else {
            None
        };
        if let Some(why) = why {
            out.push(refusal(passage, &decision, why));
            return;
        }
        let command = Some(decision.command_id.clone());
        let verdict = decision.verdict;
        open.decided_ms = Some(now);
        open.decision = Some(decision);
        open.touched_ms = now;
        open.touch(now);
        let was_open = std::mem::take(&mut open.gate_open);
        open.release_waits = verdict == Verdict::Release;
        let state = match verdict {
            Verdict::Release => PassageState::Released,
            Verdict::Inspect => PassageState::Referred,
            Verdict::Hold => PassageState::Refused,
        };
        open.enter(state, now);
        let actions: &[GateAction] = match (verdict, was_open) {
            // The barrier is opened by `release_first`, when this vehicle is the one that stands before it.
            (Verdict::Release, _) => return,
            (_, false) => &[GateAction::SetLight { light: Light::Red }],
            (_, true) => &[GateAction::SetLight { light: Light::Red }, GateAction::CloseBarrier],
        };
        self.move_gate(plan, index, actions, command, out);
    }

    /// Opens the barrier for released vehicles that have nobody before them: an open barrier lets the first vehicle out,
    /// whoever it was meant for.
    pub fn release_first(&mut self, plan: &Plan, sightings: &Sightings, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        for index in 0..self.passages.len() {
            let waits = self.passages.get(index).is_some_and(|passage| {
                passage.release_waits && passage.ended_ms.is_none() && passage.left_ms.is_none()
            });
            if !waits || (0..index).any(|other| self.stands_before(plan, other, index, sightings)) {
                continue;
            }
            let Some(passage) = self.passages.get_mut(index) else { continue };
            passage.release_waits = false;
            passage.gate_open = true;
            passage.gate_opened_ms = Some(now);
            let command = passage.decision.as_ref().map(|decision| decision.command_id.clone());
            let actions = [GateAction::SetLight { light: Light::Green }, GateAction::OpenBarrier];
            self.move_gate(plan, index, &actions, command, out);
        }
    }

    /// Whether the vehicle `other`, which came earlier, may still be between `index` and the barrier.
    fn stands_before(&self, plan: &Plan, other: usize, index: usize, sightings: &Sightings) -> bool {
        let Some(earlier) = self.passages.get(other) else { return false };
        let gone = earlier.ended_ms.is_some() || earlier.left_ms.is_some();
        let let_out = earlier.gate_opened_ms.is_some_and(|at| at.saturating_add(PASSES_MS) <= self.clock_ms)
            && earlier.state != PassageState::Referred
            && earlier.state != PassageState::Refused;
        let overtaken = sightings.at(index, plan.last).is_some() && sightings.at(other, plan.last).is_none();
        !gone && !let_out && !overtaken
    }

    /// When a vehicle that waits behind one that was let out is to be looked at again.
    pub fn release_wake(&self) -> Option<u64> {
        if !self.passages.iter().any(|passage| passage.release_waits && passage.ended_ms.is_none()) {
            return None;
        }
        let opened =
            self.passages.iter().filter(|passage| passage.ended_ms.is_none() && passage.left_ms.is_none());
        opened
            .filter_map(|passage| passage.gate_opened_ms)
            .map(|at| at.saturating_add(PASSES_MS))
            .filter(|at| *at > self.clock_ms)
            .min()
    }

    /// Sends a passage to inspection because an alarm may concern it.
    pub fn refer(&mut self, plan: &Plan, index: usize, out: &mut Vec<Effect>) {
        let now = self.clock_ms;
        let Some(passage) = self.passages.get_mut(index) else { return };
        if passage.ended_ms.is_some() {
            return;
        }
        passage.enter(PassageState::Referred, now);
        passage.release_waits = false;
        let was_open = std::mem::take(&mut passage.gate_open);
        let red = GateAction::SetLight { light: Light::Red };
        let actions: &[GateAction] = if was_open { &[red, GateAction::CloseBarrier] } else { &[red] };
        self.move_gate(plan, index, actions, None, out);
    }

    /// Closes the gate behind a vehicle, unless another one has it open.
    pub fn close_gate(&mut self, plan: &Plan, index: usize, out: &mut Vec<Effect>) {
        let was_open =
            self.passages.get_mut(index).is_some_and(|passage| std::mem::take(&mut passage.gate_open));
        if was_open && !self.passages.iter().any(|passage| passage.gate_open) {
            let actions = [GateAction::CloseBarrier, GateAction::SetLight { light: Light::Red }];
            self.move_gate(plan, index, &actions, None, out);
        }
    }

    fn move_gate(
        &self,
        plan: &Plan,
        index: usize,
        actions: &[GateAction],
        command_id: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(passage) = self.passages.get(index) else { return };
        out.extend(actions.iter().map(|action| Effect::Gate {
            lane: plan.lane.id.clone(),
            passage: passage.id.clone(),
            action: *action,
            command_id: command_id.clone(),
        }));
    }
}

/// The effect that tells why a decision was not carried out.
pub(crate) fn refusal(passage: &PassageId, decision: &Decision, why: &str) -> Effect {
    Effect::DecisionRefused {
        passage: passage.clone(),
        command_id: decision.command_id.clone(),
        why: why.to_owned(),
    }
}
