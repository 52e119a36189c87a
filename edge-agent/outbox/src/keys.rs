//! The keys of the one tree, and the small values behind them. Numbers are big-endian, so that keys sort by number.
//!
//! | key | value |
//! |---|---|
//! | `e` class seq | size, id: an event in the queue |
//! | `x` seq | class, size, id, reason: a dead letter |
//! | `q` seq | class, size, id, reason: an entry that could not be read |
//! | `c` seq chunk | a piece of the record of an event, a dead letter or an unreadable entry |
//! | `i` id | class, seq, place: where an id is |
//! | `d` number | seq, id: a delivered id, in order of delivery |
//! | `m` | the counters |

/// The counters.
pub const META: &[u8] = b"m";

/// Where an event is. Also the first byte of the keys there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    Queue = b'e',
    Dead = b'x',
    Quarantine = b'q',
    Done = b'd',
}

pub fn event(class: u8, seq: u64) -> [u8; 10] {
    let mut key = [b'e'; 10];
    let [_, class_byte, seq_bytes @ ..] = &mut key;
    *class_byte = class;
    *seq_bytes = seq.to_be_bytes();
    key
}

/// The class and seq of an [`event`] key.
pub fn read_event(key: &[u8]) -> Option<(u8, u64)> {
    let [b'e', class, seq @ ..] = key else { return None };
    Some((*class, u64::from_be_bytes(seq.try_into().ok()?)))
}

/// A key of a prefix and one number.
pub fn numbered(prefix: u8, number: u64) -> [u8; 9] {
    let mut key = [prefix; 9];
    let [_, bytes @ ..] = &mut key;
    *bytes = number.to_be_bytes();
    key
}

pub fn read_numbered(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

pub fn chunk(seq: u64, number: u32) -> [u8; 13] {
    let mut key = [b'c'; 13];
    let [_, rest @ ..] = &mut key;
    let (seq_bytes, number_bytes) = rest.split_at_mut(8);
    seq_bytes.copy_from_slice(&seq.to_be_bytes());
    number_bytes.copy_from_slice(&number.to_be_bytes());
    key
}

pub fn id(id: &str) -> Vec<u8> {
    [b"i", id.as_bytes()].concat()
}

/// What stands behind an `e` key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Size of the record, bytes.
    pub size: u32,
    pub id: String,
}

impl Entry {
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.size.to_be_bytes(), self.id.as_bytes()].concat()
    }

    pub fn read(value: &[u8]) -> Option<Self> {
        let (size, id) = value.split_first_chunk::<4>()?;
        Some(Self { size: u32::from_be_bytes(*size), id: std::str::from_utf8(id).ok()?.to_owned() })
    }
}

/// What stands behind an `x` or `q` key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    pub class: u8,
    pub entry: Entry,
    pub reason: String,
}

impl Aside {
    pub fn to_bytes(&self) -> Vec<u8> {
        let id_length = u16::try_from(self.entry.id.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![self.class];
        bytes.extend(self.entry.size.to_be_bytes());
        bytes.extend(id_length.to_be_bytes());
        bytes.extend(self.entry.id.as_bytes());
        bytes.extend(self.reason.as_bytes());
        bytes
    }

    pub fn read(value: &[u8]) -> Option<Self> {
        let (class, rest) = value.split_first()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (id_length, rest) = rest.split_first_chunk::<2>()?;
        let (id, reason) = rest.split_at_checked(usize::from(u16::from_be_bytes(*id_length)))?;
        let entry = Entry { size: u32::from_be_bytes(*size), id: std::str::from_utf8(id).ok()?.to_owned() };
        Some(Self { class: *class, entry, reason: String::from_utf8_lossy(reason).into_owned() })
    }
}

/// What stands behind an `i` key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub class: u8,
    pub seq: u64,
    pub place: Place,
}

impl Known {
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.class];
        bytes.extend(self.seq.to_be_bytes());
        bytes.push(self.place as u8);
        bytes
    }

    pub fn read(value: &[u8]) -> Option<Self> {
        let (class, rest) = value.split_first()?;
        let (seq, place) = rest.split_first_chunk::<8>()?;
        let place = match place {
            b"e" => Place::Queue,
            b"x" => Place::Dead,
            b"q" => Place::Quarantine,
            b"d" => Place::Done,
            _ => return None,
        };
        Some(Self { class: *class, seq: u64::from_be_bytes(*seq), place })
    }
}

/// What stands behind a `d` key.
pub fn done_value(seq: u64, id: &str) -> Vec<u8> {
    [&seq.to_be_bytes(), id.as_bytes()].concat()
}

pub fn read_done(value: &[u8]) -> Option<(u64, &str)> {
    let (seq, id) = value.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*seq), std::str::from_utf8(id).ok()?))
}
