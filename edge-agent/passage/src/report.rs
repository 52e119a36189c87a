//! What goes into the engine and what comes out.

use std::fmt;

use interface::{GateAction, Observation, ReadingKind, SensorId, Stamp, View};
use serde::{Deserialize, Serialize};

use crate::{Direction, LaneId, StationId};

/// Names a passage: UUIDv7 (RFC 9562) whose time is the opening observation's and whose random part is a hash of it,
/// so that a replay gives the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PassageId(pub String);

impl fmt::Display for PassageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happened, for [`Engine::step`](crate::Engine::step).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A sensor measured something.
    Observation(Observation),
    /// A sensor was lost or came back: tells whether a missing reading is `offline` or a `timeout`.
    SensorState {
        /// Which sensor.
        sensor: SensorId,
        /// Whether it is offline now.
        offline: bool,
    },
    /// The IISPP or a local rule decided about a passage.
    Decision {
        /// Which passage.
        passage: PassageId,
        /// What was decided.
        decision: Decision,
    },
}

/// What is to be done with a vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The decision itself.
    pub verdict: Verdict,
    /// Who decided: `iispp`, or the name of a local rule.
    pub by: String,
    /// Name of the command that carried it.
    pub command_id: String,
}

/// The three decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let it go: green light, barrier open.
    Release,
    /// Send it to inspection: the barrier stays closed, the light red.
    Inspect,
    /// Keep it where it is.
    Hold,
}

/// State of a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassageState {
    /// Something is there; nobody knows who.
    Approaching,
    /// A plate, tag, container or seal is known.
    Identified,
    /// At least one measuring station has spoken.
    Collecting,
    /// Complete, or its deadlines have passed: published.
    Sealed,
    /// Published and waiting for the decision.
    AwaitingDecision,
    /// Decided: release.
    Released,
    /// Decided: inspect, or an alarm that names several candidates.
    Referred,
    /// Decided: hold.
    Refused,
    /// Released and driving out.
    Departing,
    /// Has left.
    Closed,
    /// Reversed out.
    Abandoned,
    /// Never left; given up after the expiry time.
    Expired,
    /// Taken over by an operator.
    Manual,
    /// Was open when the box lost power.
    Interrupted,
    /// Seen leaving without having been seen entering.
    Unmatched,
}

/// Why a finding is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentReason {
    /// The lane has no sensor for it.
    NotFitted,
    /// The sensor was offline.
    Offline,
    /// The sensor was there and gave nothing in time.
    Timeout,
    /// The sensor saw the vehicle but could not read it.
    Unreadable,
    /// Not for this recipient.
    Withheld,
}

/// A required reading that did not come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Where it was expected.
    pub station: StationId,
    /// What was expected.
    pub kind: ReadingKind,
    /// Why it is not there.
    pub reason: AbsentReason,
}

/// One observation of a passage, and how it came there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The observation.
    pub observation: Observation,
    /// Where its sensor stands.
    pub station: StationId,
    /// Whether another passage was nearly as likely.
    pub doubtful: bool,
    /// The likely passages, this one included, best first; empty unless doubtful.
    pub candidates: Vec<PassageId>,
    /// Why it is here, in a few plain words.
    pub why: String,
    /// How much more the next best place would have cost, nats, to two decimals: the odds against it are e to this power.
    /// `None` if there is no other place, or if it opened the passage.
    pub margin: Option<f64>,
    /// The next best places, best first; at most [`Entry::ALTERNATIVES`].
    pub alternatives: Vec<Alternative>,
}

impl Entry {
    /// Alternatives that are told of one entry.
    pub const ALTERNATIVES: usize = 3;
}

/// Another place where an observation might belong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The passage; `None` for nobody's.
    pub passage: Option<PassageId>,
    /// How much more it would have cost, nats, to two decimals.
    pub cost: f64,
}

/// The state of a passage at one revision: everything a packet is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The passage.
    pub passage: PassageId,
    /// Counts the published states of this passage, from 1.
    pub revision: u32,
    /// The lane.
    pub lane: LaneId,
    /// Its direction.
    pub direction: Direction,
    /// The state.
    pub state: PassageState,
    /// Stamp of the opening observation.
    pub opened: Stamp,
    /// Stamp of this revision.
    pub published: Stamp,
    /// Every observation of the passage, in order of arrival.
    pub entries: Vec<Entry>,
    /// Required readings that did not come. A packet is complete if this is empty.
    pub missing: Vec<Missing>,
    /// Kinds that no sensor of this lane can give.
    pub not_fitted: Vec<ReadingKind>,
    /// Ends of the vehicle that no camera of this lane sees.
    pub views_not_fitted: Vec<View>,
    /// The decision, once there is one.
    pub decision: Option<Decision>,
    /// Its vehicle drives against the direction of the lane.
    #[serde(default)]
    pub against: bool,
}

/// An observation that belongs to no passage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrphanReport {
    /// The observation.
    pub observation: Observation,
    /// The lane it was made in, if its sensor is known.
    pub lane: Option<LaneId>,
    /// Why it fits nobody, in plain words.
    pub why: String,
    /// When it was given up.
    pub published: Stamp,
}

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Publish this state of a passage.
    Publish(Box<Report>),
    /// Publish this observation as an orphan.
    Orphan(Box<OrphanReport>),
    /// Raise an alarm: a radiation alarm, a tampered seal. It comes at once if it is clear whom it concerns, or else within five
    /// seconds, and names every passage it may concern. Comes again for the same observation when another one may be concerned,
    /// and then names all that were named before as well.
    Alarm {
        /// The observation that raised it.
        observation: Box<Observation>,
        /// Where.
        lane: LaneId,
        /// The passages it may concern, most likely first; more than one when the margin is small; never empty silently:
        /// an alarm that fits nobody has none and is published all the same.
        candidates: Vec<PassageId>,
        /// When.
        published: Stamp,
    },
    /// Move the gate of a lane.
    Gate {
        /// Whose gate.
        lane: LaneId,
        /// For which passage.
        passage: PassageId,
        /// What to do.
        action: GateAction,
        /// Name of the command that asked for it, if one did.
        command_id: Option<String>,
    },
    /// A decision that was not carried out: tell whoever sent it.
    DecisionRefused {
        /// The passage it named.
        passage: PassageId,
        /// Name of the command that carried it.
        command_id: String,
        /// Why it was not carried out, in plain words.
        why: String,
    },
}

/// An open passage, for people who watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenPassage {
    /// Its lane.
    pub lane: LaneId,
    /// Its name.
    pub passage: PassageId,
    /// Its state.
    pub state: PassageState,
    /// Stamp of its opening observation.
    pub opened: Stamp,
    /// The station where it was seen last, in driving order.
    pub station: Option<StationId>,
    /// Plates that were read, best first by number of reads.
    pub plates: Vec<String>,
}
