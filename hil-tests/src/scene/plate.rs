//! Plate texts for rendered scenes.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Letters of Russian plates: those that look the same in Cyrillic and Latin (GOST R 50577-2018).
const RU_LETTERS: &[u8] = b"ABEKMHOPCTYX";
/// Letters of Kazakh plates without those that look like digits.
const KZ_LETTERS: &[u8] = b"ABCDEFHKLMNPRTUVXYZ";
/// Some regions in use.
const RU_REGIONS: [&str; 8] = ["02", "16", "25", "54", "74", "77", "178", "799"];

/// A plate to be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlateText {
    /// `RU` or `KZ`.
    pub country: &'static str,
    /// The large field.
    pub main: String,
    /// The field at the right: region.
    pub region: String,
}

impl PlateText {
    /// The text as it is read: everything in one word.
    pub fn text(&self) -> String {
        format!("{}{}", self.main, self.region)
    }
}

/// A plate of a valid format, Russian or Kazakh.
pub fn random_plate(random: &mut ChaCha8Rng) -> PlateText {
    let pick = |random: &mut ChaCha8Rng, letters: &[u8], count: usize| -> String {
        let sign = |random: &mut ChaCha8Rng| letters.get(random.random_range(0..letters.len())).copied();
        (0..count).filter_map(|_| sign(random)).map(char::from).collect()
    };
    let number: u32 = random.random_range(1..1000);
    if random.random_bool(0.7) {
        let main = format!("{}{number:03}{}", pick(random, RU_LETTERS, 1), pick(random, RU_LETTERS, 2));
        let region = RU_REGIONS.get(random.random_range(0..RU_REGIONS.len())).copied().unwrap_or("77");
        PlateText { country: "RU", main, region: region.to_owned() }
    } else {
        let region: u32 = random.random_range(1..=17);
        let main = format!("{number:03}{}", pick(random, KZ_LETTERS, 3));
        PlateText { country: "KZ", main, region: format!("{region:02}") }
    }
}
