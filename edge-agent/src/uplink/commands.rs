//! Commands of the IISPP: each is carried out at most once, in time or not at all, and its state survives a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use interface::{ClockQuality, Stamp};
use outbox::{Outbox, OutboxError};
use packet::{CommandResult, CommandState, DecisionCommand};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A command that moves something may not be valid for longer, milliseconds: a stale "open" must never fire.
pub const LONGEST_VALID_MS: u64 = 10_000;

/// The command type that is carried out.
pub(super) const DECISION: &str = "decision";

/// Most commands remembered; the oldest that has ended is forgotten first.
const MAX_COMMANDS: usize = 1_000;

/// Longest type and id together, bytes.
const MAX_NAME: usize = 200;

const SHELF: &str = "commands";

/// Whether a command may be carried out: the command and the monotonic time, in milliseconds, after which it may not be begun;
/// or how and why it ends here.
pub(super) fn judge(
    kind: &str,
    payload: &[u8],
    retained: bool,
    received: &Stamp,
) -> Result<(DecisionCommand, u64), (CommandState, String)> {
    let failed = |why: String| Err((CommandState::Failed, why));
    if kind != DECISION {
        return failed(format!("unsupported command type `{kind}`, supported: {DECISION}"));
    }
    // A retained command would come again with every connection.
    if retained {
        return failed("commands must not be retained: publish it without the retain flag".to_owned());
    }
    let command: DecisionCommand = match serde_json::from_slice(payload) {
        Ok(command) => command,
        Err(error) => return failed(format!("malformed: {error}")),
    };
    if command.valid_ms > LONGEST_VALID_MS {
        return failed(format!(
            "valid_ms is {}, the longest allowed is {LONGEST_VALID_MS}",
            command.valid_ms
        ));
    }
    let mut left_ms = command.valid_ms;
    if received.clock == ClockQuality::Synced {
        let valid_ms = i64::try_from(command.valid_ms).unwrap_or(i64::MAX);
        let until = command.issued_at.plus_ms(valid_ms);
        // One that seems to come from the future is not valid for longer than it says.
        left_ms = match u64::try_from(until.0.saturating_sub(received.utc.0)) {
            Ok(left) if left > 0 => left.min(command.valid_ms),
            _ => {
                let late = received.utc.0.saturating_sub(until.0);
                return Err((CommandState::Expired, format!("came {late} ms too late")));
            }
        };
    }
    let deadline = received.mono_ms.saturating_add(left_ms);
    Ok((command, deadline))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    number: u64,
    kind: String,
    id: String,
    state: CommandState,
    detail: Option<String>,
    /// Whether the broker has acknowledged the result in this state.
    published: bool,
}

impl Entry {
    fn ended(&self) -> bool {
        !matches!(self.state, CommandState::Received | CommandState::Executing)
    }

    fn result(&self) -> CommandResult {
        CommandResult { id: self.id.clone(), state: self.state, detail: self.detail.clone() }
    }
}

/// A result that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpublished {
    pub kind: String,
    pub result: CommandResult,
}

/// Why a command failed that was under way when the daemon ended.
const INTERRUPTED: &str = "interrupted by restart";

