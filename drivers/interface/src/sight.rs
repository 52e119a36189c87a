//! What recognition is to look for in a camera's pictures, and where.

use crate::{ReadingKind, Seat, View};

/// What a camera is there for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// What is read in its pictures; never empty.
    pub reads: Vec<ReadingKind>,
    /// Which end of the vehicle it sees; `None` where plates are not read.
    pub view: Option<View>,
    /// Countries whose plates are expected, ISO 3166-1 alpha-2; may be empty.
    pub countries: Vec<String>,
    /// Whose faces it sees.
    pub seat: Seat,
    /// The part of the picture that is looked at; `None` is all of it.
    pub region: Option<Area>,
    /// Parts that are blackened before anything is read.
    pub masks: Vec<Area>,
    /// Of the frames in which something moves every so many are read; 1 is all of them.
    pub read_every: u32,
}

/// A part of a picture: points with x and y as fractions of its width and height, from the left and from the top. Two
/// points are opposite corners of an upright rectangle, three and more the corners of a polygon.
#[derive(Clone, Debug, PartialEq)]
pub struct Area(Vec<[f64; 2]>);

impl Area {
    /// Most points of a polygon.
    pub const MOST_POINTS: usize = 32;

    /// The area with these points. The error says what was expected.
    pub fn new(points: Vec<[f64; 2]>) -> Result<Self, String> {
        if !(2..=Self::MOST_POINTS).contains(&points.len()) {
            return Err(format!(
                "expected 2 points (a rectangle) to {} points (a polygon), found {}",
                Self::MOST_POINTS,
                points.len()
            ));
        }
        if let Some(value) = points.iter().flatten().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(format!("expected fractions of the picture, 0 to 1, found {value}"));
        }
        let area = match points.as_slice() {
            &[[ax, ay], [bx, by]] => {
                let (left, right) = (ax.min(bx), ax.max(bx));
                let (top, bottom) = (ay.min(by), ay.max(by));
                Self(vec![[left, top], [right, top], [right, bottom], [left, bottom]])
            }
            _ => Self(points),
        };
        if area.size() < 1e-6 {
            return Err("the points enclose nothing".to_owned());
        }
        Ok(area)
    }

    /// Left, top, right and bottom of the upright rectangle around it, fractions.
    pub fn bounds(&self) -> [f64; 4] {
        self.0.iter().fold([1.0, 1.0, 0.0, 0.0], |[left, top, right, bottom], &[x, y]| {
            [left.min(x), top.min(y), right.max(x), bottom.max(y)]
        })
    }

    /// Where the horizontal line at `y` enters and leaves it, from the left; always an even number.
    pub fn crossings(&self, y: f64) -> Vec<f64> {
        let mut crossings: Vec<f64> = self
            .edges()
            .filter(|([_, ay], [_, by])| (*ay > y) != (*by > y))
            .map(|([ax, ay], [bx, by])| ax + (y - ay) / (by - ay) * (bx - ax))
            .collect();
        crossings.sort_by(f64::total_cmp);
        crossings
    }

    /// Whether the point lies in it (even-odd rule).
    pub fn contains(&self, x: f64, y: f64) -> bool {
        self.crossings(y).iter().filter(|at| **at > x).count() % 2 == 1
    }

    fn edges(&self) -> impl Iterator<Item = (&[f64; 2], &[f64; 2])> {
        self.0.iter().zip(self.0.iter().cycle().skip(1))
    }

    /// Share of the picture (the shoelace formula).
    fn size(&self) -> f64 {
        self.edges().map(|([ax, ay], [bx, by])| ax * by - bx * ay).sum::<f64>().abs() / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_are_a_rectangle_and_more_a_polygon() {
        let rectangle = Area::new(vec![[0.8, 0.9], [0.2, 0.1]]).unwrap();
        assert_eq!(rectangle.bounds(), [0.2, 0.1, 0.8, 0.9]);
        assert!(rectangle.contains(0.3, 0.2) && !rectangle.contains(0.1, 0.2));
        let triangle = Area::new(vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).unwrap();
        assert_eq!(triangle.crossings(0.25), [0.0, 0.75]);
        assert!(triangle.contains(0.4, 0.4) && !triangle.contains(0.6, 0.6));
    }

    #[test]
    fn what_is_no_area_is_refused() {
        for points in [
            vec![],
            vec![[0.5, 0.5]],
            vec![[0.0, 0.0], [1.5, 1.0]],
            vec![[0.0, f64::NAN], [1.0, 1.0]],
            vec![[0.1, 0.1], [0.1, 0.9]],
            vec![[0.5, 0.5]; 33],
        ] {
            assert!(Area::new(points.clone()).is_err(), "{points:?}");
        }
    }
}
