//! Small durable values beside the queue.

use crate::OutboxError;
use crate::store::Outbox;

/// A named set of small values, by key, for what must survive a restart together with the queue. The caller bounds it.
#[derive(Debug)]
pub struct Shelf<'a> {
    pub(crate) outbox: &'a Outbox,
    pub(crate) tree: sled::Tree,
}

impl Shelf<'_> {
    /// The value of `key`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, OutboxError> {
        let value = self.tree.get(key).map_err(|error| self.outbox.storage(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Sets `key`; on the medium when it returns. Keep values under 4 KiB.
    ///
    /// # Errors
    /// Storage errors.
    pub fn put(&self, key: &str, value: &[u8]) -> Result<(), OutboxError> {
        let mut writer = self.outbox.lock();
        writer.unsynced = true;
        self.tree.insert(key, value).map_err(|error| self.outbox.storage(error))?;
        self.outbox.sync(&mut writer)
    }

    /// Removes `key`, lazily: a power cut may bring it back.
    ///
    /// # Errors
    /// Storage errors.
    pub fn remove(&self, key: &str) -> Result<(), OutboxError> {
        self.tree.remove(key).map(|_| ()).map_err(|error| self.outbox.storage(error))
    }

    /// Every key and value, in the order of the keys.
    ///
    /// # Errors
    /// Storage errors.
    pub fn all(&self) -> Result<Vec<(String, Vec<u8>)>, OutboxError> {
        let item = |item: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = item.map_err(|error| self.outbox.storage(error))?;
            Ok((String::from_utf8_lossy(&key).into_owned(), value.to_vec()))
        };
        self.tree.iter().map(item).collect()
    }
}
