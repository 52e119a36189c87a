//! A face as numbers that can be compared.

use crate::ModelError;

/// Numbers in a template.
pub const LENGTH: usize = 128;
/// Bytes of a template in a file.
pub const BYTES: usize = LENGTH * 4;

/// A face template: 128 numbers, of Euclidean length 1. Personal data: it is never shown, and overwritten when it is
/// dropped.
#[derive(Clone, PartialEq)]
pub struct Template([f32; LENGTH]);

impl Template {
    /// The template in the direction of `values`.
    ///
    /// # Errors
    /// Not 128 numbers, one of them is not finite, or all are 0.
    pub fn new(values: &[f32]) -> Result<Self, ModelError> {
        let fault = |reason: String| ModelError::ModelShape { name: "face-template".into(), reason };
        let mut own: [f32; LENGTH] = values
            .try_into()
            .map_err(|_| fault(format!("expected {LENGTH} numbers, got {}", values.len())))?;
        let length = own.iter().map(|v| v * v).sum::<f32>().sqrt();
        if !length.is_finite() || length < 1e-12 {
            return Err(fault("expected a direction, got no finite numbers or only zeroes".into()));
        }
        own.iter_mut().for_each(|v| *v /= length);
        Ok(Self(own))
    }

    /// The template as 512 bytes: 128 numbers of IEEE 754 single precision, the least byte first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (place, value) in bytes.chunks_exact_mut(4).zip(self.0) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// The template of [`Template::to_bytes`].
    ///
    /// # Errors
    /// Not 512 bytes, or no template.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() != BYTES {
            let reason = format!("expected {BYTES} bytes, got {}", bytes.len());
            return Err(ModelError::ModelShape { name: "face-template".into(), reason });
        }
        let values: Vec<f32> =
            bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(f32::from_le_bytes).collect();
        // Already of length 1: taken as it stands, so that the bytes stay the same.
        let whole = Self::new(&values)?;
        let same = <[f32; LENGTH]>::try_from(values.as_slice()).ok().map(Self);
        Ok(same.filter(|same| (same.similarity(same) - 1.0).abs() < 1e-4).unwrap_or(whole))
    }

    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// How alike two faces are: the cosine, -1 to 1. What is enough depends on cameras and people: calibrate.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Template(not shown)")
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        self.0.fill(0.0);
        // Keeps the compiler from leaving out what nobody reads.
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_direction_is_no_template() {
        assert!(Template::new(&[0.0; LENGTH]).is_err());
        assert!(Template::new(&[1.0; LENGTH - 1]).is_err());
        assert!(Template::new(&[f32::NAN; LENGTH]).is_err());
        assert!(Template::from_bytes(&[0; BYTES]).is_err());
        assert!(Template::from_bytes(&[1; 7]).is_err());
    }

    #[test]
    fn a_template_is_not_shown() {
        let shown = format!("{:?}", Template::new(&[0.5; LENGTH]).unwrap());
        assert!(!shown.chars().any(|sign| sign.is_ascii_digit()), "{shown}");
    }

    proptest! {
        #[test]
        fn bytes_come_back_the_same(values in proptest::collection::vec(-10.0f32..10.0, LENGTH)) {
            prop_assume!(values.iter().any(|v| v.abs() > 1e-3));
            let template = Template::new(&values).unwrap();
            prop_assert!((template.similarity(&template) - 1.0).abs() < 1e-5);
            let again = Template::from_bytes(&template.to_bytes()).unwrap();
            prop_assert_eq!(again.to_bytes(), template.to_bytes());
        }
    }
}
