//! Reads and checks a whole site file.
//!
//! The file is parsed into a tree with places, the tree is held against the JSON Schema that is generated from the
//! types (which finds every misspelt key and wrong value), then against itself (names, places, claims), and only then
//! read into the types. A part with a problem does not keep the other parts from being checked.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use interface::{Plan, Protocol, SensorId, Sha256};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::file::{Iispp, Lane, Recognition, SiteName, Status, Storage, Timing};
use crate::place::Source;
use crate::problem::{Problem, Problems, Severity};
use crate::shape::{self, Misfit};
use crate::tree::{Node, plain, span_of, tables, text};
use crate::{references, schema, secrets, sections, sensors, stations};

/// A site file without errors: what will run.
pub struct Site {
    /// Which checkpoint and which box this is.
    pub site: SiteName,
    /// The lanes, at least one.
    pub lanes: Vec<Lane>,
    /// The sensors, in the order of the file.
    pub sensors: Vec<ConfiguredSensor>,
    /// Where packets go; `None`: they stay in the outbox.
    pub iispp: Option<Iispp>,
    /// Where data is kept, and how much of it.
    pub storage: Storage,
    /// Recognition on the box, if there is one.
    pub recognition: Option<Recognition>,
    /// The metrics page.
    pub status: Status,
    /// Time limits of the engine.
    pub timing: Timing,
    /// Digest of the file's text: the configuration hash of the birth message.
    pub sha256: Sha256,
    /// What is probably not as wished.
    pub warnings: Vec<Problem>,
}

/// A sensor that is checked and ready to start.
pub struct ConfiguredSensor {
    /// Its name.
    pub id: SensorId,
    /// The lane it stands in.
    pub lane: String,
    /// The station of that lane.
    pub station: String,
    /// Name of its protocol.
    pub protocol: &'static str,
    /// What will run.
    pub plan: Box<dyn Plan>,
    /// Line of its table in the site file, from 1.
    pub line: usize,
}

impl fmt::Debug for ConfiguredSensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, lane, station, protocol, line, .. } = self;
        write!(f, "sensor {id} at {lane}/{station} by {protocol} (line {line})")
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("site", &self.site)
            .field("lanes", &self.lanes)
            .field("sensors", &self.sensors)
            .finish_non_exhaustive()
    }
}

/// Reads the site file `file`, whose content is `text`, with the protocols of `catalogue`. Looks at the files that are
/// named in it, touches nothing else.
///
/// # Errors
///
/// Every problem of the file, warnings included, if at least one of them is an error.
pub fn load(text: &str, file: &Path, catalogue: &[&dyn Protocol]) -> Result<Site, Problems> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
    load_with(text, file, catalogue, credentials.as_deref())
}

