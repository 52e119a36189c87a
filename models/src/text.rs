//! The text finder and the text reader: what plates and container codes share.

use crate::ModelError;
use crate::plate::detect::{Found, text_boxes};
use crate::plate::lattice::{CLASSES, Lattice, class_of};
use crate::plate::rectify::{MAX_READ_WIDTH, READ_HEIGHT, planes};
use opencv::core::{Mat, MatTraitConst, Size};
use opencv::imgproc;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;

/// Something that runs one model: a session, or one that measures its time.
pub(crate) trait Infer {
    /// Runs the model on one input of this shape.
    fn infer(&mut self, shape: [usize; 4], input: &[f32]) -> Result<SessionOutputs<'_>, ModelError>;
}

impl Infer for Session {
    fn infer(&mut self, shape: [usize; 4], input: &[f32]) -> Result<SessionOutputs<'_>, ModelError> {
        Ok(self.run(ort::inputs![TensorRef::from_array_view((shape, input))?])?)
    }
}

/// Runs the text finder on a picture whose sides are multiples of 32; `scale` leads back to the whole picture.
pub(crate) fn find_texts(
    finder: &mut impl Infer,
    small: &Mat,
    width: usize,
    height: usize,
    scale: [f32; 2],
) -> Result<Vec<Found>, ModelError> {
    let input = planes(small, width, height, [127.5; 3], 1.0 / 127.5)?;
    let outputs = finder.infer([1, 3, height, width], &input)?;
    let map = output(&outputs, 0, "text-finder", &[1, 1, height, width])?;
    text_boxes(map, width, height, scale)
}

/// What strips a reader takes, and how many columns make a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Height of a strip in pixels.
    pub(crate) height: i32,
    /// Columns of a frame.
    pub(crate) stride: i32,
    /// Widths of the input, ascending: a few fixed ones, so that ONNX Runtime does not plan its memory anew for each
    /// crop. Wider strips are squeezed.
    pub(crate) widths: [i32; 4],
}

/// PP-OCR's readers.
pub(crate) const PP_OCR: Form =
    Form { height: READ_HEIGHT, stride: 8, widths: [160, 240, 320, MAX_READ_WIDTH] };

/// `plate-text`, trained in `models/training`.
pub(crate) const PLATE_TEXT: Form = Form { height: 32, stride: 4, widths: [112, 160, 216, 320] };

impl Form {
    /// Most columns of a strip.
    pub(crate) fn widest(&self) -> i32 {
        self.widths.into_iter().fold(1, i32::max)
    }

    /// The width of the input for a strip of so many columns.
    fn width(&self, columns: i32) -> usize {
        let fitting = self.widths.into_iter().find(|w| columns <= *w);
        fitting.unwrap_or_else(|| self.widest()).unsigned_abs() as usize
    }
}

/// The lattice of one line, from its strip of height [`READ_HEIGHT`].
pub(crate) fn read_strip(
    reader: &mut impl Infer,
    alphabet: &[Option<usize>],
    crop: &Mat,
) -> Result<Lattice, ModelError> {
    let read = read_strips(reader, "text-reader", PP_OCR, alphabet, std::slice::from_ref(crop))?;
    Ok(Lattice::new(&read.into_iter().next().unwrap_or_default()))
}

/// Probabilities of blank and the signs of a [`Lattice`] in each frame of a strip.
pub(crate) type Frames = Vec<[f32; CLASSES]>;

