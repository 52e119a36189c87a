//! Lanes and stations: their names and their order.

use std::ops::Range;

use interface::ReadingKind;
use toml::de::DeTable;

use crate::load::Report;
use crate::tree::{Node, number, tables, text};

/// A lane as far as it can be read.
pub(crate) struct LaneView<'a> {
    pub id: Option<&'a str>,
    pub stations: Vec<StationView<'a>>,
}

/// A station as far as it can be read.
pub(crate) struct StationView<'a> {
    pub path: String,
    pub id: Option<&'a str>,
    /// The required readings that can be read, with their places.
    pub required: Vec<(ReadingKind, Range<usize>)>,
}

/// Every `lane/station` there is.
pub(crate) fn places(lanes: &[LaneView<'_>]) -> Vec<String> {
    let of_lane = |lane: &LaneView<'_>| {
        let lane_id = lane.id?;
        Some(
            lane.stations
                .iter()
                .filter_map(move |station| Some(format!("{lane_id}/{}", station.id?)))
                .collect::<Vec<_>>(),
        )
    };
    lanes.iter().filter_map(of_lane).flatten().collect()
}

/// Reads the lanes and reports names that are used twice and stations out of order.
pub(crate) fn check<'a>(report: &mut Report<'_>, top: &'a DeTable<'a>) -> Vec<LaneView<'a>> {
    let mut lanes = Vec::new();
    let mut names = Names::default();
    for (lane_index, lane, _) in tables(top, "lane") {
        let path = format!("lane[{lane_index}]");
        names.check(report, lane, &path, "lane");
        let mut stations = Vec::new();
        let mut station_names = Names::default();
        let mut before: Option<(f64, Range<usize>)> = None;
        for (station_index, station, _) in tables(lane, "station") {
            let path = format!("{path}.station[{station_index}]");
            station_names.check(report, station, &path, "station of the lane");
            let position = number(station, "position_m").filter(|(position, _)| position.is_finite());
            if let Some((position, span)) = position {
                if let Some((previous, place)) = before.as_ref().filter(|(previous, _)| position <= *previous)
                {
                    let line = report.line(place);
                    let message = format!(
                        "`position_m`: {position} m is not further than the station before it, {previous} m (line {line}); \
                         stations stand in driving order"
                    );
                    report.error(&format!("{path}.position_m"), span.clone(), message);
                }
                before = Some((position, span));
            }
            let required = station.get("required").and_then(|node| node.get_ref().as_array());
            let required = required.into_iter().flat_map(|list| list.iter()).filter_map(kind);
            let id = text(station, "id").map(|(id, _)| id);
            stations.push(StationView { path, id, required: required.collect() });
        }
        lanes.push(LaneView { id: text(lane, "id").map(|(id, _)| id), stations });
    }
    lanes
}

fn kind(node: &Node<'_>) -> Option<(ReadingKind, Range<usize>)> {
    let word = node.get_ref().as_str()?;
    let kind = ReadingKind::ALL.iter().find(|kind| kind.word() == word)?;
    Some((*kind, node.span()))
}

/// Finds names that are used twice.
#[derive(Default)]
pub(crate) struct Names<'a>(Vec<(&'a str, Range<usize>)>);

impl<'a> Names<'a> {
    /// Reports the `id` of `table` if it was there before; `noun` is what has the name.
    pub fn check(&mut self, report: &mut Report<'_>, table: &'a DeTable<'_>, path: &str, noun: &str) {
        let Some((id, span)) = text(table, "id") else { return };
        match self.0.iter().find(|(known, _)| *known == id) {
            Some((_, first)) => {
                let line = report.line(first);
                let message = format!("the id is already used in line {line}; every {noun} needs its own");
                report.error(&format!("{path}.id"), span, message);
            }
            None => self.0.push((id, span)),
        }
    }
}
