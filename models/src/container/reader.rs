//! The chain: find text, read every piece of it, put pieces in the order of a code, decode, look again, vote.

use super::code::{CODE_SIGNS, check_digit, size_type};
use super::column::side_by_side;
use super::decode::{Checked, as_read, resembles, score_of, type_code, valid_texts, without_check_digit};
use super::lines::{Arrangement, around, is_tall, sequences, shared};
use super::{CheckDigit, ContainerCandidate, ContainerOptions, ContainerRead, NumberKind};
use crate::plate::detect::Found;
use crate::plate::grammar::Edges;
use crate::plate::lattice::Lattice;
use crate::plate::rectify::{bounds, centre, overlap, padded, size, strip};
use crate::text::{alphabet, find_texts, read_strip, resized};
use crate::{Corners, ModelError, ModelStore, Picture, Runtime, StageMilliseconds};
use opencv::core::{Mat, MatTraitConst, Rect};
use ort::session::Session;
use std::time::Instant;

/// Small pictures are enlarged at most this much.
const ENLARGE: f32 = 1.6;
/// Long side of a close-up, how much it may be enlarged, and the height its text should get, in pixels.
const CLOSE_SIDE: f32 = 640.0;
const CLOSE_ENLARGE: f32 = 4.0;
const CLOSE_TEXT: f32 = 36.0;
/// Least height of a line that is read, in pixels.
const LEAST_HEIGHT: f32 = 6.0;
/// Longest line that is read, by its height.
const LONGEST: f32 = 14.0;
/// Most sequences of boxes that are looked at in one scan.
const MOST_SEQUENCES: usize = 600;
/// Most columns that are read in one scan.
const MOST_COLUMNS: usize = 8;
/// A column of ten signs is at least this many times as high as wide.
const COLUMN_ASPECT: f32 = 6.5;
/// Wrong signs that a free reading may have to be decoded.
const DIFFERENCES: f32 = 3.0;
/// Score a code needs to be followed up, and to be reported.
const FLOOR: f32 = -14.0;
const EMIT: f32 = -9.0;
/// Price of a code without its check digit, and of one whose check digit does not fit.
const TEN_PRICE: f32 = 4.0;
const WRONG_PRICE: f32 = 6.0;
/// A crop that does not have the code at all counts as this.
const CLIP: f32 = -14.0;
/// Least margin and score of a certain read (README's table).
const CERTAIN: f32 = 2.5;
/// Most hits of one code that vote.
const VOTERS: usize = 4;
/// Candidates in a result.
const CANDIDATES: usize = 5;
/// Score a size and type code needs.
const TYPE_SCORE: f32 = -3.0;

/// Finds and reads container codes. One per thread; loading takes about half a second.
#[derive(Debug)]
pub struct ContainerReader {
    finder: Session,
    reader: Session,
    alphabet: Vec<Option<usize>>,
    options: ContainerOptions,
    milliseconds: StageMilliseconds,
}

/// A piece of text that was read.
struct Piece {
    corners: Corners,
    lattice: Lattice,
    free: String,
}

/// One way to read one code.
struct Hit {
    kind: Checked,
    /// The boxes in the order of reading, and how they stand.
    parts: Vec<Corners>,
    arrangement: Arrangement,
    hull: Corners,
    lattice: Lattice,
    edges: Edges,
    /// Texts with the check digit that fits, text and score.
    valid: Vec<(String, f32)>,
    /// Without check digit.
    ten: Vec<(String, f32)>,
    /// As read, if that is not valid.
    read: Option<(String, f32)>,
    /// The check digit stood in a part of its own.
    apart: bool,
    best: f32,
    /// It has been looked at a second time.
    again: bool,
}

/// What is known of a picture so far.
#[derive(Default)]
struct Scene {
    hits: Vec<Hit>,
    /// What may be part of a code.
    fragments: Vec<Corners>,
    /// Size and type codes.
    types: Vec<(Corners, String)>,
    reads: usize,
    spent: StageMilliseconds,
}

