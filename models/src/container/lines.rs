//! Which boxes of the text finder, in which order, can be one code. Pure; the order in which the boxes are given does not
//! matter.

use crate::Corners;
use crate::plate::rectify::{bounds, centre, joined, overlap, size};
use serde::Serialize;

/// How the parts of a code stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// On one line.
    Line,
    /// On several lines, one below the other.
    Lines,
    /// One below the other, sign by sign.
    Column,
}

/// Boxes to be read one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Indices of the boxes in the order of reading.
    pub parts: Vec<usize>,
    /// How they stand.
    pub arrangement: Arrangement,
}

/// A box higher than this many times its width holds a column of signs.
const TALL: f32 = 1.7;
/// Most parts of a line: owner, serial number in two groups, check digit.
const LINE_PARTS: usize = 4;
/// Most lines: owner, serial number, check digit.
const MOST_LINES: usize = 3;
/// Most parts of a column: each sign for itself.
const COLUMN_PARTS: usize = 13;

/// Whether the box holds a column of signs rather than a line.
#[must_use]
pub fn is_tall(q: &Corners) -> bool {
    let (w, h) = size(q);
    h > TALL * w
}

/// The least quadrilateral, along the direction of the largest, that holds all of them.
#[must_use]
pub fn around(parts: &[Corners]) -> Option<Corners> {
    let (first, rest) = parts.split_first()?;
    Some(rest.iter().fold(*first, |all, q| joined(&all, q)))
}

/// The sequences that can be a code, at most `most`: short ones before long ones, so that what is left out for the bound
/// is the least likely.
#[must_use]
pub fn sequences(boxes: &[Corners], most: usize) -> Vec<Sequence> {
    // by place, so that the order of the input does not show
    let usable =
        |q: &Corners| q.iter().flatten().all(|v| v.is_finite()) && size(q).0 >= 1.0 && size(q).1 >= 1.0;
    let mut order: Vec<usize> =
        boxes.iter().enumerate().filter(|(_, q)| usable(q)).map(|(index, _)| index).collect();
    let place = |index: usize| boxes.get(index).map(|q| (centre(q), size(q))).unwrap_or_default();
    order.sort_by(|&a, &b| {
        let (((ax, aw), (bx, bw)), ab) = ((place(a), place(b)), a.cmp(&b));
        let key = |c: [f32; 2], s: (f32, f32)| [c[1], c[0], s.0, s.1];
        let pairs = key(ax, aw).into_iter().zip(key(bx, bw));
        pairs.map(|(x, y)| x.total_cmp(&y)).find(|o| o.is_ne()).unwrap_or(ab)
    });
    let boxes: Vec<(usize, &Corners)> = order.iter().filter_map(|&i| boxes.get(i).map(|q| (i, q))).collect();

    let mut found = Vec::new();
    let lines = runs(&boxes);
    found.extend(lines.iter().map(|run| (run.clone(), Arrangement::Line)));
    found.extend(stacks(&boxes, &lines, most).into_iter().map(|parts| (parts, Arrangement::Lines)));
    found.extend(columns(&boxes).into_iter().map(|parts| (parts, Arrangement::Column)));
    found.sort_by_key(|(parts, _)| parts.len());
    found.truncate(most);
    let index = |parts: Vec<usize>| parts.into_iter().filter_map(|p| boxes.get(p).map(|b| b.0)).collect();
    found.into_iter().map(|(parts, arrangement)| Sequence { parts: index(parts), arrangement }).collect()
}

/// Boxes on one line, each with what follows it to the right; every beginning of such a line too.
fn runs(boxes: &[(usize, &Corners)]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for (start, (_, first)) in boxes.iter().enumerate() {
        if is_tall(first) {
            continue;
        }
        let mut run = vec![start];
        let mut last = *first;
        loop {
            found.push(run.clone());
            let next = boxes
                .iter()
                .enumerate()
                .filter(|(i, (_, q))| !run.contains(i) && !is_tall(q))
                .filter_map(|(i, (_, q))| follows(last, q).map(|gap| (gap, i, *q)))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, index, q)) = next.filter(|_| run.len() < LINE_PARTS) else { break };
            run.push(index);
            last = q;
        }
    }
    found
}

