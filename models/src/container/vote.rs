//! One way to read a code, and the vote between several ways to read the same one.

use super::code::check_digit;
use super::decode::{Checked, as_read, decode_checked, score_of, valid_texts, without_check_digit};
use super::lines::{Arrangement, around, shared};
use super::{CheckDigit, ContainerCandidate, ContainerRead, NumberKind};
use crate::plate::grammar::Edges;
use crate::plate::lattice::Lattice;
use crate::plate::rectify::{bounds, overlap};
use crate::{Corners, StageMilliseconds};
use std::cell::OnceCell;

/// Score a code needs to be followed up, and to be reported.
const FLOOR: f32 = -14.0;
const EMIT: f32 = -9.0;
/// Price of a code without its check digit, and of one whose check digit does not fit.
const TEN_PRICE: f32 = 4.0;
const WRONG_PRICE: f32 = 6.0;
/// A crop that does not have the code at all counts as this.
const CLIP: f32 = -14.0;
/// Least margin and score of a certain read (README's table).
const CERTAIN: f32 = 2.5;
/// Most hits of one code that vote.
const VOTERS: usize = 4;
/// Candidates in a result.
const CANDIDATES: usize = 5;

/// One way to read one code.
pub(super) struct Hit {
    pub(super) kind: Checked,
    /// The boxes in the order of reading, and how they stand.
    pub(super) parts: Vec<Corners>,
    pub(super) arrangement: Arrangement,
    pub(super) hull: Corners,
    pub(super) lattice: Lattice,
    pub(super) edges: Edges,
    /// The best text with a check digit that fits, and its score.
    pub(super) top: Option<(String, f32)>,
    /// That text and its rivals: found when they are needed.
    pub(super) valid: OnceCell<Vec<(String, f32)>>,
    /// Without check digit.
    pub(super) ten: Vec<(String, f32)>,
    /// As read, if that is not valid.
    pub(super) read: Option<(String, f32)>,
    /// The check digit stood in a part of its own.
    pub(super) apart: bool,
    pub(super) best: f32,
    /// It has been looked at a second time.
    pub(super) again: bool,
}

impl Hit {
    /// The best valid text and its rivals.
    fn valid(&self) -> &[(String, f32)] {
        self.valid.get_or_init(|| valid_texts(&self.lattice, &self.edges, self.kind, FLOOR))
    }
}

/// Decodes what stands in a lattice; none if it is no code.
pub(super) fn hit(
    kind: Checked,
    parts: &[Corners],
    arrangement: Arrangement,
    lattice: Lattice,
    apart: bool,
) -> Option<Hit> {
    let edges = Edges::new(&lattice);
    let top = decode_checked(&lattice, &edges, kind, &kind.positions(), FLOOR);
    let (mut ten, mut read) = (Vec::new(), None);
    if kind == Checked::Container {
        if let Some(d) = without_check_digit(&lattice, &edges, FLOOR) {
            ten.push((d.text, d.score));
            ten.extend(d.runners_up);
        }
        let score = top.as_ref().map_or(FLOOR, |t| t.1);
        read = as_read(&lattice, &edges, kind, score + WRONG_PRICE).map(|d| (d.text, d.score));
    }
    let first = |texts: &[(String, f32)], price: f32| texts.first().map_or(f32::MIN, |t| t.1 - price);
    let best = first(top.as_slice(), 0.0)
        .max(first(&ten, TEN_PRICE))
        .max(read.as_ref().map_or(f32::MIN, |r| r.1 - WRONG_PRICE));
    let hull = around(parts)?;
    (best > FLOOR).then_some(Hit {
        kind,
        parts: parts.to_vec(),
        arrangement,
        hull,
        lattice,
        edges,
        top,
        valid: OnceCell::new(),
        ten,
        read,
        apart,
        best,
        again: false,
    })
}

