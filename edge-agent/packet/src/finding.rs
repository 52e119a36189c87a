//! A field of the packet: measured, disputed, or absent and why.

use interface::{ObservationId, UtcMs};
use passage::AbsentReason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::AbsentReasonWord;

/// A field of the packet. Missing is never zero: what was not measured is absent, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding<T> {
    /// There is one value, and its sources agree.
    Measured {
        /// The value.
        value: T,
        /// The observations it was made from, in order of arrival.
        sources: Vec<ObservationId>,
        /// When the last of them reached the box.
        at: UtcMs,
    },
    /// Sources disagree and none outweighs the others.
    Disputed {
        /// What they say, most likely first; at least two.
        candidates: Vec<Candidate<T>>,
    },
    /// There is no value.
    Absent {
        /// Why.
        #[schemars(with = "AbsentReasonWord")]
        reason: AbsentReason,
    },
}

/// One of several values that are possible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate<T> {
    /// The value.
    pub value: T,
    /// The observations that say so, in order of arrival.
    pub sources: Vec<ObservationId>,
    /// When the last of them reached the box.
    pub at: UtcMs,
}

impl<T> Finding<T> {
    /// The value, if there is exactly one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Measured { value, .. } => Some(value),
            Self::Disputed { .. } | Self::Absent { .. } => None,
        }
    }

    /// None of several values is absent, one is measured, more are disputed.
    pub(crate) fn from_candidates(mut candidates: Vec<Candidate<T>>, absent: AbsentReason) -> Self {
        if candidates.len() > 1 {
            return Self::Disputed { candidates };
        }
        match candidates.pop() {
            Some(Candidate { value, sources, at }) => Self::Measured { value, sources, at },
            None => Self::Absent { reason: absent },
        }
    }
}
