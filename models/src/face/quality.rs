//! Is this picture of a face good enough to compare? Size, sharpness, pose and exposure, each from 0 (useless) to 1.

use std::fmt;

use super::detect::Face;
use crate::ModelError;
use opencv::core::{Mat, MatTraitConst, Rect};
use opencv::imgproc;
use opencv::prelude::MatTraitConstManual;
use serde::Serialize;

/// Why a face is not good, in words for the person at the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// Too few pixels.
    TooSmall,
    /// Out of focus, or moved.
    Blurred,
    /// Turned to the side.
    TurnedAside,
    /// Head raised or lowered.
    TiltedUpOrDown,
    /// Too little light.
    TooDark,
    /// Too much light.
    TooBright,
    /// Fog, glare on the windscreen, or a washed-out picture.
    LowContrast,
    /// Part of it lies outside of the picture.
    CutOff,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "too small: come closer or use a longer lens",
            Self::Blurred => "blurred: check the focus, use a shorter exposure",
            Self::TurnedAside => "turned aside: look at the camera",
            Self::TiltedUpOrDown => "tilted up or down: look at the camera",
            Self::TooDark => "too dark: more light on the face",
            Self::TooBright => "too bright: less light on the face",
            Self::LowContrast => "low contrast: glare or fog between camera and face",
            Self::CutOff => "cut off by the picture's edge",
        })
    }
}

/// How good the picture of a face is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Distance of the eyes in pixels of the picture.
    pub size_px: f32,
    /// Score of the size, 0 to 1.
    pub size: f32,
    /// Score of the sharpness, 0 to 1.
    pub blur: f32,
    /// Score of the pose, 0 to 1.
    pub pose: f32,
    /// Score of light and contrast, 0 to 1.
    pub exposure: f32,
    /// The least of the scores, 0 to 1; 0 for a face that is cut off.
    pub overall: f32,
    /// What is wrong, worst first: every score below [`POOR`].
    pub reasons: Vec<Flaw>,
}

/// A score below this is named as a reason.
pub const POOR: f32 = 0.5;

/// Where the nose of a frontal face stands between eyes and mouth, as a part of the way: the median over 363 press
/// photographs is 0.57, in the template model's own alignment it is 0.49.
pub const FRONTAL: f32 = 0.54;

/// The measures behind the scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Distance of the eyes, pixels of the picture.
    pub eyes_px: f32,
    /// Standard deviation of the Laplacian over that of the grey levels, on the aligned face.
    pub sharpness: f32,
    /// How far the nose stands beside the middle of eyes and mouth, in distances of the eyes.
    pub aside: f32,
    /// How far the nose stands between eyes and mouth, as a part of the way; see [`FRONTAL`].
    pub between: f32,
    /// Mean grey level, 0 to 255.
    pub mean: f32,
    /// Standard deviation of the grey levels.
    pub contrast: f32,
    /// Share of pixels that are all but white.
    pub burnt: f32,
    /// Part of the box that lies in the picture.
    pub inside: f32,
}

/// Measures a face; `aligned` is the aligned face.
pub(crate) fn measure(picture: &Mat, face: &Face, aligned: &Mat) -> Result<Measures, ModelError> {
    // Eyes to chin: hair and background at the edges say nothing of the face.
    let inner = Rect::new(20, 24, 72, 80);
    let mut grey = Mat::default();
    imgproc::cvt_color_def(aligned, &mut grey, imgproc::COLOR_BGR2GRAY)?;
    let grey = Mat::roi(&grey, inner)?.try_clone()?;
    let mut edges = Mat::default();
    imgproc::laplacian_def(&grey, &mut edges, opencv::core::CV_32F)?;
    let levels: Vec<f32> = grey.data_bytes()?.iter().map(|level| f32::from(*level)).collect();
    let (mean, contrast) = spread(&levels);
    let (_, detail) = spread(edges.data_typed::<f32>()?);
    let burnt = levels.iter().filter(|level| **level >= 250.0).count() as f32 / levels.len().max(1) as f32;
    let (aside, between) = turn(face);
    let [left, top, right, bottom] = face.bounds;
    let seen = (right.min(picture.cols() as f32) - left.max(0.0)).max(0.0)
        * (bottom.min(picture.rows() as f32) - top.max(0.0)).max(0.0);
    Ok(Measures {
        eyes_px: face.eye_distance(),
        sharpness: detail / contrast.max(1.0),
        aside,
        between,
        mean,
        contrast,
        burnt,
        inside: seen / face.area().max(1.0),
    })
}

fn spread(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt())
}

