//! The chain: find, rectify, read, decode, and vote between the crops of one plate.

use super::detect::{Candidate, Found, candidates, geometry, plate_corners};
use super::formats::{Expectation, Formats};
use super::grammar::{Decoded, Edges, align, decode, sign_set};
use super::lattice::Lattice;
use super::rectify::{bounds, overlap, padded, planes, size, strip};
use super::{Detector, PlateCandidate, PlateOptions, PlateRead, StageMilliseconds};
use crate::text::{alphabet, find_texts, output, read_strip, resized};
use crate::{Corners, ModelError, ModelStore, Picture, Runtime};
use opencv::core::{Mat, MatTraitConst, Rect};
use ort::session::Session;
use ort::value::TensorRef;
use std::time::Instant;

/// Long side of the finders' input in pixels.
const FIND_SIDE: f32 = 640.0;
/// Small pictures are enlarged at most this much.
const FIND_ENLARGE: f32 = 1.6;
/// Score a text needs to be reported.
const EMIT: f32 = -6.0;
/// Handicap of a text that has no format, where the plate finder backs it.
const FREE: f32 = 5.5;
/// Least margin of a certain read. Below it wrong reads were seen (`plates.md` and the README's table).
const CERTAIN: f32 = 2.5;
/// How far below the best shape's score a shape is still followed up.
const BEAM: f32 = 9.0;
/// A crop that does not have the text at all counts as this, so that one bad crop does not decide.
const CLIP: f32 = -9.0;
/// Price of a sign that lies outside of a crop: less than that of a sign the crop has and the text has not, so that of
/// two texts, one the beginning of the other, the longer one wins if any crop shows it clearly.
const CUT: f32 = 1.0;
/// Price of a country's badge read before the number.
const BADGE: f32 = 1.0;
/// A crop tells two texts apart when their scores in it differ by more than this.
const TOLD: f32 = 0.3;
/// Most crops of one plate that vote.
const VOTERS: usize = 6;
/// Places that are looked at a second time.
const SECOND_LOOKS: usize = 3;
/// Part of its width that a place is widened by at each end, to see whether it was cut off.
const WIDER: f32 = 0.25;
/// Room, as a part of its width, that a plate needs to the picture's edges to count as whole.
const WHOLE: f32 = 0.05;
/// Stretch that pulls repeated signs apart.
const STRETCHED: f32 = 1.35;
/// Side of a close-up for the text finder in pixels, how much it may be enlarged, and the crops read from it.
const CLOSE_SIDE: f32 = 320.0;
const CLOSE_ENLARGE: f32 = 3.0;
const CLOSE_READS: usize = 2;
/// Candidates in a result.
const CANDIDATES: usize = 5;
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
    /// Read with room at both ends: it would show if the plate was cut off.
    wide: bool,
    /// Lies inside the picture.
    whole: bool,
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

    /// Sets the countries whose plates are expected from now on: cameras with different countries share a reader.
    ///
    /// # Errors
    /// A country is not in `formats.toml`; the error lists those that are.
    pub fn expect(&mut self, countries: &[String]) -> Result<(), ModelError> {
        if countries != self.options.countries {
            self.expectation = Expectation::new(countries, &self.formats)?;
            self.options.countries = countries.to_vec();
        }
        Ok(())
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
            if let Some(one) = self.look(picture, candidate, 1.0, &plates, &mut spent)? {
                seen.push(one);
            }
        }
        let places: Vec<Candidate> = grouped(&seen)
            .iter()
            .filter_map(|group| group.first())
            .map(|lead| lead.candidate.clone())
            .collect();
        for place in places.iter().take(SECOND_LOOKS) {
            self.look_again(picture, place, &plates, &mut seen, &mut spent)?;
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
        let (small, width, height) = resized(picture.mat(), FIND_SIDE, FIND_ENLARGE)?;
        let scale = [picture.width() as f32 / width as f32, picture.height() as f32 / height as f32];
        let texts = self.find_texts(&small, width, height, scale)?;

        let input = planes(&small, width, height, [104.0, 117.0, 123.0], 1.0)?;
        let shape = [1, 3, height, width];
        let outputs =
            self.plate_finder.run(ort::inputs![TensorRef::from_array_view((shape, input.as_slice()))?])?;
        let priors: usize =
            [8, 16, 32].iter().map(|step| width.div_ceil(*step) * height.div_ceil(*step) * 2).sum();
        let boxes = output(&outputs, 0, "plate-finder", &[1, priors, 4])?;
        let classes = output(&outputs, 1, "plate-finder", &[1, priors, 2])?;
        let corners = output(&outputs, 2, "plate-finder", &[1, priors, 8])?;
        Ok((texts, plate_corners(boxes, classes, corners, width, height, scale)))
    }

    /// Runs the text finder.
    fn find_texts(
        &mut self,
        small: &Mat,
        width: usize,
        height: usize,
        scale: [f32; 2],
    ) -> Result<Vec<Found>, ModelError> {
        find_texts(&mut self.text_finder, small, width, height, scale)
    }

    /// Reads a promising place in other ways: wider (is it cut off?), stretched (are there repeats?), and as the text
    /// finder sees it in a close-up. Different crops err differently, so their agreement is worth something.
    fn look_again(
        &mut self,
        picture: &Picture,
        place: &Candidate,
        plates: &[Found],
        seen: &mut Vec<Seen>,
        spent: &mut StageMilliseconds,
    ) -> Result<(), ModelError> {
        let widened =
            |lines: &[Corners], x: f32, y: f32| lines.iter().map(|q| padded(q, x, y)).collect::<Vec<_>>();
        let mut more = vec![
            (Candidate { lines: widened(&place.lines, WIDER, 0.05), ..place.clone() }, 1.0),
            (place.clone(), STRETCHED),
        ];
        if place.lines.len() == 1 {
            let close = timed(&mut spent.detect, || self.close_up(picture, &place.corners))?;
            let known = |c: &Candidate| {
                seen.iter().any(|s| overlap(bounds(&s.candidate.corners), bounds(&c.corners)).0 > 0.92)
            };
            let near = |c: &Candidate| overlap(bounds(&place.corners), bounds(&c.corners)).1 > 0.5;
            let fresh = candidates(&close, plates, CLOSE_READS + plates.len());
            let fresh = fresh.into_iter().filter(|c| c.detector != Detector::Plate && near(c) && !known(c));
            more.extend(fresh.take(CLOSE_READS).map(|c| (c, 1.0)));
        }
        let [left, top, right, bottom] = bounds(&padded(&place.corners, WHOLE, 0.0));
        let whole =
            left >= 0.0 && top >= 0.0 && right <= picture.width() as f32 && bottom <= picture.height() as f32;
        for (index, (candidate, stretch)) in more.into_iter().enumerate() {
            let one = self.look(picture, candidate, stretch, plates, spent)?;
            seen.extend(one.map(|one| Seen { wide: index == 0, whole, ..one }));
        }
        Ok(())
    }

    /// Runs the text finder on a part of the picture.
    fn close_up(&mut self, picture: &Picture, place: &Corners) -> Result<Vec<Found>, ModelError> {
        let around = bounds(&padded(place, 0.35, 0.8));
        let limit = |v: f32, most: u32| v.round().clamp(0.0, most as f32) as i32;
        let (left, right) = (limit(around[0], picture.width()), limit(around[2], picture.width()));
        let (top, bottom) = (limit(around[1], picture.height()), limit(around[3], picture.height()));
        if right - left < 16 || bottom - top < 8 {
            return Ok(Vec::new());
        }
        let part = Mat::roi(picture.mat(), Rect::new(left, top, right - left, bottom - top))?.try_clone()?;
        let (small, width, height) = resized(&part, CLOSE_SIDE, CLOSE_ENLARGE)?;
        let scale = [(right - left) as f32 / width as f32, (bottom - top) as f32 / height as f32];
        let mut found = self.find_texts(&small, width, height, scale)?;
        for f in &mut found {
            f.corners = f.corners.map(|[x, y]| [x + left as f32, y + top as f32]);
        }
        Ok(found)
    }

    /// Reads one candidate and decodes it; none if nothing plausible stands there.
    fn look(
        &mut self,
        picture: &Picture,
        candidate: Candidate,
        stretch: f32,
        plates: &[Found],
        spent: &mut StageMilliseconds,
    ) -> Result<Option<Seen>, ModelError> {
        let mut lattice: Option<Lattice> = None;
        for line in &candidate.lines {
            let crop = timed(&mut spent.rectify, || strip(picture.mat(), line, stretch))?;
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
        read_strip(&mut self.text_reader, &self.alphabet, crop)
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
            let mut add = |decoded: Decoded, skip: usize, price: f32| {
                let rest = |text: &str| text.chars().skip(skip).collect::<String>();
                let price = prior + form - price;
                texts.push((rest(&decoded.text), decoded.score + price));
                texts.extend(decoded.runners_up.iter().map(|(text, score)| (rest(text), score + price)));
            };
            add(decoded, 0, 0.0);
            for badge in
                self.formats.badges(shape).filter(|badge| shape.positions.len() + badge.len() <= signs + 3)
            {
                let positions: Vec<_> = badge
                    .chars()
                    .map(|c| sign_set(c.encode_utf8(&mut [0; 4])))
                    .chain(shape.positions.iter().copied())
                    .collect();
                if let Some(decoded) = decode(&lattice, &edges, &positions, floor) {
                    best = best.max(decoded.score + prior - BADGE);
                    add(decoded, badge.len(), BADGE);
                }
            }
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
        Some(Seen { candidate, lattice, edges, texts: distinct, best, wide: false, whole: false })
    }

    /// The plate that the crops of one place agree on.
    fn vote(&self, group: &[&Seen]) -> Option<PlateRead> {
        let mut voters: Vec<&Seen> = group.to_vec();
        voters.sort_by(|a, b| b.best.total_cmp(&a.best));
        let lead = *voters.first()?;
        // A crop far worse than the lead is another thing (a bumper, a neighbour), not a vote. A wide crop always has
        // one: it alone can show that the others are cut off.
        let wide = voters.iter().copied().find(|s| s.wide);
        voters.retain(|s| !s.wide && s.best > lead.best - BEAM);
        voters.truncate(VOTERS - 1);
        voters.extend(wide);
        let mut texts: Vec<(&str, f32)> = Vec::new();
        for (text, score) in voters.iter().flat_map(|s| &s.texts) {
            match texts.iter_mut().find(|(other, _)| other == text) {
                Some(known) => known.1 = known.1.max(*score),
                None => texts.push((text, *score)),
            }
        }
        texts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        texts.truncate(TEXTS);

        // the mean over the crops makes the choice, the best crop says how good the read is at all
        let mut rivals: Vec<Rival<'_>> = texts
            .into_iter()
            .map(|(text, _)| {
                let values: Vec<f32> = voters
                    .iter()
                    .map(|s| self.aligned(s, text, if s.wide { f32::INFINITY } else { CUT }))
                    .collect();
                let prior = self.prior(text);
                let mean = values.iter().sum::<f32>() / values.len().max(1) as f32 + prior;
                Rival { text, values, prior, mean }
            })
            .collect();
        rivals.sort_by(|a, b| b.mean.total_cmp(&a.mean).then_with(|| a.text.cmp(b.text)));
        let (first, others) = rivals.split_first()?;
        let form = geometry(&lead.candidate) + lead.candidate.score.max(1e-3).ln();
        // here nothing may be cut off: NORTH on a road sign is not a plate NORTH00
        let whole = voters.iter().map(|s| self.aligned(s, first.text, f32::INFINITY)).fold(CLIP, f32::max);
        let score = whole + first.prior + form;
        if score < EMIT {
            return None;
        }
        let least = others.iter().map(|other| first.margin(other, &voters)).fold(f32::MAX, f32::min);
        let margin = f64::from(least.min(6.0 + score));
        let has_format = self.formats.shapes().iter().any(|shape| shape.matches(first.text));
        // A telephone number becomes a plate by one look-alike, a plate at the picture's edge may go on beyond it.
        let literal = voters.iter().any(|s| s.lattice.free_text().contains(first.text));
        let certain = wide.is_some_and(|s| s.whole)
            && literal
            && has_format
            && !self.expectation.is_open()
            && margin >= f64::from(CERTAIN);
        // what is not certain never looks so; without countries wrong reads reach a margin of 3.5
        let most = match (certain, self.expectation.is_open()) {
            (true, _) => 1.0,
            (false, false) => 0.95,
            (false, true) => 0.85,
        };
        let probability = calibrated(margin, most);
        Some(PlateRead {
            corners: lead.candidate.corners,
            text: first.text.to_owned(),
            country: self.expectation.country(first.text, &self.formats),
            candidates: self.shares(&rivals, probability),
            probability,
            margin,
            certain,
            detector: lead.candidate.detector,
            milliseconds: StageMilliseconds::default(),
        })
    }

    /// Score of a text in a crop, with or without its country's badge; `cut` as for [`align`].
    fn aligned(&self, seen: &Seen, text: &str, cut: f32) -> f32 {
        let plain = align(&seen.lattice, &seen.edges, text, cut).unwrap_or(CLIP);
        let fitting = self.formats.shapes().iter().filter(|shape| shape.matches(text));
        let badged = fitting
            .flat_map(|shape| self.formats.badges(shape))
            .filter_map(|badge| align(&seen.lattice, &seen.edges, &format!("{badge}{text}"), cut))
            .map(|score| score - BADGE);
        badged.fold(plain, f32::max).max(CLIP)
    }

    fn prior(&self, text: &str) -> f32 {
        let fitting = self.formats.shapes().iter().filter(|shape| shape.matches(text));
        fitting.map(|shape| self.expectation.prior(shape)).fold(-FREE, f32::max)
    }

    /// The candidates with their share of the probability that the first one leaves.
    fn shares(&self, rivals: &[Rival<'_>], probability: f64) -> Vec<PlateCandidate> {
        let best = rivals.get(1).map_or(0.0, |r| r.mean);
        let weight = |r: &Rival<'_>| f64::from(r.mean - best).exp();
        // half of what is left is for texts that are not in the list
        let unit = 0.5 * (1.0 - probability) / rivals.iter().skip(1).map(weight).sum::<f64>().max(1.0);
        rivals
            .iter()
            .enumerate()
            .take(CANDIDATES)
            .map(|(i, rival)| PlateCandidate {
                text: rival.text.to_owned(),
                country: self.expectation.country(rival.text, &self.formats),
                probability: if i == 0 { probability } else { (weight(rival) * unit).min(probability) },
            })
            .collect()
    }
}

/// One text that is voted on.
struct Rival<'a> {
    text: &'a str,
    /// Score in each crop.
    values: Vec<f32>,
    prior: f32,
    /// Mean score with prior.
    mean: f32,
}

