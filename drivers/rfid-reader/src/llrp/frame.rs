//! From a byte stream to LLRP messages that are whole (LLRP 1.0.1, section 16.1; every number big-endian).

/// Bytes of the header: version and type, length, message id.
pub const HEADER_BYTES: usize = 10;

/// Longest message that is accepted, bytes. The longest known ones are reports held back while nobody was
/// connected, a few hundred kilobytes; a length beyond this means that the stream is out of step.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// One message as it is on the wire; [`super::message::Message`] says what `body` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// 1 is LLRP 1.0.1, 2 is 1.1, 3 is 2.0.
    pub version: u8,
    /// Message type, 10 bits.
    pub kind: u16,
    /// Message id: an answer carries that of its request.
    pub id: u32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// The stream is not LLRP, or out of step; nothing that follows can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Reserved bits set, or a version that does not exist.
    #[error("{0:#06x} does not begin an LLRP message: expected three zero bits and version 1, 2 or 3")]
    Header(u16),
    /// Too short to be a message, or too long to be believed.
    #[error("a message of {0} bytes was announced, expected {HEADER_BYTES} to {MAX_MESSAGE_BYTES}")]
    Length(u32),
}

/// Something does not fit the 16- or 32-bit length field in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes or elements do not fit the length field in front of them")]
pub struct TooLong(pub usize);

impl Frame {
    /// The bytes to send.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let length = HEADER_BYTES + self.body.len();
        if length > MAX_MESSAGE_BYTES {
            return Err(TooLong(length));
        }
        let mut bytes = Vec::with_capacity(length);
        let first = u16::from(self.version & 0x7) << 10 | self.kind & 0x3ff;
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(length).map_err(|_| TooLong(length))?.to_be_bytes());
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }
}

/// Collects what the socket gives and hands out whole messages. Holds one unfinished message and what was pushed
/// since the last [`FrameBuffer::pop`].
#[derive(Debug, Default)]
pub struct FrameBuffer(Vec<u8>);

impl FrameBuffer {
    /// Takes in received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one. After an error the stream is lost.
    pub fn pop(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((header, _)) = self.0.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [v0, v1, l0, l1, l2, l3, i0, i1, i2, i3] = *header;
        let first = u16::from_be_bytes([v0, v1]);
        let version = (first >> 10) as u8;
        if !(1..=3).contains(&version) {
            return Err(FrameError::Header(first));
        }
        let announced = u32::from_be_bytes([l0, l1, l2, l3]);
        let length = usize::try_from(announced).map_err(|_| FrameError::Length(announced))?;
        if !(HEADER_BYTES..=MAX_MESSAGE_BYTES).contains(&length) {
            return Err(FrameError::Length(announced));
        }
        let Some(body) = self.0.get(HEADER_BYTES..length) else { return Ok(None) };
        let id = u32::from_be_bytes([i0, i1, i2, i3]);
        let frame = Frame { version, kind: first & 0x3ff, id, body: body.to_vec() };
        self.0.drain(..length);
        Ok(Some(frame))
    }
}
