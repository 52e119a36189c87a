//! Many frames, one result per container. Pure: the caller says what time it is.

use super::lines::shared;
use super::{CheckDigit, ContainerRead, NumberKind};
use crate::Corners;
use serde::Serialize;
use std::collections::BTreeMap;

/// When a container is gone, and what is worth reporting.
#[derive(Clone, Copy, Debug)]
pub struct ContainerConsensusOptions {
    /// A code that was not seen for this long is complete: its result is due. Milliseconds.
    pub gone_ms: u64,
    /// A result is due this long after the first read, even if the container still stands there. Milliseconds.
    pub max_ms: u64,
    /// A reported code is not reported again until it was out of sight for this long: pictures of a vehicle that stands
    /// still are passed over, so that its codes are seen now and then only. Milliseconds.
    pub again_ms: u64,
    /// Results below this probability are dropped.
    pub least_probability: f64,
    /// Most containers that are followed at a time; the one not seen for longest is finished early when another comes.
    pub max_tracks: usize,
}

impl Default for ContainerConsensusOptions {
    fn default() -> Self {
        Self { gone_ms: 2500, max_ms: 8000, again_ms: 30_000, least_probability: 0.25, max_tracks: 16 }
    }
}

/// What the frames say about one container.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContainerResult {
    /// Container or wagon.
    pub kind: NumberKind,
    /// The code.
    pub code: String,
    /// Size and type code: the one that most frames had.
    pub type_code: Option<String>,
    /// Where the check digit comes from: the best of the frames that read `code`.
    pub check_digit: CheckDigit,
    /// Chance that `code` is right, 0 to 1.
    pub probability: f64,
    /// Safe to act on without a second look: a frame was certain of it and none of another code.
    pub certain: bool,
    /// Frames that read `code`.
    pub frames_agreeing: usize,
    /// Frames that saw the container's code.
    pub frames: usize,
    /// The tag, as given to [`ContainerConsensus::add`], of the frame that shows the code best.
    pub frame_tag: u64,
    /// Where the code is in that frame.
    pub corners: Corners,
    /// When it was first seen, milliseconds of the caller's clock.
    pub first_ms: u64,
    /// When it was last seen, milliseconds of the caller's clock.
    pub last_ms: u64,
}

/// What stands in one place this long between frames is one container, whatever is read. Milliseconds.
const IN_PLACE_MS: u64 = 1500;
/// Codes that differ in no more signs than this can be one, if one of them is not certain.
const DIFFERENCES: usize = 2;
/// Each further frame that agrees takes this part of the doubt away: frames share their light, dirt and angle.
const FURTHER: f64 = 0.3;
/// Nothing is more probable than this.
const MOST: f64 = 0.999;
/// Different codes kept per track.
const MAX_CODES: usize = 16;

/// What one code of a track has for it.
#[derive(Clone, Debug)]
struct Support {
    frames: usize,
    best: ContainerRead,
    tag: u64,
}

#[derive(Clone, Debug)]
struct Track {
    first_ms: u64,
    last_ms: u64,
    codes: BTreeMap<String, Support>,
    types: BTreeMap<String, usize>,
    frames: usize,
    last_frame: u64,
    last_corners: Corners,
    reported: bool,
}

/// Groups the reads of successive frames by container.
#[derive(Clone, Debug, Default)]
pub struct ContainerConsensus {
    options: ContainerConsensusOptions,
    tracks: Vec<Track>,
    due: Vec<ContainerResult>,
    frame: u64,
}

