//! Many frames of one vehicle, one result per plate. Pure: the caller says what time it is.

use crate::plate::rectify::{bounds, overlap, size};
use crate::{Corners, PlateCandidate, PlateRead};
use serde::Serialize;
use std::collections::BTreeMap;

/// When a vehicle is gone, and what is worth reporting.
#[derive(Clone, Copy, Debug)]
pub struct ConsensusOptions {
    /// A plate that was not seen for this long has left: its result is due. Milliseconds.
    pub gone_ms: u64,
    /// A result is due this long after the first read, even if the vehicle still stands there. Milliseconds.
    pub max_ms: u64,
    /// Reads below this do not begin a track, and results below it are dropped (badges, signs).
    pub least_probability: f64,
    /// Most plates that are followed at a time; the one not seen for longest is finished early when another comes.
    pub max_tracks: usize,
}

impl Default for ConsensusOptions {
    fn default() -> Self {
        Self { gone_ms: 1500, max_ms: 6000, least_probability: 0.4, max_tracks: 16 }
    }
}

/// What the frames of one vehicle say about one of its plates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlateResult {
    /// A-Z and 0-9, no separators.
    pub text: String,
    /// The country whose format it has, if only one of the likely ones has it.
    pub country: Option<String>,
    /// Chance that `text` is right, 0 to 1.
    pub probability: f64,
    /// Safe to act on without a second look: at least one frame was certain of it and none certain of another text.
    pub certain: bool,
    /// The readings that were considered, best first; the first is `text`.
    pub candidates: Vec<PlateCandidate>,
    /// Frames that read `text`.
    pub frames_agreeing: usize,
    /// Frames that saw the plate.
    pub frames: usize,
    /// The tag, as given to [`Consensus::add`], of the frame that shows `text` best.
    pub frame_tag: u64,
    /// Where the plate is in that frame.
    pub corners: Corners,
    /// When it was first seen, milliseconds of the caller's clock.
    pub first_ms: u64,
    /// When it was last seen, milliseconds of the caller's clock.
    pub last_ms: u64,
}

/// Signs that are taken for each other.
const LOOK_ALIKES: &[&str] = &["0ODQ", "1IL", "8B", "5S", "2Z", "MH", "YV", "6G", "7T", "NH", "KX"];
/// Texts closer than this are of one plate. A look-alike costs 0.4, any other change 1.
const SAME_PLATE: f64 = 2.0;
/// A plate that stays in place this long between frames is the same, whatever is read. Milliseconds.
const IN_PLACE_MS: u64 = 400;
/// Further frames count half, and together no more than the best one again: frames of one vehicle share their light,
/// dirt and angle, so the same misread in twenty frames is not twenty votes.
const FURTHER: f64 = 0.5;
/// Nothing is more probable than this.
const MOST: f64 = 0.999;
/// Texts of a track whose best frame is kept.
const SHOWN: usize = 2;
/// Different texts kept per track.
const MAX_TEXTS: usize = 24;

/// What one text of a track has for it.
#[derive(Clone, Debug, Default)]
struct Support {
    country: Option<String>,
    /// Sum over frames of -ln(1 - p).
    sum: f64,
    /// The largest of them.
    best: f64,
    /// Frames that read this text first.
    frames: usize,
    /// Whether one of them was certain.
    certain: bool,
    /// The frame that shows this text best. Kept for the texts that may yet win.
    shown: Option<Shown>,
}

/// A frame that read a text, first or as another reading.
#[derive(Clone, Debug)]
struct Shown {
    read: PlateRead,
    tag: u64,
    /// Probability of the text there.
    probability: f64,
    first: bool,
}

impl Shown {
    /// Order by how well a text is seen: a frame that read it first is better than any other.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let sure = self.first.cmp(&other.first);
        let sure = sure.then_with(|| {
            if self.first {
                std::cmp::Ordering::Equal
            } else {
                self.probability.total_cmp(&other.probability)
            }
        });
        sure.then_with(|| compare(&self.read, &other.read))
    }
}

impl Support {
    fn evidence(&self) -> f64 {
        self.best + (FURTHER * (self.sum - self.best)).min(self.best)
    }
}

#[derive(Clone, Debug)]
struct Track {
    first_ms: u64,
    last_ms: u64,
    texts: BTreeMap<String, Support>,
    frames: usize,
    last_frame: Option<u64>,
    last_corners: Corners,
    reported: bool,
}

/// Groups the reads of successive frames by plate.
#[derive(Clone, Debug, Default)]
pub struct Consensus {
    options: ConsensusOptions,
    tracks: Vec<Track>,
    due: Vec<PlateResult>,
    frame: u64,
}

