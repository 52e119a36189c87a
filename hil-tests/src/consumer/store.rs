//! What the consumer keeps, in SQLite.
//!
//! A batch of deliveries is one transaction, and nothing is confirmed to a box before it is committed
//! (`journal_mode=WAL`, `synchronous=FULL`). `events` holds every event once, by (source, id); `passages` the newest
//! revision of each passage; `numbers` every (seq, id) pair that ever came, by which loss and repeats are seen.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use interface::{ObservationId, UtcMs};
use packet::{Class, CommandResult, CommandState, DecisionCommand, Packet, Status, Topics};
use passage::{PassageState, Verdict};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::check::{Checked, CheckedEvent};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS boxes (
        source TEXT PRIMARY KEY, state TEXT NOT NULL, next_seq INTEGER);
    CREATE TABLE IF NOT EXISTS events (
        source TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, class TEXT NOT NULL,
        received_at TEXT NOT NULL, deliveries INTEGER NOT NULL, altered INTEGER NOT NULL DEFAULT 0,
        event TEXT NOT NULL, PRIMARY KEY (source, id));
    CREATE TABLE IF NOT EXISTS numbers (
        source TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (source, seq, id));
    CREATE TABLE IF NOT EXISTS passages (
        source TEXT NOT NULL, passage_id TEXT NOT NULL, revision INTEGER NOT NULL, lane TEXT NOT NULL,
        complete INTEGER NOT NULL, awaits_decision INTEGER NOT NULL, is_there INTEGER NOT NULL,
        packet TEXT NOT NULL,
        PRIMARY KEY (source, passage_id));
    CREATE TABLE IF NOT EXISTS observations (
        source TEXT NOT NULL, sensor TEXT NOT NULL, seq TEXT NOT NULL, place TEXT NOT NULL,
        PRIMARY KEY (source, sensor, seq, place));
    CREATE INDEX IF NOT EXISTS observations_by_place ON observations (source, place);
    CREATE TABLE IF NOT EXISTS refused (
        source TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER, reason TEXT NOT NULL, received_at TEXT NOT NULL,
        event TEXT NOT NULL, PRIMARY KEY (source, id));
    CREATE TABLE IF NOT EXISTS nameless (source TEXT NOT NULL, reason TEXT NOT NULL, received_at TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS decisions (
        source TEXT NOT NULL, passage_id TEXT NOT NULL, attempt INTEGER NOT NULL, command_id TEXT NOT NULL,
        decision TEXT NOT NULL, issued_ms INTEGER NOT NULL, state TEXT, detail TEXT,
        PRIMARY KEY (source, passage_id));
";

/// How long a decision may be carried out, milliseconds: the longest that a box accepts.
const DECISION_VALID_MS: i64 = 10_000;

/// How often a decision that fails is made anew before a person has to look.
const MOST_ATTEMPTS: i64 = 5;

/// How long a writer waits for another one, such as a backup. Readers never wait in WAL mode.
const BUSY: Duration = Duration::from_secs(10);

/// Something to be kept.
#[derive(Clone, Debug)]
pub enum Input {
    /// What came on an event's topic.
    Event(Topics, Checked),
    /// A box said how it is.
    Status(Topics, Status),
    /// A box said how far a command has come.
    Result(Topics, CommandResult),
}

/// What became of an [`Input`], once it is on disk.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An event is stored: confirm it.
    Stored {
        /// The event.
        event: Box<CheckedEvent>,
        /// How often it has come, this time included.
        deliveries: i64,
    },
    /// An event is refused: tell the box.
    Refused {
        /// The box.
        topics: Topics,
        /// The event's `id`.
        id: String,
        /// Why.
        reason: String,
    },
    /// Nothing to say to the box.
    Kept,
}

/// A decision to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// To which box.
    pub topics: Topics,
    /// Name of the command.
    pub command_id: String,
    /// The command.
    pub command: DecisionCommand,
}

/// The consumer's database.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
}

