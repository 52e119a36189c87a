//! What the sensors make of the vehicles.

use interface::{
    DocumentKind, PlateReading, RadiationAlarm, Reading, ReadingKind, SealState, Seat, Verdict, View,
    WeighMode,
};

use crate::drive::{Manner, Visit};
use crate::layout::{Layout, Place, Role, Sensor};
use crate::noise::Noise;
use crate::random::Random;
use crate::vehicle::misread;

/// Why an observation is harder than others, for the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Nothing special.
    Plain,
    /// An occupancy whose other edge is lost, or that is cut in two.
    LostEdge,
    /// Characters are wrong or missing.
    Misread,
    /// A maker's badge.
    Badge,
    /// Came late.
    Late,
    /// The same thing told again.
    Repeated,
    /// Radio that hears a vehicle which is not yet, or no longer, at the station.
    Elsewhere,
    /// Radio that hears a vehicle in the next lane.
    Neighbour,
    /// Nothing was there.
    Ghost,
    /// A loop's state, told when it came back.
    Return,
}

impl Cause {
    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::LostEdge => "lost edge",
            Self::Misread => "misread",
            Self::Badge => "badge",
            Self::Late => "late",
            Self::Repeated => "repeated",
            Self::Elsewhere => "heard elsewhere",
            Self::Neighbour => "next lane",
            Self::Ghost => "ghost",
            Self::Return => "state on return",
        }
    }
}

/// One reading before it has become a line of the journal.
#[derive(Clone, Debug)]
pub struct Event {
    /// Lane, place and sensor, as indexes.
    pub place: (usize, usize, usize),
    /// When it reached the box, seconds.
    pub arrives_s: f64,
    /// What the device's clock says, seconds.
    pub device_s: Option<f64>,
    /// The reading.
    pub reading: Reading,
    /// Whose it is.
    pub visit: Option<usize>,
    /// Whether it may also be nobody's: a vehicle that is in another lane.
    pub or_nobody: bool,
    /// What is special about it.
    pub cause: Cause,
}

/// A time during which a sensor notices a vehicle.
#[derive(Clone, Copy)]
struct Occupancy<'v> {
    visit: &'v Visit,
    rise: f64,
    fall: f64,
    /// The vehicle makes several of them.
    cut: bool,
}

/// How often a radiation portal alarms, per vehicle.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Radiation alarms per vehicle.
    pub alarms: f64,
}

/// All sensors of a checkpoint.
pub struct Senses<'a> {
    seed: u64,
    layout: &'a Layout,
    noise: &'a Noise,
    rates: Rates,
    /// What they said.
    pub events: Vec<Event>,
}

impl<'a> Senses<'a> {
    /// Sensors that have said nothing.
    pub fn new(seed: u64, layout: &'a Layout, noise: &'a Noise, rates: Rates) -> Self {
        Self { seed, layout, noise, rates, events: Vec::new() }
    }

    /// What all sensors say about one visit.
    pub fn sense(&mut self, visit: &Visit) {
        let layout = self.layout;
        for (lane_index, lane) in layout.lanes.iter().enumerate() {
            let beside = lane_index.abs_diff(visit.lane) == 1;
            for (place_index, place) in lane.places.iter().enumerate() {
                for (sensor_index, sensor) in place.sensors.iter().enumerate() {
                    let at = (lane_index, place_index, sensor_index);
                    if lane_index == visit.lane {
                        self.own(visit, place, sensor, at);
                    } else if beside && sensor.kind == ReadingKind::Tag {
                        self.neighbour_tag(visit, sensor, at);
                    }
                }
            }
        }
    }

    fn random(&self, visit: usize, at: (usize, usize, usize), purpose: u64) -> Random {
        let sensor = (at.0 * 10_000 + at.1 * 100 + at.2) as u64;
        Random::stream(self.seed, &[10 + purpose, visit as u64, sensor])
    }