impl ContainerConsensus {
    /// A consensus that has seen nothing.
    #[must_use]
    pub fn new(options: ContainerConsensusOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Adds the reads of one frame, taken at `mono_ms` (any clock that does not run backwards). `frame_tag` comes back
    /// in the result whose evidence is this frame. The order of `reads` does not matter.
    pub fn add(&mut self, mono_ms: u64, reads: &[ContainerRead], frame_tag: u64) {
        self.end(mono_ms);
        self.frame += 1;
        let mut sorted: Vec<&ContainerRead> = reads.iter().collect();
        sorted.sort_by(|a, b| better(a, b).then_with(|| a.code.cmp(&b.code)));
        for read in sorted {
            self.one(mono_ms, read, frame_tag);
        }
    }

    /// The results that are due at `mono_ms`.
    pub fn poll(&mut self, mono_ms: u64) -> Vec<ContainerResult> {
        self.end(mono_ms);
        std::mem::take(&mut self.due)
    }

    /// All that is left, as when the camera stops or the next picture shows another vehicle.
    pub fn finish(&mut self) -> Vec<ContainerResult> {
        for track in std::mem::take(&mut self.tracks) {
            self.report(&track);
        }
        std::mem::take(&mut self.due)
    }

    /// The tags of the frames that a result may still need: the caller can forget all other frames.
    #[must_use]
    pub fn frames_in_use(&self) -> Vec<u64> {
        let open = self.tracks.iter().filter(|t| !t.reported).filter_map(|t| t.best().map(|s| s.tag));
        open.chain(self.due.iter().map(|r| r.frame_tag)).collect()
    }

    fn end(&mut self, mono_ms: u64) {
        let options = self.options;
        for mut track in std::mem::take(&mut self.tracks) {
            let unseen = mono_ms.saturating_sub(track.last_ms);
            if unseen >= options.gone_ms || mono_ms.saturating_sub(track.first_ms) >= options.max_ms {
                self.report(&track);
                track.reported = true;
            }
            // what was not worth a report need not be remembered
            if unseen < options.again_ms.max(options.gone_ms) {
                self.tracks.push(track);
            }
        }
    }

    fn report(&mut self, track: &Track) {
        if !track.reported {
            let result = track.result().filter(|r| r.probability >= self.options.least_probability);
            self.due.extend(result);
        }
    }

    fn one(&mut self, mono_ms: u64, read: &ContainerRead, frame_tag: u64) {
        let frame = self.frame;
        let nearest =
            self.tracks.iter().enumerate().filter_map(|(i, t)| Some((t.distance(read, mono_ms, frame)?, i)));
        if let Some((_, index)) = nearest.min() {
            if let Some(track) = self.tracks.get_mut(index) {
                track.add(mono_ms, read, frame_tag, frame);
            }
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
            codes: BTreeMap::new(),
            types: BTreeMap::new(),
            frames: 0,
            last_frame: 0,
            last_corners: read.corners,
            reported: false,
        };
        track.add(mono_ms, read, frame_tag, frame);
        self.tracks.push(track);
    }
}

/// Order of reads by how well they show the code, the best first.
fn better(a: &ContainerRead, b: &ContainerRead) -> std::cmp::Ordering {
    b.certain.cmp(&a.certain).then_with(|| b.probability.total_cmp(&a.probability))
}

impl Track {
    /// How far a read is from this track: 0 for the same code, 1 for the same place, 2 for a similar code; none if it
    /// is another container.
    fn distance(&self, read: &ContainerRead, mono_ms: u64, frame: u64) -> Option<u8> {
        if self.codes.contains_key(&read.code) {
            return Some(0);
        }
        // a second code in one frame is another container's
        let certain = self.codes.values().any(|s| s.best.certain);
        if self.last_frame == frame || (certain && read.certain) {
            return None;
        }
        let recent = mono_ms.saturating_sub(self.last_ms) <= IN_PLACE_MS;
        if recent && shared(&self.last_corners, &read.corners) > 0.5 {
            return Some(1);
        }
        let alike = |code: &String| {
            code.len() == read.code.len()
                && code.chars().zip(read.code.chars()).filter(|(a, b)| a != b).count() <= DIFFERENCES
        };
        self.codes.keys().any(alike).then_some(2)
    }

    fn add(&mut self, mono_ms: u64, read: &ContainerRead, frame_tag: u64, frame: u64) {
        self.last_ms = self.last_ms.max(mono_ms);
        if self.last_frame == frame {
            return;
        }
        self.last_frame = frame;
        self.last_corners = read.corners;
        self.frames += 1;
        if let Some(text) = &read.type_code {
            *self.types.entry(text.clone()).or_default() += 1;
        }
        if !self.codes.contains_key(&read.code) && self.codes.len() >= MAX_CODES {
            return;
        }
        let new = || Support { frames: 0, best: read.clone(), tag: frame_tag };
        let support = self.codes.entry(read.code.clone()).or_insert_with(new);
        support.frames += 1;
        if better(read, &support.best).is_lt() {
            support.best = read.clone();
            support.tag = frame_tag;
        }
    }

    /// The doubt that is left of a code: less with each frame that agrees.
    fn doubt(support: &Support) -> f64 {
        let further = i32::try_from(support.frames.saturating_sub(1).min(8)).unwrap_or(8);
        (1.0 - support.best.probability.clamp(0.0, 1.0)) * (1.0 - FURTHER).powi(further)
    }

    /// The code with the least doubt.
    fn best(&self) -> Option<&Support> {
        self.codes.values().min_by(|a, b| {
            let sure = |s: &Support| (!s.best.certain, Self::doubt(s));
            let ((a, x), (b, y)) = (sure(a), sure(b));
            a.cmp(&b).then_with(|| x.total_cmp(&y))
        })
    }

