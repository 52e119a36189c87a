//! Pictures for people: boxes drawn into a copy, and crops kept as evidence.

use crate::picture::encode_jpeg;
use crate::plate::{PlateRead, rectify};
use crate::{Corners, ModelError, Picture};
use opencv::core::{Point, Scalar, Vector};
use opencv::imgproc;

/// JPEG quality of annotated copies and evidence crops.
const QUALITY: u8 = 92;

/// A copy of the picture as a JPEG, with a box and the text at each plate: green when certain, orange when not.
///
/// # Errors
/// OpenCV's.
pub fn annotate(picture: &Picture, plates: &[PlateRead]) -> Result<Vec<u8>, ModelError> {
    use opencv::prelude::MatTraitConst;
    let mut copy = picture.mat().try_clone()?;
    let scale = f64::from(picture.width().max(320)) / 900.0;
    let thickness = (2.0 * scale).round().clamp(1.0, 12.0) as i32;
    for plate in plates {
        let colour = if plate.certain {
            Scalar::new(0.0, 180.0, 0.0, 0.0)
        } else {
            Scalar::new(0.0, 140.0, 255.0, 0.0)
        };
        let points: Vector<Point> =
            plate.corners.iter().map(|[x, y]| Point::new(x.round() as i32, y.round() as i32)).collect();
        imgproc::polylines(&mut copy, &points, true, colour, thickness, imgproc::LINE_AA, 0)?;
        let country = plate.country.as_deref().unwrap_or("?");
        let label = format!("{} {country} {:.0}%", plate.text, 100.0 * plate.probability);
        let x = plate.corners.iter().fold(f32::MAX, |a, c| a.min(c[0])).max(0.0);
        let y = plate.corners.iter().fold(f32::MAX, |a, c| a.min(c[1])) - 6.0 * scale as f32;
        let at = Point::new(x as i32, y.max(18.0 * scale as f32) as i32);
        imgproc::put_text(
            &mut copy,
            &label,
            at,
            imgproc::FONT_HERSHEY_SIMPLEX,
            0.7 * scale,
            colour,
            thickness,
            imgproc::LINE_AA,
            false,
        )?;
    }
    encode_jpeg(&copy, QUALITY)
}

/// The plate itself, rectified, with a margin of a tenth of its height, as a JPEG: the evidence kept with a read.
///
/// # Errors
/// The corners are not finite, or OpenCV's.
pub fn crop_jpeg(picture: &Picture, corners: Corners) -> Result<Vec<u8>, ModelError> {
    encode_jpeg(&rectify::evidence(picture.mat(), &corners)?, QUALITY)
}
