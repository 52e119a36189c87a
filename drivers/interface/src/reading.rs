//! What a device measured. The JSON form is the `reading` object of a journal line.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Sha256;

/// What a device measured. A value that the device did not give is `None`, never zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reading {
    /// A loop or light barrier is covered, or is free again.
    Presence {
        /// Whether something stands there now.
        occupied: bool,
    },
    /// A registration plate was read.
    Plate(PlateReading),
    /// An RFID tag answered.
    Tag {
        /// The EPC as hexadecimal digits, as received.
        epc: String,
        /// Peak signal strength, dBm.
        #[serde(default)]
        rssi_dbm: Option<f64>,
        /// Antenna number as the reader counts it, from 1.
        #[serde(default)]
        antenna: Option<u16>,
    },
    /// A radiation portal finished an occupancy (arrives when the occupancy ends).
    Radiation {
        /// What the portal called.
        alarm: RadiationAlarm,
        /// Largest gamma count rate of the occupancy, counts per second over all detectors.
        #[serde(default)]
        gamma_max_cps: Option<f64>,
        /// Gamma background before the occupancy, counts per second over all detectors.
        #[serde(default)]
        gamma_background_cps: Option<f64>,
        /// Largest neutron count rate of the occupancy, counts per second over all detectors.
        #[serde(default)]
        neutron_max_cps: Option<f64>,
        /// How long the portal was occupied, milliseconds.
        #[serde(default)]
        duration_ms: Option<u64>,
    },
    /// A scale's result.
    Weight {
        /// Gross weight, kg.
        gross_kg: i64,
        /// Weight of each axle in driving order, kg.
        #[serde(default)]
        axles_kg: Option<Vec<i64>>,
        /// Whether the scale called the value stable.
        stable: bool,
        /// How it was weighed.
        mode: WeighMode,
    },
    /// Outer dimensions of the vehicle, mm.
    Dimensions {
        /// Length, mm.
        length_mm: u32,
        /// Width, mm.
        width_mm: u32,
        /// Height, mm.
        height_mm: u32,
    },
    /// A container code was read.
    Container {
        /// ISO 6346 code.
        code: String,
        /// Probability that the code is right, 0 to 1.
        confidence: f64,
        /// Size and type code that stands with it (ISO 6346), such as `22G1`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        type_code: Option<String>,
        /// Where the last digit of the code comes from, if the device says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check_digit: Option<CheckDigit>,
    },
    /// A navigation seal reported.
    Seal {
        /// The seal's own number.
        seal_id: String,
        /// Its state.
        state: SealState,
    },
    /// A face was seen.
    Face {
        /// Where it sat.
        seat: Seat,
        /// Quality of the picture for matching, 0 to 1.
        quality: f64,
        /// The stored template, if one was taken.
        #[serde(default)]
        template: Option<Sha256>,
    },
    /// A document or barcode was read.
    Document {
        /// What kind of text it is.
        kind_of: DocumentKind,
        /// The text as read.
        text: String,
    },
    /// The undercarriage was looked at.
    Undercarriage(Verdict),
    /// An inspection system (X-ray) gave a result.
    Inspection(Verdict),
    /// Something unusual in the scene.
    Anomaly(Verdict),
}

/// The verdict of an anomaly that names somebody of the watch list: the label is who, the score the likeness. An alarm.
pub const WATCH_LIST: &str = "watch_list";

/// What an inspecting system said, as far as it says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The system's verdict in its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The system's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A registration plate as read by a camera or by recognition on the box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlateReading {
    /// The plate in canonical form: upper case, no spaces, Latin look-alikes; other letters as they stand, `?` for one not read.
    pub text: String,
    /// Country, ISO 3166-1 alpha-2; `None` where the shape does not tell and nobody else did.
    #[serde(default)]
    pub country: Option<String>,
    /// Probability that `text` is right, 0 to 1.
    pub confidence: f64,
    /// Which end of the vehicle was seen.
    pub view: View,
    /// Other readings that were possible, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<PlateCandidate>,
}

/// One possible reading of a plate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlateCandidate {
    /// The plate in canonical form.
    pub text: String,
    /// Country, ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// Probability that this is the right one, 0 to 1.
    pub confidence: f64,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in files and messages.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// The kind of a [`Reading`], without its values.
    ReadingKind {
        /// Loops and light barriers.
        Presence = "presence",
        /// Registration plates.
        Plate = "plate",
        /// RFID tags.
        Tag = "tag",
        /// Radiation portals.
        Radiation = "radiation",
        /// Scales.
        Weight = "weight",
        /// Dimension gauges.
        Dimensions = "dimensions",
        /// Container codes.
        Container = "container",
        /// Navigation seals.
        Seal = "seal",
        /// Faces.
        Face = "face",
        /// Documents and barcodes.
        Document = "document",
        /// Undercarriage views.
        Undercarriage = "undercarriage",
        /// X-ray and other inspection.
        Inspection = "inspection",
        /// Unusual scenes.
        Anomaly = "anomaly",
    }
}

