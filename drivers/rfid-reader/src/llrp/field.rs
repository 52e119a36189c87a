//! The types that the fields of messages and parameters have (LLRP 1.0.1, section 16.2).

use std::fmt;

use super::frame::TooLong;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `count` bytes, if there are so many.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }
}

/// A field: reads itself off the front, or nothing.
pub(super) trait Field: Sized {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self>;
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;
}

macro_rules! integers {
    ($($type:ty)*) => { $(impl Field for $type {
        fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
            Some(Self::from_be_bytes(cursor.take(size_of::<Self>())?.try_into().ok()?))
        }
        fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
            out.extend_from_slice(&self.to_be_bytes());
            Ok(())
        }
    })* };
}
integers!(u8 u16 u32 u64 i8 i16);

impl Field for [u8; 12] {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.take(12)?.try_into().ok()
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(self);
        Ok(())
    }
}

/// Writes a 16-bit count.
fn write_count(count: usize, out: &mut Vec<u8>) -> Result<(), TooLong> {
    u16::try_from(count).map_err(|_| TooLong(count))?.write(out)
}

/// A list of 16-bit numbers behind their count.
impl Field for Vec<u16> {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let count = u16::read(cursor)?;
        (0..count).map(|_| u16::read(cursor)).collect()
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        write_count(self.len(), out)?;
        self.iter().try_for_each(|number| number.write(out))
    }
}

/// A text behind its length: UTF-8 by the standard, kept as it came because some readers send other bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.0).trim_end_matches('\0'))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Field for Text {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let length = u16::read(cursor)?;
        Some(Self(cursor.take(usize::from(length))?.to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        write_count(self.0.len(), out)?;
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

/// Bits behind their number, filled up with zeros to whole bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitString {
    /// How many bits count.
    pub bits: u16,
    /// The bits; `bits` divided by 8 and rounded up.
    pub bytes: Vec<u8>,
}

impl Field for BitString {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let bits = u16::read(cursor)?;
        Some(Self { bits, bytes: cursor.take(usize::from(bits.div_ceil(8)))?.to_vec() })
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.bits.write(out)?;
        out.extend_from_slice(&self.bytes);
        Ok(())
    }
}

/// Everything to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToEnd(pub Vec<u8>);

impl Field for ToEnd {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.take(cursor.0.len()).map(|rest| Self(rest.to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}
