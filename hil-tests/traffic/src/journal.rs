//! A whole journal with its truth.

use std::collections::{BTreeMap, HashMap};

use interface::{BootId, ClockQuality, Observation, ObservationId, Reading, ReadingKind, Stamp, UtcMs};
use passage::Input;
use replay::{Header, Record, VERSION, write_line};
use serde::Serialize;

use crate::against::against;
use crate::drive::{Manner, Visit, drive};
use crate::layout::Layout;
use crate::noise::Noise;
use crate::random::Random;
use crate::sense::{Cause, Event, Rates, Senses, poisson};
use crate::vehicle::Mix;

/// What traffic is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Everything follows from it.
    pub seed: u64,
    /// Vehicles of all lanes together, about.
    pub vehicles: usize,
    /// Lanes.
    pub lanes: usize,
    /// Name of a layout, or any.
    pub layout: Option<String>,
    /// What goes wrong.
    pub noise: Noise,
    /// Radiation alarms per vehicle.
    pub alarms: f64,
}

/// Whose an observation is.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Number of the visit.
    pub visit: Option<usize>,
    /// Whether it is right as an orphan, too.
    pub or_nobody: bool,
    /// What is special about it.
    pub cause: Cause,
}

/// Traffic with its truth.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Where it was.
    pub layout: Layout,
    /// The journal's lines in order.
    pub lines: Vec<Record>,
    /// Every visit that left an observation.
    pub visits: Vec<Visit>,
    /// Whose each observation is.
    pub truth: HashMap<ObservationId, Origin>,
}

/// A sensor that is dead for a time.
struct Outage {
    place: (usize, usize, usize),
    from_s: f64,
    to_s: f64,
    noticed: bool,
}

/// Makes traffic.
pub fn generate(wanted: &Wanted) -> Traffic {
    let seed = wanted.seed;
    let layout = Layout::draw(seed, wanted.lanes, wanted.layout.as_deref(), &wanted.noise);
    let mut random = Random::stream(seed, &[4]);
    let mut share = |low: f64, high: f64| random.uniform(low, high);
    let mix = Mix {
        shares: [
            share(0.1, 1.0),
            share(0.05, 0.3),
            share(0.0, 0.2),
            share(0.1, 0.5),
            share(0.5, 1.5),
            share(0.2, 0.8),
            share(0.0, 0.2),
        ],
        tags: share(0.4, 0.9),
        seals: share(0.2, 0.7),
    };
    let mut visits = Vec::new();
    for (index, lane) in layout.lanes.iter().enumerate() {
        let count = wanted.vehicles / wanted.lanes + usize::from(index < wanted.vehicles % wanted.lanes);
        let first = visits.len();
        let mut driven = drive(seed, index, lane, count, first, &mix, &wanted.noise);
        // Numbers are the visits' places in this list.
        for (offset, visit) in driven.iter_mut().enumerate() {
            visit.number = first + offset;
        }
        visits.extend(driven);
    }
    for (index, lane) in layout.lanes.iter().enumerate() {
        let own: Vec<Visit> = visits.iter().filter(|visit| visit.lane == index).cloned().collect();
        visits.extend(against(seed, index, lane, &own, &mix, wanted.noise.against, visits.len()));
    }
    let until_s = visits.iter().map(|visit| visit.span().1).fold(0.0, f64::max) + 60.0;
    let mut senses = Senses::new(seed, &layout, &wanted.noise, Rates { alarms: wanted.alarms });
    visits.iter().for_each(|visit| senses.sense(visit));
    for lane in 0..layout.lanes.len() {
        senses.presences(lane, &visits);
        let own = visits.iter().filter(|visit| visit.lane == lane);
        let busy: Vec<(f64, f64)> = own.clone().map(Visit::span).collect();
        let end = busy.iter().map(|span| span.1).fold(0.0, f64::max);
        let along = own.filter(|visit| visit.manner != Manner::Against).count();
        senses.ghosts(lane, along, end, &busy);
    }
    senses.stutter();
    let mut events = senses.events;
    events.sort_by(|a, b| a.arrives_s.total_cmp(&b.arrives_s));
    let states = fail(seed, wanted, &layout, &visits, until_s, &mut events);
    write_down(seed, layout, visits, events, states)
}

