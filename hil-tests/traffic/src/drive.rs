//! How vehicles move: car following (the Intelligent Driver Model of Treiber, Hennecke and Helbing, 2000), stops at
//! stations, and what drivers do that nobody asked them to.

use crate::layout::{LanePlan, Role};
use crate::noise::Noise;
use crate::random::Random;
use crate::vehicle::{Mix, Vehicle};

/// Time step, seconds.
const STEP_S: f64 = 0.1;
/// Where vehicles come from, metres before the lane begins.
pub(crate) const BEFORE_M: f64 = 60.0;
/// How far they are followed beyond the last station, metres.
pub(crate) const BEYOND_M: f64 = 40.0;

/// One passage of one vehicle: what one packet should tell.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Counts the visits of a journal.
    pub number: usize,
    /// Index of the lane.
    pub lane: usize,
    /// Who it is.
    pub vehicle: Vehicle,
    /// Where the front is and when: (seconds, metres), oldest first, linear between.
    pub path: Vec<(f64, f64)>,
    /// When it stood at a station to be served: (station, from, to).
    pub stops: Vec<(usize, f64, f64)>,
    /// What it did, in a word.
    pub manner: Manner,
}

/// How a vehicle goes through the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// From the entry to the exit.
    Through,
    /// Sent out of the lane half way.
    Referred,
    /// Came from the side.
    Joined,
    /// Turned round at the entry.
    Reversed,
    /// From the exit to the entry.
    Against,
}

impl Visit {
    /// Where the front is at a time; nothing before and after.
    pub fn front_at(&self, time: f64) -> Option<f64> {
        let next = self.path.partition_point(|(at, _)| *at <= time);
        let (before, after) = (self.path.get(next.checked_sub(1)?)?, self.path.get(next)?);
        let share = (time - before.0) / (after.0 - before.0).max(1e-9);
        Some(before.1 + share * (after.1 - before.1))
    }

    /// The times during which `holds` of the front's position, seconds.
    pub fn times(&self, holds: impl Fn(f64) -> bool) -> Vec<(f64, f64)> {
        let mut found = Vec::new();
        let mut since = None;
        for (time, front) in &self.path {
            match (holds(*front), since) {
                (true, None) => since = Some(*time),
                (false, Some(from)) => {
                    found.push((from, *time));
                    since = None;
                }
                _ => {}
            }
        }
        if let (Some(from), Some((last, _))) = (since, self.path.last()) {
            found.push((from, *last));
        }
        found
    }

    /// When the vehicle covers any of `from_m` to `to_m`.
    pub fn covers(&self, from_m: f64, to_m: f64) -> Vec<(f64, f64)> {
        let length = self.vehicle.length_m;
        self.times(|front| front >= from_m && front - length <= to_m)
    }

    /// First and last moment, seconds.
    pub fn span(&self) -> (f64, f64) {
        let time = |sample: Option<&(f64, f64)>| sample.map_or(0.0, |(time, _)| *time);
        (time(self.path.first()), time(self.path.last()))
    }
}

/// A vehicle on its way.
struct Moving {
    visit: Visit,
    front: f64,
    speed: f64,
    wanted: f64,
    headway: f64,
    accelerate: f64,
    brake: f64,
    standstill: f64,
    /// Where it will stop and for how long, nearest last; the station if it is served there.
    plan: Vec<(f64, f64, Option<usize>)>,
    standing: Option<f64>,
    leave_m: Option<f64>,
    reverse: bool,
    backwards: bool,
}

/// Drives `count` vehicles through a lane. `first_number` is the number of the first visit.
pub fn drive(
    seed: u64,
    lane_index: usize,
    lane: &LanePlan,
    count: usize,
    first_number: usize,
    mix: &Mix,
    noise: &Noise,
) -> Vec<Visit> {
    let mut random = Random::stream(seed, &[3, lane_index as u64]);
    let mut arrivals: Vec<(f64, Vehicle)> = Vec::new();
    let mut time = 5.0;
    let mut platoon = 0.0;
    let mut comers: Vec<(f64, Vehicle)> = Vec::new();
    while arrivals.len() < count {
        if platoon < 1.0 {
            time += random.exponential(lane.pause_s);
            platoon = 1.0 + random.exponential(lane.platoon - 1.0).round();
        }
        platoon -= 1.0;
        time += random.uniform(lane.gap_s.0, lane.gap_s.1);
        let due = comers.iter().position(|(at, _)| *at <= time);
        let vehicle = match due {
            Some(due) => comers.swap_remove(due).1,
            None => Vehicle::draw(&mut random, mix),
        };
        if random.chance(noise.returning) {
            comers.push((time + random.uniform(300.0, 3600.0), vehicle.clone()));
        }
        arrivals.push((time, vehicle));
    }
    let mut world =
        Road { lane, lane_index, random, noise, road: Vec::new(), done: Vec::new(), number: first_number };
    world.run(arrivals, mix);
    let mut visits = world.done;
    visits.sort_by(|a, b| a.span().0.total_cmp(&b.span().0));
    visits
}