/// What stands in several strips, read in one run at the width that holds the widest.
pub(crate) fn read_strips(
    reader: &mut impl Infer,
    name: &str,
    form: Form,
    alphabet: &[Option<usize>],
    crops: &[Mat],
) -> Result<Vec<Frames>, ModelError> {
    let Some(widest) = crops.iter().map(MatTraitConst::cols).max() else { return Ok(Vec::new()) };
    let (width, height) = (form.width(widest), form.height.unsigned_abs() as usize);
    let mut input = Vec::with_capacity(crops.len() * 3 * width * height);
    for crop in crops {
        input.extend(planes(crop, width, height, [127.5; 3], 1.0 / 127.5)?);
    }
    let (frames, signs) = (width / form.stride.unsigned_abs().max(1) as usize, alphabet.len());
    let outputs = reader.infer([crops.len(), 3, height, width], &input)?;
    let values = output(&outputs, 0, name, &[crops.len(), frames, signs])?;
    // a few dozen classes of some thousand signs: the others are what is missing to 1
    let known: Vec<(usize, usize)> =
        alphabet.iter().enumerate().filter_map(|(sign, class)| Some((sign, (*class)?))).collect();
    let reduced = |(crop, values): (&Mat, &[f32])| {
        let columns = crop.cols().clamp(1, form.widest()).unsigned_abs() as usize;
        let used = (frames * columns).div_ceil(width) + 1;
        let reduce = |frame: &[f32]| {
            let mut classes = [0.0; CLASSES];
            for &(sign, class) in &known {
                if let (Some(sum), Some(value)) = (classes.get_mut(class), frame.get(sign)) {
                    *sum += value;
                }
            }
            classes
        };
        values.chunks_exact(signs.max(1)).take(used).map(reduce).collect()
    };
    Ok(crops.iter().zip(values.chunks_exact((frames * signs).max(1))).map(reduced).collect())
}

/// The picture with its long side at `side`, enlarged at most `enlarge` times, both sides multiples of 32.
pub(crate) fn resized(mat: &Mat, side: f32, enlarge: f32) -> Result<(Mat, usize, usize), ModelError> {
    let (w, h) = (mat.cols() as f32, mat.rows() as f32);
    let factor = (side / w.max(h)).min(enlarge);
    let rounded = |v: f32| ((v * factor / 32.0).round() as usize).max(1) * 32;
    let (width, height) = (rounded(w), rounded(h));
    let mut small = Mat::default();
    let interpolation = if factor < 1.0 { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    imgproc::resize(mat, &mut small, Size::new(width as i32, height as i32), 0.0, 0.0, interpolation)?;
    Ok((small, width, height))
}

/// Class of each output of the text reader, from the list of signs in its metadata: index 0 is the blank.
pub(crate) fn alphabet(session: &Session) -> Result<Vec<Option<usize>>, ModelError> {
    let fault = |reason: String| ModelError::ModelShape { name: "text-reader".into(), reason };
    let signs = session.metadata()?.custom("character");
    let signs = signs.ok_or_else(|| fault("it has no metadata `character` with its signs".into()))?;
    let mut classes = vec![Some(0)];
    for line in signs.lines() {
        let mut chars = line.chars();
        classes.push(match (chars.next(), chars.next()) {
            (Some(sign), None) => class_of(sign),
            _ => None,
        });
    }
    let outputs = session.outputs().first().and_then(|o| o.dtype().tensor_shape()?.last().copied());
    // the models have one more output, for the space
    let count = outputs.and_then(|n| usize::try_from(n).ok()).unwrap_or(classes.len() + 1);
    if count < classes.len() || count > classes.len() + 1 {
        return Err(fault(format!("{count} outputs do not fit its {} signs", classes.len())));
    }
    classes.resize(count, None);
    Ok(classes)
}

/// Output `index` as numbers, if it has the expected shape.
pub(crate) fn output<'a>(
    outputs: &'a ort::session::SessionOutputs<'_>,
    index: usize,
    name: &str,
    shape: &[usize],
) -> Result<&'a [f32], ModelError> {
    let fault = |reason: String| ModelError::ModelShape { name: name.into(), reason };
    if index >= outputs.len() {
        return Err(fault(format!("it has no output {index}")));
    }
    #[allow(clippy::indexing_slicing, reason = "the index is checked above")]
    let (found, values) = outputs[index].try_extract_tensor::<f32>()?;
    if !found.iter().zip(shape).all(|(a, b)| usize::try_from(*a) == Ok(*b)) || found.len() != shape.len() {
        return Err(fault(format!("output {index}: expected {shape:?}, got {found}")));
    }
    Ok(values)
}
