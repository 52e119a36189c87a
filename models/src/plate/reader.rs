//! The chain: find, rectify, read, decode, and vote between the crops of one plate.

use super::detect::{Candidate, Found, candidates, geometry, plate_corners, text_boxes};
use super::formats::{Expectation, Formats};
use super::grammar::{Edges, align, decode};
use super::lattice::{CLASSES, Lattice, class_of};
use super::rectify::{MAX_READ_WIDTH, READ_HEIGHT, bounds, overlap, planes, size, strip};
use super::{PlateCandidate, PlateOptions, PlateRead, StageMilliseconds};
use crate::{Corners, ModelError, ModelStore, Picture, Runtime};
use opencv::core::{Mat, Size};
use opencv::imgproc;
use ort::session::Session;
use ort::value::TensorRef;
use std::time::Instant;

/// Long side of the finders' input in pixels.
const FIND_SIDE: f32 = 640.0;
/// Small pictures are enlarged at most this much.
const FIND_ENLARGE: f32 = 1.6;
/// Score a text needs to be reported.
const EMIT: f32 = -7.0;
/// Handicap of a text that has no format, where the plate finder backs it.
const FREE: f32 = 6.5;
/// Least margin of a certain read. Below it wrong reads were seen (`plates.md` and the README's table).
const CERTAIN: f32 = 2.5;
/// How far below the best shape's score a shape is still followed up.
const BEAM: f32 = 9.0;
/// A crop that does not have the text at all counts as this, so that one bad crop does not decide.
const CLIP: f32 = -9.0;
/// Most crops of one plate that vote.
const VOTERS: usize = 4;
/// Most texts of one plate that are voted on.
const TEXTS: usize = 12;

/// Finds and reads plates. One per thread; loading takes about half a second.
#[derive(Debug)]
pub struct PlateReader {
    text_finder: Session,
    plate_finder: Session,
    text_reader: Session,
    /// Class of each output of the text reader; `None` for other signs.
    alphabet: Vec<Option<usize>>,
    formats: Formats,
    expectation: Expectation,
    options: PlateOptions,
    milliseconds: StageMilliseconds,
}

/// A crop that was read, with the texts it may say.
struct Seen {
    candidate: Candidate,
    lattice: Lattice,
    edges: Edges,
    /// Text, score with prior and geometry.
    texts: Vec<(String, f32)>,
    best: f32,
}

impl PlateReader {
    /// Loads the three models.
    ///
    /// # Errors
    /// A model file is missing or wrong, an option is outside its range, or ONNX Runtime refuses a model.
    pub fn load(runtime: &Runtime, store: &ModelStore, options: PlateOptions) -> Result<Self, ModelError> {
        if !(1..=64).contains(&options.threads) {
            let reason = format!("expected 1 to 64, got {}", options.threads);
            return Err(ModelError::Option { option: "threads", reason });
        }
        if !(1..=100).contains(&options.max_reads) {
            let reason = format!("expected 1 to 100, got {}", options.max_reads);
            return Err(ModelError::Option { option: "max_reads", reason });
        }
        let formats = Formats::builtin()?;
        let expectation = Expectation::new(&options.countries, &formats)?;
        let session = |name: &str| runtime.session(&store.bytes(name)?, options.threads);
        let text_reader = session("text-reader")?;
        let alphabet = alphabet(&text_reader)?;
        Ok(Self {
            text_finder: session("text-finder")?,
            plate_finder: session("plate-finder")?,
            text_reader,
            alphabet,
            formats,
            expectation,
            options,
            milliseconds: StageMilliseconds::default(),
        })
    }

    /// Time spent on the last picture.
    #[must_use]
    pub fn milliseconds(&self) -> StageMilliseconds {
        self.milliseconds
    }

