//! The text that the crops of one place agree on, and how sure that is.

use super::decoding::{BEAM, CLIP, Decoder, EMIT, EXPECTED, Reading, TEXTS};
use super::detect::geometry;
use super::inference::Opinion;
use super::rectify::{bounds, overlap, size};
use super::{PlateCandidate, PlateRead, StageMilliseconds};
use crate::Corners;

/// Least margin of a certain read; rare formats and those of other countries need their handicap more. Below it wrong
/// reads were seen, of pictures made worse as well: 3.4 of a plate in the rain (the README's table).
pub(super) const CERTAIN: f32 = 3.5;
/// The same for a text of an expected format that two readers read as it stands in at least half of their crops.
pub(super) const AGREED: f32 = 2.0;
/// Plates with fewer pixels than this to a sign need [`BLURRED`] more: a 4 and a 5 look the same to all readers there.
const SMALL: f32 = 10.0;
const BLURRED: f32 = 1.0;
/// Score of a text in a crop that reads another one, and the margin from which that does not matter; below it the second
/// general reader has to read the text as well: a drop of rain makes an E of a B for two of them.
const CONTRADICTED: f32 = -1.5;
const BEYOND_DOUBT: f32 = 4.0;
/// Fewest crops that read a certain text as it stands: of two readers that see one crop each, both may take a drop of rain
/// for a part of a sign.
const LITERAL_CROPS: usize = 3;
/// Least lead of a certain read over a text that differs only by O for 0 or I for 1.
const SAME_GLYPH: f32 = 0.4;
/// A crop reads a text as it stands if it scores this, or its free reading has it: below what a look-alike costs.
const LITERAL: f32 = -0.1;
/// Score that a text needs which no crop reads as it stands.
const EMIT_REPAIRED: f32 = -2.5;
/// Margin that a text without format needs to be told.
const FREE_LEAD: f32 = 0.5;
/// Price of a sign that lies outside of a crop: less than that of a sign the crop has and the text has not, so that of
/// two texts, one the beginning of the other, the longer one wins if any crop shows it clearly.
const CUT: f32 = 1.0;
/// A crop tells two texts apart when their scores in it differ by more than this.
const TOLD: f32 = 0.3;
/// Most narrow crops of one plate that vote, for each reader.
const VOTERS: usize = 5;
/// Most wide crops that vote, for each reader.
const WIDE_VOTERS: usize = 2;
/// Candidates in a result.
const CANDIDATES: usize = 5;

/// A plate, and whether it needs no more looking at.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) read: PlateRead,
    /// Would be certain if countries were expected.
    pub(crate) settled: bool,
    /// How sure the plate finder is of a plate there.
    pub(crate) proposed: f32,
}

