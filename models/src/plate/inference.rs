//! The networks of the plate reader, with the time that each stage takes.

use super::StageMilliseconds;
use super::corner_finder;
use super::detect::Found;
use super::lattice::Lattice;
use super::rectify::{bounds, padded, planes, strip_of};
use crate::text::{Form, Infer, PLATE_TEXT, PP_OCR, alphabet, find_texts, output, read_strips, resized};
use crate::{Corners, ModelError, ModelStore, Picture, Runtime};
use opencv::core::{Mat, MatTraitConst, Rect};
use ort::session::{Session, SessionOutputs};
use std::time::Instant;

/// Long side of the finders' input in pixels.
const FIND_SIDE: f32 = 640.0;
/// Score of a proposal of the plate finder: the reader checks them all.
pub(super) const PLATE_SCORE: f32 = 0.15;
/// Small pictures are enlarged at most this much.
const FIND_ENLARGE: f32 = 1.6;
/// Side of a close-up for the text finder in pixels, and how much it may be enlarged.
const CLOSE_SIDE: f32 = 320.0;
const CLOSE_ENLARGE: f32 = 3.0;
/// Most strips that are read in one run: bounds what ONNX Runtime keeps allocated.
const MOST_AT_ONCE: usize = 4;

/// A session that sums up its time.
#[derive(Debug)]
struct Network {
    session: Session,
    milliseconds: f64,
}

impl Infer for Network {
    fn infer(&mut self, shape: [usize; 4], input: &[f32]) -> Result<SessionOutputs<'_>, ModelError> {
        let start = Instant::now();
        let outputs = self.session.infer(shape, input);
        self.milliseconds += since(start);
        outputs
    }
}

/// A text reader with the class of each of its outputs.
#[derive(Debug)]
struct TextReader {
    name: &'static str,
    form: Form,
    network: Network,
    alphabet: Vec<Option<usize>>,
}

/// Which text reader: they err differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// Trained here on plates alone; a fifth of the others' time.
    Plate,
    /// A general one.
    General,
    /// Another general one.
    Second,
}

impl Opinion {
    /// All, the cheapest first.
    pub(crate) const ALL: [Self; 3] = [Self::Plate, Self::General, Self::Second];
}

/// All networks, and the time they took since [`Networks::start`].
#[derive(Debug)]
pub(crate) struct Networks {
    text_finder: Network,
    plate_finder: Network,
    readers: [TextReader; 3],
    pub(crate) spent: StageMilliseconds,
}

