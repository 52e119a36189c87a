//! A durable bounded queue: what is appended stays until it is removed, through crashes and power cuts.
//!
//! It knows bytes and ids, nothing of MQTT or vehicles. One writer at a time; readers do not wait for it.
//! Every call blocks on the disk: call it from a thread that may block.
//!
//! # Invariants
//!
//! 1. **Durable before visible.** [`Outbox::append_batch`] returns, and [`Outbox::pending_in`] shows an event, only
//!    after its bytes are on the medium. Nothing can be sent that a power cut could take back.
//! 2. **`seq` has no gaps.** It is given out in order of appending, starting at 1, and consumed only by an event
//!    that is stored. Every `seq` below [`Outbox::next_seq`] is queued, a dead letter, in quarantine, remembered
//!    as delivered, or counted as forgotten; [`Outbox::verify`] adds them up.
//! 3. **An id is stored once.** Appending an id that is queued, dead, or among the newest
//!    [`Limits::ids_remembered`] delivered ones answers with its old `seq` and stores nothing. A caller that
//!    repeats its work after a crash therefore sends nothing twice.
//! 4. **Nothing stored is dropped to make room.** When full, appending fails with [`OutboxError::Full`] and
//!    consumes no `seq`; the caller keeps its input (the journal does) and appends again once receipts have made
//!    room. No restart is needed. Dead letters and quarantined entries are the exception: they are refused or
//!    unreadable already, bounded apart, and the oldest gives way with an ERROR in the log.
//! 5. **An event leaves by [`Outbox::remove`], [`Outbox::remove_upto`] or [`Outbox::reject`]** and by nothing else.
//! 6. **Bounded memory.** The backlog is read in pages; opening does not read it at all.
//!
//! # What sled does and does not do
//!
//! - `flush()` of sled 0.34 is `pwrite` and `sync_file_range`: neither flushes the disk's write cache nor the
//!   metadata of a file that grew (its issues 1351 and 1452), so a power cut can take "flushed" records. After each
//!   flush the outbox calls `fdatasync` on a descriptor of its own for the file `db`.
//! - A tree page that outgrows a quarter of a segment is written to a file below `blobs/`, which sled neither syncs
//!   nor orders before the log. Records are therefore cut into chunks of 4 KiB: a page splits above 16 entries, so it
//!   stays below 72 KiB where 128 KiB is the limit, and no such file ever appears ([`Outbox::verify`] looks).
//! - One batch on one tree is recovered as a whole or not at all; all that belongs to one change is one batch.
//! - Removals are flushed but not synced: a power cut may bring back a removed event. It is sent again and its
//!   id tells the receiver that it is a repeat.
//! - The files do not shrink after a long backlog has drained; their space is used again.
//!
//! # Damage
//!
//! An entry whose checksum fails is moved to quarantine with an ERROR in the log, and the queue goes on behind it.
//! sled cuts its log off at the first record whose own checksum fails and says nothing; a mark beside it lets the next
//! [`Outbox::open`] notice that acknowledged events are gone ([`Outbox::lost`], ERROR in the log), keep what is left, and
//! continue above their `seq`. A
//! store that sled itself cannot open is [`OutboxError::Damaged`]; [`Outbox::set_aside`] renames it, and a new one can
//! be opened in its place. So that the new one never gives out a `seq` again, an upper bound of those in use lies beside
//! the store, in `<path>.seq`.

mod append;
mod error;
mod export;
mod keys;
mod leave;
mod record;
mod shelf;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use append::{Appended, New};
pub use error::OutboxError;
pub use leave::Dead;
pub use shelf::Shelf;
pub use store::{Limits, Outbox, Stored};
pub use verify::Verification;
