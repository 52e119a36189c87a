//! Where plates can be: boxes from the text finder's map, and the lines that can be made of them and of the plate
//! finder's corners.

use super::Detector;
use super::rectify::{bounds, centre, joined, overlap, padded, rectangle, size};
use crate::{Corners, ModelError};
use opencv::core::{Mat, Point, Vector};
use opencv::imgproc;

/// Text map value that counts as text.
pub(super) const MAP_THRESHOLD: f32 = 0.25;
/// Mean map value a box needs.
pub(super) const BOX_SCORE: f32 = 0.4;
/// The map shows shrunken text: boxes grow by `area * UNCLIP / perimeter` (DBNet, arXiv 1911.08947, section 3.3).
pub(super) const UNCLIP: f32 = 1.6;
/// Least side of a box on the map, in map pixels.
const MIN_SIDE: f32 = 3.0;
/// Most contours that are looked at: bounds the time on noise.
const MAX_CONTOURS: usize = 1000;
/// Most boxes that are kept.
const MAX_BOXES: usize = 40;

/// A found place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Corners in the picture.
    pub corners: Corners,
    /// The finder's confidence, 0 to 1.
    pub score: f32,
}

/// Boxes of the text finder's probability map (`width * height` values), scaled to the picture.
pub(crate) fn text_boxes(
    map: &[f32],
    width: usize,
    height: usize,
    scale: [f32; 2],
) -> Result<Vec<Found>, ModelError> {
    let mask: Vec<u8> = map.iter().map(|&v| if v > MAP_THRESHOLD { 255 } else { 0 }).collect();
    let mask = Mat::new_rows_cols_with_data(height as i32, width as i32, &mask)?;
    let mut contours: Vector<Vector<Point>> = Vector::new();
    imgproc::find_contours_def(&mask, &mut contours, imgproc::RETR_LIST, imgproc::CHAIN_APPROX_SIMPLE)?;
    let mut found = Vec::new();
    for contour in contours.iter().take(MAX_CONTOURS) {
        let rect = imgproc::min_area_rect(&contour)?;
        let (w, h) = (rect.size.width, rect.size.height);
        if w.min(h) < MIN_SIDE {
            continue;
        }
        let middle = [rect.center.x, rect.center.y];
        let score = mean_inside(map, width, height, &rectangle(middle, w, h, rect.angle));
        if score < BOX_SCORE {
            continue;
        }
        let growth = w * h * UNCLIP / (w + h);
        let corners = rectangle(middle, w + growth, h + growth, rect.angle);
        found.push(Found { corners: corners.map(|[x, y]| [x * scale[0], y * scale[1]]), score });
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_BOXES);
    Ok(found)
}

/// Mean of the map over the pixels whose centre lies in the rectangle.
fn mean_inside(map: &[f32], width: usize, height: usize, q: &Corners) -> f32 {
    let [left, top, right, bottom] = bounds(q);
    let clamp = |v: f32, most: usize| v.clamp(0.0, most as f32) as usize;
    let edges: Vec<[f32; 4]> =
        q.iter().zip(q.iter().cycle().skip(1)).map(|(a, b)| [a[0], a[1], b[0] - a[0], b[1] - a[1]]).collect();
    let (mut sum, mut count) = (0.0, 0);
    for y in clamp(top, height)..clamp(bottom.ceil() + 1.0, height) {
        let row = map.get(y * width..(y + 1) * width).unwrap_or_default();
        for x in clamp(left, width)..clamp(right.ceil() + 1.0, width) {
            let inside =
                edges.iter().all(|[ax, ay, dx, dy]| dx * (y as f32 - ay) - dy * (x as f32 - ax) >= -0.5);
            if inside {
                sum += row.get(x).copied().unwrap_or(0.0);
                count += 1;
            }
        }
    }
    sum / count.max(1) as f32
}

/// A crop worth reading: one line, or two lines of one plate.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The lines, from the top.
    pub lines: Vec<Corners>,
    /// Around all of them.
    pub corners: Corners,
    /// The finder's confidence.
    pub score: f32,
    /// Where it came from.
    pub detector: Detector,
}

/// Least and most width by height of a plate's line.
const ASPECT: std::ops::RangeInclusive<f32> = 1.4..=9.5;
/// Least height and width in pixels.
const LEAST: [f32; 2] = [20.0, 7.0];

