//! The part of a camera's picture that is looked at, and the parts that are blackened.

use interface::{Area, Frame, Sight};
use models::{ModelError, Picture};

/// Region and masks of one camera.
#[derive(Clone, Debug)]
pub(super) struct Region {
    region: Option<Area>,
    masks: Vec<Area>,
}

impl Region {
    pub fn new(sight: &Sight) -> Self {
        Self { region: sight.region.clone(), masks: sight.masks.clone() }
    }

    /// Whether the point (fractions of the picture) is looked at.
    pub fn looks_at(&self, x: f64, y: f64) -> bool {
        self.region.as_ref().is_none_or(|region| region.contains(x, y))
            && !self.masks.iter().any(|mask| mask.contains(x, y))
    }

    /// The picture as recognition sees it: the rectangle around the region, with everything outside of the region and
    /// everything under a mask black.
    pub fn cut(&self, frame: &Frame) -> Result<Picture, ModelError> {
        if self.region.is_none() && self.masks.is_empty() {
            return Picture::from_bgr(frame.width, frame.height, &frame.bgr);
        }
        let (width, height) = (frame.width as usize, frame.height as usize);
        let [left, top, right, bottom] = self.region.as_ref().map_or([0.0, 0.0, 1.0, 1.0], Area::bounds);
        // Fractions of a side: between 0 and the side.
        let at = |fraction: f64, side: usize| (fraction * side as f64).round() as usize;
        let (first, end) = (at(left, width), at(right, width).max(at(left, width) + 1).min(width));
        let rows = at(top, height)..at(bottom, height).max(at(top, height) + 1).min(height);
        let mut pixels = Vec::with_capacity(end.saturating_sub(first) * rows.len() * 3);
        for row in rows.clone() {
            let y = (row as f64 + 0.5) / height as f64;
            let mut line = frame
                .bgr
                .get((row * width + first) * 3..(row * width + end) * 3)
                .unwrap_or_default()
                .to_vec();
            if let Some(region) = &self.region {
                let mut outside = 0;
                for (begin, stop) in spans(region, y, width) {
                    blacken(&mut line, outside, begin, first);
                    outside = stop;
                }
                blacken(&mut line, outside, width, first);
            }
            for mask in &self.masks {
                for (begin, stop) in spans(mask, y, width) {
                    blacken(&mut line, begin, stop, first);
                }
            }
            pixels.extend_from_slice(&line);
        }
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(0);
        Picture::from_bgr(side(end.saturating_sub(first)), side(rows.len()), &pixels)
    }
}

/// The pixels of a row whose centres lie in `area`, as begins and ends, from the left.
fn spans(area: &Area, y: f64, width: usize) -> Vec<(usize, usize)> {
    let pixel = |x: f64| (x * width as f64 - 0.5).ceil().max(0.0) as usize;
    let crossings = area.crossings(y);
    crossings.chunks_exact(2).filter_map(|pair| Some((pixel(*pair.first()?), pixel(*pair.last()?)))).collect()
}

/// Blackens the pixels from `begin` to `end` (of the whole picture) in a line that starts at pixel `first`.
fn blacken(line: &mut [u8], begin: usize, end: usize, first: usize) {
    let length = line.len();
    let at = |pixel: usize| (pixel.saturating_sub(first) * 3).min(length);
    if let Some(part) = line.get_mut(at(begin)..at(end).max(at(begin))) {
        part.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Ten by ten pixels; blue is the column, green the row, red 200.
    fn frame() -> Frame {
        let bgr = (0..100u8).flat_map(|at| [at % 10, at / 10, 200]).collect();
        Frame { width: 10, height: 10, bgr, captured: Instant::now(), name: None }
    }

    fn area(points: &[[f64; 2]]) -> Area {
        Area::new(points.to_vec()).unwrap()
    }

    fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
        let at = ((y * picture.width() + x) * 3) as usize;
        picture.bgr().unwrap()[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn a_mask_is_black_in_what_is_read_and_the_rest_is_untouched() {
        let region = Region { region: None, masks: vec![area(&[[0.0, 0.0], [0.3, 0.2]])] };
        let picture = region.cut(&frame()).unwrap();
        assert_eq!((picture.width(), picture.height()), (10, 10));
        for (x, y) in (0..10).flat_map(|x| (0..10).map(move |y| (x, y))) {
            let black = x < 3 && y < 2;
            let want = if black { [0; 3] } else { [x as u8, y as u8, 200] };
            assert_eq!(pixel(&picture, x, y), want, "{x} {y}");
            assert_eq!(region.looks_at((f64::from(x) + 0.5) / 10.0, (f64::from(y) + 0.5) / 10.0), !black);
        }
    }

    #[test]
    fn only_the_region_is_read() {
        let region = Region { region: Some(area(&[[0.5, 0.2], [1.0, 0.6]])), masks: Vec::new() };
        let picture = region.cut(&frame()).unwrap();
        assert_eq!((picture.width(), picture.height()), (5, 4));
        assert_eq!(pixel(&picture, 0, 0), [5, 2, 200]);
        assert_eq!(pixel(&picture, 4, 3), [9, 5, 200]);
    }

    #[test]
    fn what_lies_beside_a_polygon_is_black() {
        let masks = vec![area(&[[0.2, 0.0], [0.4, 1.0]])];
        let region = Region { region: Some(area(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), masks };
        let picture = region.cut(&frame()).unwrap();
        assert_eq!((picture.width(), picture.height()), (10, 10));
        assert_eq!(pixel(&picture, 1, 1), [1, 1, 200]);
        assert_eq!(pixel(&picture, 8, 8), [0; 3]);
        assert_eq!(pixel(&picture, 3, 1), [0; 3]);
        assert!(region.looks_at(0.1, 0.1) && !region.looks_at(0.9, 0.9) && !region.looks_at(0.3, 0.1));
    }

    #[test]
    fn a_region_smaller_than_a_pixel_and_a_frame_of_wrong_size_do_no_harm() {
        let region = Region { region: Some(area(&[[0.98, 0.98], [1.0, 1.0]])), masks: Vec::new() };
        let _ = region.cut(&frame());
        let region = Region { region: Some(area(&[[0.0, 0.0], [0.5, 1.0]])), masks: Vec::new() };
        assert!(region.cut(&Frame { height: 12, ..frame() }).is_err());
        assert!(region.cut(&Frame { width: 0, height: 0, ..frame() }).is_err());
    }
}
