//! The wall of a container with its code, drawn with simple shapes.

use opencv::core::{BORDER_CONSTANT, CV_8UC3, Mat, Point, Point2f, Rect, Scalar, Size, Vector};
use opencv::imgproc::{self, FILLED, FONT_HERSHEY_DUPLEX, INTER_AREA, LINE_AA};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{HEIGHT, Scene, WIDTH};

/// How the code stands on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeLayout {
    /// Owner, serial number and the check digit in its box on one line, the type code below.
    Line,
    /// Owner above, serial number and check digit below, the type code under them.
    Lines,
    /// Sign below sign, the type code in a column of its own.
    Column,
    /// As `Line`, but the check digit is not there.
    NoCheckDigit,
}

/// What is written on a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerText {
    /// The code, 11 signs.
    pub code: String,
    /// Size and type code.
    pub type_code: String,
    /// How they stand.
    pub layout: CodeLayout,
}

/// Height of a sign in pixels.
const SIGN: i32 = 44;

/// A corrugated wall with the code of a container, seen a little from the side; colour and tilt by `seed`.
pub fn render_container(text: &ContainerText, seed: u64) -> anyhow::Result<Scene> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shade = || f64::from(random.random_range(30..120));
    let wall = Scalar::new(shade(), shade(), shade(), 0.0);
    let mut mat = Mat::new_rows_cols_with_default(HEIGHT, WIDTH, CV_8UC3, wall)?;
    for x in (0..WIDTH).step_by(110) {
        let groove = Rect::new(x, 0, 26, HEIGHT);
        imgproc::rectangle(&mut mat, groove, wall * 0.75, FILLED, LINE_AA, 0)?;
    }
    write_code(&mut mat, text)?;
    imgproc::put_text(
        &mut mat,
        "MAX GROSS 30 480 KG",
        Point::new(520, 640),
        FONT_HERSHEY_DUPLEX,
        0.8,
        ink(),
        2,
        LINE_AA,
        false,
    )?;
    let tilt = f64::from(random.random_range(-40.0_f32..40.0)) as f32;
    let (w, h) = (WIDTH as f32, HEIGHT as f32);
    let corners =
        |all: [(f32, f32); 4]| all.iter().map(|&(x, y)| Point2f::new(x, y)).collect::<Vector<Point2f>>();
    let from = corners([(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]);
    let to = corners([(0.0, 0.0), (w - 60.0, tilt), (w - 60.0, h - tilt), (0.0, h)]);
    let way = imgproc::get_perspective_transform(&from, &to, opencv::core::DECOMP_LU)?;
    let mut seen = Mat::default();
    let grey = Scalar::new(150.0, 140.0, 130.0, 0.0);
    imgproc::warp_perspective(
        &mat,
        &mut seen,
        &way,
        Size::new(WIDTH, HEIGHT),
        INTER_AREA,
        BORDER_CONSTANT,
        grey,
    )?;
    let mut blurred = Mat::default();
    imgproc::gaussian_blur_def(&seen, &mut blurred, Size::new(3, 3), 0.8)?;
    Ok(Scene(blurred))
}

fn ink() -> Scalar {
    Scalar::new(232.0, 234.0, 235.0, 0.0)
}

fn write_code(mat: &mut Mat, text: &ContainerText) -> opencv::Result<()> {
    let part = |from: usize, to: usize| text.code.get(from..to).unwrap_or_default();
    let (owner, serial, check) = (part(0, 4), part(4, 10), part(10, 11));
    let (left, top) = (430, 220);
    match text.layout {
        CodeLayout::Line | CodeLayout::NoCheckDigit => {
            let x = across(mat, owner, left, top)?;
            let x = across(mat, serial, x + SIGN / 2, top)?;
            if text.layout == CodeLayout::Line {
                boxed(mat, check, x + SIGN / 2, top)?;
            }
            across(mat, &text.type_code, left + SIGN, top + 2 * SIGN)?;
        }
        CodeLayout::Lines => {
            across(mat, owner, left, top)?;
            let x = across(mat, serial, left, top + 3 * SIGN / 2)?;
            boxed(mat, check, x + SIGN / 2, top + 3 * SIGN / 2)?;
            across(mat, &text.type_code, left, top + 3 * SIGN)?;
        }
        CodeLayout::Column => {
            let y = down(mat, owner, left, 80)?;
            let y = down(mat, serial, left, y + SIGN / 2)?;
            boxed(mat, check, left, y + SIGN / 2)?;
            down(mat, &text.type_code, left + 3 * SIGN, 80)?;
        }
    }
    Ok(())
}

/// Writes from left to right; returns where it ends.
fn across(mat: &mut Mat, text: &str, left: i32, top: i32) -> opencv::Result<i32> {
    let mut x = left;
    for sign in text.chars() {
        sign_at(mat, sign, x, top)?;
        x += SIGN * 3 / 4;
    }
    Ok(x)
}

/// Writes from top to bottom; returns where it ends.
fn down(mat: &mut Mat, text: &str, left: i32, top: i32) -> opencv::Result<i32> {
    let mut y = top;
    for sign in text.chars() {
        sign_at(mat, sign, left, y)?;
        y += SIGN * 5 / 4;
    }
    Ok(y)
}

fn boxed(mat: &mut Mat, sign: &str, left: i32, top: i32) -> opencv::Result<()> {
    across(mat, sign, left, top)?;
    let frame = Rect::new(left - 8, top - 8, SIGN * 3 / 4 + 12, SIGN + 16);
    imgproc::rectangle(mat, frame, ink(), 3, LINE_AA, 0)
}

fn sign_at(mat: &mut Mat, sign: char, left: i32, top: i32) -> opencv::Result<()> {
    // a Hershey letter is about 21 units high at scale 1
    let scale = f64::from(SIGN) / 21.0 - 0.2;
    imgproc::put_text(
        mat,
        &sign.to_string(),
        Point::new(left, top + SIGN),
        FONT_HERSHEY_DUPLEX,
        scale * 0.9,
        ink(),
        5,
        LINE_AA,
        false,
    )
}