/// The commands that came and how far each has come, stored beside the outbox.
#[derive(Debug)]
pub struct CommandLedger {
    outbox: Arc<Outbox>,
    commands: Mutex<Commands>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Commands {
    by_number: BTreeMap<u64, Entry>,
    numbers: HashMap<String, u64>,
    next: u64,
}

fn key(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

impl CommandLedger {
    /// Reads the ledger. A command that was under way when the daemon ended is failed now, and its result waits to be published.
    ///
    /// # Errors
    /// Storage errors.
    pub fn open(outbox: Arc<Outbox>) -> Result<Self, OutboxError> {
        let ledger = Self { outbox, commands: Mutex::default(), changes: watch::Sender::new(0) };
        for (key, value) in ledger.outbox.shelf(SHELF)?.all()? {
            let Ok(mut entry) = serde_json::from_slice::<Entry>(&value) else {
                tracing::error!(key, "stored command cannot be read; forgotten");
                ledger.outbox.shelf(SHELF)?.remove(&key)?;
                continue;
            };
            if !entry.ended() {
                entry.state = CommandState::Failed;
                entry.detail = Some(INTERRUPTED.to_owned());
                entry.published = false;
                tracing::warn!(key, "command was interrupted by a restart");
            }
            ledger.store(&mut ledger.lock(), entry)?;
        }
        Ok(ledger)
    }

    /// Notes a command that came. `true`: it is new, and now received. `false`: it is known, and its result will be published
    /// again; nothing else is to be done.
    ///
    /// # Errors
    /// Storage errors.
    pub fn receive(&self, kind: &str, id: &str) -> Result<bool, OutboxError> {
        let mut commands = self.lock();
        let known = commands.numbers.get(&key(kind, id)).copied();
        if let Some(entry) = known.and_then(|number| commands.by_number.get_mut(&number)) {
            entry.published = false;
            drop(commands);
            self.changes.send_modify(|version| *version += 1);
            return Ok(false);
        }
        let entry = Entry {
            number: commands.next,
            kind: kind.to_owned(),
            id: id.to_owned(),
            state: CommandState::Received,
            detail: None,
            published: true,
        };
        self.store(&mut commands, entry)?;
        self.forget(&mut commands)?;
        Ok(true)
    }

    /// Stores how far a command has come, durably, and has it published.
    ///
    /// # Errors
    /// Storage errors.
    pub fn set(
        &self,
        kind: &str,
        id: &str,
        state: CommandState,
        detail: Option<String>,
    ) -> Result<(), OutboxError> {
        let mut commands = self.lock();
        let number = commands.numbers.get(&key(kind, id)).copied();
        let Some(entry) = number.and_then(|number| commands.by_number.get(&number)).cloned() else {
            tracing::error!(kind, id, ?state, "result of an unknown command; dropped");
            return Ok(());
        };
        // After a restart the engine takes up a release that waited for its turn at the barrier, and the controller sees
        // whether the vehicle of one that was begun has left.
        let interrupted = entry.detail.as_deref() == Some(INTERRUPTED);
        if entry.ended() && !interrupted {
            if entry.state != state {
                tracing::warn!(kind, id, ?state, "command has ended already; second result dropped");
            }
            return Ok(());
        }
        self.store(&mut commands, Entry { state, detail, published: false, ..entry })?;
        drop(commands);
        self.changes.send_modify(|version| *version += 1);
        Ok(())
    }

    /// Stores the result of a decision.
    ///
    /// # Errors
    /// Storage errors.
    pub fn finish(&self, result: &CommandResult) -> Result<(), OutboxError> {
        self.set(DECISION, &result.id, result.state, result.detail.clone())
    }

    /// The results that the broker has not acknowledged yet, oldest first.
    pub(super) fn unpublished(&self) -> Vec<Unpublished> {
        let commands = self.lock();
        let waiting = commands.by_number.values().filter(|entry| !entry.published);
        waiting.map(|entry| Unpublished { kind: entry.kind.clone(), result: entry.result() }).collect()
    }

    /// The broker has acknowledged a result. Not synced: after a power cut it may be published again.
    pub(super) fn published(&self, done: &Unpublished) -> Result<(), OutboxError> {
        let mut commands = self.lock();
        let number = commands.numbers.get(&key(&done.kind, &done.result.id)).copied();
        match number.and_then(|number| commands.by_number.get(&number)).cloned() {
            Some(entry) if entry.result() == done.result => {
                self.store(&mut commands, Entry { published: true, ..entry })
            }
            _ => Ok(()),
        }
    }

    /// Changes when there is something to publish.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn store(&self, commands: &mut Commands, entry: Entry) -> Result<(), OutboxError> {
        let key = key(&entry.kind, &entry.id);
        let value = serde_json::to_vec(&entry).map_err(|error| OutboxError::Io {
            what: "write the state of a command".to_owned(),
            source: error.into(),
        })?;
        self.outbox.shelf(SHELF)?.put(&key, &value)?;
        commands.next = commands.next.max(entry.number + 1);
        commands.numbers.insert(key, entry.number);
        commands.by_number.insert(entry.number, entry);
        Ok(())
    }

    fn forget(&self, commands: &mut Commands) -> Result<(), OutboxError> {
        while commands.by_number.len() > MAX_COMMANDS {
            let oldest = commands.by_number.values().find(|entry| entry.ended());
            let Some((number, key)) = oldest.map(|entry| (entry.number, key(&entry.kind, &entry.id))) else {
                break;
            };
            self.outbox.shelf(SHELF)?.remove(&key)?;
            commands.by_number.remove(&number);
            commands.numbers.remove(&key);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Commands> {
        // Memory is changed after the store took the change; a panic leaves it behind, not wrong.
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a command's name can be kept.
pub(super) fn can_be_named(kind: &str, id: &str) -> bool {
    !id.is_empty() && kind.len() + id.len() <= MAX_NAME
}

#[cfg(test)]
mod tests {
    use super::*;
    use interface::{BootId, UtcMs};
    use outbox::Limits;

    fn stamp(clock: ClockQuality) -> Stamp {
        let utc = UtcMs::parse("2026-11-22T08:00:05Z").unwrap();
        Stamp { mono_ms: 1_000, utc, clock, boot: BootId("b".into()) }
    }

    fn decision(issued_at: &str, valid_ms: u64) -> Vec<u8> {
        format!(
            r#"{{"passage_id":"p","decision":"release","issued_at":"2026-11-22T{issued_at}Z","valid_ms":{valid_ms}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_decision_is_valid_by_utc_only_while_the_clock_is_synced() {
        let synced = stamp(ClockQuality::Synced);
        let deadline =
            |payload: &[u8], stamp: &Stamp| judge(DECISION, payload, false, stamp).map(|(_, at)| at);
        assert_eq!(deadline(&decision("08:00:01", 10_000), &synced), Ok(7_000));
        let (state, why) = deadline(&decision("08:00:01", 3_000), &synced).unwrap_err();
        assert_eq!((state, why.as_str()), (CommandState::Expired, "came 1000 ms too late"));
        // From the future by the sender's clock: no longer than it says.
        assert_eq!(deadline(&decision("09:00:00", 3_000), &synced), Ok(4_000));
        for clock in [ClockQuality::Holdover, ClockQuality::Unsynced] {
            assert_eq!(deadline(&decision("01:00:00", 3_000), &stamp(clock)), Ok(4_000));
        }
    }

    #[test]
    fn what_cannot_be_carried_out_says_why() {
        let received = stamp(ClockQuality::Unsynced);
        let why = |kind: &str, payload: &[u8], retained| {
            let (state, why) = judge(kind, payload, retained, &received).unwrap_err();
            assert_eq!(state, CommandState::Failed);
            why
        };
        assert_eq!(why("probe", b"", false), "unsupported command type `probe`, supported: decision");
        assert!(why(DECISION, b"{}", false).contains("missing field"));
        assert!(why(DECISION, &decision("08:00:01", 10_001), false).contains("10000"));
        assert!(why(DECISION, &decision("08:00:01", 10_000), true).contains("retain"));
        let odd = String::from_utf8(decision("08:00:01", 10)).unwrap().replace("release", "explode");
        assert!(why(DECISION, odd.as_bytes(), false).contains("hold"), "the allowed decisions are listed");
    }

    #[test]
    fn the_state_of_a_command_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Arc::new(Outbox::open(folder.path().join("outbox"), Limits::default()).unwrap());
        let ledger = CommandLedger::open(open()).unwrap();
        assert!(ledger.receive(DECISION, "a").unwrap());
        assert!(ledger.receive(DECISION, "b").unwrap());
        for id in ["a", "b"] {
            ledger.set(DECISION, id, CommandState::Executing, None).unwrap();
        }
        let done = CommandResult { id: "a".into(), state: CommandState::Done, detail: Some("opened".into()) };
        ledger.finish(&done).unwrap();
        drop(ledger);
        let ledger = CommandLedger::open(open()).unwrap();
        let waiting = ledger.unpublished();
        assert_eq!(waiting[0].result, done);
        assert_eq!(waiting[1].result.state, CommandState::Failed);
        assert_eq!(waiting[1].result.detail.as_deref(), Some("interrupted by restart"));
        for result in &waiting {
            ledger.published(result).unwrap();
        }
        assert_eq!(ledger.unpublished(), []);
        // A repeat does nothing but answer.
        assert!(!ledger.receive(DECISION, "a").unwrap());
        assert_eq!(ledger.unpublished()[0].result, done);
        ledger.finish(&CommandResult { state: CommandState::Failed, ..done.clone() }).unwrap();
        assert_eq!(ledger.unpublished()[0].result, done);
        // What was interrupted may be taken up again and done.
        let mended = CommandResult { id: "b".into(), ..done };
        ledger.finish(&mended).unwrap();
        assert!(ledger.unpublished().iter().any(|waiting| waiting.result == mended));
    }

    #[test]
    fn the_ledger_is_bounded_and_keeps_what_is_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Arc::new(Outbox::open(folder.path().join("outbox"), Limits::default()).unwrap());
        let ledger = CommandLedger::open(outbox.clone()).unwrap();
        for number in 0..MAX_COMMANDS + 5 {
            let id = format!("c{number}");
            assert!(ledger.receive(DECISION, &id).unwrap());
            if number > 0 {
                ledger.set(DECISION, &id, CommandState::Done, None).unwrap();
            }
        }
        assert_eq!(ledger.lock().by_number.len(), MAX_COMMANDS);
        assert_eq!(outbox.shelf(SHELF).unwrap().all().unwrap().len(), MAX_COMMANDS);
        assert!(!ledger.receive(DECISION, "c0").unwrap(), "under way, and so not forgotten");
        assert!(ledger.receive(DECISION, "c1").unwrap());
    }
}
