//! Pictures of vehicles: photographs with labels, or scenes rendered here. Photographs never come into the repository;
//! they are read where they lie.

mod container;
mod photos;
mod plate;
mod render;

pub use container::{CodeLayout, ContainerText, render_container};
pub use photos::{Photo, Photos, default_directories};
pub use plate::{PlateText, random_plate};
pub use render::{empty_road, render};

use std::path::Path;

use anyhow::{Context, ensure};
use opencv::core::{BORDER_CONSTANT, Mat, Scalar, Size, copy_make_border};
use opencv::prelude::*;
use opencv::{imgcodecs, imgproc};

/// Width of the simulated cameras' video, pixels.
pub const WIDTH: i32 = 1280;
/// Height of the simulated cameras' video, pixels.
pub const HEIGHT: i32 = 960;

/// A picture as a camera takes it: [`WIDTH`] x [`HEIGHT`] pixels, blue green red.
#[derive(Clone)]
pub struct Scene(Mat);

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scene({} x {})", self.0.cols(), self.0.rows())
    }
}

impl Scene {
    /// Reads a picture file and fits it into the camera's format, with grey bars where its shape differs.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let mat = imgcodecs::imread(file, imgcodecs::IMREAD_COLOR)?;
        ensure!(!mat.empty(), "{} is not a picture that OpenCV can read", file.display());
        Ok(Self(fit(&mat).with_context(|| format!("failed to fit {}", file.display()))?))
    }

    /// The pixels.
    pub fn mat(&self) -> &Mat {
        &self.0
    }

    /// Writes a picture file; its kind goes by the file's ending.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        ensure!(imgcodecs::imwrite_def(file, &self.0)?, "failed to write {}", file.display());
        Ok(())
    }

    /// Writes the picture as the video encoder takes it: I420, the planes one behind the other.
    pub fn write_i420(&self, file: &Path) -> anyhow::Result<()> {
        let mut planes = Mat::default();
        imgproc::cvt_color(&self.0, &mut planes, imgproc::COLOR_BGR2YUV_I420, 0)?;
        std::fs::write(file, planes.data_bytes()?)
            .with_context(|| format!("failed to write {}", file.display()))
    }
}

fn fit(mat: &Mat) -> opencv::Result<Mat> {
    let scale = f64::min(
        f64::from(WIDTH) / f64::from(mat.cols().max(1)),
        f64::from(HEIGHT) / f64::from(mat.rows().max(1)),
    );
    let side = |length: i32, most: i32| ((f64::from(length) * scale).round() as i32).clamp(1, most);
    let size = Size::new(side(mat.cols(), WIDTH), side(mat.rows(), HEIGHT));
    let mut small = Mat::default();
    imgproc::resize(mat, &mut small, size, 0.0, 0.0, imgproc::INTER_AREA)?;
    let (across, down) = (WIDTH - size.width, HEIGHT - size.height);
    let mut fitted = Mat::default();
    copy_make_border(
        &small,
        &mut fitted,
        down / 2,
        down - down / 2,
        across / 2,
        across - across / 2,
        BORDER_CONSTANT,
        Scalar::all(96.0),
    )?;
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_any_shape_fits() {
        for (width, height) in [(1600, 1200), (300, 900), (1280, 960), (5000, 10)] {
            let mat = Mat::new_rows_cols_with_default(height, width, opencv::core::CV_8UC3, Scalar::all(9.0));
            let fitted = fit(&mat.unwrap()).unwrap();
            assert_eq!((fitted.cols(), fitted.rows()), (WIDTH, HEIGHT));
        }
    }

    #[test]
    fn the_encoder_gets_whole_planes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        empty_road(1).unwrap().write_i420(file.path()).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().len(), 1280 * 960 * 3 / 2);
    }
}
