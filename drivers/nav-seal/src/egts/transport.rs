//! The transport layer of EGTS: from a byte stream to packets, and back (GOST 33472-2015; all integers little-endian).
//!
//! A packet is a header of 11 bytes (16 with routing), its CRC-8, the data, and the data's CRC-16. The stream carries no
//! marks between packets, so a header that cannot be trusted ends the connection; data that cannot be trusted are
//! answered with a result code.

use super::bytes::Fields;
use super::checksum::{crc8, crc16};
use super::record::{self, Record};

/// Result code: accepted.
pub const OK: u8 = 0;
/// Result code: the data are encrypted, and this side has no key.
pub const DECRYPT_ERROR: u8 = 129;
/// Result code: data that do not have the form they should have.
pub const BAD_DATA: u8 = 132;
/// Result code: a packet type that is not supported.
pub const UNKNOWN_TYPE: u8 = 133;
/// Result code: the checksum of the data is wrong.
pub const DATA_CRC: u8 = 138;
/// Result code: this identity may not report here.
pub const ID_NOT_FOUND: u8 = 153;

const VERSION: u8 = 1;
const SHORT_HEADER: u8 = 11;
const ROUTED_HEADER: u8 = 16;
const RESPONSE: u8 = 0;
const APPDATA: u8 = 1;
const SIGNED_APPDATA: u8 = 2;
/// Longest packet: routed header, the most data that FDL can tell, checksum.
const MAX_PACKET: usize = 16 + 65_535 + 2;

/// A whole packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Number of the packet, PID; the sender counts them, from 0 again after 65535.
    pub id: u16,
    /// Priority, 0 (highest) to 3.
    pub priority: u8,
    /// Routing: sender's address PRA, receiver's address RCA, time to live TTL.
    pub route: Option<(u16, u16, u8)>,
    /// What it carries.
    pub body: Body,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The answer to a packet (PT 0).
    Response {
        /// PID of the packet that is answered.
        to: u16,
        /// Result code of that packet.
        result: u8,
        /// What the services say to its records.
        records: Vec<Record>,
    },
    /// Records (PT 1).
    AppData(Vec<Record>),
    /// Records with a signature (PT 2), which is carried but not checked.
    Signed {
        /// The signature.
        signature: Vec<u8>,
        /// The records.
        records: Vec<Record>,
    },
}

/// What the stream held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A packet.
    Packet(Packet),
    /// A packet whose header is right and whose data are not.
    Refused(Refusal),
}

/// Why a packet's data are of no use. `respond` is false for a bad answer, which is never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// PID of the packet.
    pub id: u16,
    /// Result code for the answer.
    pub result: u8,
    /// Whether the packet wants an answer.
    pub respond: bool,
}

/// A header that cannot be trusted, so that nothing after it can be found: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The first byte is not version 1.
    #[error("expected EGTS protocol version 1, found {0}; is this an EGTS sender")]
    Version(u8),
    /// The header length is not one of the two possible ones, or does not fit the routing flag.
    #[error("expected a header of 11 bytes, or of 16 with routing, found {0}")]
    HeaderLength(u8),
    /// The header's checksum is wrong.
    #[error("expected header checksum {expected:#04x}, found {found:#04x}")]
    HeaderCrc {
        /// What the header gives.
        expected: u8,
        /// What the header says.
        found: u8,
    },
}

/// Collects bytes until they are packets. Holds one packet and one read at most, if it is emptied after each
/// [`Splitter::push`].
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
}

impl Splitter {
    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next packet off the front, if it is complete.
    pub fn next_packet(&mut self) -> Result<Option<Incoming>, StreamError> {
        let Some(length) = packet_length(&self.buffer)? else { return Ok(None) };
        if self.buffer.len() < length {
            return Ok(None);
        }
        let rest = self.buffer.split_off(length);
        let packet = std::mem::replace(&mut self.buffer, rest);
        decode(&packet)
    }
}

/// Length of the packet that begins `bytes`; `None` while its header is incomplete.
fn packet_length(bytes: &[u8]) -> Result<Option<usize>, StreamError> {
    let Some(&version) = bytes.first() else { return Ok(None) };
    if version != VERSION {
        return Err(StreamError::Version(version));
    }
    let (Some(&flags), Some(&length)) = (bytes.get(2), bytes.get(3)) else { return Ok(None) };
    let expected = if flags & 0x20 == 0 { SHORT_HEADER } else { ROUTED_HEADER };
    if length != expected {
        return Err(StreamError::HeaderLength(length));
    }
    let length = usize::from(length);
    let Some((header, crc)) = bytes.get(..length).and_then(|header| header.split_at_checked(length - 1))
    else {
        return Ok(None);
    };
    let (expected, found) = (crc8(header), crc.first().copied().unwrap_or_default());
    if expected != found {
        return Err(StreamError::HeaderCrc { expected, found });
    }
    let data = Fields(header.get(5..).unwrap_or_default()).u16().map_or(0, usize::from);
    Ok(Some(length + data + if data == 0 { 0 } else { 2 }))
}