/// [`load`] with the folder of systemd's credentials.
pub(crate) fn load_with(
    text: &str,
    file: &Path,
    catalogue: &[&dyn Protocol],
    credentials: Option<&Path>,
) -> Result<Site, Problems> {
    // The file's place is its beginning: what is missing as a whole is reported there.
    let parsed =
        DeTable::parse(text).map(|document| Spanned::new(0..0, DeValue::Table(document.into_inner())));
    let empty = Spanned::new(0..0, DeValue::Table(DeTable::new()));
    let mut report = Report::new(text, file, parsed.as_ref().unwrap_or(&empty));
    if let Err(error) = &parsed {
        for value in secrets::on_lines(text) {
            report.source.hide(value);
        }
        report.error("", error.span().unwrap_or(0..0), format!("not valid TOML: {}", error.message()));
        return Err(Problems(report.problems));
    }
    let root = report.root;
    let Some(top) = root.get_ref().as_table() else { return Err(Problems(report.problems)) };

    for secret in secrets::find(top, "") {
        report.source.hide(secret.span.clone());
        report.error(&secret.path, secret.span, secret.message);
        report.unusable.insert(secret.path);
    }
    let file_schema = schema::of_file();
    report.misfits(shape::check(&file_schema, &file_schema, root, ""));

    let lanes = stations::check(&mut report, top);
    let folder = file.parent().unwrap_or(Path::new(""));
    let sensors = sensors::read(&mut report, top, &lanes, catalogue, folder);
    sections::check_listen(&mut report, top);
    sections::check_iispp(&mut report, top, folder, credentials);
    let site = report.section::<SiteName>("site");
    let lane_list = report.section::<Vec<Lane>>("lane");
    let mut iispp = report.section::<Iispp>("iispp");
    let mut storage = report.section_or_default::<Storage>("storage");
    let mut recognition = report.section::<Recognition>("recognition");
    let status = report.section_or_default::<Status>("status");
    let timing = report.section_or_default::<Timing>("timing");
    if let Some(iispp) = &mut iispp {
        iispp.tls = iispp.tls.take().map(|tls| tls.below(folder));
    }
    sections::check_storage(&mut report, storage.as_mut(), folder);
    sections::check_recognition(&mut report, recognition.as_mut(), folder, credentials);
    references::check(&mut report, top, &lanes, &sensors, status.as_ref());

    let sensors: Option<Vec<_>> = sensors.into_iter().map(|sensor| sensor.configured(&lanes)).collect();
    let mut problems = report.finish();
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Problems(problems));
    }
    let parts = (site, lane_list, sensors, storage, status, timing);
    let (Some(site), Some(lanes), Some(sensors), Some(storage), Some(status), Some(timing)) = parts else {
        // Every way to lose a part has reported an error above; refuse rather than run on a guess if one has not.
        problems.push(Problem {
            severity: Severity::Error,
            file: file.display().to_string(),
            line: 1,
            column: 1,
            field: String::new(),
            message: "the file could not be read completely".to_owned(),
            excerpt: String::new(),
        });
        return Err(Problems(problems));
    };
    let sha256 = Sha256::of(text.as_bytes());
    Ok(Site { site, lanes, sensors, iispp, storage, recognition, status, timing, sha256, warnings: problems })
}

