//! From OpenCV's matrices to frames.

use std::time::Instant;

use interface::Frame;
use opencv::core::{Mat, Size, Vector};
use opencv::prelude::*;
use opencv::{imgcodecs, imgproc};

/// Largest picture file that is read, bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Decodes a picture file. The error says what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Mat, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let mat = imgcodecs::imdecode(&Vector::from_slice(bytes), imgcodecs::IMREAD_COLOR)
        .map_err(|error| format!("OpenCV cannot decode it: {}", error.message))?;
    if mat.empty() {
        return Err(
            "it is not a picture that OpenCV can read (JPEG, PNG, BMP, WebP), or it is cut short".to_owned()
        );
    }
    Ok(mat)
}

/// Copies a matrix of 8-bit BGR pixels, taken at `captured`, into a frame.
pub fn frame_of(mat: &Mat, captured: Instant, name: Option<String>) -> opencv::Result<Frame> {
    let size = mat.size()?;
    // A clone is continuous, so that its bytes are all of it and nothing else.
    let whole = mat.try_clone()?;
    Ok(Frame {
        width: u32::try_from(size.width).unwrap_or(0),
        height: u32::try_from(size.height).unwrap_or(0),
        bgr: whole.data_bytes()?.to_vec(),
        captured,
        name,
    })
}

/// A small grey copy, to see whether anything changes at all.
pub fn thumbnail(mat: &Mat) -> opencv::Result<Vec<u8>> {
    let mut small = Mat::default();
    imgproc::resize(mat, &mut small, Size::new(160, 90), 0.0, 0.0, imgproc::INTER_AREA)?;
    Ok(small.data_bytes()?.to_vec())
}