    fn own(&mut self, visit: &Visit, place: &Place, sensor: &Sensor, at: (usize, usize, usize)) {
        let mut random = self.random(visit.number, at, 0);
        match sensor.kind {
            ReadingKind::Plate => self.plate(visit, sensor, at, &mut random),
            ReadingKind::Tag => self.tag(visit, sensor, at, &mut random),
            ReadingKind::Radiation => self.radiation(visit, sensor, at, &mut random),
            ReadingKind::Weight => self.weight(visit, place, sensor, at, &mut random),
            ReadingKind::Dimensions => {
                if let Some((_, passed)) = self.over(visit, sensor) {
                    let mm = |metres: f64, random: &mut Random| {
                        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                        let mm = ((metres * 1000.0) * (1.0 + 0.004 * random.normal())) as u32;
                        mm
                    };
                    let height = if visit.vehicle.length_m < 8.0 { 1.7 } else { 3.8 };
                    let reading = Reading::Dimensions {
                        length_mm: mm(visit.vehicle.length_m, &mut random),
                        width_mm: mm(if height < 2.0 { 1.8 } else { 2.5 }, &mut random),
                        height_mm: mm(height, &mut random),
                    };
                    self.tell(Some(visit), sensor, at, passed, reading, Cause::Plain);
                }
            }
            ReadingKind::Container => {
                for (n, code) in visit.vehicle.containers.clone().iter().enumerate() {
                    let Some((came, passed)) = self.over(visit, sensor) else { continue };
                    if random.chance(0.05) {
                        continue;
                    }
                    let share = (n as f64 + 1.0) / 3.0;
                    for _ in 0..random.whole(1, 2) {
                        let when = came + (passed - came) * share + random.uniform(0.0, 0.6);
                        let error = sensor.error_factor * self.noise.wrong_character;
                        let read = misread(&mut random, code, error, 0.0);
                        let cause = if read == *code { Cause::Plain } else { Cause::Misread };
                        let confidence =
                            rounded(random.uniform(if cause == Cause::Plain { 0.8 } else { 0.4 }, 0.99));
                        self.tell(
                            Some(visit),
                            sensor,
                            at,
                            when,
                            Reading::Container { code: read, confidence, type_code: None, check_digit: None },
                            cause,
                        );
                    }
                }
            }
            ReadingKind::Seal => self.seal(visit, sensor, at, &mut random),
            ReadingKind::Face => {
                if let Some((from, to)) = self.stood(visit, at.1, sensor, &mut random) {
                    for _ in 0..random.whole(1, 3) {
                        let when = random.uniform(from, to);
                        let quality = rounded(random.uniform(0.3, 0.95));
                        let reading = Reading::Face { seat: Seat::Driver, quality, template: None };
                        self.tell(Some(visit), sensor, at, when, reading, Cause::Plain);
                    }
                }
            }
            ReadingKind::Document => {
                if let Some((from, to)) = self.stood(visit, at.1, sensor, &mut random)
                    && random.chance(0.8)
                {
                    let when = random.uniform(from, to);
                    let text =
                        format!("P<UTO{:07}<<{:04}", random.whole(0, 9_999_999), random.whole(0, 9999));
                    let reading = Reading::Document { kind_of: DocumentKind::Mrz, text };
                    self.tell(Some(visit), sensor, at, when, reading, Cause::Plain);
                }
            }
            ReadingKind::Undercarriage => {
                if let Some((_, passed)) = self.over(visit, sensor) {
                    let verdict = Some(if random.chance(0.03) { "anomaly" } else { "clear" }.to_owned());
                    let score = Some(rounded(random.uniform(0.0, 1.0)));
                    let reading = Reading::Undercarriage(Verdict { verdict, score, label: None });
                    let when = passed + random.uniform(0.2, 1.5);
                    self.tell(Some(visit), sensor, at, when, reading, Cause::Plain);
                }
            }
            _ => {}
        }
    }