impl ContainerReader {
    /// Loads the two models.
    ///
    /// # Errors
    /// A model file is missing or wrong, an option is outside its range, or ONNX Runtime refuses a model.
    pub fn load(
        runtime: &Runtime,
        store: &ModelStore,
        options: ContainerOptions,
    ) -> Result<Self, ModelError> {
        options.check()?;
        let session = |name: &str| runtime.session(&store.bytes(name)?, options.threads);
        let reader = session("text-reader")?;
        let alphabet = alphabet(&reader)?;
        let milliseconds = StageMilliseconds::default();
        Ok(Self { finder: session("text-finder")?, reader, alphabet, options, milliseconds })
    }

    /// Time spent on the last picture.
    #[must_use]
    pub fn milliseconds(&self) -> StageMilliseconds {
        self.milliseconds
    }

    /// The codes in the picture, the most probable first.
    ///
    /// # Errors
    /// ONNX Runtime's or OpenCV's; a picture without a code is no error.
    pub fn read(&mut self, picture: &Picture) -> Result<Vec<ContainerRead>, ModelError> {
        let start = Instant::now();
        let mut scene = Scene::default();
        let whole = Rect::new(0, 0, picture.mat().cols(), picture.mat().rows());
        let long = picture.width().max(picture.height()) as f32;
        let mut last = 0.0;
        for side in self.options.sides.clone() {
            let side = side as f32;
            // what the finder saw at nearly the same size it need not see again
            if last > 0.0 && side.min(long * ENLARGE) < 1.15 * last {
                continue;
            }
            let found = self.scan(picture, whole, side, ENLARGE, &mut scene)?;
            self.look_again(picture, &mut scene)?;
            if found == 0 || (self.open_places(&scene).is_empty() && !scene.hits.is_empty()) {
                break;
            }
            last = side.min(long * ENLARGE);
        }
        for place in self.open_places(&scene).into_iter().take(self.options.close_ups) {
            if let Some((region, side)) = close_up(picture, &place) {
                self.scan(picture, region, side, CLOSE_ENLARGE, &mut scene)?;
            }
        }
        self.look_again(picture, &mut scene)?;
        let decode = Instant::now();
        let mut reads: Vec<ContainerRead> =
            grouped(&scene.hits).iter().filter_map(|group| vote(group)).collect();
        Self::add_types(&scene, &mut reads);
        drop_repeats(&mut reads);
        scene.spent.decode += since(decode);
        scene.spent.total = since(start);
        self.milliseconds = scene.spent;
        for read in &mut reads {
            read.milliseconds = scene.spent;
        }
        Ok(reads)
    }

    /// Finds and reads the text in a part of the picture; returns how many boxes there are.
    fn scan(
        &mut self,
        picture: &Picture,
        region: Rect,
        side: f32,
        enlarge: f32,
        scene: &mut Scene,
    ) -> Result<usize, ModelError> {
        let begin = Instant::now();
        let part = Mat::roi(picture.mat(), region)?.try_clone()?;
        let (small, width, height) = resized(&part, side, enlarge)?;
        let scale = [region.width as f32 / width as f32, region.height as f32 / height as f32];
        let mut found = find_texts(&mut self.finder, &small, width, height, scale)?;
        for f in &mut found {
            f.corners = f.corners.map(|[x, y]| [x + region.x as f32, y + region.y as f32]);
        }
        scene.spent.detect += since(begin);
        // what is read with certainty need not be read again
        let done: Vec<Corners> = grouped(&scene.hits)
            .iter()
            .filter_map(|g| vote(g))
            .filter(|r| r.certain)
            .map(|r| r.corners)
            .collect();
        let boxes: Vec<Found> =
            found.iter().copied().filter(|f| !done.iter().any(|d| inside(&f.corners, d))).collect();
        let lines = self.read_lines(picture, &boxes, scene)?;
        let begin = Instant::now();
        let corners: Vec<Corners> = boxes.iter().map(|f| f.corners).collect();
        let all = sequences(&corners, MOST_SEQUENCES);
        let mut columns = Vec::new();
        for sequence in all {
            let parts: Vec<Corners> =
                sequence.parts.iter().filter_map(|&i| corners.get(i).copied()).collect();
            if sequence.arrangement == Arrangement::Column {
                columns.push(parts);
                continue;
            }
            let pieces: Option<Vec<&Piece>> = sequence
                .parts
                .iter()
                .map(|&i| lines.iter().find(|(index, _)| *index == i).map(|l| &l.1))
                .collect();
            let Some(pieces) = pieces else { continue };
            let free: String = pieces.iter().map(|p| p.free.as_str()).collect();
            let Some(lattice) = chained(pieces.iter().map(|p| &p.lattice)) else { continue };
            let apart = pieces.last().is_some_and(|p| pieces.len() > 1 && p.free.len() <= 2);
            for kind in self.kinds() {
                if resembles(&free, kind, DIFFERENCES) {
                    scene.hits.extend(hit(kind, &parts, sequence.arrangement, lattice.clone(), apart));
                }
            }
        }
        for (_, piece) in lines {
            if is_fragment(&piece.free) {
                scene.fragments.push(piece.corners);
            }
            let edges = Edges::new(&piece.lattice);
            if (3..=6).contains(&piece.free.len()) {
                let found = type_code(&piece.lattice, &edges, TYPE_SCORE);
                scene.types.extend(found.map(|d| (piece.corners, d.text)));
            }
        }
        scene.spent.decode += since(begin);
        self.read_columns(picture, columns, scene)?;
        Ok(found.len())
    }

