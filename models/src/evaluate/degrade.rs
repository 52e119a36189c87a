//! Labelled pictures made worse, the same way each time: how recognition does on what is rare in a set. No stand-in for
//! photographs taken at night or from afar, but what is called certain there and is wrong would be so on those too.

use super::labels::LabelledPicture;
use crate::plate::rectify::bounds;
use crate::{Corners, ModelError, Picture};
use opencv::core::{BORDER_CONSTANT, Mat, Point, Point2f, Scalar, Size};
use opencv::imgproc;
use std::str::FromStr;

/// Ways to make a picture worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degrade {
    /// A third of the light with the noise of a sensor at its limit, and two lamps beside the plate that dazzle.
    Night,
    /// Moved while the shutter was open by a twentieth of a plate's width: 2.6 cm of 52, as at 10 m/s and 1/400 s.
    Blur,
    /// The plate is 70 pixels wide, in a picture of 1280 by 960.
    Far,
    /// Turned by 10 to 15 degrees and seen from the side: a quarter narrower, one end lower than the other.
    Oblique,
    /// A JPEG file of quality 30.
    Jpeg,
    /// Streaks of rain before the plate, a wet and pale picture.
    Rain,
}

impl Degrade {
    /// All, with their names on the command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("night", Self::Night),
        ("blur", Self::Blur),
        ("far", Self::Far),
        ("oblique", Self::Oblique),
        ("jpeg", Self::Jpeg),
        ("rain", Self::Rain),
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Degrade {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, one)| *one).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("expected {}, got `{text}`", names.join(", "))
        })
    }
}

/// A plate's part of the picture's width where nobody wrote down its box (as in photographs of a car from the front).
const USUAL_WIDTH: f32 = 0.15;
/// Part of the light at night, and the noise in levels of 256 (standard deviation).
const LIGHT: f32 = 0.35;
const NOISE: f32 = 9.0;
/// Way that a plate moves while the shutter is open, by its width.
const MOVED: f32 = 0.05;
/// Width of a far plate in pixels, and the picture it is in.
const FAR_WIDTH: f32 = 70.0;
const FAR_PICTURE: [i32; 2] = [1280, 960];
/// Turn of an oblique picture in degrees, least and most.
const TURN: [f32; 2] = [10.0, 15.0];
/// Width seen from the side, and height of the end that is farther, by those seen from the front.
const NARROWED: f32 = 0.75;
const LOWERED: f32 = 0.88;
/// Quality of the JPEG file.
const QUALITY: u8 = 30;
/// Grey round what does not fill the picture.
const ROUND: f64 = 96.0;

/// The picture made worse, and its labels with their places moved along. The same file name gives the same picture.
///
/// # Errors
/// OpenCV's.
pub fn degraded(
    picture: &Picture,
    labels: &LabelledPicture,
    how: Degrade,
) -> Result<(Picture, LabelledPicture), ModelError> {
    let mut chance = Chance::new(&labels.file);
    let plate = plate_of(picture, labels);
    let width = plate[2] - plate[0];
    let same = |picture| (picture, labels.clone());
    match how {
        Degrade::Night => {
            let lamp = |end: f32| Lamp {
                at: [plate[0] + end * width, (plate[1] + plate[3]) / 2.0],
                spread: 0.35 * width,
            };
            let lamps = [lamp(-0.6), lamp(1.6)];
            let lit = |x: f32, y: f32, light: f32, noise: f32| {
                light * LIGHT + NOISE * noise + lamps.iter().map(|lamp| lamp.light(x, y)).sum::<f32>()
            };
            each_level(picture, &mut chance, lit).map(same)
        }
        Degrade::Blur => {
            let angle = chance.between(-15.0, 15.0);
            moved(picture.mat(), (MOVED * width).max(2.0), angle).map(|mat| same(Picture::from_mat(mat)))
        }
        Degrade::Far => {
            let scale = (FAR_WIDTH / width).min(1.0);
            let [wide, high] = FAR_PICTURE;
            let scale =
                scale.min(wide as f32 / picture.width() as f32).min(high as f32 / picture.height() as f32);
            let at = [
                (wide as f32 - scale * picture.width() as f32) / 2.0,
                (high as f32 - scale * picture.height() as f32) / 2.0,
            ];
            far(picture, labels, scale, at)
        }
        Degrade::Oblique => oblique(picture, labels, &mut chance),
        Degrade::Jpeg => Ok(same(Picture::decode(&picture.jpeg(QUALITY)?)?)),
        Degrade::Rain => rain(picture, &mut chance, width).map(same),
    }
}