    /// Turns a reading into an event: latency, the device's clock, lateness.
    fn tell(
        &mut self,
        visit: Option<&Visit>,
        sensor: &Sensor,
        at: (usize, usize, usize),
        when: f64,
        reading: Reading,
        cause: Cause,
    ) {
        let number = visit.map_or(usize::MAX, |visit| visit.number);
        // Counted by millisecond, so that readings that other noises leave out do not shift the stream.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let mut random = self.random(number, at, 1_000 + (when * 1000.0) as u64);
        let mut latency = random.lognormal(sensor.latency_s, 0.35);
        let mut cause = cause;
        let (late, least, most) = match sensor.kind {
            ReadingKind::Radiation => (self.noise.late_radiation, 5.0, 35.0),
            ReadingKind::Presence => (0.0, 0.0, 0.0),
            _ => (self.noise.late_other, 1.0, 10.0),
        };
        // Without a clock a result that comes minutes late could be anybody's: such devices are late less often.
        let late = if sensor.has_clock { late } else { late * 0.2 };
        if random.chance(late * sensor.error_factor) {
            latency += random.uniform(least, most);
            cause = Cause::Late;
        }
        let device_s = sensor
            .has_clock
            .then(|| when + sensor.clock_off_s + when * sensor.clock_drift + 0.01 * random.normal());
        let event = Event {
            place: at,
            arrives_s: when + latency,
            device_s,
            reading,
            visit: visit.map(|visit| visit.number),
            or_nobody: false,
            cause,
        };
        self.events.push(event);
    }

    /// When the vehicle was in front of a sensor.
    fn over(&self, visit: &Visit, sensor: &Sensor) -> Option<(f64, f64)> {
        let times = visit.covers(sensor.at_m - 0.8, sensor.at_m + 0.8);
        Some((times.first()?.0, times.last()?.1))
    }

    /// When the vehicle stood at a station, or else passed it.
    fn stood(&self, visit: &Visit, place: usize, sensor: &Sensor, random: &mut Random) -> Option<(f64, f64)> {
        if let Some((_, from, to)) = visit.stops.iter().find(|(station, ..)| *station == place) {
            return Some((*from, *to));
        }
        self.over(visit, sensor).filter(|_| random.chance(0.4))
    }

    /// All loops and light barriers of a lane: a vehicle that comes before the one ahead has left makes no edge.
    pub fn presences(&mut self, lane_index: usize, visits: &[Visit]) {
        let layout = self.layout;
        for (place_index, place) in layout.lanes[lane_index].places.iter().enumerate() {
            for (sensor_index, sensor) in place.sensors.iter().enumerate() {
                if sensor.kind == ReadingKind::Presence {
                    self.presence(visits, sensor, (lane_index, place_index, sensor_index));
                }
            }
        }
    }

    fn presence(&mut self, visits: &[Visit], sensor: &Sensor, at: (usize, usize, usize)) {
        let mut spans: Vec<Occupancy<'_>> = Vec::new();
        for visit in visits.iter().filter(|visit| visit.lane == at.0) {
            spans.extend(self.occupancies(visit, sensor, at));
        }
        spans.sort_by(|a, b| a.rise.total_cmp(&b.rise));
        for index in 0..spans.len() {
            let covered = index.checked_sub(1).is_some_and(|before| spans[before].fall >= spans[index].rise);
            let goes_on = spans.get(index + 1).is_some_and(|after| after.rise <= spans[index].fall);
            let Occupancy { visit, rise, fall, cut } = spans[index];
            let mut random = self.random(visit.number, at, 3);
            let mut edges = Vec::new();
            if !covered {
                edges.push((rise, true));
            }
            if !goes_on {
                edges.push((fall, false));
            }
            if random.chance(self.noise.chatter * sensor.error_factor) {
                let near = if random.chance(0.5) { rise } else { fall - 1.0 };
                let start = near + random.uniform(0.1, 0.5);
                let end = start + random.uniform(0.05, 0.4);
                if start > rise && end < fall {
                    edges.extend([(start, false), (end, true)]);
                    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
                }
            }
            let miss = !edges.is_empty() && random.chance(2.0 * self.noise.missed_edge * sensor.error_factor);
            if miss {
                edges.remove(random.index(edges.len()));
            }
            let lost = miss || cut || covered || goes_on;
            for (when, occupied) in edges {
                let cause = if lost { Cause::LostEdge } else { Cause::Plain };
                self.tell(Some(visit), sensor, at, when, Reading::Presence { occupied }, cause);
            }
        }
    }

