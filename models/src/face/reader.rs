//! The chain: find, align, judge, and make a template.

use std::time::Instant;

use super::align::{self, aligned};
use super::detect::{self, Face, Grid, STEPS, decode, without_doubles};
use super::quality::{Measures, Quality, measure};
use super::{FaceMilliseconds, FaceOptions, FaceRead, Template};
use crate::plate::rectify::planes;
use crate::{ModelError, ModelStore, Picture, Runtime};
use opencv::core::{Mat, MatTraitConst, Rect, Size};
use opencv::imgproc;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;

/// Long side of the first look, pixels. Pictures are not enlarged: the detector misses faces that fill its input
/// (measured: 42 of 363 faces enlarged to 350 pixels).
const FIRST: f32 = 640.0;
/// Long side of the look for faces that fill the picture, where the first look found nothing.
const NEAR: f32 = 224.0;
/// Part of its side by which the parts of the look for small faces overlap, so that none is cut in two.
const OVERLAP: f32 = 0.2;
/// Pictures this much larger than the first look are looked at in parts too.
const LARGER: f32 = 1.25;

/// Finds faces and makes templates. One per thread; loading takes about a tenth of a second.
#[derive(Debug)]
pub struct FaceReader {
    finder: Session,
    templates: Session,
    options: FaceOptions,
    milliseconds: FaceMilliseconds,
}

impl FaceReader {
    /// Loads the two models.
    ///
    /// # Errors
    /// A model file is missing or wrong, an option is outside its range, or ONNX Runtime refuses a model.
    pub fn load(runtime: &Runtime, store: &ModelStore, options: FaceOptions) -> Result<Self, ModelError> {
        let refused = |option: &'static str, expected: &str, got: String| {
            Err(ModelError::Option { option, reason: format!("expected {expected}, got {got}") })
        };
        if !(1..=64).contains(&options.threads) {
            return refused("threads", "1 to 64", options.threads.to_string());
        }
        if !(1..=100).contains(&options.most) {
            return refused("most", "1 to 100", options.most.to_string());
        }
        for (option, value) in
            [("least_score", options.least_score), ("least_quality", options.least_quality)]
        {
            if !(0.0..=1.0).contains(&value) {
                return refused(option, "0 to 1", value.to_string());
            }
        }
        let session = |name: &str| runtime.load_model(store, name, options.threads);
        let (finder, templates) = (session("face-finder")?, session("face-template")?);
        Ok(Self { finder, templates, options, milliseconds: FaceMilliseconds::default() })
    }

    /// Time spent on the last picture.
    #[must_use]
    pub fn milliseconds(&self) -> FaceMilliseconds {
        self.milliseconds
    }

    /// The faces in the picture, the largest first.
    ///
    /// # Errors
    /// ONNX Runtime's or OpenCV's; a picture without a face is no error.
    pub fn read(&mut self, picture: &Picture) -> Result<Vec<FaceRead>, ModelError> {
        let start = Instant::now();
        let mut spent = FaceMilliseconds::default();
        let faces = timed(&mut spent.detect, || self.find(picture.mat()))?;
        let mut reads = Vec::new();
        for face in faces {
            let judged = timed(&mut spent.align, || judge(picture.mat(), &face))?;
            let Some((crop, measures)) = judged else { continue };
            let quality = Quality::of(&measures);
            let wanted = reads.len() < self.options.most && quality.overall >= self.options.least_quality;
            let template = match wanted {
                true => Some(timed(&mut spent.template, || self.template(&crop))?),
                false => None,
            };
            let Face { bounds, landmarks, score } = face;
            reads.push(FaceRead { bounds, landmarks, score, quality, template });
        }
        spent.total = start.elapsed().as_secs_f64() * 1000.0;
        self.milliseconds = spent;
        Ok(reads)
    }

    /// The measures behind the quality of each face, in the order of [`FaceReader::read`]: for choosing its limits.
    ///
    /// # Errors
    /// As for [`FaceReader::read`].
    pub fn measures(&mut self, picture: &Picture) -> Result<Vec<Measures>, ModelError> {
        let faces = self.find(picture.mat())?;
        let judged = faces.iter().map(|face| judge(picture.mat(), face));
        judged.filter_map(|judged| judged.map(|it| it.map(|(_, measures)| measures)).transpose()).collect()
    }

    fn find(&mut self, picture: &Mat) -> Result<Vec<Face>, ModelError> {
        let whole = Rect::new(0, 0, picture.cols(), picture.rows());
        let mut found = self.look(picture, whole, FIRST)?;
        if found.is_empty() {
            found = self.look(picture, whole, NEAR)?;
        }
        if self.options.small_faces && picture.cols().max(picture.rows()) as f32 > FIRST * LARGER {
            for part in quarters(picture.cols(), picture.rows()) {
                found.extend(self.look(picture, part, FIRST)?);
            }
            found = without_doubles(found);
        }
        found.sort_by(|a, b| b.area().total_cmp(&a.area()));
        Ok(found)
    }

    /// Looks for faces in a part of the picture, reduced to a long side of at most `side` pixels.
    fn look(&mut self, picture: &Mat, part: Rect, side: f32) -> Result<Vec<Face>, ModelError> {
        let factor = (side / part.width.max(part.height).max(1) as f32).min(1.0);
        let rounded = |length: i32| ((length as f32 * factor).round() as i32).clamp(1, detect::SIDE as i32);
        let size = Size::new(rounded(part.width), rounded(part.height));
        let mut small = Mat::default();
        let view = Mat::roi(picture, part)?;
        imgproc::resize(&view, &mut small, size, 0.0, 0.0, imgproc::INTER_AREA)?;
        let input = planes(&small, detect::SIDE, detect::SIDE, [0.0; 3], 1.0)?;
        let shape = [1, 3, detect::SIDE, detect::SIDE];
        let tensor = TensorRef::from_array_view((shape, input.as_slice()))?;
        let outputs = self.finder.run(ort::inputs![tensor])?;
        let [first, second, third] = STEPS;
        let grids = [grid(&outputs, first)?, grid(&outputs, second)?, grid(&outputs, third)?];
        let found = decode(grids, self.options.least_score);
        let offset = [part.x as f32, part.y as f32];
        Ok(found.into_iter().map(|face| face.placed(1.0 / factor, offset)).collect())
    }

    fn template(&mut self, crop: &Mat) -> Result<Template, ModelError> {
        let mut rgb = Mat::default();
        imgproc::cvt_color_def(crop, &mut rgb, imgproc::COLOR_BGR2RGB)?;
        let input = planes(&rgb, align::SIDE, align::SIDE, [0.0; 3], 1.0)?;
        let shape = [1, 3, align::SIDE, align::SIDE];
        let tensor = TensorRef::from_array_view((shape, input.as_slice()))?;
        let outputs = self.templates.run(ort::inputs![tensor])?;
        Template::new(crate::text::output(&outputs, 0, "face-template", &[1, 128])?)
    }
}