    fn kinds(&self) -> Vec<Checked> {
        let wagons = [Checked::Wagon(8), Checked::Wagon(12)];
        let wagons = wagons.into_iter().filter(|_| self.options.wagons);
        std::iter::once(Checked::Container).chain(wagons).collect()
    }

    /// Reads the boxes that are lines, with their index.
    fn read_lines(
        &mut self,
        picture: &Picture,
        boxes: &[Found],
        scene: &mut Scene,
    ) -> Result<Vec<(usize, Piece)>, ModelError> {
        let mut pieces = Vec::new();
        for (index, found) in boxes.iter().enumerate() {
            let (w, h) = size(&found.corners);
            if is_tall(&found.corners) || h < LEAST_HEIGHT || w > LONGEST * h {
                continue;
            }
            if let Some(piece) = self.read_line(picture, &found.corners, 1.0, scene)? {
                pieces.push((index, piece));
            }
        }
        Ok(pieces)
    }

    /// Reads one line; none if the picture's reads are used up.
    fn read_line(
        &mut self,
        picture: &Picture,
        corners: &Corners,
        stretch: f32,
        scene: &mut Scene,
    ) -> Result<Option<Piece>, ModelError> {
        let begin = Instant::now();
        let crop = strip(picture.mat(), corners, stretch)?;
        scene.spent.rectify += since(begin);
        self.read_crop(*corners, &crop, scene)
    }

    fn read_crop(
        &mut self,
        corners: Corners,
        crop: &Mat,
        scene: &mut Scene,
    ) -> Result<Option<Piece>, ModelError> {
        if scene.reads >= self.options.max_reads {
            return Ok(None);
        }
        scene.reads += 1;
        let begin = Instant::now();
        let lattice = read_strip(&mut self.reader, &self.alphabet, crop)?;
        scene.spent.read += since(begin);
        Ok(Some(Piece { corners, free: lattice.free_text(), lattice }))
    }