/// Reads one whole packet. `None` for one that is cut short.
fn decode(packet: &[u8]) -> Result<Option<Incoming>, StreamError> {
    if packet_length(packet)? != Some(packet.len()) {
        return Ok(None);
    }
    Ok(parse(packet))
}

fn parse(packet: &[u8]) -> Option<Incoming> {
    let mut fields = Fields(packet);
    let [_version, _key, flags, _length, _encoding] = *fields.take(5)? else { return None };
    let size = usize::from(fields.u16()?);
    let id = fields.u16()?;
    let kind = fields.u8()?;
    let route = match flags & 0x20 {
        0 => None,
        _ => Some((fields.u16()?, fields.u16()?, fields.u8()?)),
    };
    let _header_crc = fields.u8()?;
    let data = fields.take(size)?;
    let refuse = |result| Some(Incoming::Refused(Refusal { id, result, respond: kind != RESPONSE }));
    if size > 0 && fields.u16()? != crc16(data) {
        return refuse(DATA_CRC);
    }
    if flags & 0x18 != 0 {
        return refuse(DECRYPT_ERROR);
    }
    // Compressed data, or a prefix of another version of the header.
    if flags & 0xC4 != 0 {
        return refuse(BAD_DATA);
    }
    let body = match kind {
        RESPONSE => response(data),
        APPDATA => record::decode_all(data).map(Body::AppData),
        SIGNED_APPDATA => signed(data),
        _ => return refuse(UNKNOWN_TYPE),
    };
    match body {
        Some(body) => Some(Incoming::Packet(Packet { id, priority: flags & 3, route, body })),
        None => refuse(BAD_DATA),
    }
}

fn response(data: &[u8]) -> Option<Body> {
    let mut fields = Fields(data);
    let to = fields.u16()?;
    let result = fields.u8()?;
    Some(Body::Response { to, result, records: record::decode_all(fields.0)? })
}

fn signed(data: &[u8]) -> Option<Body> {
    let mut fields = Fields(data);
    let length = fields.u16()?;
    let signature = fields.take(usize::from(length))?.to_vec();
    Some(Body::Signed { signature, records: record::decode_all(fields.0)? })
}

/// The packet has more data than the 65535 bytes that its length field can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected at most 65535 bytes of records in a packet, found {0}; split the records over several packets"
)]
pub struct TooLong(pub usize);

/// The packet as it goes over the wire.
pub fn encode(packet: &Packet) -> Result<Vec<u8>, TooLong> {
    let mut data = Vec::new();
    let (kind, records) = match &packet.body {
        Body::Response { to, result, records } => {
            data.extend(to.to_le_bytes());
            data.push(*result);
            (RESPONSE, records)
        }
        Body::AppData(records) => (APPDATA, records),
        Body::Signed { signature, records } => {
            let length = u16::try_from(signature.len()).map_err(|_| TooLong(signature.len()))?;
            data.extend(length.to_le_bytes());
            data.extend_from_slice(signature);
            (SIGNED_APPDATA, records)
        }
    };
    for record in records {
        record.encode(&mut data)?;
    }
    let size = u16::try_from(data.len()).map_err(|_| TooLong(data.len()))?;
    let routed = packet.route.is_some();
    let mut out = Vec::with_capacity(data.len().saturating_add(18).min(MAX_PACKET));
    out.extend([VERSION, 0]);
    out.push((packet.priority & 3) | if routed { 0x20 } else { 0 });
    out.push(if routed { ROUTED_HEADER } else { SHORT_HEADER });
    out.push(0);
    out.extend(size.to_le_bytes());
    out.extend(packet.id.to_le_bytes());
    out.push(kind);
    if let Some((from, to, ttl)) = packet.route {
        out.extend(from.to_le_bytes());
        out.extend(to.to_le_bytes());
        out.push(ttl);
    }
    out.push(crc8(&out));
    if size > 0 {
        out.extend_from_slice(&data);
        out.extend(crc16(&data).to_le_bytes());
    }
    Ok(out)
}
