//! What the database says about the feed: how much came, and whether anything was lost or repeated.

use std::fmt;

use packet::{Finding, Packet, PlateValue};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::store::Store;

/// How the feed stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events stored, each once.
    pub events: u64,
    /// Deliveries of an event that was stored already: harmless, but they cost.
    pub redelivered: u64,
    /// Passages.
    pub passages: u64,
    /// Passages whose newest packet is complete.
    pub complete: u64,
    /// Passages whose newest packet is incomplete.
    pub incomplete: u64,
    /// Observations that belong to no passage.
    pub orphans: u64,
    /// Alarms.
    pub alarms: u64,
    /// Events refused, each once.
    pub refused: u64,
    /// Messages that could not be refused, since they have no name.
    pub nameless: u64,
    /// Events that the numbers say exist and that have not come.
    pub lost: u64,
    /// Where they are missing.
    pub missing: Vec<MissingNumbers>,
    /// Things that came twice under different names or contents: always an error of the box.
    pub repeated: u64,
    /// Each of them in plain words, the first hundred.
    pub problems: Vec<String>,
    /// Decisions made, one for a passage at most.
    pub decisions: u64,
    /// Decisions that the box has carried out.
    pub decisions_done: u64,
    /// Decisions that the box could not carry out.
    pub decisions_failed: u64,
    /// Every box that spoke.
    pub boxes: Vec<BoxLine>,
}

/// A run of numbers that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingNumbers {
    /// The box.
    pub source: String,
    /// The first missing number.
    pub from: i64,
    /// The last missing number.
    pub to: i64,
}

/// What is known of a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoxLine {
    /// Its name.
    pub source: String,
    /// `online`, `stopped`, `lost`, or null if it has not said.
    pub state: Option<String>,
    /// The highest number that came.
    pub highest_seq: i64,
}

/// A passage in one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PassageLine {
    /// The box.
    pub source: String,
    /// The newest packet.
    pub packet: Packet,
    /// How many revisions came.
    pub revisions: u64,
    /// The command that carries the consumer's decision, if there is one.
    pub command_id: Option<String>,
    /// How far that command has come; null until the box answers.
    pub command_state: Option<String>,
}

/// The whole report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// How the feed stands.
    pub summary: Summary,
    /// Every passage, in order of its opening.
    pub passages: Vec<PassageLine>,
}

/// Most problems that are spelled out; all are counted.
const SPELLED_OUT: usize = 100;

/// What must not happen: a query for it, and its words.
const PROBLEMS: [(&str, &str); 4] = [
    (
        "SELECT source, 'number ' || seq || ' stands for ' || group_concat(id, ' and ')
         FROM numbers GROUP BY source, seq HAVING count(*) > 1",
        "one number, several events",
    ),
    (
        "SELECT source, 'event ' || id || ' has the numbers ' || group_concat(seq, ' and ')
         FROM numbers GROUP BY source, id HAVING count(*) > 1",
        "one event, several numbers",
    ),
    (
        "SELECT source, 'event ' || id || ' came again with another content' FROM events WHERE altered",
        "altered event",
    ),
    (
        "SELECT source, 'observation ' || sensor || '/' || seq || ' stands in ' || group_concat(place, ' and ')
         FROM observations GROUP BY source, sensor, seq HAVING count(*) > 1",
        "one observation, several places",
    ),
];

