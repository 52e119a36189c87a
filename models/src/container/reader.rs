//! The chain: find text, read every piece of it, put pieces in the order of a code, decode, look again, vote.

use super::code::{CODE_SIGNS, size_type};
use super::column::side_by_side;
use super::decode::{Checked, resembles, type_code};
use super::lines::{Arrangement, around, is_tall, sequences, shared};
use super::places::{CLOSE_ENLARGE, beside, close, close_up, cut_off, extended, inside, turned};
use super::vote::{Hit, drop_repeats, grouped, hit, vote};
use super::{ContainerOptions, ContainerRead, NumberKind};
use crate::plate::detect::Found;
use crate::plate::grammar::Edges;
use crate::plate::lattice::Lattice;
use crate::plate::rectify::{padded, size, strip};
use crate::text::{alphabet, find_texts, read_strip, resized};
use crate::{Corners, ModelError, ModelStore, Picture, Runtime, StageMilliseconds};
use opencv::core::{Mat, MatTraitConst, Rect};
use ort::session::Session;
use std::collections::BTreeMap;
use std::time::Instant;

/// Small pictures are enlarged at most this much.
const ENLARGE: f32 = 1.6;
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
/// Score of a column that need not be read in another way.
const CLEAR: f32 = -2.0;
/// Wrong signs that a free reading may have to be decoded.
const DIFFERENCES: f32 = 3.0;
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

/// What is known of a picture so far.
#[derive(Default)]
struct Scene {
    hits: Vec<Hit>,
    /// What may be part of a code.
    fragments: Vec<Corners>,
    /// What the edge of a close-up cuts off.
    cut_off: Vec<Corners>,
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
        let session = |name: &str| runtime.load_model(store, name, options.threads);
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
        let mut looked_at: Vec<Corners> = Vec::new();
        for _ in 0..self.options.close_ups {
            // a close-up may show that another code begins at its edge
            let known = |place: &Corners| looked_at.iter().any(|q| inside(q, place) || inside(place, q));
            let Some(place) = self.open_places(&scene).into_iter().find(|place| !known(place)) else { break };
            looked_at.push(place);
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
        let pieces = self.read_pieces(picture, &boxes, scene)?;
        let begin = Instant::now();
        let corners: Vec<Corners> = boxes.iter().map(|f| f.corners).collect();
        let mut columns = Vec::new();
        for sequence in sequences(&corners, MOST_SEQUENCES) {
            let parts: Vec<Corners> =
                sequence.parts.iter().filter_map(|&i| corners.get(i).copied()).collect();
            if sequence.arrangement == Arrangement::Column {
                columns.push(parts.clone());
            }
            let chain: Option<Vec<&Piece>> = sequence.parts.iter().map(|i| pieces.get(i)).collect();
            let Some(chain) = chain else { continue };
            let free: String = chain.iter().map(|p| p.free.as_str()).collect();
            let kinds: Vec<Checked> =
                self.kinds().into_iter().filter(|kind| resembles(&free, *kind, DIFFERENCES)).collect();
            if kinds.is_empty() {
                continue;
            }
            let Some(lattice) = chained(chain.iter().map(|p| &p.lattice)) else { continue };
            let apart = chain.last().is_some_and(|p| chain.len() > 1 && p.free.len() <= 2);
            for kind in kinds {
                scene.hits.extend(hit(kind, &parts, sequence.arrangement, lattice.clone(), apart));
            }
        }
        for piece in pieces.into_values() {
            if (3..=CODE_SIGNS).contains(&piece.free.len()) && cut_off(&piece.corners, region, picture) {
                scene.cut_off.push(piece.corners);
            }
            if is_fragment(&piece.free) {
                scene.fragments.push(piece.corners);
            }
            if (3..=6).contains(&piece.free.len()) {
                let edges = Edges::new(&piece.lattice);
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

    /// Reads the boxes, by their index. A column of upright signs, turned to the left, is read as it stands: the reader
    /// was made for that too.
    fn read_pieces(
        &mut self,
        picture: &Picture,
        boxes: &[Found],
        scene: &mut Scene,
    ) -> Result<BTreeMap<usize, Piece>, ModelError> {
        let mut pieces = BTreeMap::new();
        for (index, found) in boxes.iter().enumerate() {
            let (w, h) = size(&found.corners);
            if w.min(h) < LEAST_HEIGHT || w.max(h) > LONGEST * w.min(h) {
                continue;
            }
            let tall = is_tall(&found.corners);
            let crop = if tall { turned(&found.corners) } else { found.corners };
            if let Some(piece) = self.read_line(picture, &crop, 1.0, scene)? {
                pieces.insert(index, Piece { corners: found.corners, ..piece });
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
            let clear = |h: &Hit| h.top.as_ref().is_some_and(|t| t.1 > CLEAR) && inside(&hull, &h.hull);
            if scene.hits.iter().any(clear) {
                continue;
            }
            if let Some(piece) = self.read_column(picture, &hull, scene)? {
                self.add_column(&parts, hull, piece, scene);
            }
            let [tl, tr, br, bl] = hull;
            for line in [turned(&hull), [bl, tl, tr, br]] {
                if scene.hits.len() > before {
                    break;
                }
                if let Some(piece) = self.read_line(picture, &line, 1.0, scene)? {
                    self.add_column(&parts, hull, piece, scene);
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
                let open = lead.top.as_ref().is_none_or(|t| t.1 < lead.best);
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
            if arrangement == Arrangement::Column {
                parts = around(&parts).into_iter().collect();
            }
            let mut pieces = Vec::new();
            for part in &parts {
                let piece = if arrangement == Arrangement::Column {
                    match self.read_column(picture, part, scene)? {
                        Some(piece) => Some(piece),
                        None => self.read_line(picture, &turned(part), 1.15, scene)?,
                    }
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
        let known = |q: &&Corners| !reads.iter().any(|r| inside(q, &r.corners));
        open.extend(scene.cut_off.iter().filter(known));
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

/// Whether a free reading may be a part of a code: owner and category, or a serial number.
fn is_fragment(free: &str) -> bool {
    let digits = free.chars().filter(char::is_ascii_digit).count();
    let letters = free.chars().filter(char::is_ascii_uppercase).count();
    let owner = letters == 4 && digits == 0 && free.ends_with(['U', 'J', 'Z']);
    let serial = (6..=7).contains(&digits) && letters <= 1;
    owner || serial || (letters >= 3 && digits >= 5 && free.len() <= CODE_SIGNS + 2)
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
