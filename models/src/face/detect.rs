//! Where faces are: the outputs of YuNet, decoded.

use crate::plate::rectify::overlap;

/// Side of the detector's input in pixels: the model's own, fixed.
pub const SIDE: usize = 640;
/// Steps of the detector's three grids, in pixels of its input.
pub const STEPS: [usize; 3] = [8, 16, 32];
/// Boxes that overlap more than this (IoU) are one face: the value of OpenCV's `FaceDetectorYN`.
const NMS_IOU: f32 = 0.3;
/// Most boxes that are looked at: bounds the time on noise.
const MOST_BOXES: usize = 500;

/// A face in a picture, in pixels (x to the right, y down).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Left, top, right, bottom; may reach beyond the picture.
    pub bounds: [f32; 4],
    /// Right eye, left eye, tip of the nose, right and left corner of the mouth; right and left are the person's.
    pub landmarks: [[f32; 2]; 5],
    /// The detector's confidence, 0 to 1.
    pub score: f32,
}

impl Face {
    /// Distance of the eyes in pixels.
    #[must_use]
    pub fn eye_distance(&self) -> f32 {
        let [[ax, ay], [bx, by], ..] = self.landmarks;
        (ax - bx).hypot(ay - by)
    }

    /// Area of the box in pixels.
    #[must_use]
    pub fn area(&self) -> f32 {
        let [left, top, right, bottom] = self.bounds;
        (right - left).max(0.0) * (bottom - top).max(0.0)
    }

    /// The same face where the picture was scaled by `1 / factor` and then shifted by `offset`.
    pub(crate) fn placed(self, factor: f32, offset: [f32; 2]) -> Self {
        let point = |[x, y]: [f32; 2]| [x * factor + offset[0], y * factor + offset[1]];
        let [left, top, right, bottom] = self.bounds;
        let ([left, top], [right, bottom]) = (point([left, top]), point([right, bottom]));
        Self { bounds: [left, top, right, bottom], landmarks: self.landmarks.map(point), score: self.score }
    }
}

/// The four outputs of one grid: class and object confidence, four box numbers and ten of landmarks per cell.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// Confidence that it is a face, per cell.
    pub class: &'a [f32],
    /// Confidence that there is anything, per cell.
    pub object: &'a [f32],
    /// Box, four numbers per cell.
    pub bounds: &'a [f32],
    /// Landmarks, ten numbers per cell.
    pub landmarks: &'a [f32],
}