fn judge(picture: &Mat, face: &Face) -> Result<Option<(Mat, Measures)>, ModelError> {
    let Some(crop) = aligned(picture, face)? else { return Ok(None) };
    let measures = measure(picture, face, &crop)?;
    Ok(Some((crop, measures)))
}

/// The detector's outputs of one grid, by name.
fn grid<'a>(outputs: &'a SessionOutputs<'_>, step: usize) -> Result<Grid<'a>, ModelError> {
    let cells = (detect::SIDE / step).pow(2);
    let named = |word: &str, numbers: usize| {
        let name = format!("{word}_{step}");
        let fault = |reason: String| ModelError::ModelShape { name: "face-finder".into(), reason };
        let value = outputs.get(&name).ok_or_else(|| fault(format!("it has no output `{name}`")))?;
        let (_, values) = value.try_extract_tensor::<f32>()?;
        if values.len() != cells * numbers {
            let reason =
                format!("output `{name}`: expected {} numbers, got {}", cells * numbers, values.len());
            return Err(fault(reason));
        }
        Ok(values)
    };
    Ok(Grid {
        class: named("cls", 1)?,
        object: named("obj", 1)?,
        bounds: named("bbox", 4)?,
        landmarks: named("kps", 10)?,
    })
}

/// Four parts that cover the picture and overlap.
fn quarters(width: i32, height: i32) -> [Rect; 4] {
    let part = |length: i32| ((length as f32 * (0.5 + OVERLAP / 2.0)).round() as i32).clamp(1, length.max(1));
    let (w, h) = (part(width), part(height));
    [(0, 0), (width - w, 0), (0, height - h), (width - w, height - h)].map(|(x, y)| Rect::new(x, y, w, h))
}

/// Runs `work` and adds its time to `sum`.
fn timed<T>(sum: &mut f64, work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, ModelError> {
    let start = Instant::now();
    let result = work();
    *sum += start.elapsed().as_secs_f64() * 1000.0;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_the_picture_and_stay_inside() {
        for (width, height) in [(1920, 1080), (801, 3), (1, 900)] {
            let parts = quarters(width, height);
            for part in parts {
                assert!(part.x >= 0 && part.y >= 0 && part.width > 0 && part.height > 0);
                assert!(part.x + part.width <= width && part.y + part.height <= height, "{part:?}");
            }
            let [first, .., last] = parts;
            assert!(first.width >= last.x && first.height >= last.y, "no gap");
        }
    }
}
