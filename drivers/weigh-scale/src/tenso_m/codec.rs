//! Frames of the Tenso-M protocol: bytes in, replies out.
//!
//! `FF address operation data… [crc] FF FF`; an FF between address and the end is sent as `FF FE`. Source of the frame,
//! of the codes and of the CRC: the open TensoMLib (its frames, crc8 and bcd units and their tests) and an independent
//! Python reader, which agree.

use std::collections::VecDeque;

/// Largest frame between its marks, bytes; the longest reply used here has 7.
pub const MAX_BODY: usize = 64;

/// Highest address of an indicator (lowest: 1).
pub const MAX_ADDRESS: u8 = 0x9F;

const MARK: u8 = 0xFF;
const STUFFING: u8 = 0xFE;

/// What an indicator can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gross weight.
    Gross,
    /// Net weight.
    Net,
    /// Fixed gross weight.
    FixedGross,
    /// The indicator's serial number.
    Serial,
}

impl Operation {
    /// Its code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Gross => 0xC3,
            Self::Net => 0xC2,
            Self::FixedGross => 0xB8,
            Self::Serial => 0xA1,
        }
    }
}

const ERROR: u8 = 0xEE;
const UNSUPPORTED: u8 = 0xFD;

/// What an indicator answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A weight in the indicator's own unit.
    Weight {
        /// What was asked: gross, net or fixed gross.
        operation: Operation,
        /// Digits and flags.
        weight: Weight,
    },
    /// Serial number.
    Serial(u32),
    /// The indicator refuses; see [`error_words`].
    Error(u8),
    /// The indicator does not know the operation.
    Unsupported,
}

/// A displayed weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// The digits with their sign, without the decimal point; `None` on overload.
    pub digits: Option<i32>,
    /// Digits behind the decimal point, 0 to 7.
    pub decimals: u8,
    /// Whether it is stable.
    pub stable: bool,
}

/// A frame that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who sent it.
    pub address: u8,
    /// What it says.
    pub reply: Reply,
    /// Whether it carried a CRC.
    pub crc: bool,
}

/// Why a frame is not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too short to be a frame.
    #[error("a frame of {0} bytes, expected at least an address and an operation")]
    Short(usize),
    /// Wrong length for its operation; a request that comes back as an echo ends here.
    #[error("operation {operation:02X} with {found} data bytes, expected {expected}, or one more with a CRC")]
    Length {
        /// The operation.
        operation: u8,
        /// Data bytes it should have.
        expected: usize,
        /// Data bytes it has.
        found: usize,
    },
    /// The CRC is wrong.
    #[error("wrong CRC {found:02X}, expected {expected:02X}: check wiring and termination")]
    Crc {
        /// What came.
        found: u8,
        /// What it should be.
        expected: u8,
    },
    /// A digit above nine.
    #[error("a weight digit above nine: check wiring and speed")]
    Digit,
    /// An operation that was never asked for.
    #[error("unexpected operation {0:02X}")]
    Operation(u8),
}

/// CRC-8 of the protocol: polynomial 69 hex, initial value 0, not reflected, over address to data.
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |crc, &byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x69 })
    })
}

/// An error reply in plain words.
pub fn error_words(code: u8) -> String {
    let words = match code {
        0x01 | 0x02 => "general error of the indicator",
        0x03 => "zeroing refused: the load is outside the zeroing range",
        0x04 => "the function is locked in the indicator's menu",
        0x05 => "the indicator calls the length of the request wrong",
        0x06 => "the indicator calls the CRC of the request wrong",
        0x20 | 0x21 => "calibration error: the indicator must be calibrated",
        _ => "an error that the protocol does not name",
    };
    format!("error {code:02X}: {words}")
}

/// A request.
pub fn encode_request(address: u8, operation: Operation, crc: bool) -> Vec<u8> {
    frame(address, operation.code(), &[], crc)
}

/// A reply, as an indicator sends it.
pub fn encode_reply(address: u8, reply: &Reply, crc: bool) -> Vec<u8> {
    match reply {
        Reply::Weight { operation, weight } => {
            let digits = weight.digits.unwrap_or(999_999);
            let mut rest = digits.unsigned_abs();
            let mut data = [0u8; 4];
            for byte in data.iter_mut().take(3) {
                let pair = u8::try_from(rest % 100).unwrap_or_default();
                *byte = (pair / 10) << 4 | (pair % 10);
                rest /= 100;
            }
            data[3] = (weight.decimals & 7)
                | if weight.digits.is_none() { 0x08 } else { 0 }
                | if weight.stable { 0x10 } else { 0 }
                | if digits < 0 { 0x80 } else { 0 };
            frame(address, operation.code(), &data, crc)
        }
        Reply::Serial(serial) => {
            let [_, a, b, c] = serial.to_be_bytes();
            frame(address, Operation::Serial.code(), &[a, b, c], crc)
        }
        Reply::Error(code) => frame(address, ERROR, &[*code], crc),
        Reply::Unsupported => frame(address, UNSUPPORTED, &[], crc),
    }
}