/// The widest labelled plate's box, or one of the usual width in the middle.
fn plate_of(picture: &Picture, labels: &LabelledPicture) -> [f32; 4] {
    let places = labels.labels.iter().filter_map(|label| label.place);
    let widest = places.max_by(|a, b| (a[2] - a[0]).total_cmp(&(b[2] - b[0])));
    widest.filter(|place| place[2] - place[0] >= 1.0).unwrap_or_else(|| {
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let half = USUAL_WIDTH * w / 2.0;
        [w / 2.0 - half, 0.6 * h - half / 4.0, w / 2.0 + half, 0.6 * h + half / 4.0]
    })
}

/// A lamp that dazzles: bright where it is, a veil further off.
struct Lamp {
    at: [f32; 2],
    spread: f32,
}

impl Lamp {
    fn light(&self, x: f32, y: f32) -> f32 {
        let far = (x - self.at[0]).hypot(y - self.at[1]) / self.spread.max(1.0);
        400.0 * (-far * far / 0.5).exp() + 60.0 / (1.0 + far * far)
    }
}

/// Every value of the picture anew from its place, itself and a noise of standard deviation 1.
fn each_level(
    picture: &Picture,
    chance: &mut Chance,
    level: impl Fn(f32, f32, f32, f32) -> f32,
) -> Result<Picture, ModelError> {
    let row = 3 * picture.width().max(1) as usize;
    let mut values = Vec::with_capacity(picture.bgr()?.len());
    for (index, value) in picture.bgr()?.iter().enumerate() {
        let (x, y) = ((index % row / 3) as f32, (index / row) as f32);
        values.push(level(x, y, f32::from(*value), chance.noise()).round().clamp(0.0, 255.0) as u8);
    }
    Picture::from_bgr(picture.width(), picture.height(), &values)
}

/// Averaged along a way of so many pixels.
fn moved(mat: &Mat, way: f32, angle: f32) -> Result<Mat, ModelError> {
    let half = (way / 2.0).ceil() as i32;
    let side = 2 * half + 1;
    let (sin, cos) = angle.to_radians().sin_cos();
    let steps = 8 * side;
    let mut kernel = vec![0.0f32; (side * side).unsigned_abs() as usize];
    for step in 0..=steps {
        let along = way * (step as f32 / steps as f32 - 0.5);
        let (x, y) = ((along * cos).round() as i32 + half, (along * sin).round() as i32 + half);
        if let Some(weight) = kernel.get_mut((y * side + x).unsigned_abs() as usize) {
            *weight += 1.0 / (steps + 1) as f32;
        }
    }
    let kernel = Mat::new_rows_cols_with_data(side, side, &kernel)?;
    let mut out = Mat::default();
    imgproc::filter_2d_def(mat, &mut out, -1, &kernel)?;
    Ok(out)
}

/// The picture at this scale and place in one of [`FAR_PICTURE`].
fn far(
    picture: &Picture,
    labels: &LabelledPicture,
    scale: f32,
    at: [f32; 2],
) -> Result<(Picture, LabelledPicture), ModelError> {
    // averaged down first: a warp alone would skip pixels
    let side = |v: u32| ((v as f32 * scale).round() as i32).max(1);
    let mut small = Mat::default();
    let size = Size::new(side(picture.width()), side(picture.height()));
    imgproc::resize(picture.mat(), &mut small, size, 0.0, 0.0, imgproc::INTER_AREA)?;
    let (w, h) = (size.width as f32, size.height as f32);
    let [x, y] = at;
    let to = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]];
    let out = spread(&small, to, FAR_PICTURE)?;
    let place = |[l, t, r, b]: [f32; 4]| [l * scale + x, t * scale + y, r * scale + x, b * scale + y];
    Ok((Picture::from_mat(out), with_places(labels, place)))
}

