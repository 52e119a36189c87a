//! A decoded picture, and the gate that keeps bad files away from the decoder.

use crate::ModelError;
use opencv::core::{Mat, MatTraitConst, Vec3b, Vector};
use opencv::{imgcodecs, prelude::MatTraitConstManual};
use std::path::Path;

/// Most pixels a picture may have: 50 megapixels decode to 150 MB.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Largest picture file: 64 MiB.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// A picture of three channels, 8 bit, blue green red.
pub struct Picture {
    mat: Mat,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width(), self.height())
    }
}

impl Picture {
    /// Decodes a JPEG, PNG or BMP file. A JPEG's EXIF orientation is applied.
    ///
    /// # Errors
    /// The bytes are empty, of another kind, truncated, damaged, or beyond [`MAX_PIXELS`] or [`MAX_FILE_BYTES`]. The
    /// dimensions are read from the file's header, before anything is decoded.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(bad(format!("{} bytes, at most {MAX_FILE_BYTES} are read", bytes.len())));
        }
        let (width, height) = dimensions(bytes)?;
        check_dimensions(width, height)?;
        let mat = imgcodecs::imdecode(&Mat::from_slice(bytes)?, imgcodecs::IMREAD_COLOR)
            .map_err(|e| bad(format!("damaged file, the decoder says: {}", e.message)))?;
        if mat.empty() || mat.typ() != opencv::core::CV_8UC3 {
            return Err(bad("damaged file, nothing could be decoded".into()));
        }
        Ok(Self { mat })
    }

    /// Decodes the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or as for [`Picture::decode`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let unreadable = |e: std::io::Error| bad(format!("{}: {e}", path.display()));
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_FILE_BYTES {
            return Err(bad(format!("{}: {size} bytes, at most {MAX_FILE_BYTES} are read", path.display())));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::decode(&bytes).map_err(|e| match e {
            ModelError::Picture(reason) => bad(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// A picture from raw pixels: `width * height * 3` bytes, rows from the top, blue green red.
    ///
    /// # Errors
    /// The dimensions are zero or too large, or do not fit the number of bytes.
    pub fn from_bgr(width: u32, height: u32, bgr: &[u8]) -> Result<Self, ModelError> {
        check_dimensions(width.into(), height.into())?;
        if bgr.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return Err(bad(format!(
                "{width} x {height} needs {} bytes, got {}",
                width * height * 3,
                bgr.len()
            )));
        }
        let side = |v: u32| i32::try_from(v).map_err(|_| bad(format!("side of {v} pixels")));
        let view = Mat::new_rows_cols_with_bytes::<Vec3b>(side(height)?, side(width)?, bgr)?;
        Ok(Self { mat: view.try_clone()? })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.mat.cols().unsigned_abs()
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.mat.rows().unsigned_abs()
    }

    /// The pixels, rows from the top, blue green red.
    ///
    /// # Errors
    /// OpenCV's, if the picture is not stored in one piece.
    pub fn bgr(&self) -> Result<&[u8], ModelError> {
        Ok(self.mat.data_bytes()?)
    }

    /// The picture as a JPEG file; `quality` 0 to 100.
    ///
    /// # Errors
    /// OpenCV's.
    pub fn jpeg(&self, quality: u8) -> Result<Vec<u8>, ModelError> {
        encode_jpeg(&self.mat, quality)
    }

    /// A copy with pixels of its own.
    ///
    /// # Errors
    /// OpenCV's, if there is no memory for it.
    pub fn copy(&self) -> Result<Self, ModelError> {
        Ok(Self { mat: self.mat.try_clone()? })
    }

    pub(crate) fn mat(&self) -> &Mat {
        &self.mat
    }

    /// A picture of pixels that OpenCV made from another's.
    pub(crate) fn from_mat(mat: Mat) -> Self {
        Self { mat }
    }

    pub(crate) fn into_mat(self) -> Mat {
        self.mat
    }
}

pub(crate) fn encode_jpeg(mat: &Mat, quality: u8) -> Result<Vec<u8>, ModelError> {
    let mut out = Vector::<u8>::new();
    let parameters = Vector::from_slice(&[imgcodecs::IMWRITE_JPEG_QUALITY, i32::from(quality.min(100))]);
    if imgcodecs::imencode(".jpg", mat, &mut out, &parameters)? {
        Ok(out.iter().collect())
    } else {
        Err(ModelError::Vision("the JPEG encoder gave nothing".into()))
    }
}

fn bad(reason: String) -> ModelError {
    ModelError::Picture(reason)
}

fn check_dimensions(width: u64, height: u64) -> Result<(), ModelError> {
    // libjpeg's own limit on a side is 65500
    if width == 0 || height == 0 || width > 65_500 || height > 65_500 || width * height > MAX_PIXELS {
        return Err(bad(format!("{width} x {height} pixels, expected 1 to {MAX_PIXELS} pixels in all")));
    }
    Ok(())
}

/// Width and height from the header, for the three kinds of file that are accepted, and the check that the end of
/// the file is there (OpenCV would fill the missing part of a truncated JPEG with grey and say nothing).
fn dimensions(bytes: &[u8]) -> Result<(u64, u64), ModelError> {
    if bytes.is_empty() {
        return Err(bad("the file is empty".into()));
    }
    if bytes.starts_with(&[0xff, 0xd8]) {
        return jpeg_dimensions(bytes);
    }
    let truncated = |kind: &str| bad(format!("truncated {kind} file"));
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        // PNG (ISO/IEC 15948): IHDR is the first chunk, IEND the last
        if !bytes.windows(4).rev().take(1024).any(|w| w == b"IEND") {
            return Err(truncated("PNG"));
        }
        return match (be32(bytes, 16), be32(bytes, 20)) {
            (Some(w), Some(h)) => Ok((w.into(), h.into())),
            _ => Err(truncated("PNG")),
        };
    }
    if bytes.starts_with(b"BM") {
        let field = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(i32::from_le_bytes);
        return match (field(2), field(18), field(22)) {
            (Some(size), Some(w), Some(h)) if size.unsigned_abs() as usize <= bytes.len() => {
                Ok((w.unsigned_abs().into(), h.unsigned_abs().into()))
            }
            _ => Err(truncated("BMP")),
        };
    }
    Err(bad("neither JPEG, PNG nor BMP".into()))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Walks the marker segments of a JPEG (ITU-T T.81, annex B) to the frame header and looks for the end marker.
fn jpeg_dimensions(bytes: &[u8]) -> Result<(u64, u64), ModelError> {
    let truncated = || bad("truncated JPEG file".into());
    let byte = |at: usize| bytes.get(at).copied();
    let mut at = 2;
    loop {
        if byte(at).ok_or_else(truncated)? != 0xff {
            return Err(bad("damaged JPEG file, a marker was expected".into()));
        }
        let marker = byte(at + 1).ok_or_else(truncated)?;
        match marker {
            0xff => at += 1,               // fill byte
            0x01 | 0xd0..=0xd8 => at += 2, // no payload
            0xd9 | 0xda => return Err(bad("JPEG file without a frame header".into())),
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let half = |at: usize| Some(u64::from(byte(at)?) << 8 | u64::from(byte(at + 1)?));
                let (h, w) = half(at + 5).zip(half(at + 7)).ok_or_else(truncated)?;
                let rest = bytes.get(at..).ok_or_else(truncated)?;
                if !rest.windows(2).rev().any(|w| w == [0xff, 0xd9]) {
                    return Err(truncated());
                }
                return Ok((w, h));
            }
            _ => {
                let (high, low) = byte(at + 2).zip(byte(at + 3)).ok_or_else(truncated)?;
                let length = usize::from(high) << 8 | usize::from(low);
                if length < 2 {
                    return Err(bad("damaged JPEG file, a segment without length".into()));
                }
                at += 2 + length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Picture {
        let pixels: Vec<u8> = (0..64u32 * 48 * 3).map(|i| (i * 7 % 251) as u8).collect();
        Picture::from_bgr(64, 48, &pixels).unwrap()
    }

    #[test]
    fn a_jpeg_comes_back() {
        let jpeg = sample().jpeg(90).unwrap();
        let again = Picture::decode(&jpeg).unwrap();
        assert_eq!((again.width(), again.height()), (64, 48));
        assert_eq!(again.bgr().unwrap().len(), 64 * 48 * 3);
    }

    #[test]
    fn exif_orientation_is_applied() {
        let jpeg = sample().jpeg(90).unwrap();
        // APP1 with one TIFF entry: tag 0x0112 orientation, SHORT, 6 = to be turned by 90 degrees (Exif 2.32)
        let tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut turned = jpeg[..2].to_vec();
        turned.extend([0xff, 0xe1, 0, tiff.len() as u8 + 2]);
        turned.extend(tiff);
        turned.extend(&jpeg[2..]);
        let picture = Picture::decode(&turned).unwrap();
        assert_eq!((picture.width(), picture.height()), (48, 64));
    }

    #[test]
    fn bad_files_give_an_error() {
        let jpeg = sample().jpeg(90).unwrap();
        for bytes in [&b""[..], b"\xff\xd8", b"BM", b"\x89PNG\r\n\x1a\n", b"hello, world", &[0; 5000]] {
            assert!(matches!(Picture::decode(bytes), Err(ModelError::Picture(_))), "{bytes:?}");
        }
        for cut in 0..jpeg.len() - 1 {
            assert!(Picture::decode(&jpeg[..cut]).is_err(), "cut at {cut} of {}", jpeg.len());
        }
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_before_decoding() {
        let mut jpeg = sample().jpeg(90).unwrap();
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        let error = Picture::decode(&jpeg).unwrap_err().to_string();
        assert!(error.contains("65500 x 65500 pixels"), "{error}");
        assert!(Picture::decode(&vec![0; MAX_FILE_BYTES as usize + 1]).is_err());
        assert!(Picture::from_bgr(10, 10, &[0; 299]).is_err());
        assert!(Picture::from_bgr(0, 10, &[]).is_err());
        assert!(Picture::from_bgr(60_000, 60_000, &[]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_crash_the_decoder(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..4) {
            let magic: &[u8] = match kind { 0 => &[0xff, 0xd8, 0xff], 1 => b"\x89PNG\r\n\x1a\n", 2 => b"BM", _ => b"" };
            bytes.splice(0..0, magic.iter().copied());
            let _ = Picture::decode(&bytes);
        }

        #[test]
        fn a_damaged_jpeg_never_crashes(at in 0usize..2000, value: u8) {
            let mut jpeg = sample().jpeg(80).unwrap();
            let at = at % jpeg.len();
            jpeg[at] = value;
            let _ = Picture::decode(&jpeg);
        }
    }
}
