//! From the site file to the engine's picture of the checkpoint.

use firmware_config::{Direction, Site};
use passage::{Checkpoint, Lane, LaneId, SensorPlace, Station, StationId, Timing};

/// The checkpoint as the engine sees it.
pub fn checkpoint(site: &Site) -> Checkpoint {
    let lanes = site.lanes.iter().map(|lane| Lane {
        id: LaneId(lane.id.clone()),
        direction: match lane.direction {
            Direction::In => passage::Direction::In,
            Direction::Out => passage::Direction::Out,
        },
        stations: lane
            .stations
            .iter()
            .map(|station| Station {
                id: StationId(station.id.clone()),
                position_m: station.position_m,
                required: station.required.clone(),
                deadline_ms: station.deadline_ms(),
            })
            .collect(),
    });
    let sensors = site.sensors.iter().map(|sensor| {
        let place = SensorPlace {
            lane: LaneId(sensor.lane.clone()),
            station: StationId(sensor.station.clone()),
            readings: sensor.plan.readings(),
            view: sensor.plan.recognition().and_then(|sight| sight.view),
            // Who sees pictures is the box itself.
            box_clock: sensor.plan.recognition().is_some(),
        };
        (sensor.id.clone(), place)
    });
    Checkpoint {
        site: site.site.id.clone(),
        box_id: site.site.box_id.clone(),
        lanes: lanes.collect(),
        sensors: sensors.collect(),
        timing: Timing {
            amendment_window_ms: site.timing.amendment_window_s * 1000,
            decision_ms: site.timing.decision_s * 1000,
            expiry_ms: site.timing.expiry_s * 1000,
            gather_ms: site.timing.gather_ms,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::catalogue::catalogue;

    /// The site files of simulated traffic are good ones, and say what the simulation runs the engine with.
    #[test]
    fn generated_site_files_are_read_as_they_were_meant() {
        for seed in 0..12 {
            let wanted = traffic::Layout::draw(seed, 3, None, &traffic::Noise::world());
            let site = firmware_config::load(&wanted.site_file(), Path::new("site.toml"), &catalogue());
            let site = site.unwrap_or_else(|problems| panic!("seed {seed}: {problems}"));
            assert_eq!(checkpoint(&site), wanted.checkpoint, "seed {seed}");
        }
    }
}