impl Store {
    /// Opens the database, or makes it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)
            .with_context(|| format!("failed to open the database {}", path.display()))?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA).context("failed to make the tables")?;
        Ok(Self { connection })
    }

    /// Opens an existing database to look into it, beside a consumer that runs.
    pub fn open_read_only(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("failed to open the database {}", path.display()))?;
        connection.busy_timeout(BUSY)?;
        Ok(Self { connection })
    }

    /// Keeps a batch in one transaction; decides about passages that wait for it. When this returns, all of it is on
    /// disk.
    pub fn keep(
        &mut self,
        batch: Vec<Input>,
        decide: Option<Verdict>,
        now: UtcMs,
    ) -> anyhow::Result<(Vec<Outcome>, Vec<Decided>)> {
        let transaction = self.connection.transaction()?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for input in batch {
            outcomes.push(keep_one(&transaction, input, now)?);
        }
        let decided = match decide {
            Some(verdict) => make_decisions(&transaction, verdict, now)?,
            None => Vec::new(),
        };
        transaction.commit().context("failed to commit what came")?;
        Ok((outcomes, decided))
    }

    /// For every known box: the number up to which nothing is missing.
    pub fn stored_up_to(&self) -> anyhow::Result<Vec<(Topics, u64)>> {
        let mut query = self.connection.prepare(
            "SELECT source, seq FROM events ORDER BY source, seq", // by number, alarms may have come early
        )?;
        let mut rows = query.query([])?;
        let mut found: Vec<(String, i64)> = Vec::new();
        while let Some(row) = rows.next()? {
            let (source, seq): (String, i64) = (row.get(0)?, row.get(1)?);
            match found.last_mut() {
                Some((known, upto)) if *known == source => {
                    if seq == *upto + 1 {
                        *upto = seq;
                    }
                }
                _ => found.push((source, if seq == 1 { 1 } else { 0 })),
            }
        }
        let known = |(source, upto): (String, i64)| {
            let upto = u64::try_from(upto).ok().filter(|upto| *upto > 0)?;
            Some((Topics::of_source(&source)?, upto))
        };
        Ok(found.into_iter().filter_map(known).collect())
    }
}

fn keep_one(transaction: &Transaction<'_>, input: Input, now: UtcMs) -> anyhow::Result<Outcome> {
    match input {
        Input::Event(_, Checked::Event(event)) => {
            let deliveries = keep_event(transaction, &event, now)?;
            Ok(Outcome::Stored { event, deliveries })
        }
        Input::Event(topics, Checked::Refused { id, seq, reason, text }) => {
            let source = topics.source();
            transaction.execute(
                "INSERT INTO refused VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET reason = excluded.reason",
                params![source, id, seq, reason, now.to_string(), text],
            )?;
            if let Some(seq) = seq {
                keep_number(transaction, &source, seq, &id)?;
            }
            Ok(Outcome::Refused { topics, id, reason })
        }
        Input::Event(topics, Checked::Nameless { reason }) => {
            let row = params![topics.source(), reason, now.to_string()];
            transaction.execute("INSERT INTO nameless VALUES (?1, ?2, ?3)", row)?;
            Ok(Outcome::Kept)
        }
        Input::Status(topics, status) => {
            let next_seq = status.next_seq.and_then(|seq| i64::try_from(seq).ok());
            transaction.execute(
                "INSERT INTO boxes VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE
                 SET state = excluded.state, next_seq = coalesce(excluded.next_seq, next_seq)",
                params![topics.source(), word(&status.state)?, next_seq],
            )?;
            Ok(Outcome::Kept)
        }
        Input::Result(topics, result) => {
            keep_result(transaction, &topics, &result)?;
            Ok(Outcome::Kept)
        }
    }
}

/// Stores an event once by (source, id), and answers how often it has come.
fn keep_event(transaction: &Transaction<'_>, event: &CheckedEvent, now: UtcMs) -> anyhow::Result<i64> {
    let source = event.topics.source();
    keep_number(transaction, &source, event.seq, &event.id)?;
    let deliveries = transaction.query_row(
        "INSERT INTO events (source, id, seq, class, received_at, deliveries, event)
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)
         ON CONFLICT DO UPDATE SET deliveries = deliveries + 1,
             altered = altered OR event <> excluded.event
         RETURNING deliveries",
        params![source, event.id, event.seq, word(&event.class)?, now.to_string(), event.text],
        |row| row.get(0),
    )?;
    match (&event.packet, event.class) {
        (Some(packet), _) => keep_packet(transaction, &source, packet, &event.observations)?,
        (None, Class::Orphan) => {
            keep_observations(transaction, &source, &event.id, &event.observations)?;
        }
        (None, _) => {}
    }
    Ok(deliveries)
}

