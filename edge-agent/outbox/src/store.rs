//! Opening, reading, and the counters.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sled::Batch;

use crate::keys::{self, Aside, Entry, Known, Place};
use crate::record;
use crate::{OutboxError, Shelf};

/// How far `<path>.seq` is kept ahead of the `seq` in use, so that it is rewritten rarely.
const SEQ_RESERVE: u64 = 1_000;

/// Most entries kept in quarantine.
pub(crate) const MAX_QUARANTINED: u64 = 1_000;

/// sled's page cache, bytes.
const CACHE: u64 = 16 << 20;

/// How often and how long to wait for the lock: a process that is ending, or sled's threads after a drop, hold it a little
/// longer.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How much the outbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most events in the queue.
    pub max_events: u64,
    /// Most bytes in the queue. The files take up to about twice as much.
    pub max_bytes: u64,
    /// How many delivered ids are remembered, newest first, to recognise repeats.
    pub ids_remembered: u64,
    /// Most dead letters; when exceeded the oldest is dropped.
    pub max_dead: u64,
    /// Most bytes of dead letters; when exceeded the oldest is dropped.
    pub max_dead_bytes: u64,
}

impl Default for Limits {
    /// A million events or 4 GiB: about a month of a busy checkpoint without its uplink.
    fn default() -> Self {
        Self {
            max_events: 1_000_000,
            max_bytes: 4 << 30,
            ids_remembered: 200_000,
            max_dead: 1_000,
            max_dead_bytes: 64 << 20,
        }
    }
}

/// An event in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its place among all events of this box.
    pub seq: u64,
    /// Its class; 0 goes first.
    pub class: u8,
    /// Its name; unique.
    pub id: String,
    /// What the appender wrote beside it, for the sender.
    pub header: String,
    /// Its bytes.
    #[serde(skip)]
    pub payload: Vec<u8>,
}

/// The counters, written with every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub format: u32,
    pub first_seq: u64,
    pub next_seq: u64,
    pub events: u64,
    pub bytes: u64,
    pub dead: u64,
    pub dead_bytes: u64,
    pub quarantined: u64,
    /// The delivered ids that are remembered have the numbers `done_first..done_next`.
    pub done_first: u64,
    pub done_next: u64,
    pub forgotten: u64,
    /// Events that were acknowledged and then lost, because the file was damaged.
    #[serde(default)]
    pub lost: u64,
}

impl Meta {
    fn new(first_seq: u64) -> Self {
        Self {
            format: 1,
            first_seq,
            next_seq: first_seq,
            events: 0,
            bytes: 0,
            dead: 0,
            dead_bytes: 0,
            quarantined: 0,
            done_first: 0,
            done_next: 0,
            forgotten: 0,
            lost: 0,
        }
    }
}

/// What only one caller at a time may change.
pub(crate) struct Writer {
    pub meta: Meta,
    /// Something was applied that is not yet known to be on the medium.
    pub unsynced: bool,
    /// Every `seq` below this is covered by `<path>.seq`.
    reserved: u64,
}