/// Takes away what dead sensors and a dead daemon did not tell, and adds what they tell when they come back.
fn fail(
    seed: u64,
    wanted: &Wanted,
    layout: &Layout,
    visits: &[Visit],
    until_s: f64,
    events: &mut Vec<Event>,
) -> Vec<(f64, (usize, usize, usize), bool)> {
    let mut random = Random::stream(seed, &[7]);
    let mut outages = Vec::new();
    for (lane_index, lane) in layout.lanes.iter().enumerate() {
        let along = |visit: &&Visit| visit.lane == lane_index && visit.manner != Manner::Against;
        let own: Vec<&Visit> = visits.iter().filter(along).collect();
        let end = own.iter().map(|visit| visit.span().1).fold(0.0, f64::max);
        for _ in 0..poisson(&mut random, wanted.noise.outage * own.len() as f64) {
            let place = random.whole(0, lane.places.len() as u64 - 1) as usize;
            let sensors = lane.places[place].sensors.len() as u64;
            if sensors == 0 {
                continue;
            }
            let sensor = random.whole(0, sensors - 1) as usize;
            let from_s = random.uniform(0.0, end);
            let to_s = from_s + random.lognormal(180.0, 0.6).clamp(60.0, 600.0);
            outages.push(Outage {
                place: (lane_index, place, sensor),
                from_s,
                to_s,
                noticed: random.chance(0.5),
            });
        }
    }
    let mut states = Vec::new();
    for outage in &outages {
        if outage.noticed {
            states.push((outage.from_s + random.uniform(0.5, 10.0), outage.place, true));
            states.push((outage.to_s + 0.05, outage.place, false));
        }
    }
    let mut random = Random::stream(seed, &[8]);
    let mut crashes = Vec::new();
    for _ in 0..poisson(&mut random, wanted.noise.crash * wanted.vehicles as f64) {
        let from_s = random.uniform(0.0, until_s);
        crashes.push((from_s, from_s + random.uniform(3.0, 30.0)));
    }
    for (from_s, to_s) in &crashes {
        for (lane_index, lane) in layout.lanes.iter().enumerate() {
            for (place_index, place) in lane.places.iter().enumerate() {
                for sensor_index in 0..place.sensors.len() {
                    let at = (lane_index, place_index, sensor_index);
                    states.push((*to_s, at, true));
                    states.push((*to_s + random.uniform(0.1, 3.0), at, false));
                    outages.push(Outage { place: at, from_s: *from_s, to_s: *to_s, noticed: false });
                }
            }
        }
    }
    // A loop tells its state when it comes back.
    let mut returned = Vec::new();
    for outage in &outages {
        let (lane, place, sensor) = outage.place;
        let sensor = &layout.lanes[lane].places[place].sensors[sensor];
        if sensor.kind != ReadingKind::Presence {
            continue;
        }
        let half = sensor.width_m / 2.0;
        let there = visits.iter().find(|visit| {
            visit.lane == lane
                && visit.front_at(outage.to_s).is_some_and(|front| {
                    front >= sensor.at_m - half && front - visit.vehicle.length_m <= sensor.at_m + half
                })
        });
        let occupied = there.is_some();
        returned.push(Event {
            place: outage.place,
            arrives_s: outage.to_s + 0.06,
            device_s: None,
            reading: Reading::Presence { occupied },
            visit: there.map(|visit| visit.number),
            // That it is free may be the end of an occupancy that is known: either is right.
            or_nobody: true,
            cause: Cause::Return,
        });
    }
    events.retain(|event| {
        !outages.iter().any(|outage| {
            outage.place == event.place && outage.from_s <= event.arrives_s && event.arrives_s < outage.to_s
        })
    });
    events.extend(returned);
    events.sort_by(|a, b| a.arrives_s.total_cmp(&b.arrives_s));
    states.retain(|(at, ..)| !crashes.iter().any(|(from, to)| from <= at && at < to));
    states.sort_by(|a, b| a.0.total_cmp(&b.0));
    states
}

