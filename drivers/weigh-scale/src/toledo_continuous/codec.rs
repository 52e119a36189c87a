//! Frames of the Toledo continuous output: bytes in, weights out.
//!
//! `STX SWA SWB SWC weight6 tare6 CR [checksum]`, or without the tare. Sources, which agree: the manuals of METTLER
//! TOLEDO Wildcat and IND445, KERN FTC, and Rice Lake 680.

use std::collections::VecDeque;

const STX: u8 = 0x02;
const CR: u8 = 0x0D;
const WITHOUT_TARE: usize = 11;
const WITH_TARE: usize = 17;

/// Unit of the display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Kilograms.
    Kilogram,
    /// Pounds (avoirdupois).
    Pound,
    /// Grams.
    Gram,
    /// Tonnes.
    Tonne,
    /// Ounces (avoirdupois).
    Ounce,
    /// Troy ounces.
    TroyOunce,
    /// Pennyweights.
    Pennyweight,
    /// Short tons.
    ShortTon,
    /// A unit of the indicator's own.
    Other,
}

impl Unit {
    /// One unit in nanograms. The international pound is 0.45359237 kg exactly (1959); an ounce is a sixteenth and a
    /// short ton two thousand of it; a troy ounce is 31.1034768 g and a pennyweight a twentieth of that.
    fn nanograms(self) -> Option<i128> {
        Some(match self {
            Self::Gram => 1_000_000_000,
            Self::Kilogram => 1_000_000_000_000,
            Self::Tonne => 1_000_000_000_000_000,
            Self::Pound => 453_592_370_000,
            Self::Ounce => 28_349_523_125,
            Self::ShortTon => 907_184_740_000_000,
            Self::TroyOunce => 31_103_476_800,
            Self::Pennyweight => 1_555_173_840,
            Self::Other => return None,
        })
    }
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Displayed digits, gross or net, with their sign; `None` while they are not six digits (out of range).
    pub weight: Option<i32>,
    /// Tare digits; `None` in the short form, or while they are not digits.
    pub tare: Option<u32>,
    /// Whether the frame is of the short form, without tare.
    pub short: bool,
    /// Power of ten of the last digit, 2 to -5.
    pub exponent: i8,
    /// Whether `weight` is net.
    pub net: bool,
    /// Over the range or under zero: the digits are not valid.
    pub out_of_range: bool,
    /// Whether the load moves.
    pub motion: bool,
    /// Whether the scale was zeroed after power-up.
    pub zeroed: bool,
    /// Unit of weight and tare.
    pub unit: Unit,
    /// The display is expanded ten times (service mode).
    pub expanded: bool,
}

/// Why a frame gives no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWeight {
    /// Over or under range.
    #[error("out of range: the load is above the scale's range or below zero, no weight is given")]
    OutOfRange,
    /// Net without tare.
    #[error(
        "the indicator shows a net weight and does not send the tare, so that the gross weight is not known: clear the tare, or choose the long form of the output"
    )]
    NetWithoutTare,
    /// Expanded display.
    #[error("the indicator's display is expanded ten times: leave its service mode")]
    Expanded,
    /// Unknown unit.
    #[error("the indicator shows a unit of its own: set it to kg, t or lb")]
    Unit,
}

impl Frame {
    /// Gross weight in grams, rounded to the nearest. Gross is net plus tare.
    pub fn gross_grams(&self) -> Result<i64, NoWeight> {
        if self.out_of_range {
            return Err(NoWeight::OutOfRange);
        }
        if self.expanded {
            return Err(NoWeight::Expanded);
        }
        let weight = i128::from(self.weight.ok_or(NoWeight::OutOfRange)?);
        let tare = match (self.net, self.tare) {
            (true, Some(tare)) => i128::from(tare),
            (true, None) => return Err(NoWeight::NetWithoutTare),
            (false, _) => 0,
        };
        let nanograms = (weight + tare) * self.unit.nanograms().ok_or(NoWeight::Unit)?;
        let power = 10i128.pow(self.exponent.unsigned_abs().into());
        let nanograms = if self.exponent < 0 { nanograms / power } else { nanograms * power };
        let grams = (nanograms + 500_000_000 * nanograms.signum()) / 1_000_000_000;
        i64::try_from(grams).map_err(|_| NoWeight::OutOfRange)
    }

