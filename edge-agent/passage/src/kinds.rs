//! What kinds of readings were given at one time.

use interface::{ReadingKind, View};

/// A set of kinds of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(pub u32);

impl Kinds {
    /// What devices tell when a vehicle has passed.
    pub const RESULTS: u32 = Self::bit(ReadingKind::Radiation)
        | Self::bit(ReadingKind::Dimensions)
        | Self::bit(ReadingKind::Undercarriage);
    /// A camera has read something on a vehicle that is no plate: the maker's name, a sign.
    pub const LETTERING: u32 = 1 << 29;
    /// What a station makes once per vehicle.
    pub const SINGLE: u32 = Self::RESULTS;

    const fn bit(kind: ReadingKind) -> u32 {
        1 << (kind as u32)
    }

    /// A plate of this end.
    pub const fn end(view: View) -> u32 {
        match view {
            View::Front => 1 << 30,
            View::Rear => 1 << 31,
        }
    }

    pub fn add(&mut self, kind: ReadingKind) {
        self.0 |= Self::bit(kind);
    }

    /// Whether only a loop has told.
    pub fn is_presence_alone(self) -> bool {
        self.0 == Self::bit(ReadingKind::Presence)
    }

    pub fn has(self, kind: ReadingKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }
}
