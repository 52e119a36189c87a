//! A small checkpoint, and a way to write down what its sensors say.

use std::collections::BTreeMap;

use interface::{
    BootId, ClockQuality, Observation, ObservationId, PlateReading, RadiationAlarm, Reading, ReadingKind,
    SealState, SensorId, Stamp, UtcMs, View, WeighMode,
};
use passage::{
    Checkpoint, Decision, Direction, Effect, Engine, Input, Lane, LaneId, OrphanReport, PassageId,
    PassageState, Report, SensorPlace, Station, StationId, Timing, Verdict,
};

pub const LANES: [&str; 2] = ["in-1", "in-2"];

/// Two lanes with entry, portal, scale and exit. Sensors are named `<lane>/<what>`.
pub fn checkpoint() -> Checkpoint {
    use ReadingKind::{Plate, Presence, Radiation, Seal, Tag, Weight};
    let station = |id: &str, position_m, required: &[ReadingKind]| Station {
        id: StationId(id.into()),
        position_m,
        required: required.to_vec(),
        deadline_ms: 60_000,
    };
    let mut sensors = BTreeMap::new();
    let mut lanes = Vec::new();
    for lane in LANES {
        let mut sensor = |name: &str, station: &str, kind, view| {
            let place = SensorPlace {
                lane: LaneId(lane.into()),
                station: StationId(station.into()),
                readings: vec![kind],
                view,
                box_clock: false,
            };
            sensors.insert(SensorId(format!("{lane}/{name}")), place);
        };
        sensor("entry", "entry", Presence, None);
        sensor("front", "entry", Plate, Some(View::Front));
        sensor("rear", "entry", Plate, Some(View::Rear));
        sensor("tag", "entry", Tag, None);
        sensor("portal", "portal", Presence, None);
        sensor("rpm", "portal", Radiation, None);
        sensor("scale", "scale", Presence, None);
        sensor("weight", "scale", Weight, None);
        sensor("seal", "scale", Seal, None);
        sensor("exit", "exit", Presence, None);
        sensor("out", "exit", Plate, Some(View::Front));
        lanes.push(Lane {
            id: LaneId(lane.into()),
            direction: Direction::In,
            stations: vec![
                station("entry", 0.0, &[Plate]),
                station("portal", 25.0, &[Radiation]),
                station("scale", 50.0, &[Weight]),
                station("exit", 80.0, &[]),
            ],
        });
    }
    Checkpoint { site: "RU10702030".into(), box_id: "gw-1".into(), lanes, sensors, timing: Timing::default() }
}

pub fn stamp(ms: u64) -> Stamp {
    Stamp {
        mono_ms: ms,
        utc: UtcMs(1_790_000_000_000 + ms as i64),
        clock: ClockQuality::Synced,
        boot: BootId("b1".into()),
    }
}

pub fn presence(occupied: bool) -> Reading {
    Reading::Presence { occupied }
}

pub fn plate(text: &str, view: View) -> Reading {
    let text = text.to_owned();
    Reading::Plate(PlateReading { text, country: None, confidence: 0.9, view, candidates: Vec::new() })
}

pub fn radiation(alarm: RadiationAlarm) -> Reading {
    Reading::Radiation {
        alarm,
        gamma_max_cps: Some(400.0),
        gamma_background_cps: Some(300.0),
        neutron_max_cps: None,
        duration_ms: Some(3_000),
    }
}

pub fn weight(gross_kg: i64, stable: bool) -> Reading {
    Reading::Weight { gross_kg, axles_kg: None, stable, mode: WeighMode::Static }
}

pub fn tag(epc: &str, dbm: f64) -> Reading {
    Reading::Tag { epc: epc.into(), rssi_dbm: Some(dbm), antenna: Some(1) }
}

pub fn seal(id: &str, state: SealState) -> Reading {
    Reading::Seal { seal_id: id.into(), state }
}

/// What the sensors say, in any order; `observations` puts it in order and numbers it.
#[derive(Clone, Debug, Default)]
pub struct Script(pub Vec<(u64, String, Reading, Option<UtcMs>)>);

impl Script {
    pub fn say(&mut self, ms: u64, sensor: &str, reading: Reading) -> &mut Self {
        self.0.push((ms, sensor.to_owned(), reading, None));
        self
    }

