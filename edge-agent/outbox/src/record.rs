//! The bytes of one stored event, and their cutting into chunks.

use crate::store::Stored;

/// Size of a chunk, bytes. See the crate's documentation for why it is small.
pub const CHUNK: usize = 4096;

/// The largest record, bytes: well beyond an MQTT packet (256 MiB is its limit, brokers allow far less).
pub const MAX_RECORD: usize = 64 << 20;

/// How many chunks a record of `size` bytes has.
pub fn chunks(size: u32) -> u32 {
    size.div_ceil(CHUNK as u32)
}

/// crc32 of all that follows; class; seq; lengths of id and header; id; header; payload.
pub fn encode(class: u8, seq: u64, id: &str, header: &str, payload: &[u8]) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(21 + id.len() + header.len() + payload.len());
    bytes.extend([0; 4]);
    bytes.push(class);
    bytes.extend(seq.to_be_bytes());
    bytes.extend(length(id));
    bytes.extend(length(header));
    bytes.extend(id.as_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(payload);
    if let Some((sum, rest)) = bytes.split_first_chunk_mut::<4>() {
        *sum = crc32fast::hash(rest).to_be_bytes();
    }
    bytes
}

/// Reads back what [`encode`] wrote; `Err` says what is wrong.
pub fn decode(bytes: &[u8]) -> Result<Stored, String> {
    let (sum, rest) = bytes.split_first_chunk::<4>().ok_or("shorter than its checksum")?;
    let (expected, found) = (u32::from_be_bytes(*sum), crc32fast::hash(rest));
    if expected != found {
        return Err(format!("checksum {found:08x}, expected {expected:08x}"));
    }
    decode_checked(rest).ok_or_else(|| "lengths do not fit".to_owned())
}

fn decode_checked(rest: &[u8]) -> Option<Stored> {
    let (class, rest) = rest.split_first()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (id_length, rest) = rest.split_first_chunk::<4>()?;
    let (header_length, rest) = rest.split_first_chunk::<4>()?;
    let length = |bytes: &[u8; 4]| usize::try_from(u32::from_be_bytes(*bytes)).ok();
    let (id, rest) = rest.split_at_checked(length(id_length)?)?;
    let (header, payload) = rest.split_at_checked(length(header_length)?)?;
    Some(Stored {
        class: *class,
        seq: u64::from_be_bytes(*seq),
        id: std::str::from_utf8(id).ok()?.to_owned(),
        header: std::str::from_utf8(header).ok()?.to_owned(),
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_reads_back_and_a_changed_byte_is_noticed(
            class: u8, seq: u64, id in ".{1,20}", header in ".{0,20}",
            payload in proptest::collection::vec(any::<u8>(), 0..100), at: prop::sample::Index, flip in 1u8..,
        ) {
            let mut bytes = encode(class, seq, &id, &header, &payload);
            prop_assert_eq!(decode(&bytes), Ok(Stored { class, seq, id, header, payload }));
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
            let _ = decode_checked(&bytes);
            let _ = crate::keys::Entry::read(&bytes);
            let _ = crate::keys::Aside::read(&bytes);
            let _ = crate::keys::Known::read(&bytes);
            let _ = crate::keys::read_done(&bytes);
        }
    }
}
