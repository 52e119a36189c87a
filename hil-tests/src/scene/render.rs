//! A road, a lorry's front and its plate, drawn with simple shapes.

use opencv::core::{BORDER_TRANSPARENT, CV_8UC3, Mat, Point, Point2f, Rect, Scalar, Size, Vector};
use opencv::imgproc::{self, FILLED, FONT_HERSHEY_DUPLEX, FONT_HERSHEY_SIMPLEX, INTER_AREA, LINE_AA};
use opencv::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{HEIGHT, PlateText, Scene, WIDTH};

/// The drawn plate before it is put on the vehicle, pixels; 520 x 112 mm (GOST R 50577-2018, type 1).
const PLATE: Size = Size { width: 1040, height: 224 };

/// The road without a vehicle, with the noise of a sensor.
pub fn empty_road(seed: u64) -> anyhow::Result<Scene> {
    let mut mat = road()?;
    add_noise(&mut mat, &mut ChaCha8Rng::seed_from_u64(seed))?;
    Ok(Scene(mat))
}

/// A lorry from the front, with `plate`; colours, place and tilt by `seed`.
pub fn render(plate: &PlateText, seed: u64) -> anyhow::Result<Scene> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut mat = road()?;
    let left = random.random_range(320..420);
    let top = random.random_range(240..280);
    draw_lorry(&mut mat, left, top, &mut random)?;
    put_plate(&mut mat, &draw_plate(plate)?, left + 130, top + 500, &mut random)?;
    add_noise(&mut mat, &mut random)?;
    Ok(Scene(mat))
}

fn road() -> opencv::Result<Mat> {
    let mut mat = Mat::new_rows_cols_with_default(HEIGHT, WIDTH, CV_8UC3, colour(150, 140, 120))?;
    rectangle(&mut mat, 0, 0, WIDTH, 200, colour(205, 190, 170))?;
    polygon(&mut mat, &[(480, 200), (800, 200), (1240, HEIGHT), (40, HEIGHT)], colour(92, 90, 88))?;
    polygon(&mut mat, &[(470, 200), (480, 200), (60, HEIGHT), (20, HEIGHT)], colour(215, 215, 215))?;
    polygon(&mut mat, &[(800, 200), (810, 200), (1260, HEIGHT), (1220, HEIGHT)], colour(215, 215, 215))?;
    Ok(mat)
}

fn draw_lorry(mat: &mut Mat, left: i32, top: i32, random: &mut ChaCha8Rng) -> opencv::Result<()> {
    let mut shade = || f64::from(random.random_range(40..180));
    let body = Scalar::new(shade(), shade(), shade(), 0.0);
    let dark = colour(35, 32, 30);
    rectangle(mat, left, top, 540, 570, body)?;
    // Windscreen, grille, bumper.
    rectangle(mat, left + 30, top + 50, 480, 190, colour(95, 80, 70))?;
    polygon(
        mat,
        &[(left + 30, top + 240), (left + 200, top + 50), (left + 280, top + 50), (left + 110, top + 240)],
        colour(120, 105, 95),
    )?;
    for row in 0..5 {
        rectangle(mat, left + 110, top + 275 + row * 34, 320, 18, dark)?;
    }
    rectangle(mat, left - 10, top + 470, 560, 130, colour(60, 58, 55))?;
    for x in [left + 45, left + 495] {
        imgproc::circle(mat, Point::new(x, top + 535), 30, colour(225, 235, 235), FILLED, LINE_AA, 0)?;
        rectangle(mat, x - 45, top + 600, 90, 60, dark)?;
    }
    Ok(())
}

/// Black on white, in the layout of its country.
fn draw_plate(plate: &PlateText) -> opencv::Result<Mat> {
    let (ink, paper) = (colour(18, 18, 18), colour(242, 242, 242));
    let mut mat = Mat::new_rows_cols_with_default(PLATE.height, PLATE.width, CV_8UC3, paper)?;
    let whole = Rect::new(6, 6, PLATE.width - 12, PLATE.height - 12);
    imgproc::rectangle(&mut mat, whole, ink, 7, LINE_AA, 0)?;
    let (main, region) = if plate.country == "KZ" {
        write_in(&mut mat, "KZ", Rect::new(24, 130, 90, 60), ink, 5)?;
        imgproc::rectangle(&mut mat, Rect::new(30, 40, 78, 60), colour(190, 150, 0), FILLED, LINE_AA, 0)?;
        (Rect::new(140, 40, 640, 144), Rect::new(840, 52, 160, 120))
    } else {
        write_in(&mut mat, "RUS", Rect::new(830, 160, 100, 40), ink, 4)?;
        (Rect::new(40, 40, 720, 144), Rect::new(820, 24, 190, 120))
    };
    let divide = if plate.country == "KZ" { 815 } else { 790 };
    imgproc::line(&mut mat, Point::new(divide, 6), Point::new(divide, PLATE.height - 6), ink, 6, LINE_AA, 0)?;
    write_in(&mut mat, &plate.main, main, ink, 15)?;
    write_in(&mut mat, &plate.region, region, ink, 12)?;
    Ok(mat)
}

