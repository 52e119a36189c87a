//! Walks everything and says what does not fit.

use crate::OutboxError;
use crate::keys::{self, Aside, Entry, Known, Place};
use crate::record;
use crate::store::{Outbox, Unreadable};

/// Most problems that are spelled out.
const MAX_PROBLEMS: usize = 100;

/// What [`Outbox::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Events in the queue.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Unreadable entries set aside.
    pub quarantined: u64,
    /// Delivered ids that are remembered.
    pub remembered: u64,
    /// Events delivered or dropped whose ids are no longer remembered.
    pub forgotten: u64,
    /// Acknowledged events that were lost because the file was damaged.
    pub lost: u64,
    /// The first `seq` this store gave out, and the next one it will.
    pub seqs: (u64, u64),
    /// What does not fit, the first hundred; none: all is well.
    pub problems: Vec<String>,
}

impl Verification {
    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }
}

impl Outbox {
    /// Reads everything and checks it: every record's checksum, every id's place, the counters, and that no `seq` is
    /// missing. Writers wait meanwhile. Changes nothing.
    ///
    /// # Errors
    /// Storage errors.
    pub fn verify(&self) -> Result<Verification, OutboxError> {
        let writer = self.lock();
        let meta = &writer.meta;
        let mut found = Verification {
            forgotten: meta.forgotten,
            seqs: (meta.first_seq, meta.next_seq),
            ..Default::default()
        };
        let mut seqs = Vec::new();
        let mut chunks = 0u64;
        let mut dead_bytes = 0u64;

        for item in self.tree.scan_prefix(b"e") {
            let (key, value) = item.map_err(|error| self.storage(error))?;
            let (Some((class, seq)), Some(entry)) = (keys::read_event(&key), Entry::read(&value)) else {
                found.problem(format!("queue entry {key:?} is malformed"));
                continue;
            };
            found.events += 1;
            found.bytes += u64::from(entry.size);
            chunks += u64::from(record::chunks(entry.size));
            seqs.push(seq);
            self.check(&mut found, class, seq, Place::Queue, entry)?;
        }
        for (prefix, place) in [(b"x", Place::Dead), (b"q", Place::Quarantine)] {
            for item in self.tree.scan_prefix(prefix) {
                let (key, value) = item.map_err(|error| self.storage(error))?;
                let (Some(seq), Some(aside)) = (keys::read_numbered(&key), Aside::read(&value)) else {
                    found.problem(format!("entry {key:?} is malformed"));
                    continue;
                };
                seqs.push(seq);
                chunks += u64::from(record::chunks(aside.entry.size));
                if place == Place::Dead {
                    found.dead += 1;
                    dead_bytes += u64::from(aside.entry.size);
                    self.check(&mut found, aside.class, seq, place, aside.entry)?;
                } else {
                    found.quarantined += 1;
                    found.problem(format!(
                        "seq {seq} ({}) is in quarantine: {}",
                        aside.entry.id, aside.reason
                    ));
                }
            }
        }
        for item in self.tree.scan_prefix(b"d") {
            let (key, value) = item.map_err(|error| self.storage(error))?;
            let Some((seq, id)) = keys::read_done(&value) else {
                found.problem(format!("delivered entry {key:?} is malformed"));
                continue;
            };
            found.remembered += 1;
            seqs.push(seq);
            let known = self.known(id)?;
            if known.is_none_or(|known| known.seq != seq || known.place != Place::Done) {
                found.problem(format!("delivered {id} has seq {seq}, but its id says {known:?}"));
            }
        }

        let stored_chunks = self.tree.scan_prefix(b"c").keys().flatten().count() as u64;
        let with_id = found.events + found.dead + found.remembered + found.quarantined;
        let ids = self.tree.scan_prefix(b"i").keys().flatten().count() as u64;
        let numbers = [
            ("events", found.events, meta.events),
            ("bytes", found.bytes, meta.bytes),
            ("dead letters", found.dead, meta.dead),
            ("bytes of dead letters", dead_bytes, meta.dead_bytes),
            ("quarantined entries", found.quarantined, meta.quarantined),
            ("remembered ids", found.remembered, meta.done_next - meta.done_first),
            ("ids", ids, with_id),
        ];
        for (what, counted, expected) in numbers {
            if counted != expected {
                found.problem(format!("{what}: counted {counted}, expected {expected}"));
            }
        }
        // A quarantined entry may lack the chunks that made it one.
        if stored_chunks > chunks
            || (found.quarantined == 0 && found.problems.is_empty() && stored_chunks != chunks)
        {
            found.problem(format!("chunks: counted {stored_chunks}, expected {chunks}"));
        }
        if meta.lost > 0 {
            found
                .problem(format!("{} acknowledged events were lost because the file was damaged", meta.lost));
        }
        self.check_seqs(&mut found, seqs);
        self.check_blobs(&mut found);
        Ok(found)
    }

    fn check(
        &self,
        found: &mut Verification,
        class: u8,
        seq: u64,
        place: Place,
        entry: Entry,
    ) -> Result<(), OutboxError> {
        let known = self.known(&entry.id)?;
        if known != Some(Known { class, seq, place }) {
            found.problem(format!("{} is {place:?} with seq {seq}, but its id says {known:?}", entry.id));
        }
        match self.read(class, seq, Some(entry)) {
            Ok(_) => Ok(()),
            Err(Unreadable::Storage(error)) => Err(error),
            Err(Unreadable::Entry(reason)) => {
                found.problem(format!("seq {seq} cannot be read: {reason}"));
                Ok(())
            }
        }
    }

    /// With every `seq` distinct and in range, the sum alone shows that none is missing.
    fn check_seqs(&self, found: &mut Verification, mut seqs: Vec<u64>) {
        seqs.sort_unstable();
        let (first, next) = found.seqs;
        for (one, other) in seqs.iter().zip(seqs.iter().skip(1)) {
            if one == other {
                found.problem(format!("seq {one} is used twice"));
            }
        }
        for seq in seqs.iter().filter(|seq| **seq < first || **seq >= next) {
            found.problem(format!("seq {seq} was never issued ({first} to {next})"));
        }
        let issued = next.saturating_sub(first);
        let accounted = seqs.len() as u64 + found.forgotten + found.lost;
        if issued != accounted {
            found.problem(format!("{issued} seqs were issued, but {accounted} are accounted for"));
        }
    }

    fn check_blobs(&self, found: &mut Verification) {
        let Ok(blobs) = std::fs::read_dir(self.path.join("blobs")) else { return };
        let count = blobs.count();
        if count > 0 {
            found.problem(format!("{count} pages lie in blob files, which a power cut can damage"));
        }
    }
}
