//! Sensors: each is read by the protocol that it names.

use std::ops::Range;
use std::path::Path;

use interface::{ConfigError, Plan, Protocol, SensorId, find_protocol};
use serde_json::Value;
use toml::de::DeTable;

use crate::load::{ConfiguredSensor, Report};
use crate::shape;
use crate::stations::{LaneView, Names, places};
use crate::tree::{join, plain_table, tables, text};

/// The keys that every sensor has; the others belong to its protocol.
pub(crate) const COMMON_KEYS: [&str; 3] = ["id", "station", "protocol"];

/// A sensor as far as it can be read.
pub(crate) struct SensorView<'a> {
    pub path: String,
    pub id: Option<&'a str>,
    /// Place of the table's header.
    pub span: Range<usize>,
    pub line: usize,
    /// Positions of the lane and of the station in it.
    pub place: Option<(usize, usize)>,
    pub protocol: Option<&'static str>,
    /// What would run; only if nothing is wrong with the parameters.
    pub plan: Option<Box<dyn Plan>>,
}

impl SensorView<'_> {
    /// The sensor, if all of it could be read.
    pub fn configured(self, lanes: &[LaneView<'_>]) -> Option<ConfiguredSensor> {
        let (lane, station) = self.place?;
        let lane = lanes.get(lane)?;
        Some(ConfiguredSensor {
            id: SensorId(self.id?.to_owned()),
            lane: lane.id?.to_owned(),
            station: lane.stations.get(station)?.id?.to_owned(),
            protocol: self.protocol?,
            plan: self.plan?,
            line: self.line,
        })
    }
}

/// Reads every sensor. `folder` is the site file's folder.
pub(crate) fn read<'a>(
    report: &mut Report<'_>,
    top: &'a DeTable<'a>,
    lanes: &[LaneView<'a>],
    catalogue: &[&dyn Protocol],
    folder: &Path,
) -> Vec<SensorView<'a>> {
    let places = places(lanes);
    let mut names = Names::default();
    let mut sensors = Vec::new();
    for (index, table, span) in tables(top, "sensor") {
        let path = format!("sensor[{index}]");
        names.check(report, table, &path, "sensor");
        let place = station(report, table, &path, lanes, &places);
        let protocol = protocol(report, table, &path, catalogue);
        let plan = protocol.and_then(|protocol| parameters(report, table, &span, &path, protocol, folder));
        sensors.push(SensorView {
            id: text(table, "id").map(|(id, _)| id),
            line: report.line(&span),
            place,
            protocol: protocol.map(|protocol| protocol.name()),
            plan,
            path,
            span,
        });
    }
    sensors
}

fn station(
    report: &mut Report<'_>,
    table: &DeTable<'_>,
    path: &str,
    lanes: &[LaneView<'_>],
    places: &[String],
) -> Option<(usize, usize)> {
    let (wanted, span) = text(table, "station")?;
    let (lane_id, station_id) = wanted.split_once('/').unwrap_or(("", wanted));
    let found = lanes.iter().enumerate().find_map(|(lane_index, lane)| {
        let at = lane.stations.iter().position(|station| station.id == Some(station_id))?;
        (lane.id == Some(lane_id)).then_some((lane_index, at))
    });
    // Without any lane that can be read, that is what has been reported.
    if found.is_none() && !(places.is_empty() && report.has_reported("lane")) {
        let message = unknown("station", wanted, places);
        report.error(&join(path, "station"), span, message);
    }
    found
}

fn protocol<'c>(
    report: &mut Report<'_>,
    table: &DeTable<'_>,
    path: &str,
    catalogue: &[&'c dyn Protocol],
) -> Option<&'c dyn Protocol> {
    let (wanted, span) = text(table, "protocol")?;
    let found = find_protocol(catalogue, wanted);
    if found.is_none() {
        let known: Vec<String> = catalogue.iter().map(|protocol| protocol.name().to_owned()).collect();
        report.error(&join(path, "protocol"), span, unknown("protocol", wanted, &known));
    }
    found
}

fn unknown(noun: &str, word: &str, known: &[String]) -> String {
    let meant = shape::nearest(word, known).map(|word| format!(", did you mean \"{word}\"?"));
    let end = if meant.is_some() { "" } else { ";" };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("unknown {noun} \"{}\"{}{end} known: {known}", word.escape_debug(), meant.unwrap_or_default())
}

/// Lets the protocol read its parameters. Everything that its schema knows is checked first, so that several
/// problems are found at once; then the protocol reads what is left.
fn parameters(
    report: &mut Report<'_>,
    table: &DeTable<'_>,
    span: &Range<usize>,
    path: &str,
    protocol: &dyn Protocol,
    folder: &Path,
) -> Option<Box<dyn Plan>> {
    let own: DeTable<'_> = table
        .iter()
        .filter(|(key, _)| !COMMON_KEYS.contains(&key.get_ref().as_ref()))
        .map(|(key, node)| (key.clone(), node.clone()))
        .collect();
    let schema = protocol.schema().to_value();
    let misfits = shape::check_table(&schema, &schema, &own, span.clone(), path);
    let clean = misfits.is_empty() && !own.keys().any(|key| report.has_reported(&join(path, key.get_ref())));
    report.misfits(misfits);
    let mut parameters = plain_table(&own, path, &report.unusable);
    resolve_paths(&mut parameters, &schema, folder);
    match protocol.parse(parameters) {
        Ok(plan) => clean.then_some(plan),
        Err(error) => {
            explain_error(report, &own, span, path, &error, clean);
            None
        }
    }
}

/// Makes relative paths relative to the site file's folder: string parameters whose schema says `"format": "path"`. The
/// name of a systemd credential stays as it is.
fn resolve_paths(parameters: &mut toml::Table, schema: &Value, folder: &Path) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        if property.get("format").and_then(Value::as_str) != Some("path") {
            continue;
        }
        if let Some(toml::Value::String(path)) = parameters.get_mut(key)
            && !path.starts_with("credential:")
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
}

/// Reports what a protocol says of its parameters, unless it only follows from what has been reported already.
/// `clean` is whether nothing has.
fn explain_error(
    report: &mut Report<'_>,
    own: &DeTable<'_>,
    header: &Range<usize>,
    path: &str,
    error: &ConfigError,
    clean: bool,
) {
    let field = error.field.as_deref().unwrap_or("");
    let here = if field.is_empty() { path.to_owned() } else { join(path, field) };
    // Serde names the key that it misses or does not know between the first two backticks.
    let named = error.message.split('`').nth(1);
    let key = named.map(|name| join(&here, name)).unwrap_or_default();
    let follows =
        report.has_reported(&key) || if field.is_empty() { !clean } else { report.has_reported(&here) };
    if follows && !clean {
        return;
    }
    let misspelt = named.and_then(|name| own.get_key_value(name)).map(|(key, _)| key.span());
    let span = match (field, misspelt) {
        ("", Some(span)) => span,
        ("", None) => header.clone(),
        _ => report.span(&here),
    };
    let message = error.message.clone();
    report.error(&here, span, if field.is_empty() { message } else { format!("`{field}`: {message}") });
}
