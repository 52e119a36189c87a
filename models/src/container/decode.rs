//! Reads a lattice under the grammar of container codes, check digit included: the best *valid* code is found exactly,
//! by Viterbi over (position, sign, remainder of the check sum) and time under the CTC rules.
#![allow(clippy::indexing_slicing, reason = "tables whose sizes are fixed at the head of each function")]

use super::code::{CATEGORIES, CODE_SIGNS, remainder, type_code_signs, value};
use crate::plate::grammar::{Decoded, Edges, SignSet, align, decode, sign_set};
use crate::plate::lattice::{CLASSES, Lattice, sign_of};

const DIGITS: &str = "0123456789";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NEVER: f32 = -1e9;
/// Remainders of both check sums are below this (11 for containers, 10 for wagons).
const REMAINDERS: usize = 11;
/// Longest text: a wagon number of 12 digits.
const LONGEST: usize = 12;

/// A grammar with a check digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Owner, category, serial number, check digit (ISO 6346).
    Container,
    /// Railway wagon, this many digits with the check digit: 8 or 12.
    Wagon(usize),
}

impl Checked {
    /// The signs at each position.
    #[must_use]
    pub fn positions(self) -> Vec<SignSet> {
        match self {
            Self::Container => {
                let mut all = vec![sign_set(LETTERS); 3];
                all.push(sign_set(CATEGORIES));
                all.resize(CODE_SIGNS, sign_set(DIGITS));
                all
            }
            Self::Wagon(digits) => vec![sign_set(DIGITS); digits.min(LONGEST)],
        }
    }

    /// The remainder after this sign at this position; none if a check digit does not fit.
    fn step(self, position: usize, sign: char, before: usize) -> Option<usize> {
        let number = value(sign)? as usize;
        match self {
            Self::Container if position + 1 == CODE_SIGNS => (before % 10 == number).then_some(0),
            Self::Container => Some((before + (number << position)) % 11),
            Self::Wagon(digits) => {
                let last = position + 1 == digits;
                let product = if last || position % 2 == 1 { number } else { 2 * number };
                let sum = (before + product / 10 + product % 10) % 10;
                (!last || sum == 0).then_some(sum)
            }
        }
    }
}

/// A text in the making: score and signs so far.
#[derive(Clone, Copy)]
struct Path {
    score: f32,
    signs: [u8; LONGEST],
}

impl Path {
    const NONE: Self = Self { score: NEVER, signs: [0; LONGEST] };

    fn or(self, other: Self) -> Self {
        if other.score > self.score { other } else { self }
    }

    fn plus(self, score: f32) -> Self {
        Self { score: self.score + score, ..self }
    }
}

/// The best text of these `positions` with the right check digit, and its score (0 is the free reading), or none below
/// `floor`.
#[must_use]
pub fn decode_checked(
    lattice: &Lattice,
    edges: &Edges,
    checked: Checked,
    positions: &[SignSet],
    floor: f32,
) -> Option<(String, f32)> {
    let frames = lattice.frames();
    let length = positions.len();
    if length == 0 || length > LONGEST || frames.len() < length {
        return None;
    }
    // cheap first: what no text of the shape reaches, no valid one does
    if decode(lattice, edges, positions, floor)?.score < floor {
        return None;
    }
    let signs: Vec<Vec<usize>> =
        positions.iter().map(|set| (1..CLASSES).filter(|class| set >> class & 1 == 1).collect()).collect();
    // remainder after a sign, by position, class and remainder before
    let steps: Vec<Vec<[Option<usize>; REMAINDERS]>> = (0..length)
        .map(|i| {
            let row = |class| std::array::from_fn(|before| checked.step(i, sign_of(class), before));
            (0..CLASSES).map(row).collect()
        })
        .collect();
    let at = |i: usize, r: usize| i * REMAINDERS + r;
    let mut sign_end = vec![[Path::NONE; CLASSES]; length * REMAINDERS];
    let mut blank_end = vec![Path::NONE; length * REMAINDERS];
    let mut best = Path::NONE;
    for (t, frame) in frames.iter().enumerate() {
        // the best two ends of each state, so that a sign can follow any other than itself
        let tops: Vec<[(usize, Path); 2]> = sign_end.iter().map(two_best).collect();
        let mut next = vec![[Path::NONE; CLASSES]; length * REMAINDERS];
        for i in 0..length {
            let befores = if i == 0 { 1 } else { REMAINDERS };
            for before in 0..befores {
                for &class in &signs[i] {
                    let Some(after) = steps[i][class][before] else { continue };
                    let enter = if i == 0 {
                        Path { score: edges.enter(t), ..Path::NONE }
                    } else {
                        let [first, second] = tops[at(i - 1, before)];
                        let other = if first.0 == class { second.1 } else { first.1 };
                        blank_end[at(i - 1, before)].or(other)
                    };
                    if enter.score <= NEVER / 2.0 {
                        continue;
                    }
                    let mut begun = enter.plus(frame[class]);
                    begun.signs[i] = class as u8;
                    let slot = &mut next[at(i, after)][class];
                    *slot = slot.or(begun);
                }
            }
            for r in 0..REMAINDERS {
                for &class in &signs[i] {
                    let stay = sign_end[at(i, r)][class].plus(frame[class]);
                    let slot = &mut next[at(i, r)][class];
                    *slot = slot.or(stay);
                }
            }
        }
        for (blank, top) in blank_end.iter_mut().zip(&tops) {
            *blank = blank.or(top[0].1).plus(frame[0]);
        }
        sign_end = next;
        for r in 0..REMAINDERS {
            let last = at(length - 1, r);
            for &class in &signs[length - 1] {
                best = best.or(sign_end[last][class].plus(edges.leave(t + 1, class)));
            }
            best = best.or(blank_end[last].plus(edges.leave(t + 1, 0)));
        }
    }
    let text = best.signs.iter().take(length).map(|&class| sign_of(class.into())).collect();
    (best.score >= floor && best.score > NEVER / 2.0).then_some((text, best.score))
}