    /// Reads the columns that are high enough for a code, longest first: as upright signs below each other, and, where
    /// that gives nothing, as a line turned to either side.
    fn read_columns(
        &mut self,
        picture: &Picture,
        columns: Vec<Vec<Corners>>,
        scene: &mut Scene,
    ) -> Result<(), ModelError> {
        let mut high: Vec<(f32, Vec<Corners>, Corners)> = columns
            .into_iter()
            .filter_map(|parts| {
                let hull = around(&parts)?;
                let (w, h) = size(&hull);
                (h > COLUMN_ASPECT * w && w >= LEAST_HEIGHT).then_some((h, parts, hull))
            })
            .collect();
        high.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, parts, hull) in high.into_iter().take(MOST_COLUMNS) {
            let before = scene.hits.len();
            let known = |hits: &[Hit]| hits.iter().any(|h| h.best > EMIT && inside(&hull, &h.hull));
            if known(&scene.hits) {
                continue;
            }
            if let Some(piece) = self.read_column(picture, &hull, scene)? {
                self.add_column(&parts, hull, piece, scene);
            }
            let [tl, tr, br, bl] = hull;
            for turned in [[tr, br, bl, tl], [bl, tl, tr, br]] {
                if scene.hits.len() > before {
                    break;
                }
                if let Some(piece) = self.read_line(picture, &turned, 1.0, scene)? {
                    self.add_column(&parts, turned, piece, scene);
                }
            }
        }
        Ok(())
    }

    /// Reads a column of upright signs.
    fn read_column(
        &mut self,
        picture: &Picture,
        hull: &Corners,
        scene: &mut Scene,
    ) -> Result<Option<Piece>, ModelError> {
        let begin = Instant::now();
        let laid = side_by_side(picture.mat(), hull)?;
        scene.spent.rectify += since(begin);
        let Some((crop, _)) = laid else { return Ok(None) };
        self.read_crop(*hull, &crop, scene)
    }

    fn add_column(&self, parts: &[Corners], hull: Corners, piece: Piece, scene: &mut Scene) {
        let begin = Instant::now();
        let apart = parts.last().is_some_and(|q| parts.len() > 1 && !is_tall(q));
        for kind in self.kinds() {
            if resembles(&piece.free, kind, DIFFERENCES) {
                scene.hits.extend(hit(kind, &[hull], Arrangement::Column, piece.lattice.clone(), apart));
            }
        }
        scene.spent.decode += since(begin);
    }

    /// Reads the best hit of each place that is new in another crop: wider, and a little stretched. Different crops err
    /// differently, so their agreement is worth something; and a check digit that the finder missed stands beside.
    fn look_again(&mut self, picture: &Picture, scene: &mut Scene) -> Result<(), ModelError> {
        let mut places: Vec<(Checked, Vec<Corners>, Arrangement, bool, bool)> = Vec::new();
        for group in grouped(&scene.hits) {
            if group.iter().any(|h| h.again) {
                continue;
            }
            if let Some(lead) = group.first() {
                let open = lead.valid.first().is_none_or(|v| v.1 < lead.best);
                places.push((lead.kind, lead.parts.clone(), lead.arrangement, open, lead.apart));
            }
        }
        for (kind, mut parts, arrangement, open, apart) in places {
            if let Some(end) = parts.last_mut() {
                *end = extended(end, arrangement, if open { 2.4 } else { 0.12 });
            }
            if let Some(start) = parts.first_mut() {
                *start = padded(start, 0.02, 0.04);
            }
            let mut pieces = Vec::new();
            for part in &parts {
                // a column that was read as a turned line has its corners turned
                let stacked = arrangement == Arrangement::Column && is_tall(part);
                let piece = if stacked {
                    self.read_column(picture, part, scene)?
                } else {
                    self.read_line(picture, part, 1.15, scene)?
                };
                pieces.extend(piece);
            }
            if pieces.len() != parts.len() {
                continue;
            }
            let begin = Instant::now();
            if let Some(lattice) = chained(pieces.iter().map(|p| &p.lattice)) {
                let found = hit(kind, &parts, arrangement, lattice, open || apart);
                scene.hits.extend(found.map(|h| Hit { again: true, ..h }));
            }
            scene.spent.decode += since(begin);
        }
        Ok(())
    }

    /// Places where something is left to be read: codes in doubt, and parts of codes that belong to none.
    fn open_places(&self, scene: &Scene) -> Vec<Corners> {
        let reads: Vec<ContainerRead> = grouped(&scene.hits).iter().filter_map(|g| vote(g)).collect();
        let mut open: Vec<Corners> = reads.iter().filter(|r| !r.certain).map(|r| r.corners).collect();
        for fragment in &scene.fragments {
            let known = reads.iter().any(|r| inside(fragment, &r.corners));
            let near = |o: &Corners| close(fragment, o);
            if !known && !open.iter().any(near) {
                open.push(*fragment);
            }
        }
        open
    }

    /// Gives each code the size and type code that stands at its end or nearest to it.
    fn add_types(scene: &Scene, reads: &mut [ContainerRead]) {
        for read in reads.iter_mut().filter(|r| r.kind == NumberKind::Container) {
            let on_line = scene.hits.iter().filter(|h| shared(&h.hull, &read.corners) > 0.5).find_map(|h| {
                let free = h.lattice.free_text();
                let tail = free.split_once(read.code.as_str())?.1.get(..4)?.to_owned();
                size_type(&tail).map(|_| tail)
            });
            let nearest = || {
                let near = scene
                    .types
                    .iter()
                    .filter_map(|(q, text)| Some((beside(&read.corners, q, read.arrangement)?, text)));
                near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, text)| text.clone())
            };
            read.type_code = on_line.or_else(nearest);
        }
    }
}

