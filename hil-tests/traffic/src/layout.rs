//! Checkpoints: lanes, stations and sensors, drawn from a seed.

use std::collections::BTreeMap;
use std::fmt::Write;

use interface::{ReadingKind, SensorId, View};
use passage::{Checkpoint, Direction, Lane, LaneId, SensorPlace, Station, StationId, Timing};

use crate::noise::Noise;
use crate::random::Random;

/// The layouts that can be asked for by name; any other seed draws one of them.
pub const LAYOUTS: &[&str] =
    &["full", "short", "long", "out", "no-exit-loop", "no-booth-loop", "camera-only", "shuffled"];

/// What a station is for: what a vehicle does there, and what it is equipped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Where the lane begins.
    Entry,
    /// Radiation portal.
    Portal,
    /// Dimension gauge.
    Gauge,
    /// Scale.
    Scale,
    /// Booth: an officer, documents, faces.
    Booth,
    /// Undercarriage view.
    Pit,
    /// Where the lane ends: mostly a barrier.
    Exit,
}

/// A sensor as it is built in.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Its name in the site file.
    pub id: SensorId,
    /// What it measures.
    pub kind: ReadingKind,
    /// For cameras: which end it looks at.
    pub view: View,
    /// Where it looks, metres from the start of the lane.
    pub at_m: f64,
    /// Length of a loop along the lane, metres; a light barrier has 0.1.
    pub width_m: f64,
    /// How far away a camera reads a plate, metres.
    pub reach_m: f64,
    /// Median time from the event to the box, seconds.
    pub latency_s: f64,
    /// Whether it says its own time.
    pub has_clock: bool,
    /// Its clock's constant error, seconds.
    pub clock_off_s: f64,
    /// Its clock's drift, seconds per second.
    pub clock_drift: f64,
    /// How much more or less than usual it errs.
    pub error_factor: f64,
}

/// A station as it is built.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is for.
    pub role: Role,
    /// Its name in the site file.
    pub name: String,
    /// Distance from the start of the lane, metres.
    pub position_m: f64,
    /// Readings that a packet needs.
    pub required: Vec<ReadingKind>,
    /// Median time a vehicle stands here, seconds; nothing if it does not stop.
    pub stop_s: Option<f64>,
    /// Its sensors.
    pub sensors: Vec<Sensor>,
}

/// A lane as it is built, and how it is driven.
#[derive(Clone, Debug)]
pub struct LanePlan {
    /// Its name in the site file.
    pub name: String,
    /// Which layout it is of.
    pub layout: String,
    /// Its direction.
    pub direction: Direction,
    /// Stations in driving order.
    pub places: Vec<Place>,
    /// Median speed that a driver wants, m/s.
    pub speed_m_s: f64,
    /// Mean number of vehicles that follow each other closely.
    pub platoon: f64,
    /// Gap to the vehicle before within a platoon, seconds: from and to.
    pub gap_s: (f64, f64),
    /// Mean time between platoons, seconds.
    pub pause_s: f64,
}

/// A checkpoint with its lanes.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The lanes; neighbours in this order.
    pub lanes: Vec<LanePlan>,
    /// Customs office code.
    pub site: String,
    /// How the daemon sees it.
    pub checkpoint: Checkpoint,
}

impl Layout {
    /// Draws a checkpoint of `lanes` lanes; all lanes are of the layout called `wanted`, if one is.
    pub fn draw(seed: u64, lanes: usize, wanted: Option<&str>, noise: &Noise) -> Self {
        let mut random = Random::stream(seed, &[1]);
        let names = Names::draw(&mut random);
        let plans: Vec<LanePlan> = (0..lanes)
            .map(|index| {
                let mut random = Random::stream(seed, &[2, index as u64]);
                let kind = wanted.unwrap_or_else(|| *random.pick::<&str>(LAYOUTS));
                lane(&mut random, &names, index, kind, noise)
            })
            .collect();
        let site = format!("RU{:08}", random.whole(10_000_000, 99_999_999));
        let checkpoint = checkpoint(&site, &plans);
        Self { lanes: plans, site, checkpoint }
    }