    /// The frame as an indicator sends it.
    pub fn encode(&self, checksum: bool) -> Vec<u8> {
        let (kg, unit) = match self.unit {
            Unit::Pound => (0, 0),
            Unit::Kilogram => (0x10, 0),
            Unit::Gram => (0x10, 1),
            Unit::Tonne => (0x10, 2),
            Unit::Ounce => (0, 3),
            Unit::TroyOunce => (0, 4),
            Unit::Pennyweight => (0, 5),
            Unit::ShortTon => (0, 6),
            Unit::Other => (0, 7),
        };
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let decimal = u8::try_from(2 - self.exponent.clamp(-5, 2)).unwrap_or_default();
        let mut bytes = vec![
            STX,
            0x28 | decimal,
            0x20 | kg
                | bit(self.net, 0x01)
                | bit(self.weight.is_some_and(|weight| weight < 0), 0x02)
                | bit(self.out_of_range, 0x04)
                | bit(self.motion, 0x08)
                | bit(!self.zeroed, 0x40),
            0x20 | unit | bit(self.expanded, 0x10),
        ];
        match self.weight {
            Some(weight) => bytes.extend(format!("{:06}", weight.unsigned_abs()).bytes().take(6)),
            None => bytes.extend(b"      "),
        }
        match self.tare {
            _ if self.short => {}
            Some(tare) => bytes.extend(format!("{tare:06}").bytes().take(6)),
            None => bytes.extend(b"      "),
        }
        bytes.push(CR);
        if checksum {
            bytes.push(checksum_of(&bytes));
        }
        bytes
    }
}

/// Two's complement of the low seven bits of the sum.
fn checksum_of(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg() & 0x7F
}

/// What is known of the checksum behind the CR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Checksum {
    /// Not known yet.
    #[default]
    Unknown,
    /// The indicator sends one.
    Present,
    /// The indicator sends none.
    Absent,
}

/// Cuts the byte stream into frames, whether or not they carry a checksum, and finds the next frame after garbage.
/// Holds at most one frame beside what was just pushed.
#[derive(Debug, Default)]
pub struct Splitter {
    bytes: VecDeque<u8>,
    checksum: Checksum,
    required: bool,
    behind_frame: bool,
    rejected: u64,
}

impl Splitter {
    /// `required`: frames without a right checksum are rejected. Otherwise a checksum is checked where there is one.
    pub fn new(required: bool) -> Self {
        let checksum = if required { Checksum::Present } else { Checksum::Unknown };
        Self { required, checksum, ..Self::default() }
    }

