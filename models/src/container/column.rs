//! A column of upright signs, cut apart and laid side by side so that the text reader can read it as a line.

use super::lines::cells;
use crate::plate::rectify::{MAX_READ_WIDTH, READ_HEIGHT, size, warp};
use crate::{Corners, ModelError};
use opencv::core::{Mat, MatTraitConst, Rect, Size, Vector};
use opencv::imgproc;
use opencv::prelude::MatTraitConstManual;

/// Width of the rectified column in pixels.
const WIDTH: i32 = 40;
/// Longest rectified column: 14 signs, twice as high as wide, with their gaps.
const MOST_HEIGHT: f32 = 1400.0;
/// The text finder's boxes are this much wider than the signs.
const SIGN_WIDTH: f32 = 0.62;
/// Part of a sign's height that is added above and below it.
const ROOM: f32 = 0.14;
/// Fewest and most signs of a column that is read.
const SIGNS: std::ops::RangeInclusive<usize> = 3..=16;

/// The signs of the column in `q`, side by side in a strip of height 48, with the number of signs; none if it does not
/// fall into signs.
pub(super) fn side_by_side(picture: &Mat, q: &Corners) -> Result<Option<(Mat, usize)>, ModelError> {
    let (w, h) = size(q);
    let height = (WIDTH as f32 * h / w.max(1.0)).round();
    if !(1.5 * WIDTH as f32..=MOST_HEIGHT).contains(&height) {
        return Ok(None);
    }
    let column = warp(picture, q, WIDTH, height as i32, imgproc::INTER_CUBIC)?;
    let found = cells(&ink(&column)?, WIDTH as f32 * SIGN_WIDTH);
    if !SIGNS.contains(&found.len()) {
        return Ok(None);
    }
    let mut parts: Vector<Mat> = Vector::new();
    let most = MAX_READ_WIDTH / i32::try_from(found.len()).unwrap_or(1).max(1);
    for (from, to) in &found {
        let room = ((to - from) as f32 * ROOM).round() as i32;
        let top = (*from as i32 - room).max(0);
        let bottom = (*to as i32 + room).min(column.rows());
        let part = Mat::roi(&column, Rect::new(0, top, WIDTH, bottom - top))?.try_clone()?;
        let wide = (WIDTH * READ_HEIGHT / (bottom - top).max(1)).clamp(8, most.max(8));
        let mut scaled = Mat::default();
        imgproc::resize(&part, &mut scaled, Size::new(wide, READ_HEIGHT), 0.0, 0.0, imgproc::INTER_AREA)?;
        parts.push(scaled);
    }
    let mut strip = Mat::default();
    opencv::core::hconcat(&parts, &mut strip)?;
    Ok(Some((strip, found.len())))
}

/// How much of each row differs from the wall: grey value against the median of the same column of pixels nearby (a
/// corrugated wall is of one grey from top to bottom), 0 to 1.
fn ink(column: &Mat) -> Result<Vec<f32>, ModelError> {
    let mut grey = Mat::default();
    imgproc::cvt_color_def(column, &mut grey, imgproc::COLOR_BGR2GRAY)?;
    let width = grey.cols().unsigned_abs() as usize;
    let rows: Vec<&[u8]> = grey.data_bytes()?.chunks_exact(width.max(1)).collect();
    // rows whose median stands for the wall: some three signs up and down
    let reach = 4 * width;
    let mut ink = Vec::with_capacity(rows.len());
    for y in 0..rows.len() {
        let near = rows.get(y.saturating_sub(reach)..(y + reach).min(rows.len())).unwrap_or_default();
        let row = rows.get(y).copied().unwrap_or_default();
        let mut sum = 0.0;
        // the outer eighths are the next thing's
        for x in width / 8..width - width / 8 {
            let mut wall: Vec<u8> = near.iter().step_by(5).filter_map(|r| r.get(x).copied()).collect();
            wall.sort_unstable();
            let median = wall.get(wall.len() / 2).copied().unwrap_or(0);
            sum += f32::from(row.get(x).copied().unwrap_or(0).abs_diff(median));
        }
        ink.push(sum);
    }
    let mut sorted = ink.clone();
    sorted.sort_by(f32::total_cmp);
    let at = |part: f32| sorted.get((sorted.len() as f32 * part) as usize).copied().unwrap_or(0.0);
    let (low, high) = (at(0.08), at(0.8));
    Ok(ink.iter().map(|v| ((v - low) / (high - low).max(1.0)).clamp(0.0, 1.0)).collect())
}