    /// The site file, all sensors with `protocol = "replay"`.
    pub fn site_file(&self) -> String {
        let mut text = format!("[site]\nid = \"{}\"\nbox = \"gw-1\"\n", self.site);
        for lane in &self.lanes {
            let direction = if lane.direction == Direction::In { "in" } else { "out" };
            let _ = write!(text, "\n[[lane]]\nid = \"{}\"\ndirection = \"{direction}\"\n", lane.name);
            for place in &lane.places {
                let required: Vec<String> =
                    place.required.iter().map(|kind| format!("\"{}\"", kind.word())).collect();
                let _ = write!(
                    text,
                    "[[lane.station]]\nid = \"{}\"\nposition_m = {:.1}\nrequired = [{}]\n",
                    place.name,
                    place.position_m,
                    required.join(", ")
                );
            }
        }
        for lane in &self.lanes {
            for place in &lane.places {
                for sensor in &place.sensors {
                    let _ = write!(
                        text,
                        "\n[[sensor]]\nid = \"{}\"\nstation = \"{}/{}\"\nprotocol = \"replay\"\nreading = \"{}\"\n",
                        sensor.id, lane.name, place.name, sensor.kind
                    );
                }
            }
        }
        text
    }
}

/// How this checkpoint names its things.
struct Names {
    lane: usize,
    station: usize,
    sensor: usize,
}

impl Names {
    fn draw(random: &mut Random) -> Self {
        let mut style = |count: u64| usize::try_from(random.whole(0, count - 1)).unwrap_or(0);
        Self { lane: style(4), station: style(3), sensor: style(4) }
    }

    fn lane(&self, index: usize, direction: Direction) -> String {
        let word = if direction == Direction::In { "in" } else { "out" };
        let number = index + 1;
        match self.lane {
            0 => format!("{word}-{number}"),
            1 => format!("L{number:02}"),
            2 => format!("lane{number}.{word}"),
            _ => format!("{}{number}", word.to_uppercase()),
        }
    }

    fn station(&self, role: Role, index: usize) -> String {
        let (long, short) = match role {
            Role::Entry => ("entry", "E"),
            Role::Portal => ("portal", "RPM"),
            Role::Gauge => ("gauge", "DIM"),
            Role::Scale => ("scale", "W"),
            Role::Booth => ("booth", "B"),
            Role::Pit => ("pit", "UVSS"),
            Role::Exit => ("exit", "X"),
        };
        match self.station {
            0 => long.to_owned(),
            1 => format!("{short}{}", index + 1),
            _ => format!("s{}_{long}", index + 1),
        }
    }

    fn sensor(&self, kind: ReadingKind, number: usize, lane: &str, station: &str) -> SensorId {
        SensorId(match self.sensor {
            0 => format!("{}-{lane}-{station}-{number}", kind.word()),
            1 => format!("{lane}.{station}.{}{number}", kind.word()),
            2 => {
                let code = crate::random::mix(number as u64 | (kind as u64) << 8);
                format!("dev{:04x}-{lane}-{station}-{number}", code & 0xffff)
            }
            _ => format!("{lane}_{}_{station}_{number}", &kind.word()[..3]),
        })
    }
}