impl Rival<'_> {
    /// How far this text is ahead of another, by the crops that tell the two apart. The others say nothing about which
    /// it is; nor does a narrow crop about a text that goes on beyond its edge.
    fn margin(&self, other: &Rival<'_>, voters: &[&Seen]) -> f32 {
        let longer = other.text.len() > self.text.len() && other.text.contains(self.text);
        let beyond = if longer { CUT * (other.text.len() - self.text.len()) as f32 } else { 0.0 };
        let (mut sum, mut count) = (0.0, 0u8);
        for ((mine, its), crop) in self.values.iter().zip(&other.values).zip(voters) {
            let ahead = mine - its;
            let silent = if ahead < 0.0 || crop.wide { TOLD } else { TOLD + beyond };
            if ahead.abs() > silent {
                sum += ahead;
                count += 1;
            }
        }
        sum / f32::from(count.max(1)) + self.prior - other.prior
    }
}

/// Margin and the share of reads with it that were right, over the labelled plates of RU, KZ and EU and the reads away
/// from labels, counted as wrong: `evaluate … --calibration`, table in the README. Flattened at the top, where the
/// sets are too small to tell 0.98 from 0.999.
const CALIBRATION: &[(f64, f64)] = &[
    (-6.0, 0.02),
    (0.0, 0.15),
    (0.5, 0.35),
    (1.0, 0.5),
    (1.5, 0.75),
    (2.0, 0.92),
    (2.5, 0.96),
    (5.0, 0.985),
];

/// Chance that a read is right, by its margin: straight lines between the measured points. `most` caps it.
fn calibrated(margin: f64, most: f64) -> f64 {
    let mut before = (f64::MIN, 0.02);
    for &(at, p) in CALIBRATION {
        if margin < at {
            let part = ((margin - before.0) / (at - before.0)).clamp(0.0, 1.0);
            return (before.1 + part * (p - before.1)).min(most);
        }
        before = (at, p);
    }
    before.1.min(most)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probability_grows_with_the_margin() {
        let mut last = 0.0;
        for step in -100..100 {
            let p = calibrated(f64::from(step) / 10.0, 1.0);
            assert!((0.0..=1.0).contains(&p) && p >= last, "{step} {p} {last}");
            last = p;
        }
        assert!(calibrated(9.0, 1.0) > 0.98 && calibrated(9.0, 0.85) <= 0.85);
        assert!(calibrated(f64::MIN, 1.0) <= 0.02);
        assert!((calibrated(1.0, 1.0) - 0.5).abs() < 1e-9);
    }
}