/// Where the nose stands: beside the line from between the eyes to between the corners of the mouth, in distances of
/// the eyes, and along that line.
fn turn(face: &Face) -> (f32, f32) {
    let [right, left, nose, mouth_right, mouth_left] = face.landmarks;
    let middle = |a: [f32; 2], b: [f32; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
    let (eyes, mouth) = (middle(right, left), middle(mouth_right, mouth_left));
    let axis = [mouth[0] - eyes[0], mouth[1] - eyes[1]];
    let length = axis[0].hypot(axis[1]).max(1e-3);
    let offset = [nose[0] - eyes[0], nose[1] - eyes[1]];
    let along = (offset[0] * axis[0] + offset[1] * axis[1]) / (length * length);
    let across = (offset[0] * axis[1] - offset[1] * axis[0]).abs() / length;
    // From the side the eyes come together: the longer of both distances is the width of the face.
    (across / face.eye_distance().max(length).max(1e-3), along)
}

impl Quality {
    /// The scores. Each rises evenly between two values of its measure; see the crate's model card for how they were
    /// chosen.
    #[must_use]
    pub fn of(m: &Measures) -> Self {
        let size = ramp(m.eyes_px, 6.0, 20.0);
        let blur = ramp(m.sharpness, 0.08, 0.2);
        let aside = 1.0 - ramp(m.aside, 0.12, 0.45);
        let tilted = 1.0 - ramp((m.between - FRONTAL).abs(), 0.12, 0.45);
        let (dark, bright) =
            (ramp(m.mean, 10.0, 40.0), 1.0 - ramp(m.mean, 185.0, 240.0).max(ramp(m.burnt, 0.1, 0.5)));
        let flat = ramp(m.contrast, 8.0, 28.0);
        let whole = ramp(m.inside, 0.6, 0.9);
        let mut scores = [
            (Flaw::TooSmall, size),
            (Flaw::Blurred, blur),
            (Flaw::TurnedAside, aside),
            (Flaw::TiltedUpOrDown, tilted),
            (Flaw::TooDark, dark),
            (Flaw::TooBright, bright),
            (Flaw::LowContrast, flat),
            (Flaw::CutOff, whole),
        ];
        scores.sort_by(|a, b| a.1.total_cmp(&b.1));
        Self {
            size_px: m.eyes_px,
            size,
            blur,
            pose: aside.min(tilted),
            exposure: dark.min(bright).min(flat),
            overall: scores.first().map_or(0.0, |(_, score)| *score),
            reasons: scores.iter().filter(|(_, score)| *score < POOR).map(|(flaw, _)| *flaw).collect(),
        }
    }
}

/// 0 up to `low`, 1 from `high` on, evenly rising between; 0 for what is no number.
fn ramp(value: f32, low: f32, high: f32) -> f32 {
    let part = (value - low) / (high - low);
    if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Measures = Measures {
        eyes_px: 60.0,
        sharpness: 0.6,
        aside: 0.02,
        between: 0.5,
        mean: 120.0,
        contrast: 45.0,
        burnt: 0.0,
        inside: 1.0,
    };

    #[test]
    fn each_flaw_is_named_and_lowers_the_whole() {
        let good = Quality::of(&GOOD);
        assert_eq!((good.overall, good.reasons.len()), (1.0, 0));
        for (measures, flaw) in [
            (Measures { eyes_px: 10.0, ..GOOD }, Flaw::TooSmall),
            (Measures { sharpness: 0.05, ..GOOD }, Flaw::Blurred),
            (Measures { aside: 0.5, ..GOOD }, Flaw::TurnedAside),
            (Measures { between: 1.0, ..GOOD }, Flaw::TiltedUpOrDown),
            (Measures { mean: 12.0, ..GOOD }, Flaw::TooDark),
            (Measures { mean: 250.0, ..GOOD }, Flaw::TooBright),
            (Measures { burnt: 0.6, ..GOOD }, Flaw::TooBright),
            (Measures { contrast: 5.0, ..GOOD }, Flaw::LowContrast),
            (Measures { inside: 0.5, ..GOOD }, Flaw::CutOff),
        ] {
            let quality = Quality::of(&measures);
            assert_eq!(quality.reasons, [flaw], "{measures:?}");
            assert!(quality.overall < POOR);
        }
    }

    #[test]
    fn a_frontal_face_is_frontal_however_it_is_rolled() {
        let (sin, cos) = 0.7f32.sin_cos();
        let rolled = super::super::align::TARGET.map(|[x, y]| [x * cos - y * sin, x * sin + y * cos]);
        for landmarks in [super::super::align::TARGET, rolled] {
            let (aside, between) = turn(&Face { bounds: [0.0; 4], landmarks, score: 1.0 });
            assert!(aside < 0.02 && (between - 0.49).abs() < 0.02, "{aside} {between}");
        }
    }

    proptest! {
        #[test]
        fn scores_stay_between_0_and_1(v in proptest::array::uniform8(prop_oneof![
            -1e6f32..1e6, Just(f32::NAN), Just(f32::INFINITY)])) {
            let [eyes_px, sharpness, aside, between, mean, contrast, burnt, inside] = v;
            let q = Quality::of(&Measures { eyes_px, sharpness, aside, between, mean, contrast, burnt, inside });
            for score in [q.size, q.blur, q.pose, q.exposure, q.overall] {
                prop_assert!((0.0..=1.0).contains(&score), "{q:?}");
            }
        }
    }
}
