//! Turning and scaling a face so that its five landmarks stand where the template model expects them.

use super::detect::Face;
use crate::ModelError;
use opencv::core::{BORDER_CONSTANT, Mat, Scalar, Size};
use opencv::imgproc;

/// Side of an aligned face in pixels: the template model's input.
pub const SIDE: usize = 112;
/// Where the landmarks of an aligned face stand: the five points of the ArcFace alignment (Deng et al., 2019) with
/// which the template model was trained, as in OpenCV's `FaceRecognizerSF`.
pub const TARGET: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];
/// The similarity transform (turn, scale, shift) that brings `points` closest to [`TARGET`] in the least-squares
/// sense, as rows `[a, -b, x], [b, a, y]`; `None` where all points are one.
///
/// For points in the plane the solution of Umeyama (IEEE PAMI 13(4), 1991) is a quotient of complex numbers: with both
/// sets centred, `a + ib = sum(conj(p) q) / sum(|p|^2)`. A mirror image is never made.
#[must_use]
pub fn similarity(points: &[[f32; 2]; 5]) -> Option<[[f64; 3]; 2]> {
    let mean = |set: &[[f32; 2]; 5]| {
        let sum = set.iter().fold([0.0, 0.0], |s, p| [s[0] + f64::from(p[0]), s[1] + f64::from(p[1])]);
        [sum[0] / 5.0, sum[1] / 5.0]
    };
    let (from, to) = (mean(points), mean(&TARGET));
    let (mut real, mut imaginary, mut spread) = (0.0, 0.0, 0.0);
    for (p, q) in points.iter().zip(&TARGET) {
        let (px, py) = (f64::from(p[0]) - from[0], f64::from(p[1]) - from[1]);
        let (qx, qy) = (f64::from(q[0]) - to[0], f64::from(q[1]) - to[1]);
        real += px * qx + py * qy;
        imaginary += px * qy - py * qx;
        spread += px * px + py * py;
    }
    let (a, b) = (real / spread, imaginary / spread);
    if !(a.is_finite() && b.is_finite()) || a.hypot(b) < 1e-6 {
        return None;
    }
    Some([[a, -b, to[0] - a * from[0] + b * from[1]], [b, a, to[1] - b * from[0] - a * from[1]]])
}

/// The face, aligned: [`SIDE`] by [`SIDE`] pixels; what lies outside of the picture is black.
pub(crate) fn aligned(picture: &Mat, face: &Face) -> Result<Option<Mat>, ModelError> {
    let Some(rows) = similarity(&face.landmarks) else { return Ok(None) };
    let values: Vec<f64> = rows.concat();
    let matrix = Mat::new_rows_cols_with_data(2, 3, &values)?;
    let mut out = Mat::default();
    let size = Size::new(SIDE as i32, SIDE as i32);
    // Bilinear, as the model's own tools do it: a smoother reduction of large faces gives other templates.
    imgproc::warp_affine(
        picture,
        &mut out,
        &matrix,
        size,
        imgproc::INTER_LINEAR,
        BORDER_CONSTANT,
        Scalar::default(),
    )?;
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(rows: &[[f64; 3]; 2], [x, y]: [f32; 2]) -> [f64; 2] {
        rows.map(|[a, b, c]| a * f64::from(x) + b * f64::from(y) + c)
    }

    #[test]
    fn points_that_are_one_have_no_alignment() {
        assert!(similarity(&[[3.0, 4.0]; 5]).is_none());
        assert!(similarity(&[[f32::NAN; 2]; 5]).is_none());
    }

    #[test]
    fn a_mirrored_face_is_not_mirrored_back() {
        let mirrored = TARGET.map(|[x, y]| [112.0 - x, y]);
        let [[a, b, _], [c, d, _]] = similarity(&mirrored).unwrap();
        assert!(a * d - b * c > 0.0);
    }

    proptest! {
        #[test]
        fn a_turned_scaled_and_shifted_face_comes_back(
            angle in -3.1f32..3.1, scale in 0.1f32..20.0, x in -500.0f32..2000.0, y in -500.0f32..2000.0,
        ) {
            let (sin, cos) = angle.sin_cos();
            let moved = TARGET.map(|[px, py]| {
                [scale * (px * cos - py * sin) + x, scale * (px * sin + py * cos) + y]
            });
            let rows = similarity(&moved).unwrap();
            for (point, want) in moved.iter().zip(TARGET) {
                let got = through(&rows, *point);
                prop_assert!((got[0] - f64::from(want[0])).abs() < 0.05, "{got:?} {want:?}");
                prop_assert!((got[1] - f64::from(want[1])).abs() < 0.05, "{got:?} {want:?}");
            }
        }
    }
}