fn plausible(q: &Corners) -> bool {
    let (w, h) = size(q);
    ASPECT.contains(&(w / h.max(1.0))) && w >= LEAST[0] && h >= LEAST[1]
}

fn single(found: &Found, detector: Detector) -> Candidate {
    Candidate { lines: vec![found.corners], corners: found.corners, score: found.score, detector }
}

/// What the plate finder's corners alone give to read, surest first. They cut into the plate, so they are widened.
#[must_use]
pub fn proposals(plates: &[Found]) -> Vec<Candidate> {
    let wider = |f: &Found| Found { corners: padded(&f.corners, 0.02, 0.06), score: f.score };
    let plates = plates.iter().map(wider).filter(|f| plausible(&f.corners));
    plates.map(|f| single(&f, Detector::Plate)).collect()
}

/// What to read, most promising first, at most `most`.
#[must_use]
pub fn candidates(texts: &[Found], plates: &[Found], most: usize) -> Vec<Candidate> {
    let mut all: Vec<Candidate> =
        texts.iter().filter(|f| plausible(&f.corners)).map(|f| single(f, Detector::Text)).collect();
    all.extend(proposals(plates));
    let mut pairs = Vec::new();
    for (i, a) in texts.iter().enumerate() {
        for b in texts.iter().skip(i + 1) {
            if on_one_line(&a.corners, &b.corners) {
                pairs.push(Found { corners: joined(&a.corners, &b.corners), score: a.score.min(b.score) });
            }
            if let Some(lines) = stacked(&a.corners, &b.corners) {
                let corners = joined(&lines[0], &lines[1]);
                let score = a.score.min(b.score);
                all.push(Candidate { lines: lines.to_vec(), corners, score, detector: Detector::TwoLines });
            }
        }
    }
    let mut joins = pairs.clone();
    for pair in &pairs {
        for f in texts {
            let (_, inside) = overlap(bounds(&pair.corners), bounds(&f.corners));
            if inside < 0.5 && on_one_line(&pair.corners, &f.corners) {
                joins.push(Found {
                    corners: joined(&pair.corners, &f.corners),
                    score: pair.score.min(f.score),
                });
            }
        }
    }
    for f in joins.iter().filter(|f| plausible(&f.corners)) {
        let again = |c: &Candidate| overlap(bounds(&c.corners), bounds(&f.corners)).0 > 0.95;
        if !all.iter().any(again) {
            all.push(single(f, Detector::Joined));
        }
    }
    let backed =
        |c: &Candidate| plates.iter().any(|p| overlap(bounds(&p.corners), bounds(&c.corners)).1 > 0.5);
    let mut ranked: Vec<(f32, Candidate)> = all
        .into_iter()
        .map(|c| {
            let kind = match c.detector {
                Detector::Plate => 1.0,
                Detector::Text => 0.5,
                Detector::Joined => 0.0,
                Detector::TwoLines => -0.5,
            };
            let rank = kind + c.score.max(1e-3).ln() + geometry(&c) + if backed(&c) { 1.5 } else { 0.0 };
            (rank + 0.5 * size(&c.corners).0.max(1.0).ln(), c)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().map(|(_, c)| c).take(most).collect()
}

/// How plausible the form is, in nats, 0 or less.
#[must_use]
pub fn geometry(c: &Candidate) -> f32 {
    let (w, h) = c.lines.first().map_or((1.0, 1.0), size);
    let aspect = w / h.max(1.0);
    let two = c.lines.len() > 1;
    let slim = if two { 0.0 } else { 1.5 * (2.2 - aspect).max(0.0) };
    let long = 0.7 * (aspect - 7.0).max(0.0);
    -(slim + long + 0.15 * (11.0 - h).max(0.0) + if two { 1.0 } else { 0.0 })
}

/// Two boxes that can be parts of one line of text.
fn on_one_line(a: &Corners, b: &Corners) -> bool {
    let ((wa, ha), (wb, hb)) = (size(a), size(b));
    let high = ha.max(hb);
    let axis = if wa >= wb { a } else { b };
    let angle = (axis[1][1] - axis[0][1]).atan2(axis[1][0] - axis[0][0]);
    let (sin, cos) = angle.sin_cos();
    let (ca, cb) = (centre(a), centre(b));
    let (dx, dy) = (cb[0] - ca[0], cb[1] - ca[1]);
    let (along, across) = ((dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs());
    let gap = along - (wa + wb) / 2.0;
    (-0.6 * high..=1.3 * high).contains(&gap)
        && across < 0.5 * high
        && (0.35..=2.9).contains(&(ha / hb.max(1.0)))
}

/// Two boxes that can be the lines of a plate of two lines, the upper one first.
fn stacked(a: &Corners, b: &Corners) -> Option<[Corners; 2]> {
    let (upper, lower) = if centre(a)[1] <= centre(b)[1] { (a, b) } else { (b, a) };
    let ((wu, hu), (wl, hl)) = (size(upper), size(lower));
    let (cu, cl) = (centre(upper), centre(lower));
    let high = (hu + hl) / 2.0;
    let gap = cl[1] - cu[1] - high;
    let fits = (-0.4 * high..=0.6 * high).contains(&gap)
        && (cl[0] - cu[0]).abs() < 0.35 * wu.max(wl)
        && (0.5..=2.0).contains(&(hu / hl.max(1.0)))
        && (0.4..=2.5).contains(&(wu / wl.max(1.0)))
        && (0.8..=3.5).contains(&(wu.max(wl) / (2.0 * high).max(1.0)))
        && hu.min(hl) >= LEAST[1];
    fits.then_some([*upper, *lower])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(x: f32, y: f32, w: f32, h: f32) -> Found {
        Found { corners: rectangle([x, y], w, h, 0.0), score: 0.9 }
    }

    #[test]
    fn a_bar_of_text_is_found_and_grown() {
        let (w, h) = (96, 64);
        let mut map = vec![0.0f32; w * h];
        for y in 20..30 {
            for x in 10..70 {
                map[y * w + x] = 0.9;
            }
        }
        let boxes = text_boxes(&map, w, h, [2.0, 2.0]).unwrap();
        assert_eq!(boxes.len(), 1);
        let (width, height) = size(&boxes[0].corners);
        // 59 x 9 on the map, grown by 59 * 9 * 1.6 / 68 = 12.5, times 2
        assert!((width - 143.0).abs() < 2.0 && (height - 43.0).abs() < 2.0, "{width} {height}");
        assert!((boxes[0].score - 0.9).abs() < 0.05);
        assert!(text_boxes(&vec![0.0; w * h], w, h, [1.0, 1.0]).unwrap().is_empty());
    }

    #[test]
    fn parts_of_a_line_are_joined_and_lines_stacked() {
        let parts = [found(100.0, 50.0, 60.0, 20.0), found(160.0, 50.0, 40.0, 20.0)];
        let got = candidates(&parts, &[], 10);
        let join = got.iter().find(|c| c.detector == Detector::Joined).unwrap();
        assert!((size(&join.corners).0 - 110.0).abs() < 1e-3);
        let lines = [found(100.0, 50.0, 60.0, 20.0), found(100.0, 74.0, 60.0, 20.0)];
        let got = candidates(&lines, &[], 10);
        assert!(got.iter().any(|c| c.detector == Detector::TwoLines && c.lines.len() == 2));
        let far = [found(100.0, 50.0, 60.0, 20.0), found(300.0, 50.0, 60.0, 20.0)];
        assert_eq!(candidates(&far, &[], 10).len(), 2);
        assert_eq!(candidates(&far, &[], 1).len(), 1);
    }

    proptest! {
        #[test]
        fn no_map_and_no_boxes_panic(
            map in proptest::collection::vec(-1.0f32..2.0, 64 * 32),
            places in proptest::collection::vec((-50.0f32..700.0, -50.0f32..500.0, 0.0f32..300.0, 0.0f32..90.0), 0..12),
        ) {
            text_boxes(&map, 64, 32, [3.0, 3.0]).unwrap();
            let places: Vec<Found> = places.iter().map(|&(x, y, w, h)| found(x, y, w, h)).collect();
            let (texts, plates) = places.split_at(places.len() / 2);
            prop_assert!(candidates(texts, plates, 12).len() <= 12);
        }
    }
}