    /// A truck that meets every station: at the entry at `at`, then 10 s from station to station, 4 s over each loop.
    pub fn truck(&mut self, lane: &str, at: u64, text: &str) -> &mut Self {
        let name = |sensor: &str| format!("{lane}/{sensor}");
        for (n, sensor) in ["entry", "portal", "scale", "exit"].iter().enumerate() {
            let t = at + 10_000 * n as u64;
            self.say(t, &name(sensor), presence(true));
            self.say(t + 4_000, &name(sensor), presence(false));
        }
        self.say(at + 300, &name("front"), plate(text, View::Front));
        self.say(at + 600, &name("front"), plate(text, View::Front));
        self.say(at + 4_200, &name("rear"), plate(&format!("T{text}"), View::Rear));
        self.say(at + 14_500, &name("rpm"), radiation(RadiationAlarm::None));
        self.say(at + 21_000, &name("weight"), weight(9_000, false));
        self.say(at + 22_000, &name("weight"), weight(18_000, true));
        self.say(at + 30_300, &name("out"), plate(text, View::Front));
        self
    }

    /// Leaves out what a sensor says.
    pub fn without(&mut self, sensor: &str) -> &mut Self {
        self.0.retain(|(_, name, _, _)| name != sensor);
        self
    }

    pub fn observations(&self) -> Vec<Observation> {
        let mut lines = self.0.clone();
        lines.sort_by_key(|(ms, ..)| *ms);
        let mut seq: BTreeMap<String, u64> = BTreeMap::new();
        lines
            .into_iter()
            .map(|(ms, sensor, reading, device_at)| {
                let number = seq.entry(sensor.clone()).or_default();
                *number += 1;
                Observation {
                    id: ObservationId { sensor: SensorId(sensor), seq: *number },
                    stamp: stamp(ms),
                    device_at,
                    evidence: Vec::new(),
                    reading,
                }
            })
            .collect()
    }

    /// Everything that comes of it, to the end.
    pub fn play(&self) -> Outcome {
        play(&self.observations())
    }
}

pub fn play(observations: &[Observation]) -> Outcome {
    play_in(checkpoint(), observations)
}

pub fn play_in(checkpoint: Checkpoint, observations: &[Observation]) -> Outcome {
    let mut engine = Engine::new(checkpoint);
    let mut effects = Vec::new();
    for observation in observations {
        effects.extend(engine.step(&observation.stamp.clone(), Input::Observation(observation.clone())));
    }
    effects.extend(engine.finish());
    Outcome::of(effects)
}

/// Gives a script to an engine, and what comes of it.
pub fn feed(engine: &mut Engine, script: &Script) -> Vec<Effect> {
    let step = |o: Observation| engine.step(&o.stamp.clone(), Input::Observation(o));
    script.observations().into_iter().flat_map(step).collect()
}

/// What the IISPP decides.
pub fn release(command_id: &str, verdict: Verdict) -> Decision {
    Decision { verdict, by: "iispp".into(), command_id: command_id.into() }
}

/// Effects, sorted for looking at.
#[derive(Debug, Default)]
pub struct Outcome {
    pub effects: Vec<Effect>,
    /// Last revision of each passage, in order of opening.
    pub reports: Vec<Report>,
    pub orphans: Vec<OrphanReport>,
}

impl Outcome {
    pub fn of(effects: Vec<Effect>) -> Self {
        let mut last: BTreeMap<PassageId, Report> = BTreeMap::new();
        let mut orphans = Vec::new();
        for effect in &effects {
            match effect {
                Effect::Publish(report) => {
                    let before = last.insert(report.passage.clone(), (**report).clone());
                    assert_eq!(
                        report.revision,
                        before.map_or(0, |before| before.revision) + 1,
                        "revisions without gaps"
                    );
                }
                Effect::Orphan(report) => orphans.push((**report).clone()),
                _ => {}
            }
        }
        let mut reports: Vec<Report> = last.into_values().collect();
        reports.sort_by_key(|report| (report.opened.mono_ms, report.passage.clone()));
        Self { effects, reports, orphans }
    }

    /// Passages that an alarm named, for each alarm effect.
    pub fn alarms(&self) -> Vec<Vec<PassageId>> {
        let named = |effect: &Effect| match effect {
            Effect::Alarm { candidates, .. } => Some(candidates.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(named).collect()
    }

    pub fn states(&self) -> Vec<PassageState> {
        self.reports.iter().map(|report| report.state).collect()
    }
}

/// The plates that ended in a report.
pub fn plates(report: &Report) -> Vec<String> {
    let mut plates: Vec<String> = report
        .entries
        .iter()
        .filter_map(|entry| match &entry.observation.reading {
            Reading::Plate(plate) => Some(plate.text.clone()),
            _ => None,
        })
        .collect();
    plates.sort();
    plates.dedup();
    plates
}

/// How many readings of a kind ended in a report.
pub fn count(report: &Report, kind: ReadingKind) -> usize {
    report.entries.iter().filter(|entry| entry.observation.reading.kind() == kind).count()
}