fn write_down(
    seed: u64,
    layout: Layout,
    visits: Vec<Visit>,
    events: Vec<Event>,
    states: Vec<(f64, (usize, usize, usize), bool)>,
) -> Traffic {
    let mut random = Random::stream(seed, &[9]);
    let base_mono = random.whole(60_000, 400_000_000);
    let base_utc = 1_790_000_000_000 + i64::try_from(random.whole(0, 86_400_000 * 300)).unwrap_or(0);
    #[allow(clippy::cast_possible_truncation)]
    let ms = |seconds: f64| (seconds.max(0.0) * 1000.0) as i64;
    let stamp = |seconds: f64| Stamp {
        mono_ms: base_mono.saturating_add_signed(ms(seconds)),
        utc: UtcMs(base_utc + ms(seconds)),
        clock: ClockQuality::Synced,
        boot: BootId("b1".to_owned()),
    };
    let sensor =
        |(lane, place, sensor): (usize, usize, usize)| &layout.lanes[lane].places[place].sensors[sensor];
    let mut seqs: BTreeMap<(usize, usize, usize), u64> = BTreeMap::new();
    let mut truth = HashMap::new();
    let mut lines = Vec::new();
    let mut states = states.into_iter().peekable();
    for event in events {
        while let Some((at, place, offline)) = states.next_if(|(at, ..)| *at <= event.arrives_s) {
            let input = Input::SensorState { sensor: sensor(place).id.clone(), offline };
            lines.push(Record { stamp: stamp(at), input });
        }
        let seq = seqs.entry(event.place).or_default();
        *seq += 1;
        let id = ObservationId { sensor: sensor(event.place).id.clone(), seq: *seq };
        let origin = Origin { visit: event.visit, or_nobody: event.or_nobody, cause: event.cause };
        truth.insert(id.clone(), origin);
        let device_at = event.device_s.map(|seconds| UtcMs(base_utc + ms(seconds.max(0.0))));
        let stamp = stamp(event.arrives_s);
        let observation =
            Observation { id, stamp: stamp.clone(), device_at, evidence: Vec::new(), reading: event.reading };
        lines.push(Record { stamp, input: Input::Observation(observation) });
    }
    Traffic { layout, lines, visits, truth }
}

#[derive(Serialize)]
struct TruthLine<'a> {
    sensor: &'a str,
    seq: u64,
    vehicle: Option<String>,
    or_nobody: bool,
    cause: &'static str,
}

#[derive(Serialize)]
struct VehicleLine<'a> {
    vehicle: String,
    lane: &'a str,
    kind: &'static str,
    manner: String,
    plate_front: &'a str,
    plate_rear: &'a str,
    from_ms: u64,
    observations: usize,
}

/// How a visit is called in the truth file.
pub fn visit_name(number: usize) -> String {
    format!("v{number}")
}

impl Traffic {
    /// The journal as the daemon writes it.
    pub fn journal(&self) -> serde_json::Result<Vec<u8>> {
        let header = Header {
            journal: VERSION,
            site: self.layout.site.clone(),
            box_id: self.layout.checkpoint.box_id.clone(),
            last_seq: BTreeMap::new(),
            snapshot: None,
        };
        let mut text = serde_json::to_vec(&header)?;
        text.push(b'\n');
        for line in &self.lines {
            write_line(&mut text, line)?;
        }
        Ok(text)
    }

    /// The truth: a line for each vehicle's visit, then one for each observation.
    pub fn truth_file(&self) -> serde_json::Result<Vec<u8>> {
        let mut counts = vec![0; self.visits.len()];
        for number in self.truth.values().filter_map(|origin| origin.visit) {
            counts[number] += 1;
        }
        let mut text = Vec::new();
        for visit in &self.visits {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let line = VehicleLine {
                vehicle: visit_name(visit.number),
                lane: &self.layout.lanes[visit.lane].name,
                kind: visit.vehicle.kind.word(),
                manner: format!("{:?}", visit.manner).to_lowercase(),
                plate_front: &visit.vehicle.plates.0,
                plate_rear: &visit.vehicle.plates.1,
                from_ms: (visit.span().0 * 1000.0) as u64,
                observations: counts[visit.number],
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        for observation in self.observations() {
            let origin = self.truth[&observation.id];
            let line = TruthLine {
                sensor: &observation.id.sensor.0,
                seq: observation.id.seq,
                vehicle: origin.visit.map(visit_name),
                or_nobody: origin.or_nobody,
                cause: origin.cause.word(),
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        Ok(text)
    }

    /// The observations in order of arrival.
    pub fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.lines.iter().filter_map(|line| match &line.input {
            Input::Observation(observation) => Some(observation),
            _ => None,
        })
    }
}
