//! What a crop may say under the formats of the expected countries.

use super::detect::{Candidate, geometry};
use super::formats::{Expectation, Formats};
use super::grammar::{Decoded, Edges, JUNK, align_classes, decode, sign_set};
use super::inference::Opinion;
use super::lattice::{Lattice, class_of};

/// Score a text needs to be reported.
pub(crate) const EMIT: f32 = -6.0;
/// Handicap of a text that has no format, where the plate finder backs it.
pub(crate) const FREE: f32 = 5.0;
/// Worst prior of an expected format.
pub(crate) const EXPECTED: f32 = -1.0;
/// How far below the best shape's score a shape is still followed up.
pub(crate) const BEAM: f32 = 9.0;
/// A crop that does not have the text at all counts as this, so that one bad crop does not decide.
pub(crate) const CLIP: f32 = -9.0;
/// Price of a country's badge read before the number.
const BADGE: f32 = 1.0;
/// Most texts of one plate that are voted on.
pub(crate) const TEXTS: usize = 12;
/// Fewest signs of a plate.
const LEAST_SIGNS: usize = 3;
/// Fewest and most signs of a text that has no format.
const LEAST_FREE: usize = 5;
const MOST_FREE: usize = 9;

/// A crop that was read, with the texts it may say.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) candidate: Candidate,
    pub(crate) opinion: Opinion,
    pub(crate) lattice: Lattice,
    pub(crate) edges: Edges,
    /// Text, score with prior and geometry, best first.
    pub(crate) texts: Vec<(String, f32)>,
    /// Read with room at both ends: it would show if the plate was cut off.
    pub(crate) wide: bool,
    /// Stretched, so that repeated signs show as two.
    pub(crate) stretched: bool,
    /// Lies inside the picture.
    pub(crate) whole: bool,
    /// How sure the plate finder is of a plate there; 0 where it sees none.
    pub(crate) proposed: f32,
}

impl Reading {
    /// The best text's score.
    pub(crate) fn best(&self) -> f32 {
        self.texts.first().map_or(f32::MIN, |(_, score)| *score)
    }
}

/// A text as it may stand in a crop, by the classes of its signs.
#[derive(Debug)]
pub(crate) struct Spellings {
    plain: Vec<usize>,
    badged: Vec<Vec<usize>>,
}

impl Spellings {
    /// Score in a crop, with or without the country's badge; `cut` as for [`super::grammar::align`].
    pub(crate) fn aligned(&self, seen: &Reading, cut: f32) -> f32 {
        let score = |classes: &[usize]| align_classes(&seen.lattice, &seen.edges, classes, cut);
        let plain = score(&self.plain).unwrap_or(CLIP);
        let badged = self.badged.iter().filter_map(|classes| score(classes)).map(|score| score - BADGE);
        badged.fold(plain, f32::max).max(CLIP)
    }
}

/// The formats, and what is expected of them.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) formats: Formats,
    pub(crate) expectation: Expectation,
}

impl Decoder {
    /// Decodes a lattice under all shapes; none if nothing plausible stands there. `backed`: the plate finder sees a
    /// plate there, so that a text without format is worth reporting.
    pub(crate) fn texts(
        &self,
        candidate: Candidate,
        opinion: Opinion,
        lattice: Lattice,
        backed: bool,
    ) -> Option<Reading> {
        let edges = Edges::new(&lattice);
        let free = lattice.free_text();
        let signs = free.chars().count();
        if signs < LEAST_SIGNS {
            return None;
        }
        let form = geometry(&candidate) + candidate.score.max(1e-3).ln();
        let mut texts: Vec<(String, f32)> = Vec::new();
        let mut best = f32::MIN;
        // the most likely first: what they reach spares the others a closer look
        let mut shapes: Vec<_> =
            self.formats.shapes().iter().map(|shape| (self.expectation.prior(shape), shape)).collect();
        shapes.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (prior, shape) in shapes {
            // signs that were not seen cost far more than EMIT allows
            if shape.positions.len() > signs + 3 {
                continue;
            }
            let floor = best.max(EMIT + CLIP) - BEAM - prior;
            // nor are signs beyond the shape's cheap
            let beyond = signs.saturating_sub(shape.positions.len());
            let badge = self.formats.badges(shape).map(str::len).max().unwrap_or(0);
            if -JUNK * (beyond.saturating_sub(badge) as f32) < floor {
                continue;
            }
            let Some(decoded) = decode(&lattice, &edges, &shape.positions, floor) else { continue };
            best = best.max(decoded.score + prior);
            let mut add = |decoded: Decoded, skip: usize, price: f32| {
                let rest = |text: &str| text.chars().skip(skip).collect::<String>();
                let own = std::iter::once((&decoded.text, decoded.score));
                let others = decoded.runners_up.iter().map(|(text, score)| (text, *score));
                texts.extend(own.chain(others).map(|(text, score)| {
                    let text = rest(text);
                    let prior = self.expectation.prior_of(shape, &text);
                    (text, score + prior + form - price)
                }));
            };
            add(decoded, 0, 0.0);
            for badge in
                self.formats.badges(shape).filter(|badge| shape.positions.len() + badge.len() <= signs + 3)
            {
                let positions: Vec<_> = badge
                    .chars()
                    .map(|c| sign_set(c.encode_utf8(&mut [0; 4])))
                    .chain(shape.positions.iter().copied())
                    .collect();
                if let Some(decoded) = decode(&lattice, &edges, &positions, floor) {
                    best = best.max(decoded.score + prior - BADGE);
                    add(decoded, badge.len(), BADGE);
                }
            }
        }
        if backed && (LEAST_FREE..=MOST_FREE).contains(&signs) {
            texts.push((free, form - FREE));
        }
        texts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut distinct: Vec<(String, f32)> = Vec::new();
        for (text, score) in texts {
            if !distinct.iter().any(|(other, _)| *other == text) {
                distinct.push((text, score));
            }
        }
        distinct.truncate(TEXTS);
        distinct.first()?;
        Some(Reading {
            candidate,
            opinion,
            lattice,
            edges,
            texts: distinct,
            wide: false,
            stretched: false,
            whole: false,
            proposed: 0.0,
        })
    }