/// Turned, and seen from the side, as large as fits.
fn oblique(
    picture: &Picture,
    labels: &LabelledPicture,
    chance: &mut Chance,
) -> Result<(Picture, LabelledPicture), ModelError> {
    let side = if chance.between(0.0, 1.0) < 0.5 { -1.0 } else { 1.0 };
    let (sin, cos) = (side * chance.between(TURN[0], TURN[1])).to_radians().sin_cos();
    let (w, h) = (picture.width() as f32, picture.height() as f32);
    let near_left = chance.between(0.0, 1.0) < 0.5;
    let (left, right) = if near_left { (1.0, LOWERED) } else { (LOWERED, 1.0) };
    let half = NARROWED * w / 2.0;
    let flat = [
        [-half, -left * h / 2.0],
        [half, -right * h / 2.0],
        [half, right * h / 2.0],
        [-half, left * h / 2.0],
    ];
    let turned = flat.map(|[x, y]| [x * cos - y * sin, x * sin + y * cos]);
    let [l, t, r, b] = bounds(&turned);
    let fit = (w / (r - l)).min(h / (b - t));
    let middle = [(l + r) / 2.0, (t + b) / 2.0];
    let to = turned.map(|[x, y]| [(x - middle[0]) * fit + w / 2.0, (y - middle[1]) * fit + h / 2.0]);
    let out = spread(picture.mat(), to, [picture.width().cast_signed(), picture.height().cast_signed()])?;
    let matrix = perspective(w, h, to)?;
    let place = |[l, t, r, b]: [f32; 4]| {
        bounds(&[[l, t], [r, t], [r, b], [l, b]].map(|corner| through(&matrix, corner)))
    };
    Ok((Picture::from_mat(out), with_places(labels, place)))
}

/// The pixels with their corners at `to` in a grey picture of this size.
fn spread(mat: &Mat, to: Corners, [width, height]: [i32; 2]) -> Result<Mat, ModelError> {
    use opencv::core::MatTraitConst;
    let matrix = transform(mat.cols() as f32, mat.rows() as f32, to)?;
    let mut out = Mat::default();
    imgproc::warp_perspective(
        mat,
        &mut out,
        &matrix,
        Size::new(width, height),
        imgproc::INTER_LINEAR,
        BORDER_CONSTANT,
        Scalar::all(ROUND),
    )?;
    Ok(out)
}

