//! What the parts of the file say about each other: claims on one device, readings that nobody gives.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use interface::{ReadingKind, Resource};
use toml::de::DeTable;

use crate::file::Status;
use crate::load::Report;
use crate::sensors::SensorView;
use crate::stations::LaneView;

/// Checks what needs lanes, sensors and sections together.
pub(crate) fn check(
    report: &mut Report<'_>,
    top: &DeTable<'_>,
    lanes: &[LaneView<'_>],
    sensors: &[SensorView<'_>],
    status: Option<&Status>,
) {
    claims(report, sensors, status);
    required_readings(report, lanes, sensors);
    if !top.contains_key("recognition") {
        for sensor in sensors
            .iter()
            .filter(|sensor| sensor.plan.as_ref().is_some_and(|plan| plan.recognition().is_some()))
        {
            let message = "a camera, but there is no [recognition]: its pictures are not read".to_owned();
            report.warning(&sensor.path, sensor.span.clone(), message);
        }
    }
    let faces = top.get("recognition").and_then(|node| node.get_ref().as_table());
    if faces.is_some_and(|table| !table.contains_key("faces")) {
        let reads_faces = |sensor: &&SensorView<'_>| {
            let sight = sensor.plan.as_ref().and_then(|plan| plan.recognition());
            sight.is_some_and(|sight| sight.reads.contains(&ReadingKind::Face))
        };
        for sensor in sensors.iter().filter(reads_faces) {
            let message = "reads faces, but there is no [recognition.faces]: none are read".to_owned();
            report.warning(&sensor.path, sensor.span.clone(), message);
        }
    }
    if lanes.iter().any(|lane| !lane.stations.is_empty()) && !top.contains_key("sensor") {
        report.warning("", 0..0, "there is no [[sensor]]: nothing will be seen".to_owned());
    }
}

struct Claim {
    resource: Resource,
    owner: String,
    line: Option<usize>,
}

fn claims(report: &mut Report<'_>, sensors: &[SensorView<'_>], status: Option<&Status>) {
    let mut known: Vec<Claim> = Vec::new();
    if let Some(status) = status.filter(|status| status.listen.port() != 0) {
        let path = "status.listen";
        let written = report.root.get_ref().as_table().is_some_and(|top| top.contains_key("status"));
        let line = written.then(|| report.line(&report.span(path)));
        let resource = Resource::Listen(status.listen.to_string());
        known.push(Claim { resource, owner: "[status]".to_owned(), line });
    }
    for sensor in sensors {
        let Some(plan) = &sensor.plan else { continue };
        let owner = format!("sensor \"{}\"", sensor.id.unwrap_or_default().escape_debug());
        let mut own = Vec::new();
        for resource in plan.claims() {
            let resource = canonical(resource);
            if let Some(other) = known.iter().find(|other| conflict(&other.resource, &resource)) {
                let line = other.line.map_or_else(|| "default".to_owned(), |line| format!("line {line}"));
                let message = format!(
                    "{resource} is already used by {} ({line}); only one of the two can have it",
                    other.owner
                );
                report.error(&sensor.path, sensor.span.clone(), message);
            }
            own.push(Claim { resource, owner: owner.clone(), line: Some(sensor.line) });
        }
        known.extend(own);
    }
}

/// One name for what has several, as far as it exists on this machine: `/dev/serial/by-id/…` is a link.
fn canonical(resource: Resource) -> Resource {
    let real = |path: String| {
        let real = std::fs::canonicalize(Path::new(&path));
        real.map_or(path, |real| real.to_string_lossy().into_owned())
    };
    match resource {
        Resource::SerialPort(port) => Resource::SerialPort(real(port)),
        Resource::Folder(folder) => Resource::Folder(real(folder)),
        other => other,
    }
}

fn conflict(a: &Resource, b: &Resource) -> bool {
    if let (Resource::Listen(a), Resource::Listen(b)) = (a, b) {
        let (a, b) = (a.parse::<SocketAddr>(), b.parse::<SocketAddr>());
        if let (Ok(a), Ok(b)) = (a, b) {
            // 0.0.0.0 and :: listen on every address. Port 0 is any free port.
            let everywhere = a.ip().is_unspecified() || b.ip().is_unspecified();
            return a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || everywhere);
        }
    }
    a == b
}

/// Warns of required readings that no sensor of the station gives. Stays silent where a sensor could not be read.
fn required_readings(report: &mut Report<'_>, lanes: &[LaneView<'_>], sensors: &[SensorView<'_>]) {
    if sensors.iter().any(|sensor| sensor.place.is_none()) {
        return;
    }
    let mut warnings: Vec<(String, Range<usize>, String)> = Vec::new();
    for (lane_index, lane) in lanes.iter().enumerate() {
        for (station_index, station) in lane.stations.iter().enumerate() {
            let here = || sensors.iter().filter(|sensor| sensor.place == Some((lane_index, station_index)));
            if here().any(|sensor| sensor.plan.is_none()) {
                continue;
            }
            for (kind, span) in &station.required {
                let given = here()
                    .filter_map(|sensor| sensor.plan.as_ref())
                    .any(|plan| plan.readings().contains(kind));
                if !given {
                    let message = format!(
                        "`required`: no sensor of this station gives {kind}, so every packet of the lane would be incomplete"
                    );
                    warnings.push((format!("{}.required", station.path), span.clone(), message));
                }
            }
        }
    }
    for (path, span, message) in warnings {
        report.warning(&path, span, message);
    }
}