words! {
    /// What a radiation portal called.
    RadiationAlarm {
        /// Nothing above the threshold.
        None = "none",
        /// Gamma above the threshold.
        Gamma = "gamma",
        /// Neutrons above the threshold.
        Neutron = "neutron",
        /// Both.
        GammaNeutron = "gamma+neutron",
        /// The portal could not measure this vehicle.
        Fault = "fault",
    }
}

words! {
    /// Where the check digit of a container code comes from.
    CheckDigit {
        /// It was read, and fits.
        Read = "read",
        /// It was not seen and is computed from the other signs, which nothing confirms.
        Computed = "computed",
        /// It was read and does not fit: one sign of the code is wrong.
        Contradicted = "contradicted",
    }
}

words! {
    /// Which end of the vehicle a camera sees.
    View {
        /// The front of the tractor or car.
        Front = "front",
        /// The rear of the last trailer or of the car.
        Rear = "rear",
    }
}

words! {
    /// How a vehicle was weighed.
    WeighMode {
        /// Standing, whole vehicle.
        Static = "static",
        /// Axle by axle.
        Axle = "axle",
        /// In motion.
        Wim = "wim",
    }
}

words! {
    /// State of a navigation seal.
    SealState {
        /// Closed and whole.
        Sealed = "sealed",
        /// Opened.
        Opened = "opened",
        /// Attacked: cut, forced or its case opened.
        Tampered = "tampered",
        /// Closed, but its battery is low.
        LowBattery = "low_battery",
        /// It reported, but not its shackle.
        Unknown = "unknown",
    }
}

words! {
    /// Where a person sits.
    Seat {
        /// Driver.
        Driver = "driver",
        /// Passenger.
        Passenger = "passenger",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// Kind of a read document text.
    DocumentKind {
        /// Machine-readable zone (ICAO 9303).
        Mrz = "mrz",
        /// GS1 element string.
        Gs1 = "gs1",
        /// Any other barcode.
        Barcode = "barcode",
    }
}

words! {
    /// Colour of a lane's traffic light.
    Light {
        /// Stop.
        Red = "red",
        /// Go.
        Green = "green",
        /// Dark.
        Off = "off",
    }
}

/// What a gate can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum GateAction {
    /// Open the barrier.
    OpenBarrier,
    /// Close the barrier; refused while the loop under it is occupied or not known to be free.
    CloseBarrier,
    /// Set the traffic light.
    SetLight {
        /// To this colour.
        light: Light,
    },
}

impl Reading {
    /// The kind, without the values.
    pub fn kind(&self) -> ReadingKind {
        match self {
            Self::Presence { .. } => ReadingKind::Presence,
            Self::Plate(_) => ReadingKind::Plate,
            Self::Tag { .. } => ReadingKind::Tag,
            Self::Radiation { .. } => ReadingKind::Radiation,
            Self::Weight { .. } => ReadingKind::Weight,
            Self::Dimensions { .. } => ReadingKind::Dimensions,
            Self::Container { .. } => ReadingKind::Container,
            Self::Seal { .. } => ReadingKind::Seal,
            Self::Face { .. } => ReadingKind::Face,
            Self::Document { .. } => ReadingKind::Document,
            Self::Undercarriage(_) => ReadingKind::Undercarriage,
            Self::Inspection(_) => ReadingKind::Inspection,
            Self::Anomaly(_) => ReadingKind::Anomaly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_form_of_readings() {
        let cases = [
            r#"{"kind":"presence","occupied":true}"#,
            r#"{"kind":"plate","text":"A001MP05","country":"RU","confidence":0.93,"view":"front"}"#,
            r#"{"kind":"tag","epc":"30F4ABCD","rssi_dbm":-51.0,"antenna":1}"#,
            r#"{"kind":"radiation","alarm":"gamma+neutron","gamma_max_cps":900.0,"gamma_background_cps":300.0,"neutron_max_cps":3.0,"duration_ms":4200}"#,
            r#"{"kind":"weight","gross_kg":18540,"axles_kg":null,"stable":true,"mode":"static"}"#,
            r#"{"kind":"container","code":"DFSU4119250","confidence":0.97}"#,
            r#"{"kind":"container","code":"DFSU4119250","confidence":0.8,"type_code":"42G1","check_digit":"computed"}"#,
            r#"{"kind":"seal","seal_id":"S-1","state":"low_battery"}"#,
            r#"{"kind":"anomaly","label":"person in lane"}"#,
        ];
        for text in cases {
            let reading: Reading = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&reading).unwrap(), text);
        }
    }

    #[test]
    fn an_unknown_kind_answers_with_the_list() {
        let error = serde_json::from_str::<Reading>(r#"{"kind":"smell"}"#).unwrap_err().to_string();
        assert!(error.contains("presence") && error.contains("anomaly"), "{error}");
    }
}
