//! How events leave the queue: delivered, or refused.

use sled::Batch;

use crate::OutboxError;
use crate::keys::{self, Aside, Entry, Known, Place};
use crate::store::{Meta, Outbox, Stored, Unreadable};

/// The longest reason kept with a dead letter, bytes.
const MAX_REASON: usize = 1024;

/// How many events one batch removes at most.
const REMOVE_AT_ONCE: usize = 1_000;

/// An event that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The event.
    pub event: Stored,
    /// Why it was refused.
    pub reason: String,
}

impl Outbox {
    /// Takes delivered events out of the queue (or out of the dead letters) and remembers their ids. Ids that are not there
    /// are passed over. Answers how many were.
    ///
    /// # Errors
    /// Storage errors; some may have been removed.
    pub fn remove<S: AsRef<str>>(&self, ids: &[S]) -> Result<u64, OutboxError> {
        let mut removed = 0;
        for some in ids.chunks(REMOVE_AT_ONCE) {
            let mut writer = self.lock();
            let mut meta = writer.meta.clone();
            let mut batch = Batch::default();
            let before = removed;
            let mut seen = std::collections::HashSet::new();
            for id in some.iter().map(AsRef::as_ref).filter(|id| seen.insert(*id)) {
                if let Some(known) = self.known(id)?
                    && self.deliver(&mut meta, &mut batch, id, known)?
                {
                    removed += 1;
                }
            }
            if removed > before {
                self.forget(&mut meta, &mut batch)?;
                self.apply(&mut writer, meta, batch)?;
            }
        }
        Ok(removed)
    }