/// Collects problems while the file is checked.
pub(crate) struct Report<'a> {
    pub source: Source<'a>,
    pub root: &'a Node<'a>,
    /// Paths of values that have been reported and are left out when the rest is read.
    pub unusable: BTreeSet<String>,
    /// Paths of everything that has been reported by the schema, missing keys included.
    reported: BTreeSet<String>,
    file: String,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    fn new(text: &'a str, file: &Path, root: &'a Node<'a>) -> Self {
        Self {
            source: Source::new(text),
            root,
            unusable: BTreeSet::new(),
            reported: BTreeSet::new(),
            file: file.display().to_string(),
            problems: Vec::new(),
        }
    }

    /// Reports an error in the field at `path`; `span` is where to point.
    pub fn error(&mut self, path: &str, span: Range<usize>, message: String) {
        self.add(Severity::Error, path, &span, message);
    }

    /// Reports a warning.
    pub fn warning(&mut self, path: &str, span: Range<usize>, message: String) {
        self.add(Severity::Warning, path, &span, message);
    }

    fn add(&mut self, severity: Severity, path: &str, span: &Range<usize>, message: String) {
        let place = self.source.place(span);
        let (label, _) = self.label(path);
        let message = if label.is_empty() { message } else { format!("{label}: {message}") };
        self.problems.push(Problem {
            severity,
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            field: path.to_owned(),
            message,
            excerpt: place.excerpt,
        });
    }

    /// Reports what a schema check found, but for what is a secret anyway.
    pub fn misfits(&mut self, misfits: Vec<Misfit>) {
        for Misfit { path, key, span, what } in misfits {
            if self.is_unusable(&path) {
                continue;
            }
            let (_, field) = self.label(&path);
            self.add(Severity::Error, &path, &span, what.sentence(&field, &key));
            if what != shape::What::Missing {
                self.unusable.insert(path.clone());
            }
            self.reported.insert(path);
        }
    }

    /// Whether something at or below `path` has been reported.
    pub fn has_reported(&self, path: &str) -> bool {
        let below = |other: &String| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.unusable.iter().any(below) || self.reported.iter().any(below)
    }

    fn is_unusable(&self, path: &str) -> bool {
        self.unusable.iter().any(|bad| {
            path.strip_prefix(bad.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Line of a place, from 1.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.source.place(span).line
    }

    /// Where the value at `path` stands.
    pub fn span(&self, path: &str) -> Range<usize> {
        span_of(self.root, path)
    }

    /// How a person calls the part of the file that `path` lies in, and the rest of the path.
    fn label(&self, path: &str) -> (String, String) {
        let (head, rest) = path.split_once('.').unwrap_or((path, ""));
        let index = |step: &str, key: &str| -> Option<usize> {
            step.strip_prefix(key)?.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
        };
        let table = self.root.get_ref().as_table();
        let entry = |table: Option<&'a DeTable<'a>>, key: &str, at: usize| {
            let items = table.map(|table| tables(table, key)).unwrap_or_default();
            items.into_iter().find(|(index, ..)| *index == at).map(|(_, table, _)| table)
        };
        let id = |table: Option<&'a DeTable<'a>>| {
            Some(text(table?, "id")?.0.escape_debug().to_string()).filter(|id| !id.is_empty())
        };
        let name = |noun: &str, id: Option<String>, at: usize| match id {
            Some(id) => format!("{noun} \"{id}\""),
            None => format!("{noun} number {}", at + 1),
        };
        if let Some(at) = index(head, "sensor") {
            return (name("sensor", id(entry(table, "sensor", at)), at), rest.to_owned());
        }
        if let Some(at) = index(head, "lane") {
            let lane = entry(table, "lane", at);
            let (step, below) = rest.split_once('.').unwrap_or((rest, ""));
            let Some(station_at) = index(step, "station") else {
                return (name("lane", id(lane), at), rest.to_owned());
            };
            let station = match (id(lane), id(entry(lane, "station", station_at))) {
                (Some(lane), Some(station)) => format!("station \"{lane}/{station}\""),
                (lane, station) => {
                    format!("{} of {}", name("station", station, station_at), name("lane", lane, at))
                }
            };
            return (station, below.to_owned());
        }
        let is_table = matches!(head, "site" | "iispp" | "storage" | "recognition" | "status" | "timing");
        if is_table && !rest.is_empty() {
            return (format!("[{head}]"), rest.to_owned());
        }
        (String::new(), path.to_owned())
    }

    /// Reads the part of the file called `key` into its type, as far as it is usable.
    pub fn section<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let node = self.root.get_ref().as_table()?.get(key)?;
        let value = plain(node, key, &self.unusable)?;
        match serde_path_to_error::deserialize::<_, T>(value) {
            Ok(part) => Some(part),
            Err(error) => {
                // With a value left out the type may miss it; that has been reported where it stands.
                if !self.has_reported(key) {
                    let path = format!("{key}.{}", error.path());
                    self.error(&path, self.span(&path), error.inner().to_string().trim().to_owned());
                }
                None
            }
        }
    }

    fn section_or_default<T: DeserializeOwned + Default>(&mut self, key: &str) -> Option<T> {
        let present = self.root.get_ref().as_table().is_some_and(|table| table.contains_key(key));
        if present { self.section(key) } else { Some(T::default()) }
    }

    /// Every problem, in the order of the lines.
    fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
        self.problems.dedup();
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[site]\nid='a'\nbox='b'\n[[lane]]\nid='l'\ndirection='out'\nstation=[{id='s',position_m=0}]\n\
         [iispp]\nhost='broker'\n[iispp.tls]\n";

    fn with_credentials(folder: Option<&Path>) -> Result<Site, Problems> {
        let keys =
            ["ca_file", "certificate_file", "key_file"].map(|key| format!("{key} = 'credential:{key}'\n"));
        load_with(&format!("{FILE}{}", keys.concat()), Path::new("/etc/site.toml"), &[], folder)
    }

    #[test]
    fn credentials_are_looked_for_where_systemd_puts_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ca_file", "certificate_file"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let problems = with_credentials(Some(folder.path())).unwrap_err();
        let errors: Vec<_> = problems.0.iter().filter(|it| it.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1, "{problems}");
        assert_eq!(errors[0].field, "iispp.tls.key_file");
    }

    #[test]
    fn credentials_cannot_be_checked_outside_of_the_unit() {
        let site = with_credentials(None).unwrap();
        assert_eq!(site.warnings.iter().filter(|it| it.field.starts_with("iispp.tls")).count(), 3);
        let key = site.iispp.unwrap().tls.unwrap().key_file;
        assert_eq!(key, crate::FileReference::Credential("key_file".into()));
    }
}