/// The plate that the crops of one place agree on.
pub(crate) fn vote(decoder: &Decoder, group: &[&Reading]) -> Option<Verdict> {
    let mut sorted: Vec<&Reading> = group.to_vec();
    sorted.sort_by(|a, b| b.best().total_cmp(&a.best()));
    let lead = *sorted.first()?;
    // A crop far worse than the lead is another thing (a bumper, a neighbour), not a vote. A wide crop always has
    // one: it alone can show that the others are cut off.
    let mut voters: Vec<&Reading> = Vec::new();
    for opinion in Opinion::ALL {
        let own = || sorted.iter().copied().filter(|s| s.opinion == opinion);
        voters.extend(own().filter(|s| !s.wide && s.best() > lead.best() - BEAM).take(VOTERS));
        voters.extend(own().filter(|s| s.wide).take(WIDE_VOTERS));
    }
    let mut texts: Vec<(&str, f32)> = Vec::new();
    for (text, score) in voters.iter().flat_map(|s| &s.texts) {
        match texts.iter_mut().find(|(other, _)| other == text) {
            Some(known) => known.1 = known.1.max(*score),
            None => texts.push((text, *score)),
        }
    }
    texts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    texts.truncate(TEXTS);

    // the mean over the crops makes the choice, the best crop says how good the read is at all
    let mut rivals: Vec<Rival<'_>> = texts
        .into_iter()
        .map(|(text, _)| {
            let spellings = decoder.spellings(text);
            let score = |s: &&Reading| spellings.aligned(s, if s.wide { f32::INFINITY } else { CUT });
            let values: Vec<f32> = voters.iter().map(score).collect();
            let prior = decoder.prior(text);
            let mean = values.iter().sum::<f32>() / values.len().max(1) as f32 + prior;
            Rival { text, values, prior, mean }
        })
        .collect();
    rivals.sort_by(|a, b| b.mean.total_cmp(&a.mean).then_with(|| a.text.cmp(b.text)));
    let (first, others) = rivals.split_first()?;
    let form = geometry(&lead.candidate) + lead.candidate.score.max(1e-3).ln();
    // here nothing may be cut off: NORTH on a road sign is not a plate NORTH00
    let spellings = decoder.spellings(first.text);
    let in_full = |s: &Reading| spellings.aligned(s, f32::INFINITY);
    let whole = voters.iter().map(|s| in_full(s)).fold(CLIP, f32::max);
    let score = whole + first.prior + form;
    if score < EMIT {
        return None;
    }
    let own = folded(first.text);
    let (twins, others): (Vec<&Rival<'_>>, Vec<&Rival<'_>>) =
        others.iter().partition(|other| folded(other.text) == own);
    let least = |rivals: &[&Rival<'_>]| {
        rivals.iter().map(|other| first.margin(other, &voters)).fold(f32::MAX, f32::min)
    };
    let margin = least(&others).min(6.0 + score);
    // A telephone number becomes a plate by one look-alike, a plate at the picture's edge may go on beyond it. One crop
    // alone may read a U as O.
    let formatted = decoder.has_format(first.text);
    if !formatted && margin < FREE_LEAD {
        return None;
    }
    let literal = |opinion: Opinion| {
        let own_crops = voters.iter().filter(|s| s.opinion == opinion);
        let (crops, agree) = own_crops.fold((0, 0), |(crops, agree), s| {
            // a hologram between the signs may read as one more, about as surely as it reads as nothing
            let free = folded(&s.lattice.free_text());
            // without a format nothing says where a text ends: ХОЗТОВАР over a shop door goes on
            let read = if formatted { free.contains(&own) } else { free == own };
            let read = read || formatted && in_full(s) >= LITERAL;
            (crops + 1, agree + usize::from(read))
        });
        (agree, agree > 0 && 2 * agree >= crops)
    };
    let literal: Vec<(usize, bool)> = Opinion::ALL.into_iter().map(literal).collect();
    let literally: usize = literal.iter().map(|(agree, _)| agree).sum();
    if literally == 0 && score < EMIT_REPAIRED {
        return None;
    }
    let readers = literal.iter().filter(|(agree, _)| *agree > 0).count();
    let proposed = voters.iter().map(|s| s.proposed).fold(0.0, f32::max);
    // What one reader alone reads as it stands is worth telling in an expected format: half a plate may read like a whole
    // one of a rare format. One reader alone knows the letters of Cyrillic.
    let needs_two = proposed <= 0.0 || (first.prior < EXPECTED && first.text.is_ascii());
    if readers < 2 && needs_two {
        return None;
    }
    let agreed = literal.iter().filter(|(_, most)| *most).count() >= 2 && first.prior >= EXPECTED;
    let signs = first.text.chars().count() as f32;
    let across: f32 = lead.candidate.lines.iter().map(|line| size(line).0).sum();
    let small = across < SMALL * signs;
    let least_margin =
        if agreed { AGREED } else { CERTAIN - first.prior } + if small { BLURRED } else { 0.0 };
    let assents = literal.last().is_some_and(|(crops, _)| *crops > 0);
    let contradicted = first.values.iter().any(|value| *value < CONTRADICTED && *value > CLIP);
    let repeats_shown = !decoder.may_repeat(first.text) || voters.iter().any(|s| s.stretched);
    let longer = voters.iter().any(|s| s.wide && decoder.goes_on(first.text, &s.lattice.free_text()));
    let settled = voters.iter().any(|s| s.wide && s.whole)
        && !longer
        && repeats_shown
        && readers >= 2
        && literal.iter().map(|(crops, _)| crops).sum::<usize>() >= LITERAL_CROPS
        && decoder.is_complete(first.text)
        && margin >= least_margin
        && (assents || margin >= BEYOND_DOUBT || !contradicted)
        && least(&twins) >= SAME_GLYPH;
    let margin = f64::from(margin);
    let certain = settled && !decoder.expectation.is_open();
    // without countries wrong reads reach a margin of 3.5
    let most = if decoder.expectation.is_open() { 0.85 } else { 1.0 };
    let probability = calibrated(if settled { SETTLED } else { DOUBTFUL }, margin, most);
    let read = PlateRead {
        corners: lead.candidate.corners,
        text: first.text.to_owned(),
        country: decoder.country(first.text),
        candidates: shares(decoder, &rivals, probability),
        probability,
        margin,
        certain,
        detector: lead.candidate.detector,
        milliseconds: StageMilliseconds::default(),
    };
    Some(Verdict { read, settled, proposed })
}

