//! Plates from the maps of the corner finder `plate-corners` (trained in `models/training`): per cell of 8 x 8 pixels the
//! chance that a plate's centre lies in it, and the plate's four corners.

use super::detect::Found;
use super::rectify::size;
use crate::{Corners, ModelError};
use opencv::core::{Mat, Point2f, Vector};
use opencv::imgproc;

/// Name in the manifest.
pub const NAME: &str = "plate-corners";
/// Long side of the input in pixels; the sides are multiples of 32.
pub const LONG_SIDE: usize = 640;
/// Side of a cell in pixels of the input.
pub const STRIDE: usize = 8;
/// Chance that a plate needs (models/training/README.md, "Thresholds").
pub const SCORE: f32 = 0.3;
/// Plates that overlap more than this (shared area by the area of both) are one.
pub(super) const NMS_IOU: f32 = 0.3;
/// Most peaks that are looked at: bounds the time on noise.
const MAX_PEAKS: usize = 200;
/// Most plates that are kept.
const MAX_PLATES: usize = 40;
/// Least width and height in pixels of the input: below, nothing can be read.
const LEAST: [f32; 2] = [12.0, 4.0];

/// An output as ONNX Runtime gives it: its shape, and its values in row-major order.
pub type Output<'a> = (&'a [i64], &'a [f32]);