impl Consensus {
    /// A consensus that has seen nothing.
    #[must_use]
    pub fn new(options: ConsensusOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Adds the reads of one frame, taken at `mono_ms` (any clock that does not run backwards). `frame_tag` comes back
    /// in the result whose evidence is this frame. The order of `reads` does not matter.
    pub fn add(&mut self, mono_ms: u64, reads: &[PlateRead], frame_tag: u64) {
        self.end(mono_ms);
        self.frame += 1;
        let mut sorted: Vec<&PlateRead> = reads.iter().collect();
        sorted.sort_by(|a, b| compare(b, a));
        for read in sorted {
            self.one(mono_ms, read, frame_tag);
        }
    }

    /// The results that are due at `mono_ms`.
    pub fn poll(&mut self, mono_ms: u64) -> Vec<PlateResult> {
        self.end(mono_ms);
        std::mem::take(&mut self.due)
    }

    /// All that is left, as when the camera stops.
    pub fn finish(&mut self) -> Vec<PlateResult> {
        for track in std::mem::take(&mut self.tracks) {
            self.report(&track);
        }
        std::mem::take(&mut self.due)
    }

    /// The tags of the frames that a result may still need: the caller can forget all other frames.
    #[must_use]
    pub fn frames_in_use(&self) -> Vec<u64> {
        let open = self.tracks.iter().filter(|t| !t.reported).flat_map(|t| t.texts.values());
        let open = open.filter_map(|s| s.shown.as_ref().map(|shown| shown.tag));
        open.chain(self.due.iter().map(|r| r.frame_tag)).collect()
    }

    fn end(&mut self, mono_ms: u64) {
        let options = self.options;
        let gone = |t: &Track| mono_ms >= t.last_ms.saturating_add(options.gone_ms);
        let (ended, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.tracks).into_iter().partition(gone);
        self.tracks = open;
        for track in ended {
            self.report(&track);
        }
        // A vehicle that stands longer is reported once, and followed until it is gone.
        for mut track in std::mem::take(&mut self.tracks) {
            if mono_ms >= track.first_ms.saturating_add(options.max_ms) {
                self.report(&track);
                track.reported = true;
            }
            self.tracks.push(track);
        }
    }

    fn report(&mut self, track: &Track) {
        if track.reported {
            return;
        }
        if let Some(result) = track.result().filter(|r| r.probability >= self.options.least_probability) {
            self.due.push(result);
        }
    }

    fn one(&mut self, mono_ms: u64, read: &PlateRead, frame_tag: u64) {
        let frame = self.frame;
        let near = self.tracks.iter_mut().filter_map(|t| t.distance(read, mono_ms).map(|d| (d, t)));
        if let Some((_, track)) = near.min_by(|a, b| a.0.total_cmp(&b.0)) {
            // a second read of the same plate in one frame says nothing new
            if track.last_frame != Some(frame) {
                track.add(mono_ms, read, frame_tag, frame);
            }
            return;
        }
        if read.text.is_empty() || read.probability < self.options.least_probability {
            return;
        }
        if self.tracks.len() >= self.options.max_tracks.max(1) {
            let oldest = self.tracks.iter().enumerate().min_by_key(|(_, t)| t.last_ms).map(|(i, _)| i);
            if let Some(oldest) = oldest {
                let track = self.tracks.remove(oldest);
                self.report(&track);
            }
        }
        let mut track = Track {
            first_ms: mono_ms,
            last_ms: mono_ms,
            texts: BTreeMap::new(),
            frames: 0,
            last_frame: None,
            last_corners: read.corners,
            reported: false,
        };
        track.add(mono_ms, read, frame_tag, frame);
        self.tracks.push(track);
    }
}

impl Track {
    /// How far a read is from this track; none if it is another plate.
    fn distance(&self, read: &PlateRead, mono_ms: u64) -> Option<f64> {
        let in_place = mono_ms.saturating_sub(self.last_ms) <= IN_PLACE_MS
            && overlap(bounds(&self.last_corners), bounds(&read.corners)).0 > 0.3;
        // Two texts that are both certain are two plates (lorries of one fleet), unless they stand in one place.
        let other = |(text, s): (&String, &Support)| s.certain && *text != read.text;
        if read.certain && self.texts.iter().any(other) && !in_place {
            return None;
        }
        let tops = self.texts.iter().filter(|(_, s)| s.frames > 0);
        let least = tops.map(|(text, _)| text_distance(text, &read.text)).fold(f64::MAX, f64::min);
        if in_place { Some(least.min(SAME_PLATE) / 2.0) } else { (least <= SAME_PLATE).then_some(least) }
    }