    /// The plates in the picture, the most probable and largest first.
    ///
    /// # Errors
    /// ONNX Runtime's or OpenCV's; an empty road is no error.
    pub fn read(&mut self, picture: &Picture) -> Result<Vec<PlateRead>, ModelError> {
        let start = Instant::now();
        let mut spent = StageMilliseconds::default();
        let (texts, plates) = timed(&mut spent.detect, || self.find(picture))?;
        let mut seen = Vec::new();
        for candidate in candidates(&texts, &plates, self.options.max_reads) {
            if let Some(one) = self.look(picture, candidate, &plates, &mut spent)? {
                seen.push(one);
            }
        }
        let mut reads = timed(&mut spent.decode, || {
            let groups = grouped(&seen);
            Ok(groups.iter().filter_map(|group| self.vote(group)).collect::<Vec<_>>())
        })?;
        spent.total = since(start);
        self.milliseconds = spent;
        let order = |read: &PlateRead| {
            read.margin + 1.5 * f64::from(size(&read.corners).0.max(1.0) / picture.width() as f32).ln()
        };
        reads.sort_by(|a, b| order(b).total_cmp(&order(a)));
        for read in &mut reads {
            read.milliseconds = spent;
        }
        Ok(reads)
    }

    /// Runs both finders on the picture.
    fn find(&mut self, picture: &Picture) -> Result<(Vec<Found>, Vec<Found>), ModelError> {
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let factor = (FIND_SIDE / w.max(h)).min(FIND_ENLARGE);
        let side = |v: f32| ((v * factor / 32.0).round() as usize).max(1) * 32;
        let (width, height) = (side(w), side(h));
        let mut small = Mat::default();
        let interpolation = if factor < 1.0 { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
        let target = Size::new(width as i32, height as i32);
        imgproc::resize(picture.mat(), &mut small, target, 0.0, 0.0, interpolation)?;
        let scale = [w / width as f32, h / height as f32];
        let shape = [1, 3, height, width];

        let input = planes(&small, width, height, [127.5; 3], 1.0 / 127.5)?;
        let outputs =
            self.text_finder.run(ort::inputs![TensorRef::from_array_view((shape, input.as_slice()))?])?;
        let map = output(&outputs, 0, "text-finder", &[1, 1, height, width])?;
        let texts = text_boxes(map, width, height, scale)?;

        let input = planes(&small, width, height, [104.0, 117.0, 123.0], 1.0)?;
        let outputs =
            self.plate_finder.run(ort::inputs![TensorRef::from_array_view((shape, input.as_slice()))?])?;
        let priors: usize =
            [8, 16, 32].iter().map(|step| width.div_ceil(*step) * height.div_ceil(*step) * 2).sum();
        let boxes = output(&outputs, 0, "plate-finder", &[1, priors, 4])?;
        let classes = output(&outputs, 1, "plate-finder", &[1, priors, 2])?;
        let corners = output(&outputs, 2, "plate-finder", &[1, priors, 8])?;
        Ok((texts, plate_corners(boxes, classes, corners, width, height, scale)))
    }

    /// Reads one candidate and decodes it; none if nothing plausible stands there.
    fn look(
        &mut self,
        picture: &Picture,
        candidate: Candidate,
        plates: &[Found],
        spent: &mut StageMilliseconds,
    ) -> Result<Option<Seen>, ModelError> {
        let mut lattice: Option<Lattice> = None;
        for line in &candidate.lines {
            let crop = timed(&mut spent.rectify, || strip(picture.mat(), line, 1.0))?;
            let one = timed(&mut spent.read, || self.read_strip(&crop))?;
            lattice = Some(match lattice {
                Some(above) => above.then(&one),
                None => one,
            });
        }
        let Some(lattice) = lattice else { return Ok(None) };
        timed(&mut spent.decode, || Ok(self.texts(candidate, lattice, plates)))
    }

    /// The lattice of one line.
    fn read_strip(&mut self, crop: &Mat) -> Result<Lattice, ModelError> {
        use opencv::core::MatTraitConst;
        let columns = crop.cols().clamp(1, MAX_READ_WIDTH);
        // A few fixed widths, so that ONNX Runtime does not plan its memory anew for each crop
        let width = [160, 240, 320].into_iter().find(|w| columns <= *w).unwrap_or(MAX_READ_WIDTH) as usize;
        let height = READ_HEIGHT as usize;
        let input = planes(crop, width, height, [127.5; 3], 1.0 / 127.5)?;
        let shape = [1, 3, height, width];
        let outputs =
            self.text_reader.run(ort::inputs![TensorRef::from_array_view((shape, input.as_slice()))?])?;
        let frames = width / 8;
        let signs = self.alphabet.len();
        let values = output(&outputs, 0, "text-reader", &[1, frames, signs])?;
        let used = (frames * columns as usize).div_ceil(width) + 1;
        let reduced: Vec<[f32; CLASSES]> = values
            .chunks_exact(signs.max(1))
            .take(used)
            .map(|frame| {
                let mut classes = [0.0; CLASSES];
                for (value, class) in frame.iter().zip(&self.alphabet) {
                    if let Some(sum) = class.and_then(|class| classes.get_mut(class)) {
                        *sum += value;
                    }
                }
                classes
            })
            .collect();
        Ok(Lattice::new(&reduced))
    }

    /// Decodes a lattice under all shapes.
    fn texts(&self, candidate: Candidate, lattice: Lattice, plates: &[Found]) -> Option<Seen> {
        let edges = Edges::new(&lattice);
        let free = lattice.free_text();
        let signs = free.len();
        if signs < 3 {
            return None;
        }
        let form = geometry(&candidate) + candidate.score.max(1e-3).ln();
        let mut texts: Vec<(String, f32)> = Vec::new();
        let mut best = f32::MIN;
        for shape in self.formats.shapes() {
            // signs that were not seen cost far more than EMIT allows
            if shape.positions.len() > signs + 3 {
                continue;
            }
            let prior = self.expectation.prior(shape);
            let floor = best.max(EMIT + CLIP) - BEAM - prior;
            let Some(decoded) = decode(&lattice, &edges, &shape.positions, floor) else { continue };
            best = best.max(decoded.score + prior);
            texts.push((decoded.text, decoded.score + prior + form));
            texts.extend(decoded.runners_up.into_iter().map(|(text, score)| (text, score + prior + form)));
        }
        let backed = plates.iter().any(|p| overlap(bounds(&p.corners), bounds(&candidate.corners)).1 > 0.5);
        let digits = free.chars().filter(char::is_ascii_digit).count();
        if backed && (5..=9).contains(&signs) && digits >= 2 {
            texts.push((free, form - FREE));
        }
        texts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut distinct: Vec<(String, f32)> = Vec::new();
        for (text, score) in texts {
            if !distinct.iter().any(|(other, _)| *other == text) {
                distinct.push((text, score));
            }
        }
        distinct.truncate(TEXTS);
        let best = distinct.first()?.1;
        Some(Seen { candidate, lattice, edges, texts: distinct, best })
    }

    /// The plate that the crops of one place agree on.
    fn vote(&self, group: &[&Seen]) -> Option<PlateRead> {
        let mut voters: Vec<&Seen> = group.to_vec();
        voters.sort_by(|a, b| b.best.total_cmp(&a.best));
        let lead = *voters.first()?;
        // a crop far worse than the lead is another thing (a bumper, a neighbour), not a vote
        voters.retain(|s| s.best > lead.best - BEAM);
        voters.truncate(VOTERS);
        let mut texts: Vec<(String, f32)> = Vec::new();
        for (text, score) in voters.iter().flat_map(|s| &s.texts) {
            match texts.iter_mut().find(|(other, _)| other == text) {
                Some(known) => known.1 = known.1.max(*score),
                None => texts.push((text.clone(), *score)),
            }
        }
        texts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        texts.truncate(TEXTS);
        let mut scored: Vec<(String, f32)> = texts
            .into_iter()
            .map(|(text, _)| {
                let sum: f32 = voters
                    .iter()
                    .map(|s| align(&s.lattice, &s.edges, &text).map_or(CLIP, |score| score.max(CLIP)))
                    .sum();
                let form = geometry(&lead.candidate) + lead.candidate.score.max(1e-3).ln();
                let score = sum / voters.len() as f32 + self.prior(&text) + form;
                (text, score)
            })
            .collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let (text, score) = scored.first()?.clone();
        if score < EMIT {
            return None;
        }
        let second = scored.get(1).map_or(score - 20.0, |(_, s)| *s);
        let margin = f64::from((score - second).min(6.0 + score));
        let has_format = self.formats.shapes().iter().any(|shape| shape.matches(&text));
        let certain = margin >= f64::from(CERTAIN) && !self.expectation.is_open() && has_format;
        let probability = calibrated(margin, certain);
        Some(PlateRead {
            corners: lead.candidate.corners,
            country: self.expectation.country(&text, &self.formats),
            candidates: self.shares(&scored, probability),
            text,
            probability,
            margin,
            certain,
            detector: lead.candidate.detector,
            milliseconds: StageMilliseconds::default(),
        })
    }

    fn prior(&self, text: &str) -> f32 {
        let fitting = self.formats.shapes().iter().filter(|shape| shape.matches(text));
        fitting.map(|shape| self.expectation.prior(shape)).fold(-FREE, f32::max)
    }

    /// The candidates with their share of the probability that the first one leaves.
    fn shares(&self, scored: &[(String, f32)], probability: f64) -> Vec<PlateCandidate> {
        let others = scored.get(1..).unwrap_or_default();
        let best = others.first().map_or(0.0, |(_, s)| *s);
        let weights: Vec<f64> = others.iter().map(|(_, s)| f64::from(s - best).exp()).collect();
        // half of what is left is for texts that are not in the list
        let unit = 0.5 * (1.0 - probability) / weights.iter().sum::<f64>().max(1.0);
        let first = scored.first().map(|(text, _)| (text, probability));
        let rest = others.iter().zip(weights).map(|((text, _), w)| (text, (w * unit).min(probability)));
        first
            .into_iter()
            .chain(rest)
            .take(5)
            .map(|(text, probability)| PlateCandidate {
                text: text.clone(),
                country: self.expectation.country(text, &self.formats),
                probability,
            })
            .collect()
    }
}

/// Chance that a read is right, by its margin.
fn calibrated(margin: f64, certain: bool) -> f64 {
    let p = 1.0 / (1.0 + (-(1.2 * margin - 0.3)).exp());
    if certain { p.min(0.99) } else { p.min(0.95) }
}

/// Crops of the same place, best first in each group.
fn grouped(seen: &[Seen]) -> Vec<Vec<&Seen>> {
    let mut order: Vec<&Seen> = seen.iter().collect();
    order.sort_by(|a, b| b.best.total_cmp(&a.best));
    let mut groups: Vec<(Corners, Vec<&Seen>)> = Vec::new();
    for one in order {
        let here = bounds(&one.candidate.corners);
        match groups.iter_mut().find(|(lead, _)| overlap(bounds(lead), here).1 > 0.5) {
            Some((_, group)) => group.push(one),
            None => groups.push((one.candidate.corners, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Class of each output of the text reader, from the list of signs in its metadata: index 0 is the blank.
fn alphabet(session: &Session) -> Result<Vec<Option<usize>>, ModelError> {
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
fn output<'a>(
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

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Runs `work` and adds its time to `sum`.
fn timed<T>(sum: &mut f64, work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, ModelError> {
    let start = Instant::now();
    let result = work();
    *sum += since(start);
    result
}