fn two_best(ends: &[Path; CLASSES]) -> [(usize, Path); 2] {
    let mut best = [(0, Path::NONE); 2];
    for (class, path) in ends.iter().enumerate() {
        if path.score > best[0].1.score {
            best = [(class, *path), best[0]];
        } else if path.score > best[1].1.score {
            best[1] = (class, *path);
        }
    }
    best
}

/// The best valid text and the best other valid ones, best first: for each position the best one that has another sign
/// there. So the second of them is exactly the runner-up.
#[must_use]
pub fn valid_texts(lattice: &Lattice, edges: &Edges, checked: Checked, floor: f32) -> Vec<(String, f32)> {
    let positions = checked.positions();
    let Some(best) = decode_checked(lattice, edges, checked, &positions, floor) else { return Vec::new() };
    let mut found = vec![best.clone()];
    for (i, sign) in best.0.chars().enumerate() {
        let mut others = positions.clone();
        if let Some(set) = others.get_mut(i) {
            *set &= !sign_set(sign.encode_utf8(&mut [0; 4]));
        }
        let other = decode_checked(lattice, edges, checked, &others, floor.max(best.1 - RIVAL));
        found.extend(other.filter(|(text, _)| !found.iter().any(|(known, _)| known == text)));
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found
}

/// How far below the best text a rival is still looked for, in nats.
const RIVAL: f32 = 14.0;

/// The best text with any last digit: what stands there, whether it is valid or not.
#[must_use]
pub fn as_read(lattice: &Lattice, edges: &Edges, checked: Checked, floor: f32) -> Option<Decoded> {
    decode(lattice, edges, &checked.positions(), floor)
}

/// The best ten signs of a container code whose check digit is not to be seen.
#[must_use]
pub fn without_check_digit(lattice: &Lattice, edges: &Edges, floor: f32) -> Option<Decoded> {
    let positions = Checked::Container.positions();
    decode(lattice, edges, &positions[..CODE_SIGNS - 1], floor)
}

/// The size and type code in a lattice of nothing else.
#[must_use]
pub fn type_code(lattice: &Lattice, edges: &Edges, floor: f32) -> Option<Decoded> {
    let positions: Vec<SignSet> = type_code_signs().iter().map(|signs| sign_set(signs)).collect();
    decode(lattice, edges, &positions, floor).filter(|d| super::code::size_type(&d.text).is_some())
}

/// Score of exactly this text, or `clip` if it is not there.
#[must_use]
pub fn score_of(lattice: &Lattice, edges: &Edges, text: &str, clip: f32) -> f32 {
    align(lattice, edges, text, f32::INFINITY).unwrap_or(clip).max(clip)
}

/// Signs that are taken for each other, for the quick look at a free reading.
const LOOK_ALIKES: &[&str] = &["O0DQCU", "I1LTJ7", "B8", "S5", "Z2", "G6", "A4", "VUY", "MH", "8306"];

/// Whether a free reading may hold ten or more signs of the grammar: a quick look that spares the decoding of what is
/// something else. A look-alike costs 0.5, any other wrong, missing or additional sign 1; what stands before and after
/// is free.
#[must_use]
pub fn resembles(free: &str, checked: Checked, most: f32) -> bool {
    let classes: Vec<&str> = match checked {
        Checked::Container => vec![LETTERS, LETTERS, LETTERS, CATEGORIES]
            .into_iter()
            .chain(std::iter::repeat_n(DIGITS, CODE_SIGNS - 5))
            .collect(),
        Checked::Wagon(digits) => vec![DIGITS; digits.min(LONGEST)],
    };
    let cost = |sign: char, class: &str| {
        if class.contains(sign) {
            return 0.0;
        }
        let alike = |group: &&&str| group.contains(sign) && group.chars().any(|c| class.contains(c));
        if LOOK_ALIKES.iter().any(|group| alike(&group)) { 0.5 } else { 1.0 }
    };
    let mut row: Vec<f32> = (0..=classes.len()).map(|i| i as f32).collect();
    let mut least = f32::MAX;
    for sign in free.chars() {
        let mut next = vec![0.0];
        for (i, class) in classes.iter().enumerate() {
            let value = (row[i] + cost(sign, class)).min(row[i + 1] + 1.0).min(next[i] + 1.0);
            next.push(value);
        }
        least = least.min(next[classes.len()]);
        row = next;
    }
    least <= most
}

/// Whether the text of ten signs has the remainder that is written as 0 though it is 10.
#[must_use]
pub fn remainder_is_ten(ten: &str) -> bool {
    remainder(ten) == Some(10)
}

#[cfg(test)]
mod tests {
    use super::super::code::{check_digit, is_valid, is_valid_wagon, wagon_check_digit};
    use super::*;
    use crate::plate::lattice::class_of;
    use proptest::prelude::*;

    /// A lattice from text: one frame per sign, `-` for blank, each with this probability.
    fn lattice(text: &str, sure: f32) -> Lattice {
        let frames: Vec<_> = text
            .chars()
            .map(|c| {
                let mut f = [(1.0 - sure) / 36.0; CLASSES];
                f[class_of(c).unwrap_or(0)] = sure;
                f
            })
            .collect();
        Lattice::new(&frames)
    }

    fn spaced(text: &str) -> String {
        text.chars().flat_map(|c| ['-', c]).collect()
    }

    fn texts(l: &Lattice) -> Vec<(String, f32)> {
        valid_texts(l, &Edges::new(l), Checked::Container, -60.0)
    }

    #[test]
    fn a_clear_code_is_read_and_its_rivals_are_valid_too() {
        let got = texts(&lattice(&spaced("DFSU4119250"), 0.98));
        assert_eq!(got[0].0, "DFSU4119250");
        assert!(got[0].1.abs() < 1e-3 && got[1].1 < -4.0, "{got:?}");
        assert!(got.iter().all(|(text, _)| is_valid(text)));
    }

    #[test]
    fn a_wrong_sign_is_mended_by_the_check_digit_at_a_price() {
        // 6 read for 5: the code as it stands is not valid
        let l = lattice(&spaced("DFSU4119260"), 0.98);
        assert_eq!(as_read(&l, &Edges::new(&l), Checked::Container, -60.0).unwrap().text, "DFSU4119260");
        let got = texts(&l);
        assert!(is_valid(&got[0].0) && got[0].1 < -2.0, "{got:?}");
    }

    #[test]
    fn what_stands_around_is_skipped_and_a_missing_check_digit_seen() {
        let l = lattice(&spaced("XDFSU411925042G1"), 0.98);
        assert_eq!(texts(&l)[0].0, "DFSU4119250");
        let l = lattice(&spaced("DFSU411925"), 0.98);
        let ten = without_check_digit(&l, &Edges::new(&l), -20.0).unwrap();
        assert_eq!(ten.text, "DFSU411925");
        assert!(ten.score.abs() < 1e-3 && texts(&l).first().is_none_or(|(_, score)| *score < -5.0));
    }

    #[test]
    fn repeats_need_a_blank() {
        assert_eq!(texts(&lattice(&spaced("AAAU0000007"), 0.9))[0].0, "AAAU0000007");
    }

    #[test]
    fn type_codes() {
        let read = |text: &str| {
            let l = lattice(&spaced(text), 0.98);
            type_code(&l, &Edges::new(&l), -6.0).map(|d| d.text)
        };
        assert_eq!(read("42G1").as_deref(), Some("42G1"));
        assert_eq!(read("4S6I").as_deref(), None);
        assert_eq!(read("2261").as_deref(), Some("22G1"), "a look-alike");
        assert_eq!(read("MAXGROSS"), None);
    }

    #[test]
    fn a_quick_look_spares_other_texts() {
        for text in ["DFSU4119250", "DFSU411925042G1", "0FSU41I925", "XXDFSU411925", "DFSU41925"] {
            assert!(resembles(text, Checked::Container, 3.0), "{text}");
        }
        for text in ["", "42G1", "SUPERHEAVY", "HAMBURGSUD"] {
            assert!(!resembles(text, Checked::Container, 3.0), "{text}");
        }
        assert!(
            resembles("51072395", Checked::Wagon(8), 1.0) && !resembles("DFSU41", Checked::Wagon(8), 1.0)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn valid_codes_come_back(ten in "[A-Z]{3}[UJZ][0-9]{6}", sure in 0.5f32..0.99) {
            let code = format!("{ten}{}", check_digit(&ten).unwrap());
            let got = texts(&lattice(&spaced(&code), sure));
            prop_assert_eq!(&got[0].0, &code);
            prop_assert!(got.len() < 2 || got[1].1 < got[0].1);
        }

        #[test]
        fn wagon_numbers_come_back(seven in "[0-9]{7}") {
            let number = format!("{seven}{}", wagon_check_digit(&seven).unwrap());
            let l = lattice(&spaced(&number), 0.9);
            let got = valid_texts(&l, &Edges::new(&l), Checked::Wagon(8), -60.0);
            prop_assert_eq!(&got[0].0, &number);
            prop_assert!(got.iter().all(|(text, _)| is_valid_wagon(text)));
        }

        /// Of all valid codes, by hand over a few signs in doubt, the decoder finds the best and the second best.
        #[test]
        fn decoding_finds_the_best_valid_codes(
            ten in "[A-Z]{3}[UJZ][0-9]{6}",
            doubts in proptest::collection::vec((4usize..11, 0u8..10, 0.05f32..0.95), 3),
        ) {
            let code: Vec<char> = format!("{ten}{}", check_digit(&ten).unwrap()).chars().collect();
            let mut frames = Vec::new();
            for (i, c) in code.iter().enumerate() {
                let mut blank = [0.0; CLASSES];
                blank[0] = 1.0;
                let mut f = [0.0; CLASSES];
                let doubt = doubts.iter().find(|d| d.0 == i);
                let part = doubt.map_or(0.0, |d| d.2);
                f[class_of(*c).unwrap()] = 1.0 - part;
                if let Some((_, digit, part)) = doubt {
                    f[class_of(char::from(b'0' + digit)).unwrap()] += part;
                }
                frames.extend([blank, f]);
            }
            let l = Lattice::new(&frames);
            let edges = Edges::new(&l);
            let mut all = vec![String::new()];
            for (i, c) in code.iter().enumerate() {
                let other = doubts.iter().find(|d| d.0 == i).map(|d| char::from(b'0' + d.1));
                let signs: Vec<char> = std::iter::once(*c).chain(other.filter(|o| o != c)).collect();
                all = all.iter().flat_map(|t| signs.iter().map(move |s| format!("{t}{s}"))).collect();
            }
            let mut scored: Vec<(f32, String)> = all
                .into_iter()
                .filter(|t| is_valid(t))
                .map(|t| (score_of(&l, &edges, &t, -99.0), t))
                .collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            let got = valid_texts(&l, &edges, Checked::Container, -60.0);
            prop_assert!(got[0].1 >= scored[0].0 - 1e-3, "{:?} {:?}", got, scored);
            if let Some(second) = scored.get(1).filter(|s| s.0 > got[0].1 - 10.0) {
                prop_assert!(got[1].1 >= second.0 - 1e-3, "{:?} {:?}", got, scored);
            }
            for (text, score) in &got {
                prop_assert!((score_of(&l, &edges, text, -99.0) - score).abs() < 1e-2, "{} {}", text, score);
            }
        }

        #[test]
        fn no_lattice_panics(values in proptest::collection::vec(proptest::num::f32::ANY, 0..CLASSES * 16)) {
            let frames: Vec<[f32; CLASSES]> = values
                .chunks_exact(CLASSES)
                .map(|c| std::array::from_fn(|i| c[i]))
                .collect();
            let l = Lattice::new(&frames);
            let edges = Edges::new(&l);
            for checked in [Checked::Container, Checked::Wagon(8), Checked::Wagon(12), Checked::Wagon(99)] {
                let _ = (valid_texts(&l, &edges, checked, -60.0), as_read(&l, &edges, checked, -60.0));
            }
            let _ = (without_check_digit(&l, &edges, -60.0), type_code(&l, &edges, -60.0));
            prop_assert!(l.free_text().len() < 99);
        }

        #[test]
        fn no_free_reading_panics(text in "\\PC*") {
            let _ = (resembles(&text, Checked::Container, 3.0), resembles(&text, Checked::Wagon(12), 3.0));
        }
    }
}