/// Hits of the same place, best first in each group.
pub(super) fn grouped(hits: &[Hit]) -> Vec<Vec<&Hit>> {
    let mut order: Vec<&Hit> = hits.iter().collect();
    order.sort_by(|a, b| b.best.total_cmp(&a.best));
    let mut groups: Vec<Vec<&Hit>> = Vec::new();
    for one in order {
        let same = |group: &&mut Vec<&Hit>| {
            group.first().is_some_and(|lead| lead.kind == one.kind && shared(&lead.hull, &one.hull) > 0.5)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// The code that the hits of one place agree on.
pub(super) fn vote(group: &[&Hit]) -> Option<ContainerRead> {
    let lead = *group.first()?;
    // hits of a part of the code, or of the code with its neighbour, have no vote
    let same = |h: &&&Hit| overlap(bounds(&h.hull), bounds(&lead.hull)).0 > 0.4;
    let mut voters: Vec<&Hit> = group.iter().filter(same).copied().take(VOTERS - 1).collect();
    if !voters.iter().any(|h| h.again) {
        voters.extend(group.iter().filter(same).find(|h| h.again).copied());
    }
    let mean = |text: &str| {
        let sum: f32 = voters.iter().map(|h| score_of(&h.lattice, &h.edges, text, CLIP)).sum();
        sum / voters.len().max(1) as f32
    };
    let ranked = |pick: &dyn Fn(&Hit) -> &[(String, f32)]| {
        let mut texts: Vec<String> =
            voters.iter().flat_map(|h| pick(h)).map(|(text, _)| text.clone()).collect();
        texts.sort();
        texts.dedup();
        let mut scored: Vec<(String, f32)> = texts
            .into_iter()
            .map(|text| {
                let score = mean(&text);
                (text, score)
            })
            .collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        scored
    };
    let valid = ranked(&|h| h.valid());
    let ten = ranked(&|h| &h.ten);
    let read = lead.read.as_ref().map(|(text, _)| (text.clone(), mean(text)));
    let value = |texts: &[(String, f32)], price: f32| texts.first().map_or(f32::MIN, |t| t.1 - price);
    let (as_valid, as_ten) = (value(&valid, 0.0), value(&ten, TEN_PRICE));
    let as_wrong = read.as_ref().map_or(f32::MIN, |r| r.1 - WRONG_PRICE);

    let (check_digit, texts, score) = if as_valid >= as_ten && as_valid >= as_wrong {
        let apart = voters.iter().all(|h| h.apart);
        (if apart { CheckDigit::Joined } else { CheckDigit::Read }, valid, as_valid)
    } else if as_ten >= as_wrong {
        let whole = |(text, score): &(String, f32)| Some((format!("{text}{}", check_digit(text)?), *score));
        (CheckDigit::Recomputed, ten.iter().filter_map(whole).collect(), as_ten)
    } else {
        let wrong: Vec<(String, f32)> = read.into_iter().chain(valid.iter().cloned()).collect();
        (CheckDigit::Contradicted, wrong, as_wrong)
    };
    let (code, _) = texts.first()?.clone();
    if score < EMIT {
        return None;
    }
    let rival = texts.get(1).map_or(f32::MIN, |t| t.1);
    let ahead = texts.first().map_or(0.0, |t| t.1) - rival;
    let margin = ahead.min(6.0 + score);
    let literal = voters.iter().any(|h| h.lattice.free_text().contains(&code));
    let agreed = voters.iter().all(|h| {
        let best = h.top.as_ref().map_or(CLIP, |t| t.1);
        score_of(&h.lattice, &h.edges, &code, CLIP) >= best - 0.01
    });
    let fits = matches!(check_digit, CheckDigit::Read | CheckDigit::Joined);
    let certain = fits && literal && agreed && voters.len() > 1 && margin >= CERTAIN;
    let probability = probability(f64::from(margin), check_digit, certain);
    let others: f32 = texts.iter().skip(1).map(|t| (t.1 - rival).exp()).sum::<f32>().max(1.0);
    let candidates = texts
        .iter()
        .take(CANDIDATES)
        .enumerate()
        .map(|(i, (code, score))| ContainerCandidate {
            code: code.clone(),
            probability: if i == 0 {
                probability
            } else {
                // half of what is left is for codes that are not in the list
                (0.5 * (1.0 - probability) * f64::from((score - rival).exp() / others)).min(probability)
            },
        })
        .collect();
    Some(ContainerRead {
        corners: lead.hull,
        kind: if lead.kind == Checked::Container { NumberKind::Container } else { NumberKind::Wagon },
        code,
        type_code: None,
        check_digit,
        probability,
        margin: f64::from(margin),
        certain,
        candidates,
        arrangement: lead.arrangement,
        milliseconds: StageMilliseconds::default(),
    })
}

/// Chance that a read is right, by its margin and check digit.
fn probability(margin: f64, check_digit: CheckDigit, certain: bool) -> f64 {
    let likely = (0.5 + 0.2 * margin).clamp(0.02, 0.985);
    match check_digit {
        CheckDigit::Read | CheckDigit::Joined if certain => likely.max(0.96),
        CheckDigit::Read | CheckDigit::Joined => likely.min(0.95),
        CheckDigit::Recomputed => likely.min(0.8),
        CheckDigit::Contradicted => likely.min(0.3),
    }
}

/// One code seen twice (in two passes, or as two arrangements) is one; of two that share their place the better stays.
pub(super) fn drop_repeats(reads: &mut Vec<ContainerRead>) {
    reads.sort_by(|a, b| {
        b.certain
            .cmp(&a.certain)
            .then_with(|| b.margin.total_cmp(&a.margin))
            .then_with(|| a.code.cmp(&b.code))
    });
    let mut kept: Vec<ContainerRead> = Vec::new();
    for read in reads.drain(..) {
        let again = |k: &ContainerRead| shared(&k.corners, &read.corners) > 0.5;
        if !kept.iter().any(again) {
            kept.push(read);
        }
    }
    *reads = kept;
}
