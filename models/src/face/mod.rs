//! Faces: found by YuNet, aligned by five landmarks, judged, and made into a template by SFace that can be compared
//! with others.
//!
//! No liveness: a printed or shown photograph of a face reads like the face. Where that matters, a person looks.

pub mod align;
pub mod detect;
pub mod matching;
pub mod quality;
mod reader;
mod template;

use serde::Serialize;

pub use matching::{Match, search};
pub use quality::{Flaw, Quality};
pub use reader::FaceReader;
pub use template::Template;

/// How faces are read.
#[derive(Clone, Debug)]
pub struct FaceOptions {
    /// Threads of one inference, 1 to 64.
    pub threads: usize,
    /// Confidence of the detector that a face needs, 0 to 1.
    pub least_score: f32,
    /// Overall quality that a face needs for a template, 0 to 1.
    pub least_quality: f32,
    /// Looks for small faces too: the picture at twice the resolution of the first look, in parts. Costs four more
    /// runs of the detector where the picture is larger than the first look.
    pub small_faces: bool,
    /// Most faces that get a template: bounds the time on a crowd. The largest come first.
    pub most: usize,
}

impl Default for FaceOptions {
    fn default() -> Self {
        Self { threads: 2, least_score: 0.6, least_quality: 0.0, small_faces: true, most: 8 }
    }
}

/// One face in one picture.
#[derive(Clone, Debug, Serialize)]
pub struct FaceRead {
    /// Left, top, right, bottom in pixels; may reach beyond the picture.
    pub bounds: [f32; 4],
    /// Right eye, left eye, tip of the nose, right and left corner of the mouth; right and left are the person's.
    pub landmarks: [[f32; 2]; 5],
    /// The detector's confidence, 0 to 1.
    pub score: f32,
    /// How good it is for comparing.
    pub quality: Quality,
    /// The template; none where the quality is too low. Never written anywhere.
    #[serde(skip)]
    pub template: Option<Template>,
}

/// Time spent on a picture, by stage, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FaceMilliseconds {
    /// Finding faces.
    pub detect: f64,
    /// Aligning and judging them.
    pub align: f64,
    /// The templates.
    pub template: f64,
    /// All together.
    pub total: f64,
}