fn lane(random: &mut Random, names: &Names, index: usize, kind: &str, noise: &Noise) -> LanePlan {
    use Role::{Booth, Entry, Exit, Gauge, Pit, Portal, Scale};
    let direction = if kind == "out" || random.chance(0.2) { Direction::Out } else { Direction::In };
    let (mut roles, length_m): (Vec<Role>, (f64, f64)) = match kind {
        "short" => (vec![Entry, Portal, Exit], (20.0, 45.0)),
        "long" => (vec![Entry, Portal, Gauge, Scale, Booth, Pit, Exit], (180.0, 300.0)),
        "out" => (vec![Entry, Booth, Exit], (40.0, 120.0)),
        "camera-only" => (vec![Entry, Portal, Scale, Exit], (60.0, 160.0)),
        "shuffled" => (vec![Entry, Exit], (60.0, 220.0)),
        _ => (vec![Entry, Portal, Scale, Booth, Exit], (80.0, 200.0)),
    };
    if kind == "shuffled" {
        for role in [Portal, Gauge, Scale, Booth, Pit] {
            if role == Portal || random.chance(0.6) {
                let last = roles.len() as u64 - 1;
                let at = usize::try_from(random.whole(1, last)).unwrap_or(1);
                roles.insert(at, role);
            }
        }
    }
    let length_m = random.uniform(length_m.0, length_m.1);
    let name = names.lane(index, direction);
    // Distances between stations are uneven, and never below 9 m.
    let shares: Vec<f64> = (1..roles.len()).map(|_| random.uniform(0.6, 1.6)).collect();
    let free = (length_m - 9.0 * shares.len() as f64).max(2.0);
    let total: f64 = shares.iter().sum();
    let mut position_m = if random.chance(0.3) { random.uniform(0.0, 10.0) } else { 0.0 };
    let mut places = Vec::new();
    for (at, role) in roles.iter().enumerate() {
        if at > 0 {
            position_m += 9.0 + free * shares[at - 1] / total;
        }
        let position_m = (position_m * 10.0).round() / 10.0;
        places.push(place(random, names, kind, *role, at, position_m, &name, noise));
    }
    let booth = places.iter().filter_map(|place| place.stop_s).fold(6.0, f64::max);
    let platoon = random.uniform(1.5, 4.5);
    let low = random.uniform(1.5, 2.5);
    LanePlan {
        name,
        layout: kind.to_owned(),
        direction,
        places,
        speed_m_s: random.uniform(3.5, 7.0),
        platoon,
        gap_s: (low, random.uniform(low + 0.8, 5.0)),
        // The slowest station is busy for this share of the time.
        pause_s: platoon * (booth + 9.0) / random.uniform(0.35, 0.75),
    }
}

#[allow(clippy::too_many_arguments)]
fn place(
    random: &mut Random,
    names: &Names,
    layout: &str,
    role: Role,
    index: usize,
    position_m: f64,
    lane: &str,
    noise: &Noise,
) -> Place {
    use ReadingKind::{
        Container, Dimensions, Document, Face, Plate, Presence, Radiation, Seal, Tag, Undercarriage, Weight,
    };
    let station = names.station(role, index);
    let mut fitted: Vec<(ReadingKind, View)> = Vec::new();
    let loop_here = match (role, layout) {
        (Role::Entry, "camera-only") | (Role::Exit, "no-exit-loop") | (Role::Booth, "no-booth-loop") => false,
        (Role::Booth, "shuffled") => random.chance(0.4),
        (Role::Pit | Role::Gauge, _) => random.chance(0.5),
        (Role::Exit, "shuffled") => random.chance(0.7),
        _ => true,
    };
    if loop_here {
        fitted.push((Presence, View::Front));
    }
    let mut add = |kind| fitted.push((kind, View::Front));
    match role {
        Role::Entry => {
            add(Plate);
            if random.chance(0.6) || layout == "camera-only" {
                fitted.push((Plate, View::Rear));
            }
            if random.chance(0.8) {
                fitted.push((Tag, View::Front));
            }
            if random.chance(0.3) {
                fitted.push((Container, View::Front));
            }
        }
        Role::Portal => {
            add(Radiation);
            if random.chance(0.4) {
                add(Container);
            }
            if random.chance(0.2) {
                add(Plate);
            }
        }
        Role::Gauge => add(Dimensions),
        Role::Scale => {
            add(Weight);
            if random.chance(0.4) {
                add(Seal);
            }
        }
        Role::Booth => {
            add(Face);
            if random.chance(0.5) {
                add(Document);
            }
            if random.chance(0.5) {
                add(Seal);
            }
            if random.chance(0.2) {
                add(Tag);
            }
        }
        Role::Pit => add(Undercarriage),
        Role::Exit => {
            add(Plate);
            if random.chance(0.4) {
                fitted.push((Plate, View::Rear));
            }
            if random.chance(0.2) {
                fitted.push((Tag, View::Front));
            }
        }
    }
    let mut numbers: BTreeMap<ReadingKind, usize> = BTreeMap::new();
    let sensors = fitted
        .iter()
        .map(|(kind, view)| {
            let number = numbers.entry(*kind).or_default();
            *number += 1;
            let id = names.sensor(*kind, *number, lane, &station);
            sensor(random, id, *kind, *view, position_m, noise)
        })
        .collect();
    let required = match role {
        Role::Entry if random.chance(0.9) => vec![Plate],
        Role::Portal => vec![Radiation],
        Role::Scale => vec![Weight],
        Role::Gauge => vec![Dimensions],
        _ => Vec::new(),
    };
    let stop_s = match role {
        Role::Booth => Some(random.uniform(12.0, 45.0)),
        Role::Scale if random.chance(0.7) => Some(random.uniform(5.0, 12.0)),
        Role::Exit if random.chance(0.7) => Some(random.uniform(1.5, 6.0)),
        Role::Entry if random.chance(0.25) => Some(random.uniform(2.0, 8.0)),
        _ => None,
    };
    Place { role, name: station, position_m, required, stop_s, sensors }
}

