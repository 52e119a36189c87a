//! Ways to cut a plate out of the picture, and when two of them show the same.

use super::Detector;
use super::detect::Candidate;
use super::rectify::{bounds, overlap, padded, size, upright};
use crate::{Corners, Picture};

/// Parts of its width and height that a place is widened by at each end, to see whether it was cut off: a box of the
/// text finder may lack the whole region, corners of the plate finder at most a sign (a sign is 7 % of a plate).
const WIDER: [f32; 2] = [0.25, 0.05];
const WIDER_CORNERS: [f32; 2] = [0.12, 0.1];
/// Room, as a part of its width, that a plate needs to the picture's edges to count as whole.
const WHOLE: f32 = 0.05;
/// Stretch of crops with room at both ends for the plate reader.
const WIDE_STRETCH: f32 = 1.2;
/// The plate reader's crops are stretched to at least this width by height, at most so much; narrower ones than the second
/// are not of one line.
const ASPECT: f32 = 4.0;
const MOST_STRETCH: f32 = 1.7;
const SQUEEZED: f32 = 2.0;

/// One way to cut out a candidate.
#[derive(Clone)]
pub(super) struct Crop {
    pub(super) candidate: Candidate,
    pub(super) stretch: f32,
    pub(super) wide: bool,
}

impl Crop {
    pub(super) fn narrow(candidate: &Candidate) -> Self {
        Self { candidate: candidate.clone(), stretch: 1.0, wide: false }
    }

    /// The stretch for the plate reader, whose strips are low: signs that are small for the room round them, or squeezed as
    /// the plate is seen from the side, get their width back.
    pub(super) fn opened(&self) -> f32 {
        let stretch = self.stretch * if self.wide { WIDE_STRETCH } else { 1.0 };
        match self.candidate.lines.as_slice() {
            [line] => {
                let (width, height) = size(line);
                let aspect = width / height.max(1.0);
                let squeezed = aspect > SQUEEZED;
                if squeezed { stretch.max((ASPECT / aspect).min(MOST_STRETCH)) } else { stretch }
            }
            _ => stretch,
        }
    }

    /// A sloping line with upright sides, as a plate has that is seen from the side; none if it hardly slopes, or if the
    /// plate finder's corners follow its sides already.
    pub(super) fn upright(candidate: &Candidate) -> Option<Self> {
        let (&[line], true) = (candidate.lines.as_slice(), candidate.detector != Detector::Plate) else {
            return None;
        };
        let lines = vec![upright(&line, SLOPED)?];
        Some(Self { candidate: Candidate { lines, ..candidate.clone() }, stretch: 1.0, wide: false })
    }

    pub(super) fn wide(candidate: &Candidate) -> Self {
        let [x, y] = if candidate.detector == Detector::Plate { WIDER_CORNERS } else { WIDER };
        let lines = candidate.lines.iter().map(|line| padded(line, x, y)).collect();
        Self { candidate: Candidate { lines, ..candidate.clone() }, stretch: 1.0, wide: true }
    }
}

/// Slope in degrees from which the box of a text finder cuts a plate's corners.
const SLOPED: f32 = 3.0;

/// Whether the plate has room to the picture's edges.
pub(super) fn inside(picture: &Picture, plate: &Corners) -> bool {
    let [left, top, right, bottom] = bounds(&padded(plate, WHOLE, 0.0));
    left >= 0.0 && top >= 0.0 && right <= picture.width() as f32 && bottom <= picture.height() as f32
}

/// Whether two crops show practically the same.
pub(super) fn same_crop(a: &Corners, b: &Corners) -> bool {
    overlap(bounds(a), bounds(b)).0 > 0.92
}

pub(super) fn same_place(a: &Corners, b: &Corners) -> bool {
    overlap(bounds(a), bounds(b)).1 > 0.5
}
