//! Geometry of quadrilaterals, and the warp of one to a straight strip.

use crate::{Corners, ModelError};
use opencv::core::{BORDER_CONSTANT, BORDER_REPLICATE, Mat, MatTraitConst, Point2f, Scalar, Size};
use opencv::imgproc;

/// Height of the text reader's input in pixels.
pub const READ_HEIGHT: i32 = 48;
/// Widest crop that is read; longer ones are squeezed.
pub const MAX_READ_WIDTH: i32 = 480;

/// Distance of two points.
fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Mean width and height of a quadrilateral.
#[must_use]
pub fn size(q: &Corners) -> (f32, f32) {
    let [tl, tr, br, bl] = *q;
    ((distance(tl, tr) + distance(bl, br)) / 2.0, (distance(tl, bl) + distance(tr, br)) / 2.0)
}

/// Centre of the corners.
#[must_use]
pub fn centre(q: &Corners) -> [f32; 2] {
    let sum = q.iter().fold([0.0, 0.0], |s, c| [s[0] + c[0], s[1] + c[1]]);
    [sum[0] / 4.0, sum[1] / 4.0]
}

/// Upright box around the corners: left, top, right, bottom.
#[must_use]
pub fn bounds(q: &Corners) -> [f32; 4] {
    q.iter().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |b, c| {
        [b[0].min(c[0]), b[1].min(c[1]), b[2].max(c[0]), b[3].max(c[1])]
    })
}

/// Overlap of two upright boxes: shared area by the area of both (IoU), and by the smaller one.
#[must_use]
pub fn overlap(a: [f32; 4], b: [f32; 4]) -> (f32, f32) {
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let (a, b) = (area(a), area(b));
    (shared / (a + b - shared).max(1.0), shared / a.min(b).max(1.0))
}

/// Grows the quadrilateral by these parts of its width (at each end) and of its height (above and below).
#[must_use]
pub fn padded(q: &Corners, across: f32, along: f32) -> Corners {
    let [tl, tr, br, bl] = *q;
    let at = |u: f32, v: f32| {
        let mix = |i: usize| {
            let (a, b, c, d) = match i {
                0 => (tl[0], tr[0], br[0], bl[0]),
                _ => (tl[1], tr[1], br[1], bl[1]),
            };
            (1.0 - v) * ((1.0 - u) * a + u * b) + v * ((1.0 - u) * d + u * c)
        };
        [mix(0), mix(1)]
    };
    [at(-across, -along), at(1.0 + across, -along), at(1.0 + across, 1.0 + along), at(-across, 1.0 + along)]
}

/// Corners of a rectangle by centre, size and angle in degrees, ordered so that its text runs within 45 degrees of
/// the horizontal.
#[must_use]
pub fn rectangle(centre: [f32; 2], width: f32, height: f32, angle: f32) -> Corners {
    let (mut w, mut h, mut a) = (width, height, angle.rem_euclid(180.0));
    if a > 90.0 {
        a -= 180.0;
    }
    if a > 45.0 {
        (w, h, a) = (h, w, a - 90.0);
    } else if a < -45.0 {
        (w, h, a) = (h, w, a + 90.0);
    }
    let (sin, cos) = a.to_radians().sin_cos();
    let at = |x: f32, y: f32| [centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos];
    [at(-w / 2.0, -h / 2.0), at(w / 2.0, -h / 2.0), at(w / 2.0, h / 2.0), at(-w / 2.0, h / 2.0)]
}

