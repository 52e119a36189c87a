//! Plates: found by a plate finder and a text finder, rectified, read into lattices by a plate reader and general text
//! readers, decoded under the formats of the expected countries.

pub mod corner_finder;
mod crop;
mod decoding;
pub mod detect;
pub mod formats;
pub mod grammar;
mod inference;
pub mod lattice;
mod reader;
pub mod rectify;
mod voting;

use crate::Corners;
use serde::Serialize;

pub use reader::PlateReader;

/// How plates are read.
#[derive(Clone, Debug)]
pub struct PlateOptions {
    /// Countries whose plates are expected here, ISO 3166-1 alpha-2, as in `formats.toml`. Plates of others are read
    /// too, with a handicap. Without any, nothing is ever certain.
    pub countries: Vec<String>,
    /// Threads of one inference, 1 to 64.
    pub threads: usize,
    /// Most crops that are read in one picture by the general readers, and half of those that the plate reader may read:
    /// bounds the time a picture full of text can take.
    pub max_reads: usize,
}

impl Default for PlateOptions {
    fn default() -> Self {
        Self { countries: Vec::new(), threads: 2, max_reads: 12 }
    }
}

/// What found a plate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// One box of the text finder.
    Text,
    /// Several boxes of the text finder on one line.
    Joined,
    /// Two boxes of the text finder, one above the other.
    TwoLines,
    /// The plate finder's corners.
    Plate,
}

/// Another reading of the same plate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlateCandidate {
    /// A-Z and 0-9, no separators.
    pub text: String,
    /// The country whose format it has, if only one of the likely ones has it.
    pub country: Option<String>,
    /// Chance that this is the plate, 0 to 1; the candidates of a plate sum to at most 1.
    pub probability: f64,
}

/// Time spent on a picture, by stage, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageMilliseconds {
    /// Text finder and plate finder.
    pub detect: f64,
    /// Cutting out and straightening the crops.
    pub rectify: f64,
    /// The text reader.
    pub read: f64,
    /// Decoding under the formats.
    pub decode: f64,
    /// Inside ONNX Runtime: a part of `detect` and `read`.
    pub inference: f64,
    /// All together.
    pub total: f64,
}

/// One plate in one picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlateRead {
    /// Where it is.
    pub corners: Corners,
    /// A-Z and 0-9, no separators.
    pub text: String,
    /// The country whose format it has, if only one of the likely ones has it.
    pub country: Option<String>,
    /// Chance that `text` is right, 0 to 1, calibrated (see the README of the crate).
    pub probability: f64,
    /// The score's distance to the best different text, and to an implausible read: the least of both, in nats.
    pub margin: f64,
    /// Safe to act on without a second look. Never without configured countries.
    pub certain: bool,
    /// The readings that were considered, best first; the first is `text`.
    pub candidates: Vec<PlateCandidate>,
    /// What found it.
    pub detector: Detector,
    /// Time spent on the whole picture.
    pub milliseconds: StageMilliseconds,
}

#[cfg(test)]
mod tests {
    use super::{corner_finder, decoding, detect, inference, reader, voting};

    #[test]
    fn the_manifest_has_the_thresholds_of_the_code_and_figures_with_their_command() {
        let manifest = crate::Manifest::builtin().unwrap();
        let votes = [
            ("emit_score", decoding::EMIT),
            ("certain_margin", voting::CERTAIN),
            ("agreed_margin", voting::AGREED),
        ];
        let finder =
            [("map", detect::MAP_THRESHOLD), ("box_score", detect::BOX_SCORE), ("unclip", detect::UNCLIP)];
        let corners = [
            ("score", inference::PLATE_SCORE),
            ("doubt", reader::DOUBT),
            ("backs_free_text", reader::BACKED),
            ("nms_iou", corner_finder::NMS_IOU),
        ];
        let code: [(&str, &[(&str, f32)]); 5] = [
            ("text-finder", &finder),
            ("plate-corners", &corners),
            ("plate-text", &votes),
            ("text-reader", &votes),
            ("second-reader", &votes),
        ];
        for (name, thresholds) in code {
            let entry = manifest.model.iter().find(|m| m.name == name).unwrap();
            for (threshold, value) in thresholds {
                let said = entry.thresholds.get(*threshold).copied().unwrap_or(f64::NAN);
                assert!((said - f64::from(*value)).abs() < 1e-6, "{name} {threshold}: {said}, {value}");
            }
            assert_eq!(entry.thresholds.len(), thresholds.len(), "{name}");
        }
        for model in manifest.model {
            assert!(!model.thresholds.is_empty(), "{}", model.name);
            let measured = &model.measured;
            assert!(measured.contains('%') && measured.contains("command `"), "{}: {measured}", model.name);
        }
    }
}