impl Networks {
    pub(crate) fn load(runtime: &Runtime, store: &ModelStore, threads: usize) -> Result<Self, ModelError> {
        let network = |name: &str| -> Result<Network, ModelError> {
            Ok(Network { session: runtime.load_model(store, name, threads)?, milliseconds: 0.0 })
        };
        let reader = |name: &'static str, form: Form| -> Result<TextReader, ModelError> {
            let network = network(name)?;
            Ok(TextReader { name, form, alphabet: alphabet(&network.session)?, network })
        };
        Ok(Self {
            text_finder: network("text-finder")?,
            plate_finder: network(corner_finder::NAME)?,
            readers: [
                reader("plate-text", PLATE_TEXT)?,
                reader("text-reader", PP_OCR)?,
                reader("second-reader", PP_OCR)?,
            ],
            spent: StageMilliseconds::default(),
        })
    }

    /// Forgets the times of the picture before.
    pub(crate) fn start(&mut self) {
        self.spent = StageMilliseconds::default();
        let readers = self.readers.iter_mut().map(|reader| &mut reader.network);
        for network in readers.chain([&mut self.text_finder, &mut self.plate_finder]) {
            network.milliseconds = 0.0;
        }
    }

    /// Milliseconds inside ONNX Runtime since [`Networks::start`].
    pub(crate) fn inference(&self) -> f64 {
        let readers = self.readers.iter().map(|r| r.network.milliseconds).sum::<f64>();
        readers + self.text_finder.milliseconds + self.plate_finder.milliseconds
    }

    /// Runs the plate finder on the picture, its long side at `zoom` times the usual.
    pub(crate) fn plates(&mut self, picture: &Picture, zoom: f32) -> Result<Vec<Found>, ModelError> {
        let start = Instant::now();
        let (small, width, height) = resized(picture.mat(), FIND_SIDE * zoom, FIND_ENLARGE)?;
        let scale = [picture.width() as f32 / width as f32, picture.height() as f32 / height as f32];
        let found = find_plates(&mut self.plate_finder, &small, width, height, scale)?;
        self.spent.detect += since(start);
        Ok(found)
    }

    /// Runs the text finder on the picture.
    pub(crate) fn texts(&mut self, picture: &Picture) -> Result<Vec<Found>, ModelError> {
        let whole = [0, 0, picture.width().cast_signed(), picture.height().cast_signed()];
        self.texts_in(picture, whole, FIND_SIDE, FIND_ENLARGE)
    }

    /// Runs the text finder on the surroundings of a place.
    pub(crate) fn texts_near(
        &mut self,
        picture: &Picture,
        place: &Corners,
    ) -> Result<Vec<Found>, ModelError> {
        let around = bounds(&padded(place, 0.35, 0.8));
        let limit = |v: f32, most: u32| v.round().clamp(0.0, most as f32) as i32;
        let (left, right) = (limit(around[0], picture.width()), limit(around[2], picture.width()));
        let (top, bottom) = (limit(around[1], picture.height()), limit(around[3], picture.height()));
        if right - left < 16 || bottom - top < 8 {
            return Ok(Vec::new());
        }
        self.texts_in(picture, [left, top, right, bottom], CLOSE_SIDE, CLOSE_ENLARGE)
    }

    fn texts_in(
        &mut self,
        picture: &Picture,
        [left, top, right, bottom]: [i32; 4],
        side: f32,
        enlarge: f32,
    ) -> Result<Vec<Found>, ModelError> {
        let start = Instant::now();
        let part = Mat::roi(picture.mat(), Rect::new(left, top, right - left, bottom - top))?.try_clone()?;
        let (small, width, height) = resized(&part, side, enlarge)?;
        let scale = [(right - left) as f32 / width as f32, (bottom - top) as f32 / height as f32];
        let mut found = find_texts(&mut self.text_finder, &small, width, height, scale)?;
        for f in &mut found {
            f.corners = f.corners.map(|[x, y]| [x + left as f32, y + top as f32]);
        }
        self.spent.detect += since(start);
        Ok(found)
    }

    /// Reads the lines of several crops, each with its stretch. Strips of one width are read together.
    pub(crate) fn read(
        &mut self,
        picture: &Picture,
        crops: &[(&[Corners], f32)],
        opinion: Opinion,
    ) -> Result<Vec<Lattice>, ModelError> {
        let start = Instant::now();
        let [plate, general, second] = &mut self.readers;
        let reader = match opinion {
            Opinion::Plate => plate,
            Opinion::General => general,
            Opinion::Second => second,
        };
        let Form { height, .. } = reader.form;
        let mut strips = Vec::new();
        for (lines, stretch) in crops {
            for line in *lines {
                strips.push(strip_of(picture.mat(), line, *stretch, height, reader.form.widest())?);
            }
        }
        self.spent.rectify += since(start);
        let start = Instant::now();
        let mut read = Vec::with_capacity(strips.len());
        for some in strips.chunks(MOST_AT_ONCE) {
            read.extend(read_strips(&mut reader.network, reader.name, reader.form, &reader.alphabet, some)?);
        }
        self.spent.read += since(start);
        let mut read = read.iter().map(|frames| Lattice::new(frames).condensed());
        let joined = |lines: &[Corners]| {
            let mut below = read.by_ref().take(lines.len());
            let first = below.next().unwrap_or_default();
            below.fold(first, |above, line| above.then(&line))
        };
        Ok(crops.iter().map(|(lines, _)| *lines).map(joined).collect())
    }
}

/// Runs the plate finder on a picture whose sides are multiples of 32; `scale` leads back to the whole picture.
fn find_plates(
    finder: &mut Network,
    small: &Mat,
    width: usize,
    height: usize,
    scale: [f32; 2],
) -> Result<Vec<Found>, ModelError> {
    let input = planes(small, width, height, [127.5; 3], 1.0 / 127.5)?;
    let outputs = finder.infer([1, 3, height, width], &input)?;
    let (columns, rows) = (width / corner_finder::STRIDE, height / corner_finder::STRIDE);
    let score = output(&outputs, 0, corner_finder::NAME, &[1, 1, rows, columns])?;
    let corners = output(&outputs, 1, corner_finder::NAME, &[1, 8, rows, columns])?;
    let shape = |channels: i64| [1, channels, rows as i64, columns as i64];
    let (one, eight) = (shape(1), shape(8));
    corner_finder::plates((&one, score), (&eight, corners), [width, height], scale, PLATE_SCORE)
}

/// Milliseconds from `start` to now.
pub(crate) fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{committed, plate_scene};

    #[test]
    fn the_committed_weights_read_rendered_plates() {
        let Some(mut session) = committed("plate-text.onnx") else { return };
        let alphabet = alphabet(&session).unwrap();
        assert!(alphabet.iter().all(Option::is_some), "each of its signs is one of the lattice's");
        let picture = plate_scene();
        // as drawn, stretched to the width that a plate has seen from the front; the country's mark is not wanted
        for (text, corners) in [
            ("667414VJ", [[31.9, 362.9], [197.1, 300.9], [210.2, 335.7], [45.2, 398.0]]),
            ("XE47111", [[356.5, 127.3], [493.6, 166.3], [486.1, 208.0], [350.1, 165.5]]),
        ] {
            let corners = padded(&corners, 0.02, 0.06);
            let Form { height, .. } = PLATE_TEXT;
            let strip = strip_of(picture.mat(), &corners, 1.35, height, PLATE_TEXT.widest()).unwrap();
            let read = read_strips(&mut session, "plate-text", PLATE_TEXT, &alphabet, &[strip]).unwrap();
            // 1 and I have one glyph in some fonts
            let lattice = Lattice::new(&read[0]);
            assert_eq!(lattice.free_text().replace('I', "1"), text);
            assert_eq!(lattice.condensed().free_text(), lattice.free_text());
        }
    }
}
