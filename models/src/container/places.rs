//! Where a code's parts are, and where more of it may be.

use super::lines::Arrangement;
use crate::plate::rectify::{bounds, centre, size};
use crate::{Corners, Picture};
use opencv::core::Rect;

/// Long side of a close-up, how much it may be enlarged, and the height its text should get, in pixels.
const CLOSE_SIDE: f32 = 640.0;
pub(super) const CLOSE_ENLARGE: f32 = 4.0;
const CLOSE_TEXT: f32 = 36.0;

/// Whether the middle of `q` lies in `other`'s upright box.
pub(super) fn inside(q: &Corners, other: &Corners) -> bool {
    let [x, y] = centre(q);
    let [left, top, right, bottom] = bounds(other);
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

/// Whether two fragments are near enough for one close-up.
pub(super) fn close(a: &Corners, b: &Corners) -> bool {
    let (ca, cb) = (centre(a), centre(b));
    let high = size(a).1.min(size(a).0).max(size(b).1.min(size(b).0));
    (ca[0] - cb[0]).abs() < 8.0 * high && (ca[1] - cb[1]).abs() < 3.0 * high
}

/// The region around a place, and the long side that gives its text a good height.
pub(super) fn close_up(picture: &Picture, place: &Corners) -> Option<(Rect, f32)> {
    let [left, top, right, bottom] = bounds(place);
    let (w, h) = (right - left, bottom - top);
    let thin = w.min(h).max(4.0);
    let (mx, my) =
        if h > w { (3.0 * thin, 4.0 * thin) } else { ((8.0 * thin - 0.3 * w).max(3.0 * thin), 4.0 * thin) };
    let limit = |v: f32, most: u32| v.round().clamp(0.0, most as f32) as i32;
    let (x0, x1) = (limit(left - mx, picture.width()), limit(right + mx, picture.width()));
    let (y0, y1) = (limit(top - my, picture.height()), limit(bottom + my, picture.height()));
    let region = Rect::new(x0, y0, x1 - x0, y1 - y0);
    let long = region.width.max(region.height) as f32;
    let side = (long * (CLOSE_TEXT / thin).clamp(1.0, CLOSE_ENLARGE)).min(CLOSE_SIDE);
    (region.width >= 16 && region.height >= 16).then_some((region, side))
}

/// Whether the region's left or right edge, where it is not the picture's, cuts this text.
pub(super) fn cut_off(q: &Corners, region: Rect, picture: &Picture) -> bool {
    let [left, _, right, _] = bounds(q);
    let near = 0.3 * size(q).1;
    let (begin, end) = (region.x, region.x + region.width);
    (begin > 0 && left - near <= begin as f32)
        || (end < picture.width().cast_signed() && right + near >= end as f32)
}

/// The part of a code, longer at its end by this many heights of a sign.
pub(super) fn extended(q: &Corners, arrangement: Arrangement, signs: f32) -> Corners {
    let (w, h) = size(q);
    let [tl, tr, br, bl] = *q;
    let more = |a: [f32; 2], b: [f32; 2], by: f32| {
        let long = (b[0] - a[0]).hypot(b[1] - a[1]).max(1.0);
        [b[0] + (b[0] - a[0]) * by / long, b[1] + (b[1] - a[1]) * by / long]
    };
    if arrangement == Arrangement::Column && h > w {
        let by = signs * w;
        [tl, tr, more(tr, br, by), more(tl, bl, by)]
    } else {
        let by = signs * h;
        [tl, more(tl, tr, by), more(bl, br, by), bl]
    }
}

/// How far a size and type code is from the code it may belong to; none if it stands elsewhere.
pub(super) fn beside(code: &Corners, q: &Corners, arrangement: Arrangement) -> Option<f32> {
    let ([left, top, right, bottom], [l, t, r, b]) = (bounds(code), bounds(q));
    let thin = size(q).1.min(size(q).0).max(1.0);
    let (dx, dy) = ((l - right).max(left - r).max(0.0), (t - bottom).max(top - b).max(0.0));
    let above = b < top + 0.3 * thin && arrangement != Arrangement::Column;
    (!above && dx <= 4.0 * thin && dy <= 3.0 * thin).then_some(dx.hypot(dy))
}

/// A column, turned to the left: its top becomes the left end.
pub(super) fn turned(q: &Corners) -> Corners {
    let [tl, tr, br, bl] = *q;
    [tr, br, bl, tl]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::rectify::rectangle;

    #[test]
    fn a_text_at_the_edge_of_a_close_up_is_cut_off_unless_the_picture_ends_there() {
        let picture = Picture::from_bgr(300, 100, &vec![0; 300 * 100 * 3]).unwrap();
        let text = |middle: f32| rectangle([middle, 50.0], 20.0, 10.0, 0.0);
        let region = Rect::new(100, 0, 100, 100);
        assert!(cut_off(&text(190.0), region, &picture) && cut_off(&text(110.0), region, &picture));
        assert!(!cut_off(&text(150.0), region, &picture) && !cut_off(&text(180.0), region, &picture));
        let whole = Rect::new(0, 0, 300, 100);
        assert!(!cut_off(&text(290.0), whole, &picture) && !cut_off(&text(10.0), whole, &picture));
    }
}