fn keep_number(transaction: &Transaction<'_>, source: &str, seq: i64, id: &str) -> anyhow::Result<()> {
    transaction.execute("INSERT OR IGNORE INTO numbers VALUES (?1, ?2, ?3)", params![source, seq, id])?;
    Ok(())
}

/// Makes this the passage's state if it is newer than what is there.
fn keep_packet(
    transaction: &Transaction<'_>,
    source: &str,
    packet: &Packet,
    observations: &[ObservationId],
) -> anyhow::Result<()> {
    let newer = transaction.execute(
        "INSERT INTO passages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET revision = excluded.revision, lane = excluded.lane,
             complete = excluded.complete, awaits_decision = excluded.awaits_decision,
             is_there = excluded.is_there, packet = excluded.packet
         WHERE excluded.revision > revision",
        params![
            source,
            packet.passage_id,
            packet.revision,
            packet.lane,
            packet.complete,
            awaits_decision(packet),
            is_there(packet),
            serde_json::to_string(packet)?
        ],
    )?;
    if newer > 0 {
        let place = params![source, packet.passage_id];
        transaction.execute("DELETE FROM observations WHERE source = ?1 AND place = ?2", place)?;
        keep_observations(transaction, source, &packet.passage_id, observations)?;
    }
    Ok(())
}

fn keep_observations(
    transaction: &Transaction<'_>,
    source: &str,
    place: &str,
    observations: &[ObservationId],
) -> anyhow::Result<()> {
    let mut insert = transaction.prepare("INSERT OR IGNORE INTO observations VALUES (?1, ?2, ?3, ?4)")?;
    for observation in observations {
        // As text: an observation's number may be larger than SQLite's integers.
        insert.execute(params![source, observation.sensor.0, observation.seq.to_string(), place])?;
    }
    Ok(())
}

/// Whether the vehicle has not left as far as the packet knows.
fn is_there(packet: &Packet) -> bool {
    use PassageState::{Abandoned, Closed, Expired, Interrupted, Unmatched};
    !matches!(packet.state, Abandoned | Closed | Expired | Interrupted | Unmatched)
}

fn awaits_decision(packet: &Packet) -> bool {
    use PassageState::{AwaitingDecision, Referred, Sealed};
    packet.decision.is_none() && matches!(packet.state, Sealed | AwaitingDecision | Referred)
}