/// The perspective that takes the corners of a picture of this size to `to`.
fn transform(w: f32, h: f32, to: Corners) -> Result<Mat, ModelError> {
    let points = |q: Corners| q.map(|[x, y]| Point2f::new(x, y));
    let from = points([[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]);
    Ok(imgproc::get_perspective_transform_slice(from, points(to), opencv::core::DECOMP_LU)?)
}

/// The same as numbers, row by row.
fn perspective(w: f32, h: f32, to: Corners) -> Result<Vec<f64>, ModelError> {
    use opencv::prelude::MatTraitConstManual;
    Ok(transform(w, h, to)?.data_typed::<f64>()?.to_vec())
}

/// Where a point goes.
fn through(matrix: &[f64], [x, y]: [f32; 2]) -> [f32; 2] {
    let row = |row: &[f64]| match *row {
        [a, b, c] => a * f64::from(x) + b * f64::from(y) + c,
        _ => f64::NAN,
    };
    let mut rows = matrix.chunks_exact(3).map(row);
    let mut next = || rows.next().unwrap_or(f64::NAN);
    let (u, v, one) = (next(), next(), next());
    [(u / one) as f32, (v / one) as f32]
}

/// Streaks as long as a plate is high, paler and softer than what is behind.
fn rain(picture: &Picture, chance: &mut Chance, plate: f32) -> Result<Picture, ModelError> {
    let paler = |_: f32, _: f32, light: f32, noise: f32| 0.6 * light + 70.0 + 2.0 * noise;
    let mut drops = each_level(picture, chance, paler)?.into_mat();
    let (w, h) = (picture.width() as f32, picture.height() as f32);
    let length = (plate / 4.0).max(6.0);
    let thick = (plate / 120.0).round().max(1.0) as i32;
    // one streak for every square of this side
    let count = (w * h / (length * length) * 1.5) as usize;
    for _ in 0..count.min(20_000) {
        let (x, y) = (chance.between(0.0, w), chance.between(0.0, h));
        let long = length * chance.between(0.4, 1.0);
        let from = Point::new(x as i32, y as i32);
        let to = Point::new((x - 0.15 * long) as i32, (y + long) as i32);
        let level = f64::from(chance.between(170.0, 220.0));
        imgproc::line(&mut drops, from, to, Scalar::all(level), thick, imgproc::LINE_AA, 0)?;
    }
    let mut mixed = Mat::default();
    // streaks are half transparent
    opencv::core::add_weighted(picture.mat(), 0.45, &drops, 0.55, 0.0, &mut mixed, -1)?;
    moved(&mixed, (plate / 80.0).max(2.0), 80.0).map(Picture::from_mat)
}

fn with_places(labels: &LabelledPicture, place: impl Fn([f32; 4]) -> [f32; 4]) -> LabelledPicture {
    let mut moved = labels.clone();
    for label in &mut moved.labels {
        label.place = label.place.map(&place);
    }
    moved
}

/// Numbers that look like chance and are the same for the same name: SplitMix64 (Steele, Lea and Flood 2014), begun with
/// the name's FNV-1a hash.
struct Chance(u64);

impl Chance {
    fn new(name: &str) -> Self {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: f32, most: f32) -> f32 {
        let part = (self.bits() >> 40) as f32 / (1u64 << 24) as f32;
        least + (most - least) * part
    }

    /// About normal, standard deviation 1: the sum of four even numbers of 16 bits.
    fn noise(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u32 = [0, 16, 32, 48].map(|shift| (bits >> shift & 0xffff) as u32).iter().sum();
        (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels::Label;
    use super::*;

    /// A grey picture with a white plate at 300 to 500 by 300 to 340.
    fn scene(file: &str) -> (Picture, LabelledPicture) {
        let (w, h) = (800usize, 600usize);
        let mut pixels = vec![120u8; 3 * w * h];
        for y in 300..340 {
            pixels[3 * (y * w + 300)..3 * (y * w + 500)].fill(250);
        }
        let label = Label { text: "A123BC77".into(), place: Some([300.0, 300.0, 500.0, 340.0]) };
        let labels = LabelledPicture { file: file.into(), path: file.into(), labels: vec![label] };
        (Picture::from_bgr(800, 600, &pixels).unwrap(), labels)
    }

    fn level(picture: &Picture, x: f32, y: f32) -> u8 {
        picture.bgr().unwrap()[3 * (y as usize * picture.width() as usize + x as usize)]
    }

    #[test]
    fn names_are_known_both_ways_and_others_refused() {
        for (name, how) in Degrade::ALL {
            assert_eq!((name.parse(), how.name()), (Ok(how), name));
        }
        assert!("fog".parse::<Degrade>().unwrap_err().contains("night, blur"));
    }

    #[test]
    fn a_name_gives_one_picture_and_another_name_another() {
        for (_, how) in Degrade::ALL {
            let made = |file: &str| {
                let (picture, labels) = scene(file);
                degraded(&picture, &labels, how).unwrap().0.bgr().unwrap().to_vec()
            };
            assert_eq!(made("a.jpg"), made("a.jpg"), "{how:?}");
            let (picture, _) = scene("a.jpg");
            assert_ne!(made("a.jpg"), picture.bgr().unwrap(), "{how:?}");
            if matches!(how, Degrade::Night | Degrade::Oblique | Degrade::Rain | Degrade::Blur) {
                assert_ne!(made("a.jpg"), made("b.jpg"), "{how:?}");
            }
        }
    }

    #[test]
    fn a_label_moves_along_with_its_plate() {
        for (_, how) in Degrade::ALL {
            let (picture, labels) = scene("c.jpg");
            let (picture, labels) = degraded(&picture, &labels, how).unwrap();
            let [l, t, r, b] = labels.labels[0].place.unwrap();
            assert!(l >= 0.0 && t >= 0.0 && r <= picture.width() as f32 && b <= picture.height() as f32);
            let inside = level(&picture, (l + r) / 2.0, (t + b) / 2.0);
            let outside = level(&picture, (l + r) / 2.0, b + (b - t));
            assert!(inside > outside.saturating_add(20), "{how:?}: {inside} {outside}");
        }
        let (picture, labels) = scene("c.jpg");
        let place = |how| degraded(&picture, &labels, how).unwrap().1.labels[0].place.unwrap();
        let [l, _, r, _] = place(Degrade::Far);
        assert!((r - l - FAR_WIDTH).abs() < 0.5, "{l} {r}");
        let [l, t, r, b] = place(Degrade::Oblique);
        assert!(b - t > 50.0 && r - l < 190.0, "turned, and narrower: {l} {t} {r} {b}");
    }
}