/// A durable bounded queue. See the crate's documentation for what it promises.
pub struct Outbox {
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) db: sled::Db,
    pub(crate) tree: sled::Tree,
    file: File,
    /// Holds `durable` for the next process, so that it notices when sled has cut off a damaged log.
    mark: File,
    writer: Mutex<Writer>,
    /// Events with a `seq` below this are durable and may be seen.
    durable: AtomicU64,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("path", &self.path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens the store in the folder `path`, or makes it. Only one process can have it open.
    ///
    /// # Errors
    /// [`OutboxError::InUse`], [`OutboxError::Damaged`] (see [`Outbox::set_aside`]), or what the file system says.
    pub fn open(path: impl Into<PathBuf>, limits: Limits) -> Result<Self, OutboxError> {
        let path = path.into();
        let damaged = |detail: String| OutboxError::Damaged { path: path.clone(), detail };
        let existed = path.join("db").exists();
        let db = open_when_free(&path)?;
        let file = File::open(path.join("db"))
            .map_err(OutboxError::io(format!("open {}", path.join("db").display())))?;
        let storage = |error: sled::Error| on_sled_error(&path, error);
        let tree = db.open_tree("outbox").map_err(storage)?;
        let reserved = read_reserved(&seq_path(&path))?;
        let meta = match tree.get(keys::META).map_err(storage)? {
            Some(value) => serde_json::from_slice(&value)
                .map_err(|error| damaged(format!("its counters cannot be read: {error}")))?,
            None if tree.is_empty() && !(existed && reserved.is_some()) => Meta::new(reserved.unwrap_or(1)),
            None => return Err(damaged("its counters are missing, though it was used before".to_owned())),
        };
        if meta.format != 1 {
            return Err(damaged(format!("expected format 1, found {}", meta.format)));
        }
        let durable = AtomicU64::new(meta.next_seq);
        let mark = open_mark(&path)?;
        let marked = read_mark(&mark).unwrap_or(0);
        let writer = Mutex::new(Writer { meta, unsynced: true, reserved: reserved.unwrap_or(0) });
        let outbox = Self { limits, db, tree, file, mark, writer, durable, path };
        let mut writer = outbox.lock();
        if !existed {
            let meta = serde_json::to_vec(&writer.meta);
            let meta = meta.map_err(|error| OutboxError::io("write the counters")(error.into()))?;
            outbox.tree.insert(keys::META, meta).map_err(|error| outbox.storage(error))?;
        }
        if marked > writer.meta.next_seq {
            outbox.skip_lost(&mut writer, marked)?;
        }
        // What the last process applied without living to sync it is visible from now on: make it durable first.
        outbox.sync(&mut writer)?;
        drop(writer);
        sync_folder(&outbox.path)?;
        sync_folder(parent(&outbox.path))?;
        Ok(outbox)
    }

    /// Renames a damaged store to `<path>.damaged-<n>`, so that [`Outbox::open`] makes a new one. Its `seq` continues
    /// above every one that the old store has given out; the gap at the receiver is the true sign of the loss.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_aside(path: &Path) -> Result<PathBuf, OutboxError> {
        for number in 1u32.. {
            let mut name = OsString::from(path);
            name.push(format!(".damaged-{number}"));
            let aside = PathBuf::from(name);
            if aside.exists() {
                continue;
            }
            fs::rename(path, &aside).map_err(OutboxError::io(format!(
                "rename {} to {}",
                path.display(),
                aside.display()
            )))?;
            sync_folder(parent(path))?;
            tracing::error!(path = %path.display(), aside = %aside.display(), "damaged outbox set aside");
            return Ok(aside);
        }
        Err(OutboxError::io("find a free name for a damaged outbox")(io::ErrorKind::AlreadyExists.into()))
    }

    /// The `seq` that the next new event will get.
    pub fn next_seq(&self) -> u64 {
        self.lock().meta.next_seq
    }

    /// How many events are queued.
    pub fn len(&self) -> u64 {
        self.lock().meta.events
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are queued.
    pub fn bytes(&self) -> u64 {
        self.lock().meta.bytes
    }

    /// How many dead letters there are.
    pub fn dead_len(&self) -> u64 {
        self.lock().meta.dead
    }

    /// How many entries could not be read and are in quarantine.
    pub fn quarantined(&self) -> u64 {
        self.lock().meta.quarantined
    }

    /// How many acknowledged events were lost because the file was damaged.
    pub fn lost(&self) -> u64 {
        self.lock().meta.lost
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The lowest `seq` in the queue, if there is one.
    ///
    /// # Errors
    /// Storage errors.
    pub fn oldest(&self) -> Result<Option<u64>, OutboxError> {
        Ok(self.heads()?.into_iter().map(|(_, seq)| seq).min())
    }

    /// The classes that have events in the queue, ascending.
    ///
    /// # Errors
    /// Storage errors.
    pub fn classes(&self) -> Result<Vec<u8>, OutboxError> {
        Ok(self.heads()?.into_iter().map(|(class, _)| class).collect())
    }

    /// The first event of each class that has one, as class and `seq`, in the order of the classes.
    ///
    /// # Errors
    /// Storage errors.
    pub fn heads(&self) -> Result<Vec<(u8, u64)>, OutboxError> {
        let mut heads = Vec::new();
        let mut from = Some(0u8);
        while let Some(class) = from {
            let next = self.tree.range(keys::event(class, 0)..keys::event(u8::MAX, u64::MAX)).keys().next();
            let key = next.transpose().map_err(|error| self.storage(error))?;
            from = None;
            if let Some((class, seq)) = key.and_then(|key| keys::read_event(&key)) {
                heads.push((class, seq));
                from = class.checked_add(1);
            }
        }
        Ok(heads)
    }

    /// Up to `limit` events of `class` whose `seq` is above `after`, in order. An entry that cannot be read is put in
    /// quarantine and passed over. To read all there is, go on after the last one; nothing else is held in memory.
    ///
    /// # Errors
    /// Storage errors.
    pub fn pending_in(&self, class: u8, after: u64, limit: usize) -> Result<Vec<Stored>, OutboxError> {
        let mut found = Vec::new();
        let from = Bound::Excluded(keys::event(class, after));
        let to = Bound::Excluded(keys::event(class, self.durable.load(Ordering::Acquire)));
        if after >= self.durable.load(Ordering::Acquire) {
            return Ok(found);
        }
        for item in self.tree.range((from, to)) {
            if found.len() >= limit {
                break;
            }
            let (key, value) = item.map_err(|error| self.storage(error))?;
            let Some((class, seq)) = keys::read_event(&key) else { continue };
            match self.read(class, seq, Entry::read(&value)) {
                Ok(stored) => found.push(stored),
                Err(Unreadable::Storage(error)) => return Err(error),
                Err(Unreadable::Entry(reason)) => self.quarantine(class, seq, &reason)?,
            }
        }
        Ok(found)
    }

    /// Up to `limit` events in the order class, then `seq`, that come after `after` (class, seq) in that order.
    ///
    /// # Errors
    /// Storage errors.
    pub fn pending(&self, after: Option<(u8, u64)>, limit: usize) -> Result<Vec<Stored>, OutboxError> {
        let mut found = Vec::new();
        let (from_class, after_seq) = after.unwrap_or((0, 0));
        for class in self.classes()?.into_iter().filter(|class| *class >= from_class) {
            let after = if class == from_class { after_seq } else { 0 };
            found.extend(self.pending_in(class, after, limit.saturating_sub(found.len()))?);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// The `seq` of `id`, if it is queued, dead or remembered as delivered.
    ///
    /// # Errors
    /// Storage errors.
    pub fn seq_of(&self, id: &str) -> Result<Option<u64>, OutboxError> {
        Ok(self.known(id)?.map(|known| known.seq))
    }

    /// A place for small durable values that live and die with this store.
    ///
    /// # Errors
    /// Storage errors.
    pub fn shelf(&self, name: &str) -> Result<Shelf<'_>, OutboxError> {
        let tree = self.db.open_tree(format!("shelf-{name}")).map_err(|error| self.storage(error))?;
        Ok(Shelf { outbox: self, tree })
    }

    pub(crate) fn known(&self, id: &str) -> Result<Option<Known>, OutboxError> {
        let value = self.tree.get(keys::id(id)).map_err(|error| self.storage(error))?;
        Ok(value.and_then(|value| Known::read(&value)))
    }

    /// Reads the record of an entry.
    pub(crate) fn read(&self, class: u8, seq: u64, entry: Option<Entry>) -> Result<Stored, Unreadable> {
        let entry = entry.ok_or_else(|| Unreadable::Entry("its index entry is malformed".to_owned()))?;
        let mut bytes = Vec::with_capacity(entry.size as usize);
        for number in 0..record::chunks(entry.size) {
            let chunk = self.tree.get(keys::chunk(seq, number));
            match chunk.map_err(|error| Unreadable::Storage(self.storage(error)))? {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => return Err(Unreadable::Entry(format!("its chunk {number} is missing"))),
            }
        }
        let stored = record::decode(&bytes).map_err(Unreadable::Entry)?;
        if (stored.class, stored.seq, &stored.id) != (class, seq, &entry.id) {
            return Err(Unreadable::Entry(format!("it holds another event, {}", stored.id)));
        }
        Ok(stored)
    }

    /// Moves an unreadable entry out of the queue.
    fn quarantine(&self, class: u8, seq: u64, reason: &str) -> Result<(), OutboxError> {
        let mut writer = self.lock();
        let value = self.tree.get(keys::event(class, seq)).map_err(|error| self.storage(error))?;
        // Removed meanwhile, by a receipt.
        let Some(value) = value else { return Ok(()) };
        let mut meta = writer.meta.clone();
        let mut batch = Batch::default();
        batch.remove(&keys::event(class, seq));
        meta.events = meta.events.saturating_sub(1);
        let entry = Entry::read(&value).unwrap_or(Entry { size: 0, id: String::new() });
        meta.bytes = meta.bytes.saturating_sub(u64::from(entry.size));
        tracing::error!(seq, id = entry.id, reason, "event cannot be read; put in quarantine");
        if meta.quarantined < MAX_QUARANTINED {
            meta.quarantined += 1;
            if !entry.id.is_empty() {
                let known = Known { class, seq, place: Place::Quarantine };
                batch.insert(keys::id(&entry.id), known.to_bytes());
            }
            let aside = Aside { class, entry, reason: reason.to_owned() };
            batch.insert(&keys::numbered(b'q', seq), aside.to_bytes());
        } else {
            meta.forgotten += 1;
            self.remove_chunks(&mut batch, seq, entry.size);
        }
        self.apply(&mut writer, meta, batch)
    }

    pub(crate) fn remove_chunks(&self, batch: &mut Batch, seq: u64, size: u32) {
        for number in 0..record::chunks(size) {
            batch.remove(&keys::chunk(seq, number));
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Writer> {
        // The counters are replaced whole, after the store took the change; a panic leaves nothing half done.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies one change as a whole and flushes it: it survives the end of this process.
    pub(crate) fn apply(&self, writer: &mut Writer, meta: Meta, mut batch: Batch) -> Result<(), OutboxError> {
        self.reserve(writer, meta.next_seq)?;
        let value =
            serde_json::to_vec(&meta).map_err(|error| OutboxError::io("write the counters")(error.into()))?;
        batch.insert(keys::META, value);
        writer.unsynced = true;
        self.tree.apply_batch(batch).map_err(|error| self.storage(error))?;
        writer.meta = meta;
        self.db.flush().map_err(|error| self.storage(error))?;
        Ok(())
    }

    /// Puts everything applied so far on the medium: it survives a power cut. Only then may it be seen.
    pub(crate) fn sync(&self, writer: &mut Writer) -> Result<(), OutboxError> {
        if writer.unsynced {
            self.db.flush().map_err(|error| self.storage(error))?;
            self.file.sync_data().map_err(OutboxError::io("sync the outbox to the disk"))?;
            writer.unsynced = false;
            // Not synced itself: after a power cut it may be behind, never ahead.
            let mark = writer.meta.next_seq.to_be_bytes();
            self.mark.write_all_at(&mark, 0).map_err(OutboxError::io("write the outbox's mark"))?;
        }
        self.durable.store(writer.meta.next_seq, Ordering::Release);
        Ok(())
    }

    /// sled cuts its log off at the first damaged record, without a word. What was behind it is gone; say so, and never
    /// give its numbers out again.
    fn skip_lost(&self, writer: &mut Writer, marked: u64) -> Result<(), OutboxError> {
        let first = writer.meta.next_seq;
        let mut meta = writer.meta.clone();
        // Removals behind the damage were undone too, so some of what is queued now will be sent again.
        meta.lost += marked - first;
        meta.next_seq = marked;
        tracing::error!(
            path = %self.path.display(), first, last = marked - 1,
            "the outbox's file was damaged and acknowledged events are lost: restore them from the journal, check the disk"
        );
        self.apply(writer, meta, Batch::default())
    }

    fn reserve(&self, writer: &mut Writer, next_seq: u64) -> Result<(), OutboxError> {
        if next_seq > writer.reserved {
            let reserved = next_seq.saturating_add(SEQ_RESERVE);
            write_reserved(&seq_path(&self.path), reserved)?;
            writer.reserved = reserved;
        }
        Ok(())
    }

    pub(crate) fn storage(&self, error: sled::Error) -> OutboxError {
        on_sled_error(&self.path, error)
    }
}

/// Why an entry could not be read.
pub(crate) enum Unreadable {
    /// The store itself failed.
    Storage(OutboxError),
    /// This entry is damaged.
    Entry(String),
}

fn on_sled_error(path: &Path, error: sled::Error) -> OutboxError {
    match error {
        sled::Error::Corruption { .. }
        | sled::Error::ReportableBug(_)
        | sled::Error::CollectionNotFound(_) => {
            OutboxError::Damaged { path: path.to_owned(), detail: error.to_string() }
        }
        // sled has no variant of its own for its lock (config.rs, `try_lock`).
        sled::Error::Io(ref source) if source.to_string().contains("could not acquire lock") => {
            OutboxError::InUse { path: path.to_owned() }
        }
        error => OutboxError::Storage(error),
    }
}

fn open_when_free(path: &Path) -> Result<sled::Db, OutboxError> {
    for _ in 0..LOCK_TRIES {
        match open_sled(path) {
            Err(OutboxError::InUse { .. }) => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    open_sled(path)
}

fn open_sled(path: &Path) -> Result<sled::Db, OutboxError> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
    // sled 0.34 panics on some damaged files.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| match error {
            sled::Error::Unsupported(detail) => OutboxError::Damaged { path: path.to_owned(), detail },
            error => on_sled_error(path, error),
        }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("sled panicked");
            Err(OutboxError::Damaged { path: path.to_owned(), detail: text.to_owned() })
        }
    }
}

fn open_mark(path: &Path) -> Result<File, OutboxError> {
    let path = path.join("mark");
    let mut options = File::options();
    let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
    opened.map_err(OutboxError::io(format!("open {}", path.display())))
}

/// `None` if it was never written, or a power cut took it.
fn read_mark(mark: &File) -> Option<u64> {
    let mut bytes = [0; 8];
    mark.read_exact_at(&mut bytes, 0).ok()?;
    Some(u64::from_be_bytes(bytes))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(path: &Path) -> Result<(), OutboxError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(OutboxError::io(format!("sync {}", path.display())))
}

fn seq_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".seq");
    PathBuf::from(name)
}

fn read_reserved(path: &Path) -> Result<Option<u64>, OutboxError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OutboxError::io(format!("read {}", path.display()))(error)),
    };
    text.trim().parse().map(Some).map_err(|_| OutboxError::Damaged {
        path: path.to_owned(),
        detail: format!("expected a number, found `{}`", text.trim()),
    })
}

fn write_reserved(path: &Path, reserved: u64) -> Result<(), OutboxError> {
    let temporary = path.with_extension("seq-new");
    let write = || {
        fs::write(&temporary, format!("{reserved}\n"))?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(OutboxError::io(format!("write {}", path.display())))?;
    sync_folder(parent(path))
}
