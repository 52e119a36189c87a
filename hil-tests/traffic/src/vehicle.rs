//! Vehicles: their shape, and the names by which sensors know them.

use crate::random::Random;

/// What a vehicle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A car of about 4 m.
    Car,
    /// A van.
    Van,
    /// A bus.
    Bus,
    /// A rigid truck of about 10 m.
    Rigid,
    /// A tractor with a trailer, 16 to 18 m.
    Trailer,
    /// A tractor with a container on a chassis.
    Container,
    /// A tractor with an empty chassis.
    EmptyChassis,
}

impl Kind {
    /// Whether it is a tractor with something behind it that has a plate of its own.
    pub fn is_articulated(self) -> bool {
        matches!(self, Self::Trailer | Self::Container | Self::EmptyChassis)
    }

    /// The word in the truth file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Car => "car",
            Self::Van => "van",
            Self::Bus => "bus",
            Self::Rigid => "rigid",
            Self::Trailer => "trailer",
            Self::Container => "container",
            Self::EmptyChassis => "empty_chassis",
        }
    }
}

/// A vehicle with its names.
#[derive(Clone, Debug)]
pub struct Vehicle {
    /// What it is.
    pub kind: Kind,
    /// Length, metres.
    pub length_m: f64,
    /// The gap behind the tractor: from and to, metres behind the front.
    pub gap_m: Option<(f64, f64)>,
    /// Plate at the front and at the rear, with the country of both.
    pub plates: (String, String),
    /// Country of the plates.
    pub country: &'static str,
    /// RFID tag.
    pub tag: Option<String>,
    /// Container codes.
    pub containers: Vec<String>,
    /// Navigation seal.
    pub seal: Option<String>,
    /// The maker's badge, for cameras that take it for a plate.
    pub badge: &'static str,
    /// Weight, kg.
    pub weight_kg: i64,
}

/// How common the kinds are; drawn per seed.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Weights in the order car, van, bus, rigid, trailer, container, empty chassis.
    pub shares: [f64; 7],
    /// Share of trucks with a tag.
    pub tags: f64,
    /// Share of articulated trucks with a seal.
    pub seals: f64,
}

const KINDS: [Kind; 7] =
    [Kind::Car, Kind::Van, Kind::Bus, Kind::Rigid, Kind::Trailer, Kind::Container, Kind::EmptyChassis];
const BADGES: &[&str] =
    &["SCANIA", "VOLVO", "MAN", "DAF", "FH500", "R450", "TGX", "ACTROS", "KAMAZ", "STRALIS"];

impl Vehicle {
    /// Draws a vehicle.
    pub fn draw(random: &mut Random, mix: &Mix) -> Self {
        let mut left = random.uniform(0.0, mix.shares.iter().sum());
        let mut kind = Kind::Trailer;
        for (candidate, share) in KINDS.iter().zip(mix.shares) {
            if left < share {
                kind = *candidate;
                break;
            }
            left -= share;
        }
        let length_m = match kind {
            Kind::Car => random.uniform(3.7, 4.9),
            Kind::Van => random.uniform(5.2, 7.2),
            Kind::Bus => random.uniform(11.0, 14.0),
            Kind::Rigid => random.uniform(8.5, 11.5),
            _ => random.uniform(15.8, 18.4),
        };
        let gap_m = kind.is_articulated().then(|| {
            let from = random.uniform(4.5, 6.5);
            (from, from + random.uniform(0.5, 1.3))
        });
        let country = *random.pick(&["RU", "RU", "KZ", "BY", "PL", "LT", "UZ"]);
        let front = plate(random, country, false);
        let rear = if kind.is_articulated() { plate(random, country, true) } else { front.clone() };
        let heavy = !matches!(kind, Kind::Car | Kind::Van);
        let hex = |random: &mut Random| format!("30{:022X}", u128::from(random.whole(0, u64::MAX)) << 7);
        let tag = (heavy && random.chance(mix.tags)).then(|| hex(random));
        let seal = (kind.is_articulated() && kind != Kind::EmptyChassis && random.chance(mix.seals))
            .then(|| format!("{}", random.whole(100_000_000, 999_999_999)));
        let containers = if kind == Kind::Container {
            let count = if random.chance(0.15) { 2 } else { 1 };
            (0..count).map(|_| container(random)).collect()
        } else {
            Vec::new()
        };
        let weight_kg = match kind {
            Kind::Car => random.uniform(1_100.0, 2_400.0),
            Kind::Van => random.uniform(1_900.0, 5_000.0),
            Kind::Bus => random.uniform(10_000.0, 18_000.0),
            Kind::Rigid => random.uniform(6_000.0, 18_000.0),
            Kind::EmptyChassis => random.uniform(12_000.0, 15_500.0),
            _ => random.uniform(15_000.0, 40_000.0),
        };
        #[allow(clippy::cast_possible_truncation)]
        let weight_kg = weight_kg as i64 / 20 * 20;
        let badge = random.pick(BADGES);
        Self {
            kind,
            length_m,
            gap_m,
            plates: (front, rear),
            country,
            tag,
            containers,
            seal,
            badge,
            weight_kg,
        }
    }