    fn add(&mut self, mono_ms: u64, read: &PlateRead, frame_tag: u64, frame: u64) {
        self.last_ms = self.last_ms.max(mono_ms);
        self.last_frame = Some(frame);
        self.last_corners = read.corners;
        self.frames += 1;
        let first = PlateCandidate {
            text: read.text.clone(),
            country: read.country.clone(),
            probability: read.probability,
        };
        let others = read.candidates.iter().filter(|c| c.text != read.text);
        for (index, candidate) in std::iter::once(&first).chain(others).enumerate() {
            if !self.texts.contains_key(&candidate.text) && self.texts.len() >= MAX_TEXTS && index > 0 {
                continue;
            }
            let support = self.texts.entry(candidate.text.clone()).or_default();
            let p =
                if candidate.probability.is_finite() { candidate.probability.clamp(0.0, 0.99) } else { 0.0 };
            let evidence = -(1.0 - p).ln();
            support.sum += evidence;
            support.best = support.best.max(evidence);
            support.country = support.country.take().or_else(|| candidate.country.clone());
            if index == 0 {
                support.frames += 1;
                support.certain |= read.certain;
            }
            let shown = Shown { read: read.clone(), tag: frame_tag, probability: p, first: index == 0 };
            if support.shown.as_ref().is_none_or(|known| shown.compare(known).is_gt()) {
                support.shown = Some(shown);
            }
        }
        self.forget_pictures();
    }

    /// Keeps the pictures of the [`SHOWN`] best texts: the caller has to keep their frames. The text that wins has one: what
    /// a text has for it grows only with a frame that reads it, and none but the best come later to be the best.
    fn forget_pictures(&mut self) {
        let mut shown: Vec<&mut Support> = self.texts.values_mut().filter(|s| s.shown.is_some()).collect();
        shown.sort_by(|a, b| b.evidence().total_cmp(&a.evidence()));
        for support in shown.into_iter().skip(SHOWN) {
            support.shown = None;
        }
    }

    /// Each text's odds from its frames, against all the others.
    fn result(&self) -> Option<PlateResult> {
        let odds = |s: &Support| s.evidence().min(300.0).exp_m1();
        let all: f64 = 1.0 + self.texts.values().map(odds).sum::<f64>();
        let mut candidates: Vec<PlateCandidate> = self
            .texts
            .iter()
            .map(|(text, s)| PlateCandidate {
                text: text.clone(),
                country: s.country.clone(),
                probability: (odds(s) / all).min(MOST),
            })
            .collect();
        candidates.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.text.cmp(&b.text)));
        candidates.truncate(5);
        let best = candidates.first()?.clone();
        let support = self.texts.get(&best.text)?;
        let contradicted = self.texts.iter().any(|(text, s)| {
            // another text that was certain, or a longer one of which this may be a part: a plate that is cut off
            // reads like a shorter one
            *text != best.text && (s.certain || (s.frames > 0 && text.contains(best.text.as_str())))
        });
        let evidence = support.shown.as_ref()?;
        Some(PlateResult {
            text: best.text,
            country: best.country,
            probability: best.probability,
            certain: support.certain && !contradicted && best.probability >= 0.9,
            candidates,
            frames_agreeing: support.frames,
            frames: self.frames,
            frame_tag: evidence.tag,
            corners: evidence.read.corners,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
        })
    }
}

/// Order of reads by how well they show the plate: certain, probable, large; text and place make it total.
fn compare(a: &PlateRead, b: &PlateRead) -> std::cmp::Ordering {
    let place = |r: &PlateRead| r.corners.iter().flatten().copied().collect::<Vec<f32>>();
    a.certain
        .cmp(&b.certain)
        .then_with(|| a.probability.total_cmp(&b.probability))
        .then_with(|| size(&a.corners).0.total_cmp(&size(&b.corners).0))
        .then_with(|| b.text.cmp(&a.text))
        .then_with(|| {
            let pairs = place(a).into_iter().zip(place(b));
            pairs.map(|(x, y)| x.total_cmp(&y)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        })
}

/// Edit distance in which look-alikes cost 0.4.
fn text_distance(a: &str, b: &str) -> f64 {
    let change = |x: char, y: char| match () {
        () if x == y => 0.0,
        () if LOOK_ALIKES.iter().any(|group| group.contains(x) && group.contains(y)) => 0.4,
        () => 1.0,
    };
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<f64> = (0..=b.len()).map(|i| i as f64).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i as f64 + 1.0;
        let mut next = vec![left];
        for ((corner, above), y) in row.iter().zip(row.iter().skip(1)).zip(&b) {
            left = (corner + change(x, *y)).min(above + 1.0).min(left + 1.0);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