/// The plates in the outputs `score`, f32[1,1,H/8,W/8], and `corners`, f32[1,8,H/8,W/8] (x, y of top left, top right,
/// bottom right and bottom left from the cell's centre, in cells), best first, at most 40. `input` is width and height
/// of the network's input, `scale` takes a point of the input to the picture.
///
/// # Errors
/// [`ModelError::ModelShape`]: an output has another shape, or another number of values than its shape says.
pub fn plates(
    score: Output<'_>,
    corners: Output<'_>,
    input: [usize; 2],
    scale: [f32; 2],
    threshold: f32,
) -> Result<Vec<Found>, ModelError> {
    let [columns, rows] = input.map(|side| side / STRIDE);
    expect("score", score, [1, rows, columns])?;
    expect("corners", corners, [8, rows, columns])?;
    let (score, corners) = (score.1, corners.1);
    let at = |x: usize, y: usize| score.get(y * columns + x).copied().unwrap_or(0.0);
    let mut found: Vec<Found> = Vec::new();
    for (cell, &value) in score.iter().enumerate() {
        if value.is_nan() || value < threshold {
            continue;
        }
        let (x, y) = (cell % columns, cell / columns);
        let around = (y.saturating_sub(1)..(y + 2).min(rows))
            .flat_map(|j| (x.saturating_sub(1)..(x + 2).min(columns)).map(move |i| (i, j)));
        if around.into_iter().any(|(i, j)| at(i, j) > value) {
            continue;
        }
        let middle = [x as f32 + 0.5, y as f32 + 0.5];
        let mut quad: Corners = [[0.0; 2]; 4];
        for (k, coordinate) in quad.iter_mut().flatten().enumerate() {
            let offset = corners.get(k * rows * columns + cell).copied().unwrap_or(f32::NAN);
            *coordinate = (middle.get(k % 2).copied().unwrap_or(0.0) + offset) * STRIDE as f32;
        }
        if is_plate(&quad) {
            found.push(Found { corners: quad, score: value.min(1.0) });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_PEAKS);
    let mut kept: Vec<Found> = Vec::new();
    for place in found {
        let mut again = false;
        for other in &kept {
            again |= shared(&place.corners, &other.corners)? > NMS_IOU;
        }
        if !again {
            kept.push(place);
        }
    }
    kept.truncate(MAX_PLATES);
    for place in &mut kept {
        place.corners = place.corners.map(|[x, y]| [x * scale[0], y * scale[1]]);
    }
    Ok(kept)
}

fn expect(name: &str, output: Output<'_>, want: [usize; 3]) -> Result<(), ModelError> {
    let [channels, rows, columns] = want;
    let fits = output.0.iter().copied().eq([1, channels as i64, rows as i64, columns as i64]);
    if fits && output.1.len() == channels * rows * columns {
        return Ok(());
    }
    Err(ModelError::ModelShape {
        name: NAME.into(),
        reason: format!(
            "expected {name} f32[1,{channels},{rows},{columns}], got {:?} with {} values",
            output.0,
            output.1.len()
        ),
    })
}

/// Finite, convex, turning from the top left to the right as a plate that is read does, and not too small.
fn is_plate(q: &Corners) -> bool {
    if !q.iter().flatten().all(|v| v.is_finite() && v.abs() < 1e5) {
        return false;
    }
    let [a, b, c, d] = *q;
    let turn =
        |p: [f32; 2], q: [f32; 2], r: [f32; 2]| (q[0] - p[0]) * (r[1] - q[1]) - (q[1] - p[1]) * (r[0] - q[0]);
    let convex = [turn(a, b, c), turn(b, c, d), turn(c, d, a), turn(d, a, b)].iter().all(|&t| t > 0.0);
    let (width, height) = size(q);
    convex && width >= LEAST[0] && height >= LEAST[1]
}

/// Area that two convex quadrilaterals share, by the area of both (IoU).
fn shared(a: &Corners, b: &Corners) -> Result<f32, ModelError> {
    let points = |q: &Corners| Vector::<Point2f>::from_iter(q.iter().map(|&[x, y]| Point2f::new(x, y)));
    let (first, second) = (points(a), points(b));
    let both = imgproc::intersect_convex_convex_def(&first, &second, &mut Mat::default())?;
    let all = imgproc::contour_area_def(&first)? + imgproc::contour_area_def(&second)?;
    Ok(both / (all as f32 - both).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Cells of a map of 10 x 6.
    const COLUMNS: usize = 10;
    const ROWS: usize = 6;
    const INPUT: [usize; 2] = [COLUMNS * STRIDE, ROWS * STRIDE];

    struct Maps {
        score: Vec<f32>,
        corners: Vec<f32>,
    }

    impl Maps {
        fn empty() -> Self {
            Self { score: vec![0.0; COLUMNS * ROWS], corners: vec![0.0; 8 * COLUMNS * ROWS] }
        }

        /// A plate at a cell; its corners in pixels.
        fn with(mut self, cell: [usize; 2], score: f32, quad: Corners) -> Self {
            let index = cell[1] * COLUMNS + cell[0];
            self.score[index] = score;
            for (k, v) in quad.iter().flatten().enumerate() {
                self.corners[k * COLUMNS * ROWS + index] = v / 8.0 - (cell[k % 2] as f32 + 0.5);
            }
            self
        }

        fn plates(&self, scale: [f32; 2]) -> Vec<Found> {
            let (rows, columns) = (ROWS as i64, COLUMNS as i64);
            plates(
                (&[1, 1, rows, columns], &self.score),
                (&[1, 8, rows, columns], &self.corners),
                INPUT,
                scale,
                0.3,
            )
            .unwrap()
        }
    }

    fn quad(x: f32, y: f32, w: f32, h: f32) -> Corners {
        [[x, y], [x + w, y + 2.0], [x + w, y + h + 2.0], [x, y + h]]
    }

    #[test]
    fn a_peak_gives_its_corners_in_the_picture() {
        let maps = Maps::empty().with([3, 2], 0.8, quad(10.0, 14.0, 36.0, 10.0));
        let got = maps.plates([2.0, 3.0]);
        assert_eq!(got.len(), 1);
        assert!((got[0].score - 0.8).abs() < 1e-6);
        let want = [[20.0, 42.0], [92.0, 48.0], [92.0, 78.0], [20.0, 72.0]];
        for (g, w) in got[0].corners.iter().flatten().zip(want.iter().flatten()) {
            assert!((g - w).abs() < 1e-3, "{got:?}");
        }
        assert!(Maps::empty().with([3, 2], 0.29, quad(10.0, 14.0, 36.0, 10.0)).plates([1.0; 2]).is_empty());
    }

    #[test]
    fn one_plate_is_found_once_and_neighbours_both() {
        let one = quad(10.0, 14.0, 36.0, 10.0);
        let twice = Maps::empty().with([2, 2], 0.6, one).with([4, 2], 0.9, quad(12.0, 14.0, 36.0, 10.0));
        let got = twice.plates([1.0; 2]);
        assert_eq!(got.iter().map(|f| f.score).collect::<Vec<_>>(), [0.9]);
        let two = Maps::empty().with([2, 1], 0.6, one).with([2, 4], 0.9, quad(10.0, 28.0, 36.0, 10.0));
        assert_eq!(two.plates([1.0; 2]).iter().map(|f| f.score).collect::<Vec<_>>(), [0.9, 0.6]);
    }

    #[test]
    fn quads_that_nobody_can_read_are_dropped() {
        let plate = quad(10.0, 14.0, 36.0, 10.0);
        let mirrored = [plate[1], plate[0], plate[3], plate[2]];
        let crossed = [plate[0], plate[2], plate[1], plate[3]];
        let tiny = quad(10.0, 14.0, 8.0, 3.0);
        let unknown = [[f32::NAN; 2]; 4];
        for wrong in [mirrored, crossed, tiny, unknown] {
            assert!(Maps::empty().with([3, 2], 0.9, wrong).plates([1.0; 2]).is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let maps = Maps::empty();
        let (rows, columns) = (ROWS as i64, COLUMNS as i64);
        let (score, corners) = ([1, 1, rows, columns], [1, 8, rows, columns]);
        let wrong = [
            ((&[1, 1, rows, columns + 1][..], &maps.score[..]), (&corners[..], &maps.corners[..])),
            ((&score[..], &maps.score[1..]), (&corners[..], &maps.corners[..])),
            ((&score[..], &maps.score[..]), (&[1, 4, rows, columns][..], &maps.corners[..])),
            ((&score[..], &maps.score[..]), (&[8, rows, columns][..], &maps.corners[..])),
        ];
        for (score, corners) in wrong {
            let error = plates(score, corners, INPUT, [1.0; 2], 0.3).unwrap_err();
            assert!(matches!(error, ModelError::ModelShape { .. }), "{error}");
            assert!(error.to_string().contains("plate-corners"), "{error}");
        }
    }

    /// Corners as drawn in `tests/vectors/plate_scene.jpg`.
    const DRAWN: [Corners; 2] = [
        [[31.9, 362.9], [197.1, 300.9], [210.2, 335.7], [45.2, 398.0]],
        [[356.5, 127.3], [493.6, 166.3], [486.1, 208.0], [350.1, 165.5]],
    ];

    #[test]
    fn the_committed_weights_find_rendered_plates() {
        use crate::plate::rectify::planes;
        let Some(mut session) = crate::fixtures::committed("plate-corners.onnx") else { return };
        let picture = crate::fixtures::plate_scene();
        let (width, height) = (640, 480);
        let pixels = planes(picture.mat(), width, height, [127.5; 3], 1.0 / 127.5).unwrap();
        let input =
            ort::value::TensorRef::from_array_view(([1, 3, height, width], pixels.as_slice())).unwrap();
        let outputs = session.run(ort::inputs![input]).unwrap();
        let score = outputs["score"].try_extract_tensor::<f32>().unwrap();
        let corners = outputs["corners"].try_extract_tensor::<f32>().unwrap();
        let found =
            plates((score.0, score.1), (corners.0, corners.1), [width, height], [1.0; 2], SCORE).unwrap();
        for drawn in DRAWN {
            let best = found.iter().take(2).map(|f| shared(&f.corners, &drawn).unwrap()).fold(0.0, f32::max);
            assert!(best > 0.6, "{drawn:?}: {best} of {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_map_panics_and_plates_differ(
            score in proptest::collection::vec(-0.5f32..1.5, COLUMNS * ROWS),
            corners in proptest::collection::vec(prop_oneof![8 => -9.0f32..9.0, 1 => Just(f32::INFINITY), 1 => Just(f32::NAN)], 8 * COLUMNS * ROWS),
        ) {
            let got = Maps { score, corners }.plates([1.0; 2]);
            prop_assert!(got.len() <= MAX_PLATES);
            prop_assert!(got.windows(2).all(|w| w[0].score >= w[1].score));
            for (i, a) in got.iter().enumerate() {
                for b in &got[i + 1..] {
                    prop_assert!(shared(&a.corners, &b.corners).unwrap() <= NMS_IOU);
                }
            }
        }
    }
}