    /// Axles in driving order, metres behind the front; used for their number only.
    pub fn axles(&self) -> usize {
        match self.kind {
            Kind::Car | Kind::Van => 2,
            Kind::Bus | Kind::Rigid => 3,
            _ => 5,
        }
    }
}

fn plate(random: &mut Random, country: &str, trailer: bool) -> String {
    let mut text = String::new();
    // L: letter, R: letter of the Russian plate, N: digit.
    let pattern = match (country, trailer) {
        ("RU", false) => "RNNNRRNN",
        ("RU", true) => "RRNNNNNN",
        ("KZ", false) => "NNNLLLNN",
        ("KZ", true) => "NNLLLNN",
        ("BY", false) => "LLNNNNN",
        ("BY", true) => "LNNNNLN",
        ("PL", _) => "LLLNNNNL",
        ("LT", false) => "LLLNNN",
        ("LT", true) => "LLNNN",
        _ => "NNNNNNLLL",
    };
    for sign in pattern.chars() {
        text.push(match sign {
            'R' => random.letter("ABEKMHOPCTYX"),
            'L' => random.letter("ABCDEFGHJKLMNPRSTUVWXYZ"),
            _ => random.letter("0123456789"),
        });
    }
    text
}

/// An ISO 6346 code with its check digit.
fn container(random: &mut Random) -> String {
    let mut code = String::from(*random.pick(&["MSCU", "MAEU", "TGHU", "CMAU", "HLXU", "TCLU", "RZDU"]));
    for _ in 0..6 {
        code.push(random.letter("0123456789"));
    }
    let sum: u32 = code.bytes().zip(0u32..).map(|(byte, n)| container_value(byte) << n).sum();
    let digit = sum % 11 % 10;
    code.push_str(&digit.to_string());
    code
}

/// ISO 6346: letters count from 10 upwards and leave out multiples of 11.
fn container_value(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => {
            let index = u32::from(byte - b'A');
            10 + index + index.div_ceil(10)
        }
    }
}

/// Characters that readers take for each other.
const LOOK_ALIKES: &[(char, &str)] = &[
    ('0', "OD8Q"),
    ('O', "0DQC"),
    ('1', "I7L"),
    ('2', "Z7"),
    ('3', "8"),
    ('4', "A"),
    ('5', "S6"),
    ('6', "G85"),
    ('7', "1T2"),
    ('8', "B306"),
    ('9', "P"),
    ('A', "4"),
    ('B', "8E3"),
    ('C', "GO"),
    ('D', "0O"),
    ('E', "FB"),
    ('G', "6C"),
    ('H', "NM"),
    ('K', "X"),
    ('M', "NH"),
    ('N', "MH"),
    ('P', "RF"),
    ('R', "P"),
    ('S', "5"),
    ('T', "7Y"),
    ('U', "V"),
    ('V', "UY"),
    ('X', "K"),
    ('Y', "VT"),
    ('Z', "2"),
];

/// A name as a reader gives it: each character wrong with probability `wrong`, one lost with probability `dropped`.
pub fn misread(random: &mut Random, text: &str, wrong: f64, dropped: f64) -> String {
    let mut read: Vec<char> = text
        .chars()
        .map(|character| {
            if !random.chance(wrong) {
                return character;
            }
            let alike = LOOK_ALIKES.iter().find(|(known, _)| *known == character);
            match alike {
                Some((_, others)) if random.chance(0.85) => random.letter(others),
                _ => random.letter("0123456789ABCEHKMOPTXY"),
            }
        })
        .collect();
    if read.len() > 3 && random.chance(dropped) {
        // The edges suffer most.
        let last = read.len() - 1;
        let at = match random.whole(0, 3) {
            0 => 0,
            1 => last,
            #[allow(clippy::cast_possible_truncation)]
            _ => random.whole(0, last as u64) as usize,
        };
        read.remove(at);
    }
    read.into_iter().collect()
}
