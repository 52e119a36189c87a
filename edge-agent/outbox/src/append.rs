//! Putting events into the queue.

use std::collections::HashMap;
use std::fmt;

use sled::Batch;

use crate::OutboxError;
use crate::keys::{self, Entry, Known, Place};
use crate::record::{self, CHUNK, MAX_RECORD};
use crate::store::{Meta, Outbox};

/// The longest id, bytes.
pub(crate) const MAX_ID: usize = 512;

/// A new event.
pub struct New {
    /// Names it; an id that is already known is not stored again.
    pub id: String,
    /// 0 goes first.
    pub class: u8,
    /// Kept beside the payload for the sender, such as a topic.
    pub header: String,
    /// Makes the payload, which may contain the `seq`. Called in order, and only for ids that are not known; called again,
    /// by way of a new `New`, if the batch fails.
    pub build: Box<dyn FnOnce(u64) -> Vec<u8> + Send>,
}

impl New {
    /// An event whose payload does not contain its `seq`.
    pub fn ready(id: impl Into<String>, class: u8, header: impl Into<String>, payload: Vec<u8>) -> Self {
        Self { id: id.into(), class, header: header.into(), build: Box::new(|_| payload) }
    }
}

impl fmt::Debug for New {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("New").field("id", &self.id).field("class", &self.class).finish_non_exhaustive()
    }
}

/// What became of a [`New`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its name.
    pub id: String,
    /// Its place among all events of this box.
    pub seq: u64,
    /// Whether it was stored now; `false`: the id was known, and `seq` is the old one.
    pub fresh: bool,
}

impl Outbox {
    /// Stores the events that are new, all or none, and answers for each in order. When it returns, they are on the medium.
    ///
    /// # Errors
    /// [`OutboxError::Full`]: keep the input and append again after receipts have made room. [`OutboxError::TooLarge`],
    /// [`OutboxError::BadId`]: this event will never fit. Others: append the same again.
    pub fn append_batch(&self, new: Vec<New>) -> Result<Vec<Appended>, OutboxError> {
        let mut writer = self.lock();
        let mut meta = writer.meta.clone();
        let mut batch = Batch::default();
        let mut of_this_batch = HashMap::new();
        let mut appended = Vec::with_capacity(new.len());
        for item in new {
            if item.id.is_empty() || item.id.len() > MAX_ID {
                return Err(OutboxError::BadId { found: item.id.len(), max: MAX_ID });
            }
            let old = match of_this_batch.get(&item.id) {
                Some(seq) => Some(*seq),
                None => self.seq_of(&item.id)?,
            };
            if let Some(seq) = old {
                appended.push(Appended { id: item.id, seq, fresh: false });
                continue;
            }
            let id = item.id.clone();
            let seq = self.stage(&mut meta, &mut batch, item)?;
            of_this_batch.insert(id.clone(), seq);
            appended.push(Appended { id, seq, fresh: true });
        }
        if meta.next_seq > writer.meta.next_seq {
            self.apply(&mut writer, meta, batch)?;
        }
        self.sync(&mut writer)?;
        Ok(appended)
    }

    fn stage(&self, meta: &mut Meta, batch: &mut Batch, item: New) -> Result<u64, OutboxError> {
        let (limits, seq) = (self.limits, meta.next_seq);
        let New { id, class, header, build } = item;
        let record = record::encode(class, seq, &id, &header, &build(seq));
        let bytes = record.len() as u64;
        let max_bytes = limits.max_bytes.min(MAX_RECORD as u64);
        if bytes > max_bytes {
            return Err(OutboxError::TooLarge { id, bytes, max_bytes });
        }
        self.room_for(meta, bytes)?;
        for (number, chunk) in (0u32..).zip(record.chunks(CHUNK)) {
            batch.insert(&keys::chunk(seq, number), chunk);
        }
        batch.insert(keys::id(&id), Known { class, seq, place: Place::Queue }.to_bytes());
        let entry = Entry { size: u32::try_from(bytes).unwrap_or(u32::MAX), id };
        batch.insert(&keys::event(class, seq), entry.to_bytes());
        meta.next_seq += 1;
        meta.events += 1;
        meta.bytes += bytes;
        Ok(seq)
    }

    /// Whether an event of `bytes` fits into the queue as `meta` counts it.
    pub(crate) fn room_for(&self, meta: &Meta, bytes: u64) -> Result<(), OutboxError> {
        let limits = self.limits;
        if meta.events < limits.max_events && meta.bytes.saturating_add(bytes) <= limits.max_bytes {
            return Ok(());
        }
        Err(OutboxError::Full {
            events: meta.events,
            max_events: limits.max_events,
            bytes: meta.bytes,
            max_bytes: limits.max_bytes,
        })
    }
}