/// Decisions to send now: about passages that wait for a first one, the same command again where the box has not
/// answered while it was valid (it carries out a command once, by its name), and a new command where the box answered
/// that the last one expired before it was begun, or failed while the vehicle is still there (as when the box was
/// started again in the middle of it).
fn make_decisions(
    transaction: &Transaction<'_>,
    verdict: Verdict,
    now: UtcMs,
) -> anyhow::Result<Vec<Decided>> {
    let mut waiting = transaction.prepare(
        "SELECT source, passage_id, coalesce(attempt, 0), state FROM passages LEFT JOIN decisions
         USING (source, passage_id)
         WHERE (awaits_decision AND (command_id IS NULL
             OR (issued_ms <= ?1 AND (state IS NULL OR state = 'expired'))))
             OR (is_there AND issued_ms <= ?1 AND state = 'failed' AND attempt < ?2)
         ORDER BY source, passage_id",
    )?;
    let rows = waiting.query_map([now.0.saturating_sub(DECISION_VALID_MS), MOST_ATTEMPTS], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let rows: Vec<(String, String, i64, Option<String>)> = rows.collect::<Result<_, _>>()?;
    let mut decided = Vec::new();
    for (source, passage_id, attempt, state) in rows {
        let Some(topics) = Topics::of_source(&source) else { continue };
        let attempt = if attempt == 0 || state.is_some() { attempt + 1 } else { attempt };
        let command_id = format!("decision-{passage_id}-{attempt}");
        transaction.execute(
            "INSERT INTO decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, NULL) ON CONFLICT DO UPDATE SET
             attempt = excluded.attempt, command_id = excluded.command_id, issued_ms = excluded.issued_ms,
             state = NULL, detail = NULL",
            params![source, passage_id, attempt, command_id, word(&verdict)?, now.0],
        )?;
        let command = DecisionCommand {
            passage_id,
            decision: verdict,
            issued_at: now,
            valid_ms: DECISION_VALID_MS.unsigned_abs(),
        };
        decided.push(Decided { topics, command_id, command });
    }
    Ok(decided)
}

/// Keeps how far a decision has come. What is final stays, but for a failure that was mended.
fn keep_result(transaction: &Transaction<'_>, topics: &Topics, result: &CommandResult) -> anyhow::Result<()> {
    let known: Option<Option<String>> = transaction
        .query_row(
            "SELECT state FROM decisions WHERE source = ?1 AND command_id = ?2",
            params![topics.source(), result.id],
            |row| row.get(0),
        )
        .optional()?;
    let open = [None, Some(word(&CommandState::Received)?), Some(word(&CommandState::Executing)?)];
    // What failed may still be done: a box that was started again takes up what it had not begun.
    let mended = result.state == CommandState::Done && known == Some(Some(word(&CommandState::Failed)?));
    if mended || known.is_some_and(|state| open.contains(&state)) {
        transaction.execute(
            "UPDATE decisions SET state = ?3, detail = ?4 WHERE source = ?1 AND command_id = ?2",
            params![topics.source(), result.id, word(&result.state)?, result.detail],
        )?;
    }
    Ok(())
}

/// The word that stands for a value in messages.
fn word(value: &impl serde::Serialize) -> anyhow::Result<String> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => anyhow::bail!("expected a word, found {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet that waits for a decision, as far as the store looks at it.
    fn waiting(id: &str, seq: i64, revision: u32, state: PassageState) -> Input {
        let absent = serde_json::json!({ "finding": "absent", "reason": "timeout" });
        let mut packet = serde_json::json!({
            "passage_id": id, "revision": revision, "site": "RU1", "box": "gw-1", "lane": "in-1",
            "direction": "in", "state": state, "complete": true,
            "opened_at": "2026-11-22T08:00:00Z", "opened_clock": "synced",
            "published_at": "2026-11-22T08:00:00Z", "published_clock": "synced",
            "discrepancies": [], "missing": [], "decision": null, "observations": [], "evidence": []
        });
        let findings = [
            "plate_front",
            "plate_rear",
            "tags",
            "radiation",
            "weight",
            "dimensions",
            "containers",
            "seals",
            "faces",
            "documents",
            "undercarriage",
            "inspection",
            "anomalies",
        ];
        for finding in findings {
            packet[finding] = absent.clone();
        }
        let event = CheckedEvent {
            topics: topics(),
            id: format!("{id}/{revision}"),
            seq,
            class: Class::Passage,
            packet: Some(serde_json::from_value(packet).unwrap()),
            observations: Vec::new(),
            text: "{}".to_owned(),
        };
        Input::Event(topics(), Checked::Event(Box::new(event)))
    }

    fn topics() -> Topics {
        Topics::new("RU1", "gw-1").unwrap()
    }

    fn answer(id: &str, state: CommandState) -> Input {
        Input::Result(topics(), CommandResult { id: id.to_owned(), state, detail: None })
    }

    struct Desk {
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { store: Store::open(&folder.path().join("iispp.sqlite")).unwrap(), _folder: folder }
        }

        /// Names of the decisions that go out at a time.
        fn keep(&mut self, ms: i64, inputs: Vec<Input>) -> Vec<String> {
            let (_, decided) = self.store.keep(inputs, Some(Verdict::Release), UtcMs(ms)).unwrap();
            decided.into_iter().map(|decided| decided.command_id).collect()
        }
    }

    #[test]
    fn a_decision_without_an_answer_goes_out_again_under_the_same_name() {
        let mut desk = Desk::new();
        assert!(desk.keep(0, vec![waiting("p", 1, 1, PassageState::Collecting)]).is_empty());
        assert_eq!(desk.keep(0, vec![waiting("p", 2, 2, PassageState::Sealed)]), ["decision-p-1"]);
        assert!(desk.keep(9_999, vec![waiting("p", 3, 3, PassageState::AwaitingDecision)]).is_empty());
        assert_eq!(desk.keep(10_000, Vec::new()), ["decision-p-1"]);
        desk.keep(11_000, vec![answer("decision-p-1", CommandState::Executing)]);
        assert!(desk.keep(60_000, Vec::new()).is_empty());
    }

    #[test]
    fn only_a_decision_that_the_box_says_has_expired_is_made_anew() {
        let mut desk = Desk::new();
        assert_eq!(desk.keep(0, vec![waiting("p", 1, 1, PassageState::Sealed)]), ["decision-p-1"]);
        desk.keep(1_000, vec![answer("decision-p-1", CommandState::Expired)]);
        assert_eq!(desk.keep(10_000, Vec::new()), ["decision-p-2"]);
        desk.keep(11_000, vec![answer("decision-p-1", CommandState::Done)]);
        desk.keep(12_000, vec![answer("decision-p-2", CommandState::Done)]);
        desk.keep(13_000, vec![answer("decision-p-2", CommandState::Expired)]);
        assert!(desk.keep(60_000, vec![waiting("p", 2, 2, PassageState::Sealed)]).is_empty());
        let summary = desk.store.summary().unwrap();
        assert_eq!((summary.decisions, summary.decisions_done), (1, 1));
    }

    #[test]
    fn a_decision_that_failed_is_made_anew_while_the_vehicle_is_there() {
        let mut desk = Desk::new();
        assert_eq!(desk.keep(0, vec![waiting("p", 1, 1, PassageState::Sealed)]), ["decision-p-1"]);
        desk.keep(1_000, vec![waiting("p", 2, 2, PassageState::Released)]);
        desk.keep(2_000, vec![answer("decision-p-1", CommandState::Failed)]);
        assert_eq!(desk.keep(10_000, Vec::new()), ["decision-p-2"]);
        desk.keep(11_000, vec![answer("decision-p-2", CommandState::Failed)]);
        desk.keep(11_500, vec![answer("decision-p-2", CommandState::Done)]);
        assert_eq!(desk.store.summary().unwrap().decisions_done, 1);
        desk.keep(12_000, vec![waiting("p", 3, 3, PassageState::Closed)]);
        assert!(desk.keep(60_000, Vec::new()).is_empty());
    }

    #[test]
    fn an_older_revision_that_comes_late_changes_nothing() {
        let mut desk = Desk::new();
        desk.keep(0, vec![waiting("p", 2, 2, PassageState::Closed)]);
        assert!(desk.keep(0, vec![waiting("p", 1, 1, PassageState::AwaitingDecision)]).is_empty());
        assert_eq!(desk.store.report().unwrap().passages[0].packet.revision, 2);
        assert_eq!(desk.store.report().unwrap().passages[0].revisions, 2);
    }

    #[test]
    fn up_to_a_number_means_that_nothing_before_it_is_missing_or_refused() {
        let mut desk = Desk::new();
        let upto = |desk: &Desk| desk.store.stored_up_to().unwrap().first().map(|(_, seq)| *seq);
        desk.keep(0, vec![waiting("b", 2, 1, PassageState::Closed)]);
        assert_eq!(upto(&desk), None);
        desk.keep(0, vec![waiting("a", 1, 1, PassageState::Closed)]);
        assert_eq!(upto(&desk), Some(2));
        let (id, reason, text) = ("c/1".to_owned(), "no".to_owned(), "{}".to_owned());
        desk.keep(0, vec![Input::Event(topics(), Checked::Refused { id, seq: Some(3), reason, text })]);
        desk.keep(0, vec![waiting("d", 4, 1, PassageState::Closed)]);
        assert_eq!(upto(&desk), Some(2));
        assert_eq!(desk.store.summary().unwrap().lost, 0);
    }
}