    /// Takes every queued event up to and including `seq` out of the queue. Dead letters stay. Answers how many there were.
    ///
    /// # Errors
    /// [`OutboxError::NotIssued`] if no event had that `seq` yet; storage errors, and then some may have been removed.
    pub fn remove_upto(&self, seq: u64) -> Result<u64, OutboxError> {
        let next_seq = self.next_seq();
        if seq >= next_seq {
            return Err(OutboxError::NotIssued { seq, next_seq });
        }
        let mut removed = 0;
        for class in self.classes()? {
            loop {
                let mut ids = Vec::new();
                let range = keys::event(class, 0)..=keys::event(class, seq);
                for item in self.tree.range(range).take(REMOVE_AT_ONCE) {
                    let (_, value) = item.map_err(|error| self.storage(error))?;
                    ids.extend(Entry::read(&value).map(|entry| entry.id));
                }
                let now = self.remove(&ids)?;
                removed += now;
                if now == 0 {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Moves a queued event to the dead letters. Answers whether it was queued.
    ///
    /// # Errors
    /// Storage errors.
    pub fn reject(&self, id: &str, reason: &str) -> Result<bool, OutboxError> {
        let mut writer = self.lock();
        let Some(Known { class, seq, place: Place::Queue }) = self.known(id)? else { return Ok(false) };
        let key = keys::event(class, seq);
        let value = self.tree.get(key).map_err(|error| self.storage(error))?;
        let Some(entry) = value.and_then(|value| Entry::read(&value)) else { return Ok(false) };
        let mut meta = writer.meta.clone();
        let mut batch = Batch::default();
        let size = u64::from(entry.size);
        batch.remove(&key);
        batch.insert(keys::id(id), Known { class, seq, place: Place::Dead }.to_bytes());
        let aside = Aside { class, entry, reason: shortened(reason).to_owned() };
        batch.insert(&keys::numbered(b'x', seq), aside.to_bytes());
        meta.events = meta.events.saturating_sub(1);
        meta.bytes = meta.bytes.saturating_sub(size);
        meta.dead += 1;
        meta.dead_bytes += size;
        tracing::error!(seq, id, reason, "event refused; moved to the dead letters");
        self.apply(&mut writer, meta, batch)?;
        self.drop_dead(&mut writer)?;
        Ok(true)
    }

    /// Puts a dead letter back into the queue, with its old `seq`. Answers whether it was there.
    ///
    /// # Errors
    /// [`OutboxError::Full`]; storage errors.
    pub fn retry(&self, id: &str) -> Result<bool, OutboxError> {
        let mut writer = self.lock();
        let Some(Known { class, seq, place: Place::Dead }) = self.known(id)? else { return Ok(false) };
        let key = keys::numbered(b'x', seq);
        let value = self.tree.get(key).map_err(|error| self.storage(error))?;
        let Some(aside) = value.and_then(|value| Aside::read(&value)) else { return Ok(false) };
        let mut meta = writer.meta.clone();
        let size = u64::from(aside.entry.size);
        self.room_for(&meta, size)?;
        let mut batch = Batch::default();
        batch.remove(&key);
        batch.insert(keys::id(id), Known { class, seq, place: Place::Queue }.to_bytes());
        batch.insert(&keys::event(class, seq), aside.entry.to_bytes());
        meta.events += 1;
        meta.bytes += size;
        meta.dead = meta.dead.saturating_sub(1);
        meta.dead_bytes = meta.dead_bytes.saturating_sub(size);
        self.apply(&mut writer, meta, batch)?;
        Ok(true)
    }

    /// Up to `limit` dead letters whose `seq` is above `after`, in order. One that cannot be read is logged and passed over.
    ///
    /// # Errors
    /// Storage errors.
    pub fn dead_letters(&self, after: u64, limit: usize) -> Result<Vec<Dead>, OutboxError> {
        let mut found = Vec::new();
        for item in
            self.tree.range(keys::numbered(b'x', after.saturating_add(1))..=keys::numbered(b'x', u64::MAX))
        {
            if found.len() >= limit {
                break;
            }
            let (key, value) = item.map_err(|error| self.storage(error))?;
            let (Some(seq), Some(aside)) = (keys::read_numbered(&key), Aside::read(&value)) else { continue };
            match self.read(aside.class, seq, Some(aside.entry)) {
                Ok(event) => found.push(Dead { event, reason: aside.reason }),
                Err(Unreadable::Storage(error)) => return Err(error),
                Err(Unreadable::Entry(reason)) => tracing::error!(seq, reason, "dead letter cannot be read"),
            }
        }
        Ok(found)
    }

    /// Stages the move of one event to the delivered ones.
    fn deliver(
        &self,
        meta: &mut Meta,
        batch: &mut Batch,
        id: &str,
        known: Known,
    ) -> Result<bool, OutboxError> {
        let Known { class, seq, place } = known;
        let get = |key: &[u8]| self.tree.get(key).map_err(|error| self.storage(error));
        let size = match place {
            Place::Done => return Ok(false),
            Place::Queue => {
                let key = keys::event(class, seq);
                let Some(entry) = get(&key)?.and_then(|value| Entry::read(&value)) else { return Ok(false) };
                batch.remove(&key);
                meta.events = meta.events.saturating_sub(1);
                meta.bytes = meta.bytes.saturating_sub(u64::from(entry.size));
                entry.size
            }
            Place::Dead | Place::Quarantine => {
                let key = keys::numbered(place as u8, seq);
                let Some(aside) = get(&key)?.and_then(|value| Aside::read(&value)) else { return Ok(false) };
                batch.remove(&key);
                if place == Place::Dead {
                    meta.dead = meta.dead.saturating_sub(1);
                    meta.dead_bytes = meta.dead_bytes.saturating_sub(u64::from(aside.entry.size));
                } else {
                    meta.quarantined = meta.quarantined.saturating_sub(1);
                }
                aside.entry.size
            }
        };
        self.remove_chunks(batch, seq, size);
        self.remember(meta, batch, class, seq, id);
        Ok(true)
    }

    fn remember(&self, meta: &mut Meta, batch: &mut Batch, class: u8, seq: u64, id: &str) {
        batch.insert(keys::id(id), Known { class, seq, place: Place::Done }.to_bytes());
        batch.insert(&keys::numbered(b'd', meta.done_next), keys::done_value(seq, id));
        meta.done_next += 1;
    }

    /// Stages the forgetting of the oldest delivered ids. Those of this very batch are not yet in the store; they are
    /// forgotten by a later one.
    fn forget(&self, meta: &mut Meta, batch: &mut Batch) -> Result<(), OutboxError> {
        while meta.done_next - meta.done_first > self.limits.ids_remembered {
            let key = keys::numbered(b'd', meta.done_first);
            let Some(value) = self.tree.get(key).map_err(|error| self.storage(error))? else { break };
            if let Some((_, id)) = keys::read_done(&value) {
                batch.remove(keys::id(id));
            }
            batch.remove(&key);
            meta.done_first += 1;
            meta.forgotten += 1;
        }
        Ok(())
    }

    /// Drops the oldest dead letters until they are within their bounds.
    fn drop_dead(&self, writer: &mut crate::store::Writer) -> Result<(), OutboxError> {
        while writer.meta.dead > self.limits.max_dead || writer.meta.dead_bytes > self.limits.max_dead_bytes {
            let first =
                self.tree.scan_prefix(b"x").next().transpose().map_err(|error| self.storage(error))?;
            let Some((key, value)) = first else { break };
            let (Some(seq), Some(aside)) = (keys::read_numbered(&key), Aside::read(&value)) else { break };
            tracing::error!(
                seq,
                id = aside.entry.id,
                reason = aside.reason,
                "too many dead letters; oldest dropped"
            );
            let mut meta = writer.meta.clone();
            let mut batch = Batch::default();
            batch.remove(key);
            meta.dead = meta.dead.saturating_sub(1);
            meta.dead_bytes = meta.dead_bytes.saturating_sub(u64::from(aside.entry.size));
            self.remove_chunks(&mut batch, seq, aside.entry.size);
            self.remember(&mut meta, &mut batch, aside.class, seq, &aside.entry.id);
            self.forget(&mut meta, &mut batch)?;
            self.apply(writer, meta, batch)?;
        }
        Ok(())
    }
}

fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}
