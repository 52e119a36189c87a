//! The journal: every input of the engine, on disk before the engine sees it.
//!
//! Segments `journal-00000001.jsonl`, … hold one line per observation in the published form, and lines
//! `{"input":…}` for what else the engine is told (decisions, sensors lost and found). The first line of a segment is
//! a header with the engine's snapshot at that moment, so that a restart needs the newest segment only. A segment is
//! begun under another name and renamed, so its header is always whole; a line that a crash cut short is at the end of
//! the newest segment and was never seen by the engine.
//!
//! Bounded: segments of `segment_bytes` each, and no more than `segments` of them. The oldest goes first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use replay::{Header, Line, Record, parse_line, write_line};

/// Sizes of a journal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A segment that has grown to this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// How many segments are kept, the open one included; at least 2.
    pub segments: usize,
}

/// What the newest segment held when the journal was opened.
#[derive(Debug)]
pub struct Recovered {
    /// Its header.
    pub header: Header,
    /// Its inputs in order.
    pub records: Vec<Record>,
    /// Bytes of a last line that a crash cut short; removed.
    pub torn_bytes: u64,
    /// Lines that could not be read, with line number and reason; skipped.
    pub unreadable: Vec<(usize, String)>,
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    limits: Limits,
    number: u64,
    file: File,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the journal in `directory`; without one, begins it with `header`.
    pub fn open(directory: &Path, limits: Limits, header: &Header) -> io::Result<(Self, Option<Recovered>)> {
        fs::create_dir_all(directory)?;
        let Some((number, path)) = segments(directory)?.pop() else {
            return Ok((Self::begin(directory, limits, 1, header)?, None));
        };
        let recovered = recover(&path)?;
        let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len().saturating_sub(recovered.torn_bytes);
        if recovered.torn_bytes > 0 {
            file.set_len(bytes)?;
        }
        file.flush()?;
        let journal =
            Self { directory: directory.to_owned(), limits, number, file, bytes, buffer: Vec::new() };
        Ok((journal, Some(recovered)))
    }

    fn begin(directory: &Path, limits: Limits, number: u64, header: &Header) -> io::Result<Self> {
        let path = directory.join(format!("journal-{number:08}.jsonl"));
        let draft = directory.join("next-segment.tmp");
        let mut text = serde_json::to_vec(header)?;
        text.push(b'\n');
        let mut file = File::create(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(directory)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(Self {
            directory: directory.to_owned(),
            limits,
            number,
            file,
            bytes: text.len() as u64,
            buffer: Vec::new(),
        })
    }

    /// Appends `records` with one write. On an error nothing of them may be used, and the file is cut back.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            write_line(&mut self.buffer, record)?;
        }
        if let Err(error) = self.file.write_all(&self.buffer) {
            // A half written line in the middle of a segment would hide the lines after it.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Waits until all appended lines are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether the open segment has reached its size.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.limits.segment_bytes
    }

    /// Begins the next segment with `header` and removes the oldest ones beyond the limit.
    pub fn rotate(&mut self, header: &Header) -> io::Result<()> {
        self.sync()?;
        *self = Self::begin(&self.directory, self.limits, self.number + 1, header)?;
        let all = segments(&self.directory)?;
        let surplus = all.len().saturating_sub(self.limits.segments.max(2));
        all.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// The segments in `directory`, oldest first.
pub fn segments(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("journal-")?.strip_suffix(".jsonl")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn recover(path: &Path) -> io::Result<Recovered> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut header = None;
    let mut records = Vec::new();
    let mut unreadable = Vec::new();
    let mut torn_bytes = 0;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            torn_bytes = line.len() as u64;
            break;
        }
        let text = String::from_utf8_lossy(&line);
        match parse_line(text.trim_end()) {
            Ok(Line::Header(found)) => header = Some(*found),
            Ok(Line::Record(record)) => records.push(*record),
            Err(error) => unreadable.push((number, error.to_string())),
        }
    }
    let header = header.ok_or_else(|| {
        let text = format!(
            "{}: expected a first line {{\"journal\":1,…}}; move the file away to start without it",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    Ok(Recovered { header, records, torn_bytes, unreadable })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use interface::{Observation, ObservationId, Reading, SensorId, Stamp};
    use passage::Input;
    use replay::VERSION;

    fn header() -> Header {
        Header {
            journal: VERSION,
            site: "S".into(),
            box_id: "b".into(),
            last_seq: BTreeMap::new(),
            snapshot: None,
        }
    }

    fn record(seq: u64) -> Record {
        let stamp = Stamp { mono_ms: seq * 10, ..Stamp::default() };
        let observation = Observation {
            id: ObservationId { sensor: SensorId::from("loop"), seq },
            stamp: stamp.clone(),
            device_at: None,
            evidence: Vec::new(),
            reading: Reading::Presence { occupied: seq.is_multiple_of(2) },
        };
        Record { stamp, input: Input::Observation(observation) }
    }

    const LIMITS: Limits = Limits { segment_bytes: 500, segments: 2 };

    #[test]
    fn what_was_appended_is_recovered_and_a_torn_line_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, recovered) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        assert!(recovered.is_none());
        let lost = Record {
            stamp: Stamp { mono_ms: 30, ..Stamp::default() },
            input: Input::SensorState { sensor: SensorId::from("loop"), offline: true },
        };
        journal.append(&[record(1), record(2), lost.clone()]).unwrap();
        drop(journal);
        let path = &segments(directory.path()).unwrap()[0].1;
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"sensor\":\"lo").unwrap();

        let (mut journal, recovered) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        let recovered = recovered.unwrap();
        assert_eq!(recovered.records, [record(1), record(2), lost]);
        assert_eq!(recovered.torn_bytes, 13);
        journal.append(&[record(4)]).unwrap();
        let (_, recovered) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        let recovered = recovered.unwrap();
        assert_eq!(recovered.records.len(), 4);
        assert!(recovered.unreadable.is_empty());
    }

    #[test]
    fn segments_are_bounded_and_only_the_newest_is_recovered() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        for seq in 0..40 {
            journal.append(&[record(seq)]).unwrap();
            if journal.is_full() {
                let mut header = header();
                header.last_seq.insert(SensorId::from("loop"), seq);
                journal.rotate(&header).unwrap();
            }
        }
        assert_eq!(segments(directory.path()).unwrap().len(), 2);
        let (_, recovered) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        let recovered = recovered.unwrap();
        let last = recovered.header.last_seq[&SensorId::from("loop")];
        assert_eq!(last + recovered.records.len() as u64, 39);
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        journal.append(&[record(1)]).unwrap();
        let path = &segments(directory.path()).unwrap()[0].1;
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"not json\n").unwrap();
        journal.append(&[record(2)]).unwrap();
        let (_, recovered) = Journal::open(directory.path(), LIMITS, &header()).unwrap();
        let recovered = recovered.unwrap();
        assert_eq!(recovered.records, [record(1), record(2)]);
        assert_eq!(recovered.unreadable[0].0, 3);
    }
}