/// Lattices read one after the other.
fn chained<'a>(lattices: impl Iterator<Item = &'a Lattice>) -> Option<Lattice> {
    lattices
        .fold(None, |all: Option<Lattice>, next| Some(all.map_or_else(|| next.clone(), |all| all.then(next))))
}

/// Decodes what stands in a lattice; none if it is no code.
fn hit(
    kind: Checked,
    parts: &[Corners],
    arrangement: Arrangement,
    lattice: Lattice,
    apart: bool,
) -> Option<Hit> {
    let edges = Edges::new(&lattice);
    let valid = valid_texts(&lattice, &edges, kind, FLOOR);
    let (mut ten, mut read) = (Vec::new(), None);
    if kind == Checked::Container {
        if let Some(d) = without_check_digit(&lattice, &edges, FLOOR) {
            ten.push((d.text, d.score));
            ten.extend(d.runners_up);
        }
        let top = valid.first().map_or(FLOOR, |v| v.1);
        read = as_read(&lattice, &edges, kind, top + WRONG_PRICE).map(|d| (d.text, d.score));
    }
    let first = |texts: &[(String, f32)], price: f32| texts.first().map_or(f32::MIN, |t| t.1 - price);
    let best = first(&valid, 0.0)
        .max(first(&ten, TEN_PRICE))
        .max(read.as_ref().map_or(f32::MIN, |r| r.1 - WRONG_PRICE));
    let hull = around(parts)?;
    (best > FLOOR).then_some(Hit {
        kind,
        parts: parts.to_vec(),
        arrangement,
        hull,
        lattice,
        edges,
        valid,
        ten,
        read,
        apart,
        best,
        again: false,
    })
}