impl Store {
    /// Counts everything.
    pub fn summary(&self) -> anyhow::Result<Summary> {
        let mut summary = Summary {
            events: self.count("SELECT count(*) FROM events")?,
            redelivered: self.count("SELECT coalesce(sum(deliveries - 1), 0) FROM events")?,
            passages: self.count("SELECT count(*) FROM passages")?,
            complete: self.count("SELECT count(*) FROM passages WHERE complete")?,
            incomplete: self.count("SELECT count(*) FROM passages WHERE NOT complete")?,
            orphans: self.count("SELECT count(*) FROM events WHERE class = 'orphan'")?,
            alarms: self.count("SELECT count(*) FROM events WHERE class = 'alarm'")?,
            refused: self.count("SELECT count(*) FROM refused")?,
            nameless: self.count("SELECT count(*) FROM nameless")?,
            decisions: self.count("SELECT count(*) FROM decisions")?,
            decisions_done: self.count("SELECT count(*) FROM decisions WHERE state = 'done'")?,
            decisions_failed: self.count("SELECT count(*) FROM decisions WHERE state = 'failed'")?,
            boxes: self.boxes()?,
            ..Summary::default()
        };
        for line in &summary.boxes {
            summary.missing.extend(self.missing(&line.source)?);
        }
        let run = |missing: &MissingNumbers| (missing.to - missing.from + 1).unsigned_abs();
        summary.lost = summary.missing.iter().map(run).sum();
        for (query, words) in PROBLEMS {
            let mut statement = self.connection.prepare(query)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                summary.repeated += 1;
                if summary.problems.len() < SPELLED_OUT {
                    let (source, detail): (String, String) = (row.get(0)?, row.get(1)?);
                    summary.problems.push(format!("{source}: {words}: {detail}"));
                }
            }
        }
        Ok(summary)
    }

    /// The summary and every passage.
    pub fn report(&self) -> anyhow::Result<Report> {
        let mut statement = self.connection.prepare(
            "SELECT source, packet, command_id, state,
                 (SELECT count(*) FROM events WHERE events.source = passages.source
                  AND class = 'passage' AND id >= passage_id || '/' AND id < passage_id || '0')
             FROM passages LEFT JOIN decisions USING (source, passage_id) ORDER BY passage_id",
        )?;
        let mut rows = statement.query([])?;
        let mut passages = Vec::new();
        while let Some(row) = rows.next()? {
            let packet: String = row.get(1)?;
            let revisions: i64 = row.get(4)?;
            passages.push(PassageLine {
                source: row.get(0)?,
                packet: serde_json::from_str(&packet)?,
                revisions: revisions.unsigned_abs(),
                command_id: row.get(2)?,
                command_state: row.get(3)?,
            });
        }
        Ok(Report { summary: self.summary()?, passages })
    }

    /// Every packet that came, in the order of their numbers: all revisions of all passages.
    pub fn packets(&self) -> anyhow::Result<Vec<Packet>> {
        let mut statement = self.connection.prepare(
            "SELECT json_extract(event, '$.data') FROM events WHERE class = 'passage' ORDER BY source, seq",
        )?;
        let mut rows = statement.query([])?;
        let mut packets = Vec::new();
        while let Some(row) = rows.next()? {
            let packet: String = row.get(0)?;
            packets.push(serde_json::from_str(&packet)?);
        }
        Ok(packets)
    }

    fn count(&self, query: &str) -> anyhow::Result<u64> {
        let count: i64 = self.connection.query_row(query, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    fn boxes(&self) -> anyhow::Result<Vec<BoxLine>> {
        let mut statement = self.connection.prepare(
            "SELECT source, max(state), coalesce(max(seq), 0) FROM
                 (SELECT source, state, NULL AS seq FROM boxes
                  UNION ALL SELECT source, NULL, max(seq) FROM numbers GROUP BY source)
             GROUP BY source ORDER BY source",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(BoxLine { source: row.get(0)?, state: row.get(1)?, highest_seq: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Gaps between 1 and the highest number that came, or that the box said it has given out.
    fn missing(&self, source: &str) -> anyhow::Result<Vec<MissingNumbers>> {
        let mut statement =
            self.connection.prepare("SELECT DISTINCT seq FROM numbers WHERE source = ?1 ORDER BY seq")?;
        let mut rows = statement.query(params![source])?;
        let mut expected = 1;
        let mut missing = Vec::new();
        let mut gap_before = |next: i64| {
            if next > expected {
                missing.push(MissingNumbers { source: source.to_owned(), from: expected, to: next - 1 });
            }
            expected = expected.max(next.saturating_add(1));
        };
        while let Some(row) = rows.next()? {
            gap_before(row.get(0)?);
        }
        let next_seq: Option<Option<i64>> = self
            .connection
            .query_row("SELECT next_seq FROM boxes WHERE source = ?1", [source], |row| row.get(0))
            .optional()?;
        if let Some(next_seq) = next_seq.flatten() {
            gap_before(next_seq);
        }
        Ok(missing)
    }
}

/// What a table shows of a plate: `?` if not certain, `-` if there is none.
fn plate(finding: &Finding<PlateValue>) -> String {
    match finding {
        Finding::Measured { value, .. } if value.certain => value.text.clone(),
        Finding::Measured { value, .. } => format!("{}?", value.text),
        Finding::Disputed { candidates } => {
            let texts: Vec<&str> = candidates.iter().map(|candidate| candidate.value.text.as_str()).collect();
            texts.join("|")
        }
        Finding::Absent { .. } => "-".to_owned(),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: [(&str, u64); 12] = [
            ("events stored", self.events),
            ("passages", self.passages),
            ("  complete", self.complete),
            ("  incomplete", self.incomplete),
            ("orphans", self.orphans),
            ("alarms", self.alarms),
            ("refused", self.refused + self.nameless),
            ("decisions made", self.decisions),
            ("  carried out", self.decisions_done),
            ("redelivered", self.redelivered),
            ("lost", self.lost),
            ("repeated", self.repeated),
        ];
        for (what, count) in lines {
            writeln!(f, "{what:<16}{count:>8}")?;
        }
        for line in &self.boxes {
            let state = line.state.as_deref().unwrap_or("not known");
            writeln!(f, "box {}: {state}, highest seq {}", line.source, line.highest_seq)?;
        }
        for missing in &self.missing {
            writeln!(f, "missing from {}: seq {} to {}", missing.source, missing.from, missing.to)?;
        }
        self.problems.iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<36}  {:<10} {:>3}  {:<18} {:<12} {:<12} {:<11} decision",
            "passage", "lane", "rev", "state", "front", "rear", "packet"
        )?;
        for line in &self.passages {
            let packet = &line.packet;
            let state = serde_json::to_value(packet.state).unwrap_or_default();
            let decision = match (&line.command_id, &line.command_state) {
                (None, _) => "-",
                (Some(_), None) => "sent",
                (Some(_), Some(state)) => state,
            };
            writeln!(
                f,
                "{:<36}  {:<10} {:>3}  {:<18} {:<12} {:<12} {:<11} {decision}",
                packet.passage_id,
                packet.lane,
                packet.revision,
                state.as_str().unwrap_or_default(),
                plate(&packet.plate_front),
                plate(&packet.plate_rear),
                if packet.complete { "complete" } else { "incomplete" },
            )?;
        }
        writeln!(f)?;
        write!(f, "{}", self.summary)
    }
}