fn sensor(
    random: &mut Random,
    id: SensorId,
    kind: ReadingKind,
    view: View,
    position_m: f64,
    noise: &Noise,
) -> Sensor {
    let barrier = random.chance(0.15);
    let width_m = if barrier { 0.1 } else { random.uniform(0.8, 1.6) };
    let latency_s = match kind {
        ReadingKind::Presence => random.uniform(0.02, 0.12),
        ReadingKind::Radiation => random.uniform(0.3, 1.5),
        ReadingKind::Plate | ReadingKind::Container | ReadingKind::Face => random.uniform(0.1, 0.7),
        _ => random.uniform(0.05, 0.4),
    };
    let has_clock = match kind {
        ReadingKind::Presence => random.chance(0.1),
        ReadingKind::Radiation => random.chance(0.9),
        _ => random.chance(0.5),
    };
    let off = random.normal() * noise.clock_off_s;
    let clock_off_s = if random.chance(0.5) { off } else { 0.02 * off };
    Sensor {
        id,
        kind,
        view,
        at_m: position_m + random.uniform(-1.0, 1.0),
        width_m,
        reach_m: if random.chance(0.5) { random.uniform(0.5, 1.5) } else { random.uniform(1.5, 4.5) },
        latency_s,
        has_clock,
        clock_off_s,
        clock_drift: random.normal() * noise.clock_drift_ppm * 1e-6,
        error_factor: random.uniform(0.7, 1.3),
    }
}

fn checkpoint(site: &str, plans: &[LanePlan]) -> Checkpoint {
    let lanes = plans.iter().map(|lane| Lane {
        id: LaneId(lane.name.clone()),
        direction: lane.direction,
        stations: lane
            .places
            .iter()
            .map(|place| Station {
                id: StationId(place.name.clone()),
                position_m: place.position_m,
                required: place.required.clone(),
                deadline_ms: 60_000,
            })
            .collect(),
    });
    let mut sensors = BTreeMap::new();
    for lane in plans {
        for place in &lane.places {
            for sensor in &place.sensors {
                let place = SensorPlace {
                    lane: LaneId(lane.name.clone()),
                    station: StationId(place.name.clone()),
                    readings: vec![sensor.kind],
                    view: None,
                    box_clock: false,
                };
                sensors.insert(sensor.id.clone(), place);
            }
        }
    }
    Checkpoint {
        site: site.to_owned(),
        box_id: "gw-1".to_owned(),
        lanes: lanes.collect(),
        sensors,
        timing: Timing::default(),
    }
}