/// O as 0 and I as 1: one glyph in many countries' fonts. Where a format leaves both open, the margin is small.
fn folded(text: &str) -> String {
    text.replace('O', "0").replace('I', "1")
}

/// The candidates with their share of the probability that the first one leaves.
fn shares(decoder: &Decoder, rivals: &[Rival<'_>], probability: f64) -> Vec<PlateCandidate> {
    let best = rivals.get(1).map_or(0.0, |r| r.mean);
    let weight = |r: &Rival<'_>| f64::from(r.mean - best).exp();
    // half of what is left is for texts that are not in the list
    let unit = 0.5 * (1.0 - probability) / rivals.iter().skip(1).map(weight).sum::<f64>().max(1.0);
    rivals
        .iter()
        .enumerate()
        .take(CANDIDATES)
        .map(|(i, rival)| PlateCandidate {
            text: rival.text.to_owned(),
            country: decoder.country(rival.text),
            probability: if i == 0 { probability } else { (weight(rival) * unit).min(probability) },
        })
        .collect()
}

/// One text that is voted on.
struct Rival<'a> {
    text: &'a str,
    /// Score in each crop.
    values: Vec<f32>,
    prior: f32,
    /// Mean score with prior.
    mean: f32,
}

impl Rival<'_> {
    /// How far this text is ahead of another, by the crops that tell the two apart. The others say nothing about which
    /// it is; nor does a narrow crop about a text that goes on beyond its edge.
    fn margin(&self, other: &Rival<'_>, voters: &[&Reading]) -> f32 {
        let [own, others] = [self.text, other.text].map(|text| text.chars().count());
        let longer = others > own && other.text.contains(self.text);
        let beyond = if longer { CUT * (others - own) as f32 } else { 0.0 };
        let (mut sum, mut count) = (0.0, 0u8);
        for ((mine, its), crop) in self.values.iter().zip(&other.values).zip(voters) {
            let ahead = mine - its;
            let silent = if ahead < 0.0 || crop.wide { TOLD } else { TOLD + beyond };
            if ahead.abs() > silent {
                sum += ahead;
                count += 1;
            }
        }
        sum / f32::from(count.max(1)) + self.prior - other.prior
    }
}