/// Hits of the same place, best first in each group.
fn grouped(hits: &[Hit]) -> Vec<Vec<&Hit>> {
    let mut order: Vec<&Hit> = hits.iter().collect();
    order.sort_by(|a, b| b.best.total_cmp(&a.best));
    let mut groups: Vec<Vec<&Hit>> = Vec::new();
    for one in order {
        let same = |group: &&mut Vec<&Hit>| {
            group.first().is_some_and(|lead| lead.kind == one.kind && shared(&lead.hull, &one.hull) > 0.5)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// The code that the hits of one place agree on.
fn vote(group: &[&Hit]) -> Option<ContainerRead> {
    let lead = *group.first()?;
    // hits of a part of the code, or of the code with its neighbour, have no vote
    let same = |h: &&&Hit| overlap(bounds(&h.hull), bounds(&lead.hull)).0 > 0.4;
    let mut voters: Vec<&Hit> = group.iter().filter(same).copied().take(VOTERS - 1).collect();
    if !voters.iter().any(|h| h.again) {
        voters.extend(group.iter().filter(same).find(|h| h.again).copied());
    }
    let mean = |text: &str| {
        let sum: f32 = voters.iter().map(|h| score_of(&h.lattice, &h.edges, text, CLIP)).sum();
        sum / voters.len().max(1) as f32
    };
    let ranked = |pick: &dyn Fn(&Hit) -> &[(String, f32)]| {
        let mut texts: Vec<String> =
            voters.iter().flat_map(|h| pick(h)).map(|(text, _)| text.clone()).collect();
        texts.sort();
        texts.dedup();
        let mut scored: Vec<(String, f32)> = texts
            .into_iter()
            .map(|text| {
                let score = mean(&text);
                (text, score)
            })
            .collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        scored
    };
    let valid = ranked(&|h| &h.valid);
    let ten = ranked(&|h| &h.ten);
    let read = lead.read.as_ref().map(|(text, _)| (text.clone(), mean(text)));
    let value = |texts: &[(String, f32)], price: f32| texts.first().map_or(f32::MIN, |t| t.1 - price);
    let (as_valid, as_ten) = (value(&valid, 0.0), value(&ten, TEN_PRICE));
    let as_wrong = read.as_ref().map_or(f32::MIN, |r| r.1 - WRONG_PRICE);

    let (check_digit, texts, score) = if as_valid >= as_ten && as_valid >= as_wrong {
        let apart = voters.iter().all(|h| h.apart);
        (if apart { CheckDigit::Joined } else { CheckDigit::Read }, valid, as_valid)
    } else if as_ten >= as_wrong {
        let whole = |(text, score): &(String, f32)| Some((format!("{text}{}", check_digit(text)?), *score));
        (CheckDigit::Recomputed, ten.iter().filter_map(whole).collect(), as_ten)
    } else {
        let wrong: Vec<(String, f32)> = read.into_iter().chain(valid.iter().cloned()).collect();
        (CheckDigit::Contradicted, wrong, as_wrong)
    };
    let (code, _) = texts.first()?.clone();
    if score < EMIT {
        return None;
    }
    let rival = texts.get(1).map_or(f32::MIN, |t| t.1);
    let ahead = texts.first().map_or(0.0, |t| t.1) - rival;
    let margin = ahead.min(6.0 + score);
    let literal = voters.iter().any(|h| h.lattice.free_text().contains(&code));
    let agreed = voters.iter().all(|h| {
        let best = h.valid.first().map_or(CLIP, |v| v.1);
        score_of(&h.lattice, &h.edges, &code, CLIP) >= best - 0.01
    });
    let fits = matches!(check_digit, CheckDigit::Read | CheckDigit::Joined);
    let certain = fits && literal && agreed && voters.len() > 1 && margin >= CERTAIN;
    let probability = probability(f64::from(margin), check_digit, certain);
    let others: f32 = texts.iter().skip(1).map(|t| (t.1 - rival).exp()).sum::<f32>().max(1.0);
    let candidates = texts
        .iter()
        .take(CANDIDATES)
        .enumerate()
        .map(|(i, (code, score))| ContainerCandidate {
            code: code.clone(),
            probability: if i == 0 {
                probability
            } else {
                // half of what is left is for codes that are not in the list
                (0.5 * (1.0 - probability) * f64::from((score - rival).exp() / others)).min(probability)
            },
        })
        .collect();
    Some(ContainerRead {
        corners: lead.hull,
        kind: if lead.kind == Checked::Container { NumberKind::Container } else { NumberKind::Wagon },
        code,
        type_code: None,
        check_digit,
        probability,
        margin: f64::from(margin),
        certain,
        candidates,
        arrangement: lead.arrangement,
        milliseconds: StageMilliseconds::default(),
    })
}

/// Chance that a read is right, by its margin and check digit.
fn probability(margin: f64, check_digit: CheckDigit, certain: bool) -> f64 {
    let likely = (0.5 + 0.2 * margin).clamp(0.02, 0.985);
    match check_digit {
        CheckDigit::Read | CheckDigit::Joined if certain => likely.max(0.96),
        CheckDigit::Read | CheckDigit::Joined => likely.min(0.95),
        CheckDigit::Recomputed => likely.min(0.8),
        CheckDigit::Contradicted => likely.min(0.3),
    }
}

/// One code seen twice (in two passes, or as two arrangements) is one; of two that share their place the better stays.
fn drop_repeats(reads: &mut Vec<ContainerRead>) {
    reads.sort_by(|a, b| {
        b.certain
            .cmp(&a.certain)
            .then_with(|| b.margin.total_cmp(&a.margin))
            .then_with(|| a.code.cmp(&b.code))
    });
    let mut kept: Vec<ContainerRead> = Vec::new();
    for read in reads.drain(..) {
        let again = |k: &ContainerRead| shared(&k.corners, &read.corners) > 0.5;
        if !kept.iter().any(again) {
            kept.push(read);
        }
    }
    *reads = kept;
}

/// Whether a free reading may be a part of a code: owner and category, or a serial number.
fn is_fragment(free: &str) -> bool {
    let digits = free.chars().filter(char::is_ascii_digit).count();
    let letters = free.chars().filter(char::is_ascii_uppercase).count();
    let owner = letters == 4 && digits == 0 && free.ends_with(['U', 'J', 'Z']);
    let serial = (6..=7).contains(&digits) && letters <= 1;
    owner || serial || (letters >= 3 && digits >= 5 && free.len() <= CODE_SIGNS + 2)
}

/// Whether the middle of `q` lies in `other`'s upright box.
fn inside(q: &Corners, other: &Corners) -> bool {
    let [x, y] = centre(q);
    let [left, top, right, bottom] = bounds(other);
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

/// Whether two fragments are near enough for one close-up.
fn close(a: &Corners, b: &Corners) -> bool {
    let (ca, cb) = (centre(a), centre(b));
    let high = size(a).1.min(size(a).0).max(size(b).1.min(size(b).0));
    (ca[0] - cb[0]).abs() < 8.0 * high && (ca[1] - cb[1]).abs() < 3.0 * high
}

/// The region around a place, and the long side that gives its text a good height.
fn close_up(picture: &Picture, place: &Corners) -> Option<(Rect, f32)> {
    let [left, top, right, bottom] = bounds(place);
    let (w, h) = (right - left, bottom - top);
    let thin = w.min(h).max(4.0);
    let (mx, my) =
        if h > w { (3.0 * thin, 4.0 * thin) } else { ((8.0 * thin - 0.3 * w).max(3.0 * thin), 4.0 * thin) };
    let limit = |v: f32, most: u32| v.round().clamp(0.0, most as f32) as i32;
    let (x0, x1) = (limit(left - mx, picture.width()), limit(right + mx, picture.width()));
    let (y0, y1) = (limit(top - my, picture.height()), limit(bottom + my, picture.height()));
    let region = Rect::new(x0, y0, x1 - x0, y1 - y0);
    let long = region.width.max(region.height) as f32;
    let side = (long * (CLOSE_TEXT / thin).clamp(1.0, CLOSE_ENLARGE)).min(CLOSE_SIDE);
    (region.width >= 16 && region.height >= 16).then_some((region, side))
}

/// The part of a code, longer at its end by this many heights of a sign.
fn extended(q: &Corners, arrangement: Arrangement, signs: f32) -> Corners {
    let (w, h) = size(q);
    let [tl, tr, br, bl] = *q;
    let more = |a: [f32; 2], b: [f32; 2], by: f32| {
        let long = (b[0] - a[0]).hypot(b[1] - a[1]).max(1.0);
        [b[0] + (b[0] - a[0]) * by / long, b[1] + (b[1] - a[1]) * by / long]
    };
    if arrangement == Arrangement::Column && h > w {
        let by = signs * w;
        [tl, tr, more(tr, br, by), more(tl, bl, by)]
    } else {
        let by = signs * h;
        [tl, more(tl, tr, by), more(bl, br, by), bl]
    }
}

/// How far a size and type code is from the code it may belong to; none if it stands elsewhere.
fn beside(code: &Corners, q: &Corners, arrangement: Arrangement) -> Option<f32> {
    let ([left, top, right, bottom], [l, t, r, b]) = (bounds(code), bounds(q));
    let thin = size(q).1.min(size(q).0).max(1.0);
    let (dx, dy) = ((l - right).max(left - r).max(0.0), (t - bottom).max(top - b).max(0.0));
    let above = b < top + 0.3 * thin && arrangement != Arrangement::Column;
    (!above && dx <= 4.0 * thin && dy <= 3.0 * thin).then_some(dx.hypot(dy))
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