/// The gap to `b` if it stands on the line of `a`, to the right of it.
fn follows(a: &Corners, b: &Corners) -> Option<f32> {
    let ((wa, ha), (wb, hb)) = (size(a), size(b));
    let high = ha.max(hb);
    let axis = if wa >= wb { a } else { b };
    let (dx, dy) = (axis[1][0] - axis[0][0], axis[1][1] - axis[0][1]);
    let long = dx.hypot(dy).max(1e-3);
    let (cos, sin) = (dx / long, dy / long);
    let (ca, cb) = (centre(a), centre(b));
    let (x, y) = (cb[0] - ca[0], cb[1] - ca[1]);
    let (along, across) = (x * cos + y * sin, (y * cos - x * sin).abs());
    let gap = along - (wa + wb) / 2.0;
    let fits = along > 0.0
        && (-0.5 * high..=2.5 * high).contains(&gap)
        && across < 0.5 * high
        && (0.4..=2.5).contains(&(ha / hb.max(1.0)));
    fits.then_some(gap)
}

/// Lines below each other, each a run.
fn stacks(boxes: &[(usize, &Corners)], lines: &[Vec<usize>], most: usize) -> Vec<Vec<usize>> {
    let hull = |run: &Vec<usize>| {
        let parts: Vec<Corners> = run.iter().filter_map(|&i| boxes.get(i).map(|b| *b.1)).collect();
        around(&parts)
    };
    let lines: Vec<(&Vec<usize>, Corners)> = lines.iter().filter_map(|run| Some((run, hull(run)?))).collect();
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut open: Vec<(Vec<usize>, Corners)> =
        lines.iter().map(|(run, hull)| ((*run).clone(), *hull)).collect();
    for _ in 1..MOST_LINES {
        let mut longer = Vec::new();
        for (parts, last) in &open {
            for (run, hull) in &lines {
                if longer.len() < most && is_below(last, hull) && !run.iter().any(|i| parts.contains(i)) {
                    let all: Vec<usize> = parts.iter().chain(run.iter()).copied().collect();
                    longer.push((all, *hull));
                }
            }
        }
        found.extend(longer.iter().map(|(parts, _)| parts.clone()));
        open = longer;
    }
    found.sort();
    found.dedup();
    found
}

/// Whether `b` is the line below `a`.
fn is_below(a: &Corners, b: &Corners) -> bool {
    let ((wa, ha), (wb, hb)) = (size(a), size(b));
    let (low, high) = (ha.min(hb).max(1.0), ha.max(hb));
    if high > 2.0 * low {
        return false;
    }
    let (ca, cb) = (centre(a), centre(b));
    let down = cb[1] - ca[1];
    let ([la, _, ra, _], [lb, _, rb, _]) = (bounds(a), bounds(b));
    let shared = ra.min(rb) - la.max(lb);
    (0.6 * high..=2.2 * high).contains(&down) && shared > 0.4 * wa.min(wb)
}

/// Boxes below each other that are, or hold, single signs.
fn columns(boxes: &[(usize, &Corners)]) -> Vec<Vec<usize>> {
    let narrow = |q: &Corners| {
        let (w, h) = size(q);
        w < 1.5 * h
    };
    let mut found = Vec::new();
    for (start, (_, first)) in boxes.iter().enumerate() {
        if !narrow(first) {
            continue;
        }
        let mut run = vec![start];
        let mut last = *first;
        let mut tall = is_tall(first);
        loop {
            // a column of one box must be tall; of several, two at least, which are more likely signs than a line's ends
            if tall || run.len() > 2 {
                found.push(run.clone());
            }
            let next = boxes
                .iter()
                .enumerate()
                .filter(|(i, (_, q))| !run.contains(i) && narrow(q))
                .filter_map(|(i, (_, q))| hangs_below(last, q).map(|gap| (gap, i, *q)))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, index, q)) = next.filter(|_| run.len() < COLUMN_PARTS) else { break };
            run.push(index);
            last = q;
            tall |= is_tall(q);
        }
    }
    found
}