fn frame(address: u8, operation: u8, data: &[u8], crc: bool) -> Vec<u8> {
    let mut body = vec![address, operation];
    body.extend_from_slice(data);
    if crc {
        body.push(crc8(&body));
    }
    let mut bytes = vec![MARK];
    for byte in body {
        bytes.push(byte);
        if byte == MARK {
            bytes.push(STUFFING);
        }
    }
    bytes.extend([MARK, MARK]);
    bytes
}

/// Reads a reply from a frame's body (address to data or CRC, unstuffed). Whether it carries a CRC follows from its
/// length.
pub fn decode_reply(body: &[u8]) -> Result<Frame, FrameError> {
    let [address, operation, data @ ..] = body else { return Err(FrameError::Short(body.len())) };
    let expected = match *operation {
        0xC3 | 0xC2 | 0xB8 => 4,
        0xA1 => 3,
        ERROR => 1,
        UNSUPPORTED => 0,
        other => return Err(FrameError::Operation(other)),
    };
    let (data, crc) = match data.split_last() {
        Some((crc, data)) if data.len() == expected => (data, Some(*crc)),
        _ if data.len() == expected => (data, None),
        _ => {
            return Err(FrameError::Length { operation: *operation, expected, found: data.len() });
        }
    };
    if let Some(found) = crc {
        let expected = crc8(body.get(..body.len() - 1).unwrap_or_default());
        if found != expected {
            return Err(FrameError::Crc { found, expected });
        }
    }
    let reply = match (*operation, data) {
        (UNSUPPORTED, _) => Reply::Unsupported,
        (ERROR, [code]) => Reply::Error(*code),
        (0xA1, &[a, b, c]) => Reply::Serial(u32::from_be_bytes([0, a, b, c])),
        (code, &[w0, w1, w2, flags]) => {
            let operation = match code {
                0xC3 => Operation::Gross,
                0xC2 => Operation::Net,
                _ => Operation::FixedGross,
            };
            Reply::Weight { operation, weight: weight([w2, w1, w0], flags)? }
        }
        (other, _) => return Err(FrameError::Operation(other)),
    };
    Ok(Frame { address: *address, reply, crc: crc.is_some() })
}

/// Packed BCD, most significant byte first here; flags: bit 7 minus, 4 stable, 3 overload, 2 to 0 decimals.
fn weight(bcd: [u8; 3], flags: u8) -> Result<Weight, FrameError> {
    let (decimals, stable) = (flags & 0x07, flags & 0x10 != 0);
    // Some indicators blank the digits on overload: the flag counts, not what they show.
    if flags & 0x08 != 0 {
        return Ok(Weight { digits: None, decimals, stable });
    }
    let mut digits = 0i32;
    for nibble in bcd.into_iter().flat_map(|byte| [byte >> 4, byte & 0x0F]) {
        if nibble > 9 {
            return Err(FrameError::Digit);
        }
        digits = digits * 10 + i32::from(nibble);
    }
    let digits = if flags & 0x80 != 0 { -digits } else { digits };
    Ok(Weight { digits: Some(digits), decimals, stable })
}

/// Cuts the byte stream into frame bodies and takes the stuffing out. Holds at most [`MAX_BODY`] bytes of a frame
/// beside what was just pushed.
#[derive(Debug, Default)]
pub struct Splitter {
    state: State,
    body: Vec<u8>,
    ready: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No mark seen yet.
    #[default]
    Hunting,
    /// After a mark: the next byte that is neither mark nor stuffing is an address.
    Marked,
    /// Inside a frame.
    Inside,
    /// After an FF inside a frame.
    InsideMarked,
}

impl Splitter {
    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.take(byte);
        }
    }

    /// The next whole body: address to data or CRC.
    pub fn next_body(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    fn take(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Hunting, MARK) => State::Marked,
            (State::Hunting, _) => State::Hunting,
            (State::Marked, MARK | STUFFING) => State::Marked,
            (State::Marked, _) => self.begin(byte),
            (State::Inside, MARK) => State::InsideMarked,
            (State::Inside, _) => self.grow(byte),
            (State::InsideMarked, STUFFING) => self.grow(MARK),
            (State::InsideMarked, MARK) => {
                self.ready.push_back(std::mem::take(&mut self.body));
                State::Marked
            }
            // FF and then anything else: the frame was cut off, and the FF began a new one.
            (State::InsideMarked, _) => self.begin(byte),
        };
    }

    fn begin(&mut self, byte: u8) -> State {
        self.body.clear();
        self.body.push(byte);
        State::Inside
    }

    fn grow(&mut self, byte: u8) -> State {
        if self.body.len() == MAX_BODY {
            self.body.clear();
            return State::Hunting;
        }
        self.body.push(byte);
        State::Inside
    }
}