/// Crops of the same place, best first in each group.
pub(crate) fn grouped(readings: &[Reading]) -> Vec<Vec<&Reading>> {
    let mut order: Vec<&Reading> = readings.iter().collect();
    order.sort_by(|a, b| b.best().total_cmp(&a.best()));
    let mut groups: Vec<(Corners, Vec<&Reading>)> = Vec::new();
    for one in order {
        let here = bounds(&one.candidate.corners);
        match groups.iter_mut().find(|(lead, _)| overlap(bounds(lead), here).1 > 0.5) {
            Some((_, group)) => group.push(one),
            None => groups.push((one.candidate.corners, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Margin and the share of settled reads with it that are taken for right. All of 209 on the labelled photographs were, so
/// it is not above the lower end of the 95 % interval of that share, 0.982, but for the largest margins.
const SETTLED: &[(f64, f64)] =
    &[(-6.0, 0.02), (0.0, 0.15), (1.0, 0.5), (2.0, 0.96), (3.0, 0.975), (5.0, 0.985)];
/// The same for all other reads, those away from labels counted as wrong. It was fitted on one half of the photographs and
/// held against the other, both ways (the README's table): nearly flat, as what leaves a read unsettled is seldom its margin.
const DOUBTFUL: &[(f64, f64)] =
    &[(-6.0, 0.02), (0.0, 0.3), (0.5, 0.4), (1.0, 0.45), (2.0, 0.55), (3.0, 0.65), (5.0, 0.8)];

/// Chance that a read is right, by its margin: straight lines between the points of a table. `most` caps it.
fn calibrated(table: &[(f64, f64)], margin: f64, most: f64) -> f64 {
    let mut before = (f64::MIN, 0.02);
    for &(at, p) in table {
        if margin < at {
            let part = ((margin - before.0) / (at - before.0)).clamp(0.0, 1.0);
            return (before.1 + part * (p - before.1)).min(most);
        }
        before = (at, p);
    }
    before.1.min(most)
}

#[cfg(test)]
mod tests {
    use super::super::Detector;
    use super::super::decoding::FREE;
    use super::super::detect::Candidate;
    use super::super::formats::{Expectation, Formats};
    use super::super::lattice::{CLASSES, Lattice, class_of};
    use super::super::rectify::rectangle;
    use super::*;

    #[test]
    fn probability_grows_with_the_margin() {
        for table in [SETTLED, DOUBTFUL] {
            let mut last = 0.0;
            for step in -100..100 {
                let p = calibrated(table, f64::from(step) / 10.0, 1.0);
                assert!((0.0..=1.0).contains(&p) && p >= last, "{step} {p} {last}");
                last = p;
            }
            assert!(calibrated(table, f64::MIN, 1.0) <= 0.02);
        }
        assert!(calibrated(SETTLED, 9.0, 1.0) > 0.98 && calibrated(SETTLED, 9.0, 0.85) <= 0.85);
        assert!((calibrated(SETTLED, 1.0, 1.0) - 0.5).abs() < 1e-9);
        // what is certain says so, what is not never does: 0.9 is what a consensus wants
        assert!(calibrated(SETTLED, AGREED.into(), 1.0) >= 0.9 && calibrated(DOUBTFUL, 9.0, 1.0) < 0.9);
    }

    /// A crop that a reader reads as this text, each sign with this probability.
    fn reading(decoder: &Decoder, opinion: Opinion, wide: bool, text: &str, sure: f32) -> Reading {
        let mut frames = vec![];
        for sign in text.chars() {
            let mut frame = [(1.0 - sure) / 36.0; CLASSES];
            frame[class_of(sign).unwrap()] = sure;
            let mut blank = [0.0; CLASSES];
            blank[0] = 1.0;
            frames.extend([frame, blank]);
        }
        let corners = rectangle([100.0, 100.0], 200.0, 44.0, 0.0);
        let place = Candidate { lines: vec![corners], corners, score: 0.9, detector: Detector::Plate };
        let read = decoder.texts(place, opinion, Lattice::new(&frames).condensed(), false).unwrap();
        Reading { wide, whole: wide, proposed: 0.9, ..read }
    }

    /// The text that these crops are told as, if any; a free reading counts as one without format too.
    fn told(decoder: &Decoder, crops: &[(Opinion, bool, &str)]) -> Option<String> {
        let free = |&(who, wide, text): &(Opinion, bool, &str)| {
            let mut read = reading(decoder, who, wide, text, 0.99);
            read.texts.push((text.to_owned(), -FREE));
            read
        };
        let readings: Vec<Reading> = crops.iter().map(free).collect();
        vote(decoder, &readings.iter().collect::<Vec<_>>()).map(|verdict| verdict.read.text)
    }

    fn at_site(countries: &[&str]) -> Decoder {
        let formats = Formats::builtin().unwrap();
        let countries: Vec<String> = countries.iter().map(|c| (*c).to_owned()).collect();
        Decoder { expectation: Expectation::new(&countries, &formats).unwrap(), formats }
    }

    fn voted(decoder: &Decoder, crops: &[(Opinion, bool, &str)]) -> (String, bool) {
        let readings: Vec<Reading> =
            crops.iter().map(|(who, wide, text)| reading(decoder, *who, *wide, text, 0.99)).collect();
        let verdict = vote(decoder, &readings.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(verdict.settled, verdict.read.certain || decoder.expectation.is_open());
        (verdict.read.text, verdict.settled)
    }

    #[test]
    fn a_plate_is_certain_only_if_two_readers_read_it_as_it_stands() {
        use Opinion::{General, Plate, Second};
        let site = at_site(&["RU"]);
        let text = "A123BC96";
        let all_by = |who| voted(&site, &[(who, false, text), (who, false, text), (who, true, text)]);
        for who in [Plate, General, Second] {
            assert_eq!(all_by(who), (text.to_owned(), false), "{who:?}");
        }
        let agreed = [(Plate, false, text), (Plate, true, text), (General, true, text)];
        assert_eq!(voted(&site, &agreed), (text.to_owned(), true));
        // the other one reads a sign that the format does not let through
        let repaired = [(Plate, false, text), (Plate, true, text), (General, true, "A123BQ96")];
        assert!(!voted(&site, &repaired).1);
        // two equal signs may be three: no crop is stretched
        let repeat = [(Plate, false, "A123BC77"), (Plate, true, "A123BC77"), (General, true, "A123BC77")];
        assert_eq!(voted(&site, &repeat), ("A123BC77".to_owned(), false));
        // without a country the plate is as settled, and never certain
        assert_eq!(voted(&at_site(&[]), &agreed), (text.to_owned(), true));
    }

    #[test]
    fn a_sign_that_may_as_well_be_none_contradicts_nobody() {
        use Opinion::{General, Plate};
        let site = at_site(&["SK"]);
        let text = "RK346AL";
        let hologram = |other: f32| {
            let mut crops = [
                reading(&site, General, false, text, 0.99),
                reading(&site, General, true, text, 0.99),
                reading(&site, Plate, true, text, 0.99),
            ];
            // a blank frame after the second letter that is a sign with this probability
            let mut frames = text.chars().flat_map(|sign| [(sign, 0.99), (' ', 1.0)]).collect::<Vec<_>>();
            frames[3] = ('B', other);
            let frames: Vec<[f32; CLASSES]> = frames
                .iter()
                .map(|&(sign, sure)| {
                    let mut frame = [0.0; CLASSES];
                    frame[class_of(sign).unwrap_or(0)] = sure;
                    frame[0] = frame[0].max(1.0 - sure);
                    frame
                })
                .collect();
            let plate = crops.last_mut().unwrap();
            let place = plate.candidate.clone();
            let read = site.texts(place, Plate, Lattice::new(&frames), false).unwrap();
            *plate = Reading { wide: true, whole: true, proposed: 0.9, ..read };
            vote(&site, &crops.iter().collect::<Vec<_>>()).unwrap()
        };
        let sure = hologram(0.51);
        assert_eq!((sure.read.text.as_str(), sure.settled), (text, true));
        assert!(!hologram(0.9).settled, "one reader alone reads it as it stands");
    }

    #[test]
    fn cyrillic_letters_are_read_where_a_format_has_them_and_never_certain() {
        use Opinion::{General, Plate};
        // the general readers have no Cyrillic and see what is nearest
        let crops = [(Plate, false, "7686ЖЦ"), (Plate, true, "7686ЖЦ"), (General, true, "7686KU")];
        assert_eq!(voted(&at_site(&["UA"]), &crops), ("7686ЖЦ".to_owned(), false));
        // a format forbids nothing: where none has them the plate is read all the same
        let crops = [(Plate, false, "ЖЦ7686Щ"), (Plate, true, "ЖЦ7686Щ")];
        assert_eq!(told(&at_site(&["KZ"]), &crops).as_deref(), Some("ЖЦ7686Щ"));
    }

    #[test]
    fn what_one_reader_alone_reads_is_told_in_an_expected_format_only() {
        use Opinion::{General, Plate};
        let site = at_site(&["RU", "KZ"]);
        // half of a plate, and a sign beyond its edge
        let half = [(Plate, false, "H776MO"), (Plate, true, "H776MO"), (General, true, "H776M")];
        assert_eq!(told(&site, &half), None);
        let old = [(Plate, false, "H776MO"), (Plate, true, "H776MO"), (General, true, "H776MO")];
        assert_eq!(told(&site, &old).as_deref(), Some("H776MO"), "a plate of KZ of before 2012");
        let expected = [(Plate, false, "A123BC77"), (Plate, true, "A123BC77"), (General, true, "A123B")];
        assert_eq!(told(&site, &expected).as_deref(), Some("A123BC77"));
    }

    #[test]
    fn a_text_without_format_is_told_if_two_readers_read_just_that() {
        use Opinion::{General, Plate, Second};
        let site = at_site(&["PL"]);
        let vanity = [(Plate, false, "WOBVHMK4"), (General, true, "WOBVWMK4"), (Second, false, "WOBVWMK4")];
        assert_eq!(told(&site, &vanity).as_deref(), Some("WOBVWMK4"));
        let sign = [(Plate, false, "XO3TOBAP"), (Plate, true, "XO3TOBAP"), (General, true, "XO3TOBAPE")];
        assert_eq!(told(&site, &sign), None);
    }

    #[test]
    fn formats_with_signs_beyond_the_readers_are_never_certain() {
        use Opinion::{General, Plate, Second};
        // MN: two readers agree, and yet the last letter may be one of the two that Russian has not
        let crops = [(Plate, false, "1234YHA"), (Plate, true, "1234YHA"), (General, true, "1234YHA")];
        assert_eq!(voted(&at_site(&["MN"]), &crops), ("1234YHA".to_owned(), false));
        // CN: that an ideograph stands first is told, which one is not
        let crops = [(General, false, "京A12345"), (General, true, "京A12345"), (Second, true, "津A12345")];
        assert_eq!(voted(&at_site(&["CN"]), &crops), ("?A12345".to_owned(), false));
    }

    /// Whether these crops, each with how surely it is read, settle a plate of this width.
    fn settles(crops: &[(Opinion, bool, &str, f32)], width: f32) -> bool {
        let site = at_site(&["RU"]);
        let corners = rectangle([100.0, 100.0], width, 0.24 * width, 0.0);
        let read = |&(who, wide, text, sure): &(Opinion, bool, &str, f32)| {
            let read = reading(&site, who, wide, text, sure);
            let place = Candidate { lines: vec![corners], corners, ..read.candidate.clone() };
            Reading { candidate: place, ..read }
        };
        let readings: Vec<Reading> = crops.iter().map(read).collect();
        let verdict = vote(&site, &readings.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(verdict.read.text, "A123BC96");
        verdict.settled
    }

    #[test]
    fn where_a_crop_contradicts_the_second_general_reader_is_asked() {
        use Opinion::{General, Plate, Second};
        let (text, other) = ("A123BC96", "A123EC96");
        let crops = [
            (Plate, false, text, 0.9),
            (Plate, true, other, 0.6),
            (General, false, text, 0.9),
            (General, true, text, 0.9),
        ];
        assert!(!settles(&crops, 200.0));
        let asked = |read| [&crops[..], &[(Second, false, read, 0.9)]].concat();
        assert!(settles(&asked(text), 200.0));
        assert!(!settles(&asked(other), 200.0));
        // one crop each of two readers: too little
        assert!(!settles(&[(Plate, true, text, 0.9), (General, true, text, 0.9)], 200.0));
        assert!(settles(&[crops[0], (Plate, true, text, 0.9), crops[3]], 200.0));
    }

    #[test]
    fn small_plates_need_more() {
        use Opinion::{General, Plate, Second};
        let (text, other) = ("A123BC96", "A123EC96");
        let crops = [
            (Plate, false, text, 0.85),
            (Plate, true, other, 0.9),
            (General, true, text, 0.85),
            (Second, false, text, 0.85),
        ];
        assert!(settles(&crops, 120.0));
        assert!(!settles(&crops, 70.0), "nine pixels to a sign");
        assert!(settles(&[crops[0], (Plate, true, text, 0.85), crops[2]], 70.0));
    }

    #[test]
    fn a_crop_that_shows_more_signs_forbids_certainty() {
        use Opinion::{General, Plate};
        let site = at_site(&["RU"]);
        let short = "A123BC16";
        let cut = [(Plate, false, short), (General, false, short)];
        assert!(!voted(&site, &cut).1, "no crop with room at both ends");
        let whole = (Plate, true, short);
        assert!(voted(&site, &[cut[0], cut[1], whole]).1, "the same with one");
        for (wide, who) in [("A123BC161", Plate), ("A123BC163", General), ("A123BC164", Plate)] {
            let (text, certain) = voted(&site, &[cut[0], cut[1], whole, (who, true, wide)]);
            assert!(text == wide || !certain, "{text} {certain} though {who:?} reads {wide}");
        }
    }
}