/// The same line and height with upright sides; none if it slopes less than `least` degrees or too much for that.
#[must_use]
pub fn upright(q: &Corners, least: f32) -> Option<Corners> {
    let [tl, tr, br, bl] = *q;
    let middle = |a: [f32; 2], b: [f32; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
    let (left, right) = (middle(tl, bl), middle(tr, br));
    let slope = (right[1] - left[1]).atan2(right[0] - left[0]);
    if !(least..40.0).contains(&slope.abs().to_degrees()) {
        return None;
    }
    let half = size(q).1 / 2.0 / slope.cos();
    let at = |p: [f32; 2], y: f32| [p[0], p[1] + y];
    Some([at(left, -half), at(right, -half), at(right, half), at(left, half)])
}

/// The least rectangle that holds `a` and `b` along the direction of the longer one.
#[must_use]
pub fn joined(a: &Corners, b: &Corners) -> Corners {
    let longer = if size(a).0 >= size(b).0 { a } else { b };
    let angle = (longer[1][1] - longer[0][1]).atan2(longer[1][0] - longer[0][0]);
    let (sin, cos) = angle.sin_cos();
    let mut box_ = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    for [x, y] in a.iter().chain(b) {
        let (u, v) = (x * cos + y * sin, y * cos - x * sin);
        box_ = [box_[0].min(u), box_[1].min(v), box_[2].max(u), box_[3].max(v)];
    }
    let back = |u: f32, v: f32| [u * cos - v * sin, u * sin + v * cos];
    [back(box_[0], box_[1]), back(box_[2], box_[1]), back(box_[2], box_[3]), back(box_[0], box_[3])]
}

/// Warps the quadrilateral to a strip of height 48 and its natural width times `stretch`.
pub(crate) fn strip(picture: &Mat, q: &Corners, stretch: f32) -> Result<Mat, ModelError> {
    strip_of(picture, q, stretch, READ_HEIGHT, MAX_READ_WIDTH)
}

/// Warps the quadrilateral to a strip of this height and its natural width times `stretch`.
pub(crate) fn strip_of(
    picture: &Mat,
    q: &Corners,
    stretch: f32,
    height: i32,
    widest: i32,
) -> Result<Mat, ModelError> {
    let (w, h) = size(q);
    let width = (height as f32 * stretch * w / h.max(1.0)).round().clamp(16.0, widest as f32) as i32;
    // A plate much larger than the strip is warped to twice the size first, then averaged down: no aliasing.
    let double = h > 2.0 * height as f32;
    let factor = if double { 2 } else { 1 };
    let warped = warp(picture, q, width * factor, height * factor, imgproc::INTER_CUBIC)?;
    if !double {
        return Ok(warped);
    }
    let mut small = Mat::default();
    imgproc::resize(&warped, &mut small, Size::new(width, height), 0.0, 0.0, imgproc::INTER_AREA)?;
    Ok(small)
}

/// The plate with a margin, at its own size, between 16 and 1024 pixels wide.
pub(crate) fn evidence(picture: &Mat, q: &Corners) -> Result<Mat, ModelError> {
    let (w, h) = size(q);
    let margin = 0.1 * h / w.max(1.0);
    let q = padded(q, margin, 0.1);
    let (w, h) = size(&q);
    let scale = (1024.0 / w.max(1.0)).min(1.0);
    let side = |v: f32| (v * scale).round().clamp(16.0, 1024.0) as i32;
    warp(picture, &q, side(w), side(h), imgproc::INTER_LINEAR)
}

/// Warps the quadrilateral to a picture of this size.
pub(crate) fn warp(
    picture: &Mat,
    q: &Corners,
    width: i32,
    height: i32,
    interpolation: i32,
) -> Result<Mat, ModelError> {
    let limit = 4.0 * picture.cols().max(picture.rows()) as f32;
    if !q.iter().flatten().all(|v| v.is_finite() && v.abs() <= limit) {
        return Err(ModelError::Picture(format!("corners {q:?} lie far outside the picture")));
    }
    let point = |c: [f32; 2]| Point2f::new(c[0], c[1]);
    let (w, h) = (width as f32, height as f32);
    let source = [point(q[0]), point(q[1]), point(q[2]), point(q[3])];
    let target = [point([0.0, 0.0]), point([w, 0.0]), point([w, h]), point([0.0, h])];
    let matrix = imgproc::get_perspective_transform_slice(source, target, opencv::core::DECOMP_LU)?;
    let mut out = Mat::default();
    let inside = q.iter().all(|c| {
        c[0] >= 0.0 && c[1] >= 0.0 && c[0] <= picture.cols() as f32 && c[1] <= picture.rows() as f32
    });
    let border = if inside { BORDER_CONSTANT } else { BORDER_REPLICATE };
    imgproc::warp_perspective(
        picture,
        &mut out,
        &matrix,
        Size::new(width, height),
        interpolation,
        border,
        Scalar::default(),
    )?;
    Ok(out)
}

/// Pixels as planes (all blue, all green, all red), `(value - mean) * scale`, each row padded right with 0 to
/// `padded_width`, rows added below to `padded_height`: the layout of all three models.
pub(crate) fn planes(
    mat: &Mat,
    padded_width: usize,
    padded_height: usize,
    mean: [f32; 3],
    scale: f32,
) -> Result<Vec<f32>, ModelError> {
    use opencv::prelude::MatTraitConstManual;
    let plane = padded_width * padded_height;
    let mut out = vec![0.0; 3 * plane];
    let columns = mat.cols().unsigned_abs() as usize;
    let pixels = mat.data_bytes()?;
    let (blue, others) = out.split_at_mut(plane);
    let (green, red) = others.split_at_mut(plane);
    let width = padded_width.max(1);
    let targets =
        blue.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(red.chunks_exact_mut(width));
    for (row, ((blue, green), red)) in pixels.chunks_exact((columns * 3).max(1)).zip(targets) {
        for (pixel, ((b, g), r)) in row.chunks_exact(3).zip(blue.iter_mut().zip(green).zip(red)) {
            if let [x, y, z] = *pixel {
                (*b, *g, *r) = (
                    (f32::from(x) - mean[0]) * scale,
                    (f32::from(y) - mean[1]) * scale,
                    (f32::from(z) - mean[2]) * scale,
                );
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_ordered_as_read() {
        for (w, h, angle) in [(40.0, 10.0, 0.0), (10.0, 40.0, 90.0), (40.0, 10.0, 180.0), (10.0, 40.0, -90.0)]
        {
            let [tl, tr, br, bl] = rectangle([100.0, 50.0], w, h, angle);
            for (got, want) in
                [(tl, [80.0, 45.0]), (tr, [120.0, 45.0]), (br, [120.0, 55.0]), (bl, [80.0, 55.0])]
            {
                assert!(distance(got, want) < 1e-3, "{w} {h} {angle}: {got:?} {want:?}");
            }
        }
        let tilted = rectangle([0.0, 0.0], 40.0, 10.0, 30.0);
        assert!(tilted[1][1] > tilted[0][1] && size(&tilted).0 > 39.0);
    }

    #[test]
    fn sloping_lines_get_upright_sides() {
        let [tl, tr, br, bl] = upright(&rectangle([100.0, 50.0], 80.0, 20.0, 10.0), 3.0).unwrap();
        assert!((tl[0] - bl[0]).abs() < 1e-3 && (tr[0] - br[0]).abs() < 1e-3);
        // as high across the line as before
        assert!(((bl[1] - tl[1]) * 10f32.to_radians().cos() - 20.0).abs() < 1e-2);
        assert!(((tr[1] - tl[1]) / (tr[0] - tl[0]) - 10f32.to_radians().tan()).abs() < 1e-3);
        assert_eq!(upright(&rectangle([100.0, 50.0], 80.0, 20.0, 2.0), 3.0), None);
        assert_eq!(upright(&[[f32::NAN; 2]; 4], 3.0), None);
    }

    #[test]
    fn joining_and_padding() {
        let a = rectangle([10.0, 10.0], 20.0, 10.0, 0.0);
        let b = rectangle([40.0, 10.0], 20.0, 10.0, 0.0);
        let (w, h) = size(&joined(&a, &b));
        assert!((w - 50.0).abs() < 1e-3 && (h - 10.0).abs() < 1e-3);
        let (w, h) = size(&padded(&a, 0.1, 0.5));
        assert!((w - 24.0).abs() < 1e-3 && (h - 20.0).abs() < 1e-3);
        assert_eq!(overlap(bounds(&a), bounds(&b)), (0.0, 0.0));
        assert_eq!(overlap(bounds(&a), bounds(&a)), (1.0, 1.0));
    }

    #[test]
    fn a_warp_takes_what_lies_inside() {
        let mut pixels = vec![0u8; 100 * 60 * 3];
        for y in 20..40 {
            for x in 10..90 {
                pixels[(y * 100 + x) * 3 + 2] = 255;
            }
        }
        let picture = crate::Picture::from_bgr(100, 60, &pixels).unwrap();
        let q = [[10.0, 20.0], [90.0, 20.0], [90.0, 40.0], [10.0, 40.0]];
        let mat = strip(picture.mat(), &q, 1.0).unwrap();
        assert_eq!((mat.cols(), mat.rows()), (192, 48));
        let values = planes(&mat, 320, 48, [127.5; 3], 1.0 / 127.5).unwrap();
        assert_eq!(values.len(), 3 * 320 * 48);
        assert!((values[2 * 320 * 48 + 320 * 24 + 96] - 1.0).abs() < 0.02, "red inside");
        assert!(values[2 * 320 * 48 + 320 * 24 + 300].abs() < 1e-6, "padding is 0");
        assert!(strip(picture.mat(), &[[f32::NAN; 2]; 4], 1.0).is_err());
        assert!(strip(picture.mat(), &[[1e9; 2]; 4], 1.0).is_err());
        // a degenerate quadrilateral gives something or an error, never a crash
        let _ = strip(picture.mat(), &[[5.0, 5.0]; 4], 1.0);
    }
}
