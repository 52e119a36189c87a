//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// Why the outbox could not do it. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Another process has the store open.
    #[error(
        "the outbox {path} is in use by another process: stop that one first (is edge-agent running twice?)"
    )]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// The store cannot be read.
    #[error(
        "the outbox {path} is damaged ({detail}): set it aside to start with an empty one, and keep it for salvage"
    )]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// No room. Append again after receipts have made room; nothing was dropped and no `seq` was used.
    #[error(
        "the outbox is full ({events} of {max_events} events, {bytes} of {max_bytes} bytes): keep the input and append again once receipts have made room"
    )]
    Full {
        /// Events queued.
        events: u64,
        /// Most that may be queued.
        max_events: u64,
        /// Bytes queued.
        bytes: u64,
        /// Most that may be queued.
        max_bytes: u64,
    },
    /// It would not fit into an empty outbox either.
    #[error("event {id} takes {bytes} bytes, more than an empty outbox holds ({max_bytes}): make it smaller")]
    TooLarge {
        /// The event.
        id: String,
        /// Its size.
        bytes: u64,
        /// Most that may be queued.
        max_bytes: u64,
    },
    /// An id must have 1 to 512 bytes.
    #[error("expected an event id of 1 to {max} bytes, found one of {found}")]
    BadId {
        /// Its length, bytes.
        found: usize,
        /// The longest allowed, bytes.
        max: usize,
    },
    /// A receipt for what was never sent: the receiver has another box's, or an older store's, numbers in mind.
    #[error(
        "a receipt up to seq {seq} came, but only those below {next_seq} were ever issued: nothing was removed"
    )]
    NotIssued {
        /// What the receipt said.
        seq: u64,
        /// The next to be issued.
        next_seq: u64,
    },
    /// The file system refused.
    #[error("failed to {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// sled refused. After an append it is not known whether the events are stored; append them again.
    #[error("failed to use the outbox's store: {0}")]
    Storage(sled::Error),
}

impl OutboxError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
