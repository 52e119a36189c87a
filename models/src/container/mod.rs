//! Container codes (ISO 6346): found by the text finder, read on one line, on several, or down a column, and decoded
//! under the grammar with its check digit.

pub mod code;
mod column;
mod consensus;
pub mod decode;
pub mod lines;
mod places;
mod reader;
mod vote;

use crate::{Corners, ModelError, StageMilliseconds};
use serde::Serialize;

pub use consensus::{ContainerConsensus, ContainerConsensusOptions, ContainerResult};
pub use lines::Arrangement;
pub use reader::ContainerReader;

/// How container codes are read. All bounds are per picture.
#[derive(Clone, Debug)]
pub struct ContainerOptions {
    /// Threads of one inference, 1 to 64.
    pub threads: usize,
    /// Long sides, in pixels, at which the text finder looks at the whole picture, 320 to 2560 each, 1 to 4 of them. The
    /// next one is used only where the one before found text and left something unread.
    pub sides: Vec<u32>,
    /// Most close-ups that the text finder takes of what may be part of a code, 0 to 32.
    pub close_ups: usize,
    /// Most crops that are read, 1 to 200.
    pub max_reads: usize,
    /// Read the numbers of railway wagons (8 or 12 digits) too.
    pub wagons: bool,
}

impl Default for ContainerOptions {
    fn default() -> Self {
        Self { threads: 2, sides: vec![960, 1600], close_ups: 6, max_reads: 64, wagons: false }
    }
}

impl ContainerOptions {
    fn check(&self) -> Result<(), ModelError> {
        let fault = |option, reason: String| Err(ModelError::Option { option, reason });
        if !(1..=64).contains(&self.threads) {
            return fault("threads", format!("expected 1 to 64, got {}", self.threads));
        }
        if !(1..=4).contains(&self.sides.len()) || !self.sides.iter().all(|s| (320..=2560).contains(s)) {
            return fault("sides", format!("expected 1 to 4 numbers of 320 to 2560, got {:?}", self.sides));
        }
        if self.close_ups > 32 {
            return fault("close_ups", format!("expected 0 to 32, got {}", self.close_ups));
        }
        if !(1..=200).contains(&self.max_reads) {
            return fault("max_reads", format!("expected 1 to 200, got {}", self.max_reads));
        }
        Ok(())
    }
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberKind {
    /// Container code, ISO 6346.
    Container,
    /// Railway wagon.
    Wagon,
}

/// Where the check digit of a result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckDigit {
    /// It was read together with the serial number, and fits.
    Read,
    /// It stood apart, was read by itself and joined, and fits.
    Joined,
    /// It was not seen: it is computed from the other ten signs, which nothing confirms. Never certain.
    Recomputed,
    /// What was read does not fit: one sign of the code, which is given as read, is wrong. Never certain.
    Contradicted,
}

/// Another reading of the same code.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContainerCandidate {
    /// The code.
    pub code: String,
    /// Chance that this is the code, 0 to 1; the candidates of a code sum to at most 1.
    pub probability: f64,
}

/// One container code in one picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContainerRead {
    /// Around all parts of the code.
    pub corners: Corners,
    /// Container or wagon.
    pub kind: NumberKind,
    /// The code: 11 signs for a container, 8 or 12 digits for a wagon.
    pub code: String,
    /// Size and type code beside it, such as `22G1` ([`code::size_type`] tells what it means).
    pub type_code: Option<String>,
    /// Where its check digit comes from.
    pub check_digit: CheckDigit,
    /// Chance that `code` is right, 0 to 1, calibrated (see the README of the crate).
    pub probability: f64,
    /// Distance to the best other code, and to an implausible read: the least of both, in nats.
    pub margin: f64,
    /// Safe to act on without a second look.
    pub certain: bool,
    /// The readings that were considered, best first; the first is `code`.
    pub candidates: Vec<ContainerCandidate>,
    /// How the parts of the code stand.
    pub arrangement: Arrangement,
    /// Time spent on the whole picture.
    pub milliseconds: StageMilliseconds,
}