/// Signs of equal width side by side, as large as they fit into `field`.
fn write_in(mat: &mut Mat, text: &str, field: Rect, ink: Scalar, thickness: i32) -> opencv::Result<()> {
    let count = i32::try_from(text.chars().count()).unwrap_or(1).max(1);
    let cell = field.width / count;
    for (index, sign) in (0..).zip(text.chars()) {
        let sign = sign.to_string();
        let font = if thickness > 8 { FONT_HERSHEY_DUPLEX } else { FONT_HERSHEY_SIMPLEX };
        let mut base = 0;
        let unit = imgproc::get_text_size(&sign, font, 1.0, thickness, &mut base)?;
        // A Hershey letter is about 21 units high at scale 1; leave the stroke's width around it.
        let scale = f64::min(
            f64::from(field.height - thickness) / 21.0,
            f64::from(cell - thickness - 4) / f64::from((unit.width - thickness).max(8)),
        );
        let size = imgproc::get_text_size(&sign, font, scale, thickness, &mut base)?;
        let at = Point::new(
            field.x + index * cell + (cell - size.width) / 2,
            field.y + field.height - (field.height - (21.0 * scale) as i32) / 2,
        );
        imgproc::put_text(mat, &sign, at, font, scale, ink, thickness, LINE_AA, false)?;
    }
    Ok(())
}

/// Puts the plate on the bumper, 280 pixels wide, a little tilted.
fn put_plate(mat: &mut Mat, plate: &Mat, left: i32, top: i32, random: &mut ChaCha8Rng) -> opencv::Result<()> {
    // Smaller first: warping alone would leave out most of the drawn pixels.
    let mut small = Mat::default();
    imgproc::resize(plate, &mut small, Size::new(560, 120), 0.0, 0.0, INTER_AREA)?;
    let (x, y) = (left as f32, top as f32);
    let mut shift = || random.random_range(-5.0_f32..5.0);
    let from = [(0.0, 0.0), (560.0, 0.0), (560.0, 120.0), (0.0, 120.0)];
    let to = [(0.0, 0.0), (280.0, 0.0), (280.0, 62.0), (0.0, 62.0)];
    let corners = |points: [(f32, f32); 4]| -> Vector<Point2f> {
        points.iter().map(|&(x, y)| Point2f::new(x, y)).collect()
    };
    let to = to.map(|(dx, dy)| (x + dx + shift(), y + dy + shift()));
    let warp = imgproc::get_perspective_transform_def(&corners(from), &corners(to))?;
    let size = Size::new(WIDTH, HEIGHT);
    imgproc::warp_perspective(
        &small,
        mat,
        &warp,
        size,
        imgproc::INTER_LINEAR,
        BORDER_TRANSPARENT,
        Scalar::default(),
    )
}

/// Uniform noise of four grey levels either way.
fn add_noise(mat: &mut Mat, random: &mut ChaCha8Rng) -> opencv::Result<()> {
    for byte in mat.data_bytes_mut()? {
        let noise: u8 = random.random_range(0..9);
        *byte = byte.saturating_add(noise).saturating_sub(4);
    }
    Ok(())
}

fn colour(red: u8, green: u8, blue: u8) -> Scalar {
    Scalar::new(blue.into(), green.into(), red.into(), 0.0)
}

fn rectangle(mat: &mut Mat, x: i32, y: i32, width: i32, height: i32, fill: Scalar) -> opencv::Result<()> {
    imgproc::rectangle(mat, Rect::new(x, y, width, height), fill, FILLED, LINE_AA, 0)
}

fn polygon(mat: &mut Mat, points: &[(i32, i32)], fill: Scalar) -> opencv::Result<()> {
    let points: Vector<Point> = points.iter().map(|&(x, y)| Point::new(x, y)).collect();
    imgproc::fill_convex_poly(mat, &points, fill, LINE_AA, 0)
}