/// The gap to `b` if it stands in the column of `a`, below it.
fn hangs_below(a: &Corners, b: &Corners) -> Option<f32> {
    let ([la, ta, ra, ba], [lb, tb, rb, bb]) = (bounds(a), bounds(b));
    let ((wa, _), (wb, _)) = (size(a), size(b));
    let (thin, wide) = (wa.min(wb).max(1.0), wa.max(wb));
    let shared = ra.min(rb) - la.max(lb);
    let gap = tb - ba;
    let fits = wide < 2.5 * thin
        && shared > 0.4 * thin
        && (ta + ba) < (tb + bb)
        && (-0.6 * wide..=3.5 * wide).contains(&gap);
    fits.then_some(gap)
}

/// Where the signs of a column begin and end, from how much stands in each row: rows of a strip whose signs are about
/// `width` wide, `ink` 0 for an empty row and 1 for a full one. Signs are 0.8 to 2.4 times as high as wide and about
/// equally high.
#[must_use]
pub fn cells(ink: &[f32], width: f32) -> Vec<(usize, usize)> {
    let sum: Vec<f32> = std::iter::once(0.0)
        .chain(ink.iter().scan(0.0, |sum, v| {
            *sum += if v.is_finite() { v.clamp(0.0, 1.0) } else { 0.0 } - LEVEL;
            Some(*sum)
        }))
        .collect();
    let mut best: (f32, Vec<(usize, usize)>) = (f32::MIN, Vec::new());
    for step in 0..9 {
        let high = width * (0.8 + 0.2 * step as f32);
        let (score, found) = cut(&sum, high);
        // of two equally good cuts the one with fewer, larger signs
        if score > best.0 {
            best = (score, found);
        }
    }
    best.1
}

/// Ink that separates a row of a sign from a row between signs.
const LEVEL: f32 = 0.3;
/// What a sign must gain to be one, in rows.
const SIGN_PRICE: f32 = 0.12;

/// The best places of signs about `high` rows high in rows whose ink above the level sums up to `sum`.
#[allow(clippy::indexing_slicing, reason = "tables of one length, indices below it")]
fn cut(sum: &[f32], high: f32) -> (f32, Vec<(usize, usize)>) {
    let rows = sum.len().saturating_sub(1);
    let least = ((0.75 * high).round() as usize).max(2);
    let most = ((1.25 * high).round() as usize).max(least);
    // best score of the rows before r, and the height of the sign that ends there, 0 for an empty row
    let mut score = vec![0.0f32; rows + 1];
    let mut last = vec![0usize; rows + 1];
    for row in 1..=rows {
        // an empty row gains what it lacks in ink
        let mut best = (score[row - 1] - (sum[row] - sum[row - 1]), 0);
        for height in least..=most.min(row) {
            let start = row - height;
            // a row must be free before the next sign
            let before = if start == 0 { 0.0 } else { score[start - 1] - (sum[start] - sum[start - 1]) };
            let odd = (height as f32 / high - 1.0).abs();
            let gain = sum[row] - sum[start] - (SIGN_PRICE + 0.2 * odd) * high;
            if before + gain > best.0 {
                best = (before + gain, height);
            }
        }
        (score[row], last[row]) = best;
    }
    let mut found = Vec::new();
    let mut row = rows;
    while row > 0 {
        let height = last[row];
        if height == 0 {
            row -= 1;
        } else {
            found.push((row - height, row));
            row = (row - height).saturating_sub(1);
        }
    }
    found.reverse();
    (score[rows], found)
}