    /// When a loop or light barrier notices a vehicle.
    fn occupancies<'v>(
        &self,
        visit: &'v Visit,
        sensor: &Sensor,
        at: (usize, usize, usize),
    ) -> Vec<Occupancy<'v>> {
        let mut random = self.random(visit.number, at, 1);
        let half = sensor.width_m / 2.0;
        let (from_m, to_m) = (sensor.at_m - half, sensor.at_m + half);
        let length = visit.vehicle.length_m;
        let light_barrier = sensor.width_m < 0.5;
        let loses = random.chance(self.noise.tall_gap * sensor.error_factor);
        if random.chance(self.noise.missed_vehicle * sensor.error_factor) {
            return Vec::new();
        }
        // A loop sees a trailer's high floor only where there are axles.
        let gap =
            visit.vehicle.gap_m.filter(|_| loses).map(|(from, to)| {
                if light_barrier { (from, to) } else { (from - 0.3, to + half * 2.0 + 0.3) }
            });
        let spans = visit.times(|front| {
            let covered = front >= from_m && front - length <= to_m;
            let lost = gap.is_some_and(|(from, to)| front - from >= to_m && front - to <= from_m);
            covered && !lost
        });
        let cut = spans.len() > 1;
        spans.into_iter().map(|(rise, fall)| Occupancy { visit, rise, fall, cut }).collect()
    }

    fn plate(&mut self, visit: &Visit, sensor: &Sensor, at: (usize, usize, usize), random: &mut Random) {
        let length = visit.vehicle.length_m;
        let seen = match sensor.view {
            View::Front => {
                visit.times(|front| front > sensor.at_m - sensor.reach_m && front < sensor.at_m + 0.5)
            }
            View::Rear => visit.times(|front| {
                front - length > sensor.at_m - 0.5 && front - length < sensor.at_m + sensor.reach_m
            }),
        };
        let Some((from, _)) = seen.first().copied() else { return };
        let Some((_, to)) = seen.last().copied() else { return };
        let vehicle = &visit.vehicle;
        // Who drives against the direction shows its rear to the cameras that look for fronts.
        let shows_front = (sensor.view == View::Front) != (visit.manner == Manner::Against);
        let text = if shows_front { &vehicle.plates.0 } else { &vehicle.plates.1 };
        let reads = random.whole(1, 6);
        let unread = random.chance(self.noise.unread_vehicle * sensor.error_factor);
        let badge = random.chance(self.noise.badge * sensor.error_factor) && vehicle.length_m > 8.0;
        let mut when = from + random.uniform(0.0, (to - from).min(1.5));
        let view = sensor.view;
        for _ in 0..reads {
            let wrong = self.noise.wrong_character * sensor.error_factor;
            let read = misread(random, text, wrong, self.noise.dropped_character * sensor.error_factor);
            let cause = if read == *text { Cause::Plain } else { Cause::Misread };
            let confidence =
                if cause == Cause::Plain { random.uniform(0.8, 0.995) } else { random.uniform(0.4, 0.93) };
            let country = (confidence > 0.6).then(|| vehicle.country.to_owned());
            let reading = Reading::Plate(PlateReading {
                text: read,
                country,
                confidence: rounded(confidence),
                view,
                candidates: Vec::new(),
            });
            if !unread {
                self.tell(Some(visit), sensor, at, when, reading, cause);
            }
            when += random.uniform(0.15, 0.7);
            if when > to + 0.3 {
                break;
            }
        }
        if badge {
            let confidence =
                if random.chance(0.15) { random.uniform(0.75, 0.9) } else { random.uniform(0.2, 0.6) };
            let reading = Reading::Plate(PlateReading {
                text: vehicle.badge.to_owned(),
                country: None,
                confidence: rounded(confidence),
                view,
                candidates: Vec::new(),
            });
            let when = from + random.uniform(0.0, (to - from).min(2.0));
            self.tell(Some(visit), sensor, at, when, reading, Cause::Badge);
        }
    }

    fn tag(&mut self, visit: &Visit, sensor: &Sensor, at: (usize, usize, usize), random: &mut Random) {
        let Some(epc) = visit.vehicle.tag.clone() else { return };
        let Some((came, left)) = self.over(visit, sensor) else { return };
        // The tag is behind the windscreen.
        let lead = random.uniform(0.2, 6.0) * self.noise.early_tag.min(2.0);
        let end = (came + random.uniform(1.0, 5.0)).min(left.max(came + 1.0));
        let mut when = came - lead;
        let pace = random.uniform(0.5, 1.6);
        let mut reads = 0;
        while when < end && reads < 14 {
            if let Some(front) = visit.front_at(when) {
                let away = (front - sensor.at_m).abs().max(2.0);
                let dbm = -42.0 - 14.0 * (away / 2.0).log10() + 2.0 * random.normal();
                let cause = if when < came { Cause::Elsewhere } else { Cause::Plain };
                let reading = Reading::Tag { epc: epc.clone(), rssi_dbm: Some(tenth(dbm)), antenna: Some(1) };
                self.tell(Some(visit), sensor, at, when, reading, cause);
                reads += 1;
            }
            when += pace * random.uniform(0.7, 1.6);
        }
    }

    fn neighbour_tag(&mut self, visit: &Visit, sensor: &Sensor, at: (usize, usize, usize)) {
        let mut random = self.random(visit.number, at, 2);
        let Some(epc) = visit.vehicle.tag.clone() else { return };
        if !random.chance(self.noise.neighbour_tag) {
            return;
        }
        let times = visit.times(|front| (front - sensor.at_m).abs() < 6.0);
        let Some((from, to)) = times.first().copied() else { return };
        for _ in 0..random.whole(1, 3) {
            let dbm = -62.0 + 2.5 * random.normal();
            let reading = Reading::Tag { epc: epc.clone(), rssi_dbm: Some(tenth(dbm)), antenna: Some(1) };
            let when = random.uniform(from, to.min(from + 8.0));
            self.tell(Some(visit), sensor, at, when, reading, Cause::Neighbour);
            if let Some(event) = self.events.last_mut() {
                event.or_nobody = true;
            }
        }
    }

    fn radiation(&mut self, visit: &Visit, sensor: &Sensor, at: (usize, usize, usize), random: &mut Random) {
        let Some((came, left)) = self.over(visit, sensor) else { return };
        let background = random.uniform(250.0, 420.0);
        let draw = random.uniform(0.0, 1.0);
        let alarm = if draw < self.rates.alarms * 0.85 {
            RadiationAlarm::Gamma
        } else if draw < self.rates.alarms * 0.95 {
            RadiationAlarm::Neutron
        } else if draw < self.rates.alarms {
            RadiationAlarm::GammaNeutron
        } else if draw > 0.997 {
            RadiationAlarm::Fault
        } else {
            RadiationAlarm::None
        };
        let gamma =
            if matches!(alarm, RadiationAlarm::Gamma | RadiationAlarm::GammaNeutron) { 2.0 } else { 1.05 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let duration_ms = Some(((left - came) * 1000.0) as u64);
        let neutron =
            if matches!(alarm, RadiationAlarm::Neutron | RadiationAlarm::GammaNeutron) { 8.0 } else { 1.0 };
        let reading = Reading::Radiation {
            alarm,
            gamma_max_cps: Some(tenth(background * gamma * random.uniform(0.95, 1.3))),
            gamma_background_cps: Some(tenth(background)),
            neutron_max_cps: Some(tenth(neutron * random.uniform(0.5, 1.5))),
            duration_ms,
        };
        self.tell(Some(visit), sensor, at, left, reading, Cause::Plain);
    }

    fn weight(
        &mut self,
        visit: &Visit,
        place: &Place,
        sensor: &Sensor,
        at: (usize, usize, usize),
        random: &mut Random,
    ) {
        let truth = visit.vehicle.weight_kg;
        let stopped = visit.stops.iter().find(|(station, ..)| *station == at.1).copied();
        let Some((came, left)) = self.over(visit, sensor) else { return };
        let weight = |gross_kg: i64, stable: bool, mode: WeighMode, axles_kg: Option<Vec<i64>>| {
            Reading::Weight { gross_kg: gross_kg / 20 * 20, axles_kg, stable, mode }
        };
        #[allow(clippy::cast_possible_truncation)]
        let off = |random: &mut Random, share: f64| (truth as f64 * (1.0 + share * random.normal())) as i64;
        let Some((_, from, to)) = stopped.filter(|_| place.role == Role::Scale) else {
            // In motion.
            if random.chance(0.9) {
                let axles = visit.vehicle.axles() as i64;
                let gross = off(random, 0.02);
                let mode = if random.chance(0.5) { WeighMode::Wim } else { WeighMode::Axle };
                let list = vec![gross / axles; visit.vehicle.axles()];
                let reading = weight(gross, mode == WeighMode::Wim || random.chance(0.8), mode, Some(list));
                self.tell(Some(visit), sensor, at, left, reading, Cause::Plain);
            }
            return;
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let unsettled = (random.whole(2, 6) as f64 * self.noise.settling).round() as u64;
        let settled = from + (to - from) * random.uniform(0.4, 0.8);
        for n in 0..unsettled {
            let when =
                came.max(from - 4.0) + (settled - came.max(from - 4.0)) * (n as f64 + 0.5) / unsettled as f64;
            let share = 0.3 / (n as f64 + 1.0);
            let reading = weight(off(random, share).abs(), false, WeighMode::Static, None);
            self.tell(Some(visit), sensor, at, when, reading, Cause::Plain);
        }
        for n in 0..random.whole(1, 2) {
            let reading = weight(off(random, 0.002), true, WeighMode::Static, None);
            self.tell(Some(visit), sensor, at, settled + 0.4 * n as f64, reading, Cause::Plain);
        }
    }

    fn seal(&mut self, visit: &Visit, sensor: &Sensor, at: (usize, usize, usize), random: &mut Random) {
        let Some(seal_id) = visit.vehicle.seal.clone() else { return };
        let queue = random.chance(self.noise.seal_queue);
        let reach = random.uniform(25.0, 45.0);
        // The seal is at the rear doors.
        let length = visit.vehicle.length_m;
        let heard = visit.times(|front| (front - length - sensor.at_m).abs() < reach);
        let Some((came, left)) = self.over(visit, sensor) else { return };
        let state = match random.whole(0, 199) {
            0 => SealState::Tampered,
            1..=3 => SealState::LowBattery,
            _ => SealState::Sealed,
        };
        let pace = random.uniform(4.0, 12.0);
        let from = heard.first().map_or(came, |span| span.0);
        let mut when = if queue { from + random.uniform(0.0, pace) } else { came + random.uniform(0.2, 1.0) };
        let mut reads = 0;
        while when < left && reads < 12 {
            let here = when >= came;
            let cause = if here { Cause::Plain } else { Cause::Elsewhere };
            let reading = Reading::Seal { seal_id: seal_id.clone(), state };
            self.tell(Some(visit), sensor, at, when, reading, cause);
            reads += 1;
            when += pace * random.uniform(0.8, 1.2);
        }
        if reads == 0 || when - pace * 1.2 < came {
            let reading = Reading::Seal { seal_id, state };
            let when = came + (left - came) * random.uniform(0.2, 0.9);
            self.tell(Some(visit), sensor, at, when, reading, Cause::Plain);
        }
    }
}

impl Senses<'_> {
    /// What sensors say though nothing is there, as many times as for `visits` vehicles in `until_s` seconds.
    pub fn ghosts(&mut self, lane_index: usize, visits: usize, until_s: f64, busy: &[(f64, f64)]) {
        let layout = self.layout;
        let lane = &layout.lanes[lane_index];
        let mut random = Random::stream(self.seed, &[5, lane_index as u64]);
        for (place_index, place) in lane.places.iter().enumerate() {
            for (sensor_index, sensor) in place.sensors.iter().enumerate() {
                let at = (lane_index, place_index, sensor_index);
                let rate = match sensor.kind {
                    ReadingKind::Presence => self.noise.ghost_occupancy,
                    ReadingKind::Plate => self.noise.lettering,
                    _ => continue,
                };
                let count = poisson(&mut random, rate * visits as f64 * sensor.error_factor);
                for _ in 0..count {
                    let when = random.uniform(0.0, until_s);
                    if sensor.kind == ReadingKind::Presence {
                        let length = random.uniform(0.1, 2.0);
                        self.tell(None, sensor, at, when, Reading::Presence { occupied: true }, Cause::Ghost);
                        let reading = Reading::Presence { occupied: false };
                        self.tell(None, sensor, at, when + length, reading, Cause::Ghost);
                    } else {
                        let text: String =
                            (0..random.whole(3, 7)).map(|_| random.letter("ABEKMHTX0123456789")).collect();
                        let reading = Reading::Plate(PlateReading {
                            text,
                            country: None,
                            confidence: rounded(random.uniform(0.15, 0.6)),
                            view: sensor.view,
                            candidates: Vec::new(),
                        });
                        self.tell(None, sensor, at, when, reading, Cause::Ghost);
                    }
                }
            }
        }
        // Something (a handcart, a service car) goes against the driving direction while the lane is empty.
        for _ in 0..poisson(&mut random, self.noise.wrong_way * visits as f64) {
            let start = random.uniform(0.0, until_s);
            let last = lane.places.len() - 1;
            let from = usize::try_from(random.whole(0, last as u64)).unwrap_or(0);
            let speed = random.uniform(1.0, 3.0);
            let lasts = (lane.places[from].position_m - lane.places[0].position_m) / speed + 5.0;
            if busy.iter().any(|(a, b)| *a < start + lasts && start < *b) {
                continue;
            }
            for place_index in (0..=from).rev().take(3) {
                let place = &lane.places[place_index];
                for (sensor_index, sensor) in place.sensors.iter().enumerate() {
                    if sensor.kind == ReadingKind::Presence {
                        let when = start + (lane.places[from].position_m - place.position_m) / speed;
                        let at = (lane_index, place_index, sensor_index);
                        let rise = Reading::Presence { occupied: true };
                        self.tell(None, sensor, at, when, rise, Cause::Ghost);
                        let fall = Reading::Presence { occupied: false };
                        self.tell(None, sensor, at, when + 2.0 / speed, fall, Cause::Ghost);
                    }
                }
            }
        }
    }

    /// Some observations are told again.
    pub fn stutter(&mut self) {
        let mut random = Random::stream(self.seed, &[6]);
        let mut again = Vec::new();
        for event in &self.events {
            if random.chance(self.noise.stutter) {
                for n in 1..=random.whole(1, 4) {
                    let mut copy = event.clone();
                    copy.arrives_s += 0.3 * n as f64 * random.uniform(0.1, 1.0);
                    copy.cause = Cause::Repeated;
                    again.push(copy);
                }
            }
        }
        self.events.extend(again);
    }
}

/// A Poisson number, for small means (Knuth).
pub fn poisson(random: &mut Random, mean: f64) -> usize {
    let mut count = 0;
    let mut left = mean;
    loop {
        left -= random.exponential(1.0);
        if left < 0.0 {
            return count;
        }
        count += 1;
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