    fn result(&self) -> Option<ContainerResult> {
        let support = self.best()?;
        let read = &support.best;
        let others: f64 =
            self.codes.values().filter(|s| s.best.code != read.code).map(|s| 1.0 - Self::doubt(s)).sum();
        let contradicted = self
            .codes
            .values()
            .any(|s| s.best.code != read.code && (s.best.certain || s.frames > support.frames));
        let confirmed = matches!(read.check_digit, CheckDigit::Read | CheckDigit::Joined);
        let certain = read.certain && !contradicted;
        let mut probability = (1.0 - Self::doubt(support)).min(MOST);
        if !certain {
            // frames that agree share their error, and nothing but a check digit tells it
            probability = (probability / (1.0 + 0.5 * others)).min(if confirmed { 0.95 } else { 0.8 });
        }
        let most = self.types.values().max();
        Some(ContainerResult {
            kind: read.kind,
            code: read.code.clone(),
            type_code: self.types.iter().find(|(_, n)| Some(*n) == most).map(|(text, _)| text.clone()),
            check_digit: read.check_digit,
            probability,
            certain,
            frames_agreeing: support.frames,
            frames: self.frames,
            frame_tag: support.tag,
            corners: read.corners,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arrangement;
    use super::*;
    use crate::StageMilliseconds;
    use proptest::prelude::*;

    fn read(code: &str, probability: f64, certain: bool, x: f32) -> ContainerRead {
        ContainerRead {
            corners: [[x, 0.0], [x + 100.0, 0.0], [x + 100.0, 20.0], [x, 20.0]],
            kind: NumberKind::Container,
            code: code.into(),
            type_code: certain.then(|| "22G1".into()),
            check_digit: if certain { CheckDigit::Read } else { CheckDigit::Recomputed },
            probability,
            margin: 0.0,
            certain,
            candidates: Vec::new(),
            arrangement: Arrangement::Line,
            milliseconds: StageMilliseconds::default(),
        }
    }

    fn consensus() -> ContainerConsensus {
        ContainerConsensus::new(ContainerConsensusOptions::default())
    }

    #[test]
    fn frames_of_one_container_make_one_result_with_the_best_frame() {
        let mut c = consensus();
        c.add(0, &[read("DFSU4119260", 0.5, false, 0.0)], 1);
        c.add(500, &[read("DFSU4119250", 0.98, true, 60.0)], 2);
        c.add(1000, &[read("DFSU4119250", 0.9, false, 300.0)], 3);
        assert_eq!(c.frames_in_use(), [2]);
        let got = c.poll(1000 + 2500);
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!((got[0].code.as_str(), got[0].certain, got[0].frame_tag), ("DFSU4119250", true, 2));
        assert_eq!(
            (got[0].frames_agreeing, got[0].frames, got[0].type_code.as_deref()),
            (2, 3, Some("22G1"))
        );
        assert!(c.frames_in_use().is_empty());
    }

    #[test]
    fn a_container_that_stands_is_told_once() {
        let mut c = consensus();
        let mut told = 0;
        for second in 0..120u64 {
            // a picture now and then only, as nothing moves
            if second % 9 == 0 {
                c.add(1000 * second, &[read("DFSU4119250", 0.98, true, 0.0)], second);
            }
            told += c.poll(1000 * second + 500).len();
        }
        assert_eq!(told + c.finish().len(), 1);
        c.add(200_000, &[read("DFSU4119250", 0.98, true, 0.0)], 0);
        assert_eq!(c.finish().len(), 1, "after a while it is another visit");
    }

    #[test]
    fn containers_of_one_fleet_stay_apart() {
        let mut c = consensus();
        let pair = [read("SEKU9203379", 0.98, true, 0.0), read("SEKU9203173", 0.6, false, 400.0)];
        for frame in 0..3 {
            c.add(frame * 300, &pair, frame);
        }
        let mut codes: Vec<String> = c.finish().into_iter().map(|r| r.code).collect();
        codes.sort();
        assert_eq!(codes, ["SEKU9203173", "SEKU9203379"]);
    }

    #[test]
    fn agreement_alone_never_makes_a_code_certain() {
        let mut c = consensus();
        for frame in 0..9 {
            c.add(frame * 300, &[read("DFSU4119250", 0.79, false, 0.0)], frame);
        }
        let got = c.finish();
        assert!(!got[0].certain && got[0].probability <= 0.8, "{got:?}");
        let mut c = consensus();
        c.add(0, &[read("DFSU4119250", 0.98, true, 0.0)], 0);
        c.add(300, &[read("DFSU4119250", 0.98, true, 0.0), read("TEMU9545687", 0.98, true, 2.0)], 0);
        assert_eq!(c.finish().len(), 2, "two certain codes are two containers");
    }

    proptest! {
        #[test]
        fn the_state_is_bounded_and_every_code_told_at_most_once(
            frames in proptest::collection::vec((0u64..3000, "[A-B]{3}U[0-1]{7}", any::<bool>(), 0u16..500), 0..60),
        ) {
            let mut c = ContainerConsensus::new(ContainerConsensusOptions {
                again_ms: u64::MAX, max_tracks: 8, ..ContainerConsensusOptions::default()
            });
            let mut now = 0;
            let mut told = 0;
            for (tag, (wait, code, certain, x)) in frames.iter().enumerate() {
                now += wait;
                c.add(now, &[read(code, 0.9, *certain, f32::from(*x))], tag as u64);
                prop_assert!(c.tracks.len() <= 8 && c.frames_in_use().len() <= 8 + c.due.len());
                told += c.poll(now).len();
            }
            prop_assert!(told + c.finish().len() <= frames.len());
        }
    }
}