    /// Adds bytes as they came. Bit 7 is dropped: with 7 data bits it is the parity bit.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes.iter().map(|byte| byte & 0x7F));
    }

    /// Frames that began well and were rejected.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Whether frames carry a checksum; `None` while that is not known.
    pub fn checksum(&self) -> Option<bool> {
        match self.checksum {
            Checksum::Unknown => None,
            Checksum::Present => Some(true),
            Checksum::Absent => Some(false),
        }
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let first = *self.bytes.front()?;
            if std::mem::take(&mut self.behind_frame) && first != STX {
                // No checksum so far, and yet a byte behind the CR.
                self.checksum = Checksum::Unknown;
            }
            if first != STX {
                self.bytes.pop_front();
                continue;
            }
            let (length, frame) = match self.candidate() {
                Candidate::Incomplete => return None,
                Candidate::Garbage => {
                    self.reject();
                    continue;
                }
                Candidate::Frame(length, frame) => (length, frame),
            };
            if self.checksum == Checksum::Absent {
                self.bytes.drain(..length);
                self.behind_frame = true;
                return Some(frame);
            }
            let behind = *self.bytes.get(length)?;
            let right = behind == self.sum_of(length);
            if right && (behind != STX || self.checksum == Checksum::Present) {
                self.checksum = Checksum::Present;
                self.bytes.drain(..=length);
                return Some(frame);
            }
            // A checksum that is itself an STX may as well be the next frame: left in place, it is skipped if not.
            if behind == STX && self.checksum == Checksum::Unknown {
                if !right {
                    self.checksum = Checksum::Absent;
                }
                self.bytes.drain(..length);
                return Some(frame);
            }
            if !self.required {
                self.checksum = Checksum::Unknown;
            }
            self.reject();
        }
    }

    fn reject(&mut self) {
        self.bytes.pop_front();
        self.rejected += 1;
    }

    fn sum_of(&self, length: usize) -> u8 {
        let bytes: Vec<u8> = self.bytes.iter().copied().take(length).collect();
        checksum_of(&bytes)
    }

    /// Reads the frame that begins at the first byte, an STX.
    fn candidate(&self) -> Candidate {
        let at = |n: usize| self.bytes.get(n).copied();
        let status = |n: usize, mask: u8| at(n).map(|byte| byte & mask == 0x20);
        for (n, mask) in [(1, 0x60), (2, 0x20), (3, 0x20)] {
            match status(n, mask) {
                None => return Candidate::Incomplete,
                Some(false) => return Candidate::Garbage,
                Some(true) => {}
            }
        }
        let length = match (at(WITHOUT_TARE - 1), at(WITH_TARE - 1)) {
            (None, _) => return Candidate::Incomplete,
            (Some(CR), _) => WITHOUT_TARE,
            (_, None) => return Candidate::Incomplete,
            (_, Some(CR)) => WITH_TARE,
            _ => return Candidate::Garbage,
        };
        let bytes: Vec<u8> = self.bytes.iter().copied().take(length).collect();
        let [_, a, b, c, rest @ .., _] = bytes.as_slice() else { return Candidate::Garbage };
        let (weight, tare) = rest.split_at_checked(6).unwrap_or((rest, &[]));
        let short = length == WITHOUT_TARE;
        let out_of_range = b & 0x04 != 0;
        let (weight, tare) = (digits(weight), digits(tare));
        if weight.is_none() && !out_of_range {
            return Candidate::Garbage;
        }
        let unit = match (c & 0x07, b & 0x10) {
            (0, 0) => Unit::Pound,
            (0, _) => Unit::Kilogram,
            (1, _) => Unit::Gram,
            (2, _) => Unit::Tonne,
            (3, _) => Unit::Ounce,
            (4, _) => Unit::TroyOunce,
            (5, _) => Unit::Pennyweight,
            (6, _) => Unit::ShortTon,
            _ => Unit::Other,
        };
        let negative = b & 0x02 != 0;
        let weight = weight.and_then(|weight| i32::try_from(weight).ok());
        let frame = Frame {
            weight: if negative { weight.map(|weight| -weight) } else { weight },
            tare,
            short,
            exponent: 2 - i8::try_from(a & 0x07).unwrap_or_default(),
            net: b & 0x01 != 0,
            out_of_range,
            motion: b & 0x08 != 0,
            zeroed: b & 0x40 == 0,
            unit,
            expanded: c & 0x10 != 0,
        };
        Candidate::Frame(length, frame)
    }
}

enum Candidate {
    Incomplete,
    Garbage,
    Frame(usize, Frame),
}

/// Six digits, the leading ones possibly blank; `None` for anything else, all blank included.
fn digits(text: &[u8]) -> Option<u32> {
    let start = text.iter().position(|byte| *byte != b' ')?;
    text.get(start..)?.iter().try_fold(0u32, |value, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
