//! Which packet is of which vehicle, and a line for each vehicle.

use std::collections::BTreeMap;
use std::time::Instant;

use interface::{RadiationAlarm, UtcMs};
use packet::{Finding, Packet};
use passage::PassageState;

use super::drive::Moment;
use super::vehicle::Vehicle;

/// How far a passage's beginning may be from its vehicle's, where nothing else tells them apart, ms.
const ABOUT_MS: i64 = 2500;

/// A vehicle, and what is known of its way.
#[derive(Debug)]
pub struct Driven {
    /// The vehicle.
    pub vehicle: Vehicle,
    /// Name of its lane.
    pub lane: String,
    /// When it entered.
    pub entered: Option<(Instant, UtcMs)>,
    /// When it had left.
    pub left: Option<UtcMs>,
    /// Whether it was let out by hand.
    pub by_hand: bool,
    /// How long after it entered its decision was there, s.
    decided_s: Option<f64>,
    shown: bool,
}

/// All vehicles of a run.
#[derive(Debug)]
pub struct Traffic(pub Vec<Driven>);

impl Traffic {
    /// None has entered yet. `lanes` are the lanes' names.
    pub fn new(vehicles: &[Vehicle], lanes: &[String]) -> Self {
        let driven = vehicles.iter().map(|vehicle| Driven {
            vehicle: vehicle.clone(),
            lane: lanes.get(vehicle.lane).cloned().unwrap_or_default(),
            entered: None,
            left: None,
            by_hand: false,
            decided_s: None,
            shown: false,
        });
        Self(driven.collect())
    }

    /// Takes note of a moment.
    pub fn note(&mut self, moment: Moment) {
        let (Moment::Entered { number, .. } | Moment::Left { number, .. }) = moment;
        let Some(driven) = self.0.iter_mut().find(|driven| driven.vehicle.number == number) else { return };
        match moment {
            Moment::Entered { at, utc, .. } => driven.entered = Some((at, utc)),
            Moment::Left { utc, by_hand, .. } => {
                driven.left = Some(utc);
                driven.by_hand = by_hand;
            }
        }
    }

    /// How many have entered.
    pub fn entered(&self) -> usize {
        self.0.iter().filter(|driven| driven.entered.is_some()).count()
    }

    /// Which vehicle (its position here) a packet is of: by tag, weight, plate and seal, else by lane and time.
    pub fn vehicle_of(&self, packet: &Packet) -> Option<usize> {
        let there = self.0.iter().enumerate().filter(|(_, driven)| driven.entered.is_some());
        let in_lane = there.filter(|(_, driven)| driven.lane == packet.lane);
        let likely = in_lane.clone().max_by_key(|(_, driven)| driven.vehicle.likeness(packet));
        if let Some((index, driven)) = likely
            && driven.vehicle.likeness(packet) > 1
        {
            return Some(index);
        }
        let off =
            |driven: &Driven| driven.entered.map_or(i64::MAX, |(_, utc)| (packet.opened_at.0 - utc.0).abs());
        let nearest = in_lane.min_by_key(|(_, driven)| off(driven));
        nearest.filter(|(_, driven)| off(driven) <= ABOUT_MS).map(|(index, _)| index)
    }

    /// Takes note of a packet. Gives the line of its vehicle when the passage has ended, once; with `now` before that.
    pub fn line(&mut self, packet: &Packet, now: bool) -> Option<String> {
        let index = self.vehicle_of(packet)?;
        let driven = self.0.get_mut(index)?;
        if packet.decision.is_some() && driven.decided_s.is_none() {
            driven.decided_s = driven.entered.map(|(at, _)| at.elapsed().as_secs_f64());
        }
        if driven.shown || !(now || is_ended(packet.state)) {
            return None;
        }
        driven.shown = true;
        Some(line(driven, packet))
    }
}

/// Whether nothing more happens in a passage.
pub fn is_ended(state: PassageState) -> bool {
    use PassageState::{Abandoned, Closed, Expired, Interrupted, Manual, Unmatched};
    matches!(state, Closed | Abandoned | Expired | Interrupted | Manual | Unmatched)
}

/// The head above the lines.
pub fn head() -> String {
    format!(
        "{:>4}  {:<6} {:<24} {:>10}  {:<10} {:<20} {:<10} {:>8}",
        "", "lane", "plate", "weight", "radiation", "seals", "decision", "after"
    )
}

fn line(driven: &Driven, packet: &Packet) -> String {
    let decision = match &packet.decision {
        Some(decision) => word(&decision.verdict),
        None => word(&packet.state),
    };
    let radiation = match &packet.radiation {
        Finding::Measured { value, .. } if value.alarm == RadiationAlarm::None => "clear".to_owned(),
        Finding::Measured { value, .. } => format!("{}!", value.alarm.word().to_uppercase()),
        other => unknown(other),
    };
    let weight = packet.weight.value().map_or_else(
        || unknown(&packet.weight),
        |weight| format!("{} kg{}", thousands(weight.gross_kg), if weight.stable { "" } else { "?" }),
    );
    let seals = packet.seals.value().map_or_else(String::new, |seals| {
        let each = seals.iter().map(|seal| format!("{} {}", seal.seal_id, seal.state));
        each.collect::<Vec<_>>().join(", ")
    });
    let mut text = format!(
        "{:>4}  {:<6} {:<24} {:>10}  {:<10} {:<20} {:<10} {:>8}",
        driven.vehicle.number,
        packet.lane,
        plate(&driven.vehicle, packet),
        weight,
        radiation,
        seals,
        decision,
        driven.decided_s.map_or_else(String::new, |seconds| format!("{seconds:.1} s")),
    );
    if !packet.complete {
        let missing =
            packet.missing.iter().map(|missing| format!("{} {}", missing.kind, word(&missing.reason)));
        text.push_str(&format!("  incomplete: {}", missing.collect::<Vec<_>>().join(", ")));
    }
    text
}

fn plate(vehicle: &Vehicle, packet: &Packet) -> String {
    let shown = vehicle.plates.join("/");
    match &packet.plate_front {
        Finding::Measured { value, .. } if vehicle.plates.contains(&value.text) => {
            format!("{}{}", value.text, if value.certain { "" } else { " (unsure)" })
        }
        Finding::Measured { value, .. } => {
            format!("{}{} is {shown}", value.text, if value.certain { "!" } else { "?" })
        }
        other => format!("{}, is {shown}", unknown(other)),
    }
}

/// `disputed`, or why there is nothing.
fn unknown<T>(finding: &Finding<T>) -> String {
    match finding {
        Finding::Absent { reason } => word(reason),
        _ => "disputed".to_owned(),
    }
}

/// The word that stands for `value` in messages.
pub fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| Some(value.as_str()?.replace('_', " ")))
        .unwrap_or_default()
}

fn thousands(number: i64) -> String {
    if number.abs() < 1000 {
        number.to_string()
    } else {
        format!("{} {:03}", number / 1000, number.abs() % 1000)
    }
}

/// Vehicles with all packets that are theirs, and the packets that are nobody's.
pub fn sort<'a>(
    traffic: &Traffic,
    packets: impl Iterator<Item = &'a Packet>,
) -> (BTreeMap<usize, Vec<&'a Packet>>, Vec<&'a Packet>) {
    let mut theirs: BTreeMap<usize, Vec<&Packet>> = BTreeMap::new();
    let mut nobodys = Vec::new();
    for packet in packets {
        match traffic.vehicle_of(packet) {
            Some(index) => theirs.entry(index).or_default().push(packet),
            None => nobodys.push(packet),
        }
    }
    (theirs, nobodys)
}
