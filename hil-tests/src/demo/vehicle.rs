//! The vehicles of a run: everything about them by the seed.

use interface::SealState;
use packet::Packet;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scene::{Photo, Photos, PlateText, Scene, random_plate, render};

/// A seal on a vehicle, and what it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The seal's number.
    pub id: u32,
    /// Its digital inputs: bit 0 shackle closed, bit 1 rope cut.
    pub inputs: u8,
    /// Cause of the report.
    pub cause: u8,
    /// What that means.
    pub state: SealState,
}

/// What the camera sees of a vehicle.
#[derive(Clone, Debug)]
pub enum Look {
    /// A photograph.
    Photo(Photo),
    /// A scene drawn with this plate.
    Rendered(PlateText, u64),
}

impl Look {
    /// The picture; takes some milliseconds.
    pub fn scene(&self) -> anyhow::Result<Scene> {
        match self {
            Self::Photo(photo) => Scene::open(&photo.file),
            Self::Rendered(plate, seed) => render(plate, *seed),
        }
    }
}

/// A vehicle.
#[derive(Clone, Debug)]
pub struct Vehicle {
    /// Counts the vehicles of the run, from 1.
    pub number: usize,
    /// Which lane it takes, from 0.
    pub lane: usize,
    /// What the camera sees.
    pub look: Look,
    /// What its plate says; any of several is right.
    pub plates: Vec<String>,
    /// Its RFID tag.
    pub epc: String,
    /// Its weight, kg; a multiple of the scale's interval.
    pub weight_kg: i64,
    /// Its length, m.
    pub length_m: f64,
    /// How fast it drives, m/s.
    pub speed_m_s: f64,
    /// Whether its cargo radiates.
    pub radiates: bool,
    /// Its seal, if it has one.
    pub seal: Option<Seal>,
    /// How long it comes after the vehicle before it in its lane, s.
    pub gap_s: f64,
}

impl Vehicle {
    /// How long it covers a loop, a portal or a scale that it drives over, s.
    pub fn passing_s(&self) -> f64 {
        self.length_m / self.speed_m_s
    }

    /// How well `packet` fits this vehicle by what identifies it; 0 if nothing does.
    pub fn likeness(&self, packet: &Packet) -> u32 {
        let tag = packet
            .tags
            .value()
            .is_some_and(|tags| tags.iter().any(|tag| tag.epc.eq_ignore_ascii_case(&self.epc)));
        let weight =
            packet.weight.value().is_some_and(|weight| (weight.gross_kg - self.weight_kg).abs() < 20);
        let plate = packet.plate_front.value().is_some_and(|plate| self.plates.contains(&plate.text));
        let seal = self.seal.is_some_and(|own| {
            let seals = packet.seals.value();
            seals.is_some_and(|seals| seals.iter().any(|seal| seal.seal_id == own.id.to_string()))
        });
        4 * u32::from(tag) + 2 * u32::from(weight) + 2 * u32::from(plate) + u32::from(seal)
    }
}

/// `count` vehicles on `lanes` lanes. Photographs are used up first.
pub fn vehicles(seed: u64, count: usize, lanes: usize, photos: &Photos) -> Vec<Vehicle> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut photos = photos.choose(seed, count).into_iter();
    let mut weights: Vec<i64> = Vec::new();
    let mut list = Vec::new();
    for number in 1..=count {
        let look = match photos.next() {
            Some(photo) => Look::Photo(photo),
            None => Look::Rendered(random_plate(&mut random), random.random()),
        };
        let plates = match &look {
            Look::Photo(photo) => photo.plates.clone(),
            Look::Rendered(plate, _) => vec![plate.text()],
        };
        // Neighbours differ in weight, so that a mix-up shows.
        let recent = weights.len().saturating_sub(200);
        let mut weight_kg = 0;
        while weight_kg == 0 || weights.iter().skip(recent).any(|other| other == &weight_kg) {
            weight_kg = random.random_range(450..2000) * 20;
        }
        weights.push(weight_kg);
        let seal = random.random_bool(1.0 / 3.0).then(|| {
            let id = 400_000 + u32::try_from(number).unwrap_or_default();
            match random.random_range(0..6) {
                0 => Seal { id, inputs: 0b01, cause: 12, state: SealState::LowBattery },
                _ => Seal { id, inputs: 0b01, cause: 0, state: SealState::Sealed },
            }
        });
        list.push(Vehicle {
            number,
            lane: (number - 1) % lanes.max(1),
            look,
            plates,
            epc: format!("30340000{:08X}{number:08X}", seed & 0xFFFF_FFFF),
            weight_kg,
            length_m: random.random_range(10.0..16.5),
            speed_m_s: random.random_range(3.8..5.0),
            radiates: random.random_bool(0.1),
            seal,
            gap_s: random.random_range(7.5..9.5),
        });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_vehicles_and_each_is_its_own() {
        let make = |seed| vehicles(seed, 300, 2, &Photos::default());
        let list = make(7);
        assert_eq!(format!("{list:?}"), format!("{:?}", make(7)));
        assert_ne!(format!("{list:?}"), format!("{:?}", make(8)));
        let radiating = list.iter().filter(|vehicle| vehicle.radiates).count();
        let sealed = list.iter().filter(|vehicle| vehicle.seal.is_some()).count();
        assert!((10..=60).contains(&radiating) && (60..=140).contains(&sealed), "{radiating} {sealed}");
        // A portal needs a second of lines before it can sum, and every vehicle gives it two.
        assert!(list.iter().all(|vehicle| vehicle.passing_s() >= 2.0));
    }
}