/// The share of the smaller upright box that both have in common.
#[must_use]
pub fn shared(a: &Corners, b: &Corners) -> f32 {
    overlap(bounds(a), bounds(b)).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::rectify::rectangle;
    use proptest::prelude::*;

    fn boxed(x: f32, y: f32, w: f32, h: f32) -> Corners {
        rectangle([x + w / 2.0, y + h / 2.0], w, h, 0.0)
    }

    fn has(found: &[Sequence], parts: &[usize], arrangement: Arrangement) -> bool {
        found.iter().any(|s| s.parts == parts && s.arrangement == arrangement)
    }

    #[test]
    fn parts_on_a_line_and_a_check_digit_apart_are_joined() {
        let boxes =
            [boxed(100.0, 50.0, 90.0, 30.0), boxed(210.0, 50.0, 140.0, 30.0), boxed(400.0, 48.0, 30.0, 34.0)];
        let found = sequences(&boxes, 100);
        assert!(has(&found, &[0, 1, 2], Arrangement::Line) && has(&found, &[0, 1], Arrangement::Line));
        let far = [boxes[0], boxed(600.0, 50.0, 140.0, 30.0)];
        assert!(!has(&sequences(&far, 100), &[0, 1], Arrangement::Line));
    }

    #[test]
    fn lines_are_stacked() {
        let boxes = [
            boxed(100.0, 50.0, 90.0, 30.0),
            boxed(100.0, 90.0, 140.0, 30.0),
            boxed(250.0, 90.0, 30.0, 34.0),
            boxed(100.0, 130.0, 90.0, 30.0),
        ];
        let found = sequences(&boxes, 100);
        assert!(has(&found, &[0, 1, 2], Arrangement::Lines), "{found:?}");
        assert!(has(&found, &[0, 1, 2, 3], Arrangement::Lines));
    }

    #[test]
    fn columns_of_signs_are_found_whole_or_sign_by_sign() {
        let whole = [boxed(100.0, 50.0, 30.0, 400.0), boxed(98.0, 470.0, 34.0, 40.0)];
        let found = sequences(&whole, 100);
        assert!(has(&found, &[0], Arrangement::Column) && has(&found, &[0, 1], Arrangement::Column));
        let signs: Vec<Corners> = (0..11).map(|i| boxed(100.0, 40.0 * i as f32, 24.0, 30.0)).collect();
        let all: Vec<usize> = (0..11).collect();
        assert!(has(&sequences(&signs, 200), &all, Arrangement::Column));
    }

    #[test]
    fn a_column_is_cut_between_its_signs() {
        // 11 signs of 28 rows, 8 rows between them, 20 more after the fourth; a stroke is thin in the middle of a sign
        let mut ink = vec![0.05; 4];
        let mut want = Vec::new();
        for i in 0..11 {
            want.push((ink.len(), ink.len() + 28));
            ink.extend((0..28).map(|r| if (10..18).contains(&r) { 0.35 } else { 0.8 }));
            ink.extend(vec![0.05; if i == 3 { 28 } else { 8 }]);
        }
        let got = cells(&ink, 20.0);
        assert_eq!(got.len(), 11, "{got:?}");
        for (g, w) in got.iter().zip(&want) {
            assert!(g.0.abs_diff(w.0) <= 2 && g.1.abs_diff(w.1) <= 2, "{got:?} {want:?}");
        }
        assert!(cells(&[], 20.0).is_empty() && cells(&[0.0; 300], 20.0).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_of_the_boxes_does_not_matter(
            places in proptest::collection::vec((0u16..400, 0u16..300, 8u16..200, 8u16..90), 0..10),
            turn in 0usize..10,
        ) {
            let boxes: Vec<Corners> =
                places.iter().map(|&(x, y, w, h)| boxed(x.into(), y.into(), w.into(), h.into())).collect();
            let mut turned = boxes.clone();
            turned.rotate_left(turn.min(boxes.len()));
            turned.reverse();
            let corners = |boxes: &[Corners], most| {
                let found = sequences(boxes, most);
                assert!(found.len() <= most);
                found
                    .into_iter()
                    .map(|s| (s.arrangement, s.parts.iter().map(|&i| boxes[i]).collect::<Vec<_>>()))
                    .collect::<Vec<_>>()
            };
            prop_assert_eq!(corners(&boxes, 400), corners(&turned, 400));
        }

        #[test]
        fn no_boxes_and_no_ink_panic(
            values in proptest::collection::vec(proptest::num::f32::ANY, 0..120), width in -10.0f32..100.0,
        ) {
            let boxes: Vec<Corners> = values
                .chunks_exact(8)
                .map(|c| [[c[0], c[1]], [c[2], c[3]], [c[4], c[5]], [c[6], c[7]]])
                .collect();
            for s in sequences(&boxes, 50) {
                prop_assert!(!s.parts.is_empty() && s.parts.iter().all(|&i| i < boxes.len()));
            }
            let found = cells(&values, width);
            prop_assert!(found.windows(2).all(|w| w[0].1 < w[1].0 + 1));
            prop_assert!(found.iter().all(|c| c.0 < c.1 && c.1 <= values.len()));
        }
    }
}