struct Road<'a> {
    lane: &'a LanePlan,
    lane_index: usize,
    random: Random,
    noise: &'a Noise,
    /// In driving order, the foremost first.
    road: Vec<Moving>,
    done: Vec<Visit>,
    number: usize,
}

impl Road<'_> {
    fn run(&mut self, arrivals: Vec<(f64, Vehicle)>, mix: &Mix) {
        let mut queue = arrivals.into_iter().peekable();
        let mut time = 0.0;
        let mut free_after = 0.0;
        while queue.peek().is_some() || !self.road.is_empty() {
            if self.road.is_empty()
                && let Some((at, _)) = queue.peek()
                && *at > time + 1.0
            {
                time = *at;
            }
            let room = self.road.last().is_none_or(|last| {
                last.front - last.visit.vehicle.length_m > -BEFORE_M + 4.0 && !last.reverse
            });
            if room
                && time >= free_after
                && let Some((_, vehicle)) = queue.next_if(|(at, _)| *at <= time)
            {
                let mut moving = self.enter(vehicle, -BEFORE_M, time);
                if let Some(last) = self.road.last() {
                    moving.speed = moving.speed.min(last.speed + 1.0);
                }
                self.road.push(moving);
                free_after = time + 0.4;
                if self.random.chance(self.noise.joining) {
                    self.join(time, mix);
                }
            }
            self.step(time);
            time += STEP_S;
        }
    }

    fn enter(&mut self, vehicle: Vehicle, front: f64, time: f64) -> Moving {
        let random = &mut self.random;
        let heavy = vehicle.length_m > 8.0;
        let wanted = random.lognormal(self.lane.speed_m_s, 0.2) * if heavy { 0.85 } else { 1.0 };
        let last_m = self.lane.places.last().map_or(0.0, |place| place.position_m);
        let first_m = self.lane.places.first().map_or(0.0, |place| place.position_m);
        let mut plan = Vec::new();
        for (station, place) in self.lane.places.iter().enumerate() {
            let Some(median) = place.stop_s else { continue };
            let ahead = match place.role {
                // The whole vehicle stands on the platform; its middle over the loop.
                Role::Scale => vehicle.length_m * random.uniform(0.4, 0.7),
                _ => random.uniform(0.3, 2.5),
            };
            plan.push((
                place.position_m + ahead,
                random.lognormal(median, 0.5).clamp(1.0, 400.0),
                Some(station),
            ));
        }
        let anywhere = random.uniform(first_m - 20.0, last_m);
        if random.chance(self.noise.waiting) {
            plan.push((anywhere, random.uniform(60.0, 360.0), None));
        }
        if random.chance(self.noise.stop_and_go) {
            plan.push((random.uniform(first_m - 10.0, last_m + 5.0), random.uniform(2.0, 15.0), None));
        }
        let mut manner = Manner::Through;
        let mut leave_m = None;
        if random.chance(self.noise.referred) && self.lane.places.len() > 3 {
            manner = Manner::Referred;
            // Between two stations, neither of them the last.
            let last = self.lane.places.len() as u64 - 2;
            let after = usize::try_from(random.whole(1, last)).unwrap_or(1);
            let from = self.lane.places[after].position_m;
            let to = self.lane.places[after + 1].position_m;
            let at = from + (to - from) * random.uniform(0.5, 0.9);
            plan.push((at, random.uniform(2.0, 10.0), None));
            leave_m = Some(at - 2.0);
        }
        let reverse = manner == Manner::Through && random.chance(self.noise.reversing);
        if reverse {
            manner = Manner::Reversed;
            plan = vec![(first_m + random.uniform(1.0, 4.0), random.uniform(3.0, 20.0), None)];
        }
        plan.retain(|(at, ..)| *at > front + 1.0);
        plan.sort_by(|a, b| b.0.total_cmp(&a.0));
        // Two stops close together are one.
        plan.dedup_by(|near, far| {
            let same = (far.0 - near.0).abs() < 1.0;
            if same && far.2.is_none() {
                far.2 = near.2;
            }
            same
        });
        let visit = Visit {
            number: self.number,
            lane: self.lane_index,
            vehicle,
            path: vec![(time, front)],
            stops: Vec::new(),
            manner,
        };
        self.number += 1;
        Moving {
            visit,
            front,
            speed: wanted,
            wanted,
            headway: random.uniform(1.0, 1.8),
            accelerate: if heavy { random.uniform(0.5, 0.9) } else { random.uniform(0.9, 1.8) },
            brake: random.uniform(1.5, 2.5),
            standstill: random.uniform(1.8, 3.5),
            plan,
            standing: None,
            leave_m,
            reverse,
            backwards: false,
        }
    }

    /// A vehicle comes from the side, where there is room for it.
    fn join(&mut self, time: f64, mix: &Mix) {
        let places = &self.lane.places;
        if places.len() < 3 {
            return;
        }
        let last = places.len() as u64 - 2;
        let after = usize::try_from(self.random.whole(0, last)).unwrap_or(0);
        let front = (places[after].position_m + places[after + 1].position_m) / 2.0;
        let vehicle = Vehicle::draw(&mut self.random, mix);
        let rear = front - vehicle.length_m;
        let room = self.road.iter().all(|other| {
            other.front - other.visit.vehicle.length_m > front + 10.0 || other.front < rear - 25.0
        });
        // It must not stand over the station before it.
        if !room || rear < places[after].position_m + 3.0 {
            return;
        }
        let mut moving = self.enter(vehicle, front, time);
        moving.speed = 0.0;
        moving.visit.manner = Manner::Joined;
        moving.leave_m = None;
        moving.reverse = false;
        let at = self.road.iter().position(|other| other.front < front).unwrap_or(self.road.len());
        self.road.insert(at, moving);
    }

    fn step(&mut self, time: f64) {
        let mut ahead: Option<(f64, f64)> = None;
        let last_m = self.lane.places.last().map_or(0.0, |place| place.position_m);
        let mut gone = Vec::new();
        for (index, moving) in self.road.iter_mut().enumerate() {
            let length = moving.visit.vehicle.length_m;
            if let Some(until) = moving.standing {
                moving.speed = 0.0;
                if time >= until {
                    moving.standing = None;
                    if let Some((_, lasted, Some(station))) = moving.plan.pop() {
                        moving.visit.stops.push((station, until - lasted, until));
                    }
                    moving.backwards = moving.reverse;
                    if moving.leave_m.is_some_and(|at| moving.front >= at) {
                        gone.push(index);
                    }
                }
            } else if moving.backwards {
                moving.speed = (moving.speed + 0.05).min(1.8);
                moving.front -= moving.speed * STEP_S;
                if moving.front < -BEFORE_M + 10.0 {
                    gone.push(index);
                }
            } else {
                let free = (moving.speed / moving.wanted).powi(4);
                let interaction = |gap: f64, difference: f64, standstill: f64, headway: f64| {
                    let desired = standstill
                        + (moving.speed * headway
                            + moving.speed * difference / (2.0 * (moving.accelerate * moving.brake).sqrt()))
                        .max(0.0);
                    (desired / gap.max(0.1)).powi(2)
                };
                let mut strongest: f64 = 0.0;
                if let Some((rear, speed)) = ahead {
                    strongest = interaction(
                        rear - moving.front,
                        moving.speed - speed,
                        moving.standstill,
                        moving.headway,
                    );
                }
                let stop = moving.plan.last().map(|(at, lasts, _)| (*at, *lasts));
                if let Some((at, _)) = stop {
                    strongest = strongest.max(interaction(at + 0.6 - moving.front, moving.speed, 0.5, 0.3));
                }
                let change = moving.accelerate * (1.0 - free - strongest);
                moving.speed = (moving.speed + change.max(-6.0) * STEP_S).max(0.0);
                let mut step = moving.speed * STEP_S;
                if let Some((rear, _)) = ahead {
                    step = step.min((rear - 0.3 - moving.front).max(0.0));
                }
                moving.front += step;
                if let Some((at, lasts)) = stop
                    && (moving.front > at || (moving.front > at - 0.8 && moving.speed < 0.25))
                {
                    moving.standing = Some(time + lasts);
                }
            }
            if moving.front - length > last_m + BEYOND_M {
                gone.push(index);
            }
            record(&mut moving.visit.path, time + STEP_S, moving.front);
            ahead = Some((moving.front - length, moving.speed));
        }
        gone.dedup();
        for index in gone.into_iter().rev() {
            let mut moving = self.road.remove(index);
            moving.visit.path.push((time + 2.0 * STEP_S, moving.front));
            self.done.push(moving.visit);
        }
    }
}

/// Keeps a sample when the vehicle has moved; standing needs two.
fn record(path: &mut Vec<(f64, f64)>, time: f64, front: f64) {
    let stands = path.len() > 1 && path.iter().rev().take(2).all(|(_, before)| (before - front).abs() < 1e-3);
    match path.last_mut() {
        Some(last) if stands => last.0 = time,
        _ => path.push((time, front)),
    }
}