/// The faces in the detector's outputs for an input of [`SIDE`] by [`SIDE`], in pixels of that input, best first.
///
/// Each cell predicts its box's centre as an offset from the cell and the logarithm of its sides, in steps, and each
/// landmark as an offset; the score is the geometric mean of the two confidences (Wu et al., "YuNet", Machine
/// Intelligence Research 2023, section 3; the same in OpenCV's `FaceDetectorYN`).
#[must_use]
pub fn decode(grids: [Grid<'_>; 3], least_score: f32) -> Vec<Face> {
    let mut found = Vec::new();
    for (grid, step) in grids.iter().zip(STEPS) {
        let columns = SIDE / step;
        let cells = grid.class.iter().zip(grid.object);
        let numbers = grid.bounds.chunks_exact(4).zip(grid.landmarks.chunks_exact(10));
        for (cell, ((class, object), (bounds, landmarks))) in cells.zip(numbers).enumerate() {
            let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            // A confidence that is no number is none.
            if score.is_nan() || score < least_score {
                continue;
            }
            let step = step as f32;
            let corner = [(cell % columns) as f32, (cell / columns) as f32];
            let &[dx, dy, w, h] = bounds else { continue };
            let (cx, cy) = ((corner[0] + dx) * step, (corner[1] + dy) * step);
            let (w, h) = (w.exp() * step, h.exp() * step);
            let bounds = [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0];
            let mut points = [[0.0; 2]; 5];
            for (point, offset) in points.iter_mut().zip(landmarks.chunks_exact(2)) {
                if let &[dx, dy] = offset {
                    *point = [(corner[0] + dx) * step, (corner[1] + dy) * step];
                }
            }
            if bounds.iter().chain(points.iter().flatten()).all(|v| v.is_finite()) {
                found.push(Face { bounds, landmarks: points, score });
            }
        }
    }
    without_doubles(found)
}

/// Of faces that overlap, the one with the best score; best first.
#[must_use]
pub fn without_doubles(mut found: Vec<Face>) -> Vec<Face> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST_BOXES);
    let mut kept: Vec<Face> = Vec::new();
    for face in found {
        if kept.iter().all(|other| overlap(other.bounds, face.bounds).0 <= NMS_IOU) {
            kept.push(face);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty(step: usize) -> [Vec<f32>; 4] {
        let cells = (SIDE / step).pow(2);
        [vec![0.0; cells], vec![0.0; cells], vec![0.0; cells * 4], vec![0.0; cells * 10]]
    }

    fn decoded(outputs: &[[Vec<f32>; 4]; 3], least: f32) -> Vec<Face> {
        let grids = outputs.each_ref().map(|[class, object, bounds, landmarks]| Grid {
            class,
            object,
            bounds,
            landmarks,
        });
        decode(grids, least)
    }

    #[test]
    fn a_cell_gives_its_box_and_landmarks() {
        let mut outputs = STEPS.map(empty);
        let cell = 3 * 40 + 5; // row 3, column 5 of the grid of step 16
        outputs[1][0][cell] = 0.81;
        outputs[1][1][cell] = 1.0;
        outputs[1][2][cell * 4..cell * 4 + 4].copy_from_slice(&[0.5, 0.25, 2.0f32.ln(), 3.0f32.ln()]);
        outputs[1][3][cell * 10..cell * 10 + 4].copy_from_slice(&[-0.5, 0.0, 1.5, 0.0]);
        let faces = decoded(&outputs, 0.5);
        assert_eq!(faces.len(), 1);
        let face = faces[0];
        assert!((face.score - 0.9).abs() < 1e-6);
        // centre (5.5, 3.25) * 16, sides 32 and 48
        let want = [72.0, 28.0, 104.0, 76.0];
        assert!(face.bounds.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-3), "{face:?}");
        assert_eq!(face.landmarks[0], [72.0, 48.0]);
        assert_eq!(face.landmarks[1], [104.0, 48.0]);
        assert!((face.eye_distance() - 32.0).abs() < 1e-4);
        assert!(decoded(&outputs, 0.95).is_empty());
    }

    #[test]
    fn a_face_that_several_cells_see_is_one() {
        let mut outputs = STEPS.map(empty);
        for (cell, score) in [(100, 0.9), (101, 0.95), (140, 0.8)] {
            outputs[2][0][cell] = score;
            outputs[2][1][cell] = score;
            outputs[2][2][cell * 4 + 2] = 2.0;
            outputs[2][2][cell * 4 + 3] = 2.0;
        }
        let faces = decoded(&outputs, 0.5);
        assert_eq!(faces.len(), 1);
        assert!((faces[0].score - 0.95).abs() < 1e-6);
    }

    #[test]
    fn a_face_of_a_part_is_put_back_into_the_picture() {
        let face = Face { bounds: [10.0, 20.0, 30.0, 40.0], landmarks: [[15.0, 25.0]; 5], score: 0.9 };
        let placed = face.placed(2.0, [100.0, 50.0]);
        assert_eq!(placed.bounds, [120.0, 90.0, 160.0, 130.0]);
        assert_eq!(placed.landmarks[4], [130.0, 100.0]);
    }

    proptest! {
        #[test]
        fn no_outputs_panic(values in proptest::collection::vec(prop_oneof![
            -3.0f32..3.0, Just(f32::NAN), Just(f32::INFINITY), Just(1e30)], 0..400)) {
            let grid = Grid { class: &values, object: &values, bounds: &values, landmarks: &values };
            for face in decode([grid; 3], 0.3) {
                prop_assert!(face.bounds.iter().all(|v| v.is_finite()));
                prop_assert!((0.3..=1.0).contains(&face.score));
            }
        }
    }
}