    /// The text as it may stand in a crop: alone, or after its country's badge.
    pub(crate) fn spellings(&self, text: &str) -> Spellings {
        let classes = |text: &str| text.chars().map(class_of).collect::<Option<Vec<usize>>>();
        let fitting = self.formats.shapes().iter().filter(|shape| shape.matches(text));
        let mut badged: Vec<Vec<usize>> = Vec::new();
        for badge in fitting.flat_map(|shape| self.formats.badges(shape)) {
            if let Some(spelling) = classes(&format!("{badge}{text}"))
                && !badged.contains(&spelling)
            {
                badged.push(spelling);
            }
        }
        Spellings { plain: classes(text).unwrap_or_default(), badged }
    }

    /// The best prior of the shapes that the text has.
    pub(crate) fn prior(&self, text: &str) -> f32 {
        let fitting = self.formats.shapes().iter().filter(|shape| shape.matches(text));
        fitting.map(|shape| self.expectation.prior_of(shape, text)).fold(-FREE, f32::max)
    }

    /// Whether a format has the text.
    pub(crate) fn has_format(&self, text: &str) -> bool {
        self.formats.shapes().iter().any(|shape| shape.matches(text))
    }

    /// Whether a likely format has the text, and the readers have all signs of the likely ones.
    pub(crate) fn is_complete(&self, text: &str) -> bool {
        self.expectation.is_complete(text, &self.formats)
    }

    /// Whether the text would be another plate if two equal signs in it were three: readers merge such repeats.
    pub(crate) fn may_repeat(&self, text: &str) -> bool {
        let doubled = |(at, sign): (usize, char)| {
            let mut longer = text.to_owned();
            longer.insert(at, sign);
            self.prior(&longer) >= EXPECTED
        };
        text.char_indices().zip(text.chars().skip(1)).any(|(one, next)| one.1 == next && doubled(one))
    }

    /// Whether what was read goes on beyond this text to another plate of an expected format: then this one may be cut off.
    pub(crate) fn goes_on(&self, text: &str, read: &str) -> bool {
        let (own, read): (Vec<char>, Vec<char>) = (text.chars().collect(), read.chars().collect());
        let alike =
            |a: char, b: char| a == b || matches!((a, b), ('O', '0') | ('0', 'O') | ('I', '1') | ('1', 'I'));
        let expected = |longer: String| self.prior(&longer) >= EXPECTED;
        read.windows(own.len().max(1)).enumerate().any(|(at, part)| {
            let here = part.iter().zip(&own).all(|(a, b)| alike(*a, *b));
            let before = at.checked_sub(1).and_then(|before| read.get(before));
            let after = read.get(at + own.len());
            here && (before.is_some_and(|sign| expected(format!("{sign}{text}")))
                || after.is_some_and(|sign| expected(format!("{text}{sign}"))))
        })
    }

    /// The country of the text, if only one of the likely ones has it.
    pub(crate) fn country(&self, text: &str) -> Option<String> {
        self.expectation.country(text, &self.formats)
    }
}
