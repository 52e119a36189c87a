//! Tells frames in which something moves from frames of an empty road.

use std::time::{Duration, Instant};

use interface::Frame;

use super::region::Region;

/// A scene counts as changed when this share of the coarse picture changed by more than [`CHANGE`] grey levels.
const CHANGED_SHARE: f64 = 0.01;
/// Noise of a camera stays below this, grey levels of 255.
const CHANGE: u8 = 12;
/// After a change frames are looked at for this long, so that a vehicle that stops is read while it stands.
const ATTENTION: Duration = Duration::from_millis(1500);
/// The coarse picture.
const COLUMNS: usize = 64;
const ROWS: usize = 36;
/// Pixels per side that are averaged in each cell.
const SAMPLES: usize = 3;

/// What one camera showed lately, inside its region.
#[derive(Debug)]
pub(super) struct Motion {
    /// Which cells are looked at.
    cells: Vec<(usize, usize)>,
    coarse: Vec<u8>,
    attentive_until: Option<Instant>,
}

impl Motion {
    pub fn new(region: &Region) -> Self {
        let all = (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (column, row)));
        let centre = |at: usize, of: usize| (at as f64 + 0.5) / of as f64;
        let mut cells: Vec<_> = all
            .clone()
            .filter(|(column, row)| region.looks_at(centre(*column, COLUMNS), centre(*row, ROWS)))
            .collect();
        if cells.is_empty() {
            // A region smaller than a cell: motion anywhere has to do.
            cells = all.collect();
        }
        Self { cells, coarse: Vec::new(), attentive_until: None }
    }

    /// Whether something moves, or did a moment ago.
    pub fn deserves_a_look(&mut self, frame: &Frame) -> bool {
        let coarse = self.coarse(frame);
        let changed =
            coarse.iter().zip(&self.coarse).filter(|(new, old)| new.abs_diff(**old) > CHANGE).count();
        let first = self.coarse.len() != coarse.len();
        if first || changed as f64 > coarse.len() as f64 * CHANGED_SHARE {
            self.attentive_until = Some(frame.captured + ATTENTION);
        }
        self.coarse = coarse;
        self.attentive_until.is_some_and(|until| frame.captured <= until)
    }

    /// Grey means over a grid of single pixels: cheap, and enough to see motion.
    fn coarse(&self, frame: &Frame) -> Vec<u8> {
        let (width, height) = (frame.width as usize, frame.height as usize);
        let grey = |x: usize, y: usize| {
            let at = (y * width + x) * 3;
            frame
                .bgr
                .get(at..at + 3)
                .map_or(0, |pixel| pixel.iter().map(|value| u32::from(*value)).sum::<u32>() / 3)
        };
        let cell = |&(column, row): &(usize, usize)| {
            let samples = (0..SAMPLES * SAMPLES).map(|sample| {
                let x = (column * SAMPLES + sample % SAMPLES) * width / (COLUMNS * SAMPLES);
                let y = (row * SAMPLES + sample / SAMPLES) * height / (ROWS * SAMPLES);
                grey(x, y)
            });
            u8::try_from(samples.sum::<u32>() / (SAMPLES * SAMPLES) as u32).unwrap_or(u8::MAX)
        };
        self.cells.iter().map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interface::{Area, ReadingKind, Seat, Sight, View};

    fn frame(grey: u8, captured: Instant) -> Frame {
        Frame { width: 128, height: 72, bgr: vec![grey; 128 * 72 * 3], captured, name: None }
    }

    fn region(masks: Vec<Area>) -> Region {
        Region::new(&Sight {
            reads: vec![ReadingKind::Plate],
            view: Some(View::Front),
            countries: Vec::new(),
            seat: Seat::Unknown,
            region: None,
            masks,
            read_every: 1,
        })
    }

    #[test]
    fn an_empty_road_is_passed_over_and_a_change_is_watched_for_a_while() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut motion = Motion::new(&region(Vec::new()));
        assert!(motion.deserves_a_look(&frame(100, at(0))));
        assert!(!motion.deserves_a_look(&frame(103, at(2000))));
        assert!(motion.deserves_a_look(&frame(160, at(2200))));
        assert!(motion.deserves_a_look(&frame(160, at(3600))));
        assert!(!motion.deserves_a_look(&frame(160, at(3900))));
    }

    #[test]
    fn what_moves_under_a_mask_is_not_seen() {
        let start = Instant::now();
        let clock = Area::new(vec![[0.0, 0.0], [0.5, 0.5]]).unwrap();
        let mut masked = Motion::new(&region(vec![clock]));
        let mut open = Motion::new(&region(Vec::new()));
        for (ms, grey) in [(0, 100), (2000, 200)] {
            let mut shown = frame(100, start + Duration::from_millis(ms));
            for row in 0..30 {
                shown.bgr[row * 128 * 3..row * 128 * 3 + 60 * 3].fill(grey);
            }
            assert_eq!(masked.deserves_a_look(&shown), ms == 0);
            assert!(open.deserves_a_look(&shown));
        }
    }
}
